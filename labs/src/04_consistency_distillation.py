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
# 2. **write** the distillation loss, and say which of its pieces may move and which must not;
# 3. **choose** a grid: say what too few and what too many noise levels cost.
#
# Nothing is trained while you read. The trained networks are recordings: three seeds of each, made by `cmlab record distil all` and `cmlab record teacher all`, with their budget at the end.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_line import slope
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab04_distillation import checks
from cmlab_labs.lab04_distillation.explorer import explorer
from cmlab_labs.lab04_distillation.figures import (
    compositions,
    map_panel,
    noise_samples,
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
from cmlab.teacher import NetworkTeacher, OracleTeacher, SampleTeacher, StopGrad

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Predict
#
# A diffusion model is a **teacher**: ask it for D along the way, walk down N noise levels with a solver, and N − 1 steps later you have a sample.
# A **student** shall give you the end of that walk in one call. It is trained on single steps: its answer before the teacher's step shall equal its answer after it.

# %%
predict("04.1")

# %% [markdown]
# ## The exact object
#
# Write $\Phi_n$ for the teacher's step from level $t_{n+1}$ to $t_n$, on a grid $\varepsilon = t_1 < \dots < t_N = T$. A student whose loss is 0 has
# $f(x, t_{n+1}) = f(\Phi_n(x), t_n)$ at every level, and $f(x, \varepsilon) = x$ by its form (lab 03). Put one into the other, all the way down:
#
# $$f(x, T) = \Phi_1 \circ \Phi_2 \circ \dots \circ \Phi_{N-1}(x) .$$
#
# So the **ideal student** needs no training to be known: it is the teacher's walk. Here are the walks of an exact teacher, from 512 noises at T = 10,
# and how far their ends are from the exact f on average. (The data are three bumps on the line. Each noise counts for the share of the ranks that lie nearest to it, so that the luck of the draw all but drops out.)

# %% tags=["nbval-check-output"]
law, at = Bumps().oracle, noise_samples(Bumps())
GRID, GRIDS = KarrasGrid(0.002, 10.0), (5, 10, 20, 40, 80)
walks, ideal = {}, {}
for name, solver in {"Euler": ddim, "Heun": heun}.items():
    for n in GRIDS:
        *_, walks[name, n] = ode(VarianceExploding(), law.denoise, at.x, GRID.up(n).flip(0), solver)
    ideal[name] = GRIDS, np.array([at.off(walks[name, n]) for n in GRIDS])
print("levels N " + "".join(f"{n:10d}" for n in GRIDS))
for name, (_, errors) in ideal.items():
    order = slope([n - 1 for n in GRIDS], errors)
    print(f"{name:9}" + "".join(f"{e:10.2g}" for e in errors) + f"    slope {order:.1f}")

# %% [markdown]
# The slope is fitted over the three finest grids. It is the **order** of the solver: with twice the steps Euler's error is halved, Heun's quartered.
# The paper's Theorem 1 says that a student inherits it.
#
# Does a real network do what an ideal student would? On the right is one that was trained on Euler's steps over 5 levels.

# %%
shown = {"N = 5, Euler": walks["Euler", 5], "N = 20, Euler": walks["Euler", 20]}
mean = law.denoise(at.x, torch.full((len(at.x),), 10.0))
euler5 = torch.from_numpy(read("distil", "exact-euler-5")["cloud"][0])
compositions(at, mean, shown, euler5)

# %% [markdown]
# The exact f (black) climbs steeply where a path that ends in one bump has a neighbour that ends in the next.
# Five levels smear these cliffs out, and the trained network has learned the smear. D is something else altogether: at t = 10 it is nearly the same number for all noises.
#
# ## The method, from its source
#
# | Algorithm 2 | here |
# |---|---|
# | $x \sim p_\text{data}$, $\;n \sim U\{1, \dots, N-1\}$, $\;z \sim N(0, I)$ | `x`, `self.pairs`: neighbours `t` $= t_{n+1}$ and `r` $= t_n$ |
# | $x_{t_{n+1}} = x + t_{n+1}\, z$ | `x_t`, by `process.perturb` |
# | $\hat x_{t_n} = x_{t_{n+1}} + (t_n - t_{n+1})\, \Phi(x_{t_{n+1}}, t_{n+1}; \phi)$ | `x_r`, by `self.solver` and `self.teacher` |
# | $\lambda(t_n)\, d\bigl(f_\theta(x_{t_{n+1}}, t_{n+1}),\, f_{\theta^-}(\hat x_{t_n}, t_n)\bigr)$ | the last three lines |
# | $\theta^- \leftarrow \text{stopgrad}(\mu\, \theta^- + (1 - \mu)\, \theta)$ | `self.target`; `StopGrad` is μ = 0, the paper's choice for CIFAR-10 distillation |

# %%
show_source(CD.loss)

# %% [markdown]
# The two solvers. For this process (x_t = x + t z) `ddim` is Euler's step; Heun measures the slope a second time, where Euler's step ends, and costs two calls of the teacher.

# %%
show_source(ddim)

# %%
show_source(heun)

# %% [markdown]
# And the three teachers of this lab, with the target that they are not to be confused with. **Teacher**: a truth from outside, which moves the point. **Target**: the student itself, held fixed, which labels where the point came to.

# %%
show_source(OracleTeacher)

# %%
show_source(NetworkTeacher)

# %%
show_source(SampleTeacher)

# %%
show_source(StopGrad)

# %% [markdown]
# ## Explore
#
# One update in slow motion. Click the slider *sub-step*, press Home, and walk on with the right arrow key:
# the noisy point, the teacher's step, the online answer, the target, the gradient's pull.
# Grey: exact paths; black: the one through $x_t$, with a circle where it is at r. On the right the answers are drawn again, magnified.
#
# The stepper's student is made by hand, to be half-way: near the data it answers the exact f, far out still D, and it changes over at t = 0.7.
# The learned teacher is a recorded denoiser; between its recorded points its error is interpolated.
#
# Three things to try. Stay at sub-step 2 and go from N = 5 to N = 80, then from Euler to Heun: what happens to the distance between triangle and circle?
# Go to sub-step 5 with t = 8 and N = 80: how much can this update teach, when the target knows as little as the student?
# Choose *one sample* and try a few draws: does $x_r$ stay near the path? (It is the teacher of lab 05.)

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# Three students of Heun's steps, with an exact teacher. Above: where they are wrong; the title has the mean error at t = 10. Colours and contours show $f_\theta - f^*$ over the noise level and the noisy point, which is divided by its standard deviation so that all levels fit; black lines are exact paths, small triangles the levels that it was trained on.
# Below: how it came about. Error by noise level (across) and training step (upwards), over three seeds.

# %%
runs = {n: read("distil", f"exact-heun-{n}") for n in (5, 20, 80)}
clouds = {n: torch.from_numpy(run["cloud"]) for n, run in runs.items()}
titles = {n: f"N = {n}: {at.off(cloud).mean():.3f} off" for n, cloud in clouds.items()}
map_panel(
    law,
    {titles[n]: run for n, run in runs.items()},
    {titles[n]: GRID.up(n) for n in runs},
)

# %% [markdown]
# How to read it:

# %% tags=["hide-input"]
worst, settled = {}, {}
for n, run in runs.items():
    gap = (clouds[n] - at.ends).abs().squeeze(-1)
    worst[n] = float((gap.sort(1).values[:, -51:].sum(1) / gap.sum(1)).mean())
    far = np.sqrt((run["error"][:, :, -1] ** 2).mean(0)) > 0.1
    settled[n] = run["steps"][0][far][-1]  # the last look at which it was over 0.1
print(
    f"N = 5: wrong almost everywhere. The worst tenth of the noises has {worst[5]:.0%} of the error."
)
print(
    f"N = 20, 80: it has {worst[20]:.0%} and {worst[80]:.0%}; what is left sits where f climbs to the next bump."
)
print(
    f"Below: truth spreads from the data. At t = 10 it comes by step {settled[20]} (N = 20), {settled[80]} (N = 80)."
)

# %% [markdown]
# ### Is a finer grid always better?
#
# All students train equally long: 3000 steps of 256 samples. The teacher is exact.

# %%
predict("04.2")

# %%
found = {}
for name in ideal:
    arms = [read("distil", f"exact-{name.lower()}-{n}") for n in GRIDS]
    found[name] = GRIDS, np.stack([at.off(torch.from_numpy(arm["cloud"])) for arm in arms])
orders(ideal, found)

# %% tags=["hide-input"]
print("                mean error at t = 10      ideal    from each other")
for name, (_, errors) in found.items():
    for n, row, best in zip(GRIDS, errors, ideal[name][1], strict=True):
        cloud = torch.from_numpy(read("distil", f"exact-{name.lower()}-{n}")["cloud"])
        apart = at.off(cloud, walks[name, n]).mean()
        print(f"{name:6} N = {n:2d}   {ranged(row)}   {best:.4f}   {apart:.3f}")

# %% [markdown]
# Lines are ideal students, marks are trained ones (bars, where they show, are the range of three seeds). As long as the teacher's error is the larger one, the marks sit on the line: **the student is as good as its teacher's solver, no better and no worse**.
# Then the network's own error takes over, and more levels no longer help. With Heun's steps they even hurt a little: the range of the seeds at N = 80 lies above the one at N = 20.
# The last column is the network's own share, its distance from its teacher's steps. From N = 10 on it grows with N, as it would if small errors are handed up from level to level.
# Whether longer training would mend that was not measured.
#
# ### Three teachers
#
# *Exact* answers with E[x | x_t]. *Learned* is a denoiser trained on the same data, with as many samples as the student: its own walks (thin line) stop short of the truth. *One sample* answers with the very x that the noise was added to. Its steps are
# wrong one by one, and right on average. The table below the figure is the learned teacher's: errors of its students and of its own steps, and how far the two are apart.

# %% tags=["hide-input"]
taught = {"exact": found["Heun"]}
for name, arm, grids in (("learned", "learned-heun", (5, 20, 80)), ("one-sample", "sample-euler", GRIDS)):
    clouds_of = [torch.from_numpy(read("distil", f"{arm}-{n}")["cloud"]) for n in grids]
    taught[name] = grids, np.stack([at.off(cloud) for cloud in clouds_of])
walked = torch.from_numpy(read("teacher", "denoiser")["walked"])  # (seeds, grids, n, 1)
own = {"exact": ideal["Heun"], "learned": (GRIDS, at.off(walked).T.numpy())}
teachers(taught, own)

# %% tags=["hide-input"]
print("learned   student   steps   student from the steps")
for n, errors in zip(*taught["learned"], strict=True):
    cloud = torch.from_numpy(read("distil", f"learned-heun-{n}")["cloud"])
    mine = walked[:, GRIDS.index(n)]
    off = errors.mean(), at.off(mine).mean(), at.off(cloud, mine).mean()
    print(f"N = {n:2d}" + "".join(f"{v:10.3f}" for v in off))

# %% [markdown]
# ## Exercises
#
# ### A · guided: the loss
#
# Write the distillation loss with Euler's step and the squared distance. `f(x, level)` is the network, `denoise(x, level)` the teacher's D; both take levels (b,).
# x and z are (b, d), t and r are (b,) with r < t. The check looks at the values, at which answer the gradient flows through, and that the exact f has loss 0 when the teacher's steps stay on the path.


# %% tags=["exercise"]
def cd_loss(f, denoise, x, z, t, r):
    """The distillation loss of each sample, (b,)."""
    # 1. x_t: add the noise z of level t to x
    # 2. x_r: one Euler step from x_t at level t to level r; the slope is (x_t - D) / t
    # 3. the online answer at (x_t, t), and the target at (x_r, r), held fixed
    # 4. their squared distance, summed over the coordinates of each sample
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.cd_loss(cd_loss)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `t[:, None]` has the shape (b, 1) and multiplies a batch (b, d). `with torch.no_grad():` around a call keeps its answer as plain numbers; `.detach()` afterwards does the same.
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
# ### B · on your own: the student that this teacher deserves
#
# Write the ideal student: what a network with loss 0 would answer to x. `levels` (N,) **rise** from ε to the level at which x lies, as the paper counts them;
# `denoise(x, level)` takes a number as level. Euler or Heun, as you like: the check measures the order of your steps against the exact f, and names it.


# %% tags=["exercise"]
def ideal_student(x, levels, denoise):
    """What a perfect student of these steps answers to x (b, 1) at the last of the levels (N,)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.ideal_student(ideal_student)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Unroll $f(x, t_{n+1}) = f(\Phi_n(x), t_n)$ from the top, until f is asked at ε. There $f(x, \varepsilon) = x$.
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
# It is a sampler, word for word. Distillation turns a sampler's loop into a single call.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Errors are means over 512 noises at t = 10, from the recordings: three seeds, mean (low to high).

# %% tags=["hide-input"]
means = {name: found[name][1].mean(1) for name in found}
ratio = {name: means[name] / ideal[name][1] for name in found}  # 1: as good as its teacher's steps
holds = {name: max([n for n, q in zip(GRIDS, ratio[name], strict=True) if q < 1.25]) for name in found}
euler, heuns = found["Euler"][1], found["Heun"][1]
ahead = [n for n, a, b in zip(GRIDS, heuns, euler, strict=True) if a.max() < b.min()]
finest = means["Heun"][-1] / means["Heun"].min()
from_D = at.off(euler5, mean).item()
from_walk = at.off(euler5, walks["Euler", 5]).item()

# %% tags=["hide-input"]
cost = {name: taught[name][1][-1] for name in taught}
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| a student's error is of the order of its teacher's solver (Theorem 1) | ideal students: orders {-slope([n - 1 for n in GRIDS], ideal["Euler"][1]):.2f} (Euler) and {-slope([n - 1 for n in GRIDS], ideal["Heun"][1]):.2f} (Heun); trained ones stay within a quarter of them up to N = {holds["Euler"]} (Euler), N = {holds["Heun"]} (Heun) | shows for the ideal student; for the network until its own error is the larger |
| Heun's steps teach better than Euler's at equal N (Figure 3) | all three seeds ahead at N = {", ".join(map(str, ahead))} of {", ".join(map(str, GRIDS))} | {"shows" if len(ahead) == len(GRIDS) else "shows in part: not at N = " + ", ".join(str(n) for n in GRIDS if n not in ahead)} |
| once N is large enough, more levels change little (Figure 3) | Heun: {ranged(heuns[-1])} at N = 80 against {ranged(heuns[means["Heun"].argmin()])} at N = {GRIDS[means["Heun"].argmin()]} | {"shows" if finest < 1.5 else "does not show"} at this size: N = 80 is {finest:.2f} times the best |
| *not in the paper:* the student learns the teacher's steps, not its answers | Euler, N = 5: {from_walk:.3f} from the ends of the steps, {from_D:.2f} from D | shows |
| a learned teacher will do (*the paper has no other*) | Heun, N = 80: {ranged(cost["learned"])} with a learned teacher, {ranged(cost["exact"])} with the exact one | {"shows: no worse than the network's own error" if cost["learned"].mean() < 1.25 * cost["exact"].mean() else "shows in part: its own error is added"} |
| one sample will do in place of the teacher, for small steps (Theorem 2) | N = 80: {ranged(cost["one-sample"])}; N = 5: {ranged(taught["one-sample"][1][0])} | not settled here: lab 05 |
| LPIPS is the best distance (Figure 3) | needs pictures and a downloaded network | not tested here |
""")

