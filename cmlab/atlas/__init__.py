"""All methods on one law with one network and one budget: `cmlab bench`, and lab 17 reads it."""

from .asked import Generates, HeunSteps
from .entries import ENTRIES, Entry
from .guesses import Edits, Guesses
from .ledger import LEDGER, Row, merged, read_rows, score, weights_of, write_rows
from .run import measured

__all__ = [
    "ENTRIES", "LEDGER", "Edits", "Entry", "Generates", "Guesses", "HeunSteps", "Row", "measured",
    "merged", "read_rows", "score", "weights_of", "write_rows",
]  # fmt: skip
