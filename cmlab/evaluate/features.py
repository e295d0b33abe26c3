"""The eye that judges digits: 32 features from a small classifier shipped with the package.

The unit is fixed by one number: features are scaled so that the variances of the training digits
sum to 1744. Nothing else is done to them. The classifier is remade by
`python scripts/train_digits_classifier.py`.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..nets.shipped import frozen

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "digits-classifier.safetensors"
TOTAL_VARIANCE = 1744.0  # of the training digits, summed over the features


class DigitClassifier(nn.Module):
    """(b, 1, 8, 8) -> 10 logits, through 32 features. SiLU throughout, so that no unit is dead."""

    unit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 2 * 2, 32),
            nn.SiLU(),
        )
        self.head = nn.Linear(32, 10)
        self.register_buffer("unit", torch.ones(()))

    def forward(self, x: Float[Tensor, "b 1 8 8"]) -> Float[Tensor, "b 10"]:
        return self.head(self.body(x))

    @torch.no_grad()
    def features(self, x: Float[Tensor, "b 1 8 8"]) -> Float[Tensor, "b 32"]:
        """The layer below the logits, in the fixed unit."""
        return self.unit * self.body(x)

    @torch.no_grad()
    def calibrate(self, x: Float[Tensor, "b 1 8 8"]) -> None:
        """Set the unit: on these images the variances of the features sum to 1744."""
        self.unit.copy_((TOTAL_VARIANCE / self.body(x).double().var(0).sum()).sqrt())


def load_classifier(path: Path = CHECKPOINT) -> DigitClassifier:
    """The shipped classifier, frozen. Raises BadFile for a file that is not it."""
    return frozen(DigitClassifier, path, "scripts/train_digits_classifier.py")
