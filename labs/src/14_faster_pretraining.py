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
# The first part asks why two networks agree. The paper took this agreement as a hint at how to train faster; the second part, which is optional, tests the two techniques that came out of it. Nothing is trained while you wait: the denoisers were recorded, with three seeds each unless the text says otherwise.
#
# Of the paper we have read the abstract only. The formulas of its momentum and rate are known to us at second hand, from public code that names the paper, and the density of its curriculum not at all. What is tested here is therefore *our form* of both techniques.

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
from cmlab.presets import toy
from cmlab.process import VarianceExploding
from cmlab.schedules import Warmup
from cmlab.teacher import BatchTeacher, OracleTeacher

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# Two denoisers were trained on the same data, the ring of eight modes, with different initial weights, batches and noise. Now both receive the *same* starting noise, and each follows its own deterministic path down to a sample.
#
# Blue squares (for pictures, the rows A) are the samples of one network, orange triangles (the rows B) those of the other, and a line joins the two samples from the same noise. In the middle panel the pairs are shuffled. The histogram shows the mean distance of a pair after each of 999 shuffles.
#
# Three things to try. Change *noise in the start* from a little to pure noise: what do the two networks still have in common when the start contains no data at all? Then choose the network of half the width. Finally, choose the two halves of the scans: no scan occurs in the training data of both networks.

# %%
explorer()

# %% [markdown]
# ## Predict
#
# The two networks share their data, but not their weights or batches, and still their samples are nearly the same. The paper calls this the *consistency phenomenon*. It was described before, by Song et al. 2021 and by Zhang et al. 2023 ([arXiv:2310.05264](https://arxiv.org/abs/2310.05264)).

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
# which contains no randomness. A perfect denoiser therefore takes each noise to one definite end, which is the value of the consistency function of lab 02. So two networks agree *if both are close to this one function*. Are they? For the ring the exact denoiser is known. The table compares the paths from 512 noises, for three trained networks (mean, lowest and highest).

# %% tags=["hide-input"]
start, top = starting_points(toy.RING, 512), RING_LEVELS[0]
exact = heun_samples(VarianceExploding(), OracleTeacher(toy.RING).denoise, start.at(top, top), top)
nets = recorded_ends("pretraining-toy", "uniform-constant")[:, 0]  # (seeds, 512, 2), from pure noise
rows = {"two networks": [(nets[i], nets[j]) for i, j in ((0, 1), (0, 2), (1, 2))], "a network and the exact path": [(net, exact) for net in nets]}
table = ["| pair | median distance | mean distance | in the same mode |", "|---" * 4 + "|"]
for name, pairs in rows.items():
    apart = [(a - b).norm(dim=1) for a, b in pairs]
    shares = [label_agreement(modes(a), modes(b))[0] for a, b in pairs]
    table.append(f"| {name} | {ranged([v.median() for v in apart])} | {ranged([v.mean() for v in apart])} | {ranged(shares, '.1%')} |")
Markdown("\n".join(table))

# %% [markdown]
# Most pairs lie close together and a few lie far apart, which is why the mean is larger than the median. Where do these few come from? In the figure each dot is a noise (dark and light for even and odd modes), and the numbers name the modes in which the exact paths end. A cross marks a noise that two networks take to different modes.

# %% tags=["hide-input"]
split, z = modes(nets[0]) != modes(nets[1]), start.at(top, top)
away = (torch.atan2(z[:, 1], z[:, 0]) / (torch.pi / 8)).double()  # borders lie at odd numbers
angle = 22.5 * (away - (2 * ((away - 1) / 2).round() + 1)).abs()
mode_borders(z, modes(exact), split, top, f"{int(split.sum())} of 512 noises split, near borders\n(median angle {angle[split].median():.1f}°, of all {angle.median():.1f}°)")

# %% [markdown]
# At a border, even a small error of one of the networks can change the mode. Elsewhere only a large error can.
#
# ### Do they agree by more than chance?
#
# How small is a small distance? The samples themselves provide a scale: pair them at random, many times, and count how often a shuffled pairing is at least as close as the true one. With P shuffles, the p-value of this permutation test is
#
# $$p = \frac{1 + \#\{\text{shuffles at least as close}\}}{1 + P}.$$
#
# The 1 stands for the true pairing: if shared noise meant nothing, it would be just one more shuffle. With four pairs all 24 orders can be tried, here for two sets of values that agree more and more:

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
#
# ## The key figure
#
# ### Two networks, one noise

