"""Inputs of `scripts/torture.py`, by kind of fault: damaged files, odd settings, torn logs.

A generator takes random numbers and the shelf of good runs, and returns a `Case`. The same numbers
give the same case.
"""

import json
import os
import random
import re
import shutil
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torture_run import ROOT, Case, Ended, Words, run

from cmlab.presets import PRESETS
from cmlab.train import runs
from cmlab.train.checkpoint import read
from cmlab.train.recipe import to_dict
from cmlab.train.trainer import Trainer

sys.path.insert(0, str(ROOT / "tests"))

Random = random.Random

# The shelf: good runs, which cases copy and spoil

NET = ("net.width=4", "train.batch=4")
STEPS = 40
RECIPES: dict[str, Words] = {
    "long": ("toy.ct", "--set", "steps=300", *NET),
    "one": ("toy.ct", "--set", f"steps={STEPS}", *NET),
    "two": ("toy.ect", "--set", f"steps={STEPS}", *NET, "start.net.width=4",
            "start.train.batch=4"),
    "picture": ("digits.ect", "--set", "steps=8", "train.batch=4", "start.train.batch=4",
                "evaluator.n=66"),
}  # fmt: skip


def short(keep: int = 2) -> None:
    """In a fork: checkpoints every few steps, and one thread."""
    assert runs.fit.__kwdefaults__
    runs.fit.__kwdefaults__["keep"] = keep
    torch.set_num_threads(1)


def die_at(step: int) -> None:
    """In a fork: end at that call of a step as if by a kill."""
    short()
    method, calls = Trainer.advance, []

    def deadly(self: Trainer, *args: Any) -> Any:
        calls.append(1)
        if len(calls) > step:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args)

    Trainer.advance = deadly  # type: ignore[method-assign]


class Shelf:
    """Good runs in a folder: finished, and killed half way, for each of RECIPES."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, name: str) -> Path:
        """The folder of one recipe's runs, which are made when they are first asked for."""
        folder, train = self.folder / name, ("train", *RECIPES[name], "--out", "run")
        if not (folder / "shipped").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.make(Case("finished", train, before=short), folder / "whole")
            half = partial(die_at, 5 if name == "picture" else STEPS // 2 + 3)
            self.make(Case("half", train, before=half), folder / "half")
            ship = ("ship", str(folder / "whole"), "--out", "run/small")
            self.make(Case("shipped", ship), folder / "shipped")
        return folder

    def make(self, case: Case, place: Path) -> None:
        """Run a case and keep the run that it leaves."""

        def keep(folder: Path, ends: list[Ended]) -> str:
            if (folder / "run").exists():
                shutil.copytree(folder / "run", place)
            return ""

        made = run(replace(case, judge=keep), self.folder / "work")
        assert place.exists(), made

    def take(self, name: str, state: str, folder: Path) -> Path:
        """A copy of a run, as folder/run; shipped files lie in folder/run as small.*."""
        return Path(shutil.copytree(self.run(name) / state, folder / "run"))

    def weights(self, name: str) -> dict[str, Tensor]:
        return read(self.run(name) / "whole" / runs.MODEL)[0]

    def same(self, name: str, run: Path) -> str:
        """Empty if the run's weights are those of the unbroken run, bit for bit; else a fault."""
        if not (run / runs.MODEL).exists():
            return "exit 0, and there is no model"
        found, meant = read(run / runs.MODEL)[0], self.weights(name)
        equal = found.keys() == meant.keys() and all(
            torch.equal(found[k], meant[k]) for k in meant
        )
        return log_fault(run) if equal else "exit 0 with other weights than the unbroken run"


def log_fault(run: Path) -> str:
    """What is wrong with the logs of a finished run: each line whole, steps in order, once."""
    for path in run.rglob("log.jsonl"):
        try:
            steps = [json.loads(line)["step"] for line in path.read_text("utf-8").splitlines()]
        except (ValueError, KeyError, TypeError):
            return "a line of the log is torn"
        if steps != sorted(set(steps)):
            return f"the log has steps twice or out of order: {steps[:30]}"
    return "" if not list(run.rglob("*.part")) else "a half-written file is left"


def went_well(end: Ended) -> bool:
    return end.status == 0


# Damage to a file, of any kind

WEIRD = (
    b"", b"\n", b"\x00" * 40, b"null", b"[]", b"{}", b"3", b'"text"', b"[" * 100_000,
    b'{"a":' * 60_000, b"\xff\xfe\x00\x01", b'{"step": NaN}', b'{"step": 1e999}',
    b'{"step": ' + b"9" * 5000 + b"}", b'{"\xed\xa0\x80": 1}', b"\xef\xbb\xbf{}",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    b"<<<<<<< HEAD\n{}\n=======\n[]\n>>>>>>> other\n", b"PK\x03\x04" + bytes(40),
    b"\x80\x04cos\nsystem\n(S'true'\ntR.", struct.pack("<Q", 2**62) + b"{}",
    struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 10) + b"{}",
)  # fmt: skip


