# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · The EMA teacher
#
# **Why does a slow teacher spoil training?**
#
# | | |
# |---|---|
# | Papers | Song & Dhariwal 2024, *Improved Techniques for Training Consistency Models* (iCT), Section 3.2, [arXiv:2310.14189](https://arxiv.org/abs/2310.14189); Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models* (CT), Algorithm 3 and Appendix C, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 45 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | consistency training (lab 05), the boundary condition (lab 03), moving averages |
#
# After this lab you can
#
# 1. **derive** which way a lagging target pulls, and tell at which grid the pull turns round;
# 2. **read** in a map of error by noise level and step how far the truth has spread;
# 3. **judge** when the loss of a run says nothing about its quality.
#
# **A word first.** In consistency training the network $f_\theta(x_t, t)$ is compared with $f_{\theta^-}(x_r, r)$, where the weights $\theta^-$ may be a slow moving average of $\theta$.
# The iCT paper and the title of this lab call that second network the *EMA teacher*. In this package a teacher is a truth from outside, and $\theta^-$ is the student's own shadow:
# we call it the **target** from here on. (A third thing is the average of the weights that samples are drawn from. Every run below has one, and it is not the subject.)

# %%
import numpy as np
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab06_ema import checks
from cmlab_labs.lab06_ema.analysis import PointMass
from cmlab_labs.lab06_ema.explorer import EMATraining, explorer, recorded_run, unlabelled_runs
from cmlab_labs.lab06_ema.figures import (
    error_by_decay,
    front_arrival,
    gradient_and_steps,
    labelled_samples,
    unlabelled_losses,
    wavefronts,
)
from cmlab_labs.lab06_ema.study import DECAYS, GRIDS, variant_name
from cmlab_labs.registry import STUDIES
from IPython.display import Markdown

from cmlab.data.toy import Ring
from cmlab.losses import Uniform
from cmlab.methods.ct import GridDecay, SqrtGrowth
from cmlab.teacher import EMATarget, StopGrad, lerp_networks

start_lab(threads=1)  # a small network: a second thread would only wait

# %% [markdown]
# ## Predict
#
# Four runs of consistency training on the ring of eight modes. Data, network, loss, weights, noise levels and grids are the same in all four, and so are the three seeds.
# One number differs: the decay μ of the target. These are their losses, the mean of three seeds. (The dotted lines are the steps at which the grid doubles.)

# %%
unlabelled_losses(unlabelled_runs(), switches=range(500, 4000, 500))

# %%
predict("06.1")

# %% [markdown]
# ## The exact object
#
# Let all data be one point ξ. The paths are straight lines into ξ, and with $\sigma_m$ the smallest noise level a single number θ makes a model:
#
# $$f_\theta(x, \sigma) = \frac{\sigma_m}{\sigma}\, x + \Bigl(1 - \frac{\sigma_m}{\sigma}\Bigr)\, \theta .$$
#
# It holds the boundary for every θ, and it is the exact consistency function when θ = ξ. Take a pair with the same noise, $x_t = \xi + t z$ and $x_r = \xi + r z$, and write $a_t = 1 - \sigma_m / t$.
# Both answers contain the same $\sigma_m z$, so the noise cancels:
#
# $$f_\theta(x_t, t) - f_{\theta^-}(x_r, r) = a_t(\theta - \xi) - a_r(\theta^- - \xi) = \underbrace{a_r(\theta - \theta^-)}_{\text{lag}} + \underbrace{(a_t - a_r)(\theta - \xi)}_{\text{what is to be learned}} .$$
#
# Square it, multiply by a weight λ, take the mean over the N − 1 intervals of the grid, and differentiate with the target held fixed:
#
# $$\nabla L = A\,(\theta - \theta^-) + B\,(\theta - \xi), \qquad A = 2\,\mathrm{E}[\lambda\, a_t a_r], \quad B = 2\,\mathrm{E}[\lambda\, a_t (a_t - a_r)] .$$
#
# **Two springs.** A ties θ to its own past, B ties it to the truth. Refine the grid: $a_t - a_r$ shrinks with the gap, so B does, and A does not.

# %%
show_source(PointMass.pulls.fget)

