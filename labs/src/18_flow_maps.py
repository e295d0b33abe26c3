# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 18 · Flow maps
#
# **What if the model may jump between any two times?**
#
# | | |
# |---|---|
# | Paper | Boffi, Albergo & Vanden-Eijnden 2025, *How to Build a Consistency Model: Learning Flow Maps via Self-Distillation*, [arXiv:2505.18825](https://arxiv.org/abs/2505.18825); the name, the two conditions with derivatives and the splitting come from *Flow Map Matching* by the same authors (2024), [arXiv:2406.07507](https://arxiv.org/abs/2406.07507); see also CTM, [arXiv:2310.02279](https://arxiv.org/abs/2310.02279), MeanFlow, [arXiv:2505.13447](https://arxiv.org/abs/2505.13447), and IMM, [arXiv:2503.07565](https://arxiv.org/abs/2503.07565) |
# | Level | 3 of 3 |
# | Part | Flow maps |
# | Time | 65 minutes |
# | Run All | 7 s on 2 CPU cores |
# | You need | the consistency function (lab 02), its continuous-time loss (lab 10), partial derivatives |
#
# After this lab you can
#
# 1. **state** the four conditions and the boundary condition that a flow map satisfies, and derive each from the definition;
# 2. **name** a wrong map that a given condition does not detect;
# 3. **place** denoisers, consistency models and five other methods in one triangle of times.
#
# The maps in the first half of the lab are exact or wrong on purpose, except one network. The networks in the second half were trained beforehand, with three seeds each.

# %%
from inspect import getsource

import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import findings_table, ranged, read, recorded
from cmlab_labs.lab18_maps import checks
from cmlab_labs.lab18_maps.analysis import (
    CONDITIONS,
    Flow,
    JumpResiduals,
    all_maps,
    data_estimate,
    jumps,
    missed,
)
from cmlab_labs.lab18_maps.explorer import explorer
from cmlab_labs.lab18_maps.figures import (
    NAMES,
    SPOKEN,
    faces,
    trained,
    where_trained,
    who_notices,
)
from cmlab_labs.lab18_maps.study import FINDINGS, LINE, METHODS, TITLES
from IPython.display import Markdown

from cmlab.methods.flow_map import jump
from cmlab.methods.self_distillation import Eulerian, Lagrangian, Progressive

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## Try it first
#
# The data are numbers with two modes. Time t runs from 0 (data) to 1 (pure noise), and a noisy point is $x_t = (1 - t)\, x + t z$. (Divided by 1 − t it is the noisy point of the earlier labs, with the noise level σ = t/(1 − t); the paths are the same, rescaled.) The thin lines are exact paths from noise to data.
# A **map** takes a point at one time and returns, in a single jump, its position at an earlier time. The black dot is the start of a jump, the blue square is where the chosen map lands, and the circle is where it should have landed.
#
# The panel on the right lists the boundary condition (*no jump*) and four more conditions, all of which can be checked without knowing where the circle is. Each of them can be seen in the left or the middle panel:
#
# | condition | what you see | it holds if |
# |---|---|---|
# | **no jump** | the blue line at the time of the black dot | it meets the black dot |
# | **move the end** | the blue line: where the map sends the black dot, for every end time | it has the direction of the grey paths everywhere |
# | **move the start** | the orange marks: where the map sends the other points of the black path | they all coincide |
# | **split the jump** | the green crosses: two jumps of half the length | the last cross lies on the blue square |
# | **distribution** | the middle panel: where the map sends all points | the blue histogram matches the black one |
#
# Three things to try. Move the start and the end, and watch how the panels change. Then choose other maps, and find for each of them one condition that is **broken** and one that **holds**: which wrong map produces exactly the right distribution? Finally, choose the trained network: which of its jumps are the worst?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# *Mirror image* has exactly the right distribution. Which conditions the other maps break is shown in the first figure below.
# The trained network is worst in jumps to the data from paths beside the border between the modes: with the path slider at 38 % the jump from t = 1 to s = 0 lands 0.94 from the exact end, and at 64 % only 0.01. The jump from t = 1 to 0.5 lands 0.07 from the path at both. The exact map to the data has to separate neighbouring points on the two sides of the border.
#
# </details>

