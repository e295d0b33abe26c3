"""What ties the methods together: equal losses and gradients, limits, shared dropout, shapes."""

import ast
import inspect
from dataclasses import dataclass, replace
from textwrap import dedent

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from cmlab.losses import SquaredL2, Uniform
from cmlab.methods import CD, CT, ECT, EDM, ICT
from cmlab.methods.ect import ECTMapping
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, TrigPrecond
from cmlab.nets import MLP, UNet
from cmlab.noise_levels import AdjacentLevels, At, KarrasGrid, UniformIndex
from cmlab.ops import expand, rewind_rng, sum_squares
from cmlab.process import VarianceExploding as Sigma
from cmlab.sampling import ddim, heun
from cmlab.schedules import Constant
from cmlab.teacher import EMATarget, SampleTeacher, StopGrad

GRID_18 = AdjacentLevels(Constant(18), UniformIndex(KarrasGrid()))


def loud(model):
    """Every weight drawn afresh: a layer that starts at 0 hides whatever stands before it."""
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model.double()


def model_of(precond, dim=2):
    return loud(Denoiser(MLP(dim, width=16), precond))


def gradient(loss, model):
    grads = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    return torch.cat([g.flatten() for g in grads])


def code(method):
    """The syntax tree of a loss, comments and names of the class aside."""
    return ast.dump(ast.parse(dedent(inspect.getsource(method.loss))))


def points(b=8, d=2):
    return torch.randn(b, d, dtype=torch.float64)


def test_ct_ict_and_ect_are_one_loss_line_by_line():
    assert CT.loss is ICT.loss is ECT.loss
    assert code(CD) != code(ICT) != code(EDM)


@pytest.mark.parametrize("solver", [ddim, heun])
@pytest.mark.parametrize("precond", [CMPrecond(), TrigPrecond()], ids=["edm", "trigflow"])
def test_distillation_from_one_sample_is_training(solver, precond):
    model, x = model_of(precond), points()
    pairs = replace(GRID_18, grid=KarrasGrid(0.02, 20))
    target = EMATarget(Constant(0.9))
    target.attach(model_of(precond))
    train = CT(pairs=pairs, target=target)
    distil = CD(SampleTeacher(), solver, pairs, target=target)
    torch.manual_seed(7)
    by_training = train.loss(model, x, 3)
    torch.manual_seed(7)
    by_distillation = distil.loss(model, x, 3)
    torch.testing.assert_close(by_training, by_distillation, rtol=1e-9, atol=1e-12)
    assert by_training.min() > 0


class Toward(nn.Module):
    """f_θ(x, σ) = (σ_m/σ) x + (1 - σ_m/σ) θ: exact for data at the single point θ."""

    process = Sigma()

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(float(theta), dtype=torch.float64))

    def forward(self, x_t, t, cond=None):
        share = expand(0.002 / t, x_t)
        return share * x_t + (1 - share) * self.theta


@dataclass(frozen=True)
class Each:
    """Every interval of a grid once, in order."""

    points: int

    def __call__(self, process, x, step):
        levels = KarrasGrid().up(self.points)
        return levels[1:], levels[:-1]


@pytest.mark.parametrize(
    "points, A, B",
    [(11, 1.763353099, 0.1784585986), (18, 1.819037158, 0.09260993548),
     (1281, 1.855312751, 7.882767392e-4)],
)  # fmt: skip
@pytest.mark.parametrize("lag", [0.0, 0.3])
def test_a_lagging_target_pulls_towards_itself_and_the_data_only_by_a_share_that_vanishes(
    points, A, B, lag
):
    theta, xi = 2.0, -1.0
    model, target = Toward(theta), EMATarget()
    target.attach(Toward(theta - lag))
    method = CT(pairs=Each(points), target=target)
    x = torch.full((points - 1, 1), xi, dtype=torch.float64)
    method.loss(model, x, 0).mean().backward()
    assert model.theta.grad.item() == pytest.approx(A * lag + B * (theta - xi), rel=1e-8)


def test_with_the_target_at_theta_the_gradient_vanishes_exactly_at_the_data():
    for theta, zero in ((-1.0, True), (-0.9, False)):
        model = Toward(theta)
        x = torch.full((17, 1), -1.0, dtype=torch.float64)
        CT(pairs=Each(18), target=StopGrad()).loss(model, x, 0).mean().backward()
        assert (abs(model.theta.grad.item()) < 1e-12) == zero


def test_at_r_zero_ect_pulls_along_the_gradient_of_denoising():
    model, x, t = model_of(EDMPrecond()), points(1), torch.tensor([1.0], dtype=torch.float64)
    z = torch.randn_like(x)

    def loss_of(method):
        torch.manual_seed(5)
        return method.loss(model, x, 0)

    tuning = gradient(loss_of(ECT(pairs=At(1.0, 0.0))), model)
    denoising = gradient(loss_of(EDM(pairs=At(1.0))), model)
    torch.manual_seed(5)
    z = torch.randn_like(x)
    s = sum_squares(model(x + expand(t, x) * z, t) - x).item()
    ratio = 1 / (2 * 1.0 * s**0.5) / 5  # ∇(√s/t) against ∇(λ s), λ(1) = 5
    torch.testing.assert_close(tuning, ratio * denoising, rtol=1e-6, atol=1e-12)
    assert tuning.norm() > 1e-3


