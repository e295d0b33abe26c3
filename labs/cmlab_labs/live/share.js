// The Share control under each live figure: a link that opens it as it is, a line that embeds it in
// another page, and pictures and films for slides. All of it is made in the page.

const SQUARE = 540, ROOM = 20, FOOT = 34; // of a picture, in pixels of the page: a surface, around it, words below it
const MOST_SECONDS = 60, FRAMES_A_SECOND = 10; // of a film; of numbered frames

/** Width and height of a picture of all surfaces of a figure, in a row. */
const extent = ({ surfaces }) => [surfaces.length * (SQUARE + ROOM) + ROOM, SQUARE + ROOM + FOOT];

/** Paints the surfaces of a figure in a row on another context, `dense` of its pixels to one of ours. */
function composed(live, context, dense) {
  const [width, height] = extent(live), here = (left, top) => context.setTransform(dense, 0, 0, dense, dense * left, dense * top);
  context.save();
  here(0, 0);
  context.fillStyle = colour("card");
  context.fillRect(0, 0, width, height);
  context.save(); // for `begin`, which restores before it clips
  live.surfaces.forEach((surface, i) => surface.lend({ context, size: SQUARE, dense, left: ROOM + i * (SQUARE + ROOM), top: ROOM }));
  try {
    live.paint();
  } finally {
    live.surfaces.forEach((surface) => surface.lend(null));
    context.restore();
  }
  here(0, 0);
  context.fillStyle = colour("soft");
  context.font = "17px system-ui, sans-serif";
  context.textAlign = "center";
  live.surfaces.forEach(({ words }, i) => context.fillText(words, ROOM + i * (SQUARE + ROOM) + SQUARE / 2, height - 12, SQUARE));
  context.restore();
}

/** A canvas with a picture of the figure; `dense` is made such that both sides are even, as films need. */
function canvasOf(live, dense = 2) {
  const [width, height] = extent(live);
  const canvas = make("canvas", { width: dense * width, height: dense * height });
  composed(live, canvas.getContext("2d"), dense);
  return canvas;
}

/** What the surfaces use of a canvas's context, as an SVG drawing. */
class Drawing {
  constructor(width, height) {
    Object.assign(this, { width, height, parts: [], clips: [], kept: [], group: null, ruler: make("canvas").getContext("2d") });
    this.now = { transform: "", clip: "", lineWidth: 1, lineJoin: "miter", globalAlpha: 1, font: "", textAlign: "left", dash: [] };
    for (const key of ["fillStyle", "strokeStyle", "lineWidth", "lineJoin", "globalAlpha", "font", "textAlign"])
      Object.defineProperty(this, key, { get: () => this.now[key], set: (value) => { this.now[key] = value; } });
  }

  save() { this.kept.push({ ...this.now }); }
  restore() { this.now = this.kept.pop() ?? this.now; }
  setTransform(a, b, c, d, x, y) { this.now.transform = `matrix(${[a, b, c, d, x, y].map(shortened)})`; }
  setLineDash(dash) { this.now.dash = dash; }
  beginPath() { this.path = ""; this.round = null; }
  moveTo(x, y) { this.path += `M${shortened(x)} ${shortened(y)}`; }
  lineTo(x, y) { this.path += `L${shortened(x)} ${shortened(y)}`; }
  arc(x, y, radius) { this.round = [x, y, radius].map(shortened); }
  rect(x, y, width, height) { this.path += `M${x} ${y}h${width}v${height}h${-width}z`; }

  clip() {
    this.clips.push(`<clipPath id="clip${this.clips.length}"><path d="${this.path}"/></clipPath>`);
    this.now.clip = ` clip-path="url(#clip${this.clips.length - 1})"`;
  }

  /** An element, in a group of those that have the same place and bounds. */
  put(element) {
    const group = `<g transform="${this.now.transform}"${this.now.clip}>`;
    if (group !== this.group) this.parts.push(this.group ? "</g>" : "", (this.group = group));
    this.parts.push(element);
  }

  shape(paint) {
    const alpha = this.now.globalAlpha < 1 ? ` opacity="${this.now.globalAlpha}"` : "";
    this.put(this.round
      ? `<circle cx="${this.round[0]}" cy="${this.round[1]}" r="${this.round[2]}" ${paint}${alpha}/>`
      : `<path d="${this.path}" ${paint}${alpha}/>`);
  }