# %% tags=["hide-input"]
twins = compared("ring: two seeds", 0)
pairs_and_test(twins.a, twins.b, toy.RING.oracle.components.means, twins.test, ("Same noise: pairs lie close", "Shuffled pairs lie anywhere", f"No shuffle is as close (p = {twins.test.p:.3f})"))

# %% tags=["hide-input"]
print(f"With shared noise the mean distance is {twins.test.distance:.3f}; with shuffled pairs it is {float(twins.test.shuffled.mean()):.3f}. The ratio is {twins.test.ratio:.0%}.")
print(f"The two samples lie in the same mode for {twins.share:.1%} of 512 pairs, and for {twins.chance:.1%} of shuffled pairs.")

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
# The next two networks were trained on digits, each on one half of the scans, as in an experiment of Kadkhodaie et al. 2024 ([arXiv:2310.02557](https://arxiv.org/abs/2310.02557)). They are not given the class, so the noise alone decides which digit results. Their training was short: 400 steps of 64, so that each network saw each of its scans about 36 times.

# %% tags=["hide-input"]
pair = "digits: two halves of the scans"
if pair in available():
    halves = compared(pair, 0)
    shown = image_pairs(halves.a[:16].clamp(-1, 1), halves.b[:16].clamp(-1, 1), halves.test, (f"Different scans, yet {halves.share:.0%} of one class (shuffled {halves.chance:.0%})", f"No shuffle is as close (p = {halves.test.p:.3f})"))
else:
    shown = "not recorded yet"
shown

# %% [markdown]
# Here the explanation by one common function fails: the exact denoisers of the two halves are different functions, and each of them leads to scans of its own half (lab 00). How different are they? Both are known exactly:

# %% tags=["hide-input"]
scans_of = [Digits().images[k::2] for k in (0, 1)]
exact_a, exact_b = (BatchTeacher(VarianceExploding())(x) for x in scans_of)
held, rms = Digits(train=False).images, lambda v: float(v.square().mean().sqrt())
z = torch.randn(held.shape, generator=torch.Generator().manual_seed(0))
apart = {}
for level in (10.0, 3.0, 1.0, 0.2):
    x_t, t = held + level * z, torch.full((len(held),), level)
    apart[level] = rms(exact_a(x_t, t) - exact_b(x_t, t))
found = ", ".join(f"{v:.2f} at noise level {level:g}" for level, v in apart.items())
print(f"RMS per pixel by which the two exact denoisers differ: {found}.")
print(f"For comparison, scans differ from their mean by {rms(Digits().images - Digits().images.mean(0)):.2f}.")

# %% [markdown]
# At high noise levels the two exact denoisers are nearly the same function. For large σ the posterior mean is about $m + C\,(x_t - m)/\sigma^2$, with the mean m and the covariance C of the data, and two random halves have nearly the same m and C. So the exact paths begin together, and most of them end in the same class although no scan belongs to both halves. The *class* can agree without a common minimum of the loss; it is enough that the data look alike under noise.
#
# The *picture* is another matter. The table has the mean distance of 60 pairs of pictures, relative to shuffled pairs, for networks trained as above (mean, lowest and highest of three seeds) and for one pair of networks that was trained ten times as long.

# %% tags=["hide-input"]
noise = starting_points(Digits(train=False), 60).at(80.0, 80.0)
paths = [heun_samples(VarianceExploding(), D, noise, 80.0) for D in (exact_a, exact_b)]
alike = label_agreement(*map(classes, paths))[0]


def apart_in(kind):
    """Rows of the table: distances relative to shuffled pairs, by pair of pictures."""
    a, b = (recorded_ends("twins-digits", f"{kind}-{half}")[:, 0] for half in "ab")
    pairs = {
        "the two networks": zip(a, b, strict=True),
        "a network and the exact path of its own half": [(x, paths[0]) for x in a] + [(x, paths[1]) for x in b],
        "a network and the exact path of the other half": [(x, paths[1]) for x in a] + [(x, paths[0]) for x in b],
        f"the two exact paths (of one class: {alike:.0%})": [paths],
    }
    return {name: ranged([agreement(x, y).ratio for x, y in each], ".0%") for name, each in pairs.items()}


