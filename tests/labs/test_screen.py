"""Pictures while a slider is dragged: quick ones of the newest values, then a sharp one."""

import asyncio
import gc
import time
import weakref
from functools import partial
from importlib import import_module
from io import BytesIO

import numpy as np
import pytest
import torch
from cmlab_labs.common import screen
from cmlab_labs.common.explorer import Explorer, Picture, slider, start_lab
from cmlab_labs.common.generators import GENERATOR
from cmlab_labs.common.screen import DENSITY, INCH, Brush, Redraws
from matplotlib.axis import XAxis, YAxis
from PIL import Image

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import name_axes, png, reusing, sheet
from cmlab.train import runs


def generator():
    model, recipe, _ = runs.load(GENERATOR)
    return model.requires_grad_(False), recipe.sampler


DRAGGED = {  # of each explorer: what it is made from, and values of one slider
    "lab00_start": (generator, "seed", range(7)),
    "lab01_flow": (tuple, "start", (0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55)),
    "lab02_consistency": (lambda: (Bumps().oracle,), "offset", (0, 0.1, 0.2, 0.3, 0.2, 0.1, 0)),
    "lab05_training": (lambda: (Bumps().oracle,), "ratio", (0.5, 0.4, 0.3, 0.2, 0.1, 0, 0.9)),
    "lab06_ema": (tuple, "step", (0, 100, 200, 300, 400, 1200, 4000)),
    "lab10_scm": (tuple, "r", (1, 0.9, 0.8, 0.7, 0.6, 0.5, 0)),
    "lab04_distillation": (tuple, "stage", (1, 2, 3, 4, 5, 5, 5, 5)),
    "lab09_ect:walking": (tuple, "stage", (0, 1, 2, 3, 4, 5, 6)),
    "lab13_inverse:digit_explorer": (lambda: generator()[:1], "digit", range(4)),
}


def pixels(encoded):
    return np.asarray(Image.open(BytesIO(encoded)).convert("RGB")).astype(int)


@pytest.mark.parametrize("lab", DRAGGED)
def test_a_quick_picture_shows_what_a_sharp_one_does(lab):
    make, knob, values = DRAGGED[lab]
    module, _, name = lab.partition(":")
    one = getattr(import_module(f"cmlab_labs.{module}.explorer"), name or "explorer")(*make())
    one.turning = True  # it draws when it is told to
    brush, figures = one.image.brush, set()
    for value in values:
        one.knobs[knob].value = value
        settings = {name: knob.value for name, knob in one.knobs.items()}
        with reusing(brush.sheets):
            figure = one.draw(**settings).figure
        figures.add(figure)
        quick = brush.paint(figure)[..., :3].astype(int)
        slow = pixels(png(one.draw(**settings).figure, dpi=INCH))
        assert quick.shape == slow.shape
        far = (np.abs(quick - slow).max(2) > 60).mean()
        assert far < 0.002, f"{value}: {far:.2%} of the pixels differ"
    assert len(figures) == 1, "the figure is used again"
    assert brush.still, "some of it is not drawn again"


def dots(values, end=2):
    figure, ((ax,),) = sheet()
    ax.plot([0, 1], values, "o")
    ax.set(xlim=(-1, end), ylim=(-1, 2))
    ax.text(0.5, 1.5, "still")
    name_axes(ax, "x", "y", "Dots")
    return figure


def test_what_moves_leaves_no_trace_and_what_stays_stays():
    brush = Brush()
    seen = []
    for values in ([0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 1], [0, 1], [0, 0]):
        with reusing(brush.sheets):
            seen.append(np.array(brush.paint(dots(values))))
    assert all(np.array_equal(picture, seen[0]) for picture in (*seen[1:5], seen[-1]))
    assert not np.array_equal(seen[5], seen[0]) and not np.array_equal(seen[6], seen[0])


def test_axes_that_come_back_are_copied_and_few_are_kept(monkeypatch):
    drawn, draw = [], XAxis.draw
    monkeypatch.setattr(XAxis, "draw", lambda axis, to: drawn.append(axis) or draw(axis, to))
    brush, seen = Brush(), {}
    for end in (2, 3, 2, 3, 2):
        with reusing(brush.sheets):
            picture = np.array(brush.paint(dots([0, 1], end)))
        assert np.array_equal(seen.setdefault(end, picture), picture)
    assert len(drawn) == 2 and not np.array_equal(seen[2], seen[3])
    for end in np.linspace(4, 5, 2 * screen.FRAMES):
        with reusing(brush.sheets):
            brush.paint(figure := dots([0, 1], end))
    assert len(brush.frames[figure.axes[0]]) == screen.FRAMES
    assert len(drawn) == 2 + 2 * screen.FRAMES


