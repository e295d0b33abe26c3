"""Between two noises: on the great circle, where a mix is noise of full strength, or straight."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..editing import slerp
from .style import NOISE, STUDENT, WRONG, label, name_axes, sheet

Mix = Callable[[Tensor, Tensor, float], Tensor]


def lerp(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    """(1 - s) z1 + s z2, the straight way."""
    return (1 - share) * z1 + share * z2


def norms(z1: Tensor, z2: Tensor, others: Tensor) -> Figure:
    """‖z‖ / √d on both ways from z1 to z2, over where other noises (n, …) lie."""
    shares, root = np.linspace(0, 1, 41), z1.numel() ** 0.5
    ways: dict[str, Mix] = {"slerp": slerp, "lerp": lerp}
    found = {
        name: [float(mix(z1, z2, float(s)).norm()) / root for s in shares]
        for name, mix in ways.items()
    }
    lengths = others.flatten(1).norm(dim=1) / root
    low, high = float(lengths.min()), float(lengths.max())
    figure, ((ax,),) = sheet(1, 1, 7.6, 3.0)
    ax.axhspan(low, high, color=NOISE.color, alpha=0.35, lw=0)
    label(ax, 0.02, high + 0.012, f"all of {len(others)} noises: {low:.3f} to {high:.3f}")
    for (name, values), role in zip(found.items(), (STUDENT, WRONG), strict=True):
        ax.plot(shares, values, color=role.color, ls=role.line, marker=role.marker,
                markevery=5, ms=5)  # fmt: skip
        below = -0.045 if name == "slerp" else -0.05
        label(ax, 0.52, values[20] + below, name, role.color)
    ax.set_ylim(0.62, 1.1)
    short = min(found["lerp"])
    title = f"Half-way, the straight mix has {short:.2f} of the strength of noise"
    name_axes(ax, "share of the second noise", r"$\|z\|\,/\,\sqrt{d}$", title)
    return figure
