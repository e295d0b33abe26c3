"""Live figures in a real browser, from a file and a server: networks equal torch's, and quick."""

import functools
import io
import json
import re
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest
import torch
from browser.harness import chromium, firefox, launched
from cmlab_labs.lab02_consistency.explorer import dragged
from cmlab_labs.lab13_inverse.explorer import EDITS, held_out_digit
from cmlab_labs.live.page import (
    DIGITS,
    EMBED,
    FLOWS,
    PHOTOGRAPHS,
    PLANE,
    halves,
    live_figure,
    live_scripts,
    packed,
    rounded,
    told,
)
from cmlab_labs.live.widget import LiveFigure
from cmlab_labs.tools.gallery.site import ASSETS
from PIL import Image

from cmlab.cli.main import main
from cmlab.data.toy import Ring
from cmlab.methods.editing import edit
from cmlab.methods.flow_map import jump
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture
from cmlab.train import runs

pytestmark = pytest.mark.browser

HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>live</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="assets/style.css">
<script src="assets/live.js" defer></script></head><body><main>"""
SAYS = "words => document.querySelector('[data-live={}] .reading')?.textContent.includes(words)"
ATLAS = CHECKPOINTS.parent / "atlas"
SLOWER = 3.0  # how many times longer than alone a busy machine may take, of its own seconds


@pytest.fixture(scope="module")
def scripts():
    return live_scripts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, scripts):
    """One page with all live figures, and what it needs."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "assets").mkdir()
    for name, file in scripts.items():
        (folder / "assets" / f"{name}.js").write_bytes(file)
    for name in ("style.css", "theme.js"):
        (folder / "assets" / name).write_bytes((ASSETS / name).read_bytes())
    (folder / "embed.html").write_text(EMBED, encoding="utf-8")
    body = "".join(map(live_figure, ("front", "00", "02", "07", "17", "18")))
    (folder / "index.html").write_text(f"{HEAD}{body}</main></body></html>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    """That page, opened from a disk; it asks for nothing elsewhere."""
    if chromium() is None and firefox() is None:
        pytest.skip("Chromium is not installed: on Debian, `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    wrong = []
    with sync_playwright() as playwright:
        browser = launched(playwright)
        phone = {"width": 390, "height": 844}
        page = browser.new_context(viewport=phone, reduced_motion="reduce").new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:"))
                or wrong.append(r.url))  # fmt: skip
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.goto((folder / "index.html").as_uri())
        yield page
        browser.close()
    assert wrong == []


@pytest.fixture(scope="module")
def served(folder):
    """The address of that page at a plain file server, which names no encoding of a script."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *words: None})
    handler = functools.partial(quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def plain(value):
    """A value as a page reads it, whose keys are text: Firefox takes no others."""
    return json.loads(json.dumps(value))


def processor_seconds():
    """The processor's seconds of all processes that this one has started and that still run."""
    times = (process.cpu_times() for process in psutil.Process().children(recursive=True))
    return sum(t.user + t.system for t in times)


def cpu_seconds(page, script, argument=None):
    """What a script answers, and the processor's seconds that it took; in Firefox at most."""
    if firefox():  # which tells no thread's time: that of all its processes, and of Playwright's
        before = processor_seconds()
        return page.evaluate(script, argument), processor_seconds() - before
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now():
        found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        return found["TaskDuration"]

    before = now()
    answer = page.evaluate(script, argument)
    after = now()
    session.detach()
    return answer, after - before


@pytest.fixture(scope="module")
def generator():
    """The shipped generator with the weights that the page has, those of float16."""
    model, recipe, _ = runs.load(CHECKPOINTS / "digits-ect.safetensors")
    return model.eval().requires_grad_(False), recipe


MAKE = """told => {
    const { UNet, unpacked, denoiser } = cmlab;
    window.f = denoiser(new UNet(unpacked(told.weights), 8), told.sigmaData);
}"""


def test_the_digits_network_equals_torchs_in_float16_and_float32(page, generator):
    model, _ = generator
    page.evaluate(MAKE, plain(told(DIGITS)))
    z = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t, label = torch.tensor([80.0, 80, 10, 1, 0.2, 0.01]), torch.tensor([3, 8, 1, 4, 9, 0])
    x_t = t.reshape(-1, 1, 1, 1) * z
    asked = [x_t.flatten(1).tolist(), t.tolist(), label.tolist()]
    found = torch.tensor(page.evaluate(
        "([x, t, y]) => x.map((row, i) => [...f(Float32Array.from(row), t[i], y[i])])", asked
    ))  # fmt: skip
    exact = model(x_t, t, label).flatten(1)
    assert (found - exact).abs().max() < 2e-3
    with torch.no_grad():
        assert (found - rounded(model)(x_t, t, label).flatten(1)).abs().max() < 1e-5


def test_the_photographs_network_equals_torchs_on_the_same_weights(page):
    model = runs.load(PHOTOGRAPHS)[0].eval().requires_grad_(False)
    z = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    t, label = torch.tensor([80.0, 2.0, 0.2]), torch.tensor([1, 7, 10])  # the last is "no class"
    x_t = t.reshape(-1, 1, 1, 1) * z
    found = torch.tensor(page.evaluate(
        """([told, x, t, y]) => {
            const { UNet, unpacked, denoiser } = cmlab;
            const net = new UNet(unpacked(told.weights), 32, told.patch);
            window.draw = denoiser(net, told.sigmaData);
            return x.map((row, i) => [...draw(Float32Array.from(row), t[i], y[i])]);
        }""",
        [plain(told(PHOTOGRAPHS)), x_t.flatten(1).tolist(), t.tolist(), label.tolist()],
    ))  # fmt: skip
    exact = model(x_t, t, label).flatten(1)
    assert (found - exact).square().mean().sqrt() < 0.005  # 8 bits, of pixels from -1 to 1
    assert (found - rounded(model, large=True)(x_t, t, label).flatten(1)).abs().max() < 1e-5
    loop = """() => { const z = new cmlab.Random(0).normal(3072).map((v) => 80 * v);
        for (let i = 0; i < 8; i++) draw(z, 80, i) }"""
    assert cpu_seconds(page, loop)[1] / 8 < 0.050 * SLOWER


READ = """name => new Promise((use, lost) => {
    const script = document.createElement("script"), failed = () => lost("no weights came");
    self.cmlabNetwork = (came, told) => came === name && use(told); // the page asks too
    Object.assign(script, { src: `assets/${name}.js`, onerror: failed, onload: failed });
    document.head.append(script);
})"""


@pytest.mark.parametrize("place", ["file", "server"])
def test_a_page_reads_each_networks_very_weights(page, served, place):
    own = page.context.new_page()
    own.goto(page.url if place == "file" else served)
    for name, path in {"digits": DIGITS, "photographs": PHOTOGRAPHS, **PLANE}.items():
        assert own.evaluate(READ, name) == plain(told(path)), name
    own.close()


def test_weights_that_are_no_characters_are_refused():
    for wrong in (128.0, -200.0, float("nan")):
        with pytest.raises(ValueError, match="below 128"):
            halves(torch.tensor([0.5, wrong]))


def test_all_scripts_together_are_within_six_megabytes_and_the_first_within_one(scripts):
    recorded = live_figure("front").encode()
    first = scripts["live"] + (ASSETS / "style.css").read_bytes() + recorded
    assert sum(map(len, scripts.values())) + 2 * len(recorded) < 6e6 and len(first) < 0.3e6


def test_a_seed_gives_torchs_noise(page):
    for seed in (0, 3, 9999):
        found = page.evaluate("seed => [...new cmlab.Random(seed).normal(64)]", seed)
        z = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        assert (torch.tensor(found) - z.flatten()).abs().max() < 2e-6


def test_a_digit_takes_at_most_ten_milliseconds(page):
    page.evaluate(MAKE, plain(told(DIGITS)))
    z = "const z = new cmlab.Random(0).normal(64).map((v) => 80 * v);"
    page.evaluate(f"() => {{ {z} for (let i = 0; i < 20; i++) f(z, 80, i % 10) }}")
    took = cpu_seconds(page, f"() => {{ {z} for (let i = 0; i < 50; i++) f(z, 80, i % 10) }}")[1]
    assert took / 50 < 0.010 * SLOWER


def test_a_network_of_the_plane_equals_torchs_and_2048_points_take_60_milliseconds(page):
    model, _, _ = runs.load(ATLAS / "ict.safetensors")
    net = model.eval().requires_grad_(False).float().net
    x, c = torch.randn(2048, 2), torch.linspace(-1.5, 0.6, 2048)
    page.evaluate(
        """weights => {
            window.net = new cmlab.MLP(new cmlab.Machine(32), {}, 2048);
            window.theta = net.parameters();
            net.load(theta, cmlab.unpacked(weights));
        }""",
        packed(dict(net.state_dict())),
    )
    ask = """([x, c]) => [...net.forward(theta, Float32Array.from(x), Float32Array.from(c), 2048)]
        .filter((_, i) => i % 8 < 2)"""
    page.evaluate(ask, [x.flatten().tolist(), c.tolist()])
    found, _ = cpu_seconds(page, ask, [x.flatten().tolist(), c.tolist()])
    assert (torch.tensor(found).reshape(-1, 2) - net(x, c)).abs().max() < 1e-5
    loop = """() => { const x = new Float32Array(4096).fill(0.1), c = new Float32Array(2048);
        for (let i = 0; i < 10; i++) net.forward(theta, x, c, 2048) }"""
    assert cpu_seconds(page, loop)[1] / 10 < 0.060 * SLOWER


def test_a_jump_of_a_flow_map_equals_torchs(page):
    x, times = torch.randn(64, 2), ((0.9999, 0.0), (0.8, 0.3), (0.5, 0.5))
    for name in FLOWS:
        model, _, _ = runs.load(ATLAS / f"{name}.safetensors")
        model = model.eval().requires_grad_(False).float()
        weights = packed(dict(model.net.state_dict()))
        found = torch.tensor(page.evaluate(
            """([weights, x, times]) => {
                const net = new cmlab.MLP(new cmlab.Machine(8), {}, 64), p = net.parameters();
                net.load(p, cmlab.unpacked(weights));
                const x_t = Float32Array.from(x);
                return times.map(([t, s]) => [...cmlab.jumped(net, p, x_t, t, s, 64)]);
            }""", [weights, x.flatten().tolist(), times],
        ))  # fmt: skip
        ends = [jump(model, x, *(torch.full((64,), v) for v in pair)) for pair in times]
        assert (found.reshape(3, 64, 2) - torch.stack(ends)).abs().max() < 2e-3
        ends = [jump(rounded(model), x, *(torch.full((64,), v) for v in pair)) for pair in times]
        assert (found.reshape(3, 64, 2) - torch.stack(ends)).abs().max() < 1e-5


def test_missing_pixels_are_completed_as_lab_13_completes_them(page, generator):
    """The same scan, mask, seed and calls as on the lab's retouching desk."""
    model, page_levels = generator[0], {1: [80.0], 4: KarrasGrid(0.1, 80.0).up(4).flip(0).tolist()}
    task, y = EDITS["lower half missing"], held_out_digit(5, 2).expand(6, -1, -1, -1)
    missing, asked = task.missing.flatten().tolist(), torch.full((6,), 5)
    page.evaluate(MAKE, plain(told(DIGITS)))

    def torchs(levels):
        torch.manual_seed(2)
        made = edit(model.process, lambda x, t: model(x, t, asked), task, y, torch.tensor(levels))
        return list(made)[-1].flatten(1)

    found = {}
    for calls, levels in page_levels.items():
        found[calls] = torch.tensor(page.evaluate(
            """([y, missing, calls]) => {
                const made = cmlab.completed(f, Float32Array.from(y), missing, 5,
                    cmlab.levelsOf(calls), new cmlab.Random(2));
                return [...made].at(-1).map((x) => [...x]) }""",
            [y[0].flatten().tolist(), missing, calls],
        ))  # fmt: skip
        assert (found[calls] - torchs(levels)).abs().max() < 2e-3
        kept = torch.tensor(missing) == 0
        assert (found[calls] - y.flatten(1))[:, kept].abs().max() == 0
    rounded(model)
    for calls, levels in page_levels.items():
        assert (found[calls] - torchs(levels)).abs().max() < 1e-5


def test_the_exact_f_is_the_packages(page):
    data = Ring()
    levels = KarrasGrid(0.01, 10.0).up(8)
    x_t = torch.randn(8, 2, dtype=torch.float64) * levels[:, None] + 0.7
    found = page.evaluate(
        """([x, t]) => { const m = new cmlab.Mixture(cmlab.ring());
            return [x.map(([a, b], i) => m.flow(a, b, t[i], 0.002)),
                    x.map(([a, b], i) => m.denoise(a, b, t[i])), m.sigmaData] }""",
        [x_t.tolist(), levels.tolist()],
    )
    f, mean = (torch.tensor(v, dtype=torch.float64) for v in found[:2])
    assert (f - data.oracle.consistency(x_t, levels)).abs().max() < 1e-5
    assert (mean - data.oracle.denoise(x_t, levels)).abs().max() < 1e-9
    assert abs(found[2] - data.sigma_data) < 1e-9


def test_the_gradient_is_that_of_finite_differences(page):
    """Of Σ y · g, along a random direction of all weights, in float32."""
    slope, chord = page.evaluate("""() => {
        const net = new cmlab.MLP(new cmlab.Machine(16), { width: 16, waves: 4 }, 8);
        const random = new cmlab.Random(5), p = net.parameters(), g = net.parameters();
        const x = random.normal(16), c = random.normal(16);
        net.initialise(p, random);
        const dy = net.machine.floats(64), z = random.normal(16);
        z.forEach((v, i) => { dy[8 * (i >> 1) + (i & 1)] = v });
        const total = () => net.forward(p, x, c, 8).reduce((sum, y, i) => sum + y * dy[i], 0);
        total();
        net.backward(p, g, dy, 8);
        const way = p.flat.map((v) => (v ? 2 * random.uniform() - 1 : 0)), start = p.flat.slice();
        const slope = way.reduce((sum, v, i) => sum + v * g.flat[i], 0), h = 3e-3;
        const moved = (step) => p.flat.set(start.map((v, i) => v + step * way[i]));
        const at = (step) => { moved(step); return total() };
        return [slope, (at(h) - at(-h)) / (2 * h)];
    }""")
    assert slope == pytest.approx(chord, rel=5e-3)


def test_training_on_the_ring_is_quick_and_comes_near_to_f(page):
    script = """() => { const t = new cmlab.Trainer({ method: "iCT", steps: 300 });
        while (t.step < 300) t.update();
        return cmlab.overall(t.errors()) }"""
    error, took = cpu_seconds(page, script)
    assert error < 0.2
    assert 300 / took > 60 / SLOWER


def test_a_click_on_the_noise_makes_another_digit_and_the_keyboard_another_class(page):
    figure = page.locator(".live[data-live=digits] figure")
    says = SAYS.format("digits")
    page.wait_for_function(says, arg="A 3 from the noise of seed 3")
    first = figure.locator(".stage canvas").nth(1).screenshot()
    figure.get_by_role("button", name="New noise: draw another").click()
    page.wait_for_function(says, arg="seed 4")
    assert figure.locator(".stage canvas").nth(1).screenshot() != first
    figure.get_by_role("radio", name="3").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(says, arg="A 4 from the noise of seed 4")
    figure.get_by_role("slider").focus()
    page.keyboard.press("PageUp")
    page.wait_for_function(says, arg="between the noises of seeds 4 and 5")


ALL_CLASSES = """calls => new Promise((done) => {
    const { live } = document.querySelector("[data-live=photographs]");
    live.figure.querySelector(`input[value="${calls}"]`).click();
    const made = () => live.now.all.filter(Boolean).length;
    const wait = () => (made() === 10 ? done() : setTimeout(wait, 20));
    wait();
})"""


def test_a_click_makes_another_photograph_in_a_worker_while_the_page_stays_awake(page):
    place, says = shown(page, "photographs")
    page.wait_for_function(says, arg="seed 7: 1 network call. This picture is recorded")
    first = place.locator(".stage canvas").nth(1).screenshot()
    place.get_by_role("radio", name="automobile").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(says, arg="A bird from the noise of seed 7: 1 network call. This")
    came = "() => [...document.scripts].some(({ src }) => src.endsWith('photographs.js'))"
    assert not page.evaluate(came)  # 2.8 MB, which nobody has asked for yet
    place.get_by_role("button", name="New noise: draw another").click()
    page.wait_for_function(says, arg="A bird from the noise of seed 8: 1 network call, ")
    assert place.locator(".stage canvas").nth(1).screenshot() != first
    page.evaluate("""() => { for (let i = 0; i < 3; i++)
        document.querySelector("[data-live=photographs] .again").click() }""")
    page.wait_for_function(says, arg="A bird from the noise of seed 11: 1 network call, ")
    place.get_by_role("slider").focus()
    page.keyboard.press("PageUp")
    page.wait_for_function(says, arg="between the noises of seeds 11 and 12")
    _, took = cpu_seconds(page, ALL_CLASSES, 2)  # 20 calls
    assert firefox() or took < 0.1 * SLOWER


def test_from_a_server_digits_and_photographs_are_made_as_from_a_file(page, served):
    own = page.context.new_page()
    own.goto(served)
    for kind, first, then in (("digits", "seed 3", "seed 4"), ("photographs", "seed 7", "seed 8")):
        place, says = shown(own, kind)
        own.wait_for_function(says, arg=first, timeout=60_000)
        place.get_by_role("button", name="New noise: draw another").click()
        own.wait_for_function(says, arg=then, timeout=60_000)
    own.close()


def test_without_webassembly_the_recorded_photographs_stay(page):
    own = page.context.new_page()
    own.add_init_script("delete globalThis.WebAssembly")
    own.goto(page.url)
    assert own.locator("[data-live=photographs] img").is_visible()
    assert not own.locator("[data-live=photographs] .stage").count()
    own.close()


def shown(page, kind):
    """A live figure in view, and the condition that its reading holds certain words."""
    place = page.locator(f".live[data-live={kind}]")
    place.scroll_into_view_if_needed()
    return place, SAYS.format(kind)


def test_the_dragged_point_takes_its_path_with_it(page):
    place = page.locator(".live[data-live=path]")
    place.scroll_into_view_if_needed()
    reading, canvas = place.locator(".reading"), place.locator("canvas")
    page.wait_for_function("() => document.querySelector('[data-live=path] .reading').textContent")
    box = canvas.bounding_box()
    # Whole pixels, which are all that Firefox has.
    at = [round(box["x"] + box["width"] * 0.6), round(box["y"] + box["height"] * 0.5)]
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + 20, at[1])
    page.mouse.up()
    x = 4.4 * ((at[0] + 20 - box["x"]) / box["width"] - 0.5)
    y = 4.4 * (box["y"] + box["height"] / 2 - at[1]) / box["width"]
    page.wait_for_function(SAYS.format("path"), arg=f"({x:.2f}, ")
    before = reading.inner_text()
    canvas.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function(SAYS.format("path"), arg=f"{y + 0.05:.2f})")
    assert reading.inner_text() != before
    place.get_by_role("radio", name="your own").check()
    place.get_by_role("button", name="Add a Gaussian").click()
    assert place.get_by_role("slider", name="width").is_visible()


def test_pixels_are_erased_and_drawn_by_pointer_and_by_keyboard(page):
    place, says = shown(page, "retouch")
    page.wait_for_function(says, arg="32 of 64 pixels are missing, asked for a 5")
    place.get_by_role("button", name="Restore").click()
    page.wait_for_function(says, arg="0 of 64 pixels are missing")
    place.get_by_role("radio", name="erase", exact=True).check()
    place.locator(".sheet").scroll_into_view_if_needed()
    box = place.locator(".sheet").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 5, steps=20)
    page.mouse.up()
    page.wait_for_function(says, arg="8 of 64 pixels are missing")
    place.get_by_role("radio", name="draw ink").check()
    place.locator(".sheet").focus()
    page.keyboard.press("ArrowUp")
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    page.wait_for_function(says, arg="7 of 64 pixels are missing")
    assert place.locator(".pointed").inner_text() == "row 1, column 4: 100 % ink"


