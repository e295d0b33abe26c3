# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · The slow target
#
# **What does a slow target do to training?**
#
# | | |
# |---|---|
# | Papers | Song & Dhariwal 2024, *Improved Techniques for Training Consistency Models* (iCT), Section 3.2, [arXiv:2310.14189](https://arxiv.org/abs/2310.14189); Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models* (CT), Algorithm 3 and Appendix C, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 45 minutes |
# | Run All | 7 s on 2 CPU cores |
# | You need | the consistency function (lab 02), moving averages; consistency training (lab 05) and the boundary condition (lab 03) are summed up below |
#
# After this lab you can
#
# 1. **derive** the direction in which a lagging target pulls, and how it depends on the grid;
# 2. **read**, from a map of the error by noise level and training step, up to which level the network is right;
# 3. **judge** what the loss of a run tells you about its quality.
#
# **What you need from labs 03 and 05.** Consistency training draws a data point x, noise z, and two neighbouring noise levels r < t from a grid of N levels. It makes two noisy points with the same noise, $x_t = x + t\,z$ and $x_r = x + r\,z$, and moves the network's answer at the first
# towards its answer at the second. The loss is a distance d between the two answers, times a weight λ that may depend on t and r. No gradient flows through the second answer. The step from the first of these points to the second follows a path only on average, so even for the exact consistency function the loss is not zero.
# The network is built so that at the smallest noise level it returns its input, whatever its weights are; this is the *boundary condition*.
#
# **A note on words.** The second answer, $f_{\theta^-}(x_r, r)$, is given with weights $\theta^-$ that may be a slow moving average of the trained weights θ.
# The iCT paper calls this second network the *EMA teacher* (EMA: exponential moving average). In this package a teacher is an outside source of truth, whereas $\theta^-$ is only the student's own past, so we call it the **target**.
#
# Two recipes occur below; lab 07 compares them piece by piece. Both have this course's network and optimizer.
#
# | | plain CT | iCT |
# |---|---|---|
# | paper | 2023 (which has LPIPS for d, a distance between features) | 2024 |
# | target | average with decay μ(k) | θ⁻ = θ |
# | distance d | squared L2, $\lVert\cdot\rVert^2$ | pseudo-Huber, $\sqrt{\lVert\cdot\rVert^2 + c^2} - c$ with a tiny c: nearly the length |
# | weight λ | 1 | 1/(t − r) |
# | intervals of the grid | drawn uniformly | low levels more often |
# | N | grows from 2 to 151 | doubles from 11 to 1281 |

# %%
import numpy as np
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab06_ema import checks
from cmlab_labs.lab06_ema.analysis import PointMass
from cmlab_labs.lab06_ema.explorer import (
    EMATraining,
    explorer,
    recorded_run,
    springs,
    unlabelled_runs,
)
from cmlab_labs.lab06_ema.figures import (
    error_by_decay,
    front_arrival,
    gradient_by_points,
    labelled_samples,
    steps_by_points,
    unlabelled_losses,
    wavefronts,
)
from cmlab_labs.lab06_ema.study import DECAYS, GRIDS, variant_name
from cmlab_labs.registry import STUDIES
from IPython.display import Markdown

from cmlab.data.toy import Ring
from cmlab.losses import Uniform
from cmlab.methods.ct import GridDecay, SqrtGrowth

start_lab(threads=1)  # a small network: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# Suppose that all data are the single number ξ (the Greek letter xi). The *student* is the model that is trained. It has one weight θ, which starts at distance 1 from ξ, and training pulls it with two springs. One is attached to the truth ξ.
# The other is attached to the target θ⁻, which follows the student slowly: after each step it keeps a fraction μ of its old value. (In the picture the long spring leads to the truth. The short one above it leads to the target: it is stiff, and pulls almost as hard.)
#
# Move the step with the slider or with the arrow keys. Then choose μ = 0, where the target is the student itself, and compare. Then choose a finer grid of noise levels, with more points N. Which slows the student down: a slower target, a finer grid, or both? (The figure that counts the steps, below, answers this.)

# %%
springs()

# %% [markdown]
# ## Predict
#
# Now the springs are replaced by a network. Four runs of consistency training (iCT but for its target) learn the ring of eight modes. They share the data, the network, the loss with its weight λ, the noise levels, the grids and the three seeds.
# They differ in one number, the decay μ of the target. Below are their losses, averaged over the seeds; the vertical dotted lines are the steps at which the number of grid points doubles.

