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
# **Does a curriculum over noise, or a decaying momentum, train a denoiser faster?**
#
# | | |
# |---|---|
# | Paper | Xu et al. 2024, *Towards Faster Training of Diffusion Models: An Inspiration of A Consistency Phenomenon*, [arXiv:2404.07946](https://arxiv.org/abs/2404.07946) |
# | Level | 2 of 3 |
# | Part | Beyond |
# | Time | 55 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | denoisers and the paths that lead from noise to data (lab 01), Adam's momentum |
#
# After this lab you can
#
# 1. **test** whether two networks agree by more than chance, and **explain** why they do;
# 2. **derive** what momentum does to noisy gradients: its memory, its stability limit, and the variance that remains;
# 3. **judge** a claimed speed-up by its controls, its baseline, and its axis of noise levels.
#
# Two networks that were trained independently turn the same noise into nearly the same sample. Xu et al. took this as a hint at how to train a denoiser, the teacher or the start of a consistency model, faster: by a *curriculum* over noise levels and a momentum that *decays*. We measure the agreement against the exact answer, work out what momentum does on a quadratic loss, and then compare recorded trainings. Nothing is trained while you wait; every network was trained with three seeds unless the text says otherwise.
#
# **What is the paper's, and what is ours.** We could read the paper's abstract, three reviews of an earlier version (*Why Diffusion Models Are Stable and How to Make Them Faster*), and public code by others, but not the paper. So what is tested, and what every verdict is about, is the last column:
#
# | | the paper, as far as it is known to us | here |
# |---|---|---|
# | agreement | other initial weights, even another architecture, give similar outputs from the same noise | the same question, with a permutation test and with the exact paths |
# | curriculum (CLTS) | timesteps with much noise are easy and are drawn less and less often; in code by [Wang et al. 2024](https://arxiv.org/abs/2405.17403), a mixture that turns from all timesteps alike into a bell at 0.3 of them | the same mixture; the width of the bell and the axis, EDM's noise levels, are ours |
# | momentum decay (MDLRC) | the momentum decays, and the learning rate compensates for it; in public code, two formulas | the same formulas, derived from Demon's requirement and one of ours |
# | gain | training 2 to 2.6 times as fast, with large networks on photographs | the ring, digits and shapes |

