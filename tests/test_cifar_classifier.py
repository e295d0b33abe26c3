"""The eye that judges CIFAR-10 is the one that its record speaks of."""

import hashlib
import json

import pytest
import torch

from cmlab.metrics.feature_extractors import (
    CIFAR10_CHECKPOINT,
    FEATURES,
    CifarClassifier,
    load_cifar_classifier,
)
from cmlab.metrics.frechet import frechet
from cmlab.ops import seeded
from cmlab.train.checkpoint import BadFile, write

RECORD = json.loads(CIFAR10_CHECKPOINT.with_suffix(".json").read_text())


def noise(n, seed=0):
    with seeded(torch.device("cpu"), seed):
        return torch.rand(n, 3, 32, 32) * 2 - 1


def test_the_shipped_file_is_the_one_that_was_measured():
    assert hashlib.sha256(CIFAR10_CHECKPOINT.read_bytes()).hexdigest() == RECORD["sha256"]
    assert RECORD["accuracy"]["test"] >= 0.93
    assert CIFAR10_CHECKPOINT.stat().st_size < 9e6


def test_whitening_makes_the_patches_white():
    """Each of the first layer's answers has variance 1, and no two go together."""
    x = noise(200).cumsum(3).cumsum(2) / 20  # neighbouring pixels alike
    model = CifarClassifier()
    model.learn_whitening(x)
    out = torch.nn.functional.conv2d(x, model.whiten.weight[:12]).transpose(0, 1).flatten(1)
    cov = out.double().cov()
    strong = cov.diagonal() > 0.5  # the others are weaker than the floor of 1e-3
    assert strong.sum() >= 3
    kept = cov[strong][:, strong]
    torch.testing.assert_close(kept, torch.eye(len(kept)).double(), atol=0.1, rtol=0)


def test_the_unit_is_one_number_and_makes_the_variances_sum_to_the_number_of_features():
    model = CifarClassifier().eval()
    model.learn_whitening(noise(50))
    before = model.features(noise(400))
    model.calibrate(before)
    after = model.features(noise(400))
    assert float(after.double().var(0).sum()) == pytest.approx(FEATURES, rel=1e-4)
    torch.testing.assert_close(after / model.unit, before)


def test_the_shipped_eye_is_frozen_and_sees_each_picture_alone():
    eye, x = load_cifar_classifier(), noise(6)
    assert not eye.training and not any(p.requires_grad for p in eye.parameters())
    torch.testing.assert_close(eye.features(x)[2:3], eye.features(x[2:3]), rtol=1e-4, atol=1e-4)
    assert eye(x).shape == (6, 10) and eye.features(x).shape == (6, FEATURES)


def test_equal_sets_are_at_no_distance_and_noise_moves_them_apart():
    eye = load_cifar_classifier()
    x = noise(300).cumsum(3) / 8
    a = eye.features(x.clamp(-1, 1))
    b = eye.features((x + 0.1 * noise(300, 1)).clamp(-1, 1))
    assert frechet(a, a) < 1e-6 < frechet(a, b)


def test_another_file_is_refused_with_the_command_that_makes_this_one(tmp_path):
    write(tmp_path / "other.safetensors", {"a": torch.zeros(3)}, {})
    with pytest.raises(BadFile, match="train_cifar_classifier.py"):
        load_cifar_classifier(tmp_path / "other.safetensors")