# %%
unlabelled_losses(unlabelled_runs(), switches=range(500, 4000, 500))

# %%
predict("06.1")

# %% [markdown]
# ## The exact object
#
# Let all data be one point ξ, as in the figure above. The paths are then straight lines into ξ. A single number θ defines a model, in the ε/t form of lab 03 (ε is the smallest noise level, $\sigma_{\min}$ in lab 01):
#
# $$f_\theta(x_t, t) = \frac{\varepsilon}{t}\, x_t + \Bigl(1 - \frac{\varepsilon}{t}\Bigr)\, \theta .$$
#
# It satisfies the boundary condition for every θ, and it is the exact consistency function when θ = ξ. Take two points with the same noise, $x_t = \xi + t z$ and $x_r = \xi + r z$ with t > r, and write $a_t = 1 - \varepsilon / t$.
# Put $x_t$ into the model: $f_\theta(x_t, t) = \xi + \varepsilon z + a_t(\theta - \xi)$. Both answers contain the same term $\varepsilon z$, so the noise cancels in their difference:
#
# $$f_\theta(x_t, t) - f_{\theta^-}(x_r, r) = a_t(\theta - \xi) - a_r(\theta^- - \xi) = \underbrace{a_r(\theta - \theta^-)}_{\text{lag}} + \underbrace{(a_t - a_r)(\theta - \xi)}_{\text{what is to be learned}} .$$
#
# Square the difference, multiply it by a weight λ, take the mean over the N − 1 intervals of the grid (from ε = 0.002 to 80, as in the papers; the ring below has 10 as its highest level), and differentiate with the target held fixed:
#
# $$\nabla L = A\,(\theta - \theta^-) + B\,(\theta - \xi), \qquad A = 2\,\mathrm{E}[\lambda\, a_t a_r], \quad B = 2\,\mathrm{E}[\lambda\, a_t (a_t - a_r)] .$$
#
# These are the **two springs**. A ties θ to its own past, and B ties it to the truth. When the grid is refined, $a_t - a_r$ shrinks with the gap t − r, and so does B, while A does not. (In the code below, `proposal` says how often each interval is drawn, and its `masses` are these probabilities, here 1/(N − 1) each.)

# %%
show_source(PointMass.pulls.fget)

# %% tags=["nbval-check-output"]
print("          λ = 1                λ = 1/(t − r)")
print("    N        A        B            A        B      B/A")
for n in (11, 41, 161, 641, 2561):
    (a, b), (a_w, b_w) = PointMass(n, Uniform()).pulls, PointMass(n).pulls
    print(f"{n:5d} {a:8.4f} {b:8.4f}     {a_w:8.2f} {b_w:8.3f} {b_w / a_w:8.4f}")

# %% [markdown]
# With λ = 1 the whole signal B fades as the grid gets finer, with or without a lag. To get a finite limit one has to **rescale** the loss, that is, to divide it by the gap t − r. The weight of iCT, 1/(t − r), does so for each interval.
# With this weight B stays finite, and A grows in proportion to N.
#
# Now suppose that θ is at distance 1 from ξ and that the target lags 5 % behind it: $\theta^- - \xi = 1.05$. The gradient is then B − 0.05 A. Once N is large enough it is negative,
# and gradient descent pushes θ **away** from ξ, back to where the target is. Without a lag the gradient is B on every grid. (The vertical axis is linear between −10 and 10 and logarithmic beyond.)

# %%
points = (11, 21, 41, 81, 161, 321, 641, 1281)
gradients = {lag: [PointMass(n).gradient(1, 1 + lag, 0) for n in points] for lag in (0, 0.01, 0.05)}
gradient_by_points(points, gradients)

