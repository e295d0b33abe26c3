"""Pages that nobody types: papers and code from docstrings, tables of labs from front matter."""

import re
import shutil
from pathlib import Path

import pytest
from cmlab_labs.tools.notebooks.command import main, pages
from cmlab_labs.tools.notebooks.front import PAGES, front_matter, tables
from cmlab_labs.tools.notebooks.papers import CITES, all_docstrings, papers, sentences

ROOT = Path(__file__).parents[2]
FIRST = """\
# 18 · A new method

**Does it work?**

| | |
|---|---|
| Papers | Meyer, Kaya & Ito 2026, *On It* (NEW), Algorithm 1, [arXiv](x); Lu & Li 2025 |
| Level | 2 of 3 |
| Part | Beyond |
| Time | 40 minutes, and a run |
| Run All | 8 s on 2 CPU cores |
| You need | lab 07 |
"""


def test_the_generated_pages_are_in_step():
    stale = [
        page for page, text in pages(ROOT).items()
        if (ROOT / page).read_text(encoding="utf-8") != text
    ]  # fmt: skip
    assert stale == [], f"{', '.join(stale)} are out of step: run `cmlab labs papers`"


def test_every_lab_has_its_row_and_its_part():
    found = tables(ROOT)
    assert set(found) == set(PAGES)
    for source in sorted((ROOT / "labs" / "src").glob("[0-9]*.py")):
        assert found["README.md"].count(f"](labs/{source.stem}.ipynb) | ") == 1
        assert found["labs/README.md"].count(f"]({source.stem}.ipynb)") == 1


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one lab whose row no table has."""
    (tmp_path / "labs" / "src").mkdir(parents=True)
    (tmp_path / "constraints.txt").touch()
    for page in PAGES:
        shutil.copy(ROOT / page, tmp_path / page)
    monkeypatch.chdir(tmp_path)
    write_lab(tmp_path, FIRST)
    return tmp_path


def write_lab(root, first):
    cell = "".join(f"# {line}".rstrip() + "\n" for line in first.splitlines())
    (root / "labs" / "src" / "18_new.py").write_text(f"# %% [markdown]\n{cell}")


def test_the_row_of_a_lab_comes_from_its_first_cell(checkout, capsys):
    assert main(["papers"]) == 0 and "README.md" in capsys.readouterr().out
    assert (
        "| [18 A new method](labs/18_new.ipynb) | Does it work? | Meyer et al. 2026 (NEW), "
        "Algorithm 1; Lu & Li 2025 | 2 | 40 | 8 s |\n"
    ) in (checkout / "README.md").read_text()
    assert (
        "| Beyond | [18 A new method](18_new.ipynb) | 2 | choose between"
        in (checkout / "labs" / "README.md").read_text()
    )
    assert main(["papers"]) == 0 and capsys.readouterr().out == ""


@pytest.mark.parametrize(("was", "now", "said"), [
    ("**Does it work?**", "Does it?", "needs a first cell with '# NN · title' and '**question"),
    ("| Run All | 8 s on 2 CPU cores |\n", "", "needs the row '| Run All | … |' in its first"),
    ("Beyond", "Above", "18_new is of the part 'Above', which the first table of labs/README.md"),
])  # fmt: skip
def test_front_matter_that_is_not_whole_is_refused_in_one_sentence(
    checkout, was, now, said, capsys
):
    before = {page: (checkout / page).read_text() for page in PAGES}
    write_lab(checkout, FIRST.replace(was, now))
    assert main(["papers"]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert before == {page: (checkout / page).read_text() for page in PAGES}


def test_a_lab_without_a_paper_says_so_in_its_own_words():
    front = front_matter(re.sub(r"Meyer.*2025", "none, it is ours", FIRST), "it")
    assert front.papers == "none"


def test_every_link_of_the_page_leads_to_the_line_it_names():
    links = re.findall(r"\[`([\w.]+)`\]\(\.\./([\w./]+)#L(\d+)\)", papers(ROOT))
    assert len(links) > 40
    for name, path, line in links:
        text = (ROOT / path).read_text(encoding="utf-8").splitlines()
        if not path.endswith(name):
            assert name.split(".")[-1] in text[int(line) - 1], f"{path}:{line} is not {name}"


def test_every_method_of_a_paper_has_its_row_and_its_defaults():
    page = papers(ROOT)
    for path in sorted((ROOT / "cmlab" / "methods").glob("*.py")):
        if "arXiv" in path.read_text(encoding="utf-8"):
            assert page.count(f"(../cmlab/methods/{path.name}#L1)") >= 1
    assert "`target = EMATarget(GridDecay())`" in page
    assert "`bound = UnitNorm(0.1)`" in page and "init=False" not in page


def test_a_sentence_ends_at_its_stop_and_not_at_an_abbreviation():
    text = (
        "One thing. See Sec. 4.2 of Lu et al. 2025 for it, and App. E has a slip."
        "\n\n    a box. Not me."
    )
    assert sentences(text) == [
        "One thing.",
        "See Sec. 4.2 of Lu et al. 2025 for it, and App. E has a slip.",
    ]


def test_a_docstring_with_an_equation_is_listed():
    page = papers(ROOT)
    named = [
        p for p in all_docstrings(ROOT) if p.path.parts[1] == "methods" and CITES.search(p.text)
    ]
    assert len(named) >= 4 and all(p.link in page for p in named)
