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
# | Time | 65 minutes; 55 without the parts marked *optional* |
# | Run All | 20 s on 2 CPU cores |
# | You need | the posterior mean D and the consistency function f (lab 02), multistep sampling (lab 00), a gradient by autograd |
#
# After this lab you can
#
# 1. **decide** to which point an operator A(·) should be applied, a mean or a sample, and **measure** the error of each;
# 2. **derive** guided sampling from Bayes' rule, and **judge** a claim about it by a comparison in which everything is known;
# 3. **edit** images with a consistency model that was never trained for editing: keep exactly what is given, and let f generate the rest.
#
# In **an inverse problem** somebody has measured $y = A(x)$, and you want to find x. The operator A may hide pixels, blur them, lose their signs, or be a neural network. Many x fit the same y; the posterior distribution $p(x \mid y)$ says how probable each of them is.
#
# One question leads through this lab: to which point h should A be applied? We look at the value of A(h) first, then let A(h) guide a sampler towards y. Editing comes at the end. No network is trained; in the plane D is exact, and f is the end of a path, solved to the stated accuracy.

# %%
from inspect import getsource

import numpy as np
import torch
from cmlab_labs.common.explorer import folded, start_lab
from cmlab_labs.common.generators import GENERATOR
from cmlab_labs.common.plots_posterior import (
    PathEnd,
    conditional_line,
    jacobian_norms,
    posterior,
)
from cmlab_labs.common.plots_posterior import statistics_by_level as curves
from cmlab_labs.common.plots_recordings import compare_seeds
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab13_inverse import checks, explorer
from cmlab_labs.lab13_inverse.analysis import (
    exactly_guided,
    gradient_quantiles,
    guided_scores,
    measurement_errors,
    noisy_samples,
    rings_experiment,
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
    edit,
    inpainting,
    interpolated,
    stroke,
)
from cmlab.methods.posterior_sampling import (
    Absolute,
    Blur,
    Mask,
    Measurement,
    Radius,
    Square,
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
# Black dots are exact samples from the posterior $p(x \mid x_t)$; they show what x may be. Either of two single points may stand in for all of them: the **posterior mean** $D(x_t, \sigma)$, and the **endpoint** $f(x_t, \sigma)$ of the probability-flow path through $x_t$. On the right, A is applied to all of them; the dotted line is $\mathrm E[A(x) \mid x_t]$, the average over the posterior.
#
# Three things to try. Choose a linear A (mask, down-sample, blur; here of the two coordinates): which marker lies on the dotted line? Then choose *radius* at σ = 2: where does the mean lie? Finally, set σ = 0.6 and change the seed: how many of the posterior samples lie in the endpoint's mode (title on the left)?

# %%
explorer.explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# For a linear A the posterior mean lies on the dotted line; the endpoint in general does not. At σ = 2 the mean lies far inside the inner circle: with seed 4 it has the radius 0.16, where the average over the posterior is 0.74.
# At σ = 0.6 the endpoint's mode holds about a fifth of the posterior samples (the median over all seeds of the slider), and a tenth with seed 43: the endpoint is one plausible x among several.
#
# </details>

# %% [markdown]
# ## Predict
#
# Now take many noisy points $x_t$ at σ = 1, instead of one. For each of them you may apply A(x) = ‖x‖ to one point: the posterior mean, or the endpoint.

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
# So three candidates for h can be compared: the posterior mean D, the endpoint f, and a true sample from the posterior. We begin on the line, with two modes at ±1, each with standard deviation 0.1, and $x_t = 0.3$.

# %% tags=["hide-input", "nbval-check-output"]
pair = Mixture1D(*(torch.tensor(v).double() for v in ([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])))
x_t, zero, g = torch.tensor([[0.3]]).double(), torch.zeros(1).double(), torch.Generator().manual_seed(0)
print("  σ   point             x      ln p(x)    x²      E[x² | x_t]")
for level in (2.0, 1.0):
    t = torch.tensor([level]).double()
    under = posterior(pair, x_t, t)
    right = float((under.weights * (under.means[..., 0] ** 2 + under.stds**2)).sum())
    for name, x in (("posterior mean", pair.denoise(x_t, t)), ("endpoint", pair.consistency(x_t, t))):
        density = float(pair.log_density(x, zero))
        print(f"{level:4.0f}   {name:14} {float(x):7.4f} {density:9.2f} {float(x) ** 2:9.4f} {right:10.4f}")

# %% [markdown]
# The mean lies between the modes, where there are practically no data, and its square is far too small; the endpoint lies on a mode. For a **linear** A the mean has no such fault, because the mean of A x is A applied to the mean. There it is the endpoint that is wrong: at σ = 2 it gives 0.87 where the average is 0.08.
#
# ### Radius, density, and A(h)
#
# We return to the two circles, with 1000 noisy points at each level. Let h be the point to which A is applied. The black curves are the reference: exact posterior samples.

# %% tags=["hide-input"]
rings, model = explorer.ORACLE, runs.load(GENERATOR)[0].requires_grad_(False)  # the digit generator
levels = torch.logspace(-1.3, 1, 13).double()
rows = statistics_by_level(rings, levels, Absolute())
titles = ("The mean is drawn inwards", "The mean leaves the data", "So A(mean) is too small")
axis = (r"mean radius $\|x\|$ (data units)", "median $\\ln p(x)$ (nats)", "mean of $|x_1|$ (data units)")
curves(levels, {t: (a, {n: r[:, k] for n, r in rows.items()}) for k, (t, a) in enumerate(zip(titles, axis, strict=True))})

# %% tags=["hide-input"]
own = float(rings.sample(20_000, g).norm(dim=1).mean())
table = statistics_by_level(rings, torch.tensor([2.0, 1.0, 0.5, 0.25]).double(), Radius(), 4000)
radii = ["| mean radius at | σ = 2 | σ = 1 | σ = 0.5 | σ = 0.25 |", "|---" * 5 + "|"]
radii += [f"| {name} | " + " | ".join(f"{float(v):.2f}" for v in row[:, 0]) + " |" for name, row in table.items()]
folded("The left panel in numbers", "\n".join(radii) + f"\n\nThe data's own mean radius is {own:.2f}.")

# %% [markdown]
# On average the endpoint has the right radius. Is that enough? Guidance will use A(h) for **one** $x_t$ at a time, where the best value in the sense of least squares is the average over the posterior, $\mathrm E[A(x) \mid x_t]$. In the next table, *bias* is the mean of $A(h) - \mathrm E[A(x) \mid x_t]$ over all $x_t$ (for the first component of A), and *RMS* its root mean square.

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
# - **For the other operators the mean is biased, and the endpoint is practically unbiased.** This is the observation of Xu et al. It has to be so: the paths carry the distribution of $x_t$ onto that of the data, so the average of A(f) over all $x_t$ is E[A(x)], for every A.
# - **For one given $x_t$, however, the error of the endpoint is 0.6 to 0.9 times that of one true sample.** For x² and |x| this is no less than the error of the biased mean. The endpoint is a *function* of $x_t$: it gives one answer where the posterior has many.

# %% [markdown]
# ## The method, from its source
#
# ### From Bayes' rule to guided sampling
#
# From here on t is the noise level σ, as in EDM. A diffusion sampler follows the score of the noisy data, which the denoiser gives: $\nabla \ln p(x_t) = (D(x_t, t) - x_t)/t^2$. To sample from the posterior given a measurement y, it has to follow the score of $p(x_t \mid y)$ instead. **Bayes' rule** says $p(x_t \mid y) \propto p(x_t)\, p(y \mid x_t)$, so the score splits into two terms:
#
# $$\nabla_{x_t} \ln p(x_t \mid y) = \underbrace{\nabla_{x_t} \ln p(x_t)}_{\text{the denoiser knows this}} + \underbrace{\nabla_{x_t} \ln p(y \mid x_t)}_{\text{guidance}} .$$
#
# The guidance term asks how well the *noisy* point explains a measurement of the *clean* one: an average over everything that may lie under the noise,
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
# Diffusion posterior sampling (DPS, Chung et al. 2023, [arXiv:2209.14687](https://arxiv.org/abs/2209.14687)) takes h = D, keeps the direction of this gradient and replaces its prefactor: at EDM's noise levels, as in the code of Xu et al., by ζ t with a tuned ζ. The pull towards y then does not fade as the mismatch becomes small. Each step from a level t down to r is an ordinary sampling step, followed by a push:
#
# $$x_r = \underbrace{D + \tfrac{r^2}{t^2}(x_t - D) + r\sqrt{1 - \tfrac{r^2}{t^2}}\; z}_{\text{ancestral Euler step}} \;-\; \zeta\, t\, \nabla_{x_t} \bigl\lVert y - A(h) \bigr\rVert_2 .$$
#
# An **ancestral** step goes further down than r, to noise of level $r^2/t$, and comes back up with fresh noise: $r^4/t^2 + r^2 (1 - r^2/t^2) = r^2$. Xu et al. put **f in place of D** (and for a network as A they add a little noise to h, which we do not). Note that the norm is *not* squared, and that the gradient is taken with respect to $x_t$, so it passes through A and through the estimate. In the source, `pull` takes it by autograd.

# %% tags=["hide-input"]
folded("`restore`, from the package", f"```python\n{getsource(restore)}```")

# %% [markdown]
# Does the sampler do what it should? Take data of which the posterior is known, a round Gaussian, and measure $x_1$ without noise (numbers in the fold). With a strong pull both estimates give the right answer, and the coordinate that was not measured is left alone. With a weaker pull the result is a compromise, not this posterior: **ζ does not stand for the noise of y**, so it has to be tuned.

# %% tags=["hide-input"]
bell, keep = Gaussian(torch.tensor([0.2, -0.1]).double(), 0.5), Mask(torch.tensor([1.0, 0.0]))
y = keep(torch.tensor([[0.9, 0.0]]).double()).expand(1000, 2)
ends = {"posterior mean": bell.denoise, "endpoint": PathEnd(bell, 8)}
rows = ["| h | ζ | x₁ | x₂ |", "|---" * 4 + "|"]
for name, h in ends.items():
    for zeta in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        *_, x = restore(bell.denoise, h, Measurement(keep, y), 10 * torch.randn(1000, 2).double(), KarrasGrid(0.02, 10.0).down(100), zeta)
        (a, b), (c, d) = x.mean(0).tolist(), x.std(0).tolist()
        rows.append(f"| {name} | {zeta:g} | {a:.2f} ± {c:.2f} | {b:.2f} ± {d:.2f} |")
said = "The data have mean (0.2, −0.1) and standard deviation 0.5, and $x_1 = 0.9$ is measured. The exact posterior has $x_1 = 0.9$ and $x_2$ as before, −0.10 ± 0.50; with ζ = 0 the result must be distributed like the data. (The spread is a little narrow because there are only a hundred steps.)"
folded("Guided sampling of a Gaussian", said + "\n\n" + "\n".join(rows))

# %% [markdown]
# ## The key figure
#
# Now we guide the sampler through A(D) or through A(f), each with its own best ζ, and count how often it ends on a mode, at a point that fits the measurement.

# %%
predict("13.2")

# %% [markdown]
# 512 data points of the two circles are measured without noise. Sampling starts from noise of level 10, with the exact D in the sampler and one of the two estimates in A(·), the endpoint solved in ten steps of Heun's method. A **success** is a result that lies on a mode (within three standard deviations) *and* fits the measurement: to 0.1, or for the task *class*, where y only says whether the mode is even or odd, in the class.
# Each combination of estimate, task and budget has its own best ζ out of twelve, found on two other seeds; the results are for three. The endpoint costs two calls per step, because the sampler needs D as well (solving the path counts as one, as with a trained f). The dotted line is the success rate of exact samples from $p(x \mid y)$. The black line in the first panel is guidance by the exact $p(y \mid x_t)$, which is known there: D becomes $\mathrm E[x \mid x_t, y]$, and no ζ is needed.

# %% tags=["hide-input"]
races = {arm: read("race-rings", arm) for arm in ("mean", "cm")}
tasks, steps = races["mean"].record["tasks"], races["mean"]["steps"].tolist()
rate = {arm: races[arm]["success"] for arm in ("mean", "cm")}
order = [[compare_seeds(*(rate[arm][:, k, i] for arm in ("mean", "cm"))) for i in range(len(steps))] for k in range(len(tasks))]
equal_calls = [[compare_seeds(rate["mean"][:, k, i + 1], rate["cm"][:, k, i]) for i in range(len(steps) - 1)] for k in range(len(tasks))]
won = [word == "higher" for row in equal_calls for word in row]
exact_rate = np.array([[exactly_guided(n, seed) for n in steps] for seed in range(3)])
where = "throughout" if all(won) else f"in {sum(won)} of {len(won)} cases"
success_by_calls(races, f"At equal numbers of calls the mean is ahead {where}", {"one coordinate": exact_rate})

# %% tags=["hide-input"]
BAR, ARROWS = r"\|", {"higher": " ◄", "lower": " ►"}
rows = ["| task | " + " | ".join(f"{n} steps" for n in steps) + " |", "|---" * (len(steps) + 1) + "|"]
for k, task in enumerate(tasks):
    both = zip(*(races[arm]["success"][:, k].mean(0) for arm in ("mean", "cm")), order[k], strict=True)
    cells = [f"{a:.2f} / {b:.2f}{ARROWS.get(word, '')}" for a, b, word in both]
    rows.append(f"| {task.replace('|', BAR)} | " + " | ".join(cells) + " |")
folded("Success rates at equal numbers of steps", "Mean / endpoint. ◄: the mean is higher on every seed; ►: the endpoint is.\n\n" + "\n".join(rows))

# %% [markdown]
# At **equal numbers of steps** the mean is higher on every seed in 22 of 24 cases, and the endpoint, which has then had twice as many calls, in two; at equal numbers of calls the mean is higher in all 20. Does the estimate with the better value of A(h) win? For one coordinate that is the mean, and it wins, except with 4 steps. For the radius it is the endpoint, in bias and in RMS, and it loses, except with 4 steps.
#
# The result depends strongly on ζ (here for the two seeds on which ζ was chosen):

# %%
success_by_zeta(races, "radius", 32)

# %% [markdown]
# ## Why is the mean the better guide?
#
# How can a point with the better value, such as the endpoint for the radius, be the worse guide? **Guidance follows the gradient of A(h); the value of A(h) only says where to stop.** A unit pull u at h is felt at $x_t$ as $J^\top u$, where J is the derivative of h with respect to $x_t$. For the mean,
#
# $$J = \frac{\partial D}{\partial x_t} = \frac{\mathrm{Cov}[x \mid x_t]}{t^2} ,$$
#
# which is symmetric, positive semidefinite, and for large t nearly the same for all $x_t$: the covariance of the data over t². (Tweedie's formula of second order: differentiate $D = \int x\, p(x \mid x_t)\, \mathrm dx$, with $\nabla_{x_t} \ln p(x \mid x_t) = (x - D)/t^2$.) This J is also the right one: for Gaussian data and a linear A the exact guidance passes through it (exercise B), as DPS does. The endpoint (here in 16 steps of Heun's method) has no such formula. Thick lines are medians of $\lVert J^\top u \rVert$ over $x_t$; one $x_t$ in a hundred exceeds the dotted lines.

# %% tags=["hide-input"]
quantiles = {"posterior mean": gradient_quantiles(rings, rings.denoise, levels), "endpoint": gradient_quantiles(rings, PathEnd(rings, 16), levels)}
variance, median = float(rings.sample(20_000, g).var(0).mean()), quantiles["posterior mean"][-1, 0]
print(f"t = 10, posterior mean: median {median:.4f}; the variance of a coordinate over t²: {variance / 100:.4f}")
jacobian_norms(levels, quantiles)

# %% [markdown]
# At high noise the mean passes the pull on equally to every $x_t$. The endpoint does not: it stays in its mode until $x_t$ crosses the boundary beyond which the paths lead to another mode. There it jumps, and the gradient is large but says little about the direction in which to move.
# This explanation fits the figures, but it is not a proof; in many dimensions, or with operators that fail away from the data, the outcome may differ. Two conditions of the comparison might favour the mean: the factor t in ζ t, and the path, which is not solved exactly. The fold varies both; the mean stays ahead, though hardly for the class without any factor, and more accurate paths change the rate of the radius by about 0.01.

# %% tags=["hide-input"]
trial, zetas = rings_experiment(256), torch.as_tensor(races["mean"]["zetas"][1:])
best_of = lambda task, arm, a: float(guided_scores(trial, task, arm, 32, zetas, 10, a)["success"].mean(1).max())
rows = ["| mean / endpoint | ζ | ζ t | ζ t² |", "|---" * 4 + "|"]
powers = {task: [tuple(best_of(task, arm, a) for arm in ("mean", "cm")) for a in (0.0, 1.0, 2.0)] for task in tasks}
for task, cells in powers.items():
    rows.append(f"| {task.replace('|', BAR)} | " + " | ".join(f"{a:.2f} / {b:.2f}" for a, b in cells) + " |")
k, i = tasks.index("radius"), steps.index(32)
alone = torch.tensor([races["cm"]["zeta"][k, i]])
exacter = [float(guided_scores(rings_experiment(512, 30), "radius", "cm", 32, alone, seed)["success"].mean()) for seed in range(3)]
x_t, t, _ = noisy_samples(rings, torch.tensor(10.0).double(), 1000, 3)
off_path = float((PathEnd(rings, 10)(x_t, t) - rings.consistency(x_t, t)).square().sum(1).mean().sqrt())
rows.append(f"\nRadius, paths in 30 steps: {ranged(exacter, '.2f')}; in 10 steps: {ranged(rate['cm'][:, k, i], '.2f')}. At σ = 10 a path in 10 steps ends {off_path:.2f} (RMS) from the accurate one.")
folded("Other factors, and more accurate paths", "Success in 32 steps, on 256 points of one seed, with the best ζ of eleven.\n\n" + "\n".join(rows))

# %% [markdown]
# Two limits remain. Even for *one coordinate*, where A(D) is exactly the mean of A(x), the mean stays below the dotted line: with 128 steps 97 % of its results fit the measurement, but only 91 % lie on a mode. The steps are not to blame: with the exact $p(y \mid x_t)$ the same sampler succeeds in 95 % of the cases with 8 steps and in 99 % with 16. And success is not posterior sampling: a sampler that always ended on the same fitting mode would succeed, too.

# %% [markdown]
# ### Optional: on digits
#
# Now f is a trained network, D the exact mean over the training scans of a digit, and a posterior sample is one of those scans. The operator *classifier* returns 32 features of a small network. Raise σ: which of the three loses the contrast of a digit?

# %%
explorer.digit_explorer(model)

# %% tags=["hide-input"]
by_point = explorer.digit_statistics(model, 3.0)
values = ["| σ = 3 | " + " | ".join(by_point) + " |", "|---" * 4 + "|"]
for what in next(iter(by_point.values())):
    values.append(f"| {what.replace('|', BAR)} | " + " | ".join(f"{found[what]:.2f}" for found in by_point.values()) + " |")
digits = {arm: read("race-digits", arm) for arm in ("mean", "cm")}
names = digits["mean"].record["tasks"]
rows = ["| operator | ‖x − truth‖, mean | ‖x − truth‖, network f | nearer to the truth | best ζ |", "|---" * 5 + "|"]
NEARER = {"lower": "mean", "higher": "network f"}
for k, task in enumerate(names):
    error = [digits[arm]["error"][:, k, 0] for arm in ("mean", "cm")]
    said = NEARER.get(compare_seeds(*error), "indistinguishable")
    zetas = " and ".join(f"{digits[arm]['zeta'][k, 0]:g}" for arm in ("mean", "cm"))
    rows.append(f"| {task.replace('|', BAR)} | {ranged(error[0], '.2f')} | {ranged(error[1], '.2f')} | {said} | {zetas} |")
folded("Value and guidance in numbers", "The value of A(h), averaged over all held-out scans:\n\n" + "\n".join(values) + "\n\nGuided sampling in 20 steps with 60 held-out scans per seed (*features*: the classifier). It does not compare h alone: this D is computed from the training scans, and the sampler's last step ends on one of them.\n\n" + "\n".join(rows))

# %% [markdown]
# Only the mean loses contrast, because it blends several scans. And yet at σ = 3 it has the smallest average mismatch for all five operators: a blend is not far from any of them.

# %% [markdown]
# ## Editing needs no gradient
#
# If the measurement is a *part* of x in some basis, no pull is needed: Song et al. simply put the given part back after each call. Let B be the invertible change of basis (their A), and let Ω be 1 where something is missing and 0 where it is given. Start from the given part, with zeros for what is missing, under noise of the highest level. Each call at a level t, with the next level r, is then
#
# $$x \leftarrow B^{-1}\bigl[(B y) \odot (1 - \Omega) + (B\, f(x_t, t)) \odot \Omega\bigr], \qquad x_r = x + r z .$$
#
# With pixels as the basis, this is inpainting. For super-resolution, B transforms each block of pixels by an orthogonal matrix whose first column is constant, so that the mean of the block is, up to a factor, one of the coordinates. The figure shows held-out scans, edited by the digit generator, which is given the class. The last row starts from a blurred stroke instead: nothing is kept, and noise of level 1.5 hides the blur.

# %% tags=["hide-input"]
folded("`edit`, from the package", f"```python\n{getsource(edit)}```\n\nIn the paper the noise has the scale $\\sqrt{{r^2 - \\sigma_{{\\min}}^2}}$, and the authors' code clamps every output of f to [−1, 1]; here nothing is clamped.")

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
rough, low = Blur(1.2)(truth), KarrasGrid(0.1, 1.5)
painted = [list(stroke(VarianceExploding(), f, rough, low.up(max(n, 2)).flip(0)[:n]))[-1] for n in grid]
sheets["blurred stroke"] = torch.stack([truth, rough, *painted], 1)[1:3].flatten(0, 1)
print(f"After every call, over the four tasks, what is given is off by at most {max(kept.values()):.0e}.")
columns = ["truth", "given", *(f"{n} call{'s' * (n > 1)}" for n in grid)] * 2
task_sheet(sheets, columns, "What is given stays; with more calls the rest fits it (last row: nothing is kept)")

# %% [markdown]
# A single call cannot use what is given, because noise of level 80 hides it. In each further call the given part is under less noise, and the rest adapts to it. Try *lower half missing* with 1 call and with 8. Then try *means of 4 × 4 blocks*, which keeps only four numbers: what is left of the digit, and how much do the six results differ?

# %%
explorer.editing_explorer(model)

# %% [markdown]
# <details><summary>Answers</summary>
#
# With the digit 5 that is shown at the start, the lower halves differ by 0.21 per pixel with 1 call and by 0.15 with 8; with 8 they continue the strokes better, but are not nearer to the truth.
# Four block means say little more than where the ink is, and the class does the rest: the six results of 8 calls differ by 0.27, and some of them hardly look like a 5.
#
# </details>

# %% [markdown]
# ### Kept exactly, but is it the posterior?
#
# Again we take data of which the posterior is known: two Gaussians on the diagonal, at (−1, −1) and (1, 1), with standard deviation 0.5, and $x_1 = 0.3$ given. f is the endpoint, solved in eight steps of Heun's method, and the levels go from 10 to 0.05. $W_1$ is the mean distance between the two sorted sets of $x_2$; there are three noise seeds and 600 points each.

# %% tags=["hide-input"]
diagonal = Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.tensor([0.5, 0.5]))
path_end, below, START = PathEnd(diagonal, 8), conditional_line(diagonal, 0, 0.3), torch.tensor([[0.3, 0.0]]).double().expand(600, 2)
calls, clouds = (1, 2, 4, 8, 16, 40, 100, 200), {}
task, ordered = inpainting(torch.tensor([0.0, 1.0])), lambda v: v.sort().values
w1 = lambda a, b: float((ordered(a) - ordered(b)).abs().mean())
exact = [below.sample(600, torch.Generator().manual_seed(s))[:, 0].double() for s in range(6)]
away, finer = np.zeros((3, len(calls))), []
edited = lambda end, n: [*edit(VarianceExploding(), end, task, START, KarrasGrid(0.05, 10.0).up(max(n, 2)).flip(0)[:n])][-1]
with torch.no_grad():
    for seed in range(3):
        for k, n in enumerate(calls):
            torch.manual_seed(seed)
            x = edited(path_end, n)
            away[seed, k], clouds[n] = w1(x[:, 1], exact[seed]), x[:, 1].numpy()
        torch.manual_seed(seed)
        finer.append(w1(edited(PathEnd(diagonal, 40), 40)[:, 1], exact[seed]))
