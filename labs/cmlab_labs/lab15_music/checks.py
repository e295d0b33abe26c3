"""Exercise checks of lab 15, music."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmlab.process import VarianceExploding
from cmlab.sampling import ddim

from ..common.exercise import close, exercise, expect
from .windows import crops, starts
from .windows import fuse as exact_fuse

CASES = ((10, 4, 3), (11, 4, 3), (9, 5, 2), (6, 6, 4))  # length, window, step
SIGNAL, NULL = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.2, 0.4, -0.1])
WEIGHTS = (0.0, 1.0, 2.0)


@exercise
def fuse(answer: Callable[..., Any]) -> str:
    """(windows, length, step, weight) -> the canvas: weighted least squares, the last anchored."""
    found = [canvas(answer, case) for case in CASES]
    for number, (slip, _) in enumerate(fuse_slips(*examples(CASES[0]))):
        wrong = [fuse_slips(*examples(case))[number][1] for case in CASES]
        expect(not all(map(same, found, wrong)), slip)
    for case, values in zip(CASES, found, strict=True):
        windows, at, length, weight = examples(case)
        rows = np.concatenate(
            [np.eye(length)[a : a + len(w)] for a, w in zip(at, windows, strict=True)]
        )
        root = np.tile(weight.sqrt().numpy(), len(at))
        best = np.linalg.lstsq(rows * root[:, None], torch.cat(windows).numpy() * root, rcond=None)
        expect(same(values, torch.from_numpy(best[0])),
               f"a canvas of {length} with windows of {case[1]} at {at}: yours is not the "
               f"canvas that fits all windows best")  # fmt: skip
    whole = torch.randn(2, 3, 11, generator=torch.Generator().manual_seed(0)).double()
    again = torch.as_tensor(answer(crops(whole, starts(11, 4, 3), 4), 11, 3, weights(4)))
    expect(
        again.shape == whole.shape and same(again, whole),
        "windows cut from one canvas (2, 3, 11) do not give it back: work on the last axis",
    )
    return "least squares on 4 canvases, the last window anchored; cut and fused again is the same"


def weights(window: int) -> Tensor:
    """A weight for each cell of a window, not symmetric."""
    return 1 + torch.arange(window).double() ** 2 / window


def examples(case: tuple[int, int, int]) -> tuple[list[Tensor], list[int], int, Tensor]:
    """Windows with answers that differ, where they begin, the canvas's length, and weights."""
    length, window, step = case
    at = starts(*case)
    windows = [torch.arange(window).double() + 10 * i for i in range(len(at))]
    return windows, at, length, weights(window)


