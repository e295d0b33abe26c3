"""Animations with plotly: panels, frames, a slider, and lines and marks in the labs' style."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import log10
from typing import Any, TypeVar, cast

import numpy as np
import plotly.graph_objects as go

from cmlab.gaussian_mixture import require
from cmlab.metrics.plots import MEAN, TARGET, Role

# Panels in a row: fixed axes, and a title for each frame

GRID, INK, FAINT = "#e3e3e3", "#1f2023", "#8a8a8a"
GAP = 0.11  # between two panels, as a fraction of the width


@dataclass(frozen=True)
class Panel:
    """One pair of axes with fixed ranges.

    Args:
        x, y: axis titles, with symbol and unit.
        x_range, y_range: the numbers themselves, also on logarithmic axes.
        log: the logarithmic axes, as in "xy".
        square: whether both units are equally long.
        x_ticks, y_ticks: plotly's own if empty.
        bare: whether it shows no axes, as under pictures.
    """

    x: str
    y: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: str = ""
    square: bool = False
    x_ticks: Sequence[float] = ()
    y_ticks: Sequence[float] = ()
    bare: bool = False


BY_LEVEL = Panel("noise level t (data units)", "RMS of f<sub>θ</sub> − f* (data units)",
                 (0.002, 11), (0.001, 2), "xy", x_ticks=(0.01, 0.1, 1, 10),
                 y_ticks=(0.001, 0.01, 0.1, 1))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame: the slider's value, a description, a title for each panel, and what it draws."""

    value: str
    reading: str
    titles: Sequence[str]
    traces: Sequence[go.Scatter]
    pictures: Sequence[dict[str, Any]] = ()


def axis_suffix(number: int) -> str:
    """Plotly's suffix of the axes of panel 0, 1, …: nothing, 2, …"""
    return str(number + 1) if number else ""


def tick_text(value: float) -> str:
    """A number as a tick label."""
    if 0 < abs(value) < 1e-3:
        return f"10<sup>−{-round(log10(value))}</sup>"
    return f"{value:g}".replace("-", "−")


def axis(
    name: str, span: tuple[float, float], log: bool, ticks: Sequence[float]
) -> dict[str, Any]:
    """Layout of one axis."""
    ends = [log10(v) for v in span] if log else list(span)
    marks = {"tickvals": list(ticks), "ticktext": [tick_text(v) for v in ticks]}
    return {
        "title": {"text": name, "standoff": 8, "font": {"size": 13}}, "range": ends,
        "type": "log" if log else "linear", "gridcolor": GRID, "zeroline": False,
        "fixedrange": True, "autorange": False, "ticks": "outside", "tickcolor": FAINT,
        "linecolor": FAINT, "showline": True, **(marks if ticks else {}),
    }  # fmt: skip


def axes(number: int, of: int, panel: Panel) -> dict[str, Any]:
    """Layout of both axes of a panel at its place in the row, by their plotly names."""
    n, room = axis_suffix(number), (1 - GAP * (of - 1)) / of
    left = number * (room + GAP)
    across = axis(panel.x, panel.x_range, "x" in panel.log, panel.x_ticks)
    up = axis(panel.y, panel.y_range, "y" in panel.log, panel.y_ticks)
    across |= {"domain": [round(left, 4), round(left + room, 4)], "anchor": f"y{n}"}
    up |= {"anchor": f"x{n}"}
    if panel.square:
        across |= {"constrain": "domain"}
        up |= {"scaleanchor": f"x{n}", "scaleratio": 1, "constrain": "domain"}
    if panel.bare:
        across, up = across | {"visible": False}, up | {"visible": False}
    return {f"xaxis{n}": across, f"yaxis{n}": up}


def panel_title(number: int, text: str) -> dict[str, Any]:
    """A panel's title, aligned with the panel's left edge."""
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
    """A figure with fixed traces under animated ones; it opens at frame `start`."""
    heads = [[panel_title(k, text) for k, text in enumerate(shot.titles)] for shot in shots]
    changes = [{"annotations": head} | ({"images": list(shot.pictures)} if shot.pictures else {})
               for head, shot in zip(heads, shots, strict=True)]  # fmt: skip
    layout = LAYOUT | changes[start]
    for number, panel in enumerate(panels):
        layout |= axes(number, len(panels), panel)
    first = shots[start].traces
    places = list(range(len(still), len(still) + len(first)))
    frames = [
        go.Frame(name=str(k), data=changed_properties(shot.traces, first), traces=places,
                 layout=change)
        for k, (shot, change) in enumerate(zip(shots, changes, strict=True))
    ]  # fmt: skip
    return go.Figure([*still, *first], go.Layout(layout), frames)


def changed_properties(
    data: Sequence[go.Scatter], first: Sequence[go.Scatter]
) -> list[dict[str, Any]]:
    """The properties of each trace that differ from the first frame's, and its points."""
    pairs = zip(*([t.to_plotly_json() for t in row] for row in (data, first)), strict=True)
    kept = ("x", "y", "type")
    return [{k: v for k, v in now.items() if k in kept or v != then.get(k)} for now, then in pairs]


# The animation: frames, a slider over them, and a sentence for each frame

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
Maker = TypeVar("Maker", bound=Callable[..., "Moving"])


