# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 19 · MeanFlow from the inside
#
# **What does MeanFlow's derivative do?**
#
# | | |
# |---|---|
# | Paper | Geng, Deng, Bai, Kolter & He 2025, *Mean Flows for One-step Generative Modeling* (MeanFlow), [arXiv:2505.13447](https://arxiv.org/abs/2505.13447); *Improved Mean Flows* (iMF), [arXiv:2512.02012](https://arxiv.org/abs/2512.02012) |
# | Level | 3 of 3 |
# | Part | Flow maps |
# | Time | 65 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | flow maps (lab 18), the total derivative along a path (lab 10) |
#
# After this lab you can
#
# 1. **derive** MeanFlow's target from the definition of a mean, and say which tangent its derivative takes;
# 2. **compute** the target that a wrong tangent produces, and the noise that single samples add to a target;
# 3. **judge** when the adaptive weight with p = 1 is harmless, and **say** what "ratio 0.75" means in each of the two official implementations.
#
# Most results of this lab are exact, because the paths of its data (numbers with two modes, a Gaussian, the ring) are known. The networks were trained beforehand, with three seeds each. The last part examines two other settings that are often copied.

# %%
import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import findings_table, ranged, read, recorded
from cmlab_labs.lab19_meanflow import checks
from cmlab_labs.lab19_meanflow.analysis import (
    MODES,
    ExactJump,
    below,
    corner,
    gaussian_velocities,
    landscape,
    noise_ratio,
    path_points,
    rings,
    squared_noises,
)
from cmlab_labs.lab19_meanflow.explorer import explorer
from cmlab_labs.lab19_meanflow.figures import both_ratios, landscapes, learned, noise_on_the_ring
from cmlab_labs.lab19_meanflow.study import FINDINGS, GAUSSIAN, GRID, TITLES, VARIANTS
from IPython.display import Markdown

from cmlab.data.toy import Ring
from cmlab.methods.flow_map import FlowMapPairs
from cmlab.methods.meanflow import MeanFlow
from cmlab.noise_levels import LogNormal
from cmlab.process import RectifiedFlow

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## Try it first
#
# A jump leads from the black dot, at time t, to the circle, at an earlier time r. (This r is the s of lab 18; we follow the notation of MeanFlow's paper.) Time 0 is data, and time 1 is pure noise. The picture shows three velocities as slopes of lines. The slope of the dotted line is the velocity $v$ of the path at the **start** of the jump, and the slope of the short thick line is its velocity at the **end**.
# The dashed line goes straight from the start to the end. Its slope is the **mean velocity** $u$ of the jump, which is what a MeanFlow network learns.
#
# MeanFlow computes a target for $u$ from $v$ and a derivative. The slope of the thick blue line is that target. The direction along which the derivative is taken is called the *tangent*. (Lab 10 used the word *tangent* for the vector that pulls the network; here it is the input direction of a derivative.) At the beginning the right tangent is selected: the blue line covers the dashed one and ends in the circle.
#
# Move the start and the end of the jump, and read its three velocities in both panels: for which jumps is $u$ far from $v$? Leave the other tangents for later.

# %%
explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# For long jumps that end near the data, where the paths bend. On the path that is shown at the start, with t = 0.8, the velocity at the start is 0.10; a jump to r = 0.6 has u = −0.07, and a jump to r = 0.2 has u = −0.69.
#
# </details>

# %% [markdown]
# ## Predict
#
# A MeanFlow network takes as input $x_t$, t and the length h = t − r of the jump. Suppose that it is differentiated along the path, but that the change of h is overlooked: $x_t$ and t move, while h is held fixed.

# %%
predict("19.1")

