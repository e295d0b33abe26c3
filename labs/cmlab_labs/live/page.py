"""Live figures of the gallery: their script as one file, and networks' weights as another.

The modules are plain scripts. They are joined into one function, `cmlabLive`, that the page calls,
and whose own text a worker runs: so a page opened from a disk, where nothing may be fetched, can
train in the background. Weights are text, a character for 16 bits of them, and their scripts are
written in UTF-16, where they take no more room than the weights themselves.
"""

import io
import json
from base64 import b64encode
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cmlab.data.cifar10 import CLASSES
from cmlab.data.digits import Digits
from cmlab.metrics.feature_extractors import pixels
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, VelocityPrecond
from cmlab.nets.patches import PatchesShape
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.sampling import FewSteps
from cmlab.train import runs

from ..common.study import read
from .kernel import module

HERE = Path(__file__).parent
MODULES = ("machine", "weights", "random", "unet", "mlp", "mixture", "training", "figure",
           "drawing", "editor", "generated", "digits", "photographs", "retouch", "path", "ring",
           "map", "flow", "share", "start")  # fmt: skip


def script() -> str:
    """The live figures' code: all modules in one function."""
    parts = [(HERE / f"{name}.js").read_text(encoding="utf-8") for name in MODULES]
    text = "\n".join(parts).replace("@KERNEL@", b64encode(module()).decode())
    text = text.replace("@RECORDED@", json.dumps(recorded()))
    text = text.replace("@SCANS@", json.dumps(scans()))
    for mark, titles in (("@ATLAS@", ATLAS), ("@FLOWS@", FLOWS)):
        listed = {key: {"title": title, "address": f"assets/{key}.js"}
                  for key, title in titles.items()}  # fmt: skip
        text = text.replace(mark, json.dumps(listed))
    return f'"use strict";\nfunction cmlabLive(self) {{\n{text}}}\ncmlabLive(self);\n'


RUNS = {"CT": ("ladder", "ct"), "iCT": ("ladder", "ict"), "ECT": ("tuning-toy", "tuned")}


def recorded() -> dict[str, list[float]]:
    """The labs' recorded runs on the ring: each method's final error by noise level."""
    found = {method: read(*names) for method, names in RUNS.items()}
    rows = {method: np.round(run["average_error"].mean(0), 4).tolist()
            for method, run in found.items()}  # fmt: skip
    return {"levels": np.round(found["CT"]["levels"][0], 5).tolist(), **rows}


SCANS = 4  # held-out scans of each digit


def scans() -> list[list[str]]:
    """Held-out scans of each digit, a character a pixel: from "0", paper, to "g", full ink."""
    held_out = Digits(train=False)
    rows = [held_out.images[held_out.labels == digit][:SCANS].flatten(1) for digit in range(10)]
    return [["".join(f"{v:x}" if v < 16 else "g" for v in (8 * (scan + 1)).int().tolist())
             for scan in of_one] for of_one in rows]  # fmt: skip


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def halves(values: Tensor) -> str:
    """Float16, a character each. Raises ValueError from 128 on, where some are no characters."""
    if not values.abs().max() < 128:
        raise ValueError("the page takes weights below 128, and these are larger or no numbers")
    return values.half().numpy().astype("<f2").tobytes().decode("utf-16-le")


TOP = 125  # of whole numbers in 8 bits: two make a character, and there are 251² below
SURROGATES, AFTER = 0xD800, 0xE000  # these are no characters


def pairs(values: Tensor) -> str:
    """Whole numbers from -TOP to TOP, two to a character."""
    numbers = np.pad(values.numpy().astype(np.int64) + TOP, (0, values.numel() % 2))
    codes = numbers[::2] * (2 * TOP + 1) + numbers[1::2]
    codes += (codes >= SURROGATES) * (AFTER - SURROGATES)
    return codes.astype("<u2").tobytes().decode("utf-16-le")


def in_eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -TOP to TOP of the weight's shape, and a scale for each of its rows."""
    rows = weight.float().flatten(1)
    scale = (rows.abs().amax(1) / TOP).half().float().clamp(min=2**-24)  # the least float16
    whole = (rows / scale[:, None]).round().clamp(-TOP, TOP).to(torch.int8)
    return whole.reshape(weight.shape), scale


# Of a large network: in 8 bits, this eighth of its weights made nine tenths of the rounding error.
FINE = ("told.", "first.", "last.", "down.0.", "up.2.")


def kind_of(name: str, value: Tensor, large: bool) -> str:
    """How a tensor is carried: the phases of frequencies matter, so they stay in float32."""
    if name.endswith("frequencies"):
        return "single"
    coarse = large and value.numel() > len(value) and not any(part in name for part in FINE)
    return "pair" if coarse else "half"


def packed(tensors: dict[str, Tensor], large: bool = False) -> dict[str, object]:
    """Tensors in float16, or the matrices of a large network in 8 bits, with names and places."""
    rows: list[tuple[object, ...]] = []
    stored: dict[str, list[Tensor]] = {"half": [], "single": [], "pair": []}

    def put(kind: str, value: Tensor) -> int:
        stored[kind].append(value.flatten())
        return sum(len(v) for v in stored[kind][:-1])

    for name, value in tensors.items():
        kind, shape = kind_of(name, value, large), tuple(value.shape)
        if kind == "pair":
            whole, scale = in_eight_bits(value)
            rows.append((name, kind, put(kind, whole), shape, put("half", scale)))
        else:
            rows.append((name, kind, put(kind, value.float()), shape))
    half, single, pair = (torch.cat(values or [torch.zeros(0)]) for values in stored.values())
    return {"tensors": rows, "halves": halves(half), "singles": base64(single.numpy().tobytes()),
            "pairs": pairs(pair)}  # fmt: skip


