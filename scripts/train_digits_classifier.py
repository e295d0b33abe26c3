"""Train the feature extractor of the Fréchet distance on digits: about 5 seconds on one core.

python scripts/train_digits_classifier.py [--seed 1] [--out data/checkpoints/digits-classifier]
"""

import argparse
from pathlib import Path
from time import process_time

import torch
from shipped_weights import write_shipped
from torch.nn import functional

from cmlab.data.digits import Digits
from cmlab.metrics.feature_extractors import DIGITS_CHECKPOINT, DigitClassifier
from cmlab.metrics.frechet import frechet

EPOCHS, BATCH, RATE, NOISE = 20, 120, 2e-3, 0.2
TRAIN, HELD_OUT = Digits(), Digits(train=False)


def train(seed: int) -> DigitClassifier:
    """Cross-entropy, Adam with one cycle; noise on the images keeps the features smooth."""
    torch.manual_seed(seed)
    model, batches = DigitClassifier(), len(TRAIN) // BATCH + 1
    adam = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=EPOCHS * batches)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(TRAIN)).chunk(batches):
            x = TRAIN.images[index]
            loss = functional.cross_entropy(
                model(x + NOISE * torch.randn_like(x)), TRAIN.labels[index]
            )
            adam.zero_grad()
            loss.backward()
            adam.step()
            cycle.step()
    model.calibrate(TRAIN.images)
    return model.eval().requires_grad_(False)


def accuracy(model: DigitClassifier, digits: Digits) -> float:
    return float((model(digits.images).argmax(1) == digits.labels).double().mean())


def units(model: DigitClassifier) -> dict[str, float]:
    """Fréchet distances to the training images, for scale: of held-out and of noisy images."""
    x, features = TRAIN.images, model.features
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    noisy = {
        f"noise {s}": frechet(features((x + s * z).clamp(-1, 1)), features(x))
        for s in (0.1, 0.2, 0.4)
    }
    return {"held out against train": frechet(features(HELD_OUT.images), features(x)), **noisy}


def main() -> None:
    """Train, and write the weights and their record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DIGITS_CHECKPOINT.with_suffix(""))
    choice = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so the same weights on each run
    start = process_time()
    model = train(choice.seed)
    record = {
        "command": f"python scripts/train_digits_classifier.py --seed {choice.seed}",
        "accuracy": {"held out": accuracy(model, HELD_OUT), "train": accuracy(model, TRAIN)},
        "frechet": units(model),
        "cpu_seconds": round(process_time() - start, 1),
    }
    file = choice.out.with_suffix(".safetensors")
    write_shipped(file, model, record, ("torch", "numpy", "scikit-learn"))


if __name__ == "__main__":
    main()
