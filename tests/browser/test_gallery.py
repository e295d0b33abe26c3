"""The gallery in a real browser: phone and desktop, dark and light, by keyboard, with axe."""

import functools
import http.server
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browser.harness import FLAGS, chromium
from cmlab_labs.tools.gallery.site import write_site
from PIL import Image

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
LABS = ("01", "02", "07", "15")
PAGES = ("index.html", "01_probability_flow.html", "07_improved_training.html", "15_music.html",
         "papers.html")  # fmt: skip
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LIGHT_ON_DARK = """() => {
    const light = (color) =>
        color.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
    const style = getComputedStyle(document.body);
    return light(style.color) > light(style.backgroundColor);
}"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A gallery under a sub-path of a plain file server."""
    if chromium() is None:
        pytest.skip("Chromium is not installed: on Debian, `apt-get install chromium`")
    top = tmp_path_factory.mktemp("served")
    (top / "some" / "where").mkdir(parents=True)
    write_site(ROOT, top / "some" / "where", names=LABS)
    serve = functools.partial(Quiet, directory=str(top))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/where"
        server.shutdown()


@pytest.fixture(scope="module")
def chrome():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chrome, address):
    """Opens pages; at the end no page has complained or asked for anything outside the gallery."""
    contexts, wrong = [], []

    def note(request):
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(request.url)

    def visit(name, viewport=DESKTOP, scheme="light", motion="reduce"):
        context = chrome.new_context(viewport=viewport, color_scheme=scheme, reduced_motion=motion)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(300_000)
        page.on("request", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.goto(f"{address}/{name}", wait_until="load")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def drawn(page):
    """Waits until the first moving figure of the page is there."""
    page.locator("figure.moving").first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('figure.moving .main-svg')")


def points(page, trace):
    """The heights of a trace as plotly holds them."""
    return page.evaluate(
        "trace => [...document.querySelector('figure.moving .plot').data[trace].y]", trace
    )


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, viewport, scheme):
    from axe_playwright_python.sync_playwright import Axe

    for name in PAGES:
        page = visit(name, viewport, scheme)
        if page.locator("figure.moving").count():
            drawn(page)
        page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true })")
        found = Axe().run(page).response["violations"]
        grave = [(rule["id"], rule["nodes"][0]["html"][:160]) for rule in found
                 if rule["impact"] in ("serious", "critical")]  # fmt: skip
        assert grave == [], name


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_page_is_wider_than_its_window(visit, viewport):
    for name in PAGES:
        page = visit(name, viewport)
        if page.locator("figure.moving").count():
            drawn(page)
        assert page.evaluate(WIDER) <= 0, name


def test_the_slider_moves_the_figure_and_its_reading_by_keyboard(visit):
    page = visit("07_improved_training.html")
    drawn(page)
    slider, reading = page.locator("figure.moving input"), page.locator("figure.moving .reading")
    assert reading.get_attribute("aria-live") == "polite"
    label = page.locator(f"label[for={slider.get_attribute('id')}]")
    assert label.inner_text() == "variant"
    last = page.evaluate("() => document.querySelector('figure.moving .plot').data.length - 1")
    seen = []
    slider.focus()
    for _ in range(3):
        seen.append(
            (points(page, last), reading.inner_text(), slider.get_attribute("aria-valuetext"))
        )
        page.keyboard.press("ArrowRight")
    assert all(
        a != b for row in zip(*seen, strict=True) for a, b in zip(row, row[1:], strict=False)
    )
    page.keyboard.press("Home")
    assert (points(page, last), reading.inner_text()) == seen[0][:2]


def test_the_buttons_step_and_play_and_pause_by_keyboard(visit):
    page = visit("07_improved_training.html", motion="no-preference")
    drawn(page)
    value = page.locator("figure.moving output")
    first = value.inner_text()
    page.get_by_role("button", name="Next frame").press("Enter")
    assert value.inner_text() != first
    page.get_by_role("button", name="Frame before").press("Enter")
    assert value.inner_text() == first
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function(f"() => document.querySelector('output').textContent !== '{first}'")
    page.get_by_role("button", name="Pause").press("Enter")
    stood = value.inner_text()
    page.wait_for_timeout(1500)
    assert value.inner_text() == stood


