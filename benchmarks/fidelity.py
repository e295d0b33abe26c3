"""cmlab's losses, schedules and samplers beside the authors' own code, on the same numbers.

    python benchmarks/fidelity.py --ect PATH --cm PATH --fastgen PATH --pcm PATH --lct PATH \
        --rcm PATH --cm-jax PATH --meanflow PATH --imf PATH --shortcut PATH --ctm PATH

Each PATH is a checkout that you made yourself:

    --ect      github.com/locuslab/ect
    --cm       github.com/openai/consistency_models
    --cm-jax   github.com/openai/consistency_models_cifar10
    --fastgen  github.com/NVlabs/FastGen
    --pcm      github.com/G-U-N/Phased-Consistency-Model
    --lct      github.com/quandao10/LCT  (sLCT's development code)
    --rcm      github.com/NVlabs/rcm
    --meanflow github.com/Gsunshine/py-meanflow
    --imf      github.com/Lyy-iiis/imeanflow
    --shortcut github.com/kvfrans/shortcut-models
    --ctm      github.com/sony/ctm

Nothing of them is part of cmlab. Of each file only the functions and classes that a row names are
executed, in a process of their own, with what they refer to handed to them; so neither a GPU nor
their dependencies are needed, and no weights are read. sLCT's coupling needs `pip install pot`.

Everything runs in float64 on the CPU: one small network, one batch, one noise, the same times and
the same dropout masks. What else had to be made alike stands in the row. The figure is the largest
of |ours - theirs| / |theirs|: number by number for losses, weights and schedules, and against the
largest number of the tensor for gradients and samples. A row above 1e-9 gives its reason, and
names the module whose docstring says the same; the exit status is 1 if one does not.

The table is written to --out (docs/fidelity.md). A row whose checkout was not given keeps its
place and says "not run".
"""

import argparse
import ast
import json
import math
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

# All that is used of cmlab.
from cmlab.losses import L1, GemanMcClure, SquaredL2
from cmlab.methods import CD, CT, CTM, ECT, EDM, PCM, SCM, SLCT, MeanFlow, Shortcut
from cmlab.methods.critic import Critic, HingeGenerator, LinearGenerator
from cmlab.methods.ct import GridDecay, SqrtGrowth
from cmlab.methods.ect import ECTMapping
from cmlab.methods.editing import colouring, edit, inpainting, super_resolution
from cmlab.methods.edm import EDMWeight
from cmlab.methods.flow_map import jump, mean_velocity
from cmlab.methods.ict import Doubling, InverseGap, PseudoHuber
from cmlab.methods.meanflow import AdaptiveWeight
from cmlab.methods.pcm import Phases, noisier
from cmlab.methods.posterior_sampling import ancestral
from cmlab.methods.scm import BackwardDifference, ConstantWeight, LearnedWeight, UnitNorm, UnitRMS
from cmlab.methods.slct import Cauchy, Independent, MinibatchOT, Tightening, first_c
from cmlab.model import (
    CMPrecond,
    Denoiser,
    EDMPrecond,
    QuarterLog,
    TrigPrecond,
    VelocityPrecond,
    carried,
    conditioned,
)
from cmlab.nets.norm import NonScalingNorm
from cmlab.noise_levels import KarrasGrid, LogNormal
from cmlab.process import RectifiedFlow, TrigFlow, VariancePreserving
from cmlab.process import VarianceExploding as EDMProcess
from cmlab.sampling import ddim, heun, multistep, ode
from cmlab.schedules import Constant, HalfLifeRamp
from cmlab.teacher import EMATarget, NetworkTeacher

EQUAL = 1e-9
NORM, GAP = UnitNorm(0.1), InverseGap()
CHECKOUTS = {
    "ect": "locuslab/ect",
    "cm": "openai/consistency_models",
    "cm-jax": "openai/consistency_models_cifar10",
    "fastgen": "NVlabs/FastGen",
    "pcm": "G-U-N/Phased-Consistency-Model",
    "lct": "quandao10/LCT",
    "rcm": "NVlabs/rcm",
    "meanflow": "Gsunshine/py-meanflow",
    "imf": "Lyy-iiis/imeanflow",
    "shortcut": "kvfrans/shortcut-models",
    "ctm": "sony/ctm",
}


@dataclass(frozen=True)
class Row:
    """One comparison: `gap` is the largest relative difference, None where it was not run."""

    what: str
    ours: str
    theirs: str
    gap: float | None
    aligned: str = ""
    reason: str = ""  # why the two are not equal
    said_in: str = ""  # the module whose docstring says so too


# ---------------------------------------------------------------- the authors' code


def parsed(path: Path) -> ast.Module:
    if not path.is_file():
        raise SystemExit(f"{path} does not exist; check out the commit in the table")
    return ast.parse(path.read_text(encoding="utf-8"))


def definitions(root: Path, file: str, *names: str, **given: Any) -> SimpleNamespace:
    """The named functions, classes and methods ("Class.method") of a file, and nothing else of it.

    `given` is what their bodies refer to. Annotations are not evaluated.
    """
    tree = parsed(root / file)
    body = []
    for name in names:
        nodes, found = tree.body, None
        for part in name.split("."):
            found = next((n for n in nodes if getattr(n, "name", None) == part), None)
            if found is None:
                raise SystemExit(f"{root / file} has no {name}; check out the commit in the table")
            nodes = getattr(found, "body", [])
        body.append(found)
    space = {
        "torch": torch,
        "th": torch,
        "nn": nn,
        "np": np,
        "math": math,
        "F": functional,
        **given,
    }
    run(body, space, file)
    return SimpleNamespace(**{n.split(".")[-1]: space[n.split(".")[-1]] for n in names})