# %% [markdown]
# ## The exact object
#
# ### From a mean to a derivative
#
# A path $x_\tau$ moves with the velocity $v(x_\tau, \tau)$. The mean velocity between r and t is
#
# $$u(x_t, t, r) = \frac{1}{t - r} \int_r^t v(x_\tau, \tau)\, \mathrm d\tau .$$
#
# This integral is not a practical training target, because it requires a solver. We therefore multiply by t − r and differentiate both sides with respect to t, along the path and with r held fixed:
#
# $$\frac{\mathrm d}{\mathrm d t}\Bigl[(t - r)\, u\Bigr] = u + (t - r)\, \frac{\mathrm d u}{\mathrm d t} = v(x_t, t).$$
#
# Solved for the first $u$, this is the **MeanFlow identity**,
#
# $$u = v - (t - r)\, \frac{\mathrm d u}{\mathrm d t}. \tag{1}$$
#
# With a stop-gradient, the right-hand side becomes a training target. It contains a derivative of the network itself.
#
# ### Which tangent the JVP takes
#
# When $x_t$ and t change a little and r does not, the change of $u$ follows from the chain rule:
#
# $$\frac{\mathrm d u}{\mathrm d t} = \partial_x u \cdot \frac{\mathrm d x_t}{\mathrm d t} + \partial_t u \cdot 1 + \partial_r u \cdot 0
# = \bigl(\partial_x u,\ \partial_t u,\ \partial_r u\bigr) \cdot (v,\, 1,\, 0).$$
#
# The **tangent** is the vector on the right; the product of the matrix of derivatives with it is a *Jacobian-vector product*, JVP (lab 10).
#
# MeanFlow's networks take t and h = t − r as inputs. Holding r fixed then means that **h grows as fast as t**, and the tangent on the inputs $(x_t, t, h)$ is $(v, 1, 1)$. In the code of this repository r is an argument of the jump and h is computed from it, so the change of h is taken into account automatically.
#
# ### What if h is held fixed?
#
# Then r moves along with t, and the derivative of u gains the term $\partial_r u$. To find this term, note that the jump ends at $X = x_t - (t - r)\, u$. Differentiate with respect to r, and recall that the end of a jump moves with the velocity at that point (lab 18):
#
# $$\partial_r X = u - (t - r)\, \partial_r u = v(X, r) \qquad\Longrightarrow\qquad (t - r)\, \partial_r u = u - v(X, r).$$
#
# Equation (1) says $(t - r)\,\mathrm du/\mathrm dt = v - u$ for the right tangent. Add the two:
#
# $$(t - r) \Bigl[\frac{\mathrm d u}{\mathrm d t} + \partial_r u\Bigr] = (v - u) + \bigl(u - v(X, r)\bigr) = v - v(X, r),$$
#
# and the target becomes
#
# $$v - (t - r) \Bigl[\frac{\mathrm d u}{\mathrm d t}\Bigr]_{h\ \text{fixed}} = v(X, r). \tag{2}$$
#
# So the mistake does not make the target meaningless: it is exactly **the velocity at the end of the jump**. Go back to the first figure and select the tangent with t − r held: for every r the blue line is parallel to the short thick one. Finite differences of the exact u on three paths confirm equation (2):

# %% tags=["hide-input", "nbval-check-output"]
oracle, step = MODES.oracle, 1e-5
for rank in (0.2, 0.45, 0.64):
    t, r, x_t = torch.tensor([0.8]), torch.tensor([0.2]), path_points(MODES.oracle, rank, [0.8])
    exact = ExactJump(oracle, x_t, t, r)
    ends = [ExactJump(oracle, x_t + d * exact.v, t + d, r + d).u for d in (step, -step)]
    target = exact.v - 0.6 * (ends[0] - ends[1]) / (2 * step)
    row = target.item(), exact.v_end.item(), exact.u.item()
    print("target {:.6f}   v at the end {:.6f}   u {:.6f}".format(*row).replace("-", "−"))