# %% [markdown]
# ## Predict
#
# Suppose that you are given a map that satisfies *move the start*, *move the end* and *split the jump* exactly, where the velocity in the first two is the map's **own**, that of its very short jumps.

# %%
predict("18.1")

# %% [markdown]
# ## The exact object
#
# Let $v$ be the velocity of the paths,
#
# $$\frac{\mathrm d x_t}{\mathrm d t} = v(x_t, t) = \mathrm E[z - x \mid x_t].$$
#
# (For fixed x and z the derivative of $x_t$ is $z - x$; the path moves with the mean of this velocity, as in lab 05.) The **flow map** gives the position, at another time s, of the path through $x_t$:
#
# $$X(x_t, t \to s) = x_s .$$
#
# (Exercise B of lab 02 builds this map, with noise levels instead of times.) Four conditions follow from the definition, each in a line or two. The first three, as losses, are those of *Flow Map Matching*.
#
# **Move the end** (Lagrangian). Hold the start fixed and let s vary. The landing point then moves along the path, with the velocity that the path has *there*:
#
# $$\partial_s X(x_t, t \to s) = v\bigl(X(x_t, t \to s),\, s\bigr).$$
#
# **Move the start** (Eulerian). Let the start move along its own path. All points of this path have the same $x_s$, so the landing point does not move:
#
# $$0 = \frac{\mathrm d}{\mathrm d t}\, X(x_t, t \to s) = \partial_t X + \partial_x X \cdot v(x_t, t),$$
#
# by the chain rule, since $x_t$ moves with $v(x_t, t)$.
#
# **Split the jump** (semigroup). A point that follows its path from t to m, and then from m to s, arrives at $x_s$:
#
# $$X\bigl(X(x_t, t \to m),\, m \to s\bigr) = X(x_t, t \to s).$$
#
# **Distribution.** If $x_t$ has the distribution $p_t$ of noisy points, then $X(x_t, t \to s)$ has the distribution $p_s$.
#
# In addition, a jump of length zero must change nothing: $X(x_t, t \to t) = x_t$. A network satisfies this automatically if we write the jump as
#
# $$X(x_t, t \to s) = x_t - (t - s)\, u(x_t, t, s),$$
#
# and let the network learn $u$, the **mean velocity** of the jump. For s = t this is the velocity $v$ itself.
#
# ### Which condition detects which mistake?
#
# The figure compares the exact map, four maps that are wrong on purpose, and a trained network. Each number is the root mean square, over 300 random jumps, of the amount by which a condition is violated (for the distribution, it is the mean W₁ distance over 20 pairs of times).
# *Mirror image* follows the path up to pure noise, changes the sign of the noise there, and comes down again. *Made for other data* is the exact flow map of a single Gaussian with the mean and the spread of our data.

# %%
oracle, candidates = LINE.oracle, all_maps()
found = missed(oracle, candidates)
who_notices(found)

# %% [markdown]
# Read down the columns: which wrong maps does each condition fail to detect?
#
# - **Stand still** satisfies *split the jump*, because two jumps that do nothing are the same as one. The data do not appear in this condition, so it cannot test whether the map fits them.
# - **Mirror image** preserves the distribution at every time, because z and −z have the same distribution. It even satisfies both conditions with derivatives, because the mirrored landing point also moves along a path, although along the wrong one. The map is detected by the jump of length zero, and by *split the jump*: two jumps change the sign twice.
# - **Made for other data** is consistent with itself in every way. To see that it is wrong, one has to compare it with the velocity or the distribution of *our* data.
#
# So a method needs a condition on the jumps, the boundary at s = t, **and** something that ties the map to the data. If this is the velocity of the data, they suffice. *Move the end* is then a differential equation in s that starts at $x_t$, and for a smooth v it has one solution, the path. *Move the start* says that X is constant along each path, and at the time s it is $x_s$. And *split the jump*, applied many times, builds a long jump from very short ones. The next cell evaluates the three conditions for *made for other data*, first with the velocity of our data and then with the map's own velocity:

