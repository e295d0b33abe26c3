"""Judging samples from anywhere: read them, score them on their data, count the network's calls.

For samples that another program made, and for networks that are none of cmlab's. The scores are
those of the evaluators, for one set of samples:

    points       sw, sw_floor: sliced W₂ to fresh data, and of other fresh data; ed: energy
                 distance; hq and modes for mixtures, see `toy.coverage`
    digits       fd, fd_floor: Fréchet distance to the held-out digits; memorised
    pictures     pd, pd_floor: patch distance to pictures held out; memorised
    in a space   fd, kd, precision, recall, with errors and floors

`CallCounter` counts what a network is asked to do, whatever is said of it: how many samples go
through it, and how much arithmetic, in and outside those calls. A sampler that goes around the
network's call, straight to its layers, is counted by its arithmetic.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..data import pictures
from ..data.digits import Digits
from ..data.toy import ToyData
from ..gaussian_mixture import require
from ..ops import seeded
from ..train.checkpoint import BadFile
from ..train.cost import OneModule
from .digits import memorised
from .evaluators import score_images
from .feature_extractors import Space, load_classifier
from .frechet import frechet
from .report import table
from .toy import coverage
from .wasserstein import energy, sliced

CPU = torch.device("cpu")
MOST = 4096  # points whose distances are all taken

# Samples in files


def read_samples(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Samples (n, *shape): floats, pictures in [-1, 1].

    Args:
        path: .safetensors or .npz or .npy with one array, or for pictures a folder or a zip.
        shape: of one sample of the data.

    Raises:
        BadFile: for what holds no such samples.
    """
    if path.suffix == ".safetensors":
        x = one_tensor(path)
    elif len(shape) == 3 and shape[0] == 3:
        found = list(pictures.find(path).images)
        sizes = {picture.size for _, picture in found}
        if len(sizes) > 1:
            w, h = max(sizes)
            raise BadFile(f"{path} has pictures of {len(sizes)} sizes up to {w} × {h}; give one")
        x = torch.stack([torch.from_numpy(np.array(picture)) for _, picture in found])
        x = x.permute(0, 3, 1, 2)
    else:
        x = one_array(path)
    x = x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x.float()
    if shape[:1] == (1,) and x.ndim == len(shape):
        x = x[:, None]
    if tuple(x.shape[1:]) != shape or not len(x):
        raise BadFile(f"{path} holds samples {tuple(x.shape)}, and the data are {('n', *shape)}")
    bad = int((~x.isfinite().flatten(1).all(1)).sum())
    if bad:
        raise BadFile(f"{path} holds {bad} samples with NaN or infinity; look how they were made")
    return x


def one_tensor(path: Path) -> Tensor:
    """The only tensor of a safetensors file."""
    try:
        held = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadFile(f"{path} is missing, damaged or no safetensors file") from error
    if len(held) != 1:
        raise BadFile(f"{path} holds {len(held)} tensors; give a file with the samples alone")
    return next(iter(held.values()))


def one_array(path: Path) -> Tensor:
    """The only array of numbers of a .npy or .npz file."""
    try:
        held = np.load(path, allow_pickle=False)
        arrays = [held] if isinstance(held, np.ndarray) else [held[name] for name in held.files]
        (x,) = (x for x in arrays if x.ndim > 1)
        return torch.from_numpy(np.ascontiguousarray(x))
    except (TypeError, *pictures.UNREADABLE) as error:
        raise BadFile(f"{path} holds no single array of samples; give .npy or .npz") from error


