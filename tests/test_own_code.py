"""Own samples, networks and ingredients: judged, counted, recorded, and run only when allowed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from cmlab import ingredients
from cmlab.cli.main import main
from cmlab.data.digits import Digits
from cmlab.data.toy import Ring
from cmlab.metrics.judge import CallCounter, judge
from cmlab.train import checkpoint, runs
from cmlab.train.recipe import from_dict, to_dict

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page, kind):
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def commands(page):
    return [line.split()[1:] for block in blocks(page, "sh") for line in block.splitlines()]


def refusal(capsys, *words):
    capsys.readouterr()
    status, said = main(list(map(str, words))), capsys.readouterr()
    assert status == 2 and said.out == "" and said.err.count("\n") == 1, said
    return said.err


def answer(capsys, *words):
    capsys.readouterr()
    assert main(list(map(str, words))) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder; modules imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(ingredients, "ALLOWED", ALLOWED := {})
    for place in ("cmlab.cli.settings", "cmlab.cli.evaluate"):
        monkeypatch.setattr(f"{place}.ALLOWED", ALLOWED)
    before = set(sys.modules)
    yield tmp_path
    forget(before)


def forget(before):
    """As another process: no module of the user's is imported or allowed."""
    ingredients.ALLOWED.clear()
    ingredients._find.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


# Samples


def test_fresh_samples_score_as_their_floor_and_others_worse():
    x, _ = Ring().sample(2000, torch.Generator().manual_seed(1))
    good, bad = judge(x, Ring()), judge(0.5 * x, Ring())
    assert good["sw"] < 2 * good["sw_floor"] < bad["sw"] and good["hq"] > 0.98 > bad["hq"]
    digits = judge(Digits(train=False).images, Digits())
    assert digits["fd"] < 1e-6 < digits["fd_floor"] and digits["memorised"] <= 0.03
    assert judge(Digits().images, Digits())["memorised"] == 1


def test_the_page_on_samples_and_networks_is_right(here, capsys):
    for block in blocks("own-samples.md", "python"):
        exec(compile(block, "page", "exec"), {})
    samples, model, _ = commands("own-samples.md")  # the last is tested in labs/test_onnx.py
    assert {"sw", "sw_floor", "hq"} <= answer(capsys, *samples).keys()
    found = answer(capsys, *model)
    assert found["calls"] == 3.0 and found["parameters"] == 6 and found["samples"] == 2000


def test_every_form_of_samples_is_read(here, capsys):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    for k, pixels in enumerate(x):
        (here / "f").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(here / "f" / f"{k:02}.png")
    floats = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1
    save_file({"x": floats.contiguous()}, here / "x.safetensors")
    np.save("x.npy", x)
    words = ["data", "images", "--path", "f", "--size", "8", "--out", "d.safetensors"]
    assert main(words) == 0
    for name in ("f", "x.npy", "x.safetensors"):
        found = answer(capsys, "evaluate", "--samples", name, "--data", "d.safetensors")
        assert found["memorised"] > 0.5 and found["pd"] < 1, name
    np.save("s.npy", Digits().images[:200].numpy())
    assert answer(capsys, "evaluate", "--samples", "s.npy", "--data", "digits")["memorised"] == 1
    Image.fromarray(x[0][:4]).save(here / "f" / "small.png")
    said = refusal(capsys, "evaluate", "--samples", "f", "--data", "d.safetensors")
    assert "f has pictures of 2 sizes up to 8 × 8; give one" in said


