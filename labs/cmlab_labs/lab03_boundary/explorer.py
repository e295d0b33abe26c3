"""Explorer of lab 03: four parametrisations, their coefficients, and untrained networks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from cmlab.model import CMPrecond, Coefficients, Denoiser, EDMPrecond, Precond
from cmlab.nets import MLP
from cmlab.nets.embedding import Fourier
from cmlab.ops import seeded
from cmlab.process import Process, VarianceExploding
from cmlab.types import Time

from ..common.explorer import Explorer, Picture, choice, log_slider
from .figures import parametrisation_figure

HIGH = 10.0  # the largest noise level shown
NOISY_POINTS = torch.linspace(-2, 2, 81, dtype=torch.float64)


@dataclass(frozen=True)
class RatioPrecond(Precond):
    """c_skip = ε/t, c_out = 1 - ε/t: the shortest form with f(x, ε) = x. c_in is EDM's."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002

    @property
    def process(self) -> Process:
        return VarianceExploding()

    def __call__(self, t: Time) -> Coefficients:
        ratio = self.sigma_min / t
        return ratio, 1 - ratio, *EDMPrecond(self.sigma_data)(t)[2:]


@dataclass(frozen=True)
class BarePrecond(Precond):
    """c_skip = 0, c_out = 1: the network alone, and no boundary. c_in is EDM's."""

    sigma_data: float = 0.5

    @property
    def process(self) -> Process:
        return VarianceExploding()

    def __call__(self, t: Time) -> Coefficients:
        zero = torch.zeros_like(t)
        return zero, zero + 1, *EDMPrecond(self.sigma_data)(t)[2:]


def parametrisations(sigma_data: float, sigma_min: float) -> dict[str, Precond]:
    """The four parametrisations by name."""
    both = (sigma_data, sigma_min)
    held = {"CM form": CMPrecond(*both), "EDM form": EDMPrecond(sigma_data)}
    return held | {"ε/t form": RatioPrecond(*both), "bare": BarePrecond(sigma_data)}


def untrained(precond: Precond, seed: int) -> Denoiser:
    """A small random network on the line, its answers scaled to mean square 1."""
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        net = MLP(1, width=32, depth=2, embed=Fourier(8, 0.3)).double()
        u, c_noise = torch.randn(1000, 1).double(), torch.linspace(-1.5, 0.6, 1000).double()
        size = net(u, c_noise).square().mean().sqrt()
        net.last.weight /= size
        net.last.bias /= size
    return Denoiser(net, precond)


@lru_cache(maxsize=8)
def network(seed: int) -> torch.nn.Module:
    """The bare network of `untrained`, kept: it is the same in every form."""
    return untrained(EDMPrecond(), seed).net


def explorer(coefficients: bool = True) -> Explorer:
    """Knobs: `form`, `sigma_data` and `eps`, the smallest noise level ε.

    Args:
        coefficients: show them as well, and not the answers alone.
    """
    knobs = {
        "form": choice("form", tuple(parametrisations(0.5, 0.002))),
        "sigma_data": log_slider("σ_d (data units)", 0.94, 0.2, 2.0),
        "eps": log_slider("ε = σ_min (data units)", 0.002, 0.002, 0.5),
    }
    call = "explorer()" if coefficients else "explorer(coefficients=False)"
    return Explorer(partial(picture, coefficients=coefficients), knobs, call)


def picture(
    form: str, sigma_data: float, eps: float, networks: int = 5, coefficients: bool = True
) -> Picture:
    """The chosen form, and f of untrained networks at ε and two levels above it."""
    precond = parametrisations(sigma_data, eps)[form]
    levels = eps * (HIGH / eps) ** torch.tensor([0.0, 0.4, 0.8], dtype=torch.float64)
    answers = torch.stack([untrained_answers(precond, t, networks) for t in levels])
    shown = precond if coefficients else None
    figure = parametrisation_figure(form, shown, levels, NOISY_POINTS, answers)
    said = reading(precond, levels, float((answers[0] - NOISY_POINTS).abs().max()))
    return Picture(figure, said if coefficients else said.split("\n")[1])


@torch.no_grad()
def untrained_answers(precond: Precond, t: Tensor, networks: int) -> Tensor:
    """f(X, t) of untrained networks 0, 1, …: (networks, points)."""
    at = t.expand(len(NOISY_POINTS))
    models = [Denoiser(network(seed), precond) for seed in range(networks)]
    return torch.stack([model(NOISY_POINTS[:, None], at)[:, 0] for model in models])


def reading(precond: Callable[[Tensor], Coefficients], levels: Tensor, off: float) -> str:
    """The reading of the picture, in three lines."""
    skip, out, c_in, _ = (c.tolist() for c in precond(levels))
    held = "no boundary condition at ε"
    if off < 0.05:
        held = "the boundary condition nearly holds"
    if off < 1e-9:
        held = "the boundary condition holds for every network"
    spread = c_in[0] * (0.94**2 + float(levels[0]) ** 2) ** 0.5
    return (
        f"c_skip(ε) = {skip[0]:.6g} and c_out(ε) = {out[0]:.3g}: {held}.\n"
        f"At ε, the answers of five untrained networks differ from x by at most {off:.2g}.\n"
        f"At t = {levels[1]:.2g} an error of the network is multiplied by {out[1]:.2g}. "
        f"At ε, data with standard deviation 0.94 reach the network with a spread of {spread:.2f}."
    )