# %%
other = candidates["made for other data"]
start = jumps(oracle, 300, seed=0)
for whose, velocity in (("the data's", oracle), ("its own", other.oracle)):
    left = JumpResiduals(velocity)(other, *start)
    sizes = [
        f"{SPOKEN[k]} {left[k].square().mean().sqrt():.4f}" for k in ("start", "end", "split")
    ]
    print(f"with {whose:10} velocity:  " + "   ".join(sizes))

# %% [markdown]
# Every wrong map of the figure that satisfies *no jump* and *split the jump* has the wrong distribution. Do *no jump*, *split the jump* and *distribution* suffice, then?
# On the line they do, for maps that are continuous in $x_t$ and s. Two points cannot change places without meeting, and if they met, *split the jump* would keep them together; so the order of the points is kept, and a map that keeps the order is determined by the distributions.
# **In two or more dimensions they do not suffice.** Add to $v$ a field $w$ with $\nabla \cdot (p_t\, w) = 0$, which stirs the points without changing their distribution. The flow map of $v + w$ satisfies *no jump*, *split the jump* and *distribution* exactly, and its points end elsewhere. Only a condition that contains the velocity of the data detects this, so right samples never prove that the map is right.
#
# On paper: the data are one round Gaussian in the plane with mean 0. A map follows the exact path and turns every point about the origin by the angle t − s. Which of the five conditions does it break?
#
# <details><summary>Answer</summary>
#
# Only the two with derivatives. The exact map multiplies $x_t$ by a number, so it commutes with a rotation. *No jump*: the angle is 0. *Split the jump*: the two angles add up to t − s. *Distribution*: a round Gaussian does not change under a rotation. But with $J$ the rotation by 90°, *move the end* gives $\partial_s X = v(X, s) - J X$, and *move the start* gives $\mathrm dX/\mathrm dt = J X$ instead of 0.
#
# </details>
#
# ### Two special cases that you know
#
# A jump can also be written as a weighted mean of its start and an estimate $g$ of the data. (This g is not the tangent of lab 10.) With the time used here, the two forms are
#
# $$X = x_t - (t - s)\, u = \frac st\, x_t + \Bigl(1 - \frac st\Bigr)\, g .$$
#
# Solve for $g$:
#
# $$\Bigl(1 - \frac st\Bigr) g = \Bigl(1 - \frac st\Bigr) x_t - (t - s)\, u \qquad\Longrightarrow\qquad g(x_t, t, s) = x_t - t\, u(x_t, t, s).$$
#
# For s = 0 the jump ends at its estimate, $X = g$. This is the **consistency function** f of lab 02. For s = t we have $u = v$, and since $x_t - t\,(z - x) = x$,
#
# $$g(x_t, t, t) = x_t - t\, \mathrm E[z - x \mid x_t] = \mathrm E[x \mid x_t],$$
#
# which is the **denoiser** D.

# %%
faces(oracle, candidates["exact"])

# %% tags=["hide-input", "nbval-check-output"]
t, s = torch.tensor([0.8]), torch.tensor([0.799])
x_t = torch.tensor([[0.3]])
exact = candidates["exact"]
near, far = (data_estimate(exact, x_t, t, e).item() for e in (s, 0 * s))
D = (x_t - t * Flow(oracle).velocity(x_t, t)).item()
print(
    f"x_t = 0.3 at t = 0.8: g = {near:.3f} for a jump to 0.799, and D = {D:.3f}; g = {far:.3f} for the jump to 0."
)

# %% [markdown]
# Each line belongs to one $x_t$. As s falls from t to 0, the estimate moves from the mean of all data that may lie behind $x_t$ to the end of its path.

