"""Animation of lab 10 (sCM): the error of a finite difference by its step.

Long steps have truncation error, short ones rounding error.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.metrics.plots import TRUTH
from cmlab.ops import chord
from cmlab.process import TrigFlow
from cmlab.types import Denoise

from ..common.animation import Moving, Panel, Shot, animation, dots, ink, line, moving, text_labels
from ..registry import STUDIES
from . import analysis as along
from .figures import PRECISIONS

STEPS = (0.3 / 10 ** (np.arange(29) / 4)).tolist()
TIMES, OPENS = torch.linspace(0.3, 1.25, 61).double(), 3e-6
ERROR = Panel("step h (radians)", "relative error of dF/dt", (3e-9, 0.5), (1e-11, 30), "xy", False,
              (1e-8, 1e-6, 1e-4, 1e-2), (1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1))  # fmt: skip


def path_at_times(process: TrigFlow) -> along.PathPoints:
    """One sample's path at 61 times."""
    g = torch.Generator().manual_seed(0)
    x = Ring().oracle.sample(1, g).double()
    z = torch.randn(1, 2, generator=g).double()
    return along.sample_path(process, x.expand(61, 2), z.expand(61, 2), TIMES)


@torch.no_grad()
def central_difference(F: Denoise, path: along.PathPoints, h: float) -> Tensor:
    """The first coordinate of a central difference of F along the path, (b,)."""
    return chord(F, (path.x_t, path.t), (path.dx_t, torch.ones_like(path.t)), h)[1][:, 0]


@animation
def difference_error() -> Moving:
    """dF/dt of an untrained network over t by differences of step h, and their error over h."""
    net = STUDIES["stabilisers"].variants["sct"](0).build().double()
    path, short = path_at_times(cast(TrigFlow, net.process)), deepcopy(net).float()
    exact, low = along.time_derivative(net.raw, path), path.to(torch.float32)
    errors = {
        "float64": along.difference_errors(net.raw, path, exact, STEPS),
        "float32": along.difference_errors(short.raw, low, exact, STEPS),
    }
    shots = [
        step_frame(k, central_difference(short.raw, low, h), errors) for k, h in enumerate(STEPS)
    ]
    still = [line(TIMES, exact[:, 0], TRUTH, width=3, opacity=0.45)]
    still += [line(STEPS, row, PRECISIONS[name], 1) for name, row in errors.items()]
    for name, text, y in (("float64", "64 bits", 1e-10), ("float32", "32 bits", 15)):
        still.append(text_labels([1e-7], [y], [text], ink(PRECISIONS[name]), 1))
    reach = 2.2 * float(exact[:, 0].abs().max())
    slope = Panel("time t (radians)", "dF<sub>1</sub>/dt on a path (per radian)", (0.3, 1.25),
                  (-reach, reach))  # fmt: skip
    start = int(np.abs(np.log(STEPS) - np.log(OPENS)).argmin())
    finding = "A shorter step is better until rounding dominates: the error has the shape of a V"
    return moving(
        "vee", finding, "step h (radians)", [slope, ERROR], still, shots, start, (1, start)
    )


def step_frame(k: int, rough: Tensor, errors: Mapping[str, Sequence[float]]) -> Shot:
    """One step: the difference over t, and where it stands on the two curves."""
    h, short, long = STEPS[k], errors["float32"][k], errors["float64"][k]
    reading = (
        f"With h = {h:.1g} the difference is off by {short:.1g} in 32 bits and by {long:.1g} in "
        "64 bits, relative to dF/dt."
    )
    traces = [line(TIMES, rough, PRECISIONS["float32"], width=1.6)]
    traces += [dots([h], [row[k]], PRECISIONS[name], 1, 13) for name, row in errors.items()]
    titles = f"Differences of step h = {h:.1g}, 32 bits", f"Relative error {short:.1g} in 32 bits"
    return Shot(f"{h:.1g}", reading, titles, traces)
