"""What one image costs a network, counted on tensors that have shapes and no content."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..forecast import FEW, kept_bytes
from ..recipe import Recipe


@dataclass(frozen=True)
class Cost:
    """Of one recipe's network. `call` and `step` are operations, `kept` bytes, for one image."""

    weights: int
    call: int  # one forward pass
    step: int  # of ECT: two forward passes, and the way back through one of them
    kept: int  # what one forward pass keeps for the way back, in float32
    samples: int  # of the whole run, its start counted

    @property
    def run(self) -> float:
        """Operations of the run, counted as if every image of it had an ECT step."""
        return float(self.step) * self.samples


def cost(recipe: Recipe) -> Cost:
    """Count; nothing is computed and no weight is allocated, so it takes a second for any size."""
    net: Any = recipe.net
    data: Any = recipe.data
    with torch.device("meta"):
        whole = net.build()
        # The class costs a row of a table, and a label without a number cannot be looked up.
        bare = replace(net, classes=0).build()
        x, c_noise = torch.empty(FEW, *data.shape), torch.empty(FEW)
    call, there_and_back, kept = passes(bare, x, c_noise)
    weights = sum(p.numel() for p in whole.parameters())
    return Cost(weights, call, call + there_and_back, kept, recipe.samples)


def passes(net: nn.Module, x: Tensor, c_noise: Tensor) -> tuple[int, int, int]:
    """For one image: operations of a forward pass, of both passes, and bytes kept in between."""
    with FlopCounterMode(display=False) as flops:
        with kept_bytes(net) as kept:
            out = net(x, c_noise)
        there = flops.get_total_flops()
        out.mean().backward()
    return there // FEW, flops.get_total_flops() // FEW, sum(kept.values()) // FEW


def table(costs: Mapping[str, Cost]) -> str:
    """A Markdown table, one row a preset."""
    heads = ("preset", "weights", "one call, one image", "one ECT step, one image",
             "kept for the gradient, one image", "images, whole run")  # fmt: skip
    rows = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, found in costs.items():
        cells = (f"`{name}`", f"{found.weights / 1e6:.2f} M", giga(found.call), giga(found.step),
                 f"{found.kept / 1e6:.1f} MB", f"{found.samples / 1e6:.2f} M")  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def giga(operations: float) -> str:
    return f"{operations / 1e9:.3g} GFLOP"
