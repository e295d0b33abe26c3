"""Figures of lab 17: comparison of methods by error, network calls and cost of training.

A beats B only if the worst seed of A is below the best of B: their ranges lie apart.
A run that failed (nan) counts as an infinite error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

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
    name_axes,
    sheet,
)

from ..common.plots_posterior import ink
from ..common.plots_steps import end_points
from .benchmark import DIFFUSION, ENTRIES, MAPS, NAMES, Row, score

# Samples of two methods from the same noise, over the exact end points


def compare_samples(found: Sequence[tuple[str, np.ndarray, Role]], exact: np.ndarray) -> Figure:
    """A panel for each (title, ends, look); ends (b, 2), and strokes from 60 of the exact ones."""
    figure, (axes,) = sheet(1, len(found), 4.75 * len(found), 3.9)
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.13, top=0.92, wspace=0.2)
    for ax, (title, ends, role) in zip(axes, found, strict=True):
        end_points(ax, ends, exact, role, title)
        ax.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure


# Comparison of methods by their errors over seeds

Scores = Mapping[str, np.ndarray]  # by name, one error for each seed; lower is better
SEEDS = 3


def failed_as_infinite(errors: Iterable[float]) -> np.ndarray:
    """Errors with a failed run's as infinite."""
    found = np.asarray(list(errors), dtype=float)
    return np.where(np.isnan(found), np.inf, found)


def beats(a: Iterable[float], b: Iterable[float]) -> bool:
    """Every seed of a is below every seed of b."""
    return bool(failed_as_infinite(a).max() < failed_as_infinite(b).min())


def unbeaten(scores: Scores) -> list[str]:
    """Those that no other beats, the lowest mean first: one of them is the best, unknown which."""
    found = [a for a in scores if not any(beats(scores[b], scores[a]) for b in scores)]
    return sorted(found, key=lambda name: failed_as_infinite(scores[name]).mean())


def front(costs: Mapping[str, float], scores: Scores) -> list[str]:
    """Those that nothing at their own cost or less beats, the cheapest first."""
    found = [
        a for a in scores
        if not any(costs[b] <= costs[a] and beats(scores[b], scores[a]) for b in scores)
    ]  # fmt: skip
    return sorted(found, key=lambda name: costs[name])


def present(rows: Sequence[Row], methods: Iterable[str] = ENTRIES) -> list[str]:
    """The methods that the table has, in its order."""
    return [method for method in methods if any(row["arm"] == method for row in rows)]


def evaluated_calls(
    rows: Sequence[Row], method: str, name: str = "sliced_w2"
) -> list[tuple[str, int]]:
    """Every (way, calls) in which a method has this number."""
    mine = (row for row in rows if row["arm"] == method)
    found = (a for row in mine for a in row.get("answers", ()) if name in a)
    return list(dict.fromkeys((a["way"], a["calls"]) for a in found))


def generators(rows: Sequence[Row], teacher: bool, maps: bool = False) -> list[str]:
    """The methods trained to generate from noise, with a teacher or without; or flow maps."""
    drawn = [
        method
        for method in present(rows)
        if ENTRIES[method].parts and evaluated_calls(rows, method)
    ]
    told = [method for method in drawn if bool(ENTRIES[method].teacher) == teacher]
    return [method for method in told if (ENTRIES[method].asked == MAPS) == maps]


def by_calls(rows: Sequence[Row], method: str, solver: str = "",
             name: str = "sliced_w2") -> dict[int, np.ndarray]:  # fmt: skip
    """Errors (seeds,) by network calls: by this solver, or by a student's own way."""
    mine = [(w, n) for w, n in evaluated_calls(rows, method, name) if (w == solver or not solver)]
    return {n: score(rows, method, name, w, n) for w, n in mine if solver or w not in NAMES}


def candidates(rows: Sequence[Row], methods: Iterable[str], most: int,
                name: str = "sliced_w2") -> dict[str, np.ndarray]:  # fmt: skip
    """Errors (seeds,) of every method and sampler in at most `most` calls, by "title, n calls"."""
    found = {}
    for method in methods:
        for way, n in evaluated_calls(rows, method, name):
            if 0 < n <= most:
                title = ENTRIES[method].title + " by Heun's method" * (way == "heun")
                found[f"{title}, {n} call{'s' * (n > 1)}"] = score(rows, method, name, way, n)
    return found


