"""Explorers of lab 10, continuous-time consistency models (sCM): live training, tangents."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, sqrt
from typing import Any, cast

import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor, nn

from cmlab.data.toy import ToyData
from cmlab.methods import SCM
from cmlab.methods.scm import (
    JVP,
    CentralDifference,
    Clip,
    InverseTan,
    TimeDerivative,
    Unbounded,
    UnitNorm,
    UnitPrior,
    UnitRMS,
)
from cmlab.metrics.toy import truth
from cmlab.model import Angle, Denoiser, QuarterLog, TimeInput, TrigPrecond
from cmlab.nets.embedding import Embed, Fourier, Positional
from cmlab.ops import expand, seeded
from cmlab.presets import toy
from cmlab.presets.toy import RING
from cmlab.schedules import Constant, Warmup
from cmlab.teacher import OracleTeacher, SampleTeacher
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Bound, Data, Prior, Schedule, Teacher, Time

from ..common.explorer import Explorer, LiveTraining, Picture, choice, log_slider, slider
from ..common.observers import Arrays, TangentObserver
from ..common.study import ranged, read
from .analysis import along_exact_path, gaussian_consistency, gaussian_denoiser
from .figures import (
    NOTHING,
    TangentTerms,
    TrainingCurves,
    microscope,
    sample_lengths,
    secant,
    three_digits,
    training,
)
from .study import NONE, STEPS, STUDY, SCMVariant

# Live training of sCT by time features, bound and warm-up: its error and its tangent

EMBEDS: dict[str, Embed] = {
    "positional": Positional(32),
    "Fourier 0.3": Fourier(32, 0.3),
    "Fourier 16": Fourier(32, 16.0),
}
BOUNDS: dict[str, Bound] = {
    "norm": UnitNorm(0.1), "RMS": UnitRMS(0.1), "clip": Clip(), "none": Unbounded()
}  # fmt: skip
WARMUPS: dict[str, Schedule] = {
    "none": NONE, "250 steps": Warmup(STEPS // 16), "1000 steps": Warmup(STEPS // 4)
}  # fmt: skip
FRESH_SEED = 3  # the recordings have 0, 1 and 2
WATCH = TangentObserver(points=32)


@lru_cache(maxsize=8)
def recorded_tangents(variant: str) -> TrainingCurves | None:
    """The recorded runs of a variant of the study "stabilisers", averaged over their seeds.

    None where there is no recording.
    """
    try:
        found = read("stabilisers", variant)
    except BadFile:
        return None
    error = np.sqrt(np.square(found["error"]).mean(0))
    return TrainingCurves(found["steps"][0], found["levels"][0], error, found["tangent"].mean(0))


class SCTTraining(ipw.VBox):
    """A fresh run of sCT with these ingredients, while you watch. Nothing runs before Start.

    `knobs` has `embed`, `bound` and `warmup`; turning one stops the run and sets it back to
    step 0. `live` is the training itself.
    """

    def __init__(self) -> None:
        self.knobs: dict[str, Any] = {
            "embed": choice("time features", tuple(EMBEDS), "Fourier 16"),
            "bound": choice("bound", tuple(BOUNDS)),
            "warmup": choice("warm-up", tuple(WARMUPS), "250 steps"),
        }
        self.observations: list[Arrays] = []
        self.live = LiveTraining(self.fresh, self.look)
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-train-{name}")
            knob.observe(lambda change: self.live.reset(), names="value")
        row = ipw.Layout(flex_flow="row wrap", grid_gap="4px 16px")
        super().__init__([ipw.Box(list(self.knobs.values()), layout=row), self.live])

    @property
    def recipe(self) -> Recipe:
        """The recipe that the knobs choose."""
        embed, bound, warmup = (knob.value for knob in self.knobs.values())
        chosen = SCMVariant("chosen", BOUNDS[bound], WARMUPS[warmup], embed=EMBEDS[embed])
        return chosen(FRESH_SEED)

    def fresh(self) -> Trainer:
        """A trainer at step 0, without observations."""
        self.observations.clear()
        return self.recipe.trainer()

    def look(self, trainer: Trainer) -> Picture:
        """Add where the trainer stands to the course."""
        here = WATCH.observe(trainer, self.recipe)
        self.observations.append(here | {"steps": np.array(trainer.step)})
        run = self.course
        return Picture(
            training(run, recorded_tangents("sct"), trainer.config.steps), self.reading(run)
        )

    @property
    def course(self) -> TrainingCurves:
        """Training curves so far."""
        rows = [
            np.stack([one[name] for one in self.observations])
            for name in ("steps", "error", "tangent")
        ]
        return TrainingCurves(rows[0], truth(RING).levels.numpy(), rows[1], rows[2])

    def reading(self, run: TrainingCurves) -> str:
        """Three lines of text on the picture."""
        embed, bound, warmup = (knob.value for knob in self.knobs.values())
        says = [
            f"Step {run.steps[-1]}; time features {embed}, bound {bound}, warm-up {warmup}: "
            f"RMS error over all noise levels {run.total[-1]:.3g}.",
            f"Tangents before the bound: median {run.median[-1]:.3g}, longest "
            f"{run.longest[-1]:.3g}. At step 0 they were {run.median[0]:.3g} and "
            f"{run.longest[0]:.3g}.",
        ]
        return "\n".join(
            [*says, *recorded_run_sentence(recorded_tangents("sct"), int(run.steps[-1]))]
        )


def recorded_run_sentence(old: TrainingCurves | None, step: int) -> list[str]:
    """The recorded run at the same step."""
    if old is None:
        return []
    at = old.at(step)
    return [
        f"Recorded sCT (positional, norm, warm-up 250; 3 seeds) at step {old.steps[at]}: "
        f"error {old.total[at]:.3g}, longest tangent {old.longest[at]:.3g}."
    ]


# One path of Gaussian data: a function of it at two times, and the secant between them

LINE_STD, LINE_SIGMA = 0.25, 0.5  # of the data, and σ_d
FUNCTIONS = {
    "the denoiser D": gaussian_denoiser(LINE_STD, LINE_SIGMA),
    "the consistency function f*": gaussian_consistency(LINE_STD, LINE_SIGMA),
}


def secants() -> Explorer:
    """A function along one path. Knobs: `function`, the later time `t` and the `gap` t - r."""
    knobs = {
        "gap": log_slider("gap t − r (radians)", 0.6, 0.01, 1.0),
        "t": slider("later time t (radians)", 1.1, 1.02, 1.5, 0.02),
        "function": choice("function", tuple(FUNCTIONS)),
    }
    return Explorer(secant_picture, knobs, "secants()")


def secant_picture(gap: float, t: float, function: str) -> Picture:
    """The function between r and t on the path, and what becomes of its slope."""

    def at(times: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(np.asarray(times, float))
        return along_exact_path(FUNCTIONS[function], given, LINE_STD, LINE_SIGMA).numpy()

    def slope(gaps: np.ndarray) -> np.ndarray:
        return (at(np.full_like(gaps, t)) - at(t - gaps)) / gaps

    times, gaps = np.linspace(1e-3, np.pi / 2 - 1e-3, 161), np.logspace(-2, 0, 41)
    here, limit = float(slope(np.array([gap]))[0]) + 0.0, float(slope(np.array([1e-6]))[0]) + 0.0
    figure = secant(
        times, at(times), (t - gap, t), (here, limit), gaps, slope(gaps), function.split()[-1]
    )
    words = (
        f"From r = {t - gap:.2f} to t = {t:.2f} {function} changes by {here * gap:.3f}.\n"
        f"Divided by the gap, this is a slope of {here:.3f}; the slope of the curve at t is "
        f"{limit:.3f}.\n"
    )
    flat = "The value is the same everywhere on the path: this is consistency."
    return Picture(figure, words + (flat if abs(limit) < 1e-3 else "Make the gap smaller."))


# Inputs of the tangent microscope: a batch, three models, the two parts of g

PRECOND = TrigPrecond(RING.sigma_data)
TIMES, SAMPLES, SPECIMEN_STEPS = 20, 24, 50
TIME_INPUTS: dict[str, TimeInput] = {"angle t": Angle(), "ln(σ)/4": QuarterLog()}
TEACHERS: dict[str, Teacher] = {
    "one sample (sCT)": SampleTeacher(),
    "exact (sCD)": OracleTeacher(cast(ToyData, RING), PRECOND.process),
}
PRIORS: dict[str, Prior] = {"1/(σ_d tan t)": InverseTan(), "1": UnitPrior()}


@lru_cache(maxsize=128)
def tangent_parts(
    embed: str, time_input: str, weights: str, teacher: str, prior: str
) -> tuple[Tensor, Tensor]:
    """The two parts of g, (times, samples, 2) each: at r = 0 the first, what r = 1 adds."""
    (x, t, x_t), kind = batch(), WEIGHTS[weights]
    target, model = TEACHERS[teacher], kind.build(embed, time_input)
    dx_t = PRECOND.process.velocity(x_t, target(x, None)(x_t, t), t)
    method = SCM(target, derivative=kind.derivative, prior=PRIORS[prior])
    with torch.no_grad():
        first, whole = (
            replace(method, warmup=Constant(r)).tangent(model, x_t, t, dx_t, 0)[1]
            for r in (0.0, 1.0)
        )
    shape = (TIMES, SAMPLES, *RING.shape)
    return first.reshape(shape), (whole - first).reshape(shape)


@lru_cache(maxsize=1)
def batch() -> tuple[Data, Time, Data]:
    """Samples x, times t even in the angle, and x_t, in float64."""
    t = torch.linspace(0.03, 1.5, TIMES, dtype=torch.float64).repeat_interleave(SAMPLES)
    with seeded(torch.device("cpu"), 0):
        x = RING.sample(len(t))[0].double()
        z = torch.randn_like(x)
    return x, t, PRECOND.process.perturb(x, z, t)


def recipe(embed: str, time_input: str) -> Recipe:
    """toy.sct with these ingredients, from a seed that no recording has.

    Tangent and rate start at full size, the rate at twice the preset's: few steps must do.
    """
    found = SCMVariant("", warmup=NONE, embed=EMBEDS[embed], time_input=TIME_INPUTS[time_input])(
        FRESH_SEED
    )
    return replace(found, train=replace(found.train, batch=128, rate=Constant(2.0)))


def untrained(embed: str, time_input: str) -> Denoiser:
    """The network at initialisation."""
    return recipe(embed, time_input).build().double()


@lru_cache(maxsize=8)
def trained(embed: str, time_input: str) -> Denoiser:
    """After the first steps of sCT, the tangent normalised; about a second, once."""
    trainer = recipe(embed, time_input).trainer()
    steps = trainer.run()
    while trainer.step < SPECIMEN_STEPS:
        next(steps)
    return trainer.model.double()


def exact_model(embed: str, time_input: str) -> Denoiser:
    """f* of the ring, whatever the ingredients of a network would be."""
    return Denoiser(ExactNetwork(), PRECOND)


class ExactNetwork(nn.Module):
    """F of the ring's consistency function: (cos(t) x_t - f*(x_t, t)) / (σ_d sin t)."""

    def forward(self, u: Data, t: Time, cond: Tensor | None = None) -> Data:
        process, x_t = PRECOND.process, RING.sigma_data * u
        alpha, sigma = (expand(v, u) for v in process(t))
        end_points = RING.oracle.flow(x_t / alpha, process.level(t), torch.zeros_like(t))
        return (alpha * x_t - end_points) / sigma