short, long = apart_in("half"), apart_in("long")
table = ["| pair | after 400 steps | after 4000 steps |", "|---" * 3 + "|"]
Markdown("\n".join(table + [f"| {name} | {short[name]} | {long[name]} |" for name in short]))

# %% [markdown]
# After 400 steps a network is no nearer to the exact path of its own half than to that of the other: its samples do not show yet which scans it has seen. Ten times longer training moves the two networks apart, and each towards its own half. So their close agreement is partly that of networks which have not learned the details of their scans. Kadkhodaie et al. train to the end and vary the number of pictures: with few, two networks memorise and differ; with enough, they agree.
#
# ## Optional second part: faster training
#
# Agreement tells us where training ends, but not how long it takes. The paper asks what makes networks agree, and derives a technique from each of its two answers:
#
# - **At high noise levels the task is easy.** There the best output hardly depends on the details of the data, so it is soon learned, and a *curriculum* spends fewer and fewer samples on these levels.
# - **The loss is smooth**, so that runs which begin at different weights end close to one another. On a smooth loss a large momentum may carry the weights past the minimum again and again, so the *momentum decays*.
#
# Neither technique follows logically from the agreement, and each has to be tested separately. If you leave this part out, continue at *Exercises* with exercise A; exercise B and all but the first five rows of the final table belong to this part.

# %%
predict("14.2")

# %% [markdown]
# ### Momentum on a quadratic loss
#
# Adam averages the gradients, $\bar g \leftarrow \beta \bar g + (1-\beta)\, g$, and takes a step of rate · $\bar g$ (divided by a scale, which we leave out). A new gradient thus moves the weights by rate · (1−β) at once, and by β/(1−β) times as much later on. This ratio is the *memory* of the momentum.
# The paper lets β decay to zero and changes the learning rate to compensate. With τ the fraction of the run that has been completed, our form is the following (the schedule of β is *Demon*, by Chen et al. 2019, [arXiv:1910.04952](https://arxiv.org/abs/1910.04952)):
#
# $$\beta = \frac{\beta_0 (1-\tau)}{(1-\beta_0) + \beta_0(1-\tau)}, \qquad \text{rate} = \text{rate}_0\, \frac{1-\beta_0}{1-\beta}.$$

# %% [markdown]
# For β₀ = 0.9 the memory falls linearly from 9 to 0 and the rate linearly from 1 to 0.1, while the immediate effect of a new gradient, rate · (1 − β), stays the same. In many libraries the momentum of gradient descent is another one, the *heavy ball* $v \leftarrow \beta v + g$, in which a gradient enters with weight 1. It needs another compensation, which exercise B asks for. Which of the two momenta the paper means, we do not know.
#
# How large may the rate be? Take the quadratic loss $\tfrac12 h \theta^2$ with curvature h, as of one direction of a real loss. Its gradient is hθ, and two successive steps, with $\bar g$ eliminated, give
#
# $$\theta_{k+1} = a\, \theta_k - \beta\, \theta_{k-1}, \qquad a = 1 + \beta - \text{rate}\,(1-\beta)\, h .$$
#
# A solution $\theta_k = \lambda^k$ needs $\lambda^2 - a \lambda + \beta = 0$. The product of its two solutions is β < 1, so complex ones, both of size √β, stay inside the unit circle; a real one can leave it at +1 only if rate · h = 0. As the rate grows, the first λ therefore leaves it at −1, where
#
# $$1 + a + \beta = 0 \quad\Longleftrightarrow\quad \text{rate} \cdot h = \frac{2(1+\beta)}{1-\beta} .$$
#
# Beyond this limit descent diverges. With momentum 0.9 this limit is 38 and without momentum it is 2, so a rate that was safe at the start can later be 19 times too large. With the compensation, more than half of the stable range remains.

