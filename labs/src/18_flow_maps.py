# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 18 · One map for all
#
# **What if the model may jump between any two times?**
#
# | | |
# |---|---|
# | Paper | Boffi, Albergo & Vanden-Eijnden 2025, *How to Build a Consistency Model: Learning Flow Maps via Self-Distillation*, [arXiv:2505.18825](https://arxiv.org/abs/2505.18825); beside it CTM, [arXiv:2310.02279](https://arxiv.org/abs/2310.02279), MeanFlow, [arXiv:2505.13447](https://arxiv.org/abs/2505.13447), and IMM, [arXiv:2503.07565](https://arxiv.org/abs/2503.07565) |
# | Level | 3 of 3 |
# | Part | Flow maps |
# | Time | 50 minutes |
# | Run All | 7 s on 2 CPU cores |
# | You need | the consistency function (lab 02), its continuous-time loss (lab 10), partial derivatives |
#
# After this lab you can
#
# 1. **state** the four conditions that make a jump a flow map, and derive each from the definition;
# 2. **name**, for each condition, a wrong map that it does not notice;
# 3. **place** denoisers, consistency models, MeanFlow, shortcut models and IMM in one triangle of times.
#
# The maps of the first half are exact or wrong on purpose, and nothing is trained for them. The networks of the second half were recorded, three seeds each.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
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
from cmlab_labs.lab18_maps.figures import NAMES, SPOKEN, faces, trained, who_notices
from cmlab_labs.lab18_maps.study import LINE
from IPython.display import Markdown

from cmlab.methods.flow_map import jump
from cmlab.methods.self_distillation import Eulerian, Lagrangian, Progressive

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## Explore
#
# Here one-dimensional data with two modes turn into noise. Time t runs from 0, the data, to 1, pure noise, and a noisy point is $x_t = (1 - t)\, x + t z$. The thin lines are exact paths.
# A **map** takes a point at one time and returns, in a single jump, its position at an earlier time. The black dot is the start of a jump, the blue square is where the chosen map lands, and the circle is where it should have landed.
#
# The panel on the right lists five conditions that can be checked without knowing where the circle is. Each has its own picture in the plane:
#
# | you ask | in the plane | it holds if |
# |---|---|---|
# | **no jump** | the blue line at the time of the black dot | a jump to the same time stays where it is |
# | **move the end** | the blue line: where the map sends the black dot, for every end time | the blue line runs along the grey paths |
# | **move the start** | the orange marks: where it sends the other points of the black path | all marks lie in one place |
# | **split the jump** | the green crosses: two jumps through the time half-way | the last cross lies in the blue square |
# | **distribution** | the middle panel: where it sends all points | the blue histogram matches the black one |
#
# Drag the start and the end. Then choose other maps, and for each find a condition that is **broken** and one that **holds**. Which wrong map lands exactly on the right distribution? In the trained network, which jumps are the worst?

# %%
explorer()

# %% [markdown]
# ## Predict
#
# Here is a map whose jumps are perfect by one standard: it satisfies the conditions *move the start*, *move the end* and *split the jump* exactly, when all three are measured with **its own** velocity, that is, the velocity of its own very short jumps.

# %%
predict("18.1")

# %% [markdown]
# ## The exact object
#
# Let $v$ be the velocity of the paths,
#
# $$\frac{\mathrm d x_t}{\mathrm d t} = v(x_t, t) = \mathrm E[z - x \mid x_t].$$
#
# The **flow map** gives the position, at another time s, of the path through $x_t$:
#
# $$X(x_t, t \to s) = x_s .$$
#
# Exercise B of lab 02 is to build this map, with noise levels in the place of times. Four conditions follow from the definition, each in a line or two.
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
# **Split the jump** (semigroup). A point that goes from t to m along the path, and from there to s, arrives where the path is at s:
#
# $$X\bigl(X(x_t, t \to m),\, m \to s\bigr) = X(x_t, t \to s).$$
#
# **Distribution.** If $x_t$ has the distribution $p_t$ of noisy points, then $X(x_t, t \to s)$ has the distribution $p_s$.
#
# In addition, a jump of length zero must change nothing: $X(x_t, t \to t) = x_t$. Networks get this condition for free if we write the jump as
#
# $$X(x_t, t \to s) = x_t - (t - s)\, u(x_t, t, s),$$
#
# and learn $u$, the **mean velocity** of the jump. At s = t it is the velocity $v$ itself.
#
# ### Which condition notices which mistake?
#
# Here are five wrong maps and the exact one. Each number is the root mean square of the residual of a condition over 300 random jumps (for the distribution, the mean W₁ distance over 20 pairs of times).
# *Mirror image* follows the path up to pure noise, changes the sign of the noise there, and comes down again. *Made for other data* is the exact flow map of a single Gaussian with the mean and the spread of our data.

