# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Continuous time
#
# **What happens when the gap goes to zero?**
#
# | | |
# |---|---|
# | Paper | Lu & Song 2025, *Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models* (sCM), [arXiv:2410.11081](https://arxiv.org/abs/2410.11081); the limit itself is due to Song et al. 2023 (CM), Appendix B, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469) |
# | Level | 3 of 3 |
# | Part | The limit |
# | Time | 80 minutes; 65 without the part marked *optional* |
# | Run All | 11 s on 2 CPU cores |
# | You need | consistency training and distillation (labs 04, 05), derivatives along a direction, float32 and float64 |
#
# After this lab you can
#
# 1. **derive** sCM's loss from the discrete one, and say what its value means;
# 2. **explain** the length of the vector that pulls the network by its three sources: velocity, time input, features;
# 3. **judge** which of the paper's stabilisers a small problem needs, and when a difference may stand in for a derivative.
#
# **Two methods, one loss.** The paper calls its models sCM (s for *simple, stable, and scalable*). sCT trains from data alone, and sCD distils a teacher. They differ in one vector, the velocity $\mathrm{d}x_t/\mathrm{d}t$, just as CT and CD did.
# The authors released no code; what is said here about the paper rests on its text.

# %%
from copy import deepcopy

import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab10_scm import analysis as along
from cmlab_labs.lab10_scm import checks
from cmlab_labs.lab10_scm.explorer import ExactNetwork, SCTTraining, explorer, secants
from cmlab_labs.lab10_scm.figures import (
    TangentLengths,
    bracket_lengths,
    by_gap,
    comparison_table,
    decimal,
    effect,
    existing_recordings,
    first_and_last,
    input_speeds,
    limit_errors,
    loglog_slope,
    loss_and_gradients,
    mean_tangents,
    over_training,
    overlap,
    power,
    ratio_of_means,
    rms_over_levels,
    rmse,
    stabiliser_verdict,
    variant_scores,
)
from cmlab_labs.lab10_scm.study import GAPS
from cmlab_labs.registry import STUDIES
from IPython.display import Markdown

from cmlab.data.toy import Ring
from cmlab.methods import SCM
from cmlab.methods.scm import Clip, ConstantWeight, Unbounded, UnitNorm
from cmlab.model import Angle, Denoiser, QuarterLog, TrigPrecond
from cmlab.nets import MLP, Positional
from cmlab.nets.embedding import Fourier
from cmlab.schedules import Constant

start_lab(threads=1)  # small networks: a second thread would only wait

# %% [markdown]
# ## Try it first
#
# Noisy data move along a path as the time t grows from 0, where there is only data, to π/2, where there is only noise. Below you follow a function along one path. The line through its values at a time t and at an earlier time r is a secant. Move the gap t − r towards 0 and watch the slope of the secant. Then choose the consistency function f*: what is its slope, and why?

# %%
secants()

# %% [markdown]
# ## Predict
#
# Every method so far compared $f(x_t, t)$ with $f(x_r, r)$ at two times t > r. Now let the gap t − r go to zero, and divide the loss by the gap before you take its gradient.

# %%
predict("10.1")

# %% [markdown]
# ## The exact object
#
# ### TrigFlow: time is an angle
#
# So far t was the noise level. From here on t is an angle, and data and noise are mixed in such a way that the spread stays the same:
#
# $$x_t = \cos(t)\, x + \sin(t)\, \sigma_d z, \qquad \frac{\mathrm d x_t}{\mathrm d t} = \cos(t)\, \sigma_d z - \sin(t)\, x, \qquad t \in [0, \tfrac{\pi}{2}] .$$
#
# Here x is a data point, z is standard normal noise, and $\sigma_d$ is a number, usually the standard deviation of the data; then $x_t$, too, has this standard deviation at every t. Divide $x_t$ by cos t, and you have the noisy point $x + \sigma z$ of the earlier labs, at the noise level $\sigma = \sigma_d \tan t$.
#
# The two equations can be solved for x: multiply the first by cos t and the second by sin t, and subtract. What is left is
#
# $$x = \cos(t)\, x_t - \sin(t)\, \frac{\mathrm d x_t}{\mathrm d t} .$$
#
# A network F estimates the velocity in units of $\sigma_d$. Replace $\mathrm d x_t/\mathrm d t$ by $\sigma_d F$, and you have the form of the model:
#
# $$f(x_t, t) = \cos(t)\, x_t - \sin(t)\, \sigma_d F\bigl(\tfrac{x_t}{\sigma_d}, t\bigr) .$$
#
# It satisfies the boundary condition f(x, 0) = x for any network F.
#
# For data from $\mathcal N(0, S^2)$ everything can be written down. Let $v = \cos^2 t\, S^2 + \sin^2 t\, \sigma_d^2$ be the variance of $x_t$. The denoiser is then $D = (S^2 \cos t/v)\, x_t$. The consistency function is $f^* = (S/\sqrt v)\, x_t$, since along a path the distance from the mean, in standard deviations, stays the same (lab 02). For $S = \sigma_d$ the denoiser is $\cos t\; x_t$ and falls to 0, whereas f\* is $x_t$ itself at every t.

