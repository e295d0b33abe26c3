"""The command line: cmlab train | sample | evaluate | ship | record | bench | data | doctor …"""

import re
from collections.abc import Sequence
from os.path import expanduser

AT_START = re.compile(r"^(--[\w-]+=)?(~.*)$", re.DOTALL)


def expanded(words: Sequence[str]) -> list[str]:
    """The words of a command with `~` at the start of a path replaced by the home folder.

    The shell does so with most words itself, but not with `--out=~/run`, nor with what is quoted
    or comes from a notebook. A user that is unknown stays as it is.
    """
    return [AT_START.sub(lambda m: (m[1] or "") + expanduser(m[2]), word) for word in words]