# %% tags=["hide-input"]
momentum_decay(MomentumDecay(0.9, 1000))

# %% tags=["hide-input"]
beta = MomentumDecay(0.9, 100)
rate = Compensation(beta)
lines = ["| τ | β | memory β/(1−β) | rate/rate₀ | (rate/rate₀)·(1−β) | limit of rate₀·h, momentum alone | limit of rate₀·h, with the rate |", "|---" * 7 + "|"]
for step in (0, 25, 50, 75, 90, 100):
    b, r = beta(step), rate(step)
    lines.append(f"| {step / 100:.2f} | {b:.3f} | {b / (1 - b):.2f} | {r:.3f} | {r * (1 - b):.3f} | {stability_limit(b):.1f} | {stability_limit(b) / r:.1f} |")
folded("The same in numbers", "\n".join(lines))

# %% [markdown]
# The noise of the gradients also matters. If it is white, the weights never come to rest, because each step also adds $-\text{rate}\,(1-\beta)$ times a fresh noise. Let V be the variance of θ and Γ the covariance of two successive θ. Once both have become constant, the recursion says
#
# $$\Gamma = a V - \beta \Gamma, \qquad V = a^2 V + \beta^2 V - 2 a \beta\, \Gamma + \text{rate}^2 (1-\beta)^2\, \mathrm{noise}^2 .$$
#
# Eliminate Γ and insert a:
#
# $$\mathrm{Var}\,\theta = \frac{\text{rate}\,(1+\beta)\,\mathrm{noise}^2}{h\,\bigl(2(1+\beta) - \text{rate}\,(1-\beta)\,h\bigr)} .$$

# %% tags=["hide-input"]
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
# In flat directions (small h), β cancels from the formula: changing the momentum alone does not reduce the variance at all, and the whole reduction comes from the rate. So the trained networks need a control: a decay of the rate alone.
#
# ### Which noise is easy, and along which axis?
#
# Near pure noise the best output is nearly the mean of all data, which is soon learned. The paper therefore draws such levels less and less often as training proceeds. The density used here is **ours**:
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
# On the right of the figure, the same u = 0.3 is a noise level of 0.16, 1.24 or 0.32. Likewise, *uniform* stands for three baselines: half of all samples have a level above 3.4 if u is uniform over DDPM's timesteps, and above 0.30 if it is uniform over EDM's quantiles. A curriculum that helps a baseline with many high noise levels may have nothing to add to a baseline with few.
#
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | CLTS, a curriculum over timesteps | `NoiseCurriculum`, which can replace the times of any method |
# | MDLRC, momentum decay with learning-rate compensation | `MomentumDecay` for the trainer's `momentum`, `Compensation` for its `rate` |
#
# Neither of them changes the loss, which remains that of EDM. One uniform number v draws a level: with probability τ from the curriculum's last density, otherwise from the first.

# %%
show_source(NoiseCurriculum.draw)

# %%
show_source(MomentumDecay.__call__)

# %%
show_source(Compensation.__call__)

# %% [markdown]
# `cmlab.presets.faster.decayed` turns a recipe without the second technique into one with it.

# %% [markdown]
# ## What training gains
#
# ### On the ring
#
# Every run on the ring has 2000 steps of 256 samples, and the baseline is Adam with a constant learning rate of 0.004. The *excess loss* is the loss of EDM, for the averaged weights, minus its minimum, which is known exactly here. The left panel compares four schedules, all with EDM's own distribution of noise levels: constant, momentum decay with its rate, the momentum alone, and the rate alone. The right panel compares the curriculum with that distribution, both at a constant rate.
#
# In the table (levels are EDM's where no curriculum is named), *speed* is the number of steps of the baseline, divided by the number of steps needed to reach the baseline's final excess loss, for each seed; values above 1 mean faster training. An entry such as *1 of 3 seeds* says how many seeds reach that loss at all.