def worth(curve: Mapping[int, np.ndarray], errors: np.ndarray) -> tuple[int, int | None]:
    """Against errors by calls: the most calls that are beaten, all fewer ones with them, and the
    fewest that beat (None: none that was tried). In between the ranges overlap.
    """
    beaten = [n for n in curve if all(beats(errors, curve[m]) for m in curve if m <= n)]
    better = [n for n in curve if beats(curve[n], errors)]
    return max(beaten, default=0), min(better, default=None)


def crossing(curve: Mapping[int, np.ndarray], errors: np.ndarray) -> float:
    """Calls at which a curve's mean error first falls to that of `errors`, by lines in log-log.

    nan if it never does.
    """
    calls = sorted(curve)
    here = float(failed_as_infinite(errors).mean())
    means = [float(failed_as_infinite(curve[n]).mean()) for n in calls]
    for (a, b), (high, low) in zip(pairwise(calls), pairwise(means), strict=True):
        if low <= here <= high:
            share = np.log(high / here) / np.log(high / low)
            return float(a * (b / a) ** share)
    return float("nan")


def worth_text(found: tuple[int, int | None]) -> str:
    """`worth` in words."""
    most, fewest = found
    if fewest is None:
        return f"more than {most} calls, and none tried was better"
    return f"more than {most}, fewer than {fewest} calls" if most else f"fewer than {fewest} calls"