@dataclass(frozen=True)
class ModelSource:
    """How a model of these features is made, and its time derivative taken."""

    build: Callable[[str, str], Denoiser]
    derivative: TimeDerivative = JVP()


WEIGHTS = {
    "as drawn": ModelSource(untrained),
    f"after {SPECIMEN_STEPS} steps of sCT": ModelSource(trained),
    "f* itself": ModelSource(exact_model, CentralDifference(1e-4)),
}


# The tangent microscope: one batch of samples, and what each stabiliser does to its tangents

SAMPLE, EXACT = TEACHERS
DRAWN, TRAINED, TRUE = WEIGHTS
PROMISES = {"norm": 1.0, "RMS": sqrt(2), "clip": sqrt(2), "none": inf}  # of ‖g‖, D being 2


def explorer() -> Explorer:
    """Knobs: `embed`, `time_input`, `weights`, `teacher`, `bound`, `prior`, `r` (warm-up)."""
    knobs = {
        "embed": choice("time features", tuple(EMBEDS)),
        "time_input": choice("time input", tuple(TIME_INPUTS)),
        "weights": choice("weights", tuple(WEIGHTS)),
        "teacher": choice("teacher", tuple(TEACHERS)),
        "bound": choice("bound", tuple(BOUNDS)),
        "prior": choice("prior weight", tuple(PRIORS)),
        "r": slider("warm-up κ", 1.0, 0.0, 1.0, 0.05),
    }
    return Explorer(picture, knobs)


