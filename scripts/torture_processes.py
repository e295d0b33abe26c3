"""Races, signals and kills of `scripts/torture.py`, in forked and in whole processes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torture_inputs import (
    RECIPES,
    ROOT,
    Random,
    Shelf,
    lab_folder,
    launcher,
    log_fault,
    quick_bench,
    short,
    went_well,
)
from torture_run import Case, Ended, Event, Words

from cmlab.train import runs

Maker = Callable[[Random, Shelf], Case]
TRAIN = ("train", *RECIPES["one"])

# 1: two at once


def new_runs(rng: Random, shelf: Shelf) -> Case:
    """Runs with other seeds that begin in one folder: one trains, the others are refused."""
    n = rng.choice((2, 2, 3))
    commands = [(*TRAIN, "--seed", str(seed), "--out", "run") for seed in range(n)]

    def judge(folder: Path, ends: list[Ended]) -> str:
        done = [k for k, end in enumerate(ends) if went_well(end)]
        if len(done) != 1:
            return f"{len(done)} of {n} runs in one folder end with exit 0"
        record = json.loads((folder / "run" / runs.RECORD).read_text("utf-8"))
        seed = record.get("seed")
        return log_fault(folder / "run") or ("" if seed == done[0] else "the record is another's")

    return Case(f"{n} new runs, one --out", commands[0], judge=judge, rivals=tuple(commands[1:]),
                before=short)  # fmt: skip


def resumed_twice(rng: Random, shelf: Shelf) -> Case:
    """A half-done run resumed by several at once: one goes on, bit for bit."""
    name, n = rng.choice(("one", "two", "long")), rng.choice((2, 2, 3))
    words = ("train", *RECIPES[name], "--out", "run", "--resume")

    def judge(folder: Path, ends: list[Ended]) -> str:
        done = sum(map(went_well, ends))
        # One may begin when the other has ended: then it finds a finished run, and says its facts.
        return shelf.same(name, folder / "run") if done else "none goes on"

    return Case(f"{n} --resume of {name}", words, partial(take, shelf, name, "half"), judge,
                rivals=(words,) * (n - 1), before=short)  # fmt: skip


def take(shelf: Shelf, name: str, state: str, folder: Path) -> None:
    shelf.take(name, state, folder)


def default_folder(rng: Random, shelf: Shelf) -> Case:
    """Runs without --out: other settings have another folder, or all but one are refused."""
    n = rng.choice((2, 3, 4))
    commands = [
        ("train", "toy.ct", "--set", "steps=40", "net.width=4", f"train.batch={4 + k}")
        for k in range(n)
    ]

    def judge(folder: Path, ends: list[Ended]) -> str:
        done = [k for k, end in enumerate(ends) if went_well(end)]
        records = [
            json.loads(p.read_text("utf-8")) for p in (folder / "runs").glob("*/record.json")
        ]
        finished = {r["batch"] for r in records if "batch" in r}
        lost = {4 + k for k in done} - finished
        return f"{len(lost)} of {len(done)} finished runs are lost" if lost else ""

    return Case(f"{n} runs in the default folder", commands[0], judge=judge,
                rivals=tuple(commands[1:]), before=short)  # fmt: skip


def two_tables(rng: Random, shelf: Shelf) -> Case:
    """`bench` in several shells, one table: no row is lost."""
    from cmlab_labs.lab17_atlas.benchmark import ENTRIES

    n = rng.choice((2, 3))
    names = rng.sample(list(ENTRIES), 2 * n)
    commands = [
        ("bench", *names[2 * k : 2 * k + 2], "--steps", "8", "--seeds", "0,1", "--out", "t.jsonl")
        for k in range(n)
    ]

    def judge(folder: Path, ends: list[Ended]) -> str:
        done = sum(map(went_well, ends))
        rows = (folder / "t.jsonl").read_text("utf-8").splitlines()
        lost = 4 * done - len(rows)
        return f"{lost} of {4 * done} rows are lost" if lost > 0 else ""

    return Case(f"bench in {n} shells", commands[0], judge=judge, rivals=tuple(commands[1:]),
                before=quick_bench)  # fmt: skip


def two_builds(rng: Random, shelf: Shelf) -> Case:
    """`labs build` by two into one folder: the copies are whole."""
    who = rng.choice(("--student", "--instructor"))
    words = ("labs", "build", "03", who, "out")

    def judge(folder: Path, ends: list[Ended]) -> str:
        copies = list((folder / "out").iterdir()) if (folder / "out").exists() else []
        if [p.suffix for p in copies] != [".ipynb"]:
            return f"the folder holds {[p.name for p in copies]}"
        json.loads(copies[0].read_text("utf-8"))
        done = sum(map(went_well, ends))
        return "" if done == 1 else f"{done} of 2 builds say that they wrote the copy"

    return Case(f"two labs build {who}", words, lab_folder, judge, rivals=(words,))


def read_while_written(rng: Random, shelf: Shelf) -> Case:
    """A run that is read while it trains: it ends as the unbroken one."""
    verb = rng.choice((("sample", "run", "--n", "4", "--out", "x.png"), ("evaluate", "run"),
                       ("ship", "run", "--out", "small")))  # fmt: skip
    words = ("train", *RECIPES["long"], "--out", "run", "--resume")

    def judge(folder: Path, ends: list[Ended]) -> str:
        good = went_well(ends[0])
        return shelf.same("long", folder / "run") if good else "a reader stops the run"

    return Case(f"{verb[0]} while it trains", words, partial(take, shelf, "long", "half"), judge,
                rivals=(verb,), before=short)  # fmt: skip


# 5: signals

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def small_files(limit: int) -> None:
    """In a fork: no file grows beyond this size, as on a full disk."""
    short()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def signalled(rng: Random, shelf: Shelf) -> Case:
    """A signal at some moment of a run; resumed, it ends as the unbroken one."""
    number, name = rng.choice(SIGNALS), rng.choice(("long", "two"))
    where = rng.choice(("run/state.json", "run/start/state.json" if name == "two" else "run",
                        "run/checkpoint.safetensors", "run"))  # fmt: skip
    after = rng.random() * rng.choice((0.05, 0.5))
    full = rng.random() < 0.25
    words = ("train", *RECIPES[name], "--out", "run")
    limit = rng.choice((0, 100, 3000, 9000))

    def act(pid: int, folder: Path) -> None:
        if full:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        os.kill(pid, number)

    def judge(folder: Path, ends: list[Ended]) -> str:
        first, *_, last = ends
        if not went_well(last):
            return "--resume does not go on"
        if first.status not in (0, 3) and not full:
            return f"{number.name} ends it with status {first.status}"
        return shelf.same(name, folder / "run")

    title = f"{number.name}{' on a full disk' if full else ''} {after:.2f} s after {where}"
    event = Event(after, act, where)
    return Case(title, words, judge=judge, then=(*words, "--resume"), event=event,
                before=partial(small_files, 10**9))  # fmt: skip


def moved(rng: Random, shelf: Shelf) -> Case:
    """The folder of a run is moved or removed under it, sometimes with a signal."""
    how, after = rng.choice(("moved", "removed", "a file")), rng.random() * 0.2
    number = rng.choice((0, *SIGNALS))
    words = ("train", *RECIPES["long"], "--out", "run")

    def act(pid: int, folder: Path) -> None:
        (folder / "run").rename(folder / "elsewhere")
        if how == "removed":
            shutil.rmtree(folder / "elsewhere")
        if how == "a file":
            (folder / "run").write_text("")
        if number:
            os.kill(pid, number)

    title = f"folder {how} {after:.2f} s after its state, signal {number}"
    return Case(title, words, event=Event(after, act, "run/state.json"), before=short)


def full_disk(rng: Random, shelf: Shelf) -> Case:
    """Files may not grow beyond a size: one sentence, and what was there goes on."""
    limit, name = rng.choice((0, 1, 100, 500, 2000, 5000, 20_000)), rng.choice(("one", "two"))
    words = ("train", *RECIPES[name], "--out", "run", "--resume")
    prepare = partial(take, shelf, name, "half") if rng.random() < 0.6 else partial(int, 0)

    def judge(folder: Path, ends: list[Ended]) -> str:
        return shelf.same(name, folder / "run") if went_well(ends[0]) else ""

    return Case(f"{name}: files of {limit} bytes at most", words,
                prepare if prepare.func is take else (lambda folder: None), judge,
                before=partial(small_files, limit))  # fmt: skip


# 3: kills


def killed(rng: Random, shelf: Shelf, whole: bool = False) -> Case:
    """SIGKILL at some moment; resumed, the run has the weights of the unbroken one."""
    name = rng.choice(("long", "two"))
    words = ("train", *RECIPES[name], "--out", "run", "--resume")
    where = rng.choice(("run", "run/state.json", "run/start", "run/checkpoint.safetensors",
                        "run/log.jsonl", "run/model.safetensors"))  # fmt: skip
    if name == "long" and where == "run/start":
        where = "run"
    after = 0 if where.endswith("model.safetensors") else rng.random() * rng.choice((0.03, 0.3))

    def judge(folder: Path, ends: list[Ended]) -> str:
        good = went_well(ends[-1])
        return shelf.same(name, folder / "run") if good else "--resume does not go on"

    def act(pid: int, folder: Path) -> None:
        os.kill(pid, signal.SIGKILL)

    return Case(f"{name}: SIGKILL {after:.2f} s after {where}", words, judge=judge, then=words,
                event=Event(after, act, where), before=short, whole=whole)  # fmt: skip


# 11: installed and used elsewhere


def wheel(shelf: Shelf) -> Path:
    """A folder with the wheel of this checkout installed in it, without what it depends on."""
    target = shelf.folder / "installed"
    if not (target / "cmlab").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*pip, "--target", str(target), str(ROOT)], check=True)
    return target


ELSEWHERE: tuple[tuple[Words, str], ...] = (
    (("train", *RECIPES["one"], "--out", "run"), "accepted"),
    (("train", *RECIPES["picture"], "--out", "run"), ""),
    (("train", "digits.slct", "--set", "steps=4", "train.batch=4", "evaluator.n=66"), ""),
    (("train", "shapes.slct", "--set", "steps=4", "train.batch=4", "evaluator.n=66"), ""),
    (("sample", "taken/run", "--n", "4", "--out", "x.png"), "accepted"),
    (("evaluate", "taken/run"), "accepted"),
    (("ship", "taken/run", "--out", "small"), "accepted"),
    (("train", "music.cd", "--set", "steps=4", "train.batch=4"), ""),
    (("data", "cifar10"), "refused"),
    (("bench", "nobody"), "refused"),
    (("labs", "check"), ""),
    (("gallery",), "refused"),
    (("doctor",), ""),
    (("record", "transport", "nobody"), "refused"),
    (("evaluate", "taken/run", "--space", "cifar"), "refused"),
)


def elsewhere(rng: Random, shelf: Shelf) -> Case:
    """The installed package in a folder that is no checkout: it works, or says what is missing."""
    words, meant = rng.choice(ELSEWHERE)
    target = wheel(shelf)

    def prepare(folder: Path) -> None:
        (folder / "taken").mkdir()
        shelf.take("one", "whole", folder / "taken")

    def judge(folder: Path, ends: list[Ended]) -> str:
        late = ends[0].status == 2 and (folder / "run").exists()
        wrong = meant and {"accepted": 0, "refused": 2}[meant] != ends[0].status
        return "refused late" if late else f"not {meant}" if wrong else ""

    return Case(f"installed: {' '.join(words)[:60]}", words, prepare, judge, whole=True,
                environment={"PYTHONPATH": str(target)})  # fmt: skip


def fresh(maker: Maker) -> Maker:
    """The same case in whole processes."""

    def whole(rng: Random, shelf: Shelf) -> Case:
        return replace(maker(rng, shelf), whole=True)

    return whole


RACES: dict[int, tuple[Maker, ...]] = {
    1: (new_runs, resumed_twice, default_folder, two_tables, two_builds, read_while_written),
    5: (signalled, signalled, moved, full_disk),
}
KILLS: dict[int, tuple[Maker, ...]] = {3: (killed,)}
PROCESSES: dict[int, tuple[Maker, ...]] = {
    1: tuple(map(fresh, (new_runs, resumed_twice, default_folder, two_builds))),
    2: (fresh(launcher),),
    3: (partial(killed, whole=True),),
    5: (fresh(signalled), fresh(moved)),
    11: (elsewhere,),
}