# %%
oracle, candidates = LINE.oracle, all_maps()
found = missed(oracle, candidates)
who_notices(found)

# %% [markdown]
# How to read it: only the exact map has a row without a number. Now read the columns, and look for *holds* in the rows of wrong maps.
#
# - **Stand still** satisfies *split the jump*, because two jumps that do nothing are the same as one. The data do not appear in this condition, so it cannot test whether the map fits them.
# - **Mirror image** keeps the distribution, at every time. The reason is that z and −z have the same distribution. It even satisfies both conditions with derivatives, since the mirrored landing point also moves along a path, although along the wrong one. What gives it away is the jump of length zero, and by *split the jump*, since two jumps change the sign twice.
# - **Made for other data** is consistent with itself in every way. Only the velocity of *our* data shows that it is wrong.
#
# So a method needs a condition on the jumps, the boundary at s = t, **and** something that ties the map to the data. In most methods this is flow matching on the diagonal, where $u(x_t, t, t)$ is compared with $z - x$.
# Here are the three conditions for *made for other data*, once with the velocity of our data and once with its own:

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
# ### Two faces that you know
#
# However time is parametrised, a jump can be written as a mixture of the start and an estimate $g$ of the data (this is not the tangent g of lab 10). With the time used here, the two ways of writing it are
#
# $$X = x_t - (t - s)\, u = \frac st\, x_t + \Bigl(1 - \frac st\Bigr)\, g .$$
#
# Solve for $g$:
#
# $$\Bigl(1 - \frac st\Bigr) g = \Bigl(1 - \frac st\Bigr) x_t - (t - s)\, u \qquad\Longrightarrow\qquad g(x_t, t, s) = x_t - t\, u(x_t, t, s).$$
#
# At s = 0 the jump *is* its estimate, $X = g$: this is the **consistency function** f of lab 02. At s = t we have $u = v$, and since $x_t - t\,(z - x) = x$,
#
# $$g(x_t, t, t) = x_t - t\, \mathrm E[z - x \mid x_t] = \mathrm E[x \mid x_t],$$
#
# the **denoiser** D. In between lies everything that the other methods learn. CTM's network is this $g$, MeanFlow's is $u$.

# %%
faces(oracle, candidates["exact"])

# %% tags=["hide-input", "nbval-check-output"]
t, s = torch.tensor([0.8]), torch.tensor([0.799])
x_t = torch.tensor([[0.3]])
exact = candidates["exact"]
near, far = (data_estimate(exact, x_t, t, e).item() for e in (s, 0 * s))
D = (x_t - t * Flow(oracle).velocity(x_t, t)).item()
print(
    f"x_t = 0.3 at t = 0.8: g = {near:.3f} for a jump to 0.799, where D = {D:.3f}; g = {far:.3f} for the jump to 0."
)

# %% [markdown]
# Left: for one $x_t$ the estimate moves from the average of all data from which $x_t$ may come to the one point at which its path ends. Lab 02 showed the two ends of these lines; here you see what lies between them.
# Right: each point of the triangle is a kind of jump. A denoiser is trained on the diagonal, a consistency model on the lower edge, a flow map everywhere. Along the lower edge *move the start* reads $\mathrm d f/\mathrm d t = 0$: that is lab 10.

