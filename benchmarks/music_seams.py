"""Does the order of lab 15's windows belong to the method, or to one set of noise samples?

    python benchmarks/music_seams.py [--seeds 6]
    python benchmarks/music_seams.py --teacher [--fresh] [--seeds 3]

The shipped student makes the long clips of the lab in 4 calls, from the noise of each seed; the
recordings of the lab have the noise of seed 0. Prints one JSON line for each seed: seam error and
share of right chords by overlap, for the ways that fuse windows, and at overlap 48 the mean jump
between neighbouring columns in which windows overlap; and by network calls, at overlap 32, the
share of right chords of windows side by side and fused. With --teacher the guided teacher makes
the clips instead, in 50 DDIM steps at overlap 32, with --fresh in steps with fresh noise: does
averaging more often, by another model, make the windows agree?
"""

import argparse
import json

import torch
from cmlab_labs.lab15_music.analysis import (
    LENGTH,
    OVERLAPS,
    WAYS,
    LongClip,
    by_overlap,
    long_clip,
    pitch_accuracy,
)
from cmlab_labs.lab15_music.data import COLUMNS, LOOPS
from cmlab_labs.lab15_music.explorer import SAMPLER, shipped
from cmlab_labs.lab15_music.preset import DATA, GRID
from cmlab_labs.lab15_music.study import fresh_noise
from cmlab_labs.lab15_music.windows import fused_denoiser, seams, side_by_side, taper
from torch import Tensor

from cmlab.model import Denoiser
from cmlab.ops import seeded
from cmlab.sampling import ddim, ode
from cmlab.teacher import Guided, NetworkTeacher
from cmlab.types import Solver

CALLS, CLIPS, OVERLAP = 4, 32, 48
MORE_CALLS, HALF = (1, 4, 16, 32), 32
STEPS, SCALE = 50, 2.0  # of the guided teacher


def jump_inside(x: Tensor, overlap: int) -> float:
    """Mean jump |x_k+1 - x_k| of clips (n, 1, bands, columns) where two windows overlap."""
    jumps, step = x.diff(dim=-1).abs().mean((0, 1, 2)), COLUMNS - overlap
    inside = torch.zeros(len(jumps), dtype=torch.bool)
    inside[step : len(jumps) - step] = True
    return float(jumps[inside].mean())


@torch.no_grad()
def teacher_clip(
    model: Denoiser, way: str, labels: Tensor, seed: int, solver: Solver = ddim
) -> LongClip:
    """Long clips of the guided teacher by a solver, from one noise a canvas; HALF overlaps."""
    step, times = COLUMNS - HALF, GRID.down(STEPS)
    with seeded(torch.device("cpu"), seed):
        z = torch.randn(len(labels), *DATA.shape[:-1], LENGTH)
    guided = Guided(NetworkTeacher(model), SCALE, DATA.null)(z, labels)

    def alone(part: Tensor) -> Tensor:
        *_, x = ode(model.process, guided, times[0] * torch.randn_like(part), times, solver)
        return x

    if way == WAYS[0]:
        with seeded(torch.device("cpu"), seed):
            return LongClip(*side_by_side(alone, z, COLUMNS, step))
    weight = taper(COLUMNS) if way == WAYS[2] else None
    canvas = fused_denoiser(guided, COLUMNS, step, weight)
    with seeded(torch.device("cpu"), seed + 1):  # of the fresh noise, if any
        *_, x = ode(model.process, canvas, times[0] * z, times, solver)
    return LongClip(x, seams(LENGTH, COLUMNS, step))


def teacher_row(model: Denoiser, labels: Tensor, seed: int, solver: Solver) -> dict[str, object]:
    """Seam error and right chords of the teacher's long clips, for three ways of WAYS."""
    clips = {way: teacher_clip(model, way, labels, seed, solver) for way in WAYS[:3]}
    return {
        way: {"seam error": clip.seam_error, "right chords": pitch_accuracy(clip.x, labels)}
        for way, clip in clips.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--teacher", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="fresh noise after a teacher's steps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, _ = shipped("music-teacher" if given.teacher else "music-student")
    labels = torch.arange(CLIPS) % len(LOOPS)
    for seed in range(given.seeds):
        if given.teacher:
            row = {
                "seed": seed,
                **teacher_row(model, labels, seed, fresh_noise if given.fresh else ddim),
            }
            print(json.dumps(row), flush=True)
            continue
        seams, chords = by_overlap(model, SAMPLER, CALLS, CLIPS, seed)
        row: dict[str, object] = {"seed": seed}
        for k, way in list(enumerate(WAYS))[1:]:
            x = long_clip(model, SAMPLER, way, OVERLAP, CALLS, labels, seed).x
            row[way] = {
                "seam error": dict(zip(OVERLAPS, seams[k].tolist(), strict=True)),
                "right chords": dict(zip(OVERLAPS, chords[k].tolist(), strict=True)),
                "jump inside": jump_inside(x, OVERLAP),
            }
        row["right chords by calls"] = {
            way: {
                calls: pitch_accuracy(
                    long_clip(model, SAMPLER, way, HALF, calls, labels, seed).x, labels
                )
                for calls in MORE_CALLS
            }
            for way in WAYS[:2]
        }
        print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