@torch.no_grad()
def rounded(model: Denoiser, large: bool = False) -> Denoiser:
    """The model, whose weights become those that the page has."""
    for name, weight in model.state_dict().items():
        kind = kind_of(name, weight, large)
        if kind == "half":
            weight.copy_(weight.half().float())
        elif kind == "pair":
            whole, scale = in_eight_bits(weight)
            weight.copy_((whole.flatten(1) * scale[:, None]).reshape(weight.shape))
    return model


def told(path: Path) -> dict[str, object]:
    """A trained network as the page takes it: weights, preconditioning, levels of a sampler."""
    model, recipe, _ = runs.load(path)
    precond, sampler, patches = recipe.precond, recipe.sampler, recipe.net
    large = isinstance(patches, PatchesShape)  # photographs
    weights = packed(dict(model.net.state_dict()), large)
    if isinstance(precond, VelocityPrecond):  # of a flow map, which needs no more
        return {"weights": weights}
    assert isinstance(precond, EDMPrecond | CMPrecond) and isinstance(sampler, FewSteps)
    found = {
        "weights": weights,
        "sigmaData": precond.sigma_data,
        "kind": "EDM" if isinstance(precond, EDMPrecond) else "CM",
        "levels": {calls: sampler.levels(calls).tolist() for calls in (1, 2, 4)},
    }
    return found | {"patch": patches.size, "changed": changed(path)} if large else found


def network(name: str, path: Path) -> str:
    """A trained network as a script that hands it to the page under this name."""
    row = json.dumps(told(path), separators=(",", ":"), ensure_ascii=False)
    return f"cmlabNetwork('{name}', {row});\n"


# Photographs, recorded for the figure to open with and for browsers that cannot make them

OPENING = 7  # seed of the noise


@torch.no_grad()
def photographs(path: Path, as_carried: bool) -> Tensor:
    """One photograph of each class from the same noise, in one call: (10, 3, 32, 32)."""
    model, recipe, _ = runs.load(path)
    model = rounded(model, large=True) if as_carried else model
    g, label = torch.Generator().manual_seed(OPENING), torch.arange(len(CLASSES))
    z = torch.randn(1, 3, 32, 32, generator=g).expand(len(label), -1, -1, -1)
    return recipe.sampler(model.eval().process, lambda x, t: model(x, t, label), z, 1)


def changed(path: Path) -> float:
    """How far the page's photographs are from the network's: RMS, of pixels from -1 to 1."""
    return float((photographs(path, True) - photographs(path, False)).square().mean().sqrt())


@cache
def recorded_photographs() -> str:
    """HTML of the recorded photographs, side by side, as an image that a script may read."""
    strip = pixels(photographs(PHOTOGRAPHS, True)).permute(2, 0, 3, 1).flatten(1, 2)
    file = io.BytesIO()
    Image.fromarray(strip.numpy()).save(file, "PNG", optimize=True)
    return RECORDED.format(noise=OPENING, data=base64(file.getvalue()))


DIGITS = CHECKPOINTS / "digits-ect.safetensors"
PHOTOGRAPHS = CHECKPOINTS / "cifar10-photographs.safetensors"
ATLAS = {"ict": "iCT", "ct": "CT", "ect": "ECT", "cd": "CD", "edm": "EDM, a denoiser"}
FLOWS = {  # one for each condition of lab 18
    "lsd": "LSD: move the end",
    "meanflow": "MeanFlow: move the start",
    "psd": "PSD: split the jump",
    "imm": "IMM: distribution",
}
PLANE = {key: CHECKPOINTS.parent / "atlas" / f"{key}.safetensors" for key in (*ATLAS, *FLOWS)}
FIGURES = {"front": ("digits", "photographs"), "00": ("retouch",), "02": ("path",),
           "06": ("ring",), "07": ("ring",), "13": ("retouch",), "16": ("photographs",),
           "17": ("map",), "18": ("flow",)}  # by lab  # fmt: skip
PLACE = (
    '<div class="live" data-live="{}" data-lab="{}" data-embed="embed.html">'
    "<figure hidden></figure>{}</div>\n"
)
RECORDED = """<figure class="fallback">
<figcaption>Photographs from one noise, in one call of a network for each class.</figcaption>
<img class="recorded" data-noise="{noise} 0 1" src="data:image/png;base64,{data}" width="320"
height="32" alt="Ten generated photographs of 32 by 32 pixels, from an airplane to a truck">
</figure>"""
EMBED = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A live figure · cmlab</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/style.css">
<script src="assets/theme.js"></script>
<script src="assets/live.js" defer></script>
</head>
<body class="embed">
<main><h1>A live figure</h1>
<div class="live" data-embed="embed.html"><figure hidden></figure>
<p class="fallback note">This page shows one live figure of cmlab, the one that its address names,
in a browser with WebAssembly. The control “Share” under each figure has such addresses.</p></div>
<p class="note"><a href="index.html" target="_top">cmlab: a lab on consistency models</a></p>
</main>
</body>
</html>
"""


def live_figure(lab: str) -> str:
    """HTML of the places of a page's live figures, by the lab's number or "front"."""
    kinds = FIGURES.get(lab, ())
    return "".join(
        PLACE.format(kind, lab, recorded_photographs() if kind == "photographs" else "")
        for kind in kinds
    )


def live_scripts() -> dict[str, bytes]:
    """The scripts that live figures need, by name: files to write."""
    paths = {"digits": DIGITS, "photographs": PHOTOGRAPHS, **PLANE}
    return {"live": script().encode()} | {
        name: f"\ufeff{network(name, path)}".encode("utf-16-le") for name, path in paths.items()
    }
