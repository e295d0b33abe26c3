"""Explorers of lab 12 (sLCT): impulsive noise in latents, and optimal transport of noise."""

from functools import lru_cache
from math import sqrt

import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.losses import SquaredL2
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Cauchy
from cmlab.ops import seeded
from cmlab.presets.latent import DIGITS

from ..common.explorer import Explorer, Picture, choice, log_slider, slider
from .analysis import (
    COUPLINGS,
    c_of,
    cost_ratio,
    impulsiveness,
    influence,
    target_variance,
)
from .figures import ImpulseScene, impulses, pairing

CPU = torch.device("cpu")
SAMPLES = 400
POINTS = [11, 21, 41, 81, 161, 321, 641]
SOURCES = ["digits, latents", "digits, pixels", "normal distribution"]


@lru_cache(maxsize=8)
def elements(source: str) -> Tensor:
    """Standardised samples (400, coordinates), every channel with standard deviation 0.5."""
    with seeded(CPU, 5):
        if source == "digits, latents":
            return DIGITS.sample(SAMPLES)[0].flatten(1)
        if source == "digits, pixels":
            x = DIGITS.data.sample(SAMPLES)[0].flatten(1)
            return 0.5 * (x - x.mean()) / x.std()
        return 0.5 * torch.randn(SAMPLES, 64)


@lru_cache(maxsize=16)
def with_impulses(source: str, percent: float, factor: float) -> Tensor:
    """The same, with impulses."""
    x = elements(source)
    with seeded(CPU, 6):
        hit = torch.rand(x.shape) < percent / 100
    return torch.where(hit, factor * x, x)


def latent_bench() -> Explorer:
    """Knobs: `source`, `share` and `factor` of impulses, `points` (N), `size` of a residual."""
    knobs = {
        "source": choice("elements", SOURCES),
        "share": slider("impulses (% of the elements)", 0.1, 0.0, 1.0, 0.05),
        "factor": slider("size of an impulse (factor)", 50, 1, 100, 1),
        "points": choice("N (points of the grid)", POINTS, 41),
        "size": log_slider("residual of a clean sample (RMS)", 0.02, 1e-4, 1.0),
    }
    return Explorer(picture, knobs)


def picture(source: str, share: float, factor: int, points: int, size: float) -> Picture:
    """Elements with fences, and the influence of residuals that grow with their samples.

    A sample of the clean data's mean length has a residual of RMS `size`: a model, no training.
    """
    x, clean = with_impulses(source, round(share, 2), factor), elements(source)
    root = sqrt(x.shape[1])
    c = c_of(points - 1) * root
    lengths = size * root * x.norm(dim=1) / clean.norm(dim=1).mean()
    losses = {"squared L2": SquaredL2(), "pseudo-Huber": PseudoHuber(0.00054 * sqrt(x.shape[1])),
              "Cauchy": Cauchy(c)}  # fmt: skip
    found = impulsiveness(x)
    scene = ImpulseScene(x.flatten(), lengths, losses, c)
    kurtosis = f"{found.kurtosis:.1f}" if found.kurtosis < 100 else f"{found.kurtosis:.0f}"
    title = f"{found.outer:.2%} lie beyond the outer fence; the kurtosis is {kurtosis}"
    hit = (x != clean).any(1)
    shares = ", ".join(
        f"{name} {share_of_influence(influence(metric, lengths), hit):.1%}"
        for name, metric in losses.items()
    )
    return Picture(impulses(scene, title), reading(found.inner, found.reach, hit, shares, c))


def share_of_influence(force: Tensor, hit: Tensor) -> float:
    return float(force[hit].sum() / force.sum())


def reading(inner: float, reach: float, hit: Tensor, shares: str, c: float) -> str:
    return (
        f"Beyond the inner fence: {inner:.2%} (normal distribution: 0.70%). The farthest element "
        f"lies {reach:.1f} interquartile ranges from the median.\n"
        f"{float(hit.double().mean()):.1%} of the samples contain an impulse. Their share of the "
        f"whole pull: {shares}.\n"
        f"The Cauchy pull is largest at a length of {sqrt(2) * c:.3g}, the dotted line: √2 c(N) "
        "for one coordinate, times the square root of their number."
    )


def transport_bench() -> Explorer:
    """Knobs: `batch`, `t` the noise level, and `seed` of the draw."""
    knobs = {
        "batch": slider("batch", 64, 4, 256, 4),
        "t": log_slider("noise level t (data units)", 0.8, 0.05, 10.0),
        "seed": slider("draw", 0, 0, 20),
    }
    return Explorer(transport_picture, knobs)


def transport_picture(batch: int, t: float, seed: int) -> Picture:
    """One batch of the ring, paired both ways."""
    with seeded(CPU, 9, seed):
        x = Ring().sample(batch)[0]
        z = torch.randn(batch, 2)
    pairs = {name: coupling(x, z) for name, coupling in COUPLINGS.items()}
    x_t = {name: x + t * noise for name, noise in pairs.items()}
    ratio = cost_ratio(x, z)
    near = min(4, batch - 1)
    spread = [target_variance(x, y, near) for y in x_t.values()]
    figure = pairing(
        x, pairs, x_t, t, f"Optimal transport reduces the cost of the pairs to {ratio:.0%}"
    )
    return Picture(
        figure,
        f"With transport the mean squared length of a pair is {ratio:.0%} of that of independent "
        "pairs.\n"
        f"Variance of x among the {near} nearest points x + t z: {spread[0]:.3f} with independent "
        f"pairs, {spread[1]:.3f} with transport.\n"
        "The noise vectors are the same, in another order: their distribution is unchanged, but "
        "the joint distribution of data and noise is not.",
    )
