"""Animations: the base that the labs' moving figures share, its panels and its colours."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any, TypeVar, cast

import numpy as np
import plotly.graph_objects as go

from cmlab.gaussian_mixture import require
from cmlab.metrics.plots import MEAN, TARGET, Role

# Panels in a row: axes that never move, titles that tell what each frame shows

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


def axis_suffix(number: int) -> str:
    """How plotly numbers the axes of panel 0, 1, …: nothing, 2, …"""
    return str(number + 1) if number else ""


def tick_text(value: float) -> str:
    """A number as it stands on an axis."""
    if 0 < abs(value) < 1e-3:
        return f"10<sup>−{-round(log10(value))}</sup>"
    return f"{value:g}".replace("-", "−")


def axis(
    name: str, span: tuple[float, float], log: bool, ticks: Sequence[float]
) -> dict[str, Any]:
    """One axis."""
    ends = [log10(v) for v in span] if log else list(span)
    marks = {"tickvals": list(ticks), "ticktext": [tick_text(v) for v in ticks]}
    return {
        "title": {"text": name, "standoff": 8, "font": {"size": 13}}, "range": ends,
        "type": "log" if log else "linear", "gridcolor": GRID, "zeroline": False,
        "fixedrange": True, "autorange": False, "ticks": "outside", "tickcolor": FAINT,
        "linecolor": FAINT, "showline": True, **(marks if ticks else {}),
    }  # fmt: skip


def axes(number: int, of: int, panel: Panel) -> dict[str, Any]:
    """Both axes of a panel at its place in the row, by their names in the layout."""
    n, room = axis_suffix(number), (1 - GAP * (of - 1)) / of
    left = number * (room + GAP)
    across = axis(panel.x, panel.x_range, "x" in panel.log, panel.x_ticks)
    up = axis(panel.y, panel.y_range, "y" in panel.log, panel.y_ticks)
    across |= {"domain": [round(left, 4), round(left + room, 4)], "anchor": f"y{n}"}
    up |= {"anchor": f"x{n}"}
    if panel.square:
        across |= {"constrain": "domain"}
        up |= {"scaleanchor": f"x{n}", "scaleratio": 1, "constrain": "domain"}
    return {f"xaxis{n}": across, f"yaxis{n}": up}


def panel_title(number: int, text: str) -> dict[str, Any]:
    """A panel's title, over its left end wherever the panel is put."""
    n = axis_suffix(number)
    return {
        "text": f"<b>{text}</b>", "xref": f"x{n} domain", "yref": f"y{n} domain", "x": 0, "y": 1,
        "xanchor": "left", "yanchor": "bottom", "yshift": 5, "showarrow": False, "align": "left",
        "font": {"size": 14, "color": INK},
    }  # fmt: skip


LAYOUT: dict[str, Any] = {
    "height": 430, "margin": {"l": 64, "r": 14, "t": 44, "b": 54}, "showlegend": False,
    "hovermode": False, "dragmode": False, "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)", "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
}  # fmt: skip


def figure_with_frames(
    panels: Sequence[Panel], still: Sequence[go.Scatter], shots: Sequence[Shot], start: int
) -> go.Figure:
    """What stays, under what moves; the figure stands at shot `start`."""
    heads = [[panel_title(k, text) for k, text in enumerate(shot.titles)] for shot in shots]
    layout = LAYOUT | {"annotations": heads[start]}
    for number, panel in enumerate(panels):
        layout |= axes(number, len(panels), panel)
    first = shots[start].traces
    places = list(range(len(still), len(still) + len(first)))
    frames = [
        go.Frame(name=str(k), data=changed_properties(shot.traces, first), traces=places,
                 layout={"annotations": head})
        for k, (shot, head) in enumerate(zip(shots, heads, strict=True))
    ]  # fmt: skip
    return go.Figure([*still, *first], go.Layout(layout), frames)


def changed_properties(
    data: Sequence[go.Scatter], first: Sequence[go.Scatter]
) -> list[dict[str, Any]]:
    """Of each trace what differs from the first frame's, its points in any case."""
    pairs = zip(*([t.to_plotly_json() for t in row] for row in (data, first)), strict=True)
    kept = ("x", "y", "type")
    return [{k: v for k, v in now.items() if k in kept or v != then.get(k)} for now, then in pairs]


# A moving figure: frames, a knob that walks through them, and a sentence for each frame

JUMP = {
    "mode": "immediate",
    "frame": {"duration": 0, "redraw": True},
    "transition": {"duration": 0},
}
PLAY = {
    "frame": {"duration": 120, "redraw": True},
    "fromcurrent": True,
    "transition": {"duration": 0},
}


MARK = "__animation__"
Maker = TypeVar("M", bound=Callable[..., "Moving"])


def animation(lab: str) -> Callable[[Maker], Maker]:
    """Show what a function makes in the lab of this number. A decorator."""

    def mark(make: Maker) -> Maker:
        setattr(make, MARK, lab)
        return make

    return mark


