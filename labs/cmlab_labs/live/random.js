// Random numbers. A seed gives the noise that torch gives for it, so that the page shows the digit
// which lab 00 shows for the same seed: the Mersenne Twister, 24 bits a number, Box and Muller in
// groups of sixteen.

class Random {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, last) + i;
    }
    this.place = 624;
  }

  /** 32 random bits. */
  bits() {
    const s = this.state;
    if (this.place === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.place = 0;
    }
    let y = s[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Uniform in [0, 1). */
  uniform() {
    return (this.bits() & 0xffffff) / 0x1000000;
  }

  /** n standard normal numbers; those of torch.randn where n is a multiple of 16. */
  normal(n) {
    const z = Float32Array.from({ length: padded(n, 16) }, () => this.uniform());
    for (let i = 0; i < z.length; i += 16)
      for (let j = i; j < i + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log(1 - z[j])), angle = 2 * Math.PI * z[j + 8];
        z[j] = radius * Math.cos(angle);
        z[j + 8] = radius * Math.sin(angle);
      }
    return z.subarray(0, n);
  }
}
