"""Explorer of multistep sampling: noise levels, fresh noise between calls, and the samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from cmlab.methods.pcm import Phases, cut, jumps
from cmlab.metrics.plots import Role
from cmlab.metrics.toy import Ends, against, coverage, exact_ends
from cmlab.noise_levels import KarrasGrid
from cmlab.presets import toy
from cmlab.process import VarianceExploding
from cmlab.sampling import ode
from cmlab.types import Data, Denoise, Time

from .explorer import Explorer, Picture, choice, log_slider, slider
from .plots_steps import SAMPLER_STYLE, level_plan
from .studies_shared import restored_network
from .study import read

SIGMA_MAX, MAX_CALLS, POINTS, POINTS_SHOWN = 10.0, 8, 64, 384
EVEN_SHARES, OWN_LEVELS = "equal parts", "the sliders"


@dataclass(frozen=True)
class SamplerChoice:
    """A sampler of the explorer: its model, and whether it adds fresh noise between calls."""

    role: Role
    renoised: bool
    variant: str = ""  # of the recorded study; "" is exact
    phases: int = 0  # that the network was trained for; 0: it has no edges of its own


SAMPLERS = {
    "CM, exact f": SamplerChoice(SAMPLER_STYLE["exact f*"], True),
    "CM, good network": SamplerChoice(SAMPLER_STYLE["good f"], True, "m1"),
    "CM, bad network": SamplerChoice(SAMPLER_STYLE["bad f"], True, "bad"),
    "phased, exact": SamplerChoice(SAMPLER_STYLE["exact f*"], False),
    "phased, network of 4": SamplerChoice(SAMPLER_STYLE["phased"], False, "m4", 4),
    "phased, network of 8": SamplerChoice(SAMPLER_STYLE["phased"], False, "m8", 8),
    "DDIM, exact denoiser": SamplerChoice(SAMPLER_STYLE["DDIM"], False),
}


def explorer() -> Explorer:
    """An explorer of step plans. Knobs: `way`, `calls`, `spread`, and `level2` … `level8`."""
    start = cut(toy.GRID, POINTS, MAX_CALLS).edges[-2:0:-1]
    levels = {
        f"level{n}": log_slider(f"σ of call {n}", round(level, 3), 0.008, 9.5, 60)
        for n, level in enumerate(start, 2)
    }
    knobs = {
        "way": choice("function", list(SAMPLERS), "CM, good network"),
        "calls": slider("calls", 4, 1, MAX_CALLS),
        "spread": choice("noise levels", [EVEN_SHARES, OWN_LEVELS]),
    }
    return Explorer(picture, knobs | levels)


def picture(way: str, calls: int, spread: str, **levels: float) -> Picture:
    """The noise levels of the calls, the samples, and distances to the exact endpoints."""
    chosen = SAMPLERS[way]
    own = sorted({SIGMA_MAX, *list(levels.values())[: calls - 1]}, reverse=True)
    steps = list(cut(toy.GRID, POINTS, calls).edges[:0:-1]) if spread == EVEN_SHARES else own
    found, ends = sample(chosen, steps), exact_endpoints()
    marks = cut(toy.GRID, POINTS, chosen.phases).edges[1:-1] if chosen.phases else ()
    numbers = against(toy.RING, found, ends)
    title = f"Distance to the exact ends {numbers['end']:.2f}\nsliced W₂ {numbers['sw']:.2f}"
    figure = level_plan(
        steps, marks, chosen.renoised, found.numpy(), ends.exact.numpy(), chosen.role, title
    )
    return Picture(figure, reading(way, steps, numbers, found))


def reading(way: str, levels: Sequence[float], numbers: dict[str, float], found: Data) -> str:
    """The reading: the plan, the distance to the exact endpoints, and that to the data."""
    near, modes = coverage(found, toy.RING.oracle.components)
    at, many = ", ".join(f"{level:.3g}" for level in levels), "s" * (len(levels) > 1)
    return (
        f"{way}: {len(levels)} call{many}, at noise level{many} {at}.\n"
        f"Compared with the exact ends: mean distance {numbers['end']:.3f}; the same "
        f"mode for {100 * numbers['same']:.0f} %.\n"
        f"Compared with the data: {100 * near:.0f} % lie within 3 std of one of {modes} modes "
        f"(real data: 99 %); sliced W₂ {numbers['sw']:.3f} from {len(found)} points."
    )


@cache
def exact_endpoints() -> Ends:
    """Noise and the exact ends of its ODE paths."""
    return exact_ends(toy.RING, SIGMA_MAX, POINTS_SHOWN)


def sample(way: SamplerChoice, levels: Sequence[float]) -> Tensor:
    """Samples at these noise levels, from a fixed seed."""
    denoise = chosen_denoiser(way, tuple(levels))
    g = torch.Generator().manual_seed(1)
    x, keep = SIGMA_MAX * exact_endpoints().z, 0.0 if way.renoised else 1.0
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=g)))
        *_, x = jumps(VarianceExploding(), denoise, x, torch.tensor([*levels, 0.0]).double(), keep)
    return x


def chosen_denoiser(way: SamplerChoice, levels: tuple[float, ...]) -> Denoise:
    """The denoiser of a sampler; the exact phased one has its edges at the plan's levels."""
    if way.variant:
        return network(way.variant)
    if way is SAMPLERS["DDIM, exact denoiser"]:
        return ring_denoiser
    edges = (0.0, SIGMA_MAX) if way.renoised else (0.0, *levels[::-1])
    return OraclePhasedModel(Phases(edges))


@cache
def network(variant: str) -> torch.nn.Module:
    """A network of the recorded study "phases"."""
    return restored_network(variant, read("phases", variant)["weights"][0])


@dataclass(frozen=True)
class OraclePhasedModel:
    """The exact phased consistency function, to 18 steps of Heun's method in float32."""

    phases: Phases
    steps: int = 18

    def __call__(self, x_t: Data, t: Time) -> Data:
        top, edge = float(t[0]), float(self.phases.floor(VarianceExploding(), t[:1].double()))
        low = max(edge, 0.002)
        way = KarrasGrid(low, top).up(self.steps).flip(0).to(x_t)
        *_, x = ode(
            VarianceExploding(), ring_denoiser, x_t, way if edge else torch.cat([way, way[:1] * 0])
        )
        share = edge / top
        return (x - share * x_t) / (1 - share)


def ring_denoiser(x_t: Data, t: Time) -> Data:
    """The ring's exact denoiser at one common noise level, in float32, without checks."""
    data, v = toy.RING, toy.RING.std**2 + t[0] ** 2
    means = data.oracle.means.to(x_t)
    weights = torch.softmax(x_t @ means.T / v, dim=1)  # all modes are as far from the middle
    return (x_t * data.std**2 + t[0] ** 2 * (weights @ means)) / v
