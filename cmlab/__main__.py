"""Entry point of `python -m cmlab` and of the command `cmlab`.

`doctor` and `labs` work even where torch does not.
"""

import sys
from io import TextIOWrapper

AGAIN = "remove the folder .venv, then run `make install`"


def main() -> int:
    """Run the command line; exit status 0 done, 1 failed, 2 refused, 3 stopped on request."""
    for stream in (sys.stdout, sys.stderr):  # a console that lacks a character shows its number
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("cmlab"):
            raise
        sys.stderr.write(f"cmlab: {error.name} is not installed; {AGAIN}\n")
        return 1


def run() -> int:
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "doctor" and len(sys.argv) == 2:
        from .cli import doctor

        return doctor.main()
    if verb == "labs":
        from .cli import expanded
        from .discovery import LabsMissing, late_import

        try:
            return late_import("labs").main(expanded(sys.argv[2:]))
        except LabsMissing as error:
            sys.stderr.write(f"cmlab: {error}\n")
            return 2
    from .cli import main

    return main.main()


if __name__ == "__main__":
    raise SystemExit(main())