def damage(path: Path, rng: Random) -> str:
    """Damage a file in one of many ways; in words, how."""
    payload = path.read_bytes() if path.is_file() else b""
    n = max(len(payload), 1)
    way = rng.choice(
        ("cut", "cut", "flip", "flip", "zero", "swap", "twice", "weird", "weird", "gone",
         "folder", "loop", "fifo", "tail")
    )  # fmt: skip
    if way == "cut":
        path.write_bytes(payload[: rng.randrange(n)])
    elif way == "flip":
        spoilt, k = bytearray(payload), rng.choice((1, 1, 4, 64))
        start = rng.choice((n, min(n, 4000)))
        for _ in range(k if payload else 0):
            spoilt[rng.randrange(start)] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
    elif way == "zero":
        start = rng.randrange(n)
        length = min(rng.randrange(1, 4096), len(payload) - start)
        path.write_bytes(payload[:start] + bytes(length) + payload[start + length :])
    elif way == "swap":
        middle = rng.randrange(n)
        path.write_bytes(payload[middle:] + payload[:middle])
    elif way == "twice":
        path.write_bytes(payload * 2)
    elif way == "tail":
        path.write_bytes(payload + rng.randbytes(rng.randrange(1, 200)))
    elif way == "weird":
        path.write_bytes(rng.choice(WEIRD))
    else:
        path.unlink(missing_ok=True)
        {"folder": path.mkdir, "fifo": partial(os.mkfifo, path), "gone": lambda: None,
         "loop": lambda: path.symlink_to(path.name)}[way]()  # fmt: skip
    return way


ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 10**9, 2**31, 2**63, 10**40, -(10**12), 0.0, -0.5, 1e-320,
    1e308, float("nan"), float("inf"), "", "inf", "nan", "text", "²", "../../x", "a\x00b", [], {},
    [[[]]], [1, 2], {"kind": "x"}, {"kind": "os.system"}, {"kind": []}, {"kind": None},
    {"kind": "cmlab.losses"}, {"kind": "methods.ct.CT"}, "<b>bold</b>", "\ud800",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all inner values of a JSON value."""
    inner = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    return [p for k, v in inner for p in ((*path, k), *places(v, (*path, k)))]


def alter(record: Any, rng: Random, times: int = 1) -> str:
    """Change a JSON record in place: a value replaced, taken away, added. In words, how."""
    said = []
    for _ in range(times):
        all_places = places(record)
        if not all_places:
            break
        *path, last = rng.choice(all_places)
        inner = record
        for key in path:
            inner = inner[key]
        way = rng.choice(("replace", "replace", "replace", "remove", "add"))
        if way == "replace":
            inner[last] = rng.choice(ODD)
        elif way == "remove":
            del inner[last]
        elif isinstance(inner, dict):
            inner["added"] = rng.choice(ODD)
        else:
            inner.append(rng.choice(ODD))
        shown = inner[last] if way == "replace" else ""
        said.append(f"{way} {'.'.join(map(str, (*path, last)))} {str(shown)[:30]!r}")
    return ", ".join(said)


def alter_header(path: Path, rng: Random) -> str:
    """Change the record in a safetensors file's header, or its tensors."""
    tensors, record = read(path)
    way = rng.choice(("record", "record", "record", "many", "tensor", "whole"))
    if way == "whole":
        record, said = rng.choice(({}, {"recipe": None}, {"recipe": []}, {"recipe": {}})), "record"
        write_loose(path, tensors, json.dumps(record))
        return said
    if way == "tensor":
        return f"tensor {alter_tensors(path, tensors, record, rng)}"
    said = alter(record, rng, rng.randrange(2, 6) if way == "many" else 1)
    write_loose(path, tensors, json.dumps(record))
    return said


