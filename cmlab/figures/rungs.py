"""What ECT's stages ask for, exactly: the ideal answers on the line, with no network in the way.

At a level t the answer is compared with f(x_r, r), where x_r = x + r z is on no path: of z no
more is known than x_t = x + t z tells. The best answer is then, rung by rung from the data up,

    with ‖·‖²   f(x_t, t) = E[f(x_r, r) | x_t]
    with ‖·‖    f(x_t, t) = median of f(x_r, r) given x_t, on the line

At r = 0 both are about x itself: the posterior mean D, and the posterior median.
"""

from dataclasses import dataclass

import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ..oracle import Mixture1D
from ..times import Shrink
from .consistency import ranked

LOW = 0.002
NODES, HALVINGS = 15, 41


@dataclass(frozen=True, eq=False)
class Rung:
    """The ideal function at one level: f (n,) at x (n,), rising."""

    level: float
    x: Tensor
    f: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Between its places by a monotone cubic, which blurs no cliff; beyond them constant."""
        inside = x.clamp(float(self.x[0]), float(self.x[-1]))
        return torch.from_numpy(PchipInterpolator(self.x.numpy(), self.f.numpy())(inside.numpy()))


def levels(pairs: Shrink, top: float, step: int = 0, low: float = LOW) -> list[float]:
    """t, r, the r of that, and so on down to the first level below `low`, which may be 0."""
    down = [top]
    while down[-1] >= low:
        t = torch.tensor(down[-1], dtype=torch.float64)
        down.append(float(t * pairs.ratio(t, step)))
    return down


def posterior(law: Mixture1D, x: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """The law of x given x_t (b,): weights (b, K), means (b, K) and standard deviations (K,)."""
    weights, means, stds = law.weights, law.means, law.stds
    wide = stds**2 + level**2
    logs = weights.log() - wide.log() / 2 - (x[:, None] - means) ** 2 / (2 * wide)
    middle = (stds**2 * x[:, None] + level**2 * means) / wide
    return logs.softmax(1), middle, stds * level / wide.sqrt()


def mean_rungs(
    law: Mixture1D, down: list[float], places: int = 601, reach: float = 5.0
) -> list[Rung]:
    """The ideal functions under ‖·‖² at each level but the last, lowest first.

    `reach` counts standard deviations of the noisy data.
    """
    node, weight = normal_nodes(NODES)
    place, found = torch.linspace(-reach, reach, places).double(), []
    for t, r in reversed(list(zip(down, down[1:], strict=False))):
        x = place * (t**2 + law.sigma_data**2) ** 0.5
        share, middle, spread = posterior(law, x, t)
        data = middle[..., None] + spread[:, None] * node
        x_r = r / t * x[:, None, None] + (1 - r / t) * data
        target = found[-1](x_r) if found else x_r
        found.append(Rung(t, x, (share[..., None] * weight * target).sum((1, 2))))
    return found


def normal_nodes(n: int) -> tuple[Tensor, Tensor]:
    """Points and weights of Gauss and Hermite's rule for the standard normal law."""
    off = torch.arange(1, n).double().sqrt()
    node, vectors = torch.linalg.eigh(off.diag(1) + off.diag(-1))
    return node, vectors[0] ** 2


def median_answers(law: Mixture1D, x: Tensor, down: list[float]) -> Tensor:
    """The ideal answers (b,) under ‖·‖ at x (b,) on the top level.

    f rises, so the median of f(x_r) is f at the median of x_r: the answers walk down the medians.
    """
    for t, r in zip(down, down[1:], strict=False):
        x = r / t * x + (1 - r / t) * median(law, x, t)
    return x


def median(law: Mixture1D, x: Tensor, level: float) -> Tensor:
    """The median (b,) of the data given x_t = x (b,), by halving."""
    share, middle, spread = posterior(law, x, level)
    low, high = middle.amin(1) - 6 * spread.max(), middle.amax(1) + 6 * spread.max()
    for _ in range(HALVINGS):
        half = (low + high) / 2
        below = (share * torch.special.ndtr((half[:, None] - middle) / spread)).sum(1) < 0.5
        low, high = torch.where(below, half, low), torch.where(below, high, half)
    return (low + high) / 2


def walks(law: Mixture1D, x: Tensor, down: list[float], generator: torch.Generator) -> Tensor:
    """Random walks (levels, b) from x (b,): at each rung towards a fresh draw of the data."""
    way = [x]
    for t, r in zip(down, down[1:], strict=False):
        share, middle, spread = posterior(law, way[-1], t)
        k = torch.multinomial(share, 1, generator=generator)
        z = torch.randn(len(x), generator=generator, dtype=x.dtype)
        data = middle.gather(1, k)[:, 0] + spread[k[:, 0]] * z
        way.append(r / t * way[-1] + (1 - r / t) * data)
    return torch.stack(way)


def away(law: Mixture1D, rung: Rung, ranks: int = 500) -> float:
    """Root mean square of f - f* over the noisy law at the rung's level, by even ranks."""
    x = ranked(law, rung.level, ranks)
    exact = law.consistency(x, torch.full((ranks,), rung.level, dtype=torch.float64))
    return float((rung(x[:, 0]) - exact[:, 0]).square().mean().sqrt())
