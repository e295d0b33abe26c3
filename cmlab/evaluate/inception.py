"""The space of published FIDs: Inception v3 through torch-fidelity, an optional extra.

torchmetrics wraps this very network of torch-fidelity and resizes pictures in a way of its own
unless told not to. So torch-fidelity it is, alone: one package less, and one rule less.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import torch

from ..components import require
from ..ingredients import ingredient
from .spaces import Eye, Space

LIBRARY = "torch_fidelity.feature_extractor_inceptionv3"
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
FILE = "weights-inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"  # how the SHA-256 of the file begins
MEGABYTES = 96


@ingredient
@dataclass(frozen=True)
class InceptionSpace(Space):
    """2048 features of Inception v3, through torch-fidelity: `pip install cmlab[inception]`.

    Its weights, 96 MB from torch-fidelity's GitHub releases, are read from `weights` or from
    torch's cache, where `download=True` puts them; nothing is downloaded otherwise. Pictures are
    resized to 299 × 299 by the network's own rule: a quarter of a second each on one CPU core.
    """

    weights: str = ""
    download: bool = False

    name = "inception"
    size = 2048

    def open(self, device: torch.device) -> Eye:
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
    """torch-fidelity's network. A torchvision of another torch raises RuntimeError on import."""
    try:
        return importlib.import_module(LIBRARY)
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            "the space inception needs torch-fidelity and a torchvision that fits this torch "
            f"({str(error).splitlines()[0]}): pip install cmlab[inception]"
        ) from error


def cached(download: bool) -> Path:
    """Where torch keeps downloads; the file is fetched there only when asked, and whole or not."""
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
    """torch reads tensors and refuses code, although the library asks it to run any pickle."""
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
