"""The screen of an explorer: quick pictures while a slider is dragged, and a sharp one at rest."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from time import perf_counter
from typing import Any, cast
from weakref import WeakKeyDictionary

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase
from PIL import Image

from cmlab.metrics.plots import Sheets, png

INCH = 100  # pixels of the page
DENSITY = 2  # pixels of a sharp picture to one of the page
COLORS = 128  # of a quick picture
FRAMES = 12  # kept of each axes
YOUNG = 3  # pictures after which what looks the same goes to the background
PAUSE, REST = 0.004, 0.3  # seconds without a change: until a quick picture, and until a sharp one
SLOW = 0.4  # seconds: after two redraws that take longer the next one waits as long as for rest


class Screen(ipw.Image):
    """A figure as a picture whose size on the page is fixed, an inch being 100 pixels."""

    def __init__(self) -> None:
        super().__init__(format="png", layout=ipw.Layout(max_width="100%"))
        self.brush = Brush()

    def show(self, figure: Figure) -> None:
        """Show a figure sharply: with twice the page's pixels."""
        self._size(figure)
        self.value = png(figure, dpi=DENSITY * INCH)

    def glance(self, figure: Figure) -> None:
        """Show a figure quickly: with the page's pixels, in few colours."""
        self._size(figure)
        picture = Image.fromarray(self.brush.paint(figure)).convert("RGB")
        few = picture.quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        buffer = BytesIO()
        few.save(buffer, "PNG", compress_level=1)
        self.value = buffer.getvalue()

    def _size(self, figure: Figure) -> None:
        self.layout.width = f"{figure.get_figwidth() * INCH:.0f}px"


class Brush:
    """Draws figures as pixels, and keeps what has not changed from one to the next.

    Kept are the latest frames of axes (ticks, their labels, grid and names), since a slider that
    comes back brings back its axes too, and a background: all frames with those artists that have
    looked the same for a while. `sheets` are those of `plots.reusing`: of a new figure everything
    is new.
    """

    def __init__(self) -> None:
        self.sheets: Sheets = {}
        self.frames: WeakKeyDictionary[Axes, dict] = WeakKeyDictionary()  # the last one is shown
        self.ages: dict[Hashable, int] = {}  # in pictures, by the looks of an artist
        self.still: set[Hashable] = set()  # the looks of what is in the background
        self.figure: Figure | None = None
        self.background: Any = None

    def paint(self, figure: Figure) -> np.ndarray:
        """The figure at the page's pixels: (height, width, 4) bytes, valid until the next call."""
        if not isinstance(figure.canvas, FigureCanvasAgg):
            FigureCanvasAgg(figure)
        figure.set_dpi(INCH)
        renderer = cast(FigureCanvasAgg, figure.canvas).get_renderer()
        moved = self._lay_out(figure) or figure is not self.figure
        self.figure = None  # until its background is drawn: an interrupted kernel stops anywhere
        panels = [dict(contents(ax)) for ax in figure.axes]
        artists = {look: artist for panel in panels for look, artist in panel.items()}
        self.ages = {look: self.ages.get(look, 0) + 1 for look in artists}
        old = {look for panel in panels for look in self._settled(panel, renderer)}
        if moved or old != self.still:
            self.still = old
            self._background(figure, renderer, [artists[look] for look in artists if look in old])
        self.figure = figure
        renderer.restore_region(self.background)
        draw_all([artist for look, artist in artists.items() if look not in self.still], renderer)
        draw_all([*figure.texts, *figure.legends], renderer)
        return np.asarray(renderer.buffer_rgba())

    def _lay_out(self, figure: Figure) -> bool:
        """Find the places of the axes; whether a frame is not as it was."""
        engine, moved = figure.get_layout_engine(), any(self._moved(ax) for ax in figure.axes)
        if engine and moved:
            engine.execute(figure)
        for ax in figure.axes:
            ax.apply_aspect()
        return moved

    def _settled(self, panel: dict[Hashable, Artist], renderer: RendererAgg) -> Iterator[Hashable]:
        """Of a panel's artists in order: the old ones that nothing below hides by moving."""
        moving: list[BboxBase] = []
        for look, artist in panel.items():
            box = extent(artist, renderer)
            if self.ages[look] > YOUNG and not any(box.overlaps(other) for other in moving):
                yield look
            else:
                moving.append(box)

    def _moved(self, ax: Axes) -> bool:
        return ax not in self.frames or next(reversed(self.frames[ax])) != frame_looks(ax)

    def _background(self, figure: Figure, renderer: RendererAgg, still: list[Artist]) -> None:
        """Draw all frames and what is still."""
        renderer.clear()
        figure.patch.draw(renderer)
        for ax in figure.axes:
            self._frame(ax, renderer)
        draw_all(still, renderer)
        self.background = renderer.copy_from_bbox(figure.bbox)

    def _frame(self, ax: Axes, renderer: RendererAgg) -> None:
        """Draw the frame of axes, or copy it from the last time that it looked the same."""
        kept, looks = self.frames.get(ax, {}), frame_looks(ax)
        pixels = kept.pop(looks, None)
        if pixels is not None:
            renderer.restore_region(pixels)
        else:
            boxes = [ax.bbox]
            if ax.axison:
                draw_all(frame(ax), renderer)
                boxes += [axis.get_tightbbox(renderer) for axis in (ax.xaxis, ax.yaxis)]
            box = Bbox.union([box for box in boxes if box is not None]).padded(2)
            pixels = renderer.copy_from_bbox(box)
        kept[looks] = pixels
        if len(kept) > FRAMES:
            del kept[next(iter(kept))]
        self.frames[ax] = kept