# %% [markdown]
# Does a slow target therefore lead the network to a wrong answer? It does not. Look at the two springs: both are slack when θ = θ⁻ = ξ, and only then, so the **fixed point is the truth** for every μ below 1.
# This holds in general: at rest the target does not move, so θ⁻ = θ, and what is left is the condition for rest with μ = 0. The fixed points are those of lab 05, with their bias from the grid, whatever μ is.
#
# And how large is the lag in a real descent? θ runs ahead of its target until the two pulls balance, $A(\theta^- - \theta) = B(\theta - \xi)$: this is a lag of B/A. From then on θ moves only as fast as the target follows.
# Along the way the gradient of θ does not change sign. But whenever chance, or a good batch, carries θ further ahead than that, the gradient pulls it back, which is the wrong direction. (B/A also says from which grid on a lag of 5 % is too much: at N = 161 it is still 5.6 %.)

# %% tags=["nbval-check-output"]
toy = PointMass(161)
a, b = toy.pulls
print(f"N = 161: the pulls balance at a lag of B/A = {100 * b / a:.1f} %")
print("         after 500 steps                               after a million steps")
print("    μ    student − ξ    target − ξ     lag             student − ξ")
for mu in DECAYS:
    (theta, target), (end, _) = toy.after(mu, 500), toy.after(mu, 10**6)
    lag = f"{100 * (target / theta - 1):.1f} %" if mu else "none"
    left = "below 10⁻¹²" if abs(end) < 1e-12 else f"{end}"
    print(f"{mu:5g} {theta:14.3f} {target:13.3f} {lag:>7} {left:>23}")

# %% [markdown]
# In short, **a slow target makes training slow but does not move the fixed point.** How slow? The next figure counts the steps of this model, with a step size of 0.1/(A + B) for every μ.

# %%
steps = {mu: [PointMass(n).steps_to_reach(mu) for n in points] for mu in DECAYS}
balance = [sum(PointMass(n).pulls) / PointMass(n).pulls[1] for n in points]  # (A + B)/B
free = [PointMass(n).steps_to_reach(0, rate=0.1 * k) for n, k in zip(points, balance, strict=True)]
steps_by_points(points, steps, free)

# %% [markdown]
# With μ = 0, too, a finer grid takes more steps in this figure, but only because of this step size. Without a lag the gradient is B(θ − ξ) alone, and with a step size of 0.1/B the number of steps does not depend on N (thin line).
# With a lag a larger step size hardly helps: at each step the target closes only a fraction 1 − μ of its distance from θ, and this distance shrinks like 1/N. (From a step size of about 2/(A + B) on the descent diverges.) So it is the **lag** that makes a fine grid slow; exercise B asks how slow.
#
# The networks below are trained with Adam, which divides each gradient by its own running size. The model says in which way a lag acts, not how many steps it costs a network.
#
# ## The method, from its source
#
# | | the paper | here |
# |---|---|---|
# | CT (2023) | $\theta^- \leftarrow \mu(k)\,\theta^- + (1 - \mu(k))\,\theta$ after step k | `EMATarget` |
# | iCT (2024) | $\theta^- = \mathrm{stopgrad}(\theta)$, that is μ = 0 | `StopGrad` |
#
# `EMATarget` keeps a second set of weights, and you will write its update yourself in exercise A. `StopGrad` needs none: it calls the student without recording a gradient.
#
# Where does CT take its μ(k) from? Appendix C of the paper ties it to the number N(k) of grid points at step k:
#
# $$\mu(k) = \exp\Bigl(\frac{s_0 \ln \mu_0}{N(k)}\Bigr), \qquad s_0 = 2,\; \mu_0 = 0.9 ,$$
#
# where $s_0$ is the number of points of the first grid, and $\mu_0$ the decay on it. An average with decay μ reaches back over about 1/(1 − μ) steps; the table below calls this its *memory*. By this rule, the finer the grid, the slower the target. The argument with the two springs calls for the opposite.

# %%
show_source(GridDecay.value)

# %% tags=["hide-input", "nbval-check-output"]
grid = SqrtGrowth(2, 150, 4000)
mu = GridDecay(2, 0.9).on_grid(grid)
for k in (0, 100, 1000, 2000, 4000):
    memory = 1 / (1 - mu(k))
    print(f"step {k:4d}: N = {grid(k):3.0f}   μ = {mu(k):.4f}   memory 1/(1 − μ) = {memory:3.0f} steps")

