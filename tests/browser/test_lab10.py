"""Lab 10 in a real browser: the tangent microscope, its warm-up turned back by keyboard."""

import pytest
from browser.harness import (
    ENOUGH_INK,
    ink,
    open_and_run,
    picture,
    settle,
    slide,
    wait_for_text,
)

pytestmark = pytest.mark.browser

EXPLORER = "lab-panel:has(.lab-r) .lab-out"  # the lab opens with another figure


def press(page, css_class, name):
    """Presses one of a knob's buttons by keyboard."""
    page.locator(f".{css_class} button", has_text=name).first.focus()
    page.keyboard.press("Enter")


def test_knobs_of_the_microscope_turn_by_keyboard_and_nothing_trains_unasked(page, jupyter):
    open_and_run(page, jupyter, "10_continuous_time", "SCTTraining()")
    before = picture(page, EXPLORER)
    assert ink(before) > ENOUGH_INK

    slide(page, "lab-r", key="Home")
    wait_for_text(page, EXPLORER, "second 0.")
    settle(page)
    after = picture(page, EXPLORER)
    assert after != before
    assert ink(after) > ENOUGH_INK

    slide(page, "lab-r", key="End")
    press(page, "lab-embed", "Fourier 16")
    wait_for_text(page, EXPLORER, "Fourier scale 16")
    press(page, "lab-bound", "none")
    wait_for_text(page, EXPLORER, "No bound")

    # The last box belongs to the training on request: at step 0 until Start is pressed.
    assert "Step 0;" in page.locator(".lab-out").last.inner_text()
    assert page.locator(".lab-start").inner_text() == "Start"