# %% [markdown]
# ## The method, from its source
#
# Each condition becomes a loss for the network $u_\theta$, with $X_\theta = x_t - (t - s)\, u_\theta$, its own velocity $v_\theta(x, t) = u_\theta(x, t, t)$, and sg for a factor through which no gradient passes.
#
# First the tie to the data. **Flow matching** trains the jumps of length zero,
#
# $$\lVert u_\theta(x_t, t, t) - (z - x)\rVert^2 ,$$
#
# and has its minimum at the mean of $z - x$ given $x_t$, which is $v$. Jumps of other lengths are trained with one of these losses:
#
# | condition | its loss for the jump from t to s | name |
# |---|---|---|
# | move the end | $\lVert \partial_s X_\theta - \mathrm{sg}\, v_\theta(X_\theta, s)\rVert^2$ | **LSD**, Lagrangian self-distillation |
# | move the start | $\lVert \partial_t X_\theta + \mathrm{sg}\,(\partial_x X_\theta \cdot v_\theta(x_t, t))\rVert^2$ | **ESD**, Eulerian self-distillation |
# | move the start | $\lVert u_\theta - \mathrm{sg}\,\bigl[(z - x) - (t - s)\, \tfrac{\mathrm d}{\mathrm dt} u_\theta\bigr]\rVert^2$, the derivative along $z - x$ | **MeanFlow** |
# | split the jump | $\lVert u_\theta - \mathrm{sg}\, u_{t \to m \to s}\rVert^2$, with the mean velocity of two jumps (exercise B) | **PSD**, progressive self-distillation; **Shortcut** ([2410.12557](https://arxiv.org/abs/2410.12557)) with m half-way |
# | distribution | $\mathrm{MMD}^2\bigl(\{X_\theta(x_t, t \to s)\},\ \mathrm{sg}\,\{X_\theta(x_r, r \to s)\}\bigr)$ over a group of samples | **IMM** |
#
# MeanFlow's loss is the same condition solved for u: since $X = x_t - (t - s)\, u$, $\mathrm dX/\mathrm dt = 0$ says $v - u - (t - s)\, \mathrm du/\mathrm dt = 0$. At s = t it is flow matching.
# **IMM** needs no flow matching. A group shares s < r < t, with r close to t, and the landing points of its jumps from t and from r are compared as two sets, by a kernel distance (MMD). The points $x_t$ and $x_r$ are built from the same x and z, so the data enter through them; with groups of one sample and s = 0 this is consistency training. The condition *distribution* alone would accept the mirror image. Here this is presumably prevented by the boundary and by r being so close to t.
#
# In the figure each point of the triangle stands for the jumps from one t to one s. A denoiser is trained on the diagonal, that is, on jumps of length zero, and a consistency model on the lower edge. There *move the start* becomes $\mathrm d f/\mathrm d t = 0$, the equation of lab 10.

# %%
where_trained()

# %% [markdown]
# The paper counts time from noise (0) to data (1) and writes $X_{s,t}(x) = x + (t - s)\, v_{s,t}(x)$; here time runs from data (0) to noise (1), so signs change. A jump takes one call of the network, which is given the times of its start and of its end: in `jump` the model returns $g$, and `transport` forms the weighted mean above. In `Lagrangian`, `jvp(f, (a,), (da,))` returns `f(a)` and the derivative `f'(a) · da`.

# %%
show_source(jump)

# %%
show_source(Lagrangian.__call__)

# %% [markdown]
# The losses differ in what they need:
#
# | condition | derivative | where a velocity is needed | methods |
# |---|---|---|---|
# | move the start | with respect to $x_t$ and t, along $(v, 1)$ | at the given $x_t$, where $z - x$ may take its place | ESD, MeanFlow, sCM (s = 0) |
# | move the end | with respect to s only | at the landing point, for which there are no x and z, so that the network's own velocity is used | LSD; TVM ([2511.19797](https://arxiv.org/abs/2511.19797)) |
# | split the jump | none | nowhere | PSD, Shortcut, SplitMeanFlow ([2507.16884](https://arxiv.org/abs/2507.16884)), CTM; consistency training |
# | distribution, within groups | none | nowhere | IMM |
#
# The column *derivative* determines the cost of a training step. A target made with $z - x$ is right only on average (lab 19). The same noise enters consistency training and IMM, whose two points lie on one line of fixed x and z.

