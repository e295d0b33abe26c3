"""Operators: the linear ones have their adjoint, and what does not fit is said in a sentence."""

import pytest
import torch

from cmlab.methods.posterior_sampling import (
    Absolute,
    Blur,
    Classifier,
    DownSample,
    Mask,
    Radius,
    Square,
)
from cmlab.metrics.feature_extractors import load_classifier

KEEP = (torch.arange(64).reshape(1, 8, 8) % 3 > 0).float()
LINEAR = {"mask": Mask(KEEP), "blur": Blur(1.3), "down-sample": DownSample(4)}
SHAPE = (1, 8, 8)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", LINEAR)
def test_the_adjoint_moves_the_operator_to_the_other_side(name):
    A, x = LINEAR[name], draw(5, *SHAPE)
    y = draw(*A(x).shape, seed=1)
    left, right = (A(x) * y).flatten(1).sum(1), (x * A.adjoint(y)).flatten(1).sum(1)
    assert torch.allclose(left, right, atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_the_matrix_of_a_linear_operator_does_what_it_does(name):
    A, x = LINEAR[name], draw(5, *SHAPE)
    assert torch.allclose(x.flatten(1) @ A.matrix(SHAPE).T, A(x).flatten(1), atol=1e-12)
    mixed = A(2 * x - 3 * x.flip(0))
    assert torch.allclose(mixed, 2 * A(x) - 3 * A(x.flip(0)), atol=1e-12)


def test_a_blur_keeps_a_plain_image_away_from_the_edge_and_its_kernel_sums_to_1():
    A = Blur(1.0, reach=2)
    assert float(A.kernel.sum()) == pytest.approx(1)
    plain = A(torch.ones(1, 1, 9, 9).double())
    assert torch.allclose(plain[..., 2:-2, 2:-2], torch.ones(1).double())
    assert (plain[..., 0, 0] < 1).all()


def test_a_kernel_is_a_gaussian():
    k = Blur(1.5).kernel
    assert float(k[4] / k[3]) == pytest.approx(2.718281828 ** (-1 / (2 * 1.5**2)))


def test_down_sampling_averages_whole_fields():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert DownSample(2)(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_signs_are_lost_and_the_radius_is_one_number():
    x = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert Absolute()(x).tolist() == [[3, 4], [0, 0]]
    assert Square()(x).tolist() == [[9, 16], [0, 0]]
    assert Radius()(x).flatten().tolist() == pytest.approx([5, 0], abs=1e-5)


def test_the_radius_has_a_gradient_at_the_origin():
    x = torch.zeros(1, 2, requires_grad=True)
    Radius()(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_a_network_reads_a_digit():
    eye = load_classifier()
    x = draw(3, *SHAPE).float()
    assert torch.equal(Classifier(eye)(x), eye(x)) and Classifier(eye.body)(x).shape == (3, 32)


FAULTS = {
    "a mask of shape (8, 8) does not fit": lambda: Mask(torch.ones(8, 8))(draw(2, *SHAPE)),
    "holds other numbers than 0 and 1": lambda: Mask(torch.tensor([0.0, 0.5])),
    "is none": lambda: Blur(0.0),
    "give 1 or more": lambda: DownSample(0),
    "make no whole blocks": lambda: DownSample(3)(draw(2, *SHAPE)),
    "takes images": lambda: Blur()(draw(2, 3)),
    "one row of numbers for each": lambda: Classifier(torch.sum)(draw(2, 3)),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_what_does_not_fit_is_said_in_one_sentence(sentence):
    with pytest.raises(ValueError, match=r".+") as caught:
        FAULTS[sentence]()
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
