"""sCM's tangent for a network F(u, t), as it is and as the common slips have it."""

from collections.abc import Callable

import torch
from torch import Tensor

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


def right_g(
    F: Network, x_t: Tensor, dx_t: Tensor, t: Tensor, r: float, sigma_data: float
) -> Tensor:
    return formula()(F, x_t, dx_t, t, r, sigma_data)


def formula(
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
    "the prior weight is in twice: cos t · df/dt holds 1/(σ_d tan t) already": formula(
        prior=2
    ),
    "this is df/dt: multiply by cos t once more": formula(cos=False),
    "the sign of (σ_d F − dx_t/dt) is turned: it has a minus in front": formula(first=-1),
    "all of g has the wrong sign: F is pulled to F⁻ + g": formula(sign=-1),
    "F is compared with dx_t/dt in the first bracket: the velocity is σ_d F": formula(unit=False),
    "σ_d is missing in front of dF/dt": formula(outside=0),
    "σ_d is there twice in front of dF/dt": formula(outside=2),
    "u moves with du/dt = dx_t/dt / σ_d: your tangent for u lacks the 1/σ_d": formula(inside=0),
    "the tangent for u is divided by σ_d twice": formula(inside=2),
    "F is given x_t: it takes u = x_t / σ_d, and u moves with dx_t/dt / σ_d": formula(
        primal=0, inside=0
    ),
    "dF/dt lacks its explicit part: time moves too, with tangent 1": formula(parts=(1, 0)),
    "dF/dt lacks the part through x_t: the point moves too": formula(parts=(0, 1)),
    "the warm-up r multiplies both brackets: the second alone needs it": formula(
        warm=(1, 1, 1)
    ),
    "the warm-up r is at the first bracket: it belongs to the second": formula(warm=(1, 0, 0)),
    "the warm-up r multiplies dF/dt alone: x_t is in the same bracket": formula(warm=(0, 0, 1)),
    "the warm-up r multiplies x_t alone: dF/dt is in the same bracket": formula(warm=(0, 1, 0)),
    "the warm-up r is not used": formula(warm=(0, 0, 0)),
    "g is normalised already: return it as it is": formula(bound=True),
}  # fmt: skip


def affine(u: Tensor, t: Tensor) -> Tensor:
    """A u + b t."""
    A = double(0.2, -0.1, 0.3, 0.4).reshape(2, 2)
    return u @ A.T + t[:, None] * double(0.5, -0.3)


def vector(r: float) -> Setting:
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
    (r, vector(r), double(*g)[None])
    for r, g in (
        (0.0, (-0.27842117252, 0.43824028691)),
        (0.5, (-0.32009201159, 0.43929074561)),
        (1.0, (-0.36176285066, 0.44034120431)),
    )
]


def difference(
    F: Network, x_t: Tensor, dx_t: Tensor, t: Tensor, r: float, sigma_data: float, h: float = 1e-5
) -> Tensor:
    """cos t · (f(t + h) - f(t - h)) / 2h along the sample's own path."""

    def f(d: float) -> Tensor:
        turned = torch.cos(double(d)) * x_t + torch.sin(double(d)) * dx_t
        c, s = (t + d).cos()[:, None], (t + d).sin()[:, None]
        return c * turned - s * sigma_data * F(turned / sigma_data, t + d)

    return t.cos()[:, None] * (f(h) - f(-h)) / (2 * h)
