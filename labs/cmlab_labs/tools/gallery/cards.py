"""Gallery cards: a moving figure's panel drawn anew for a card, as SVG without axes or words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, log10, pi, sin
from typing import Any

from ...common.animation import Moving, axis_suffix

WIDE, HIGH, EDGE = 320, 180, 10  # of a card's picture, and the room that its marks need
THIN = 1.3  # least width of a line
SMALL, LARGE = 2.2, 5.0  # least and most of a mark's radius

Place = tuple[float, float]
Trace = Mapping[str, Any]  # a trace or an image of a plotly figure
Axis = Mapping[str, Any]


def card(moving: Moving) -> str:
    """The panel and frame that the figure names for its card, as an SVG file."""
    panel, number = moving.card
    n, parts = axis_suffix(panel), moving.parts()
    frame = parts["frames"][number]
    traces = [dict(trace) for trace in parts["data"]]
    for place, change in zip(frame["traces"], frame["data"], strict=True):
        traces[place] |= {k: traces[place].get(k, {}) | v if isinstance(v, dict) else v
                          for k, v in change.items()}  # fmt: skip
    layout = parts["layout"] | frame["layout"]
    shown = [t for t in traces if t.get("xaxis", "x") == f"x{n}" and t["mode"] != "text"]
    images = [one for one in layout.get("images", ()) if one["xref"] == f"x{n}"]
    scale = fitting(layout[f"xaxis{n}"], layout[f"yaxis{n}"], shown, images)
    shapes = [*(image(one, scale) for one in images), *(s for t in shown for s in drawn(t, scale))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}">'
        f"{''.join(shapes)}</svg>\n"
    )


Ends = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """From a panel's numbers to a card's pixels: the ends of both axes, and which are logarithmic.

    `square` keeps both units equally long.
    """

    x: Ends
    y: Ends
    log: tuple[bool, bool]
    square: bool

    def __call__(self, x: float, y: float) -> Place:
        units = [(side - 2 * EDGE) / (high - low)
                 for side, (low, high) in ((WIDE, self.x), (HIGH, self.y))]  # fmt: skip
        if self.square:
            units = [min(units)] * 2
        across = bent(x, self.log[0]) - sum(self.x) / 2
        up = bent(y, self.log[1]) - sum(self.y) / 2
        return round(WIDE / 2 + units[0] * across, 1), round(HIGH / 2 - units[1] * up, 1)


def fitting(x: Axis, y: Axis, traces: Sequence[Trace], images: Sequence[Trace]) -> Scale:
    """The part of a panel in which something is drawn."""
    log, ends = (x["type"] == "log", y["type"] == "log"), []
    for name, axis, is_log in (("x", x, log[0]), ("y", y, log[1])):
        found = [bent(v, is_log) for t in traces for v in t[name] if v is not None]
        found += [one[name] + k * one[f"size{name}"] for one in images for k in (0, 1)]
        low, high = axis["range"]
        ends.append((max(low, min(found)), min(high, max(found))))
    return Scale(ends[0], ends[1], log, "scaleanchor" in y)


def bent(value: float, log: bool) -> float:
    """A number as an axis counts it."""
    return log10(max(value, 1e-12)) if log else value


def drawn(trace: Mapping[str, Any], scale: Scale) -> Iterator[str]:
    """A trace's lines or marks."""
    places = [None if x is None or y is None else scale(x, y)
              for x, y in zip(trace["x"], trace["y"], strict=True)]  # fmt: skip
    opacity = trace.get("opacity", 1)
    if trace["mode"] == "lines":
        look = trace["line"]
        dash = {"dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdashdot": "9 3 2 3"}
        dashes = f' stroke-dasharray="{dash[look["dash"]]}"' if look["dash"] in dash else ""
        yield (
            f'<path d="{path(places)}" fill="none" stroke="{look["color"]}" opacity="{opacity}" '
            f'stroke-width="{max(look["width"] * 0.75, THIN):g}" stroke-linejoin="round"{dashes}/>'
        )
        return
    look = trace["marker"]
    symbols, colors = (of_each(look[name], len(places)) for name in ("symbol", "color"))
    radius = min(max(look["size"] * 0.3, SMALL), LARGE)
    for place, symbol, color in zip(places, symbols, colors, strict=True):
        if place:
            yield f'<path d="{mark(symbol, place, radius)}" fill="{color}" opacity="{opacity}"/>'


def of_each(value: Any, n: int) -> Sequence[str]:
    return value if isinstance(value, list) else [value] * n


def path(places: Sequence[Place | None]) -> str:
    """Lines through places, with gaps."""
    words, pen = [], "M"
    for place in places:
        if place:
            words.append(f"{pen}{place[0]:g} {place[1]:g}")
        pen = "L" if place else "M"
    return "".join(words)


CORNERS = {"square": (4, pi / 4, 1.1), "diamond": (4, 0, 1.3), "triangle-up": (3, -pi / 2, 1.35),
           "triangle-down": (3, pi / 2, 1.35)}  # fmt: skip


def mark(symbol: str, place: Place, radius: float) -> str:
    """The outline of a mark: corners on a circle, or the circle."""
    x, y = place
    if symbol in CORNERS:
        n, turn, size = CORNERS[symbol]
        angles = [turn + 2 * pi * k / n for k in range(n)]
        points = [(x + size * radius * cos(a), y + size * radius * sin(a)) for a in angles]
        return path([(round(a, 1), round(b, 1)) for a, b in points]) + "Z"
    r, across = f"{radius:.1f}", f"{2 * radius:.1f}"
    return f"M{x - radius:.1f} {y:g}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0"


def image(one: Mapping[str, Any], scale: Scale) -> str:
    """A picture at its place."""
    (left, base), (right, top) = (
        scale(one["x"], one["y"]),
        scale(one["x"] + one["sizex"], one["y"] + one["sizey"]),
    )
    return (
        f'<image href="{escape(one["source"])}" x="{left:g}" y="{top:g}" '
        f'width="{right - left:g}" height="{base - top:g}" preserveAspectRatio="none" '
        'style="image-rendering:pixelated"/>'
    )
