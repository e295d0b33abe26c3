"""Figures of lab 17: comparison of methods by error, network calls and cost of training.

A beats B only if the worst seed of A is below the best of B: their ranges lie apart.
A run that failed (nan) counts as an infinite error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
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
from .benchmark import BATCH, ENTRIES, EXACT, NAMES, Row, score

# Samples of two methods from the same noise, over the exact end points


def compare_samples(found: Sequence[tuple[str, np.ndarray, Role]], exact: np.ndarray) -> Figure:
    """A panel for each (title, ends, look); ends (b, 2), and strokes from 60 of the exact ones."""
    figure, (axes,) = sheet(1, len(found), 4.75 * len(found), 3.9)
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.13, top=0.88, wspace=0.2)
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
    """Every run of a is below every run of b."""
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


def prices(rows: Sequence[Row], methods: Iterable[str]) -> dict[str, tuple[float, float]]:
    """CPU seconds of a method's pre-training, in proportion to its samples, and of the rest."""
    found = {}
    for method in methods:
        seconds = score(rows, method, "seconds").mean()
        share = score(rows, method, "pretraining").mean() / score(rows, method, "samples").mean()
        found[method] = (share * seconds, (1 - share) * seconds)
    return found


def present(rows: Sequence[Row], methods: Iterable[str] = ENTRIES) -> list[str]:
    """The methods that the table has, in its order."""
    return [method for method in methods if any(row["arm"] == method for row in rows)]


ONE_CALL = ("drifting", "dmd")  # generators of one call: their recorded further calls mean nothing


def evaluated_calls(
    rows: Sequence[Row], method: str, name: str = "sliced_w2"
) -> list[tuple[str, int]]:
    """Every (way, calls) in which a method has this number, as far as it is meant for them."""
    mine = (row for row in rows if row["arm"] == method)
    found = (a for row in mine for a in row.get("answers", ()) if name in a)
    ways = dict.fromkeys((a["way"], a["calls"]) for a in found)
    return [(way, n) for way, n in ways if n == 1 or method not in ONE_CALL]


def generators(rows: Sequence[Row], teacher: str) -> list[str]:
    """The methods trained to generate from noise, with this teacher or with "" none."""
    drawn = [method for method in present(rows) if evaluated_calls(rows, method)]
    return [a for a in drawn if ENTRIES[a].parts and ENTRIES[a].teacher == teacher]


def students(rows: Sequence[Row], teacher: str) -> list[str]:
    """The generators that are not sampled by a solver."""
    return [method for method in generators(rows, teacher) if by_calls(rows, method)]


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
    fewest that beat (None: none that was tried). The curve is that of one solver.
    """
    beaten = [n for n in curve if all(beats(errors, curve[m]) for m in curve if m <= n)]
    better = [n for n in curve if beats(curve[n], errors)]
    return max(beaten, default=0), min(better, default=None)


def grouped_text(names: Iterable[str]) -> str:
    """Contestants in words, their numbers of calls together."""
    found: dict[str, list[int]] = {}
    for name in names:
        title, calls = name.rsplit(", ", 1)
        found.setdefault(title, []).append(int(calls.split()[0]))
    return "; ".join(
        f"{title} in {listed(map(str, sorted(n)), 'or')} call{'s' * (n != [1])}"
        for title, n in found.items()
    )


def listed(names: Iterable[str], word: str = "and") -> str:
    """Names as in a sentence: "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last


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
    rest = rest.replace("higher", "beaten")
    held = words.count("lower")
    others = "the other" if len(words) == held + 1 else "the rest"
    return (f"partly: {held} of {len(words)}, {others} {rest}" if held
            else f"not seen at this scale: {rest}")  # fmt: skip


# Looks of the methods, and axes of error by network calls

