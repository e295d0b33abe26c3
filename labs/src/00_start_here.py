# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# **Can one network call make an image?**
#
# | | |
# |---|---|
# | Paper | the idea: Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); the generator here was trained by the method of Geng et al. 2025, *Consistency Models Made Easy* (ECT), [arXiv:2406.14548](https://arxiv.org/abs/2406.14548) |
# | Level | 1 of 3 |
# | Part | The object |
# | Time | 10 minutes, and as long again if you do the exercises |
# | Run All | 30 s on 2 CPU cores |
# | You need | to know what a mean and a neural network are; no lab before this one |
#
# After this lab you can
#
# 1. **make** handwritten digits from pure noise with one network call, and say what the call computes;
# 2. **tell** a consistency function from a denoiser by what each answers when it is asked once;
# 3. **check** whether a generator makes something new or copies what it was trained on.
#
# **How a lab works.** Run a cell with Shift and Enter, or all of them with *Run › Run All Cells*. You *predict* before you
# see: choose, commit, and read the reply; a wrong answer may be mended once, and nobody keeps a score. Code that only prepares
# or prints is folded to its first line: click on it to read it. Widgets work by mouse or by keyboard: Tab to a slider, then
# the arrow keys. In the exercises you replace `...` with code and run the check below it. It answers ○ not attempted yet,
# ✗ with the likely slip, or ✓ with what was proved. A hint and a solution are folded under each. If something does not run,
# `cmlab doctor` in a terminal says what is missing.

# %%
import torch
from cmlab_labs.common.exercise import RecordedCalls
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.generators import GENERATOR, exact_denoiser, nearest_scan, noise
from cmlab_labs.common.plots_samples import contrast_scaled
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab00_start import checks
from cmlab_labs.lab00_start.explorer import exact_reference, explorer, live_training
from cmlab_labs.lab00_start.figures import one_beside_many, path_strip
from IPython.display import Markdown, display

from cmlab.data.digits import Digits
from cmlab.methods import ECT
from cmlab.metrics.digits import distance_to_nearest, memorised
from cmlab.metrics.evaluators import DigitsEvaluator
from cmlab.metrics.feature_extractors import load_classifier
from cmlab.metrics.frechet import frechet
from cmlab.metrics.plots import image_sheets
from cmlab.noise_levels import KarrasGrid
from cmlab.presets import toy
from cmlab.process import VarianceExploding
from cmlab.sampling import multistep, ode
from cmlab.train import runs

start_lab(threads=1)  # the networks are small: a second thread would hardly help

# %% [markdown]
# ## Predict
#
# A network gets 64 pixels of pure noise, and the wish for a 3. It is called **once**. It was trained on 1437 scanned digits.

# %%
predict("00.1")

# %% [markdown]
# ## The exact object
#
# Take a scan x and add noise of level t: $x_t = x + t z$. At t = 80 there is nothing left to see.
# The **denoiser** $D(x_t, t) = \mathrm{E}[x \mid x_t]$ is the mean of all scans that may lie under the noise, each weighted
# by how well it fits. For a finite pile of scans that is a formula, and needs no network.
#
# A diffusion sampler follows D from t = 80 down to 0 in small steps. Here are 18 of them with Heun's method, for the threes.

# %%
z, asked, levels = noise(seed=0), torch.tensor([3]), KarrasGrid().down(18)
D = RecordedCalls(exact_denoiser(asked))  # keeps count of its calls
path = torch.cat(list(ode(VarianceExploding(), D, 80 * z, levels)))

# %% tags=["nbval-check-output"]
away = distance_to_nearest(path, Digits().images)
print(f"{len(D.calls)} calls of D on the way")
print(f"start: {away[0]:.0f} from the nearest scan; end: {away[-1]:.4f}")

# %%
shown = [0, 4, 7, 9, 10, 11, 12, 14]
x_t, t = path[shown], levels[shown].float()
mean = exact_denoiser(asked.expand(len(shown)))(x_t, t)
path_strip(x_t, mean, t, Digits().sigma_data, nearest_scan(path[-1:])[0])

# %% [markdown]
# (Noise is drawn with less contrast than it has, so that you can see it.) At t = 80 the denoiser answers with the mean of all threes,
# whatever the noise; only on the way does it make up its mind. The path ends **in a scan**, for a perfect denoiser of a pile
# knows nothing but the pile.
#
# The **consistency function** answers with the end of that path, from anywhere on it and in one call:
#
# $$f(x_t, t) = x_0 .$$
#
# ## The method, from its source
#
# With f there is nothing to follow. Draw noise z, scale it to $\sigma_{\max} = 80$, and ask once:
#
# $$x = f(\sigma_{\max}\, z,\ \sigma_{\max}).$$
#
# More calls are optional: add fresh noise of a lower level τ to x and ask again, $x \leftarrow f(x + \tau z', \tau)$.
# That is the paper's Algorithm 1, and this is the package's own code for it.

# %%
show_source(multistep)