def test_at_r_zero_every_consistency_loss_is_denoising():
    model, x = model_of(EDMPrecond()), points()
    for consistency in (ICT, ECT, CT):
        method = consistency(
            pairs=At(0.7), metric=SquaredL2(), weight=Uniform(), target=StopGrad()
        )
        torch.manual_seed(2)
        ours = method.loss(model, x, 0)
        torch.manual_seed(2)
        theirs = EDM(pairs=At(0.7), weight=Uniform()).loss(model, x, 0)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_the_discrete_gradient_goes_to_the_continuous_one_at_first_order():
    """∇ (1/Δt) ½‖f_t - sg f_r‖² -> ∇ ⟨f_t, sg df/dt⟩ as Δt -> 0 (Song et al. 2023, Theorem 6)."""
    model, x, level = model_of(CMPrecond()), points(), 0.7
    torch.manual_seed(9)
    z = torch.randn_like(x)
    t = torch.full((8,), level, dtype=torch.float64)
    _, slope = torch.func.jvp(
        lambda t: model(x + expand(t, x) * z, t), (t,), (torch.ones_like(t),)
    )
    continuous = gradient((model(x + level * z, t) * slope.detach()).sum(), model)
    errors = []
    for gap in (1e-2, 1e-3, 1e-4):
        method = ICT(pairs=At(level, 1 - gap), metric=SquaredL2(), weight=InverseGap())
        torch.manual_seed(9)
        discrete = gradient(method.loss(model, x, 0).sum() / 2, model)
        errors.append(((discrete - continuous).norm() / continuous.norm()).item())
    assert errors[0] < 0.2
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)


def test_both_passes_drop_the_same_units_and_the_next_batch_others():
    net = UNet(width=8, mults=(1, 2), dropout=0.5)
    model, x = loud(Denoiser(net, EDMPrecond())).train(), torch.randn(2, 1, 8, 8).double()
    t = torch.full((2,), 0.5).double()
    with rewind_rng(x.device):
        first = model(x, t)
    second, third = model(x, t), model(x, t)
    assert torch.equal(first, second)
    assert (second - third).abs().max() > 1e-2


@pytest.mark.parametrize(
    "method", [CT(), ICT(), ECT(), CD(SampleTeacher())], ids=lambda m: type(m).__name__
)
def test_a_loss_at_equal_times_is_zero_even_with_dropout(method):
    net = UNet(width=8, mults=(1, 2), dropout=0.5)
    model, x = loud(Denoiser(net, EDMPrecond())).train(), torch.randn(4, 1, 8, 8).double()
    method.target.attach(model)
    near = replace(method, pairs=At(0.5, 1 - 1e-9), weight=Uniform(), metric=SquaredL2())
    assert near.loss(model, x, 0).max() < 1e-9


METHODS = [EDM(), CD(SampleTeacher()), CT(target=StopGrad()), ICT(), ECT()]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


@each_method
def test_a_loss_is_one_number_per_sample_and_no_sample_sees_another(method):
    model, x = model_of(EDMPrecond()), points(6)
    torch.manual_seed(1)
    loss = method.loss(model, x, 0)
    assert loss.shape == (6,)
    changed = x.clone()
    changed[2:] += 1
    torch.manual_seed(1)
    again = method.loss(model, changed, 0)
    torch.testing.assert_close(again[:2], loss[:2], rtol=1e-12, atol=0)
    assert bool((again[2:] != loss[2:]).all())


@each_method
def test_a_loss_does_not_care_whether_a_sample_is_a_row_or_an_image(method):
    flat = model_of(EDMPrecond(), dim=6)

    class Picture(nn.Module):
        process = Sigma()

        def forward(self, x_t, t, cond=None):
            return flat(x_t.flatten(1), t).reshape(x_t.shape)

    x = points(5, 6)
    torch.manual_seed(1)
    rows = method.loss(flat, x, 0)
    torch.manual_seed(1)
    images = method.loss(Picture(), x.reshape(5, 1, 2, 3), 0)
    torch.testing.assert_close(images, rows, rtol=1e-12, atol=0)


class Narrow(nn.Module):
    def forward(self, x, c_noise, cond=None):
        return x[0, 0]


def test_a_wrong_shape_is_noticed_where_it_is_made():
    x, t = torch.randn(4, 2), torch.rand(4)
    for wrong in (
        lambda: Sigma().perturb(x, x, t[:, None]),
        lambda: Sigma().perturb(x, x, t[:3]),
        lambda: PseudoHuber()(x, x[:, :1]),
        lambda: PseudoHuber()(x, x[:3]),
        lambda: Denoiser(MLP(2), EDMPrecond())(x, torch.tensor(0.5)),
        lambda: Denoiser(Narrow(), EDMPrecond()).raw(x, t),
    ):
        with pytest.raises((TypeCheckError, TypeError)):
            wrong()


def test_shrink_and_neighbours_meet_where_the_gap_is_that_of_the_grid():
    """ECT's last stage steps as iCT's last grid does, to within a factor of 3 at every level."""
    levels = KarrasGrid().up(1281)
    grid = levels.diff() / levels[1:]
    ours = 1 - ECTMapping().ratio(levels[1:], 10**9)
    assert bool(((ours / grid > 1 / 3) & (ours / grid < 3)).all())