def test_a_flow_map_pushes_the_points_to_the_time_that_is_chosen(page):
    place, says = shown(page, "flow")
    page.wait_for_function(says, arg="from t = 1.000 to s = 0.000 in 1 jump")
    far = """() => Number(document.querySelector('[data-live=flow] .reading').textContent
        .match(/([\\d.]+) from the exact/)[1])"""
    assert page.evaluate(far) < 0.1
    place.get_by_label("end s").focus()
    page.keyboard.press("End")  # a jump of length zero stands still
    page.wait_for_function(says, arg="from t = 1.000 to s = 1.000")
    assert page.evaluate(far) == 0
    place.get_by_label("start t").focus()
    page.keyboard.press("PageDown")
    page.wait_for_function(says, arg="from t = 0.900 to s = 0.900")  # an end is never before it


def test_a_worker_trains_while_the_page_stays_awake(page):
    place, says = shown(page, "ring")
    page.wait_for_function(says, arg="iCT, step 0 of 1500")
    place.get_by_role("button", name="One update in slow motion").click()
    page.wait_for_function(says, arg="step 1 of 1500")
    for stage in (2, 3, 4):
        place.get_by_role("button", name=f"Next: {stage} of 4").click()
        page.wait_for_function(says, arg=f" {stage} of 4: ")
    page.wait_for_function(says, arg="step 1 of 1500")  # looking on changes nothing
    place.get_by_role("button", name="Go on").click()
    step = """() => Number(document.querySelector('[data-live=ring] .reading').textContent
        .match(/step (\\d+)/)[1])"""
    end = monotonic() + 60
    while page.evaluate(step) < 20 and monotonic() < end:
        page.wait_for_timeout(100)
    place.get_by_role("button", name="Pause").click()
    assert page.evaluate(step) >= 20


