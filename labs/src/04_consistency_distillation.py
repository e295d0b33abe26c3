# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Consistency distillation
#
# **How does a student follow a teacher's path?**
#
# | | |
# |---|---|
# | Paper | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Section 4 and Algorithm 2, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 45 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | the probability flow and its solvers (lab 01), f (lab 02), the boundary condition (lab 03) |
#
# After this lab you can
#
# 1. **predict** what a student of a given teacher, solver and grid will answer, before anything is trained;
# 2. **write** the distillation loss, and say which of its parts receive a gradient and which must not;
# 3. **judge** a grid of noise levels for a solver, and say which of two errors dominates on it.
#
# Nothing is trained while you read. The trained networks are recordings of three seeds each; the budget at the end says how they were made. In this lab and all later ones, final errors and samples are those of a running average of a network's weights, as is usual for generators;
# errors *during* training are those of the weights themselves.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.plots_line import slope
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab04_distillation import checks
from cmlab_labs.lab04_distillation.explorer import explorer
from cmlab_labs.lab04_distillation.figures import (
    compositions,
    error_panel,
    map_panel,
    noise_values,
    orders,
    teachers,
)
from cmlab_labs.registry import STUDIES
from IPython.display import Markdown

from cmlab.data.toy import Bumps
from cmlab.methods import CD
from cmlab.noise_levels import KarrasGrid
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun, ode

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# This is one training step, in slow motion. Move the slider *sub-step* from 1 to 5. Five things happen: a data point x receives noise and becomes the noisy point $x_t$; a **teacher**
# moves $x_t$ one solver step down, to $x_r$, near the path; the **student** answers at $x_t$ (its *online* answer); the same student answers at $x_r$ (the *target*); and the first answer is pulled towards the second. *Online* and *target* are two roles of one network.
#
# The grey lines are exact paths from noise (right) to data (left). The black one (from sub-step 2 on) is the path through $x_t$; the curved lines only join an input to the answer. The panel on the right shows the answers once more, magnified.

# %%
explorer().turn({"stage": 1}, hide=("points", "level", "draw", "solver", "teacher"))

# %% [markdown]
# ## Predict
#
# The teacher is a diffusion model. Ask it for the posterior mean D (lab 02), take a step with a solver to the next lower noise level, and ask again. On a grid of N noise levels, N − 1 such steps lead from noise to a sample.
# The student is trained on single steps: its answer before a step of the teacher should equal its answer after the step.

# %%
predict("04.1")

# %% [markdown]
# ## The exact object
#
# Let $\varepsilon = t_1 < t_2 < \dots < t_N = T$ be the noise levels of a grid. (Lab 01 wrote $\sigma_{\min}$ for ε and $\sigma_{\max}$ for T, and its N counted steps; here, as in this paper, N counts levels.) Write $S_n$ for the teacher's step from level $t_{n+1}$ down to $t_n$: it takes a point at the higher level and returns the point where the solver's step ends.
# A student f whose loss is 0 gives the same answer before and after each step, and by its construction (lab 03) it satisfies the boundary condition:
#
# $$f(x, t_{n+1}) = f\bigl(S_n(x), t_n\bigr) \quad\text{for all } n, \qquad f(x, \varepsilon) = x .$$
#
# Start at the highest level T and use the first equation again and again:
#
# $$f(x, T) = f\bigl(S_{N-1}(x), t_{N-1}\bigr) = f\bigl(S_{N-2}(S_{N-1}(x)), t_{N-2}\bigr) = \dots = S_1\bigl(S_2(\dots S_{N-1}(x))\bigr) .$$
#
# So we know the **ideal student** without any training: it is the teacher's whole walk. Below are the walks of an exact teacher, from 512 noise values at T = 10.
# The table shows the mean distance of their ends from the exact consistency function $f^*$. The data are the three modes of lab 01; each noise value is weighted by the share of ranks that it represents, so that the mean hardly depends on which 512 were drawn.

