"""From the text in labs/src to the executed notebook in labs/, in that one direction."""

from .command import main
from .faults import out_of_date, problems
from .merge import sync
from .notebook import checkout, find, source_of
from .run import execute

__all__ = ["checkout", "execute", "find", "main", "out_of_date", "problems", "source_of", "sync"]
