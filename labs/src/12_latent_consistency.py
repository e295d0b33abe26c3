# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Latent consistency
#
# **Why do latents break iCT, and what mends it?**
#
# | | |
# |---|---|
# | Paper | Dao et al. 2025, *Improved Training Technique for Latent Consistency Models* (sLCT), [arXiv:2502.01441](https://arxiv.org/abs/2502.01441) |
# | Level | 3 of 3 |
# | Part | Beyond |
# | Time | 50 minutes |
# | Run All | 12 s on 2 CPU cores |
# | You need | the loss of iCT (lab 07), what outliers do to losses (lab 08), what an autoencoder is |
#
# After this lab you can
#
# 1. **measure** how impulsive data and residuals are, with the fences of a box plot and the kurtosis;
# 2. **write** the Cauchy loss with a c that follows the grid, and a denoising term that survives a batch in which it finds nothing;
# 3. **judge** each part of sLCT by its numbers, and **explain** why optimal transport can make a network deaf to its labels.
#
# Tails, pairings and curves are computed here. The trained networks are recordings, three seeds each; nothing is trained while you wait.
#
# The paper's equations were not at hand when this lab was written. Formulas and constants are those of the authors' development code, [quandao10/LCT](https://github.com/quandao10/LCT) at commit 34661b9. The losses here give its numbers, see `docs/fidelity.md`; where this repository departs from it, the docstring of `cmlab.methods.slct` says so. The claims are those of the abstract and the figures' captions.

# %%

import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_recordings import compare_seeds, recorded_variants, sample_images
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab12_latent import checks
from cmlab_labs.lab12_latent.analysis import (
    COUPLINGS,
    Impulsiveness,
    cost_ratio,
    impulsiveness,
    paired_batches,
    target_variance,
)
from cmlab_labs.lab12_latent.explorer import latent_bench, transport_bench
from cmlab_labs.lab12_latent.figures import residual_sizes, tails, transport_gains, variant_scores
from cmlab_labs.lab12_latent.study import BANDS
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.data.latents import CHECKPOINTS, Impulses, Latents
from cmlab.data.toy import Ring
from cmlab.methods import ICT, SLCT
from cmlab.methods.ict import PseudoHuber
from cmlab.methods.slct import Independent, MinibatchOT, Tightening, averaged
from cmlab.nets.norm import NonScalingNorm
from cmlab.presets import toy
from cmlab.presets.latent import DIGITS
from cmlab.train.checkpoint import read_json

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Predict
#
# Large generators do not work on pixels. An autoencoder turns a picture into a small image of *latents*, the generator learns those, and the decoder turns what it makes into pixels again.
# The paper says that latents hold **impulses**, rare values far beyond the rest, that pixels have none, and that this is why iCT fails on latents.

# %%
predict("12.1")

# %%
predict("12.2")

# %% [markdown]
# ## The exact object
#
# ### Fences and kurtosis
#
# A box plot draws a box from the first to the third quartile. Its length is the interquartile range, IQR. What lies 1.5 IQR beyond the box is outside the **inner fence**, 3 IQR beyond it outside the **outer fence**.
# Of normal numbers, 0.70 % are outside the inner fence and two in a million outside the outer one. The **kurtosis** $\mathrm{E}(x-\mu)^4/\sigma^4$ of normal numbers is 3.
# First on laws whose answers are known, 400 000 draws each:

# %% tags=["hide-input"]
g = torch.Generator().manual_seed(0)
z = torch.randn(400_000, generator=g).double()
t3 = torch.randn(400_000, generator=g).double() / (torch.randn(3, 400_000, generator=g).double().square().mean(0)).sqrt()
impulse = torch.rand(400_000, generator=g) < 0.001
laws = {"normal": z, "Student's t, 3 degrees": t3, "normal, 0.1 % of it × 50": torch.where(impulse, 50 * z, z)}
known = {"normal": "0.70%, 0.0002%", "Student's t, 3 degrees": "5.5%, 1.28%", "normal, 0.1 % of it × 50": "0.80%, 0.097%"}

# %% tags=["nbval-check-output"]
for name, x in laws.items():
    found = impulsiveness(x)
    print(f"{name:26} inner {found.inner:.1%}, outer {found.outer:.1%} (exact: {known[name]})")

