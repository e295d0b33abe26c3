"""Exercise checks of lab 10, continuous-time consistency models (sCM)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.oracle import Gaussian

from ..common.exercise import Slip, close, exercise, expect

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
    "u moves with du/dt = dx_t/dt / σ_d: your direction for u lacks the 1/σ_d": g_with(inside=0),
    "the direction for u is divided by σ_d twice": g_with(inside=2),
    "F is given x_t: it takes u = x_t / σ_d, and u moves with dx_t/dt / σ_d": g_with(
        primal=0, inside=0
    ),
    "dF/dt lacks its explicit part: time moves too, with velocity 1": g_with(parts=(1, 0)),
    "dF/dt lacks the part through x_t: the point moves too": g_with(parts=(0, 1)),
    "the warm-up κ multiplies both brackets: only the second needs it": g_with(
        warm=(1, 1, 1)
    ),
    "the warm-up κ multiplies the first bracket: it belongs to the second": g_with(warm=(1, 0, 0)),
    "the warm-up κ multiplies dF/dt alone: x_t is in the same bracket": g_with(warm=(0, 0, 1)),
    "the warm-up κ multiplies x_t alone: dF/dt is in the same bracket": g_with(warm=(0, 1, 0)),
    "the warm-up κ is not used": g_with(warm=(0, 0, 0)),
    "your g is normalised: return g before it is bounded": g_with(bound=True),
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


Edm = Callable[[Tensor, Tensor], Tensor]
Carried = Callable[[Edm, Tensor, Tensor, float], Tensor]
SLIPS: dict[str, Carried] = {
    "the sign is EDM's: its network points at the data, TrigFlow's along dx_t/dt, away from them":
        lambda F, u, t, s: F(u, s * t.tan()),
    "tan t is the noise level for σ_d = 1: F_edm is given σ = σ_d tan t":
        lambda F, u, t, s: -F(u, t.tan()),
    "F_edm knows noise levels, not angles: give it σ = σ_d tan t": lambda F, u, t, s: -F(u, t),
    "F_edm is given σ itself; it takes the logarithm on its own":
        lambda F, u, t, s: -F(u, (s * t.tan()).log() / 4),
    "u is c_in x_σ already: both networks have the same input":
        lambda F, u, t, s: -F(u / t.cos()[:, None], s * t.tan()),
    "u is divided by σ_d already: leave u as it is":
        lambda F, u, t, s: -F(u / s, s * t.tan()),
    "c_out is in front of both networks: no factor is left but the sign":
        lambda F, u, t, s: -s * t.sin()[:, None] * F(u, s * t.tan()),
    "both networks have unit variance: there is no σ_d between them":
        lambda F, u, t, s: -s * F(u, s * t.tan()),
}  # fmt: skip


@exercise
def trig_network(answer: Callable[..., Any]) -> str:
    """(F_edm, u, t, sigma_data) -> F_trig(u, t) with the same denoiser."""
    cases = [(network(seed), *carried_case(seed)) for seed in range(3)]
    found = [like_u(answer(*case), case[1]) for case in cases]
    right = [-F(u, s * t.tan()) for F, u, t, s in cases]
    for slip, wrong in SLIPS.items():
        slipped = all(same(a, wrong(*case)) for a, case in zip(found, cases, strict=True))
        expect(not slipped, slip)
    for mine, exact, (*_, s) in zip(found, right, cases, strict=True):
        expect(same(mine, exact), f"the two forms of D differ, for σ_d = {s:g}: set them equal on "
               "paper, term by term")  # fmt: skip
    std, (u, t, s) = 0.6, carried_case(3)
    oracle, x_t = Gaussian(torch.zeros(2, dtype=torch.float64), std), s * u
    cos, sin = t.cos()[:, None], t.sin()[:, None]

    def edm(u: Tensor, sigma: Tensor) -> Tensor:
        level = sigma[:, None]
        size = (level**2 + s**2).sqrt()
        D = oracle.denoise(size * u, sigma)
        return (D - s**2 / size * u) / (level * s / size)

    mine = cos * x_t - s * sin * like_u(answer(edm, u, t, s), u)
    exact = oracle.denoise(x_t / cos, s * t.tan())
    expect(same(mine, exact), "the denoiser is not the exact one for a Gaussian")
    return "the same denoiser for three networks and three σ_d, and the exact one of a Gaussian"


def carried_case(seed: int) -> tuple[Tensor, Tensor, float]:
    """Inputs u (n, 2), angles (n,) and a σ_d."""
    _, x_t, _, t, _, sigma_data = settings(seed, 1.0)
    return x_t / sigma_data, t, sigma_data


def like_u(found: Any, u: Tensor) -> Tensor:
    """The answer as a tensor like u."""
    rows = torch.as_tensor(found).detach().double()
    expect(rows.shape == u.shape, f"F_trig has shape {tuple(rows.shape)} and should have u's, "
           f"{tuple(u.shape)}")  # fmt: skip
    return rows


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
