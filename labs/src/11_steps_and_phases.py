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
# | Run All | 17 s on 2 CPU cores |
# | You need | the probability flow and its steps (lab 01), the consistency function (lab 02), distillation (lab 04) |
#
# After this lab you can
#
# 1. **write** the multistep sampler, and **say** what it does to a sample;
# 2. **explain** how phases let a model with several calls preserve the solution of the ODE, and **say** where the two points that PCM's loss compares lie;
# 3. **choose** noise levels for a given number of calls, by a search.
#
# Nothing is trained in this notebook. The exact samplers are computed here; the trained networks were recorded beforehand, with three seeds each.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.explorers_steps import explorer
from cmlab_labs.common.plots_recordings import compare_seeds, compare_variants, recorded_variants
from cmlab_labs.common.plots_steps import (
    CALLS,
    by_renoising,
    by_transport,
    intermediate_level,
    routes,
    scores_by_calls,
)
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.studies_shared import restored_network
from cmlab_labs.common.study import ranged
from cmlab_labs.lab11_phases import checks
from cmlab_labs.lab11_phases.analysis import ternary
from cmlab_labs.lab11_phases.figures import digit_rows
from IPython.display import Markdown

from cmlab.data.toy import Bumps
from cmlab.methods import CD, ICT, PCM
from cmlab.methods.pcm import PhasedSteps, Phases, cut, jumps
from cmlab.metrics.plots import EXTRA, STUDENT, TEACHER
from cmlab.metrics.toy import ExactJumps, against, exact_ends, rmse_by_level, score_ends, truth
from cmlab.noise_levels import AdjacentLevels
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.process import TrigFlow, VarianceExploding
from cmlab.sampling import ddim, multistep
from cmlab.schedules import Constant
from cmlab.teacher import OracleTeacher, SampleTeacher

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
# Here are three samplers with four calls each, in one dimension, where the exact paths are known (grey bands). The noise level falls from left to right, and the position is divided by its standard deviation at each level.
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
# Take the ring of eight modes, and 4096 draws of noise at σ = 10. One may ask two different questions:
#
# - *Whose sample is it?* We measure the distance to the point where the exact path from the same noise ends.
# - *Is it like the data?* We measure the sliced Wasserstein distance W₂ to fresh data, which ignores the noise from which a sample came. Even two independent sets of real data are a positive distance apart; we call this distance the floor.

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
# So for an exact f, more stochastic steps neither improve nor degrade the distribution. They can help only where f has errors.
#
# ### A jump is not a small step
#
# In PCM the network is used like a denoiser: the jump from t to s is a DDIM step, along a line. But its output should not be E[x | x_t]; it should make the *line* end on the path. (An estimate of x and one of the noise z determine each other; the formulas are shorter for z.) With $x_t = \alpha_t x + \sigma_t z$ and the estimate $\hat\varepsilon$ of the noise z the line is
#
# $$x_s = \frac{\alpha_s}{\alpha_t}\bigl(x_t - \sigma_t\, \hat\varepsilon\bigr) + \sigma_s\, \hat\varepsilon .$$
#
# For data $\mathcal N(0, S^2)$ with S = ½, and TrigFlow's times with unit noise (lab 10), where the formulas are short, all of this has a closed form: $x_s = \sqrt{v_s / v_t}\; x_t$, with the variance $v_t = \cos^2 t\, S^2 + \sin^2 t$ of $x_t$. Both estimates, that of the exact jump and that of the score, are multiples of $x_t$. The score gives $\hat\varepsilon = \mathrm E[z \mid x_t] = (\sin t / v_t)\, x_t$; for s = 0 the line has to end at $\sqrt{v_0/v_t}\, x_t$, which needs $\hat\varepsilon = \bigl(1 - \cos t\, \sqrt{v_0 / v_t}\bigr) x_t / \sin t$:

