"""Pretrained networks: shipped checkpoints, loaded frozen or as initial weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from ..discovery import SHIPPED
from ..ingredients import ingredient
from ..ops import rewind_rng
from ..train.checkpoint import BadFile, read

CHECKPOINTS = SHIPPED / "checkpoints"


Network = TypeVar("Network", bound=nn.Module)


def frozen(kind: Callable[[], Network], path: Path, script: str) -> Network:
    """A network with the weights of a checkpoint, in eval mode and without gradients.

    Args:
        kind: builds the network.
        path: the checkpoint.
        script: what makes it again, for the error message.

    Raises:
        BadFile: when the file is missing or holds another network.
    """
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
    """The record of a network that starts from shipped weights.

    Args:
        net: the record of the network.
        name: of the checkpoint, data/checkpoints/NAME.safetensors.
    """

    net: Buildable
    name: str

    @property
    def classes(self) -> int:
        return getattr(self.net, "classes", 0)

    def build(self) -> nn.Module:
        """The network with its weights. Raises BadFile when the file holds another network."""
        path, network = CHECKPOINTS / f"{self.name}.safetensors", self.net.build()
        tensors, _ = read(path)
        try:  # the file holds a whole denoiser, whose network is called net
            network.load_state_dict({n.removeprefix("net."): v for n, v in tensors.items()})
        except RuntimeError as error:
            message = f"{path} holds another network than {self.net}; ship it again"
            raise BadFile(message) from error
        return network
