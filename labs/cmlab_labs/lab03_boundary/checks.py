"""Exercise checks of lab 03: the boundary condition f(x, ε) = x and its coefficients."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.model import CMPrecond

from ..common.exercise import Slip, close, exercise, expect

# Parametrisations with and without the boundary condition, and incomplete tests of it

Number = Callable[[float], float]
same = partial(close, rtol=1e-7, atol=1e-9)


def shifted(e: float) -> tuple[Number, Number]:
    return lambda t: 1 / ((t - e) ** 2 + 1), lambda t: (t - e) / (t * t + 1) ** 0.5


def parametrisations() -> list[tuple[bool, str, tuple[Number, Number], float]]:
    """Parametrisations: whether f(x, ε) = x holds, name, c_skip and c_out, and ε."""
    e, root = 0.1, 0.3**0.5
    return [
        (True, "the CM form", shifted(e), e),
        (True, "the ε/t form", (lambda t: 0.3 / t, lambda t: 1 - 0.3 / t), 0.3),
        (True, "the ε/t form with ε = √ε √ε",
         (lambda t: root * root / t, lambda t: 1 - root * root / t), 0.3),
        (True, "the form that copies x at ε alone",
         (lambda t: float(t == e), lambda t: float(t != e)), e),
        (False, "the EDM form", shifted(0.0), e),
        (False, "the EDM form", shifted(0.0), 0.002),
        (False, "the CM form made for 0.002", shifted(0.002), 0.3),
        (False, "the bare network, c_skip = 0 and c_out = 1,", (lambda t: 0.0, lambda t: 1.0), e),
        (False, "c_skip = ε/t, c_out = 1", (lambda t: e / t, lambda t: 1.0), e),
        (False, "c_skip = 2, c_out = 1 − ε/t", (lambda t: 2.0, lambda t: 1 - e / t), e),
    ]  # fmt: skip


WRONG: dict[str, Callable[[Number, Number, float], bool]] = {
    "you only look at c_skip: where c_out(ε) is not 0 the network still has a say": (
        lambda skip, out, e: close(skip(e), 1, atol=1e-6)
    ),
    "you only look at c_out: with c_skip(ε) = 2 the answer is 2x": (
        lambda skip, out, e: close(out(e), 0, atol=1e-6)
    ),
    "one of the two is not enough: join them with `and`": (
        lambda skip, out, e: close(skip(e), 1, atol=1e-6) or close(out(e), 0, atol=1e-6)
    ),
    "a sum of 1 is not enough: c_skip = 0 and c_out = 1 have it too": (
        lambda skip, out, e: close(skip(e) + out(e), 1, atol=1e-6)
    ),
    "your tolerance is too wide: the EDM form at ε = 0.002 is close, but does not hold": (
        lambda skip, out, e: close(skip(e), 1, atol=0.01) and close(out(e), 0, atol=0.01)
    ),
    "you want equality to the last bit: leave room for rounding, 1e-6 say, near 0 as well": (
        lambda skip, out, e: skip(e) == 1 and out(e) == 0
    ),
    "you ask at 0.002 whatever ε is: use the argument eps": (
        lambda skip, out, e: close(skip(0.002), 1, atol=1e-6) and close(out(0.002), 0, atol=1e-6)
    ),
    "you answer True in all cases": lambda skip, out, e: True,
    "you answer False in all cases": lambda skip, out, e: False,
}


@exercise
def cm_coefficients(answer: Callable[..., Any]) -> str:
    """(t, σ_d, ε) -> c_skip, c_out, c_in: boundary, unit input, and the paper's formula."""
    s, eps = 0.7, 0.1
    t = torch.logspace(-1, 1, 60, dtype=torch.float64)
    t[0] = eps
    skip, out, c_in = three_coefficients(answer(t, s, eps), len(t))
    for slip, name, wrong in slips(t, s, eps):
        expect(not same({"c_skip": skip, "c_out": out, "c_in": c_in}[name], wrong), slip)
    expect(abs(float(skip[0]) - 1) < 1e-7, f"c_skip(ε) is {skip[0]:.4g} and must be 1")
    expect(abs(float(out[0])) < 1e-7, f"c_out(ε) is {out[0]:.4g} and must be 0")
    spread = input_variance(answer)
    expect(abs(spread - 1) < 0.02, f"the network's input has variance {spread:.3g} on the ring: "
           "c_in must divide x_t by its own standard deviation, √(t² + σ_d²)")  # fmt: skip
    for s, eps in ((0.7, 0.1), (0.5, 0.002), (2.0, 0.3)):
        t = torch.logspace(math.log10(eps), 1, 60, dtype=torch.float64)
        found = three_coefficients(answer(t, s, eps), len(t))
        for name, a, b in zip(("c_skip", "c_out", "c_in"), found, CMPrecond(s, eps)(t)[:3],
                              strict=True):  # fmt: skip
            expect(same(a, b), f"{name} is not the paper's at σ_d = {s:g}, ε = {eps:g}: "
                   f"{a[30]:.4g} instead of {b[30]:.4g} at t = {t[30]:.3g}")  # fmt: skip
    return "f(x, ε) = x to 1e-7, input variance 1 within 2 %, and the paper's formula"


