#!/usr/bin/env bash
# torch 2.13.0 on a CPU: what torch.manual_seed does beside seeding.
# Guess: it sets one integer. Seen: the call stack is formatted once for each kind of device that is not there,
# 0.1 to 0.5 ms a call; the default generator's own manual_seed gives the same numbers in a microsecond.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   stacks formatted: by torch.manual_seed 3, by the generator 0; same numbers: True
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import traceback

import torch

count, original = 0, traceback.format_stack


def format_stack(*args, **more):
    global count
    count += 1
    return original(*args, **more)


traceback.format_stack = format_stack
torch.manual_seed(1)
stacks, first = count, torch.randn(3)
count = 0
torch.default_generator.manual_seed(1)
second = torch.randn(3)
print("torch", torch.__version__)
print(f"stacks formatted: by torch.manual_seed {stacks}, by the generator {count}; same numbers: {torch.equal(first, second)}")
assert stacks >= 1 and count == 0 and torch.equal(first, second)
PYTHON
