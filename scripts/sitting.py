"""One sitting on one GPU, in slices: the speed table, the sprint, its scores, the shipped files.

python scripts/sitting.py --work DIR --out DIR [--data PATH] [--theirs PATH] [--minutes 9]
    [--preset cifar10.ect-sprint] [--set key=value …] [--n 10000]

Call it again with the same --work until it prints "done": each call goes on where the last one
ended, and stops by itself, checkpoint written, before its minutes are over. Each part is done
once. --out gets what is worth keeping: speed.jsonl, scores.jsonl, those of the denoiser with its
35 calls in scores-start.jsonl, and the run made small (see `cmlab ship`). --theirs is a checkout
of the ECT authors' code, for the side-by-side rows.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cmlab.train.control import STOP, Sitting

HERE = Path(__file__).parent
MARGIN = 45  # seconds that a stop, a checkpoint and a copy may take


def spoken(words: list[str], out: Path | None = None) -> int:
    """Run a command; its standard output goes into a file, whole or not at all."""
    if out is None:
        return subprocess.run(words).returncode
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode == 0:
        out.write_text(done.stdout, encoding="utf-8")
    return done.returncode


def trained(words: list[str], run: Path, end: float) -> bool:
    """Train until the run is finished or the time is over."""
    with subprocess.Popen(words) as child:
        while child.poll() is None:
            time.sleep(1)
            if time.monotonic() > end:
                Sitting(run).ask(STOP)
    return child.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--theirs", type=Path)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--preset", default="cifar10.ect-sprint")
    parser.add_argument("--set", action="append", default=[], nargs="+")
    parser.add_argument("--n", type=int, default=10_000)
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes - MARGIN
    name = given.preset.split("-")[0].replace(".", "-")
    run, cmlab = given.work / "run", [sys.executable, "-m", "cmlab"]
    place = ["--data", str(given.data)] if given.data else []
    given.work.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)

    speed = given.work / "speed.jsonl"
    if given.theirs and not speed.exists():
        words = [sys.executable, str(HERE.parent / "benchmarks" / "cifar10.py")]
        subprocess.run([*words, "--theirs", str(given.theirs), "--out", str(speed)])

    settings = [word for words in given.set for word in words]
    words = [*cmlab, "train", given.preset, "--out", str(run), "--resume", *place]
    words += ["--set", *settings] if settings else []
    finished = (run / "model.safetensors").exists() or trained(words, run, end)
    state = run / "state.json"
    print(state.read_text("utf-8") if state.exists() else "nothing was trained")

    scores, before = given.work / "scores.jsonl", given.work / "scores-start.jsonl"
    judge = ["--space", "cmlab-cifar", "--n", str(given.n), *place]
    if finished and not before.exists() and (run / "start").exists() and time.monotonic() < end:
        spoken([*cmlab, "evaluate", str(run / "start"), "--heun", *judge], before)
    if finished and not scores.exists() and time.monotonic() < end:
        spoken([*cmlab, "evaluate", str(run), *judge], scores)
        spoken([*cmlab, "ship", str(run), "--out", str(given.out / name)])
    for path in (speed, scores, before, run / "log.jsonl", run / "record.json"):
        if path.exists():
            shutil.copy(path, given.out / path.name)
    done = finished and scores.exists()
    print(json.dumps({"done": done}))
    return 0 if done else 3


if __name__ == "__main__":
    raise SystemExit(main())
