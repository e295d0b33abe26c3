"""Ingredients: the classes and functions that a record may name, and their earlier names.

A record is JSON; its "kind" is the full dotted name of an ingredient, such as
"cmlab.methods.ict.PseudoHuber". Only dataclasses and functions of the package that are marked by
`ingredient` can be named, and those of modules that the user allowed: beside the name of such a
one stands the hash of its file, and nobody's record imports it who has not allowed it too. Records
written under earlier names are read through ALIASES and FIELDS.

In these tables the left side is a name as records hold it: it is never changed, since runs,
shipped weights and the benchmark's table were written with it. The right side is where the thing
is now. When an ingredient moves or is renamed, change its right side; when one that was never
listed moves, add its earlier full name on the left.
"""

import inspect
import sys
from dataclasses import dataclass, fields
from functools import lru_cache, wraps
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from .discovery import KINDS, late_import, module_names
from .types import Range

ALIASES: dict[str, str] = {
    "adversary.Critic": "cmlab.methods.critic.Critic",
    "balance.Adaptive": "cmlab.methods.scm.LearnedWeight",
    "balance.Even": "cmlab.methods.scm.ConstantWeight",
    "by_ends.ByEnds": "cmlab.metrics.evaluators.PathEndEvaluator",
    "by_ends.DigitsByCalls": "cmlab.metrics.evaluators.DigitsStepsEvaluator",
    "by_walk.AgainstExactWalk": "cmlab.metrics.evaluators.ToyDenoiserEvaluator",
    "by_walk.FreshWalk": "cmlab.metrics.evaluators.ShapesDenoiserEvaluator",
    "by_walk.HeldOutWalk": "cmlab.metrics.evaluators.DigitsDenoiserEvaluator",
    "config.TrainConfig": "cmlab.train.config.TrainConfig",
    "coupling.Independent": "cmlab.methods.slct.Independent",
    "coupling.MinibatchOT": "cmlab.methods.slct.MinibatchOT",
    "curriculum.Bump": "cmlab.methods.faster_training.NormalDensity",
    "curriculum.Clock": "cmlab.methods.faster_training.ProcessTime",
    "curriculum.Easing": "cmlab.methods.faster_training.NoiseCurriculum",
    "curriculum.Flat": "cmlab.methods.faster_training.UniformDensity",
    "curriculum.Quantiles": "cmlab.methods.faster_training.Quantiles",
    "data.cifar10.CIFAR10": "cmlab.data.cifar10.CIFAR10",
    "data.coder.Pixels": "cmlab.data.latents.IdentityCoder",
    "data.coder.Shipped": "cmlab.data.latents.ShippedCoder",
    "data.digits.Digits": "cmlab.data.digits.Digits",
    "data.impulses.Impulses": "cmlab.data.latents.Impulses",
    "data.latents.Latents": "cmlab.data.latents.Latents",
    "data.line.Bumps": "cmlab.data.toy.Bumps",
    "data.outliers.Contaminated": "cmlab.data.toy.Contaminated",
    "data.parts.Part": "cmlab.data.digits.Part",
    "data.shapes.Shapes": "cmlab.data.shapes.Shapes",
    "data.sound.Sound": "cmlab_labs.lab15_music.data.Sound",
    "data.toy.Checkerboard": "cmlab.data.toy.Checkerboard",
    "data.toy.Moons": "cmlab.data.toy.Moons",
    "data.toy.Ring": "cmlab.data.toy.Ring",
    "data.toy.Spiral": "cmlab.data.toy.Spiral",
    "data.toy.TwoGaussians": "cmlab.data.toy.TwoGaussians",
    "data.tunes.Tunes": "cmlab_labs.lab15_music.data.Tunes",
    "data.unlabelled.Unlabelled": "cmlab.data.digits.Unlabelled",
    "decoded.DecodedFresh": "cmlab.metrics.evaluators.LatentShapesEvaluator",
    "decoded.DecodedHeldOut": "cmlab.metrics.evaluators.LatentDigitsEvaluator",
    "distance.Cauchy": "cmlab.methods.slct.Cauchy",
    "distance.EDMWeight": "cmlab.methods.edm.EDMWeight",
    "distance.GemanMcClure": "cmlab.losses.GemanMcClure",
    "distance.InverseGap": "cmlab.methods.ict.InverseGap",
    "distance.L1": "cmlab.losses.L1",
    "distance.PseudoHuber": "cmlab.methods.ict.PseudoHuber",
    "distance.SquaredL2": "cmlab.losses.SquaredL2",
    "distance.TrigWeight": "cmlab.losses.TrigWeight",
    "distance.Uniform": "cmlab.losses.Uniform",
    "evaluate.inception.InceptionSpace": "cmlab.metrics.feature_extractors.InceptionSpace",
    "evaluate.music.AgainstTunes": "cmlab_labs.lab15_music.analysis.MusicEvaluator",
    "evaluate.spaces.CifarSpace": "cmlab.metrics.feature_extractors.CifarSpace",
    "guidance.Guided": "cmlab.teacher.Guided",
    "guide.AsBegun": "cmlab.teacher.InitialModelTeacher",
    "guide.Exact": "cmlab.teacher.OracleTeacher",
    "guide.MovingAverage": "cmlab.teacher.EMATarget",
    "guide.OneSample": "cmlab.teacher.SampleTeacher",
    "guide.Pretrained": "cmlab.teacher.NetworkTeacher",
    "guide.StopGrad": "cmlab.teacher.StopGrad",
    "judge.AgainstFresh": "cmlab.metrics.evaluators.ShapesEvaluator",
    "judge.AgainstHeldOut": "cmlab.metrics.evaluators.DigitsEvaluator",
    "judge.AgainstOracle": "cmlab.metrics.evaluators.ToyEvaluator",
    "judge.AgainstTest": "cmlab.metrics.evaluators.CIFAR10Evaluator",
    "methods.cd.CD": "cmlab.methods.cd.CD",
    "methods.ct.CT": "cmlab.methods.ct.CT",
    "methods.ect.ECT": "cmlab.methods.ect.ECT",
    "methods.edm.EDM": "cmlab.methods.edm.EDM",
    "methods.ict.ICT": "cmlab.methods.ict.ICT",
    "methods.musiccm.MusicCM": "cmlab.methods.musiccm.MusicCM",
    "methods.pcm.PCM": "cmlab.methods.pcm.PCM",
    "methods.scm.SCM": "cmlab.methods.scm.SCM",
    "methods.slct.SLCT": "cmlab.methods.slct.SLCT",
    "model.Angle": "cmlab.model.Angle",
    "model.CMPrecond": "cmlab.model.CMPrecond",
    "model.EDMPrecond": "cmlab.model.EDMPrecond",
    "model.QuarterLog": "cmlab.model.QuarterLog",
    "model.TrigPrecond": "cmlab.model.TrigPrecond",
    "model.UnitVariance": "cmlab.model.UnitVariance",
    "momentum.Compensation": "cmlab.methods.faster_training.Compensation",
    "momentum.MomentumDecay": "cmlab.methods.faster_training.MomentumDecay",
    "momentum.Times": "cmlab.methods.faster_training.ScheduleProduct",
    "nets.critic.ImageCriticShape": "cmlab.nets.critic.ImageCriticShape",
    "nets.critic.PointCriticShape": "cmlab.nets.critic.PointCriticShape",
    "nets.ddpmpp.DDPMppShape": "cmlab.nets.ddpmpp.DDPMppShape",
    "nets.ear.EarCriticShape": "cmlab_labs.lab15_music.networks.MusicCriticShape",
    "nets.embedding.Fourier": "cmlab.nets.embedding.Fourier",
    "nets.embedding.Positional": "cmlab.nets.embedding.Positional",
    "nets.mlp.MLPShape": "cmlab.nets.mlp.MLPShape",
    "nets.nonscaling.NonScaling": "cmlab.nets.norm.NonScaling",
    "nets.norm.DoubleNorm": "cmlab.nets.norm.DoubleNorm",
    "nets.norm.Grouped": "cmlab.nets.norm.Grouped",
    "nets.norm.ScaleShift": "cmlab.nets.norm.ScaleShift",
    "nets.norm.Shift": "cmlab.nets.norm.Shift",
    "nets.shipped.Shipped": "cmlab.nets.pretrained.PretrainedNet",
    "nets.patches.PatchesShape": "cmlab.nets.patches.PatchesShape",
    "nets.strip.StripUNetShape": "cmlab_labs.lab15_music.networks.StripUNetShape",
    "nets.unet.UNetShape": "cmlab.nets.unet.UNetShape",
    "optimizer.Adam": "cmlab.train.config.Adam",
    "optimizer.RAdam": "cmlab.train.config.RAdam",
    "phases.PhasedSteps": "cmlab.methods.pcm.PhasedSteps",
    "phases.Phases": "cmlab.methods.pcm.Phases",
    "process.EDM": "cmlab.process.VarianceExploding",
    "process.RectifiedFlow": "cmlab.process.RectifiedFlow",
    "process.TrigFlow": "cmlab.process.TrigFlow",
    "process.VariancePreserving": "cmlab.process.VariancePreserving",
    "recipe.Recipe": "cmlab.train.recipe.Recipe",
    "sample.FewSteps": "cmlab.sampling.FewSteps",
    "sample.ddim": "cmlab.sampling.ddim",
    "sample.heun": "cmlab.sampling.heun",
    "schedule.Constant": "cmlab.schedules.Constant",
    "schedule.Doubling": "cmlab.methods.ict.Doubling",
    "schedule.GridDecay": "cmlab.methods.ct.GridDecay",
    "schedule.PowerDecay": "cmlab.schedules.PowerDecay",
    "schedule.SqrtGrowth": "cmlab.methods.ct.SqrtGrowth",
    "schedule.Stages": "cmlab.methods.ect.Stages",
    "schedule.Warmup": "cmlab.schedules.Warmup",
    "schedule.WarmupCosine": "cmlab.schedules.WarmupCosine",
    "tangent.Clip": "cmlab.methods.scm.Clip",
    "tangent.Difference": "cmlab.methods.scm.CentralDifference",
    "tangent.Flat": "cmlab.methods.scm.UnitPrior",
    "tangent.InverseTan": "cmlab.methods.scm.InverseTan",
    "tangent.Secant": "cmlab.methods.scm.BackwardDifference",
    "tangent.Tangent": "cmlab.methods.scm.JVP",
    "tangent.Unbounded": "cmlab.methods.scm.Unbounded",
    "tangent.UnitNorm": "cmlab.methods.scm.UnitNorm",
    "tangent.UnitRMS": "cmlab.methods.scm.UnitRMS",
    "tightening.Tightening": "cmlab.methods.slct.Tightening",
    "times.At": "cmlab.noise_levels.At",
    "times.KarrasGrid": "cmlab.noise_levels.KarrasGrid",
    "times.LogNormal": "cmlab.noise_levels.LogNormal",
    "times.Neighbours": "cmlab.noise_levels.AdjacentLevels",
    "times.Shrink": "cmlab.methods.ect.ECTMapping",
    "times.ToData": "cmlab.noise_levels.DenoisingPairs",
    "times.Together": "cmlab.noise_levels.SameTime",
    "times.UniformIndex": "cmlab.noise_levels.UniformIndex",
}