# %% tags=["hide-input"]
WORDS = {"constant": "constant", "both": "momentum and rate", "momentum": "momentum alone", "rate": "rate alone"}
ring = recorded_variants("pretraining-toy")
schedules = {word: score_curve(ring[f"uniform-{key}"], "excess") for key, word in WORDS.items() if f"uniform-{key}" in ring}
densities = {"EDM's levels": "uniform-constant", "curriculum": "curriculum-constant"}
densities = {word: score_curve(ring[key], "excess") for word, key in densities.items() if key in ring}
ends = {word: curve.values[:, -1] for word, curve in schedules.items()}
decay = compare_seeds(ends["rate alone"], ends["constant"]) == "lower" and compare_seeds(ends["rate alone"], ends["momentum and rate"]) == "indistinguishable"
said = "What helps is the decay of the rate" if decay else finding("Schedule", schedules)
score_curves({said: schedules, finding("Levels", densities): densities}, "excess loss (no unit)")

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
behind = compare_seeds(at["constant"][best["constant"]], at["momentum and rate"][best["momentum and rate"]]) == "higher"
scores_by_rate(at, "excess loss (no unit)", "At its best base rate, a constant rate stays behind" if behind else "Excess loss by base rate")

# %% tags=["hide-input"]
for word, rates in at.items():
    if len(rates) > 1:
        print(f"{word}: best of {len(rates)} base rates {best[word]:g}, excess loss · 1000 = {ranged(1000 * rates[best[word]], '.2f')}")

# %% [markdown]
# It would: *rate alone* ends where *momentum and rate* ends. And the baseline's rate was not the cause: with its best of three rates it ends at 7.5 in place of 7.9, still far above both. The same holds for the curriculum, which was run at one rate: 6.3 against 7.5, with ranges apart. So what helps on the ring is the decay of the rate, and the curriculum; the momentum may stay as it was. (From a base rate of 0.002, *momentum and rate* ends at 13: a decaying rate wants a larger base than a constant one.)
#
# ### Digits and shapes
#
# The digits were trained for 400 steps of 64 and the shapes for 200 steps of 32. The minimum of the loss is not known here, so samples made in 35 calls are scored too: digits by the Fréchet distance of 360 of them to the 360 held-out digits, in the 32 features of a small classifier. (The *floor* is that of the training digits.) The base rate is 0.004 on digits, the best of three for the *constant* schedule on another seed, and 0.002 on shapes, not tuned. The other schedules were run at this rate only.

# %% tags=["hide-input"]
scans, drawn = recorded_variants("pretraining-digits"), recorded_variants("pretraining-shapes")
NAMES = {"neither": "uniform-constant", "momentum and rate": "uniform-both", "curriculum": "curriculum-constant", "both techniques": "curriculum-both"}
picked = {word: score_curve(scans[arm], "fd35") for word, arm in NAMES.items() if arm in scans}
loss = {word: score_curve(scans[arm], "loss") for word, arm in NAMES.items() if arm in scans}
worse = compare_seeds(scans["curriculum-constant"].score("fd35"), scans["uniform-constant"].score("fd35")) == "higher"
last = {word: curve.values[:, -1] for word, curve in loss.items()}
floor = float(scans["uniform-constant"].score("fd_floor")[0])
none = all(compare_seeds(v, last["neither"]) != "lower" for v in last.values())
score_curves({"Samples: worse with the curriculum" if worse else finding("Samples", picked): picked, "Held-out loss: neither technique lowers it" if none else finding("Held-out loss", loss): loss}, f"Fréchet distance (floor: {floor:.1f}), and loss")

# %% tags=["hide-input"]
table = ["| data | variant | samples | distance of 35-call samples | loss on unseen pictures | speed, by the loss |", "|---" * 6 + "|"]
for name, runs, score in (("digits", scans, "fd35"), ("shapes", drawn, "pd35")):
    for key, run in runs.items():
        said = speed_up_text(score_curve(runs["uniform-constant"], "loss"), score_curve(run, "loss"))
        count = f"{run.record['samples']:,}".replace(",", " ")
        table.append(f"| {name} | {variant_name(key)} | {count} | {ranged(run.score(score), '.3g')} | {ranged(run.score('loss'), '.4f')} | {said} |")
