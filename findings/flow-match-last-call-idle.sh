#!/usr/bin/env bash
# diffusers 0.42.1: FlowMatchEulerDiscreteScheduler asked for a few steps, set_timesteps(n) with its defaults.
# Guess: n Euler steps of equal length from t = 1 to 0.
# Seen: the n levels run evenly from 1 to 0.001, and 0 is appended, so the last call covers a thousandth of the way: two calls
# sample as one does, four as three. With shift=3 the shift is applied twice to the lowest level (0.0089; once would be 0.0030).
# With sigmas=[1, 1 - 1/n, …, 1/n] given, the steps are equal, and the shift is applied once.
# Versions: diffusers 0.42.1, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   set_timesteps(2): levels 1.0000, 0.0010, 0.0000; with shift=3: 1.0000, 0.0089, 0.0000
#   spread of the samples with the exact velocity, data of spread 0.50: 1 call 0.000, 2 calls 0.001, 2 calls with sigmas given 0.200
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 numpy scipy
cat >"$folder/steps.py" <<'PYTHON'
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

SPREAD = 0.5


def levels(shift, **options):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(**options)
    return scheduler.sigmas.tolist()


def spread(**options):
    """The spread of samples along the exact velocity of Gaussian data, x_t = (1 - t) x + t z."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(**options)
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    for t, step in zip(scheduler.sigmas.tolist(), scheduler.timesteps):
        variance = (1 - t) ** 2 * SPREAD**2 + t**2
        velocity = (t - (1 - t) * SPREAD**2) / variance * x
        x = scheduler.step(velocity, step, x).prev_sample
    return x.std().item()


def shown(values):
    return ", ".join(f"{value:.4f}" for value in values)


plain, shifted = levels(1.0, num_inference_steps=2), levels(3.0, num_inference_steps=2)
print(f"set_timesteps(2): levels {shown(plain)}; with shift=3: {shown(shifted)}")
one, two, given = spread(num_inference_steps=1), spread(num_inference_steps=2), spread(sigmas=[1.0, 0.5])
print(
    f"spread of the samples with the exact velocity, data of spread {SPREAD:.2f}: "
    f"1 call {one:.3f}, 2 calls {two:.3f}, 2 calls with sigmas given {given:.3f}"
)
assert abs(plain[1] - 0.001) < 1e-6 and abs(shifted[1] - 0.00893) < 1e-4
assert two < 0.01 and given > 0.1
PYTHON
"$folder/venv/bin/python" "$folder/steps.py"
