"""Make the gallery's mathematics font: STIX Two Math with the characters that formulas use.

    python scripts/math_font.py FONT

FONT is `files/stix-two-math-latin-400-normal.woff` of the npm package @fontsource/stix-two-math,
5.3.0. fontTools, which matplotlib brings, cuts it from 372 to 63 kB: the glyphs of CHARACTERS,
those that the MATH table puts in their place where a fence or a sum grows, and no hints. The
licence, the SIL Open Font License 1.1, reserves no name and asks to stand beside the font.
"""

import argparse
from pathlib import Path

from fontTools import subset

PLACE = Path(__file__).parents[1] / "labs/cmlab_labs/tools/gallery/assets/stix-two-math.woff"
NAMES = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # of the name table: whose it is, what it is, its licence
SIGNS = (
    "‖‘’“”…′″ℓℰℱℋℐℒℳℛℬℝℤℕℎ←→↑↓↔↦⇒⇔⟶⟺"
    "∀∂∃∅∇∈∉∏∑−∓∗∘∙√∝∞∣∥∧∨∩∪∫∼≃≈≠≡≤≥≪≫⊂⊆⊕⊗⊙⊤⊥⋅⋯⌈⌉⌊⌋⏞⏟⟨⟩ˆˇ˙˜¯ϑϕϵ\u0302\u0303\u0304"
)
RANGES = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x391, 0x3A9), (0x3B1, 0x3C9),  # Latin and Greek
    (0x1D400, 0x1D467), (0x1D49C, 0x1D4CF), (0x1D6A8, 0x1D71B),  # bold, italic, script
)  # fmt: skip
CHARACTERS = {*map(ord, SIGNS), *(code for low, high in RANGES for code in range(low, high + 1))}


def cut(font: Path, place: Path = PLACE) -> int:
    """Writes the cut font and returns its size in bytes."""
    options = subset.Options(flavor="woff", layout_features=["ssty", "dtls"], hinting=False)
    options.name_IDs, options.notdef_outline = NAMES, True
    whole = subset.load_font(str(font), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=CHARACTERS)
    cutter.subset(whole)
    subset.save_font(whole, str(place), options)
    return place.stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("font", type=Path)
    print(f"{PLACE}: {cut(parser.parse_args().font)} bytes")
