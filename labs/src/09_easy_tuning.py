# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Easy tuning
#
# **What is a diffusion model worth to a consistency model?**
#
# | | |
# |---|---|
# | Paper | Geng, Pokle, Luo, Lin & Kolter 2025, *Consistency Models Made Easy* (ECT), [arXiv:2406.14548](https://arxiv.org/abs/2406.14548) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 45 minutes |
# | Run All | 11 s on 2 CPU cores |
# | You need | consistency training with one data point and one noise vector (lab 05), the posterior mean D (lab 02), the loss of iCT (lab 07) |
#
# After this lab you can
#
# 1. **derive** from ECT's r(t) at which noise levels, and for which fraction of the samples, a stage still trains a denoiser;
# 2. **explain** how the ideal answer changes from stage to stage, and what the choice of distance has to do with it;
# 3. **count** a budget that includes the pre-training.
#
# Nothing is trained in this notebook. The ideal answers of each stage are exact, and the trained runs are recordings with three seeds each. The data are the three modes on the line (lab 05), unless stated otherwise.

# %%
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.plots_line import quantile_points
from cmlab_labs.common.plots_recordings import (
    VARIANT_NAMES,
    BudgetPanel,
    compare_seeds,
    compare_variants,
    recorded_variants,
    sample_clouds,
    sample_images,
    score_curve,
    training_budgets,
)
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab09_ect import checks
from cmlab_labs.lab09_ect.explorer import explorer, walking
from cmlab_labs.lab09_ect.figures import (
    IdealFunction,
    ideal_functions,
    level_sequence,
    mean_functions,
    median_answers,
    random_trajectories,
    trajectories,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.data.toy import Bumps
from cmlab.losses import SquaredL2
from cmlab.methods import ECT, EDM
from cmlab.methods.ect import ECTMapping, Stages
from cmlab.methods.edm import EDMWeight
from cmlab.noise_levels import DenoisingPairs, LogNormal
from cmlab.presets import toy
from cmlab.schedules import Constant

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact results need double precision

# %% [markdown]
# ## Try it first
#
# A walk starts at noise level 10 and ends at the data. At each noise level it draws a data point from which the current noisy point could have come, and leaps part of the way towards it. At stage 0 it leaps the whole way at once; at each further stage the leaps are about half as long.
#
# (Noise is on the left and the data are on the right, unlike in labs 01 to 05.) Move the stage from 0 to 6, then the start. How does the scatter of the ends change, and how does their mean change?

# %%
walking()

# %% [markdown]
# <details><summary>Answer</summary>
#
# From the start at −8 the standard deviation of the ends falls from 0.94 at stage 0 to 0.17 at stage 6. Their mean moves from near the posterior mean D, −0.05, steadily towards the end of the exact path at −1.12. From other starts it can pass that end and turn back: from 7 it is 0.69 at stage 3 and 0.64 at stage 6, and the path ends at 0.54.
#
# </details>

# %% [markdown]
# ## Predict
#
# Consistency training compares $f(x_t, t)$ with $f(x_r, r)$, where $x_t = x + t z$ and $x_r = x + r z$ have the same data point x and the same noise z, and the second answer is held fixed.
# In ECT, r starts at 0 and approaches t during training.

# %%
predict("09.1")

# %%
predict("09.2")

# %% [markdown]
# ## The exact object
#
# ### r = 0 is diffusion
#
# Since $f(x, 0) = x$ is built in, the target at r = 0 is the data point x, and with the squared distance and a weight λ(t) the loss is $\lambda(t)\, \lVert f(x_t, t) - x\rVert^2$. With EDM's weight this is EDM's loss, term by term. The folded cell compares the gradients of the package's two methods, with the same data, times and noise.
# (Unlike in labs 02 to 05 the paths end at 0, where EDM's coefficients satisfy the boundary condition.)

# %% tags=["hide-input"]
model = toy.edm().build()
torch.manual_seed(1)
denoising = DenoisingPairs(toy.LEVELS)
weight = EDMWeight(toy.RING.sigma_data)
losses = {"EDM": EDM(denoising, weight=weight), "ECT, r = 0": ECT(denoising, SquaredL2(), weight)}
each, data = {name: [] for name in losses}, toy.RING.sample(8)[0]
for name, method in losses.items():
    torch.manual_seed(0)  # the same times and the same noise for both
    for loss in method.loss(model, data, step=0):
        parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        each[name].append(torch.cat([part.flatten() for part in parts]).double())
each = {name: torch.stack(rows) for name, rows in each.items()}

# %% tags=["nbval-check-output"]
gap = (each["EDM"] - each["ECT, r = 0"]).abs().max()
print(f"squared distance: the two gradients differ by less than 1e-9: {bool(gap < 1e-9)}")

# %% [markdown]
# ECT's own distance is the norm without the square, with the weight 1/(t − r). By the chain rule this distance pulls **each sample** in the same direction,
# but with a strength that no longer grows with the difference. Over many samples it is a different objective, whose optimum is a median and not a mean (labs 05 and 08).
#
# ### In between: a sequence of exact answers
#
# What should the network answer while r is between 0 and t? It is given only $x_t$. The data point x behind $x_t$ is unknown, and therefore so is
#
# $$x_r = \frac{r}{t}\, x_t + \Bigl(1 - \frac{r}{t}\Bigr)\, x .$$
#
# If the answers at r are already ideal, then with the squared distance the best answer at t is their mean. Write $f_a$ for the ideal function at stage a:
#
# $$f_a(x_t, t) = \mathrm{E}\bigl[f_a(x_r, r) \mid x_t\bigr], \qquad f_a(x, 0) = x .$$
#
# This is the walk from the beginning of the lab. At each level, draw a data point that could lie behind $x_t$, and go a fraction 1 − r/t of the way towards it; this fraction is the *relative gap*. The ideal answer $f_a$ is the mean of the ends of such walks.
# At stage a = 0 the walk is one leap, and its mean is D. The smaller the gap, the less each leap is left to chance, and the more leaps there are to average over, until all walks follow the exact path.
#
# In one dimension everything here can be computed without a network. The black line is the exact path, and the blue lines are walks; the triangle marks their mean end, computed by quadrature. (A leap is straight in t; on this logarithmic axis it is drawn as a straight line between its ends. At stage a the relative gap is $2^{-a}$, and at small t up to five times as wide; the formula follows below.)

# %% tags=["hide-input"]
line_data, TOP, START = Bumps().oracle, 10.0, 3.0
pairs = {a: ECTMapping(Constant(2.0**-a)) for a in range(9)}  # K = 8, b = 1: the paper's
down = {a: level_sequence(pairs[a], TOP) for a in pairs}
ideal = {a: mean_functions(line_data, down[a]) for a in pairs}
start = torch.full((400,), START)
g = torch.Generator().manual_seed(4)
ways = [random_trajectories(line_data, start, down[a], g) for a in (0, 3, 8)]
answers = [float(ideal[a][-1](start[:1])) for a in (0, 3, 8)]
titles = [f"At stage {a} a walk has {len(down[a]) - 1} {said}" for a, said in zip((0, 3, 8), ("leap", "leaps", "leaps"), strict=True)]
trajectories({t: down[a] for t, a in zip(titles, (0, 3, 8), strict=True)}, ways, line_data, answers)

# %% [markdown]
# Left: the function $f_a$ at t = 10, by stage. At stage 0 it is D, which is nearly flat; stage by stage it takes on the cliffs of f\*. Right: its distance from f\*.

# %%
x = quantile_points(line_data, TOP, 500)[:, 0]
exact = line_data.consistency(x[:, None], torch.full_like(x, TOP))[:, 0]
misses = torch.stack([(ideal[a][-1](x) - exact).square() for a in pairs])  # squared
squared = misses.mean(1).sqrt().tolist()
medians = {a: median_answers(line_data, x, down[a]) for a in pairs}
norm = [float((medians[a] - exact).square().mean().sqrt()) for a in pairs]
ideal_functions(x, exact, {a: ideal[a][-1] for a in (0, 1, 2, 4, 8)}, squared, norm)

# %% tags=["hide-input", "nbval-check-output"]
ratios = [b / a for a, b in zip(squared[:-1], squared[1:], strict=True)]
print("stage                " + "".join(f"{a:7d}" for a in pairs))
print("squared: RMS to f*   " + "".join(f"{v:7.3f}" for v in squared))
print("norm:    RMS to f*   " + "".join(f"{v:7.3f}" for v in norm))

# %% tags=["hide-input"]
rank = (torch.arange(len(x)) + 0.5) / len(x)
cliff = torch.stack([(rank - (exact < border).double().mean()).abs() < 0.03 for border in (-0.5, 0.9)]).any(0)
table = ["| noise values | factor per stage, from stage 4 on | share of the mean squared error at stage 3 | at stage 8 |", "|---" * 4 + "|"]
table.append(f"| all | {min(ratios[3:]):.2f} to {max(ratios[3:]):.2f} | | |")
for part, where in ((cliff, f"at the two cliffs ({100 * cliff.double().mean():.0f} %)"), (~cliff, "elsewhere")):
    left = (misses[4:, part].mean(1) / misses[3:-1, part].mean(1)).sqrt()
    share = misses[:, part].sum(1) / misses.sum(1)
    table.append(f"| {where} | {left.min():.2f} to {left.max():.2f} | {100 * share[3]:.0f} % | {100 * share[8]:.0f} % |")
folded("How much of the error each stage leaves, at the cliffs and elsewhere", "\n".join(table))

# %% [markdown]
# - **Stage 0 is a denoiser.** Each halving of the gap brings the ideal answer closer to f\*. From stage 4 on a halving removes about a quarter of the error, not a half, because of the cliffs between the modes. The walks scatter like the square root of the gap, and each cliff is blurred over this width; the squared error there is proportional to the width, so its RMS falls like the fourth root of the gap, to 0.84 of its value at each stage. Elsewhere the error falls like the gap, to about one half. At stage 8 most of the error is at the cliffs.
# - **Even the last stage has an error of its own**, which is due not to a network or to training but to its relative gap of 1/256 (and of up to 5/256 at small t).
# - **With the norm the sequence ends somewhere else.** The ideal answer is now the median of $f_a(x_r)$. On the line $f_a$ increases, so this is $f_a$ at the median of $x_r$; and $x_r$ increases with x, so this point lies on the way to the median of x. The answer is thus the end of a path that heads for the median of x instead of its mean D. Where the data behind $x_t$ are lopsided the two differ, at every gap.
#   How far away the sequence ends depends on the data: 0.32 on this line, and only about 0.06 on the ring (lab 08, which also says what the norm is good for).
#
# ### Does this affect trained networks?
#
# In the recorded runs ECT is trained on this line from random weights, once with each distance. The table gives the fraction of the noise values at t = 10 that each function sends to each mode.
# Compare a trained row with the ideal row of the same distance, and then with f\*. (With the norm the networks end nearer to f\* than their ideal answer is, as in lab 05.)

# %% tags=["hide-input"]
modes = {"left": (-9.0, -0.5), "middle": (-0.5, 0.9), "right": (0.9, 9.0)}
ends = {"exact f*": exact[None], "ideal, norm": medians[8][None], "ideal, squared": ideal[8][-1](x)[None]}
line, wide = recorded_variants("tuning-line"), (TOP**2 + line_data.sigma_data**2) ** 0.5
for name, run in line.items():
    place, found = torch.from_numpy(run["place"][0]) * wide, torch.from_numpy(run["map"][:, -1])
    ends[f"trained, {name}"] = torch.stack([IdealFunction(TOP, place, f)(x) for f in found])
table = ["| | " + " | ".join(modes) + " | RMS to f\\* |", "|---" * 5 + "|"]
for name, rows in ends.items():
    shares = [((rows > low) & (rows < high)).double().mean(1) for low, high in modes.values()]
    off = (rows - exact).square().mean(1).sqrt()
    table.append(f"| {name} | " + " | ".join(ranged(v) for v in (*shares, off)) + " |")
Markdown("\n".join(table))

# %% [markdown]
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | $r(t) = t \max\bigl(0,\; 1 - n(t)\, q^{-a}\bigr)$ with $n(t) = 1 + K\,\mathrm{sigmoid}(-b t)$ | `ECTMapping`; the paper writes k for K, a constant (in lab 07 K was the number of steps) |
# | stage a grows by 1 after a fixed number of steps | `Stages`; here, as in the authors' code, training begins with a = 1 |
# | $\lambda(t, r)\, d\bigl(f_\theta(x_t, t),\, f_{\theta^-}(x_r, r)\bigr)$ with a distance d; θ⁻ = θ, without gradient | the loss of lab 07 (listed in lab 05); the paper writes w(t, r) for λ |

# %%
show_source(Stages.__call__)

# %%
show_source(ECTMapping.ratio)

# %% [markdown]
# The **relative gap** is $1 - r/t = n(t)\, q^{-a}$, where this is below 1:
#
# - **q** is the factor by which the gap shrinks from one stage to the next.
# - **K** widens the gap at small noise levels. Since sigmoid(0) = ½, n(0) = 1 + K/2, which is 5 with the paper's K = 8. At large t, n is 1.
# - **b** sets where the gap passes from the first of these values to the second: around t = 1/b.
#
# The code skips stage 0, since the run starts from a trained denoiser. But even at stage 1 most samples still train a denoiser (one whose best answer, with ECT's norm, is the median; that of the pre-trained denoiser is the mean):

# %% tags=["nbval-check-output"]
ect, t = LogNormal(-1.1, 2.0), torch.logspace(-6, 4, 200_001, dtype=torch.float64)
for a in range(4):
    zero = t[pairs[a].ratio(t, 0) == 0]
    if not len(zero):
        print(f"stage {a}: r > 0 at every t")
        continue
    upto = f"t up to {zero[-1]:.3f}" if a else "every t      "
    share = float(ect.cdf(zero[-1])) if a else 1.0
    print(f"stage {a}: r = 0 for {upto}, {100 * share:5.1f} % of the samples")

# %% [markdown]
# The two boundaries are ln 7 and ln(5/3) (exercise A). Small noise levels are the last to get an r above 0.
#
# ## Explore
#
# Left: r against t, with r = t dotted and the other stages in grey, darker for later ones. Right: the ratio r/t, with the numbers of the stages at the edge, over the distribution of the samples' t.
# Hatched samples have r = 0 and train a denoiser. Click a slider and use the arrow keys.
#
# Three things to try:
#
# - Set K = 0. What was the purpose of n(t)?
# - Set q = 256 at a = 1, as in the authors' script for one hour of training. Which early stages are left out?
# - Compare a = 1 at q = 4 with a = 2 at q = 2.

# %%
explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - With K = 0 all noise levels move together: at stage 1 r = t/2 everywhere, and no sample trains a denoiser any more. With n(t) the samples at small levels train a denoiser for longer, and the gap there stays larger: with K = 0 the walk from t = 80 has 16 leaps at stage 1, with K = 8 it has 7.
# - The gap is that of stage 8 at q = 2 from the start: stages 1 to 7 are left out, among them both that have samples with r = 0.
# - They give the same r(t), since only $q^{-a}$ enters.
#
# </details>

# %% [markdown]
# ## The key figure
#
# Does it pay to train a denoiser first? The paper starts from a published denoiser and counts only the tuning. Here every sample is counted, including those of the pre-training.
#
# | name | what it is |
# |---|---|
# | tuned | a denoiser first (a quarter of the samples on the ring, 256 000; two fifths on digits), then ECT from its averaged weights |
# | from scratch | ECT from random weights, stages 1 to 8, with as many samples as both together |
# | from scratch, short | as from scratch, with as many samples as the tuning alone |
# | denoiser only | no tuning at all, with the samples of both together; its answer in one call |
# | tuned, long | (ring) as tuned, from a denoiser with 3 072 000 samples, four times as many as the tuning; not in the figure |
# | fixed ratio | (ring) as tuned, but r stays at t/2 |
# | iCT | (digits) iCT from random weights |
#
# ECT uses its norm in every variant. Grey marks the pre-training of the tuned network. Lines are means over the seeds, and bands are their ranges. The curves of the ring show the RMS distance to f\* with the weights in training; the curves of the digits, and all numbers and verdicts, are for the averaged weights.

# %% tags=["hide-input"]
ring, digits = (recorded_variants(f"tuning-{name}") for name in ("toy", "digits"))
form = {"ring": ".3f", "digits": ".1f"}
scores = {"ring": (ring, "rmse"), "digits": (digits, "fd1")}
finals = {name: {variant: run.score(score) for variant, run in runs.items()} for name, (runs, score) in scores.items()}
WORDS = {"ring": ("end nearer to f*", "end farther from f*"), "digits": ("are better", "are worse")}
verdicts = {}
for name, found in finals.items():
    order = compare_seeds(found["tuned"], found["scratch"])
    words = dict(zip(("lower", "higher"), WORDS[name], strict=True))
    verdicts[name] = f"tuned networks {words[order]}" if order in words else "tuned and from scratch\nare indistinguishable"

# %% tags=["hide-input"]
floors = {"digits": "fd_floor"}
real = {n: float(r.score(floors[n])[0]) for n in floors for r in list(scores[n][0].values())[:1]}
axis = {"ring": "RMS of $f - f^*$", "digits": "Fréchet distance"}
panels = {}
for name, (runs, score) in scores.items():
    curves = {variant: score_curve(run, "" if name == "ring" else score) for variant, run in runs.items() if variant != "tuned-long"}
    panels[f"{name.capitalize()}: {verdicts[name]}"] = BudgetPanel(axis[name], curves, real.get(name, float("nan")))
training_budgets(panels)

# %% tags=["hide-input"]
columns = {"rmse": ("RMS to f\\*", ".3f", 1), "sw1": ("sliced W₂", ".3f", 1), "hq": ("samples at a mode, %", ".1f", 100)}
table = ["| ring, one call | " + " | ".join(words for words, _, _ in columns.values()) + " |", "|---" * 4 + "|"]
above = ("tuned", "scratch", "scratch-short", "tuned-long")
for variant in above:
    cells = [ranged(k * ring[variant].score(key), digits_of) for key, (_, digits_of, k) in columns.items()]
    table.append(f"| {VARIANT_NAMES[variant]} | " + " | ".join(cells) + " |")
Markdown("\n".join(table))

# %% [markdown]
# So training a denoiser first does not pay here if its samples are counted. On the ring the tuned network ends farther from f\*. (The norm's own limit lies about 0.06 from f\* at t = 10, so this distance alone does not say which network is the better one. But fewer of its samples lie at a mode, too; the sliced W₂ is indistinguishable.) On the digits the ranges overlap.
# What does help, on the ring, is to let the gap shrink instead of leaving r at t/2.
#
# **And if the denoiser is free?** Compare *tuned* with *from scratch, short*: the two are indistinguishable on both data sets. But these denoisers had seen only a third (ring) and two thirds (digits) as many samples as the tuning, the paper's four to fifteen times as many. *Tuned, long* starts from a denoiser that has seen four times as many, and its scores in the table are no better by any of the three measures. In one call, three seeds on the ring show no benefit from starting with a denoiser. In two, *tuned, long* is better than *tuned*, but still indistinguishable from *from scratch, short*. (On the digits only the short denoiser was tried.)
#
# **Why not?** The first stages of ECT mostly train a denoiser, with the norm instead of the square: at stage 1, 81 % of the samples have r = 0, and at stage 2 still more than half. A run from scratch therefore contains a pre-training. This is the likely reason; testing it would take a run from scratch that begins at stage 3.
#
# The comparison has its limits. The learning rate, network and schedule are the same in all variants and were not tuned for each. In the tuned variants the learning rate rises and falls twice, and in those from scratch once; since the error falls mostly while the rate decays, this may favour either.

# %% tags=["hide-input"]
measures = {"ring": "RMS error to f\\*", "digits": "Fréchet distance"}
two_calls = {"ring": ("sw2", "sliced W₂"), "digits": ("fd2", "Fréchet distance")}
rows = ["| data | variant | samples | one call (lower is better) | two calls |", "|---" * 5 + "|"]
for name, (runs, score) in scores.items():
    for variant, run in runs.items():
        seen, (key, measure) = f"{run.record['samples']:,}".replace(",", " "), two_calls[name]
        one = "above" if name == "ring" and variant in above else f"{measures[name]} {ranged(run.score(score), form[name])}"
        cells = [name, VARIANT_NAMES[variant], seen, one, f"{measure} {ranged(run.score(key), form[name])}"]
        rows.append("| " + " | ".join(cells) + " |")
folded("All numbers, for one call and for two", "\n".join(rows))

# %% [markdown]
# ### What the samples look like
#
# One call from the same noise, with the first seed; the grey discs are the modes of the data. From pure noise a denoiser can at best return a mean, of all data on the ring and of the class on digits. (On digits it is not there yet: the exact means have a Fréchet distance of 325, lab 00.)

# %%
clouds = sample_clouds(ring, toy.RING.oracle.components.means)
clouds.suptitle("Only the denoiser returns the mean", x=0.01, ha="left", fontweight="bold")
clouds

# %%
held = Digits(train=False)
shown = torch.stack([held.images[held.labels == k][0] for k in range(10)])
sample_images(digits, shown, "Only the denoiser blurs its digits")

# %% [markdown]
# ## Exercises
#
# ### A · guided: which samples train a denoiser?
#
# At stage a, up to which t is r = 0? Derive it on paper for any q, K > 0 and b > 0; the two boundaries above, ln 7 and ln(5/3), are a test of your formula. Then write the fraction of the samples that train a denoiser at this stage, if ln t is normal with `mean` and `std`.

# %% tags=["exercise"]
def denoising_share(stage, q, K, b, mean, std):
    """The fraction of the samples, from 0 to 1, with r = 0 at this stage (the first is 0)."""
    # 1. the value of the sigmoid at which n(t) is as large as it must be
    # 2. is there such a t? if not, is r = 0 everywhere or nowhere?
    # 3. solve for t; which samples lie below it?
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.denoising_share(denoising_share)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# r is 0 where n(t) is at least $q^a$. For t ≥ 0 the sigmoid of −b t lies between 0 and ½, and it falls with t. Its inverse is $\ln\frac{s}{1-s}$. The distribution function of the standard normal is `torch.special.ndtr`.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# from math import log
#
#
# def denoising_share(stage, q, K, b, mean, std):
#     s = (q**stage - 1) / K  # the sigmoid at the boundary
#     if s <= 0:
#         return 1.0
#     if s >= 0.5:
#         return 0.0
#     t = log((1 - s) / s) / b
#     return float(torch.special.ndtr(torch.tensor((log(t) - mean) / std)))
# ```
#
# With $s = (q^a - 1)/K$, r is 0 up to $t = \tfrac1b \ln\tfrac{1-s}{s}$ if 0 < s < ½; everywhere if s = 0 (stage 0), nowhere if s ≥ ½. With q = 2 and K = 8 stage 3 has s = 7/8.
#
# </details>

# %% [markdown]
# ### B · on your own: the walk
#
# The data are n numbers, all equally likely. Walks start at the noisy points x (b,) and go down the `levels`, of which the last is 0: at each level t draw **one** of the data points, given where the walk now is, and go a fraction 1 − r/t of the way towards it. Return the ends (b,).
# The check compares their distribution with the exact one.
#
# On paper: what is the mean end for `levels` = [t, 0]? And where do the walks end if they go towards the *mean* of the data points instead of one of them?

# %% tags=["exercise"]
def walk(x, levels, data):
    """Ends (b,) of random walks from x (b,) at levels[0] down to the last level, which is 0."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.walk(walk)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Given $x_t$, a data point has a probability proportional to $\exp(-(x_t - x)^2/2t^2)$. `softmax` normalises, and `torch.multinomial(chances, 1)` draws one index for each row.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def walk(x, levels, data):
#     for t, r in zip(levels, levels[1:]):
#         chances = torch.softmax(-((x[:, None] - data) ** 2) / (2 * t**2), dim=1)
#         drawn = data[torch.multinomial(chances, 1)[:, 0]]
#         x = r / t * x + (1 - r / t) * drawn
#     return x
# ```
#
# One leap from t to 0 ends at D on average: this is denoising. With the mean instead of one point all walks from one start take the same way, which is Euler's path (lab 01): no scatter is left, and what remains is the error of Euler's steps.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Results of training are means over three seeds, with the lowest and the highest; a claim counts as *confirmed here* only if the ranges do not overlap.

# %% tags=["hide-input"]
claims = {
    "ring, RMS to f\\*": ("ring", "tuned", "scratch"),
    "digits, Fréchet distance": ("digits", "tuned", "scratch"),
}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
said = "the two gradients are equal" if gap == 0 else f"the gradients differ by at most {gap:.1g}"
rows.append(f"| r = 0 is diffusion training | squared distance: {said} | confirmed here; with the norm the optimum over many samples is different |")
drop = f"RMS to f\\* at t = 10: {squared[0]:.2f} (the mean D), {squared[1]:.2f}, … {squared[8]:.2f} at stage 8; norm: {norm[0]:.2f} … {norm[8]:.2f}"
rows.append(f"| shrinking the gap leads from the denoiser to the consistency function | exact, on the line: {drop} | confirmed here with the squared distance; with the norm it leads elsewhere |")
line_off = {name: (ends[f"trained, {name}"] - exact).square().mean(1).sqrt().numpy() for name in line}
rows.append("| *not in the paper:* which function is learned depends on the distance (on the line) | RMS to f\\* at t = 10: {} | {} |".format(*compare_variants(line_off, "squared", "norm", ".3f")))
for where, (name, a, b) in claims.items():
    rows.append("| *not in the paper:* at equal total budget, a denoiser first beats training from scratch ({}) | {} | {} |".format(where, *compare_variants(finals[name], a, b, form[name])))
free = {where: compare_variants(finals[name], a, "scratch-short", form[name]) for where, (name, a, _) in claims.items()}
numbers, says = ("; ".join(f"{where}: {row[k]}" for where, row in free.items()) for k in (0, 1))
one_verdict = {row[1] for row in free.values()}
says = f"{one_verdict.pop()} on both data sets" if len(one_verdict) == 1 else says
rows.append(f"| *not in the paper:* a short denoiser for free, so that only the tuning counts, beats training from scratch | {numbers} | {says} |")
rows.append("| tuning a denoiser that exists beats training from scratch (ring, RMS to f\\*; the denoiser has four times the samples of the tuning, for free) | {} | {} |".format(*compare_variants(finals["ring"], "tuned-long", "scratch-short", ".3f")))
rows.append("| the gap has to shrink (ring; with the fixed ratio r stays at t/2) | {} | {} |".format(*compare_variants(finals["ring"], "tuned", "fixed", ".3f")))
rows.append("| ECT beats iCT (digits), *here at equal total budget* | {} | {} |".format(*compare_variants(finals["digits"], "tuned", "ict", ".1f")))
Markdown("\n".join(rows))

# %% [markdown]
# The paper's claim is about cost: a published denoiser exists already, and tuning it is cheap. Its denoiser for CIFAR-10 had seen 200 million pictures, and the tuning took 13 to 51 million, a fourth to a fifteenth.
#
# ### What to remember
#
# 1. Denoising is consistency training at its widest gap, and each stage closes the gap further. On the line, once the gap is small, halving it takes a quarter of the error away, not a half, because of the cliffs.
# 2. Even the ideal answers need all the stages, and the distance decides where they lead: the square to f\*, the norm to another function.
# 3. At this scale starting from a denoiser did not pay. With its samples counted, tuned networks were a little farther from f\* on the ring and indistinguishable on the digits; with its samples for free, they were indistinguishable on both.
#
# ## Budget

# %% tags=["hide-input"]
runs = [run for name in ("line", "toy", "digits") for run in recorded_variants(f"tuning-{name}").values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in runs)
seconds = sum(sum(run.record["seconds"]) for run in runs)
print("This notebook trains nothing; it computes gradients for 8 samples, and everything else in it is exact.")
each = f"{seen:,} samples".replace(",", " ")
print(f"Recorded: {len(runs)} variants with three seeds each; {each}, pre-training included.")
print(f"The runs trained for {seconds:.0f} s on a machine that was also doing other work; the time of the pre-training is not included.")

# %% [markdown]
# **Next:** lab 10 lets the gap go to zero and differentiates.
