"""Print the measures of the package's layout, each beside its limit (see tests/test_house.py).

    python scripts/house.py

Lines are lines of code: docstrings and blank lines are not counted.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"cmlab": ROOT / "cmlab", "cmlab_labs": ROOT / "labs" / "cmlab_labs"}
CORE = ("methods", "nets", "train")  # folders that, with the flat files, are the core ring
LATE = "cmlab.discovery"  # the one module of cmlab that may load cmlab_labs

# A method that comes later may add one file, and a lab as many as it has kinds of things. What
# flow maps share, flow_map.py, stands among the methods and counts as one.
METHODS, LABS, PER_LAB = 15, 18, 6  # files in cmlab/methods and labs when the limits were set
MORE_METHODS = max(0, len(list((ROOT / "cmlab" / "methods").glob("*.py"))) - METHODS)
MORE_LABS = max(0, len(list(PLACES["cmlab_labs"].glob("lab[0-9]*"))) - LABS)
OWN = 5  # reading pictures, packing own data, presets, judge of own samples, weights
FILES, LINES = 95 + MORE_METHODS + OWN, 11_500
CORE_FILES, CORE_LINES = 55 + MORE_METHODS, 7_000
# Live figures 4, ONNX 1, contest 1, moving figures of 18 and 19; published weights 1, hosted
# notebooks 1, the judges' record of lab 16.
LABS_FILES = 139 + PER_LAB * MORE_LABS
LAB_02 = 45
FILE_LINES, FUNCTION_LINES = 500, 50


@dataclass(frozen=True)
class Module:
    """One file of the two packages, parsed."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def lab(self) -> str:
        """The folder of cmlab_labs that the module lies in, such as "lab10_scm"; else empty."""
        parts = self.path.relative_to(ROOT).parts
        return parts[2] if parts[0] == "labs" and len(parts) > 3 else ""

    @property
    def core(self) -> bool:
        """Whether the module belongs to the core ring."""
        parts = self.path.relative_to(ROOT).parts
        return parts[0] == "cmlab" and (len(parts) == 2 or parts[1] in CORE)


@cache
def modules() -> dict[str, Module]:
    """All modules of cmlab and cmlab_labs by dotted name."""
    found = {}
    for package, folder in PLACES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            name = ".".join(part for part in parts if part != "__init__")
            text = path.read_text(encoding="utf-8")
            found[name] = Module(name, path, text, ast.parse(text))
    return found


def of(package: str) -> list[Module]:
    """The modules of one package."""
    return [m for m in modules().values() if m.name.split(".")[0] == package]


def core() -> list[Module]:
    """The modules of the core ring: flat files, methods, nets and train."""
    return [m for m in of("cmlab") if m.core]


def documentation(tree: ast.AST) -> set[int]:
    """The numbers of the lines that docstrings take."""
    numbers: set[int] = set()
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node):
            numbers.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return numbers


def lines(module: Module) -> int:
    """Lines of code of a file."""
    skipped = documentation(module.tree)
    rows = enumerate(module.text.splitlines(), 1)
    return sum(bool(row.strip()) and number not in skipped for number, row in rows)


def function_lines(module: Module) -> dict[str, int]:
    """Lines of each function of a file by name, its docstring apart."""
    found = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            doc = node.body[0] if ast.get_docstring(node) else None
            spared = (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - spared
            found[f"{module.name}.{node.name}"] = length
    return found


def _statements(node: ast.AST, late: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that run; those inside functions only if `late`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.Lambda) and not late:
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from _statements(child, late)


def imports(module: Module, late: bool = False) -> set[str]:
    """The modules of the two packages that a module names in its imports."""
    found = set()
    for node in _statements(module.tree, late):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            above = module.package.split(".")
            above = above[: len(above) - node.level + 1] if node.level else []
            base = ".".join((*above, *([node.module] if node.module else [])))
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else base for name in names]
        found |= {name for name in names if name in modules() and name != module.name}
    return found


