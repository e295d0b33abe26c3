"""Whether the labs can run on this machine: what is found, what is wrong, and the remedy."""

from collections.abc import Callable, Iterator

from . import machine, places, project
from .finding import AGAIN, Finding

CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    machine.python,
    project.packages,
    machine.device,
    machine.memory,
    machine.disk,
    machine.kernel,
    places.home,
    places.checkout,
    places.network,
    project.pairs,
    project.checkpoints,
    project.recordings,
)


def main() -> int:
    """Prints the report; exit status 1 if something found would stop a lab."""
    findings = report()
    width = max(len(f.what) for f in findings)
    for f in findings:
        mark = "ok  " if not f.remedy else "STOP" if f.stops else "note"
        print(f"{mark}  {f.what:<{width}}  {f.found}")
        if f.remedy:
            print(f"{'':6}{'':<{width}}  -> {f.remedy}")
    return int(any(f.stops for f in findings))


def report() -> list[Finding]:
    """All findings. A check that itself fails is one of them."""
    return [finding for check in CHECKS for finding in _safely(check)]


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # the doctor must see all the rest of a broken machine
        reason = next(iter(str(error).splitlines()), "")
        found = f"{type(error).__name__}: {reason}"[:90]
        yield Finding(check.__name__, found, AGAIN, stops=True)
