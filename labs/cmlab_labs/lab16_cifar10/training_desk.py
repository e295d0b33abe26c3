"""Training desk: a widget that starts, follows, pauses, stops and resumes a run.

    desk("shapes.ect", "runs/my-shapes")

The desk is a view on the run's folder. Training is `cmlab train` in a process of its own, so a
desk opened later, in another notebook or after a restart, finds the run where it is.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any

import ipywidgets as ipw
import numpy as np
import psutil
from PIL import Image

from cmlab.presets import PRESETS
from cmlab.train.checkpoint import BadFile, read_json
from cmlab.train.control import PAUSE, STOP
from cmlab.train.run_log import STRIPS
from cmlab.train.runs import RECORD

from ..common.explorer import CONTROL_LAYOUT, WIDE_LABEL, WidgetColumn, reading_html, toggle
from ..common.screen import Screen
from .figures import sample_strip, training_curves
from .remote_run import (
    PICTURES,
    RemoteRun,
    RunHistory,
    RunRequest,
    RunStatus,
    TrainingSpeed,
    all_steps,
    last_checkpoint,
    last_error_in,
    own_steps,
    split_steps,
    start_command,
)

# Knobs and buttons of the training desk, and when they are enabled

NARROW, WIDER = ipw.Layout(width="150px"), ipw.Layout(width="230px")
TIPS = {
    "start": "Trains in a process of its own, from the last checkpoint if there is one",
    "pause": "The process waits and keeps its memory; press again to go on",
    "stop": "Writes a checkpoint and ends the process; Resume goes on from there",
    "forecast": "Measures a few steps in a process of its own; nothing is trained",
}
BUTTONS = {"start": "Start", "pause": "Pause", "stop": "Stop", "forecast": "Forecast"}


def number_field(label: str, low: int, high: int) -> ipw.DOMWidget:
    """A whole number, typed or stepped with the arrow keys."""
    return ipw.BoundedIntText(
        min=low, max=high, description=label, style=WIDE_LABEL, layout=NARROW
    )


class Controls(ipw.VBox):
    """Knob `name` has the CSS class lab-name, and so have the buttons."""

    def __init__(self, order: RunRequest) -> None:
        names = PICTURES if order.preset in PICTURES else (order.preset, *PICTURES)
        self.given = order
        self.knobs = {
            "preset": ipw.Dropdown(
                options=names, description="preset", style=WIDE_LABEL, layout=WIDER
            ),
            "steps": number_field("steps in all", 0, 10**9),
            "devices": number_field("devices", 1, 64),
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

    def take(self, order: RunRequest) -> None:
        """Set the knobs to an order; what has no knob is kept beside them."""
        self.given = order
        self.knobs["preset"].value = order.preset
        self.own()
        if order.steps is not None:
            self.knobs["steps"].value = order.steps
        self.knobs["devices"].value = order.devices
        self.knobs["compile"].value = order.compiled

    def order(self) -> RunRequest:
        """The request that the knobs stand for."""
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

    def on_change(self, act: Callable[[], object]) -> None:
        """Act whenever a knob is turned."""
        for knob in self.knobs.values():
            knob.observe(lambda change: act(), names="value")

    def allow(self, now: RunStatus, want: str, begun: bool, fixed: bool) -> None:
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


# Sample viewer: strips of samples of a run, the newest or an earlier one by slider


@dataclass(frozen=True)
class SheetFile:
    """One strip of samples: after how many steps of which phase."""

    path: Path
    phase: int
    step: int

    def pixels(self) -> np.ndarray | None:
        """(height, width, 3) in uint8; None if it is gone, or no picture."""
        try:
            with Image.open(self.path) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            return None


def sheets(folders: Sequence[Path]) -> list[SheetFile]:
    """All strips so far, in the order in which they were drawn."""
    return [
        SheetFile(path, phase, int(path.stem))
        for phase, folder in enumerate(folders, 1)
        for path in sorted((folder / STRIPS).glob("*.png"))
        if path.stem.isdigit()
    ]


class SampleViewer(ipw.VBox):
    """Stays at the newest as long as the slider stands at its right end."""

    def __init__(self) -> None:
        self.sheets: list[SheetFile] = []
        self.titles: Sequence[str] = ()
        self.shown: SheetFile | None = None
        self.image = Screen()
        self.slider = ipw.IntSlider(
            value=0, min=0, max=1, description="strip, first to newest", style=WIDE_LABEL,
            layout=CONTROL_LAYOUT, continuous_update=False, readout=False,
        )  # fmt: skip
        self.slider.add_class("lab-strip")
        self.slider.observe(lambda change: self.show(), names="value")
        super().__init__([self.slider, self.image])
        self.add_class("lab-strips")
        self.layout.display = "none"

    def take(self, sheets: list[SheetFile], titles: Sequence[str]) -> None:
        """All strips so far; `titles` are the phases' names."""
        if (sheets, titles) == (self.sheets, self.titles):
            return
        newest = self.slider.value >= len(self.sheets) - 1
        self.sheets, self.titles = sheets, titles
        self.layout.display = "" if sheets else "none"
        self.slider.max = max(len(sheets) - 1, 1)
        self.slider.disabled = len(sheets) < 2
        if newest:
            self.slider.value = max(len(sheets) - 1, 0)
        self.show()

    def show(self) -> None:
        """Draw the strip at the slider. One that is gone leaves the picture before it."""
        if not self.sheets:
            return
        sheet = self.sheets[min(self.slider.value, len(self.sheets) - 1)]
        if sheet == self.shown or (pixels := sheet.pixels()) is None:
            return
        self.shown = sheet
        self.figure = sample_strip(pixels, f"Samples after {sheet.step:,} steps{self.name(sheet)}")
        self.image.show(self.figure)

    def name(self, sheet: SheetFile) -> str:
        known = self.titles[sheet.phase - 1] if sheet.phase <= len(self.titles) else ""
        return f" of {known}" if known else ""


