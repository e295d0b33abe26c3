"""Two at once: one process writes in a folder, the other is refused, and nothing is lost."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from cmlab.cli.main import main
from cmlab.cli.settings import recipe_of
from cmlab.cli.train import default_folder
from cmlab.train import checkpoint, lock, runs
from cmlab.train.checkpoint import BadFile, process_place, read
from cmlab.train.lock import LOCK, SILENCE, InUse, hold, hold_folder, is_abandoned
from cmlab.train.run_log import LOG

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

WORDS = ["train", "toy.ct", "--set", "steps=12", "train.batch=4", "net.width=4"]
ELSEWHERE = "far-away-0123abcd-0123abcd"


class Holder:
    """A copy of this process that takes a folder's lock, says so in a pipe, and waits."""

    def __init__(self, folder, seconds):
        ours, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                with hold_folder(folder):
                    os.write(theirs, f"{time.monotonic()} ".encode())
                    time.sleep(seconds)
                    os.write(theirs, f"{time.monotonic()} ".encode())
            except InUse as error:
                os.write(theirs, str(error).encode())
            finally:
                os._exit(0)
        os.close(theirs)
        self.said, self.ended = open(ours), False

    def end(self):
        """What it said, once it has ended."""
        if not self.ended:
            os.waitpid(self.pid, 0)
        self.ended = True
        return self.said.read()

    def kill(self):
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            self.end()


@pytest.fixture
def other(tmp_path):
    """A process that holds a folder, until the test ends."""
    holder = Holder(tmp_path / "run", 600)
    assert holder.said.read(1)
    yield holder
    holder.kill()
    holder.said.close()


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def without_flock(monkeypatch):
    monkeypatch.setattr(lock, "try_flock", lambda file: None)


def foreign(path, seconds, **changed):
    """A lock of another machine's process that was last heard of so many seconds ago."""
    holder = {"place": ELSEWHERE, "pid": 7, "start": 1.0, "since": 1e9, "command": "cmlab train"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(holder | changed))
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_folder_in_use_is_refused_in_a_sentence_and_nothing_is_written(other, tmp_path, capsys):
    before = files(tmp_path)
    for words in ([], ["--resume"]):
        assert main([*WORDS, "--out", str(tmp_path / "run"), *words]) == 2
        said = capsys.readouterr().err
        assert re.search(rf"in use by process {other.pid} on .* since .*; wait for it", said)
        assert said.count("\n") == 1 and files(tmp_path) == before


@pytest.mark.parametrize("flock", [True, False])
def test_a_process_that_is_killed_holds_nothing(other, tmp_path, monkeypatch, flock):
    if not flock:
        without_flock(monkeypatch)
    with pytest.raises(InUse), hold_folder(tmp_path / "run"):
        pass
    other.kill()
    with hold_folder(tmp_path / "run") as held:
        held.check()
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]


def test_another_machine_holds_its_lock_until_it_was_silent_for_long(tmp_path):
    path = tmp_path / "run" / LOCK
    foreign(path, SILENCE - 60)
    with pytest.raises(InUse, match=r"process 7 on far-away since .* last heard of 5\d\d s ago"):
        hold_folder(tmp_path / "run").__enter__()
    foreign(path, SILENCE + 60)
    with hold_folder(tmp_path / "run"):
        assert json.loads(path.read_bytes())["pid"] == os.getpid()


def test_a_number_that_another_process_has_now_holds_nothing(tmp_path, monkeypatch):
    without_flock(monkeypatch)
    path = tmp_path / LOCK
    foreign(path, 0, place=process_place(), pid=os.getppid(), start=1.0)
    with hold(path):
        pass
    foreign(path, 0, place=process_place(), pid=os.getppid(), start=time.time())
    with pytest.raises(InUse), hold(path):
        pass


