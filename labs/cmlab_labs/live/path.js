// Lab 02: a point x_t that is dragged, the path on which it lies, the mean D and the exact f.

const EDGE = 2.1; // how far x_t can be dragged

class Path extends Figure {
  constructor(figure, place, told) {
    super(figure, told, { x: real(-1.7, -EDGE, EDGE), y: real(0.9, -EDGE, EDGE), level: whole(68, 0, 100) });
    this.editor = new Editor(() => this.changed(), told);
    this.point = [this.state.x, this.state.y]; // x_t
    this.build();
    this.follow(this.canvas);
    this.changed();
  }

  get values() {
    const [x, y] = this.point;
    return { ...this.state, x, y, ...this.editor.values };
  }

  build() {
    this.canvas = make("canvas", { class: "plane", tabindex: 0, role: "application", "aria-label": "The plane of x_t: drag the point, or move it with the arrow keys",
      onpointerdown: (e) => this.grab(e), onpointermove: (e) => this.drag(e),
      onpointerup: () => { this.held = null; }, onpointercancel: () => { this.held = null; }, onkeydown: (e) => this.key(e) });
    this.levels = grid(101);
    this.knob = make("input", { type: "range", min: 0, max: 100, step: 1, value: this.state.level,
      oninput: (e) => { this.state.level = Number(e.target.value); this.changed(); } });
    this.value = make("output");
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    const data = choices("data", Object.keys(DATA), this.editor.data, (name) => this.editor.choose(name));
    this.figure.append(
      make("figcaption", {}, "Drag ", indexed("x", "t"), ": f is where its path ends, D the mean of all data that it may have been."),
      this.canvas,
      make("p", { class: "keys note" },
        ...[[indexed("x", "t"), "ink"], ["path and f", "blue"], ["mean D", "red"], ["data: 1 and 2 standard deviations", "grey"]].map(([words, kind]) => make("span", { class: kind }, words))),
      make("div", { class: "row wide" }, labelled("noise level t", this.knob), this.value),
      make("div", { class: "row" }, data), this.editor.tools, this.reading);
    this.figure.hidden = false;
    this.plane = new Plane(this.canvas, 2.2, "x_t with its path to f (blue) and the mean D of the data (red)");
    this.surfaces = [this.plane];
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
    const [x, y] = this.plane.from(event).map((v) => clamped(v, -EDGE, EDGE));
    if (this.held === this.point) this.point.splice(0, 2, x, y);
    else this.editor.move(this.held, x, y);
    this.changed();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.25 : 0.05;
    way.forEach((v, i) => { this.point[i] = clamped(this.point[i] + far * v, -EDGE, EDGE); });
    this.changed();
  }

  /** The exact answers at x_t. */
  changed() {
    const data = new Mixture(this.editor.parts), [x, y] = this.point, level = this.levels[this.state.level];
    this.way = [];
    this.f = data.flow(x, y, level, LOW, (...at) => this.way.push(at));
    this.mean = data.denoise(x, y, level);
    const words = (v) => v.map((one) => one.toFixed(2)).join(", ");
    const shown = level < 0.1 ? level.toPrecision(2) : level.toFixed(2);
    this.value.textContent = shown;
    this.knob.setAttribute("aria-valuetext", shown);
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.reading.textContent = `x_t = (${words(this.point)}) at t = ${shown}: its path ends at f = (${words(this.f)}); ` +
        `the mean D is at (${words(this.mean)}), ${Math.hypot(this.f[0] - this.mean[0], this.f[1] - this.mean[1]).toFixed(2)} from there.`;
    }, 200);
    this.draw();
  }

  paint() {
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
