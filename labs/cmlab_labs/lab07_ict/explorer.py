"""Explorer of lab 07: N(k), distribution of the levels, loss weight, and the effective weight."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import ipywidgets as ipw
import numpy as np
import torch

from cmlab.losses import SquaredL2, Uniform
from cmlab.methods.ct import SqrtGrowth
from cmlab.methods.ict import Doubling, InverseGap
from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.model import Denoiser
from cmlab.noise_levels import AdjacentLevels, LogNormal, UniformIndex
from cmlab.presets.toy import GRID, RING, SIGMA_MAX, SIGMA_MIN
from cmlab.schedules import Constant
from cmlab.train.config import TrainConfig
from cmlab.train.trainer import Trainer
from cmlab.types import Schedule

from ..common.explorer import Explorer, LiveTraining, Picture, choice, slider
from ..common.studies_shared import CT_2023, LADDER_STEPS, CTVariant
from ..common.study import Recording, read
from .figures import EffectiveWeight, RingRun, effective_weight, schedules_at_step, two_rings

KINDS = ("doubling", "square root", "constant")
PROPOSALS = ("log-normal", "uniform")
WEIGHTS = {"1/(t − r)": InverseGap(), "1": Uniform()}


def explorer() -> Explorer:
    """Knobs: `kind`, `s0`, `s1` of N(k); `proposal`, `mean`, `std`; `weight`; `step` k."""
    knobs = {
        "kind": choice("N(k)", KINDS),
        "proposal": choice("distribution of the levels", PROPOSALS),
        "weight": choice("weight λ", tuple(WEIGHTS)),
        "s0": slider("s₀ (intervals at the start)", 10, 2, 40),
        "s1": choice("s₁ (intervals at the end)", (40, 160, 640, 1280, 2560), 1280),
        "step": slider("step k", LADDER_STEPS // 2, 0, LADDER_STEPS, LADDER_STEPS // 40),
        "mean": slider("P_mean of ln t", -1.1, -5.0, 2.0, 0.1),
        "std": slider("P_std of ln t", 2.0, 0.4, 3.0, 0.1),
    }
    return Explorer(picture, knobs)


def picture(
    kind: str, proposal: str, weight: str, s0: int, s1: int, step: int, mean: float, std: float
) -> Picture:
    """The schedules at one step, beside the effective weight of CT of 2023 at that step."""
    points = grid_schedule(kind, s0, s1)
    looks = LogNormal(mean, std, SIGMA_MIN, SIGMA_MAX)
    pairs = AdjacentLevels(points, UniformIndex(GRID) if proposal == PROPOSALS[1] else looks, GRID)
    seen = effective_weight(pairs, WEIGHTS[weight], step)
    figure = schedules_at_step(points, LADDER_STEPS, step, seen, {"CT": ct_weight(step)})
    return Picture(figure, reading(seen))


def grid_schedule(kind: str, s0: int, s1: int) -> Schedule:
    """N(k) of this kind over the toy runs' length; the constant is s₁ + 1 points."""
    made = Doubling(s0, s1, LADDER_STEPS), SqrtGrowth(s0, s1, LADDER_STEPS), Constant(s1 + 1)
    return made[KINDS.index(kind)]


@lru_cache(maxsize=64)
def ct_weight(step: int) -> EffectiveWeight:
    """The effective weight of CT of 2023 at a step."""
    return effective_weight(
        AdjacentLevels(CT_2023.points, CT_2023.proposal, GRID), CT_2023.weight, step
    )


def reading(seen: EffectiveWeight) -> str:
    """The reading of the picture, in three lines."""
    often, hard = (seen.quantile(part, 0.5) for part in (seen.mass, seen.share))
    low, high = (seen.quantile(seen.share, q) for q in (0.25, 0.75))
    at = min(int((seen.levels[1:] <= hard).sum()), len(seen.mass) - 1)
    gap, weight = float(seen.levels.diff()[at]), float(seen.weight[at])
    return (
        f"Half of the pairs lie below t = {often:.2g}; half of the effective weight lies below "
        f"t = {hard:.2g}.\n"
        f"The middle half of the effective weight lies between t = {low:.2g} and {high:.2g}. "
        "The thin line is plain CT at the same step.\n"
        f"The grid has {len(seen.levels)} levels. Near t = {hard:.2g} the gap between neighbours "
        f"is {gap:.2g} and the weight {weight:.3g}."
    )


# Two rings, trained side by side: iCT with some of its ingredients changed, and iCT as it is