# %% [markdown]
# How does a network learn where paths end, without walking them? Take a scan, one noise z, and two levels t > r. Both
# $x + t z$ and $x + r z$ must get the **same answer**; the one nearer to the data leads, the other follows. Where r is 0
# the answer is known: the scan. This is the whole loss (labs 05, 07 and 09 take it apart):

# %%
show_source(ECT.loss)

# %%
model, recipe, record = runs.load(GENERATOR)
model.requires_grad_(False)
weights = sum(p.numel() for p in model.parameters())
print(f"{weights:,} weights, made by `cmlab train {record['preset']}`:")
print(f"{record['samples_seen']:,} training images seen, {record['seconds']:.0f} s")

# %% [markdown]
# Forty noises, forty digits, one call of the network for each:

# %%
z, asked = noise(seed=0, n=40), torch.arange(40) % 10
f = lambda x_t, t: model(x_t, t, asked)
x = f(80 * z, torch.full((40,), 80.0))
image_sheets([z, x], ["in: noise", "out: one network call"], columns=10)

# %% [markdown]
# ## Explore
#
# Turn the **seed** for other noise, ask for another **digit**, and spend 1, 2 or 4 **calls**. Above right: what was made, and
# the nearest of all training scans. Below: one exact path from the same noise, the mean D at each level, and the
# network's answer f. A perfect f of the pile would answer with the same scan in all eight columns.
#
# Three things to try: find a seed that makes a bad digit, then give it 2 and 4 calls; find a digit that is close to a scan;
# find the noise level at which the last row begins to move.

# %%
explorer(model, recipe.sampler)

# %% [markdown]
# ### Watch a network become consistent
#
# How far a network is from the true f can be measured where f is known for the law itself, not only for a pile of samples:
# eight Gaussians on a ring. Press **Start**. Each blue line joins the answers of the network along one exact path, from pure
# noise (square) to the data. A black dot is where that path truly ends. A consistent network gives one answer a path: the
# line shrinks into the dot. The training is iCT's, and sees data only: no paths, no dots.

# %%
live_training(toy.ict(steps=1000))

# %% [markdown]
# The same training without the widget, for three seeds:

# %%
against, found = exact_reference(toy.RING), []
for seed in range(3):
    trainer = runs.fit(toy.ict(steps=1000, seed=seed))
    found.append(against.stage(trainer.ema.model, trainer.step))
start = against.stage(toy.ict(steps=1000).build(), 0)
before, *after = [float(stage.error.square().mean().sqrt()) for stage in (start, *found)]
print(f"RMS error to the exact f over 12 noise levels: {before:.3f} before,")
print("after 1000 steps", ", ".join(f"{error:.3f}" for error in after), "(seeds 0, 1, 2)")

# %%
against.picture(start, start, found[0]).figure

# %% [markdown]
# Before training the network's answers are those of a denoiser that knows nothing: from pure noise, the middle. After
# 1000 steps one call from noise lands near the right end, where the exact mean D (dashed) still says "somewhere in the middle".
#
# ## The key figure
#
# Five noises, each taken to a digit twice: by one call of the network, and by 35 calls of the perfect denoiser.

# %%
asked, z = torch.tensor([0, 2, 3, 5, 7]), noise(seed=0, n=5)
one = model(80 * z, torch.full((5,), 80.0), asked)
D = RecordedCalls(exact_denoiser(asked))
path = list(ode(VarianceExploding(), D, 80 * z, levels))
calls, mean = len(D.calls), D.calls[0][2]
steps = [5, 9, 11, 13, 18]  # of 18; two calls a step, and one for the last
seen = [contrast_scaled(path[k], levels[k].float().expand(5), Digits().sigma_data) for k in steps]
left = torch.stack([z, one, nearest_scan(one)], 1)
names = ["noise", "D, 1 call", *(f"{min(2 * k, calls)} calls" for k in steps)]
one_beside_many(left, torch.stack([z, mean, *seen], 1), ["noise", "1 call", "nearest scan"], names)

# %% tags=["hide-input"]
gaps = [", ".join(f"{v:.1f}" for v in distance_to_nearest(x, Digits().images)) for x in (one, path[-1])]
print(f"Left: one call makes a digit. Distances to the nearest scan, top to bottom: {gaps[0]}.")
print("Right: asked once, the denoiser gives the mean of all scans of that digit.")
print(f"Asked {calls} times, it gives a scan. Distances to the nearest scan: {gaps[1]}.")

# %% [markdown]
# Why is a perfect denoiser a copying machine, and a trained network none? The perfect one is perfect *for the pile*: no other
# image has any weight. A network has to answer smoothly for noise that lies between the scans, and its answers there are
# new. So "exact" is not "best" here: the distance to held-out digits, below, judges both.
#
# ## Exercises
#
# **A (guided). Write the one-step generator.** `f(x_t, t)` takes a batch and one noise level for each of its samples.


