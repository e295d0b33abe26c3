# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The boundary condition
#
# **Why does the trivial solution not win?**
#
# | | |
# |---|---|
# | Papers | Song, Dhariwal, Chen & Sutskever 2023, *Consistency Models*, Section 3 and Appendix C, [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); Karras et al. 2022 (EDM), Section 5, [arXiv:2206.00364](https://arxiv.org/abs/2206.00364) |
# | Level | 1 of 3 |
# | Time | 30 minutes |
# | Run All | RUNTIME s on 2 CPU cores |
# | You need | the consistency function f (lab 02), variances, square roots |
#
# After this lab you can
#
# 1. **explain** why the consistency loss alone cannot tell the truth from a constant, and what does;
# 2. **write** the coefficients c_skip, c_out and c_in, and say what each is for;
# 3. **check** for any parametrisation whether it holds the boundary, for every network at once.
#
# The story needs no training: its functions are exact, and its networks are random. One short demonstration at the end
# of the key figure does train, on a budget that it states.

# %%
from itertools import pairwise, product

import torch
from IPython.display import Markdown

from cmlab.check import lab03
from cmlab.data.line import Bumps
from cmlab.data.toy import Ring
from cmlab.distance import EDMWeight
from cmlab.figures.coefficients import boundary, collapse, variances
from cmlab.figures.consistency import ranked
from cmlab.model import CMPrecond, Denoiser, EDMPrecond
from cmlab.times import KarrasGrid
from cmlab.widgets import Predict, show_source, start_lab
from cmlab.widgets.coefficients import explorer, forms, untrained

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact maths deserves all its digits

# %% [markdown]
# ## Predict
#
# A consistency model is trained to agree with itself: take two neighbouring points $x_t$ and $x_r$ of one path, and make
# $\lVert f(x_t, t) - f(x_r, r)\rVert^2$ small. Nobody shows it the right answer.

# %%
Predict(
    "Which function has the smallest such loss, over all paths and levels?",
    {
        "The exact consistency function, and no other": "It has loss 0, and nothing can have less. But it is not alone there: look for a function that agrees with itself without looking at x at all.",
        "The posterior mean D: least squares leads to averages": "D changes along every path (lab 02), so its loss is not 0. Averages win where a network is compared with the data; here it is compared with itself.",
        "The exact consistency function and any constant: a tie": "Both agree with themselves perfectly. The loss cannot tell them apart, so something else has to.",
        "The identity f(x, t) = x: neighbours differ little": "Neighbours differ by the length of the step, and the steps far out are long. The identity is right at t = ε only.",
    },
    right="The exact consistency function and any constant: a tie",
)

# %% [markdown]
# ## The exact object
#
# Which functions have loss 0? Those that do not change along a path. All points of a path then share the value at its end,
# where the noise level is ε. Write $g(x) = f(x, \varepsilon)$ for what f does there, and $f^*$ for the exact consistency function. Then
#
# $$\text{loss} = 0 \quad\Longleftrightarrow\quad f(x_t, t) = g\bigl(f^*(x_t, t)\bigr) \quad\text{for some function } g .$$
#
# The loss never sees g. With g = 0 it is the trivial solution, with g(x) = −x it is the mirror image of the truth, and with g(x) = x it is the truth.
# So one line has to be added to the loss, and it is the **boundary condition**:
#
# $$f(x, \varepsilon) = x .$$
#
# Below: one exact path, four functions, three levels. Each row is constant or it is not; only the last column knows which one is right.

# %%
EPS, HIGH = 0.002, 10.0
law = Bumps().oracle
held = forms(law.sigma_data, EPS)  # four parametrisations, by name
functions = {
    "exact f": law.consistency,
    "minus f": lambda x, t: -law.consistency(x, t),
    "constant": lambda x, t: torch.zeros_like(x),
    "mean D": law.denoise,
    "identity": lambda x, t: x,
    "untrained": untrained(held["CM form"], seed=0),
}

