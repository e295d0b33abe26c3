"""The judge of photographs: a generator that copies is told from one that does not."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cmlab.metrics.feature_extractors import Space

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import judge_photographs as judge


@dataclass(frozen=True)
class Coarse(Space):
    """Features of a picture: its colours on a grid of 4 × 4."""

    name = "coarse"
    size = 48

    def open(self, device):
        return lambda u: torch.nn.functional.avg_pool2d(u.float(), 8).flatten(1)


def photographs(n, seed):
    coarse = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    return (smooth * 60 + 128).clamp(0, 255).to(torch.uint8)


TRAIN, TEST, NEW = photographs(400, 0), photographs(300, 1), photographs(300, 2)


def test_a_copy_is_found_mirrored_or_not_and_named_by_its_hash():
    made = NEW.clone()
    made[7], made[9] = TRAIN[33], TRAIN[44].flip(-1)
    found = judge.compared(made, TEST, TRAIN, Coarse())
    assert {row["sample"] for row in found["closest"][:2]} == {7, 9}
    assert all(row["distance"] == row["pixels"] == 0 for row in found["closest"][:2])
    assert found["closest"][2]["distance"] > 0
    names = {judge.sha256(TRAIN[i].numpy().tobytes()).hexdigest()[:16] for i in (33, 44)}
    assert {row["training"] for row in found["closest"][:2]} == names


def test_a_generator_that_copies_is_nearer_than_test_images_and_another_is_not():
    copies = judge.compared(TRAIN[:300], TEST, TRAIN, Coarse())
    fresh = judge.compared(NEW, TEST, TRAIN, Coarse())
    assert copies["nearer"] == 1 and fresh["nearer"] < 0.05
    assert abs(fresh["generated"]["0.5"] / fresh["test"]["0.5"] - 1) < 0.1


def test_the_sheet_has_the_classes_side_by_side():
    x = (torch.arange(100) % 10 * 20).to(torch.uint8)[:, None, None, None].expand(100, 3, 4, 4)
    pixels = np.asarray(judge.sheet(x))
    assert pixels.shape == (50, 50, 3) and (pixels[4::5] == 255).all()
    assert pixels[0, ::5, 0].tolist() == pixels[45, ::5, 0].tolist() == list(range(0, 200, 20))
