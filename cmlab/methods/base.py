"""What every method is: pairs of times, a target, and one loss per sample."""

from abc import ABC, abstractmethod

from torch import Tensor

from ..model import Denoiser, Model
from ..teacher import Target
from ..types import Data, Pairs, PerSample


class Method(ABC):
    """A paper's training loss.

    `loss` draws its pair of times first: the trainer replays that draw to name the noise level
    at which a loss was not finite.
    """

    pairs: Pairs
    target: Target

    @abstractmethod
    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        """One number per sample; only the trainer averages."""


class Choosy(Method):
    """A loss that not every model can be trained with."""

    @abstractmethod
    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        """Raise TypeError or ValueError, in one sentence, before training; x are two samples.

        spread is the data's standard deviation, root mean square over coordinates, if known.
        """