def three_coefficients(answer: Any, n: int) -> list[Tensor]:
    expect(isinstance(answer, tuple | list) and len(answer) == 3,
           "return three things: c_skip, c_out, c_in")  # fmt: skip
    found = [torch.as_tensor(c).double() for c in answer]
    expect(all(c.shape == (n,) for c in found), "each coefficient must have the shape of t")
    return found


def slips(t: Tensor, s: float, eps: float) -> list[tuple[str, str, Tensor]]:
    """Common mistakes: the message, the coefficient, and its wrong values."""
    gap, v = t - eps, t**2 + s**2
    forgot = "forgets ε, so the boundary lies at t = 0 and not at ε: shift t to t − ε"
    root = "has no root: a variance is divided by where a standard deviation is meant"
    return [
        ("c_skip and c_out are the other way round: return c_skip, c_out, c_in", "c_skip",
         s * gap / v.sqrt()),
        (f"c_skip {forgot}", "c_skip", s**2 / v),
        ("c_skip has a root, and should be a ratio of variances", "c_skip",
         s / (gap**2 + s**2).sqrt()),
        ("c_skip is the network's share (t − ε)², and should be σ_d's", "c_skip",
         gap**2 / (gap**2 + s**2)),
        (f"c_out {forgot}", "c_out", s * t / v.sqrt()),
        ("the root of c_out has t², not (t − ε)²: only the factor in front is shifted", "c_out",
         s * gap / (gap**2 + s**2).sqrt()),
        ("c_out lacks the factor σ_d: at high noise the answer must have the data's size",
         "c_out", gap / v.sqrt()),
        (f"c_out {root}", "c_out", s * gap / v),
        (f"c_in {root}", "c_in", 1 / v),
        ("c_in should not be shifted: it scales x_t, whose variance is t² + σ_d²", "c_in",
         1 / (gap**2 + s**2).sqrt()),
        ("c_in is upside down: it must shrink a large x_t", "c_in", v.sqrt()),
    ]  # fmt: skip


def input_variance(answer: Callable[..., Any]) -> float:
    """The variance of c_in x_t on the ring that is furthest from 1, by Monte Carlo."""
    data, g = Ring(), torch.Generator().manual_seed(0)
    x, z = data.oracle.sample(20_000, g).double(), torch.randn(20_000, 2, generator=g).double()
    found = []
    for t in torch.tensor([[0.01], [0.5], [5.0]]).double():
        c_in = three_coefficients(answer(t, data.sigma_data, 0.002), 1)[2]
        found.append(float((c_in * (x + t * z)).square().mean()))
    return max(found, key=lambda v: abs(v - 1))


@exercise
def anchored(answer: Callable[..., Any]) -> str:
    """(c_skip, c_out, ε) -> does f(x, ε) = x hold for every network?"""
    cases = parametrisations()
    try:
        said = [bool(answer(skip, out, eps)) for *_, (skip, out), eps in cases]
    except ZeroDivisionError:
        raise Slip("you ask at t = 0, where ε/t does not exist: the boundary is at ε") from None
    for slip, wrong in WRONG.items():
        expect(said != [wrong(skip, out, eps) for *_, (skip, out), eps in cases], slip)
    for (right, name, _, eps), got in zip(cases, said, strict=True):
        expect(right == got, f"you answer {got} for {name} at ε = {eps:g}, and it is {right}")
    return f"right about {len(cases)} parametrisations, traps included"