def test_the_front_page_moves_by_itself_only_where_motion_is_welcome(visit):
    moving = visit("index.html", motion="no-preference")
    drawn(moving)
    moving.wait_for_function("() => document.querySelector('figure.moving input').value > 2")
    still = visit("index.html", motion="reduce")
    drawn(still)
    still.wait_for_timeout(2000)
    assert still.locator("figure.moving input").input_value() == "0"


def test_dark_and_light_follow_the_system_until_the_reader_chooses_and_the_choice_is_kept(visit):
    page = visit("07_improved_training.html", scheme="dark")
    assert page.evaluate(LIGHT_ON_DARK)
    drawn(page)
    ink = "() => document.querySelector('.plot .xtitle').style.fill"
    dark = page.evaluate(ink)
    page.get_by_role("button", name="Light colours").press("Enter")
    assert not page.evaluate(LIGHT_ON_DARK) and page.evaluate(ink) != dark
    page.reload()
    assert not page.evaluate(LIGHT_ON_DARK)
    page.goto(page.url.replace("07_improved_training", "index"))
    assert not page.evaluate(LIGHT_ON_DARK)


def test_on_dark_ground_drawings_turn_dark_and_photographs_stay_as_they_are(visit):
    for scheme, turned in (("light", False), ("dark", True)):
        page = visit("15_music.html", scheme=scheme)
        looks = page.evaluate("""() => [...document.querySelectorAll('.sheet')].map(sheet =>
            [sheet.classList.contains('drawn'), getComputedStyle(sheet.firstChild).filter])""")
        assert {drawn for drawn, _ in looks} == {True, False}
        assert all((look != "none") == (drawn and turned) for drawn, look in looks)
        assert page.get_by_text("drawings have light and dark exchanged").is_visible() == turned


def test_formulas_are_set_in_the_font_that_comes_with_the_pages(visit):
    page = visit("07_improved_training.html")
    page.evaluate("() => document.fonts.ready.then(() => true)")
    states = page.evaluate("() => [...document.fonts].map(font => [font.family, font.status])")
    assert states == [["STIX Two Math", "loaded"]]


def test_a_wide_formula_on_a_phone_shows_where_there_is_more(visit):
    page = visit("07_improved_training.html", PHONE)
    page.evaluate("""() => {
        const width = box => box.firstElementChild.getBoundingClientRect().width;
        const boxes = [...document.querySelectorAll('.formula')];
        const wide = boxes.reduce((a, b) => (width(a) > width(b) ? a : b));
        wide.id = 'wide';
        wide.style.width = `${wide.scrollWidth * 0.6}px`;  // whatever the lab's formulas are
    }""")
    box = page.locator("#wide")

    def shades():
        """Of the left and of the right edge, as they are darker than the paper."""
        with Image.open(BytesIO(box.screenshot())) as shot:
            grey = np.asarray(shot.convert("L")).astype(float)
        paper = np.median(grey)
        middle = grey[len(grey) // 3 : -len(grey) // 3]
        return paper - np.median(middle[:, 1]), paper - np.median(middle[:, -2])

    left, right = shades()
    assert abs(left) < 2 and right > 30
    box.evaluate("box => { box.scrollLeft = 30 }")
    left, right = shades()
    assert left > 30 and right > 30
    box.evaluate("box => { box.scrollLeft = box.scrollWidth }")
    left, right = shades()
    assert left > 30 and abs(right) < 2


def test_on_a_phone_the_panels_stand_one_under_the_other(visit):
    places = """() => [...document.querySelectorAll('.plot .annotation')]
        .map(title => title.getBoundingClientRect().top)"""
    wide, narrow = visit("07_improved_training.html"), visit("07_improved_training.html", PHONE)
    for page in (wide, narrow):
        drawn(page)
    first, second = wide.evaluate(places)
    assert abs(second - first) < 60
    first, second = narrow.evaluate(places)
    assert second > first + 200


def test_a_card_leads_to_its_lab_and_the_lab_to_its_neighbours(visit):
    page = visit("index.html")
    page.get_by_role("link", name="02 The consistency function").click()
    page.wait_for_url("**/02_consistency_function.html")
    page.get_by_role("link", name="Before: 01").first.click()
    page.wait_for_url("**/01_probability_flow.html")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"


def test_a_page_opens_from_a_disk_without_a_server(chrome, tmp_path):
    write_site(ROOT, tmp_path, names=["07"])
    page, wrong = chrome.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.goto((tmp_path / "07_improved_training.html").as_uri())
    drawn(page)
    assert page.locator("figure.moving .scatterlayer").count() and wrong == []
    page.close()
