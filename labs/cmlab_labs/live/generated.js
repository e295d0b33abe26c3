// Front page: noise becomes a picture at a click. What the figures of digits and photographs share.

/** Spherical interpolation: noise between two noises, as long as noise is. */
function slerp(a, b, share) {
  const length = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0) / length(a) / length(b);
  const angle = Math.acos(Math.min(Math.max(cosine, -1), 1));
  const [from, to] = [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return a.map((x, i) => from * x + to * b[i]);
}

/** Noise of n numbers, between those of two seeds. */
function noiseOf({ seed, share }, n) {
  const first = new Random(seed).normal(n);
  return share ? slerp(first, new Random(seed + 1).normal(n), share) : first;
}

/** Multistep sampling: a call, and before each further call fresh noise of the next level. */
function sampled(denoise, z, levels, label, fresh) {
  let x = denoise(z.map((v) => levels[0] * v), levels[0], label);
  for (const level of levels.slice(1)) {
    const more = fresh.normal(z.length);
    x = denoise(x.map((v, i) => v + level * more[i]), level, label);
  }
  return x;
}

/** The picture of a state. Fresh noise is the same in each class, and while dragging. */
function pictured({ denoise, levels }, { seed, calls }, z, label) {
  return sampled(denoise, z, levels[calls], label, new Random(1_000_000 + seed));
}

/** Of each subclass: `ask()`, which makes the pictures of `this.now.z` and gives each to `got`. */
class Generated extends Figure {
  /** `about`: side, colours (a pixel's numbers), key of the class in an address, classes, what it `opens` with, caption, wait. */
  constructor(figure, told, about) {
    const { key, classes, opens } = about;
    super(figure, told, { seed: whole(opens.seed, 0, 9999), [key]: oneOf(classes, opens.asked), calls: oneOf([1, 2, 4]), share: real(0, 0, 1) });
    this.about = about;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.build();
  }

  build() {
    const { side, colours, key, classes, caption, wait } = this.about, Picture = colours === 3 ? Photograph : Pixels;
    const change = (key, value, act = () => this.show()) => { this.state[key] = value; act(); };
    this.noise = new Picture(make("canvas", { role: "img", width: side, height: side }), "noise z");
    this.picture = new Picture(make("canvas", { role: "img", width: side, height: side, "aria-label": "The picture, when the network has come" }), "f(80 z, 80)");
    this.surfaces = [this.noise, this.picture];
    this.between = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: this.state.share, oninput: (e) => change("share", Number(e.target.value)) });
    this.seed = make("input", { type: "number", min: 0, max: 9999, step: 1, value: this.state.seed, inputmode: "numeric",
      onchange: (e) => this.sow(whole(0, 0, 9999)(e.target.value), () => this.show()) });
    this.thumbs = classes.map(() => new Picture(make("canvas", { "aria-hidden": "true", width: side, height: side })));
    const name = `live-${++made}`;
    const grid = make("fieldset", { class: `each-class${colours === 3 ? " named" : ""}` }, make("legend", {}, `The same noise, asked for each ${key}`),
      ...this.thumbs.map(({ canvas }, label) => make("label", {},
        make("input", { type: "radio", name, value: classes[label], checked: label === this.label, onchange: () => change(key, classes[label], () => this.arrive()) }),
        canvas, make("span", {}, classes[label]))));
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    const again = () => this.sow((this.state.seed + 1) % 10000, () => this.arrive());
    const press = make("button", { type: "button", class: "face", "aria-label": "New noise: draw another", onclick: again }, this.noise.canvas);
    this.wait = make("p", { class: "wait note", role: "status" }, wait);
    this.figure.append(
      make("figcaption", {}, caption),
      make("div", { class: "stage" },
        make("div", {}, press, make("p", { class: "under" }, "noise z")),
        make("p", { class: "arrow", "aria-hidden": "true" }, "→"),
        make("div", {}, make("div", { class: "face" }, this.picture.canvas), make("p", { class: "under" }, "f(80 z, 80)"))),
      this.wait, grid,
      make("div", { class: "row" }, make("button", { type: "button", class: "again", onclick: again }, "New noise"),
        choices("network calls", [1, 2, 4], this.state.calls, (calls) => change("calls", calls, () => this.arrive())),
        labelled("seed", this.seed)),
      make("div", { class: "row wide" }, labelled("drag to the next seed's noise", this.between)),
      this.reading);
    this.figure.hidden = false;
  }

  /** Which class the state asks for. */
  get label() {
    return this.about.classes.indexOf(this.state[this.about.key]);
  }

  /** Another seed, without a share of the next. */
  sow(seed, act) {
    Object.assign(this.state, { seed, share: 0 });
    this.seed.value = seed;
    this.between.value = 0;
    act();
  }

  show() {
    const { side, colours } = this.about, { seed, share, calls } = this.state, noise = `${seed} ${share} ${calls}`;
    this.name = share ? `between the noises of seeds ${seed} and ${seed + 1}, ${Math.round(100 * share)} % of the way` : `noise of seed ${seed}`;
    this.noise.canvas.setAttribute("aria-label", `${side} by ${side} pixels: ${this.name}`);
    this.between.setAttribute("aria-valuetext", this.name);
    if (this.now?.noise !== noise) this.now = { noise, z: noiseOf(this.state, colours * side ** 2), all: [] }; // `all`: its pictures by class
    Object.assign(this.now, { x: null, done: false });
    this.ask();
    this.paint();
  }

  paint() {
    if (!this.now) return; // a recorded picture is still being read
    const { z, x, all } = this.now;
    this.noise.paint(z.map((v) => v / 2.5));
    if (x) this.picture.paint(x);
    all.forEach((one, label) => this.thumbs[label].paint(one));
  }

  /** The picture is there. After a click it comes out of its noise, where motion is welcome: x + σ z with less and less σ. */
  got(x) {
    this.picture.canvas.setAttribute("aria-label", `A generated ${this.about.key === "class" ? "" : `${this.about.key} `}${this.state[this.about.key]}, from ${this.name}`);
    this.now.x = x;
    const run = (this.run = {}), moves = this.arriving && !this.calm.matches, begun = performance.now(), { z } = this.now;
    this.arriving = false;
    const frame = (now) => {
      const share = moves ? clamped((now - begun) / 450, 0, 1) : 1, level = 3 * (1 - share) ** 3;
      if (run !== this.run) return;
      this.now.x = share < 1 ? x.map((v, i) => (v + level * z[i]) / Math.hypot(1, level / 1.5)) : x;
      if (share < 1) requestAnimationFrame(frame);
      this.paint();
    };
    frame(begun);
  }

  /** Words for the reader: milliseconds of a picture, and what else there is to say. */
  tell(milliseconds, more = "") {
    const { calls } = this.state, what = this.state[this.about.key], a = /^[aeiou8]/.test(what) ? "An" : "A";
    const took = milliseconds === null ? "" : `, ${Math.max(milliseconds, 0.1).toFixed(milliseconds < 10 ? 1 : 0)} ms on your own device`;
    this.reading.textContent = `${a} ${what} from the ${this.name.replace(/^between/, "noise between")}: ${calls} network call${calls > 1 ? "s" : ""}${took}.${more}`;
  }

  arrive() {
    this.arriving = true;
    this.show();
  }
}
