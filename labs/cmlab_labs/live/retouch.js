// Labs 00 and 13: pixels of a digit are erased or drawn, and the model fills in the missing ones, by the
// zero-shot editing of cmlab/methods/editing.py: what is given is put back after each call.

const DESK = { low: 0.1, high: 80, answers: 6 }; // noise levels of the calls, and how many answers: those of lab 13
const SCANS = @SCANS@; // held-out scans of each digit, a character a pixel

/** The noise levels of the calls, falling. */
const levelsOf = (calls) => grid(Math.max(calls, 2), DESK.low, DESK.high).reverse().slice(0, calls);

/** Answers to an image `y` whose `missing` pixels (0 or 1) are to be made: an array a call of arrays an answer. */
function* completed(denoise, y, missing, label, levels, random, answers = DESK.answers) {
  const given = (x) => x.map((v, i) => (missing[i] ? v : y[i]));
  let images = Array.from({ length: answers }, () => given(new Float32Array(y.length)));
  for (const level of levels) {
    const z = random.normal(answers * y.length);
    images = images.map((x, k) => given(denoise(x.map((v, i) => v + level * z[k * y.length + i]), level, label)));
    yield images;
  }
}

const valueOf = (character) => Number.parseInt(character, 17) / 8 - 1;
const TOOLS = { erase: "_", "draw ink": "g", "draw paper": "0" }; // "_" is a missing pixel
const pixelsFrom = (text) => (/^[0-9a-g_]{64}$/.test(text) ? text : null);
const HIDDEN = { "the lower half": (row) => row > 3, "the middle": (row, column) => Math.abs(row - 3.5) < 2 && Math.abs(column - 3.5) < 2, everything: () => true };

/** An image whose missing pixels are crossed out, with a frame around one pixel. */
class Sheet extends Surface {
  paint(pixels, marked) {
    this.begin();
    const c = this.context, unit = this.size / SIDE, [ground, ink] = [colour("pixel-low"), colour("pixel-high")].map(channels);
    [...pixels].forEach((character, i) => {
      const [x, y] = [(i % SIDE) * unit, Math.floor(i / SIDE) * unit], share = (valueOf(character) + 1) / 2;
      c.fillStyle = character === "_" ? colour("glow") : `rgb(${ground.map((from, k) => Math.round(from + share * (ink[k] - from))).join(", ")})`;
      c.fillRect(x, y, unit, unit);
      if (character !== "_") return;
      c.beginPath();
      c.moveTo(x + unit / 3, y + unit / 3);
      c.lineTo(x + (2 * unit) / 3, y + (2 * unit) / 3);
      c.moveTo(x + (2 * unit) / 3, y + unit / 3);
      c.lineTo(x + unit / 3, y + (2 * unit) / 3);
      c.lineWidth = 1.5;
      c.strokeStyle = colour("link");
      c.stroke();
    });
    if (marked === null) return;
    c.beginPath();
    c.rect((marked % SIDE) * unit + 1.5, Math.floor(marked / SIDE) * unit + 1.5, unit - 3, unit - 3);
    c.lineWidth = 3;
    c.strokeStyle = colour("link");
    c.stroke();
  }
}

class Retouch extends Figure {
  constructor(figure, place, told) {
    const of = SCANS[0].length;
    super(figure, told, { digit: whole(5, 0, 9), scan: whole(2, 0, of - 1), calls: oneOf([1, 2, 4, 8, 16], 4), seed: whole(2, 0, 9999), pixels: pixelsFrom });
    Object.assign(this, { tool: "erase", place: 27, marked: null, answers: [] });
    this.state.pixels ??= this.without("the lower half");
    this.build();
    this.follow(this.sheet.canvas);
    this.changed();
    network("digits", "assets/digits.js", (told) => {
      this.denoise = denoiser(new UNet(unpacked(told.weights), SIDE), told.sigmaData);
      this.wait.hidden = true;
      this.changed();
    });
  }

  get scan() {
    return SCANS[this.state.digit][this.state.scan];
  }

  /** The scan with a part of it missing. */
  without(part) {
    return [...this.scan].map((one, i) => (HIDDEN[part](Math.floor(i / SIDE), i % SIDE) ? "_" : one)).join("");
  }

