"""Contaminated laws are exact, and change nothing but the samples."""

import pytest
import torch

from cmlab.data.toy import Contaminated, Ring
from cmlab.train.recipe import from_dict, to_dict


def test_the_share_of_far_samples_is_the_share_asked_for():
    data = Contaminated(Ring(), share=0.2, spread=100.0)
    x, _ = data.sample(20_000, torch.Generator().manual_seed(0))
    assert (x.norm(dim=1) > 3).double().mean() == pytest.approx(0.2, abs=0.01)


def test_the_density_is_that_of_the_mixture():
    data = Contaminated(Ring(), share=0.1, spread=2.0)
    x, low = torch.randn(50, 2, dtype=torch.float64), torch.full((50,), 0.3, dtype=torch.float64)
    far = torch.distributions.MultivariateNormal(
        torch.zeros(2, dtype=torch.float64), (2.0**2 + 0.3**2) * torch.eye(2, dtype=torch.float64)
    )
    both = 0.9 * Ring().oracle.log_density(x, low).exp() + 0.1 * far.log_prob(x).exp()
    assert torch.allclose(data.oracle.log_density(x, low).exp(), both, rtol=1e-9)


def test_without_outliers_it_is_the_clean_law():
    x, t = torch.randn(20, 2, dtype=torch.float64), torch.ones(20, dtype=torch.float64)
    clean = Contaminated(Ring(), share=0.0)
    assert torch.allclose(clean.oracle.denoise(x, t), Ring().oracle.denoise(x, t), atol=1e-12)
    assert clean.sigma_data == Ring().sigma_data


def test_it_is_a_record():
    data = Contaminated(Ring(modes=5), 0.3)
    assert from_dict(to_dict(data)) == data


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match="Contaminated.share must be a number in"):
        Contaminated(Ring(), share)
