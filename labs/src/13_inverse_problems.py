# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 13 · Inverse problems
#
# **Can one step serve as a posterior sample?**
#
# | | |
# |---|---|
# | Papers | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Algorithm 4 and Appendix D, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); Xu et al. 2024, on consistency models as posterior samples in diffusion inverse solvers, [arXiv:2403.12063](https://arxiv.org/abs/2403.12063) |
# | Level | 2 of 3 |
# | Part | Beyond |
# | Time | 75 minutes; 55 without the parts marked *optional* |
# | Run All | 14 s on 2 CPU cores |
# | You need | the posterior mean D and the consistency function f (lab 02), multistep sampling (lab 00), a gradient by autograd |
#
# After this lab you can
#
# 1. **edit** images with a consistency model that was never trained for editing: keep exactly what is given, and let f generate the rest;
# 2. **decide** to which point an operator A(·) should be applied, a mean or a sample, and **measure** the error of each;
# 3. **derive** guided sampling from Bayes' rule, and **judge** a claim about it by a comparison in which everything is known.
#
# In **an inverse problem** somebody has measured $y = A(x)$, and you want to find x. The operator A may hide pixels, blur them, lose their signs, or be a neural network. Many x fit the same y; how probable each of them is, is given by the posterior distribution $p(x \mid y)$.
# No network is trained here. In the plane everything is exact; the digits come from the generator that is part of this repository.
#
# The lab has three parts. The first asks to which point h the operator A should be applied. The second treats guidance, which pulls a sampler towards y by the gradient of A(h), and editing, which needs no gradient. The third compares the two points as guides.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.generators import GENERATOR
from cmlab_labs.common.plots_posterior import (
    PathEnd,
    conditional_line,
    jacobian_norms,
    posterior,
    posterior_planes,
)
from cmlab_labs.common.plots_posterior import statistics_by_level as curves
from cmlab_labs.common.plots_recordings import compare_seeds
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab13_inverse import checks, explorer
from cmlab_labs.lab13_inverse.analysis import (
    gradient_quantiles,
    measurement_errors,
    statistics_by_level,
)
from cmlab_labs.lab13_inverse.figures import (
    editing_error,
    success_by_calls,
    success_by_zeta,
    task_sheet,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.methods.editing import (
    Edit,
    LuminanceBasis,
    edit,
    inpainting,
    interpolated,
    stroke,
)
from cmlab.methods.posterior_sampling import (
    Absolute,
    Blur,
    Classifier,
    DownSample,
    Mask,
    Measurement,
    Radius,
    Square,
    pull,
    restore,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Gaussian, Mixture, Mixture1D
from cmlab.process import VarianceExploding
from cmlab.train import runs

start_lab(threads=1)  # small tensors: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# The data lie on two circles with radii 0.5 and 1, with eight modes on each (grey). You see a noisy point $x_t = x + \sigma z$, with noise z of level σ, and want to know some property A of the data point x under the noise: its radius, one of its coordinates, its class.
# Black dots are exact samples from the posterior $p(x \mid x_t)$; they show what x may be. Either of two single points may stand in for all of them: the **posterior mean** $D(x_t, \sigma)$, and the **path's end** $f(x_t, \sigma)$, where the probability-flow path through $x_t$ ends. On the right, A is applied to all of them; the dotted line is $\mathrm E[A(x) \mid x_t]$, the average over the posterior.
#
# Three things to try. Choose a linear A (mask, down-sample, blur; here of the two coordinates): which marker lies on the dotted line? Then choose *radius* at σ = 2: where does the mean lie? Finally, set σ = 0.6 and change the seed until the path's end lies in a mode that hardly any posterior sample reaches.

# %%
explorer.explorer()

# %% [markdown]
# ## Predict
#
# Now take many noisy points $x_t$ at σ = 1, instead of one. For each of them you may apply A(x) = ‖x‖ to one point: the posterior mean, or the path's end.

# %%
predict("13.1")

# %% [markdown]
# ## The exact object
#
# ### What could lie under the noise
#
# For a mixture of round Gaussians with weights $w_k$, means $\mu_k$ and standard deviations $s_k$, the posterior of $x_t = x + \sigma z$ is again a mixture. Its components are narrower, and they have new weights and means:
#
# $$p(x \mid x_t) = \sum_k w_k(x_t)\, \mathcal N(x;\, m_k, v_k), \qquad w_k(x_t) \propto w_k\, \mathcal N(x_t;\, \mu_k,\, s_k^2 + \sigma^2),$$
#
# $$v_k = \frac{s_k^2 \sigma^2}{s_k^2 + \sigma^2}, \qquad m_k = \frac{s_k^2 x_t + \sigma^2 \mu_k}{s_k^2 + \sigma^2} .$$
#
# So three candidates for A(·) can be computed exactly and compared: the posterior mean D, the path's end f, and a true sample from the posterior. We begin on the line, with two modes at ±1, each with standard deviation 0.1, and $x_t = 0.3$.

# %% tags=["hide-input", "nbval-check-output"]
pair = Mixture1D(*(torch.tensor(v).double() for v in ([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])))
x_t, zero, g = torch.tensor([[0.3]]).double(), torch.zeros(1).double(), torch.Generator().manual_seed(0)
print("  σ   point             x      ln p(x)    x²      E[x² | x_t]")
for level in (2.0, 1.0):
    t = torch.tensor([level]).double()
    under = posterior(pair, x_t, t)
    right = float((under.weights * (under.means[..., 0] ** 2 + under.stds**2)).sum())
    for name, x in (("posterior mean", pair.denoise(x_t, t)), ("path's end", pair.consistency(x_t, t))):
        density = float(pair.log_density(x, zero))
        print(f"{level:4.0f}   {name:14} {float(x):7.4f} {density:9.2f} {float(x) ** 2:9.4f} {right:10.4f}")

# %% [markdown]
# The mean lies between the modes, where there are practically no data, and its square is far too small. The path's end lies on a mode.
# For a **linear** A the mean has no such fault, because the mean of A x is A applied to the mean. There it is the path's end that is wrong, by 0.80 at σ = 2: it gives 0.87 where the average is 0.08, because it lies on one of the modes.
#
# ### Radius, density, and A(h)
#
# We return to the two circles, with 1000 noisy points at each level. Let h be the point to which A is applied. The black curves are the reference: exact posterior samples.

# %% tags=["hide-input"]
rings = explorer.ORACLE
levels = torch.logspace(-1.3, 1, 13).double()
rows = statistics_by_level(rings, levels, Absolute())
titles = ("The mean is drawn inwards", "The mean leaves the data", "So A(mean) is too small")
axis = (r"mean radius $\|x\|$ (data units)", "median $\\ln p(x)$ (nats)", "mean of $|x_1|$ (data units)")
curves(levels, {t: (a, {n: r[:, k] for n, r in rows.items()}) for k, (t, a) in enumerate(zip(titles, axis, strict=True))})

# %% tags=["hide-input", "nbval-check-output"]
own = float(rings.sample(20_000, g).norm(dim=1).mean())
print(f"mean radius at σ =     2      1    0.5   0.25     (the data's: {own:.2f})")
table = statistics_by_level(rings, torch.tensor([2.0, 1.0, 0.5, 0.25]).double(), Radius(), 4000)
for name, row in table.items():
    print(f"{name:17}" + "".join(f"{v:7.2f}" for v in row[:, 0]))

# %% [markdown]
# On average the path's end has the right radius. Is that enough? Guidance will use A(h) for **one** $x_t$ at a time. Our reference is the average over the posterior, $\mathrm E[A(x) \mid x_t]$, which is the best value in the sense of least squares. (The likelihood $p(y \mid x_t)$, which guidance needs, depends on the whole posterior and not on this average alone.)
# In the next table, *bias* is the mean of $A(h) - \mathrm E[A(x) \mid x_t]$ over all $x_t$ (for the first component of A), and *RMS* is the root mean square of this difference.

# %% tags=["hide-input"]
known = {"one coordinate": Mask(torch.tensor([1.0, 0.0])), "|x|": Absolute(), "x²": Square(), "radius": Radius()}
lines = ["| A, at σ = 1 | " + " | ".join(f"{name}: bias, RMS" for name in table) + " |", "|---" * (len(table) + 1) + "|"]
for name, found in measurement_errors(rings, torch.tensor(1.0).double(), known).items():
    cells = [f"{bias + 0.0:+.2f}, {rms:.2f}" for bias, rms in found.values()]
    lines.append(f"| {name.replace('|', chr(92) + '|')}{', each coordinate' * (name in ('|x|', 'x²'))} | " + " | ".join(cells) + " |")
Markdown("\n".join(lines))

# %% [markdown]
# Three observations:
#
# - **A linear A should be applied to the mean.** Its error there is zero, up to the Monte Carlo noise of the reference.
# - **For the other operators the mean is biased, and the path's end is practically unbiased.** This is the paper's observation, and it is confirmed here. (For A(x) = x² the bias of the mean is exactly $-\mathrm{Var}[x \mid x_t]$, averaged over $x_t$, because $\mathrm{Var}[x \mid x_t] = \mathrm E[x^2 \mid x_t] - D^2$.)
# - **For one given $x_t$, however, the error of the path's end is 0.6 to 0.9 times that of one true sample.** For x² and |x| this is no less than the error of the biased mean. The path's end is a *function* of $x_t$: it gives one answer where the posterior has many. Over all $x_t$ its values are distributed like data, but that does not make it a draw from $p(x \mid x_t)$.
#
# ## The method, from its source
#
# ### From Bayes' rule to guided sampling
#
# From here on t is the noise level σ, as in EDM. A diffusion sampler follows the score of the noisy data, which the denoiser gives: $\nabla \ln p(x_t) = (D(x_t, t) - x_t)/t^2$. To sample from the posterior given a measurement y, it has to follow the score of $p(x_t \mid y)$ instead. **Bayes' rule** says $p(x_t \mid y) \propto p(x_t)\, p(y \mid x_t)$, so the score splits into two terms:
#
# $$\nabla_{x_t} \ln p(x_t \mid y) = \underbrace{\nabla_{x_t} \ln p(x_t)}_{\text{the denoiser knows this}} + \underbrace{\nabla_{x_t} \ln p(y \mid x_t)}_{\text{guidance}} .$$
#
# The guidance term asks how well the *noisy* point explains a measurement that was made of the *clean* one. The answer is an average over everything that may lie under the noise,
#
# $$p(y \mid x_t) = \int p(y \mid x)\, p(x \mid x_t)\, \mathrm d x ,$$
#
# and without the posterior $p(x \mid x_t)$ it cannot be computed. The **point-estimate approximation** replaces that posterior by a single point h:
#
# $$p(y \mid x_t) \approx p(y \mid x = h), \qquad h = D(x_t, t) \ \text{ or } \ f(x_t, t) .$$
#
# If the measurement has Gaussian noise with standard deviation $\sigma_y$, then up to a constant
#
# $$\ln p(y \mid h) = -\frac{1}{2 \sigma_y^2} \lVert y - A(h) \rVert_2^2,$$
#
# $$\nabla_{x_t} \ln p(y \mid h) = -\frac{\lVert y - A(h) \rVert_2}{\sigma_y^2}\; \nabla_{x_t} \lVert y - A(h) \rVert_2 .$$
#
# Diffusion posterior sampling (DPS, Chung et al. 2023, [arXiv:2209.14687](https://arxiv.org/abs/2209.14687)) takes h = D, keeps the direction of this gradient and replaces its prefactor by a tuned constant; at EDM's noise levels, as in the code of Xu et al., it is ζ t. The pull towards y then does not fade as the mismatch becomes small. Each step from a level t down to r is an ordinary sampling step, followed by a push:
#
# $$x_r = \underbrace{D + \tfrac{r^2}{t^2}(x_t - D) + r\sqrt{1 - \tfrac{r^2}{t^2}}\; z}_{\text{ancestral Euler step}} \;-\; \zeta\, t\, \nabla_{x_t} \bigl\lVert y - A(h) \bigr\rVert_2 .$$
#
# The sampling step is not the Euler step of lab 01, which keeps the direction of the old noise, $D + \tfrac rt (x_t - D)$. An **ancestral** step goes further down than r and comes back up with fresh noise. Under the estimate D the old noise has level t. Its share $r^2/t^2$ leaves noise of level $r^2/t$, and the fresh noise makes up the rest:
#
# $$\frac{r^4}{t^2} + r^2 \Bigl(1 - \frac{r^2}{t^2}\Bigr) = r^2 .$$
#
# So $x_r$ has noise of level r, as a point at that level should. DPS is built on such steps. One reason for using them is that after a push, what $x_r$ contains besides data is no longer noise of exactly its level, and the fresh noise of every step covers part of this error. (How much this matters was not measured here.)
#
# Xu et al. change one thing: **h is f instead of D**. Note that the norm is *not* squared, and that the gradient is taken with respect to $x_t$, so it passes through A and through the estimate.

# %%
show_source(pull)

# %%
show_source(restore)

# %% [markdown]
# We check the whole sampler where the answer is known. The data have a round Gaussian distribution with mean (0.2, −0.1) and standard deviation 0.5, and $x_1 = 0.9$ is measured without noise. The exact posterior then has $x_1 = 0.9$, and $x_2$ as before, −0.10 ± 0.50.
# With ζ = 0 the sampler is the unguided one, and must give the distribution of the data.

# %% tags=["nbval-check-output"]
bell, keep = Gaussian(torch.tensor([0.2, -0.1]).double(), 0.5), Mask(torch.tensor([1.0, 0.0]))
y = keep(torch.tensor([[0.9, 0.0]]).double()).expand(1000, 2)
ends = {"mean": bell.denoise, "path's end": PathEnd(bell, 8)}
for name, h in ends.items():
    for zeta in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        *_, x = restore(
            bell.denoise,
            h,
            Measurement(keep, y),
            10 * torch.randn(1000, 2).double(),
            KarrasGrid(0.02, 10.0).down(100),
            zeta,
        )
        (a, b), (c, d) = x.mean(0).tolist(), x.std(0).tolist()
        print(f"{name:10} ζ = {zeta:<4} x1 {a:5.2f} ± {c:.2f}   x2 {b:5.2f} ± {d:.2f}")

# %% [markdown]
# With a strong pull both estimates give the right answer, and the coordinate that was not measured is left alone (its spread comes out a little narrow, without guidance too, because there are only a hundred steps; the mean of $x_1$ for ζ = 0 is 0.24 and not 0.2 chiefly because of these thousand noises: with four other seeds it lies between 0.20 and 0.22). With a weaker pull the result is a compromise that is not a posterior at all: the value of ζ expresses how much you trust y, and not how noisy y is.

# %% [markdown]
# ### Where each estimate fails: digits under noise
#
# We now make the same comparison with the network. A held-out scan is hidden under noise. D is the exact mean over the training scans of that digit, a posterior sample is one of those scans, and f is the network's output. The operator *classifier* returns 32 features of a small neural network.
# Raise σ: which of the three still has the contrast of a digit? (The mismatches belong to one draw; change the seed before you rank them.)

# %% tags=["hide-input"]
model = runs.load(GENERATOR)[0].requires_grad_(False)

# %%
explorer.digit_explorer(model)

# %% [markdown]
# ### Editing: no gradient at all
#
# If the measurement is a *part* of x in some basis, no pull is needed. Song et al. simply put the given part back after each call. Let B be the invertible change of basis (their A), and let Ω be 1 where something is missing and 0 where it is given. Then
#
# $$x \leftarrow B^{-1}\bigl[(B y) \odot (1 - \Omega) + (B\, f(x_t, t)) \odot \Omega\bigr], \qquad x_r = x + r z .$$
#
# In the paper the noise has the scale $\sqrt{r^2 - \sigma_{\min}^2}$, and the authors' code clamps every output of f to [−1, 1]; here nothing is clamped.

# %%
show_source(edit)

# %% [markdown]
# With pixels as the basis, this is inpainting. For super-resolution, B transforms each block of pixels by an orthogonal matrix whose first column is constant, so that the mean of the block is, up to a factor, one of the coordinates.
#
# The figure shows held-out scans that were edited by the digit generator, which is given the class. The last row starts from a blurred stroke instead: nothing is kept, noise of level 1.5 hides the blur, and the model continues from there.

# %% tags=["hide-input"]
held, asked = Digits(train=False), torch.tensor([2, 3, 5, 7])
f = lambda x_t, t: model(x_t, t, asked.repeat_interleave(len(x_t) // 4))
truth = torch.cat([explorer.held_out_digit(d, 4) for d in asked.tolist()])
grid = {n: KarrasGrid(0.1, 80.0).up(max(n, 2)).flip(0)[:n] for n in (1, 4, 16)}
sheets, kept = {}, {}
for name, task in explorer.EDITS.items():
    given = task.project(torch.zeros_like(truth), truth)
    torch.manual_seed(0)
    made = {n: list(edit(VarianceExploding(), f, task, truth, grid[n])) for n in grid}
    kept[name] = max(float((task.project(torch.zeros_like(x), x) - given).abs().max()) for way in made.values() for x in way)
    sheets[name] = torch.stack([truth, given, *(way[-1] for way in made.values())], 1)[1:3].flatten(0, 1)

# %% tags=["hide-input"]
rough, low = Blur(1.2)(truth), KarrasGrid(0.1, 1.5)
painted = [list(stroke(VarianceExploding(), f, rough, low.up(max(n, 2)).flip(0)[:n]))[-1] for n in grid]
sheets["blurred stroke"] = torch.stack([truth, rough, *painted], 1)[1:3].flatten(0, 1)
columns = ["truth", "given", *(f"{n} call{'s' * (n > 1)}" for n in grid)] * 2
task_sheet(sheets, columns, "What is given stays; with more calls the rest fits it (last row: nothing is kept)")

# %% tags=["hide-input"]
for name, off in kept.items():
    print(f"{name:21} the given part is off by at most {off:.0e}, after every call")

# %% [markdown]
# A single call cannot make use of what is given, because noise of level 80 hides it, and the two halves do not fit together. In each further call the given part is under less noise, and the rest adapts to it.
# Is a better fit also a better answer? For 180 held-out scans and three noise seeds, the next table gives the distance of the missing pixels from the truth, and shows how much these pixels vary from one noise to another.

# %% tags=["hide-input"]
x, labels = held.images[:180], held.labels[:180]
lower, rows = explorer.EDITS["lower half missing"], {}
hidden, F = lower.missing.bool().expand_as(x), lambda x_t, t: model(x_t, t, labels)
for n in (1, 2, 4, 8, 16):
    grid_n, out = KarrasGrid(0.1, 80.0).up(max(n, 2)).flip(0)[:n], []
    for seed in range(3):
        torch.manual_seed(seed)
        out.append(list(edit(VarianceExploding(), F, lower, x, grid_n))[-1][hidden])
    off = [float((made - x[hidden]).square().mean().sqrt()) for made in out]
    rows[n] = off, float(torch.stack(out).std(0).square().mean().sqrt())
    print(f"{n:2d} call{'s' * (n > 1):1}: RMS distance to the truth {ranged(off)}, spread between noises {rows[n][1]:.3f}")

# %% [markdown]
# In the next interactive figure you choose the given part of a scan and the number of calls, from 1 to 16, and see six results. Try *lower half missing* with 1 call and with 8. Then try *means of 4 × 4 blocks*, which keeps only four numbers: what is left of the digit, and how much do the six results differ from one another?

# %%
explorer.editing_explorer(model)

# %% [markdown]
# *Optional.* Interpolation and denoising need no measurement at all. Interpolation makes a digit from each noise on the great circle between two noises; denoising is one call at the level of the noise.

# %% tags=["hide-input"]
z1, z2 = (torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 5))
shares = [k / 9 for k in range(10)]
between = {}
for digit in (3, 8):
    of = lambda x_t, t, digit=digit: model(x_t, t, torch.full((len(x_t),), digit))
    between[f"between two noises, class {digit}"] = interpolated(
        VarianceExploding(), of, z1, z2, shares, torch.full((10,), 80.0)
    )
scans, t = held.images[:10], torch.full((10,), 0.6)
spoilt = scans + 0.6 * torch.randn(scans.shape, generator=torch.Generator().manual_seed(1))
between |= {"with noise of level 0.6": spoilt, "one call": model(spoilt, t, held.labels[:10]), "truth": scans}
task_sheet(
    between,
    [f"{k}/9" for k in range(10)],
    "Between two noises a digit changes smoothly; one call removes noise of level 0.6",
)

# %% [markdown]
# ### Optional: kept exactly, but is it the posterior?
#
# Take two Gaussians on the diagonal, at (−1, −1) and (1, 1), with standard deviation 0.5. Given $x_1 = 0.3$, the exact distribution of $x_2$ is known. We edit with the exact f, on a grid from 10 to 0.05, and compare. $W_1$ is the mean distance between the two sorted sets of numbers; there are three noise seeds and 600 points each.

# %% tags=["hide-input"]
diagonal = Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.tensor([0.5, 0.5]))
path_end, below, START = PathEnd(diagonal, 8), conditional_line(diagonal, 0, 0.3), torch.tensor([[0.3, 0.0]]).double().expand(600, 2)
calls, clouds = (1, 2, 4, 8, 16, 40, 100, 200), {}
task, ordered = inpainting(torch.tensor([0.0, 1.0])), lambda v: v.sort().values
w1 = lambda a, b: float((ordered(a) - ordered(b)).abs().mean())
exact = [below.sample(600, torch.Generator().manual_seed(s))[:, 0].double() for s in range(6)]
away = np.zeros((3, len(calls)))
with torch.no_grad():
    for seed in range(3):
        for k, n in enumerate(calls):
            torch.manual_seed(seed)
            *_, x = edit(VarianceExploding(), path_end, task, START, KarrasGrid(0.05, 10.0).up(max(n, 2)).flip(0)[:n])
            away[seed, k], clouds[n] = w1(x[:, 1], exact[seed]), x[:, 1].numpy()

# %% tags=["hide-input"]
floor = float(np.mean([w1(exact[s], exact[s + 3]) for s in range(3)]))
prior = w1(diagonal.sample(600, g)[:, 1].double(), exact[0])
shown = {"exact posterior": torch.cat(exact).numpy(), "edited, 200 calls": clouds[200], "edited, 8 calls": clouds[8]}
editing_error(calls, away, floor, prior, shown)

# %% tags=["hide-input"]
for n, row in zip(calls, away.T, strict=True):
    print(f"{n:3d} calls: W₁ {ranged(row)}, {row.mean() / floor:4.1f} times that of exact samples")

# %% [markdown]
# With few calls many points end on the wrong mode: the first call decides which mode it is, and under so much noise the given number has hardly any influence on it. The authors' examples use all levels of a grid, 18 or 40, so the row with 40 calls is the one to compare with.
# More calls do come nearer. A plausible reason, which is not a proof, is that at low levels each pass through the loop is a short random step towards higher density with one coordinate held fixed, and after many such steps the point no longer depends on where it began.
#
# ## The key figure
#
# The key figure shows one noisy point at three noise levels, with the exact posterior and the two estimates.

# %% tags=["hide-input"]
panels = []
for level, title in ((2.0, "σ = 2: the mean is far from data"), (0.6, "σ = 0.6: the mean is between modes"), (0.2, "σ = 0.2: both lie on the data")):
    _, x_t, drawn, points = explorer.scene(level, 11)
    panels.append((title, drawn, x_t, points))
posterior_planes(rings.components.means, panels)

# %% tags=["hide-input"]
lines = ["| σ | radius of the mean | ln p(mean) | radius of the path's end | ln p(path's end) | mean radius of the samples |", "|---" * 6 + "|"]
for (_, drawn, _, points), level in zip(panels, (2.0, 0.6, 0.2), strict=True):
    cells = [f"{float(v.norm()):.2f} | {float(rings.log_density(v[None], zero)):.1f}" for v in points.values()]
    lines.append(f"| {level} | " + " | ".join(cells) + f" | {float(drawn.norm(dim=1).mean()):.2f} |")
Markdown("\n".join(lines))

# %% [markdown]
# ### The race
#
# So far we have only looked at the two points. Now we guide the sampler with each of the two, through A(D) or through A(f), and count how often it ends at a point that fits the measurement. We call this comparison the race. The strength ζ is tuned for each of the two separately.

# %%
predict("13.2")

# %% [markdown]
# In the race, 512 data points of the two circles are measured without noise. Guided sampling starts from noise of level 10, with the exact D in the sampler and one of the two estimates in A(·). A **success** is a result that lies on a mode (within three standard deviations) *and* fits the measurement (to 0.1, or in the class).
# The task *class* uses a classifier of even and odd modes, and y is the class alone. Each combination of estimate, task and budget has its own best ζ out of twelve, found on the seeds 10 and 11; the results are for the seeds 0, 1 and 2. The path's end costs two calls per step, because the sampler needs D as well. The dotted line is the success rate of exact posterior samples.

# %% tags=["hide-input"]
races = {arm: read("race-rings", arm) for arm in ("mean", "cm")}
tasks, steps = races["mean"].record["tasks"], races["mean"]["steps"].tolist()
WORDS = {"higher": "the mean is ahead", "lower": "the path's end is ahead"}
order = [[compare_seeds(*(races[arm]["success"][:, k, i] for arm in ("mean", "cm"))) for i in range(len(steps))] for k in range(len(tasks))]
success_by_calls(races, {task: f"{WORDS.get(order[k][-1], order[k][-1])}\nat {steps[-1]} steps each" for k, task in enumerate(tasks)})

# %% tags=["hide-input"]
BAR, ARROWS = r"\|", {"higher": " ◄", "lower": " ►"}
rows = ["| task | " + " | ".join(f"{n} steps" for n in steps) + " |", "|---" * (len(steps) + 1) + "|"]
for k, task in enumerate(tasks):
    both = zip(*(races[arm]["success"][:, k].mean(0) for arm in ("mean", "cm")), order[k], strict=True)
    cells = [f"{a:.2f} / {b:.2f}{ARROWS.get(word, '')}" for a, b, word in both]
    rows.append(f"| {task.replace('|', BAR)}: mean / path's end | " + " | ".join(cells) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# The table gives means over three seeds at **equal numbers of steps**, so the path's end has had twice as many calls. The mark ◄ says that the mean is higher on every seed, and ► that the path's end is. Does the estimate with the better value of A(h) win? For one coordinate that is the mean, and it does win, except with 4 steps. For |x| and the radius the path's end has the smaller bias, for the radius the smaller RMS as well, and yet it is ahead in only 1 of 12 cases. For the class it is ahead in none of 6.
#
# How can a point with the better value, such as the path's end for the radius, be the worse guide? Guidance follows the *gradient* of A(h); the value of A(h) only says where to stop. The next figure shows how strongly a unit pull u at h is felt at $x_t$: the length of $J^\top u$, where J is the derivative of h with respect to $x_t$. Thick lines are medians over $x_t$; one $x_t$ in a hundred exceeds the dotted lines.

# %% tags=["hide-input"]
quantiles = {"posterior mean": gradient_quantiles(rings, rings.denoise, levels), "path's end": gradient_quantiles(rings, PathEnd(rings, 16), levels)}
jacobian_norms(levels, quantiles)

# %% tags=["hide-input"]
k = int((levels - 1).abs().argmin())
for name, row in quantiles.items():
    print(f"σ = {levels[k]:.2f}, {name}: median {row[k, 0]:.2f}; one point in a hundred has more than {row[k, 1]:.2f}, {row[k, 1] / row[k, 0]:.1f} times as much")

# %% [markdown]
# At high noise the mean passes the pull on equally to every $x_t$, because its gradient is an average over everything that $x_t$ could become. The path's end does not: it stays in its mode until $x_t$ crosses the boundary beyond which the paths lead to another mode. There it jumps, and the gradient is large but says little about the direction in which to move. (Within a mode it moves a little with $x_t$; at very high noise even this little is more than the mean moves.)
# This explanation fits the figures, but it is not a proof. In many dimensions, and with operators that fail away from the data, the outcome may be different; that case is not measured here.
#
# Two limits of the score. Even for *one coordinate*, where A(D) is exactly the mean of A(x), the mean stays below the dotted line: with 128 steps 97 % of its ends fit the measurement, but only 91 % lie on a mode. The likelihood needs the whole distribution of A(x) given $x_t$, and a point has no spread; whether this is the whole reason was not tested. And success is not posterior sampling: for the other tasks the mean reaches or passes the rate of exact samples, so strong guidance is overconfident; whether it finds the modes in the right shares was not measured.
#
# The result depends strongly on ζ:

# %%
success_by_zeta(races, "radius", 32)

# %% [markdown]
# ### Optional: the same on digits
#
# This race uses 60 held-out scans per seed and 20 steps. The sampler uses D of the training scans; A(·) is applied to this D or to the network's f. The score is the distance ‖x − truth‖ to the scan that was measured. The strength ζ is the one that gave the best score on the seeds 10 and 11.

# %% tags=["hide-input"]
digits = {arm: read("race-digits", arm) for arm in ("mean", "cm")}
names = digits["mean"].record["tasks"]
rows = ["| operator | ‖x − truth‖, mean | ‖x − truth‖, network f | nearer to the truth | mismatch, mean | mismatch, network f | best ζ |", "|---" * 7 + "|"]
nearer_truth, NEARER = {}, {"lower": "mean", "higher": "network f"}
for k, task in enumerate(names):
    error, far = ([digits[arm][s][:, k, 0] for arm in ("mean", "cm")] for s in ("error", "mismatch"))
    said = nearer_truth[task] = NEARER.get(compare_seeds(*error), "indistinguishable")
    zetas = " and ".join(f"{digits[arm]['zeta'][k, 0]:g}" for arm in ("mean", "cm"))
    rows.append(f"| {task.replace('|', BAR)} | {ranged(error[0], '.2f')} | {ranged(error[1], '.2f')} | {said} | {ranged(far[0], '.2f')} | {ranged(far[1], '.2f')} | {zetas} |")
folded("The five operators in numbers (*features*: the classifier)", "\n".join(rows))

# %% [markdown]
# With the best ζ for each, the network is nearer to the truth for the mask, and for the other four operators the two are indistinguishable. But here the two differ in more than the estimate. This D is computed from the training scans alone, and the last step of the sampler ends on one of them. The network can also end between the scans, and a strong pull makes use of this freedom.
#
# ## When it goes wrong
#
# The folded cell makes five mistakes: a mask of the wrong shape, a grey value in a mask, a y of another operator, a classifier that returns one number for the whole batch, and a negative ζ. For each of them the package prints one sentence.

# %% tags=["hide-input", "nbval-check-output"]
x, two = truth[:2], lambda x_t, t: model(x_t, t, asked[:2])
go = lambda A, y, zeta=1.0: list(restore(two, two, Measurement(A, y), x, KarrasGrid(0.1, 1.0).down(2), zeta))
mistakes = (
    lambda: Mask(torch.ones(8, 8))(x),
    lambda: Edit(LuminanceBasis(), torch.tensor([0.0, 0.5, 1.0])),
    lambda: go(DownSample(2), x),
    lambda: go(Classifier(lambda v: v.mean()[None]), x),
    lambda: go(Mask(torch.ones(1, 8, 8)), x, -1.0),
)
for mistake in mistakes:
    try:
        mistake()
    except ValueError as error:
        print("ValueError:", error)

# %% [markdown]
# ## Exercises
#
# ### A · guided: one pass of editing
#
# Write one pass through the loop. `f(x_t, t)` is the model; `t` and `r`, both (b,), are the levels of this call and of the next; `y` (b, d) contains the given part; `missing` (d,) is Ω in the basis; `B` and `back` go into the basis and back; and `z` is fresh noise.
# Return the input of the next call. Before you run the check: after which of these five operations may the noise be added?

# %% tags=["exercise"]
def edit_step(f, x_t, t, r, y, missing, B, back, z):
    """x_r: one call, what is given put back, and noise of level r. All samples are (b, d)."""
    # 1. the call   2. into the basis   3. choose   4. back   5. noise of level r[:, None]
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.edit_step(edit_step)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `torch.where(missing > 0, a, b)` chooses column by column; both a and b must be in the basis. The noise comes last: at the next call all of x, including the given part, must have noise of level r.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def edit_step(f, x_t, t, r, y, missing, B, back, z):
#     x = f(x_t, t)
#     x = back(torch.where(missing > 0, B(x), B(y)))
#     return x + r[:, None] * z
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: the push
#
# Write the term that guidance adds, $-\zeta\, t\, \nabla_{x_t} \lVert y - A(h) \rVert_2$ with $h = $ `estimate(x_t, t)`, with one norm for each sample of the batch.
# `x_t` is (b, d), `t` is (b,) and `zeta` is a number. Your gradient is compared with finite differences.

# %% tags=["exercise"]
def push(estimate, A, y, x_t, t, zeta):
    """What is added to x_r, (b, d)."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.push(push)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `x_t.requires_grad_()`, then the mismatch, then `torch.autograd.grad(mismatch.sum(), x_t)`. The sum over the batch does no harm, because the norm of one sample does not depend on the $x_t$ of another. One norm over the whole batch would do harm.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def push(estimate, A, y, x_t, t, zeta):
#     x_t = x_t.detach().requires_grad_()
#     mismatch = (y - A(estimate(x_t, t))).flatten(1).norm(dim=1)
#     (gradient,) = torch.autograd.grad(mismatch.sum(), x_t)
#     return -zeta * t[:, None] * gradient
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# The second paper tests its claim on photographs, with large networks, neural operators and captions. Nothing of that kind is tested here: the plane has two dimensions, and its D and f are exact.

# %% tags=["hide-input"]
errors, flat = measurement_errors(rings, torch.tensor(1.0).double(), known), [word for row in order for word in row]
D, END, SAMPLE = table
far = {name: [f"{value[1]:.2f}" for value in found.values()] for name, found in errors.items()}
radius = ", ".join(f"{name} {row[0, 0]:.2f}" for name, row in table.items())
n, more, less = len(flat), flat.count("lower"), flat.count("higher")
ordered_class = order[tasks.index("class")]
behind = "the mean is ahead" if less > more else "indistinguishable"
lead = "confirmed here" if more > n / 2 else "partly" if more > less else f"not seen at this scale: {behind}"
both = (ordered_class.count("lower") > len(steps) / 2, nearer_truth["features"] == "network f")
neural = ("not seen at this scale", "partly", "confirmed here")[sum(both)]
said = lambda held: "confirmed here" if held else "not seen at this scale"
by_f = [name.replace("|", BAR) for name, word in nearer_truth.items() if word == "network f"]
off_at_40, bias = away[:, calls.index(40)], {name: found[END][0] for name, found in errors.items()}

# %% tags=["hide-input"]
rows = [
    ("the posterior mean lies off the data, the path's end does not", f"mean radius at σ = 2: {radius}", said(abs(table[END][0, 0] - table[SAMPLE][0, 0]) < 0.05 < 0.3 < table[SAMPLE][0, 0] - table[D][0, 0])),
    ("for a linear A the mean is as good", f"RMS distance from E[A(x) given x_t] at σ = 1: mean {far['one coordinate'][0]}, path's end {far['one coordinate'][1]}", said(far["one coordinate"][0] <= far["one coordinate"][1])),
    ("for other A the path's end is the better argument", f"bias: radius {bias['radius']:+.2f}, x² {bias['x²']:+.2f} (mean {errors['radius'][D][0]:+.2f}, {errors['x²'][D][0]:+.2f}); RMS: radius {far['radius'][1]}, x² {far['x²'][1]} (mean {far['radius'][0]}, {far['x²'][0]}; a sample {far['radius'][2]}, {far['x²'][2]})", "partly: the bias disappears, the scatter remains"),
    ("so guidance by a consistency model solves more problems", f"two circles, three seeds, equal steps: the path's end is higher in {more} of {n} cases, the mean in {less}", lead),
    ("… with a classifier or a network as A", f"circles, class: path's end higher at {ordered_class.count('lower')} of {len(steps)} budgets; digits, features: {nearer_truth['features']}", neural),
    ("… and with a trained network as f", f"digits: nearer to the truth with f for {len(by_f)} of {len(names)} operators ({', '.join(by_f) or 'none'}); but that D can only end in a training scan", "no conclusion: more differs than h"),
    ("editing keeps the measurement exactly", f"digits: off by at most {max(kept.values()):.0e}, at every call", said(max(kept.values()) < 1e-6)),
    ("*not claimed there:* edited points are exact posterior samples", f"W₁ to the posterior {ranged(off_at_40)} with 40 calls, {ranged(away[:, -1])} with {calls[-1]}; exact samples {floor:.3f}", said(off_at_40.max() < 1.5 * floor)),
]
Markdown("| claim | measured here | verdict |\n|---|---|---|\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows))

# %% tags=["hide-input"]
ahead = [f"{task} with {n} steps" for k, task in enumerate(tasks) for i, n in enumerate(steps) if order[k][i] == "lower"]
print("The path's end is ahead on every seed for:", ", ".join(ahead) or "no case", end=".\n")

# %% [markdown]
# Can one step serve as a posterior sample? No: over all $x_t$ its results are distributed like the data, but for one $x_t$ it gives a single point, and as a guide that point was behind the mean in 22 of 24 cases. Three conclusions follow. For the value of A(x), a linear operator should be applied to the posterior mean, while for a non-linear operator the value at the mean is in general biased. The value of a deterministic map is a plausible point, but not a sample from the posterior. Finally, a correct argument about one quantity may give a wrong forecast about another, so the forecast itself must be tested.
#
# ## Budget

# %% tags=["hide-input"]
recorded = [*races.values(), *digits.values()]
print("Trained here: nothing. Lab 00 says on how many images the generator was trained.")
print(f"Network calls for the figures of this lab: {4 * 4 * 21 + 4 * 21 + 180 * 3 * 31 + 30:,}, counted per image.")
print(f"Recorded races: {sum(r.record['seconds'] for r in recorded):.0f} CPU seconds, tuning included; `python scripts/posterior_race.py` repeats them.")

# %% [markdown]
# **Next:** lab 14 asks why two networks that were trained independently agree.
