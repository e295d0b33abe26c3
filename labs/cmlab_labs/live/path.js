// Lab 02: a point x_t that is dragged, the path on which it lies, the mean D and the exact f.

class Path {
  constructor(figure) {
    this.figure = figure;
    this.point = [-1.7, 0.9]; // x_t
    this.build();
    this.draw = eachFrame(() => this.show());
    document.addEventListener("theme", this.draw);
    new ResizeObserver(this.draw).observe(this.canvas);
    this.changed();
  }

  build() {
    this.canvas = make("canvas", { class: "plane", tabindex: 0, role: "application", "aria-label": "The plane of x_t: drag the point, or move it with the arrow keys",
      onpointerdown: (e) => this.grab(e), onpointermove: (e) => this.drag(e),
      onpointerup: () => { this.held = null; }, onpointercancel: () => { this.held = null; }, onkeydown: (e) => this.key(e) });
    const levels = grid(101);
    this.knob = make("input", { type: "range", min: 0, max: 100, step: 1, value: 68,
      oninput: (e) => { this.level = levels[Number(e.target.value)]; this.changed(); } });
    this.level = levels[68];
    this.value = make("output");
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    const data = choices("data", Object.keys(DATA), "ring", (name) => this.editor.choose(name));
    this.editor = new Editor(() => this.changed());
    this.figure.append(
      make("figcaption", {}, "Drag ", indexed("x", "t"), ": f is where its path ends, D the mean of all data that it may have been."),
      this.canvas,
      make("p", { class: "keys note" },
        ...[[indexed("x", "t"), "ink"], ["path and f", "blue"], ["mean D", "red"], ["data: 1 and 2 standard deviations", "grey"]].map(([words, kind]) => make("span", { class: kind }, words))),
      make("div", { class: "row wide" }, labelled("noise level t", this.knob), this.value),
      make("div", { class: "row" }, data), this.editor.tools, this.reading);
    this.figure.hidden = false;
    this.plane = new Plane(this.canvas, 2.2);
  }

  /** What a pointer takes hold of: a Gaussian of the reader's own, or x_t. */
  grab(event) {
    const [x, y] = this.plane.from(event), near = Math.hypot(this.point[0] - x, this.point[1] - y) < 0.2;
    this.held = (!near && this.editor.near(x, y)) || this.point;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag(event);
  }

  drag(event) {
    if (!this.held) return;
    const [x, y] = this.plane.from(event).map((v) => Math.min(Math.max(v, -2.1), 2.1));
    if (this.held === this.point) this.point.splice(0, 2, x, y);
    else this.editor.move(this.held, x, y);
    this.changed();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.25 : 0.05;
    way.forEach((v, i) => { this.point[i] = Math.min(Math.max(this.point[i] + far * v, -2.1), 2.1); });
    this.changed();
  }

  /** The exact answers at x_t. */
  changed() {
    this.data = new Mixture(this.editor.parts);
    const [x, y] = this.point;
    this.way = [];
    this.f = this.data.flow(x, y, this.level, LOW, (...at) => this.way.push(at));
    this.mean = this.data.denoise(x, y, this.level);
    const words = (v) => v.map((one) => one.toFixed(2)).join(", ");
    const shown = this.level < 0.1 ? this.level.toPrecision(2) : this.level.toFixed(2);
    this.value.textContent = shown;
    this.knob.setAttribute("aria-valuetext", shown);
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.reading.textContent = `x_t = (${words(this.point)}) at t = ${shown}: its path ends at f = (${words(this.f)}); ` +
        `the mean D is at (${words(this.mean)}), ${Math.hypot(this.f[0] - this.mean[0], this.f[1] - this.mean[1]).toFixed(2)} from there.`;
    }, 200);
    this.draw?.();
  }

  show() {
    const { plane } = this, [ink, blue, red] = ["ink", "blue", "red"].map(colour);
    plane.begin();
    this.editor.draw(plane);
    plane.line([this.point, this.mean], red, 1.5, [4, 4]);
    plane.line(this.way, blue, 2.5);
    plane.dot(...this.mean, 5, red);
    plane.dot(...this.f, 6, blue);
    plane.dot(...this.point, 8, colour("card"), ink);
    plane.label(...this.mean, "D", red, "", 9, 18);
    plane.label(...this.f, "f", blue);
    plane.label(...this.point, "x", ink, "t", 12, -10);
  }
}