# %% tags=["nbval-check-output"]
print("          λ = 1                λ = 1/(t - r)")
print("    N        A        B            A        B      B/A")
for n in (11, 41, 161, 641, 2561):
    (a, b), (a_w, b_w) = PointMass(n, Uniform()).pulls, PointMass(n).pulls
    print(f"{n:5d} {a:8.4f} {b:8.4f}     {a_w:8.2f} {b_w:8.3f} {b_w / a_w:8.4f}")

# %% [markdown]
# With λ = 1 the whole signal B fades as the grid gets finer, with or without a lag. So one has to **rescale** by the gap t − r to see a limit, and iCT's weight 1/(t − r) does that interval by interval.
# Then B stays finite, and A grows in proportion to N.
#
# Now suppose that θ is at distance 1 from ξ and the target lags: $\theta^- - \xi = 1.05$, five per cent behind. The gradient is B − 0.05 A. Once N is large enough it is negative:
# descent then pushes θ **away** from ξ, back to where the target is. Without a lag the gradient is B on every grid.

# %%
points = (11, 21, 41, 81, 161, 321, 641, 1281)
gradients = {lag: [PointMass(n).gradient(1, 1 + lag, 0) for n in points] for lag in (0, 0.01, 0.05)}
steps = {mu: [PointMass(n).steps_to_reach(mu) for n in points] for mu in DECAYS}
gradient_and_steps(points, gradients, steps)

# %% [markdown]
# Is a network trained with a slow target therefore drawn to a wrong answer? No. Look at the two springs: both are slack at θ = θ⁻ = ξ, and only there. The **fixed point is the truth** for every μ.
# And in smooth descent nobody prescribes a lag of five per cent. θ runs ahead of its target until the two pulls balance, at a lead of B/(A + B), and from there on it moves only as fast as the target follows.
# Its gradient never turns. But each step by which chance, or a good batch, carries θ further than that **is** taken back: the wrong way.

# %% tags=["nbval-check-output"]
toy = PointMass(161)
a, b = toy.pulls
print(f"N = 161: the lead at which the pulls balance is B/(A + B) = {b / (a + b):.1%}")
print("   μ      after 500 steps: θ - ξ, θ⁻ - ξ, lead       after a million: θ - ξ")
for mu in DECAYS:
    (theta, target), (end, _) = toy.after(mu, 500), toy.after(mu, 10**6)
    lead = f"{1 - theta / target:6.1%}" if mu else "  none"
    print(
        f"{mu:5g} {theta:24.3f} {target:9.3f} {lead}",
        "             0 to 1e-12" if abs(end) < 1e-12 else end,
    )

# %% [markdown]
# The honest sentence is: **slow, then wrong-way, never biased at the end.** The end may be far off, though. The right panel counts the steps: finer grids cost steps in any case, and a slow target multiplies them, by about 1 + 0.1/(1 − μ) for the step η that was chosen here (a tenth of 1/(A + B)).
#
# ## The method, from its source
#
# | | the paper | here |
# |---|---|---|
# | CT (2023) | $\theta^- \leftarrow \mu(k)\,\theta^- + (1 - \mu(k))\,\theta$ after each step | `EMATarget` |
# | iCT (2024) | $\theta^- = \mathrm{stopgrad}(\theta)$, that is μ = 0 | `StopGrad` |
#
# Parameters are averaged. Buffers (a network's constants and counters) are copied. No gradient ever reaches the target.

# %%
show_source(EMATarget.update)

# %%
show_source(lerp_networks)

# %%
show_source(StopGrad.__call__)

# %% [markdown]
# Where does CT take its μ(k) from? Its Appendix C ties it to the grid:
#
# $$\mu(k) = \exp\Bigl(\frac{s_0 \ln \mu_0}{N(k)}\Bigr), \qquad s_0 = 2,\; \mu_0 = 0.9 .$$
#
# The finer the grid, the slower the target. The two springs ask for the opposite.

# %%
show_source(GridDecay.value)

# %% tags=["hide-input", "nbval-check-output"]
grid = SqrtGrowth(2, 150, 4000)
mu = GridDecay(2, 0.9).on_grid(grid)
for k in (0, 100, 1000, 2000, 4000):
    memory = 1 / (1 - mu(k))
    print(f"step {k:4d}: N = {grid(k):3.0f}   μ = {mu(k):.4f}   memory 1/(1 - μ) = {memory:3.0f} steps")

