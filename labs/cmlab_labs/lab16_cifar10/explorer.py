"""Explorer of lab 16: samples from between two noise vectors, in one, two or four calls."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import cast

import torch
from torch import Tensor

from cmlab.methods.editing import slerp
from cmlab.metrics.precision_recall import nearest_images
from cmlab.ops import seeded
from cmlab.sampling import FewSteps
from cmlab.types import Denoise

from ..common.exercise import RecordedCalls
from ..common.explorer import Explorer, Picture, choice, log_slider, slider
from ..common.generators import Generator, ReferenceImages
from ..common.plots_samples import contrast_scaled
from .figures import GeneratorScene, generator_scene

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def noise(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal noise (1, *shape), a function of the seed."""
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))


def few_steps(generator: Generator) -> FewSteps:
    """Its sampler: what is shipped here jumps and adds noise."""
    return cast(FewSteps, generator.recipe.sampler)


def explorer(generator: Generator) -> Explorer:
    """Knobs: `seed`, `other`, `share`, `label` where there are classes, `calls` and `middle`."""
    middle = few_steps(generator).sigma_mid
    knobs = {
        "seed": slider("first noise: seed", 0, 0, 99),
        "other": slider("second noise: seed", 1, 0, 99),
        "share": slider("share of the second noise", 0.0, 0.0, 1.0, 0.05),
        "calls": choice("network calls", (1, 2, 4)),
        "middle": log_slider("noise level of the last call", middle, 0.02, 20),
    }
    if names := generator.classes:
        knobs["label"] = choice("class", [(name, k) for k, name in enumerate(names)], 0)
    return Explorer(partial(picture, generator), knobs, "explorer(generator)")


@torch.no_grad()
def picture(
    generator: Generator, seed: int, other: int, share: float, calls: int, middle: float,
    label: int = 0,
) -> Picture:  # fmt: skip
    """Samples from the noise at this share of the path from one noise to the other."""
    data = generator.data
    z = slerp(noise(seed, data.shape), noise(other, data.shape), share)
    f = RecordedCalls(answers(generator, label, 1))
    sampler = replace(few_steps(generator), sigma_mid=middle)
    with seeded(z.device, seed):  # fresh noise between two calls
        sampler(generator.model.process, f, z, calls)
    x_in, times, x_out = (torch.cat(part) for part in zip(*f.calls, strict=True))
    near, distances = neighbours(generator.pool, x_out[-1:])
    between = interpolations(generator, seed, other, label)
    inside = contrast_scaled(x_in, times, data.sigma_data)
    scene = GeneratorScene((inside, x_out), x_out[-1], near, distances, between, SHARES)
    text = reading(generator, times, distances, f"seed={seed}, {share:.0%} of seed {other}")
    return Picture(generator_scene(scene), text)


def answers(generator: Generator, label: int, n: int) -> Denoise:
    asked = generator.asked(label, n)
    return lambda x_t, t: generator.model(x_t, t, asked)


@lru_cache(maxsize=32)
@torch.no_grad()
def interpolations(generator: Generator, seed: int, other: int, label: int) -> Tensor:
    """One-call pictures at each of SHARES of the great circle between two noise vectors."""
    data = generator.data
    ends = noise(seed, data.shape), noise(other, data.shape)
    z = torch.cat([slerp(*ends, s) for s in SHARES])
    f = answers(generator, label, len(z))
    return generator.recipe.sampler(generator.model.process, f, z, 1)


def neighbours(pool: ReferenceImages | None, x: Tensor) -> tuple[Tensor, list[float]]:
    """The three nearest pictures in [-1, 1] and their distances; none without a pool."""
    if pool is None:
        return x[:0], []
    distances, which = nearest_images(x, pool.images, 3)
    return pool.images[which[0]].float() / 127.5 - 1, distances[0].tolist()


def reading(generator: Generator, times: Tensor, distances: Sequence[float], mix: str) -> str:
    """Two lines of text on the picture."""
    at = ", ".join(f"{t:.3g}" for t in times.tolist())
    one = len(times) == 1
    calls = f"{len(times)} network call{'s' * (not one)}, at noise level{'s' * (not one)} {at}."
    lazy = " With one call, the noise level of the last call has no effect." if one else ""
    pool = generator.pool
    near = "The training pictures are not on this machine: no neighbours are shown."
    if pool:
        near = (f"In pixels, the nearest of {pool.name} is {distances[0]:.1f} away; for unseen "
                f"real pictures the median is {pool.typical:.1f}, and an exact copy would be at "
                "0.")  # fmt: skip
    return f"{mix}: {calls}{lazy}\n{near}"
