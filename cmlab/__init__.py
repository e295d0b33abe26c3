"""cmlab: consistency models in PyTorch, readable, tested against exact solutions.

Read in this order: `types` (the signatures), `process` (α_t, σ_t and the noise level), `model`
(network + preconditioning = denoiser), `methods/` (one paper, one file), `train/trainer`.

The names in `__all__` are public. Each loads its module when it is first asked for, so that
`import cmlab` costs nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .methods import CD, CT, ECT, EDM, ICT, PCM, SCM, SLCT, Method, MusicCM
    from .model import CMPrecond, Denoiser, EDMPrecond, Precond, TrigPrecond
    from .nets import MLP, DDPMpp, UNet
    from .noise_levels import KarrasGrid, LogNormal
    from .oracle import Gaussian, Mixture, Mixture1D, Oracle
    from .presets import PRESETS
    from .process import Process, RectifiedFlow, TrigFlow, VariancePreserving
    from .sampling import FewSteps, ddim, heun, multistep, ode
    from .train.config import TrainConfig
    from .train.recipe import Recipe, from_dict, to_dict
    from .train.runs import fit, load
    from .train.trainer import Trainer

__version__ = "0.1.0"

_NAMES = {
    "methods": "CD CT ECT EDM ICT PCM SCM SLCT Method MusicCM",
    "model": "CMPrecond Denoiser EDMPrecond Precond TrigPrecond",
    "nets": "MLP DDPMpp UNet",
    "noise_levels": "KarrasGrid LogNormal",
    "oracle": "Gaussian Mixture Mixture1D Oracle",
    "presets": "PRESETS",
    "process": "Process RectifiedFlow TrigFlow VariancePreserving",
    "sampling": "FewSteps ddim heun multistep ode",
    "train.config": "TrainConfig",
    "train.recipe": "Recipe from_dict to_dict",
    "train.runs": "fit load",
    "train.trainer": "Trainer",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [  # noqa: F822 (`__getattr__` finds them)
    "CD", "CT", "ECT", "EDM", "ICT", "MLP", "PCM", "PRESETS", "SCM", "SLCT", "CMPrecond", "DDPMpp",
    "Denoiser", "EDMPrecond", "FewSteps", "Gaussian", "KarrasGrid", "LogNormal", "Method",
    "Mixture", "Mixture1D", "MusicCM", "Oracle", "Precond", "Process", "Recipe", "RectifiedFlow",
    "TrainConfig", "Trainer", "TrigFlow", "TrigPrecond", "UNet", "VariancePreserving", "ddim",
    "fit", "from_dict", "heun", "load", "multistep", "ode", "to_dict",
]  # fmt: skip


# The modules that copies of labs built for an earlier cmlab import first. The finder stands last,
# so it is asked for nothing that exists.
_EARLIER = {f"cmlab.{name}" for name in ("balance", "check", "checkpoint", "runs", "widgets")}


class _EarlierLabs:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in _EARLIER:
            raise ImportError(
                f"{name} is a module of an earlier cmlab; build this copy of the lab again with "
                "`cmlab labs build NN --student FOLDER` (--instructor) and copy your answers over"
            )


sys.meta_path.append(_EarlierLabs)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'cmlab' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