# Names that records held for a few hours between the two sides above: a module, and the left sides
# whose classes it had. Those left sides with "cmlab." before them were written in that time too.
_MODULES: dict[str, str] = {
    "cmlab.data.latents": "data.coder.Pixels data.coder.Shipped",
    "cmlab.methods.ect": "times.Shrink",
    "cmlab.methods.faster_training": "curriculum.Bump curriculum.Clock curriculum.Easing "
    "curriculum.Flat momentum.Times",
    "cmlab.methods.scm": "balance.Adaptive balance.Even tangent.Difference tangent.Flat "
    "tangent.Secant tangent.Tangent",
    "cmlab.metrics.denoiser": "by_walk.AgainstExactWalk by_walk.FreshWalk by_walk.HeldOutWalk",
    "cmlab.metrics.evaluators": "by_ends.ByEnds by_ends.DigitsByCalls by_walk.AgainstExactWalk "
    "by_walk.FreshWalk by_walk.HeldOutWalk decoded.DecodedFresh decoded.DecodedHeldOut "
    "judge.AgainstFresh judge.AgainstHeldOut judge.AgainstOracle judge.AgainstTest",
    "cmlab.metrics.latent": "decoded.DecodedFresh decoded.DecodedHeldOut",
    "cmlab.nets.pretrained": "nets.shipped.Shipped",
    "cmlab.noise_levels": "times.Neighbours times.ToData times.Together",
    "cmlab.teacher": "guide.AsBegun guide.Exact guide.MovingAverage guide.OneSample "
    "guide.Pretrained",
    "cmlab_labs.lab15_music.analysis": "evaluate.music.AgainstTunes",
    "cmlab_labs.lab15_music.networks": "nets.ear.EarCriticShape",
}
INTERIM = {f"{m}.{k.rpartition('.')[2]}": k for m, ks in _MODULES.items() for k in ks.split()}
INTERIM["cmlab.methods.faster_training.UniformShare"] = "curriculum.Flat"

