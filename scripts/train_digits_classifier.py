"""Train the classifier whose features judge digits: about 5 seconds on one core.

python scripts/train_digits_classifier.py [--seed 1] [--out data/checkpoints/digits-classifier]
"""

import argparse
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from time import process_time

import torch
from torch.nn import functional

from cmlab.data.digits import Digits
from cmlab.metrics.feature_extractors import DIGITS_CHECKPOINT, DigitClassifier
from cmlab.metrics.frechet import frechet
from cmlab.train.checkpoint import write, write_json

EPOCHS, BATCH, RATE, NOISE = 20, 120, 2e-3, 0.2
TRAIN, HELD_OUT = Digits(), Digits(train=False)


def train(seed: int) -> DigitClassifier:
    """Cross-entropy under Adam's one cycle; noise on the images keeps the features smooth."""
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
    """What one unit of distance means: the floor, and images with noise clamped to [-1, 1]."""
    x, eye = TRAIN.images, model.features
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    noisy = {f"noise {s}": frechet(eye((x + s * z).clamp(-1, 1)), eye(x)) for s in (0.1, 0.2, 0.4)}
    return {"held out against train": frechet(eye(HELD_OUT.images), eye(x)), **noisy}


def main() -> None:
    """Train, write the weights and the record beside them, and print the record."""
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
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
    }
    file = choice.out.with_suffix(".safetensors")
    write(file, model.state_dict(), record)
    record["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_json(choice.out.with_suffix(".json"), record)
    print(record)


if __name__ == "__main__":
    main()
