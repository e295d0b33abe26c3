# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The boundary condition
#
# **Is it enough to be consistent with yourself?**
#
# | | |
# |---|---|
# | Papers | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Section 3 and Appendix C, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); Karras et al. 2022 (EDM), Section 5, [arXiv:2206.00364](https://arxiv.org/abs/2206.00364) |
# | Level | 1 of 3 |
# | Part | The object |
# | Time | 35 minutes |
# | Run All | 10 s on 2 CPU cores |
# | You need | the consistency function f (lab 02), variances, square roots |
#
# After this lab you can
#
# 1. **find** all functions with the smallest consistency loss;
# 2. **write** the coefficients with which a consistency model mixes its input and the output of its network, and say what each is for;
# 3. **check** whether a given parametrisation satisfies the boundary condition for every network at once.
#
# Only one short demonstration trains anything, and it states its budget. All other functions are exact, or networks with random weights.

# %%
from itertools import pairwise, product

import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_line import quantile_points
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab03_boundary import checks
from cmlab_labs.lab03_boundary.explorer import explorer, parametrisations, untrained
from cmlab_labs.lab03_boundary.figures import boundary, collapse, variances
from IPython.display import Markdown

from cmlab.data.toy import Bumps, Ring
from cmlab.model import CMPrecond, EDMPrecond
from cmlab.noise_levels import KarrasGrid

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact results need double precision

# %% [markdown]
# ## Try it first
#
# Here are five networks that have learned nothing: their weights are random. Each one is asked for its answer f at three noise levels t. The panels show these answers
# for all noisy points $x_t$ between −2 and 2, one line for each network; the smallest noise level is called ε, and the dashed line is f = x.
#
# A *parametrisation*, *form* for short, is a formula around the network that mixes the network's input into its answer. A *bare* network has no such formula around it, and the five disagree everywhere. Choose the *CM form*, that of consistency models (CM), and compare the
# other two as well: the form of EDM, the diffusion model of lab 01, and a very short one, *ε/t*. Then move ε. Which property do some forms have, before the first training step, that the others lack? The answer is folded under *Explore*.

# %%
explorer(coefficients=False).turn({"form": "bare", "eps": 0.05}, hide=("sigma_data",))

# %% [markdown]
# ## Predict
#
# A consistency model is trained to agree with itself. Take two neighbouring points of one path from noise to data (lab 02): $x_t$ at noise level t, and $x_r$ at the next lower level r. The loss is
# the squared difference of the two answers, averaged over many such pairs:
#
# $$\lVert f(x_t, t) - f(x_r, r)\rVert^2 .$$
#
# The network is never shown the right answer.

# %%
predict("03.1")

# %% [markdown]
# ## The exact object
#
# Which functions have loss 0? Those that do not change along a path. For such a function, all points of a path share one value, the value at the end of the path,
# where the noise level is ε. Write $g(x) = f(x, \varepsilon)$ for the value of f there, and $f^*$ for the exact consistency function, which gives the end of the path. Then
#
# $$\text{loss} = 0 \quad\Longleftrightarrow\quad f(x_t, t) = g\bigl(f^*(x_t, t)\bigr) \quad\text{for some function } g .$$
#
# The loss says nothing about g. With g = 0 we get the trivial solution, with g(x) = −x the mirror image of the truth, and with g(x) = x the truth.
# So one more equation is needed, the **boundary condition**:
#
# $$f(x, \varepsilon) = x .$$
#
# The data of this lab are the three modes of lab 01, whose spread is 0.94 (except in *Unit variance, measured*). The table below follows four functions along one exact path; D is the posterior mean (lab 02). A row that does not change has loss 0. Only the last column, at ε, shows which of these rows is right.

# %% tags=["hide-input"]
EPS, HIGH = 0.002, 10.0
oracle = Bumps().oracle  # data on the line with three modes, exactly known
held = parametrisations(oracle.sigma_data, EPS)  # four parametrisations, by name
functions = {
    "exact f": oracle.consistency,
    "minus f": lambda x, t: -oracle.consistency(x, t),
    "constant": lambda x, t: torch.zeros_like(x),
    "mean D": oracle.denoise,
    "identity": lambda x, t: x,
    "untrained": untrained(held["CM form"], seed=0),
}