# %%
oracle, noise = Bumps().oracle, noise_values(Bumps())  # noise.x: 512 values at T = 10
GRID, GRIDS = KarrasGrid(0.002, 10.0), (5, 10, 20, 40, 80)
walks, ideal = {}, {}
for name, solver in {"Euler": ddim, "Heun": heun}.items():
    for n in GRIDS:
        levels = GRID.up(n).flip(0)  # from T down to ε
        *_, walks[name, n] = ode(VarianceExploding(), oracle.denoise, noise.x, levels, solver)
    ideal[name] = GRIDS, np.array([noise.mean_error(walks[name, n]) for n in GRIDS])

# %% tags=["hide-input"]
rows = ["| levels N | " + " | ".join(map(str, GRIDS)) + " | slope |", "|---" * 7 + "|"]
for name, (_, errors) in ideal.items():
    order = slope([n - 1 for n in GRIDS], errors)
    rows.append(f"| {name} | " + " | ".join(f"{e:.2g}" for e in errors) + f" | {order:.1f} |")
Markdown("\n".join(rows).replace("| -", "| −"))

# %% [markdown]
# The slope is fitted to the logarithms over the three finest grids. It is minus the **order** of the solver: with twice as many steps Euler's error is halved, and Heun's is divided by four.
# Theorem 1 of the paper says that a student inherits this order (if its loss is exactly 0 and it is nowhere steeper than some constant).
#
# Does a real network do what an ideal student would do? On the right is a network that was trained on Euler's steps over 5 levels.

# %%
shown = {"N = 5": walks["Euler", 5], "N = 20": walks["Euler", 20]}
mean = oracle.denoise(noise.x, torch.full((len(noise.x),), 10.0))
euler5 = torch.from_numpy(read("distil", "exact-euler-5")["cloud"][0])
compositions(noise, mean, shown, euler5)

# %% [markdown]
# The exact $f^*$ (black) has a cliff (lab 02) wherever a path that ends in one mode has a neighbour that ends in the next.
# Five levels smear these cliffs out, and the trained network has learned the smeared version. D is something else altogether: at t = 10 it is nearly the same number for all noise values.
#
# ## The method, from its source
#
# Besides the student, whose weights θ are trained, two other functions occur in this method, and they are easily confused. The **teacher**, with weights φ, comes from outside. It moves the point $x_t$ to $x_r$. The **target**, with weights θ⁻, is the student itself, treated as a
# constant. It gives the answer at $x_r$, the point at which the teacher's step ends.
#
# | Algorithm 2 | in words | in the code |
# |---|---|---|
# | $x \sim p_\text{data}$, $\;n \sim U\{1, \dots, N-1\}$, $\;z \sim N(0, I)$ | draw a data point, a pair of neighbouring levels (n uniformly), and noise | `x`, `self.pairs`: `t` is $t_{n+1}$ and `r` is $t_n$ |
# | $x_{t_{n+1}} = x + t_{n+1}\, z$ | add the noise | `x_t`, by `process.perturb` |
# | $\hat x_{t_n} = x_{t_{n+1}} + (t_n - t_{n+1})\, \Phi(x_{t_{n+1}}, t_{n+1}; \phi)$ | one step of the teacher; Φ is the slope that its solver uses | `x_r`, by `self.solver` and `self.teacher` |
# | $\lambda(t_n)\, d\bigl(f_\theta(x_{t_{n+1}}, t_{n+1}),\, f_{\theta^-}(\hat x_{t_n}, t_n)\bigr)$ | the distance d between the two answers, times a weight λ | `self.metric`, `self.weight` |
# | $\theta^- \leftarrow \text{stopgrad}(\mu\, \theta^- + (1 - \mu)\, \theta)$ | the target follows the student; μ = 0, the paper's choice for CIFAR-10, makes it the student itself (lab 06 asks what a larger μ does) | `self.target` |

