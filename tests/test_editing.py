"""Zero-shot editing: what is given stays, bases are orthogonal, the rest is multistep sampling."""

import pytest
import torch
from cmlab_labs.common.plots_posterior import PathEnd, conditional_line

from cmlab.data.toy import Ring
from cmlab.methods.editing import (
    GREY,
    BlockBasis,
    Edit,
    LuminanceBasis,
    PixelBasis,
    colouring,
    denoised,
    edit,
    inpainting,
    interpolated,
    orthogonal,
    slerp,
    stroke,
    super_resolution,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture
from cmlab.process import TrigFlow, VarianceExploding
from cmlab.sampling import multistep

LEVELS = KarrasGrid(0.1, 10.0).up(6).flip(0)
DRAWN = torch.Generator()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=DRAWN.manual_seed(seed), dtype=torch.float64)


def crooked(x_t, t):
    """Any function at all: nothing that is kept may depend on it."""
    return torch.tanh(x_t).flip(-1) + 0.1 * t.reshape(-1, *[1] * (x_t.ndim - 1))


def test_Q_of_colouring_has_the_published_values():
    published = [[0.4471, -0.8204, 0.3563], [0.8780, 0.4785, 0.0], [0.1705, -0.3129, -0.9343]]
    assert (LuminanceBasis().Q - torch.tensor(published).double()).abs().max() < 1.1e-4


@pytest.mark.parametrize("basis", [LuminanceBasis(), BlockBasis(2), BlockBasis(4)], ids=str)
def test_Q_is_orthogonal_and_its_first_column_is_what_is_given(basis):
    Q = basis.Q
    assert torch.allclose(Q @ Q.T, torch.eye(len(Q)).double(), atol=1e-14)
    first = torch.tensor(GREY) if len(Q) == 3 else torch.ones(len(Q))
    first = first.double() / first.double().norm()
    assert torch.allclose(Q[:, 0], first, atol=1e-7)


def test_the_other_columns_are_axes_made_orthogonal_in_order():
    Q = orthogonal(torch.tensor([1.0, 2.0, 2.0]), (2, 0))
    assert torch.allclose(Q.T @ Q, torch.eye(3).double(), atol=1e-14)
    inside = torch.stack([Q[:, 0], torch.eye(3).double()[2], Q[:, 1]])
    assert abs(float(torch.linalg.det(inside))) < 1e-14 and Q[2, 1] > 0


@pytest.mark.parametrize(
    "basis", [PixelBasis(), LuminanceBasis(), BlockBasis(2), BlockBasis(4)], ids=str
)
def test_a_basis_leads_there_and_back_and_keeps_lengths(basis):
    x = draw(3, 3, 8, 8)
    assert torch.allclose(basis.back(basis(x)), x, atol=1e-13)
    assert torch.allclose(basis(x).flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))


def test_the_first_coordinate_of_a_field_is_its_mean_times_its_side():
    x = draw(2, 1, 8, 8)
    mean = torch.nn.functional.avg_pool2d(x, 4)
    assert torch.allclose(BlockBasis(4)(x)[..., 0], 4 * mean, atol=1e-13)


