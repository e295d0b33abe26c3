// What all live figures have: a state that an address tells, pictures that are painted once a frame.

const clamped = (v, low, high) => Math.min(Math.max(v, low), high);

// How a value is read from an address: text, or null, to a value. What is no such value becomes the first.
const oneOf = (values, first = values[0]) => (text) => values.find((v) => String(v) === text) ?? first;
const real = (first, low, high) => (text) => (text && Number.isFinite(Number(text)) ? clamped(Number(text), low, high) : first);
const whole = (first, low, high) => (text) => Math.round(real(first, low, high)(text));

/** Of each subclass: `surfaces`, and `paint()`, which draws all of them from what is known. */
class Figure {
  /** `told` are URLSearchParams, `fields` the readers of what they may hold. */
  constructor(figure, told, fields) {
    this.figure = figure;
    this.kind = figure.parentNode.dataset.live;
    this.state = Object.fromEntries(Object.entries(fields).map(([key, read]) => [key, read(told.get(key))]));
    this.draw = eachFrame(() => this.paint());
    document.addEventListener("theme", this.draw);
  }

  /** What an address has to tell for this figure to open again as it is now; null is not told. */
  get values() {
    return this.state;
  }

  /** The end of an address that opens this figure as it is now. */
  get address() {
    const short = (v) => (typeof v === "number" && Number.isFinite(v) ? Number(v.toFixed(4)) : v);
    const told = Object.entries(this.values).filter(([, v]) => v !== null).map(([key, v]) => [key, short(v)]);
    return `#${this.kind}?${new URLSearchParams(told)}`;
  }

  /** Draws again whenever the canvas has another size. */
  follow(canvas) {
    new ResizeObserver(this.draw).observe(canvas);
  }
}

/** Runs `act` once before the next frame, however often it is asked for. */
function eachFrame(act) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; act(); });
  };
}
