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
# 3. **choose** the noise level of a second call by a search, and check its result.
#
# Nothing is trained in this notebook. Exact samplers are computed here; five networks were recorded beforehand. All are students of the exact denoiser of the ring (lab 04), and all results are for the averaged weights:
#
# - the **good f**, a consistency model: 4000 training steps of 256 samples, with Heun's steps on a grid of 64 levels;
# - the **bad f**, trained for a tenth of these steps;
# - networks with **2, 4 and 8 phases** (defined below), trained like the good f.

# %%
import json
from functools import cache
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
# On the right, circles are the exact ends of the paths and coloured marks are the ends that the sampler reaches. For 60 samples a line joins the two. Move the number of calls from 1 to 8. How does the distance change?

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
# In this lab σ is the noise level, in the figures too; t, r and s are times. (In labs 00 to 09 the time was itself the noise level.)
#
# Here are three samplers with four calls each, in one dimension, where the exact paths are known (grey bands). The noise level falls from left to right, and the position is divided by its standard deviation at each level. Solid arrows are calls, dotted arrows are fresh noise. In the left panel one of the four samples is drawn in full colour.
#
# - **Jump and re-noise**: a consistency function jumps to the data. Then fresh noise raises the noise level again, to a lower value each time.
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
# Exact phased jumps *compose*: a jump from t to s followed by one from s to u equals the jump from t to u. So with any number of edges the phased jumps end at the same point as a single jump. In this sense they preserve the solution of the ODE.
#
# ### Two questions about a sample
#
# Take the ring of eight modes, and 4096 noise vectors at σ = 10. One may ask two different questions:
#
# - *Is it the sample of the ODE?* We measure the distance to the end of the exact path from the same noise vector.
# - *Is it like the data?* This question ignores the noise vector, and we answer it in two ways. The **sliced Wasserstein distance W₂** compares the cloud with fresh data as a whole: project both onto many directions, sort, and take the root mean square of the differences. Its value for two sets of real data is the *floor*. The **fraction off the modes** looks at single samples: what fraction of them is more than three standard deviations from every mode? For real data it is 1.1 %. The data hardly ever produce a sample between two modes; yet such a sample is only a few tenths from a mode, and adds little to W₂.

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
# - **f\* with fresh noise** gives samples with the distribution of the data after any number of calls: fresh noise makes them noisy data, which f\* carries back to data (up to the small difference between pure noise and noisy data at σ = 10). But after 8 calls a sample has practically nothing to do with its noise vector: it lies in the mode of the exact end no more often than a random guess among eight modes.
# - **Exact phased jumps** give the sample of the ODE, for any number of calls.
# - **DDIM** with the exact denoiser comes closer to the exact ends, and to the data, as its steps become smaller. (Each end is assigned to its nearest mode. With one call all ends lie near the centre, and *same mode* says only that the direction is right.)
#
# So for an exact f, more stochastic calls neither improve nor degrade the distribution. They can help only if f has errors.
#
# ### A jump is not a small step
#
# In PCM the network is used like a denoiser: the jump from t to s is a DDIM step, along a line. But its output should not be E[x | x_t]; it should make the *line* end on the path. (An estimate of x determines one of the noise z, and vice versa; the formulas are shorter for z.) Write $\alpha_t$ and $\sigma_t$ for the scales of data and noise at time t (1 and t in labs 00 to 09, cos t and $\sigma_d \sin t$ in lab 10), so that $x_t = \alpha_t x + \sigma_t z$. With an estimate $\hat z$ of the noise the line is
#
# $$x_s = \frac{\alpha_s}{\alpha_t}\bigl(x_t - \sigma_t\, \hat z\bigr) + \sigma_s\, \hat z .$$
#
# A denoiser needs many small steps to reach the end of the path; to jump, a network has to be trained for another output.