# Texts of the training desk: state, progress and problems

TITLES = {
    "nothing": "Nothing has run here yet",
    "starting": "Starting: Python and torch load, then the settings are rehearsed",
    "training": "Training",
    "paused": "Paused: the process keeps its memory",
    "scoring": "Training is over, the samples are being scored",
    "stopped": "Stopped, with a checkpoint",
    "finished": "Finished",
    "failed": "Failed",
    "gone": "The process is gone",
    "refused": "Not started",
}
ASKED = {
    (PAUSE, "training"): "a pause is asked for",
    (STOP, "training"): "a stop is asked for",
    (STOP, "paused"): "a stop is asked for",
    ("", "paused"): "it is asked to go on",
}
HELP = (
    "Training runs in a process of its own: closing this notebook or restarting its kernel stops "
    "nothing. <b>Pause</b> keeps the process and its memory. <b>Stop</b> writes a checkpoint and "
    "ends the process; <b>Resume</b> goes on from the last checkpoint."
)
CAVEAT = "the memory is an estimate, without what libraries and the allocator hold"


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{max(count / 1e6, 1):.0f} MB"


def state_line(now: RunStatus, name: str, want: str) -> str:
    """Line on the run's state: activity, phase, and a pending request."""
    parts = [TITLES.get(now.word, escape(now.word))]
    if now.word not in ("nothing", "starting", "refused") and now.stage[1] > 1:
        known = f" ({escape(name)})" if name else ""
        parts.append(f"phase {now.stage[0]} of {now.stage[1]}{known}")
    if asked := ASKED.get((want, now.word)):
        parts.append(asked)
    return " · ".join(parts)


