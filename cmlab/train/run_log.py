"""What a run leaves in its folder while it trains: a log, sheets of samples, checkpoints.

log.jsonl            one line now and then
strips/00001234.png  after that many steps: samples from the same noise, a row for each number
                     of calls
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from ..ops import seeded
from .callbacks import by_level
from .checkpoint import append, replace
from .recipe import Recipe
from .trainer import Trainer

LOG, STRIPS = "log.jsonl", "strips"
CALLS, COLUMNS = (1, 2, 4), 8
AT_MOST = 0.05  # of the time for checkpoints


class Log:
    """A callback that appends one line to the log; see `row` for what is in it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.before = folder / LOG, (0, 0.0)

    def __call__(self, trainer: Trainer) -> None:
        append(self.path, json.dumps(self.row(trainer)) + "\n")
        self.before = trainer.step, trainer.seconds

    def row(self, trainer: Trainer) -> dict[str, object]:
        """Steps, samples, seconds, CPU seconds, loss, samples a second, most bytes on the GPU."""
        step, seconds = self.before
        speed = (trainer.step - step) * trainer.config.batch / max(trainer.seconds - seconds, 1e-9)
        gpu = trainer.fabric.device.type == "cuda"
        return {
            "step": trainer.step,
            "samples": trainer.samples_seen,
            "loss": round(trainer.average, 6),
            "seconds": round(trainer.seconds, 3),
            "cpu_seconds": round(trainer.cpu_seconds, 3),
            "rate": round(speed, 2) if step or not seconds else None,
            "memory": torch.cuda.max_memory_allocated(trainer.fabric.device) if gpu else None,
            "by_level": by_level(trainer),
        }


def shorten(folder: Path, step: int) -> None:
    """Leave out the lines and sheets after this step: they will come again."""
    path = folder / LOG
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        replace(path, lambda temporary: temporary.write_text("".join(kept), encoding="utf-8"))
    for sheet in (folder / STRIPS).glob("*.png"):
        if sheet.stem.isdigit() and int(sheet.stem) > step:
            sheet.unlink()


def pictured(recipe: Recipe) -> bool:
    """Whether its data are images."""
    with seeded(torch.device("cpu"), 0):
        return recipe.data.sample(1)[0].ndim == 4


class Strip:
    """A callback that draws the averaged model's samples from fixed noise, for data of images."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.sampler, self.folder = recipe.sampler, folder / STRIPS
        with seeded(torch.device("cpu"), 0):
            x, self.cond = recipe.data.sample(COLUMNS)
            self.z = torch.randn(x.shape)

    @torch.no_grad()
    def __call__(self, trainer: Trainer) -> None:
        model, device = trainer.ema.model, trainer.fabric.device
        z, cond = self.z.to(device), None if self.cond is None else self.cond.to(device)
        rows = []
        with seeded(device, 1):
            for calls in CALLS:
                denoise = lambda x_t, t: model(x_t, t, cond)  # noqa: E731
                rows.append(self.sampler(model.process, denoise, z, calls))
        picture = sheet_of(torch.cat(rows).cpu(), COLUMNS)
        path = self.folder / f"{trainer.step:08d}.png"
        replace(path, lambda temporary: picture.save(temporary, format="PNG"))


def sheet_of(x: Tensor, columns: int, gap: int = 1) -> Image.Image:
    """Images (n, 1 or 3, h, w) in [-1, 1] side by side, on white. Ink is dark on grey ones."""
    x = torch.where(x.isfinite(), x, torch.zeros(())).clamp(-1, 1)
    x = (-x if x.shape[1] == 1 else x).expand(-1, 3, -1, -1)
    x = pad(x, (0, gap, 0, gap), value=1.0)
    n, c, h, w = x.shape
    grid = x.reshape(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)
    return Image.fromarray(((grid + 1) * 127.5).round().byte().reshape(-1, columns * w, c).numpy())


class Autosave:
    """A callback that keeps the run, and less often where that takes long."""

    def __init__(self, keep: Callable[[Trainer], None]) -> None:
        self.keep, self.took, self.last = keep, 0.0, -math.inf

    def __call__(self, trainer: Trainer) -> None:
        start, ended = perf_counter(), trainer.step == trainer.config.steps
        long = self.took > 0.5  # seconds; short ones are never left out
        if long and not ended and start - self.last < self.took / AT_MOST:
            return
        self.keep(trainer)
        self.last = perf_counter()
        self.took = self.last - start