# %% tags=["hide-input", "nbval-check-output"]
S, process = 0.5, TrigFlow(1.0)
v = lambda t: (t.cos() * S) ** 2 + t.sin() ** 2
t = torch.tensor([1.5, 0.5], dtype=torch.float64)
jump = S / v(t).sqrt()
student = process.noise(torch.ones(2, 1).double(), jump[:, None], t)[:, 0]
rows = ["| jump to 0 from | the exact jump ends at | and needs ẑ = | the denoiser's ẑ |", "|---" * 4 + "|"]
rows += ["| t = {:.1f} | {:.4f} $x_t$ | {:.4f} $x_t$ | {:.4f} $x_t$ |".format(*row) for row in zip(t, jump, student, t.sin() / v(t), strict=True)]
teacher = lambda x_t, t: (t.cos() * S**2 / v(t))[:, None] * x_t
one = torch.ones(1, 1).double()
reached = [[*jumps(process, teacher, one, torch.linspace(1.5, 0, n + 1).double())][-1].item() for n in (1, 2, 4, 8, 16, 32)]
folded("A number for it: the two outputs for Gaussian data", r"""For Gaussian data $\mathcal N(0, S^2)$ both outputs, the one that is needed and the denoiser's, can be written down. Take S = ½ and the angle of lab 10 as time, with $\sigma_d = 1$. The exact jump is then $x_s = \sqrt{v_s / v_t}\; x_t$, where $v_t = \cos^2 t\, S^2 + \sin^2 t$ is the variance of $x_t$. For s = 0 the line has to end at $\sqrt{v_0/v_t}\, x_t$, which needs $\hat z = \bigl(1 - \cos t\, \sqrt{v_0 / v_t}\bigr) x_t / \sin t$. The denoiser's estimate is another one, $\hat z = \mathrm E[z \mid x_t] = (\sin t / v_t)\, x_t$:

""" + "\n".join(rows) + "\n\nDDIM from t = 1.5 in 1, 2, 4, … 32 calls ends at " + ", ".join(f"{x:.4f}" for x in reached) + f" times $x_t$ (exact: {jump[0]:.4f})." + r"""

At t = 1.5 the two estimates differ by only 3.5 %. But the line divides by $\alpha_t = \cos t = 0.07$, so one call of DDIM ends at 0.018 $x_t$, whereas the exact jump ends at 0.501 $x_t$.""")

# %% [markdown]
# ## The method, from its source
#
# ### Multistep sampling (Song et al., Algorithm 1)
#
# $$x \leftarrow f(x_T, T), \qquad \text{for } \tau_2 > \tau_3 > \dots: \quad \hat x \leftarrow x + \tau z, \quad x \leftarrow f(\hat x, \tau).$$
#
# T is the highest level, and τ₂, τ₃, … are the levels of the later calls. In the paper the noise has the scale $\sqrt{\tau^2 - \varepsilon^2}$, with the smallest noise level ε = 0.002; ECT's code, which we follow here, has the scale τ. With two calls τ₂ is the $\sigma_\text{mid}$ of lab 00.
#
# ### Phased consistency models
#
# A consistency model on each of several segments of the path was proposed by Heek, Hoogeboom & Salimans 2024 (*Multistep Consistency Models*, [arXiv:2403.06807](https://arxiv.org/abs/2403.06807)); PCM came two months later, for latents and with the loss below. Edges $s_0 < s_1 < \dots < s_M$ are taken from the grid of the solver. A time t between two edges belongs to the phase between them, and the model jumps to the edge *below* t. A time on an edge belongs to the phase below it, and is the top of that phase.
#
# $$\mathcal L = \lambda\, d\bigl(X_\theta(x_t, t \to s),\; X_{\theta^-}(\hat x_r, r \to s)\bigr), \qquad s = \text{the edge below } t .$$
#
# Here d is a distance and λ a weight. $X_\theta(x_t, t \to s)$ is the point at s that the jump along the line of $f_\theta$ reaches. The point $\hat x_r$ is reached from $x_t$ by the teacher's solver (in the paper k steps of the grid lower, here one), and θ⁻ = θ without gradient, as in the authors' code. Three points matter:
#
# - **Both branches jump to the same edge**, the edge below t. If r is that edge, the second jump is the identity, and the target is the teacher's step itself. No boundary condition has to be built in for this.
# - **The network is not given s.** Each t has one edge, so t is enough. (Consistency trajectory models, [Kim et al. 2023](https://arxiv.org/abs/2310.02279), give it s and can jump to any s.)
# - **With one phase, down to 0,** the jump is f, and the loss is that of consistency distillation.

# %%
show_source(jumps)

# %% [markdown]
# `jumps` is the sampler of both papers. With `keep = 1` the noise is left unchanged (phased jumps, DDIM), and with `keep = 0` it is drawn anew, as in `multistep`. The stochastic sampler reported for PCM lies in between: a part of the noise is drawn anew.

