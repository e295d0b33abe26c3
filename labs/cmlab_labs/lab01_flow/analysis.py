"""Analysis for lab 01, probability flow: quantities measured there.

How far a solver ends from where the exact path does.
"""

from torch import Tensor

from cmlab.oracle import Oracle
from cmlab.process import EDM
from cmlab.sampling import heun, ode
from cmlab.types import Data, PerSample, Solver


def end_error(oracle: Oracle, x_t: Data, levels: Tensor, solver: Solver = heun) -> PerSample:
    """The distance between the two ends, for each start x_t, in units of the data.

    The levels (m,) fall from the noise level of x_t to where the paths end. The denoiser is
    exact, so the error is the solver's alone.
    """
    *_, end = ode(EDM(), oracle.denoise, x_t, levels, solver)
    first, last = (level.to(x_t).expand(len(x_t)) for level in (levels[0], levels[-1]))
    return (end - oracle.flow(x_t, first, last)).flatten(1).norm(dim=1)