# You will write this loss yourself in exercise A; the package's own version stands below it. The solvers are those of lab 01: Euler's step calls the teacher once, Heun's step calls it twice. We compare three teachers:
#
# | teacher | its answer at $x_t$ | in `cmlab/teacher.py` |
# |---|---|---|
# | exact | the posterior mean $D(x_t, t)$ | `OracleTeacher` |
# | learned | the output of a trained denoiser | `NetworkTeacher` |
# | one sample | the very x to which the noise was added | `SampleTeacher` |
#
# ## Explore
#
# Here is the slow motion again, with all controls. A circle marks where the exact path is at level r, and a triangle where the teacher's step ends.
#
# The student in this picture is not a network. It was made by hand to behave like a half-trained one: near the data it gives the exact $f^*$, at high noise still D, with the change at t = 0.7.
# The learned teacher is a denoiser recorded at a set of points; between them its error is interpolated.
#
# Three things to try:
#
# - Choose sub-step 2 and N = 80. Then go down to N = 20 and N = 5, then from Euler to Heun. What happens to the distance between triangle and circle?
# - Go to sub-step 5 with t = 8 and N = 80. How much can be learned from this step when the target is as wrong as the student's answer?
# - Choose *one sample* and try a few draws. Does $x_r$ stay near the path? (This is the teacher of lab 05.)

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - Near t = 2.6 (first draw) Euler's step misses the path by 0.22 at N = 5, 0.012 at N = 20, and 0.0006 at N = 80. Heun's step misses by 0.08 at N = 5.
# - Nearly nothing. For the first draw the two answers are 0.14 and 0.15, and the exact end is 1.31: both are still near D and agree on a wrong answer. What the student does not know yet has to come from lower levels.
# - No. At N = 5 it is off the path by more than 1, on either side, in some of the first eight draws. Only its mean is right, for short steps.
#
# </details>

# %% [markdown]
# ## The key figure
#
# On each grid, three students (one for each seed) were trained on the Heun steps of an exact teacher. All were trained equally long, for 3000 steps of 256 samples.
# The distance d is pseudo-Huber, $\sqrt{\lVert\cdot\rVert^2 + c^2} - c$ with c = 0.00054, which is practically the plain distance $\lVert\cdot\rVert$; the weight is λ = 1/(t − r), and low levels are drawn more often than high ones. Distance, weight and levels are those of iCT (lab 07).

# %%
predict("04.2")

# %% [markdown]
# Here is one student on each of three grids; the titles give the mean error at t = 10 over all three seeds. Colours and contours show $f_\theta - f^*$; the vertical axis is $x_t$ divided by its standard deviation. Black lines are exact paths, and the short strokes along the top mark the levels on which the student was trained.

# %%
runs = {n: read("distil", f"exact-heun-{n}") for n in (5, 20, 80)}
clouds = {n: torch.from_numpy(run["cloud"]) for n, run in runs.items()}
means = {n: noise.mean_error(cloud).mean() for n, cloud in clouds.items()}
titles = {n: f"N = {n}: mean error {error:.3f}" for n, error in means.items()}
map_panel(
    oracle,
    {titles[n]: run for n, run in runs.items()},
    {titles[n]: GRID.up(n) for n in runs},
)

# %% tags=["hide-input"]
worst = {}
for n in runs:
    gap = (clouds[n] - noise.ends).abs().squeeze(-1)
    worst[n] = 100 * float((gap.sort(1).values[:, -51:].sum(1) / gap.sum(1)).mean())
Markdown(f"""With N = 5 the student is wrong almost everywhere at t = 10: the worst tenth of the noise values accounts for {worst[5]:.0f} % of the error.
With N = 20 and 80 the worst tenth accounts for {worst[20]:.0f} % and {worst[80]:.0f} %: the remaining error lies at the cliffs.""")

# %% [markdown]
# ### Is a finer grid always better?
#
# Here are all five grids, and students of Euler's steps as well, trained just as long.

# %%
found = {}
for name in ideal:
    recordings = [read("distil", f"exact-{name.lower()}-{n}") for n in GRIDS]
    ends = [noise.mean_error(torch.from_numpy(run["cloud"])) for run in recordings]
    found[name] = GRIDS, np.stack(ends)
orders(ideal, found)

