#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2: torch.onnx.export of a module that asks len() of its input, the batch declared free.
# Guess: it raises, as torch.export.export does for the same module and the same dynamic_shapes, or the batch of the file is free.
# Seen: a file is written without an error, and its batch is the constant of the example.
# Versions: torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.2, Python 3.11. Seen on 2026-11-29, output:
#   torch.export.export with len(x): UserError
#   torch.onnx.export: a file whose batch is 4 with len(x), and free with x.shape[0]
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy onnx==1.23.2 onnxscript==0.7.2
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch


class WithLen(torch.nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1) * 2


class WithShape(torch.nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], -1) * 2


x, free = torch.zeros(4, 2, 3), ({0: torch.export.Dim("batch")},)


def exported(module):
    try:
        torch.export.export(module, (x,), dynamic_shapes=free)
        return "no error"
    except Exception as error:
        return type(error).__name__


def batch(module):
    program = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=free, verbose=False)
    size = program.model_proto.graph.input[0].type.tensor_type.shape.dim[0]
    return size.dim_param and "free" or size.dim_value


print("torch", torch.__version__)
print("torch.export.export with len(x):", exported(WithLen()))
found = batch(WithLen()), batch(WithShape())
print(f"torch.onnx.export: a file whose batch is {found[0]} with len(x), and {found[1]} with x.shape[0]")
assert exported(WithLen()) != "no error"
assert found == (4, "free")
PYTHON
