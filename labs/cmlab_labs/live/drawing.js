// What the figures share: elements, canvases in the page's own colours, and points in the plane.

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

let made = 0;

/** A letter with an index, as in x_t; `words` go on after it. */
const indexed = (letter, index, words = "") => make("span", {}, letter, make("sub", {}, index), words);

/** A label and a control that belongs to it. */
function labelled(words, control) {
  control.id = control.id || `live-${++made}`;
  return make("span", { class: "knob" }, make("label", { for: control.id }, words), control);
}

/** Radio buttons in a row; `pick(value)` hears of a choice. */
function choices(words, values, chosen, pick, name = `live-${++made}`) {
  const one = (value) => make("label", {},
    make("input", { type: "radio", name, value, checked: String(value) === String(chosen), onchange: () => pick(value) }),
    make("span", {}, String(value)));
  return make("fieldset", { class: "choices" }, make("legend", {}, words), ...values.map(one));
}

const colours = new Map(); // by name, until the reader turns light into dark
if (self.document) document.addEventListener("theme", () => colours.clear());

/** A colour of the style sheet as it is now, "rgb(…)". */
function colour(name) {
  if (!colours.has(name)) colours.set(name, computed(name));
  return colours.get(name);
}

function computed(name) {
  const probe = make("i", { style: `color: var(--${name})` });
  (document.querySelector(".live") ?? document.body).append(probe); // in a notebook, colours are theirs alone
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const channels = (rgb) => rgb.match(/[\d.]+/g).slice(0, 3).map(Number);

/** Something to draw on: its own canvas, or for a while a place in a picture that is carried away. */
class Surface {
  constructor(canvas, words = "") {
    Object.assign(this, { canvas, words, context: canvas.getContext("2d"), lent: null });
  }

  /** Draws into a square of another context, `dense` of its pixels to one of ours; null: here again. */
  lend(lent) {
    this.lent = lent;
    this.context = lent ? lent.context : this.canvas.getContext("2d");
  }

  /** Clears it, and fits it to its place. */
  begin(size = this.canvas.clientWidth, dense = window.devicePixelRatio || 1) {
    const c = this.context;
    if (this.lent) {
      c.restore();
      c.save();
      c.setTransform(this.lent.dense, 0, 0, this.lent.dense, this.lent.dense * this.lent.left, this.lent.dense * this.lent.top);
      c.beginPath();
      c.rect(0, 0, this.lent.size, this.lent.size);
      c.clip();
    } else {
      const width = Math.round(size * dense);
      if (this.canvas.width !== width) this.canvas.width = this.canvas.height = width;
      c.setTransform(dense, 0, 0, dense, 0, 0);
      c.clearRect(0, 0, size, size);
    }
    this.size = this.lent?.size ?? size;
  }
}

/** An image of side² values, -1 as the ground and 1 as ink. */
class Pixels extends Surface {
  paint(values, side = Math.sqrt(values.length)) {
    this.begin(side, 1);
    const [ground, ink] = [colour("pixel-low"), colour("pixel-high")].map(channels), unit = this.size / side;
    values.forEach((v, i) => {
      const share = clamped((v + 1) / 2, 0, 1);
      this.context.fillStyle = `rgb(${ground.map((from, k) => Math.round(from + share * (ink[k] - from))).join(", ")})`;
      this.context.fillRect((i % side) * unit, Math.floor(i / side) * unit, unit, unit);
    });
  }
}

/** An image of three colours, all pixels of one after those of the one before, from -1 to 1. */
class Photograph extends Surface {
  paint(values) {
    const n = values.length / 3, side = Math.sqrt(n);
    this.begin(side, 1);
    const byte = (v) => Math.round(127.5 * (clamped(v, -1, 1) + 1));
    if (!this.lent) {
      const image = this.context.createImageData(side, side);
      for (let i = 0; i < n; i++) image.data.set([byte(values[i]), byte(values[n + i]), byte(values[2 * n + i]), 255], 4 * i);
      return this.context.putImageData(image, 0, 0);
    }
    const unit = this.size / side;
    for (let i = 0; i < n; i++) {
      this.context.fillStyle = `rgb(${byte(values[i])}, ${byte(values[n + i])}, ${byte(values[2 * n + i])})`;
      this.context.fillRect((i % side) * unit, Math.floor(i / side) * unit, unit, unit);
    }
  }
}

/** The plane on a canvas: a square from -reach to reach, drawn sharply at the screen's own pixels. */
class Plane extends Surface {
  constructor(canvas, reach, words) {
    super(canvas, words);
    this.reach = reach;
  }

  begin() {
    super.begin();
    this.unit = this.size / (2 * this.reach);
  }

  at(x, y) {
    return [this.size / 2 + x * this.unit, this.size / 2 - y * this.unit];
  }

  /** Where in the plane a pointer is. */
  from(event) {
    const box = this.canvas.getBoundingClientRect(), unit = box.width / (2 * this.reach);
    return [(event.clientX - box.left - box.width / 2) / unit, (box.height / 2 - event.clientY + box.top) / unit];
  }

  dot(x, y, radius, fill, edge) {
    const c = this.context;
    c.beginPath();
    c.arc(...this.at(x, y), radius, 0, 2 * Math.PI);
    c.fillStyle = fill;
    c.fill();
    if (edge) {
      c.lineWidth = 2;
      c.strokeStyle = edge;
      c.stroke();
    }
  }

  /** A circle in units of the plane. */
  circle(x, y, radius, stroke, width = 1) {
    const c = this.context;
    c.beginPath();
    c.arc(...this.at(x, y), radius * this.unit, 0, 2 * Math.PI);
    c.lineWidth = width;
    c.strokeStyle = stroke;
    c.stroke();
  }

  line(points, stroke, width = 2, dash = []) {
    const c = this.context;
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(...this.at(x, y)) : c.moveTo(...this.at(x, y))));
    c.setLineDash(dash);
    c.lineWidth = width;
    c.lineJoin = "round";
    c.strokeStyle = stroke;
    c.stroke();
    c.setLineDash([]);
  }

  /** A letter beside a point, with its index. */
  label(x, y, letter, fill, index = "", dx = 10, dy = -9) {
    const c = this.context, [left, top] = this.at(x, y);
    c.lineWidth = 4;
    c.lineJoin = "round";
    c.strokeStyle = colour("card");
    c.fillStyle = fill;
    let at = left + dx > this.size - 26 ? left - dx - 16 : left + dx;
    for (const [words, size, low] of [[letter, 16, 0], [index, 11, 4]]) {
      c.font = `italic 600 ${size}px Georgia, serif`;
      c.strokeText(words, at, Math.max(top + dy, 16) + low);
      c.fillText(words, at, Math.max(top + dy, 16) + low);
      at += c.measureText(words).width;
    }
  }
}

