"""`cmlab gallery`: the labs and a front page as a static site."""

import argparse
import sys
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from ..notebooks.build import checkout
from .site import swap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("site"), help="folder; default site")
    parser.add_argument("--source", default="", metavar="URL",
                        help="the repository's address, for links to the code")  # fmt: skip


def main(given: argparse.Namespace) -> int:
    """Exit status 0 when the site is there, 2 when it cannot be made; then nothing is changed."""
    from .site import write_site  # plotly and Markdown's parser are slow to load

    start = perf_counter()
    try:
        if given.source and urlsplit(given.source).scheme not in ("http", "https"):
            raise ValueError(f"--source takes an address such as https://…, not {given.source!r}")
        root = checkout()
        swap(given.out, lambda folder: write_site(root, folder, given.source))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 2
    size = sum(file.stat().st_size for file in given.out.rglob("*") if file.is_file())
    pages = len(list(given.out.glob("*.html")))
    took = perf_counter() - start
    sys.stdout.write(f"{given.out}/index.html: {pages} pages, {size / 1e6:.0f} MB, {took:.0f} s\n")
    return 0
