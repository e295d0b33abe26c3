"""Networks: the promises that methods build on (derivatives, dropout, conditioning, errors)."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from cmlab.nets import MLP, DoubleNorm, Fourier, MLPShape, Positional, ScaleShift, UNet, UNetShape
from cmlab.nets.norm import Norm, pixel_norm
from cmlab.ops import rewind_rng

DATA = Path(__file__).parents[1] / "data" / "checkpoints"
DRAWN, ANSWER = 278059.3914, 134.145646  # what its weights add up to, and its answer


def loud(net: nn.Module) -> nn.Module:
    """Every weight drawn afresh: a layer that starts at 0 hides whatever stands before it."""
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.2)
    return net


def conditional(net: MLP | UNet) -> bool:
    return bool((net.labels if isinstance(net, MLP) else net.told.labels).classes)


def size(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def inputs(net: nn.Module, b: int = 3, pixels: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (b, net.dim) if isinstance(net, MLP) else (b, net.channels, pixels, pixels)
    return torch.randn(shape), torch.randn(b)


NETS = [
    lambda: MLP(2),
    lambda: MLP(3, width=16, classes=4),
    lambda: UNet(width=8, mults=(1, 2), attention=(0, 1)),
    lambda: UNet(channels=3, width=8, mults=(1, 1, 2), blocks=2, embed=Positional(), classes=4),
    lambda: UNet(width=8, mults=(1, 2), modulation=DoubleNorm(), classes=4),
]


@pytest.mark.parametrize("build", NETS)
def test_the_forward_mode_derivative_equals_the_central_difference(build):
    net = loud(build()).double()
    x, c = (a.double() for a in inputs(net))
    dx, dc = torch.randn_like(x), torch.randn_like(c)
    cond = torch.tensor([0, 3, 1]) if conditional(net) else None
    _, slope = torch.func.jvp(lambda x, c: net(x, c, cond), (x, c), (dx, dc))
    h = 1e-6
    difference = net(x + h * dx, c + h * dc, cond) - net(x - h * dx, c - h * dc, cond)
    torch.testing.assert_close(slope, difference / (2 * h), rtol=1e-6, atol=1e-6)
    assert slope.abs().max() > 1e-3


def test_a_record_builds_the_network_its_fields_describe():
    torch.manual_seed(0)
    one = UNetShape(width=8, mults=(1, 2), classes=10).build()
    torch.manual_seed(0)
    two = UNet(width=8, mults=(1, 2), classes=10)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert size(MLPShape().build()) == size(MLP(2))


def test_parameter_counts_are_those_of_a_count_by_hand():
    mlp = (2 * 128 + 128) + 2 * (128 * 128 + 128) + 3 * 64 * 128 + (128 * 2 + 2)
    assert size(MLP(2)) == mlp == 58_242
    assert size(UNet(width=32, mults=(1, 2), classes=10)) == 419_201


def test_the_default_network_is_the_one_that_older_records_and_weights_mean():
    """The numbers are those of the code that trained the networks in data/."""
    shape = UNetShape(width=32, mults=(1, 2), dropout=0.05, embed=Fourier(32, 0.06), classes=10)
    assert shape.modulation == ScaleShift()
    torch.manual_seed(0)
    net = shape.build()
    drawn = sum(i * w.abs().sum().item() for i, w in enumerate(net.state_dict().values()))
    assert drawn == pytest.approx(DRAWN, rel=1e-6)
    answer = loud(net).eval()(torch.randn(3, 1, 8, 8), torch.randn(3), torch.tensor([0, 3, 1]))
    assert answer.abs().sum().item() == pytest.approx(ANSWER, rel=1e-4)
    with safe_open(DATA / "digits-ect.safetensors", "pt") as saved:
        names = {name.split("net.", 1)[-1] for name in saved.keys()}  # noqa: SIM118
    assert names == set(net.state_dict())


def test_pixel_norm_has_a_mean_square_of_one_over_the_channels():
    torch.testing.assert_close(
        pixel_norm(torch.tensor([[3.0, 4.0, 0.0, 0.0]])), torch.tensor([[1.2, 1.6, 0.0, 0.0]])
    )
    a = torch.randn(3, 8, 2, 2)
    torch.testing.assert_close(pixel_norm(a).square().mean(1), torch.ones(3, 2, 2))
    torch.testing.assert_close(pixel_norm(100 * a), pixel_norm(a))
    assert pixel_norm(torch.zeros(1, 4)).abs().max() == 0
    assert pixel_norm(torch.ones(1, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_both_modulations_are_their_formulas():
    h, e = torch.randn(2, 16, 4, 4), torch.randn(2, 5)
    for modulation in (ScaleShift(), DoubleNorm()):
        part = modulation.build(5, 16)
        s, b = (e @ part.weight.T + part.bias)[:, :, None, None].chunk(2, dim=1)
        normal = Norm(16, affine=False)(h)
        if isinstance(modulation, DoubleNorm):
            answer = normal * pixel_norm(s) + pixel_norm(b)
        else:
            answer = normal * (1 + s) + b
        torch.testing.assert_close(part(h, e), answer)


def test_double_normalisation_bounds_what_the_noise_level_does_and_scale_shift_does_not():
    h, e = torch.randn(64, 32, 4, 4), torch.randn(64, 5)
    for modulation, bounded in ((DoubleNorm(), True), (ScaleShift(), False)):
        part = modulation.build(5, 32)
        size = [part(h, k * e).square().mean().sqrt().item() for k in (1, 1000)]
        assert size[0] == pytest.approx(2**0.5, rel=0.05) or not bounded
        assert (size[1] < 1.05 * size[0]) is bounded


def test_double_normalisation_does_not_start_at_zero():
    """There its answer would be 0, and the slope of the pixel norm 1e4."""
    part = DoubleNorm().build(64, 32)
    assert part.weight.abs().min() > 0
    zero, one = torch.zeros(1, 4), torch.ones(1, 4)
    assert torch.func.jvp(pixel_norm, (zero,), (one,))[1].max() == pytest.approx(1e4)


def test_the_output_has_the_shape_of_the_input():
    for pixels, mults in ((8, (1, 2)), (16, (1, 2, 2)), (32, (1, 1, 2))):
        net = UNet(channels=2, width=8, mults=mults)
        x, c = inputs(net, pixels=pixels)
        assert net(x, c).shape == x.shape
    assert MLP(5)(torch.randn(3, 5), torch.randn(3)).shape == (3, 5)


def test_a_fresh_unet_answers_zero():
    net = UNet(width=8)
    assert net(*inputs(net)).abs().max() == 0


@pytest.mark.parametrize("build", NETS)
def test_noise_level_and_class_change_the_answer_and_samples_do_not_mix(build):
    net = loud(build())
    x, c = inputs(net)
    cond = torch.tensor([0, 3, 1]) if conditional(net) else None
    y = net(x, c, cond)
    assert (y - net(x, c + 0.5, cond)).abs().amin(0).max() > 1e-3
    if cond is not None:
        assert (y - net(x, c, (cond + 1) % 4)).abs().max() > 1e-3
    alone = net(x[:1], c[:1], None if cond is None else cond[:1])
    torch.testing.assert_close(y[:1], alone, rtol=1e-4, atol=1e-4)


def test_dropout_repeats_when_the_random_state_is_rewound_and_differs_otherwise():
    net = loud(UNet(width=8, dropout=0.5)).train()
    x, c = inputs(net)
    with rewind_rng(x.device):
        first = net(x, c)
    second, third = net(x, c), net(x, c)
    assert torch.equal(first, second)
    assert not torch.allclose(second, third)
    assert torch.equal(net.eval()(x, c), net(x, c))


def test_norms_stay_in_float32_under_autocast_and_the_derivative_survives_it():
    net = loud(UNet(width=8, attention=(0,)))
    x, c = inputs(net)
    exact, slope = torch.func.jvp(net, (x, c), (x, c))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, rounded_slope = torch.func.jvp(net, (x, c), (x, c))
    assert rounded.dtype == torch.float32
    assert Norm(8)(torch.zeros(2, 8, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32
    assert (rounded - exact).norm() < 0.05 * exact.norm()
    assert (rounded_slope - slope).norm() < 0.1 * slope.norm()


def test_fourier_scale_multiplies_the_frequencies():
    torch.manual_seed(0)
    small = Fourier(scale=0.5).frequencies()
    torch.manual_seed(0)
    torch.testing.assert_close(Fourier(scale=2.0).frequencies(), 4 * small)
    assert Positional(count=5, longest=100.0).frequencies()[-1] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((2, 3, 8, 8), "shape"), ((2, 64), "shape"), ((2, 1, 7, 8), "multiple of 2 pixels")],
)
def test_a_wrong_image_shape_is_one_sentence(shape, said):
    with pytest.raises(ValueError, match=said) as error:
        UNet(width=8)(torch.zeros(shape), torch.zeros(2))
    assert str(error.value).count(".") == 1


def test_a_wrong_point_shape_is_one_sentence():
    with pytest.raises(ValueError, match=r"\(b, 2\), not \(4, 3\)"):
        MLP(2)(torch.zeros(4, 3), torch.zeros(4))


@pytest.mark.parametrize(
    ("cond", "said"),
    [
        (None, "one label in 0…9 per sample"),
        (torch.tensor([0, 10]), "not 0…10"),
        (torch.tensor([-1, 3]), "not -1…3"),
        (torch.tensor([0.0, 1.0]), "whole numbers"),
        (torch.zeros(2, 10, dtype=torch.long), "whole numbers"),
    ],
)
def test_a_wrong_label_is_one_sentence(cond, said):
    with pytest.raises(ValueError, match=said):
        UNet(width=8, classes=10)(torch.zeros(2, 1, 8, 8), torch.zeros(2), cond)


def test_a_label_for_a_network_without_classes_is_refused():
    with pytest.raises(ValueError, match="no classes"):
        MLP(2)(torch.zeros(2, 2), torch.zeros(2), torch.tensor([0, 1]))


def test_attention_on_a_level_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="levels in 0…1"):
        UNet(mults=(1, 2), attention=(2,))
