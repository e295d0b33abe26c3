"""Figures of lab 10 (sCM): the continuous-time limit, tangents, and recorded runs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)

from ..common.plots_recordings import plain_ticks
from ..common.study import Recording, path_of, ranged, read
from ..registry import STUDIES

# The continuous-time limit: tangents along paths, gradients by gap, the loss step by step

ANGLE = "time $t$ (radians)"
GAP = "gap $t - r$ (radians)"
PRECISIONS = {"float64": STUDENT, "float32": TEACHER}
NAMED = {"float64": "64 bits", "float32": "32 bits"}


def decimal(value: float) -> str:
    """A small number in full, without a power of ten: 0.00001."""
    return f"{value:.10f}".rstrip("0")


def power(value: float) -> str:
    """One digit and a power of ten: 4 · 10⁻⁴."""
    digit, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digit == "1" else f"{digit} · 10{raised}"


def binned(x: np.ndarray, y: np.ndarray, bins: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """Means of x and y (n,) in bins of equal width over the middle 98 % of x."""
    low, high = np.quantile(x, (0.01, 0.99))
    edges = np.linspace(low, high, bins + 1)
    where = np.digitize(x, edges)
    rows = [where == i for i in range(1, bins + 1)]
    return np.array([x[row].mean() for row in rows]), np.array([y[row].mean() for row in rows])


def least_squares_slope(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of the straight line through the points (x, y) of least squared error."""
    return float(np.polyfit(x, y, 1)[0])


