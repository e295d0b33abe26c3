"""The training desk: start, watch, pause, stop and resume a run that the kernel does not carry.

    desk("shapes.ect", "runs/my-shapes")

The desk is a view on the run's folder. Training is `cmlab train` in a process of its own, so a
desk opened later, in another notebook or after a restart, finds the run where it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import ipywidgets as ipw

from ..checkpoint import BadFile
from ..figures.desk import curves
from ..figures.samples import png
from ..presets import PRESETS
from . import telling
from .base import reading_html
from .controls import Controls
from .gauge import facts
from .order import Order, apart
from .plan import Plan
from .remote import Remote
from .standing import Standing, kept
from .strips import Strips, sheets
from .trace import Pace, Trace

PERIOD = 1.0  # seconds between two looks at the folder


class Desk(ipw.VBox):
    """Buttons lab-start, lab-pause, lab-stop, lab-forecast; the picture and its words lab-out.

    While a process lives, the folder is looked at once a second on the kernel's event loop.
    `refresh()` is one look, for tests and for cells; `standing` is what it found and `seconds`
    what it took.
    """

    def __init__(self, order: Order) -> None:
        self.remote = Remote(order.folder, Path.cwd())
        self.trace, self.pace = Trace(self.remote.folder), Pace()
        self.plan = Plan()
        self.task: asyncio.Task | None = None
        self.problem, self.drawn = "", False
        self.controls, self.strips = Controls(self.remote.known(order)), Strips()
        self.image = ipw.Image(
            format="png", layout=ipw.Layout(max_width="100%", align_self="flex-start")
        )
        self.line, self.words, self.alarm, self.numbers = (ipw.HTML() for _ in range(4))
        out = ipw.VBox([self.words, self.alarm, self.numbers, self.image, self.strips])
        self.line.add_class("lab-command")
        out.add_class("lab-out")
        tips = ipw.HTML(telling.plain_html(telling.HELP))
        super().__init__([self.controls, tips, self.line, self.plan, out])
        acts = (self.start, self.remote.pause, self.remote.stop, self.measure)
        for button, act in zip(self.controls.buttons.values(), acts, strict=True):
            button.on_click(lambda button, act=act: self.do(act))
        self.controls.heard(self.refresh)
        self.follow()

    def start(self) -> None:
        """Start or resume what the knobs ask for."""
        self.remote.start(self.controls.order())

    def measure(self) -> None:
        """Forecast what the knobs ask for."""
        self.plan.measure(self.controls.order(), self.remote.here)

    def do(self, act: Callable[[], None]) -> None:
        """Act, and follow what comes of it. What the machine refuses is said, not raised."""
        self.problem = ""
        try:
            act()
        except (OSError, BadFile) as error:
            self.problem = str(error)
        self.follow()

    def follow(self) -> None:
        """Look now; and go on looking in the background, where an event loop runs."""
        if not self.refresh() or (self.task and not self.task.done()):
            return
        try:
            self.task = asyncio.get_running_loop().create_task(self.watch())
        except RuntimeError:
            self.task = None

    async def watch(self) -> None:
        while self.refresh():
            await asyncio.sleep(PERIOD)

    def refresh(self) -> bool:
        """Look once, and say whether there is more to come."""
        start, remote = perf_counter(), self.remote
        now = self.standing = remote.now()
        try:
            remote.urge(now)
        except OSError as error:
            self.problem = str(error)
        self.pace.see(now)
        self.controls.allow(now, remote.want, remote.begun, remote.fixed)
        line = remote.line(self.controls.order(), now)
        self.line.value = telling.command_html(line or "(started elsewhere)")
        self.look(now)
        self.plan.look()
        self.seconds = perf_counter() - start
        return bool(now.pid) or self.plan.busy

    def look(self, now: Standing) -> None:
        """The picture, if there is anything new in it, and the words."""
        fresh = self.trace.read()
        phases = self.trace.phases()
        if fresh or not self.drawn:
            self.figure, self.drawn = curves(phases), True
            self.image.value = png(self.figure, dpi=90)
        places = [f for f in self.trace.folders if f == self.remote.folder or f.exists()]
        self.strips.take(sheets(places), [p.name for p in phases])
        name, batch = self.trace.here(now)
        took = facts(now, self.trace.rows, self.remote.folder)
        seen = self.trace.samples(now)
        self.words.value = reading_html(telling.state_line(now, name, self.remote.want))
        self.numbers.value = telling.plain_html(
            telling.numbers(now, seen, batch, self.pace.steps, took)
        )
        wrong = self.problem or telling.alarm(now, kept(self.remote.folder))
        self.alarm.value = telling.alert_html(wrong)


def desk(
    preset: str = "shapes.ect",
    folder: str | Path = "",
    settings: Sequence[str] = (),
    data: str | Path | None = None,
    devices: int = 1,
    compile: bool = False,
    accelerator: str = "",
) -> Desk:
    """A desk for one run, in `folder` (default runs/my-PRESET). It starts nothing by itself.

    `settings` are those of `cmlab train --set`, as in ("steps=600", "train.batch=16"); `data` is
    where the pixels lie, for presets that read files. Raises ValueError for an unknown preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}")
    steps, rest = apart(settings)
    place = str(folder) or f"runs/my-{preset}"
    return Desk(Order(preset, place, steps, rest, str(data or ""), devices, compile, accelerator))
