"""Parametrisations by numbers: which hold f(x, ε) = x, and what half a test says of them."""

from collections.abc import Callable

Number = Callable[[float], float]


def shifted(e: float) -> tuple[Number, Number]:
    return lambda t: 1 / ((t - e) ** 2 + 1), lambda t: (t - e) / (t * t + 1) ** 0.5


def parametrisations() -> list[tuple[bool, str, tuple[Number, Number], float]]:
    """Whether it is anchored, its name, c_skip and c_out, and ε."""
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
        (False, "no form at all: c_skip = 0, c_out = 1", (lambda t: 0.0, lambda t: 1.0), e),
        (False, "c_skip = ε/t, c_out = 1", (lambda t: e / t, lambda t: 1.0), e),
        (False, "c_skip = 2, c_out = 1 − ε/t", (lambda t: 2.0, lambda t: 1 - e / t), e),
    ]  # fmt: skip


def near(a: float, b: float, tolerance: float = 1e-6) -> bool:
    return abs(a - b) <= tolerance


WRONG: dict[str, Callable[[Number, Number, float], bool]] = {
    "you only look at c_skip: where c_out(ε) is not 0 the network still has its say": (
        lambda skip, out, e: near(skip(e), 1)
    ),
    "you only look at c_out: with c_skip(ε) = 2 the answer is 2x": (
        lambda skip, out, e: near(out(e), 0)
    ),
    "one of the two is not enough: join them with `and`": (
        lambda skip, out, e: near(skip(e), 1) or near(out(e), 0)
    ),
    "a sum of 1 is not enough: c_skip = 0 and c_out = 1 have it too": (
        lambda skip, out, e: near(skip(e) + out(e), 1)
    ),
    "your tolerance is too wide: the EDM form at ε = 0.002 is close, but does not hold": (
        lambda skip, out, e: near(skip(e), 1, 0.01) and near(out(e), 0, 0.01)
    ),
    "you want equality to the last bit: leave room for rounding, 1e-6 say, near 0 as well": (
        lambda skip, out, e: skip(e) == 1 and out(e) == 0
    ),
    "you ask at 0.002 whatever ε is: use the argument eps": (
        lambda skip, out, e: near(skip(0.002), 1) and near(out(0.002), 0)
    ),
    "you say True to all": lambda skip, out, e: True,
    "you say False to all": lambda skip, out, e: False,
}