# %% tags=["hide-input", "nbval-check-output"]
S, process = 0.5, TrigFlow(1.0)
v = lambda t: (t.cos() * S) ** 2 + t.sin() ** 2
t = torch.tensor([1.5, 0.5], dtype=torch.float64)
jump = S / v(t).sqrt()
student = process.noise(torch.ones(2, 1).double(), jump[:, None], t)[:, 0]
for row in zip(t, jump, student, t.sin() / v(t), strict=True):
    print("from t = {:.1f} to 0: the exact jump ends at {:.6f} x_t and needs ε̂ = {:.6f} x_t; the score gives {:.6f} x_t".format(*row))
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
# In the paper the noise has the scale $\sqrt{\tau^2 - \sigma_{\min}^2}$; the scale τ is that of ECT's code, which we follow here. You will write this sampler in exercise A.
#
# ### Phased consistency models
#
# A consistency model on each of several segments of the path was proposed by Heek, Hoogeboom & Salimans 2024 (*Multistep Consistency Models*, [arXiv:2403.06807](https://arxiv.org/abs/2403.06807)); PCM came two months later, for latents and with the loss below. Edges $s_0 < s_1 < \dots < s_M$ are taken from the grid of the solver. A time t between two edges belongs to the phase between them, and the model jumps to the edge *below* t. A time on an edge belongs to the phase below it, and is the top of that phase.
#
# $$\mathcal L = \lambda\, \rho\bigl(X_\theta(x_t, t \to s),\; X_{\theta^-}(\hat x_r, r \to s)\bigr), \qquad s = \text{the edge below } t .$$
#
# Here ρ is a distance and λ a weight. $X_\theta(x_t, t \to s)$ is the point at s where the jump along the line of $f_\theta$ lands. And $\hat x_r$ is the point that the teacher's solver reaches from $x_t$ (in the paper k steps of the grid lower, here one), and θ⁻ = θ, as in the authors' code. Three points matter:
#
# - **Both branches jump to the same edge**, the edge below t. If r is that edge, the second jump is the identity, and the target is the teacher's step itself. No boundary condition has to be built in for this.
# - **The network is not given s.** Each t has one edge, so t is enough. (Consistency trajectory models, [Kim et al. 2023](https://arxiv.org/abs/2310.02279), give it s and can jump to any s.)
# - **With one phase, down to 0,** the jump is f, and the loss is that of consistency distillation.

# %%
show_source(Phases.floor)

# %%
show_source(PCM.loss)

# %%
show_source(jumps)

# %% [markdown]
# `jumps` is the sampler of both papers. With `keep = 1` the noise is left unchanged (phased jumps, DDIM), and with `keep = 0` it is drawn anew, as in `multistep`. The stochastic sampler reported for PCM lies in between: a share of the noise is drawn anew.
#
# ### Identities, on the same random draws

# %% tags=["nbval-check-output"]
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
# Plan a sampler: choose the function, the number of calls and their noise levels. The plan is on the left: solid arrows are calls, and dotted lines are fresh noise. On the right you see, as before, where the samples end.
# *Even shares* cuts the grid of the solver into equal parts; with *the sliders* you set each level yourself (the first call is always at σ = 10). Click a slider and use the arrow keys.
#
# Four things to try:
#
# - Give the bad network more calls. Do its samples get better, and in which respect?
# - Compare "phased, exact" with "DDIM, exact denoiser" at 2 calls.
# - Call the network with 4 phases 3 times, then 8 times. Why does it need exactly 4 calls?
# - For the good network choose the levels yourself. Can two calls do what eight do?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# These are recorded runs on the ring, with the exact teacher, Heun's steps on a grid of 64 levels, 4000 training steps of 256 samples, and three seeds. The network with one phase is a consistency model; we call it the **good f**. The **bad f** is the same network trained for a tenth of the steps.
# Three other networks have 2, 4 and 8 phases, and each is called once per phase. Everything else is the same.

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
better = compare_seeds(curves["sw"]["bad f"][:, 3], curves["sw"]["bad f"][:, 0]) == "lower"
titles = ("Phased jumps stay near the exact end;\nfresh noise does not", f"At even shares, fresh noise\n{'improves' if better else 'does not improve'} the bad f")
scores_by_calls(
    dict(zip(titles, curves.values(), strict=True)), ("mean distance to the exact end", "sliced $W_2$ to fresh data"), (0.0, floor),
    ({"exact f*": 1.2, "good f": 0.92, "bad f": 0.7}, {"phased": 1.08, "good f": 0.99, "exact f*": 0.9}),
)

