"""Discovery: find modules and objects of the package by name, without a registry kept by hand.

`late_import` is the one place through which cmlab loads the code of the labs, for the commands,
presets and recorded kinds listed here. The folders of the shipped data are found here as well.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
ROOT = CHECKOUT or PACKAGE / "shipped"  # holds data/, in a wheel as pyproject.toml lists it
SHIPPED = ROOT / "data"  # weights, recordings and tables, to be read
OWN = (CHECKOUT or Path()) / "data"  # what is made or downloaded; installed: of the working folder

COMMANDS = {
    "bench": "cmlab_labs.lab17_atlas.benchmark",
    "record": "cmlab_labs.tools.record",
    "labs": "cmlab_labs.tools.notebooks.command",
    "gallery": "cmlab_labs.tools.gallery.site",
    "export": "cmlab_labs.live.export",
    "contest": "cmlab_labs.tools.contest",
    "weights": "cmlab_labs.tools.published",
}
PRESETS = {
    "music.edm": "cmlab_labs.lab15_music.preset",
    "music.cd": "cmlab_labs.lab15_music.preset",
}
KINDS = (
    "cmlab_labs.lab15_music.data.Sound",
    "cmlab_labs.lab15_music.data.Tunes",
    "cmlab_labs.lab15_music.analysis.MusicEvaluator",
    "cmlab_labs.lab15_music.networks.MusicCriticShape",
    "cmlab_labs.lab15_music.networks.StripUNetShape",
)


class LabsMissing(ValueError):
    """Raised when the labs' code is needed and is not installed."""


def late_import(name: str) -> ModuleType:
    """The labs' module behind a command, preset or recorded kind.

    Args:
        name: one of COMMANDS, PRESETS or KINDS.

    Raises:
        KeyError: for any other name.
        LabsMissing: if the labs' package is not installed.
    """
    kinds = {kind: kind.rpartition(".")[0] for kind in KINDS}
    place = {**COMMANDS, **PRESETS, **kinds}[name]
    package = place.partition(".")[0]
    if find_spec(package) is None:
        raise LabsMissing(f"{name} needs {package}, which is not installed; install cmlab again")
    return import_module(place)


@cache
def module_names(package: str) -> tuple[str, ...]:
    """Dotted names of a module or package and of all modules in it.

    They are read from the names of files. Only the parents of `package` are imported.
    """
    found = find_spec(package)
    names = {package} if found else set()
    for folder in map(Path, (found and found.submodule_search_locations) or ()):
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            names.add(".".join((package, *(part for part in parts if part != "__init__"))))
    return tuple(sorted(names))


def public_objects(package: str, files: tuple[str, ...] = ()) -> Iterator[Any]:
    """The objects of all modules in a package, in order of definition; imports the modules.

    Functions and classes that a module merely imports are left out, as are private modules and,
    where `files` are named, all modules of other names.
    """
    for name in module_names(package):
        if "._" in name or (files and name.rpartition(".")[2] not in files):
            continue
        for thing in list(vars(import_module(name)).values()):
            if getattr(thing, "__module__", name) == name or not hasattr(thing, "__qualname__"):
                yield thing