def grouped_text(names: Iterable[str]) -> str:
    """Contestants in words, their numbers of calls together."""
    found: dict[str, list[int]] = {}
    for name in names:
        title, calls = name.rsplit(", ", 1)
        found.setdefault(title, []).append(int(calls.split()[0]))
    return "; ".join(
        f"{title} in {' or '.join(map(str, sorted(n)))} call{'s' * (n != [1])}"
        for title, n in found.items()
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The rank correlation of two rows of a few numbers, and the share of all orders of the
    second in which it is as high.
    """
    first, second = np.argsort(np.argsort(a)), np.argsort(np.argsort(b))
    orders = np.array(list(permutations(second)))
    middle = (len(a) - 1) / 2
    all_of_them = (orders - middle) @ (first - middle) / ((first - middle) ** 2).sum()
    mine = float((second - middle) @ (first - middle) / ((first - middle) ** 2).sum())
    return mine, float((all_of_them >= mine - 1e-9).mean())


def compare(a: np.ndarray, b: np.ndarray) -> str:
    """Comparison of the errors a with the errors b, in words."""
    if min(len(a), len(b)) < SEEDS:
        return "too few seeds yet"
    return "lower" if beats(a, b) else "higher" if beats(b, a) else "indistinguishable"


def verdict(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """On the claim that in each pair the first errors are lower."""
    words = [compare(a, b) for a, b in pairs]
    if "too few seeds yet" in words:
        return "too few seeds yet"
    if set(words) == {"lower"}:
        return "confirmed here"
    rest = ", ".join(dict.fromkeys(word for word in words if word != "lower"))
    held = words.count("lower")
    return (f"partly: {held} of {len(words)}, the rest {rest}" if held
            else f"not seen at this scale: {rest}")  # fmt: skip


# Styles of the methods, and axes of error by network calls

DATA_ERROR = "sliced $W_2$ to fresh data (data units)"
CALLS = "network calls per sample"
BROWN, VIOLET = "#8a5c00", "#7b4fa3"
LOOK: dict[str, Role] = {
    "exact": TRUTH, "edm": TEACHER, "edm-fast": Role(MEAN.color, MEAN.marker, MEAN.line),
    "ct": WRONG, "ict": STUDENT, "ect": EXTRA, "sct": TARGET, "slct": Role(VIOLET, "<", ":"),
    "cd": Role(STUDENT.color, "o", "-"), "scd": Role(TARGET.color, "d", "--"),
    "pcm-2": Role(EXTRA.color, "p", ":"), "pcm-4": Role(EXTRA.color, "h", "-."),
    "musiccm": Role(BROWN, ">", (0, (3, 1, 1, 1))), "musiccm-plain": Role(BROWN, "<", ":"),
    "editing": STUDENT, "dps": TEACHER, "cm-dis": EXTRA,
    "tcm": Role(TARGET.color, "p", ":"),
}  # fmt: skip
FAMILIES = (  # flow maps by condition: end, start, semigroup, distribution; and a flow
    (STUDENT.color, "-", {"lsd": "*", "lmd": "v"}),
    (TEACHER.color, "--", {"esd": ">", "meanflow": "*", "alpha-flow": "d"}),
    (EXTRA.color, "-.", {"psd": "^", "shortcut": "s", "ctm": "D", "progressive": "*"}),
    (WRONG.color, ":", {"imm": "*", "drifting": "P", "dmd": "s"}),
    (VIOLET, ":", {"reflow": "*"}),
)
LOOK |= {name: Role(c, mark, line) for c, line, all_ in FAMILIES for name, mark in all_.items()}
OTHER = ("edm", "slct")  # a denoiser, and paired noise: what they learn is not f*
SPAN, TALL = (0.007, 1.3), (0.007, 4.2)
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


HALO = withStroke(linewidth=3, foreground="white")


@dataclass(frozen=True)
class CurveLabel:
    """A curve's name, and the point that it belongs to."""

    x: float
    y: float
    text: str
    color: str


def dark(method: str) -> str:
    """A method's colour for words."""
    return {TARGET.color: "#1f78a8", WRONG.color: "#a34d80"}.get(
        LOOK[method].color, ink(LOOK[method])
    )


def error_curve(
    ax: Axes, method: str, curve: Mapping[int, np.ndarray], text: str = "", thin: bool = False
) -> CurveLabel:
    """Means over the seeds with their range; hollow marks had the exact denoiser as teacher."""
    role, calls = LOOK[method], sorted(curve)
    mean = np.array([failed_as_infinite(curve[n]).mean() for n in calls])
    low, high = (
        np.array([f(failed_as_infinite(curve[n])) for n in calls]) for f in (np.min, np.max)
    )
    ax.vlines(calls, low, high, color=role.color, linewidth=3.5, alpha=0.35)
    ax.plot(calls, mean, color=role.color, marker=role.marker, linestyle=role.line,
            markersize=4 if thin else 6, linewidth=1.0 if thin else 1.6,
            markerfacecolor="white" if ENTRIES[method].teacher else role.color)  # fmt: skip
    return CurveLabel(calls[-1], float(mean[-1]), text or ENTRIES[method].title, dark(method))


def spread_labels(
    ax: Axes, tags: Sequence[CurveLabel], gap: float
) -> list[tuple[CurveLabel, float]]:
    """The tags from below, and heights for their names, `gap` of the axis apart."""
    low, high = np.log(ax.get_ylim())
    tags = sorted((tag for tag in tags if np.isfinite(tag.y)), key=lambda tag: tag.y)
    step, wanted = gap * (high - low), [float(np.log(tag.y)) for tag in tags]
    places = wanted[:1]
    for place in wanted[1:]:
        places.append(max(place, places[-1] + step))
    over = np.mean(places) - np.mean(wanted) if tags else 0
    down = min(over, max(places[0] - low - step, 0)) if tags else 0
    return [(tag, float(np.exp(y - down))) for tag, y in zip(tags, places, strict=True)]


def name_curves(ax: Axes, tags: Sequence[CurveLabel], x: float, gap: float = 0.058) -> None:
    """Names at x, one over the other, each with a thin line to its point."""
    for tag, y in spread_labels(ax, tags, gap):
        ax.annotate(tag.text, (tag.x, tag.y), (x, y), fontsize=9, color=tag.color, va="center",
                    path_effects=[HALO], arrowprops={"arrowstyle": "-", "color": tag.color,
                    "linewidth": 0.6, "shrinkB": 4, "relpos": (0, 0.5)})  # fmt: skip


def log_axes(
    ax: Axes, title: str, first: bool, measure: str = DATA_ERROR, span: tuple[float, float] = SPAN
) -> None:
    """Logarithmic axes with plain numbers."""
    ax.set(xscale="log", yscale="log", xlim=(0.85, 46), ylim=span)
    ax.set_xticks([1, 2, 4, 8, 16, 35], ["1", "2", "4", "8", "16", "35"])
    ticks = [v for v in TICKS if span[0] <= v <= span[1]]
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
    ax.minorticks_off()
    name_axes(ax, CALLS, measure * first, title)


def shade_floor(ax: Axes, values: np.ndarray, text: str = "the floor: real data") -> None:
    """No method can be distinguished from the exact answers below their highest score."""
    low, high = ax.get_ylim()
    ax.axhspan(low, values.max(), color=DATA.color, alpha=0.16, linewidth=0)
    ax.text(0.02, low * 1.04, text, fontsize=8.5, color=DATA.color, va="bottom",
            transform=ax.get_yaxis_transform())  # fmt: skip


# Error by network calls, against diffusion


@dataclass(frozen=True)
class StudentPanel:
    """Students over the DDIM curve of `ruler`; a line leads from `carried`'s one call to it."""

    title: str
    methods: Sequence[str]
    ruler: str
    carried: str = ""


def errors_by_calls(rows: Sequence[Row], title: str, panels: Sequence[StudentPanel]) -> Figure:
    """Diffusion in a panel of its own, which takes the title, then panels of students."""
    figure, (axes,) = sheet(1, 1 + len(panels), 3.7 * (1 + len(panels)), 4.7)
    real = score(rows, "truth", "sliced_w2", "truth", 0)
    log_axes(axes[0], title, True)
    denoisers(axes[0], rows)
    for ax, panel in zip(axes[1:], panels, strict=True):
        log_axes(ax, panel.title, False)
        students(ax, rows, panel)
    for ax in axes:
        shade_floor(ax, real)
    return figure


def denoisers(ax: Axes, rows: Sequence[Row]) -> None:
    """Diffusion by both solvers. Its curves lie on each other, so a legend names them."""
    for method in present(rows, DIFFUSION):
        for solver in NAMES:
            error_curve(ax, method, by_calls(rows, method, solver), thin=solver == "heun")
    for words, place in (("DDIM", (2.6, 0.24)), ("Heun", (11.5, 0.24))):
        ax.text(*place, words, fontsize=9)
    keys = [legend_key(method) for method in present(rows, DIFFUSION)]
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.0, 0.17), fontsize=8.5,
              handlelength=2.6)  # fmt: skip


