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
# | Time | 40 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | the normal distribution, derivatives, a little Python; no lab before this one |
#
# After this lab you can
#
# 1. **read** x_t = x + t z as a blur of the data, and follow one point back along its exact path;
# 2. **write** the two parts of the EDM sampler: its noise levels and one step of Heun's method;
# 3. **measure** what a solver's steps cost, and say when a better solver pays and when it does not.
#
# This lab trains nothing. Every denoiser in it is exact, so every error that you see is the solver's.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_line import slope
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab01_flow import checks
from cmlab_labs.lab01_flow.analysis import end_error
from cmlab_labs.lab01_flow.explorer import explorer
from cmlab_labs.lab01_flow.figures import (
    convergence_order,
    local_errors,
    quantile_paths,
    solvers_on_ring,
)

from cmlab.data.toy import Bumps, Ring
from cmlab.noise_levels import KarrasGrid
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun, ode

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact maths deserves all its digits

# %% [markdown]
# ## Predict
#
# A sampler starts in pure noise, at noise level t = 10, and walks down to the data at t = 0. The data have spread
# (standard deviation) 0.94. Each step follows a straight line, so it misses what the path bends away.
# Say that every step takes away a tenth of the noise that is left: from t to 0.9 t.

# %%
predict("01.1")

# %% [markdown]
# ## The exact object
#
# Take data x, add noise of level t: $x_t = x + t z$, with standard normal $z$. The law of $x_t$ is the law of the data,
# blurred by t. Our data are numbers with three modes: 30 % near −1.2, 50 % near 0.2, 20 % near 1.4.
#
# The **probability flow ODE** moves points so that their law stays the right one at every t:
#
# $$\frac{\mathrm{d}x_t}{\mathrm{d}t} = -t\,\nabla \ln p_t(x_t) = \frac{x_t - D(x_t, t)}{t}, \qquad D(x_t, t) = \mathrm{E}[x \mid x_t].$$
#
# D is the best guess of the data under the noise. A diffusion model is a network that learned D. Here D is known exactly.

# %%
law = Bumps().oracle
quantile_paths(law, levels=(0.0, 0.4, 0.8, 1.2, 1.6, 2.0))

# %% [markdown]
# Grey: the density at six noise levels, each drawn sideways and scaled to its own peak. Black: five exact paths.
# On the line paths cannot cross, so each **keeps its rank**: the point with 30 % of the others below it has 30 % below it
# at every level. That gives the path with no ODE to solve, $x_s = F_s^{-1}(F_t(x_t))$ with $F_t$ the distribution function at level t.

# %% tags=["nbval-check-output"]
levels = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.0])
way = law.path(torch.tensor([[8.5]]), levels)[:, 0, 0]
for t, x_t, rank in zip(levels, way, law.cdf(way, levels), strict=True):
    print(f"t = {t:4.1f}   x_t = {x_t:6.3f}   rank F_t(x_t) = {rank:.4f}")

# %% [markdown]
# Noise has become data: x = 8.5 at t = 10 ends in the upper mode, and its rank never changed. In two or more dimensions
# there are no ranks, and the ODE has to be solved.
#
# ## The method, from its source
#
# The slope of the path needs nothing but D. With the paper's letters, $\sigma(t) = t$ and $s(t) = 1$:
#
# | EDM, Algorithm 1 | here |
# |---|---|
# | $d_i = (x_i - D(x_i; t_i)) / t_i$ | `process.noise(x_t, x, t)`: under EDM the slope **is** the estimated noise z |
# | $x_{i+1} = x_i + (t_{i+1} - t_i)\, d_i$ (Euler) | `ddim`: slide along the line through x_t and the estimate |
# | $d_i' = (x_{i+1} - D(x_{i+1}; t_{i+1})) / t_{i+1}$ | `z_r` in `heun` |
# | $x_{i+1} = x_i + (t_{i+1} - t_i)\,\tfrac12 (d_i + d_i')$ (Heun) | the last line of `heun` |
# | if $t_{i+1} = 0$, keep Euler's step | `solver if r > 0 else ddim` in `ode` |
#
# Below is the package's own code. It works for other processes as well; under EDM `alpha` is 1 and `sigma` is t.

# %%
show_source(ddim)

# %%
show_source(heun)

# %%
show_source(ode)

