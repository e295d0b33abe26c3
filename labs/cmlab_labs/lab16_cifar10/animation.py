"""Animation of lab 16: pictures from between two noise vectors, mixed in two ways."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmlab.methods.editing import slerp
from cmlab.metrics.plots import STUDENT, WRONG

from ..common.animation import (
    INK,
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    picture,
    text_labels,
)
from ..common.generators import Generator, shipped
from .explorer import few_steps, noise

PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))  # seeds of the noise vectors
ASKED = (0, 1, 7, 8, 9)  # the class of each pair
FRAMES, QUALITY = 21, 88
SHARE = "share of the second noise (no unit)"


def lerp(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    """(1 - s) z1 + s z2, the straight way."""
    return (1 - share) * z1 + share * z2


Norms = dict[str, list[float]]  # the strength of the noise at each share, by way


@torch.no_grad()
def strips(generator: Generator, share: float) -> Tensor:
    """One-call pictures of each pair of noises at this share, both ways, (2, pairs, 3, h, w)."""
    shape, made = generator.data.shape, []
    for mix in (slerp, lerp):
        z = torch.cat([mix(noise(a, shape), noise(b, shape), share) for a, b in PAIRS])
        f = lambda x_t, t: generator.model(x_t, t, torch.tensor(ASKED))  # noqa: E731
        made.append(few_steps(generator)(generator.model.process, f, z, 1))
    return torch.stack(made)


def pixels(row: Tensor) -> np.ndarray:
    """Pictures (n, 3, h, w) in [-1, 1] side by side."""
    wide = torch.cat(list(row), 2).clamp(-1, 1)
    return ((wide + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()


def strength(mix: Any, share: float, shape: tuple[int, ...]) -> float:
    """‖z‖ / √d of the mixed noise, its mean over the pairs."""
    mixed = [mix(noise(a, shape), noise(b, shape), share) for a, b in PAIRS]
    return float(torch.cat(mixed).square().mean().sqrt())


@animation
def between_noises() -> Moving:
    """Pictures on the great circle and on the straight way between two noises."""
    generator = shipped()
    shares = np.linspace(0, 1, FRAMES).round(3).tolist()
    shape = generator.data.shape
    norms = {name: [strength(mix, s, shape) for s in shares]
             for name, mix in (("great circle", slerp), ("straight", lerp))}  # fmt: skip
    shots = [frame(generator, k, shares, norms) for k in range(FRAMES)]
    wide = len(PAIRS)
    still = [text_labels([0, 0], [2.5, 1], ["great circle", "straight mix"], INK,
                         side="top right")]  # fmt: skip
    still += [text_labels([0.35], [1.035], ["great circle"], ink(STUDENT), 1)]
    still += [text_labels([0.4], [0.74], ["straight mix"], ink(WRONG), 1)]
    panels = [
        Panel("", "", (-0.05, wide + 0.05), (-0.05, 3), square=True, bare=True),
        Panel(SHARE, "strength ‖z‖/√d (no unit)", (-0.02, 1.02), (0.6, 1.1)),
    ]
    finding = "Between two noise vectors lie pictures between two; a straight mix is too weak"
    return moving("between", finding, SHARE, panels, still, shots, 6, (0, 6))


def frame(generator: Generator, k: int, shares: list[float], norms: Norms) -> Shot:
    """One share: both rows of pictures, and the strength of the noise so far."""
    s, rows = shares[k], strips(generator, shares[k])
    wide = len(PAIRS)
    pictures = [
        picture(pixels(row), (0, low, wide, 1), quality=QUALITY)
        for row, low in zip(rows, (1.5, 0), strict=True)
    ]
    traces = []
    for (_, row), role in zip(norms.items(), (STUDENT, WRONG), strict=True):
        traces += [line(shares[: k + 1], row[: k + 1], role, 1), dots([s], [row[k]], role, 1, 11)]
    apart = float((rows[0] - rows[1]).square().mean().sqrt())
    weak = norms["straight"][k]
    reading = (
        f"With {s:.0%} of the second noise the straight mix has {weak:.2f} of the strength of "
        f"noise; the pictures of both ways differ by {apart:.3f} (RMS, of a range of 2)."
    )
    titles = f"One call from noise mixed {1 - s:.0%} to {s:.0%}", f"Straight mix: {weak:.2f} of it"
    return Shot(f"{s:g}", reading, titles, traces, pictures)
