"""Lab 10: its checks name each slip, its gradients tend to their limit, its figures show them."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from cmlab_labs.common.study import Recording
from cmlab_labs.lab10_scm import checks
from cmlab_labs.lab10_scm.analysis import (
    PathPoints,
    along_exact_path,
    continuous_gradient,
    difference_errors,
    direction,
    discrete_gradient,
    feature_speed,
    gaussian_consistency,
    gaussian_denoiser,
    gradient,
    median_cpu_seconds,
    pass_costs,
    relative_error,
    sample_path,
    tangent_terms,
    time_derivative,
)
from cmlab_labs.lab10_scm.checks import SLIPS, WRONG, exact_g, settings
from cmlab_labs.lab10_scm.explorer import ExactNetwork, secant_picture
from cmlab_labs.lab10_scm.figures import (
    TangentLengths,
    bracket_lengths,
    by_gap,
    comparison_table,
    decimal,
    effect,
    existing_recordings,
    first_and_last,
    gap_title,
    input_speeds,
    limit_errors,
    loglog_slope,
    loss_and_gradients,
    mean_tangents,
    over_training,
    overlap,
    power,
    ratio_of_means,
    rmse,
    stabiliser_verdict,
    variant_scores,
)
from cmlab_labs.registry import STUDIES
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Ring
from cmlab.methods import SCM
from cmlab.methods.scm import Unbounded
from cmlab.model import Angle, Denoiser, QuarterLog, TrigPrecond, carried
from cmlab.nets import MLP, Positional
from cmlab.nets.embedding import Fourier
from cmlab.oracle import Gaussian
from cmlab.presets import toy
from cmlab.process import TrigFlow
from cmlab.schedules import Constant

LAB = lab("10")
CHECKS = (checks.trig_network, checks.tangent)
PLAIN = SCM(warmup=Constant(1.0), bound=Unbounded())


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


@pytest.mark.parametrize("slip", SLIPS)
def test_each_slip_in_the_network_carried_over_gets_its_own_message(slip):
    verdict = checks.trig_network(SLIPS[slip])
    assert verdict.state == "slip" and verdict.message == slip, verdict


def test_other_wrong_networks_are_told_apart_and_the_right_one_is_the_packages():
    assert "on paper" in checks.trig_network(lambda F, u, t, s: -2 * F(u, s * t.tan())).message
    assert "should have u's" in checks.trig_network(lambda F, u, t, s: F(u, t)[:, 0]).message
    edm = toy.edm(seed=0).build().double()
    trig = carried(edm, TrigPrecond(edm.precond.sigma_data, QuarterLog()))
    u, t = torch.randn(8, 2).double(), torch.linspace(0.1, 1.5, 8).double()
    s = edm.precond.sigma_data
    size = s / t.cos()[:, None]
    found = -edm.raw(size * u, s * t.tan())
    torch.testing.assert_close(trig.raw(s * u, t), found)


@pytest.mark.parametrize("slip", WRONG)
def test_each_slip_in_the_tangent_gets_its_own_message(slip):
    verdict = checks.tangent(WRONG[slip])
    assert verdict.state == "slip" and verdict.message == slip, verdict


def test_other_wrong_tangents_are_told_apart():
    assert "brackets apart" in checks.tangent(lambda *s: 1.1 * exact_g(*s)).message
    assert "should have x_t's" in checks.tangent(lambda *s: exact_g(*s)[:, 0]).message
    assert "gives two things" in checks.tangent(lambda *s: (exact_g(*s), 0)).message
    coarse = checks.tangent(lambda *s: exact_g(*s).float())
    assert "compute in the type of x_t" in coarse.message


def test_the_checks_tangent_is_the_packages():
    F, x_t, dx_t, t, r, sigma_data = settings(1, 0.7)

    class Net(torch.nn.Module):
        def forward(self, u, t, cond=None):
            return F(u, t)

    model = Denoiser(Net(), TrigPrecond(sigma_data))
    _, g = SCM(warmup=Constant(r)).tangent(model, x_t, t, dx_t, 0)
    torch.testing.assert_close(g, exact_g(F, x_t, dx_t, t, r, sigma_data))


def a_student(embed=None):
    torch.manual_seed(0)
    return Denoiser(MLP(2, 32, embed=embed or Positional(8)), TrigPrecond(0.7)).double()


def a_path(n=64):
    g = torch.Generator().manual_seed(1)
    x, z = (torch.randn(n, 2, generator=g).double() for _ in range(2))
    return sample_path(TrigFlow(0.7), 0.7 * x, z, 0.2 + 1.2 * torch.rand(n, generator=g).double())


def test_the_discrete_gradient_tends_to_twice_the_continuous_one_which_is_the_losss():
    model, path = a_student(), a_path()
    limit, gaps = 2 * continuous_gradient(model, path), (0.1, 0.01, 0.001, 0.0001)
    errors = [relative_error(discrete_gradient(model, path, gap), limit) for gap in gaps]
    assert loglog_slope(gaps, errors, 1e-4, 1e-1) == pytest.approx(1, abs=0.05)
    F, g = PLAIN.tangent(model, *path, 0)
    ours = gradient((F - F.detach() - g).square().sum() / len(g), model)
    torch.testing.assert_close(ours, limit)


def test_in_32_bits_a_tiny_gap_is_worse_than_a_small_one():
    model, path = a_student(), a_path()
    limit, low = 2 * continuous_gradient(model, path), deepcopy(model).float()
    errors = [
        relative_error(discrete_gradient(low, path.to(torch.float32), h), limit)
        for h in (1e-3, 1e-7)
    ]
    assert errors[0] < 0.01 < 0.05 < errors[1]
    assert relative_error(2 * continuous_gradient(low, path.to(torch.float32)), limit) < 1e-5


def test_a_point_before_is_the_same_data_and_noise_at_an_earlier_time():
    process, x, z = TrigFlow(0.7), torch.randn(5, 2).double(), torch.randn(5, 2).double()
    t = torch.linspace(0.3, 1.3, 5).double()
    x_r, r = sample_path(process, x, z, t).before(0.2)
    torch.testing.assert_close(x_r, process.perturb(x, z, t - 0.2))
    torch.testing.assert_close(r, t - 0.2)


def test_the_two_brackets_add_up_to_the_tangent():
    model, path = a_student(), a_path()
    torch.testing.assert_close(sum(tangent_terms(model, path)), PLAIN.tangent(model, *path, 0)[1])


@pytest.mark.parametrize("std", [0.25, 0.5, 1.0])
def test_the_bells_are_what_the_oracle_says(std):
    law, t = Gaussian(torch.zeros(1), std), torch.tensor([0.3, 0.8, 1.4]).double()
    x_t, level = torch.randn(3, 1).double(), 0.5 * t.tan()
    wide = x_t / t.cos()[:, None]
    torch.testing.assert_close(gaussian_denoiser(std, 0.5)(x_t, t), law.denoise(wide, level))
    end = law.flow(wide, level, torch.zeros(3).double())
    torch.testing.assert_close(gaussian_consistency(std, 0.5)(x_t, t), end)


def test_a_difference_has_a_best_step_and_forward_mode_needs_none():
    model, path = a_student(Fourier(8, 1.0)), a_path()
    exact, low = time_derivative(model.raw, path), deepcopy(model).float()
    wide, best, tiny = difference_errors(model.raw, path, exact, (1e-1, 1e-5, 1e-11))
    assert best < 1e-6 < min(wide, tiny)
    short = path.to(torch.float32)
    assert relative_error(time_derivative(low.raw, short), exact) < 1e-5
    assert min(difference_errors(low.raw, short, exact, np.logspace(-6, -1, 11).tolist())) > 1e-5


def test_the_speed_of_the_features_is_that_of_their_frequencies_and_of_the_clock():
    t = torch.tensor([0.4, 1.5]).double()
    by_angle = feature_speed(Positional(32), Angle(), TrigFlow(0.7), t)
    omega = Positional(32).frequencies().double()
    torch.testing.assert_close(by_angle, omega.norm().expand(2))
    by_log = feature_speed(Positional(32), QuarterLog(), TrigFlow(0.7), t)
    torch.testing.assert_close(by_log / by_angle, 1 / (4 * t.sin() * t.cos()))
    torch.manual_seed(0)
    assert feature_speed(Fourier(32, 16.0), Angle(), TrigFlow(0.7), t).min() > 300


def test_costs_are_medians_of_calls_taken_in_turn():
    calls = []
    found = median_cpu_seconds(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3
    )
    assert calls == ["a", "b"] * 5 and set(found) == {"a", "b"}
    assert min(found.values()) >= 0
    rows = pass_costs(lambda x, t: x * t[:, None], a_path(8), 20)
    assert list(rows) == ["one forward pass", "two passes, for a difference,", "forward mode"]


# the figures


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_the_figure_of_the_mean_shows_dots_a_path_and_bin_means_on_it():
    x = np.random.default_rng(0).normal(size=20_000)
    noise = np.random.default_rng(1).normal(size=20_000)
    figure = mean_tangents({"one": (x, 0.3 * x + 0.1 * noise, 0.3 * x), "two": (x, noise, 0 * x)})
    dots, path, means = figure.axes[0].lines
    np.testing.assert_allclose(means.get_ydata(), 0.3 * means.get_xdata(), atol=0.03)
    assert len(dots.get_xdata()) < len(path.get_xdata()) and len(figure.axes) == 2


def test_the_figure_of_the_limit_measures_its_slope_and_its_best_gap():
    gaps = np.logspace(-1, -9, 17)
    rounding = gaps + 1e-8 / gaps
    figure = limit_errors(list(gaps), {"float64": list(gaps), "float32": list(rounding)}, {})
    assert figure.axes[0].get_title(loc="left").startswith("Slope 1.00 ")
    assert "0.0001 is best" in figure.axes[0].get_title(loc="left")


def test_the_figure_of_the_pull_has_the_loss_at_g_squared_and_the_goal_at_its_bottom():
    theirs = np.linspace(-1, 1, 9)
    figure = loss_and_gradients([0.0, -0.5], [-1.0, -0.8], theirs, theirs)
    points = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    at = np.array([(p.get_xdata()[0], p.get_ydata()[0]) for p in points])
    np.testing.assert_allclose(at, [(0, 1), (-1, 0), (-0.5, 0.64), (-1.3, 0)], atol=1e-12)
    assert figure.axes[1].get_title(loc="left") == "The two gradients are equal"
    double = loss_and_gradients([0.0, -0.5], [-1.0, -0.8], 2 * theirs, theirs)
    assert "ratio 2.000000" in double.axes[1].get_title(loc="left")
    crooked = loss_and_gradients([0.0, -0.5], [-1.0, -0.8], theirs**2, theirs)
    assert "Cosine 0.000000" in crooked.axes[1].get_title(loc="left")


def test_the_figures_of_clocks_and_brackets_show_what_they_are_given():
    t = np.linspace(0.1, 1.5, 20)
    figure = input_speeds(t, {"a": t, "EDM's b": 7 * t}, {name: t for name in "wxyz"})
    assert [len(ax.lines) for ax in figure.axes] == [4, 4]
    in_slope, in_g = figure.axes[0].lines[2:]
    np.testing.assert_allclose(in_g.get_ydata(), np.cos(t) * in_slope.get_ydata())
    assert figure.axes[0].get_title(loc="left") == "b grows in df/dt, but not in g"
    few = t[:5]
    early = input_speeds(few, {"a": few, "b": few}, {name: few for name in "wxyz"})
    assert early.axes[0].get_title(loc="left") == "b grows in df/dt and in g"
    rows = np.ones((20, 5))
    small, large = (
        TangentLengths(t, rows, rows / 2, rows),
        TangentLengths(t, rows, 9 * rows, 10 * rows),
    )
    figure = bracket_lengths(small, large, ("slow", "fast"), {"a": rows, "b": rows, "c": rows})
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[:2] == ["slow: brackets of like size", "fast: the second dominates"]
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), 10)


def test_the_direction_of_g_is_right_for_slow_features_and_nearly_random_for_fast_ones():
    g = torch.Generator().manual_seed(0)
    x, z = Ring().oracle.sample(256, g).double(), torch.randn(256, 2, generator=g).double()
    mean = {}
    for variant in ("sct", "sct-fourier-16"):
        model = STUDIES["stabilisers"].variants[variant](0).build().double()
        path = sample_path(model.process, x, z, 0.1 + 1.4 * torch.rand(256, generator=g).double())
        D = Ring().oracle.denoise(path.x_t / path.t.cos()[:, None], model.process.level(path.t))
        path = path._replace(dx_t=model.process.velocity(path.x_t, D, path.t))
        mean[variant] = float(direction(model, ExactNetwork(), path).mean())
    assert mean["sct"] > 0.8 and abs(mean["sct-fourier-16"]) < 0.3


def a_recording(scores, steps=4):
    shape = (len(scores), steps, 3)
    arrays = {
        "steps": np.tile(np.arange(steps) * 10, (len(scores), 1)),
        "tangent": np.full((*shape, 3), 2.0),
        "error": np.full(shape, 0.5),
    }
    return Recording(arrays, {"scores": [{"rmse": s, "hq": 0.9} for s in scores]})


FULL, SAME, WORSE, RUIN = (
    a_recording([base, base + 0.01, base + 0.02]) for base in (0.05, 0.06, 0.08, 5.0)
)


def test_a_verdict_needs_ranges_that_are_apart():
    full, same, worse, ruin = (run.score("rmse") for run in (FULL, SAME, WORSE, RUIN))
    assert overlap(full, same) and not overlap(full, worse)
    assert ratio_of_means(worse, full) == pytest.approx(1.5)
    assert "overlap" in effect(same, full) and "disjoint" in effect(worse, full)
    assert stabiliser_verdict(same, full).startswith("not seen at this scale")
    assert stabiliser_verdict(full, worse).endswith("better without")
    assert stabiliser_verdict(worse, full).startswith("partly")
    assert stabiliser_verdict(ruin, full).startswith("confirmed here")
    assert first_and_last(np.ones((3, 4))) == "1 (1 to 1) → 1 (1 to 1)"


def test_the_table_of_arms_names_them_and_says_how_far_they_are():
    text = comparison_table({"sct": FULL, "sct-fourier-16": RUIN}, "sct")
    assert "| sCT | 0.060 (0.050 to 0.070) | 90 (90 to 90) % |  |" in text
    assert "| Fourier scale 16 | 5.0 (5.0 to 5.0) |" in text and "×83 to ×84" in text


def test_the_figure_of_arms_has_a_mark_for_each_seed_and_one_log_axis():
    runs = {"sct": FULL, "sct-no-norm": WORSE, "sct-fourier-16": RUIN}
    figure = variant_scores({"slow": (runs, "sct"), "fast": (runs, "sct")}, log="fast")
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log"]
    marks = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert sorted(len(m.get_xdata()) for m in marks) == [3, 3, 3]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["Fourier scale 16", "no normalisation", "sCT"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["slow", "fast"]
    low, high = figure.axes[0].get_xlim()
    assert low < 0.05 and high > 5.02


def test_the_figure_of_training_draws_each_arm_twice():
    figure = over_training({"sct": FULL, "scd": WORSE})
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([2.0] * 4)
    assert figure.axes[1].lines[0].get_ydata() == pytest.approx([0.5] * 4)


def test_the_figure_of_gaps_marks_each_seed_and_says_which_gaps_will_do():
    figure = by_gap({0.1: RUIN, 0.001: FULL}, FULL, SAME)
    assert figure.axes[0].get_title(loc="left").startswith("Every gap up to 0.001 comes")
    base = FULL.score("rmse")
    some = gap_title({1e-5: 2 * base, 0.01: base, 0.1: base, 0.3: 3 * base}, base)
    assert some == "Gaps from 0.01 to 0.1 come within 10 % of the limit"
    assert gap_title({0.1: 2 * base}, base) == "No gap comes within 10 % of the limit"


def test_only_recordings_that_are_there_are_kept_and_they_have_their_tangents():
    runs = existing_recordings("stabilisers", ["sct", "nothing"])
    assert list(runs) == ["sct"]
    np.testing.assert_array_equal(rmse("sct"), runs["sct"].score("rmse"))
    assert runs["sct"]["tangent"].shape == (3, 41, 32, 3)


def test_the_path_of_one_sample_runs_as_fast_as_its_data_and_noise_say():
    x, t = Ring().sample(4)[0].double(), torch.tensor([0.2, 0.6, 1.0, 1.4]).double()
    z = torch.randn(4, 2).double()
    path = sample_path(TrigFlow(0.7), x, z, t)
    assert isinstance(path, PathPoints)
    cos, sin = t.cos()[:, None], t.sin()[:, None]
    torch.testing.assert_close(path.dx_t, cos * 0.7 * z - sin * x)


def test_the_text_gives_the_factor_in_front_of_the_gradient_its_sign():
    """∇f = -σ_d sin t ∇F under TrigFlow, so that with w = 1/(σ_d tan t) it is -cos t ∇F."""
    sigma_data, t = 0.5, torch.tensor(0.7, dtype=torch.float64)
    F = torch.tensor(0.3, dtype=torch.float64)
    f = torch.func.grad(lambda F: t.cos() * 0.4 - t.sin() * sigma_data * F)
    assert f(F) / (sigma_data * t.tan()) == pytest.approx(-t.cos().item(), rel=1e-12)
    text = lab("10").read_text(encoding="utf-8")
    assert "the factor in front becomes $-2\\cos t$" in text and "become cos t" not in text


def test_along_a_path_f_star_is_constant_and_the_secant_of_d_tends_to_its_derivative():
    t = torch.linspace(0.05, 1.5, 30).double().requires_grad_()
    f = along_exact_path(gaussian_consistency(0.25, 0.5), t, 0.25, 0.5)
    assert torch.allclose(f, torch.full_like(f, 0.25))
    at = torch.tensor([1.1]).double().requires_grad_()
    D = along_exact_path(gaussian_denoiser(0.25, 0.5), at, 0.25, 0.5)
    slope = float(torch.autograd.grad(D.sum(), at)[0])
    errors = []
    for gap in (0.5, 0.05):
        shown = secant_picture(gap, 1.1, "the denoiser D")
        assert f"the slope of the curve at t is {slope:.3f}" in shown.reading
        errors.append(float(shown.figure.axes[1].get_title("left").split()[2]))
    assert errors[1] < errors[0] / 5
    flat = secant_picture(0.5, 1.1, "the consistency function f*")
    assert "this is consistency" in flat.reading


def test_the_recordings_bear_out_the_findings_over_the_key_figure_and_the_claims():
    full, clip, norm = (rmse(name) for name in ("sct", "scd", "scd-norm"))
    assert 1.9 < ratio_of_means(rmse("sct-bare"), full) < 2.3  # with none of the four it doubles
    for name in ("no-norm", "clip", "no-warmup", "no-norm-no-warmup", "even", "flat"):
        assert ratio_of_means(rmse(f"sct-{name}"), full) < 1.2
    assert norm.min() > max(clip.max(), rmse("scd-no-bound").max(), rmse("scd-norm-even").max())
    assert overlap(clip, rmse("scd-no-bound")) and clip.max() < full.min()
    small_gap, large_gap = rmse("sct-0.03", "gap"), rmse("sct-0.1", "gap")
    assert overlap(small_gap, full) and small_gap.mean() < full.mean() < large_gap.min()


def test_the_lab_says_what_the_paper_says_of_discrete_time_and_of_the_start():
    text = lab("10").read_text(encoding="utf-8")
    assert "the limit beats the discrete loss at every gap" in text
    assert "a discrete loss with a small gap does as well" not in text
    assert "trained diffusion model, for sCT as well" in text
    assert "adaptive double normalisation" in text and "tangent's slope" not in text


def test_small_numbers_are_written_as_in_prose():
    assert [power(v) for v in (1e-4, 4.2e-4, 0.03)] == ["10⁻⁴", "4 · 10⁻⁴", "3 · 10⁻²"]
    assert [decimal(v) for v in (0.3, 1e-5)] == ["0.3", "0.00001"]
