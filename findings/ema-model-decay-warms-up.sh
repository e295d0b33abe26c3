#!/usr/bin/env bash
# diffusers 0.42.1: EMAModel with a decay of 0.9999 and use_ema_warmup=False, its default.
# Guess: without the warm-up, every step averages with the decay that was given.
# Seen: the first step copies the weights, and step k after it uses the smaller of (1 + k)/(10 + k) and the decay. That is a
# warm-up, too: 0.9999 is first reached after 89,990 steps, so in a run of 10,000 steps the average is over about a ninth of
# the run, whatever decay above 0.9991 was asked for. min_decay=decay gives the constant decay, from the second step on.
# Versions: diffusers 0.42.1, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   asked for 0.9999: decay of steps 1, 2, 3, 10: 0.0000, 0.1818, 0.2500, 0.5263
#   largest decay in 10,000 steps: 0.99910; first step with 0.9999: 89,991
#   with min_decay=0.9999: decay of steps 1, 2, 3: 0.0000, 0.9999, 0.9999
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 numpy
cat >"$folder/decay.py" <<'PYTHON'
import torch
from diffusers.training_utils import EMAModel


def decays(steps, min_decay=0.0):
    weight = torch.nn.Parameter(torch.zeros(1))
    average = EMAModel([weight], decay=0.9999, min_decay=min_decay)
    used = []
    for _ in range(steps):
        average.step([weight])
        used.append(average.cur_decay_value)
    return used


plain, constant = decays(10_000), decays(3, min_decay=0.9999)
rule = EMAModel([torch.nn.Parameter(torch.zeros(1))], decay=0.9999).get_decay
reached = next(step for step in range(1, 200_000) if rule(step) == 0.9999)
shown = ", ".join(f"{plain[k - 1]:.4f}" for k in (1, 2, 3, 10))
print(f"asked for 0.9999: decay of steps 1, 2, 3, 10: {shown}")
print(f"largest decay in 10,000 steps: {max(plain):.5f}; first step with 0.9999: {reached:,}")
print("with min_decay=0.9999: decay of steps 1, 2, 3:", ", ".join(f"{d:.4f}" for d in constant))
assert plain[0] == 0 and abs(plain[9] - 10 / 19) < 1e-9 and max(plain) < 0.9992
assert 89_000 < reached < 91_000 and constant[1:] == [0.9999, 0.9999]
PYTHON
"$folder/venv/bin/python" "$folder/decay.py"
