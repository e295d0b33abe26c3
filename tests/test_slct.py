"""sLCT: its loss is iCT's with parts changed one by one, and each part has the stated numbers."""

from dataclasses import replace

import pytest
import torch

from cmlab.data.toy import Ring
from cmlab.losses import GemanMcClure, SquaredL2
from cmlab.methods import ICT, SLCT
from cmlab.methods.ict import Doubling, PseudoHuber
from cmlab.methods.slct import Cauchy, Independent, MinibatchOT, Tightening, averaged, first_c
from cmlab.model import CMPrecond, Denoiser
from cmlab.nets.mlp import MLPShape
from cmlab.nets.norm import NonScaling, NonScalingNorm
from cmlab.nets.unet import UNetShape
from cmlab.noise_levels import AdjacentLevels, At, KarrasGrid
from cmlab.ops import sum_squares
from cmlab.presets import toy
from cmlab.schedules import Constant
from cmlab.train.recipe import change, from_dict, to_dict

GRID = AdjacentLevels(Doubling(10, 640, 700))
BARE = SLCT(GRID, PseudoHuber(), c=None, coupling=Independent(), denoising=0.0)


@pytest.fixture
def model():
    return Denoiser(MLPShape(dim=2, width=32).build(), CMPrecond(0.5, 0.002)).double()


def x_of(n):
    return Ring().sample(n)[0].double()


def drawn(method, model, x, step=0):
    torch.manual_seed(7)
    return method.loss(model, x, step)


@pytest.mark.parametrize("step", [0, 250, 699])
def test_with_pseudo_huber_and_nothing_else_it_is_icts_loss(model, step):
    x = x_of(64)
    assert torch.equal(drawn(BARE, model, x, step), drawn(ICT(GRID), model, x, step))


def test_a_constant_c_for_one_coordinate_is_icts_rule_over_root_d(model):
    x, method = x_of(64), replace(BARE, c=Constant(0.00054))
    ours, icts = drawn(method, model, x), drawn(ICT(GRID), model, x)
    assert torch.allclose(ours, icts / 2**0.5, rtol=1e-12)


MEANS = {  # of m, the mean of the squared differences, as in the authors' code
    "cauchy": (Cauchy(), lambda m, c: (1 + m / (2 * c**2)).log()),
    "huber": (PseudoHuber(), lambda m, c: (m + c**2).sqrt() - c),
    "gm": (GemanMcClure(), lambda m, c: m / (m + c**2)),
}


@pytest.mark.parametrize("metric, formula", MEANS.values(), ids=MEANS)
def test_every_metric_is_one_of_the_mean_over_coordinates(model, metric, formula):
    x, c = x_of(64), 0.03
    method = replace(BARE, metric=metric, c=Constant(c))
    torch.manual_seed(7)
    t, r = GRID(model.process, x, 0)
    z = torch.randn_like(x)
    f_t, f_r = (model(model.process.perturb(x, z, s), s) for s in (t, r))
    expected = formula((f_t - f_r).square().mean(1), c) / (t - r)
    assert torch.allclose(drawn(method, model, x), expected, rtol=1e-9)


def test_the_metric_follows_c_of_the_step_and_keeps_its_kind():
    method = SLCT(GRID)
    a, b = torch.randn(2, 3, 4, 4, 4).double()
    for step, intervals in ((150, 20), (650, 640)):
        c = Tightening().on_grid(GRID.points)(step)
        assert method.pairs.points(step) - 1 == intervals
        torch.testing.assert_close(method.distance(a, b, step), Cauchy(8 * c)(a, b))
    geman = replace(method, metric=GemanMcClure())
    torch.testing.assert_close(geman.distance(a, b, 0), GemanMcClure(8 * 0.03456)(a, b))
    assert torch.equal(replace(method, c=None).distance(a, b, 0), method.metric(a, b))


def test_c_reads_its_grid_from_the_pairs_whatever_they_are_changed_to():
    method = SLCT(GRID)
    other = replace(method, pairs=AdjacentLevels(Doubling(10, 640, 1400)))
    assert (method.c(150), other.c(150)) == (method.c(100), method.c(0))
    one = replace(SLCT(), pairs=GRID, c=replace(method.c, first=0.1))
    assert one.c(0) == 0.1 and one.c(699) == method.c(699)
    assert SLCT().c.points == SLCT().pairs.points
    set_by_name = change(method, "pairs.points.total", 1400)
    assert [set_by_name.c(k) for k in range(1400)] == [other.c(k) for k in range(1400)]
    assert change(method, "c.first", 0.1).c(699) == method.c(699)


def test_c_of_a_grid_is_refused_where_the_pairs_have_none():
    with pytest.raises(ValueError, match="have none; use AdjacentLevels, or a Constant"):
        SLCT(At(3.0, 0.9))
    with pytest.raises(RuntimeError, match="no N\\(k\\) yet; give it to a method"):
        Tightening()(0)


