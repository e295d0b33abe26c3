"""What a reader needs to judge a run: recipe, versions, commit, and the loss's own source."""

import inspect
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .recipe import Recipe, to_dict

ROOT = Path(__file__).parents[1]


def provenance(recipe: Recipe) -> dict[str, Any]:
    """The part of a record that is known before the first step."""
    return {
        "recipe": to_dict(recipe),
        "versions": versions(),
        "commit": commit(),
        "method_source": inspect.getsource(inspect.getmodule(type(recipe.method)) or Recipe),
    }


def versions() -> dict[str, str]:
    """What a result may depend on."""
    names = ("cmlab", "torch", "numpy", "lightning-fabric")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def commit() -> str | None:
    """The git commit of this checkout, "+changes" when files differ from it; None outside one."""
    git = ["git", "-C", str(ROOT)]
    try:
        head, status = (
            subprocess.run([*git, *words], capture_output=True, text=True, encoding="utf-8")
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except OSError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")
