"""Training methods: one paper, one file, with the ingredients that the paper introduced."""

from .base import Method
from .cd import CD
from .ct import CT
from .ect import ECT
from .edm import EDM
from .ict import ICT
from .imm import IMM
from .meanflow import MeanFlow
from .musiccm import MusicCM
from .pcm import PCM
from .scm import SCM
from .self_distillation import SelfDistillation
from .slct import SLCT

__all__ = [
    "CD",
    "CT",
    "ECT",
    "EDM",
    "ICT",
    "IMM",
    "PCM",
    "SCM",
    "SLCT",
    "MeanFlow",
    "Method",
    "MusicCM",
    "SelfDistillation",
]
