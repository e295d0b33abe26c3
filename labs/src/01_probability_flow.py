# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Probability flow
#
# **How does noise become data?**
#
# | | |
# |---|---|
# | Paper | Karras, Aittala, Aila & Laine 2022, *Elucidating the Design Space of Diffusion-Based Generative Models* (EDM), [arXiv:2206.00364](https://arxiv.org/abs/2206.00364) |
# | Level | 1 of 3 |
# | Part | The object |
# | Time | 45 minutes |
# | Run All | 9 s on 2 CPU cores |
# | You need | the normal distribution, derivatives, a little Python; no lab before this one |
#
# After this lab you can
#
# 1. **describe** how noise blurs the distribution of the data, and follow one noisy point back along its exact path;
# 2. **write** the two parts of the sampler of the paper above: its noise levels, and one step of its solver, Heun's method;
# 3. **measure** what the steps of a solver cost, and say when a better solver is worth its cost and when it is not.
#
# This lab trains nothing. Every denoiser in it is exact, so every error that you see is the solver's.

# %%
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.plots_line import slope
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab01_flow import checks
from cmlab_labs.lab01_flow.analysis import (
    end_error,
    heun_on_path,
    share_errors,
    step_errors,
)
from cmlab_labs.lab01_flow.explorer import explorer
from cmlab_labs.lab01_flow.figures import (
    convergence_order,
    local_errors,
    quantile_paths,
    solvers_on_ring,
)
from IPython.display import Markdown

from cmlab.data.toy import Bumps, Ring
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture1D
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun, ode

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact results need double precision

# %% [markdown]
# ## Try it first
#
# Our data x are single numbers with three **modes**: 30 % of them lie near −1.2, 50 % near 0.2, and 20 % near 1.4 (with standard deviations 0.15, 0.25 and 0.1). Add noise to such a number: $x_t = x + t\,z$, where z is
# drawn from the standard normal distribution and t is the **noise level**. In the picture t grows to the right, so noise is on the right and the data are on the
# left. The darker the grey, the more likely a noisy number $x_t$ is at this noise level.
#
# The thin lines are paths that lead from noise to data, and the black line is the path from your starting point. The marked line is the route of a **solver**, which is meant to follow the
# black line, but takes only N straight steps. The picture opens with a failure: with six steps the solver ends in the **wrong mode**. How does the error shrink each
# time you double N? And with the slider *start* at 0.3?

# %%
explorer().turn({}, hide=("rho", "lower", "upper", "below", "above", "width", "solver"))

# %% [markdown]
# (Click on a slider and use the arrow keys, or Page Up and Page Down for larger steps. *Euler*, in the text below the picture, is the name of this solver; *The method* explains it. The answer is folded under *Explore*.)
#
# ## Predict
#
# A solver starts from pure noise, at noise level t = 10, and goes down to the data at t = 0. Every step is a straight line, so it misses the path wherever the path turns.
# Suppose that every step removes a tenth of the noise that is left, that is, goes from t to 0.9 t.

# %%
predict("01.1")

