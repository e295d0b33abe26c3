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
# | You need | the probability flow and its steps (lab 01), the consistency function (lab 02), distillation (lab 04) |
#
# After this lab you can
#
# 1. **write** the multistep sampler, and say which promise it keeps and which it breaks;
# 2. **explain** how phases let a model of several calls keep the answer of the ODE, and **trace** both branches of PCM's loss to one edge;
# 3. **choose** noise levels for a given number of calls, by a search.
#
# Nothing is trained while you wait. The exact samplers are computed here; the trained ones are recordings, three seeds each.

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
# ## Predict
#
# A consistency model jumps from noise to data in one call. For better samples, Song et al. call it again: add fresh noise to the sample, less than before, and jump again.

# %%
predict("11.1")

# %% [markdown]
# ## The exact object
#
# ### Three ways down
#
# Three samplers, four calls each, on the line, where the exact paths are known (grey bands). The noise level falls from left to right.
#
# - **Jump and re-noise**: a consistency function jumps to the data. Fresh noise leads up again, less far each time.
# - **Phased jumps**: the way down is cut into phases by *edges*. The exact jump ends at the next edge, on the same path. The last edge is the data.
# - **DDIM**: the denoiser's estimate gives a line, and the sample slides along it to the next level.

# %%
law = Bumps().oracle
x_T = 10 * torch.tensor([[-1.1], [-0.25], [0.1], [0.9]], dtype=torch.float64)
levels = [10.0, 3.0, 0.8, 0.2]
z = torch.randn(3, 4, 1, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
whole, parts = Phases((0.0, 10.0)), Phases((0.0, *levels[::-1]))
panels = {
    "Jump and re-noise: other paths": (
        by_renoising(ExactJumps(law, whole), x_T, levels, z),
        STUDENT,
    ),
    "Phased: from edge to edge": (
        by_transport(ExactJumps(law, parts), x_T, [*levels, 0.0]),
        EXTRA,
    ),
    "DDIM: lines that leave the path": (by_transport(law.denoise, x_T, [*levels, 0.0]), TEACHER),
}
routes(law, x_T, panels)

# %% [markdown]
# Exact phased jumps *compose*: from t to s and from s to u is from t to u. However many edges you set, they end where one jump ends. This is what "keeping the ODE's answer" means.
#
# ### What each promises
#
# Now on the ring of eight modes, from 4096 noises at σ = 10. Two different questions:
#
# - *Whose* sample is it? The distance to where the exact path from the same noise ends.
# - *Is it like the data?* The sliced Wasserstein distance to fresh data, which does not ask whose noise it was. Two clouds of real data are not at 0 either: that is the floor.

# %% tags=["hide-input"]
ring, top = toy.RING, toy.SIGMA_MAX
keep, renoise = PhasedSteps(toy.GRID, 64), PhasedSteps(toy.GRID, 64, keep=0.0)
f_exact = ExactJumps(ring.oracle, Phases((0.0, top + 1e-6)))
ends = exact_ends(ring, top)
floor = against(ring, exact_ends(ring, top, seed=1).fresh, ends)["sw"]
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
print(f"floor of sliced W₂: {floor:.2f}")

# %% [markdown]
# - **f\* with fresh noise** has the data's law after any number of calls. But after 8 calls its sample has nothing to do with the noise that it came from: the share in the same mode is that of guessing among eight.
# - **Exact phased jumps** give the ODE's sample, for any number of calls.
# - **DDIM** with the exact denoiser gets there by making its steps small.
#
# So for an exact f more stochastic steps never hurt the law, and never help it. They can help only where f has errors.
#
# ### A jump is not a small step
#
# In PCM the network looks like a denoiser: the jump from t to s is a DDIM step, along a line. Yet it must not answer with E[x | x_t]. It must answer with whatever makes the *line* end on the path:
#
# $$x_s = \frac{\alpha_s}{\alpha_t}\bigl(x_t - \sigma_t\, \hat\varepsilon\bigr) + \sigma_s\, \hat\varepsilon .$$
#
# For data $\mathcal N(0, S^2)$ with S = ½, in TrigFlow's clock with unit noise, all of it has a closed form: $x_s = \sqrt{v_s / v_t}\; x_t$ with $v_t = \cos^2 t\, S^2 + \sin^2 t$. Both answers are a number times $x_t$:

# %% tags=["hide-input", "nbval-check-output"]
S, clock = 0.5, TrigFlow(1.0)
v = lambda t: (t.cos() * S) ** 2 + t.sin() ** 2
t = torch.tensor([1.5, 0.5], dtype=torch.float64)
jump = S / v(t).sqrt()
student = clock.noise(torch.ones(2, 1).double(), jump[:, None], t)[:, 0]
for row in zip(t, jump, student, t.sin() / v(t), strict=True):
    print("from t = {:.1f} to 0: the exact jump is {:.6f} x_t, by ε̂ = {:.6f} x_t; the score's is {:.6f} x_t".format(*row))
teacher = lambda x_t, t: (t.cos() * S**2 / v(t))[:, None] * x_t
one = torch.ones(1, 1).double()
reached = [[*jumps(clock, teacher, one, torch.linspace(1.5, 0, n + 1).double())][-1].item() for n in (1, 2, 4, 8, 16, 32)]
print("DDIM from t = 1.5 in 1, 2, 4 … 32 calls: " + ", ".join(f"{x:.4f}" for x in reached) + f" (exact {jump[0]:.4f})")

# %% [markdown]
# ## The method, from its source
#
# ### Multistep sampling (Song et al., Algorithm 1)
#
# $$x \leftarrow f(x_T, T), \qquad \text{for } \tau_2 > \tau_3 > \dots: \quad \hat x \leftarrow x + \tau z, \quad x \leftarrow f(\hat x, \tau).$$
#
# In the paper the noise has the scale $\sqrt{\tau^2 - \sigma_{\min}^2}$; τ is that of ECT's code, followed here.

# %%
show_source(multistep)

# %% [markdown]
# ### Phased consistency models
#
# Edges $s_0 < s_1 < \dots < s_M$ are taken from the solver's grid. A time t between two edges belongs to the phase between them, and the model jumps to the edge *below*. A time on an edge is the top of the phase below it.
#
# $$\mathcal L = \lambda\, d\bigl(F_\theta(x_t, t, s),\; F_{\theta^-}(\hat x_r, r, s)\bigr), \qquad s = \text{the edge below } t,$$
#
# where $F_\theta(x_t, t, s)$ is the jump along the line of $f_\theta$, and $\hat x_r$ one solver step of the teacher below $x_t$. Three points decide:
#
# - **Both branches jump to the same edge**, the edge of the *start* t. If r is that edge, the second jump is the identity, and the target is the teacher's step itself. No boundary has to be built in for it.
# - **The network is not told s.** Each t has one edge, so t is enough.
# - **Down to 0 with one phase** the jump is f, and the loss is consistency distillation.

# %%
show_source(Phases.floor)

# %%
show_source(PCM.loss)

# %%
show_source(jumps)

# %% [markdown]
# `jumps` is the sampler of both papers: with `keep = 1` the noise stays what it was (phased, DDIM), with `keep = 0` it is drawn anew, which is `multistep`. In between lies PCM's stochastic sampler, as reported: a share of the noise is drawn anew.
#
# ### Identities, on the same draws

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
# Plan a sampler: what answers, how many calls, at which noise levels. Left, the plan: solid arrows are calls, dotted ones fresh noise. Right, black dots are exact ends, the marks are where you end, and a stroke joins the two for 60 of them.
# Even shares cut the solver's grid; with *the sliders* you set each level yourself (σ of the first call is 10). Click a slider and use the arrow keys.
#
# Four things to try. Give the bad network more calls: does it get better, and at what? Compare "phased, exact" with "DDIM, exact denoiser" at 2 calls. Give the network of 4 phases 3 calls, then 8: why does it want exactly 4? For the good network choose the levels yourself: can two calls do what eight do?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# Recorded runs of the study `phases`: the ring, the exact teacher, Heun's steps, 4000 steps of 256 samples, three seeds. `m1` has one phase: it is a consistency model, and here it is the **good f**. The **bad f** is the same with a tenth of the steps.
# `m2`, `m4`, `m8` have 2, 4, 8 phases; each is called once a phase. All else is equal.

# %% tags=["hide-input"]
runs = recorded_variants("phases")
SCORE = {"end": 0, "rms": 1, "same": 2, "sw": 3}
row = lambda arm, way, score: runs[arm]["ends"][:, way, :, SCORE[score]]  # (seeds, calls); way 0 re-noises
curves = {}
for score in ("end", "sw"):
    own = torch.tensor([[runs[f"m{n}"].record["scores"][seed][score] for n in CALLS] for seed in range(3)]).numpy()
    curves[score] = {"bad f": row("bad", 0, score), "good f": row("m1", 0, score)}
    curves[score] |= {"exact f*": torch.tensor([[found[score] for found in exact["re-noise, f*"]]]).numpy()}
    curves[score] |= {"DDIM": torch.tensor([[found[score] for found in exact["DDIM, D"]]]).numpy(), "phased": own}
mended = compare_seeds(curves["sw"]["bad f"][:, 3], curves["sw"]["bad f"][:, 0]) == "lower"
titles = ("Whose sample? Phases keep it, noise loses it", f"Like the data? More noise {'mends' if mended else 'does not mend'} a bad f")
scores_by_calls(
    dict(zip(titles, curves.values(), strict=True)), ("mean distance to the exact end", "sliced $W_2$ to fresh data"), (0.0, floor),
    ({"exact f*": 1.2, "good f": 0.92, "bad f": 0.7}, {"phased": 1.08, "good f": 0.99, "exact f*": 0.9}),
)

# %% tags=["hide-input"]
four, one_ = (runs[arm].score("end").mean() for arm in ("m4", "m1"))
mends = [row(arm, 0, "sw").mean(0) for arm in ("bad", "m1")]
print(f"Whose: 4 phases end {one_ / four:.1f} times nearer to the exact end than one phase; 4 stochastic calls end {row('m1', 0, 'end')[:, 2].mean() / one_:.0f} times farther.")
print(f"Law, bad f: from {mends[0][0]:.3f} with 1 call to {mends[0][3]:.3f} with 8; good f: from {mends[1][0]:.3f} to {mends[1][3]:.3f}.")
print(f"Law, exact f*: {exact['re-noise, f*'][0]['sw']:.3f} with 1 call, {exact['re-noise, f*'][3]['sw']:.3f} with 8; the floor is {floor:.3f}.")

# %% [markdown]
# The curves *exact f\**, *good f* and *bad f* re-noise. *DDIM* has the exact denoiser, *phased* the four trained networks. Exact phased jumps, and one call of f\*, are at 0 on the left and cannot be drawn there.
#
# ### In numbers
#
# Mean over the seeds, with the lowest and the highest.

# %% tags=["hide-input"]
table = ["| | calls | distance to the exact end | same mode | sliced W₂ |", "|---" * 5 + "|"]
for n in CALLS:
    found = runs[f"m{n}"]
    cells = [ranged(found.score(score), form) for score, form in (("end", ".3f"), ("same", ".1%"), ("sw", ".3f"))]
    table.append(f"| **phased**, {n} phase{'s' * (n > 1)} | {n} | " + " | ".join(cells) + " |")
for arm, words in (("m1", "good f, re-noised"), ("bad", "bad f, re-noised")):
    for i, n in enumerate(CALLS):
        cells = [ranged(row(arm, 0, score)[:, i], form) for score, form in (("end", ".3f"), ("same", ".1%"), ("sw", ".3f"))]
        table.append(f"| {words} | {n} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# ### Outside its own plan
#
# A network of M phases was trained for M calls at its own edges. What if you give it others? Rows: the network; columns: the calls, in even shares of the grid. Mean distance to the exact end, mean of the seeds.

# %% tags=["hide-input"]
table = ["| deterministic jumps | " + " | ".join(f"{n} call{'s' * (n > 1)}" for n in CALLS) + " |", "|---" * 5 + "|"]
for n in CALLS:
    cells = [f"{v:.3f}" for v in row(f"m{n}", 1, "end").mean(0)]
    cells[CALLS.index(n)] = f"**{cells[CALLS.index(n)]}**"
    table.append(f"| {n} phase{'s' * (n > 1)} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# On the diagonal each network does what it was trained for. Below it a network leaps over its own edges: its line does not lead that far. Above it the network is stopped halfway: its line is right at its end only, not in between.
#
# ### The middle level
#
# For two calls of a consistency model there is one number to choose: the middle level. Song et al. search for it by ternary search, on the assumption that the score falls and then rises. Here the score is the sliced W₂ on fixed noises. Open marks: where the search asked, the triangle is its answer.

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
intermediate_level(grid, scores, asked, f"Ternary search: {best['good f']:.2f} for the good f, {best['bad f']:.2f} for the bad one")

# %% tags=["hide-input"]
for name, net in nets.items():
    least = min(scores[name])
    print(f"{name}: one call {score_ends(net, VarianceExploding(), ring, keep, 1)['sw']:.4f}; two with the level of the search {asked[name][-1][1]:.4f}; two with the best of 30 levels, {grid[scores[name].index(least)]:.2f}: {least:.4f}.")

# %% [markdown]
# Look at the curves before you trust a search: where a curve has several dips, a ternary search may keep the wrong one. It needs one valley.
#
# Does the best middle level gain much? Compare it with the ends of the curve. A second call can only be as good as f is at the level where it stands. Here is how far each network is from f\*, by level:

# %% tags=["hide-input"]
points = truth(ring)
some = [int((points.levels - level).abs().argmin()) for level in (0.05, 0.2, 0.5, 1, 2, 5, 10)]
print("noise level  " + "".join(f"{points.levels[i]:8.2f}" for i in some))
for name, net in nets.items():
    off = rmse_by_level(net, VarianceExploding(), points)
    print(f"{name}       " + "".join(f"{off[i]:8.3f}" for i in some))

# %% [markdown]
# If the error at the middle levels is about that at the top, another call has no better answer to give, and only its fresh noise to add. More calls help a model whose errors grow steeply with the noise. Do these two?
#
# ### The critic
#
# PCM has a second term. Both jumps are noised again, to a level inside the phase, and a critic tells the student's (fake) from the target's (real). Its real side is the *target*, not data. Where student and target agree, the two are one, and the critic has no direction to pull: a critic of real data would pull the student off its path even then.
# `m4-critic` adds this term with w = 0.1, and its critic is a small network of its own. 0.1 is the number in the authors' code, but what a number weighs depends on what stands beside it. Their d is a mean over the numbers of a sample and has the weight 1. Here it is one norm, with the weight $1/(t-r)$, which on these 64 levels goes from 1.3 to 1690; the adversarial term has no such weight. So it has less to say here, above all at small noise.

# %% tags=["hide-input"]
if "m4-critic" in runs:
    for score, words in (("end", "distance to the exact end"), ("sw", "sliced W₂")):
        print(f"{words}: {ranged(runs['m4-critic'].score(score))} with the critic, {ranged(runs['m4'].score(score))} without")
else:
    print("not recorded yet: cmlab record phases m4-critic")

# %% [markdown]
# ### On digits
#
# The preset `digits.pcm`, here with 1500 steps: 600 train a denoiser; then it teaches a student of four phases for 900. There is no exact path to compare with. So: the Fréchet distance by the number of calls, for the student's jumps, for the student with fresh noise between its calls, and for its teacher's DDIM.

# %% tags=["hide-input"]
digit_runs = recorded_variants("phased-digits")
if "pcm" in digit_runs:
    fd = digit_runs["pcm"]["fd"]
    lines = ["| Fréchet distance | 1 call | 2 calls | 4 calls |", "|---" * 4 + "|"]
    for way, words in enumerate(("student, jumps", "student, re-noised", "teacher, DDIM")):
        lines.append(f"| {words} | " + " | ".join(ranged(fd[:, way, i], ".1f") for i in range(3)) + " |")
    shown = Markdown("\n".join(lines))
else:
    shown = "not recorded yet: cmlab record phased-digits pcm"
shown

# %% tags=["hide-input"]
digit_rows(digit_runs["pcm"].arrays["pictures"][0], "The same noise in each column, the first seed") if "pcm" in digit_runs else "not recorded yet"

# %% [markdown]
# ## Exercises
#
# ### A · guided: several calls
#
# Write the multistep sampler. `f(x, level)` is a consistency function, `x_T` (n, d) the noisy start at `levels[0]`, and `levels` falls, as in [9, 4, 1.5, 0.3]. Data are noised as x + σ z.
# Before you run the check: how many times is noise added, for four calls?


# %% tags=["exercise"]
def several_calls(f, x_T, levels):
    """Samples (n, d) after one call of f at each level."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.multistep(several_calls)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The first call needs no noise: `x_T` is at its level already. `torch.randn_like` draws. f answers with a *clean* sample, so what scale does the noise need that puts it at level τ?
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
# Algorithm 1 of the paper has noise of scale √(τ² − ε²), since its samples end at ε = 0.002 and not at 0. At τ = 0.3 that is a relative difference of 2 in 100 000.
#
# </details>

# %% [markdown]
# ### B · on your own: the middle level
#
# `score(t)` falls and then rises. Find the place of its least value between `low` and `high`: in each of `rounds` rounds ask at a third and at two thirds of the interval, and drop the third that cannot hold it. Return the middle of what is left.


# %% tags=["exercise"]
def search(score, low, high, rounds):
    """The place of the least score, a number."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.middle(search)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# If the left third scores less than the right one, the lowest place cannot lie beyond the right third. It may well lie to the left of the left one.
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
# A score that is measured from samples is noisy. Fix the noises, as the cell above does with a seed, or the last rounds compare chance.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest; *shows* needs ranges that do not overlap.

# %% tags=["hide-input"]
score = {arm: runs[arm].score("end") for arm in ("m1", "m2", "m4", "m8")}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
half = "shows; the bar of one half is " + ("met" if score["m4"].mean() <= score["m1"].mean() / 2 else "not met")
rows.append(f"| phases bring the sample nearer to the ODE's | distance to the exact end, 1, 2, 4, 8 phases: {', '.join(ranged(v) for v in score.values())} | {half if score['m4'].max() < score['m1'].min() else 'does not show'} |")
rows.append("| … and each doubling of phases brings it nearer | 4 against 8 phases: {} | {} |".format(*compare_variants(score, "m8", "m4")))
drift = [ranged(row("m1", 0, "same")[:, i], ".0%") for i in (1, 2, 3)]
near, far = row("m1", 0, "same")[:, 0], row("m1", 0, "same")[:, 1:]
rows.append(f"| stochastic multistep drifts away from the ODE | in the mode of the exact end after 2, 4, 8 calls: {', '.join(drift)}; after one call {ranged(row('m1', 0, 'same')[:, 0], '.0%')} | {'shows' if far.max() < near.min() else 'does not show'} |")
agree = [ranged(runs[f'm{n}'].score('same'), '.1%') for n in (2, 4, 8)]
kept_modes = min(runs[f"m{n}"].score("same").min() for n in (2, 4, 8))
rows.append(f"| phased sampling does not | the same with 2, 4, 8 phases: {', '.join(agree)} | {'shows' if kept_modes >= near.min() else 'shows in part'} |")
law_ = {name: row(arm, 0, "sw") for name, arm in (("good", "m1"), ("bad", "bad"))}
better = {f"{name}{n}": values[:, i] for name, values in law_.items() for i, n in enumerate(CALLS)}
rows.append("| more stochastic calls improve samples (bad f) | 8 calls against 1: {} | {} |".format(*compare_variants(better, "bad8", "bad1")))
rows.append("| more stochastic calls improve samples (good f) | 8 calls against 1: {} | {} |".format(*compare_variants(better, "good8", "good1")))
law_4 = {"4 phases": runs["m4"].score("sw"), "4 stochastic calls": better["good4"]}
rows.append("| at 4 calls phases have the better law | {} | {} |".format(*compare_variants(law_4, "4 phases", "4 stochastic calls")))

# %% tags=["hide-input"]
if "m4-critic" in runs:
    found = {arm: runs[arm].score("sw") for arm in ("m4", "m4-critic")}
    rows.append("| the adversarial term improves samples (4 phases, ring) | {} | {} |".format(*compare_variants(found, "m4-critic", "m4")))
if "pcm" in digit_runs:
    fd = digit_runs["pcm"]["fd"]
    found = {"student": fd[:, 0, 2], "teacher": fd[:, 2, 2], "stochastic": fd[:, 1, 2]}
    rows.append("| digits, 4 calls: the student beats its teacher's DDIM (Fréchet distance) | {} | {} |".format(*compare_variants(found, "student", "teacher")))
    rows.append("| digits, 4 calls: jumps beat fresh noise | {} | {} |".format(*compare_variants(found, "student", "stochastic")))
Markdown("\n".join(rows))

# %% [markdown]
# ## Budget

# %% tags=["hide-input"]
kept = [*runs.values(), *digit_runs.values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in kept)
seconds = sum(sum(run.record["seconds"]) for run in kept)
spaced = lambda n: f"{n:,}".replace(",", " ")
print(f"While you waited: no training; {spaced(sum(CALLS) * 3 * 4096)} calls of exact functions and denoisers, {spaced(4096 * 2 * 94)} of small networks.")
print(f"Recorded: {len(kept)} arms, three seeds each: {spaced(seen)} samples, pre-training included.")
print(f"They trained for {seconds:.0f} s on a machine that did other work too.")

# %% [markdown]
# Run All takes 25 seconds on 2 CPU cores.
#
# Three lines to take with you: fresh noise between calls keeps the law and loses the sample. Phases keep the sample, and each network wants its own number of calls. More stochastic calls cannot better an exact f; what they do for a bad one depends on where it is bad.
#
# **Next:** lab 12 leaves pixels and points for latents, and meets their outliers.
