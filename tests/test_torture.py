"""A short seeded part of scripts/torture.py ends in order, and the script sees what does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def torture(out, *words):
    command = [sys.executable, SCRIPTS / "torture.py", "--out", out, "--processes", "0", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")
def test_a_short_seeded_part_ends_without_traceback_hang_or_unsound_end(tmp_path):
    words = ("--kind", "4", "--inputs", "120", "--kills", "0")
    done = torture(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert {row["kind"] for row in rows} == {4} and done.stdout.startswith("| kind |")
    again = torture(tmp_path, *words)  # all is in the ledger: nothing is tried again
    assert again.stdout == done.stdout and len(rows) == len(
        (tmp_path / "ledger.jsonl").read_text().splitlines()
    )


SELF = """
import os, sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torture_run
from torture_run import Case, Event, run
torture_run.WAITING = 3.0

def case(what):
    return Case("x", ("train", "nothing"), before=what)

def said(*lines, status=2):
    sys.stderr.write("".join(f"{line}\\n" for line in lines))
    sys.stderr.flush()
    os._exit(status)

cases = {
    "refused": case(partial(said, "cmlab: no")),
    "accepted": case(partial(said, status=0)),
    "traceback": case(lambda: 1 / 0),
    "memory": case(lambda: bytearray(2**40)),
    "hang": case(lambda: time.sleep(60)),
    "unclear": case(partial(said, "cmlab: no", "cmlab: no")),
}
print({name: run(one, Path("work")).outcome for name, one in cases.items()})
print(run(cases["unclear"], Path("work")).fault)
unsound = Case("x", (), before=partial(said, status=0), judge=lambda folder, ends: "unsound")
print(run(unsound, Path("work")).fault)
kill = Event(0.0, lambda pid, folder: os.kill(pid, 9))
print(run(Case("x", (), before=lambda: time.sleep(60), event=kill), Path("work")).kills)
print(os.listdir("."))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")
def test_each_ending_is_told_from_the_others(tmp_path):
    done = subprocess.run([sys.executable, "-c", SELF, SCRIPTS], cwd=tmp_path,
                          capture_output=True, encoding="utf-8")  # fmt: skip
    assert done.returncode == 0, done.stderr
    endings, two, unsound, kills, left = done.stdout.splitlines()
    names = ("refused", "accepted", "traceback", "memory", "hang")
    assert endings == str({name: name for name in names} | {"unclear": "refused"})
    assert two == "status 2 with 2 sentences" and unsound == "unsound"
    assert kills == "1" and left == "[]"
