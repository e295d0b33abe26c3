"""Lab 16 in a real browser: the explorer by keyboard, and a desk that has started nothing."""

import pytest
from browser.harness import (
    ENOUGH_INK,
    ink,
    open_and_run,
    settle,
    slide,
)

pytestmark = pytest.mark.browser


def test_the_explorer_answers_and_the_desk_waits_to_be_started(page, jupyter):
    open_and_run(page, jupyter, "16_cifar10", "at_work")
    assert page.locator(".lab-start").is_visible() and page.locator(".lab-start").is_enabled()
    assert not (jupyter.folder.parent / "runs").exists()

    slide(page, "lab-middle")  # its picture may not change with one call
    slide(page, "lab-share", key="End")
    says = (
        "([...document.querySelectorAll('.lab-out')].some(e => e.innerText.includes('100% of')))"
    )
    page.wait_for_function(f"() => {says}")
    settle(page)
    boxes = page.locator(".lab-out").all()
    assert all(ink(box.screenshot()) > ENOUGH_INK for box in boxes)