# %% [markdown]
# ### What a network learns from the wrong target
#
# Equation (2) holds for the exact $u$. But a network that is trained towards this target soon differs from the exact $u$, and its derivative changes too. Write $w$ for what it has learned. Training moves $w$ towards its target, at a rate of $v - h\, \mathrm dw/\mathrm dt - w$ per unit of training time: values of $w$ travel along the path towards larger t, with speed h, and are forgotten on the way. What remains is a function that equals its own target: along the path, for each fixed h,
#
# $$w = v - h\, \frac{\mathrm d w}{\mathrm d t} \qquad\Longrightarrow\qquad \frac{\mathrm d}{\mathrm d t}\Bigl[e^{t/h}\, w\Bigr] = \frac{e^{t/h}}{h}\, v .$$
#
# Values enter at t = h, where r = 0, and nothing determines this w(h). Its influence fades as t grows, and then
#
# $$w(t) = \int_0^\infty e^{-k}\, v(t - h k)\, \mathrm d k . \tag{3}$$
#
# <details><summary>The integral, step by step</summary>
#
# A jump of length h needs t ≥ h. (With the right tangent the speed is t − r; at t = r it is 0, so no values enter, and w = v.) Integrate from t = h:
#
# $$w(t) = e^{-(t - h)/h}\, w(h) + \frac1h \int_h^t e^{-(t - \tau)/h}\, v(\tau)\, \mathrm d\tau .$$
#
# The first term fades as t grows. If we continue v to earlier times, we can also start the integral at −∞ (the first term is then 0), and with $\tau = t - h k$ it becomes (3).
#
# </details>
#
# So for jumps much shorter than t, where the influence of w(h) has faded, the network does not settle at the velocity at the end of the jump (k = 1), but at an *exponentially weighted average* of the velocities at all earlier times. Write v′ for the derivative of v along the path. Since $\int_0^\infty e^{-k} k\, \mathrm dk = 1$, this average equals $v - h v'$ to first order in h, as the velocity at the end does; the mean velocity is $v - \frac h2 v'$.
#
# We trained networks on a Gaussian, whose paths have a formula, with the right tangent and with h fixed. The figure shows the jumps from one point, one standard deviation above the mean of $x_t$ at t = 0.91, to every end r; the table below covers all starting points. For (3) the formula for v is continued to negative times, which a network never sees; so at small r the dashed curve is no prediction.

# %% tags=["hide-input"]
runs = {name: read("meanflow-line", name) for name in ("right", "held")}
times, shares, places = GRID
i, j = int((times - 0.9).abs().argmin()), int((places - 1.0).abs().argmin())
t = times[i].double()
ends = t * shares.double()
exact = gaussian_velocities(t.expand(len(ends)), ends, places[j].double(), GAUSSIAN)
found = {name: run["u"][:, i, :, j] for name, run in runs.items()}
learned(ends.numpy(), {k: v.numpy() for k, v in exact.items()}, found)

# %% tags=["hide-input"]
T, S, P = (v.double() for v in torch.meshgrid(*GRID, indexing="ij"))
whole = {k: v.numpy() for k, v in gaussian_velocities(T, S * T, P, GAUSSIAN).items()}
short = shares.numpy() >= 0.5  # jumps that end at t/2 or later
apart = {n: {k: np.sqrt(((run["u"] - v)[:, :, short] ** 2).mean((1, 2, 3))) for k, v in whole.items()} for n, run in runs.items()}
seeds = {n: run["u"].std(0)[:, 0].mean() for n, run in runs.items()}  # of jumps to r = 0
lines = ["| tangent | RMS distance to the mean velocity | to the velocity at the end | to the weighted average (3) | standard deviation between seeds at r = 0 |", "|---" * 5 + "|"]
for name, title in (("right", "r held"), ("held", "t − r held")):
    row = [ranged(apart[name][k]) for k in ("mean", "end", "average")]
    lines.append(f"| {title} | " + " | ".join([*row, f"{seeds[name]:.3f}"]) + " |")
Markdown("\n".join(lines))

