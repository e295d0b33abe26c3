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
# | Run All | 8 s on 2 CPU cores |
# | You need | consistency training (lab 05), the slow teacher (lab 06), logarithms |
#
# After this lab you can
#
# 1. **draw** every schedule of CT and iCT, and their product, the effective weight, on one axis of noise levels;
# 2. **rank** iCT's changes by what they do to the error, alone and inside the finished recipe, with three seeds each;
# 3. **spot** two slips that public code has made: a schedule that depends on its own history, and the sign of P_mean.
#
# Nothing is trained while you read. The runs were recorded beforehand, three seeds each, and are replayed here; the last section says what they cost.

# %%
import json

import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.studies_shared import (
    CT_TO_ICT,
    DOUBLING,
    ICT_ABLATIONS,
    LADDER_STEPS,
    SQRT,
    UNIFORM_INDEX,
)
from cmlab_labs.common.study import path_of, ranged, read
from cmlab_labs.lab07_ict import checks
from cmlab_labs.lab07_ict.explorer import explorer
from cmlab_labs.lab07_ict.figures import (
    compare_scores,
    dropout,
    effective_weight,
    effective_weights,
    feature_similarity,
    features,
    grid_sizes,
    improvement_factors,
    ladder,
    on_digits,
    where_and_when,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.losses import Uniform
from cmlab.methods import ICT
from cmlab.methods.ict import Doubling, InverseGap
from cmlab.nets.embedding import Fourier
from cmlab.noise_levels import AdjacentLevels, LogNormal
from cmlab.ops import rewind_rng, seeded
from cmlab.presets.toy import GRID, LEVELS, RING
from cmlab.schedules import Constant
from cmlab.train.runs import ROOT, load

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Predict
#
# Besides two settings of the network (Fourier scale, dropout), iCT changed five things about CT. The slow teacher went, as you saw in lab 06. The other four are: the distance (pseudo-Huber for squared L2), the weight (1/(t − r) for 1),
# the noise levels (log-normal for uniform), and the number of grid points (it doubles, and goes on to 1281).
# Take the finished recipe and put **one** of CT's four old choices back.

# %%
predict("07.1")

# %% [markdown]
# ## The exact object
#
# A schedule is a function with a formula. So each one can be drawn before it is used, and nothing about it has to be guessed.
#
# ### How fine: N(k)
#
# Pairs of levels t > r are neighbours on a grid of N(k) points, where k is the training step out of K. A coarse grid is biased (the one-sample step of lab 05 is long); a fine one is slow and noisy.
# CT grows N like a root, iCT doubles it at regular times. On the right: what doubling does to the grid.

# %%
grid_sizes({"CT": SQRT, "iCT": DOUBLING}, LADDER_STEPS, GRID, (11, 21, 41, 81, 161))

# %% [markdown]
# ### How often and how hard: p(i) and λ(i)
#
# Interval i of the grid is drawn with the probability p(i), its mass, and its distance counts λ(i) times:
#
# $$L = \sum_i p(i)\, \lambda(i)\; \mathrm{E}\, d\bigl(f_\theta(x_{t}, t),\, f_{\theta^-}(x_{r}, r)\bigr), \qquad t = \sigma_{i+1},\; r = \sigma_i .$$
#
# Only the product matters for the loss, and for Adam only its shape, because Adam cancels a common factor. Call it the **effective weight**, normalised and per unit of ln t.
# Four combinations on one axis, for N = 161. Watch where the mass goes.

# %%
pairs = {"uniform": AdjacentLevels(Constant(161), UNIFORM_INDEX, GRID)}
pairs["log-normal"] = AdjacentLevels(Constant(161), LEVELS, GRID)
four = {
    "CT": effective_weight(pairs["uniform"], Uniform(), 0),
    "weight alone": effective_weight(pairs["uniform"], InverseGap(), 0),
    "proposal alone": effective_weight(pairs["log-normal"], Uniform(), 0),
    "iCT": effective_weight(pairs["log-normal"], InverseGap(), 0),
}
effective_weights(four)

# %% tags=["nbval-check-output"]
print("half of the effective weight lies below")
for name, seen in four.items():
    print(f"  {name:15} t = {seen.quantile(seen.share, 0.5):.3f}")
ratio = four["iCT"].weight.max() / four["iCT"].weight.min()
print(f"the largest weight is {ratio:.0f} times the smallest")

# %% [markdown]
# The two changes pull in opposite directions. The weight moves the work down to the data, by two orders of magnitude; the log-normal proposal lifts it again from the very smallest levels, where the boundary condition leaves little to learn.
#
# Why 1/(t − r) at all? Because the difference of two neighbours' answers is about (t − r) times the slope of f along the way. Divided by the length of the step it is a *rate*, and rates can be compared across levels and across N.
#
# ### What the network is told: the Fourier scale
#
# A network hears the noise level as waves: sin and cos of ω·ln(t)/4, with frequencies ω drawn once, of a size called the *scale*. iCT is reported to have lowered it from 16 to 0.02 on CIFAR-10; this ring uses 0.3.
# Each column on the left is one such wave. On the right: how alike the features of two neighbours are, with the gaps of three grids marked (near t = 0.3).

# %%
waves, gaps = {}, {}
for scale in (0.02, 0.3, 16.0):
    with seeded(torch.device("cpu"), 0):
        waves[scale] = Fourier(32, scale).frequencies()
for points in (11, 161, 1281):
    levels = GRID.up(points)
    i = int((levels < 0.3).sum())
    gaps[f"N = {points}"] = float(levels[i] / levels[i - 1] - 1)
features(waves, torch.logspace(-2.7, 1, 300), gaps)

# %% tags=["nbval-check-output"]
for scale, frequencies in waves.items():
    found = [feature_similarity(frequencies, torch.tensor(1 + gap)).item() for gap in gaps.values()]
    print(f"scale {scale:5}: likeness of neighbours " + ", ".join(f"{v + 0.0:.2f}" for v in found))
print("                                  N = 11, 161, 1281")

# %% [markdown]
# At scale 16 two neighbours on a coarse grid have nothing in common, so the network cannot carry over at t what it has learned at r. At 0.02 it hardly hears the level at all, and has to amplify.
#
# ## The method, from its source
#
# | | CT (2023) | iCT |
# |---|---|---|
# | target θ⁻ | moving average, μ(k) → 1 | $\theta^- = \mathrm{stopgrad}(\theta)$ |
# | distance d | LPIPS; on the ring $\lVert\cdot\rVert^2$ | $\sqrt{\lVert\cdot\rVert^2 + c^2} - c$ with $c = 0.00054\sqrt{d}$ |
# | weight λ | 1 | $1/(\sigma_{i+1} - \sigma_i)$ |
# | mass p(i) | 1/(N − 1) | $\propto \mathrm{erf}\Bigl(\frac{\ln\sigma_{i+1} - P_\text{mean}}{\sqrt 2\, P_\text{std}}\Bigr) - \mathrm{erf}\Bigl(\frac{\ln\sigma_i - P_\text{mean}}{\sqrt 2\, P_\text{std}}\Bigr)$ |
# | points N(k) | root growth to 151 | $\min(s_0 2^{\lfloor k/K' \rfloor}, s_1) + 1,\quad K' = \bigl\lfloor K / (\log_2\lfloor s_1/s_0\rfloor + 1)\bigr\rfloor$ |
# | dropout | none | yes, with the same mask in both passes |
#
# with $s_0 = 10$, $s_1 = 1280$, $P_\text{mean} = -1.1$, $P_\text{std} = 2$. The loss itself is as short as before:

# %%
show_source(ICT.loss)

# %%
show_source(Doubling.__call__)

# %%
show_source(LogNormal.masses)

# %% [markdown]
# ### One mask for two passes
#
# Dropout silences random units. If the two passes draw different masks, their answers differ even when t = r, and no training can remove that. `rewind_rng` in the loss turns the random state back,
# so that both passes drop the same units. The shipped digit generator, with its dropout switched on, shows the difference:

# %%
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
# With two masks the difference stops falling long before the grid is fine, and the weight 1/(t − r) would multiply that floor by up to thousands.
#
# ## Explore
#
# All schedules on one bench. Left: N(k) with the chosen step marked. Right: the weight λ(i) above; below it p(i), dashed, and the product, filled. The thin line is CT of 2023 at the same step.
# Click a slider and use the arrow keys, or Page Up and Page Down for larger steps.
#
# Three things to try. Set the weight to 1, then back: how far does the dotted line jump? Set P_mean to +1.1, the slip with the sign, and see how far off the proposal is and how well the weight hides it.
# Walk through the steps: what changes in the right-hand panels, and what does not?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# The ring of lab 03: eight modes, exact f known. Each rung on the left changes one thing about the rung above it and keeps it. On the right, iCT with one thing changed. Every run has 4000 steps, and every marker is one seed.
# Below, one-call samples of the first seed; a grey disc is a mode.

# %%
kept = {arm: read("ladder", arm) for arm in (CT_TO_ICT | ICT_ABLATIONS)}
rmse = {arm: recording.score("rmse") for arm, recording in kept.items()}
rungs = {CT_TO_ICT[arm].title: rmse[arm] for arm in CT_TO_ICT}
changes = {ICT_ABLATIONS[arm].title: rmse[arm] for arm in ICT_ABLATIONS}
clouds = {CT_TO_ICT[arm].title: kept[arm]["cloud"][0] for arm in CT_TO_ICT}
ladder(rungs, changes, clouds, RING.oracle.components.means.numpy())

# %% tags=["hide-input"]
factors = improvement_factors(rungs)
by_size = sorted(list(factors)[1:], key=factors.get)
cost = {name: v.mean() / rmse["ict"].mean() for name, v in changes.items()}
near = {arm: [run["hq"] for run in kept[arm].record["scores"]] for arm in ("ct", "ict")}
helped = ", ".join(f"“{name}” (÷ {1 / factors[name]:.2f})" for name in by_size if factors[name] < 1)
not_helped = ", ".join(f"“{name}” (× {factors[name]:.2f})" for name in by_size if factors[name] > 1)
print(f"Left: what helped, the largest first: {helped}. What did not: {not_helped or 'nothing'}.")
print(
    f"Right: most costly are {', '.join(f'“{n}” (× {cost[n]:.1f})' for n in sorted(cost, key=cost.get)[:-4:-1])}."
)
print(
    f"Below: samples within 3 std of a mode: CT {np.mean(near['ct']):.0%}, iCT {np.mean(near['ict']):.0%} (98.9 % for real data)."
)

# %% [markdown]
# Read the two halves together. **A change has no size of its own; it has one in a recipe.** The pseudo-Huber distance does not help when it arrives, perhaps because at that rung the long steps at high noise still rule the loss.
# In the finished recipe, taking it away costs nearly a factor of two. And a fine fixed grid, N = 161 or 1281, is almost as good here as the doubling one.
#
# ### Where and when
#
# Left: the error at the end, by noise level. Bands are the ranges of the three seeds. Right: the error of the weights as they train, for three fixed grids and the doubling one.

# %%
where = {"CT 2023": "ct", "no EMA teacher": "no-ema", "+ weight": "weight", "iCT": "ict"}
when = {"N = 11": "ict-n-11", "N = 161": "ict-n-161", "N = 1281": "ict-n-1281", "doubling": "ict"}
by_level = {name: kept[arm]["average_error"] for name, arm in where.items()}
by_step = {name: np.sqrt((kept[arm]["error"] ** 2).mean(2)) for name, arm in when.items()}
where_and_when(kept["ict"]["levels"][0], by_level, kept["ict"]["steps"][0], by_step)

# %% tags=["hide-input"]
flat, weighed = (kept[arm]["average_error"].mean(0)[-1] for arm in ("huber", "weight"))
half = {name: row.mean(0)[20] for name, row in by_step.items()}
print(f"At the highest noise the rung “+ weight” lowers the error from {flat:.3f} to {weighed:.3f}.")
print(
    "After half of the steps: " + ", ".join(f"{name} {v:.3f}" for name, v in half.items()) + "."
)

# %% [markdown]
# The weight takes work away from high noise, and yet the error falls there too. That is how consistency training learns: an answer at t is copied from its neighbour at r, and that one from the next, down to the boundary.
# An error near the data is handed upwards to all higher levels, so it pays to be exact below first.
#
# N = 11 comes to a stop: its long one-sample steps are biased, and more training hardly helps. The expected price of the finest grid, more variance, is hard to see here: N = 1281 from the start is little worse.
#
# ### iCT on digits
#
# The same recipe on 8×8 scans, a small U-Net, 2000 steps. Beside it the shipped generator of lab 00, which was tuned from a denoiser (ECT, lab 09) and trained for longer: keep that in mind.

# %% tags=["hide-input"]
shipped = [json.loads(line) for line in (ROOT / "docs" / "results.jsonl").open()]
shipped = [run for run in shipped if run["preset"] == "digits.ect"]
arms = {"iCT": "ict", "ECT, as many samples": "tuned"}
digits = {
    name: read("tuning-digits", arm)
    for name, arm in arms.items()
    if path_of("tuning-digits", arm).is_file()
}

# %%
beside = {"ECT, shipped": np.array([run["fd1"] for run in shipped])}
shown = Markdown("*Not recorded yet: `cmlab record tuning-digits ict` makes it.*")
if "iCT" in digits:
    beside |= {name: kept.score("fd1") for name, kept in digits.items() if name != "iCT"}
    ict = digits["iCT"]
    curve = {"iCT": ict["scores"][:, :, list(ict.record["scores"][0]).index("fd1")]}
    shown = on_digits(ict["steps"][0], curve, beside, ict.arrays["pictures"][0])
shown

# %% tags=["hide-input"]
names = ("fd1", "fd2", "fd_floor", "memorised", "accuracy")
rows = {
    f"{name}: {run.record['samples']:,} samples": [run.score(n) for n in names]
    for name, run in digits.items()
}
rows[f"ECT, shipped: {shipped[0]['samples_seen']:,} samples"] = [
    np.array([run[n] for run in shipped]) for n in names
]
table = ["| three seeds each | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
for name, found in rows.items():
    cells = [f"{v.mean():.3g} ({v.min():.3g} to {v.max():.3g})" for v in found]
    table.append(f"| {name} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# fd1 and fd2 are Fréchet distances of 2000 digits, made in one and two calls, to 360 held-out ones, in the features of a small classifier; fd_floor is that of the training digits. `memorised` is the share nearer to a training digit than 98 % of the held-out digits are
# (0.02 for real unseen digits), `accuracy` how often the classifier reads the digit that was asked for.
#
# ## Exercises
#
# ### A · guided: N(k), from k alone
#
# Write iCT's number of grid points. The check asks for the values at and beside every doubling, in order and then **shuffled**: public code has kept a counter and doubled it whenever a stage was over.
# Such a schedule is right once, and wrong after a resume, in a plot, or when it is asked twice.


# %% tags=["exercise"]
def ict_steps(k, K, s0, s1):
    """The number of grid points N(k), an int, at step k of K."""
    # 1. how many stages are there? then K', the length of a stage, rounded down
    # 2. the stage that step k is in
    # 3. the number of intervals, s1 at most
    # 4. points, not intervals
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.ict_steps(ict_steps)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# From s0 = 10 to s1 = 1280 there are seven doublings, hence eight stages: log2⌊s1/s0⌋ + 1. `//` divides and rounds down. Ten intervals have eleven end points.
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
# There is nothing to save in a checkpoint and nothing to forget: whoever knows k knows N.
#
# </details>

# %% [markdown]
# ### B · on your own: the masses of the log-normal
#
# `levels` is an ascending grid (N,) of noise levels in float64. Return the masses p(i) of its intervals if ln σ is normal with `mean` and `std`, restricted to the grid.
# The sign of the mean is easy to lose: P_mean is −1.1. With +1.1, as in some public code, the levels centre at 3 and not at 0.33.


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
# The package's version also survives the far tail, where both values of erf round to 1 and their difference to 0.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Errors to the exact f on the ring: mean (low to high) over three seeds. "Shows" means that the ranges do not overlap. The paper's experiments are on CIFAR-10 and ImageNet 64×64.

# %% tags=["hide-input"]
tested = (
    ("no moving-average teacher", "ct", "no-ema", "ict-ema-0.999"),
    ("pseudo-Huber in place of squared L2", "no-ema", "huber", "ict-l2"),
    ("weight 1/(t − r)", "huber", "weight", "ict-flat"),
    ("log-normal noise levels", "weight", "lognormal", "ict-index"),
    ("N doubles up to 1281", "lognormal", "ict", "lognormal"),
)
table = ["| each change lowers the error | one rung up | put back into iCT |", "|---" * 3 + "|"]
for claim, before, after, back in tested:
    up = f"{ranged(rmse[before])} → {ranged(rmse[after])}: **{compare_scores(rmse[before], rmse[after])}**"
    inside = f"{ranged(rmse[back])}, × {rmse[back].mean() / rmse['ict'].mean():.2f}: **{compare_scores(rmse[back], rmse['ict'])}**"
    table.append(f"| {claim} | {up} | {inside} |")
Markdown("\n".join(table))

# %% tags=["hide-input"]
against = {name: compare_scores(rmse[f"ict-n-{name}"], rmse["ict"]) for name in (11, 161, 1281)}
grids = "; ".join(f"N = {n}: {ranged(rmse[f'ict-n-{n}'])}, {v}" for n, v in against.items())
wins = sum(rmse["ict"].mean() < rmse[f"ict-n-{n}"].mean() for n in against)
last, floor = one[-1].mean().item(), two[-1].mean().item()
on_images = "not recorded yet"
if "iCT" in digits:
    scores = digits["iCT"].score("fd1")
    on_images = f"digits, 2000 steps: Fréchet distance {scores.mean():.1f} ({scores.min():.1f} to {scores.max():.1f}); the training digits have {shipped[0]['fd_floor']:.1f}"

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| all changes together: iCT beats CT | {ranged(rmse["ct"])} → {ranged(rmse["ict"])}, {rmse["ct"].mean() / rmse["ict"].mean():.1f} times smaller | {compare_scores(rmse["ct"], rmse["ict"])} |
| doubling beats any fixed N | doubling {ranged(rmse["ict"])}; {grids} | {wins} of 3 in the mean; the ranges say how clearly |
| a small Fourier scale is needed | scale 16: {ranged(rmse["ict-fourier-16"])}; 0.3: {ranged(rmse["ict"])}; 0.02: {ranged(rmse["ict-fourier-0.02"])} | 0.3 lower than 16: {compare_scores(rmse["ict-fourier-16"], rmse["ict"])}; 0.02 lower than 0.3: {compare_scores(rmse["ict"], rmse["ict-fourier-0.02"])} |
| both passes must share their dropout | at t − r = 0.004 answers differ by {last:.4f} with one mask, by {floor:.4f} with two | shows for the difference; its effect on training is not tested here |
| iCT makes good images in one call without distillation | {on_images} | the paper's scale is not tested here |
""")

# %% [markdown]
# Three lines to take with you: what a change is worth depends on the rest of the recipe. The weight and the end of the slow teacher do most here; distance, noise levels and grid add to it.
# Draw p(i) λ(i) before you train: two schedules that each look reasonable can cancel out.
#
# ## Budget

# %% tags=["hide-input"]
runs = [run for arm in kept.values() for run in arm.record["seconds"]]
samples = sum(arm.record["samples"] * len(arm.record["seeds"]) for arm in kept.values())
Markdown(f"""
Recorded beforehand: {len(runs)} runs of {LADDER_STEPS} steps on the ring ({len(kept)} arms, 3 seeds), {samples / 1e6:.0f} million samples and twice as many network calls, {sum(runs) / 60:.0f} minutes in all on a machine that did other work too;
nothing was pre-trained. The digits: {", ".join(f"{name} {run.record['samples']:,} samples a run" for name, run in digits.items()) or "not recorded yet"}. While you read: no training, 63 network calls on 16 digits each.
""")

# %% [markdown]
# Run All itself: 8 seconds on 2 CPU cores.
#
# **Next:** lab 08 takes the distance apart. What does it do to outliers?