# %% tags=["nbval-check-output"]
way = torch.tensor([HIGH, 1.0, EPS])
x = law.path(torch.tensor([[8.5]]), way)[:, 0]
print("level t           " + "".join(f"{t:8.3f}" for t in way))
print("x_t on the path   " + "".join(f"{v:8.3f}" for v in x.flatten()))
for name in ("exact f", "minus f", "constant", "mean D"):
    print(f"{name:18}" + "".join(f"{v + 0.0:8.3f}" for v in functions[name](x, way).flatten()))

# %% [markdown]
# ## The method, from its source
#
# The boundary could be a penalty. It is built into the network instead, so that it holds before the first training step and after every one.
# With the free network F,
#
# $$f(x, t) = c_\text{skip}(t)\, x + c_\text{out}(t)\, F\bigl(c_\text{in}(t)\, x,\; c_\text{noise}(t)\bigr), \qquad c_\text{skip}(\varepsilon) = 1, \quad c_\text{out}(\varepsilon) = 0 .$$
#
# At ε the skip carries x through and the network is silent, **whatever its weights are**. The rest comes from EDM:
#
# | wish (EDM, Section 5) | consequence |
# |---|---|
# | the network's input has variance 1 | $c_\text{in} = 1/\sqrt{t^2 + \sigma_d^2}$ |
# | its target $(x - c_\text{skip}\, x_t)/c_\text{out}$ has variance 1 | $c_\text{out}^2 = (1 - c_\text{skip})^2 \sigma_d^2 + c_\text{skip}^2\, t^2$ |
# | its errors are multiplied by as little as possible | the smallest such $c_\text{out}$: $c_\text{skip} = \sigma_d^2/(t^2 + \sigma_d^2)$, $\;c_\text{out} = \sigma_d\, t/\sqrt{t^2 + \sigma_d^2}$ |
#
# σ_d is the standard deviation of the data. EDM's pair has its boundary at t = 0, but consistency models stop at ε. So Song et al. shift it (Appendix C):
#
# $$c_\text{skip} = \frac{\sigma_d^2}{(t - \varepsilon)^2 + \sigma_d^2}, \qquad c_\text{out} = \frac{\sigma_d\,(t - \varepsilon)}{\sqrt{t^2 + \sigma_d^2}} .$$

# %%
show_source(EDMPrecond.__call__)

# %%
show_source(CMPrecond.__call__)

# %%
show_source(Denoiser.forward)

# %% [markdown]
# ## Explore
#
# Left: the three coefficients from t = ε on, with a marker at the boundary. Right: f of **five untrained networks**, at ε and at the two other dotted levels. Dashed: f = x.
# Click a slider and use the arrow keys, or Page Up and Page Down for larger steps.
#
# Three things to try. Walk through the four forms: in which do all five networks agree at ε?
# Raise ε with the EDM form: from where on can you see its error? Compare the middle panels of the CM form and the ε/t form at ε = 0.002:
# both hold the boundary, but one asks far more of the network next to it.

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# Six functions, 17 pairs of neighbouring levels, 500 exact paths at even ranks. Here is the loss, in full.

# %%
levels = KarrasGrid(EPS, HIGH).up(18)
losses = {name: [] for name in functions}
for r, t in pairwise(levels):
    x_t = ranked(law, float(t), 500)
    t, r = t.expand(500), r.expand(500)
    x_r = law.flow(x_t, t, r)  # the same path, one level lower
    for name, f in functions.items():
        losses[name].append((f(x_t, t) - f(x_r, r)).square().mean().item())
boundary(levels, held, levels[1:], losses)

# %% tags=["nbval-check-output"]
print("Left and middle: at ε (markers) the CM and ε/t forms copy x. EDM's is off by too little to see.")
zero = [name for name, row in losses.items() if max(row) < 1e-15]
print(f"Right: the loss is 0 at every level for {', '.join(zero)}: a tie.")
print(f"The constant 0 misses x at ε by {law.sigma_data:.2f}, the data's whole spread. Only the boundary tells.")

