// The networks of digits and photographs, cmlab/nets/unet.py and patches.py, for one image at a time:
// channels in rows, pixels across. Levels and attention are those that the weights' names tell.

const silu = (v) => v / (1 + Math.exp(-v));

class UNet {
  /** `weights` as `unpacked` gives them, `side` the pixels of a side, `patch` those of a patch's. */
  constructor(weights, side, patch = 1) {
    this.w = Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [name.replace(/^inner\./, ""), tensor]));
    Object.assign(this, { patch, side: side / patch });
    this.levels = Object.keys(this.w).filter((name) => /^down\.\d+\.blocks\.0\.conv_1\.bias$/.test(name)).length;
    const tensors = Object.values(this.w), count = tensors.reduce((sum, { data }) => sum + data.length, 0);
    this.machine = new Machine(6 + Math.ceil(count / 2 ** 17)); // the weights, half as much again, and 6 MB
    this.kept = new Map(); // matrices in the machine's memory, and rooms for activations
    const inputs = Math.max(...tensors.map(({ shape }) => (shape.length === 4 ? shape[1] : 0)));
    this.columns = this.machine.floats(9 * inputs * this.side ** 2);
  }

  named(name) {
    return this.w[name].data;
  }

  /** A weight (rows, …) as a matrix whose number of rows is a multiple of 4. */
  matrix(name) {
    if (!this.kept.has(name)) {
      const { shape, data } = this.w[name];
      const room = this.machine.floats((padded(shape[0], 4) * data.length) / shape[0]);
      room.set(data);
      this.kept.set(name, room);
    }
    return this.kept.get(name);
  }

  /** Room for an activation; the same place has the same room in each call. */
  room(place, n) {
    const key = `room ${place}`;
    if (!this.kept.has(key)) this.kept.set(key, this.machine.floats(n));
    return this.kept.get(key);
  }

  linear(name, x) {
    const { shape: [outputs, inputs], data } = this.w[`${name}.weight`];
    const bias = this.named(`${name}.bias`);
    return Float32Array.from({ length: outputs }, (_, o) => {
      let sum = bias[o];
      for (let i = 0; i < inputs; i++) sum += data[o * inputs + i] * x[i];
      return sum;
    });
  }

  /** A convolution of h (channels, n, n) as a product with its 3 x 3 neighbourhoods. */
  conv(name, h, n) {
    const { shape: [outputs, inputs, size] } = this.w[`${name}.weight`];
    const pixels = n * n, taps = size * size;
    const out = this.room(name, padded(outputs, 4) * pixels), bias = this.named(`${name}.bias`);
    for (let o = 0; o < outputs; o++) out.fill(bias[o], o * pixels, (o + 1) * pixels);
    const around = size === 1 ? this.inside(h, inputs * pixels) : this.neighbours(h, inputs, n);
    this.machine.product(this.matrix(`${name}.weight`), around, out, outputs, pixels, inputs * taps, { add: true });
    return out.subarray(0, outputs * pixels);
  }

  inside(h, length) {
    this.columns.set(h.subarray(0, length));
    return this.columns;
  }

  neighbours(h, channels, n) {
    let at = 0;
    for (let c = 0; c < channels; c++)
      for (let up = -1; up < 2; up++)
        for (let across = -1; across < 2; across++)
          for (let y = up; y < n + up; y++)
            for (let x = across; x < n + across; x++)
              this.columns[at++] = x < 0 || y < 0 || x >= n || y >= n ? 0 : h[(c * n + y) * n + x];
    return this.columns;
  }

  /** Group normalisation, then scale and shift a channel, then SiLU where asked. */
  norm(h, channels, pixels, scale, shift, active = true) {
    let groups = 8;
    while (channels % groups) groups /= 2;
    const out = new Float32Array(channels * pixels), each = (channels * pixels) / groups;
    for (let g = 0; g < groups; g++) {
      let mean = 0, variance = 0;
      for (let i = g * each; i < (g + 1) * each; i++) mean += h[i] / each;
      for (let i = g * each; i < (g + 1) * each; i++) variance += (h[i] - mean) ** 2 / each;
      const inverse = 1 / Math.sqrt(variance + 1e-5);
      for (let i = g * each; i < (g + 1) * each; i++) {
        const c = Math.floor(i / pixels), v = (h[i] - mean) * inverse * scale[c] + shift[c];
        out[i] = active ? silu(v) : v;
      }
    }
    return out;
  }

  affine(name, h, channels, pixels, active = true) {
    return this.norm(h, channels, pixels, this.named(`${name}.scale`), this.named(`${name}.shift`), active);
  }

  block(name, h, e, n) {
    const pixels = n * n, inputs = this.w[`${name}.norm_1.scale`].shape[0];
    const outputs = this.w[`${name}.conv_1.weight`].shape[0];
    const inner = this.conv(`${name}.conv_1`, this.affine(`${name}.norm_1`, h, inputs, pixels), n);
    const told = this.linear(`${name}.modulate`, e);
    const scale = told.subarray(0, outputs).map((s) => 1 + s);
    const out = this.conv(`${name}.conv_2`, this.norm(inner, outputs, pixels, scale, told.subarray(outputs)), n);
    const skip = inputs === outputs ? h : this.conv(`${name}.skip`, h, n);
    return out.map((v, i) => v + skip[i]);
  }

  attention(name, h, channels, n) {
    const pixels = n * n, heads = Math.max(1, Math.floor(channels / 32)), each = channels / heads;
    const qkv = this.conv(`${name}.qkv`, this.affine(`${name}.norm`, h, channels, pixels, false), n);
    const mixed = new Float32Array(channels * pixels), share = new Float32Array(pixels);
    for (let head = 0; head < heads; head++) {
      const at = (part) => (part * channels + head * each) * pixels; // of q, k and v
      const [q, k, v] = [0, 1, 2].map((part) => qkv.subarray(at(part), at(part) + each * pixels));
      for (let i = 0; i < pixels; i++) {
        share.fill(0);
        for (let c = 0; c < each; c++)
          for (let j = 0; j < pixels; j++) share[j] += q[c * pixels + i] * k[c * pixels + j];
        const top = share.reduce((a, b) => Math.max(a, b), -Infinity);
        let total = 0;
        for (let j = 0; j < pixels; j++) total += share[j] = Math.exp((share[j] - top) / Math.sqrt(each));
        for (let c = 0; c < each; c++) {
          let sum = 0;
          for (let j = 0; j < pixels; j++) sum += share[j] * v[c * pixels + j];
          mixed[(head * each + c) * pixels + i] = sum / total;
        }
      }
    }
    return this.conv(`${name}.out`, mixed, n).map((v, i) => v + h[i]);
  }

  /** The embedding of noise level and class as one vector. */
  conditioning(cNoise, label) {
    const waves = this.named("told.waves.frequencies");
    const angles = [...waves].map((f) => Math.fround(f * cNoise));
    const features = [...angles.map(Math.cos), ...angles.map(Math.sin)];
    const told = this.linear("told.outer", this.linear("told.inner", features).map(silu));
    const width = told.length, labels = this.named("told.labels.vector.weight");
    return told.map((v, i) => silu(v + labels[label * width + i]));
  }

  /** A block, and attention where the level has it. */
  level(name, h, e, n) {
    const out = this.block(`${name}.blocks.0`, h, e, n), attention = `${name}.attention.0`;
    return this.w[`${attention}.qkv.weight`] ? this.attention(attention, out, out.length / n ** 2, n) : out;
  }

  /** F(x, c_noise, label) for one image x, all pixels of a channel after those of the one before. */
  call(x, cNoise, label) {
    const e = this.conditioning(cNoise, label), skips = [];
    let n = this.side, h = this.conv("first", gathered(x, n, this.patch), n);
    for (let i = 0; i < this.levels; i++) {
      if (i) [h, n] = [halved(h, n), n / 2];
      skips.push((h = this.level(`down.${i}`, h, e, n)));
    }
    h = this.level("middle", h, e, n);
    for (let i = 0; i < this.levels; i++) {
      if (i) [h, n] = [doubled(h, n), 2 * n];
      h = this.level(`up.${i}`, joined(h, skips.pop()), e, n);
    }
    h = this.conv("last.2", this.affine("last.0", h, h.length / n ** 2, n * n), n);
    return gathered(h, n, this.patch, true);
  }
}

