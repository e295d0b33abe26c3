"""Data of one's own that do not fit: one sentence before the first step, and where NaN began."""

from dataclasses import dataclass
from itertools import islice
from math import inf, nan

import pytest
import torch
from test_train import Spoilt
from torch.utils.data import DataLoader, TensorDataset

from cmlab.data.toy import Ring
from cmlab.methods.ict import ICT
from cmlab.model import CMPrecond, Denoiser
from cmlab.nets.mlp import MLPShape
from cmlab.train.config import TrainConfig, first_samples
from cmlab.train.nonfinite import NotFinite
from cmlab.train.trainer import Trainer

POINTS = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))


@dataclass
class Own:
    """A data set of one's own: rows of a tensor, drawn at random."""

    x: object
    labels: object = None

    def sample(self, n):
        rows = torch.randint(len(self.x), (n,))
        return self.x[rows], None if self.labels is None else self.labels[rows]


@dataclass
class Gives:
    """Data whose sample returns what it is told to."""

    found: object

    def sample(self, n):
        return self.found


def trainer(data, classes=0, **settings):
    torch.manual_seed(0)
    model = Denoiser(MLPShape(width=8, classes=classes).build(), CMPrecond())
    return Trainer(model, ICT(), data, TrainConfig(batch=8, steps=6, **settings))


def test_own_data_that_fit_are_trained_on():
    assert trainer(Own(POINTS)).fit().step == 6
    labels = torch.arange(500) % 3
    assert trainer(Own(POINTS, labels), classes=3).fit().step == 6


BYTES = (torch.rand(500, 2) * 255).byte()


@pytest.mark.parametrize(
    "data, sentence",
    [
        (
            Own(BYTES),
            r"Own are torch.uint8 .* x.to\(torch.float32\) / 127.5 - 1, if they are bytes",
        ),
        (Own(BYTES.float()), r"reach from \d+ to \d+ and sigma_data is 0.5: scale them"),
        (
            Own(POINTS.double()),
            r"Own are torch.float64 and the weights torch.float32: return x.to",
        ),
        (Own(POINTS.repeat(1, 2)), r"takes x of shape \(b, 2\), not \(2, 4\)"),
        (Own(POINTS[:, 0]), r"have shape \(8,\) for n = 8: return \(n, …\)"),
        (Own(POINTS[:, :0]), "at least one number for each sample"),
        (Own(POINTS[:0]), r"Own.sample\(8\) drew nothing, is it empty"),
        (Own(POINTS * nan), "8 of 8 samples of Own hold NaN or infinity"),
        (Own(POINTS, torch.arange(500) % 3), "This network has no classes"),
        (Gives(POINTS[:8]), r"Gives.sample\(8\) returned a Tensor: return a pair"),
        (Gives((POINTS[:5], None)), r"have shape \(5, 2\) for n = 8"),
        (Gives((POINTS[:8], [1] * 8)), "the labels of 8 samples are a list"),
        (Gives((POINTS[:8], torch.zeros(5))), "the labels of 8 samples are 5 of them"),
    ],
)
def test_data_that_do_not_fit_get_one_sentence_before_the_first_step(data, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as error:
        trainer(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "data, sentence",
    [
        (
            POINTS,
            r"the data are a Tensor, .* an object whose sample\(n\) returns n random samples",
        ),
        (DataLoader(TensorDataset(POINTS), 8), "the data are a DataLoader, from which nothing"),
        ([(0.1, 0.2)], "the data are a list, from which nothing can be drawn"),
        (Own(POINTS.numpy()), "the samples of Own are a ndarray: give a torch tensor"),
    ],
)
def test_what_is_no_data_set_is_said_to_be_none(data, sentence):
    """Asked directly: in these tests the types of a trainer's arguments are checked before."""
    with pytest.raises(TypeError, match=sentence):
        first_samples(data, 8, torch.float32)


@pytest.mark.parametrize(
    "labels, sentence",
    [
        (torch.full((500,), 3), r"cond must hold labels in 0…2, not 3…3"),
        (torch.full((500,), -1), r"cond must hold labels in 0…2, not -1…-1"),
        (torch.zeros(500), "cond must hold whole numbers, one per sample, not torch.float32"),
        (torch.eye(3)[torch.zeros(500).long()], r"not torch.float32 of shape \(8, 3\)"),
        (None, "This network needs cond"),
    ],
)
def test_labels_that_do_not_fit_get_one_sentence_before_the_first_step(labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer(Own(POINTS, labels), classes=3)


def test_looking_at_the_data_moves_no_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = trainer(Own(POINTS))
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), before) and made.step == 0


def test_nan_in_the_data_names_the_data_and_no_layer():
    made = trainer(Ring())
    list(islice(made.run(), 2))
    before = {name: p.clone() for name, p in made.model.state_dict().items()}
    made.batches.data = Spoilt()
    sentence = (
        "the data are not finite at step 2: 1 of 8 samples hold NaN or infinity, first sample 4"
    )
    with pytest.raises(NotFinite, match=sentence) as error:
        made.advance()
    assert "layers" not in str(error.value)
    assert all(torch.equal(before[name], p) for name, p in made.model.state_dict().items())


def breaks_at(bad):
    return lambda step: bad if step == 3 else 1.0


@pytest.mark.parametrize("bad", [inf, nan])
def test_a_rate_that_is_no_number_is_named_before_it_reaches_the_weights(bad):
    made = trainer(Ring(), rate=breaks_at(bad))
    list(islice(made.run(), 3))
    before = {name: p.clone() for name, p in made.model.state_dict().items()}
    with pytest.raises(NotFinite, match=rf"the learning rate is {bad} at step 3.* train\.rate;"):
        made.advance()
    assert all(torch.equal(before[name], p) for name, p in made.model.state_dict().items())


def test_a_momentum_that_is_no_number_is_named():
    made = trainer(Ring(), momentum=lambda step: nan if step == 3 else 0.9)
    with pytest.raises(NotFinite, match=r"the momentum nan: mend the schedule train\.momentum;"):
        made.fit()


def test_weights_that_an_update_has_spoilt_are_named_and_not_saved():
    made = trainer(Ring())
    list(islice(made.run(), 2))
    made.model.net.layers[1].bias.data.fill_(inf)
    sentence = (
        r"the weights are not finite at step 2, first net\.layers\.1\.bias: an update before"
    )
    with pytest.raises(NotFinite, match=sentence) as error:
        made.advance()
    assert "still those" not in str(error.value)
    with pytest.raises(NotFinite, match="the weights are not finite"):
        made.tensors()
