"""The critic, guidance, kept-back labels and scheduled momentum: what reaches what."""

from dataclasses import replace

import pytest
import torch

from cmlab.data.digits import Digits, Unlabelled
from cmlab.methods.critic import Critic
from cmlab.nets.critic import ImageCriticShape, PointCriticShape
from cmlab.presets import toy
from cmlab.process import VarianceExploding
from cmlab.schedules import Constant
from cmlab.teacher import Guided, InitialModelTeacher
from cmlab.train.config import Adam, RAdam
from cmlab.train.recipe import from_dict, to_dict
from cmlab.train.trainer import Trainer


@pytest.fixture
def critic():
    critic = Critic(PointCriticShape(), gamma=0.5)
    critic.attach(torch.nn.Linear(2, 2))
    return critic


def gradients(loss, *inputs):
    return torch.autograd.grad(loss.sum(), inputs, allow_unused=True)


def test_d_of_the_fake_trains_the_fake_alone_and_the_critics_loss_the_critic_alone(critic):
    real, fake = torch.randn(8, 2), torch.randn(8, 2, requires_grad=True)
    weights = list(critic.network.parameters())
    on_fake, critics = critic(real, fake, torch.ones(8))
    moved = gradients(on_fake, fake, *weights)
    assert moved[0].abs().sum() > 0 and all(g is None for g in moved[1:])
    on_fake, critics = critic(real, fake, torch.ones(8))
    moved = gradients(critics, fake, *weights)
    assert moved[0] is None and any(g is not None and g.abs().sum() > 0 for g in moved[1:])


def test_a_step_along_the_gradient_of_d_raises_it(critic):
    real, fake = torch.randn(8, 2), torch.randn(8, 2, requires_grad=True)
    (slope,) = gradients(critic(real, fake, torch.ones(8))[0], fake)
    before = critic(real, fake.detach(), torch.ones(8))[0]
    after = critic(real, fake.detach() + 1e-2 * slope, torch.ones(8))[0]
    assert (after > before).all()


def test_the_critics_loss_is_the_hinge_and_the_penalty_is_the_squared_slope(critic):
    real, fake, level = torch.randn(8, 2), torch.randn(8, 2), torch.ones(8)
    with_penalty = critic(real, fake, level)[1]
    without = replace_gamma(critic, 0.0)(real, fake, level)[1]
    told = level.log() / 4
    D = critic.network
    hinge = torch.relu(1 - D(real, told)) + torch.relu(1 + D(fake, told))
    torch.testing.assert_close(without, hinge)
    x = real.double().requires_grad_()
    (slope,) = gradients(D.double()(x, told.double()), x)
    torch.testing.assert_close(
        (with_penalty - without).double(), 0.25 * slope.square().sum(1), rtol=1e-4, atol=1e-6
    )


def replace_gamma(critic, gamma):
    other = Critic(critic.net, gamma)
    other.network = critic.network
    return other


def test_real_and_fake_alike_leave_a_hinge_of_two_and_no_direction(critic):
    """At self-consistency the critic has nothing to learn: its loss is 2 while |D| < 1."""
    x = torch.randn(64, 2)
    D = critic.network
    score = D(x, torch.zeros(64)).detach()
    x = x[score.abs() < 1]
    critics = replace_gamma(critic, 0.0)(x, x.clone(), torch.ones(len(x)))[1]
    torch.testing.assert_close(critics, torch.full_like(critics, 2.0))
    assert all(g is None or g.abs().max() < 1e-6 for g in gradients(critics, *D.parameters()))


def test_a_critic_is_a_function_of_its_seed_and_leaves_the_others_randomness_alone():
    model, networks = torch.nn.Linear(1, 1), []
    before = torch.random.get_rng_state()
    for seed in (0, 0, 1):
        critic = Critic(ImageCriticShape(classes=3), seed=seed)
        critic.attach(model)
        networks.append(torch.cat([w.detach().flatten() for w in critic.network.parameters()]))
    assert torch.equal(networks[0], networks[1]) and not torch.equal(networks[0], networks[2])
    assert torch.equal(before, torch.random.get_rng_state())
    score = critic.network(torch.randn(2, 1, 8, 12), torch.zeros(2), torch.tensor([0, 2]))
    assert score.shape == (2,)


def test_a_critic_without_a_network_says_what_to_call():
    with pytest.raises(RuntimeError, match="attach"):
        Critic(PointCriticShape())(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1))


class Says(torch.nn.Module):
    """A denoiser that answers with the label."""

    process = VarianceExploding()

    def forward(self, x_t, t, cond=None):
        return torch.zeros_like(x_t) if cond is None else cond[:, None].to(x_t) * x_t


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_guidance_goes_on_from_the_answer_without_a_label_through_the_one_with(scale):
    teacher = Guided(InitialModelTeacher(), scale, null=5)
    teacher.attach(Says())
    x, t, cond = torch.randn(3, 2), torch.ones(3), torch.tensor([0, 1, 2])
    found = teacher(x, cond)(x, t)
    c, u = cond[:, None] * x, 5 * x
    torch.testing.assert_close(found, (1 + scale) * c - scale * u)
    assert torch.equal(teacher(x, None)(x, t), torch.zeros_like(x))


def test_labels_are_kept_back_at_the_stated_share_and_samples_never_change():
    data = Unlabelled(Digits(), 0.3)
    torch.manual_seed(0)
    x, labels = data.sample(20_000)
    assert data.null == 10 and data.classes == 11
    assert float((labels == 10).float().mean()) == pytest.approx(0.3, abs=0.01)
    torch.manual_seed(0)
    same, whole = Digits().sample(20_000)
    assert torch.equal(x, same) and torch.equal(labels[labels < 10], whole[labels < 10])


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_no_probability_is_refused(share):
    with pytest.raises(ValueError, match="Unlabelled.share must be a number in"):
        Unlabelled(Digits(), share)


@pytest.mark.parametrize(
    "thing",
    [
        Critic(PointCriticShape(), 1.0),
        Guided(InitialModelTeacher(), 2.0, 10),
        Unlabelled(Digits()),
    ],
)
def test_a_record_can_hold_them(thing):
    assert to_dict(from_dict(to_dict(thing))) == to_dict(thing)


@pytest.mark.parametrize("optimizer", [Adam(1e-3, 0.9, 0.99), RAdam(1e-3, 0.9, 0.99)])
def test_scheduled_momentum_reaches_the_optimizer_and_a_constant_one_changes_nothing(optimizer):
    recipe = toy.edm(steps=6)
    config = replace(recipe.train, optimizer=optimizer, batch=16)

    def trained(momentum):
        part = replace(recipe, train=replace(config, momentum=momentum))
        trainer = Trainer(part.build(), part.method, part.data, part.train)
        for _ in trainer.run():
            pass
        return trainer

    plain, constant, moving = (
        trained(None),
        trained(Constant(0.9)),
        trained(lambda step: min(step, 9) / 10),
    )
    weights = [torch.cat([w.flatten() for w in t.model.parameters()]) for t in (plain, constant)]
    assert torch.equal(*weights)
    assert moving.optimizer.param_groups[0]["betas"] == (0.5, 0.99)