# %% tags=["hide-input", "nbval-check-output"]
path_levels = torch.tensor([HIGH, 1.0, EPS])
x = oracle.path(torch.tensor([[8.5]]), path_levels)[:, 0]
print("level t           " + "".join(f"{t:8.3f}" for t in path_levels))
print("x_t on the path   " + "".join(f"{v:8.3f}" for v in x.flatten()))
for name in ("exact f", "minus f", "constant", "mean D"):
    said = functions[name](x, path_levels).flatten()
    print(f"{name:18}" + "".join(f"{v + 0.0:8.3f}" for v in said))

# %% [markdown]
# ## The method
#
# One could add to the loss a penalty for violating the boundary condition. Consistency models instead build the condition into the network, so that it holds before the first training step and after every one.
# Let F be a network (no longer the distribution function $F_t$ of lab 02). It is used inside a formula with four coefficients that depend on the noise level:
#
# $$f(x, t) = c_\text{skip}(t)\, x + c_\text{out}(t)\, F\bigl(c_\text{in}(t)\, x,\; c_\text{noise}(t)\bigr).$$
#
# - $c_\text{skip}$ says how much of the noisy input is passed on unchanged;
# - $c_\text{out}$ says how much the network's output counts;
# - $c_\text{in}$ brings the input to a size that a network handles well;
# - $c_\text{noise}$ is the number that tells the network the noise level, here $\tfrac14 \ln t$.
#
# The boundary condition holds if
#
# $$c_\text{skip}(\varepsilon) = 1, \qquad c_\text{out}(\varepsilon) = 0 .$$
#
# Then, at ε, the skip term passes x through and the network contributes nothing, **whatever its weights are**.
#
# EDM (Karras et al. 2022) derives the coefficients at the other noise levels from three requirements. Write $\sigma_d$ for the standard deviation of the data (`sigma_data` in code), so that $x_t = x + t z$ has variance $\sigma_d^2 + t^2$:
#
# | requirement (EDM, Section 5) | consequence |
# |---|---|
# | the network's input has variance 1 | $c_\text{in} = 1/\sqrt{t^2 + \sigma_d^2}$ |
# | the network's target, $(x - c_\text{skip}\, x_t)/c_\text{out}$, has variance 1 | $c_\text{out}^2 = (1 - c_\text{skip})^2 \sigma_d^2 + c_\text{skip}^2\, t^2$ |
# | the network's errors are multiplied by as little as possible | of all $c_\text{skip}$, the one with the smallest $c_\text{out}$: exercise A asks you for both |
#
# The network's target is what F has to return for f to equal x. The second row follows from $x - c_\text{skip}\, x_t = (1 - c_\text{skip})\, x - c_\text{skip}\, t z$, since x and z are independent.
# For a denoiser $D_\theta$ of this form, $D_\theta - x$ is $c_\text{out}$ times the error of F. So EDM's loss $\lambda(t)\, \lVert D_\theta(x_t, t) - x \rVert^2$ with $\lambda = 1/c_\text{out}^2$ counts the error of F equally at every level.
#
# At t = 0 the smallest $c_\text{out}$ is 0, with $c_\text{skip} = 1$: EDM's coefficients satisfy the boundary condition at t = 0. Consistency models stop at ε, so Song et al. shift the coefficients (Appendix C). This is the *CM form*; you will write it in exercise A.
#
# ## Explore
#
# The large panel on the left shows three of the coefficients ($c_\text{noise}$ is not drawn) from t = ε upwards, with a marker at the boundary. The panels on the right show f for **five untrained networks**, at ε and at the two other noise levels that
# are marked by dotted lines. The dashed line is f = x.
#
# Two things to try. Raise ε with the EDM form: from which value on do the five lines part at ε? Then, at ε = 0.002, compare the middle panels of the CM form and of the ε/t form ($c_\text{skip} = \varepsilon/t$, $c_\text{out} = 1 - \varepsilon/t$).
# Both satisfy the boundary condition, but just above ε one asks far more of the network. Which?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# *Try it first:* at ε all five networks answer x, exactly in the CM form and the ε/t form, nearly in the EDM form (off by about 0.005 at ε = 0.002); the bare networks do not.
#
# *Explore:* with the EDM form the lines begin to part at about ε = 0.02 (off by at most 0.05), and at ε = 0.1 the difference is plain (0.2).
# At t = 0.06 the networks in the CM form are still within 0.11 of x. In the ε/t form they are off by up to 3.2, like the bare ones, because the network is multiplied by 0.97.
#
# </details>

