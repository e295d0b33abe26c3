"""Studies of lab 12, latent consistency models (sLCT): impulses in latents, optimal transport.

"latents": iCT and sLCT on digits in latents, clean and with injected impulses, and ablations.

ict, huber-impulses      iCT as it is, with its pseudo-Huber loss
l2, l2-impulses          iCT with squared L2
cauchy, cauchy-impulses  iCT with the Cauchy loss and c(N), nothing else changed
slct, slct-impulses      all of sLCT
slct-independent         sLCT without optimal transport
slct-no-denoising        ... and without the denoising term
slct-no-norm             ... and with the group norm of iCT in place of the non-scaling norm
slct-across              sLCT whose optimal transport pairs across classes
slct-8c                  sLCT with eight times the c
slct-first               sLCT whose first c is that of the authors' script for 4 × 4 × 4
l2-levels                squared L2 with the weights of the noise levels that pseudo-Huber has,
                         also l2-levels-impulses

Impulses multiply 0.1 % of all latent elements by 50. Scored against the clean held-out digits.

"transport": consistency training on the ring, with noise paired by optimal transport or not.

independent  iCT's loss, independent noise
ot           the same, the noise of each batch paired with its data by optimal transport
...-long     three times as many steps

Half of the toy presets' batch. RMS is against the f* of the data with independent noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import log, prod

import numpy as np
import torch
from torch import Tensor

from cmlab.data.latents import Decodable, Impulses
from cmlab.losses import SquaredL2
from cmlab.methods import ICT, SLCT
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Independent, MinibatchOT, Tightening, first_c
from cmlab.metrics.evaluators import decoded_samples
from cmlab.metrics.toy import SAMPLES, answers
from cmlab.metrics.wasserstein import sliced
from cmlab.model import CMPrecond
from cmlab.nets.norm import BuildNorm, Grouped, NonScaling
from cmlab.noise_levels import AdjacentLevels
from cmlab.ops import expand, seeded, sum_squares
from cmlab.presets import toy
from cmlab.presets.latent import DIGITS, STEPS, digits_ict, digits_slct, grid, improved, latent
from cmlab.process import VarianceExploding
from cmlab.train.recipe import Recipe
from cmlab.train.runs import evaluate_model
from cmlab.train.trainer import Trainer
from cmlab.types import Coupling, Data, Metric, PerSample, Time

from ..common.observers import Arrays, ErrorObserver
from ..common.study import Study
from .analysis import INNER, OUTER, influence, kurtosis, share_beyond

# Observer of runs on latents: residuals of the loss by stage, and the score

BANDS = (0.002, 0.02, 0.2, 2.0, 80.0)  # noise levels; the bands lie between them
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NONE = torch.full((6,), torch.nan)  # of a band that no pair fell into


@dataclass(frozen=True)
class Residuals:
    """f_t - f_r of `n` pairs, with the weights and the grid of the stage that ends.

    As in training, except that the noise is drawn independently in every variant.

    scores    (names,) the evaluator's scores of the averaged weights
    intervals ()       N, the number of intervals of the grid
    size      (bands, 6) quantiles of the root mean square of a sample's residual, see QUANTILES,
              by band of the noise level t
    tails     (bands, 3) shares of the residual's elements beyond the inner and the outer fence,
              and their kurtosis; each sample's residual divided by t - r
    """

    n: int = 2048

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        step = max(trainer.step - 1, 0)
        scores = evaluate_model(trainer.ema.model, recipe).values()
        return {
            "scores": np.array([np.nan if s is None else s for s in scores]),
            "intervals": np.array(trainer.method.pairs.points(step) - 1),  # type: ignore[union-attr]
            **measured_by_band(*residuals(trainer, recipe, step, self.n)),
        }

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        """pictures (40, c, n, n): decoded one-step samples of the averaged weights, uint8."""
        labels = torch.arange(40) % recipe.net.classes  # type: ignore[attr-defined]
        x = decoded_samples(trainer.ema.model, recipe.data, recipe.sampler, labels, 40, 1, 0)
        return {"pictures": ((x + 1) * 127.5).round().to(torch.uint8).numpy()}


@torch.no_grad()
def residuals(trainer: Trainer, recipe: Recipe, step: int, n: int) -> tuple[Time, Time, Data]:
    """t, r and f_t - f_r of n pairs with independent noise, from a seed of their own."""
    model = trainer.model.eval()
    with seeded(torch.device("cpu"), 2):
        x, labels = recipe.data.sample(n)
        t, r = trainer.method.pairs(model.process, x, step)
        z = torch.randn_like(x)
    x_t, x_r = (model.process.perturb(x, z, time) for time in (t, r))
    residual = model(x_t, t, labels) - model(x_r, r, labels)
    trainer.model.train()
    return t, r, residual


def measured_by_band(t: Time, r: Time, residual: Data) -> Arrays:
    """Sizes and tails by band."""
    size = (sum_squares(residual) / residual[0].numel()).sqrt()
    slope = residual / expand(t - r, residual)
    which = torch.bucketize(t, torch.tensor(BANDS[1:-1]))
    sizes, tails = [], []
    for band in range(len(BANDS) - 1):
        here = which == band
        sizes.append(size[here].quantile(torch.tensor(QUANTILES)) if here.any() else NONE[:6])
        tails.append(tail_measures(slope[here]) if here.any() else NONE[:3])
    return {
        "size": torch.stack(sizes).numpy().astype(np.float32),
        "tails": torch.stack(tails).numpy().astype(np.float32),
    }


def tail_measures(x: Tensor) -> Tensor:
    """Shares beyond the inner and the outer fence, and the kurtosis."""
    return torch.tensor([share_beyond(x, INNER), share_beyond(x, OUTER), kurtosis(x)])


# The study "latents"

IMPULSES = Impulses(DIGITS)


def ict(data: Decodable, seed: int) -> Recipe:
    return digits_ict(STEPS, seed, data)


def slct(data: Decodable, seed: int) -> Recipe:
    return digits_slct(STEPS, seed, data)


def squared(data: Decodable, seed: int) -> Recipe:
    """iCT with another loss."""
    return replace(ict(data, seed), method=ICT(grid(STEPS), SquaredL2()))


@dataclass(frozen=True)
class LikePseudoHuber:
    """λ = 1 / ((t - r) √(u² + c²)), where u = ‖f_t - f_r‖ of a typical sample and c is iCT's.

    Pseudo-Huber's pull is u / √(u² + c²), that of squared L2 is 2 u. So with this λ squared L2
    weights the noise levels like pseudo-Huber, and samples of one level as before. u is taken to
    be √D (t - r) σ_d² / (t² + σ_d²): f_t - f_r is (t - r) z near the data, and at high noise f is
    flat.
    """

    def __call__(self, t: Time, r: Time) -> PerSample:
        root = prod(DIGITS.shape) ** 0.5
        flat = DIGITS.sigma_data**2 / (t**2 + DIGITS.sigma_data**2)
        u, c = root * (t - r) * flat, 0.00054 * root
        return (u**2 + c**2) ** -0.5 / (t - r)


def levelled(data: Decodable, seed: int) -> Recipe:
    """iCT with squared L2 and pseudo-Huber's weights of the noise levels."""
    return replace(ict(data, seed), method=ICT(grid(STEPS), SquaredL2(), LikePseudoHuber()))