# %% [markdown]
# ## Explore
#
# Now a real network learns the ring, whose exact consistency function f* is known. What you see was **recorded**: iCT with four decays μ on three grids, with three seeds each. Two grids are fixed, with N = 11 and N = 161 points; the third, *doubling*, starts at N = 11 and doubles its intervals every 500 steps, up to N = 1281. Each run was measured 41 times during training.
#
# On the left is the distance to f* at each noise level and step, from dark blue (0.03 and less) to yellow (1 and more). The white line is the **front**: below it the error is smaller than 0.2 (the ring has radius 1).
# At the lowest noise levels f is right from the first step, thanks to the boundary condition. From there correct answers have to travel upwards, since each level learns from the one below it.
# In the middle is the error by noise level at the step of the dotted line, and on the right the loss so far. Thin lines show μ = 0 at the same step.
#
# Two averages must not be confused. The target θ⁻ takes part in training, and μ is its decay. In every run, whatever μ is, a second average of θ is kept that has no influence on training: samples, and errors *at the end* of a run, are those of this second average. Maps and curves *during* training show θ itself.
#
# Three things to try:
#
# - Move the step with the arrow keys and watch the middle panel. At which end does the error fall first?
# - Choose μ = 0.999. Where does the front stop?
# - Keep μ = 0.99 and go through the three grids. On which one does it do no harm, and why there?

# %%
explorer()

# %% [markdown]
# <details><summary>What you should have seen</summary>
#
# The error falls first at the lower end, next to the data. With μ = 0.999 the front stops at t = 0.29 on the grid with N = 161, and not much higher, at 0.35, on the doubling one. With μ = 0.99 the lag does no harm at N = 11: for a point mass on the ring's levels B/A, the lag at which the pulls balance, is 0.46 there, and 0.015 at N = 161.
#
# </details>

# %% [markdown]
# ## The key figure
#
# The maps compare four targets on a fixed grid of N = 161 points. Thin lines are the fronts of the three seeds, and the thick line is the front of their mean error. *At the top* means that the thick line stays at the highest level from then on.

# %%
fixed = {f"μ = {mu:g}": recorded_run(mu, 161) for mu in DECAYS}
wavefronts(fixed)

# %% tags=["hide-input"]
rmse = {n: {mu: read("target", variant_name(mu, n)).score("rmse") for mu in DECAYS} for n in GRIDS}
print("RMS error at the end, all noise levels: " + ", ".join(f"{ranged(rmse[161][mu])} with μ = {mu:g}" for mu in (0.0, 0.999)))

# %% [markdown]
# The first map is noisy, and single seeds fall back several times; with μ = 0.9 the fronts rise steadily. A slow target averages noise out, and a student that follows it moves little. With μ = 0.99 the front rises in the same way, but slowly, and with μ = 0.999 it hardly moves.
#
# Whether a smooth rise makes up for the time lost depends on the grid. On the doubling grid a **small** lag does not delay the front: with μ = 0.9 it reaches the top even sooner than with μ = 0. With μ = 0.999 it never gets far.

# %% tags=["hide-input"]
table = ["| grid | front for an error of | " + " | ".join(f"μ = {mu:g}" for mu in DECAYS) + " |", "|---" * 6 + "|"]
for n, near in ((161, 0.2), (161, 0.1), (0, 0.2), (0, 0.1)):
    fronts = [front_arrival(recorded_run(mu, n), near) for mu in DECAYS]
    table.append(f"| {f'N = {n}' if n else 'doubling'} | {near} | " + " | ".join(fronts) + " |")
folded("When the front arrives, for two grids and two errors", "\n".join(table))

# %% [markdown]
# ### The trap: the lowest loss
#
# Back to the four runs of the prediction. Here are their one-call samples (first seed), and over their three seeds the mean error at the highest noise level and the mean final loss:

# %%
runs = {f"{number}, μ = {run.mu:g}": run for number, run in unlabelled_runs().items()}
clouds = {title: read("target", variant_name(run.mu, 0))["cloud"][0] for title, run in runs.items()}
labelled_samples(runs, clouds, Ring().oracle.components.means.numpy())

# %% [markdown]
# All four were trained with the same weight on the same grid, so at a given step their losses are on the same scale. And yet the lowest loss goes with the largest error. Two things can make the loss of a slow run small.
#
# - **Its answers are flat.** The points $x + t z$ and $x + r z$ do not lie on one path, so that even f* has a positive loss, and flatter answers have a smaller one (lab 03: for a constant it is zero). How flat they are can be read from how far the samples spread; the RMS radius of the data is about 1.
# - **Its target is its own past.** The loss compares the network not with itself, but with what it was a while ago.
#
# The table shows all four runs.