DATA_ERROR = "sliced $W_2$ to fresh data (data units)"
END_ERROR = "RMS distance to the exact end (data units)"
CALLS = "network calls per sample"
BROWN, VIOLET, GREY = "#8a5c00", "#7b4fa3", "#8c8c8c"
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
    (BROWN, "-", {"lsd": "*", "lsd-sample": "P", "lmd": "v"}),
    (TEACHER.color, "--", {"esd": ">", "meanflow": "*", "alpha-flow": "d"}),
    (EXTRA.color, "-.", {"psd": "^", "shortcut": "s", "ctm": "D", "progressive": "*"}),
    (WRONG.color, ":", {"imm": "*", "drifting": "P", "dmd": "s"}),
    (VIOLET, ":", {"reflow": "*"}),
)
LOOK |= {name: Role(c, mark, line) for c, line, all_ in FAMILIES for name, mark in all_.items()}
TAUGHT = {  # points of methods are told apart by their teacher alone
    "": Role(STUDENT.color, "o", "-"),
    BATCH: Role(EXTRA.color, "s", "--"),
    EXACT: Role(TEACHER.color, "D", ":"),
}
GROUPS = {"": "no teacher", BATCH: "the batch mean as teacher", EXACT: "the exact denoiser"}
SPAN = (0.007, 1.3)
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


HALO = withStroke(linewidth=3, foreground="white")


@dataclass(frozen=True)
class CurveLabel:
    """A curve's name, and the point that it belongs to."""

    x: float
    y: float
    text: str
    color: str


def dark(role: Role) -> str:
    """A look's colour for words."""
    return {TARGET.color: "#1f78a8", WRONG.color: "#a34d80"}.get(role.color, ink(role))


def spread(errors: np.ndarray) -> tuple[float, float, float]:
    """Mean, lowest and highest over the seeds."""
    found = failed_as_infinite(errors)
    return float(found.mean()), float(found.min()), float(found.max())


def error_curve(
    ax: Axes, method: str, curve: Mapping[int, np.ndarray], role: Role, thin: bool = False
) -> CurveLabel:
    """Means over the seeds with their range; hollow marks had the exact denoiser as teacher."""
    calls = sorted(curve)
    mean, low, high = np.array([spread(curve[n]) for n in calls]).T
    ax.vlines(calls, low, high, color=role.color, linewidth=1.5 if thin else 3.5, alpha=0.35)
    ax.plot(calls, mean, color=role.color, marker=role.marker, linestyle=role.line,
            markersize=3 if thin else 6, linewidth=0.9 if thin else 1.6,
            markerfacecolor=fill(role, method))  # fmt: skip
    return CurveLabel(calls[-1], float(mean[-1]), ENTRIES[method].title, dark(role))


def fill(role: Role, method: str) -> str:
    """The inside of a method's marks: white if the exact denoiser was its teacher."""
    return "white" if ENTRIES[method].teacher == EXACT else role.color


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


def plain_ticks(put: Callable[..., object], ticks: Sequence[float]) -> None:
    """Plain numbers."""
    put(ticks, [f"{v:g}" for v in ticks])


def log_axes(ax: Axes, x: tuple[float, float], y: tuple[float, float], ticks: Sequence[float],
             across: str, up: str, title: str) -> None:  # fmt: skip
    """Logarithmic axes with plain numbers, `ticks` on the x-axis."""
    ax.set(xscale="log", yscale="log", xlim=x, ylim=y)
    plain_ticks(ax.set_xticks, ticks)
    plain_ticks(ax.set_yticks, [v for v in TICKS if y[0] <= v <= y[1]])
    ax.minorticks_off()
    name_axes(ax, across, up, title)


def shade_floor(ax: Axes, rows: Sequence[Row], down: bool = True) -> None:
    """Below the highest distance of two real sets: a run there is as near to data as data are."""
    real = score(rows, "truth", "sliced_w2", "truth", 0).max()
    low = (ax.get_ylim() if down else ax.get_xlim())[0]
    shade = {"color": DATA.color, "alpha": 0.16, "linewidth": 0}
    if down:
        ax.axhspan(low, real, **shade)
        ax.text(0.02, low * 1.04, "the floor: real data", fontsize=8.5, color=DATA.color,
                va="bottom", transform=ax.get_yaxis_transform())  # fmt: skip
    else:
        ax.axvspan(low, real, **shade)
        ax.text(low * 1.02, 0.98, "the floor: real data", fontsize=8.5, color=DATA.color,
                va="top", transform=ax.get_xaxis_transform())  # fmt: skip


# Error by network calls, beside diffusion


