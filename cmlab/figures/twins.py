"""Two networks on shared noise: their answers joined by lines, and how far shuffled ones lie."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluate.agreement import Agreement
from .samples import mosaic
from .style import DATA, STUDENT, TARGET, TEACHER, TRUTH, WRONG, bare, label, name_axes, sheet


def joined(ax: Axes, a: Tensor, b: Tensor, modes: Tensor, title: str) -> None:
    """Answers of one network (n, 2), lines to those of the other, over the data's modes (K, 2)."""
    ax.scatter(*modes.T, s=330, color=DATA.color, alpha=0.15, linewidths=0)
    lines = torch.stack([a, b], 1).numpy()
    ax.add_collection(LineCollection(list(lines), colors=WRONG.color, linewidths=1.0, zorder=1))
    ax.scatter(*a.T, s=18, marker=STUDENT.marker, color=STUDENT.color, linewidths=0)
    ax.scatter(*b.T, s=18, marker=TEACHER.marker, color=TEACHER.color, linewidths=0)
    ax.set(
        xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1)
    )
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


def histogram(ax: Axes, test: Agreement, unit: str, title: str) -> None:
    """Mean distances after each shuffle, and that of the pairs as they are."""
    shuffled = test.shuffled.numpy()
    ax.stairs(*np.histogram(shuffled, 30), fill=True, color=TARGET.color, alpha=0.8)
    ax.axvline(test.distance, color=STUDENT.color, linewidth=2.4)
    top = ax.get_ylim()[1]
    right = max(float(shuffled.max()), test.distance)
    ax.set(xlim=(0, 1.12 * right), ylim=(0, 1.3 * top))
    label(ax, test.distance + 0.01 * right, 1.18 * top, "the pairs as they are", STUDENT.color)
    label(ax, float(np.median(shuffled)) - 0.25 * right, 1.03 * top, "shuffled pairs", "#1f6f9c")
    name_axes(ax, f"mean distance of a pair ({unit})", "number of shuffles", title)


def fixed(figure: Figure, left: float) -> None:
    """A layout that is not searched for: a slider is waiting."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=left, right=0.985, bottom=0.15, top=0.91, wspace=0.24)


def pairs_and_test(
    a: Tensor, b: Tensor, modes: Tensor, test: Agreement, titles: Sequence[str], shown: int = 60
) -> Figure:
    """Some pairs of points joined, the same shuffled, and the test on all."""
    figure, ((left, middle, right),) = sheet(1, 3, 11.0, 3.7)
    fixed(figure, 0.06)
    joined(left, a[:shown], b[:shown], modes, titles[0])
    joined(middle, a[:shown], b[:shown].roll(1, 0), modes, titles[1])
    histogram(right, test, "data units", titles[2])
    return figure


def face_to_face(a: Tensor, b: Tensor, test: Agreement, titles: Sequence[str]) -> Figure:
    """Images of one network (n, c, h, w) over the other's, each pair in a column; and the test."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.3, ratios=(1.6, 1))
    fixed(figure, 0.04)
    rows = [v for k in range(0, len(a), 8) for v in (a[k : k + 8], b[k : k + 8])]
    picture = mosaic(torch.cat(rows), min(8, len(a)))
    grey = picture.shape[2] == 1
    bare(left).imshow(1 - picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=1)
    left.set_title(titles[0], loc="left", fontsize=11, fontweight="bold")
    names = ("B ", "A ") * (len(rows) // 2)
    height = picture.shape[0] / len(rows)
    for k, name in enumerate(reversed(names)):
        left.text(-1, (k + 0.5) * height, name, ha="right", va="center", fontsize=9)
    histogram(right, test, "pixels' unit, whole image", titles[1])
    return figure


def borders(x_T: Tensor, mode: Tensor, apart: Tensor, level: float, title: str) -> Figure:
    """Noise (n, 2), numbered by where its exact path ends; a cross where two networks disagree."""
    figure, ((ax,),) = sheet(1, 1, 5.4, 5.0)
    z, kinds = x_T / level, int(mode.max()) + 1
    grey = [f"{0.62 + 0.3 * (k % 2):.2f}" for k in range(kinds)]
    for k in range(kinds):
        mine = mode == k
        ax.scatter(*z[mine & ~apart].T, s=16, color=grey[k], linewidths=0)
        far = z[mine & (z.norm(dim=1) > 1.2)]
        if len(far):
            ax.text(*far.mean(0).tolist(), str(k), fontsize=11, ha="center", va="center")
    ax.scatter(*z[apart].T, s=42, marker=WRONG.marker, color=WRONG.color, linewidths=0, zorder=3)
    ax.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), aspect="equal")
    name_axes(ax, "noise $z_1$ (standard deviations)", "noise $z_2$ (standard deviations)", title)
    return figure


def by_level(
    rows: Mapping[str, tuple[Sequence[float], np.ndarray]], chance: float, title: str
) -> Figure:
    """Share in the same mode (pairs, levels) by the level at which noise is shared."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.6)
    for (name, (levels, share)), role in zip(
        rows.items(), (STUDENT, TEACHER, TRUTH, WRONG), strict=False
    ):
        ax.plot(levels, share.mean(0), color=role.color, linestyle=role.line, marker=role.marker)
        ax.vlines(levels, share.min(0), share.max(0), color=role.color)
        label(ax, levels[0] * 1.06, float(share.mean(0)[0]), name, role.color)
    ax.axhline(chance, color=TRUTH.color, linewidth=0.8, linestyle=":")
    ax.text(0.3, chance + 0.02, "shuffled pairs", fontsize=9)
    ax.set(xscale="log", ylim=(0, 1.04))
    ax.set_xlim(right=ax.get_xlim()[1] * 3)
    every = sorted({level for levels, _ in rows.values() for level in levels})
    ax.set_xticks(every, [f"{level:g}" for level in every])
    ax.minorticks_off()
    name_axes(ax, "level $σ$ of the shared noise (data units)", "share in the same mode", title)
    return figure
