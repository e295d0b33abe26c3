"""Exercise checks of lab 10, continuous-time consistency models (sCM)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.oracle import Gaussian

from ..common.exercise import Slip, close, exercise, expect
from .analysis import gaussian_consistency, gaussian_denoiser, noisy_std

same = partial(close, rtol=1e-6, atol=1e-6)

# sCM's tangent for a network F(u, t), correct and with common mistakes

Network = Callable[[Tensor, Tensor], Tensor]
Setting = tuple[Network, Tensor, Tensor, Tensor, float, float]  # F, x_t, dx_t, t, r, σ_d


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def network(seed: int) -> Network:
    """A smooth function of both its inputs."""
    g = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(2, 6, generator=g, dtype=torch.float64) for _ in range(2))
    b, c = (torch.randn(6, generator=g, dtype=torch.float64) for _ in range(2))
    return lambda u, t: torch.tanh(u @ A + t[:, None] * b + c) @ B.T


def settings(seed: int, r: float, n: int = 6) -> Setting:
    """A network, one-sample paths (n, 2) at times (n,), a warm-up and a σ_d."""
    g = torch.Generator().manual_seed(100 + seed)
    sigma_data = (0.4, 0.7, 1.3)[seed % 3]
    x, z = (sigma_data * torch.randn(n, 2, generator=g, dtype=torch.float64) for _ in range(2))
    t = 0.15 + 1.3 * torch.rand(n, generator=g, dtype=torch.float64)
    cos, sin = t.cos()[:, None], t.sin()[:, None]
    return network(seed), cos * x + sin * z, cos * z - sin * x, t, r, sigma_data


def exact_g(
    F: Network, x_t: Tensor, dx_t: Tensor, t: Tensor, r: float, sigma_data: float
) -> Tensor:
    return g_with()(F, x_t, dx_t, t, r, sigma_data)


def g_with(
    prior: int = 1, cos: bool = True, first: float = 1, warm: tuple[int, int, int] = (0, 1, 1),
    inside: int = 1, outside: int = 1, primal: int = 1, parts: tuple[int, int] = (1, 1),
    unit: bool = True, sign: int = 1, bound: bool = False,
) -> Callable[..., Tensor]:  # fmt: skip
    """g with slips built in; `warm` says which of the terms, x_t and dF/dt r multiplies."""

    def g(F: Network, x_t: Tensor, dx_t: Tensor, t: Tensor, r: float, sigma_data: float) -> Tensor:
        u, c, s = x_t / sigma_data**primal, t.cos()[:, None], t.sin()[:, None]
        way = parts[0] * dx_t / sigma_data**inside, parts[1] * torch.ones_like(t)
        value, dF = torch.func.jvp(F, (u, t), way)  # pyright: ignore[reportAssignmentType]
        velocity = (sigma_data if unit else 1.0) * value
        one = -c * (velocity - dx_t) * r ** warm[0] * first
        two = -s * (x_t * r ** warm[1] + sigma_data**outside * dF * r ** warm[2])
        whole = sign * (one + two) * (c if cos else 1.0)
        whole = whole / (sigma_data * t.tan()[:, None]) ** (prior - 1)
        return whole / (whole.norm(dim=1, keepdim=True) + 0.1) if bound else whole

    return g


WRONG: dict[str, Callable[..., Tensor]] = {
    "the prior weight is there twice: cos t · df/dt contains 1/(σ_d tan t) already": g_with(
        prior=2
    ),
    "this is df/dt: multiply by cos t once more": g_with(cos=False),
    "the sign of (σ_d F − dx_t/dt) is wrong: there is a minus in front of it": g_with(first=-1),
    "all of g has the wrong sign: F is pulled to F⁻ + g": g_with(sign=-1),
    "F is compared with dx_t/dt in the first bracket: the velocity is σ_d F": g_with(unit=False),
    "σ_d is missing in front of dF/dt": g_with(outside=0),
    "σ_d is there twice in front of dF/dt": g_with(outside=2),
    "u moves with du/dt = dx_t/dt / σ_d: your tangent for u lacks the 1/σ_d": g_with(inside=0),
    "the tangent for u is divided by σ_d twice": g_with(inside=2),
    "F is given x_t: it takes u = x_t / σ_d, and u moves with dx_t/dt / σ_d": g_with(
        primal=0, inside=0
    ),
    "dF/dt lacks its explicit part: time moves too, with tangent 1": g_with(parts=(1, 0)),
    "dF/dt lacks the part through x_t: the point moves too": g_with(parts=(0, 1)),
    "the warm-up κ multiplies both brackets: only the second needs it": g_with(
        warm=(1, 1, 1)
    ),
    "the warm-up κ multiplies the first bracket: it belongs to the second": g_with(warm=(1, 0, 0)),
    "the warm-up κ multiplies dF/dt alone: x_t is in the same bracket": g_with(warm=(0, 0, 1)),
    "the warm-up κ multiplies x_t alone: dF/dt is in the same bracket": g_with(warm=(0, 1, 0)),
    "the warm-up κ is not used": g_with(warm=(0, 0, 0)),
    "g is normalised already: return it as it is": g_with(bound=True),
}  # fmt: skip


def affine(u: Tensor, t: Tensor) -> Tensor:
    """A u + b t."""
    A = double(0.2, -0.1, 0.3, 0.4).reshape(2, 2)
    return u @ A.T + t[:, None] * double(0.5, -0.3)


def reference_case(r: float) -> Setting:
    """One sample, x = (.3, -.6) and z = (-.2, .5), at t = .8 with σ_d = .5."""
    x, z, t = double(0.3, -0.6), double(-0.2, 0.5), double(0.8)
    return (
        affine,
        (t.cos() * x + t.sin() * z)[None],
        (t.cos() * z - t.sin() * x)[None],
        t,
        r,
        0.5,
    )


# The closed form, evaluated independently in float64: g at three warm-ups.
VECTOR = [
    (r, reference_case(r), double(*g)[None])
    for r, g in (
        (0.0, (-0.27842117252, 0.43824028691)),
        (0.5, (-0.32009201159, 0.43929074561)),
        (1.0, (-0.36176285066, 0.44034120431)),
    )
]


def difference_tangent(
    F: Network, x_t: Tensor, dx_t: Tensor, t: Tensor, r: float, sigma_data: float, h: float = 1e-5
) -> Tensor:
    """cos t · (f(t + h) - f(t - h)) / 2h along the sample's own path."""

    def f(d: float) -> Tensor:
        turned = torch.cos(double(d)) * x_t + torch.sin(double(d)) * dx_t
        c, s = (t + d).cos()[:, None], (t + d).sin()[:, None]
        return c * turned - s * sigma_data * F(turned / sigma_data, t + d)

    return t.cos()[:, None] * (f(h) - f(-h)) / (2 * h)


