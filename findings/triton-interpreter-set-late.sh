#!/usr/bin/env bash
# triton 3.7.1: the interpreter (TRITON_INTERPRET=1) switched on after triton was imported, before a kernel is defined.
# Guess: @triton.jit reads the variable, so a kernel that is defined afterwards is interpreted whole.
# Seen: the kernel is, but those functions of Triton's own library that are kernels themselves (zeros, sum, max, …) stay as
# they were decorated at import, and the interpreter raises an error at the first of them; set before the import, all run.
# Versions: triton 3.7.1, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   variable set before the import: full works, zeros works
#   variable set after the import: full works, zeros raises InterpreterError
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 triton==3.7.1 numpy
cat >"$folder/kernels.py" <<'PYTHON'
import os
import sys

if sys.argv[1] == "before":
    os.environ["TRITON_INTERPRET"] = "1"
import torch
import triton
import triton.language as tl

os.environ["TRITON_INTERPRET"] = "1"


@triton.jit
def by_full(out, SIZE: tl.constexpr):
    tl.store(out + tl.arange(0, SIZE), tl.full([SIZE], 0.0, tl.float32))


@triton.jit
def by_zeros(out, SIZE: tl.constexpr):
    tl.store(out + tl.arange(0, SIZE), tl.zeros([SIZE], tl.float32))


def runs(kernel):
    out = torch.ones(16)
    try:
        kernel[(1,)](out, SIZE=16)
    except Exception as error:
        return f"raises {type(error).__name__}"
    return "works" if not out.any() else "gives wrong numbers"


said = f"full {runs(by_full)}, zeros {runs(by_zeros)}"
print(f"variable set {sys.argv[1]} the import: {said}")
wanted = "full works, zeros works" if sys.argv[1] == "before" else "full works, zeros raises InterpreterError"
assert said == wanted
PYTHON
for when in before after; do
    env -u TRITON_INTERPRET OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/kernels.py" "$when"
done
