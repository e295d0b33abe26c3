"""PCM and its sampler: where jumps end, what the loss equals, what the critic may say.

Numbers with ten digits are closed forms for N(0, S²), S = 0.5, evaluated independently in float64.
"""

from dataclasses import dataclass, replace
from math import cos, sin, sqrt

import numpy as np
import pytest
import torch
from cmlab_labs.common.studies_shared import flat_weights
from cmlab_labs.common.study import read
from cmlab_labs.registry import STUDIES
from torch import nn

from cmlab.data.toy import Ring, TwoGaussians
from cmlab.losses import SquaredL2, Uniform
from cmlab.methods import CD, ICT, PCM
from cmlab.methods.critic import Critic, HingeGenerator, LinearGenerator
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.methods.pcm import PhasedSteps, Phases, cut, jumps, noisier
from cmlab.metrics.toy import ExactJumps, score_ends
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, TrigPrecond
from cmlab.nets import MLP
from cmlab.nets.critic import PointCriticShape
from cmlab.noise_levels import AdjacentLevels, At, KarrasGrid, LogNormal, UniformIndex
from cmlab.ops import seeded
from cmlab.oracle import Gaussian
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding
from cmlab.sampling import ddim, heun, multistep, ode
from cmlab.schedules import Constant, WarmupCosine
from cmlab.teacher import Guided, NetworkTeacher, OracleTeacher, SampleTeacher
from cmlab.train.config import Adam, TrainConfig
from cmlab.train.recipe import to_dict
from cmlab.train.trainer import Trainer

GRID = KarrasGrid(0.02, 20.0)
PAIRS = AdjacentLevels(Constant(24), UniformIndex(GRID), GRID)
FOUR = cut(GRID, 24, 4)
CLOCKS = [VarianceExploding(), TrigFlow(0.7), RectifiedFlow()]
each_clock = pytest.mark.parametrize("process", CLOCKS, ids=lambda p: type(p).__name__)
each_precond = pytest.mark.parametrize(
    "precond", [CMPrecond(0.5, 0.02), EDMPrecond(), TrigPrecond()], ids=lambda p: type(p).__name__
)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def model_of(precond, dim=2):
    model = Denoiser(MLP(dim, width=16), precond)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model.double()


def points(n=64, dim=2):
    return torch.randn(n, dim, dtype=torch.float64)


def drawn(method, model, x):
    torch.manual_seed(3)
    return method.loss(model, x, 0)


@each_precond
@pytest.mark.parametrize("solver", [ddim, heun])
def test_one_phase_with_the_one_sample_teacher_is_icts_loss_on_the_same_pairs(precond, solver):
    model, x = model_of(precond), points()
    phased = PCM(SampleTeacher(), Phases((0.0, 20.0)), solver, PAIRS, weight=InverseGap())
    ours, theirs = (drawn(method, model, x) for method in (phased, ICT(pairs=PAIRS)))
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
    assert ours.min() > 0


@each_precond
@pytest.mark.parametrize("solver", [ddim, heun])
def test_one_phase_is_cd_with_the_same_solver(precond, solver):
    model, x, teacher = model_of(precond), points(), OracleTeacher(Ring(), precond.process)
    phased = PCM(teacher, Phases((0.0, 20.0)), solver, PAIRS)
    distilled = CD(teacher, solver, PAIRS, PseudoHuber())
    torch.testing.assert_close(
        drawn(phased, model, x), drawn(distilled, model, x), rtol=1e-8, atol=1e-10
    )


def test_with_more_phases_it_is_another_loss():
    model, x = model_of(EDMPrecond()), points()
    one, four = (PCM(SampleTeacher(), p, pairs=PAIRS) for p in (Phases((0.0, 20.0)), FOUR))
    assert (drawn(one, model, x) - drawn(four, model, x)).abs().max() > 1e-3


def test_edges_are_even_shares_of_the_solvers_steps():
    levels = [0.0, *KarrasGrid().up(50).tolist()]
    assert cut(KarrasGrid(), 50, 4).edges == tuple(levels[i] for i in (0, 12, 25, 37, 50))
    wanted = (0, 6, 12, 18, 25, 31, 37, 43, 50)  # as in the authors' script, for 8
    assert cut(KarrasGrid(), 50, 8).edges == tuple(levels[i] for i in wanted)
    assert cut(KarrasGrid(), 50, 1).edges == (0.0, levels[50])


