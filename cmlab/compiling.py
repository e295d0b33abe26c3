"""torch.compile where it works: tried on one step before the run relies on it."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .train import Trainer

COMPILED = "the network is compiled"


def compile_network(trainer: "Trainer") -> str:
    """Compile the trainer's network in place, try it on one loss, and say what came of it.

    Whatever goes wrong, the network is left as it was and the run goes on.
    """
    # Compiled dropout would otherwise draw numbers of its own, and the two passes of a pair
    # must drop the same units.
    torch._inductor.config.fallback_random = True  # pyright: ignore
    net = trainer.model.net
    try:
        net.compile()
        trainer.loss(trainer.objective, 0).mean().backward()
    except Exception as error:  # a compiler may raise anything
        net._compiled_call_impl = None
        said = (str(error).strip().splitlines() or [""])[0][:100]
        return f"the network is not compiled ({type(error).__name__}: {said})"
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)
    return COMPILED
