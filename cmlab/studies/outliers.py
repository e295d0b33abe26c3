"""Five losses, with a share of the ring's samples replaced by outliers. Judged by the clean ring.

Arms are called huber-0.05 and so on: the loss and the share.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..data.outliers import Contaminated
from ..data.toy import Ring
from ..distance import L1, Cauchy, GemanMcClure, PseudoHuber, SquaredL2
from ..judge import AgainstOracle
from ..presets import toy
from ..recipe import Recipe
from ..vocabulary import Metric
from .base import Study
from .ladder import Arm
from .watch import AgainstLaw

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
    recipe = Arm(loss, metric=LOSSES[loss], data=Contaminated(CLEAN, share))(seed)
    return replace(recipe, judge=AgainstOracle(toy.SIGMA_MIN, law=CLEAN))


ARMS: dict[str, Callable[[int], Recipe]] = {
    f"{loss}-{share:g}": partial(contaminated, loss, share) for loss in LOSSES for share in SHARES
}

STUDY = Study("outliers", ARMS, AgainstLaw(CLEAN))
