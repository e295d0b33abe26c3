"""What a number carries, and the evaluator that fills the table.

A floor, error bars, no mixing.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace

import pytest
import torch

from cmlab.cli.evaluate import score, space_of
from cmlab.cli.settings import Refused
from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Unlabelled
from cmlab.metrics.evaluators import CIFAR10Evaluator
from cmlab.metrics.feature_extractors import CifarSpace, Space, load_cifar_classifier
from cmlab.metrics.frechet import frechet, frechet_error, moments_without, parts
from cmlab.metrics.report import COMPARED, NAMES, Reading, diffusion, draws, sample_images, table
from cmlab.model import Denoiser, EDMPrecond
from cmlab.nets.mlp import MLP
from cmlab.process import VarianceExploding
from cmlab.sampling import FewSteps
from cmlab.train import runs

ONE = Reading("fd", "1 call", 8.0, 0.3, "cmlab-cifar", 10000, "test", 10000)
OTHER = replace(ONE, of="35 calls", value=5.0, error=0.4)


@pytest.fixture(scope="module")
def filled():
    """A table of three sets of features: equal laws, one shifted, and the floor."""
    generator = torch.Generator().manual_seed(0)
    same, shifted, train, test = (torch.randn(600, 6, generator=generator) for _ in range(4))
    return table({"1 call": shifted + 0.5, "2 calls": same}, train, test, "six")


def test_leaving_a_part_out_gives_its_own_mean_and_covariance():
    x = torch.randn(50, 3) + 100
    centre = torch.full((3,), 100.0).double()
    for left, (mean, cov) in zip(parts(50), moments_without(x, centre), strict=True):
        rest = x[[i for i in range(50) if i not in left.tolist()]].double()
        assert torch.allclose(mean + centre, rest.mean(0), rtol=1e-10)
        assert torch.allclose(cov, rest.T.cov(), rtol=1e-8, atol=1e-12)


def test_the_error_of_the_frechet_distance_covers_its_spread():
    for shift, high in ((0.0, 1.9), (1.0, 1.3)):  # √2 too large between equal laws
        draws = [(torch.randn(200, 4) + shift, torch.randn(200, 4)) for _ in range(100)]
        spread = torch.tensor([frechet(*draw) for draw in draws]).std()
        errors = torch.tensor([frechet_error(*draw) for draw in draws])
        assert 0.85 < float(errors.square().mean().sqrt() / spread) < high


def test_the_floor_stands_beside_every_number(filled):
    assert [(r.of, r.name) for r in filled.readings] == [
        (of, name) for of in ("1 call", "2 calls") for name in COMPARED
    ]
    assert [reading.of for reading in filled.floors] == ["train"] * 4
    for row in filled.rows():
        floor = next(f for f in filled.floors if f.name == row["name"])
        assert (row["floor"], row["floor_error"]) == (floor.value, floor.error)


def test_equal_laws_score_the_floor_and_a_shift_does_not(filled):
    found = {(r.of, r.name): r for r in (*filled.readings, *filled.floors)}
    for name in COMPARED:
        apart, error = found["2 calls", name].minus(found["train", name])
        assert abs(apart) < 3 * error
    apart, error = found["1 call", "fd"].minus(found["train", "fd"])
    assert apart == pytest.approx(1.5, abs=0.4) and apart > 5 * error


def test_every_number_says_where_it_is_from(filled):
    assert ONE.line() == (
        "1 call: Fréchet distance 8 ± 0.3 (cmlab-cifar, 10000 against 10000 of test)"
    )
    for reading in (*filled.readings, *filled.floors):
        assert reading.error > 0
        assert (reading.space, reading.samples, reading.reference_samples) == ("six", 600, 600)
    assert json.loads(json.dumps(filled.rows())) == filled.rows()
    assert len(filled.lines()) == 12
    assert {"fd1", "fd1_error", "recall2", "kd_floor"} <= set(filled.scores())


def test_differences_and_ratios_carry_the_errors_of_both():
    assert ONE.minus(OTHER) == pytest.approx((3, 0.5))
    ratio, error = ONE.over(OTHER)
    draws = (8 + 0.03 * torch.randn(100000)) / (5 + 0.04 * torch.randn(100000))
    assert ratio == 1.6
    assert error == pytest.approx(10 * float(draws.std()), rel=0.02)


@pytest.mark.parametrize(
    "change",
    [{"space": "inception"}, {"samples": 50000}, {"reference": "train"}, {"name": "kd"},
     {"reference_samples": 5000}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_numbers_of_different_measurements_are_never_compared(change):
    for compare in (ONE.minus, ONE.over):
        with pytest.raises(ValueError, match="measure both alike"):
            compare(replace(OTHER, **change))


def test_another_number_of_images_than_the_floors_and_too_few_are_one_sentence():
    x = torch.randn(100, 4)
    with pytest.raises(ValueError, match="equally many"):
        table({"1 call": x[:90]}, x, x, "four")
    with pytest.raises(ValueError, match="at least 50"):
        table({"1 call": x[:40]}, x[:40], x, "four")
    with pytest.raises(ValueError, match="100 images are too few for 200 features"):
        table({"1 call": x.repeat(1, 50)}, x.repeat(1, 50), x.repeat(1, 50), "many")


@dataclass(frozen=True)
class Photographs:
    """Stands for CIFAR-10: smooth random pictures, other ones in the test split."""

    train: bool = True
    flip: bool = True
    shape = (3, 32, 32)

    @cached_property
    def images(self):
        generator = torch.Generator().manual_seed(int(self.train))
        coarse = torch.randn(320, 3, 8, 8, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
        return (smooth * 60 + 128).clamp(0, 255).to(torch.uint8)


class Copier(Denoiser):
    """Answers with photographs, a different one for each noise."""

    def __init__(self, images):
        super().__init__(MLP(2, 4, 1), EDMPrecond())
        self.images = images / 127.5 - 1

    def forward(self, x_t, t, cond=None):
        pick = (x_t.flatten(1).sum(1).abs() * 1000).long() % len(self.images)
        return self.images[pick]


@dataclass(frozen=True)
class Means(Space):
    """Twelve features of a picture: the mean colours of its quarters."""

    name = "means"
    size = 12

    def open(self, device):
        return lambda u: torch.nn.functional.avg_pool2d(u.float(), 16).flatten(1)


def test_a_generator_of_photographs_scores_the_floor_and_noise_does_not():
    evaluator = CIFAR10Evaluator(n=300, space=Means())
    copier, data = Copier(Photographs().images), Photographs()
    assert set(scores := evaluator(copier, data, FewSteps())) == {
        f"{name}{of}{error}"
        for name in COMPARED for of in ("1", "2", "4", "_floor") for error in ("", "_error")
    }  # fmt: skip
    assert scores["fd1"] < 2 * scores["fd_floor"]
    noise = Copier(torch.randint(0, 256, (320, 3, 32, 32), dtype=torch.uint8))
    table = evaluator.table(noise, data, FewSteps())
    assert table.readings[0].value > 10 * scores["fd_floor"]
    assert table.readings[3].value < 0.05  # recall: grey pictures cover no photograph


def test_scores_repeat_and_leave_the_random_state_alone():
    data = Photographs()
    model, before = Copier(data.images), torch.get_rng_state()
    first, again, other = (
        CIFAR10Evaluator(n=290, seed=seed, space=Means())(model, data, FewSteps())
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(before, torch.get_rng_state())


def test_data_without_a_test_split_are_one_sentence():
    with pytest.raises(ValueError, match="evaluate a run on CIFAR10"):
        CIFAR10Evaluator(space=Means())(Copier(Photographs().images), object(), FewSteps())
    with pytest.raises(ValueError, match="ask for 1 to 320"):
        CIFAR10Evaluator(n=321, space=Means())(
            Copier(Photographs().images), Photographs(), FewSteps()
        )


def test_a_run_on_disk_is_scored_by_the_same_judge(monkeypatch, tmp_path):
    recipe = SimpleNamespace(data=Photographs(), sampler=FewSteps())
    model, evaluator = Copier(recipe.data.images), CIFAR10Evaluator(n=100, space=Means())
    monkeypatch.setattr(runs, "load", lambda run: (model, recipe, {}))
    found = score(tmp_path, evaluator, device=torch.device("cpu"))
    assert found.scores() == evaluator(model, recipe.data, recipe.sampler)
    assert {row["space"] for row in found.rows()} == {"means"}
    with pytest.raises(Refused, match="cannot be measured.*ask for 1 to 320"):
        score(tmp_path, replace(evaluator, n=400), device=torch.device("cpu"))
    with pytest.raises(Refused, match="Photographs is made here and not read from files"):
        score(tmp_path, evaluator, path="elsewhere", device=torch.device("cpu"))


class Gaussian(torch.nn.Module):
    """The exact denoiser of N(0, s² I), which counts its calls."""

    process = VarianceExploding()
    calls = 0

    def forward(self, x_t, t, cond=None):
        self.calls += 1
        return x_t * 0.25 / (0.25 + t[:, None, None, None] ** 2)


def test_the_diffusion_sampler_makes_35_calls_and_gaussian_noise_its_law():
    model, z = Gaussian(), torch.randn(100, 3, 8, 8)
    x = diffusion(model, FewSteps(), z)
    assert model.calls == 35
    scale = x / z  # the ODE turns z into s z; 18 steps of Heun are a little short of it
    assert scale.std() < 1e-4 and scale.mean() == pytest.approx(0.5, abs=0.03)


def test_the_ways_to_sample_make_as_many_calls_as_they_say():
    for way, draw in draws(model := Gaussian(), FewSteps(), heun=True).items():
        model.calls = 0
        draw(torch.randn(2, 3, 8, 8), None)
        assert way.split()[0] == str(model.calls)


def test_batches_of_another_size_make_the_same_pictures_in_one_call():
    draw = draws(Gaussian(), FewSteps())["1 call"]
    seven, fifty = (
        sample_images(draw, (3, 8, 8), 50, torch.device("cpu"), seed=3, batch=b) for b in (7, 50)
    )
    assert seven.dtype == torch.uint8 and seven.shape == (50, 3, 8, 8)
    assert torch.equal(seven, fifty)


def test_spaces_have_names_and_what_does_not_fit_them_is_refused():
    assert space_of("cmlab-cifar") == CifarSpace()
    assert space_of("inception", download=True).download
    with pytest.raises(Refused, match="allowed: cmlab-cifar, inception"):
        space_of("vgg")
    with pytest.raises(Refused, match="leave out --download"):
        space_of("cmlab-cifar", download=True)


def test_pictures_of_classes_are_asked_for_in_turn_whatever_the_batch():
    asked: list[torch.Tensor] = []

    def draw(z: torch.Tensor, cond: torch.Tensor | None) -> torch.Tensor:
        assert cond is not None
        asked.append(cond)
        return z

    sample_images(draw, (3, 8, 8), 23, torch.device("cpu"), batch=7, classes=10)
    assert torch.cat(asked).tolist() == [i % 10 for i in range(23)]


class Conditional(Copier):
    """Keeps the classes that it is asked for."""

    def __init__(self, images):
        super().__init__(images)
        self.asked = []

    def forward(self, x_t, t, cond=None):
        self.asked.append(cond)
        return super().forward(x_t, t)


def classes_asked(data, bytes_):
    """The classes of each network call that the evaluator makes, 300 images in batches of 110."""
    model = Conditional(bytes_)
    CIFAR10Evaluator(n=300, space=Means(), batch=110)(model, data, FewSteps())
    return model.asked


@pytest.fixture
def photographs(monkeypatch):
    """CIFAR10 reads 320 smooth images with labels in turn; the images of the training set."""
    splits = {train: Photographs(train).images for train in (True, False)}
    labels = torch.arange(320) % 10
    monkeypatch.setattr(CIFAR10, "read", lambda self: (splits[self.train], labels))
    return splits[True]


def test_a_class_conditional_model_is_asked_for_the_ten_classes_in_turn(photographs):
    labelled = CIFAR10("here", labelled=True)
    in_turn = [i % 10 for i in range(300)]
    for data in (labelled, Unlabelled(labelled, 0.5)):  # never for the label of no class
        asked = classes_asked(data, photographs)
        assert len(asked) == 3 * (1 + 2 + 4)
        for first, calls in ((0, 1), (3, 2), (9, 4)):  # three batches each
            last_calls = asked[first : first + 3 * calls][calls - 1 :: calls]
            assert torch.cat(last_calls).tolist() == in_turn


def test_a_model_of_unlabelled_photographs_is_asked_for_no_class(photographs):
    assert classes_asked(CIFAR10("here"), photographs) == [None] * 21


class Painter(Denoiser):
    """Fills a picture with a grey that stands for the class asked for, or for the one after it."""

    def __init__(self, wrong):
        super().__init__(MLP(2, 4, 1), EDMPrecond())
        self.wrong = wrong

    def forward(self, x_t, t, cond=None):
        late = (torch.arange(len(x_t)) < self.wrong * len(x_t)).long()
        return ((cond + late) / 10 - 0.5)[:, None, None, None].expand_as(x_t)


@dataclass(frozen=True)
class Greys(Means):
    """Means, and the class that a grey stands for."""

    def classes(self, features):
        return ((features[:, 0] / 127.5 - 0.5) * 10).round().long()


def test_the_share_of_the_class_asked_for_has_the_classifiers_accuracy_as_its_floor(photographs):
    data = CIFAR10("here", labelled=True)
    for wrong in (0.0, 0.25):
        found = CIFAR10Evaluator(n=300, space=Greys()).table(Painter(wrong), data, FewSteps())
        scores = found.scores()
        assert [scores[f"asked{calls}"] for calls in (1, 2, 4)] == [1 - wrong] * 3
        assert scores["asked1_error"] == pytest.approx((wrong * (1 - wrong) / 300) ** 0.5)
    other = CIFAR10("here", labelled=True, train=False)
    right = Greys().classes(Means().features(other.images)) == other.labels
    assert scores["asked_floor"] == pytest.approx(float(right.double().mean()), abs=0.02)
    assert found.floors[-1].of == "test" and "(means, 300)" in found.floors[-1].line()
    assert {row["name"] for row in found.rows() if "floor" in row} == set(NAMES)


def test_a_space_without_classes_says_nothing_of_the_class_asked_for(photographs):
    for space, data in ((Means(), CIFAR10("here", labelled=True)), (Greys(), CIFAR10("here"))):
        scores = CIFAR10Evaluator(n=300, space=space)(Copier(photographs), data, FewSteps())
        assert not any(name.startswith("asked") for name in scores)


def test_the_shipped_classifier_reads_classes_from_features_as_from_images():
    net, x = load_cifar_classifier(), torch.rand(20, 3, 32, 32) * 2 - 1
    assert torch.equal(net.classes(net.features(x)), net(x).argmax(1))
