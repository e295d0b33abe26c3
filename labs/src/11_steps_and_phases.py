# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Steps and phases
#
# **When do more steps help?**
#
# | | |
# |---|---|
# | Papers | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Algorithm 1, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); Wang et al. 2024, *Phased Consistency Models* (PCM), [arXiv:2405.18407](https://arxiv.org/abs/2405.18407) |
# | Level | 2 of 3 |
# | Part | Beyond |
# | Time | 40 minutes |
# | Run All | 25 s on 2 CPU cores |
# | You need | the probability flow and its steps (lab 01), the consistency function (lab 02), distillation (lab 04); for one closed form the angle of lab 10 |
#
# After this lab you can
#
# 1. **say** what the multistep sampler does to a sample, and **judge** whether a second call can improve a given f;
# 2. **explain** how phases let a model with several calls preserve the solution of the ODE, and **write** the two points that PCM's loss compares;
# 3. **choose** the noise level of a second call, by a search that you do not trust blindly.
#
# Nothing is trained in this notebook. Exact samplers are computed here. Five networks were recorded beforehand; all are students of the exact denoiser of the ring (lab 04) and are judged with their averaged weights:
#
# - the **good f**, a consistency model: 4000 training steps of 256 samples, with Heun's steps on a grid of 64 levels;
# - the **bad f**, the same after a tenth of the steps;
# - networks with **2, 4 and 8 phases**, trained as the good f is. What a phase is, you will see below.

# %%
import json
from functools import cache
from inspect import getsource
from math import exp, log

import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.explorers_steps import explorer
from cmlab_labs.common.plots_recordings import compare_seeds, compare_variants, recorded_variants
from cmlab_labs.common.plots_steps import (
    CALLS,
    LevelPanel,
    by_renoising,
    by_transport,
    intermediate_level,
    routes,
    scores_by_calls,
)
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.studies_shared import restored_network
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab11_phases import checks
from cmlab_labs.lab11_phases.analysis import (
    SecondCall,
    off_by_calls,
    off_modes,
    ternary,
)
from IPython.display import Markdown

from cmlab.data.toy import Bumps
from cmlab.methods import CD, ICT, PCM
from cmlab.methods.pcm import PhasedSteps, Phases, cut, jumps
from cmlab.metrics.plots import EXTRA, STUDENT, TEACHER
from cmlab.metrics.toy import ExactJumps, against, exact_ends, score_ends
from cmlab.metrics.wasserstein import sliced
from cmlab.noise_levels import AdjacentLevels
from cmlab.presets import toy
from cmlab.process import TrigFlow, VarianceExploding
from cmlab.sampling import ddim
from cmlab.schedules import Constant
from cmlab.teacher import OracleTeacher, SampleTeacher
from cmlab.train.runs import ROOT

start_lab(threads=1)  # small networks: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# A sampler goes from noise to data in a number of steps and calls a function once per step. Here the function is the exact denoiser of a ring of eight modes, and each step goes along a straight line (DDIM).
#
# On the right, circles mark the exact ends of the paths and coloured marks show the points where the sampler ends. For 60 of the samples a line joins the two. Move the number of calls from 1 to 8. How does the distance change?

# %%
planner = explorer()
planner.turn({"way": "DDIM, exact denoiser", "calls": 1}, hide=set(planner.knobs) - {"calls"})

# %% [markdown]
# ## Predict
#
# For this sampler, more steps are better. A consistency model jumps from noise to data in one call. To get better samples, Song et al. call it again: they add fresh noise to the sample, less than before, and jump again.

# %%
predict("11.1")

# %% [markdown]
# ## The exact object
#
# ### Three ways from noise to data
#
# In this lab σ is the noise level, on all axes; t, r and s are times. (Under the process of labs 00 to 09 they are noise levels too.)
#
# Here are three samplers with four calls each, in one dimension, where the exact paths are known (grey bands). The noise level falls from left to right, and the position is divided by its standard deviation at each level. Solid arrows are calls. In the left panel dotted arrows are fresh noise, and one of the four samples is drawn in full colour.
#
# - **Jump and re-noise**: a consistency function jumps to the data. Fresh noise then raises the noise level again, each time to a lower value than before.
# - **Phased jumps**: the range of noise levels is divided into phases by *edges*. The exact jump ends at the next edge, on the same path. The last edge is the data.
# - **DDIM**: the denoiser's estimate defines a straight line, and the sample moves along this line to the next level.

