"""How a run is scored, as an ingredient of its recipe."""

from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .components import require
from .data.toy import ToyData
from .data.unlabelled import Unlabelled
from .evaluate.digits import score_digits
from .evaluate.patches import patch_distance
from .evaluate.pictures import draws, pictures
from .evaluate.report import Table, table
from .evaluate.spaces import CifarSpace, Space
from .evaluate.toy import score_toy
from .ingredients import ingredient
from .model import Denoiser
from .ops import seeded
from .sample import Sampler


@runtime_checkable
class Judge(Protocol):
    """(model, data, sampler) -> named numbers."""

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]: ...


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
