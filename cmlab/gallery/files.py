"""Pictures and sounds of the pages, each kept once under a name made of what is in it."""

import base64
import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path


@dataclass(frozen=True, eq=False)
class Files:
    """Writes below `folder`; the addresses that it answers with are relative to it."""

    folder: Path
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def keep(self, content: bytes, kind: str, suffix: str) -> str:
        """The address of this content in the folder `kind`."""
        address = f"{kind}/{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
        return address

    def picture(self, encoded: str) -> tuple[str, int, int]:
        """A PNG in base 64: its address, its width and its height in pixels."""
        from PIL import Image

        content = base64.b64decode(encoded)
        address = self.keep(content, "pictures", "png")
        if address not in self.sizes:
            with Image.open(BytesIO(content)) as image:
                self.sizes[address] = image.size
        return address, *self.sizes[address]