def test_axes_with_other_tick_labels_are_drawn_anew():
    brush, seen = Brush(), []
    for names in (("low", "high"), ("a", "b"), ("low", "high")):
        with reusing(brush.sheets):
            figure = dots([0, 1])
            figure.axes[0].set_xticks([0, 1], names)
            seen.append(np.array(brush.paint(figure)))
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])


def test_after_an_interrupted_drawing_the_next_one_is_whole(monkeypatch):
    brush, expected = Brush(), np.array(Brush().paint(dots([0, 1], 3)))
    for end in (2, 3):
        with reusing(brush.sheets):
            figure = dots([0, 1], end)
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(YAxis, "draw", interrupted)
                brush.paint(figure)
    with reusing(brush.sheets):
        assert np.array_equal(brush.paint(dots([0, 1], 3)), expected)


def interrupted(axis, renderer):
    raise KeyboardInterrupt


def test_what_lies_above_something_that_moves_is_not_hidden():
    brush = Brush()
    for height in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        with reusing(brush.sheets):
            figure = dots([0, 0])
            figure.axes[0].axhspan(height, 1.8, color="black", zorder=0)
            quick = np.array(brush.paint(figure))
        figure = dots([0, 0])
        figure.axes[0].axhspan(height, 1.8, color="black", zorder=0)
        assert np.array_equal(quick, Brush().paint(figure))
    assert len(brush.still) == 1, "the title: words and dots lie above the bar that moves"


def test_two_figures_in_turn_are_not_mixed_up():
    brush, two = Brush(), (dots([0, 1]), sheet(1, 2)[0])
    alone = [np.array(Brush().paint(figure)) for figure in two]
    for _ in range(3):
        for figure, expected in zip(two, alone, strict=True):
            assert np.array_equal(brush.paint(figure), expected)


def test_a_sheet_is_used_again_empty_and_one_with_a_colour_bar_is_not():
    kept = {}
    with reusing(kept):
        first = dots([0, 1])
        again, ((ax,),) = sheet()
        assert again is first and not ax.lines and not ax.texts and not ax.get_title("left")
        ax.plot([3, 4], [5, 6])
        assert ax.get_xlim()[1] > 4 and ax.get_ylim()[1] > 6, "limits follow what is drawn"
        again.colorbar(ax.imshow([[0, 1]]), ax=ax)
        assert sheet()[0] is not first
    assert sheet()[0] is not kept[next(iter(kept))][0]


# When to redraw


class Hand:
    """Turns a value, and notes what was drawn of it, how, and in which order."""

    def __init__(self):
        self.value, self.drawn = 0, []
        self.redraws = Redraws(*(self.draw(how) for how in ("quick", "rest", "now")))

    def draw(self, how):
        return lambda: self.drawn.append((how, self.value))

    def turn(self, value):
        self.value = value
        self.redraws.ask()


async def until(condition):
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_the_newest_value_wins_and_none_queue_up():
    hand = Hand()

    async def drag():
        for value in range(1000):  # faster than anything is drawn
            hand.turn(value)
        assert hand.drawn == [] and hand.redraws.waiting
        await until(lambda: len(hand.drawn) == 2)

    asyncio.run(drag())
    assert hand.drawn == [("quick", 999), ("rest", 999)]


def test_the_last_value_is_never_lost():
    hand = Hand()

    async def drag():
        for value in range(1, 30):
            hand.turn(value)
            await asyncio.sleep(0.001 * (value % 7))
        await until(lambda: hand.drawn and hand.drawn[-1][0] == "rest")

    asyncio.run(drag())
    assert hand.drawn[-2:] == [("quick", 29), ("rest", 29)]
    values = [value for how, value in hand.drawn if how == "quick"]
    assert values == sorted(set(values)), "each at most once, in order"