# %%
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.plots_recordings import compare_seeds, recorded_variants
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab14_pretraining import checks
from cmlab_labs.lab14_pretraining.analysis import (
    agreement,
    label_agreement,
    stationary_variance,
)
from cmlab_labs.lab14_pretraining.explorer import classes, compared, explorer, modes
from cmlab_labs.lab14_pretraining.figures import (
    claim_row,
    curriculum_densities,
    image_pairs,
    mode_borders,
    momentum_decay,
    score_curve,
    score_curves,
    scores_by_rate,
    speed_up_text,
    stationary_spread,
    variant_name,
)
from cmlab_labs.lab14_pretraining.study import (
    RING_LEVELS,
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
# Blue squares (for pictures, the rows A) are the samples of one network, orange triangles (the rows B) those of the other, and a line joins the two samples from the same noise. In the middle panel the pairs are shuffled; the histogram shows the mean distance of a pair after each of 999 shuffles.
#
# Three things to try. Change *noise in the start* from a little to pure noise: what do the two networks still have in common when the start contains no data at all? Then choose the network of half the width. Finally, choose the two halves of the scans: no scan occurs in the training data of both networks.

# %%
explorer()

# %% tags=["hide-input"]
twins, least, narrow, halves = (compared(pair, start) for pair, start in (("ring: two seeds", 0), ("ring: two seeds", 4), ("ring: half the width", 0), ("digits: two halves of the scans", 0)))
percent = lambda shares, form=".0f": f"{ranged([100 * float(s) for s in shares], form)} %"
folded("Answers", f"From pure noise, the noise is all that the two networks have in common, and yet {percent([twins.share])} of the samples lie in the same mode (shuffled pairs: {percent([twins.chance])}). With little noise it is {percent([least.share])}, because the start itself shows the mode. With half the width it is {percent([narrow.share])}, from pure noise. The two halves of the scans still give similar pictures: {percent([halves.share])} of the pairs have the same class (shuffled: {percent([halves.chance])}). In all four cases no shuffle of 999 is as close as the true pairs.")

# %% [markdown]
# ## Predict
#
# The paper calls this agreement the *consistency phenomenon*. It concerns two denoisers, not the consistency function, and was described before, by Song et al. 2021 and by Zhang et al. 2023 ([arXiv:2310.05264](https://arxiv.org/abs/2310.05264)).

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
# which contains no randomness. A perfect denoiser therefore takes each noise vector to one definite end, and two networks agree *if both are close to this one function*. Are they? For the ring it is known. The table compares the paths from 512 noise vectors, for three trained networks (mean, lowest and highest).

# %% tags=["hide-input"]
start, top = starting_points(toy.RING, 512), RING_LEVELS[0]
exact = heun_samples(VarianceExploding(), OracleTeacher(toy.RING).denoise, start.at(top, top), top)
nets = recorded_ends("pretraining-toy", "uniform-constant")[:, 0]  # (seeds, 512, 2), from pure noise
rows = {"two networks": [(nets[i], nets[j]) for i, j in ((0, 1), (0, 2), (1, 2))], "a network and the exact path": [(net, exact) for net in nets]}
table = ["| pair | median distance | mean distance | in the same mode |", "|---" * 4 + "|"]
for name, pairs in rows.items():
    apart = [(a - b).norm(dim=1) for a, b in pairs]
    shares = [label_agreement(modes(a), modes(b))[0] for a, b in pairs]
    table.append(f"| {name} | {ranged([v.median() for v in apart])} | {ranged([v.mean() for v in apart])} | {percent(shares, '.1f')} |")
Markdown("\n".join(table))

# %% [markdown]
# Most pairs lie close together and a few far apart, so the mean exceeds the median. In the figure each dot is a noise vector (dark and light for even and odd modes), and the numbers name the modes in which the exact paths end. A cross marks a noise vector that two networks take to different modes. The printed angles, measured at the centre, are those to the nearest border between two modes.

# %% tags=["hide-input"]
split, z = modes(nets[0]) != modes(nets[1]), start.at(top, top)
away = (torch.atan2(z[:, 1], z[:, 0]) / (torch.pi / 8)).double()  # borders lie at odd numbers
angle = 22.5 * (away - (2 * ((away - 1) / 2).round() + 1)).abs()
mode_borders(z, modes(exact), split, top, f"{int(split.sum())} of 512 starts end in different modes,\nmost of them near a border")

# %% tags=["hide-input"]
print(f"Median angle to the nearest border: {angle[split].median():.1f}° where the two networks end in different modes, {angle.median():.1f}° for all.")

# %% [markdown]
# Near a border (at the centre all meet) a small error can change the mode; elsewhere only a large one can.
#
# ### Do they agree by more than chance?
#
# How small is a small distance? The samples themselves provide a scale: pair them at random, P times, and count how often a shuffled pairing is at least as close as the true one. The p-value of this *permutation test* is
#
# $$p = \frac{1 + \#\{\text{shuffles at least as close}\}}{1 + P}.$$
#
# The 1 stands for the true pairing: if shared noise meant nothing, it would be just one more shuffle. With 999 shuffles the smallest possible value is 1/1000. But with 512 pairs even a weak dependence would reach it; the *size* of the effect is shown by the ratio of the distances.

# %% tags=["hide-input"]
every = recorded_ends("pretraining-toy", "uniform-constant")[:, 0]
agree = [agreement(every[i], every[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
left = percent([t.ratio for t in agree], ".1f")
print(f"Ring: the mean distance of a pair is {left} of that of shuffled pairs; p = {max(t.p for t in agree):.3f} for every two of the three seeds.")

# %% [markdown]
# ### Two networks without common data
#
# The next two networks were trained on digits, each on one half of the scans, as in an experiment of Kadkhodaie et al. 2024 ([arXiv:2310.02557](https://arxiv.org/abs/2310.02557)). They are not given the class, so the noise alone decides which digit results. Their training was short: 400 steps of 64, so that each network saw each of its scans about 36 times.

# %% tags=["hide-input"]
image_pairs(halves.a[:16].clamp(-1, 1), halves.b[:16].clamp(-1, 1), halves.test, (f"Different scans, yet {percent([halves.share])} agree in class (shuffled {percent([halves.chance])})", f"No shuffle is as close (p = {halves.test.p:.3f})"))

# %% [markdown]
# The losses of these two networks have different minima: the exact denoisers of the two halves, each of which leads to scans of its own half (lab 00). How different are they?

# %% tags=["hide-input"]
scans_of = [Digits().images[k::2] for k in (0, 1)] + [Digits().images]
exact_a, exact_b, exact_all = (BatchTeacher(VarianceExploding())(x) for x in scans_of)
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
# At high noise they are nearly the same. For large σ the posterior mean is about $m + C\,(x_t - m)/\sigma^2$, with the mean m and the covariance C of the data, and two random halves have nearly the same m and C. So the exact paths begin together, and most of them end in the same *class*. The *picture* is another matter. The table has the mean distance of 60 pairs of pictures, relative to shuffled pairs: after 400 steps (three seeds) and, for one pair of networks, after ten times as many.

# %% tags=["hide-input"]
noise = starting_points(Digits(train=False), 60).at(80.0, 80.0)
paths = [heun_samples(VarianceExploding(), D, noise, 80.0) for D in (exact_a, exact_b, exact_all)]
alike = label_agreement(*map(classes, paths[:2]))[0]


def apart_in(kind):
    """Rows of the table: distances relative to shuffled pairs, by pair of pictures."""
    a, b = (recorded_ends("twins-digits", f"{kind}-{half}")[:, 0] for half in "ab")
    pairs = {
        "the two networks": zip(a, b, strict=True),
        "a network and the exact path of its own half": [(x, paths[0]) for x in a] + [(x, paths[1]) for x in b],
        "a network and the exact path of the other half": [(x, paths[1]) for x in a] + [(x, paths[0]) for x in b],
        "a network and the exact path of all scans": [(x, paths[2]) for x in (*a, *b)],
        "the exact paths of the two halves": [paths[:2]],
    }
    return {name: percent([agreement(x, y).ratio for x, y in each]) for name, each in pairs.items()}


short, long = apart_in("half"), apart_in("long")
table = ["| pair | after 400 steps | after 4000 steps |", "|---" * 3 + "|"]
table += [f"| {name} | {short[name]} | {long[name]} |" for name in short]
Markdown("\n".join(table) + f"\n\nThe exact paths of the two halves end in the same class for {percent([alike])} of the noise vectors.")

# %% [markdown]
# After 400 steps the two networks are much nearer to each other than to any of the three exact functions, and these are about equally far: the samples do not show yet which scans a network has seen. Ten times longer training moves the two networks apart, and each comes nearer to the exact functions, to that of its own half and to that of all scans more than to that of the other half: which scans it has seen begins to show. So at least in part they agree because neither has yet learned the details of its scans. (Kadkhodaie et al. train to the end: with few pictures two networks memorise and differ, with enough they agree, on the denoiser of the distribution itself as they argue. For digits it is not known.)
#
# ## From agreement to two techniques
#
# Agreement tells us where training ends, but not how long it takes. The paper names two reasons for the agreement, and derives a technique from each:
#
# - **At high noise the task is easy** for a network that predicts the noise: its input is nearly the answer. So a *curriculum* spends fewer and fewer samples there. (EDM's network, with which we train, predicts the data at high noise.)
# - **The loss is smooth**, and on a smooth loss a large momentum may carry the weights past the minimum again and again. So the *momentum decays*.
#
# Neither technique follows from the agreement, and each has to be tested separately.

# %%
predict("14.2")

# %% [markdown]
# ### Momentum on a quadratic loss
#
# Adam averages the gradients, $\bar g \leftarrow \beta \bar g + (1-\beta)\, g$, and takes a step of rate · $\bar g$ (divided by a scale, which we leave out). A new gradient thus moves the weights by rate · (1−β) at once. In the steps that follow it is multiplied by β, β², …, so its later effect is $\beta + \beta^2 + \dots = \beta/(1-\beta)$ times the immediate one. This ratio is the *memory* of the momentum.
#
# Let β decay to zero. Two requirements say how, and what the rate has to do; τ is the fraction of the run that has been completed:
#
# $$\frac{\beta}{1-\beta} = (1-\tau)\, \frac{\beta_0}{1-\beta_0}, \qquad \text{rate} \cdot (1-\beta) = \text{rate}_0\, (1-\beta_0).$$
#
# The memory falls linearly to 0, and the immediate effect of a gradient stays what it was at the start. Solved for β and the rate, they give the two formulas of the public code:
#
# $$\beta = \frac{\beta_0\, (1-\tau)}{1 - \beta_0 \tau}, \qquad \text{rate} = \text{rate}_0\, \frac{1-\beta_0}{1-\beta} = \text{rate}_0\, (1 - \beta_0 \tau).$$
#
# (The first requirement and this β are *Demon*'s, by Chen et al. 2019, [arXiv:1910.04952](https://arxiv.org/abs/1910.04952).) For β₀ = 0.9 the rate falls linearly from 1 to 0.1 times its start. The momentum of gradient descent is often another one, the *heavy ball* $v \leftarrow \beta v + g$, in which a gradient enters with weight 1; there the second requirement keeps the rate constant (exercise B keeps something else). A review of the earlier version quotes why a compensation is needed: a decay of the momentum alone brings an "over amplification". This fits Adam's average, where the weight 1−β of a new gradient grows from 0.1 to 1, and not the heavy ball.
#
# How large may the rate be? Take the quadratic loss $\tfrac12 h \theta^2$ with curvature h, as of one direction of a real loss. Its gradient is hθ, and descent diverges beyond
#
# $$\text{rate} \cdot h = \frac{2(1+\beta)}{1-\beta} .$$
#
# With momentum 0.9 this limit is 38 and without momentum it is 2, so a rate that was safe at the start can later be 19 times too large. With the compensation, more than half of the stable range remains (right panel below).
#
# <details><summary>Why the limit has this form</summary>
#
# Two successive steps, with $\bar g$ eliminated, give
#
# $$\theta_{k+1} = a\, \theta_k - \beta\, \theta_{k-1}, \qquad a = 1 + \beta - \text{rate}\,(1-\beta)\, h .$$
#
# A solution $\theta_k = \lambda^k$ needs $\lambda^2 - a \lambda + \beta = 0$. The product of its two solutions is β < 1, so complex ones, both of size √β, stay inside the unit circle; a real one can leave it at +1 only if rate · h = 0. As the rate grows, the first λ therefore leaves it at −1, where $1 + a + \beta = 0$.
#
# </details>

# %% tags=["hide-input"]
momentum_decay(MomentumDecay(0.9, 1000))

# %% [markdown]
# The noise of the gradients also matters. If it is white, with standard deviation s, the weights never come to rest; in the long run their variance is
#
# $$\mathrm{Var}\,\theta = \frac{\text{rate}\,(1+\beta)\,s^2}{h\,\bigl(2(1+\beta) - \text{rate}\,(1-\beta)\,h\bigr)} .$$
#
# <details><summary>Why</summary>
#
# In the recursion of θ above, each step also adds $-\text{rate}\,(1-\beta)$ times a fresh noise value. Let V be the variance of θ and Γ the covariance of two successive θ. Once both have become constant, the recursion says
#
# $$\Gamma = a V - \beta \Gamma, \qquad V = a^2 V + \beta^2 V - 2 a \beta\, \Gamma + \text{rate}^2 (1-\beta)^2\, s^2 .$$
#
# Eliminate Γ and insert a.
#
# </details>

# %% tags=["hide-input"]
stationary_spread(1.0, MomentumDecay(0.9, 1000), 0.9)

# %% tags=["hide-input", "nbval-check-output"]
beta = MomentumDecay(0.9, 100)
rate = Compensation(beta)
flat = {
    name: stationary_variance(r, b, 0.01) / stationary_variance(1.0, 0.9, 0.01)
    for name, r, b in (
        ("momentum alone", 1.0, beta(90)),
        ("momentum and rate", rate(90), beta(90)),
        ("rate alone", rate(90), 0.9),
    )
}
said = ", ".join(f"{name} {ratio:.2f}" for name, ratio in flat.items())
print(f"Long-run variance in a flat direction with the settings of τ = 0.9, relative to the start: {said}.")

# %% [markdown]
# In flat directions (small h), β cancels from the formula: momentum alone does not reduce the variance, and the whole reduction comes from the rate. In steep directions momentum alone raises it. So whoever claims a gain of momentum decay needs a **control: the same decay of the rate, alone**.
#
# ### Which noise is easy, and along which axis?
#
# The curriculum draws high noise less and less often. With u = 0 for data and u = 1 for noise, its density is
#
# $$p_\tau(u) = (1 - \tau) + \tau\, \mathcal N_{[0, 1]}(u;\, 0.3,\, 0.25^2), \qquad \text{the normal density truncated to } [0, 1].$$
#
# But 0.3 of the way along *which axis*? In the public code, u is the timestep of a diffusion model with the noise of DDPM. Here u is a quantile of the distribution of noise levels with which EDM trains anyway, so that the uniform density at τ = 0 is exactly EDM.

# %% tags=["hide-input"]
axes = {
    "EDM's quantiles": Quantiles(),
    "DDPM's timestep": ProcessTime(),
    "index of Karras's grid": KarrasGrid(),
}
curriculum_densities(NoiseCurriculum(Warmup(100)), (0, 25, 50, 75, 100), 100, axes)

# %% tags=["hide-input"]
third, middle = ([float(axis.at(torch.tensor([u], dtype=torch.float64))) for axis in axes.values()] for u in (0.3, 0.5))
for name, low, half in zip(axes, third, middle, strict=True):
    print(f"{name:22} u = 0.3 is the noise level {low:.2f}; half of all levels lie above {half:.2f} if u is uniform")

# %% [markdown]
# So *u = 0.3* means three noise levels, and *uniform* three baselines. (Karras's grid is that of lab 01, from 0.002 to 80.) A curriculum that helps a baseline with many high noise levels may have nothing to add to a baseline with few. And it, too, needs a **control: its last density, from the first step on**. If that does as well, it matters *where* one looks and not *when*.
#
# ## The method, from its source
#
# `NoiseCurriculum` can replace the times of any method. One uniform number v draws a level: with probability τ from the last density, otherwise from the first. `MomentumDecay` and `Compensation` are the two formulas above, as schedules of Adam's β₁ and of its learning rate. The loss remains that of EDM.

# %%
show_source(NoiseCurriculum.draw)

# %% [markdown]
# ## The key figure
#
# ### On the ring
#
# Every run on the ring has 2000 steps of 256 samples with Adam, at a base rate of 0.004. The *excess loss* is the loss of EDM, for the averaged weights, minus its minimum, which is known exactly here. Left: four schedules with EDM's own distribution of noise levels. Right: that distribution, the curriculum, and the curriculum's last density throughout, all at a constant rate.

# %% tags=["hide-input"]
WORDS = {"constant": "constant", "both": "momentum and rate", "momentum": "momentum alone", "rate": "rate alone"}
ring = recorded_variants("pretraining-toy")
schedules = {word: score_curve(ring[f"uniform-{key}"], "excess") for key, word in WORDS.items() if f"uniform-{key}" in ring}
densities = {"EDM's levels": "uniform-constant", "curriculum": "curriculum-constant", "last density": "last-constant"}
densities = {word: score_curve(ring[key], "excess") for word, key in densities.items() if key in ring}
ends = {word: curve.values[:, -1] for word, curve in schedules.items()}
decay = compare_seeds(ends["rate alone"], ends["constant"]) == "lower" and compare_seeds(ends["rate alone"], ends["momentum and rate"]) == "indistinguishable"
said = "What helps is the decay of the rate" if decay else "Four schedules"
levels = {word: curve.values[:, -1] for word, curve in densities.items()}
static = compare_seeds(levels["last density"], levels["EDM's levels"]) == "lower" and compare_seeds(levels["last density"], levels["curriculum"]) == "indistinguishable"
score_curves({said: schedules, "The last density alone does as well" if static else "Three distributions of levels": densities}, "excess loss (no unit)")

# %% [markdown]
# ### Against which baseline?
#
# Was the baseline's learning rate a good one? Two of the schedules were trained at other base rates, too:

# %% tags=["hide-input"]
slow = recorded_variants("pretraining-rates")
at = {word: {0.004: ring[f"uniform-{arm}"].score("excess")} for arm, word in WORDS.items()}
for name, run in slow.items():
    arm, thousandths = name.split("-")
    at[WORDS[arm]][int(thousandths) / 1000] = run.score("excess")
best = {word: min(rates, key=lambda lr: rates[lr].mean()) for word, rates in at.items()}
behind = compare_seeds(at["constant"][best["constant"]], at["momentum and rate"][best["momentum and rate"]]) == "higher"
scores_by_rate(at, "excess loss (no unit)", "At its best base rate, a constant rate stays behind" if behind else "Excess loss by base rate")

# %% [markdown]
# The constant rate with the lowest mean, 0.002, is the baseline (0.004 is indistinguishable from it). All other runs have a base rate of 0.004; for those whose rate stays constant 0.002 was not tried. Levels are EDM's where no curriculum is named. *Speed* is the baseline's number of steps, 2000, divided by the number of steps needed to reach its final excess loss, for each seed (a decay planned for 2000 steps is unfinished there, so a shorter plan may be faster); *0 of 3 seeds* says how many seeds reach that loss at all.

# %% tags=["hide-input"]
BEST = f"constant-{round(1000 * best['constant'])}"
found = {key: run.score("excess") for key, run in ring.items()} | {"best constant rate": slow[BEST].score("excess")}
base = score_curve(slow[BEST], "excess")
short = ["| ring | excess loss · 1000 | speed |", "|---" * 3 + "|"]
short.append(f"| constant rate of {best['constant']:g}, the baseline | {ranged(1000 * slow[BEST].score('excess'), '.2f')} | {speed_up_text(base, base)} |")
table = ["| ring | excess loss · 1000 | … of the weights in training | distance to the exact ends | energy distance · 1000 |", "|---" * 5 + "|"]
for key, run in ring.items():
    raw = 1000 * run["excess"][:, -1].mean(1)
    name = "constant rate of 0.004" if key == "uniform-constant" else variant_name(key)
    loss = ranged(1000 * run.score("excess"), ".2f")
    cells = [name, loss, ranged(raw, ".2f"), ranged(run.score("away"), ".3f"), ranged(1000 * run.score("ed"), ".2f")]
    table.append("| " + " | ".join(cells) + " |")
    if key in ("uniform-constant", "curriculum-momentum"):
        continue  # in the fold
    short.append(f"| {name} | {loss} | {speed_up_text(base, score_curve(run, 'excess'))} |")
Markdown("\n".join(short))

# %% tags=["hide-input"]
columns = "The *distance to the exact ends* is the RMS distance between the ends of 2048 paths and those of the exact paths from the same noise. The *energy distance* compares the samples with fresh data; for a perfect sampler it scatters around 0. *Of the weights in training* means without averaging."
folded("All variants and scores", columns + "\n\n" + "\n".join(table))

# %% [markdown]
# **Both controls do as well as the techniques.** *Rate alone* ends where *momentum and rate* ends, and the *last density throughout* where the curriculum ends, after reaching the baseline's loss sooner (speed 1.36 against 1.21). What helps on the ring is a falling rate and fewer high noise levels; the momentum may stay as it was, and changing the levels during training only delays the gain.
#
# *Momentum alone* ends higher than the same constant rate without any decay, most clearly in the weights without averaging (39 against 26, in the fold). This is what the quadratic loss says of steep directions; that it is the cause was not tested.
#
# ### Digits and shapes

# %% tags=["hide-input"]
scans, drawn = recorded_variants("pretraining-digits"), recorded_variants("pretraining-shapes")
floor = float(scans["uniform-constant"].score("fd_floor")[0])
table = ["| data | variant | distance of 35-call samples | loss on unseen pictures |", "|---" * 4 + "|"]
for name, runs, score, form in (("digits", scans, "fd35", ".1f"), ("shapes", drawn, "pd35", ".3f")):
    for key, run in runs.items():
        table.append(f"| {name} | {variant_name(key)} | {ranged(run.score(score), form)} | {ranged(run.score('loss'), '.4f')} |")
ORDER = {"higher": "worse", "lower": "better"}
against = lambda runs, score, key: ORDER.get(compare_seeds(runs[key].score(score), runs["uniform-constant"].score(score)), "indistinguishable")
fd = {key: ranged(run.score("fd35"), ".1f") for key, run in scans.items()}
lower = "better" in {against(runs, "loss", key) for runs in (scans, drawn) for key in runs}
Markdown(
    f"On **digits** the Fréchet distance of the samples is {fd['uniform-constant']} with the constant schedule. With the curriculum it is {fd['curriculum-constant']}, **{against(scans, 'fd35', 'curriculum-constant')}**; with momentum and rate {fd['uniform-both']}, {against(scans, 'fd35', 'uniform-both')}; with both {fd['curriculum-both']}, {against(scans, 'fd35', 'curriculum-both')}. On **shapes** only both together were run, and the samples are {against(drawn, 'pd35', 'curriculum-both')} from those of the constant schedule. The loss on unseen pictures is {'lower for some' if lower else 'lower for none'}. "
    "One caution: on digits the base rate was chosen for the constant schedule, and on shapes not at all."
)

# %% tags=["hide-input"]
setting = f"Digits: 400 steps of 64, base rate 0.004, the best of three for the constant schedule on another seed. Shapes: 200 steps of 32, base rate 0.002, not tuned. The other schedules were run at this rate only. The minimum of the loss is not known, so samples made in 35 calls are scored: digits by the Fréchet distance of 360 of them to the 360 held-out digits, in the 32 features of a small classifier (the training digits themselves have {floor:.1f}), and shapes by a distance of patches."
folded("How they were trained, and all scores", setting + "\n\n" + "\n".join(table))

# %% [markdown]
# ## Exercises
#
# ### A · guided: which shuffles are fair?
#
# Two networks are given the class of the digit that they are to make. `a` and `b` (n, d) are their samples from the same noises, and `labels` (n,) are the classes that both were given. Two samples of one class are close even if the noise means nothing. So which shuffles are as likely as the true pairing if, *given the class*, the noise means nothing?
# `orders` (P, n) contains all orders of the numbers 0 … n − 1 except the true one. Return the one-sided p-value of this test for the mean distance of a pair. Before you compute: will it be larger or smaller than with all the orders?

# %% tags=["exercise"]
def my_test(a, b, labels, orders):
    """The p-value for agreement beyond that of the class."""
    # 1. the fair orders   2. the mean distance of a pair, as they are and after each fair order
    # 3. how many are at least as close, the true pairing included
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.fair_p(my_test)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `labels[orders]` has shape (P, n): the classes that come to each place. `b[fair]` has shape (number of fair orders, n, d); shuffle one side only.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def my_test(a, b, labels, orders):
#     fair = orders[(labels[orders] == labels).all(1)]
#     seen = (a - b).norm(dim=1).mean()
#     shuffled = (a - b[fair]).norm(dim=2).mean(1)
#     return (1 + (shuffled <= seen).sum()) / (1 + len(fair))
# ```
#
# As a rule it is larger: a shuffle across classes moves the pairs apart by the distance of the classes, and so counts for the noise what the class has done. A permutation test is only as good as its reason why every shuffle is as likely as the true pairing.
#
# </details>

# %% [markdown]
# ### B · on your own: a heavy ball that decays, and its rate
#
# Gradient descent with a heavy ball has $v \leftarrow \beta v + g$ and takes a step of rate · $v$. Write both schedules for it from their purpose. The *half-life* of a gradient in v, the number of steps n with $\beta^n = \tfrac12$, should fall linearly, from its value for β₀ at τ = 0 to 0 at τ = 1. And all that one gradient does to the weights, at once and later, should in sum stay what it was at the start (as if β and the rate stayed where they are).
# Before you compute: must the rate rise or fall?

# %% tags=["exercise"]
def my_schedule(tau, beta0):
    """β at the fraction tau of a run, and the factor on the learning rate."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.schedule(my_schedule)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Take the logarithm of βⁿ = ½, for β and for β₀. What is the sum of the geometric series 1 + β + β² + …? At τ = 1 one of your expressions may divide by zero.
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
# A gradient does rate · (1 + β + β² + …) = rate/(1 − β) in sum, so the rate *rises*, to ten times its start for β₀ = 0.9. With Adam's average the sum is the rate itself, whatever β is, and the compensation of this lab keeps the immediate effect and *lowers* the rate. So before you copy a compensation, ask which momentum it was made for, and what it keeps.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest in brackets; losses are times 1000 and are compared with the best constant rate, 0.002. A claim is *confirmed here*, in our form, only if the ranges do not overlap.

# %% tags=["hide-input"]
common = percent([label_agreement(modes(every[i]), modes(every[j]))[0] for i, j in ((0, 1), (0, 2), (1, 2))], ".1f")
verdict = "confirmed here" if max(t.p for t in agree) <= 0.001 else "partly"
table = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
table.append(f"| different weights and the same noise give close samples (ring) | distance {left} of that of shuffled pairs; same mode {common}, shuffled {percent([twins.chance])}; p ≤ {max(t.p for t in agree):.3f} | {verdict} |")
PICK = {"ring: half the width": "two networks agree: ring, half the width", "digits: two halves of the scans": "*ours:* … digits, no common scan", "digits: two halves, trained longer": "*ours:* … digits, no common scan, ten times longer"}
pairs = {}
for name, said in PICK.items():
    t, kind = compared(name, 0), "mode" if name.startswith("ring") else "class"
    pairs[name] = f"| {said} (one pair) | distance {percent([t.test.ratio])} of that of shuffled pairs; same {kind} {percent([t.share])}, shuffled {percent([t.chance])}; p = {t.test.p:.3f} | {'confirmed here, for one pair' if t.test.p <= 0.01 else 'not seen at this scale'} |"
table.append(pairs["digits: two halves of the scans"])
BASE, thousand = "best constant rate", {key: 1000 * values for key, values in found.items()}
row = lambda claim, a, b, runs=thousand, form=".2f", control="": claim_row(claim, runs, a, b, form, control)
for claim, key, control in (
    ("a curriculum over noise trains faster (ring, excess loss)", "curriculum-constant", "last-constant"),
    ("momentum decay with its rate trains faster (ring, excess loss)", "uniform-both", "uniform-rate"),
    ("both techniques together train faster (ring, excess loss)", "curriculum-both", "curriculum-rate"),
):
    table.append(row(claim, key, BASE, control=control))
table.append(row("… and give better samples (digits, Fréchet distance)", "curriculum-both", "uniform-constant", {key: run.score("fd35") for key, run in scans.items()}, ".1f"))
needed = row("*quoted in a review:* the compensation is needed: without it momentum decay is worse than none", "uniform-constant", "uniform-momentum")
table.append(needed.replace("confirmed here", "confirmed here at a base rate of 0.004, the only one tried"))
Markdown("\n".join(table))

# %% tags=["hide-input"]
more = ["| claim | measured here | verdict |", "|---" * 3 + "|", pairs["ring: half the width"], pairs["digits: two halves, trained longer"]]
more.append(row("both techniques together beat the curriculum alone", "curriculum-both", "curriculum-constant", control="curriculum-rate"))
more.append(row("… and momentum decay with its rate alone", "curriculum-both", "uniform-both"))
ends_away = {key: run.score("away") for key, run in ring.items()} | {BASE: slow[BEST].score("away")}
more.append(row("both techniques are better than neither (ring, distance of samples to the exact ends)", "curriculum-both", BASE, ends_away, ".3f"))
folded("More comparisons", "\n".join(more))

# %% [markdown]
# ### What to remember
#
# 1. **Two networks agree where both are close to one function.** On the ring this is the exact denoiser, and they part at the borders between modes. Networks that share no scan agree closely, too, while their training is short; when it is longer they part (in the one pair that we trained).
# 2. **A technique has to beat its control.** That of a momentum decay is the same decay of the rate alone; in flat directions of a quadratic loss both end with the same variance, in the long run. That of a curriculum is its last density throughout. On the ring both controls did as well as the techniques, and the last density gained sooner.
# 3. **A speed-up has a baseline, an axis and a score.** Against the best constant rate on the ring, the curriculum was 1.2 times as fast, the decay of the rate 1.3 times and both together 1.5 times, by the excess loss. The samples were not measurably better, and on digits the curriculum made them worse. And *uniform* noise levels mean nothing before the axis is named.
#
# <details><summary>To test yourself: on the ring, a curriculum with the rate of this lab reaches the final excess loss of a constant rate of 0.008 in half the steps, with one seed. What do you ask for?</summary>
#
# A better baseline: at 0.008 a constant rate ends at almost twice the loss that it has at 0.002, so any decay looks good against it. The curriculum without the decay, and the decay without the curriculum, or nobody knows which of them is fast; then their controls, the rate alone and the last density throughout. More seeds. And the axis along which the levels of the baseline are uniform.
#
# </details>
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