# %% [markdown]
# ## The key figure
#
# The cell below computes the full loss of the four functions above, the identity f = x, and an untrained network in the CM form, over 17 pairs of neighbouring levels and 500 exact paths with evenly spaced ranks. The vertical axis of the right panel is broken to make room for 0.

# %%
levels = KarrasGrid(EPS, HIGH).up(18)
losses = {name: [] for name in functions}
for r, t in pairwise(levels):
    x_t = quantile_points(oracle, float(t), 500)
    t, r = t.expand(500), r.expand(500)
    x_r = oracle.flow(x_t, t, r)  # the same path, one level lower
    for name, f in functions.items():
        losses[name].append((f(x_t, t) - f(x_r, r)).square().mean().item())
boundary(levels, held, losses)

# %% tags=["hide-input", "nbval-check-output"]
print("Left and middle: at ε (markers) the CM form and the ε/t form copy x. EDM's form misses x by too little to see.")
zero = [name for name, row in losses.items() if max(row) < 1e-15]
print(f"Right: the loss is 0 at every level for {', '.join(zero[:-1])} and {zero[-1]}.")
print(
    f"At ε the constant 0 misses x by {oracle.sigma_data:.2f}, the whole spread of the data. Only the boundary condition distinguishes these three functions."
)

# %% [markdown]
# ### With the boundary condition, a small loss on exact paths means a small error
#
# Let $\varepsilon = t_1 < t_2 < \dots$ be the noise levels (counted upwards, as in the paper), and $x_{t_1}, x_{t_2}, \dots$ the points of one path. The exact $f^*$ is the same at all of them, namely $x_{t_1}$. So the error of f is the sum of the changes on the way down and the error
# at ε. At the third level, for instance:
#
# $$f(x_{t_3}, t_3) - x_{t_1} = \bigl[f(x_{t_3}, t_3) - f(x_{t_2}, t_2)\bigr] + \bigl[f(x_{t_2}, t_2) - f(x_{t_1}, \varepsilon)\bigr] + \underbrace{f(x_{t_1}, \varepsilon) - x_{t_1}}_{0 \text{ by the boundary condition}} .$$
#
# Higher levels have more brackets. Take the RMS (root mean square) over all paths. The RMS of each bracket is the square root of the loss at that level, and by the triangle inequality the RMS of a sum is at most the sum of the RMS values:
#
# $$\mathrm{RMS}\bigl(f(x_t, t) - f^*(x_t, t)\bigr) \;\le\; \sum_{\text{levels up to } t} \sqrt{\text{loss}} .$$
#
# The proof of the paper's Theorem 1 adds a solver's error to each bracket (lab 04). For a fixed smooth f the sum hardly depends on the number of levels: for D it is 1.02 with these 18 and 1.04 with 144. If each level is wrong by the same amount, however, the sum grows with their number.
# Without the boundary condition the sum bounds nothing: it is 0 for every constant. D violates the condition only slightly; the identity and the untrained network satisfy it.

# %% tags=["hide-input"]
x_T, T = quantile_points(oracle, HIGH, 500), torch.full((500,), HIGH)
rows = ["| function | Σ √loss (the bound) | error at t = 10 | does the bound hold? |", "|---" * 4 + "|"]
for name, f in functions.items():
    error = (f(x_T, T) - oracle.consistency(x_T, T)).square().mean().sqrt().item()
    bound = sum(loss**0.5 for loss in losses[name])
    rows.append(f"| {name} | {bound:.3f} | {error:.3f} | {'yes' if error <= bound + 1e-6 else '**no**'} |")
