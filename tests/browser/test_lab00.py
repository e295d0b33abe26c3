"""Lab 00 in a real browser, worked by keyboard."""

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


def test_all_cells_run_and_the_seed_slider_draws_another_digit(page, jupyter):
    open_and_run(page, jupyter, "00_start_here")
    before = picture(page, "lab-out")
    assert ink(before) > ENOUGH_INK

    slide(page, "lab-seed")
    wait_for_text(page, "lab-out", "seed=1")
    settle(page)
    after = picture(page, "lab-out")
    assert after != before
    assert ink(after) > ENOUGH_INK
