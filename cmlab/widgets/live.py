"""Training that is watched: start, pause and reset answer while the kernel works."""

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter

import ipywidgets as ipw

from ..figures.samples import png
from ..train import NotFinite, Trainer
from .base import Picture, reading_html

SLICE = 0.08  # seconds of training between two looks at the buttons
PICTURES = 40  # in a whole run


class LiveTraining(ipw.VBox):
    """make() -> a fresh trainer; draw(trainer) -> the picture of where it stands.

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
        self.image = ipw.Image(format="png", layout=ipw.Layout(max_width="100%"))
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
        """Back to step 0, with fresh weights from the same seed."""
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
        """Stop after the slice that is running; Start goes on from here."""
        if self.task is not None:
            self.task.cancel()
        self.task = None
        self.go.description = "Start"

    async def train(self) -> None:
        more = True
        while more:
            more = self.work()
            await asyncio.sleep(0.005)  # the kernel reads its messages here, and below
            if self.due:
                self.show()
                await asyncio.sleep(0.005)
        self.go.description = "Start"

    def work(self, seconds: float = SLICE) -> bool:
        """Train for this long, and say whether there is more to do."""
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
        """Whether the picture is a fortieth of the run old, or the run is over."""
        done, total = self.trainer.step, self.trainer.config.steps
        return done != self.drawn and (done == total or (done - self.drawn) * PICTURES >= total)

    def show(self) -> None:
        """Draw the trainer where it stands."""
        self.picture = self.draw(self.trainer)
        self.drawn = self.bar.value = self.trainer.step
        self.image.value = png(self.picture.figure, dpi=90)
        self.words.value = reading_html(self.picture.reading)
