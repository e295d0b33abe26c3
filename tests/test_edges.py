"""Machines that are less than one's own: no network, a closed home, another system."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cmlab_labs.lab15_music import data
from cmlab_labs.tools.notebooks import build

from cmlab.train import checkpoint

ROOT = Path(__file__).parents[1]
FOLDERS = ("cmlab", "labs/cmlab_labs", "scripts")
CODE = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
CMLAB = [sys.executable, "-m", "cmlab"]
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
POSIX = {"fcntl", "grp", "pwd", "resource", "termios", "multiprocessing"}  # the last one forks
POSIX |= {"os.fork", "os.getuid", "os.rename", "signal.SIGKILL", "signal.SIGUSR1", "signal.SIGHUP"}

SMALL = """\
# %%
import matplotlib.pyplot as plt
import torch

print(float(torch.ones(2).sum()))
"""


def tracked(*words):
    """What git says of the files of this checkout."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, check=True
    ).stdout.decode()


def files():
    return tracked("ls-files", "-z").split("\0")[:-1]


@pytest.fixture(scope="module")
def alone():
    """A command, as it runs with no network but this machine's own, as a user without a home."""
    inside = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c"]
    up = "ip link set lo up && "

    def run(words, closed=None, **more):
        shut = f"mount --rbind '{closed}' '{closed}' && mount -o remount,bind,ro '{closed}' && "
        line = up + (shut if closed else "") + 'cd "$PWD" && exec "$@"'
        return subprocess.run(
            [*inside, line, "sh", *words], capture_output=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, timeout=900, **more,
        )  # fmt: skip

    try:
        able = run(["true"], closed="/mnt").returncode == 0
    except OSError:
        able = False
    if not able:
        pytest.skip("this machine grants no network and mounts of one's own: needs `unshare`")
    return run