# Fields by the recorded kind, the left side of the tables here: earlier name -> name today.
FIELDS: dict[str, dict[str, str]] = {
    "by_walk.AgainstExactWalk": {"law": "proposal"},
    "by_walk.FreshWalk": {"law": "proposal"},
    "by_walk.HeldOutWalk": {"law": "proposal"},
    "curriculum.Quantiles": {"law": "proposal"},
    "judge.AgainstOracle": {"law": "distribution"},
    "methods.scm.SCM": {"slope": "derivative", "balance": "loss_weighting"},
    "recipe.Recipe": {"judge": "evaluator"},
}

# Fields by the recorded kind that were renamed before any hash was taken: read, and in no hash.
FORMER: dict[str, dict[str, str]] = {"config.TrainConfig": {"accumulate": "parts"}}

# Fields by the recorded kind that came later: left out of hashes while they hold their defaults.
ADDED: dict[str, tuple[str, ...]] = {
    "cmlab.methods.imm.GroupedTimes": ("stratified",),
    "cmlab.methods.imm.IMM": ("teacher",),
    "cmlab.methods.meanflow.MeanFlow": ("teacher",),
    "cmlab.methods.self_distillation.Lagrangian": ("teacher",),
    "cmlab.methods.self_distillation.SelfDistillation": ("teacher",),
    "config.TrainConfig": ("ema_ramp",),
    "data.cifar10.CIFAR10": ("labelled",),
    "methods.pcm.PCM": ("generator",),
    "nets.unet.UNetShape": ("embedding",),
}

