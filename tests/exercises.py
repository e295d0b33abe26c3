"""What a lab asks of its learner, read from its source: the stubs and the folded solutions.

from exercises import answers, solutions, stubs

first, second = answers(LAB, solutions(LAB))   # the functions that the solutions define
"""

import ast
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path

from cmlab_labs.tools.notebooks.build import read_source, tags

LABS = Path(__file__).parents[1] / "labs" / "src"
FENCED = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def lab(number: str) -> Path:
    """The source of the lab with this number, such as "01"."""
    (source,) = LABS.glob(f"{number}_*.py")
    return source


def tagged(source: Path, tag: str) -> list[str]:
    """The text of each cell that has this tag, in order."""
    return [cell.source for cell in read_source(source).cells if tag in tags(cell)]


def stubs(source: Path) -> list[str]:
    """The code of each exercise as the learner finds it: the cells tagged `exercise`."""
    return tagged(source, "exercise")


def solutions(source: Path) -> list[str]:
    """The code of each solution: the one ```python block in each cell tagged `solution`."""
    found = []
    for text in tagged(source, "solution"):
        (block,) = FENCED.findall(text)
        found.append(block)
    return found


def imports(source: Path) -> str:
    """Every import of the lab, so that a piece of its code can be run alone."""
    code = [c.source for c in read_source(source).cells if c.cell_type == "code"]
    nodes = [node for text in code for node in ast.parse(_plain(text)).body]
    return "\n".join(ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))


def answers(source: Path, pieces: Sequence[str]) -> list[Callable]:
    """The last function that each piece of code defines, run after the lab's imports."""
    functions = []
    for code in pieces:
        space: dict = {}
        exec(imports(source), space)
        exec(code, space)
        functions.append([v for v in space.values() if _defined_in(v, space)][-1])
    return functions


def _plain(text: str) -> str:
    """Code without the lines that only a notebook understands."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("%", "!")))


def _defined_in(value: object, space: dict) -> bool:
    return isinstance(value, types.FunctionType) and value.__globals__ is space
