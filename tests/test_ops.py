"""Derivatives along a direction: the value with its graph, the derivative as a constant."""

import pytest
import torch
from torch import nn

from cmlab.nets import UNet
from cmlab.ops import again, chord, jvp


def a_function():
    """A small network with dropout in float64, points, and a direction."""
    net = UNet(width=8, mults=(1, 2), dropout=0.3).double()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.2)
    x, t = torch.randn(3, 1, 8, 8).double(), torch.rand(3).double()
    return net, (x, t), (torch.randn_like(x), torch.ones_like(t))


def test_value_and_derivative_come_from_one_dropout_mask():
    net, primals, tangents = a_function()
    torch.manual_seed(3)
    value, slope = jvp(net, primals, tangents)
    torch.manual_seed(3)
    expected, tangent = torch.func.jvp(net, primals, tangents)
    assert torch.equal(value, expected)
    torch.testing.assert_close(slope, tangent.detach(), rtol=1e-12, atol=0)
    torch.manual_seed(4)
    assert not torch.equal(jvp(net, primals, tangents)[1], slope)


def test_the_derivative_is_a_constant_and_the_value_has_the_ordinary_gradient():
    net, primals, tangents = a_function()
    torch.manual_seed(3)
    value, slope = jvp(net, primals, tangents)
    ours = torch.autograd.grad((value * slope).sum(), list(net.parameters()))
    torch.manual_seed(3)
    theirs = torch.autograd.grad((net(*primals) * slope).sum(), list(net.parameters()))
    assert not slope.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def kept_for_backward(f):
    """Bytes that the graph of f() holds on to."""
    held = {}

    def pack(saved):
        held[saved.data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        result = f()
    return sum(held.values()), result


def test_the_derivative_keeps_no_activations():
    """Beside an ordinary pass it keeps as much as that alone; in one pass with it, far more."""
    net, primals, tangents = a_function()
    plain, _ = kept_for_backward(lambda: net(*primals))
    ours, _ = kept_for_backward(lambda: jvp(net, primals, tangents))
    together, _ = kept_for_backward(lambda: torch.func.jvp(net, primals, tangents))
    assert ours < 1.05 * plain and together > 2 * plain


def test_a_chord_comes_close_to_the_derivative_at_second_order():
    net, primals, tangents = a_function()
    net.eval()
    _, exact = jvp(net, primals, tangents)
    errors = [
        ((chord(net, primals, tangents, h)[1] - exact).norm() / exact.norm()).item()
        for h in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)


def test_all_passes_of_a_chord_drop_the_same_units():
    net, primals, tangents = a_function()
    torch.manual_seed(3)
    value, slope = chord(net, primals, tangents, 1e-5)
    torch.manual_seed(3)
    expected, exact = jvp(net, primals, tangents)
    assert torch.equal(value, expected)
    torch.testing.assert_close(slope, exact, rtol=1e-5, atol=1e-6)


def test_again_leaves_the_random_state_as_it_was():
    net, primals, _ = a_function()
    before = torch.get_rng_state()
    first = again(net, *primals)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(net(*primals), first)


def test_an_expanded_time_is_no_trouble():
    net, (x, _), (dx, one) = a_function()
    t = torch.tensor(0.5).double().expand(3)
    assert jvp(net, (x, t), (dx, one))[1].shape == x.shape
