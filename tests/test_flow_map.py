"""Flow maps: the exact map of a Gaussian, its conditions, and the losses that ask for them."""

import json
from dataclasses import replace
from math import exp, inf, isfinite, sqrt

import pytest
import torch
from torch import Tensor, nn

from cmlab.cli.main import main
from cmlab.data.toy import Ring
from cmlab.methods.alpha_flow import AlphaFlow, SigmoidDecay
from cmlab.methods.ctm import CTM, SolverLegs
from cmlab.methods.dmd import DMD, RCM
from cmlab.methods.drifting import field
from cmlab.methods.ect import ECT
from cmlab.methods.edm import EDMWeight
from cmlab.methods.flow_map import (
    FlowMapPairs,
    Jumps,
    UniformTime,
    jump,
    mean_velocity,
    velocity_of,
)
from cmlab.methods.imm import IMM, GroupedTimes, mmd
from cmlab.methods.meanflow import AdaptiveWeight, MeanFlow
from cmlab.methods.progressive_distillation import HalvingSteps, Snapshots
from cmlab.methods.reflow import Reflow
from cmlab.methods.scm import SCM
from cmlab.methods.self_distillation import Eulerian, Lagrangian, Progressive, SelfDistillation
from cmlab.methods.shortcut import DyadicSteps, Shortcut
from cmlab.methods.tcm import BoundaryWeight, Truncated, TruncatedPairs
from cmlab.model import (
    Denoiser,
    EDMPrecond,
    TrigPrecond,
    UnitVariance,
    VelocityPrecond,
    conditioned,
)
from cmlab.nets import MLP, Positional, TwoTimes
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import expand
from cmlab.presets import PRESETS
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding
from cmlab.schedules import Constant
from cmlab.teacher import BatchTeacher, EMATarget, OracleTeacher, SampleTeacher, StopGrad
from cmlab.train.recipe import change
from cmlab.train.runs import fit
from cmlab.train.trainer import Objective

MEAN, STD = 0.5, 0.3  # the data, N(0.5, 0.3²)


@pytest.fixture(autouse=True)
def exactly():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def moments(t):
    return (1 - t) * MEAN, (1 - t) ** 2 * STD**2 + t**2


def exact_jump(x_t, t, s):
    (m_t, v_t), (m_s, v_s) = moments(t), moments(s)
    return expand(m_s, x_t) + (x_t - expand(m_t, x_t)) * expand((v_s / v_t).sqrt(), x_t)


def exact_velocity(x_t, t):
    m, v = moments(t)
    return -MEAN + (x_t - expand(m, x_t)) * expand((t - (1 - t) * STD**2) / v, x_t)


class Exact(nn.Module):
    """The exact mean velocity, told t and t - s, and what is added to it."""

    two_times = True

    def __init__(self, added=lambda x, t, s: 0.0):
        super().__init__()
        self.added = added

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        t, s = c_noise[:, 0], c_noise[:, 0] - c_noise[:, 1]
        gap = expand(t - s, x)
        mean = (x - exact_jump(x, t, s)) / torch.where(gap == 0, 1.0, gap)
        u = torch.where(gap == 0, exact_velocity(x, t), mean)
        return u + self.added(x, t, s)


class OnePoint(nn.Module):
    """The velocity for data at 1/2 alone."""

    two_times = True

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        return (x - 0.5) / expand(c_noise[:, 0], x)


def exact(added=lambda x, t, s: 0.0):
    return Denoiser(Exact(added), VelocityPrecond())


def at(value):
    return torch.tensor([value], dtype=torch.float64)


X = at(1.2)[:, None]
T, M, S, ZERO = at(0.8), at(0.5), at(0.3), at(0.0)


def near(found, value):
    return abs(float(found) - value) < 1e-9


def test_the_exact_flow_map_has_the_values_of_the_vectors():
    for s, value in ((S, 0.852110214490), (M, 0.965760818143), (ZERO, 0.911344715329)):
        assert near(jump(exact(), X, T, s), value)
    assert near(mean_velocity(exact(), X, T, S), 0.695779571020)
    assert near(mean_velocity(exact(), X, T, ZERO), 0.360819105839)
    assert near(mean_velocity(exact(), X, T, T), 0.836544437539)
    assert near(mean_velocity(exact(), X, T, at(0.8 - 1e-6)), 0.836544318015)


def test_the_moments_and_the_derivatives_are_those_of_the_vectors():
    m, v = moments(T)
    assert near(m, 0.1) and near(v, 0.6436)
    assert near(tangent(torch.ones_like(X), 0.0, 0.0), 1.087072337291)  # ∂u/∂x

    def start(x, t):
        return jump(exact(), x, t, S)

    dX = torch.func.jvp(lambda x: start(x, T), (X,), (torch.ones_like(X),))[1]
    assert near(dX, 0.456463831355) and near(dX, 1 - 0.5 * 1.087072337291)
    along = torch.func.jvp(start, (X, T), (exact_velocity(X, T), torch.ones_like(T)))[1]
    assert near(along, 0.0)  # Eulerian: along its path X stays