def test_a_trained_map_keeps_most_points_in_the_mode_of_their_exact_path(page):
    place, says = shown(page, "map")
    page.wait_for_function(says, arg="iCT, one call")
    share = """() => Number(document.querySelector('[data-live=map] .reading').textContent
        .match(/(\\d+) %/)[1])"""
    right = page.evaluate(share)
    assert right > 90
    place.get_by_role("radio", name="EDM, a denoiser").check()
    page.wait_for_function(SAYS.format("map"), arg="EDM, a denoiser, one call")
    assert page.evaluate(share) < right


STATES = {  # addresses, and what the figures say that they open
    "path?x=0.5&y=-0.25&level=80&data=your+own&own=0_0_0.2_1": "x_t = (0.50, -0.25) at t = 3.46",
    "digits?seed=7&digit=5&calls=2&share=0.25": "A 5 from the noise between the noises of seeds 7",
    "photographs?seed=3&class=ship&calls=2&share=0.5": "A ship from the noise between",
    "ring?method=ECT&seed=4&data=two+modes": "ECT, step 0 of 1500",
    "map?method=cd&calls=2&seed=1": "CD, two calls",
    "flow?method=psd&from=30&to=4&jumps=2&seed=1": "from t = 0.750 to s = 0.100 in 2 jumps",
    f"retouch?digit=8&scan=0&calls=2&seed=0&pixels={'0' * 60}___g": "3 of 64 pixels are missing",
    "path?x=far&y=1e9&level=&data=mine&own=1_2*3": "x_t = (-1.70, 2.10) at t = 1.68",  # nonsense
}


