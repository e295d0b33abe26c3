"""Evaluators: how a run is scored, an ingredient of its recipe. Every evaluator stands here.

An evaluator is called with (model, data, sampler) and gives numbers by name. Its draws depend on
its seed alone, and it leaves the global random state as it was.

    data            few-step samplers                denoisers, 35 calls of Heun's method
    toy             ToyEvaluator, PathEndEvaluator,           ToyDenoiserEvaluator
                    FlowMapEvaluator
    digits          DigitsEvaluator, DigitsStepsEvaluator    DigitsDenoiserEvaluator
    latents         LatentDigitsEvaluator, LatentShapesEvaluator
    shapes          ShapesEvaluator                     ShapesDenoiserEvaluator
    photographs     CIFAR10Evaluator                      CIFAR10Evaluator(heun=True)
    own pictures    ImagesEvaluator                       ImagesEvaluator(heun=True)

What they measure is defined beside: `toy` (errors against the exact consistency function),
`digits`, `patches`, `denoiser`, `frechet`, `precision_recall`, `wasserstein`, and `report` (the
table of photographs with its error bars).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean
from typing import Annotated, Any

import torch
from torch import Tensor

from ..data.digits import Digits, Unlabelled
from ..data.toy import ToyData
from ..gaussian_mixture import require
from ..ingredients import ingredient
from ..model import Denoiser, conditioned
from ..noise_levels import LogNormal
from ..ops import seeded, sum_squares
from ..sampling import Sampler
from ..train.config import Source
from ..types import Calls, Positive, Range, Samples, Seed
from .denoiser import EDM_LEVELS, exact_heun_samples, excess, heun_samples, noisy_loss
from .digits import digits_by_calls, score_digits
from .feature_extractors import CifarSpace, Space, load_classifier
from .frechet import frechet
from .patches import patch_distance
from .precision_recall import nearest_images
from .report import Table, draws, few_steps, sample_images, table, with_classes
from .toy import score_ends, score_flow_map, score_toy
from .wasserstein import energy, sliced

CPU = torch.device("cpu")


def patch_distances(images: Mapping[str, Tensor], fresh: Tensor) -> dict[str, float]:
    """Patch distance of each set of images (n, c, h, w) to fresh ones, mean of the levels."""
    return {name: mean(patch_distance(x, fresh)) for name, x in images.items()}


# Toy data, against the exact distribution


MoreThanPixels = Annotated[int, Range("[65, 1e5]")]  # a covariance of 64 features needs more


@ingredient
@dataclass(frozen=True)
class ToyEvaluator:
    """Toy data: errors against the exact consistency function and distribution, `score_toy`.

    Args:
        sigma_min: the lowest noise level.
        seed: of all draws.
        distribution: the exact distribution, if it is not that of the training data.
    """

    sigma_min: Positive = 0.002
    seed: Seed = 0
    distribution: ToyData | None = None

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        exact = self.distribution or data
        return score_toy(model, model.process, exact, self.sigma_min, sampler, self.seed)


@ingredient
@dataclass(frozen=True)
class PathEndEvaluator:
    """Toy data: samples of a fixed number of calls against the exact endpoints, `score_ends`.

    For a sampler that is meant for one number of calls, as a phased one is for its phases.

    Args:
        calls: network calls.
        seed: of all draws.
    """

    calls: Calls = 4
    seed: Seed = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return score_ends(model, model.process, data, sampler, self.calls, self.seed)


@ingredient
@dataclass(frozen=True)
class FlowMapEvaluator:
    """Toy data: jumps and velocity of a flow map against the exact ones, `score_flow_map`.

    Args:
        points: jumps that are compared.
        seed: of all draws.
    """

    points: Samples = 2048
    seed: Seed = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return score_flow_map(model, data, sampler, self.points, self.seed)


@ingredient
@dataclass(frozen=True)
class ToyDenoiserEvaluator:
    """A toy denoiser beside the exact one.

    excess  EDM's loss above its minimum, under the noise level distribution `proposal`
    away    RMS distance of Heun samples to the exact denoiser's from the same noise
    ed, sw  energy distance and sliced W₂ of the samples to fresh data

    Args:
        proposal: distribution of the noise levels at which the loss is taken.
        points: samples.
        seed: of all draws.
    """

    proposal: LogNormal = EDM_LEVELS
    points: Samples = 2048
    seed: Seed = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: ToyData, sampler: Sampler) -> dict[str, float]:
        x_T, exact, fresh = exact_heun_samples(data, sampler.sigma_max, self.points, self.seed)
        x = heun_samples(model.process, model, x_T, sampler.sigma_max)
        return {
            "excess": float(excess(model, data, self.proposal).mean()),
            "away": float(sum_squares(x - exact).mean().sqrt()),
            "ed": energy(x, fresh),
            "sw": sliced(x, fresh),
        }


# Digits and their latents, against the held-out digits


@ingredient
@dataclass(frozen=True)
class DigitsEvaluator:
    """Digits: Fréchet distance to the held-out ones in one and two calls, `score_digits`.

    Args:
        n: generated images.
        seed: of all draws.
    """

    n: MoreThanPixels = 2000
    seed: Seed = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return score_digits(partial(few_steps, model, sampler), self.n, self.seed)


@ingredient
@dataclass(frozen=True)
class DigitsStepsEvaluator:
    """Digits: Fréchet distance to the held-out ones for each number of calls.

    Args:
        calls: the numbers of network calls.
        n: generated images.
        seed: of all draws.
    """

    calls: tuple[Calls, ...] = (1, 2, 4)
    n: MoreThanPixels = 2000
    seed: Seed = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return digits_by_calls(partial(few_steps, model, sampler), self.calls, self.n, self.seed)


@ingredient
@dataclass(frozen=True)
class DigitsDenoiserEvaluator:
    """A denoiser of digits: `loss` on the held-out ones, and `fd35`, Fréchet distance to them.

    As many Heun samples as there are held-out digits, of their classes where the network takes
    one. fd_floor: the training digits' distance.

    Args:
        proposal: distribution of the noise levels at which the loss is taken.
        seed: of all draws.
    """

    proposal: LogNormal = EDM_LEVELS
    seed: Seed = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Source, sampler: Sampler) -> dict[str, float]:
        classifier, held_out = load_classifier(), Digits(train=False)
        with seeded(CPU, self.seed):
            cond = held_out.labels if data.sample(1)[1] is not None else None
            x_T = sampler.sigma_max * torch.randn_like(held_out.images)
            loss = noisy_loss(model, held_out.images, cond, self.proposal)
        denoise = conditioned(model, cond)
        x = heun_samples(model.process, denoise, x_T, sampler.sigma_max).clamp(-1, 1)
        real = classifier.features(held_out.images)
        return {
            "fd35": frechet(classifier.features(x), real),
            "loss": loss,
            "fd_floor": frechet(classifier.features(Digits().images), real),
        }


def decoded_samples(
    model: Denoiser, data: Any, sampler: Sampler, labels: Tensor | None, n: int, calls: int,
    seed: int,
) -> Tensor:  # fmt: skip
    """n decoded images in [-1, 1], 250 at a time, from noise fixed by the seed."""
    with seeded(CPU, seed, 1):
        z = torch.randn(n, *data.shape)
        x = []
        for rows in torch.arange(n).split(250):
            cond = None if labels is None else labels[rows]
            x.append(few_steps(model, sampler, z[rows], cond, calls))
    return data.decode(torch.cat(x)).clamp(-1, 1)


@ingredient
@dataclass(frozen=True)
class LatentDigitsEvaluator:
    """Latents of digits: Fréchet distance of decoded samples to held-out digits, `score_digits`.

    fd_coded: of the training digits after encoding and decoding, which no generator of the
    latents can be expected to beat. Data is `Latents` of digits, or `Impulses` on them.

    Args:
        n: generated images.
        seed: of all draws.
    """

    n: MoreThanPixels = 2000
    seed: Seed = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            return decoded_samples(model, data, sampler, labels, len(labels), calls, self.seed)

        classifier, clean = load_classifier(), data.clean
        coded = classifier.features(clean.decode(clean.latents).clamp(-1, 1))
        real = classifier.features(Digits(train=False).images)
        return score_digits(generate, self.n, self.seed) | {"fd_coded": frechet(coded, real)}


# Endless images, against fresh ones


@ingredient
@dataclass(frozen=True)
class ShapesEvaluator:
    """Endless images: patch distance of `n` generated ones to as many fresh ones.

    pd1, pd2: in one and two calls; pd_floor: of other fresh images.

    Args:
        n: images in each set.
        seed: of all draws.
    """

    n: Samples = 500
    seed: Seed = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        with seeded(CPU, self.seed):
            fresh, labels = data.sample(self.n)
            other, _ = data.sample(self.n)
            z = torch.randn_like(fresh)
        parts = list(zip(z.split(100), labels.split(100), strict=True))

        def generated(calls: int) -> Tensor:
            with seeded(CPU, self.seed, 1):
                x = [few_steps(model, sampler, z, cond, calls) for z, cond in parts]
            return torch.cat(x).clamp(-1, 1)

        images = {"pd1": generated(1), "pd2": generated(2), "pd_floor": other}
        return patch_distances(images, fresh)


@ingredient
@dataclass(frozen=True)
class ShapesDenoiserEvaluator:
    """A denoiser of endless images: `loss` on fresh ones, and `pd35`, patch distance to them.

    pd_floor: the patch distance of other fresh images.

    Args:
        proposal: distribution of the noise levels at which the loss is taken.
        n: images in each set.
        seed: of all draws.
    """

    proposal: LogNormal = EDM_LEVELS
    n: Samples = 60
    seed: Seed = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Source, sampler: Sampler) -> dict[str, float]:
        with seeded(CPU, self.seed):
            fresh, cond = data.sample(self.n)
            other, _ = data.sample(self.n)
            x_T = sampler.sigma_max * torch.randn_like(fresh)
            loss = noisy_loss(model, fresh, cond, self.proposal)
        denoise = conditioned(model, cond)
        x = heun_samples(model.process, denoise, x_T, sampler.sigma_max).clamp(-1, 1)
        floor = patch_distances({"pd_floor": other}, fresh)
        return patch_distances({"pd35": x}, fresh) | {"loss": loss} | floor


@ingredient
@dataclass(frozen=True)
class LatentShapesEvaluator:
    """Latents of endless images: patch distance of `n` decoded samples to as many fresh images.

    pd1, pd2: in one and two calls; pd_coded: of encoded and decoded images; pd_floor: of other
    fresh ones.

    Args:
        n: images in each set.
        seed: of all draws; not the one with which the images for training were drawn.
    """

    n: Samples = 500
    seed: Seed = 1

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        with seeded(CPU, self.seed):
            fresh, labels = data.clean.data.sample(self.n)
            other, _ = data.clean.data.sample(self.n)
        cond = labels if getattr(data, "classes", 0) else None
        images = {
            f"pd{calls}": decoded_samples(model, data, sampler, cond, self.n, calls, self.seed)
            for calls in (1, 2)
        }
        images["pd_coded"] = data.decode(data.clean.encode(other)).clamp(-1, 1)
        images["pd_floor"] = other
        return patch_distances(images, fresh)


# Pictures of one's own, against those held out


@ingredient
@dataclass(frozen=True)
class ImagesEvaluator:
    """Own pictures: patch distance of generated ones to as many that were held out.

    pd1, pd2, pd4   in so many calls, and with `heun` pd35, of the diffusion sampler
    pd_floor        of as many training pictures
    memorised       share of the samples of most calls that are nearer to a training picture than
                    98 % of those held out are: 0.02 for unseen pictures, 1 for copies

    No feature extractor is needed, so pictures of any kind and size can be scored; values are
    comparable for one packed file only.

    Args:
        n: pictures in each set, at most those held out.
        seed: of all draws.
        heun: whether the diffusion sampler is scored too.
    """

    n: Samples = 500
    seed: Seed = 0
    heun: bool = False

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        n = min(self.n, len(replace(data, train=False, flip=False)))
        images = {
            f"pd{name.split()[0]}": sample_images(
                draw, data.shape, n, CPU, self.seed, 100, data.classes
            ).float()
            / 127.5
            - 1
            for name, draw in draws(model, sampler, self.heun).items()
        }
        return score_images(images, data, n, self.seed)


def score_images(
    images: Mapping[str, Tensor], data: Any, n: int, seed: int = 0
) -> dict[str, float]:
    """Patch distance of each set of images to pictures held out, and what is memorised.

    Args:
        images: sets of images (m, c, h, w) in [-1, 1] by name.
        data: pictures in two halves, such as `Images`.
        n: images of each set that are compared, at most those held out.
        seed: of the draws.

    Returns:
        The distances by name, pd_floor of training pictures, and of the last set the share that
        is nearer to a training picture than 98 % of those held out are.
    """
    train, test = (replace(data, train=half, flip=False).images for half in (True, False))
    generator = torch.Generator().manual_seed(seed)
    n = min(n, len(test))
    mine, theirs = (
        x[torch.randperm(len(x), generator=generator)[:n]].float() / 127.5 - 1
        for x in (train, test)
    )
    best = images[list(images)[-1]]
    near, unseen = (nearest_images(x, train, 1)[0] for x in (best, theirs))
    copied = (near < unseen.quantile(0.02)).double().mean()
    compared = {name: x[:n] for name, x in images.items()} | {"pd_floor": mine}
    return patch_distances(compared, theirs) | {"memorised": float(copied)}


# Photographs, against the test set


@ingredient
@dataclass(frozen=True)
class CIFAR10Evaluator:
    """Photographs: generated images against the test set, in a named feature space.

    fd, kd, precision, recall, each for 1, 2 and 4 calls and with `heun` for the 35 calls of the
    diffusion sampler, as in fd1 and fd1_error; fd_floor and the like for training images. Where
    the data have classes, they are asked for in turn, and asked1 is the share of images that the
    space's classifier, if it has one, reads as the class asked for; asked_floor is that of test
    images.

    Args:
        n: images in each set (the test set has 10 000).
        seed: of all draws.
        space: the feature space.
        heun: whether the diffusion sampler is scored too.
        batch: images at a time, on the model's device.
    """

    n: Samples = 10_000
    seed: Seed = 0
    space: Space = CifarSpace()
    heun: bool = False
    batch: Annotated[int, Range("[1, 1e5]")] = 500

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return self.table(model, data, sampler).scores()

    def table(self, model: Denoiser, data: Any, sampler: Sampler) -> Table:
        """All scores with error bars and floor.

        Raises:
            ValueError: for data without a test set, and for an n that the training set lacks.
        """
        data = data.data if isinstance(data, Unlabelled) else data
        splits = hasattr(data, "train") and hasattr(data, "flip")
        require(splits, f"{type(data).__name__} has no test split: evaluate a run on CIFAR10")
        train = replace(data, train=True, flip=False).images
        held_out = replace(data, train=False, flip=False)
        test = held_out.images
        require(0 < self.n <= len(train), f"the floor takes {self.n} of the training images: ask "
                f"for 1 to {len(train)}")  # fmt: skip
        generator = torch.Generator().manual_seed(self.seed)
        mine, theirs = (
            torch.randperm(len(x), generator=generator)[: self.n] for x in (train, test)
        )
        device = next((p.device for p in model.parameters()), CPU)
        features = partial(self.space.features, device=device, batch=self.batch)
        classes = getattr(data, "classes", 0)
        size = (data.shape, self.n, device, self.seed, self.batch, classes)
        generated = {
            name: features(sample_images(draw, *size))
            for name, draw in draws(model, sampler, self.heun).items()
        }
        real = features(test[theirs])
        found = table(generated, features(train[mine]), real, self.space.name)
        read = self.space.classes
        if not classes or read(real) is None:
            return found
        asked = {name: (x, torch.arange(self.n) % classes) for name, x in generated.items()}
        return with_classes(found, read, asked, (real, held_out.labels[theirs]), self.space.name)