floor = float(np.mean([w1(exact[s], exact[s + 3]) for s in range(3)]))
prior = w1(diagonal.sample(600, g)[:, 1].double(), exact[0])
shown = {"exact posterior": torch.cat(exact).numpy(), "edited, 200 calls": clouds[200], "edited, 8 calls": clouds[8]}
for n in (40, 200):
    row = away[:, calls.index(n)]
    print(f"{n:3d} calls: W₁ {ranged(row)}, {row.mean() / floor:.1f} times that of exact samples")
print(f" 40 calls, with paths in 40 steps of Heun's method: W₁ {ranged(finer)}")
editing_error(calls, away, floor, prior, shown)

# %% [markdown]
# With few calls many points end on the wrong mode: the first call decides which mode it is, and under so much noise the given number has hardly any influence. The authors' examples use 18 or 40 levels, so 40 calls are the number to compare with. More calls do come nearer, plausibly because each pass at a low level is a short random step towards higher density. On digits the posterior is not known; what can be tested there is in the fold.

# %% tags=["hide-input"]
x, labels = held.images[:180], held.labels[:180]
lower, rows = explorer.EDITS["lower half missing"], ["| calls | RMS distance to the truth | spread | √2 × spread |", "|---" * 4 + "|"]
hidden, F = lower.missing.bool().expand_as(x), lambda x_t, t: model(x_t, t, labels)
for n in (1, 2, 4, 8, 16):
    grid_n, out = KarrasGrid(0.1, 80.0).up(max(n, 2)).flip(0)[:n], []
    for seed in range(3):
        torch.manual_seed(seed)
        out.append(list(edit(VarianceExploding(), F, lower, x, grid_n))[-1][hidden])
    off = [float((made - x[hidden]).square().mean().sqrt()) for made in out]
    wide = float(torch.stack(out).std(0).square().mean().sqrt())
    rows.append(f"| {n} | {ranged(off)} | {wide:.3f} | {2**0.5 * wide:.2f} |")