def test_two_jumps_are_one_and_a_jump_can_be_undone():
    half = jump(exact(), X, T, M)
    assert near(jump(exact(), half, M, S), 0.852110214490)
    assert near(jump(exact(), jump(exact(), X, T, S), S, T), 1.2)


def test_the_mean_velocity_of_a_jump_is_the_mean_of_its_parts():
    first = mean_velocity(exact(), X, T, M)
    second = mean_velocity(exact(), X - 0.3 * first, M, S)
    assert near((0.3 * first + 0.2 * second) / 0.5, 0.695779571020)
    assert near(Progressive()(exact(), X, T, S), 0.0)


def test_the_data_of_one_point_have_one_velocity_whatever_the_end_time():
    """All paths are straight: u = v = (x_t - 1/2) / t."""
    point = Denoiser(OnePoint(), VelocityPrecond())
    for s in (T, M, S, ZERO):
        assert near(mean_velocity(point, X, T, s), 0.875)
    assert near(jump(point, X, T, S), 0.7625)
    along = at(0.875)[:, None], torch.ones_like(T)
    du = torch.func.jvp(lambda x, t: mean_velocity(point, x, t, S), (X, T), along)[1]
    assert near(du, 0.0)  # so that each target of MeanFlow and α-Flow is this velocity


def test_without_an_end_time_a_flow_map_is_the_consistency_function():
    assert near(exact()(X, T), 0.911344715329)


def test_the_data_estimate_of_a_jump_is_the_same_in_every_process():
    """CTM's g under EDM, z - t u under rectified flow, and TrigFlow's rotation: one function."""
    g = exact()(X, T, None, S)
    assert near(g, 0.643376343184)
    rf = RectifiedFlow()
    for process in (VarianceExploding(), TrigFlow(1.0)):
        t, s = (process.time(rf.level(a)) for a in (T, S))
        (a_t, _), (a_s, _) = process(t), process(s)
        x_t = X / (1 - T) * a_t
        assert near(process.transport(x_t, g, t, s) / a_s, 0.852110214490 / 0.7)
    for s, value in ((ZERO, 0.911344715329), (T * 1, 0.530764449969)):
        assert near(exact()(X, T, None, s), value)  # the consistency function, the denoiser
    close = 4 * (1 - 1e-6)  # the noise level of s, as in the vectors
    assert near(exact()(X, T, None, at(close / (1 + close))), 0.530764465252)
    level = rf.level(T)
    assert near(VarianceExploding().transport(X / 0.2, g, level, rf.level(S)), 1.217300306414)


def test_trigflow_has_the_mean_velocity_in_other_coordinates():
    c = sqrt(0.2**2 + 0.8**2)
    for s, value in ((ZERO, -0.575589193108), (T, -0.183296034832)):
        assert near(c, 0.824621125124) and near(torch.atan(at(4.0)), 1.325817663668)
        F = c * mean_velocity(exact(), X, T, s) + (1 - 1.6) * X / c
        assert near(F, value)
        g, angle = exact()(X, T, None, s), torch.atan(RectifiedFlow().level(T))
        assert near(angle.cos() * X / c - angle.sin() * F - g, 0.0)


@pytest.mark.parametrize("precond", [
    VelocityPrecond(), UnitVariance(0.5, RectifiedFlow()), EDMPrecond(), TrigPrecond(),
])  # fmt: skip
def test_a_network_told_two_times_is_a_flow_map_in_every_process(precond):
    torch.manual_seed(0)
    model = Denoiser(MLP(2, 8, 1, TwoTimes()), precond)
    x = torch.randn(3, 2)
    t = model.process.time(torch.tensor([0.1, 1.0, 9.0]))
    assert torch.allclose(jump(model, x, t, t), x)  # a jump of no length
    assert torch.equal(model(x, t), model(x, t, None, torch.zeros(3)))
    if isinstance(model.process, RectifiedFlow):
        u = mean_velocity(model, x, t, t / 2)
        assert torch.allclose(x - expand(t / 2, x) * u, jump(model, x, t, t / 2))


def test_a_network_of_one_time_refuses_an_end_time_and_the_losses_refuse_the_network():
    model = Denoiser(MLP(2, 8, 1), VelocityPrecond())
    x = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="embed=TwoTimes"):
        model(x, torch.ones(2), None, torch.zeros(2))
    for method in (MeanFlow(), SelfDistillation()):
        with pytest.raises(TypeError, match="embed=TwoTimes"):
            method.loss(model, x, 0)
        with pytest.raises(TypeError, match="rectified flow"):
            method.loss(Denoiser(MLP(2, 8, 1, TwoTimes()), EDMPrecond()), x, 0)
    with pytest.raises(ValueError, match="embed=TwoTimes"):
        Jumps()(RectifiedFlow(), model, x, 1)


# MeanFlow


def tangent(dx, dt, dr):
    """du along (dx, dt, dr), the tangents of x_t, t and r."""

    def u(x, t, r):
        return mean_velocity(exact(), x, t, r)

    return torch.func.jvp(u, (X, T, S), (dx, at(dt), at(dr)))[1]