Markdown("\n".join(rows))

# %% [markdown]
# ### Optional: without a teacher, the constant has the smallest loss of all
#
# A *teacher* is a source of information about the paths (lab 04). Consistency training (Algorithm 3, lab 05) has none. It takes $x + t z$ and $x + r z$, with the same data point and the same noise. The step from the one point to the other follows the path only on average,
# so even the exact f gives two different answers and has a positive loss. That of a constant is 0. The table shows the mean loss over all levels; ± is the standard deviation over three seeds.

# %% tags=["hide-input"]
n = torch.arange(17).repeat(300)
t, r = levels[n + 1], levels[n]
pairs = {name: [] for name in functions}
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    x, z = oracle.sample(len(n), g), torch.randn(len(n), 1, generator=g)
    for name, f in functions.items():
        gap = f(x + t[:, None] * z, t) - f(x + r[:, None] * z, r)
        pairs[name].append(gap.square().mean().item())
rows = ["| function | mean loss on such pairs |", "|---|---|"]
for name, found in pairs.items():
    mean, spread = torch.tensor(found).mean(), torch.tensor(found).std()
    rows.append(f"| {name} | {mean:.4f} ± {spread:.4f} |")
Markdown("\n".join(rows))

# %% [markdown]
# The constant has the smallest loss, D comes next, and the exact f does no better than our one untrained network. On such pairs the size of the loss says little about f. If the second answer is held fixed, as in the paper and below, the direction in which training moves is not even the gradient of this loss.
#
# ### Optional: a demonstration, with its budget
#
# Does training fall into this trap? Twelve small networks learn from such pairs. Half of them have the CM form; the others are bare, so that the output of the network is f itself. Each kind is trained in two ways, from three seeds each.
# *Plain* training follows the gradient of both answers. With a *stop-gradient*, the second answer is treated as a fixed number, as in the paper's training (whose slow average of the weights, lab 06, is left out here).
# Each run takes 300 steps of the optimiser Adam with batches of 128.
# The table below is for t = 10, and each cell shows all three seeds; *spread* and *mean* are the standard deviation and the mean of the answers.

# %% tags=["hide-input"]
trained, last = {}, {}
for way, name, seed in product(("plain", "stop-gradient"), ("CM form", "bare"), range(3)):
    model, g = untrained(held[name], seed), torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(300):
        x, z = oracle.sample(128, g), torch.randn(128, 1, generator=g)
        n = torch.randint(17, (128,), generator=g)
        t, r = levels[n + 1], levels[n]
        f_t, f_r = model(x + t[:, None] * z, t), model(x + r[:, None] * z, r)
        loss = (f_t - (f_r if way == "plain" else f_r.detach())).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    trained[way, name, seed], last[way, name, seed] = model, loss.item()

# %% tags=["hide-input"]
points = [(quantile_points(oracle, float(t), 300), t.expand(300)) for t in levels]
truth = torch.stack([oracle.consistency(*at).std() for at in points])
with torch.no_grad():
    said = {run: torch.stack([f(*at)[:, 0] for at in points]) for run, f in trained.items()}
ways = {
    "plain": "Plain:\nbare networks collapse to a constant",
    "stop-gradient": "Stop-gradient:\nthe spread of bare networks is arbitrary",
}
spreads = {title: {} for title in ways.values()}
for way, form in product(ways, ("CM form", "bare")):
    rows = [said[way, form, seed].std(1) for seed in range(3)]
    spreads[ways[way]][form] = torch.stack(rows)
collapse(levels, truth, spreads)

