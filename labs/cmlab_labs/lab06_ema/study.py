"""Study of lab 06: EMA targets of several decays μ, in iCT on grids of N points and in plain CT.

Variants of iCT are called mu-0.99-n-161 and so on; N = 0 is the doubling grid. Plain CT is CT of
2023 with a constant μ: ct-mu-0.99.
"""

from dataclasses import replace

from cmlab.schedules import Constant

from ..common.studies_shared import CT_2023, DOUBLING, CTVariant
from ..common.study import Study

DECAYS = (0.0, 0.9, 0.99, 0.999)
GRIDS = (11, 161, 0)  # points; 0 is the doubling grid
PLAIN_CT = replace(CT_2023, title="plain CT")


def ict_variant(mu: float, points: int) -> CTVariant:
    """iCT with a target of decay mu on a grid of so many points."""
    grid = Constant(points) if points else DOUBLING
    return CTVariant(f"μ = {mu:g}", points=grid, decay=Constant(mu) if mu else None)


def ct_variant(mu: float) -> CTVariant:
    """CT of 2023 with a target of constant decay mu."""
    return replace(PLAIN_CT, title=f"μ = {mu:g}", decay=Constant(mu) if mu else None)


def variant_name(mu: float, points: int) -> str:
    """The name of iCT with this decay on a grid of so many points."""
    return f"mu-{mu:g}-n-{points}"


ICT_VARIANTS = {
    variant_name(mu, points): ict_variant(mu, points) for points in GRIDS for mu in DECAYS
}
CT_VARIANTS = {f"ct-mu-{mu:g}": ct_variant(mu) for mu in DECAYS}

STUDY = Study("target", ICT_VARIANTS | CT_VARIANTS)
