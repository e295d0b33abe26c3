// Front page: noise becomes a digit. The network is the one that lab 00 ships, in float16.

const SIDE = 8, PIXELS = SIDE * SIDE;

/** Spherical interpolation: noise between two noises, as long as noise is. */
function slerp(a, b, share) {
  const length = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0) / length(a) / length(b);
  const angle = Math.acos(Math.min(Math.max(cosine, -1), 1));
  const [from, to] = [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return a.map((x, i) => from * x + to * b[i]);
}

/** Multistep sampling: a call, and before each further call fresh noise of the next level. */
function sampled(denoise, z, levels, label, fresh) {
  let x = denoise(z.map((v) => levels[0] * v), levels[0], label);
  for (const level of levels.slice(1)) {
    const more = fresh.normal(PIXELS);
    x = denoise(x.map((v, i) => v + level * more[i]), level, label);
  }
  return x;
}

class Digits extends Figure {
  constructor(figure, place, told) {
    super(figure, told, { seed: whole(3, 0, 9999), digit: whole(3, 0, 9), calls: oneOf([1, 2, 4]), share: real(0, 0, 1) });
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.build();
    this.show();
    network("digits", "assets/digits.js", (told) => {
      this.denoise = denoiser(new UNet(unpacked(told.weights), SIDE), told.sigmaData);
      this.levels = told.levels;
      this.arrive();
    });
  }

  build() {
    const change = (key, value) => { this.state[key] = value; this.show(); };
    this.noise = new Pixels(make("canvas", { role: "img" }), "noise z");
    this.digit = new Pixels(make("canvas", { role: "img", "aria-label": "The digit, when the network has come" }), "f(80 z, 80)");
    this.surfaces = [this.noise, this.digit];
    this.button = make("button", { type: "button", class: "again", onclick: () => this.again() }, "New noise");
    this.between = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: this.state.share, oninput: (e) => change("share", Number(e.target.value)) });
    this.seed = make("input", { type: "number", min: 0, max: 9999, step: 1, value: this.state.seed, inputmode: "numeric",
      onchange: (e) => { this.state.share = this.between.value = 0; change("seed", whole(0, 0, 9999)(e.target.value)); e.target.value = this.state.seed; } });
    this.thumbs = Array.from({ length: 10 }, () => new Pixels(make("canvas", { "aria-hidden": "true" })));
    const name = `live-${++made}`;
    this.classes = make("fieldset", { class: "digits-classes" }, make("legend", {}, "The same noise, asked for each digit"),
      ...this.thumbs.map(({ canvas }, label) => make("label", {},
        make("input", { type: "radio", name, value: label, checked: label === this.state.digit, onchange: () => { change("digit", label); this.arrive(); } }),
        canvas, make("span", {}, String(label)))));
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    const press = make("button", { type: "button", class: "face", "aria-label": "New noise: draw another", onclick: () => this.again() }, this.noise.canvas);
    this.wait = make("p", { class: "wait note" }, "The network is on its way: 1.1 MB.");
    this.figure.append(
      make("figcaption", {}, "One call of a small network turns this noise into a digit."),
      make("div", { class: "stage" },
        make("div", {}, press, make("p", { class: "under" }, "noise z")),
        make("p", { class: "arrow", "aria-hidden": "true" }, "→"),
        make("div", {}, make("div", { class: "face" }, this.digit.canvas), make("p", { class: "under" }, "f(80 z, 80)"))),
      this.wait, this.classes,
      make("div", { class: "row" }, this.button,
        choices("network calls", [1, 2, 4], this.state.calls, (calls) => { change("calls", calls); this.arrive(); }),
        labelled("seed", this.seed)),
      make("div", { class: "row wide" }, labelled("drag to the next seed's noise", this.between)),
      this.reading);
    this.figure.hidden = false;
  }

  /** Another seed, and its digit. */
  again() {
    this.state.seed = (this.state.seed + 1) % 10000;
    this.state.share = this.between.value = 0;
    this.seed.value = this.state.seed;
    this.arrive();
  }

  /** The noise of the state, between the noises of two seeds. */
  z() {
    const { seed, share } = this.state, first = new Random(seed).normal(PIXELS);
    return share ? slerp(first, new Random(seed + 1).normal(PIXELS), share) : first;
  }

  answer(z, label, calls = this.state.calls) {
    const fresh = new Random(1_000_000 + this.state.seed); // the same in each class, and while dragging
    return sampled(this.denoise, z, this.levels[calls], label, fresh);
  }

  show() {
    const z = this.z(), { seed, share, digit } = this.state;
    const name = share ? `between the noises of seeds ${seed} and ${seed + 1}, ${Math.round(100 * share)} % of the way` : `noise of seed ${seed}`;
    this.noise.canvas.setAttribute("aria-label", `${SIDE} by ${SIDE} pixels: ${name}`);
    this.between.setAttribute("aria-valuetext", name);
    this.now = { z };
    if (this.denoise) {
      this.now.x = this.answer(z, digit);
      this.digit.canvas.setAttribute("aria-label", `A generated digit ${digit}, from ${name}`);
      clearTimeout(this.later);
      this.later = setTimeout(() => this.rest(z, name), share ? 150 : 0);
    }
    this.paint();
  }

  paint() {
    this.noise.paint(this.now.z.map((v) => v / 2.5));
    if (this.now.x) this.digit.paint(this.now.x);
    if (this.now.all) this.thumbs.forEach((thumb, digit) => thumb.paint(this.now.all[digit]));
  }

  /** What can wait until the hand has come to rest: the other classes, and words for the reader. */
  rest(z, name) {
    const { digit, calls } = this.state, begun = performance.now();
    const all = this.thumbs.map((_, label) => this.answer(z, label));
    const took = Math.max((performance.now() - begun) / 10, 0.1).toFixed(1);
    this.reading.textContent = `A ${digit} from the ${name.replace(/^between/, "noise between")}: ${calls} network call${calls > 1 ? "s" : ""}, ${took} ms on your own device.`;
    this.now.all = all;
    this.paint();
  }

  /** The digit comes out of its noise, where motion is welcome: x + σ z with less and less σ. */
  arrive() {
    this.wait.hidden = Boolean(this.denoise);
    this.show();
    if (!this.denoise || this.calm.matches) return;
    const { z, x } = this.now, begun = performance.now(), run = (this.run = {});
    const frame = (now) => {
      const share = Math.min(Math.max((now - begun) / 450, 0), 1), level = 3 * (1 - share) ** 3;
      if (run !== this.run) return;
      this.now.x = x.map((v, i) => (v + level * z[i]) / Math.hypot(1, level / 1.5));
      if (share < 1) requestAnimationFrame(frame);
      this.paint();
    };
    requestAnimationFrame(frame);
  }
}