# %% tags=["hide-input"]
table = ["| training | form | spread | mean | RMS error | last loss |", "|---" * 6 + "|"]
goal = oracle.consistency(*points[-1])[:, 0]
for way, form in product(ways, ("CM form", "bare")):
    ends = torch.stack([said[way, form, seed][-1] for seed in range(3)])
    cells = [ends.std(1), ends.mean(1), (ends - goal).square().mean(1).sqrt()]
    cells = [", ".join(f"{v:.2g}".replace("-", "−") for v in cell) for cell in cells]
    cells.append(", ".join(f"{float(f'{last[way, form, seed]:.0e}'):.9f}".rstrip("0").rstrip(".") for seed in range(3)))
    table.append(" | ".join([f"| {way}", form, *cells]) + " |")
table.append(f"| *exact f* | | {goal.std():.2g} | {goal.mean():.2g} | 0 | |")
Markdown("\n".join(table))

# %% [markdown]
# - **Plain, bare: collapse.** Each seed gives nearly one constant of its own, the same at every level, and these three runs have by far the lowest loss of all twelve.
# - **Plain, CM form: right at ε, but too small at high noise.** The boundary condition rules the constant out. Still, such pairs favour small answers, because even the exact f has a positive loss on them, and plain training may lower it by shrinking both answers.
# - **Stop-gradient, CM form: the spread is nearly kept** at every level, and the answers come nearest to the exact f. Only the answer at t moves, towards the mean of its targets. Means of scattered targets shrink too, but less (lab 05).
# - **Stop-gradient, bare: no collapse, but useless.** Nothing ties the answers to the data, and in these 300 steps they drift away, each seed to a different place. The stop-gradient does not replace the boundary condition.

# %% [markdown]
# ### Unit variance, measured
#
# The boundary condition fixes c_skip and c_out at one noise level. At all other levels they serve EDM's requirements.
# We measure the variance of the network's input and target for EDM's coefficients (those of the CM form differ from them by at most ε = 0.002) and eight modes on a ring, with 20 000 samples at each of 12 levels and three seeds. Lines are means over the seeds and bands their range, which is hardly visible. For $\sigma_d$ we assume in turn the right value, half of it, and twice the right value.

# %% tags=["hide-input"]
data, scales, grid = Ring(), {"right": 1.0, "half": 0.5, "double": 2.0}, torch.logspace(-2.7, 1, 12)
given, asked = {name: torch.zeros(3, 12) for name in scales}, {name: torch.zeros(3, 12) for name in scales}
draws = [torch.Generator().manual_seed(seed) for seed in range(3)]
for (seed, g), (k, t) in product(enumerate(draws), enumerate(grid)):
    x, z = data.oracle.sample(20_000, g), torch.randn(20_000, 2, generator=g)
    for name, scale in scales.items():
        skip, out, c_in, _ = EDMPrecond(scale * data.sigma_data)(t)
        x_t = x + t * z
        given[name][seed, k] = (c_in * x_t).square().mean()
        asked[name][seed, k] = ((x - skip * x_t) / out).square().mean()

# %% tags=["hide-input"]
start = torch.cat([data.oracle.sample(150, g) + HIGH * torch.randn(150, 2, generator=g) for g in draws])
path = data.oracle.path(start, grid.flip(0)).flip(0)  # (12, 450, 2); path[0] are the ends
skip, out, *_ = (c[:, None, None] for c in EDMPrecond(data.sigma_data)(grid))
asked["exact f"] = ((path[0] - skip * path) / out).square().reshape(12, 3, 300).mean(2).T
variances(grid, given, asked)

# %% tags=["hide-input"]
worst = f"{100 * max((found['right'] - 1).abs().max() for found in (given, asked)):.1f} %"
half, double = ([given[name][:, 0].mean(), asked[name][:, -1].mean()] for name in ("half", "double"))
far, near = ranged(asked["exact f"][:, -1], ".2f"), ranged(asked["exact f"][:, 4])
print(f"With the right σ_d, all 3 × 24 variances are within {worst} of 1.")
print(
    f"With half the right value, the input has variance {half[0]:.2f} near the data, and the target {half[1]:.2f} at high noise. With twice the right value: {double[0]:.2f} and {double[1]:.2f}."
)
print(
    f"The black line is for a network that is asked for the exact f instead of x: the variance of its target is {far} at t = 10, and {near} at t = {grid[4]:.2f}."
)