def alter_tensors(path: Path, tensors: dict[str, Tensor], record: Any, rng: Random) -> str:
    name = rng.choice(sorted(tensors))
    x = tensors[name]
    changes: dict[str, Callable[[], Tensor | None]] = {
        "gone": lambda: None,
        "nan": lambda: torch.full_like(x, float("nan")) if x.is_floating_point() else x * 0 - 1,
        "inf": lambda: torch.full_like(x, float("inf")) if x.is_floating_point() else x * 0 + 255,
        "integer": lambda: x.to(torch.int64),
        "boolean": lambda: x.bool(),
        "double": lambda: x.double(),
        "flat": lambda: x.flatten(),
        "longer": lambda: torch.cat([x.flatten(), x.flatten()]),
        "empty": lambda: x.flatten()[:0],
        "complex": lambda: x.to(torch.complex64),
    }
    way = rng.choice(sorted(changes))
    value = changes[way]()
    tensors = {k: v for k, v in tensors.items() if k != name}
    if value is not None:
        tensors[name] = value.contiguous()
    if rng.random() < 0.1:
        tensors["added"] = torch.ones(3)
    write_loose(path, tensors, json.dumps(record))
    return f"{name} {way}"


def write_loose(path: Path, tensors: dict[str, Tensor], text: str) -> None:
    """A safetensors file whose record may be anything."""
    from safetensors.torch import save

    path.write_bytes(save(tensors, metadata={"cmlab": text}))


# 2: launchers

