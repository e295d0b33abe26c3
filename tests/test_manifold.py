"""Precision and recall: an independent reference, and what each of them is blind to."""

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from cmlab.metrics import precision_recall as recall
from cmlab.metrics.frechet import frechet, mmd2
from cmlab.metrics.precision_recall import precision_recall, precision_recall_error, radii


def by_neighbours(generated, real, k=3):
    """Both, with scikit-learn's neighbour search and a loop over balls."""

    def covered(points, centres):
        search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(centres)
        radius = search.kneighbors(centres)[0][:, k]  # the first neighbour is the sample itself
        hit = [
            any(torch.dist(p, c) <= r for c, r in zip(centres, radius, strict=True))
            for p in points
        ]
        return sum(hit) / len(hit)

    return covered(generated, real), covered(real, generated)


def test_they_are_the_shares_that_a_search_of_neighbours_finds():
    generated, real = torch.randn(60, 3).double() * 0.8 + 0.5, torch.randn(45, 3).double()
    expected = by_neighbours(generated, real)
    assert 0.2 < min(expected) < max(expected) < 1
    assert precision_recall(generated, real) == expected


def test_blocks_of_rows_change_nothing(monkeypatch):
    generated, real = torch.randn(60, 3) * 0.8 + 0.5, torch.randn(45, 3)
    whole = precision_recall(generated, real)
    monkeypatch.setattr(recall, "ROWS", 7)
    assert precision_recall(generated, real) == whole


def test_a_set_against_itself_is_perfect_and_distant_sets_share_nothing():
    x = torch.randn(200, 4)
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x + 100, x) == (0, 0)


def test_two_draws_of_one_law_have_equal_precision_and_recall():
    found = torch.tensor([precision_recall(torch.randn(200, 6), torch.randn(200, 6))
                          for _ in range(30)])  # fmt: skip
    apart = found[:, 0] - found[:, 1]
    assert abs(apart.mean()) < 3 * apart.std() / 30**0.5


def test_a_lost_mode_costs_recall_and_a_spurious_one_costs_precision():
    centres = 20 * torch.eye(4)
    real, other = (centres.repeat(100, 1) + torch.randn(400, 4) for _ in range(2))
    three = centres[:3].repeat(134, 1)[:400] + torch.randn(400, 4)
    five = torch.cat([centres, -centres[:1]]).repeat(80, 1) + torch.randn(400, 4)
    whole = torch.tensor(precision_recall(other, real))
    assert whole.min() > 0.85
    assert precision_recall(three, real) == pytest.approx(
        (whole * torch.tensor([1, 0.75])).tolist(), abs=0.05
    )
    assert precision_recall(five, real) == pytest.approx(
        (whole * torch.tensor([0.8, 1])).tolist(), abs=0.05
    )


def test_a_radius_is_that_of_the_third_neighbour_and_not_of_the_sample_itself():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(x).tolist() == [7, 6, 4, 7]
    assert radii(x, k=1).tolist() == [1, 1, 2, 4]


def test_the_errors_are_near_the_spread_of_repeated_draws():
    draws = [(torch.randn(400, 8) * 0.9 + 0.25, torch.randn(400, 8)) for _ in range(40)]
    spread = torch.tensor([precision_recall(*draw) for draw in draws]).std(0)
    errors = torch.tensor([precision_recall_error(*draw) for draw in draws])
    ratio = errors.square().mean(0).sqrt() / spread
    assert 0.7 < float(ratio.min()) and float(ratio.max()) < 2


def test_unequal_features_and_too_few_samples_are_one_sentence():
    with pytest.raises(ValueError, match="same features"):
        precision_recall(torch.randn(9, 2), torch.randn(9, 3))
    with pytest.raises(ValueError, match="at least 4"):
        precision_recall(torch.randn(3, 2), torch.randn(9, 2))


@pytest.mark.parametrize("score", [precision_recall, frechet, mmd2])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_a_feature_that_is_not_finite_is_refused_by_every_score(score, bad, side):
    """A row of NaN gave precision and recall (0.99, 1.0), and the Fréchet distance an error of
    linear algebra."""
    sets = [torch.randn(100, 4), torch.randn(100, 4)]
    assert all(torch.isfinite(torch.tensor(score(*sets))).flatten())
    sets[side][7, 2] = bad
    with pytest.raises(ValueError, match="^1 of 100 samples has a feature that is not finite: "):
        score(*sets)