# %% [markdown]
# Towards the data the black line continues to fall, below the edge of the picture. EDM's requirements are about **denoising**, where the target is x. Near the data x lies at a distance of order t from $x_t$, but the end of the path at one of order $t^2$, since the slope is $-t\,\nabla \ln p_t$.
# Divided by $c_\text{out}$, which is about t there, this is a target of size t: the skip term alone is almost right. The ε/t form makes no use of this.

# %% [markdown]
# ## Exercises
#
# ### A · guided: the coefficients of the CM form
#
# First on paper: find the $c_\text{skip}$ that makes $c_\text{out}^2$ smallest, in the second row of the table of requirements, and the $c_\text{out}$ that belongs to it. These are EDM's coefficients.
# For the CM form, replace t by t − ε where it stands for the distance to the boundary: in $c_\text{skip}$, and in the factor t of $c_\text{out}$. Under a root it stands for the noise in $x_t$, and stays.
#
# Write the CM form's $c_\text{skip}$, $c_\text{out}$ and $c_\text{in}$ for a tensor of noise levels t. The check requires the boundary condition to hold to 1e-7, an input of variance 1 on the ring
# (by simulation, within 2 %), and agreement with the paper.


# %% tags=["exercise"]
def cm_coefficients(t, sigma_data, eps):
    """c_skip, c_out and c_in of the CM form at noise levels t (b,)."""
    # 1. the standard deviation of x_t, from σ_d and t
    # 2. c_skip: a ratio of variances, 1 at t = ε
    # 3. c_out: 0 at t = ε, σ_d at high noise
    # 4. c_in: what brings x_t to size 1
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.cm_coefficients(cm_coefficients)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The derivative of $(1 - c_\text{skip})^2 \sigma_d^2 + c_\text{skip}^2\, t^2$ with respect to $c_\text{skip}$ is 0 at the minimum; solve for $c_\text{skip}$ and insert it. There are four t in EDM's three formulas, and two of them stand under a root. At t = ε, what must become of the other two?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def cm_coefficients(t, sigma_data, eps):
#     """c_skip, c_out and c_in of the CM form at noise levels t (b,)."""
#     size = (t**2 + sigma_data**2) ** 0.5
#     c_skip = sigma_data**2 / ((t - eps) ** 2 + sigma_data**2)
#     c_out = sigma_data * (t - eps) / size
#     return c_skip, c_out, 1 / size
# ```
#
# On paper: $-2\,(1 - c_\text{skip})\,\sigma_d^2 + 2\,c_\text{skip}\,t^2 = 0$ gives $c_\text{skip} = \sigma_d^2/(t^2 + \sigma_d^2)$. Then $c_\text{out}^2 = \sigma_d^2\,t^2/(t^2 + \sigma_d^2)$, so $c_\text{out} = \sigma_d\,t/\sqrt{t^2 + \sigma_d^2}$.
#
# </details>

# %% [markdown]
# This is the package's own version, to compare with yours; `quarter_log` is $c_\text{noise} = \tfrac14 \ln t$.

# %%
show_source(CMPrecond.__call__)

# %% [markdown]
# ### B · on your own: does it hold?
#
# A colleague hands you two functions of a number t, `c_skip` and `c_out`, and an ε. Does $f(x, \varepsilon) = x$ hold for **every** network F and every x?
# Return True or False. The check has ten cases, and some of them are traps.


