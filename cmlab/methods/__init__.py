"""One paper, one file."""

from .base import Choosy, Method
from .cd import CD
from .ct import CT
from .ect import ECT
from .edm import EDM
from .ict import ICT
from .scm import SCM

__all__ = ["CD", "CT", "ECT", "EDM", "ICT", "SCM", "Choosy", "Method"]
