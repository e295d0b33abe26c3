"""Forward-mode derivatives: what lacks one is named before training, what we ship has one."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from cmlab.methods.meanflow import MeanFlow
from cmlab.methods.scm import SCM
from cmlab.model import (
    CMPrecond,
    Denoiser,
    EDMPrecond,
    QuarterLog,
    TrigPrecond,
    VelocityPrecond,
)
from cmlab.nets import MLP, DoubleNorm, Positional, UNet, check_forward
from cmlab.nets.attention import BLOCK, attention
from cmlab.nets.embedding import TwoTimes
from cmlab.ops import jvp


class Around(nn.Module):
    """A part in the middle of a network for x (b, 4, 8); the part sees (b, 4, 8) too."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.stack = nn.Sequential(nn.Identity(), part)

    def forward(self, x, c_noise, cond=None):
        return self.stack(self.first(x) + c_noise[:, None, None])


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


class Alone(nn.Module):
    """Self-attention of torch, without the weights: the fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.mix(x, x, x, need_weights=False)[0]


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()


class Flat(nn.Module):
    """x (b, 4, 8) as an image of four channels, for what only takes images."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x.unflatten(2, (2, 4))).flatten(2)


class Counts(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x / self.calls


class Bag(nn.Module):
    """An embedding bag whose weights are numbers of the sample."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(5, 8, mode="sum")

    def forward(self, x):
        words = torch.zeros(4 * len(x), 8, dtype=torch.long)
        return self.table(words, per_sample_weights=x.flatten(0, 1)).unflatten(0, (-1, 4))


def fused(x):
    x = x[:, None]
    return functional.scaled_dot_product_attention(x, x, x)[:, 0]


def written_out(x):
    with sdpa_kernel(SDPBackend.MATH):
        return fused(x)


def transformer():
    """Without dropout, for on a CPU the fused kernel knows none and leaves such layers alone."""
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


ATTENTION, NORM, OTHER = "cmlab.nets.attention", "group normalisation", "forward derivative"


@pytest.mark.parametrize(
    ("part", "name", "remedy"),
    [
        (Alone, "'stack.1.mix' (MultiheadAttention)", ATTENTION),
        (lambda: Call(fused), "'stack.1' (Call)", ATTENTION),
        (transformer, "'stack.1.self_attn' (MultiheadAttention)", ATTENTION),
        (lambda: Flat(nn.BatchNorm2d(4)), "'stack.1.part' (BatchNorm2d)", NORM),
        (lambda: nn.BatchNorm1d(4), "'stack.1' (BatchNorm1d)", NORM),
        (Counts, "'stack.1' (Counts)", "out of forward"),
        (Bag, "'stack.1.table' (EmbeddingBag)", OTHER),
        (lambda: Call(OldStyle.apply), "'stack.1' (Call)", OTHER),
        (lambda: Call(lambda x: torch.cdist(x, x).repeat(1, 1, 2)), "'stack.1' (Call)", OTHER),
    ],
)
def test_what_lacks_a_forward_derivative_is_named_in_one_sentence(part, name, remedy):
    with pytest.raises(TypeError) as error:
        check_forward(Around(part()), torch.randn(5, 4, 8), torch.randn(5), None, "do without")
    said = str(error.value)
    assert said.startswith(name) and remedy in said and said.endswith(", or do without.")
    assert said.endswith(".") and ". " not in said and "\n" not in said


IMAGE = {"width": 8, "mults": (1, 2), "attention": (0,), "dropout": 0.3}


@pytest.mark.parametrize(
    "net",
    [
        lambda: Around(Call(written_out)),
        lambda: Around(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),  # with dropout
        lambda: Around(nn.BatchNorm1d(4, track_running_stats=False)),
        lambda: Around(Call(lambda x: attention(x[:, None], x[:, None], x[:, None])[:, 0])),
        lambda: MLP(2, width=8),
        lambda: UNet(**IMAGE),
        lambda: UNet(**IMAGE, modulation=DoubleNorm(), embed=Positional()),
    ],
)
def test_what_has_one_passes(net):
    net = net()
    shape = (2,) if isinstance(net, MLP) else (1, 8, 8) if isinstance(net, UNet) else (4, 8)
    assert check_forward(net, torch.randn(1, *shape), torch.randn(1)) is None


class Forgetful(nn.Module):
    """Copes with a part that fails, then fails itself."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Call(fused)

    def forward(self, x):
        try:
            return self.part(x)
        except RuntimeError:
            return x + 0


def test_a_part_whose_failure_was_coped_with_is_not_blamed():
    net = Around(nn.Sequential(Forgetful(), Call(OldStyle.apply)))
    with pytest.raises(TypeError, match=r"^'stack.1.1' \(Call\)"):
        check_forward(net, torch.randn(2, 4, 8), torch.randn(2))


def test_weights_buffers_modes_hooks_and_random_state_are_left_as_they_were():
    batch_norm = Flat(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(4)))
    for net, sound in ((Around(batch_norm), False), (Around(nn.Dropout(0.5)), True)):
        net.eval().first.train()
        modes = [module.training for module in net.modules()]
        state = {name: value.clone() for name, value in net.state_dict().items()}
        random = torch.get_rng_state()
        with nullcontext() if sound else pytest.raises(TypeError):
            check_forward(net, torch.zeros(3, 4, 8), torch.zeros(3))
        assert torch.equal(torch.get_rng_state(), random)
        assert [module.training for module in net.modules()] == modes
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_fault_that_has_nothing_to_do_with_derivatives_is_raised_as_it_is():
    with pytest.raises(ValueError, match="one label"):
        check_forward(MLP(2, width=8, classes=3), torch.zeros(2, 2), torch.zeros(2))
    with pytest.raises(RuntimeError, match="shapes"):
        check_forward(Around(nn.Linear(3, 3)), torch.zeros(2, 4, 8), torch.zeros(2))
    check_forward(MLP(2, width=8, classes=3), torch.zeros(1, 2), torch.zeros(1), torch.tensor([2]))


