"""Benchmark of all methods on one distribution with one network and one budget.

All methods train on the ring, with networks of one size and 4000 steps of 256 samples in all.
Settings are those of the presets. What has no preset on the ring (sLCT, MusicCM, posterior
sampling with two networks) was tuned on seeds 10 and 11, see docs/settings.md.

An evaluation takes networks by role and a seed for its draws, and returns records {"way", "calls",
one number each}; exact answers are known. In posterior sampling one coordinate is measured, and
`w1` is the mean W₁ of the samples to the exact posterior of the other.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from cmlab.cli.settings import SEEDS, Refused, whole_numbers
from cmlab.cli.settings import whole as whole_number
from cmlab.data.toy import ToyData
from cmlab.discovery import OWN, SHIPPED
from cmlab.methods import SLCT, Method, MusicCM, SelfDistillation
from cmlab.methods.critic import Critic
from cmlab.methods.editing import edit, inpainting
from cmlab.methods.edm import EDMWeight
from cmlab.methods.flow_map import Jumps
from cmlab.methods.ict import Doubling, InverseGap
from cmlab.methods.pcm import PhasedSteps
from cmlab.methods.posterior_sampling import Mask, Measurement, restore
from cmlab.metrics.toy import against, coverage, exact_ends, rmse_by_level, truth
from cmlab.metrics.wasserstein import sliced
from cmlab.model import CMPrecond, Denoiser
from cmlab.nets.critic import PointCriticShape
from cmlab.noise_levels import AdjacentLevels, KarrasGrid
from cmlab.ops import expand, seeded
from cmlab.oracle import Mixture
from cmlab.presets import faster, phased, toy
from cmlab.process import Process
from cmlab.sampling import FewSteps, Sampler, heun, ode
from cmlab.schedules import Constant
from cmlab.teacher import OracleTeacher, StopGrad
from cmlab.train import checkpoint
from cmlab.train.checkpoint import BadFile
from cmlab.train.cost import forecast
from cmlab.train.lock import hold
from cmlab.train.nonfinite import NotFinite
from cmlab.train.recipe import Recipe, canonical, canonical_repr, to_dict
from cmlab.train.runs import begin, versions
from cmlab.types import Data, Denoise, Range

from ..common.plots_posterior import conditional_line
from ..common.study import ranged

# Evaluations of trained networks: errors against the exact answers by network calls

CPU = torch.device("cpu")
Networks = Mapping[str, tuple[Process, Denoise]]
Answer = dict[str, Any]


@runtime_checkable
class Evaluation(Protocol):
    """(networks by role, the data, a seed) -> records."""

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]: ...


@dataclass(frozen=True)
class HeunSteps:
    """Heun's method on a Karras grid, its last step Euler's: an odd number of calls, 3 or more."""

    grid: KarrasGrid = KarrasGrid()

    @property
    def sigma_max(self) -> float:
        return self.grid.sigma_max

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples from standard normal noise z. Raises ValueError for a number it cannot have."""
        if calls < 3 or calls % 2 == 0:
            raise ValueError(f"Heun's method takes 3, 5, 7, … calls, not {calls}")
        times = process.time(self.grid.down((calls + 1) // 2)).to(z)
        _, sigma = process(times[:1].repeat(len(z)))
        *_, x = ode(process, denoise, expand(sigma, z) * z, times, heun)
        return x


@dataclass(frozen=True)
class Generation:
    """Errors of samples from noise, by sampler and number of calls; the role is "f".

    sliced_w2  of n samples to n fresh data, in units of x; of data itself: `ExactBaseline`
    end        RMS distance to the end of the exact path through the same noise
    near_mode  share of the samples within three standard deviations of a mode (exact: 0.989)
    modes      modes that hold over a fifth of their share
    """

    ways: tuple[tuple[str, Sampler, tuple[int, ...]], ...]
    n: int = 32768

    @torch.no_grad()
    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        process, f = networks["f"]
        found = []
        for way, sampler, counts in self.ways:
            ends = exact_ends(data, sampler.sigma_max, self.n, seed)
            for calls in counts:
                with seeded(CPU, seed, 4):
                    x = sampler(process, f, ends.z.float(), calls)
                near, modes = coverage(x, data.oracle.components)
                errors = against(data, x, ends)
                numbers = {"sliced_w2": errors["sw"], "end": errors["rms"]}
                numbers |= {"near_mode": near, "modes": modes}
                found.append({"way": way, "calls": calls} | numbers)
        return found


# Evaluations of posterior sampling: one coordinate is measured, the other's posterior is exact


@dataclass(frozen=True)
class HiddenCoordinate:
    """W₁ of the second coordinate, given the first, to its exact posterior.

    `truths` points of the data are measured, and each has `copies` samples.
    """

    truths: int = 128
    copies: int = 128

    def drawn(self, data: ToyData, seed: int) -> Tensor:
        """The points that are measured, each repeated: (truths · copies, 2), float64."""
        g = torch.Generator().manual_seed(seed)
        return data.oracle.sample(self.truths, g).double().repeat_interleave(self.copies, 0)

    def exact(self, data: ToyData, measured: Tensor, seed: int) -> Tensor:
        """Samples of the exact posterior, as many: (truths, copies)."""
        oracle, g = data.oracle, torch.Generator().manual_seed(seed)
        if not isinstance(oracle, Mixture):
            raise ValueError(f"the posterior is known for mixtures of Gaussians, not {oracle}")
        values = measured[:: self.copies, 0].tolist()
        return torch.stack(
            [conditional_line(oracle, 0, v).sample(self.copies, g)[:, 0].double() for v in values]
        )

    def apart(self, x: Tensor, exact: Tensor) -> float:
        """Mean W₁ over the points, in units of x: sorted guesses against sorted exact samples."""
        mine = x[:, 1].double().reshape(exact.shape).sort(1).values
        return float((mine - exact.sort(1).values).abs().mean())


@dataclass(frozen=True)
class ZeroShotEditing:
    """Zero-shot editing with f: `w1` is `Guess.apart`, on the first levels of a grid."""

    grid: KarrasGrid
    calls: tuple[int, ...]
    guess: HiddenCoordinate = HiddenCoordinate()

    @torch.no_grad()
    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        process, f = networks["f"]
        y, task = self.guess.drawn(data, seed), inpainting(torch.tensor([0.0, 1.0]))
        exact, found = self.guess.exact(data, y, seed + 100), []
        for calls in self.calls:
            levels = self.grid.up(max(calls, 2)).flip(0)[:calls]
            with seeded(CPU, seed, 5):
                *_, x = edit(process, f, task, y.float(), process.time(levels))
            found.append({"way": "edit", "calls": calls, "w1": self.guess.apart(x, exact)})
        return found


@dataclass(frozen=True)
class PosteriorSampling:
    """Posterior sampling with a denoiser; what the operator sees is `shown`, "denoiser" or "f".

    `zeta` is the strength of the pull by number of steps; with f a step is two calls.
    """

    grid: KarrasGrid
    zeta: tuple[tuple[int, float], ...]
    shown: str = "denoiser"
    guess: HiddenCoordinate = HiddenCoordinate()

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        each = 1 if self.shown == "denoiser" else 2
        rows = ((n, self.once(networks, data, seed, n, zeta)) for n, zeta in self.zeta)
        return [{"way": self.shown, "calls": each * n, "w1": w1} for n, w1 in rows]

    def once(self, networks: Networks, data: ToyData, seed: int, steps: int, zeta: float) -> float:
        """W₁ after so many steps with this ζ."""
        D, shown = networks["denoiser"][1], networks[self.shown][1]
        y = self.guess.drawn(data, seed)
        exact, keep = self.guess.exact(data, y, seed + 100), Mask(torch.tensor([1.0, 0.0]))
        measured = Measurement(keep, keep(y.float()))
        with seeded(CPU, seed, 5):
            x_t = self.grid.sigma_max * torch.randn_like(y.float())
            *_, x = restore(D, shown, measured, x_t, self.grid.down(steps), zeta)
        return self.guess.apart(x, exact)


@dataclass(frozen=True)
class ExactBaseline:
    """Baseline: scores of exact answers on the same draws; no method can do better.

    `sliced_w2` of fresh data, and w1 of exact posterior samples; "prior" is w1 without the
    measurement.
    """

    n: int = 32768
    guess: HiddenCoordinate = HiddenCoordinate()

    def __call__(self, networks: Networks, data: ToyData, seed: int) -> list[Answer]:
        with seeded(CPU, seed, 6):
            one, two, other = (data.oracle.sample(n) for n in (self.n, self.n, self.size))
        y = self.guess.drawn(data, seed)
        exact, again = (self.guess.exact(data, y, seed + s) for s in (100, 200))
        posterior = torch.stack([y[:, 0], again.flatten()], 1)
        return [
            {"way": "truth", "calls": 0, "sliced_w2": sliced(one, two)},
            {"way": "truth", "calls": 0, "w1": self.guess.apart(posterior, exact)},
            {"way": "prior", "calls": 0, "w1": self.guess.apart(other.double(), exact)},
        ]

    @property
    def size(self) -> int:
        return self.guess.truths * self.guess.copies


# The entries of the benchmark

DATA: ToyData = toy.RING
STEPS = 4000  # of all trainings of a run together
Make = Callable[[int, int], Recipe]  # (steps, seed) -> recipe

MULTISTEP = ("multistep", FewSteps(toy.SIGMA_MAX, toy.SIGMA_MID), (1, 2, 4))
PHASES = ("phases", PhasedSteps(toy.GRID, phased.POINTS), (1, 2, 4))
ABOVE = ("multistep", FewSteps(toy.SIGMA_MAX, 1.0), (1, 2, 4))  # TCM is trained above t' = 1
JUMPS = ("jumps", Jumps(), (1, 2, 4))
DDIM = ("ddim", PhasedSteps(toy.GRID, phased.POINTS), (1, 2, 4, 8, 16, 32))
HEUN = ("heun", HeunSteps(toy.GRID), (5, 9, 17, 35))
LEVELS = KarrasGrid(0.02, toy.SIGMA_MAX)


@dataclass(frozen=True)
class Entry:
    """A method: the recipes of its networks by role, its evaluation, and its teacher.

    `teacher` is what its targets are made of where they are no single samples: the exact denoiser
    or the mean over the batch. `note` says what the title leaves out.
    """

    title: str
    paper: str  # its number on arXiv
    asked: Evaluation
    parts: Mapping[str, Make] = field(default_factory=dict)
    teacher: str = ""
    note: str = ""

    @property
    def full(self) -> str:
        """The title with its note."""
        return f"{self.title}, {self.note}" if self.note else self.title

    @property
    def data(self) -> ToyData:
        return DATA


def whole(make: Callable[..., Recipe]) -> Make:
    """A preset of the ring with all of the steps."""
    return lambda steps, seed: make(steps=steps, seed=seed)


def half(make: Callable[..., Recipe]) -> Make:
    """A preset of the ring with half of the steps, for one of two networks."""
    return lambda steps, seed: make(steps=steps // 2, seed=seed)


def preset(make: Callable[..., Recipe]) -> dict[str, Make]:
    """One network, of a preset."""
    return {"f": whole(make)}


def plain(method: Method, steps: int, seed: int) -> Recipe:
    """A method with f's preconditioning, as `toy.cd`."""
    precond = CMPrecond(DATA.sigma_data, toy.SIGMA_MIN)
    return toy.plane(DATA, precond, method, steps, seed)


def slct(steps: int, seed: int) -> Recipe:
    """sLCT without its normalisation, which has no place in this network."""
    pairs = AdjacentLevels(Doubling(10, 640, steps), toy.LEVELS, toy.GRID)
    clean = EDMWeight(DATA.sigma_data)
    return plain(SLCT(pairs, clean=clean), steps, seed)


def musiccm(steps: int, seed: int, critic: bool = True) -> Recipe:
    """MusicCM as in `music.cd`, with the exact denoiser, unguided: the ring has no labels."""
    heads = Critic(PointCriticShape(2, 64), gamma=0.1) if critic else None
    method = MusicCM(
        OracleTeacher(DATA),
        pairs=AdjacentLevels(Constant(30), toy.LEVELS, toy.GRID),
        weight=InverseGap(),
        target=StopGrad(),
        critic=heads,
    )
    return plain(method, steps, seed)


def pcm(phases: int, steps: int, seed: int) -> Recipe:
    """The preset, with the network of all the others."""
    recipe = phased.ring(DATA, steps, seed, phases)
    return replace(recipe, net=toy.ict().net)


def lsd_single(steps: int, seed: int) -> Recipe:
    """LSD with single samples in place of the batch's mean, as in its paper."""
    return toy.flow_map(SelfDistillation(toy.PAIRS), steps, seed)


EXACT, BATCH = "the exact denoiser", "the batch mean"
FEW_STEP, MAPS = Generation((MULTISTEP,)), Generation((JUMPS,))
TRUNCATED = Generation((ABOVE,))
PHASED, SOLVERS = Generation((PHASES,)), Generation((DDIM, HEUN))
ENTRIES: dict[str, Entry] = {
    "truth": Entry("the data themselves", "", ExactBaseline()),
    "exact": Entry("exact denoiser", "2206.00364", SOLVERS, teacher=EXACT),
    "edm": Entry("EDM", "2206.00364", SOLVERS, preset(toy.edm)),
    "edm-fast": Entry("EDM (curriculum)", "2404.07946", SOLVERS, preset(faster.ring)),
    "cd": Entry(
        "CD", "2303.01469", FEW_STEP, preset(toy.cd), EXACT, "with iCT's loss"
    ),
    "ct": Entry("CT", "2303.01469", FEW_STEP, preset(toy.ct)),
    "ict": Entry("iCT", "2310.14189", FEW_STEP, preset(toy.ict)),
    "ect": Entry("ECT", "2406.14548", FEW_STEP, preset(toy.ect)),
    "sct": Entry("sCT", "2410.11081", FEW_STEP, preset(toy.sct)),
    "scd": Entry("sCD", "2410.11081", FEW_STEP, preset(toy.scd), EXACT),
    "slct": Entry("sLCT", "2502.01441", FEW_STEP, {"f": slct}),
    "pcm-2": Entry("PCM-2", "2405.18407", PHASED, {"f": partial(pcm, 2)}, EXACT),
    "pcm-4": Entry("PCM-4", "2405.18407", PHASED, {"f": partial(pcm, 4)}, EXACT),
    "musiccm": Entry("MusicCM", "2404.13358", FEW_STEP, {"f": musiccm}, EXACT),
    "musiccm-plain": Entry(
        "MusicCM (no critic)", "2404.13358", FEW_STEP, {"f": partial(musiccm, critic=False)}, EXACT
    ),
    "tcm": Entry("TCM", "2410.14895", TRUNCATED, preset(toy.tcm)),
    "lsd": Entry("LSD", "2505.18825", MAPS, preset(toy.lsd), BATCH),
    "lsd-sample": Entry("LSD (single)", "2505.18825", MAPS, {"f": lsd_single}),
    "esd": Entry("ESD", "2505.18825", MAPS, preset(toy.esd), BATCH),
    "psd": Entry("PSD", "2505.18825", MAPS, preset(toy.psd), BATCH),
    "meanflow": Entry("MeanFlow", "2505.13447", MAPS, preset(toy.meanflow), BATCH),
    "alpha-flow": Entry("α-Flow", "2510.20771", MAPS, preset(toy.alpha_flow)),
    "shortcut": Entry("Shortcut", "2410.12557", MAPS, preset(toy.shortcut)),
    "ctm": Entry("CTM", "2310.02279", MAPS, preset(toy.ctm), note="without its critic"),
    "imm": Entry("IMM", "2503.07565", MAPS, preset(toy.imm), BATCH, "with steps of equal ratio"),
    "drifting": Entry("Drifting", "2602.04770", MAPS, preset(toy.drifting)),
    "progressive": Entry("progressive distillation", "2202.00512", MAPS, preset(toy.progressive)),
    "lmd": Entry("LMD", "2406.07507", MAPS, preset(toy.lmd), EXACT),
    "reflow": Entry("reflow", "2209.03003", MAPS, preset(toy.reflow), EXACT),
    "dmd": Entry(
        "DMD", "2311.18828", MAPS, preset(toy.dmd), EXACT, "without its regression loss"
    ),
    "editing": Entry(
        "zero-shot editing", "2303.01469", ZeroShotEditing(LEVELS, (1, 2, 4, 16, 40)),
        preset(toy.ict),
    ),
    "dps": Entry(
        "DPS", "2209.14687",
        PosteriorSampling(LEVELS, ((4, 4.0), (16, 2.0), (40, 1.0))), {"denoiser": whole(toy.edm)},
        note="the mean D is compared with y",
    ),
    "cm-dis": Entry(
        "CM-DIS", "2403.12063",
        PosteriorSampling(LEVELS, ((2, 1.0), (8, 2.0), (20, 2.0)), "f"),
        {"denoiser": half(toy.edm), "f": half(toy.ict)}, note="f is compared with y",
    ),
}  # fmt: skip


# The table of all runs: one JSON line per run, sorted, and the networks of seed 0 beside it

LEDGER, TABLE = SHIPPED / "atlas.jsonl", OWN / "atlas.jsonl"  # to read, and to write
Row = dict[str, Any]


ROW, ANSWER = {"arm": str, "seed": int}, {"way": str, "calls": int}
FACTS = ("seconds", "samples", "pretraining", "bytes", "rmse", "rmse_max")


RENAMED = {"law": "sliced_w2", "hq": "near_mode"}  # in tables that were recorded before


def read_rows(path: Path = LEDGER) -> list[Row]:
    """The runs of a table, none if there is no such file. Raises BadFile naming a bad line."""
    if not path.exists():
        return []
    try:
        lines = [line.decode() for line in checkpoint.read_lines(path)]
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read as text; choose another --out") from error
    return [row_of(line, f"line {i} of {path}") for i, line in enumerate(lines, 1)]


def row_of(line: str, place: str) -> Row:
    """One run. Raises BadFile."""
    try:
        row = checkpoint.with_fields(checkpoint.parse_json(line), ROW, place)
        answers = [checkpoint.with_fields(a, ANSWER, place) for a in row.get("answers", ())]
        answers = [{RENAMED.get(k, k): value for k, value in a.items()} for a in answers]
        numbers = [row.get(name, 0) for name in FACTS] + row.get("rmse_by_level", [])
        numbers += [value for answer in answers for k, value in answer.items() if k not in ANSWER]
        known = row["arm"] in ENTRIES and all(map(is_number, numbers))
    except (ValueError, TypeError):
        known, row = False, {}
    if not known:
        raise BadFile(
            f"{place} is no run of the atlas; take the line out, and bench makes it anew"
        )
    return row | {"answers": answers} if answers else row


def is_number(value: Any) -> bool:
    """Whether a measured value is one; None stands for one that was not finite."""
    return value is None or isinstance(value, int | float)


def merged(rows: Iterable[Row], row: Row) -> list[Row]:
    """The rows with this one in place of an earlier run of the same method and seed, in order."""
    order = {method: i for i, method in enumerate(ENTRIES)}
    others = [r for r in rows if (r["arm"], r["seed"]) != (row["arm"], row["seed"])]
    return sorted([*others, row], key=lambda r: (order[r["arm"]], r["seed"]))


def write_rows(rows: Iterable[Row], path: Path = LEDGER) -> None:
    """Write the whole table or nothing. Raises BadFile when the disk refuses."""
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    checkpoint.replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def weights_of(method: str, role: str = "f", table: Path = LEDGER) -> Path:
    """Path of the weights of a network of seed 0, for `runs.load`."""
    return table.with_suffix("") / f"{method}{'' if role == 'f' else '-' + role}.safetensors"


def score(
    rows: Sequence[Row], method: str, name: str, way: str = "", calls: int = 0
) -> np.ndarray:
    """One number for each seed: a fact of the run, or an answer's by way and calls; nan if failed.

    Raises KeyError where no run of the method has it.
    """
    mine = [row for row in rows if row["arm"] == method]
    found = [value_of(row, name, way, calls) for row in mine]
    if not mine or all(
        value is None and "failed" not in row for value, row in zip(found, mine, strict=True)
    ):
        raise KeyError(
            f"no run of {method!r} has {name!r} {way} in {calls} calls; run `cmlab bench {method}`"
        )
    return np.array([np.nan if value is None else value for value in found], dtype=float)


def value_of(row: Row, name: str, way: str, calls: int) -> float | None:
    """A fact of a run, or one number of one of its answers."""
    if not way:
        return row.get(name)
    answers = (a for a in row.get("answers", []) if (a["way"], a["calls"]) == (way, calls))
    return next((a[name] for a in answers if name in a), None)


# The table of all methods as Markdown: mean and range over the seeds

FEW = (1, 2, 4)
DIFFUSION = ("exact", "edm", "edm-fast")
GUESSES = ("dps", "cm-dis", "editing")
BUDGETS = (4, 16, 40)
GENERATORS = tuple(
    method for method, entry in ENTRIES.items() if isinstance(entry.asked, Generation)
)
NAMES = {"ddim": "DDIM", "heun": "Heun"}  # the ways of denoisers; all others are students'


def few_step_table(rows: Sequence[Row]) -> str:
    """Error to the truth in 1, 2 and 4 calls, and the share of samples near a mode."""
    head = [
        "method",
        "arXiv",
        "teacher",
        *[calls_text(n) for n in FEW],
        *[f"near a mode, {calls_text(n)}" for n in FEW],
    ]
    return markdown([head, *[few_step_row(rows, method) for method in GENERATORS]])


def cost_table(rows: Sequence[Row]) -> str:
    """Markdown table: cost of training, and RMS error to f*."""
    head = ["method", "rmse to f\\*", "samples (pre-training)", "CPU s", "MB"]
    trained = [method for method in GENERATORS if ENTRIES[method].parts]
    body = [
        [ENTRIES[a].full, ranged(score(rows, a, "rmse")), *cost_cells(rows, a)] for a in trained
    ]
    return markdown([head, *body])


def calls_text(calls: int) -> str:
    return f"{calls} call{'s' * (calls > 1)}"


def few_step_row(rows: Sequence[Row], method: str) -> list[str]:
    """One method's row of `few_step_table`."""
    entry, way = ENTRIES[method], ways(rows, method)[0]
    errors = [ranged(score(rows, method, "sliced_w2", way, n)) for n in FEW]
    near = [ranged(score(rows, method, "near_mode", way, n)) for n in FEW]
    return [entry.full, entry.paper, entry.teacher or "none", *errors, *near]


def cost_cells(rows: Sequence[Row], method: str) -> list[str]:
    """Samples, CPU seconds with their range, and megabytes of one method's training."""
    samples, before, size = (
        score(rows, method, n).mean() for n in ("samples", "pretraining", "bytes")
    )
    seen = f"{samples:,.0f}" + (f" ({before:,.0f})" if before else "")
    return [seen, ranged(score(rows, method, "seconds"), ".0f"), f"{size / 1e6:.1f}"]


def diffusion_table(rows: Sequence[Row]) -> str:
    """Markdown table: error of diffusion in more calls."""
    asked = [(a["way"], a["calls"]) for a in answers(rows, "edm") if a["calls"] > max(FEW)]
    head = ["method", *[f"{NAMES[way]}, {calls_text(n)}" for way, n in asked]]
    body = [
        [ENTRIES[method].full, *[ranged(score(rows, method, "sliced_w2", *ask)) for ask in asked]]
        for method in DIFFUSION
    ]
    return markdown([head, *body])


def posterior_table(rows: Sequence[Row]) -> str:
    """W₁ to the exact posterior, by calls."""
    head = ["method", "arXiv", *[f"{n} calls" for n in BUDGETS]]
    body = [
        [ENTRIES[method].full, ENTRIES[method].paper,
         *[ranged(score(rows, method, "w1", ways(rows, method)[0], n)) for n in BUDGETS]]
        for method in GUESSES
    ]  # fmt: skip
    return markdown([head, *body])


def answers(rows: Sequence[Row], method: str) -> list[Row]:
    """The records of a method's first run that did not fail."""
    return next((row["answers"] for row in rows if row["arm"] == method and "answers" in row), [])


def ways(rows: Sequence[Row], method: str) -> list[str]:
    """The samplers of a method, in order."""
    return list(dict.fromkeys(a["way"] for a in answers(rows, method)))


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first the head."""
    head, *body = table
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


# One run of one method: training, evaluation and cost

SIGMA_MIN = 0.002


def fingerprint(recipes: Mapping[str, Recipe], entry: Entry) -> str:
    """Fingerprint of a run's settings and evaluation, not of the code.

    A row with another one is stale. Recipes name their data; where nothing is trained the data
    are named instead. Classes and fields stand under their earliest recorded names, so that
    moving or renaming one makes no row stale.
    """
    kept = {role: canonical(recipe) for role, recipe in recipes.items()}
    text = json.dumps(kept or canonical_repr(entry.data), sort_keys=True)
    return hashlib.sha256(f"{text} {canonical_repr(entry.asked)}".encode()).hexdigest()[:12]


def recipes_of(entry: Entry, seed: int, steps: int = STEPS) -> dict[str, Recipe]:
    """The recipes of an entry's networks, by role."""
    return {role: make(steps, seed) for role, make in entry.parts.items()}


def measured(
    method: str, entry: Entry, seed: int, steps: int = STEPS, table: Path = LEDGER
) -> Row:
    """Train, ask, and answer with the row; seed 0 leaves its networks beside the table.

    seconds  of this process's CPU, for training alone; bytes of memory are counted, not measured.
    A run whose loss is not finite leaves "failed", the reason, in place of answers.
    """
    recipes, start = recipes_of(entry, seed, steps), process_time()
    row: Row = {"arm": method, "seed": seed, "key": fingerprint(recipes, entry)}
    try:
        models = {role: trained(recipe) for role, recipe in recipes.items()}
    except NotFinite as error:
        return row | {"failed": str(error)}
    row |= {"seconds": round(process_time() - start, 2)} | costs(recipes)
    if seed == 0:
        for role, model in models.items():
            save_network(model, recipes[role], weights_of(method, role, table))
    if "f" in models:
        row |= map_errors(models["f"], entry)
    answers = entry.asked(networks(models, entry), entry.data, seed)
    return row | {"answers": [rounded(a) for a in answers], "versions": versions()}


def trained(recipe: Recipe) -> Denoiser:
    """The averaged network at the end of a run."""
    trainer = recipe.trainer(begin(recipe, None, recipe.train.steps, False)).fit()
    return trainer.ema.model.eval().requires_grad_(False)


def networks(models: Mapping[str, Denoiser], entry: Entry) -> Networks:
    """Networks to evaluate, by role; the exact denoiser where nothing was trained."""
    exact = OracleTeacher(entry.data)
    found = {role: (model.process, model) for role, model in models.items()}
    return found or {"f": (exact.process, exact.denoise)}


def costs(recipes: Mapping[str, Recipe]) -> Row:
    """Samples of all trainings, those before the last one apart, and the most bytes at once."""
    plans = [forecast(recipe) for recipe in recipes.values()]
    before = sum(r.start.samples for r in recipes.values() if r.start)
    return {
        "samples": sum(r.samples for r in recipes.values()),
        "pretraining": before,
        "bytes": max((f.memory for plan in plans for f in plan), default=0),
    }


def map_errors(model: Denoiser, entry: Entry) -> Row:
    """RMS distance to f*: over 32 noise levels, at the top one, and at each."""
    levels = truth(entry.data, SIGMA_MIN, seed=0)
    error = rmse_by_level(model, model.process, levels)
    return {
        "rmse": round(float(error.square().mean().sqrt()), 5),
        "rmse_max": round(float(error[-1]), 5),
        "rmse_by_level": [round(e, 5) for e in error.tolist()],
    }


def save_network(model: Denoiser, recipe: Recipe, path: Path) -> None:
    """The weights in half precision, with the recipe in the header."""
    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    checkpoint.write(path, half, {"recipe": to_dict(recipe), "dtype": "float16"})


def rounded(answer: Row) -> Row:
    """Five digits are more than the seeds share."""
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in answer.items()}


# `cmlab bench`: make the table of all methods, or what is missing of it


def add_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("methods", nargs="*", help=f"all, unless named: {', '.join(ENTRIES)}")
    seeds = whole_numbers(SEEDS)
    bench.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="as in 0,1,2")
    bench.add_argument(
        "--steps",
        type=whole_number(Range("[8, 1e9]")),
        default=STEPS,
        help="of all trainings of a run together",
    )
    bench.add_argument("--again", action="store_true", help="also what the table has already")
    bench.add_argument("--out", type=Path, default=TABLE, help="default data/atlas.jsonl")


def main(given: argparse.Namespace) -> int:
    """Run after run; a run that is in the table with the same settings is left as it is.

    One thread, so that seconds can be compared. Each line is written when its run ends: stopped
    at any moment, the same command goes on.
    """
    methods = given.methods or list(ENTRIES)
    if strange := [method for method in methods if method not in ENTRIES]:
        raise Refused(f"the atlas has no {strange[0]!r}; allowed: {', '.join(ENTRIES)}")
    if given.out.suffix != ".jsonl":
        raise Refused(f"--out takes a .jsonl file, not {given.out}")
    if given.steps != STEPS and given.out == TABLE:
        raise Refused(f"--steps {given.steps} makes another table: name it with --out")
    torch.set_num_threads(1)
    for seed in given.seeds:
        for method in methods:
            run_if_missing(method, seed, given.steps, given.out, given.again)
    return 0


def run_if_missing(method: str, seed: int, steps: int, out: Path, again: bool) -> None:
    """One run, unless the table has it."""
    entry, rows = ENTRIES[method], read_rows(out)
    key = fingerprint(recipes_of(entry, seed, steps), entry)
    if not again and any((r["arm"], r["seed"], r["key"]) == (method, seed, key) for r in rows):
        return
    start = time.perf_counter()
    row = measured(method, entry, seed, steps, out)
    with hold(out.with_name(f"{out.name}.lock"), wait=60):  # another bench may have added rows
        write_rows(merged(read_rows(out), row), out)
    took = row.get("failed") or f"{time.perf_counter() - start:.0f} s"
    sys.stdout.write(f"{method}, seed {seed}: {took}\n")
    sys.stdout.flush()
