"""Animation of lab 11 (PCM): samples by network calls, with phases and with fresh noise.

Phased jumps end in the mode of the exact end; fresh noise between the calls loses this mode.
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from cmlab.methods.pcm import PhasedSteps
from cmlab.metrics.plots import DATA, STUDENT, TRUTH, WRONG, Role
from cmlab.metrics.toy import exact_ends, nearest_mode
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.process import Process
from cmlab.types import Data

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    ink,
    moving,
    polylines,
    text_labels,
)
from ..common.studies_shared import CALL_COUNTS, KEEP_FRACTIONS, phased_ring, restored_network
from ..common.study import read

SHOWN = 96
PLANE = "x<sub>{}</sub> (data units)"


@torch.no_grad()
def samples(variant: str, calls: int, z: Data) -> Tensor:
    """Samples of a variant's recorded network from noise vectors z, with its own sampler."""
    recipe, model = (
        phased_ring(calls, 0),
        restored_network(variant, read("phases", variant)["weights"][0]),
    )
    sampler = recipe.sampler
    if variant == "m1":
        sampler = replace(cast(PhasedSteps, phased_ring(1, 0).sampler), keep=KEEP_FRACTIONS[0])
    with seeded(torch.device("cpu"), 7):
        return sampler(cast(Process, model.process), model, z, calls)


def end_traces(x: Tensor, exact: Tensor, role: Role, panel: int) -> tuple[list, float]:
    """Samples joined to the exact end points; those in another mode are crosses."""
    lost = nearest_mode(toy.RING, x) != nearest_mode(toy.RING, exact)
    symbols = ["x" if gone else "square" for gone in lost.tolist()]
    colors = [WRONG.color if gone else role.color for gone in lost.tolist()]
    joined = polylines(torch.stack([x.double(), exact], 1), DATA, panel, 0.8)
    share = float((~lost).double().mean())
    return [joined, cloud(x, role, panel, 8, 1, (symbols, colors))], share


@animation
def calls() -> Moving:
    """Samples of the same noise vectors in 1 to 8 calls: phases, or fresh noise with one."""
    ends = exact_ends(toy.RING, phased_ring(1, 0).sampler.sigma_max)
    z, exact = ends.z[:SHOWN], ends.exact[:SHOWN]
    shots = [frame(n, samples(f"m{n}", n, z), samples("m1", n, z), exact) for n in CALL_COUNTS]
    still = [
        *(cloud(exact, TRUTH, 0, 4), cloud(exact, TRUTH, 1, 4)),
        text_labels([-1.58], [1.5], ["dots: the exact end"]),
        text_labels([-1.58], [1.5], ["crosses: another mode"], ink(WRONG), 1),
    ]
    plane = Panel(PLANE.format(1), PLANE.format(2), (-1.7, 1.7), (-1.7, 1.7), square=True)
    finding = "Phased jumps end near the exact end; fresh noise leads to other modes"
    return moving("calls", finding, "network calls", [plane, plane], still, shots, 2, (1, 2))


def frame(n: int, phased: Tensor, renoised: Tensor, exact: Tensor) -> Shot:
    """One frame: samples in n calls by both samplers."""
    left, kept = end_traces(phased, exact, STUDENT, 0)
    right, same = end_traces(renoised, exact, STUDENT, 1)
    calls_text = f"{n} call{'s' * (n > 1)}"
    reading = (
        f"{calls_text}: of {SHOWN} noise vectors {100 * kept:.0f} % end in the mode of their "
        f"exact path with phases, and {100 * same:.0f} % with fresh noise between the calls."
    )
    titles = (
        f"{calls_text}, phased: {100 * kept:.0f} % keep their mode",
        f"{calls_text}, fresh noise: {100 * same:.0f} %",
    )
    return Shot(str(n), reading, titles, [*left, *right])
