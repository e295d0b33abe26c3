"""Sliding windows: a denoiser of short clips applied to a long canvas, overlaps averaged.

    D(x_t, t) on the canvas = argmin_X Σ_i ‖√w (crop_i(X) - D(crop_i(x_t), t))‖²

The least squares have a closed form: each cell is the mean of the answers of the windows over it,
weighted by w (MultiDiffusion, Bar-Tal et al. 2023; MusicCM, Fei et al. 2024: there w = 1). A w
that falls nearly to 0 at a window's ends, `taper`, leaves little of a jump there; that w is ours.
`fused_denoiser` makes a denoiser of it, so every sampler takes it, and noise is drawn once, on the
canvas: the mean of k windows' own noises would have 1/√k of the size. The canvas runs along the
last axis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.ops import expand
from cmlab.process import Process
from cmlab.sampling import FewSteps, multistep
from cmlab.types import Data, Denoise


def starts(length: int, window: int, step: int) -> list[int]:
    """First cells of the windows: every `step`, and the last at length - window in any case.

    (length - window) / step + 1 of them where that is whole. Raises ValueError for a canvas
    shorter than a window, or a step that skips cells or stands still.
    """
    if length < window:
        raise ValueError(
            f"a canvas of {length} is shorter than a window of {window}: make it longer"
        )
    if not 1 <= step <= window:
        raise ValueError(f"windows of {window} take a step of 1 to {window}, not {step}")
    last = length - window
    return [*range(0, last, step), last]


def crops(x: Tensor, at: Sequence[int], window: int) -> list[Tensor]:
    """The canvas (…, length) seen through each window, (…, window)."""
    return [x[..., first : first + window] for first in at]


def taper(window: int) -> Tensor:
    """Weights (window,) of a window's cells, sin² from nearly 0 at both ends to 1 between."""
    return ((torch.arange(window) + 0.5) * torch.pi / window).sin() ** 2


def fuse(
    windows: Sequence[Tensor], at: Sequence[int], length: int, weight: Tensor | None = None
) -> Tensor:
    """The canvas (…, length) that fits all windows (…, window) best: the mean over each cell.

    weight (window,), positive, says how much each cell of a window counts; None is alike.
    """
    total = windows[0].new_zeros(*windows[0].shape[:-1], length)
    count = windows[0].new_zeros(length)
    for first, part in zip(at, windows, strict=True):
        w = torch.ones_like(count[: part.shape[-1]]) if weight is None else weight.to(part)
        total[..., first : first + part.shape[-1]] += w * part
        count[first : first + part.shape[-1]] += w
    return total / count


def fused_denoiser(
    denoise: Denoise, window: int, step: int, weight: Tensor | None = None
) -> Denoise:
    """A denoiser of canvases of any length, from one of clips of `window`."""

    def canvas(x_t: Tensor, t: Tensor) -> Tensor:
        length = x_t.shape[-1]
        at = starts(length, window, step)
        return fuse([denoise(part, t) for part in crops(x_t, at, window)], at, length, weight)

    return canvas


def seams(length: int, window: int, step: int) -> list[int]:
    """The cells in which a window begins or the one before has ended, ascending."""
    at = starts(length, window, step)
    return sorted({*at[1:], *(first + window for first in at[:-1])} - {length})


def averaged_noise(like: Tensor, window: int, step: int) -> Tensor:
    """Noise of each window's own, fused: too small by 1/√k where k windows lie. A mistake."""
    length = like.shape[-1]
    at = starts(length, window, step)
    return fuse([torch.randn_like(part) for part in crops(like, at, window)], at, length)


@dataclass(frozen=True)
class PerWindowNoise:
    """A sampler that draws noise for each window and averages it. The mistake, to compare with."""

    levels: FewSteps
    window: int
    step: int

    @property
    def sigma_max(self) -> float:
        return self.levels.sigma_max

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        times = process.time(self.levels.levels(calls)).to(z)
        _, sigma = process(times[:1].repeat(len(z)))

        def noise(x: Tensor) -> Tensor:
            return averaged_noise(x, self.window, self.step)

        *_, x = multistep(process, denoise, expand(sigma, z) * noise(z), times, noise)
        return x


def side_by_side(
    draw: Callable[[Tensor], Tensor], z: Data, window: int, step: int
) -> tuple[Data, list[int]]:
    """Clips drawn each on its own from its part of z, cut in mid-overlap; and where the cuts are.

    Nothing is shared but the noise under the overlaps.
    """
    length = z.shape[-1]
    at = starts(length, window, step)
    clips = [draw(part) for part in crops(z, at, window)]
    cuts = [(a + window + b) // 2 for a, b in zip(at, at[1:], strict=False)]
    edges = [0, *cuts, length]
    parts = [
        clip[..., low - first : high - first]
        for clip, first, low, high in zip(clips, at, edges, edges[1:], strict=False)
    ]
    return torch.cat(parts, -1), cuts
