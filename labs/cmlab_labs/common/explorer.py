"""Explorers: interactive figures with sliders, live training, and source code."""

import asyncio
import gc
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from time import perf_counter
from typing import Any

import ipywidgets as ipw
import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import Code, Markdown
from matplotlib.figure import Figure

from cmlab.metrics.plots import reusing
from cmlab.train.nonfinite import NotFinite
from cmlab.train.trainer import Trainer

from .screen import Redraws, Screen, one_thread

WIDE_LABEL = {"description_width": "initial"}
CONTROL_LAYOUT = ipw.Layout(width="auto", min_width="330px")


@dataclass(frozen=True)
class Picture:
    """A figure and its description in three lines, for readers who do not see it."""

    figure: Figure
    reading: str


def slider(label: str, value: float, low: float, high: float, step: float = 1) -> ipw.DOMWidget:
    """A slider, of integers if all its numbers are. It acts while it is dragged."""
    whole = all(isinstance(v, int) for v in (value, low, high, step))
    kind = ipw.IntSlider if whole else ipw.FloatSlider
    return kind(
        value=value, min=low, max=high, step=step, description=label, style=WIDE_LABEL,
        layout=CONTROL_LAYOUT,
    )  # fmt: skip


def log_slider(
    label: str, value: float, low: float, high: float, steps: int = 40
) -> ipw.DOMWidget:
    """A logarithmic slider; low, high and value are the numbers themselves."""
    span = log10(high) - log10(low)
    return ipw.FloatLogSlider(
        value=value, min=log10(low), max=log10(high), step=span / steps, description=label,
        style=WIDE_LABEL, layout=CONTROL_LAYOUT, readout_format=".3g",
    )  # fmt: skip


def choice(label: str, options: Sequence[Any], value: Any = None) -> ipw.DOMWidget:
    """A choice of one of a few options, as buttons: Tab moves, Enter or Space chooses."""
    chosen = options[0] if value is None else value
    return ipw.ToggleButtons(
        options=options,
        value=chosen,
        description=label,
        style=WIDE_LABEL | {"button_width": "auto"},
    )


def toggle(label: str, value: bool = False) -> ipw.DOMWidget:
    """A checkbox."""
    return ipw.Checkbox(value=value, description=label, indent=False, layout=CONTROL_LAYOUT)


# A long label shortens no slider, and no number in a printed table is broken. A widget without a
# kernel gets a broken chain in red from ipywidgets, as do all widgets in it.
STYLE = """<style>
.lab-panel .slider-container {min-width: 180px}
.jp-OutputArea-output pre {word-break: normal; overflow-wrap: normal}
.jupyter-widgets-disconnected::before {display: none}
.lab-panel.jupyter-widgets-disconnected::before {display: block; color: inherit; font: inherit;
  font-style: italic; content: 'As it was saved. Run this cell for the live widget.'}
.lab-panel .lab-panel.jupyter-widgets-disconnected::before {display: none}
.lab-panel.jupyter-widgets-disconnected :is(input, button, .noUi-target) {pointer-events: none;
  opacity: 0.6}
</style>"""


class WidgetColumn(ipw.VBox):
    """A column of widgets. Reopened without a kernel it shows what was saved, and says so."""

    def __init__(self, children: Sequence[ipw.Widget]) -> None:
        style = ipw.HTML(STYLE, layout=ipw.Layout(display="none"))
        super().__init__([*children, style])
        self.add_class("lab-panel")


