"""Long clips in four ways, and how loud their seams are.

side by side  every window on its own, from noise of its own, cut in mid-overlap
fused         one canvas, one noise, the windows' answers averaged at each call
tapered       fused, each window counting less and less towards its ends
own noise     fused, but each window draws its noise and these are averaged too: the mistake
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.tunes import COLUMNS, LOOPS
from ..model import Model
from ..ops import seeded
from ..sample import FewSteps
from ..vocabulary import Data
from ..windows import OwnNoise, fused, seams, side_by_side, taper
from .music import pitch_accuracy, seam_error

LENGTH = 160  # columns of a long clip: 5.1 s
OVERLAPS = (0, 8, 16, 32, 48)  # columns that two windows share
WAYS = ("side by side", "fused", "tapered", "own noise")


@dataclass(frozen=True)
class LongClip:
    """Clips (n, 1, bands, length), and the columns at which windows meet."""

    x: Data
    borders: list[int]

    @property
    def seam_error(self) -> float:
        """Jumps at the borders over those elsewhere."""
        return seam_error(self.x, self.borders)


@torch.no_grad()
def long_clip(
    model: Model, sampler: FewSteps, way: str, overlap: int, calls: int, labels: Tensor,
    seed: int = 0, length: int = LENGTH,
) -> LongClip:  # fmt: skip
    """One long clip for each label (n,), by one of WAYS, its noise a function of the seed."""
    step, bands = COLUMNS - overlap, model_bands(model)

    def f(x_t: Tensor, t: Tensor) -> Tensor:
        return model(x_t, t, labels)

    def alone(part: Tensor) -> Tensor:
        return sampler(model.process, f, torch.randn_like(part), calls)

    with seeded(torch.device("cpu"), seed):
        z = torch.randn(len(labels), 1, bands, length)
        if way == WAYS[0]:
            return LongClip(*side_by_side(alone, z, COLUMNS, step))
        draw = OwnNoise(sampler, COLUMNS, step) if way == WAYS[3] else sampler
        weight = taper(COLUMNS) if way == WAYS[2] else None
        x = draw(model.process, fused(f, COLUMNS, step, weight), z, calls)
        return LongClip(x, seams(length, COLUMNS, step))


def model_bands(model: Model) -> int:
    """How many rows the pictures have that its network takes."""
    return int(model.net.bands)  # type: ignore[attr-defined]


def by_overlap(
    model: Model, sampler: FewSteps, calls: int = 4, n: int = 32, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Seam error and pitch accuracy of n long clips, (WAYS, OVERLAPS) each; labels in turn."""
    labels = torch.arange(n) % len(LOOPS)
    clips = [
        [long_clip(model, sampler, way, o, calls, labels, seed) for o in OVERLAPS] for way in WAYS
    ]
    seams_ = [[clip.seam_error for clip in row] for row in clips]
    chords = [[pitch_accuracy(clip.x, labels) for clip in row] for row in clips]
    return torch.tensor(seams_).double(), torch.tensor(chords).double()
