"""Hosted notebooks: without an address nothing is offered; the cell keeps what the host has."""

import re
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from cmlab_labs.tools.gallery.cells import MediaFiles
from cmlab_labs.tools.gallery.markdown import Links
from cmlab_labs.tools.gallery.site import Site, lab
from cmlab_labs.tools.notebooks import build, check, hosted
from cmlab_labs.tools.notebooks.front import tables
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ADDRESS = "https://github.com/somebody/cmlab"


@pytest.fixture
def repository(tmp_path):
    """A copy of what the links and the cell are made from, with one lab."""
    for name in ("README.md", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "labs" / "src").mkdir(parents=True)
    for name in ("00_start_here.ipynb", "src/00_start_here.py"):
        shutil.copy(ROOT / "labs" / name, tmp_path / "labs" / name)
    return tmp_path


def publish(root, address=ADDRESS):
    path = root / "pyproject.toml"
    table = f'[project.urls]\nRepository = "{address}"\n\n[project.scripts]'
    path.write_text(path.read_text().replace("[project.scripts]", table))


def test_without_an_address_nothing_is_offered():
    assert hosted.address(ROOT) == hosted.head(ROOT) == "" and not list(hosted.links("", "x"))
    between = re.search(f"{re.escape(hosted.START)}(.*?){re.escape(hosted.END)}", readme(), re.S)
    assert between[1] == "" and "colab" not in readme().lower()
    assert all(build.cells_for(path)[1].cell_type == "markdown" or
               hosted.TAG not in build.tags(build.cells_for(path)[1])
               for path in build.find(ROOT / "labs")[:2])  # fmt: skip


def readme(root=ROOT):
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_address_alone_makes_the_links_and_the_cell_and_no_output_is_lost(repository):
    notebook = repository / "labs" / "00_start_here.ipynb"
    before = build.read(notebook)
    publish(repository)
    page = tables(repository)["README.md"]
    assert (
        f"colab.research.google.com/github/somebody/cmlab/blob/main/labs/{notebook.name}" in page
    )
    assert "mybinder.org/v2/gh/somebody/cmlab/main?labpath=labs%2F00_start_here.ipynb" in page
    assert "brought" in build.sync(notebook) and build.sync(notebook) == ""
    after = build.read(notebook)
    cell = after.cells.pop(1)
    assert build.tags(cell) == [hosted.TAG] and cell.metadata.jupyter == build.FOLDED
    assert after.cells == before.cells  # with their outputs
    assert check.problems(notebook) == [] and not check.out_of_date(notebook)


def test_a_lab_in_the_gallery_has_the_links_and_not_the_cell(repository, tmp_path):
    notebook = repository / "labs" / "00_start_here.ipynb"
    places = Links({}), MediaFiles(tmp_path), {}
    plain = Site(repository, tmp_path, *places).lab_page(lab(notebook), None, None).body
    publish(repository)
    build.sync(notebook)
    page = Site(repository, tmp_path, *places).lab_page(lab(notebook), None, None).body
    shown = re.search(r'<p class="hosted">.*?</p>\n', page, re.S)[0]
    assert shown.count("<a href=") == 2 and "Open in Colab" in shown
    assert page.replace(shown, "") == plain


def test_the_links_follow_a_change_and_go_with_the_address(repository):
    old = tables(repository)["README.md"]
    publish(repository)
    (repository / "README.md").write_text(tables(repository)["README.md"], encoding="utf-8")
    text = (repository / "pyproject.toml").read_text()
    (repository / "pyproject.toml").write_text(text.replace(ADDRESS, "https://example.org/a/b/"))
    moved = tables(repository)["README.md"]
    assert "somebody" not in moved and "Colab" not in moved  # it reads from GitHub alone
    assert "https://example.org/a/b" in unquote(moved)
    (repository / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert tables(repository)["README.md"] == old


def test_what_is_no_web_address_is_refused(repository):
    publish(repository, "somewhere")
    with pytest.raises(ValueError, match="takes an address such as https://…, not 'somewhere'"):
        tables(repository)


CELL = hosted.install_cell(ROOT, "cmlab.whl")


def test_where_cmlab_is_the_cell_does_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "check_call", pytest.fail)
    exec(CELL, {})


def installed_by(monkeypatch, host):
    """What the cell asks pip for on a host with these packages."""
    asked = []
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "check_call", asked.append)
    found = [type("Found", (), {"name": name, "version": v}) for name, v in host.items()]
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    exec(CELL, {})
    start = [sys.executable, "-m", "pip", "install", "-q"]
    assert all(words[:5] == start for words in asked)
    assert asked.pop()[5:] == ["--no-deps", "cmlab.whl"] and len(asked) <= 1
    return {Requirement(pin).name: pin for words in asked for pin in words[5:]}


def test_a_hosts_torch_is_kept_where_it_fits_and_pinned_where_not(monkeypatch):
    fits = {"torch": "2.11.0+cu128", "numpy": "2.1.3", "Scikit_Learn": "1.6.1"}
    old = {"torch": "2.4.1", "plotly": "5.24.1", "ipykernel": "6.17.1"}
    got = installed_by(monkeypatch, fits)
    assert not {"torch", "numpy", "scikit-learn"} & got.keys() and "plotly" in got
    got = installed_by(monkeypatch, old)
    (pin,) = re.findall("^torch==.*$", (ROOT / "constraints.txt").read_text(), re.M)
    assert got["torch"] == pin and "plotly" in got and "ipykernel" not in got


def test_on_an_empty_host_all_that_the_labs_import_is_pinned(monkeypatch):
    got = installed_by(monkeypatch, {})
    assert not set(hosted.SERVER) & got.keys() and all("==" in pin for pin in got.values())
    needed = {Requirement(r).name for r in hosted.project(ROOT)["dependencies"]}
    assert set(hosted.SERVER) < needed and got.keys() == needed - set(hosted.SERVER)


def test_a_host_that_lacks_only_cmlab_gets_only_cmlab(monkeypatch):
    pins = re.findall(r"^(\S+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.M)
    assert installed_by(monkeypatch, dict(pins)) == {}


def test_no_lab_imports_what_only_a_server_needs():
    """Nor does a module of cmlab or of a lab's folder; tools build the notebooks."""
    packages = {"nbconvert", "nbclient", "jupytext", "mistune", "latex2mathml", "nbval"}
    assert packages < set(hosted.SERVER)
    named = re.compile(rf"^\s*(?:import|from) ({'|'.join(packages)})\b", re.M)
    places = [*(ROOT / "cmlab").rglob("*.py"), *(ROOT / "labs" / "cmlab_labs").rglob("*.py")]
    users = {p.parent for p in places if named.search(p.read_text(encoding="utf-8"))}
    assert {p.relative_to(ROOT / "labs" / "cmlab_labs").parts[0] for p in users} == {"tools"}


def test_the_cell_is_code_that_a_notebook_takes():
    compile(CELL, "cell", "exec")
    nbformat.v4.new_code_cell(CELL)
    assert max(map(len, CELL.splitlines())) <= 120