# %% tags=["hide-input"]
name = {run.mu: title for title, run in runs.items()}
table = ["| | final loss | RMS radius of the samples | samples near a mode | RMS error to f*, all noise levels |", "|---" * 5 + "|"]
for mu in DECAYS:
    found = read("target", variant_name(mu, 0))
    radius = np.sqrt((found["cloud"] ** 2).sum(-1).mean(1))
    row = (found["loss"][:, -1], radius, found.score("hq"), rmse[0][mu])
    table.append(f"| {name[mu]} | " + " | ".join(map(ranged, row)) + " |")
Markdown("\n".join(table))

# %% [markdown]
# Each entry is the mean of three seeds (lowest to highest). *Samples near a mode* is the share of the samples that lie within three standard deviations of a mode.
#
# Which of the two causes is it? One more evaluation tells: compare the network at the end of run 3 with its own target and, on the same 65 536 pairs, with itself (θ⁻ = θ).

# %% tags=["hide-input"]
parts = {mu: read("loss-parts", variant_name(mu, 0))["parts"].T for mu in (0.0, 0.999)}  # own target, θ⁻ = θ, f*
own, itself, exact = parts[0.999]
Markdown(f"""| run 3, with its own target | run 3, with θ⁻ = θ | run 2, where θ⁻ = θ | f* |
|---|---|---|---|
| {ranged(own)} | {ranged(itself)} | {ranged(parts[0.0][1])} | {exact[0]:.3f} |

Compared with itself, run 3 has a higher loss than run 2 and than f*, on every seed. So its loss is not low because its own answers are flat: **it is low only against its own target**, the past with which the network agrees better than with its present answers.""")

# %% tags=["hide-input"]
families = {f"N = {n}" if n else "doubling": [variant_name(mu, n) for mu in DECAYS] for n in GRIDS}
families["plain CT"] = [f"ct-mu-{mu:g}" for mu in DECAYS]
traps = []  # where the lowest loss goes with the largest error
for title, variants in families.items():
    losses = [read("target", variant)["loss"][:, -1].mean() for variant in variants]
    errors = [read("target", variant).score("rmse").mean() for variant in variants]
    traps += [title] if np.argmin(losses) == np.argmax(errors) else []
mild_own, mild_itself, _ = read("loss-parts", variant_name(0.99, 161))["parts"].T
Markdown(f"""Nor is the highest loss a safe sign: on the grid with N = 161 it belongs, for each seed, to μ = 0.99, a run that has failed as well. (There, too, the lag makes the loss smaller, but only a little: from {ranged(mild_itself)} with θ⁻ = θ to {ranged(mild_own)}.) And at N = 11 nothing in the losses shows that μ = 0.999 has an error of {rmse[11][0.999].mean():.2f} where the other three have {rmse[11][0.0].mean():.2f}.""")

# %% [markdown]
# ### Finer grids, and the recipe of 2023
#
# The two springs say that the harm of a lag grows with N. The left panel tests this. The right panel shows what happens without the average in plain CT, and with the paper's own μ(k). Each marker is one seed.

# %%
inside = {f"N = {n}" if n else "doubling": rmse[n] for n in GRIDS}
plain = {mu: read("target", f"ct-mu-{mu:g}").score("rmse") for mu in DECAYS}
paper = read("ladder", "ct").score("rmse")
error_by_decay(inside, plain, paper)

# %% [markdown]
# Inside iCT no lag that was tried lowers the final error by more than the range of the seeds, and a long one ruins the run. In plain CT a short memory (μ = 0.9, ten steps) is even a little better than none, perhaps because nothing else in that recipe reduces the noise.
# A long memory hurts there too, and the paper's own μ(k), which ends with a memory of 717 steps, is among the worst. Without any lag plain CT still falls far short of iCT: the target was one flaw among several (lab 07).
#
# **This says more about short runs than about CT.** Our runs have 4000 steps, so μ = 0.9, 0.99 and 0.999 reach back over 0.25 %, 2.5 % and 25 % of a run, and CT's μ(k) over up to 18 %. In the paper's 800 000 steps the same μ(k) reaches back over less than 0.1 %, a shorter memory than any lag tried here.
# Whether the share of the run counts, or the number of steps, has not been tested. Since the final answer is not biased, a run a hundred times as long should reach it all the same; this has not been tested on a network either.
#
# ### Train one yourself
#
# This is the same recipe with a seed that no recording has used. Choose μ and the grid, then press **Start**. The same button pauses the run, and **Reset** starts from the beginning. A whole run takes about half a minute.
# The map grows as the network trains. Nothing runs until you ask for it.