# %% [markdown]
# ## The exact object
#
# Write $p_t$ for the distribution of $x_t = x + t\,z$. It is the distribution of the data, blurred by noise of standard deviation t. The
# standard deviation of the data themselves, their *spread*, is 0.94.
#
# What is the best guess of x when $x_t$ and t are known? In the sense of least squares it is the mean of x given $x_t$:
#
# $$D(x_t, t) = \mathrm{E}[x \mid x_t] .$$
#
# D is called the **denoiser**. A diffusion model is a network that has learned D; here D is known exactly.
#
# The **probability flow ODE** (an ordinary differential equation) uses D to move the points. It gives every point a slope. The slopes are such that, at every noise level t, the moving
# points have exactly the distribution $p_t$:
#
# $$\frac{\mathrm{d}x_t}{\mathrm{d}t} = \frac{x_t - D(x_t, t)}{t} = -t\,\nabla \ln p_t(x_t).$$
#
# The first form is the one to remember: $x_t - D$ is the estimated noise in $x_t$; divided by t, it is the estimate of z. The second form, with the gradient of the
# log-density, is the one you will meet in papers; that the two are equal is known as *Tweedie's formula*.
#
# For one Gaussian you can check the claim at once. With data $N(0, \sigma_d^2)$ the mean is $D = \sigma_d^2\, x_t/(\sigma_d^2 + t^2)$, so the slope is $t\, x_t/(\sigma_d^2 + t^2)$, and the paths are
# $x_t = c\,\sqrt{\sigma_d^2 + t^2}$: the points spread exactly as $p_t = N(0, \sigma_d^2 + t^2)$ does.
#
# <details><summary>The proof for any data, on the line</summary>
#
# Write $p(x_t \mid x)$ for the density of $x_t$ when x is known, a normal one, so that $p_t(x_t) = \int p(x)\, p(x_t \mid x)\,\mathrm{d}x$. Differentiate with respect to $x_t$ and divide by $p_t$:
#
# $$\nabla \ln p_t(x_t) = \frac{1}{p_t(x_t)} \int p(x)\, \frac{x - x_t}{t^2}\, p(x_t \mid x)\,\mathrm{d}x = \frac{D(x_t, t) - x_t}{t^2} .$$
#
# This is Tweedie's formula, and it makes the two forms of the slope equal. The normal density satisfies the heat equation $\partial p(x_t \mid x)/\partial t = t\, \partial^2 p(x_t \mid x)/\partial x_t^2$, hence so does $p_t$, and
#
# $$\frac{\partial p_t}{\partial t} = t\, \frac{\partial^2 p_t}{\partial x_t^2} = -\frac{\partial}{\partial x_t}\Bigl(p_t \cdot \bigl(-t\, \frac{\partial \ln p_t}{\partial x_t}\bigr)\Bigr) .$$
#
# This is the continuity equation: it says how a density changes when its points move with the slope $-t\, \partial \ln p_t/\partial x_t$.
#
# </details>

# %%
oracle = Bumps().oracle  # knows the exact distribution at every noise level
quantile_paths(oracle, levels=(0.0, 0.4, 0.8, 1.2, 1.6, 2.0))

# %% [markdown]
# In grey you see the density of $x_t$ at six noise levels, each drawn sideways and scaled to its own peak; in black, five exact paths.
# At every point with t > 0 the ODE prescribes one slope, which changes smoothly from point to point, so two paths never cross (lab 02 says why). In one dimension, each path therefore **keeps its rank**: if 30 % of the points lie below it at
# one noise level, 30 % lie below it at every level. So the ranks alone determine the path, and no ODE has to be solved. Let $F_t(x)$ be the share of noisy points below x at level t
# (the distribution function), and $F_t^{-1}$ its inverse, which gives the point with a given rank. The path through $x_t$ passes, at any other level r, through the point with the same rank,
#
# $$x_r = F_r^{-1}\bigl(F_t(x_t)\bigr).$$

# %% tags=["nbval-check-output"]
levels = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.0])
path = oracle.path(torch.tensor([[8.5]]), levels)[:, 0, 0]
for t, x_t, rank in zip(levels, path, oracle.cdf(path, levels), strict=True):
    print(f"t = {t:4.1f}   x_t = {x_t:6.3f}   rank F_t(x_t) = {rank:.4f}")

# %% [markdown]
# The point 8.5 at t = 10 ends at the lower edge of the upper mode, and its rank has never changed. (The two lower modes hold 80 % of the data, so this path
# runs close to the boundary between two modes, where a small error of a solver has a large effect at the end.) In two or more dimensions
# there are no ranks, and the ODE has to be solved step by step.
#
# ## The method
#
# The slope of the path needs nothing but D. **Euler's method** follows the slope in a straight line to the next lower noise level, r, and ends beside the path:
#
# $$\hat x_r = x_t + (r - t)\, \frac{x_t - D(x_t, t)}{t} .$$
#
# Since r is smaller than t, the factor r − t is negative: we walk from noise to data. Here is one such step in numbers:

