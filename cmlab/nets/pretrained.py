"""Networks with shipped weights: frozen ones that judge, and a student that begins with them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from ..ingredients import ingredient
from ..ops import rewind_rng
from ..train.checkpoint import BadFile, read

CHECKPOINTS = Path(__file__).parents[2] / "data" / "checkpoints"


Network = TypeVar("Network", bound=nn.Module)


def frozen(kind: Callable[[], Network], path: Path, script: str) -> Network:
    """A network with the weights in a file. Raises BadFile, naming the script that remakes it."""
    tensors, _ = read(path)
    with rewind_rng(torch.device("cpu")):  # its initial weights are drawn, then overwritten
        network = kind()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadFile(f"{path} holds another network; remake it with python {script}") from error
    return network.eval().requires_grad_(False)


@runtime_checkable
class Buildable(Protocol):
    """The record of a network."""

    def build(self) -> nn.Module: ...


@ingredient
@dataclass(frozen=True)
class PretrainedNet:
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