NAMES = ("c_skip", "c_out", "c_in", "c_noise", "factor")


@exercise
def trig_coefficients(answer: Callable[..., Any]) -> str:
    """(t, sigma_data) -> c_skip, c_out, c_in, c_noise, and the factor of ∂F/∂c_noise in g."""
    for sigma_data in (0.4, 0.5, 2.0):
        t = torch.tensor([0.0, 0.05, 0.3, 0.8, 1.1, 1.5], dtype=torch.float64)
        form = five_numbers(answer(t, sigma_data), t)
        factor = t.cos() * t.sin()
        right = t.cos(), -sigma_data * t.sin(), 1 / torch.full_like(t, sigma_data), t, factor
        for name, found, exact in zip(NAMES, form, right, strict=True):
            if not same(found, exact):
                coefficient_slips(name, found, t, sigma_data)
        check_on_gaussian(form[:4], t[1:], sigma_data)
    return "f(x, 0) = x; D and f of a Gaussian agree with the exact ones, for three σ_d"


def five_numbers(found: Any, t: Tensor) -> list[Tensor]:
    """The answer's five, each of t's shape."""
    count = len(found) if isinstance(found, tuple | list) else 0
    expect(count == 5, f"return five things, in this order: {', '.join(NAMES)}")
    rows = [torch.as_tensor(v, dtype=torch.float64) for v in found]
    for name, row in zip(NAMES, rows, strict=True):
        fits = row.ndim == 0 or row.shape == t.shape
        expect(fits, f"{name} has shape {tuple(row.shape)}: give one number for each t")
    return [row.expand_as(t) for row in rows]


def coefficient_slips(name: str, found: Tensor, t: Tensor, sigma_data: float) -> None:
    """Raise the likely reason why one coefficient is wrong."""
    for slip, wrong in SLIPS[name].items():
        value = wrong(t, torch.full_like(t, sigma_data))
        expect(not same(found[1:], value[1:]), slip)
    raise Slip(f"{name} is wrong: at t = {t[3]:.1f} and σ_d = {sigma_data:g} it is {found[3]:.4f}")


