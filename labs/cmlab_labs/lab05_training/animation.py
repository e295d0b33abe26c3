"""Animation of lab 05: training pairs that share a noisy point, by the ratio r/t."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    polylines,
    text_labels,
)
from ..common.plots_line import SIGMA_MIN, PathPlane, double, path_plane
from .explorer import HIGH, place_of
from .figures import TARGET_STYLE, Pairs, pairs

T, RANK = 1.5, 41
RATIOS = (*(k / 20 for k in range(19)), 0.93, 0.96, 0.98)
SOLID = replace(TARGET_STYLE, line="-")  # for thin lines
RATIO = "ratio r/t (no unit)"


@animation
def targets_by_ratio() -> Moving:
    """Pairs with shared noise at one x_t, their targets, and the targets' mean, by r/t."""
    scene = path_plane(Bumps().oracle, HIGH)
    x_t = float(place_of(scene.oracle, RANK, T))
    seen = [pairs(scene, x_t, T, max(T * ratio, SIGMA_MIN), True) for ratio in RATIOS]
    shots = [frame(scene, seen[: k + 1]) for k in range(len(RATIOS))]
    levels, here = torch.linspace(T, SIGMA_MIN, 30).double(), double([[x_t]])
    still = [
        line(levels, scene.oracle.path(here, levels)[:, 0, 0], TRUTH),
        dots([T], [x_t], TRUTH, size=13),
        text_labels([T + 0.05], [x_t], ["x<sub>t</sub>"]),
        line([0, 1], [seen[0].exact] * 2, TRUTH, 1, 1.6),
        line([0, 1], [seen[0].average] * 2, MEAN, 1, 1.6),
        text_labels([0.02], [seen[0].exact + 0.08], ["exact f*"], panel=1),
        text_labels([0.82], [seen[0].average - 0.12], ["mean D"], ink(MEAN), 1),
    ]
    panels = [
        Panel("noise level (data units)", "point (data units)", (-0.03, 1.75), (-2.2, 2.2)),
        Panel(RATIO, "target (data units)", (0, 1), (-1.6, 1.6)),
    ]
    finding = "Targets average to D at r = 0, and to the exact f* only as r comes close to t"
    return moving("targets", finding, RATIO, panels, still, shots, 10, (0, 10))


def frame(scene: PathPlane, found: Sequence[Pairs]) -> Shot:
    """The pairs of the last ratio in the plane, and the mean target and its scatter up to it."""
    now, ratio = found[-1], RATIOS[len(found) - 1]
    down = torch.linspace(now.r, SIGMA_MIN, 12).double()
    ends = scene.oracle.path(now.x_r[:, None], down)[..., 0].T
    to_pair = [[(now.t, now.x_t), (now.r, float(y))] for y in now.x_r]
    to_data = [[(now.r, float(y)), (0, float(x))] for y, x in zip(now.x_r, now.x, strict=True)]
    mean = [one.mean for one in found]
    band = [[one.mean - one.scatter, one.mean + one.scatter] for one in found]
    bars = [[(x, low), (x, high)] for x, (low, high) in zip(RATIOS, band, strict=False)]
    traces = [
        polylines(to_pair, SOLID, 0, 1.1),
        polylines(to_data, DATA, 0, 0.8, 0.6),
        polylines([torch.stack([down, path], 1) for path in ends], STUDENT, 0, 1.3),
        dots([now.r] * len(now.x_r), now.x_r, TARGET_STYLE, size=6),
        polylines(bars, SOLID, 1, 1.2, 0.6),
        line(RATIOS[: len(mean)], mean, TARGET_STYLE, 1),
        dots([ratio], mean[-1:], TARGET_STYLE, 1, 12),
    ]
    off = now.mean - now.exact
    reading = (
        f"At r/t = {ratio:g} the targets scatter by {now.scatter:.2f} about a mean of "
        f"{now.mean:.2f}, which is {abs(off):.2g} {'above' if off > 0 else 'below'} the exact f*."
    )
    titles = (
        f"Twenty pairs with r/t = {ratio:g}",
        f"Mean target {now.mean:.2f}, f* {now.exact:.2f}",
    )
    return Shot(f"{ratio:g}", reading, titles, traces)
