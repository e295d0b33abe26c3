"""Posterior p(x | x_t) of a Gaussian mixture, exactly, and plots of three points of it.

Posterior sampling puts one point into the operator A(·) in place of x: the posterior mean, the
end of the ODE path, or a posterior sample. Given x_t = x + σ z, each component of a mixture of
isotropic Gaussians has an isotropic Gaussian posterior, and the weights change by how well it
explains x_t:

    p(x | x_t) = Σ_k w_k(x_t) N(m_k, v_k I),   v_k = s_k² σ² / (s_k² + σ²),
    m_k = (s_k² x_t + σ² μ_k) / (s_k² + σ²),   w_k(x_t) ∝ w_k N(x_t; μ_k, (s_k² + σ²) I).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from cmlab.gaussian_mixture import require
from cmlab.methods.posterior_sampling import Operator
from cmlab.metrics.plots import DATA, MEAN, NOISE, STUDENT, TRUTH, Role, label, name_axes, sheet
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture, Mixture1D, Oracle
from cmlab.process import VarianceExploding
from cmlab.sampling import ode
from cmlab.types import Data, PerSample, Time

POINT_NAMES = ("posterior mean", "endpoint", "posterior sample")


@dataclass(frozen=True, eq=False)
class MixturePosterior:
    """p(x | x_t) for each of b noisy samples: weights (b, K), means (b, K, D), stds (b, K)."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @property
    def mean(self) -> Tensor:
        """E[x | x_t], (b, D)."""
        return (self.weights[..., None] * self.means).sum(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points for each x_t: (b, n, D)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        row = torch.arange(len(k))[:, None]
        means = self.means[row, k]
        z = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        return means + self.stds[row, k][..., None] * z

    def expect(self, of: Callable[[Tensor], Tensor], n: int, generator: torch.Generator) -> Tensor:
        """E[of(x) | x_t], from n points for each x_t."""
        x = self.sample(n, generator)
        return of(x.flatten(0, 1)).reshape(*x.shape[:2], -1).mean(1)


def posterior(oracle: Oracle, x_t: Data, level: Time) -> MixturePosterior:
    """The exact posterior of each x_t (b, *d) at its noise level, over flat samples."""
    parts, flat = oracle.components, x_t.flatten(1).double()
    s2, v = parts.stds**2, level.double()[:, None] ** 2
    weights = parts.log_terms(flat, level.double()[:, None]).softmax(0).T
    total = (s2 + v)[..., None]
    means = (s2[:, None] * flat[:, None] + v[..., None] * parts.means) / total
    return MixturePosterior(weights, means, (s2 * v / (s2 + v)).sqrt())


def conditional_line(oracle: Mixture, axis: int, value: float) -> Mixture1D:
    """p(the other coordinate | this one = value) of a mixture in the plane, in closed form."""
    parts = oracle.components
    flat = parts.means.shape[1] == 2
    require(flat, "only a distribution in the plane has one other coordinate: give means of "
            "shape (K, 2)")  # fmt: skip
    off = (value - parts.means[:, axis]) / parts.stds
    weights = (parts.weights.log() - parts.stds.log() - off**2 / 2).softmax(0)
    kept = weights > 1e-12 * weights.max()
    left = weights[kept] / weights[kept].sum()
    return Mixture1D(left, parts.means[kept, 1 - axis], parts.stds[kept])


@dataclass(frozen=True, eq=False)
class PathEnd:
    """The end of the ODE path from x_t, with a gradient: Heun's method in `steps` steps.

    The oracle's own `consistency` is more exact and has no gradient. A batch has one noise level.
    """

    oracle: Oracle
    steps: int = 10
    low: float = 0.01

    def __call__(self, x_t: Data, t: Time) -> Data:
        top = float(t[0])
        require(bool((t == t[0]).all()), "an endpoint is solved for one level at a time")
        down = (
            KarrasGrid(self.low, top).down(self.steps)
            if top > self.low
            else t.new_tensor([top, 0])
        )
        *_, x = ode(VarianceExploding(), self.oracle.denoise, x_t, down)
        return x


def three_points(
    oracle: Oracle, x_t: Data, level: Time, generator: torch.Generator
) -> dict[str, Data]:
    """The posterior mean, the endpoint, and one exact posterior sample for each x_t."""
    drawn = posterior(oracle, x_t, level).sample(1, generator)[:, 0].reshape(x_t.shape)
    found = (oracle.denoise(x_t, level), oracle.consistency(x_t, level), drawn.to(x_t))
    return dict(zip(POINT_NAMES, found, strict=True))


@dataclass(frozen=True, eq=False)
class PointStatistics:
    """Statistics of each point: radius ‖x‖, ln p(x) in nats, and the measurement A(x)."""

    radius: PerSample
    log_density: PerSample
    measured: Tensor


def point_statistics(oracle: Oracle, x: Data, operator: Operator) -> PointStatistics:
    """Radius, log-density under the data distribution, and the operator's value at each point."""
    none = torch.zeros(len(x), dtype=x.dtype)
    return PointStatistics(x.flatten(1).norm(dim=1), oracle.log_density(x, none), operator(x))


# Plots: the three points over the exact posterior, and what an operator makes of them

LEVEL = "noise level $\\sigma$ (data units)"
DARK = {MEAN.color: "#8a5c00"}  # the mean's colour, dark enough for words
POINT_STYLE: dict[str, Role] = {
    "posterior mean": MEAN, "endpoint": STUDENT, "posterior sample": TRUTH,
}  # fmt: skip
REACH = 1.45


def ink(role: Role) -> str:
    """A role's colour for words."""
    return DARK.get(role.color, role.color)


def posterior_cloud(ax: Axes, places: Tensor, drawn: Tensor, x_t: Tensor) -> Axes:
    """The data's modes (K, 2), exact posterior samples (n, 2), and x_t (2,) if it is near."""
    ax.scatter(*places.T, s=150, color=DATA.color, alpha=0.18, linewidths=0)
    ax.scatter(*drawn.T, s=7, color=TRUTH.color, alpha=0.5, linewidths=0)
    away = float(x_t.abs().max())
    seen = x_t if away < REACH else x_t * (0.96 * REACH / away)
    ax.plot(*seen.tolist(), marker="P", color=NOISE.color, markersize=9, markeredgecolor="white")
    (x, y), side = seen.tolist(), -9 if seen[0] > 0 else 9
    ax.annotate("$x_t$" if away < REACH else "$x_t$ lies outside", (x, y), (side, -14), fontsize=9,
                textcoords="offset points", color="#555555",
                ha="right" if side < 0 else "left")  # fmt: skip
    ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    ax.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    return ax


def draw_points(ax: Axes, points: Mapping[str, Tensor]) -> None:
    """Each named point (2,) with its role's marker; names towards the middle, apart in height."""
    halo = [withStroke(linewidth=3, foreground="white")]
    top = max(float(point[1]) for point in points.values())
    for name, point in points.items():
        role, (x, y) = POINT_STYLE[name], point.tolist()
        up = 8 if y == top else -15
        ax.plot(x, y, marker=role.marker, color=role.color, markersize=11, zorder=4,
                markeredgecolor="white")  # fmt: skip
        side = -1 if x > 0 else 1
        ax.annotate(name, (x, y), (7 * side, up), textcoords="offset points", color=ink(role),
                    ha="left" if side > 0 else "right", fontsize=9, path_effects=halo)  # fmt: skip


def operator_answers(
    places: Tensor, drawn: Tensor, x_t: Tensor, points: Mapping[str, Tensor], answers: Tensor,
    found: Mapping[str, float], name: str, span: tuple[float, float],
) -> Figure:  # fmt: skip
    """The plane with one x_t, and what an operator answers: posterior (n,) against the points."""
    figure, (axes,) = sheet(1, 2, 9.4, 3.9, ratios=(1, 1.25))
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.14, top=0.9, wspace=0.16)
    draw_points(posterior_cloud(axes[0], places, drawn, x_t), points)
    mode = torch.cdist(torch.stack([*drawn, points["endpoint"]]), places.to(drawn)).argmin(1)
    share = float((mode[:-1] == mode[-1]).double().mean())
    title = f"Posterior (black): {share:.0%} near the endpoint".replace("%", " %")
    name_axes(axes[0], "$x_1$ (data units)", "$x_2$ (data units)", title)
    answer_histogram(axes[1], answers, found, span)
    middle = float(answers.mean())
    best = min(found, key=lambda point: abs(found[point] - middle))
    title = f"The {best} is nearer to E[A(x) | $x_t$] (dotted)"
    name_axes(axes[1], name, f"of {len(answers)} posterior samples", title)
    return figure


