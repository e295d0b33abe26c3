#!/usr/bin/env bash
# latex2mathml 3.81.1: an equation over two lines, written with the environment aligned.
# Guess: aligned becomes a table of two rows, as align* does, since both are the same layout in LaTeX.
# Seen: no table is made; both lines stand on one, each alignment mark is printed as a sign, and it is a bare ampersand, so that the result is no well-formed XML. align* and matrix become tables.
# Versions: latex2mathml 3.81.1, Python 3.11. Seen on 2026-11-29, output:
#   aligned: table False, ampersands printed 2, well-formed False
#   align*: table True, ampersands printed 0, well-formed True
#   matrix: table True, ampersands printed 0, well-formed True
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q latex2mathml==3.81.1
"$folder/venv/bin/python" - <<'PYTHON'
from xml.etree import ElementTree

from latex2mathml.converter import convert


def well_formed(text):
    try:
        ElementTree.fromstring(text)
        return True
    except ElementTree.ParseError:
        return False


found = {}
for name in ("aligned", "align*", "matrix"):
    text = convert(r"\begin{%s} a &= b \\ c &= d \end{%s}" % (name, name))
    found[name] = ("<mtable" in text, text.count("<mi>&</mi>"), well_formed(text))
    print("{}: table {}, ampersands printed {}, well-formed {}".format(name, *found[name]))
assert found["aligned"] == (False, 2, False)
assert found["align*"] == found["matrix"] == (True, 0, True)
PYTHON