@pytest.fixture
def homeless(tmp_path):
    """An environment whose home is below a regular file: not even root can write there."""
    (tmp_path / "file").touch()
    gone = ("XDG_", "JUPYTER", "IPYTHON", "MPL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    return kept | {"HOME": str(tmp_path / "file" / "home"), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def small(tmp_path):
    """A checkout that holds one small lab, built but not run."""
    (tmp_path / "here" / "labs" / "src").mkdir(parents=True)
    (tmp_path / "here" / "constraints.txt").touch()
    (tmp_path / "here" / "labs" / "src" / "00_small.py").write_text(SMALL)
    build.sync(tmp_path / "here" / "labs" / "00_small.ipynb")
    return tmp_path / "here"


def one_sentence(done):
    """The run said what was wrong, and nothing else."""
    assert done.returncode and "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_every_file_has_a_name_that_windows_and_a_case_blind_disk_take():
    for path in files():
        for part in path.split("/"):
            assert not DEVICES.match(part) and not re.search(r'[<>:"\\|?*\x00-\x1f]', part), path
            assert part.isascii() and part[-1] not in ". ", path
    assert len({path.lower() for path in files()}) == len(files())
    assert max(map(len, files())) < 120  # with the clone's own folder, within Windows' 260


def test_text_keeps_its_line_ends_in_a_clone_on_windows():
    wanted = ["Makefile", "labs/src/00_start_here.py", "labs/00_start_here.ipynb"]
    said = tracked("check-attr", "eol", "--", *wanted).splitlines()
    assert len(said) == len(wanted) and all(line.endswith("eol: lf") for line in said)
    assert all(line.startswith("i/lf") or "i/-text" in line or "i/none" in line
               for line in tracked("ls-files", "--eol").splitlines())  # fmt: skip


def calls(path):
    return [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]


def unsaid(call):
    """Whether the call reads or writes text and leaves its encoding to the machine."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = {k.arg: ast.unparse(k.value) for k in call.keywords}
    if "encoding" in given:
        return False
    if name == "write_text":
        ascii_only = isinstance(call.args[0], ast.Constant) and call.args[0].value.isascii()
        return len(call.args) < 2 and not ascii_only
    return given.get("text") == "True" or (name == "read_text" and not call.args)


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_is_read_and_written_in_a_stated_encoding(folder):
    paths = [path for path in CODE if path.is_relative_to(ROOT / folder)]
    assert [(p.name, c.lineno) for p in paths for c in calls(p) if unsaid(c)] == []


def caught(one):
    """The exceptions that a try statement handles."""
    return [handler.type for handler in one.handlers if handler.type]


def test_nothing_rests_on_what_windows_lacks():
    for path in CODE:
        if path.name.startswith("torture"):
            continue  # outside the package, and needs Linux, as it says
        used, tree = set(), ast.parse(path.read_text("utf-8"))
        tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
        tries = [one for one in tries if "ImportError" in map(ast.unparse, caught(one))]
        guarded = {id(node) for one in tries for node in one.body}
        for node in ast.walk(tree):
            if id(node) in guarded:
                continue
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add(node.module or "")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.add(f"{node.value.id}.{node.attr}")
        assert not used & POSIX, path


def test_only_a_file_open_for_writing_is_forced_to_the_disk(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "fsync", lambda number: asked.append(os.write(number, b"")))
    checkpoint.write_json(tmp_path / "a.json", {"a": 1})  # os.write refuses a read-only file
    assert asked == [0] and checkpoint.read_json(tmp_path / "a.json") == {"a": 1}


def test_sound_finds_a_place_for_what_it_compiles_where_all_is_read_only(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    data.library()
    assert "NUMBA_CACHE_DIR" not in os.environ  # beside librosa, or in the home, as ever
    monkeypatch.setattr(os, "access", lambda *asked: False)
    monkeypatch.setattr(data.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    data.library()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)


def test_a_console_that_lacks_a_letter_stops_nothing(small):
    there = small.rename(small.with_name("Mümlaut √"))
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    (there / "labs" / "src" / "00_small.py").rename(there / "labs" / "src" / "00_klein_ä.py")
    words = [*CMLAB, "labs", "check"]
    done = subprocess.run(words, cwd=there, env=ascii_only, capture_output=True, check=False)
    assert done.returncode == 1 and b"00_klein_\\xe4.ipynb is not built" in done.stdout


def test_a_package_that_is_missing_is_named_with_the_remedy(small):
    broken = "import sys; sys.modules['nbformat'] = None; from cmlab.__main__ import main; main()"
    for word in ("doctor", "labs"):
        done = subprocess.run(
            [sys.executable, "-c", broken, word], cwd=ROOT, capture_output=True, encoding="utf-8"
        )
        assert done.stderr == (
            "cmlab: nbformat is not installed; remove the folder .venv, then run `make install`\n"
        )


def test_a_lab_runs_without_network_and_home(alone, homeless, small):
    done = alone([*CMLAB, "labs", "run", "00"], cwd=small, env=homeless)
    assert "00_small: " in done.stdout and "cell" not in done.stdout.split("running")[0], done
    text = (small / "labs" / "00_small.ipynb").read_text("utf-8")
    assert '"2.0\\n"' in text


def test_training_needs_no_network_and_no_home(alone, homeless, tmp_path):
    words = ["train", "toy.ict", "--set", "steps=2", "net.width=8", "train.batch=8"]
    done = alone([*CMLAB, *words, "--out", str(tmp_path / "run")], cwd=tmp_path, env=homeless)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_doctor_needs_no_network_and_sees_that_there_is_no_home(alone, homeless):
    done = alone([*CMLAB, "doctor"], cwd=ROOT, env=homeless)
    (home,) = [line for line in done.stdout.splitlines() if line[6:].startswith("home ")]
    assert done.returncode == 1 and home.startswith("STOP") and "JupyterLab needs it" in home
    assert "HOME=" in done.stdout and "not needed" in done.stdout


@pytest.mark.parametrize(
    "words", [["run", "00"], ["papers"], ["build", "--student", "copies"]], ids=" ".join
)
def test_a_checkout_that_is_read_only_is_refused_in_one_sentence(alone, small, words):
    before = sorted(small.rglob("*"))
    done = alone([*CMLAB, "labs", *words], closed=small, cwd=small)
    assert "you can write to" in one_sentence(done)
    assert sorted(small.rglob("*")) == before


def test_a_run_into_a_read_only_folder_is_refused_in_one_sentence(alone, small):
    done = alone([*CMLAB, "train", "toy.ict", "--set", "steps=2"], closed=small, cwd=small)
    assert "choose another place" in one_sentence(done)
    assert not (small / "runs").exists()