# %% tags=["hide-input", "nbval-check-output"]
model = toy.edm().build().double()
x, pairs = ring.sample(256)[0].double(), AdjacentLevels(Constant(24), toy.LEVELS, toy.GRID)
one_phase = Phases((0.0, top))
both = {
    "one phase, one-sample teacher": ("iCT (lab 07)", (
        PCM(SampleTeacher(), one_phase, pairs=pairs, weight=ICT().weight),
        ICT(pairs=pairs),
    )),
    "one phase, exact teacher, DDIM": ("CD (lab 04)", (
        PCM(OracleTeacher(ring), one_phase, pairs=pairs),
        CD(OracleTeacher(ring), ddim, pairs, ICT().metric),
    )),
    "four phases, exact teacher, DDIM": ("CD (lab 04)", (
        PCM(OracleTeacher(ring), cut(toy.GRID, 24, 4), pairs=pairs),
        CD(OracleTeacher(ring), ddim, pairs, ICT().metric),
    )),
}
rows = ["| PCM with | compared with | equal to 1e-6 |", "|---" * 3 + "|"]
for name, (other, methods) in both.items():
    losses = []
    for method in methods:
        torch.manual_seed(0)  # the same times and the same noise for both
        losses.append(method.loss(model, x, step=0))
    rows.append(f"| {name} | {other} | {'yes' if torch.allclose(*losses, rtol=1e-6, atol=1e-9) else 'no'} |")
folded("With one phase: iCT and distillation", "With one phase the loss of PCM must equal losses of earlier labs, at the same times and with the same noise:\n\n" + "\n".join(rows))

# %% [markdown]
# ## Explore
#
# Plan a sampler: choose the function, the number of calls and their noise levels. The plan is on the left: solid arrows are calls, and dotted lines are fresh noise. On the right you see, as before, where 384 samples end (so few that the floor of the sliced W₂ is about 0.09).
# *Equal parts* divides the grid of the solver evenly; with *the sliders* you set each level yourself (the first call is always at σ = 10).
#
# Three things to try:
#
# - Give the bad network more calls. Do its samples get better, and in which respect?
# - Compare "phased, exact" with "DDIM, exact denoiser" at 2 calls.
# - For the good network choose the levels yourself. Can two calls bring as many samples to the modes as eight calls do?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - They do not: with one call 51 % of the bad network's samples are near a mode, with two to eight calls 40 to 45 %, and the sliced W₂ stays at 0.12 to 0.13. The distance to the exact end grows with every call, from 0.21 to 1.22.
# - Exact phased jumps reach the end of the path. DDIM ends at a mean distance of 0.30 from this end, and only 46 % of its samples are near a mode.
# - Yes. One call leaves 90 % near a mode, eight calls 95 %, and two calls with the second at σ = 0.15 leave 96 %. A second call at 0.8 leaves 88 %.
#
# </details>

# %% [markdown]
# ## The key figure
#
# The figure answers both questions for the recorded networks (means and ranges of three seeds) and for the exact functions. *Exact f\**, *good f* and *bad f* use fresh noise between the calls, at levels that divide the grid evenly. *DDIM* uses the exact denoiser. *Phased* stands for the networks with as many phases as calls; with one phase it is the good f. (In the right panel *phased* is seed 0 alone.)

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
better = " and the ".join(name for name in nets if off[name][:, 3].max() < off[name][:, 0].min())
fewer = f"With eight calls fewer samples\nof the {better} are off the modes" if better else "With eight calls no fewer\nsamples are off the modes"
titles = ("Phased jumps stay\nnear the exact end", "By sliced W₂ the good f\nand phases are near the floor", fewer)
scores_by_calls(
    dict(zip(titles, (*curves.values(), {name + " (seed 0)" * (name == "phased"): v for name, v in off.items()}), strict=True)),
    ("mean distance to the exact end", "sliced $W_2$ to fresh data", "fraction of samples off the modes"), (0.0, floor, real_off),
    ({"exact f*": 1.25, "good f": 0.92, "bad f": 0.67}, {"phased": 1.21, "good f": 1.13, "exact f*": 0.84}, {}),
)

# %% [markdown]
# (Exact phased jumps, and one call of f\*, have distance 0 in the left panel and cannot be drawn there.)
#
# By sliced W₂ the good f gains little from more calls, for little can be gained: after one call its samples are about as near to the data as other data are. The fraction off the modes is far from its floor, and it shows a gain: with one call about one sample in eight lies between the modes, with eight calls clearly fewer. The bad f, on the other hand, does not gain by either measure. The phased networks have the fewest samples off the modes, and each sample stays near the end of its own path.

