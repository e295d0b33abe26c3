"""The eye that judges CIFAR-10 with no download: 256 features of a small classifier.

The network is of a family made to learn CIFAR-10 fast (Jordan 2024, arXiv:2404.00498): a fixed
whitening layer, then three blocks of two convolutions. The unit of its features is fixed by one
number: over the training images their variances sum to 256. The classifier is remade by
`python scripts/train_cifar_classifier.py`.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..nets.shipped import frozen

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "cifar10-classifier.safetensors"
FEATURES = 256  # also the sum of their variances over the training images
WIDTHS = (64, 256, FEATURES)
PATCH = 2  # pixels a side that the first layer sees


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, the image halved between them. GELU, so that the features are smooth."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


class CifarClassifier(nn.Module):
    """Images (b, 3, 32, 32) with values in [-1, 1] -> 10 logits, through 256 features."""

    unit: Tensor

    def __init__(self) -> None:
        super().__init__()
        eigenvectors = 3 * PATCH**2
        self.whiten = nn.Conv2d(3, 2 * eigenvectors, PATCH)  # each of them with both signs
        self.whiten.weight.requires_grad_(False)
        inputs = (2 * eigenvectors, *WIDTHS[:-1])
        self.blocks = nn.Sequential(*map(block, inputs, WIDTHS), nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(FEATURES, 10, bias=False)
        self.register_buffer("unit", torch.ones(()))

    def body(self, x: Tensor) -> Tensor:
        return self.blocks(functional.gelu(self.whiten(x)))

    def forward(self, x: Float[Tensor, "b 3 32 32"]) -> Float[Tensor, "b 10"]:
        return self.head(self.body(x)) / 8

    @torch.no_grad()
    def features(self, x: Float[Tensor, "b 3 32 32"]) -> Float[Tensor, "b 256"]:
        """The layer below the logits, in the fixed unit."""
        return self.unit * self.body(x)

    @torch.no_grad()
    def learn_whitening(self, x: Float[Tensor, "b 3 32 32"]) -> None:
        """Fix the first layer: it makes the patches of these images white."""
        patches = functional.unfold(x, PATCH).transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(patches.T.cov())
        rows = vectors.T / (values[:, None] + 1e-3).sqrt()
        self.whiten.weight.copy_(torch.cat([rows, -rows]).view_as(self.whiten.weight))

    @torch.no_grad()
    def calibrate(self, features: Float[Tensor, "n 256"]) -> None:
        """Set the unit, from the features of the training images in the unit as it is."""
        self.unit.mul_((FEATURES / features.double().var(0).sum()).sqrt())


def load_cifar_classifier(path: Path = CHECKPOINT) -> CifarClassifier:
    """The shipped classifier, frozen. Raises BadFile for a file that is not it."""
    return frozen(CifarClassifier, path, "scripts/train_cifar_classifier.py")
