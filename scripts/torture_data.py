"""Data of one's own for `scripts/torture.py`: good ones are trained on, others are refused."""

import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torture_run import Case

N = 200  # samples in a set
Change = Callable[[random.Random, dict[str, Any]], None]


@dataclass
class Own:
    """Rows of x at random, with their labels; `wrap` is done to the pair before it is returned."""

    x: Any
    labels: Any
    wrap: Callable[[tuple[Any, Any]], Any]

    def sample(self, n: int) -> Any:
        rows = torch.randint(len(self.x), (n,)) if len(self.x) else torch.zeros(n).long()
        return self.wrap((self.x[rows], None if self.labels is None else self.labels[rows]))


def to(dtype: torch.dtype) -> Change:
    def change(rng: random.Random, own: dict[str, Any]) -> None:
        own["x"] = own["x"].to(dtype)

    return change


def spoil_x(function: Callable[[random.Random, Tensor], Any]) -> Change:
    def change(rng: random.Random, own: dict[str, Any]) -> None:
        own["x"] = function(rng, own["x"])

    return change


def put(value: float) -> Change:
    """This value in a tenth of the rows, or in all."""

    def change(rng: random.Random, own: dict[str, Any]) -> None:
        rows = torch.tensor(rng.sample(range(N), rng.choice((N // 10, N))))
        own["x"] = own["x"].index_fill(0, rows, value)

    return change


def label(function: Callable[[int], Any]) -> Change:
    def change(rng: random.Random, own: dict[str, Any]) -> None:
        own["labels"] = function(own["classes"])

    return change


def give(wrap: Callable[[tuple[Any, Any]], Any]) -> Change:
    return lambda rng, own: own.update(wrap=wrap)


def instead(make: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda rng, own: own.update(data=make(own))


GOOD: dict[str, Change] = {
    "as they are": lambda rng, own: None,
    "another scale": spoil_x(lambda rng, x: x * rng.uniform(0.2, 3.0)),
    "moved": spoil_x(lambda rng, x: x + rng.uniform(-1, 1)),
    "not contiguous": spoil_x(lambda rng, x: x.repeat_interleave(2, -1)[..., ::2]),
    "one row": spoil_x(lambda rng, x: x[:1].expand(x.shape)),
    "that require a gradient": spoil_x(lambda rng, x: x.clone().requires_grad_()),
}
BAD: dict[str, Change] = {
    "bytes": spoil_x(lambda rng, x: (x.clamp(-1, 1) * 127.5 + 127.5).byte()),
    "from 0 to 255": spoil_x(lambda rng, x: x.clamp(-1, 1) * 127.5 + 127.5),
    "a thousand times as large": spoil_x(lambda rng, x: x * 10.0 ** rng.uniform(3, 30)),
    **{f"of {d}": to(d) for d in (torch.float64, torch.float16, torch.bfloat16, torch.int64,
                                  torch.int8, torch.bool, torch.complex64)},
    "with NaN": put(float("nan")),
    "with infinity": put(float("inf")),
    "of another size": spoil_x(lambda rng, x: x.repeat_interleave(2, 1)),
    "without their axis": spoil_x(lambda rng, x: x.flatten(1)[:, 0]),
    "with an axis more": spoil_x(lambda rng, x: x[:, None]),
    "without numbers": spoil_x(lambda rng, x: x[..., :0]),
    "without samples": spoil_x(lambda rng, x: x[:0]),
    "of numpy": spoil_x(lambda rng, x: x.numpy()),
    "in a list": spoil_x(lambda rng, x: x.tolist()),
    "labels too large": label(lambda k: torch.full((N,), max(k, 1))),
    "labels below 0": label(lambda k: torch.full((N,), -1)),
    "labels with a fraction": label(lambda k: torch.full((N,), 0.5)),
    "labels one-hot": label(lambda k: torch.eye(max(k, 2))[torch.zeros(N).long()]),
    "labels of one axis more": label(lambda k: torch.zeros(N, 1).long()),
    "sample alone": give(lambda pair: pair[0]),
    "three returned": give(lambda pair: (*pair, None)),
    "a dict returned": give(lambda pair: {"x": pair[0], "labels": pair[1]}),
    "a list returned": give(list),
    "one too few": give(lambda pair: (pair[0][1:], None if pair[1] is None else pair[1][1:])),
    "labels too few": give(lambda pair: (pair[0], torch.zeros(1).long())),
    "labels in a list": give(lambda pair: (pair[0], [0] * len(pair[0]))),
    "None returned": give(lambda pair: None),
    "a tensor": instead(lambda own: own["x"]),
    "a list": instead(lambda own: [1, 2]),
    "None": instead(lambda own: None),
    "text": instead(lambda own: "data.npz"),
    "a function": instead(lambda own: lambda n: own["x"][:n]),
    "a TensorDataset": instead(lambda own: TensorDataset(torch.zeros(N, 2))),
    "a DataLoader": instead(lambda own: DataLoader(TensorDataset(torch.zeros(N, 2)), 8)),
    "a class": instead(lambda own: Own),
}  # fmt: skip


def own_data(rng: random.Random, shelf: object) -> Case:
    """A data set of one's own, good or spoilt once, given to a trainer."""
    good = rng.random() < 0.3
    name, change = rng.choice(sorted((GOOD if good else BAD).items()))
    pictures, classes, seed = rng.random() < 0.5, rng.choice((0, 3)), rng.random()

    def judge(folder: object, ends: list[Any]) -> str:
        if good and ends[0].status:
            return "good data refused"
        return "" if good or ends[0].status == 2 else "accepted"

    what = f"{'pictures' if pictures else 'points'} {name}, {classes} classes"
    before = partial(fit, change, pictures, classes, random.Random(seed))
    return Case(f"own data: {what}", ("train", "toy.ct"), judge=judge, before=before)


def fit(change: Change, pictures: bool, classes: int, rng: random.Random) -> None:
    """In a fork, in place of the command: six steps on these data; a sentence if they are refused.

    NaN in a few rows may escape the 64 samples that are looked at: it then has to be found in the
    data, and not blamed on a layer.
    """
    from cmlab.methods import ICT
    from cmlab.model import CMPrecond, Denoiser
    from cmlab.nets.mlp import MLPShape
    from cmlab.nets.unet import UNetShape
    from cmlab.train.config import TrainConfig
    from cmlab.train.nonfinite import NotFinite
    from cmlab.train.trainer import Trainer

    torch.manual_seed(rng.randrange(10**6))
    labels = torch.arange(N) % classes if classes else None
    own: dict[str, Any] = {
        "x": torch.randn(N, 1, 8, 8) if pictures else torch.randn(N, 2), "labels": labels,
        "classes": classes, "wrap": lambda pair: pair,
    }  # fmt: skip
    change(rng, own)
    data = own.get("data", Own(own["x"], own["labels"], own["wrap"]))
    net = UNetShape(channels=1, width=8, mults=(1,), attention=(), classes=classes)
    shape = net if pictures else MLPShape(width=8, classes=classes)
    try:
        model = Denoiser(shape.build(), CMPrecond())
        Trainer(model, ICT(), data, TrainConfig(batch=8, steps=6)).fit()
    except (TypeError, ValueError, NotFinite) as error:
        ours = isinstance(error, NotFinite) <= ("the data" in str(error))
        if ours and "\n" not in str(error):
            sys.stderr.write(f"cmlab: {error}\n")
            sys.stderr.flush()
            os._exit(2)
        raise
    sys.stdout.write(json.dumps({"steps": 6}) + "\n")
    sys.stdout.flush()
    os._exit(0)