# %% tags=["hide-input"]
percent = lambda values: ranged(100 * np.asarray(values), ".1f") + " %"
table = ["| | calls | distance to the exact end | same mode | sliced W₂ | off the modes |", "|---" * 6 + "|"]
for n in CALLS:
    found = runs[f"m{n}"]
    cells = [ranged(found.score("end"), ".3f"), ranged(100 * found.score("same"), ".1f") + " %", ranged(found.score("sw"), ".3f"), percent(off["phased"][:, CALLS.index(n)])]
    table.append(f"| **phased**, {n} phase{'s' * (n > 1)} | {n} | " + " | ".join(cells) + " |")
for name, words in (("m1", "good f"), ("bad", "bad f")):
    for i, n in enumerate(CALLS):
        cells = [ranged(row(name, 0, "end")[:, i], ".3f"), ranged(100 * row(name, 0, "same")[:, i], ".1f") + " %", ranged(row(name, 0, "sw")[:, i], ".3f"), percent(off[words][:, i])]
        table.append(f"| {words}, fresh noise | {n} | " + " | ".join(cells) + " |")
folded("In numbers: means over the seeds (lowest to highest)", "\n".join(table) + f"\n\nThe fraction off the modes is measured on 8192 samples, the rest on 4096; for phases it is that of seed 0. For real data it is {100 * real_off:.1f} %, and the sliced W₂ is {floor:.3f} ({min(floors):.3f} to {max(floors):.3f} for ten sets).")

# %% [markdown]
# Why do 4 and 8 phases not come nearer to the exact end than 2? Presumably two effects balance: each jump is easier, but the same network has to learn more of them in the same number of training steps.
#
# ### With another number of calls
#
# A network of M phases was trained for M calls at its own edges. What happens if it is called a different number of times, at levels that divide the grid evenly? The entries are mean distances to the exact end, averaged over the seeds.

