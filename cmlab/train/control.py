"""Run control: watch a training run from another process, pause it, stop it.

state.json  the run's state in a word and a sentence, its step, and its process id
want        a request, "pause" or "stop"; without this file the run goes on

A pause keeps the process and its memory; a stop ends it. Both write a checkpoint first.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import write_json
from .trainer import Trainer

STATE, WANT = "state.json", "want"
PAUSE, STOP = "pause", "stop"
AGREE_EVERY = 20  # steps after which several processes agree on the request


class Stopped(Exception):
    """The run was asked to stop, and has written its checkpoint."""


@dataclass(frozen=True)
class RunControl:
    """Run control through two files in a run's folder.

    `stage` is (k, n): this training is the k-th of n, one after the other.
    """

    folder: Path
    stage: tuple[int, int] = (1, 1)

    def write_state(self, state: str, trainer: Trainer | None = None, sentence: str = "") -> None:
        """Write the state: training, paused, stopped, scoring, finished or failed."""
        write_json(
            self.folder / STATE,
            {
                "state": state,
                "sentence": sentence,
                "stage": list(self.stage),
                "step": trainer.step if trainer else 0,
                "steps": trainer.config.steps if trainer else 0,
                "pid": os.getpid(),
                "time": round(time.time(), 2),
            },
        )

    def want(self) -> str:
        """The request, "pause" or "stop"; empty if there is none."""
        try:
            word = (self.folder / WANT).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return ""
        return word if word in (PAUSE, STOP) else ""

    def ask(self, word: str) -> None:
        """Request "pause" or "stop"; the empty word withdraws the request."""
        if word:
            (self.folder / WANT).write_text(word, encoding="utf-8")
        else:
            with suppress(OSError):
                (self.folder / WANT).unlink()


class ObeyRequests:
    """A callback that writes the run's state once a second, and pauses or stops it on request.

    Args:
        control: where the state is written and requests are read.
        save: writes a checkpoint; called before a pause or a stop.
        note: a sentence that goes with the state.

    Raises:
        Stopped: when called after a stop was requested.
    """

    def __init__(
        self, control: RunControl, save: Callable[[Trainer], None], note: str = ""
    ) -> None:
        self.control, self.save, self.note, self.written = control, save, note, 0.0

    def __call__(self, trainer: Trainer) -> None:
        due, alone = time.monotonic() - self.written > 1, trainer.fabric.world_size == 1
        if not (due if alone else trainer.step % AGREE_EVERY == 0):
            return
        self.write_state("training", trainer)
        want = self.agreed_request(trainer)
        if want in (PAUSE, STOP):
            self.save(trainer)
        if want == PAUSE:
            self.write_state("paused", trainer)
        while want == PAUSE:
            time.sleep(0.2)
            want = self.agreed_request(trainer)
        if want == STOP:
            self.write_state("stopped", trainer)
            self.control.ask("")
            raise Stopped(f"stopped as asked at step {trainer.step}; go on with --resume")

    def write_state(self, state: str, trainer: Trainer) -> None:
        self.written = time.monotonic()
        if trainer.fabric.is_global_zero:
            self.control.write_state(state, trainer, self.note)

    def agreed_request(self, trainer: Trainer) -> str:
        """The request, the same for all processes: they have to stop at the same step."""
        return trainer.fabric.broadcast(self.control.want())


@contextmanager
def stop_on_signal(control: RunControl) -> Iterator[None]:
    """A context in which Ctrl-C and SIGTERM request a stop; a second Ctrl-C ends at once."""
    before: dict[int, object] = {}

    def ask(number: int, frame: object) -> None:
        if not control.folder.exists():  # there is nothing to save yet
            raise KeyboardInterrupt
        control.ask(STOP)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