# %% tags=["nbval-check-output"]
x, t, r = torch.tensor([[8.5]]), torch.tensor([10.0]), torch.tensor([3.0])
slope_t = (x - oracle.denoise(x, t)) / t
x_r = x + (r - t) * slope_t
print(f"slope {slope_t.item():.3f}, Euler's step ends at {x_r.item():.3f}")
print(f"the exact path passes through {oracle.flow(x, t, r).item():.3f}")

# %% [markdown]
# **Heun's method** goes on from there. It measures the slope a second time, at the point where Euler's step ends, and then repeats the step from $x_t$ with the mean of
# the two slopes, which is exact where the slope changes linearly along the step. (A step to t = 0 is left as Euler's, since the second slope would be 0/0.) This is Algorithm 1 of the EDM paper; exercise B asks you for it.
#
# Which noise levels should the steps connect? The paper takes N levels $t_0 > t_1 > \dots > t_{N-1}$ **whose ρ-th roots are evenly spaced** from a largest level $\sigma_{\max}$ to a smallest one $\sigma_{\min}$, and then
# $t_N = 0$. With ρ = 1 all steps but the last are equally long; a larger ρ makes them shorter near the data. Exercise A asks you for the formula.
#
# So N steps connect N + 1 levels. Heun's method needs two slopes per step, except for the last step. That makes
# **2 N − 1 network calls**. (Here D is exact, and we count its calls as if it were a network. `VarianceExploding` is the name in code for noise of standard deviation t on an unscaled signal.)

# %% tags=["nbval-check-output"]
grid, calls = KarrasGrid(sigma_min=0.002, sigma_max=10.0, rho=7.0), []
D = lambda x, t: calls.append(1) or oracle.denoise(x, t)  # counts its calls
*_, end = ode(VarianceExploding(), D, torch.tensor([[8.5]]), grid.down(18), heun)
print(f"18 steps of Heun: {len(calls)} network calls,", end=" ")
print(f"end {end.item():.3f}, exact end {path[-1]:.3f}")

# %% [markdown]
# ## Explore
#
# Here is the solver from the beginning, with all its controls.
#
# Three things to try. Give Heun's method 2, 3 and 4 steps, and Euler's 5 (as many calls as 3 of Heun's): which ends nearer to the end of the path?
# How does the error of each shrink when you double N? Set both outer shares to 0, so that a single mode is left:
# how does the bend change with the width of that mode?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# The exact path ends at 1.13. With 2 steps Heun's method ends at 4.31, far from all data, with 3 steps (5 calls) at 2.28, with 4 (7 calls) at 0.87. Euler's method ends at 0.49 after 5 calls, with a smaller error than Heun's.
# With 6, 12, 24, 48 and 96 steps Euler's error is 0.63, 0.51, 0.44, 0.38 and 0.32: this path runs so close to a boundary between two modes that doubling N takes less than a fifth off. From a start at 0.3 it is 0.042, 0.02, 0.0093, 0.0045 and 0.0023: each time about half. Heun's (8, 16, 32 and 64 steps from 0.85) is 0.14, 0.066, 0.027 and 0.0085.
#
# With a single mode of width b the path is $0.2 + c\,\sqrt{b^2 + t^2}$, with c = 0.83 for this start: straight where t is much larger than b, flat where it is much smaller, and with a bend (the size of the second derivative) of at most c/b. A narrower mode bends the path more sharply, and at lower noise.
#
# </details>

# %% [markdown]
# ## The key figure
#
# We solve the ODE from 64 starting points whose ranks are evenly spaced, each time with six different numbers of steps. The exact ends are known, so the error can be measured directly:
# `end_error` runs the solver and returns the distance to the end of the exact path.

# %%
starts = 10.0 * torch.special.ndtri((torch.arange(64) + 0.5) / 64)[:, None]
steps, solvers = (4, 8, 16, 32, 64, 128), {"Euler": ddim, "Heun": heun}
errors = {
    name: [float(end_error(oracle, starts, grid.down(n), solver).mean()) for n in steps]
    for name, solver in solvers.items()
}
convergence_order(steps, errors)

# %% tags=["hide-input", "nbval-check-output"]
for name in solvers:
    print(f"{name}: slope −{-slope(steps, errors[name]):.2f} from 16 steps on; with 16 steps the error is {errors[name][2]:.2g}.")
