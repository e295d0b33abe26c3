#!/usr/bin/env bash
# torch 2.13.0 on a CPU: torch.compile and two calls of a custom operator that draws random numbers.
# Guess: the tag nondeterministic_seeded keeps two calls with equal arguments apart, as it does for torch.rand.
# Seen: it does without gradients; as soon as one is needed the two calls become one, and both results are the same numbers.
# Versions: torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   by_operator, gradient needed: False, aot_eager: equal draws False
#   by_operator, gradient needed: True, eager: equal draws False
#   by_operator, gradient needed: True, aot_eager: equal draws True
#   by_torch, gradient needed: True, aot_eager: equal draws False
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import torch


@torch.library.custom_op(
    "finding::draw", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def draw(n: int) -> torch.Tensor:
    return torch.rand(n)


@draw.register_fake
def _(n: int) -> torch.Tensor:
    return torch.empty(n)


def by_operator(x):
    return x * draw(8), x * draw(8)


def by_torch(x):
    return x * torch.rand(8), x * torch.rand(8)


def equal(function, backend, grad):
    torch._dynamo.reset()
    x = torch.ones(8, requires_grad=grad)
    return torch.equal(*torch.compile(function, backend=backend, fullgraph=True)(x))


print("torch", torch.__version__)
for function in (by_operator, by_torch):
    for grad in (False, True):
        for backend in ("eager", "aot_eager"):
            print(f"{function.__name__}, gradient needed: {grad}, {backend}: equal draws {equal(function, backend, grad)}")
assert equal(by_operator, "aot_eager", True)
assert not equal(by_operator, "aot_eager", False)
assert not equal(by_operator, "eager", True) and not equal(by_torch, "aot_eager", True)
PYTHON
