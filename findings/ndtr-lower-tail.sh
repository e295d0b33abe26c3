#!/usr/bin/env bash
# torch 2.13.0: torch.special.ndtr, for the probability of a noise level far from the median of a log-normal distribution.
# Guess: the normal distribution function in float64 is right to some 15 digits in its lower tail, as scipy's is, so that
# ndtr(-z) serves where 1 - ndtr(z) cancels.
# Seen: ndtr is computed as (1 + erf(z/√2))/2, which cancels in that tail: 2 % off at -8, and exactly 0 at -9 (float32: 4 % off
# at -5, 0 at -6). torch.distributions.Normal.cdf does the same. erfc(-z/√2)/2 and exp(log_ndtr(z)) are right.
# Reported upstream as pytorch/pytorch#192295.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-30, output:
#   float64, z = -8: ndtr 6.106e-16, erfc 6.221e-16, log_ndtr 6.221e-16
#   float64, z = -9: ndtr 0.000e+00, erfc 1.129e-19, log_ndtr 1.129e-19
#   float32, z = -6: ndtr 0.000e+00, erfc 9.866e-10, log_ndtr 9.866e-10
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
cat >"$folder/tail.py" <<'PYTHON'
import math

import torch


def tails(z, dtype):
    z = torch.tensor(z, dtype=dtype)
    named = torch.special.ndtr(z), torch.special.erfc(-z / 2**0.5) / 2, torch.special.log_ndtr(z).exp()
    assert torch.distributions.Normal(torch.zeros((), dtype=dtype), 1.0).cdf(z) == named[0]
    return [value.item() for value in named]


for z, dtype in ((-8.0, torch.float64), (-9.0, torch.float64), (-6.0, torch.float32)):
    ndtr, erfc, log_ndtr = tails(z, dtype)
    print(f"{str(dtype)[6:]}, z = {z:.0f}: ndtr {ndtr:.3e}, erfc {erfc:.3e}, log_ndtr {log_ndtr:.3e}")
    exact = math.erfc(-z / 2**0.5) / 2
    assert math.isclose(erfc, exact, rel_tol=1e-5) and math.isclose(log_ndtr, exact, rel_tol=1e-5)
    assert ndtr == 0 if z != -8 else 0.01 < abs(ndtr / exact - 1) < 0.03
PYTHON
"$folder/venv/bin/python" "$folder/tail.py"
