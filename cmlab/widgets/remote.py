"""A run handled from outside: start it, ask for a pause or a stop, and know where it stands."""

from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from ..folder import CHECKPOINT
from ..sitting import PAUSE, STOP, Sitting
from .child import Child
from .order import Order, order_of, shell
from .standing import Standing, standing


class Remote:
    """The run in a folder, whoever started it.

    A wish is written until a run that is up has it: one that still starts would not hear it.
    """

    def __init__(self, folder: str, here: Path) -> None:
        self.folder, self.here = here / folder, here
        self.child, self.sitting = Child(self.folder, here), Sitting(self.folder)
        self.wish: str | None = None

    def known(self, order: Order) -> Order:
        """What was asked for when the folder's run was started, if it is still under way."""
        noted = order_of(self.child.noted().get("order") or {})
        live = bool(self.child.pid())
        if noted is None or not (live or self.fixed):
            return order
        if live:
            return replace(noted, folder=order.folder)
        return replace(order, preset=noted.preset, steps=noted.steps, settings=noted.settings,
                       accelerator=noted.accelerator)  # fmt: skip

    @property
    def begun(self) -> bool:
        """Whether there are files in the folder: then the command has to say --resume."""
        with suppress(OSError):
            return any(self.folder.iterdir())
        return False

    @property
    def fixed(self) -> bool:
        """Whether there is a checkpoint, which goes on with its own recipe alone."""
        places = (self.folder, self.folder / "start")
        return any((place / CHECKPOINT).exists() for place in places)

    @property
    def want(self) -> str:
        """What is wanted of the run, whoever asked for it."""
        return self.sitting.want() if self.wish is None else self.wish

    def now(self) -> Standing:
        """Where the run stands."""
        return standing(self.folder, self.child)

    def line(self, order: Order, now: Standing) -> str:
        """The command line: the one that runs, else the one that Start or Resume would run."""
        noted = order_of(self.child.noted().get("order") or {})
        if now.pid:
            resumed = bool(self.child.noted().get("resume"))
            own = self.child.pid() == now.pid and noted
            return shell(noted.words(resumed)) if own and noted else ""
        return shell(order.words(self.begun and now.word != "finished"))

    def start(self, order: Order) -> None:
        """Start or resume; a run that is alive, or finished, is left alone.

        Raises OSError or BadFile when the machine refuses, or another desk was faster.
        """
        now = self.now()
        if not now.pid and now.word != "finished":
            self.wish = None
            self.sitting.ask("")
            self.child.start(order, self.begun)

    def pause(self) -> None:
        """Pause; or go on, if a pause is what was asked for."""
        self.wish = "" if self.want == PAUSE else PAUSE

    def stop(self) -> None:
        """Let the run write a checkpoint and end."""
        self.wish = STOP

    def urge(self, now: Standing) -> None:
        """Write the wish where the run looks for it. Raises OSError when the disk refuses."""
        wish, up = self.wish, now.word != "starting"
        if wish is None:
            return
        if up or not now.pid:
            self.wish = None  # even if it cannot be written: the desk says so once
        if now.pid:
            with nullcontext() if up else suppress(FileNotFoundError):  # no folder yet
                self.sitting.ask(wish)
