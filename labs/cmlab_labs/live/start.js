// Brings the figures of a page to life as they come near, where the browser can: without
// WebAssembly they stay hidden, and the recorded figures are there as ever.

const waiting = {}, GIVEN = typeof cmlabGiven === "undefined" ? {} : cmlabGiven;

/** Asks for a network's weights, a script of their own, once: `use(told)` when they are there. */
function network(name, address, use) {
  if (GIVEN[name]) return setTimeout(() => use(GIVEN[name])); // an exported page has them in itself
  const coming = name in waiting;
  waiting[name] = use;
  if (!coming) document.head.append(make("script", { src: address }));
}

const FIGURES = { digits: Digits, path: Path, ring: Ring, map: PlaneMap };

if (!self.document) serve(self);
else {
  self.cmlabNetwork = (name, told) => waiting[name](told);
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(target);
      try {
        target.live = new FIGURES[target.dataset.live](target.querySelector("figure"), target.dataset);
      } catch (error) {
        if (!(error instanceof WebAssembly.CompileError)) throw error; // no SIMD: too old a browser
        target.querySelector("figure").hidden = true;
      }
    }
  }, { rootMargin: "400px" });
  if (self.WebAssembly) document.querySelectorAll(".live").forEach((place) => near.observe(place));
}

self.cmlab = { Chart, Machine, Mixture, MLP, Plane, PlaneMap, Random, Trainer, UNet, denoiser, overall, ring, unpacked }; // for whoever builds on them