def test_meanflows_target_is_the_mean_velocity_with_the_right_tangent_alone():
    v = exact_velocity(X, T)
    right = tangent(v, 1.0, 0.0)
    assert near(right, 0.281529733038) and near(v - 0.5 * right, 0.695779571020)
    assert near(v + 0.5 * right, 0.977309304058)  # the wrong sign
    assert near(v - 0.5 * tangent(torch.zeros_like(X), 1.0, 0.0), 1.150471729501)
    fixed_gap = tangent(v, 1.0, 1.0)
    assert near(fixed_gap, 0.898292143770)
    # With t - r held fixed it is the velocity at the end of the jump.
    assert near(v - 0.5 * fixed_gap, 0.387398365654)
    assert near(exact_velocity(jump(exact(), X, T, S), S), 0.387398365654)


def test_the_residual_of_one_pair_is_that_of_the_vectors():
    x, z = at(0.4)[:, None], at(1.4)[:, None]
    found = MeanFlow().residual(exact(), x, z, (T, S))
    assert near(found, -0.074611552297)
    assert near(mean_velocity(exact(), X, T, S) - found, 0.770391123317)  # the target
    own = MeanFlow(own_tangent=True).residual(exact(), x, z, (T, S))
    assert near(own, -0.163455562461)
    assert near(own + (z - x), 0.836544437539)  # V of improved MeanFlow is the velocity


def test_at_the_end_of_the_path_meanflow_is_continuous_time_consistency_training():
    """At r = 0 the residual is -df/dt of f = x_t - t u(x_t, t, 0)."""
    model = exact(lambda x, t, s: 0.1 * torch.sin(3 * x + expand(t, x)))
    x, z = at(0.4)[:, None], at(1.4)[:, None]
    residual = MeanFlow().residual(model, x, z, (T, ZERO))
    x_t = RectifiedFlow().perturb(x, z, T)
    df = torch.func.jvp(lambda x_t, t: model(x_t, t), (x_t, T), (z - x, torch.ones_like(T)))[1]
    assert near(residual + df, 0.0) and abs(float(df)) > 0.01


def test_there_its_gradient_is_that_of_continuous_time_training_with_the_weight_2_over_t():
    torch.manual_seed(0)
    model, t = Denoiser(MLP(2, 8, 1, TwoTimes()), VelocityPrecond()), torch.rand(5)
    x, z = torch.randn(2, 5, 2)
    x_t, zero = RectifiedFlow().perturb(x, z, t), torch.zeros_like(t)
    weights = tuple(model.parameters())
    loss = MeanFlow().residual(model, x, z, (t, zero)).square().sum()
    df = torch.func.jvp(lambda x_t, t: model(x_t, t), (x_t, t), (z - x, torch.ones_like(t)))[1]
    continuous = expand(2 / t, x) * model(x_t, t) * df.detach()
    found, wanted = (torch.autograd.grad(y.sum(), weights) for y in (loss, continuous))
    torch.testing.assert_close(found, wanted)


def test_the_adaptive_weight_is_the_error_for_p_0_and_tends_to_1_for_p_1():
    error = torch.tensor([0.0, 1e-3, 1.0, 1e6])
    assert torch.equal(AdaptiveWeight(p=0.0)(error), error)
    assert near(AdaptiveWeight()(error)[-1], 1e6 / (1e6 + 0.01))


def test_improved_meanflows_residual_is_meanflows():
    """V - v with V = u + (t - r) du/dt, at any network; they differ in the tangent alone."""
    model = exact(lambda x, t, s: 0.1 * torch.sin(3 * x + expand(t - s, x)))
    x, z = at(0.4)[:, None], at(1.4)[:, None]
    x_t = RectifiedFlow().perturb(x, z, T)

    def u(x_t, t):
        return mean_velocity(model, x_t, t, S)

    for own in (False, True):
        along = mean_velocity(model, x_t, T, T) if own else z - x
        value, du = torch.func.jvp(u, (x_t, T), (along, torch.ones_like(T)))
        residual = MeanFlow(own_tangent=own).residual(model, x, z, (T, S))
        assert near(residual - (value + 0.5 * du - (z - x)), 0.0)


@pytest.mark.parametrize("teacher", [SampleTeacher(), BatchTeacher()])
def test_the_velocity_of_a_teacher_is_a_mean_of_the_datas(teacher):
    x, z, t = MEAN + STD * torch.randn(4000, 1), torch.randn(4000, 1), torch.full((4000,), 0.5)
    x_t = RectifiedFlow().perturb(x, z, t)
    v = velocity_of(teacher(x), x, z, x_t, t)
    noise = float((v - exact_velocity(x_t, t)).square().mean().sqrt())
    of_the_data = float((z - x - exact_velocity(x_t, t)).square().mean().sqrt())
    assert noise == of_the_data if teacher == SampleTeacher() else noise < of_the_data / 10


def test_the_teacher_of_a_batch_asks_samples_of_the_same_label_alone():
    x, cond = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([0, 0, 1])
    t = torch.ones(3)  # pure noise: the mean of the class
    assert torch.allclose(BatchTeacher()(x, cond)(x, t), torch.tensor([[0.5], [0.5], [10.0]]))
    assert torch.allclose(BatchTeacher()(x)(x, t), x.mean().expand(3, 1))
    assert torch.allclose(BatchTeacher()(x)(x, torch.full((3,), 1e-6)), x)


