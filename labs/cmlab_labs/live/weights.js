// Weights as the page carries them: text, a character for 16 bits, and a list of names, shapes and
// places. page.py writes them.

/** The characters of float16 numbers as float32; browsers have had Float16Array only since 2025. */
function halvesOf(text) {
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const exponent = (h >> 10) & 31, fraction = h & 1023, sign = h >> 15 ? -1 : 1;
    table[h] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024);
  }
  return Float32Array.from({ length: text.length }, (_, i) => table[text.charCodeAt(i)]);
}

const TOP = 125; // whole numbers from -TOP to TOP come in twos, as one number that leaves out surrogates

function pairsOf(text) {
  const all = new Int8Array(2 * text.length), numbers = 2 * TOP + 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i), both = code < 0xe000 ? code : code - 0x800;
    all[2 * i] = Math.floor(both / numbers) - TOP;
    all[2 * i + 1] = (both % numbers) - TOP;
  }
  return all;
}

/** The tensors of a network by name, each {shape, data}. Of those in 8 bits, each row has a scale. */
function unpacked({ tensors, halves, singles, pairs }) {
  const single = new Float32Array(Uint8Array.from(atob(singles), (c) => c.charCodeAt(0)).buffer);
  const stored = { half: halvesOf(halves), single, pair: pairsOf(pairs) };
  return Object.fromEntries(tensors.map(([name, kind, at, shape, scales]) => {
    const n = shape.reduce((a, b) => a * b, 1), found = stored[kind].subarray(at, at + n), each = n / shape[0];
    const data = kind === "pair" ? Float32Array.from(found, (v, i) => v * stored.half[scales + Math.floor(i / each)]) : found;
    return [name, { shape, data }];
  }));
}
