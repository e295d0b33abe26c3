"""Exercise checks: each tests a property against the exact result and names the likely mistake."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from cmlab.types import Denoise


class Slip(Exception):
    """An exercise's answer fails a check, and this is the likely mistake."""


class NotAttempted(Exception):
    """The exercise is still the stub that the notebook came with."""


@dataclass(frozen=True)
class Verdict:
    """The result of an exercise check, as a notebook shows it at the end of a cell.

    Args:
        state: "passed", "slip" (shown as "mistake") or "not attempted yet".
        message: what was proved, or the likely mistake.
    """

    state: str
    message: str

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    def points(self, full: float) -> float:
        """Points for a grader such as nbgrader: all or nothing."""
        return full if self.passed else 0

    def __str__(self) -> str:
        mark = {"passed": "✓", "slip": "✗"}.get(self.state, "○")
        said = "mistake" if self.state == "slip" else self.state
        return f"{mark} {said}: {self.message}" if self.message else f"{mark} {said}"

    __repr__ = __str__


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a check, which raises Slip or returns what it proved, into one that returns a Verdict.

    A decorator. An answer that is None or `...`, or that returns one of them, is a stub.
    """

    @wraps(check)
    def ask(*answers: Any) -> Verdict:
        if any(answer is None or answer is ... for answer in answers):
            return Verdict("not attempted yet", "fill in the cell above, then run this one again")
        try:
            return Verdict("passed", check(*[raise_if_stub(answer) for answer in answers]))
        except (NotAttempted, NotImplementedError):
            return Verdict("not attempted yet", "fill in the cell above, then run this one again")
        except Slip as slip:
            return Verdict("slip", str(slip))
        except Exception as error:  # noqa: BLE001  a learner's code may raise anything
            return Verdict("slip", f"your code stopped with {type(error).__name__}: {error}")

    return ask


def raise_if_stub(answer: Any) -> Any:
    """Wrap a learner's function so that it raises NotAttempted while it returns nothing."""
    if not callable(answer):
        return answer

    @wraps(answer)
    def call(*args: Any, **named: Any) -> Any:
        value = answer(*args, **named)
        if value is None or value is ...:
            raise NotAttempted
        return value

    return call


def expect(holds: bool, slip: str) -> None:
    """Raise Slip with this message unless the property holds."""
    if not holds:
        raise Slip(slip)


def close(a: Any, b: Any, rtol: float = 0.0, atol: float = 0.0) -> bool:
    """Whether two numbers or tensors agree within a tolerance: |a - b| ≤ atol + rtol |b|.

    They are compared in float64. Tensors of different shapes do not agree.
    """
    a, b = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


@dataclass
class RecordedCalls:
    """A denoiser that records each network call: the input x_t, its times t, and the answer x."""

    denoise: Denoise
    calls: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        x = self.denoise(x_t, t)
        self.calls.append((x_t, t, x))
        return x
