"""Types: the names of tensors, the signatures of ingredients, and the ranges of their fields.

An ingredient is anything callable with one of these signatures: a function, or a frozen dataclass
whose fields are its hyper-parameters.

    x, z, x_t   data, noise, noisy data                                  (b, *d)
    t > r       two times, t the noisier one                             (b,)
    level       the noise level σ_t / α_t, which all processes share     (b,)
    step        the number of optimizer steps taken so far, the papers' k
    cond        class labels (b,) or other conditioning, or None
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from .process import Process


Data = Float[Tensor, "b *d"]  # a batch of samples, clean or noisy
Time = Float[Tensor, "b"]  # one time, or one noise level, per sample
PerSample = Float[Tensor, "b"]  # one number per sample
Times = Float[Tensor, "b"] | Float[Tensor, "b 2"]  # what a network is told of the time(s)

Denoise = Callable[[Tensor, Tensor], Tensor]  # (x_t, t) -> an estimate of x
Teacher = Callable[[Tensor, Tensor | None], Denoise]  # (x, cond) -> a denoiser of noisy x
Solver = Callable[["Process", Denoise, Tensor, Tensor, Tensor], Tensor]  # (x_t, t, r) -> x_r
Pairs = Callable[["Process", Tensor, int], tuple[Tensor, Tensor]]  # (x, step) -> t > r
Coupling = Callable[[Tensor, Tensor], Tensor]  # (x, z) -> z, permuted to pair with x
Metric = Callable[[Tensor, Tensor], Tensor]  # d(a, b), one number per sample
Weight = Callable[[Tensor, Tensor], Tensor]  # λ(t, r)
GeneratorLoss = Callable[[Tensor], Tensor]  # D(fake) -> loss, one number per sample
Schedule = Callable[[int], float]  # step -> value
Prior = Callable[[Tensor, float], Tensor]  # (t, σ_d) -> c(t), the factor on df/dt in sCM
Bound = Callable[[Tensor], Tensor]  # a tangent -> one of bounded norm
LossWeighting = Callable[[Tensor, Tensor], Tensor]  # (t, loss) -> the weighted loss, per sample


# Ranges: what a numeric field may hold, checked by `ingredient` when the class is called


@dataclass(frozen=True)
class Range:
    """An interval in the usual notation, such as "[0, 1)" or "(0, inf]"; NaN lies in none.

    It is written into a field's type: `Annotated[float, Range("[0, 1)")]`. On the type of a
    schedule it holds the schedule's values.
    """

    interval: str

    def __contains__(self, number: float) -> bool:
        low, high = self.ends
        above = number > low or (number == low and self.interval[0] == "[")
        return above and (number < high or (number == high and self.interval[-1] == "]"))

    @cached_property
    def ends(self) -> tuple[float, float]:
        low, high = self.interval[1:-1].split(",")
        return float(low), float(high)

    def __str__(self) -> str:
        return self.interval


# Bounded where float32 can still square the number and its inverse.
Real = Annotated[float, Range("[-1e9, 1e9]")]
Positive = Annotated[float, Range("[1e-12, 1e9]")]
NonNegative = Annotated[float, Range("[0, 1e9]")]
Share = Annotated[float, Range("[0, 1]")]
BelowOne = Annotated[float, Range("[0, 1)")]
ShareSchedule = Annotated[Schedule, Range("[0, 1]")]
MomentumSchedule = Annotated[Schedule, Range("[0, 1)")]

Count = Annotated[int, Range("[1, 1e9]")]
Natural = Annotated[int, Range("[0, 1e9]")]
Seed = Annotated[int, Range("[-1e18, 1e18]")]
Samples = Annotated[int, Range("[1, 1e5]")]
Calls = Annotated[int, Range("[1, 1000]")]  # of a network, for one sample

# Wider and deeper than any network that was published for this.
Width = Annotated[int, Range("[1, 16384]")]
Depth = Annotated[int, Range("[1, 256]")]
Classes = Annotated[int, Range("[0, 1e6]")]