@torch.no_grad()
def judge(x: Tensor, data: Any, space: Space | None = None, seed: int = 0) -> dict[str, float]:
    """Scores of samples x (n, *d) on their data, as listed at the top.

    Args:
        x: the samples; pictures in [-1, 1].
        data: toy data, digits, or pictures in two halves.
        space: a feature space, for pictures.
        seed: of all draws.

    Raises:
        ValueError: for too few samples, and for data that nothing here can judge.
    """
    require(len(x) > 1, "one sample cannot be judged: give more")
    if space is not None:
        return score_in_space(x, data, space, seed)
    if isinstance(data, ToyData):
        return score_points(x, data, seed)
    if isinstance(data, Digits):
        classifier, real = load_classifier(), Digits(train=False).images
        images, held_out = x.clamp(-1, 1), classifier.features(real)
        return {
            "fd": frechet(classifier.features(images), held_out),
            "fd_floor": frechet(classifier.features(Digits().images), held_out),
            "memorised": memorised(images),
        }
    require(in_halves(data), f"nothing here judges samples of {type(data).__name__}")
    return score_images({"pd": x.clamp(-1, 1)}, data, len(x), seed)


def in_halves(data: Any) -> bool:
    """Whether data have pictures to train on and others that are held out."""
    return hasattr(data, "train") and hasattr(data, "flip")


def score_points(x: Tensor, data: ToyData, seed: int) -> dict[str, float]:
    """Scores of points against as many fresh ones."""
    with seeded(CPU, seed, 6):
        fresh, other = data.sample(len(x))[0], data.sample(len(x))[0]
    found = {
        "sw": sliced(x, fresh),
        "sw_floor": sliced(other, fresh),
        "ed": energy(x[:MOST], fresh[:MOST]),
    }
    if data.oracle.components.std_min == 0:
        return found
    hq, modes = coverage(x, data.oracle.components)
    return found | {"hq": hq, "modes": modes}


def score_in_space(x: Tensor, data: Any, space: Space, seed: int) -> dict[str, float]:
    """Distances, precision and recall in a feature space, against the pictures held out."""
    require(in_halves(data), f"{space.name} compares pictures, not {type(data).__name__}")
    train, test = (replace(data, train=half, flip=False).images for half in (True, False))
    require(len(x) <= len(train), f"the floor takes as many training pictures as there are "
            f"samples: give at most {len(train)}")  # fmt: skip
    mine = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[: len(x)]
    sets = [space.features(part) for part in (x, train[mine], test)]
    made = table({"samples": sets[0]}, sets[1], sets[2], space.name)
    found = {}
    for row in made.rows():
        name = row["name"]
        found |= {name: row["value"], f"{name}_error": row["error"], f"{name}_floor": row["floor"]}
    return found


@dataclass
class CallCounter:
    """A context that counts the calls of a network, by samples and by arithmetic.

    Args:
        net: the network.
    """

    net: nn.Module
    samples: int = 0  # that went through the network's own call
    inside: int = 0  # floating-point operations within those calls
    total: int = 0  # floating-point operations in all

    def __enter__(self) -> "CallCounter":
        self._flops = FlopCounterMode(display=False)
        self._flops.mod_tracker = OneModule()  # pyright: ignore[reportAttributeAccessIssue]
        self._depth, self._before = 0, 0
        self._hooks = [
            self.net.register_forward_pre_hook(self._begin, with_kwargs=True),
            self.net.register_forward_hook(self._end, always_call=True),
        ]
        self._flops.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._flops.__exit__(*error)
        self.total = self._flops.get_total_flops()
        for hook in self._hooks:
            hook.remove()

    def _begin(self, net: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        x = next(v for v in (*given, *named.values()) if isinstance(v, Tensor))
        self.samples += len(x) if x.ndim else 1
        if not self._depth:
            self._before = self._flops.get_total_flops()
        self._depth += 1

    def _end(self, net: nn.Module, given: Any, found: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self.inside += self._flops.get_total_flops() - self._before

    def calls(self, n: int) -> float:
        """Network calls for each of n samples, arithmetic outside the calls among them."""
        outside = self.total - self.inside
        if not self.inside:
            return float("inf") if outside else self.samples / n
        return self.samples / n * (1 + outside / self.inside)

    def gflop(self, n: int) -> float:
        """Billions of floating-point operations for each of n samples."""
        return self.total / n / 1e9
