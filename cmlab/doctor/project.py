"""What the doctor asks of the project: packages, notebooks, shipped weights and recordings."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from types import ModuleType
from zipfile import is_zipfile

from packaging.requirements import Requirement

from ..discovery import late_import
from .finding import AGAIN, Finding


def _labs() -> ModuleType:
    return late_import("labs")


def packages() -> Iterator[Finding]:
    """Each package cmlab needs, against its range and, in a checkout, against its pin."""
    pins = _pins()
    for needed in map(Requirement, requires("cmlab") or []):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield _package(needed, pins.get(needed.name))


def _package(needed: Requirement, pin: Requirement | None) -> Finding:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return Finding(needed.name, "missing", AGAIN, stops=True)
    if not needed.specifier.contains(found, prereleases=True):
        return Finding(needed.name, f"{found}, needed {needed.specifier}", AGAIN, stops=True)
    if pin is not None and not pin.specifier.contains(found):
        return Finding(needed.name, f"{found}, tested with {pin.specifier}", AGAIN)
    return Finding(needed.name, found)


def _pins() -> dict[str, Requirement]:
    try:
        lines = (_labs().checkout() / "constraints.txt").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {p.name: p for p in pins if p.marker is None or p.marker.evaluate()}


def pairs() -> Iterator[Finding]:
    try:
        folder = _labs().checkout() / "labs"
    except FileNotFoundError as error:
        yield Finding("labs", "not here", str(error))
        return
    notebooks = _labs().find(folder)
    bad = [fault for notebook in notebooks for fault in _labs().problems(notebook)]
    remedy = "run `cmlab labs run`; a notebook that you edited is set aside"
    yield from (Finding("labs", fault, remedy) for fault in bad)
    if not bad:
        yield Finding("labs", f"{len(notebooks)}, each in step with its source")


def checkpoints() -> Iterator[Finding]:
    try:
        folder = _labs().checkout() / "data" / "checkpoints"
    except FileNotFoundError:
        return
    remedy = "run `git checkout -- data/checkpoints`"
    weights = {p.stem for p in folder.glob("*.safetensors")}
    records = {p.stem for p in folder.glob("*.json")}
    for name in sorted(weights ^ records):
        missing = "weights" if name in records else "record"
        yield Finding("checkpoint", f"{name} has no {missing}", remedy, True)
    if not weights & records:
        yield Finding("checkpoint", "none", remedy, True)
    for name in sorted(weights & records):
        yield Finding("checkpoint", name)


def recordings() -> Iterator[Finding]:
    """What labs 04 to 09 replay: how many, and which are damaged."""
    try:
        folder = _labs().checkout() / "data" / "runs"
    except FileNotFoundError:
        return
    remedy = "run `git checkout -- data/runs`"
    found = sorted(folder.glob("*/*.npz"))
    for path in found:
        if not is_zipfile(path):
            yield Finding("recordings", f"{path.parent.name}/{path.name} is damaged", remedy, True)
    if found:
        yield Finding("recordings", f"{len(found)}")
    else:
        yield Finding("recordings", "none", remedy, True)