@pytest.mark.parametrize(
    "array, sentence",
    [
        (np.zeros((5, 3)), "holds samples (5, 3), and the data are ('n', 2)"),
        (np.full((5, 2), np.nan), "holds 5 samples with NaN or infinity"),
        (np.zeros((1, 2)), "one sample cannot be judged: give more"),
        (np.array([[{}]], dtype=object), "holds no single array of samples"),
        (np.zeros((0, 2)), "holds samples (0, 2)"),
    ],
)
def test_samples_that_cannot_be_judged_are_named(array, sentence, here, capsys):
    np.save("s.npy", array)
    assert sentence in refusal(capsys, "evaluate", "--samples", "s.npy", "--data", "ring")


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "give a run, or --samples, or --model, and one of them only"),
        (["run", "--samples", "x"], "and one of them only"),
        (["--samples", "x"], "--samples and --model are judged on --data: ring, moons"),
        (["--samples", "x", "--data", "y"], "--data y is no data set, no packed file and no run"),
        (["--samples", "x", "--data", "y.safetensors"], "y.safetensors does not exist"),
        (["--samples", "x.safetensors", "--data", "ring"], "x.safetensors is missing, damaged"),
        (["--samples", "x.npy", "--data", "ring"], "holds no single array of samples"),
        (["--model", "x", "--data", "ring"], "--model takes module:function, not x"),
        (["--model", "x:y", "--data", "ring"], "runs x.py: allow it, by --allow x"),
        (["--model", "x:y", "--data", "ring", "--allow", "x"], "the module x cannot be used: No "),
    ],
)
def test_words_that_judge_nothing_are_refused(words, sentence, here, capsys):
    assert sentence in refusal(capsys, "evaluate", *words)


# Calls


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x)


def through_the_call(net, x):
    return net(net(x))


def around_the_call(net, x):
    return net.forward(net(x))


def straight_to_the_layers(net, x):
    return net.inner(net(x))


@pytest.mark.parametrize("way", [through_the_call, around_the_call, straight_to_the_layers])
def test_two_calls_are_counted_whichever_way_they_are_made(way):
    net, x = Twice(), torch.randn(6, 2)
    with torch.no_grad(), CallCounter(net) as counter:
        way(net, x[:4])
        way(net, x[4:])
    assert counter.calls(6) == 2.0 and counter.gflop(6) * 1e9 == 2 * 2 * 4


def test_a_network_that_is_never_called_has_infinitely_many_calls():
    net = Twice()
    with torch.no_grad(), CallCounter(net) as counter:
        net.inner(torch.randn(3, 2))
    assert counter.calls(3) == float("inf")


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("def load(): return 3", "gave no samples: cannot unpack"),
        ("def load(): return 3, 4", "the first of the two that it returns is no torch module"),
        ("def load(): 1 / 0", "gave no samples: division by zero"),
        ("load = 3", "my_net.py has no function load"),
        ("1 / 0", "the module my_net cannot be used: division by zero"),
        (
            "from torch import nn\ndef load(): return nn.Linear(2, 2), lambda z, cond: z[:1]",
            "gave samples (1, 2) for noise (8, 2)",
        ),
    ],
)
def test_a_network_that_gives_no_samples_is_named(code, sentence, here, capsys):
    (here / "my_net.py").write_text(code)
    words = ["--model", "my_net:load", "--allow", "my_net", "--data", "ring", "--n", "8"]
    assert sentence in refusal(capsys, "evaluate", *words)


# Ingredients


@pytest.fixture
def mine(here):
    (code,) = blocks("first-method.md", "python")
    (here / "my_method.py").write_text(code)
    return here


TINY = ["--set", "steps=9", "train.batch=8", "net.width=8"]
KILLED = """
import os, signal, sys
from cmlab.cli.main import main
from cmlab.train import run_log, runs
from cmlab.train.trainer import Trainer

runs.fit.__kwdefaults__["keep"], run_log.SAVING_SHARE = 2, float("inf")
advance, calls = Trainer.advance, []

def deadly(self):
    calls.append(1)
    if len(calls) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self)

Trainer.advance = deadly
main(sys.argv[1:])
"""


