"""Networks and an optimizer as named tensors, and back: what a checkpoint holds."""

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn
from torch.optim import Optimizer


def flat(networks: Mapping[str, nn.Module], optimizer: Optimizer) -> dict[str, Tensor]:
    """All that resuming needs, by dotted name."""
    state = {f"{k}.{n}": v for k, m in networks.items() for n, v in m.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{n}": v for n, v in slots.items()}
    return state


def restore(
    state: Mapping[str, Tensor], networks: Mapping[str, nn.Module], optimizer: Optimizer
) -> None:
    """Take in what `flat` gave. Raises RuntimeError when the networks do not match."""
    for k, module in networks.items():
        module.load_state_dict(under(state, k))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in under(state, "optimizer").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(cast(dict, {"state": slots, "param_groups": groups}))


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a dotted prefix, without it."""
    return {
        n.removeprefix(f"{prefix}."): v for n, v in state.items() if n.startswith(f"{prefix}.")
    }