def animation(make: Maker) -> Maker:
    """Mark a function as making an animation of the lab in whose folder it is. A decorator."""
    setattr(make, MARK, True)
    return make


@dataclass(frozen=True, eq=False)
class Moving:
    """An animation: a plotly figure with one frame for each value of a slider.

    Args:
        figure: its panels side by side, with its frames.
        finding: what it shows, in one sentence.
        knob: the slider's name, with symbol and unit.
        values: the slider's value in each frame, as text.
        readings: alternative text, one for each frame.
        start: the frame that it opens with.
        card: the panel and the frame that the lab's card is drawn from.

    Raises:
        ValueError: if values, readings and frames differ in number, or `start` is no frame.
    """

    name: str
    figure: go.Figure
    finding: str
    knob: str
    values: Sequence[str]
    readings: Sequence[str]
    start: int = 0
    card: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        frames = len(cast(tuple, self.figure.frames))
        even = frames == len(self.values) == len(self.readings)
        require(even, f"{self.name} needs a value and a reading for each of its {frames} frames")
        ends = self.start, self.card[1]
        require(0 <= min(ends) <= max(ends) < frames, f"{self.name} opens with a frame it lacks")

    def parts(self) -> Mapping[str, Any]:
        """Data, layout and frames as JSON, for a page with controls of its own."""
        return json.loads(str(self.figure.to_json()))

    def alone(self) -> go.Figure:
        """The figure with plotly's own slider and buttons, as a page of its own."""
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
    shots: Sequence[Shot], start: int = 0, card: tuple[int, int] | None = None,
) -> Moving:  # fmt: skip
    """Make an animation of these frames over fixed traces. Raises ValueError without frames.

    `card` is the panel and the frame of the lab's card: the first panel as it opens if None.
    """
    require(bool(shots), f"{name} has nothing to show")
    figure = figure_with_frames(panels, still, shots, start)
    values, readings = [shot.value for shot in shots], [shot.reading for shot in shots]
    return Moving(name, figure, finding, knob, values, readings, start, card or (0, start))


# Traces in the labs' style: each role has its colour, symbol and dashes

SYMBOLS = {"o": "circle", ".": "circle", "s": "square", "D": "diamond", "^": "triangle-up",
           "v": "triangle-down", "X": "x", "P": "cross"}  # fmt: skip
DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
DARK = {MEAN.color: "#8a5c00", "#009E73": "#00704f", "#CC79A7": "#a0487b", TARGET.color: "#1f6f9c"}


def numbers(values: Any, digits: int = 3) -> list[float | None]:
    """Numbers rounded to so many digits, which take less room in a page."""
    flat = np.asarray(values, dtype=float).ravel()
    return [None if np.isnan(v) else float(f"{v:.{digits}g}") for v in flat]


def ink(role: Role) -> str:
    """A role's colour, darkened for text."""
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
    """Marks at points (n, 2); `looks` has a symbol and a colour for each."""
    x, y = np.asarray(points, dtype=float).T
    return dots(x, y, role, panel, size, opacity, *looks)


def polylines(
    pieces: Iterable[Any], role: Role, panel: int = 0, width: float = 1.0, opacity: float = 1.0
) -> go.Scatter:
    """Many polylines (m, 2) as one trace."""
    x, y = joined_with_gaps(pieces)
    return line(x, y, role, panel, width, opacity)


def text_labels(
    x: Any, y: Any, texts: Sequence[str], color: str = INK, panel: int = 0,
    side: str = "middle right",
) -> go.Scatter:  # fmt: skip
    """Text labels at points, in place of a legend."""
    return go.Scatter(
        x=numbers(x), y=numbers(y), text=list(texts), mode="text", textposition=side,
        textfont={"color": color, "size": 13}, cliponaxis=False,
        xaxis=f"x{axis_suffix(panel)}", yaxis=f"y{axis_suffix(panel)}",
    )  # fmt: skip


def picture(
    pixels: np.ndarray, box: tuple[float, float, float, float], panel: int = 0, quality: int = 0
) -> dict[str, Any]:
    """A picture (h, w) or (h, w, 3), uint8, on a panel: its left, bottom, width and height there.

    Kept as it is, or with a `quality` of 1 to 100 by a lossy code that takes a fifth of the room.
    """
    from PIL import Image

    buffer, kind = BytesIO(), "webp" if quality else "png"
    options = {"quality": quality, "method": 6} if quality else {"optimize": True}
    Image.fromarray(pixels).save(buffer, kind, **options)
    left, bottom, width, height = box
    n = axis_suffix(panel)
    return {
        "source": f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}",
        "xref": f"x{n}", "yref": f"y{n}", "x": left, "y": bottom, "sizex": width, "sizey": height,
        "xanchor": "left", "yanchor": "bottom", "sizing": "stretch", "layer": "below",
    }  # fmt: skip


def joined_with_gaps(pieces: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Coordinates of many lines (m, 2) in one array each, with gaps between the lines."""
    x: list[float] = []
    y: list[float] = []
    for piece in pieces:
        points = np.asarray(piece, dtype=float)
        x += [*points[:, 0], np.nan]
        y += [*points[:, 1], np.nan]
    return x, y