def numbers(
    now: RunStatus, samples: int, batch: int, pace: float, facts: Mapping[str, Any]
) -> str:
    """Two lines: how far and how fast; what it takes, and how good it is. `pace` in steps/s."""
    if not now.steps:
        return ""
    far = [f"Step {now.step:,} of {now.steps:,}"]
    far += [f"{samples:,} samples seen"] if samples else []
    if now.word == "training" and pace > 0:
        far += [f"{pace * batch:,.0f} samples/s"] if batch else []
        phase = " of this phase" if now.stage[0] < now.stage[1] else ""
        far += [f"about {duration((now.steps - now.step) / pace)} left{phase}"]
    return "<br>".join([" · ".join(far), " · ".join(f"{k} {v}" for k, v in facts.items())])


def problem_sentence(now: RunStatus, kept: str) -> str:
    """Sentence on what went wrong, and the remedy; empty if nothing did."""
    why = now.sentence.rstrip(".")
    again = f"Resume goes on from {kept}."
    if now.word == "gone":
        return f"The process is gone{f' ({why})' if why else ''}. {again}"
    if now.word == "failed":
        return (
            f"Stopped: {why}. {again} If it fails there again, change a setting, in a new folder."
        )
    return f"{why}." if now.word == "refused" else ""


def alert_html(sentence: str) -> str:
    """A sentence that screen readers say at once."""
    look = "border-left:4px solid #D55E00;padding:2px 8px;line-height:1.4;margin:4px 0"
    return f"<p role='alert' style='{look}'>⚠ {escape(sentence)}</p>" if sentence else ""


def plain_html(lines: str) -> str:
    """Lines that change every second: shown, and left unsaid until they are asked for."""
    return f"<p aria-live='off' style='line-height:1.4;margin:4px 0'>{lines}</p>"


def command_html(line: str) -> str:
    """A command line to copy."""
    look = "white-space:pre-wrap;word-break:break-word;line-height:1.4;margin:0;padding:4px 8px;"
    look += "border:1px solid var(--jp-border-color1,#bdbdbd);user-select:all"
    said = "the command line that does the same"
    return f"<pre tabindex='0' aria-label='{said}' style='{look}'>{escape(line)}</pre>"


def plan_line(found: Mapping[str, Any]) -> str:
    """Sentence on a forecast of time and memory."""
    memory, hours = float(found["memory_gb"]) * 1e9, float(found["hours"])
    return (
        f"Forecast: {duration(3600 * hours)} of training and {size(memory)} of memory for "
        f"{int(found['samples']):,} samples. Timed over a few steps; {CAVEAT}."
    )


# Facts about a run: memory, loss, and scores at the end

FEW = 6  # scores that are shown


