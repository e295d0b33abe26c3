"""The evaluator of digits: a good reader, in a fixed unit, from a file that is checked."""

import hashlib
import json

import pytest
import torch

from cmlab.data.digits import Digits
from cmlab.metrics.digits import memorised, score_digits
from cmlab.metrics.feature_extractors import DIGITS_CHECKPOINT, DigitClassifier, load_classifier
from cmlab.metrics.frechet import frechet
from cmlab.train.checkpoint import BadFile, write

FLOOR = 7.0853


def test_the_shipped_file_is_the_one_its_record_describes():
    record = json.loads(DIGITS_CHECKPOINT.with_suffix(".json").read_text(encoding="utf-8"))
    assert hashlib.sha256(DIGITS_CHECKPOINT.read_bytes()).hexdigest() == record["sha256"]
    assert record["accuracy"]["held out"] >= 0.98


def test_it_reads_at_least_98_percent_of_held_out_digits():
    digits, eye = Digits(train=False), load_classifier()
    assert (eye(digits.images).argmax(1) == digits.labels).double().mean() >= 0.98


def test_the_unit_is_a_total_variance_of_1744_and_no_feature_is_dead():
    features = load_classifier().features(Digits().images)
    assert features.shape == (1437, 32)
    assert float(features.double().var(0).sum()) == pytest.approx(1744, rel=1e-5)
    assert features.std(0).min() > 0.5


def test_the_distance_grows_with_noise_and_the_floor_is_pinned():
    x, eye = Digits().images, load_classifier()
    real = eye.features(x)
    floor = frechet(real, eye.features(Digits(train=False).images))
    assert floor == pytest.approx(FLOOR, rel=1e-3)
    z = torch.randn_like(x)
    noisy = [frechet(real, eye.features((x + s * z).clamp(-1, 1))) for s in (0.1, 0.2, 0.4)]
    assert noisy == pytest.approx([5.0, 19.3, 71.5], rel=0.15)


def test_copies_are_memorised_and_unseen_digits_are_not():
    assert memorised(Digits().images[::7]) == 1
    assert memorised(Digits(train=False).images) <= 0.025
    assert memorised(torch.randn(100, 1, 8, 8)) == 0


def test_a_generator_that_copies_training_digits_scores_the_floor_and_is_caught():
    train = Digits()

    def copier(z, labels, calls):
        by_class = [torch.nonzero(train.labels == c)[:, 0] for c in range(10)]
        pick = z.flatten(1).sum(1).sin().abs()  # a number in [0, 1] per sample
        index = [by_class[c][int(u * len(by_class[c]))] for c, u in zip(labels, pick, strict=True)]
        return train.images[torch.stack(index)]

    scores = score_digits(copier, n=720)
    assert scores["fd1"] < 2 * scores["fd_floor"]
    assert scores["fd_floor"] == pytest.approx(FLOOR, rel=1e-3)
    assert scores["memorised"] == 1
    assert scores["accuracy"] > 0.98


def test_scores_repeat_and_leave_the_random_state_alone():
    def noise(z, labels, calls):
        return 0.5 * z + 0.1 * torch.randn_like(z)

    before = torch.get_rng_state()
    assert score_digits(noise, n=120) == score_digits(noise, n=120)
    assert score_digits(noise, n=120) != score_digits(noise, n=120, seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_missing_damaged_or_foreign_file_is_one_sentence(tmp_path):
    with pytest.raises(BadFile, match="does not exist"):
        load_classifier(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(DIGITS_CHECKPOINT.read_bytes()[:1000])
    with pytest.raises(BadFile, match="damaged"):
        load_classifier(broken)
    foreign = tmp_path / "foreign.safetensors"
    write(foreign, {"weight": torch.zeros(3)}, {})
    with pytest.raises(BadFile, match="remake it"):
        load_classifier(foreign)


def test_a_fresh_classifier_can_be_calibrated():
    eye = DigitClassifier().eval()
    eye.calibrate(Digits().images)
    assert float(eye.features(Digits().images).var(0).sum()) == pytest.approx(1744, rel=1e-4)