# %% [markdown]
# One impulse in a thousand elements hardly moves the shares. It moves the kurtosis from 3 to about 1500.
#
# ### Three kinds of pictures, and their latents
#
# The repository has three small autoencoders: scanned digits (8 × 8 to 4 × 4 × 4), shapes and CIFAR-10 (32 × 32 × 3 to 8 × 8 × 4). Every channel is standardised first.
# Digits are measured here, on the pictures held out; the other two when their autoencoder was made. The weight of the KL term is 0.05 for digits, and 0.001 for the other two.

# %% tags=["hide-input"]
def standard(x):
    return (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)


held_out = Digits(train=False).images
rows = {"digits, pixels": impulsiveness(standard(held_out))}
rows["digits, latents"] = impulsiveness(standard(DIGITS.encode(held_out)))
for name in ("shapes", "cifar10"):
    record = read_json(CHECKPOINTS / f"{name}-autoencoder.json")["impulsiveness, held out"]
    rows |= {f"{name}, {part}": Impulsiveness(**record[part]) for part in ("pixels", "latents")}

# %% tags=["hide-input"]
heavier = [n for n in ("digits", "shapes", "cifar10") if rows[f"{n}, latents"].kurtosis > rows[f"{n}, pixels"].kurtosis]
tails(rows, f"Latents have the heavier tails on: {', '.join(heavier) or 'none'}")

# %% tags=["hide-input"]
for name, found in rows.items():
    print(f"{name:16} inner {found.inner:7.3%}, outer {found.outer:8.4%}, kurtosis {found.kurtosis:6.2f}, farthest {found.reach:5.1f} IQR from the median")

# %% [markdown]
# Hollow markers stand for none at all; dotted lines are normal numbers. Read your own row of the table before you go on: how far is the farthest latent?
# These are small autoencoders on small pictures. Their latents are *not* those of a large one, which the paper looks at, and you should not expect the paper's tails. An adapter reads a public autoencoder from a folder
# (`cmlab.data.latents.PublicCoder`), so you can measure its latents with the same functions.
#
# Hence the second half of the experiment: impulses are **injected**, 0.1 % of all latent elements times 50, and every loss is trained with and without them.

# %% tags=["hide-input"]
torch.manual_seed(0)
with_impulses = Impulses(DIGITS).sample(1437)[0]
share = (with_impulses.flatten(1).abs().amax(1) > 10).double().mean()
print(f"With injected impulses: kurtosis {impulsiveness(with_impulses).kurtosis:.0f}; {share:.1%} of the samples hold a value beyond 10 (20 standard deviations).")

# %% [markdown]
# ### Standardising
#
# The network expects data with σ_d = 0.5 in every channel. So $x = \sigma_d\,(h - \text{mean})/\text{std}$, channel by channel, over all training latents; samples are turned back before they are decoded.

# %%
show_source(Latents.standardise)

# %%
show_source(Latents.decode)

# %% [markdown]
# ### Optimal transport, exactly
#
# In each batch, the noises are put in the order in which $\sum_i \lVert x_i - z_i\rVert^2$ is least. This is an assignment problem, and scipy solves it exactly. Three points:

# %% tags=["hide-input", "nbval-check-output"]
x = torch.tensor([[0.0, 0], [1, 0], [0, 1]])
n = torch.tensor([[0.9, 0.2], [0.1, 0.8], [-0.2, -0.1]])
z = MinibatchOT()(x, n)
order = [int((n == row).all(1).nonzero()) for row in z]
print(f"order {order}, cost {float((x - z).square().sum()):.2f} where the pairs as drawn cost {float((x - n).square().sum()):.2f}")

# %% [markdown]
# ## The method, from its source
#
# | sLCT | here |
# |---|---|
# | Cauchy loss $\ln(1 + m/2c^2)$, m the **mean** of the squared differences over the D coordinates | `Cauchy`, which sums, of $f/\sqrt D$ (`SLCT.distance`) |
# | $c(N) = e^{-1.15 \ln N - 0.85}$, from the second stage on | `Tightening` |
# | $5 \cdot \mathrm{mean}_{t \le 0.17}\,(1/t^2 + 1/\sigma_d^2)\, \mathrm{mean}(f_t - x)^2$ | in `SLCT.loss`, through `averaged` |
# | the batch's noise paired by optimal transport | `MinibatchOT`, within each class |
# | non-scaling LayerNorm: its factor stays 1, its shift is learned (in the code's branches `ot` and `ssl_ot` alone) | `NonScalingNorm` |

