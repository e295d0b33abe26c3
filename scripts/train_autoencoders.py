"""Train the autoencoders of lab 12's latent spaces: digits, shapes, CIFAR-10.

python scripts/train_autoencoders.py digits     1 minute on one CPU core
python scripts/train_autoencoders.py shapes     3 minutes
python scripts/train_autoencoders.py cifar10 --data PATH     3 minutes
    [--steps 2000] [--seed 0] [--out data/checkpoints]
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from time import process_time

import torch
from cmlab_labs.lab12_latent.analysis import impulsiveness
from shipped_weights import write_shipped
from torch import Tensor

from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits
from cmlab.data.latents import CHECKPOINTS, digest
from cmlab.data.shapes import Shapes
from cmlab.nets.autoencoder import Autoencoder, AutoencoderShape
from cmlab.schedules import WarmupCosine
from cmlab.train.config import Source

BATCH, RATE = {"digits": 64, "shapes": 32, "cifar10": 32}, 2e-3
KL = {"digits": 0.05, "shapes": 1e-3, "cifar10": 1e-3}  # weight, against the sum of squares
STEPS = {"digits": 4000, "shapes": 2000, "cifar10": 2000}
SHAPES = {
    "digits": AutoencoderShape(1, (32,), 4),  # 8×8 -> 4×4×4
    "shapes": AutoencoderShape(3, (32, 64), 4),  # 32×32×3 -> 8×8×4
    "cifar10": AutoencoderShape(3, (32, 64), 4),
}


def sources(name: str, path: str) -> tuple[Source, Tensor]:
    """The training data, and 360 or 1000 held-out images."""
    if name == "digits":
        return Digits(), Digits(train=False).images
    if name == "shapes":
        return Shapes(), Shapes().sample(1000, torch.Generator().manual_seed(1))[0]
    held_out = CIFAR10(path, train=False).images[:1000].float() / 127.5 - 1
    return CIFAR10(path), held_out


def train(name: str, data: Source, steps: int, seed: int) -> Autoencoder:
    """‖x̂ - x‖² + weight · KL, both summed over an image, with AdamW."""
    torch.manual_seed(seed)
    model, rate = SHAPES[name].build(), WarmupCosine(steps, warmup=100)
    adam = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0)
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * rate(step)
        x, _ = data.sample(BATCH[name])
        made, kl = model(x)
        loss = ((made - x).square().flatten(1).sum(1) + KL[name] * kl).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        adam.step()
        if step % 500 == 0:
            print(f"{name}, step {step} of {steps}: loss {float(loss.detach()):.3f}", flush=True)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def reconstruction(model: Autoencoder, x: Tensor) -> dict[str, float]:
    """Root mean squares over held-out images: error of a pixel, spread of pixels and latents."""
    parts = x.split(250)
    latents = torch.cat([model.encode(part) for part in parts])
    made = torch.cat([model.decode(h) for h in latents.split(250)]).clamp(-1, 1)
    noise = torch.cat([(model.moments(part)[1] / 2).exp() for part in parts])
    return {
        "error of a pixel": float((made - x).double().square().mean().sqrt()),
        "spread of the pixels": float(x.double().std()),
        "spread of the latents": float(latents.double().std()),
        "noise on the latents": float(noise.double().square().mean().sqrt()),
    }


@torch.no_grad()
def tails(model: Autoencoder, x: Tensor) -> dict[str, dict[str, float]]:
    """Heaviness of the tails of pixels and latents, each channel standardised."""
    h = torch.cat([model.encode(part) for part in x.split(250)])
    values = {"pixels": x, "latents": h}
    return {
        name: asdict(impulsiveness((v - v.mean((0, 2, 3), True)) / v.std((0, 2, 3), keepdim=True)))
        for name, v in values.items()
    }


def main() -> None:
    """Train, and write the weights and their record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(SHAPES))
    parser.add_argument("--data", default="")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CHECKPOINTS)
    choice = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so the same weights on each run
    start, steps = process_time(), choice.steps or STEPS[choice.name]
    data, held_out = sources(choice.name, choice.data)
    model = train(choice.name, data, steps, choice.seed)
    record = {
        "command": f"python scripts/train_autoencoders.py {choice.name} --steps {steps} "
        f"--seed {choice.seed}",
        "shape": asdict(SHAPES[choice.name]),
        "digest": digest(model.state_dict()),
        "root mean squares, held out": reconstruction(model, held_out),
        "impulsiveness, held out": tails(model, held_out),
        "samples": steps * BATCH[choice.name],
        "cpu_seconds": round(process_time() - start),
    }
    file = choice.out / f"{choice.name}-autoencoder.safetensors"
    write_shipped(file, model, record, ("torch", "numpy"))


if __name__ == "__main__":
    main()
