"""The labs as pages: whole, without a network, in order, and readable without eyes or a mouse."""

import json
import re
from base64 import b64decode
from functools import cache
from html import escape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cmlab_labs.common.animation import (
    Panel,
    Shot,
    line,
    moving,
    picture,
    polylines,
    text_labels,
)
from cmlab_labs.common.prediction import Prediction, predictions
from cmlab_labs.registry import animations
from cmlab_labs.tools.gallery.cards import card
from cmlab_labs.tools.gallery.cells import (
    alternative,
    is_drawn,
    is_live,
    prediction_list,
    set_apart,
)
from cmlab_labs.tools.gallery.markdown import Links, MarkdownPage, mathml
from cmlab_labs.tools.gallery.site import HERO, MARK, add_arguments, lab, main, swap, write_site
from cmlab_labs.tools.notebooks.build import (
    NOTE,
    VIEW,
    bare_widgets,
    find,
    hides,
    read,
    save,
    tags,
)

from cmlab.metrics.plots import DATA

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [path for path in find(ROOT / "labs") if path.exists()]  # built so far
COUNTS = ("training step", "variant", "network calls", "levels N")  # these have no unit
MOVING = animations()
EVERYTHING = [make for makes in MOVING.values() for make in makes]


@cache
def made_once(make):
    return make()


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text outside scripts and code."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.prose, self.within = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style", "pre", "code"):
            self.within.append(tag)

    def handle_endtag(self, tag):
        if self.within and tag == self.within[-1]:
            self.within.pop()

    def handle_data(self, data):
        if not self.within:
            self.prose += data

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two labs, the texts beside them and the front page."""
    folder = tmp_path_factory.mktemp("gallery")
    write_site(ROOT, folder, names=["02", "15"])
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path.name: Reader(path.read_text()) for path in sorted(site.glob("*.html"))}


def test_the_site_has_a_front_page_the_labs_and_the_texts_beside_them(pages):
    assert set(pages) == {
        "index.html", "02_consistency_function.html", "15_music.html", "labs.html",
        "teaching.html", "papers.html", "embed.html",
    }  # fmt: skip


def test_live_figures_have_their_places_and_the_front_page_needs_little_to_be_drawn(site, pages):
    """Less than a megabyte: plotly and the weights of networks come when a figure asks."""
    places = {name: [a["data-live"] for a in page.all("div") if "data-live" in a]
              for name, page in pages.items()}  # fmt: skip
    assert places["index.html"] == ["digits", "photographs"] and not places["15_music.html"]
    assert places["02_consistency_function.html"] == ["path"]
    links = [a.get("href") or a.get("src", "") for a in pages["index.html"].all("link", "script")]
    files = {"index.html", *(link for link in links if link.startswith("assets/"))}
    assert "assets/live.js" in files and (site / "assets" / "digits.js").is_file()
    assert sum((site / name).stat().st_size for name in files) < 1e6


def test_every_link_leads_to_a_page_and_a_place_that_are_there(site, pages):
    places = {name: {a["id"] for _, a in page.tags if "id" in a} for name, page in pages.items()}
    followed = 0
    for name, page in pages.items():
        for link in page.all("a", "link", "script", "img", "audio"):
            address = link.get("href") or link.get("src") or ""
            if re.match(r"https?:|data:|mailto:", address) or not address:
                continue
            file, _, place = address.partition("#")
            assert not file.startswith("/") and (site / (file or name)).is_file(), (name, address)
            assert not place or place in places[file or name], (name, address)
            followed += 1
    assert followed > 60


def test_nothing_is_asked_of_another_host(site, pages):
    """Addresses of other hosts are there for people to follow, and nothing follows them itself."""
    for name, page in pages.items():
        for tag, attributes in page.tags:
            loads = {"src", "srcset", "data", "poster", "action"} | (
                {"href"} - {""} if tag == "link" else set()
            )
            for key in loads & set(attributes):
                assert not re.match(r"(https?:)?//", attributes[key]), (name, tag, attributes[key])
    for asset in (site / "assets").glob("*.css"):
        asked = re.findall(r"url\(\W*([^)\"']+)", asset.read_text())
        assert asked and all((asset.parent / name).is_file() for name in asked)
        assert "@import" not in asset.read_text()
    for script in ("theme.js", "moving.js"):
        assert "http" not in (site / "assets" / script).read_text()


def test_headings_come_in_order_and_each_page_says_what_it_is(pages):
    for name, page in pages.items():
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), name
        assert page.all("html")[0]["lang"] == "en" and page.all("title") and page.all("main")
        assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
        anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(anchors) == len(set(anchors)), name


def test_a_heading_that_leaves_a_level_out_is_brought_into_order():
    html = MarkdownPage(Links({}), "labs").html("# One\n\n# Two\n\n#### Three\n\n## Two")
    assert re.findall(r'<(h\d) id="([^"]+)"', html) == [
        ("h1", "one"), ("h2", "two"), ("h3", "three"), ("h2", "two-1"),
    ]  # fmt: skip


def test_every_picture_in_a_lab_has_words_in_its_place(pages):
    for name in ("02_consistency_function.html", "15_music.html"):
        words = [image["alt"] for image in pages[name].all("img")]
        assert len(words) > 3 and all(len(alt) > 20 for alt in words), words


def test_a_figure_that_names_itself_is_named_so_and_others_by_the_sentence_above():
    assert alternative("f: one value along each path", "Look here.", False).startswith("f: one")
    above = "## Key\n\n$f$ is **here**. Look at the colours.\n\n| a | b |"
    assert alternative("<Figure size 980x350 with 3 Axes>", above, False) == (
        "f is here. Look at the colours."
    )


def test_solutions_are_folded_and_sounds_are_files(site, pages):
    for name in ("02_consistency_function.html", "15_music.html"):
        folds = pages[name].all("details")
        assert len(folds) > 8 and not any("open" in fold for fold in folds)
    sounds = pages["15_music.html"].all("audio")
    assert len(sounds) == 2 and all("controls" in sound for sound in sounds)
    assert all((site / sound["src"]).read_bytes()[:4] == b"RIFF" for sound in sounds)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_every_formula_of_a_lab_becomes_mathml(notebook):
    words = MarkdownPage(Links({}), "labs")
    cells = read(notebook).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    texts += [data["text/markdown"] for data in shown if "text/markdown" in data]
    html = "\n".join(map(words.html, texts))
    assert "$" not in Reader(html).prose
    asked = sum(len(re.findall(r"(?<!\\)\$", text)) for text in texts)
    assert html.count("<math") > 0 or asked == 0


def test_a_formula_is_set_as_it_is_meant():
    assert "<mi>crop</mi>" in mathml(r"\mathrm{crop}_i")
    assert "<munder><mo>∑</mo>" in mathml(r"\sum_i i", display=True)
    assert "𝒩" in mathml(r"\mathcal N(0, 1)") and "‖" in mathml(r"\bigl\lVert x \bigr\rVert")
    assert 'alttext="x_t"' in mathml("x_t")
    for bars in (r"\lVert x \rVert^2", r"\bigl\lVert x \bigr\rVert^2"):
        assert mathml(bars).count('<mo stretchy="false"') + mathml(bars).count("fence") >= 2
        assert "minsize" not in mathml(bars) and 'stretchy="true"' not in mathml(bars)
    with pytest.raises(ValueError, match="cannot be shown"):
        mathml(r"\nonsense x")
    with pytest.raises(ValueError, match="& cannot be shown"):
        mathml(r"\begin{aligned} a &= b \\ c &= d \end{aligned}")
    assert mathml(r"\begin{align*} a &= b \\ c &= d \end{align*}").count("<mtr>") == 2


def test_the_mathematics_font_is_small_has_its_licence_and_every_sign_of_the_formulas(site):
    from fontTools.ttLib import TTFont

    place = site / "assets" / "stix-two-math.woff"
    assert place.stat().st_size < 80_000
    assert "SIL OPEN FONT LICENSE" in place.with_suffix(".LICENSE.txt").read_text()
    font = TTFont(place)
    has = font.getBestCmap()
    assert "MATH" in font, "without it fences and sums do not grow"
    signs = set()
    texts = [c.source for notebook in NOTEBOOKS for c in read(notebook).cells
             if c.cell_type == "markdown"]  # fmt: skip
    for tex in re.findall(r"(?<![\\$])\$([^$]+)\$", "\n".join(texts)):
        for node in ElementTree.fromstring(mathml(tex)).iter():
            signs |= set(node.text or "") | set(italic(node.text or ""))
    assert len(signs) > 100 and {sign for sign in signs if ord(sign) not in has} == set()


def italic(text):
    """A letter alone as a browser sets it: in the mathematical italic, whose h is older."""
    if len(text) != 1 or not text.isascii() or not text.isalpha():
        return ""
    place = 0x1D434 + ord(text) - ord("A") - 6 * text.islower()
    return "ℎ" if text == "h" else chr(place)


@pytest.mark.parametrize(
    ("text", "before", "apart"),
    [("It bends. Click a slider and use the arrow keys. It ends.", False,
      ["Click a slider and use the arrow keys."]),
     ("It bends. Click a slider. Where does it end?\n\nThree things to try. Set t to 5.\n\nEnd.",
      True, ["Click a slider. Where does it end?\n\nThree things to try. Set t to 5."]),
     ("Set $t = 5$. It bends.", False, []),
     ("Three more things to try:\n\n- In two calls.\n\nEnd.", True,
      ["Three more things to try:\n\n- In two calls."]),
     ("- one slider\n- two", False, ["- one slider\n- two"]),
     ("```\npress a\n\npress b\n```\n\n| slider |\n|---|", True, [])],
)  # fmt: skip
def test_what_is_about_knobs_that_a_page_lacks_is_set_apart(text, before, apart):
    parts = list(set_apart(text, before))
    assert [part for part, mark in parts if mark] == apart
    assert sorted(" ".join(part for part, _ in parts).split()) == sorted(text.split())


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_no_page_speaks_of_sliders_but_of_those_in_jupyterlab(notebook):
    cells = read(notebook).cells
    texts = [(cell.source, is_live(after)) for cell, after in zip(cells, cells[1:], strict=False)
             if cell.cell_type == "markdown"]  # fmt: skip
    here = [part for text in texts for part, mark in set_apart(*text) if not mark]
    assert re.findall(r"(?i)\bsliders?\b|arrow keys?|page up|things to try", "\n".join(here)) == []


@pytest.mark.parametrize("number", ["02", "15"])
def test_a_page_says_that_the_knobs_are_in_jupyterlab(site, number):
    (page,) = site.glob(f"{number}_*.html")
    text = page.read_text()
    assert '<div class="there"><p class="note">In JupyterLab' in text
    assert text.index("things to try") > text.index('<div class="there">')


PHOTOGRAPHS = {"explorer", "unselected", "sharpening"}


def test_drawings_change_light_for_dark_and_photographs_do_not():
    from PIL import Image, ImageDraw

    drawing = Image.new("RGB", (600, 200), "white")
    ImageDraw.Draw(drawing).line((0, 0, 600, 200), "#0072B2", 9)
    g = np.random.default_rng(0)
    photograph = drawing.copy()
    photograph.paste(Image.fromarray(g.integers(0, 255, (100, 200, 3), dtype=np.uint8)), (9, 9))
    assert is_drawn(drawing) and not is_drawn(photograph)
    coloured = {"02": {"maps", "basins"}, "09": {"walking"}, "13": set(), "16": PHOTOGRAPHS}
    for name, painted in coloured.items():
        (notebook,) = (path for path in NOTEBOOKS if path.stem.startswith(name))
        found = {}
        for cell in read(notebook).cells:
            for out in cell.get("outputs", []):
                if encoded := out.get("data", {}).get("image/png"):
                    call = cell.source.strip().splitlines()[-1].partition("(")[0]
                    drawn = is_drawn(Image.open(BytesIO(b64decode(encoded))))
                    found[call] = found.get(call, True) and drawn
        assert {call for call, drawn in found.items() if not drawn} == painted


def test_a_link_leads_to_a_page_to_the_source_or_nowhere():
    links = Links(
        {"labs/02_a.ipynb": "02_a.html", "README.md": "index.html"}, "https://host/me/it"
    )
    assert links.to("02_a.ipynb", "labs") == "02_a.html"
    assert links.to("../README.md#the-labs", "labs") == "index.html#the-labs"
    assert links.to("../cmlab/ema.py#L1", "labs") == "https://host/me/it/blob/main/cmlab/ema.py#L1"
    assert Links({}).to("../cmlab/ema.py", "labs") is None


@pytest.mark.parametrize(
    "address",
    ["javascript:1", "JaVaScript:1", "&#106;avascript:1", "java&#10;script:1", "&#1;javascript:1",
     "vbscript:1", "data:text/html,x", "file:///x"],
)  # fmt: skip
def test_a_link_that_would_run_something_is_text(address):
    for text in (f"[word]({address})", f"[word]\n\n[word]: {address}", f"<{address}>"):
        html = MarkdownPage(Links({}, "https://host/me"), "labs").html(text)
        assert all("host" in a["href"] for a in Reader(html).all("a")) and html.strip(), html


@pytest.mark.parametrize(
    "address", ["http://a.b", "https://a.b", "mailto:a@b.c", "//a.b", "#here"]
)
def test_a_link_that_people_can_follow_stays(address):
    (link,) = Reader(MarkdownPage(Links({}), "labs").html(f"[word]({address})")).all("a")
    assert link["href"] == address


@pytest.mark.parametrize(
    "mark",
    ["<b id='mine'>x</b>", "<u>x</u>", "<i title=x>y</i>", "<script>x</script>", "<svg/>",
     "<details open>x", "<x", "<a href='https://a.b'>x</a>", "<img src=x>", "<b\ntitle=x>y</b>"],
)  # fmt: skip
def test_markup_in_a_text_is_shown_as_text(mark):
    places = ("{}", "a {} b", "# Head {}", "- {}", "| a |\n|---|\n| {} |", "**{}**", "> {}",
              "[{}](https://a.b)", "![{}](x.png)", "[w](x '{}')", "```{}\nx\n```")  # fmt: skip
    for place in places:
        html = MarkdownPage(Links({}), "labs").html(place.format(mark))
        kinds = {tag for tag, _ in Reader(html).tags}
        assert not kinds & {"u", "script", "svg", "img", "x"}, html
        named = [name for _, given in Reader(html).tags for name in given]
        assert not {"title", "open", "src", "onclick"} & set(named) and "mine" not in named, html


def test_folds_and_small_marks_of_a_text_stay_and_comments_go():
    text = "<details>\n<summary>A &amp; b</summary>\n\n**c** x<sub>2</sub>\n\n</details>\n\n"
    text += "<!-- no -->"
    html = MarkdownPage(Links({}), "labs").html(text)
    assert [tag for tag, _ in Reader(html).tags] == ["details", "summary", "p", "strong", "sub"]
    assert "A &amp; b" in html and "no" not in html and "</details>" in html


def test_a_formula_brings_no_address():
    for tex in (r"\href{javascript:1}{x}", r"\class{a}{x}", r"\text{<b>x</b>}"):
        html = MarkdownPage(Links({}), "labs").html(f"${tex}$")
        assert not {"href", "class", "style"} & {
            n for _, given in Reader(html).tags for n in given
        }
        assert "b" not in {tag for tag, _ in Reader(html).tags}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_a_lab_tells_its_card(notebook):
    one = lab(notebook)
    assert one.front.number == notebook.stem[:2] and one.picture


def test_a_prediction_keeps_its_replies_folded_and_code_in_it_is_only_text():
    html = prediction_list(Prediction("Which?", {"<b>A": "Because.", "B": "No."}, "<b>A"))
    assert (
        html.count("<details>") == 2 and "&lt;b&gt;A" in html and "Yes.</strong> Because." in html
    )


@pytest.mark.parametrize("number", ["02", "15"])
def test_predictions_are_on_the_page_and_code_that_a_notebook_folds_is_folded_there(site, number):
    (page,) = site.glob(f"{number}_*.html")
    text = page.read_text()
    for asked in predictions(number).values():
        assert escape(asked.question) in text
        assert all(f"<summary>{escape(option)}</summary>" in text for option in asked.replies)
    nb = read(ROOT / "labs" / f"{page.stem}.ipynb")
    folded = [c for c in nb.cells if hides(c) and not c.source.startswith("predict(")]
    assert text.count('<details class="setup">') == len(folded) > 2
    assert "predict(&quot;" not in text and 'predict("' not in text


def test_a_build_that_fails_leaves_the_gallery_as_it_was(tmp_path):
    out = tmp_path / "site"
    swap(out, lambda folder: (folder / "index.html").write_text("first"))
    assert (out / MARK).is_file() and (out / "index.html").read_text() == "first"

    def fail(folder):
        (folder / "index.html").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        swap(out, fail)
    assert (out / "index.html").read_text() == "first"
    swap(out, lambda folder: (folder / "other.html").write_text("second"))
    assert sorted(p.name for p in out.iterdir()) == [MARK, "other.html"]
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("left", ["view", "note"])
def test_a_lab_saved_with_bare_widgets_is_refused_with_the_command_that_mends_it(tmp_path, left):
    nb = read(ROOT / "labs" / "02_consistency_function.ipynb")
    assert bare_widgets(nb) == []
    live = next(filter(is_live, nb.cells))
    note = next(o for o in live.outputs if NOTE in o.get("data", {}).get("text/plain", ""))
    live.outputs = [note]
    if left == "view":
        note.data = {VIEW: {"model_id": "a"}, "text/plain": "VBox()"}
    (tmp_path / "labs").mkdir()
    save(nb, tmp_path / "labs" / "02_consistency_function.ipynb")
    with pytest.raises(ValueError, match="`cmlab labs run 02` makes them$") as refused:
        swap(tmp_path / "site", lambda folder: write_site(tmp_path, folder))
    assert "02_consistency_function.ipynb" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["labs"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    for out in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(FileExistsError, match="was not made by cmlab gallery"):
            swap(out, lambda folder: None)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    (tmp_path / "empty").mkdir()
    swap(tmp_path / "empty", lambda folder: (folder / "a").write_text("b"))
    assert (tmp_path / "empty" / "a").is_file()


def test_an_address_that_is_none_is_refused_in_one_sentence(tmp_path, capsys):
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--out", str(tmp_path / "site"), "--source", "my-repository"])
    assert main(given) == 2 and not (tmp_path / "site").exists()
    assert capsys.readouterr().err.count("\n") == 1


def test_each_lab_has_a_moving_figure():
    assert [path.stem[:2] for path in NOTEBOOKS] == sorted(MOVING)


@pytest.mark.parametrize("make", EVERYTHING, ids=lambda make: make.__name__)
def test_a_moving_figure_is_small_and_each_of_its_frames_is_told(make):
    made = made_once(make)
    drawing = ElementTree.fromstring(card(made))
    marks = [node for node in drawing.iter() if node.tag.endswith(("path", "image"))]
    assert 2 <= len(marks) < 800 and len(card(made)) < 60_000 and "NaN" not in card(made)
    parts, count = made.parts(), len(made.values)
    assert count >= 4 and len(set(made.readings)) == count and len(set(made.values)) == count
    assert len(json.dumps(parts, separators=(",", ":"))) < 400_000
    assert "(" in made.knob or made.knob in COUNTS
    for name, axis in parts["layout"].items():
        if name.startswith(("xaxis", "yaxis")):
            assert axis["title"]["text"] or not axis["visible"]
            assert axis["autorange"] is False and len(axis["range"]) == 2
    drawn = [trace for trace in parts["data"] if trace["mode"] != "text"]
    symbols = {str(t["marker"]["symbol"]) for t in drawn if t["mode"] == "markers"}
    dashes = {t["line"]["dash"] for t in drawn if t["mode"] == "lines"}
    widths = {t["line"]["width"] for t in drawn if t["mode"] == "lines"}
    pictures = [
        one["source"] for frame in parts["frames"] for one in frame["layout"].get("images", ())
    ]
    assert all(source.startswith("data:image/") for source in pictures), "asks another host"
    assert len(symbols) + len(dashes) + len(widths) > 3, "colour alone would tell its parts apart"
    for frame in parts["frames"]:
        assert len(frame["data"]) == len(frame["traces"])
        assert all(head["text"] for head in frame["layout"]["annotations"])


def test_a_card_draws_what_is_in_its_panel_and_keeps_units_and_logarithms():
    def drawn(panel, *traces, picture=()):
        shots = [Shot(str(k), str(k), ["a"], traces, picture) for k in range(2)]
        svg = card(moving("a", "b", "c", [panel], [], shots, card=(0, 1)))
        nodes = list(ElementTree.fromstring(svg))
        return [
            [float(v) for v in re.findall(r"-?[\d.]+", n.get("d") or "")] for n in nodes
        ], nodes

    square = Panel("x", "y", (-9, 9), (-9, 9), square=True)
    (path, *_), _ = drawn(square, line([-1, 1], [-1, 1], DATA), text_labels([0], [0], ["words"]))
    assert path == [80, 170, 240, 10]  # the height of the card, in the middle of its width
    wide = Panel("x", "y", (0.01, 100), (0, 1), "x")
    (path, *_), _ = drawn(wide, line([0.1, 1, 10], [0, 0.25, 1], DATA))
    assert path == [10, 170, 160, 130, 310, 10]
    gaps, _ = drawn(wide, polylines([[[0.1, 0], [1, 0]], [[1, 1], [10, 1]]], DATA))
    assert gaps == [[10, 170, 160, 170, 160, 10, 310, 10]]
    pixels = picture(np.zeros((2, 4), np.uint8), (0, 0, 4, 2))
    _, nodes = drawn(square, text_labels([0], [0], ["words"]), picture=[pixels])
    assert [nodes[0].get(name) for name in ("x", "y", "width", "height")] == [
        "10",
        "15",
        "300",
        "150",
    ]


def test_a_moving_figure_opens_alone_with_a_slider_of_its_own():
    made = made_once(MOVING["07"][0])
    figure = made.alone()
    assert len(figure.layout.sliders[0].steps) == len(figure.frames) == len(made.values)
    assert not made.figure.layout.sliders  # the page has its own
    assert {step.args[0][0] for step in figure.layout.sliders[0].steps} == {
        f.name for f in figure.frames
    }


def test_the_flow_on_the_front_page_is_the_exact_one():
    """D starts in the middle of the ring and ends where f has been all the time."""
    parts = made_once(MOVING[HERO][0]).parts()
    f = np.array([parts["data"][0]["x"], parts["data"][0]["y"]])
    first, last = (np.array([frame["data"][2][axis] for axis in "xy"], dtype=float)
                   for frame in (parts["frames"][0], parts["frames"][-1]))  # fmt: skip
    assert np.abs(first).max() < 0.3 and np.abs(last - f).max() < 0.02


def test_the_workflow_makes_what_the_makefile_makes():
    import yaml

    workflow = yaml.safe_load((ROOT / ".github/workflows/gallery.yml").read_text())
    triggers = workflow[True]  # YAML reads the key `on` as true
    assert triggers["push"]["branches"] == ["main"] and "workflow_dispatch" in triggers
    (job,) = workflow["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert [run.split(" ")[:2] for run in runs] == [["make", "gallery"]]
    recipe = re.search(
        r"^gallery:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe and "cmlab gallery" in recipe[1] and "$(SOURCE)" in recipe[1]
    path = next(step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", ""))
    assert f"--out {path} " in recipe[1] and "SOURCE=" in runs[0]


def test_an_exercise_cell_says_where_it_runs(site):
    text = (site / "02_consistency_function.html").read_text()
    nb = read(ROOT / "labs" / "02_consistency_function.ipynb")
    assert text.count('class="exercise"') == sum("exercise" in tags(c) for c in nb.cells) > 0
