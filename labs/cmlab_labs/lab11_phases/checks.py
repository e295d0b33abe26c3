"""Exercise checks of lab 11, steps and phases (PCM)."""

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import Any

import torch
from torch import Tensor

from ..common.exercise import close, exercise, expect
from .analysis import ternary

same = partial(close, atol=1e-5)

EDGES = (0.0, 0.5, 2.0, 8.0)
TIMES = {  # t and r, by what is tried
    "both times inside one phase": (1.5, 1.0),
    "t on an edge": (2.0, 1.2),
    "r on the edge below t": (1.5, 0.5),
    "an edge between t and r": (2.5, 1.6),
    "two edges between t and r": (4.0, 0.3),
    "the lowest phase": (0.4, 0.1),
}


class PairCase:
    """A network's estimate, a teacher's step, and the two points of the loss; slips by name.

    Args:
        weight: of the network; it has a gradient.
    """

    def __init__(self) -> None:
        self.weight = torch.tensor(0.6, requires_grad=True)

    def f(self, x: Tensor, level: float) -> Tensor:
        return self.weight * torch.tanh(x + 0.1 * float(level))

    def step(self, x_t: Tensor, t: float, r: float) -> Tensor:
        share = float(r) / float(t)
        return share * x_t + (1 - share) * torch.sin(x_t)

    def jump(self, x: Tensor, level: float, s: float) -> Tensor:
        found = self.f(x, level)
        return found + s / level * (x - found)

    def pair(
        self, x_t: Tensor, t: float, r: float, edges: Sequence[float], slip: str = ""
    ) -> tuple[Tensor, Tensor]:
        """The two points, or those of a slip."""
        s = max(e for e in edges if e < t or (slip == "own edge" and e == t))
        low = r if slip == "no clip" else max(r, s)
        x_r = x_t if slip == "no step" else self.step(x_t, t, low)
        second = max(e for e in edges if e < r) if slip == "two edges" else s
        if slip == "data":
            return self.f(x_t, t), self.f(x_r, low)
        return self.jump(x_t, t, s), self.jump(x_r, t if slip == "share" else low, second)


PAIR_SLIPS = {
    "own edge": "a time on an edge belongs to the phase below: from t the jump leads to the next "
    "edge down, not to t itself",
    "data": "your jumps lead to the data: both have to end at the edge below t",
    "two edges": "both jumps lead to the edge below t; yours leads to the edge below r",
    "no clip": "r may lie beyond the edge below t: raise it to that edge, or the teacher and the "
    "second jump leave the phase",
    "no step": "the second jump starts at the point that the teacher's step reaches, not at x_t",
    "share": "the second jump starts at r: of x − f(x, r) a fraction s/r is left, not s/t",
}


@exercise
def phased_pair(answer: Callable[..., Any]) -> str:
    """(f, step, x_t, t, r, edges) -> the two points that PCM's loss compares."""
    points, found = PairCase(), {}
    x_t = torch.linspace(-3, 3, 10).reshape(5, 2)
    for name, (t, r) in TIMES.items():
        mine = answer(points.f, points.step, x_t.clone(), t, r, list(EDGES))
        expect(isinstance(mine, Sequence) and len(mine) == 2, "return two points: the student's "
               "jump, and the one that starts from the teacher's step")  # fmt: skip
        found[name] = tuple(torch.as_tensor(point) for point in mine)
    said = {
        name: all(matches(found[where], points.pair(x_t, *TIMES[where], EDGES, name))
                  for where in TIMES)
        for name in PAIR_SLIPS
    }  # fmt: skip
    for name, holds in said.items():
        expect(not holds, PAIR_SLIPS[name])
    for where, (t, r) in TIMES.items():
        right = points.pair(x_t, t, r, EDGES)
        expect(not matches(found[where], right[::-1]) or matches(found[where], right),
               "the student's point comes first")  # fmt: skip
        for name, mine, wanted in zip(("first", "second"), found[where], right, strict=True):
            expect(same(mine, wanted), f"{where} (t = {t:g}, r = {r:g}, edges "
                   f"{', '.join(f'{e:g}' for e in EDGES)}): the {name} point is "
                   f"{mine[0].tolist()}, not {wanted[0].tolist()}")  # fmt: skip
    first, second = found["both times inside one phase"]
    expect(first.requires_grad, "the student's point has lost its gradient")
    expect(not second.requires_grad, "the second point is the target: detach it")
    return f"{len(TIMES)} places of t and r: inside a phase, on its edges, and across one or two"


def matches(mine: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether both points are the same."""
    return all(same(a, b) for a, b in zip(mine, other, strict=True))


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
    return "3 scores: each round, with 2 evaluations, leaves 2/3 of the interval"


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