# %%
EMATraining()

# %% [markdown]
# ## Exercises
#
# ### A · guided: move the target
#
# Write one update of the target, in place: $\theta^- \leftarrow \mu\,\theta^- + (1 - \mu)\,\theta$ for every parameter, and a plain copy of every buffer (buffers are a network's constants and counters, which are not trained). Return the target.

# %% tags=["exercise"]
def ema_update(target, online, mu):
    """Move the parameters of `target` towards those of `online`; both are nn.Modules."""
    # 1. no gradient history: which context manager?
    # 2. pair up the parameters of the two, and write into the target's own tensors
    # 3. pair up the buffers, and copy
    # 4. return target
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.ema_update(ema_update)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Put the update under `with torch.no_grad():` (after `import torch`). `target.parameters()` and `target.buffers()` iterate over the tensors of a network, and `zip` pairs them with those of `online`. `p = mu * p + …` makes a new tensor and leaves the target as it was. `p.mul_(mu).add_(…)` and `p.lerp_(q, fraction)` write into the tensor that is there. Which fraction does `lerp_` want, μ or 1 − μ? Try it with μ = 1, where nothing should move.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def ema_update(target, online, mu):
#     with torch.no_grad():
#         for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
#             slow.lerp_(fast, 1 - mu)
#         for kept, new in zip(target.buffers(), online.buffers(), strict=True):
#             kept.copy_(new)
#     return target
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: how slow is slow?
#
# *On paper:* the point mass again, once the two pulls balance. How far is the target from θ, as a share of its own distance from ξ? By which factor does this distance shrink in one step? How many steps does it take until 5 % of the way is left, if the balance is there from the start?
# Write the result as a function of A, B and μ. The check compares it with the descent itself, counted as for the figure of the steps, for μ = 0.99 and 0.999 on three grids.