# %% [markdown]
# ## The key figure
#
# Which condition brings a network nearest to the exact map after the same number of steps? With every method a network of 112 000 weights was trained on the ring of eight modes, for 2000 steps of 256 samples and with three seeds. All methods except IMM use three quarters of each batch for flow matching, so IMM trains on four times as many jumps of other lengths. (Its groups are of four samples.)

# %%
predict("18.2")

# %%
runs = {name: read("maps", name) for name in NAMES}
trained(
    runs,
    {
        "rmse1": ("One call from noise", "RMS distance to the exact end"),
        "rmse_jump": ("Jumps between random times", "RMS distance to the exact map"),
        "rmse_velocity": ("Velocity", "RMS error of the velocity"),
    },
)

# %% tags=["hide-input"]
table = [
    "| RMS distance: | one call to the exact end | random jumps to the exact map | velocity to the exact one | sliced W₂ to the data: one call | four calls |",
    "|---" * 6 + "|",
]
scores = ("rmse1", "rmse_jump", "rmse_velocity", "sw1", "sw4")
for name in sorted(runs, key=lambda name: runs[name].score("rmse1").mean()):
    table.append(
        f"| {NAMES[name]} | " + " | ".join(ranged(runs[name].score(key)) for key in scores) + " |"
    )
about = "Means over the seeds (lowest to highest). The last two columns compare all samples together with fresh data (between two fresh sets of data the sliced W₂ is about 0.018)."
folded(
    "The same in numbers, and the distances to the distribution of the data", "\n".join(table) + "\n\n" + about
)

# %% [markdown]
# Each square is a seed, and each black stroke is the mean of three. The panels answer different questions. IMM's loss contains no velocity, but $x_t$ and $x_r$ lie on one line of fixed x and z, whose slope is $z - x$. With groups of four it is close to consistency training, and after these 2000 steps its landing points from noise are the closest to the exact ones. For jumps between two random times LSD is the nearest, and IMM the farthest of all.
# IMM's velocity is poor, too. The cause is not that it never trains jumps of length zero: if the step from $x_t$ to $x_r$ follows the posterior mean over the batch instead of the single x, the error of the velocity falls from 0.445 to 0.094 and that of random jumps from 0.075 to 0.039, again without such jumps. One call then has the error 0.138 (0.119 to 0.153) instead of 0.117 (0.106 to 0.124), and the ranges overlap. So the noise of single samples explains the poor velocity. Why a single call is good remains open.
# The other four methods have nearly the same velocity, since they all learn it by flow matching. They differ in how they extend it to long jumps; in one call LSD stands apart, and the ranges of the other three overlap.
#
# Two reservations. Part of IMM's lead may be due to its four times as many long jumps. And equal steps are not equal cost: off the diagonal, a step of LSD, ESD or MeanFlow contains a derivative along a tangent, one of PSD three passes through the network and one of IMM two.

# %% [markdown]
# ## Exercises
#
# ### A · guided: move the start
#
# `Lagrangian` above differentiates with respect to one input, the end time. In *move the start* two inputs move at once: $x_t$ along its path, and t with it. Write the residual $\partial_t X + \partial_x X \cdot v(x_t, t)$ with **one** call of `torch.func.jvp`.
# `X(x_t, t, s)` is a map and `v(x, t)` a velocity; `x_t` is (b, 1), `t` and `s` are (b,).


# %% tags=["exercise"]
def start_residual(X, v, x_t, t, s):
    """The rate at which the landing point moves while the start follows its path."""
    # 1. a function of the two inputs that move
    # 2. how fast each of them moves
    # 3. the derivative of the function along these two tangents
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.start_residual(start_residual)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `jvp(f, (a, b), (da, db))` takes a tuple of inputs and a tuple of tangents in the same order, and gives the value of f and its derivative. With which velocity does $x_t$ move, and at which rate does t?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def start_residual(X, v, x_t, t, s):
#     def start(x_t, t):
#         return X(x_t, t, s)
#
#     return torch.func.jvp(start, (x_t, t), (v(x_t, t), torch.ones_like(t)))[1]
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: two jumps as a target
#
# PSD and SplitMeanFlow train $u(x_t, t, s)$ on a target that consists of two jumps of the network, from t to m and from m to s, with t > m > s. Derive it: write *split the jump* with $X = x_t - (t - s)\, u$, and solve for the velocity of the whole jump. Then program it; no gradient may pass through a target.
# `u(x_t, t, s)` is a mean velocity (b, 1).


