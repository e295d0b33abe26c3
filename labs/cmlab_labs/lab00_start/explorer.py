"""Explorers of lab 00: live training on eight Gaussians, and a one-step generator of digits."""

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from cmlab.data.digits import Digits
from cmlab.data.toy import ToyData
from cmlab.metrics.toy import ExactConsistency, answers, rmse_by_level, truth
from cmlab.model import Denoiser, Model
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import seeded
from cmlab.process import VarianceExploding
from cmlab.sampling import FewSteps, ode
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

from ..common.exercise import RecordedCalls
from ..common.explorer import Explorer, LiveTraining, Picture, choice, log_slider, slider
from ..common.generators import (
    digit_oracle,
    exact_denoiser,
    held_out_distance,
    nearest_scan,
    noise,
)
from ..common.plots_samples import contrast_scaled
from .figures import Stage, generator_at_work, noisy_scan, training_progress

LOW, HIGH = 0.002, 10.0
PATHS, ALONG = 28, 10


@dataclass(frozen=True, eq=False)
class ExactReference:
    """Exact results to compare a network with: paths (m, p, 2) at levels (m,), and exact f."""

    data: ToyData
    levels: Tensor
    path: Tensor
    exact: ExactConsistency
    mean_error: Tensor

    def stage(self, model: Model, step: int) -> Stage:
        """The network's answers and errors at this step."""
        flat = self.levels.repeat_interleave(self.path.shape[1])
        along = answers(model, model.process, self.path.flatten(0, 1), flat)
        error = rmse_by_level(model, model.process, self.exact)
        return Stage(step, along.reshape(self.path.shape), error)

    def picture(self, start: Stage, *planes: Stage) -> Picture:
        """Stages side by side, the errors of the first and the last one, and a description."""
        modes, ends = self.data.oracle.components.means, self.path[-1]
        figure = training_progress(start, planes, ends, self.exact.levels, self.mean_error, modes)
        return Picture(figure, stage_reading(planes[-1], ends))


def exact_reference(data: ToyData) -> ExactReference:
    """Exact ODE paths from noise, and the exact f at 12 noise levels."""
    levels = KarrasGrid(LOW, HIGH).up(ALONG).flip(0)
    z = torch.randn(PATHS, *data.shape, generator=torch.Generator().manual_seed(3))
    path = data.oracle.path((HIGH * z).double(), levels)
    exact = truth(data, LOW, HIGH, levels=12, points=96)
    return ExactReference(
        data, levels, path, exact, rmse_by_level(data.oracle.denoise, VarianceExploding(), exact)
    )


def live_training(recipe: Recipe) -> LiveTraining:
    """Live training of a recipe whose data have an oracle, from step 0, with the recipe's seed."""
    against = exact_reference(cast(ToyData, recipe.data))
    start = against.stage(recipe.build(), 0)

    def draw(trainer: Trainer) -> Picture:
        return against.picture(start, against.stage(trainer.ema.model, trainer.step))

    return LiveTraining(recipe.trainer, draw)


def stage_reading(stage: Stage, ends: Tensor) -> str:
    """The reading of the last stage, in three lines."""
    off = float((stage.along[0] - ends).square().sum(1).mean().sqrt())
    length = float((stage.along[1:] - stage.along[:-1]).norm(dim=2).sum(0).mean())
    total = float(stage.error.square().mean().sqrt())
    return (
        f"Step {stage.step}: one call from pure noise lands {off:.2f} from the exact end (RMS).\n"
        f"Along a path its answers move by {length:.2f} in all; consistent ones would not move.\n"
        f"Error to the exact f over all noise levels: {total:.3f} (the ring has radius 1)."
    )


GRID = KarrasGrid().down(18)  # 35 network calls with Heun's method
SHOWN = (0, 4, 7, 9, 10, 11, 12, 14)  # of its levels, those drawn

LATE = 5  # of those drawn: there the path has all but decided