# %% tags=["exercise"]
def steps_to_go(A, B, mu):
    """About how many steps until a twentieth of the way is left; μ is near 1."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.steps_to_go(steps_to_go)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The balance $A(\theta^- - \theta) = B(\theta - \xi)$ can be solved for $\theta^- - \theta$ as a share of $\theta^- - \xi$. After a step $\theta^-$ has moved by $(1 - \mu)(\theta^- - \theta)$. A quantity that loses the small share q of itself at each step falls like $e^{-qk}$.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
#
# def steps_to_go(A, B, mu):
#     """About how many steps until a twentieth of the way is left; μ is near 1."""
#     share = (1 - mu) * B / (A + B)
#     return math.log(20) / share
# ```
#
# At N = 161, with A = 155.4 and B = 8.63, the target closes 1 − μ = 1 % of 5.3 % of its way at each step. That gives about 5700 steps for μ = 0.99; the descent takes 6086. As N grows, B tends to a constant and A grows like N: so does the number of steps.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over the seeds 0, 1 and 2 (lowest to highest), from the recordings described below under Budget. “iCT” is the 2024 paper; the argument of its Section 3.2 (Proposition 1) is given here in our own derivation.

# %% tags=["hide-input"]
flip = next(n for n, pull in zip(points, gradients[0.05], strict=True) if pull < 0)
far = PointMass(10_241)
slow = {n: rmse[n][0.999].mean() / rmse[n][0.0].mean() for n in GRIDS}
mild = {n: rmse[n][0.99].mean() / rmse[n][0.0].mean() for n in GRIDS}
apart = rmse[0][0.999].min() > rmse[0][0.0].max()
short = {n: rmse[n][0.9].min() > rmse[n][0.0].max() for n in GRIDS}
better_plain = plain[0.9].max() < plain[0.0].min()
last = {mu: read("target", variant_name(mu, 0))["loss"][:, -1] for mu in DECAYS}
trapped = last[0.999].max() < min(last[mu].min() for mu in (0.0, 0.9, 0.99))
worse = paper.min() > plain[0.0].max()

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| with a lagging target the rescaled gradient diverges as N grows, whatever ξ is; without one it stays finite (iCT, Section 3.2) | closed form, 5 % behind: {gradients[0.05][0]:.1f} at N = 11, negative from N = {flip}, −{abs(far.gradient(1, 1.05, 0)):.0f} at N = 10 241; without a lag {far.gradient(1, 1, 0):.1f} | confirmed here, for a lag that is given |
| *not in the paper:* the fixed point is that of μ = 0 all the same, but it is reached late | closed form, N = 161: {steps[0.0][4]} steps with μ = 0, {format(steps[0.999][4], ",").replace(",", " ")} with μ = 0.999; after a million steps θ differs from ξ by less than 10⁻¹² | confirmed here: slow, not biased |
| iCT is better without the average of the target (iCT, Section 3.2) | RMS error at μ = 0.999 over that at μ = 0: ×{slow[0]:.1f}; {ranged(rmse[0][0.999])} against {ranged(rmse[0][0.0])} | {"confirmed here for a memory of a quarter of the run" if apart else "not seen at this scale"} |
| iCT is better without the average even when its memory is short, 0.25 % of the run | μ = 0.9: {ranged(rmse[0][0.9])}; at N = 161 {ranged(rmse[161][0.9])} against {ranged(rmse[161][0.0])} | {"confirmed here" if short[0] else "partly: at N = 161, while on the doubling grid the ranges overlap; CT's own memory, in the paper, is shorter still" if short[161] else "not seen at this scale"} |
| the finer the grid, the more a lag hurts (what the limit N → ∞ in iCT, Section 3.2, implies) | RMS error at μ = 0.99 over that at μ = 0: ×{mild[11]:.2f} at N = 11, ×{mild[161]:.2f} at N = 161 | {"confirmed here" if mild[161] > 2 * mild[11] else "not seen at this scale"} |
| plain CT is better without the average, too | its μ(k): {ranged(paper)}; μ = 0: {ranged(plain[0.0])}; μ = 0.9: {ranged(plain[0.9])} | {"partly: better than with μ(k), whose memory is long for a short run, but a short memory is best" if worse and better_plain else "confirmed here" if worse else "not seen at this scale"} |
| *not in the paper:* the run that fails has the lowest loss | doubling grid, μ = 0.999: {ranged(last[0.999])}; the others at least {min(last[mu].min() for mu in (0.0, 0.9, 0.99)):.3f}; compared with itself instead of its target: {ranged(itself)} | {"confirmed here, on all three seeds" if trapped else "partly"}; in the mean also for {" and for ".join(t for t in traps if t != "doubling") or "no other"} |
""")

# %% [markdown]
# ### What to remember
#
# 1. A slow target makes training slow, and slower the finer the grid. It does not move the fixed point; whether a network arrives there depends on the length of the run.
# 2. Correct answers rise from the boundary as a front. With a long memory the front does not arrive within the run.
# 3. The loss is a distance to the run's own past. The run with the lowest loss may be the one that has learned least; compare runs by a measure that is the same for all of them.
#
# ## Budget

# %% tags=["hide-input"]
record = [read("target", variant).record for variant in STUDIES["target"].variants]
seen, seconds = sum(3 * r["samples"] for r in record), [s for r in record for s in r["seconds"]]
print(f"Recorded: {len(record)} variants with 3 seeds each; {seen / 1e6:.0f} million training samples, and twice as many network calls (student and target).")
print(f"Each run: 4000 steps of 256 samples; {min(seconds):.0f} to {max(seconds):.0f} s, on a machine that did other work too.")
print(f"One of the commands that made them: {record[0]['command']}")
again = [read("loss-parts", variant).record for variant in STUDIES["loss-parts"].variants]
print(f"Trained again for a closer look at the loss: {len(again)} of these variants, {sum(3 * r['samples'] for r in again) / 1e6:.0f} million samples.")
print("Also used: the recording of plain CT with its μ(k) from lab 07.")
print("Nothing is trained in this notebook until you press Start.")

# %% [markdown]
# **Next:** lab 07 examines all of iCT's changes, one at a time.