def picture(
    embed: str, time_input: str, weights: str, teacher: str, bound: str, prior: str, r: float
) -> Picture:
    """The batch's tangents under these ingredients."""
    terms = tangents(embed, time_input, weights, teacher, bound, prior, r)
    lines = [
        longest_sentence(terms),
        *remarks(terms, weights, teacher),
        bound_sentence(terms, bound),
    ]
    if weights != TRUE:
        lines += recorded_outcome(embed, time_input, teacher, bound, prior)
    return Picture(microscope(terms, bound), "\n".join(lines))


def tangents(
    embed: str, time_input: str, weights: str, teacher: str, bound: str, prior: str, r: float
) -> TangentTerms:
    """g of every sample, in its two parts and bounded."""
    first, second = tangent_parts(embed, time_input, weights, teacher, prior)
    second = r * second
    bounded = BOUNDS[bound]((first + second).flatten(0, 1)).reshape(first.shape)
    t = batch()[1].reshape(TIMES, SAMPLES)[:, 0]
    arrays = (v.numpy() for v in (first, second, bounded))
    return TangentTerms(t.numpy(), *arrays, promise=PROMISES[bound])


def longest_sentence(terms: TangentTerms) -> str:
    """The longest tangent, its time and its two brackets."""
    t = float(terms.t[terms.longest[0]])
    level = PRECOND.process.sigma_data * np.tan(t)
    lengths = [sample_lengths(v) for v in (terms.g, terms.first, terms.second)]
    g, first, second = (three_digits(v[terms.longest]) for v in lengths)
    middle = [three_digits(float(np.median(v))) for v in lengths]
    return (
        f"Longest tangent ‖g‖ = {g} at t = {t:.2f} (noise level {level:.2g}): "
        f"first bracket {first}, second {second}. "
        f"Medians: ‖g‖ {middle[0]}, brackets {middle[1]} and {middle[2]}."
    )