def test_a_method_of_ones_own_is_saved_killed_resumed_shipped_and_read_by_another(
    mine, monkeypatch, capsys, tmp_path_factory
):
    train, again, ship, sample = commands("first-method.md")
    before = set(sys.modules)
    assert main([*train[:-1], "whole", *TINY]) == 0
    record = json.loads(Path("whole/record.json").read_text())
    method, net = record["recipe"]["method"], record["recipe"]["net"]
    digest = ingredients.ALLOWED["my_method"]
    assert method["kind"] == "my_method.MyMethod" and net["kind"] == "my_method.MyNet"
    assert method["sha256"] == net["sha256"] == method["pairs"]["sha256"] == digest
    assert record["method_source"] == Path("my_method.py").read_text()

    words = [sys.executable, "-c", KILLED, *train, *TINY]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    assert done.returncode == -signal.SIGKILL and not Path("runs/mine", runs.MODEL).exists()
    assert checkpoint.read(Path("runs/mine", runs.CHECKPOINT))[1]["step"] == 4
    code = Path("my_method.py").read_text()
    forget(before)
    assert "give --allow my_method too" in refusal(capsys, *again[:2], *again[4:], *TINY)
    Path("my_method.py").write_text(code + "# changed\n")
    assert "written with another my_method.py" in refusal(capsys, *again, *TINY)
    Path("my_method.py").write_text(code)
    forget(before)
    assert main([*again, *TINY]) == 0
    one, two = (checkpoint.read(Path(f) / runs.MODEL)[0] for f in ("whole", "runs/mine"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert main(ship) == 0

    # Another person: the shipped file, and the module in another folder, read and allowed.
    forget(before)
    shipped, theirs = Path(sample[1]).resolve(), tmp_path_factory.mktemp("theirs")
    monkeypatch.chdir(theirs)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(mine)])
    words = ["sample", shipped, "--out", "mine.png", "--n", "4"]
    said = refusal(capsys, *words)
    assert "names 'my_method.MyNet', of a module of its author's: read my_method.py" in said or (
        "my_method.MyMethod" in said and "--allow my_method" in said
    )
    assert "my_method" not in sys.modules and not Path("mine.png").exists()
    assert "the module my_method cannot be used" in refusal(capsys, *words, "--allow", "my_method")
    Path("my_method.py").write_text(code)
    assert main([*map(str, words), "--allow", "my_method"]) == 0 and Path("mine.png").exists()
    forget(before)
    Path("my_method.py").write_text(code + "# changed\n")
    said = refusal(capsys, *words, "--allow", "my_method")
    assert f"written with another my_method.py, of SHA-256 '{digest[:9]}" in said


def test_what_is_not_allowed_stands_in_no_record(mine):
    module = ingredients.allow("my_method")
    held = to_dict(module.MyNet(3))
    assert from_dict(held) == module.MyNet(3)
    ingredients.ALLOWED.clear()
    ingredients._find.cache_clear()
    with pytest.raises(TypeError, match="or one in a module of yours that you allow"):
        to_dict(module.MyNet(3))
    with pytest.raises(ValueError, match="of a module of its author's: read my_method.py"):
        from_dict(held)
    del held["sha256"]
    with pytest.raises(ValueError, match="which this cmlab lacks; update cmlab"):
        from_dict(held)


@pytest.mark.parametrize(
    "name", ["cmlab", "cmlab.losses", "cmlab_labs.registry", "json", "no", ""]
)
def test_only_a_single_file_of_ones_own_can_be_allowed(name, here):
    with pytest.raises(ValueError, match="cannot be used|no module of your own"):
        ingredients.allow(name)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["my_method:ring"], "is in a module of yours: give --allow my_method too, which runs it"),
        (["my_method:no", "--allow", "my_method"], "my_method.py has no function no"),
        (
            ["my_method:MyNet", "--allow", "my_method"],
            "MyNet cannot be made of : MyNet.__init__()",
        ),
        (["my_method:FixedRatio", "--allow", "my_method"], "unexpected keyword argument 'seed'"),
        (["toy.ict", "--allow", "no_such"], "the module no_such cannot be used: No module named"),
    ],
)
def test_a_recipe_of_ones_own_that_is_not_there_is_named(words, sentence, mine, capsys):
    assert sentence in refusal(capsys, "train", *words)
    assert not Path("runs").exists()
