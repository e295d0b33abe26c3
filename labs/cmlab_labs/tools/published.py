"""Published weights of EDM's and ECT's DDPM++ as a run: `cmlab weights --as`.

Their network, `SongUNet` with the settings of DDPM++, has the layers of `cmlab.nets.DDPMpp`, one
for one (Karras et al. 2022, arXiv:2206.00364, and Geng et al. 2025, arXiv:2406.14548; compared
with the authors' code). Three things lie otherwise in memory: the noise level's features are
(sin, cos) there and (cos, sin) here; each channel's q, k and v are neighbours there, and here all
of q comes first; the scale and shift of a normalisation are (c,) there and (c, 1, 1) here. The
embedding of the augmentation, which only their training asks for, is left out.

Not DDPM++, and refused: NCSN++ (Fourier features, a residual pyramid, a wider filter), class
labels, which are added before the embedding's layers there and after them here, and ADM.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cmlab.model import CMPrecond, EDMPrecond
from cmlab.nets import DDPMppShape, Positional
from cmlab.presets.cifar10_paper import ect, edm
from cmlab.train import checkpoint, cost, runs
from cmlab.train.checkpoint import BadFile

RECIPES = {  # with the preconditioning that their code samples with
    "edm": lambda: replace(edm(), precond=EDMPrecond(0.5)),
    "ect": lambda: replace(ect(), precond=CMPrecond(0.5, 0.003)),
}
BLOCK = {
    "norm0": "norm_1", "conv0": "conv_1", "affine": "modulate", "norm1": "modulate.norm",
    "conv1": "conv_2", "skip": "skip", "norm2": "attention.norm", "qkv": "attention.qkv",
    "proj": "attention.out",
}  # fmt: skip
SIDE = 32  # pixels: CIFAR-10's


def main(found: Mapping[str, Tensor], form: str, file: Path, out: Path) -> None:
    """Write the tensors of a published network as a run's file.

    Args:
        found: the tensors of the averaged network, named as by its authors' code.
        form: "edm" or "ect", which says what stands around the network.
        file: where they came from; its hash goes into the record.
        out: the .safetensors file.

    Raises:
        BadFile: in one sentence, for those of another network, and for what are no weights.
    """
    if not all(x.is_floating_point() and bool(x.isfinite().all()) for x in found.values()):
        raise BadFile(
            f"{file} holds numbers that are not finite, or whole: no weights; get it again"
        )
    try:
        shape = shape_of(found)
        cost.check_size(shape)
        recipe = replace(RECIPES[form](), net=shape)
        model = recipe.build()
        state = {f"net.{name}": x.float() for name, x in renamed(found, shape).items()}
        model.load_state_dict(state | dict(model.named_buffers()))
    except (LookupError, ValueError, RuntimeError, TypeError) as error:
        raise BadFile(
            f"{file} holds another network than the unconditional DDPM++ of EDM and ECT for "
            f"{SIDE} × {SIDE} pixels; judge it with its own code, see docs/published-weights.md"
        ) from error
    source = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    record = runs.provenance(recipe) | {"preset": None, "published": source}
    checkpoint.write(out, model.state_dict(), record)


def shape_of(found: Mapping[str, Tensor]) -> DDPMppShape:
    """The arguments of the network, as the shapes of its tensors tell them.

    Raises LookupError for names that it would have to have.
    """
    width, channels = found[f"model.enc.{SIDE}x{SIDE}_conv.weight"].shape[:2]
    sides = [f"model.enc.{SIDE >> i}x{SIDE >> i}_block0" for i in range(SIDE.bit_length())]
    levels = [side for side in sides if f"{side}.conv0.weight" in found]
    mults = tuple(len(found[f"{side}.conv0.weight"]) // width for side in levels)
    attention = tuple(i for i, side in enumerate(levels) if f"{side}.qkv.weight" in found)
    blocks = sum(f"model.enc.{SIDE}x{SIDE}_block{k}.conv0.weight" in found for k in range(64))
    waves = Positional(found["model.map_layer0.weight"].shape[1] // 2)
    return DDPMppShape(channels, width, mults, blocks, attention, embed=waves)


def layers(shape: DDPMppShape) -> Iterator[tuple[str, str]]:
    """Each layer's name in the authors' code and its name here."""
    top = f"{SIDE}x{SIDE}"
    yield from {
        "map_layer0": "told.inner",
        "map_layer1": "told.outer",
        f"enc.{top}_conv": "first",
        f"dec.{top}_aux_norm": "last.0",
        f"dec.{top}_aux_conv": "last.2",
    }.items()
    for block, here in blocks(shape):
        yield from ((f"{block}.{theirs}", f"{here}.{ours}") for theirs, ours in BLOCK.items())


def blocks(shape: DDPMppShape) -> Iterator[tuple[str, str]]:
    """Each residual block's name in the authors' code and its name here."""
    sides = [f"{SIDE >> i}x{SIDE >> i}" for i in range(len(shape.mults))]
    names = [f"block{k}" for k in range(shape.blocks + 1)]
    down = [f"enc.{side}_{name}" for side in sides for name in ("down", *names[:-1])]
    yield from ((theirs, f"encoder.{k}") for k, theirs in enumerate(down[1:]))  # no first "down"
    for place, side in enumerate(reversed(sides)):
        enter = ["up"] if place else ["in0", "in1"]
        for part, inside in (("enter", enter), ("blocks", names)):
            for k, name in enumerate(inside):
                yield f"dec.{side}_{name}", f"decoder.{place}.{part}.{k}"


def renamed(found: Mapping[str, Tensor], shape: DDPMppShape) -> dict[str, Tensor]:
    """The tensors under the names that `DDPMpp` has for them, each as it lies there.

    Raises ValueError if some are left for which it has no place.
    """
    left = {name: x for name, x in found.items() if name != "model.map_augment.weight"}
    for name in [name for name in left if name.endswith(".resample_filter")]:
        if not torch.equal(left.pop(name).float(), torch.full((1, 1, 2, 2), 0.25)):
            raise ValueError(f"{name} is not the mean of 2 × 2 pixels")
    made = {}
    for theirs, ours in layers(shape):
        for kind in ("weight", "bias"):
            if (x := left.pop(f"model.{theirs}.{kind}", None)) is not None:
                name = {"weight": "scale", "bias": "shift"}[kind] if "norm" in theirs else kind
                made[f"{ours}.{name}"] = laid_out(theirs, x)
    if left:
        raise ValueError(f"there is no place for {sorted(left)[0]}")
    return made


def laid_out(layer: str, x: Tensor) -> Tensor:
    """A weight or bias of this layer as it lies in `DDPMpp`."""
    if "norm" in layer:
        return x[:, None, None]
    if layer.endswith("qkv"):
        return x.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
    return x.roll(x.shape[1] // 2, dims=1) if layer == "map_layer0" and x.ndim == 2 else x
