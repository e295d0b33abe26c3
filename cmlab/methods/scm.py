"""Continuous-time consistency models (Lu & Song 2025, arXiv:2410.11081, Algorithm 1).

    sample x, z and τ ~ N(P_mean, P_std²); t = arctan(e^τ / σ_d), x_t = cos(t) x + sin(t) σ_d z
    dx_t/dt = cos(t) σ_d z - sin(t) x (sCT), or σ_d F of a teacher (sCD)
    g = -cos²(t) (σ_d F_θ⁻ - dx_t/dt) - r cos(t) sin(t) (x_t + σ_d dF_θ⁻/dt),  θ⁻ = stopgrad(θ)
    g ← g / (‖g‖ + c)
    L(θ, φ) = e^{w_φ(t)} / D ‖F_θ(x_t/σ_d, t) - F_θ⁻ - g‖² - w_φ(t)

Code `warmup` is the paper's r, which grows from 0 to 1; times are t and `earlier`. g is
cos(t) df_θ⁻/dt: the prior weight 1/(σ_d tan t) is inside, once. The loss's value is always
‖bound(g)‖², only its gradient speaks. With `Secant` it is the discrete loss of App. E.
Paper against code: the authors released none. FastGen takes a root mean square for ‖g‖ (here
`UnitRMS`; the paper's norm is the default); rCM leaves dF/dt out of the warm-up (not followed).
App. E writes dx/dt = F of the teacher, without σ_d (a slip). Guidance of the teacher is left out.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..balance import Adaptive
from ..finite import finite_tangent
from ..guide import OneSample, StopGrad, Target
from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import expand, sum_squares
from ..schedule import Warmup
from ..tangent import InverseTan, Slope, Tangent, UnitNorm
from ..times import LogNormal, Together
from ..vocabulary import (
    Balance,
    Bound,
    Data,
    Pairs,
    PerSample,
    Prior,
    Schedule,
    Teacher,
    Time,
)
from .base import Choosy
from .demands import check_clocks, check_slope, trigflow


@ingredient
@dataclass(eq=False)
class SCM(Choosy):
    """sCT from data alone, sCD with a teacher."""

    teacher: Teacher = OneSample()
    pairs: Pairs = Together(LogNormal(-1.0, 1.4))
    slope: Slope = Tangent()
    prior: Prior = InverseTan()
    warmup: Schedule = Warmup(10_000)
    bound: Bound = UnitNorm(0.1)
    balance: Balance = field(default_factory=Adaptive)
    target: Target = field(default_factory=StopGrad, init=False)

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = trigflow(model)
        t, _ = self.pairs(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        dx_t = process.velocity(x_t, self.teacher(x, cond)(x_t, t), t)

        F, g = self.tangent(model, x_t, t, dx_t, step, cond)
        g = self.bound(finite_tangent(g, process.level(t), step))
        return self.balance(t, sum_squares(F - F.detach() - g) / x[0].numel())

    def tangent(
        self,
        model: Denoiser,
        x_t: Data,
        t: Time,
        dx_t: Data,
        step: int,
        cond: Tensor | None = None,
    ) -> tuple[Data, Data]:
        """F with its graph, and g = c(t) df/dt before it is bounded."""
        sigma_data, r = trigflow(model).sigma_data, self.slope.earlier(t)
        c = self.prior(t, sigma_data)  # cos(t)
        cc, cs = c * r.cos(), c * r.sin()  # cos²(t), cos(t) sin(t)
        F, dF = self.slope(lambda x_t, t: model.raw(x_t, t, cond), x_t, t, dx_t, cs)  # cs · dF/dt

        g = -expand(cc, x_t) * (sigma_data * F.detach() - dx_t)
        return F, g - self.warmup(step) * (expand(cs, x_t) * x_t + sigma_data * dF)

    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        check_clocks(trigflow(model), spread, self.teacher)
        if isinstance(self.slope, Tangent):
            check_slope(model, x, cond)