# %% [markdown]
# ### Along its path f* does not change
#
# All points of one path have the same end, so $\mathrm d f^*/\mathrm d t = 0$ along it. Together with the boundary condition this one equation determines f*, and no second time occurs in it. For a network f, we compute $\mathrm d f/\mathrm d t$ by the product rule. All factors depend on t, since $x_t$ moves:
#
# $$\frac{\mathrm d f}{\mathrm d t} = \Bigl(-\sin t\; x_t + \cos t\, \frac{\mathrm d x_t}{\mathrm d t}\Bigr) - \sigma_d \Bigl(\cos t\; F + \sin t\, \frac{\mathrm d F}{\mathrm d t}\Bigr)$$
#
# $$\phantom{\frac{\mathrm d f}{\mathrm d t}} = -\cos t\,\Bigl(\sigma_d F - \frac{\mathrm d x_t}{\mathrm d t}\Bigr) - \sin t\,\Bigl(x_t + \sigma_d \frac{\mathrm d F}{\mathrm d t}\Bigr).$$
#
# The second line collects the terms with cos t and those with sin t. It is equation 6 of the paper.
#
# The first bracket asks whether F is the velocity, as in diffusion. (Training on it alone is called *velocity matching*; it gives a denoiser.) The second bracket contains the derivative, that is, how the network's answer changes as the point moves. For f\* only the sum of the two terms has to be zero, not each bracket.
#
# To use the equation, one has to know how $x_t$ moves. A teacher gives the velocity of the path itself, $\mathrm d x_t/\mathrm d t = \sigma_d F_\text{teacher}$ (sCD). One sample gives the velocity of its own mixture of data and noise, $\mathrm d x_t/\mathrm d t = \cos t\, \sigma_d z - \sin t\, x$ (sCT), which is right on average.
# In training df/dt comes with a factor cos t, which stems from the weight of the loss (part 2 of the next section). The factor changes the length of df/dt, but not the points at which df/dt is zero. We call the vector $g = \cos t \; \mathrm d f/\mathrm d t$ the **tangent**. (The paper uses the word for df/dt itself. The tangent g is not the tangent line of lab 02.)
#
# The figure below shows g for 40 000 samples of $\mathcal N(0, 0.25^2)$ at t = 0.9, with $\sigma_d = 0.5$ (with $\sigma_d = S$ every path would be level), for two functions: f\* and the denoiser D. Compare the mean with the scatter.

# %% tags=["hide-input"]
rng = torch.Generator().manual_seed(0)
SD, S = 0.5, 0.25
f, D = along.gaussian_consistency(S, SD), along.gaussian_denoiser(S, SD)
x, z = (torch.randn(40_000, 1, generator=rng).double() for _ in range(2))
plain = SCM(warmup=Constant(1.0), bound=Unbounded(), loss_weighting=ConstantWeight())
panels = {}
for title, model in (
    ("f*: g is zero on the path and on average", f),
    ("D: g is not zero, and this drives training", D),
):
    path = along.sample_path(model.process, S * x, z, torch.full((len(x),), 0.9).double())
    exact = model.process.velocity(path.x_t, D(path.x_t, path.t), path.t)
    g_sample, g_exact = (
        plain.tangent(model, path.x_t, path.t, dx_t, 0)[1] for dx_t in (path.dx_t, exact)
    )
    panels[title] = tuple(v[:, 0].numpy() for v in (path.x_t, g_sample, g_exact))
mean_tangents(panels)

# %% tags=["hide-input", "nbval-check-output"]
rows = ["| | exact paths: largest length of g | single samples: length of the mean of g at $x_t$ | standard deviation about this mean |", "|---" * 4 + "|"]
for name, (x_t, sampled, exact) in zip(("f\\*", "D"), panels.values(), strict=True):
    lean = (sampled @ x_t) / (x_t @ x_t)
    rows.append(f"| {name} | {abs(exact).max():.2f} | {abs(lean):.2f} times that of $x_t$ | {(sampled - lean * x_t).std():.2f} |")
folded("In numbers", "\n".join(rows))

# %% [markdown]
# The tangents of single samples scatter even for f\*, and here more than for D. From data alone, the tangent of a perfect network is not zero for a single sample; it is zero **on average** at each $x_t$. With an exact teacher it is zero at every point.
#
# ## The method, from its source
#
# ### Part 1: the gap goes to zero
#
# Take the squared loss with a weight λ(t), divide it by the gap, and differentiate with the target held fixed. Write $f = f_\theta$ for the student and $f^- = f_{\theta^-}$ for the target. θ⁻ is a copy of θ, so at the same point the two have the same value:
#
# $$\nabla_\theta\, \frac{\lambda(t)}{t - r}\, \bigl\lVert f(x_t, t) - f^-(x_r, r)\bigr\rVert^2
# = \frac{2\, \lambda(t)}{t - r}\; \nabla_\theta f(x_t, t)^{\top} \bigl( f(x_t, t) - f^-(x_r, r) \bigr)$$
#
# $$= 2\, \lambda(t)\; \nabla_\theta f(x_t, t)^{\top}\; \frac{f^-(x_t, t) - f^-(x_r, r)}{t - r}$$
#
# $$\longrightarrow\; 2\, \lambda(t)\; \nabla_\theta f^{\top}\, \frac{\mathrm d f^-}{\mathrm d t} \qquad \text{as } r \to t .$$
#
# The first line is the chain rule, the second replaces f by f⁻ inside the bracket, and the third is the definition of a derivative along the path.
#
# **What a JVP is.** The limit needs df/dt, and so dF/dt. Let F be a function of several numbers y, with the matrix J of its partial derivatives, its Jacobian. If y moves with velocity v, then F changes with velocity J v. This is a *Jacobian-vector product*, or JVP. *Forward mode* computes it together with F(y) in one pass:
# every layer passes on its value and, by the chain rule, the rate at which that value changes. The matrix J is never built. Here y consists of $u = x_t/\sigma_d$ and t, which move with velocities $\mathrm d u/\mathrm d t$ and 1, so
#
# $$J v = \frac{\partial F}{\partial u}\, \frac{\mathrm d u}{\mathrm d t} + \frac{\partial F}{\partial t} = \frac{\mathrm d F}{\mathrm d t} .$$
#
# We take the network of this lab before its training (about 112 000 weights) and one batch of 256 samples from the ring of eight modes, and compare the discrete gradients with the limit, at smaller and smaller gaps. The dotted line is the limit itself, computed by forward mode in 32 bits.