SLIPS: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "c_skip": {
        "sine and cosine are swapped: at t = 0 there is no noise, and f(x, 0) = x": (
            lambda t, s: t.sin()
        ),
        "this is EDM's c_skip, for x + σ z. TrigFlow's x_t is cos t times as large": (
            lambda t, s: t.cos() ** 2
        ),
        "the skip is cos t, not 1: x_t contains cos t times the data": lambda t, s: 0 * t + 1,
    },
    "c_out": {
        "the sign of c_out is EDM's: TrigFlow's F points along dx_t/dt, towards the noise, and "
        "the data lie the other way": lambda t, s: s * t.sin(),
        "σ_d is missing in c_out: F has unit variance, and the velocity is σ_d F": (
            lambda t, s: -t.sin()
        ),
        "sine and cosine are swapped: at t = 0 the network should not contribute": (
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
        "this is EDM's time input ln(σ)/4: the network is given the angle t itself": (
            lambda t, s: (s * t.tan()).log() / 4
        ),
        "this is the noise level σ_d tan t: the network is given the angle t itself": (
            lambda t, s: s * t.tan()
        ),
    },
    "factor": {
        "this is the factor in df/dt: g = cos t · df/dt has one more cos t": lambda t, s: t.sin(),
        "this is the factor of ln(σ)/4: the angle has speed 1": lambda t, s: 0 * t + 0.25,
        "this is the speed dc_noise/dt alone: in g it stands behind cos t sin t": (
            lambda t, s: 0 * t + 1
        ),
        "leave out σ_d: it stands in front of the factor": lambda t, s: s * t.cos() * t.sin(),
        "leave out the sign: it stands in front of the factor": lambda t, s: -t.cos() * t.sin(),
    },
}


def check_on_gaussian(form: list[Tensor], t: Tensor, sigma_data: float) -> None:
    """Put the exact F of round Gaussian data through the learner's coefficients."""
    skip, out, inside, c_noise = (row[1:, None] for row in form)
    std, x_t = 0.6, torch.linspace(-1.0, 1.4, len(t), dtype=torch.float64)[:, None]
    oracle = Gaussian(torch.zeros(1, dtype=torch.float64), std)
    D = oracle.denoise(x_t / t.cos()[:, None], sigma_data * t.tan())
    f = std / noisy_std(t, std, sigma_data)[:, None] * x_t
    exact = ((gaussian_denoiser(std, sigma_data), D), (gaussian_consistency(std, sigma_data), f))
    for model, truth in exact:
        found = skip * x_t + out * model.net(inside * x_t, c_noise[:, 0])
        expect(same(found, truth), "the four do not give the exact answer for a Gaussian")


@exercise
def tangent(answer: Callable[..., Any]) -> str:
    """(F, x_t, dx_t, t, r, sigma_data) -> g, with F(u, t) the network and u = x_t / σ_d."""
    cases = [settings(seed, r) for seed, r in ((0, 0.6), (1, 1.0), (2, 0.25))]
    said = [like_x_t(answer(*case), case[1]) for case in cases]
    matches = [same(g, exact_g(*case)) for g, case in zip(said, cases, strict=True)]
    if not all(matches):
        for slip, wrong in WRONG.items():
            slipped = all(same(g, wrong(*c)) for g, c in zip(said, cases, strict=True))
            expect(not slipped, slip)
        raise Slip(f"at warm-up κ = {cases[matches.index(False)][4]:g} g is different: take "
                   "the two brackets apart and compare each with the formula")  # fmt: skip
    for r, given, exact in VECTOR:
        fine = close(like_x_t(answer(*given), given[1]), exact, 1e-9, 1e-9)
        expect(fine, f"off by more than 1e-9 at κ = {r:g}: compute in the type of x_t")
    case = settings(5, 1.0)
    gap = float((like_x_t(answer(*case), case[1]) - difference_tangent(*case)).abs().max())
    expect(
        gap < 1e-6,
        f"at κ = 1 g should be cos t · df/dt, but it differs from differences of f by {gap:.1e}",
    )
    return "three networks, a vector to 1e-9, and cos t · df/dt by differences of f"


def like_x_t(found: Any, x_t: Tensor) -> Tensor:
    """The answer as a tensor like x_t."""
    several = isinstance(found, tuple | list)
    expect(not several, "return g alone: torch.func.jvp gives two things, F and its derivative")
    g = torch.as_tensor(found).detach().double()
    expect(g.shape == x_t.shape, f"g has shape {tuple(g.shape)} and should have x_t's, "
           f"{tuple(x_t.shape)}; give cos t and sin t a trailing axis")  # fmt: skip
    return g