# %% [markdown]
# ### With the boundary, a small loss means a small error
#
# Walk down a path. Each step changes f by the root of that step's loss, and at ε an anchored f is right. So the errors add up at most:
#
# $$\mathrm{RMS}\bigl(f(x_t, t) - f^*(x_t, t)\bigr) \;\le\; \sum_{\text{levels up to } t} \sqrt{\text{loss}} .$$
#
# For a function without the boundary the sum says nothing: it is 0 for every constant.

# %%
x_T, T = ranked(law, HIGH, 500), torch.full((500,), HIGH)
for name, f in functions.items():
    error = (f(x_T, T) - law.consistency(x_T, T)).square().mean().sqrt().item()
    bound = sum(loss**0.5 for loss in losses[name])
    print(f"{name:10} sum of roots {bound:6.3f}   error at t = 10 {error:6.3f}   {'bounded' if error <= bound + 1e-6 else 'NOT bounded'}")

# %% [markdown]
# ### Without a teacher the constant is even ahead
#
# Consistency training (Algorithm 3, lab 05) knows no paths. It takes $x + t z$ and $x + r z$, with the same data and the same noise. These two lie on one path only on average,
# so even the exact f gives two different answers. The constant does not.

# %%
n = torch.arange(17).repeat(300)
t, r = levels[n + 1], levels[n]
pairs = {name: [] for name in functions}
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    x, z = law.sample(len(n), g), torch.randn(len(n), 1, generator=g)
    for name, f in functions.items():
        gap = f(x + t[:, None] * z, t) - f(x + r[:, None] * z, r)
        pairs[name].append(gap.square().mean().item())
for name, found in pairs.items():
    mean, spread = torch.tensor(found).mean(), torch.tensor(found).std()
    print(f"{name:10} {mean:8.4f} ± {spread:.4f}")

# %% [markdown]
# ### A demonstration, with its budget
#
# Does training fall into the trap? Twelve small networks learn from such pairs: with the CM form and with none, three seeds each, in two ways.
# *Plain* follows the gradient of both answers. *Stop-gradient* holds the second answer fixed, as the paper's training does.
# The budget of each run: 300 steps of Adam, batches of 128, so 38 400 samples.

# %%
trained, last = {}, {}
for way, name, seed in product(("plain", "stop-gradient"), ("CM form", "none"), range(3)):
    model, g = untrained(held[name], seed), torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(300):
        x, z = law.sample(128, g), torch.randn(128, 1, generator=g)
        n = torch.randint(17, (128,), generator=g)
        t, r = levels[n + 1], levels[n]
        f_t, f_r = model(x + t[:, None] * z, t), model(x + r[:, None] * z, r)
        loss = (f_t - (f_r if way == "plain" else f_r.detach())).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    trained[way, name, seed], last[way, name, seed] = model, loss.item()

# %%
points = [(ranked(law, float(t), 300), t.expand(300)) for t in levels]
with torch.no_grad():
    said = {run: torch.stack([f(*at)[:, 0] for at in points]) for run, f in trained.items()}
spreads = {
    way: {form: torch.stack([said[way, form, seed].std(1) for seed in range(3)]) for form in ("CM form", "none")}
    for way in ("plain", "stop-gradient")
}
truth = torch.stack([law.consistency(*at).std() for at in points])
collapse(levels, truth, spreads)

# %%
for way, form in product(spreads, ("CM form", "none")):
    of = [said[way, form, seed] for seed in range(3)]
    spread = ", ".join(f"{a[-1].std():.4f}" for a in of)
    middle = ", ".join(f"{a[-1].mean():6.2f}" for a in of)
    loss = ", ".join(f"{last[way, form, seed]:.0e}" for seed in range(3))
    print(f"{way:14} {form:8} at t = 10: spread {spread}   mean {middle}   last loss {loss}")
