// Light or dark: as the system has it, or as the reader chose. Runs before the page is drawn.
(() => {
  const root = document.documentElement;
  const store = (value) => {
    try {
      return value === undefined ? localStorage.getItem("cmlab-theme") : localStorage.setItem("cmlab-theme", value);
    } catch {
      return null; // no storage, as in some private windows: the choice holds for this page
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const kept = store();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  window.cmlabDark = dark;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme") ?? document.createElement("button"); // an embedded figure has none
    const tell = () => {
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
      document.dispatchEvent(new Event("theme"));
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      store(root.dataset.theme);
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  });
})();
