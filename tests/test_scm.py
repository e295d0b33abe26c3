"""sCM: the tangent against its definition, the loss against the gradient that it stands for.

Numbers with ten digits are the closed forms evaluated independently in float64.
"""

from dataclasses import dataclass, replace
from math import pi

import pytest
import torch
from torch import nn

from cmlab.data.toy import Ring
from cmlab.methods import SCM
from cmlab.methods.scm import (
    JVP,
    BackwardDifference,
    CentralDifference,
    Clip,
    ConstantWeight,
    InverseTan,
    LearnedWeight,
    Unbounded,
    UnitNorm,
    UnitPrior,
    UnitRMS,
)
from cmlab.model import Denoiser, EDMPrecond, QuarterLog, TrigPrecond
from cmlab.nets import MLP, Positional
from cmlab.noise_levels import SameTime
from cmlab.ops import expand
from cmlab.process import TrigFlow
from cmlab.schedules import Constant
from cmlab.teacher import NetworkTeacher, OracleTeacher, SampleTeacher

SD = 0.5
PLAIN = SCM(warmup=Constant(1.0), bound=Unbounded(), loss_weighting=ConstantWeight())


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def model_of(net=None, sigma_data=SD):
    """A smooth random student in float64."""
    net = net or MLP(2, width=32, embed=Positional(8))
    return Denoiser(net, TrigPrecond(sigma_data)).double()


