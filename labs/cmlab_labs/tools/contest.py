"""`cmlab contest`: a contest for a course, whose judge counts the network calls itself.

    new     fixes data, split, caps and hidden seeds in a folder
    submit  copies a run's weights and record into it as an entry
    judge   scores every entry that is new, and appends its verdict to the ledger
    board   writes the standings as a web page

    contest.json   the rules, with the hash of the seeds; secret.json  the seeds
    entries/NAME/model.safetensors; ledger.jsonl  verdicts, each with the hash of the line before

An entry is weights and a record: nothing of it is run but cmlab's ingredients and those of modules
that the teacher allowed. Its own data, evaluator and scores are not looked at. With 1, 2 and 4
calls it gets the noise of the hidden seeds, and whoever calls the network more often than asked,
in whatever way, has no score there.

One judge at a time writes: `judge` holds the folder's lock, see cmlab/train/lock.py, and a second
one is refused. A judge that died leaves no lock on its own machine; on another it counts as dead
after ten minutes.
"""

import argparse
import html
import json
import os
import re
import secrets
import sys
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from cmlab.cli.settings import Refused, add_allow, say
from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits
from cmlab.data.own import Images
from cmlab.data.toy import Ring, ToyData
from cmlab.metrics.feature_extractors import CifarSpace
from cmlab.metrics.judge import CallCounter, judge
from cmlab.metrics.report import CALLS, few_steps
from cmlab.ops import seeded
from cmlab.train import checkpoint, runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.cost import least_memory
from cmlab.train.lock import check_lock, hold_folder
from cmlab.train.recipe import Recipe, from_dict, to_dict

RULES, SECRET, LEDGER, ENTRIES, BOARD = (
    "contest.json", "secret.json", "ledger.jsonl", "entries", "board.html",
)  # fmt: skip
SEEDS, BATCH = 3, 500  # hidden seeds; samples that are drawn between two looks at the clock
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Rules:
    """The rules of a level: what is asked, and how much may be spent on it.

    Args:
        data: what is to be generated.
        score: the score that ranks, the lower the better.
        samples: how many, for each seed and number of calls.
        parameters: of the network, at most.
        gflop: billions of operations of a call for one sample, at most.
        gigabytes: of memory for a batch, at most.
        seconds: for all samples of an entry, at most.
    """

    data: Any
    score: str
    samples: int
    parameters: int
    gflop: float
    gigabytes: float
    seconds: float


