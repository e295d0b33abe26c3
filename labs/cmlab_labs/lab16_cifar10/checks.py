"""Exercise checks of lab 16, CIFAR-10."""

from collections.abc import Callable
from functools import partial
from math import exp, isfinite
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.editing import slerp

from ..common.exercise import close, exercise, expect
from .figures import lerp

same = partial(close, rtol=1e-5, atol=1e-6)

CASES = ((512, 500_000.0), (128, 500_000.0), (64, 64.0), (1024, 5e6), (32, 10_000.0))


@exercise
def decay(answer: Callable[..., Any]) -> str:
    """(batch, half_life) -> β: after half_life images, whatever the batch, half is forgotten."""
    found = [float(answer(batch, images)) for batch, images in CASES]
    for number, (slip, _) in enumerate(decay_slips(64, 64.0)):
        wrong = [decay_slips(*case)[number][1] for case in CASES]
        expect(not all(close(a, b, atol=1e-7) for a, b in zip(found, wrong, strict=True)), slip)
    for (batch, images), beta in zip(CASES, found, strict=True):
        where = f"for batches of {batch} and a half-life of {images:g} images"
        expect(isfinite(beta) and 0 < beta < 1, f"β = {beta:g} {where}: it must lie in (0, 1)")
        left = beta ** (images / batch)
        halved = abs(left - 0.5) < 1e-6
        expect(halved, f"{left:.3g} of the old is left after a half-life {where}, not 0.5")
    twice, once = float(answer(1024, 5e5)), float(answer(512, 5e5))
    expect(close(twice, once**2, atol=1e-7),
           "one step of 1024 images must forget as much as two steps of 512")  # fmt: skip
    return f"half is left after every half-life, for 5 batches; EDM's β for CIFAR-10 is {once:.5f}"


def decay_slips(batch: int, images: float) -> list[tuple[str, float]]:
    """Mistakes: the message, and the β that each gives."""
    return [
        ("the exponent is upside down: one step is batch / half_life of a half-life",
         0.5 ** (images / batch)),
        ("this forgets down to 1/e and not to one half: the base is 0.5, not e",
         exp(-batch / images)),
        ("half_life counts images, not steps: one step brings `batch` images at once",
         0.5 ** (1 / images)),
        ("this is what a step forgets: β is what it keeps", 1 - 0.5 ** (batch / images)),
        ("1 − batch/half_life is the first term of a series of exp, with 1/e in place of one half",
         1 - batch / images),
        ("β must lie below 1: the sign of the exponent is wrong", 2 ** (batch / images)),
    ]  # fmt: skip