# %% tags=["exercise"]
def one_call(f, z, sigma_max):
    """Samples from standard normal noise z (b, ...), with one call of f."""
    # 1. noise of level sigma_max   2. the level, once for each sample   3. the one call
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.one_call(one_call)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# z has level 1. At level σ_max the input is `sigma_max * z`. The second argument is a tensor with `len(z)` times the same
# number: `torch.full((len(z),), sigma_max)`.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def one_call(f, z, sigma_max):
#     return f(sigma_max * z, torch.full((len(z),), sigma_max))
# ```
#
# </details>

# %% [markdown]
# **B (independent). Spend a second call.** The first answer gets fresh noise of level $\sigma_{\mathrm{mid}}$ and is asked about
# again. `fresh` is standard normal noise in the shape of z. Both formulas are above.


# %% tags=["exercise"]
def two_calls(f, z, fresh, sigma_max, sigma_mid):
    """Samples from noise z, with two calls of f and fresh noise between them."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.two_calls(two_calls)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Three lines: the whole of exercise A gives x; lift x to level σ_mid with `x + sigma_mid * fresh`; ask f about that at
# level σ_mid. Nothing is added after the last call.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def two_calls(f, z, fresh, sigma_max, sigma_mid):
#     x = f(sigma_max * z, torch.full((len(z),), sigma_max))
#     return f(x + sigma_mid * fresh, torch.full((len(z),), sigma_mid))
# ```
#
# </details>

# %% [markdown]
# When A passes, you have a generator. This cell makes ten digits with your code:

# %%
z, asked = noise(seed=7, n=10), torch.arange(10)
x = one_call(lambda x_t, t: model(x_t, t, asked), z, 80.0)
if x is None:
    print("○ waiting for exercise A")
else:
    display(image_sheets([z, x], ["noise", "your generator"], columns=10))

# %% [markdown]
# ## What the paper claims, what you saw
#
# 2000 digits from each of three noise seeds, by *one* trained network. The evaluator is the Fréchet distance to 360 held-out scans in
# the features of a small classifier: lower is better, and the training scans themselves
# set the floor. *Copies* are images nearer to a training scan than 98 % of the held-out ones are; new scans of digits would score 2 %.

# %% tags=["hide-input"]
scores = [DigitsEvaluator(2000, seed)(model, recipe.data, recipe.sampler) for seed in range(3)]
fd1, fd2, copies, read = (
    torch.tensor([s[key] for s in scores]) for key in ("fd1", "fd2", "memorised", "accuracy")
)

# %% tags=["hide-input"]
asked = Digits(train=False).labels[torch.arange(2000) % 360]
eye, held_out = load_classifier(), Digits(train=False).images
perfect, pile_copies = [], []
for seed in range(3):
    D = RecordedCalls(exact_denoiser(asked))
    *_, end = ode(VarianceExploding(), D, 80 * noise(seed, 2000), levels)
    truth, pair = eye.features(held_out), (D.calls[0][2], end)  # after 1 call, and after 35
    perfect.append([frechet(eye.features(x), truth) for x in pair])
    pile_copies.append(memorised(end))
mean_fd, walk_fd = torch.tensor(perfect).T

# %% tags=["hide-input"]
one_ok = "shows" if read.mean() > 0.9 and copies.max() < 0.02 else "shows in part"
better = int((fd2 < fd1).sum())
two_ok = {3: "shows", 0: "does not show at this size"}.get(better, "shows in part")
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| one call makes a sample | {read.mean():.1%} are read as the digit asked for; distance {fd1.mean():.1f} ± {fd1.std():.1f}, floor {scores[0]["fd_floor"]:.1f}; copies {copies.mean():.1%} | {one_ok} |
| more calls make better samples | distance {fd1.mean():.1f} ± {fd1.std():.1f} with 1 call, {fd2.mean():.1f} ± {fd2.std():.1f} with 2; better in {better} of 3 seeds | {two_ok} |
| it can be learnt from data, with no teacher | ring: error {before:.2f} before, {sum(after) / 3:.2f} after 1000 steps (3 seeds); the exact f would have 0 | shows in part: 1000 steps do not finish it |
| *not in the paper:* a denoiser cannot do it in one call | distance {mean_fd.mean():.0f} ± {mean_fd.std():.0f} after 1 call | shows |
| *not in the paper:* a perfect denoiser copies | distance {walk_fd.mean():.1f} ± {walk_fd.std():.1f} after 35 calls, and copies {torch.tensor(pile_copies).mean():.0%} | shows |
""")

# %% [markdown]
# A ± is the spread over noise seeds. It says nothing about other trainings. The network here is one of three: trained from
# seeds 0, 1 and 2, they score 14.9, 19.8 and 17.8 with one call (noise seed 0), and this is the first, which is the best.
#
# ## Budget
#
# Network calls: 40 for the forty digits, 5 in the key figure, 3 × 6000 for the table. Perfect denoiser: 35 for each path. Training samples
# on the ring: 3 × 256,000, in a few seconds. The generator was trained before; the line under its loading says on how many images,
# its diffusion pre-training counted. In all, 30 seconds on 2 CPU cores.
#
# **Next:** lab 01 follows noise back to data, step by step; lab 02 asks what exactly f is. In a hurry: 02, then 06.
