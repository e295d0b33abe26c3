"""Scores of generated music: spectral distance, pitch accuracy, and seam error of long clips.

spectral distance  Fréchet distance between patches of 8 columns, each reduced to its 24 leading
                   principal components, those of the training pictures; unit: that of x, squared
pitch accuracy     share of columns whose chord is the one that the loop asks for there, the loop
                   laid so that it fits best; a linear map, fitted to the training pictures,
                   names the chord of a column. The corpus's own clips do not reach 1 either
seam error         mean |jump| from one column to the next at the windows' borders, divided by the
                   mean of all other jumps

Long clips are made from overlapping windows in four ways:

side by side  every window on its own, from noise of its own, cut in mid-overlap
fused         one canvas, one noise, the windows' answers averaged at each call
tapered       fused, each window counting less and less towards its ends
own noise     fused, but each window draws its noise and these are averaged too: the mistake
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from cmlab.ingredients import ingredient
from cmlab.metrics.frechet import frechet
from cmlab.model import Model
from cmlab.ops import seeded
from cmlab.sampling import FewSteps, Sampler
from cmlab.types import Data, Samples, Seed

from .data import BEAT, CHORDS, COLUMNS, LOOPS, Tunes
from .windows import PerWindowNoise, fused_denoiser, seams, side_by_side, taper

# Scores of generated music: spectral distance, pitch accuracy, and seam error of long clips

CALLS = (1, 2, 4, 8)
PATCH, PARTS = 8, 24  # columns of a patch, principal components kept
NAMES = tuple(CHORDS)


@cache
def basis(sound_of: Tunes) -> tuple[Tensor, Tensor]:
    """Mean (d,) and leading principal directions (PARTS, d) of the corpus's patches."""
    flat = patches(sound_of.pictures[:, None]).double()
    mean = flat.mean(0)
    _, vectors = torch.linalg.eigh((flat - mean).T.cov())
    return mean, vectors[:, -PARTS:].T


def patches(x: Data) -> Tensor:
    """Every patch of clips (n, 1, bands, columns), half overlapping, (patches, bands · PATCH)."""
    cut = x[:, 0].unfold(2, PATCH, PATCH // 2)  # (n, bands, places, PATCH)
    return cut.transpose(1, 2).flatten(2).flatten(0, 1)


def features(x: Data, corpus: Tunes = Tunes()) -> Tensor:  # noqa: B008 (frozen)
    """The patches' principal components, (patches, PARTS)."""
    mean, directions = basis(corpus)
    return (patches(x).double() - mean) @ directions.T


def spectral_distance(x: Tensor, held_out: Tensor) -> float:
    """From generated clips to held-out ones, (n, 1, bands, columns) each. Raises ValueError."""
    if not len(x) or not len(held_out):
        raise ValueError("no clips, no distance: give some of each kind")
    return frechet(features(x), features(held_out))


def chords_of(labels: Tensor, turn: Tensor | int, columns: int = COLUMNS) -> Tensor:
    """The chords of loops that are `turn` columns on, column by column: (n, columns) of NAMES."""
    table = torch.tensor([[NAMES.index(name) for name in loop] for loop in LOOPS])
    beat = (torch.arange(columns) + torch.as_tensor(turn).reshape(-1, 1)) // BEAT % 4
    return table[labels].gather(1, beat.expand(len(labels), -1))


@cache
def chord_map(corpus: Tunes) -> Tensor:
    """The linear map from a column (bands + 1) to the chords' shares, by least squares."""
    x = corpus.pictures.transpose(1, 2).flatten(0, 1).double()
    sounding = corpus.rolls.flatten(0, 1)
    notes = torch.zeros(len(NAMES), 128, dtype=torch.bool)
    for row, name in zip(notes, NAMES, strict=True):
        row[list(CHORDS[name])] = True
    shares = (sounding[:, None] & notes).sum(2).eq(3).double()
    return torch.linalg.lstsq(with_bias(x), shares, driver="gelsd").solution


def with_bias(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def recognized_chords(x: Data, corpus: Tunes = Tunes()) -> Tensor:  # noqa: B008 (frozen)
    """The chord of each column of clips (n, 1, bands, columns), (n, columns) into NAMES."""
    rows = x[:, 0].transpose(1, 2).flatten(0, 1).double()
    return (with_bias(rows) @ chord_map(corpus)).argmax(1).reshape(len(x), -1)


def pitch_accuracy(x: Data, labels: Tensor) -> float:
    """Mean share of columns with the right chord, over clips (n, 1, bands, columns)."""
    found = recognized_chords(x)
    fits = [
        (found == chords_of(labels, turn, found.shape[1])).double().mean(1)
        for turn in range(4 * BEAT)
    ]
    return float(torch.stack(fits).amax(0).mean())


def seam_error(x: Data, borders: Sequence[int]) -> float:
    """Jumps into the columns `borders` over all other jumps. Raises ValueError without any."""
    jumps = x.diff(dim=-1).abs().mean((0, 1, 2))  # jump k leads into column k + 1
    at = torch.zeros(len(jumps), dtype=torch.bool)
    inside = [b - 1 for b in borders if 0 < b <= len(jumps)]
    if not inside:
        raise ValueError("there is no seam to measure: give borders inside the canvas")
    at[inside] = True
    return float(jumps[at].mean() / jumps[~at].mean())


Draw = Callable[[Tensor, Tensor], Tensor]  # (z, labels) -> clips


@ingredient
@dataclass(frozen=True)
class MusicEvaluator:
    """Evaluator of music: spectral distance of `n` clips to held-out ones, and pitch accuracy.

    In 1, 2, 4 and 8 calls: sd1 … sd8 and pitch1 … pitch8; sd_floor and pitch_floor are
    those of training clips.
    """

    n: Samples = 256
    seed: Seed = 0

    def __call__(self, model: Model, data: Any, sampler: Sampler) -> dict[str, float]:
        scores = {"floor": self.of(*Tunes().sample(self.n, torch.Generator().manual_seed(9)))}
        for calls in CALLS:
            scores[str(calls)] = self.score(
                lambda z, c, calls=calls: sampler(
                    model.process, lambda x_t, t: model(x_t, t, c), z, calls
                )
            )
        return {
            f"{name}{'_' * (way == 'floor')}{way}": value
            for way, pair in scores.items()
            for name, value in zip(("sd", "pitch"), pair, strict=True)
        }

    @torch.no_grad()
    def score(self, draw: Draw) -> tuple[float, float]:
        """Distance and accuracy of what `draw` makes of a fixed noise, labels in turn."""
        with seeded(torch.device("cpu"), self.seed):
            z, labels = torch.randn(self.n, *Tunes().shape), torch.arange(self.n) % len(LOOPS)
            return self.of(draw(z, labels), labels)

    def of(self, x: Data, labels: Tensor) -> tuple[float, float]:
        """Distance and accuracy of these clips."""
        return spectral_distance(x, held_out()), pitch_accuracy(x, labels)


@cache
def held_out(n: int = 512) -> Data:
    """Clips of the held-out pieces, always the same."""
    return Tunes(train=False).sample(n, torch.Generator().manual_seed(1))[0]


# Long clips from overlapping windows in four ways, and their seam errors

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
        draw = PerWindowNoise(sampler, COLUMNS, step) if way == WAYS[3] else sampler
        weight = taper(COLUMNS) if way == WAYS[2] else None
        x = draw(model.process, fused_denoiser(f, COLUMNS, step, weight), z, calls)
        return LongClip(x, seams(length, COLUMNS, step))


def model_bands(model: Model) -> int:
    """Number of mel bands that the model's network takes."""
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
