"""How each method of the atlas looks, and the axes of error against network calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ..atlas import ENTRIES
from .posterior import ink
from .style import (
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
)  # fmt: skip
from .winners import judged

LAW = "sliced $W_2$ to fresh data (data units)"
CALLS = "network calls a sample"
BROWN, VIOLET = "#8a5c00", "#7b4fa3"
LOOK: dict[str, Role] = {
    "exact": TRUTH, "edm": TEACHER, "edm-fast": Role(MEAN.color, MEAN.marker, MEAN.line),
    "ct": WRONG, "ict": STUDENT, "ect": EXTRA, "sct": TARGET, "slct": Role(VIOLET, "<", ":"),
    "cd": Role(STUDENT.color, "o", "-"), "scd": Role(TARGET.color, "d", "--"),
    "pcm-2": Role(EXTRA.color, "p", ":"), "pcm-4": Role(EXTRA.color, "h", "-."),
    "musiccm": Role(BROWN, ">", (0, (3, 1, 1, 1))), "musiccm-plain": Role(BROWN, "<", ":"),
    "editing": STUDENT, "dps": TEACHER, "cm-dis": EXTRA,
}  # fmt: skip
OTHER = ("edm", "slct")  # a denoiser, and paired noise: what they learn is not f*
SPAN, TALL = (0.007, 1.3), (0.007, 4.2)
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


HALO = withStroke(linewidth=3, foreground="white")


@dataclass(frozen=True)
class Tag:
    """A curve's name, and the point that it belongs to."""

    x: float
    y: float
    text: str
    color: str


def dark(arm: str) -> str:
    """A method's colour for words."""
    return {TARGET.color: "#1f78a8", WRONG.color: "#a34d80"}.get(LOOK[arm].color, ink(LOOK[arm]))


def strand(
    ax: Axes, arm: str, curve: Mapping[int, np.ndarray], text: str = "", thin: bool = False
) -> Tag:
    """Means over the seeds with their range; hollow marks were told by the exact denoiser."""
    role, calls = LOOK[arm], sorted(curve)
    mean = np.array([judged(curve[n]).mean() for n in calls])
    low, high = (np.array([f(judged(curve[n])) for n in calls]) for f in (np.min, np.max))
    ax.vlines(calls, low, high, color=role.color, linewidth=3.5, alpha=0.35)
    ax.plot(calls, mean, color=role.color, marker=role.marker, linestyle=role.line,
            markersize=4 if thin else 6, linewidth=1.0 if thin else 1.6,
            markerfacecolor="white" if ENTRIES[arm].teacher else role.color)  # fmt: skip
    return Tag(calls[-1], float(mean[-1]), text or ENTRIES[arm].title, dark(arm))


def apart(ax: Axes, tags: Sequence[Tag], gap: float) -> list[tuple[Tag, float]]:
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


def column(ax: Axes, tags: Sequence[Tag], x: float, gap: float = 0.058) -> None:
    """Names at x, one over the other, each with a thin line to its point."""
    for tag, y in apart(ax, tags, gap):
        ax.annotate(tag.text, (tag.x, tag.y), (x, y), fontsize=9, color=tag.color, va="center",
                    path_effects=[HALO], arrowprops={"arrowstyle": "-", "color": tag.color,
                    "linewidth": 0.6, "shrinkB": 4, "relpos": (0, 0.5)})  # fmt: skip


def frame(
    ax: Axes, title: str, first: bool, measure: str = LAW, span: tuple[float, float] = SPAN
) -> None:
    """Logarithmic axes with plain numbers."""
    ax.set(xscale="log", yscale="log", xlim=(0.85, 46), ylim=span)
    ax.set_xticks([1, 2, 4, 8, 16, 35], ["1", "2", "4", "8", "16", "35"])
    ticks = [v for v in TICKS if span[0] <= v <= span[1]]
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
    ax.minorticks_off()
    name_axes(ax, CALLS, measure * first, title)


def floor(ax: Axes, values: np.ndarray, text: str = "two clouds of real data") -> None:
    """Nothing can be told to be better than the highest that the exact answers score."""
    low, high = ax.get_ylim()
    ax.axhspan(low, values.max(), color=DATA.color, alpha=0.16, linewidth=0)
    ax.text(0.02, low * 1.04, text, fontsize=8.5, color=DATA.color, va="bottom",
            transform=ax.get_yaxis_transform())  # fmt: skip
