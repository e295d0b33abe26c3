// Brings the figures of a page to life as they come near, where the browser can: without
// WebAssembly they stay hidden, and the recorded figures are there as ever.

const waiting = {}, given = self.cmlabGiven ?? {}; // what an exported page or a notebook has in itself

/** Asks for a network's weights, a script of their own, once: `use(told)` when they are there, `lost()` when they cannot come. */
function network(name, address, use, lost = () => {}) {
  if (given[name]) return setTimeout(() => use(given[name]));
  const coming = name in waiting;
  (waiting[name] ??= []).push(use);
  if (!coming) document.head.append(make("script", { src: address, onerror: () => { delete waiting[name]; lost(); } }));
}

const SERVICES = { ring: serve, photographs: develop }; // what a worker does, by its name

/** A worker that runs this very script, so that a page from a disk can have one. */
const background = (name) => new Worker(URL.createObjectURL(new Blob([`(${cmlabLive})(self)`], { type: "text/javascript" })), { name });

const FIGURES = { digits: Digits, photographs: Photographs, retouch: Retouch, path: Path, ring: Ring, map: PlaneMap, flow: FlowMap };
const OPENED = /^#(\w+)\?(.*)$/; // the end of an address that opens a figure: its kind, and its state

/** Makes the figure of a place, <div class="live"><figure></figure></div>; in too old a browser, without SIMD, what is recorded stays. */
function enliven(place, told = "") {
  if (!self.WebAssembly?.validate(KERNEL)) return;
  place.live = new FIGURES[place.dataset.live](place.querySelector("figure"), place.dataset, new URLSearchParams(told));
  place.querySelector(".fallback")?.remove();
  share(place);
}

/** The place of the figure that the address opens, as it is now: a page of one figure may take any. */
function addressed(places) {
  const [, kind, told] = OPENED.exec(location.hash) ?? [];
  const place = Object.hasOwn(FIGURES, kind ?? "") && places.find(({ dataset }) => kind === (dataset.live ||= kind));
  if (!place) return;
  enliven(place, told);
  if (places.length > 1 || place.offsetTop > innerHeight) place.scrollIntoView();
  return place;
}

/** All figures of a page: the addressed one now, the others as they come near. */
function begin(places) {
  self.cmlabNetwork = (name, told) => waiting[name].splice(0).forEach((use) => use((given[name] = told)));
  if (!places.length) return;
  if (self !== self.top && document.body.className === "alone") document.documentElement.classList.add("framed"); // an exported page, embedded
  addEventListener("hashchange", () => OPENED.test(location.hash) && location.reload());
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(target);
      enliven(target);
    }
  }, { rootMargin: "400px" });
  const opened = addressed(places);
  places.filter((place) => place !== opened && place.dataset.live).forEach((place) => near.observe(place));
}

if (!self.document) SERVICES[self.name](self);
else begin([...document.querySelectorAll(".live")].filter((place) => !place.live)); // a notebook enlivens its own

self.cmlab = { Chart, Machine, Mixture, MLP, Plane, PlaneMap, Random, Trainer, UNet, completed, denoiser, enliven, given, jumped, levelsOf, overall, ring, unpacked }; // for whoever builds on them
