// Brings the figures of a page to life as they come near, where the browser can: without
// WebAssembly they stay hidden, and the recorded figures are there as ever.

const waiting = {}, given = self.cmlabGiven ?? {}; // what an exported page or a notebook has in itself

/** Asks for a network's weights, a script of their own, once: `use(told)` when they are there. */
function network(name, address, use) {
  if (given[name]) return setTimeout(() => use(given[name]));
  const coming = name in waiting;
  waiting[name] = use;
  if (!coming) document.head.append(make("script", { src: address }));
}

const FIGURES = { digits: Digits, path: Path, ring: Ring, map: PlaneMap };

/** Makes the figure of a place, <div class="live"><figure></figure></div>. */
function enliven(place) {
  const figure = place.querySelector("figure");
  try {
    place.live = new FIGURES[place.dataset.live](figure, place.dataset);
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error; // no SIMD: too old a browser
    figure.hidden = true;
  }
}

if (!self.document) serve(self);
else {
  self.cmlabNetwork = (name, told) => waiting[name](told);
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(target);
      enliven(target);
    }
  }, { rootMargin: "400px" });
  if (self.WebAssembly) document.querySelectorAll(".live").forEach((place) => near.observe(place));
}

self.cmlab = { Chart, Machine, Mixture, MLP, Plane, PlaneMap, Random, Trainer, UNet, denoiser, enliven, given, overall, ring, unpacked }; // for whoever builds on them
