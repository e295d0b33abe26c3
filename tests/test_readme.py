"""The README says what was measured."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def results_table():
    path = ROOT / "scripts" / "results_table.py"
    spec = importlib.util.spec_from_file_location("results_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["toy", "digits"])
def test_the_readmes_numbers_are_those_of_the_recorded_runs(kind):
    assert results_table().table(kind) in README


def test_every_lab_and_every_local_link_in_the_readme_exists():
    import re

    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    labs = {path.name for path in (ROOT / "labs").glob("*.ipynb")}
    assert labs <= {Path(link).name for link in links}
