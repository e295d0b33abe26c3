// Consistency training in the plane: CT, iCT and ECT as cmlab/methods has them, one loss with three
// sets of ingredients, beside the exact f*. `Trainer` knows nothing of the page; a worker runs it.

const RHO = 7; // the exponent of Karras's grid
const MEAN = -1.1, SPREAD = 2; // of ln σ, where the noise levels are drawn from a log-normal

/** The Karras grid of `points` noise levels, ascending. */
function grid(points, from = LOW, to = HIGH) {
  const [low, high] = [from, to].map((s) => s ** (1 / RHO));
  return Array.from({ length: points }, (_, i) => (low + (i / (points - 1)) * (high - low)) ** RHO);
}

/** The normal distribution function; Abramowitz and Stegun 7.1.26, within 2e-7. */
function normalShare(z) {
  const t = 1 / (1 + 0.3275911 * Math.abs(z) * Math.SQRT1_2);
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  const outer = (tail * Math.exp((-z * z) / 2)) / 2;
  return z > 0 ? 1 - outer : outer;
}

/** Intervals of a grid, drawn with these probabilities. */
class Intervals {
  constructor(points, even) {
    this.levels = grid(points);
    const share = (s) => normalShare((Math.log(s) - MEAN) / SPREAD);
    let sum = 0;
    this.ends = this.levels.slice(1).map((s, i) => (sum += even ? 1 : Math.max(share(s) - share(this.levels[i]), 1e-12)));
  }

  draw(u) {
    const goal = u * this.ends[this.ends.length - 1];
    let [low, high] = [0, this.ends.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] > goal) high = middle;
      else low = middle + 1;
    }
    return [this.levels[low + 1], this.levels[low]];
  }
}

/** N(k) of CT: from 2 to s1 + 1, as a root. */
function rootGrowth(k, total, s1) {
  return Math.max(Math.ceil(Math.sqrt((k / total) * ((s1 + 1) ** 2 - 4) + 4) - 1), 1) + 1;
}

/** N(k) of iCT: from 11, the intervals doubling. */
function doubling(k, total, s1) {
  const s0 = Math.min(10, s1), stage = Math.max(Math.floor(total / (Math.log2(Math.floor(s1 / s0)) + 1)), 1);
  return Math.min(s0 * 2 ** Math.floor(k / stage), s1) + 1;
}

const RULES = {
  CT: { c: Infinity, mu: 0.9, N: 150, even: true, points: rootGrowth, weight: () => 1 },
  iCT: { c: 0.00054 * Math.SQRT2, mu: 0, N: 1280, even: false, points: doubling, weight: (t, r) => 1 / (t - r) },
  ECT: { c: 1e-8, mu: 0, N: 0, weight: (t, r) => 1 / (t - r) },
};

class Trainer {
  /** `asked`: {method, steps, seed, parts}, and c, mu, N, rate (of learning) where they are not the method's own. */
  constructor(asked) {
    const { method = "iCT", steps = 1500, seed = 0, parts = ring() } = asked;
    this.rule = { ...RULES[method], ...Object.fromEntries(["c", "mu", "N", "rate"].filter((k) => asked[k] !== undefined).map((k) => [k, asked[k]])) };
    Object.assign(this, { method, steps, step: 0, batch: 256, data: new Mixture(parts), random: new Random(seed) });
    this.sigmaData = this.data.sigmaData;
    this.coefficients = preconditioned(method === "ECT" ? "EDM" : "CM", this.sigmaData);
    this.net = new MLP(new Machine(48), {}, 2048);
    [this.theta, this.ema, this.target, this.gradient, this.m, this.v] = Array.from({ length: 6 }, () => this.net.parameters());
    this.net.initialise(this.theta, this.random);
    this.ema.flat.set(this.theta.flat);
    this.target.flat.set(this.theta.flat);
    this.dy = this.net.machine.floats(8 * this.batch);
  }

  /** f at n points x of noise levels t. */
  f(p, x, t, n) {
    return denoised(this.net, p, this.coefficients, x, t, n);
  }

  /** Noise levels t > r for each sample of the batch. */
  pairs() {
    const { step, steps, rule, random, batch } = this;
    if (rule.points) {
      const points = Math.max(rule.points(step, steps, rule.N), 2);
      if (this.intervals?.levels.length !== points) this.intervals = new Intervals(points, rule.even);
      return Array.from({ length: batch }, () => this.intervals.draw(random.uniform()));
    }
    const before = Math.floor(steps / 4); // ECT starts from a denoiser, trained here in a quarter of the steps
    const stage = Math.min(1 + Math.floor((step - before) / Math.max((steps - before) / 8, 1)), 8);
    const z = random.normal(4 * batch).filter((v) => MEAN + SPREAD * v > Math.log(LOW) && MEAN + SPREAD * v < Math.log(HIGH));
    return Array.from({ length: batch }, (_, i) => {
      const t = Math.exp(MEAN + SPREAD * z[i]), n = 1 + 8 / (1 + Math.exp(t));
      return [t, step < before ? 0 : t * Math.max(0, 1 - 2 ** -stage * n)];
    });
  }

