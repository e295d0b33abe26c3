# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 14 · Faster pre-training
#
# **Why do two networks agree, and what does that buy?**
#
# | | |
# |---|---|
# | Paper | Xu et al. 2024, *Towards Faster Training of Diffusion Models: An Inspiration of A Consistency Phenomenon*, [arXiv:2404.07946](https://arxiv.org/abs/2404.07946) |
# | Level | 2 of 3 |
# | Part | Beyond |
# | Time | 40 minutes |
# | Run All | 9 s on 2 CPU cores |
# | You need | denoisers and the paths they make (lab 01), the consistency function (lab 02), Adam's momentum |
#
# After this lab you can
#
# 1. **test** whether two networks agree by more than chance, with a permutation test of your own;
# 2. **derive** the learning rate that makes up for a decaying momentum, and say what it keeps;
# 3. **judge** a claimed speed-up: against which rate, along which noise axis, over how many seeds.
#
# Nothing is trained while you wait: the denoisers are recordings, three seeds each. What is said about the paper rests on its abstract; its formulas reached us second hand, and the density of its curriculum not at all. Where a form is ours, the lab says so.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_recordings import recorded_variants
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab14_pretraining import checks
from cmlab_labs.lab14_pretraining.analysis import (
    agreement,
    exact_agreement,
    label_agreement,
    stability_limit,
    stationary_variance,
)
from cmlab_labs.lab14_pretraining.explorer import available, compared, explorer, modes
from cmlab_labs.lab14_pretraining.figures import (
    agreement_by_level,
    claim_row,
    curriculum_densities,
    finding,
    image_pairs,
    mode_borders,
    momentum_decay,
    pairs_and_test,
    score_curve,
    score_curves,
    scores_by_rate,
    speed_up_text,
    stationary_spread,
)
from cmlab_labs.lab14_pretraining.study import (
    RING_LEVELS,
    RecordedNetwork,
    recorded_ends,
    starting_points,
)
from IPython.display import Markdown

from cmlab.methods.faster_training import (
    Compensation,
    MomentumDecay,
    NoiseCurriculum,
    ProcessTime,
    Quantiles,
)
from cmlab.metrics.denoiser import heun_samples
from cmlab.noise_levels import KarrasGrid
from cmlab.presets import faster, toy
from cmlab.process import VarianceExploding
from cmlab.schedules import Warmup
from cmlab.teacher import OracleTeacher
from cmlab.train.config import TrainConfig

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Predict
#
# Two denoisers are trained on the same data. Their random weights differ, and so do their batches and their noise. Now give both the same pure noise, and let each walk down to a sample, with no randomness on the way.

# %%
predict("14.1")

# %%
predict("14.2")

# %% [markdown]
# ## The exact object
#
# ### One noise, one end
#
# EDM's loss has one minimum, the posterior mean $D^*(x_t, t) = \mathrm E[x \mid x_t]$. It belongs to the data; no initial weights occur in it. And the walk that makes a sample follows
#
# $$\frac{\mathrm d x}{\mathrm d \sigma} = \frac{x - D(x, \sigma)}{\sigma},$$
#
# with no chance in it. So a perfect denoiser takes each noise to one end, the consistency function of lab 02. Two networks agree *because both are near that one function*. The ring has an exact denoiser, so you can check: below, the exact walk from 512 noises, and two recorded networks from the same ones.

# %% tags=["hide-input"]
start, top = starting_points(toy.RING, 512), RING_LEVELS[0]
exact = heun_samples(VarianceExploding(), OracleTeacher(toy.RING).denoise, start.at(top, top), top)
nets = recorded_ends("pretraining-toy", "uniform-constant")[:, 0]  # (seeds, 512, 2), from pure noise
rows = {"seed 0 and seed 1": (nets[0], nets[1]), "seed 0 and seed 2": (nets[0], nets[2]), "seed 1 and seed 2": (nets[1], nets[2])}
rows |= {f"seed {k} and the exact walk": (nets[k], exact) for k in range(3)}
table = ["| pair | median distance | mean | in the same mode |", "|---" * 4 + "|"]
for name, (a, b) in rows.items():
    apart = (a - b).norm(dim=1)
    table.append(f"| {name} | {float(apart.median()):.3f} | {float(apart.mean()):.3f} | {label_agreement(modes(a), modes(b))[0]:.1%} |")