# Fields by the recorded kind that are gone, with what hashes still hold for them. Records that
# have them are read without them: nothing that a run does depended on their value.
REMOVED: dict[str, dict[str, Any]] = {
    "methods.edm.EDM": {"target": {"kind": "guide.StopGrad"}}  # its loss has no second pass
}

# Classes that no record holds but whose printed form is part of the benchmark's fingerprints.
PRINTED: dict[str, str] = {
    "atlas.asked.Generates": "cmlab_labs.lab17_atlas.benchmark.Generation",
    "atlas.asked.HeunSteps": "cmlab_labs.lab17_atlas.benchmark.HeunSteps",
    "atlas.guesses.Edits": "cmlab_labs.lab17_atlas.benchmark.ZeroShotEditing",
    "atlas.guesses.Guess": "cmlab_labs.lab17_atlas.benchmark.HiddenCoordinate",
    "atlas.guesses.Guesses": "cmlab_labs.lab17_atlas.benchmark.PosteriorSampling",
    "atlas.guesses.Truth": "cmlab_labs.lab17_atlas.benchmark.ExactBaseline",
}


PACKAGE = "cmlab"
MARK = "__ingredient__"
LONGEST = 200  # characters of a kind
FIRST = {now: then for then, now in reversed((ALIASES | PRINTED).items())}