@dataclass(frozen=True)
class Each:
    """These times, and no others."""

    t: tuple[float, ...]

    def __call__(self, process, x, step):
        t = double(*self.t).repeat(len(x) // len(self.t))
        return t, t


def a_path(n=64, low=0.2, high=1.4):
    """x, z (standard deviation σ_d), t, x_t and the one-sample velocity dx_t/dt."""
    x, z = torch.randn(n, 2).double(), SD * torch.randn(n, 2).double()
    t = low + (high - low) * torch.rand(n).double()
    cos, sin = t.cos()[:, None], t.sin()[:, None]
    return x, z, t, cos * x + sin * z, cos * z - sin * x


def derivative(model, x, z, t):
    """df/dt along x_t = cos(t) x + sin(t) z, in forward mode through f itself."""

    def f(t):
        return model(t.cos()[:, None] * x + t.sin()[:, None] * z, t)

    return torch.func.jvp(f, (t,), (torch.ones_like(t),))[1]


def close(found, expected, rtol=1e-9):
    """Equal to within rtol of the largest number there is."""
    assert (found - expected).abs().max() <= rtol * expected.abs().max()


def gradient(loss, model):
    grads = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    return torch.cat([g.flatten() for g in grads])


def loss_at(method, model, x, t, step=0):
    torch.manual_seed(5)
    return replace(method, pairs=Each(tuple(t.tolist()))).loss(model, x, step)


# a, b, c: the tangent


def test_the_derivative_of_f_is_equation_6_and_what_differences_say():
    model, (x, z, t, x_t, dx_t) = model_of(), a_path()
    cos, sin, h = t.cos()[:, None], t.sin()[:, None], 1e-5
    F = model.raw(x_t, t)
    dF = torch.func.jvp(model.raw, (x_t, t), (dx_t, torch.ones_like(t)))[1]
    equation_6 = -cos * (SD * F - dx_t) - sin * (x_t + SD * dF)

    def f(t):
        return model(t.cos()[:, None] * x + t.sin()[:, None] * z, t)

    exact = derivative(model, x, z, t)
    close(exact, equation_6)
    close((f(t + h) - f(t - h)) / (2 * h), equation_6, rtol=1e-8)


def test_three_ways_to_write_the_rearranged_derivative_agree_and_two_slips_do_not():
    net, (_, _, t, x_t, dx_t) = model_of().net, a_path()
    jvp, u, cs = torch.func.jvp, x_t / SD, t.cos() * t.sin()
    scaled = cs[:, None] * dx_t
    ours = SD * JVP()(Denoiser(net, TrigPrecond(SD)).raw, x_t, t, dx_t, cs)[1]
    paper = jvp(net, (u, t), (scaled, cs * SD))[1]
    inner = SD * jvp(net, (u, t), (scaled / SD, cs))[1]
    close(ours, paper)
    close(inner, paper)
    for slip in (SD * jvp(net, (u, t), (scaled, cs))[1], SD * paper):
        assert (slip - paper).norm() / paper.norm() > 0.1


@pytest.mark.parametrize("sigma_data", [0.5, 0.25])
def test_with_the_warm_up_done_g_is_cos_t_times_the_derivative_of_f(sigma_data):
    model, (x, z, t, x_t, dx_t) = model_of(sigma_data=sigma_data), a_path()
    _, g = PLAIN.tangent(model, x_t, t, dx_t, 0)
    close(g, t.cos()[:, None] * derivative(model, x, z, t))


def test_with_weight_one_g_is_sigma_d_sin_t_times_the_derivative_of_f():
    model, (x, z, t, x_t, dx_t) = model_of(), a_path()
    _, g = replace(PLAIN, prior=UnitPrior()).tangent(model, x_t, t, dx_t, 0)
    close(g, SD * t.sin()[:, None] * derivative(model, x, z, t))


def test_the_prior_weight_is_folded_in_once():
    t = double(0.1, 0.8, 1.5)
    close(InverseTan()(t, SD), 1 / (SD * t.tan()) * SD * t.sin())
    close(UnitPrior()(t, SD), SD * t.sin())


def test_before_the_warm_up_the_loss_is_velocity_matching():
    model, (_, _, t, x_t, dx_t) = model_of(), a_path()
    F, g = replace(PLAIN, warmup=Constant(0.0)).tangent(model, x_t, t, dx_t, 0)
    close(g, -(t.cos()[:, None] ** 2) * (SD * F - dx_t))


# d: the loss


def test_the_loss_has_twice_the_gradient_of_the_continuous_consistency_loss():
    """∇ ‖F - F⁻ - g‖² = 2 ∇ w ⟨f_θ, df_θ⁻/dt⟩ with w = 1/(σ_d tan t)."""
    model, (x, _, t, _, _) = model_of(), a_path()
    ours = gradient(2 * loss_at(PLAIN, model, x, t).sum(), model)  # the loss divides by D = 2
    torch.manual_seed(5)
    z = SD * torch.randn_like(x)
    w = 1 / (SD * t.tan())
    x_t = t.cos()[:, None] * x + t.sin()[:, None] * z
    theirs = gradient(
        (w[:, None] * model(x_t, t) * derivative(model, x, z, t).detach()).sum(), model
    )
    close(ours, 2 * theirs)
    assert ours.norm() > 1e-3


def test_the_value_of_the_loss_says_only_how_long_the_tangent_is():
    model, (x, _, t, _, _) = model_of(), a_path()
    long = loss_at(PLAIN, model, x, t)
    bounded = loss_at(replace(PLAIN, bound=UnitNorm(0.1)), model, x, t)
    length = (2 * long).sqrt()
    close(bounded, (length / (length + 0.1)) ** 2 / 2)


def test_only_the_first_F_has_a_gradient():
    model, (_, _, t, x_t, dx_t) = model_of(), a_path()
    F, g = PLAIN.tangent(model, x_t, t, dx_t, 0)
    assert F.requires_grad and not g.requires_grad


# f, g, h, i: what the optimum is


def test_f_at_time_zero_is_the_identity():
    x = torch.randn(8, 2).double()
    assert torch.equal(model_of()(x, torch.zeros(8).double()), x)


def test_ddim_steps_of_a_fixed_estimate_add_like_rotations():
    process, x = TrigFlow(SD), torch.randn(4, 2).double()
    x_t, t = torch.randn(4, 2).double(), double(1.3, 1.2, 1.1, 1.0)
    middle = process.transport(x_t, x, t, t / 2)
    close(process.transport(middle, x, t / 2, t / 8), process.transport(x_t, x, t, t / 8))
    dx_t, d = process.velocity(x_t, x, t), (t - t / 8)[:, None]
    close(d.cos() * x_t - d.sin() * dx_t, process.transport(x_t, x, t, t / 8))


class Bell(nn.Module):
    """F of the exact consistency function of N(0, S²): F = (cos t - S/√v)/sin t · u."""

    def __init__(self, S):
        super().__init__()
        self.S = S

    def forward(self, u, t, cond=None):
        v = t.cos() ** 2 * self.S**2 + t.sin() ** 2 * SD**2
        return expand((t.cos() - self.S / v.sqrt()) / t.sin(), u) * u


BELLS = [  # S, t: D, F of the denoiser, f, F of the consistency function; at x_t = 1 for D and f
    (0.25, 0.8, 0.27388431, 0.58941773, 0.62698706, 0.09718973),
    (0.25, 1.1, 0.13409087, 0.35850832, 0.54370702, -0.10111104),
    (0.5, 0.3, None, 0.0, None, -0.15113522),
    (0.5, 0.8, None, 0.0, None, -0.42279322),
    (0.5, 1.1, None, 0.0, None, -0.61310521),
    (0.5, 1.5, None, 0.0, None, -0.93159646),
]


@pytest.mark.parametrize("S, t, D, F_denoiser, f, F_consistency", BELLS)
def test_for_a_gaussian_the_exact_functions_have_these_values(
    S, t, D, F_denoiser, f, F_consistency
):
    cos, sin, one = double(t).cos(), double(t).sin(), double(1.0)[:, None]
    v = cos**2 * S**2 + sin**2 * SD**2
    model = Denoiser(Bell(S), TrigPrecond(SD))
    close(Bell(S)(one, double(t))[0], double(F_consistency), rtol=1e-7)
    if S == SD:
        close(Bell(S)(one, double(t))[0], -(double(t) / 2).tan())
    if f is not None:
        close(model(one, double(t))[0], double(f), rtol=1e-7)
        close(cos * S**2 / v, double(D), rtol=1e-7)
    assert (cos * sin * (SD**2 - S**2) / v).item() == pytest.approx(F_denoiser, abs=5e-9)


@pytest.mark.parametrize("S", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(
    "slope", [JVP(), CentralDifference(1e-4), BackwardDifference(1e-6)], ids=repr
)
def test_the_exact_consistency_function_has_no_tangent_along_the_exact_path(S, slope):
    model, x_t, t = Denoiser(Bell(S), TrigPrecond(SD)), torch.randn(64, 2).double(), a_path()[2]
    cos, sin = t.cos()[:, None], t.sin()[:, None]
    D = cos * S**2 / (cos**2 * S**2 + sin**2 * SD**2) * x_t
    dx_t = TrigFlow(SD).velocity(x_t, D, t)
    _, g = replace(PLAIN, derivative=slope).tangent(model, x_t, t, dx_t, 0)
    _, wrong = replace(PLAIN, derivative=slope).tangent(model, x_t, t, dx_t + 0.1, 0)
    assert g.abs().max() < 3e-5 < 1e-2 < wrong.abs().max()


def test_from_one_sample_the_tangent_vanishes_in_the_mean_alone():
    """sCT: E[dx_t/dt | x_t] is the exact velocity; one x and z give another."""
    S, t = 0.25, torch.full((200_000,), 0.9).double()
    x, z = S * torch.randn(len(t), 1).double(), SD * torch.randn(len(t), 1).double()
    x_t = t.cos()[:, None] * x + t.sin()[:, None] * z
    dx_t = t.cos()[:, None] * z - t.sin()[:, None] * x
    _, g = PLAIN.tangent(Denoiser(Bell(S), TrigPrecond(SD)), x_t, t, dx_t, 0)
    assert g.std() > 0.1
    slope = (g * x_t).mean() / x_t.square().mean()  # the mean of g given x_t is linear in x_t
    assert slope.abs() < 4 * g.std() / x_t.std() / len(t) ** 0.5


class Point(nn.Module):
    """F for data at a single point μ: (cos t x_t - μ) / (σ_d sin t), for denoiser and f alike."""

    def __init__(self, mu):
        super().__init__()
        self.mu = mu

    def forward(self, u, t, cond=None):
        return (expand(t.cos(), u) * SD * u - self.mu) / (SD * expand(t.sin(), u))


def test_for_data_at_one_point_even_one_sample_gives_no_tangent():
    mu, (_, z, t, _, _) = double(0.3, -0.4), a_path()
    x_t, dx_t = (
        t.cos()[:, None] * mu + t.sin()[:, None] * z,
        t.cos()[:, None] * z - t.sin()[:, None] * mu,
    )
    model = Denoiser(Point(mu), TrigPrecond(SD))
    close(model(x_t, t), mu.expand(64, 2))
    _, g = PLAIN.tangent(model, x_t, t, dx_t, 0)
    assert g.abs().max() < 1e-12


# j: one vector, number by number


class Affine(nn.Module):
    """F(u, t) = A u + b t."""

    A, b = double(0.2, -0.1, 0.3, 0.4).reshape(2, 2), double(0.5, -0.3)

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2).double())

    def forward(self, u, t, cond=None):
        return u @ self.A.T + t[:, None] * self.b + self.shift


