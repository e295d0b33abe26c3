// A mixture of the reader's own: up to twelve Gaussians, dragged to their places. Its f* is exact too.

const MOST = 12;
const DATA = {
  ring,
  "two modes": () => [-0.8, 0.8].map((x) => ({ weight: 1, x, y: 0, std: 0.12 })),
  "your own": () => [[-0.9, 0.5], [0.9, 0.3], [0, -0.9]].map(([x, y]) => ({ weight: 1, x, y, std: 0.15 })),
};

const PLACES = ["x", "y", "std", "weight"]; // of a Gaussian in an address: numbers between "_", Gaussians between "*"
const WITHIN = { x: [-1.5, 1.5], y: [-1.5, 1.5], std: [0.05, 0.6], weight: [0.1, 3] };

/** The Gaussians that an address tells, or null. */
function read(text) {
  const parts = (text || "").split("*").slice(0, MOST).map((one) => one.split("_").map(Number));
  if (!parts.every((one) => one.length === 4 && one.every(Number.isFinite))) return null;
  return parts.map((one) => Object.fromEntries(PLACES.map((key, i) => [key, clamped(one[i], ...WITHIN[key])])));
}

class Editor {
  /** `changed` is called when the mixture is another. */
  constructor(changed, told = new URLSearchParams()) {
    this.changed = changed;
    this.data = oneOf(Object.keys(DATA))(told.get("data"));
    this.parts = (this.data === "your own" && read(told.get("own"))) || DATA[this.data]();
    this.chosen = 0; // the Gaussian that the sliders speak of
    const slider = (key) => make("input", { type: "range", min: WITHIN[key][0], max: WITHIN[key][1], step: 0.01, value: this.parts[0][key],
      oninput: (e) => { this.parts[this.chosen][key] = Number(e.target.value); this.changed(); } });
    this.knobs = Object.fromEntries(PLACES.map((key) => [key, slider(key)]));
    this.tools = make("div", { class: "row own", hidden: this.data !== "your own" },
      make("button", { type: "button", onclick: () => this.add() }, "Add a Gaussian"),
      make("button", { type: "button", onclick: () => this.remove() }, "Remove it"),
      ...Object.entries({ x: "x", y: "y", std: "width", weight: "weight" }).map(([key, words]) => labelled(words, this.knobs[key])));
  }

  /** The mixture as an address tells it. */
  get values() {
    const own = () => this.parts.map((p) => PLACES.map((key) => Number(p[key].toFixed(3))).join("_")).join("*");
    return { data: this.data, own: this.data === "your own" ? own() : null };
  }

  choose(name) {
    this.data = name;
    this.tools.hidden = name !== "your own";
    this.parts = DATA[name]();
    this.take(0);
  }

  add() {
    if (this.parts.length === MOST) return;
    const angle = 2.4 * this.parts.length; // the golden angle: no two at one place
    this.parts.push({ weight: 1, x: 1.2 * Math.cos(angle), y: 1.2 * Math.sin(angle), std: 0.15 });
    this.take(this.parts.length - 1);
  }

  remove() {
    if (this.parts.length > 1) this.parts.splice(this.chosen, 1);
    this.take(Math.min(this.chosen, this.parts.length - 1));
  }

  take(index) {
    this.chosen = index;
    for (const [key, knob] of Object.entries(this.knobs)) knob.value = this.parts[index][key];
    this.changed();
  }

  /** The reader's own Gaussian at a place, if there is one; the sliders speak of it from then on. */
  near(x, y) {
    if (this.tools.hidden) return null;
    const far = this.parts.map((p) => Math.hypot(p.x - x, p.y - y)), least = Math.min(...far);
    if (least > 0.25) return null;
    this.take(far.indexOf(least));
    return this.parts[this.chosen];
  }

  move(part, x, y) {
    Object.assign(part, { x: clamped(x, ...WITHIN.x), y: clamped(y, ...WITHIN.y) });
    this.take(this.parts.indexOf(part));
  }

  /** Each Gaussian as circles of one and two standard deviations. */
  draw(plane) {
    this.parts.forEach((p, i) => {
      const own = !this.tools.hidden && i === this.chosen;
      plane.circle(p.x, p.y, p.std, colour(own ? "link" : "soft"), own ? 2.5 : 1.5);
      plane.circle(p.x, p.y, 2 * p.std, colour("line"), 1);
    });
  }
}
