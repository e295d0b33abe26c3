"""`cmlab export RUN`: a trained network as one HTML file that runs it, offline, or as ONNX."""

import argparse
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, cast

import torch

from cmlab.cli.evaluate import fitting
from cmlab.cli.settings import Refused, say
from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits
from cmlab.data.toy import Ring
from cmlab.model import CMPrecond, Denoiser, EDMPrecond
from cmlab.nets.mlp import MLPShape
from cmlab.nets.norm import Grouped, ScaleShift
from cmlab.nets.patches import PatchesShape
from cmlab.nets.unet import UNetShape
from cmlab.sampling import FewSteps
from cmlab.train import checkpoint, runs
from cmlab.train.recipe import Recipe

from ..tools.gallery.site import ASSETS
from .onnx_file import export_onnx
from .page import network, rounded, script

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
<script>{theme}</script>
</head>
<body class="alone">
<header class="bar"><span class="home">{title}</span><button type="button" id="theme" hidden>Dark</button></header>
<main><h1>{title}</h1>
<div class="live" data-live="{kind}" data-name="{title}" data-embed=""><figure hidden></figure></div></main>
<script>window.cmlabGiven = {{}}; window.cmlabNetwork = (name, told) => {{ cmlabGiven[name] = told; }};
{weights}{script}</script>
</body>
</html>
"""  # noqa: E501


def figure_of(recipe: Recipe) -> str:
    """The live figure that shows such a run. Raises Refused where there is none."""
    net, known = recipe.net, isinstance(recipe.precond, EDMPrecond | CMPrecond)
    if known and isinstance(recipe.sampler, FewSteps):
        if isinstance(net, UNetShape) and isinstance(recipe.data, Digits):
            plain = UNetShape(width=net.width, dropout=net.dropout, embed=net.embed, classes=10)
            if net == plain and isinstance(recipe.precond, EDMPrecond):
                return "digits"
        if draws_photographs(recipe):
            return "photographs"
        if isinstance(net, MLPShape) and recipe.data == Ring() and net.depth == 3:
            return "map"
    raise Refused(
        "a page shows runs such as digits.ect, cifar10.ect-laptop and, on the ring, toy.ct, "
        "toy.ict, toy.ect and toy.cd: a UNet of two levels on digits, one on patches for CIFAR-10 "
        "with classes, or an MLP of three layers on the ring, in noise levels; `cmlab sample` "
        "draws the others"
    )


def draws_photographs(recipe: Recipe) -> bool:
    """Whether unet.js knows the network of such a run, and the figure its classes."""
    data, net = getattr(recipe.data, "data", recipe.data), recipe.net
    if not isinstance(data, CIFAR10) or not isinstance(net, PatchesShape):
        return False
    inner = net.inner
    known = isinstance(inner, UNetShape) and inner == replace(
        inner, blocks=1, modulation=ScaleShift(), norm=Grouped()
    )
    return known and data.labelled and isinstance(recipe.precond, EDMPrecond)


@torch.no_grad()
def rounding(model: Denoiser, recipe: Recipe) -> float:
    """The largest change of the model's answers by the page's weights, on fixed noise."""
    large, data = isinstance(recipe.net, PatchesShape), cast(Any, recipe.data)
    classes = large or getattr(recipe.net, "classes", 0)
    z = torch.randn(8, *data.shape, generator=torch.Generator().manual_seed(0))
    level = torch.logspace(-1, 1, 8)
    x_t = level.reshape(-1, *(1,) * (z.ndim - 1)) * z
    label = torch.arange(8) if classes else None
    before = model.eval()(x_t, level, label)
    return float((rounded(model, large)(x_t, level, label) - before).abs().max())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run's folder or a .safetensors file")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--page", type=Path, help="the .html file to write")
    form.add_argument("--onnx", type=Path, help="the .onnx file to write, for other programs")


def main(given: argparse.Namespace) -> int:
    """Write the page or the ONNX file, and print by how much its answers differ from torch's."""
    if given.onnx:
        return onnx(given.run, given.onnx)
    return page(given.run, given.page)


def onnx(run: Path, path: Path) -> int:
    """Write the network as an ONNX file."""
    if path.suffix != ".onnx":
        raise Refused(f"--onnx takes a .onnx file, not {path}")
    model, recipe, _ = runs.load(run)
    with fitting(run, "written as ONNX"):
        apart = export_onnx(model, recipe, path)
    say({"wrote": str(path), "bytes": path.stat().st_size, "differs_from_torch": apart})
    return 0


def page(run: Path, path: Path) -> int:
    """Write the page."""
    if path.suffix != ".html":
        raise Refused(f"--page takes a .html file, not {path}")
    model, recipe, _ = runs.load(run)
    kind, name = figure_of(recipe), run.stem
    read = {part: (ASSETS / file).read_text(encoding="utf-8")
            for part, file in (("style", "style.css"), ("theme", "theme.js"))}  # fmt: skip
    weights = network("own" if kind == "map" else kind, run)
    text = PAGE.format(title=escape(name), kind=kind, weights=weights, script=script(), **read)
    checkpoint.replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    changed = rounding(model.float(), recipe)
    how = "eight_bits_change" if kind == "photographs" else "float16_changes"
    say({"wrote": str(path), "bytes": len(text.encode()), how: changed})
    return 0
