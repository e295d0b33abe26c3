"""The files around the package agree: one set of pins, two commands, licences, clean texts."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import cmlab

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINNED = [EXTRAS[name] for name in ("test", "class", "onnx")]
NEEDED = [Requirement(r) for r in sum(PINNED, PROJECT["dependencies"])]
PINS = [Requirement(r) for r in (ROOT / "constraints.txt").read_text().splitlines() if r]
MAKEFILE = (ROOT / "Makefile").read_text()
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
INSTALL = ["-c constraints.txt", "-e .[test]"]

PLATFORMS = [
    {"python_version": python, "python_full_version": f"{python}.9", **platform}
    for python in ("3.11", "3.12", "3.13")
    for platform in (
        {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"},
        {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix"},
        {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt"},
    )
]


@pytest.mark.parametrize("needed", NEEDED, ids=lambda r: r.name)
def test_a_dependency_has_one_fitting_pin_on_each_platform(needed):
    name = canonicalize_name(needed.name)
    pins = [pin for pin in PINS if canonicalize_name(pin.name) == name]
    for platform in PLATFORMS:
        (pin,) = [p for p in pins if p.marker is None or p.marker.evaluate(platform)]
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert needed.specifier.contains(exact.version), f"{pin} is outside {needed}"


def test_the_kernel_has_one_thread_for_widgets_and_torchvision_is_not_needed():
    (kernel,) = [r for r in NEEDED if r.name == "ipykernel"]
    assert not kernel.specifier.contains("7.0.0") and kernel.specifier.contains("6.31.0")
    assert "torchvision" not in {pin.name for pin in PINS}
    setting = next((ROOT / "etc").rglob("default_setting_overrides.json")).read_text()
    (options,) = [
        v for name, v in json.loads(setting).items() if name.endswith("kernels-settings")
    ]
    assert options == {"commsOverSubshells": "disabled"}


def test_conda_installs_what_make_installs():
    packages = [d for d in ENVIRONMENT["dependencies"] if isinstance(d, str)]
    (pip,) = [d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict)]
    assert ENVIRONMENT["name"] == PROJECT["name"] and "pip" in packages
    (python,) = [p.removeprefix("python=") for p in packages if p.startswith("python=")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")
    assert pip == INSTALL
    assert " ".join(INSTALL).replace(".[test]", "'.[test]'") in MAKEFILE
    # All but the first only where asked for.
    assert set(EXTRAS) == {"test", "class", "inception", "latents", "parquet", "onnx"}
    assert "--extra test" in MAKEFILE and "--all-extras" not in MAKEFILE


@pytest.mark.parametrize(
    ("version", "fits"), [("3.10", 0), ("3.11", 1), ("3.12", 1), ("3.13", 1), ("3.14", 0)]
)
def test_make_and_pip_ask_for_the_same_pythons(version, fits):
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version}.1") == bool(fits)
    question = re.search(r"IN_RANGE := (.*)", MAKEFILE).group(1)
    condition = re.search(r"not (.*)\)$", question).group(1)
    here = type("sys", (), {"version_info": tuple(map(int, version.split("."))) + (1,)})
    assert eval(condition, {"sys": here}) == bool(fits)


def test_ci_runs_make_test_and_no_test_of_its_own():
    commands = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert commands.splitlines()[-1] == "make test"
    assert "pytest" not in commands and "|| true" not in commands
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0


DOCKER = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_installs_what_make_installs_for_a_user_without_rights():
    steps = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKER, flags=re.MULTILINE)).splitlines()
    words = [line.split(maxsplit=1) for line in steps if line]
    (base,) = [rest for word, rest in words if word == "FROM"]
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", base)[1]  # pinned, not `latest`
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert ["RUN", f"pip install {INSTALL[0]} -e ."] in words
    assert [rest for word, rest in words if word == "USER"] == ["$UID"]
    after = words[[word for word, _ in words].index("USER") :]
    assert not any("pip" in rest or word in ("COPY", "ADD") for word, rest in after)
    port, start = after[-2][1], json.loads(after[-1][1])
    assert (
        start[:2] == ["sh", "-c"] and f"--port={port}" in start[2] and "exec jupyter" in start[2]
    )
    assert subprocess.run(["sh", "-nc", start[2]], check=False).returncode == 0


def test_the_image_gets_what_the_package_reads_and_no_more():
    rules = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[1] == "*" and all(list(ROOT.glob(place)) for place in let_in)
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = tool["targets"]["wheel"]
    read = [*wheel["packages"], *wheel["shared-data"], *wheel["hooks"]["custom"]["shipped"]]
    read += [PROJECT["readme"], *PROJECT["license-files"], "constraints.txt", "hatch_build.py"]
    assert [p for p in read if not any(Path(p).match(f"{q}*") or Path(p).is_relative_to(q)
                                       for q in let_in)] == []  # fmt: skip
    data = [
        line[1:] for line in (ROOT / ".gitignore").read_text().splitlines() if "/data/" in line
    ]
    assert data and set(data) <= set(rules)


def test_licences_and_citation_are_there():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "Attribution 4.0 International" in (ROOT / "LICENSE-labs").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == cmlab.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def _texts():
    """Every text file that belongs to the repository, with pictures left out of notebooks."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        hidden = re.compile(r"/(\.venv|\.git|__pycache__|\.\w+_cache)/")
        files = [p for p in ROOT.rglob("*") if not hidden.search(f"{p.relative_to(ROOT.parent)}/")]
    for path in files:
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                yield path, re.sub(r'"image/\w+": "[^"]*"', "", data.decode("utf-8", "replace"))


