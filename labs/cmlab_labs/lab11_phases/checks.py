"""Exercise checks of lab 11, steps and phases (PCM)."""

from collections.abc import Callable
from functools import partial
from math import log
from typing import Any

import torch
from torch import Tensor

from ..common.exercise import Slip, close, exercise, expect
from .analysis import ternary

same = partial(close, atol=1e-5)

LEVELS = (9.0, 4.0, 1.5, 0.3)
OFTEN = 4000  # samples; a measured scale is within 3 % of the true one


class RecordingDenoiser:
    """A denoiser with constant answers, which records its inputs and times."""

    def __init__(self, value: float = 0.7) -> None:
        self.value, self.inputs, self.times = value, [], []

    def __call__(self, x_t: Tensor, t: Any) -> Tensor:
        x_t, t = torch.as_tensor(x_t), torch.as_tensor(t)
        self.inputs.append(x_t.detach().clone())
        self.times.append(float(t.flatten()[0]))
        return torch.full_like(x_t, self.value * len(self.times))


@exercise
def multistep(answer: Callable[..., Any]) -> str:
    """(f, x_T, levels) -> x: as many calls as levels, in order, fresh noise of their scale."""
    for levels in (LEVELS, LEVELS[:1], LEVELS[:2]):
        model, g = RecordingDenoiser(), torch.Generator().manual_seed(3)
        start = 9 * torch.randn(OFTEN, 2, generator=g)
        torch.manual_seed(0)
        end = torch.as_tensor(answer(model, start.clone(), list(levels)))
        check_levels(model.times, levels)
        expect(end.shape == start.shape, f"the samples should keep the shape of x_T, "
               f"{tuple(start.shape)}; yours is {tuple(end.shape)}")  # fmt: skip
        expect(torch.equal(model.inputs[0], start),
               "the first call should get x_T as it is: it is at its level already")  # fmt: skip
        for n in range(1, len(levels)):
            check_noise(model, n, levels)
        check_end(end, model.value * len(levels), levels)
    torch.manual_seed(1)
    again = RecordingDenoiser()
    answer(again, start.clone(), list(levels))
    expect(not torch.equal(again.inputs[1], model.inputs[1]),
           "the noise is the same in every run: draw it afresh")  # fmt: skip
    return (
        f"{len(LEVELS)}, 1 and 2 calls in order, fresh noise of the right scale, none at the end"
    )


def check_levels(times: list[float], levels: tuple[float, ...]) -> None:
    """Check that the calls came at these levels, in order."""
    levels_text = f"{[round(t, 3) for t in times]}, not {list(levels)}"
    expect(bool(times), "the model was never called")
    backwards = len(levels) > 1 and same(times, list(levels[::-1]))
    expect(not backwards, "the order is wrong: the first call is at the largest level")
    expect(len(times) >= len(levels), f"too few calls: your levels were {levels_text}")
    expect(len(times) == len(levels), f"too many calls: your levels were {levels_text}")
    expect(all(abs(a - b) < 1e-5 for a, b in zip(times, levels, strict=True)),
           f"the model was called at the levels {levels_text}")  # fmt: skip


def check_noise(model: RecordingDenoiser, n: int, levels: tuple[float, ...]) -> None:
    """Check the input of call n: the estimate of the call before, plus noise of this level."""
    level, before, middle = levels[n], levels[n - 1], model.value * n
    noise = model.inputs[n] - middle
    std, mean = float(noise.std()), float(noise.mean())
    where = f"before call {n + 1}"
    expect(std > 1e-6, f"no noise was added {where}: the model would get a clean sample")
    for wrong, slip in (
        (before, f"the noise added {where} has the scale of the level before: use {level:g}"),
        ((before**2 - level**2) ** 0.5,
         f"the noise added {where} is what leads from one level to the other: x is clean, so "
         f"its scale is the level itself"),
        (level**2, f"the noise added {where} has the level as its variance: "
         f"it should be its scale"),
        (level**0.5, f"the noise added {where} has the root of the level as its scale"),
    ):  # fmt: skip
        far = abs(wrong / level - 1) > 0.1
        expect(not (far and abs(std / wrong - 1) < 0.04 and abs(mean) < 0.2 * max(std, 1)), slip)
    kept = float(torch.corrcoef(torch.stack([noise.flatten(), model.inputs[0].flatten()]))[0, 1])
    expect(abs(kept) < 0.2, f"the noise {where} is the one from which you started: draw it afresh")
    expect(abs(std / level - 1) < 0.05 and abs(mean) < 6 * level / OFTEN**0.5,
           f"call {n + 1} should get the estimate of call {n} plus noise of scale {level:g}: the "
           f"rest has scale {std:.3g} and mean {mean:.2g}")  # fmt: skip


