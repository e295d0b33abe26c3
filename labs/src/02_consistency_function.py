# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · The consistency function
#
# **What exactly must the network learn?**
#
# | | |
# |---|---|
# | Paper | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Section 3, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 1 of 3 |
# | Part | The object |
# | Time | 40 minutes |
# | Run All | 8 s on 2 CPU cores |
# | You need | the idea of a path from noise to data (lab 01), the normal distribution, square roots |
#
# After this lab you can
#
# 1. **state** the two properties that define the consistency function f, and check them with numbers;
# 2. **derive** f exactly, for a Gaussian and for any law on the line;
# 3. **explain** why f is not the average of the data that could lie under the noise, and why a network that regresses from x_t to the data learns that average instead.
#
# This lab trains nothing. Every f in it is exact, so what you see is the goal itself, not an attempt at it.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_line import between_modes, maps, quantile_points
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab02_consistency import checks
from cmlab_labs.lab02_consistency.explorer import explorer
from cmlab_labs.lab02_consistency.figures import basins, gap_curves, nearest_mode, rms_gap
from IPython.display import Markdown

from cmlab.oracle import Mixture, Mixture1D, Oracle

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact maths deserves all its digits

# %% [markdown]
# ## Predict
#
# The data are numbers with two modes: 40 % lie near −1.2, 60 % near 1.0, and next to none between.
# You take one of them, add a lot of noise (level t = 2) and get x_t = −0.2.

# %%
predict("02.1")

# %% [markdown]
# ## The exact object
#
# Add noise of level t to data x: $x_t = x + t z$ with standard normal $z$. The noisy law $p_t$ is the data law,
# blurred. Through every point of the x–t plane runs one path of the **probability flow ODE**,
#
# $$\frac{\mathrm{d}x_t}{\mathrm{d}t} = \frac{x_t - D(x_t, t)}{t}, \qquad D(x_t, t) = \mathrm{E}[x \mid x_t],$$
#
# and along the paths $p_T$ turns into $p_\varepsilon$, the data with a trace of noise (here $\varepsilon = 0.002$).
# The **consistency function** answers with the end of the path:
#
# $$f(x_t, t) = x_\varepsilon .$$
#
# Two properties define it. **Self-consistency**: $f(x_t, t) = f(x_r, r)$ for any two points of one path.
# **Boundary condition**: $f(x_\varepsilon, \varepsilon) = x_\varepsilon$; a path that is already at its end stays there.

# %%
law = Mixture1D(
    weights=torch.tensor([0.4, 0.6]),
    means=torch.tensor([-1.2, 1.0]),
    stds=torch.tensor([0.2, 0.2]),
)

# %% [markdown]
# On the line two paths can never cross. So a path keeps its rank: if 30 % of the points lie below it at one noise
# level, 30 % lie below it at every level. The path through $x_t$ therefore ends at the point of the data that has the
# same rank, and no ODE has to be solved. With $F_t$ the distribution function of $p_t$,
#
# $$f(x_t, t) = F_\varepsilon^{-1}\bigl(F_t(x_t)\bigr).$$
#
# Below, one path at four noise levels: its position changes, its rank and its f do not.

# %% tags=["nbval-check-output"]
levels = torch.tensor([0.002, 0.5, 1.0, 3.0])
way = law.path(torch.tensor([-0.2]), levels.flip(0)).flip(0)[:, 0]
rank, f = law.cdf(way, levels), law.consistency(way, levels)
for row in zip(levels, way, rank, f, strict=True):
    print("t = {:5.3f}   x_t = {:6.3f}   rank F_t(x_t) = {:.4f}   f = {:.4f}".format(*row))

# %% [markdown]
# For **one Gaussian** $N(\mu, s^2)$ the noisy law is $N(\mu, s^2 + t^2)$. Equal rank means equal distance from the mean in
# standard deviations. That fixes f in one line, in any number of dimensions; exercise A asks you for it.

# %% [markdown]
# ## The method, from its source
#
# | the paper (Section 3) | here |
# |---|---|
# | $f: (x_t, t) \mapsto x_\varepsilon$ | `Oracle.consistency`: the flow, read at σ_min |
# | the solution of the PF ODE between two times | `flow(x_t, level, to)` |
# | $F_\varepsilon^{-1}(F_t(x))$, on the line | `Mixture1D`, solved for the rank by Newton's steps |
#
# The code below is the package's own.

# %%
show_source(Oracle.consistency)

# %%
show_source(Mixture1D._flow)

# %% [markdown]
# The posterior mean is another function of the same two arguments. Turn the ODE round and it has a picture too:
#
# $$D(x_t, t) = x_t - t\,\frac{\mathrm{d}x_t}{\mathrm{d}t}.$$
#
# Stand at $x_t$, take the direction of the path, and walk straight on to t = 0: you arrive at D.
# **D is where the tangent ends. f is where the path ends.** A network call gives you one or the other.