def canvas(answer: Callable[..., Any], case: tuple[int, int, int]) -> Tensor:
    windows, _, length, weight = examples(case)
    given = answer([w.clone() for w in windows], length, case[2], weight.clone())
    values = torch.as_tensor(given).double()
    expect(
        values.shape == (length,),
        f"the canvas has {length} cells, yours has the shape "
        f"{tuple(values.shape)}: a last window that runs over the end is not anchored",
    )
    return values


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two canvases agree; cells without any window (nan) count as 0."""
    return close(a.nan_to_num(), b.nan_to_num(), 1e-6, 1e-9)


def fuse_slips(
    windows: list[Tensor], at: list[int], length: int, weight: Tensor
) -> list[tuple[str, Tensor]]:
    """Mistakes: the message, and the canvas that each gives."""
    total, count, last = torch.zeros(3, length).double()
    first_wins = torch.zeros(length).double()
    for first, part in zip(at, windows, strict=True):
        here = slice(first, first + len(part))
        total[here] += weight * part
        count[here] += 1
        last[here] = part
    for first, part in reversed(list(zip(at, windows, strict=True))):
        first_wins[first : first + len(part)] = part
    return [
        ("the windows are only summed: divide each cell by the sum of the weights over it", total),
        ("the weights have no effect in yours: this is the plain mean",
         exact_fuse(windows, at, length)),
        ("you divide by the number of windows: divide by the sum of their weights", total / count),
        ("the weights are squared: the derivative of w (X − y)² is 2 w (X − y)",
         exact_fuse(windows, at, length, weight**2)),
        ("a later window overwrites an earlier one: where two lie, take their weighted mean",
         last),
        ("the earlier window wins: where two lie, take their weighted mean", first_wins),
        ("the last window is not anchored: it begins at length − window, whatever the step",
         not_anchored(windows, at, length, weight)),
    ]  # fmt: skip


def not_anchored(windows: list[Tensor], at: list[int], length: int, weight: Tensor) -> Tensor:
    """Fused with the last window one step on, its end cut off; cells with no window are 0."""
    step = at[1] - at[0] if len(at) > 1 else 1
    total, count = torch.zeros(2, length).double()
    for i, part in enumerate(windows):
        kept = min(len(part), length - step * i)
        here = slice(step * i, step * i + kept)
        total[here] += weight[:kept] * part[:kept]
        count[here] += weight[:kept]
    return total / count


@exercise
def guided_step(answer: Callable[..., Any]) -> str:
    """(x_t, t, r, D, c, null, w) -> x_r: the DDIM step of D(c) + w (D(c) - D(null)), under EDM."""
    x_t = torch.tensor([[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]], dtype=torch.float64)
    t, r = torch.tensor([4.0, 2.0]).double(), torch.tensor([1.0, 0.5]).double()
    found = [checked_step(answer, x_t, t, r, w) for w in WEIGHTS]
    for number, (slip, _) in enumerate(step_slips(x_t, t, r, 0.0)):
        wrong = [step_slips(x_t, t, r, w)[number][1] for w in WEIGHTS]
        expect(not all(map(same, found, wrong)), slip)
    for w, x_r in zip(WEIGHTS, found, strict=True):
        right = exact_step(x_t, t, r, guided(w))
        expect(same(x_r, right), f"at w = {w:g} yours begins with {x_r[0, 0]:.4f} and the step "
               f"of the guided teacher with {right[0, 0]:.4f}")  # fmt: skip
    return "w = 0 is the plain step, w = 2 leads past D(c), away from D(null)"


def two_class_denoiser(x_t: Tensor, t: Tensor, label: Any) -> Tensor:
    """A denoiser of two sharp classes: class 1 is drawn to SIGNAL, no class to NULL."""
    ends = SIGNAL if label == 1 else NULL
    share = 1 / (1 + t[:, None] ** 2)
    return share * x_t + (1 - share) * ends.to(x_t)


def guided(w: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x_t, t: (
        two_class_denoiser(x_t, t, 1)
        + w * (two_class_denoiser(x_t, t, 1) - two_class_denoiser(x_t, t, 0))
    )


def checked_step(
    answer: Callable[..., Any], x_t: Tensor, t: Tensor, r: Tensor, w: float
) -> Tensor:
    x_r = torch.as_tensor(answer(x_t.clone(), t, r, two_class_denoiser, 1, 0, w))
    expect(x_r.shape == x_t.shape, "x_r must have the shape of x_t; times are (b,), so t[:, None]")
    return x_r


def exact_step(
    x_t: Tensor, t: Tensor, r: Tensor, denoise: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    return ddim(VarianceExploding(), denoise, x_t, t, r)


def step_slips(x_t: Tensor, t: Tensor, r: Tensor, w: float) -> list[tuple[str, Tensor]]:
    """Mistakes: the message, and the x_r that each gives."""
    cond, null = two_class_denoiser(x_t, t, 1), two_class_denoiser(x_t, t, 0)
    guided, share = cond + w * (cond - null), (r / t)[:, None]

    def to(x: Tensor) -> Tensor:
        return x + share * (x_t - x)

    return [
        ("w counts from D(null) in yours, so that w = 1 is no guidance: here w = 0 is none, "
         "D(c) + w (D(c) − D(null))", to(null + w * (cond - null))),
        ("c and null are swapped: this leads away from the label", to(null + w * (null - cond))),
        ("the sign of the guidance is wrong: away from D(null), not towards it",
         to(cond - w * (cond - null))),
        ("the guidance is missing: this is the plain step", to(cond)),
        ("this is the guided D itself: step from x_t towards it, as far as r", guided),
        ("the step goes the wrong share of the way: of the noise, r/t remains",
         guided + (1 - share) * (x_t - guided)),
    ]  # fmt: skip