Thing = TypeVar("Thing")


def ingredient(thing: Thing) -> Thing:
    """Decorator: mark a dataclass or function as an ingredient, which records may name.

    A dataclass must be frozen, or compared by identity where it holds state, as methods do. When
    it is called, numbers outside the ranges in its fields' types raise ValueError.

    Raises:
        TypeError: for anything else.
    """
    if not (inspect.isfunction(thing) or inspect.isclass(thing) and _is_fixed(thing)):
        raise TypeError(f"an ingredient is a frozen dataclass or a function, not {thing!r}")
    setattr(thing, MARK, True)
    if inspect.isclass(thing) and (ranges := ranges_of(thing)):
        _check_at_call(thing, ranges)
    return thing


def _is_fixed(thing: type) -> bool:
    params = vars(thing).get("__dataclass_params__")  # absent where only a base is a dataclass
    return params is not None and (params.frozen or not params.eq)


# The ranges of an ingredient's fields

STEPS = (0, 1, 1000, 1_000_000)  # at which the values of a schedule are looked at


KINDS_OF_NUMBER = {int: (Integral, "a whole number"), float: (Real, "a number")}


@dataclass(frozen=True)
class FieldRange:
    """What the type of a field says: its range, and whether it takes whole numbers or None."""

    range: Range
    base: Any  # int, float, or the type of a schedule
    optional: bool

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError, naming the field, unless value, or all in a tuple, lie in range."""
        if value is None and self.optional or getattr(value, "points", 0) is None:
            return  # a schedule without N(k) has no values yet
        number, words = KINDS_OF_NUMBER.get(self.base, (Real, "a schedule of numbers"))
        found: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
        if self.base not in KINDS_OF_NUMBER:
            found = tuple(map(value, STEPS)) if callable(value) else (None,)
        for each in found:
            if not isinstance(each, number) or isinstance(each, bool) or each not in self.range:
                shown = value if each is None else each
                raise ValueError(f"{name} must be {words} in {self.range}, not {_short(shown)}")


def ranges_of(thing: type) -> dict[str, FieldRange]:
    """The ranges in the types of a dataclass's fields, by name."""
    found = {f.name: _range_in(f.type) for f in fields(thing) if f.init}
    return {name: declared for name, declared in found.items() if declared is not None}


def _range_in(kind: Any) -> FieldRange | None:
    """The range in a type such as Positive | None or tuple[Positive, ...]; None without one."""
    if get_origin(kind) is not Annotated:
        inner = get_args(kind)
        found = next(filter(None, map(_range_in, inner)), None)
        return found and FieldRange(found.range, found.base, type(None) in inner)
    base, *notes = get_args(kind)
    declared = next((note for note in notes if isinstance(note, Range)), None)
    return declared and FieldRange(declared, base, optional=False)


def _check_at_call(thing: type, ranges: dict[str, FieldRange]) -> None:
    """Check the given values before anything is made of them; defaults are taken as they are."""
    init, names = thing.__init__, [f.name for f in fields(thing) if f.init]

    @wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in ranges:
                ranges[name].check(f"{thing.__name__}.{name}", value)
        init(self, *args, **kwargs)

    thing.__init__ = checked


def _short(value: object, longest: int = 60) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= longest else text[:longest] + "…"


# Modules of one's own, whose ingredients may stand in a recipe