Markdown("\n".join(table))

# %% [markdown]
# Most pairs lie close together, and a few far apart: the mean is above the median. Where do those few come from? Each dot is a noise, the number is the mode in which its exact walk ends. Look where the crosses are.

# %% tags=["hide-input"]
split = modes(nets[0]) != modes(nets[1])
mode_borders(start.at(top, top), modes(exact), split, top, f"{int(split.sum())} of 512 noises divide the networks, at borders")

# %% [markdown]
# At a border a small error of either network decides the mode. Elsewhere only a large one can.
#
# ### By more than chance?
#
# How small is a small distance? Let the data say: pair the answers at random, many times, and count how often a shuffled pairing lies as near as the true one. With P shuffles
#
# $$p = \frac{1 + \#\{\text{shuffles at least as near}\}}{1 + P}.$$
#
# The 1 stands for the pairs as they are: if shared noise meant nothing, they would be one more shuffle. With four pairs you can try all 24 orders. Two answers that agree:

# %% tags=["nbval-check-output"]
g = torch.Generator().manual_seed(3)
a = torch.randn(4, 2, generator=g)
for tie in (0.0, 0.5, 0.95):
    b = tie * a + (1 - tie) * torch.randn(4, 2, generator=torch.Generator().manual_seed(8))
    test = exact_agreement(a, b)
    print(
        f"tie {tie:4}: {round(test.p * 24):2d} of 24 orders are as near or nearer, p = {test.p:.3f}"
    )

# %% [markdown]
# With four pairs p cannot fall below 1/24. With 512 pairs and 999 shuffles the smallest is 1/1000.
#
# ### Momentum in a bowl
#
# Adam averages gradients, $m \leftarrow \beta m + (1-\beta)\, g$, and steps by rate · m (over a scale, which we leave out). So a new gradient moves the weights by rate · (1−β) at once, and by β/(1−β) times as much again later: that is the *memory*. The paper lets β decay, and lets the rate make up for it. As reported, with τ the share of the run that is done:
#
# $$\beta = \frac{\beta_0 (1-\tau)}{(1-\beta_0) + \beta_0(1-\tau)}, \qquad \text{rate} = \text{rate}_0\, \frac{1-\beta_0}{1-\beta}.$$

# %% tags=["hide-input", "nbval-check-output"]
beta = MomentumDecay(0.9, 100)
rate = Compensation(beta)
print("     τ       β   memory  rate/rate₀  rate·(1−β)  largest rate₀·h: alone   with the rate")
for step in (0, 25, 50, 75, 90, 100):
    b, r = beta(step), rate(step)
    print(f"{step / 100:6.2f} {b:8.6f} {b / (1 - b):7.3f} {r:9.3f} {r * (1 - b):12.3f} {stability_limit(b):21.2f} {stability_limit(b) / r:15.2f}")

# %% [markdown]
# Read the columns. The memory falls evenly from 9 to 0, the rate evenly from 1 to 0.1, and what a new gradient does at once, rate · (1 − β), stays as it was.
# The last two columns are from a bowl ½ h θ² with curvature h: descent runs away when rate · h exceeds $2(1+\beta)/(1-\beta)$. Momentum 0.9 bears 38. Without momentum it is 2, and a rate that was safe is 19 times too bold. With the compensation most of the room remains.

# %%
momentum_decay(MomentumDecay(0.9, 1000))

# %% [markdown]
# And the noise? With white gradient noise the weights never rest; their variance in the bowl has a formula too:
#
# $$\mathrm{Var}\,\theta = \frac{\text{rate}\,(1+\beta)\,\mathrm{noise}^2}{h\,\bigl(2(1+\beta) - \text{rate}\,(1-\beta)\,h\bigr)} .$$