# α-Flow and Shortcut: the semigroup condition with a first leg


PAIR = at(0.4)[:, None], at(1.4)[:, None]


@pytest.mark.parametrize(("alpha", "target"), [
    (1.0, 0.836544437539), (0.5, 0.709556807550), (0.1, 0.696088592355),
    (0.01, 0.695782331856), (0.001, 0.695779598327),
])  # fmt: skip
def test_alpha_flows_target_goes_from_the_velocity_to_the_mean_velocity(alpha, target):
    """Data and noise of which z - x is the exact velocity."""
    v = exact_velocity(X, T)
    x, z = X - 0.8 * v, X + 0.2 * v
    residual = AlphaFlow().residual(exact(), x, z, (T, S), alpha)
    assert near(0.695779571020 - alpha * residual, target)


def test_alpha_flow_ends_as_meanflow_and_is_near_it_before():
    model = exact(lambda x, t, s: 0.1 * torch.sin(3 * x + expand(t - s, x)))
    last = MeanFlow().residual(model, *PAIR, (T, S))
    assert torch.equal(AlphaFlow().residual(model, *PAIR, (T, S), 0.0), last)
    gaps = [float(AlphaFlow().residual(model, *PAIR, (T, S), a) - last) for a in (1e-3, 1e-4)]
    assert abs(gaps[0]) < 1e-3 and abs(gaps[1]) < abs(gaps[0]) / 5


def test_at_the_end_of_the_path_alpha_flow_is_discrete_consistency_training():
    model = exact(lambda x, t, s: 0.1 * torch.sin(3 * x + expand(t, x)))
    residual = AlphaFlow().residual(model, *PAIR, (T, ZERO), 0.2)
    s = at(0.64)
    rf, (x, z) = RectifiedFlow(), PAIR
    ahead, here = (model(rf.perturb(x, z, t), t) for t in (s, T))
    moved = ahead - here
    assert near(0.2 * residual - moved / 0.8, 0.0) and abs(float(moved)) > 1e-3
    u = mean_velocity(model, X, T, ZERO)
    assert near(X - 0.8 * (u - 0.2 * residual) - ahead, 0.0)  # the target's end: f of the earlier


def test_alpha_comes_down_and_is_cut_at_both_ends():
    alpha = SigmoidDecay(400, start=200)
    assert (alpha(0), alpha(200), alpha(300), alpha(400)) == (1.0, 1.0, 0.5, 0.0)
    assert near(alpha(310), 1 / (1 + exp(25 * 0.05)))


def test_two_steps_of_shortcut_are_those_of_the_vectors():
    """The vectors count from the noise: s(x, 1 - t, d) = -u(x, t, t - d)."""
    t, m, s = at(0.75), at(0.5), at(0.25)
    assert near(mean_velocity(exact(), X, t, s), 0.690608633988)
    first = mean_velocity(exact(), X, t, m)
    assert near(first, 0.821965267314) and near(X - 0.25 * first, 0.994508683172)
    assert near(mean_velocity(exact(), X - 0.25 * first, m, s), 0.559252000661)
    g = conditioned(exact(), None)
    assert near(Shortcut().two_steps(RectifiedFlow(), g, X, t, s), 0.690608633988)
    smallest = mean_velocity(exact(), X, t, at(0.75 - 1 / 128))
    assert near(smallest, 0.875384920436) and near(exact_velocity(X, t), 0.876567656766)


def test_shortcuts_steps_lie_on_their_grids_and_a_small_batch_has_long_ones_too():
    for n, longer in ((800, 100), (8, 1)):
        t, s = DyadicSteps()(RectifiedFlow(), torch.zeros(n, 1), 0)
        d = t - s
        assert int((d > 1 / 128).sum()) == longer and bool((s >= 0).all() and (t <= 1).all())
        assert torch.equal(t / d, (t / d).round())
    t, s = DyadicSteps()(RectifiedFlow(), torch.zeros(800, 1), 0)
    assert set((t - s).tolist()) == {2.0**-k for k in range(8)}


def test_shortcut_asks_longer_steps_to_be_two_steps_and_the_smallest_to_be_the_velocity():
    method = Shortcut(DyadicSteps(longer=1.0), target=StopGrad(), clip=inf)
    x = MEAN + STD * torch.randn(256, 1)
    assert float(method.loss(exact(), x, 0).max()) < 1e-18
    other = exact(lambda x, t, s: 0.1 * expand(t - s, x) * torch.sin(5 * x))
    assert float(method.loss(other, x, 0).mean()) > 1e-5
    assert float(Shortcut(target=StopGrad(), clip=0.01).loss(exact(), x, 0)[:32].max()) > 1e-3


# Consistency trajectory models


def trained_ctm(process_of, **parts):
    method = CTM(pairs=SolverLegs(KarrasGrid(0.01, 20.0), 40), share=0.0, **parts)
    method.target.attach(process_of)
    return method


