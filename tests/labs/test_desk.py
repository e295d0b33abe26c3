"""The training desk: what its buttons do is done by `cmlab train`, and its words are the run's."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from cmlab_labs.lab16_cifar10 import remote_run
from cmlab_labs.lab16_cifar10.figures import Phase, early_and_late, sample_strip, training_curves
from cmlab_labs.lab16_cifar10.remote_run import (
    LogReader,
    RunRequest,
    RunStatus,
    TrainingSpeed,
    alive,
    all_steps,
    last_error_in,
    own_steps,
    request_from,
    shell,
    split_steps,
)
from cmlab_labs.lab16_cifar10.training_desk import desk
from PIL import Image

from cmlab.cli.main import main
from cmlab.presets import PRESETS
from cmlab.train import checkpoint, runs
from cmlab.train.checkpoint import read, write_json
from cmlab.train.run_log import LEVELS

SMALL = ("net.width=8", "start.net.width=8", "train.batch=4", "start.train.batch=4")
TINY = ("steps=200", *SMALL, "evaluator.n=100")


def press(seen, name):
    button = seen.controls.buttons[name]
    assert not button.disabled, f"{name} is disabled while {seen.status}"
    button.click()


def until(seen, *words, seconds=900, more=lambda seen: True):
    """Look until the run is in one of these states; its standing then."""
    end = time.monotonic() + seconds
    while seen.refresh() or not end:
        if seen.status.word in words and more(seen):
            return seen.status
        assert time.monotonic() < end, seen.status
        time.sleep(0.2)
    assert seen.status.word in words, (seen.status, seen.alarm.value)
    return seen.status


def until_it_ended(seen, word):
    until(seen, word, more=lambda seen: not seen.status.pid and not seen.remote.process.pid())
    return seen.status


def weights(folder):
    return read(folder / runs.MODEL)[0]


def row(step, loss=1.0):
    return {"step": step, "samples": 4 * step, "loss": loss, "by_level": [loss] * 12}


@pytest.fixture(scope="module")
def sitting(tmp_path_factory):
    """One run: started, paused, gone on, killed, resumed, stopped, resumed, finished."""
    home = tmp_path_factory.mktemp("desk")
    folder, seen = home / "a", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        first = desk("digits.ect", "a", TINY)
        seen["commands"] = [first.line.value]
        press(first, "start")
        press(first, "pause")  # while it still starts
        seen["paused"] = until(first, "paused")
        seen["sessions"] = os.getsid(0), os.getsid(first.status.pid)
        again = desk("digits.ect", "a", ("steps=7",))
        seen["pids"] = (first.status.pid, again.status.pid)
        again.start()
        seen["not twice"] = again.remote.process.note()["pid"]
        press(again, "pause")
        seen["gone on"] = until(again, "training", more=lambda s: not s.remote.want)
        os.kill(again.status.pid, signal.SIGKILL)
        seen["gone"] = until_it_ended(first, "gone")
        seen["alarm"] = first.alarm.value, first.controls.buttons["start"].description
        checkpoints = {1: folder / "start" / runs.CHECKPOINT, 2: folder / runs.CHECKPOINT}
        seen["kept"] = max((phase, read(path)[1]["step"])
                           for phase, path in checkpoints.items() if path.exists())  # fmt: skip
        other = desk("digits.ect", "a")  # as after a restart of the kernel: it has no settings
        seen["commands"].append(other.line.value)
        press(other, "start")
        press(other, "stop")
        seen["stopped"] = until_it_ended(other, "stopped")
        last = desk("digits.ect", "a")
        press(last, "start")
        until_it_ended(last, "finished")
        seen["last"] = last
        seen["commands"].append(last.line.value)
        yield folder, seen


@pytest.fixture(scope="module", autouse=True)
def nothing_left():
    """What the desks started ends with these tests, however they end."""
    yield
    for process in remote_run.STARTED.values():
        if process.poll() is None:
            process.kill()
            process.wait()


def test_however_it_was_paused_killed_stopped_and_resumed_the_weights_are_an_unbroken_runs(
    sitting, tmp_path
):
    folder, seen = sitting
    assert main(["train", "digits.ect", "--set", *TINY, "--out", str(tmp_path / "b")]) == 0
    mine, theirs = weights(folder), weights(tmp_path / "b")
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    a, b = (json.loads((f / runs.RECORD).read_text()) for f in (folder, tmp_path / "b"))
    assert a["scores"] == b["scores"] and a["settings"] == b["settings"] == list(TINY)


def test_a_second_desk_finds_the_run_and_starts_no_second_process(sitting):
    _, seen = sitting
    assert seen["pids"][0] == seen["pids"][1] == seen["not twice"] > 0
    assert seen["sessions"][0] != seen["sessions"][1], "so Ctrl-C in the kernel ends no run"
    paused, gone_on = seen["paused"], seen["gone on"]
    assert paused.word == "paused"
    assert (gone_on.stage, gone_on.step) > (paused.stage, paused.step)


def test_a_kill_is_said_with_the_step_that_resume_goes_on_from(sitting):
    _, seen = sitting
    alarm, button = seen["alarm"]
    phase, step = seen["kept"]  # of the pause, or of phase 1's end if that came before the kill
    assert (phase, step) >= (seen["paused"].stage[0], seen["paused"].step)
    assert "role='alert'" in alarm and "signal 9" in alarm and button == "Resume"
    assert f"Resume goes on from step {step:,}{' of phase 1' if phase == 1 else ''}." in alarm
    assert not psutil.pid_exists(seen["pids"][0]), "it has been reaped"


def test_the_command_on_show_is_the_one_that_ran_and_a_resumed_desk_knows_its_settings(sitting):
    _, seen = sitting
    first, resumed, finished = (re.sub("<.*?>", "", html) for html in seen["commands"])
    words = shlex.split(first)
    assert words[:5] == ["python", "-m", "cmlab", "train", "digits.ect"]
    assert [w for w in words if "=" in w] == list(TINY) and words[-2:] == ["--out", "a"]
    assert resumed == f"{first} --resume" and finished == first


def test_a_finished_run_is_shown_with_its_scores_and_every_strip(sitting):
    folder, seen = sitting
    shown = seen["last"]
    assert "Finished" in shown.words.value and "fd1" in shown.numbers.value
    assert "800 samples seen" in shown.numbers.value
    assert shown.alarm.value == "" and shown.controls.buttons["start"].disabled
    sheets = shown.strips.sheets
    assert [s.step for s in sheets if s.phase == 2][-1] == 120
    assert shown.strips.slider.value == len(sheets) - 1
    before = shown.strips.image.value
    shown.strips.slider.value = 0
    assert shown.strips.image.value != before
    assert shown.strips.figure.axes[0].get_title(loc="left").endswith("phase 1: EDM")
    assert [phase.name for phase in shown.trace.phases()] == ["phase 1: EDM", "phase 2: ECT"]
    assert shown.trace.phases()[1].samples[-1] == 800


def test_a_run_that_explodes_names_the_noise_level_and_a_setting_that_is_none_is_refused(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rates = ("train.optimizer.lr=1e9", "start.train.optimizer.lr=1e9")
    bad = desk("digits.ect", "nan", (*TINY, *rates))
    none = desk("digits.ect", "none", ("speed=3",))
    for seen in (bad, none):
        press(seen, "start")
    until_it_ended(bad, "failed")
    assert "role='alert'" in bad.alarm.value
    assert re.search(
        r"first at noise level [0-9.e+-]+(, in \w+)?|gradient is not finite", bad.alarm.value
    )
    until_it_ended(none, "refused")
    assert "--set speed=3: there is no" in none.alarm.value
    assert not none.remote.folder.exists()
    assert none.controls.buttons["start"].description == "Start"
    assert not none.controls.buttons["start"].disabled


def test_a_forecast_is_measured_while_the_desk_stays_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = desk("digits.ect", "f", TINY)
    press(seen, "forecast")
    assert "measuring" in seen.plan.value and seen.plan.busy
    end = time.monotonic() + 900
    while seen.refresh() and time.monotonic() < end:
        time.sleep(0.2)
    assert re.search(r"Forecast: .* MB of memory for 800 samples", seen.plan.value)
    assert "estimate" in seen.plan.value and not list(tmp_path.iterdir())


@pytest.fixture
def play(monkeypatch, tmp_path):
    """A desk whose process is a script that ends at once: for endings that are hard to make."""
    monkeypatch.chdir(tmp_path)

    def opened(script, *files):
        for name, record in files:
            (tmp_path / "a").mkdir(exist_ok=True)
            write_json(tmp_path / "a" / name, record)
        started = remote_run.subprocess.Popen

        def instead(words, **kept):
            return started([sys.executable, "-c", script], **kept)

        monkeypatch.setattr(remote_run.subprocess, "Popen", instead)
        return desk("digits.ect", "a")

    return opened


def state(word, pid=0, **more):
    kept = {"state": word, "sentence": "", "stage": [1, 2], "step": 7, "steps": 9, "pid": pid}
    return "state.json", {**kept, "time": time.time() - 1, **more}


def test_a_full_disk_is_told_in_the_processs_own_last_sentence(play):
    seen = play(
        "import os, json, sys, time\n"
        "kept = json.load(open('a/state.json')) | {'pid': os.getpid(), 'time': time.time()}\n"
        "json.dump(kept, open('a/state.json', 'w'))\n"
        "sys.exit('Traceback\\nOSError: [Errno 28] No space left on device\\nbye')",
        state("training"),
    )
    press(seen, "start")
    until(seen, "gone")
    assert "[Errno 28] No space left on device" in seen.alarm.value
    assert "Resume goes on from the beginning" in seen.alarm.value


def test_a_refused_resume_is_told_and_the_folder_is_as_it_was(play):
    seen = play("import sys; sys.exit('cmlab: a is of <another> recipe')", state("stopped"))
    assert seen.controls.buttons["start"].description == "Resume"
    press(seen, "start")
    until(seen, "refused")
    assert "a is of &lt;another&gt; recipe." in seen.alarm.value
    assert sorted(p.name for p in (seen.remote.folder).iterdir()) == ["state.json"]


def test_a_machine_that_refuses_a_process_is_told_and_leaves_no_lock(play, monkeypatch):
    seen = play("")

    def refuse(*words, **kept):
        raise OSError("no more processes")

    monkeypatch.setattr(remote_run.subprocess, "Popen", refuse)
    press(seen, "start")
    assert "no more processes" in seen.alarm.value and not seen.remote.process.note_file.exists()
    press(seen, "forecast")
    assert "no more processes" in seen.alarm.value and not seen.plan.busy


def test_of_two_desks_that_start_at_once_one_is_refused(play):
    seen = play("import time; time.sleep(30)")
    press(seen, "start")
    pid = seen.remote.process.pid()
    with pytest.raises(checkpoint.BadFile, match="trains into a already"):
        seen.remote.process.start(RunRequest("digits.ect", "a"), False)
    assert seen.remote.process.pid() == pid and seen.status.word == "starting"
    os.kill(pid, signal.SIGKILL)
    until(seen, "gone")


def test_a_run_from_a_terminal_is_watched_and_asked_without_a_process_of_the_desks(play):
    seen = play("", state("training", os.getpid()))
    assert seen.status.word == "training" and seen.controls.buttons["start"].disabled
    assert all(seen.controls.knobs[name].disabled for name in ("preset", "steps", "devices"))
    press(seen, "pause")
    assert (seen.remote.folder / "want").read_text() == "pause"
    assert "a pause is asked for" in seen.words.value
    assert seen.controls.buttons["pause"].description == "Go on"
    press(seen, "pause")
    assert not (seen.remote.folder / "want").exists()
    press(seen, "stop")
    assert (seen.remote.folder / "want").read_text() == "stop"
    assert seen.controls.buttons["pause"].disabled and seen.controls.buttons["stop"].disabled


def test_a_folder_deleted_under_the_desk_and_torn_files_are_survived(play):
    seen = play("", state("training", os.getpid()))
    folder = seen.remote.folder
    (folder / "strips").mkdir()
    (folder / "strips" / "00000003.png").write_bytes(b"half a pict")
    (folder / "log.jsonl").write_text("nonsense\n" + json.dumps(row(100)) + '\n{"step": 2')
    (folder / "record.json").write_text("{")
    assert seen.refresh() and len(seen.trace.rows) == 1
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    assert not seen.refresh() and seen.status == RunStatus()
    assert seen.trace.rows == [] and "Nothing has run here" in seen.words.value


def test_nothing_is_started_by_opening_a_desk(play, tmp_path):
    play("raise SystemExit('no')")
    assert list(tmp_path.iterdir()) == []


def test_the_desk_looks_by_itself_where_an_event_loop_runs_and_ends_with_the_run(
    play, monkeypatch
):
    monkeypatch.setattr("cmlab_labs.lab16_cifar10.training_desk.PERIOD", 0.01)

    async def watched():
        seen = play("import time; time.sleep(0.3)")
        press(seen, "start")
        task = seen.task
        press(seen, "forecast")
        assert seen.task is task
        await asyncio.wait_for(task, 60)
        return seen

    seen = asyncio.run(watched())
    assert seen.status.word == "gone" and "no numbers" not in seen.plan.value
    assert "No forecast" in seen.plan.value


def test_a_log_is_read_as_it_grows_and_anew_when_it_was_replaced(tmp_path):
    log = LogReader(tmp_path / "log.jsonl")
    assert not log.read()
    lines = [json.dumps(row(step)) + "\n" for step in (100, 200, 300)]
    log.path.write_text(lines[0] + lines[1][:9])
    assert log.read() and [r["step"] for r in log.rows] == [100]
    assert not log.read()
    log.path.write_text(lines[0] + lines[1])
    assert log.read() and [r["step"] for r in log.rows] == [100, 200]
    (tmp_path / "new").write_text(lines[0] + lines[2] * 3)  # longer, and another file
    (tmp_path / "new").replace(log.path)
    assert log.read() and [r["step"] for r in log.rows] == [100, 300, 300, 300]


def test_the_pace_is_steps_a_second_and_forgets_a_pause():
    pace = TrainingSpeed()
    for at, word, step in ((0, "training", 0), (2, "training", 6), (2, "training", 6)):
        pace.see(RunStatus(word, 1, step=step, time=at))
    assert pace.steps == 3.0
    pace.see(RunStatus("paused", 1, step=6, time=9))
    pace.see(RunStatus("training", 1, step=6, time=90))
    assert pace.steps == 0.0
    pace.see(RunStatus("training", 1, step=7, time=92))
    assert pace.steps == 0.5


@pytest.mark.skipif(os.name != "posix", reason="quotes for another shell")
def test_every_order_is_a_command_line_that_parses_to_the_same_words():
    order = RunRequest("digits.ect", "my runs/$a", 50, ("data=a b",), "/d", 2, True, "cuda")
    words = order.arguments(resume=True)
    assert shlex.split(shell(words)) == ["python", "-m", "cmlab", *words]
    assert words.index("--set") + 1 == words.index("steps=50")
    assert {"--compile", "--resume", "--devices", "--accelerator", "--data"} < set(words)
    assert "--plan" not in words and "--resume" not in order.arguments(resume=True, plan=True)
    assert request_from(json.loads(json.dumps(order.to_dict()))) == order
    assert request_from({"preset": "gone", "settings": ()}) is None
    assert split_steps(("a=1", "steps=9")) == (9, ("a=1",)) and split_steps(("a=1",)) == (
        None,
        ("a=1",),
    )
    own = own_steps("digits.ect")
    assert "--set" not in RunRequest("digits.ect", "a", own).arguments()


def test_every_preset_can_be_chosen_and_an_unknown_one_is_refused_in_a_sentence(play):
    seen = play("")
    for name in seen.controls.knobs["preset"].options:
        seen.controls.knobs["preset"].value = name
        assert name in seen.line.value and name in PRESETS
        assert seen.controls.order().steps is None
        assert seen.controls.knobs["steps"].value == all_steps(name) > 0
    seen.controls.knobs["preset"].value = "digits.ect"
    assert not seen.controls.knobs["steps"].disabled
    seen.controls.knobs["steps"].value = 30
    assert "steps=30" in seen.line.value
    with pytest.raises(ValueError, match="no preset 'none'; choose one of"):
        desk("none")


def test_a_number_that_another_process_has_now_is_not_taken_for_the_run():
    assert alive(os.getpid(), time.time())
    assert not alive(os.getpid(), time.time() - 10**8)
    assert not any(alive(pid, time.time()) for pid in (0, -1, None, "1", 2**22 + 1))


def test_the_last_sentence_is_the_error_and_not_a_warning():
    said = "UserWarning: slow\ncmlab: first\nValueError: b\ncmlab: it is so\n  warnings.warn(x)\n"
    assert last_error_in(said) == "it is so"
    assert last_error_in("torch.OutOfMemoryError: CUDA out of memory\n").startswith("torch.Out")
    assert last_error_in("a warning\n") == ""


def phase(n, name="phase 1: EDM"):
    levels = np.linspace(1, 2, 12 * n).reshape(n, 12)
    return Phase(name, np.arange(1, n + 1) * 100.0, np.linspace(3, 1, n), levels)


def test_the_figures_draw_what_they_were_given():
    two = [phase(8), phase(6, "phase 2: ECT")]
    left, right = training_curves(two).axes
    assert [list(line.get_ydata()) for line in left.lines] == [list(p.loss) for p in two]
    early, late = early_and_late(two[1].by_level)
    assert np.allclose(right.lines[0].get_ydata(), early)
    assert np.allclose(right.lines[1].get_ydata(), late)
    assert np.allclose(right.lines[1].get_xdata(), LEVELS)
    assert np.allclose(early, two[1].by_level[:3].mean(0))
    for count in range(3):
        training_curves([phase(1)] * count).canvas.draw()
    holes = np.full((2, 12), np.nan)
    holes[0, 3], holes[1, 4] = 1.0, 2.0
    assert np.isnan(early_and_late(holes)[1][3]) and early_and_late(holes)[1][4] == 2.0
    pixels = np.asarray(Image.new("RGB", (72, 27)))
    assert sample_strip(pixels, "now").axes[0].get_title(loc="left") == "now"