test = """

*Spread* is the standard deviation of the missing pixels over three noise seeds, on 180 held-out scans. For exact posterior samples the distance to the truth would be √2 times the spread, because truth and sample would then be two draws from one distribution. With one call it is a little larger, with 16 calls the two agree. But exact samples of the *class*, which ignore the given part, would agree as well: the test is necessary, and far from sufficient. That the given part is used shows in the distance, which falls."""
folded("A test that needs only true images", "\n".join(rows) + test)

# %% [markdown]
# *Optional.* Two more uses of the same f: a digit from each point on the great circle between two noise vectors, and denoising by one call at the level of the noise.

# %% tags=["hide-input"]
z1, z2 = (torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 5))
shares = [k / 9 for k in range(10)]
between = {}
for digit in (3, 8):
    of = lambda x_t, t, digit=digit: model(x_t, t, torch.full((len(x_t),), digit))
    between[f"between two noise vectors, class {digit}"] = interpolated(
        VarianceExploding(), of, z1, z2, shares, torch.full((10,), 80.0)
    )
scans, t = held.images[:10], torch.full((10,), 0.6)
spoilt = scans + 0.6 * torch.randn(scans.shape, generator=torch.Generator().manual_seed(1))
between |= {"with noise of level 0.6": spoilt, "one call": model(spoilt, t, held.labels[:10]), "truth": scans}
task_sheet(
    between,
    [""] * 10,
    "Between two noise vectors a digit changes smoothly; one call removes noise of level 0.6",
)

