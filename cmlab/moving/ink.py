"""Lines, marks and words in the look of the labs: each role has its colour, symbol and dashes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..figures.style import MEAN, TARGET, Role
from .panel import INK, suffix

SYMBOLS = {"o": "circle", ".": "circle", "s": "square", "D": "diamond", "^": "triangle-up",
           "v": "triangle-down", "X": "x", "P": "cross"}  # fmt: skip
DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
DARK = {MEAN.color: "#8a5c00", "#009E73": "#00704f", "#CC79A7": "#a0487b", TARGET.color: "#1f6f9c"}


def numbers(values: Any, digits: int = 3) -> list[float | None]:
    """Plain numbers of so many digits, which take less room in a page than exact ones."""
    flat = np.asarray(values, dtype=float).ravel()
    return [None if np.isnan(v) else float(f"{v:.{digits}g}") for v in flat]


def ink(role: Role) -> str:
    """A role's colour, dark enough for words."""
    return DARK.get(role.color, role.color)


def line(
    x: Any, y: Any, role: Role, panel: int = 0, width: float = 2.4, opacity: float = 1.0
) -> go.Scatter:
    """A line in a role's colour and dashes."""
    dash = DASHES.get(role.line, "dash") if isinstance(role.line, str) else "longdashdot"
    return go.Scatter(
        x=numbers(x), y=numbers(y), mode="lines", opacity=opacity, xaxis=f"x{suffix(panel)}",
        yaxis=f"y{suffix(panel)}", line={"color": role.color, "width": width, "dash": dash},
    )  # fmt: skip


def dots(
    x: Any, y: Any, role: Role, panel: int = 0, size: float = 7, opacity: float = 1.0,
    symbols: Sequence[str] = (), colors: Sequence[str] = (),
) -> go.Scatter:  # fmt: skip
    """Marks with a role's symbol and colour, or each with its own."""
    marker: dict[str, Any] = {"size": size, "line": {"width": 0}}
    marker["symbol"] = list(symbols) or SYMBOLS[role.marker]
    marker["color"] = list(colors) or role.color
    return go.Scatter(
        x=numbers(x), y=numbers(y), mode="markers", opacity=opacity, marker=marker,
        xaxis=f"x{suffix(panel)}", yaxis=f"y{suffix(panel)}",
    )  # fmt: skip


def cloud(
    points: Any, role: Role, panel: int = 0, size: float = 7, opacity: float = 1.0,
    looks: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> go.Scatter:  # fmt: skip
    """Marks at points (n, 2); `looks` gives each its own symbol and colour."""
    x, y = np.asarray(points, dtype=float).T
    return dots(x, y, role, panel, size, opacity, *looks)


def ways(
    pieces: Iterable[Any], role: Role, panel: int = 0, width: float = 1.0, opacity: float = 1.0
) -> go.Scatter:
    """Many lines (m, 2) drawn as one."""
    x, y = broken(pieces)
    return line(x, y, role, panel, width, opacity)


def words(
    x: Any, y: Any, texts: Sequence[str], color: str = INK, panel: int = 0,
    side: str = "middle right",
) -> go.Scatter:  # fmt: skip
    """Direct labels, in place of a legend."""
    return go.Scatter(
        x=numbers(x), y=numbers(y), text=list(texts), mode="text", textposition=side,
        textfont={"color": color, "size": 13}, cliponaxis=False,
        xaxis=f"x{suffix(panel)}", yaxis=f"y{suffix(panel)}",
    )  # fmt: skip


def broken(pieces: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Many lines (m, 2) as one, with gaps between them: x and y."""
    x: list[float] = []
    y: list[float] = []
    for piece in pieces:
        points = np.asarray(piece, dtype=float)
        x += [*points[:, 0], np.nan]
        y += [*points[:, 1], np.nan]
    return x, y
