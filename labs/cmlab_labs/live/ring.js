// Labs 06 and 07: a consistency model learns in the page, in a worker, beside the exact f*.

const CLOUD = 400; // samples that are drawn
const FOLLOWED = 24; // points of an update that are drawn in slow motion, at most

// One update in slow motion: what each of its stages shows.
const STAGES = [
  "data x (dots), and with noise of level t: x_t (circles)",
  "the same noise at the lower level r: x_r, on the line from x_t to x",
  "the network's answers f(x_t, t), and its targets f(x_r, r) (orange)",
  "the weights have changed, for all points at once: the answers have moved from the circles to the dots",
];

/** The worker's side: trains in short turns, so that it hears what is asked in between. */
function serve(scope) {
  let trainer, noise, running = false, told = 0;
  const tell = (more = {}) => {
    told = performance.now();
    const errors = trainer.errors(), { step, steps, last } = trainer;
    scope.postMessage({ step, steps, errors, total: overall(errors), levels: trainer.truth().levels, samples: trainer.samples(noise, CLOUD), last, ...more });
  };
  const turn = () => {
    if (!running) return;
    const begun = performance.now();
    while (performance.now() - begun < 30 && trainer.step < trainer.steps) trainer.update();
    if (trainer.step >= trainer.steps) running = false;
    if (!running || performance.now() - told > 200) tell();
    setTimeout(turn);
  };
  scope.onmessage = ({ data: { start, run, once } }) => {
    if (start) {
      trainer = new Trainer(start);
      noise = new Random(2).normal(2 * CLOUD);
      const ends = Float32Array.from({ length: 2 * CLOUD });
      for (let i = 0; i < CLOUD; i++) ends.set(trainer.data.flow(HIGH * noise[2 * i], HIGH * noise[2 * i + 1], HIGH, LOW), 2 * i);
      tell({ ends });
    }
    if (once) {
      trainer.update();
      trainer.last.after = trainer.f(trainer.theta, trainer.last.x_t, trainer.last.t, trainer.batch);
      tell();
    }
    if (run !== undefined && run !== running) {
      running = run;
      turn();
    }
  };
}

const RECORDED = @RECORDED@; // the labs' own runs of 4,000 steps: levels, and each method's errors

const NORMS = new Map([["0.0008", RULES.iCT.c], ["0.03", 0.03], ["1", 1], ["∞ (L2)", Infinity]]); // the metric's c, by name
const DECAYS = [0, 0.9, 0.99, 0.999], GRIDS = [10, 40, 150, 1280];
const STEPS = 1500;

class Ring extends Figure {
  constructor(figure, { lab }, told) {
    const method = oneOf(Object.keys(RULES), lab === "06" ? "CT" : "iCT"), own = (values) => oneOf(values, null); // null: the method's own
    super(figure, told, { method, seed: whole(0, 0, 9999), mu: own(DECAYS), N: own(GRIDS), c: own([...NORMS.keys()]) });
    this.editor = new Editor(() => {
      this.draw();
      clearTimeout(this.later);
      this.later = setTimeout(() => this.begin(), 250); // while a Gaussian is dragged, nothing starts
    }, told);
    this.ghosts = [];
    this.worker = background("ring");
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.build();
    this.follow(this.canvas);
    this.begin();
  }

  get values() {
    return { ...this.state, ...this.editor.values };
  }