# %% tags=["exercise"]
def split_target(u, x_t, t, s, m):
    """The mean velocity of the jumps t → m → s, as a target for u(x_t, t, s)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.split_target(split_target)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Where does the first jump land? The total displacement of the two jumps is (t − m) times the first velocity plus (m − s) times the second one.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def split_target(u, x_t, t, s, m):
#     with torch.no_grad():
#         first = u(x_t, t, m)
#         x_m = x_t - (t - m)[:, None] * first
#         second = u(x_m, m, s)
#         way = (t - m)[:, None] * first + (m - s)[:, None] * second
#         return way / (t - s)[:, None]
# ```
#
# </details>

# %% [markdown]
# **Compare with the package.** `Eulerian` splits the derivative of exercise A into two terms. They are kept apart because the gradient of the loss passes through $\partial_t X$ only. `Progressive` draws m at random, and weights the two velocities by their shares of the time.

# %% tags=["hide-input"]
both = f"{getsource(Eulerian.__call__)}\n{getsource(Progressive.__call__)}"
folded("`Eulerian` and `Progressive` in the package", f"```python\n{both}```")

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over the seeds 0, 1 and 2 (lowest to highest). The maps in one dimension were checked with three sets of 300 jumps.

# %% tags=["hide-input"]
wrong = {name: X for name, X in candidates.items() if "trained" not in name}
seen = [missed(oracle, wrong, seed=seed) for seed in range(3)]
largest = max(value for rows in seen for value in rows["exact"].values())
overlooks = {
    key: [n for n in wrong if n != "exact" and all(r[n][key] < 2e-3 for r in seen)]
    for key in CONDITIONS
}
rmse1, sw1, sw4 = (
    {name: run.score(key) for name, run in runs.items()} for key in ("rmse1", "sw1", "sw4")
)
order = sorted(rmse1, key=lambda name: rmse1[name].mean())
lsd_best = all(rmse1["lsd"].max() < rmse1[name].min() for name in ("esd", "psd", "meanflow"))
imm_near = rmse1["imm"].min() < rmse1["lsd"].max()  # as near as LSD, or nearer
stable = bool(torch.tensor(runs["esd"]["one_call"]).isfinite().all())
velocity = {name: run.score("rmse_velocity") for name, run in runs.items()}
random_jump = {name: run.score("rmse_jump") for name, run in runs.items()}

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| the flow map satisfies all conditions | exact map, largest residual: {largest:.0e} | confirmed here |
| *not in the paper:* each condition alone fails to detect some wrong map | each of the {len(overlooks)} conditions holds for at least one of four wrong maps (first figure) | {"confirmed here" if all(overlooks.values()) else "partly"} |
| LSD is the best of the three self-distillations (second version of the paper), *here untuned* | one call, RMS distance to the exact map: LSD {ranged(rmse1["lsd"])}, ESD {ranged(rmse1["esd"])}, PSD {ranged(rmse1["psd"])} | {"confirmed here" if lsd_best else "partly: the ranges overlap"} |
| the Eulerian loss is highly unstable (the paper's project page, for images) | ESD: the error was finite at all 41 evaluations, and at the end the seeds differ by {100 * (rmse1["esd"].max() / rmse1["esd"].min() - 1):.0f} %; gradients were not recorded | {"not seen at this scale" if stable else "confirmed here"} |
| *not in the paper:* IMM, whose loss contains no path, comes close to the exact end in one call (2000 untuned steps) | RMS distance: IMM {ranged(rmse1["imm"])}, LSD {ranged(rmse1["lsd"])} | {"partly: nearer than LSD after 2000 steps, with four times as many long jumps; with the presets of 4000 steps it is farther, 0.085 against 0.068" if rmse1["imm"].max() < rmse1["lsd"].min() else "confirmed here: the ranges overlap" if imm_near else "partly: near it, with disjoint ranges"} |
| … but not between random times | jumps: IMM {ranged(random_jump["imm"])}, LSD {ranged(random_jump["lsd"])} | {"confirmed here" if random_jump["imm"].min() > random_jump["lsd"].max() else "partly"} |
| … and not in short jumps | velocity: IMM {ranged(velocity["imm"])}, LSD {ranged(velocity["lsd"])} | {"confirmed here" if velocity["imm"].min() > 2 * velocity["lsd"].max() else "partly"} |
| more calls help a flow map (one call → four, sliced W₂ to the data) | LSD {ranged(sw1["lsd"])} → {ranged(sw4["lsd"])}; MeanFlow {ranged(sw1["meanflow"])} → {ranged(sw4["meanflow"])}; PSD {ranged(sw1["psd"])} → {ranged(sw4["psd"])}; IMM {ranged(sw1["imm"])} → {ranged(sw4["imm"])} | {"confirmed here for MeanFlow and PSD" if all(sw4[n].max() < sw1[n].min() for n in ("meanflow", "psd")) else "partly: the means fall, but not all ranges are disjoint"} |
""")

