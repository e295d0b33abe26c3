"""The training desk's knobs and buttons: what they ask for, and when they mean anything."""

from collections.abc import Callable
from dataclasses import replace

import ipywidgets as ipw

from ..sitting import PAUSE, STOP
from .base import WIDE, toggle
from .order import PICTURES, Order, all_steps, own_steps
from .standing import Standing

NARROW, WIDER = ipw.Layout(width="150px"), ipw.Layout(width="230px")
TIPS = {
    "start": "Trains in a process of its own, from the last checkpoint if there is one",
    "pause": "The process waits and keeps its memory; press again to go on",
    "stop": "Writes a checkpoint and ends the process; Resume goes on from there",
    "forecast": "Measures a few steps in a process of its own; nothing is trained",
}
BUTTONS = {"start": "Start", "pause": "Pause", "stop": "Stop", "forecast": "Forecast"}


def number(label: str, low: int, high: int) -> ipw.DOMWidget:
    """A whole number, typed or stepped with the arrow keys."""
    return ipw.BoundedIntText(min=low, max=high, description=label, style=WIDE, layout=NARROW)


class Controls(ipw.VBox):
    """Knob `name` has the CSS class lab-name, and so have the buttons."""

    def __init__(self, order: Order) -> None:
        names = PICTURES if order.preset in PICTURES else (order.preset, *PICTURES)
        self.given = order
        self.knobs = {
            "preset": ipw.Dropdown(options=names, description="preset", style=WIDE, layout=WIDER),
            "steps": number("steps in all", 0, 10**9),
            "devices": number("devices", 1, 64),
            "compile": toggle("torch.compile"),
        }
        self.knobs["compile"].layout = NARROW
        self.buttons = {
            name: ipw.Button(description=title, tooltip=TIPS[name])
            for name, title in BUTTONS.items()
        }
        for name, part in (self.knobs | self.buttons).items():
            part.add_class(f"lab-{name}")
        self.buttons["start"].button_style = "primary"
        row = ipw.Layout(flex_flow="row wrap", grid_gap="4px 16px")
        parts = (self.knobs, self.buttons)
        super().__init__([ipw.Box(list(some.values()), layout=row) for some in parts])
        self.knobs["preset"].observe(lambda change: self.own(), names="value")
        self.take(order)

    def own(self) -> None:
        """The preset's own number of steps."""
        self.knobs["steps"].value = all_steps(self.knobs["preset"].value)

    def take(self, order: Order) -> None:
        """Set the knobs to an order; what has no knob is kept beside them."""
        self.given = order
        self.knobs["preset"].value = order.preset
        self.own()
        if order.steps is not None:
            self.knobs["steps"].value = order.steps
        self.knobs["devices"].value = order.devices
        self.knobs["compile"].value = order.compiled

    def order(self) -> Order:
        """What the knobs ask for."""
        preset = self.knobs["preset"].value
        own = own_steps(preset)
        chosen = self.knobs["steps"].value
        return replace(
            self.given,
            preset=preset,
            steps=None if own is None or chosen == own else chosen,
            devices=self.knobs["devices"].value,
            compiled=self.knobs["compile"].value,
        )

    def heard(self, act: Callable[[], object]) -> None:
        """Act whenever a knob is turned."""
        for knob in self.knobs.values():
            knob.observe(lambda change: act(), names="value")

    def allow(self, now: Standing, want: str, begun: bool, fixed: bool) -> None:
        """Enable what means something. `begun`: the folder holds files; `fixed`: a checkpoint."""
        live, start, pause = bool(now.pid), self.buttons["start"], self.buttons["pause"]
        heeds = live and now.word in ("starting", "training", "paused") and want != STOP
        start.description = "Resume" if begun and not live else "Start"
        pause.description = "Go on" if want == PAUSE else "Pause"
        start.disabled = live or now.word == "finished"
        pause.disabled = self.buttons["stop"].disabled = not heeds
        preset = self.knobs["preset"].value
        for name in ("preset", "steps"):
            self.knobs[name].disabled = live or fixed
        self.knobs["steps"].disabled |= own_steps(preset) is None
        for name in ("devices", "compile"):
            self.knobs[name].disabled = live or now.word == "finished"