def test_a_metric_without_c_cannot_be_tightened():
    with pytest.raises(TypeError, match="c"):
        SLCT(GRID, SquaredL2()).distance(torch.zeros(2, 2), torch.zeros(2, 2), 0)


def test_the_first_c_of_the_authors_script_goes_with_the_root_of_the_latents_size():
    assert first_c(4 * 32 * 32) == pytest.approx(Tightening().first, abs=1e-9)
    assert first_c(4 * 4 * 4) == pytest.approx(0.00432, abs=1e-9)


# c(N) of the authors' code at N = 10 … 640, to four digits
CODE = {20: 0.01364, 40: 0.006144, 80: 0.002769, 160: 0.001248, 320: 0.000562, 640: 0.000253}


def test_c_shrinks_with_the_grid_as_in_the_authors_code():
    c = Tightening().on_grid(GRID.points)
    for stage, (intervals, expected) in enumerate(CODE.items(), start=1):
        step = 100 * stage
        assert GRID.points(step) == intervals + 1
        assert c(step) == pytest.approx(expected, rel=2e-3)
        assert c(step) == c(step + 99)


def test_the_first_stage_keeps_its_c():
    assert Tightening().on_grid(GRID.points)(0) == Tightening().on_grid(GRID.points)(99) == 0.03456
    assert Tightening(first=None).on_grid(GRID.points)(0) == pytest.approx(0.03026, rel=1e-3)


def test_a_doubling_of_the_grid_divides_c_by_a_little_more_than_two():
    c = Tightening().on_grid(GRID.points)
    ratios = [c(100 * k) / c(100 * k + 100) for k in range(1, 6)]
    assert ratios == pytest.approx([2**1.15] * 5)


R = torch.tensor([[0.3, -0.4]], dtype=torch.float64)


@pytest.mark.parametrize(
    "metric, value, gradient",
    [
        (Cauchy(0.1), 2.6026896854, (2.2222222222, -2.9629629630)),
        (PseudoHuber(0.1), 0.4099019514, (0.5883484054, -0.7844645406)),
        (Cauchy(0.5), 0.4054651081, (0.8, -1.0666666667)),
        (PseudoHuber(0.5), 0.2071067812, None),
        (Cauchy(1.0), 0.1177830357, None),
        (PseudoHuber(1.0), 0.1180339887, None),
    ],
)
def test_the_losses_have_the_worked_values(metric, value, gradient):
    r = R.clone().requires_grad_()
    loss = metric(r, torch.zeros_like(r)).sum()
    (slope,) = torch.autograd.grad(loss, r)
    assert loss.item() == pytest.approx(value, rel=1e-9)
    if gradient:
        assert slope[0].tolist() == pytest.approx(gradient, rel=1e-9)


def test_the_pull_of_cauchy_is_largest_at_root_two_c_and_falls_off():
    c = 0.2
    r = torch.linspace(0.001, 50, 200_001, dtype=torch.float64)[:, None].requires_grad_()
    (pull,) = torch.autograd.grad(Cauchy(c)(r, torch.zeros_like(r)).sum(), r)
    top = int(pull.argmax())
    assert r[top].item() == pytest.approx(2**0.5 * c, abs=3e-4)
    assert float(pull[top]) == pytest.approx(1 / (2**0.5 * c), rel=1e-4)
    assert float(pull[-1]) == pytest.approx(2 / 50, rel=1e-3)


def test_tiny_differences_do_not_cancel_in_single_precision():
    r, c = torch.tensor([[1e-6]]), 1e-3
    assert float(Cauchy(c)(r, 0 * r)) == pytest.approx(5e-7, rel=1e-3)
    m = r.square().sum()
    assert abs(float((0.5 * m + c**2).log() - torch.tensor(c**2).log()) - 5e-7) > 1e-7


def test_denoising_is_added_at_small_noise_only(model):
    x = x_of(64)
    for level, ratio, low in ((0.1, 0.8, True), (0.5, 0.8, False)):
        bare = replace(BARE, pairs=At(level, ratio))
        loss = drawn(replace(bare, denoising=5.0), model, x) - drawn(bare, model, x)
        torch.manual_seed(7)
        t = x.new_full((64,), level)
        f_t = model(x + level * torch.randn_like(x), t)
        expected = 5 * (1 / level**2 + 1 / 0.25) * (f_t - x).square().mean(1)
        assert torch.allclose(loss, expected if low else torch.zeros_like(loss), atol=1e-9)


def test_the_batch_mean_of_the_denoising_term_is_the_mean_over_the_chosen():
    loss = torch.rand(50, dtype=torch.float64)
    chosen = torch.rand(50) < 0.3
    assert averaged(loss, chosen).mean() == pytest.approx(float(loss[chosen].mean()))
    assert not averaged(loss, chosen)[~chosen].any()


