"""Windows on a long canvas: fusing is least squares, and noise must not be averaged."""

from math import sqrt

import numpy as np
import pytest
import torch
from cmlab_labs.lab15_music.windows import (
    PerWindowNoise,
    averaged_noise,
    crops,
    fuse,
    fused_denoiser,
    seams,
    side_by_side,
    starts,
    taper,
)

from cmlab.process import VarianceExploding
from cmlab.sampling import FewSteps, multistep


def least_squares(windows, at, length):
    """argmin_X Σ_i ‖crop_i(X) - window_i‖², by a general solver."""
    eye = np.eye(length)
    rows = np.concatenate([eye[a : a + len(w)] for a, w in zip(at, windows, strict=True)])
    return np.linalg.lstsq(rows, np.concatenate([w.numpy() for w in windows]), rcond=None)[0]


@pytest.mark.parametrize("length, window, step", [(10, 4, 3), (11, 4, 3), (9, 5, 1), (7, 7, 2)])
def test_fusing_is_the_least_squares_answer(length, window, step):
    at = starts(length, window, step)
    windows = [torch.randn(window).double() for _ in at]
    expected = least_squares(windows, at, length)
    np.testing.assert_allclose(fuse(windows, at, length).numpy(), expected, atol=1e-12)


def test_the_worked_example_of_ten_cells_and_windows_of_four():
    at = starts(10, 4, 3)
    windows = [torch.arange(4.0) + 10 * i for i in range(3)]
    assert at == [0, 3, 6]
    assert fuse(windows, at, 10).tolist() == [0, 1, 2, 6.5, 11, 12, 16.5, 21, 22, 23]


@pytest.mark.parametrize("length, window, step", [(10, 4, 3), (64, 16, 8), (5, 5, 1), (20, 4, 4)])
def test_there_are_l_minus_w_over_step_plus_one_windows_where_that_is_whole(length, window, step):
    at = starts(length, window, step)
    assert len(at) == (length - window) // step + 1
    assert at == [step * i for i in range(len(at))]


@pytest.mark.parametrize("length, window, step", [(11, 4, 3), (100, 64, 48), (65, 64, 64)])
def test_the_last_window_is_anchored_at_the_end(length, window, step):
    at = starts(length, window, step)
    assert at[-1] == length - window and at[-1] - at[-2] < step
    covered = torch.zeros(length)
    for first in at:
        covered[first : first + window] += 1
    assert bool((covered > 0).all())


def test_one_window_is_the_plain_denoiser_and_no_overlap_is_clip_by_clip():
    def denoise(x_t, t):
        return x_t.cumsum(-1) / (1 + t.reshape(-1, 1, 1, 1))

    x_t, t = torch.randn(2, 1, 3, 12), torch.tensor([0.5, 2.0])
    torch.testing.assert_close(fused_denoiser(denoise, 12, 5)(x_t, t), denoise(x_t, t))
    clips = torch.cat([denoise(part, t) for part in crops(x_t, [0, 4, 8], 4)], -1)
    torch.testing.assert_close(fused_denoiser(denoise, 4, 4)(x_t, t), clips)


def test_the_mean_of_k_noises_shrinks_by_root_k_and_one_shared_draw_does_not():
    like = torch.zeros(40_000, 16)
    spread = averaged_noise(like, 8, 4).std(0)  # k = 1 at both ends, 2 between
    expected = torch.tensor([1.0] * 4 + [1 / sqrt(2)] * 8 + [1.0] * 4)
    torch.testing.assert_close(spread, expected, atol=0.02, rtol=0)
    z = torch.randn_like(like)
    shared = fuse(crops(z, [0, 4, 8], 8), [0, 4, 8], 16)
    torch.testing.assert_close(shared, z)


