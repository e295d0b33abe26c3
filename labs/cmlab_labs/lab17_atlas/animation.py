"""Animation of lab 17: diffusion in 1 to 32 network calls beside one call of iCT."""

from functools import partial

import torch
from torch import Tensor

from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH, Role
from cmlab.metrics.toy import exact_ends
from cmlab.presets import toy
from cmlab.process import Process
from cmlab.train import runs
from cmlab.types import Data

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    moving,
    polylines,
    text_labels,
)
from ..common.study import ranged
from .benchmark import ENTRIES, Generation, Row, read_rows, score, weights_of

SHOWN = 96
PLANE = Panel("x<sub>1</sub> (data units)", "x<sub>2</sub> (data units)", (-1.7, 1.7), (-1.7, 1.7),
              square=True)  # fmt: skip


@torch.no_grad()
def samples(method: str, way: str, calls: int, z: Data) -> Tensor:
    """Samples from noises z by the stored network of a method."""
    model, asked = runs.load(weights_of(method))[0], ENTRIES[method].asked
    assert isinstance(asked, Generation)
    (sampler,) = (sampler for name, sampler, _ in asked.ways if name == way)
    process: Process = model.process
    return sampler(process, model, z, calls)


@animation
def calls_of_diffusion() -> Moving:
    """iCT in one call beside EDM's denoiser in 1 to 32, from the same noises."""
    rows, ends = read_rows(), exact_ends(toy.RING, toy.SIGMA_MAX)
    z, exact = ends.z[:SHOWN], ends.exact[:SHOWN]
    one = samples("ict", "multistep", 1, z)
    still = [
        *(cloud(exact, TRUTH, panel, 4) for panel in (0, 1)),
        *samples_to_exact(one, exact, STUDENT, 0),
        text_labels([-1.58], [1.5], ["dots: the exact end"]),
    ]
    aside = (
        f"iCT, 1 call: {score(rows, 'ict', 'sliced_w2', 'multistep', 1).mean():.3f} from the data"
    )
    frame = partial(calls_frame, rows, exact, aside)
    shots = [frame(n, samples("edm", "ddim", n, z)) for n in (1, 2, 4, 8, 16, 32)]
    finding = "Diffusion needs many calls to come as near to the data as one call of a student"
    return moving("worth", finding, "network calls", [PLANE, PLANE], still, shots, 2, (1, 0))


def samples_to_exact(x: Tensor, exact: Tensor, role: Role, panel: int) -> list:
    """Samples, each with a line to where its exact path ends."""
    return [
        polylines(torch.stack([x.double(), exact], 1), DATA, panel, 0.8),
        cloud(x, role, panel, 8),
    ]


def calls_frame(rows: list[Row], exact: Tensor, aside: str, calls: int, x: Tensor) -> Shot:
    """One frame: samples of diffusion in so many calls."""
    errors = {method: score(rows, method, "sliced_w2", way, n) for method, way, n in
           (("edm", "ddim", calls), ("ict", "multistep", 1))}  # fmt: skip
    calls_text = f"{calls} call{'s' * (calls > 1)}"
    reading = (
        f"Sliced W₂ to the data, three seeds: diffusion in {calls_text} {ranged(errors['edm'])}, "
        f"iCT in one call {ranged(errors['ict'])}."
    )
    title = f"diffusion, {calls_text}: {errors['edm'].mean():.3f} from the data"
    return Shot(str(calls), reading, (aside, title), samples_to_exact(x, exact, MEAN, 1))
