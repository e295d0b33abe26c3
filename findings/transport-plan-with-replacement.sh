#!/usr/bin/env bash
# torchcfm 1.0.7: noise and data paired by OTPlanSampler.sample_plan, with equal weights and as many points on either side.
# Guess: the exact plan is a permutation, so each point of the batch is used once.
# Seen: the pairs are drawn from the plan with replacement, which is the default: of 256 data points and 256 noise vectors about
# 64 % (1 - 1/e) are used, some of them several times, and the others are left out of the step. With replace=False each is
# used once.
# Versions: torchcfm 1.0.7, POT 0.9.7.post1, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   as it comes: 256 pairs, 64% of the data and 64% of the noise used (mean of 20 batches)
#   replace=False: 256 pairs, 100% and 100%
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy scipy POT==0.9.7.post1
"$folder/venv/bin/pip" install -q --no-deps torchcfm==1.0.7
cat >"$folder/pairs.py" <<'PYTHON'
import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch

# Only this file of torchcfm is needed, and it needs nothing but POT, numpy and torch.
path = next(Path(sys.prefix).glob("lib/python3*/site-packages/torchcfm/optimal_transport.py"))
spec = importlib.util.spec_from_file_location("optimal_transport", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

np.random.seed(0)
torch.manual_seed(0)
plans = module.OTPlanSampler(method="exact")


def used(**options):
    shares, pairs = [], set()
    for _ in range(20):
        noise, data = torch.randn(256, 2), torch.randn(256, 2) + 3
        z, x = plans.sample_plan(noise, data, **options)
        pairs.add(len(x))
        shares.append((len(torch.unique(x, dim=0)) / 256, len(torch.unique(z, dim=0)) / 256))
    assert pairs == {256}
    return np.mean(shares, axis=0)


plain, once = used(), used(replace=False)
print(f"as it comes: 256 pairs, {plain[0]:.0%} of the data and {plain[1]:.0%} of the noise used (mean of 20 batches)")
print(f"replace=False: 256 pairs, {once[0]:.0%} and {once[1]:.0%}")
assert all(0.6 < share < 0.67 for share in plain) and all(once == 1)
PYTHON
"$folder/venv/bin/python" "$folder/pairs.py"