# %% [markdown]
# ### Further comparisons (optional)

# %% tags=["hide-input"]
all_runs = recorded("maps", METHODS)
drifting = "| Drifting's samples are as well distributed as LSD's, and more than twice as far from the exact ends | the presets in lab 17: sliced W₂ 0.034 (0.031 to 0.035), LSD 0.023 (0.022 to 0.023); to the exact map 0.271 (0.213 to 0.311), LSD 0.069 (0.067 to 0.073) | partly: confirmed for the map; the distribution is worse than LSD's, and the ranges are disjoint |"
how = "More pairs of variants, with three seeds of 2000 steps each. *Confirmed here* means that no ranges overlap where one score is said to be lower, and that all do where scores are said to be alike. Numbers are RMS distances to the exact map in one call, unless the row names others. (Drifting is described in lab 17. α-Flow passes from flow matching to MeanFlow during training.)\n\n"
folded(
    "Ten statements, and what three seeds say",
    how + "\n".join([findings_table(FINDINGS, all_runs, TITLES), drifting]),
)

# %% [markdown]
# These runs are short, and nothing was tuned for any method. The presets train for 4000 steps, with the posterior mean over the batch as the target of the velocity. In one call they reach 0.068 (0.063 to 0.071) with LSD (`toy.lsd`), 0.085 (0.078 to 0.092) with MeanFlow, 0.085 (0.074 to 0.090) with IMM, and 0.050 (0.043 to 0.057) with LSD's condition and the exact velocity (`toy.lmd`); lab 17 compares all flow maps at equal budgets. On images the order may be different again: PSD was best in the first version of the paper, and LSD in the second.
#
# ### What to remember
#
# 1. A flow map jumps between any two times. Jumps of length zero give the denoiser, jumps to the data the consistency function.
# 2. Each condition fails to detect some wrong map. A method needs a condition on the jumps, the boundary, and a tie to the data; right samples alone do not prove a right map.
# 3. Good long jumps do not imply good short ones, nor the reverse, so a score should state which jumps it measures.

# %% [markdown]
# ## Budget

# %% tags=["hide-input"]
record = [run.record for run in all_runs.values()]
seen_samples, seconds = (
    sum(3 * r["samples"] for r in record),
    [s for r in record for s in r["seconds"]],
)
line = read("maps-line", "lsd").record
print(
    f"Recorded: {len(record)} variants with 3 seeds each, {seen_samples / 1e6:.2f} million training samples in all; a run has 2000 steps of 256."
)
print(
    f"Each run took {min(seconds):.0f} to {max(seconds):.0f} s, on a machine that was also doing other work."
)
print(
    f"The network in one dimension: {line['samples'] / 1e6:.2f} million samples. One of the commands that made them: {record[0]['command']}"
)
print("Trained in this notebook: nothing.")

# %% [markdown]
# **Next:** lab 19 examines MeanFlow in detail: the role of its derivative, and the effect of leaving one of the inputs out of it.