# %%
stationary_spread(1.0, MomentumDecay(0.9, 1000), 0.9)

# %% tags=["nbval-check-output"]
flat = {
    name: stationary_variance(r, b, 0.01) / stationary_variance(1.0, 0.9, 0.01)
    for name, r, b in (
        ("momentum alone", 1.0, beta(90)),
        ("momentum and rate", rate(90), beta(90)),
        ("rate alone", rate(90), 0.9),
    )
}
for name, ratio in flat.items():
    print(f"flat direction, τ = 0.9, {name:18}: {ratio:.3f} of the spread at the start")

# %% [markdown]
# In flat directions β cancels: momentum alone brings no calm, and the rate alone brings all of it. Keep that for the recorded runs: it says which arm to compare with.
#
# ### Which noise is easy, and along which axis?
#
# Near pure noise the best answer is nearly the mean of all data, which is soon learned. So the paper looks there ever less often. Its density is not known to us. The form used here is **ours**:
#
# $$p_\tau(u) = (1 - \tau) + \tau\, \mathcal N(u;\, 0.3,\, 0.25^2) \text{ restricted to } [0, 1], \qquad u = 0 \text{ data},\; u = 1 \text{ noise},$$
#
# where only the peak near 0.3 is as reported. But 0.3 of the way along *what*? The paper's u is the timestep of a diffusion model with DDPM's noise. Here u runs over the quantiles of the law of levels that EDM trains on anyway, so that the flat start is EDM itself, to the bit.

# %%
axes = {
    "EDM's quantiles": Quantiles(),
    "DDPM's clock": ProcessTime(),
    "Karras's index": KarrasGrid(),
}
curriculum_densities(NoiseCurriculum(Warmup(100)), (0, 25, 50, 75, 100), 100, axes)

# %% [markdown]
# On the right: the same u = 0.3 is a noise level of 0.16, 1.24 or 0.32. And *uniform* is three baselines, too: even over DDPM's clock, half of all samples have a level above 3.4; even over EDM's quantiles, half of them lie above 0.30. A curriculum that helps a baseline that looks at much noise may have nothing to add to one that does not.
#
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | CLTS, a curriculum over timesteps | `NoiseCurriculum`, where any pairs of times can stand |
# | MDLRC, momentum decay with learning-rate compensation | `MomentumDecay` for the trainer's `momentum`, `Compensation` for its `rate` |
#
# Neither is a method: the loss stays EDM's.

# %%
show_source(NoiseCurriculum)

# %%
show_source(MomentumDecay)

# %%
show_source(Compensation)

# %%
show_source(TrainConfig.set_lr)

# %% [markdown]
# A recipe with both is made from one without:

# %%
show_source(faster.decayed)

# %% [markdown]
# ## Explore
#
# Twin nets. Blue squares (or rows A) are one network's answers, orange triangles (or rows B) the other's, a line joins answers to one noise. The histogram holds the mean distance after each of 999 shuffles.
# Click a button or a slider and use the arrow keys.
#
# Three things to try. Walk `noise in the start` from a little to pure noise: what do the two still have in common? Choose the network of half the width. And where they are offered, choose the two halves: these networks have never seen the same digit.

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# ### Two networks, one noise

# %% tags=["hide-input"]
twins = compared("ring: two seeds", 0)
pairs_and_test(twins.a, twins.b, toy.RING.oracle.components.means, twins.test, ("Shared noise: the same place", "Shuffled: anywhere", f"p = {twins.test.p:.3f}, as small as can be"))

# %% tags=["hide-input"]
print(f"Shared noise: mean distance {twins.test.distance:.3f}; shuffled: {float(twins.test.shuffled.mean()):.3f}, so {twins.test.ratio:.0%} of it is left.")
print(f"The same mode in {twins.share:.1%} of 512 pairs; shuffled pairs have {twins.chance:.1%}.")
print("None of 999 shuffles comes near, so p = 1/1000: the smallest value that this test can give.")