@pytest.mark.parametrize("calls", [1, 3])
def test_any_sampler_takes_the_fused_denoiser(calls):
    sampler = FewSteps(10.0, 0.5)
    x = sampler(
        VarianceExploding(),
        fused_denoiser(lambda x_t, t: 0.5 * x_t, 8, 4),
        torch.randn(2, 1, 4, 20),
        calls,
    )
    assert x.shape == (2, 1, 4, 20) and bool(x.isfinite().all())


def test_a_pointwise_denoiser_gives_the_same_on_the_canvas_as_in_windows():
    z, sampler = torch.randn(2, 1, 4, 20), FewSteps(10.0, 0.5)
    results = []
    for denoise in (torch.tanh, fused_denoiser(lambda x_t, t: x_t.tanh(), 8, 3)):
        torch.manual_seed(0)
        takes = denoise if denoise is not torch.tanh else lambda x_t, t: x_t.tanh()
        results.append(sampler(VarianceExploding(), takes, z, 3))
    torch.testing.assert_close(*results)


def test_multistep_takes_its_fresh_noise_from_wherever_it_is_told():
    def denoise(x_t, t):
        return x_t / (1 + t[:, None])

    x_t, times = 5 * torch.randn(4, 6), torch.tensor([5.0, 1.0])
    first, second = multistep(VarianceExploding(), denoise, x_t, times, noise=lambda x: 2 * x)
    torch.testing.assert_close(second, (first + 1.0 * 2 * first) / 2)


def test_own_noise_starts_too_quiet_where_windows_overlap():
    levels = FewSteps(10.0, 0.5)
    seen = PerWindowNoise(levels, 8, 4)(
        VarianceExploding(), lambda x_t, t: x_t, torch.randn(20_000, 1, 1, 16), 1
    )
    spread = seen.std(0).flatten() / 10
    assert spread[0] == pytest.approx(1, abs=0.03)
    assert spread[6] == pytest.approx(1 / sqrt(2), abs=0.03)
    assert PerWindowNoise(levels, 8, 4).sigma_max == 10.0


def test_clips_side_by_side_are_cut_in_mid_overlap():
    z = torch.arange(20.0)[None]
    canvas, cuts = side_by_side(lambda part: part, z, 8, 6)
    assert canvas.tolist() == z.tolist() and cuts == [7, 13]
    marked, _ = side_by_side(lambda part: part * 0 + part[..., :1], z, 8, 6)
    assert marked[0].tolist() == [0.0] * 7 + [6.0] * 6 + [12.0] * 7


def test_seams_are_where_windows_begin_or_have_ended():
    assert seams(20, 8, 6) == [6, 8, 12, 14]
    assert seams(8, 8, 3) == []


@pytest.mark.parametrize(
    "length, step, message",
    [(5, 2, "shorter than a window of 8"), (20, 0, "step of 1 to 8"), (20, 9, "step of 1 to 8")],
)
def test_what_makes_no_windows_is_refused(length, step, message):
    with pytest.raises(ValueError, match=message):
        starts(length, 8, step)


def test_weighted_windows_fuse_to_the_weighted_least_squares():
    at, g = starts(30, 8, 5), torch.Generator().manual_seed(0)
    windows = [torch.randn(8, generator=g).double() for _ in at]
    w = taper(8).double()
    rows = torch.cat([torch.eye(30).double()[a : a + 8] * w.sqrt()[:, None] for a in at])
    sides = torch.cat([w.sqrt() * part for part in windows])
    best = torch.linalg.lstsq(rows, sides[:, None]).solution[:, 0]
    torch.testing.assert_close(fuse(windows, at, 30, w), best)
    same = fuse(windows, at, 30, torch.full((8,), 0.3).double())
    torch.testing.assert_close(same, fuse(windows, at, 30))


def test_a_tapered_window_counts_fully_in_the_middle_and_hardly_at_its_ends():
    w = taper(64)
    torch.testing.assert_close(w, w.flip(0))
    assert (w > 0).all() and w.max() > 0.999 and w[0] < 0.001
