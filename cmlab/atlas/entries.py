"""The methods as they are compared: on the ring, networks of one size, 4000 steps of 256 in all.

Settings are those of the presets. What has no preset on the ring (sLCT, MusicCM, guesses with
two networks) was tried on seeds 10 and 11, see docs/settings.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..adversary import Critic
from ..data.toy import ToyData
from ..distance import EDMWeight, InverseGap
from ..guide import Exact, StopGrad
from ..methods import SLCT, Method, MusicCM
from ..model import CMPrecond
from ..nets.critic import PointCriticShape
from ..phases import PhasedSteps
from ..presets import faster, phased, toy
from ..recipe import Recipe
from ..sample import FewSteps
from ..schedule import Constant, Doubling
from ..tightening import Tightening
from ..times import KarrasGrid, Neighbours
from .asked import Generates, HeunSteps, Question
from .guesses import Edits, Guesses, Truth

DATA: ToyData = toy.RING
STEPS = 4000  # of all trainings of a run together
Make = Callable[[int, int], Recipe]  # (steps, seed) -> recipe

MULTISTEP = ("multistep", FewSteps(toy.SIGMA_MAX, toy.SIGMA_MID), (1, 2, 4))
PHASES = ("phases", PhasedSteps(toy.GRID, phased.POINTS), (1, 2, 4))
DDIM = ("ddim", PhasedSteps(toy.GRID, phased.POINTS), (1, 2, 4, 8, 16, 32))
HEUN = ("heun", HeunSteps(toy.GRID), (5, 9, 17, 35))
LEVELS = KarrasGrid(0.02, toy.SIGMA_MAX)


@dataclass(frozen=True)
class Entry:
    """A method: the recipes of its networks by role, what they are asked, and what it was given.

    `teacher` is what it is told that data alone does not say: "the exact denoiser" or nothing.
    """

    title: str
    paper: str  # its number on arXiv
    asked: Question
    parts: Mapping[str, Make] = field(default_factory=dict)
    teacher: str = ""

    @property
    def data(self) -> ToyData:
        return DATA


def whole(make: Callable[..., Recipe]) -> Make:
    """A preset of the ring with all of the steps."""
    return lambda steps, seed: make(steps=steps, seed=seed)


def half(make: Callable[..., Recipe]) -> Make:
    """The same with half of them, for one of two networks."""
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
    pairs = Neighbours(Doubling(10, 640, steps), toy.LEVELS, toy.GRID)
    clean = EDMWeight(DATA.sigma_data)
    return plain(SLCT(pairs, c=Tightening(pairs.points), clean=clean), steps, seed)


def musiccm(steps: int, seed: int, critic: bool = True) -> Recipe:
    """As `music.cd`, with the exact denoiser, unguided, since the ring has no labels."""
    heads = Critic(PointCriticShape(2, 64), gamma=0.1) if critic else None
    method = MusicCM(
        Exact(DATA),
        pairs=Neighbours(Constant(30), toy.LEVELS, toy.GRID),
        weight=InverseGap(),
        target=StopGrad(),
        critic=heads,
    )
    return plain(method, steps, seed)


def pcm(phases: int, steps: int, seed: int) -> Recipe:
    """The preset, with the network of all the others."""
    recipe = phased.ring(DATA, steps, seed, phases)
    return replace(recipe, net=toy.ict().net)


EXACT = "the exact denoiser"
ASK_FEW = Generates((MULTISTEP,))
ASK_PHASES, ASK_WALKS = Generates((PHASES,)), Generates((DDIM, HEUN))
ENTRIES: dict[str, Entry] = {
    "truth": Entry("the data themselves", "", Truth()),
    "exact": Entry("diffusion, exact denoiser", "2206.00364", ASK_WALKS, teacher=EXACT),
    "edm": Entry("EDM diffusion", "2206.00364", ASK_WALKS, preset(toy.edm)),
    "edm-fast": Entry("EDM, faster pre-training", "2404.07946", ASK_WALKS, preset(faster.ring)),
    "cd": Entry("CD, with iCT's loss", "2303.01469", ASK_FEW, preset(toy.cd), EXACT),
    "ct": Entry("CT", "2303.01469", ASK_FEW, preset(toy.ct)),
    "ict": Entry("iCT", "2310.14189", ASK_FEW, preset(toy.ict)),
    "ect": Entry("ECT", "2406.14548", ASK_FEW, preset(toy.ect)),
    "sct": Entry("sCT", "2410.11081", ASK_FEW, preset(toy.sct)),
    "scd": Entry("sCD", "2410.11081", ASK_FEW, preset(toy.scd), EXACT),
    "slct": Entry("sLCT", "2502.01441", ASK_FEW, {"f": slct}),
    "pcm-2": Entry("PCM, 2 phases", "2405.18407", ASK_PHASES, {"f": partial(pcm, 2)}, EXACT),
    "pcm-4": Entry("PCM, 4 phases", "2405.18407", ASK_PHASES, {"f": partial(pcm, 4)}, EXACT),
    "musiccm": Entry("MusicCM", "2404.13358", ASK_FEW, {"f": musiccm}, EXACT),
    "musiccm-plain": Entry(
        "MusicCM, no critic", "2404.13358", ASK_FEW, {"f": partial(musiccm, critic=False)}, EXACT
    ),
    "editing": Entry(
        "zero-shot editing", "2303.01469", Edits(LEVELS, (1, 2, 4, 16, 40)), preset(toy.ict)
    ),
    "dps": Entry(
        "DPS: the mean D is compared with y", "2209.14687",
        Guesses(LEVELS, ((4, 4.0), (16, 2.0), (40, 1.0))), {"denoiser": whole(toy.edm)},
    ),
    "cm-dis": Entry(
        "CM-DIS: f is compared with y", "2403.12063",
        Guesses(LEVELS, ((2, 1.0), (8, 2.0), (20, 2.0)), "f"),
        {"denoiser": half(toy.edm), "f": half(toy.ict)},
    ),
}  # fmt: skip