@each_clock
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_start_on_an_edge_jumps_to_the_next_one_below(process, dtype):
    levels = torch.tensor(GRID.down(24).flip(0).tolist(), dtype=dtype)
    t = process.time(levels[1:])
    number = FOUR.number(process, t)
    assert number.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    low, high = FOUR.floor(process, t), FOUR.ceiling(process, t)
    assert (low < t).all() and (t <= high * (1 + 1e-6)).all()
    torch.testing.assert_close(process.level(low[[0, 6, 12, 18]]), levels[[0, 6, 12, 18]])


@each_clock
def test_a_line_travelled_in_two_parts_is_travelled_in_one(process):
    x_t, x = points(), points()
    t, s, u = (process.time(double(level)).repeat(64) for level in (3.0, 1.0, 0.2))
    halfway = process.transport(process.transport(x_t, x, t, s), x, s, u)
    torch.testing.assert_close(halfway, process.transport(x_t, x, t, u), rtol=1e-10, atol=1e-10)


def test_under_trigflow_a_jump_is_a_rotation_and_rotations_compose():
    process, x_t, F = TrigFlow(0.7), points(), points()

    def rotated(x, F, t, s):
        return cos(t - s) * x - sin(t - s) * 0.7 * F

    def F_after(x, F, t, s):  # σ_d F is the velocity, which turns along
        return (sin(t - s) * x + cos(t - s) * 0.7 * F) / 0.7

    t, s, u = 1.3, 0.8, 0.1
    x = cos(t) * x_t - sin(t) * 0.7 * F
    whole, part = (double(v).repeat(64) for v in (t, s))
    torch.testing.assert_close(process.transport(x_t, x, whole, part), rotated(x_t, F, t, s))
    twice = rotated(rotated(x_t, F, t, s), F_after(x_t, F, t, s), s, u)
    torch.testing.assert_close(twice, rotated(x_t, F, t, u))


@each_clock
def test_at_an_edge_the_jump_is_the_identity_whatever_the_network(process):
    edges = FOUR.times(process)[1:]
    x_t, x = points(4), 5 * points(4)
    torch.testing.assert_close(process.transport(x_t, x, edges, edges), x_t)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_exact_phased_jumps_end_where_the_path_does_however_many(count):
    law, z = Ring().oracle, points(32)
    phases = cut(GRID, 24, count)
    sampler = PhasedSteps(GRID, 24)
    x = sampler(VarianceExploding(), ExactJumps(law, phases), z, count)
    top, end = (torch.full((32,), v, dtype=torch.float64) for v in (20.0, 0.0))
    torch.testing.assert_close(x, law.flow(20 * z, top, end), rtol=0, atol=2e-5)


class Exactly:
    """Exact jumps as a model."""

    process = VarianceExploding()

    def __init__(self, phases):
        self.jump = ExactJumps(Ring().oracle, phases)

    def __call__(self, x_t, t, cond=None):
        return self.jump(x_t, t)


def exactly(process, denoise, x_t, t, r):
    """A solver without error."""
    return Ring().oracle.flow(x_t, t, r)


def test_the_exact_jumps_have_no_loss_and_those_of_another_number_of_phases_have():
    pairs, x = replace(PAIRS, points=Constant(25)), Ring().sample(64)[0].double()
    for count, zero in ((4, True), (2, False)):
        method = PCM(SampleTeacher(), FOUR, exactly, pairs, SquaredL2())
        loss = drawn(method, Exactly(cut(GRID, 24, count)), x)
        assert (loss.max() < 1e-8) == zero


@dataclass
class Seen:
    """A denoiser that remembers when it was asked."""

    process = VarianceExploding()

    def __post_init__(self):
        self.times = []

    def __call__(self, x_t, t, cond=None):
        self.times.append(t)
        return 0 * x_t


