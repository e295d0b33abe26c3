"""All strips of samples of a run, one at a time: the newest, or an earlier one by slider."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as ipw
import numpy as np
from PIL import Image

from ..diary import STRIPS
from ..figures.desk import strip
from ..figures.samples import png
from .base import LONG, WIDE


@dataclass(frozen=True)
class Sheet:
    """One strip of samples: after how many steps of which phase."""

    path: Path
    phase: int
    step: int

    def pixels(self) -> np.ndarray | None:
        """(height, width, 3) in uint8; None if it is gone, or no picture."""
        try:
            with Image.open(self.path) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            return None


def sheets(folders: Sequence[Path]) -> list[Sheet]:
    """All strips so far, in the order in which they were drawn."""
    return [
        Sheet(path, phase, int(path.stem))
        for phase, folder in enumerate(folders, 1)
        for path in sorted((folder / STRIPS).glob("*.png"))
        if path.stem.isdigit()
    ]


class Strips(ipw.VBox):
    """Stays at the newest as long as the slider stands at its right end."""

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []
        self.titles: Sequence[str] = ()
        self.shown: Sheet | None = None
        self.image = ipw.Image(
            format="png", layout=ipw.Layout(max_width="100%", align_self="flex-start")
        )
        self.slider = ipw.IntSlider(
            value=0, min=0, max=1, description="strip, first to newest", style=WIDE, layout=LONG,
            continuous_update=False, readout=False,
        )  # fmt: skip
        self.slider.add_class("lab-strip")
        self.slider.observe(lambda change: self.show(), names="value")
        super().__init__([self.slider, self.image])
        self.add_class("lab-strips")
        self.layout.display = "none"

    def take(self, sheets: list[Sheet], titles: Sequence[str]) -> None:
        """All strips so far; `titles` are the phases' names."""
        if (sheets, titles) == (self.sheets, self.titles):
            return
        newest = self.slider.value >= len(self.sheets) - 1
        self.sheets, self.titles = sheets, titles
        self.layout.display = "" if sheets else "none"
        self.slider.max = max(len(sheets) - 1, 1)
        self.slider.disabled = len(sheets) < 2
        if newest:
            self.slider.value = max(len(sheets) - 1, 0)
        self.show()

    def show(self) -> None:
        """Draw the strip at the slider. One that is gone leaves the picture before it."""
        if not self.sheets:
            return
        sheet = self.sheets[min(self.slider.value, len(self.sheets) - 1)]
        if sheet == self.shown or (pixels := sheet.pixels()) is None:
            return
        self.shown = sheet
        self.figure = strip(pixels, f"Samples after {sheet.step:,} steps{self.name(sheet)}")
        self.image.value = png(self.figure, dpi=90)

    def name(self, sheet: Sheet) -> str:
        known = self.titles[sheet.phase - 1] if sheet.phase <= len(self.titles) else ""
        return f" of {known}" if known else ""
