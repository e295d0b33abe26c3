"""The two losses that let go, with a tenth of the constant c that `outliers` gives them.

Arms are called cauchy-0.003-0.15 and so on: the loss, its c, and the share of outliers.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..distance import Cauchy, GemanMcClure
from ..recipe import Recipe
from ..vocabulary import Metric
from .base import Study
from .ladder import Arm
from .outliers import CLEAN, contaminated
from .watch import AgainstLaw

SHARE = 0.15
SMALLER: dict[str, Metric] = {"cauchy-0.003": Cauchy(0.003), "geman-0.01": GemanMcClure(0.01)}


def rescaled(metric: Metric, seed: int) -> Recipe:
    """A run of `outliers` with this loss in place of its own."""
    method = Arm("", metric=metric)(seed).method
    return replace(contaminated("huber", SHARE, seed), method=method)


ARMS: dict[str, Callable[[int], Recipe]] = {
    f"{name}-{SHARE:g}": partial(rescaled, metric) for name, metric in SMALLER.items()
}

STUDY = Study("outlier-scale", ARMS, AgainstLaw(CLEAN))