def test_no_branch_leaves_the_phase_of_the_start():
    model, edge = Seen(), FOUR.edges[2]
    method = PCM(
        SampleTeacher(), FOUR, pairs=At(1.5 * edge, 0.1), metric=SquaredL2(), weight=Uniform()
    )
    method.loss(model, points(4), 0)
    t, r = model.times
    assert t[0] == pytest.approx(1.5 * edge) and r[0] == pytest.approx(edge)


@dataclass(frozen=True)
class Known:
    """Data of this law."""

    oracle: Gaussian


def test_gaussian_jumps_have_the_ratio_and_the_noise_of_the_closed_form():
    """x_s = √(v_s/v_t) x_t and ε̂ = k x_t; the score's own coefficient is another."""
    law, process = Gaussian(torch.zeros(1), 0.5), TrigFlow(1.0)
    for t, ratio, k, score in (
        (1.5, 0.5009408524, 0.9669871617, 1.0012525008),
        (0.5, 0.7693339895, 0.6775732212, 1.1350395551),
    ):
        time, x_t = double(t), double([1.0])
        x = law.flow(x_t / cos(t), process.level(time), double(0.0))
        D = OracleTeacher(Known(law), process).denoise(x_t, time)
        assert x.item() == pytest.approx(ratio, rel=1e-9)
        assert process.noise(x_t, x, time).item() == pytest.approx(k, rel=1e-9)
        assert process.noise(x_t, D, time).item() == pytest.approx(score, rel=1e-9)


def test_ddim_creeps_up_on_the_jump_that_a_student_makes_at_once():
    law, process = Gaussian(torch.zeros(1), 0.5), TrigFlow(1.0)
    teacher = OracleTeacher(Known(law), process).denoise
    ends = []
    for steps in (1, 2, 4, 8, 16, 32):
        *_, x = jumps(process, teacher, double([1.0])[None], torch.linspace(1.5, 0, steps + 1))
        ends.append(x.item())
    assert ends == pytest.approx([0.0178, 0.2126, 0.3419, 0.4166, 0.4572, 0.4786], abs=6e-5)


@each_clock
def test_keeping_all_noise_is_ddim_and_keeping_none_is_multistep(process):
    law, x_t = Ring().oracle, points(16)
    teacher = OracleTeacher(Ring(), process).denoise
    times = process.time(double(5.0, 1.0, 0.3, 0.0))
    by_ode = [*ode(process, teacher, x_t, times, ddim)]
    torch.testing.assert_close([*jumps(process, teacher, x_t, times)], by_ode)
    torch.manual_seed(1)
    *_, ours = jumps(process, teacher, x_t, times, keep=0.0)
    torch.manual_seed(1)
    *_, theirs = multistep(process, teacher, x_t, times[:-1])
    torch.testing.assert_close(ours, theirs)
    assert law.shape == (2,)


@each_clock
def test_noise_added_in_two_parts_has_the_scale_of_noise_added_at_once(process):
    s, t = (process.time(double(level)) for level in (0.4, 3.0))
    (alpha_s, sigma_s), (alpha_t, sigma_t) = process(s), process(t)
    unit = double([1.0])[None]
    of_x, of_z, of_more = (
        noisier(process, *pair, s, t).item()
        for pair in ((alpha_s * unit, 0 * unit), (sigma_s * unit, 0 * unit), (0 * unit, unit))
    )
    assert of_x == pytest.approx(alpha_t.item())
    assert sqrt(of_z**2 + of_more**2) == pytest.approx(sigma_t.item())
    x_s = points(1)
    torch.testing.assert_close(noisier(process, x_s, points(1), s, s), x_s)  # no way, no noise


@each_clock
def test_a_level_inside_the_phase_is_between_its_edges_and_reaches_both(process):
    t = process.time(torch.linspace(0.021, 20.0, 5000).double())
    u, number = FOUR.inside(process, t), FOUR.number(process, t)
    assert (FOUR.floor(process, t) <= u + 1e-9).all() and (
        u <= FOUR.ceiling(process, t) + 1e-9
    ).all()
    for phase in range(4):
        level = process.level(u[number == phase])
        low, high = FOUR.edges[phase], FOUR.edges[phase + 1]
        assert level.min() < low + 0.1 * (high - low) and level.max() > low + 0.8 * (high - low)


