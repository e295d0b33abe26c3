"""A moving figure on a page: its data, the browser's own slider and buttons, and a reading."""

import json
from html import escape

from ..moving.base import Moving

FIGURE = """<figure class="moving" id="moving-{name}" data-start="{start}"{auto}>
<figcaption>{finding}</figcaption>
<div class="plot" role="img" aria-label="{finding}" aria-describedby="reading-{name}"></div>
<p class="note still">The drawing needs JavaScript. What it shows at first: {reading}</p>
<div class="controls" hidden>
<button type="button" class="back" aria-label="Frame before">◂</button>
<button type="button" class="play" aria-label="Play">▶</button>
<button type="button" class="on" aria-label="Next frame">▸</button>
<label for="knob-{name}">{knob}</label>
<input type="range" id="knob-{name}" min="0" max="{last}" step="1" value="{start}">
<output for="knob-{name}">{value}</output>
</div>
<p class="reading" id="reading-{name}" aria-live="polite">{reading}</p>
<script type="application/json">{data}</script>
</figure>
"""


def stage(moving: Moving, autoplay: bool = False) -> str:
    """HTML of one moving figure. With `autoplay` it runs once, where motion is welcome."""
    told = {"values": list(moving.values), "readings": list(moving.readings)}
    data = json.dumps({**moving.parts(), **told}, ensure_ascii=False, separators=(",", ":"))
    return FIGURE.format(
        name=escape(moving.name), finding=escape(moving.finding), knob=escape(moving.knob),
        start=moving.start, last=len(moving.values) - 1, value=escape(moving.values[moving.start]),
        reading=escape(moving.readings[moving.start]), auto=" data-auto" if autoplay else "",
        data=data.replace("</", "<\\/"),
    )  # fmt: skip


def motion(figures: list[Moving], words: str) -> str:
    """The section of a lab in which things move; `words` is its heading in HTML."""
    return words + "".join(map(stage, figures)) if figures else ""
