"""What a trained network is asked to do, and how far from the truth it is by network calls.

A question takes networks by role and a seed for its draws, and answers with records
{"way", "calls", one number each}. All of it is on toy laws, whose truth is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ..data.toy import ToyData
from ..evaluate.ends import against, exact_ends
from ..evaluate.toy import coverage
from ..ops import expand, seeded
from ..process import Process
from ..sample import Sampler, heun, ode
from ..times import KarrasGrid
from ..vocabulary import Data, Denoise

CPU = torch.device("cpu")
Networks = Mapping[str, tuple[Process, Denoise]]
Answer = dict[str, Any]


@runtime_checkable
class Question(Protocol):
    """(networks by role, the law, a seed) -> answers."""

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]: ...


@dataclass(frozen=True)
class HeunSteps:
    """Heun's method on a Karras grid, its last step Euler's: an odd number of calls, 3 or more."""

    grid: KarrasGrid = KarrasGrid()

    @property
    def sigma_max(self) -> float:
        return self.grid.sigma_max

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples from standard normal noise z. Raises ValueError for a number it cannot have."""
        if calls < 3 or calls % 2 == 0:
            raise ValueError(f"Heun's method takes 3, 5, 7, … calls, not {calls}")
        times = process.time(self.grid.down((calls + 1) // 2)).to(z)
        _, sigma = process(times[:1].repeat(len(z)))
        *_, x = ode(process, denoise, expand(sigma, z) * z, times, heun)
        return x


@dataclass(frozen=True)
class Generates:
    """Samples from noise, by each way in each number of calls; the role is "f".

    law    sliced W₂ of n samples to n fresh data, in units of x; of the truth itself: `Truth`
    end    RMS distance to the end of the exact path through the same noise
    hq     share of the samples within three standard deviations of a mode (exact: 0.989)
    modes  modes that hold over a fifth of their share
    """

    ways: tuple[tuple[str, Sampler, tuple[int, ...]], ...]
    n: int = 32768

    @torch.no_grad()
    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        process, f = networks["f"]
        found = []
        for way, sampler, counts in self.ways:
            ends = exact_ends(data, sampler.sigma_max, self.n, seed)
            for calls in counts:
                with seeded(CPU, seed, 4):
                    x = sampler(process, f, ends.z.float(), calls)
                near, modes = coverage(x, data.oracle.components)
                told = against(data, x, ends)
                numbers = {"law": told["sw"], "end": told["rms"], "hq": near, "modes": modes}
                found.append({"way": way, "calls": calls} | numbers)
        return found