def legend_key(method: str) -> Line2D:
    """A method in a legend."""
    role = LOOK[method]
    return Line2D([], [], color=role.color, marker=role.marker, linestyle=role.line,
                  label=ENTRIES[method].title,
                  markerfacecolor="white" if ENTRIES[method].teacher else role.color)  # fmt: skip


def students(ax: Axes, rows: Sequence[Row], panel: StudentPanel) -> None:
    """Curves at 1, 2 and 4 calls over the ruler's."""
    ddim = by_calls(rows, panel.ruler, "ddim")
    last = error_curve(ax, panel.ruler, ddim, thin=True)
    ax.annotate(f"{last.text}, DDIM", (2, failed_as_infinite(ddim[2]).mean()), (6, 5), fontsize=9,
                textcoords="offset points", color=last.color)  # fmt: skip
    name_curves(
        ax, [error_curve(ax, method, by_calls(rows, method)) for method in panel.methods], 5.4
    )
    if panel.carried:
        one = by_calls(rows, panel.carried)[1]
        draw_crossing(ax, float(failed_as_infinite(one).mean()), crossing(ddim, one))


def draw_crossing(ax: Axes, error: float, calls: float) -> None:
    """A line from one call to as many calls of diffusion."""
    if np.isfinite(calls):
        ax.plot([1, calls, calls], [error, error, SPAN[0]], color=TRUTH.color, linewidth=0.8,
                linestyle=(0, (2, 2)))  # fmt: skip
        ax.annotate(f"{calls:.0f}", (calls, SPAN[0]), (3, 3), textcoords="offset points",
                    fontsize=9, fontweight="bold")  # fmt: skip