def test_the_exact_map_has_no_ctm_loss_but_the_solvers_and_another_map_has():
    """The solver follows the averaged network's own denoiser, on 40 levels."""
    x = MEAN + STD * torch.randn(512, 1)
    other = exact(lambda x, t, s: 0.3 * expand(t - s, x) * torch.sin(5 * x))
    found = [float(trained_ctm(m).loss(m, x, 0).mean()) for m in (exact(), other)]
    assert found[0] < 1e-4 < found[1] / 10


@pytest.mark.parametrize("precond", [VelocityPrecond(), EDMPrecond(), TrigPrecond()])
def test_ctm_is_written_for_every_process_and_trains_the_current_network_alone(precond):
    model = Denoiser(MLP(2, 8, 1, TwoTimes()), precond)
    method = trained_ctm(model)
    x = torch.randn(6, 2)
    method.loss(model, x, 0).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad is None for p in method.target.attached().parameters())


def test_ctms_denoising_term_asks_for_the_denoiser():
    method = CTM()
    x = MEAN + STD * torch.randn(64, 1)
    model = exact()
    torch.manual_seed(0)
    found = method.denoising(model, x, 0, None)
    torch.manual_seed(0)
    t, _ = method.levels(model.process, x, 0)
    x_t = model.process.perturb(x, torch.randn_like(x), t)
    D = x_t - expand(t, x) * exact_velocity(x_t, t)
    assert torch.allclose(found, EDMWeight()(t / (1 - t), t) * (D - x).square().sum(1))


def test_a_solvers_leg_ends_between_its_start_and_the_end_of_the_jump():
    legs = SolverLegs(KarrasGrid(), 18)
    grid, counts = legs.grid.up(18), []
    for _ in range(200):
        path, s = legs.leg(VarianceExploding(), torch.zeros(50, 1))
        assert bool((path.diff(dim=0) < 0).all() and (s <= path[-1]).all())
        assert bool(torch.isclose(path[..., None], grid).any(2).all())
        counts.append(len(path) - 1)
    assert set(counts) <= set(range(1, 18)) and 10 < sum(counts) / 200 < 13  # in proportion to n
    x = torch.zeros(50, 1)
    torch.manual_seed(3)
    path, s = legs.leg(VarianceExploding(), x)
    torch.manual_seed(3)
    t, again = legs(VarianceExploding(), x, 0)
    assert torch.equal(t, path[0]) and torch.equal(s, again)


# Drifting


def test_the_drifting_field_is_that_of_the_vectors_and_vanishes_between_equal_samples():
    V = field(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.5], [-1.0]]), 0.5)
    assert near(V[0], -0.463083161396) and near(V[1], 0.422517525088)
    moved = field(torch.tensor([[9.0], [10.0]]), torch.tensor([[9.5], [10.5], [8.0]]), 0.5)
    assert near((moved - V).abs().max(), 0.0)  # its coefficients sum to 0
    y = torch.randn(4000, 2)
    far = field(y + 1, torch.randn(4000, 2), 0.5)
    assert (
        float(field(y, torch.randn(4000, 2), 0.5).mean(0).norm()) < float(far.mean(0).norm()) / 9
    )
    assert bool((far.mean(0) < 0).all())  # towards the data


# Baselines, and a truncated consistency model


class ExactTeacher:
    def __call__(self, x, cond=None):
        return lambda x_t, t: x_t - expand(t, x_t) * exact_velocity(x_t, t)


def test_reflow_learns_the_velocity_of_straight_lines_from_noise_to_its_teachers_sample():
    """From one point of noise all that arrives is one point: with it, u = z - x̂ has no loss."""
    method = Reflow(ExactTeacher(), steps=200)
    last = at(1e4 / (1 + 1e4))

    class Straight(nn.Module):
        two_times = True

        def forward(self, x_t, c, cond=None):  # x̂ is linear in z: x̂ = a + b z
            t = c[:, :1]
            a = exact_jump(at(0.0)[:, None], last, ZERO)
            b = exact_jump(last[:, None], last, ZERO) - a
            z = (x_t - (1 - t) * a) / ((1 - t) * b + t)
            return z - a - b * z

    model, x = Denoiser(Straight(), VelocityPrecond()), torch.zeros(64, 1)
    assert float(method.loss(model, x, 0).max()) < 1e-4
    assert float(method.loss(exact(), x, 0).mean()) > 1e-3  # its own paths are not straight


def test_progressive_distillation_doubles_its_step_and_keeps_the_last_stages_network():
    pairs, decay = HalvingSteps(every=10, halvings=3), Snapshots(10)
    for step, d in ((0, 1 / 8), (9, 1 / 8), (10, 1 / 4), (30, 1.0), (99, 1.0)):
        t, s = pairs(RectifiedFlow(), torch.zeros(50, 1), step)
        assert torch.equal(t - s, torch.full_like(t, d)) and bool((s >= 0).all())
    assert [k for k in range(30) if decay(k) == 0] == [9, 19, 29]
    method = Shortcut(pairs, EMATarget(decay), clip=inf)
    method.target.attach(exact())
    x = MEAN + STD * torch.randn(64, 1)
    assert float(method.loss(exact(), x, 20).max()) < 1e-18  # two exact steps are one
    assert float(method.loss(exact(), x, 0).mean()) > 1e-2  # flow matching has noise


