"""Metrics of generated digits: Fréchet distance to held-out digits, accuracy, memorisation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..data.digits import Digits
from ..ops import seeded
from ..types import Data, PerSample
from .feature_extractors import load_classifier
from .frechet import frechet

Generate = Callable[[Tensor, Tensor, int], Tensor]  # (z, labels, calls) -> images


def distance_to_nearest(x: Data, train: Tensor) -> PerSample:
    """Distance ‖x - x_i‖ of each image (b, *d) to the nearest training image: (b,)."""
    return torch.cdist(x.flatten(1), train.flatten(1)).amin(1)


def memorised(x: Data) -> float:
    """Memorisation: the share of images nearer to a training digit than 98 % of held-out ones.

    Unseen real digits score 0.02 by construction; a model that copies scores 1.
    """
    train = Digits().images
    held_out = distance_to_nearest(Digits(train=False).images, train)
    return float((distance_to_nearest(x, train) < held_out.quantile(0.02)).double().mean())


@torch.no_grad()
def score_digits(generate: Generate, n: int = 2000, seed: int = 0) -> dict[str, float]:
    """Scores of n generated digits, the classes in the held-out digits' proportions.

    fd1, fd2   Fréchet distance of one- and two-call images to the 360 held-out digits
    fd_floor   that of the 1437 training digits
    memorised  share of one-call images that are near copies, see `memorised`
    accuracy   share of one-call images that the classifier assigns to the class asked for

    The distances are biased by n, and their unit is that of the classifier's features: compare
    only where both agree. Images are clamped to [-1, 1], the range of a real scan.

    Args:
        generate: called with noise (n, 1, 8, 8), labels (n,) and a number of calls.
        n: generated images.
        seed: of all draws.
    """
    classifier, held_out = load_classifier(), Digits(train=False)
    labels = held_out.labels[torch.arange(n) % len(held_out)]
    with seeded(torch.device("cpu"), seed):
        z = torch.randn(n, *held_out.shape)
        one, two = (generate(z, labels, calls).clamp(-1, 1) for calls in (1, 2))
    real = classifier.features(held_out.images)
    return {
        "fd1": frechet(classifier.features(one), real),
        "fd2": frechet(classifier.features(two), real),
        "fd_floor": frechet(classifier.features(Digits().images), real),
        "memorised": memorised(one),
        "accuracy": float((classifier(one).argmax(1) == labels).double().mean()),
    }


@torch.no_grad()
def digits_by_calls(
    generate: Generate, calls: Sequence[int], n: int = 2000, seed: int = 0
) -> dict[str, float]:
    """fd1, fd2, …: Fréchet distance to the held-out digits for each number of calls.

    Classes, noise and arguments are those of `score_digits`; accuracy is that of the last number
    of calls.
    """
    classifier, held_out = load_classifier(), Digits(train=False)
    labels = held_out.labels[torch.arange(n) % len(held_out)]
    real, found, x = classifier.features(held_out.images), {}, held_out.images
    for count in calls:
        with seeded(torch.device("cpu"), seed):
            z = torch.randn(n, *held_out.shape)
            x = generate(z, labels, count).clamp(-1, 1)
        found[f"fd{count}"] = frechet(classifier.features(x), real)
    return found | {"accuracy": float((classifier(x).argmax(1) == labels).double().mean())}
