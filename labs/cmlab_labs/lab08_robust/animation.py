"""Animation of lab 08: loss and influence function of five robust losses, as c grows."""

from collections.abc import Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from cmlab.losses import L1, GemanMcClure, SquaredL2
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Cauchy
from cmlab.metrics.plots import DATA
from cmlab.types import Metric

from ..common.animation import INK, Moving, Panel, Shot, animation, dots, line, moving, text_labels
from .analysis import loss_and_weight
from .figures import LOSS_STYLE, text_color

OUTLIER_DISTANCE = 2.0  # an outlier, in data units, among data of size 1
SPAN = "distance r = ‖a − b‖ (data units)"
FIXED = ("squared L2", "L1")  # these have no constant


def metrics(c: float) -> dict[str, Metric]:
    """The losses of lab 08 at one c."""
    return {"squared L2": SquaredL2(), "L1": L1(), "pseudo-Huber": PseudoHuber(c),
            "Cauchy": Cauchy(c), "Geman–McClure": GemanMcClure(c)}  # fmt: skip


def relative_curves(metric: Metric, r: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and influence at distances r (n,), each over its value at r = 1."""
    rho, w = loss_and_weight(metric, torch.cat([r, torch.ones(1)])[:, None].double())
    psi = w[:-1] * r
    return rho[:-1] / rho[-1], psi / w[-1]


def curve_traces(names: Sequence[str], c: float) -> list[go.Scatter]:
    """Both curves of these losses with their marks, in both panels."""
    r, drawn = torch.linspace(1e-6, 3, 76), []
    for name in names:
        for panel, y in enumerate(relative_curves(metrics(c)[name], r)):
            drawn += [
                line(r, y, LOSS_STYLE[name], panel),
                dots(r[::12], y[::12], LOSS_STYLE[name], panel),
            ]
    return drawn


@animation
def pull(frames: int = 33) -> Moving:
    """Loss and influence function by distance, and the influence of an outlier."""
    shots = [influence_frame(c) for c in torch.logspace(-2, 0.5, frames).tolist()]
    names = [
        text_labels([0.1], [3.7 - 0.3 * k], [n], text_color(n)) for k, n in enumerate(metrics(1.0))
    ]
    panels = [
        Panel(SPAN, "loss d(ℓ) / d(1)", (0, 3), (0, 4)),
        Panel(SPAN, "influence ψ(ℓ) / ψ(1)", (0, 3), (0, 2.4)),
    ]
    finding = "Below c every loss is a parabola; beyond c the losses treat outliers differently"
    knob, still = "constant c (data units)", [*curve_traces(FIXED, 1.0), *names]
    return moving("pull", finding, knob, panels, still, shots, 16)


def influence_frame(c: float) -> Shot:
    """A frame: the losses at one c."""
    felt = {
        n: float(relative_curves(m, torch.tensor([OUTLIER_DISTANCE]))[1])
        for n, m in metrics(c).items()
    }
    each = ", ".join(f"{name} {value:.2f}" for name, value in felt.items())
    reading = (
        f"c = {c:.2g}. The pull of an error of {OUTLIER_DISTANCE:g}, over that of an error of 1: "
        f"{each}."
    )
    traces = curve_traces([n for n in metrics(c) if n not in FIXED], c)
    for panel in (0, 1):
        traces += [
            line([c, c], [0, 4], DATA, panel, 1),
            text_labels([c], [0.1], ["c"], INK, panel),
        ]
    titles = (
        f"Loss, with c = {c:.2g}",
        f"Cauchy at r = 2: {felt['Cauchy']:.2g} of its pull at r = 1",
    )
    return Shot(f"{c:.2g}", reading, titles, traces)
