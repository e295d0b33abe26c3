"""Named feature spaces: bytes in, features out, nothing downloaded, no pickle believed."""

import hashlib
import os
import sys
import types

import pytest
import torch

from cmlab.metrics import feature_extractors
from cmlab.metrics.feature_extractors import CifarClassifier, CifarSpace, InceptionSpace, pixels
from cmlab.train import checkpoint


@pytest.fixture
def eye(tmp_path):
    """An untrained classifier on disk, and the space of it."""
    classifier = CifarClassifier().eval()
    classifier.learn_whitening(torch.rand(20, 3, 32, 32) * 2 - 1)
    path = tmp_path / "classifier.safetensors"
    checkpoint.write(path, classifier.state_dict(), {})
    return classifier, CifarSpace(str(path))


class Extractor(torch.nn.Module):
    """Stands for the library's network: the same arguments, and a load that trusts the file."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        state = torch.load(feature_extractor_weights_path, weights_only=False)
        self.register_buffer("gain", state["gain"])
        self.features_list = features_list

    def forward(self, x):
        assert x.dtype == torch.uint8
        return (self.gain * x.float().mean((1, 2, 3))[:, None].expand(-1, 2048),)


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """The library's place taken, with weights whose digest is the expected one."""
    module = types.ModuleType(feature_extractors.LIBRARY)
    module.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, feature_extractors.LIBRARY, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return lambda content: weights(tmp_path, monkeypatch, content)


def weights(folder, monkeypatch, content):
    path = folder / "given.pth"
    torch.save(content, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(feature_extractors, "DIGEST", digest[:8])
    return path


def test_every_byte_survives_the_way_to_minus_one_to_one_and_back():
    u = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(pixels(u / 127.5 - 1), u)
    assert pixels(u) is u


def test_values_are_clamped_and_rounded_to_the_nearest_byte():
    x = torch.tensor([-3.0, -1.0, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 1.0, 7.0])
    assert pixels(x).tolist() == [0, 0, 0, 1, 255, 255]
    with pytest.raises(ValueError, match="not finite"):
        pixels(torch.tensor([0.0, float("nan")]))


def test_the_cifar_space_is_its_classifier_on_bytes(eye):
    classifier, space = eye
    x = torch.randn(7, 3, 32, 32)
    rounded = pixels(x) / 127.5 - 1
    found = space.features(x, batch=3)
    assert found.shape == (7, space.size)
    assert torch.allclose(found, classifier.features(rounded), rtol=1e-4, atol=1e-5)
    assert torch.equal(found, space.features(pixels(x), batch=3))
    assert not torch.allclose(found, classifier.features(x), rtol=1e-2)


def test_pictures_of_another_size_and_a_missing_file_are_one_sentence(eye, tmp_path):
    _, space = eye
    with pytest.raises(ValueError, match="32 × 32 pixels, not 16 × 16"):
        space.features(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="height, width"):
        space.features(torch.zeros(2, 1, 32, 32))
    with pytest.raises(checkpoint.BadFile, match="does not exist"):
        CifarSpace(str(tmp_path / "none.safetensors")).features(torch.zeros(2, 3, 32, 32))


def test_inception_gets_bytes_and_gives_its_2048_features(stub):
    space = InceptionSpace(str(stub({"gain": torch.tensor(2.0)})))
    x = torch.zeros(3, 3, 16, 16)
    x[1] = 1
    assert space.features(x).shape == (3, space.size)
    assert space.features(x)[:, 0].tolist() == [256, 510, 256]  # 127.5 rounds to the even 128


def test_weights_that_carry_code_are_refused_before_it_runs(stub, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    space = InceptionSpace(str(stub({"gain": Code()})))
    with pytest.raises(Exception, match="[Ww]eights.only"):
        space.features(torch.zeros(1, 3, 8, 8))
    assert not (tmp_path / "ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_file_of_another_network_is_refused_unread(stub, monkeypatch):
    space = InceptionSpace(str(stub({"gain": torch.tensor(1.0)})))
    monkeypatch.setattr(feature_extractors, "DIGEST", "6726825d")
    with pytest.raises(ValueError, match="damaged or another network"):
        space.features(torch.zeros(1, 3, 8, 8))


def test_nothing_is_downloaded_unless_asked(stub, monkeypatch, tmp_path):
    asked = []

    def download(url, dst, hash_prefix):
        asked.append((url, hash_prefix))
        torch.save({"gain": torch.tensor(1.0)}, dst)

    stub({"gain": torch.tensor(1.0)})
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ValueError, match="96 MB from https://github.com/toshas/torch-fidelity"):
        InceptionSpace().features(torch.zeros(1, 3, 8, 8))
    assert asked == []
    path = feature_extractors.cached(download=True)
    assert path.is_file() and path.is_relative_to(tmp_path)
    feature_extractors.cached(download=True)
    assert asked == [(feature_extractors.URL + feature_extractors.FILE, feature_extractors.DIGEST)]


def test_a_broken_transfer_is_one_sentence(stub, monkeypatch):
    def download(url, dst, hash_prefix):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ValueError, match="no route to host.*try again"):
        feature_extractors.cached(download=True)


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, feature_extractors.LIBRARY, None)
    with pytest.raises(ValueError, match=r"pip install 'torch-fidelity<0.5' torchvision"):
        InceptionSpace().features(torch.zeros(1, 3, 8, 8))


def test_the_network_is_opened_once(eye, monkeypatch):
    _, space = eye
    feature_extractors.opened.cache_clear()
    for _ in range(3):
        space.features(torch.zeros(1, 3, 32, 32))
    assert feature_extractors.opened.cache_info().misses == 1


@pytest.mark.skipif(
    not os.environ.get("CMLAB_INCEPTION"), reason="CMLAB_INCEPTION names no file of weights"
)
def test_the_real_network_tells_noise_from_grey():
    space = InceptionSpace(os.environ["CMLAB_INCEPTION"])
    found = space.features(torch.stack([torch.zeros(3, 32, 32), torch.rand(3, 32, 32) * 2 - 1]))
    assert found.shape == (2, 2048)
    assert (found >= 0).all() and (found[0] - found[1]).norm() > 1
