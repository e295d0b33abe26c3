"""The explorers of labs 11 to 15 and 17 to 19 in a real browser, moved by the keyboard."""

import pytest
from browser.harness import ENOUGH_INK, ink, open_and_run, settle
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

KNOBS = {  # one slider of each explorer of a lab, and the code that shows the last of them
    "11_steps_and_phases": (["calls"], "explorer()"),
    "12_latent_consistency": (["factor", "batch"], "transport_bench()"),
    "13_inverse_problems": (["level", "calls"], "editing_explorer("),
    "14_faster_pretraining": (["draw"], "explorer()"),
    "15_music": (["seed"], "synth()"),
    "17_atlas": (["seed"], "explorer()"),
    "18_flow_maps": (["t", "s"], "explorer()"),
    "19_mean_flow": (["t", "r"], "explorer()"),
}
ALL_ALONG = {"draw"}  # chooses which pairs are shown; the words are about all of them
BESIDE = "*[contains(@class, 'lab-out')]"
PICTURE = f"xpath=ancestor::*[following-sibling::{BESIDE}]/following-sibling::{BESIDE}"


@pytest.mark.parametrize("name", KNOBS)
def test_arrow_keys_turn_a_knob_and_picture_and_words_answer(page, jupyter, name):
    knobs, last = KNOBS[name]
    open_and_run(page, jupyter, name, last)
    for knob in knobs:
        slider = page.locator(f".lab-{knob} [role=slider]").first
        shown = slider.locator(PICTURE).first
        picture, words = shown.locator("img").first, shown.locator("[role=status]").first
        before = picture.get_attribute("src"), words.inner_text()
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(picture).not_to_have_attribute("src", before[0], timeout=10_000)
        settle(page)
        after = picture.get_attribute("src"), words.inner_text()
        assert after[0] != before[0], f"{name}: the picture of {knob}"
        assert knob in ALL_ALONG or after[1] != before[1], f"{name}: the words of {knob}"
        assert ink(picture.screenshot()) > ENOUGH_INK
