"""Explorers of lab 08: training with outliers, recorded and live; robust location estimates."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor

from cmlab.data.toy import Contaminated
from cmlab.losses import L1, GemanMcClure, SquaredL2
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Cauchy
from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.process import VarianceExploding
from cmlab.train.trainer import Trainer
from cmlab.types import Metric

from ..common.explorer import Explorer, LiveTraining, Picture, choice, log_slider, slider
from ..common.study import Recording, ranged, read
from .analysis import LocationEstimates, location_estimates, loss_and_weight
from .figures import FAR, ErrorRange, OutlierCloud, location_error, location_figure, run_figure
from .study import CLEAN, SHARES, contaminated

# Training on a ring with outliers, evaluated on the clean ring: recorded and live

NAMES = {
    "squared L2": "l2", "L1": "l1", "pseudo-Huber": "huber", "Cauchy": "cauchy",
    "Geman–McClure": "geman",
}  # fmt: skip
SHOWN = {f"{100 * share:.0f} %": share for share in SHARES}


@lru_cache(maxsize=32)
def recording(loss: str, share: float) -> Recording:
    """The recorded run of a loss, by its full name, at a share of outliers."""
    return read("outliers", f"{NAMES[loss]}-{share:g}")


@lru_cache(maxsize=8)
def contaminated_error(share: float, levels: int = 32, points: int = 192) -> Tensor:
    """RMS distance (levels,) of the contaminated f* from the clean one.

    A network that learned the contaminated data perfectly would have this error.
    """
    exact = truth(CLEAN, levels=levels, points=points)
    oracle = Contaminated(CLEAN, share).oracle
    return rmse_by_level(
        lambda x, t: oracle.consistency(x.double(), t.double()), VarianceExploding(), exact
    )


@lru_cache(maxsize=1)
def clean_points() -> Tensor:
    return CLEAN.sample(1500, torch.Generator().manual_seed(5))[0]


def error_range(seen: Recording) -> ErrorRange:
    """Mean and range over the seeds of the averaged weights' error."""
    rows = seen["average_error"]
    return ErrorRange(seen["levels"][0], rows.min(0), rows.mean(0), rows.max(0))


def error_history(seen: Recording) -> tuple[np.ndarray, np.ndarray]:
    """The steps, and the error over all levels while training (seeds, observations)."""
    return seen["steps"][0], np.sqrt(np.square(seen["error"]).mean(2))


def replay() -> Explorer:
    """Knobs: `loss`, `share` of outliers in training, and `seed` of the samples shown."""
    knobs = {
        "loss": choice("loss", tuple(NAMES), "pseudo-Huber"),
        "share": choice("outliers", tuple(SHOWN), "5 %"),
        "seed": choice("seed of the samples", (0, 1, 2)),
    }
    return Explorer(recorded, knobs)


def recorded(loss: str, share: str, seed: int) -> Picture:
    """A recorded run beside the four other losses on the same data."""
    runs = {name: recording(name, SHOWN[share]) for name in NAMES}
    points, floor = runs[loss]["cloud"][seed], contaminated_error(SHOWN[share]).numpy()
    lines = {name: error_range(seen) for name, seen in runs.items()}
    figure = run_figure(loss, share, points, clean_points(), lines, floor,
                 {name: error_history(seen) for name, seen in runs.items()})  # fmt: skip
    return Picture(figure, runs_reading(runs, loss, share, points, floor))


def runs_reading(
    runs: Mapping[str, Recording], loss: str, share: str, points: np.ndarray, floor: np.ndarray
) -> str:
    """The reading of the picture, in three lines."""
    rmse, near = runs[loss].score("rmse"), runs[loss].score("hq")
    best = min(runs, key=lambda name: runs[name].score("rmse").mean())
    far = (np.linalg.norm(points, axis=1) > FAR).mean()
    whole = np.sqrt(np.square(floor).mean())
    return (
        f"{loss}, {share} outliers: RMS distance from the clean f* {ranged(rmse)}; "
        f"{ranged(100 * near, '.0f')} % of the samples lie at a mode.\n"
        f"{100 * far:.1f} % of these samples lie more than {FAR:g} from the centre (crosses).\n"
        f"The smallest mean error with {share} outliers: {best}. "
        f"The contaminated f* is {whole:.2f} from the clean one."
    )