  build() {
    this.canvas = make("canvas", { class: "plane", role: "img",
      onpointerdown: (e) => { this.held = this.editor.near(...this.plane.from(e)); if (this.held) this.canvas.setPointerCapture(e.pointerId); },
      onpointermove: (e) => this.held && this.editor.move(this.held, ...this.plane.from(e)),
      onpointerup: () => { this.held = null; }, onpointercancel: () => { this.held = null; } });
    this.errors = make("canvas", { class: "chart", role: "img" });
    this.go = make("button", { type: "button", class: "go", onclick: () => this.toggle() }, "Train");
    this.once = make("button", { type: "button", onclick: () => this.one() });
    this.key = make("span", { class: "violet" }, "the lab's recorded run, 4,000 steps");
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "training steps done" });
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.choices = make("div", { class: "row" });
    this.methods = choices("method", Object.keys(RULES), this.state.method, (method) => this.choose(method));
    this.figure.append(
      make("figcaption", {}, "Train a consistency model here, beside the exact f*: 1,500 steps on 256 points each."),
      make("div", { class: "pair" },
        make("div", {}, this.canvas, make("p", { class: "keys note" },
          ...[[indexed("f", "θ", " of noise, in one call"), "blue"], ["exact f* of the same noise", "green"], ["data", "grey"]].map(([words, kind]) => make("span", { class: kind }, words)))),
        make("div", {}, this.errors, make("p", { class: "keys note" },
          make("span", { class: "blue" }, "this run"), make("span", { class: "grey" }, "your runs before"), this.key))),
      make("div", { class: "row" }, this.go, this.once, make("button", { type: "button", onclick: () => this.begin() }, "Start again"), this.bar),
      make("div", { class: "row" }, this.methods, choices("data", Object.keys(DATA), this.editor.data, (name) => { this.ghosts = []; this.editor.choose(name); })),
      this.choices, this.editor.tools, this.reading);
    this.figure.hidden = false;
    this.plane = new Plane(this.canvas, 1.65, "one call of the network (blue), the exact f* (green)");
    this.chart = new Chart(this.errors, [LOW, HIGH], [0.004, 2], "noise level t", "distance of f to f*", "this run (blue), runs before (grey), the lab's (violet)");
    this.surfaces = [this.plane, this.chart];
    this.knobs();
  }

  /** What the trainer is asked for; what was not chosen is the method's own. */
  get asked() {
    const { method, seed, mu, N, c } = this.state, own = Object.entries({ mu, N, c: c && NORMS.get(c) }).filter(([, v]) => v !== null);
    return { method, seed, steps: STEPS, ...Object.fromEntries(own), parts: this.editor.parts.map((p) => ({ ...p })) };
  }

  choose(method) {
    Object.assign(this.state, { method, mu: null, N: null, c: null });
    this.knobs();
    this.begin();
  }

  /** The choices that a method has: a target's decay μ, the metric's c, and how fine the grid grows. */
  knobs() {
    const rule = RULES[this.state.method], c = [...NORMS.keys()].find((key) => NORMS.get(key) === rule.c);
    const own = { mu: rule.mu, N: rule.N, c };
    const one = (words, values, key) => choices(words, values, this.state[key] ?? own[key], (value) => { this.state[key] = value; this.begin(); });
    this.choices.replaceChildren(...(this.state.method === "ECT" ? [] : [
      one("target's decay μ", DECAYS, "mu"), one("grid N up to", GRIDS, "N"), one("metric's c", [...NORMS.keys()], "c"),
    ]));
  }

  /** A fresh network; the run that was there stays as a ghost. */
  begin() {
    if (this.now?.step > 200) this.ghosts = [...this.ghosts.slice(-3), this.now.errors];
    this.running = false;
    this.worker.postMessage({ run: false, start: this.asked });
  }

  /** The lab's own run of the method, which was on the ring. */
  get recorded() {
    return this.editor.data === "ring" && RECORDED[this.state.method];
  }

  toggle() {
    if (this.now?.step >= this.now?.steps) this.begin();
    this.running = !this.running;
    this.stage = 0;
    this.worker.postMessage({ run: this.running });
    this.tell();
  }

  /** One update in slow motion: a stage of it at each press. */
  one() {
    if (this.stage && this.stage < STAGES.length) {
      this.stage += 1;
      this.tell();
      this.draw();
      return;
    }
    this.running = false;
    this.stage = 1;
    this.worker.postMessage({ run: false });
    this.worker.postMessage({ once: true });
  }

  /** The points of an update that are drawn: the first whose noisy places are in sight. */
  get followed() {
    const { x_t } = this.slow, seen = (v) => Math.abs(v) < this.plane.reach;
    return [...Array(x_t.length / 2).keys()].filter((i) => seen(x_t[2 * i]) && seen(x_t[2 * i + 1])).slice(0, FOLLOWED);
  }

  hear(data) {
    if (data.ends) {
      this.ends = data.ends;
      this.stage = 0;
    }
    this.now = data;
    if (data.step >= data.steps) this.running = false;
    this.tell();
    this.draw();
  }

  tell() {
    const { step, steps, total } = this.now ?? { step: 0, steps: 1, total: 0 };
    this.go.textContent = this.running ? "Pause" : step && step < steps ? "Go on" : "Train";
    this.bar.value = step / steps;
    const { method } = this.state, words = `${method}, step ${step} of ${steps}: distance to f* (RMS over all noise levels) ${total.toFixed(3)}${this.recorded ? " (the ring has radius 1)" : ""}.`;
    this.canvas.setAttribute("aria-label", `${CLOUD} one-call samples of the network in the plane beside the exact ends, at step ${step}`);
    this.errors.setAttribute("aria-label", `Error to the exact f by noise level at step ${step}; over all levels ${total.toFixed(3)}`);
    this.reading.setAttribute("aria-live", this.running ? "off" : "polite"); // a voice cannot keep up
    this.once.textContent = !this.stage ? "One update in slow motion" : this.stage < STAGES.length ? `Next: ${this.stage + 1} of ${STAGES.length}` : "Another update";
    this.reading.textContent = words + (this.slow ? ` ${this.stage} of ${STAGES.length}: ${STAGES[this.stage - 1]}${this.stage === STAGES.length ? this.moved() : ""}.` : "");
  }

  /** The update that is shown in slow motion, once the worker has told it. */
  get slow() {
    return this.stage && this.now?.last?.after ? this.now.last : null;
  }

  /** How far the answers have moved in it. */
  moved() {
    const { f_t, f_r, after } = this.slow, far = (a, b) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / (a.length / 2));
    return `, by ${far(after, f_t).toFixed(3)} (RMS, all 256), where the targets were ${far(f_r, f_t).toFixed(3)} away`;
  }

  paint() {
    if (!this.now) return;
    const { plane, chart, now } = this, [blue, green] = ["blue", "green"].map(colour);
    plane.begin();
    this.editor.draw(plane);
    const dots = (points, fill, radius, alpha) => {
      plane.context.globalAlpha = alpha;
      for (let i = 0; i < points.length; i += 2) plane.dot(points[i], points[i + 1], radius, fill);
      plane.context.globalAlpha = 1;
    };
    dots(this.ends, green, 1.8, this.slow ? 0.2 : 0.55); // in slow motion they step back
    if (this.slow) this.slowly(this.slow);
    else dots(now.samples, blue, 2.4, 0.8);
    chart.begin();
    this.key.hidden = !this.recorded;
    if (this.recorded) chart.curve(RECORDED.levels, this.recorded, colour("violet"), 1.8, [5, 4]);
    for (const errors of this.ghosts) chart.curve(now.levels, errors, colour("soft"), 1.2);
    chart.curve(now.levels, now.errors, blue);
  }

  /** A stage of an update. */
  slowly(last) {
    const { plane, stage } = this, [ink, blue, red, card] = ["ink", "blue", "red", "card"].map(colour);
    for (const i of this.followed) {
      const [x, x_t, x_r, f_t, f_r, after] = ["x", "x_t", "x_r", "f_t", "f_r", "after"].map((key) => [last[key][2 * i], last[key][2 * i + 1]]);
      if (stage < 3) {
        plane.line([x, x_t], colour("soft"), 1.2);
        plane.dot(...x, 3, ink);
        plane.dot(...x_t, 4.5, card, ink);
        if (stage === 2) plane.dot(...x_r, 3.5, red);
      } else {
        plane.line([f_t, f_r], red, 1.5);
        plane.dot(...f_r, 3, red);
        plane.dot(...f_t, 4.5, card, blue);
        if (stage === 4) {
          plane.line([f_t, after], blue, 2.5);
          plane.dot(...after, 3.5, blue);
        }
      }
    }
  }
}
