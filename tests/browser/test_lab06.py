"""Lab 06 in a real browser: the wavefront, moved through time by keyboard."""

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


def test_the_step_slider_moves_the_wavefront_and_nothing_trains_unasked(page, jupyter):
    open_and_run(page, jupyter, "06_ema_teacher", "EMATraining()")
    before = picture(page, "lab-out")
    assert ink(before) > ENOUGH_INK

    slide(page, "lab-step", times=2)
    wait_for_text(page, "lab-out", "Step 1400")
    settle(page)
    after = picture(page, "lab-out")
    assert after != before
    assert ink(after) > ENOUGH_INK

    # The second box belongs to the training on request: at step 0 until Start is pressed.
    assert "Step 0," in page.locator(".lab-out").nth(1).inner_text()
    assert page.locator(".lab-start").inner_text() == "Start"