  /** One update of the weights. */
  update() {
    const { batch, rule, random, sigmaData } = this;
    const denoising = this.method === "ECT" && this.step < Math.floor(this.steps / 4);
    const x = this.data.sample(batch, random), z = random.normal(2 * batch), pairs = this.pairs();
    const t = Float32Array.from(pairs, (p) => p[0]), r = Float32Array.from(pairs, (p) => p[1]);
    const noisy = (level) => x.map((v, i) => v + level[i >> 1] * z[i]);
    const [x_t, x_r] = [t, r].map(noisy);
    const f_r = denoising ? x : this.f(rule.mu ? this.target : this.theta, x_r, r, batch);
    const f_t = this.f(this.theta, x_t, t, batch); // last: `backward` reads what it kept
    this.last = { x, x_t, x_r, f_t, f_r, t };
    this.dy.fill(0);
    for (let i = 0; i < batch; i++) {
      const [, out] = this.coefficients(t[i]), dx = f_t[2 * i] - f_r[2 * i], dy = f_t[2 * i + 1] - f_r[2 * i + 1];
      const square = denoising || rule.c === Infinity, weight = denoising ? (t[i] ** 2 + sigmaData ** 2) / (t[i] * sigmaData) ** 2 : rule.weight(t[i], r[i]);
      const pull = (weight * out * (square ? 2 : 1 / Math.sqrt(dx * dx + dy * dy + rule.c ** 2))) / batch;
      this.dy[8 * i] = pull * dx;
      this.dy[8 * i + 1] = pull * dy;
    }
    this.net.backward(this.theta, this.gradient, this.dy, batch);
    this.descend();
    this.step += 1;
  }

  /** Adam, then the two averages: of the weights that are shown, and of the target's. */
  descend() {
    const k = this.step, warm = Math.min(200, this.steps / 8);
    const share = Math.min((k - warm) / Math.max(this.steps - warm, 1), 1);
    const rate = (this.rule.rate ?? 1e-3) * (k < warm ? (k + 1) / warm : (1 + Math.cos(Math.PI * share)) / 2);
    const [a, b] = [0.9, 0.99], [fix1, fix2] = [1 - a ** (k + 1), 1 - b ** (k + 1)];
    const keep = Math.min(0.99, (1 + k) / (10 + k)), mu = this.rule.mu;
    const w = this.theta.flat, g = this.gradient.flat, m = this.m.flat, v = this.v.flat;
    for (let i = 0; i < w.length; i++) {
      m[i] = a * m[i] + (1 - a) * g[i];
      v[i] = b * v[i] + (1 - b) * g[i] * g[i];
      w[i] -= (rate * m[i]) / fix1 / (Math.sqrt(v[i] / fix2) + 1e-8);
      this.ema.flat[i] = keep * this.ema.flat[i] + (1 - keep) * w[i];
      if (mu) this.target.flat[i] = mu * this.target.flat[i] + (1 - mu) * w[i];
    }
  }

  /** Points of 16 noise levels with their exact f*: what errors are measured against. */
  truth(points = 64, count = 16) {
    if (this.exact) return this.exact;
    const levels = grid(count), random = new Random(1), n = points * count;
    const x = this.data.sample(n, random), z = random.normal(2 * n);
    const t = Float32Array.from({ length: n }, (_, i) => levels[Math.floor(i / points)]);
    const x_t = x.map((v, i) => v + t[i >> 1] * z[i]), ends = new Float64Array(2 * n);
    for (let i = 0; i < n; i++) ends.set(this.data.flow(x_t[2 * i], x_t[2 * i + 1], t[i], LOW), 2 * i);
    return (this.exact = { levels, points, t, x_t, ends });
  }

  /** Root mean square distance to f* at each noise level. */
  errors() {
    const { levels, points, t, x_t, ends } = this.truth();
    const found = this.f(this.ema, x_t, t, t.length);
    return levels.map((_, l) => {
      let sum = 0;
      for (let i = 2 * l * points; i < 2 * (l + 1) * points; i++) sum += (found[i] - ends[i]) ** 2;
      return Math.sqrt(sum / points);
    });
  }

  /** f of n points of pure noise, in one call. */
  samples(noise, n) {
    return this.f(this.ema, noise.map((z) => HIGH * z), new Float32Array(n).fill(HIGH), n);
  }
}

const overall = (errors) => Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length);