def test_an_address_opens_a_figure_and_tells_how_it_is_now(page):
    folder = Path(page.url.removeprefix("file://")).parent
    own = page.context.new_page()
    for state, words in STATES.items():
        own.goto("about:blank")
        own.goto(f"{(folder / 'embed.html').as_uri()}#{state}")
        says = SAYS.format(state.partition("?")[0])
        own.wait_for_function(says, arg=words, timeout=60_000)
        assert own.url.endswith(state)  # a reader who changes nothing finds it unchanged
    own.locator("canvas").focus()
    own.keyboard.press("ArrowRight")
    own.wait_for_function("() => location.hash.startsWith('#path?x=-1.65&y=2.1&level=68&')")
    own.reload()
    own.wait_for_function(SAYS.format("path"), arg="x_t = (-1.65, 2.10)")
    own.close()


def test_a_figure_can_be_embedded_by_the_line_that_it_gives(page, tmp_path):
    place = page.locator(".live[data-live=path]")
    place.locator("summary").focus()
    page.keyboard.press("Enter")
    field = place.get_by_label("HTML that embeds it in a page", exact=True)
    page.wait_for_function("input => input.value", arg=field.element_handle())  # after its toggle
    line = field.input_value()
    (tmp_path / "theirs.html").write_text(f"<!DOCTYPE html><p>A talk.</p>{line}")
    own = page.context.new_page()
    own.goto((tmp_path / "theirs.html").as_uri())
    frame = own.frame_locator("iframe")
    frame.locator(".reading", has_text="its path ends at f").wait_for(timeout=60_000)
    assert frame.locator(".reading").inner_text() == place.locator(".reading").inner_text()
    assert frame.get_by_role("link", name="cmlab: a lab on consistency models").is_visible()
    own.close()