# %% [markdown]
# ## Exercises
#
# ### A · guided: editing with a noisy measurement
#
# `edit` takes the measurement to be exact; noise in y would stay in the result for good. Now y has white noise of a known level $\sigma_y$, in every coordinate. At the levels $r \ge \sigma_y$ the given part can still come from y, if less noise is added to it: in all, it must have level r. At lower levels y is too noisy, and f answers for the given part too.
# Write one pass. `f(x_t, t)` is the model; `t` and `r`, both (b,), are the levels of this call and of the next, and r may lie on either side of $\sigma_y$ within a batch; `missing` (d,) is Ω in the basis; `B` and `back`, both orthogonal, go into the basis and back; `z` is fresh noise.
# Return the input of the next call. How much noise is missing from y, and in which of the two, pixels or basis, must it be added?

# %% tags=["exercise"]
def noisy_edit(f, x_t, t, r, y, missing, B, back, z, sigma_y):
    """x_r: one call, the given part of y if it is clean enough, and noise of level r in all."""
    # 1. the call   2. which coordinates come from y   3. how much noise they still need
    # 4. choose, with the noise, in the basis   5. back
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.noisy_edit(noisy_edit)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Variances of independent noises add: $\sigma_y^2 + s^2 = r^2$. The two parts need different amounts of noise, and only in the basis are they coordinates; white noise z stays white under an orthogonal B. `torch.where(keep, a, b)` chooses; `keep` needs both the mask and r.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def noisy_edit(f, x_t, t, r, y, missing, B, back, z, sigma_y):
#     x, r = f(x_t, t), r[:, None]
#     keep = (missing == 0) & (r >= sigma_y)
#     more = (r**2 - sigma_y**2).clamp(min=0).sqrt()
#     return back(torch.where(keep, B(y) + more * B(z), B(x) + r * B(z)))
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: guidance without ζ
#
# Replace the posterior not by a point but by a Gaussian with its mean D and its covariance C, and let $y = A x + {}$noise of level $\sigma_y$ with a matrix A. Then $p(y \mid x_t)$ is a Gaussian as well. Write the gradient of its logarithm with respect to $x_t$, with $\partial D/\partial x_t = C/t^2$ and C treated as a constant.
# `D` is (b, d), `C` (b, d, d), `A` (m, d), `y` (b, m), `t` (b,), and `sigma_y` is a number. For Gaussian data this guidance is exact: it is compared with differences of the true $\ln p(y \mid x_t)$.