# %% tags=["nbval-check-output"]
x, t = torch.tensor([-0.2]), torch.tensor([2.0])
tangent_ends = x - t * law.velocity(x, t)
print(f"end of the tangent {tangent_ends.item():.4f}")
print(f"posterior mean D   {law.denoise(x, t).item():.4f}")
print(f"end of the path f  {law.consistency(x, t).item():.4f}")

# %% [markdown]
# ## Explore
#
# Choose a path, then slide the point **along** it with the second slider: x_t and D change, f does not.
# Then push it **off** with the third: f changes, and near the path that parts the two modes it leaps from one to the other.
# At the left edge lies the data's density; on the right are all answers at this noise level.
# Click a slider and use the arrow keys, or Page Up and Page Down for larger steps.
#
# Three things to try:
# find the path that parts the modes (which share of the paths lies below it, and why just that?);
# bring t to 0.05 and compare f with D; hide D and look how steeply f climbs.

# %%
explorer(law)

# %% [markdown]
# ## The key figure
#
# Look at how the colours lie to the black lines, which are exact paths. Hatching marks answers in the gap between the modes.

# %%
maps(law)

# %% [markdown]
# How to read it:

# %% tags=["nbval-check-output"]
x_t, t = quantile_points(law, 3.0, 2000), torch.full((2000,), 3.0)
answers = law.consistency(x_t, t), law.denoise(x_t, t)
in_gap = [between_modes(law, answer).double().mean() for answer in answers]
print("Left: the colours follow the paths. The number on a path is f, one for all its points.")
print("Middle: D crosses the paths. The more noise, the paler: it tends to the mean of all data.")
print("Right: at t = 3, {:.1%} of all f and {:.1%} of all D lie in the gap.".format(*in_gap))

# %% [markdown]
# ### Why not regress straight to the data?
#
# Show a network $x_t$, ask for the $x$ that the noise was added to, and punish the squared error. Many $x$ can lie
# behind one $x_t$, and the answer with the least squared error is their average: D, not f. With little noise there is hardly anything to
# average over and the two agree. With much noise D is a single point, the mean of all data, whatever $x_t$ is.

# %%
one = Mixture1D(torch.ones(1), torch.tensor([0.12]), torch.tensor([law.sigma_data]))
laws = {"two modes": law, "one Gaussian, same mean and spread": one}
gap_curves(laws, [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 80.0])

# %% [markdown]
# So even for one Gaussian D is not f: only on the path of its mean do they coincide.
# D says where the data are on average. Follow it a little, and ask again, and you walk along the path: that is a diffusion sampler, one call a step.
# f is what you would have found at the end of the walk. It has to be learned in another way, and labs 04 and 05 show two.
#
# ### In the plane: which noise becomes what
#
# Eight modes on a ring, some heavier than others. Each point of the noise plane belongs to the mode in which its path ends.

# %%
weights = torch.tensor([1.0, 3, 1, 2, 1, 4, 2, 2]) / 16
angle = torch.arange(8) * torch.pi / 4
circle = torch.stack([angle.cos(), angle.sin()], 1)
ring = Mixture(weights, circle, torch.full((8,), 0.1))
noise = 10 * torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
basins(ring, noise, high=10.0)

# %%
z = 10 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(1))
T = torch.full((4000,), 10.0)
share = torch.bincount(nearest_mode(ring, ring.consistency(z, T)), minlength=8) / 4000
print("mode                 " + "".join(f"{k:7d}" for k in range(1, 9)))
print("weight in the data   " + "".join(f"{w:7.3f}" for w in weights))
print("share of the noise   " + "".join(f"{s:7.3f}" for s in share))

# %% [markdown]
# A basin holds just as much of the noise as its mode holds of the data. That is how f turns noise into samples in
# **one call** without losing a mode: it moves the noise about and neither adds nor drops any of it.
# Colours repeat what the numbers say.
#
# ### How steep is f?
#
# f is smooth, but look at the parting path in the explorer. Where two neighbouring points end in two modes, f must climb across the gap between them.
# Its slope is known exactly: ranks are kept, so $\partial f/\partial x = p_t(x)/p_\varepsilon(f)$, and in the gap $p_\varepsilon$ is next to nothing.

# %% tags=["nbval-check-output"]
end = torch.linspace(-0.5, 0.3, 801)[:, None]
low, t = torch.full((801,), 0.002), torch.full((801,), 2.0)
x_t = law.flow(end, low, t)
slope = (law.log_density(x_t, t) - law.log_density(end, low)).exp()
where = x_t[slope.argmax()].item()
print(f"steepest slope of f at t = 2: {slope.max():.1e}, at x_t = {where:.2f}")

# %% [markdown]
# A network's slopes are limited, so it has to round off this cliff. Expect its largest errors there.

# %% [markdown]
# ## Exercises
#
# ### A · guided: f of a Gaussian
#
# The data are $N(\mu, s^2)$, so the noisy law is $N(\mu, s^2 + t^2)$. A path keeps its distance from the mean, counted in standard deviations of its own noise level.
# Write where the path through $x$ at level $t$ is when the level is $\varepsilon$. `x` and `t` are tensors of one shape; `mu`, `s` and `eps` are numbers.


