"""Studies that the labs replay, by name; `cmlab record STUDY ARM` trains and watches one arm."""

from . import (
    distil,
    gap,
    ladder,
    latents,
    metric,
    music,
    outlier_scale,
    outliers,
    pairs,
    phased_digits,
    phases,
    pretraining,
    stabilisers,
    target,
    teacher,
    transport,
    tuning,
    twins,
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
        music.TEACHER,
        music.STUDENT,
        gap.STUDY,
        latents.STUDY,
        transport.STUDY,
        phases.STUDY,
        phased_digits.STUDY,
        pretraining.TOY,
        pretraining.RATES,
        pretraining.DIGITS,
        pretraining.SHAPES,
        twins.TOY,
        twins.DIGITS,
    )
}

__all__ = ["SEEDS", "STUDIES", "Recording", "Study", "ranged", "read", "write"]
