"""Model and method as one module, so that the engine wraps the loss and not the network.

Autocast, data parallelism and forward-mode differentiation then need no special case: under
DDP a call to anything but `forward` would silently skip the gradient synchronisation.
"""

from torch import Tensor, nn

from .config import Measured, Source
from .guide import Memory
from .methods.base import Choosy, Method
from .model import Denoiser
from .ops import seeded
from .vocabulary import Data, PerSample


class Objective(nn.Module):
    """forward(x, step, cond) -> the method's loss, one number per sample.

    Its parameters are the model's, then those of the method's ingredients that learn along.
    """

    def __init__(self, model: Denoiser, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.memories = [part for part in vars(method).values() if isinstance(part, Memory)]
        for memory in self.memories:
            memory.attach(model)
        self.learned = nn.ModuleDict({n: net for n, net in self.kept().items() if learns(net)})

    def forward(self, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        return self.method.loss(self.model, x, step, cond)

    def update(self, step: int) -> None:
        """Move what has a memory, after an optimizer step."""
        for memory in self.memories:
            memory.update(self.model, step)

    def kept(self) -> dict[str, nn.Module]:
        """The method's networks that a checkpoint must keep, by name."""
        return {name: net for part in self.memories for name, net in part.networks().items()}


def learns(net: nn.Module) -> bool:
    """Has it weights that are trained?"""
    return any(weight.requires_grad for weight in net.parameters())


def look(method: Method, model: Denoiser, data: Source, seed: int) -> None:
    """Two samples through the model. Raises TypeError or ValueError if the loss refuses it."""
    if not isinstance(method, Choosy):
        return
    device = next(model.parameters()).device
    with seeded(device, seed):
        x, cond = data.sample(2)
    spread = data.sigma_data if isinstance(data, Measured) else None
    method.check(model, x.to(device), None if cond is None else cond.to(device), spread)
