#!/usr/bin/env bash
# torch 2.13.0 on a CPU: fused Adam and moments in another memory layout than their weight.
# Guess: an optimizer takes tensors by their indices, whatever their strides, as the unfused one does.
# Seen: unfused, a resume from contiguous moments changes nothing; fused, weights differ by 0.2 after two
# steps of 0.1. A file format that keeps no strides (safetensors) gives back contiguous moments.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   largest difference of a weight after a resume: unfused 0, fused 0.197
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import torch


def trained(fused, resumed):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 8, 8)
    adam = torch.optim.Adam(conv.parameters(), lr=0.1, fused=fused)
    for step in range(4):
        if resumed and step == 2:
            state = adam.state_dict()
            state["state"] = {
                index: {name: value.contiguous() for name, value in slots.items()}
                for index, slots in state["state"].items()
            }
            adam = torch.optim.Adam(conv.parameters(), lr=0.1, fused=fused)
            adam.load_state_dict(state)
        adam.zero_grad()
        conv(x).square().mean().backward()
        adam.step()
    return conv.weight.detach()


print("torch", torch.__version__)
apart = {fused: float((trained(fused, False) - trained(fused, True)).abs().max()) for fused in (False, True)}
print(f"largest difference of a weight after a resume: unfused {apart[False]:.3g}, fused {apart[True]:.3g}")
assert apart[False] == 0 and apart[True] > 0.05
PYTHON