/** Curves over the noise level, both axes logarithmic. */
class Chart extends Surface {
  constructor(canvas, [left, right], [low, high], across, up, words) {
    super(canvas, words);
    Object.assign(this, { left, right, low, high, across, up });
  }

  at(x, y) {
    const share = (v, from, to) => (Math.log(v) - Math.log(from)) / (Math.log(to) - Math.log(from));
    const inner = [this.size - 58, this.size - 56];
    return [48 + inner[0] * share(x, this.left, this.right), 12 + inner[1] * (1 - share(y, this.low, this.high))];
  }

  begin() {
    super.begin();
    const c = this.context, size = this.size;
    c.font = "13px system-ui, sans-serif";
    c.fillStyle = colour("soft");
    c.strokeStyle = colour("line");
    c.lineWidth = 1;
    const ticks = (from, to) => [0.01, 0.1, 1, 10].filter((v) => v >= from && v <= to);
    const stroke = (...ends) => { c.beginPath(); ends.forEach((end, i) => (i ? c.lineTo(...end) : c.moveTo(...end))); c.stroke(); };
    c.textAlign = "center";
    for (const v of ticks(this.left, this.right)) {
      stroke(this.at(v, this.low), this.at(v, this.high));
      c.fillText(String(v), this.at(v, this.low)[0], size - 26);
    }
    c.fillText(this.across, 48 + (size - 58) / 2, size - 7);
    c.textAlign = "right";
    for (const v of ticks(this.low, this.high)) {
      stroke(this.at(this.left, v), this.at(this.right, v));
      c.fillText(String(v), 42, this.at(1, v)[1] + 4);
    }
    c.textAlign = "left";
    c.fillText(this.up, 54, 24);
  }

  curve(xs, ys, stroke, width = 2.5, dash = []) {
    const c = this.context, [left, bottom] = this.at(this.left, this.low), [right, top] = this.at(this.right, this.high);
    c.save();
    c.beginPath();
    c.rect(left, top, right - left, bottom - top);
    c.clip();
    c.beginPath();
    xs.forEach((x, i) => {
      const at = this.at(x, Math.max(ys[i], this.low / 10)); // an error of 0 has no logarithm
      if (i) c.lineTo(...at);
      else c.moveTo(...at);
    });
    c.setLineDash(dash);
    c.lineWidth = width;
    c.lineJoin = "round";
    c.strokeStyle = stroke;
    c.stroke();
    c.restore();
  }
}
