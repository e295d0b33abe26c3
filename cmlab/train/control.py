"""A run while it trains, for those who watch it from outside: what it does, and what they want.

state.json  what the run is doing, in a word and a sentence, how far it is, and which process
want        a file that holds "pause" or "stop"; while there is none the run goes on

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
BETWEEN = 20  # steps after which several processes agree on what is wanted


class Stopped(Exception):
    """The run was asked to stop, and has written its checkpoint."""


@dataclass(frozen=True)
class Sitting:
    """The run's folder, and which of how many trainings one after the other this one is."""

    folder: Path
    stage: tuple[int, int] = (1, 1)

    def tell(self, state: str, trainer: Trainer | None = None, sentence: str = "") -> None:
        """Write what the run is doing: training, paused, stopped, scoring, finished or failed."""
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
        """What is wanted of the run; empty if that it goes on."""
        try:
            return (self.folder / WANT).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def ask(self, word: str) -> None:
        """Want this of the run; the empty word lets it go on."""
        if word:
            (self.folder / WANT).write_text(word, encoding="utf-8")
        else:
            with suppress(OSError):
                (self.folder / WANT).unlink()


class Watched:
    """A callback that tells once a second how far the run is, and does what is wanted of it."""

    def __init__(self, sitting: Sitting, keep: Callable[[Trainer], None], note: str = "") -> None:
        self.sitting, self.keep, self.note, self.told = sitting, keep, note, 0.0

    def __call__(self, trainer: Trainer) -> None:
        due, alone = time.monotonic() - self.told > 1, trainer.fabric.world_size == 1
        if not (due if alone else trainer.step % BETWEEN == 0):
            return
        self.tell("training", trainer)
        want = self.agreed(trainer)
        if want in (PAUSE, STOP):
            self.keep(trainer)
        if want == PAUSE:
            self.tell("paused", trainer)
        while want == PAUSE:
            time.sleep(0.2)
            want = self.agreed(trainer)
        if want == STOP:
            self.tell("stopped", trainer)
            self.sitting.ask("")
            raise Stopped(f"stopped as asked at step {trainer.step}; go on with --resume")

    def tell(self, state: str, trainer: Trainer) -> None:
        self.told = time.monotonic()
        if trainer.fabric.is_global_zero:
            self.sitting.tell(state, trainer, self.note)

    def agreed(self, trainer: Trainer) -> str:
        """What is wanted, the same for all processes: they have to stop at the same step."""
        return trainer.fabric.broadcast(self.sitting.want())


@contextmanager
def stoppable(sitting: Sitting) -> Iterator[None]:
    """In here Ctrl-C and SIGTERM ask the run to stop; a second Ctrl-C ends it at once."""
    before: dict[int, object] = {}

    def ask(number: int, frame: object) -> None:
        if not sitting.folder.exists():  # nothing was begun that could be kept
            raise KeyboardInterrupt
        sitting.ask(STOP)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
