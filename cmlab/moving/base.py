"""A moving figure: frames, a knob that walks through them, and a sentence for each frame."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import plotly.graph_objects as go

from ..components import require
from .panel import Panel, Shot, film

STILL = {
    "mode": "immediate",
    "frame": {"duration": 0, "redraw": True},
    "transition": {"duration": 0},
}
RUN = {
    "frame": {"duration": 120, "redraw": True},
    "fromcurrent": True,
    "transition": {"duration": 0},
}


MARK = "__animation__"
M = TypeVar("M", bound=Callable[..., "Moving"])


def animation(lab: str) -> Callable[[M], M]:
    """Show what a function makes in the lab of this number. A decorator."""

    def mark(make: M) -> M:
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
            {"label": value, "method": "animate", "args": [[str(number)], STILL]}
            for number, value in enumerate(self.values)  # `film` names frames by their number
        ]
        slider = {"active": self.start, "currentvalue": {"prefix": f"{self.knob}: "},
                  "steps": steps, "pad": {"t": 60}, "x": 0.12, "len": 0.88}  # fmt: skip
        buttons = [
            {"label": "Play", "method": "animate", "args": [None, RUN]},
            {"label": "Pause", "method": "animate", "args": [[None], STILL]},
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
    figure = film(panels, still, shots, start)
    values, readings = [shot.value for shot in shots], [shot.reading for shot in shots]
    return Moving(name, figure, finding, knob, values, readings, start)