# %% [markdown]
# The distances are over a grid of jumps that end at t/2 or later, and means of three seeds (lowest to highest). For short jumps, at the right end of the figure, the networks with the wrong tangent follow the weighted average. For long jumps, at small r, the seeds disagree: w(h), which nothing determines, still matters there.
# The networks with the right tangent are not exact either: at r = 0 and between 0.5 and 0.8 they lie a little above u. They were trained for only 2000 steps of 256.
#
# ## The method, from its source
#
# | the paper (Algorithm 1) | here |
# |---|---|
# | `t, r = sample_t_r()` | `FlowMapPairs` |
# | `z = (1 - t) * x + t * e`, `v = e - x` | `perturb`, and `z - x`; our z is the paper's e, and our $x_t$ is its z |
# | `u, dudt = jvp(fn, (z, r, t), (v, 0, 1))` | `jvp`; r is not among the arguments that move |
# | `u_tgt = v - (t - r) * dudt`, with a stop-gradient | the same; `jvp` of `cmlab.ops` lets no gradient into the derivative |

# %%
show_source(MeanFlow.residual)

# %% [markdown]
# ### The velocity of one sample instead of v
#
# In practice $v$ is not known. One replaces it by the velocity of a single sample, $z - x = v + \xi$, where the noise $\xi$ has mean 0 for each $x_t$. The replacement occurs in two places, as a summand and in the tangent. Insert both into the residual of the exact u:
#
# $$u - (v + \xi) + (t - r)\, \bigl[\partial_t u + \partial_x u \cdot (v + \xi)\bigr]$$
#
# $$= \underbrace{u - v + (t - r)\, \frac{\mathrm d u}{\mathrm d t}}_{0,\ \text{by (1)}} \; - \; \xi + (t - r)\, \partial_x u \cdot \xi .$$
#
# The remaining terms are linear in ξ. Their mean is therefore 0, and the target is right on average. (This is so for the plain squared error. MeanFlow also weights each sample by a power of its own error; such a weight is correlated with ξ and moves the minimum. See *The adaptive weight* below.) Since $X = x_t - (t - r)\, u$, we have $1 - (t - r)\, \partial_x u = \partial_x X$, and
#
# $$\text{MeanFlow's noise} = -\, \partial_x X \cdot \xi, \qquad\qquad \text{improved MeanFlow's noise} = -\, \xi .$$
#
# Improved MeanFlow reads the same residual as a residual for v: $V_\theta = u + (t - r)\, \text{stopgrad}(\mathrm du/\mathrm dt)$ is compared with z − x. For this to be a regression, $V_\theta$ must be a function of $x_t$ and the times alone, so the tangent must not contain z − x. The network's own velocity takes its place, and ξ appears only once. (In the authors' code a second head gives this velocity; guidance and conditioning, its other changes, are left out here.)

# %%
predict("19.2")

# %% [markdown]
# ## The key figure
#
# The data are the ring of eight modes, with exact paths. The left panel shows the squared noise of MeanFlow's target relative to that of improved MeanFlow, $\lVert \partial_x X\, \xi \rVert^2 / \lVert \xi \rVert^2$, as the median over 200 pairs of data and noise for each jump. The right panel shows how this ratio is distributed over 1500 pairs, for three jumps; a dot marks the ratio of the two *mean* squared noises. All this is for the exact u. During training $\partial_x u$ is the network's, which smooths the borders between the modes.

# %%
sides = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
lower = (0.0, *sides[:-1])
ratio = np.full((len(lower), len(sides)), np.nan)
for row, r in enumerate(lower):
    for column in range(row, len(sides)):
        ratio[row, column] = noise_ratio(Ring(), sides[column], r, 200, seed=0).median()
three = ((0.99, 0.0), (0.9, 0.5), (0.5, 0.2))
spread = {f"(t, r) = {p}": squared_noises(Ring(), *p, 1500, seed=0) for p in three}
noise_on_the_ring(sides, lower, ratio, spread)

# %% [markdown]
# A number below 1 means that, for the typical pair, MeanFlow's target is less noisy than that of improved MeanFlow; all 21 numbers are. For the jump that one-step sampling needs, from t near 1 to 0, the squared noise of a typical pair is more than ten times smaller: paths converge on their way to the data, so $\partial_x X$ is small.
# But look at the tail in the right panel. A few pairs lie between two modes, where neighbouring paths part, and there the squared noise is multiplied by hundreds. These few pairs dominate the *mean*; if ∂u/∂θ is not small there, they dominate the variance of a gradient as well. So the velocity of a single sample in the JVP adds noise on average, because of a few pairs, and removes noise for most pairs. Both hold for jumps that end at the data or near it; for the jump from 0.9 to 0.5, where paths have not yet parted, it removes noise on average as well.
#
# ## In training the noise matters, but the choice of tangent does not
#
# The methods in the table differ only in the velocities that they use; the last one has the exact v in both places.

