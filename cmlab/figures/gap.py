"""How far f and D lie apart, by noise level."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure

from ..oracle import Mixture1D
from .consistency import NOISE_LEVEL, ranked
from .style import DATA, MEAN, TRUTH, label, name_axes, sheet


def rms_gap(law: Mixture1D, level: float, ranks: int = 2000) -> float:
    """Root mean square of f − D over the noisy law at a level, by evenly spaced ranks."""
    x, t = ranked(law, level, ranks), torch.full((ranks,), level).double()
    return float((law.consistency(x, t) - law.denoise(x, t)).square().mean().sqrt())


def gap_curves(laws: Mapping[str, Mixture1D], levels: Sequence[float]) -> Figure:
    """Root mean square of f − D against the noise level, a curve for each of two named laws."""
    figure, ((ax,),) = sheet(1, 1, 6.6, 3.2)
    for (name, law), role, up in zip(laws.items(), (TRUTH, MEAN), (3.5, 0.5), strict=True):
        gaps = [rms_gap(law, level) for level in levels]
        style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        ax.loglog(levels, gaps, markersize=5, **style)
        label(ax, levels[up < 1], gaps[1] * up, name, "#8a5c00" if role is MEAN else role.color)
        ax.axhline(law.sigma_data, color=DATA.color, linewidth=0.8, linestyle=":")
    label(ax, levels[0], 1.1 * law.sigma_data, "standard deviation of the data", DATA.color)
    title = "The gap grows with the square of the noise, up to the data's spread"
    name_axes(ax, NOISE_LEVEL, "RMS of $f - D$ (data units)", title)
    return figure