LEVELS = {
    "ring": Rules(Ring(), "sw", 8192, 200_000, 0.01, 1.0, 120.0),
    "digits": Rules(Digits(), "fd", 2000, 1_000_000, 0.5, 2.0, 600.0),
    "photographs": Rules(CIFAR10(labelled=True), "fd", 2000, 5_000_000, 5.0, 4.0, 3600.0),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("folder", type=Path, help="the contest's folder")
    parser.add_argument("run", type=Path, nargs="?", help="submit: a run's folder or shipped file")
    parser.add_argument("--level", choices=LEVELS, help="new: what is to be generated")
    parser.add_argument("--data", default="", help="new: a file of your own pictures, packed")
    parser.add_argument("--parameters", type=int, help="new: of a network, at most")
    parser.add_argument("--name", default="", help="submit: the entry's name on the board")
    add_allow(parser)


def main(args: argparse.Namespace) -> int:
    """Run one of the actions. Raises Refused or BadFile, in one sentence."""
    return ACTIONS[args.action](args)


def new(args: argparse.Namespace) -> int:
    """Write the rules and the hidden seeds of a new contest."""
    if not args.level:
        raise Refused(f"say --level, one of {', '.join(LEVELS)}")
    if args.folder.exists():
        raise Refused(f"{args.folder} exists; give a new folder")
    level = LEVELS[args.level]
    if args.data and args.level != "photographs":
        raise Refused(f"--data goes with --level photographs; {args.level} has its own")
    pictures = Images.packed(args.data) if args.data else None
    if pictures:
        held = len(replace(pictures, train=False))  # no more are compared
        level = replace(level, data=replace(pictures, path=""), score="pd")
        level = replace(level, samples=min(level.samples, held))
    if args.parameters is not None:
        if args.parameters < 1:
            raise Refused(f"--parameters takes a number above 0, not {args.parameters}")
        level = replace(level, parameters=args.parameters)
    secret = {"seeds": [secrets.randbits(48) for _ in range(SEEDS)], "salt": secrets.token_hex(16)}
    rules = {"level": args.level, **vars(level), "data": to_dict(level.data), "calls": list(CALLS)}
    rules["secret_sha256"] = hash_of(secret)
    if pictures:  # the contest has a copy of its own, which everybody gets
        tensors, record = checkpoint.read(Path(args.data))
        checkpoint.write(args.folder / f"images-{pictures.digest}.safetensors", tensors, record)
    text = json.dumps(secret).encode()
    checkpoint.replace(args.folder / SECRET, lambda part: write_privately(part, text))
    checkpoint.write_json(args.folder / RULES, rules)
    say({"wrote": str(args.folder / RULES), "keep to yourself": str(args.folder / SECRET)})
    return 0


def submit(args: argparse.Namespace) -> int:
    """Copy a finished run's weights and record into the contest, as an entry."""
    rules_of(args.folder)
    if not args.run or not NAME.fullmatch(args.name):
        raise Refused("give a run, and --name of up to 40 letters, digits, - and _")
    place = args.folder / ENTRIES / args.name
    if place.exists():
        raise Refused(f"there is an entry {args.name} already; choose another name")
    file = args.run / runs.MODEL if args.run.is_dir() else args.run
    checkpoint.read(file)  # or it is no file of cmlab's
    payload = file.read_bytes()
    checkpoint.replace(place / runs.MODEL, lambda part: part.write_bytes(payload))
    say({"entry": args.name, "sha256": sha256(payload).hexdigest()})
    return 0


def write_privately(path: Path, payload: bytes) -> None:
    """Write a file that nobody but its owner may read, at no moment."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(payload)


def hash_of(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def rules_of(folder: Path) -> tuple[dict[str, Any], Rules]:
    """The rules of a contest, as they were written. Raises BadFile if there are none."""
    path = folder / RULES
    rules = checkpoint.read_json(path)
    try:
        names = ("score", "samples", "parameters", "gflop", "gigabytes", "seconds")
        data = from_dict(rules["data"])
        if isinstance(data, Images):
            data = replace(data, path=str(folder))
        return rules, Rules(data, *(rules[name] for name in names))
    except (KeyError, ValueError) as error:
        raise BadFile(f"{path} is no contest's: {error}; restore it") from error


# Judging


def judge_all(args: argparse.Namespace) -> int:
    """Judge every entry whose file has no verdict yet, and print the verdicts.

    An entry that was refused is judged again where a module is allowed.

    Raises:
        InUse: while another process judges this contest.
    """
    rules, level = rules_of(args.folder)
    secret = checkpoint.read_json(args.folder / SECRET)
    if hash_of(secret) != rules["secret_sha256"]:
        raise BadFile(f"{args.folder / SECRET} has other seeds than the rules promise; restore it")
    with hold_folder(args.folder):
        known = {(row["entry"], row.get("sha256")): row for row in ledger(args.folder)}
        if any((name, None) not in known for name in BASELINES):
            for name, sets in baselines(level, secret["seeds"]).items():
                if (name, None) not in known:
                    found = scored(sets, level, secret["seeds"])
                    row = {"entry": name, "baseline": True, "scores": {"0": found.pop("score")}}
                    record(args.folder, row | found)
        for place in sorted((args.folder / ENTRIES).glob("*")):
            if not NAME.fullmatch(place.name):
                sys.stderr.write(f"cmlab: {place} is no entry's name and left out; rename it\n")
                continue
            file = place / runs.MODEL
            key = place.name, sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
            before = known.get(key, {})
            if before and not ("refused" in before and args.allow):
                continue
            row = {"entry": key[0], "sha256": key[1], **verdict(file, level, secret["seeds"])}
            if row.get("refused", "") != before.get("refused"):
                record(args.folder, row)
            say(row)
    return 0


def verdict(file: Path, level: Rules, seeds: list[int]) -> dict[str, Any]:
    """The scores of an entry by number of calls, or why there are none."""
    try:
        model, recipe, _ = runs.load(file)
        parameters = sum(p.numel() for p in model.net.parameters())
        if parameters > level.parameters:
            raise Refused(f"it has {parameters} parameters, and {level.parameters} are allowed")
        needed = least_memory(replace(recipe, data=level.data), BATCH)
        if needed > level.gigabytes * 1e9:
            raise Refused(f"it takes {needed / 1e9:.1f} GB, and {level.gigabytes} are allowed")
        deadline = time.monotonic() + level.seconds
        found = [by_calls(model, recipe, level, seeds, calls, deadline) for calls in CALLS]
    except Exception as error:  # an entry must not stop the judge, whatever it holds
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return {"refused": said.replace(str(file), "the file")}
    scores = {str(c): part["score"] for c, part in zip(CALLS, found, strict=True)}
    made = {str(c): part["made"] for c, part in zip(CALLS, found, strict=True)}
    told = {"parameters": parameters, "scores": scores, "calls made": made}
    return told | {k: v for part in found for k, v in part.items() if k == "memorised"}


def by_calls(
    model: Any, recipe: Recipe, level: Rules, seeds: list[int], calls: int, deadline: float
) -> dict[str, Any]:
    """The mean scores over the seeds with this number of calls, and the calls that were made."""
    with CallCounter(model.net) as counter:
        sets = [samples(model, recipe, level, seed, calls, deadline) for seed in seeds]
    n = sum(map(len, sets))
    made = round(counter.calls(n), 3)
    if made > calls:
        return {"score": None, "made": made}
    if counter.gflop(n) > level.gflop * calls:
        raise Refused(
            f"a call takes {counter.gflop(n) / calls:.3g} GFLOP, and {level.gflop} are allowed"
        )
    return {"made": made, **scored(sets, level, seeds)}


@torch.no_grad()
def samples(
    model: Any, recipe: Recipe, level: Rules, seed: int, calls: int, deadline: float
) -> Tensor:
    """The entry's samples from the noise of a seed."""
    classes = getattr(level.data, "classes", 0) if getattr(recipe.data, "classes", 0) else 0
    parts = []
    with seeded(torch.device("cpu"), seed, calls):
        z = torch.randn(level.samples, *level.data.shape)
        cond = torch.arange(len(z)) % classes if classes else None
        for rows in torch.arange(len(z)).split(BATCH):
            part = None if cond is None else cond[rows]
            parts.append(few_steps(model, recipe.sampler, z[rows], part, calls))
            if time.monotonic() > deadline:
                raise Refused(f"it takes more than the {level.seconds:g} s that are allowed")
    x = torch.cat(parts)
    if x.shape != z.shape or not bool(x.isfinite().all()):
        raise Refused("its samples have another shape than the data, or are not finite")
    return x


def scored(sets: list[Tensor], level: Rules, seeds: list[int]) -> dict[str, float]:
    """The mean over the seeds of the score that ranks and, for pictures, of what is memorised."""
    space = CifarSpace() if isinstance(level.data, CIFAR10) else None
    found = [judge(x, level.data, space, seed) for x, seed in zip(sets, seeds, strict=True)]
    names = {"score": level.score, "memorised": "memorised"}
    return {k: mean(row[v] for row in found) for k, v in names.items() if v in found[0]}


BASELINES = "floor: training data", "baseline: a Gaussian", "baseline: means of two"


def baselines(level: Rules, seeds: list[int]) -> dict[str, list[Tensor]]:
    """Samples without a network: training data (the floor), a Gaussian, means of two samples."""
    found: dict[str, list[Tensor]] = {name: [] for name in BASELINES}
    for seed in seeds:
        with seeded(torch.device("cpu"), seed, 0):
            one, two = (level.data.sample(level.samples)[0] for _ in range(2))
            share = torch.randn(len(one), len(two)) / len(two) ** 0.5
        centre = two.mean(0)
        gaussian = centre + (share @ (two - centre).flatten(1)).view_as(two)
        for name, x in zip(found, (one, gaussian, (one + two) / 2), strict=True):
            found[name].append(x if isinstance(level.data, ToyData) else x.clamp(-1, 1))
    return found


# The ledger: one verdict a line, each with the hash of the line before


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The verdicts so far. Raises BadFile where one was changed or taken out."""
    path, before, rows = folder / LEDGER, "", []
    for line in checkpoint.read_lines(path) if path.exists() else []:
        try:
            row = json.loads(line)
            same = row["before"] == before and isinstance(row["entry"], str)
        except (ValueError, LookupError, TypeError):
            row, same = {}, False
        if not same:
            raise BadFile(f"{path} was changed before its line {len(rows) + 1}; restore it")
        before = sha256(line).hexdigest()
        rows.append(row)
    return rows


def record(folder: Path, row: dict[str, Any]) -> None:
    """Append a verdict. Raises InUse if the folder's lock was lost meanwhile."""
    check_lock(folder)
    path = folder / LEDGER
    lines = checkpoint.read_lines(path) if path.exists() else []
    row = row | {"before": sha256(lines[-1]).hexdigest() if lines else ""}
    checkpoint.append(path, json.dumps(row) + "\n")


# The board


def board(args: argparse.Namespace) -> int:
    """Write the standings as a static web page, the best score first."""
    rules, level = rules_of(args.folder)
    rows = ledger(args.folder)
    if not rows:
        raise Refused(f"nothing is judged yet; run cmlab contest judge {args.folder}")

    def rank(row: dict[str, Any]) -> tuple[float, ...]:
        scores = row.get("scores", {})
        return tuple(scores.get(str(c)) or float("inf") for c in (0, *CALLS))

    last = {row["entry"]: row for row in rows}.values()  # of a name, the verdict that counts
    copies = any("memorised" in row for row in last)
    body = "\n".join(cells(row, copies) for row in sorted(last, key=lambda row: min(rank(row))))
    heads = "".join(f"<th>{c} call{'s' * (c > 1)}</th>" for c in CALLS)
    heads += "<th>memorised</th>" * copies
    page = PAGE.format(
        title=html.escape(f"Contest: {rules['level']}"),
        rules=html.escape(
            f"{level.score}, the lower the better, of {level.samples} samples for each of {SEEDS} "
            f"hidden seeds; at most {level.parameters:,} parameters, {level.gflop} GFLOP a call "
            f"and {level.seconds:g} s. The judge counts the calls."
            + " Memorised is 0.02 for new pictures, and 1 for copies of training pictures."
            * copies
        ),
        heads=heads,
        rows=body,
    )
    checkpoint.replace(args.folder / BOARD, lambda part: part.write_text(page, "utf-8"))
    sys.stdout.write(f"wrote {args.folder / BOARD}\n")
    return 0


def cells(row: dict[str, Any], copies: bool) -> str:
    """One row of the board: scores, or what stands against them; with `copies` what is copied."""
    name, found = html.escape(row["entry"]), row.get("scores", {})
    wide = f'<td colspan="{len(CALLS) + copies + 1}">'
    if "refused" in row:
        return f"<tr><td>{name}</td>{wide}refused: {html.escape(row['refused'])}</td></tr>"
    told = f"<td>{row['memorised']:.2f}</td>" if "memorised" in row else "<td></td>" * copies
    if row.get("baseline"):
        wide = f'<td></td><td colspan="{len(CALLS)}">'
        return f"<tr><td>{name}</td>{wide}{found['0']:.4g}</td>{told}</tr>"
    pairs = [(found[str(c)], row["calls made"][str(c)]) for c in CALLS]
    shown = [f"made {made:g} calls" if x is None else f"{x:.4g}" for x, made in pairs]
    inner = "".join(f"<td>{text}</td>" for text in shown)
    return f"<tr><td>{name}</td><td>{row['parameters']:,}</td>{inner}{told}</tr>"


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto }}
body {{ padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; }}
</style></head><body>
<h1>{title}</h1>
<p>{rules}</p>
<table><thead><tr><th>entry</th><th>parameters</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table>
</body></html>
"""

ACTIONS = {"new": new, "submit": submit, "judge": judge_all, "board": board}
