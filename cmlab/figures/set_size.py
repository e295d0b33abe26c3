"""A Fréchet distance against the number of samples: what it adds, and what that leads to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..components import require
from ..evaluate.frechet import frechet
from .style import DATA, STUDENT, TEACHER, WRONG, label, name_axes, sheet

SIDE = 4  # pixels a side of what is left of a picture


def coarse(x: Tensor) -> Tensor:
    """A picture as its means over 4 × 4 fields: 48 features in colour, in the pixels' unit."""
    return avg_pool2d(x.clamp(-1, 1), x.shape[-1] // SIDE).flatten(1)


@dataclass(frozen=True)
class Drift:
    """Distances (sizes, repeats) of n pictures to one fixed large set, at each n of `sizes`."""

    sizes: tuple[int, ...]
    values: Tensor

    @property
    def mean(self) -> np.ndarray:
        return self.values.mean(1).numpy()

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the repeats: what an error bar of one measurement shows."""
        return self.values.std(1).numpy()

    @property
    def limit(self) -> float:
        """a of the least-squares fit a + b/n, weighted by the spread: what no n adds to."""
        slope, limit = np.polyfit(1 / np.array(self.sizes), self.mean, 1, w=1 / self.spread)
        return float(limit)


def drift(made: Tensor, real: Tensor, sizes: Sequence[int], repeats: int) -> Drift:
    """Sets of n from the features `made` against all of `real` (m, d), `repeats` sets at each n.

    Raises ValueError where there are not enough for sets that share none.
    """
    need = max(sizes) * repeats
    require(len(made) >= need, f"{repeats} sets of {max(sizes)} take {need} pictures: draw more")
    rows = [[frechet(part, real) for part in made.split(n)[:repeats]] for n in sizes]
    return Drift(tuple(sizes), torch.tensor(rows).double())


def against_size(drifts: Mapping[str, Drift], title: str) -> Figure:
    """Mean and spread of each against n; dotted where it tends to."""
    figure, ((ax,),) = sheet(1, 1, 8.2, 3.8)
    for (name, found), role in zip(drifts.items(), (DATA, STUDENT, TEACHER, WRONG), strict=False):
        n = np.array(found.sizes)
        ax.errorbar(n, found.mean, found.spread, color=role.color, marker=role.marker,
                    ls=role.line, ms=5, capsize=3)  # fmt: skip
        label(ax, n[-1] * 1.12, found.mean[-1], name, role.color)
        if found.limit > found.mean[-1] / 50:
            ax.axhline(found.limit, color=role.color, ls=":", lw=1)
    ax.set(xscale="log", yscale="log", xlim=(n[0] / 1.2, n[-1] * 4.5))
    y = "Fréchet distance, 4 × 4 fields\n(pixel values squared)"
    name_axes(ax, "pictures measured, n", y, title)
    return figure