# %% tags=["hide-input"]
small = STUDIES["stabilisers"].variants
student, loud = small["sct"](0).build().double(), small["sct-fourier-16"](0).build().double()
x, z = Ring().oracle.sample(256, rng).double(), torch.randn(256, 2, generator=rng).double()
t = 0.2 + 1.2 * torch.rand(256, generator=rng).double()
path = along.sample_path(student.process, x, z, t)
low = deepcopy(student).float(), path.to(torch.float32)
limit = 2 * along.continuous_gradient(student, path)
gaps = np.logspace(-1, -9, 17).tolist()
errors = {
    "float64": [
        along.relative_error(along.discrete_gradient(student, path, gap), limit) for gap in gaps
    ]
}
errors["float32"] = [
    along.relative_error(along.discrete_gradient(*low, gap), limit) for gap in gaps
]
floor = {"float32": along.relative_error(2 * along.continuous_gradient(*low), limit)}
limit_errors(gaps, errors, floor)

# %% tags=["hide-input"]
best = int(np.argmin(errors["float32"]))
print(f"In 32 bits the best gap is {power(gaps[best])}, with an error of {power(errors['float32'][best])}; at a gap of 10⁻⁷ the error is {100 * errors['float32'][gaps.index(1e-7)]:.0f} %.")
print(f"The limit itself, by forward mode in 32 bits, has an error of {power(floor['float32'])}.")

# %% [markdown]
# ### Part 2: a square with this gradient
#
# **The choice of weight.** Under TrigFlow the network enters f only through $-\sigma_d \sin t\, F$. Put $\nabla_\theta f = -\sigma_d \sin t\; \nabla_\theta F$ into the limit:
#
# $$2\, \lambda(t)\, \nabla_\theta f^{\top}\, \frac{\mathrm d f^-}{\mathrm d t} = -2\, \lambda(t)\, \sigma_d \sin t\; \nabla_\theta F^{\top}\, \frac{\mathrm d f^-}{\mathrm d t} ,$$
#
# and with $\lambda(t) = 1/(\sigma_d \tan t)$ this is
#
# $$-2\, \cos t\; \nabla_\theta F^{\top}\, \frac{\mathrm d f^-}{\mathrm d t} = -2\, \nabla_\theta F^{\top} g, \qquad g = \cos t\, \frac{\mathrm d f^-}{\mathrm d t} .$$
#
# With this weight, which the paper calls the *prior weight*, the factor in front becomes $-2\cos t$ and stays bounded.
#
# **The sign.** The paper's loss is a square that has the same gradient. F⁻ is the target's network, and F⁻ and g are held fixed:
#
# $$\nabla_\theta \bigl\lVert F - F^- - g \bigr\rVert^2 = 2\, \nabla_\theta F^{\top} \bigl( F - F^- - g \bigr) = -2\, \nabla_\theta F^{\top} g \qquad \text{since } F = F^- .$$
#
# So F is pulled towards F⁻ + g, with a plus sign. But θ⁻ *is* θ, so that F − F⁻ is 0 whatever the network does, and the value of the loss is ‖g‖². It is not the distance to a goal, since the goal moves along with the network.
#
# On the left, a small network takes four steps of gradient descent on one sample. F moves towards the minimum of the loss, and the minimum moves on by 0.8 times as much. (The loss falls by 40 % here only because g gets shorter for this one sample.) On the right is the gradient of the square against the limit, for the network and the batch of part 1.

# %% tags=["hide-input"]
torch.manual_seed(0)
line = Denoiser(MLP(1, width=64, embed=Positional(8)), TrigPrecond(SD)).double()
point = along.sample_path(
    line.process, *(torch.tensor([[v]]).double() for v in (0.3, 1.5)), torch.tensor([0.9]).double()
)
descent, places, pulls = torch.optim.SGD(line.parameters(), 0.03), [], []
for _ in range(5):
    F, pull = plain.tangent(line, *point, 0)
    places, pulls = [*places, F.item()], [*pulls, pull.item()]
    descent.zero_grad()
    (F - F.detach() - pull).square().sum().backward()
    descent.step()
F, pull = plain.tangent(student, *path, 0)
ours = along.gradient((F - F.detach() - pull).square().sum() / len(x), student)
theirs = 2 * along.continuous_gradient(student, path)
cosine, ratio = (ours @ theirs / ours.norm() / theirs.norm()).item(), (ours.norm() / theirs.norm()).item()
loss_and_gradients(places, pulls, ours.numpy(), theirs.numpy())

# %% [markdown]
# So the value of the loss does not measure progress. (In training g is bounded first, part 4, so the loss does not even show a tangent that grows without limit.)
#
# ### Part 3: the time input
#
# The network does not read t itself. It reads a number $c_\text{noise}(t)$, the *time input* (the angle t in the paper, ln(σ)/4 in EDM), through *features*, sines and cosines of it (lab 07). Which makes dF/dt large, the time input or the features? By the chain rule
#
# $$\frac{\partial F}{\partial t} = \frac{\mathrm d c_\text{noise}}{\mathrm d t}\; \frac{\mathrm d\,\text{features}}{\mathrm d c_\text{noise}}\; \frac{\partial F}{\partial\,\text{features}} .$$
#
# The first two factors are the *speed of the time input* and the *speed of the features*. Up to the constant $\sigma_d$, they are multiplied by $\sin t$ in df/dt and by $\cos t \sin t$ in g. So multiplied, the speed of ln(σ)/4 grows without bound near pure noise in df/dt, but not in g (left panel).
#
# <details><summary>Why the paper avoids ln(σ)/4, and why g does not grow with it</summary>
#
# With $\sigma = \sigma_d \tan t$, the speed of the time input ln(σ)/4 is $1/(4 \sin t \cos t)$. Times sin t this is $1/(4 \cos t)$, which grows without bound near pure noise, and for this reason the paper takes the angle. But in g the prior weight of part 2 has put one more cos t in front, and what is left is ¼ at every t. The growth is real with another weight. It is real, too, in code that computes df/dt first, in 16 bits: df/dt may overflow there before it is multiplied by cos t.
#
# </details>
#
# The speed of the features is the larger one (right panel). The features are sines and cosines of ω $c_\text{noise}$. *Fourier features* of scale s draw their frequencies at random, ω = 2π s times a standard normal number; for scale 16 they are around 100. *Positional features* have fixed frequencies from 1 downwards.