# %% [markdown]
# The levels between $t_0 = \sigma_{\max}$ and $t_{N-1} = \sigma_{\min}$ are even in the ρ-th root. ρ = 1 makes all steps
# equally long; a larger ρ makes them shorter near the data:
#
# $$t_i = \Bigl(\sigma_{\max}^{1/\rho} + \tfrac{i}{N-1}\bigl(\sigma_{\min}^{1/\rho} - \sigma_{\max}^{1/\rho}\bigr)\Bigr)^{\rho}, \qquad t_N = 0.$$

# %%
show_source(KarrasGrid.at)

# %% [markdown]
# So N steps have N + 1 levels, the last of them 0. Heun measures two slopes a step, and the last step is Euler's:
# **2 N − 1 network calls**. Let us count.

# %% tags=["nbval-check-output"]
grid, calls = KarrasGrid(sigma_min=0.002, sigma_max=10.0, rho=7.0), []
*_, end = ode(
    VarianceExploding(),
    lambda x, t: calls.append(1) or law.denoise(x, t),
    torch.tensor([[8.5]]),
    grid.down(18),
)
print(
    f"18 steps of Heun: {len(calls)} network calls, end {end.item():.3f}, exact end {way[-1]:.3f}"
)

# %% [markdown]
# ## Explore
#
# The black line is the exact path from your start, the marked line is the solver's walk, and the thin lines are other exact paths.
# It opens on a failure: with six steps of Euler this start ends in the **wrong mode**.
# Click a slider and use the arrow keys, or Page Up and Page Down for larger steps.
#
# Three things to try: how many Euler steps does it take to reach the right mode, and how many of Heun's?
# Give Heun 2, 3 and 4 steps: is the better method better there? Put both outer shares to 0, so that one mode is left:
# how does the bend change with its width?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# 64 starts at even ranks, six numbers of steps. The exact ends are known, so the error is measured and not estimated:
# `end_error` walks `ode` down the levels and answers with the distance to the end of the exact path.

# %%
starts = 10.0 * torch.special.ndtri((torch.arange(64) + 0.5) / 64)[:, None]
steps, solvers = (4, 8, 16, 32, 64, 128), {"Euler": ddim, "Heun": heun}
errors = {
    name: [float(end_error(law, starts, grid.down(n), solver).mean()) for n in steps]
    for name, solver in solvers.items()
}
convergence_order(law, steps, errors)

# %% tags=["hide-input", "nbval-check-output"]
for name in solvers:
    print(
        f"{name}: slope {slope(steps, errors[name]):.2f} from 16 steps on; with 16 steps the error is {errors[name][2]:.2g}."
    )
print(
    f"Four steps: Euler {errors['Euler'][0]:.2f}, Heun {errors['Heun'][0]:.2f}. A higher order helps only once the steps are short."
)

# %% [markdown]
# ### Where the paths bend
#
# Now the answer to your prediction. From each of 64 exact paths, at each noise level, one Euler step from t to 0.9 t is compared with the exact path.

# %%
t = torch.logspace(1, -2.5, 60)
missed = []
for level, x_t in zip(t, law.path(starts, t), strict=True):
    now, then = level.repeat(64), 0.9 * level.repeat(64)
    missed.append(
        (ddim(VarianceExploding(), law.denoise, x_t, now, then) - law.flow(x_t, now, then)).abs()
    )
missed = torch.stack(missed)[..., 0]
local_errors(t, missed, law.sigma_data)

# %% tags=["hide-input", "nbval-check-output"]
middle = missed.median(1).values
worst, bend = t[middle.argmax()], t[middle > middle.max() / 2]
print(
    f"The median step misses most at t = {worst:.1f}; the spread of the data is {law.sigma_data:.2f}."
)
print(
    f"It misses over half as much from t = {bend[0]:.1f} down to t = {bend[-1]:.1f}, and nowhere else."
)
print(
    f"At t = 10 it misses {middle.max() / middle[0]:.0f} times less, though the step is {10 / worst:.0f} times as long; at t = {t[-1]:.3f}, {middle.max() / middle[-1]:.0f} times less."
)

# %% [markdown]
# ### The same in two dimensions
#
# Eight modes on a ring. There are no ranks now; the exact flow is solved to a tolerance a thousand times finer than any error below.
# The right-hand side asks the fair question: not error per step, but error per **network call**.

# %%
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
# Left: 64 exact paths and their ends. Far out every path heads for the centre, which is the mean of all data; close to the ring it turns to one mode.
# Right: mean distance to the exact end of 256 paths. With few calls Euler is ahead, because Heun spends half of its calls on second slopes.
# Three other draws of the 256 starts (seeds 1, 2 and 3) change these errors by 4 % at most.