# %% [markdown]
# Three lines to take with you: a student ends where its teacher's steps end. The order of the solver is the order of the student, until the network's own errors take over.
# More levels make the teacher better and the way up from ε longer; somewhere between lies the best grid.
#
# ## Budget

# %% tags=["hide-input"]
arms = STUDIES["distil"].variants
records = [read("distil", arm).record for arm in arms] + [read("teacher", "denoiser").record]
seen = sum(record["samples"] * len(record["seeds"]) for record in records)
before = sum(3 * records[0]["samples"] for arm in arms if arm.startswith("learned"))
seconds = sum(sum(record["seconds"]) for record in records)
print(f"{len(records)} recordings of 3 seeds: {seen / 1e6:.1f} million training samples.")
print(f"The learned teachers of the students: {before / 1e6:.1f} million more.")
print(f"Seconds: {seconds:.0f} of training in all, on a machine that was busy with other work.")
print("Network calls a sample: 2 of the student, one of them with a gradient,")
print("and of the teacher none (one sample), 1 (Euler) or 2 (Heun).")

# %% [markdown]
# This notebook itself trains nothing, and takes 8 seconds on 2 CPU cores.
#
# **Next:** lab 05 takes the teacher away. One sample in its place is wrong at every single step, and right on average: when is that enough?
