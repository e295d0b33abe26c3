"""Published DDPM++ weights: cmlab's network with them answers as their authors' network does.

`SongUNet` here states EDM's network again, from the paper and the published code, as formulas on
tensors by their published names; no layer of cmlab is used in it.
"""

import pickle
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch
from cmlab_labs.tools.published import layers
from cmlab_labs.tools.published import main as write
from PIL import Image
from test_own_code import answer, blocks, commands, here, refusal  # noqa: F401 (a fixture)
from torch.nn.functional import avg_pool2d, conv2d, group_norm, linear, silu

from cmlab.cli.main import main
from cmlab.cli.train import started
from cmlab.nets import PAPER
from cmlab.presets import cifar10_paper
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import to_dict

PAGE = "published-weights.md"
MULTS, BLOCKS, WIDTH, ATTENTION = (2, 2, 1), 1, 8, (16,)  # a small one; 8 has groups of 4 channels


class SongUNet:
    """EDM's network in formulas. `weights` are drawn when `shapes` are asked for by name."""

    def __init__(self, channel_mult=MULTS, seed=0):
        self.w, self.mults = {}, channel_mult
        self.draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self(torch.zeros(1, 3, 32, 32), torch.zeros(1))
        self.w["map_augment.weight"] = torch.randn(WIDTH, 9)

    def tensor(self, name, *shape):
        if name not in self.w:
            self.w[name] = 0.3 * torch.randn(shape, generator=self.draw)
            self.w[name] += name.endswith("weight") and "norm" in name
        assert self.w[name].shape == shape
        return self.w[name]

    def affine(self, name, outputs, inputs, *kernel):
        shape = (outputs, inputs, *kernel)
        return self.tensor(f"{name}.weight", *shape), self.tensor(f"{name}.bias", outputs)

    def conv(self, name, h, outputs, kernel=3):
        weights = self.affine(name, outputs, h.shape[1], kernel, kernel)
        return conv2d(h, *weights, padding=kernel // 2)

    def norm(self, name, h):
        c = h.shape[1]
        affine = self.tensor(f"{name}.weight", c), self.tensor(f"{name}.bias", c)
        return group_norm(h, min(32, c // 4), *affine, eps=1e-6)

    def resized(self, name, h, how):
        if how:
            self.tensor(f"{name}.resample_filter", 1, 1, 2, 2).fill_(0.25)
        up = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return avg_pool2d(h, 2) if how == "down" else up if how == "up" else h

    def block(self, name, h, e, outputs, attention=False, how=""):
        inner = self.resized(f"{name}.conv0", silu(self.norm(f"{name}.norm0", h)), how)
        inner = self.conv(f"{name}.conv0", inner, outputs)
        shift = linear(e, *self.affine(f"{name}.affine", outputs, 4 * WIDTH))
        inner = self.norm(f"{name}.norm1", inner + shift[:, :, None, None])
        inner = self.conv(f"{name}.conv1", silu(inner), outputs)
        if h.shape[1] != outputs or how:
            h = self.conv(f"{name}.skip", self.resized(f"{name}.skip", h, how), outputs, 1)
        h = (h + inner) * sqrt(0.5)
        if not attention:
            return h
        qkv = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", h), 3 * outputs, 1)
        q, k, v = qkv.reshape(len(h), outputs, 3, -1).unbind(2)  # a channel's three are neighbours
        weight = torch.einsum("bcq,bck->bqk", q, k / sqrt(outputs)).softmax(2)
        a = torch.einsum("bqk,bck->bcq", weight, v).reshape(h.shape)
        return (h + self.conv(f"{name}.proj", a, outputs, 1)) * sqrt(0.5)

    def __call__(self, x, c_noise):
        angle = c_noise[:, None] * 1e-4 ** torch.linspace(0, 1, WIDTH // 2)
        e = torch.cat([angle.sin(), angle.cos()], dim=1)
        for name, inputs in (("map_layer0", WIDTH), ("map_layer1", 4 * WIDTH)):
            e = silu(linear(e, *self.affine(name, 4 * WIDTH, inputs)))
        last, skips, h = len(self.mults) - 1, [], x
        for i, mult in enumerate(self.mults):
            n = 32 >> i
            if i:
                h = self.block(f"enc.{n}x{n}_down", h, e, h.shape[1], how="down")
            else:
                h = self.conv(f"enc.{n}x{n}_conv", h, WIDTH)
            skips.append(h)
            for k in range(BLOCKS):
                h = self.block(f"enc.{n}x{n}_block{k}", h, e, WIDTH * mult, n in ATTENTION)
                skips.append(h)
        for i in range(last, -1, -1):
            n, outputs = 32 >> i, WIDTH * self.mults[i]
            if i == last:
                h = self.block(f"dec.{n}x{n}_in0", h, e, h.shape[1], attention=True)
                h = self.block(f"dec.{n}x{n}_in1", h, e, h.shape[1])
            else:
                h = self.block(f"dec.{n}x{n}_up", h, e, h.shape[1], how="up")
            for k in range(BLOCKS + 1):
                h = torch.cat([h, skips.pop()], dim=1)
                attention = k == BLOCKS and n in ATTENTION
                h = self.block(f"dec.{n}x{n}_block{k}", h, e, outputs, attention)
        return self.conv("dec.32x32_aux_conv", silu(self.norm("dec.32x32_aux_norm", h)), 3)


@pytest.fixture(scope="module")
def theirs():
    return SongUNet()


def published(net, path="network.pkl", **more):
    """A pickle with the average of a network, by its published names."""
    weights = {f"model.{name}": x for name, x in net.w.items()} | more
    Path(path).write_bytes(pickle.dumps({"ema": weights}, protocol=4))


def denoised(net, x, t, sigma_min):
    """D(x, t) as EDM's code (σ_min = 0) and ECT's in its evaluation have it."""
    s2, t = 0.25, t[:, None, None, None]
    norm, shifted = (t**2 + s2).sqrt(), t - sigma_min
    F = net(x / norm, t.flatten().log() / 4)
    return s2 / (shifted**2 + s2) * x + shifted * 0.5 / norm * F


@pytest.mark.parametrize("form, sigma_min", [("edm", 0.0), ("ect", 0.003)])
def test_the_denoiser_answers_as_the_published_code_does(
    theirs, form, sigma_min, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    published(theirs)
    words = next(words for words in commands(PAGE) if "--as" in words)
    assert main([form if word == "edm" else word for word in words]) == 0
    model, recipe, record = runs.load(tmp_path / "edm.safetensors")
    t = torch.tensor([0.02, 0.5, 80.0])
    x = torch.randn(3, 3, 32, 32) * t[:, None, None, None].clamp(0.5)
    with torch.no_grad():
        expected = denoised(theirs, x, t, sigma_min)
        torch.testing.assert_close(model(x, t), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1 and record["published"]["file"] == "network.pkl"
    assert recipe.net.mults == MULTS and recipe.net.attention == (1,)
    tuned = replace(cifar10_paper.ect(), net=replace(recipe.net, dropout=0.2))
    begun = started(tuned, tmp_path / "edm.safetensors")
    assert to_dict(begun.start) == to_dict(recipe) and begun.net.dropout == 0.2


def test_the_papers_network_has_a_place_for_each_tensor_of_cmlabs():
    with torch.device("meta"):
        names = PAPER.build().state_dict()
    ours = {name for _, name in layers(PAPER)}
    assert {name.rpartition(".")[0] for name in names} - ours == {"told.waves"}


OTHERS = {
    "classes": {"model.map_label.weight": torch.zeros(WIDTH, 10)},
    "NCSN++'s features": {"model.map_noise.freqs": torch.zeros(WIDTH)},
    "NCSN++'s filter": {"model.enc.16x16_down.conv0.resample_filter": torch.ones(1, 1, 4, 4)},
    "another width": {"model.map_layer1.weight": torch.zeros(3, 3)},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_network_is_refused_in_a_sentence_and_nothing_written(
    theirs, change, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    published(theirs, **change)
    words = ["weights", "network.pkl", "--part", "ema", "--as", "edm", "--out", "x.safetensors"]
    assert "holds another network than the unconditional DDPM++" in refusal(capsys, *words)
    assert [p.name for p in tmp_path.iterdir()] == ["network.pkl"]


def test_a_tensor_that_is_missing_is_missed(theirs, tmp_path):
    found = {f"model.{name}": x for name, x in theirs.w.items()}
    for name in ("model.enc.32x32_conv.weight", "model.dec.8x8_in0.proj.bias"):
        with pytest.raises(BadFile, match="another network"):
            less = {k: x for k, x in found.items() if k != name}
            write(less, "edm", tmp_path / "x.pkl", tmp_path / "x.safetensors")


@pytest.mark.parametrize("x", [torch.zeros(4 * WIDTH).long(), torch.full((4 * WIDTH,), torch.nan)])
def test_what_is_no_weight_is_refused(theirs, x, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    published(theirs, **{"model.map_layer1.bias": x})
    words = ["weights", "network.pkl", "--part", "ema", "--as", "edm", "--out", "x.safetensors"]
    assert "numbers that are not finite, or whole" in refusal(capsys, *words)


def test_a_consistency_model_of_diffusers_is_judged_with_its_calls_counted(here, capsys):  # noqa: F811
    diffusers = pytest.importorskip("diffusers")
    net = diffusers.UNet2DModel(
        8, 3, 3, block_out_channels=(32, 64), layers_per_block=1, num_class_embeds=2,
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        resnet_time_scale_shift="scale_shift", attention_head_dim=32,
    )  # fmt: skip
    scheduler = diffusers.CMStochasticIterativeScheduler()
    diffusers.ConsistencyModelPipeline(net, scheduler).save_pretrained("cm")
    for k in range(40):
        place = here / "own" / str(k % 2)
        place.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (8, 8, 3), dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(place / f"{k}.png")
    assert main("data images --path own --size 8 --out pictures.safetensors".split()) == 0
    (code,), words = blocks(PAGE, "python"), commands(PAGE)[-1]
    exec(code, {})
    once = answer(capsys, *words[:-1], 20)
    assert once["calls"] == 1 and once["parameters"] == sum(p.numel() for p in net.parameters())
    code = code.replace("num_inference_steps=1", "num_inference_steps=None, timesteps=[22, 0]")
    exec(code.replace("my_consistency", "my_second"), {})
    words = [word.replace("my_consistency", "my_second") for word in words]
    assert answer(capsys, *words[:-1], 20)["calls"] == 2