def the_vector():
    model, x, z, t = (
        Denoiser(Affine(), TrigPrecond(SD)),
        double(0.3, -0.6),
        double(-0.2, 0.5),
        double(0.8),
    )
    x_t, dx_t = t.cos() * x + t.sin() * z, t.cos() * z - t.sin() * x
    return model, x_t[None], t, dx_t[None]


def test_the_vector_has_this_path_and_these_tangents():
    model, x_t, t, dx_t = the_vector()
    close(x_t[0], double(0.06554079462, -0.05934598016))
    close(dx_t[0], double(-0.35454816914, 0.77876700921))
    close(model.raw(x_t, t)[0].detach(), double(0.43808551388, -0.24815230735))
    close(model(x_t, t)[0].detach(), double(-0.11146894451, 0.04766004203))
    one = torch.ones_like(t)
    close(JVP()(model.raw, x_t, t, dx_t, one)[1][0], double(0.20242733050, 0.11028470589))
    scaled = SD * JVP()(model.raw, x_t, t, dx_t, t.cos() * t.sin())[1][0]
    close(scaled, double(0.05058525403, 0.02755942021))
    _, g = PLAIN.tangent(model, x_t, t, dx_t, 0)
    close((g / t.cos())[0], double(-0.51924697410, 0.63203238666))


