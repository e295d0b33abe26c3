"""The toy data sets: each is the law that it says it is."""

import math
from dataclasses import replace

import pytest
import torch

from cmlab.data.toy import TOYS, Bumps, Checkerboard, Moons, Ring, Spiral, TwoGaussians
from cmlab.metrics.wasserstein import sliced

ALL = {**TOYS, "bumps": Bumps()}
every_toy = pytest.mark.parametrize("data", ALL.values(), ids=ALL)


def test_the_table_names_the_five_that_a_run_can_ask_for():
    assert set(TOYS) == {"ring", "moons", "checkerboard", "spiral", "two_gaussians"}


@every_toy
def test_samples_come_as_the_trainer_wants_them(data):
    x, cond = data.sample(7)
    assert x.shape == (7, *data.shape) and x.dtype == torch.get_default_dtype() and cond is None
    a, b = (data.sample(5, torch.Generator().manual_seed(2))[0] for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, data.sample(5)[0])


@every_toy
def test_sigma_data_is_the_spread_of_the_samples(data):
    x, _ = data.sample(40_000)
    assert float(x.var(0).mean().sqrt()) == pytest.approx(data.sigma_data, rel=0.02)
    assert 0.4 < data.sigma_data < 1  # all on the scale for which sigma_min and sigma_max are set


@pytest.mark.parametrize("data", TOYS.values(), ids=TOYS)
def test_a_toy_is_centred(data):
    law = data.oracle.components
    torch.testing.assert_close(law.weights @ law.means, torch.zeros(2).double(), rtol=0, atol=1e-6)


@every_toy
def test_the_law_is_made_once_and_equal_data_are_equal(data):
    assert data.oracle is data.oracle
    twin = replace(data)
    assert twin == data and hash(twin) == hash(data)


@every_toy
def test_samples_follow_the_law(data):
    """The characteristic functions E[e^{iλ·x}], seen and exact, agree at random λ."""
    law, (x, _) = data.oracle.components, data.sample(40_000)
    wave = torch.randn(x[0].numel(), 64).double() * 3
    exact = law.weights.to(torch.complex128) @ torch.exp(
        1j * (law.means @ wave) - law.stds[:, None] ** 2 * wave.square().sum(0) / 2
    )
    seen = torch.exp(1j * (x.double() @ wave)).mean(0)
    assert float((seen - exact).abs().max()) < 5 / math.sqrt(len(x))


def test_the_ring_has_its_modes_on_the_circle():
    law = Ring(modes=5, radius=2.0, std=0.3).oracle
    assert law.means.shape == (5, 2) and bool((law.stds == 0.3).all())
    torch.testing.assert_close(law.means.norm(dim=1), torch.full((5,), 2.0).double())
    side = (law.means - law.means.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(side, torch.full((5,), 4 * math.sin(math.pi / 5)).double())


def test_the_sizes_are_as_described():
    sizes = [len(d.oracle.weights) for d in (Moons(), Checkerboard(), Spiral(), TwoGaussians())]
    assert sizes == [200, 288, 200, 2]
    assert [float(d.oracle.stds[0]) for d in (Moons(), Checkerboard())] == [0.06, 0.05]


def test_the_checkerboard_fills_the_dark_fields_and_no_light_one():
    x, _ = replace(Checkerboard(), std=1e-3).sample(5000)
    column, row = (2 * x).floor().long().T
    assert bool(((column + row) % 2 == 0).all())
    assert len({tuple(cell) for cell in torch.stack([column, row], 1).tolist()}) == 8


def test_the_arms_of_the_spiral_stay_apart():
    means = Spiral().oracle.means
    between = torch.cdist(means[:100], means[100:]).min()
    along = (means[1:100] - means[:99]).norm(dim=1)
    assert float(between) > 4 * 0.05 and float(along.max()) < 2 * float(along.min())
    assert float(along.max()) < 2 * 0.05  # so that an arm is one line and not beads


def test_two_gaussians_are_two_in_any_dimension():
    for dim in (1, 2, 5):
        data = TwoGaussians(dim, distance=3.0, std=0.1)
        assert data.shape == (dim,)
        assert float((data.oracle.means[1] - data.oracle.means[0]).norm()) == pytest.approx(3)


def test_the_toys_are_unlike():
    clouds = [d.sample(1024)[0] for d in TOYS.values()]
    away = [sliced(a, b) for i, a in enumerate(clouds) for b in clouds[:i]]
    assert min(away) > 0.06  # spiral and checkerboard are the nearest; fresh clouds differ by less


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ring(modes=0), "Ring.modes must be a whole number in"),
        (lambda: Ring(std=-0.1), "Ring.std must be a number in"),
        (lambda: Ring(radius=math.inf), "Ring.radius must be a number in"),
        (lambda: TwoGaussians(dim=0), "TwoGaussians.dim must be a whole"),
        (lambda: Bumps(stds=(0.1, 0.2)), "3 means came with"),
    ],
)
def test_a_field_that_makes_no_law_is_refused_at_once(make, words):
    with pytest.raises(ValueError, match=words):
        make()
