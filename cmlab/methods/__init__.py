"""Training methods: one paper, one file, with the ingredients that the paper introduced.

A method's name loads its file when it is first asked for: `ICT` is in ict.py, and so is any other
in the file of its name in small letters.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .alpha_flow import AlphaFlow
    from .base import Method
    from .cd import CD
    from .ct import CT
    from .ctm import CTM
    from .dmd import DMD
    from .drifting import Drifting
    from .ect import ECT
    from .edm import EDM
    from .ict import ICT
    from .imm import IMM
    from .meanflow import MeanFlow
    from .musiccm import MusicCM
    from .pcm import PCM
    from .reflow import Reflow
    from .scm import SCM
    from .self_distillation import SelfDistillation
    from .shortcut import Shortcut
    from .slct import SLCT

FILES = {  # where it is otherwise
    "AlphaFlow": "alpha_flow", "Method": "base", "SelfDistillation": "self_distillation",
}  # fmt: skip

__all__ = [  # noqa: F822 (`__getattr__` finds them)
    "CD", "CT", "CTM", "DMD", "ECT", "EDM", "ICT", "IMM", "PCM", "SCM", "SLCT", "AlphaFlow",
    "Drifting", "MeanFlow", "Method", "MusicCM", "Reflow", "SelfDistillation", "Shortcut",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    file = f"{__name__}.{FILES.get(name, name.lower())}"
    if name[:1].isupper() and find_spec(file) and hasattr(found := import_module(file), name):
        return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
