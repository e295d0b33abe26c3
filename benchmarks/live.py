"""Live figures: processor time of their networks in Chromium, and how long the page is blocked.

    python benchmarks/live.py

It needs Chromium. Times are those of the page's own thread, so a busy machine adds little; the
longest pause of the page, while a worker trains, is on the clock, and a busy machine adds to it.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser.harness import FLAGS, chromium  # noqa: E402
from cmlab_labs.live.page import live_figure, live_scripts  # noqa: E402

IMAGE = """async ([name, side, colours]) => {
    await new Promise((use) => { cmlabNetwork = (name, told) => use(window.told = told);
        const script = document.createElement("script"); script.src = `assets/${name}.js`;
        document.head.append(script) });
    const net = new cmlab.UNet(cmlab.unpacked(told.weights), side, told.patch);
    const f = cmlab.denoiser(net, told.sigmaData);
    const z = new cmlab.Random(0).normal(colours * side ** 2).map((v) => 80 * v);
    window.act = () => f(z, 80, 3);
}"""
POINTS = """() => { const net = new cmlab.MLP(new cmlab.Machine(32), {}, 2048);
    const p = net.parameters(), x = new Float32Array(4096), c = new Float32Array(2048);
    net.initialise(p, new cmlab.Random(0));
    window.act = () => net.forward(p, x, c, 2048);
}"""
NETWORKS = (("a digit", IMAGE, ("digits", 8, 1), 100), ("2,048 points", POINTS, None, 20),
            ("a photograph", IMAGE, ("photographs", 32, 3), 20))  # fmt: skip
REPEAT = "n => { for (let i = 0; i < n; i++) act() }"
TRAIN = """asked => { window.trainer = new cmlab.Trainer(asked);
    trainer.truth();
    window.act = () => trainer.update(); }"""
# The page's own settings, and the learning rate at which CT reaches them.
TRAININGS = (("iCT", 1500, 1e-3), ("ECT", 1500, 1e-3), ("CT", 1500, 1e-3), ("CT", 2000, 1e-2))
PAUSES = """() => new Promise((done) => {
    let last = performance.now(), longest = 0, frames = 0;
    const frame = (now) => { longest = Math.max(longest, now - last); last = now;
        if (frames++ < 180) requestAnimationFrame(frame); else done(longest) };
    requestAnimationFrame(frame) })"""


def cpu(page: Page, script: str, argument: object = None) -> float:
    """Processor seconds of the page's thread in a script."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in found if m["name"] == "TaskDuration")

    before = now()
    page.evaluate(script, argument)
    return now() - before


def main() -> None:
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        scripts = live_scripts()
        for name, file in scripts.items():
            path = Path(work) / "assets" / f"{name}.js"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(file)
            print(f"{name}.js: {len(file) / 1e3:.0f} kB")
        print(f"together {sum(map(len, scripts.values())) / 1e6:.2f} MB")
        index = Path(work) / "index.html"
        index.write_text(f'<!DOCTYPE html><body><script src="assets/live.js" defer></script>'
                         f"{live_figure('07')}{live_figure('16')}", encoding="utf-8")  # fmt: skip
        page = playwright.chromium.launch(executable_path=chromium(), args=FLAGS).new_page()
        page.goto(index.as_uri())
        for name, make, of, n in NETWORKS:
            page.evaluate(make, of)
            cpu(page, REPEAT, 10)
            print(f"{name}: {1000 * cpu(page, REPEAT, n) / n:.1f} ms")
        for method, steps, rate in TRAININGS:
            page.evaluate(TRAIN, {"method": method, "steps": steps, "rate": rate})
            took = cpu(page, REPEAT, steps)
            error = page.evaluate("() => cmlab.overall(trainer.errors())")
            print(f"{method} at {rate:g}: {steps / took:.0f} steps a second, {took:.1f} seconds, "
                  f"error to f* {error:.3f}")  # fmt: skip
        page.get_by_role("button", name="Train", exact=True).click()
        page.wait_for_timeout(2000)
        print(f"longest pause of the page while a worker trains: {page.evaluate(PAUSES):.0f} ms")
        page.reload()
        place = page.locator("[data-live=photographs]")
        place.scroll_into_view_if_needed()
        place.get_by_role("radio", name="4", exact=True).check()  # ten photographs of four calls
        print(f"and while one makes photographs: {page.evaluate(PAUSES):.0f} ms")


if __name__ == "__main__":
    main()