# %% tags=["hide-input"]
grid, process = torch.linspace(0.02, 1.56, 200).double(), student.process
inputs = {"the angle t": Angle(), "EDM's ln(σ)/4": QuarterLog()}
speeds = {name: torch.func.jvp(lambda s, c=c: c(process, s), (grid,), (torch.ones_like(grid),))[1] for name, c in inputs.items()}
chosen = {
    "positional, of t": (Positional(32), Angle()), "Fourier 0.3, of t": (Fourier(32, 0.3), Angle()),
    "Fourier 16, of t": (Fourier(32, 16.0), Angle()), "Fourier 16, of ln(σ)/4": (Fourier(32, 16.0), QuarterLog()),
}
torch.manual_seed(0)  # the frequencies are drawn: mean of 8 draws
features = {name: sum(along.feature_speed(*c, process, grid) for _ in range(8)) / 8 for name, c in chosen.items()}
speeds, features = ({name: v.numpy() for name, v in part.items()} for part in (speeds, features))
input_speeds(grid.numpy(), speeds, features)

# %% [markdown]
# So in g the choice between t and ln(σ)/4 hardly matters, whereas the speed of the features does. In denoising nothing is differentiated with respect to t, so these speeds do not enter the target. Here dF/dt is *a part of* the target.
#
# ### Part 4: what each stabiliser bounds
#
# $$g = \underbrace{-\cos^2 t\, \Bigl(\sigma_d F^- - \frac{\mathrm d x_t}{\mathrm d t}\Bigr)}_{\text{first bracket}}\; \underbrace{-\; \kappa \cos t \sin t\, \Bigl(x_t + \sigma_d \frac{\mathrm d F^-}{\mathrm d t}\Bigr)}_{\text{second bracket}}$$
#
# These are the two brackets of df/dt, each times cos t. The factor κ is the warm-up. (The paper calls it r, a letter that we keep for the earlier time.) The stabilisers of the paper (Sections 4.1 and 4.2):
#
# | stabiliser | what it does | what it bounds |
# |---|---|---|
# | time input t, slow features | makes ∂F/∂t moderate | the cause |
# | warm-up κ = min(1, step/H) | starts with velocity matching | the second bracket, in the first H steps |
# | normalisation g/(‖g‖ + c), c = 0.1 | keeps the direction | ‖g‖ < 1, for each sample |
# | clipping to [−1, 1] | replaces normalisation; keeps small g small | each entry of g |
# | prior weight $1/(\sigma_d \tan t)$ | is already contained in g (part 2) | the factor of part 3; without this weight, times near π/2 count far more ($\sigma_d \tan t$ times) |
# | learned weight $e^{w_\varphi(t)}$ | makes the weighted loss the same at every t | not g, but the loss of each time t |
# | adaptive double normalisation | normalises the scale and shift that a layer gets from the time features | ∂F/∂features; our small network has no such layers (`docs/settings.md` has one comparison, for digits) |
#
# **The learned weight.** A second small network $w_\varphi(t)$ is trained along with F, and the loss becomes $e^{w_\varphi} L - w_\varphi$, where $L = \mathrm E\lVert g\rVert^2/\dim$ at that t and dim is the number of coordinates. Differentiate with respect to $w_\varphi$: at the minimum $e^{w_\varphi} = 1/L$, so the weighted loss is 1 at every t. The pull on F is then proportional to g/L: on average, times with short tangents pull *harder*. The minimum is $1 + \ln L$.

# %%
predict("10.2")

# %% [markdown]
# The first two panels show the lengths of the two brackets over t, for untrained networks (three seeds) and samples from the ring: medians, and bands with the middle 98 %. The third panel shows g of the network with fast features, as it is and after each of three stabilisers. Its lines are 99th percentiles: one sample in a hundred has a longer g.

# %% tags=["hide-input"]
angles, m = torch.linspace(0.03, 1.54, 30).double(), 128
x, z = Ring().oracle.sample(30 * m, rng).double(), torch.randn(30 * m, 2, generator=rng).double()
paths, parts = along.sample_path(process, x, z, angles.repeat_interleave(m)), {}
lengths = lambda v: v.norm(dim=1).reshape(3, 30, m).transpose(0, 1).flatten(1).numpy()
for variant in ("sct", "sct-fourier-16"):
    seeds = [along.tangent_terms(small[variant](seed).build().double(), paths) for seed in range(3)]
    parts[variant] = [torch.cat(rows) for rows in zip(*seeds, strict=True)]
smooth, wild = (TangentLengths(angles.numpy(), *map(lengths, (a, b, a + b))) for a, b in parts.values())
a, b = parts["sct-fourier-16"]
after = {"normalised": lengths(UnitNorm()(a + b)), "clipped": lengths(Clip()(a + b)), "warm-up, κ = 0.1": lengths(a + 0.1 * b)}
bracket_lengths(smooth, wild, ("Positional", "Fourier 16"), after)

# %% [markdown]
# Normalising and clipping bound the **length** of g. Neither corrects its **direction**. Is the direction right? F ought to move towards F\*, the F that belongs to the exact f\*. The table compares the direction of g, along exact paths, with the direction of F\* − F:

# %% tags=["hide-input"]
paths = along.sample_path(process, x[:1024], z[:1024], 0.1 + 1.4 * torch.rand(1024, generator=rng).double())
D = Ring().oracle.denoise(paths.x_t / paths.t.cos()[:, None], process.level(paths.t))
paths = paths._replace(dx_t=process.velocity(paths.x_t, D, paths.t))
lines = ["| untrained, three seeds | mean cosine of g and F* − F | samples with a positive cosine |", "|---|---|---|"]
for variant, words in (("sct", "positional"), ("sct-fourier-0.3", "Fourier 0.3"), ("sct-fourier-16", "Fourier 16")):
    cosines = [along.direction(small[variant](seed).build().double(), ExactNetwork(), paths) for seed in range(3)]
    mean, share = ([float(v) for v in rows] for rows in zip(*((c.mean(), 100 * (c > 0).double().mean()) for c in cosines), strict=True))
    lines.append(f"| {words} | {ranged(mean, '.2f')} | {ranged(share, '.0f')} % |")