# %%
show_source(SLCT.loss)

# %%
show_source(Tightening.value)

# %%
show_source(averaged)

# %%
show_source(NonScalingNorm.forward)

# %% [markdown]
# Sum or mean? It matters, because c has a unit. With D = 64 coordinates the two readings of one c differ by a factor $\sqrt{64} = 8$. This repository says it once, in `methods/slct.py`: c is that of one coordinate.
# With pseudo-Huber, no denoising term and noise as drawn, the loss is iCT's, to the bit:

# %% tags=["nbval-check-output"]
recipe = toy.ict()
model, data = recipe.build(), Ring().sample(64)[0]
bare = SLCT(recipe.method.pairs, PseudoHuber(), c=None, coupling=Independent(), denoising=0.0)
losses = []
for method in (ICT(recipe.method.pairs), bare):
    torch.manual_seed(0)
    losses.append(method.loss(model, data, 0))
print(f"the same 64 losses: {torch.equal(*losses)}")

# %% [markdown]
# ## Explore
#
# ### Latent outlier bench
#
# Left: the elements, with the inner (dashed) and outer (solid) fences. Right: the pull ψ of each loss on a sample whose residual has this length; the grey band holds 90 % of the residuals.
# The residuals are a model, not a run: a sample's residual is as long, in proportion, as the sample itself.
#
# Three things to try. Set the share to 0 and compare the three kinds of elements. Walk N from 10 to 640 and watch the Cauchy hump move: what happens to clean residuals when c is too small for them? Then lower the size of the residual at N = 640 until they are under the hump again.

# %%
latent_bench()

# %% [markdown]
# ### Pairing bench
#
# The ring, paired with noise as drawn and by optimal transport. Right of it, what each pairing makes of x + t z.
# Set t = 5: as drawn, nothing is left of the ring. With transport the points still lie *outward of their own mode*. Then walk the batch from 4 to 256.

# %%
transport_bench()

# %% [markdown]
# What does transport buy? Left, the cost that is left after pairing 128 normal points with 128 noises, by dimension. Middle, the variance of the data point that hides under an $x_t$ of the ring, which is the noise in the target.
# Right, networks trained on the ring with and without it, 2000 steps of 128: the RMS to f\* of the law with independent noise, and the sliced W₂ distance of one-step samples.

# %%
dims, g = (2, 8, 64, 512, 3072), torch.Generator().manual_seed(1)
ratios = np.array(
    [[cost_ratio(*torch.randn(2, 128, dim, generator=g)) for _ in range(3)] for dim in dims]
)
levels, spread = (0.1, 0.3, 1.0, 3.0, 10.0), {name: [] for name in COUPLINGS}
for name, coupling in COUPLINGS.items():
    draws = [paired_batches(Ring(), coupling, 128, 16, g) for _ in range(3)]
    spread[name] = np.array([[target_variance(x, x + t * z) for x, z in draws] for t in levels])

# %% tags=["hide-input"]
plane = recorded_variants("transport")
ways = {"independent": "as drawn", "ot": "optimal transport"}
names = {"rmse": "RMS to f*", "sw1": "sliced W₂"}
trained = {said: {ways[arm]: run.score(key) for arm, run in plane.items()} for key, said in names.items()}
transport_gains(dims, ratios, levels, spread, trained)

# %% tags=["hide-input"]
low = 1 - (spread["optimal transport"].mean(1) / spread["as drawn"].mean(1))
print(f"Transport takes {low.min():.0%} to {low.max():.0%} off the target's variance, by level; of the cost {1 - ratios[0].mean():.0%} in 2D and {1 - ratios[-1].mean():.1%} at D = {dims[-1]}.")
for said, found in trained.items():
    if len(found) == 2:
        order = compare_seeds(found["optimal transport"], found["as drawn"])
        print(f"{said}: as drawn {ranged(found['as drawn'])}, transport {ranged(found['optimal transport'])}: {order}.")