def test_wrong_edges_and_too_many_phases_are_refused():
    for edges in ((0.0,), (0.0, 2.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="edges must be "):
            Phases(edges)
    with pytest.raises(ValueError, match="24 solver steps cannot be cut into 25 phases"):
        PhasedSteps(GRID, 24)(VarianceExploding(), lambda x, t: x, points(1), 25)


def with_critic(**fields):
    method = PCM(
        SampleTeacher(), FOUR, pairs=PAIRS, critic=Critic(PointCriticShape(2, 16)), **fields
    )
    model = model_of(EDMPrecond())
    method.critic.attach(model)
    return method, model


def test_where_student_and_target_agree_the_critic_learns_nothing():
    method, model = with_critic()
    t = double(0.1, 0.5, 3.0, 10.0).repeat(16)
    same = points()
    fake, real, level = method.noised(VarianceExploding(), same, same, t)
    assert torch.equal(fake, real)
    _, judge = method.critic(real, fake, level)
    scores = method.critic.network(real, level.log() / 4)
    assert scores.abs().max() < 1  # where both hinges pull
    torch.testing.assert_close(judge, torch.full_like(judge, 2.0))
    gradients = torch.autograd.grad(judge.sum(), list(method.critic.network.parameters()))
    assert max(g.abs().max() for g in gradients) < 1e-12
    _, judge = method.critic(real, fake + 1, level)
    gradients = torch.autograd.grad(judge.sum(), list(method.critic.network.parameters()))
    assert max(g.abs().max() for g in gradients) > 1e-3


def test_the_adversarial_term_moves_the_student_by_its_share_and_not_the_critic():
    method, model = with_critic(share=0.3)
    x, weight = points(), list(model.parameters())[0]

    def gradient(method):
        (g,) = torch.autograd.grad(drawn(method, model, x).sum(), weight)
        return g

    plain, little, much = (gradient(replace_critic(method, share)) for share in (None, 0.1, 0.3))
    torch.testing.assert_close(much - plain, 3 * (little - plain), rtol=1e-6, atol=1e-9)
    assert (much - plain).abs().max() > 1e-6
    alone = gradient(replace_critic(method, 0.0))
    torch.testing.assert_close(alone, plain)  # the critic's own loss is not the student's


def adversarial(method, model, x):
    """What the critic adds to the loss of each sample, its own loss left out."""
    with_it, without = drawn(method, model, x), drawn(replace(method, share=0.0), model, x)
    return with_it - without


def test_the_weight_of_the_pairs_does_not_weigh_the_adversarial_term():
    """As in the authors' code, λ d + w L_adv: on 64 levels λ would go from 0.15 to 1071."""
    weight = 1 / KarrasGrid().up(64).diff()
    assert weight.tolist()[::62] == pytest.approx([1071, 0.15], rel=0.03)
    method, model = with_critic(share=0.3)
    x = points()
    even = adversarial(method, model, x)
    assert even.abs().min() > 0
    weighted = adversarial(replace(method, weight=InverseGap()), model, x)
    torch.testing.assert_close(weighted, even, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 2.0])
def test_a_fake_that_the_critic_takes_for_real_is_pulled_by_the_linear_loss_alone(bias):
    """The authors' relu(1 - D) leaves those with D > 1 alone; -D, a named choice, does not."""
    score = bias + torch.randn(4000, dtype=torch.float64)
    for generator, pulled in (
        (PCM(SampleTeacher()).generator, score < 1),
        (LinearGenerator(), None),
    ):
        leaf = score.clone().requires_grad_()
        (pull,) = torch.autograd.grad(generator(leaf).sum(), leaf)
        expected = torch.ones_like(score) if pulled is None else pulled.double()
        assert torch.equal(-pull, expected)
    assert isinstance(PCM(SampleTeacher()).generator, HingeGenerator)