Markdown("\n".join(lines))

# %% [markdown]
# With slow features g leads almost every sample towards F\* before any training. With fast features g is hardly better than a random direction, since it comes almost wholly from the second bracket, which contains the oscillation of the untrained network in t.
#
# ### The code

# %%
show_source(SCM.loss)

# %% [markdown]
# (`finite_tangent` marks samples whose g has overflowed, and `trigflow` checks that the model has the form of this lab.)
#
# The JVP runs under `no_grad`, since g is held constant in the loss, beside an ordinary pass for F. None of its intermediate values has to be stored.
#
# <details><summary>Algorithm 1 of the paper, line by line</summary>
#
# | the paper (Algorithm 1) | here |
# |---|---|
# | $\theta \leftarrow \theta_\text{pretrain}$, a trained diffusion model, for sCT as well | `start` of the recipe: 2000 steps of diffusion for `toy.scd`, none for `toy.sct` |
# | $\tau \sim \mathcal N(P_\text{mean}, P_\text{std}^2)$, $t = \arctan(e^\tau/\sigma_d)$ | `self.pairs`, with r = t |
# | $\mathrm d x_t/\mathrm d t$ from z and x, or from a teacher | `process.velocity(x_t, self.teacher(x, cond)(x_t, t), t)` |
# | $\cos t \sin t\, \sigma_d\, \mathrm d F/\mathrm d t$ by a JVP whose input directions carry the factor cos t sin t, so that nothing overflows in 16 bits | `self.tangent` (exercise B is its core) |
# | $g/(\lVert g\rVert + c)$ | `self.bound` |
# | $e^{w_\varphi(t)}/\dim\; \lVert\cdot\rVert^2 - w_\varphi(t)$, with dim entries in a sample | `self.loss_weighting` |
#
# </details>

# %% [markdown]
# ## Explore
#
# The tangent microscope shows one batch of samples from the ring; each dot is a sample. The panels show the two brackets of g, then ‖g‖ before and after the bound, then how much each time contributes to the loss, with the weight that would even out these contributions.
#
# Four things to try:
#
# - Change the time features from positional to Fourier 16. Which bracket grows, and where? Then take the weights *after 50 steps of sCT*.
# - Choose the weights *f\* itself* and the exact teacher. What is left of g? And with *one sample* as the teacher?
# - Set the time input to ln(σ)/4, then the prior weight to 1. In which of the two cases does g grow near π/2?
# - Lower the warm-up κ to 0. Which bracket remains, and what would training then learn?

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - The second bracket grows at all times, most in the middle: at t = 0.73 its median goes from 0.44 to 6.8. After 50 steps of sCT it is over 500, although every g was normalised in these steps.
# - With the exact teacher nothing is left of g: both brackets are there, equally long, and cancel. With one sample g scatters about zero even for the exact f\*: at t = 0.73 the median of ‖g‖ is 0.32, and the longest g of the batch has length 27.
# - With ln(σ)/4 alone hardly anything changes, since in g its factor is ¼ everywhere. With prior weight 1 the median of ‖g‖ near t = 1.5 goes from 0.06 to 0.58, with either time input.
# - The first bracket remains, so training would be velocity matching, and learn a denoiser, not f.
#
# </details>

# %% [markdown]
# ## The key figure
#
# Now we train on the ring of eight modes. sCT runs 4000 steps of 256 samples from random weights. sCD runs 2000 steps of plain diffusion, then 2000 with the exact teacher. Each variant is named after what it changes; *none of the four* leaves out normalisation, warm-up, prior weight and learned weight, and *after diffusion* begins as sCD does, with 2000 steps of diffusion. Each has three seeds, and all runs were recorded.

# %%
names = [name for name in small if not name.startswith("scd") and "-16" not in name]
data = existing_recordings("stabilisers", names)
fast = existing_recordings("stabilisers", ["sct", *(name for name in small if "-16" in name)])
taught = existing_recordings("stabilisers", [name for name in small if name.startswith("scd")])
panels = {
    "sCT: the error doubles only\nwith none of the four": (data, "sct"),
    "sCD: worse with both\nnormalisation and learned weight": (taught, "scd"),
    "Fast features ruin training": (fast, "sct"),
}
variant_scores(panels, log="Fast features ruin training")

# %% tags=["hide-input"]
tables = comparison_table(data | fast, "sct"), comparison_table(taught, "scd")
folded("The numbers of the key figure", "From data alone:\n\n{}\n\nWith a teacher:\n\n{}".format(*tables))

# %% [markdown]
# Each mark is one seed, and the band is the range of the recipe in the first row. The axes do not begin at 0, and that of the right panel is logarithmic. With three seeds the ranges of two equally good variants are disjoint by chance in one case out of ten if their runs are independent (lab 17), so among a dozen rows (folded) a factor of 1.08 with disjoint ranges means little.
#
# **No single stabiliser is needed here, but with none of the four the error doubles.** Without the prior weight, or without the learned weight, nothing is lost, probably because normalised tangents are about equally long at all times, so that there is little left to weight. Without the normalisation the error grows a little.
# **The features are another matter.** Fast features ruin training even with every stabiliser on, since none corrects the direction of g (part 4). With slow features three seeds show no difference between the time inputs t and ln(σ)/4, as part 3 leads one to expect.
#
# **With a teacher** two parts of the recipe enlarge what has become small. Normalising enlarges single tangents: it turns ‖g‖ = 0.07, the length in sCD at the end, into 0.41. The learned weight enlarges all tangents at times whose loss is small.
# Either part alone does no harm here, nor does leaving out both; both together do harm, with every seed. Presumably the same residual is enlarged twice, so that late steps stay large although little is left to learn.
# This is why the preset `toy.scd` clips the tangent. From data alone the question does not arise, because the tangent of one sample never becomes short.
#
# **The start.** With 2000 steps of diffusion and 2000 of sCT, the error is larger than with 4000 steps of sCT from random weights. So at this budget the paper's start from a diffusion model does not pay; it may pay with a diffusion model that exists already, or was trained for far longer.
#
# One caveat: normalising also changes the size of the steps, and all variants have the same learning rate. This may explain some of the small differences.
#
# ### The tangent during training
#
# Length of g (the median over the samples, averaged over 32 noise levels) and RMS error during training, with the weights in training; the key figure is for the averaged weights.