def answer_histogram(
    ax: Axes, answers: Tensor, found: Mapping[str, float], span: tuple[float, float]
) -> None:
    """A histogram of an operator's answers (n,), their mean, and the answer to each point."""
    tall, edges = np.histogram(answers.numpy(), np.linspace(*span, 41))
    ax.stairs(tall, edges, fill=True, color=TRUTH.color, alpha=0.45)
    ax.axvline(float(answers.mean()), color=TRUTH.color, linewidth=1.2, linestyle=":")
    top = max(float(np.max(tall)), 1.0)
    for height, (point, value) in zip((1.17, 1.05), found.items(), strict=True):
        role, right = POINT_STYLE[point], value < sum(span) / 2
        ax.plot([value, value], [0, height * top], color=role.color, linestyle=role.line)
        ax.plot(value, height * top, marker=role.marker, color=role.color, markersize=10)
        ax.annotate(
            f"A({point}) = {value:.2f}", (value, height * top), (9 if right else -9, -3),
            textcoords="offset points", ha="left" if right else "right", color=ink(role),
            fontsize=9,
        )  # fmt: skip
    ax.set(xlim=span, ylim=(0, 1.3 * top))


def statistics_by_level(
    levels: Tensor, panels: Mapping[str, tuple[str, Mapping[str, Tensor]]]
) -> Figure:
    """Curves over the level by title: the name of the vertical axis, and a row for each point."""
    figure, (axes,) = sheet(1, len(panels), 3.7 * len(panels), 3.5)
    for ax, (title, (axis, rows)) in zip(axes, panels.items(), strict=True):
        for name, row in rows.items():
            role = POINT_STYLE[name]
            ax.plot(levels, row, color=role.color, marker=role.marker, linestyle=role.line, ms=5)
        where = len(levels) // 2
        if ax is axes[0]:
            for name, row in rows.items():
                lift = 0.06 if name == "posterior sample" else -0.09 if name == "endpoint" else 0
                label(
                    ax,
                    float(levels[where]),
                    float(row[where]) + lift,
                    name,
                    ink(POINT_STYLE[name]),
                )
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.15 * (high - low))
        ax.set_xscale("log")
        ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
        ax.minorticks_off()
        name_axes(ax, LEVEL, axis, title)
    return figure