def exact_denoiser(rows: Sequence[Row], titles: Sequence[str]) -> Figure:
    """The exact denoiser by both solvers: distance to the data, and to the exact end."""
    figure, (axes,) = sheet(1, 2, 9.6, 4.0)
    measures = {"sliced_w2": DATA_ERROR, "end": "RMS distance to the exact end (data units)"}
    for ax, (name, measure), title in zip(axes, measures.items(), titles, strict=True):
        log_axes(ax, title, True, measure, TALL)
        for solver, words in NAMES.items():
            curve = by_calls(rows, "exact", solver, name)
            error_curve(ax, "exact", curve, thin=solver == "heun")
            n = sorted(curve)[1]
            ax.annotate(words, (n, failed_as_infinite(curve[n]).mean()), (8, 5), fontsize=9,
                        textcoords="offset points")  # fmt: skip
    shade_floor(axes[0], score(rows, "truth", "sliced_w2", "truth", 0))
    return figure


# Error by cost of training, error by noise level, and errors of posterior sampling

RIGHT = 125  # CPU seconds: where the names stand


def errors_by_cost(rows: Sequence[Row], panels: Mapping[str, Mapping[str, np.ndarray]],
          best: Mapping[str, Sequence[str]]) -> Figure:  # fmt: skip
    """Error against CPU seconds of the whole training: a panel of errors (seeds,) by method.

    The names of `best` are in bold.
    """
    figure, (axes,) = sheet(1, len(panels), 4.9 * len(panels), 5.8)
    for ax, (title, errors) in zip(axes, panels.items(), strict=True):
        ax.set(xscale="log", yscale="log", ylim=(0.008, 1.1), xlim=(14, 520))
        tags = {cost_point(ax, a, score(rows, a, "seconds"), e): a for a, e in errors.items()}
        name_points(ax, tags, RIGHT, 0.0395, best[title])
        plain_ticks(ax.set_xticks, (15, 20, 30, 50, 80))
        plain_ticks(ax.set_yticks, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1))
        ax.minorticks_off()
        shade_floor(ax, score(rows, "truth", "sliced_w2", "truth", 0))
        name_axes(ax, "the whole training (CPU seconds)", DATA_ERROR * (ax is axes[0]), title)
    return figure


def name_points(
    ax: Axes, tags: Mapping[CurveLabel, str], x: float, gap: float, best: Sequence[str] = ()
) -> None:
    """Marks and names of methods at x, one over the other; those of `best` in bold."""
    for tag, y in spread_labels(ax, list(tags), gap):
        draw_mark(ax, tags[tag], x, y)
        weight = "bold" if tags[tag] in best else "normal"
        ax.text(x * 1.1, y, tag.text, fontsize=9, color=tag.color, va="center",
                fontweight=weight)  # fmt: skip


def map_and_law(rows: Sequence[Row], methods: Sequence[str], title: str) -> Figure:
    """One call: the error of the distribution against that of the map, by method."""
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax = axes[0, 0]
    errors = {a: (by_calls(rows, a, name="end")[1], by_calls(rows, a)[1]) for a in methods}
    top = 2 * max(law.max() for _, law in errors.values())
    ax.set(xscale="log", yscale="log", xlim=(0.03, 3.4), ylim=(0.008, top))
    tags = {cost_point(ax, a, end, law): a for a, (end, law) in errors.items()}
    name_points(ax, tags, 1.3, 0.058)
    plain_ticks(ax.set_xticks, (0.05, 0.1, 0.2, 0.5, 1))
    plain_ticks(ax.set_yticks, [v for v in TICKS if 0.008 < v < top])
    ax.minorticks_off()
    shade_floor(ax, score(rows, "truth", "sliced_w2", "truth", 0))
    name_axes(ax, "RMS distance to the exact end (data units)", DATA_ERROR, title)
    return figure