# %%
shown = existing_recordings("stabilisers", ["sct", "sct-fourier-16", "scd", "scd-norm"])
over_training(shown)

# %% tags=["hide-input"]
run = shown["sct-fourier-16"]
late = run["steps"][0] >= 400
loss, error = run["loss"][:, late], rms_over_levels(run["error"])[:, late]
rows = ["| | median ‖g‖, first → last | RMS error, first → last |", "|---|---|---|"]
rows += [f"| {small[name].title} | {first_and_last(run['tangent'][..., 0].mean(2))} | {first_and_last(rms_over_levels(run['error']))} |" for name, run in shown.items()]
said = f"Fourier scale 16, from step 400 on: the loss stays between {loss.min():.2f} and {loss.max():.2f}, while the error grows from {error.min():.2g} to {error.max():.0f}."
folded("The numbers of this figure", "\n".join(rows) + f"\n\n{said} (The longer g is, the closer its normalised length comes to 1. In two dimensions L is then ½, and with the best learned weight the loss is 1 + ln ½ = {1 + np.log(0.5):.2f}, see part 4.)")

# %% [markdown]
# - **Fast features.** The tangent runs away within a few hundred steps although every stabiliser is on. The loss does not show this growth, since it is computed from the normalised g.
# - **One sample.** In sCT the tangent keeps a good part of its initial length while the error falls.
# - **A teacher.** In sCD (plotted from the end of its 2000 steps of diffusion) the tangent can shrink, and it does.

# %% [markdown]
# ### Optional: can a difference replace the derivative?
#
# Here sCT is trained with a finite gap, or with differences of F instead of its derivative (three seeds each, and as many steps as the limit).

# %% tags=["hide-input"]
by_size = {gap: run for gap in GAPS for run in existing_recordings("gap", [f"sct-{gap:g}"]).values()}
limit_run = read("stabilisers", "sct")
difference = read("gap", "sct-difference")
by_gap(by_size, limit_run, difference)

# %% tags=["hide-input"]
base = {"sCT": limit_run.score("rmse"), "sCD": rmse("scd")}
found = {("sCT", f"gap {decimal(gap)}"): run.score("rmse") for gap, run in by_size.items()}
found |= {("sCT", "differences of F"): difference.score("rmse"), ("sCT", "the limit"): base["sCT"]}
found |= {("sCD", f"gap {name[4:]}"): rmse(name, "gap") for name in existing_recordings("gap", ["scd-0.1", "scd-0.001"])}
found["sCD", "the limit"] = base["sCD"]
by_numbers = ["| | RMS distance from f* | relative to the limit |", "|---|---|---|"]
by_numbers += [f"| {kind}, {name} | {ranged(v, '.4f')} | {'' if name == 'the limit' else effect(v, base[kind])} |" for (kind, name), v in found.items()]
x, z = Ring().oracle.sample(256, rng).double(), torch.randn(256, 2, generator=rng).double()
path = along.sample_path(process, x, z, 0.2 + 1.2 * torch.rand(256, generator=rng).double())
low, steps, said, usual = path.to(torch.float32), (0.15 / 10 ** (np.arange(17) / 2)).tolist(), [], 0
for name, net in (("slow (positional) features", student), ("Fourier 16", loud)):
    exact, short = along.time_derivative(net.raw, path), deepcopy(net).float()
    off = along.difference_errors(short.raw, low, exact, steps)
    forward, best = along.relative_error(along.time_derivative(short.raw, low), exact), int(np.argmin(off))
    usual = usual if said else best  # the best step for slow features
    said.append(f"With {name} the best step is {power(steps[best])}, with an error of {power(off[best])}; the error of forward mode is {power(forward)}, smaller by a factor of {off[best] / forward:.0f}.")
said.append(f"With the step that is best for slow features, the derivative of the network with fast features has an error of {100 * off[usual]:.0f} %.")
costs = {many: along.pass_costs(deepcopy(student).float().raw, low, many) for many in (256, 4096)}
spent = [f"batch {many}: " + ", ".join(f"{name} {1e3 * s:.1f} ms (×{s / cost['one forward pass']:.1f})" for name, s in cost.items()) for many, cost in costs.items()]
folded("The loss with a gap, its numbers, and one derivative by differences", r"""**In training.** The discrete counterpart (Appendix E of the paper) needs no derivative: it has the same loss with $(f(x_t, t) - f(x_r, r))/\sin(t - r)$ instead of df/dt. In the paper (Figure 5c: distillation on ImageNet 512) smaller gaps help until rounding does harm, and the limit beats all of them.

""" + "\n".join(by_numbers) + r"""

A large gap is biased, with a teacher and without; so far we agree with the paper. But three seeds do not suffice to tell a small gap from the limit, and rounding does no visible harm: in part 1, in 32 bits, the error of the gradient at a gap of 10⁻⁵ was a fraction of a percent.

**One derivative.** *Differences of F* keeps the loss of the limit, with a central difference, which needs two more passes of the network:

$$\frac{\mathrm d F}{\mathrm d t} \approx \frac{F(x_t + h\,\dot x_t,\, t + h) - F(x_t - h\,\dot x_t,\, t - h)}{2h}, \qquad \dot x_t = \frac{\mathrm d x_t}{\mathrm d t} .$$

A long step has an error of order h²; in a short one, rounding adds an error of order 1/h. In 32 bits, against forward mode in 64 bits:

""" + "\n".join(f"- {line}" for line in said) + "\n\nCost (medians of CPU time, one thread): " + "; ".join(spent) + ". For a network this small much of the time of forward mode is overhead. The difference is cheaper, but it is less accurate, and its step size has to be chosen.")

