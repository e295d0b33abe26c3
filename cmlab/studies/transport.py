"""Optimal transport in the plane: consistency training on the ring, the noise paired or not.

independent  iCT's loss, the noise as drawn
ot           the same, the noise of each batch paired with its data by optimal transport

Half of the toy presets' batch. RMS is against the f* of the law with independent noise.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..coupling import Independent, MinibatchOT
from ..distance import PseudoHuber
from ..methods import SLCT
from ..presets import toy
from ..recipe import Recipe
from ..times import Neighbours
from ..vocabulary import Coupling
from .base import Study

STEPS, BATCH = 2000, 128


def paired(coupling: Coupling, seed: int) -> Recipe:
    """sLCT with iCT's metric, no denoising term, and this coupling."""
    recipe = toy.ict(steps=STEPS, seed=seed)
    pairs = recipe.method.pairs
    assert isinstance(pairs, Neighbours)
    method = SLCT(pairs, PseudoHuber(), c=None, coupling=coupling, denoising=0.0)
    return replace(recipe, method=method, train=replace(recipe.train, batch=BATCH))


ARMS: dict[str, Callable[[int], Recipe]] = {
    "independent": partial(paired, Independent()),
    "ot": partial(paired, MinibatchOT()),
}

STUDY = Study("transport", ARMS, looks=8)
