"""Torture: kill, fuzz and race the real commands, and print how each kind of attack ended.

    python scripts/torture.py --out DIR --inputs 3200 --processes 300 --kills 100

Not part of the tests, which run a short seeded piece of it. Every case is a function of the seed,
its kind and its number; what is done is kept in DIR/ledger.jsonl, so the same command goes on
where it was stopped. The kinds are numbered as in docs/reliability.md.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from torture_data import own_data  # noqa: E402
from torture_inputs import INPUTS, Shelf  # noqa: E402
from torture_processes import KILLS, PROCESSES, RACES  # noqa: E402
from torture_run import ROOT, run  # noqa: E402

KINDS = {
    1: "two at once",
    2: "launchers",
    3: "killed early",
    4: "updated under way",
    5: "signals",
    6: "damaged and foreign files",
    7: "settings",
    8: "where NaN began",
    9: "good files",
    10: "markup",
    11: "installed elsewhere",
    12: "own data",
}
Row = dict[str, Any]
Key = tuple[str, int, int]
GENERATORS = {
    "inputs": {**INPUTS, **RACES, 12: (own_data,)},
    "kills": KILLS,
    "processes": PROCESSES,
}
SHARE = {6: 4, 7: 4}  # of the inputs; other kinds 1


def main() -> int:
    """Exit status 1 if a case ended in a traceback, a hang or want of memory, or unsound."""
    given = arguments().parse_args()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    ledger = given.out / "ledger.jsonl"
    rows = read(ledger)
    if given.case:
        part, kind, number = given.case.split(":")
        return one(given, (part, int(kind), int(number)))
    until = time.monotonic() + 60 * given.minutes
    shelf = Shelf(given.out / "shelf")
    for key in wanted(given, rows):
        if time.monotonic() > until:
            break
        row = attempt(given.seed, key, shelf, given.out)
        rows[key] = row
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if row["outcome"] in BAD or row["fault"]:
            what = f"{row['outcome']}, {row['name']}: {row['fault'] or row['said']}"
            sys.stderr.write(f"{':'.join(map(str, key))} {what}\n")
    sys.stdout.write(table(rows.values()) + "\n")
    return int(any(row["outcome"] in BAD or row["fault"] for row in rows.values()))


BAD = ("traceback", "hang", "memory")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("torture"), help="ledger and folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that")
    parser.add_argument("--kind", default="", help="as in 6,7; default all")
    parser.add_argument("--inputs", type=int, default=3200, help="through main(), of all kinds")
    parser.add_argument("--processes", type=int, default=300, help="whole processes")
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs")
    parser.add_argument("--again", default="", help="outcomes to try again: bad, all")
    parser.add_argument("--case", default="", help="one case, as PART:KIND:NUMBER, to look at")
    return parser


def wanted(given: argparse.Namespace, rows: dict[Key, Row]) -> Iterator[Key]:
    """The cases that are asked for and not done, the kinds by turns."""
    kinds = [int(k) for k in given.kind.split(",") if k] or list(KINDS)
    now = commit()
    plan: list[Key] = []
    for part, generators in GENERATORS.items():
        total = getattr(given, part)
        mine = [k for k in generators for _ in range(SHARE.get(k, 1) if part == "inputs" else 1)]
        counts: Counter[int] = Counter(mine[i % len(mine)] for i in range(total) if mine)
        plan += [(part, k, i) for k in generators if k in kinds for i in range(counts[k])]
    for key in sorted(plan, key=lambda key: (key[2], key[0], key[1])):
        row = rows.get(key)
        stale = row and row["commit"] != now
        bad = row and (row["outcome"] in BAD or row["fault"])
        if not row or (given.again == "all" and stale) or (given.again == "bad" and bad and stale):
            yield key


def commit() -> str:
    said = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        encoding="utf-8",
    )
    return said.stdout.strip()


def case_of(seed: int, key: Key, shelf: Shelf) -> Any:
    """The case of this part, kind and number."""
    part, kind, number = key
    rng = random.Random(f"{seed} {part} {kind} {number}")
    makers = GENERATORS[part][kind]
    return makers[number % len(makers)](rng, shelf)


def attempt(seed: int, key: Key, shelf: Shelf, out: Path) -> Row:
    """One case, run; its row of the ledger."""
    case, start = case_of(seed, key, shelf), time.monotonic()
    result = run(case, out / "work" / f"{os.getpid()}")
    return {
        "part": key[0], "kind": key[1], "number": key[2], "name": case.name,
        "words": list(case.words), **vars(result), "seconds": round(time.monotonic() - start, 2),
        "commit": commit(),
    }  # fmt: skip


def one(given: argparse.Namespace, key: Key) -> int:
    """Run one case and show all that it printed."""
    import torture_run

    torture_run.SHOW = True
    row = attempt(given.seed, key, Shelf(given.out / "shelf"), given.out)
    sys.stdout.write(json.dumps(row, indent=1) + "\n")
    return 0


def read(ledger: Path) -> dict[Key, Row]:
    """The last row of each case."""
    rows: dict[Key, Row] = {}
    if ledger.exists():
        for line in ledger.read_text("utf-8").splitlines():
            row = json.loads(line)
            rows[row["part"], row["kind"], row["number"]] = row
    return rows


def table(rows: Any) -> str:
    """Kind × outcomes as Markdown, and the totals."""
    head = ["kind", "tried", "refused in a sentence", "accepted", "traceback", "hang", "memory",
            "unsound", "whole processes", "kills"]  # fmt: skip
    lines, total = [head, ["---"] + ["---:"] * (len(head) - 1)], Counter[str]()
    rows = list(rows)
    for kind, name in KINDS.items():
        count = Counter[str]()
        for row in (row for row in rows if row["kind"] == kind):
            count.update({"tried": 1, row["outcome"]: 1, "unsound": int(bool(row["fault"]))})
            count.update({"processes": row["processes"], "kills": row["kills"]})
        total.update(count)
        lines.append([f"{kind} {name}", *numbers(count)])
    lines.append(["all", *numbers(total)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def numbers(count: Counter[str]) -> list[str]:
    names = ("tried", "refused", "accepted", *BAD, "unsound", "processes", "kills")
    return [str(count[name]) for name in names]


if __name__ == "__main__":
    raise SystemExit(main())