@dataclass(frozen=True, eq=False)
class Moving:
    """A plotly figure with one frame for each value of a knob. Raises ValueError.

    figure    its panels side by side, with its frames
    finding   what it shows, in one sentence
    knob      the knob's name with symbol and unit
    values    the knob's value in each frame, as it is written
    readings  what each frame shows, for those who do not see it
    start     the frame that it opens with
    """

    name: str
    figure: go.Figure
    finding: str
    knob: str
    values: Sequence[str]
    readings: Sequence[str]
    start: int = 0

    def __post_init__(self) -> None:
        frames = len(cast(tuple, self.figure.frames))
        even = frames == len(self.values) == len(self.readings)
        require(even, f"{self.name} needs a value and a reading for each of its {frames} frames")
        require(0 <= self.start < frames, f"{self.name} opens with a frame that it lacks")

    def parts(self) -> Mapping[str, Any]:
        """Data, layout and frames as JSON holds them, for a page with controls of its own."""
        return json.loads(str(self.figure.to_json()))

    def alone(self) -> go.Figure:
        """The figure with plotly's own slider and buttons, to open by itself."""
        steps = [
            {"label": value, "method": "animate", "args": [[str(number)], JUMP]}
            for number, value in enumerate(self.values)  # `film` names frames by their number
        ]
        slider = {"active": self.start, "currentvalue": {"prefix": f"{self.knob}: "},
                  "steps": steps, "pad": {"t": 60}, "x": 0.12, "len": 0.88}  # fmt: skip
        buttons = [
            {"label": "Play", "method": "animate", "args": [None, PLAY]},
            {"label": "Pause", "method": "animate", "args": [[None], JUMP]},
        ]
        menu = {"type": "buttons", "buttons": buttons, "x": 0.08, "y": -0.2,
                "direction": "left", "pad": {"t": 40}}  # fmt: skip
        looks = {"title": {"text": self.finding, "x": 0.01}, "margin": {"t": 90, "b": 150}}
        figure = go.Figure(self.figure)
        figure.update_layout(**looks, height=560, sliders=[slider], updatemenus=[menu])
        return figure


def moving(
    name: str, finding: str, knob: str, panels: Sequence[Panel], still: Sequence[go.Scatter],
    shots: Sequence[Shot], start: int = 0,
) -> Moving:  # fmt: skip
    """A moving figure of these shots over what stays still. Raises ValueError without shots."""
    require(bool(shots), f"{name} has nothing to show")
    figure = figure_with_frames(panels, still, shots, start)
    values, readings = [shot.value for shot in shots], [shot.reading for shot in shots]
    return Moving(name, figure, finding, knob, values, readings, start)


# Lines, marks and words in the look of the labs: each role has its colour, symbol and dashes

SYMBOLS = {"o": "circle", ".": "circle", "s": "square", "D": "diamond", "^": "triangle-up",
           "v": "triangle-down", "X": "x", "P": "cross"}  # fmt: skip
DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
DARK = {MEAN.color: "#8a5c00", "#009E73": "#00704f", "#CC79A7": "#a0487b", TARGET.color: "#1f6f9c"}


def numbers(values: Any, digits: int = 3) -> list[float | None]:
    """Plain numbers of so many digits, which take less room in a page than exact ones."""
    flat = np.asarray(values, dtype=float).ravel()
    return [None if np.isnan(v) else float(f"{v:.{digits}g}") for v in flat]


def ink(role: Role) -> str:
    """A role's colour, dark enough for words."""
    return DARK.get(role.color, role.color)


def line(
    x: Any, y: Any, role: Role, panel: int = 0, width: float = 2.4, opacity: float = 1.0
) -> go.Scatter:
    """A line in a role's colour and dashes."""
    dash = DASHES.get(role.line, "dash") if isinstance(role.line, str) else "longdashdot"
    return go.Scatter(
        x=numbers(x), y=numbers(y), mode="lines", opacity=opacity, xaxis=f"x{axis_suffix(panel)}",
        yaxis=f"y{axis_suffix(panel)}", line={"color": role.color, "width": width, "dash": dash},
    )  # fmt: skip


def dots(
    x: Any, y: Any, role: Role, panel: int = 0, size: float = 7, opacity: float = 1.0,
    symbols: Sequence[str] = (), colors: Sequence[str] = (),
) -> go.Scatter:  # fmt: skip
    """Marks with a role's symbol and colour, or each with its own."""
    marker: dict[str, Any] = {"size": size, "line": {"width": 0}}
    marker["symbol"] = list(symbols) or SYMBOLS[role.marker]
    marker["color"] = list(colors) or role.color
    return go.Scatter(
        x=numbers(x), y=numbers(y), mode="markers", opacity=opacity, marker=marker,
        xaxis=f"x{axis_suffix(panel)}", yaxis=f"y{axis_suffix(panel)}",
    )  # fmt: skip


def cloud(
    points: Any, role: Role, panel: int = 0, size: float = 7, opacity: float = 1.0,
    looks: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> go.Scatter:  # fmt: skip
    """Marks at points (n, 2); `looks` gives each its own symbol and colour."""
    x, y = np.asarray(points, dtype=float).T
    return dots(x, y, role, panel, size, opacity, *looks)


def polylines(
    pieces: Iterable[Any], role: Role, panel: int = 0, width: float = 1.0, opacity: float = 1.0
) -> go.Scatter:
    """Many lines (m, 2) drawn as one."""
    x, y = joined_with_gaps(pieces)
    return line(x, y, role, panel, width, opacity)


def text_labels(
    x: Any, y: Any, texts: Sequence[str], color: str = INK, panel: int = 0,
    side: str = "middle right",
) -> go.Scatter:  # fmt: skip
    """Direct labels, in place of a legend."""
    return go.Scatter(
        x=numbers(x), y=numbers(y), text=list(texts), mode="text", textposition=side,
        textfont={"color": color, "size": 13}, cliponaxis=False,
        xaxis=f"x{axis_suffix(panel)}", yaxis=f"y{axis_suffix(panel)}",
    )  # fmt: skip


def joined_with_gaps(pieces: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Many lines (m, 2) as one, with gaps between them: x and y."""
    x: list[float] = []
    y: list[float] = []
    for piece in pieces:
        points = np.asarray(piece, dtype=float)
        x += [*points[:, 0], np.nan]
        y += [*points[:, 1], np.nan]
    return x, y
