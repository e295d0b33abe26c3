"""Evaluators: how a run is scored, as an ingredient of its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ..data.digits import Digits, Unlabelled
from ..data.toy import ToyData
from ..gaussian_mixture import require
from ..ingredients import ingredient
from ..methods.pcm import Phases
from ..model import Denoiser
from ..ops import expand, seeded
from ..oracle import Oracle
from ..process import EDM, Process
from ..sampling import Sampler
from ..types import Data, Denoise, Time
from .digits import Generate, score_digits
from .feature_extractors import CifarSpace, Space, load_classifier
from .frechet import frechet
from .patches import patch_distance
from .report import Table, draws, pictures, table
from .toy import score_toy
from .wasserstein import sliced


@ingredient
@dataclass(frozen=True)
class AgainstOracle:
    """Distance to the exact consistency function of a toy law, on draws fixed by `seed`.

    The law is that of the training data, unless another is given.
    """

    sigma_min: float = 0.002
    seed: int = 0
    law: ToyData | None = None

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        law = self.law or data
        return score_toy(model, model.process, law, self.sigma_min, sampler, self.seed)


@ingredient
@dataclass(frozen=True)
class AgainstFresh:
    """Patch distance of `n` generated pictures to as many fresh ones, mean of the levels.

    pd1, pd2: in one and two calls; pd_floor: of other fresh pictures. Draws come from `seed`.
    """

    n: int = 500
    seed: int = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        with seeded(torch.device("cpu"), self.seed):
            fresh, labels = data.sample(self.n)
            other, _ = data.sample(self.n)
            z = torch.randn_like(fresh)
        parts = list(zip(z.split(100), labels.split(100), strict=True))

        def made(calls: int) -> Tensor:
            with seeded(torch.device("cpu"), self.seed, 1):
                x = [
                    sampler(model.process, lambda x_t, t, c=c: model(x_t, t, c), z, calls)
                    for z, c in parts
                ]
            return torch.cat(x).clamp(-1, 1)

        found = {"pd1": made(1), "pd2": made(2), "pd_floor": other}
        return {name: mean(patch_distance(x, fresh)) for name, x in found.items()}


@ingredient
@dataclass(frozen=True)
class AgainstHeldOut:
    """Fréchet distance of generated digits to held-out ones, `n` images from `seed`."""

    n: int = 2000
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            return sampler(model.process, lambda x_t, t: model(x_t, t, labels), z, calls)

        return score_digits(generate, self.n, self.seed)


@ingredient
@dataclass(frozen=True)
class AgainstTest:
    """Generated photographs against the test split, in a named space; noise from `seed`.

    fd, kd, precision, recall, each for 1, 2 and 4 calls and with `heun` for the 35 calls of the
    diffusion sampler, as in fd1 and fd1_error; fd_floor and the like for training images. `n`
    images each way (the test split has 10 000), on the model's device, `batch` at a time.
    """

    n: int = 10_000
    seed: int = 0
    space: Space = CifarSpace()
    heun: bool = False
    batch: int = 500

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return self.table(model, data, sampler).scores()

    def table(self, model: Denoiser, data: Any, sampler: Sampler) -> Table:
        """Every number with what it carries. Raises ValueError for data without a test split."""
        data = data.data if isinstance(data, Unlabelled) else data
        splits = hasattr(data, "train") and hasattr(data, "flip")
        require(splits, f"{type(data).__name__} has no test split: judge a run on CIFAR10")
        train = replace(data, train=True, flip=False).images
        test = replace(data, train=False, flip=False).images
        require(0 < self.n <= len(train), f"the floor takes {self.n} of the training images: ask "
                f"for 1 to {len(train)}")  # fmt: skip
        drawn = torch.Generator().manual_seed(self.seed)
        mine, theirs = (torch.randperm(len(x), generator=drawn)[: self.n] for x in (train, test))
        device = next((p.device for p in model.parameters()), torch.device("cpu"))

        def seen(x: Tensor) -> Tensor:
            return self.space.features(x, device, self.batch)

        classes = getattr(data, "classes", 0)
        size = (data.shape, self.n, device, self.seed, self.batch, classes)
        made = {
            way: seen(pictures(draw, *size))
            for way, draw in draws(model, sampler, self.heun).items()
        }
        return table(made, seen(train[mine]), seen(test[theirs]), self.space.name)


# Where a sampler ends, against where the exact path through the same noise does

NOISES = 4096


@dataclass(frozen=True, eq=False)
class Ends:
    """Noises z (n, d), the exact ends of the paths from σ_max z, and as many fresh samples."""

    z: Tensor
    exact: Tensor  # float64
    fresh: Tensor


@lru_cache(maxsize=8)
def exact_ends(data: ToyData, sigma_max: float, n: int = NOISES, seed: int = 0) -> Ends:
    """The paths from σ_max to noise level 0. Kept in memory."""
    with seeded(torch.device("cpu"), seed, 3):
        fresh, _ = data.sample(n)
        z = torch.randn_like(fresh)
    level = torch.full((n,), sigma_max, dtype=torch.float64)
    exact = data.oracle.flow(sigma_max * z.double(), level, torch.zeros_like(level))
    return Ends(z, exact, fresh)


@dataclass(frozen=True)
class ExactJumps:
    """The denoiser, under EDM, whose line leads from x_t to the exact path's point at the edge.

    What a phased network should learn: with one phase down to 0 it is f*.
    """

    law: Oracle
    phases: Phases

    def __call__(self, x_t: Data, t: Time) -> Data:
        s = self.phases.floor(EDM(), t)
        share = expand(s / t, x_t)
        return (self.law.flow(x_t, t, s) - share * x_t) / (1 - share)


def nearest_mode(data: ToyData, x: Data) -> Tensor:
    """The number of the nearest mode, (n,)."""
    return torch.cdist(x.flatten(1).double(), data.oracle.components.means).argmin(1)


def against(data: ToyData, x: Data, ends: Ends) -> dict[str, float]:
    """Four numbers of samples x that came from the noises ends.z.

    end   mean distance to the exact ends      rms  its root mean square
    same  share that ends nearest to the same mode
    sw    sliced W₂ to fresh data, which does not ask whose noise a sample came from
    """
    away = (x.double() - ends.exact).flatten(1).norm(dim=1)
    same = nearest_mode(data, x) == nearest_mode(data, ends.exact)
    return {
        "end": float(away.mean()),
        "rms": float(away.square().mean().sqrt()),
        "same": float(same.double().mean()),
        "sw": sliced(x, ends.fresh),
    }


@torch.no_grad()
def score_ends(
    denoise: Denoise, process: Process, data: ToyData, sampler: Sampler, calls: int, seed: int = 0
) -> dict[str, float]:
    """`against` for a sampler in so many calls, on draws that depend on the seed alone."""
    ends = exact_ends(data, sampler.sigma_max, seed=seed)
    with seeded(ends.z.device, seed, 4):
        x = sampler(process, denoise, ends.z, calls)
    return against(data, x, ends)


@torch.no_grad()
def digits_by_calls(
    generate: Generate, calls: Sequence[int], n: int = 2000, seed: int = 0
) -> dict[str, float]:
    """fd1, fd2, …: Fréchet distance to the held-out digits by calls. See `score_digits`.

    accuracy is that of the last; the draws are those of `score_digits`.
    """
    eye, held_out = load_classifier(), Digits(train=False)
    labels, truth = held_out.labels[torch.arange(n) % len(held_out)], eye.features(held_out.images)
    found, x = {}, held_out.images
    for many in calls:
        with seeded(torch.device("cpu"), seed):
            z = torch.randn(n, *held_out.shape)
            x = generate(z, labels, many).clamp(-1, 1)
        found[f"fd{many}"] = frechet(eye.features(x), truth)
    return found | {"accuracy": float((eye(x).argmax(1) == labels).double().mean())}


# Judges of a sampler that is meant for one number of calls, as a phased one is for its phases


@ingredient
@dataclass(frozen=True)
class ByEnds:
    """Toy data: where the samples end, after `calls` calls, against the exact paths' ends."""

    calls: int = 4
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return score_ends(model, model.process, data, sampler, self.calls, self.seed)


@ingredient
@dataclass(frozen=True)
class DigitsByCalls:
    """Fréchet distance of generated digits to held-out ones, for each number of calls."""

    calls: tuple[int, ...] = (1, 2, 4)
    n: int = 2000
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            with torch.no_grad():
                return sampler(model.process, lambda x_t, t: model(x_t, t, labels), z, calls)

        return digits_by_calls(generate, self.calls, self.n, self.seed)
