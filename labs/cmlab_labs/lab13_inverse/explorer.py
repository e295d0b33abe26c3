"""Explorers of lab 13: measurements of point estimates, in the plane and on digits; editing."""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from cmlab.data.digits import Digits
from cmlab.data.toy import TwoRings
from cmlab.methods.editing import Edit, edit, inpainting, stroke, super_resolution
from cmlab.methods.posterior_sampling import Absolute, Blur, Classifier, DownSample, Mask, Operator
from cmlab.metrics.feature_extractors import load_classifier
from cmlab.model import Denoiser
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import seeded
from cmlab.types import Data, Time

from ..common.explorer import Explorer, Picture, choice, log_slider, slider
from ..common.generators import digit_oracle, exact_denoiser
from ..common.plots_posterior import operator_answers, posterior
from ..common.plots_samples import contrast_scaled
from .analysis import parity_logits
from .figures import ROLES, edited_digits, measured_digits

# Measurement explorer in the plane: A at each point estimate and at posterior samples

ORACLE, DRAWN = TwoRings().oracle, 600
odd = parity_logits(ORACLE)

# By name: one number for each x, the name of its axis, and the span shown.
MEASURED: dict[str, tuple[Callable[[Tensor], Tensor], str, tuple[float, float]]] = {
    "mask": (lambda x: x[:, 0], "$A(x) = x_1$ (data units)", (-1.2, 1.2)),
    "down-sample": (lambda x: x.mean(1), "$A(x) = (x_1 + x_2)/2$ (data units)", (-1.2, 1.2)),
    "blur": (
        lambda x: 0.75 * x[:, 0] + 0.25 * x[:, 1], "$A(x) = (3 x_1 + x_2)/4$ (data units)",
        (-1.2, 1.2),
    ),
    "|x|": (lambda x: x[:, 0].abs(), "$A(x) = |x_1|$ (data units)", (-0.05, 1.25)),
    "radius": (lambda x: x.norm(dim=1), r"$A(x) = \|x\|$ (data units)", (-0.05, 1.25)),
    "class": (
        lambda x: odd(x).softmax(1)[:, 1], "$A(x)$ = a classifier's probability of 'odd'",
        (-0.05, 1.05),
    ),
}  # fmt: skip
LINEAR = ("mask", "down-sample", "blur")


@lru_cache(maxsize=64)
def scene(level: float, seed: int) -> tuple[Tensor, Tensor, Tensor, dict[str, Data]]:
    """x, x_t, posterior samples, and the two points, for one noise of this seed."""
    g = torch.Generator().manual_seed(seed)
    x = ORACLE.sample(1, g).double()
    x_t = x + level * torch.randn(1, 2, generator=g, dtype=torch.float64)
    t = torch.tensor([level], dtype=torch.float64)
    drawn = posterior(ORACLE, x_t, t).sample(DRAWN, g)[0]
    points = {
        "posterior mean": ORACLE.denoise(x_t, t)[0],
        "endpoint": ORACLE.consistency(x_t, t)[0],
    }
    return x[0], x_t[0], drawn, points


def explorer() -> Explorer:
    """An explorer of what A(.) is shown. Knobs: `operator`, `level` (σ) and `seed`."""
    knobs = {
        "operator": choice("A", list(MEASURED), "radius"),
        "level": log_slider("noise level σ", 0.6, 0.05, 10.0),
        "seed": slider("noise: seed", 4, 0, 99),
    }
    return Explorer(picture, knobs)


def picture(operator: str, level: float, seed: int) -> Picture:
    """One x_t, its exact posterior, and three answers."""
    measure, name, span = MEASURED[operator]
    x, x_t, drawn, points = scene(level, seed)
    answers = measure(drawn)
    found = {point: float(measure(at[None])) for point, at in points.items()}
    figure = operator_answers(
        ORACLE.components.means, drawn, x_t, points, answers, found, name, span
    )
    return Picture(figure, reading(operator, level, x, answers, found, points))


