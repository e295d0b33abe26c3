"""A difference needs a step and a derivative does not: error against step, and what each costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .continuous import NAMED, PRECISIONS
from .style import STUDENT, label, name_axes, sheet

STEP = "step $h$ of the difference (radians)"


@dataclass(frozen=True, eq=False)
class Errors:
    """Relative errors of dF/dt: differences by precision, each (steps,), and forward mode."""

    differences: Mapping[str, Sequence[float]]
    forward: Mapping[str, float]

    def best(self, name: str, steps: Sequence[float]) -> tuple[float, float]:
        """The step of least error, and that error."""
        row = self.differences[name]
        i = int(np.argmin(row))
        return steps[i], row[i]


def vees(steps: Sequence[float], panels: Mapping[str, Errors]) -> Figure:
    """One panel for each network; dotted: the derivative in forward mode, which has no step."""
    figure, (axes,) = sheet(1, len(panels), 10.4, 4.2)
    for ax, (name, errors) in zip(axes, panels.items(), strict=True):
        for precision, row in errors.differences.items():
            role = PRECISIONS[precision]
            ax.loglog(steps, row, color=role.color, linestyle=role.line, marker=role.marker,
                      markersize=4)  # fmt: skip
        forward(ax, steps, errors)
        h, least = errors.best("float32", steps)
        name_axes(ax, STEP, "", f"{name}: {least:.0e} at best, in 32 bits")
        ax.set(xlim=(min(steps) / 2, max(steps) * 2), ylim=(5e-12, 90))
        ax.plot(h, least, "o", markersize=13, markerfacecolor="none", color="black")
    axes[0].set_ylabel("relative error of $dF/dt$")
    return figure


def forward(ax: Axes, steps: Sequence[float], errors: Errors) -> None:
    """The derivative's own error in 32 bits, and the names of the two curves."""
    role, floor = PRECISIONS["float32"], errors.forward["float32"]
    ax.axhline(floor, color=role.color, linewidth=1.6, linestyle=":")
    label(ax, 1.2e-8, floor * 1.6, "forward mode, 32 bits: no step", role.color)
    i = int(np.argmin(np.abs(np.log(np.asarray(steps) / 1e-7))))
    label(ax, steps[i] / 30, errors.differences["float32"][i] * 0.03,
          f"difference, {NAMED['float32']}", role.color)  # fmt: skip
    j = int(np.argmin(errors.differences["float64"]))
    label(ax, steps[j] * 0.02, errors.differences["float64"][j] * 0.12,
          f"difference, {NAMED['float64']}", STUDENT.color)  # fmt: skip