def statements(
    root: Path, file: str, test: str, otherwise: bool = False, **given: Any
) -> dict[str, Any]:
    """The names that the body of `if test:` leaves, wherever it stands in a file, or its else."""
    for node in ast.walk(parsed(root / file)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == test:
            space = {"torch": torch, "np": np, "math": math, "F": functional, **given}
            run(node.orelse if otherwise else node.body, space, file)
            return space
    raise SystemExit(f"{root / file} has no `if {test}`; check out the commit in the table")


def run(body: list[Any], space: dict[str, Any], file: str) -> None:
    module = ast.Module(body, type_ignores=[])
    flags = __import__("__future__").annotations.compiler_flag
    exec(compile(module, file, "exec", flags, dont_inherit=True), space)


class Doubled:
    """torch, for code that asks for float32 by name: here it is given float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def identity(thing: Any) -> Any:
    return thing


# ------------------------------------------------------------- what both sides share

SHAPE = (3, 8, 8)
NUMBERS = math.prod(SHAPE)
LEVELS = (0.004, 0.03, 0.2, 0.9, 4.0, 40.0)


class Net(nn.Module):
    """The network of all rows: two convolutions, a time input and dropout."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.time = nn.Linear(1, 8)
        self.drop = nn.Dropout(dropout)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        h = self.first(x) + self.time(t[:, None])[:, :, None, None]
        return self.last(self.drop(torch.tanh(h)))


@dataclass(frozen=True)
class Given:
    """Pairs of times that were drawn beforehand."""

    t: Tensor
    r: Tensor

    def __call__(self, process: Any, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return self.t, self.r


@contextmanager
def draws(**queues: list[Tensor]) -> Iterator[None]:
    """torch.randn and its like answer with these tensors, in turn."""
    kept = {name: getattr(torch, name) for name in queues}
    for name, queue in queues.items():
        waiting = deque(queue)
        setattr(torch, name, lambda *a, waiting=waiting, **k: waiting.popleft().clone())
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Data and noise."""
    make = torch.Generator().manual_seed(seed)
    shape = (len(LEVELS), *SHAPE)
    return 0.5 * torch.randn(shape, generator=make), torch.randn(shape, generator=make)


def network(seed: int = 1, dropout: float = 0.2) -> Net:
    torch.manual_seed(seed)
    return Net(dropout)


def gradients(loss: Tensor, net: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss.sum(), list(net.parameters())))


def with_gradients(make: Callable[[], Tensor], net: nn.Module) -> list[Tensor]:
    """A loss, (b,), and its gradient by every weight; the dropout masks come from one seed."""
    torch.manual_seed(7)
    loss = make()
    return [loss.detach(), *gradients(loss, net)]


def loss_of(method: Any, model: Any, x: Tensor, z: Tensor, net: nn.Module, step: int = 0) -> list:
    with draws(randn_like=[z]):
        return with_gradients(lambda: method.loss(model, x, step), net)


def worst(pairs: Iterable[tuple[Any, Any]]) -> float:
    return max(gap(ours, theirs) for ours, theirs in pairs)


def gap(ours: Any, theirs: Any) -> float:
    """The largest relative difference, see the head of this file."""
    if isinstance(ours, list | tuple):
        return worst(zip(ours, theirs, strict=True))
    a, b = torch.as_tensor(ours).detach().double(), torch.as_tensor(theirs).detach().double()
    if a.shape != b.shape or not bool(b.isfinite().all()):
        raise ValueError(f"{tuple(a.shape)} cannot be compared with {tuple(b.shape)}: {b}")
    scale = b.abs() if b.ndim < 2 else b.abs().max()
    apart = (a - b).abs() / scale
    return float(torch.where(a == b, 0.0, apart).max())


# ---------------------------------------------------------------- ECT


def ect(root: Path) -> Iterator[Row]:
    file = "training/loss.py"
    torch.cuda.get_rng_state, torch.cuda.set_rng_state = torch.get_rng_state, torch.set_rng_state
    dist = SimpleNamespace(print0=lambda *a: None)
    persistence = SimpleNamespace(persistent_class=identity)
    Loss = definitions(root, file, "ECMLoss", dist=dist, persistence=persistence).ECMLoss

    t, pairs, theirs = torch.logspace(-3, 2, 400), ECTMapping(), Loss()
    both = []
    for stage in range(8):
        theirs.update_schedule(stage)
        both.append((t * pairs.ratio(t, 25_000 * stage), theirs.t_to_r(t)))
    yield Row(
        "ECT: r(t) in all 8 stages",
        "ECT's pairs, its default",
        f"{file}: ECMLoss.t_to_r",
        worst(both),
        "their stage s is our step 25,000 s",
    )

    x, z = batch()
    net = network()
    model, level = Denoiser(net, EDMPrecond()), torch.tensor(LEVELS)

    def asked(y: Tensor, t: Tensor, labels: None, augment_labels: None) -> Tensor:
        return model(y, t.flatten())

    def their_loss(stage: int, c: float) -> list[Tensor]:
        loss = Loss(c=c)
        loss.update_schedule(stage)
        normal = ((level.log() - loss.P_mean) / loss.P_std).reshape(-1, 1, 1, 1)
        with draws(randn=[normal], randn_like=[z]):
            return with_gradients(lambda: loss(asked, x), net)

    def our_loss(stage: int, c: float) -> list[Tensor]:
        r = level * pairs.ratio(level, 25_000 * stage)
        return loss_of(ECT(Given(level, r), PseudoHuber(c)), model, x, z, net)

    same = "network (with its preconditioning), noise, t, dropout"
    for stage in (0, 2, 7):
        yield Row(
            f"ECT: loss and gradient, stage {stage}",
            "ECT.loss",
            f"{file}: ECMLoss",
            gap(our_loss(stage, 0.0), their_loss(stage, 0.0)),
            f"{same}; c = 0",
        )
    yield Row(
        "ECT: the same with its default c",
        "ECT.loss",
        f"{file}: ECMLoss",
        gap(our_loss(7, ECT().metric.c), their_loss(7, 0.0)),
        same,
        "theirs has c = 0, ours 1e-8, which keeps a gradient where both answers agree",
        "cmlab.methods.ect",
    )
    yield Row(
        "ECT: loss and gradient, c = 0.06",
        "ECT.loss",
        f"{file}: ECMLoss",
        gap(our_loss(7, 0.06), their_loss(7, 0.06)),
        same,
    )

    file, name = "training/networks.py", "ECMPrecond.forward"
    forward = definitions(root, file, name, torch=Doubled()).forward
    raw = SimpleNamespace(
        sigma_data=0.5,
        sigma_min=0.003,
        label_dim=0,
        use_fp16=False,
        model=lambda x, t, class_labels: net(x, t),
    )
    for training, precond, ours in (
        (True, EDMPrecond(), "EDMPrecond"),
        (False, CMPrecond(sigma_min=0.003), "CMPrecond(sigma_min=0.003)"),
    ):
        raw.training = training
        net.eval()
        mine = Denoiser(net, precond)(x, level)
        yield Row(
            f"ECT: preconditioning in {'training' if training else 'evaluation'}",
            ours,
            f"{file}: {name}",
            gap(mine, forward(raw, x, level)),
            "float32 read as float64",
        )
    shifted = forward(raw, x, level)
    yield Row(
        "ECT: what is sampled after training",
        "EDMPrecond",
        f"{file}: {name}",
        gap(model(x, level), shifted),
        "float32 read as float64",
        "their evaluation shifts the preconditioning by σ_min = 0.003; here a model is "
        "sampled as it was trained",
        "cmlab.methods.ect",
    )

    file = "training/ct_training_loop.py"
    sample = definitions(root, file, "generator_fn").generator_fn
    levels, fresh = torch.tensor([80.0, 5.0, 0.821]), [batch(s)[1] for s in (2, 3)]

    def given(y: Tensor, t: Tensor, labels: None) -> Tensor:
        return model(y, t.repeat(len(y)))

    given.round_sigma = identity
    with torch.no_grad():
        with draws(randn_like=fresh):
            made = sample(given, z, mid_t=levels[1:].tolist())
        with draws(randn_like=fresh):  # a default argument keeps the function of its day
            *_, mine = multistep(
                EDMProcess(), model, 80 * z, levels, lambda y: torch.randn_like(y)
            )
    batch_size, images, test = 512, 500_000, "ema_halflife_kimg is not None"
    ramp, both = HalfLifeRamp(0.05), []
    for k in (0, 1, 100, 10_000, 19_531, 19_532, 390_000):
        given_at = dict(
            cur_nimg=k * batch_size,
            batch_size=batch_size,
            ema_halflife_kimg=500,
            ema_rampup_ratio=0.05,
        )
        made_at = statements(root, file, test, **given_at)["ema_beta"]
        both.append((min(0.5 ** (batch_size / images), ramp(k)), made_at))
    yield Row(
        "EDM: decay of the average of the weights",
        "EMA, HalfLifeRamp",
        f"{file}: training_loop",
        worst(both),
        "batch 512, half-life 0.5 million images, ramp 0.05; the loop is ECT's copy of EDM's",
    )
    yield Row(
        "ECT: three-step sampler",
        "multistep",
        f"{file}: generator_fn",
        gap(mine, made),
        "network, noises",
    )


# ---------------------------------------------------------------- CM


def cm(root: Path) -> Iterator[Row]:
    tools = definitions(root, "cm/nn.py", "mean_flat", "append_dims", "append_zero")
    file = "cm/karras_diffusion.py"
    names = (
        "get_weightings",
        "KarrasDenoiser",
        "get_sigmas_karras",
        "to_d",
        "get_ancestral_step",
        "sample_euler_ancestral",
        "sample_heun",
        "sample_euler",
        "stochastic_iterative_sampler",
        "iterative_colorization",
        "iterative_inpainting",
        "iterative_superres",
    )
    device = SimpleNamespace(dev=lambda: "cpu")
    code = definitions(root, file, *names, **vars(tools), th=Doubled(), dist_util=device)

    grids = [(KarrasGrid().down(n), code.get_sigmas_karras(n, 0.002, 80.0)) for n in (18, 40, 201)]
    grids = [(a[:-1], b[:-1]) for a, b in grids]  # the last is 0 in both
    yield Row(
        "CM: noise levels of 18, 40 and 201 points",
        "KarrasGrid.down",
        f"{file}: get_sigmas_karras",
        worst(grids),
    )

    level = torch.tensor(LEVELS)
    diffusion = code.KarrasDenoiser(loss_norm="l2", weight_schedule="uniform", distillation=True)
    edm = code.KarrasDenoiser(loss_norm="l2", weight_schedule="karras")
    yield Row(
        "CM: preconditioning",
        "CMPrecond",
        f"{file}: KarrasDenoiser.get_scalings_for_boundary_condition",
        gap(
            list(CMPrecond()(level)[:3]),
            list(diffusion.get_scalings_for_boundary_condition(level)),
        ),
    )
    yield Row(
        "EDM: preconditioning",
        "EDMPrecond",
        f"{file}: KarrasDenoiser.get_scalings",
        gap(list(EDMPrecond()(level)[:3]), list(edm.get_scalings(level))),
    )
    yield Row(
        "EDM: weight",
        "EDMWeight",
        f"{file}: get_weightings",
        gap(EDMWeight()(level, level), code.get_weightings("karras", level**-2, 0.5)),
    )

    make = definitions(root, "cm/script_util.py", "create_ema_and_scales_fn")
    schedule = make.create_ema_and_scales_fn("adaptive", 0.9, "progressive", 2, 150, 800_000, 0)
    steps = [0, 1, 7, *range(1000, 800_001, 4999), 800_000]
    mus, counts = zip(*map(schedule, steps), strict=True)
    points, name = SqrtGrowth(), "cm/script_util.py: create_ema_and_scales_fn"
    yield Row(
        "CT: number of grid points N(k)",
        "SqrtGrowth",
        name,
        gap([points(k) for k in steps], list(counts)),
    )
    decay = GridDecay().on_grid(points)
    yield Row(
        "CT: decay of the target μ(k)",
        "GridDecay",
        name,
        gap([decay(k) for k in steps], list(mus)),
        "",
        "theirs divides by N(k) - 1, the number of intervals; the paper, followed here, by N(k)",
        "cmlab.methods.ct",
    )
    by_intervals = GridDecay().on_grid(lambda k: points(k) - 1)
    yield Row(
        "CT: the same by intervals",
        "GridDecay",
        name,
        gap([by_intervals(k) for k in steps], list(mus)),
        "N(k) - 1 on both sides",
    )

    x, z = batch()
    net, slow, frozen = network(), network(2), network(3, 0.0)
    count, index = 40, torch.tensor([38, 30, 21, 14, 6, 0])
    t, r = KarrasGrid().down(count)[index], KarrasGrid().down(count)[index + 1]

    def asked(of: nn.Module) -> Callable[..., Tensor]:
        return lambda y, time: of(y, time / 1000)

    def their_loss(code: Any, draw: Tensor = index, **more: Any) -> list[Tensor]:
        def loss() -> Tensor:
            with draws(randint=[draw]):
                made = code.consistency_losses(asked(net), x, count, noise=z, **more)
            return NUMBERS * made["loss"]

        return with_gradients(loss, net)

    target = EMATarget()
    target.network = Denoiser(slow, CMPrecond())
    model, teacher = Denoiser(net, CMPrecond()), NetworkTeacher(Denoiser(frozen, EDMPrecond()))
    same = "network, noise, t, r, dropout; their mean over pixels times their number; their time "
    same += "input by 1000"
    name = f"{file}: KarrasDenoiser.consistency_losses"
    for norm, metric in (("l2", SquaredL2()), ("l1", L1())):
        diffusion.loss_norm = norm
        mine = loss_of(CT(Given(t, r), metric, target=target), model, x, z, net)
        yield Row(
            f"CT: loss and gradient, {norm}",
            "CT.loss",
            name,
            gap(mine, their_loss(diffusion, target_model=asked(slow))),
            same,
        )
    diffusion.loss_norm = "l2"
    mine = loss_of(CD(teacher, heun, Given(t, r), target=target), model, x, z, net)
    made = their_loss(
        diffusion, target_model=asked(slow), teacher_model=asked(frozen), teacher_diffusion=edm
    )
    yield Row("CD: loss and gradient, Heun teacher, ℓ2", "CD.loss", name, gap(mine, made), same)

    clean = Denoiser(net, EDMPrecond())
    mine = loss_of(EDM(Given(level, torch.zeros_like(level))), clean, x, z, net)
    made = with_gradients(
        lambda: NUMBERS * edm.training_losses(asked(net), x, level, noise=z)["loss"], net
    )
    yield Row(
        "EDM: loss and gradient",
        "EDM.loss",
        f"{file}: KarrasDenoiser.training_losses",
        gap(mine, made),
        same,
    )

    net.eval()
    yield from samplers(code, file, model.requires_grad_(False), z)


def samplers(code: Any, file: str, f: Denoiser, z: Tensor) -> Iterator[Row]:
    """openai's samplers; f is a model of ours, which takes a time for each sample."""
    grid = KarrasGrid().down(18)
    process, fresh = EDMProcess(), [batch(seed)[1] for seed in range(2, 20)]

    def generator() -> SimpleNamespace:
        waiting = deque(fresh)
        return SimpleNamespace(randn_like=lambda y: waiting.popleft())

    for name, solver, their in (
        ("Heun", heun, code.sample_heun),
        ("Euler", ddim, code.sample_euler),
    ):
        *_, mine = ode(process, f, 80 * z, grid, solver)
        yield Row(
            f"EDM: {name} sampler, 18 steps",
            "ode",
            f"{file}: {their.__name__}",
            gap(mine, their(f, 80 * z, grid, generator())),
            "network, levels",
        )

    y = 80 * z
    for level, below, noise in zip(grid[:-1], grid[1:], fresh, strict=True):
        t, r = level.repeat(len(z)), below.repeat(len(z))
        y = ancestral(y, f(y, t), t, r, noise)
    made = code.sample_euler_ancestral(f, 80 * z, grid, generator())
    yield Row(
        "DPS: ancestral Euler steps, 18 of them",
        "posterior_sampling's ancestral",
        f"{file}: sample_euler_ancestral",
        gap(y, made),
        "network, levels, noises",
    )

    index, count = (0, 22, 30, 39), 40
    levels = KarrasGrid().down(count)[list(index[:-1])]
    made = code.stochastic_iterative_sampler(f, 80 * z, None, generator(), index, steps=count)

    def walk(noise: Callable[[Tensor], Tensor]) -> Tensor:
        *_, mine = multistep(process, f, 80 * z, levels, noise)
        return mine

    waiting = deque(fresh)
    mine = walk(lambda y: waiting.popleft())
    name = f"{file}: stochastic_iterative_sampler"
    yield Row(
        "CM: multistep sampler, three calls",
        "multistep",
        name,
        gap(mine, made),
        "network, levels, noises",
        "theirs adds noise of √(τ² - σ_min²), ours of τ, as ECT's",
        "cmlab.sampling",
    )

    small = [((tau**2 - 0.002**2).sqrt() / tau) for tau in levels[1:]]
    scaled = deque(s * noise for s, noise in zip(small, fresh, strict=False))
    yield Row(
        "CM: the same with √(τ² - σ_min²)",
        "multistep",
        name,
        gap(walk(lambda y: scaled.popleft()), made),
        "network, levels, noises, their scale",
    )
    yield from editors(code, file, f, index, levels, small)


def editors(
    code: Any, file: str, f: Denoiser, index: tuple, levels: Tensor, small: list[Tensor]
) -> Iterator[Row]:
    """Zero-shot editing. Both are given the same first x_T, and our noises their scale."""
    torch.manual_seed(5)
    y, z = (torch.randn(7, 3, 16, 16).clamp(-1, 1) for _ in range(2))
    fresh = [torch.randn(7, 3, 16, 16) for _ in range(3)]

    def clamped(x: Tensor, t: Tensor) -> Tensor:
        return f(x, t).clamp(-1, 1)

    def generator() -> SimpleNamespace:
        waiting = deque(fresh)
        return SimpleNamespace(randn_like=lambda y: waiting.popleft())

    def ours(task: Any, given: Tensor, denoise: Any = clamped) -> Tensor:
        scaled = [s * noise for s, noise in zip(small, fresh, strict=False)]
        with draws(randn_like=[z, *scaled]):
            *_, mine = edit(EDMProcess(), denoise, task, given, levels)
        return mine

    def start(task: Any, given: Tensor) -> Tensor:
        return task.project(torch.zeros_like(given), given) + levels[0] * z

    same = "network, levels, noises and their scale, first x_T, every call clamped to [-1, 1]"
    task = colouring()
    made, _ = code.iterative_colorization(f, y, start(task, y), index, generator=generator())
    yield Row(
        "CM: colouring",
        "edit, colouring",
        f"{file}: iterative_colorization",
        gap(ours(task, y), made),
        same,
    )
    yield Row(
        "CM: the same without a clamp",
        "edit, colouring",
        f"{file}: iterative_colorization",
        gap(ours(task, y, f), made),
        "all but the clamp",
        "openai's editors clamp every call to [-1, 1]; here none is clamped",
        "cmlab.methods.editing",
    )

    task = super_resolution(8)
    made, _ = code.iterative_superres(f, y, start(task, y), index, generator=generator())
    yield Row(
        "CM: super-resolution by 8",
        "edit, super_resolution",
        f"{file}: iterative_superres",
        gap(ours(task, y), made),
        same,
    )

    import PIL.ImageDraw
    import PIL.ImageFont

    def painter(image: Any) -> SimpleNamespace:  # a block in place of a letter: no font is needed
        return SimpleNamespace(text=lambda *a, **k: image.paste((0, 0, 0), (3, 2, 9, 14)))

    PIL.ImageDraw.Draw, PIL.ImageFont.truetype = painter, lambda *a: None
    missing = torch.zeros(3, 16, 16)
    missing[:, 2:14, 3:9] = 1
    task = inpainting(missing)
    begin = task.project(-torch.ones_like(y), y) + levels[0] * z  # white noise round their grey
    made, _ = code.iterative_inpainting(f, y, begin, index, generator=generator())
    shifted = z - missing / levels[0]
    scaled = [s * noise for s, noise in zip(small, fresh, strict=False)]
    with draws(randn_like=[shifted, *scaled]):
        *_, mine = edit(EDMProcess(), clamped, task, y, levels)
    yield Row(
        "CM: inpainting",
        "edit, inpainting",
        f"{file}: iterative_inpainting",
        gap(mine, made),
        f"{same}; a block for the letter",
    )


def cm_jax(root: Path) -> Iterator[Row]:
    """The JAX code; what is compared here are schedules, which NumPy evaluates as well."""
    file = "jcm/losses.py"
    make = definitions(root, file, "get_ema_scales_fn", jnp=np).get_ema_scales_fn
    training = SimpleNamespace(
        loss="consistency_adaptive",
        target_ema_mode="adaptive",
        scale_mode="progressive",
        start_ema=0.9,
        start_scales=2,
        end_scales=150,
        n_iters=800_000,
    )
    schedule = make(SimpleNamespace(training=training))
    steps = [0, 1, 7, *range(1000, 800_001, 4999), 800_000]
    mus, counts = zip(*map(schedule, steps), strict=True)
    points = SqrtGrowth()
    decay = GridDecay().on_grid(lambda k: points(k) - 1)
    name = f"{file}: get_ema_scales_fn"
    yield Row(
        "CT in JAX: number of grid points N(k)",
        "SqrtGrowth",
        name,
        gap([points(k) for k in steps], list(counts)),
        "NumPy for jax.numpy",
    )
    yield Row(
        "CT in JAX: decay of the target μ(k)",
        "GridDecay",
        name,
        gap([decay(k) for k in steps], list(mus)),
        "NumPy for jax.numpy; N(k) - 1 on both sides",
    )


# ---------------------------------------------------------------- FastGen: ECT, CD, sCT, sCD


def fastgen(root: Path) -> Iterator[Row]:
    base = "fastgen/methods/consistency_model"
    expand = definitions(root, "fastgen/utils/__init__.py", "expand_like").expand_like
    logger = SimpleNamespace(warning=lambda *a: None, critical=lambda *a: None)
    from abc import abstractmethod

    schedules = definitions(
        root,
        "fastgen/networks/noise_schedule.py",
        "BaseNoiseSchedule",
        "EDMNoiseSchedule",
        "TrigNoiseSchedule",
        expand_like=expand,
        logger=logger,
        abstractmethod=abstractmethod,
        PRECISION_MAP={"float64": torch.float64},
    )
    edm, trig = schedules.EDMNoiseSchedule(), schedules.TrigNoiseSchedule()

    x, z = batch()
    net, frozen, level = network(), network(3, 0.0), torch.tensor(LEVELS)
    model, teacher = Denoiser(net, EDMPrecond()), Denoiser(frozen, EDMPrecond())

    class Asked:
        """A denoiser of ours as their network."""

        noise_scheduler = edm

        def __init__(self, of: Denoiser, logvar: Callable[[Tensor], Tensor] | None = None) -> None:
            self.of, self.logvar = of, logvar

        def __call__(
            self,
            y: Tensor,
            t: Tensor,
            condition: None = None,
            fwd_pred_type: str = "x0",
            return_logvar: bool = False,
        ) -> Any:
            made = self.of(y, t)
            if fwd_pred_type == "flow":
                made = edm.x0_to_flow(y, made, t)
            return (made, self.logvar(t)[:, None]) if return_logvar else made

    file = f"{base}/CM.py"
    names = ("t_to_r_sigmoid", "ode_solver", "CMModel._compute_cm_loss", "CMModel._pred_to_loss")
    code = definitions(root, file, *names, expand_like=expand, logger=logger)
    pairs = ECTMapping()
    t = torch.logspace(math.log10(0.02), math.log10(80), 400)
    both = [
        (t * pairs.ratio(t, 25_000 * stage), code.t_to_r_sigmoid(t, 1 - 0.5 ** (stage + 1), 0.0))
        for stage in range(2, 8)
    ]
    yield Row(
        "ECT in FastGen: r(t), stages 2 to 7",
        "ECT's pairs",
        f"{file}: t_to_r_sigmoid",
        worst(both),
        "their ratio 1 - 2^-(stage + 1); r above 0.002, where theirs is cut off",
    )

    def their_loss(use_cd: bool) -> list[Tensor]:
        self = SimpleNamespace(
            sample_t_cfg=SimpleNamespace(min_r=0.0, quantize=False),
            ratio=1 - 0.5**8,
            loss_config=SimpleNamespace(
                use_cd=use_cd, huber_const=1e-8, weighting_ct_loss="default"
            ),
            config=SimpleNamespace(guidance_scale=None, skip_layers=None),
            teacher=Asked(teacher),
            device=torch.device("cpu"),
        )
        self._pred_to_loss = MethodType(code._pred_to_loss, self)
        with draws(randn_like=[z]):
            return with_gradients(
                lambda: code._compute_cm_loss(self, Asked(model), x, level)[0], net
            )

    r = level * pairs.ratio(level, 175_000)
    same = "network (with its preconditioning), noise, t, dropout"
    name = f"{file}: CMModel._compute_cm_loss"
    yield Row(
        "ECT in FastGen: loss and gradient",
        "ECT.loss",
        name,
        gap(loss_of(ECT(Given(level, r)), model, x, z, net), their_loss(False)),
        same,
    )
    method = CD(NetworkTeacher(teacher), ddim, Given(level, r), PseudoHuber(1e-8), InverseGap())
    yield Row(
        "CD in FastGen: loss and gradient",
        "CD.loss",
        name,
        gap(loss_of(method, model, x, z, net), their_loss(True)),
        f"{same}; Euler teacher, ECT's pairs, metric and weight",
    )

    yield from scm_in_fastgen(root, f"{base}/sCM.py", expand, logger, trig, Asked)
    yield from meanflow_in_fastgen(root, f"{base}/mean_flow.py", expand, logger)


def scm_in_fastgen(
    root: Path, file: str, expand: Any, logger: Any, trig: Any, Asked: Any
) -> Iterator[Row]:
    """sCM: theirs wraps an EDM network in TrigFlow, ours carries it over (a change of sign)."""

    class Network(nn.Module):
        def __init__(self, net_pred_type: str, schedule_type: str) -> None:
            super().__init__()
            self.noise_scheduler = trig

    names = ("_compute_vt", "_jvp", "_compute_scm_loss", "_scm_pred_to_loss")
    code = definitions(
        root,
        file,
        "TrigFlowPrecond",
        *(f"SCMModel.{name}" for name in names),
        expand_like=expand,
        logger=logger,
        FastGenNetwork=Network,
    )
    x, z = batch()
    frozen, level = network(3, 0.0), torch.tensor(LEVELS)
    teacher = Denoiser(frozen, EDMPrecond())
    balance = LearnedWeight()
    balance.attach(teacher)
    nn.init.normal_(balance.network.linear.weight, std=0.3)
    precond = TrigPrecond(0.5, QuarterLog())
    process = TrigFlow(0.5)
    angle = process.time(level)

    def logvar(t: Tensor) -> Tensor:
        return -balance.network(process.time(t))

    def their_loss(net: nn.Module, iteration: int, **options: bool) -> list[Tensor]:
        asked = Asked(Denoiser(net, EDMPrecond()), logvar)
        settings = dict(
            use_cd=False,
            tangent_warmup_steps=10_000,
            tangent_warmup_const=0.1,
            use_jvp_finite_diff=False,
            prior_weighting_enabled=False,
            g_norm_spatial_invariance=False,
            divide_x_0_spatial_dim=False,
        )
        self = SimpleNamespace(
            sample_t_cfg=SimpleNamespace(quantize=False),
            net=asked,
            sigma_data=0.5,
            net_trigflow=code.TrigFlowPrecond(asked),
            precision_amp_jvp=None,
            teacher_trigflow=code.TrigFlowPrecond(Asked(teacher)),
            device=torch.device("cpu"),
            config=SimpleNamespace(guidance_scale=None),
            loss_config=SimpleNamespace(**settings),
        )
        vars(self.loss_config).update(options)
        for name in names:
            setattr(self, name, MethodType(getattr(code, name), self))
        with draws(randn_like=[z]):
            return with_gradients(
                lambda: self._compute_scm_loss(x, level, iteration=iteration)[0], net
            )

    def our_loss(
        net: nn.Module, iteration: int, bound: Any = NORM, weigh: Any = balance, **more: Any
    ) -> list[Tensor]:
        method = SCM(pairs=Given(angle, angle), bound=bound, loss_weighting=weigh, **more)
        # The wrapped network changes its sign from outside, so that both share their weights.
        model = Denoiser(Negative(net), precond)
        return loss_of(method, model, x, z, net, iteration)

    net = network(1, 0.0)
    same = (
        "network, noise, t, their wrapper of an EDM network against a change of its sign, "
        "log variance = -w"
    )
    off = (
        f"{same}; their 1/σ_t, their second division by D and their root mean square switched off"
    )
    name = f"{file}: SCMModel._compute_scm_loss"
    for k in (0, 3_000, 10_000):
        yield Row(
            f"sCT: loss and gradient, warm-up at {k / 10_000:g}",
            "SCM.loss",
            name,
            gap(our_loss(net, k), their_loss(net, k)),
            off,
        )
    cd = our_loss(net, 10_000, teacher=NetworkTeacher(carried_over(teacher, precond)))
    yield Row(
        "sCD: loss and gradient",
        "SCM.loss",
        name,
        gap(cd, their_loss(net, 10_000, use_cd=True)),
        off,
    )

    defaults = dict(
        prior_weighting_enabled=True, g_norm_spatial_invariance=True, divide_x_0_spatial_dim=True
    )

    def theirs(t: Tensor, loss: Tensor) -> Tensor:
        w = balance.network(t)
        return w.exp() * loss / (process.level(t) * NUMBERS) - w

    made = their_loss(net, 10_000, **defaults)
    yield Row(
        "sCT: FastGen's default options",
        "SCM.loss",
        name,
        gap(our_loss(net, 10_000, UnitRMS(0.1), theirs), made),
        f"{same}; our bound UnitRMS and our weight times 1/(σ_t D)",
    )
    yield Row(
        "sCT: both with their defaults",
        "SCM.loss",
        name,
        gap(our_loss(net, 10_000), made),
        same,
        "theirs bounds by a root mean square, multiplies by 1/σ_t and divides by D twice",
        "cmlab.methods.scm",
    )
    dropped = network(1, 0.2)
    yield Row(
        "sCT: the same as the third row of sCT, with dropout",
        "SCM.loss",
        name,
        gap(our_loss(dropped, 10_000), their_loss(dropped, 10_000)),
        off,
        "theirs draws a second dropout mask for the tangent, ours keeps the first",
        "cmlab.methods.scm",
    )


class Negative(nn.Module):
    """-F: what an EDM network is to TrigFlow."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        return -self.net(x, t, cond)


def carried_over(edm: Denoiser, precond: TrigPrecond) -> Denoiser:
    """cmlab's own conversion of an EDM model to TrigFlow."""
    return carried(edm, precond)


# ---------------------------------------------------------------- PCM


def pcm(root: Path) -> Iterator[Row]:
    torch.Tensor.float = torch.Tensor.double  # their losses are taken in float32
    base = "code/text_to_image_sd15"
    file = f"{base}/train_pcm_lora_sd15_adv.py"
    code = definitions(
        root,
        file,
        "append_dims",
        "scalings_for_boundary_conditions_target",
        "predicted_origin",
        "extract_into_tensor",
        "DDIMSolver",
    )
    process = VariancePreserving()
    clock = torch.arange(1, 1001) / 1000  # our time of their timestep
    alpha, sigma = process(clock)
    solver = code.DDIMSolver((alpha**2).numpy(), 1000, 50)
    level = process.level(clock)

    for phases in (1, 2, 4, 8):
        starts = np.floor(np.linspace(0, 50, phases, endpoint=False)).astype(int)
        theirs = [*solver.ddim_timesteps_prev[starts].tolist(), 999]
        rising = [0, *solver.ddim_timesteps.tolist()]
        where = [m * 50 // phases for m in range(phases + 1)]
        if phases == 1:
            both = []
        both.append(([float(rising[i]) for i in where], [float(i) for i in theirs]))
    yield Row(
        "PCM: edges of 1, 2, 4 and 8 phases of 50 steps",
        "cut",
        f"{file}: DDIMSolver.ddim_style_multiphase_pred",
        worst((torch.tensor(a)[1:], torch.tensor(b)[1:]) for a, b in both),
        "in timesteps",
    )

    count = 4
    edges = [0, 239, 499, 739, 999]
    phases = Phases(tuple(level[edges].tolist()))
    index = torch.tensor([0, 11, 12, 24, 37, 49])  # 12, 25 and 37 are edges
    start, end = solver.ddim_timesteps[index], solver.ddim_timesteps_prev[index]
    t, r = clock[start], clock[end]
    x, z = batch()
    net, frozen = network(), network(3, 0.0)

    class Noise(nn.Module):
        """A network that answers with the noise, as a denoiser of ours."""

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net, self.process = net, process

        def forward(self, y: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
            a, s = (v.reshape(-1, 1, 1, 1) for v in process(t))
            return (y - s * self.net(y, t)) / a

    def jump(of: nn.Module, y: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        noise = of(y, clock[timestep])
        x0 = code.predicted_origin(noise, timestep, y, "epsilon", alpha, sigma)
        return x0, noise

    def their_jumps() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x_t = process.perturb(x, z, t)
        state = torch.get_rng_state()
        predicted, end_edge = solver.ddim_style_multiphase_pred(
            *jump(net, x_t, start), index, count
        )
        torch.set_rng_state(state)  # theirs have no dropout
        with torch.no_grad():
            x_r = solver.ddim_step(*jump(frozen, x_t, start), index)
            target, _ = solver.ddim_style_multiphase_pred(*jump(net, x_r, end), index, count)
            starts = torch.from_numpy(np.floor(np.linspace(0, 50, count, endpoint=False)))
            skip, out = code.scalings_for_boundary_conditions_target(index, starts.long())
            target = code.append_dims(skip, 4) * x_r + code.append_dims(out, 4) * target
        return predicted, target, end_edge, x_r

    model, teacher = Noise(net), NetworkTeacher(Noise(frozen))
    torch.manual_seed(7)
    predicted, target, edge, x_r = their_jumps()
    yield Row(
        "PCM: the edge that each step jumps to",
        "Phases.floor",
        f"{file}: DDIMSolver.ddim_style_multiphase_pred",
        gap(phases.floor(process, t), clock[edge]),
        "their ᾱ made from our process; their timestep i at (i + 1)/1000",
    )
    yield Row(
        "PCM: teacher's DDIM step",
        "ddim",
        f"{file}: DDIMSolver.ddim_step",
        gap(ddim(process, teacher(x), process.perturb(x, z, t), t, r), x_r),
        "the same process, network, noise",
    )

    def their_loss(kind: str) -> list[Tensor]:
        def loss() -> Tensor:
            predicted, target, _, _ = their_jumps()
            settings = SimpleNamespace(huber_c=1e-3, loss_type=kind)
            test = f"args.loss_type == '{kind}'"
            return statements(
                root, file, test, model_pred=predicted, target=target, args=settings
            )["loss"]

        return with_gradients(loss, net)

    def our_loss(metric: Any) -> list[Tensor]:
        method = PCM(teacher, phases, ddim, Given(t, r), metric)
        with draws(randn_like=[z]):
            return with_gradients(lambda: method.loss(model, x, 0).mean(), net)

    same = "process, network, teacher, noise, t, r, edges, dropout; one number a batch"
    squared = [g / NUMBERS for g in our_loss(SquaredL2())]
    yield Row(
        "PCM: consistency loss and gradient, ℓ2",
        "PCM.loss",
        f"{file}: its training step",
        gap(squared, their_loss("l2")),
        f"{same}; our sum over pixels divided by their number",
    )
    huber = their_loss("huber")

    def single(a: Tensor, b: Tensor) -> Tensor:
        each = PseudoHuber(1e-3)(a.reshape(-1, 1), b.reshape(-1, 1))
        return each.reshape(len(a), -1).mean(1)

    yield Row(
        "PCM: consistency loss and gradient, Huber",
        "PCM.loss",
        f"{file}: its training step",
        gap(our_loss(single), huber),
        f"{same}; our metric given each number as a sample",
    )
    yield Row(
        "PCM: the same with our default metric",
        "PCM.loss",
        f"{file}: its training step",
        gap(our_loss(PCM(teacher).metric), huber),
        same,
        "theirs is a mean over numbers of √(δ² + c²) - c with c = 1e-3, ours one norm of a sample",
        "cmlab.methods.pcm",
    )

    name = f"{base}/scheduling_ddpm_modified.py"
    travel = definitions(root, name, "DDPMScheduler.noise_travel").noise_travel
    up = torch.tensor([130, 100, 400, 498, 750, 950])
    made = travel(SimpleNamespace(alphas_cumprod=alpha**2), predicted, z, edge, up)
    yield Row(
        "PCM: noise added to both jumps",
        "noisier",
        f"{name}: DDPMScheduler.noise_travel",
        gap(noisier(process, predicted, z, clock[edge], clock[up]), made),
        "the same process, noise",
    )
    yield from critics(root, f"{base}/discriminator_sd15.py")


class Judge(nn.Module):
    """A critic's network: one number a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(NUMBERS, 1)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        return 4 * self.last(x.flatten(1))[:, 0] + 0.3


def critics(root: Path, file: str) -> Iterator[Row]:
    code = definitions(root, file, "Discriminator.d_loss", "Discriminator.g_loss")
    fake, real = (v.requires_grad_() for v in batch(4))
    torch.manual_seed(3)
    evaluator = Judge()
    critic = Critic(None)
    critic.network = evaluator
    self = SimpleNamespace(
        head_num=1, num_h_per_head=1, _forward=lambda x, *a: [evaluator(x, None)]
    )
    ones = torch.ones(len(fake))
    score, loss = critic(real, fake, ones)
    theirs = code.d_loss(self, fake, real, None, None, 1.0)
    mine = [loss.mean(), *torch.autograd.grad(loss.mean(), list(evaluator.parameters()))]
    made = [theirs, *torch.autograd.grad(theirs, list(evaluator.parameters()))]
    yield Row(
        "PCM: the critic's loss and gradient",
        "Critic",
        f"{file}: Discriminator.d_loss",
        gap(mine, made),
        "one head in place of theirs",
    )
    theirs = code.g_loss(self, fake, None, None, 1.0)
    made = [theirs, *torch.autograd.grad(theirs, [fake], retain_graph=True)]

    def generator(of: Callable[[Tensor], Tensor]) -> list[Tensor]:
        loss = of(score).mean()
        return [loss, *torch.autograd.grad(loss, [fake], retain_graph=True)]

    name = f"{file}: Discriminator.g_loss"
    yield Row(
        "PCM: the generator's loss and gradient",
        "PCM.generator, its default",
        name,
        gap(generator(HingeGenerator()), made),
        "one head in place of theirs",
    )
    yield Row(
        "PCM: the same with the linear loss",
        "LinearGenerator",
        name,
        gap(generator(LinearGenerator()), made),
        "one head in place of theirs",
        "-D(fake), a named choice, pulls on fakes with D > 1 as well",
        "cmlab.methods.critic",
    )


# ---------------------------------------------------------------- sLCT


def lct(root: Path) -> Iterator[Row]:
    tools = definitions(root, "models/nn.py", "mean_flat", "append_dims", "append_zero")
    file, script = "models/karras_diffusion.py", "train_cm_latent.py"
    code = definitions(root, file, "get_weightings", "KarrasDenoiser", **vars(tools))
    args = SimpleNamespace(noise_sampler="uniform")
    theirs = code.KarrasDenoiser(args, loss_norm="cauchy", weight_schedule="ict")

    make = definitions(root, "models/script_util.py", "create_ema_and_scales_fn")
    total = 1_000_003
    schedule = make.create_ema_and_scales_fn("adaptive", 0.95, "progressive", 10, 640, total)
    doubling, steps = Doubling(10, 640, total), range(0, total, 1999)
    counts = [schedule(k)[1] for k in steps]
    yield Row(
        "sLCT: number of grid points N(k)",
        "Doubling",
        "models/script_util.py: create_ema_and_scales_fn",
        gap([doubling(k) for k in steps], counts),
    )

    both = []
    for channels, side in ((4, 32), (4, 4), (3, 32)):
        sizes = SimpleNamespace(num_in_channels=channels, image_size=side)
        diffusion = SimpleNamespace(c=None)
        statements(
            root, script, "args.custom_constant_c > 0.0", True, args=sizes, diffusion=diffusion
        )
        both.append((first_c(channels * side**2), float(diffusion.c)))
    yield Row(
        "sLCT: c of the first stage, three sizes of latents",
        "first_c",
        f"{script}: main",
        worst(both),
    )
    yield Row(
        "sLCT: c of the first stage on 4 × 4 × 4",
        "Tightening.first",
        f"{script}: main",
        gap([Tightening().first], [both[1][1]]),
        "",
        "our default is theirs for 4 × 32 × 32 at every size",
        "cmlab.methods.slct",
    )

    test = "args.c_by_loss_std and num_scales > args.start_scales + 1"
    c = Tightening().on_grid(doubling)
    both = []
    for k in steps:
        diffusion = SimpleNamespace(c=None)
        if counts[k // 1999] > 11:
            statements(root, script, test, diffusion=diffusion, num_scales=counts[k // 1999])
            both.append((c(k), float(diffusion.c)))
    yield Row(
        "sLCT: c(N) from the second stage on",
        "Tightening",
        f"{script}: its training step",
        worst(both),
    )

    both = []
    for n in (11, 81, 641):
        theirs_p = theirs.icm_dist(n).probs.flip(0)
        both.append((LogNormal().masses(KarrasGrid().up(n)), theirs_p))
    yield Row(
        "iCT: discretised log-normal on 11, 81 and 641 points",
        "LogNormal.masses",
        f"{file}: KarrasDenoiser.icm_dist",
        worst(both),
    )

    x, z = batch()
    net = network()
    model, count = Denoiser(net, CMPrecond()), 641
    index = torch.tensor([20, 200, 350, 470, 490, 600])
    grid = KarrasGrid().down(count)
    t, r = grid[index], grid[index + 1]

    def their_loss(norm: str, c: float) -> list[Tensor]:
        theirs.loss_norm, theirs.c = norm, torch.tensor(c)

        def loss() -> Tensor:
            asked = lambda y, time: net(y, time / 1000)  # noqa: E731
            with draws(randint=[index]):
                made = theirs.consistency_losses(asked, x, count, target_model=asked, noise=z)
            return made["loss"].mean() + 5 * made["diff_loss"].mean()

        return with_gradients(loss, net)

    def our_loss(metric: Any, c: float = 0.004, weight: Any = GAP) -> list[Tensor]:
        method = SLCT(Given(t, r), metric, Constant(c), weight, coupling=Independent())
        with draws(randn_like=[z]):
            return with_gradients(lambda: method.loss(model, x, 0).mean(), net)

    same = "network, noise, t, r, dropout, c; their time input by 1000; one number a batch"
    name = f"{file}: KarrasDenoiser.consistency_losses"
    for metric, norm, what in (
        (Cauchy(), "cauchy", "Cauchy"),
        (PseudoHuber(), "huber", "pseudo-Huber"),
    ):
        yield Row(
            f"sLCT: {what} and denoising terms, loss and gradient",
            "SLCT.loss",
            name,
            gap(our_loss(metric), their_loss(norm, 0.004)),
            same,
        )
    twice = our_loss(GemanMcClure(), 2 * 0.004, lambda t, r: 2 / (t - r))
    yield Row(
        "sLCT: Geman-McClure and denoising terms",
        "SLCT.loss",
        name,
        gap(twice, their_loss("gm", 0.004)),
        f"{same}; our c and our weight twice theirs",
    )

    first = []
    for n in (11, 21, 41, 81, 161, 321, 641):
        level = KarrasGrid().down(n)[: n - 1]
        first.append((float((level <= 0.17).sum()), float(n - 1 - int(n * 0.75))))
    yield Row(
        "sLCT: how many levels have the denoising term, by N",
        "SLCT's bound on t",
        name,
        worst(first),
    )

    yield from couplings(root)
    file = "models/network_dit.py"
    norm = definitions(root, file, "NonScalingLayerNorm").NonScalingLayerNorm([3, 8, 8])
    ours, shift = NonScalingNorm(3), torch.randn(3)
    with torch.no_grad():
        ours.shift.copy_(shift)
        norm.bias.copy_(shift[:, None, None].expand(3, 8, 8))
    yield Row(
        "sLCT: non-scaling norm",
        "NonScalingNorm",
        f"{file}: NonScalingLayerNorm",
        gap(ours(x), norm(x)),
        "over channels and pixels; their shift, one a pixel, set alike within each channel",
    )


def couplings(root: Path) -> Iterator[Row]:
    file = "models/optimal_transport.py"
    name = f"{file}: OTPlanSampler.sample_plan"
    import warnings
    from functools import partial

    try:
        import ot
    except ImportError:
        yield Row(
            "sLCT: optimal-transport pairs", "MinibatchOT", name, None, reason="pip install pot"
        )
        return
    sampler = definitions(root, file, "OTPlanSampler", pot=ot, partial=partial, warnings=warnings)
    x, z = torch.randn(48, 16, generator=torch.Generator().manual_seed(0)), torch.randn(48, 16)
    np.random.seed(0)
    a, b = sampler.OTPlanSampler("exact", normalize_cost=True).sample_plan(x, z, replace=False)
    order = (a[:, None] == x[None]).all(-1).float().argmax(0)  # where each x went
    yield Row(
        "sLCT: optimal-transport pairs of 48",
        "MinibatchOT",
        name,
        gap(MinibatchOT()(x, z), b[order]),
        "x put back in its order",
    )


# ---------------------------------------------------------------- rCM


def insert(x: Tensor, pattern: str, **sizes: int) -> Tensor:
    """einops' rearrange and repeat, for patterns that only add axes of length one."""
    before, after = (side.split() for side in pattern.split("->"))
    left = [name for name in before if name != "1"]
    assert left == [name for name in after if name != "1"]
    return x.reshape([1 if n == "1" else x.shape[before.index(n)] for n in after])


def rcm(root: Path) -> Iterator[Row]:
    file = "rcm/models/t2v_model_distill_rcm.py"
    torch.Tensor.float = torch.Tensor.double  # their outputs are cast by .float()
    times = definitions(
        root, "rcm/utils/timestep_utils.py", "sigma_to_trig_time", "rf_to_sigma", "rf_to_trig_time"
    )
    rf = torch.linspace(0.001, 0.999, 300)
    yield Row(
        "rCM: angle of a rectified-flow time",
        "TrigFlow.time",
        "rcm/utils/timestep_utils.py: rf_to_trig_time",
        gap(TrigFlow(1.0).time(RectifiedFlow().level(rf)), times.rf_to_trig_time(rf)),
    )
    wrapper = definitions(root, "rcm/utils/denoiser_scaling.py", "RectifiedFlow_TrigFlowWrapper")
    scaling = wrapper.RectifiedFlow_TrigFlowWrapper(1.0, 1.0)

    names = ("denoise", "student_F_withT", "_student_scm_step")
    code = definitions(
        root,
        file,
        "DenoisePrediction",
        *(f"T2VDistillModel_rCM.{name}" for name in names),
        rearrange=insert,
        repeat=insert,
        dataclass=dataclass,
        log=SimpleNamespace(debug=print0),
    )
    x, z = (2 * v for v in batch())
    net, frozen = network(1, 0.0), network(3, 0.0)
    process = TrigFlow(1.0)
    angle = process.time(torch.tensor((0.02, 0.1, 0.4, 0.9, 3.0, 30.0)))

    def asked(of: nn.Module) -> Callable[..., Any]:
        """A network of ours as theirs, with one frame; with `withT` it gives its tangent too."""

        def call(x_B_C_T_H_W: Any, timesteps_B_T: Any, withT: bool = False) -> Any:
            def plain(y: Tensor, t: Tensor) -> Tensor:
                return of(y[:, :, 0], t[:, 0])[:, :, None]

            if not withT:
                return plain(x_B_C_T_H_W, timesteps_B_T)
            primals, tangents = zip(x_B_C_T_H_W, timesteps_B_T, strict=True)
            return torch.func.jvp(plain, primals, tangents)

        return call

    def their_loss(warmup: int, iteration: int, fd: int = 0, size: float = 1e-4) -> list[Tensor]:
        config = SimpleNamespace(
            teacher_guidance=1.0, fd_type=fd, fd_size=size, tangent_warmup=warmup, loss_scale=100.0
        )
        self = SimpleNamespace(
            config=config,
            scaling=scaling,
            tensor_kwargs={"dtype": torch.float64},
            net=asked(net),
            net_teacher=asked(frozen),
            net_fake_score=None,
            draw_training_time_G=lambda shape: angle[:, None],
            sync=lambda *a: a if len(a) > 1 else a[0],
        )
        for name in names[:2]:
            setattr(self, name, MethodType(getattr(code, name), self))
        condition = SimpleNamespace(to_dict=dict)
        with draws(randn=[z[:, :, None]]):
            return with_gradients(
                lambda: code._student_scm_step(self, (x[:, :, None], condition, None), iteration)[
                    1
                ],
                net,
            )

    precond = TrigPrecond(1.0)
    model, teacher = (Denoiser(FromRectifiedFlow(of), precond) for of in (net, frozen))

    def our_loss(warmup: int, iteration: int, **more: Any) -> list[Tensor]:
        warm = lambda k: min(1.0, k / warmup) if warmup else 1.0  # noqa: E731
        method = SCM(
            NetworkTeacher(teacher),
            Given(angle, angle),
            warmup=warm,
            loss_weighting=ConstantWeight(),
            **more,
        )
        return [100 * NUMBERS * g for g in loss_of(method, model, x, z, net, iteration)]

    same = "network and its rectified-flow wrapper, noise, t, σ_d = 1; our loss times 100 D"
    name = f"{file}: T2VDistillModel_rCM._student_scm_step"
    yield Row(
        "rCM: sCD's loss and gradient after the warm-up",
        "SCM.loss",
        name,
        gap(our_loss(0, 0), their_loss(0, 0)),
        same,
    )
    yield Row(
        "rCM: half-way through the warm-up",
        "SCM.loss",
        name,
        gap(our_loss(1000, 500), their_loss(1000, 500)),
        same,
        "theirs takes √(1 - r² sin² t) in place of the first cos t, and leaves dF/dt out of "
        "the warm-up",
        "cmlab.methods.scm",
    )
    yield Row(
        "rCM: with differences in place of a derivative, gap 1e-3",
        "SCM.loss",
        name,
        gap(our_loss(0, 0, derivative=BackwardDifference(1e-3)), their_loss(0, 0, 2, 1e-3)),
        same,
        "theirs keeps cos t and sin t of the later time, App. E, followed here, has those of "
        "the earlier",
        "cmlab.methods.scm",
    )


def print0(*words: Any) -> None:
    """Says nothing."""


class FromRectifiedFlow(nn.Module):
    """A rectified-flow network u(x, t) as TrigFlow's F, σ_d = 1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        cos, sin = (v.reshape(-1, 1, 1, 1) for v in (t.cos(), t.sin()))
        scale = 1 / (cos + sin)
        x = scale * x_t - sin * scale * self.net(scale * x_t, t.sin() / (t.cos() + t.sin()), cond)
        return (cos * x_t - x) / sin


# ---------------------------------------------------------------- flow maps


class TwoTimesNet(Net):
    """The network of all rows, told t and t - s."""

    two_times = True

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__(dropout)
        self.time = nn.Linear(2, 8)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        h = self.first(x) + self.time(t)[:, :, None, None]
        return self.last(self.drop(torch.tanh(h)))


def flow_net(dropout: float = 0.2, precond: Any = None) -> Denoiser:
    torch.manual_seed(1)
    return Denoiser(TwoTimesNet(dropout), precond or VelocityPrecond())


STARTS = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.9, 0.99], dtype=torch.float64)
STOPS = torch.tensor([0.05, 0.1, 0.0, 0.69, 0.2, 0.0], dtype=torch.float64)
FLOW = "network, noise, both times, dropout"


def mean_of(make: Callable[[], Tensor], net: nn.Module) -> list[Tensor]:
    """As `with_gradients`, of the mean of a loss."""
    return with_gradients(lambda: make().mean(), net)


def meanflow(root: Path) -> Iterator[Row]:
    file, (x, z) = "meanflow/models/meanflow.py", batch()
    names = ("MeanFlow.forward_with_loss", "MeanFlow.sample")
    code = definitions(root, file, *names, sample_two_timesteps=lambda *a, **k: (STARTS, STOPS))
    model = flow_net()

    def asked(z: Tensor, times: tuple[Tensor, Tensor], aug_cond: None) -> Tensor:
        return model.net(z, torch.stack(times, 1))

    for p, c in ((0.75, 1e-3), (1.0, 0.01)):
        self = SimpleNamespace(net=asked, args=SimpleNamespace(norm_p=p, norm_eps=c))
        with draws(randn_like=[z]):
            theirs = mean_of(lambda self=self: code.forward_with_loss(self, x, None), model.net)
        method = MeanFlow(Given(STARTS, STOPS), AdaptiveWeight(p, c))
        with draws(randn_like=[z]):
            ours = mean_of(lambda method=method: method.loss(model, x, 0), model.net)
        yield Row(
            f"MeanFlow: loss and gradient, p = {p:g}",
            "MeanFlow.loss",
            f"{file}: MeanFlow.forward_with_loss",
            gap(ours, theirs),
            FLOW,
        )
    model.eval()
    with draws(randn=[z]):
        theirs = code.sample(SimpleNamespace(net_ema=asked), z.shape)
    one = torch.ones(len(z))
    yield Row(
        "MeanFlow: one-step sample",
        "jump",
        f"{file}: MeanFlow.sample",
        gap(jump(model, z, one, 0 * one), theirs),
        "network, noise",
    )


def meanflow_in_fastgen(root: Path, file: str, expand: Any, logger: Any) -> Iterator[Row]:
    from abc import abstractmethod

    schedule = definitions(
        root,
        "fastgen/networks/noise_schedule.py",
        "BaseNoiseSchedule",
        "RFNoiseSchedule",
        expand_like=expand,
        logger=logger,
        abstractmethod=abstractmethod,
        PRECISION_MAP={"float64": torch.float64},
    ).RFNoiseSchedule()
    methods = ("_get_velocity", "_jvp", "_compute_weight", "_mf_pred_to_loss", "_compute_mf_loss")
    code = definitions(
        root,
        file,
        "temp_disable_efficient_attn",
        *(f"MeanFlowModel.{name}" for name in methods),
        expand_like=expand,
        contextlib=__import__("contextlib"),
    )
    (x, z), model = batch(), flow_net()

    class Asked:
        noise_scheduler = schedule

        def __call__(
            self, y: Tensor, t: Tensor, r: Tensor, condition: None, fwd_pred_type: str
        ) -> Tensor:
            return model.net(y, torch.stack([t, t - r], 1))

    def their_loss(kind: str, norm: str, c: float) -> list[Tensor]:
        options = SimpleNamespace(
            use_cd=False,
            use_jvp_finite_diff=False,
            norm_method=norm,
            norm_const=c,
            tangent_warmup_steps=0,
            loss_type=kind,
            tangent_spatial_invariance=False,
        )
        self = SimpleNamespace(
            net=Asked(),
            loss_config=options,
            config=SimpleNamespace(guidance_scale=None, guidance_mixture_ratio=None),
            device=torch.device("cpu"),
            precision_amp_jvp=None,
        )
        for name in methods:
            setattr(self, name, MethodType(getattr(code, name), self))
        with draws(randn_like=[z]):
            return with_gradients(lambda: self._compute_mf_loss(x, STARTS, STOPS, 0)[0], model.net)

    def our_loss(p: float, c: float) -> list[Tensor]:
        method = MeanFlow(Given(STARTS, STOPS), AdaptiveWeight(p, c))
        return loss_of(method, model, x, z, model.net)

    name = f"{file}: MeanFlowModel._compute_mf_loss"
    yield Row(
        "MeanFlow in FastGen: loss and gradient",
        "MeanFlow.loss",
        name,
        gap(our_loss(1.0, 1.0), their_loss("l2", "poly_1.0", 1.0)),
        f"{FLOW}; its option l2, c = 1 as in its recipe",
    )
    # Their weight is outside the square: the direction of each sample's gradient is compared.
    yield Row(
        "MeanFlow in FastGen: gradient of its other loss",
        "MeanFlow.loss",
        name,
        gap(our_loss(0.0, 1.0)[1:], their_loss("opt_grad", "poly_0.0", 0.1)[1:]),
        f"{FLOW}; its option opt_grad without a weight",
    )


class ForJAX:
    """jax and jax.numpy by torch, as far as improved MeanFlow's loss goes."""

    float32 = torch.float64
    random = SimpleNamespace(normal=lambda key, shape, dtype: torch.randn(shape))
    lax = SimpleNamespace(stop_gradient=lambda x: x.detach())
    array, where = torch.tensor, torch.where
    zeros_like, ones_like, mean = torch.zeros_like, torch.ones_like, torch.mean
    jvp = staticmethod(torch.func.jvp)

    @staticmethod
    def concatenate(parts: list[Tensor], axis: int) -> Tensor:
        return torch.cat(parts, axis)

    @staticmethod
    def sum(x: Tensor, axis: tuple[int, ...]) -> Tensor:
        return x.sum(axis)

    @staticmethod
    def split(x: Tensor, count: int, axis: int) -> Any:
        return x.chunk(count, axis)


def imf(root: Path) -> Iterator[Row]:
    file, (x, z), model = "imf.py", batch(), flow_net(0.0)
    torch.Tensor.astype = torch.Tensor.to  # pyright: ignore[reportAttributeAccessIssue]
    names = [f"iMeanFlow.{name}" for name in ("forward", "guidance_fn", "v_fn", "v_cond_fn")]
    code = definitions(root, file, *names, jax=ForJAX, jnp=ForJAX)
    t, r = STARTS.reshape(-1, 1, 1, 1), STOPS.reshape(-1, 1, 1, 1)

    def both_heads(x: Tensor, t: Tensor, h: Tensor, *rest: Any, y: Any = None) -> Any:
        t, h = t.flatten(), h.flatten()
        told = (torch.stack([t, h], 1), torch.stack([t, 0 * h], 1))
        return tuple(model.net(x, each) for each in told)

    self = SimpleNamespace(
        dtype=torch.float64,
        num_classes=0,
        norm_p=1.0,
        norm_eps=0.01,
        make_rng=identity,
        sample_tr=lambda bz: (t, r, t == r),
        sample_cfg_interval=lambda bz, mask: (0 * t, 0 * t + 1),
        sample_cfg_scale=lambda bz: torch.ones_like(t),
        cond_drop=lambda v_t, v_g, labels: (labels, v_g),
        u_fn=both_heads,
    )
    for name in ("guidance_fn", "v_fn", "v_cond_fn"):
        setattr(self, name, MethodType(getattr(code, name), self))
    labels = torch.zeros(len(x))
    with draws(randn=[z]):
        theirs = with_gradients(lambda: code.forward(self, x, labels)[1]["loss_u"], model.net)
    method = MeanFlow(own_tangent=True)
    ours = with_gradients(
        lambda: method.residual(model, x, z, (STARTS, STOPS)).square().mean(), model.net
    )
    yield Row(
        "iMF: residual and gradient",
        "MeanFlow.residual, own_tangent",
        f"{file}: iMeanFlow.forward",
        gap(ours, theirs),
        "torch for JAX; network, noise, both times; its u-loss without a weight, scale 1; "
        "our u(x, t, t) for its second head",
    )


def shortcut(root: Path) -> Iterator[Row]:
    """JAX code, which NumPy evaluates as well."""
    file, levels, count = "targets_shortcut.py", 7, 14
    make = torch.Generator().manual_seed(0)
    x, z = (torch.randn(8 * count, *SHAPE, generator=make) for _ in range(2))
    model = flow_net(0.0)
    steps = 2.0 ** torch.arange(levels - 1, -1, -1.0).repeat_interleave(2)
    drawn = (torch.rand(count, generator=make) * steps).floor()
    tau, d = drawn / steps, 1 / steps

    def call(x_t: Any, t: Any, dt_base: Any, labels: Any, train: bool) -> Any:
        y, time = torch.as_tensor(x_t), 1 - torch.as_tensor(t)
        step = 2.0 ** -torch.as_tensor(dt_base)
        return -mean_velocity(model, y, time, time - step).detach().numpy()

    ints, normals = deque([drawn.numpy(), np.zeros(8 * count)]), deque([z[:count], z])
    random = SimpleNamespace(
        split=lambda key, n: (None,) * n,
        randint=lambda *a, **k: ints.popleft(),
        normal=lambda *a: normals.popleft().numpy(),
        bernoulli=lambda key, p, shape: np.zeros(shape, bool),
    )
    code = definitions(root, file, "get_targets", jnp=np, jax=SimpleNamespace(random=random))
    options = {
        "bootstrap_every": 8, "denoise_timesteps": 128, "bootstrap_dt_bias": 0,
        "bootstrap_ema": 1, "bootstrap_cfg": 0, "class_dropout_prob": 0, "num_classes": 0,
    }  # fmt: skip
    flags = SimpleNamespace(batch_size=8 * count, model=options)
    state = SimpleNamespace(call_model_ema=call)
    x_t, v, *_ = code.get_targets(flags, None, state, x.numpy(), np.zeros(8 * count))
    g = torch.no_grad()(conditioned(model, None))
    y = torch.as_tensor(x_t[:count])
    yield Row(
        "Shortcut: targets of the longer steps",
        "Shortcut.two_steps",
        f"{file}: get_targets",
        gap(-Shortcut().two_steps(RectifiedFlow(), g, y, 1 - tau, 1 - tau - d), v[:count]),
        "NumPy for jax.numpy; network, x_t, t and d",
    )
    tail = torch.as_tensor(v[count:])
    yield Row(
        "Shortcut: targets of the smallest steps",
        "Shortcut.loss",
        f"{file}: get_targets",
        gap((x - z)[: len(tail)], tail),
        "NumPy for jax.numpy; data and noise",
        "theirs leaves noise of 1e-5 at the data",
        "cmlab.methods.shortcut",
    )


@dataclass(frozen=True)
class Leg:
    """CTM's times, drawn beforehand."""

    path: Tensor
    s: Tensor

    def leg(self, process: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.path, self.s


def ctm(root: Path) -> Iterator[Row]:
    file, (x, z) = "code/cm/karras_diffusion.py", batch()
    model, slow = flow_net(0.0, EDMPrecond()), flow_net(0.0, EDMPrecond())
    frozen = Denoiser(network(3, 0.0), EDMPrecond())
    method = CTM(NetworkTeacher(frozen), metric=SquaredL2(), share=0.0, end=0.002)
    with torch.no_grad():
        for weight in slow.parameters():
            weight += 0.01
    method.target.attach(slow)

    def asks(of: Denoiser) -> Callable[..., Tensor]:
        def net(y: Tensor, t: Tensor, s: Tensor | None = None, teacher: bool = False) -> Tensor:
            c = t / 1000
            return of.net(y, c if s is None else torch.stack([c, c - s / 1000], 1))

        return net

    given = {
        "th": torch,
        "F": SimpleNamespace(interpolate=lambda x, **k: x),
        "append_dims": lambda t, dims: t.reshape(-1, *(1,) * (dims - 1)),
        "mean_flat": lambda x: x.flatten(1).mean(1),
        "dist_util": SimpleNamespace(dev=lambda: "cpu"),
    }
    code = definitions(root, file, "get_weightings", "KarrasDenoiser", **given)
    args = SimpleNamespace(
        start_scales=18, sigma_data=0.5, sigma_min=0.002, sigma_max=80.0, rho=7.0,
        self_learn=False, time_continuous=False, large_log=False, training_mode="ctm",
        inner_parametrization="edm", outer_parametrization="euler", target_subtract=False,
        ctm_estimate_inner_type="model", ctm_estimate_outer_type="target_model_sg",
        ctm_target_inner_type="model_sg", ctm_target_matching=False, loss_norm="lpips",
        weight_schedule="uniform", weight_schedule_multiplier=1.0, gan_training=False,
        g_learning_period=1, save_png=False, diffusion_training=False,
        diffusion_weight_schedule="karras_weight", apply_adaptive_weight=False,
    )  # fmt: skip
    down, other = torch.tensor([0, 3, 7, 10, 12, 13]), torch.tensor([4, 17, 11, 14, 17, 17])
    times = SimpleNamespace(sample_t=lambda *a: (down, None), sample_s=lambda *a, **k: other)
    levels = torch.tensor([0.01, 0.1, 0.4, 1.0, 5.0, 60.0])
    noisy = SimpleNamespace(sample=lambda n, device: (levels, torch.ones(n)))
    theirs = code.KarrasDenoiser(
        args, times, noisy, lambda a, b: 4 * (a - b).square().flatten(1).sum(1), None
    )
    theirs.teacher_model = asks(frozen)
    same = "network (with its preconditioning), noise, times"
    grid = KarrasGrid().up(18).flip(0)
    for n in (1, 4):
        method.pairs = Leg(torch.stack([grid[down + k] for k in range(n + 1)]), grid[other])
        found = with_gradients(
            lambda n=n: theirs.ctm_losses(
                0, asks(model), x, target_model=asks(slow), noise=z, num_heun_step=n
            )["consistency_loss"],
            model.net,
        )
        with draws(randn_like=[z, z]):
            ours = with_gradients(lambda: method.loss(model, x, 0), model.net)
        yield Row(
            f"CTM: loss and gradient, {n} solver step{'s' * (n > 1)}",
            "CTM.loss",
            f"{file}: KarrasDenoiser.ctm_losses",
            gap(ours, found),
            f"{same}; its LPIPS replaced by ‖·‖², jumps to σ_min = 0.002",
        )
    method.levels, method.weight = Given(levels, 0 * levels), EDMWeight(0.5)
    with draws(randn_like=[z]):
        found = with_gradients(
            lambda: theirs.get_DSM_loss(asks(model), x, {}, None, 0, 0), model.net
        )
    with draws(randn_like=[z]):
        ours = with_gradients(lambda: method.denoising(model, x, 0, None) / NUMBERS, model.net)
    yield Row(
        "CTM: denoising loss and gradient",
        "CTM.denoising",
        f"{file}: KarrasDenoiser.get_DSM_loss",
        gap(ours, found),
        f"{same}; without its adaptive factor; its mean over pixels",
    )


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "ect": ect,
    "cm": cm,
    "cm-jax": cm_jax,
    "fastgen": fastgen,
    "pcm": pcm,
    "lct": lct,
    "rcm": rcm,
    "meanflow": meanflow,
    "imf": imf,
    "shortcut": shortcut,
    "ctm": ctm,
}


# ---------------------------------------------------------------- the table

COLUMNS = (
    "what is compared",
    "cmlab",
    "theirs",
    "commit",
    "largest relative difference",
    "what was made alike",
    "why they differ",
    "said in",
)
HEAD = """# The authors' numbers

{verdict}

Made by `python benchmarks/fidelity.py` with checkouts of the repositories below, of which nothing
is part of cmlab; the head of that file says how the comparison is done. All in float64 on one
thread (torch {torch}): one small network, one batch, one noise, the same times and dropout masks.
The difference is |ours - theirs| / |theirs|, number by number for losses, weights and schedules,
and against the largest number of the tensor for gradients and samples; 1e-16 to 1e-12 is rounding.
"""


def commit(root: Path, files: set[str]) -> str:
    """The commit of a checkout, with + after it if these files were changed; "unknown" if none."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)

    top = git("rev-parse", "--show-toplevel")
    if top.returncode or Path(top.stdout.strip()) != root.resolve():
        return "unknown"
    changed = git("diff", "--quiet", "HEAD", "--", *files).returncode
    return git("rev-parse", "--short=7", "HEAD").stdout.strip() + ("+" if changed else "")


def measured(part: str, root: Path) -> list[list[str]]:
    """The cells of a checkout's rows, from a process of its own. Raises SystemExit."""
    command = [sys.executable, __file__, "--part", part, f"--{part}", str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{part}: {done.stderr.strip().splitlines()[-1]}")
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines()]
    at = commit(root, {row.theirs.split(":")[0] for row in rows})
    return [cells(row, at) for row in rows]


def cells(row: Row, at: str) -> list[str]:
    found = "not run" if row.gap is None else f"{row.gap:.1e}" if row.gap else "0"
    return [
        row.what,
        row.ours,
        f"`{row.theirs}`",
        at,
        found,
        row.aligned,
        row.reason,
        f"`{row.said_in}`" if row.said_in else "",
    ]


def shipped(path: Path) -> dict[str, list[list[str]]]:
    """The rows of an earlier table by its sections."""
    found: dict[str, list[list[str]]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("## "):
            rows = found.setdefault(line[3:], [])
        elif line.startswith("| ") and not line.startswith((f"| {COLUMNS[0]}", "| ---")):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def not_run(row: list[str]) -> list[str]:
    return [*row[:3], "", "not run", *row[5:]]


def faults(rows: list[list[str]]) -> list[str]:
    """Rows that differ and do not say why, or say why and do not differ."""
    run = [row for row in rows if row[4] != "not run"]
    return [
        f"{row[0]}: {row[4]}, and {'a reason is out of date' if row[6] else 'no reason is given'}"
        for row in run
        if (float(row[4]) > EQUAL) != bool(row[6])
    ]


def page(sections: dict[str, list[list[str]]]) -> str:
    rows = [row for section in sections.values() for row in section]
    run = [row for row in rows if row[4] != "not run"]
    equal = sum(float(row[4]) <= EQUAL for row in run)
    verdict = (
        f"{len(run)} of {len(rows)} comparisons were run; {equal} are equal to {EQUAL:g}, and the "
        f"other {len(run) - equal} say why they are not."
    )
    text = [HEAD.format(verdict=verdict, torch=torch.__version__)]
    for name, section in sections.items():
        lines = [COLUMNS, ["---"] * len(COLUMNS), *section]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        text.append(f"## {name}\n\n{table}\n")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    for part, repository in CHECKOUTS.items():
        parser.add_argument(
            f"--{part}", type=Path, metavar="PATH", help=f"github.com/{repository}"
        )
    table = Path(__file__).parents[1] / "docs" / "fidelity.md"
    parser.add_argument("--out", type=Path, default=table)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    if given["part"]:
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        for row in PARTS[given["part"]](given[given["part"].replace("-", "_")]):
            print(json.dumps(asdict(row)), flush=True)
        return

    before, sections = shipped(table), {}
    for part, repository in CHECKOUTS.items():
        root = given[part.replace("-", "_")]
        if root is None:
            sections[repository] = [not_run(row) for row in before.get(repository, [])]
            continue
        sections[repository] = measured(part, root)
        for row in sections[repository]:
            print(f"{row[4]:>8}  {row[0]}" + (f"  [{row[5]}]" if row[5] else ""), flush=True)
    given["out"].write_text(page(sections))
    if wrong := faults([row for section in sections.values() for row in section]):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