# %% [markdown]
# So at this scale the derivative gives no better samples than a well-chosen gap or than differences of F. Its advantage is that no gap has to be chosen.

# %% [markdown]
# ### Train one yourself
#
# This is the recipe of sCT with a new seed and with the fast features that ruin it. Can you repair the recipe with a bound or a longer warm-up? Choose, and press **Start**. The same button pauses the run, and **Reset** begins again.

# %%
SCTTraining()

# %% [markdown]
# ## Exercises
#
# ### A · guided: an EDM network becomes a TrigFlow network
#
# A diffusion model was trained with EDM. Its network `F_edm(u, sigma)` is given the scaled input $u = c_\text{in}\, x_\sigma$ (n, dim) and the noise level σ (n,), and its denoiser is $D = c_\text{skip}\, x_\sigma + c_\text{out}\, F_\text{edm}$, with $c_\text{skip} = \sigma_d^2/(\sigma^2 + \sigma_d^2)$, $c_\text{out} = \sigma\sigma_d/\sqrt{\sigma^2 + \sigma_d^2}$ and $c_\text{in} = 1/\sqrt{\sigma^2 + \sigma_d^2}$ (lab 03). TrigFlow's denoiser has the form of f above. Return $F_\text{trig}(u, t)$, with $u = x_t/\sigma_d$ and the angles t (n,), such that both networks give the same D for the same noisy point.
# Do it on paper first: write all three coefficients with the angle, using σ = σ_d tan t and $x_\sigma = x_t/\cos t$, and set the two forms of D equal.

# %% tags=["exercise"]
def trig_network(F_edm, u, t, sigma_data):
    """F_trig(u, t), (n, dim), from a network F_edm(u, sigma) that was trained with EDM."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.trig_network(trig_network)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# $\sqrt{\sigma^2 + \sigma_d^2} = \sigma_d/\cos t$. So what are $c_\text{in}\, x_\sigma$ and $c_\text{skip}\, x_\sigma$, in terms of $x_t$? What remains when you set the two forms of D equal is an equation between the two networks.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def trig_network(F_edm, u, t, sigma_data):
#     return -F_edm(u, sigma_data * t.tan())
# ```
#
# On paper: $c_\text{skip} = \cos^2 t$, $c_\text{out} = \sigma_d \sin t$, $c_\text{in} = \cos t/\sigma_d$. So $c_\text{in}\, x_\sigma = x_t/\sigma_d$ is the same input, $c_\text{skip}\, x_\sigma = \cos t\, x_t$ is the same skip, and $\sigma_d \sin t\, F_\text{edm} = -\sigma_d \sin t\, F_\text{trig}$. EDM's network points at the data, TrigFlow's along the velocity, towards the noise.
# So after a change of sign, a trained EDM network is a teacher for sCD.
#
# </details>

# %% [markdown]
# ### B · on your own: the tangent
#
# Write g before it is bounded. `F(u, t)` is a network, a function of $u = x_t/\sigma_d$ (b, 2) and t (b,). `x_t` and `dx_t` (its velocity) are (b, 2), `t` is (b,), `kappa` is the warm-up κ, and `sigma_data` is a number.
# For the derivative use `torch.func.jvp(function, inputs, directions)`. The check also compares your g with cos t · df/dt by differences.

# %% tags=["exercise"]
def tangent(F, x_t, dx_t, t, kappa, sigma_data):
    """g = −cos² t (σ_d F − dx_t/dt) − κ cos t sin t (x_t + σ_d dF/dt), (b, 2)."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.tangent(tangent)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# dF/dt is the rate at which F changes when *both* its arguments move as they do along the path. How fast does u move if $x_t$ moves with velocity `dx_t`? How fast does t move?
# cos t and sin t are (b,): add a trailing axis before you multiply them with tensors (b, 2).
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def tangent(F, x_t, dx_t, t, kappa, sigma_data):
#     """g = −cos² t (σ_d F − dx_t/dt) − κ cos t sin t (x_t + σ_d dF/dt), (b, 2)."""
#     cos, sin = t.cos()[:, None], t.sin()[:, None]
#     directions = dx_t / sigma_data, torch.ones_like(t)
#     value, dF = torch.func.jvp(F, (x_t / sigma_data, t), directions)
#     first = -(cos**2) * (sigma_data * value - dx_t)
#     return first - kappa * cos * sin * (x_t + sigma_data * dF)
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are RMS distances from f\*, given as means over three seeds (lowest to highest). The paper's own numbers are for images, and its comparisons of bounds and weights are for distillation. Its sCT starts from a trained diffusion model; ours, with one exception, starts from random weights. Nothing here contradicts or confirms the paper at its scale.

# %% tags=["hide-input"]
full, clip, norm = rmse("sct"), rmse("scd"), rmse("scd-norm")
wild16 = [rmse(name) for name in ("sct-fourier-16", "sct-fourier-16-log", "sct-fourier-16-bare")]
rows, steep = [], loglog_slope(gaps, errors["float64"], 1e-4, 1e-1)
rows.append(("the discrete gradient tends to the continuous one (Song et al. 2023, App. B)", f"error of order {steep:.2f} in the gap, over three decades", "confirmed here"))
rows.append(("‖F − F⁻ − g‖² has that gradient (App. D)", f"relative to the limit, in all weights of a network: cosine {cosine:.6f}, ratio {ratio:.6f}", "confirmed here"))
said = ", ".join(f"×{v.min() / full.mean():.0f} to ×{v.max() / full.mean():.0f} {how}" for v, how in zip(wild16, ("with the angle", "with ln(σ)/4", "without normalisation and warm-up"), strict=True))
rows.append(("fast time features make training unstable (Sec. 4.1)", f"Fourier 16, relative to the error with slow features: {said}", stabiliser_verdict(np.concatenate(wild16), full)))
log = rmse("sct-log")
in_log = (np.sin(2 * grid.numpy()) / 2 * speeds["EDM's ln(σ)/4"]).max()
rows.append(("ln(σ) as time input is unstable near pure noise (Sec. 4.1)", f"factor without bound in df/dt, {in_log:.2f} at every t in g; trained, with slow features: {effect(log, full)}", "confirmed here for df/dt; " + ("not seen in training" if overlap(log, full) else "partly in training")))