/** Space to depth: the pixels of each patch as channels of one pixel, n a side; or `back` again. */
function gathered(h, n, patch, back = false) {
  const out = new Float32Array(h.length), wide = n * patch;
  for (let i = 0; i < h.length; i++) {
    const x = i % wide, y = Math.floor(i / wide) % wide, channel = Math.floor(i / wide ** 2);
    const deep = (channel * patch + (y % patch)) * patch + (x % patch);
    const at = (deep * n + Math.floor(y / patch)) * n + Math.floor(x / patch);
    if (back) out[i] = h[at];
    else out[at] = h[i];
  }
  return out;
}

function joined(a, b) {
  const out = new Float32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** The mean of each 2 x 2 pixels. */
function halved(h, n) {
  const half = n / 2;
  return Float32Array.from({ length: h.length / 4 }, (_, i) => {
    const x = i % half, row = Math.floor(i / half), at = 2 * row * n + 2 * x; // rows of all channels
    return (h[at] + h[at + 1] + h[at + n] + h[at + n + 1]) / 4;
  });
}

/** Each pixel repeated, 2 x 2. */
function doubled(h, n) {
  const wide = 2 * n;
  return Float32Array.from({ length: h.length * 4 }, (_, i) => {
    const x = i % wide, row = Math.floor(i / wide);
    return h[Math.floor(row / 2) * n + Math.floor(x / 2)];
  });
}

/** EDM's preconditioning around a network, cmlab/model.py: D(x_t, t) for one image. */
function denoiser(network, sigmaData) {
  return (x, t, label) => {
    const norm = Math.sqrt(t * t + sigmaData ** 2), skip = (sigmaData / norm) ** 2, out = (t * sigmaData) / norm;
    const F = network.call(x.map((v) => v / norm), Math.log(Math.max(t, 1e-8)) / 4, label);
    return F.map((v, i) => skip * x[i] + out * v);
  };
}
