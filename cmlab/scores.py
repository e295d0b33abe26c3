"""A finished run against the test split: the long table behind `cmlab evaluate RUN --space`."""

from collections.abc import Mapping
from pathlib import Path

import torch

from . import runs
from .change import change
from .checkpoint import BadFile
from .evaluate.inception import InceptionSpace
from .evaluate.report import Table
from .evaluate.spaces import CifarSpace, Space
from .judge import AgainstTest
from .settings import Refused

SPACES = (CifarSpace.name, InceptionSpace.name)


def space_of(name: str, weights: str = "", download: bool = False) -> Space:
    """The space of a name. Raises Refused, saying what is allowed."""
    spaces: Mapping[str, Space] = {
        CifarSpace.name: CifarSpace(weights),
        InceptionSpace.name: InceptionSpace(weights, download),
    }
    if name not in spaces:
        raise Refused(f"there is no space {name!r}; allowed: {', '.join(spaces)}")
    if download and name != InceptionSpace.name:
        raise Refused(f"the space {name} comes with the repository; leave out --download")
    return spaces[name]


def score(
    run: Path, judge: AgainstTest, path: str = "", device: torch.device | None = None
) -> Table:
    """The table of a run's folder or shipped file; `path` is where its photographs lie now.

    Raises Refused or BadFile in one sentence for what cannot be measured.
    """
    model, recipe, _ = runs.load(run)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        data = change(recipe.data, "path", path) if path else recipe.data
        return judge.table(model.to(device or best), data, recipe.sampler)
    except BadFile:
        raise
    except ValueError as error:
        raise Refused(f"{run} cannot be measured: {error}") from error
