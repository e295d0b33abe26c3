"""The average of the weights: its memory, its beginning, and what it never does."""

from math import log

import pytest
import torch
from torch import nn

from cmlab.schedules import Constant
from cmlab.teacher import EMA


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))
        self.drop = nn.Dropout()


def moved(model, ema, step):
    """One step of training: both weights rise by 1."""
    with torch.no_grad():
        model.weight += 1
        model.count += 1
    ema.update(step)


@pytest.mark.parametrize(
    "decay, steps", [(0.9993, 989.9), (0.9999, 6931.1), (0.99993, 9901.8), (0.99997, 23104.6)]
)
def test_a_constant_decay_forgets_half_in_its_half_life(decay, steps):
    assert log(0.5) / log(decay) == pytest.approx(steps, abs=0.05)
    model = Line()
    ema = EMA(model, Constant(decay))
    with torch.no_grad():
        model.weight.zero_()
    for step in range(10**6, 10**6 + round(steps)):  # far from the beginning
        ema.update(step)
    share = ema.model.weight / torch.tensor([1.0, 2.0])
    assert share.tolist() == pytest.approx([0.5, 0.5], abs=1e-3)


def test_openai_s_decay_is_a_half_life_of_fifty_million_samples():
    assert 0.5 ** (4096 / 50e6) == pytest.approx(0.99994321899507, abs=1e-14)


def test_an_average_is_young_while_the_run_is_young():
    model = Line()
    ema = EMA(model, Constant(0.999))
    slow = 1.0
    for step in range(30):
        moved(model, ema, step)
        decay = min(0.999, (1 + step) / (10 + step))
        slow = decay * slow + (1 - decay) * (2 + step)
    assert ema.model.weight[0].item() == pytest.approx(slow)
    assert slow > 25  # a decay of 0.999 from the start would still be below 2


def test_buffers_are_copied_and_the_average_neither_trains_nor_drops_units():
    model = Line()
    ema = EMA(model, Constant(0.5))
    moved(model, ema, 0)
    assert ema.model.count.item() == 1 and not ema.model.training
    assert not ema.model.weight.requires_grad and model.weight.requires_grad
    assert model.training


def test_updating_the_average_leaves_the_model_alone():
    model = Line()
    ema = EMA(model, Constant(0.5))
    moved(model, ema, 0)
    before = model.weight.clone()
    ema.update(1)
    assert torch.equal(model.weight, before)
    assert ema.model.weight.data_ptr() != model.weight.data_ptr()
