"""The gap goes to zero: the discrete twin of sCM at several gaps, and the limit.

sct-…  from data alone and scd-… with the exact teacher, the limit being `sct` and `scd` of the
study "stabilisers". Gaps are radians of TrigFlow's time. "difference" takes central differences
of F along the path in place of its derivative.
"""

from dataclasses import replace

from ..tangent import Difference, Secant
from .base import Study
from .stabilisers import SCD, SCT
from .watch import Tangents

GAPS = (0.3, 0.1, 0.03, 0.01, 0.001, 0.0001, 0.00001)

ARMS = {f"sct-{gap:g}": replace(SCT, title=f"gap {gap:g}", slope=Secant(gap)) for gap in GAPS}
ARMS |= {
    f"scd-{gap:g}": replace(SCD, title=f"gap {gap:g}", slope=Secant(gap)) for gap in (0.1, 0.001)
}
ARMS["sct-difference"] = replace(SCT, title="differences of F", slope=Difference())

STUDY = Study("gap", ARMS, Tangents())
