"""Training methods: one paper, one file, with the ingredients that the paper introduced.

A name loads its file when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

FILES = {"Method": "base", "SelfDistillation": "self_distillation"}  # others: their name, small

__all__ = [  # noqa: F822 (`__getattr__` finds them)
    "CD", "CT", "ECT", "EDM", "ICT", "IMM", "PCM", "SCM", "SLCT", "MeanFlow", "Method", "MusicCM",
    "SelfDistillation",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{FILES.get(name, name.lower())}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