# %% tags=["hide-input"]
by_bound = {name: [rmse(v) for v in variants] for name, variants in {"sCT": ("sct-no-norm", "sct-clip", "sct"), "sCD": ("scd-no-bound", "scd", "scd-norm")}.items()}
said = "; ".join("{} unbounded {}, clipped {}, normalised {}".format(name, *(ranged(v) for v in found)) for name, found in by_bound.items())
bare, clipped, normal = by_bound["sCD"]
helps = "partly in sCT" if max(found.max() for found in by_bound["sCT"][1:]) < by_bound["sCT"][0].min() else "not seen at this scale in sCT"
harm = "in sCD clipping makes no difference, and normalising (with the learned weight) does harm" if overlap(bare, clipped) and normal.min() > bare.max() else "in sCD the order differs"
rows.append(("either normalising or clipping the tangent is a substantial improvement (Sec. 4.2, Fig. 5a, in distillation)", said, f"{helps}; {harm}"))
alone, without = rmse("scd-norm-even"), {name: rmse(f"sct-{name}") for name in ("flat", "even", "no-warmup")}
said = ", ".join(f"×{ratio_of_means(v, full):.2f}" for v in without.values()) + (", all ranges overlap" if all(overlap(v, full) for v in without.values()) else "")
verdict = "not seen at this scale for the weights; without the warm-up indistinguishable, as the paper says" if all(overlap(v, full) for v in without.values()) else "partly"
rows.append(("the prior weight is critical; with normalising, the learned weight helps (Fig. 5b, in distillation); warm-up does not change the final error (all Sec. 4.2, the last as we read it)", f"sCT without each of them: {said}; sCD normalised: {ranged(norm)} with the learned weight, {ranged(alone)} without", verdict + ("; in sCD, with normalising, the learned weight does harm" if alone.max() < norm.min() else "")))

# %% tags=["hide-input"]
near, tiny = rmse("sct-0.03", "gap"), rmse("sct-1e-05", "gap")
wide = rmse("sct-0.1", "gap")
same = overlap(near, full) and overlap(tiny, full)
rows.append(("the limit beats the discrete loss at every gap; smaller gaps help, and tiny ones suffer from rounding (Sec. 4.2, Fig. 5c, App. E, in distillation)", f"sCT, gap 0.1: {effect(wide, full)}; gap 0.03: {effect(near, full)}; gap 10⁻⁵: {effect(tiny, full)}", "confirmed here for large gaps" + ("; for small and tiny ones, in 32 bits, not seen at this scale" if same else "")))
heads = "| claim | measured here | verdict |\n|---|---|---|\n"
Markdown(heads + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in rows))

# %% tags=["hide-input"]
none, begun = rmse("sct-bare"), rmse("sct-start")
rows = [("*not in the paper:* normalisation, warm-up, prior weight and learned weight are needed together", f"sCT with none of the four: {effect(none, full)}", stabiliser_verdict(none, full))]
rows.append(("sCT starts from a trained diffusion model (Algorithm 1)", f"sCT with half of its steps spent on diffusion: {effect(begun, full)}", "not seen at this scale: at an equal number of steps the error is " + ("larger" if begun.min() > full.max() else "not smaller")))
rows.append(("sCT is ahead at small scale, sCD at large scale (Sec. 5.2: one-step FID on CIFAR-10 2.85 and 3.66, ImageNet 64 2.04 and 2.44, ImageNet 512 4.29 and 2.28)", f"with equal numbers of steps sCT {ranged(full)}, sCD {ranged(clip)}; sCT with the start of sCD {ranged(begun)}", "not seen at this scale: sCD is ahead, with the same start too; but its teacher is exact, and the bounds differ" if clip.max() < full.min() else "not seen at this scale: the ranges overlap"))
folded("Three more claims: none of the four, the start, and sCT against sCD", heads + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in rows))

# %% [markdown]
# ### What to remember
#
# 1. The gap can go to zero: what is left is a derivative along the path, and forward mode computes it without a step size.
# 2. The derivative of the network with respect to its time input becomes part of the training target, so every part that reads the time has to be slow. Here slow features matter more than all the bounds together. Of the other stabilisers, no single one is needed, but with none of the four the error doubles.
# 3. The value of the loss tells you little, since it is computed from the bounded tangent and, without a teacher, contains the scatter of single samples. A growing tangent warns of failure; without a teacher, only the samples show progress.
#
# ## Budget

# %% tags=["hide-input"]
records = [run.record for study in ("stabilisers", "gap") for run in existing_recordings(study, STUDIES[study].variants).values()]
seen, spent = sum(len(r["seeds"]) * r["samples"] for r in records), [s for r in records for s in r["seconds"]]
print(f"Recorded: {len(records)} variants with 3 seeds each, {f'{seen:,}'.replace(',', ' ')} training samples in all.")
print("A run has 4000 steps of 256 samples, in sCD with the 2000 steps of diffusion.")
print("Network calls for each sample: one with a gradient, and one that computes value and derivative.")
print(f"Each run took {min(spent):.0f} to {max(spent):.0f} s, on a machine that was also doing other work.")
print(f"One of the commands that made them: {records[0]['command']}")
print("Until you press Start, this notebook trains for five steps only, on one sample on the line.")

# %% [markdown]
# **Next:** one step is not the only way to use f. Lab 11 asks when more steps help.
