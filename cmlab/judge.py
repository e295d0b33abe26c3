"""How a run is scored, as an ingredient of its recipe."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from .evaluate.digits import score_digits
from .evaluate.toy import score_toy
from .model import Denoiser
from .sample import FewSteps


@runtime_checkable
class Judge(Protocol):
    """(model, data, sampler) -> named numbers."""

    def __call__(self, model: Denoiser, data: Any, sampler: FewSteps) -> dict[str, float]: ...


@dataclass(frozen=True)
class AgainstOracle:
    """Distance to the exact consistency function of a toy law, on draws fixed by `seed`."""

    sigma_min: float = 0.002
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: FewSteps) -> dict[str, float]:
        return score_toy(model, model.process, data, self.sigma_min, sampler, self.seed)


@dataclass(frozen=True)
class AgainstHeldOut:
    """Fréchet distance of generated digits to held-out ones, `n` images from `seed`."""

    n: int = 2000
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: FewSteps) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            return sampler(model.process, lambda x_t, t: model(x_t, t, labels), z, calls)

        return score_digits(generate, self.n, self.seed)
