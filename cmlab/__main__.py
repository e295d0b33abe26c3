"""python -m cmlab, and the command cmlab. `doctor` and `labs` work even where torch does not."""

import sys


def main() -> int:
    """Exit status: 0 done, 1 failed, 2 refused."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "doctor" and len(sys.argv) == 2:
        from . import doctor

        return doctor.main()
    if verb == "labs":
        from . import labs

        return labs.main(sys.argv[2:])
    from . import cli

    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
