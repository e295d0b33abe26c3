"""Figures of lab 01, probability flow: exact paths over the noisy densities, and solver errors."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import DATA, EXTRA, TEACHER, TRUTH, Role, label, name_axes, sheet
from cmlab.oracle import Mixture1D

from ..common.plots_line import SOLVER_STYLE, integer_ticks, slope

LEVEL, NOISY_SAMPLE = "noise level $t$ (data units)", "sample $x_t$ (data units)"

BANDS = colormaps["Greys"].resampled(20)  # few greys keep the pictures small on disk


def paths_from_noise(oracle: Mixture1D, high: float, paths: int) -> tuple[Tensor, Tensor]:
    """Exact ODE paths from evenly spaced quantiles: levels (m,) from `high` to 0, x (m, paths)."""
    share = (torch.arange(paths).double() + 0.5) / paths
    start = torch.special.ndtri(share) * (oracle.sigma_data**2 + high**2) ** 0.5
    t = high * torch.linspace(1, 0, 120, dtype=torch.float64) ** 2
    return t, oracle.path(start[:, None], t).squeeze(2)


def relative_density(oracle: Mixture1D, t: Tensor, x: Tensor) -> np.ndarray:
    """p_t(x) over its largest value at each t: (len(x), len(t))."""
    rows, columns = torch.meshgrid(x, t, indexing="ij")
    log_p = oracle.log_density(rows.reshape(-1, 1), columns.flatten()).reshape(rows.shape)
    return (log_p - log_p.amax(0)).exp().numpy()


def density_and_paths(
    ax: Axes, oracle: Mixture1D, high: float, reach: float, paths: tuple[Tensor, Tensor]
) -> None:
    """The density in grey, darkest on its ridges, and exact paths as thin lines."""
    t, x = torch.linspace(1e-3, high, 120).double(), torch.linspace(-reach, reach, 240).double()
    box = (0.0, high, -reach, reach)
    ax.imshow(relative_density(oracle, t, x), cmap=BANDS, vmax=1.9, extent=box, aspect="auto",
              origin="lower", interpolation="bilinear")  # fmt: skip
    levels, many = paths
    lines = [np.column_stack([levels, one]) for one in many.T]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.8, alpha=0.8))
    ax.set(xlim=(-0.01 * high, high), ylim=(-reach, reach))
    ax.grid(False)


def quantile_paths(
    oracle: Mixture1D, levels: Sequence[float], paths: int = 5, reach: float = 4.5
) -> Figure:
    """Densities at a few noise levels, drawn sideways; ODE paths, which keep their quantile."""
    figure, axes = sheet(1, 1, 8.0, 4.0)
    ax, x = axes[0, 0], torch.linspace(-reach, reach, 500).double()
    room = 0.85 * min(np.diff(levels))
    for t, shape in zip(
        levels, relative_density(oracle, torch.tensor(levels).double(), x).T, strict=True
    ):
        ax.fill_betweenx(x, t, t + room * shape, color=DATA.color, alpha=0.3, linewidth=0)
        ax.axvline(t, color=DATA.color, linewidth=0.6)
    t, many = paths_from_noise(oracle, max(levels), paths)
    ax.plot(t, many, color=TRUTH.color, linewidth=1.5)
    for share, x_t in zip(np.arange(paths) + 0.5, many[0].tolist(), strict=True):
        label(ax, max(levels) + 0.03, x_t + 0.08, f"{100 * share / paths:.0f} %")
    ax.set(xlim=(-0.02, max(levels) + room + 0.05), ylim=(-reach, reach))
    name_axes(ax, LEVEL, NOISY_SAMPLE, "Noise blurs the data, and every path keeps its rank")
    return figure


def solver_path(
    oracle: Mixture1D,
    paths: tuple[Tensor, Tensor],
    exact: tuple[Tensor, Tensor],
    solved: tuple[Tensor, Tensor],
    role: Role,
    spans: Sequence[tuple[float, float]],
) -> Figure:
    """A solver's steps over the exact path from the same start: once whole, once near the data.

    Paths are levels (m,) and x (m, …); `spans` are the largest t and |x| of each panel.
    """
    figure, axes = sheet(1, 2, 10.0, 4.0, ratios=(1, 1.4))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.065, right=0.99, bottom=0.13, top=0.92, wspace=0.13)
    titles = ("The whole path, from noise to data", "The last part, enlarged")
    for ax, (high, reach), title in zip(axes[0], spans, titles, strict=True):
        density_and_paths(ax, oracle, high, reach, paths)
        ax.plot(*exact, color=TRUTH.color, linewidth=2.2)
        ax.plot(*solved, color=role.color, linestyle=role.line, marker=role.marker, markersize=6)
        name_axes(ax, LEVEL, NOISY_SAMPLE if ax is axes[0, 0] else "", title)
        tick = 10 ** np.floor(np.log10(reach))
        ax.set_xticks([0, high / 2, high])
        ax.set_yticks(reach // tick * tick * np.array([-1, 0, 1]))
    (high, reach), ax = spans[1], axes[0, 1]
    label(ax, 0.6 * high, 0.86 * reach, "black line: exact path")
    label(ax, 0.6 * high, 0.74 * reach, "marked line: the solver", role.color)
    return figure


def convergence_order(steps: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Convergence order: the solvers' errors against the number of steps, with fitted slopes."""
    figure, axes = sheet(1, 1, 7.0, 4.2)
    plot = axes[0, 0]
    for name, error in errors.items():
        role, fitted = SOLVER_STYLE[name], slope(steps, error)
        plot.loglog(steps, error, color=role.color, marker=role.marker, linestyle=role.line)
        text = f"{name}: slope {fitted:.2f}".replace("-", "−")
        label(plot, *((20, error[-3] * 2.2) if name == "Euler" else (4, error[-4] / 2)), text,
              role.color)  # fmt: skip
        guide = error[-1] * (np.array(steps[-4:]) / steps[-1]) ** round(fitted)
        plot.loglog(steps[-4:], guide / 2, color=TRUTH.color, linewidth=0.9, linestyle=":")
    label(plot, steps[0], min(errors["Heun"]), "dotted: slopes −1 and −2")
    integer_ticks(plot, steps)
    title = "From 16 steps on, doubling N halves Euler's error and quarters Heun's"
    name_axes(plot, "steps $N$", "mean error at $t = 0$ (data units)", title)
    return figure


