"""A network that begins with the weights of a shipped generator, as a student may."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from ..checkpoint import BadFile, read

CHECKPOINTS = Path(__file__).parents[2] / "data" / "checkpoints"


@runtime_checkable
class Buildable(Protocol):
    """The record of a network."""

    def build(self) -> nn.Module: ...


@dataclass(frozen=True)
class Shipped:
    """What `net` builds, with the weights of data/checkpoints/NAME.safetensors."""

    net: Buildable
    name: str

    @property
    def classes(self) -> int:
        return getattr(self.net, "classes", 0)

    def build(self) -> nn.Module:
        """The network, ready to go on. Raises BadFile when the file holds another one."""
        path, network = CHECKPOINTS / f"{self.name}.safetensors", self.net.build()
        tensors, _ = read(path)
        try:  # the file holds a whole denoiser, whose network is called net
            network.load_state_dict({n.removeprefix("net."): v for n, v in tensors.items()})
        except RuntimeError as error:
            message = f"{path} holds another network than {self.net}; ship it again"
            raise BadFile(message) from error
        return network