def cauchy(data: Decodable, seed: int) -> Recipe:
    """iCT with Cauchy and c(N): sLCT without its other parts."""
    method = replace(improved(STEPS), coupling=Independent(), denoising=0.0)
    return latent(method, STEPS, seed, Grouped(), data)


def with_scaled_c(factor: float, seed: int) -> Recipe:
    """sLCT with c(N) times this factor."""
    method = improved(STEPS)
    c = method.c
    assert isinstance(c, Tightening) and c.first is not None
    c = replace(c, intercept=c.intercept + log(factor), first=c.first * factor)
    return latent(replace(method, c=c), STEPS, seed, NonScaling(), DIGITS)


def with_first_c(seed: int) -> Recipe:
    """sLCT with the first c that the authors' script gives to latents of this size."""
    method = improved(STEPS)
    assert isinstance(method.c, Tightening)
    c = replace(method.c, first=first_c(prod(DIGITS.shape)))
    return latent(replace(method, c=c), STEPS, seed, NonScaling(), DIGITS)


def without_transport(denoising: float, norm: BuildNorm, seed: int) -> Recipe:
    """sLCT without transport, and with this denoising term and norm."""
    method = replace(improved(STEPS), coupling=Independent(), denoising=denoising)
    return latent(method, STEPS, seed, norm, DIGITS)


