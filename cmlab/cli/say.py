"""How the command line answers: one JSON object on one line."""

import json
import sys
from typing import Any


def say(facts: dict[str, Any]) -> None:
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in facts.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
