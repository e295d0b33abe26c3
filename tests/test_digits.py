"""The digits: a fixed, balanced split of a pinned array."""

import hashlib

import torch

from cmlab.data.digits import Digits, scans, split


def test_the_source_is_the_array_all_numbers_were_measured_on():
    images, labels = scans()
    assert images.shape == (1797, 8, 8)
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    )
    assert hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest() == (
        "a3c91c262eddcf7ba8f0e37507c30284493c9b20412ffe4af30d536401f7ba21"
    )


def test_the_split_is_disjoint_complete_and_pinned():
    train, held_out = split()
    assert (len(train), len(held_out)) == (1437, 360)
    assert sorted([*train, *held_out]) == list(range(1797))
    assert hashlib.sha256(held_out.astype("<i8").tobytes()).hexdigest() == (
        "4780ae1bc38d641fbdf77c62345da2f3cfd037917f28202e9d0c693419375b2a"
    )


def test_every_class_gives_a_fifth_of_its_images_to_the_held_out_side():
    train, held_out = Digits().labels.bincount(), Digits(train=False).labels.bincount()
    assert ((held_out - (train + held_out) / 5).abs() < 1).all()


def test_images_lie_in_minus_one_to_one_on_seventeen_grey_levels():
    x = Digits().images
    assert x.shape == (1437, *Digits().shape)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(x * 8, (x * 8).round())
    assert len(x.unique()) == 17


def test_sigma_data_is_the_standard_deviation_of_the_training_pixels():
    assert abs(Digits().sigma_data - 0.7519) < 1e-4
    assert Digits(train=False).sigma_data == Digits().sigma_data


def test_samples_are_pairs_of_the_set_and_repeat_with_the_generator():
    digits = Digits()
    x, labels = digits.sample(64, torch.Generator().manual_seed(1))
    again, _ = digits.sample(64, torch.Generator().manual_seed(1))
    assert torch.equal(x, again)
    for image, label in zip(x[:8], labels[:8], strict=True):
        match = (digits.images == image).flatten(1).all(1)
        assert label in digits.labels[match]


def test_two_records_of_the_same_side_are_equal():
    assert Digits() == Digits(train=True) != Digits(train=False)
