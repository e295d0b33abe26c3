"""Train the feature extractor of the Fréchet distance on CIFAR-10: 1.5 hours on one CPU core.

python scripts/train_cifar_classifier.py [--data PATH] [--seed 1] [--epochs 16] [--device cpu]
    [--out data/checkpoints/cifar10-classifier]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import torch
from shipped_weights import write_shipped
from torch import Tensor
from torch.nn import functional

from cmlab.data.cifar10 import CIFAR10
from cmlab.metrics.feature_extractors import CIFAR10_CHECKPOINT, CifarClassifier
from cmlab.metrics.frechet import frechet

BATCH, SHIFT = 256, 2  # images a step, pixels an image is moved by at most
RATE, DECAY, SMOOTHING = 0.2, 5e-4, 0.2
SIDE = 32


def values(images: Tensor) -> Tensor:
    """Bytes 0 to 255 as numbers in [-1, 1]."""
    return images.float() / 127.5 - 1


def batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches: moved by up to two pixels, mirrored in every other epoch."""
    first, epoch, n = torch.rand(len(images)) < 0.5, 0, len(images) // BATCH * BATCH
    rows = torch.arange(SIDE)
    while True:
        mirrored = first ^ (epoch % 2 == 1)
        for index in torch.randperm(len(images))[:n].split(BATCH):
            x = functional.pad(values(images[index]), (SHIFT,) * 4, mode="reflect")
            down, right = torch.randint(2 * SHIFT + 1, (2, len(index)))
            each = torch.arange(len(index))[:, None, None]
            x = x.permute(0, 2, 3, 1)
            x = x[each, (down[:, None] + rows)[:, :, None], (right[:, None] + rows)[:, None, :]]
            x = x.permute(0, 3, 1, 2)
            x = torch.where(mirrored[index][:, None, None, None], x.flip(3), x)
            yield x.contiguous(memory_format=torch.channels_last), labels[index]
        epoch += 1


def train(data: CIFAR10, seed: int, epochs: float, device: str) -> CifarClassifier:
    """Cross-entropy, SGD with Nesterov momentum, one cycle of the learning rate."""
    images, labels = data.images, data.labels
    torch.manual_seed(seed)
    model = CifarClassifier()
    model.learn_whitening(values(images[:5000]))
    model.to(device, memory_format=torch.channels_last)  # pyright: ignore
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    sgd = torch.optim.SGD(groups, RATE, momentum=0.9, nesterov=True)
    steps = int(len(images) // BATCH * epochs)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        sgd, RATE, total_steps=steps, pct_start=0.2, anneal_strategy="linear",
        cycle_momentum=False, final_div_factor=1e4,
    )  # fmt: skip
    source = batches(images, labels)
    model.train()
    for step in range(steps):
        x, y = (part.to(device) for part in next(source))
        loss = functional.cross_entropy(model(x), y, label_smoothing=SMOOTHING)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        cycle.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {float(loss.detach()):.3f}", flush=True)
    return model.eval().requires_grad_(False).cpu()


@torch.no_grad()
def outputs(model: CifarClassifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and features of all images."""
    parts = [values(part) for part in images.split(500)]
    return torch.cat([model(x) for x in parts]), torch.cat([model.features(x) for x in parts])


def evaluate(model: CifarClassifier, train: CIFAR10, test: CIFAR10) -> dict:
    """Set the unit of the features; accuracy, and Fréchet distances that show what it means."""
    logits, features = outputs(model, train.images)
    model.calibrate(features)
    features = features * model.unit
    test_logits, test_features = outputs(model, test.images)
    accuracy = float((test_logits.argmax(1) == test.labels).double().mean())
    noise = torch.randn(test.images.shape, generator=torch.Generator().manual_seed(0))
    distances = {
        "10 000 test images against the training images": frechet(test_features, features)
    }
    for sigma in (0.02, 0.05, 0.1, 0.2):
        noisy = ((values(test.images) + sigma * noise).clamp(-1, 1) * 127.5 + 127.5).round().byte()
        distances[f"test images with noise {sigma}, against themselves"] = frechet(
            outputs(model, noisy)[1], test_features
        )
    return {
        "accuracy": {
            "test": accuracy,
            "train": float((logits.argmax(1) == train.labels).double().mean()),
        },
        "frechet": distances,
    }


def main() -> None:
    """Train, and write the weights and their record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=float, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=CIFAR10_CHECKPOINT.with_suffix(""))
    choice = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so the same weights on each run
    data, start = CIFAR10(choice.data), process_time()
    model = train(data, choice.seed, choice.epochs, choice.device)
    record = {
        "command": f"python scripts/train_cifar_classifier.py --seed {choice.seed} "
        f"--epochs {choice.epochs:g}",
        **evaluate(model, data, CIFAR10(choice.data, train=False)),
        "cpu_seconds": round(process_time() - start),
    }
    file = choice.out.with_suffix(".safetensors")
    write_shipped(file, model, record, ("torch", "numpy"))


if __name__ == "__main__":
    main()