folded("All variants on digits and shapes", "\n".join(table))

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
# ### B · on your own: a heavy ball that decays, and its rate
#
# Gradient descent with a heavy ball has $v \leftarrow \beta v + g$ and takes a step of rate · $v$. Write both schedules for it from their purpose. The *half-life* of a gradient in v, the number of steps h with $\beta^h = \tfrac12$, should fall linearly, from its value for β₀ at τ = 0 to 0 at τ = 1. And all that one gradient does to the weights, at once and later, should in sum stay what it was at the start (as if β and the rate stayed where they are).
# Before you compute: must the rate rise or fall? (This exercise belongs to the optional second part.)

# %% tags=["exercise"]
def my_schedule(tau, beta0):
    """β at the fraction tau of a run, and the factor on the learning rate."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.schedule(my_schedule)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Take the logarithm of β^h = ½, for β and for β₀. What is the sum of the geometric series 1 + β + β² + …? At τ = 1 one of your expressions may divide by zero.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def my_schedule(tau, beta0):
#     beta = beta0 ** (1 / (1 - tau)) if tau < 1 else 0.0
#     return beta, (1 - beta) / (1 - beta0)
# ```
#
# A gradient does rate · (1 + β + β² + …) = rate/(1 − β) in sum, so the rate *rises*, to ten times its start for β₀ = 0.9. With Adam's average the sum is the rate itself, whatever β is, and the compensation of this lab keeps the immediate effect and *lowers* the rate. So before you copy a compensation, ask which momentum it was made for.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest in brackets. A claim is *confirmed here* only if the ranges do not overlap. The paper's speed-ups, 2 to 2.6 times as reported, are for large networks and long training.

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
table.append(claim_row("momentum decay with its rate trains faster (ring, excess loss)", found, "uniform-both", "uniform-constant", ours=True))
table.append(claim_row("*not in the paper:* … faster than its rate alone (ring)", found, "uniform-both", "uniform-rate"))
table.append(claim_row("the compensation is needed: decay alone is worse (ring, excess loss)", found, "uniform-both", "uniform-momentum", ours=True))
table.append(claim_row("… and worse than no decay (ring)", found, "uniform-constant", "uniform-momentum"))
table.append(claim_row("a curriculum over noise trains faster (ring, excess loss)", found, "curriculum-constant", "uniform-constant", ours=True))
more = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
more.append(claim_row("both techniques beat either alone: the curriculum (ring, excess loss)", found, "curriculum-both", "curriculum-constant", ours=True))
more.append(claim_row("… and the momentum with its rate (ring, excess loss)", found, "curriculum-both", "uniform-both", ours=True))
more.append(claim_row("… and in samples: their distance to the exact ends (ring)", ends_away, "curriculum-both", "uniform-constant"))
for name, runs, score in (("digits, Fréchet distance", scans, "fd35"), ("digits, loss", scans, "loss"), ("shapes, patch distance", drawn, "pd35"), ("shapes, loss", drawn, "loss")):
    numbers = {key: run.score(score) for key, run in runs.items()}
    more.append(claim_row(f"both techniques are better than neither ({name})", numbers, "curriculum-both", "uniform-constant", ".4g"))
Markdown("\n".join(table))

# %% tags=["hide-input"]
folded("Both techniques together, on the ring, the digits and the shapes", "\n".join(more))

# %% [markdown]
# No variant trains on the curriculum's final density from the first step. Where a curriculum gains, this table therefore cannot show whether the gain comes from the *change* over time or from a different choice of noise levels.
#
# Why do two networks agree? On the ring both are close to the one exact function. On the digits, two networks that share no scan agree while their training is short; when it is longer they part, each towards its own half, though after 4000 steps they are still nearer to each other than to either exact path.
#
# Does that help to train faster? On the ring the decay of the rate and the curriculum did, each by a factor of 1.3 in steps and both together by 1.55, measured by the excess loss; the distance of the samples to the exact ends did not improve beyond the seeds' range. Momentum decay added nothing to a plain decay of the rate. On digits and shapes neither technique helped, at a base rate that was chosen for the constant schedule (digits) or not at all (shapes); a decaying rate may want a larger one, as on the ring.
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
print(f"Recorded: {len(runs)} variants, three seeds each, the two long runs on digits with one: {each} and {seconds:.0f} s of training in all.")

# %% [markdown]
# **Next:** lab 15 turns from pictures to sound.