# %% tags=["exercise"]
def guidance(D, C, A, y, t, sigma_y):
    """The gradient of ln p(y | x_t) with respect to x_t, (b, d)."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.guidance(guidance)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# y is A x plus noise: what are the mean and the covariance of A x if x has mean D and covariance C? The gradient of $-\frac12 e^\top S^{-1} e$ with $e = y - A D$ passes through D alone. `torch.linalg.solve(S, e[..., None])` divides by S without inverting it.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def guidance(D, C, A, y, t, sigma_y):
#     S = A @ C @ A.T + sigma_y**2 * torch.eye(len(A)).to(A)
#     e = torch.linalg.solve(S, (y - D @ A.T)[..., None])
#     return (C @ A.T @ e)[..., 0] / t[:, None] ** 2
# ```
#
# With the Jacobian of D as it is, and a multiple of the identity in place of C in S alone, this is ΠGDM (Song, Vahdat, Mardani & Kautz, ICLR 2023); with the covariance in both it is the method of Boys et al. ([arXiv:2310.06721](https://arxiv.org/abs/2310.06721)).
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# The first five claims are those of Xu et al., who test them on photographs, with large networks, neural operators and captions; the sixth is that of Song et al. Here the plane has two dimensions, its D is exact, and its f is solved in 10 steps of Heun's method. Solvers that use the consistency model alone are not treated.

# %% tags=["hide-input"]
errors, flat = measurement_errors(rings, torch.tensor(1.0).double(), known), [word for row in order for word in row]
D, END, SAMPLE = table
far = {name: [f"{value[1]:.2f}" for value in found.values()] for name, found in errors.items()}
radius = ", ".join(f"{name} {row[0, 0]:.2f}" for name, row in table.items())
n, more, less = len(flat), flat.count("lower"), flat.count("higher")
ordered_class = order[tasks.index("class")]
behind = "the mean is ahead" if less > more else "indistinguishable"
lead = "confirmed here" if more > n / 2 else "partly" if more > less else f"not seen at this scale: {behind}"
said = lambda held: "confirmed here" if held else "not seen at this scale"
relative = [float(found[END][1] / found[SAMPLE][1]) for found in errors.values()]
off_at_40, bias = away[:, calls.index(40)], {name: found[END][0] for name, found in errors.items()}
rows = [
    ("the posterior mean lies off the data, the endpoint does not", f"mean radius at σ = 2: {radius}", said(abs(table[END][0, 0] - table[SAMPLE][0, 0]) < 0.05 < 0.3 < table[SAMPLE][0, 0] - table[D][0, 0])),
    ("for a linear A the mean is as good", f"RMS error of A(h) at σ = 1: mean {far['one coordinate'][0]}, endpoint {far['one coordinate'][1]}", "confirmed here, and more: it is nearer, and with 8 or more steps the better guide" if order[0][1:] == ["higher"] * 5 and said(far["one coordinate"][0] < far["one coordinate"][1]) == "confirmed here" else "partly"),
    ("for other A the endpoint is the better argument", f"bias: radius {bias['radius']:+.2f}, x² {bias['x²']:+.2f} (mean {errors['radius'][D][0]:+.2f}, {errors['x²'][D][0]:+.2f}); RMS: {far['radius'][1]}, {far['x²'][1]} (mean {far['radius'][0]}, {far['x²'][0]})", "partly: the bias disappears, the error for one x_t remains"),
    ("the endpoint is an effective posterior sample (Xu et al., abstract of version 2)", f"it lies where the data are (ln p above); RMS error at σ = 1: {min(relative):.1f} to {max(relative):.1f} times a true sample's", "partly: it lies where a posterior sample may lie, but it is one answer where the posterior has many"),
    ("so guidance by a consistency model solves more problems, with a classifier or a network as A above all", f"circles, equal steps: the endpoint is higher in {more} of {n} cases, the mean in {less}; for the class in {ordered_class.count('lower')} and {ordered_class.count('higher')} of {len(steps)}", lead),
    ("editing keeps the measurement exactly", f"digits: off by at most {max(kept.values()):.0e}, at every call", said(max(kept.values()) < 1e-6)),
    ("*not in the papers:* edited points are exact posterior samples", f"W₁ to the posterior {ranged(off_at_40)} with 40 calls, {ranged(away[:, -1])} with {calls[-1]}; exact samples {floor:.3f}", said(off_at_40.max() < 1.5 * floor)),
]
Markdown("| claim | measured here | verdict |\n|---|---|---|\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows))

# %% [markdown]
# ### What to remember
#
# 1. **Apply a linear operator to the posterior mean.** For a non-linear one the value at the mean is in general biased.
# 2. **One step is no posterior sample.** Over all $x_t$ its results are distributed like the data, but for one $x_t$ it gives a single plausible point, and the error of that remains.
# 3. **Test the forecast itself.** A correct argument about one quantity, the value of A(h), gave a wrong forecast about another: as a guide, by its gradient, the endpoint was behind in 22 of 24 cases.
#
# ## Budget

# %% tags=["hide-input"]
recorded = [*races.values(), *digits.values()]
print(f"Trained here: nothing. Network calls for the figures: {4 * 4 * 21 + 4 * 21 + 180 * 3 * 31 + 30:,}, counted per image.")
print(f"Recorded comparisons: {sum(r.record['seconds'] for r in recorded):.0f} CPU seconds, tuning included; `python scripts/posterior_race.py` repeats them.")

# %% [markdown]
# **Next:** lab 14 asks why two networks that were trained independently agree.