# %% tags=["hide-input"]
rows = ["| solver, levels | trained student: mean error at t = 10 | ideal student | distance between the two |", "|---" * 4 + "|"]
for name, (_, errors) in found.items():
    for n, row, best in zip(GRIDS, errors, ideal[name][1], strict=True):
        cloud = torch.from_numpy(read("distil", f"exact-{name.lower()}-{n}")["cloud"])
        apart = noise.mean_error(cloud, walks[name, n]).mean()
        rows.append(f"| {name}, N = {n} | {ranged(row)} | {best:.4f} | {apart:.3f} |")
Markdown("\n".join(rows))

# %% [markdown]
# Lines are ideal students, and markers are trained ones; bars, where they are visible, give the range of three seeds. As long as the solver's error is the larger one, the markers lie on the line or little above it: **the student is about as good as its teacher's solver**.
# Then the network's own error takes over, and more levels no longer help. With Heun's steps they even hurt a little: the range of the seeds at N = 80 lies above the range at N = 20.
# The last column is the network's own error, its distance from the ends of its teacher's steps. From N = 10 on it grows with N. The next figure shows how the errors fell during training, by training step (horizontally) and noise level (upwards), over three seeds.

# %%
error_panel({f"Heun, N = {n}": run for n, run in runs.items()})

# %% tags=["hide-input"]
settled = {}
for n in (20, 80):  # the first look at which the error was below 0.1, at three levels
    run = runs[n]
    at_t = [np.abs(run["levels"][0] - t).argmin() for t in (0.25, 0.7, 10.0)]
    over = np.sqrt((run["error"][..., at_t] ** 2).mean(0)) > 0.1
    settled[n] = ", ".join(str(step) for step in run["steps"][0][over.argmin(0)])
Markdown(f"""Near the data the answer is right from the start, by the boundary condition, and correct answers spread from there to higher noise: each level learns from the next lower one. At t = 0.25, 0.7 and 10 the error first falls below 0.1 (white line) at step {settled[20]} with N = 20, and {settled[80]} with N = 80. On both grids the error later exceeds 0.1 again at some levels.
So the finer grid takes one or two recordings (75 steps each) longer. Whether 3000 steps are too few for N = 80, or whether the small errors of its many levels add up, as in the sum of lab 03, cannot be told from these runs: longer training was not tried.""")

# %% [markdown]
# ### Three teachers
#
# The *learned* denoiser was trained on the same data, with as many samples as the student; its ideal student (thin dash-dotted line) ends a little way from the truth. With *one sample* the steps are
# wrong individually, and right on average, so the targets scatter, and the choice of d matters: these students were trained twice, with pseudo-Huber like all others and with the squared distance.

# %% tags=["hide-input"]
taught = {"exact": found["Heun"]}
for name, study, variant, grids in (
    ("learned", "distil", "learned-heun", (5, 20, 80)),
    ("one-sample", "distil", "sample-euler", GRIDS),
    ("one-sample, squared", "pairs", "shared", (5, 20, 80)),
):
    clouds_of = [torch.from_numpy(read(study, f"{variant}-{n}")["cloud"]) for n in grids]
    taught[name] = grids, np.stack([noise.mean_error(cloud) for cloud in clouds_of])
walked = torch.from_numpy(read("teacher", "denoiser")["walked"])  # (seeds, grids, n, 1)
own = {"exact": ideal["Heun"], "learned": (GRIDS, noise.mean_error(walked).T.numpy())}
teachers(taught, own)

# %% tags=["hide-input"]
rows = ["| learned teacher | error of the student | error of the teacher's steps | distance between the two |", "|---" * 4 + "|"]
for n, errors in zip(*taught["learned"], strict=True):
    cloud = torch.from_numpy(read("distil", f"learned-heun-{n}")["cloud"])
    mine = walked[:, GRIDS.index(n)]
    off = errors, noise.mean_error(mine), noise.mean_error(cloud, mine)
    rows.append(f"| N = {n} | " + " | ".join(map(ranged, off)) + " |")
folded("The learned teacher: errors of its students and of its own steps", "\n".join(rows))

# %% [markdown]
# With three seeds, the students of the learned and of the exact teacher are indistinguishable. With one sample the error is larger, and at N = 80 it depends strongly on d; lab 05 says why.