def test_dmd_has_no_gradient_where_both_denoisers_agree_and_trains_the_fake_one():
    model = Denoiser(MLP(1, 8, 1, TwoTimes()), VelocityPrecond())
    method = DMD(ExactTeacher())
    method.fake.network = exact()
    x = torch.randn(64, 1)
    method.loss(model, x, 0).sum().backward()
    assert max(float(p.grad.abs().max()) for p in model.parameters()) < 1e-12
    method.fake.attach(model)
    model.zero_grad()
    method.loss(model, x, 0).sum().backward()
    assert min(float(p.grad.abs().max()) for p in model.parameters()) > 1e-6
    assert all(p.grad is not None for p in method.fake.network.parameters())


def test_dmds_gradient_moves_samples_to_the_data():
    """A generator of one point beyond the data, whose denoiser is that point."""
    model, method = Denoiser(Shift(), VelocityPrecond()), DMD(ExactTeacher())
    method.fake = lambda y_t, t, cond: torch.full_like(y_t, 3.0)  # type: ignore[assignment]
    method.loss(model, torch.zeros(256, 1), 0).mean().backward()
    assert float(model.net.point.grad) > 0  # descent takes 3 towards 0.5


class Shift(nn.Module):
    """A generator: whatever the noise, the answer is one point."""

    def __init__(self):
        super().__init__()
        self.point = nn.Parameter(torch.tensor(3.0))

    def forward(self, x, t, cond=None):
        return (x - self.point) / expand(t, x)


def test_rcm_is_scms_loss_and_dmds_and_the_trainer_finds_what_is_in_both():
    torch.manual_seed(0)
    model = Denoiser(MLP(2, 8, 1, Positional(4)), TrigPrecond())
    teacher = OracleTeacher(Ring(), TrigFlow(0.5))
    method = RCM(SCM(teacher), DMD(teacher), share=0.5)
    objective = Objective(model, method)
    assert set(objective.extra_networks()) == {"weight", "fake"}
    x = Ring().sample(16)[0].double()
    torch.manual_seed(1)
    found = objective(x, 0)
    torch.manual_seed(1)
    both = method.scm.loss(model, x, 0), method.dmd.loss(model, x, 0)
    assert torch.allclose(found, both[0] + 0.5 * both[1]) and method.pairs == method.scm.pairs


def test_a_truncated_model_learns_from_the_first_below_the_cut_and_from_itself_above():
    first, model = (Denoiser(MLP(2, 8, 1), EDMPrecond()) for _ in range(2))
    target = Truncated()
    target.attach(first)
    x, r = torch.randn(2, 2), torch.tensor([0.5, 1.5])
    found = target(model)(x, r)
    assert torch.equal(found[0], first(x, r)[0]) and torch.equal(found[1], model(x, r)[1])
    assert not found.requires_grad
    t, r = TruncatedPairs()(VarianceExploding(), torch.zeros(400, 2), 0)
    assert int((t == 1).sum()) == 100 and float(t.min()) == 1.0 and bool((r[:100] < 1).all())
    weight = BoundaryWeight()(t, r) * (t - r)
    assert torch.allclose(weight, torch.where(t == 1, 0.1, 1.0))


def test_without_its_boundary_a_truncated_model_may_be_constant():
    class Constantly(nn.Module):
        def forward(self, x, c_noise, cond=None):
            t = (4 * c_noise).exp()
            skip, out, into, _ = EDMPrecond()(t)
            return (0.3 - expand(skip / into, x) * x) / expand(out, x)

    model, x = Denoiser(Constantly(), EDMPrecond()), torch.randn(400, 2)
    pairs = TruncatedPairs(boundary=0.25)
    method = ECT(pairs=pairs, target=Truncated(), weight=BoundaryWeight())
    method.target.attach(Denoiser(MLP(2, 8, 1), EDMPrecond()))
    torch.manual_seed(0)
    found = method.loss(model, x, 200_000)
    torch.manual_seed(0)
    t, r = pairs(model.process, x, 200_000)
    assert float(found[(t > 1) & (r >= 1)].max()) < 1e-6
    assert float(found[t == 1].min()) > 1e-4


# Self-distillation


@pytest.mark.parametrize(
    "condition", [Lagrangian(), Lagrangian(ExactTeacher()), Eulerian(), Progressive()]
)
def test_the_exact_flow_map_meets_each_condition_and_another_map_does_not(condition):
    x, t, s = torch.randn(64, 1), torch.rand(64) * 0.5 + 0.4, torch.rand(64) * 0.3
    assert float(condition(exact(), x, t, s).abs().max()) < 1e-9
    other = exact(lambda x, t, s: 0.1 * expand(t - s, x) * torch.sin(5 * x))
    assert float(condition(other, x, t, s).abs().mean()) > 1e-3


@pytest.mark.parametrize(
    "condition", [Lagrangian(), Lagrangian(ExactTeacher()), Eulerian(), Progressive()]
)
def test_a_gradient_passes_through_each_condition(condition):
    model = Denoiser(MLP(1, 8, 1, TwoTimes()), VelocityPrecond())
    x, t, s = torch.randn(8, 1), torch.rand(8) * 0.5 + 0.4, torch.rand(8) * 0.3
    condition(model, x, t, s).square().sum().backward()
    assert min(float(p.grad.abs().max()) for p in model.parameters()) > 0


