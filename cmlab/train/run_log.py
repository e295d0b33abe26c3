"""Run log and callbacks: what a run shows and writes while it trains.

A callback is any callable that takes the trainer; `every` calls one after every n-th step.

log.jsonl            a line every few steps
strips/00001234.png  samples after that many steps, always from the same noise; a row for each
                     number of network calls
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from ..model import conditioned
from ..ops import seeded
from .checkpoint import append, parse_json, read_lines, replace, with_fields
from .lock import check_lock
from .recipe import Recipe
from .trainer import Trainer

Callback = Callable[[Trainer], None]


def every(n: int, callback: Callback) -> Callback:
    """A callback that calls another after every n-th step, and after the last."""

    def call(trainer: Trainer) -> None:
        if trainer.step % n == 0 or trainer.step == trainer.config.steps:
            callback(trainer)

    return call


class Progress:
    """A callback that shows a progress bar on standard error, with loss and time left."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.bar: tqdm | None = None

    def __call__(self, trainer: Trainer) -> None:
        if self.bar is None:
            self.bar = tqdm(total=trainer.config.steps, desc=self.title, unit="step")
        self.bar.update(trainer.step - self.bar.n)
        self.bar.set_postfix_str(f"loss {trainer.average:.4g}", refresh=False)
        if trainer.step == trainer.config.steps:
            self.bar.close()


# Twelve bins of noise levels from 0.002 to 80, evenly spaced in log sigma; LEVELS are their
# geometric means.
EDGES = torch.logspace(math.log10(0.002), math.log10(80), 13, dtype=torch.float64)
LEVELS = tuple((EDGES[1:] * EDGES[:-1]).sqrt().tolist())


def loss_by_level(trainer: Trainer) -> list[float | None]:
    """The mean loss of the last step in each bin of noise levels; None for an empty bin."""
    batches, part = trainer.batches, trainer.batches.local_parts - 1
    levels = batches.levels(trainer.method.pairs, trainer.model.process, part, trainer.step - 1)
    bin_of = torch.bucketize(levels.double().cpu(), EDGES[1:-1])
    losses = trainer.losses.double().cpu()
    bins = [losses[bin_of == i] for i in range(len(LEVELS))]
    return [float(f"{bin.mean():.4g}") if len(bin) else None for bin in bins]


# In the run's folder

LOG, STRIPS = "log.jsonl", "strips"
CALLS, COLUMNS = (1, 2, 4), 8
SAVING_SHARE = 0.05  # of the time, at most, for checkpoints


class JsonlLogger:
    """A callback that appends one JSON line to the log; `row` says what is in it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.last = folder / LOG, (0, 0.0)

    def __call__(self, trainer: Trainer) -> None:
        check_lock(self.path.parent)
        append(self.path, json.dumps(self.row(trainer)) + "\n")
        self.last = trainer.step, trainer.seconds

    def row(self, trainer: Trainer) -> dict[str, object]:
        """Step, samples, loss, seconds, CPU seconds, samples a second, peak bytes on the GPU."""
        step, seconds = self.last
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
            "by_level": loss_by_level(trainer),
        }


ROW = {"step": int, "samples": int, "loss": float, "by_level": list}


def log_row(line: bytes | str) -> dict[str, Any] | None:
    """A line of a log as its row; None for a line that is none, such as one cut by a kill."""
    row = _object(line, ROW)
    levels = row["by_level"] if row else []
    good = all(value is None or isinstance(value, int | float) for value in levels)
    return row if good and len(levels) == len(LEVELS) else None


def _object(line: bytes | str, fields: Mapping[str, type]) -> dict[str, Any] | None:
    """A line as an object that has these fields; None for a line that is none."""
    try:
        return with_fields(parse_json(line), fields, LOG)
    except ValueError:
        return None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, without lines that are none. Raises BadFile if it cannot be read."""
    return [row for line in read_lines(path) if (row := log_row(line))]


def truncate_log(folder: Path, step: int) -> None:
    """Remove the lines and sheets after this step, and torn lines: they are written again."""
    path = folder / LOG
    if path.exists():
        lines = [(line, _object(line, {"step": int})) for line in read_lines(path)]
        kept = b"".join(line + b"\n" for line, row in lines if row and row["step"] <= step)
        replace(path, lambda temporary: temporary.write_bytes(kept))
    for sheet in (folder / STRIPS).glob("*.png"):
        if sheet.stem.isdigit() and int(sheet.stem) > step:
            sheet.unlink()


def has_images(recipe: Recipe) -> bool:
    """Whether a recipe's data are images."""
    with seeded(torch.device("cpu"), 0):
        return recipe.data.sample(1)[0].ndim == 4


class SampleSheet:
    """A callback that draws samples of the averaged model from fixed noise, for image data."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.data, self.sampler, self.folder = recipe.data, recipe.sampler, folder / STRIPS
        with seeded(torch.device("cpu"), 0):
            x, self.cond = recipe.data.sample(COLUMNS)
            self.z = torch.randn(x.shape)

    @torch.no_grad()
    def __call__(self, trainer: Trainer) -> None:
        check_lock(self.folder.parent)
        model, device = trainer.ema.model, trainer.fabric.device
        z, cond = self.z.to(device), None if self.cond is None else self.cond.to(device)
        rows = []
        with seeded(device, 1):
            for calls in CALLS:
                rows.append(self.sampler(model.process, conditioned(model, cond), z, calls))
        picture = image_grid(decoded(self.data, torch.cat(rows).cpu()), COLUMNS)
        path = self.folder / f"{trainer.step:08d}.png"
        replace(path, lambda temporary: picture.save(temporary, format="PNG"))


def decoded(data: object, x: Tensor) -> Tensor:
    """Images of samples: latents are decoded by their data, other samples are images already."""
    decode = getattr(data, "decode", None)
    return decode(x) if decode else x


def image_grid(x: Tensor, columns: int, gap: int = 1) -> Image.Image:
    """Images (n, 1 or 3, h, w) in [-1, 1] in a grid on white; grey ones are inverted."""
    x = torch.where(x.isfinite(), x, torch.zeros(())).clamp(-1, 1)
    x = (-x if x.shape[1] == 1 else x).expand(-1, 3, -1, -1)
    x = pad(x, (0, gap, 0, gap), value=1.0)
    n, c, h, w = x.shape
    grid = x.reshape(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)
    return Image.fromarray(((grid + 1) * 127.5).round().byte().reshape(-1, columns * w, c).numpy())


class Autosave:
    """A callback that saves a checkpoint, less often where that takes long."""

    def __init__(self, save: Callable[[Trainer], None]) -> None:
        self.save, self.duration, self.last = save, 0.0, -math.inf

    def __call__(self, trainer: Trainer) -> None:
        start, ended = perf_counter(), trainer.step == trainer.config.steps
        long = self.duration > 0.5  # seconds; short ones are never left out
        if long and not ended and start - self.last < self.duration / SAVING_SHARE:
            return
        self.save(trainer)
        self.last = perf_counter()
        self.duration = self.last - start
