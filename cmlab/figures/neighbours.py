"""What a network notices of a small step in noise: its time features, and its dropout."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .emphasis import LEVEL, plain
from .style import DATA, DIVERGING, MEAN, STUDENT, TEACHER, WRONG, label, name_axes, sheet

SCALES = (MEAN, STUDENT, TEACHER)
INK = {MEAN: "#8a5c00"}  # dark enough for words


def features(
    frequencies: Mapping[float, Tensor], levels: Tensor, gaps: Mapping[str, float]
) -> Figure:
    """Time features by level, and how alike they are at two levels t and r.

    `frequencies` (count,) by scale, applied to ln(t)/4; `gaps` are values of t/r - 1 to mark.
    """
    ratios = ["1"] * len(frequencies) + ["1.9"]
    figure, (axes,) = sheet(1, len(ratios), 11.2, 3.3, ratios=[float(r) for r in ratios])
    for ax, (scale, w) in zip(axes, frequencies.items(), strict=False):
        waves = (levels.log()[:, None] / 4 * w[w.abs().argsort()]).sin()
        ax.pcolormesh(range(len(w)), levels.numpy(), waves.numpy(), cmap=DIVERGING, vmin=-1,
                      vmax=1, shading="nearest", rasterized=True)  # fmt: skip
        ax.set(yscale="log", xticks=[])
        ax.grid(False)
        plain(ax.yaxis, (0.01, 0.1, 1, 10))
        name_axes(ax, "waves, slow to fast", LEVEL * (ax is axes[0]), f"Scale {scale:g}")
    likeness(axes[-1], frequencies, gaps)
    return figure


def alike(frequencies: Tensor, ratio: Tensor) -> Tensor:
    """Cosine of the angle between the features at r · ratio and at r, the same for every r."""
    return (ratio.log()[..., None] / 4 * frequencies).cos().mean(-1)


def likeness(ax: Axes, frequencies: Mapping[float, Tensor], gaps: Mapping[str, float]) -> None:
    """How alike the features of neighbours are, against the size of the step."""
    step = torch.logspace(-3, 1, 200, dtype=torch.float64)
    for role, y, (scale, w) in zip(SCALES, (1.03, 0.82, 0.2), frequencies.items(), strict=True):
        row = alike(w.double(), 1 + step)
        ax.plot(step, row, color=role.color, linestyle=role.line)
        at = 0.0012 if y > 1 else float(step[int((row < y).int().argmax())]) * 1.2
        label(ax, at, y, f"scale {scale:g}", INK.get(role, role.color))
    for name, gap in gaps.items():
        ax.axvline(gap, color=DATA.color, linestyle=":", linewidth=1)
        label(ax, gap * 1.05, -0.35, name, DATA.color)
    ax.set(xscale="log", ylim=(-0.4, 1.15), xlim=(1e-3, 10))
    plain(ax.xaxis, (0.001, 0.01, 0.1, 1, 10))
    name_axes(
        ax, "size of the step, t/r − 1", "likeness (cosine)", "Scale 16: neighbours are strangers"
    )


def dropout(gaps: Sequence[float], shared: Tensor, separate: Tensor) -> Figure:
    """Distance of two answers (gaps, draws) by the gap t − r: with one dropout mask, and two."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.3)
    looks = (("two masks", separate, WRONG), ("one mask for both passes", shared, STUDENT))
    for name, rows, role in looks:
        ax.loglog(gaps, rows.mean(1), color=role.color, linestyle=role.line, marker=role.marker)
        ax.fill_between(gaps, rows.amin(1), rows.amax(1), color=role.color, alpha=0.2)
        right, up = (1, 1.25) if role is WRONG else (1.5, 0.8)
        label(ax, gaps[-1] * right, float(rows[-1].mean()) * up, name, role.color)
    name_axes(ax, "gap t − r (data units)", "RMS of f(x_t, t) − f(x_r, r)",
              "With two masks, neighbours never agree")  # fmt: skip
    ax.set_ylim(None, 0.2)
    plain(ax.xaxis, (0.01, 0.1))
    plain(ax.yaxis, (0.001, 0.01, 0.1))
    return figure
