"""The table of all methods as Markdown: mean and range over the seeds."""

from collections.abc import Sequence

from ..studies.recording import ranged
from .asked import Generates
from .entries import ENTRIES
from .ledger import Row, score

FEW = (1, 2, 4)
DIFFUSION = ("exact", "edm", "edm-fast")
GUESSES = ("dps", "cm-dis", "editing")
BUDGETS = (4, 16, 40)
GENERATORS = tuple(arm for arm, entry in ENTRIES.items() if isinstance(entry.asked, Generates))
NAMES = {"ddim": "DDIM", "heun": "Heun"}  # the ways of denoisers; all others are students'


def few(rows: Sequence[Row]) -> str:
    """Error to the truth in 1, 2 and 4 calls, and the share of samples near a mode, hq."""
    head = ["method", "arXiv", "told", *[counted(n) for n in FEW], *[f"hq, {n}" for n in FEW]]
    return markdown([head, *[line(rows, arm) for arm in GENERATORS]])


def costs(rows: Sequence[Row]) -> str:
    """What the trainings took, and how far the networks are from f*."""
    head = ["method", "rmse to f\\*", "samples (pre-training)", "CPU s", "MB"]
    trained = [arm for arm in GENERATORS if ENTRIES[arm].parts]
    body = [[ENTRIES[a].title, ranged(score(rows, a, "rmse")), *cost(rows, a)] for a in trained]
    return markdown([head, *body])


def counted(calls: int) -> str:
    return f"{calls} call{'s' * (calls > 1)}"


def line(rows: Sequence[Row], arm: str) -> list[str]:
    """One method's row of `few`."""
    entry, way = ENTRIES[arm], ways(rows, arm)[0]
    law = [ranged(score(rows, arm, "law", way, n)) for n in FEW]
    near = [ranged(score(rows, arm, "hq", way, n)) for n in FEW]
    told = entry.teacher or "nothing" if entry.parts else "the exact law"
    return [entry.title, entry.paper, told, *law, *near]


def cost(rows: Sequence[Row], arm: str) -> list[str]:
    """Samples, CPU seconds with their range, and megabytes of one method's training."""
    samples, before, size = (
        score(rows, arm, n).mean() for n in ("samples", "pretraining", "bytes")
    )
    seen = f"{samples:,.0f}" + (f" ({before:,.0f})" if before else "")
    return [seen, ranged(score(rows, arm, "seconds"), ".0f"), f"{size / 1e6:.1f}"]


def diffusion(rows: Sequence[Row]) -> str:
    """The same error in more calls, for what needs them."""
    asked = [(a["way"], a["calls"]) for a in answers(rows, "edm") if a["calls"] > max(FEW)]
    head = ["method", *[f"{NAMES[way]}, {counted(n)}" for way, n in asked]]
    body = [
        [ENTRIES[arm].title, *[ranged(score(rows, arm, "law", *ask)) for ask in asked]]
        for arm in DIFFUSION
    ]
    return markdown([head, *body])


def guesses(rows: Sequence[Row]) -> str:
    """W₁ to the exact posterior, by calls."""
    head = ["method", "arXiv", *[f"{n} calls" for n in BUDGETS]]
    body = [
        [ENTRIES[arm].title, ENTRIES[arm].paper,
         *[ranged(score(rows, arm, "w1", ways(rows, arm)[0], n)) for n in BUDGETS]]
        for arm in GUESSES
    ]  # fmt: skip
    return markdown([head, *body])


def answers(rows: Sequence[Row], arm: str) -> list[Row]:
    """The answers of an arm's first run that came to something."""
    return next((row["answers"] for row in rows if row["arm"] == arm and "answers" in row), [])


def ways(rows: Sequence[Row], arm: str) -> list[str]:
    """The ways of an arm, in order."""
    return list(dict.fromkeys(a["way"] for a in answers(rows, arm)))


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first the head."""
    head, *body = table
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)
