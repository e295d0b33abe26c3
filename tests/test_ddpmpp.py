"""DDPM++: the counts of its papers, and the promises that methods build on."""

from collections import Counter
from dataclasses import replace
from functools import cache
from inspect import signature

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cmlab.model import Denoiser, EDMPrecond
from cmlab.nets import (
    LEAN,
    PAPER,
    DDPMpp,
    DDPMppShape,
    DoubleNorm,
    Fourier,
    Positional,
    ScaleShift,
    Shift,
    check_forward,
)
from cmlab.nets.ddpmpp import DDPMppBlock, Resolution
from cmlab.nets.norm import Norm
from cmlab.ops import jvp, rewind_rng

TINY = DDPMppShape(width=8, mults=(1, 2), blocks=1, embed=Positional(4))


def loud(net: nn.Module, std: float = 0.2) -> nn.Module:
    """Every weight drawn afresh: a layer that starts near 0 hides whatever stands before it."""
    for weight in net.parameters():
        nn.init.normal_(weight, std=std)
    return net


def size(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


@cache
def counted(shape: DDPMppShape) -> tuple[nn.Module, int]:
    """The network without any numbers in it, and its FLOPs for one image of 32 × 32 pixels."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        net = shape.build()
        net(torch.zeros(1, 3, 32, 32), torch.zeros(1))
    return net, counter.get_total_flops()


def inputs(b: int = 3, pixels: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(b, 3, pixels, pixels), torch.randn(b)


def test_the_papers_network_has_its_55_732_739_weights_in_their_places():
    net, flops = counted(PAPER)
    assert size(net) == 55_732_739
    assert size(net.told) == (128 + 1) * 512 + (512 + 1) * 512
    assert size(net.first) == (27 + 1) * 128 and size(net.last) == 512 + (9 * 256 + 1) * 3
    assert [len(level.enter) for level in net.decoder] == [2, 1, 1]
    assert [len(level.blocks) for level in net.decoder] == [5, 5, 5] and len(net.encoder) == 14
    parts = [net.told, net.first, net.encoder, net.decoder, net.last]
    assert sum(map(size, parts)) == size(net)
    assert 42.3e9 < flops < 42.5e9


def plain(inputs: int, outputs: int, skip: bool) -> int:
    """The weights of a block by hand, of one without attention."""
    convs = (9 * inputs + 1) * outputs + (9 * outputs + 1) * outputs
    return 2 * inputs + 2 * outputs + convs + 513 * outputs + skip * (inputs + 1) * outputs


def test_a_blocks_weights_are_those_of_a_count_by_hand():
    encoder = counted(PAPER)[0].encoder
    assert [i for i, block in enumerate(encoder) if block.attention] == [5, 6, 7, 8]
    assert [size(block) for block in encoder][:6] == [
        plain(128, 256, skip=True),
        *[plain(256, 256, skip=False)] * 3,
        plain(256, 256, skip=True),  # the one that halves the image
        plain(256, 256, skip=False) + 2 * 256 + 257 * 768 + 257 * 256,
    ]


def test_attention_stands_where_the_paper_has_it_in_the_decoder():
    net = counted(PAPER)[0]
    entries = [[block.attention is not None for block in level.enter] for level in net.decoder]
    levels = [[block.attention is not None for block in level.blocks] for level in net.decoder]
    assert entries == [[True, False], [False], [False]]
    assert levels == [[False] * 5, [False] * 4 + [True], [False] * 5]


def test_groups_are_a_quarter_of_the_channels_at_most_32():
    net = counted(PAPER)[0]
    norms = [part for part in net.modules() if isinstance(part, Norm)]
    assert {part.groups for part in norms} == {32} and {part.eps for part in norms} == {1e-6}
    narrow = {part.groups for part in TINY.build().modules() if isinstance(part, Norm)}
    assert narrow == {2, 4, 6, 8}


def test_the_lean_network_costs_a_sixth_and_fits_its_file():
    net, flops = counted(LEAN)
    assert size(net) == 12_549_699
    assert 2 * size(net) < 30e6  # bytes in bfloat16
    assert counted(PAPER)[1] / flops == pytest.approx(6, abs=0.05)
    wide = Counter(min(m.in_channels, m.out_channels) for m in net.modules() if three(m))
    assert wide[3] == 2 and wide[64] == 1 and all(n % 64 == 0 for n in wide if n != 3)


def three(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)


def test_a_record_builds_the_network_its_fields_describe():
    torch.manual_seed(0)
    one = TINY.build()
    torch.manual_seed(0)
    two = DDPMpp(width=8, mults=(1, 2), blocks=1, embed=Positional(4))
    assert list(one.state_dict()) == list(two.state_dict())
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
    default = {name: a.default for name, a in signature(DDPMpp).parameters.items()}
    assert vars(DDPMppShape()) == default


VARIANTS = [
    TINY,
    replace(TINY, modulation=ScaleShift(), classes=4, embed=Fourier(4, 0.02)),
    replace(TINY, modulation=DoubleNorm(), mults=(1, 2, 2), attention=(0, 2)),
]


@pytest.mark.parametrize("shape", VARIANTS)
def test_the_forward_mode_derivative_equals_the_central_difference(shape):
    net = loud(shape.build()).double()
    x, c = (a.double() for a in inputs())
    dx, dc = torch.randn_like(x), torch.randn_like(c)
    cond = torch.tensor([0, 3, 1]) if shape.classes else None
    _, slope = torch.func.jvp(lambda x, c: net(x, c, cond), (x, c), (dx, dc))
    h = 1e-6
    difference = net(x + h * dx, c + h * dc, cond) - net(x - h * dx, c - h * dc, cond)
    torch.testing.assert_close(slope, difference / (2 * h), rtol=1e-6, atol=1e-6)
    assert slope.abs().max() > 1e-3


def test_training_may_ask_for_its_forward_derivative():
    check_forward(replace(TINY, dropout=0.2).build(), *inputs())


def by_hand(block: DDPMppBlock, h: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
    """A block that halves the image and attends, from its formulas and nothing of ours."""

    def normal(a: torch.Tensor, norm: nn.Module) -> torch.Tensor:
        parts = a.reshape(len(a), norm.groups, -1)
        spread = parts.var(2, unbiased=False, keepdim=True) + 1e-6
        parts = (parts - parts.mean(2, keepdim=True)) / spread.sqrt()
        return parts.reshape(a.shape) * norm.scale + norm.shift

    def silu(a: torch.Tensor) -> torch.Tensor:
        return a / (1 + (-a).exp())

    def halved(a: torch.Tensor) -> torch.Tensor:
        return (a[..., ::2, ::2] + a[..., 1::2, ::2] + a[..., ::2, 1::2] + a[..., 1::2, 1::2]) / 4

    def conv(a: torch.Tensor, layer: nn.Module) -> torch.Tensor:
        return functional.conv2d(a, layer.weight, layer.bias, padding=layer.padding)

    inner = conv(halved(silu(normal(h, block.norm_1))), block.conv_1)
    told = torch.einsum("be,ce->bc", e, block.modulate.weight) + block.modulate.bias
    inner = normal(inner + told[:, :, None, None], block.modulate.norm)
    h = (conv(halved(h), block.skip) + conv(silu(inner), block.conv_2)) / 2**0.5
    look = block.attention
    q, k, v = conv(normal(h, look.norm), look.qkv).flatten(2).chunk(3, dim=1)
    share = (torch.einsum("bcq,bck->bqk", q, k) / q.shape[1] ** 0.5).exp()
    gathered = torch.einsum("bqk,bck->bcq", share / share.sum(2, keepdim=True), v)
    return (h + conv(gathered.reshape(h.shape), look.out)) / 2**0.5


def test_a_block_is_its_formulas():
    level = Resolution(16, True, 0.0, 5, Shift())
    block = loud(DDPMppBlock(8, 16, level, attention=True, resize=nn.AvgPool2d(2))).double()
    h, e = torch.randn(2, 8, 8, 8).double(), torch.randn(2, 5).double()
    torch.testing.assert_close(block(h, e), by_hand(block, h, e), rtol=1e-9, atol=1e-9)


def test_a_fresh_network_answers_almost_nothing_and_a_fresh_denoiser_shrinks_its_input():
    net, (x, c) = replace(TINY, width=32).build(), inputs()
    answer = net(x, c).abs().max()
    assert 0 < answer < 1e-3
    model, t = Denoiser(net, EDMPrecond()), torch.tensor([0.1, 1.0, 80.0])
    shrunk = (0.25 / (0.25 + t**2))[:, None, None, None] * x
    torch.testing.assert_close(model(x, t), shrunk, rtol=0, atol=1e-3)


def test_without_noise_edms_denoiser_answers_its_input():
    model = Denoiser(loud(TINY.build()), EDMPrecond())
    x, _ = inputs()
    assert torch.equal(model(x, torch.zeros(3)), x)


def test_its_features_are_edms_for_a_quarter_of_the_logarithm():
    """128 of them, frequencies from 1 down to 1/10000, both ends included."""
    assert TINY.build().told.waves.width == 2 * len(TINY.embed.frequencies())
    found = PAPER.embed.frequencies()
    assert len(found) == 64 and found[0] == 1 and found[-1].item() == pytest.approx(1e-4)
    expected = (1 / 10_000) ** (torch.arange(64) / 63)
    torch.testing.assert_close(found, expected)


def test_dropout_repeats_when_the_random_state_is_rewound_and_differs_otherwise():
    net = loud(replace(TINY, dropout=0.5).build()).train()
    x, c = inputs()
    with rewind_rng(x.device):
        first = net(x, c)
    second, third = net(x, c), net(x, c)
    assert torch.equal(first, second)
    assert (second - third).norm() > 0.05 * second.norm()
    assert torch.equal(net.eval()(x, c), net(x, c))


def test_value_and_tangent_drop_the_same_units():
    """With shared masks the network is smooth along the tangent: a difference finds the slope."""
    net = loud(replace(TINY, dropout=0.5).build()).double().train()
    x, c = (a.double() for a in inputs())
    with rewind_rng(x.device):
        value, slope = jvp(net, (x, c), (x, c))
    h = 1e-6
    difference = (net((1 + h) * x, (1 + h) * c) - value) / h
    torch.testing.assert_close(difference, slope, rtol=1e-4, atol=1e-4)
    assert slope.abs().max() > 0.1


def test_dropout_acts_from_its_level_on():
    net = DDPMppShape(width=8, mults=(1, 1, 1), blocks=1, dropout=0.3, dropout_from=1).build()
    reading = [level.blocks for level in net.decoder]
    rates = [[block.drop.p for block in blocks] for blocks in (net.encoder, *reading)]
    assert rates == [[0, 0.3, 0.3, 0.3, 0.3], [0.3, 0.3], [0.3, 0.3], [0, 0]]
    assert [level.enter[0].drop.p for level in net.decoder] == [0.3, 0.3, 0]


@pytest.mark.parametrize("shape", VARIANTS)
def test_the_derivative_survives_autocast_and_the_answer_keeps_its_type(shape):
    net, (x, c) = loud(replace(shape, classes=0).build()), inputs()
    exact, slope = torch.func.jvp(net, (x, c), (x, c))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, rounded_slope = torch.func.jvp(net, (x, c), (x, c))
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() < 0.05 * exact.norm()
    assert (rounded_slope - slope).norm() < 0.1 * slope.norm()


def test_under_autocast_the_noise_level_is_told_exactly():
    """Rounded to bfloat16, c_noise = 1.000 and 1.001 would give one and the same features."""
    net, told = loud(TINY.build()), []
    net.told.register_forward_hook(lambda *call: told.append(call[2]))
    x, _ = inputs(2)
    c = torch.tensor([1.0, 1.001])
    net(x, c)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(x, c)
        net(x.bfloat16(), c.bfloat16())  # no type is refused, though 1.001 is lost by then
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[1][0], told[1][1])


def test_the_memory_format_changes_the_speed_and_not_the_answer():
    net, (x, c) = loud(replace(TINY, attention=(0, 1)).build()), inputs()
    contiguous = net(x, c)
    lasts = net.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last), c
    )
    assert lasts.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(lasts, contiguous, rtol=1e-4, atol=1e-4)


def test_the_derivative_survives_channels_last():
    """Group normalisation's own has no answer for that format."""
    net, (x, c) = loud(replace(TINY, attention=(0, 1)).build()), inputs()
    slope = torch.func.jvp(net, (x, c), (x, c))[1]
    x = x.contiguous(memory_format=torch.channels_last)
    lasts = torch.func.jvp(net.to(memory_format=torch.channels_last), (x, c), (x, c))[1]
    torch.testing.assert_close(lasts, slope, rtol=1e-3, atol=1e-4)


def test_noise_level_and_class_change_the_answer_and_samples_do_not_mix():
    net = loud(replace(TINY, classes=4).build())
    (x, c), cond = inputs(), torch.tensor([0, 3, 1])
    y = net(x, c, cond)
    assert (y - net(x, c + 0.5, cond)).abs().amin(0).max() > 1e-3
    assert (y - net(x, c, (cond + 1) % 4)).abs().max() > 1e-3
    torch.testing.assert_close(y[:1], net(x[:1], c[:1], cond[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((2, 1, 8, 8), "shape"), ((2, 192), "shape"), ((2, 3, 7, 8), "multiple of 2 pixels")],
)
def test_a_wrong_image_shape_is_one_sentence(shape, said):
    with pytest.raises(ValueError, match=said) as error:
        TINY.build()(torch.zeros(shape), torch.zeros(2))
    assert str(error.value).count(".") == 1


def test_what_cannot_be_built_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="levels in 0…1"):
        DDPMpp(width=8, mults=(1, 2), attention=(2,))
    with pytest.raises(ValueError, match="take another width") as error:
        DDPMpp(width=136, mults=(1,), attention=())
    assert str(error.value).count(".") == 1
    with pytest.raises(ValueError, match="no classes"):
        TINY.build()(*inputs(), torch.tensor([0, 1, 2]))