# %% [markdown]
# ## Exercises
#
# ### A · guided: the noise levels of a sampler
#
# Write the n levels from $\sigma_{\max}$ down to $\sigma_{\min}$, without the 0 at the end. The check wants exact ends, a strict fall,
# even levels for ρ = 1, and a finite answer for n = 1.


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
# `torch.linspace(0, 1, n)` gives all shares at once, and for n = 1 it gives 0: the first level alone, with no division by zero.
# The first level is $\sigma_{\max}$, so the share counts from there.
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
# </details>

# %% [markdown]
# ### B · on your own: one step of Heun's method
#
# `denoise(x, t)` answers with D, for x of shape (b, 1) and a number t. Write the step from level t to level r, with 0 < r < t.
# The check walks your step along 33 exact paths with 32 and with 64 steps: order two means that the error falls to a quarter.


# %% tags=["exercise"]
def heun_step(denoise, x, t, r):
    """x at noise level r, from x at noise level t > r: Heun's step, two calls of denoise."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.heun_step(heun_step)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Three lines before the return: the slope at x and t; where Euler's step would end; the slope **there**, at level r.
# The step itself starts at x again and uses the mean of the two slopes. Which sign has r − t?
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
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# The claims are those of EDM's Section 3 and, for the 35 calls, of its abstract, as reported. One measurement is still missing:
# the error of 18 Heun steps for several ρ, from the two noise levels that samplers start at, on the line and on the ring.

# %% tags=["hide-input"]
rhos, tops = (1, 3, 5, 7, 10), (10.0, 80.0)
table = {
    f"{name}, σ_max = {top:g}": [
        float(end_error(oracle, x * top / 10, KarrasGrid(0.002, top, rho).down(18)).mean())
        for rho in rhos
    ]
    for name, oracle, x in (("line", law, starts), ("ring", eight, far))
    for top in tops
}

# %% tags=["hide-input"]
from IPython.display import Markdown

head = [
    " | ".join(["| 18 steps of Heun", *(f"ρ = {rho}" for rho in rhos)]) + " |",
    "|---" * 6 + "|",
]
rows = [
    " | ".join([f"| {name}", *(f"{error:.2g}" for error in row)]) + " |"
    for name, row in table.items()
]
Markdown("\n".join(head + rows))

# %% tags=["hide-input"]
gain = [row[0] / row[3] for row in table.values()]
best = ", ".join(str(rhos[row.index(min(row))]) for row in table.values())
euler, heuns = errors_2d["Euler"], errors_2d["Heun"]
claims = f"""
| the paper claims | measured here, exactly | verdict |
|---|---|---|
| Heun's method is of second order, Euler's of first | slopes of the error {slope(steps, errors["Heun"]):.2f} and {slope(steps, errors["Euler"]):.2f} | shows |
| Heun gives less error for the same number of network calls | ring, about 32 calls: Euler {euler[3]:.2g}, Heun {heuns[3]:.2g}; about 16 calls: Euler {euler[2]:.2g}, Heun {heuns[2]:.2g} | shows in part: not with few calls |
| Paths are nearly straight at large and at small noise and bend in a small region between | a step over a tenth of the noise misses most at t = {worst:.1f}; over half as much only from t = {bend[0]:.1f} to {bend[-1]:.1f}; {middle.max() / middle[0]:.0f} times less at t = 10 | shows; the region is not small here |
| Steps should be shorter near the data: ρ = 7 | with 18 steps ρ = 7 errs {min(gain):.0f} to {max(gain):.0f} times less than ρ = 1 | shows |
| ρ = 3 evens out the error of the steps, yet ρ of 5 to 10 makes better images | lowest error at ρ = {best} in the four rows above | does not show at this size: the best ρ depends on σ_max, and there are no images to judge |
| 35 network calls make a CIFAR-10 image | 18 steps of Heun are 35 calls, and leave {table["line, σ_max = 10"][3] / law.sigma_data:.1%} of the data's spread as error | shows in part: the count, not the image |
"""
Markdown(claims)

# %% [markdown]
# Three lines to take with you: noise becomes data along a path that an ODE fixes; the path is easy far out and close in, and one region decides;
# and every step on it costs a network call. The next lab asks for a function that jumps to the end of the path in **one** call.
#
# ## Budget
#
# Network calls: 0, the denoiser is exact (a trained one would have been called just as often as the counts above say).
# Samples seen in training: 0. 8 seconds for Run All on 2 CPU cores.
