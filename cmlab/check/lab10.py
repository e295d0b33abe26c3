"""Lab 10: TrigFlow's four coefficients, and the tangent of sCM."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..evaluate.derivative import bell_consistency, bell_denoiser, spread
from ..oracle import Gaussian
from .base import Slip, exercise, expect
from .tangents import VECTOR, WRONG, difference, right_g, settings

NAMES = ("c_skip", "c_out", "c_in", "c_noise")


@exercise
def trig_coefficients(answer: Callable[..., Any]) -> str:
    """(t, sigma_data) -> c_skip, c_out, c_in, c_noise of D = c_skip x_t + c_out F(c_in x_t, …)."""
    for sigma_data in (0.4, 0.5, 2.0):
        t = torch.tensor([0.0, 0.05, 0.3, 0.8, 1.1, 1.5], dtype=torch.float64)
        form = four(answer(t, sigma_data), t)
        right = t.cos(), -sigma_data * t.sin(), 1 / torch.full_like(t, sigma_data), t
        for name, found, exact in zip(NAMES, form, right, strict=True):
            if not near(found, exact):
                coefficient_slips(name, found, t, sigma_data)
        bells(form, t[1:], sigma_data)
    return "f(x, 0) = x; D and f of a Gaussian agree with the exact ones, for three σ_d"


def four(found: Any, t: Tensor) -> list[Tensor]:
    """The answer's four, each of t's shape."""
    count = len(found) if isinstance(found, tuple | list) else 0
    expect(count == 4, "return four things, in this order: c_skip, c_out, c_in, c_noise")
    rows = [torch.as_tensor(v, dtype=torch.float64) for v in found]
    for name, row in zip(NAMES, rows, strict=True):
        fits = row.ndim == 0 or row.shape == t.shape
        expect(fits, f"{name} has shape {tuple(row.shape)}: give one number for each t")
    return [row.expand_as(t) for row in rows]


def near(a: Tensor, b: Tensor, tolerance: float = 1e-6) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * (1 + b.abs().max()))


def coefficient_slips(name: str, found: Tensor, t: Tensor, sigma_data: float) -> None:
    """Raise the likely reason why one coefficient is wrong."""
    for slip, wrong in SLIPS[name].items():
        value = wrong(t, torch.full_like(t, sigma_data))
        expect(not near(found[1:], value[1:]), slip)
    raise Slip(f"{name} is wrong: at t = {t[3]:.1f} and σ_d = {sigma_data:g} it is {found[3]:.4f}")


SLIPS: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "c_skip": {
        "sine and cosine are swapped: at t = 0 there is no noise, and f(x, 0) = x": (
            lambda t, s: t.sin()
        ),
        "this is EDM's c_skip, for x + σ z. TrigFlow's x_t is cos t times as large": (
            lambda t, s: t.cos() ** 2
        ),
        "the skip is cos t, not 1: x_t holds cos t times the data": lambda t, s: 0 * t + 1,
    },
    "c_out": {
        "the sign of c_out is EDM's: TrigFlow's F points along dx_t/dt, out to the noise, and "
        "the data are the other way": lambda t, s: s * t.sin(),
        "σ_d is missing in c_out: F has unit variance, and the velocity is σ_d F": (
            lambda t, s: -t.sin()
        ),
        "sine and cosine are swapped: at t = 0 the network must be silent": (
            lambda t, s: -s * t.cos()
        ),
    },
    "c_in": {
        "x_t goes in as it is: its standard deviation is σ_d at every t, so divide by it": (
            lambda t, s: 0 * t + 1
        ),
        "c_in multiplies by σ_d: the network's input should have unit variance": lambda t, s: s,
        "this is EDM's c_in, for x + σ z, which grows with σ. x_t does not": (
            lambda t, s: t.cos() / s
        ),
    },
    "c_noise": {
        "this is EDM's time input ln(σ)/4: the network is told the angle t itself": (
            lambda t, s: (s * t.tan()).log() / 4
        ),
        "this is the noise level σ_d tan t: the network is told the angle t itself": (
            lambda t, s: s * t.tan()
        ),
    },
}


def bells(form: list[Tensor], t: Tensor, sigma_data: float) -> None:
    """Put the exact F of round Gaussian data through the learner's coefficients."""
    skip, out, inside, told = (row[1:, None] for row in form)
    std, x_t = 0.6, torch.linspace(-1.0, 1.4, len(t), dtype=torch.float64)[:, None]
    law = Gaussian(torch.zeros(1, dtype=torch.float64), std)
    D = law.denoise(x_t / t.cos()[:, None], sigma_data * t.tan())
    f = std / spread(t, std, sigma_data)[:, None] * x_t
    exact = ((bell_denoiser(std, sigma_data), D), (bell_consistency(std, sigma_data), f))
    for model, truth in exact:
        found = skip * x_t + out * model.net(inside * x_t, told[:, 0])
        expect(near(found, truth), "the four do not give the exact answer for a Gaussian")


@exercise
def tangent(answer: Callable[..., Any]) -> str:
    """(F, x_t, dx_t, t, r, sigma_data) -> g, with F(u, t) the network and u = x_t / σ_d."""
    cases = [settings(seed, r) for seed, r in ((0, 0.6), (1, 1.0), (2, 0.25))]
    said = [of_shape(answer(*case), case[1]) for case in cases]
    matches = [near(g, right_g(*case)) for g, case in zip(said, cases, strict=True)]
    if not all(matches):
        for slip, wrong in WRONG.items():
            slipped = all(near(g, wrong(*c)) for g, c in zip(said, cases, strict=True))
            expect(not slipped, slip)
        raise Slip(f"at warm-up r = {cases[matches.index(False)][4]:g} g is another: take the two "
                   "brackets apart and compare each with the formula")  # fmt: skip
    for r, given, exact in VECTOR:
        fine = near(of_shape(answer(*given), given[1]), exact, 1e-9)
        expect(fine, f"off by more than 1e-9 at r = {r:g}: compute in the type of x_t")
    case = settings(5, 1.0)
    gap = float((of_shape(answer(*case), case[1]) - difference(*case)).abs().max())
    expect(
        gap < 1e-6,
        f"at r = 1 g must be cos t · df/dt, and differences of f say otherwise: {gap:.1e}",
    )
    return "three networks, a vector to 1e-9, and cos t · df/dt by differences of f"


def of_shape(found: Any, x_t: Tensor) -> Tensor:
    """The answer as a tensor like x_t."""
    several = isinstance(found, tuple | list)
    expect(not several, "return g alone: torch.func.jvp gives two things, F and its derivative")
    g = torch.as_tensor(found).detach().double()
    expect(g.shape == x_t.shape, f"g has shape {tuple(g.shape)} and must have x_t's, "
           f"{tuple(x_t.shape)}; give cos t and sin t a trailing axis")  # fmt: skip
    return g