# %% tags=["hide-input"]
plain, own = read("maps", "meanflow"), read("meanflow", "own-tangent")
scores = {"RMS distance: one call to the exact map": "rmse1", "random jumps to the exact map": "rmse_jump", "velocity to the exact one": "rmse_velocity", "sliced W₂: one call to the data": "sw1"}
head = ["| ring, 2000 steps of 256 | " + " | ".join(scores) + " |", "|---" * 5 + "|"]
line = lambda title, run: f"| {title} | " + " | ".join(ranged(run.score(k)) for k in scores.values()) + " |"
noiseless = read("meanflow", "exact")
compared = {"MeanFlow": plain, "improved: the network's own tangent": own, "MeanFlow with the exact v, without noise": noiseless}
Markdown("\n".join([*head, *(line(*row) for row in compared.items())]))

# %% [markdown]
# Between the two tangents there is no measurable difference: all ranges overlap. The noise as a whole, however, costs something: without it, one call and random jumps are closer to the exact map, and the ranges do not overlap.
#
# ## Two settings that do not carry over
#
# ### The adaptive weight, in 2 and in 64 dimensions
#
# The paper divides the squared error ℓ of each sample by $(\ell + c)^p$, without a gradient through the divisor, and uses p = 1 for ImageNet. Which loss has this gradient? Integrate $\ell'/(\ell + c)^p$:
#
# $$\int \frac{\mathrm d \ell}{(\ell + c)^p} = \frac{(\ell + c)^{1 - p}}{1 - p}, \qquad\text{and}\quad \ln(\ell + c) \quad\text{for}\ p = 1 .$$
#
# (In this section c = 1e-3. If c were comparable with ℓ, the weight would hardly vary, and the effect would vanish.)
# Take the jump of length zero at t = 1. There $x_t = z$ says nothing about the data. The targets $z - x$ lie on a ring around z, and the right answer is their mean, the centre of this ring. With p = 1 the loss of an output a is the average of $\ln \lVert y - a \rVert$ over the targets y, up to a factor 2 and the small c.
# In the plane, the mean of $\ln \lVert y - a \rVert$ over a circle of radius R is ln R for every a inside. (The logarithm is the potential of a charged thread, and inside a uniformly charged tube there is no field.) So on a full circle p = 1 makes **every output inside the circle as good as the mean**. For our eight modes this is nearly true up to 0.6; beyond, the loss falls towards a mode and rises between two.
# For an output off the centre the near targets have a small ℓ, and p = 1 gives them a large weight, which cancels the pull of the far ones. In 64 dimensions (32 such rings together) ℓ is a sum of 64 squares and therefore about the same for all samples, and dividing by a constant changes nothing.

# %%
shifts, powers = torch.linspace(0, 1.6, 60), (0.0, 0.5, 1.0)
planes = {"In 2 dimensions the loss is flat for p = 1": 1, "In 64 dimensions p hardly matters": 32}
panels = {
    title: {p: landscape(rings(20_000, n, 0), shifts, p) for p in powers}
    for title, n in planes.items()
}
landscapes(shifts, panels)

# %% tags=["hide-input"]
weights = {"p = 0": plain, "p = 0.5": read("meanflow", "p-half"), "p = 1": read("meanflow", "p-1")}
Markdown("\n".join([*head, *(line(*row) for row in weights.items())]))

