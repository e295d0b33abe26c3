"""What a training step costs beyond its arithmetic: cmlab beside plain PyTorch loops.

    python benchmarks/overhead.py [--steps 400] [--threads 1] [--out FILE]

`plain_ict` and `plain_sct` below are what one would write by hand for this one network, this one
data set and this one loss: the same tensors, fused Adam, the average of the weights, and nothing
else. cmlab's step beside them also draws each batch from (seed, step, part), looks for numbers
that are not finite, clips, and moves the learning rate. Trainer and loop take turns, step by step,
so that whatever else the machine does falls on both. Prints one JSON line for each preset: medians
of CPU time, and their ratio; the bars are 1.15 for toy.ict and 1.25 for toy.sct.
"""

import argparse
import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median
from time import process_time

import torch
from torch import Tensor

from cmlab.nets.embedding import Positional
from cmlab.presets import toy
from cmlab.train.recipe import Recipe

BARS = {"toy.ict": 1.15, "toy.sct": 1.25}
BATCH, RATE, DECAY, SIGMA_DATA, SIGMA_MIN = 256, 1e-3, 0.999, toy.RING.sigma_data, toy.SIGMA_MIN

Step = Callable[[], None]


def ring(n: int) -> Tensor:
    """Points of eight Gaussians on a circle."""
    angle = torch.randint(8, (n,)) * (math.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(n, 2)


class Plain:
    """A network, fused Adam and the average of the weights; `update` takes one step on a loss."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(0)
        self.net = recipe.net.build()
        self.slow = deepcopy(self.net).requires_grad_(False)
        self.weights, self.averages = list(self.net.parameters()), list(self.slow.parameters())
        self.optimizer = torch.optim.Adam(self.weights, RATE, (0.9, 0.99), fused=True)

    def update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.weights, 1 - DECAY)


def plain_ict(recipe: Recipe) -> Step:
    """Improved consistency training on the finest grid of its preset's first stage."""
    plain, levels = Plain(recipe), toy.GRID.up(11)
    masses = toy.LEVELS.masses(levels)
    s2, c = SIGMA_DATA**2, 0.00054 * math.sqrt(2)

    def f(x_t: Tensor, t: Tensor) -> Tensor:
        norm = (t**2 + s2).sqrt()
        shifted = t - SIGMA_MIN
        answer = plain.net(x_t / norm[:, None], t.log() / 4)
        c_skip, c_out = s2 / (shifted**2 + s2), shifted * SIGMA_DATA / norm
        return c_skip[:, None] * x_t + c_out[:, None] * answer

    def step() -> None:
        x = ring(BATCH)
        i = torch.multinomial(masses, BATCH, replacement=True)
        t, r = levels[i + 1].float(), levels[i].float()
        z = torch.randn_like(x)
        f_t = f(x + t[:, None] * z, t)
        with torch.no_grad():
            f_r = f(x + r[:, None] * z, r)
        s = (f_t - f_r).square().sum(1)
        plain.update(((s / ((s + c * c).sqrt() + c)) / (t - r)).mean())

    return step


def plain_sct(recipe: Recipe) -> Step:
    """sCT: the tangent by torch.func.jvp, normalised, with the learned weight and the warm-up."""
    plain = Plain(recipe)
    frequencies = Positional(16).frequencies()
    weight = torch.nn.Linear(2 * len(frequencies), 1)
    plain.optimizer.add_param_group({"params": list(weight.parameters())})
    low, high = ((math.log(s) + 1.0) / 1.4 for s in (toy.SIGMA_MIN, toy.SIGMA_MAX))
    ends = torch.special.ndtr(torch.tensor([low, high], dtype=torch.float64)).tolist()
    done = 0

    def step() -> None:
        nonlocal done
        x = ring(BATCH)
        u = torch.rand(BATCH, dtype=torch.float64) * (ends[1] - ends[0]) + ends[0]
        t = (((-1.0 + 1.4 * torch.special.ndtri(u)).exp() / SIGMA_DATA).atan()).float()
        cos, sin = t.cos(), t.sin()
        z = torch.randn_like(x) * SIGMA_DATA
        x_t = cos[:, None] * x + sin[:, None] * z
        dx_t = cos[:, None] * z - sin[:, None] * x
        cs = cos * sin

        def F(x_t: Tensor, t: Tensor) -> Tensor:
            return plain.net(x_t / SIGMA_DATA, t)

        with torch.no_grad():
            dF = torch.func.jvp(F, (x_t, t), (cs[:, None] * dx_t, cs))[1]
        F_t = F(x_t, t)
        r = min(done / 250, 1.0)
        g = -(cos**2)[:, None] * (SIGMA_DATA * F_t.detach() - dx_t)
        g = g - r * (cs[:, None] * x_t + SIGMA_DATA * dF)
        g = g / (g.square().sum(1).sqrt() + 0.1)[:, None]
        loss = (F_t - F_t.detach() - g).square().sum(1) / 2
        angle = t[:, None] * frequencies
        w = weight(torch.cat([angle.cos(), angle.sin()], 1))[:, 0]
        plain.update((w.exp() * loss - w).mean())
        done += 1

    return step


def trainer_step(recipe: Recipe) -> Step:
    return recipe.trainer().advance


def seconds(steps: dict[str, Step], count: int) -> dict[str, list[float]]:
    """CPU seconds of each step, taking turns; the first fifth warms up and is left out."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for k in range(count + count // 5):
        for name, step in steps.items():
            start = process_time()
            step()
            if k >= count // 5:
                taken[name].append(process_time() - start)
    return taken


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--steps", type=int, default=400)
    words.add_argument("--out", type=Path, help="a file of JSON lines to append to")
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    plain = {"toy.ict": plain_ict, "toy.sct": plain_sct}
    for name, recipe in {"toy.ict": toy.ict(), "toy.sct": toy.sct()}.items():
        taken = seconds({"cmlab": trainer_step(recipe), "plain": plain[name](recipe)}, given.steps)
        middle = {who: median(row) for who, row in taken.items()}
        line = {"preset": name, "ratio": round(middle["cmlab"] / middle["plain"], 3)}
        line |= {"bar": BARS[name], "steps": given.steps, "threads": given.threads}
        line |= {f"{who} ms": round(1000 * s, 3) for who, s in middle.items()}
        text = json.dumps(line | {"torch": torch.__version__})
        print(text, flush=True)
        if given.out:
            with given.out.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
