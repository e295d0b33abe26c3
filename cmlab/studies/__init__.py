"""Studies that the labs replay, by name; `cmlab record STUDY ARM` trains and watches one arm."""

from . import (
    distil,
    gap,
    ladder,
    metric,
    outlier_scale,
    outliers,
    pairs,
    stabilisers,
    target,
    teacher,
    tuning,
)
from .base import SEEDS, Study
from .recording import Recording, ranged, read, write

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        distil.STUDY,
        pairs.STUDY,
        teacher.STUDY,
        target.STUDY,
        ladder.STUDY,
        outliers.STUDY,
        outlier_scale.STUDY,
        metric.STUDY,
        tuning.TOY,
        tuning.DIGITS,
        tuning.SHAPES,
        stabilisers.STUDY,
        gap.STUDY,
    )
}

__all__ = ["SEEDS", "STUDIES", "Recording", "Study", "ranged", "read", "write"]