@pytest.mark.parametrize(
    "r, g",
    [
        (0.0, (-0.27842117252, 0.43824028691)),
        (0.5, (-0.32009201159, 0.43929074561)),
        (1.0, (-0.36176285066, 0.44034120431)),
    ],
)
def test_the_vector_has_these_tangents_while_warming_up(r, g):
    method = replace(PLAIN, warmup=Constant(r))
    close(method.tangent(*the_vector(), 0)[1][0], double(*g))


@pytest.mark.parametrize(
    "bound, g",
    [
        (UnitNorm(0.1), (-0.54003454211, 0.65733521340)),
        (UnitRMS(0.1), (-0.71925059114, 0.87547870359)),
        (Clip(0.4), (-0.36176285066, 0.4)),
        (Unbounded(), (-0.36176285066, 0.44034120431)),
    ],
    ids=repr,
)
def test_the_vector_is_bounded_to(bound, g):
    close(bound(PLAIN.tangent(*the_vector(), 0)[1])[0], double(*g))


def test_a_bounded_tangent_is_that_of_the_whole_sample_not_of_each_number():
    image = torch.randn(3, 1, 4, 4).double()
    assert UnitNorm(1e-12)(image).flatten(1).norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert UnitRMS(1e-12)(image).square().flatten(1).mean(1).tolist() == pytest.approx([1, 1, 1])
    assert bool((UnitNorm(0.1)(1e9 * image).flatten(1).norm(dim=1) <= 1).all())


def test_the_weight_has_its_best_value_where_it_says():
    """L(w) = e^w ℓ - w: .188464558 at w = .3, and at best 1 + ln ℓ, with w* = -ln ℓ."""
    balance, model = LearnedWeight(), the_vector()[0]
    balance.attach(model)
    loss = UnitNorm(0.1)(PLAIN.tangent(*the_vector(), 0)[1]).square().sum(1) / 2
    at = {}
    for w in (0.3, 1.01648836):
        nn.init.constant_(balance.network.linear.bias, w)
        at[w] = balance(double(0.8), loss).item()
    assert at[0.3] == pytest.approx(0.188464558, abs=1e-8)
    assert at[1.01648836] == pytest.approx(-0.01648836, abs=1e-7)
    assert -loss.log().item() == pytest.approx(1.01648836, abs=1e-7)


def test_the_weight_is_nothing_at_first_and_draws_no_random_numbers():
    balance, model, before = LearnedWeight(), model_of(), torch.get_rng_state()
    balance.attach(model)
    assert torch.equal(torch.get_rng_state(), before)
    loss = torch.rand(5).double()
    assert torch.equal(balance(torch.rand(5).double(), loss), loss)