# %% [markdown]
# ## Exercises
#
# ### A · guided: the loss
#
# Write the loss of Algorithm 2 with Euler's step, the squared distance and weight 1. `f(x, level)` is the network, and `denoise(x, level)` is the teacher's D; both take levels of shape (b,).
# x and z have the shape (b, d), and t and r have the shape (b,), with r < t. The check looks at the values, at the gradient (through which answer does it flow?), and at the loss of the exact f, which is 0 when the teacher's steps stay on the path.


# %% tags=["exercise"]
def cd_loss(f, denoise, x, z, t, r):
    """The distillation loss of each sample, (b,)."""
    # 1. the noisy point
    # 2. where the teacher's step ends: at which point, and at which level, is D asked?
    # 3. two answers of f: which of them receives no gradient?
    # 4. one number for each sample
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.cd_loss(cd_loss)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The slope of Euler's step is $(x_t - D(x_t, t))/t$. `t[:, None]` has the shape (b, 1) and can multiply a batch of shape (b, d). `with torch.no_grad():` around a call makes its answer a plain number, through which no gradient flows; `.detach()` on the answer does the same.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def cd_loss(f, denoise, x, z, t, r):
#     """The distillation loss of each sample, (b,)."""
#     x_t = x + t[:, None] * z
#     x_r = x_t + ((r - t) / t)[:, None] * (x_t - denoise(x_t, t))
#     with torch.no_grad():
#         f_r = f(x_r, r)
#     return (f(x_t, t) - f_r).square().sum(1)
# ```
#
# </details>

# %% [markdown]
# This is the package's own version, to compare with yours. `rewind_rng`, which plays no role here, lets a network with dropout drop the same units in both calls.

# %%
show_source(CD.loss)

# %% [markdown]
# ### B · on your own: the ideal student of a given teacher
#
# *On paper first:* take Euler's step and the coarsest grid, the two levels ε and T. Up to a small term, this ideal student is a function that you know: which? What does this say about a student with too few levels?
#
# Then write the ideal student for any grid: what a network with loss 0 would answer to x. `levels` (N,) **increase** from ε to the level at which x lies, as in the paper;
# `denoise(x, level)` takes a number as level. Use Euler's step or Heun's, as you like: the check measures the order of your steps against $f^*$, and reports it.