def cycle() -> list[str]:
    """A circle of imports at load time, as a list of modules; empty if there is none."""
    graph = {name: imports(module) for name, module in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward() -> list[str]:
    """Imports of cmlab_labs in cmlab: "importer -> imported", the late import apart."""
    return [
        f"{m.name} -> {name}"
        for m in of("cmlab")
        for name in sorted(imports(m, late=True))
        if name.split(".")[0] == "cmlab_labs"
    ]


def is_lab(folder: str) -> bool:
    """Whether a folder of cmlab_labs is that of one lab."""
    return folder.startswith("lab") and folder[3:5].isdigit()


def common_to_labs() -> list[str]:
    """Imports of a lab's or a tool's module in `common`."""
    return [
        f"{m.name} -> {name}"
        for m in of("cmlab_labs")
        if m.lab == "common"
        for name in sorted(imports(m, late=True))
        if name.startswith("cmlab_labs.") and modules()[name].lab not in ("", "common")
    ]


def lab_to_lab() -> list[str]:
    """Imports of another lab's module in a lab."""
    return [
        f"{m.name} -> {name}"
        for m in of("cmlab_labs")
        if is_lab(m.lab)
        for name in sorted(imports(m, late=True))
        if is_lab(modules()[name].lab) and modules()[name].lab != m.lab
    ]


def strays() -> list[str]:
    """Modules of `common` that fewer than two labs use, notebooks counted."""
    graph = {m.name: imports(m, late=True) for m in of("cmlab_labs")}
    users: dict[str, set[str]] = defaultdict(set)
    for m in of("cmlab_labs"):
        if m.lab != "common":
            for name in _reached(m.name, graph):
                users[name].add(m.lab)
    for path in sorted((ROOT / "labs" / "src").glob("[0-9]*.py")):
        text = path.read_text(encoding="utf-8")
        asked = imports(Module(path.stem, path, text, ast.parse(text)), late=True)
        for name in {n for a in asked for n in (a, *_reached(a, graph))}:
            users[name].add(f"lab{path.stem[:2]}")
    shared = [m for m in of("cmlab_labs") if m.lab == "common" and m.path.name != "__init__.py"]
    return [m.name for m in shared if len({user[:5] for user in users[m.name]}) < 2]


def _reached(name: str, graph: dict[str, set[str]]) -> set[str]:
    """All that a module loads, itself apart."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in graph.get(waiting.pop(), set()) - found:
            found.add(other)
            waiting.append(other)
    return found


def loaded_by_lab(number: str) -> list[str]:
    """The modules of cmlab that the import lines of a lab's source load."""
    source = next((ROOT / "labs" / "src").glob(f"{number}_*.py"))
    tree = ast.parse(source.read_text(encoding="utf-8"))
    wanted = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    code = "\n".join(map(ast.unparse, wanted))
    code += "\nimport sys\nprint(*[m for m in sys.modules if m.split('.')[0] == 'cmlab'])"
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'labs')!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", paths + code], capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.split()


def twice() -> dict[str, list[str]]:
    """Public classes of the two packages whose name stands in more than one module."""
    places = defaultdict(list)
    for m in modules().values():
        for node in m.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(m.name)
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def table() -> list[tuple[str, int, int]]:
    """The measures: what, its value now, and its limit."""
    ring, labs = core(), of("cmlab_labs")
    longest = max(n for m in ring for n in function_lines(m).values())
    return [
        ("files in cmlab", len(of("cmlab")), FILES),
        ("lines of code in cmlab", sum(map(lines, of("cmlab"))), LINES),
        ("files in its core ring", len(ring), CORE_FILES),
        ("lines of code in its core ring", sum(map(lines, ring)), CORE_LINES),
        ("lines of code in the core's longest file", max(map(lines, ring)), FILE_LINES),
        ("lines of the core's longest function", longest, FUNCTION_LINES),
        ("files in cmlab_labs", len(labs), LABS_FILES),
        ("modules of cmlab loaded by the imports of lab 02", len(loaded_by_lab("02")), LAB_02),
        ("files of one lab outside its folder", len(strays()), 0),
        ("imports of cmlab_labs in cmlab", len(upward()), 0),
        ("imports of a lab in common", len(common_to_labs()), 0),
        ("imports of one lab in another", len(lab_to_lab()), 0),
        ("modules in a circle of imports", len(cycle()), 0),
        ("public class names that stand twice", len(twice()), 0),
    ]


def main() -> int:
    """Exit status 1 if a limit is passed."""
    rows = table()
    width = max(len(what) for what, _, _ in rows)
    for what, value, limit in rows:
        mark = "" if value <= limit else "  over"
        sys.stdout.write(f"{what:<{width}}  {value:>6} of {limit:>6}{mark}\n")
    return int(any(value > limit for _, value, limit in rows))


if __name__ == "__main__":
    raise SystemExit(main())
