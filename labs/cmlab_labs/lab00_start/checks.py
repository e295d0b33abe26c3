"""Exercise checks of lab 00: one-step and two-step consistency sampling."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.metrics.toy import coverage

from ..common.exercise import RecordedCalls, Slip, close, exercise, expect

HIGH, MIDDLE = 10.0, 0.8  # σ_max and σ_mid of the question
Sampler = Callable[..., Tensor]
same = partial(close, rtol=1e-4, atol=1e-4)


def record_calls(
    answer: Sampler, *noises: Tensor, levels: tuple[float, ...]
) -> tuple[RecordedCalls, Tensor]:
    """Call a learner's sampler with the exact f of the ring: the recorded calls, and the samples.

    Raises Slip if a call does not give one noise level for each sample.
    """
    ring = Ring().oracle
    exact = RecordedCalls(lambda x_t, t: ring.consistency(x_t, t))

    def f(x_t: Tensor, t: Any) -> Tensor:
        count = len(noises[0])
        if not isinstance(t, Tensor) or t.shape != (count,):
            raise Slip(
                f"f takes one noise level for each sample, a tensor of shape ({count},): "
                f"torch.full((len(z),), sigma)"
            )
        expect(bool((t > 0).all()), "f was called at noise level 0, where there is nothing to do")
        return exact(x_t, t)

    return exact, torch.as_tensor(answer(f, *noises, *levels))


def check_calls(exact: RecordedCalls, calls: int) -> None:
    """Check the number of network calls."""
    used = len(exact.calls)
    expect(used != 0, "f was never called: noise goes in, and f's answer is the sample")
    plural = "s" * (used > 1)
    expect(used == calls, f"{used} network call{plural}; this sampler should make exactly {calls}")


def noises(count: int, seed: int) -> list[Tensor]:
    """Standard normal noises (64, 2)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(64, 2, generator=generator) for _ in range(count)]


def check_first_call(exact: RecordedCalls, z: Tensor) -> None:
    """Check the first call: σ_max z at noise level σ_max."""
    x_t, t, _ = exact.calls[0]
    expect(not same(x_t, z), "the scale is missing: at noise level σ_max the input is σ_max z")
    small = float(x_t.std()) < 0.5 * HIGH
    expect(not small, "the first call's input is too quiet: it must be σ_max z")
    expect(same(x_t, HIGH * z), "the first call's input must be σ_max z, with the z that is given")
    right = bool((t - HIGH).abs().max() < 1e-4)
    expect(right, f"the input has noise level σ_max = {HIGH:g}, but f got t = {float(t[0]):.3g}")


@exercise
def one_call(answer: Sampler) -> str:
    """x = f(σ_max z, σ_max): one call, the right scale, all modes of the distribution."""
    (z,) = noises(1, 11)
    exact, x = record_calls(answer, z, levels=(HIGH,))
    check_calls(exact, 1)
    check_first_call(exact, z)
    _, _, truth = exact.calls[0]
    turned = same(x, HIGH * z - truth) or same(x, truth - HIGH * z)
    expect(not turned, "that is the noise that f took away: f's own answer is the sample")
    expect(same(x, truth), "f's answer is the sample: return it as it is")
    _, modes = coverage(x, Ring().oracle.components)
    return f"1 call at the right noise level; with the exact f it reaches {modes} of 8 modes"


@exercise
def two_calls(answer: Sampler) -> str:
    """Song et al. 2023, Algorithm 1 with one intermediate level: jump, add noise, jump."""
    z, fresh = noises(2, 12)
    exact, x = record_calls(answer, z, fresh, levels=(HIGH, MIDDLE))
    first = float(exact.calls[0][1][0]) if exact.calls else HIGH
    expect(abs(first - MIDDLE) > 1e-4, "the order is wrong: first σ_max, then σ_mid")
    check_calls(exact, 2)
    check_first_call(exact, z)
    check_second_call(exact, z, fresh)
    expect(not same(x, exact.calls[0][2]), "that is the first call's answer: return the second's")
    expect(same(x, exact.calls[1][2]), "the second answer is the sample, with no noise on it")
    return f"2 calls, at noise levels {HIGH:g} and {MIDDLE:g}, with fresh noise between them"


def check_second_call(exact: RecordedCalls, z: Tensor, fresh: Tensor) -> None:
    """Check the second call: the first answer plus fresh noise of level σ_mid."""
    (_, _, x), (x_t, t, _) = exact.calls
    bare = same(x_t, x)
    expect(not bare, "no noise was added: at level σ_mid the input must be x + σ_mid · fresh")
    likely = {
        "the noise has lost its scale: add σ_mid · fresh, not fresh": x + fresh,
        "the first answer is lost: add the noise to x": MIDDLE * fresh,
        "the old z again: it leads back along the path that x came from. Use the fresh noise": (
            x + MIDDLE * z
        ),
        "too much noise: σ_max · fresh drowns x. Add σ_mid · fresh": x + HIGH * fresh,
        "the sign: add σ_mid · fresh (minus is as good, by symmetry, but keep to the formula)": (
            x - MIDDLE * fresh
        ),
    }
    for slip, wrong in likely.items():
        expect(not same(x_t, wrong), slip)
    expect(same(x_t, x + MIDDLE * fresh), "the second call's input must be x + σ_mid · fresh")
    level = float(t[0])
    right = abs(level - MIDDLE) < 1e-4
    expect(
        right, f"the second input has noise level {MIDDLE:g} (σ_mid), but f got t = {level:.3g}"
    )
