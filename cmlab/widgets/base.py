"""An explorer: knobs, a picture that answers them, and the same in words."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from time import perf_counter
from typing import Any

import ipywidgets as ipw
from matplotlib.figure import Figure

from ..figures.samples import png

WIDE = {"description_width": "initial"}
LONG = ipw.Layout(width="330px")


@dataclass(frozen=True)
class Picture:
    """A figure, and its three-line reading for those who do not see it."""

    figure: Figure
    reading: str


def slider(label: str, value: float, low: float, high: float, step: float = 1) -> ipw.DOMWidget:
    """A slider, whole-numbered when all its numbers are. It acts on release and on arrow keys."""
    whole = all(isinstance(v, int) for v in (value, low, high, step))
    kind = ipw.IntSlider if whole else ipw.FloatSlider
    return kind(
        value=value, min=low, max=high, step=step, description=label, style=WIDE, layout=LONG,
        continuous_update=False,
    )  # fmt: skip


def log_slider(
    label: str, value: float, low: float, high: float, steps: int = 40
) -> ipw.DOMWidget:
    """A slider over decades: low, high and value are the numbers themselves."""
    span = log10(high) - log10(low)
    return ipw.FloatLogSlider(
        value=value, min=log10(low), max=log10(high), step=span / steps, description=label,
        style=WIDE, layout=LONG, continuous_update=False, readout_format=".3g",
    )  # fmt: skip


def choice(label: str, options: Sequence[Any], value: Any = None) -> ipw.DOMWidget:
    """One of a few options, as buttons: Tab walks through them, Enter or Space chooses."""
    chosen = options[0] if value is None else value
    return ipw.ToggleButtons(
        options=options, value=chosen, description=label, style=WIDE | {"button_width": "auto"}
    )


def toggle(label: str, value: bool = False) -> ipw.DOMWidget:
    """On or off."""
    return ipw.Checkbox(value=value, description=label, indent=False, layout=LONG)


class Explorer(ipw.VBox):
    """draw(**values of the knobs) -> Picture, drawn again at every turn of a knob.

    `knobs[name].value = …` turns a knob from code; `picture` is what is on the screen and
    `seconds` what it took. Knob `name` has the CSS class lab-name, the picture lab-out.
    `call` is how a lab makes this explorer, for `to_code`.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        knobs: Mapping[str, Any],
        call: str = "explorer()",
    ) -> None:
        self.draw, self.knobs, self.call = draw, dict(knobs), call
        self.hidden: tuple[str, ...] = ()
        self.waiting = False
        self.image = ipw.Image(format="png", layout=ipw.Layout(max_width="100%"))
        self.words = ipw.HTML()
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-{name}")
            knob.observe(lambda change: self.refresh(), names="value")
        shown = ipw.VBox([self.image, self.words])
        shown.add_class("lab-out")
        wrap = ipw.Layout(flex_flow="row wrap", grid_gap="4px 16px")
        self.row = ipw.Box(list(self.knobs.values()), layout=wrap)
        super().__init__([self.row, shown])
        self.refresh()

    def turn(self, values: Mapping[str, Any], hide: Collection[str] = ()) -> "Explorer":
        """Turn several knobs at once and take those in `hide` away; itself, to end a cell with.

        Raises ValueError for a knob that it lacks.
        """
        if unknown := {*values, *hide} - set(self.knobs):
            raise ValueError(
                f"no knob {', '.join(sorted(unknown))}: it has {', '.join(self.knobs)}"
            )
        self.waiting = True
        try:
            for name, value in values.items():
                self.knobs[name].value = value
        finally:
            self.waiting = False
        self.hidden = tuple(name for name in self.knobs if name in hide)
        self.row.children = [knob for name, knob in self.knobs.items() if name not in hide]
        self.refresh()
        return self

    def to_code(self) -> str:
        """The one call that restores what is on the screen."""
        values = {name: knob.value for name, knob in self.knobs.items()}
        return f"{self.call}.turn({values}{f', hide={self.hidden}' if self.hidden else ''})"

    def refresh(self) -> None:
        """Draw with the knobs as they stand. What is wrong is said in place of the reading."""
        if self.waiting:
            return
        start = perf_counter()
        try:
            self.picture = self.draw(**{name: knob.value for name, knob in self.knobs.items()})
        except (ValueError, ArithmeticError) as error:
            self.words.value = f"<p role='alert'>{error}</p>"
            return
        self.image.value = png(self.picture.figure, dpi=90)
        self.words.value = reading_html(self.picture.reading)
        self.seconds = perf_counter() - start


def reading_html(reading: str) -> str:
    """The lines of a reading, announced by screen readers when they change."""
    lines = "<br>".join(reading.strip().splitlines())
    return f"<p role='status' aria-live='polite' style='line-height:1.4;margin:4px 0'>{lines}</p>"
