"""Train, evaluate and export a preset on one GPU, in slices of a few minutes.

python scripts/gpu_session.py --work DIR --out DIR [--data PATH] [--theirs PATH] [--minutes 9]
    [--preset cifar10.ect-sprint] [--set key=value …] [--n 10000]

Call it again with the same --work until it prints "done": each call resumes where the last one
ended, and stops by itself with a checkpoint before its minutes are over. --out gets the results:
speed.jsonl, scores.jsonl, the scores of the denoiser with its 35 calls in scores-start.jsonl, and
the exported run (see `cmlab ship`). --theirs is a checkout of the ECT authors' code, for a
comparison of speed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cmlab.train.control import STOP, RunControl

HERE = Path(__file__).parent
MARGIN = 45  # seconds for a stop, a checkpoint and a copy


def run_command(words: list[str], out: Path | None = None) -> int:
    """Run a command; its standard output goes into a file if it succeeds."""
    if out is None:
        return subprocess.run(words).returncode
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode == 0:
        out.write_text(done.stdout, encoding="utf-8")
    return done.returncode


def train_until(words: list[str], run: Path, end: float) -> bool:
    """Train until the run is finished, or stop it when the time is over; whether it finished."""
    with subprocess.Popen(words) as child:
        while child.poll() is None:
            time.sleep(1)
            if time.monotonic() > end:
                RunControl(run).ask(STOP)
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
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes - MARGIN
    name = args.preset.split("-")[0].replace(".", "-")
    run, cmlab = args.work / "run", [sys.executable, "-m", "cmlab"]
    place = ["--data", str(args.data)] if args.data else []
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)

    speed = args.work / "speed.jsonl"
    if args.theirs and not speed.exists():
        words = [sys.executable, str(HERE.parent / "benchmarks" / "cifar10.py")]
        subprocess.run([*words, "--theirs", str(args.theirs), "--out", str(speed)])

    settings = [word for words in args.set for word in words]
    words = [*cmlab, "train", args.preset, "--out", str(run), "--resume", *place]
    words += ["--set", *settings] if settings else []
    finished = (run / "model.safetensors").exists() or train_until(words, run, end)
    state = run / "state.json"
    print(state.read_text("utf-8") if state.exists() else "nothing was trained")

    scores, before = args.work / "scores.jsonl", args.work / "scores-start.jsonl"
    options = ["--space", "cmlab-cifar", "--n", str(args.n), *place]
    if finished and not before.exists() and (run / "start").exists() and time.monotonic() < end:
        run_command([*cmlab, "evaluate", str(run / "start"), "--heun", *options], before)
    if finished and not scores.exists() and time.monotonic() < end:
        run_command([*cmlab, "evaluate", str(run), *options], scores)
        run_command([*cmlab, "ship", str(run), "--out", str(args.out / name)])
    for path in (speed, scores, before, run / "log.jsonl", run / "record.json"):
        if path.exists():
            shutil.copy(path, args.out / path.name)
    done = finished and scores.exists()
    print(json.dumps({"done": done}))
    return 0 if done else 3


if __name__ == "__main__":
    raise SystemExit(main())
