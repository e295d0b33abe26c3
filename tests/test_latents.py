"""Latents: standardised, kept with their encoder's digest, decoded; impulses; how impulsive."""

import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.lab12_latent.analysis import fences, impulsiveness, kurtosis, share_beyond
from scipy import stats

from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits
from cmlab.data.latents import (
    CHECKPOINTS,
    IdentityCoder,
    Impulses,
    Latents,
    PublicCoder,
    ShippedCoder,
    digest,
)
from cmlab.data.shapes import Shapes
from cmlab.model import CMPrecond, Denoiser
from cmlab.nets.autoencoder import AutoencoderShape
from cmlab.presets import PRESETS
from cmlab.sampling import FewSteps
from cmlab.train.checkpoint import BadFile, read, read_json, write
from cmlab.train.recipe import from_dict, to_dict

TINY = AutoencoderShape(3, (8, 16), 2)


@pytest.fixture(scope="module")
def digits():
    return Latents(Digits(), ShippedCoder("digits"))


@pytest.fixture
def tiny(tmp_path):
    """A file with an untrained autoencoder of 32 × 32 pictures, and its name."""
    path = tmp_path / "tiny.safetensors"
    shape = {"channels": 3, "widths": [8, 16], "latent": 2}
    write(path, TINY.build().state_dict(), {"shape": shape})
    return str(path)


def test_an_autoencoder_halves_the_side_once_for_each_width():
    x = torch.randn(2, 3, 32, 32)
    model = TINY.build()
    assert model.encode(x).shape == (2, 2, 8, 8) and model.decode(model.encode(x)).shape == x.shape
    made, kl = model(x)
    assert made.shape == x.shape and kl.shape == (2,) and (kl >= 0).all()


def test_the_kl_term_is_that_of_normal_laws():
    model, x = TINY.build(), torch.randn(4, 3, 8, 8)
    mean, log_variance = model.moments(x)
    law = torch.distributions.Normal(mean, (log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(law, torch.distributions.Normal(0.0, 1.0))
    assert torch.allclose(model(x)[1], kl.flatten(1).sum(1), rtol=1e-4)


def test_every_channel_has_mean_0_and_standard_deviation_sigma_data(digits):
    x = digits.latents.double()
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(4).double(), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3)), torch.full((4,), 0.5).double(), rtol=1e-4)
    assert len(digits) == 1437 and digits.shape == (4, 4, 4) and digits.classes == 10


def test_decoding_undoes_encoding_up_to_the_autoencoders_error(digits):
    held_out = Digits(train=False).images
    made = digits.decode(digits.encode(held_out))
    assert float((made - held_out).square().mean().sqrt()) < 0.13 < float(held_out.std())
    raw = digits.coder.open().decode(digits.raw[:5])
    assert torch.allclose(digits.decode(digits.latents[:5]), raw, atol=1e-4)


def test_labels_stay_with_their_latents(digits):
    x, labels = digits.sample(50, torch.Generator().manual_seed(0))
    for one, label in zip(x, labels, strict=True):
        (where,) = (digits.latents == one).flatten(1).all(1).nonzero(as_tuple=True)
        assert digits.labels[where[0]] == label


def test_an_endless_source_is_drawn_once_and_always_the_same(tiny):
    data = Latents(Shapes(), ShippedCoder("tiny", tiny), n=20)
    assert len(data) == 20 and data.classes == 5
    assert torch.equal(data.raw, replace(data).raw)
    with pytest.raises(ValueError, match="say with n how many"):
        replace(data, n=0).sample(1)


def test_photographs_without_classes_give_none(tiny, monkeypatch):
    bytes_, labels = torch.randint(256, (6, 3, 32, 32)).byte(), torch.arange(6)
    monkeypatch.setattr(CIFAR10, "read", lambda self: (bytes_, labels))
    data = Latents(CIFAR10("here"), ShippedCoder("tiny", tiny))
    x, told = data.sample(4)
    assert x.shape == (4, 2, 8, 8) and told is None and len(data) == 6
    assert torch.allclose(data.raw, data.coder.open().encode(bytes_.float() / 127.5 - 1))