# the other ways to a tangent


@pytest.mark.parametrize("slope", [CentralDifference(1e-3), BackwardDifference(1e-6)], ids=repr)
def test_differences_and_secants_come_close_to_the_tangent(slope):
    model, (_, _, t, x_t, dx_t) = model_of(), a_path()
    _, exact = PLAIN.tangent(model, x_t, t, dx_t, 0)
    F, g = replace(PLAIN, derivative=slope).tangent(model, x_t, t, dx_t, 0)
    assert F.requires_grad and not g.requires_grad
    close(g, exact, rtol=3e-5)


def test_the_gradient_of_the_discrete_loss_goes_to_the_continuous_one_at_first_order():
    model, (x, _, t, _, _) = model_of(), a_path()
    exact = gradient(loss_at(PLAIN, model, x, t).sum(), model)
    errors = []
    for gap in (1e-1, 1e-2, 1e-3, 1e-4):
        discrete = replace(PLAIN, derivative=BackwardDifference(gap))
        found = gradient(loss_at(discrete, model, x, t).sum(), model)
        errors.append(((found - exact).norm() / exact.norm()).item())
    assert errors[0] < 0.3, errors
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert coarse / fine == pytest.approx(10, rel=0.12)


def test_the_discrete_tangent_is_the_secant_of_f_over_the_sine_of_the_gap():
    """App. E: g/cos t = (f(x_t, t) - f(x_r, r)) / sin(t - r), x_r one DDIM step away."""
    model, (_, _, t, x_t, dx_t) = model_of(), a_path()
    method, gap = replace(PLAIN, derivative=BackwardDifference(0.1)), double(0.1)
    _, g = method.tangent(model, x_t, t, dx_t, 0)
    x_r = gap.cos() * x_t - gap.sin() * dx_t
    close(g, t.cos()[:, None] * (model(x_t, t) - model(x_r, t - 0.1)).detach() / gap.sin())


@pytest.mark.parametrize(
    "slope", [JVP(), CentralDifference(1e-2), BackwardDifference(1e-3)], ids=repr
)
def test_all_passes_drop_the_same_units(slope):
    """With two masks the difference quotient would be about 1/h too long."""
    model, x = model_of(Dropping()).train(), torch.randn(256, 2).double()
    t = torch.full((256,), 0.9).double()
    torch.manual_seed(0)
    F, g = replace(PLAIN, derivative=slope).tangent(model, x, t, torch.zeros_like(x), 0)
    torch.manual_seed(0)
    again, exact = PLAIN.tangent(model, x, t, torch.zeros_like(x), 0)
    assert torch.equal(F, again)
    close(g, exact, rtol=5e-3)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.drop = nn.Linear(3, 64), nn.Linear(64, 2), nn.Dropout(0.5)

    def forward(self, u, t, cond=None):
        return self.two(self.drop(torch.cat([u, t[:, None]], 1) @ self.one.weight.T).tanh())


def test_a_loss_is_one_number_per_sample_and_no_sample_sees_another():
    model, (x, _, t, _, _) = model_of(), a_path(6)
    loss = loss_at(PLAIN, model, x, t)
    changed = x.clone()
    changed[2:] += 1
    again = loss_at(PLAIN, model, changed, t)
    close(again[:2], loss[:2])
    assert bool((again[2:] != loss[2:]).all())


def test_a_loss_does_not_care_whether_a_sample_is_a_row_or_an_image():
    net = MLP(6, width=16, embed=Positional(8))

    class Picture(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, u, t, cond=None):
            return self.net(u.flatten(1), t).reshape(u.shape)

    rows, images = model_of(net), model_of(Picture())
    x, t = torch.randn(5, 6).double(), torch.full((5,), 0.9).double()
    method = replace(PLAIN, bound=UnitNorm())
    torch.testing.assert_close(
        loss_at(method, images, x.reshape(5, 1, 2, 3), t), loss_at(method, rows, x, t)
    )


# teachers


