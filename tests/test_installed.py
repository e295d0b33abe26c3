"""Installed and used elsewhere: the package finds what it needs without a checkout, or says so."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
SHIPPED = WHEEL["hooks"]["custom"]["shipped"]
TINY = "--set steps=2 train.batch=4 start.train.batch=4 evaluator.n=66".split()


def installed(folder, data=True):
    """A folder of packages as the wheel fills it, the data by links; they may be left out."""
    for package in map(Path, WHEEL["packages"]):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package.name, ignore=ignored)
    for source, target in SHIPPED.items() if data else ():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).symlink_to(ROOT / source)
    return folder


def python(site, here, code, *words):
    """Run code against the installed package in a folder that is no checkout."""
    here.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "HOME": str(here)}
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=here, env=environment,
                          capture_output=True, encoding="utf-8")  # fmt: skip
    return done.returncode, done.stdout, done.stderr


USE = """
import json, sys
from pathlib import Path
import cmlab
from cmlab.cli import doctor
from cmlab.cli.main import main
from cmlab.data.latents import Latents
from cmlab.discovery import ROOT
from cmlab.train.runs import commit, load
assert Path(cmlab.__file__).is_relative_to(sys.argv[1]), cmlab.__file__
assert main(["train", "digits.ect", *sys.argv[2:], "--out", "run"]) == 0
assert json.loads(Path("run/record.json").read_text())["scores"]["fd1"] > 0
assert commit() is None
from cmlab_labs.common.generators import GENERATOR
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import read
from cmlab_labs.lab15_music.networks import CHECKPOINT
from cmlab_labs.lab17_atlas.benchmark import LEDGER, TABLE, read_rows, weights_of
load(GENERATOR), load(weights_of("ect")), read("ladder", "ict"), read_rows()
assert predict("00.1").right
assert CHECKPOINT.is_file() and (ROOT / "docs" / "results.jsonl").is_file()
assert TABLE == Path("data/atlas.jsonl")  # what is made goes into the working folder
found = {f.what: f for f in doctor.report()}
assert found["labs"].found == "not here" and found["recordings"].found.isdigit()
print([f for f in doctor.report() if f.stops])
"""


def test_the_installed_package_trains_scores_and_replays_without_a_checkout(tmp_path):
    site = installed(tmp_path / "site")
    status, out, err = python(site, tmp_path / "here", USE, str(site), *TINY)
    assert status == 0, err
    assert out.splitlines()[-1] == "[]"


LACKS = """
import sys
from cmlab.cli import doctor
from cmlab.cli.main import main
print(main(["train", "digits.ect", *sys.argv[1:], "--out", "run"]))
print([(f.what, f.found) for f in doctor.report() if f.stops])
"""


def test_without_its_data_it_says_so_before_it_trains_and_so_does_the_doctor(tmp_path):
    site = installed(tmp_path / "site", data=False)
    status, out, err = python(site, tmp_path / "here", LACKS, *TINY)
    assert (status, out.splitlines()[0]) == (0, "2"), err
    assert "installed without its data; install it from" in err and err.count("\n") == 1
    assert out.splitlines()[1] == "[('checkpoint', 'none'), ('recordings', 'none')]"
    assert not (tmp_path / "here" / "run").exists()


def tracked(*places):
    """The files of the checkout in these folders that git does not ignore."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard", *places]
    done = subprocess.run(git, capture_output=True, encoding="utf-8")
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def test_the_wheel_carries_every_shipped_file_and_no_data_set():
    files = [file for file in tracked("data") if file.suffix != ".md"]
    places = [Path(source) for source in SHIPPED]
    assert files and Path("data") not in places
    assert [f for f in files if not any(f.is_relative_to(place) for place in places)] == []
    size = sum((ROOT / file).stat().st_size for file in files)
    assert size < 40e6  # bytes; see docs/reliability.md


def test_a_built_wheel_holds_the_packages_what_they_ship_and_nothing_else(tmp_path):
    """Built in this process: nothing is fetched."""
    backend = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
    (path,) = backend.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        entry = wheel.read(about.replace("METADATA", "entry_points.txt")).decode()
    expected = {file.relative_to(place.parent).as_posix()
                for place in map(Path, WHEEL["packages"]) for file in tracked(place)}  # fmt: skip
    expected |= {(Path(target) / file.relative_to(source)).as_posix().removesuffix("/.")
                 for source, target in SHIPPED.items() for file in tracked(source)}  # fmt: skip
    expected |= {f"{about.replace('dist-info/METADATA', 'data/data/')}{file.as_posix()}"
                 for place in WHEEL["shared-data"] for file in tracked(place)}  # fmt: skip
    beside = {name for name in names if ".dist-info/" in name}
    assert names - beside == expected
    assert "cmlab = cmlab.__main__:main" in entry
    kinds = {Path(name).suffix for name in expected}
    assert {".py", ".toml", ".js", ".css", ".woff", ".safetensors", ".npz", ".jsonl"} <= kinds
