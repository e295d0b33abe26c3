"""Lab 12: its checks tell answers from slips, its benches answer, its figures draw the data."""

from math import log, sqrt

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_recordings import recorded_variants
from cmlab_labs.lab12_latent import checks, figures
from cmlab_labs.lab12_latent import study as lab12_study
from cmlab_labs.lab12_latent.analysis import (
    cost_ratio,
    impulsiveness,
    influence,
    paired_batches,
    target_variance,
)
from cmlab_labs.lab12_latent.explorer import POINTS, c_of, latent_bench, transport_bench
from cmlab_labs.lab12_latent.study import BANDS, measured_by_band
from cmlab_labs.registry import STUDIES
from exercises import answers, lab, solutions, stubs

from cmlab.data.digits import Digits
from cmlab.data.latents import Impulses
from cmlab.data.toy import Ring
from cmlab.losses import SquaredL2
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Cauchy, Independent, MinibatchOT, Tightening
from cmlab.metrics.wasserstein import sliced
from cmlab.ops import seeded
from cmlab.presets import latent as study
from cmlab.presets.latent import DIGITS
from cmlab.process import VarianceExploding

LAB = lab("12")
CHECKS = (checks.measured_cauchy, checks.denoising)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


CAUCHY_SLIPS = list(checks.slips(torch.ones(2, 3), *checks.CASES[0]))
TERM_SLIPS = list(checks.wrong_terms(*checks.answered()))


@pytest.mark.parametrize("slip", CAUCHY_SLIPS)
def test_each_slip_in_the_cauchy_loss_gets_its_own_message(slip):
    verdict = checks.measured_cauchy(lambda a, b, n, seen: checks.slips(a - b, n, seen)[slip])
    assert verdict.state == "slip" and verdict.message == slip


def m_and_c(a, b, n, seen):
    return (a - b).square().flatten(1).mean(1), checks.power(n, seen) / sqrt(2)


def two_logs(*case):
    m, c = m_and_c(*case)
    return (m / 2 + c * c).log() - 2 * log(c)


def one_plus(*case):
    m, c = m_and_c(*case)
    return (1 + m / (2 * c * c)).log()


def last_c(a, b, n, seen):
    return one_plus(a, b, seen[1][0], seen)


OTHER = {
    "torch.log1p keeps them": two_logs,
    "loses its digits": one_plus,
    "at N = 21 yours is": last_c,
    "shape (6,)": lambda a, b, n, seen: checks.exact(a, b, n, seen)[:, None],
}


