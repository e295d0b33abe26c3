"""Figures that move: each the key idea of its lab, from exact results or from recordings."""

from collections.abc import Callable, Mapping

from . import atlas, line, pairs, phases, posterior, pull, ring, training, vee
from .base import Moving

# By the number of the lab; made on demand, since some take a second or two.
MOVING: Mapping[str, tuple[Callable[[], Moving], ...]] = {
    "01": (ring.flow, ring.euler),
    "02": (line.maps,),
    "04": (line.students,),
    "06": (training.wavefront,),
    "07": (training.ladder,),
    "08": (pull.pull,),
    "10": (vee.vee,),
    "11": (phases.calls,),
    "13": (posterior.under,),
    "14": (pairs.twins,),
    "17": (atlas.worth,),
}

__all__ = ["MOVING", "Moving"]