def reading(
    operator: str, level: float, x: Tensor, answers: Tensor, found: dict[str, float],
    points: dict[str, Data],
) -> str:  # fmt: skip
    """The numbers, in three lines."""
    mean, spread = float(answers.mean()), float(answers.std())
    at_mean, at_end = (density(at[None]) for at in points.values())
    truth = float(MEASURED[operator][0](x[None]))
    kind = "linear: A(mean) is E[A(x) | x_t]" if operator in LINEAR else "not linear"
    answers_text = ", ".join(f"A({name}) = {value:.3f}" for name, value in found.items())
    return (
        f"σ = {level:.2g}. A is {operator}, {kind}. For the true x, A(x) = {truth:.3f}.\n"
        f"E[A(x) | x_t] = {mean:.3f}, standard deviation {spread:.3f} ({DRAWN} exact samples).\n"
        f"{answers_text}.\n"
        f"ln p(x) is {at_mean:.1f} at the mean and {at_end:.1f} at the endpoint; for real data "
        f"it is {typical_density():.1f} on average."
    )


def density(x: Tensor) -> float:
    """ln p(x) of the data, averaged over x (n, 2)."""
    return float(ORACLE.log_density(x, torch.zeros(len(x), dtype=x.dtype)).mean())


@lru_cache(maxsize=1)
def typical_density() -> float:
    """The mean of ln p(x) over 4000 data points."""
    return density(ORACLE.sample(4000, torch.Generator().manual_seed(0)).double())


# Measurement explorer for digits: A at the mean, the network's answer and a sample; and edits

SIDE, MANY = 8, 6


