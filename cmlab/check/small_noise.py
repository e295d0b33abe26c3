"""Lab 12: a denoising term over the samples with small noise, of which there may be none."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..methods.slct import averaged
from .base import exercise, expect


def answered(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """What a network said (n, 4, 4, 4), the data, and noise levels from 0.01 to 10."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, 4, 4, generator=g, dtype=torch.float64) / 2
    f_t = x + 0.1 * torch.randn(n, 4, 4, 4, generator=g, dtype=torch.float64)
    return f_t, x, torch.logspace(-2, 1, n, dtype=torch.float64)


SMALL, SIGMA = 0.17, 0.5


@exercise
def denoising(answer: Callable[..., Tensor]) -> str:
    """(f_t, x, t, small, sigma_data) -> one number: the mean over t ≤ small, and 0 for none."""
    f_t, x, t = answered()
    said = torch.as_tensor(answer(f_t, x, t, SMALL, SIGMA)).detach().double()
    for slip, wrong in wrong_terms(f_t, x, t).items():
        expect(not (said.shape == wrong.shape and torch.allclose(said, wrong)), slip)
    expect(said.shape == (), f"give one number for the batch, not a shape of {tuple(said.shape)}")
    right = term(f_t, x, t, SMALL, SIGMA)
    expect(bool(torch.isclose(said, right)), f"yours is {float(said):.6g}, and the mean over the "
           f"{int((t <= SMALL).sum())} with t ≤ {SMALL} is {float(right):.6g}")  # fmt: skip
    far, shown = t + 1, f_t.clone().requires_grad_()
    none = torch.as_tensor(answer(shown, x, far, SMALL, SIGMA))
    expect(bool(none.isfinite().all()), "no sample of this batch has small noise, and your term "
           "is not a number: a mean over none is 0/0; guard it")  # fmt: skip
    expect(float(none.detach()) == 0, "no sample has small noise: the term must be 0, and yours "
           f"is {float(none.detach()):.3g}")  # fmt: skip
    for small, sigma in ((1.0, 0.5), (0.17, 2.0), (10.0, 0.5)):
        found = torch.as_tensor(answer(f_t, x, t, small, sigma)).detach().double()
        expect(bool(torch.isclose(found, term(f_t, x, t, small, sigma))),
               f"right for one case, wrong at small = {small:g}, sigma_data = {sigma:g}: use "
               "the arguments")  # fmt: skip
    return "the mean over t ≤ small in four cases, and a finite 0 where none is small"


def term(f_t: Tensor, x: Tensor, t: Tensor, small: float, sigma: float) -> Tensor:
    each = (1 / t**2 + 1 / sigma**2) * (f_t - x).square().flatten(1).mean(1)
    return averaged(each, t <= small).mean()


def wrong_terms(f_t: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
    """What to say, and the number that the slip gives."""
    square, low = (f_t - x).square().flatten(1), t <= SMALL
    weight = 1 / t**2 + 1 / SIGMA**2
    each = weight * square.mean(1)
    return {
        "you average over all samples: the mean is over the chosen ones": (each * low).mean(),
        "you sum over the chosen: take their mean": (each * low).sum(),
        "every sample is counted: choose t ≤ small": each.mean(),
        "you chose the samples with large noise: it is t ≤ small": each[~low].mean(),
        "the weight 1/t² + 1/σ_d² is missing": square.mean(1)[low].mean(),
        "the weight lacks 1/σ_d²": (square.mean(1) / t**2)[low].mean(),
        "the weight is 1/t² + 1/σ_d², the squares are missing": (
            ((1 / t + 1 / SIGMA) * square.mean(1))[low].mean()
        ),
        "you sum the squares of a sample: the convention here is their mean": (
            (weight * square.sum(1))[low].mean()
        ),
        "this is one number for each sample: give their mean over the chosen": each,
    }