# %% tags=["exercise"]
def ideal_student(x, levels, denoise):
    """What a perfect student of these steps answers to x (b, 1) at the last of the levels (N,)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.ideal_student(ideal_student)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Use $f(x, t_{n+1}) = f(S_n(x), t_n)$ from the highest level down, until f is asked at ε. There $f(x, \varepsilon) = x$.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def ideal_student(x, levels, denoise):
#     """What a perfect student of these steps answers to x (b, 1) at the last of the levels (N,)."""
#     down = levels.flip(0).tolist()
#     for t, r in zip(down[:-1], down[1:]):
#         x = x + (r - t) * (x - denoise(x, t)) / t
#     return x
# ```
#
# This is the loop of a sampler.
#
# On paper: one Euler step from T to ε ends at $x + (\varepsilon - T)\,(x - D)/T = D + \tfrac{\varepsilon}{T}\,(x - D)$. With two levels the ideal student is the denoiser D, up to a term of size ε/T. With more levels it moves from D towards $f^*$; the smeared cliffs of N = 5 are a stage on this way.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Errors are means over the 512 noise values at t = 10, from the recordings: the mean of three seeds (lowest to highest).

# %% tags=["hide-input"]
means = {name: found[name][1].mean(1) for name in found}
ratio = {name: means[name] / ideal[name][1] for name in found}  # 1: as good as its teacher's steps
holds = {name: max([n for n, q in zip(GRIDS, ratio[name], strict=True) if q < 1.25]) for name in found}
euler, heuns = found["Euler"][1], found["Heun"][1]
over = heuns[-1].min() > heuns[means["Heun"].argmin()].max()  # beyond the range of the seeds
ahead = [n for n, a, b in zip(GRIDS, heuns, euler, strict=True) if a.max() < b.min()]
finest = means["Heun"][-1] / means["Heun"].min()
from_D = noise.mean_error(euler5, mean).item()
from_walk = noise.mean_error(euler5, walks["Euler", 5]).item()

# %% tags=["hide-input"]
cost = {name: taught[name][1][-1] for name in taught}
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| a student's error has the order of its teacher's solver (Theorem 1) | ideal students: orders {-slope([n - 1 for n in GRIDS], ideal["Euler"][1]):.2f} (Euler) and {-slope([n - 1 for n in GRIDS], ideal["Heun"][1]):.2f} (Heun); trained ones stay within a quarter of these errors up to N = {holds["Euler"]} (Euler), N = {holds["Heun"]} (Heun) | confirmed here for the ideal student, and for the network as long as its own error is the smaller one |
| Heun's steps give better students than Euler's at equal N (Figure 3) | all three seeds are better at N = {", ".join(map(str, ahead))} (grids compared: N = {", ".join(map(str, GRIDS))}) | {"confirmed here" if len(ahead) == len(GRIDS) else "partly: not at N = " + ", ".join(str(n) for n in GRIDS if n not in ahead)} |
| once N is large enough, more levels change little (Figure 3) | Heun: {ranged(heuns[-1])} at N = 80 against {ranged(heuns[means["Heun"].argmin()])} at N = {GRIDS[means["Heun"].argmin()]} | {"partly: little change, but" if over else "confirmed here:"} the error at N = 80 is {finest:.1f} times the smallest{", beyond the range of the seeds" * bool(over)} |
| *not in the paper:* the student learns where the teacher's steps end, not what the teacher answers | Euler, N = 5, first seed: {from_walk:.3f} from the ends of the steps, {from_D:.2f} from D | confirmed here |
| a learned teacher is good enough (*the paper uses no other*) | Heun, N = 80: {ranged(cost["learned"])} with a learned teacher, {ranged(cost["exact"])} with the exact one | {"confirmed here, on the line, where the teacher's error is no larger than the network's own" if cost["learned"].mean() < 1.25 * cost["exact"].mean() else "partly: its own error is added"} |
| one sample can replace the teacher, for small steps (Theorem 2) | N = 80: {ranged(cost["one-sample"])} with pseudo-Huber, {ranged(cost["one-sample, squared"])} with the squared distance; N = 5: {ranged(taught["one-sample"][1][0])} and {ranged(taught["one-sample, squared"][1][0])} | partly: with the squared distance the error falls with N. The theorem asks for bounded second derivatives of d; those of pseudo-Huber reach 1/c. See lab 05 |
| LPIPS is the best distance (Figure 3) | needs pictures and a trained network that compares them | not run here |
""")

# %% [markdown]
# ### What to remember
#
# 1. A student ends where its teacher's steps end, not where the exact path ends. This ideal student can be computed before any training.
# 2. The order of the solver is the order of the student, as long as the network's own error is the smaller one.
# 3. Beyond that point more levels no longer help. For this network and 3000 steps the best of our five grids is N = 20 with Heun's steps, and the finest, N = 80, with Euler's.
#
# ## Budget

# %% tags=["hide-input"]
variants = STUDIES["distil"].variants
records = [read("distil", name).record for name in variants] + [read("teacher", "denoiser").record]
seen = sum(record["samples"] * len(record["seeds"]) for record in records)
before = sum(3 * records[0]["samples"] for name in variants if name.startswith("learned"))
seconds = sum(sum(record["seconds"]) for record in records)
print(f"The {len(records)} recordings of this lab, with three seeds each, used {seen / 1e6:.1f} million training samples;")
print(f"three further recordings come from lab 05. Training the learned teachers took another {before / 1e6:.1f} million.")
print(f"Training took {seconds:.0f} s in all, on a machine that was busy with other work.")
print("Network calls per sample: 2 of the student, one of them with a gradient,")
print("and none (one sample), 1 (Euler) or 2 (Heun) of the teacher.")

# %% [markdown]
# **Next:** lab 05 takes the teacher away. When can a single sample replace it?
