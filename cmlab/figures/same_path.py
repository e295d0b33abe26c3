"""One point on the x–t plane: where its path ends (f), and where its tangent ends (D)."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from .consistency import NOISE_LEVEL, POINT
from .scene import REACH, SIGMA_MIN, Point, Scene, exact
from .style import DATA, EXTRA, MEAN, TRUTH, Role, label, name_axes, sheet

DARK_MEAN = "#8a5c00"  # the mean's colour, dark enough for words


def same_path(scene: Scene, on: Point, off: Point, mean: bool = True) -> Figure:
    """The plane with the path of `on` and, if it is elsewhere, of `off`; beside it all answers."""
    points = [(on, TRUTH)] if off.x == on.x else [(on, TRUTH), (off, EXTRA)]
    figure, (axes,) = sheet(1, 2, 9.8, 3.8, ratios=(1.5, 1))
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.135, top=0.92, wspace=0.17)
    draw_plane(axes[0], scene)
    for at, role in points:
        draw_way(axes[0], scene, at, role)
    draw_ends(axes[0], *points[-1], mean)
    draw_slice(axes[1], scene, points, mean)
    said = f"Same path, same end: f = {on.f:.2f} all along it"
    if len(points) > 1:
        said = f"Another path, another end: f was {on.f:.2f}, now {off.f:.2f}"
    name_axes(axes[0], NOISE_LEVEL, POINT, said)
    return figure


def draw_plane(ax: Axes, scene: Scene) -> None:
    """Exact paths in grey, the data's density at the left, noise at the right."""
    lines = [torch.stack([scene.levels, way], 1).numpy() for way in scene.ways.T]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.6, alpha=0.45))
    ax.fill_betweenx(scene.rows, -0.45 * scene.density, 0, color=DATA.color, alpha=0.35, lw=0)
    ax.axvline(0, color=DATA.color, linewidth=0.8)
    ax.set(xlim=(-0.85, 1.03 * float(scene.levels[-1])), ylim=(-REACH, REACH))
    ax.set(xticks=range(int(scene.levels[-1]) + 1), yticks=(-4, -2, 0, 2, 4))


def draw_way(ax: Axes, scene: Scene, at: Point, role: Role) -> None:
    """The whole exact path through a point, and the point."""
    t = scene.levels.flip(0)
    here, ends = exact([[at.x]]), exact([[at.t], [float(t[0])]])
    way = scene.law.path(scene.law.flow(here, *ends), t)[:, 0, 0]
    ax.plot(t, way, color=role.color, linestyle=role.line, linewidth=2.2)
    ax.plot(at.t, at.x, marker=role.marker, color=role.color, markersize=9)


def draw_ends(ax: Axes, at: Point, role: Role, mean: bool) -> None:
    """f at the end of the path and, if wanted, D at the end of the tangent, named at the left."""
    high, low = (at.f, at.mean) if at.f > at.mean else (at.mean, at.f)
    apart = max(0.5 - (high - low), 0) / 2 if mean else 0
    up = apart if at.f > at.mean else -apart
    ax.plot(SIGMA_MIN, at.f, marker="s", color=role.color, markersize=8)
    label(ax, -0.8, at.f + up - 0.12, f"f = {at.f:.2f}", role.color)
    if mean:
        ax.plot([0, at.t], [at.mean, at.x], color=MEAN.color, linestyle=MEAN.line)
        ax.plot(0, at.mean, marker=MEAN.marker, color=MEAN.color, markersize=9)
        label(ax, -0.8, at.mean - up - 0.12, f"D = {at.mean:.2f}", DARK_MEAN)


def draw_slice(ax: Axes, scene: Scene, points: list[tuple[Point, Role]], mean: bool) -> None:
    """f and D as functions of x_t at the points' noise level, and the gap in the data."""
    x = scene.rows[::2, None]
    level = torch.full_like(x[:, 0], points[0][0].t)
    answers = [(scene.law.consistency(x, level), TRUTH, "f", TRUTH.color)]
    if mean:
        answers.append((scene.law.denoise(x, level), MEAN, "D", DARK_MEAN))
    ax.axhspan(*scene.empty, facecolor="none", edgecolor="#bbbbbb", hatch="///", linewidth=0)
    label(ax, -4.5, sum(scene.empty) / 2 - 0.06, "no data here", DATA.color)
    for y, role, name, color in answers:
        ax.plot(x, y, color=role.color, linestyle=role.line)
        seen = int((y[:, 0] < 1.95).sum()) - 1
        label(ax, min(float(x[seen]), 4.2), float(y[seen]) - 0.28, name, color)
    for at, role in points:
        ax.plot(at.x, at.f, marker="s", color=role.color, markersize=8)
        if mean:
            ax.plot(at.x, at.mean, marker=MEAN.marker, color=MEAN.color, markersize=8)
    ax.set(xlim=(-REACH, REACH), ylim=(-2.2, 2.2), yticks=(-2, -1, 0, 1, 2))
    # f turns the noisy law into the data's own, so the share of its answers there is the data's.
    found = f"f {in_gap(scene, x, x, torch.full_like(level, SIGMA_MIN)):.0%}"
    found += f", D {in_gap(scene, x, answers[1][0], level):.0%}" if mean else ""
    name_axes(ax, POINT, "answer (data units)", f"Answers in the gap: {found}")


def in_gap(scene: Scene, x: Tensor, answers: Tensor, level: Tensor) -> float:
    """The share of noisy points whose answer, rising with x (n, 1), falls in the data's gap."""
    edges = np.interp(scene.empty, answers[:, 0].numpy(), x[:, 0].numpy())
    low, high = scene.law.cdf(torch.tensor(edges)[:, None], level[:2]).tolist()
    return high - low
