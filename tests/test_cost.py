"""What a run will cost, said before it starts: counts that can be made by hand."""

import json
from dataclasses import replace

import pytest
import torch
from cmlab_labs.lab17_atlas.benchmark import ENTRIES
from torch import nn

from cmlab.cli.main import main
from cmlab.data.toy import Ring
from cmlab.methods import CTM, ECT, EDM, SelfDistillation
from cmlab.model import Denoiser, EDMPrecond, VelocityPrecond
from cmlab.nets import MLP, TwoTimes
from cmlab.presets import digits, toy
from cmlab.train.config import TrainConfig
from cmlab.train.cost import FEW, bytes_and_flops, forecast, resident_bytes
from cmlab.train.trainer import Trainer


def trainer(method, width=16):
    model = Denoiser(MLP(2, width=width, depth=2), EDMPrecond())
    return Trainer(model, method, Ring(), TrainConfig(batch=FEW))


def test_a_denoising_step_counts_up_to_three_forward_passes_and_a_consistency_step_one_more():
    """Forwards, and twice that backwards; but nobody needs the gradient of the data."""
    made = trainer(EDM())
    layers = [m for m in made.model.modules() if isinstance(m, nn.Linear)]
    forwards = 2 * sum(layer.weight.numel() for layer in layers)
    edm, ect = bytes_and_flops(made)[1], bytes_and_flops(trainer(ECT()))[1]
    assert ect - edm == forwards
    assert 2 * forwards < edm <= 3 * forwards


def test_what_stays_is_weights_and_average_and_three_times_what_is_trained():
    made = trainer(EDM())
    size = 4 * sum(p.numel() for p in made.model.parameters())
    buffers = 4 * sum(b.numel() for b in made.model.buffers())
    assert resident_bytes(made) == 5 * size + 2 * buffers


@pytest.mark.parametrize("method", [SelfDistillation(), CTM()])
def test_weights_count_once_and_not_with_each_sample(method):
    """Not where a jump is differentiated, nor where a gradient passes a frozen network."""

    def kept(width):
        model = Denoiser(MLP(2, width, 2, TwoTimes()), VelocityPrecond())
        return bytes_and_flops(Trainer(model, method, Ring(), TrainConfig(batch=FEW)))[0]

    assert kept(256) < 6 * kept(64)


def test_activations_grow_with_the_batch_and_not_with_the_processes():
    recipe = digits.edm(10)
    one, two = forecast(recipe)[0], forecast(recipe, processes=2)[0]
    larger = replace(recipe, train=replace(recipe.train, batch=128))
    assert forecast(larger)[0].memory > one.memory > two.memory
    assert forecast(larger)[0].flops == 2 * one.flops
    assert one.samples == two.samples == 640


def test_a_recipe_with_a_start_has_two_forecasts_and_leaves_no_trace():
    before = torch.get_rng_state()
    first, second = forecast(digits.ect(100))
    assert (first.steps, second.steps) == (40, 60) and second.flops > first.flops
    assert first.hours == pytest.approx(first.seconds * 40 / 3600)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_with_a_gradient_within_is_planned_too():
    """MusicCM's critic is penalised by its slope."""
    recipe = ENTRIES["musiccm"].parts["f"](8, 0)
    without = replace(recipe, method=replace(recipe.method, critic=None))
    (plan,), (plain,) = forecast(recipe), forecast(without)
    assert plan.flops > plain.flops and plan.memory > plain.memory


def test_the_command_plans_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "toy.ect", "--set", "steps=40", "--plan"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["samples"] == toy.ect(steps=40).samples and len(said["trainings"]) == 2
    assert said["hours"] > 0 and list(tmp_path.iterdir()) == []