def carried(page, place, start, *, stop=""):
    """The bytes of the file that a button of the Share control saves."""
    place.evaluate("place => { place.querySelector('.share').open = true }")
    if stop:
        place.get_by_role("button", name=start).click()
        page.wait_for_timeout(700)
    with page.expect_download() as coming:
        place.get_by_role("button", name=stop or start).click()
    return Path(coming.value.path()).read_bytes()


@pytest.mark.skipif(bool(firefox()), reason="Playwright 1.58 reports no download in Firefox")
def test_pictures_and_films_of_a_figure_can_be_carried_away(page):
    for kind, marks in (("map", 2 * 2048), ("ring", 2 * 400), ("digits", 2 * 64),
                        ("photographs", 2 * 1024)):  # fmt: skip
        place = page.locator(f".live[data-live={kind}]")
        place.scroll_into_view_if_needed()
        page.wait_for_function(
            "kind => document.querySelector(`[data-live=${kind}] .reading`)?.textContent", arg=kind
        )
        picture = Image.open(io.BytesIO(carried(page, place, "PNG picture")))
        assert picture.size == (2 * 1140, 2 * 594)
        assert np.asarray(picture.convert("L")).std(1).max() > 5
        drawing = ElementTree.fromstring(carried(page, place, "SVG picture"))
        names = [element.tag.rpartition("}")[2] for element in drawing.iter()]
        assert names.count("circle") + names.count("rect") >= marks
    film = carried(page, place, "Record a video", stop="Stop and save")
    assert b"ftyp" in film[:16] or film.startswith(b"\x1a\x45\xdf\xa3")  # mp4 or WebM
    frames = zipfile.ZipFile(io.BytesIO(carried(page, place, "PNG frames", stop="Stop and save")))
    assert frames.testzip() is None and "frame-0003.png" in frames.namelist()
    assert Image.open(frames.open("frame-0001.png")).size == picture.size


