"""Live figures of the gallery: their script as one file, and networks' weights as another.

The modules are plain scripts. They are joined into one function, `cmlabLive`, that the page calls,
and whose own text a worker runs: so a page opened from a disk, where nothing may be fetched, can
train in the background.
"""

import json
from base64 import b64encode
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmlab.data.digits import Digits
from cmlab.model import CMPrecond, EDMPrecond, VelocityPrecond
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.sampling import FewSteps
from cmlab.train import runs

from ..common.study import read
from .kernel import module

HERE = Path(__file__).parent
MODULES = ("machine", "weights", "random", "unet", "mlp", "mixture", "training", "figure",
           "drawing", "editor", "digits", "retouch", "path", "ring", "map", "flow", "share",
           "start")  # fmt: skip


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


def packed(tensors: dict[str, Tensor]) -> dict[str, object]:
    """Tensors in float16; the frequencies of the noise level, whose phases matter, in float32."""
    rows, stored = [], {"half": [], "single": []}
    for name, value in tensors.items():
        kind = "single" if name.endswith("frequencies") else "half"
        rows.append((name, kind, sum(v.numel() for v in stored[kind]), tuple(value.shape)))
        stored[kind].append(value.float() if kind == "single" else value.half())
    text = {kind: b64encode(torch.cat([v.flatten() for v in values]).numpy().tobytes()).decode()
            for kind, values in stored.items()}  # fmt: skip
    return {"tensors": rows, "halves": text["half"], "singles": text["single"]}


def told(path: Path) -> dict[str, object]:
    """A trained network as the page takes it: weights, preconditioning, levels of a sampler."""
    model, recipe, _ = runs.load(path)
    precond, sampler = recipe.precond, recipe.sampler
    weights = packed(dict(model.net.state_dict()))
    if isinstance(precond, VelocityPrecond):  # of a flow map, which needs no more
        return {"weights": weights}
    assert isinstance(precond, EDMPrecond | CMPrecond) and isinstance(sampler, FewSteps)
    return {
        "weights": weights,
        "sigmaData": precond.sigma_data,
        "kind": "EDM" if isinstance(precond, EDMPrecond) else "CM",
        "levels": {calls: sampler.levels(calls).tolist() for calls in (1, 2, 4)},
    }


def network(name: str, path: Path) -> str:
    """A trained network as a script that hands it to the page under this name."""
    return f"cmlabNetwork('{name}', {json.dumps(told(path), separators=(',', ':'))});\n"


DIGITS = CHECKPOINTS / "digits-ect.safetensors"
ATLAS = {"ict": "iCT", "ct": "CT", "ect": "ECT", "cd": "CD", "edm": "EDM, a denoiser"}
FLOWS = {  # one for each condition of lab 18
    "lsd": "LSD: move the end",
    "meanflow": "MeanFlow: move the start",
    "psd": "PSD: split the jump",
    "imm": "IMM: distribution",
}
PLANE = {key: CHECKPOINTS.parent / "atlas" / f"{key}.safetensors" for key in (*ATLAS, *FLOWS)}
FIGURES = {"front": "digits", "00": "retouch", "02": "path", "06": "ring", "07": "ring",
           "13": "retouch", "17": "map", "18": "flow"}  # by lab  # fmt: skip
PLACE = (
    '<div class="live" data-live="{}" data-lab="{}" data-embed="embed.html">'
    "<figure hidden></figure></div>\n"
)
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
    """HTML of the place of a page's live figure, by the lab's number or "front"; empty without."""
    return PLACE.format(FIGURES[lab], lab) if lab in FIGURES else ""


def live_scripts() -> dict[str, str]:
    """The scripts that live figures need, by name."""
    plane = {key: network(key, path) for key, path in PLANE.items()}
    return {"live": script(), "digits": network("digits", DIGITS), **plane}