# %% [markdown]
# The velocity suffers most; even p = 0.5 doubles its error. So for toy data in the plane use p = 0, as `toy.meanflow` does, if the velocity or short jumps matter. For one call alone p = 0.5 was better here, and the ranges do not overlap. Presumably the weight tames the few pairs whose noise is hundreds of times larger (key figure). For images, with their many dimensions, the calculation gives no reason to expect such harm (not tested).
#
# The number that a training log shows for p = 1 is not the loss $\ln(\ell + c)$ but the weighted error $\ell/(\ell + c)$, which stays close to 1 as long as ℓ is well above c, however good the network is. So monitor ℓ itself.
#
# ### Why "ratio 0.75" means opposite things
#
# A part of each batch has r = t, where (1) reduces to plain flow matching. Both official implementations set the size of this part with the number 0.75:
#
# | implementation | its name | what it is | on the diagonal |
# |---|---|---|---|
# | ImageNet (JAX) | `data_proportion` = 0.75 | the fraction with r = t | 75 % |
# | CIFAR-10 (PyTorch) | `ratio` = 0.75 | the fraction with r ≠ t | 25 % |
#
# Both implementations draw two times from a logit-normal distribution and sort them, but their distributions differ. (In the code below `LogNormal` is the distribution of σ = t/(1 − t); the logarithm of this σ is the logit of t, so t is logit-normal.)

# %%
points = torch.zeros(3000, 2)
codes = {
    "ImageNet: hardly ever the full jump\nlogit-normal (−0.4, 1)": FlowMapPairs(
        LogNormal(-0.4, 1.0), 0.75, of_the_later=True
    ),
    "CIFAR-10: about as often as with\nuniform times; logit-normal (−2, 2)": FlowMapPairs(
        LogNormal(-2.0, 2.0), 0.25, of_the_later=True
    ),
}
torch.manual_seed(0)
both_ratios({title: pairs(RectifiedFlow(), points, 0) for title, pairs in codes.items()})

# %% tags=["hide-input", "nbval-check-output"]
for code, mean, std in (("ImageNet", -0.4, 1.0), ("CIFAR-10", -2.0, 2.0)):
    print(f"{code}: P(t > 0.95 and r < 0.05) = {corner(mean, std):.1e} for a jump off the diagonal")
print(f"uniform times: {2 * 0.05 * 0.05:.1e}")

# %% [markdown]
# The small circle in the corner of each panel marks (t, r) = (1, 0), the only jump that a one-step sampler uses. The ImageNet recipe hardly ever trains near it, so the network has to extrapolate to it. Smooth time features might make this possible. On the ring, features of eight times the frequency make one call much worse (see *Further comparisons*), which agrees with this but does not prove it.

# %% [markdown]
# ## Exercises
#
# ### A · guided: a network with other inputs
#
# Write MeanFlow's residual $u - \text{stopgrad}\bigl(v - (t - r)\, \mathrm du/\mathrm dt\bigr)$ for a network that is told neither t nor h, but $\kappa = \ln\frac{t}{1 - t}$ and the ratio q = r/t: it is called as `u(x_t, kappa, q)`. `x_t` and `v` are (b, 1), `t` and `r` are (b,). Along the path, with r held fixed, how fast do κ and q change?


# %% tags=["exercise"]
def meanflow_residual(u, x_t, t, r, v):
    """MeanFlow's residual; the gradient passes through the first u alone."""
    # 1. the three inputs, and the tangent of each
    # 2. u and du/dt with torch.func.jvp(u, inputs, tangents)
    # 3. the target, without a gradient   4. u minus the target
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.meanflow_residual(meanflow_residual)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# A tangent is a derivative with respect to t: that of x_t is v. Differentiate ln t − ln(1 − t), and r/t with r held fixed. `y.detach()` passes no gradient on; `(t - r)[:, None]` has the right shape to multiply each sample.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def meanflow_residual(u, x_t, t, r, v):
#     inputs = x_t, (t / (1 - t)).log(), r / t
#     tangents = v, 1 / (t * (1 - t)), -r / t**2
#     mean, du = torch.func.jvp(u, inputs, tangents)
#     target = v - (t - r)[:, None] * du
#     return mean - target.detach()
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: the tangent with the least noise
#
# The summand keeps the velocity of the sample, v + ξ. Let the tangent be v + aξ instead: a = 1 is MeanFlow and a = 0 improved MeanFlow, and for every a the target is right on average. For which a is the mean square of the noise smallest, over all pairs of a batch?
# Return this a, one number, and the noise that is then left in the residual, (b, 1). `u(x_t, t, r)` is any mean velocity, exact or not, and `xi` (b, 1) is ξ.