# %% [markdown]
# A lower variance of the target is not a lower error. The pairs have another law: with transport $x_t$ and z belong together, and the function that training finds is another one. Started from noise that was *not* paired, it is not what was trained.
# The RMS is also measured against the f\* of independent noise, which is not what transport aims at. The sliced distance of the samples has no such bias; but the samples start from noise as drawn, as a user's must, and at the highest level the training points of transport lie a little farther out than those.
#
# ## The key figure
#
# Digits in 4 × 4 × 4 latents. iCT and sLCT, from random weights, the same network but for its norm, the same steps. The score is the Fréchet distance of 2000 decoded one-call samples to the 360 held-out digits, lower is better; the dotted line is that of the training digits after a trip through the autoencoder.
# Squares, triangles and the like are seeds, bars the means. **Nothing was tuned for any of them**: learning rate and proposal are those of iCT on pixels, c(N) and the 5 are the authors'. One thing was changed after a look at one other seed: transport pairs within each class.

# %% tags=["hide-input"]
arms = recorded_variants("latents")
fd1 = {name: run.score("fd1") for name, run in arms.items()}
clean = {name: v for name, v in fd1.items() if "impulses" not in name}
spoilt = {name: v for name, v in fd1.items() if "impulses" in name}


def verdict(found, a, b):
    """What three seeds each say about a against b."""
    words = {"lower": f"{a} is ahead of {b}", "higher": f"{a} is behind {b}"}
    return words.get(o := compare_seeds(found[a], found[b]), o) if {a, b} <= set(found) else "not recorded yet"


# %%
floor = float(next(iter(arms.values())).score("fd_coded")[0]) if arms else 9.47
panels = {f"Clean: {verdict(fd1, 'slct', 'ict')}": clean}
bare = {name.removesuffix("-impulses"): v for name, v in spoilt.items()}
panels[f"Impulses: {verdict(bare, 'slct', 'huber')}"] = bare
variant_scores(panels, floor, "Fréchet distance fd1")

# %% tags=["hide-input"]
for a, b in (("slct", "ict"), ("slct-impulses", "huber-impulses"), ("cauchy-impulses", "huber-impulses")):
    if {a, b} <= set(fd1):
        print(f"{a} {ranged(fd1[a], '.0f')}, {b} {ranged(fd1[b], '.0f')}: {verdict(fd1, a, b)}.")

# %% [markdown]
# ### Deaf to the label
#
# Where the classes trade noises, the noise tells the class. Here a listener guesses the class from the noise alone: the class whose mean latent points most in its direction.

# %% tags=["hide-input"]
latents, labels = DIGITS.latents.flatten(1), DIGITS.labels
means = torch.stack([latents[labels == k].mean(0) for k in range(10)]) - latents.mean(0)
ways = {"as drawn": SLCT(coupling=Independent()), "across classes": SLCT(by_class=False), "within classes": SLCT()}
torch.manual_seed(0)
for name, method in ways.items():
    right = []
    for _ in range(40):
        batch, of = DIGITS.sample(64)
        z = method.paired(batch, torch.randn_like(batch), of)
        right.append(((z.flatten(1) @ means.T).argmax(1) == of).double().mean())
    print(f"noise paired {name:14}: the class is guessed from the noise in {torch.stack(right).mean():.0%} of 2560 cases")

# %% [markdown]
# Pairing within a class cures that, and leaves little to pair: a batch of 64 with ten classes has about six points for each transport problem.
#
# The arm `slct-across` lets optimal transport pair across classes; `slct` pairs within each class only. Everything else is one. `accuracy` is how often the digit classifier reads the class that was asked for.
# `slct-8c` is a try to mend sLCT: eight times the c, after a look at the residuals (two figures on) and at one other seed.
# `slct-first` differs from `slct` in the first of the seven stages alone. There the authors' script has $c = 0.00054\sqrt D$: 0.03456 for their latents of 4 × 32 × 32 numbers, which is what `slct` takes, and 0.00432 for ours.

