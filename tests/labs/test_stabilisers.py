"""The bars of continuous time, on the recorded runs: three seeds that no setting was chosen by."""

from dataclasses import replace

import numpy as np
import pytest
from cmlab_labs.common.study import read
from cmlab_labs.lab10_scm.study import SCD
from cmlab_labs.registry import STUDIES

from cmlab.nets import Fourier


def score(study, arm, name="rmse"):
    return read(study, arm).score(name)


def test_scd_with_an_exact_teacher_comes_close_to_the_truth():
    assert score("stabilisers", "scd").mean() <= 0.050
    assert score("stabilisers", "scd", "rmse_max").mean() <= 0.065


def test_sct_from_scratch_comes_close_to_the_truth():
    assert score("stabilisers", "sct").mean() <= 0.070


@pytest.mark.parametrize("preset", ["sct", "scd"])
def test_the_discrete_twin_at_a_gap_of_a_thousandth_ends_where_the_limit_does(preset):
    twin, limit = score("gap", f"{preset}-0.001").mean(), score("stabilisers", preset).mean()
    assert twin == pytest.approx(limit, rel=0.1)


@pytest.mark.parametrize("arm", ["sct-fourier-16", "sct-fourier-16-log", "sct-fourier-16-bare"])
def test_features_of_scale_16_explode_whatever_bounds_the_tangent(arm):
    smooth, loud = read("stabilisers", "sct"), read("stabilisers", arm)
    error, usual = (np.nan_to_num(run.score("rmse"), nan=np.inf) for run in (loud, smooth))
    assert error.mean() > 20 * usual.mean() and error.min() > 10 * usual.max()
    longest, usual = loud["tangent"][..., 2].max(2), smooth["tangent"][..., 2].max(2)
    assert np.median(longest) > 1000 and np.median(usual) < 20


def test_every_arm_but_the_loud_ones_learns_the_ring():
    arms = [arm for arm in STUDIES["stabilisers"].variants if "fourier-16" not in arm]
    assert len(arms) >= 12
    assert max(score("stabilisers", arm).max() for arm in arms) < 0.3


@pytest.mark.parametrize("arm", list(STUDIES["stabilisers"].variants) + ["other features"])
def test_the_network_of_an_arm_is_that_of_its_start_or_the_start_would_overrule_it(arm):
    other = {"other features": replace(SCD, embed=Fourier(32, 0.3))}
    arms = {**STUDIES["stabilisers"].variants, **other}
    recipe = arms[arm](0)
    if recipe.start:
        assert (recipe.start.net, recipe.start.precond) == (recipe.net, recipe.precond)