# %% tags=["hide-input"]
table = ["| distance to the exact end | " + " | ".join(f"{n} call{'s' * (n > 1)}" for n in CALLS) + " |", "|---" * 5 + "|"]
for n in CALLS:
    cells = [f"{v:.3f}" for v in row(f"m{n}", 1, "end").mean(0)]
    cells[CALLS.index(n)] = f"**{cells[CALLS.index(n)]}**"
    table.append(f"| {n} phase{'s' * (n > 1)} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# On the diagonal each network does what it was trained for. To the left of the diagonal, a network jumps beyond its own edges, where its line has left the path. To the right, its jumps stop halfway along the line, which meets the path only at its end.
#
# ### When does a second call help?
#
# With two calls of a consistency model there is one number to choose, the middle level $\sigma_\text{mid}$. The noise of the second call hides whatever the first call got wrong on scales finer than $\sigma_\text{mid}$, and f then fills in these scales anew, with the errors that f makes *at this level*. These errors can be measured separately: add noise of this level to real data and call f once.
#
# The figure shows two calls by their middle level (solid, seed 0), and one call (dashed); grey is the range of ten sets of real data (of 8192 samples, so W₂ is lower than above). The dotted curves on the right are for one call of f on noisy *data*. Triangles mark the levels that a ternary search finds, as in Song et al. (exercise B).

# %% tags=["hide-input"]
grid = torch.logspace(log(0.02, 10), log(7, 10), 15).tolist()
measures = {"sw": "sliced $W_2$ (data units)", "off": "fraction of samples off the modes"}
kept = {score: ({}, {}, {}, {}) for score in measures}  # curves, one call, found, on noisy data
found_level = {}
for name, (net, *_) in nets.items():
    two = SecondCall(net)
    scored = cache(two.scores)  # the two searches begin with the same levels
    at_levels = dict(zip(measures, zip(*map(scored, grid), strict=True), strict=True))
    at_once = dict(zip(measures, two.once, strict=True))
    for k, score in enumerate(measures):
        level = exp(ternary(lambda u, k=k, scored=scored: scored(exp(u))[k], log(0.02), log(7), 6))
        curve, once, found, noisy = kept[score]
        curve[name], once[name], found[name], found_level[name, score] = at_levels[score], at_once[score], (level, scored(level)[k]), level
    kept["off"][3][name] = [two.from_data(level) for level in grid]
kinds = [off_modes(ring.sample(len(two.x), torch.Generator().manual_seed(k))[0]) for k in range(10)]
real = [sliced(ring.sample(len(two.x), torch.Generator().manual_seed(k))[0], two.fresh) for k in range(10)]
panel = lambda score: LevelPanel(measures[score], *kept[score], {"sw": (min(real), max(real)), "off": (min(kinds), max(kinds))}[score])
good = found_level["good f", "off"]
intermediate_level(grid, {"By sliced W₂ the good f is in the range of real data": panel("sw"), f"The good f gains near $\\sigma_\\mathrm{{mid}}$ = {good:.2f}": panel("off")})

# %% tags=["hide-input"]
for name in nets:
    said = "; ".join(f"{words} {kept[score][1][name]:.3f} with one call, {kept[score][2][name][1]:.3f} with two, the second at {found_level[name, score]:.2f}" for score, words in (("sw", "sliced W₂"), ("off", "off the modes")))
    print(f"{name}, searched on seed 0: {said}.")
fair, said = {}, []
for name, (_, *others) in nets.items():
    level = found_level[name, "off"]
    fair[name] = [(two.once[1], two.scores(level)[1]) for two in (SecondCall(net, seed=9) for net in others)]
    before, after = (" and ".join(f"{100 * v:.1f}" for v in column) for column in zip(*fair[name], strict=True))
    said.append(f"{name} {before} % with one call, {after} % with two")
print(f"Off the modes on new draws, for seeds 1 and 2 at the level found on seed 0: {'; '.join(said)}.")

# %% [markdown]
# Look at the right panel, from high noise to low.
#
# - **At $\sigma_\text{mid}$ above about 0.5** the solid curve lies on the dotted one: so much noise hides the first call entirely, and only the errors of the second remain. For the good f these errors are about as large as at the top, so nothing is gained; for this bad f they are slightly smaller near 1.6.
# - **Below, the dotted curves fall**, since near the data f has little to decide. But weak noise no longer hides the errors of the first call, and the solid curves leave the dotted ones.
# - **For the good f there is a window in between**, around $\sigma_\text{mid}$ = 0.1: f has small errors there, and noise of this size is still enough to bring many samples from between the modes to a mode.
# - **For the bad f no such window holds up.** The level 1.60 helps seed 0 a little, but makes seeds 1 and 2 worse. At levels at which its dotted curve is low, its solid curve is back at the value of one call: noise as weak as that leaves the samples between the modes.
#
# So before you spend a second call, measure f on noisy data: there is something to gain only at levels at which the error of f is clearly smaller than at the top. (For other measures this is no more than a rule of thumb.) A score is too favourable on the very draws by which the level was chosen; for this reason the last printed line uses new draws and other networks.
#
# ### On digits a second call helps
#
# The generators of labs 00, 07 and 09 were called once and twice, with $\sigma_\text{mid}$ = 0.4. At which levels the generators have their errors was not measured; but the Fréchet distance to held-out digits is far from its floor, 7.1, and it falls.

# %% tags=["hide-input"]
shipped = [json.loads(line) for line in (ROOT / "docs" / "results.jsonl").open()]
digits = {"the generator of lab 00 (ECT)": [np.array([run[n] for run in shipped if run["preset"] == "digits.ect"]) for n in ("fd1", "fd2")]}
tuning = {words: read("tuning-digits", name) for words, name in (("iCT (lab 07)", "ict"), ("ECT (lab 09)", "tuned"), ("ECT without a pre-training (lab 09)", "scratch"))}
digits |= {words: [found.score(n) for n in ("fd1", "fd2")] for words, found in tuning.items()}
lines = ["| Fréchet distance, three trainings each | 1 call | 2 calls | lower with two |", "|---" * 4 + "|"]
lines += [f"| {words} | {ranged(a, '.1f')} | {ranged(b, '.1f')} | for {int((b < a).sum())} of {len(a)} |" for words, (a, b) in digits.items()]
Markdown("\n".join(lines))

# %% tags=["hide-input"]
critic = "; ".join(f"{words}: {ranged(runs['m4-critic'].score(score))} with the critic, {ranged(runs['m4'].score(score))} without it" for score, words in (("end", "distance to the exact end"), ("sw", "sliced W₂")))
fd = recorded_variants("phased-digits")["pcm"]["fd"]
lines = ["| Fréchet distance | 1 call | 2 calls | 4 calls |", "|---" * 4 + "|"]
lines += [f"| {words} | " + " | ".join(ranged(fd[:, way, i], ".1f") for i in range(3)) + " |" for way, words in enumerate(("student of four phases, jumps", "the same student with fresh noise, for which it was not trained", "its teacher, DDIM"))]
folded("Optional: PCM's critic, and phases on digits", f"""\
**The critic.** PCM has a second term. Both jumps are noised again, to a level inside the phase, and a critic learns to distinguish those of the student (fake) from those of the target (real). Its real samples come from the *target*, not from the data. If student and target agree, the critic has nothing to distinguish and does not pull; a critic trained on real data would pull the student off its path even then.

One recorded variant adds this term to the network of 4 phases, with weight 0.1 and a small critic network. The {critic}. The authors' code also uses a weight of 0.1, but with our weights the critic has less influence, above all at small noise levels: in their code the distance is a mean over the components of a sample and has weight 1, while ours is a single norm with the weight 1/(t − r), which on these 64 levels goes from 1.3 to 1690; the adversarial term has no such weight.

**Phases on digits** (preset `digits.pcm`, here 600 steps of a denoiser, which then teaches a student of four phases for 900 steps):

""" + "\n".join(lines) + """

Fair rivals, a consistency model with one phase and the teacher with many calls, were not recorded.""")

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
# Both jumps have the same s. Which edges lie *strictly* below t, and which of them is s? The neighbour r may lie beyond that edge: where must the teacher's step then stop, so that nothing leaves the phase?
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

# %% [markdown]
# ### B · on your own: the middle level
#
# `score(t)` falls and then rises. Find the place of its smallest value between `low` and `high`: in each of `rounds` rounds evaluate the score at one third and at two thirds of the interval, and drop the outer third that cannot contain the smallest value. Return the middle of the interval that is left. (This is a *ternary search*.) Before you run the check: draw a score with two valleys on which the search ends in the wrong one.

# %% tags=["exercise"]
def search(score, low, high, rounds):
    """The place of the smallest score, a number."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.middle(search)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# If the score at one third is smaller than at two thirds, the minimum cannot lie beyond two thirds. It may well lie below one third.
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
# A score that is measured from samples is noisy. Fix the noise with a seed; otherwise the last rounds merely compare random fluctuations. The search assumes that the score falls and then rises. Look at the curve before you trust it: in the left panel of the figure the curve of the good f has two dips, and the search ends in one of them. If a curve has several dips, scan a coarse grid of levels first, and search in the best part only. Noise levels are better searched by their logarithm, as in the figure: thirds of the interval from 0.02 to 7 leave the window around 0.1 to the last rounds.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over three seeds, with the lowest and the highest; a claim counts as *confirmed here* only if the ranges do not overlap or, where networks are compared with themselves, if all agree, of ten or more.

# %% tags=["hide-input"]
score = {name: runs[name].score("end") for name in ("m1", "m2", "m4", "m8")}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
half = "confirmed here; the mean distance is " + ("at most half of that with one phase" if score["m4"].mean() <= score["m1"].mean() / 2 else "more than half of that with one phase")
rows.append(f"| phases bring the sample closer to that of the ODE (PCM) | distance to the exact end, 1, 2, 4, 8 phases: {', '.join(ranged(v) for v in score.values())} | {half if score['m4'].max() < score['m1'].min() else 'not seen at this scale'} |")
near, far = row("m1", 0, "same")[:, 0], row("m1", 0, "same")[:, 1:]
kept_modes = min(runs[f"m{n}"].score("same").min() for n in (2, 4, 8))
drift = f"{'confirmed here' if far.max() < near.min() and kept_modes >= near.min() else 'partly'}"
rows.append(f"| stochastic multistep sampling drifts away from the ODE, phased sampling does not (PCM) | in the mode of the exact end: good f after 1, 2, 4, 8 calls {', '.join(percent(v) for v in row('m1', 0, 'same').T)}; with 2, 4, 8 phases {', '.join(percent(runs[f'm{n}'].score('same')) for n in (2, 4, 8))} | {drift} |")
measured, verdicts = [], []
for name, variant in (("good f", "m1"), ("bad f", "bad")):
    w2, apart = row(variant, 0, "sw"), off[name]
    by_w2, by_off = compare_seeds(w2[:, 3], w2[:, 0]), compare_seeds(apart[:, 3], apart[:, 0])
    measured.append(f"{name}: sliced W₂ {ranged(w2[:, 3])} against {ranged(w2[:, 0])}, off the modes {percent(apart[:, 3])} against {percent(apart[:, 0])}")
    both_say = f"{by_w2} by both measures" if by_w2 == by_off else f"{'fewer' if by_off == 'lower' else by_off} off the modes, {by_w2} by sliced W₂{', near its floor' if name == 'good f' else ''}"
    verdicts.append(f"{'partly' if by_off == 'lower' else 'not seen at this scale'} for the {name}: {both_say}")
rows.append(f"| more stochastic calls improve the samples (Song et al.); here 8 calls against 1 | {'; '.join(measured)} | {'; '.join(verdicts)} |")
before, after = zip(*fair["good f"], strict=True)
helped = max(after) < min(before)
rows.append(f"| two calls with a searched level beat one (Song et al.); here the good f of seeds 1 and 2, at the level found on seed 0, {good:.2f} | off the modes {percent(after)} against {percent(before)} | {'confirmed here, by the fraction off the modes' if helped else 'not seen at this scale'} |")
lower = np.concatenate([b < a for a, b in digits.values()])
rows.append(f"| two calls beat one, on digits (Song et al. and labs 00, 07, 09) | the table of digits above | {'confirmed here' if lower.all() else 'partly'}: two calls are better for {f'each of the {len(lower)}' if lower.all() else f'{lower.sum()} of {len(lower)}'} trainings |")
shown, rows = "\n".join(rows), rows[:2]
rows.append("| *not in the paper:* each doubling of the phases brings the sample closer to that of the ODE | distance to the exact end: {} | {} |".format(*compare_variants({"8 phases": score["m8"], "4 phases": score["m4"]}, "8 phases", "4 phases", ".3f")))
at_4 = {"4 phases": runs["m4"].score("sw"), "4 stochastic calls": row("m1", 0, "sw")[:, 2]}
fewer = off["phased"][0, 2] < off["good f"][:, 2].min()
rows.append(f"| *not in the paper:* at 4 calls phases have the better distribution | sliced W₂ {ranged(at_4['4 phases'])} against {ranged(at_4['4 stochastic calls'])}; off the modes {percent(off['phased'][:, 2])} (seed 0) against {percent(off['good f'][:, 2])} | {'partly' if fewer else 'not seen at this scale'}: by sliced W₂ {compare_seeds(at_4['4 phases'], at_4['4 stochastic calls'])}, by the fraction off the modes {'lower, but from one seed' if fewer else 'not lower'} |")
found = {"with the critic": runs["m4-critic"].score("sw"), "without it": runs["m4"].score("sw")}
rows.append("| the adversarial term improves the samples (PCM; 4 phases, ring) | sliced W₂: {} | {} |".format(*compare_variants(found, "with the critic", "without it", ".3f")))
Markdown(shown)

# %% tags=["hide-input"]
folded("Three more claims: the number of phases, the distribution at 4 calls, the critic", "\n".join(rows))

# %% [markdown]
# ### What to remember
#
# 1. With an exact f, more stochastic calls change the sample that a noise vector leads to, but not the distribution. Exact phased jumps change neither. The exact denoiser gains with every doubling of its steps, and a phased network is best at its own number of calls.
# 2. A trained f gains from a second call only at a noise level at which its errors are clearly smaller than at the top, and only if noise of this level still hides what the first call got wrong. On the ring the good f has such a window, the bad f has none that holds for other seeds; the generators of digits gained.
# 3. Whether a gain is seen depends on the measure. Sliced W₂ near its floor hardly shows one; the fraction of samples off the modes does.
#
# ## Budget

# %% tags=["hide-input"]
made = [*runs.values(), *recorded_variants("phased-digits").values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in made)
seconds = sum(sum(run.record["seconds"]) for run in made)
spaced = lambda n: f"{n:,}".replace(",", " ")
asks = 7 * sum(CALLS) + 2 * (1 + 2 * len(grid) + 26) + 8  # about: the searches have some in common
print(f"In this notebook: no training; {spaced(sum(CALLS) * 3 * 4096)} calls of exact functions and denoisers, about {spaced(8192 * asks)} of small networks.")
print(f"Recorded: {len(made)} variants with three seeds each; {spaced(seen)} samples, pre-training included.")
print(f"They trained for {seconds:.0f} s on a machine that was also doing other work.")

# %% [markdown]
# **Next:** lab 12 moves from pixels and points to latents, and deals with their outliers.