@pytest.mark.parametrize("message", OTHER)
def test_other_wrong_losses_are_told_apart(message):
    verdict = checks.measured_cauchy(OTHER[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


@pytest.mark.parametrize("seen", [checks.COARSE, checks.FINE])
def test_a_measured_residual_lies_where_its_loss_pulls_hardest(seen):
    for n, u in seen:
        residual = torch.linspace(0.2, 5, 4801, dtype=torch.float64)[:, None] * u
        residual.requires_grad_()
        loss = checks.exact(residual, torch.zeros_like(residual), n, seen)
        pull = torch.autograd.grad(loss.sum(), residual)[0]
        assert float(residual.detach()[pull.argmax()]) == pytest.approx(u, rel=1e-3)


@pytest.mark.parametrize("slip", TERM_SLIPS)
def test_each_slip_in_the_denoising_term_gets_its_own_message(slip):
    verdict = checks.denoising(lambda f, x, t, small, sigma: checks.wrong_terms(f, x, t)[slip])
    assert verdict.state == "slip" and verdict.message == slip


def unguarded(f_t, x, t, small, sigma):
    each = (1 / t**2 + 1 / sigma**2) * (f_t - x).square().flatten(1).mean(1)
    return each[t <= small].mean()


def test_a_mean_over_none_and_unused_arguments_are_told():
    assert "a mean over none is 0/0; guard it" in checks.denoising(unguarded).message
    stuck = checks.denoising(lambda f, x, t, small, sigma: checks.term(f, x, t, 0.17, 0.5))
    assert "use the arguments" in stuck.message
    high = checks.denoising(
        lambda f, x, t, small, sigma: (
            unguarded(f, x, t, small, sigma) if (t <= small).any() else f.sum()
        )
    )
    assert "the term must be 0" in high.message


def test_c_of_the_bench_and_of_the_check_is_the_methods():
    points = STUDIES["latents"].variants["slct"](0).method.pairs.points
    rule = Tightening().on_grid(points)
    for stage, shown in enumerate(POINTS[1:], start=1):
        step = stage * study.STEPS // 7
        assert points(step) == shown
        assert c_of(shown - 1) == rule(step)


@pytest.fixture(scope="module")
def bench():
    return latent_bench()


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value
    return seen.picture


REST = {"source": "digits, latents", "share": 0.1, "factor": 50, "points": 41, "size": 0.02}


def test_without_impulses_normal_numbers_lie_within_the_fences(bench):
    reading = turn(bench, **REST | {"share": 0.0, "source": "normal distribution"}).reading
    assert "normal distribution: 0.70%" in reading and "0.0% of the samples contain" in reading
    assert "kurtosis is 2.9" in bench.picture.figure.axes[0].get_title("left")


def test_squared_l2_gives_impulses_the_most_say_and_cauchy_the_least(bench):
    words = turn(bench, **REST).reading.split("whole pull: ")[1]
    shares = [float(part.split()[-1].split("%")[0]) for part in words.splitlines()[0].split(",")]
    assert shares[0] > shares[1] > shares[2]


KNOBS = {"source": "digits, pixels", "share": 1.0, "factor": 5, "points": 641, "size": 0.5}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_of_the_bench_changes_the_picture(bench, knob):
    turn(bench, **REST)
    image = bench.image.value
    turn(bench, **{knob: KNOBS[knob]})
    assert bench.image.value != image and bench.knobs[knob].description
    turn(bench, **REST)


def test_the_pairing_bench_shows_every_pair():
    seen = transport_bench()
    for knob, value in {"batch": 16, "t": 2.0, "seed": 3}.items():
        image = seen.image.value
        turn(seen, **{knob: value})
        assert seen.image.value != image
    left, right = (ax.collections[0].get_segments() for ax in seen.picture.figure.axes[:2])
    lengths = [sum(np.square(a - b).sum() for a, b in lines) for lines in (left, right)]
    assert len(left) == len(right) == 16 and lengths[1] < lengths[0]
    assert f"{lengths[1] / lengths[0]:.0%} of that of independent pairs" in seen.picture.reading


def test_transport_saves_less_in_more_dimensions():
    x, z = torch.randn(2, 64, 400)
    assert cost_ratio(x[:, :2], z[:, :2]) < 0.4 < 0.8 < cost_ratio(x, z) < 1


def test_the_spread_of_the_target_is_that_of_the_data_where_noise_hides_them():
    g = torch.Generator().manual_seed(0)
    x, z = paired_batches(Ring(), Independent(), 128, 8, g)
    far = target_variance(x, x + 1e4 * z)
    assert far == pytest.approx(float(x.var(0).sum()), rel=0.1)
    assert target_variance(x, x + 1e-4 * z, near=4) < 0.01
    x, z = paired_batches(Ring(), MinibatchOT(), 128, 8, g)
    assert target_variance(x, x + 2 * z) < 0.5 * far


def test_the_arms_differ_in_what_they_say():
    arms = {name: build(1) for name, build in lab12_study.ARMS.items()}
    assert all(
        r.train == arms["ict"].train and r.evaluator == arms["ict"].evaluator
        for r in arms.values()
    )
    for name, recipe in arms.items():
        assert isinstance(recipe.data, Impulses) == name.endswith("impulses")
        assert recipe.data.clean == DIGITS
    assert arms["slct-across"].method.by_class is False
    assert isinstance(arms["slct-independent"].method.coupling, Independent)
    assert arms["cauchy"].method.denoising == 0 and arms["cauchy"].net == arms["ict"].net
    assert isinstance(arms["slct"].method.coupling, MinibatchOT)
    parts = {
        name: (arms[name].method.denoising, arms[name].net == arms["slct"].net)
        for name in ("cauchy", "slct-no-denoising", "slct-no-norm", "slct-independent")
    }
    assert list(parts.values()) == [(0, False), (0, True), (5, False), (5, True)]


def test_squared_l2_with_the_other_losss_levels_pulls_a_typical_residual_as_pseudo_huber_does():
    """At any level, up to one factor; so it is the same weighting of the levels."""
    t = torch.logspace(-2.5, 1.8, 40, dtype=torch.float64)
    gap = 0.1 * t
    u = 8 * gap * 0.25 / (t**2 + 0.25)
    squared, huber = influence(SquaredL2(), u), influence(PseudoHuber(0.00432), u) / gap
    ratio = squared * lab12_study.LikePseudoHuber()(t, t - gap) / huber
    assert torch.allclose(ratio, ratio[:1], rtol=1e-6)


def test_a_loss_divides_its_pull_among_the_levels():
    size = np.array([0.0003, 0.002, 0.003, 0.001])
    two = lab12_study.shares_of_pull(size, SquaredL2(), 1049)
    wide = lab12_study.shares_of_pull(size, Cauchy(1e3), 1049)
    narrow = lab12_study.shares_of_pull(size, Cauchy(1e-3), 1049)
    assert two.sum() == pytest.approx(1) and wide == pytest.approx(two, rel=1e-4)
    assert narrow[0] > 20 * two[0] and narrow[2] < two[2] / 2
    alike = lab12_study.shares_of_pull(np.ones(4), SquaredL2(), 1049)
    assert alike[0] < 0.1  # a tenth of the pairs: c_out / (t - r) is nearly level there


def test_paired_points_are_answered_as_well_as_their_data_lie():
    """The draw of the recorded starts: its x are as far from the other data as the answers."""
    with seeded(torch.device("cpu"), 3):
        x, other = (Ring().sample(lab12_study.SAMPLES)[0] for _ in range(2))
    answered = recorded_variants("transport")["ot-long"]["starts"][:, 4]
    assert answered.mean() == pytest.approx(sliced(x, other), abs=2e-4)


def test_an_empty_choice_is_rare_as_the_solution_says():
    with seeded(torch.device("cpu"), 0):
        t, _ = study.grid(study.STEPS)(VarianceExploding(), torch.zeros(100_000, 1), 0)
    larger = float((t > checks.SMALL).double().mean())
    assert larger**10 == pytest.approx(0.03, abs=0.005) and larger**64 < 1e-8


def test_residuals_are_measured_by_band_and_empty_bands_are_nan():
    t = torch.tensor([0.01] * 500 + [5.0] * 500)
    apart = torch.randn(1000, 4, 4, 4) * (t / 2)[:, None, None, None]
    found = measured_by_band(t, t / 2, apart)
    assert found["size"].shape == (len(BANDS) - 1, 6)
    assert found["size"][0, 2] == pytest.approx(0.005, rel=0.02)
    assert found["size"][3, 2] == pytest.approx(2.5, rel=0.02)
    assert np.isnan(found["size"][1:3]).all() and np.isnan(found["tails"][1:3]).all()
    assert found["tails"][3, 2] == pytest.approx(3, rel=0.05)
    assert found["tails"][3, 0] == pytest.approx(0.007, rel=0.2)


def test_the_figures_draw_what_they_were_given():
    rows = {"a": impulsiveness(torch.randn(500)), "b": impulsiveness(Digits().images)}
    left, right = figures.tails(rows, "t").axes
    assert [li.get_xdata()[0] for li in right.lines[:2]] == [r.kurtosis for r in rows.values()]
    scores = {"ict": np.array([10.0, 20.0, 30.0]), "slct": np.array([5.0, 6.0, 7.0])}
    first = figures.variant_scores({"clean": scores, "more": scores}, 4.0, "fd1").axes[0]
    assert list(first.lines[0].get_xdata()) == [10, 20, 30]
    q = np.ones((3, 3)) * [1, 2, 3]
    bands = {"0 to 1": q, "1 to 2": 2 * q}
    drawn = figures.residual_sizes([10, 20, 40], bands, [0.1, 0.05, 0.02], "t").axes[0]
    assert list(drawn.lines[-1].get_ydata()) == [0.1, 0.05, 0.02]
    two = np.ones((2, 3))
    spread = {"independent pairs": two, "optimal transport": two / 2}
    score = {"independent pairs": np.ones(3), "optimal transport": np.ones(3)}
    bars = figures.pull_by_level({"l2": np.array([0.25, 0.75])}, ["0 to 1", "1 to 2"], "t").axes[0]
    assert [patch.get_width() for patch in bars.patches] == [0.25, 0.75]
    figure = figures.transport_gains([2, 64], two / 2, [0.1, 1.0], spread, {"RMS": score})
    assert "Cost left: 50% in 2 dimensions" in figure.axes[0].get_title("left")


def test_the_worked_example_of_shares_of_pull():
    """One residual of 50 among 127 of 0.05, with c = 0.03456."""
    lengths = torch.cat([torch.full((127,), 0.05), torch.tensor([50.0])])
    shares = {}
    losses = {"L2": SquaredL2(), "Huber": PseudoHuber(0.03456), "Cauchy": Cauchy(0.03456)}
    for name, metric in losses.items():
        force = influence(metric, lengths)
        shares[name] = float(force[-1] / force.sum())
    assert shares["L2"] == pytest.approx(0.887, abs=1e-3)
    assert shares["Huber"] == pytest.approx(0.0095, abs=1e-4)
    assert shares["Cauchy"] < 1e-4
    assert sqrt(2) * 0.03456 < 0.05  # beyond its largest pull already


def test_the_text_cites_the_code_that_its_constants_are_from():
    text = LAB.read_text(encoding="utf-8")
    assert "[quandao10/LCT](https://github.com/quandao10/LCT) at commit 34661b9" in text
    assert "code, as reported" not in text


def test_normal_residuals_of_such_mixed_sizes_have_the_kurtosis_that_the_text_says():
    """The size of (f_t - f_r)/(t - r) over t from 0.2 to 2, at the log-normal levels of iCT."""
    u = torch.linspace(log(0.2), log(2), 20_001).double()
    weight, size = (-(((u + 1.1) / 2) ** 2) / 2).exp(), 0.25 / (0.25 + (2 * u).exp())
    fourth, second = ((weight * size**k).sum() / weight.sum() for k in (4, 2))
    assert float(3 * fourth / second**2) == pytest.approx(5.5, abs=0.02)
    assert float(size[0] / size[-1]) == pytest.approx(15, abs=0.5)