def remarks(terms: TangentTerms, weights: str, teacher: str) -> list[str]:
    """Remarks on what could be mistaken for an error."""
    if weights != TRUE:
        return []
    says = "f* has no time features and no time input: the first two controls do nothing here."
    if sample_lengths(terms.g).max() < NOTHING:
        return [f"{says} Along the exact path f* does not change, so g is only rounding error."]
    if teacher == SAMPLE and terms.second.any():
        return [f"{says} One sample lacks the exact velocity: with κ = 1 all of g is scatter."]
    return [f"{says} The two brackets cancel only with κ = 1 and the exact teacher."]


def bound_sentence(terms: TangentTerms, bound: str) -> str:
    """Sentence on lengths before and after the bound, and the loss by time."""
    g, after, loss = sample_lengths(terms.g), sample_lengths(terms.bounded), terms.loss
    lengths_text = (
        f"Bound {bound}: longest {three_digits(g.max())} → {three_digits(after.max())}, "
        f"median {three_digits(float(np.median(g)))} → {three_digits(float(np.median(after)))}."
        if np.isfinite(terms.promise)
        else "No bound: the tangents enter the gradient unchanged."
    )
    low, high = three_digits(loss.min()), three_digits(loss.max())
    return f"{lengths_text} E‖g‖²/dim by time: {low} to {high}; multiplied by e^(w*) it is 1."


def recorded_outcome(
    embed: str, time_input: str, teacher: str, bound: str, prior: str
) -> list[str]:
    """Result of training with these ingredients, where it was recorded."""
    preset = toy.scd if teacher == EXACT else toy.sct
    wanted = (
        EMBEDS[embed],
        TIME_INPUTS[time_input],
        BOUNDS[bound],
        PRIORS[prior],
        preset,
        JVP(),
        True,
    )
    for name, variant in STUDY.variants.items():
        if isinstance(variant, SCMVariant) and ingredients(variant) == wanted:
            return recorded_sentence(name, variant.title)
    return []


def ingredients(variant: SCMVariant) -> tuple[object, ...]:
    """The ingredients that the knobs choose, without the warm-up."""
    return (
        variant.embed,
        variant.time_input,
        variant.bound,
        variant.prior,
        variant.preset,
        variant.derivative,
        variant.learned,
    )


def recorded_sentence(name: str, title: str) -> list[str]:
    try:
        found = read("stabilisers", name)
    except BadFile:
        return []
    longest = found["tangent"][:, -1, :, 2].max(1)
    form = ".3g" if longest.max() < 1000 else ",.0f"
    return [
        f"Recorded after {found['steps'][0, -1]} steps ({title}; {len(longest)} seeds): RMS "
        f"error {ranged(found.score('rmse'), '.3g')}, longest tangent {ranged(longest, form)}."
    ]