def test_a_batch_without_small_noise_has_a_finite_loss_and_gradient(model):
    x = x_of(8)
    method = SLCT(At(3.0, 0.9), c=Constant(0.03))
    loss = drawn(method, model, x)
    grads = torch.autograd.grad(loss.mean(), list(model.parameters()))
    assert loss.isfinite().all() and all(g.isfinite().all() for g in grads)
    assert torch.equal(loss, drawn(replace(method, denoising=0.0), model, x))
    assert not averaged(loss, torch.zeros(8, dtype=torch.bool)).any()


def test_the_bound_on_the_level_is_that_of_the_last_quarter_of_the_indices():
    def bound(points):
        return float(KarrasGrid().down(points)[int(0.75 * points)])

    assert bound(641) == pytest.approx(SLCT().small, rel=3e-3)
    assert bound(11) == pytest.approx(0.085, rel=5e-3)


def test_coupling_permutes_the_noise_and_labels_stay_with_their_data():
    seen = {}

    class Spy:
        process = CMPrecond(0.5).process

        def __call__(self, x_t, t, cond=None):
            seen["x_t"], seen["cond"] = x_t, cond
            return x_t

    def reverse(x, z):
        return z.flip(0)

    x, labels = x_of(6), torch.arange(6)
    method = replace(BARE, pairs=At(0.5, 0.9), coupling=reverse, by_class=False)
    torch.manual_seed(7)
    method.loss(Spy(), x, 0, labels)
    torch.manual_seed(7)
    z = torch.randn_like(x)
    assert torch.allclose(seen["x_t"], x + 0.45 * z.flip(0))  # the last call is the target's
    assert torch.equal(seen["cond"], labels)


def test_within_classes_each_class_keeps_its_own_noises():
    x, z, labels = *torch.randn(2, 90, 3), torch.arange(90) % 3
    across, within = (replace(SLCT(), by_class=b).paired(x, z, labels) for b in (False, True))
    for label in range(3):
        own, kept, mixed = (v[labels == label].flatten().sort()[0] for v in (z, within, across))
        assert torch.equal(own, kept) and not torch.equal(own, mixed)
        here = labels == label
        assert torch.equal(within[here], MinibatchOT()(x[here], z[here]))
    assert sum_squares(x - across).sum() < sum_squares(x - within).sum() < sum_squares(x - z).sum()
    assert torch.equal(SLCT().paired(x, z, None), across)
    assert torch.equal(replace(SLCT(), coupling=Independent()).paired(x, z, labels), z)


def test_transport_pairs_data_with_noise_that_points_its_way():
    x, z = torch.randn(2, 64, 2)
    coupled = MinibatchOT()(x, z)
    assert (x * coupled).sum() >= (x * z).sum()
    assert (x * coupled).sum() == pytest.approx(
        float((sum_squares(x).sum() + sum_squares(z).sum() - sum_squares(x - coupled).sum()) / 2),
        rel=1e-4,
    )
    assert torch.equal(MinibatchOT()(x, z), MinibatchOT()(5 * x, z))


def test_non_scaling_norm_has_the_worked_values():
    h = torch.tensor([1.0, 2, 3, 10]).reshape(1, 4, 1, 1)
    expected = [-0.84852780, -0.56568520, -0.28284260, 1.69705560]
    assert NonScalingNorm(4)(h).flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert NonScalingNorm(4)(h[:, :, 0, 0]).flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_non_scaling_norm_is_layer_norm_whose_weight_stays_one():
    h = torch.randn(3, 4, 5, 5)
    norm, layer = NonScalingNorm(4), torch.nn.LayerNorm([4, 5, 5], bias=False)
    assert torch.allclose(norm(h), layer(h), atol=1e-5)
    norm.shift.data = torch.randn(4)
    shifted = layer(h) + norm.shift[:, None, None]
    assert torch.allclose(norm(h), shifted, atol=1e-5)
    assert [name for name, _ in norm.named_parameters()] == ["shift"]
    assert not list(NonScalingNorm(4, affine=False).parameters())


def test_a_network_takes_its_norm_from_its_shape_and_old_ones_keep_theirs():
    plain, other = UNetShape(), UNetShape(norm=NonScaling())
    norms = [m for m in other.build().modules() if isinstance(m, NonScalingNorm)]
    assert len(norms) > 8
    assert not any(isinstance(m, NonScalingNorm) for m in plain.build().modules())
    assert not any("scale" in name for name, _ in other.build().named_parameters())
    old = to_dict(plain)
    del old["norm"]  # a record written before norms could be chosen
    assert from_dict(old) == plain


def test_it_learns_the_ring():
    recipe = toy.ict(steps=300)
    method = SLCT(recipe.method.pairs, denoising=0.5)
    recipe = replace(recipe, method=replace(method, coupling=Independent()))
    trainer = recipe.trainer().fit()
    assert recipe.evaluator(trainer.ema.model, recipe.data, recipe.sampler)["sw1"] < 0.35
