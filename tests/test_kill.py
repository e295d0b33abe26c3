"""Whatever the moment of a SIGKILL, resuming gives the weights of an unbroken run, bit for bit.

Run as a script, this file forks a fresh process for each moment and lets it kill itself there.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cmlab.cli.main import main
from cmlab.metrics.evaluators import ToyEvaluator
from cmlab.train import runs
from cmlab.train.checkpoint import read
from cmlab.train.trainer import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

# A start of 3 steps and a run of 9, with a checkpoint after every second step and the last.
WORDS = ["train", "toy.ect", "--set", "steps=12", "net.width=8", "start.net.width=8"]
WORDS += ["train.batch=8", "start.train.batch=8"]
STEP, SCORE = (Trainer, "advance"), (ToyEvaluator, "__call__")
WRITE, RENAME = (Path, "write_bytes"), (Path, "replace")
MOMENTS = {  # what is called, for which file, which call of it, and the share of it written before
    "in the first step of the start": (STEP, "", 1, 0),
    "in the start, before its second checkpoint": (STEP, "", 3, 0),
    "while the start's first checkpoint is written": (WRITE, "start/.checkpoint", 1, 0.5),
    "while the start's last checkpoint is written": (WRITE, "start/.checkpoint", 2, 0.9),
    "before the start's last checkpoint is renamed": (RENAME, "start/.checkpoint", 2, 0),
    "while the start's model is written": (WRITE, "start/.model", 1, 0.5),
    "between the start and the run": (STEP, "", 4, 0),
    "in the run, before its first checkpoint": (STEP, "", 5, 0),
    "while the run's first checkpoint is written": (WRITE, "run/.checkpoint", 1, 0.5),
    "before the run's second checkpoint is renamed": (RENAME, "run/.checkpoint", 2, 0),
    "before it is said how far the run is": (RENAME, "run/.state", 1, 0),
    "in the run's last step": (STEP, "", 12, 0),
    "while the run is scored": (SCORE, "", 1, 0),
    "while the model is written": (WRITE, "run/.model", 1, 0.5),
    "before the last record is renamed": (RENAME, "run/.record", 2, 0),
}


def kill_at(what, file, call, share):
    """From now on, that call of the method, for that file, kills this process."""
    owner, name = what
    method, calls = getattr(owner, name), []

    def deadly(self, *args):
        if file in str(self):
            calls.append(args)
        if len(calls) < call or file not in str(self):
            return method(self, *args)
        if share:
            method(self, args[0][: int(share * len(args[0]))])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def forked(words, before=lambda: None):
    """The process id of a copy of this process that runs the command line."""
    child = os.fork()
    if not child:
        try:
            before()
            os._exit(main(words))
        finally:
            os._exit(99)
    return child


def ending(child):
    """0 for a good end, minus the signal for a kill."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def drive(folder):
    """Every moment once; then kills from outside at even intervals; the endings by name."""
    sys.stdout = open(os.devnull, "w")
    runs.fit.__kwdefaults__["keep"] = 2
    ends = {"unbroken": [main([*WORDS, "--out", str(folder / "unbroken")])]}
    for moment, fault in MOMENTS.items():
        words = [*WORDS, "--out", str(folder / moment / "run"), "--resume"]
        killed = ending(forked(words, lambda fault=fault: kill_at(*fault)))
        ends[moment] = [killed, ending(forked(words))]
    start = time.perf_counter()
    ending(forked([*WORDS, "--out", str(folder / "timed")]))
    seconds = time.perf_counter() - start
    words = [*WORDS, "--out", str(folder / "again and again"), "--resume"]
    for share in (0.2, 0.35, 0.5, 0.65, 0.8):
        child = forked(words)
        time.sleep(share * seconds)
        os.kill(child, signal.SIGKILL)
        ending(child)
    ends["again and again"] = [ending(forked(words))]
    (folder / "ends.json").write_text(json.dumps(ends))


def weights(folder):
    return read(folder / runs.MODEL)[0]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    done = subprocess.run([sys.executable, __file__, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_there_and_resumed_has_the_weights_of_an_unbroken_one(driven, moment):
    ends = json.loads((driven / "ends.json").read_text())
    assert ends[moment] == [-signal.SIGKILL, 0]
    run = driven / moment / "run"
    assert same(weights(run), weights(driven / "unbroken"))
    assert not list(run.rglob("*.part"))  # what was half written is swept up
    record = json.loads((run / runs.RECORD).read_text())
    assert record["samples_seen"] == 12 * 8 and record["scores"]["rmse"] > 0


def test_a_run_killed_again_and_again_has_the_weights_of_an_unbroken_one(driven):
    ends = json.loads((driven / "ends.json").read_text())
    assert ends["again and again"] == [0]
    assert same(weights(driven / "again and again"), weights(driven / "unbroken"))


def test_the_command_itself_survives_a_kill(tmp_path):
    words = ["train", "toy.ct", "--set", "steps=600", "train.batch=4", "net.width=4", "--out"]
    run = [sys.executable, "-m", "cmlab", *words, str(tmp_path / "killed")]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while not (tmp_path / "killed" / runs.CHECKPOINT).exists() and child.poll() is None:
            time.sleep(0.002)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert read(tmp_path / "killed" / runs.CHECKPOINT)[1]["step"] in (500, 600)
    assert main([*words, str(tmp_path / "killed"), "--resume"]) == 0
    assert main([*words, str(tmp_path / "unbroken")]) == 0
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "unbroken"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    drive(Path(sys.argv[1]))
