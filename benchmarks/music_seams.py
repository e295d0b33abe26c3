"""Does the order of lab 15's windows belong to the method, or to one set of noise samples?

    python benchmarks/music_seams.py [--seeds 6]

The shipped student makes the long clips of the lab in 4 calls, from the noise of each seed; the
recordings of the lab have the noise of seed 0. Prints one JSON line for each seed: seam error and
share of right chords by overlap, for the ways that fuse windows, and at overlap 48 the mean jump
between neighbouring columns in which windows overlap; and by network calls, at overlap 32, the
share of right chords of windows side by side and fused.
"""

import argparse
import json

import torch
from cmlab_labs.lab15_music.analysis import (
    OVERLAPS,
    WAYS,
    by_overlap,
    long_clip,
    pitch_accuracy,
)
from cmlab_labs.lab15_music.data import COLUMNS, LOOPS
from cmlab_labs.lab15_music.explorer import SAMPLER, shipped
from torch import Tensor

CALLS, CLIPS, OVERLAP = 4, 32, 48
MORE_CALLS, HALF = (4, 16, 32), 32


def jump_inside(x: Tensor, overlap: int) -> float:
    """Mean jump |x_k+1 - x_k| of clips (n, 1, bands, columns) where two windows overlap."""
    jumps, step = x.diff(dim=-1).abs().mean((0, 1, 2)), COLUMNS - overlap
    inside = torch.zeros(len(jumps), dtype=torch.bool)
    inside[step : len(jumps) - step] = True
    return float(jumps[inside].mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    model, _ = shipped()
    labels = torch.arange(CLIPS) % len(LOOPS)
    for seed in range(seeds):
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
