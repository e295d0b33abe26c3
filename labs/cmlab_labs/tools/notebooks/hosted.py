"""Hosted notebooks: links to Colab and Binder, and the cell that installs cmlab there.

All of it follows from one setting, the repository's public address, `Repository` under
[project.urls] in pyproject.toml. Where there is none there are no links and no cell. After it is
set or changed, `cmlab labs sync` writes the links into README.md and the cell into each notebook.

Binder builds the environment of environment.yml. Colab has an environment of its own, with a
torch for the device that it offers; whatever fits cmlab's ranges is kept, and only what is missing
or does not fit is installed, as constraints.txt pins it. Jupyter's server stays the host's.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from packaging.requirements import Requirement

TAG = "hosted"  # of the cell
SERVER = (  # what only JupyterLab itself, and the building of notebooks and pages, need
    "jupyterlab", "ipykernel", "jupytext", "nbval", "nbclient", "nbconvert", "mistune", "pygments",
    "latex2mathml",
)  # fmt: skip
START = "<!-- hosted notebooks: written by `cmlab labs sync` from [project.urls] -->\n"
END = "<!-- end of hosted notebooks -->\n"
CELL = '''\
# For hosted notebooks: installs cmlab {version} and what its labs lack; where cmlab is, nothing.
from importlib.util import find_spec

if find_spec("cmlab") is None:
    import importlib
    import subprocess
    import sys
    from importlib.metadata import distributions

    from packaging.requirements import Requirement

    NEEDED = """
{needed}
"""
    PINS = """
{pins}
"""
    there = {{str(d.name).lower().replace("_", "-"): d.version for d in distributions()}}
    kept = {{
        r.name
        for r in map(Requirement, NEEDED.split("\\n")[1:-1])
        if r.name in there and r.specifier.contains(there[r.name], prereleases=True)
    }}
    missing = [pin for pin in PINS.split("\\n")[1:-1] if Requirement(pin).name not in kept]
    install = [sys.executable, "-m", "pip", "install", "-q"]
    for words in filter(None, (missing, ["--no-deps", "{wheel}"])):
        subprocess.check_call([*install, *words])
    importlib.invalidate_caches()
'''


def project(root: Path) -> dict[str, Any]:
    """The table [project] of pyproject.toml; empty where there is none."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return tomllib.loads(text).get("project", {})


def address(root: Path) -> str:
    """The repository's public address, or "". Raises ValueError for one that is no web address."""
    found = project(root).get("urls", {}).get("Repository", "").rstrip("/")
    if found and not (urlsplit(found).scheme == "https" and urlsplit(found).path):
        raise ValueError(
            f"Repository in pyproject.toml takes an address such as https://…, not {found!r}"
        )
    return found


def links(repository: str, path: str) -> Iterator[tuple[str, str]]:
    """What to press and where it leads, to open a notebook of the repository at this address."""
    if not repository:
        return
    place = urlsplit(repository)
    at_github, name = place.netloc == "github.com", place.path.strip("/")
    if at_github:  # Colab reads notebooks from nowhere else
        page = f"https://colab.research.google.com/github/{name}/blob/main/{path}"
        yield "Open in Colab", page
    where = f"gh/{name}" if at_github else f"git/{quote(repository, safe='')}"
    yield "Open in Binder", f"https://mybinder.org/v2/{where}/main?labpath={quote(path, safe='')}"


def with_links(text: str, root: Path, path: str = "labs/00_start_here.ipynb") -> str:
    """A page with its links to hosted notebooks between the two comments that mark them."""
    found = [f"**[{label}]({page})**" for label, page in links(address(root), path)]
    said = " · ".join(found) + ": lab 00, with nothing to install on your computer.\n\n"
    marked = re.compile(f"({re.escape(START)}).*?({re.escape(END)})", re.DOTALL)
    return marked.sub(lambda m: m[1] + ("\n" + said if found else "") + m[2], text)


def head(root: Path) -> str:
    """The code of the cell that installs cmlab in a hosted notebook, or "" without an address."""
    repository, about = address(root), project(root)
    return install_cell(root, release(repository, about["version"])) if repository else ""


def release(repository: str, version: str) -> str:
    """The address of a released wheel."""
    return f"{repository}/releases/download/v{version}/cmlab-{version}-py3-none-any.whl"


def install_cell(root: Path, wheel: str) -> str:
    """The code of the cell that installs this wheel and what the host lacks of its needs."""
    about = project(root)
    needed = [r for r in about["dependencies"] if Requirement(r).name not in SERVER]
    names = {Requirement(r).name for r in needed}
    pinned = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for pin in pinned if Requirement(pin).name in names]
    return CELL.format(
        version=about["version"], needed="\n".join(needed), pins="\n".join(pins), wheel=wheel
    )