print(
    f"Four steps: Euler {errors['Euler'][0]:.2f}, Heun {errors['Heun'][0]:.2f}. A higher order helps only once the steps are short."
)

# %% [markdown]
# On logarithmic axes an error that falls like $N^{-k}$ is a straight line of slope −k, and k is called the **order** of the solver. Once the steps are short enough, doubling their number divides Euler's error by two (order 1)
# and Heun's by four (order 2).
#
# ### Where a step misses most
#
# On each of 64 exact paths, and at each noise level, we compare one Euler step from t to 0.9 t with the exact path.
# The right panel shows the *bend* alone, the size of the second derivative of the path. The dashed lines are a control: the same for **one Gaussian** that has the mean and the spread of our data, but no modes.

# %% tags=["hide-input"]
t = torch.logspace(1, -2.5, 60)
center = (oracle.weights * oracle.components.means.flatten()).sum()
one = Mixture1D(torch.ones(1), center[None], torch.tensor([oracle.sigma_data]))  # one Gaussian
missed, alone = (share_errors(exact, starts, t) for exact in (oracle, one))
# A step of length h misses by half the bend times h².
bends, alone_bends = (2 * errors / (0.1 * t[:, None]) ** 2 for errors in (missed, alone))
local_errors(t, missed, bends, (alone, alone_bends), oracle.sigma_data)

# %% tags=["hide-input", "nbval-check-output"]
middle, control = missed.median(1).values, alone.median(1).values
worst, region = t[middle.argmax()], t[middle > middle.max() / 2]
bent = {float(level): float(b) for level, b in zip(t, bends.median(1).values, strict=True)}
near = lambda level: bent[min(bent, key=lambda at: abs(at / level - 1))]
print(f"The median step misses most at t = {worst:.1f}. Its error is more than half of this maximum only between t = {region[0]:.1f} and t = {region[-1]:.1f}.")
print(
    f"At t = 10 its error is smaller by a factor of {middle.max() / middle[0]:.0f}, though the step is {10 / worst:.0f} times as long; at t = {t[-1]:.3f} by a factor of about {float(f'{middle.max() / middle[-1]:.0e}'):,.0f}.".replace(",000", " 000")
)
print(f"For one Gaussian the median step misses most at t = {t[control.argmax()]:.1f} too; its error there is {control.max() / middle.max():.2f} times as large.")
print("Median bend of the paths:", ", ".join(f"{near(at):.2g} at t = {at:g}" for at in (10, 1, 0.3, 0.1, 0.01)) + ".")

# %% [markdown]
# At high noise the noise dwarfs the data, D is nearly the mean of all data, and a path that heads for a fixed point is straight. Near the data a point hardly moves any more. In between, where
# the noise is about as wide as the data, every path has to turn from its straight course to its end. This needs no modes: the steps of one Gaussian miss most at the same level (exercise B asks you why). The modes add to it, since each path also turns towards its own mode.
#
# The error of a short step is half the bend times the square of the step's length.
# The bend itself is largest near the data, where t is smaller than the width b of a mode: there a path flattens, as $\sqrt{b^2 + t^2}$ does. But each step is so short there that it misses by next to nothing.
#
# ### The same in two dimensions
#
# Now the data are points in the plane, in eight modes on a ring. There are no ranks, so the exact flow is computed numerically, to a tolerance a thousand times smaller than any error below.
# The panel on the right makes the fair comparison: it plots the error against the number of **network calls**, not of steps.