def test_latents_are_kept_in_a_file_and_read_from_it(tiny, tmp_path):
    cache = str(tmp_path / "kept.safetensors")
    first = Latents(Shapes(), ShippedCoder("tiny", tiny), n=7, cache=cache)
    raw, labels = first.raw, first.labels
    held, record = read(tmp_path / "kept.safetensors")
    assert torch.equal(held["latents"], raw) and record["encoder"] == first.coder.open().digest
    marked = {"latents": raw + 1, "labels": labels}
    write(tmp_path / "kept.safetensors", marked, record)
    again = replace(first, coder=ShippedCoder("other name", tiny))
    assert torch.equal(again.raw, raw + 1) and torch.equal(again.labels, labels)


def test_latents_of_another_encoder_or_of_other_data_are_refused(tiny, tmp_path):
    cache, other = str(tmp_path / "kept.safetensors"), str(tmp_path / "other.safetensors")
    first = Latents(Shapes(), ShippedCoder("tiny", tiny), n=7, cache=cache)
    assert len(first) == 7
    weights, record = read(tmp_path / "tiny.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + 1e-3
    write(tmp_path / "other.safetensors", weights, record)
    for wrong in (replace(first, coder=ShippedCoder("other", other)), replace(first, n=8)):
        with pytest.raises(BadFile, match="another encoder or from other data; delete it"):
            len(wrong)


def test_a_digest_changes_with_any_weight_and_with_nothing_else():
    weights = TINY.build().state_dict()
    same = {name: weights[name].clone() for name in reversed(weights)}
    assert digest(same) == digest(weights)
    name = next(iter(weights))
    same[name].view(-1)[0] += 1e-6
    assert digest(same) != digest(weights)


def test_a_file_that_is_no_autoencoder_is_told(tmp_path):
    for record in ({}, {"shape": {"channels": 3, "widths": [8], "latent": 2}}, {"shape": 3}):
        path = tmp_path / f"{len(json.dumps(record))}.safetensors"
        write(path, TINY.build().state_dict(), record)
        with pytest.raises(BadFile, match="holds no autoencoder of cmlab; remake it with"):
            ShippedCoder("digits", str(path)).open()
    with pytest.raises(BadFile, match="does not exist"):
        ShippedCoder("nothing").open()


@pytest.mark.parametrize("name", ["digits", "shapes", "cifar10"])
def test_the_shipped_autoencoders_are_small_and_what_their_records_say(name):
    record = read_json(CHECKPOINTS / f"{name}-autoencoder.json")
    file = CHECKPOINTS / f"{name}-autoencoder.safetensors"
    assert file.stat().st_size < 1.5e6
    assert ShippedCoder(name).open().digest == record["digest"]
    error = record["root mean squares, held out"]
    assert error["error of a pixel"] < 0.3 * error["spread of the pixels"]


def test_pixels_are_their_own_latents():
    data = Latents(Digits(), IdentityCoder())
    assert torch.equal(data.raw, Digits().images)
    assert float(data.latents.std()) == pytest.approx(0.5, rel=1e-4)


def test_impulses_multiply_a_share_of_all_elements(digits):
    data = Impulses(digits, share=0.01, factor=50.0)
    torch.manual_seed(3)
    x, labels = data.sample(2000)
    torch.manual_seed(3)
    clean, same = digits.sample(2000)
    hit = x != clean
    assert torch.allclose(x[hit], 50 * clean[hit]) and torch.equal(labels, same)
    assert float(hit.double().mean()) == pytest.approx(0.01, rel=0.1)
    assert data.sigma_data == digits.sigma_data and data.clean is digits
    assert torch.equal(Impulses(digits, share=0.0).sample(3)[0] != 0, torch.ones(3, 4, 4, 4) > 0)
    with pytest.raises(ValueError, match="Impulses.share must be a number in"):
        Impulses(digits, share=1.0)


def beyond_exactly(law, ranges):
    low, high = law.ppf(0.25), law.ppf(0.75)
    return 2 * law.sf(high + ranges * (high - low))


LAWS = {  # inner and outer share: the reference fractions
    "normal": (stats.norm(), 0.0070, 2.3e-6),
    "t3": (stats.t(3), 0.055, 0.0128),
    "Cauchy": (stats.cauchy(), 0.156, 0.090),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_fences_leave_out_the_known_shares(name):
    law, inner, outer = LAWS[name]
    assert beyond_exactly(law, 1.5) == pytest.approx(inner, rel=0.02)
    assert beyond_exactly(law, 3.0) == pytest.approx(outer, rel=0.03)
    x = torch.from_numpy(law.rvs(400_000, random_state=np.random.RandomState(0)))
    found = impulsiveness(x)
    assert found.inner == pytest.approx(inner, rel=0.03)
    assert found.outer == pytest.approx(outer, rel=0.05, abs=8e-6)


def test_one_impulse_in_a_thousand_shows_beyond_the_outer_fence_and_in_the_kurtosis():
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0)).double()
    hit = torch.rand(len(x), generator=torch.Generator().manual_seed(1)) < 0.001
    found = impulsiveness(torch.where(hit, 50 * x, x))
    assert found.inner == pytest.approx(0.0080, rel=0.03)
    assert found.outer == pytest.approx(0.00097, rel=0.1)
    variance, fourth = 1 + 0.001 * (50**2 - 1), 3 * (1 + 0.001 * (50**4 - 1))
    assert fourth / variance**2 == pytest.approx(1.5e3, rel=0.03)
    assert found.kurtosis == pytest.approx(fourth / variance**2, rel=0.15)


