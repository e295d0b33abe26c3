"""Do a curriculum over noise and a decaying momentum make pre-training faster?

An arm is a law of noise levels and a pace.

uniform     EDM's own law of levels: even over its quantiles
curriculum  from there towards N(0.3, 0.25²) over the same quantiles
constant    momentum β0 and a constant rate
both        momentum to 0, and the rate that compensates
momentum    momentum to 0, and the rate as it was
rate        the compensating rate, and momentum as it was

And the first two paces on the ring at half and twice the base rate, in a study of their own:
pace-rate in thousandths.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..by_walk import EDM_LAW
from ..data.digits import Digits
from ..presets import faster, toy
from ..recipe import Recipe
from ..times import LogNormal
from .base import Study
from .shared_noise import Scores, ToyWalks, Walks

Change = Callable[[Recipe], Recipe]
Arms = dict[str, Callable[[int], Recipe]]

RING_LEVELS = (10.0, 3.0, 1.0, 0.5, 0.25)
PICTURE_LEVELS = (80.0, 5.0, 2.0, 1.0, 0.5)


def same(recipe: Recipe) -> Recipe:
    return recipe


def momentum_alone(recipe: Recipe) -> Recipe:
    """Decay without compensation."""
    train = replace(faster.decayed(recipe).train, rate=recipe.train.rate)
    return replace(recipe, train=train)


def rate_alone(recipe: Recipe) -> Recipe:
    """The compensating rate, with nothing to compensate."""
    return replace(recipe, train=replace(faster.decayed(recipe).train, momentum=None))


PACES: dict[str, Change] = {
    "constant": same,
    "both": faster.decayed,
    "momentum": momentum_alone,
    "rate": rate_alone,
}


def arms(base: Callable[[int], Recipe], law: LogNormal, paces: tuple[str, ...]) -> Arms:
    """Every law of levels at every pace."""
    laws: dict[str, Change] = {"uniform": same, "curriculum": lambda r: faster.eased(r, law)}

    def arm(laid: Change, paced: Change, seed: int) -> Recipe:
        return paced(laid(base(seed)))

    return {
        f"{name}-{pace}": partial(arm, laid, PACES[pace])
        for name, laid in laws.items()
        for pace in paces
    }


def at_rate(pace: Change, lr: float, seed: int) -> Recipe:
    return pace(faster.plane(seed=seed, lr=lr))


TOY = Study(
    "pretraining-toy",
    arms(lambda seed: faster.plane(seed=seed), toy.LEVELS, tuple(PACES)),
    ToyWalks(toy.RING, RING_LEVELS, 512),
    looks=8,
)

RATES = Study(
    "pretraining-rates",
    {
        f"{name}-{thousandths}": partial(at_rate, PACES[name], thousandths / 1000)
        for name in ("constant", "both")
        for thousandths in (2, 8)
    },
    ToyWalks(toy.RING, (10.0,), 512),
    looks=1,
)

DIGITS = Study(
    "pretraining-digits",
    arms(lambda seed: faster.scan(seed=seed), EDM_LAW, ("constant", "both")),
    Walks(Digits(train=False), PICTURE_LEVELS, 60),
    looks=4,
)

SHAPES = Study(
    "pretraining-shapes",
    {
        "uniform-constant": lambda seed: faster.picture(seed=seed),
        "curriculum-both": lambda seed: faster.shape(seed=seed),
    },
    Scores(),
    looks=1,
)
