"""Pictures by the thousand from a sampler, in batches, kept as bytes."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from ..model import Model
from ..ops import expand, seeded
from ..sample import Sampler, ode
from ..times import KarrasGrid
from .spaces import pixels

Draw = Callable[[Tensor], Tensor]  # standard normal noise (b, *d) -> samples (b, *d)

LEVELS = 18  # of the diffusion sampler: 35 calls
CALLS = (1, 2, 4)


def few_steps(model: Model, sampler: Sampler, calls: int, z: Tensor) -> Tensor:
    """A consistency model's samples in so many calls."""
    return sampler(model.process, model, z, calls)


def diffusion(model: Model, sampler: Sampler, z: Tensor) -> Tensor:
    """Heun's method down 18 levels to 0, Karras et al. 2022 for CIFAR-10: 35 calls.

    From the few-step sampler's σ_max to 0.002. It suits a denoiser: a consistency model answers
    with where its path ends, and not with the mean that the ODE's slope is made of.
    """
    process = model.process
    times = process.time(KarrasGrid(sigma_max=sampler.sigma_max).down(LEVELS)).to(z)
    _, sigma = process(times[:1].repeat(len(z)))
    *_, x = ode(process, model, expand(sigma, z) * z, times)
    return x


def draws(model: Model, sampler: Sampler, heun: bool = False) -> Mapping[str, Draw]:
    """Ways to sample by name: in 1, 2 and 4 calls and, if asked, by the diffusion sampler."""
    ways = {
        f"{calls} call{'s' * (calls > 1)}": partial(few_steps, model, sampler, calls)
        for calls in CALLS
    }
    return ways | ({"35 calls": partial(diffusion, model, sampler)} if heun else {})


@torch.no_grad()
def pictures(
    draw: Draw,
    shape: tuple[int, ...],
    n: int,
    device: torch.device,
    seed: int = 0,
    batch: int = 500,
) -> Tensor:
    """n pictures (n, *shape) as bytes on the CPU, drawn from the seed.

    The first noise is the CPU's and the same everywhere. That of later calls is the device's, and
    depends on the batch as well.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for start in range(0, n, batch):
        z = torch.randn(min(batch, n - start), *shape, generator=generator).to(device)
        with seeded(device, seed, start):
            found.append(pixels(draw(z)).cpu())
    return torch.cat(found)