# %% [markdown]
# ## Explore
#
# Now a real network on the ring, whose exact consistency function f* is known. What you see is **recorded**: 12 kinds of run in iCT's recipe, four decays on three grids, three seeds each, looked at 41 times while they trained.
#
# Left: the error to f* at each noise level and step, from dark blue (0.03 and less) to yellow (1 and more). The white line is the **front**: up to that noise level the error is below 0.2 (the ring has radius 1).
# At the very bottom f is right from the first step, thanks to the boundary. From there the truth has to travel up, since each level learns from the one below it.
# Middle: the error by noise level at the dotted step. Right: the loss so far. Thin lines are μ = 0 at the same step.
#
# Three things to try. Move the step with the arrow keys and watch the middle panel: which end falls first? Choose μ = 0.999: where does the front stop?
# Keep μ = 0.99 and go through the three grids: on which does it do no harm, and why there?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# A fixed grid of N = 161 points, four targets. Thin lines: the front of each seed. Thick: that of the mean error.

# %%
fixed = {f"μ = {mu:g}": recorded_run(mu, 161) for mu in DECAYS}
wavefronts(fixed)

# %% tags=["hide-input"]
rmse = {n: {mu: read("target", variant_name(mu, n)).score("rmse") for mu in DECAYS} for n in GRIDS}
says = {mu: front_arrival(run) for mu, run in zip(DECAYS, fixed.values(), strict=True)}
print(f"μ = 0: the front rises from the boundary to the highest level ({says[0.0]}); μ = 0.9: {says[0.9]}.")
print(f"μ = 0.99: the same wave in slow motion; when the run is over it {says[0.99].replace('ends', 'stands')} of 10.")
print(f"μ = 0.999: it hardly moves ({says[0.999]}). RMSE {ranged(rmse[161][0.999])} against {ranged(rmse[161][0.0])}.")

# %% [markdown]
# The first map is restless, the third is calm. An average over many steps also averages out their noise, and that has its good side.
# So ask for a smaller error, and the order at the front can change:

# %% tags=["hide-input"]
table = ["| grid | front of | " + " | ".join(f"μ = {mu:g}" for mu in DECAYS) + " |", "|---" * 6 + "|"]
for n, near in ((161, 0.2), (161, 0.1), (0, 0.2), (0, 0.1)):
    fronts = [front_arrival(recorded_run(mu, n), near) for mu in DECAYS]
    table.append(f"| {n or 'doubling'} | error {near} | " + " | ".join(fronts) + " |")
Markdown("\n".join(table))

# %% [markdown]
# On the doubling grid a **little** lag does not hold the front up: with μ = 0.9 it is at the top even sooner than with μ = 0. With μ = 0.999 it never gets far, whatever you ask for.
#
# ### The trap: the lowest loss
#
# Back to the four runs of the prediction. Their samples (one step, first seed), their error at the highest noise level, and their last loss:

# %%
runs = {f"{letter}, μ = {run.mu:g}": run for letter, run in unlabelled_runs().items()}
clouds = {title: read("target", variant_name(run.mu, 0))["cloud"][0] for title, run in runs.items()}
labelled_samples(runs, clouds, Ring().oracle.components.means.numpy())

# %% [markdown]
# All four were trained with the same weight, on the same grid at the same step, so their losses are on one scale. And yet the order is the wrong way round.
#
# Two things can make the loss of a slow run small. The pair $x + t z$, $x + r z$ does not lie on one path, so even the exact f pays for it, and **flatter answers pay less** (lab 03: a constant pays nothing).
# And the target is where θ was a while ago. If θ waits for it, the two agree. How flat the answers are shows in how far the samples reach; the data's own RMS radius is about 1.

# %% tags=["hide-input"]
table = ["| μ | loss at the end | RMS radius of the samples | near a mode | RMSE to f* |", "|---" * 5 + "|"]
for mu in DECAYS:
    found = read("target", variant_name(mu, 0))
    radius = np.sqrt((found["cloud"] ** 2).sum(-1).mean(1))
    row = (found["loss"][:, -1], radius, found.score("hq"), rmse[0][mu])
    table.append(f"| {mu:g} | " + " | ".join(map(ranged, row)) + " |")
Markdown("\n".join(table))

