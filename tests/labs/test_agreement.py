"""The permutation test of two networks' answers, and what denoisers are judged by."""

from itertools import permutations
from math import factorial

import pytest
import torch
from cmlab_labs.lab14_pretraining.analysis import (
    agreement,
    label_agreement,
    pairwise_distances,
    shuffle_test,
)
from scipy import stats

from cmlab.data.digits import Digits, Part
from cmlab.data.toy import Ring
from cmlab.metrics.denoiser import exact_heun_samples, excess, heun_samples, noisy_loss
from cmlab.metrics.wasserstein import energy
from cmlab.noise_levels import LogNormal
from cmlab.ops import sum_squares
from cmlab.presets import faster, toy
from cmlab.process import VarianceExploding
from cmlab.teacher import OracleTeacher


def clouds(n, d=2):
    return torch.randn(n, d), torch.randn(n, d)


def exact_agreement(a, b):
    """The test with every order there is."""
    _, *others = permutations(range(len(a)))  # the first one leaves all as it is
    return shuffle_test(pairwise_distances(a, b), torch.tensor(others))


def test_the_exact_test_tries_every_order():
    a, b = clouds(4)
    found = exact_agreement(a, b)
    every = [
        sum(float((a[i] - b[j]).norm()) for i, j in enumerate(order)) / 4
        for order in permutations(range(4))
    ]
    assert len(found.shuffled) == factorial(4) - 1
    assert found.distance == pytest.approx(every[0])
    assert found.p == sum(v <= every[0] * (1 + 1e-9) for v in every) / 24


def test_the_best_pairing_of_four_has_the_smallest_p_there_is():
    a = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert exact_agreement(a, a + 0.1).p == 1 / 24
    assert exact_agreement(a, a.flip(0)).p == 1  # nothing is farther: every order counts


def test_random_shuffles_come_near_to_the_exact_answer():
    a, b = clouds(6)
    b = b + 0.7 * a
    assert agreement(a, b, 20_000).p == pytest.approx(exact_agreement(a, b).p, abs=0.02)


def test_the_exact_test_is_even_under_the_null():
    """With 3 answers p is one of 1/6 … 6/6, each as likely: for any law without ties."""
    p = torch.tensor([exact_agreement(*clouds(3)).p for _ in range(3000)])
    counts = torch.bincount((6 * p).round().long(), minlength=7)[1:]
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_the_random_test_is_even_under_the_null():
    p = torch.tensor([agreement(*clouds(20), 19, seed).p for seed in range(1500)])
    counts = torch.bincount((20 * p).round().long(), minlength=21)[1:]
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_p_is_never_nothing():
    a, _ = clouds(50)
    found = agreement(a, a, 99)
    assert found.p == 1 / 100 and found.distance == 0 and found.ratio == 0


def test_shuffled_pairs_are_as_far_as_independent_ones():
    a, b = clouds(400)
    found = agreement(a, b, 200)
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert float(found.shuffled.mean()) == pytest.approx(
        float(pairwise_distances(a, b).mean()), rel=0.01
    )


def test_within_groups_only_members_change_places():
    """Answers that know their group alone agree with any of it: p must not be small."""
    groups = torch.arange(60) % 3
    centres = 10 * torch.eye(3)[groups]
    a, b = (centres + 0.1 * torch.randn(60, 3) for _ in range(2))
    assert agreement(a, b, 199).p == 1 / 200
    within = agreement(a, b, 199, groups=groups)
    assert within.p > 0.01 and within.ratio == pytest.approx(1, abs=0.1)


def test_groups_of_one_leave_nothing_to_shuffle():
    a, b = clouds(5)
    assert agreement(a, b, 20, groups=torch.arange(5)).p == 1


def test_the_share_of_equal_labels_and_its_chance():
    a, b = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2])
    share, chance = label_agreement(a, b)
    assert share == 0.75
    assert chance == pytest.approx(float((a[:, None] == b).double().mean()))


def test_answers_to_other_noises_are_refused():
    with pytest.raises(ValueError, match="the same noises"):
        agreement(torch.zeros(4, 2), torch.zeros(5, 2))


def test_the_energy_distance_is_zero_in_the_mean_for_one_law_and_twice_the_gap_for_points():
    same_law = [energy(*clouds(100)) for _ in range(200)]
    assert abs(sum(same_law) / 200) < 0.01
    assert energy(torch.zeros(5, 1), torch.full((7, 1), 3.0)) == pytest.approx(6)


def test_the_exact_denoiser_has_no_excess_and_its_walks_end_at_the_consistency_function():
    ring = Ring()

    class Perfect:
        process = VarianceExploding()

        def __call__(self, x_t, t, cond=None):
            return OracleTeacher(ring).denoise(x_t, t)

    assert float(excess(Perfect(), ring, toy.LEVELS).max()) < 1e-8
    x_T, ends, _ = exact_heun_samples(ring, 10.0, 200, 0)
    truth = ring.oracle.consistency(x_T, torch.full((200,), 10.0))
    assert float((ends - truth).norm(dim=1).median()) < 0.02
    assert torch.equal(
        heun_samples(VarianceExploding(), OracleTeacher(ring).denoise, x_T, 10.0), ends
    )


def test_the_excess_is_what_the_loss_has_above_its_minimum():
    """λ ‖D_θ - x‖² - λ ‖D* - x‖² is λ ‖D_θ - D*‖² in the mean: x - D* is orthogonal to x_t."""
    ring, law = Ring(), LogNormal(-0.5, 0.6)
    model = faster.plane().build().eval()

    class Perfect:
        process = VarianceExploding()

        def __call__(self, x_t, t, cond=None):
            return OracleTeacher(ring).denoise(x_t, t)

    x, _ = ring.sample(60_000)
    losses = []
    for m in (model, Perfect()):
        torch.manual_seed(5)
        losses.append(noisy_loss(m, x, None, law))
    assert losses[0] - losses[1] == pytest.approx(float(excess(model, ring, law).mean()), rel=0.05)


def test_half_of_the_scans_share_nothing_with_the_other_half():
    whole, a, b = Part(), Part(Digits(), 0, 2), Part(Digits(), 1, 2)
    assert len(a) + len(b) == len(whole) == 1437
    assert float(torch.cdist(a.images.flatten(1), b.images.flatten(1)).min()) > 0
    assert a.sample(3)[1] is None and a.sigma_data == whole.sigma_data
    assert int(sum_squares(whole.images - Digits().images).sum()) == 0
    with pytest.raises(ValueError, match="no part 2 of 2"):
        Part(Digits(), 2, 2)
