// Lab 18: trained flow maps. 2,048 points on exact paths, pushed by a network from their places at
// time t to those at time s. Times are those of rectified flow, 0 the data and 1 the noise.

const MOMENTS = 40; // a slider's positions between 0 and 1: at each of them the exact paths are known
const FAR = 1e4; // the noise level that stands for t = 1, where it is infinite

const FLOWS = @FLOWS@; // title and address of each method's weights

/** The velocity parametrisation of rectified flow, D = x - t F. */
const velocityForm = (t) => [1, -t, 1, t];

/** A flow map's jump from t to s, in one call of a network that is told t and t - s: x - (t - s) F. */
function jumped(net, p, x, t, s, n) {
  const told = Float32Array.from({ length: 2 * n }, (_, i) => (i % 2 ? t - s : t));
  const F = net.forward(p, x, told, n);
  return Float32Array.from({ length: 2 * n }, (_, i) => x[i] - (t - s) * F[8 * (i >> 1) + (i & 1)]);
}

/** The exact paths of points of noise: their places at each moment, in rectified flow. */
class Paths {
  constructor(noise, n) {
    Object.assign(this, { noise, n, data: new Mixture(ring()), at: Array.from({ length: MOMENTS + 1 }, () => new Float32Array(2 * n)) });
  }

  /** Solves the path of point i from the noise down to the data. */
  solve(i) {
    let level = FAR, [x, y] = [level * this.noise[2 * i], level * this.noise[2 * i + 1]];
    for (let k = MOMENTS; k >= 0; k--) {
      const t = k / MOMENTS, next = k === MOMENTS ? FAR : Math.max(t / (1 - t), LOW);
      [x, y] = this.data.flow(x, y, level, next);
      level = next;
      this.at[k].set([x / (1 + level), y / (1 + level)], 2 * i);
    }
  }
}

class FlowMap extends Figure {
  constructor(figure, place, told) {
    super(figure, told, { method: oneOf(Object.keys(FLOWS)), from: whole(MOMENTS, 1, MOMENTS), to: whole(0, 0, MOMENTS), jumps: oneOf([1, 2, 4]), seed: whole(0, 0, 9999) });
    Object.assign(this, { models: {}, net: new MLP(new Machine(32), {}, SENT) });
    this.build();
    this.follow(this.before.canvas);
    this.begin();
  }

  build() {
    const canvas = () => make("canvas", { class: "plane still", role: "img" });
    this.before = new Plane(canvas(), 2.6, "points at time t");
    this.after = new Plane(canvas(), 2.6, "where the network sends them, time s");
    this.surfaces = [this.before, this.after];
    const { method, jumps } = this.state, titles = Object.fromEntries(Object.entries(FLOWS).map(([key, { title }]) => [title, key]));
    const time = (key) => make("input", { type: "range", min: 0, max: MOMENTS, step: 1, value: this.state[key], oninput: (e) => this.move(key, Number(e.target.value)) });
    this.knobs = { from: time("from"), to: time("to") };
    this.times = { from: make("output"), to: make("output") };
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.figure.append(
      make("figcaption", {}, "2,048 points pushed by a trained flow map from time t to time s, each in the colour of the mode in which its exact path ends."),
      make("div", { class: "pair" },
        make("div", {}, this.before.canvas, make("p", { class: "note" }, indexed("x", "t", ", on exact paths; circles: the modes of the data"))),
        make("div", {}, this.after.canvas, make("p", { class: "note" }, "the network's X(", indexed("x", "t"), ", t → s)"))),
      make("div", { class: "row wide" }, labelled("start t", this.knobs.from), this.times.from),
      make("div", { class: "row wide" }, labelled("end s", this.knobs.to), this.times.to),
      make("div", { class: "row" },
        choices("trained by", Object.keys(titles), FLOWS[method].title, (title) => { this.state.method = titles[title]; this.ask(); }),
        choices("jumps on the way", [1, 2, 4], jumps, (count) => { this.state.jumps = count; this.ask(); }),
        make("button", { type: "button", class: "go", onclick: () => { this.state.seed = (this.state.seed + 1) % 10000; this.begin(); } }, "New points")),
      this.reading);
    this.figure.hidden = false;
    this.move("from", this.state.from);
  }

  /** Another start or end; the end comes no later than the start, so one may push the other. */
  move(key, moment) {
    const { state } = this, other = key === "from" ? "to" : "from";
    state[key] = Math.max(moment, key === "from" ? 1 : 0);
    state[other] = Math[key === "from" ? "min" : "max"](state[other], state[key]);
    for (const [name, knob] of Object.entries(this.knobs)) {
      const t = (state[name] / MOMENTS).toFixed(3);
      knob.value = state[name];
      knob.setAttribute("aria-valuetext", t);
      this.times[name].textContent = t;
    }
    this.ask();
  }

  /** Other points, and their exact paths; solved in slices, so that the page stays awake. */
  async begin() {
    const paths = new Paths(new Random(this.state.seed).normal(2 * SENT), SENT), run = (this.run = {});
    for (let i = 0; i < SENT; i++) {
      paths.solve(i);
      if (i % 64 === 63) await new Promise((next) => setTimeout(next));
      if (run !== this.run) return;
    }
    const { at: [ends] } = paths;
    Object.assign(this, { paths, colours: Array.from({ length: SENT }, (_, i) => HUES[sector(ends, i)]) });
    this.ask();
  }

  /** The weights of the method, once, and then its jumps. */
  ask() {
    const { method } = this.state;
    if (this.models[method]) return this.answer();
    network(method, FLOWS[method].address, ({ weights }) => {
      this.models[method] = { weights: unpacked(weights), p: this.net.parameters() };
      this.answer();
    });
  }

  answer() {
    const { method, from, to, jumps } = this.state, model = this.models[method];
    if (!model || !this.paths) return;
    this.net.load(model.p, model.weights);
    const moment = (k) => Math.min(k / MOMENTS, FAR / (1 + FAR)), [t, s] = [moment(from), moment(to)];
    let x = this.paths.at[from];
    for (let k = 0; k < jumps; k++) x = jumped(this.net, model.p, x, t + ((s - t) * k) / jumps, t + ((s - t) * (k + 1)) / jumps, SENT);
    this.found = x;
    const exact = this.paths.at[to], square = x.reduce((sum, v, i) => sum + (v - exact[i]) ** 2, 0);
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.reading.textContent = `${FLOWS[method].title}, from t = ${t.toFixed(3)} to s = ${s.toFixed(3)} in ${jumps} jump${jumps > 1 ? "s" : ""}: ` +
        `${Math.sqrt(square / SENT).toFixed(3)} from the exact places at time s (root mean square; the ring has radius 1).`;
    }, 200);
    this.draw();
  }

  paint() {
    if (!this.found) return;
    const { from, to } = this.state;
    cloud(this.before, this.paths.at[from], this.colours, `Points at time t = ${from / MOMENTS}`);
    cloud(this.after, this.found, this.colours, `Where the network sends them, time s = ${to / MOMENTS}`);
  }
}
