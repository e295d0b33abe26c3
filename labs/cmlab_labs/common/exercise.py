"""Exercise checks: each tests a property against the truth and names the likely slip."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from torch import Tensor

from cmlab.types import Denoise


class Slip(Exception):
    """A property fails, and this is the likely reason."""


class NotAttempted(Exception):
    """The stub is still a stub."""


@dataclass(frozen=True)
class Verdict:
    """What a check found. It shows itself at the end of a cell."""

    state: str  # "passed", "slip" or "not attempted yet"
    message: str

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    def points(self, full: float) -> float:
        """What a grader books: all or nothing."""
        return full if self.passed else 0

    def __str__(self) -> str:
        mark = {"passed": "✓", "slip": "✗"}.get(self.state, "○")
        return f"{mark} {self.state}: {self.message}" if self.message else f"{mark} {self.state}"

    __repr__ = __str__


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a check, which raises Slip or returns what it proved, into one that answers a Verdict.

    An answer that is None or `...`, or that returns one of them, is a stub.
    """

    @wraps(check)
    def ask(*answers: Any) -> Verdict:
        if any(answer is None or answer is ... for answer in answers):
            return Verdict("not attempted yet", "fill in the cell above, then run this one again")
        try:
            return Verdict("passed", check(*[guarded(answer) for answer in answers]))
        except (NotAttempted, NotImplementedError):
            return Verdict("not attempted yet", "fill in the cell above, then run this one again")
        except Slip as slip:
            return Verdict("slip", str(slip))
        except Exception as error:  # noqa: BLE001  a learner's code may raise anything
            return Verdict("slip", f"your code stopped with {type(error).__name__}: {error}")

    return ask


def guarded(answer: Any) -> Any:
    """A function that says so when it still returns nothing."""
    if not callable(answer):
        return answer

    @wraps(answer)
    def call(*args: Any, **named: Any) -> Any:
        value = answer(*args, **named)
        if value is None or value is ...:
            raise NotAttempted
        return value

    return call


def expect(held: bool, slip: str) -> None:
    """Raise Slip with this message unless the property held."""
    if not held:
        raise Slip(slip)


# Every call that a sampler makes of its network, kept in order


@dataclass
class Watched:
    """A denoiser that keeps each call: the input x_t, its times, and the answer."""

    denoise: Denoise
    calls: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        x = self.denoise(x_t, t)
        self.calls.append((x_t, t, x))
        return x
