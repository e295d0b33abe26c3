"""Judge a generator of photographs on CIFAR-10: scores, nearest training images, 100 samples.

python scripts/judge_photographs.py data/checkpoints/cifar10-photographs.safetensors
    --denoiser RUN/start [--data PATH] [--n 10000] [--nearest 2000] [--seed 0]

Beside NAME.safetensors it writes NAME-scores.json, the table of scores with error bars and floors,
the distances to the nearest training images and the patch distance of each strip of samples that
`cmlab ship` put beside the weights. NAME-unselected.png holds the first 100 samples of the seed,
one call each, ten of each class, a class in each column. The denoiser from which the run started
is scored in one call and by 35 calls of the diffusion sampler.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from cmlab_labs.lab16_cifar10.figures import patch_distances, read_training_record
from PIL import Image
from torch import Tensor

from cmlab.cli.settings import read_from
from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Unlabelled
from cmlab.metrics.evaluators import CIFAR10Evaluator
from cmlab.metrics.feature_extractors import CifarSpace, Space
from cmlab.metrics.precision_recall import search
from cmlab.metrics.report import Table, draws, sample_images
from cmlab.train import checkpoint, runs

QUANTILES = (0.01, 0.1, 0.5)
CLOSEST, SIDE = 12, 10  # pairs that are named; samples a side of the sheet
SETS, PICTURES = 20, 8  # sets of real pictures that the strips of eight are compared with
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of n pictures in features: distances and indices, each (n,)."""

    distance: Tensor
    index: Tensor


def neighbours(x: Tensor, known: Tensor, space: Space) -> Neighbours:
    """Nearest among training images with features `known` (m, d), mirrored or not.

    Args:
        x: pictures (n, 3, h, w), bytes.
        known: features of the training images.
        space: the feature space.
    """
    versions = torch.stack([space.features(x), space.features(x.flip(-1))])
    parts = [search(part, known, 1) for part in versions.split(500, dim=1)]
    distance, index = (torch.cat(part)[:, 0] for part in zip(*parts, strict=True))
    return Neighbours(distance, index)


def compared(made: Tensor, test: Tensor, train: Tensor, space: Space) -> dict[str, Any]:
    """Distances to the nearest training image of generated and of test pictures, in features.

    A generator that copies has many pictures that are nearer than test pictures are: `nearer` is
    the share of those that are nearer than all but 1 % of the test pictures.
    """
    known = space.features(train)
    mine, theirs = neighbours(made, known, space), neighbours(test, known, space)
    first = mine.distance.argsort()[:CLOSEST].tolist()
    return {
        "space": space.name,
        "n": len(made),
        "generated": quantiles(mine.distance),
        "test": quantiles(theirs.distance),
        "nearer": float((mine.distance < theirs.distance.quantile(QUANTILES[0])).double().mean()),
        "closest": [closest(made, train, mine, i) for i in first],
    }


def quantiles(distance: Tensor) -> dict[str, float]:
    return {f"{q:g}": round(float(distance.quantile(q)), 3) for q in QUANTILES}


def closest(made: Tensor, train: Tensor, found: Neighbours, i: int) -> dict[str, Any]:
    """A sample by its number, and its nearest training image by a hash of its pixels."""
    image = train[found.index[i]]
    apart = min(float((made[i].float() - y.float()).norm()) for y in (image, image.flip(-1)))
    return {
        "sample": i,
        "distance": round(float(found.distance[i]), 3),
        "pixels": round(apart / 127.5, 3),
        "training": sha256(image.numpy().tobytes()).hexdigest()[:16],
    }


def of_denoiser(table: Table) -> list[dict[str, Any]]:
    """Its scores in one call, under a name of their own, and in 35."""
    names = {"1 call": "1 call of the denoiser", "35 calls": "35 calls"}
    return [row | {"of": names[row["of"]]} for row in table.rows() if row["of"] in names]


def strips(name: Path, test: Tensor) -> dict[str, Any]:
    """Patch distances of one call on each sheet of samples; empty without the files of `ship`."""
    if not name.with_name(f"{name.name}.jsonl").exists():
        return {}
    run = read_training_record(name)
    real = test[: SETS * PICTURES].unflatten(0, (SETS, PICTURES)).float() / 127.5 - 1
    found = patch_distances(run, real)
    return {
        "seen": run.seen.tolist(),
        "values": [round(float(v), 4) for v in found.values],
        "floor": [round(v, 4) for v in found.floor],
        "pictures": found.pictures,
    }


def sheet(x: Tensor) -> Image.Image:
    """Pictures (100, 3, h, w), bytes, as ten rows of ten with a white line between."""
    padded = torch.nn.functional.pad(x[: SIDE**2], (0, 1, 0, 1), value=255)
    rows = padded.unflatten(0, (SIDE, SIDE)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return Image.fromarray(rows.numpy())


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--denoiser", type=Path, required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--nearest", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(words)
    model, recipe, _ = runs.load(args.run)
    data: Any = read_from(recipe.data, args.data) if args.data else recipe.data
    photographs = data.data if isinstance(data, Unlabelled) else data
    space = CifarSpace()
    evaluator = CIFAR10Evaluator(args.n, args.seed, space)
    table = evaluator.table(model, data, recipe.sampler)
    print("\n".join(table.lines()))
    denoiser = replace(evaluator, heun=True).table(
        runs.load(args.denoiser)[0], data, recipe.sampler
    )
    print("\n".join(denoiser.lines()))
    readings = table.rows() + of_denoiser(denoiser)
    draw = draws(model, recipe.sampler)["1 call"]
    generate = partial(sample_images, draw, photographs.shape, classes=photographs.classes)
    made = generate(args.nearest, CPU, args.seed)
    train, test = (CIFAR10(photographs.path, train=part, flip=False) for part in (True, False))
    order = torch.randperm(len(test.images), generator=torch.Generator().manual_seed(args.seed))
    found = compared(made, test.images[order[: args.nearest]], train.images, space)
    print(found)
    name = args.run.with_suffix("") if args.run.is_file() else args.run / "model"
    record = {"n": args.n, "seed": args.seed, "readings": readings, "nearest": found,
              "strips": strips(name, test.images[order])}  # fmt: skip
    checkpoint.write_json(Path(f"{name}-scores.json"), record)
    picture = sheet(made)
    write = lambda path: picture.save(path, format="PNG", optimize=True)  # noqa: E731
    checkpoint.replace(Path(f"{name}-unselected.png"), write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
