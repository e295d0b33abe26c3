"""The training desk in words: what the run does, how far it is, and what went wrong."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ..sitting import PAUSE, STOP
from .standing import Standing

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
    """In the unit that a clock would use."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{max(count / 1e6, 1):.0f} MB"


def state_line(now: Standing, name: str, want: str) -> str:
    """What the run does, in which phase, and what was asked of it that it has yet to do."""
    parts = [TITLES.get(now.word, now.word)]
    if now.word not in ("nothing", "starting", "refused") and now.stage[1] > 1:
        parts.append(f"phase {now.stage[0]} of {now.stage[1]}" + (f" ({name})" if name else ""))
    if asked := ASKED.get((want, now.word)):
        parts.append(asked)
    return " · ".join(parts)


def numbers(now: Standing, samples: int, batch: int, pace: float, facts: Mapping[str, Any]) -> str:
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


def alarm(now: Standing, kept: str) -> str:
    """What went wrong, and what can be done; empty if nothing did."""
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
    """What a forecast says."""
    memory, hours = float(found["memory_gb"]) * 1e9, float(found["hours"])
    return (
        f"Forecast: {duration(3600 * hours)} of training and {size(memory)} of memory for "
        f"{int(found['samples']):,} samples. Timed over a few steps; {CAVEAT}."
    )