LAUNCHERS: dict[str, Callable[[int, int], dict[str, str]]] = {
    "torchrun": lambda rank, world: {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511",
        "TORCHELASTIC_RUN_ID": "none", "GROUP_RANK": "0"},
    "slurm": lambda rank, world: {
        "SLURM_JOB_ID": "7", "SLURM_NTASKS": str(world), "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_NNODES": "1",
        "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "localhost"},
    "mpirun": lambda rank, world: {
        "OMPI_COMM_WORLD_SIZE": str(world), "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank)},
}  # fmt: skip


COUNTED = r"RANK$|PROCID$|LOCALID$|NODEID$|NTASKS$|^WORLD_SIZE$|OMPI_COMM_WORLD_SIZE$"


def launcher(rng: Random, shelf: Shelf) -> Case:
    """A launcher's environment whose number of processes is not the command's."""
    name, world = rng.choice(sorted(LAUNCHERS)), rng.choice((1, 2, 2, 3, 4, 8))
    rank, devices, nodes = rng.randrange(world), rng.choice((1, 1, 1, 2, 3)), rng.choice((1, 1, 2))
    if devices * nodes == world or (world == 1 and devices * nodes > 1):
        devices, nodes, rank = 1, 1, 0  # they would wait for the others
        world = rng.choice((1, 2, 4))
    words = ("train", *RECIPES["one"], "--out", "run", "--devices", str(devices))
    words += ("--nodes", str(nodes))
    environment = LAUNCHERS[name](rank, world)
    if rng.random() < 0.3:
        key = rng.choice(sorted(environment))
        environment[key] = rng.choice(("", "x", "-1", "0", "²", "1e3", "999999999999"))
        name += f" with {key}={environment[key]}"

    def judge(folder: Path, ends: list[Ended]) -> str:
        if went_well(ends[0]):
            numbers = [item for item in environment.items() if re.search(COUNTED, item[0])]
            odd = [f"{k}={v}" for k, v in numbers if v in ("", "x", "-1", "²", "1e3")]
            if odd:
                return f"accepted {odd[0]}"
            return "" if world == 1 or " with " in name else f"{world} processes, one run each"
        return "refused, and wrote" if (folder / "run").exists() else ""

    title = f"{name}, rank {rank} of {world}, --devices {devices} --nodes {nodes}"
    return Case(title, words, judge=judge, environment=environment, before=short)


# 3: killed early


def torn_log(rng: Random, shelf: Shelf) -> Case:
    """A log with a torn, missing or foreign line, or of a lost attempt; then --resume or ship."""
    name = rng.choice(("one", "two", "two"))
    part = rng.choice(("run", "run/start")) if name == "two" else "run"
    way = rng.choice(("torn end", "torn end", "glued", "lost attempt", "lost attempt", "foreign",
                      "empty", "beyond", "no log"))  # fmt: skip
    seed = rng.random()
    state = "half" if rng.random() < 0.8 else "whole"

    def prepare(folder: Path) -> None:
        own = Random(seed)
        run = shelf.take(name, state, folder)
        place = folder / part
        log = place / "log.jsonl"
        lines = (
            log.read_text("utf-8").splitlines(keepends=True) if log.exists() else ['{"step": 1}\n']
        )
        cut = own.randrange(1, max(len(lines[-1]), 2))
        if way == "torn end":
            lines[-1] = lines[-1][:cut]
        elif way == "glued":
            lines.insert(own.randrange(len(lines)), lines[-1][:cut])
        elif way == "lost attempt":
            for part_ in (place, *([run] if place != run else [])):
                for path in [part_ / "checkpoint.safetensors", part_ / "model.safetensors"]:
                    path.unlink(missing_ok=True)
            if own.random() < 0.5:
                lines[-1] = lines[-1][:cut]
        elif way == "foreign":
            lines[-1] = own.choice(("\n", "{}\n", "3\n", "null\n", "[1]\n", '{"step": "x"}\n',
                                    '{"step": null}\n', "<<<<<<<\n", "\x00\n"))  # fmt: skip
        elif way == "beyond":
            lines.append('{"step": 99999999, "samples": 1}\n')
        place.mkdir(exist_ok=True)
        log.write_text("".join([] if way == "empty" else lines), "utf-8")
        if way == "no log":
            log.unlink()

    def judge(folder: Path, ends: list[Ended]) -> str:
        return shelf.same(name, folder / "run") if went_well(ends[0]) else "a log stops the run"

    resume = ("train", *RECIPES[name], "--out", "run", "--resume")
    if state == "whole" and way != "lost attempt" and rng.random() < 0.5:
        return Case(f"log of {part}, {state}: {way}; ship", ("ship", "run", "--out", "small"),
                    prepare)  # fmt: skip
    return Case(f"log of {part}, {state}: {way}; --resume", resume, prepare, judge, before=short)


# 4: updated under way


def older_record(rng: Random, shelf: Shelf) -> Case:
    """A record in which a field is missing, added or other, as another version may leave it."""
    name, seed = rng.choice(("one", "two")), rng.random()
    use = rng.choice(("resume", "resume", "sample", "evaluate", "ship"))
    state = "half" if use == "resume" else "whole"
    said: dict[str, str] = {}

    def change(record: dict[str, Any]) -> str:
        own = Random(seed)
        here = [p for p in places(record["recipe"]) if p[-1] != "kind"]
        *path, last = own.choice(here)
        inner: Any = record["recipe"]
        for key in path:
            inner = inner[key]
        way = own.choice(("missing", "missing", "missing", "added", "other", "renamed"))
        if way == "added" and isinstance(inner, dict):
            inner["later_field"] = own.choice((0, 1.0, None, "text"))
        elif way == "renamed" and isinstance(inner, dict):
            inner[f"{last}_then"] = inner.pop(last)
        elif way == "other":
            old = inner[last]
            inner[last] = old + 1 if type(old) in (int, float) else own.choice(ODD)
        else:
            del inner[last]
        return f"{way} {'.'.join(map(str, (*path, last)))}"

    def prepare(folder: Path) -> None:
        run = shelf.take(name, state, folder)
        for path in (run / "checkpoint.safetensors", run / "model.safetensors"):
            if path.exists():
                tensors, record = read(path)
                said["how"] = change(record)
                write_loose(path, tensors, json.dumps(record))
        record = json.loads((run / "record.json").read_text("utf-8"))
        change(record)
        (run / "record.json").write_text(json.dumps(record), "utf-8")

    def judge(folder: Path, ends: list[Ended]) -> str:
        kept = said["how"].endswith("train.parts")  # a run that was started keeps its parts
        if use == "resume" and went_well(ends[0]) and not kept:
            return shelf.same(name, folder / "run")
        return ""

    words = {"resume": ("train", *RECIPES[name], "--out", "run", "--resume"),
             "sample": ("sample", "run", "--n", "4", "--out", "x.png"),
             "evaluate": ("evaluate", "run"),
             "ship": ("ship", "run", "--out", "small")}[use]  # fmt: skip
    return Case(f"record of {name}, changed by seed {seed}; {use}", words, prepare, judge,
                before=short)  # fmt: skip


# 6: damaged and foreign files

FILES = ("checkpoint.safetensors", "model.safetensors", "record.json", "log.jsonl", "state.json",
         "want")  # fmt: skip


def damaged(rng: Random, shelf: Shelf) -> Case:
    """A file of a run damaged, and the run resumed, sampled, evaluated or shipped."""
    name = rng.choice(("one", "two", "picture"))
    use = rng.choice(("resume", "sample", "evaluate", "ship", "sample file", "evaluate file"))
    state = "half" if use == "resume" else "shipped" if "file" in use else "whole"
    wanted = {"resume": FILES, "sample": FILES[1:3], "evaluate": FILES[1:3],
              "ship": FILES[1:4]}.get(use, ("small.safetensors",))  # fmt: skip
    file = rng.choice(wanted)
    start = "start/" if use == "resume" and name != "one" and rng.random() < 0.3 else ""
    seed, deep = rng.random(), rng.random() < 0.6

    def prepare(folder: Path) -> None:
        run, own = shelf.take(name, state, folder), Random(seed)
        path = run / f"{start}{file}"
        path.parent.mkdir(exist_ok=True)
        if deep and path.suffix == ".safetensors" and path.exists():
            alter_header(path, own)
        elif deep and path.suffix == ".json" and path.exists():
            record = json.loads(path.read_text("utf-8"))
            alter(record, own, own.choice((1, 1, 3)))
            path.write_text(json.dumps(record), "utf-8")
        else:
            damage(path, own)

    def judge(folder: Path, ends: list[Ended]) -> str:
        if not went_well(ends[0]):
            return ""
        if use == "resume":
            return shelf.same(name, folder / "run")
        if use.startswith("sample"):
            return blank(folder / "x.png")
        if use.startswith("evaluate"):
            scores = json.loads(ends[0].out.splitlines()[-1])
            bad = [k for k, v in scores.items() if v is None and k not in KEPT]
            return f"exit 0 with {bad[0]} null" if bad else ""
        return ""

    target = "run/small.safetensors" if "file" in use else "run"
    words = {"resume": ("train", *RECIPES[name], "--out", "run", "--resume"),
             "sample": ("sample", target, "--n", "4", "--out", "x.png"),
             "evaluate": ("evaluate", target),
             "ship": ("ship", "run", "--out", "small")}[use.removesuffix(" file")]  # fmt: skip
    how = "record or tensors altered" if deep else "bytes damaged"
    return Case(f"{name}: {start}{file}, {how} by seed {seed}; {use}", words, prepare, judge,
                before=short)  # fmt: skip


KEPT = ("preset", "seed", "samples_seen", "seconds")


def blank(path: Path) -> str:
    """A fault if a picture of samples is missing or of one colour."""
    from PIL import Image

    if not path.exists():
        return "exit 0, and there is no picture"
    low, high = Image.open(path).convert("L").getextrema()
    return "exit 0 with an empty picture" if low == high else ""


def lab_folder(folder: Path) -> Path:
    """A checkout with one lab, one recording and one checkpoint."""
    for part in ("labs/src", "data/runs/transport", "data/checkpoints"):
        (folder / part).mkdir(parents=True)
    (folder / "constraints.txt").write_text("")
    for file in ("labs/03_boundary_condition.ipynb", "labs/src/03_boundary_condition.py",
                 "labs/src/teaching.toml", "labs/README.md", "README.md",
                 "data/runs/transport/ot.npz", "data/checkpoints/digits-classifier.json",
                 "data/checkpoints/digits-classifier.safetensors"):  # fmt: skip
        shutil.copy(ROOT / file, folder / file)
    sums = ROOT / "data" / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines(keepends=True) if sums.exists() else []
    here = [line for line in lines if (folder / "data" / line.split()[-1]).exists()]
    (folder / "data" / "SHA256SUMS").write_text("".join(here), "utf-8")
    return folder


def damaged_lab(rng: Random, shelf: Shelf) -> Case:
    """A lab's source or notebook damaged; check, sync or build."""
    file = rng.choice(("labs/03_boundary_condition.ipynb", "labs/03_boundary_condition.ipynb",
                       "labs/src/03_boundary_condition.py", "labs/src/teaching.toml"))  # fmt: skip
    action = rng.choice((("check",), ("sync",), ("build", "--student", "out"),
                         ("build", "--instructor", "out")))  # fmt: skip
    seed, deep = rng.random(), rng.random() < 0.5

    def prepare(folder: Path) -> None:
        path, own = lab_folder(folder) / file, Random(seed)
        if deep and file.endswith("ipynb"):
            nb = json.loads(path.read_text("utf-8"))
            alter(nb, own, own.choice((1, 1, 2, 8)))
            path.write_text(json.dumps(nb), "utf-8")
        else:
            damage(path, own)

    return Case(f"{file} damaged by seed {seed}; labs {' '.join(action)}",
                ("labs", *action), prepare)  # fmt: skip


def damaged_checkout(rng: Random, shelf: Shelf) -> Case:
    """A recording or a shipped checkpoint damaged: the doctor has to see it."""
    file = rng.choice(("data/runs/transport/ot.npz", "data/checkpoints/digits-classifier.json",
                       "data/checkpoints/digits-classifier.safetensors"))  # fmt: skip
    seed = rng.random()

    def prepare(folder: Path) -> None:
        damage(lab_folder(folder) / file, Random(seed))

    def judge(folder: Path, ends: list[Ended]) -> str:
        name = Path(file).stem
        bad = [x for x in ends[0].out.splitlines() if x.startswith(("STOP", "note")) and name in x]
        unseen = (ROOT / file).is_file() and not bad
        same = (folder / file).is_file() and (
            (folder / file).read_bytes() == (ROOT / file).read_bytes()
        )
        gone = file.endswith("npz") and not (folder / file).exists()
        return "the doctor does not see it" if unseen and not same and not gone else ""

    return Case(f"{file} damaged by seed {seed}; doctor", ("doctor",), prepare, judge)


# 7: settings that make no sense

VALUES = (
    "-1", "0", "1", "2", "3", "7", "-0.5", "0.5", "2.0", "1e400", "-1e400", "nan", "1e-320",
    "1e308", "1000000000", "-1000000000", "9223372036854775808", "1" + "0" * 60, "²", "", " ",
    "text",
    "True", "None", "()", "(1,)", "(1, 2)", "[1]", "{}", "1j", "b'x'", "0x10", "1_0", "(" * 300,
    "-" * 3000 + "1", "__import__('os').getcwd()", "inf", "1.5", "0.999", "1e3", "1e-3", "１",
)  # fmt: skip
TINY: dict[str, Words] = {
    "toy": (*NET, "start.net.width=4", "start.train.batch=4"),
    "digits": ("train.batch=4", "start.train.batch=4", "evaluator.n=66"),
    "shapes": ("train.batch=4", "start.train.batch=4", "evaluator.n=66"),
}


@cache
def fields_of(preset: str) -> tuple[str, ...]:
    """Dotted paths of all fields of a preset's recipe, and its own parameters."""
    import inspect

    own = list(inspect.signature(PRESETS[preset]).parameters)
    record = to_dict(PRESETS[preset]())
    found = [".".join(map(str, p)) for p in places(record) if "kind" not in p]
    return (*own, *[f for f in found if not any(part.isdigit() for part in f.split("."))])


def settings(rng: Random, shelf: Shelf) -> Case:
    """A field of a preset's recipe with an odd value."""
    kinds = [p for p in PRESETS if p.split(".")[0] in TINY]
    preset = rng.choice(kinds)
    allowed = fields_of(preset)
    tiny = [w for w in TINY[preset.split(".")[0]] if w.partition("=")[0] in allowed]
    chosen = rng.sample(allowed, rng.choice((1, 1, 1, 1, 2)))
    odd = [f"{field}={rng.choice(VALUES)}" for field in chosen]
    words = ("train", preset, "--set", "steps=4", *tiny, *odd, "--out", "run")
    return Case(
        f"{preset} {' '.join(odd)[:90]}", words, judge=partial(sensible, odd), before=short
    )


def sensible(odd: list[str], folder: Path, ends: list[Ended]) -> str:
    """What is wrong with a run that was accepted with these settings, or with a refusal."""
    end = ends[0]
    if end.status == 2:
        return "refused, and wrote" if (folder / "run").exists() else ""
    if not went_well(end):
        return ""
    for word in odd:
        field, _, text = word.partition("=")
        if text.strip().startswith("-") and not signed(field):
            return f"accepted {word[:60]}"
        if text in ("nan", "1e400", "-1e400") and not (text == "1e400" and "clip" in field):
            return f"accepted {word[:60]}"
    facts = json.loads(end.out.splitlines()[-1])
    scores = [k for k, v in facts.items() if v is None]
    return f"exit 0 with {scores[0]} null" if scores else ""


SIGNED = ("mean", "loc", "shift", "b", "bias", "seed")  # fields that may be negative


def signed(field: str) -> bool:
    return field.rpartition(".")[2] in SIGNED


OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sample": (("run", "--out", "x.png"), ("--n", "--steps", "--seed", "--out")),
    "evaluate": (("run",), ("--n", "--seed", "--space", "--weights", "--data")),
    "ship": (("run", "--out", "small"), ("--out",)),
    "train": ((*RECIPES["one"], "--out", "new"),
              ("--seed", "--set", "--data", "--devices", "--nodes", "--accelerator", "--out")),
    "bench": (("exact", "--steps", "8", "--out", "t.jsonl"), ("--seeds", "--steps", "--out")),
    "record": (("transport", "ot", "--out", "r"), ("--seeds", "--out")),
    "data": (("cifar10", "--path", "run"), ("--path", "--layout")),
    "labs": (("check", "03"), ("--student", "--instructor")),
}  # fmt: skip
TEXTS = (
    "", " ", "-1", "0", "²", "1.5", "1e9", "1000000000", "nan", "inf", "1,2,", "1,,2", ",", "1;2",
    "99999999999999999999", "0x10", "１", "text", "/dev/null", "/proc/self/mem", "/", ".", "..",
    "run", "run/record.json", "nowhere/deep/x.png", "x" * 300, "x" * 5000, "a\nb", "../x.png",
    "cifar", "inception", "--", "-", "~", "~nobody/x", "cuda:99", "tpu", "mps", "4,4,4",
    "1,1000000000",
    "\udcff", "a=b=c", "=", "=1", "seed=1", "net=1", "data=ring", "data=²", "start=1", "train=1",
)  # fmt: skip


def options(rng: Random, shelf: Shelf) -> Case:
    """An option of a command with an odd text."""
    verb = rng.choice(sorted(OPTIONS))
    base, names = OPTIONS[verb]
    name, text = rng.choice(names), rng.choice(TEXTS)
    words = (verb, *base, name, text)

    def prepare(folder: Path) -> None:
        shelf.take("one", "whole", folder)

    def judge(folder: Path, ends: list[Ended]) -> str:
        wrote = [p.name for p in folder.iterdir() if p.name != "run"]
        return f"refused, and wrote {wrote[0]}" if ends[0].status == 2 and wrote else ""

    return Case(f"{verb} {name} {text[:40]!r}", words, prepare, judge, before=quick_bench)


def quick_bench() -> None:
    """In a fork: `bench` without training and evaluation, so that its table alone is tried."""
    import time

    from cmlab_labs.lab17_atlas import benchmark
    from cmlab_labs.tools import record as recording

    short()

    def measured(method: str, entry: Any, seed: int, steps: int, table: Path) -> dict[str, Any]:
        time.sleep(0.05)
        key = benchmark.fingerprint(benchmark.recipes_of(entry, seed, steps), entry)
        return {"arm": method, "seed": seed, "key": key, "answers": []}

    benchmark.measured = measured  # type: ignore[assignment]
    del recording


# 8: where NaN began


def explosion(rng: Random, shelf: Shelf) -> Case:
    """A rate, weight or width with which a run stops being finite: it has to say so and where."""
    presets = (
        "toy.edm",
        "toy.cd",
        "toy.ct",
        "toy.ict",
        "toy.ect",
        "toy.sct",
        "toy.scd",
        "toy.pcm",
    )
    preset = rng.choice(presets)
    allowed = fields_of(preset)
    tiny = [w for w in TINY["toy"] if w.partition("=")[0] in allowed]
    fields = [f for f in allowed if f.rpartition(".")[2] in
              ("lr", "eps", "beta1", "beta2", "sigma_max", "sigma_min", "sigma_data", "c", "decay",
               "value", "mean", "std", "start", "clip")]  # fmt: skip
    odd = [f"{f}={rng.choice(('1e30', '1e38', '1e300', '1e-300', '3e5', '1e-30', '0.0'))}"
           for f in rng.sample(fields, rng.choice((1, 1, 2)))]  # fmt: skip
    words = ("train", preset, "--set", "steps=30", *tiny, *odd, "--out", "run")

    def judge(folder: Path, ends: list[Ended]) -> str:
        end = ends[0]
        if went_well(end):
            facts = json.loads(end.out.splitlines()[-1])
            none = [k for k, v in facts.items() if v is None]
            return f"exit 0 with {none[0]} null" if none else ""
        if end.status == 1 and "step" not in end.sentences[0]:
            return "failed, and does not say at which step"
        return ""

    return Case(f"{preset} {' '.join(odd)}", words, judge=judge, before=short)


# 9: good files, and what merely looks like them


def cifar(rng: Random, shelf: Shelf) -> Case:
    """CIFAR-10 in some form: what is good is read, and nobody is told to remove a file."""
    from torture_cifar import cifar_case

    return cifar_case(rng, shelf.folder)


# 10: markup from a run's folder and from a lab's text

MARKUP = ("<b>torture</b>", "<img src=x onerror=torture>", "</script><script>torture</script>",
          "<a href='javascript:torture'>x</a>", "&lt;b&gt;", "'\"><i>torture</i>")  # fmt: skip
CELLS = (
    "<script>torture</script>",
    "[x](javascript:torture)",
    "<a href='javascript:torture'>x</a>",
    "<img src=x onerror='torture'>",
    "<iframe src='https://example.invalid'></iframe>",
    "[x](JaVaScRiPt:torture)",
    "![x](javascript:torture)",
    "<svg onload=torture>",
    "[x]: data:text/html,torture",
    "[x](data:text/html;base64,torture)",
    "<style>*{display:none}</style>",
    "[x](vbscript:torture)",
    "<a href=' javascript:torture'>x</a>",
    "$\\href{javascript:torture}{x}$",
    "<math><mtext><script>torture",
    "<form action='javascript:torture'>",
    "<p onclick=torture>x</p>",
    "[x](&#106;avascript:torture)",
)
LIVE = re.compile(
    r"<script>torture|<[^>]* on(error|load|click)=|(href|src|action)=.?\s*"
    r"(javascript|vbscript|data:text)|<iframe src=.https://example|<style>\*",
    re.IGNORECASE,
)


def markup(rng: Random, shelf: Shelf) -> Case:
    """Markup in a lab's text, and the gallery; in a run's records, and sample, evaluate, ship."""
    seed = rng.random()
    if rng.random() < 0.5:
        cell = rng.choice(CELLS)

        def prepare(folder: Path) -> None:
            path = lab_folder(folder) / "labs/03_boundary_condition.ipynb"
            nb = json.loads(path.read_text("utf-8"))
            texts = [c for c in nb["cells"] if c["cell_type"] == "markdown"]
            chosen = Random(seed).choice(texts[1:])
            chosen["source"] = f"{''.join(chosen['source'])}\n\n{cell}\n"
            path.write_text(json.dumps(nb), "utf-8")

        def judge(folder: Path, ends: list[Ended]) -> str:
            if not went_well(ends[0]):
                return ""
            texts = [p.read_text("utf-8") for p in (folder / "site").glob("03*.html")]
            live = [found[0] for found in map(LIVE.search, texts) if found]
            return f"the page holds {live[0]}" if live else "" if texts else "no page"

        return Case(f"lab's text {cell!r}, seed {seed}; gallery", ("gallery",), prepare, judge)
    word = rng.choice(MARKUP)

    def spoil(folder: Path) -> None:
        run = shelf.take("one", "half", folder)
        state = json.loads((run / "state.json").read_text("utf-8"))
        key = Random(seed).choice(sorted(state))
        state[key] = word
        (run / "state.json").write_text(json.dumps(state), "utf-8")

    def shown(folder: Path, ends: list[Ended]) -> str:
        if not went_well(ends[0]):
            return "a run is stopped by its state.json"
        return shelf.same("one", folder / "run")

    resume = ("train", *RECIPES["one"], "--out", "run", "--resume")
    return Case(f"state.json {word!r}, seed {seed}; --resume", resume, spoil, shown, before=short)


INPUTS: dict[int, tuple[Callable[[Random, Shelf], Case], ...]] = {
    2: (launcher,),
    3: (torn_log,),
    4: (older_record,),
    6: (damaged, damaged, damaged, damaged_lab, damaged_checkout),
    7: (settings, settings, options),
    8: (explosion,),
    9: (cifar,),
    10: (markup,),
}
