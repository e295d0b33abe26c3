"""The patch distance: 0 between a set and itself, and each level answers for its own size."""

import pytest
import torch
from torch.nn import functional

from cmlab.data.shapes import Shapes
from cmlab.metrics.evaluators import ShapesEvaluator
from cmlab.metrics.patches import patch_distance, patches, pyramid
from cmlab.presets import shapes


@pytest.fixture(scope="module")
def pictures():
    g = torch.Generator().manual_seed(0)
    return Shapes().sample(200, g)[0], Shapes().sample(200, g)[0]


def test_a_pyramid_adds_up_to_the_picture(pictures):
    levels = pyramid(pictures[0], 3)
    assert [v.shape[-1] for v in levels] == [32, 16, 8]
    x = levels[-1]
    for detail in reversed(levels[:-1]):
        x = detail + functional.interpolate(x, scale_factor=2, mode="bilinear")
    assert torch.allclose(x, pictures[0], atol=1e-6)


def test_patches_are_pieces_of_their_picture():
    x = torch.arange(2 * 64.0).reshape(2, 1, 8, 8)
    found = patches(x, 0).reshape(2, -1, 7, 7)
    assert found[0].max() <= 63 < 64 <= found[1].min()
    assert torch.equal(found[..., 0, 1], found[..., 0, 0] + 1)
    assert torch.equal(found[..., 1, 0], found[..., 0, 0] + 8)


def test_a_set_is_at_no_distance_from_itself_and_at_little_from_its_like(pictures):
    x, y = pictures
    assert max(patch_distance(x, x)) == 0
    assert max(patch_distance(x, y)) < 0.1
    assert patch_distance(x, y) == pytest.approx(patch_distance(y, x))


def test_blur_shows_in_the_finest_level_and_a_shift_of_colour_in_the_coarsest(pictures):
    x, y = pictures
    blurred = functional.avg_pool2d(functional.pad(y, (1, 1, 1, 1), mode="replicate"), 3, 1)
    like, blur = patch_distance(x, y), patch_distance(x, blurred)
    shift = patch_distance(x, y - 0.3)
    assert blur[0] > 3 * like[0] and blur[2] < 1.5 * like[2]
    assert shift[2] > 5 * like[2] and shift[0] == pytest.approx(like[0], rel=1e-3)


def test_sets_that_do_not_match_are_refused(pictures):
    with pytest.raises(ValueError, match="equally many"):
        patch_distance(pictures[0], pictures[1][:10])
    with pytest.raises(ValueError, match="hold no patch"):
        patch_distance(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))


def test_the_judge_puts_an_untrained_network_far_above_the_floor():
    recipe = shapes.edm(10)
    scores = ShapesEvaluator(n=100)(recipe.build(), recipe.data, recipe.sampler)
    assert scores["pd1"] > 3 * scores["pd_floor"] > 0
    assert scores == ShapesEvaluator(n=100)(recipe.build(), recipe.data, recipe.sampler)