# %% tags=["exercise"]
def anchored(c_skip, c_out, eps):
    """Whether c_skip(t) x + c_out(t) F(x, t) is x at t = eps, whatever F is."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.anchored(anchored)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Take F = 0, then F = 1. What do these two cases tell you about c_skip(ε) and c_out(ε)? Remember also that computers round: 1 − √0.3 · √0.3 / 0.3 need not be exactly 0.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def anchored(c_skip, c_out, eps):
#     """Whether c_skip(t) x + c_out(t) F(x, t) is x at t = eps, whatever F is."""
#     return abs(c_skip(eps) - 1) < 1e-9 and abs(c_out(eps)) < 1e-9
# ```
#
# One of the cases copies x at ε only and leaves all other levels to the network. It satisfies the boundary condition. The paper mentions this form too (its equation 4),
# but takes coefficients that change smoothly, so that f can be differentiated at ε and the networks of diffusion models can be reused.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Rows about networks have three seeds or more. The variances for the exact f are the mean of three seeds of 150 paths each (lowest to highest).

# %% tags=["hide-input"]
low, at_eps = quantile_points(oracle, EPS, 200), torch.full((200,), EPS)
with torch.no_grad():
    nets = {form: [untrained(held[form], seed) for seed in range(5)] for form in held}
    miss = {form: max((f(low, at_eps) - low).abs().max() for f in nets[form]) for form in nets}
    miss_at_0 = max((f(low, 0 * at_eps) - low).abs().max() for f in nets["EDM form"])
skip, out, *_ = (c[0] for c in held["EDM form"](at_eps))
flat = max(said["plain", "bare", seed].std(1).max() for seed in range(3))
alive = min(said["stop-gradient", "CM form", seed].std(1).min() for seed in range(3))
shrunk = min(said["plain", "CM form", seed].std(1).min() for seed in range(3))
drift = ", ".join(f"{said['stop-gradient', 'bare', seed][-1].mean():.1f}" for seed in range(3))

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| the CM form has f(x, ε) = x, whatever the network (Song, Section 3 and Appendix C) | five untrained networks, 200 points: largest error {miss["CM form"]:.1g} | confirmed here |
| EDM's form does not, when ε is not 0 (Song, Appendix C) | 1 − c_skip(ε) = {1e6 * (1 - skip):.1f} · 10⁻⁶, c_out(ε) = {out:.4f}; largest error {miss["EDM form"]:.4f} at ε = 0.002, {miss_at_0:.1g} at t = 0 | confirmed here, but at this ε the error is small |
| the boundary condition rules out the trivial solution f = 0 (Song, Section 4) | loss of the constant: {sum(losses["constant"]):.0f} at all levels; it misses x at ε by {oracle.sigma_data:.2f} | confirmed here |
| without it, training fails (Song, Section 3: the condition is crucial for training) | three seeds, plain: spread at most {flat:.3f} at every level, while that of the data is {oracle.sigma_data:.2f}; stop-gradient: no constant, but mean answers of {drift.replace("-", "−")} at t = 10 | partly: plain training collapses; with the stop-gradient the answers drift |
| with it, training does not collapse | three seeds, stop-gradient: spread at least {alive:.2f} at every level; plain: down to {shrunk:.2f} | partly: no constant, but plain training shrinks the answers |
| input and target of the network have variance 1 (Karras, Section 5) | within {worst} at 12 levels | confirmed here, for denoising with the right σ_d |
| *not in the paper:* the same for the target of a consistency function | variance {near} at t = {grid[4]:.2f}, {far} at t = 10 | partly: near 1 at high noise only; near the data it falls like t² |
| coefficients that change smoothly are preferred to copying x at ε alone (Song, Section 3) | nothing was compared | not run here |
""")

# %% [markdown]
# ### What to remember
#
# 1. Self-consistency says that f is constant along a path, and the boundary condition says which constant it is. With the boundary condition, a small loss on exact paths means a small error.
# 2. The boundary condition is built in rather than learned: at ε, $c_\text{skip}$ is 1 and the network contributes nothing.
# 3. At the other levels the coefficients, with the right $\sigma_d$, keep the network's input and a denoiser's target at size 1; the target of a consistency function is smaller near the data.
#
# ## Budget
#
# The demonstration: 12 runs × 300 steps × 128 samples = 460 800 samples and twice as many network calls.
#
# **Next:** with the boundary condition in place, f can be learned. Lab 04 has a teacher that knows the path; lab 05 has none.
