"""How good generated digits are: distance to held-out digits, and whether any were memorised."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.digits import Digits
from ..ops import seeded
from ..types import Data, PerSample
from .feature_extractors import load_classifier
from .frechet import frechet

Generate = Callable[[Tensor, Tensor, int], Tensor]  # (z, labels, calls) -> images


def distance_to_nearest(x: Data, train: Tensor) -> PerSample:
    """Distance ‖x - x_i‖ to the nearest training image."""
    return torch.cdist(x.flatten(1), train.flatten(1)).amin(1)


def memorised(x: Data) -> float:
    """The fraction of images nearer to a training digit than 98 % of the held-out digits are.

    Real unseen digits score 0.02 by construction; a copying machine scores 1.
    """
    train = Digits().images
    held_out = distance_to_nearest(Digits(train=False).images, train)
    return float((distance_to_nearest(x, train) < held_out.quantile(0.02)).double().mean())


@torch.no_grad()
def score_digits(generate: Generate, n: int = 2000, seed: int = 0) -> dict[str, float]:
    """Scores of n generated digits, the classes in the held-out digits' proportions.

    `fd1`, `fd2`: Fréchet distance of one- and two-call images to the 360 held-out digits;
    `fd_floor`: of the 1437 training digits to them; `memorised`: see above, one call;
    `accuracy`: how often the classifier reads the class that was asked for, one call. The
    distances are biased by n and the unit is that of `features`: never compare across either.
    Images are clamped to [-1, 1], as they would be on paper.
    """
    eye, held_out = load_classifier(), Digits(train=False)
    labels = held_out.labels[torch.arange(n) % len(held_out)]
    with seeded(torch.device("cpu"), seed):
        z = torch.randn(n, *held_out.shape)
        one, two = (generate(z, labels, calls).clamp(-1, 1) for calls in (1, 2))
    truth = eye.features(held_out.images)
    return {
        "fd1": frechet(eye.features(one), truth),
        "fd2": frechet(eye.features(two), truth),
        "fd_floor": frechet(eye.features(Digits().images), truth),
        "memorised": memorised(one),
        "accuracy": float((eye(one).argmax(1) == labels).double().mean()),
    }
