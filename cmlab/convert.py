"""A trained denoiser in another process's clock: wrapped, or with its own network carried over."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from .model import Denoiser, EDMPrecond, Model, Precond, QuarterLog, TrigPrecond
from .ops import expand
from .process import Process
from .vocabulary import Data, Time


class Reclocked(nn.Module):
    """A trained denoiser read under another process's clock."""

    def __init__(self, model: Model, process: Process) -> None:
        super().__init__()
        self.model = model
        self.process = process

    def forward(self, x_t: Data, t: Time, cond: Tensor | None = None) -> Data:
        native = self.model.process
        alpha_t, _ = self.process(t)
        s = native.time(self.process.level(t))
        alpha_s, _ = native(s)
        return self.model(expand(alpha_s / alpha_t, x_t) * x_t, s, cond)


def carried(model: Denoiser, precond: Precond) -> Denoiser:
    """A copy of a trained denoiser, its own network under another preconditioning.

    Between EDM and TrigFlow it is the same function of data and noise: the network sees the same
    numbers, since c_in(σ) x_σ = x_t / σ_d, and F_trig = -F_edm (Lu & Song 2025, App. B), so the
    last layer changes its sign. TrigFlow must then tell the network ln(σ)/4, which it was
    trained on; a network trained on the angle cannot go back. Raises ValueError.
    """
    net, old = deepcopy(model.net), model.precond
    if same(old, precond) or same(precond, old):
        negate(net)
    elif isinstance(old, TrigPrecond) != isinstance(precond, TrigPrecond) or (
        isinstance(old, TrigPrecond) and old != precond
    ):
        raise ValueError(
            f"a network trained with {old} cannot be carried over to {precond}: both must have "
            f"one sigma_data and TrigFlow c_noise = QuarterLog(); or wrap it in Reclocked"
        )
    return Denoiser(net, precond)


def same(edm: Precond, trig: Precond) -> bool:
    """Is this EDM's and TrigFlow's, with the same numbers at the network's entrance?"""
    return isinstance(edm, EDMPrecond) and trig == TrigPrecond(edm.sigma_data, QuarterLog())


@torch.no_grad()
def negate(net: nn.Module) -> None:
    """F -> -F in place: the last layer's weights change their sign."""
    *_, layer = net.get_submodule("last").modules()
    for weight in layer.parameters():
        weight.neg_()
