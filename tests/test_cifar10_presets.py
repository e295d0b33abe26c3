"""The recipes for CIFAR-10 hold the papers' numbers, fit together, and survive a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from cifar_files import write_binary

from cmlab.cli.settings import read_from
from cmlab.methods.scm import UnitNorm
from cmlab.presets import PRESETS
from cmlab.teacher import InitialModelTeacher
from cmlab.train import runs
from cmlab.train.checkpoint import read
from cmlab.train.recipe import from_dict, to_dict

NAMES = [
    f"cifar10.{m}-{b}" for m in ("edm", "ect", "ict", "sct", "scd") for b in ("sprint", "paper")
] + ["cifar10.edm-laptop", "cifar10.ect-laptop", "cifar10.cd-laptop"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_its_record(name):
    recipe = PRESETS[name]()
    assert to_dict(from_dict(json.loads(json.dumps(to_dict(recipe))))) == to_dict(recipe)
    assert "/" not in json.dumps(to_dict(recipe))  # no place on anybody's machine


@pytest.mark.parametrize("name", NAMES)
def test_a_start_hands_its_weights_on(name):
    recipe = PRESETS[name]()
    if recipe.start is None:
        assert "edm" in name or "ict" in name
        return
    with torch.device("meta"):
        shapes = [
            {n: p.shape for n, p in part.net.build().named_parameters()}
            for part in (recipe, recipe.start)
        ]
    assert shapes[0] == shapes[1] and type(recipe.precond) is type(recipe.start.precond)


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("sprint")])
def test_a_sprint_is_six_million_images_its_start_included(name):
    recipe = PRESETS[name]()
    assert recipe.samples == 12_000 * 512
    with torch.device("meta"):
        weights = sum(p.numel() for p in recipe.net.build().parameters())
    assert 10e6 < weights < 20e6 and recipe.train.precision == "bf16-mixed"


def test_the_laptops_distillation_is_its_tuning_but_for_the_guided_denoiser():
    ect, cd = (PRESETS[f"cifar10.{m}-laptop"](170, 3) for m in ("ect", "cd"))
    assert cd.method.teacher.null == cd.net.inner.classes - 1 == cd.data.classes - 1 == 10
    assert isinstance(cd.method.teacher.teacher, InitialModelTeacher)  # the averaged start
    mine, theirs = to_dict(cd), to_dict(ect)
    for name in ("pairs", "metric", "weight", "target"):
        assert mine["method"][name] == theirs["method"][name]
    assert mine | {"method": 0} == theirs | {"method": 0}


def test_the_papers_tables():
    edm, ect, ict = (PRESETS[f"cifar10.{m}-paper"]() for m in ("edm", "ect", "ict"))
    with torch.device("meta"):
        assert sum(p.numel() for p in edm.net.build().parameters()) == 55_732_739
    assert edm.samples == 200_000_000 and edm.net.dropout == 0.13
    assert edm.train.ema(0) == pytest.approx(0.99929, abs=1e-5)  # half-life 0.5 million images
    assert [edm.train.rate(k) for k in (0, 19_531, 390_000)] == [0, 1, 1]
    assert ect.train.steps * ect.train.batch == 25_600_000 and ect.train.ema(0) == 0.9999
    assert [ect.method.pairs.gap(k) for k in (0, 24_999, 25_000, 199_999)] == [
        0.5,
        0.5,
        0.25,
        2**-8,
    ]
    assert ect.net.dropout == 0.2 and ect.train.optimizer.lr == 1e-4
    points = ict.method.pairs.points
    assert [points(k) for k in (0, 50_000, 399_999)] == [11, 21, 1281]
    assert ict.train.batch == 1024 and ict.net.dropout == 0.3 and ict.net.embed.scale == 0.02
    assert ict.sampler.sigma_mid == ect.sampler.sigma_mid == 0.821


def test_the_table_of_scm():
    sct, scd = (PRESETS[f"cifar10.{m}-paper"]() for m in ("sct", "scd"))
    proposal = sct.method.pairs.proposal
    assert (proposal.mean, proposal.std) == (-1.0, 1.4) and scd.method.pairs.proposal == proposal
    assert sct.method.bound == UnitNorm(0.1) and sct.method.warmup.steps == 10_000
    assert (sct.net.dropout, scd.net.dropout) == (0.2, 0.0)
    t = sct.precond.process.time(torch.tensor([sct.sampler.sigma_mid]))
    assert float(t) == pytest.approx(1.1, abs=1e-6)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with CIFAR-10 made by rule, in the published layout; removed afterwards."""
    folder = tmp_path_factory.mktemp("cifar")
    write_binary(folder)
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


WORDS = [
    "train",
    "cifar10.ect-sprint",
    "--accelerator",
    "cpu",
    "--set",
    "steps=200",
    "evaluator.n=300",
]
SMALL = [
    "net.width=8",
    "net.blocks=1",
    "net.mults=(1,1,1)",
    "train.batch=4",
    "train.precision=32-true",
]
WORDS += SMALL + [f"start.{word}" for word in SMALL]


def run(out, place, *more):
    words = [sys.executable, "-m", "cmlab", *WORDS, "--data", str(place), "--out", str(out), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    )


def test_two_hundred_steps_killed_and_resumed_equal_an_unbroken_run(place, tmp_path):
    with run(tmp_path / "killed", place) as child:
        log = tmp_path / "killed" / "log.jsonl"  # of the tuning: the denoiser is behind it
        while not log.exists() and child.poll() is None:
            time.sleep(0.02)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / runs.MODEL).exists()
    for name, more in (("killed", ["--resume"]), ("unbroken", [])):
        with run(tmp_path / name, place, *more) as child:
            out, said = child.communicate()
        assert child.returncode == 0, said
        scores = json.loads(out.splitlines()[-1])
        assert scores["samples_seen"] == 800
    killed, unbroken = (read(tmp_path / name / runs.MODEL)[0] for name in ("killed", "unbroken"))
    assert killed.keys() == unbroken.keys()
    assert all(torch.equal(killed[name], unbroken[name]) for name in killed)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("cifar10.")])
def test_the_place_of_the_files_can_be_given_for_every_preset(name):
    assert "path='elsewhere'" in repr(read_from(PRESETS[name]().data, "elsewhere"))
