"""The evaluator: it must pass the truth, fail the rest, and say the same thing twice."""

import math

import pytest
import torch

from cmlab.data.toy import TOYS, Bumps, Checkerboard, Ring
from cmlab.metrics.toy import (
    answers,
    coverage,
    floor,
    rmse_by_level,
    score_toy,
    truth,
)
from cmlab.metrics.wasserstein import sliced, wasserstein
from cmlab.ops import expand
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding, VariancePreserving
from cmlab.sampling import FewSteps

PROCESSES = [VarianceExploding(), TrigFlow(0.7), RectifiedFlow(), VariancePreserving()]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def exact(data, process, ask="consistency"):
    """The exact consistency function, or the posterior mean, as a model of the process."""

    def denoise(x_t, t):
        alpha, sigma = process(t)
        return getattr(data.oracle, ask)(x_t / expand(alpha, x_t), sigma / alpha)

    return denoise


# ---- distances of clouds


def test_on_the_line_w2_is_the_best_pairing():
    a, b = torch.tensor([0.0, 3.0, 1.0]), torch.tensor([5.0, 1.0, 2.0])
    best = min(
        math.sqrt(float((a - b[list(p)]).square().mean()))
        for p in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    )
    assert float(wasserstein(a, b)) == pytest.approx(best)


def test_w2_of_a_shifted_and_stretched_gaussian_is_known():
    x = torch.randn(20_000, dtype=torch.float64)
    assert float(wasserstein(x, 3 * x + 1)) == pytest.approx(math.sqrt(1 + 4), rel=0.01)


def test_sliced_w2_of_a_shift_is_its_length_over_root_d():
    x = torch.randn(500, 2)
    assert sliced(x, x) == 0
    assert sliced(x, x + torch.tensor([3.0, 4.0])) == pytest.approx(5 / math.sqrt(2), rel=0.1)
    assert sliced(x, x + 1, 4096) == pytest.approx(1, rel=0.03)
    line = torch.randn(50, 1)
    assert sliced(line, line + 2) == pytest.approx(2, rel=1e-5)
    image = x.reshape(500, 1, 2, 1)
    assert sliced(image, image + 1) == pytest.approx(sliced(x, x + 1))


def test_clouds_of_unlike_size_are_refused():
    with pytest.raises(ValueError, match="clouds of 3 and 4 numbers cannot be paired"):
        wasserstein(torch.zeros(3), torch.zeros(4))


# ---- the score


@every_process
def test_the_exact_consistency_function_has_no_error_in_any_clock(process):
    score = score_toy(exact(Ring(), process), process, Ring())
    assert score["rmse"] < 1e-4 and score["rmse_max"] < 1e-4
    assert score["hq"] == pytest.approx(0.989, abs=0.004) and score["modes"] == 8
    assert score["sw1"] < 0.05 and score["sw2"] < 0.05


def test_the_posterior_mean_is_no_consistency_function():
    score = score_toy(exact(Ring(), VarianceExploding(), "denoise"), VarianceExploding(), Ring())
    assert score["rmse"] > 0.4 and score["rmse_max"] > 0.8 and score["sw1"] > 0.5
    assert score["hq"] < 0.01 and score["modes"] == 0


def test_the_error_is_the_length_of_a_known_mistake():
    data, process = Ring(), TrigFlow(0.5)
    truthful = exact(data, process)
    score = score_toy(lambda x, t: truthful(x, t) + torch.tensor([0.3, 0.4]), process, data)
    assert score["rmse"] == pytest.approx(0.5, rel=1e-4)
    assert score["rmse_max"] == pytest.approx(0.5, rel=1e-4)
    # The same shift for both steps' ends; the first is forgotten in the noise of the second.
    assert score["sw1"] == pytest.approx(0.5 / math.sqrt(2), rel=0.1)


def test_a_score_depends_on_the_seed_alone():
    seen = []

    def model(x, t):
        seen.append(x)
        return 0 * x

    torch.manual_seed(1)
    first, state = score_toy(model, VarianceExploding(), Ring(), seed=3), torch.get_rng_state()
    torch.manual_seed(2)
    assert score_toy(model, VarianceExploding(), Ring(), seed=3) == first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # and it leaves no trace in the run's own
    assert score_toy(model, VarianceExploding(), Ring(), seed=4) != first
    # By the levels, then the one step, then the two steps, the last from fresh noise.
    for again, other in zip(seen[4:8], seen[8:12], strict=True):
        assert not torch.equal(again, other)
    assert all(torch.equal(a, b) for a, b in zip(seen[:4], seen[4:8], strict=True))


