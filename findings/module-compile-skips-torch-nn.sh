#!/usr/bin/env bash
# torch 2.13.0: Module.compile() of a module whose forward stands in torch.nn.
# Guess: module.compile() is torch.compile(module) in place, as its documentation says.
# Seen: for nn.Linear, nn.Sequential and a subclass of nn.Sequential the backend is never called, and nothing
# says so; torch.compile(module) compiles each of them.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   Linear: graphs by module.compile() 0, by torch.compile(module) 1
#   Sequential: graphs by module.compile() 0, by torch.compile(module) 1
#   Row: graphs by module.compile() 0, by torch.compile(module) 1
#   Own: graphs by module.compile() 1, by torch.compile(module) 1
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import torch


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


class Row(torch.nn.Sequential):
    pass


def graphs(module, in_place):
    count = 0

    def backend(graph, inputs):
        nonlocal count
        count += 1
        return graph.forward

    torch._dynamo.reset()
    if in_place:
        module.compile(backend=backend)
    else:
        module = torch.compile(module, backend=backend)
    module(torch.zeros(1, 2))
    return count


print("torch", torch.__version__)
kinds = {
    "Linear": lambda: torch.nn.Linear(2, 2),
    "Sequential": lambda: torch.nn.Sequential(torch.nn.Linear(2, 2)),
    "Row": lambda: Row(torch.nn.Linear(2, 2)),
    "Own": Own,
}
seen = {}
for name, fresh in kinds.items():
    seen[name] = (graphs(fresh(), True), graphs(fresh(), False))
    print(f"{name}: graphs by module.compile() {seen[name][0]}, by torch.compile(module) {seen[name][1]}")
assert seen == {"Linear": (0, 1), "Sequential": (0, 1), "Row": (0, 1), "Own": (1, 1)}
PYTHON
