"""What a run is asked for at the training desk, and the command line that asks for the same."""

import inspect
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..presets import PRESETS

PICTURES = tuple(name for name in PRESETS if not name.startswith("toy."))


def own_steps(preset: str) -> int | None:
    """The optimizer steps of a preset, its start counted; None if they cannot be chosen."""
    steps = inspect.signature(PRESETS[preset]).parameters.get("steps")
    return steps.default if steps else None


def all_steps(preset: str) -> int:
    """The same, whether or not they can be chosen."""
    recipe = PRESETS[preset]()
    return recipe.train.steps + (recipe.start.train.steps if recipe.start else 0)


@dataclass(frozen=True)
class Order:
    """A preset, where it goes, and how; `steps` None are the preset's own."""

    preset: str
    folder: str
    steps: int | None = None
    settings: tuple[str, ...] = ()  # as in key=value
    data: str = ""
    devices: int = 1
    compiled: bool = False
    accelerator: str = ""

    def words(self, resume: bool = False, plan: bool = False) -> list[str]:
        """What comes after `cmlab`."""
        steps = [f"steps={self.steps}"] if self.steps not in (None, own_steps(self.preset)) else []
        parts = {
            "--set": [*steps, *self.settings],
            "--data": [self.data] if self.data else [],
            "--devices": [str(self.devices)] if self.devices > 1 else [],
            "--accelerator": [self.accelerator] if self.accelerator else [],
            "--out": [self.folder],
        }
        words = [word for key, values in parts.items() if values for word in (key, *values)]
        flags = {"--compile": self.compiled, "--resume": resume and not plan, "--plan": plan}
        return ["train", self.preset, *words, *(flag for flag, on in flags.items() if on)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def order_of(kept: Mapping[str, Any]) -> Order | None:
    """The order that `to_dict` gave; None for anything else, or for a preset that is gone."""
    try:
        order = Order(**{**kept, "settings": tuple(kept["settings"])})
    except (KeyError, TypeError):
        return None
    return order if order.preset in PRESETS else None


def apart(settings: Sequence[str]) -> tuple[int | None, tuple[str, ...]]:
    """The number in steps=…, if it is among the settings, and the rest of them."""
    chosen = [word.removeprefix("steps=") for word in settings if word.startswith("steps=")]
    if not (chosen and chosen[-1].isdigit()):
        return None, tuple(settings)
    return int(chosen[-1]), tuple(word for word in settings if not word.startswith("steps="))


def shell(words: Sequence[str]) -> str:
    """The command line, quoted for the shell of this machine."""
    whole = ["python", "-m", "cmlab", *words]
    return shlex.join(whole) if os.name == "posix" else subprocess.list2cmdline(whole)