def test_the_measures_do_not_mind_place_and_scale():
    x = torch.randn(5000).double()
    a, b = impulsiveness(x), impulsiveness(7 - 3 * x)
    assert (a.inner, a.outer) == (b.inner, b.outer)
    assert a.kurtosis == pytest.approx(b.kurtosis) == pytest.approx(stats.kurtosis(x.numpy()) + 3)
    assert a.reach == pytest.approx(b.reach)


def test_fences_lie_so_many_ranges_beyond_the_quartiles():
    x = torch.arange(101).double()
    assert fences(x, 1.5) == (25 - 75, 75 + 75) and share_beyond(x, 1.5) == 0
    assert share_beyond(torch.cat([x, torch.tensor([400.0])]), 3.0) == pytest.approx(1 / 102)
    assert kurtosis(torch.tensor([-1.0, 1.0])) == 1.0


class FakeKL(torch.nn.Module):
    """What diffusers' autoencoder answers, in little."""

    asked: dict = {}

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 4, 2, stride=2)

    @classmethod
    def from_pretrained(cls, path, **asked):
        cls.asked = asked
        return cls()

    def encode(self, x):
        law = types.SimpleNamespace(mode=lambda: self.mix(x))
        return types.SimpleNamespace(latent_dist=law)

    def decode(self, h):
        return types.SimpleNamespace(
            sample=h.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :3]
        )


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).write_text("{}")
    return str(tmp_path)


def test_a_public_autoencoder_is_read_from_its_folder_without_a_network(folder, monkeypatch):
    library = types.SimpleNamespace(AutoencoderKL=FakeKL)
    monkeypatch.setitem(sys.modules, "diffusers", library)
    data = Latents(Shapes(8), PublicCoder(folder), n=5)
    assert data.sample(3)[0].shape == (3, 4, 4, 4)
    assert data.decode(data.latents).shape == (5, 3, 8, 8)
    assert FakeKL.asked == {"local_files_only": True, "use_safetensors": True}


def test_without_the_library_the_remedy_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match="install it with pip install diffusers"):
        PublicCoder(folder).open()


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(BadFile, match="has no config.json; give the folder of an AutoencoderKL"):
        PublicCoder(str(tmp_path)).open()


PRESET_NAMES = ("digits.slct", "digits.ict-latents", "shapes.slct")


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_on_latents_is_a_record(name):
    recipe = PRESETS[name](steps=7)
    assert to_dict(from_dict(to_dict(recipe))) == to_dict(recipe)
    assert from_dict(json.loads(json.dumps(to_dict(recipe)))).data == recipe.data


class Copies(Denoiser):
    """Answers with the training latents themselves, in order."""

    def __init__(self, data):
        super().__init__(torch.nn.Identity(), CMPrecond(0.5, 0.002))
        self.data = data

    def forward(self, x_t, t, cond=None):
        place = [torch.nonzero(self.data.labels == c)[i % 100, 0] for i, c in enumerate(cond)]
        return self.data.latents[torch.stack(place)]


def test_the_judge_decodes_before_it_scores(digits):
    evaluator = PRESETS["digits.slct"]().evaluator
    scores = replace(evaluator, n=360)(Copies(digits), digits, FewSteps(80.0, 0.4))
    assert scores["accuracy"] > 0.9 and scores["memorised"] > 0.3
    assert scores["fd_floor"] < scores["fd_coded"] < 1.5 * scores["fd_floor"]
    assert scores["fd1"] == scores["fd2"] < 60
