"""One-step digits: a seed, a digit to ask for, and one, two or four network calls."""

from functools import cache, partial

import torch
from torch import Tensor

from ..check.calls import Watched
from ..data.digits import Digits
from ..evaluate.digits import nearest
from ..figures.digits import desk, visible
from ..model import Denoiser
from ..ops import seeded
from ..oracle import Empirical
from ..process import EDM
from ..runs import ROOT
from ..sample import FewSteps, ode
from ..times import KarrasGrid
from ..vocabulary import Denoise
from .base import Explorer, Picture, choice, slider

# What `cmlab train digits.ect` leaves as model.safetensors.
GENERATOR = ROOT / "data" / "checkpoints" / "digits-ect.safetensors"

GRID = KarrasGrid().down(18)  # 35 network calls with Heun's method
SHOWN = (0, 4, 7, 9, 10, 11, 12, 14)  # of its levels, those drawn
LATE = 5  # of those drawn: there the path has all but decided


@cache
def law(digit: int) -> Empirical:
    """The training scans of one digit, as an exact law."""
    return Empirical(Digits().images[Digits().labels == digit])


def exact(asked: Tensor) -> Denoise:
    """The perfect denoiser of a finite set, told which digit (b,) each image shows."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        x = torch.empty_like(x_t)
        for digit in asked.unique().tolist():
            mine = asked == digit
            x[mine] = law(digit).denoise(x_t[mine], t[mine])
        return x

    return denoise


def nearest_scan(x: Tensor) -> Tensor:
    """For each image (b, 1, 8, 8) the training scan that is nearest to it, of all digits."""
    scans = Digits().images
    return scans[torch.cdist(x.flatten(1), scans.flatten(1)).argmin(1)]


@cache
def held_out_distance() -> float:
    """How far a held-out scan is from its nearest training scan: the median."""
    return float(nearest(Digits(train=False).images, Digits().images).median())


def noise(seed: int, n: int = 1) -> Tensor:
    """Standard normal noise for n digits, a function of the seed."""
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def explorer(model: Denoiser, sampler: FewSteps) -> Explorer:
    """An explorer of a one-step generator. Knobs: `seed`, `digit` and `calls`."""
    knobs = {
        "seed": slider("noise: seed", 0, 0, 99),
        "digit": slider("digit to ask for", 3, 0, 9),
        "calls": choice("network calls", (1, 2, 4)),
    }
    return Explorer(partial(picture, model, sampler), knobs, "explorer(model, recipe.sampler)")


@torch.no_grad()
def picture(model: Denoiser, sampler: FewSteps, seed: int, digit: int, calls: int) -> Picture:
    """What the generator makes of this noise, and its answers along the exact path from it."""
    z, asked, spread = noise(seed), torch.tensor([digit]), Digits().sigma_data
    f = Watched(lambda x_t, t: model(x_t, t, asked.expand(len(x_t))))
    with seeded(z.device, seed):  # fresh noise between two calls
        sampler(model.process, f, z, calls)
    x_in, times, x_out = (torch.cat(part) for part in zip(*f.calls, strict=True))
    levels = GRID[list(SHOWN)].to(z)
    path = torch.cat(list(ode(EDM(), exact(asked), GRID[0].to(z) * z, GRID)))[list(SHOWN)]
    mean, answer = exact(asked.expand(len(path)))(path, levels), f.denoise(path, levels)
    scan = nearest_scan(x_out[-1:])[0]
    along = torch.stack([visible(path, levels, spread), mean, answer])
    figure = desk((visible(x_in, times, spread), x_out), scan, along, levels)
    way = [float((row[0] - row[LATE]).norm()) for row in (mean, answer)]
    return Picture(figure, reading(seed, digit, times, float((x_out[-1] - scan).norm()), *way))


def reading(
    seed: int, digit: int, times: Tensor, away: float, way_mean: float, way_answer: float
) -> str:
    """What the picture shows, in three lines."""
    at = ", ".join(f"{t:.3g}" for t in times.tolist())
    copy = "that is a copy" if away < held_out_distance() / 4 else "a copy would be at 0"
    return "\n".join(
        (
            f"seed={seed}, digit {digit}: {len(times)} network call{'s' * (len(times) > 1)}, "
            f"at noise level{'s' * (len(times) > 1)} {at}.",
            f"The nearest of {len(Digits())} training scans is {away:.1f} away; {copy}, "
            f"and real unseen digits are at {held_out_distance():.1f} (median).",
            f"From t = {GRID[0]:.0f} to t = {GRID[SHOWN[LATE]]:.1g} the mean D moves by "
            f"{way_mean:.1f}, the network's answer by {way_answer:.1f}.",
        )
    )