def test_the_exact_teacher_moves_along_the_exact_path():
    data, t = Ring(), 0.3 + torch.rand(16).double()
    process, h = TrigFlow(data.sigma_data), 1e-5
    x = data.sample(16)[0].double()
    x_t = process.perturb(x, torch.randn(16, 2).double(), t)
    dx_t = process.velocity(x_t, OracleTeacher(data, process)(x, None)(x_t, t), t)

    def path(s):
        """x_s on the exact path through x_t, one path at a time, by the oracle's own solver."""
        ends = [
            data.oracle.path((x_t[i] / t[i].cos())[None], process.level(torch.stack([t[i], s[i]])))
            for i in range(16)
        ]
        return torch.cat([two[-1] for two in ends]) * s.cos()[:, None]

    close(dx_t, (path(t + h) - path(t - h)) / (2 * h), rtol=1e-5)


def test_training_is_distillation_from_one_sample():
    model, (x, _, t, _, _) = model_of(), a_path()

    class Oracle(nn.Module):
        process = TrigFlow(SD)

        def forward(self, x_t, t, cond=None):
            return x

    by_training = loss_at(PLAIN, model, x, t)
    by_distillation = loss_at(replace(PLAIN, teacher=NetworkTeacher(Oracle())), model, x, t)
    assert torch.equal(by_training, by_distillation)
    assert replace(PLAIN).teacher == SampleTeacher()


# refusals


def test_a_model_with_another_clock_is_refused():
    model, x = Denoiser(MLP(2), EDMPrecond()), torch.randn(4, 2)
    with pytest.raises(
        TypeError, match="written for TrigFlow, not VarianceExploding.*TrigPrecond"
    ):
        PLAIN.loss(model, x, 0)


def test_data_of_another_spread_are_refused():
    x = torch.randn(2, 2).double()
    with pytest.raises(
        ValueError, match=r"deviation 0\.7 .* sigma_data = 0\.5.*TrigPrecond\(0\.7\)"
    ):
        PLAIN.check(model_of(), x, None, 0.7)
    PLAIN.check(model_of(), x, None, 0.5)
    PLAIN.check(model_of(), x, None, None)


def test_a_teacher_with_another_clock_is_refused():
    for teacher in (OracleTeacher(Ring()), NetworkTeacher(Denoiser(MLP(2), EDMPrecond()))):
        with pytest.raises(
            ValueError, match="teacher is made for VarianceExploding.*ProcessAdapter"
        ):
            replace(PLAIN, teacher=teacher).check(
                model_of(), torch.randn(2, 2).double(), None, None
            )


@pytest.mark.parametrize("t", [-0.1, pi / 2 + 0.01, 80.0, float("nan")])
def test_a_time_that_is_no_angle_is_refused(t):
    model, x = model_of(), torch.randn(3, 2).double()
    with pytest.raises(ValueError, match=r"an angle in \[0, π/2\].*process\.time"):
        model(x, double(0.5, t, 0.5))


def test_the_ends_of_the_clock_are_allowed():
    for t in (torch.tensor([0.0, pi / 2]), double(0, pi / 2)):
        TrigFlow().check(t)
        assert bool(torch.isfinite(model_of()(torch.zeros(2, 2).double(), t.double())).all())


def test_pairs_that_lie_together_are_one_time_within_the_clock():
    t, r = SameTime()(TrigFlow(), torch.randn(5000, 2), 0)
    assert torch.equal(t, r)
    assert 0 < float(t.min()) and float(t.max()) < pi / 2
    sigma = TrigFlow().level(t).quantile(torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
    torch.testing.assert_close(
        sigma, torch.tensor([0.0368, 0.1431, 0.3679, 0.9458, 3.680]), rtol=0.1, atol=0
    )


def test_the_logarithm_of_the_level_as_time_makes_the_tangent_grow_towards_pure_noise():
    """sin t · d ln(σ)/dt = 1/cos t, where the angle gives sin t. Sec. 4.1."""
    process, t = TrigFlow(SD), double(1.5, 1.56)
    one = torch.ones_like(t)
    slope = torch.func.jvp(lambda t: QuarterLog()(process, t), (t,), (one,))[1]
    close(4 * t.sin() * slope, double(14.137, 92.63), rtol=1e-3)


@pytest.mark.parametrize(
    "ingredient", [BackwardDifference, CentralDifference, Clip, UnitNorm, UnitRMS]
)
def test_a_number_that_makes_no_sense_is_refused(ingredient):
    for number in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"must be a number in \[1e-12, 1e9\], not"):
            ingredient(number)
