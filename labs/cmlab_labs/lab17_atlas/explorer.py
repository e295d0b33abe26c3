"""Explorer of lab 17: samples of two methods from one noise, over the exact end points."""

from functools import cache, lru_cache

import torch
from torch import Tensor

from cmlab.methods.pcm import Phases
from cmlab.metrics.toy import coverage, nearest_mode
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.process import Process, VarianceExploding
from cmlab.sampling import Sampler
from cmlab.train import runs
from cmlab.types import Data, Denoise

from ..common.explorer import Explorer, Picture, choice, slider
from ..common.explorers_steps import OraclePhasedModel, ring_denoiser
from ..common.study import ranged
from .benchmark import ENTRIES, Generation, read_rows, score, weights_of
from .figures import LOOK, compare_samples, evaluated_calls, present

POINTS, CALLS, LAST_SEED = 192, (1, 2, 4, 8, 16, 32), 9
EXACT_STEPS = 64  # Heun's: within 0.001 of the exact ends on average
CPU = torch.device("cpu")
LEGEND = (
    f"Circles are the exact ends for the same {POINTS} points of noise; of real data, 99 % lie "
    "near a mode (within 3 standard deviations)."
)


def explorer() -> Explorer:
    """An explorer of two methods. Knobs: `method`, `other`, `calls`, and `seed` of the noise."""
    titles = list(methods())
    first = "iCT" if "iCT" in titles else titles[0]
    knobs = {
        "method": choice("method", titles, first),
        "other": choice("beside it", titles),
        "calls": choice("network calls", CALLS, 1),
        "seed": slider("noise: seed", 0, 0, LAST_SEED),
    }  # fmt: skip
    return Explorer(picture, knobs)


@cache
def methods() -> dict[str, str]:
    """Keys of the methods that can be drawn, by title: those with weights of seed 0."""
    return {
        entry.title: key
        for key, entry in ENTRIES.items()
        if isinstance(entry.asked, Generation) and (not entry.parts or weights_of(key).exists())
    }


def picture(method: str, other: str, calls: int, seed: int) -> Picture:
    """Two clouds over the exact ends, and the same in numbers."""
    exact, panels, lines = exact_paths(seed)[1], [], []
    for title in (method, other):
        key = methods()[title]
        x = samples(key, calls, seed)
        far = float((x - exact).norm(dim=1).mean())
        name = f"{title}, {calls} call{'s' * (calls > 1)}\nmean distance {far:.2f}"
        panels.append((name, x.numpy(), LOOK[key]))
        lines.append(method_sentence(title, x, exact, far, table_sentence(key, calls)))
    return Picture(compare_samples(panels, exact.numpy()), "\n".join([*lines, LEGEND]))


def method_sentence(title: str, x: Data, exact: Data, far: float, recorded: str) -> str:
    """One method in words."""
    near, modes = coverage(x, toy.RING.oracle.components)
    same = (nearest_mode(toy.RING, x) == nearest_mode(toy.RING, exact)).double().mean()
    where = f"near one of {modes} modes" if modes else "near a mode"
    return (
        f"<b>{title}</b>: mean distance to the exact ends {far:.3f}, the same mode for "
        f"{100 * same:.0f} %; {100 * near:.0f} % lie {where}. {recorded}"
    )


@cache
def table_sentence(key: str, calls: int) -> str:
    """A method's error in the recorded table, as a sentence."""
    rows = read_rows()
    for way, n in evaluated_calls(rows, key) if present(rows, [key]) else []:
        if n == calls:
            found = score(rows, key, "sliced_w2", way, n)
            return f"Recorded sliced W₂ to the data: {ranged(found)}."
    return "Not recorded for this number of calls."


@lru_cache(maxsize=LAST_SEED + 1)
def exact_paths(seed: int) -> tuple[Tensor, Tensor]:
    """Points of standard normal noise (b, 2), and where their exact paths end."""
    z = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(100 + seed))
    top = torch.full((POINTS,), toy.SIGMA_MAX)
    return z, OraclePhasedModel(Phases((0.0, toy.SIGMA_MAX)), EXACT_STEPS)(toy.SIGMA_MAX * z, top)


@lru_cache(maxsize=512)
def samples(key: str, calls: int, seed: int) -> Data:
    """Samples of a method from these noises; a denoiser's by DDIM."""
    process, denoise = network(key)
    with torch.no_grad(), seeded(CPU, seed, 4):
        return sampler(key)(process, denoise, exact_paths(seed)[0], calls)


def sampler(key: str) -> Sampler:
    """The first sampler with which a method is evaluated."""
    evaluation = ENTRIES[key].asked
    if not isinstance(evaluation, Generation):
        raise ValueError(f"{key} draws no samples from noise; take another method")
    return evaluation.ways[0][1]


@cache
def network(key: str) -> tuple[Process, Denoise]:
    """The denoiser of seed 0 and its process."""
    if not ENTRIES[key].parts:
        return VarianceExploding(), ring_denoiser
    model, _, _ = runs.load(weights_of(key))
    return model.process, model.requires_grad_(False)
