"""A cloud with outliers, one of which is moved, and where each loss puts its centre."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from .losses import LOOK, ink
from .style import DATA, TEACHER, TRUTH, label, name_axes, sheet

X, Y = "x₁ (data units)", "x₂ (data units)"
LEVEL = "noise level t of the pair (data units)"


@dataclass(frozen=True, eq=False)
class Scene:
    """Clean points, strays and the one that is moved; each loss's minima, the lowest first."""

    clean: Tensor  # (n, 2)
    strays: Tensor  # (k, 2)
    moved: Tensor  # (2,)
    minima: Mapping[str, Tensor]  # by loss: (m, 2)


def bench(scene: Scene, reach: float, close: float) -> Figure:
    """The plane, its middle enlarged with the centre of each loss, and how far off each lies."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.9, ratios=(1, 1, 1.05))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.13, top=0.91, wspace=0.24)
    for ax, wide in ((axes[0], reach), (axes[1], close)):
        cloud(ax, scene, 10 if ax is axes[0] else 22)
        ax.set(xlim=(-wide, wide), ylim=(-wide, wide), aspect="equal")
    axes[0].add_patch(Rectangle((-close, -close), 2 * close, 2 * close, fill=False, linewidth=0.8))
    label(axes[0], *shifted(scene.moved, 0.35), "yours")
    centres(list(axes), scene)
    name_axes(axes[0], X, Y, "The cloud and its outliers")
    name_axes(axes[1], X, Y, "The square, enlarged")
    best = min(scene.minima, key=lambda name: miss(scene, name))
    name_axes(axes[2], "distance from the clean mean (data units)", "", f"Nearest: {best}")
    return figure


def shifted(point: Tensor, by: float) -> tuple[float, float]:
    return float(point[0]) + by, float(point[1]) + by


def cloud(ax: Axes, scene: Scene, size: float) -> None:
    ax.scatter(*scene.clean.T, s=size, color=DATA.color, alpha=0.6, linewidths=0)
    ax.scatter(*scene.strays.T, s=2 * size, marker="x", color=TEACHER.color, linewidths=1.2)
    ax.scatter(*scene.moved, s=8 * size, marker="*", color=TRUTH.color)


def miss(scene: Scene, name: str) -> float:
    """How far this loss's centre lies from the mean of the clean points."""
    return float((scene.minima[name][0] - scene.clean.mean(0)).norm())


def centres(axes: Sequence[Axes], scene: Scene) -> None:
    """Each loss's lowest minimum as its marker, other minima as small hollow ones."""
    axes[1].scatter(*scene.clean.mean(0), s=90, marker="+", color=TRUTH.color, zorder=4)
    for row, (name, places) in enumerate(scene.minima.items()):
        role, off = LOOK[name], miss(scene, name)
        for ax in axes[:2]:
            ax.plot(*places[0], role.marker, color=role.color, markersize=9, zorder=5,
                    markeredgecolor="white")  # fmt: skip
            ax.plot(*places[1:].T, role.marker, color=role.color, markersize=4, zorder=4,
                    markerfacecolor="none", linestyle="none")  # fmt: skip
        axes[2].plot([0, off], [row, row], color=role.color, linestyle=role.line)
        axes[2].plot(off, row, role.marker, color=role.color, markersize=9)
        label(axes[2], off, row - 0.25, f"  {name}: {off:.2f}", ink(name))
    axes[2].set(ylim=(len(scene.minima) - 0.4, -0.7), yticks=[], xlim=(0, None))
    axes[2].set_xlim(0, 1.75 * axes[2].get_xlim()[1])


def gaps(
    edges: Tensor, level: Tensor, gap: Mapping[str, Tensor], marks: Mapping[str, float]
) -> Figure:
    """Boxes of ‖f*(x_t) - f*(x_r)‖ by noise level (edges in log steps), one set for each law.

    Boxes hold the middle half, whiskers 1 % to 99 %, and the marker is the largest of all.
    """
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax, last = axes[0, 0], len(edges) - 1.45
    spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    names = [f"{low:.2g} to {high:.2g}" for low, high in spans]
    tails = []
    for shift, (name, values) in zip((-0.18, 0.18), gap.items(), strict=True):
        parts = [values[(level > low) & (level <= high)] for low, high in spans]
        tails.append(torch.stack([part.quantile(0.99) for part in parts]))
        boxes(ax, name, parts, shift)
        top = float(parts[-1].max()) * (0.5 if shift < 0 else 1)
        label(ax, last, top, name, LOOK[name].color)
    for name, place in marks.items():
        ax.axhline(place, color=ink(name), linewidth=1, linestyle=LOOK[name].line)
        label(ax, last, place * 1.1, f"c of {name}", ink(name))
    ax.set_xticks(range(len(spans)), names)
    ax.set(yscale="log", xlim=(-0.6, last + 1.4))
    stretch, where = (tails[1] / tails[0]).max(0)
    title = f"Outliers stretch the whisker most at t = {names[int(where)]}: {stretch:.1f} times"
    name_axes(ax, LEVEL, "‖f*(x_t) − f*(x_r)‖ (data units)", title)
    return figure


def boxes(ax: Axes, name: str, parts: list[Tensor], shift: float) -> None:
    """One law's boxes, each a little beside its tick, and the largest value of each."""
    role, places = LOOK[name], [i + shift for i in range(len(parts))]
    drawn = ax.boxplot([p.numpy() for p in parts], positions=places, widths=0.3, whis=(1, 99),
                       showfliers=False, patch_artist=True,
                       medianprops={"color": TRUTH.color})  # fmt: skip
    for box in drawn["boxes"]:
        box.set(facecolor=role.color, alpha=0.7)
    ax.plot(places, [float(p.max()) for p in parts], role.marker, color=role.color)
