#!/usr/bin/env bash
# torch 2.13.0: torch.func.jvp of a compiled module, and what follows.
# Guess: the jvp runs a compiled graph or raises, and calls after it run compiled as before.
# Seen: the jvp runs no compiled graph, and neither does any later plain call of the module.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   graphs run: by a plain call 1, by jvp 0, by two plain calls after it 0
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x).sin()


runs = 0


def backend(graph, inputs):
    def run(*args):
        global runs
        runs += 1
        return graph(*args)

    return run


def counted(call):
    global runs
    runs = 0
    call()
    return runs


net, x = Net(), torch.zeros(1, 2)
net.compile(backend=backend)
with torch.no_grad():
    before = counted(lambda: net(x))
    jvp = counted(lambda: torch.func.jvp(net, (x,), (x + 1,)))
    after = counted(lambda: (net(x), net(x)))
print("torch", torch.__version__)
print(f"graphs run: by a plain call {before}, by jvp {jvp}, by two plain calls after it {after}")
assert (before, jvp, after) == (1, 0, 0)
PYTHON
