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
# | Paper | Lu & Song 2025, *Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models* (sCM), [arXiv:2410.11081](https://arxiv.org/abs/2410.11081) |
# | Level | 3 of 3 |
# | Part | The limit |
# | Time | 60 minutes |
# | Run All | 14 s on 2 CPU cores |
# | You need | consistency training and distillation (labs 04, 05), derivatives along a direction, float32 and float64 |
#
# After this lab you can
#
# 1. **derive** sCM's loss from the discrete one, and say why its value tells you nothing;
# 2. **trace** a tangent that is hundreds of times too long back to the clock that the network reads;
# 3. **judge** which of the paper's stabilisers a small problem needs, and when a difference may stand in for a derivative.
#
# **Two methods, one loss.** sCT trains from data alone, sCD distils a teacher. They differ in one vector, the velocity $\mathrm{d}x_t/\mathrm{d}t$, just as CT and CD did.
# The authors released no code. What is said here about the paper rests on its text; where public reimplementations differ from it, the lab says so.

# %%
from copy import deepcopy

import numpy as np
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab10_scm import analysis as along
from cmlab_labs.lab10_scm import checks
from cmlab_labs.lab10_scm.explorer import SCTTraining, explorer
from cmlab_labs.lab10_scm.figures import (
    DerivativeErrors,
    TangentLengths,
    bracket_lengths,
    by_gap,
    comparison_table,
    derivative_errors,
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
    ratio_of_means,
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
from cmlab.model import Angle, Denoiser, QuarterLog, TrigPrecond, carried
from cmlab.nets import MLP, Positional
from cmlab.nets.embedding import Fourier
from cmlab.ops import jvp
from cmlab.presets import toy
from cmlab.schedules import Constant

start_lab(threads=1)  # small networks: a second thread would only wait

# %% [markdown]
# ## Predict
#
# Every method so far compared $f(x_t, t)$ with $f(x_r, r)$ at two times, t > r. Finer grids were less biased and noisier (lab 05). Now let the gap t − r go to zero, and divide the loss by the gap so that it does not vanish.

# %%
predict("10.1")

# %% [markdown]
# ## The exact object
#
# ### TrigFlow: time is an angle
#
# $$x_t = \cos(t)\, x + \sin(t)\, \sigma_d z, \qquad t \in [0, \tfrac{\pi}{2}], \qquad f = \cos(t)\, x_t - \sin(t)\, \sigma_d F\bigl(\tfrac{x_t}{\sigma_d}, t\bigr).$$
#
# At t = 0 there is only data, at π/2 only noise, and the noise level is $\sigma = \sigma_d \tan t$. If the data have standard deviation $\sigma_d$ then so has $x_t$, at every t. The boundary f(x, 0) = x holds for any network F.
#
# For data $\mathcal N(0, S^2)$ everything has a formula. With $v = \cos^2 t\, S^2 + \sin^2 t\, \sigma_d^2$, the variance of $x_t$: the denoiser is $D = \cos t\, S^2/v\; x_t$ and the consistency function is $f^* = S/\sqrt v\; x_t$. For $S = \sigma_d$ the network's part of f* is $F^* = -\tan(t/2)\, u$, with $u = x_t/\sigma_d$.

# %% tags=["hide-input", "nbval-check-output"]
SD = 0.5
t, one = torch.tensor([0.3, 0.8, 1.1, 1.5]).double(), torch.ones(4, 1).double()
print("                 t =  " + "".join(f"{v:10.1f}" for v in t))
for S in (0.5, 0.25):
    f, D = along.gaussian_consistency(S, SD), along.gaussian_denoiser(S, SD)
    rows = {"F of f*, u = 1": f.net(one, t), "F of D,  u = 1": D.net(one, t), "f*,    x_t = 1": f(one, t), "D,     x_t = 1": D(one, t)}
    for name, row in rows.items():
        print(f"S = {S:<5} {name:14}" + "".join(f"{v + 0.0:10.5f}" for v in row.flatten()))
print("          −tan(t/2)     " + "".join(f"{v:10.5f}" for v in -(t / 2).tan()))

# %% [markdown]
# ### Along its path f* stands still
#
# All points of one path have the same end, so $\mathrm d f^*/\mathrm d t = 0$ along it. That is the whole of consistency, with no second time in it. Written out for a network (the paper's eq. 6):
#
# $$\frac{\mathrm d f}{\mathrm d t} = -\cos t\,\Bigl(\sigma_d F - \frac{\mathrm d x_t}{\mathrm d t}\Bigr) - \sin t\,\Bigl(x_t + \sigma_d \frac{\mathrm d F}{\mathrm d t}\Bigr).$$
#
# For this you need to know how $x_t$ moves. A teacher tells: $\mathrm d x_t/\mathrm d t = \sigma_d F_\text{teacher}$ (sCD). One sample tells something else: its own path, $\mathrm d x_t/\mathrm d t = \cos t\, \sigma_d z - \sin t\, x$ (sCT). It is right on average.
# Below are $g = \cos t \; \mathrm d f/\mathrm d t$ for 40 000 samples of $\mathcal N(0, 0.25^2)$ at t = 0.9. Look for the mean, and for the spread.

# %%
g = torch.Generator().manual_seed(0)
x, z = (torch.randn(40_000, 1, generator=g).double() for _ in range(2))
plain = SCM(warmup=Constant(1.0), bound=Unbounded(), loss_weighting=ConstantWeight())
panels = {}
for title, model in (
    ("f*: g is zero on average, and on the path", f),
    ("D: g is not, and that is what teaches", D),
):
    path = along.sample_path(model.process, 0.25 * x, z, torch.full((len(x),), 0.9).double())
    exact = model.process.velocity(path.x_t, D(path.x_t, path.t), path.t)
    g_sample, g_exact = (
        plain.tangent(model, path.x_t, path.t, dx_t, 0)[1] for dx_t in (path.dx_t, exact)
    )
    panels[title] = tuple(v[:, 0].numpy() for v in (path.x_t, g_sample, g_exact))
mean_tangents(panels)

# %% tags=["hide-input", "nbval-check-output"]
for name, (x_t, sampled, exact) in zip(("f*", "D "), panels.values(), strict=True):
    lean = (sampled @ x_t) / (x_t @ x_t)
    print(f"{name}: exact paths, longest |g| {abs(exact).max():.2f}; single samples, |g| = {abs(lean):.2f} |x_t| in the mean, scatter {(sampled - lean * x_t).std():.2f}")

# %% [markdown]
# One sample scatters for the right function too, here even more than for the wrong one. From data alone the tangent of a perfect network is not zero. It is zero **in the mean**. With an exact teacher it is zero at every point. This difference will come back when we train.
#
# ## The method, from its source
#
# The derivation comes in four pictures.
#
# ### Picture 1: the gap goes to zero
#
# Take the squared loss with a weight w(t), divide by the gap, and differentiate with the target held fixed:
#
# $$\nabla_\theta\, \frac{w(t)}{t - r}\, \bigl\lVert f_\theta(x_t, t) - f_{\theta^-}(x_r, r)\bigr\rVert^2
# \;\longrightarrow\; 2\, w(t)\, \nabla_\theta f_\theta^{\top} \frac{\mathrm d f_{\theta^-}}{\mathrm d t}, \qquad t - r \to 0 .$$
#
# Here is an untrained network (the preset's, 110 000 weights) and one batch of 256 from the ring of eight modes. Its discrete gradients against the limit, at ever smaller gaps:

# %%
small = STUDIES["stabilisers"].variants
student, loud = small["sct"](0).build().double(), small["sct-fourier-16"](0).build().double()
x, z = Ring().oracle.sample(256, g).double(), torch.randn(256, 2, generator=g).double()
t = 0.2 + 1.2 * torch.rand(256, generator=g).double()
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
print(f"A tenth of the gap, a tenth of the error: slope {loglog_slope(gaps, errors['float64'], 1e-4, 1e-1):.3f} between 1e-4 and 1e-1, in 64 bits.")
print(f"In 32 bits the best gap is {gaps[best]:.0e}, with an error of {errors['float32'][best]:.0e}; at 1e-7 it is {errors['float32'][gaps.index(1e-7)]:.0%}.")
print(f"The limit, differentiated in forward mode in 32 bits, is off by {floor['float32']:.0e}. It has no gap.")

# %% [markdown]
# ### Picture 2: where the gradient goes
#
# Under TrigFlow $\nabla_\theta f_\theta = -\sigma_d \sin t\, \nabla_\theta F_\theta$. Choose $w = 1/(\sigma_d \tan t)$, and the factors in front become $-\cos t$. The limit of picture 1 is then
#
# $$-2\,\nabla_\theta F_\theta^{\top} g \;=\; \nabla_\theta \bigl\lVert F_\theta - F_{\theta^-} - g \bigr\rVert^2 \qquad\text{with}\quad g = \cos t\, \frac{\mathrm d f_{\theta^-}}{\mathrm d t}, \quad \theta^- = \text{stopgrad}(\theta).$$
#
# On the right is the loss of the paper. F is pulled to $F^- + g$, with a plus. But θ⁻ *is* θ, so $F - F^-$ is 0 whatever the network does, and the value of the loss is ‖g‖². It is not a distance to a goal: the goal moves along.
# Left: a small network on the line, one sample, four steps of gradient descent. Right: the gradient of this loss against that of $w\,\langle f_\theta, \mathrm d f_{\theta^-}/\mathrm d t\rangle$, for the network and batch of picture 1.

# %%
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
theirs = along.continuous_gradient(student, path)
loss_and_gradients(places, pulls, ours.numpy(), theirs.numpy())

# %% tags=["hide-input", "nbval-check-output"]
cosine, ratio_2 = (ours @ theirs / ours.norm() / theirs.norm()).item(), (ours.norm() / theirs.norm()).item()
print(f"cosine {cosine:.9f}, ratio {ratio_2:.9f}; and to the limit of picture 1: {(ours.norm() / limit.norm()).item():.9f}")

# %% [markdown]
# So do not watch the loss. Watch ‖g‖ *before* it is bounded, and the samples.
#
# ### Picture 3: where the 1/cos t comes from
#
# In g stands sin t · dF/dt. The network reads the time through an input $c_\text{noise}(t)$ and features of it, so by the chain rule
#
# $$\sin t\, \frac{\partial F}{\partial t} = \sin t\; \frac{\mathrm d c_\text{noise}}{\mathrm d t}\; \frac{\mathrm d\,\text{features}}{\mathrm d c_\text{noise}}\; \frac{\partial F}{\partial\,\text{features}} .$$
#
# EDM's networks are told ln(σ)/4. Since $\sigma = \sigma_d \tan t$, its first two factors are 1/(4 cos t), and near pure noise that has no bound. Told the angle itself they are sin t, at most 1.
# The third factor is the speed of the features: sines and cosines of ω c. Random Fourier features of scale 16 have frequencies ω around 100. Positional features have none above 1.

# %% tags=["hide-input"]
grid, process = torch.linspace(0.02, 1.56, 200).double(), student.process
told = {"the angle t": Angle(), "EDM's ln(σ)/4": QuarterLog()}
speeds = {name: torch.func.jvp(lambda s, c=c: c(process, s), (grid,), (torch.ones_like(grid),))[1] for name, c in told.items()}
chosen = {
    "positional, of t": (Positional(32), Angle()), "Fourier 0.3, of t": (Fourier(32, 0.3), Angle()),
    "Fourier 16, of t": (Fourier(32, 16.0), Angle()), "Fourier 16, of ln(σ)/4": (Fourier(32, 16.0), QuarterLog()),
}
torch.manual_seed(0)  # the frequencies are drawn: mean of 8 draws
features = {name: sum(along.feature_speed(*c, process, grid) for _ in range(8)) / 8 for name, c in chosen.items()}
speeds, features = ({name: (grid.sin() * v).numpy() for name, v in part.items()} for part in (speeds, features))
input_speeds(grid.numpy(), speeds, features)

# %% tags=["hide-input"]
for name, row in {**speeds, **features}.items():
    print(f"{name:24} sin t · speed: {np.interp(0.8, grid, row):8.2f} at t = 0.80, {row[-1]:10.2f} at t = {grid[-1]:.2f}")

# %% [markdown]
# Both clocks and features are harmless for denoising, which never differentiates by t. Here dF/dt *is* the target.
#
# ### Picture 4: what each stabiliser bounds
#
# $$g = \underbrace{-\cos^2 t\, \Bigl(\sigma_d F^- - \frac{\mathrm d x_t}{\mathrm d t}\Bigr)}_{\text{first bracket}}\; \underbrace{-\; r \cos t \sin t\, \Bigl(x_t + \sigma_d \frac{\mathrm d F^-}{\mathrm d t}\Bigr)}_{\text{second bracket}}$$
#
# The first bracket is plain velocity matching: what a diffusion model learns. The second holds the derivative. The paper's stabilisers act on them thus:
#
# | stabiliser | what it does | what it bounds |
# |---|---|---|
# | time input t, slow features | makes ∂F/∂t moderate | the cause |
# | warm-up r = min(1, step/H) | starts with velocity matching | the second bracket, early on |
# | normalisation g/(‖g‖ + c), c = 0.1 | keeps the direction | ‖g‖ < 1, for each sample |
# | clipping to [−1, 1] | instead of it; keeps small g small | each number of g |
# | prior weight $1/(\sigma_d \tan t)$ | is inside g, once | nothing; without it g counts $\sigma_d \tan t$ times as much |
# | learned weight $e^{w_\varphi(t)}$ | evens out E‖g‖² over t | no g, but which t are heard |
#
# Untrained networks (three seeds), samples from the ring: lengths over t, medians and the middle 98 %.

# %% tags=["hide-input"]
angles, m = torch.linspace(0.03, 1.54, 30).double(), 128
x, z = Ring().oracle.sample(30 * m, g).double(), torch.randn(30 * m, 2, generator=g).double()
paths, parts = along.sample_path(process, x, z, angles.repeat_interleave(m)), {}
lengths = lambda v: v.norm(dim=1).reshape(3, 30, m).transpose(0, 1).flatten(1).numpy()
for arm in ("sct", "sct-fourier-16"):
    seeds = [along.tangent_terms(small[arm](seed).build().double(), paths) for seed in range(3)]
    parts[arm] = [torch.cat(rows) for rows in zip(*seeds, strict=True)]
smooth, wild = (TangentLengths(angles.numpy(), *map(lengths, (a, b, a + b))) for a, b in parts.values())
a, b = parts["sct-fourier-16"]
after = {"normalised": lengths(UnitNorm()(a + b)), "clipped": lengths(Clip()(a + b)), "warm-up, r = 0.1": lengths(a + 0.1 * b)}
bracket_lengths(smooth, wild, ("Positional", "Fourier 16"), after)

# %% [markdown]
# Normalising and clipping bound the **length**. Neither can mend a **direction** that is all second bracket, and with fast features it is. Keep that in mind for the second prediction.
#
# ### The code
#
# | the paper (Algorithm 1) | here |
# |---|---|
# | $\tau \sim \mathcal N(P_\text{mean}, P_\text{std}^2)$, $t = \arctan(e^\tau/\sigma_d)$ | `self.pairs`, with r = t |
# | $\mathrm d x_t/\mathrm d t$ from z and x, or from a teacher | `process.velocity(x_t, self.teacher(x, cond)(x_t, t), t)` |
# | $\cos t \sin t\, \sigma_d\, \mathrm d F/\mathrm d t$ by a JVP whose tangents carry cos t sin t | `self.derivative` with `cs`, times `sigma_data` |
# | r | `self.warmup(step)` |
# | $g/(\lVert g\rVert + c)$ | `self.bound` |
# | $e^{w_\varphi(t)}/D\, \lVert\cdot\rVert^2 - w_\varphi(t)$ | `self.loss_weighting` |

# %%
show_source(SCM.loss)

# %%
show_source(SCM.tangent)

# %% [markdown]
# **Forward mode.** One pass carries value and derivative together: a JVP, Jacobian times vector. It runs under `no_grad`, since g is a constant of the loss, beside an ordinary pass for F. Nothing of it has to be stored.

# %%
show_source(jvp)

# %% [markdown]
# **What code and paper disagree on.** Public reimplementations differ from the text in places. One (FastGen) takes a root mean square in place of ‖g‖, so that c = 0.1 still counts in 3072 dimensions, where ‖g‖ dwarfs it. By default it also multiplies by $1/\sigma_t$ and divides by D twice, and with dropout it draws a second mask for the tangent. Another (rCM) has $\cos t \sqrt{1 - r^2 \sin^2 t}$ in place of $\cos^2 t$ during the warm-up, and leaves dF/dt out of it. Without dropout and with FastGen's options off, and with rCM once the warm-up is over, the numbers are those of the code above; `docs/fidelity.md` has the comparison. The paper's Appendix E writes the teacher's velocity without $\sigma_d$, a slip.
#
# ### A trained EDM network, carried over
#
# Both processes show the network the same numbers: $c_\text{in}\, x_\sigma = x_t/\sigma_d$. Compare the two denoisers and you find $F_\text{trig} = -F_\text{edm}$, at $t = \arctan(\sigma/\sigma_d)$. So a trained EDM network becomes a TrigFlow teacher by a change of sign in its last layer.
# It stays with the time input it was trained on, ln(σ)/4.

# %% tags=["hide-input", "nbval-check-output"]
edm = toy.edm(seed=0).build().double()
trig = carried(edm, TrigPrecond(edm.precond.sigma_data, QuarterLog()))
sigma = torch.logspace(-2, 1, 256).double()
x_sigma, t = Ring().oracle.sample(256, torch.Generator().manual_seed(1)).double() * (1 + sigma[:, None]), trig.process.time(sigma)
x_t = t.cos()[:, None] * x_sigma
print("time map: σ = 0.01, 0.1, 1, 10 is t =", ", ".join(f"{v:.4f}" for v in trig.process.time(torch.tensor([0.01, 0.1, 1, 10]).double())))
for name, a, b in (("F_trig = −F_edm", trig.raw(x_t, t), -edm.raw(x_sigma, sigma)), ("the same D", trig(x_t, t), edm(x_sigma, sigma))):
    print(f"{name:16} to 1e-6: {bool((a - b).abs().max() < 1e-6)}; the numbers reach {b.abs().max().item():.1f}")

# %% [markdown]
# ## Explore
#
# The tangent microscope: one batch of samples from the ring under a lens. Each dot is a sample. Left: the two brackets of its g. Middle: ‖g‖ before and after the bound. Right: how loud each time is in the loss, and the weight that would even it out.
#
# Three things to try. Change the time features from positional to Fourier 16: which bracket grows, and where? Then take the weights *after 50 steps of sCT*. Choose the weights *f\* itself* and the exact teacher: what is left of g, and what if you take one sample instead?
# Lower the warm-up r to 0: which bracket remains, and what would training then learn?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# Forward mode needs every layer to know its derivative. A central difference needs nothing but two more passes:
#
# $$\frac{\mathrm d F}{\mathrm d t} \approx \frac{F(x_t + h\,\dot x_t,\, t + h) - F(x_t - h\,\dot x_t,\, t - h)}{2h} .$$
#
# How small should h be? For two untrained networks, the error of dF/dt against 64-bit forward mode. Circled: the best that a difference can do in 32 bits.

# %% tags=["hide-input"]
x, z = Ring().oracle.sample(256, g).double(), torch.randn(256, 2, generator=g).double()
path = along.sample_path(process, x, z, 0.2 + 1.2 * torch.rand(256, generator=g).double())
steps, panels = (0.15 / 10 ** (np.arange(17) / 2)).tolist(), {}
for name, net in (("Positional", student), ("Fourier 16", loud)):
    exact, short = along.time_derivative(net.raw, path), deepcopy(net).float()
    low = path.to(torch.float32)
    differences = {"float64": along.difference_errors(net.raw, path, exact, steps), "float32": along.difference_errors(short.raw, low, exact, steps)}
    panels[name] = DerivativeErrors(differences, {"float32": along.relative_error(along.time_derivative(short.raw, low), exact)})
derivative_errors(steps, panels)

# %% tags=["hide-input"]
best = {name: seen.best("float32", steps) for name, seen in panels.items()}
for name, (h, least) in best.items():
    forward = panels[name].forward["float32"]
    print(f"{name:10} in 32 bits: best step {h:.0e}, error {least:.0e}; forward mode {forward:.0e}, {least / forward:.0f} times less, and no step to choose.")
h = best["Positional"][0]
off = panels["Fourier 16"].differences["float32"][steps.index(h)]
print(f"Take the step {h:.0e}, best for slow features, to fast ones: the derivative is off by {off:.0%}.")

# %% [markdown]
# Right of the bottom the difference cuts corners, an error of order h². Left of it rounding rules, of order 1/h. The bottom lies where the network is neither, and that depends on the network. And the price, on this machine:

# %% tags=["hide-input"]
short, low = deepcopy(student).float(), path.to(torch.float32)
costs = {many: along.pass_costs(short.raw, low, many) for many in (256, 4096)}
for many, spent in costs.items():
    said = (f"{name} {1e3 * s:.1f} ms (×{s / spent['one forward pass']:.1f})" for name, s in spent.items())
    print(f"batch {many:4}: " + ", ".join(said))

# %% [markdown]
# Medians of CPU time, one thread. For a network this small much of forward mode's time is overhead, and the difference is the cheaper of the two. It costs digits and a step size that you have to know.
#
# ## Networks
#
# Now train: the ring of eight modes, whose f* is known. sCT runs 4000 steps of 256 samples from random weights. sCD runs 2000 steps of plain diffusion, then 2000 with the exact teacher. Three seeds each, one thing changed at a time, recorded and replayed here.

# %%
predict("10.2")

# %%
names = [arm for arm in small if not arm.startswith("scd") and "-16" not in arm]
data = existing_recordings("stabilisers", names)
fast = existing_recordings("stabilisers", ["sct", *(arm for arm in small if "-16" in arm)])
taught = existing_recordings("stabilisers", [arm for arm in small if arm.startswith("scd")])
variant_scores({"sCT": (data, "sct"), "sCD": (taught, "scd"), "Fast": (fast, "sct")}, log="Fast")

# %% tags=["hide-input"]
Markdown(comparison_table(data | fast, "sct"))

# %% [markdown]
# In the figure each mark is a seed, the band is the range of the full recipe, and the titles give the means beside it; the right axis is logarithmic. In the table fields are mean (lowest to highest). Two ranges are apart when even the best seed of the worse arm is worse than all of the other. 
#
# **The stabilisers stand in for one another.** Take away the prior weight or the learned weight alone, and nothing is lost: a normalised tangent is about as long at every time, so there is little left to weigh. Take away everything, and the error doubles.
# The features are another matter.
#
# Mind one thing: normalising also changes the size of the steps, and no arm has a learning rate of its own. A part of these small differences may be that.
#
# ### The tangent while it trains

# %%
shown = existing_recordings("stabilisers", ["sct", "sct-fourier-16", "scd", "scd-norm"])
over_training(shown)

# %% tags=["hide-input"]
for arm, run in shown.items():
    length, error = first_and_last(run["tangent"][..., 0]), first_and_last(run["error"])
    print(f"{small[arm].title:16} median ‖g‖ {length};   RMS error {error}")
run = shown["sct-fourier-16"]
late = run["steps"][0] >= 400
loss, error = run["loss"][:, late], run["error"][:, late].mean(2)
print(f"Fourier 16 from step 400 on: its loss stays between {loss.min():.2f} and {loss.max():.2f}, its error goes from {error.min():.2g} to {error.max():.2g}.")

# %% [markdown]
# Three stories in two panels.
#
# - **Fast features.** The tangent runs away within a few hundred steps although every stabiliser is on. The loss does not notice, since it sees g after the normalisation. The longer g is, the nearer its length comes to 1, and in two dimensions with the best learned weight the loss is then $1 + \ln \tfrac12 = 0.31$.
# - **One sample.** sCT's tangent stays at a good part of its first length while the error falls. It must: single samples scatter for the exact f* as well.
# - **A teacher.** sCD's tangent shrinks, as it can. What should become of a short one?

# %% tags=["hide-input"]
Markdown(comparison_table(taught, "scd"))

# %% [markdown]
# Two parts of the recipe lift what has become quiet. Normalising lifts single tangents: of ‖g‖ = 0.07, the length above, g/(‖g‖ + 0.1) makes 0.41. The learned weight lifts whole times whose loss is small.
# Either of them alone does no harm here, nor does neither. Both together do, on every seed. Our reading: the same residual is lifted twice, and late steps stay large while there is little left to learn. The numbers are measured, the reading is not.
# That is why the preset `toy.scd` clips. From data alone the question does not arise: one sample's tangent never becomes short.
#
# ### Is the limit worth it?
#
# The discrete twin (the paper's Appendix E) needs no derivative: the same loss with $(f(x_t, t) - f(x_r, r))/\sin(t - r)$ in place of df/dt. Same budget, several gaps, three seeds:

# %% tags=["hide-input"]
by_size = {gap: run for gap in GAPS for run in existing_recordings("gap", [f"sct-{gap:g}"]).values()}
limit_run = read("stabilisers", "sct")
difference = read("gap", "sct-difference")
by_gap(by_size, limit_run, difference)

# %% tags=["hide-input"]
base = limit_run.score("rmse")
for name, run in {**{f"gap {gap:g}": run for gap, run in by_size.items()}, "differences of F": difference, "the limit": limit_run}.items():
    found = run.score("rmse")
    print(f"sCT, {name:16} RMS error {ranged(found, '.4f')}   {effect(found, base) * (run is not limit_run)}")
for arm in existing_recordings("gap", ["scd-0.1", "scd-0.001"]):
    found = rmse(arm, "gap")
    print(f"sCD, gap {arm[4:]:12} RMS error {ranged(found, '.4f')}   {effect(found, rmse('scd'))}")
print(f"sCD, the limit        RMS error {ranged(rmse('scd'), '.4f')}")

# %% [markdown]
# A large gap is biased, with a teacher and without. But once the gap is small the seeds cannot tell it from the limit, and rounding does no harm that shows: in picture 1 the gradient at 1e-5 was off by a fraction of a percent.
# So at this size the derivative buys no quality over a well chosen gap, nor over differences of F. It buys you that there is nothing to choose.
#
# ### Train one yourself
#
# The same recipe with a seed that no recording has seen. It opens with the change that ruins sCT; can you mend it with a bound or a longer warm-up? Choose and press **Start**; the same button pauses, **Reset** begins again. Nothing runs until you ask for it.

# %%
SCTTraining()

# %% [markdown]
# ## Exercises
#
# ### A · guided: four coefficients
#
# Write TrigFlow's preconditioning: the four numbers in $D = c_\text{skip}\, x_t + c_\text{out}\, F(c_\text{in}\, x_t,\; c_\text{noise})$ for times t (b,).


# %% tags=["exercise"]
def trig_coefficients(t, sigma_data):
    """c_skip, c_out, c_in, c_noise at angles t (b,), each (b,)."""
    # 1. c_skip: at t = 0 there is only data, and f(x, 0) = x
    # 2. c_out: σ_d F is the velocity dx_t/dt, which points towards the noise
    # 3. c_in: x_t has standard deviation σ_d at every t; the network wants 1
    # 4. c_noise: what the network is told of the time
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.trig_coefficients(trig_coefficients)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# $x_t = \cos t\, x + \sin t\, \sigma_d z$ and $\mathrm d x_t/\mathrm d t = \cos t\, \sigma_d z - \sin t\, x$ are two equations for x and z. Which combination of $x_t$ and its velocity leaves x alone?
# Picture 3 says what the network should be told.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def trig_coefficients(t, sigma_data):
#     """c_skip, c_out, c_in, c_noise at angles t (b,), each (b,)."""
#     return t.cos(), -sigma_data * t.sin(), torch.ones_like(t) / sigma_data, t
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: the tangent
#
# Write g before it is bounded. `F(u, t)` is a network, a function of $u = x_t/\sigma_d$ (b, 2) and t (b,). `x_t` and `dx_t` (its velocity) are (b, 2), `t` is (b,), `r` is the warm-up and `sigma_data` a number.
# For the derivative use `torch.func.jvp(function, primals, tangents)`. The check compares with cos t · df/dt by differences, among other things.


# %% tags=["exercise"]
def tangent(F, x_t, dx_t, t, r, sigma_data):
    """g = −cos² t (σ_d F − dx_t/dt) − r cos t sin t (x_t + σ_d dF/dt), (b, 2)."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.tangent(tangent)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# dF/dt is the change of F when *both* its arguments move as they do along the path. How fast does u move if $x_t$ moves with `dx_t`? How fast does t move?
# cos t and sin t are (b,): give them a trailing axis before they meet (b, 2).
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def tangent(F, x_t, dx_t, t, r, sigma_data):
#     """g = −cos² t (σ_d F − dx_t/dt) − r cos t sin t (x_t + σ_d dF/dt), (b, 2)."""
#     cos, sin = t.cos()[:, None], t.sin()[:, None]
#     moves = dx_t / sigma_data, torch.ones_like(t)
#     value, dF = torch.func.jvp(F, (x_t / sigma_data, t), moves)
#     first = -(cos**2) * (sigma_data * value - dx_t)
#     return first - r * cos * sin * (x_t + sigma_data * dF)
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are RMS errors to f*, means over seeds 0, 1 and 2 (lowest to highest), from the recordings named in the budget. The paper's own numbers are on images; nothing here contradicts or confirms them at their size.

# %% tags=["hide-input"]
full, clip, norm = rmse("sct"), rmse("scd"), rmse("scd-norm")
wild16 = [rmse(arm) for arm in ("sct-fourier-16", "sct-fourier-16-log", "sct-fourier-16-bare")]
rows, steep = [], loglog_slope(gaps, errors["float64"], 1e-4, 1e-1)
rows.append(("the discrete gradient tends to the continuous one", f"error of order {steep:.2f} in the gap, over three decades", "shows"))
rows.append(("‖F − F⁻ − g‖² has that gradient (App. D)", f"in all weights of a network: cosine {cosine:.6f}, ratio {ratio_2:.6f} to that of w ⟨f, df/dt⟩", "shows: twice the gradient"))
said = ", ".join(ranged(v, ".3g") for v in wild16)
rows.append(("fast time features make it unstable (Sec. 4.1)", f"Fourier 16: with the angle, with ln(σ)/4, and with neither norm nor warm-up: {said}; slow features {ranged(full)}", stabiliser_verdict(np.concatenate(wild16), full) + ", with the stabilisers on and without"))
runaway, log = list(speeds.values())[1][-1], rmse("sct-log")
rows.append(("ln(σ) as time input is unstable near pure noise (Sec. 4.1)", f"its speed has no bound: {runaway:.0f} at t = 1.56; trained, with slow features: {ranged(log)}, {effect(log, full)}", "shows as a formula; trained: " + stabiliser_verdict(log, full)))

# %% tags=["hide-input"]
for claim, arm in (
    ("a bound on the tangent is needed (Sec. 4.2)", "sct-no-norm"),
    ("the prior weight is critical (Sec. 4.2)", "sct-flat"),
    ("the learned weight w(t) (Sec. 4.2)", "sct-even"),
    ("*all of it at once:* norm, warm-up, prior and learned weight", "sct-bare"),
):
    rows.append((claim, f"without: {ranged(rmse(arm))}, {effect(rmse(arm), full)}", stabiliser_verdict(rmse(arm), full)))
early, clipped = rmse("sct-no-warmup"), rmse("sct-clip")
rows.append(("warm-up does not change the end (Sec. 4.2, as we read it)", f"without: {ranged(early)}, {effect(early, full)}", "shows" if overlap(early, full) else "does not show"))
rows.append(("clipping does about as well as normalising (Sec. 4.2)", f"clipped: {ranged(clipped)}, {effect(clipped, full)}", "shows" if abs(ratio_of_means(clipped, full) - 1) < 0.1 else "does not show at this size"))

# %% tags=["hide-input"]
near, tiny = rmse("sct-0.001", "gap"), rmse("sct-1e-05", "gap")
cost = costs[4096]["forward mode"] / costs[4096]["one forward pass"]
rows.append(("a discrete twin with a small gap does as well (App. E)", f"gap 1e-3: {ranged(near)}, {effect(near, full)}", "shows: within 10 %" if abs(ratio_of_means(near, full) - 1) <= 0.1 else "does not show: more than 10 % off"))
rows.append(("… and too small a gap suffers from rounding (App. E)", f"gap 1e-5: {ranged(tiny)}, {effect(tiny, full)}", stabiliser_verdict(tiny, full).replace("it helps, and nothing is ruined without it", "it is worse, not ruined")))
rows.append(("a JVP costs about as much as a forward pass (as reported)", f"{cost:.1f} times as much on this machine, batch 4096", "shows" if cost < 2 else "does not show on this machine, with this network"))
rows.append(("a teacher helps: so in the paper on ImageNet 512, while on CIFAR-10 sCT is ahead", f"sCD {ranged(clip)}, sCT {ranged(full)}, equal steps; this teacher is exact", "shows" if clip.max() < full.min() else "does not show: the ranges overlap"))
alone = rmse("scd-norm-even")
rows.append(("*not in the paper:* with an exact teacher, normalising and the learned weight get in each other's way", f"sCD with both {ranged(norm)}, with the first alone {ranged(alone)}, with the second alone (clipped) {ranged(clip)}", "shows: the ranges are apart" if max(clip.max(), alone.max()) < norm.min() else "does not show: the ranges overlap"))
Markdown("| claim | measured here | verdict |\n|---|---|---|\n" + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in rows))

# %% [markdown]
# Three lines to take with you. The gap can go to zero: what is left is a derivative along the path, and forward mode gives it without a step size.
# Then the derivative of the network in its time input becomes the training target, so that every part that reads the time must be slow. That matters more than all bounds together.
# And the loss no longer tells you anything: look at the length of the tangent, and at the samples.
#
# ## Budget

# %% tags=["hide-input"]
records = [run.record for study in ("stabilisers", "gap") for run in existing_recordings(study, STUDIES[study].variants).values()]
seen, spent = sum(len(r["seeds"]) * r["samples"] for r in records), [s for r in records for s in r["seconds"]]
print(f"Replayed: {len(records)} arms of 3 seeds, {seen:,} training samples in all.")
print("A run is 4000 steps of 256 samples; sCD's 2000 steps of diffusion are counted.")
print("Network calls for each sample: one with a gradient, and one that carries value and derivative.")
print(f"Each run took {min(spent):.0f} to {max(spent):.0f} s, on a machine that did other work too.")
print(f"Made by, for one: {records[0]['command']}")
print("Trained in this notebook until you press Start: five steps of one sample on the line.")

# %% [markdown]
# **Next:** one step is not the only way to use f. Lab 11 asks when more steps help.
