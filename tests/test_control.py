"""Run control: a run pauses, stops and goes on as asked, and ends as if it had not been."""

import errno
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


# Signals

POINTS = ["train", "toy.ct", "--set", "steps=18", "train.batch=4", "net.width=4"]


def signalled(step, name="SIGTERM"):
    """A callback that sends this process a signal at one step."""
    return lambda trainer: trainer.step == step and signal.raise_signal(getattr(signal, name))


@pytest.fixture(autouse=True)
def heeded():
    """No signal is ignored, as they are in a shell's background jobs and under nohup."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_loop(monkeypatch, callback):
    """Let the command's trainings call this too."""
    fit = runs.fit
    monkeypatch.setattr(runs, "SHEETS", 1)  # nothing else is written on the way
    monkeypatch.setattr(runs, "fit", lambda *words, **kept: fit(*words, callback, **kept))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_after_its_step_with_a_checkpoint(tmp_path, monkeypatch, capsys, name):
    in_loop(monkeypatch, signalled(7, name))
    assert main([*POINTS, "--out", str(tmp_path)]) == 3
    assert "stopped as asked at step 7; go on with --resume" in capsys.readouterr().err
    assert read(tmp_path / runs.CHECKPOINT)[1]["step"] == 7
    assert state(tmp_path)["state"] == "stopped" and not (tmp_path / WANT).exists()


def test_a_signal_writes_nothing_by_itself(tmp_path, monkeypatch):
    found = []

    def look(trainer):
        if trainer.step == 7:
            signal.raise_signal(signal.SIGTERM)
            found.append(sorted(path.name for path in tmp_path.iterdir()))

    in_loop(monkeypatch, look)
    assert main([*POINTS, "--out", str(tmp_path)]) == 3
    assert WANT not in found[0] and runs.CHECKPOINT not in found[0]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_stop_that_cannot_be_kept_is_told_in_a_sentence(tmp_path, monkeypatch, capsys, code):
    def refuse(path, payload, encoding=None):
        raise OSError(code, os.strerror(code))

    def close(trainer):
        if trainer.step == 7:
            monkeypatch.setattr(type(tmp_path), "write_bytes", refuse)
            monkeypatch.setattr(type(tmp_path), "write_text", refuse)
            signal.raise_signal(signal.SIGTERM)

    in_loop(monkeypatch, close)
    assert main([*POINTS, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "stopped as asked at step 7, which is not kept" in said[0]
    assert os.strerror(code) in said[0]
    monkeypatch.undo()
    assert main([*POINTS, "--out", str(tmp_path), "--resume"]) == 0


def test_a_stop_in_a_folder_that_was_moved_is_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    here, there = tmp_path / "here", tmp_path / "there"

    def move(trainer):
        if trainer.step == 7:
            here.rename(there)
            signal.raise_signal(signal.SIGTERM)

    in_loop(monkeypatch, move)
    assert main([*POINTS, "--out", str(here)]) == 1
    said = capsys.readouterr().err
    assert "step 7, which is not kept" in said and "was moved or removed" in said
    assert not here.exists() and said.count("\n") == 1


def test_a_signal_while_scoring_ends_at_once_and_resuming_scores_again(
    tmp_path, monkeypatch, capsys
):
    scored = []

    def score(*words):
        scored.append(1)
        signal.raise_signal(signal.SIGTERM)
        scored.append(2)

    monkeypatch.setattr(runs, "evaluate_model", score)
    assert main([*POINTS, "--out", str(tmp_path)]) == 3 and scored == [1]
    assert "stopped as asked" in capsys.readouterr().err
    assert state(tmp_path)["state"] == "stopped" and not (tmp_path / runs.MODEL).exists()
    assert read(tmp_path / runs.CHECKPOINT)[1]["step"] == 18
    monkeypatch.setattr(runs, "evaluate_model", lambda *words: {"fd1": 1.0})
    assert main([*POINTS, "--out", str(tmp_path), "--resume"]) == 0
    assert (tmp_path / runs.MODEL).exists()


def test_a_signal_before_training_ends_at_once_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("cmlab.cli.train.dry_run", lambda _: signal.raise_signal(signal.SIGTERM))
    assert main([*POINTS, "--out", str(tmp_path / "run")]) == 3
    assert not (tmp_path / "run").exists()


def test_a_signal_that_was_ignored_stays_ignored(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        in_loop(monkeypatch, signalled(7, "SIGHUP"))
        assert main([*POINTS, "--out", str(tmp_path)]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_ends_at_once(tmp_path):
    code = (
        "import signal, time\n"
        "from cmlab.train.control import heed_signals, stop_on_signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # tests in the background ignore it
        "with stop_on_signal(), heed_signals():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('first', flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('second', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "first\n" and done.returncode == -signal.SIGINT and not done.stderr