def across(seed: int) -> Recipe:
    """sLCT whose transport pairs across classes."""
    return latent(replace(improved(STEPS), by_class=False), STEPS, seed, NonScaling(), DIGITS)


ARMS: dict[str, Callable[[int], Recipe]] = {
    "l2": partial(squared, DIGITS),
    "ict": partial(ict, DIGITS),
    "cauchy": partial(cauchy, DIGITS),
    "slct-no-denoising": partial(without_transport, 0.0, NonScaling()),
    "slct-no-norm": partial(without_transport, 5.0, Grouped()),
    "slct-independent": partial(without_transport, 5.0, NonScaling()),
    "slct": partial(slct, DIGITS),
    "slct-across": across,
    "slct-8c": partial(with_scaled_c, 8.0),
    "slct-first": with_first_c,
    "l2-levels": partial(levelled, DIGITS),
    "l2-impulses": partial(squared, IMPULSES),
    "huber-impulses": partial(ict, IMPULSES),
    "cauchy-impulses": partial(cauchy, IMPULSES),
    "slct-impulses": partial(slct, IMPULSES),
    "l2-levels-impulses": partial(levelled, IMPULSES),
}

STUDY = Study("latents", ARMS, Residuals(), observations=7)


def shares_of_pull(size: np.ndarray, metric: Metric, step: int) -> np.ndarray:
    """How a loss divides its pull on the network F among the bands: (bands,), sum 1.

    Σ c_out(t) ψ(‖f_t - f_r‖) / (t - r) for the pairs of this step, each with the RMS residual
    `size` (bands,) of its band.
    """
    with seeded(torch.device("cpu"), 4):
        t, r = grid(STEPS)(VarianceExploding(), torch.zeros(8192, 1), step)
    which = torch.bucketize(t, torch.tensor(BANDS[1:-1]))
    u = torch.as_tensor(size)[which] * prod(DIGITS.shape) ** 0.5
    _, c_out, *_ = CMPrecond(DIGITS.sigma_data, BANDS[0])(t)
    pull = c_out * influence(metric, u) / (t - r)
    return (torch.bincount(which, pull, len(BANDS) - 1) / pull.sum()).numpy()


# The study "transport"

TRANSPORT_STEPS, BATCH = 2000, 128


def paired(coupling: Coupling, steps: int, seed: int) -> Recipe:
    """sLCT with iCT's metric, no denoising term, and this coupling."""
    recipe = toy.ict(steps=steps, seed=seed)
    pairs = recipe.method.pairs
    assert isinstance(pairs, AdjacentLevels)
    method = SLCT(pairs, PseudoHuber(), c=None, coupling=coupling, denoising=0.0)
    return replace(recipe, method=method, train=replace(recipe.train, batch=BATCH))


TRANSPORT_ARMS: dict[str, Callable[[int], Recipe]] = {
    "independent": partial(paired, Independent(), TRANSPORT_STEPS),
    "ot": partial(paired, MinibatchOT(), TRANSPORT_STEPS),
    "independent-long": partial(paired, Independent(), 3 * TRANSPORT_STEPS),
    "ot-long": partial(paired, MinibatchOT(), 3 * TRANSPORT_STEPS),
}


@dataclass(frozen=True)
class Starts(ErrorObserver):
    """The errors of a toy run, and one-call samples from starts that are paired or not.

    starts (5,) sliced W₂ of 8192 samples to other data: from σ_max z; from x + σ_max z, z drawn
           alone, and paired with x by optimal transport; and from x + σ_mid z, likewise
    """

    @torch.no_grad()
    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, top, middle = trainer.ema.model, toy.SIGMA_MAX, toy.SIGMA_MID
        with seeded(torch.device("cpu"), 3):
            x, other = recipe.data.sample(SAMPLES)[0], recipe.data.sample(SAMPLES)[0]
            z = torch.randn_like(x)
        best = torch.cat(
            [MinibatchOT()(*pair) for pair in zip(x.split(BATCH), z.split(BATCH), strict=True)]
        )
        starts = [(top, top * z), *((t, x + t * y) for t in (top, middle) for y in (z, best))]
        found = [
            sliced(answers(model, model.process, start, torch.full((SAMPLES,), t)), other)
            for t, start in starts
        ]
        return super().observe_end(trainer, recipe) | {"starts": np.array(found)}


TRANSPORT_STUDY = Study("transport", TRANSPORT_ARMS, Starts(), observations=8)