def mean_tangents(panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """x_t and two tangents, each (n,), by title: along one sample's path and the exact path."""
    figure, (axes,) = sheet(1, len(panels), 9.2, 3.5)
    for ax, (title, (x, sampled, exact)) in zip(axes, panels.items(), strict=True):
        ax.plot(x[:300], sampled[:300], ".", color=NOISE.color, markersize=3, alpha=0.5)
        order = np.argsort(x)
        ax.plot(x[order], exact[order], color=TRUTH.color, linewidth=2)
        ax.plot(*binned(x, sampled), MEAN.marker, color=MEAN.color, markersize=7)
        reach = float(np.quantile(np.abs(x), 0.995))
        ax.set(xlim=(-reach, reach), ylim=(-0.55, 0.55))
        name_axes(ax, "$x_t$ (data units)", "", title)
    axes[0].set_ylabel("$g = \\cos t\\; df/dt$ (data units)")
    rows = (
        ("grey dots: paths of single samples", "#666666"),
        ("triangles: their mean", "#8a5c00"),
    )
    for number, (text, color) in enumerate((*rows, ("black line: the exact path", "black"))):
        label(axes[0], 0.95 * axes[0].get_xlim()[0], 0.47 - 0.08 * number, text, color)
    return figure


def loglog_slope(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    """The slope of ln y against ln x for low ≤ x ≤ high."""
    a, b = np.log(x), np.log(y)
    inside = (np.asarray(x) >= low * 0.99) & (np.asarray(x) <= high * 1.01)
    return least_squares_slope(a[inside], b[inside])


def limit_errors(
    gaps: Sequence[float], errors: Mapping[str, Sequence[float]], floors: Mapping[str, float]
) -> Figure:
    """Error of the discrete gradient over the gap, by precision; floors: the limit's own error."""
    figure, ((ax,),) = sheet(1, 1, 7.6, 3.9)
    for name, row in errors.items():
        role = PRECISIONS[name]
        ax.loglog(gaps, row, color=role.color, linestyle=role.line, marker=role.marker)
    for name, floor in floors.items():
        ax.axhline(floor, color=PRECISIONS[name].color, linewidth=1, linestyle=":")
        label(ax, gaps[0] * 0.9, floor * 1.5, f"the limit itself, {NAMED[name]}",
              PRECISIONS[name].color)  # fmt: skip
    places = {"float32": (0.1, 0.06), "float64": (0.5, 0.06)}
    for name, (right, up) in places.items():
        middle = len(gaps) * 5 // 8
        label(ax, gaps[middle] * right, errors[name][middle] * up, NAMED[name],
              PRECISIONS[name].color)  # fmt: skip
    fitted = loglog_slope(gaps, errors["float64"], 1e-4, 1e-1)
    best = gaps[int(np.argmin(errors["float32"]))]
    ax.set(xlim=(max(gaps) * 1.8, min(gaps) / 1.8), ylim=(2e-10, 5))
    title = f"Slope {fitted:.2f} over three decades; in 32 bits a gap of {best:g} is best"
    name_axes(ax, GAP + ", smaller to the right", "relative error of the gradient", title)
    return figure


def loss_and_gradients(
    places: Sequence[float], pulls: Sequence[float], ours: np.ndarray, theirs: np.ndarray
) -> Figure:
    """F and g (one sample on the line, step by step), and two gradients entry by entry."""
    figure, (axes,) = sheet(1, 2, 9.2, 3.5)
    loss_by_step(axes[0], places, pulls)
    ax, reach = axes[1], 1.1 * float(np.abs(theirs).max())
    ax.plot([-reach, reach], [-reach, reach], color=TRUTH.color, linewidth=1)
    ax.plot(theirs, ours, ".", color=STUDENT.color, markersize=4)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.locator_params(axis="x", nbins=5)
    ratio = float(np.linalg.norm(ours) / np.linalg.norm(theirs))
    cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    label(
        ax,
        -0.9 * reach,
        0.75 * reach,
        f"a dot for each of {len(ours):,} weights\nline: equal".replace(",", " "),
    )
    name_axes(ax, "the limit, $2\\lambda\\,\\nabla f_\\theta^\\top\\, df_{\\theta^-}/dt$",
              "gradient of $\\|F_\\theta - F_{\\theta^-} - g\\|^2$",
              gradients_title(cosine, ratio))  # fmt: skip
    return figure


def gradients_title(cosine: float, ratio: float) -> str:
    """Title: whether the two are equal."""
    if cosine > 1 - 1e-6 and abs(ratio - 1) < 1e-5:
        return "The two gradients are equal"
    return f"Cosine {cosine:.6f}, ratio {ratio:.6f}"


def loss_by_step(ax: Axes, places: Sequence[float], pulls: Sequence[float]) -> None:
    """A parabola for each step: F is marked on it, and its minimum is g away."""
    low = min(*places, *(F + g for F, g in zip(places, pulls, strict=True)))
    high = max(*places, *(F + g for F, g in zip(places, pulls, strict=True)))
    room = 0.25 * (high - low)
    s = np.linspace(low - room, high + room, 200)
    for number, (F, g) in enumerate(zip(places, pulls, strict=True)):
        alpha = 0.35 + 0.65 * number / max(len(places) - 1, 1)
        ax.plot(s, (s - F - g) ** 2, color=STUDENT.color, linewidth=1.2, alpha=alpha)
        ax.plot(F, g**2, STUDENT.marker, color=STUDENT.color, markersize=8, alpha=alpha)
        ax.plot(F + g, 0, EXTRA.marker, color=EXTRA.color, markersize=8, alpha=alpha)
        ax.annotate(f"{number}", (F, g**2), xytext=(7, 3), textcoords="offset points", fontsize=9)
    tall = 3 * max(g**2 for g in pulls)
    ax.axhline(pulls[0] ** 2, color=DATA.color, linewidth=0.8, linestyle=":")
    ax.set(ylim=(-0.08 * tall, tall))
    label(ax, s[0], 1.04 * pulls[0] ** 2, "dotted: the first loss")
    label(ax, s[0], 0.92 * tall, "squares: $F$ at each step, by number", STUDENT.color)
    label(ax, s[0], 0.82 * tall, "crosses: the minimum, $F^- + g$", EXTRA.color)
    name_axes(
        ax,
        "answer $F$ of the network",
        "loss of one sample",
        "The minimum stays $g$ away at every step",
    )


# One path, two times: the slope of the secant between them, and its limit


def secant(
    t: np.ndarray, along: np.ndarray, ends: tuple[float, float], slopes: tuple[float, float],
    gaps: np.ndarray, by_gap: np.ndarray, name: str,
) -> Figure:  # fmt: skip
    """A function along one path with its secant from r to t, and the slope of it by the gap.

    t, along     times and the function's values there (m,)
    ends         r and t
    slopes       of the secant, and of the curve at t
    gaps, by_gap the slopes (k,) at all gaps
    """
    figure, (axes,) = sheet(1, 2, 9.0, 2.9, (1.2, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.075, right=0.975, bottom=0.15, top=0.89, wspace=0.24)
    curve, by = axes
    (early, late), (slope, limit) = ends, slopes
    values = np.interp([early, late], t, along)
    curve.plot(t, along, color=STUDENT.color, linewidth=2.2)
    reach = np.array([early - 0.25, late + 0.25])
    curve.plot(reach, values[1] + slope * (reach - late), color=TEACHER.color, linestyle="-.")
    curve.plot(ends, values, TEACHER.marker, color=TEACHER.color, markersize=8)
    low, high = curve.get_ylim() if np.ptp(along) > 1e-6 else (0.0, 0.5)
    curve.set(xlim=(0, END), ylim=(min(low, 0), max(high, 0.28)))
    for x, y, text in zip(ends, values, ("r", "t"), strict=True):
        label(curve, x - 0.03, y + 0.02, text, TEACHER.color)
    curve.set_xticks([0, np.pi / 4, np.pi / 2], ["0", "π/4", "π/2"])
    name_axes(
        curve,
        ANGLE,
        f"{name} along one path",
        f"The secant has slope {slope:.3f}".replace("-", "−"),
    )
    by.plot(gaps, by_gap, color=TEACHER.color, linestyle="-.")
    by.axhline(limit, color=TRUTH.color, linestyle=":", linewidth=1.4)
    by.plot(late - early, slope, TEACHER.marker, color=TEACHER.color, markersize=9)
    room = 0.25 * max(float(np.ptp(by_gap)), 0.1)
    low, high = min(by_gap.min(), limit) - room, max(by_gap.max(), limit) + room
    by.set(xscale="log", xlim=(1.15 * gaps.max(), 0.85 * gaps.min()), ylim=(low, high))
    plain_ticks(by.xaxis, (1, 0.3, 0.1, 0.03, 0.01))
    label(by, 0.9, limit + 0.12 * room, "dotted: slope of the curve at t", TRUTH.color)
    off = abs(slope - limit)
    name_axes(
        by, GAP + ", smaller to the right", "slope", f"It is {off:.3f} from the curve's slope"
    )
    return figure


# Size of the tangent: the speed of the network's time input, and the two brackets of g

FEATURES = ((STUDENT, 0.4), (EXTRA, 0.4), (TEACHER, 1.5), (WRONG, 0.3))  # and where names go
END = np.pi / 2


def input_speeds(
    t: np.ndarray, time_inputs: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray]
) -> Figure:
    """Factors of speeds, each (m,) by name: of time inputs in df/dt and in g, of features in g."""
    figure, (axes,) = sheet(1, 2, 9.0, 3.5)
    left, right = axes
    places = ((0.5, 1.25), (0.15, 0.62))  # where the names of the two factors in df/dt go
    for (name, speed), role, (x, up) in zip(
        time_inputs.items(), (STUDENT, TEACHER), places, strict=True
    ):
        in_slope, in_g = np.sin(t) * speed, np.cos(t) * np.sin(t) * speed
        left.semilogy(t, in_slope, color=role.color, linestyle=":", linewidth=2)
        left.semilogy(t, in_g, color=role.color, linestyle=role.line, linewidth=2)
        label(left, x, float(np.interp(x, t, in_slope)) * up, name, role.color)
    label(left, 0.08, 18, "dotted: in df/dt\nsolid, dash-dotted: in g")
    left.set(ylim=(0.03, 60), xlim=(0, END))
    name, speed = list(time_inputs.items())[-1]
    ends = np.sin(t[-1]) * speed[-1], np.cos(t[-1]) * np.sin(t[-1]) * speed[-1]
    grows = ends[0] > 10 * ends[1]
    title = f"{name.split()[-1]} grows in df/dt{', but not in g' if grows else ' and in g'}"
    name_axes(left, ANGLE, "factor of $\\partial F/\\partial c_{noise}$", title)
    for (name, speed), (role, up) in zip(features.items(), FEATURES, strict=True):
        right.semilogy(t, np.cos(t) * np.sin(t) * speed, color=role.color, linestyle=role.line)
        place = float(np.interp(0.65, t, np.cos(t) * np.sin(t) * speed))
        label(right, 0.45, place * up, name, role.color)
    right.set(ylim=(0.03, 2e3), xlim=(0, END))
    name_axes(
        right, ANGLE, "factor in $g$, by features", "In g the scale of the features matters most"
    )
    return figure


@dataclass(frozen=True, eq=False)
class TangentLengths:
    """‖·‖ of the first and the second bracket and of g at angles t (m,): each (m, samples)."""

    t: np.ndarray
    first: np.ndarray
    second: np.ndarray
    whole: np.ndarray


def quantile_band(ax: Axes, t: np.ndarray, lengths: np.ndarray, role: Role) -> float:
    """Median and the middle 98 % of lengths (m, samples); the highest of what is shown."""
    low, middle, high = np.quantile(lengths, (0.01, 0.5, 0.99), axis=1)
    ax.fill_between(t, low, high, color=role.color, alpha=0.18, linewidth=0)
    ax.semilogy(t, middle, color=role.color, linestyle=role.line)
    return float(high.max())


def bracket_lengths(
    smooth: TangentLengths,
    loud: TangentLengths,
    titles: tuple[str, str],
    after: Mapping[str, np.ndarray],
) -> Figure:
    """The brackets of two networks, and the second's ‖g‖ (m, samples) after each stabiliser."""
    figure, (axes,) = sheet(1, 3, 10.4, 3.6)
    for ax, terms, title in zip(axes, (smooth, loud), titles, strict=False):
        quantile_band(ax, terms.t, terms.first, TEACHER)
        top = quantile_band(ax, terms.t, terms.second, STUDENT)
        label(ax, 0.08, 0.025, "first bracket", TEACHER.color)
        label(ax, 0.7, 1.3 * top, "second bracket", STUDENT.color)
        ratio = np.median(terms.second, axis=1).max() / np.median(terms.first, axis=1).max()
        finding = "the second dominates" if ratio > 3 else "brackets of like size"
        name_axes(ax, ANGLE, "", f"{title}: {finding}")
    stabilised(axes[2], loud, after)
    name_axes(axes[2], ANGLE, "", f"{titles[1]}: a long g is shortened")
    for ax in axes:
        ax.set(xlim=(0, END), ylim=(8e-3, 60))
        ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        ax.minorticks_off()
    axes[0].set_ylabel("length (data units)")
    return figure


def stabilised(ax: Axes, terms: TangentLengths, after: Mapping[str, np.ndarray]) -> None:
    """The 99th percentile of ‖g‖ (m, samples), as it is and after each stabiliser."""
    high = np.quantile(terms.whole, 0.99, axis=1)
    ax.semilogy(terms.t, high, color=TRUTH.color, linewidth=2.4)
    label(ax, 0.7, 1.3 * float(high.max()), "without (all: 99th percentile)")
    for (name, lengths), role in zip(after.items(), (STUDENT, EXTRA, MEAN), strict=True):
        row = np.quantile(lengths, 0.99, axis=1)
        ax.semilogy(terms.t, row, color=role.color, linestyle=role.line, label=name)
    ax.legend(loc="lower center", fontsize=9, frameon=False)


# Recorded runs: scores by variant, over training, and by gap

RMSE, STEP = "RMS distance from $f^*$ (data units)", "step"
STABILISER_TICKS = (0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
STABILISER_LENGTH = "median of $\\|g\\|$ (data units)"
LOOKS: dict[str, Role] = {
    "sct": STUDENT, "sct-no-norm": TARGET, "sct-fourier-16": WRONG, "scd": TEACHER,
    "scd-norm": MEAN, "scd-no-bound": EXTRA, "sct-fourier-16-bare": NOISE,
}  # fmt: skip


def existing_recordings(study: str, variants: Iterable[str]) -> dict[str, Recording]:
    """Those recordings of these variants that exist, in this order."""
    return {
        variant: read(study, variant) for variant in variants if path_of(study, variant).is_file()
    }


def title_of(study: str, variant: str) -> str:
    """The variant's title."""
    return STUDIES[study].variants[variant].title  # type: ignore[attr-defined]


def score_rows(ax: Axes, runs: Mapping[str, Recording], base: str, role: Role) -> None:
    """A row for each variant, a mark for each seed, and a line at the mean."""
    order = list(runs)[::-1]
    for height, variant in enumerate(order):
        found = runs[variant].score("rmse")
        ax.plot(found, [height] * len(found), role.marker, color=role.color, markersize=4.5)
        ax.plot([found.mean()] * 2, [height - 0.3, height + 0.3], color=role.color, linewidth=2)
    low, high = runs[base].score("rmse").min(), runs[base].score("rmse").max()
    ax.axvspan(low, high, color=role.color, alpha=0.15, linewidth=0)
    titles = (title_of("stabilisers", variant) for variant in order)
    names = [re.sub(", (no |ln)", r",\n\1", title) for title in titles]
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(ylim=(-0.6, len(names) - 0.4))


def variant_scores(panels: Mapping[str, tuple[Mapping[str, Recording], str]], log: str) -> Figure:
    """Panels by title: the recordings, and the variant that they are compared with.

    `log` is the title of the panel with a logarithmic axis.
    """
    figure, (axes,) = sheet(1, len(panels), 10.6, 3.6)
    for ax, (title, (runs, base)), role in zip(
        axes, panels.items(), (STUDENT, TEACHER, WRONG), strict=False
    ):
        score_rows(ax, runs, base, role)
        name_axes(ax, "", "", title)
        scores = np.concatenate([run.score("rmse") for run in runs.values()])
        low, high = float(scores.min()), float(scores.max())
        ax.set_xlim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        if title == log:
            ax.set(xscale="log", xlim=(0.02, 2.5 * high))
            ax.minorticks_off()
    figure.supxlabel(RMSE, fontsize=10)
    return figure


def over_training(runs: Mapping[str, Recording]) -> Figure:
    """Median length of the tangent, a mean over levels, and RMS error, by step and variant."""
    figure, (axes,) = sheet(1, 2, 9.0, 3.4)
    for variant, run in runs.items():
        role, steps = LOOKS[variant], run["steps"].mean(0)
        rows = run["tangent"][..., 0].mean(2), rms_over_levels(run["error"])
        for ax, by_seed in zip(axes, rows, strict=True):
            ax.semilogy(steps, by_seed.mean(0), color=role.color, linestyle=role.line)
            ax.fill_between(steps, by_seed.min(0), by_seed.max(0), color=role.color, alpha=0.15,
                            linewidth=0)  # fmt: skip
        end = float(run["tangent"][..., 0].mean((0, 2))[-1])
        up = {"scd": 0.6, "scd-norm": 1.3}.get(variant, 1.0)
        label(axes[0], steps[-1] * 1.03, end * up, title_of("stabilisers", variant), role.color)
    axes[0].set_xlim(-200, 5600)
    axes[0].set_ylim(bottom=0.02)
    name_axes(axes[0], STEP, STABILISER_LENGTH, "Fast features lengthen g, a teacher shortens it")
    name_axes(axes[1], STEP, RMSE, "Only fast features let the error grow")
    return figure


def by_gap(
    gaps: Mapping[float, Recording], limit: Recording, difference: Recording | None = None
) -> Figure:
    """RMS error of discrete twins by gap, a mark for each seed, beside the limit's range."""
    figure, ((ax,),) = sheet(1, 1, 7.6, 3.8)
    base = limit.score("rmse")
    ax.axhspan(base.min(), base.max(), color=STUDENT.color, alpha=0.2, linewidth=0)
    ax.axhline(base.mean(), color=STUDENT.color, linewidth=1)
    label(ax, max(gaps) * 1.6, base.max() * 1.03, "the limit", STUDENT.color)
    found = {gap: run.score("rmse") for gap, run in sorted(gaps.items())}
    for gap, scores in found.items():
        ax.plot([gap] * len(scores), scores, MEAN.marker, color=MEAN.color, markersize=6)
    ax.plot(list(found), [s.mean() for s in found.values()], color=MEAN.color, linestyle="--")
    if difference:
        scores = difference.score("rmse")
        ax.plot([1.5e-6] * len(scores), scores, DATA.marker, color=DATA.color)
        label(ax, 4e-6, scores.max() * 1.06, "differences of F", DATA.color)
    ax.set(xscale="log", yscale="log", xlim=(max(gaps) * 2, 8e-7))
    low, high = ax.get_ylim()
    ticks = [v for v in STABILISER_TICKS if low <= v <= high]
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
    ax.set_yticks([], minor=True)
    name_axes(ax, "gap $t - r$ (radians), smaller to the right", RMSE, gap_title(found, base))
    return figure


def gap_title(found: Mapping[float, np.ndarray], base: np.ndarray) -> str:
    """Title: the gaps whose error is within 10 % of the limit."""
    off = {gap: scores.mean() / base.mean() - 1 for gap, scores in found.items()}
    near = [gap for gap, share in off.items() if abs(share) <= 0.1]
    if not near:
        return "No gap comes within 10 % of the limit"
    if min(near) == min(found):
        return f"Every gap up to {max(near):g} comes within 10 % of the limit"
    return f"Gaps from {min(near):g} to {max(near):g} come within 10 % of the limit"


# Comparison of variants: ratios of errors, and whether the seeds' ranges overlap


def rmse(variant: str, study: str = "stabilisers") -> np.ndarray:
    """The RMS error to f* of each seed of a recorded variant."""
    return read(study, variant).score("rmse")


def rms_over_levels(error: np.ndarray) -> np.ndarray:
    """The RMS (seeds, moments) of errors (seeds, moments, levels)."""
    return np.sqrt(np.square(error).mean(2))


def first_and_last(values: np.ndarray) -> str:
    """Text for values (seeds, moments) at both ends."""
    ends = (values[:, moment] for moment in (0, -1))
    return " → ".join(ranged(end, ".2g" if end.max() < 100 else ".0f") for end in ends)


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Do the ranges of two sets of seeds have a number in common?"""
    return bool(a.min() <= b.max() and b.min() <= a.max())


def ratio_of_means(found: np.ndarray, base: np.ndarray) -> float:
    """The ratio of the means."""
    return float(found.mean() / base.mean())


def effect(found: np.ndarray, base: np.ndarray) -> str:
    """In words: the ratio of the means, and whether the ranges of the seeds are disjoint.

    Of runs that diverged a mean says nothing: they have their lowest and highest ratio.
    """
    if found.mean() > 20 * base.mean():
        low, high = found.min() / base.mean(), found.max() / base.mean()
        return f"×{low:.0f} to ×{high:.0f}, the ranges are disjoint"
    if overlap(found, base):
        return f"×{ratio_of_means(found, base):.2f}, the ranges overlap"
    return f"×{ratio_of_means(found, base):.3g}, the ranges are disjoint"


def stabiliser_verdict(found: np.ndarray, base: np.ndarray, ruin: float = 3.0) -> str:
    """A verdict on a part of a recipe, from the scores without it and with it."""
    if overlap(found, base):
        return "not seen at this scale: no difference beyond that of the seeds"
    if found.mean() < base.mean():
        return "not seen at this scale: it is better without"
    big = ratio_of_means(found, base) > ruin
    return "confirmed here" if big else "partly: worse without, but training does not fail"


def comparison_table(
    runs: Mapping[str, Recording], beside: str, study: str = "stabilisers"
) -> str:
    """Markdown table: each variant's scores, and its error beside that of `beside`."""
    base = runs[beside].score("rmse")
    lines = [
        "| | RMS distance from f* | samples near a mode | distance relative to the first row |",
        "|---" * 4 + "|",
    ]
    for variant, run in runs.items():
        found = run.score("rmse")
        row = (
            title_of(study, variant),
            ranged(found, ".3f" if found.max() < 1 else ".1f"),
            ranged(100 * run.score("hq"), ".0f") + " %",
            "" if variant == beside else effect(found, base),
        )
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


# Tangent microscope: the two brackets of g = cos t df/dt, its bound and its weight

TIME = "time t (radians)"
LENGTH = "length (data units)"
FLOOR, TOP = 1e-3, 1e5  # lengths shown: what the exact f* leaves is far below, or above if it is
LIMITS = ((FLOOR, TOP), (FLOOR, TOP), (1e-6, 1e6))
TICKS = ((0.01, 1, 100, 10_000), (0.01, 1, 100, 10_000), (0.001, 1, 1000))
NOTHING = 1e-4  # shorter than this is zero but for rounding
INK = {MEAN: "#8a5c00"}  # dark enough for words


@dataclass(frozen=True, eq=False)
class TangentTerms:
    """Tangents of n samples at m times t (m,), every other array (m, n, D).

    first, second  the brackets -cos²t (σ_d F - dx/dt) and -r cos t sin t (x_t + σ_d dF/dt)
    bounded        their sum g after its bound, which promises at most `promise` for ‖g‖
    """

    t: np.ndarray
    first: np.ndarray
    second: np.ndarray
    bounded: np.ndarray
    promise: float

    @property
    def g(self) -> np.ndarray:
        return self.first + self.second

    @property
    def longest(self) -> tuple[int, int]:
        """Which time and which sample has the longest g."""
        where = np.unravel_index(sample_lengths(self.g).argmax(), sample_lengths(self.g).shape)
        return int(where[0]), int(where[1])

    @property
    def loss(self) -> np.ndarray:
        """E‖g‖²/D of the bounded tangent at each time: (m,)."""
        return np.square(self.bounded).mean((1, 2))


def sample_lengths(g: np.ndarray) -> np.ndarray:
    """‖g‖ of each sample."""
    return np.linalg.norm(g, axis=-1)


def three_digits(value: float, digits: int = 3) -> str:
    """Three digits (or two, for a title), and no powers of ten for large numbers."""
    large = abs(value) >= 10**digits - 0.5
    return f"{value:,.0f}".replace(",", " ") if large else f"{value:.{digits}g}"


def microscope(terms: TangentTerms, bound: str) -> Figure:
    """Brackets, length before and after the bound, and the weight w* that this loss asks for."""
    figure, (axes,) = sheet(1, 3, 10.6, 3.5)
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.078, right=0.982, bottom=0.145, top=0.9, wspace=0.21)
    for ax, (low, high), ticks in zip(axes, LIMITS, TICKS, strict=True):
        ax.set(yscale="log", xlim=(0, np.pi / 2), ylim=(low, high))
        ax.set_xticks([0, np.pi / 4, np.pi / 2], ["0", "π/4", "π/2"])
        plain_ticks(ax.yaxis, ticks)
    brackets(axes[0], terms)
    before_and_after(axes[1], terms, bound)
    loss_and_weight(axes[2], terms)
    return figure


def cloud(ax: Axes, t: np.ndarray, values: np.ndarray, role: Role, shift: float) -> None:
    """A dot for each sample (m, n), and their median over t."""
    places = np.repeat(t + shift, values.shape[1])
    ax.plot(places, values.ravel(), ".", color=role.color, markersize=2.5, alpha=0.45)
    plot_row(ax, t + shift, np.median(values, 1), role)


def plot_row(ax: Axes, t: np.ndarray, values: np.ndarray, role: Role) -> None:
    """One number for each time."""
    ax.plot(t, values, color=role.color, linestyle=role.line, marker=role.marker, markersize=4.5,
            markevery=3)  # fmt: skip


def key_label(ax: Axes, line: int, text: str, role: Role) -> None:
    """A label at the top left, in that line."""
    low, high = np.log(ax.get_ylim())
    label(ax, 0.05, float(np.exp(high - (high - low) * 0.075 * line)), text,
          INK.get(role, role.color))  # fmt: skip


def brackets(ax: Axes, terms: TangentTerms) -> None:
    """Lengths of the two parts of g."""
    cloud(ax, terms.t, sample_lengths(terms.first), TEACHER, -0.008)
    key_label(ax, 1, "▲ first: $\\cos^2 t\\,(\\sigma_d F - dx_t/dt)$", TEACHER)
    cloud(ax, terms.t, sample_lengths(terms.second), STUDENT, 0.008)
    whole = "$\\kappa \\cos t\\,\\sin t\\,(x_t + \\sigma_d\\, dF/dt)$"
    on = whole if terms.second.any() else "off, κ = 0"
    key_label(ax, 2, f"■ second: {on}", STUDENT)
    parts = [sample_lengths(g)[terms.longest] for g in (terms.first, terms.second)]
    which = ("first", "second")[int(np.argmax(parts))]
    title = f"Longest g: mostly the {which} bracket"
    name_axes(
        ax, TIME, LENGTH, "They cancel" if sample_lengths(terms.g).max() < NOTHING else title
    )


SAID = {"norm": "normalisation", "RMS": "normalisation by the RMS", "clip": "clipping"}


def before_and_after(ax: Axes, terms: TangentTerms, bound: str) -> None:
    """The length of g, what the bound leaves of it, and the band that it promises."""
    g, after = sample_lengths(terms.g), sample_lengths(terms.bounded)
    bounded = np.isfinite(terms.promise)
    if bounded:
        ax.axhspan(FLOOR / 10, terms.promise, color=EXTRA.color, alpha=0.13, linewidth=0)
        label(ax, 0.05, FLOOR * 1.6, f"after the bound at most {terms.promise:.3g}", EXTRA.color)
    cloud(ax, terms.t, g, DATA, -0.008)
    key_label(ax, 1, "● ‖g‖ before the bound", DATA)
    if bounded:
        cloud(ax, terms.t, after, EXTRA, 0.008)
        key_label(ax, 2, f"✚ after {SAID.get(bound, bound)}", EXTRA)
    if g.max() < FLOOR:
        label(ax, 0.05, 4 * FLOOR, f"all below {FLOOR:g}: at most {g.max():.1g}", DATA.color)
    longest, left = three_digits(g.max(), 2), three_digits(after.max(), 2)
    title = f"Longest g: {longest}, bounded to {left}" if bounded else f"Longest g: {longest}"
    name_axes(ax, TIME, "", title)


def loss_and_weight(ax: Axes, terms: TangentTerms) -> None:
    """The loss by time, the weight that evens it, and what the two make together."""
    weight = 1 / np.maximum(terms.loss, 1e-300)
    plot_row(ax, terms.t, terms.loss, STUDENT)
    key_label(ax, 1, "■ loss E‖g‖²/dim", STUDENT)
    plot_row(ax, terms.t, weight, MEAN)
    key_label(ax, 2, "▼ best weight $e^{w^*}$ = 1/loss", MEAN)
    ax.plot(terms.t, terms.loss * weight, color=TRUTH.color, linestyle=":")
    key_label(ax, 3, "dotted: their product", TRUTH)
    uneven = terms.loss.max() / max(terms.loss.min(), 1e-300)
    title = f"The loss varies by a factor of {three_digits(uneven, 2)}"
    gone = terms.loss.max() < NOTHING**2
    name_axes(ax, TIME, "", "No loss left to weight" if gone else title)


# Training curves of sCM: the error by noise level, and the length of the tangents

LEVEL, ERROR = "noise level $\\sigma_d \\tan t$ (data units)", "RMS of $f - f^*$ (data units)"


@dataclass(frozen=True, eq=False)
class TrainingCurves:
    """A run of sCM: steps (T,), levels (L,), error (T, L), tangent (T, L, 3).

    tangent holds median, 99th percentile and maximum of ‖g‖ before it is bounded.
    """

    steps: np.ndarray
    levels: np.ndarray
    error: np.ndarray
    tangent: np.ndarray

    @property
    def median(self) -> np.ndarray:
        """Mean over levels of the median length, (T,)."""
        return self.tangent[..., 0].mean(1)

    @property
    def longest(self) -> np.ndarray:
        """(T,)."""
        return self.tangent[..., 2].max(1)

    @property
    def total(self) -> np.ndarray:
        """RMS of the error over all levels, (T,)."""
        return np.sqrt(np.square(self.error).mean(1))

    def at(self, step: float) -> int:
        """The moment nearest to a step."""
        return int(np.abs(self.steps - step).argmin())


def training(run: TrainingCurves, beside: TrainingCurves | None, whole: int) -> Figure:
    """Training curves of a run of `whole` steps: error by level, and length of g so far.

    `beside` is another run: its error is drawn at the same step.
    """
    figure, (axes,) = sheet(1, 2, 9.6, 3.5, ratios=(1, 1.15))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.075, right=0.975, bottom=0.15, top=0.9, wspace=0.24)
    now = int(run.steps[-1])
    if beside:
        draw_run(axes, beside, now, DATA, "recorded sCT", 1.4)
    draw_run(axes, run, now, STUDENT, "this run", 2.2)
    by_level, by_step = axes
    by_level.set(xscale="log", yscale="log", xlim=(0.002, 10), ylim=(1e-3, 100))
    plain_ticks(by_level.xaxis, (0.01, 0.1, 1, 10))
    plain_ticks(by_level.yaxis, (0.001, 0.01, 0.1, 1, 10, 100))
    name_axes(by_level, LEVEL, ERROR, f"Step {now}: RMS error {run.total[-1]:.3g}")
    by_step.set(yscale="log", xlim=(0, whole), ylim=(0.1, 1e6))
    by_step.set_xticks([0, whole // 2, whole])
    plain_ticks(by_step.yaxis, (0.1, 1, 10, 100, 1000, 10_000, 100_000))
    label(by_step, 0.03 * whole, 3e5, "dashed: the longest; solid: the median")
    name_axes(by_step, "training step", "‖g‖ before its bound (data units)",
              f"Longest tangent: {run.longest[-1]:.3g}")  # fmt: skip
    return figure


def draw_run(
    axes: np.ndarray, run: TrainingCurves, now: int, role: Role, name: str, width: float
) -> None:
    """One run in both panels: its error at the step `now`, its tangents at all its steps."""
    look = {"color": role.color, "linewidth": width}
    axes[0].plot(run.levels, run.error[run.at(now)], linestyle=role.line, **look)
    label(axes[0], 0.0025, 45 if role is STUDENT else 18, name, role.color)
    axes[1].plot(run.steps, run.median, linestyle="-", **look)
    axes[1].plot(run.steps, run.longest, linestyle=(0, (5, 2)), **look)
