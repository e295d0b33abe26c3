"""Model and method as one module, so that the engine wraps the loss and not the network.

Autocast, data parallelism and forward-mode differentiation then need no special case: under
DDP a call to anything but `forward` would silently skip the gradient synchronisation.
"""

from torch import Tensor, nn

from .methods.base import Method
from .model import Denoiser
from .vocabulary import Data, PerSample


class Objective(nn.Module):
    """forward(x, step, cond) -> the method's loss, one number per sample."""

    def __init__(self, model: Denoiser, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method

    def forward(self, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        return self.method.loss(self.model, x, step, cond)
