"""The README says what was measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from cmlab_labs.common.study import ranged
from cmlab_labs.lab17_atlas.benchmark import read_rows, score

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def results_table():
    path = ROOT / "scripts" / "results_table.py"
    spec = importlib.util.spec_from_file_location("results_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kind", "page"),
    [("toy", "docs/results.md"), ("toy maps", "docs/results.md"), ("digits", "README.md")],
)
def test_the_tables_of_the_presets_are_those_of_the_recorded_runs(kind, page):
    assert results_table().table(kind) in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("preset", "score", "bar"),
    [
        ("toy.lsd", "rmse1", 0.085),
        ("toy.meanflow", "rmse1", 0.145),
        ("toy.lmd", "rmse1", 0.065),
        ("toy.lmd", "sw1", 0.028),
    ],
)
def test_the_recorded_flow_maps_are_as_near_to_the_exact_one_as_they_have_to_be(
    preset, score, bar
):
    lines = (ROOT / "docs" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [run for run in map(json.loads, lines) if run["preset"] == preset]
    assert [run["seed"] for run in runs] == [0, 1, 2]
    assert sum(run[score] for run in runs) / 3 <= bar


@pytest.mark.parametrize("number", range(4), ids=["few calls", "cost", "diffusion", "guesses"])
def test_the_readmes_atlas_is_the_table_that_bench_wrote(number):
    assert results_table().atlas()[number] in README


EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_of_the_documents_runs_alone(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def test_what_the_readme_says_of_the_truth_is_in_the_table():
    rows = read_rows()
    for name, way in (("sliced_w2", "truth"), ("w1", "truth"), ("w1", "prior")):
        assert ranged(score(rows, "truth", name, way)) in README


def test_every_picture_of_the_readme_is_made_by_its_script():
    script = (ROOT / "scripts" / "readme_pictures.py").read_text(encoding="utf-8")
    made = set(re.findall(r'^    "(\w+)": ', script, re.MULTILINE))
    shown = set(re.findall(r"\]\(docs/(\w+)\.png\)", README))
    assert made == shown == {path.stem for path in (ROOT / "docs").glob("*.png")}


def test_every_lab_and_every_local_link_in_the_readme_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    labs = {path.name for path in (ROOT / "labs").glob("*.ipynb")}
    assert labs <= {Path(link).name for link in links}


PAGES = ("*.md", "data/*.md", "docs/*.md", "findings/*.md", "labs/*.md")
NAMED = re.compile(
    r"(?<![\w/.])(?:cmlab|labs|tests|scripts|benchmarks|findings)/[\w/]+\.(?:py|sh|toml)\b"
)


def test_every_file_of_the_repository_that_a_document_names_exists():
    named = {
        (page.name, name)
        for pattern in PAGES
        for page in ROOT.glob(pattern)
        for name in NAMED.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    missing = {pair for pair in named if not (ROOT / pair[1]).exists()}
    assert sorted(pair for pair in missing if not re.search("NAME|NN", pair[1])) == []
