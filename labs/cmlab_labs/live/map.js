// Lab 17: the labs' trained networks. 2,048 points of noise, each in the colour of the mode in which
// its exact path ends, go through a method's map; a right map keeps the colours together.

const SENT = 2048, SLICE = 128; // points, and how many exact ends are solved between two frames
const LAST_LEVEL = 0.8; // of a second call, as the labs' samplers have it
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b87800", "#56a5d8", "#7a5cc0", "#8a8f00"];

const ATLAS = @ATLAS@; // title and address of each method's weights

class PlaneMap extends Figure {
  constructor(figure, { name }, told) {
    const methods = name ? { own: { title: name } } : ATLAS;
    super(figure, told, { method: oneOf(Object.keys(methods)), calls: oneOf([1, 2]), seed: whole(0, 0, 9999) });
    Object.assign(this, { methods, models: {}, net: new MLP(new Machine(32), {}, SENT) });
    this.build();
    this.follow(this.before.canvas);
    this.begin();
  }

  build() {
    const canvas = () => make("canvas", { class: "plane still", role: "img" });
    const [before, after] = [canvas(), canvas()];
    this.before = new Plane(before, 3.2, "noise z");
    this.after = new Plane(after, 1.65, "the network's answers");
    this.surfaces = [this.before, this.after];
    const set = (key) => (value) => { this.state[key] = value; this.ask(); };
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    const named = Object.entries(this.methods).map(([key, { title }]) => [title, key]);
    this.figure.append(
      make("figcaption", {}, "2,048 points of noise through a trained map, each in the colour of the mode in which its exact path ends."),
      make("div", { class: "pair" },
        make("div", {}, before, make("p", { class: "note" }, "noise z")),
        make("div", {}, after, make("p", { class: "note" }, "the network's answers"))),
      make("div", { class: "row" },
        choices("method", named.map(([title]) => title), this.methods[this.state.method].title, (title) => set("method")(named.find(([one]) => one === title)[1])),
        choices("network calls", [1, 2], this.state.calls, set("calls")),
        make("button", { type: "button", class: "go", onclick: () => { this.state.seed = (this.state.seed + 1) % 10000; this.begin(); } }, "New noise")),
      this.reading);
    this.figure.hidden = false;
  }

  /** New noise, and where its exact paths end; solved in slices, so that the page stays awake. */
  async begin() {
    const noise = new Random(this.state.seed).normal(2 * SENT), data = new Mixture(ring()), ends = new Float64Array(2 * SENT), run = (this.run = {});
    for (let from = 0; from < SENT; from += SLICE) {
      for (let i = from; i < from + SLICE; i++) ends.set(data.flow(HIGH * noise[2 * i], HIGH * noise[2 * i + 1], HIGH, LOW), 2 * i);
      await new Promise((next) => setTimeout(next));
      if (run !== this.run) return;
    }
    Object.assign(this, { noise, ends, colours: Array.from({ length: SENT }, (_, i) => HUES[sector(ends, i)]) });
    this.ask();
  }

  /** The weights of the method, once, and then its answers. */
  ask() {
    const { method } = this.state;
    if (this.models[method]) return this.answer();
    network(method, this.methods[method].address, ({ weights, sigmaData, kind }) => {
      this.models[method] = { weights: unpacked(weights), coefficients: preconditioned(kind, sigmaData), p: this.net.parameters() };
      this.answer();
    });
  }

  answer() {
    const model = this.models[this.state.method];
    if (!model || !this.ends) return;
    this.net.load(model.p, model.weights);
    const f = (x, level) => denoised(this.net, model.p, model.coefficients, x, new Float32Array(SENT).fill(level), SENT);
    let x = f(this.noise.map((z) => HIGH * z), HIGH);
    if (this.state.calls === 2) {
      const fresh = new Random(1_000_000 + this.state.seed).normal(2 * SENT);
      x = f(x.map((v, i) => v + LAST_LEVEL * fresh[i]), LAST_LEVEL);
    }
    this.found = x;
    let kept = 0, square = 0;
    for (let i = 0; i < SENT; i++) {
      kept += sector(x, i) === sector(this.ends, i) ? 1 : 0;
      square += (x[2 * i] - this.ends[2 * i]) ** 2 + (x[2 * i + 1] - this.ends[2 * i + 1]) ** 2;
    }
    const title = this.methods[this.state.method].title, share = Math.round((100 * kept) / SENT), far = Math.sqrt(square / SENT).toFixed(3);
    this.reading.textContent = this.state.calls === 1
      ? `${title}, one call: ${share} % of the points arrive nearest to the mode of their exact path, ${far} from its end (root mean square).`
      : `${title}, two calls: fresh noise before the second call may change the mode; ${share} % keep it.`;
    this.draw();
  }

  paint() {
    if (!this.found) return;
    cloud(this.before, this.noise, this.colours, "The noise");
    cloud(this.after, this.found, this.colours, `The answers of ${this.methods[this.state.method].title}`);
  }
}

/** Points in the plane, each in its colour, over the ring's modes. */
function cloud(plane, points, colours, name) {
  plane.begin();
  for (const p of ring()) plane.circle(p.x, p.y, 2 * p.std, colour("soft"), 1);
  plane.context.globalAlpha = 0.8;
  colours.forEach((hue, i) => plane.dot(points[2 * i], points[2 * i + 1], 1.7, hue));
  plane.context.globalAlpha = 1;
  plane.canvas.setAttribute("aria-label", `${name}: ${colours.length} points, coloured by the mode in which each exact path ends`);
}

/** The ring's mode nearest to a point, by its angle. */
function sector(points, i) {
  const angle = Math.atan2(points[2 * i + 1], points[2 * i]) / (2 * Math.PI);
  return (Math.round(8 * angle) + 8) % 8;
}