def test_a_living_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with hold(tmp_path / LOCK) as held:
        os.utime(held.path, (1e9, 1e9))
        until = time.monotonic() + 30
        while held.path.stat().st_mtime < 1e9 + 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - held.path.stat().st_mtime < 60


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff" * 9000, b"[" * 5000, b'{"pid": "x"}'])
@pytest.mark.parametrize("flock", [True, False])
def test_a_damaged_lock_is_waited_for_and_then_taken(tmp_path, monkeypatch, text, flock):
    if not flock:
        without_flock(monkeypatch)
    path = tmp_path / LOCK
    path.write_bytes(text)
    if text or not flock:  # an empty one that can be locked was left by a kill
        with pytest.raises(InUse), hold(path):
            pass
    os.utime(path, (time.time() - SILENCE - 1,) * 2)
    with hold(path):
        pass
    assert not path.exists()


def test_of_many_that_take_an_abandoned_lock_at_once_one_holds_it(tmp_path):
    for _ in range(4):
        foreign(tmp_path / "run" / LOCK, SILENCE + 60)
        holders = [Holder(tmp_path / "run", 0.05) for _ in range(12)]
        said = [holder.end() for holder in holders]
        times = sorted(tuple(map(float, s.split())) for s in said if s[0].isdigit())
        assert times and all(a[1] <= b[0] for a, b in zip(times, times[1:], strict=False))
        assert all(s[0].isdigit() or "in use by" in s or "being taken" in s for s in said)
        for holder in holders:
            holder.said.close()


def test_threads_of_one_process_exclude_each_other_and_none_excludes_itself(
    tmp_path,
):
    found = []

    def try_it():
        try:
            with hold_folder(tmp_path):
                found.append("held")
        except InUse as error:
            found.append(str(error))

    with hold_folder(tmp_path), hold_folder(tmp_path / "start") as inner:
        assert inner.path == tmp_path / LOCK
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert f"in use by process {os.getpid()}" in found[0]
    try_it()
    assert found[1] == "held"


def test_a_run_that_is_refused_for_its_settings_leaves_no_folder(tmp_path):
    out = tmp_path / "a" / "b"
    assert main([*WORDS, "net.width=-3", "--out", str(out)]) == 2
    assert not list(tmp_path.iterdir())


def steals(folder, step):
    """A callback that takes the run's lock away at one step."""
    return lambda trainer: trainer.step == step and foreign(folder / LOCK, 0)


def test_a_run_whose_lock_was_taken_over_writes_nothing_more(tmp_path):
    recipe = recipe_of("toy.ct", 0, WORDS[3:])
    with pytest.raises(InUse, match="on far-away .* writes nothing more"):
        runs.fit(recipe, tmp_path, steals(tmp_path, 6), keep=2)
    assert read(tmp_path / runs.CHECKPOINT)[1]["step"] == 4
    assert json.loads((tmp_path / "state.json").read_text())["state"] == "training"
    assert (tmp_path / LOCK).exists()  # the other's


def test_a_run_whose_folder_was_moved_says_so_and_makes_no_second_one(tmp_path, capsys):
    recipe, here, there = recipe_of("toy.ct", 0, WORDS[3:]), tmp_path / "a", tmp_path / "b"
    with pytest.raises(BadFile, match="a was moved or removed"):
        runs.fit(recipe, here, lambda t: t.step == 6 and here.rename(there), keep=2)
    assert not here.exists() and read(there / runs.CHECKPOINT)[1]["step"] == 4
    assert main([*WORDS, "--out", str(there), "--resume"]) == 0


def test_a_full_disk_leaves_no_lock_and_no_folder(tmp_path, monkeypatch, capsys):
    def refuse(file, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(lock.os, "write", refuse)
        assert main([*WORDS, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


# Temporary files


def test_temporary_files_of_a_living_process_stay_and_those_of_a_dead_one_go(tmp_path, other):
    dead = tmp_path / f".model.safetensors.{process_place()}.{2**22 + 1}.aa.part"
    ours = tmp_path / f".model.safetensors.{process_place()}.{os.getpid()}.aa.part"
    alive = tmp_path / f".model.safetensors.{process_place()}.{other.pid}.aa.part"
    there = tmp_path / f".model.safetensors.{ELSEWHERE}.{2**22 + 1}.aa.part"
    earlier = tmp_path / ".model.safetensors.123.part"  # as an earlier cmlab called them
    for part in (dead, ours, alive, there, earlier):
        part.write_bytes(b"half")
    assert [is_abandoned(p) for p in (dead, ours, alive, there, earlier)] == [1, 1, 0, 0, 0]
    for part in (alive, there, earlier):  # long silence; and a number given to another process
        os.utime(part, (1e9, 1e9))
        assert is_abandoned(part)


def test_temporary_names_say_whose_they_are_and_differ(tmp_path):
    names = []
    for _ in range(2):
        checkpoint.replace(tmp_path / "f", lambda part: names.append(part.name) or part.touch())
    pattern = rf"\.f\.{re.escape(process_place())}\.{os.getpid()}\.[0-9a-f]{{8}}\.part"
    assert all(re.fullmatch(pattern, name) for name in names) and names[0] != names[1]


# Default folders


def test_other_settings_are_another_folder_and_none_the_one_of_old(tmp_path):
    assert default_folder("toy.ict", 3, []).as_posix() == "runs/toy.ict-3"
    assert default_folder("toy.ict", 3, ["steps=40"]).as_posix() == "runs/toy.ict-3-steps=40"
    long = [f"net.width={'1' * 90}", f"net.width={'1' * 91}", "data=a/b", "data=a b", "data=a:b"]
    names = {default_folder("toy.ict", 3, [word]).name for word in long}
    assert len(names) == 5 and all(re.fullmatch(r"[\w.=+-]{1,80}", name) for name in names)


def test_two_commands_with_other_settings_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for steps in (2, 3):
        assert main([*WORDS, f"steps={steps}"]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


# Killed early, and lines that were torn


def test_a_run_killed_before_its_first_checkpoint_leaves_no_line_of_the_lost_attempt(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "LINES", 1)
    recipe = recipe_of("toy.ct", 0, WORDS[3:])

    def die(trainer):
        if trainer.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.fit(recipe, tmp_path, die)
    assert (tmp_path / LOG).exists() and not (tmp_path / runs.CHECKPOINT).exists()
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"step": 3, "lo')
    runs.fit(recipe, tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG).read_bytes().splitlines()]
    assert steps == list(range(1, 13))


@pytest.mark.parametrize("torn", [b'{"st', b'{"step": 9, "x": "\xc3', b"[" * 9000, b"12"])
def test_a_torn_line_is_mended_before_the_next_is_written(tmp_path, torn):
    path = tmp_path / "log"
    path.write_bytes(b'{"step": 1}\n' + torn)
    assert checkpoint.read_lines(path) == [b'{"step": 1}']
    checkpoint.append(path, '{"step": 2}\n')
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize("before", [b"", b'{"step": 1}\n', b'{"step": 1}'])
def test_a_line_that_lacks_only_its_end_is_kept(tmp_path, before):
    path = tmp_path / "log"
    path.write_bytes(before)
    checkpoint.append(path, '{"step": 2}\n')
    assert path.read_bytes() == before.rstrip() + b"\n" * bool(before) + b'{"step": 2}\n'


@pytest.mark.usefixtures("every_save")
def test_a_log_with_two_half_lines_in_one_is_resumed(tmp_path):
    recipe = recipe_of("toy.ct", 0, WORDS[3:])

    def die(trainer):
        if trainer.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.fit(recipe, tmp_path, die, keep=2)
    glued = b'{"step": 2, "lo{"step": 3}\n{"step": null}\n\xff\xfe\n{"step": 4}\n{"step": 5'
    (tmp_path / LOG).write_bytes(glued)
    assert runs.fit(recipe, tmp_path).step == 12
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG).read_bytes().splitlines()]
    assert steps == list(range(4, 13))


# Whole processes


def test_of_runs_that_start_at_once_in_one_folder_one_trains_and_the_others_are_refused(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "cmlab", *WORDS, "--out", str(tmp_path / "run"), "--seed"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*run, s], env=environment, **pipes) for s in "01"]
    said = [process.communicate(timeout=600) for process in started]
    assert sorted(process.returncode for process in started) == [0, 2]
    record = json.loads((tmp_path / "run" / runs.RECORD).read_text())
    winner = [p.returncode for p in started].index(0)
    assert record["seed"] == winner and not list((tmp_path / "run").glob("*.lock"))
    for process, (_, error) in zip(started, said, strict=True):
        if process.returncode:
            assert re.search("in use by|is not empty|just being taken", error), error


def test_a_run_that_was_killed_is_resumed_at_once(tmp_path):
    words = ["train", "toy.ct", "--set", "steps=400", "train.batch=4", "net.width=4"]
    run = [sys.executable, "-m", "cmlab", *words, "--out", str(tmp_path / "run")]
    with subprocess.Popen(run) as child:
        while not (tmp_path / "run" / "state.json").exists() and child.poll() is None:
            time.sleep(0.01)
        shutil.copytree(tmp_path / "run", tmp_path / "seen")
        child.kill()
    assert child.returncode == -signal.SIGKILL and (tmp_path / "seen" / LOCK).exists()
    assert main([*words, "--out", str(tmp_path / "run"), "--resume"]) == 0
    assert main([*words, "--out", str(tmp_path / "unbroken")]) == 0
    a, b = (read(tmp_path / name / runs.MODEL)[0] for name in ("run", "unbroken"))
    assert all(torch.equal(a[name], b[name]) for name in a)