class Explorer(WidgetColumn):
    """An interactive figure: draw(**values of the controls) -> Picture, at every change.

    `knobs[name].value = …` sets a control from code; `seconds` is the time that the last drawing
    took. Control `name` has the CSS class lab-name, the picture lab-out.

    Args:
        draw: makes the picture.
        knobs: the controls by name.
        call: the expression that makes this explorer in a lab, for `to_code`.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        knobs: Mapping[str, Any],
        call: str = "explorer()",
    ) -> None:
        self.draw, self.knobs, self.call = draw, dict(knobs), call
        self.hidden: tuple[str, ...] = ()
        self.turning = False
        self.image = Screen()
        self.words = ipw.HTML()
        self.redraws = Redraws(self.glance, self.sharpen, self.refresh)
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-{name}")
            knob.observe(self.changed, names="value")
        shown = ipw.VBox([self.image, self.words])
        shown.add_class("lab-out")
        wrap = ipw.Layout(flex_flow="row wrap", grid_gap="4px 16px")
        self.row = ipw.Box(list(self.knobs.values()), layout=wrap)
        super().__init__([self.row, shown])
        self.refresh()

    def turn(self, values: Mapping[str, Any], hide: Collection[str] = ()) -> "Explorer":
        """Set several controls at once and hide those in `hide`; returns itself, to end a cell.

        Raises ValueError for a control that it lacks.
        """
        if unknown := {*values, *hide} - set(self.knobs):
            raise ValueError(
                f"no knob {', '.join(sorted(unknown))}: it has {', '.join(self.knobs)}"
            )
        self.turning = True
        try:
            for name, value in values.items():
                self.knobs[name].value = value
        finally:
            self.turning = False
        self.hidden = tuple(name for name in self.knobs if name in hide)
        self.row.children = [knob for name, knob in self.knobs.items() if name not in hide]
        self.refresh()
        return self

    def to_code(self) -> str:
        """The one line of code that restores what is shown."""
        values = {name: knob.value for name, knob in self.knobs.items()}
        return f"{self.call}.turn({values}{f', hide={self.hidden}' if self.hidden else ''})"

    @property
    def picture(self) -> Picture:
        """What is shown for the present values."""
        if self.redraws.waiting:
            self.refresh()
        return self._picture

    def changed(self, change: Mapping[str, Any]) -> None:
        """Redraw soon, unless several controls are being set."""
        if not self.turning:
            self.redraws.ask()

    def refresh(self) -> None:
        """Draw with the present values. An error is shown in place of the description."""
        self.redraws.cancel()
        self._draw(self.image.show)

    def glance(self) -> None:
        """Draw quickly, as while a slider is dragged."""
        with reusing(self.image.brush.sheets), one_thread():
            self._draw(self.image.glance)

    def sharpen(self) -> None:
        """Show the last picture sharply."""
        self.image.show(self._picture.figure)

    def _draw(self, show: Callable[[Figure], None]) -> None:
        start = perf_counter()
        try:
            self._picture = self.draw(**{name: knob.value for name, knob in self.knobs.items()})
        except (ValueError, ArithmeticError) as error:
            self.words.value = f"<p role='alert'>{error}</p>"
            return
        show(self._picture.figure)
        self.words.value = reading_html(self._picture.reading)
        self.seconds = perf_counter() - start


def reading_html(reading: str) -> str:
    """A description as HTML that screen readers announce when it changes."""
    lines = "<br>".join(reading.strip().splitlines())
    return f"<p role='status' aria-live='polite' style='line-height:1.4;margin:4px 0'>{lines}</p>"


# Live training: start, pause and reset work while the kernel trains

SLICE_SECONDS = 0.08  # of training between two checks of the buttons
REDRAWS = 40  # of the picture in a whole run


class LiveTraining(WidgetColumn):
    """A training run with buttons: make() -> a fresh trainer, draw(trainer) -> its picture.

    Training runs in slices on the kernel's own event loop, so buttons answer between two of
    them and nothing runs in a second thread. A `draw` that takes less than 0.15 s keeps every
    answer under 0.2 s. `work()` is one slice, for tests and for cells.
    """

    def __init__(
        self,
        make: Callable[[], Trainer],
        draw: Callable[[Trainer], Picture],
    ) -> None:
        self.make, self.draw = make, draw
        self.image = Screen()
        self.words = ipw.HTML()
        self.bar = ipw.IntProgress(description="steps", layout=ipw.Layout(width="300px"))
        self.go, self.again = (ipw.Button(description=name) for name in ("Start", "Reset"))
        for name, button in (("start", self.go), ("reset", self.again)):
            button.add_class(f"lab-{name}")
        self.go.on_click(lambda button: self.pause() if self.running else self.start())
        self.again.on_click(lambda button: self.reset())
        self.task: asyncio.Task | None = None
        shown = ipw.VBox([self.image, self.words])
        shown.add_class("lab-out")
        super().__init__([ipw.HBox([self.go, self.again, self.bar]), shown])
        self.reset()

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def reset(self) -> None:
        """Return to step 0, with fresh weights from the same seed."""
        self.pause()
        self.trainer = self.make()
        self.steps: Iterator[Trainer] = self.trainer.run()
        self.bar.max = self.trainer.config.steps
        self.show()

    def start(self) -> None:
        """Train in the background of the running event loop."""
        if not self.running:
            self.task = asyncio.get_running_loop().create_task(self.train())
            self.go.description = "Pause"

    def pause(self) -> None:
        """Stop after the present slice; Start continues from there."""
        if self.task is not None:
            self.task.cancel()
            self.image.show(self.picture.figure)
        self.task = None
        self.go.description = "Start"

    async def train(self) -> None:
        more = True
        while more:
            more = self.work()
            await asyncio.sleep(0.005)  # the kernel reads its messages here, and below
            if self.due:
                with reusing(self.image.brush.sheets):
                    self.show(self.image.glance)
                await asyncio.sleep(0.005)
        self.image.show(self.picture.figure)
        self.go.description = "Start"

    def work(self, seconds: float = SLICE_SECONDS) -> bool:
        """Train for so many seconds; whether steps are left."""
        end = perf_counter() + seconds
        try:
            while perf_counter() < end and next(self.steps, None) is not None:
                pass
        except NotFinite as error:
            self.show()  # now, or a picture that is due would write over the sentence
            self.words.value = f"<p role='alert'>Stopped: {error}.</p>"
            return False
        self.bar.value = self.trainer.step
        return self.trainer.step < self.trainer.config.steps

    @property
    def due(self) -> bool:
        """Whether to redraw: a fortieth of the run has passed, or the run is over."""
        done, total = self.trainer.step, self.trainer.config.steps
        return done != self.drawn and (done == total or (done - self.drawn) * REDRAWS >= total)

    def show(self, show: Callable[[Figure], None] | None = None) -> None:
        """Draw the trainer at its present step, sharply unless told how."""
        self.picture = self.draw(self.trainer)
        self.drawn = self.bar.value = self.trainer.step
        (show or self.image.show)(self.picture.figure)
        self.words.value = reading_html(self.picture.reading)


# What the first cell of a notebook needs


def start_lab(threads: int = 2) -> None:
    """Set up a notebook: cells that end in a figure show it, with this many CPU threads."""
    torch.set_num_threads(threads)
    if not gc.get_freeze_count():  # once: an explorer of an earlier cell can become garbage
        gc.collect()
        gc.freeze()  # to look through all that is loaded for garbage stops a drag for 0.3 s
    shell = get_ipython()
    if shell is None:
        return
    select_figure_formats(shell, {"png"}, bbox_inches=None)
    if isinstance(shell.display_formatter, DisplayFormatter):
        plain = shell.display_formatter.formatters["text/plain"]
        plain.for_type(Figure, lambda figure, printer, cycle: printer.text(titles(figure)))


def titles(figure: Figure) -> str:
    """The titles of a figure and its panels, as alternative text."""
    said = [figure.get_suptitle()]
    said += [ax.get_title(place) for ax in figure.axes for place in ("left", "center", "right")]
    return ". ".join(" ".join(title.split()) for title in said if title.strip()) or repr(figure)


def show_source(thing: Any) -> Code:
    """The source code of a class or function of the package."""
    return Code(inspect.getsource(thing), language="python")


def folded(summary: str, text: str) -> Markdown:
    """Markdown that opens with a click on its summary: for a table that few readers need."""
    return Markdown(f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>")


def __getattr__(name: str) -> Any:
    """`Predict`, which older copies of the notebooks import from here."""
    if name != "Predict":
        raise AttributeError(f"{__name__} has no {name}")
    from .prediction import Predict

    return Predict
