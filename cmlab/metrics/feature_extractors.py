"""Feature extractors for Fréchet and kernel distances, precision and recall.

Digits: 32 features of a small classifier that comes with the repository, remade by
`python scripts/train_digits_classifier.py`. Its features are scaled so that their variances over
the training digits sum to 1744, and are otherwise unchanged.

CIFAR-10: 256 features of a small classifier, without any download. The network is of a family made
to learn CIFAR-10 fast (Jordan 2024, arXiv:2404.00498): a fixed whitening layer, then three blocks
of two convolutions. Its features are scaled so that their variances over the training images sum
to 256. It is remade by `python scripts/train_cifar_classifier.py`.

Inception: the features of published FIDs, from Inception v3 through torch-fidelity, an optional
extra. torchmetrics wraps this very network of torch-fidelity, but by default resizes images in its
own way, so torch-fidelity is used alone.

A distance belongs to its feature space: values in two spaces cannot be compared. The space of the
CIFAR-10 classifier is called `cmlab-cifar`, the other one `inception`.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from ..gaussian_mixture import require
from ..ingredients import ingredient
from ..nets.pretrained import CHECKPOINTS, frozen

# CIFAR-10: 256 features of a small classifier

CIFAR10_CHECKPOINT = CHECKPOINTS / "cifar10-classifier.safetensors"
FEATURES = 256  # also the sum of their variances over the training images
WIDTHS = (64, 256, FEATURES)
PATCH = 2  # pixels a side of the first layer's kernel


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
    """Classifier of CIFAR-10: images (b, 3, 32, 32) in [-1, 1] -> 10 logits, by 256 features."""

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
    def classes(self, features: Float[Tensor, "b 256"]) -> Int64[Tensor, " b"]:
        """The classes, numbered as in CIFAR-10, of images with these features."""
        return self.head(features / self.unit).argmax(1)

    @torch.no_grad()
    def learn_whitening(self, x: Float[Tensor, "b 3 32 32"]) -> None:
        """Set the first layer so that it whitens the patches of these images."""
        patches = functional.unfold(x, PATCH).transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(patches.T.cov())
        rows = vectors.T / (values[:, None] + 1e-3).sqrt()
        self.whiten.weight.copy_(torch.cat([rows, -rows]).view_as(self.whiten.weight))

    @torch.no_grad()
    def calibrate(self, features: Float[Tensor, "n 256"]) -> None:
        """Set the unit, from the training images' features in the present unit."""
        self.unit.mul_((FEATURES / features.double().var(0).sum()).sqrt())


def load_cifar_classifier(path: Path = CIFAR10_CHECKPOINT) -> CifarClassifier:
    """The shipped classifier of CIFAR-10, frozen. Raises BadFile for another network's file."""
    return frozen(CifarClassifier, path, "scripts/train_cifar_classifier.py")


# Digits: 32 features of a small classifier

DIGITS_CHECKPOINT = CHECKPOINTS / "digits-classifier.safetensors"
TOTAL_VARIANCE = 1744.0  # of the training digits, summed over the features


class DigitClassifier(nn.Module):
    """Classifier of digits: (b, 1, 8, 8) -> 10 logits, by 32 features of SiLU."""

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


def load_classifier(path: Path = DIGITS_CHECKPOINT) -> DigitClassifier:
    """The shipped classifier of digits, frozen. Raises BadFile for another network's file."""
    return frozen(DigitClassifier, path, "scripts/train_digits_classifier.py")


# Feature spaces by name

Extractor = Callable[[Tensor], Tensor]  # images as bytes (b, 3, h, w) -> features (b, size)


def pixels(x: Tensor) -> Tensor:
    """Quantise images as a file holds them: values in [-1, 1] to bytes, clamped and rounded.

    Real images have 256 values. A network sees what lies between or beyond them, and no viewer of
    the file does, so generated images are rounded before they are compared. Bytes are unchanged.

    Raises:
        ValueError: for values that are not finite.
    """
    if x.dtype == torch.uint8:
        return x
    require(x.isfinite().all(), "some pictures hold values that are not finite: look at the model")
    return (x.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)