# %% tags=["hide-input"]
table = ["| arm | fd1 | fd2 | the class that was asked for | memorised |", "|---" * 5 + "|"]
for name, run in arms.items():
    cells = [ranged(run.score(key), form) for key, form in (("fd1", ".0f"), ("fd2", ".0f"), ("accuracy", ".0%"), ("memorised", ".1%"))]
    table.append(f"| {name} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% tags=["hide-input"]
shown = torch.stack([held_out[Digits(train=False).labels == k][0] for k in range(10)])
sample_images(arms, shown, "One call each, the classes 0 to 9 asked for in turn") if arms else "not recorded yet"

# %% [markdown]
# ### What the loss sees, stage by stage
#
# Root mean square of $f_t - f_r$ for one coordinate, by stage, in the run `slct` (mean of the seeds; bars from 5 to 95 % of 2048 pairs), and the c(N) that the code gives to each stage. Where residuals lie far above c, Cauchy lets go; where they lie far below it, it is squared L2.

# %% tags=["hide-input"]
names = [f"{low:g} to {high:g}" for low, high in zip(BANDS, BANDS[1:], strict=False)]
run = arms.get("slct") or arms.get("cauchy") or arms.get("ict")
if run:
    stages = run["intervals"][0, 1:].astype(int)
    q = run["size"][:, 1:, :, :][..., [0, 2, 4]].mean(0)
    rule = [0.03456 if n == stages[0] else checks.c_of(n) for n in stages]  # the code's first stage has its own
    figure = residual_sizes(stages, {name: q[:, i] for i, name in enumerate(names)}, rule, "c(N) falls with the grid, and the residuals with it")
figure if run else "not recorded yet"

# %% tags=["hide-input"]
if run:
    middle = q[:, 2, 1]  # the median for t from 0.2 to 2
    falls = -np.polyfit(np.log(stages), np.log(middle), 1)[0]
    print(f"From N = {stages[0]} to {stages[-1]} the median residual for t from 0.2 to 2 falls like N^-{falls:.2f}; c(N) falls like N^-1.15.")
    print(f"It is {middle[0] / rule[0]:.1f} c at N = {stages[0]} and {middle[-1] / rule[-1]:.1f} c at N = {stages[-1]}; Cauchy pulls hardest at 1.4 c.")
    print("So the typical residual lies beyond the hump: Cauchy pulls the less, the larger it is." if (middle > 1.4 * np.array(rule)).all() else "So the typical residual is not beyond the hump at every stage.")

# %% tags=["hide-input"]
heads = "| run | " + " | ".join(f"N = {n}" for n in (10, 40, 160, 640)) + " |"
table = [heads, "|---" * 5 + "|"]
for name in ("ict", "huber-impulses", "slct", "slct-impulses"):
    if name in arms:
        rows_seen = [arms[name]["tails"][:, stage, 2] for stage in (1, 3, 5, 7)]
        cells = [f"{ranged(r[:, 1], '.1%')}; {ranged(r[:, 2], '.0f')}" for r in rows_seen]
        table.append(f"| {name} | " + " | ".join(cells) + " |")
Markdown("Elements of $(f_t - f_r)/(t - r)$ beyond the outer fence, and their kurtosis, for t from 0.2 to 2:\n\n" + "\n".join(table))

# %% [markdown]
# Normal numbers would have 0.0 % and 3. Even on clean latents the residuals have tails: they are differences of a function with steep places, not of the data. Lab 08 found the same on the ring.
#
# ## Exercises
#
# ### A · guided: the Cauchy loss with c(N)
#
# `a` and `b` are answers of shape (b, …), `N` the number of intervals. Return $\ln(1 + m/2c^2)$, one number for each sample: m is the mean of the squared differences of the whole sample, and $c = e^{-1.15 \ln N - 0.85}$.
# Mind the digits: in float32, $1 + 10^{-8}$ is 1.


# %% tags=["exercise"]
def tight_cauchy(a, b, N):
    """(b,): ln(1 + m / 2c²) with the c of a grid with N intervals."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.tight_cauchy(tight_cauchy)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `flatten(1)` makes a row of each sample. `torch.log1p(u)` is ln(1 + u) without the loss of digits.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def tight_cauchy(a, b, N):
#     m = (a - b).flatten(1).square().mean(1)
#     c = N**-1.15 * torch.e**-0.85
#     return torch.log1p(m / (2 * c**2))
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: a mean that may be over nothing
#
# sLCT adds $\mathrm{mean}_{t \le \text{small}}\,(1/t^2 + 1/\sigma_d^2)\, \mathrm{mean}(f_t - x)^2$. With a small batch, some day no t is small. Write the term so that it is one number, the mean over the chosen samples, and 0 when there are none.


# %% tags=["exercise"]
def denoising(f_t, x, t, small, sigma_data):
    """One number: the mean over the samples with t (b,) at most `small`; 0 if there are none."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.denoising(denoising)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# What is the sum over no samples, and what is their number? Only one of the two makes trouble, and `clamp_min` takes care of it.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def denoising(f_t, x, t, small, sigma_data):
#     each = (1 / t**2 + 1 / sigma_data**2) * (f_t - x).flatten(1).square().mean(1)
#     chosen = t <= small
#     return each[chosen].sum() / chosen.sum().clamp_min(1)
# ```
#
# At batch 64 an empty choice is rare. It takes one, once, to make every weight of a network NaN.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds with the lowest and the highest; *shows* needs ranges that do not overlap.

# %% tags=["hide-input"]
SHOWS = {"lower": "shows", "higher": "does not show at this size: it is the reverse", "not told apart": "does not show at this size: not told apart"}


def line(claim, found, a, b):
    """A row of the table: the claim that a's score is lower than b's."""
    if not {a, b} <= set(found):
        return f"| {claim} | not recorded yet | not recorded yet |"
    order = compare_seeds(found[a], found[b])
    return f"| {claim} | {a} {ranged(found[a], '.3g')}, {b} {ranged(found[b], '.3g')} | {SHOWS.get(order, order)} |"


# %% tags=["hide-input"]
k = {name: found.kurtosis for name, found in rows.items()}
kinds = ", ".join(f"{n} {k[f'{n}, latents']:.1f} against {k[f'{n}, pixels']:.1f}" for n in ("digits", "shapes", "cifar10"))
real = "shows" if len(heavier) == 3 else f"shows in part: on {', '.join(heavier)}" if heavier else "does not show at this size"
deaf = {n: -run.score("accuracy") for n, run in arms.items()}
sw = {arm: run.score("sw1") for arm, run in plane.items()}
table = ["| claim | here | verdict |", "|---|---|---|", f"| Latents have heavier tails than pixels (paper, box plots) | kurtosis: {kinds} | {real} |"]
table += [line("sLCT is better than iCT on latents (paper)", fd1, "slct", "ict")]
table += [line("… and with injected impulses", fd1, "slct-impulses", "huber-impulses")]
table += [line("Eight times the c is better than c(N) as it is (ours)", fd1, "slct-8c", "slct")]
table += [line("The first c of the authors' script for this size is better than the one for theirs (ours)", fd1, "slct-first", "slct")]
table += [line("With impulses, the Cauchy loss alone is better than pseudo-Huber", fd1, "cauchy-impulses", "huber-impulses")]
table += [line("… and pseudo-Huber better than squared L2", fd1, "huber-impulses", "l2-impulses")]
table += [line("Optimal transport lowers the error: digits", fd1, "slct", "slct-independent"), line("… the ring, sliced W₂", sw, "ot", "independent")]
table += [line("Pairing across classes costs obedience (ours; minus accuracy)", deaf, "slct", "slct-across")]
Markdown("\n".join(table))

# %% [markdown]
# The paper's own numbers are of another size: on 256 × 256 faces it reports an FID of 7.27 in one call where iCT on latents has 37.15, as reported. Nothing here speaks for or against that.
# What a verdict here is worth: one network, one length, nothing tuned but that c, autoencoders of at most 350 000 weights, and small pictures.
#
# ## Budget

# %% tags=["hide-input"]
steps = {name: run.record["samples"] for name, run in arms.items()}
seconds = sum(sum(run.record["seconds"]) for run in (*arms.values(), *plane.values()))
coded = {n: read_json(CHECKPOINTS / f"{n}-autoencoder.json") for n in ("digits", "shapes", "cifar10")}
print(f"Recorded: {len(arms)} arms on digits, three seeds each, {max(steps.values(), default=0):,} samples a run; {len(plane)} arms on the ring. {seconds / 60:.0f} minutes in all, on a machine that had other work.")
print("Autoencoders: " + "; ".join(f"{n} {r['samples']:,} pictures, {r['cpu_seconds']} CPU seconds" for n, r in coded.items()) + ". Their pictures are seen again by the generators.")
print("A sample costs one call and one decoding; its score is 2000 of them.")
