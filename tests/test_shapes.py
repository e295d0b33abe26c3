"""The pictures made by rule are what their factors say."""

import math
from dataclasses import replace

import pytest
import torch

from cmlab.data.shapes import COLOURS, DISTANCES, GROUND, SHAPES, TEXTURES, Shapes, triangle
from cmlab.methods import ECT
from cmlab.nets.unet import UNetShape
from cmlab.presets.digits import image
from cmlab.train.recipe import from_dict, to_dict

AREA = {  # in units of the radius squared
    "disc": math.pi,
    "square": 2.0,
    "triangle": 3 * math.sqrt(3) / 4,
    "ring": math.pi * (1 - 0.5**2),
    "cross": 2 * (2 * 0.94 * 2 * 0.33) - (2 * 0.33) ** 2,
}


def factors(n, seed=0, size=64):
    return Shapes(size).factors(n, torch.Generator().manual_seed(seed))


def covered(data, f):
    """The share of each picture that is not ground, with black ink on white."""
    black = torch.zeros_like(f.shape)
    f = replace(f, colour=black, ground=black, texture=black)
    return ((1 - data.draw(f)) / 2).mean((1, 2, 3))


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_covers_the_area_that_geometry_gives(name):
    f = factors(200)
    f = replace(f, shape=torch.full_like(f.shape, SHAPES.index(name)))
    exact = AREA[name] * f.radius**2
    assert torch.allclose(covered(Shapes(64), f), exact, rtol=0.03)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_lies_within_the_circle_of_its_radius(name):
    angle = torch.linspace(0, 2 * math.pi, 720)
    u, v = 1.001 * angle.cos(), 1.001 * angle.sin()
    assert (DISTANCES[SHAPES.index(name)](u, v) > 0).all()


def test_a_triangle_has_its_corners_on_the_circle():
    angles = [-math.pi / 2 + 2 * math.pi * k / 3 for k in range(3)]
    corners = torch.tensor(angles, dtype=torch.float64)
    assert torch.allclose(triangle(corners.cos(), corners.sin()).abs(), torch.zeros(3).double())


def test_the_centre_of_the_ink_is_the_place():
    f = factors(100)
    f = replace(f, shape=torch.zeros_like(f.shape), texture=torch.zeros_like(f.shape))
    f = replace(f, colour=torch.zeros_like(f.shape), ground=torch.zeros_like(f.shape))
    ink = (1 - Shapes(64).draw(f)[:, 0]) / 2
    line = (torch.arange(64) + 0.5) / 64
    mass = ink.sum((1, 2))
    x = (ink * line).sum((1, 2)) / mass
    y = (ink * line[:, None]).sum((1, 2)) / mass
    assert torch.allclose(torch.stack([x, y], 1), f.place, atol=2e-3)


def test_ink_and_ground_have_the_colours_that_the_factors_name():
    f = factors(300)
    f = replace(f, shape=torch.zeros_like(f.shape), texture=torch.zeros_like(f.shape))
    x = (Shapes(64).draw(f) + 1) / 2
    column, row = (f.place * 64).long().clamp(0, 63).T
    ink = x[torch.arange(300), :, row, column]
    assert torch.allclose(ink, COLOURS[f.colour], atol=1e-6)
    assert torch.allclose(x[:, :, 0, 0], GROUND[f.ground], atol=0.02)


def test_a_texture_lightens_half_of_the_ink():
    f = factors(400)
    f = replace(f, shape=torch.zeros_like(f.shape), colour=torch.zeros_like(f.shape))
    plain, striped, checked = (
        Shapes(64).draw(replace(f, texture=torch.full_like(f.shape, k))).mean() for k in range(3)
    )
    assert TEXTURES == ("plain", "stripes", "checks")
    inside = float((math.pi * f.radius**2).mean())
    for textured in (striped, checked):
        assert float(textured - plain) / 2 == pytest.approx(0.55 * 0.5 * inside, rel=0.05)


def test_a_picture_is_crisp_most_pixels_are_one_of_three_colours():
    x, _ = Shapes().sample(200, torch.Generator().manual_seed(1))
    flat = (x[:, :, 1:, :] - x[:, :, :-1, :]).abs().amax(1) < 1e-6
    assert flat.float().mean() > 0.8


def test_the_same_seed_draws_the_same_pictures_and_another_draws_others():
    one, two, other = (
        Shapes().sample(8, torch.Generator().manual_seed(seed))[0] for seed in (3, 3, 4)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_pictures_fill_minus_one_to_one_and_labels_are_the_shapes():
    data = Shapes()
    x, labels = data.sample(2000, torch.Generator().manual_seed(0))
    assert x.shape == (2000, *data.shape) and x.min() >= -1 and x.max() <= 1
    share = labels.bincount(minlength=data.classes) / 2000
    assert data.classes == len(SHAPES) and (share - 1 / len(SHAPES)).abs().max() < 0.03
    assert data.sigma_data == pytest.approx(float(x.double().std()), rel=1e-6)


def test_a_method_trains_on_them_as_on_any_images():
    net = UNetShape(channels=3, width=8, mults=(1, 1), classes=len(SHAPES))
    recipe = replace(image(ECT(), 2, 0), data=Shapes(16), net=net)
    recipe = replace(recipe, train=replace(recipe.train, batch=4))
    assert recipe.trainer().fit().step == 2


def test_a_recipe_records_them():
    assert from_dict(to_dict(Shapes(16))) == Shapes(16)


def test_a_picture_too_small_for_a_shape_is_refused():
    with pytest.raises(ValueError, match="Shapes.size must be a whole number in .8, 512."):
        Shapes(4)
