"""Pictures by the thousand from a sampler, in batches, kept as bytes."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from ..model import Model
from ..ops import expand, seeded
from ..sample import Sampler, ode
from ..times import KarrasGrid
from ..vocabulary import Denoise
from .spaces import pixels

# Standard normal noise (b, *d), and the classes (b,) asked for or None -> samples (b, *d).
Draw = Callable[[Tensor, Tensor | None], Tensor]

LEVELS = 18  # of the diffusion sampler: 35 calls
CALLS = (1, 2, 4)


def asked(model: Model, cond: Tensor | None) -> Denoise:
    """The model, asked for these classes."""
    return lambda x_t, t: model(x_t, t, cond)


def few_steps(
    model: Model, sampler: Sampler, calls: int, z: Tensor, cond: Tensor | None = None
) -> Tensor:
    """A consistency model's samples in so many calls."""
    return sampler(model.process, asked(model, cond), z, calls)


def diffusion(model: Model, sampler: Sampler, z: Tensor, cond: Tensor | None = None) -> Tensor:
    """Heun's method down 18 levels to 0, Karras et al. 2022 for CIFAR-10: 35 calls.

    From the few-step sampler's σ_max to 0.002. It suits a denoiser: a consistency model answers
    with where its path ends, and not with the mean that the ODE's slope is made of.
    """
    process = model.process
    times = process.time(KarrasGrid(sigma_max=sampler.sigma_max).down(LEVELS)).to(z)
    _, sigma = process(times[:1].repeat(len(z)))
    *_, x = ode(process, asked(model, cond), expand(sigma, z) * z, times)
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
    classes: int = 0,
) -> Tensor:
    """n pictures (n, *shape) as bytes on the CPU, drawn from the seed.

    Where there are classes, picture i is asked to be of class i modulo `classes`.

    The first noise is the CPU's and the same everywhere. That of later calls is the device's, and
    depends on the batch as well.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for start in range(0, n, batch):
        z = torch.randn(min(batch, n - start), *shape, generator=generator).to(device)
        cond = torch.arange(start, start + len(z), device=device) % classes if classes else None
        with seeded(device, seed, start):
            found.append(pixels(draw(z, cond)).cpu())
    return torch.cat(found)