  fill() { this.shape(`fill="${this.now.fillStyle}"`); }
  stroke() {
    const { strokeStyle, lineWidth, lineJoin, dash } = this.now;
    this.shape(`fill="none" stroke="${strokeStyle}" stroke-width="${lineWidth}" stroke-linejoin="${lineJoin}"${dash.length ? ` stroke-dasharray="${dash}"` : ""}`);
  }

  fillRect(x, y, width, height) {
    this.put(`<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${this.now.fillStyle}" shape-rendering="crispEdges"/>`);
  }

  words(text, x, y, paint) {
    const anchor = { left: "start", center: "middle", right: "end" }[this.now.textAlign];
    this.put(`<text x="${shortened(x)}" y="${shortened(y)}" text-anchor="${anchor}" style="font: ${this.now.font}" ${paint}>${text.replace(/&/g, "&amp;").replace(/</g, "&lt;")}</text>`);
  }

  fillText(text, x, y) { this.words(text, x, y, `fill="${this.now.fillStyle}"`); }
  strokeText(text, x, y) { this.words(text, x, y, `fill="none" stroke="${this.now.strokeStyle}" stroke-width="${this.now.lineWidth}" stroke-linejoin="round"`); }
  measureText(text) {
    this.ruler.font = this.now.font;
    return this.ruler.measureText(text);
  }

  get text() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}">` +
      `<defs>${this.clips.join("")}</defs>${this.parts.join("\n")}${this.group ? "</g>" : ""}</svg>\n`;
  }
}

const shortened = (v) => Number(v.toFixed(2));

/** A figure as an SVG drawing. */
function drawingOf(live) {
  const drawing = new Drawing(...extent(live));
  composed(live, drawing, 1);
  return drawing.text;
}

const blobOf = (canvas) => new Promise((use) => canvas.toBlob(use, "image/png"));

const FILMS = { "video/mp4;codecs=avc1.42E01F": "mp4", "video/webm": "webm" }; // slides play the first of these more often

/** Films a figure while the reader uses it; `stop()` gives the file and the ending of its name. */
class Film {
  constructor(live) {
    const type = Object.keys(FILMS).find((one) => MediaRecorder.isTypeSupported(one)), canvas = canvasOf(live), parts = [];
    this.recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 6e6 });
    this.recorder.ondataavailable = ({ data }) => parts.push(data);
    this.ended = new Promise((use) => { this.recorder.onstop = () => use([new Blob(parts, { type }), FILMS[type]]); });
    this.recorder.start();
    const frame = () => {
      if (this.recorder.state === "inactive") return;
      composed(live, canvas.getContext("2d"), 2);
      requestAnimationFrame(frame);
    };
    frame();
  }

  stop() {
    this.recorder.stop();
    return this.ended;
  }
}

/** As a film, but single pictures with numbers, in an archive. */
class Frames {
  constructor(live) {
    this.files = [];
    const take = () => this.files.push(blobOf(canvasOf(live)));
    take();
    this.clock = setInterval(take, 1000 / FRAMES_A_SECOND);
  }

  async stop() {
    clearInterval(this.clock);
    const files = (await Promise.all(this.files)).map((blob) => blob.arrayBuffer());
    return [archive((await Promise.all(files)).map((bytes, i) => [`frame-${String(i + 1).padStart(4, "0")}.png`, new Uint8Array(bytes)])), "zip"];
  }
}

/** A zip archive of files [name, bytes], uncompressed: pictures are compressed already. */
function archive(files) {
  const text = new TextEncoder(), bodies = [], directory = [];
  let at = 0, listed = 0;
  for (const [name, bytes] of files) {
    const title = text.encode(name), common = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, checksum(bytes)], [4, bytes.length], [4, bytes.length], [2, title.length], [2, 0]];
    const head = lowFirst([[4, 0x04034b50], ...common]), entry = lowFirst([[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]);
    bodies.push(head, title, bytes);
    directory.push(entry, title);
    at += head.length + title.length + bytes.length;
    listed += entry.length + title.length;
  }
  const end = lowFirst([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, listed], [4, at], [2, 0]]);
  return new Blob([...bodies, ...directory, end], { type: "application/zip" });
}

/** Numbers [bytes, value] one after the other, the lowest byte first. */
const lowFirst = (numbers) => Uint8Array.from(numbers.flatMap(([size, value]) => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 255)));