def test_the_sampler_decides_from_where_and_through_where():
    seen = []

    def model(x, t):
        seen.append((len(x), *t.unique().tolist()))
        return 0 * x

    score_toy(model, VarianceExploding(), Ring(), 0.01, FewSteps(5.0, 0.3))
    assert [row[1] for row in seen[1:]] == pytest.approx([5.0, 5.0, 0.3])
    assert len(seen[0]) - 1 == 32 and seen[0][0] == 32 * 192
    assert seen[0][1] == pytest.approx(0.01) and seen[0][-1] == pytest.approx(5.0)


def test_laws_on_the_line_and_of_many_parts_are_scored_alike():
    for data in (Bumps(), Checkerboard()):
        x, _ = data.sample(8192)
        hq, modes = coverage(x, data.oracle.components)
        assert hq > 0.985 and modes == len(data.oracle.weights)
    assert (
        score_toy(exact(Bumps(), VarianceExploding()), VarianceExploding(), Bumps())["rmse"] < 1e-5
    )


def test_coverage_counts_modes_by_their_fair_share():
    law = Ring().oracle
    means = law.means.float()
    assert coverage(means, law.components) == (1.0, 8)
    assert coverage(means[:1].repeat(99, 1), law.components) == (1.0, 1)
    assert coverage(0 * means, law.components) == (0.0, 0)
    few = torch.cat([means[:1].repeat(990, 1), means[1:2].repeat(10, 1), means[2:3].repeat(40, 1)])
    assert coverage(few, law.components) == (1.0, 2)  # 10 of 1040 are below a fifth of an eighth


@pytest.mark.parametrize("name", TOYS)
def test_two_fresh_clouds_set_the_floor(name):
    assert 0.004 < floor(TOYS[name]) < 0.12


# ---- by noise level, and along a path


def test_the_truth_starts_at_the_points_themselves_and_is_kept():
    exact_answers = truth(Ring())
    torch.testing.assert_close(exact_answers.ends[0], exact_answers.x_t[0])
    assert exact_answers is truth(Ring()) and exact_answers is not truth(Ring(), seed=1)
    assert exact_answers.levels[0] == pytest.approx(0.002)
    assert exact_answers.levels[-1] == pytest.approx(10)
    spread_out = exact_answers.x_t.flatten(1).std(1)
    wanted = (exact_answers.levels**2 + 0.51).sqrt()
    assert float((spread_out / wanted - 1).abs().max()) < 0.2


def test_the_error_by_level_finds_the_level_that_is_wrong():
    data = Ring()
    exact_answers = truth(data)
    truthful, wrong = exact(data, VarianceExploding()), exact_answers.levels[20]

    def model(x, t):
        return truthful(x, t) + expand(((t - wrong).abs() < 1e-5).float(), x)

    rmse = rmse_by_level(model, VarianceExploding(), exact_answers)
    assert rmse.shape == (32,) and int(rmse.argmax()) == 20
    assert float(rmse[20]) == pytest.approx(math.sqrt(2), rel=1e-3)
    assert float(rmse.sum() - rmse[20]) < 1e-3


@every_process
def test_answers_are_asked_in_the_clock_of_the_process(process):
    x, level = torch.randn(6, 2), torch.linspace(0.1, 3, 6)

    def model(x_t, t):
        alpha, sigma = process(t)
        torch.testing.assert_close(sigma / alpha, level, rtol=1e-4, atol=1e-5)
        return x_t / expand(alpha, x_t)

    torch.testing.assert_close(answers(model, process, x, level), x.double(), rtol=1e-5, atol=1e-5)


def along_path(denoise, process, oracle, x_t, levels):
    """The model's values (m, b, *d) along the exact paths through x_t, which are at levels[0]."""
    path = oracle.path(x_t.double(), levels.double())
    found = answers(denoise, process, path.flatten(0, 1), levels.repeat_interleave(len(x_t)))
    return found.reshape(path.shape)


def spread(along):
    """The distance (m, b) of each value to that at the last level."""
    return (along - along[-1]).flatten(2).norm(dim=2)


def test_along_an_exact_path_the_truth_says_one_thing_and_the_mean_many():
    data, process = Ring(), TrigFlow()
    x_t, levels = 10 * torch.randn(20, 2), torch.logspace(1, -2.69, 12)
    f, mean = (
        along_path(exact(data, process, ask), process, data.oracle, x_t, levels)
        for ask in ("consistency", "denoise")
    )
    assert f.shape == (12, 20, 2) and spread(f).shape == (12, 20)
    assert float(spread(f).max()) < 1e-3
    assert float(spread(mean)[0].min()) > 0.3 and float(spread(mean)[-1].max()) == 0