# %% [markdown]
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | $X_{s,t}(x) = x + (t - s)\, v_{s,t}(x)$; time runs from noise (0) to data (1) | `jump`; time runs from data (0) to noise (1), so the signs change |
# | LSD, the Lagrangian loss | `Lagrangian`: differentiates with respect to s alone, and asks the network for the velocity at the landing point |
# | ESD, the Eulerian loss | `Eulerian`: differentiates with respect to $x_t$ and t |
# | PSD, the progressive loss | `Progressive`: two jumps, no derivative |
#
# A jump is one call of the network, which is given two times, the start and the end:

# %%
show_source(jump)

# %%
show_source(Lagrangian.__call__)

# %%
show_source(Eulerian.__call__)

# %%
show_source(Progressive.__call__)

# %% [markdown]
# Each is 0 for the flow map. They differ in what they ask of the network, and where:
#
# | condition | derivative | the velocity is needed | who uses it |
# |---|---|---|---|
# | move the start | along $(v, 1)$, through the whole network | at the given $x_t$; there $z - x$ may stand in for it | sCM (s = 0), MeanFlow, ESD |
# | move the end | by s only | at the landing point, which is not a data point: the network's own | LSD, TVM |
# | split the jump | none | nowhere | Shortcut, SplitMeanFlow, PSD; CTM; consistency training with its first jump along the data's line |
# | distribution | none | nowhere | IMM |
#
# The second column is about the cost, and the third about the noise: $z - x$ is right only on average, and lab 19 shows what its noise does to a target.

# %% [markdown]
# ## The key figure
#
# Which condition trains best? Every method trains a network of 112,000 weights on the ring of eight modes, for 2000 steps of 256 samples, with three seeds. All but IMM spend three quarters of each batch on the diagonal.

# %%
predict("18.2")

# %%
runs = {name: read("maps", name) for name in NAMES}
trained(
    runs,
    {
        "rmse1": "one call: to the exact map (RMS)",
        "sw1": "one call: to the distribution",
        "rmse_velocity": "velocity on the diagonal (RMS)",
    },
)

# %% tags=["hide-input"]
table = [
    "| condition | one call, to the exact map | one call, to the distribution | four calls, to the distribution | velocity |",
    "|---" * 5 + "|",
]
scores = ("rmse1", "sw1", "sw4", "rmse_velocity")
for name in sorted(runs, key=lambda name: runs[name].score("rmse1").mean()):
    table.append(
        f"| {NAMES[name]} | " + " | ".join(ranged(runs[name].score(key)) for key in scores) + " |"
    )
Markdown("\n".join(table))

# %% [markdown]
# Each entry of the table is the mean of three seeds (lowest to highest). The first column compares each landing point with the exact one from the same noise; the second and third compare the set of samples with fresh data as a whole (sliced W₂; between two fresh sets of data it is about 0.018).
# In the figure, each marker is a seed, and each bar is the mean of its seeds.
#
# The columns answer different questions. Look at the row of IMM: nothing in its loss names the paths, and yet its landings are the nearest to the exact ones. But its velocity is poor, because it never trains very short jumps, and more calls do not help it.
# Among the three conditions that follow the paths the velocity is equally good, since all three learn it on the same diagonal; what differs is how it is carried to the long jumps.

# %% [markdown]
# ## Exercises
#
# ### A · guided: move the end
#
# Write the residual of *move the end*, $\partial_s X - v(X, s)$, with one call of `torch.func.jvp`. It returns a function's value and its derivative along a tangent: `jvp(f, (a,), (da,))` gives `f(a)` and `f'(a) · da`.
# `X(x_t, t, s)` is a map and `v(x, t)` a velocity; `x_t` is (b, 1), `t` and `s` are (b,).


