"""The page that ties papers to code is read out of the docstrings, and nothing else."""

import re
from pathlib import Path

from cmlab_labs.tools.notebooks.papers import CITES, PAGE, all_docstrings, papers, sentences

ROOT = Path(__file__).parents[2]


def test_the_page_is_in_step_with_the_docstrings():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == papers(ROOT), "run `cmlab labs papers`"


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