TASKS = {
    "inpainting": inpainting((torch.arange(8) % 3 == 0).float().expand(3, 8, 8)),
    "colouring": colouring(),
    "super-resolution": super_resolution(4),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("process", [VarianceExploding(), TrigFlow(0.5)], ids=str)
def test_the_measurement_is_kept_to_rounding_after_every_call(name, process):
    task, y = TASKS[name], draw(2, 3, 8, 8)
    kept = torch.broadcast_to(task.missing == 0, task.basis(y).shape[1:])
    times, given = process.time(LEVELS), task.basis(y)[:, kept]
    steps = list(edit(process, crooked, task, y, times))
    assert len(steps) == len(LEVELS)
    for x in steps:
        assert (task.basis(x)[:, kept] - given).abs().max() < 1e-13
        assert (task.basis(x)[:, ~kept] - task.basis(y)[:, ~kept]).abs().max() > 0.1


def test_inpainting_keeps_every_bit():
    y, task = draw(2, 3, 8, 8), TASKS["inpainting"]
    *_, x = edit(VarianceExploding(), crooked, task, y, LEVELS)
    assert torch.equal(x[:, task.missing == 0], y[:, task.missing == 0])


def test_with_nothing_given_editing_is_multistep_sampling():
    y = draw(4, 2)
    torch.manual_seed(3)
    edited = list(edit(VarianceExploding(), crooked, inpainting(torch.ones(2)), y, LEVELS))
    torch.manual_seed(3)
    x_t = LEVELS[0] * torch.randn_like(y)
    for a, b in zip(edited, multistep(VarianceExploding(), crooked, x_t, LEVELS), strict=True):
        assert torch.equal(a, b)


def test_with_everything_given_editing_returns_it():
    y = draw(4, 2)
    assert all(
        torch.equal(x, y)
        for x in edit(VarianceExploding(), crooked, inpainting(torch.zeros(2)), y, LEVELS)
    )


def test_what_is_missing_never_reaches_the_answer():
    y, task = draw(4, 2), inpainting(torch.tensor([0.0, 1.0]))
    found = []
    for secret in (5.0, -7.0):
        torch.manual_seed(0)
        hidden = torch.stack([y[:, 0], torch.full((4,), secret).double()], 1)
        found.append(list(edit(VarianceExploding(), crooked, task, hidden, LEVELS))[-1])
    assert torch.equal(*found)


def test_a_call_sees_the_given_part_under_fresh_noise_of_its_level():
    seen = []

    def f(x_t, t):
        seen.append((x_t, t))
        return torch.zeros_like(x_t)

    y = torch.full((4000, 2), 0.7).double()
    list(edit(VarianceExploding(), f, inpainting(torch.tensor([0.0, 1.0])), y, LEVELS[:3]))
    for x_t, t in seen:
        assert float(x_t[:, 0].mean()) == pytest.approx(0.7, abs=0.07 * float(t[0]))
        assert float(x_t[:, 0].std()) == pytest.approx(float(t[0]), rel=0.05)
        assert float(x_t[:, 1].mean()) == pytest.approx(0.0, abs=0.07 * float(t[0]))


def test_a_stroke_is_where_multistep_sampling_starts():
    y = draw(4, 2)
    torch.manual_seed(1)
    *_, x = stroke(VarianceExploding(), crooked, y, LEVELS)
    torch.manual_seed(1)
    *_, same = multistep(VarianceExploding(), crooked, y + LEVELS[0] * torch.randn_like(y), LEVELS)
    assert torch.equal(x, same)


def test_interpolation_starts_and_ends_at_its_noises_and_denoising_is_one_call():
    z1, z2, t = draw(2), draw(2, seed=1), torch.full((3,), 4.0).double()
    x = interpolated(VarianceExploding(), crooked, z1, z2, [0, 0.5, 1], t)
    ends = crooked(4 * torch.stack([z1, slerp(z1, z2, 0.5), z2]), t)
    assert torch.allclose(x, ends) and torch.equal(denoised(crooked, ends, t), crooked(ends, t))


# the law of what is made


def w1(a, b):
    return float((a.sort().values - b.sort().values).abs().mean())


def edited_second(law, value, calls, n=1500):
    task, y = inpainting(torch.tensor([0.0, 1.0])), torch.tensor([[value, 0.0]]).double()
    grid = KarrasGrid(0.05, 10.0).up(calls).flip(0)
    torch.manual_seed(0)
    with torch.no_grad():
        *_, x = edit(VarianceExploding(), PathEnd(law, 8), task, y.expand(n, 2), grid)
    return x[:, 1]


def test_where_coordinates_are_independent_editing_is_exact():
    law = Mixture(torch.ones(1), torch.tensor([[0.2, -0.3]]), torch.tensor([0.5]))
    x = edited_second(law, 0.9, 8)
    assert float(x.mean()) == pytest.approx(-0.3, abs=0.05)
    assert float(x.std()) == pytest.approx(0.5, abs=0.03)


def test_elsewhere_editing_is_not_exact_and_comes_nearer_with_more_calls():
    means = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    law = Mixture(torch.tensor([0.5, 0.5]), means, torch.tensor([0.5, 0.5]))
    exact = conditional_line(law, 0, 0.3).sample(1500, DRAWN.manual_seed(0))[:, 0].double()
    few, many = (w1(edited_second(law, 0.3, calls), exact) for calls in (4, 40))
    assert few > 0.6 and 0.15 < many < 0.7 * few


def test_the_law_along_a_line_is_the_density_ratio():
    law = Ring(5, 1.0, 0.3).oracle
    grid = torch.linspace(-3, 3, 2001).double()
    here = torch.stack([torch.full_like(grid, 0.4), grid], 1)
    zero = torch.zeros(len(grid)).double()
    joint = law.log_density(here, zero).exp()
    along = conditional_line(law, 0, 0.4).log_density(grid[:, None], zero).exp()
    assert torch.allclose(joint / torch.trapezoid(joint, grid), along, atol=1e-8)


FAULTS = {
    "holds other numbers than 0 and 1": lambda: Edit(PixelBasis(), torch.tensor([0.3, 1.0])),
    "does not fit a sample of shape": lambda: inpainting(torch.ones(7)).project(
        draw(2, 8), draw(2, 8)
    ),
    "colouring takes images": lambda: colouring().project(draw(2, 1, 8, 8), draw(2, 1, 8, 8)),
    "no images (b, c, h, w) of whole 3 × 3 blocks": lambda: BlockBasis(3)(draw(2, 1, 8, 8)),
    "strictly descending": lambda: list(
        edit(VarianceExploding(), crooked, inpainting(torch.ones(2)), draw(2, 2), LEVELS.flip(0))
    ),
    "no one way between": lambda: slerp(draw(2), -draw(2), 0.5),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_what_does_not_fit_is_said_in_one_sentence(sentence):
    with pytest.raises(ValueError, match=r".+") as caught:
        FAULTS[sentence]()
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_only_the_plane_has_one_other_coordinate():
    with pytest.raises(ValueError, match="in the plane"):
        conditional_line(Mixture(torch.ones(1), torch.zeros(1, 3), torch.ones(1)), 0, 0.0)
