"""Every call that a sampler makes of its network, kept in order."""

from dataclasses import dataclass, field

from torch import Tensor

from ..vocabulary import Denoise


@dataclass
class Watched:
    """A denoiser that keeps each call: the input x_t, its times, and the answer."""

    denoise: Denoise
    calls: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        x = self.denoise(x_t, t)
        self.calls.append((x_t, t, x))
        return x
