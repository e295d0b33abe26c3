#!/usr/bin/env bash
# torch 2.13.0: torch.optim.swa_utils.AveragedModel, to go on averaging from weights that are an average already.
# Guess: with an averaged network given to it and a decay of 0.999, the first update moves the average by a thousandth towards
# the network that is trained.
# Seen: the first update throws the average away and copies the trained network: the buffer n_averaged is 0 in a new
# AveragedModel, and the first update copies whatever decay or averaging function is given. A file with the averaged weights
# alone does not hold that number; with n_averaged set to 1 the first update averages.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-30, output:
#   average 1.0, trained network 3.0, decay 0.999
#   after one update of a new AveragedModel: 3.000
#   after one update with n_averaged = 1: 1.002
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
cat >"$folder/average.py" <<'PYTHON'
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def network(value):
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(net.weight, value)
    return net


def after_one_update(seen):
    average = AveragedModel(network(1.0), multi_avg_fn=get_ema_multi_avg_fn(0.999))
    average.n_averaged.fill_(seen)
    average.update_parameters(network(3.0))
    return float(average.module.weight)


new, told = after_one_update(0), after_one_update(1)
print("average 1.0, trained network 3.0, decay 0.999")
print(f"after one update of a new AveragedModel: {new:.3f}")
print(f"after one update with n_averaged = 1: {told:.3f}")
assert new == 3.0 and abs(told - 1.002) < 1e-6
PYTHON
"$folder/venv/bin/python" "$folder/average.py"
