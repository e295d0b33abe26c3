#!/usr/bin/env bash
# ema-pytorch 0.8.3: KarrasEMA, the power-function average of Karras et al. 2024 (arXiv:2312.02696),
# with update_every=100, its default.
# Guess: with sigma_rel = 0.10 the average of a run of 10,000 steps has the relative width 0.10, and its centre at (γ + 1)/(γ + 2) = 0.888
# of the run, whether the weights are updated at every step or at every hundredth, since the decay takes account of the interval.
# Seen: the decay is that of a single step, (1 - 1/(k + 1))^(γ + 1), at each update, however many steps lie between two of them. The average
# is right at update_every=1. At 10, the value in the README's examples, its centre is at 0.44 of the run; at 100 it is at 0.07, so that
# the average is made mostly of the first steps. The profile is that of γ' = (γ + 1)/update_every - 1, which is no longer sigma_rel's.
# Versions: ema-pytorch 0.8.3, torch 2.13.0 (CPU), numpy 2.4.6, Python 3.11. Seen on 2026-11-30, output:
#   sigma_rel 0.05, gamma 16.97, centre 0.947: every step 0.947, width 0.050; every 10th 0.642, 0.246; every 100th 0.151, 0.242
#   sigma_rel 0.10, gamma 6.94, centre 0.888: every step 0.888, width 0.100; every 10th 0.442, 0.297; every 100th 0.073, 0.180
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 ema-pytorch==0.8.3
cat >"$folder/average.py" <<'PYTHON'
import torch
from ema_pytorch.post_hoc_ema import KarrasEMA

STEPS = 10_000
torch.set_num_threads(1)


@torch.no_grad()
def profile(sigma_rel, every):
    """Centre and width of the average, as shares of the run, from weights t and t²."""
    net = torch.nn.Linear(1, 2, bias=False).double()
    average = KarrasEMA(net, sigma_rel=sigma_rel, update_every=every)
    for step in range(1, STEPS + 1):
        net.weight[0], net.weight[1] = step / STEPS, (step / STEPS) ** 2
        average.update()
    centre, square = average.ema_model.weight.flatten().tolist()
    return average.gamma, centre, max(square - centre**2, 0.0) ** 0.5


for sigma_rel in (0.05, 0.10):
    found = {every: profile(sigma_rel, every) for every in (1, 10, 100)}
    gamma = found[1][0]
    wanted = (gamma + 1) / (gamma + 2)
    first, second = (f"{found[every][1]:.3f}, {found[every][2]:.3f}" for every in (10, 100))
    print(f"sigma_rel {sigma_rel:.2f}, gamma {gamma:.2f}, centre {wanted:.3f}: every step {found[1][1]:.3f}, "
          f"width {found[1][2]:.3f}; every 10th {first}; every 100th {second}")
    assert abs(found[1][1] - wanted) < 0.002 and abs(found[1][2] - sigma_rel) < 0.002
    for every in (10, 100):
        share = (gamma + 1) / every
        assert abs(found[every][1] - share / (share + 1)) < 0.01, found[every]
PYTHON
"$folder/venv/bin/python" "$folder/average.py"