# %% tags=["hide-input"]
four, one_ = (runs[name].score("end").mean() for name in ("m4", "m1"))
mends = [row(name, 0, "sw").mean(0) for name in ("bad", "m1")]
print(f"Whose sample: the network of 4 phases ends {one_ / four:.1f} times closer to the exact end than that of one phase. With 4 stochastic calls the latter ends {row('m1', 0, 'end')[:, 2].mean() / one_:.0f} times farther away than with one.")
print(f"Like the data, sliced W₂: the bad f goes from {mends[0][0]:.3f} with 1 call to {mends[0][3]:.3f} with 8, the good f from {mends[1][0]:.3f} to {mends[1][3]:.3f}.")
print(f"The exact f* has {exact['re-noise, f*'][0]['sw']:.3f} with 1 call and {exact['re-noise, f*'][3]['sw']:.3f} with 8; the floor is {floor:.3f} ({min(floors):.3f} to {max(floors):.3f} for ten sets of data).")

# %% [markdown]
# The curves *exact f\**, *good f* and *bad f* use fresh noise. *DDIM* uses the exact denoiser, and *phased* stands for the four trained networks. Exact phased jumps, and one call of f\*, have distance 0 in the left panel and cannot be drawn there.
#
# ### In numbers
#
# The table gives means over the seeds (lowest to highest).

# %% tags=["hide-input"]
table = ["| | calls | distance to the exact end | same mode | sliced W₂ |", "|---" * 5 + "|"]
for n in CALLS:
    found = runs[f"m{n}"]
    cells = [ranged(found.score(score), form) for score, form in (("end", ".3f"), ("same", ".1%"), ("sw", ".3f"))]
    table.append(f"| **phased**, {n} phase{'s' * (n > 1)} | {n} | " + " | ".join(cells) + " |")
