"""Questions about a hidden coordinate: one is measured, the exact posterior of the other known.

Answers have `w1`, the mean W₁ of the guesses to the exact law of what is hidden.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.toy import ToyData
from ..editing import edit, inpainting
from ..evaluate.posterior import line_through
from ..evaluate.wasserstein import sliced
from ..inverse import Measurement, restore
from ..operators import Mask
from ..ops import seeded
from ..oracle import Mixture
from ..times import KarrasGrid
from .asked import CPU, Answer, Networks


@dataclass(frozen=True)
class Guess:
    """The second coordinate when the first is known, against its exact law, by W₁.

    `truths` points of the law are measured, and each is guessed `copies` times.
    """

    truths: int = 128
    copies: int = 128

    def drawn(self, data: ToyData, seed: int) -> Tensor:
        """The points that are measured, each repeated: (truths · copies, 2), float64."""
        g = torch.Generator().manual_seed(seed)
        return data.oracle.sample(self.truths, g).double().repeat_interleave(self.copies, 0)

    def exact(self, data: ToyData, measured: Tensor, seed: int) -> Tensor:
        """As many samples of the exact posterior: (truths, copies)."""
        law, g = data.oracle, torch.Generator().manual_seed(seed)
        if not isinstance(law, Mixture):
            raise ValueError(f"the posterior is known for mixtures of Gaussians, not {law}")
        values = measured[:: self.copies, 0].tolist()
        return torch.stack(
            [line_through(law, 0, v).sample(self.copies, g)[:, 0].double() for v in values]
        )

    def apart(self, x: Tensor, exact: Tensor) -> float:
        """Mean W₁ over the points, in units of x: sorted guesses against sorted exact samples."""
        mine = x[:, 1].double().reshape(exact.shape).sort(1).values
        return float((mine - exact.sort(1).values).abs().mean())


@dataclass(frozen=True)
class Edits:
    """Zero-shot editing with f: `w1` is `Guess.apart`, on the first levels of a grid."""

    grid: KarrasGrid
    calls: tuple[int, ...]
    guess: Guess = Guess()

    @torch.no_grad()
    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        process, f = networks["f"]
        y, task = self.guess.drawn(data, seed), inpainting(torch.tensor([0.0, 1.0]))
        exact, found = self.guess.exact(data, y, seed + 100), []
        for calls in self.calls:
            levels = self.grid.up(max(calls, 2)).flip(0)[:calls]
            with seeded(CPU, seed, 5):
                *_, x = edit(process, f, task, y.float(), process.time(levels))
            found.append({"way": "edit", "calls": calls, "w1": self.guess.apart(x, exact)})
        return found


@dataclass(frozen=True)
class Guesses:
    """Posterior sampling with a denoiser; what the operator sees is `shown`, "denoiser" or "f".

    `zeta` is the strength of the pull by number of steps; with f a step is two calls.
    """

    grid: KarrasGrid
    zeta: tuple[tuple[int, float], ...]
    shown: str = "denoiser"
    guess: Guess = Guess()

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        each = 1 if self.shown == "denoiser" else 2
        rows = ((n, self.once(networks, data, seed, n, zeta)) for n, zeta in self.zeta)
        return [{"way": self.shown, "calls": each * n, "w1": w1} for n, w1 in rows]

    def once(self, networks: Networks, data: ToyData, seed: int, steps: int, zeta: float) -> float:
        """W₁ after so many steps with this ζ."""
        D, shown = networks["denoiser"][1], networks[self.shown][1]
        y = self.guess.drawn(data, seed)
        exact, keep = self.guess.exact(data, y, seed + 100), Mask(torch.tensor([1.0, 0.0]))
        measured = Measurement(keep, keep(y.float()))
        with seeded(CPU, seed, 5):
            x_t = self.grid.sigma_max * torch.randn_like(y.float())
            *_, x = restore(D, shown, measured, x_t, self.grid.down(steps), zeta)
        return self.guess.apart(x, exact)


@dataclass(frozen=True)
class Truth:
    """What the exact answers score on the same draws, without any call: no method can do better.

    law of fresh data, and w1 of exact posterior samples; "prior" is w1 without the measurement.
    """

    n: int = 32768
    guess: Guess = Guess()

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        with seeded(CPU, seed, 6):
            one, two, other = (data.oracle.sample(n) for n in (self.n, self.n, self.size))
        y = self.guess.drawn(data, seed)
        exact, again = (self.guess.exact(data, y, seed + s) for s in (100, 200))
        posterior = torch.stack([y[:, 0], again.flatten()], 1)
        return [
            {"way": "truth", "calls": 0, "law": sliced(one, two)},
            {"way": "truth", "calls": 0, "w1": self.guess.apart(posterior, exact)},
            {"way": "prior", "calls": 0, "w1": self.guess.apart(other.double(), exact)},
        ]

    @property
    def size(self) -> int:
        return self.guess.truths * self.guess.copies
