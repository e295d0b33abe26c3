"""Each method, given a few hundred steps, learns what it promises; the exact law is the evaluator.

The bounds come from seeds 10 to 12 (in brackets the worst of them); the tests train seed 0.
Untrained, the error is 0.60; a good denoiser, taken for a consistency function, errs by 0.50.
"""

from functools import cache

import pytest
import torch

from cmlab.data.toy import TwoGaussians
from cmlab.methods import CD, CT, ECT, EDM, ICT, SCM
from cmlab.methods.ct import SqrtGrowth
from cmlab.methods.ect import ECTMapping, Stages
from cmlab.methods.edm import EDMWeight
from cmlab.methods.ict import Doubling, InverseGap, PseudoHuber
from cmlab.methods.scm import JVP, BackwardDifference, Clip
from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, TrigPrecond
from cmlab.nets import MLP, Positional
from cmlab.noise_levels import (
    AdjacentLevels,
    DenoisingPairs,
    KarrasGrid,
    LogNormal,
    SameTime,
    UniformIndex,
)
from cmlab.ops import seeded
from cmlab.schedules import Constant, Warmup, WarmupCosine
from cmlab.teacher import OracleTeacher
from cmlab.train.config import Adam, TrainConfig
from cmlab.train.trainer import Trainer

DATA = TwoGaussians()
GRID = KarrasGrid(DATA.sigma_min, DATA.sigma_max)
LEVELS = LogNormal(-1.1, 2.0, DATA.sigma_min, DATA.sigma_max)
BOUNDARY = CMPrecond(DATA.sigma_data, DATA.sigma_min)
STEPS = 600


def train(method, precond, steps=STEPS, start=None, embed=None):
    """The averaged model after a short training on seed 0."""
    with seeded(torch.device("cpu"), 0):
        net = MLP(2, width=64, embed=embed) if embed else MLP(2, width=64)
        model = Denoiser(net, precond)
    if start is not None:
        model.load_state_dict(start.state_dict())
    rate = WarmupCosine(steps, warmup=20)
    config = TrainConfig(steps, 128, Adam(4e-3, 0.9, 0.99), rate, ema=Constant(0.98))
    return Trainer(model, method, DATA, config).fit().ema.model


def error(model):
    """√(mean ‖f_θ - f*‖²) over noise levels."""
    exact = truth(DATA, DATA.sigma_min, DATA.sigma_max)
    return rmse_by_level(model, model.process, exact).square().mean().sqrt().item()


@cache
def denoiser(steps):
    method = EDM(pairs=DenoisingPairs(LEVELS), weight=EDMWeight(DATA.sigma_data))
    return train(method, EDMPrecond(DATA.sigma_data), steps)


def test_edm_learns_the_exact_denoiser():
    model, level = denoiser(300), GRID.up(32).float().repeat_interleave(128)
    x, _ = DATA.sample(len(level))
    x_t = x + level[:, None] * torch.randn_like(x)
    with torch.no_grad():
        gap = model(x_t, level) - DATA.oracle.denoise(x_t, level)
    assert gap.square().sum(1).mean().sqrt() < 0.12  # (0.078); untrained 0.28


def test_a_denoiser_is_no_consistency_function():
    assert error(denoiser(300)) > 0.45


def test_cd_learns_the_exact_consistency_function_from_an_exact_teacher():
    pairs = AdjacentLevels(Constant(41), LEVELS, GRID)
    method = CD(OracleTeacher(DATA), pairs=pairs, metric=PseudoHuber(), weight=InverseGap())
    assert error(train(method, BOUNDARY)) < 0.35  # (0.234)


def test_ct_learns_the_exact_consistency_function_from_data_alone():
    method = CT(pairs=AdjacentLevels(SqrtGrowth(2, 20, STEPS), UniformIndex(GRID), GRID))
    assert error(train(method, BOUNDARY)) < 0.32  # (0.232)


def test_ict_learns_the_exact_consistency_function_from_data_alone():
    method = ICT(pairs=AdjacentLevels(Doubling(10, 320, STEPS), LEVELS, GRID))
    assert error(train(method, BOUNDARY)) < 0.32  # (0.213)


def test_ect_tunes_a_denoiser_into_the_exact_consistency_function():
    method = ECT(pairs=ECTMapping(Stages(4.0, STEPS // 8, last=3), LEVELS))
    model = train(method, EDMPrecond(DATA.sigma_data), start=denoiser(300))
    assert error(model) < 0.40  # (0.303)


TRIG = TrigPrecond(DATA.sigma_data)
ANGLES = SameTime(LogNormal(-1.0, 1.4, DATA.sigma_min, DATA.sigma_max))


@pytest.mark.parametrize("slope", [JVP(), BackwardDifference(1e-3)], ids=repr)
def test_sct_learns_the_exact_consistency_function_from_data_alone(slope):
    method = SCM(pairs=ANGLES, derivative=slope, warmup=Warmup(STEPS // 16))
    assert error(train(method, TRIG, embed=Positional(16))) < 0.18  # (0.119)


def test_scd_learns_the_exact_consistency_function_from_an_exact_teacher():
    teacher = OracleTeacher(DATA, TRIG.process)
    method = SCM(teacher, ANGLES, warmup=Warmup(STEPS // 16), bound=Clip())
    assert error(train(method, TRIG, embed=Positional(16))) < 0.09  # (0.060)


@pytest.mark.parametrize("precond", [BOUNDARY, EDMPrecond(DATA.sigma_data)])
def test_an_untrained_network_would_fail_all_of_these(precond):
    assert error(train(ICT(), precond, steps=0)) > 0.55


def test_a_method_is_found_in_the_file_of_its_name_and_no_other_name_is():
    import cmlab.methods

    for name in cmlab.methods.__all__:
        assert getattr(cmlab.methods, name).__name__ == name
    for strange in ("Nothing", "__wrapped__", "Posterior_Sampling"):
        with pytest.raises(AttributeError, match=strange):
            getattr(cmlab.methods, strange)
