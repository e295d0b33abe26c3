"""The package is built in floors: imports go down only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cmlab"

FLOORS = (
    {
        "aliases",
        "discovery",
        "ingredients",
        "vocabulary",
        "ops",
        "schedule",
        "momentum",
        "checkpoint",
        "finite",
        "tightening",
    },
    {"process", "coupling", "oracle", "components", "solve"},
    {"times", "curriculum", "distance", "model", "nets", "tangent", "operators", "bases"},
    {
        "windows",
        "guide",
        "guidance",
        "adversary",
        "sample",
        "phases",
        "inverse",
        "editing",
        "convert",
        "balance",
    },
    {"methods"},
    {
        "objective",
        "ema",
        "optimizer",
        "config",
        "engine",
        "compiling",
        "batches",
        "blame",
        "state",
        "train",
        "callbacks",
    },
    {"data"},  # beside the floors: stands on the first four, serves those above
    {"evaluate"},  # likewise
    {
        "judge",
        "decoded",
        "by_ends",
        "by_walk",
        "scores",
        "recipe",
        "presets",
        "provenance",
        "diary",
        "folder",
        "change",
        "sitting",
        "forecast",
        "runs",
        "settings",
        "ship",
    },
    {"studies", "atlas"},
    {"figures", "check", "moving"},
    {"widgets"},
    {"labs", "gallery"},
    {"doctor"},
    {"cli", "__main__", "__init__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
BESIDE = {"data": 3, "evaluate": 3}  # the highest floor that these may use, apart from each other

FILES = sorted(PACKAGE.rglob("*.py"))


def _part(path):
    return path.relative_to(PACKAGE).as_posix()


def _name(path):
    """What has a floor: the file's folder or, at the top, the file itself."""
    return _part(path).split("/")[0].removesuffix(".py")


def _run_time_nodes(node):
    """All nodes but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _run_time_nodes(child)


def imported(source, path):
    """The parts of cmlab that a file imports."""
    package = ("cmlab", *path.relative_to(PACKAGE).parts[:-1])
    for node in _run_time_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += (node.module or "").split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from {parts[1] for parts in names if parts[0] == "cmlab" and len(parts) > 1}


def climbs(importer, importee):
    if importer == importee or importee not in FLOOR:
        return False  # its own folder, or a name from cmlab/__init__.py
    if importer in BESIDE and importee not in BESIDE:
        return FLOOR[importee] > BESIDE[importer]
    return FLOOR[importee] > FLOOR[importer]


@pytest.mark.parametrize("path", FILES, ids=_part)
def test_imports_go_down_only(path):
    importer = _name(path)
    assert importer in FLOOR, f"give {importer} a floor in {Path(__file__).name}"
    upwards = [name for name in imported(path.read_text(), path) if climbs(importer, name)]
    assert upwards == (["cli"] if path.name == "command.py" and "cli" in upwards else [])


def test_an_import_that_climbs_is_noticed():
    source = "from ..train import Trainer\nfrom .. import ops\nimport cmlab.figures.style"
    path = PACKAGE / "methods" / "cd.py"
    assert set(imported(source, path)) == {"train", "ops", "figures"}
    assert [name for name in ("train", "ops", "figures") if climbs("methods", name)] == [
        "train",
        "figures",
    ]
    assert climbs("data", "methods") and not climbs("evaluate", "data")


def _calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=_part)
def test_no_file_is_ever_unpickled(path):
    """A pickle runs code when it is read. Weights are safetensors, records are JSON."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = {getattr(node, "module", None), *(alias.name for alias in node.names)}
            assert not modules & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for function, call in _calls(path):
        assert function not in {"torch.load", "torch.save", "np.save", "numpy.save"}
        if function in {"np.load", "numpy.load"}:
            assert "allow_pickle=False" in call


@pytest.mark.parametrize("path", FILES, ids=_part)
def test_code_does_not_print(path):
    if _name(path) not in {"cli", "doctor", "labs", "callbacks"}:
        assert "print" not in {function for function, _ in _calls(path)}