/** CRC-32. */
function checksum(bytes) {
  checksum.table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  return (bytes.reduce((crc, byte) => checksum.table[(crc ^ byte) & 255] ^ (crc >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;
}

/** Gives a file to the reader. */
function saved(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Adds the control to the figure of a place. Where a place names no page to embed, as in a notebook, there are no addresses. */
function share(place) {
  const { live, dataset: { embed } } = place, name = `cmlab-${live.kind}`;
  const status = make("p", { class: "note", role: "status" }), say = (words) => { status.textContent = words; };
  const button = (words, act) => make("button", { type: "button", onclick: act }, words);
  const buttons = make("div", { class: "row" },
    button("PNG picture", async () => { saved(await blobOf(canvasOf(live)), `${name}.png`); say("Saved as a PNG picture."); }),
    button("SVG picture", () => { saved(new Blob([drawingOf(live)], { type: "image/svg+xml" }), `${name}.svg`); say("Saved as an SVG picture."); }));
  if (self.MediaRecorder && HTMLCanvasElement.prototype.captureStream && Object.keys(FILMS).some((one) => MediaRecorder.isTypeSupported(one)))
    buttons.append(recording("Record a video", Film));
  buttons.append(recording("Record PNG frames", Frames));
  const fields = embed === undefined ? [] : [
    field("link to the figure as it is", () => new URL(live.address, location.href).href),
    field("HTML that embeds it in a page", () => embedding(place)),
  ];
  const tell = () => {
    fields.forEach(({ input, value }) => { input.value = value(); });
    if (fields.length && location.protocol === "file:") say("This page lies on your own disk: its addresses open here alone. Pages on a server have addresses for everybody.");
  };
  const panel = make("details", { class: "share", ontoggle: tell }, make("summary", {}, "Share"), make("div", {}, ...fields.map(({ row }) => row), buttons, status));
  live.figure.append(panel);
  if (fields.length) remember(live, () => panel.open && tell());

  function recording(words, Kind) {
    let film, limit;
    const stop = async () => {
      clearTimeout(limit);
      const [blob, ending] = await film.stop();
      film = null;
      control.textContent = words;
      saved(blob, `${name}.${ending}`);
      say(`Saved as ${name}.${ending}.`);
    };
    const control = button(words, () => {
      if (film) return stop();
      film = new Kind(live);
      limit = setTimeout(stop, 1000 * MOST_SECONDS);
      control.textContent = "Stop and save";
      say(`Recording: use the figure, then stop. It stops by itself after ${MOST_SECONDS} seconds.`);
    });
    return control;
  }

  function field(words, value) {
    const input = make("input", { type: "text", readonly: true, spellcheck: "false", onfocus: () => input.select() });
    const copy = button("Copy", async () => {
      input.select();
      const done = await navigator.clipboard?.writeText(input.value).then(() => true, () => document.execCommand("copy"));
      say(done ? "Copied." : "It is selected: copy it from the keyboard or the menu.");
    });
    copy.setAttribute("aria-label", `Copy the ${words}`);
    return { input, value, row: make("div", { class: "row wide" }, labelled(words, input), copy) };
  }
}

/** The line of HTML that embeds a figure: a frame on a page that has it alone. */
function embedding({ live, dataset: { embed } }) {
  const page = new URL(embed + live.address, location.href), title = live.figure.querySelector("figcaption").textContent;
  const height = Math.ceil(live.figure.offsetHeight - (live.figure.querySelector(".share[open] > div")?.offsetHeight ?? 0)) + 60;
  const quoted = (text) => text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
  return `<iframe src="${quoted(page.href)}" title="${quoted(title)}" style="width: 100%; height: ${height}px; border: 0" loading="lazy"></iframe>`;
}

/** Keeps the state in the page's address, once the reader has changed it; `told()` hears of it. */
function remember(live, told) {
  let written = live.address, later;
  const keep = () => {
    if (live.address === written) return;
    written = live.address;
    try {
      history.replaceState(null, "", written);
    } catch {
      // a page without an address of its own, such as one in a sandbox
    }
    told();
  };
  const soon = () => { clearTimeout(later); later = setTimeout(keep, 300); };
  for (const kind of ["input", "change", "click", "pointerup", "keyup"]) live.figure.addEventListener(kind, soon);
}