def explorer(model: Denoiser, sampler: FewSteps) -> Explorer:
    """An explorer of a one-step generator. Knobs: `seed`, `digit` and `calls`."""
    knobs = {
        "seed": slider("noise: seed", 0, 0, 99),
        "digit": slider("digit to ask for", 3, 0, 9),
        "calls": choice("network calls", (1, 2, 4)),
    }
    return Explorer(
        partial(digit_picture, model, sampler), knobs, "explorer(model, recipe.sampler)"
    )


@torch.no_grad()
def digit_picture(
    model: Denoiser, sampler: FewSteps, seed: int, digit: int, calls: int
) -> Picture:
    """The generator's image from this noise, and its answers along the exact path."""
    z, asked, spread = noise(seed), torch.tensor([digit]), Digits().sigma_data
    f = RecordedCalls(lambda x_t, t: model(x_t, t, asked.expand(len(x_t))))
    with seeded(z.device, seed):  # fresh noise between two calls
        sampler(model.process, f, z, calls)
    x_in, times, x_out = (torch.cat(part) for part in zip(*f.calls, strict=True))
    levels = GRID[list(SHOWN)].to(z)
    down = GRID[: SHOWN[-1] + 1]
    path = torch.cat(
        list(ode(VarianceExploding(), exact_denoiser(asked), GRID[0].to(z) * z, down))
    )[list(SHOWN)]
    mean, answer = exact_denoiser(asked.expand(len(path)))(path, levels), f.denoise(path, levels)
    scan = nearest_scan(x_out[-1:])[0]
    along = torch.stack([contrast_scaled(path, levels, spread), mean, answer])
    figure = generator_at_work((contrast_scaled(x_in, times, spread), x_out), scan, along, levels)
    way = [float((row[0] - row[LATE]).norm()) for row in (mean, answer)]
    return Picture(
        figure, digit_reading(seed, digit, times, float((x_out[-1] - scan).norm()), *way)
    )


def digit_reading(
    seed: int, digit: int, times: Tensor, away: float, way_mean: float, way_answer: float
) -> str:
    """The reading of the picture, in three lines."""
    at = ", ".join(f"{t:.3g}" for t in times.tolist())
    limit = held_out_distance(0.02)
    copy = f"below {limit:.1f}: a copy" if away < limit else f"a copy is below {limit:.1f}"
    return "\n".join(
        (
            f"seed={seed}, digit {digit}: {len(times)} network call{'s' * (len(times) > 1)}, "
            f"at noise level{'s' * (len(times) > 1)} {at}.",
            f"The nearest of {len(Digits())} training scans is {away:.1f} away ({copy}); "
            f"for real unseen digits this distance is {held_out_distance():.1f} (median).",
            f"From t = {GRID[0]:.0f} to t = {GRID[SHOWN[LATE]]:.1g} the mean D moves by "
            f"{way_mean:.1f}, the network's answer by {way_answer:.1f}.",
        )
    )


def noise_slider() -> Explorer:
    """A training scan with more or less noise on it. Knobs: `level`, `digit` and `seed`."""
    knobs = {
        "level": log_slider("noise level t", 0.3, 0.01, GRID[0].item()),
        "digit": slider("digit", 3, 0, 9),
        "seed": slider("noise: seed", 0, 0, 99),
    }
    return Explorer(scan_under_noise, knobs, "noise_slider()")


def scan_under_noise(level: float, digit: int, seed: int) -> Picture:
    """The first scan of this digit, under noise of this level."""
    x, z = digit_oracle(digit).points[:1], noise(seed)
    t, spread = torch.tensor([level]), Digits().sigma_data
    x_t = contrast_scaled(x + level * z, t, spread)
    words = (
        f"Each pixel of x_t is that of the scan x plus {level:.2g} times that of the noise z.\n"
        f"The noise is {level / spread:.2g} times as strong as the scan.\n"
        "The picture of x_t is drawn with the contrast of a scan, whatever the noise level."
    )
    return Picture(noisy_scan(x, z, x_t, level, digit), words)
