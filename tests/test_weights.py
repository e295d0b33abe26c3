"""Published weights: tensors come out of a pickle as they went in, and nothing in it is run."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_own_code import refusal
from torch import nn

from cmlab.cli.main import main

LINE, *_ = re.findall(
    r"```sh\n(.*)\n```", (Path(__file__).parents[1] / "docs/published-weights.md").read_text()
)
WORDS = LINE.split()[1:]


def network():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False).half())
    net[0].weight.data = torch.randn(3, 4).T  # not contiguous
    net[2].register_buffer("part", torch.arange(6).to(torch.bfloat16)[2:5])
    net[2].register_buffer("none", torch.empty(0, 3))
    return net


class Persistent:
    """As EDM's persistent classes pickle: a call with source code and a state."""

    def __init__(self, net):
        self.net = net

    def __reduce__(self):
        source = "open('it_was_run', 'w').close()"
        state = dict(self.net.__dict__)
        return rebuild, ({"type": "class", "module_src": source, "state": state},)


def rebuild(told):
    exec(told["module_src"])


class Trap:
    def __reduce__(self):
        return exec, ("open('it_was_run', 'w').close()",)


def plain(net):
    return pickle.dumps({"ema": net, "loss_fn": Trap(), "step": 3, "rate": 0.1, "set": {1, 2}})


def persistent(net):
    return pickle.dumps({"ema": Persistent(net), "augment_pipe": None}, protocol=4)


def by_name(net):
    return pickle.dumps({"ema": dict(net.state_dict())}, protocol=2)


def saved(net):
    held = io.BytesIO()
    torch.save({"ema": net.state_dict(), "epoch": 3}, held)
    return held.getvalue()


def saved_before_2020(net):
    held = io.BytesIO()
    torch.save({"ema": net.state_dict()}, held, _use_new_zipfile_serialization=False)
    return held.getvalue()


@pytest.mark.parametrize("form", [plain, persistent, by_name, saved, saved_before_2020])
def test_tensors_come_out_as_they_went_in_and_nothing_is_run(form, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net = network()
    Path("network.pkl").write_bytes(form(net))
    assert main(WORDS) == 0 and not Path("it_was_run").exists()
    found, wanted = load_file("network.safetensors"), net.state_dict()
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        assert torch.equal(found[name], x) and found[name].dtype == x.dtype
    capsys.readouterr()
    words = ["weights", "network.pkl", "--part", "teacher", "--out", "x.safetensors"]
    assert "has nothing below teacher; it has ema" in refusal(capsys, *words)


def hostile_save():
    held = io.BytesIO()
    torch.save({"ema": Trap()}, held)
    return held.getvalue()


def compressed():
    """A file of torch.save whose zip is compressed, as torch writes none."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as new:
        with zipfile.ZipFile(io.BytesIO(saved(network()))) as old:
            for name in old.namelist():
                new.writestr(name, old.read(name))
    return held.getvalue()


def outside():
    """A tensor whose strides lead out of its storage."""
    payload = pickle.dumps({"ema": torch.zeros(3, 5)}, protocol=2)
    changed = payload.replace(b"K\x03K\x05\x86", b"K\x63K\x63\x86")
    assert changed != payload
    return changed


def repeated():
    """One number, shown as a hundred by a stride of 0."""
    return pickle.dumps({"ema": torch.zeros(1).expand(10, 10)}, protocol=2)


def another_storage():
    """A storage whose kind is text, where a class is named."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as new:
        call = b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storageU\x04textU\x010U\x03cpuK\x01tQ"
        new.writestr("a/data.pkl", b"\x80\x02}U\x01w" + call + b"K\x00K\x01\x85K\x01\x85tRs.")
    return held.getvalue()


def within_itself():
    value = {}
    value["ema"] = value
    return pickle.dumps(value)


@pytest.mark.parametrize(
    "payload, sentence",
    [
        (b"", "is no pickle of tensors or networks, or a truncated one"),
        (b"text", "is no pickle of tensors or networks, or a truncated one"),
        (plain(network())[:900], "is no pickle of tensors or networks, or a truncated one"),
        (pickle.dumps({"ema": 3}), "holds no tensors"),
        (pickle.dumps(Trap()), "holds no tensors"),
        (hostile_save(), "holds no tensors"),
        (compressed(), "is damaged, or holds more than weights"),
        (saved_before_2020(network())[:-30], "is damaged, or holds more than weights"),
        (saved(network())[:-200], "is no pickle of tensors or networks, or a truncated one"),
        (outside(), "is damaged, or holds more than weights"),
        (repeated(), "is damaged, or holds more than weights"),
        (another_storage(), "is damaged, or holds more than weights"),
        (within_itself(), "is damaged, or holds more than weights"),
    ],
)
def test_what_holds_no_weights_is_named_and_nothing_written(
    payload, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("network.pkl").write_bytes(payload)
    assert sentence in refusal(capsys, *WORDS)
    assert [p.name for p in tmp_path.iterdir()] == ["network.pkl"]


def test_a_file_that_is_not_there_and_another_form_of_output_are_refused(tmp_path, capsys):
    assert "no.pkl does not exist" in refusal(
        capsys, "weights", tmp_path / "no.pkl", "--out", "x.safetensors"
    )
    assert "--out takes a .safetensors file" in refusal(capsys, "weights", "x", "--out", "y.bin")
