"""Studies of lab 08: five robust losses on a ring with outliers, evaluated on the clean ring.

Variants of `outliers` are called huber-0.05 and so on: the loss and the share of outliers. Those
of `outlier-scale` are called cauchy-0.003-0.15 and so on: the loss, its c, and the share.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cmlab.data.toy import Contaminated, Ring
from cmlab.losses import L1, GemanMcClure, SquaredL2
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Cauchy
from cmlab.metrics.evaluators import ToyEvaluator
from cmlab.presets import toy
from cmlab.train.recipe import Recipe
from cmlab.types import Metric

from ..common.observers import ErrorObserver
from ..common.studies_shared import CTVariant
from ..common.study import Study

CLEAN = Ring()
SHARES = (0.0, 0.05, 0.15)
LOSSES: dict[str, Metric] = {
    "l2": SquaredL2(),
    "l1": L1(),
    "huber": PseudoHuber(),
    "cauchy": Cauchy(0.03),
    "geman": GemanMcClure(0.1),
}


def contaminated(loss: str, share: float, seed: int) -> Recipe:
    """iCT with this loss, its data contaminated."""
    recipe = CTVariant(loss, metric=LOSSES[loss], data=Contaminated(CLEAN, share))(seed)
    return replace(recipe, evaluator=ToyEvaluator(toy.SIGMA_MIN, distribution=CLEAN))


VARIANTS: dict[str, Callable[[int], Recipe]] = {
    f"{loss}-{share:g}": partial(contaminated, loss, share) for loss in LOSSES for share in SHARES
}

STUDY = Study("outliers", VARIANTS, ErrorObserver(CLEAN))


# The two redescending losses, with a tenth of the constant c that `outliers` gives them

SHARE = 0.15
SMALLER: dict[str, Metric] = {"cauchy-0.003": Cauchy(0.003), "geman-0.01": GemanMcClure(0.01)}


def rescaled(metric: Metric, seed: int) -> Recipe:
    """A run of `outliers` with this loss in place of its own."""
    method = CTVariant("", metric=metric)(seed).method
    return replace(contaminated("huber", SHARE, seed), method=method)


SCALE_VARIANTS: dict[str, Callable[[int], Recipe]] = {
    f"{name}-{SHARE:g}": partial(rescaled, metric) for name, metric in SMALLER.items()
}

SCALE_STUDY = Study("outlier-scale", SCALE_VARIANTS, ErrorObserver(CLEAN))
