"""Presets for pictures of one's own: those of CIFAR-10, fitted to the packed file in --data.

`cmlab data images` writes the file. Size, classes and σ_data are taken from it; the budgets are
CIFAR-10's, of a laptop or of a GPU, and no run has tuned them on other pictures. Pictures that
must not be mirrored, such as letters, need `--set data.flip=False`.
"""

from dataclasses import replace
from typing import Any

from ..data.own import Images
from ..methods.edm import EDM, EDMWeight
from ..metrics.evaluators import ImagesEvaluator
from ..model import EDMPrecond
from ..nets.patches import PatchesShape
from ..train.recipe import Recipe, change
from . import cifar10, cifar10_laptop, preset

EVENING = 20_000  # steps of 128 pictures, the denoiser's included
SITTING, WIDTH, BATCH = 6_000, 32, 64  # of `ect_small`: steps, network's width, pictures a step


def fitted(recipe: Recipe, data: Images) -> Recipe:
    """A recipe for CIFAR-10 on other pictures, its start included."""
    net: Any = recipe.net
    if isinstance(net, PatchesShape):
        side = patch(data.shape[-1])
        inner: Any = net.inner
        inner = replace(inner, channels=3 * side**2, classes=data.classes)
        net = replace(net, inner=inner, size=side)
    else:
        net = replace(net, classes=data.classes)
    method = recipe.method
    if isinstance(method, EDM):
        method = replace(method, weight=EDMWeight(data.sigma_data))
    return replace(
        recipe,
        data=data,
        net=net,
        precond=EDMPrecond(data.sigma_data),
        method=method,
        evaluator=ImagesEvaluator(heun=isinstance(method, EDM)),
        start=recipe.start and fitted(recipe.start, data),
    )


def patch(size: int) -> int:
    """Pixels a side of the network's patches: about 16 in a row, and a multiple of 4 of them."""
    return max(p for p in range(1, max(size // 16, 1) + 1) if size % (4 * p) == 0)


@preset("images.edm")
def edm(steps: int = EVENING, seed: int = 0) -> Recipe:
    """cmlab train images.edm --data FILE: a denoiser as long as the whole of `ect`."""
    return fitted(cifar10_laptop.edm(steps, seed), Images.given())


@preset("images.ect")
def ect(steps: int = EVENING, seed: int = 0) -> Recipe:
    """cmlab train images.ect --data FILE: eight seventeenths are EDM, the rest ECT."""
    return fitted(cifar10_laptop.ect(steps, seed), Images.given())


@preset("images.ect-small")
def ect_small(steps: int = SITTING, seed: int = 0) -> Recipe:
    """cmlab train images.ect-small --data FILE: for some hundred pictures. 12 min."""
    return small(ect(steps, seed))


def small(recipe: Recipe) -> Recipe:
    """A laptop's recipe with a narrower network and smaller batches, its start included."""
    recipe = change(change(recipe, "net.inner.width", WIDTH), "train.batch", BATCH)
    return replace(recipe, start=recipe.start and small(recipe.start))


@preset("images.edm-gpu")
def edm_gpu(steps: int = cifar10.SPRINT, seed: int = 0) -> Recipe:
    """cmlab train images.edm-gpu --data FILE: a denoiser, 6.1 million pictures. Here: not run."""
    return fitted(cifar10.edm(steps, seed), Images.given())


@preset("images.ect-gpu")
def ect_gpu(steps: int = cifar10.SPRINT, seed: int = 0) -> Recipe:
    """cmlab train images.ect-gpu --data FILE: the same images, half of them ECT. Not run."""
    return fitted(cifar10.ect(steps, seed), Images.given())