@dataclass(frozen=True)
class StudentPanel:
    """Students over the curves of diffusion by `ruler`: some with their names, others in grey."""

    title: str
    ruler: str
    named: Sequence[str]
    others: Sequence[str] = ()


def errors_by_calls(rows: Sequence[Row], panels: Sequence[StudentPanel]) -> Figure:
    """A panel of students for each teacher."""
    figure, (axes,) = sheet(1, len(panels), 3.7 * len(panels), 4.7)
    for ax, panel in zip(axes, panels, strict=True):
        first = DATA_ERROR * (ax is axes[0])
        log_axes(ax, (0.85, 46), SPAN, (1, 2, 4, 8, 16, 35), CALLS, first, panel.title)
        shade_floor(ax, rows)
        for method in panel.others:
            error_curve(ax, method, by_calls(rows, method), Role(GREY, ".", "-"), thin=True)
        for solver, words in NAMES.items():
            curve = by_calls(rows, panel.ruler, solver)
            error_curve(ax, panel.ruler, curve, TRUTH, thin=True)
            n = sorted(curve)[1]
            ax.annotate(words, (n, spread(curve[n])[0]), (6, 5), textcoords="offset points",
                        fontsize=9, path_effects=[HALO])  # fmt: skip
        tags = [error_curve(ax, a, by_calls(rows, a), LOOK[a]) for a in panel.named]
        name_curves(ax, tags, 5.4)
    return figure


# Points of methods: one call by its cost, or by two errors

SIDES = {"right": (8, 0), "left": (-8, 0), "above": (0, 7), "below": (0, -7)}


def named_point(
    ax: Axes, method: str, x: np.ndarray, y: np.ndarray, side: str | None, text: str = ""
) -> None:
    """Means and the ranges over the seeds both ways, with a name at this side or in grey."""
    role = TAUGHT[ENTRIES[method].teacher]
    color = role.color if side else GREY
    (at, left, right), (up, low, high) = spread(x), spread(y)
    ax.hlines(up, left, right, color=color, linewidth=2.5, alpha=0.35)
    ax.vlines(at, low, high, color=color, linewidth=2.5, alpha=0.35)
    ax.plot(at, up, role.marker, color=color, markersize=7 if side else 4,
            markerfacecolor="white" if ENTRIES[method].teacher == EXACT else color)  # fmt: skip
    if side:
        dx, dy = SIDES[side]
        ax.annotate(text or ENTRIES[method].title, (at, up), (dx, dy), fontsize=9,
                    textcoords="offset points", color=dark(role), path_effects=[HALO],
                    ha="left" if dx > 0 else "right" if dx < 0 else "center",
                    va="bottom" if dy > 0 else "top" if dy < 0 else "center")  # fmt: skip


def teacher_legend(ax: Axes, place: Literal["upper left", "upper right"]) -> None:
    """The three looks of points."""
    keys = [
        Line2D([], [], color=role.color, marker=role.marker, linestyle="", label=GROUPS[teacher],
               markerfacecolor="white" if teacher == EXACT else role.color)
        for teacher, role in TAUGHT.items()
    ]  # fmt: skip
    ax.legend(handles=keys, loc=place, fontsize=8.5)


def map_and_law(
    rows: Sequence[Row], methods: Sequence[str], sides: Mapping[str, str], title: str
) -> Figure:
    """One call: the error of the distribution against that of the map, by method."""
    figure, axes = sheet(1, 1, 8.6, 4.2)
    ax = axes[0, 0]
    ticks = (0.05, 0.1, 0.2, 0.5)
    log_axes(ax, (0.035, 0.6), (0.01, 0.35), ticks, END_ERROR, DATA_ERROR, title)
    shade_floor(ax, rows)
    for a in sorted(methods, key=lambda a: a in sides):  # names over what has none
        end, law = by_calls(rows, a, name="end")[1], by_calls(rows, a)[1]
        named_point(ax, a, end, law, sides.get(a))
    teacher_legend(ax, "upper left")
    return figure


