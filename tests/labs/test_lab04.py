"""Lab 04: its checks name each slip, its stepper steps, its figures draw ideal students truly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.prediction import predictions
from cmlab_labs.common.studies_shared import GRIDS, LINE
from cmlab_labs.common.study import Recording, Study
from cmlab_labs.lab04_distillation import checks, explorer
from cmlab_labs.lab04_distillation.checks import euler
from cmlab_labs.lab04_distillation.figures import (
    compositions,
    deviation,
    error_panel,
    map_panel,
    noise_values,
    orders,
    teachers,
)
from cmlab_labs.lab04_distillation.study import DenoiserObserver, cloud_noise, denoiser
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Bumps
from cmlab.noise_levels import KarrasGrid
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun, ode

LAB = lab("04")
CHECKS = (checks.cd_loss, checks.ideal_student)
LAW = Bumps().oracle


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


def loss(f, x_t, t, x_r, r):
    return (f(x_t, t) - f(x_r, r).detach()).square().sum(1)


def at(x, z, t):
    return x + t[:, None] * z


LOSS_SLIPS = {
    "t and r are swapped": lambda f, D, x, z, t, r: loss(
        f, at(x, z, r), r, euler(D, at(x, z, r), r, t), t
    ),
    "starts at the clean x": lambda f, D, x, z, t, r: loss(
        f, at(x, z, t), t, euler(D, x, t, r), r
    ),
    "never asks the teacher": lambda f, D, x, z, t, r: loss(f, at(x, z, t), t, at(x, z, r), r),
    "the sign of the step": lambda f, D, x, z, t, r: loss(
        f, at(x, z, t), t, 2 * at(x, z, t) - euler(D, at(x, z, t), t, r), r
    ),
    "slope is measured at level r": lambda f, D, x, z, t, r: loss(
        f, at(x, z, t), t,
        at(x, z, t) + ((r - t) / r)[:, None] * (at(x, z, t) - D(at(x, z, t), r)), r,
    ),
    "asked about level t": lambda f, D, x, z, t, r: loss(
        f, at(x, z, t), t, euler(D, at(x, z, t), t, r), t
    ),
    "taken at x_t": lambda f, D, x, z, t, r: loss(f, at(x, z, t), t, at(x, z, t), r),
    "not its output": lambda f, D, x, z, t, r: (
        (f(at(x, z, t), t) - D(at(x, z, t), t)).square().sum(1)
    ),
    "this is the distance": lambda f, D, x, z, t, r: right(f, D, x, z, t, r).sqrt(),
    "averaged over the coordinates": lambda f, D, x, z, t, r: right(f, D, x, z, t, r) / 2,
    "one number for each sample": lambda f, D, x, z, t, r: right(f, D, x, z, t, r).mean(),
    "draw no noise": lambda f, D, x, z, t, r: right(f, D, x, torch.randn_like(z), t, r),
    "no gradient reaches": lambda f, D, x, z, t, r: right(f, D, x, z, t, r).detach(),
    "through both answers": lambda f, D, x, z, t, r: (
        (f(at(x, z, t), t) - f(euler(D, at(x, z, t), t, r), r)).square().sum(1)
    ),
    "wrong answer is held fixed": lambda f, D, x, z, t, r: (
        (f(at(x, z, t), t).detach() - f(euler(D, at(x, z, t), t, r), r)).square().sum(1)
    ),
    "should have 0": lambda f, D, x, z, t, r: right(f, D, x, z, t, r) + 0.1,
    "not the squared distance": lambda f, D, x, z, t, r: 2 * right(f, D, x, z, t, r),
}  # fmt: skip


def right(f, D, x, z, t, r):
    return loss(f, at(x, z, t), t, euler(D, at(x, z, t), t, r), r)


@pytest.mark.parametrize("message", LOSS_SLIPS)
def test_each_slip_in_the_loss_gets_its_own_message(message):
    verdict = checks.cd_loss(LOSS_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def walked(x, down, step):
    for t, r in zip(down[:-1], down[1:], strict=True):
        x = step(x, t, r)
    return x


def plain(D):
    return lambda x, t, r: x + (r - t) * (x - D(x, t)) / t


WALK_SLIPS = {
    "you walk up the grid": lambda x, g, D: walked(x, g.tolist(), plain(D)),
    "the first step is missing": lambda x, g, D: walked(x, g.flip(0).tolist()[1:], plain(D)),
    "the last step is missing": lambda x, g, D: walked(x, g.flip(0).tolist()[:-1], plain(D)),
    "measured at level r": lambda x, g, D: walked(
        x, g.flip(0).tolist(), lambda x, t, r: x + (r - t) * (x - D(x, r)) / r
    ),
    "the sign is wrong": lambda x, g, D: walked(
        x, g.flip(0).tolist(), lambda x, t, r: x - (r - t) * (x - D(x, t)) / t
    ),
    "D is asked only once": lambda x, g, D: walked(
        x, g.flip(0).tolist(), lambda y, t, r: y + (r - t) * (y - D(x, float(g[-1]))) / t
    ),
    "this is D": lambda x, g, D: D(x, float(g[-1])),
    "one step over the whole grid": lambda x, g, D: plain(D)(x, float(g[-1]), float(g[0])),
    "from the exact ends": lambda x, g, D: 0 * x,
    "and an order-one solver": lambda x, g, D: walked(
        x, KarrasGrid(0.002, 3.0).down(40).tolist()[:-1], plain(D)
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", WALK_SLIPS)
def test_each_slip_in_the_ideal_student_gets_its_own_message(message):
    verdict = checks.ideal_student(WALK_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


@pytest.fixture(scope="module")
def seen():
    return explorer.explorer()


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def test_one_update_is_the_papers():
    """x_t = x + t z on neighbours of the grid, one solver step, and answers at both ends."""
    u = explorer.update(20, 2.0, 3, "Heun", "exact")
    levels = KarrasGrid(0.002, 10.0).up(20)
    n = int((levels - u.t).abs().argmin())
    assert levels[n] == u.t and levels[n - 1] == u.r and u.x_t == pytest.approx(u.x + u.t * u.z)
    x_r = heun(VarianceExploding(), LAW.denoise, row(u.x_t)[:, None], row(u.t), row(u.r))
    assert float(x_r) == pytest.approx(u.x_r)
    assert float(explorer.half_trained(x_r, row(u.r))) == pytest.approx(u.f_r)
    assert float(LAW.consistency(row(u.on_path)[:, None], row(u.r))) == pytest.approx(u.end)


def test_the_three_teachers_step_to_three_places():
    exact, learned, one = (
        explorer.update(5, 2.6, 1, "Euler", name) for name in ("exact", "learned", "one sample")
    )
    assert one.x_r == pytest.approx(one.x + one.r * one.z)
    assert 0 < abs(learned.x_r - exact.x_r) < 0.1 < abs(one.x_r - exact.x_r)


def test_the_half_trained_student_is_exact_near_the_data_and_the_mean_far_out():
    x = row(-1.2, 0.3, 1.4)[:, None]
    low, high = row(0.002).expand(3), row(10.0).expand(3)
    assert torch.allclose(explorer.half_trained(x, low), x, atol=1e-5)
    assert torch.allclose(explorer.half_trained(x, high), LAW.denoise(x, high), atol=0.01)


def test_the_recorded_error_is_read_exactly_at_its_own_places():
    error, low, high, reach = explorer.recorded_error()
    values = row(*range(12)).reshape(3, 4)
    assert explorer.bilinear(values, row(0, 1, 0.5), row(0, 2, 0.5)).tolist() == [0, 6, 2.5]
    t = row(10.0)
    x = reach * (t**2 + LAW.sigma_data**2).sqrt()
    found = explorer.learned(-x[:, None], t) - LAW.denoise(-x[:, None], t)
    assert float(found) == pytest.approx(float(error[-1, 0]), abs=1e-3)


def test_each_sub_step_adds_to_the_picture_and_says_so(seen):
    turn(seen, stage=1, points=5, level=2.6, draw=1, solver="Euler", teacher="exact")
    told, artists = set(), []
    for stage in range(1, 6):
        turn(seen, stage=stage)
        assert f"Sub-step {stage} of 5" in seen.picture.reading
        told.add(seen.image.value)
        artists.append(sum(len(ax.get_children()) for ax in seen.picture.figure.axes))
    assert len(told) == 5 and artists == sorted(set(artists))


@pytest.mark.parametrize(
    "knob, value",
    [("points", 80), ("level", 9.0), ("draw", 7), ("solver", "Heun"), ("teacher", "one sample")],
)
def test_every_knob_changes_the_picture(seen, knob, value):
    turn(seen, stage=5, points=5, level=2.6, draw=1, solver="Euler", teacher="exact")
    before = seen.image.value
    turn(seen, **{knob: value})
    assert seen.image.value != before and seen.knobs[knob].description
    assert "role='status'" in seen.words.value


def test_the_pull_is_named_by_its_direction(seen):
    turn(seen, stage=5, points=5, level=2.6, draw=1, solver="Euler", teacher="exact")
    u = explorer.update(5, seen.knobs["level"].value, 1, "Euler", "exact")
    assert ("moves it up" in seen.picture.reading) == (u.f_r > u.f_t)
    nearer = abs(u.f_r - u.end) < abs(u.f_t - u.end)
    assert ("nearer to" in seen.picture.reading) == nearer


@pytest.fixture(scope="module")
def noise():
    return noise_values(Bumps())


def test_a_mean_over_ranks_is_the_mean_over_the_law(noise):
    assert float(noise.weight.sum()) == pytest.approx(1) and float(noise.weight.min()) > 0
    assert float((noise.rank * noise.weight).sum()) == pytest.approx(0.5, abs=1e-3)
    assert float(noise.mean_error(noise.ends)) == 0
    assert float(noise.mean_error(noise.ends + 1)) == pytest.approx(1)
    assert noise.mean_error(torch.stack([noise.ends, noise.ends + 2])).tolist() == pytest.approx(
        [0, 2]
    )


def test_about_a_fifth_of_the_errors_of_four_euler_steps_cancels_as_the_reply_says(noise):
    """What each step of the walk adds to the end, on the five levels of the prediction."""
    down, x, added = KarrasGrid(0.002, 10.0).up(5).flip(0), noise.x, []
    ends = [noise.ends]
    for t, r in zip(down[:-1], down[1:], strict=True):
        level, lower = t.expand(len(x)), r.expand(len(x))
        x = ddim(VarianceExploding(), LAW.denoise, x, level, lower)
        ends.append(LAW.consistency(x, lower))
        added.append(ends[-1] - ends[-2])
    steps = torch.stack(added)[..., 0]
    both = ((steps > 1e-4).any(0) & (steps < -1e-4).any(0)).double()
    assert float((both * noise.weight).sum()) > 0.7
    whole = float((steps.abs().sum(0) * noise.weight).sum())
    kept = float(noise.mean_error(ends[-1])) / whole
    assert kept == pytest.approx(0.8, abs=0.02)
    replies = predictions("04")["04.1"].replies
    assert any("about four fifths" in reply for reply in replies.values())


def test_the_answers_of_the_explorer_are_those_that_the_lab_folds_away():
    text = LAB.read_text(encoding="utf-8")
    by_grid = {
        (n, solver): explorer.update(n, 2.6, 1, solver, "exact")
        for n in (5, 20, 80)
        for solver in ("Euler", "Heun")
    }
    miss = {which: abs(u.x_r - u.on_path) for which, u in by_grid.items()}
    said = "by {:.2f} at N = 5, {:.3f} at N = 20, and {:.4f} at N = 80"
    assert said.format(*(miss[n, "Euler"] for n in (5, 20, 80))) in text
    assert f"Heun's step misses by {miss[5, 'Heun']:.2f} at N = 5" in text
    high = explorer.update(80, 8.0, 1, "Euler", "exact")
    assert f"{high.f_t:.2f} and {high.f_r:.2f}, and the exact end is {high.end:.2f}" in text
    one = [explorer.update(5, 2.6, d, "Euler", "one sample") for d in range(1, 9)]
    off = [u.x_r - u.on_path for u in one]
    assert min(off) < -1 and max(off) > 1


def test_the_starts_are_the_noise_behind_every_cloud_and_behind_the_teachers_own_walks(noise):
    recipe = denoiser(0)
    recipe = replace(recipe, train=replace(recipe.train, steps=2, batch=8))
    brief = Study("brief", {"a": lambda seed: recipe}, DenoiserObserver(LINE), observations=1)
    trainer, _, seen = brief.train_and_observe(recipe)
    x_T, f = cloud_noise(LINE), trainer.ema.model
    assert torch.equal(noise.x, x_T.double())
    with torch.no_grad():
        said = f(x_T, torch.full((len(x_T),), 10.0))
        *_, end = ode(f.process, f, x_T, KarrasGrid(0.002, 10.0).up(20).flip(0))
    assert np.allclose(seen["cloud"], said, atol=2e-3, rtol=2e-3)
    assert np.array_equal(seen["walked"][GRIDS.index(20)], end.numpy())


def test_the_starts_are_the_same_whatever_the_default_precision(noise):
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(noise.x, cloud_noise(LINE).double())
    finally:
        torch.set_default_dtype(torch.float32)


def recording(seeds=2):
    level = KarrasGrid(0.002, 10.0).up(6)
    place = torch.linspace(-3, 3, 11).double()
    x = place * (level[:, None] ** 2 + LAW.sigma_data**2).sqrt()
    f = LAW.consistency(x.reshape(-1, 1), level.repeat_interleave(11)).reshape(x.shape)
    each = {
        "levels": level, "place": place, "map": f + 0.3, "steps": torch.arange(4),
        "error": torch.rand(4, 6),
    }  # fmt: skip
    return Recording({k: np.stack([v.numpy()] * seeds) for k, v in each.items()}, {})


def test_the_map_shows_the_difference_to_the_exact_f():
    gap, *_ = deviation(LAW, recording())
    assert torch.allclose(gap, torch.full_like(gap, 0.3))
    figure = map_panel(LAW, {"a": recording(), "b": recording()}, {"b": row(0.1, 1.0, 10.0)})
    titles = [ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles == ["a", "b"] and len(figure.axes) == 3
    assert len(error_panel({"a": recording(), "b": recording()}).axes) == 3
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "|"]
    assert list(marks[0].get_xdata()) == [0.1, 1.0, 10.0]


def test_the_curves_draw_what_they_were_given(noise):
    grids = (5, 20, 40, 80)
    ideal = {"Euler": (grids, 1 / (row(*grids) - 1).numpy())}
    found = {"Euler": (grids, np.array([[0.3, 0.2], [0.1, 0.2], [0.03, 0.05], [0.1, 0.1]]))}
    figure = orders(ideal, found)
    assert any("slope −1.00" in text.get_text() for text in figure.axes[0].texts)
    assert "N = 40" in figure.axes[0].get_title(loc="left")
    names = ("exact", "learned", "one-sample", "one-sample, squared")
    same = {name: found["Euler"] for name in names}
    title = teachers(same, {"exact": ideal["Euler"]}).axes[0].get_title(loc="left")
    assert title.endswith("a learned teacher by 1.0")
    *_, walk = ode(
        VarianceExploding(), LAW.denoise, noise.x, KarrasGrid(0.002, 10.0).up(5).flip(0)
    )
    drawn = compositions(noise, noise.ends, {"a": walk, "b": walk}, walk)
    said = [text.get_text() for text in drawn.axes[1].texts]
    assert "(0.000 from the steps" in said[2] and f"{noise.mean_error(walk):.2f} from" in said[2]
