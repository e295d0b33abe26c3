"""Inductive moment matching (IMM; Zhou, Ermon & Song 2025, arXiv:2503.07565).

    sample groups of M samples x with noise z; each group shares s < r < t
    y  = X_θ(x_t, t -> s),  y' = stopgrad(X_θ(x_r, r -> s)),  x_t and x_r of the same x and z
    L(θ) = w(s, t) MMD²({y}, {y'}),  kernel exp(-‖a - b‖ / (D (t - s)))

Both sets have the distribution of x_s where X is the flow map; r is so near t that the second is
taken to be right, as a proof by induction does. Nothing in the loss names the ODE: for a Gaussian
the mirror image of the map has MMD 0 too. What keeps X near the flow is the small gap t - r. There
is no term on the diagonal. With M = 1 nothing repels, and the loss is consistency training with
another distance. As there, a teacher may lead from x_t to x_r, and the batch's posterior mean in
place of x removes the noise of single samples from the step (not in the paper).

r: in the noise level η = σ/α a step of (η_max - η_min) / 2^k below t, and not below s. Near t = T
   that is so short that a long jump is learned by way of thousands of steps; steps of equal ratio,
   that is of equal length in the log-SNR, are a choice here.
w(s, t) = ½ sigmoid(b - λ_t) (-dλ/dt) α_t^a / (α_t² + σ_t²), λ_t = 2 ln(α_t/σ_t).

No training code is public: the loss follows the paper, the constants (T = 0.994, ε = 0.006) the
authors' sampling code, whose two checkpoints differ in what the network is told of s (s or t - s).
Here it is t - s, and X is x_t - (t - s) F, the paper's Euler-FM with σ_d = 1.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..process import Process, RectifiedFlow
from ..teacher import SampleTeacher
from ..types import Count, Data, PerSample, Range, Real, Share, Teacher, Time
from .base import Method
from .flow_map import jump, rectified


@ingredient
@dataclass(frozen=True)
class GroupedTimes:
    """Times t > s that a group of samples shares: t ~ U(low, high), s ~ U(low, t). IMM.

    Args:
        group: M, the samples of a group; a smaller batch is one group.
        low: ε.
        high: T.
        stratified: the groups of a batch have one t in each of as many equal intervals.
    """

    group: Count = 4
    low: Share = 0.006
    high: Share = 0.994
    stratified: bool = False

    def size(self, batch: int) -> int:
        """The samples of a group in a batch.

        Raises:
            ValueError: for a batch that is not made of whole groups.
        """
        size = min(self.group, batch)
        if batch % size:
            raise ValueError(
                f"a batch of {batch} is not made of groups of {size}: take a multiple of it"
            )
        return size

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        size = self.size(len(x))
        u, v = torch.rand(2, count := len(x) // size, device=x.device, dtype=torch.float64)
        if self.stratified:
            u = (torch.randperm(count, device=x.device) + u) / count
        t = self.low + u * (self.high - self.low)
        s = self.low + v * (t - self.low)
        times = (process.time(time / (1 - time)).to(x.dtype) for time in (t, s))
        return tuple(time.repeat_interleave(size) for time in times)  # type: ignore[return-value]


@ingredient
@dataclass(eq=False)
class IMM(Method):
    """Inductive moment matching: jumps from t and from an earlier r have one distribution at s.

    Args:
        pairs: draws the times t > s that a group shares.
        halvings: k; the step from t to r is (η_max - η_min) / 2^k. The paper takes 12 to 15.
        ratio: of η at r to η at t, in place of k; None keeps the paper's equal steps.
        shift: b of the loss weight.
        power: a of the loss weight, 1 or 2.
        teacher: whose velocity leads from x_t to x_r; z - x is that of the data themselves.
    """

    pairs: GroupedTimes = GroupedTimes()
    halvings: Annotated[int, Range("[1, 30]")] = 12
    ratio: Share | None = None
    shift: Real = 5.0
    power: Real = 1.0
    teacher: Teacher = SampleTeacher()

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, s = self.pairs(process, x, step)
        r, z = self.earlier(t, s), torch.randn_like(x)
        x_t = process.perturb(x, z, t)
        x_r = process.transport(x_t, self.teacher(x, cond)(x_t, t), t, r)
        y = jump(model, x_t, t, s, cond)
        with torch.no_grad():
            near = jump(model, x_r, r, s, cond)
        size = self.pairs.size(len(x))
        apart = mmd(groups(y, size), groups(near, size), (t - s)[::size])
        return self.weight(t) * apart.repeat_interleave(size)

    def earlier(self, t: Time, s: Time) -> Time:
        """r(s, t), the time at which the jump starts that the student learns from."""
        process = RectifiedFlow()
        ends = torch.tensor([self.pairs.low, self.pairs.high], dtype=torch.float64)
        low, high = process.level(ends).tolist()
        level = process.level(t)
        step = (high - low) / 2**self.halvings if self.ratio is None else (1 - self.ratio) * level
        return torch.maximum(s, process.time((level - step).clamp_min(0)))

    def weight(self, t: Time) -> PerSample:
        """w(s, t), in which s does not appear."""
        log_snr, slope = 2 * torch.log((1 - t) / t), 2 / (t * (1 - t))
        energy = (1 - t) ** 2 + t**2
        return torch.sigmoid(self.shift - log_snr) * slope * (1 - t) ** self.power / energy / 2


def groups(y: Tensor, size: int) -> Tensor:
    """Samples (b, *d) as (groups, size, D)."""
    return y.flatten(1).reshape(len(y) // size, size, -1)


def mmd(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of groups of samples, as V-statistic, Laplace kernel.

    Args:
        a, b: samples (groups, M, D).
        scale: t - s of each group; the kernel is exp(-‖a - b‖ / (D scale)).

    Returns:
        One number per group.
    """

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        squares = (p[:, :, None] - q[:, None]).square().sum(3)
        distance = squares.clamp_min(1e-24).sqrt()  # a root without a slope at 0
        return (-distance / (p.shape[2] * scale[:, None, None])).exp().mean((1, 2))

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)
