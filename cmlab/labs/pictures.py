"""A plot has few colours: with a palette its picture takes less than half the room on disk."""

from base64 import b64decode, b64encode
from io import BytesIO

from nbformat import NotebookNode

PNG = "image/png"


def lighten(nb: NotebookNode) -> None:
    """Gives every committed picture the 256 colours that suit it best, where that saves room."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if PNG in output.get("data", {}):
                output.data[PNG] = _smaller(output.data[PNG])


def _smaller(encoded: str) -> str:
    from PIL import Image

    with Image.open(BytesIO(b64decode(encoded))) as image:
        if image.mode == "P":
            return encoded
        buffer = BytesIO()
        flat = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        flat.save(buffer, "PNG", optimize=True)
    return min(encoded, b64encode(buffer.getvalue()).decode(), key=len)
