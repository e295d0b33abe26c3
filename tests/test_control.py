"""Run control: a run pauses, stops and goes on as asked, and ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from cmlab.cli.main import main
from cmlab.presets import digits
from cmlab.train import nonfinite, runs
from cmlab.train.checkpoint import read
from cmlab.train.control import PAUSE, STATE, STOP, WANT, ObeyRequests, RunControl, Stopped

WORDS = ["train", "digits.ect", "--set", "steps=30", "train.batch=4", "start.train.batch=4"]
WORDS += ["net.width=8", "start.net.width=8"]


def tiny():
    from cmlab.cli.settings import recipe_of

    return recipe_of("digits.ect", 0, WORDS[3:])


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken():
    return dict(runs.fit(tiny()).ema.model.state_dict())


@pytest.fixture
def eager(monkeypatch):
    """A run that looks after every step whether something is wanted of it."""
    clock = iter(range(0, 10**9, 2))
    monkeypatch.setattr("cmlab.train.control.time.monotonic", lambda: next(clock))


def state(folder):
    return json.loads((folder / STATE).read_text())


def asks(control, step, word):
    """A callback that wants this at one step."""
    return lambda trainer: trainer.step == step and control.ask(word)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path, eager, unbroken):
    control = RunControl(tmp_path, (2, 2))
    with pytest.raises(Stopped, match="stopped as asked at step 7; go on with --resume"):
        runs.fit(tiny(), tmp_path, asks(control, 7, STOP))
    said = state(tmp_path)
    assert (said["state"], said["stage"], said["step"], said["steps"]) == (
        "stopped",
        [2, 2],
        7,
        18,
    )
    assert read(tmp_path / runs.CHECKPOINT)[1]["step"] == 7
    trainer = runs.fit(tiny(), tmp_path)
    assert same(dict(trainer.ema.model.state_dict()), unbroken)


def test_a_wish_that_an_earlier_sitting_left_behind_stops_nothing(tmp_path, eager):
    RunControl(tmp_path).ask(STOP)
    assert runs.fit(tiny(), tmp_path).step == 18
    assert not (tmp_path / WANT).exists()


def test_a_paused_run_has_written_its_checkpoint_and_waits(tmp_path, eager, unbroken):
    control, seen = RunControl(tmp_path), []

    def release():
        while not ((tmp_path / STATE).exists() and state(tmp_path)["state"] == "paused"):
            time.sleep(0.01)
        seen.append((state(tmp_path)["step"], read(tmp_path / runs.CHECKPOINT)[1]["step"]))
        control.ask("")

    other = threading.Thread(target=release, daemon=True)
    other.start()
    trainer = runs.fit(tiny(), tmp_path, asks(control, 5, PAUSE))
    other.join(5)
    assert seen == [(5, 5)]
    assert same(dict(trainer.ema.model.state_dict()), unbroken)


def test_a_paused_run_can_be_stopped(tmp_path, eager):
    control = RunControl(tmp_path)

    def release():
        while not ((tmp_path / STATE).exists() and state(tmp_path)["state"] == "paused"):
            time.sleep(0.01)
        control.ask(STOP)

    threading.Thread(target=release, daemon=True).start()
    with pytest.raises(Stopped, match="step 5"):
        runs.fit(tiny(), tmp_path, asks(control, 5, PAUSE))


def test_a_run_that_failed_leaves_the_sentence_for_those_who_watch(tmp_path):
    recipe = tiny()

    def spoil(trainer):
        if trainer.step == 3:
            trainer.model.net.first.weight.data.fill_(torch.nan)

    with pytest.raises(nonfinite.NotFinite):
        runs.fit(recipe, tmp_path, spoil)
    said = state(tmp_path)
    assert said["state"] == "failed" and said["step"] == 3
    assert said["sentence"].startswith("the weights are not finite at step 3, first net.first.")


def test_watching_costs_one_look_a_second(tmp_path):
    obey, trainer = (
        ObeyRequests(RunControl(tmp_path), lambda trainer: None),
        digits.edm(3).trainer(),
    )
    obey(trainer)
    (tmp_path / STATE).unlink()
    obey(trainer)
    assert not (tmp_path / STATE).exists()


def test_the_command_ends_with_a_checkpoint_when_it_is_asked_to(tmp_path):
    words = [*WORDS[:3], "steps=3000", *WORDS[4:], "--out", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "cmlab", *words]
    with subprocess.Popen(run, stderr=subprocess.PIPE, env=environment, text=True) as child:
        while not (tmp_path / STATE).exists() and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        said = child.stderr.read()
    assert child.returncode == 3
    assert "cmlab: stopped as asked at step" in said
    assert read(tmp_path / "start" / runs.CHECKPOINT)[1]["step"] >= 1
    assert state(tmp_path)["state"] == "stopped" and not (tmp_path / WANT).exists()


def test_signals_are_the_callers_again_afterwards(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main([*WORDS, "--out", str(tmp_path)]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
