"""The table of all methods as Markdown: mean and range over the seeds."""

from collections.abc import Sequence

from ..studies.recording import ranged
from .entries import ENTRIES
from .ledger import Row, score

FEW = (1, 2, 4)
DIFFUSION = ("exact", "edm", "edm-fast")
GUESSES = ("dps", "cm-dis", "editing")
BUDGETS = (4, 16, 40)


def few(rows: Sequence[Row]) -> str:
    """Error to the truth in 1, 2 and 4 calls, and what the training took."""
    head = ["method", "arXiv", "told", *[f"{n} call{'s' * (n > 1)}" for n in FEW], "rmse to f\\*",
            "samples (pre-training)", "CPU s", "MB"]  # fmt: skip
    body = [line(rows, arm) for arm in ENTRIES if arm not in GUESSES and arm != "truth"]
    return markdown([head, *body])


def line(rows: Sequence[Row], arm: str) -> list[str]:
    """One method's row of `few`."""
    entry, way = ENTRIES[arm], ways(rows, arm)[0]
    law = [ranged(score(rows, arm, "law", way, n)) for n in FEW]
    if not entry.parts:
        return [entry.title, entry.paper, "all", *law, "", "", "", ""]
    told = entry.teacher or "nothing"
    return [entry.title, entry.paper, told, *law, ranged(score(rows, arm, "rmse")),
            *cost(rows, arm)]  # fmt: skip


def cost(rows: Sequence[Row], arm: str) -> list[str]:
    """Samples, CPU seconds and megabytes of one method's training: means."""
    names = ("samples", "pretraining", "seconds", "bytes")
    samples, before, seconds, size = (score(rows, arm, name).mean() for name in names)
    seen = f"{samples:,.0f}" + (f" ({before:,.0f})" if before else "")
    return [seen, f"{seconds:.0f}", f"{size / 1e6:.1f}"]


def diffusion(rows: Sequence[Row]) -> str:
    """The same error in more calls, for what needs them."""
    asked = [(a["way"], a["calls"]) for a in answers(rows, "edm") if a["calls"] > max(FEW)]
    head = ["method", *[f"{way}, {n}" for way, n in asked]]
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