# %% tags=["exercise"]
def end_residual(X, v, x_t, t, s):
    """∂X/∂s − v(X, s) for the jumps from x_t at t to s."""
    # 1. a function of the end time alone
    # 2. its value and derivative, with the tangent 1 for each sample
    # 3. subtract the velocity, taken where the jump lands and when
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.end_residual(end_residual)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `torch.func.jvp(lambda s: X(x_t, t, s), (s,), (torch.ones_like(s),))` gives two tensors. The first one is the point at which v has to be evaluated.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def end_residual(X, v, x_t, t, s):
#     landing, rate = torch.func.jvp(lambda s: X(x_t, t, s), (s,), (torch.ones_like(s),))
#     return rate - v(landing, s)
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: two jumps as a target
#
# Write the target that PSD and SplitMeanFlow give to $u(x_t, t, s)$: the mean velocity of two jumps, from t to m and from m to s, with t > m > s. No gradient may pass through a target.
# `u(x_t, t, s)` is a mean velocity (b, 1). One public implementation of this has had a sign error; the check looks for that mistake too.


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
# ## What the paper claims, what you saw
#
# Trained numbers are means over seeds 0, 1 and 2 (lowest to highest). The maps on the line are exact, and their numbers are ranges over three sets of 300 jumps.

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

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| the flow map keeps all conditions | exact map, largest residual: {largest:.0e} | confirmed here |
| *not in the paper:* each condition alone overlooks a wrong map | of four wrong maps: {"; ".join(f"{SPOKEN[k]}: {', '.join(v) or 'none'}" for k, v in overlooks.items())} | confirmed here, exactly |
| LSD is the best of the three self-distillations (second version of the paper) | one call, to the exact map: LSD {ranged(rmse1["lsd"])}, ESD {ranged(rmse1["esd"])}, PSD {ranged(rmse1["psd"])} | {"confirmed here, ranges apart" if lsd_best else "partly: the ranges overlap"} |
| the Eulerian loss is highly unstable (the paper's project page, for images) | ESD: error finite at all 41 looks of three seeds | {"not seen at this scale" if stable else "confirmed here"} |
| *not in the paper:* moment matching, which names no path, comes near the exact map | IMM {ranged(rmse1["imm"])} beside LSD {ranged(rmse1["lsd"])} | {"confirmed here: nearer than LSD" if rmse1["imm"].max() < rmse1["lsd"].min() else "confirmed here: the ranges overlap" if imm_near else "partly: near it, with ranges apart"} |
| … but not its short jumps | velocity: IMM {ranged(velocity["imm"])}, LSD {ranged(velocity["lsd"])} | {"confirmed here" if velocity["imm"].min() > 2 * velocity["lsd"].max() else "partly"} |
| more calls help a flow map (four against one, to the distribution) | LSD {ranged(sw1["lsd"])} → {ranged(sw4["lsd"])}; MeanFlow {ranged(sw1["meanflow"])} → {ranged(sw4["meanflow"])}; PSD {ranged(sw1["psd"])} → {ranged(sw4["psd"])}; IMM {ranged(sw1["imm"])} → {ranged(sw4["imm"])} | {"confirmed here for MeanFlow and PSD" if all(sw4[n].max() < sw1[n].min() for n in ("meanflow", "psd")) else "partly: in the mean, while the ranges overlap or nearly do"} |
""")

# %% [markdown]
# These runs are half as long as those of the presets, and nothing was tuned for any method. The presets `toy.lsd` and `toy.meanflow` have the posterior mean over the batch as the target of the velocity, stratified times and half the batch on the diagonal; in 4000 steps they reach 0.068 (0.063 to 0.071) and 0.085 (0.078 to 0.092), where `toy.imm` reaches 0.103 (0.099 to 0.106). So the order here belongs to the untuned methods. On images the order of the methods may be different: there PSD was best in the first version of the paper, and LSD in the second.

# %% [markdown]
# ## Budget

# %% tags=["hide-input"]
record = [run.record for run in runs.values()]
seen_samples, seconds = (
    sum(3 * r["samples"] for r in record),
    [s for r in record for s in r["seconds"]],
)
line = read("maps-line", "lsd").record
print(
    f"Recorded: {len(record)} methods of 3 seeds, {seen_samples:,} training samples; each run 2000 steps of 256."
)
print(
    f"Each run took {min(seconds):.0f} to {max(seconds):.0f} s, on a machine that did other work too."
)
print(
    f"The network on the line: {line['samples']:,} samples. Made by, for one: {record[0]['command']}"
)
print("Trained in this notebook: nothing.")

# %% [markdown]
# **Next:** lab 19 takes MeanFlow apart: what its derivative does, and what happens when one input of it is forgotten.
