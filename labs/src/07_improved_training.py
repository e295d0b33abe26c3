# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Improved training
#
# **Which of iCT's changes does what?**
#
# | | |
# |---|---|
# | Paper | Song & Dhariwal 2024, *Improved Techniques for Training Consistency Models* (iCT), [arXiv:2310.14189](https://arxiv.org/abs/2310.14189); it improves on Song et al. 2023 (CT), [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 60 minutes |
# | Run All | 11 s on 2 CPU cores |
# | You need | consistency training (lab 05), the slow average in the target (lab 06), logarithms |
#
# After this lab you can
#
# 1. **draw** the schedules of CT and iCT, and how much each noise level counts in training;
# 2. **rank** iCT's changes by their effect on the error, both where each is introduced and within the finished recipe;
# 3. **spot** two easy mistakes: a schedule that depends on its own history, and a wrong sign in the distribution of the noise levels.
#
# Song & Dhariwal added several changes to consistency training, one group after another. What one change does may depend on the others, so we test it twice: add it on the way from the old recipe to the new one, and take it out of the finished one. Sections marked *optional* can wait for a second reading.
#
# Nothing is trained unless you press **Start**; all other runs were recorded beforehand, with three seeds each. As before, f\* is the exact consistency function and f the network's.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.studies_shared import (
    CT_TO_ICT,
    DOUBLING,
    ICT_ABLATIONS,
    LADDER_CONTROLS,
    LADDER_STEPS,
    SQRT,
    UNIFORM_INDEX,
)
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab07_ict import checks
from cmlab_labs.lab07_ict.explorer import SideBySide, explorer
from cmlab_labs.lab07_ict.figures import (
    compare_scores,
    dropout,
    effective_weight,
    effective_weights,
    exact_differences,
    features,
    grid_sizes,
    ladder,
    pulled,
    pulls,
    where_and_when,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.losses import SquaredL2, Uniform
from cmlab.methods import ICT
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.nets.embedding import Fourier
from cmlab.noise_levels import AdjacentLevels
from cmlab.ops import rewind_rng, seeded
from cmlab.presets.toy import GRID, LEVELS, RING
from cmlab.schedules import Constant
from cmlab.train.runs import ROOT, load

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# Two networks with the same seed learn the same ring of eight modes, on the right with the new recipe, iCT, on the left with iCT except for one setting.
# Here the setting is the target: on the left the slow average of lab 06, on the right the current weights. (Leave the other settings until after the prediction.) In grey are the samples of a finished run of iCT and its error during training.
#
# Press **Start**. The two differ within seconds; a whole run takes about a minute on an idle machine.

# %%
SideBySide(target="average, μ = 0.999")

# %% [markdown]
# ## Predict
#
# iCT changed five settings of training:
#
# | setting | CT (2023) | iCT (2024) |
# |---|---|---|
# | target | slow average of the weights | current weights, without gradient |
# | distance d between the two answers | LPIPS, a learned distance of images; on the ring squared L2, $\lVert\cdot\rVert^2$ | pseudo-Huber, $\sqrt{\lVert\cdot\rVert^2 + c^2} - c$ with $c = 0.00054\sqrt{\dim}$ |
# | weight λ of a pair of levels t > r | 1 | 1/(t − r) |
# | distribution p of the noise levels | uniform over the grid | log-normal |
# | number N of grid points | grows like a square root, to 151 | doubles at regular intervals, from 11 to 1281 |
#
# Here dim is the number of coordinates. *Log-normal* means that ln t is drawn from a normal distribution; its mean $P_\text{mean} = -1.1$ and standard deviation $P_\text{std} = 2$ make $e^{-1.1} = 0.33$ the median level. iCT also changed two settings of the network, the scale of its time features and dropout.
#
# You have just seen the first setting. Now take the finished recipe and put **one** of the other four back to CT's choice.

# %%
predict("07.1")

# %% [markdown]
# ## The exact object
#
# ### How fine: N(k)
#
# The pairs of noise levels t > r are neighbours on a grid of N(k) points at training step k of K. On a coarse grid the target is biased, since the one-sample step of lab 05 is long; on a fine grid the scatter of a single target is larger compared with its bias, which may slow learning down.

# %%
grid_sizes({"CT": SQRT, "iCT": DOUBLING}, LADDER_STEPS, GRID, (11, 21, 41, 81, 161))

# %% [markdown]
# ### How often and how much: p(i) and λ(i)
#
# Interval i of the grid, from $r = \sigma_i$ to $t = \sigma_{i+1}$ ($t_n$ and $t_{n+1}$ in labs 04 and 05), is drawn with probability p(i), and the distance d between the two answers is multiplied by the weight λ(i):
#
# $$L = \sum_i p(i)\, \lambda(i)\; \mathrm{E}\, d\bigl(f_\theta(x_{t}, t),\, f_{\theta^-}(x_{r}, r)\bigr) .$$
#
# For a given distance, only the product p(i) λ(i) matters for the mean gradient, and with Adam, which divides each gradient by its own running size, only its shape. We call the normalised product, per unit of ln t, the **effective weight**.
# Here it is for four combinations, with N = 161. At which levels does most of it lie?

# %%
pairs = {"uniform": AdjacentLevels(Constant(161), UNIFORM_INDEX, GRID)}
pairs["log-normal"] = AdjacentLevels(Constant(161), LEVELS, GRID)
four = {
    "CT": effective_weight(pairs["uniform"], Uniform(), 0),
    "weight alone": effective_weight(pairs["uniform"], InverseGap(), 0),
    "log-normal alone": effective_weight(pairs["log-normal"], Uniform(), 0),
    "iCT": effective_weight(pairs["log-normal"], InverseGap(), 0),
}
effective_weights(four)

# %% tags=["nbval-check-output"]
print("half of the effective weight lies below")
for name, seen in four.items():
    print(f"  {name:16} t = {seen.quantile(seen.share, 0.5):#.2g}")
ratio = four["iCT"].weight.max() / four["iCT"].weight.min()
print(f"iCT's largest weight λ is about {round(float(ratio), -2):.0f} times its smallest")

# %% [markdown]
# λ = 1/(t − r) moves the effective weight towards the data. With uniform levels most of it then lies at the very smallest, where the boundary condition leaves little to learn; the log-normal distribution takes emphasis away from both ends.
#
# Why 1/(t − r)? The difference between the answers of two neighbours is about t − r times the slope of f\* along the line x + tz (along a *path* f\* does not change). Pseudo-Huber with iCT's small c is nearly the *length* of this difference. Divided by t − r it is a *rate*, and rates can be compared across levels and grids.
#
# ### How hard: the pull of the distance
#
# The four curves above hold for one and the same distance. Two distances differ in the length of their gradient, the *pull* ψ of a pair: for squared L2 it is twice the difference of the answers, for pseudo-Huber nearly 1 wherever the difference is well above c.
# So the pull on f at a noise level is the product of all three, p(i) λ(i) E ψ, the *total pull* (the network F receives it times $c_\text{out}(t)$, which is about t near the data). Here it is for CT, and for iCT's distance, weight and levels, put in one after the other; f\* of the ring stands in for the network, with N = 161. Short bars mark the medians.

# %% tags=["hide-input"]
recipes = {"CT": (four["CT"], SquaredL2())} | {
    name: (four[place], PseudoHuber())
    for name, place in (("+ pseudo-Huber", "CT"), ("+ weight", "weight alone"), ("+ log-normal", "iCT"))
}
difference = exact_differences(RING, four["CT"].levels)
strength = {name: pulled(seen, metric, difference) for name, (seen, metric) in recipes.items()}
pulls(strength)

# %% tags=["hide-input", "nbval-check-output"]
strength["iCT with squared L2"] = pulled(four["iCT"], SquaredL2(), difference)  # for lab 08
for name, seen in strength.items():
    print(f"{name:18} half of the total pull lies below t = {seen.quantile(seen.share, 0.5):.2g}")
psi, t = strength["+ pseudo-Huber"].weight, four["CT"].levels  # here λ = 1
print("E ψ of pseudo-Huber: " + ", ".join(f"{psi[i]:.2f} at t = {t[i]:.1g}" for i in (0, int((t < 0.01).sum()) - 1, int((t < 1).sum()) - 1)))

# %% [markdown]
# CT pulls where the differences of f\* are largest, between t = 0.3 and 2. With pseudo-Huber and λ = 1 the total pull follows the levels, except below t = 0.01 or so, where with N = 161 many differences are shorter than c. With λ = 1/(t − r) in the pull on f a pair near the data counts hundreds of times as much as one at high noise.
#
# ### Optional: the Fourier scale
#
# A network reads the noise level as waves: sines and cosines of 2πω·ln(t)/4, with normal ω drawn once, whose standard deviation is called the *scale*. iCT lowered it from 16 to 0.02 on CIFAR-10, mainly to train without a grid, in continuous time (lab 10); the ring here uses 0.3.
# Each column on the left is one wave (purple and orange are its two signs). On the right you see how similar the features of two neighbours are, in the mean over draws of ω; the spacings of three grids near t = 0.3 are marked.

# %% tags=["hide-input"]
waves, gaps = {}, {}
for scale in (0.02, 0.3, 16.0):
    with seeded(torch.device("cpu"), 7):  # a draw with nearly this standard deviation
        waves[scale] = Fourier(32, scale).frequencies()
for points in (11, 161, 1281):
    levels = GRID.up(points)
    i = int((levels < 0.3).sum())
    gaps[f"N = {points}"] = float(levels[i] / levels[i - 1] - 1)
features(waves, torch.logspace(-2.7, 1, 300), gaps)

# %% [markdown]
# At scale 16 the features of two neighbours have nothing in common at N = 11, and a similarity below one half at N = 161, so what the network has learned at r is presumably of little use to it at t. At scale 0.02 the features hardly change with the level, and the network has to amplify the small differences.
#
# ## The method, from its source
#
# The loss is that of lab 05, and only its ingredients differ (the log-normal is the default of `AdjacentLevels`):

# %%
show_source(ICT)

# %% [markdown]
# ### Optional: one mask for two passes
#
# Dropout sets random units of the network to zero. If the two passes drop different units, their answers differ even when t = r, and no training can remove that difference. In the loss of lab 05 `rewind_rng` restores the random state after the first pass, so that both passes drop the same units. The generator of lab 00, with its dropout switched on, shows the difference:

# %% tags=["hide-input"]
model = load(ROOT / "data" / "checkpoints" / "digits-ect.safetensors")[0].train()
x, labels = Digits().images[:16], Digits().labels[:16]
z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
t, steps = torch.full((16,), 0.5), (0.25, 0.12, 0.06, 0.03, 0.015, 0.0075, 0.004)
one, two = torch.zeros(len(steps), 3), torch.zeros(len(steps), 3)
with torch.no_grad():
    for i, seed in np.ndindex(one.shape):
        torch.manual_seed(seed)
        x_r, r = x + (0.5 - steps[i]) * z, t - steps[i]
        with rewind_rng(x.device):
            f_t = model(x + 0.5 * z, t, labels)
        for found in (one, two):  # the first pass after rewinding, then one with another mask
            found[i, seed] = (f_t - model(x_r, r, labels)).square().mean().sqrt()
dropout(steps, one, two)

# %% [markdown]
# With two masks the difference stops falling long before the grid is fine, and λ = 1/(t − r) would multiply what remains.
#
# ## Explore
#
# Here you can change all schedules together, and look at any training step. The thin line is the product of CT at the same step.
#
# Three things to try:
#
# - Set the weight to 1, then back. How far does the dotted line move?
# - Set $P_\text{mean}$ to +1.1, the wrong sign. How far does the dashed curve move, and how much of this shift is left in the product?
# - Go through the training steps. What changes in the right-hand panels, and what does not?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - The median of the product moves from 0.018 to 0.30, the median of p: with weight 1 the product *is* p.
# - The median of p moves from 0.30 to 1.5 (not to $e^{1.1} = 3$, because the grid ends at 10), that of the product from 0.018 to 0.10. On the logarithmic axis λ hides nothing of the mistake: both medians move by a factor of about five.
# - λ grows with N, since the gaps shrink. The product keeps its shape: its median is 0.018 from N = 11 to 1281. (The total pull moves: on fine grids the differences fall below c, and its median rises from 0.018 to 0.051.)
#
# </details>

# %% [markdown]
# ## The key figure
#
# The data are the ring of lab 03. On the left, each recipe makes one change to the recipe above it. The first has CT's schedules, target, weight and squared L2. All have the same optimizer and a Fourier scale of 0.3; with CT's 16 the first would hardly differ (see the table at the end).
# The order is ours: the paper adds the weight before it changes the target and the distance, and the log-normal levels last. On the right is iCT with one setting changed: above one of the five settings to CT's choice, below otherwise (Fourier scale 16 is CT's as well). Every run has 4000 steps, and every marker is one seed. Below are one-call samples of the first seed; the grey discs are the modes.

# %%
OLD_CHOICES = ("ict-ema-ct", "ict-flat", "ict-l2", "ict-index")
kept = {name: read("ladder", name) for name in (CT_TO_ICT | ICT_ABLATIONS | LADDER_CONTROLS)}
rmse = {name: recording.score("rmse") for name, recording in kept.items()}
upwards = {CT_TO_ICT[name].title: rmse[name] for name in CT_TO_ICT}
old = {ICT_ABLATIONS[name].title: rmse[name] for name in OLD_CHOICES}
old["N as in CT"] = rmse["lognormal"]
others = {v.title: rmse[name] for name, v in ICT_ABLATIONS.items() if name not in OLD_CHOICES}
clouds = {CT_TO_ICT[name].title: kept[name]["cloud"][0] for name in CT_TO_ICT}
ladder(upwards, old, others, clouds, RING.oracle.components.means.numpy())

# %% tags=["hide-input"]
near = {name: [run["hq"] for run in kept[name].record["scores"]] for name in ("ct", "ict")}
print(
    f"{100 * np.mean(near['ct']):.0f} % of CT's samples and {100 * np.mean(near['ict']):.0f} % of iCT's lie within 3 standard deviations of a mode, against 98.9 % of real data."
)

# %% [markdown]
# Read the two halves together: **how much a change helps depends on the recipe in which it is made.** Where we add the pseudo-Huber distance, before the weight, the error even rises (at high noise only, as the figure by noise level below shows). Taken away from the finished recipe, it costs nearly a factor of two.
#
# Two cautions:
#
# - **The factor of 2.87 for the target comes from short runs.** CT's average reaches back over 18 % of our run, but over less than 0.1 % of the paper's (lab 06).
# - **Pseudo-Huber helps although it leads to a function other than f\*** (lab 05). On this ring the two are close, and the networks trained with squared L2 end farther from f\*, presumably because they learn more slowly (lab 08, optional sections).
#
# ### Two changes at once: distance and weight
#
# Which of the changes between the two halves makes pseudo-Huber useful? The table separates distance and weight, on CT's grid and levels and on iCT's (all without a slow average).

# %% tags=["hide-input"]
corners = {"CT's grid and levels": ("no-ema", "huber", "l2-weight", "weight"), "iCT's grid and levels": ("ict-l2-flat", "ict-flat", "ict-l2", "ict")}
table = ["| RMS error | squared L2, weight 1 | pseudo-Huber, weight 1 | squared L2, 1/(t − r) | pseudo-Huber, 1/(t − r) |", "|---" * 5 + "|"]
table += [f"| {title} | " + " | ".join(ranged(rmse[name]) for name in names) + " |" for title, names in corners.items()]
Markdown("\n".join(table))

# %% [markdown]
# **Pseudo-Huber helps only together with the weight**, in both rows: with weight 1 it does not lower the error, and with 1/(t − r), as in the paper, it nearly halves it. The weight helps with either distance, but far more with pseudo-Huber.
# A possible reason, which was not tested: pseudo-Huber alone spreads the total pull to both ends, the highest noise levels included; the weight then moves it towards the data.
#
# In the figure at the top you can now put the other old choices back, one by one.
#
# ### At which noise levels, and when, the error falls
#
# On the left is the error at the end, by noise level, for four recipes of the key figure; on the right the error during training, for three fixed grids and the doubling one. Bands are the ranges of the three seeds.

# %%
where = {"CT, no average": "no-ema", "+ pseudo-Huber": "huber", "+ weight": "weight", "iCT": "ict"}
when = {"N = 11": "ict-n-11", "N = 161": "ict-n-161", "N = 1281": "ict-n-1281", "doubling": "ict"}
by_level = {title: kept[name]["average_error"] for title, name in where.items()}
by_step = {title: np.sqrt((kept[name]["error"] ** 2).mean(2)) for title, name in when.items()}
where_and_when(kept["ict"]["levels"][0], by_level, kept["ict"]["steps"][0], by_step)

# %% tags=["hide-input"]
at = [int(np.abs(kept["ict"]["levels"][0] - t).argmin()) for t in (0.1, 0.4, 10)]
flat, weighed = (kept[name]["average_error"].mean(0)[at] for name in ("huber", "weight"))
pairs_said = [f"from {a:.3f} to {b:.3f} at t = {kept['ict']['levels'][0, i]:.2g}" for a, b, i in zip(flat, weighed, at, strict=True)]
print(f"When the weight 1/(t − r) is added, it lowers the error {pairs_said[0]}, {pairs_said[1]} and {pairs_said[2]}.")

# %% [markdown]
# The weight takes emphasis away from high noise, and yet the error falls there too. iCT gives this as the reason for the weight (Section 3.1): the levels near the data influence the higher ones. An answer at t is copied, with its error, from its neighbour at r, that one from the next, and so on down to the boundary. This cannot be the whole reason: at t = 0.1 both errors are still small, and most of the difference at high noise arises between 0.1 and 0.4. What else the weight does there was not tested.
#
# With N = 11 the long one-sample steps are biased, and more training hardly helps.

# %% [markdown]
# ## Exercises
#
# ### A · guided: N(k), from k alone
#
# A grid begins with s0 intervals, and their number doubles until it is s1. All stages have the same number of steps K′, rounded down to a whole number; any steps left over are added to the last. Find the formula on paper: how many stages are there, and in which of them is step k? Then write N(k), the number of grid points.
# The check asks for the values at and beside every doubling, in order and then **shuffled**. It is tempting to keep a counter, and to double it whenever a stage is over. Such a schedule is wrong when a run is resumed (as in joliGEN until pull request 616) or when it is plotted.

# %% tags=["exercise"]
def ict_steps(k, K, s0, s1):
    """The number of grid points N(k), an int, at step k of K."""
    # 1. K′, the length of a stage
    # 2. the stage that step k is in
    # 3. intervals, and then points
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.ict_steps(ict_steps)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# From s0 = 10 to s1 = 1280 there are seven doublings, hence eight stages. `log2` counts the doublings, and `//` divides and rounds down. The last stage may be longer than the others. Ten intervals have eleven end points.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# from math import floor, log2
#
#
# def ict_steps(k, K, s0, s1):
#     """The number of grid points N(k), an int, at step k of K."""
#     length = floor(K / (log2(s1 // s0) + 1))
#     return min(s0 * 2 ** (k // length), s1) + 1
# ```
#
# The paper writes it as $N(k) = \min(s_0 2^{\lfloor k/K' \rfloor}, s_1) + 1$ with $K' = \bigl\lfloor K / (\log_2\lfloor s_1/s_0\rfloor + 1)\bigr\rfloor$. N depends on k alone, so there is nothing to save in a checkpoint.
#
# </details>

# %% [markdown]
# ### B · on your own: the masses of the log-normal
#
# `levels` is an ascending grid (N,) of noise levels in float64. Return the masses p(i) of its intervals if ln σ is normal with `mean` and `std`, restricted to the grid.
# The sign of the mean is easily lost. P_mean is −1.1; with +1.1, which stood in the README of Kinyugo/consistency_models (issue 5), the levels are centred at 3 instead of 0.33.
#
# Then use your function, on `GRID.up(161)` and with std = 2: for which mean does half of the product p(i) λ(i) lie below t = 0.05? (iCT's −1.1 gives 0.018.)

# %% tags=["exercise"]
def level_masses(levels, mean, std):
    """The probability of each interval between neighbouring levels, summing to 1."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.level_masses(level_masses)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The distribution function of a standard normal is (1 + erf(z/√2))/2. `torch.special.erf` and `Tensor.diff` do the rest. What do the two tails outside the grid do to the sum?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def level_masses(levels, mean, std):
#     """The probability of each interval between neighbouring levels, summing to 1."""
#     z = (levels.log() - mean) / (2**0.5 * std)
#     mass = torch.special.erf(z).diff()
#     return mass / mass.sum()
# ```
#
# Multiplied by $\lambda = 1/(t - r)$ and summed, half of these masses lies below 0.05 for a mean of 0.28. (The version in the package also handles the far tail, where both values of erf round to 1.)
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Errors are RMS distances from f\* on the ring, given as the mean over three seeds (lowest to highest). A claim counts as confirmed when the change lowers the error and the ranges do not overlap; with two equal recipes whose runs are independent this happens by chance once in twenty (if those of one seed share draws, at most once in eight: lab 17). Where the ranges overlap, the recipes are indistinguishable. The paper's experiments are on CIFAR-10 and ImageNet 64×64.

# %% tags=["hide-input"]
tested = {  # where it is introduced, in the paper's place first, and iCT without it
    "no slow average in the target": ({"": ("ct", "no-ema")}, "ict-ema-ct"),
    "pseudo-Huber in place of squared L2": (
        {"after the weight, as in the paper, ": ("l2-weight", "weight"), "before it, as in our figure, ": ("no-ema", "huber")}, "ict-l2",
    ),
    "weight 1/(t − r)": ({"with squared L2, as in the paper, ": ("no-ema", "l2-weight")}, "ict-flat"),
    "log-normal noise levels": ({"": ("weight", "lognormal")}, "ict-index"),
    "N doubles up to 1281": ({"": ("lognormal", "ict")}, "lognormal"),
}
verdict = lambda before, after: f"{ranged(rmse[before])} → {ranged(rmse[after])}: **{compare_scores(rmse[before], rmse[after])}**"
times = lambda errors: f"× {errors.mean() / rmse['ict'].mean():.2f}"
table = ["| claim: this change lowers the error | where it is introduced | iCT with the old choice put back |", "|---" * 3 + "|"]
for claim, (steps, back) in tested.items():
    up = "; ".join(place + verdict(*pair) for place, pair in steps.items())
    inside = f"{ranged(rmse[back])}, {times(rmse[back])}: **{compare_scores(rmse[back], rmse['ict'])}**"
    if back == "ict-ema-ct":
        up, short = f"{up}, for short runs", read("target", "mu-0.9-n-0").score("rmse")
        inside = f"{ranged(rmse[back])}, {times(rmse[back])} with CT's μ(k); {times(rmse['ict-ema-0.999'])} with a constant μ = 0.999; {times(rmse['ict-ema-0.99'])} with 0.99; {times(short)} with 0.9, within the range of the seeds (lab 06): **the cost depends on the memory**"
    if back == "lognormal":
        inside = f"{times(rmse[back])}: the same two recipes"
    table.append(f"| {claim} | {up} | {inside} |")
Markdown("\n".join(table))

# %% tags=["hide-input"]
rivals = {f"N = {n}": rmse[f"ict-n-{n}"] for n in (11, 161, 1281)}
grids = "; ".join(f"{name} {ranged(v)}" for name, v in rivals.items())
clear = [name for name, v in rivals.items() if rmse["ict"].max() < v.min()]
even = [name for name in rivals if name not in clear]
last, floor = one[-1].mean().item(), two[-1].mean().item()

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| all changes together: iCT beats CT | {ranged(rmse["ct"])} → {ranged(rmse["ict"])}, smaller by a factor of {rmse["ct"].mean() / rmse["ict"].mean():.1f}; with CT's own Fourier scale of 16 as well, {ranged(rmse["ct-fourier-16"])} → {ranged(rmse["ict"])} | {compare_scores(rmse["ct"], rmse["ict"])} |
| doubling N is better than a fixed grid (iCT, Section 3.4) | doubling {ranged(rmse["ict"])}; {grids} | partly: confirmed against {" and ".join(clear)}, indistinguishable from {" and ".join(even)} |
| a Fourier scale of 0.02 in place of 16 lowers the error (iCT, Section 3.1: slightly, on a grid) | 16: {ranged(rmse["ict-fourier-16"])}; 0.02: {ranged(rmse["ict-fourier-0.02"])}; 0.3, as everywhere else here: {ranged(rmse["ict"])} | {compare_scores(rmse["ict-fourier-16"], rmse["ict-fourier-0.02"])} |
| both passes share their dropout (iCT, Section 3.1) | at t − r = 0.004 the answers differ by {last:.4f} with one mask, by {floor:.4f} with two | partly: the effect on training was not run here |
""")

# %% [markdown]
# ### What to remember
#
# 1. What a change is worth depends on the rest of the recipe.
# 2. On the ring, in short runs, a target with a memory of a quarter of the run does the most harm; of CT's own five settings, weight 1 does. Pseudo-Huber helps only together with the weight 1/(t − r); the log-normal levels help a little, and the doubling hardly.
# 3. Draw p(i) λ(i) before you train; E ψ needs residuals, here those of f\*, otherwise those of a run (lab 12). They show where a recipe pulls, not what the error will be.
#
# ## Budget

# %% tags=["hide-input"]
runs = [run for recording in kept.values() for run in recording.record["seconds"]]
samples = sum(r.record["samples"] * len(r.record["seeds"]) for r in kept.values())
Markdown(f"""
Recorded beforehand: {len(runs)} runs of {LADDER_STEPS} steps on the ring ({len(kept)} recipes, 3 seeds each), {samples / 1e6:.0f} million samples and twice as many network calls, {sum(runs) / 60:.0f} minutes in all on a machine that did other work too; nothing was pre-trained. *Run All* trains nothing; it makes 63 network calls on 16 digits each.
""")

# %% [markdown]
# **Next:** lab 08 looks at the distance more closely. What does it do to outliers?
