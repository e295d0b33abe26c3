"""What sCM asks of a model: TrigFlow's clock, the data's spread, a network with a derivative."""

from math import isclose

from torch import Tensor

from ..guide import Exact, Pretrained
from ..model import Denoiser
from ..nets.forward import check_forward
from ..ops import expand
from ..process import TrigFlow
from ..vocabulary import Data, Teacher


def trigflow(model: Denoiser) -> TrigFlow:
    """The model's process. Raises TypeError for another one than TrigFlow."""
    if not isinstance(model.process, TrigFlow):
        raise TypeError(
            f"SCM is written for TrigFlow, not {model.process}; build the model with TrigPrecond, "
            f"or carry a trained one over with convert.carried"
        )
    return model.process


def check_clocks(process: TrigFlow, spread: float | None, teacher: Teacher) -> None:
    """Raise ValueError for data, or a teacher, that the process was not made for."""
    if spread is not None and not isclose(process.sigma_data, spread, rel_tol=0.05):
        raise ValueError(
            f"the data have standard deviation {spread:.4g} and TrigFlow has sigma_data = "
            f"{process.sigma_data:.4g}; build the model with TrigPrecond({spread:.4g})"
        )
    clock = None
    if isinstance(teacher, Exact):
        clock = teacher.process
    elif isinstance(teacher, Pretrained):
        clock = teacher.network.process
    if clock not in (None, process):
        raise ValueError(
            f"the teacher reads {clock} and the student {process}; wrap the teacher in Reclocked, "
            f"or give Exact the student's process"
        )


def check_slope(model: Denoiser, x: Data, cond: Tensor | None) -> None:
    """Raise TypeError, naming the layer, for a network without a forward derivative."""
    t = x.new_full((len(x),), 0.5)
    _, _, c_in, c_noise = model.precond(t)
    check_forward(model.net, expand(c_in, x) * x, c_noise, cond)