def local_errors(
    levels: Tensor, errors: Tensor, bends: Tensor, control: tuple[Tensor, Tensor], width: float
) -> Figure:
    """Errors of one Euler step over a tenth of the noise, and bends: (m, paths) at levels (m,).

    `control` are the same two for one Gaussian of the same spread; `width` is that spread.
    """
    figure, axes = sheet(1, 2, 10.0, 3.5)
    rows = zip(axes[0], (errors, bends), control, (TEACHER, TRUTH), strict=True)
    for ax, values, alone, role in rows:
        low, middle, high = np.quantile(values.numpy(), (0.1, 0.5, 0.9), axis=1)
        ax.fill_between(levels, low, high, color=role.color, alpha=0.2, linewidth=0)
        ax.loglog(levels, middle, color=role.color)
        ax.loglog(levels, alone.median(1).values, color=DATA.color, linestyle="--")
        ax.axvline(width, color=DATA.color, linestyle=":")
    missed, bend = axes[0]
    top = float(errors.max())
    label(missed, width * 1.05, top / 3000, f"spread of the\ndata, {width:.2f}", DATA.color)
    key = "line: median of the paths\nband: the middle 80 %\ndashed: one Gaussian"
    label(missed, 1.2 * float(levels[-1]), top / 6, key)
    words = "error of one step (data units)"
    name_axes(missed, LEVEL, words, "A step misses most in the middle")
    words = "bend $|d^2x_t/dt^2|$ (1 / data units)"
    name_axes(bend, LEVEL, words, "The bend is largest near the data")
    return figure


def solvers_on_ring(
    paths: Tensor,
    calls: Mapping[str, Sequence[int]],
    errors: Mapping[str, Sequence[float]],
    reach: float = 2.2,
) -> Figure:
    """Exact paths (m, b, 2) onto a ring, and the solvers' errors against network calls."""
    figure, axes = sheet(1, 2, 10.0, 4.4, ratios=(1, 1.25))
    ax, plot = axes[0]
    ax.add_collection(LineCollection(list(paths.transpose(0, 1).numpy()), colors=DATA.color,
                                     linewidths=0.7, alpha=0.7))  # fmt: skip
    ax.scatter(*paths[-1].T, s=9, color=EXTRA.color, marker=EXTRA.marker, zorder=3)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    name_axes(
        ax,
        "$x_1$ (data units)",
        "$x_2$ (data units)",
        "Paths head for the centre, then turn to one mode",
    )
    for name, error in errors.items():
        role = SOLVER_STYLE[name]
        plot.loglog(calls[name], error, color=role.color, marker=role.marker, linestyle=role.line)
        x, y = (1.0, 1.7) if name == "Euler" else (0.45, 0.8)
        label(plot, x * calls[name][-2], y * error[-2], name, role.color)
    integer_ticks(plot, calls["Euler"])
    after = crossover_calls(calls, errors)
    before = max((n for n in calls["Heun"] if n < after), default=0)
    title = f"Heun overtakes Euler between {before} and {after} calls"
    name_axes(plot, "network calls", "mean error at $t = 0$ (data units)", title)
    return figure


def crossover_calls(
    calls: Mapping[str, Sequence[int]], errors: Mapping[str, Sequence[float]]
) -> int:
    """The first number of calls with which Heun has less error than Euler."""
    euler = np.interp(np.log(calls["Heun"]), np.log(calls["Euler"]), np.log(errors["Euler"]))
    return int(np.asarray(calls["Heun"])[np.log(errors["Heun"]) < euler][0])
