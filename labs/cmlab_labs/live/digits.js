// The digits' figure. The network is the one that lab 00 ships, in float16; it answers between two frames.

const SIDE = 8;

class Digits extends Generated {
  constructor(figure, place, told) {
    super(figure, told, { side: SIDE, colours: 1, key: "digit", classes: [..."0123456789"], opens: { seed: 3, asked: "3" },
      caption: "One call of a small network turns this noise into a digit.", wait: "The network is on its way: 0.8 MB." });
    this.show();
    network("digits", "assets/digits.js", ({ weights, sigmaData, levels }) => {
      this.network = { denoise: denoiser(new UNet(unpacked(weights), SIDE), sigmaData), levels };
      this.wait.hidden = true;
      this.arrive();
    });
  }

  ask() {
    if (!this.network) return;
    this.got(pictured(this.network, this.state, this.now.z, this.label));
    clearTimeout(this.later);
    this.later = setTimeout(() => this.rest(this.now), this.state.share ? 150 : 0);
  }

  /** What can wait until the hand has come to rest: the other classes, and words for the reader. */
  rest(now) {
    const begun = performance.now();
    now.all = this.thumbs.map((_, label) => pictured(this.network, this.state, now.z, label));
    this.tell((performance.now() - begun) / 10);
    this.paint();
  }
}