# %% [markdown]
# The agreement needs the noise only where the start holds no data. By the level of the shared start, with ranges over pairs of seeds:

# %% tags=["hide-input"]
every = recorded_ends("pretraining-toy", "uniform-constant")
both = {"two seeds": [(every[i], every[j]) for i, j in ((0, 1), (0, 2), (1, 2))]}
if RecordedNetwork("twins-toy", "narrow", 0).recorded:
    narrow = recorded_ends("twins-toy", "narrow")
    both["half the width"] = [(every[i], narrow[j]) for i, j in ((0, 1), (1, 2), (2, 0))]
shares = {name: (RING_LEVELS, np.array([[label_agreement(modes(a[k]), modes(b[k]))[0] for k in range(5)] for a, b in pairs])) for name, pairs in both.items()}
least = shares["two seeds"][1][:, 0].min()
agreement_by_level(shares, twins.chance, f"Two seeds, pure noise: the same mode in {least:.0%} of the pairs or more")

# %% [markdown]
# ### Does training get faster?
#
# The ring first: 2000 steps of 256 samples, Adam with a constant rate of 0.004 as the baseline. *Excess* is EDM's loss above its minimum, which is known exactly here, of the averaged weights.

# %% tags=["hide-input"]
WORDS = {"constant": "constant", "both": "momentum and rate", "momentum": "momentum alone", "rate": "rate alone"}
ring = recorded_variants("pretraining-toy")
paces = {word: score_curve(ring[f"uniform-{arm}"], "excess") for arm, word in WORDS.items() if f"uniform-{arm}" in ring}
laws = {"uniform": "uniform-constant", "curriculum": "curriculum-constant"}
laws = {word: score_curve(ring[arm], "excess") for word, arm in laws.items() if arm in ring}
score_curves({finding("Pace", paces): paces, finding("Law", laws): laws}, "excess of the loss (no unit)")