def jacobian_norms(levels: Tensor, found: Mapping[str, Tensor]) -> Figure:
    """How strongly each point answers to x_t: median and 99th percentile (levels, 2) by name."""
    figure, ((ax,),) = sheet(1, 1, 7.4, 3.5)
    for name, rows in found.items():
        role = POINT_STYLE[name]
        for row, line, wide in ((rows[:, 0], "-", 2.2), (rows[:, 1], ":", 1.4)):
            ax.plot(levels, row, color=role.color, linestyle=line, linewidth=wide,
                    marker=role.marker, ms=4)  # fmt: skip
    (mean, end), last = found.items(), float(levels[-1]) * 1.1
    label(
        ax,
        last,
        float(mean[1][-1, 0]),
        f"{mean[0]}, median and 1 in 100",
        ink(POINT_STYLE[mean[0]]),
    )
    for column, word in ((0, "median"), (1, "1 in 100")):
        label(ax, last, float(end[1][-1, column]), f"{end[0]}, {word}", ink(POINT_STYLE[end[0]]))
    ax.set(xscale="log", yscale="log", xlim=(0.9 * float(levels[0]), 300), ylim=(1e-3, 30))
    ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    ax.set_yticks([0.001, 0.01, 0.1, 1, 10], ["0.001", "0.01", "0.1", "1", "10"])
    ax.minorticks_off()
    title = "At high noise the mean passes every pull on alike; the endpoint does not"
    return name_axes(
        ax, LEVEL.replace(r"\sigma", "t"), "pull felt at $x_t$, $\\|J^\\top u\\|$", title
    ).figure  # type: ignore
