// The photographs' figure. The network is lab 16's, most of whose weights have 8 bits here. It answers in a worker,
// since a call takes longer than a frame, and comes once a picture is wanted that is not recorded.

const PHOTOGRAPH = 32;
const THINGS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/** The worker's side: the network, once it has been told, and a picture for each state and class. */
function develop(scope) {
  let network;
  scope.onmessage = ({ data: { told, state, label } }) => {
    if (told) {
      network = { denoise: denoiser(new UNet(unpacked(told.weights), PHOTOGRAPH, told.patch), told.sigmaData), levels: told.levels };
      return;
    }
    const begun = performance.now(), x = pictured(network, state, noiseOf(state, 3 * PHOTOGRAPH ** 2), label);
    scope.postMessage({ x, label, took: performance.now() - begun });
  };
}

class Photographs extends Generated {
  constructor(figure, place, told) {
    super(figure, told, { side: PHOTOGRAPH, colours: 3, key: "class", classes: THINGS, opens: { seed: 7, asked: "automobile" },
      caption: "One call of a network turns this noise into a photograph of 32 × 32 pixels.", wait: "The network is on its way: 2.8 MB." });
    this.wait.hidden = true;
    const strip = figure.parentNode.querySelector("img.recorded");
    if (!strip) this.show();
    else strip.decode().then(() => { this.recorded = { noise: strip.dataset.noise, all: separated(strip) }; }, () => {}).then(() => this.show());
  }

  ask() {
    if (this.recorded?.noise === this.now.noise) {
      this.now.all = this.recorded.all;
      this.got(this.now.all[this.label]);
      this.tell(null, " This picture is recorded: any other is made on your own device.");
      return;
    }
    if (!this.coming) this.begin();
    this.next();
  }

  /** Asks for the network, and hands it to a worker. */
  begin() {
    this.coming = true;
    this.wait.hidden = false;
    this.wait.textContent = this.about.wait;
    network("photographs", "assets/photographs.js", (told) => {
      this.worker = background("photographs");
      this.worker.onmessage = ({ data }) => this.hear(data);
      this.worker.postMessage({ told });
      this.changed = told.changed;
      this.wait.hidden = true;
      this.next();
    }, () => {
      this.coming = false;
      this.wait.textContent = "The network did not arrive. “New noise” asks for it again.";
    });
  }

  /** Asks the worker for what is wanted most, one at a time, so that nothing is made that the hand has passed:
   *  the picture of the class, then those of the others. */
  next() {
    const { now } = this, label = [this.label, ...THINGS.keys()].find((one) => !now.all[one]);
    if (now.all[this.label] && !now.done) this.arrived(now.all[this.label]);
    if (this.busy || !this.worker || label === undefined) return;
    this.busy = now;
    this.worker.postMessage({ state: this.state, label });
  }

  hear({ x, label, took }) {
    const now = this.busy;
    this.busy = null;
    now.all[label] = x;
    now.took = took;
    if (now !== this.now && label === this.label) this.got(x); // the hand has moved on, and more will come
    else this.paint();
    this.next();
  }

  arrived(x) {
    this.now.done = true;
    this.got(x);
    this.tell(this.now.took, ` Most of its weights have 8 bits: with those that were trained, pixels would differ by about ${this.changed.toFixed(3)} (RMS, from -1 to 1).`);
  }
}

/** Photographs that lie side by side in an image: of each, all pixels of a colour after those of the one before. */
function separated(image) {
  const canvas = make("canvas", { width: image.naturalWidth, height: PHOTOGRAPH }), context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return THINGS.map((_, label) => {
    const { data } = context.getImageData(label * PHOTOGRAPH, 0, PHOTOGRAPH, PHOTOGRAPH);
    return Float32Array.from({ length: 3 * PHOTOGRAPH ** 2 }, (_, i) => data[4 * (i % PHOTOGRAPH ** 2) + Math.floor(i / PHOTOGRAPH ** 2)] / 127.5 - 1);
  });
}
