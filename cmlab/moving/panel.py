"""Panels in a row: axes that never move, titles that tell what each frame shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import plotly.graph_objects as go

GRID, INK, FAINT = "#e3e3e3", "#1f2023", "#8a8a8a"
GAP = 0.11  # between two panels, as a share of the width


@dataclass(frozen=True)
class Panel:
    """One pair of axes, named with symbol and unit, over fixed ranges.

    `log` names the axes that are logarithmic, as in "xy"; ranges are numbers, not exponents.
    `square` keeps both units equally long. Ticks are plotly's unless they are given.
    """

    x: str
    y: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: str = ""
    square: bool = False
    x_ticks: Sequence[float] = ()
    y_ticks: Sequence[float] = ()


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame: the knob's value and the reading in words, a title a panel, what is drawn."""

    value: str
    reading: str
    titles: Sequence[str]
    traces: Sequence[go.Scatter]


def suffix(number: int) -> str:
    """How plotly numbers the axes of panel 0, 1, …: nothing, 2, …"""
    return str(number + 1) if number else ""


def written(value: float) -> str:
    """A number as it stands on an axis."""
    if 0 < abs(value) < 1e-3:
        return f"10<sup>−{-round(log10(value))}</sup>"
    return f"{value:g}".replace("-", "−")


def axis(
    name: str, span: tuple[float, float], log: bool, ticks: Sequence[float]
) -> dict[str, Any]:
    """One axis."""
    ends = [log10(v) for v in span] if log else list(span)
    marks = {"tickvals": list(ticks), "ticktext": [written(v) for v in ticks]}
    return {
        "title": {"text": name, "standoff": 8, "font": {"size": 13}}, "range": ends,
        "type": "log" if log else "linear", "gridcolor": GRID, "zeroline": False,
        "fixedrange": True, "autorange": False, "ticks": "outside", "tickcolor": FAINT,
        "linecolor": FAINT, "showline": True, **(marks if ticks else {}),
    }  # fmt: skip


def axes(number: int, of: int, panel: Panel) -> dict[str, Any]:
    """Both axes of a panel at its place in the row, by their names in the layout."""
    n, room = suffix(number), (1 - GAP * (of - 1)) / of
    left = number * (room + GAP)
    across = axis(panel.x, panel.x_range, "x" in panel.log, panel.x_ticks)
    up = axis(panel.y, panel.y_range, "y" in panel.log, panel.y_ticks)
    across |= {"domain": [round(left, 4), round(left + room, 4)], "anchor": f"y{n}"}
    up |= {"anchor": f"x{n}"}
    if panel.square:
        across |= {"constrain": "domain"}
        up |= {"scaleanchor": f"x{n}", "scaleratio": 1, "constrain": "domain"}
    return {f"xaxis{n}": across, f"yaxis{n}": up}


def heading(number: int, text: str) -> dict[str, Any]:
    """A panel's title, over its left end wherever the panel is put."""
    n = suffix(number)
    return {
        "text": f"<b>{text}</b>", "xref": f"x{n} domain", "yref": f"y{n} domain", "x": 0, "y": 1,
        "xanchor": "left", "yanchor": "bottom", "yshift": 5, "showarrow": False, "align": "left",
        "font": {"size": 14, "color": INK},
    }  # fmt: skip


BLANK: dict[str, Any] = {
    "height": 430, "margin": {"l": 64, "r": 14, "t": 44, "b": 54}, "showlegend": False,
    "hovermode": False, "dragmode": False, "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)", "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
}  # fmt: skip


def film(
    panels: Sequence[Panel], still: Sequence[go.Scatter], shots: Sequence[Shot], start: int
) -> go.Figure:
    """What stays, under what moves; the figure stands at shot `start`."""
    heads = [[heading(k, text) for k, text in enumerate(shot.titles)] for shot in shots]
    layout = BLANK | {"annotations": heads[start]}
    for number, panel in enumerate(panels):
        layout |= axes(number, len(panels), panel)
    first = shots[start].traces
    places = list(range(len(still), len(still) + len(first)))
    frames = [
        go.Frame(name=str(k), data=changed(shot.traces, first), traces=places,
                 layout={"annotations": head})
        for k, (shot, head) in enumerate(zip(shots, heads, strict=True))
    ]  # fmt: skip
    return go.Figure([*still, *first], go.Layout(layout), frames)


def changed(data: Sequence[go.Scatter], first: Sequence[go.Scatter]) -> list[dict[str, Any]]:
    """Of each trace what differs from the first frame's, its points in any case."""
    pairs = zip(*([t.to_plotly_json() for t in row] for row in (data, first)), strict=True)
    kept = ("x", "y", "type")
    return [{k: v for k, v in now.items() if k in kept or v != then.get(k)} for now, then in pairs]
