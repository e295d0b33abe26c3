"""Where a link leads: to another page, to the source, or nowhere, and then it is no link."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


@dataclass(frozen=True)
class Links:
    """`pages` by their path in the repository; `source` is the repository's address, or empty."""

    pages: Mapping[str, str]
    source: str = ""

    def to(self, href: str, folder: str) -> str | None:
        """The address for a link of a text in this folder; None where it leads nowhere."""
        if ABSOLUTE.match(href) or href.startswith("#"):
            return href
        path, hash_, place = href.partition("#")
        file = posixpath.normpath(posixpath.join(folder, path))
        if file in self.pages:
            return self.pages[file] + hash_ + place
        if self.source and not file.startswith(".."):
            return f"{self.source.rstrip('/')}/blob/main/{file}{hash_}{place}"
        return None


def slug(text: str) -> str:
    """A heading's anchor, as code hosts make it."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.strip().lower()))