def test_an_exported_run_is_one_page_that_runs_it(page, tmp_path, capsys):
    opened = ((DIGITS, "A 3 from"), (ATLAS / "cd.safetensors", "cd, one call: "),
              (PHOTOGRAPHS, "An automobile from the noise of seed 7: 1 network"))  # fmt: skip
    for run, says in opened:
        assert main(["export", str(run), "--page", str(tmp_path / "own.html")]) == 0
        printed = json.loads(capsys.readouterr().out)
        if run == PHOTOGRAPHS:
            assert printed["eight_bits_change"] < 0.1
        else:
            assert printed["float16_changes"] < 2e-3
        own = page.context.new_page()
        own.goto((tmp_path / "own.html").as_uri())
        own.wait_for_function(
            "says => document.querySelector('.live .reading')?.textContent.includes(says)",
            arg=says, timeout=60_000,
        )  # fmt: skip
        own.close()
    other = CHECKPOINTS / "shapes-ect.safetensors"
    assert main(["export", str(other), "--page", str(tmp_path / "b.html")]) == 2
    assert "cmlab sample" in capsys.readouterr().err and not (tmp_path / "b.html").exists()


RENDER = """async ({ esm, values }) => {
    const file = new Blob([esm], { type: "text/javascript" });
    const module = await import(URL.createObjectURL(file));
    const el = document.createElement("div"), model = { get: (key) => values[key] };
    document.body.append(el);
    el.className = "widget";
    await module.default.render({ model, el });
}"""


