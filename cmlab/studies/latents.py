"""Digits in latents: iCT and sLCT, clean and with injected impulses, and sLCT part by part.

ict, huber-impulses      iCT as it is, with its pseudo-Huber loss
l2-impulses              iCT with squared L2
cauchy, cauchy-impulses  iCT with the Cauchy loss and c(N), nothing else changed
slct, slct-impulses      all of sLCT
slct-independent         sLCT without optimal transport
slct-across              sLCT whose optimal transport pairs across classes
slct-8c                  sLCT with eight times the c

Impulses multiply 0.1 % of all latent elements by 50. Judged by the clean held-out digits.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import log

from ..coupling import Independent, MinibatchOT
from ..data.impulses import Decodable, Impulses
from ..distance import SquaredL2
from ..methods import ICT
from ..nets.nonscaling import NonScaling
from ..nets.norm import Grouped
from ..presets.latent import DIGITS, STEPS, digits_ict, digits_slct, grid, improved, latent
from ..recipe import Recipe
from ..tightening import Tightening
from ..vocabulary import Coupling
from .base import Study
from .residuals import Residuals

IMPULSES = Impulses(DIGITS)


def ict(data: Decodable, seed: int) -> Recipe:
    return digits_ict(STEPS, seed, data)


def slct(data: Decodable, seed: int) -> Recipe:
    return digits_slct(STEPS, seed, data)


def squared(data: Decodable, seed: int) -> Recipe:
    """iCT with another loss."""
    return replace(ict(data, seed), method=ICT(grid(STEPS), SquaredL2()))


def cauchy(data: Decodable, seed: int) -> Recipe:
    """iCT with Cauchy and c(N): sLCT without its other parts."""
    method = replace(improved(STEPS), coupling=Independent(), denoising=0.0)
    return latent(method, STEPS, seed, Grouped(), data)


def wider(factor: float, seed: int) -> Recipe:
    """sLCT that calls things far later: c(N) times this factor."""
    method = improved(STEPS)
    c = method.c
    assert isinstance(c, Tightening) and c.first is not None
    c = replace(c, intercept=c.intercept + log(factor), first=c.first * factor)
    return latent(replace(method, c=c), STEPS, seed, NonScaling(), DIGITS)


def other_pairs(coupling: Coupling, by_class: bool, seed: int) -> Recipe:
    """sLCT with its noise paired in another way."""
    method = replace(improved(STEPS), coupling=coupling, by_class=by_class)
    return latent(method, STEPS, seed, NonScaling(), DIGITS)


ARMS: dict[str, Callable[[int], Recipe]] = {
    "ict": partial(ict, DIGITS),
    "cauchy": partial(cauchy, DIGITS),
    "slct": partial(slct, DIGITS),
    "slct-independent": partial(other_pairs, Independent(), True),
    "slct-across": partial(other_pairs, MinibatchOT(), False),
    "slct-8c": partial(wider, 8.0),
    "huber-impulses": partial(ict, IMPULSES),
    "l2-impulses": partial(squared, IMPULSES),
    "cauchy-impulses": partial(cauchy, IMPULSES),
    "slct-impulses": partial(slct, IMPULSES),
}

STUDY = Study("latents", ARMS, Residuals(), looks=7)
