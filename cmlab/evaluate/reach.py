"""How strongly an estimate answers when x_t moves, and how far it is from what A(.) should see."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..operators import Operator
from ..oracle import Oracle
from ..vocabulary import Data, Denoise, Time
from .posterior import POINTS, Posterior, posterior, seen, three_points


def pulls(estimate: Denoise, x_t: Data, t: Time, u: Tensor) -> Tensor:
    """‖Jᵀ u‖ for each sample, J the estimate's derivative by x_t and u of length 1."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((estimate(x_t, t) * u).sum(), x_t)
    return gradient.flatten(1).norm(dim=1)


def noisy(law: Oracle, level: Tensor, n: int, seed: int) -> tuple[Data, Time, torch.Generator]:
    """n noisy samples at one level, in float64, and the generator that goes on."""
    g = torch.Generator().manual_seed(seed)
    x = law.sample(n, g).double()
    z = torch.randn(x.shape, generator=g, dtype=torch.float64)
    return x + level * z, level.double().expand(n), g


def pull_quantiles(law: Oracle, estimate: Denoise, levels: Tensor, n: int = 1000) -> Tensor:
    """Median and 99th percentile of `pulls`, at random x_t and in random directions."""
    rows = []
    for level in levels:
        x_t, t, g = noisy(law, level, n, 0)
        u = torch.randn(x_t.shape, generator=g, dtype=torch.float64)
        found = pulls(estimate, x_t, t, u / u.norm(dim=1, keepdim=True))
        rows.append(found.quantile(torch.tensor([0.5, 0.99], dtype=torch.float64)))
    return torch.stack(rows)


def told(law: Oracle, levels: Tensor, operator: Operator, n: int = 1000) -> dict[str, Tensor]:
    """By point (levels, 3): mean radius, median ln p(x), mean of A(x)'s first number."""
    rows: dict[str, list[Tensor]] = {name: [] for name in POINTS}
    for level in levels:
        x_t, t, g = noisy(law, level, n, 1)
        for name, x in three_points(law, x_t, t, g).items():
            found = seen(law, x, operator)
            means = (found.radius.mean(), found.log_density.median(), found.measured[:, 0].mean())
            rows[name].append(torch.stack(means))
    return {name: torch.stack(row) for name, row in rows.items()}


def errors(
    law: Oracle, level: Tensor, operators: Mapping[str, Operator], n: int = 1000
) -> dict[str, dict[str, tuple[float, float]]]:
    """By operator and point: the mean of A(h) - E[A(x) | x_t], and its root mean square."""
    x_t, t, g = noisy(law, level, n, 2)
    below: Posterior = posterior(law, x_t, t)
    points, found = three_points(law, x_t, t, g), {}
    for title, operator in operators.items():
        right = below.expect(operator, 400, g)
        off = {name: operator(x) - right for name, x in points.items()}
        found[title] = {
            name: (float(v[:, 0].mean()), float(v.square().sum(1).mean().sqrt()))
            for name, v in off.items()
        }
    return found