def check_end(end: Tensor, value: float, levels: tuple[float, ...]) -> None:
    """Check that the samples are the last call's answer."""
    spread = float((end - value).abs().max())
    if spread > 1e-5:
        noisy = float(end.std()) > 1e-3
        raise Slip("noise was added after the last call: it would stay in the samples" if noisy
                   else f"return the answer of the last of the {len(levels)} calls")  # fmt: skip


class UnimodalScore:
    """A unimodal score, which records where it was evaluated."""

    def __init__(self, place: float, steep: float) -> None:
        self.place, self.steep, self.evaluated = place, steep, []

    def __call__(self, t: float) -> float:
        t = float(t)
        self.evaluated.append(t)
        gap = log(max(t, 1e-9) / self.place)
        return gap**2 if gap < 0 else self.steep * gap


@exercise
def middle(answer: Callable[..., Any]) -> str:
    """(score, low, high, rounds) -> the lowest place, two calls and two thirds a round."""
    for place, steep in ((0.8, 3.0), (0.05, 0.2), (5.5, 1.0)):
        for rounds in (1, 4, 20):
            check_search(answer, UnimodalScore(place, steep), rounds)
    return (
        "3 valleys: each round leaves 2/3 of the interval, with 2 calls, around the lowest place"
    )


def check_search(answer: Callable[..., Any], score: UnimodalScore, rounds: int) -> None:
    low, high = 0.02, 8.0
    found, twin = float(answer(score, low, high, rounds)), UnimodalScore(score.place, score.steep)
    right, asked = ternary(twin, low, high, rounds), score.evaluated
    expect(bool(asked), "the score was never evaluated")
    expect(all(low <= t <= high for t in asked), "you evaluated the score outside the interval")
    first = sorted(asked[:2])
    expect(max(abs(a - b) for a, b in zip(first, sorted(twin.evaluated[:2]), strict=False)) < 1e-6,
           f"the first two evaluations should be at one third and at two thirds, "
           f"{twin.evaluated[0]:.3f} and {twin.evaluated[1]:.3f}; yours were "
           f"{', '.join(f'{t:.3f}' for t in first)}")  # fmt: skip
    if len(asked) >= 4 and rounds > 1:
        wrong = UnimodalScore(score.place, score.steep)
        ternary(lambda t: -wrong(t), low, high, rounds)
        kept, dropped = (sorted(v.evaluated[2:4]) for v in (twin, wrong))
        expect(same(kept, dropped) or not same(sorted(asked[2:4]), dropped),
               "the wrong third was dropped: drop the one beside the larger score")  # fmt: skip
    expect(
        len(asked) <= 2 * rounds,
        f"{len(asked)} evaluations in {rounds} rounds: two per round are enough",
    )
    answers = [UnimodalScore(score.place, score.steep)(t) for t in asked]
    expect(abs(found - right) < 1e-6 or all(abs(found - v) > 1e-9 for v in answers),
           "you return a score: return the place where it is lowest")  # fmt: skip
    width = (high - low) * (2 / 3) ** rounds
    expect(abs(found - right) <= width, f"after {rounds} rounds yours is {found:.4f}, and the "
           f"lowest place, {score.place:g}, is not within {width:.2g} of it")  # fmt: skip