for name, words in (("m1", "good f, fresh noise"), ("bad", "bad f, fresh noise")):
    for i, n in enumerate(CALLS):
        cells = [ranged(row(name, 0, score)[:, i], form) for score, form in (("end", ".3f"), ("same", ".1%"), ("sw", ".3f"))]
        table.append(f"| {words} | {n} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# Why do 4 and 8 phases not do better than 2? With more phases each jump is easier, but there are more of them, and the same network has to learn them all in the same number of training steps. This experiment does not separate the two effects.
#
# ### Outside its own plan
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
# ### The middle level
#
# With two calls of a consistency model there is one number to choose, the middle level. Song et al. find it by ternary search, on the assumption that the score falls and then rises. Here the score is the sliced W₂ for fixed noise. Open marks show the levels that the search tried, and the triangle is its answer.

# %% tags=["hide-input"]
nets = {"good f": restored_network("m1", runs["m1"]["weights"][0]), "bad f": restored_network("bad", runs["bad"]["weights"][0])}


def two_calls(denoise, level):
    with seeded(torch.device("cpu"), 7), torch.no_grad():
        *_, x = multistep(VarianceExploding(), denoise, top * ends.z, torch.tensor([top, level]))
    return against(ring, x, ends)["sw"]


grid = torch.logspace(-1.7, 0.85, 30).tolist()
scores = {name: [two_calls(net, level) for level in grid] for name, net in nets.items()}
asked = {name: [] for name in nets}
best = {}
for name, net in nets.items():
    score = lambda level, net=net, seen=asked[name]: seen.append((level, two_calls(net, level))) or seen[-1][1]
    best[name] = ternary(score, 0.02, 7.0, 8)
    asked[name].append((best[name], two_calls(net, best[name])))
intermediate_level(grid, scores, asked, f"The search ends at {best['good f']:.2f} for the good f and at {best['bad f']:.2f} for the bad f")

# %% tags=["hide-input"]
for name, net in nets.items():
    least = min(scores[name])
    print(f"{name}: one call {score_ends(net, VarianceExploding(), ring, keep, 1)['sw']:.4f}; two calls with the level found by the search {asked[name][-1][1]:.4f}; two calls with the best of 30 levels, {grid[scores[name].index(least)]:.2f}: {least:.4f}.")

# %% [markdown]
# Look at the curve before you trust a search: if it has several dips, a ternary search may keep the wrong one.
# The smallest of 30 scores is too favourable an estimate when it is measured on the same draws of noise by which it was chosen: for the good f this score and that of the search both lie below the mean floor, an effect of the choice.
#
# How much can the best middle level gain? The second call makes the error of f at that level. The next cell prints the distance of each network from f\* at several noise levels:

# %% tags=["hide-input"]
points = truth(ring)
some = [int((points.levels - level).abs().argmin()) for level in (0.05, 0.2, 0.5, 1, 2, 5, 10)]
print("noise level  " + "".join(f"{points.levels[i]:8.2f}" for i in some))
for name, net in nets.items():
    off = rmse_by_level(net, VarianceExploding(), points)
    print(f"{name}       " + "".join(f"{off[i]:8.3f}" for i in some))

# %% [markdown]
# If the error at the middle levels is about as large as at the top, there is no reason to expect more of a second call than another sample; more calls can be expected to help a model whose errors grow strongly with the noise level. (This is a rule of thumb: the distance from f\* is about single samples, and W₂ about the distribution, in which a common shift counts for more than an equal scatter.) These two are no such models: from σ = 0.54 to 10 both rows are nearly flat. Below that the errors are smaller, but noise as weak as that hardly moves a sample, and both curves stay near the score of one call. The search gains little: the bad f improves by 6 %, and the good f is at the floor already.
#
# ### The critic
#
# PCM has a second term. Both jumps are noised again, to a level inside the phase, and a critic learns to distinguish those of the student (fake) from those of the target (real). Its real samples come from the *target*, not from the data. Where student and target agree, the critic has nothing to distinguish and does not pull; a critic trained on real data would pull the student off its path even then.
# One recorded variant adds this term to the network of 4 phases, with weight 0.1 and a small critic network. The authors' code also uses a weight of 0.1, but the effect of this weight depends on the size of the other term. In their code the distance is a mean over the components of a sample and has weight 1. Here the distance is a single norm, with the weight $1/(t-r)$, which on these 64 levels goes from 1.3 to 1690; the adversarial term has no such weight. The critic therefore has less influence here, above all at small noise levels.

# %% tags=["hide-input"]
if "m4-critic" in runs:
    for score, words in (("end", "distance to the exact end"), ("sw", "sliced W₂")):
        print(f"{words}: {ranged(runs['m4-critic'].score(score))} with the critic, {ranged(runs['m4'].score(score))} without it")
else:
    print("not recorded yet: cmlab record phases m4-critic")

# %% [markdown]
# ### On digits
#
# Now we use the preset `digits.pcm`, here with 1500 steps: 600 steps train a denoiser, which then teaches a student of four phases for 900 steps. There is no exact path to compare with, so we report the Fréchet distance for each number of calls: for the student's jumps, for the student with fresh noise between its calls, and for DDIM with its teacher. With fresh noise each call has to lead to the data, and with fewer than four calls each jump crosses an edge: both use the student outside its own plan, and a consistency model with one phase, which would be the fair rival, is not recorded.

# %% tags=["hide-input"]
digit_runs = recorded_variants("phased-digits")
if "pcm" in digit_runs:
    fd = digit_runs["pcm"]["fd"]
    lines = ["| Fréchet distance | 1 call | 2 calls | 4 calls |", "|---" * 4 + "|"]
    for way, words in enumerate(("student, jumps", "student, fresh noise", "teacher, DDIM")):
        lines.append(f"| {words} | " + " | ".join(ranged(fd[:, way, i], ".1f") for i in range(3)) + " |")
    shown = Markdown("\n".join(lines))
else:
    shown = "not recorded yet: cmlab record phased-digits pcm"
shown

# %% tags=["hide-input"]
digit_rows(digit_runs["pcm"].arrays["pictures"][0], "Each column starts from one noise: four jumps do better than one") if "pcm" in digit_runs else "not recorded yet"

# %% [markdown]
# With one call most of the digits can be recognised, but they are grey, and more alike than real ones: over the twenty recorded pictures of a seed, a pixel has a standard deviation of about 0.28 with one call, and of 0.43 with four jumps. The Fréchet distance counts such a lack of contrast and variety.
#
# ## Exercises
#
# ### A · guided: several calls
#
# Write the multistep sampler. `f(x, level)` is a consistency function, `x_T` (n, dim) is the noisy start at `levels[0]`, and `levels` descend, as in [9, 4, 1.5, 0.3]. Data are noised as x + σ z.
# Before you run the check: how many times is noise added, for four calls?

# %% tags=["exercise"]
def several_calls(f, x_T, levels):
    """Samples (n, dim) after one call of f at each level."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.multistep(several_calls)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The first call needs no noise, since `x_T` is already at its level. `torch.randn_like` draws noise. f answers with a *clean* sample, so what scale must the noise have to bring it to level τ?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def several_calls(f, x_T, levels):
#     x = f(x_T, levels[0])
#     for level in levels[1:]:
#         x = f(x + level * torch.randn_like(x), level)
#     return x
# ```
#
# In Algorithm 1 of the paper the noise has scale √(τ² − σ_min²), since its samples end at σ_min = 0.002 and not at 0. At τ = 0.3 this is a relative difference of 2 in 100 000.
#
# </details>

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
# A score that is measured from samples is noisy. Fix the noise with a seed; otherwise the last rounds merely compare random fluctuations.
#
# Where a curve has several dips, scan a coarse grid of levels first, and search in the best third only.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over three seeds, with the lowest and the highest; a claim counts as *confirmed here* only if the ranges do not overlap.

# %% tags=["hide-input"]
score = {name: runs[name].score("end") for name in ("m1", "m2", "m4", "m8")}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
half = "confirmed here; the distance is " + ("at most half of that with one phase" if score["m4"].mean() <= score["m1"].mean() / 2 else "more than half of that with one phase")
rows.append(f"| phases bring the sample closer to that of the ODE (PCM) | distance to the exact end, 1, 2, 4, 8 phases: {', '.join(ranged(v) for v in score.values())} | {half if score['m4'].max() < score['m1'].min() else 'not seen at this scale'} |")
rows.append("| *our question:* each doubling of the phases brings it closer | distance to the exact end: {} | {} |".format(*compare_variants({"8 phases": score["m8"], "4 phases": score["m4"]}, "8 phases", "4 phases")))
drift = [ranged(row("m1", 0, "same")[:, i], ".0%") for i in (1, 2, 3)]
near, far = row("m1", 0, "same")[:, 0], row("m1", 0, "same")[:, 1:]
rows.append(f"| stochastic multistep sampling drifts away from the ODE (PCM) | in the mode of the exact end after 2, 4, 8 calls: {', '.join(drift)}; after one call {ranged(row('m1', 0, 'same')[:, 0], '.0%')} | {'confirmed here' if far.max() < near.min() else 'not seen at this scale'} |")
agree = [ranged(runs[f'm{n}'].score('same'), '.1%') for n in (2, 4, 8)]
kept_modes = min(runs[f"m{n}"].score("same").min() for n in (2, 4, 8))
rows.append(f"| phased sampling does not drift (PCM) | the same with 2, 4, 8 phases: {', '.join(agree)} | {'confirmed here' if kept_modes >= near.min() else 'partly'} |")
stochastic = {name: row(variant, 0, "sw") for name, variant in (("good f", "m1"), ("bad f", "bad"))}
by_calls = {f"{name}, {n} call{'s' * (n > 1)}": values[:, i] for name, values in stochastic.items() for i, n in enumerate(CALLS)}
rows.append("| more stochastic calls, at even shares of the grid, improve the samples (Song et al.; bad f) | sliced W₂: {} | {} |".format(*compare_variants(by_calls, "bad f, 8 calls", "bad f, 1 call")))
rows.append("| more stochastic calls, at even shares of the grid, improve the samples (good f) | sliced W₂: {} | {} |".format(*compare_variants(by_calls, "good f, 8 calls", "good f, 1 call")))
at_4 = {"4 phases": runs["m4"].score("sw"), "4 stochastic calls": by_calls["good f, 4 calls"]}
rows.append("| *our question:* at 4 calls phases have the better distribution | sliced W₂: {} | {} |".format(*compare_variants(at_4, "4 phases", "4 stochastic calls")))

# %% tags=["hide-input"]
if "m4-critic" in runs:
    found = {"with the critic": runs["m4-critic"].score("sw"), "without it": runs["m4"].score("sw")}
    rows.append("| the adversarial term improves the samples (PCM; 4 phases, ring) | sliced W₂: {} | {} |".format(*compare_variants(found, "with the critic", "without it")))
if "pcm" in digit_runs:
    fd = digit_runs["pcm"]["fd"]
    found = {"student": fd[:, 0, 2], "teacher": fd[:, 2, 2], "fresh noise": fd[:, 1, 2]}
    rows.append("| *our question:* digits, 4 calls: the student, trained for 900 steps more, beats DDIM with its teacher | Fréchet distance: {} | {} |".format(*compare_variants(found, "student", "teacher")))
    rows.append("| *our question:* digits, 4 calls: the phased student's jumps beat fresh noise, for which it was not made | Fréchet distance: {} | {} |".format(*compare_variants(found | {"jumps": found["student"]}, "jumps", "fresh noise")))
Markdown("\n".join(rows))

# %% [markdown]
# The rows at even shares do not test what Song et al. do, who choose the levels by a search; the search above was made for one seed only, and scored on the draws that chose the level. What the teacher of digits reaches with many calls was not recorded.
#
# ## Budget

# %% tags=["hide-input"]
kept = [*runs.values(), *digit_runs.values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in kept)
seconds = sum(sum(run.record["seconds"]) for run in kept)
spaced = lambda n: f"{n:,}".replace(",", " ")
print(f"In this notebook: no training; {spaced(sum(CALLS) * 3 * 4096)} calls of exact functions and denoisers, {spaced(4096 * 2 * 94)} of small networks.")
print(f"Recorded: {len(kept)} variants with three seeds each; {spaced(seen)} samples, pre-training included.")
print(f"They trained for {seconds:.0f} s on a machine that was also doing other work.")

# %% [markdown]
# When do more steps help? The exact denoiser gained with every doubling. A phased network gains up to its own number of calls. A consistency model can be expected to gain if its error is clearly smaller than at the top at some level that is still high enough to move a sample; an exact one never does. With an exact f, fresh noise between the calls preserves the distribution but leads away from the exact end, whereas phased jumps stay on the path; trained ones stayed close to it.
#
# **Next:** lab 12 moves from pixels and points to latents, and deals with their outliers.
