// Moving figures: plotly draws, the browser's own slider and buttons drive.
(() => {
  const CALM = matchMedia("(prefers-reduced-motion: reduce)");
  const NARROW = 620; // below it, in pixels, panels stand one under the other
  const PACE = 130; // milliseconds a frame

  // On dark ground: the same hues, light enough to be seen.
  const DARK = {
    "#1f2023": "#e4e2dc", "#000000": "#f2f0ea", "#4d4d4d": "#b9b9b9", "#999999": "#8d8d8d",
    "#8a8a8a": "#7d7f83", "#e3e3e3": "#30343a", "#0072b2": "#4fb0ec", "#d55e00": "#ff8d45",
    "#009e73": "#2fc79b", "#00704f": "#2fc79b", "#cc79a7": "#e59cc4", "#a0487b": "#e59cc4",
    "#8a5c00": "#e6b450", "#b87800": "#e0a234", "#1f6f9c": "#7fc4ee", "#bcbcbc": "#565a60",
  };
  const painted = (value, dark) => {
    if (Array.isArray(value)) return value.map((one) => painted(one, dark));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, painted(one, dark)]));
    }
    return dark && typeof value === "string" ? DARK[value.toLowerCase()] || value : value;
  };

  const merged = (base, patch) => {
    const out = { ...base };
    for (const [key, value] of Object.entries(patch)) {
      const both = value && typeof value === "object" && !Array.isArray(value) && base[key];
      out[key] = both ? merged(base[key], value) : value;
    }
    return out;
  };

  // Panels in a row become panels in a column. A square panel is as high as it is wide.
  const stacked = (layout, width) => {
    const names = Object.keys(layout).filter((key) => key.startsWith("xaxis")).sort();
    const out = { ...layout };
    const one = Math.min(width - 74, 420), head = 44;
    const feet = names.map((x) => (layout[x].visible === false ? 8 : 62));
    const span = (axis) => axis.range[1] - axis.range[0];
    const heights = names.map((x) => {
      const across = layout[x], up = layout[x.replace("x", "y")];
      return up.scaleanchor ? one * Math.min(span(up) / span(across), 1.2) : across.visible === false ? one * 0.9 : 250;
    });
    const room = names.map((_, k) => heights[k] + (k < names.length - 1 ? head + feet[k] : 0));
    const total = room.reduce((sum, h) => sum + h, 0);
    let top = total;
    names.forEach((x, k) => {
      const y = x.replace("xaxis", "yaxis");
      out[x] = { ...layout[x], domain: [0, 1] };
      out[y] = { ...layout[y], domain: [Math.max((top - heights[k]) / total, 0), top / total] };
      top -= room[k];
    });
    out.annotations = layout.annotations.map((title) => ({ ...title, xshift: -46, font: { ...title.font, size: 13 } }));
    out.height = total + layout.margin.t + layout.margin.b;
    return out;
  };

  class Stage {
    constructor(figure) {
      this.figure = figure;
      this.box = figure.querySelector(".plot");
      const told = JSON.parse(figure.querySelector("script").textContent);
      Object.assign(this, told);
      this.now = Number(figure.dataset.start);
      this.knob = figure.querySelector("input");
      this.shown = figure.querySelector("output");
      this.reading = figure.querySelector(".reading");
      this.button = figure.querySelector(".play");
      figure.querySelector(".still").hidden = true;
      figure.querySelector(".controls").hidden = false;
      this.knob.addEventListener("input", () => { this.stop(); this.go(Number(this.knob.value)); });
      figure.querySelector(".back").addEventListener("click", () => { this.stop(); this.go(this.now - 1); });
      figure.querySelector(".on").addEventListener("click", () => { this.stop(); this.go(this.now + 1); });
      this.button.addEventListener("click", () => (this.timer ? this.stop() : this.play()));
      document.addEventListener("theme", () => this.draw());
      new ResizeObserver(() => { if (this.box.clientWidth !== this.width) this.draw(); }).observe(this.box);
      this.go(this.now);
    }

    go(frame) {
      this.now = Math.min(Math.max(frame, 0), this.values.length - 1);
      this.knob.value = this.now;
      this.knob.setAttribute("aria-valuetext", this.values[this.now]);
      this.shown.textContent = this.values[this.now];
      if (this.reading.textContent !== this.readings[this.now]) this.reading.textContent = this.readings[this.now];
      this.draw();
    }

    draw() {
      const dark = window.cmlabDark();
      const frame = this.frames[this.now];
      const data = this.data.slice();
      frame.traces.forEach((place, k) => { data[place] = merged(data[place], frame.data[k]); });
      this.width = this.box.clientWidth;
      let layout = { ...merged(this.layout, frame.layout || {}), width: this.width };
      layout = this.width < NARROW ? stacked(layout, this.width) : layout;
      const config = { displayModeBar: false, staticPlot: true, responsive: false };
      Plotly.react(this.box, painted(data, dark), painted(layout, dark), config);
    }

    play() {
      if (this.now === this.values.length - 1) this.go(0);
      this.button.textContent = "❚❚";
      this.button.setAttribute("aria-label", "Pause");
      this.reading.setAttribute("aria-live", "off"); // a voice cannot keep up; it speaks at the end
      const slow = this.values.length < 15 ? 5 : 1;
      this.timer = setInterval(() => {
        if (this.now >= this.values.length - 1) this.stop();
        else this.go(this.now + 1);
      }, PACE * slow);
    }

    stop() {
      clearInterval(this.timer);
      this.timer = null;
      this.button.textContent = "▶";
      this.button.setAttribute("aria-label", "Play");
      this.reading.setAttribute("aria-live", "polite");
    }
  }

  // Plotly is most of what a page weighs, so it comes with the first figure that is drawn.
  let coming = null;
  const plotly = () => (coming ||= new Promise((come) => {
    const script = document.createElement("script");
    script.src = "assets/plotly.min.js";
    script.onload = come;
    document.head.append(script);
  }));

  // A figure is drawn when it comes near; one marked `data-auto` runs once, where motion is welcome.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(entry.target);
      plotly().then(() => {
        const stage = new Stage(entry.target);
        entry.target.stage = stage;
        if ("auto" in entry.target.dataset && !CALM.matches) setTimeout(() => stage.play(), 900);
      });
    }
  }, { rootMargin: "500px" });
  document.querySelectorAll("figure.moving").forEach((figure) => near.observe(figure));
})();