def test_a_value_turned_while_one_is_drawn_is_drawn_next():
    hand = Hand()

    async def drag():
        hand.turn(1)
        hand.redraws.quick = lambda: (hand.draw("quick")(), hand.value == 1 and hand.turn(2))
        await until(lambda: ("rest", 2) in hand.drawn)

    asyncio.run(drag())
    assert hand.drawn == [("quick", 1), ("quick", 2), ("rest", 2)]


def test_a_slow_redraw_waits_for_rest(monkeypatch):
    monkeypatch.setattr(screen, "SLOW", -1.0)  # any redraw is slow
    hand = Hand()

    async def drag():
        for value in range(20):
            hand.turn(value)
            await asyncio.sleep(0.002)
        await until(lambda: len(hand.drawn) == 2)

    asyncio.run(drag())
    assert hand.drawn == [("quick", 19), ("rest", 19)]


@pytest.mark.parametrize("slow", [1, 2])
def test_a_redraw_waits_for_rest_after_two_slow_ones_and_not_after_one(monkeypatch, slow):
    monkeypatch.setattr(screen, "SLOW", 0.05)
    monkeypatch.setattr(screen, "REST", 60.0)
    hand = Hand()

    async def turn_thrice():
        quick = hand.redraws.quick
        for seconds in (0.1, 0.1 * (slow - 1), 0.0):
            hand.redraws.quick = partial(lambda wait: (time.sleep(wait), quick()), seconds)
            hand.turn(hand.value + 1)
            await asyncio.wait_for(until(partial(shown, hand.value)), 5 if slow == 1 else 1)

    def shown(value):
        return hand.drawn[-1:] == [("quick", value)]

    if slow == 1:
        asyncio.run(turn_thrice())
        return
    with pytest.raises(TimeoutError):
        asyncio.run(turn_thrice())
    assert hand.drawn == [("quick", 1), ("quick", 2)]


def test_slow_redraws_come_while_the_drag_goes_on(monkeypatch):
    monkeypatch.setattr(screen, "SLOW", -1.0)
    monkeypatch.setattr(screen, "REST", 0.02)
    hand = Hand()

    async def drag():
        while len(hand.drawn) < 5:  # it would not end if each move put the redraw off
            hand.turn(len(hand.drawn))
            await asyncio.sleep(0.002)

    asyncio.run(asyncio.wait_for(drag(), 60))
    assert all(kind == "quick" for kind, _ in hand.drawn)


def test_without_an_event_loop_each_change_is_drawn_in_full():
    hand = Hand()
    hand.turn(3)
    hand.turn(4)
    assert hand.drawn == [("now", 3), ("now", 4)]


# In an explorer


def counter(calls):
    def draw(seed):
        calls.append(seed)
        return Picture(dots([0, seed]), f"seed {seed}")

    return Explorer(draw, {"seed": slider("seed", 0, 0, 1000)})


def test_a_drag_ends_in_a_sharp_picture_of_the_last_value():
    calls = []

    async def drag():
        one = counter(calls)
        sharp = len(one.image.value), pixels(one.image.value).shape
        for value in range(1, 101):
            one.knobs["seed"].value = value
        await until(lambda: calls[-1] == 100)
        assert pixels(one.image.value).shape[1] * DENSITY == sharp[1][1]
        await until(lambda: pixels(one.image.value).shape == sharp[1])
        return one

    one = asyncio.run(drag())
    assert calls == [0, 100] and "seed 100" in one.words.value
    assert one.image.layout.width == f"{pixels(one.image.value).shape[1] // DENSITY}px"
    assert one.knobs["seed"].continuous_update


def test_code_that_turns_a_knob_sees_the_picture_of_the_new_value_at_once():
    calls = []

    async def cell():
        one = counter(calls)
        one.knobs["seed"].value = 7
        return one.picture.reading

    assert asyncio.run(cell()) == "seed 7" and calls == [0, 7]


def test_what_is_loaded_at_the_start_is_never_searched_for_garbage():
    before = torch.get_num_threads()
    try:
        start_lab()
        assert gc.get_freeze_count() > 100_000, "torch and matplotlib alone have more"
        later = Hand()  # its methods refer to it: a cycle
        gone = weakref.ref(later)
        start_lab()  # the first cell run again
        del later
        gc.collect()
        assert gone() is None
    finally:
        gc.unfreeze()
        torch.set_num_threads(before)