def draw_mark(ax: Axes, method: str, x: float, y: float) -> None:
    """A method's mark, hollow if the exact denoiser was its teacher."""
    role = LOOK[method]
    fill = "white" if ENTRIES[method].teacher else role.color
    ax.plot(x, y, role.marker, color=role.color, markersize=8, markerfacecolor=fill)


def plain_ticks(put: Callable[..., object], ticks: Sequence[float]) -> None:
    """Plain numbers."""
    put(ticks, [f"{v:g}" for v in ticks])


def cost_point(ax: Axes, method: str, seconds: np.ndarray, errors: np.ndarray) -> CurveLabel:
    """One method: means, and the ranges over the seeds both ways."""
    role, errors = LOOK[method], failed_as_infinite(errors)
    x, y = float(seconds.mean()), float(errors.mean())
    look = {"color": role.color, "linewidth": 3, "alpha": 0.35}
    ax.hlines(y, seconds.min(), seconds.max(), **look)
    ax.vlines(x, errors.min(), errors.max(), **look)
    draw_mark(ax, method, x, y)
    return CurveLabel(x, y, ENTRIES[method].title, dark(method))


def errors_by_level(
    rows: Sequence[Row], methods: Sequence[str], at: np.ndarray, title: str
) -> Figure:
    """RMS distance to f* by noise level (L,): means over the seeds with their range."""
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log", xlim=(at[0], at[-1] * 8), ylim=(0.0007, 1.4))
    tags = [level_curve(ax, method, at, by_level(rows, method)) for method in methods]
    plain_ticks(ax.set_xticks, (0.002, 0.01, 0.05, 0.2, 1, 10))
    plain_ticks(ax.set_yticks, (0.001, 0.01, 0.1, 1))
    ax.minorticks_off()
    name_curves(ax, tags, at[-1] * 1.25, 0.07)
    name_axes(ax, "noise level $\\sigma$ (data units)", "RMS of $f - f^*$ (data units)", title)
    return figure


def by_level(rows: Sequence[Row], method: str) -> np.ndarray:
    """RMS distances to f* (seeds, L) of the runs that came to something."""
    mine = [row for row in rows if row["arm"] == method and "rmse_by_level" in row]
    return np.array([row["rmse_by_level"] for row in mine])


def level_curve(ax: Axes, method: str, at: np.ndarray, seen: np.ndarray) -> CurveLabel:
    """A method's curve over noise levels."""
    role, mean = LOOK[method], seen.mean(0)
    fill = "white" if ENTRIES[method].teacher else role.color
    ax.plot(at, mean, color=role.color, linestyle=role.line, marker=role.marker, markevery=4,
            markersize=4, markerfacecolor=fill)  # fmt: skip
    ax.fill_between(at, seen.min(0), seen.max(0), color=role.color, alpha=0.2, linewidth=0)
    title = ENTRIES[method].title + " (not f*)" * (method in OTHER)
    return CurveLabel(at[-1], float(mean[-1]), title, dark(method))


def posterior_errors(rows: Sequence[Row], methods: Sequence[str], title: str) -> Figure:
    """W₁ to the exact posterior of a hidden coordinate, with its floor and without any answer."""
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax = axes[0, 0]
    real, blind = (score(rows, "truth", "w1", way, 0) for way in ("truth", "prior"))
    ax.set(xscale="log", yscale="log", xlim=(0.85, 440), ylim=(0.05, 0.6))
    tags = [error_curve(ax, method, by_calls(rows, method, name="w1")) for method in methods]
    ax.axhline(blind.mean(), color=NOISE.color, linestyle=":", linewidth=1.4)
    ax.text(47, blind.mean() * 1.04, "measurement ignored: the prior", fontsize=9, color="#555555")
    ax.set_xticks([1, 2, 4, 16, 40], ["1", "2", "4", "16", "40"])
    plain_ticks(ax.set_yticks, (0.05, 0.1, 0.2, 0.4))
    ax.minorticks_off()
    shade_floor(ax, real, "exact posterior samples")
    name_curves(ax, tags, 47, 0.075)
    name_axes(ax, CALLS, "$W_1$ to the exact posterior (data units)", title)
    return figure
