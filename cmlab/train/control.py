"""Run control: watch a training run from another process, pause it, stop it.

state.json  the run's state in a word and a sentence, its step, and its process id
want        a request, "pause" or "stop"; without this file the run goes on

A pause keeps the process and its memory; a stop ends it. Both write a checkpoint first.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from .checkpoint import BadFile, contents, write_json
from .lock import check_lock
from .trainer import Trainer

STATE, WANT = "state.json", "want"
PAUSE, STOP = "pause", "stop"
AGREE_EVERY = 20  # steps after which several processes agree on the request


class Stopped(Exception):
    """The run was asked to stop; --resume goes on."""


class NotSaved(Exception):
    """The run was asked to stop, and could not write its checkpoint."""


@dataclass(frozen=True)
class RunControl:
    """Run control through two files in a run's folder.

    `stage` is (k, n): this training is the k-th of n, one after the other.
    """

    folder: Path
    stage: tuple[int, int] = (1, 1)

    def write_state(self, state: str, trainer: Trainer | None = None, sentence: str = "") -> None:
        """Write the state: training, paused, stopped, scoring, finished or failed."""
        check_lock(self.folder)
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
            word = contents(self.folder / WANT).decode("utf-8").strip()
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

    A signal is a request too, which one process heeds after the step in which it came.

    Args:
        control: where the state is written and requests are read.
        save: writes a checkpoint; called before a pause or a stop.
        note: a sentence that goes with the state.

    Raises:
        Stopped: when called after a stop was requested.
        NotSaved: if there is then no room for the checkpoint.
    """

    def __init__(
        self, control: RunControl, save: Callable[[Trainer], None], note: str = ""
    ) -> None:
        self.control, self.save, self.note, self.written = control, save, note, 0.0

    def __call__(self, trainer: Trainer) -> None:
        due, alone = time.monotonic() - self.written > 1, trainer.fabric.world_size == 1
        if not (due or SIGNALS.received if alone else trainer.step % AGREE_EVERY == 0):
            return
        want = self.agreed_request(trainer)
        if want == STOP:
            self.stop(trainer)
        self.write_state("training", trainer)
        if want == PAUSE:
            self.save(trainer)
            self.write_state("paused", trainer)
        while want == PAUSE:
            time.sleep(0.2)
            want = self.agreed_request(trainer)
        if want == STOP:
            self.stop(trainer)

    def stop(self, trainer: Trainer) -> None:
        """Write the checkpoint, then the state, and raise Stopped."""
        try:
            self.save(trainer)
        except BadFile as error:
            raise NotSaved(
                f"stopped as asked at step {trainer.step}, which is not kept: {error}"
            ) from error
        with suppress(BadFile):  # what counts is kept
            self.write_state("stopped", trainer)
        self.control.ask("")
        raise Stopped(f"stopped as asked at step {trainer.step}; go on with --resume")

    def write_state(self, state: str, trainer: Trainer) -> None:
        self.written = time.monotonic()
        if trainer.fabric.is_global_zero:
            self.control.write_state(state, trainer, self.note)

    def agreed_request(self, trainer: Trainer) -> str:
        """The request, the same for all processes: they have to stop at the same step."""
        fabric = trainer.fabric
        if fabric.world_size == 1:
            return STOP if SIGNALS.received else self.control.want()
        signalled = torch.tensor(float(SIGNALS.received), device=fabric.device)
        if float(torch.as_tensor(fabric.all_reduce(signalled, reduce_op="max"))):
            return STOP
        return fabric.broadcast(self.control.want())


# Signals: the handler leaves a mark in memory; files are written by the training loop alone


@dataclass
class Signals:
    """The signals to this process: whether one came, and how many loops will heed it."""

    received: bool = False
    heeding: int = 0


SIGNALS = Signals()
ASKING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """A context in which Ctrl-C, SIGTERM and SIGHUP request a stop; a second one ends at once.

    A training loop stops after its step, with a checkpoint (see `heed_signals`); anything else,
    such as scoring, is left there and then. A signal that was ignored stays so, as under nohup.

    Raises:
        Stopped: if a signal came where no training loop heeds it.
    """

    def ask(number: int, frame: object) -> None:
        if SIGNALS.received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        SIGNALS.received = True
        if not SIGNALS.heeding:
            raise Stopped("stopped as asked; go on with --resume")

    numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python allows handlers in no other
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, ask)
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        SIGNALS.received = False


@contextmanager
def heed_signals() -> Iterator[None]:
    """A context for a training loop with `ObeyRequests`, which stops at the end of a step.

    Raises:
        Stopped: at its end, if the signal came after the last step.
    """
    SIGNALS.heeding += 1
    try:
        yield
    finally:
        SIGNALS.heeding -= 1
    if SIGNALS.received:
        raise Stopped("stopped as asked after the last step; go on with --resume")
