"""Exercise checks of lab 09, easy consistency tuning (ECT)."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.methods import ECT
from cmlab.methods.ect import ECTMapping, Stages
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.schedules import Constant, WarmupCosine
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

from ..common.exercise import Slip, close, exercise, expect

same = partial(close, rtol=1e-6, atol=1e-9)

T = torch.tensor([0.01, 0.1, 0.5, 0.821, 1.0, 2.0, 5.0, 80.0], dtype=torch.float64)
CASES = ((0, 2.0), (1, 2.0), (2, 2.0), (3, 2.0), (8, 2.0), (1, 4.0), (1, 256.0))
STEPS, HALF = 24, 13  # the stage changes every 3 steps, so at least three more times after half


@exercise
def t_to_r(answer: Callable[..., Any]) -> str:
    """(t, stage, q, K, b) -> r: 0 ≤ r < t, closer to t by stage, and the paper's numbers."""
    found = [mapped_times(answer, *case, 8.0, 1.0) for case in CASES]
    for number, (slip, _) in enumerate(slips(T, 1, 2.0, 8.0, 1.0)):
        wrong = [slips(T, *case, 8.0, 1.0)[number][1] for case in CASES]
        expect(not all(map(same, found, wrong)), slip)
    for (stage, q), r in zip(CASES, found, strict=True):
        where = f"in stage {stage} with q = {q:g}"
        expect(bool((r >= 0).all()), f"r is negative {where}: clamp the ratio at 0")
        expect(bool((r < T).all()), f"r reaches t {where}: a gap should be left")
    every = [mapped_times(answer, stage, 2.0, 8.0, 1.0) for stage in range(12)]
    rise = all(bool((b >= a - 1e-12).all()) for a, b in zip(every, every[1:], strict=False))
    expect(rise, "r falls from one stage to the next: it should come closer to t")
    for stage, q, K, b in (*((*case, 8.0, 1.0) for case in CASES), (2, 3.0, 4.0, 2.0)):
        r, right = mapped_times(answer, stage, q, K, b), exact_r(T, stage, q, K, b)
        expect(same(r, right),
               f"at t = 5, stage {stage}, q = {q:g}, K = {K:g}, b = {b:g} yours is "
               f"{r[6]:.4f} and the paper's {right[6]:.4f}")  # fmt: skip
    return "0 ≤ r < t, all 0 in stage 0, ratio → 1 by stage, and the paper's numbers in 8 cases"


def mapped_times(answer: Callable[..., Any], stage: int, q: float, K: float, b: float) -> Tensor:
    r = torch.as_tensor(answer(T, stage, q, K, b)).double()
    expect(r.shape == T.shape, "r should have the shape of t")
    return r


def exact_r(t: Tensor, stage: int, q: float, K: float, b: float) -> Tensor:
    return t * ECTMapping(Constant(q**-stage), K=K, b=b).ratio(t, 0)


def slips(t: Tensor, stage: int, q: float, K: float, b: float) -> list[tuple[str, Tensor]]:
    """Mistakes: the message, and the r that each gives."""
    n, gap = 1 + K * torch.sigmoid(-b * t), q**-stage
    other, ratio = 1 + K * torch.sigmoid(b * t), 1 - gap * n
    late = "the stage is off by one: the gap is q^(−stage), so that stage 0 has r = 0"
    return [
        ("r is negative where n(t) > q^stage: clamp the ratio at 0", t * ratio),
        (f"{late} (yours is q^(−stage−1), the count of the authors' code)",
         t * (1 - gap / q * n).clamp_min(0)),
        (f"{late} (yours is q^(1−stage))", t * (1 - gap * q * n).clamp_min(0)),
        ("the sign inside the sigmoid is wrong: n should fall with t, from 1 + K/2 to 1",
         t * (1 - gap * other).clamp_min(0)),
        ("n is added to the gap: multiply the two", t * (1 - (gap + n)).clamp_min(0)),
        ("only the 1 of n is multiplied by the gap: it belongs to K sigmoid(−b t) as well",
         t * (1 - gap - (n - 1)).clamp_min(0)),
        ("n lacks its 1: at large t n should be 1, not 0", t * (1 - gap * (n - 1)).clamp_min(0)),
        ("n is missing: small t need a larger relative gap", t * (1 - gap) + 0 * n),
        ("this is the ratio r/t: multiply it by t", ratio.clamp_min(0)),
        ("this is the gap t − r: return r", t - t * ratio.clamp_min(0)),
    ]  # fmt: skip


