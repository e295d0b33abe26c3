"""Outlier bench: move one point of a cloud and see where each loss puts the centre."""

from functools import lru_cache

import torch
from torch import Tensor

from ..distance import L1, Cauchy, GemanMcClure, PseudoHuber, SquaredL2
from ..evaluate.centre import Centres, centres, weigh
from ..figures.outliers import Scene, bench, miss
from ..vocabulary import Metric
from .base import Explorer, Picture, log_slider, slider

REACH, SPREAD = 6.0, 0.5  # of the plane shown, and of the clean points
STRAYS = (3.0, 2.0)  # where the strays lie: one that pulls to all sides alike moves no mean
STARTS = 12


def losses(c: float) -> dict[str, Metric]:
    """The five losses by name, three of them with this c."""
    return {
        "squared L2": SquaredL2(),
        "L1": L1(),
        "pseudo-Huber": PseudoHuber(c),
        "Cauchy": Cauchy(c),
        "Geman–McClure": GemanMcClure(c),
    }


@lru_cache(maxsize=2)
def draws(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Standard normal draws for the clean points and the strays: more points add to fewer."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.randn(100, 2, generator=g, dtype=torch.float64)
    return clean, torch.randn(100, 2, generator=g, dtype=torch.float64)


def explorer() -> Explorer:
    """Knobs: `x`, `y` of your outlier, `c`, `share` of strays in per cent, and `points`."""
    knobs = {
        "x": slider("your outlier: x₁ (data units)", 4.5, -6.0, 6.0, 0.25),
        "y": slider("your outlier: x₂ (data units)", -3.0, -6.0, 6.0, 0.25),
        "c": log_slider("c (data units)", 0.5, 0.05, 5.0),
        "share": slider("strays (% of the points)", 10, 0, 30, 2),
        "points": slider("points of the cloud", 20, 10, 80, 5),
    }
    return Explorer(picture, knobs)


def picture(x: float, y: float, c: float, share: int, points: int) -> Picture:
    """The cloud, its strays, your outlier, and the centre of each loss."""
    (clean, far), count = draws(), round(share / 100 * points)
    clean, strays = SPREAD * clean[: points - count], far[:count] + torch.tensor(STRAYS)
    moved = torch.tensor([x, y], dtype=torch.float64)
    everything = torch.cat([moved[None], strays, clean])
    found = {name: minima(metric, everything) for name, metric in losses(c).items()}
    scene = Scene(clean, strays, moved, {name: f.places for name, f in found.items()})
    return Picture(bench(scene, REACH, close=1.25), reading(scene, everything, c))


def minima(metric: Metric, points: Tensor) -> Centres:
    """Minima from the mean and, where there can be several, from a dozen of the points."""
    several = isinstance(metric, Cauchy | GemanMcClure)
    some = points[:: max(1, len(points) // STARTS)]
    return centres(metric, points, some if several else None, tolerance=1e-5)


def reading(scene: Scene, points: Tensor, c: float) -> str:
    """What the bench shows, in three lines."""
    off = {name: miss(scene, name) for name in scene.minima}
    order = sorted(off, key=lambda name: off[name])
    shown = [f"{name} {share:.1%}" for name, share in weights(scene, points, c).items()]
    wells = ", ".join(f"{name} {len(scene.minima[name])}" for name in ("Cauchy", "Geman–McClure"))
    return (
        f"The centre of {order[0]} is nearest to the clean mean (+), {off[order[0]]:.2f} off; "
        f"that of {order[-1]} is {off[order[-1]]:.2f} off.\n"
        f"Weight of your outlier at the centre, of all weight: {', '.join(shown)}.\n"
        f"Local minima found: {wells}; small hollow markers are the higher ones. "
        "The other three losses are convex and have one."
    )


def weights(scene: Scene, points: Tensor, c: float) -> dict[str, float]:
    """The share of all weight that the moved point, the first of `points`, has at the centre."""
    found = {}
    for name, metric in losses(c).items():
        if not isinstance(metric, L1):  # it has no one weight: it weighs each coordinate
            w = weigh(metric, points - scene.minima[name][0])[1]
            found[name] = float(w[0] / w.sum())
    return found