class RobustTraining(ipw.VBox):
    """Live training with outliers, seed 0: choose the loss and the share, then press Start.

    `live` is the training itself. Another choice puts it back to step 0.
    """

    def __init__(self) -> None:
        self.knobs: dict[str, Any] = {
            "loss": choice("loss", tuple(NAMES), "pseudo-Huber"),
            "share": choice("outliers", tuple(SHOWN), "15 %"),
        }
        self.live = LiveTraining(self.trainer, self.draw)
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-train-{name}")
            knob.observe(lambda change: self.live.reset(), names="value")
        super().__init__([ipw.VBox(list(self.knobs.values())), self.live])

    def trainer(self) -> Trainer:
        """A fresh trainer, with an empty history."""
        self.steps: list[int] = []
        self.seen: list[float] = []
        loss, share = self.chosen
        return contaminated(NAMES[loss], SHOWN[share], 0).trainer()

    @property
    def chosen(self) -> tuple[str, str]:
        """The loss and the share that the buttons stand on."""
        return self.knobs["loss"].value, self.knobs["share"].value

    @torch.no_grad()
    def draw(self, trainer: Trainer) -> Picture:
        """Samples, errors by level, and the error so far."""
        model, (loss, share) = trainer.ema.model, self.chosen
        z = torch.randn(512, *CLEAN.shape, generator=torch.Generator().manual_seed(0))
        points = model(10 * z, torch.full((512,), 10.0)).numpy()
        exact = truth(CLEAN, levels=12, points=96)
        error = rmse_by_level(model, model.process, exact).numpy()
        self.steps.append(trainer.step)
        self.seen.append(float(np.sqrt(np.square(error).mean())))
        lines = {loss: ErrorRange(exact.levels.numpy(), error, error, error)}
        floor = contaminated_error(SHOWN[share], 12, 96).numpy()
        figure = run_figure(loss, share, points, clean_points(), lines, floor,
                     {loss: (np.array(self.steps), np.array([self.seen]))})  # fmt: skip
        far = (np.linalg.norm(points, axis=1) > FAR).mean()
        return Picture(
            figure,
            f"Step {trainer.step}: {self.seen[-1]:.3f} from the clean f* (RMS over 12 levels).\n"
            f"{100 * far:.1f} % of 512 samples lie more than {FAR:g} from the centre (crosses).\n"
            f"The contaminated f* is {np.sqrt(np.square(floor).mean()):.2f} from it.",
        )


# Location estimates of a point cloud, one of whose outliers is moved

REACH, SPREAD = 6.0, 0.5  # of the plane shown, and of the clean points
OUTLIER_CENTRE = (
    3.0,
    2.0,
)  # where the strays lie: one that pulls to all sides alike moves no mean
STARTS = 12


def losses(c: float) -> dict[str, Metric]:
    """The five losses by name, three of them with this c."""
    return {
        "squared L2": SquaredL2(),
        "L1": L1(),
        "pseudo-Huber": PseudoHuber(c),
        "Cauchy": Cauchy(c),
        "Geman–McClure": GemanMcClure(c),
    }


@lru_cache(maxsize=2)
def draws(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Standard normal draws for clean points and outliers; n points are the first n of these."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.randn(100, 2, generator=g, dtype=torch.float64)
    return clean, torch.randn(100, 2, generator=g, dtype=torch.float64)


def explorer() -> Explorer:
    """Knobs: `x`, `y` of your outlier, `c`, `share` of strays in per cent, and `points`."""
    knobs = {
        "x": slider("your outlier: x₁ (data units)", 4.5, -6.0, 6.0, 0.25),
        "y": slider("your outlier: x₂ (data units)", -3.0, -6.0, 6.0, 0.25),
        "c": log_slider("c (data units)", 0.5, 0.05, 5.0),
        "share": slider("other outliers (% of the points)", 10, 0, 30, 2),
        "points": slider("points of the cloud", 20, 10, 80, 5),
    }
    return Explorer(picture, knobs)


def picture(x: float, y: float, c: float, share: int, points: int) -> Picture:
    """The cloud, its outliers, yours among them, and each loss's location estimate."""
    (clean, far), count = draws(), round(share / 100 * points)
    clean, strays = SPREAD * clean[: points - count], far[:count] + torch.tensor(OUTLIER_CENTRE)
    moved = torch.tensor([x, y], dtype=torch.float64)
    everything = torch.cat([moved[None], strays, clean])
    found = {name: location_minima(metric, everything) for name, metric in losses(c).items()}
    scene = OutlierCloud(clean, strays, moved, {name: f.places for name, f in found.items()})
    return Picture(location_figure(scene, REACH, close=1.25), reading(scene, everything, c))


def location_minima(metric: Metric, points: Tensor) -> LocationEstimates:
    """Minima from the mean and, where there can be several, from a dozen of the points."""
    several = isinstance(metric, Cauchy | GemanMcClure)
    some = points[:: max(1, len(points) // STARTS)]
    return location_estimates(metric, points, some if several else None, tolerance=1e-5)


def reading(scene: OutlierCloud, points: Tensor, c: float) -> str:
    """The reading of the picture, in three lines."""
    off = {name: location_error(scene, name) for name in scene.minima}
    order = sorted(off, key=lambda name: off[name])
    shown = [f"{name} {100 * share:.1f} %" for name, share in weights(scene, points, c).items()]
    wells = ", ".join(f"{name} {len(scene.minima[name])}" for name in ("Cauchy", "Geman–McClure"))
    return (
        f"The centre of {order[0]} is nearest to the clean mean (+), {off[order[0]]:.2f} away; "
        f"the centre of {order[-1]} is {off[order[-1]]:.2f} away.\n"
        f"Share of your outlier in the total weight, at each centre: {', '.join(shown)}.\n"
        f"Local minima found: {wells}; small hollow markers show those that are not the lowest. "
        "The other three losses are convex and have one."
    )


def weights(scene: OutlierCloud, points: Tensor, c: float) -> dict[str, float]:
    """The share of the IRLS weights of the moved point, the first of `points`."""
    found = {}
    for name, metric in losses(c).items():
        if not isinstance(metric, L1):  # it has no one weight: it weighs each coordinate
            w = loss_and_weight(metric, points - scene.minima[name][0])[1]
            found[name] = float(w[0] / w.sum())
    return found