class Space(ABC):
    """A feature space: a network that gives `size` features of an image, and the space's name."""

    name: ClassVar[str]
    size: ClassVar[int]

    @abstractmethod
    def open(self, device: torch.device) -> Extractor:
        """The network on a device. Raises ValueError with the remedy when it is missing."""

    def classes(self, features: Tensor) -> Tensor | None:
        """The class (n,) read from features (n, size); None for a space without classes."""
        return None

    @torch.no_grad()
    def features(
        self, x: Tensor, device: torch.device | str | None = None, batch: int = 500
    ) -> Tensor:
        """Features (n, size) of images, in batches.

        Args:
            x: images (n, 3, h, w), bytes or values in [-1, 1]; they need not fit on the device.
            device: of the network and the features, by default that of x.
            batch: images at a time.
        """
        require(x.ndim == 4 and x.shape[1] == 3, f"pictures of shape {tuple(x.shape)} cannot be "
                "compared: give (n, 3, height, width)")  # fmt: skip
        place = torch.device(device or x.device)
        extract = opened(self, place)
        return torch.cat([extract(pixels(part.to(place))) for part in x.split(batch)])


@lru_cache(maxsize=1)
def opened(space: Space, device: torch.device) -> Extractor:
    """The network of a space; the last one used stays in memory."""
    return space.open(device)


@ingredient
@dataclass(frozen=True)
class CifarSpace(Space):
    """The features of the CIFAR-10 classifier.

    Args:
        path: a checkpoint of a classifier trained anew; "" is the shipped one.
    """

    path: str = ""

    name = "cmlab-cifar"
    size = FEATURES

    def classes(self, features: Tensor) -> Tensor:
        return self.classifier(features.device).classes(features)

    def classifier(self, device: torch.device) -> CifarClassifier:
        return load_cifar_classifier(Path(self.path or CIFAR10_CHECKPOINT)).to(device)

    def open(self, device: torch.device) -> Extractor:
        classifier = self.classifier(device)

        def extract(u: Tensor) -> Tensor:
            require(u.shape[2:] == (32, 32), f"{self.name} sees 32 × 32 pixels, not "
                    f"{u.shape[2]} × {u.shape[3]}: take another space")  # fmt: skip
            return classifier.features(u.float() / 127.5 - 1)

        return extract


# Inception v3 through torch-fidelity, an optional extra

LIBRARY = "torch_fidelity.feature_extractor_inceptionv3"
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
FILE = "weights-inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"  # how the SHA-256 of the file begins
MEGABYTES = 96


@ingredient
@dataclass(frozen=True)
class InceptionSpace(Space):
    """The 2048 features of Inception v3 (FID), through torch-fidelity.

    Install it with `pip install 'torch-fidelity<0.5'`.

    Images are resized to 299 × 299 by the network's own rule: a quarter of a second each on one
    CPU core.

    Args:
        weights: the file of its weights; "" is the one in torch's cache.
        download: whether they may be fetched into the cache, 96 MB from torch-fidelity's GitHub
            releases; nothing is downloaded otherwise.
    """

    weights: str = ""
    download: bool = False

    name = "inception"
    size = 2048

    def open(self, device: torch.device) -> Extractor:
        module = library()
        path = Path(self.weights) if self.weights else cached(self.download)
        require(path.is_file(), f"{path} does not exist: give the file {FILE}, or ask for its "
                f"download, {MEGABYTES} MB from {URL}")  # fmt: skip
        require(sha256(path.read_bytes()).hexdigest().startswith(DIGEST), f"{path} is damaged or "
                f"another network: get {FILE} from {URL}")  # fmt: skip
        with weights_only():
            net = module.FeatureExtractorInceptionV3(
                self.name, [str(self.size)], feature_extractor_weights_path=str(path)
            )
        net = net.to(device)
        return lambda u: net(u)[0]


def library() -> ModuleType:
    """torch-fidelity's module. Raises ValueError when it or its torchvision is missing."""
    try:
        return importlib.import_module(LIBRARY)
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        raise ValueError(
            "the space inception needs torch-fidelity and a torchvision that fits this torch "
            f"({str(error).splitlines()[0]}): pip install 'torch-fidelity<0.5' torchvision"
        ) from error


def cached(download: bool) -> Path:
    """The file in torch's cache; with `download` it is fetched there, complete or not at all."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if download and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL + FILE, str(path), hash_prefix=DIGEST)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"{URL}{FILE} could not be downloaded ({error}): try again, or get it elsewhere "
                "and give its path"
            ) from error
    return path


@contextmanager
def weights_only() -> Iterator[None]:
    """Make torch.load read tensors only, although the library asks it to run any pickle."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