# %% tags=["hide-input"]
found = {arm: run.score("excess") for arm, run in ring.items()}
base = score_curve(ring["uniform-constant"], "excess")
table = ["| ring, arm | excess · 1000 | away | ed · 1000 | in training, excess · 1000 | speed |", "|---" * 6 + "|"]
for arm, run in ring.items():
    raw = 1000 * run["excess"][:, -1].mean(1)
    cells = [arm, ranged(1000 * run.score("excess"), ".2f"), ranged(run.score("away"), ".3f"), ranged(1000 * run.score("ed"), ".2f"), ranged(raw, ".2f"), speed_up_text(base, score_curve(run, "excess"))]
    table.append("| " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# *Away*: RMS distance of 2048 walks' ends to the exact walks' from the same noise. *ed*: energy distance to fresh data; it scatters around 0 for a perfect sampler. *In training*: the excess of the weights themselves, without their average. *Speed*: steps of the baseline over steps to its last excess, by seed; above 1 is faster. *1 of 3 seeds*: the others do not get there.
#
# Two questions before you believe a speed-up. Would a plain decay of the rate have done the same (`rate`)? And was the baseline's rate a good one?

# %% tags=["hide-input"]
slow = recorded_variants("pretraining-rates")
at = {word: {} for word in WORDS.values()}
for arm, word in WORDS.items():
    held = {0.004: ring.get(f"uniform-{arm}"), 0.002: slow.get(f"{arm}-2"), 0.008: slow.get(f"{arm}-8")}
    at[word] = {lr: run.score("excess") for lr, run in held.items() if run}
at = {word: rates for word, rates in at.items() if rates}
best = {word: min(rates, key=lambda lr: rates[lr].mean()) for word, rates in at.items()}
scores_by_rate(at, "excess of the loss (no unit)", "Best at: " + ", ".join(f"{w} {lr:g}" for w, lr in best.items() if len(at[w]) > 1) if slow else "One base rate is recorded so far")

# %% tags=["hide-input"]
for word, rates in at.items():
    print(f"{word:18} best of {len(rates)} base rates: {best[word]:g}, excess · 1000 = {ranged(1000 * rates[best[word]], '.2f')}")

# %% [markdown]
# ### Digits and shapes
#
# 400 steps of 64 digits (constant rate 0.004, the best of three for `constant` on a seed of its own), and 200 steps of 32 shapes (0.002, not searched for). Here the minimum of the loss is not known: the score is a distance of 35-call samples to real pictures.

# %% tags=["hide-input"]
scans, drawn = recorded_variants("pretraining-digits"), recorded_variants("pretraining-shapes")
NAMES = {"neither": "uniform-constant", "momentum and rate": "uniform-both", "curriculum": "curriculum-constant", "both techniques": "curriculum-both"}
picked = {word: score_curve(scans[arm], "fd35") for word, arm in NAMES.items() if arm in scans}
loss = {word: score_curve(scans[arm], "loss") for word, arm in NAMES.items() if arm in scans}
score_curves({finding("Samples", picked): picked, finding("Held-out loss", loss): loss}, "left Fréchet distance, right loss (no unit)")

# %% tags=["hide-input"]
table = ["| data | arm | samples | 35-call samples | loss on unseen pictures | speed, by the loss |", "|---" * 6 + "|"]
for name, runs, score in (("digits", scans, "fd35"), ("shapes", drawn, "pd35")):
    for arm, run in runs.items():
        said = speed_up_text(score_curve(runs["uniform-constant"], "loss"), score_curve(run, "loss"))
        count = f"{run.record['samples']:,}".replace(",", " ")
        table.append(f"| {name} | {arm} | {count} | {ranged(run.score(score), '.3g')} | {ranged(run.score('loss'), '.4f')} | {said} |")
Markdown("\n".join(table)) if scans or drawn else "not recorded yet"

# %% [markdown]
# ### The phenomenon on digits
#
# Without classes, so that the noise alone decides which digit it is.

# %% tags=["hide-input"]
pair = "digits: two halves of the scans"
if pair in available():
    halves = compared(pair, 0)
    shown = image_pairs(halves.a[:16].clamp(-1, 1), halves.b[:16].clamp(-1, 1), halves.test, (f"Trained on other scans: the same class in {halves.share:.0%}", f"p = {halves.test.p:.3f}"))
else:
    shown = "not recorded yet"
shown

# %% [markdown]
# ## Exercises
#
# ### A · guided: a momentum that decays, and its rate
#
# Write both from what they are for. The memory M = β/(1−β) falls evenly, from $\beta_0/(1-\beta_0)$ at τ = 0 to 0 at τ = 1; and what a new gradient does at once, factor · (1−β), stays as it was at the start.
# Which of the two numbers must you find first?


# %% tags=["exercise"]
def my_pace(tau, beta0):
    """β at the share tau of a run, and the factor on the learning rate."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.pace(my_pace)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# First M at τ, then β from M: solve M (1 − β) = β. The factor follows from factor · (1 − β) = 1 − β₀.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def my_pace(tau, beta0):
#     memory = (1 - tau) * beta0 / (1 - beta0)
#     beta = memory / (1 + memory)
#     return beta, (1 - beta0) / (1 - beta)
# ```
#
# The factor is $(1-\beta_0)(1 + M)$, and M falls evenly: so does the rate, $1 - \beta_0 \tau$. A decay that looks involved is a straight line.
#
# </details>

# %% [markdown]
# ### B · on your own: a permutation test
#
# `a` and `b` (n, d) are two networks' answers to the same noises. `orders` (P, n) holds P shuffles of the numbers 0 … n − 1. Return p for the mean distance of a pair, one-sided, with the pairs as they are counted in.


# %% tags=["exercise"]
def my_test(a, b, orders):
    """The p-value that the pairs as they are lie nearer together than shuffled ones."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.permutation_p(my_test)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `b[orders]` has shape (P, n, d). Shuffle one side only. Where do the pairs as they are enter, above the line, below it, or both?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def my_test(a, b, orders):
#     seen = (a - b).norm(dim=1).mean()
#     shuffled = (a - b[orders]).norm(dim=2).mean(1)
#     return (1 + (shuffled <= seen).sum()) / (1 + len(orders))
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest; *shows* needs ranges that do not overlap. The paper's speed-ups, 2 to 2.6 times as reported, are for large networks and long training.

# %% tags=["hide-input"]
agree = [agreement(x[0], y[0]) for x, y in both["two seeds"]]
left, common = ranged([t.ratio for t in agree], ".1%"), ranged(shares["two seeds"][1][:, 0], ".1%")
verdict = "shows" if max(t.p for t in agree) <= 0.001 else "shows in part"
table = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
table.append(f"| other weights, same noise: near answers (ring) | {left} of the shuffled distance is left; same mode {common}, shuffled {twins.chance:.1%}; p ≤ {max(t.p for t in agree):.3f} | {verdict} |")

# %% tags=["hide-input"]
ends_away = {arm: run.score("away") for arm, run in ring.items()}
for name in available():
    if name not in ("ring: two seeds", "ring: other training"):
        t = compared(name, 0)
        table.append(f"| … {name} (one pair) | {t.test.ratio:.1%} of the shuffled distance; same {'mode' if t.a.ndim == 2 else 'class'} {t.share:.0%}, shuffled {t.chance:.0%}; p = {t.test.p:.3f} | {'shows, one pair' if t.test.p <= 0.01 else 'does not show at this size'} |")
table.append(claim_row("momentum decay with its rate trains faster (ring, excess)", found, "uniform-both", "uniform-constant"))
table.append(claim_row("*not in the paper:* … faster than its rate alone (ring)", found, "uniform-both", "uniform-rate"))
table.append(claim_row("the compensation is needed: decay alone is worse (ring, excess)", found, "uniform-both", "uniform-momentum"))
table.append(claim_row("… and worse than no decay (ring)", found, "uniform-constant", "uniform-momentum"))
table.append(claim_row("a curriculum over noise trains faster (ring, excess)", found, "curriculum-constant", "uniform-constant"))
table.append(claim_row("both techniques beat either alone: the curriculum (ring, excess)", found, "curriculum-both", "curriculum-constant"))
table.append(claim_row("… and the momentum with its rate (ring, excess)", found, "curriculum-both", "uniform-both"))
table.append(claim_row("… and in samples: their distance to the exact ends (ring)", ends_away, "curriculum-both", "uniform-constant"))
for name, runs, score in (("digits, Fréchet distance", scans, "fd35"), ("digits, loss", scans, "loss"), ("shapes, patch distance", drawn, "pd35"), ("shapes, loss", drawn, "loss")):
    numbers = {arm: run.score(score) for arm, run in runs.items()}
    table.append(claim_row(f"both techniques beat neither ({name})", numbers, "curriculum-both", "uniform-constant"))
Markdown("\n".join(table))

# %% [markdown]
# No arm trains on the curriculum's last law from the first step. So where a curriculum gains, this table cannot say whether it is by *moving*, or by looking elsewhere.
#
# ## Budget

# %% tags=["hide-input"]
names = ("pretraining-toy", "pretraining-rates", "pretraining-digits", "pretraining-shapes", "twins-toy", "twins-digits")
runs = [run for name in names for run in recorded_variants(name).values()]
count = sum(run.record["samples"] * len(run.record["seeds"]) for run in runs)
seconds = sum(sum(run.record["seconds"]) for run in runs)
print("While you waited: no training; 35 calls of the exact denoiser on 512 points; all else is read.")
each = f"{count:,} samples".replace(",", " ")
print(f"Recorded: {len(runs)} arms, three seeds each: {each}, {seconds:.0f} s of training on a machine that did other work too.")

# %% [markdown]
# Run All takes 9 seconds on 2 CPU cores.
#
# Three lines to take with you: networks agree because the data leave them one answer. A momentum and its rate belong together, and a decay of the rate alone is the arm to compare with. And *uniform* is a word that needs an axis.
#
# **Next:** lab 15 leaves pictures for sound.