  build() {
    const { state } = this, button = (words, act) => make("button", { type: "button", onclick: act }, words);
    const canvas = make("canvas", { class: "sheet", tabindex: 0, role: "application",
      "aria-label": `The image, ${SIDE} by ${SIDE} pixels: arrow keys choose a pixel, space erases or draws it`,
      onpointerdown: (e) => { canvas.setPointerCapture(e.pointerId); this.held = true; this.touch(e); }, onpointermove: (e) => this.held && this.touch(e),
      onpointerup: () => { this.held = false; }, onpointercancel: () => { this.held = false; },
      onkeydown: (e) => this.key(e), onblur: () => { this.marked = null; this.draw(); } });
    this.sheet = new Sheet(canvas, "given pixels, and missing ones (×)");
    this.faces = Array.from({ length: DESK.answers }, (_, k) => new Pixels(make("canvas", { role: "img", "aria-label": `Answer ${k + 1}` }), `answer ${k + 1}`));
    this.surfaces = [this.sheet, ...this.faces.slice(0, 3)];
    const put = (pixels) => { state.pixels = pixels; this.changed(); };
    this.pointed = make("p", { class: "note pointed", role: "status" });
    this.wait = make("p", { class: "wait note" }, "The network is on its way: 1.1 MB.");
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.figure.append(
      make("figcaption", {}, "Erase or draw pixels: the model fills in the missing ones."),
      make("div", { class: "stage desk" },
        make("div", {}, make("div", { class: "face" }, canvas), this.pointed),
        make("div", { class: "answers" }, ...this.faces.map((one) => make("div", { class: "face" }, one.canvas)))),
      this.wait,
      make("div", { class: "row" },
        choices("tool", Object.keys(TOOLS), this.tool, (tool) => { this.tool = tool; }),
        ...Object.keys(HIDDEN).map((part) => button(`Erase ${part}`, () => put(this.without(part)))),
        button("Restore", () => put(this.scan))),
      make("div", { class: "row" },
        choices("asked for a", [...SCANS.keys()], state.digit, (digit) => { state.digit = digit; this.changed(); }),
        button("A scan of this digit", () => { state.scan = (state.scan + 1) % SCANS[0].length; put(this.without("the lower half")); })),
      make("div", { class: "row" },
        choices("network calls", [1, 2, 4, 8, 16], state.calls, (calls) => { state.calls = calls; this.changed(); }),
        make("button", { type: "button", class: "go", onclick: () => { state.seed = (state.seed + 1) % 10000; this.changed(); } }, "New noise")),
      this.reading);
    this.figure.hidden = false;
  }

  touch(event) {
    const box = this.sheet.canvas.getBoundingClientRect(), at = (v) => Math.floor((SIDE * v) / box.width);
    const [column, row] = [at(event.clientX - box.left), at(event.clientY - box.top)];
    if (Math.min(row, column) >= 0 && Math.max(row, column) < SIDE) this.apply(row * SIDE + column);
  }

  key(event) {
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], " ": [0, 0], Enter: [0, 0] }[event.key];
    if (!way) return;
    event.preventDefault();
    const [row, column] = [Math.floor(this.place / SIDE), this.place % SIDE].map((v, k) => clamped(v + way[k], 0, SIDE - 1));
    this.place = this.marked = row * SIDE + column;
    if (event.key === " " || event.key === "Enter") this.apply(this.place);
    const one = this.state.pixels[this.place];
    this.pointed.textContent = `row ${row + 1}, column ${column + 1}: ${one === "_" ? "missing" : `${Math.round(50 * (valueOf(one) + 1))} % ink`}`;
    this.draw();
  }

  /** The tool on a pixel. */
  apply(i) {
    const { state } = this, next = state.pixels.slice(0, i) + TOOLS[this.tool] + state.pixels.slice(i + 1);
    if (next === state.pixels) return;
    state.pixels = next;
    this.changed();
  }

  /** Draws at once; the answers come when the hand has come to rest, one call of all six after the other. */
  changed() {
    clearTimeout(this.later);
    this.run = {};
    this.later = setTimeout(() => this.complete(this.run), this.held ? 120 : 0);
    this.draw();
  }

  async complete(run) {
    if (!this.denoise) return;
    const { pixels, digit, calls, seed } = this.state, missing = [...pixels].map((one) => Number(one === "_"));
    const y = Float32Array.from(pixels, (one) => (one === "_" ? 0 : valueOf(one))), lost = missing.reduce((a, b) => a + b, 0);
    for (const images of completed(this.denoise, y, missing, digit, levelsOf(calls), new Random(seed))) {
      this.answers = images;
      this.draw();
      await new Promise((next) => setTimeout(next));
      if (run !== this.run) return;
    }
    const spread = y.reduce((sum, _, i) => sum + deviation(this.answers.map((x) => x[i])), 0) / y.length;
    this.reading.textContent = `${lost} of ${y.length} pixels are missing, asked for a ${digit}: ${DESK.answers} answers from ${DESK.answers} noises, ` +
      `${calls} network call${calls > 1 ? "s" : ""} each. Given pixels are kept exactly; spread between the answers, per pixel: ${spread.toFixed(2)}.`;
  }

  paint() {
    this.sheet.paint(this.state.pixels, this.sheet.lent ? null : this.marked);
    this.answers.forEach((x, k) => this.faces[k].paint(x));
  }
}

/** Sample standard deviation. */
function deviation(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
}