def frame(ax: Axes) -> list[Artist]:
    """The artists of the frame of axes."""
    return [ax.patch, ax.xaxis, ax.yaxis, *ax.spines.values()]


def contents(ax: Axes) -> Iterator[tuple[Hashable, Artist]]:
    """All other artists in axes, each with its looks, those of low order first."""
    fixed = frame(ax)
    for artist in sorted(ax.get_children(), key=lambda artist: artist.get_zorder()):
        empty = isinstance(artist, Text) and not artist.get_text()
        if artist not in fixed and not (empty and not getattr(artist, "arrow_patch", None)):
            yield (ax, appearance(artist)), artist


def extent(artist: Artist, renderer: RendererAgg) -> BboxBase:
    """A box in pixels that holds the artist: that of its axes but for words and images."""
    if isinstance(artist, Text | AxesImage):
        return artist.get_window_extent(renderer)
    return cast(Axes, artist.axes).bbox


def draw_all(artists: Iterable[Artist], renderer: RendererAgg) -> None:
    """Draw artists, those of low order first."""
    for artist in sorted(artists, key=lambda artist: artist.get_zorder()):
        artist.draw(renderer)


def frame_looks(ax: Axes) -> tuple:
    """All that the frame of axes depends on."""
    return ax.get_position().bounds, ax.axison, *map(axis_looks, (ax.xaxis, ax.yaxis))


def axis_looks(axis: Axis) -> tuple:
    """Name, scale, range and ticks of an axis, with the labels that it was given."""
    ticks = list(axis.get_majorticklocs())
    labels = tuple(axis.get_major_formatter().format_ticks(ticks))
    return axis.get_label_text(), axis.get_scale(), *axis.get_view_interval(), *ticks, labels


def appearance(artist: Artist) -> Hashable:
    """All that the looks of an artist depend on; unlike any other if that is not known."""
    common = type(artist), artist.get_zorder(), artist.get_alpha(), artist.get_visible()
    match artist:
        case Text():
            place = raw(artist.get_position()), raw(getattr(artist, "xy", ()))
            font = artist.get_fontsize(), artist.get_fontweight(), artist.get_rotation()
            return *common, artist.get_text(), *place, str(artist.get_color()), *font
        case Line2D():
            line = artist.get_linestyle(), artist.get_linewidth(), str(artist.get_color())
            mark = artist.get_marker(), artist.get_markersize()
            return *common, raw(artist.get_xydata()), *line, *mark
        case Collection():
            drawn = artist.get_offsets(), artist.get_array(), artist.get_linewidth()
            colors = artist.get_facecolor(), artist.get_edgecolor()
            shapes = (path.vertices for path in artist.get_paths())
            return *common, *map(raw, (*drawn, *colors, *shapes))
        case AxesImage():
            return *common, raw(artist.get_array()), *artist.get_extent()
        case Patch():
            colors = artist.get_facecolor(), artist.get_edgecolor(), artist.get_hatch()
            shape = artist.get_patch_transform().transform_path(artist.get_path())
            return *common, *colors, artist.get_linewidth(), raw(shape.vertices)
    return object()


def raw(values: Any) -> bytes:
    """Numbers as bytes, to compare them by."""
    return np.asarray(values).tobytes()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: to wake a second takes longer than the small arrays of a redraw."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Redraws:
    """When to redraw: at once after a change, by then with the newest values, and once at rest.

    At most one redraw waits. It reads the values of its own time, so that none queue up and the
    last change is never lost. Where no event loop runs, as in tests, `now` follows each change.

    Args:
        quick: draws while changes come.
        rest: is called once when they have ended, after the last quick one.
        now: draws in full.
    """

    def __init__(
        self, quick: Callable[[], None], rest: Callable[[], None], now: Callable[[], None]
    ) -> None:
        self.quick, self.rest, self.now = quick, rest, now
        self.next: asyncio.TimerHandle | None = None
        self.waiting = False  # for a redraw of values that changed
        self.seconds = 0.0, 0.0  # that the last two took; the first of all may take far longer

    def ask(self) -> None:
        """A value has changed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now()
            return
        if self.waiting:
            return
        self.cancel()
        self.waiting = True
        wait = REST if min(self.seconds) > SLOW else PAUSE
        self.next = loop.call_later(wait, self._draw, loop)

    def cancel(self) -> None:
        """Forget what waits: everything has been drawn."""
        self.waiting = False
        if self.next:
            self.next.cancel()
        self.next = None

    def _draw(self, loop: asyncio.AbstractEventLoop) -> None:
        start, self.waiting = perf_counter(), False
        self.quick()
        self.seconds = self.seconds[1], perf_counter() - start
        if not self.waiting:  # for a value that changed meanwhile
            self.next = loop.call_later(REST, self.rest)
