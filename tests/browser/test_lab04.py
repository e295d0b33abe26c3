"""Lab 04 in a real browser: the stepper walks through one update by keyboard."""

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

PANEL = "lab-panel:has(.lab-level)"  # the lab opens with another figure


def test_the_stepper_is_walked_from_the_first_sub_step_to_the_last_by_keyboard(page, jupyter):
    open_and_run(page, jupyter, "04_consistency_distillation", "explorer()")
    slide(page, f"{PANEL} .lab-stage", "Home")
    seen = []
    for stage in range(1, 6):
        wait_for_text(page, f"{PANEL} .lab-out", f"Sub-step {stage} of 5")
        settle(page)
        seen.append(picture(page, f"{PANEL} .lab-out"))
        slide(page, f"{PANEL} .lab-stage")
    assert len(set(seen)) == 5 and min(map(ink, seen)) > ENOUGH_INK

    slide(page, "lab-level", times=8)  # more noise: the same update further out
    settle(page)
    assert picture(page, f"{PANEL} .lab-out") not in seen
