// The plane's network, cmlab/nets/mlp.py: forward, and backward through what `forward` kept.

class MLP {
  /** Room for batches of `rows` points, for networks of this width with three hidden layers. */
  constructor(machine, { width = 192, waves = 32, depth = 3 } = {}, rows = 256) {
    Object.assign(this, { machine, width, depth, rows, told: 2 * waves });
    this.frequencies = new Float32Array(waves);
    const room = (columns) => machine.floats(rows * columns);
    this.x = room(4);
    this.e = room(this.told);
    this.y = room(8); // two columns of it are the output
    this.h = Array.from({ length: depth }, () => room(width));
    this.slope = Array.from({ length: depth }, () => room(width)); // of SiLU
    this.turned = machine.floats(width * width);
    this.g = room(width);
    this.below = room(width);
  }

  /** A set of weights, or of gradients: `flat` is all of it, the rest are its parts. */
  parameters() {
    const { width, told, depth } = this;
    const inputs = (layer) => (layer ? width : 2);
    const flat = this.machine.floats(depth * (told + 1) * width + 2 * width + (depth - 1) * width ** 2 + 8 * width + 8);
    let at = 0;
    const take = (n) => flat.subarray(at, (at += n));
    const layers = Array.from({ length: depth }, (_, i) => ({
      W: take(inputs(i) * width), U: take(told * width), b: take(width),
    }));
    return { flat, layers, last: { W: take(8 * width), b: take(8) } };
  }

  /** torch's initial weights: uniform, within 1 / √inputs. */
  initialise(p, random, scale = 0.3) {
    const even = (room, inputs) => room.forEach((_, i) => { room[i] = (2 * random.uniform() - 1) / Math.sqrt(inputs); });
    p.layers.forEach(({ W, U, b }, i) => {
      even(W, i ? this.width : 2);
      even(U, this.told);
      even(b, i ? this.width : 2);
    });
    for (const room of [p.last.W, p.last.b])
      room.forEach((_, i) => { room[i] = i % 8 < 2 ? (2 * random.uniform() - 1) / Math.sqrt(this.width) : 0; });
    this.frequencies.set(random.normal(this.frequencies.length).map((z) => 2 * Math.PI * scale * z));
  }

  /** Weights of a network trained in torch, by name. */
  load(p, weights) {
    const put = (room, name, columns) => {
      const { shape: [outputs, inputs], data } = weights[name];
      for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) room[i * columns + o] = data[o * inputs + i];
    };
    p.layers.forEach(({ W, U, b }, i) => {
      put(W, `layers.${i}.weight`, this.width);
      put(U, `inject.${i}.weight`, this.width);
      b.set(weights[`layers.${i}.bias`].data);
    });
    put(p.last.W, "last.weight", 8);
    p.last.b.set(weights["last.bias"].data);
    this.frequencies.set(weights["waves.frequencies"].data);
  }

  /** F at n points: `x` has two numbers a point, `cNoise` one, or two for a flow map, each with half of the
   *  frequencies. The answer has eight columns. */
  forward(p, x, cNoise, n) {
    const { width, told, machine } = this, waves = told / 2, times = cNoise.length / n;
    this.x.set(x.subarray(0, 2 * n));
    for (let i = 0; i < n; i++)
      for (let k = 0; k < waves; k++) {
        const angle = Math.fround(this.frequencies[k] * cNoise[i * times + Math.floor((k * times) / waves)]);
        this.e[i * told + k] = Math.cos(angle);
        this.e[i * told + waves + k] = Math.sin(angle);
      }
    let below = this.x, inputs = 2;
    p.layers.forEach(({ W, U, b }, l) => {
      const h = this.h[l], slope = this.slope[l];
      for (let i = 0; i < padded(n, 4); i++) h.set(b, i * width);
      machine.product(below, W, h, n, width, inputs, { add: true });
      machine.product(this.e, U, h, n, width, told, { add: true });
      for (let i = 0; i < n * width; i++) {
        const a = h[i], s = 1 / (1 + Math.exp(-a));
        h[i] = a * s;
        slope[i] = s + a * s * (1 - s);
      }
      [below, inputs] = [h, width];
    });
    for (let i = 0; i < padded(n, 4); i++) this.y.set(p.last.b, 8 * i);
    machine.product(below, p.last.W, this.y, n, 8, width, { add: true });
    return this.y;
  }

  /** The gradient `g` of the weights, from that of the outputs (n, 8) of the last `forward`. */
  backward(p, g, dy, n) {
    const { width, depth, machine } = this;
    machine.product(this.h[depth - 1], dy, g.last.W, width, 8, n, { turned: true });
    columnSums(dy, n, g.last.b);
    this.back(dy, 8, p.last.W, n);
    for (let l = depth - 1; l >= 0; l--) {
      const slope = this.slope[l], da = this.g;
      for (let i = 0; i < n * width; i++) da[i] = this.below[i] * slope[i];
      if (l) machine.product(this.h[l - 1], da, g.layers[l].W, width, width, n, { turned: true });
      else narrow(this.x, da, g.layers[0].W, n, width);
      machine.product(this.e, da, g.layers[l].U, this.told, width, n, { turned: true });
      columnSums(da, n, g.layers[l].b);
      if (l) this.back(da, width, p.layers[l].W, n);
    }
  }

  /** below = dy Wᵀ */
  back(dy, columns, W, n) {
    const { width } = this;
    for (let i = 0; i < width; i++) for (let o = 0; o < columns; o++) this.turned[o * width + i] = W[i * columns + o];
    this.machine.product(dy, this.turned, this.below, n, width, columns);
  }
}

const LOW = 0.002, HIGH = 10; // the noise levels of the plane

/** t -> c_skip, c_out, c_in, c_noise. CM's have f(x, σ_min) = x, EDM's D(x, 0) = x. */
function preconditioned(kind, sigmaData) {
  const s2 = sigmaData ** 2, least = kind === "CM" ? LOW : 0;
  return (t) => {
    const norm = Math.sqrt(t * t + s2), above = t - least;
    return [s2 / (above ** 2 + s2), (above * sigmaData) / norm, 1 / norm, Math.log(Math.max(t, 1e-8)) / 4];
  };
}

/** A network with its preconditioning, at n points x (two numbers each) of noise levels t. */
function denoised(net, p, coefficients, x, t, n) {
  const told = Array.from(t.subarray(0, n), coefficients);
  const scaled = Float32Array.from({ length: 2 * n }, (_, i) => told[i >> 1][2] * x[i]);
  const F = net.forward(p, scaled, Float32Array.from(told, (c) => c[3]), n);
  return Float32Array.from({ length: 2 * n }, (_, i) => told[i >> 1][0] * x[i] + told[i >> 1][1] * F[8 * (i >> 1) + (i & 1)]);
}

function columnSums(a, n, sums) {
  const columns = sums.length;
  sums.fill(0);
  for (let i = 0; i < n; i++) for (let o = 0; o < columns; o++) sums[o] += a[i * columns + o];
}

/** xᵀ da for points x of two coordinates, too few for the product of matrices. */
function narrow(x, da, W, n, width) {
  W.fill(0);
  for (let i = 0; i < n; i++)
    for (let o = 0; o < width; o++) {
      W[o] += x[2 * i] * da[i * width + o];
      W[width + o] += x[2 * i + 1] * da[i * width + o];
    }
}