def pair_at_cosine(
    cosine: float, size: tuple[int, ...] = (3, 4, 4), seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Two tensors of norm 2 with this cosine between them."""
    g = torch.Generator().manual_seed(seed)
    flat = torch.randn(2, torch.Size(size).numel(), generator=g, dtype=torch.float64)
    basis = torch.linalg.qr(flat.T)[0].T
    first, other = basis[0], cosine * basis[0] + (1 - cosine**2) ** 0.5 * basis[1]
    return 2 * first.reshape(size), 2 * other.reshape(size)


SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@exercise
def between(answer: Callable[..., Any]) -> str:
    """(z1, z2, share) -> the vector at this share of the way along the great circle."""
    pairs = [pair_at_cosine(c, seed=k) for k, c in enumerate((0.0, 0.5, -0.6, 0.98))]
    found = [[checked_mix(answer, *ends, s) for s in SHARES] for ends in pairs]
    check_slips(found, pairs)
    for (z1, z2), way in zip(pairs, found, strict=True):
        check_path(z1, z2, way)
    z1, z2 = pairs[1]
    expect(same(checked_mix(answer, z1, z2, 0.3), checked_mix(answer, z2, z1, 0.7)),
           "30 % from z1 to z2 is not 70 % from z2 to z1")  # fmt: skip
    stays = checked_mix(answer, z1, z1.clone(), 0.4)
    expect(bool(stays.isfinite().all()),
           "0/0 where z1 and z2 are parallel: sin Ω is 0, so mix them straight")  # fmt: skip
    expect(same(stays, z1), "between z and z there is z alone")
    a, b = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    middle = float(checked_mix(answer, 1.1 * a, 0.9 * b, 0.5).norm() / a.norm())
    expect(0.85 < middle < 1.15,
           f"two noises of unlike norms meet at {middle:.2f} of their norm")  # fmt: skip
    return (
        "both ends, the norm, an angle that grows evenly, both directions, parallel ends; 4 angles"
    )


def checked_mix(answer: Callable[..., Any], z1: Tensor, z2: Tensor, share: float) -> Tensor:
    z = torch.as_tensor(answer(z1, z2, share)).double()
    expect(z.shape == z1.shape,
           f"the answer has shape {tuple(z.shape)}, the noises {tuple(z1.shape)}")  # fmt: skip
    return z


def check_path(z1: Tensor, z2: Tensor, way: list[Tensor]) -> None:
    """Finite, from z1 to z2, never shorter or longer, and the angle grows with the share."""
    cosine = float(torch.cosine_similarity(z1.flatten(), z2.flatten(), dim=0))
    at = f"with cosine {cosine:.2f} between the ends"
    expect(all(bool(z.isfinite().all()) for z in way),
           f"NaN {at}: divide by both norms before arccos")  # fmt: skip
    expect(same(way[0], z1), f"at share 0 the answer must be z1, {at}")
    expect(same(way[-1], z2), f"at share 1 the answer must be z2, {at}")
    for share, z in zip(SHARES, way, strict=True):
        ratio = float(z.norm() / z1.norm())
        expect(abs(ratio - 1) < 1e-6, f"at share {share:g}, {at}, the norm is {ratio:.3f} of z1's")
        whole, part = angle(z1, z2), angle(z1, z)
        even = abs(part - share * whole) < 1e-4
        expect(even, f"at share {share:g}, {at}, the angle is {part / whole:.3f} of the whole")


def angle(a: Tensor, b: Tensor) -> float:
    """Between two vectors, precise for small angles as well."""
    u, v = a.flatten() / a.norm(), b.flatten() / b.norm()
    return 2 * float(torch.atan2((u - v).norm(), (u + v).norm()))


def check_slips(found: list[list[Tensor]], pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Raise the mistake whose answers these are."""
    for slip, wrong in MIXES.items():
        theirs = [[wrong(*ends, s) for s in SHARES] for ends in pairs]
        alike = [same(a, b) for own, other in zip(found, theirs, strict=True)
                 for a, b in zip(own, other, strict=True)]  # fmt: skip
        expect(not all(alike), slip)


def rescaled(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    mix = lerp(z1, z2, share)
    return mix * z1.norm() / mix.norm()


def quarter(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    turn = torch.tensor(share * torch.pi / 2)
    return turn.cos() * z1 + turn.sin() * z2


def undivided(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    whole = angle(z1, z2)
    near, far = (torch.tensor(s * whole).sin() for s in (1 - share, share))
    return near * z1 + far * z2


def pixelwise(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    pairs = zip(z1.flatten(0, -2), z2.flatten(0, -2), strict=True)
    rows = [slerp(a, b, share) for a, b in pairs]
    return torch.stack(rows).reshape(z1.shape)


MIXES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "this is the straight mix, and its norm dips half-way: mix along the great circle": lerp,
    "the straight mix, rescaled: the norm is right, but it turns fastest half-way; let the angle "
    "grow with the share": rescaled,
    "it ends where it should begin: at share 0 the answer is z1":
        lambda z1, z2, s: slerp(z2, z1, s),
    "cos and sin of a quarter turn suppose that z1 and z2 are at right angles: measure the angle":
        quarter,
    "sin Ω in the denominator is missing: the ends are too short": undivided,
    "the angle is that of the whole tensor, not of each row of pixels": pixelwise,
}  # fmt: skip
