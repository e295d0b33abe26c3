"""Animations of lab 01: the probability flow of eight Gaussians, exact and by Euler's method."""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.metrics.plots import DATA, MEAN, TEACHER, TRUTH
from cmlab.noise_levels import KarrasGrid
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, ode

from ..common.animation import (
    INK,
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    dots,
    ink,
    line,
    moving,
    polylines,
    text_labels,
)

ORACLE, LOW, HIGH = Ring().oracle, 0.002, 10.0
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
SOLID = replace(TEACHER, line="-")  # for many thin lines
# Eight colours that colour-blind readers tell apart, and eight symbols: one of each for a mode.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#4d4d4d", "#8a5c00")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
SCALED_AXIS = "x<sub>t,{}</sub> / √(1 + t²) (no unit)"
PLANE_AXIS = "x<sub>{}</sub> (data units)"
LEVEL, CALLS = "noise level t (data units)", "steps N (network calls)"


@lru_cache(maxsize=1)
def start_noise(n: int = 128) -> Tensor:
    """Noise at the highest level, (n, 2)."""
    return HIGH * torch.randn(n, 2, generator=torch.Generator().manual_seed(2)).double()


@animation
def flow(frames: int = 43) -> Moving:
    """Exact ODE paths from noise to data, and the answers of f and D along them."""
    t = KarrasGrid(0.02, HIGH, 3.0).down(frames - 1)[: frames - 1]
    t = torch.cat([t, torch.tensor([LOW])]).double()
    path, ends = (
        ORACLE.path(start_noise(), t),
        ORACLE.consistency(start_noise(), torch.full((128,), HIGH).double()),
    )
    kinds = torch.cdist(ends, ORACLE.components.means).argmin(1).tolist()
    looks = [SYMBOLS[k] for k in kinds], [COLORS[k] for k in kinds]
    shots = [path_frame(t, path, k, looks) for k in range(len(t))]
    still = [
        cloud(ends, DATA, 1, 7, 0.55, looks),
        text_labels([-1.62], [1.52], ["f: marks in colour"], INK, 1),
        text_labels([-1.62], [1.36], ["D: orange triangles"], ink(MEAN), 1),
    ]
    panels = [
        Panel(SCALED_AXIS.format(1), SCALED_AXIS.format(2), (-2.9, 2.9), (-2.9, 2.9), square=True),
        Panel(PLANE_AXIS.format(1), PLANE_AXIS.format(2), (-1.7, 1.7), (-1.7, 1.7), square=True),
    ]
    finding = "While noise becomes data, the consistency function's answer does not move"
    return moving("flow", finding, LEVEL, panels, still, shots, card=(0, 28))


def path_frame(t: Tensor, path: Tensor, k: int, looks: tuple[list[str], list[str]]) -> Shot:
    """A frame at level number k: the samples with a short tail, and D of them."""
    here = path / (1 + t**2).sqrt()[:, None, None]
    tails = torch.stack([here[max(k - 3, 0)], here[k]], 1)
    mean, now = ORACLE.denoise(path[k], t[k].expand(len(path[k]))), f"{float(t[k]):.2g}"
    far = float(mean.norm(dim=1).mean())
    reading = (
        f"At noise level t = {now} the denoiser's answers D lie {far:.2f} from the centre on "
        "average; those of the consistency function f stay where they are, on the ring."
    )
    titles = f"Samples at noise level t = {now}", "One call: f is there, D is under way"
    marks = cloud(here[k], DATA, 0, 7, 1, looks), cloud(mean, MEAN, 1, 7)
    return Shot(now, reading, titles, [polylines(tails, DATA, 0, 0.8, 0.35), *marks])


@animation
def euler() -> Moving:
    """Euler's method from the same noise vectors in more and more steps, and the exact ends."""
    x = start_noise()[:64]
    ends = ORACLE.consistency(x, torch.full((64,), HIGH).double())
    paths = {n: solve(x, n) for n in STEPS}
    far = [float((path[-1] - ends).norm(dim=1).mean()) for path in paths.values()]
    shots = [solver_frame(paths[n], ends, far[: k + 1]) for k, n in enumerate(STEPS)]
    still = [
        cloud(ends, TRUTH, size=6),
        text_labels([-2.2], [2.05], ["circles: exact ends"]),
        text_labels([-2.2], [1.8], ["triangles: Euler's ends"], TEACHER.color),
    ]
    panels = [
        Panel(PLANE_AXIS.format(1), PLANE_AXIS.format(2), (-2.3, 2.3), (-2.3, 2.3), square=True),
        Panel(CALLS, "mean error of the end (data units)", (0.9, 75), (0.01, 3), "xy",
              x_ticks=(1, 2, 4, 8, 16, 32, 64), y_ticks=(0.01, 0.1, 1)),
    ]  # fmt: skip
    finding = "A solver needs many calls to end where one call of the exact f ends"
    return moving("euler", finding, CALLS, panels, still, shots, 3)


def solve(x: Tensor, n: int) -> Tensor:
    """The iterates of n Euler steps, start included: (n + 1, 64, 2)."""
    return torch.stack(
        list(ode(VarianceExploding(), ORACLE.denoise, x, KarrasGrid(LOW, HIGH).down(n), ddim))
    )


def solver_frame(path: Tensor, ends: Tensor, far: list[float]) -> Shot:
    """A frame for one number of steps, with the errors up to it."""
    n = len(path) - 1
    steps = f"{n} step{'s' * (n > 1)}"
    reading = (
        f"After {steps} of Euler, {n} network call{'s' * (n > 1)}, the 64 samples end "
        f"{far[-1]:.2g} from the ends of their exact paths on average."
    )
    traces = [
        polylines(path.transpose(0, 1), SOLID, 0, 0.8, 0.5),
        polylines(torch.stack([path[-1], ends], 1), SOLID, 0, 1.4),
        cloud(path[-1], TEACHER),
        line(STEPS[: len(far)], far, TEACHER, 1),
        dots([n], far[-1:], TEACHER, 1, 13),
    ]
    titles = f"{steps} of Euler against the exact ends", f"Mean error {far[-1]:.2g}"
    return Shot(str(n), reading, titles, traces)
