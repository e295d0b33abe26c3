"""Animation of lab 09, easy consistency tuning (ECT): r/t and the best answer by stage."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.methods.ect import ECTMapping
from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH
from cmlab.schedules import Constant

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    ink,
    line,
    moving,
    polylines,
    text_labels,
)
from ..common.plots_line import quantile_points
from .figures import IdealFunction, level_sequence, mean_functions, rms_error

ORACLE, TOP, STAGES = Bumps().oracle, 10.0, 9
T = torch.logspace(-2, 2, 81, dtype=torch.float64)
STAGE = "stage a (gap 2⁻ᵃ)"


def ideal(pairs: ECTMapping) -> IdealFunction:
    """The ideal function at the top level, under the squared loss."""
    return mean_functions(ORACLE, level_sequence(pairs, TOP), places=301)[-1]


@animation
def stages() -> Moving:
    """The mapping r/t over t, and the ideal answers at the highest noise level, stage by stage."""
    pairs = {a: ECTMapping(Constant(2.0**-a)) for a in range(STAGES)}
    functions = {a: ideal(pairs[a]) for a in pairs}
    x = quantile_points(ORACLE, TOP, 101)[:, 0]
    exact = ORACLE.consistency(x[:, None], torch.full_like(x, TOP))[:, 0]
    mean = functions[0](x)
    ratios = torch.stack([pairs[a].ratio(T, 0) for a in pairs])
    shots = [frame(a, ratios, x, functions) for a in pairs]
    still = [
        line(x, exact, TRUTH, 1),
        line(x, mean, MEAN, 1, 1.6),
        text_labels([-24], [1.35], ["black: exact f"], panel=1),
        text_labels([-24], [1.1], ["dashes: mean D"], ink(MEAN), 1),
    ]
    reach = float(exact.abs().max()) * 1.25
    panels = [
        Panel("noise level t (data units)", "ratio r/t (no unit)", (0.01, 100), (0, 1.02), "x",
              x_ticks=(0.01, 0.1, 1, 10, 100)),
        Panel("noisy point x<sub>t</sub> (data units)", "answer at t = 10 (data units)",
              (-25, 25), (-reach, reach)),
    ]  # fmt: skip
    finding = "Each stage brings r closer to t, and the best answer turns from the mean into f"
    return moving("stages", finding, STAGE, panels, still, shots, 2, (1, 5))


def frame(a: int, ratios: Tensor, x: Tensor, functions: Mapping[int, IdealFunction]) -> Shot:
    """One stage: its mapping over those before it, and its ideal answers."""
    off, top = rms_error(ORACLE, functions[a]), float(ratios[a][-1])
    silent = float((ratios[a] == 0).double().mean())
    reading = (
        f"Stage {a}: at high noise r is {top:.3g} times t, at {silent:.0%} of the noise levels "
        f"shown it is 0, which is denoising; the best answer is {off:.2g} from f (RMS)."
    )
    before = [torch.stack([T, row], 1) for row in ratios[:a]]
    traces = [
        polylines(before, DATA, 0, 1, 0.7),
        line(T, ratios[a], STUDENT, 0, 3),
        line(x, functions[a](x), STUDENT, 1, 3),
    ]
    titles = f"Stage {a}: r up to {top:.3g} t", f"Its best answer, {off:.2g} from f"
    return Shot(str(a), reading, titles, traces)
