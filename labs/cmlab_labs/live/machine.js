// A memory of float32 numbers, and the one product of matrices that all networks here are made of.
// The product is WebAssembly, assembled by kernel.py: plain JavaScript takes four times as long.

const KERNEL = Uint8Array.from(atob("@KERNEL@"), (c) => c.charCodeAt(0));

/** n as a multiple of `step`, as the product wants the sizes of its matrices. */
const padded = (n, step) => Math.ceil(n / step) * step;

class Machine {
  constructor(megabytes) {
    this.memory = new WebAssembly.Memory({ initial: 16 * megabytes, maximum: 16 * megabytes });
    const made = new WebAssembly.Instance(new WebAssembly.Module(KERNEL), { env: { memory: this.memory } });
    this.kernel = made.exports.gemm;
    this.top = 0;
  }

  /** Room for n numbers, all 0. It is never given back, so ask once and reuse. */
  floats(n) {
    const room = new Float32Array(this.memory.buffer, this.top, n);
    this.top += 4 * padded(n, 4);
    return room;
  }

  /** C (m, n) = A (m, k) B (k, n), row by row; `turned`: A is given as (k, m); `add`: C += A B.
   *  m is rounded up to a multiple of 4 and n has to be one of 8: keep that much room. */
  product(A, B, C, m, n, k, { turned = false, add = false } = {}) {
    const [row, step] = turned ? [4, 4 * padded(m, 4)] : [4 * k, 4];
    this.kernel(A.byteOffset, B.byteOffset, C.byteOffset, padded(m, 4), n, k, row, step, add ? 1 : 0);
  }
}