def test_in_a_notebook_the_same_figure_is_a_widget_beside_the_picture_that_is_kept(page):
    """As anywidget's front end does it: the module is imported and asked to render."""
    angle = torch.arange(8) * torch.pi / 4
    circle = torch.stack([angle.cos(), angle.sin()], 1).double()
    ring = Mixture(
        torch.tensor([1.0, 3, 1, 2, 1, 4, 2, 2]).double() / 16,
        circle,
        torch.full((8,), 0.1).double(),
    )
    drawing = LiveFigure("photographs"), "An automobile from the noise of seed 7: 1 network call, "
    for figure, words in (drawing, (LiveFigure("map"), "iCT, one call: 9"), (dragged(ring), "")):
        state = figure.get_state()
        values = {key: state[key] for key in ("figure", "lab", "opened", "networks")}
        page.evaluate(RENDER, {"esm": state["_esm"], "values": plain(values)})
        if figure.still is not None:  # what the lab computes is what the page computes
            picture, reading = figure.still.children
            assert Image.open(io.BytesIO(picture.value)).width > 500
            words = re.sub("<[^>]+>", "", reading.value.replace("<br>", " "))
        says = "words => document.querySelector('.widget .reading')?.textContent.includes(words)"
        page.wait_for_function(says, arg=words)
        page.evaluate("() => document.querySelector('.widget').remove()")
    assert ".live .pair" in state["_css"] and "--blue" in state["_css"]


def test_the_figures_fit_a_phone_and_axe_finds_nothing_serious(page):
    from axe_playwright_python.sync_playwright import Axe

    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    grave = [(rule["id"], rule["nodes"][0]["html"][:160])
             for rule in Axe().run(page, options={"preload": False}).response["violations"]
             if rule["impact"] in ("serious", "critical")]  # fmt: skip
    assert grave == []
