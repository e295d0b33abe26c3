"""Networks as ONNX files: equal to torch for any batch, without dropout; faults leave no file."""

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cmlab_labs.live import onnx_file
from cmlab_labs.live.onnx_file import export_onnx

from cmlab.cli.main import main
from cmlab.cli.settings import Refused
from cmlab.data.digits import Digits
from cmlab.methods.flow_map import jump
from cmlab.nets.mlp import MLP
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.nets.unet import UNetShape
from cmlab.presets import PRESETS
from cmlab.train import runs

DOCS = Path(__file__).parents[2] / "docs" / "own-samples.md"
ATLAS = CHECKPOINTS.parent / "atlas"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: make onnx"
)


def answers(path, *inputs):
    """The file's outputs for inputs in its order."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    (x,) = session.run(["x"], dict(zip(names, (v.numpy() for v in inputs), strict=True)))
    return torch.from_numpy(x)


def facts(path):
    import onnx

    return {fact.key: fact.value for fact in onnx.load(path).metadata_props}


@pytest.fixture
def digit(tmp_path, monkeypatch, capsys):
    """The documents' own command, run: the digits' generator as digits.onnx."""
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^cmlab (export .*)$", DOCS.read_text("utf-8"), re.MULTILINE)
    verb, run, *words = command.split()
    assert main([verb, str(DOCS.parents[1] / run), *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert max(said["differs_from_torch"].values()) < 1e-5
    return tmp_path / said["wrote"]


@needs_onnx
@torch.no_grad()
def test_the_documents_command_writes_the_digits_generator(digit):
    model, _, _ = runs.load(CHECKPOINTS / "digits-ect.safetensors")
    for n in (1, 2, 33):
        level = torch.logspace(-2, 1.9, n)
        x_t, label = level[:, None, None, None] * torch.randn(n, 1, 8, 8), torch.arange(n) % 10
        apart = answers(digit, x_t, level, label) - model(x_t, level, label)
        assert apart.abs().max() < 1e-5
    about = facts(digit)
    assert about["cmlab.network"] == "ECT on Digits" and about["cmlab.classes"] == "10"
    assert about["cmlab.sigma"] == about["cmlab.t"] == "0 to 80"
    assert "VarianceExploding" in about["cmlab.process"]
    assert json.loads(about["cmlab.recipe"])["kind"] == "cmlab.train.recipe.Recipe"
    assert str(Path.home()).encode() not in digit.read_bytes()  # no traces of this machine
    assert b"model.py" not in digit.read_bytes()
    (example,) = re.findall(r"```py\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    given = {}
    exec(compile(example, "example", "exec"), given)  # in digit's folder
    assert given["x"].shape == (10, 1, 8, 8) and 0.1 < abs(given["x"]).mean() < 1.5
    with pytest.raises(ValueError, match=r"labels in 0…9, not 0…10"):  # the guard is still there
        model(x_t[:2], level[:2], torch.tensor([0, 10]))


@needs_onnx
@torch.no_grad()
def test_a_network_in_training_mode_is_written_without_its_dropout(tmp_path):
    net = UNetShape(width=8, mults=(1,), dropout=0.5, classes=10)
    recipe = replace(PRESETS["digits.ect"](steps=8), data=Digits(), net=net, start=None)
    model = recipe.build().train()
    for weight in model.parameters():  # the last layers start at 0, and dropout would not be seen
        weight.copy_(torch.randn_like(weight) / 4)
    export_onnx(model, recipe, tmp_path / "net.onnx")
    assert model.training and all(part.training for part in model.modules())
    x_t, t, label = torch.randn(3, 1, 8, 8), torch.ones(3), torch.arange(3)
    assert (model(x_t, t, label) - model(x_t, t, label)).abs().max() > 0.01
    right = model.eval()(x_t, t, label)
    assert (answers(tmp_path / "net.onnx", x_t, t, label) - right).abs().max() < 1e-5


@needs_onnx
@torch.no_grad()
def test_a_flow_map_takes_both_times(tmp_path, capsys):
    out = tmp_path / "lsd.onnx"
    assert main(["export", str(ATLAS / "lsd.safetensors"), "--onnx", str(out)]) == 0
    model, _, _ = runs.load(ATLAS / "lsd.safetensors")
    x_t, t, s = torch.randn(5, 2), torch.linspace(0.9, 0.99, 5), torch.linspace(0, 0.8, 5)
    x = answers(out, x_t, t, s)
    assert (x - model(x_t, t, None, s)).abs().max() < 1e-5
    assert (model.process.transport(x_t, x, t, s) - jump(model, x_t, t, s)).abs().max() < 1e-5
    assert (x - model(x_t, t)).abs().max() > 1e-2  # s counts
    assert facts(out)["cmlab.t"] == "0 to 0.9999" and "(1 - t) x + t z" in str(facts(out))


class Halting(MLP):
    """A network that looks at its numbers, which an exported graph cannot."""

    def forward(self, x, c_noise, cond=None):
        return super().forward(x if float(x.sum()) > 0 else -x, c_noise, cond)


@needs_onnx
def test_what_cannot_be_exported_is_refused_and_no_file_is_left(tmp_path, capsys, monkeypatch):
    run, out = ATLAS / "ict.safetensors", tmp_path / "a.onnx"
    words = ["export", str(run), "--onnx", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(onnx_file, "difference", lambda *given: 0.1)
        assert main(words) == 2
    assert "differ from torch's by 0.1" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(MLP, "forward", Halting.forward)
        assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{run} cannot be written as ONNX" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PACKAGES)
def test_without_the_extra_the_remedy_is_named(name, tmp_path, monkeypatch):
    model, recipe, _ = runs.load(ATLAS / "ict.safetensors")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Refused, match="pip install onnx onnxscript onnxruntime"):
        export_onnx(model, recipe, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_form_has_its_suffix_and_only_one_is_written(tmp_path, capsys):
    run = str(ATLAS / "ict.safetensors")
    for words, says in (
        (["--onnx", "net.pt"], "--onnx takes a .onnx file, not net.pt"),
        (["--onnx", "a.onnx", "--page", "a.html"], "not allowed with"),
        ([], "one of the arguments --page --onnx is required"),
    ):
        assert main(["export", run, *words]) == 2
        assert says in capsys.readouterr().err