HASH = "sha256"  # beside the kind of an ingredient from such a module: that of its file
ALLOWED: dict[str, str] = {}  # modules that the user allowed, with the hash of their files


def allow(name: str) -> ModuleType:
    """Allow a module of one's own: records may name its ingredients. It is imported, and so run.

    Args:
        name: of a module that is one file, in the working folder or on the path.

    Raises:
        ValueError: if there is none, or its import fails.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(name)
        file = Path(module.__file__ or "")
        digest = sha256(file.read_bytes()).hexdigest()
    except Exception as error:  # whatever it does when it is run
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"the module {name} cannot be used: {said}") from error
    if name.partition(".")[0] in (PACKAGE, "cmlab_labs") or file.name == "__init__.py":
        raise ValueError(f"{name} is no module of your own: name one that is a single file")
    ALLOWED[name] = digest
    _find.cache_clear()
    return module


def file_hash(thing: Any) -> dict[str, str]:
    """The hash of the file of an ingredient of one's own, for its record; empty for cmlab's."""
    return {HASH: ALLOWED[thing.__module__]} if thing.__module__ in ALLOWED else {}


def check_hash(kind: object, wanted: object) -> None:
    """Raise ValueError unless a record's own ingredient is of a module allowed, and unchanged."""
    place = str(kind).rpartition(".")[0]
    if place not in ALLOWED:
        raise ValueError(
            f"the record names {_short(kind)}, of a module of its author's: read {place}.py, and "
            f"if you trust it allow it, by --allow {place} or cmlab.ingredients.allow"
        )
    if ALLOWED[place] != wanted:
        raise ValueError(
            f"the record was written with another {place}.py, of SHA-256 {_short(wanted, 12)} "
            f"and not {ALLOWED[place][:12]}: restore that file"
        )


# Names in records


def kind_of(thing: Any) -> str:
    """The name of a class or function in a record: its module and its own name."""
    return f"{thing.__module__}.{thing.__qualname__}"


def first_kind(thing: Any) -> str:
    """The earliest recorded name of a class or function, which stays when it is renamed."""
    return FIRST.get(kind_of(thing), kind_of(thing))


def is_ingredient(thing: Any) -> bool:
    """Whether a record can name this class or function."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)) or MARK not in vars(thing):
        return False
    try:
        return resolve(kind_of(thing)) is thing
    except ValueError:
        return False


def resolve(kind: object) -> Any:
    """The class or function that a record names, under its current or an earlier name.

    Nothing outside the package is imported or looked at; of the labs only what `discovery.KINDS`
    lists.

    Raises:
        ValueError: for a name that is no ingredient of this cmlab.
    """
    thing = None
    if isinstance(kind, str) and len(kind) <= LONGEST:
        earlier = INTERIM.get(kind, kind).removeprefix(f"{PACKAGE}.")
        thing = _find(ALIASES.get(kind) or ALIASES.get(earlier, kind))
    if thing is None:
        said = _short(kind, LONGEST)
        raise ValueError(f"the record names {said}, which this cmlab lacks; update cmlab")
    return thing


@lru_cache(maxsize=1024)
def _find(kind: str) -> Any:
    """The ingredient of this dotted name, or None."""
    place, _, name = kind.rpartition(".")
    if not all(p.isidentifier() and not p.startswith("_") for p in kind.split(".")):
        return None
    if kind in KINDS:
        module = late_import(kind)
    elif _is_ours(place) or place in ALLOWED:
        module = import_module(place)
    else:
        return None
    thing = vars(module).get(name)
    own = getattr(thing, "__module__", "") == place and getattr(thing, "__qualname__", "") == name
    return thing if own and MARK in vars(thing) else None


def _is_ours(place: str) -> bool:
    """Whether a module of this name is a file of the package; it is not imported."""
    if place not in module_names(PACKAGE):
        return False
    spec, package = find_spec(place), Path(str(import_module(PACKAGE).__file__)).parent
    return bool(spec and spec.origin and Path(spec.origin).is_relative_to(package))