def errors_by_cost(rows: Sequence[Row], errors: Mapping[str, np.ndarray],
                   sides: Mapping[str, str], title: str) -> Figure:  # fmt: skip
    """Error (seeds,) against CPU seconds of the whole training, by method."""
    figure, axes = sheet(1, 1, 8.6, 4.2)
    ax, ticks = axes[0, 0], (15, 20, 30, 50, 80)
    seconds = "the whole training (CPU seconds)"
    log_axes(ax, (12, 120), (0.013, 0.3), ticks, seconds, DATA_ERROR, title)
    shade_floor(ax, rows)
    for a in sorted(errors, key=lambda a: a in sides):
        named_point(ax, a, score(rows, a, "seconds"), errors[a], sides.get(a))
    return figure


def two_measures(rows: Sequence[Row], sides: Mapping[str, str], title: str) -> Figure:
    """From 1 over 2 to 4 calls: the share of samples off the modes against sliced W₂."""
    figure, axes = sheet(1, 1, 8.6, 4.4)
    ax, ticks = axes[0, 0], (0.015, 0.02, 0.03, 0.04, 0.05, 0.06)
    off = "share of the samples off the modes"
    log_axes(ax, (0.0125, 0.068), (0.008, 0.16), ticks, DATA_ERROR, off, title)
    shade_floor(ax, rows, down=False)
    ax.axhline(float(np.exp(-4.5)), color=DATA.color, linestyle=":", linewidth=1.2)
    ax.text(0.067, float(np.exp(-4.5)) * 1.05, "real data", fontsize=8.5, color=DATA.color,
            ha="right")  # fmt: skip
    for method, side in sides.items():
        role = TAUGHT[ENTRIES[method].teacher]
        law, near = by_calls(rows, method), by_calls(rows, method, name="near_mode")
        x, y = [law[n].mean() for n in law], [1 - near[n].mean() for n in law]
        ax.plot(x, y, color=role.color, linestyle=role.line, linewidth=1.2)
        ax.plot(x[:2], y[:2], role.marker, color=role.color, markersize=4, alpha=0.6,
                markerfacecolor=fill(role, method))  # fmt: skip
        close = np.abs(np.log([x[1] / x[0], y[1] / y[0]])).max() < 0.02  # the marks coincide
        names = ("1, 2",) if close else ("1", "2")
        for n, place in zip(names, zip(x, y, strict=True), strict=False):
            ax.annotate(n, place, (0, 4), textcoords="offset points", fontsize=8, ha="center",
                        color=role.color, path_effects=[HALO], annotation_clip=True)  # fmt: skip
        named_point(ax, method, law[4], 1 - near[4], side)
    teacher_legend(ax, "upper right")
    return figure


def by_teacher(
    rows: Sequence[Row], methods: Mapping[str, Sequence[str]], titles: Sequence[str]
) -> Figure:
    """One call of a method with each of its teachers: both distances, means with ranges."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.9)
    words = {"sliced_w2": DATA_ERROR, "end": END_ERROR}
    for ax, (name, up), title in zip(axes, words.items(), titles, strict=True):
        top = 0.0
        for k, (named, arms) in enumerate(methods.items()):
            role = LOOK[arms[0]]
            mean, low, high = np.array([spread(by_calls(rows, a, name=name)[1]) for a in arms]).T
            x = [list(GROUPS).index(ENTRIES[a].teacher) + 0.07 * (k - 1) for a in arms]
            ax.vlines(x, low, high, color=role.color, linewidth=3.5, alpha=0.35)
            line = role.line if len(arms) == len(GROUPS) else ""  # none across a teacher left out
            ax.plot(x, mean, color=role.color, marker=role.marker, linestyle=line, markersize=8,
                    label=named)  # fmt: skip
            top = max(top, high.max())
        ax.set(xlim=(-0.4, len(GROUPS) - 0.6), ylim=(0, 1.25 * top))
        ax.set_xticks(range(len(GROUPS)), ["no teacher", "batch mean", "exact denoiser"])
        name_axes(ax, "teacher", up, title)
        ax.legend(fontsize=8.5, loc="lower left" if name == "end" else "upper right")
    real = score(rows, "truth", "sliced_w2", "truth", 0).max()
    axes[0].axhspan(0, real, color=DATA.color, alpha=0.16, linewidth=0)
    axes[0].text(-0.37, 0.0005, "the floor: real data", fontsize=8.5, color=DATA.color)
    return figure
