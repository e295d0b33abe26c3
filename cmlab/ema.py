"""The average of the weights that samples are drawn from. It is not the target network."""

from copy import deepcopy
from typing import Generic, TypeVar

from torch import nn

from .guide import lerp_networks
from .vocabulary import Schedule

M = TypeVar("M", bound=nn.Module)


class EMA(Generic[M]):
    """A frozen copy of a model: weights ← β(k) weights + (1 - β(k)) the model's, each step."""

    def __init__(self, model: M, decay: Schedule) -> None:
        self.model: M = deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    def update(self, model: nn.Module, step: int) -> None:
        # A copy of random weights is no average: early on the average is young, as in EDM.
        decay = min(self.decay(step), (1 + step) / (10 + step))
        lerp_networks(self.model, model, 1 - decay)