# %% tags=["exercise"]
def f_gaussian(x, t, mu, s, eps):
    """The end, at noise level eps, of the path through x at noise level t; data N(mu, s²)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.f_gaussian(f_gaussian)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The standard deviation at level t is √(s² + t²). How many of them is x away from μ? Go to the point that is as many away at level ε.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def f_gaussian(x, t, mu, s, eps):
#     shrink = ((s**2 + eps**2) / (s**2 + t**2)) ** 0.5
#     return mu + (x - mu) * shrink
# ```
#
# D has the same form without the root (and without ε): μ + (x − μ) s² / (s² + t²). One root is the whole difference between the end of the path and the average.
#
# </details>

# %% [markdown]
# ### B · on your own: the map between any two noise levels
#
# f always goes down to ε. Write the **two-time map** f(x, t, s), which carries x along its path from level t to any level s, lower or higher.
# You are given only `cdf(x, level)`, the distribution function $F$ of the noisy law at a level (one level for each x).
# The check tests the identity f(x, t, t) = x and that two legs make one journey: f(f(x, t, s), s, r) = f(x, t, r). Later labs build methods on this map.


# %% tags=["exercise"]
def two_time(x, t, s, cdf):
    """Where the paths through x (b,) at levels t (b,) are when the levels are s (b,)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.two_time(two_time)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# You need y with F_s(y) = F_t(x). F_s rises, so you can find y by halving: start with a bracket wide enough for the highest noise, and keep the half in which F_s crosses the goal.
# `torch.where` does it for all points at once.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def two_time(x, t, s, cdf):
#     goal = cdf(x, t)
#     low, high = torch.full_like(x, -1000.0), torch.full_like(x, 1000.0)
#     for _ in range(80):
#         middle = (low + high) / 2
#         below = cdf(middle, s) < goal
#         low, high = torch.where(below, middle, low), torch.where(below, high, middle)
#     return (low + high) / 2
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Three seeds each; a ± is the spread between them. In one dimension f is known in closed form, on the ring its paths are solved numerically.

# %% tags=["hide-input"]
levels = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.002])
moves, boundary = {"the line": 0.0, "the ring": 0.0}, 0.0
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    for place, oracle in (("the line", law), ("the ring", ring)):
        start = oracle.sample(100, g) + 10 * torch.randn(100, *oracle.shape, generator=g)
        way = oracle.path(start, levels)
        f = oracle.consistency(way.flatten(0, 1), levels.repeat_interleave(100)).view_as(way)
        moves[place] = max(moves[place], (f - f[0]).abs().max().item())
        boundary = max(boundary, (f[-1] - way[-1]).abs().max().item())

# %% tags=["hide-input"]
w1, w1_D, floor, modes = [], [], [], []
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    z, T = 10 * torch.randn(4000, 1, generator=g), torch.full((4000,), 10.0)
    data, fresh = (law.sample(4000, g).flatten().sort().values for _ in range(2))
    f, D = (call(z, T).flatten().sort().values for call in (law.consistency, law.denoise))
    for found, answer in ((w1, f), (w1_D, D), (floor, fresh)):
        found.append((answer - data).abs().mean())  # sorted: the W1 distance on the line
    modes.append([((a[:, None] - law.means).abs() < 0.6).any(0).sum() for a in (f, D)])
w1, w1_D, floor = (torch.stack(found) for found in (w1, w1_D, floor))
modes_f, modes_D = torch.tensor(modes).T.tolist()

# %% tags=["hide-input"]
small, large = rms_gap(law, 0.01), rms_gap(law, 10.0)
Markdown(f"""
| claim | measured here | verdict |
|---|---|---|
| f is the same at all points of one path (self-consistency) | largest change over 7 noise levels, 3 × 100 paths: {moves["the line"]:.0e} on the line, {moves["the ring"]:.0e} on the ring (solver) | shows |
| f(x, ε) = x (boundary condition) | largest difference {boundary:.0e} | shows |
| one call of f turns noise into a sample | W₁ distance to 4000 data: {w1.mean():.3f} ± {w1.std():.3f}; of other data to them: {floor.mean():.3f} ± {floor.std():.3f} | shows, for the exact f: as near to the data as other data are |
| *not in the paper:* regression to x gives the average, not a sample | W₁ of D: {w1_D.mean():.3f} ± {w1_D.std():.3f}; modes reached from t = 10, in three seeds, by f: {modes_f}, by D: {modes_D}, of 2 | shows |
| *not in the paper:* f and D agree with little noise only | RMS gap {small:.1e} at t = 0.01, {large:.2f} at t = 10 | shows |
| a network can learn f | nothing was trained | not tested here: labs 04 and 05 |
""")

# %% [markdown]
# ## Budget
#
# Network calls: 0. Training samples: 0, for nothing is trained. All numbers come from exact laws, in 8 seconds on 2 CPU cores;
# the comparison with data used 3 × 4000 noises at T = 10.
#
# **Next:** lab 03 asks why a network that merely agrees with itself does not answer 0 everywhere.