@pytest.mark.parametrize("generator", [HingeGenerator(), LinearGenerator()])
def test_the_student_is_pulled_as_its_generator_loss_says(generator):
    method, model = with_critic(share=0.3, generator=generator)
    x = points()
    torch.manual_seed(7)
    loss = adversarial(method, model, x)
    calls = []
    method.generator = lambda score: calls.append(score) or generator(score)
    drawn(method, model, x)
    torch.testing.assert_close(loss, 0.3 * generator(calls[0].detach()), rtol=1e-9, atol=1e-9)


def replace_critic(method, share):
    if share is None:
        return PCM(SampleTeacher(), FOUR, pairs=PAIRS)
    other = replace(method, share=share)
    return other


def test_a_guided_teacher_with_no_guidance_is_the_teacher():
    teacher = NetworkTeacher(Denoiser(MLP(2, 16, classes=3), EDMPrecond()).double())
    model = Denoiser(MLP(2, 16, classes=3), EDMPrecond()).double()
    x, labels = points(), torch.arange(64) % 2
    losses = []
    for phi in (teacher, Guided(teacher, 0.0, 2), Guided(teacher, 1.0, 2)):
        torch.manual_seed(3)
        losses.append(PCM(phi, FOUR, pairs=PAIRS).loss(model, x, 0, labels))
    assert torch.equal(losses[0], losses[1])
    assert losses[0].shape == losses[2].shape == (64,)


DATA = TwoGaussians()
LINE = KarrasGrid(DATA.sigma_min, DATA.sigma_max)


def trained(phases, steps=600, critic=None):
    """The averaged model after a short training on seed 0."""
    pairs = AdjacentLevels(
        Constant(40), LogNormal(-1.1, 2.0, DATA.sigma_min, DATA.sigma_max), LINE
    )
    method = PCM(
        OracleTeacher(DATA), cut(LINE, 40, phases), heun, pairs, weight=InverseGap(), critic=critic
    )
    with seeded(torch.device("cpu"), 0):
        model = Denoiser(MLP(2, width=64), EDMPrecond(DATA.sigma_data))
    rate = WarmupCosine(steps, warmup=20)
    config = TrainConfig(steps, 128, Adam(4e-3, 0.9, 0.99), rate, ema=Constant(0.98))
    return Trainer(model, method, DATA, config).fit().ema.model


def end(model, calls):
    return score_ends(model, VarianceExploding(), DATA, PhasedSteps(LINE, 40), calls)["end"]


@pytest.mark.parametrize(
    "critic", [None, Critic(PointCriticShape(2, 32))], ids=["plain", "critic"]
)
def test_four_phases_learn_the_exact_ends_from_an_exact_teacher(critic):
    assert end(trained(4, critic=critic), 4) < 0.1


def test_an_untrained_network_would_fail_that():
    assert end(trained(4, steps=0), 4) > 0.3


def test_the_arms_of_the_study_differ_in_their_phases_alone():
    variants = STUDIES["phases"].variants
    arms = {name: to_dict(variants[name](7)) for name in ("m1", "m2", "m4", "m8")}
    for name, record in arms.items():
        edges = record["method"].pop("phases")["edges"]
        record.pop("evaluator")
        assert len(edges) - 1 == int(name[1:])
    assert all(record == arms["m1"] for record in arms.values())


def test_four_phases_end_at_most_half_as_far_from_the_exact_end_as_one():
    """On the ring at σ_max: the means over three seeds, and no seed of the one near the other."""
    one, four = (read("phases", arm) for arm in ("m1", "m4"))
    for score in ("end", "rms"):
        near, far = four.score(score), one.score(score)
        assert len(near) == len(far) == 3
        assert near.mean() <= far.mean() / 2 and near.max() < far.min()


def test_a_recording_keeps_the_first_seeds_network():
    from cmlab_labs.common.studies_shared import restored_network

    kept = read("phases", "m4")
    model = restored_network("m4", kept["weights"][0])
    np.testing.assert_array_equal(flat_weights(model), kept["weights"][0])
    assert not kept["weights"][1:].any()
    found = score_ends(
        model, VarianceExploding(), Ring(), STUDIES["phases"].variants["m4"](0).sampler, 4
    )
    assert found["end"] == pytest.approx(kept.record["scores"][0]["end"], abs=2e-3)
