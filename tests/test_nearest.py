"""The nearest training images: an exact copy is found at distance 0, mirrored or not."""

import pytest
import torch

from cmlab.metrics import precision_recall as module
from cmlab.metrics.precision_recall import nearest_images, search


def pictures(n):
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8)


def test_the_neighbours_are_those_of_every_distance_computed(monkeypatch):
    images, x = pictures(200), torch.rand(5, 3, 8, 8) * 2 - 1
    monkeypatch.setattr(module, "NEIGHBOUR_ROWS", 33)
    distances, indices = nearest_images(x, images, k=4)
    byte, known = (x * 127.5 + 127.5).round() / 127.5 - 1, images / 127.5 - 1
    every = torch.stack(
        [torch.cdist(y.flatten(1), known.flatten(1)) for y in (byte, byte.flip(3))]
    )
    expected = every.amin(0).sort(1)
    assert torch.allclose(distances, expected.values[:, :4], rtol=1e-4)
    assert torch.equal(indices, expected.indices[:, :4])


def test_a_copy_and_a_mirrored_copy_are_at_distance_zero():
    images = pictures(100)
    x = torch.stack([images[7], images[31].flip(-1)]) / 127.5 - 1
    distances, indices = nearest_images(x, images, k=2)
    assert indices[:, 0].tolist() == [7, 31]
    assert distances[:, 0].tolist() == [0, 0]
    assert distances[:, 1].min() > 1


def test_one_byte_beside_a_copy_costs_its_distance():
    images = pictures(50)
    images[3, 0, 0, 0] = 100
    x = images[3:4].clone()
    x[0, 0, 0, 0] = 151
    assert nearest_images(x / 127.5 - 1, images, k=1)[0].item() == pytest.approx(
        51 / 127.5, rel=1e-6
    )


def test_features_have_neighbours_too():
    known = torch.randn(300, 5)
    distances, indices = search(known[None, [4, 9]] + 1e-3, known, k=3)
    assert indices[:, 0].tolist() == [4, 9]
    assert torch.allclose(distances[:, 0], torch.tensor(1e-3 * 5**0.5), rtol=1e-3)
    assert (distances.diff(dim=1) > 0).all()


def test_more_neighbours_than_images_are_one_sentence():
    with pytest.raises(ValueError, match="give k from 1 to 5"):
        nearest_images(torch.zeros(1, 3, 8, 8), pictures(5), k=6)
    with pytest.raises(ValueError, match="give k from 1 to 5"):
        search(torch.zeros(1, 1, 2), torch.zeros(5, 2), k=0)