# %% [markdown]
# Each field is the mean of three seeds (lowest to highest); *near a mode* is the share of the samples within three standard deviations of one. Do not turn this into a rule either. On other grids the losses rank the runs in other ways:

# %% tags=["hide-input"]
families = {"N = 11": [variant_name(mu, 11) for mu in DECAYS], "N = 161": [variant_name(mu, 161) for mu in DECAYS]}
families |= {"doubling": [variant_name(mu, 0) for mu in DECAYS], "plain CT": [f"ct-mu-{mu:g}" for mu in DECAYS]}
traps = []  # where the lowest loss goes with the largest error
table = ["| | order by loss, lowest first | order by error, lowest first |", "|---" * 3 + "|"]
for title, arms in families.items():
    losses = [read("target", arm)["loss"][:, -1].mean() for arm in arms]
    errors = [read("target", arm).score("rmse").mean() for arm in arms]
    traps += [title] if np.argmin(losses) == np.argmax(errors) else []
    orders = (", ".join(f"{DECAYS[i]:g}" for i in np.argsort(row)) for row in (losses, errors))
    table.append(f"| {title} | μ = " + " | μ = ".join(orders) + " |")
Markdown("\n".join(table))

# %% [markdown]
# At N = 11 the four losses differ by less than the seeds do, so that row's order is chance. In the other three the run that has learned least has the lowest loss, and apart from that the two orders have little in common.
#
# ### Finer grids, and the recipe of 2023
#
# The two springs say that the harm of a lag grows with N. The left panel puts that to the test. The right one takes the target out of **plain CT**: squared L2, weight 1, uniform intervals, N growing from 2 to 151.
# There we also have the paper's own μ(k). Every marker is a seed.

# %%
inside = {f"N = {n}" if n else "doubling": rmse[n] for n in GRIDS}
plain = {mu: read("target", f"ct-mu-{mu:g}").score("rmse") for mu in DECAYS}
paper = read("ladder", "ct").score("rmse")
error_by_decay(inside, plain, paper)

# %% tags=["hide-input"]
print(f"N = 11: μ = 0.99 changes next to nothing ({ranged(rmse[11][0.99])} against {ranged(rmse[11][0.0])}).")
print(f"N = 161: the same μ is ruin ({ranged(rmse[161][0.99])} against {ranged(rmse[161][0.0])}).")
print(f"Plain CT: μ = 0 {ranged(plain[0.0])}, μ = 0.9 {ranged(plain[0.9])}, its own μ(k) {ranged(paper)}.")

# %% [markdown]
# Inside iCT the picture is clean: a lag brings the end nothing, and a long one ruins it. In plain CT it is not quite. A short memory (μ = 0.9, ten steps) is even a little better than none,
# perhaps because nothing else in that recipe calms the noise. A long memory hurts there too, and the paper's own μ(k), which ends at a memory of hundreds of steps, is among the worst.
# Without any lag plain CT still falls far short of iCT: the target was one flaw among several (lab 07).
#
# These are runs of 4000 steps. A run a hundred times as long can afford to wait for its target. That it would arrive is what *never biased at the end* suggests; we have not tested it on a network.
#
# ### Train one yourself
#
# The same recipe with a seed that no recording has seen. Choose μ and the grid, then press **Start**; the same button pauses, **Reset** begins again. A whole run takes about half a minute.
# The map grows as it trains. Nothing runs until you ask for it.

# %%
EMATraining()

# %% [markdown]
# ## Exercises
#
# ### A · guided: move the target
#
# Write one update of the target, in place: $\theta^- \leftarrow \mu\,\theta^- + (1 - \mu)\,\theta$ for every parameter, and a plain copy of every buffer. Return the target.


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
# `p = mu * p + …` makes a new tensor and leaves the target as it was. `p.mul_(mu).add_(…)` or `p.lerp_(q, share)` write into it. Which share does `lerp_` want, μ or 1 − μ? Try it with μ = 1: nothing may move.
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
# ### B · on your own: the pull on a point mass
#
# Write the rescaled gradient $\mathrm{d}L/\mathrm{d}\theta$ of the model $f_\theta(x, \sigma) = (\sigma_m/\sigma)\,x + (1 - \sigma_m/\sigma)\,\theta$ on a given grid: the mean over its intervals of
# $\frac{1}{t - r}\bigl(f_\theta(x_t, t) - f_{\theta^-}(x_r, r)\bigr)^2$, differentiated by θ with θ⁻ held fixed. `levels` (N,) ascend from $\sigma_m$. By hand or by autograd, as you like.
# The check finds out at which N your gradient turns round for a target five per cent behind, and where it settles without a lag.