def test_the_lagrangian_value_is_that_of_the_vectors():
    d = torch.func.jvp(lambda s: jump(exact(), X, T, s), (S,), (torch.ones(1),))[1]
    assert near(d, 0.387398365654)


@pytest.mark.parametrize("method", [
    MeanFlow(weight=AdaptiveWeight(p=0.0)), SelfDistillation(),
    AlphaFlow(Constant(0.3), weight=AdaptiveWeight(p=0.0)),
    SelfDistillation(condition=Eulerian()), SelfDistillation(condition=Progressive()),
])  # fmt: skip
def test_on_the_diagonal_the_loss_is_flow_matching(method):
    method.pairs = FlowMapPairs(diagonal=1.0)
    torch.manual_seed(0)
    model, x = Denoiser(MLP(2, 8, 1, TwoTimes()), VelocityPrecond()), torch.randn(5, 2)
    torch.manual_seed(1)
    found = method.loss(model, x, 0)
    torch.manual_seed(1)
    t, _ = method.pairs(model.process, x, 0)
    z = torch.randn_like(x)
    v = mean_velocity(model, model.process.perturb(x, z, t), t, t)
    assert torch.allclose(found, (v - (z - x)).square().sum(1))


def test_pairs_have_the_share_on_the_diagonal_and_the_law_that_is_asked_for():
    x, process = torch.zeros(20_000, 1), RectifiedFlow()
    torch.manual_seed(0)
    t, s = FlowMapPairs(diagonal=0.75)(process, x, 0)
    same = t == s
    assert int(same.sum()) == 15_000 and bool((t >= s).all())
    assert abs(float(t[same].mean()) - 1 / 2) < 0.02 and abs(float(t[~same].mean()) - 2 / 3) < 0.02
    t, s = FlowMapPairs(diagonal=0.75, of_the_later=True)(process, x, 0)
    assert abs(float(t[same].mean()) - 2 / 3) < 0.02


def test_stratified_times_are_uniform_with_one_in_each_interval_of_a_batch():
    x, process = torch.zeros(64, 1), RectifiedFlow()
    t = process.time(UniformTime(stratified=True).sample(x))
    assert sorted((64 * t).floor().int().tolist()) == list(range(64))
    assert t.diff().sign().unique().numel() == 2  # in random order
    t = process.time(UniformTime().sample(x))
    assert sorted((64 * t).floor().int().tolist()) != list(range(64))


def test_the_exact_map_is_sampled_in_any_number_of_jumps():
    z = torch.randn(100, 1)
    for calls in (1, 2, 5):
        x = Jumps()(RectifiedFlow(), exact(), z, calls)
        start = at(1e4 / (1 + 1e4))
        assert torch.allclose(x, exact_jump(start * z, start.repeat(100), torch.zeros(100)))


# Inductive moment matching


def test_the_two_parametrisations_of_imm_are_those_of_the_vectors():
    """The vectors' noise has the standard deviation σ_d = 0.5: TrigFlow's scale, F = 0.7."""
    F, t, s = 0.7, at(0.8), at(0.3)
    c_t, c_s = (float(((1 - a) ** 2 + a**2).sqrt()) for a in (t, s))
    trig, angle, end = TrigFlow(0.5), torch.atan(t / (1 - t)), torch.atan(s / (1 - s))
    D = angle.cos() * X / c_t - angle.sin() * 0.5 * F
    assert near(c_s * trig.transport(X / c_t, D, angle, end), 0.458369563387)
    g = X - t * 0.5 * F
    assert near(RectifiedFlow().transport(X, g, t, s), 1.025)


def test_the_discrepancy_is_that_of_the_vectors():
    a = torch.tensor([[[0.1, 0.2], [-0.3, 0.4]]])
    b = torch.tensor([[[0.0, 0.5], [0.2, -0.1]]])
    assert near(mmd(a, b, torch.tensor([0.5])), 0.245471997285)
    assert near(mmd(a, a, torch.tensor([0.5])), 0.0)


@pytest.mark.parametrize(("halvings", "value"), [(12, 0.798369027637), (15, 0.799797572874)])
def test_the_earlier_time_is_that_of_the_vectors(halvings, value):
    assert near(IMM(halvings=halvings).earlier(T, S), value)
    level = RectifiedFlow().level
    step = float(level(T) - level(IMM(halvings=halvings).earlier(T, S)))
    assert near(step, (0.994 / 0.006 - 0.006 / 0.994) / 2**halvings)
    assert halvings != 12 or round(step, 6) == 0.040444
    assert near(IMM(halvings=halvings).earlier(T, T - 1e-9), 0.8 - 1e-9)  # never before the end
    assert near(level(IMM(ratio=0.9).earlier(T, S)), 0.9 * float(level(T)))
    assert near(IMM(ratio=0.0).earlier(T, S), float(S))


