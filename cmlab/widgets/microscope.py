"""The tangent microscope: one batch of samples, and what each stabiliser does to its tangents."""

from math import inf, sqrt

import numpy as np

from ..checkpoint import BadFile
from ..figures.tangent import NOTHING, Tangents, long, microscope, short
from ..presets import toy
from ..studies import ranged, read
from ..studies.stabilisers import STUDY, Arm
from ..tangent import Tangent
from .base import Explorer, Picture, choice, slider
from .specimens import PRECOND, PRIORS, SAMPLES, TEACHERS, TIMES, TOLD, WEIGHTS, batch, brackets
from .tangent_runs import BOUNDS, EMBEDS, Retrain

__all__ = ["Retrain", "explorer", "tangents"]

SAMPLE, EXACT = TEACHERS
DRAWN, TRAINED, TRUE = WEIGHTS
PROMISES = {"norm": 1.0, "RMS": sqrt(2), "clip": sqrt(2), "none": inf}  # of ‖g‖, D being 2


def explorer() -> Explorer:
    """Knobs: `embed`, `told`, `weights`, `teacher`, `bound`, `prior` and `r` (the warm-up)."""
    knobs = {
        "embed": choice("time features", tuple(EMBEDS)),
        "told": choice("the network is told", tuple(TOLD)),
        "weights": choice("weights", tuple(WEIGHTS)),
        "teacher": choice("teacher", tuple(TEACHERS)),
        "bound": choice("bound", tuple(BOUNDS)),
        "prior": choice("prior weight", tuple(PRIORS)),
        "r": slider("warm-up r", 1.0, 0.0, 1.0, 0.05),
    }
    return Explorer(picture, knobs)


def picture(
    embed: str, told: str, weights: str, teacher: str, bound: str, prior: str, r: float
) -> Picture:
    """The batch's tangents under these ingredients."""
    seen = tangents(embed, told, weights, teacher, bound, prior, r)
    lines = [parts(seen), *remarks(seen, weights, teacher), left(seen, bound)]
    if weights != TRUE:
        lines += outcome(embed, told, teacher, bound, prior)
    return Picture(microscope(seen, bound), "\n".join(lines))


def tangents(
    embed: str, told: str, weights: str, teacher: str, bound: str, prior: str, r: float
) -> Tangents:
    """g of every sample, in its two parts and bounded."""
    first, second = brackets(embed, told, weights, teacher, prior)
    second = r * second
    bounded = BOUNDS[bound]((first + second).flatten(0, 1)).reshape(first.shape)
    t = batch()[1].reshape(TIMES, SAMPLES)[:, 0]
    arrays = (v.numpy() for v in (first, second, bounded))
    return Tangents(t.numpy(), *arrays, promise=PROMISES[bound])


def parts(seen: Tangents) -> str:
    """The longest tangent, where it is and which bracket makes it."""
    t = float(seen.t[seen.longest[0]])
    level = PRECOND.process.sigma_data * np.tan(t)
    lengths = [long(v) for v in (seen.g, seen.first, seen.second)]
    g, first, second = (short(v[seen.longest]) for v in lengths)
    middle = [short(float(np.median(v))) for v in lengths]
    return (
        f"Longest tangent ‖g‖ = {g} at t = {t:.2f} (noise level {level:.2g}): "
        f"first bracket {first}, second {second}. "
        f"Medians: ‖g‖ {middle[0]}, brackets {middle[1]} and {middle[2]}."
    )


def remarks(seen: Tangents, weights: str, teacher: str) -> list[str]:
    """What a learner might take for a fault."""
    if weights != TRUE:
        return []
    says = "f* has no time features and is told nothing: the first two knobs do nothing here."
    if long(seen.g).max() < NOTHING:
        return [f"{says} Along its exact path f* stays the same, and g is rounding alone."]
    if teacher == SAMPLE and seen.second.any():
        return [f"{says} One sample is not the exact velocity: that noise is all of g."]
    return [f"{says} Only both brackets together cancel."]


def left(seen: Tangents, bound: str) -> str:
    """What the bound lets through, and what the weight would even out."""
    g, after, loss = long(seen.g), long(seen.bounded), seen.loss
    told = (
        f"Bound {bound}: longest {short(g.max())} → {short(after.max())}, "
        f"median {short(float(np.median(g)))} → {short(float(np.median(after)))}."
        if np.isfinite(seen.promise)
        else "No bound: the gradient gets them as they are."
    )
    return f"{told} E‖g‖²/D by time: {short(loss.min())} to {short(loss.max())}; times e^(w*), 1."


def outcome(embed: str, told: str, teacher: str, bound: str, prior: str) -> list[str]:
    """What training with these ingredients came to, where it was recorded."""
    preset = toy.scd if teacher == EXACT else toy.sct
    wanted = (EMBEDS[embed], TOLD[told], BOUNDS[bound], PRIORS[prior], preset, Tangent(), True)
    for name, arm in STUDY.arms.items():
        if isinstance(arm, Arm) and ingredients(arm) == wanted:
            return recorded(name, arm.title)
    return []


def ingredients(arm: Arm) -> tuple[object, ...]:
    """What the knobs choose, warm-up apart."""
    return (arm.embed, arm.told, arm.bound, arm.prior, arm.preset, arm.slope, arm.learned)


def recorded(name: str, title: str) -> list[str]:
    try:
        found = read("stabilisers", name)
    except BadFile:
        return []
    longest = found["tangent"][:, -1, :, 2].max(1)
    form = ".3g" if longest.max() < 1000 else ",.0f"
    return [
        f"Recorded after {found['steps'][0, -1]} steps ({title}; {len(longest)} seeds): RMS "
        f"error {ranged(found.score('rmse'), '.3g')}, longest tangent {ranged(longest, form)}."
    ]
