// A mixture of Gaussians in the plane and its exact consistency function, as cmlab/gaussian_mixture.py
// has it, in float64: the probability-flow ODE, solved by Dormand and Prince's method.

const NODES = [1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1];
const ROWS = [
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];
const GAP = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];
const TOLERANCE = 1e-7; // the error allowed to a step, in units of √(σ² + c²)

/** Hermite's cubic from a to b with these slopes at its ends, at a share of the way. */
function between(a, b, slopeA, slopeB, s) {
  return (1 + 2 * s) * (1 - s) ** 2 * a + s * (1 - s) ** 2 * slopeA + s * s * (3 - 2 * s) * b + s * s * (s - 1) * slopeB;
}

class Mixture {
  /** `parts` are Gaussians {weight, x, y, std}. */
  constructor(parts) {
    const total = parts.reduce((sum, p) => sum + p.weight, 0);
    this.parts = parts.map((p) => ({ ...p, weight: p.weight / total }));
    this.floor = Math.min(...parts.map((p) => p.std)); // c: in u = ½ ln(σ² + c²) paths are smooth down to σ = 0
  }

  /** The root mean square of the data's standard deviation over both coordinates. */
  get sigmaData() {
    const mean = (f) => this.parts.reduce((sum, p) => sum + p.weight * f(p), 0);
    const square = mean((p) => p.x ** 2 + p.y ** 2 + 2 * p.std ** 2);
    return Math.sqrt((square - mean((p) => p.x) ** 2 - mean((p) => p.y) ** 2) / 2);
  }

  /** The score of the noisy data at (x, y). */
  score(x, y, level) {
    let top = -Infinity;
    const terms = this.parts.map((p) => {
      const variance = p.std ** 2 + level ** 2;
      const term = Math.log(p.weight / variance) - ((x - p.x) ** 2 + (y - p.y) ** 2) / (2 * variance);
      top = Math.max(top, term);
      return [term, variance, p];
    });
    let total = 0, sx = 0, sy = 0;
    for (const [term, variance, p] of terms) {
      const share = Math.exp(term - top);
      total += share;
      sx += (share * (p.x - x)) / variance;
      sy += (share * (p.y - y)) / variance;
    }
    return [sx / total, sy / total];
  }

  /** The exact denoiser E[x | x_t]. */
  denoise(x, y, level) {
    const [sx, sy] = this.score(x, y, level);
    return [x + level ** 2 * sx, y + level ** 2 * sy];
  }

  /** The exact flow of (x, y) between two noise levels; `note(x, y)` hears of points on the way. */
  flow(x, y, level, to, note = () => {}) {
    const c2 = this.floor ** 2, grown = (s) => Math.log(s ** 2 + c2) / 2;
    const sigma = (u) => Math.sqrt(Math.max(Math.exp(2 * u) - c2, 0));
    const slope = (x, y, u) => this.score(x, y, sigma(u)).map((s) => -Math.exp(2 * u) * s);
    const stop = grown(to);
    let u = grown(level), h = Math.max(-0.5, Math.min(0.5, stop - u)), first = slope(x, y, u);
    note(x, y);
    for (let tries = 0; Math.abs(stop - u) > 1e-12 && tries < 2000; tries++) {
      const slopes = [first];
      const moved = (row, k) => row.reduce((sum, share, i) => sum + share * slopes[i][k], 0) * h;
      let nx = x, ny = y;
      ROWS.forEach((row, i) => {
        [nx, ny] = [x + moved(row, 0), y + moved(row, 1)];
        slopes.push(slope(nx, ny, u + NODES[i] * h));
      });
      const error = Math.hypot(moved(GAP, 0), moved(GAP, 1)) / Math.SQRT2 / (TOLERANCE * Math.exp(u + h));
      if (error <= 1) {
        for (const s of [0.25, 0.5, 0.75, 1]) note(between(x, nx, h * first[0], h * slopes[6][0], s), between(y, ny, h * first[1], h * slopes[6][1], s));
        [x, y, u, first] = [nx, ny, u + h, slopes[6]];
      }
      h *= Math.min(Math.max(0.9 * Math.max(error, 1e-10) ** -0.2, 0.2), 5);
      if (Math.abs(h) > Math.abs(stop - u)) h = stop - u;
    }
    return [x, y];
  }

  /** n samples, one after the other in a Float32Array. */
  sample(n, random) {
    const x = random.normal(2 * n);
    for (let i = 0; i < n; i++) {
      const p = this.one(random.uniform());
      x[2 * i] = p.x + p.std * x[2 * i];
      x[2 * i + 1] = p.y + p.std * x[2 * i + 1];
    }
    return x;
  }

  one(u) {
    for (const p of this.parts) if ((u -= p.weight) < 0) return p;
    return this.parts[this.parts.length - 1];
  }
}

/** The labs' ring: eight Gaussians on a circle of radius 1. */
function ring(modes = 8, std = 0.1) {
  return Array.from({ length: modes }, (_, k) => {
    const angle = (2 * Math.PI * k) / modes;
    return { weight: 1 / modes, x: Math.cos(angle), y: Math.sin(angle), std };
  });
}
