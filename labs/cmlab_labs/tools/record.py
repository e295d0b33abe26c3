"""`cmlab record`: train variants of a study and write the recordings that the labs replay."""

import argparse
from pathlib import Path
from tempfile import TemporaryFile

from cmlab.cli.settings import SEEDS, Refused, say, whole_numbers
from cmlab.discovery import OWN

from ..common.study import write
from ..registry import STUDIES


def add_arguments(record: argparse.ArgumentParser) -> None:
    record.add_argument("study", choices=STUDIES, help=", ".join(STUDIES))
    record.add_argument("variants", nargs="+", help="variants of the study, or all")
    record.add_argument(
        "--seeds", type=whole_numbers(SEEDS), default=[0, 1, 2], help="as in 0,1,2"
    )
    record.add_argument("--out", type=Path, default=OWN / "runs", help="default data/runs")


def main(given: argparse.Namespace) -> int:
    """Write one recording for each variant."""
    study = STUDIES[given.study]
    variants = list(study.variants) if given.variants == ["all"] else given.variants
    if unknown := [name for name in variants if name not in study.variants]:
        allowed = ", ".join(study.variants)
        raise Refused(f"{study.name} has no variant {unknown[0]!r}; allowed: {allowed}")
    try:
        given.out.mkdir(parents=True, exist_ok=True)  # before the training, not after it
        TemporaryFile(dir=given.out).close()
    except OSError as error:
        raise Refused(f"{given.out} is no folder to write to; choose another --out") from error
    for variant in variants:
        recording = study.record(variant, given.seeds)
        path = write(recording, given.out)
        say({"wrote": str(path), "seconds": sum(recording.record["seconds"])})
    return 0