def half() -> Tensor:
    """1 on the upper half of a digit."""
    return (torch.arange(SIDE)[None, :, None] < SIDE // 2).float().expand(1, SIDE, SIDE)


def hole() -> Tensor:
    """1 on the middle 4 × 4 pixels."""
    inside = (torch.arange(SIDE) - 3.5).abs() < 2
    return (inside[:, None] & inside).float()[None]


def operators() -> dict[str, Operator]:
    """Measurement operators for digits, by name."""
    classifier = load_classifier()
    return {
        "mask": Mask(half()), "blur": Blur(1.0), "down-sample": DownSample(4), "|x|": Absolute(),
        "classifier": Classifier(classifier.body),
    }  # fmt: skip


EDITS: dict[str, Edit] = {
    "lower half missing": inpainting(1 - half()),
    "hole in the middle": inpainting(hole()),
    "means of 2 × 2 blocks": super_resolution(2),
    "means of 4 × 4 blocks": super_resolution(4),
}
STROKE = "a blurred stroke"
TOP = {STROKE: 1.5}  # noise level at the start; 80 elsewhere


def held_out_digit(digit: int, seed: int) -> Tensor:
    """A held-out scan of this digit, (1, 1, 8, 8)."""
    held_out = Digits(train=False)
    mine = held_out.images[held_out.labels == digit]
    return mine[seed % len(mine)][None]


def digit_explorer(model: Denoiser) -> Explorer:
    """An explorer of what A(.) is shown. Knobs: `operator`, `level` (σ), `digit` and `seed`."""
    known = operators()
    knobs = {
        "operator": choice("A", list(known)),
        "level": log_slider("noise level σ", 3.0, 0.1, 30.0),
        "digit": slider("digit", 3, 0, 9),
        "seed": slider("scan and noise: seed", 1, 0, 35),
    }
    return Explorer(
        lambda operator, **at: measurement_picture(model, operator, known[operator], **at), knobs
    )


def candidates(
    model: Denoiser, x_t: Data, t: Time, digit: int, g: torch.Generator
) -> dict[str, Data]:
    """What can stand in for scans of this digit under noise: D, f, and a posterior sample."""
    asked = torch.full((len(x_t),), digit)
    drawn = posterior(digit_oracle(digit), x_t, t).sample(1, g).reshape(x_t.shape).to(x_t)
    found = exact_denoiser(asked)(x_t, t), model(x_t, t, asked), drawn
    return dict(zip(ROLES, found, strict=True))


@torch.no_grad()
def digit_statistics(model: Denoiser, level: float) -> dict[str, dict[str, float]]:
    """By candidate, over all held-out scans: its contrast, and the mismatch for each operator."""
    g, held_out, known = torch.Generator().manual_seed(0), Digits(train=False), operators()
    found: dict[str, dict[str, list[Tensor]]] = {name: {} for name in ROLES}
    for digit in range(10):
        x = held_out.images[held_out.labels == digit]
        t = torch.full((len(x),), level)
        x_t = x + level * torch.randn(x.shape, generator=g)
        for name, h in candidates(model, x_t, t, digit, g).items():
            found[name].setdefault("contrast, ‖h‖ / ‖x‖", []).append(
                h.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
            )
            for operator, A in known.items():
                off = (A(h) - A(x)).flatten(1).norm(dim=1)
                found[name].setdefault(f"mismatch, {operator}", []).append(off)
    return {name: {what: float(torch.cat(parts).mean()) for what, parts in row.items()}
            for name, row in found.items()}  # fmt: skip


@torch.no_grad()
def measurement_picture(
    model: Denoiser, name: str, A: Operator, level: float, digit: int, seed: int
) -> Picture:
    """One noisy scan, what could stand in for it, and the measurement of each."""
    g, x, t = (
        torch.Generator().manual_seed(seed),
        held_out_digit(digit, seed),
        torch.tensor([level]),
    )
    x_t = x + level * torch.randn(1, 1, SIDE, SIDE, generator=g)
    points = candidates(model, x_t, t, digit, g)
    images = torch.cat([x, contrast_scaled(x_t, t, Digits().sigma_data), *points.values()])
    measured = A(images)
    far = {n: float((A(h) - A(x)).norm()) for n, h in points.items()}
    names = ("truth", f"$x_t$, σ = {level:.2g}", *points)
    figure = measured_digits(
        images, measured, names, far, f"Three candidates h stand in for the truth (A = {name})"
    )
    answers_text = ", ".join(f"{n} {v:.2f}" for n, v in far.items())
    sharp = ", ".join(f"{n} {float(h.norm()):.1f}" for n, h in (("truth", x), *points.items()))
    return Picture(figure, (
        f"Digit {digit}, held-out scan and noise {seed}, σ = {level:.2g}, A: {name}.\n"
        f"‖y − A(h)‖: {answers_text}.\nContrast ‖h‖: {sharp}."
    ))  # fmt: skip


def editing_explorer(model: Denoiser) -> Explorer:
    """An explorer of zero-shot editing. Knobs: `task`, `calls`, `digit` and `seed`."""
    knobs = {
        "task": choice("given", [*EDITS, STROKE]),
        "calls": slider("network calls", 4, 1, 16),
        "digit": slider("digit", 5, 0, 9),
        "seed": slider("scan and noise: seed", 2, 0, 35),
    }
    return Explorer(partial(editing_picture, model), knobs)


@torch.no_grad()
def editing_picture(model: Denoiser, task: str, calls: int, digit: int, seed: int) -> Picture:
    """Six edits of one scan, each from its own noise."""
    x, asked = held_out_digit(digit, seed), torch.full((MANY,), digit)
    f, y = (lambda x_t, t: model(x_t, t, asked)), x.expand(MANY, -1, -1, -1)
    grid = KarrasGrid(0.1, TOP.get(task, 80.0)).up(max(calls, 2)).flip(0)[:calls]
    with seeded(torch.device("cpu"), seed):
        if task == STROKE:
            given = Blur(1.2)(x)
            *_, out = stroke(model.process, f, given.expand_as(y), grid)
        else:
            given = EDITS[task].project(torch.zeros_like(x), x)
            *_, out = edit(model.process, f, EDITS[task], y, grid)
    title = f"Six noise samples give six results ({calls} network call{'s' * (calls > 1)})"
    figure = edited_digits(torch.cat([x, given]), out.clamp(-1, 1)[None], ("results",), title)
    return Picture(figure, edit_sentence(task, x, given, out, calls))


def edit_sentence(task: str, x: Tensor, given: Tensor, out: Tensor, calls: int) -> str:
    """Text on an edit: what is kept, the distance to the truth, and the spread."""
    kept = "nothing is kept exactly, since the stroke is only a start"
    if task != STROKE:
        again = EDITS[task].project(torch.zeros_like(out), out)
        kept = f"the given part is off by at most {float((again - given).abs().max()):.0e}"
    distance = (out - x).flatten(1).norm(dim=1).mean()
    return (
        f"Given: {task}; {calls} call{'s' * (calls > 1)} for each of {MANY}; {kept}.\n"
        f"Mean distance to the truth {float(distance):.2f}; with the rest left grey it is "
        f"{float((given - x).norm()):.2f}.\n"
        f"Spread between the six answers, per pixel: {float(out.std(0).mean()):.2f}."
    )