ICT = CTVariant("iCT")
CHANGES: dict[str, dict[str, dict[str, Any]]] = {  # by control and option, what it sets
    "target": {
        "the student itself": {},
        "average, μ = 0.99": {"decay": Constant(0.99)},
        "average, μ = 0.999": {"decay": Constant(0.999)},
    },
    "weight": {"1/(t − r)": {}, "1": {"weight": Uniform()}},
    "distance": {"pseudo-Huber": {}, "squared L2": {"metric": SquaredL2()}},
    "points": {
        "doubling, 11 to 1281": {},
        "11 throughout": {"points": Constant(11)},
        "1281 throughout": {"points": Constant(1281)},
    },
    "features": {"Fourier scale 0.3": {}, "Fourier scale 16": {"scale": 16.0}},
}
LABELS = {
    "target": "target", "weight": "weight λ", "distance": "distance", "points": "grid points N",
    "features": "time features",
}  # fmt: skip
FRESH_SEED = 3  # the recordings have 0, 1 and 2


class TwoTrainers:
    """Two runs that take turns, one step each."""

    def __init__(self, changed: Trainer, plain: Trainer) -> None:
        self.changed, self.plain = changed, plain

    @property
    def config(self) -> TrainConfig:
        return self.plain.config

    @property
    def step(self) -> int:
        return self.plain.step

    def run(self) -> Iterator["TwoTrainers"]:
        for _ in zip(self.changed.run(), self.plain.run(), strict=True):
            yield self


class SideBySide(ipw.VBox):
    """Live training of two rings with the same seed. Nothing runs before Start.

    `knobs` has a control for each ingredient; changing one stops both runs and sets them back to
    step 0. `live` is the training itself.
    """

    def __init__(self, **start: str) -> None:
        self.knobs: dict[str, Any] = {
            name: choice(LABELS[name], tuple(options), start.get(name))
            for name, options in CHANGES.items()
        }
        self.course: list[tuple[float, ...]] = []
        self.live = LiveTraining(cast(Any, self.fresh), cast(Any, self.look))
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-race-{name}")
            knob.observe(lambda change: self.live.reset(), names="value")
        super().__init__([ipw.VBox(list(self.knobs.values())), self.live])

    @property
    def changes(self) -> dict[str, str]:
        """The ingredients that are not iCT's, by control."""
        values = {name: knob.value for name, knob in self.knobs.items()}
        return {name: value for name, value in values.items() if CHANGES[name][value]}

    def fresh(self) -> TwoTrainers:
        """Both trainers at step 0, with an empty course."""
        self.course.clear()
        fields: dict[str, Any] = {}
        for name, value in self.changes.items():
            fields |= CHANGES[name][value]
        changed = replace(ICT, **fields)
        return TwoTrainers(changed(FRESH_SEED).trainer(), ICT(FRESH_SEED).trainer())

    def look(self, pair: TwoTrainers) -> Picture:
        """Samples and errors of both runs at this step, over the recorded iCT."""
        errors = [ring_error(trainer.model) for trainer in (pair.changed, pair.plain)]
        self.course.append((pair.step, *errors))
        steps, left, right = np.array(self.course).T
        words = ", ".join(f"{LABELS[name]}: {value}" for name, value in self.changes.items())
        runs = (
            RingRun(words or "iCT", ring_samples(pair.changed.ema.model), left),
            RingRun("iCT", ring_samples(pair.plain.ema.model), right),
        )
        ghost = recorded_ict()
        past = np.sqrt(np.square(ghost["error"]).mean(2))
        figure = two_rings(runs, steps, ghost["cloud"][0], ghost["steps"][0], past)
        at = int(np.abs(ghost["steps"][0] - pair.step).argmin())
        return Picture(
            figure,
            f"Step {pair.step}. Left, with {words or 'nothing changed'}: error {left[-1]:.3f}. "
            f"Right, iCT unchanged: error {right[-1]:.3f}.\n"
            f"The recorded runs of iCT had an error of {past[:, at].mean():.3f} at this step; "
            "their samples at the end are drawn in grey.",
        )


@lru_cache(maxsize=1)
def recorded_ict() -> Recording:
    """The recorded runs of iCT on the ring."""
    return read("ladder", "ict")


def ring_error(model: Denoiser) -> float:
    """The RMS error to f* over all noise levels."""
    error = rmse_by_level(model.eval(), model.process, truth(RING, points=64))
    model.train()
    return float(error.square().mean().sqrt())


@torch.no_grad()
def ring_samples(model: Denoiser) -> np.ndarray:
    """One-call samples from noise that is always the same."""
    z = torch.randn(512, *RING.shape, generator=torch.Generator().manual_seed(0))
    return model(SIGMA_MAX * z, torch.full((512,), SIGMA_MAX)).numpy()
