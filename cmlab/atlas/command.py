"""`cmlab bench`: make the table of all methods, or what is missing of it."""

import argparse
import sys
import time
from pathlib import Path

import torch

from ..settings import Refused
from .entries import ENTRIES, STEPS
from .ledger import LEDGER, merged, read_rows, write_rows
from .run import fingerprint, measured, recipes_of


def add_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("arms", nargs="*", help=f"all, unless named: {', '.join(ENTRIES)}")
    bench.add_argument("--seeds", default="0,1,2", help="as in 0,1,2")
    bench.add_argument(
        "--steps", type=int, default=STEPS, help="of all trainings of a run together"
    )
    bench.add_argument("--again", action="store_true", help="also what the table has already")
    bench.add_argument("--out", type=Path, default=LEDGER, help="default data/atlas.jsonl")


def main(given: argparse.Namespace) -> int:
    """Run after run; a run that is in the table with the same settings is left as it is.

    One thread, so that seconds can be compared. Each line is written when its run ends: stopped
    at any moment, the same command goes on.
    """
    arms = given.arms or list(ENTRIES)
    if strange := [arm for arm in arms if arm not in ENTRIES]:
        raise Refused(f"the atlas has no {strange[0]!r}; allowed: {', '.join(ENTRIES)}")
    if not all(seed.isdigit() for seed in given.seeds.split(",")):
        raise Refused(f"--seeds takes whole numbers such as 0,1,2, not {given.seeds}")
    if given.steps < 8 or given.out.suffix != ".jsonl":
        raise Refused(f"--steps takes a number of 8 or more and --out a .jsonl file, not "
                      f"{given.steps} and {given.out}")  # fmt: skip
    if given.steps != STEPS and given.out == LEDGER:
        raise Refused(f"--steps {given.steps} makes another table: name it with --out")
    torch.set_num_threads(1)
    for seed in [int(seed) for seed in given.seeds.split(",")]:
        for arm in arms:
            once(arm, seed, given.steps, given.out, given.again)
    return 0


def once(arm: str, seed: int, steps: int, out: Path, again: bool) -> None:
    """One run, unless the table has it."""
    entry, rows = ENTRIES[arm], read_rows(out)
    key = fingerprint(recipes_of(entry, seed, steps), entry)
    if not again and any((r["arm"], r["seed"], r["key"]) == (arm, seed, key) for r in rows):
        return
    start = time.perf_counter()
    row = measured(arm, entry, seed, steps, out)
    write_rows(merged(read_rows(out), row), out)
    took = row.get("failed") or f"{time.perf_counter() - start:.0f} s"
    sys.stdout.write(f"{arm}, seed {seed}: {took}\n")
    sys.stdout.flush()