def small_recipe(steps: int = STEPS) -> Recipe:
    """A run of two seconds at most, its rate and its stages changing all the way."""
    recipe = toy.plane(toy.RING, toy.edm().precond, ECT(), steps, seed=5)
    train = replace(recipe.train, batch=32, rate=WarmupCosine(steps), ema=Constant(0.9))
    method = ECT(pairs=ECTMapping(Stages(2.0, max(steps // 8, 1)), toy.LEVELS))
    return replace(recipe, train=train, method=method)


def half_run() -> tuple[Trainer, dict[str, Any]]:
    """A trainer stopped at half, and what its checkpoint keeps."""
    half, run = small_recipe().trainer(), None
    run = half.run()
    while half.step < HALF:
        next(run)
    kept = {
        "model": half.model.state_dict(),
        "average": half.ema.model.state_dict(),
        "optimizer": half.optimizer.state_dict(),
        "step": half.step,
    }
    return half, deepcopy(kept)


def other_weights() -> Trainer:
    """A trainer as a new process would build it; its weights are not those of the half run."""
    recipe = small_recipe()
    with seeded(torch.device("cpu"), 99):
        return recipe.trainer(type(recipe.build())(recipe.net.build(), recipe.precond))


@exercise
def resume(answer: Callable[..., Any]) -> str:
    """(fresh trainer, kept) -> a trainer that ends exactly as the unbroken run."""
    whole = small_recipe().trainer().fit()
    half, kept = half_run()
    trainer = answer(other_weights(), deepcopy(kept))
    expect(isinstance(trainer, Trainer), "return the trainer that you were given")
    if trainer.step < STEPS:
        check_restored(trainer, half)
        trainer.fit()
    expect(equal(trainer.model, whole.model), "the weights differ from the unbroken run's")
    expect(equal(trainer.ema.model, whole.ema.model), "the average differs at the end")
    return f"stopped at step {HALF} of {STEPS}: weights and average equal to the last bit"


def check_restored(trainer: Trainer, half: Trainer) -> None:
    """Say what was not brought back."""
    step, rate = trainer.step, half.config.rate
    expect(step != 0, f"the step starts again at 0: the stage, the rate ({rate(0):.2f} of its "
           f"peak, not {rate(HALF):.2f}) and the batches are those of a new run")  # fmt: skip
    expect(
        step == HALF, f"the step is {step} and should be {HALF}: every later batch is different"
    )
    if not equal(trainer.model, half.model):
        swapped = equal(trainer.model, half.ema.model)
        raise Slip("the weights in training are the average's: load kept[\"model\"] into "
                   "trainer.model" if swapped else "the weights are not those that were "
                   "kept")  # fmt: skip
    state = trainer.optimizer.state_dict()["state"]
    expect(bool(state), "the optimizer's state is forgotten: Adam's two averages start from 0")
    if not equal(trainer.ema.model, half.ema.model):
        now = equal(trainer.ema.model, half.model)
        raise Slip("the average restarts from the current weights, and forgets the steps before"
                   if now else "the average is forgotten: it starts from the fresh trainer's "
                   "random weights")  # fmt: skip


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two networks have the same bits in every tensor."""
    return all(torch.equal(u, v) for u, v in zip(
        a.state_dict().values(), b.state_dict().values(), strict=True))  # fmt: skip
