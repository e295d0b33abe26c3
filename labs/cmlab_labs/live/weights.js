// Weights as the page carries them: base64 of float16, and a list of names, shapes and places.

/** float16 to float32; browsers have had Float16Array only since 2025. */
function widened(bits) {
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const exponent = (h >> 10) & 31, fraction = h & 1023, sign = h >> 15 ? -1 : 1;
    table[h] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024);
  }
  return Float32Array.from(bits, (h) => table[h]);
}

/** The tensors of a network by name, each {shape, data}. */
function unpacked({ tensors, halves, singles }) {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const stored = { half: widened(new Uint16Array(bytes(halves))), single: new Float32Array(bytes(singles)) };
  const read = ([name, kind, at, shape]) => {
    const n = shape.reduce((a, b) => a * b, 1);
    return [name, { shape, data: stored[kind].subarray(at, at + n) }];
  };
  return Object.fromEntries(tensors.map(read));
}
