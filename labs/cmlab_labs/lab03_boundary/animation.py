"""Animation of lab 03: untrained networks, with and without a boundary condition."""

import torch

from cmlab.metrics.plots import STUDENT, TRUTH, WRONG

from ..common.animation import Moving, Panel, Shot, animation, line, moving, text_labels
from .explorer import HIGH, NOISY_POINTS, parametrisations, untrained_answers

EPS, FRAMES, NETWORKS = 0.002, 31, 5
LEVEL = "noise level t (data units)"
SHOWN = slice(0, None, 2)  # of the noisy points
FORMS = {"CM form": STUDENT, "bare": WRONG}


@animation
def boundary() -> Moving:
    """f of five untrained networks from the smallest noise level up, in two forms."""
    levels = EPS * (HIGH / EPS) ** torch.linspace(0, 1, FRAMES, dtype=torch.float64)
    shots = [frame(float(t)) for t in levels]
    x = NOISY_POINTS[SHOWN]
    still = [line(x, x, TRUTH, panel, 1.2) for panel in (0, 1)]
    still += [text_labels([-1.9], [2.1], ["black: f = x"], panel=panel) for panel in (0, 1)]
    plane = Panel("noisy point x<sub>t</sub> (data units)", "answer f (data units)", (-2, 2),
                  (-2.4, 2.4), x_ticks=(-2, -1, 0, 1, 2), y_ticks=(-2, -1, 0, 1, 2))  # fmt: skip
    finding = "At the smallest noise level every network answers x, before any training"
    return moving("boundary", finding, LEVEL, [plane, plane], still, shots, 0, (0, 19))


def frame(t: float) -> Shot:
    """One noise level: the networks as lines, and how far the farthest is from f = x."""
    level, forms, traces, off = torch.tensor(t).double(), parametrisations(0.94, EPS), [], []
    for panel, (name, role) in enumerate(FORMS.items()):
        answers = untrained_answers(forms[name], level, NETWORKS)
        off.append(float((answers - NOISY_POINTS).abs().max()))
        traces += [line(NOISY_POINTS[SHOWN], row[SHOWN], role, panel, 1.6) for row in answers]
    skip, out = (float(c) for c in forms["CM form"](level[None])[:2])
    reading = (
        f"At noise level t = {t:.2g}, c_skip = {skip:.3g} and c_out = {out:.3g}: five untrained "
        f"networks are at most {off[0]:.2g} from f = x; without skip connection {off[1]:.2g}."
    )
    titles = f"With the boundary: {off[0]:.2g} from f = x", f"Without: {off[1]:.2g} from f = x"
    return Shot(f"{t:.2g}", reading, titles, traces)
