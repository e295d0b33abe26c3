// Labs 06 and 07: a consistency model learns in the page, in a worker, beside the exact f*.

const CLOUD = 400; // samples that are drawn
const MOVED = 40; // points of the last update that are drawn with their targets

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
      tell();
    }
    if (run !== undefined && run !== running) {
      running = run;
      turn();
    }
  };
}

const RECORDED = @RECORDED@; // the labs' own runs of 4,000 steps: levels, and each method's errors

class Ring {
  constructor(figure, { lab }) {
    this.figure = figure;
    this.asked = { method: lab === "06" ? "CT" : "iCT", steps: 1500, seed: 0 };
    this.ghosts = [];
    this.worker = new Worker(URL.createObjectURL(new Blob([`(${cmlabLive})(self)`], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.build();
    this.draw = eachFrame(() => this.show());
    document.addEventListener("theme", this.draw);
    new ResizeObserver(this.draw).observe(this.canvas);
    this.begin();
  }

  build() {
    this.editor = new Editor(() => {
      this.draw?.();
      clearTimeout(this.later);
      this.later = setTimeout(() => this.begin(), 250); // while a Gaussian is dragged, nothing starts
    });
    this.canvas = make("canvas", { class: "plane", role: "img",
      onpointerdown: (e) => { this.held = this.editor.near(...this.plane.from(e)); if (this.held) this.canvas.setPointerCapture(e.pointerId); },
      onpointermove: (e) => this.held && this.editor.move(this.held, ...this.plane.from(e)),
      onpointerup: () => { this.held = null; }, onpointercancel: () => { this.held = null; } });
    this.errors = make("canvas", { class: "chart", role: "img" });
    this.go = make("button", { type: "button", class: "go", onclick: () => this.toggle() }, "Train");
    this.once = make("button", { type: "button", onclick: () => this.one() }, "One update");
    this.key = make("span", { class: "violet" }, "the lab's recorded run, 4,000 steps");
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "training steps done" });
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.choices = make("div", { class: "row" });
    this.methods = choices("method", Object.keys(RULES), this.asked.method, (method) => this.choose(method));
    this.figure.append(
      make("figcaption", {}, "Train a consistency model here, beside the exact f*: 1,500 steps on 256 points each."),
      make("div", { class: "pair" },
        make("div", {}, this.canvas, make("p", { class: "keys note" },
          ...[[indexed("f", "θ", " of noise, in one call"), "blue"], ["exact f* of the same noise", "green"], ["data", "grey"]].map(([words, kind]) => make("span", { class: kind }, words)))),
        make("div", {}, this.errors, make("p", { class: "keys note" },
          make("span", { class: "blue" }, "this run"), make("span", { class: "grey" }, "your runs before"), this.key))),
      make("div", { class: "row" }, this.go, this.once, make("button", { type: "button", onclick: () => this.begin() }, "Start again"), this.bar),
      make("div", { class: "row" }, this.methods, choices("data", Object.keys(DATA), "ring", (name) => { this.ghosts = []; this.editor.choose(name); })),
      this.choices, this.editor.tools, this.reading);
    this.figure.hidden = false;
    this.plane = new Plane(this.canvas, 1.65);
    this.chart = new Chart(this.errors, [LOW, HIGH], [0.004, 2], "noise level t", "distance of f to f*");
    this.knobs();
  }

  shown(key) {
    return this.asked[key] ?? RULES[this.asked.method][key];
  }

  choose(method) {
    this.asked = { method, steps: this.asked.steps, seed: 0 };
    this.knobs();
    this.begin();
  }

  /** The choices that a method has: a target's decay μ, the metric's c, and how fine the grid grows. */
  knobs() {
    const ects = this.asked.method === "ECT";
    const norms = new Map([["0.0008", RULES.iCT.c], ["0.03", 0.03], ["1", 1], ["∞ (L2)", Infinity]]);
    const c = [...norms.keys()].find((key) => norms.get(key) === this.shown("c"));
    const set = (key) => (value) => { this.asked[key] = value; this.begin(); };
    this.choices.replaceChildren(...(ects ? [] : [
      choices("target's decay μ", [0, 0.9, 0.99, 0.999], this.shown("mu"), set("mu")),
      choices("grid N up to", [10, 40, 150, 1280], this.shown("N"), set("N")),
      choices("metric's c", [...norms.keys()], c, (name) => set("c")(norms.get(name))),
    ]));
  }

  /** A fresh network; the run that was there stays as a ghost. */
  begin() {
    if (!this.plane) return;
    if (this.now?.step > 200) this.ghosts = [...this.ghosts.slice(-3), this.now.errors];
    this.running = false;
    this.worker.postMessage({ run: false, start: { ...this.asked, parts: this.editor.parts.map((p) => ({ ...p })) } });
  }

  /** The lab's own run of the method, which was on the ring. */
  get recorded() {
    return this.editor.data === "ring" && RECORDED[this.asked.method];
  }

  toggle() {
    if (this.now?.step >= this.now?.steps) this.begin();
    this.running = !this.running;
    this.moved = false;
    this.worker.postMessage({ run: this.running });
    this.tell();
  }

  /** One update in slow motion: where the answers were, and what each was pulled towards. */
  one() {
    this.running = false;
    this.moved = true;
    this.worker.postMessage({ run: false });
    this.worker.postMessage({ once: true });
  }

  hear(data) {
    if (data.ends) {
      this.ends = data.ends;
      this.moved = false;
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
    const method = this.asked.method, words = `${method}, step ${step} of ${steps}: distance to f* (RMS over all noise levels) ${total.toFixed(3)}${this.recorded ? " (the ring has radius 1)" : ""}.`;
    this.canvas.setAttribute("aria-label", `${CLOUD} one-call samples of the network in the plane beside the exact ends, at step ${step}`);
    this.errors.setAttribute("aria-label", `Error to the exact f by noise level at step ${step}; over all levels ${total.toFixed(3)}`);
    this.reading.setAttribute("aria-live", this.running ? "off" : "polite"); // a voice cannot keep up
    this.reading.textContent = words + (this.moved ? ` Orange: ${MOVED} answers f(x_t, t) of the last update, each with a line to its target f(x_r, r).` : "");
  }

  show() {
    if (!this.now) return;
    const { plane, chart, now } = this, [blue, green, red] = ["blue", "green", "red"].map(colour);
    plane.begin();
    this.editor.draw(plane);
    const cloud = (points, fill, radius, alpha) => {
      plane.context.globalAlpha = alpha;
      for (let i = 0; i < points.length; i += 2) plane.dot(points[i], points[i + 1], radius, fill);
      plane.context.globalAlpha = 1;
    };
    cloud(this.ends, green, 1.8, 0.55);
    cloud(now.samples, blue, 2.4, 0.8);
    if (this.moved && now.last)
      for (let i = 0; i < MOVED; i++) {
        const [from, to] = [now.last.f_t, now.last.f_r].map((f) => [f[2 * i], f[2 * i + 1]]);
        plane.line([from, to], red, 1.5);
        plane.dot(...from, 3, red);
      }
    chart.begin();
    this.key.hidden = !this.recorded;
    if (this.recorded) chart.curve(RECORDED.levels, this.recorded, colour("violet"), 1.8, [5, 4]);
    for (const errors of this.ghosts) chart.curve(now.levels, errors, colour("soft"), 1.2);
    chart.curve(now.levels, now.errors, blue);
  }
}