# %% tags=["exercise"]
def rescaled_gradient(theta, target, xi, levels):
    """dL/dθ with λ = 1/(t - r), for data that are the point xi. One number."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.rescaled_gradient(rescaled_gradient)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The noise cancels, so you can leave it out. With a = 1 − σ_m/levels the difference is a_t (θ − ξ) − a_r (θ⁻ − ξ). Which factor does it get when you differentiate by θ alone?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def rescaled_gradient(theta, target, xi, levels):
#     a = 1 - levels[0] / levels
#     a_t, a_r = a[1:], a[:-1]
#     difference = a_t * (theta - xi) - a_r * (target - xi)
#     return (2 * a_t * difference / levels.diff()).mean()
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over seeds 0, 1 and 2 (lowest to highest), from the recordings named in the budget. "iCT" is the paper of 2024; its Section 3.2 is retold here in our own derivation.

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
| with a lagging target the rescaled gradient diverges as N grows, whatever ξ is; without one it stays finite (iCT, Section 3.2) | closed form, 5 % behind: {gradients[0.05][0]:.1f} at N = 11, negative from N = {flip}, {far.gradient(1, 1.05, 0):.0f} at N = 10 241; without a lag {far.gradient(1, 1, 0):.1f} | shows, for a lag that is given |
| *not in the paper:* the fixed point is the truth all the same, but it is reached late | closed form, N = 161: {steps[0.0][4]} steps with μ = 0, {steps[0.999][4]} with μ = 0.999; after a million steps θ = ξ to 1e-12 | shows: slow, not biased |
| dropping the average of the target makes iCT better (iCT, Section 3.2) | RMSE at μ = 0.999 over that at μ = 0: ×{slow[0]:.1f}; {ranged(rmse[0][0.999])} against {ranged(rmse[0][0.0])} | {"shows: more than 4 times, and the ranges are disjoint" if slow[0] > 4 and apart else "does not show at this size"} |
| … even when its memory is short | μ = 0.9: {ranged(rmse[0][0.9])}; at N = 161 {ranged(rmse[161][0.9])} against {ranged(rmse[161][0.0])} | {"shows" if short[0] else "shows in part: at N = 161, while on the doubling grid the ranges overlap" if short[161] else "does not show at this size"} |
| the finer the grid, the more a lag hurts (the sense of the limit N → ∞) | RMSE at μ = 0.99 over that at μ = 0: ×{mild[11]:.2f} at N = 11, ×{mild[161]:.2f} at N = 161 | {"shows" if mild[161] > 2 * mild[11] else "does not show at this size"} |
| dropping it makes plain CT better as well | its μ(k): {ranged(paper)}; μ = 0: {ranged(plain[0.0])}; μ = 0.9: {ranged(plain[0.9])} | {"shows in part: better than μ(k), but a short memory is best" if worse and better_plain else "shows" if worse else "does not show at this size"} |
| *not in the paper:* the run that fails has the lowest loss | doubling grid, μ = 0.999: {ranged(last[0.999])}; the others from {min(last[mu].min() for mu in (0.0, 0.9, 0.99)):.3f} up | {"shows, on all three seeds" if trapped else "shows in part"}; in the mean also for {", ".join(t for t in traps if t != "doubling") or "no other"} |
""")

# %% [markdown]
# ## Budget

# %% tags=["hide-input"]
record = [read("target", arm).record for arm in STUDIES["target"].variants]
seen, seconds = sum(3 * r["samples"] for r in record), [s for r in record for s in r["seconds"]]
print(f"Recorded: {len(record)} arms of 3 seeds, {seen:,} training samples, twice as many network calls (f_θ and target).")
print(f"Each run: 4000 steps of 256 samples, {min(seconds):.0f} to {max(seconds):.0f} s, on a machine that did other work too.")
print(f"Made by, for one: {record[0]['command']}")
print("Also read: the arm ct of the study ladder. Trained in this notebook until you press Start: nothing.")

# %% [markdown]
# **Next:** lab 07 takes all of iCT's changes apart, one at a time.
