"""What a cell showed when it was run, as HTML: words, tables, pictures, sounds, sources."""

import base64
import re
from dataclasses import dataclass
from html import escape
from textwrap import dedent

from nbformat import NotebookNode

from ..labs.snapshot import NOTE
from .alt import alternative
from .code import code_box, printed
from .files import Files
from .words import Words

AUDIO = re.compile(r'src="data:audio/(\w+);base64,([^"]+)"')
LIVE = (
    '<p class="note">A live widget in JupyterLab: its knobs turn there. Below, how it opens.</p>\n'
)


@dataclass(frozen=True, eq=False)
class Outputs:
    """Shows the outputs of one page's cells; `above` is the text that stands over a figure."""

    words: Words
    files: Files

    def html(self, cell: NotebookNode, above: str) -> str:
        live = any(NOTE in output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        return "".join(self.one(output, cell.source, above, live) for output in cell.outputs)

    def one(self, output: NotebookNode, source: str, above: str, live: bool) -> str:
        if output.output_type == "stream":
            return printed(output.text)
        data = output.get("data", {})
        if "image/png" in data:
            title = data.get("text/plain", "")
            return self.picture(data["image/png"], alternative(title, above, live))
        if "audio" in data.get("text/html", ""):
            return self.sound(data["text/html"])
        if NOTE in data.get("text/plain", ""):
            return LIVE
        if "text/markdown" in data:
            return self.words.html(data["text/markdown"])
        return self.text(data, source)

    def text(self, data: NotebookNode, source: str) -> str:
        """A source that was asked for, or what a value calls itself."""
        plain = data.get("text/plain", "")
        if source.strip().startswith("show_source("):
            name = source.strip().removeprefix("show_source(").removesuffix(")")
            label = f"<code>{escape(name)}</code>, as the package runs it"
            box = code_box(dedent(plain), label=f"Source of {name}")
            return f'<figure class="source"><figcaption>{label}</figcaption>\n{box}</figure>\n'
        return printed(plain) if plain else ""

    def picture(self, encoded: str, alt: str) -> str:
        address, width, height = self.files.picture(encoded)
        return (
            '<figure class="picture"><div class="sheet" tabindex="0" role="group" '
            f'aria-label="Figure"><img src="{address}" width="{width}" height="{height}" '
            f'loading="lazy" alt="{escape(alt)}"></div></figure>\n'
        )

    def sound(self, html: str) -> str:
        """A player for each sound, with the sound in a file of its own."""
        players = ""
        for suffix, encoded in AUDIO.findall(html):
            address = self.files.keep(base64.b64decode(encoded), "sounds", suffix)
            players += (
                f'<audio controls preload="none" src="{address}" aria-label="Listen"></audio>\n'
            )
        return f'<div class="sound">{players}</div>\n'