# %%
line = Bumps().oracle
x_T = 10 * torch.tensor([[-1.1], [-0.25], [0.1], [0.9]], dtype=torch.float64)
levels = [10.0, 3.0, 0.8, 0.2]
z = torch.randn(3, 4, 1, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
whole, parts = Phases((0.0, 10.0)), Phases((0.0, *levels[::-1]))
panels = {
    "Fresh noise leads to other paths": (
        by_renoising(ExactJumps(line, whole), x_T, levels, z),
        STUDENT,
    ),
    "Phased jumps stay on the path": (
        by_transport(ExactJumps(line, parts), x_T, [*levels, 0.0]),
        EXTRA,
    ),
    "DDIM leaves the path": (by_transport(line.denoise, x_T, [*levels, 0.0]), TEACHER),
}
routes(line, x_T, panels)

# %% [markdown]
# Exact phased jumps *compose*: a jump from t to s and one from s to u make the jump from t to u. However many edges there are, the phased jumps end where a single jump ends. In this sense they preserve the solution of the ODE.
#
# ### Two questions about a sample
#
# Take the ring of eight modes, and 4096 noise vectors at σ = 10. One may ask two different questions:
#
# - *Whose sample is it?* We measure the distance to the point where the exact path from the same noise ends.
# - *Is it like the data?* This ignores the noise from which a sample came, and we measure it in two ways. The **sliced Wasserstein distance W₂** to fresh data looks at the cloud as a whole. Even two sets of real data are a positive distance apart, the *floor*; nothing below it can be seen. The **share off the modes** looks at single samples: which part of them is more than three standard deviations from every mode? Of real data it is 1.1 %. A sample between two modes is one that the data hardly ever produce; yet it is only a few tenths from a mode, and adds little to W₂.

# %% tags=["hide-input"]
ring, top = toy.RING, toy.SIGMA_MAX
keep, renoise = PhasedSteps(toy.GRID, 64), PhasedSteps(toy.GRID, 64, keep=0.0)
f_exact = ExactJumps(ring.oracle, Phases((0.0, top + 1e-6)))
ends = exact_ends(ring, top)
floors = [against(ring, ring.sample(4096, torch.Generator().manual_seed(k))[0].double(), ends)["sw"] for k in range(1, 11)]
floor = sum(floors) / len(floors)
exact = {
    "re-noise, f*": [score_ends(f_exact, VarianceExploding(), ring, renoise, n) for n in CALLS],
    "phased jumps": [score_ends(ExactJumps(ring.oracle, cut(toy.GRID, 64, n)), VarianceExploding(), ring, keep, n) for n in CALLS],
    "DDIM, D": [score_ends(ring.oracle.denoise, VarianceExploding(), ring, keep, n) for n in CALLS],
}

# %% tags=["hide-input", "nbval-check-output"]
print("network calls                     " + "".join(f"{n:8d}" for n in CALLS))
for score, words in (("end", "distance to the exact end"), ("same", "same mode as the exact end"), ("sw", "sliced W₂ to data")):
    for name, row in exact.items():
        print(f"{words if name.startswith('re') else '':27}{name:13}" + "".join(f"{found[score] + 0.0:8.2f}" for found in row))
print(f"floor of the sliced W₂, for ten sets of data: {floor:.2f} ({min(floors):.2f} to {max(floors):.2f})")

# %% [markdown]
# - **f\* with fresh noise** gives samples with the distribution of the data after any number of calls (up to the small difference between pure noise and noisy data at σ = 10). But after 8 calls a sample has practically nothing to do with its noise: it lies in the mode of the exact end no more often than a random guess among the eight modes would.
# - **Exact phased jumps** give the sample of the ODE, for any number of calls.
# - **DDIM** with the exact denoiser comes closer to both as its steps become smaller. (Each end is assigned to its nearest mode. With one call all ends lie near the centre, and *same mode* says only that the direction is right.)
#
# So for an exact f, more stochastic calls neither improve nor degrade the distribution. They can help only where f has errors.
#
# ### A jump is not a small step
#
# In PCM the network is used like a denoiser: the jump from t to s is a DDIM step, along a line. But its output should not be E[x | x_t]; it should make the *line* end on the path. (An estimate of x and one of the noise z determine each other; the formulas are shorter for z.) Write $\alpha_t$ and $\sigma_t$ for the scales of data and noise at time t (1 and t in labs 00 to 09, cos t and $\sigma_d \sin t$ in lab 10), so that $x_t = \alpha_t x + \sigma_t z$. With an estimate $\hat z$ of the noise the line is
#
# $$x_s = \frac{\alpha_s}{\alpha_t}\bigl(x_t - \sigma_t\, \hat z\bigr) + \sigma_s\, \hat z .$$
#
# For Gaussian data $\mathcal N(0, S^2)$ both can be written down. Take S = ½ and the angle of lab 10 as time, with $\sigma_d = 1$. The exact jump is then $x_s = \sqrt{v_s / v_t}\; x_t$, where $v_t = \cos^2 t\, S^2 + \sin^2 t$ is the variance of $x_t$. For s = 0 the line has to end at $\sqrt{v_0/v_t}\, x_t$, which needs $\hat z = \bigl(1 - \cos t\, \sqrt{v_0 / v_t}\bigr) x_t / \sin t$. The denoiser's estimate is another one, $\hat z = \mathrm E[z \mid x_t] = (\sin t / v_t)\, x_t$:

# %% tags=["hide-input", "nbval-check-output"]
S, process = 0.5, TrigFlow(1.0)
v = lambda t: (t.cos() * S) ** 2 + t.sin() ** 2
t = torch.tensor([1.5, 0.5], dtype=torch.float64)
jump = S / v(t).sqrt()
student = process.noise(torch.ones(2, 1).double(), jump[:, None], t)[:, 0]
for row in zip(t, jump, student, t.sin() / v(t), strict=True):
    print("from t = {:.1f} to 0: the exact jump ends at {:.4f} x_t and needs ẑ = {:.4f} x_t; the denoiser gives {:.4f} x_t".format(*row))
teacher = lambda x_t, t: (t.cos() * S**2 / v(t))[:, None] * x_t
one = torch.ones(1, 1).double()
reached = [[*jumps(process, teacher, one, torch.linspace(1.5, 0, n + 1).double())][-1].item() for n in (1, 2, 4, 8, 16, 32)]
print("DDIM from t = 1.5 in 1, 2, 4, … 32 calls: " + ", ".join(f"{x:.4f}" for x in reached) + f" (exact: {jump[0]:.4f})")

# %% [markdown]
# At t = 1.5 the two estimates differ by only 3.5 %. But the line divides by $\alpha_t = \cos t = 0.07$, so one call of DDIM ends at 0.018 $x_t$, and the exact jump at 0.501 $x_t$. A denoiser needs many small steps to get there; to jump, a network has to be trained for another output.
#
# ## The method, from its source
#
# ### Multistep sampling (Song et al., Algorithm 1)
#
# $$x \leftarrow f(x_T, T), \qquad \text{for } \tau_2 > \tau_3 > \dots: \quad \hat x \leftarrow x + \tau z, \quad x \leftarrow f(\hat x, \tau).$$
#
# T is the highest level and τ those of the later calls. In the paper the noise has the scale $\sqrt{\tau^2 - \varepsilon^2}$, with the smallest noise level ε = 0.002; the scale τ is that of ECT's code, which we follow here. With two calls τ₂ is the $\sigma_\text{mid}$ of lab 00.
#
# ### Phased consistency models
#
# A consistency model on each of several segments of the path was proposed by Heek, Hoogeboom & Salimans 2024 (*Multistep Consistency Models*, [arXiv:2403.06807](https://arxiv.org/abs/2403.06807)); PCM came two months later, for latents and with the loss below. Edges $s_0 < s_1 < \dots < s_M$ are taken from the grid of the solver. A time t between two edges belongs to the phase between them, and the model jumps to the edge *below* t. A time on an edge belongs to the phase below it, and is the top of that phase.
#
# $$\mathcal L = \lambda\, d\bigl(X_\theta(x_t, t \to s),\; X_{\theta^-}(\hat x_r, r \to s)\bigr), \qquad s = \text{the edge below } t .$$
#
# Here d is a distance and λ a weight. $X_\theta(x_t, t \to s)$ is the point at s where the jump along the line of $f_\theta$ lands. And $\hat x_r$ is the point that the teacher's solver reaches from $x_t$ (in the paper k steps of the grid lower, here one), and θ⁻ = θ without gradient, as in the authors' code. Three points matter:
#
# - **Both branches jump to the same edge**, the edge below t. If r is that edge, the second jump is the identity, and the target is the teacher's step itself. No boundary condition has to be built in for this.
# - **The network is not given s.** Each t has one edge, so t is enough. (Consistency trajectory models, [Kim et al. 2023](https://arxiv.org/abs/2310.02279), give it s and can jump to any s.)
# - **With one phase, down to 0,** the jump is f, and the loss is that of consistency distillation.

# %%
show_source(jumps)

# %% [markdown]
# `jumps` is the sampler of both papers. With `keep = 1` the noise is left unchanged (phased jumps, DDIM), and with `keep = 0` it is drawn anew, as in `multistep`. The stochastic sampler reported for PCM lies in between: a share of the noise is drawn anew.
#
# ### One phase is what you know
#
# With one phase the loss of PCM must equal losses of earlier labs. We compare them on the same times and the same noise: with a one-sample teacher it is that of iCT, with the exact teacher and DDIM that of distillation. With four phases it is another loss.

# %% tags=["hide-input", "nbval-check-output"]
model = toy.edm().build().double()
x, pairs = ring.sample(256)[0].double(), AdjacentLevels(Constant(24), toy.LEVELS, toy.GRID)
one_phase = Phases((0.0, top))
both = {
    "one phase, one-sample teacher  = iCT": (
        PCM(SampleTeacher(), one_phase, pairs=pairs, weight=ICT().weight),
        ICT(pairs=pairs),
    ),
    "one phase, exact teacher, DDIM = CD ": (
        PCM(OracleTeacher(ring), one_phase, pairs=pairs),
        CD(OracleTeacher(ring), ddim, pairs, ICT().metric),
    ),
    "four phases is another loss than CD ": (
        PCM(OracleTeacher(ring), cut(toy.GRID, 24, 4), pairs=pairs),
        CD(OracleTeacher(ring), ddim, pairs, ICT().metric),
    ),
}
for name, methods in both.items():
    losses = []
    for method in methods:
        torch.manual_seed(0)  # the same times and the same noise for both
        losses.append(method.loss(model, x, step=0))
    print(f"{name}: equal to 1e-6: {torch.allclose(*losses, rtol=1e-6, atol=1e-9)}")

# %% [markdown]
# ## Explore
#
# Plan a sampler: choose the function, the number of calls and their noise levels. The plan is on the left: solid arrows are calls, and dotted lines are fresh noise. On the right you see, as before, where 384 samples end.
# *Even shares* cuts the grid of the solver into equal parts; with *the sliders* you set each level yourself (the first call is always at σ = 10). Click a slider and use the arrow keys.
#
# Four things to try:
#
# - Give the bad network more calls. Do its samples get better, and in which respect?
# - Compare "phased, exact" with "DDIM, exact denoiser" at 2 calls.
# - Choose the network with 4 phases, and give it 3 calls, then 8. Why is it best with exactly 4?
# - For the good network choose the levels yourself. Can two calls bring as many samples to the modes as eight do?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - No: with one call 51 % of the bad network's samples are near a mode, with two to eight calls 40 to 45 %, and the sliced W₂ stays at 0.12 to 0.13. The distance to the exact end grows with every call, from 0.21 to 1.22.
# - Exact phased jumps end where the path ends. DDIM misses by 0.30, and only 46 % of its samples are near a mode.
# - With 4 calls it misses by 0.02, with 3 by 0.10, with 8 by 0.06. With 3 calls it jumps past its own edges, where its line has left the path; with 8 it stops between two edges, where its line has not yet come back to it.
# - Yes. One call leaves 90 % near a mode, eight calls 95 %, and two calls with the second at σ = 0.15 leave 96 %. A second call at 0.8 leaves 88 %. Read the share near the modes, not the sliced W₂: from 384 points it stays at about 0.06 to 0.10, whatever you do, and so do real data.
#
# </details>

# %% [markdown]
# ## The key figure
#
# The figure answers both questions for the recorded networks (means and ranges of three seeds) and for the exact functions. *Exact f\**, *good f* and *bad f* use fresh noise between the calls, at even shares of the grid. *DDIM* uses the exact denoiser. *Phased* stands for the networks with as many phases as calls; with one phase it is the good f. (In the right panel there is seed 0 alone, which begins a little lower than the mean of the good f.)

# %% tags=["hide-input"]
runs = recorded_variants("phases")
SCORE = {"end": 0, "rms": 1, "same": 2, "sw": 3}
row = lambda variant, way, score: runs[variant]["ends"][:, way, :, SCORE[score]]  # (seeds, calls); way 0 re-noises
curves = {}
for score in ("end", "sw"):
    own = torch.tensor([[runs[f"m{n}"].record["scores"][seed][score] for n in CALLS] for seed in range(3)]).numpy()
    curves[score] = {"bad f": row("bad", 0, score), "good f": row("m1", 0, score)}
    curves[score] |= {"exact f*": torch.tensor([[found[score] for found in exact["re-noise, f*"]]]).numpy()}
    curves[score] |= {"DDIM": torch.tensor([[found[score] for found in exact["DDIM, D"]]]).numpy(), "phased": own}
nets = {name: [restored_network(variant, kept, seed) for seed, kept in enumerate(runs[variant]["weights"])] for name, variant in (("good f", "m1"), ("bad f", "bad"))}
off = {name: np.array([[off_by_calls(net, renoise, n) for n in CALLS] for net in found]) for name, found in nets.items()}
phased_nets = {n: restored_network(f"m{n}", runs[f"m{n}"]["weights"][0]) for n in CALLS}
off["phased"] = np.array([[off_by_calls(phased_nets[n], keep, n) for n in CALLS]])
real_off = exp(-4.5)  # beyond three standard deviations of a Gaussian in the plane
mended = " and the ".join(name for name in nets if off[name][:, 3].max() < off[name][:, 0].min()) or "neither f"
titles = ("Whose sample: phased jumps\nstay near the exact end", "Like the data, by W₂: good f\nand phases are at the floor", f"Off the modes: with eight calls\nthe {mended} has fewer strays")
scores_by_calls(
    dict(zip(titles, (*curves.values(), {name + " (seed 0)" * (name == "phased"): v for name, v in off.items()}), strict=True)),
    ("mean distance to the exact end", "sliced $W_2$ to fresh data", "share of samples off the modes"), (0.0, floor, real_off),
    ({"exact f*": 1.25, "good f": 0.92, "bad f": 0.67}, {"phased": 1.12, "good f": 0.98, "exact f*": 0.85}, {}),
)

# %% tags=["hide-input"]
four, one_ = (runs[name].score("end").mean() for name in ("m4", "m1"))
percent = lambda values: ranged(100 * np.asarray(values), ".1f") + " %"
print(f"Whose sample: the network of 4 phases ends {one_ / four:.1f} times closer to the exact end than that of one phase. With 4 stochastic calls the latter ends {row('m1', 0, 'end')[:, 2].mean() / one_:.0f} times farther away than with one.")
print(f"Like the data, by sliced W₂: with 1 and 8 calls the good f has {ranged(row('m1', 0, 'sw')[:, 0])} and {ranged(row('m1', 0, 'sw')[:, 3])}; the floor is {floor:.3f} ({min(floors):.3f} to {max(floors):.3f} for ten sets of data).")
print(f"Like the data, off the modes: with 1, 2, 4 and 8 calls the good f has {', '.join(percent(v) for v in off['good f'].T)}; the bad f {', '.join(percent(v) for v in off['bad f'].T)}.")
print(f"Networks of 2, 4 and 8 phases (seed 0): {', '.join(percent(v) for v in off['phased'].T[1:])}; real data {100 * real_off:.1f} %.")

# %% [markdown]
# (Exact phased jumps, and one call of f\*, have distance 0 in the left panel and cannot be drawn there.)
#
# By sliced W₂ the good f gains nothing from more calls. But it cannot: 4096 of its samples are already as near to the data as another set of data is, and a measure at its floor shows no improvement. The share off the modes is not at its floor, and it says something else. With one call about one sample in eight lies between the modes, and with eight calls clearly fewer. The bad f, on the other hand, does not gain by either measure. The phased networks have the fewest strays (measured for seed 0 only), and they keep the sample.

# %% tags=["hide-input"]
table = ["| | calls | distance to the exact end | same mode | sliced W₂ | off the modes |", "|---" * 6 + "|"]
for n in CALLS:
    found = runs[f"m{n}"]
    cells = [ranged(found.score("end"), ".3f"), ranged(100 * found.score("same"), ".1f") + " %", ranged(found.score("sw"), ".3f"), percent(off["phased"][:, CALLS.index(n)])]
    table.append(f"| **phased**, {n} phase{'s' * (n > 1)} | {n} | " + " | ".join(cells) + " |")
for name, words in (("m1", "good f"), ("bad", "bad f")):
    for i, n in enumerate(CALLS):
        cells = [ranged(row(name, 0, "end")[:, i], ".3f"), ranged(100 * row(name, 0, "same")[:, i], ".1f") + " %", ranged(row(name, 0, "sw")[:, i], ".3f"), percent(off[words][:, i])]
        table.append(f"| {words}, fresh noise | {n} | " + " | ".join(cells) + " |")
folded("In numbers: means over the seeds (lowest to highest)", "\n".join(table) + "\n\nThe share off the modes is measured on 8192 samples, the rest on 4096; for phases it is that of seed 0, whose weights are stored.")

# %% [markdown]
# Why do 4 and 8 phases not come nearer to the exact end than 2? With more phases each jump is easier, but there are more of them, and the same network has to learn them all in the same number of training steps. This experiment does not separate the two effects.
#
# ### With another number of calls
#
# A network of M phases was trained for M calls at its own edges. What happens if it is called a different number of times? Rows are networks, and columns are numbers of calls, at even shares of the grid. The entries are mean distances to the exact end, averaged over the seeds.

# %% tags=["hide-input"]
table = ["| deterministic jumps | " + " | ".join(f"{n} call{'s' * (n > 1)}" for n in CALLS) + " |", "|---" * 5 + "|"]
for n in CALLS:
    cells = [f"{v:.3f}" for v in row(f"m{n}", 1, "end").mean(0)]
    cells[CALLS.index(n)] = f"**{cells[CALLS.index(n)]}**"
    table.append(f"| {n} phase{'s' * (n > 1)} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# On the diagonal each network does what it was trained for. To the left of the diagonal, a network jumps beyond its own edges, where its line has left the path. To the right of the diagonal, its jumps are stopped halfway, although its line meets the path only at its end.
#
# ### When does a second call help?
#
# With two calls of a consistency model there is one number to choose, the middle level $\sigma_\text{mid}$. The second call does two things. Its noise hides whatever the first call got wrong on a scale finer than $\sigma_\text{mid}$, and f then decides that scale anew, with the errors that f makes *at this level*. These errors can be measured on their own: put noise of this level on real data and call f once.
#
# The figure shows two calls by their middle level (solid, seed 0), and one call (dashed); grey is the range of ten sets of real data. The dotted curves on the right are the share off the modes after one call of f on noisy *data*. Song et al. find the level by ternary search, on the assumption that the score falls and then rises. Open marks show the levels for which such a search asked, here on a logarithmic scale; the triangle is its answer.

# %% tags=["hide-input"]
grid = torch.logspace(log(0.02, 10), log(7, 10), 15).tolist()
measures = {"sw": "sliced $W_2$ (data units)", "off": "share of samples off the modes"}
kept = {score: ({}, {}, {}, {}) for score in measures}  # curves, one call, asked, on noisy data
found_level = {}
for name, (net, *_) in nets.items():
    two = SecondCall(net)
    scored = cache(two.scores)  # the two searches begin with the same levels
    at_levels = dict(zip(measures, zip(*map(scored, grid), strict=True), strict=True))
    at_once = dict(zip(measures, two.once, strict=True))
    for k, score in enumerate(measures):
        seen = []
        ask = lambda u, k=k, seen=seen, scored=scored: seen.append((exp(u), scored(exp(u))[k])) or seen[-1][1]
        level = exp(ternary(ask, log(0.02), log(7), 6))
        ask(log(level))
        curve, once, asked, noisy = kept[score]
        curve[name], once[name], asked[name], found_level[name, score] = at_levels[score], at_once[score], seen, level
    kept["off"][3][name] = [two.from_data(level) for level in grid]
kinds = [off_modes(ring.sample(len(two.x), torch.Generator().manual_seed(k))[0]) for k in range(10)]
real = [sliced(ring.sample(len(two.x), torch.Generator().manual_seed(k))[0], two.fresh) for k in range(10)]
panel = lambda score: LevelPanel(measures[score], *kept[score], {"sw": (min(real), max(real)), "off": (min(kinds), max(kinds))}[score])
good = found_level["good f", "off"]
intermediate_level(grid, {"Sliced W₂: the good f is in the range of real data": panel("sw"), f"Off the modes: the good f gains near $\\sigma_\\mathrm{{mid}}$ = {good:.2f}": panel("off")})

# %% tags=["hide-input"]
for name in nets:
    said = "; ".join(f"{words} {kept[score][1][name]:.3f} with one call, {kept[score][2][name][-1][1]:.3f} with two, the second at {found_level[name, score]:.2f}" for score, words in (("sw", "sliced W₂"), ("off", "off the modes")))
    print(f"{name}, searched on seed 0: {said}.")
print(f"The sliced W₂ of real data, for ten sets of as many points: {min(real):.3f} to {max(real):.3f}.")
fair = [[two.once[1], two.scores(good)[1]] for two in (SecondCall(net, seed=9) for net in nets["good f"][1:])]
print(f"The level {good:.2f} was chosen on these draws. On new draws, the good f of seeds 1 and 2 goes from {' and '.join(f'{100 * a:.1f}' for a, _ in fair)} % off the modes with one call to {' and '.join(f'{100 * b:.1f}' for _, b in fair)} % with two.")

# %% [markdown]
# Look at the right panel, from high noise to low.
#
# - **At $\sigma_\text{mid}$ above about 0.5** the solid curve lies on the dotted one: so much noise hides the first call entirely, and only the errors of the second remain. For both networks these are about as large as those at the top, so nothing is gained.
# - **Below, the dotted curves fall**, since near the data f has little to decide. But weak noise no longer hides what the first call did, and the solid curves leave the dotted ones.
# - **For the good f there is a window between the two**, around $\sigma_\text{mid}$ = 0.1: it errs little there, and noise of this size is still enough to bring many strays to a mode.
# - **For the bad f there is none.** Where its dotted curve lies low, its solid one is back at the value of one call: noise as weak as that leaves its strays where they are.
#
# So before you spend a second call, measure f on noisy data: there is something to gain only at levels where its error is clearly smaller than at the top. In this figure no solid curve lies clearly below its dotted one. For other measures this is no more than a rule of thumb: a common shift of all samples counts for more in W₂ than an equal scatter, and a second draw of noise can average it out.
#
# Look at the curve before you trust a search, too: the left curve of the good f has two dips, and a ternary search ends in one of them. A score that was measured on the draws by which it was chosen is too favourable; the last printed line uses new draws and other networks for this reason.
#
# ### On digits a second call helps
#
# The generators of labs 00, 07 and 09 were called once and twice, with $\sigma_\text{mid}$ = 0.4. There is no exact f to compare with, so we cannot say where their errors lie; but the Fréchet distance to held-out digits is far from its floor, 7.1, and it falls.

# %% tags=["hide-input"]
shipped = [json.loads(line) for line in (ROOT / "docs" / "results.jsonl").open()]
digits = {"the generator of lab 00 (ECT)": [np.array([run[n] for run in shipped if run["preset"] == "digits.ect"]) for n in ("fd1", "fd2")]}
tuning = {words: read("tuning-digits", name) for words, name in (("iCT (lab 07)", "ict"), ("ECT (lab 09)", "tuned"), ("ECT without a pre-training (lab 09)", "scratch"))}
digits |= {words: [found.score(n) for n in ("fd1", "fd2")] for words, found in tuning.items()}
lines = ["| Fréchet distance, three trainings each | 1 call | 2 calls | lower with two |", "|---" * 4 + "|"]
lines += [f"| {words} | {ranged(a, '.1f')} | {ranged(b, '.1f')} | for {int((b < a).sum())} of {len(a)}{'; ranges apart' if b.max() < a.min() else ''} |" for words, (a, b) in digits.items()]
Markdown("\n".join(lines))

# %% tags=["hide-input"]
critic = "; ".join(f"{words}: {ranged(runs['m4-critic'].score(score))} with the critic, {ranged(runs['m4'].score(score))} without it" for score, words in (("end", "distance to the exact end"), ("sw", "sliced W₂")))
fd = recorded_variants("phased-digits")["pcm"]["fd"]
lines = ["| Fréchet distance | 1 call | 2 calls | 4 calls |", "|---" * 4 + "|"]
lines += [f"| {words} | " + " | ".join(ranged(fd[:, way, i], ".1f") for i in range(3)) + " |" for way, words in enumerate(("student of four phases, jumps", "the same with fresh noise, for which it was not made", "its teacher, DDIM"))]
folded("Optional: PCM's critic, and phases on digits", f"""\
**The critic.** PCM has a second term. Both jumps are noised again, to a level inside the phase, and a critic learns to distinguish those of the student (fake) from those of the target (real). Its real samples come from the *target*, not from the data. Where student and target agree, the critic has nothing to distinguish and does not pull; a critic trained on real data would pull the student off its path even then.

One recorded variant adds this term to the network of 4 phases, with weight 0.1 and a small critic network. The {critic}. The authors' code also uses a weight of 0.1, but with our weights the critic has less influence, above all at small noise levels: in their code the distance is a mean over the components of a sample and has weight 1, while ours is a single norm with the weight 1/(t − r), which on these 64 levels goes from 1.3 to 1690; the adversarial term has no such weight.

**Phases on digits** (preset `digits.pcm`, here 600 steps of a denoiser, which then teaches a student of four phases for 900 steps):

""" + "\n".join(lines) + """

A consistency model with one phase, and the teacher with many calls, would be the fair rivals; they were not recorded.""")

# %% [markdown]
# ## Exercises
#
# ### A · guided: the two points that PCM compares
#
# `f(x, level)` is the network's estimate of the data, and `step(x_t, t, r)` is the teacher's step from t to r. The process is that of labs 00 to 09, where a time is a noise level, so a jump from t to s along the line of f is $x_s = \hat x + \frac{s}{t}\,(x_t - \hat x)$ with $\hat x = f(x_t, t)$. The times t > r > 0 are numbers, and `edges` is a rising list from 0 up. Return the student's point and the target's, the second without gradient.
# Before you run the check, on paper: the edges are 0, 1 and 4. Where do the two jumps start and end for (t, r) = (3, 2), for (4, 3), and for (1.2, 0.8)?

# %% tags=["exercise"]
def phased_pair(f, step, x_t, t, r, edges):
    """The two points (n, dim) that PCM's loss compares, the student's first."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.phased_pair(phased_pair)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# There is one s for both jumps. Which edges lie *strictly* below t, and which of them is meant? The neighbour r may lie beyond that edge: where must the teacher's step then stop, so that nothing leaves the phase?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def phased_pair(f, step, x_t, t, r, edges):
#     s = max(edge for edge in edges if edge < t)
#     r = max(r, s)
#
#     def jump(x, level):
#         found = f(x, level)
#         return found + s / level * (x - found)
#
#     return jump(x_t, t), jump(step(x_t, t, r), r).detach()
# ```
#
# On paper: from 3 and 2 to 1; from 4 and 3 to 1, since an edge belongs to the phase below it; from 1.2 to 1, where the second jump is the identity, since r is raised from 0.8 to 1. The target is then the teacher's step itself.
#
# </details>

# %% tags=["hide-input"]
folded("`PCM.loss` in the package, with its critic", f"```python\n{getsource(PCM.loss)}```")

# %% [markdown]
# ### B · on your own: the middle level
#
# `score(t)` falls and then rises. Find the place of its smallest value between `low` and `high`: in each of `rounds` rounds ask for the score at one third and at two thirds of the interval, and drop the third that cannot contain it. Return the middle of what is left. Before you run the check: draw a score with two valleys on which the search ends in the wrong one.

# %% tags=["exercise"]
def search(score, low, high, rounds):
    """The place of the smallest score, a number."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.middle(search)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# If the score at one third is smaller than at two thirds, the lowest place cannot lie beyond two thirds. It may well lie below one third.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def search(score, low, high, rounds):
#     for _ in range(rounds):
#         left, right = low + (high - low) / 3, high - (high - low) / 3
#         if score(left) < score(right):
#             high = right
#         else:
#             low = left
#     return (low + high) / 2
# ```
#
# A score that is measured from samples is noisy. Fix the noise with a seed; otherwise the last rounds merely compare random fluctuations. Where a curve has several dips, scan a coarse grid of levels first, and search in the best third only. Noise levels are better searched by their logarithm, as in the figure: thirds of the interval from 0.02 to 7 leave the window around 0.1 to the last rounds.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over three seeds, with the lowest and the highest; a claim counts as *confirmed here* only if the ranges do not overlap.

# %% tags=["hide-input"]
score = {name: runs[name].score("end") for name in ("m1", "m2", "m4", "m8")}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
half = "confirmed here; in the mean the distance is " + ("at most half of that with one phase" if score["m4"].mean() <= score["m1"].mean() / 2 else "more than half of that with one phase")
rows.append(f"| phases bring the sample closer to that of the ODE (PCM) | distance to the exact end, 1, 2, 4, 8 phases: {', '.join(ranged(v) for v in score.values())} | {half if score['m4'].max() < score['m1'].min() else 'not seen at this scale'} |")
rows.append("| *not in the paper:* each doubling of the phases brings it closer | distance to the exact end: {} | {} |".format(*compare_variants({"8 phases": score["m8"], "4 phases": score["m4"]}, "8 phases", "4 phases", ".3f")))
near, far = row("m1", 0, "same")[:, 0], row("m1", 0, "same")[:, 1:]
rows.append(f"| stochastic multistep sampling drifts away from the ODE (PCM) | good f, in the mode of the exact end after 1, 2, 4, 8 calls: {', '.join(percent(v) for v in row('m1', 0, 'same').T)} | {'confirmed here' if far.max() < near.min() else 'not seen at this scale'} |")
kept_modes = min(runs[f"m{n}"].score("same").min() for n in (2, 4, 8))
rows.append(f"| phased sampling does not drift (PCM) | in the mode of the exact end with 2, 4, 8 phases: {', '.join(percent(runs[f'm{n}'].score('same')) for n in (2, 4, 8))} | {'confirmed here' if kept_modes >= near.min() else 'partly'} |")
for name, variant in (("good f", "m1"), ("bad f", "bad")):
    w2, strays = row(variant, 0, "sw"), off[name]
    by_w2, by_off = compare_seeds(w2[:, 3], w2[:, 0]), compare_seeds(strays[:, 3], strays[:, 0])
    said = f"{'at the floor; ' if name == 'good f' else ''}by the share off the modes {by_off}"
    rows.append(f"| more stochastic calls improve the samples (Song et al.); here the {name}, 8 calls at even shares of the grid against 1 | sliced W₂ {ranged(w2[:, 3])} against {ranged(w2[:, 0])}; off the modes {percent(strays[:, 3])} against {percent(strays[:, 0])} | {'partly' if by_off == 'lower' else 'not seen at this scale'}: by sliced W₂ {by_w2}, {said} |")
helped = max(b for _, b in fair) < min(a for a, _ in fair)
rows.append(f"| two calls with a searched level beat one (Song et al.); here the good f of seeds 1 and 2, at the level found on seed 0, {good:.2f} | off the modes {percent([b for _, b in fair])} against {percent([a for a, _ in fair])} | {'confirmed here, by the share off the modes' if helped else 'not seen at this scale'} |")
many, apart = len(digits), sum(b.max() < a.min() for a, b in digits.values())
every = all((b < a).all() for a, b in digits.values())
rows.append(f"| two calls beat one, on digits (Song et al. and labs 00, 07, 09) | the table of digits above | {'confirmed here' if apart == many else 'partly'}: the ranges are apart for {apart} of {many} recipes{', and two calls are better for every training' if every else ''} |")
at_4 = {"4 phases": runs["m4"].score("sw"), "4 stochastic calls": row("m1", 0, "sw")[:, 2]}
fewer = off["phased"][0, 2] < off["good f"][:, 2].min()
rows.append(f"| *not in the paper:* at 4 calls phases have the better distribution | sliced W₂ {ranged(at_4['4 phases'])} against {ranged(at_4['4 stochastic calls'])}; off the modes {percent(off['phased'][:, 2])} (seed 0) against {percent(off['good f'][:, 2])} | {'partly' if fewer else 'not seen at this scale'}: by sliced W₂ {compare_seeds(at_4['4 phases'], at_4['4 stochastic calls'])}, by the share off the modes {'lower, but from one seed' if fewer else 'not lower'} |")
found = {"with the critic": runs["m4-critic"].score("sw"), "without it": runs["m4"].score("sw")}
rows.append("| the adversarial term improves the samples (PCM; 4 phases, ring) | sliced W₂: {} | {} |".format(*compare_variants(found, "with the critic", "without it", ".3f")))
Markdown("\n".join(rows))

# %% [markdown]
# ### What to remember
#
# 1. With an exact f, more stochastic calls change whose sample it is, but not the distribution. Exact phased jumps change neither. The exact denoiser gains with every doubling of its steps, and a phased network is best at its own number of calls.
# 2. A trained f gains from a second call only at a noise level where it errs clearly less than at the top, and only if noise of this level still moves what the first call got wrong. On the ring the good f has such a window, the bad f has none; the digits of labs 00, 07 and 09 gained.
# 3. Whether a gain is seen depends on the measure. Sliced W₂ at its floor sees none; the share of samples off the modes does.
#
# ## Budget

# %% tags=["hide-input"]
made = [*runs.values(), *recorded_variants("phased-digits").values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in made)
seconds = sum(sum(run.record["seconds"]) for run in made)
spaced = lambda n: f"{n:,}".replace(",", " ")
asks = 7 * sum(CALLS) + 2 * (1 + 2 * len(grid) + 26) + 4  # about: the searches share some
print(f"In this notebook: no training; {spaced(sum(CALLS) * 3 * 4096)} calls of exact functions and denoisers, about {spaced(8192 * asks)} of small networks.")
print(f"Recorded: {len(made)} variants with three seeds each; {spaced(seen)} samples, pre-training included.")
print(f"They trained for {seconds:.0f} s on a machine that was also doing other work.")

# %% [markdown]
# **Next:** lab 12 moves from pixels and points to latents, and deals with their outliers.
