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

PANEL = "lab-panel:has(.lab-calls)"  # the lab opens with another figure
EXPLORER = f"{PANEL} .lab-out"


def commit(page, option):
    """Chooses this radio button of the first prediction and commits to it, by keyboard."""
    page.locator(".lab-predict input").nth(option).focus()
    page.keyboard.press("Space")
    settle(page)
    page.locator(".lab-commit").first.focus()
    page.keyboard.press("Enter")
    settle(page)


def test_the_prediction_replies_twice_and_the_seed_slider_draws_another_digit(page, jupyter):
    open_and_run(page, jupyter, "00_start_here")
    asked = page.locator(".jp-CodeCell", has=page.locator(".lab-predict")).first
    assert asked.locator(".jp-InputArea-editor").count() == 0, "its code is folded"
    commit(page, 0)
    wait_for_text(page, "lab-reply", "You may choose once more.")
    commit(page, 1)
    wait_for_text(page, "lab-reply", "The right answer is “A new three, which nobody wrote”.")

    before = picture(page, EXPLORER)
    assert ink(before) > ENOUGH_INK

    slide(page, f"{PANEL} .lab-seed")
    wait_for_text(page, EXPLORER, "seed=1")
    settle(page)
    after = picture(page, EXPLORER)
    assert after != before
    assert ink(after) > ENOUGH_INK
