"""Networks on patches: the rearrangement loses nothing, and all that other networks can do."""

from dataclasses import dataclass

import pytest
import torch

from cmlab.nets.embedding import Fourier
from cmlab.nets.patches import PatchesShape
from cmlab.nets.unet import UNetShape
from cmlab.train.recipe import from_dict, to_dict


def shape(size: int = 2, channels: int = 12) -> PatchesShape:
    inner = UNetShape(
        channels=channels, width=16, mults=(1, 2), embed=Fourier(8, 0.06), classes=3, embedding=24
    )
    return PatchesShape(inner, size=size)


def awake(size: int = 2) -> torch.nn.Module:
    """A network whose last layers do not answer 0."""
    torch.manual_seed(0)
    net = shape(size, 3 * size**2).build()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net.double()


def arguments(n: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 3, 16, 16).double(), torch.randn(n).double(), torch.arange(n) % 3


@pytest.mark.parametrize("size", (1, 2, 4))
def test_the_answer_has_the_shape_of_the_question(size: int):
    x, c, cond = arguments()
    assert awake(size)(x, c, cond).shape == x.shape


def test_it_starts_as_the_answer_zero():
    x, c, cond = arguments()
    assert (shape().build()(x.float(), c.float(), cond) == 0).all()


@dataclass(frozen=True)
class Echo:
    """The record of a network that answers its input."""

    channels: int

    def build(self) -> torch.nn.Module:
        net = torch.nn.Module()
        net.forward = lambda x, c_noise, cond: x  # type: ignore[method-assign]
        return net


@pytest.mark.parametrize("size", (1, 2, 4))
def test_space_to_depth_and_back_moves_no_pixel(size: int):
    net = PatchesShape(Echo(3 * size**2), size=size).build()
    x, c, cond = arguments()
    assert torch.equal(net(x, c, cond), x)


def test_each_pixel_of_the_smaller_image_holds_one_patch():
    x = torch.zeros(1, 3, 16, 16)
    x[:, :, 4:6, 8:10] = 1.0
    small = torch.nn.functional.pixel_unshuffle(x, 2)
    assert small.shape == (1, 12, 8, 8)
    assert small.sum() == small[:, :, 2, 4].sum() == 12


def test_the_forward_mode_derivative_is_the_limit_of_differences():
    net, (x, c, cond) = awake(), arguments()
    v = torch.randn_like(x)
    tangent = torch.func.jvp(lambda x, c: net(x, c, cond), (x, c), (v, torch.ones_like(c)))[1]
    h = 1e-5
    difference = (net(x + h * v, c + h, cond) - net(x - h * v, c - h, cond)) / (2 * h)
    assert torch.allclose(tangent, difference, rtol=1e-6, atol=1e-8)


def test_a_record_of_it_builds_the_same_network():
    again = from_dict(to_dict(shape()))
    assert again == shape()
    torch.manual_seed(5)
    first = shape().build().state_dict()
    torch.manual_seed(5)
    second = again.build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_channels_that_no_stem_can_fill_are_refused():
    with pytest.raises(ValueError, match="a multiple of 4, not 15"):
        shape(channels=15).build()


def test_an_image_that_patches_do_not_cover_is_refused():
    net = shape().build()
    for side in (17, 18):  # the patches do not fill it; the inner network cannot halve it
        with pytest.raises(ValueError, match="multiple of 2"):
            net(torch.zeros(1, 3, side, side), torch.zeros(1), torch.zeros(1).long())
