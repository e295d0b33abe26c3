"""Train the ear through which MusicCM's critic listens: it reads the notes of each column.

python scripts/train_music_ear.py [--seed 0] [--out data/checkpoints/music-ear]
"""

import argparse
from pathlib import Path
from time import process_time

import torch
from cmlab_labs.lab15_music.data import COLUMNS, Tunes
from cmlab_labs.lab15_music.networks import CHECKPOINT, NOTES, NoteDetector
from shipped_weights import write_shipped
from torch import Tensor
from torch.nn import functional

STEPS, BATCH, RATE, NOISE = 1500, 32, 2e-3, 0.2


def batch(data: Tunes, n: int) -> tuple[Tensor, Tensor]:
    """Clips, and which notes sound in each of their columns (n, notes, COLUMNS)."""
    piece, first = data.cuts(n)
    columns = first[:, None] + torch.arange(COLUMNS)
    notes = data.rolls[piece[:, None], columns][..., slice(*NOTES)]
    return data.clips(piece, first), notes.transpose(1, 2).float()


def train(seed: int) -> NoteDetector:
    """Binary cross-entropy under Adam's one cycle; noise on the clips keeps the layers smooth."""
    torch.manual_seed(seed)
    ear, data = NoteDetector(), Tunes()
    adam = torch.optim.Adam(ear.parameters(), RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        x, notes = batch(data, BATCH)
        heard = ear(x + NOISE * torch.randn_like(x))
        loss = functional.binary_cross_entropy_with_logits(heard, notes)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cycle.step()
    return ear.eval().requires_grad_(False)


def hits(ear: NoteDetector, data: Tunes) -> dict[str, float]:
    """Of the notes that sound, the share found; of those found, the share that sound."""
    torch.manual_seed(1)
    x, notes = batch(data, 256)
    found, true = ear(x) > 0, notes > 0.5
    both = (found & true).sum()
    return {"recall": float(both / true.sum()), "precision": float(both / found.sum())}


def main() -> None:
    """Train, and write the weights and their record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CHECKPOINT.with_suffix(""))
    choice = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so the same weights on each run
    start = process_time()
    ear = train(choice.seed)
    record = {
        "command": f"python scripts/train_music_ear.py --seed {choice.seed}",
        "held out": hits(ear, Tunes(train=False)),
        "train": hits(ear, Tunes()),
        "cpu_seconds": round(process_time() - start, 1),
    }
    file = choice.out.with_suffix(".safetensors")
    write_shipped(file, ear, record, ("torch", "numpy", "librosa"))


if __name__ == "__main__":
    main()
