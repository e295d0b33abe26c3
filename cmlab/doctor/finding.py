"""One line of the doctor's report."""

from dataclasses import dataclass

AGAIN = "make the environment again: remove .venv, then run `make install`"


@dataclass(frozen=True)
class Finding:
    """Without a remedy all is well; with one, `stops` says how bad it is."""

    what: str
    found: str
    remedy: str = ""
    stops: bool = False