def run_facts(now: RunStatus, rows: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Named values of the latest log row and of the process, or the scores of a finished run."""
    if now.word == "finished":
        return final_scores(folder)
    found = {"Loss": f"{rows[-1]['loss']:.4g}"} if rows else {}
    if now.pid and (taken := memory_of(now.pid)):
        found["memory of the process"] = size(taken)
    memory = rows[-1].get("memory") if rows else None
    if isinstance(memory, int | float):
        found["most on the GPU"] = size(memory)
    if now.sentence and now.pid:
        found["note:"] = escape(now.sentence)
    return found


def memory_of(pid: int) -> int:
    """Bytes of a process in memory; 0 if it has just ended."""
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def final_scores(folder: Path) -> dict[str, str]:
    """The first few of a finished run's scores."""
    try:
        found = read_json(folder / RECORD)["scores"].items()
    except (BadFile, KeyError, AttributeError):
        return {}
    return {escape(k): f"{v:.4g}" for k, v in list(found)[:FEW] if isinstance(v, int | float)}


# Forecast of memory and time, measured in a separate process


class ForecastPanel(ipw.HTML):
    """`cmlab train … --plan`: on its way while `busy`, then its answer in a sentence."""

    def __init__(self) -> None:
        self.process: Popen | None = None
        super().__init__()
        self.add_class("lab-plan")

    @property
    def busy(self) -> bool:
        return self.process is not None

    def measure(self, order: RunRequest, here: Path) -> None:
        """Begin, unless it has begun. Raises OSError when the machine refuses a process."""
        if self.process is None:
            self.out = TemporaryFile()  # noqa: SIM115 - it lives as long as the process writes
            self.process = start_command(order.arguments(plan=True), here, self.out, apart=False)
            self.value = reading_html("Forecast: measuring a few steps …")

    def look(self) -> None:
        """Show the answer, once it is there."""
        if self.process is None or self.process.poll() is None:
            return
        self.out.seek(0)
        text = self.out.read().decode("utf-8", "replace")
        self.out.close()
        failed, self.process = self.process.returncode, None
        try:
            self.value = reading_html(plan_line(json.loads(text.strip().splitlines()[-1])))
        except (ValueError, KeyError, IndexError, TypeError):
            why = last_error_in(text) or f"the measurement ended with status {failed}"
            self.value = alert_html(f"No forecast: {why.rstrip('.')}.")


# The training desk

PERIOD = 1.0  # seconds between two looks at the folder


class Desk(WidgetColumn):
    """Buttons lab-start, lab-pause, lab-stop, lab-forecast; the picture and its words lab-out.

    While a process lives, the folder is looked at once a second on the kernel's event loop.
    `refresh()` reads it once, for tests and for cells; `status` is what it found and `seconds`
    what it took.
    """

    def __init__(self, order: RunRequest) -> None:
        self.remote = RemoteRun(order.folder, Path.cwd())
        self.trace, self.pace = RunHistory(self.remote.folder), TrainingSpeed()
        self.plan = ForecastPanel()
        self.task: asyncio.Task | None = None
        self.problem, self.drawn = "", False
        self.controls, self.strips = Controls(self.remote.known(order)), SampleViewer()
        self.image = Screen()
        self.line, self.words, self.alarm, self.numbers = (ipw.HTML() for _ in range(4))
        out = ipw.VBox([self.words, self.alarm, self.numbers, self.image, self.strips])
        self.line.add_class("lab-command")
        out.add_class("lab-out")
        tips = ipw.HTML(plain_html(HELP))
        super().__init__([self.controls, tips, self.line, self.plan, out])
        acts = (self.start, self.remote.pause, self.remote.stop, self.measure)
        for button, act in zip(self.controls.buttons.values(), acts, strict=True):
            button.on_click(lambda button, act=act: self.do(act))
        self.controls.on_change(self.refresh)
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
        now = self.status = remote.now()
        try:
            remote.send_request(now)
        except OSError as error:
            self.problem = str(error)
        self.pace.see(now)
        self.controls.allow(now, remote.want, remote.begun, remote.fixed)
        line = remote.line(self.controls.order(), now)
        self.line.value = command_html(line or "(started elsewhere)")
        self.look(now)
        self.plan.look()
        self.seconds = perf_counter() - start
        return bool(now.pid) or self.plan.busy

    def look(self, now: RunStatus) -> None:
        """The picture, if there is anything new in it, and the words."""
        fresh = self.trace.read()
        phases = self.trace.phases()
        if fresh or not self.drawn:
            self.figure, self.drawn = training_curves(phases), True
            self.image.show(self.figure)
        places = [f for f in self.trace.folders if f == self.remote.folder or f.exists()]
        self.strips.take(sheets(places), [p.name for p in phases])
        name, batch = self.trace.here(now)
        took = run_facts(now, self.trace.rows, self.remote.folder)
        seen = self.trace.samples(now)
        self.words.value = reading_html(state_line(now, name, self.remote.want))
        self.numbers.value = plain_html(numbers(now, seen, batch, self.pace.steps, took))
        wrong = self.problem or problem_sentence(now, last_checkpoint(self.remote.folder))
        self.alarm.value = alert_html(wrong)


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
    steps, rest = split_steps(settings)
    place = os.path.expanduser(str(folder)) or f"runs/my-{preset}"
    return Desk(
        RunRequest(preset, place, steps, rest, str(data or ""), devices, compile, accelerator)
    )