# %% tags=["exercise"]
def best_share(u, x_t, t, r, xi):
    """(a, noise): the best share of ξ in the tangent, and the noise (b, 1) that it leaves."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.best_share(best_share)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Write the noise as −ξ + a η, with an η that one JVP gives (its tangent is ξ on x_t, and the times do not move). The sum of squares is a parabola in a.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# import torch
#
#
# def best_share(u, x_t, t, r, xi):
#     _, across = torch.func.jvp(lambda x: u(x, t, r), (x_t,), (xi,))
#     eta = (t - r)[:, None] * across
#     a = (xi * eta).sum() / (eta * eta).sum()
#     return a, a * eta - xi
# ```
#
# For a single jump and Gaussian data, $\partial_x X$ is the same everywhere, and $a = 1/(1 - \partial_x X)$ leaves no noise at all. With many jumps, or several modes, no single a can do this. And in training ξ is not known, because v is not: this a can be computed only where the exact velocity is, or estimated.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over three seeds (lowest to highest); noise ratios are computed from the exact paths, with three sets of pairs.

# %% tags=["hide-input"]
medians = [float(noise_ratio(Ring(), 0.99, 0.0, 1000, seed).median()) for seed in range(3)]
both = [squared_noises(Ring(), 0.99, 0.0, 1000, seed) for seed in range(3)]
means = [float(ours.mean() / theirs.mean()) for ours, theirs in both]
flat = [float(landscape(rings(20_000, 1, seed), torch.tensor([0.6]), 1.0)[0]) for seed in range(3)]
round_ = [float(landscape(rings(20_000, 32, seed), torch.tensor([0.6]), 1.0)[0]) for seed in range(3)]
v_error, rmse1 = ({k: run.score(s) for k, run in weights.items()} for s in ("rmse_velocity", "rmse1"))
same = own.score("rmse1").min() <= plain.score("rmse1").max() and plain.score("rmse1").min() <= own.score("rmse1").max()
held = apart["held"]
nearest = min(("mean", "end", "average"), key=lambda k: held[k].mean())
named = {"mean": "the mean velocity", "end": "the velocity at the end", "average": "the weighted average (3)"}

# %% tags=["hide-input"]
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| u = v − (t − r) du/dt, with the tangent (v, 1, 0) (MeanFlow, eq. 6) | RMS distance of the learned u from the exact one, on a Gaussian, jumps that end at t/2 or later: {ranged(apart["right"]["mean"])} | confirmed here: derived, and for these jumps learned to within {apart["right"]["mean"].mean():.3f} |
| *not in the paper:* with t − r held fixed the target of the exact u is the velocity at the end | derived; differences agree to 6 digits | confirmed here, exactly |
| … and so a network with this mistake learns that velocity | jumps that end at t/2 or later, RMS distance of the learned function: {ranged(held["end"])} from the velocity at the end, {ranged(held["average"])} from the weighted average, {ranged(held["mean"])} from u | {"confirmed here" if nearest == "end" else f"not seen at this scale: it comes nearest to {named[nearest]}, as derived"} |
| *often said:* the velocity of a single sample in the JVP makes the target noisier | jump (0.99, 0), squared noise: median of the ratio {ranged(medians, ".2f")}, ratio of the means {ranged(means, ".1f")} | partly: on average, because of a few pairs; the typical target is less noisy |
| improved MeanFlow is better *(here in 2 dimensions, without guidance)* | one call to the exact map, RMS distance: improved {ranged(own.score("rmse1"))}, MeanFlow {ranged(plain.score("rmse1"))} | {"not seen at this scale: indistinguishable" if same else "confirmed here" if own.score("rmse1").mean() < plain.score("rmse1").mean() else "not seen at this scale: it is worse"} |
| *not in the paper:* with p = 1 the loss is flat inside a ring, in 2 dimensions | loss of an answer 0.6 off the mean (0 if it is flat, 0.36 for p = 0): {ranged(flat, ".3f").replace("-", "−")} in 2, {ranged(round_, ".3f")} in 64 dimensions | confirmed here |
| … so that the learned velocity is much worse there | RMS error: p = 0 {ranged(v_error["p = 0"])}, p = 1 {ranged(v_error["p = 1"])} | {"confirmed here" if v_error["p = 1"].min() > 2 * v_error["p = 0"].max() else "partly"} |
| the adaptive weight with p = 1 helps one-step generation (MeanFlow, Section 4.3, on images) | one call to the exact map, RMS distance: p = 1 {ranged(rmse1["p = 1"])}, p = 0 {ranged(rmse1["p = 0"])} | {"confirmed here" if rmse1["p = 1"].max() < rmse1["p = 0"].min() else "not seen at this scale: it is worse"} |
""")