def test_the_mirror_image_of_a_gaussians_map_has_no_discrepancy_either():
    """Nothing in the loss names the ODE: samples turned about the mean are the same set."""
    y = MEAN + torch.randn(3, 1, 1) * torch.tensor([[1.0], [-1.0]])
    assert float(mmd(y, 2 * MEAN - y, torch.ones(3)).abs().max()) < 1e-12


def test_groups_share_their_times_and_other_batches_are_refused():
    t, s = IMM().pairs(RectifiedFlow(), torch.zeros(12, 1), 0)
    assert torch.equal(t, t[::4].repeat_interleave(4)) and len(t.unique()) == 3
    assert bool((t > s).all()) and 0.006 <= float(s.min()) < float(t.max()) <= 0.994
    t, _ = GroupedTimes(stratified=True)(RectifiedFlow(), torch.zeros(256, 1), 0)
    share = (t[::4] - 0.006) / 0.988
    assert sorted((64 * share).floor().int().tolist()) == list(range(64))
    with pytest.raises(ValueError, match="multiple"):
        IMM().pairs(RectifiedFlow(), torch.zeros(10, 1), 0)


def test_the_exact_map_brings_two_times_to_one_distribution_and_another_does_not():
    method = IMM(pairs=GroupedTimes(group=2048), halvings=1)  # r far from t
    found = []
    for added in (lambda x, t, s: 0.0, lambda x, t, s: 0.5 * expand(t, x)):
        torch.manual_seed(0)
        x = MEAN + STD * torch.randn(2048, 1)
        found.append(float(method.loss(exact(added), x, 0).mean()))
    assert found[0] < found[1] / 20


def test_a_teachers_step_to_the_earlier_time_is_free_of_the_samples_noise():
    """One particle a group, the exact map: x_t and x_r end at one point, but for the step."""
    x, found = MEAN + STD * torch.randn(512, 1), []
    for teacher in (SampleTeacher(), ExactTeacher()):
        torch.manual_seed(0)
        method = IMM(GroupedTimes(group=1, low=0.1, high=0.9), halvings=8, teacher=teacher)
        found.append(float(method.loss(exact(), x, 0).mean()))
    assert found[1] < found[0] / 10
    torch.manual_seed(0)
    t, s = method.pairs(RectifiedFlow(), x, 0)
    z, r = torch.randn_like(x), method.earlier(t, s)
    ends = [exact_jump(RectifiedFlow().perturb(x, z, a), a, s) for a in (t, r)]
    apart = (1 - (-(ends[0] - ends[1]).abs()[:, 0] / (t - s)).exp()) * 2 * method.weight(t)
    assert near(apart.mean(), found[0])  # x_r of the same data and noise


# From the command line


NAMES = ["meanflow", "lsd", "esd", "psd", "imm", "shortcut", "ctm", "alpha-flow", "drifting"]
NAMES += ["lmd", "reflow", "progressive"]


@pytest.mark.parametrize("name", [f"toy.{name}" for name in NAMES])
def test_a_preset_trains_scores_and_draws_from_the_command_line(name, tmp_path, capsys):
    torch.set_default_dtype(torch.float32)
    small = ["steps=4", "train.batch=8", "net.width=8", "evaluator.points=50"]
    assert main(["train", name, "--set", *small, "--out", str(tmp_path / "run")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"rmse1", "rmse_jump", "rmse_velocity", "sw1", "sw2", "sw4"} <= set(said)
    picture = str(tmp_path / "drawn.png")
    assert main(["sample", str(tmp_path / "run"), "--n", "4", "--out", picture]) == 0


@pytest.mark.parametrize("name", ["toy.dmd", "toy.tcm"])
def test_a_preset_with_a_start_trains_and_is_scored(name):
    torch.set_default_dtype(torch.float32)
    recipe = PRESETS[name](steps=8)
    scores = recipe.evaluator(fit(recipe).ema.model, recipe.data, recipe.sampler)
    assert all(isfinite(value) for value in scores.values())


@pytest.mark.parametrize("name", ["digits.meanflow", "digits.lsd"])
def test_a_flow_map_of_digits_begins_with_flow_matching_and_has_the_samples_of_ect(name):
    """Its first batches have no jump, and the network none that is empty."""
    torch.set_default_dtype(torch.float32)
    recipe = PRESETS[name]()
    assert recipe.samples == PRESETS["digits.ect"]().samples and recipe.net == recipe.start.net
    for part in (recipe.start, recipe):
        part = change(change(part, "net.width", 8), "train.batch", 4)
        assert part.trainer().backward(0).isfinite().all()


def test_a_flow_map_learns_the_exact_jumps_of_the_ring():
    """In an eighth of a preset's steps one jump is far better than a step along the velocity.

    With fewer jumps and a lower rate than the preset, for so short a run.
    """
    torch.set_default_dtype(torch.float32)
    recipe = change(PRESETS["toy.lsd"](steps=500), "train.optimizer.lr", 1e-3)
    recipe = replace(recipe, method=SelfDistillation())
    model = recipe.trainer().fit().ema.model
    scores = recipe.evaluator(model, recipe.data, recipe.sampler)
    assert scores["rmse1"] < 0.4  # one step along the exact velocity: 1.01
    assert scores["rmse_jump"] < 0.15 and scores["sw1"] < 0.25  # 0.72
