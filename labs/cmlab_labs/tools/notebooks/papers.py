"""Paper index labs/PAPERS.md, made from docstrings: equations, and paper against code.

A docstring that names an equation, table, section or algorithm becomes a row of the index, and
one that tells paper from code a row of the second table. Nothing is typed in twice.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = "labs/PAPERS.md"
CITES = re.compile(
    r"\b(eqs?\.|Algorithm|Alg\.|Table|Theorem|Definition|Section|Sec\.|Appendix|App\.)\s*[A-Z0-9]"
)
DIFFERS = re.compile(
    r"\b(authors' (\w+ )?code|authors released|the code\b|code of [A-Z]|their \w+ code|public code"
    r"|reimplementation|is ours|our choice|as reported|FastGen|rCM)"
)
SENTENCE = re.compile(
    r"(?<=[a-z0-9)\]²σθ.])[.;](?=\s+[A-Zθλσ(`])(?<!Sec\.)(?<!App\.)(?<!eq\.)(?<!et al\.)"
)
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{5})")
OF_LABS = {"analysis.py", "data.py", "networks.py", "windows.py"}  # the others cite to teach
METHODS = {"Method", "ConsistencyTraining"}  # bases of a method
HEAD = """# Paper ↔ code

Made from the docstrings by `cmlab labs papers`; a test keeps it in step. Equation numbers are the
papers'. Symbols: t > r are two times, σ/α is the noise level, θ⁻ is `target`, φ is `teacher`,
k is `step`; the table of symbols is in [labs/README.md](README.md).
"""


@dataclass(frozen=True)
class Docstring:
    """A docstring, where it stands, and the fields of a dataclass with their defaults."""

    path: Path  # below the repository
    name: str  # of the class or function; "" is the file itself
    line: int
    text: str
    fields: str = ""
    bases: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        shown = self.name or self.path.name
        return f"[`{shown}`](../{self.path.as_posix()}#L{self.line})"


def all_docstrings(root: Path) -> Iterator[Docstring]:
    """Every docstring of the package and of what labs compute, in the order of the files."""
    core = (p for p in (root / "cmlab").rglob("*.py") if p.parent.name != "presets")
    labs = (p for p in (root / "labs" / "cmlab_labs").glob("lab*/*.py") if p.name in OF_LABS)
    for path in [*sorted(core), *sorted(labs)]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from docstrings(tree, path.relative_to(root), "")


def docstrings(node: ast.AST, path: Path, name: str) -> Iterator[Docstring]:
    """The docstring of a module, class or function and of all inside it."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
        text := ast.get_docstring(node)
    ):
        bases = tuple(ast.unparse(base) for base in getattr(node, "bases", ()))
        yield Docstring(path, name, getattr(node, "lineno", 1), text, fields(node), bases)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from docstrings(child, path, f"{name}.{child.name}".lstrip("."))


def fields(node: ast.AST) -> str:
    """The fields of a class that have a default: `name = default`, in order."""
    kept = [n for n in getattr(node, "body", ()) if isinstance(n, ast.AnnAssign) and n.value]
    pairs = [(ast.unparse(n.target), default(n.value)) for n in kept if n.value]
    return ", ".join(f"`{name} = {value}`" for name, value in pairs if value)


def default(value: ast.expr) -> str:
    """A field's default as one reads it; "" for a field that nobody sets."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "field"):
        return ast.unparse(value)
    named = {k.arg: k.value for k in value.keywords}
    made = named.get("default_factory")
    if made is None or "init" in named:
        return ""
    return ast.unparse(made.body) if isinstance(made, ast.Lambda) else f"{ast.unparse(made)}()"


def sentences(text: str) -> list[str]:
    """The sentences of a docstring, each on one line; an algorithm box is left out."""
    blocks = [b for b in text.split("\n\n") if not b.startswith("    ")]
    lines = [re.sub(r"\s+", " ", block).strip() for block in blocks]
    found = []
    for block in lines:
        cut = [m.end() for m in SENTENCE.finditer(block)]
        found += [block[a:b].strip() for a, b in zip([0, *cut], [*cut, None], strict=True)]
    return [sentence for sentence in found if sentence]


def papers(root: Path) -> str:
    """The page."""
    every = list(all_docstrings(root))
    parts = (methods(every), defaults(every), index(every), differences(every))
    return "\n".join([HEAD, *(line for part in parts for line in part)]) + "\n"


def methods(every: list[Docstring]) -> list[str]:
    """One row for each paper's file."""
    rows = ["## The methods", "", "| paper | arXiv | file |", "|---|---|---|"]
    for place in every:
        if not place.name and (found := ARXIV.search(place.text)):
            title = place.text.split("\n")[0].split(" (")[0].rstrip(".")
            link = f"[{found[1]}](https://arxiv.org/abs/{found[1]})"
            rows.append(f"| {cell(title)} | {link} | {place.link} |")
    return [*rows, ""]


def defaults(every: list[Docstring]) -> list[str]:
    """One row for each method: its ingredients and hyper-parameters."""
    head = "## Ingredients and hyper-parameters of the methods, with their defaults"
    rows = [
        f"| {place.link} | {cell(place.fields)} |"
        for place in every
        if place.fields and METHODS.intersection(place.bases)
    ]
    return [head, "", "| method | fields |", "|---|---|", *rows, ""]


def index(every: list[Docstring]) -> list[str]:
    """One row for each sentence that names an equation, table or section."""
    rows = ["## Where it lives", "", "| file | name | what |", "|---|---|---|"]
    return [*rows, *matching_rows(every, CITES), ""]


def differences(every: list[Docstring]) -> list[str]:
    """One row for each sentence that tells paper from code."""
    head = "## Where paper and code differ, and the side taken"
    return [head, "", "| file | name | what |", "|---|---|---|", *matching_rows(every, DIFFERS)]


def matching_rows(every: list[Docstring], pattern: re.Pattern[str]) -> Iterator[str]:
    for place in every:
        lines = sentences(place.text)
        said = [s for s in lines if pattern.search(s)]
        if said:
            first = lines[:1] if said[0] != lines[0] else []
            file = place.path.as_posix().removeprefix("cmlab/").removeprefix("labs/cmlab_labs/")
            yield f"| `{file}` | {place.link} | {cell(' '.join([*first, *said]))} |"


def cell(text: str) -> str:
    """Text that a table can hold."""
    return text.replace("|", "\\|")
