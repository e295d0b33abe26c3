"""One paper, one file."""

from .base import Method
from .cd import CD
from .ct import CT
from .ect import ECT
from .edm import EDM
from .ict import ICT

__all__ = ["CD", "CT", "ECT", "EDM", "ICT", "Method"]