def test_no_text_speaks_of_one_machine():
    """Spelt in two halves here, so that this file may be searched like the others."""
    places = ["work/", "tmp/", "root/", "home/", "opt/"]
    strange = re.compile(r"(?<![\w.~}*])/(" + "|".join(places) + ")|py" r"pi\.org|python" "hosted")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in _texts()
        for match in strange.finditer(text)
    ]
    assert found == []


# The Makefile, tried with a Python that only notes what it was asked to do.
FAKE_PYTHON = """\
#!/bin/sh
echo "$*" >> calls
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") if [ -e kill ]; then kill -9 $PPID; fi; test ! -e fail ;;
    "-c "*) test ! -e too_old ;;
esac
"""


class Trial:
    """A folder with the Makefile in which `make install` takes no time."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "pyproject.toml").touch()
        (folder / "constraints.txt").touch()
        self.python = folder / "python"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)

    def make(self, target="install"):
        """The exit status, all that was said, and which of venv and pip were called."""
        (self.folder / "calls").write_text("")
        run = subprocess.run(
            ["make", target, f"PYTHON={self.python}"],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        )  # fmt: skip
        calls = re.findall(r"^-m (venv|pip)", (self.folder / "calls").read_text(), re.M)
        return run.returncode, run.stdout + run.stderr, calls


@pytest.fixture
def trial(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / "here").mkdir()
    return Trial(tmp_path / "here")


def test_make_alone_says_what_there_is(trial):
    status, said, calls = trial.make("help")
    assert status == 0 and "make lab " in said and "make test " in said and calls == []


def test_the_second_make_starts_at_once(trial):
    assert trial.make()[2] == ["venv", "pip"]
    assert trial.make()[2] == []


def test_new_pins_are_installed_into_the_same_environment(trial):
    trial.make()
    later = (trial.folder / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(trial.folder / "constraints.txt", (later, later))
    assert trial.make()[2] == ["pip"]


def test_a_setup_that_was_killed_is_repaired_by_the_next(trial):
    (trial.folder / "kill").touch()
    assert trial.make()[0] != 0
    (trial.folder / "kill").unlink()
    status, said, calls = trial.make()
    assert status == 0 and calls == ["venv", "pip"] and "incomplete" in said
    assert trial.make()[2] == []


def test_an_update_that_fails_leaves_the_working_environment(trial):
    trial.make()
    later = (trial.folder / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(trial.folder / "constraints.txt", (later, later))
    (trial.folder / "fail").touch()
    assert trial.make()[0] != 0
    (trial.folder / "fail").unlink()
    assert trial.make()[2] == ["pip"]


def test_a_moved_repository_makes_its_environment_again(trial):
    trial.make()
    trial.folder = trial.folder.rename(trial.folder.with_name("there"))
    trial.python = trial.folder / "python"
    assert trial.make()[2] == ["venv", "pip"]


def test_an_environment_that_somebody_made_is_used_as_it_is(trial):
    subprocess.run([trial.python, "-m", "venv", ".venv"], cwd=trial.folder, check=True)
    assert trial.make()[2] == ["pip"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_that_cannot_be_written_is_left_in_one_sentence(trial):
    trial.make()
    os.utime(trial.folder / ".venv" / ".installed", (0, 0))
    for folder in (trial.folder / ".venv", trial.folder):
        folder.chmod(0o555)
    (trial.folder / "calls").chmod(0o666)
    status, said, calls = trial.make()
    for folder in (trial.folder / ".venv", trial.folder):
        folder.chmod(0o755)
    assert status != 0 and calls == []
    (sentence,) = [line for line in said.splitlines() if not line.startswith("make")]
    assert "cannot be written" in sentence and "make install" in sentence


def test_a_python_too_old_is_refused_in_one_sentence(trial):
    (trial.folder / "too_old").touch()
    status, said, calls = trial.make()
    assert status != 0 and calls == []
    (sentence,) = [line for line in said.splitlines() if not line.startswith("make")]
    assert "needs Python 3.11, 3.12 or 3.13" in sentence
