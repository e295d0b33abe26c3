"""Types: the names of tensors, and the signatures of ingredients.

An ingredient is anything callable with one of these signatures: a function, or a frozen dataclass
whose fields are its hyper-parameters.

    x, z, x_t   data, noise, noisy data                                  (b, *d)
    t > r       two times, t the noisier one                             (b,)
    level       the noise level σ_t / α_t, which all processes share     (b,)
    step        the number of optimizer steps taken so far, the papers' k
    cond        class labels (b,) or other conditioning, or None
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from .process import Process


Data = Float[Tensor, "b *d"]  # a batch of samples, clean or noisy
Time = Float[Tensor, "b"]  # one time, or one noise level, per sample
PerSample = Float[Tensor, "b"]  # one number per sample

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
