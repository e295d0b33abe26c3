#!/usr/bin/env bash
# torchmetrics 1.9.0: FrechetInceptionDistance with a feature extractor of one's own whose features are bfloat16, as under autocast.
# Guess: sums of features and of their products are kept in float64, so the distance comes out in float64, too, or in float32.
# Seen: they are, and the distance is worked out in float64, but it is then rounded to the number format of the features. In
# bfloat16 that leaves 8 bits: steps of 1/2 between 64 and 128, of 1/64 between 2 and 4, so that 2.51 and 2.52, as far apart as rows
# of published tables, come out alike. set_dtype(torch.float64), which the documentation recommends, does not change it.
# Versions: torchmetrics 1.9.0, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-30, output:
#   in float64 2.728, reported 2.734375 in torch.bfloat16
#   in float64 2.737, reported 2.734375 in torch.bfloat16
#   in float64 88.138, reported 88.0 in torch.bfloat16
#   in float64 88.402, reported 88.5 in torch.bfloat16
#   in float64 88.670, reported 88.5 in torch.bfloat16
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy torchmetrics==1.9.0
cat >"$folder/fid.py" <<'PYTHON'
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

torch.set_num_threads(1)
D, N = 8, 4000


class Extractor(torch.nn.Module):
    """Features: the eight numbers of a picture, in bfloat16."""

    num_features = D

    def forward(self, x):
        return x.flatten(1).to(torch.bfloat16)


def distance(a, b):
    """Fréchet distance of these features, in float64 to the end."""
    a, b = a.to(torch.bfloat16).double(), b.to(torch.bfloat16).double()
    root = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T)).sqrt().real.sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum() - 2 * root)


def reported(a, b):
    metric = FrechetInceptionDistance(feature=Extractor(), normalize=True).set_dtype(torch.float64)
    for batch_a, batch_b in zip(a.split(500), b.split(500)):
        metric.update(batch_a.reshape(-1, D, 1, 1), real=False)
        metric.update(batch_b.reshape(-1, D, 1, 1), real=True)
    assert metric.real_features_cov_sum.dtype == torch.float64
    return metric.compute()


real, noise = torch.randn(2, N, D, generator=torch.Generator().manual_seed(0))
for shift in (0.5636, 0.5646, 3.300, 3.305, 3.310):
    wanted, found = distance(noise + shift, real), reported(noise + shift, real)
    print(f"in float64 {wanted:.3f}, reported {float(found)} in {found.dtype}")
    assert found.dtype == torch.bfloat16 and float(found) == float(torch.tensor(wanted).bfloat16())
PYTHON
"$folder/venv/bin/python" "$folder/fid.py"