# %% [markdown]
# ### Further comparisons (optional)

# %% tags=["hide-input"]
all_runs = {"meanflow": plain} | recorded("meanflow", VARIANTS)
seen = {p: [noise_ratio(Ring(), *p, 500, seed) for seed in range(3)] for p in ((0.5, 0.0), (0.9, 0.5))}
long, short_ = ({k: [float(getattr(r, k)()) for r in seen[p]] for k in ("median", "mean")} for p in seen)
rows = [
    f"| jump (0.5, 0): MeanFlow's squared noise over improved MeanFlow's is below 1 for the typical pair and far above on average | median {ranged(long['median'], '.2f')}, mean {ranged(long['mean'], '.0f')} | {'confirmed here' if max(long['median']) < 1 < min(long['mean']) else 'partly'} |",
    f"| jump (0.9, 0.5), far above the scale of the data: it is below 1 on average too | median {ranged(short_['median'], '.2f')}, mean {ranged(short_['mean'], '.2f')} | {'confirmed here' if max(short_['mean']) < 1 else 'not seen'} |",
    f"| t > 0.95 and r < 0.05: one jump in a hundred in a second recipe of the CIFAR-10 code, four in a million in the ImageNet recipe | exactly {(1 - below(0.95, -0.6, 1.6)) * below(0.05, -4.0, 1.6):.1e}; {corner(-0.4, 1.0):.1e} | confirmed here |",
]
Markdown(
    "<details><summary>Six statements, and what was measured</summary>\n\nEach variant differs from MeanFlow in one setting: for r = t the time is the later of two draws, as in the ImageNet code, instead of a single draw; or the time features have a higher frequency. All have three seeds of 2000 steps.\n\n"
    + "\n".join([findings_table(FINDINGS, all_runs, TITLES), *rows])
    + "\n\n</details>"
)

# %% [markdown]
# ### What to remember
#
# 1. **MeanFlow's derivative turns the velocity at the start into the mean velocity, if its tangent is right.** With t − r held, training approaches another function for short jumps, and for long ones its result depends on the seed.
# 2. **A target that is right on average can still be noisy.** Which target is noisier depends on the jump, and on whether you ask for the typical pair or the mean.
# 3. **Whether a weight does harm depends on the number of dimensions, and what a setting means depends on the implementation.** Check both before you copy a value.
#
# ## Budget

# %% tags=["hide-input"]
record = [run.record for run in (*all_runs.values(), *runs.values())]
total, seconds = sum(3 * r["samples"] for r in record), [s for r in record for s in r["seconds"]]
print(f"Recorded: {len(record)} variants with 3 seeds each, {total / 1e6:.2f} million training samples in all; a run has 2000 steps of 256.")
print(f"Each run took {min(seconds):.0f} to {max(seconds):.0f} s, on a machine that was also doing other work; one command was {record[2]['command']}")

# %% [markdown]
# **Next:** lab 17 compares the methods of this course.