# %% tags=["hide-input"]
eight = Ring().oracle
far = 10.0 * torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
calls = {"Euler": (4, 8, 16, 32, 64, 128), "Heun": (3, 7, 15, 31, 63, 127)}
errors_2d = {
    name: [
        float(
            end_error(eight, far, grid.down(n if solver is ddim else (n + 1) // 2), solver).mean()
        )
        for n in calls[name]
    ]
    for name, solver in solvers.items()
}
solvers_on_ring(eight.path(far[:64], grid.down(60)), calls, errors_2d)

# %% [markdown]
# On the left are 64 exact paths and their ends. At high noise every path heads for the centre, which is the mean of all data; then it turns to one mode, often from inside the ring (the sharp bends).
# On the right is the mean distance to the exact end for 256 paths. With few calls Euler is ahead, and not only because Heun can afford half as many steps: with 4 steps each, Euler's error is smaller too. There are two possible causes. Heun's second slope is measured
# where a long Euler step has ended, off the path; and over a very long step the mean of the slopes at both ends is not the mean slope on the way. To tell them apart, we measure Heun's second slope
# on the exact path instead, which no solver can do:

# %% tags=["hide-input"]
for n in (2, 4):
    there = float(end_error(eight, far, grid.down(n), heun_on_path(eight)).mean())
    heuns, euler = (errors_2d[name][k] for name, k in (("Heun", calls["Heun"].index(2 * n - 1)), ("Euler", n // 4)))
    print(f"{n} steps of Heun, {2 * n - 1} calls: error {heuns:.2g}, with second slopes on the path {there:.2g}; {calls['Euler'][n // 4]} steps of Euler: {euler:.2g}.")
print("So with 4 steps most of Heun's error comes from where the second slope is measured, and with 2 steps from the averaging.")
changes = []
for seed in (1, 2, 3):
    other = 10.0 * torch.randn(256, 2, generator=torch.Generator().manual_seed(seed))
    exact = eight.flow(other, torch.full((256,), 10.0), torch.zeros(256))
    for name, solver in solvers.items():
        for n, error in zip(calls[name], errors_2d[name], strict=True):
            levels = grid.down(n if solver is ddim else (n + 1) // 2)
            *_, end = ode(VarianceExploding(), eight.denoise, other, levels, solver)
            changes.append(float((end - exact).norm(dim=1).mean()) / error - 1)
print(f"Three other draws of the 256 starting points change these errors by {100 * min(changes):+.1f} % to {100 * max(changes):+.1f} %.".replace("-", "−"))

# %% [markdown]
# ### How should the levels be spaced?
#
# We now vary ρ. With 18 steps of Heun's method we start from two highest noise levels, 10 as in this lab and 80 as in the paper, on the line and on the ring.

# %% tags=["hide-input"]
rhos, tops = (1, 3, 5, 7, 10), (10.0, 80.0)
table = {
    f"error at the end, {name}, σ_max = {top:g}": [
        float(end_error(exact, x * top / 10, KarrasGrid(0.002, top, rho).down(18)).mean())
        for rho in rhos
    ]
    for name, exact, x in (("line", oracle, starts), ("ring", eight, far))
    for top in tops
}
uneven = {  # of the steps above 0, each from the exact path
    f"unevenness of the steps, line, σ_max = {top:g}": [
        float(step_errors(oracle, starts * top / 10, KarrasGrid(0.002, top, rho).down(18)[:-1]).log10().std())
        for rho in rhos
    ]
    for top in tops
}
gain = [row[0] / row[3] for row in table.values()]
best = ", ".join(
    f"{rhos[row.index(min(row))]} ({name.removeprefix('error at the end, ')})" for name, row in table.items()
)
print(f"The error at the end with ρ = 1 is {min(gain):.0f} to {max(gain):.0f} times the error with ρ = 7. It is lowest at ρ = {best}.")
head = [
    " | ".join(["| 18 steps of Heun", *(f"ρ = {rho}" for rho in rhos)]) + " |",
    "|---" * 6 + "|",
]
rows = [
    " | ".join([f"| {name}", *(format(value, form) for value in row)]) + " |"
    for part, form in ((table, ".2g"), (uneven, ".2f"))
    for name, row in part.items()
]
note = "\n\n*Unevenness* is the standard deviation of log₁₀ of the errors of single steps."
folded("The errors of 18 Heun steps by ρ", "\n".join(head + rows) + note)

# %% [markdown]
# With steps of equal length (ρ = 1) most are wasted at high noise, where the paths are straight. Above ρ = 3 the choice matters less; which ρ is best depends on the data and on the starting level.
#
# ## Exercises
#
# ### A · guided: the noise levels of a sampler
#
# Write the n levels whose ρ-th roots are evenly spaced from $\sigma_{\max}$ down to $\sigma_{\min}$, without the 0 at the end. The check requires exact ends, strictly decreasing levels,
# even spacing for ρ = 1, and a finite answer for n = 1.


# %% tags=["exercise"]
def karras_sigmas(n, sigma_min, sigma_max, rho):
    """n noise levels, strictly falling from sigma_max to sigma_min, even in their ρ-th roots."""
    # 1. how far along is each level? shares i / (n - 1) for i = 0 … n - 1 (and if n is 1?)
    # 2. the ρ-th roots of the two ends, and the points between them at these shares
    # 3. back from roots to noise levels
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.karras_sigmas(karras_sigmas)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `torch.linspace(0, 1, n)` gives all shares i / (n − 1) at once. For n = 1 it gives 0, which is the first level alone, without a division by zero.
# The first level is $\sigma_{\max}$, so the shares count from there.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def karras_sigmas(n, sigma_min, sigma_max, rho):
#     """n noise levels, strictly falling from sigma_max to sigma_min, even in their ρ-th roots."""
#     share = torch.linspace(0, 1, n, dtype=torch.float64)
#     first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
#     return (first + share * (last - first)) ** rho
# ```
#
# This is the paper's equation 5: $t_i = \bigl(\sigma_{\max}^{1/\rho} + \tfrac{i}{N-1}(\sigma_{\min}^{1/\rho} - \sigma_{\max}^{1/\rho})\bigr)^{\rho}$ for i from 0 to N − 1, and $t_N = 0$.
#
# </details>

# %% [markdown]
# ### B · on your own: one step of Heun's method
#
# `denoise(x, t)` returns D, for x of shape (b, 1) and a number t. Write the step from level t to level r, with 0 < r < t.
# The check follows 33 exact paths with your step, first in 32 steps and then in 64. With a method of order two, this divides the error by four.
#
# Then on paper, for a short step of Euler's method: the data are $N(0, \sigma_d^2)$, and the paths are those under *The exact object*. What is the bend of a path, and by how much does the step from t to 0.9 t miss?
# At which t does it miss most? Compare with the dashed line in *Where a step misses most*.


# %% tags=["exercise"]
def heun_step(denoise, x, t, r):
    """x at noise level r, from x at noise level t > r: Heun's step, two calls of denoise."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.heun_step(heun_step)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# You need three lines before the return: the slope at x and t; the point where Euler's step would end; and the slope **there**, at level r.
# The step itself starts at x again and uses the mean of the two slopes. What is the sign of r − t?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def heun_step(denoise, x, t, r):
#     """x at noise level r, from x at noise level t > r: Heun's step, two calls of denoise."""
#     slope = (x - denoise(x, t)) / t
#     euler = x + (r - t) * slope
#     slope_there = (euler - denoise(euler, r)) / r
#     return x + (r - t) * (slope + slope_there) / 2
# ```
#
# On paper: the bend of $x_t = c\,\sqrt{\sigma_d^2 + t^2}$ is $c\,\sigma_d^2/(\sigma_d^2 + t^2)^{3/2}$, and a step of length 0.1 t misses by half of it times $0.01\,t^2$. So the error is proportional to $t^2/(\sigma_d^2 + t^2)^{3/2}$.
# Its derivative is 0 where $2\,(\sigma_d^2 + t^2) = 3\,t^2$: the step misses most at $t = \sqrt2\,\sigma_d$, which is 1.33 for $\sigma_d = 0.94$. The figure shows the maximum at the nearest of its 60 levels.
#
# </details>

# %% [markdown]
# This is the package's own step, to compare with yours and with the paper's Algorithm 1. It works for other processes too, so it asks `process` for the scale of the signal (`alpha`, which is 1 here) and of the noise
# (`sigma`, which is t here).
#
# | EDM, Algorithm 1 | in words | in `cmlab/sampling.py` |
# |---|---|---|
# | $d_i = (x_i - D(x_i; t_i)) / t_i$ | the slope at the start, an estimate of the noise z | `process.noise` |
# | $x_{i+1} = x_i + (t_{i+1} - t_i)\, d_i$ | Euler's step (for diffusion models it is known as DDIM) | `ddim` |
# | $d_i' = (x_{i+1} - D(x_{i+1}; t_{i+1})) / t_{i+1}$ | the slope at the end of Euler's step | `z_r` in `heun` |
# | $x_{i+1} = x_i + (t_{i+1} - t_i)\,\tfrac12 (d_i + d_i')$ | Heun's step, with the mean of both slopes | the last line of `heun` |
# | if $t_{i+1} = 0$, keep Euler's step | at t = 0 the second slope would be 0/0 | `ode` |

# %%
show_source(heun)

# %% [markdown]
# ## What the paper claims, what you saw
#
# The claims are those of Sections 3 and 4 (and Appendix D.1) of the EDM paper and, for the 35 calls, of its abstract, in our words.

# %% tags=["hide-input"]
most_even = [rhos[row.index(min(row))] for row in uneven.values()]
even_ok = "partly: most even at ρ = 3, but not nearly equal" if most_even == [3, 3] else "not seen at this scale"
even = " and ".join(f"{min(row):.2f} from σ_max = {top:g}" for top, row in zip(tops, uneven.values(), strict=True))
euler, heuns = errors_2d["Euler"], errors_2d["Heun"]
claims = f"""
| the paper claims | measured here, exactly | verdict |
|---|---|---|
| Heun's method is of second order, Euler's of first | slopes of the error −{-slope(steps, errors["Heun"]):.2f} and −{-slope(steps, errors["Euler"]):.2f} | confirmed here |
| Heun's method has a smaller error for the same number of network calls | ring, about 32 calls: Euler {euler[3]:.2g}, Heun {heuns[3]:.2g}; about 16 calls: Euler {euler[2]:.2g}, Heun {heuns[2]:.2g} | partly: not with few calls |
| Paths are nearly straight at large and at small noise and bend in a small region between | a step that removes a tenth of the noise misses most at t = {worst:.1f}, and more than half of this maximum only between t = {region[0]:.1f} and {region[-1]:.1f}; the median bend of the paths is {near(10):.2g} at t = 10, {near(1):.2g} at t = 1, {near(0.01):.2g} at t = 0.01 | partly: confirmed at large noise. At small noise it depends on the data: towards the two single points of the paper's sketch (Figure 3) paths are straight, and modes of width b bend them by about 1/b |
| Steps should be shorter near the data (ρ above 1; the paper takes 7) | with 18 steps, the error for ρ = 1 is {min(gain):.0f} to {max(gain):.0f} times the error for ρ = 7 | confirmed here |
| ρ = 3 makes the errors of the steps nearly equal | on the line the errors of single steps vary least at ρ = 3: the standard deviation of their log₁₀ is {even} (folded table) | {even_ok} |
| ρ from 5 to 10 makes better images, and so can stochastic sampling (Algorithm 2) | the error at the end is lowest at ρ = {best}; all steps of this lab are deterministic | not run here: there are no images to judge |
| 35 network calls make a CIFAR-10 image | 18 steps of Heun are 35 calls, and leave an error of {100 * next(iter(table.values()))[3] / oracle.sigma_data:.1f} % of the spread of the data (line, σ_max = 10) | not run here: no image was made |
"""
Markdown(claims)

# %% [markdown]
# ### What to remember
#
# 1. Noise becomes data along a path that an ODE determines, and the slope of the path needs nothing but the denoiser D.
# 2. The path is easy to follow at high noise and close to the data. A step that removes a tenth of the noise misses most where the noise is about as wide as the data, with or without modes. Nearer to the data the paths bend more, but such a step is shorter still.
# 3. A solver's order describes its error for short steps only; with few calls Euler's method is ahead. Compare solvers by network calls: a step of Euler's costs one, a step of Heun's two.
#
# ## Budget
#
# No network was called or trained: the calls that this lab counts are calls of the exact denoiser. Run All takes 9 seconds on 2 CPU cores.
#
# **Next:** lab 02 looks for a function that jumps to the end of the path in **one** call.
