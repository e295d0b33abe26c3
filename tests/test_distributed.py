"""How many processes train changes the time, not the batches; and a run outlives its machine."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from cmlab.cli.main import main
from cmlab.data.digits import Digits
from cmlab.losses import SquaredL2
from cmlab.model import Denoiser
from cmlab.presets import digits, toy
from cmlab.train import distributed, runs
from cmlab.train.checkpoint import BadFile, read
from cmlab.train.config import TrainConfig
from cmlab.train.distributed import Engine, accelerator, parts_per_process
from cmlab.train.trainer import COMPILED, Batches, compile_network

WORDS = ["train", "digits.ect", "--set", "steps=20", "train.batch=8", "start.train.batch=8"]
WORDS += ["net.width=8", "start.net.width=8"]


def weights(folder):
    return read(folder / runs.MODEL)[0]


def close(a, b):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def command(*words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "cmlab", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, env=environment, timeout=900)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two processes from the command line, and what it said."""
    folder = tmp_path_factory.mktemp("two")
    done = command(*WORDS, "--devices", 2, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_two_processes_end_with_the_weights_of_one_that_draws_both_parts(two, tmp_path):
    folder, said = two
    assert said["processes"] == 2 and said["samples_seen"] == 20 * 8
    words = [*WORDS, "train.parts=2", "start.train.parts=2", "--out", str(tmp_path)]
    assert main(words) == 0
    close(weights(folder), weights(tmp_path))


def test_a_record_says_how_large_the_batch_was_and_how_many_shared_it(two):
    record = json.loads((two[0] / runs.RECORD).read_text())
    assert (record["batch"], record["processes"], record["samples_seen"]) == (8, 2, 160)
    assert record["recipe"]["train"]["parts"] == 2


def test_only_the_first_process_writes(two):
    steps = [json.loads(line)["step"] for line in (two[0] / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and (two[0] / "state.json").exists()
    assert not list(two[0].rglob("*.part"))


@pytest.mark.usefixtures("every_save")
def test_a_run_of_two_processes_goes_on_with_one_and_draws_the_same_batches(two, tmp_path):
    """Stopped on a machine with two devices, resumed on a machine with one."""
    begun = tmp_path / "begun"
    recipe = runs.with_parts(runs.load(two[0])[1], 2)
    with pytest.raises(KeyboardInterrupt):
        runs.fit(recipe, begun, stop_at(6), keep=3)
    assert read(begun / runs.CHECKPOINT)[1]["step"] == 6
    assert main([*WORDS, "--out", str(begun), "--resume"]) == 0
    close(weights(begun), weights(two[0]))


def stop_at(step):
    """A callback that ends the run there as a power cut would."""

    def stop(trainer):
        if trainer.step == step + 1:
            raise KeyboardInterrupt

    return stop


def test_parts_that_cannot_be_shared_are_refused_with_those_that_can(tmp_path):
    with pytest.raises(
        ValueError, match="3 processes cannot share the 8 parts .* 1 or 2 or 4 or 8"
    ):
        parts_per_process(8, 3)
    assert [parts_per_process(8, n) for n in (1, 2, 4, 8)] == [8, 4, 2, 1]
    recipe = digits.edm(2)
    recipe = replace(recipe, train=replace(recipe.train, batch=64, parts=4))
    runs.fit(recipe, tmp_path)
    plain = digits.edm(2)
    assert runs.with_parts(plain, 2, tmp_path).train.parts == 4
    with pytest.raises(ValueError, match="3 processes cannot share the 4 parts"):
        runs.with_parts(plain, 3, tmp_path)
    assert [runs.with_parts(plain, n).train.parts for n in (1, 2)] == [1, 2]


def test_a_batch_that_the_processes_cannot_cut_is_refused_before_anything_is_written(
    tmp_path, capsys
):
    words = [*WORDS, "--devices", "3", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "batch must be a multiple of parts" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_start_is_shared_out_as_well():
    recipe = runs.with_parts(toy.ect(steps=8), 4)
    assert recipe.train.parts == recipe.start.train.parts == 4


def test_the_streams_of_two_processes_are_the_parts_of_one():
    config = TrainConfig(batch=8, parts=4)
    alone = Engine().fabric(config)

    class Rank:
        device, world_size = alone.device, 2

        def __init__(self, rank):
            self.global_rank = rank

    def drawn(batches):
        found = []
        for part in range(batches.local_parts):
            with batches.seeded(part, 5):
                found.append(batches.draw()[0])
        return found

    one = drawn(Batches(Digits(), config, alone))
    ranks = [drawn(Batches(Digits(), config, Rank(rank))) for rank in (0, 1)]
    for part in range(4):
        assert torch.equal(one[part], ranks[part % 2][part // 2])


def test_a_network_that_does_not_compile_is_left_as_it_was(monkeypatch):
    trainer, twin = digits.ect(20).trainer(), digits.ect(20).trainer()

    def refuse(*args, **kwargs):
        raise RuntimeError("no compiler here\nand more")

    monkeypatch.setattr(torch, "compile", refuse)
    said = compile_network(trainer)
    assert said == "the network is not compiled (RuntimeError: no compiler here)"
    for _ in range(2):
        trainer.advance(), twin.advance()
    for a, b in zip(trainer.model.parameters(), twin.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def runs_of_graphs(monkeypatch):
    """A list that grows by one at each run of a compiled graph; graphs themselves run eagerly."""
    ran = []

    def backend(graph, inputs):
        def run(*given):
            ran.append(graph)
            return graph(*given)

        return run

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **how: compile_module(self, backend=backend, **how),
    )
    torch._dynamo.reset()
    yield ran
    torch._dynamo.reset()


class Plain(torch.nn.Module):
    """A network whose shapes are not checked: the checks are not compiled."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(3, 16), torch.nn.Linear(16, 2)

    def forward(self, x, c_noise, cond=None):
        return self.last(self.first(torch.cat([x, c_noise[:, None]], 1)).tanh())


def plain(recipe):
    """A trainer of the recipe with such a network, the same at each call."""
    torch.manual_seed(0)
    return recipe.trainer(Denoiser(Plain(), recipe.precond))


@pytest.mark.parametrize("preset, passes", [("ict", 2), ("sct", 1)])
def test_a_compiled_network_runs_compiled_and_a_tangent_does_not_end_that(
    runs_of_graphs, preset, passes
):
    """sCM has one ordinary pass a step; its tangent is taken through the original network."""
    recipe = getattr(toy, preset)(steps=20)
    trainer, twin = plain(recipe), plain(recipe)
    assert compile_network(trainer) == COMPILED
    for _ in range(3):
        before = len(runs_of_graphs)
        trainer.advance(), twin.advance()
        assert len(runs_of_graphs) == before + passes
    for a, b in zip(trainer.model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_of_which_nothing_runs_compiled_is_not_called_compiled(runs_of_graphs):
    trainer = plain(toy.ict(steps=20))
    net = trainer.model.net
    net.forward = torch.compiler.disable(net.forward)
    said = compile_network(trainer)
    assert said == "the network is not compiled (no part of it can be)" and not runs_of_graphs
    assert net._compiled_call_impl is None


def test_a_checkpoint_of_another_recipe_is_refused_and_the_difference_named(tmp_path):
    runs.fit(digits.edm(2), tmp_path)
    other = digits.edm(2)
    other = replace(other, train=replace(other.train, batch=32))
    with pytest.raises(BadFile, match="of another recipe, whose train.batch is 64 and not 32 "):
        runs.fit(other, tmp_path)


def test_in_bfloat16_only_the_network_is_rounded(monkeypatch):
    monkeypatch.setattr(distributed, "bfloat16_instructions", lambda: "emulated")
    seen = []

    @dataclass(frozen=True)
    class Spied:
        def __call__(self, a, b):
            seen.append((a.dtype, b.dtype))
            return SquaredL2()(a, b)

    recipe = digits.ect(20)
    trainer = replace(recipe, train=replace(recipe.train, precision="bf16-mixed")).trainer()
    trainer.method.metric = Spied()
    first = trainer.model.net.first
    first.register_forward_hook(lambda layer, given, out: seen.append((given[0].dtype, out.dtype)))
    trainer.advance()
    (x, h), _, ends = seen
    assert (x, h) == (torch.float32, torch.bfloat16) and ends == (torch.float32, torch.float32)
    plain = recipe.trainer()
    one = trainer.batches.levels(trainer.method.pairs, trainer.model.process, 0, 0)
    two = plain.batches.levels(plain.method.pairs, plain.model.process, 0, 0)
    assert torch.equal(one, two)


def test_a_full_disk_ends_the_run_in_a_sentence_and_leaves_the_last_checkpoint(tmp_path, capsys):
    words = [*WORDS, "--out", str(tmp_path / "run")]
    write_bytes, wrote = Path.write_bytes, []

    def full(self, payload):
        wrote.append(self)
        if len(wrote) > 3:  # two checkpoints and a model of the start are written
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "fit", partial(runs.fit, keep=4))
        patch.setattr(Path, "write_bytes", full)
        assert main(words) == 2
        said = capsys.readouterr().err
    assert "could not be written (No space left on device); free some space" in said
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "failed"
    assert not list(tmp_path.rglob("*.part"))
    assert main([*words, "--resume"]) == 0


def test_an_unreadable_checkpoint_is_refused_and_nothing_is_lost(tmp_path, capsys):
    assert main([*WORDS, "--out", str(tmp_path)]) == 0
    path = tmp_path / runs.CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    del before[tmp_path / "state.json"]
    capsys.readouterr()
    assert main([*WORDS, "--out", str(tmp_path), "--resume"]) == 2
    assert "is damaged or no safetensors file; remake or restore it" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in before} == before


def test_a_device_that_is_too_small_is_said_with_the_remedy(tmp_path, monkeypatch, capsys):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(runs, "fit", full)
    assert main([*WORDS, "--out", str(tmp_path)]) == 1
    assert "too little memory" in (said := capsys.readouterr().err) and "train.parts=2" in said


def test_auto_is_a_card_or_the_cpu(monkeypatch):
    config = TrainConfig(accelerator="auto")
    for there, word in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert accelerator(config) == word
    assert accelerator(TrainConfig(accelerator="cpu")) == "cpu"


@pytest.mark.gpu
def test_on_a_gpu_a_run_is_rehearsed_trained_and_scored(tmp_path):
    assert main([*WORDS, "--accelerator", "cuda", "--out", str(tmp_path)]) == 0
