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
# **Why do two networks agree, and does that help to train faster?**
#
# | | |
# |---|---|
# | Paper | Xu et al. 2024, *Towards Faster Training of Diffusion Models: An Inspiration of A Consistency Phenomenon*, [arXiv:2404.07946](https://arxiv.org/abs/2404.07946) |
# | Level | 2 of 3 |
# | Part | Beyond |
# | Time | 65 minutes; 35 without the optional second part |
# | Run All | 8 s on 2 CPU cores |
# | You need | denoisers and the paths that lead from noise to data (lab 01), the consistency function (lab 02), Adam's momentum |
#
# After this lab you can
#
# 1. **test** whether two networks agree by more than chance, with a permutation test of your own, and **explain** why they do;
# 2. **derive** the learning rate that compensates for a decaying momentum, and say what it preserves;
# 3. **judge** a claimed speed-up: with which learning rate it was compared, along which axis of noise levels, and over how many seeds.
#
# The lab has two parts. The first asks why two networks agree. The paper took this agreement as a hint at how to train faster, and the second part, which is optional, tests the two techniques that came out of it.
#
# Nothing is trained while you wait: the denoisers were recorded beforehand, with three seeds each. The statements about the paper rest on its abstract. Its formulas were known to us only at second hand, and the density of its curriculum was not known at all; where a form is ours, the lab says so.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.plots_recordings import compare_seeds, recorded_variants
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
from cmlab_labs.lab14_pretraining.explorer import available, classes, compared, explorer, modes
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
    variant_name,
)
from cmlab_labs.lab14_pretraining.study import (
    RING_LEVELS,
    RecordedNetwork,
    recorded_ends,
    starting_points,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
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
from cmlab.teacher import BatchTeacher, OracleTeacher

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# Two denoisers were trained on the same data, the ring of eight modes. Their initial weights are different, and so are the batches and the noise of their training. Now both receive the *same* starting noise, and each follows its own deterministic path down to a sample.
#
# Blue squares (for pictures, the rows A) are the samples of one network, orange triangles (the rows B) are those of the other, and a line joins the two samples that come from the same noise. In the middle panel the pairs are shuffled. The histogram shows the mean distance of a pair after each of 999 shuffles.
#
# Three things to try. Change *noise in the start* from a little to pure noise: what do the two networks still have in common when the start contains no data at all? Then choose the network of half the width. Finally, where the choice is offered, choose the two halves of the scans: no scan occurs in the training data of both networks.

# %%
explorer()

# %% [markdown]
# ## Predict
#
# The two networks share their data, but not their weights or batches, and still their samples are nearly the same. The paper calls this agreement the *consistency phenomenon*. It was described before, by Song et al. 2021 and by Zhang et al. 2023 ([arXiv:2310.05264](https://arxiv.org/abs/2310.05264)).

# %%
predict("14.1")

# %% [markdown]
# ## The exact object
#
# ### Each noise has one end
#
# Among all functions, only one attains the smallest possible value of EDM's loss: the posterior mean $D^*(x_t, t) = \mathrm E[x \mid x_t]$. It is a property of the data and does not depend on any initial weights. The path that leads to a sample follows
#
# $$\frac{\mathrm d x}{\mathrm d \sigma} = \frac{x - D(x, \sigma)}{\sigma},$$
#
# which contains no randomness. A perfect denoiser therefore takes each noise to one definite end, which is the value of the consistency function of lab 02. So two networks agree *if both are close to this one function*. Are they? For the ring the exact denoiser is known, so this can be checked. The table compares the exact paths from 512 noises with those of three trained networks.

# %% tags=["hide-input"]
start, top = starting_points(toy.RING, 512), RING_LEVELS[0]
exact = heun_samples(VarianceExploding(), OracleTeacher(toy.RING).denoise, start.at(top, top), top)
nets = recorded_ends("pretraining-toy", "uniform-constant")[:, 0]  # (seeds, 512, 2), from pure noise
rows = {"seed 0 and seed 1": (nets[0], nets[1]), "seed 0 and seed 2": (nets[0], nets[2]), "seed 1 and seed 2": (nets[1], nets[2])}
rows |= {f"seed {k} and the exact path": (nets[k], exact) for k in range(3)}
table = ["| pair | median distance | mean distance | in the same mode |", "|---" * 4 + "|"]
for name, (a, b) in rows.items():
    apart = (a - b).norm(dim=1)
    table.append(f"| {name} | {float(apart.median()):.3f} | {float(apart.mean()):.3f} | {label_agreement(modes(a), modes(b))[0]:.1%} |")
Markdown("\n".join(table))

# %% [markdown]
# Most pairs lie close together and a few lie far apart, which is why the mean is larger than the median. Where do these few come from? In the figure each dot is a noise (dark and light for even and odd modes), and the numbers name the modes in which the exact paths end. A cross marks a noise that two networks take to different modes.

# %% tags=["hide-input"]
split = modes(nets[0]) != modes(nets[1])
mode_borders(start.at(top, top), modes(exact), split, top, f"They disagree on {int(split.sum())} of 512 noises, near borders")

# %% [markdown]
# At a border, even a small error of one of the networks can change the mode. Elsewhere only a large error can.
#
# ### Do they agree by more than chance?
#
# How small is a small distance? The samples themselves provide a scale: pair them at random, many times, and count how often a shuffled pairing is at least as close as the true one. With P shuffles, the p-value of this permutation test is
#
# $$p = \frac{1 + \#\{\text{shuffles at least as close}\}}{1 + P}.$$
#
# The 1 stands for the true pairing: if shared noise meant nothing, it would be just one more shuffle. With four pairs all 24 orders can be tried. The next cell does so for two sets of values that agree more and more:

# %% tags=["hide-input", "nbval-check-output"]
g = torch.Generator().manual_seed(3)
a = torch.randn(4, 2, generator=g)
for tie in (0.0, 0.5, 0.95):
    b = tie * a + (1 - tie) * torch.randn(4, 2, generator=torch.Generator().manual_seed(8))
    test = exact_agreement(a, b)
    print(
        f"agreement {tie:4}: orders at least as close: {round(test.p * 24):2d} of 24, p = {test.p:.3f}"
    )

# %% [markdown]
# With four pairs p cannot fall below 1/24. With 512 pairs and 999 shuffles the smallest possible value is 1/1000.

# %% [markdown]
# ## The key figure
#
# ### Two networks, one noise

# %% tags=["hide-input"]
twins = compared("ring: two seeds", 0)
pairs_and_test(twins.a, twins.b, toy.RING.oracle.components.means, twins.test, ("Same noise: pairs lie close", "Shuffled pairs lie anywhere", f"No shuffle is as close (p = {twins.test.p:.3f})"))

# %% tags=["hide-input"]
print(f"With shared noise the mean distance is {twins.test.distance:.3f}; with shuffled pairs it is {float(twins.test.shuffled.mean()):.3f}. The ratio is {twins.test.ratio:.0%}.")
print(f"The two samples lie in the same mode for {twins.share:.1%} of 512 pairs, and for {twins.chance:.1%} of shuffled pairs.")
print("None of the 999 shuffles comes close, so p = 1/1000, the smallest value that this test can give.")

# %% [markdown]
# Where the start contains no data, the shared noise is the only input that the two networks have in common; at lower levels the start itself contains information about the data. The next figure shows the agreement against the noise level of the shared start, with ranges over pairs of seeds.

# %% tags=["hide-input"]
every = recorded_ends("pretraining-toy", "uniform-constant")
both = {"two seeds": [(every[i], every[j]) for i, j in ((0, 1), (0, 2), (1, 2))]}
if RecordedNetwork("twins-toy", "narrow", 0).recorded:
    narrow = recorded_ends("twins-toy", "narrow")
    both["half the width"] = [(every[i], narrow[j]) for i, j in ((0, 1), (1, 2), (2, 0))]
shares = {name: (RING_LEVELS, np.array([[label_agreement(modes(a[k]), modes(b[k]))[0] for k in range(5)] for a, b in pairs])) for name, pairs in both.items()}
least = shares["two seeds"][1][:, 0].min()
agreement_by_level(shares, twins.chance, f"Two seeds share the mode in at least {least:.0%} of the pairs")

# %% [markdown]
# ### Two networks without common data
#
# The next two networks were trained on digits, each on one half of the scans, an experiment of Kadkhodaie et al. 2024 ([arXiv:2310.02557](https://arxiv.org/abs/2310.02557)). They are not given the class, so the noise alone decides which digit results.

# %% tags=["hide-input"]
pair = "digits: two halves of the scans"
if pair in available():
    halves = compared(pair, 0)
    shown = image_pairs(halves.a[:16].clamp(-1, 1), halves.b[:16].clamp(-1, 1), halves.test, (f"Different scans, yet {halves.share:.0%} of one class (shuffled {halves.chance:.0%})", f"p = {halves.test.p:.3f}"))
else:
    shown = "not recorded yet"
shown

# %% [markdown]
# Here the explanation by one common function fails: the exact denoisers of the two halves are different functions, and each of them leads to scans of its own half (lab 00). But how different are they? Both are known exactly, so we compare them at several noise levels and follow their exact paths from the 60 noises of the figure.

# %% tags=["hide-input"]
scans_of = [Digits().images[k::2] for k in (0, 1)]
exact_a, exact_b = (BatchTeacher(VarianceExploding())(x) for x in scans_of)
held, rms = Digits(train=False).images, lambda v: float(v.square().mean().sqrt())
z = torch.randn(held.shape, generator=torch.Generator().manual_seed(0))
for level in (10.0, 3.0, 1.0, 0.2):
    x_t, t = held + level * z, torch.full((len(held),), level)
    print(f"noise level {level:4}: the two exact denoisers differ by {rms(exact_a(x_t, t) - exact_b(x_t, t)):.2f}")
print(f"For comparison, scans differ from their mean by {rms(Digits().images - Digits().images.mean(0)):.2f} (all numbers: RMS per pixel).")

# %% tags=["hide-input"]
noise = starting_points(Digits(train=False), 60).at(80.0, 80.0)
paths = [heun_samples(VarianceExploding(), D, noise, 80.0) for D in (exact_a, exact_b)]
rows = {"the two networks": (halves.a, halves.b), "the two exact paths": paths, "network and exact path, first half": (halves.a, paths[0]), "network and exact path, second half": (halves.b, paths[1])}
table = ["| pair | distance, relative to shuffled pairs | of the same class |", "|---" * 3 + "|"]
table += [f"| {name} | {agreement(a, b).ratio:.0%} | {label_agreement(classes(a), classes(b))[0]:.0%} |" for name, (a, b) in rows.items()]
Markdown("\n".join(table))

# %% [markdown]
# At high noise levels the two exact denoisers are nearly the same function. For large σ the posterior mean is about $m + C\,(x_t - m)/\sigma^2$, with the mean m and the covariance C of the data, and two random halves have nearly the same m and C. So their paths begin together, and most of them end in the same class although no scan belongs to both halves. The *class* can agree without a common minimum of the loss; it is enough that the data look alike under noise.
# The *picture* is another matter. The exact paths of the two halves end in different scans, while the networks end much closer to each other than to the exact path of their own half. What they have learned is smoother than either exact denoiser, and the details by which the halves differ are missing from both.

# %% [markdown]
# ## Optional second part: faster training
#
# Agreement tells us where training ends, but not how long it takes. The paper connects the two by asking what makes networks agree, and derives a technique from each of its two answers:
#
# - **At high noise levels the task is easy.** There the best output hardly depends on the details of the data, so it is soon learned, and a *curriculum* spends fewer and fewer samples on these levels.
# - **The loss is smooth**, so that runs which begin at different weights end close to one another. On a smooth loss a large momentum may carry the weights past the minimum again and again, so the *momentum decays*.
#
# Neither technique follows logically from the agreement, and each has to be tested separately. This part is about optimisers and schedules of noise levels. If you leave it out, continue at *Exercises* with exercise A; exercise B and all but the first four rows of the final table belong to this part.

# %%
predict("14.2")

# %% [markdown]
# ### Momentum on a quadratic loss
#
# The second technique concerns the optimiser. Adam averages the gradients, $\bar g \leftarrow \beta \bar g + (1-\beta)\, g$, and takes a step of rate · $\bar g$ (divided by a scale, which we leave out). A new gradient thus moves the weights by rate · (1−β) at once, and by β/(1−β) times as much later on. This ratio is the *memory* of the momentum.
# The paper lets β decay to zero and changes the learning rate to compensate. The schedules are reported to be as follows (that of β is *Demon*, by Chen et al. 2019, [arXiv:1910.04952](https://arxiv.org/abs/1910.04952)), where τ is the fraction of the run that has been completed:
#
# $$\beta = \frac{\beta_0 (1-\tau)}{(1-\beta_0) + \beta_0(1-\tau)}, \qquad \text{rate} = \text{rate}_0\, \frac{1-\beta_0}{1-\beta}.$$

# %% tags=["hide-input"]
beta = MomentumDecay(0.9, 100)
rate = Compensation(beta)
lines = ["| τ | β | memory β/(1−β) | rate/rate₀ | (rate/rate₀)·(1−β) | limit of rate₀·h, momentum alone | limit of rate₀·h, with the rate |", "|---" * 7 + "|"]
for step in (0, 25, 50, 75, 90, 100):
    b, r = beta(step), rate(step)
    lines.append(f"| {step / 100:.2f} | {b:.3f} | {b / (1 - b):.2f} | {r:.3f} | {r * (1 - b):.3f} | {stability_limit(b):.1f} | {stability_limit(b) / r:.1f} |")
Markdown("\n".join(lines))

# %% [markdown]
# As the run proceeds, the memory falls linearly from 9 to 0 and the rate linearly from 1 to 0.1, while the immediate effect of a new gradient, rate · (1 − β), stays the same.
# The last two columns concern the quadratic loss $\tfrac12 h \theta^2$ with curvature h. Its gradient is hθ, and two successive steps, with $\bar g$ eliminated, give
#
# $$\theta_{k+1} = a\, \theta_k - \beta\, \theta_{k-1}, \qquad a = 1 + \beta - \text{rate}\,(1-\beta)\, h .$$
#
# A solution $\theta_k = \lambda^k$ needs $\lambda^2 - a \lambda + \beta = 0$. The product of its two solutions is β < 1, so complex ones, both of size √β, stay inside the unit circle; a real one can leave it at +1 only if rate · h = 0. As the rate grows, the first λ therefore leaves it at −1, where
#
# $$1 + a + \beta = 0 \quad\Longleftrightarrow\quad \text{rate} \cdot h = \frac{2(1+\beta)}{1-\beta} .$$
#
# Beyond this limit descent diverges. With momentum 0.9 this limit is 38 and without momentum it is 2, so a rate that was safe at the start can later be 19 times too large. With the compensation, more than half of the stable range remains.

# %%
momentum_decay(MomentumDecay(0.9, 1000))

# %% [markdown]
# The noise of the gradients also matters. If it is white, the weights never come to rest, because each step also adds $-\text{rate}\,(1-\beta)$ times a fresh noise. Let V be the variance of θ and Γ the covariance of two successive θ. Once both have become constant, the recursion says
#
# $$\Gamma = a V - \beta \Gamma, \qquad V = a^2 V + \beta^2 V - 2 a \beta\, \Gamma + \text{rate}^2 (1-\beta)^2\, \mathrm{noise}^2 .$$
#
# Eliminate Γ and insert a:
#
# $$\mathrm{Var}\,\theta = \frac{\text{rate}\,(1+\beta)\,\mathrm{noise}^2}{h\,\bigl(2(1+\beta) - \text{rate}\,(1-\beta)\,h\bigr)} .$$

# %%
stationary_spread(1.0, MomentumDecay(0.9, 1000), 0.9)

# %% tags=["hide-input", "nbval-check-output"]
flat = {
    name: stationary_variance(r, b, 0.01) / stationary_variance(1.0, 0.9, 0.01)
    for name, r, b in (
        ("momentum alone", 1.0, beta(90)),
        ("momentum and rate", rate(90), beta(90)),
        ("rate alone", rate(90), 0.9),
    )
}
for name, ratio in flat.items():
    print(f"flat direction, τ = 0.9, {name:18}: {ratio:.3f} of the variance at the start")

# %% [markdown]
# In flat directions (small h), β cancels from the formula: changing the momentum alone does not reduce the variance at all, and the whole reduction comes from the rate. This result shows which control experiment the trained networks need: a decay of the rate alone.
#
# ### Which noise is easy, and along which axis?
#
# Near pure noise the best output is nearly the mean of all data, which is soon learned. The paper therefore draws such levels less and less often as training proceeds. We do not know the density it uses. The form used here is **ours**:
#
# $$p_\tau(u) = (1 - \tau) + \tau\, \mathcal N(u;\, 0.3,\, 0.25^2) \text{ restricted to } [0, 1],$$
#
# with u = 0 for data and u = 1 for noise. Only its peak near 0.3 is as reported. But 0.3 of the way along *which axis*? In the paper, u is the timestep of a diffusion model with the noise of DDPM. Here, u is a quantile of the distribution of noise levels with which EDM trains anyway, so that the uniform density at τ = 0 is exactly EDM.

# %% tags=["hide-input"]
axes = {
    "EDM's quantiles": Quantiles(),
    "DDPM's timestep": ProcessTime(),
    "index of Karras's grid": KarrasGrid(),
}
curriculum_densities(NoiseCurriculum(Warmup(100)), (0, 25, 50, 75, 100), 100, axes)

# %% [markdown]
# On the right of the figure, the same u = 0.3 is a noise level of 0.16, 1.24 or 0.32. Likewise, *uniform* stands for three different baselines: half of all samples have a level above 3.4 if u is uniform over DDPM's timesteps, and above 0.30 if it is uniform over EDM's quantiles. A curriculum that helps a baseline with many high noise levels may have nothing to add to a baseline with few.
#
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | CLTS, a curriculum over timesteps | `NoiseCurriculum`, which can replace the times of any method |
# | MDLRC, momentum decay with learning-rate compensation | `MomentumDecay` for the trainer's `momentum`, `Compensation` for its `rate` |
#
# Neither of them changes the loss, which remains that of EDM.

# %%
show_source(NoiseCurriculum)

# %%
show_source(MomentumDecay)

# %%
show_source(Compensation)

# %% [markdown]
# To use the second technique, we start from a recipe without it and change that recipe:

# %%
show_source(faster.decayed)

# %% [markdown]
# ## What training gains
#
# ### On the ring
#
# Every run on the ring has 2000 steps of 256 samples, and the baseline is Adam with a constant learning rate of 0.004. The *excess loss* is the loss of EDM, for the averaged weights, minus its minimum, which is known exactly here.
# The left panel compares four schedules, all of them with EDM's own distribution of noise levels: constant, the paper's momentum with its rate, the momentum alone, and the rate alone. The right panel compares the curriculum with that distribution, both at a constant rate.
#
# In the table below the figure, *speed* is the number of steps of the baseline, divided by the number of steps needed to reach the baseline's final excess loss, for each seed; values above 1 mean faster training. An entry such as *1 of 3 seeds* says how many seeds reach that loss at all.

# %% tags=["hide-input"]
WORDS = {"constant": "constant", "both": "momentum and rate", "momentum": "momentum alone", "rate": "rate alone"}
ring = recorded_variants("pretraining-toy")
schedules = {word: score_curve(ring[f"uniform-{key}"], "excess") for key, word in WORDS.items() if f"uniform-{key}" in ring}
densities = {"EDM's levels": "uniform-constant", "curriculum": "curriculum-constant"}
densities = {word: score_curve(ring[key], "excess") for word, key in densities.items() if key in ring}
score_curves({finding("Schedule", schedules): schedules, finding("Levels", densities): densities}, "excess loss (no unit)")

# %% tags=["hide-input"]
found = {key: run.score("excess") for key, run in ring.items()}
base = score_curve(ring["uniform-constant"], "excess")
short = ["| ring | excess loss · 1000 | speed |", "|---" * 3 + "|"]
table = ["| ring | distance to the exact ends | energy distance · 1000 | excess loss · 1000, weights in training |", "|---" * 4 + "|"]
for key, run in ring.items():
    raw = 1000 * run["excess"][:, -1].mean(1)
    cells = [variant_name(key), ranged(run.score("away"), ".3f"), ranged(1000 * run.score("ed"), ".2f"), ranged(raw, ".2f")]
    table.append("| " + " | ".join(cells) + " |")
    short.append(f"| {variant_name(key)} | {ranged(1000 * run.score('excess'), '.2f')} | {speed_up_text(base, score_curve(run, 'excess'))} |")
Markdown("\n".join(short))

# %% tags=["hide-input"]
columns = "The *distance to the exact ends* is the RMS distance between the ends of 2048 paths and those of the exact paths from the same noise. The *energy distance* compares the samples with fresh data; for a perfect sampler it scatters around 0. *Weights in training* gives the excess loss of the weights themselves, without averaging."
folded("Three more scores of the same runs", columns + "\n\n" + "\n".join(table))

# %% [markdown]
# Before you believe a speed-up, ask two questions. Would a plain decay of the rate have done the same (*rate alone*)? And was the baseline's learning rate a good one?

# %% tags=["hide-input"]
slow = recorded_variants("pretraining-rates")
at = {word: {} for word in WORDS.values()}
for arm, word in WORDS.items():
    held = {0.004: ring.get(f"uniform-{arm}"), 0.002: slow.get(f"{arm}-2"), 0.008: slow.get(f"{arm}-8")}
    at[word] = {lr: run.score("excess") for lr, run in held.items() if run}
at = {word: rates for word, rates in at.items() if rates}
best = {word: min(rates, key=lambda lr: rates[lr].mean()) for word, rates in at.items()}
best_rates = ", ".join(f"{lr:g} ({w})" for w, lr in best.items() if len(at[w]) > 1)
scores_by_rate(at, "excess loss (no unit)", f"Best base rates: {best_rates}" if slow else "One base rate is recorded so far")

# %% tags=["hide-input"]
for word, rates in at.items():
    count = f"best of {len(rates)} base rates" if len(rates) > 1 else "one base rate"
    print(f"{word:18} {count}: {best[word]:g}, excess loss · 1000 = {ranged(1000 * rates[best[word]], '.2f')}")

# %% [markdown]
# It would: *rate alone* ends where *momentum and rate* ends. And the baseline's rate was not the cause: with its best of three rates it ends at 7.5 in place of 7.9, still far above both. So what helps on the ring is the decay of the rate, and the momentum may stay as it was. (From a base rate of 0.002, *momentum and rate* ends at 13: a rate that decays from there is probably too small for 2000 steps.)
#
# ### Digits and shapes
#
# The digits were trained for 400 steps of 64 (constant rate 0.004, the best of three for the constant schedule on another seed), and the shapes for 200 steps of 32 (rate 0.002, not tuned). The minimum of the loss is not known here, so the score is a distance between samples made in 35 calls and real pictures.

# %% tags=["hide-input"]
scans, drawn = recorded_variants("pretraining-digits"), recorded_variants("pretraining-shapes")
NAMES = {"neither": "uniform-constant", "momentum and rate": "uniform-both", "curriculum": "curriculum-constant", "both techniques": "curriculum-both"}
picked = {word: score_curve(scans[arm], "fd35") for word, arm in NAMES.items() if arm in scans}
loss = {word: score_curve(scans[arm], "loss") for word, arm in NAMES.items() if arm in scans}
worse = compare_seeds(scans["curriculum-constant"].score("fd35"), scans["uniform-constant"].score("fd35")) == "higher"
score_curves({"Samples: worse with the curriculum" if worse else finding("Samples", picked): picked, finding("Held-out loss", loss): loss}, "Fréchet distance (left), loss (right)")

# %% tags=["hide-input"]
table = ["| data | variant | samples | distance of 35-call samples | loss on unseen pictures | speed, by the loss |", "|---" * 6 + "|"]
for name, runs, score in (("digits", scans, "fd35"), ("shapes", drawn, "pd35")):
    for key, run in runs.items():
        said = speed_up_text(score_curve(runs["uniform-constant"], "loss"), score_curve(run, "loss"))
        count = f"{run.record['samples']:,}".replace(",", " ")
        table.append(f"| {name} | {variant_name(key)} | {count} | {ranged(run.score(score), '.3g')} | {ranged(run.score('loss'), '.4f')} | {said} |")
Markdown("\n".join(table)) if scans or drawn else "not recorded yet"

# %% [markdown]
# ## Exercises
#
# ### A · guided: a permutation test
#
# `a` and `b` (n, d) are two networks' samples from the same noises. `orders` (P, n) contains P shuffles of the numbers 0 … n − 1. Return the one-sided p-value for the mean distance of a pair, with the true pairing included in the count.

# %% tags=["exercise"]
def my_test(a, b, orders):
    """The p-value for the true pairs being closer together than shuffled ones."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.permutation_p(my_test)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `b[orders]` has shape (P, n, d). Shuffle one side only. Where does the true pairing enter: in the numerator, in the denominator, or in both?
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
# ### B · on your own: a momentum that decays, and its rate
#
# Write both schedules from their purpose. The memory M = β/(1−β) should fall linearly, from $\beta_0/(1-\beta_0)$ at τ = 0 to 0 at τ = 1. The immediate effect of a new gradient, factor · (1−β), should stay as it was at the start.
# Which of the two numbers must you find first? (This exercise belongs to the optional second part.)

# %% tags=["exercise"]
def my_schedule(tau, beta0):
    """β at the fraction tau of a run, and the factor on the learning rate."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.schedule(my_schedule)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# First find M at τ, then β from M by solving M (1 − β) = β. The factor follows from factor · (1 − β) = 1 − β₀.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def my_schedule(tau, beta0):
#     memory = (1 - tau) * beta0 / (1 - beta0)
#     beta = memory / (1 + memory)
#     return beta, (1 - beta0) / (1 - beta)
# ```
#
# The factor is $(1-\beta_0)(1 + M)$, and M falls linearly, so the factor does too: it is $1 - \beta_0 \tau$. The rate therefore decays along a straight line.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest in brackets. A claim is *confirmed here* only if the ranges do not overlap. The rows on the two techniques test our form of them, since the paper's formulas were not read; its speed-ups, 2 to 2.6 times as reported, are for large networks and long training.

# %% tags=["hide-input"]
agree = [agreement(x[0], y[0]) for x, y in both["two seeds"]]
left, common = ranged([t.ratio for t in agree], ".1%"), ranged(shares["two seeds"][1][:, 0], ".1%")
verdict = "confirmed here" if max(t.p for t in agree) <= 0.001 else "partly"
table = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
table.append(f"| different weights and the same noise give close samples (ring) | distance {left} of that of shuffled pairs; same mode {common}, shuffled {twins.chance:.1%}; p ≤ {max(t.p for t in agree):.3f} | {verdict} |")

# %% tags=["hide-input"]
ends_away = {key: run.score("away") for key, run in ring.items()}
for name in available():
    if name not in ("ring: two seeds", "ring: other training"):
        t = compared(name, 0)
        kind = "mode" if t.a.ndim == 2 else "class"
        table.append(f"| … {name} (one pair) | distance {t.test.ratio:.1%} of that of shuffled pairs; same {kind} {t.share:.0%}, shuffled {t.chance:.0%}; p = {t.test.p:.3f} | {'confirmed here, for one pair' if t.test.p <= 0.01 else 'not seen at this scale'} |")
table.append(claim_row("momentum decay with its rate, in the form reported, trains faster (ring, excess loss)", found, "uniform-both", "uniform-constant"))
table.append(claim_row("*not in the paper:* … faster than its rate alone (ring)", found, "uniform-both", "uniform-rate"))
table.append(claim_row("the compensation is needed: decay alone is worse (ring, excess loss)", found, "uniform-both", "uniform-momentum"))
table.append(claim_row("… and worse than no decay (ring)", found, "uniform-constant", "uniform-momentum"))
table.append(claim_row("a curriculum over noise, in our form, trains faster (ring, excess loss)", found, "curriculum-constant", "uniform-constant"))
more = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
more.append(claim_row("both techniques beat either alone: the curriculum (ring, excess loss)", found, "curriculum-both", "curriculum-constant"))
more.append(claim_row("… and the momentum with its rate (ring, excess loss)", found, "curriculum-both", "uniform-both"))
more.append(claim_row("… and in samples: their distance to the exact ends (ring)", ends_away, "curriculum-both", "uniform-constant"))
for name, runs, score in (("digits, Fréchet distance", scans, "fd35"), ("digits, loss", scans, "loss"), ("shapes, patch distance", drawn, "pd35"), ("shapes, loss", drawn, "loss")):
    numbers = {key: run.score(score) for key, run in runs.items()}
    table.append(claim_row(f"training is better with both techniques than with neither ({name})", numbers, "curriculum-both", "uniform-constant", ".4g"))
Markdown("\n".join(table))

# %% tags=["hide-input"]
folded("Both techniques together", "\n".join(more))

# %% [markdown]
# No variant trains on the curriculum's final density from the first step. Where a curriculum gains, this table therefore cannot show whether the gain comes from the *change* over time or from a different choice of noise levels.
#
# Why do two networks agree? The data, and what networks of one kind make of them, decide which sample a noise leads to. On the ring this is the one exact function; on the digits it is a smoother function, which two networks share although it is far from the exact function of either half.
#
# Does that help to train faster? On the ring both techniques did, by a factor of 1.3 to 1.6 in steps, but a plain decay of the rate does as well as momentum decay with its rate; on digits and shapes neither technique helped.
#
# Two rules remain for the judge of a speed-up: if the momentum is changed, the learning rate has to follow, and a decay of the rate alone is the control to beat; and a *uniform* choice of noise levels has a meaning only if the axis is named.
#
# ## Budget

# %% tags=["hide-input"]
names = ("pretraining-toy", "pretraining-rates", "pretraining-digits", "pretraining-shapes", "twins-toy", "twins-digits")
runs = [run for name in names for run in recorded_variants(name).values()]
count = sum(run.record["samples"] * len(run.record["seeds"]) for run in runs)
seconds = sum(sum(run.record["seconds"]) for run in runs)
print("While you waited: no training, and 35 calls of an exact denoiser along each exact path. Everything else is recorded.")
each = f"{count:,} samples".replace(",", " ")
print(f"Recorded: {len(runs)} variants, three seeds each: {each} and {seconds:.0f} s of training in all.")

# %% [markdown]
# **Next:** lab 15 turns from pictures to sound.
