"""Lab 06 in a real browser: the wavefront, moved through time by keyboard."""

import pytest
from browser.harness import (
    ENOUGH_INK,
    ink,
    open_and_run,
    settle,
)

pytestmark = pytest.mark.browser


def test_the_step_slider_moves_the_wavefront(page, jupyter):
    open_and_run(page, jupyter, "06_ema_teacher", "explorer()")
    box = page.locator(".lab-out").nth(1)  # the lab opens with the springs
    before = box.locator("img").first.screenshot()
    assert ink(before) > ENOUGH_INK

    page.locator(".lab-step [role=slider]").nth(1).focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    box.get_by_text("Step 1400").first.wait_for()
    settle(page)
    after = box.locator("img").first.screenshot()
    assert after != before
    assert ink(after) > ENOUGH_INK