def test_attention_over_more_pixels_than_a_block_has_the_derivative_of_a_central_difference():
    net = UNet(width=8, mults=(1, 2), attention=(0,), modulation=DoubleNorm()).double()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.2)
    x, c, dx, dc = (torch.randn(1, *shape).double() for shape in 2 * ((1, 20, 20), ()))
    assert 20 * 20 > BLOCK
    with torch.no_grad():
        _, slope = torch.func.jvp(net, (x, c), (dx, dc))
        h = 1e-6
        difference = (net(x + h * dx, c + h * dc) - net(x - h * dx, c - h * dc)) / (2 * h)
    torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-6)
    assert slope.abs().max() > 1e-3


class InPlace(nn.Module):
    """Scales its time input, and its data, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def forward(self, x, c_noise, cond=None):
        return self.mix(x.mul_(2.0)).tanh() * c_noise.mul_(0.5)[:, None]


@pytest.mark.parametrize(
    "precond", [TrigPrecond(), TrigPrecond(c_noise=QuarterLog()), EDMPrecond(), CMPrecond()]
)
def test_a_network_may_work_in_place_on_its_inputs(precond):
    """They are its own copies: with TrigFlow its time input would otherwise be t itself."""
    model = Denoiser(InPlace().double(), precond)
    x, t = torch.randn(4, 3).double(), torch.tensor([0.1, 0.5, 0.9, 1.3]).double()
    given = x.clone(), t.clone()
    v, w = torch.randn_like(x), torch.randn_like(t)
    value, tangent = jvp(model.raw, (x, t), (v, w))
    assert torch.equal(x, given[0]) and torch.equal(t, given[1])
    h = 1e-6
    ahead, behind = (model.raw(x + s * h * v, t + s * h * w) for s in (1, -1))
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(value, model.raw(x, t))
    assert check_forward(model.net, x, t) is None


def test_a_remedy_is_named_to_the_losses_that_have_it_alone():
    """sCM can take differences; MeanFlow has no such choice."""
    x = torch.zeros(2, 2)
    for method, precond, embed, offered in (
        (SCM(), TrigPrecond(), Positional(4), True),
        (MeanFlow(), VelocityPrecond(), TwoTimes(), False),
    ):
        net = MLP(2, 8, 1, embed)
        net.act = nn.BatchNorm1d(8)
        with pytest.raises(TypeError, match="group normalisation") as error:
            method.check(Denoiser(net, precond), x, None, None)
        assert ("CentralDifference" in str(error.value)) == offered
