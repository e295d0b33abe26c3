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
# **Why is a diffusion model half-way there?**
#
# | | |
# |---|---|
# | Paper | Geng, Pokle, Luo, Lin & Kolter 2025, *Consistency Models Made Easy* (ECT), [arXiv:2406.14548](https://arxiv.org/abs/2406.14548) |
# | Level | 2 of 3 |
# | Part | The methods |
# | Time | 45 minutes |
# | Run All | 12 s on 2 CPU cores |
# | You need | consistency training with one data point and one noise (lab 05), the posterior mean D (lab 02), the loss of iCT (lab 07) |
#
# After this lab you can
#
# 1. **write** ECT's map from t to r, and say at each stage which samples still train a denoiser;
# 2. **explain** what each stage asks for, from the posterior mean at one end to (nearly) the consistency function at the other;
# 3. **count** a budget with the pre-training in it, and **resume** half a run to the same bits.
#
# Nothing is trained while you wait. The ideal answers of each stage are exact; the trained runs are recordings, three seeds each.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.plots_line import quantile_points
from cmlab_labs.common.plots_recordings import (
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
from cmlab_labs.lab09_ect.explorer import explorer
from cmlab_labs.lab09_ect.figures import (
    IdealFunction,
    curriculum,
    ideal_functions,
    level_sequence,
    mean_functions,
    median_answers,
    random_trajectories,
    rms_error,
    trajectories,
)
from IPython.display import Markdown

from cmlab.data.digits import Digits
from cmlab.data.shapes import Shapes
from cmlab.data.toy import Bumps
from cmlab.losses import SquaredL2
from cmlab.methods import ECT, EDM
from cmlab.methods.ect import ECTMapping, Stages
from cmlab.methods.edm import EDMWeight
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.noise_levels import DenoisingPairs, LogNormal
from cmlab.presets import toy
from cmlab.schedules import Constant

start_lab(threads=1)  # small tensors: a second thread would only wait
torch.set_default_dtype(torch.float64)  # exact maths deserves all its digits

# %% [markdown]
# ## Predict
#
# Consistency training compares $f(x_t, t)$ with $f(x_r, r)$, where $x_t = x + t z$ and $x_r = x + r z$ share data and noise, and the second answer is held fixed.
# ECT lets r go from 0 towards t while it trains.

# %%
predict("09.1")

# %%
predict("09.2")

# %% [markdown]
# ## The exact object
#
# ### r = 0 is diffusion
#
# Take ECT's loss and set r = 0, with the squared distance and EDM's weight. Then draw the same data, times and noise for EDM's own loss, and compare what the two ask of the weights.
# With $f(x, 0) = x$ built in, the target is the data point, and the gradients should be one.

# %%
model = toy.edm().build()
torch.manual_seed(1)
law_of_t = DenoisingPairs(toy.LEVELS)
weight = EDMWeight(toy.RING.sigma_data)
losses = {"EDM": EDM(law_of_t, weight=weight), "ECT, r = 0": ECT(law_of_t, SquaredL2(), weight)}
losses["ECT, r = 0, norm"] = ECT(law_of_t, PseudoHuber(1e-8), InverseGap())
each, data = {name: [] for name in losses}, toy.RING.sample(8)[0]
for name, method in losses.items():
    torch.manual_seed(0)  # the same times and the same noise for all three
    for loss in method.loss(model, data, step=0):
        parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        each[name].append(torch.cat([part.flatten() for part in parts]).double())
each = {name: torch.stack(rows) for name, rows in each.items()}

# %% tags=["nbval-check-output"]
gap = (each["EDM"] - each["ECT, r = 0"]).abs().max()
print(f"squared distance: the two gradients differ by less than 1e-9: {bool(gap < 1e-9)}")
cosine = torch.cosine_similarity(each["EDM"], each["ECT, r = 0, norm"], dim=1)
print(f"norm: cosine of the two gradients, sample by sample, at least {cosine.min():.4f}")

# %% [markdown]
# With the squared distance they are one and the same. ECT's own metric is the norm without the square, with weight 1/(t − r). For **each sample** it pulls in the same direction,
# but with a strength that no longer grows with the distance. Over many samples that is another goal: a sum of squares is least at the mean, a sum of distances at the **median** (in the plane or among images, the point with the least sum of distances). Keep this in mind.
#
# ### In between: a ladder of exact answers
#
# What should the network answer while r is somewhere between 0 and t? Of the pair, it sees $x_t$ only. The data point x behind it is not known, and so neither is
#
# $$x_r = \frac{r}{t}\, x_t + \Bigl(1 - \frac{r}{t}\Bigr)\, x .$$
#
# If the answers at r are already ideal, the best answer at t is, with the squared distance, their mean:
#
# $$f_a(x_t, t) = \mathrm{E}\bigl[f_a(x_r, r) \mid x_t\bigr], \qquad f_a(x, 0) = x .$$
#
# Read it as a walk. At each rung, draw a data point that could lie under $x_t$, and walk towards it for the share 1 − r/t of the way. The ideal answer $f_a$ is the mean of where such walks end.
# At stage a = 0 the walk is one leap, and its mean is D. The smaller the gap, the less chance each rung has, and the more its leaps average out: then all walks follow the exact path.
#
# On the line everything here can be computed, with no network. Black is the exact path, blue are walks; the triangle marks their mean end, computed by quadrature.

# %% tags=["hide-input"]
law, TOP, START = Bumps().oracle, 10.0, 3.0
pairs = {a: ECTMapping(Constant(2.0**-a)) for a in range(9)}  # K = 8, b = 1: the paper's
down = {a: level_sequence(pairs[a], TOP) for a in pairs}
rungs = {a: mean_functions(law, down[a]) for a in pairs}
start = torch.full((400,), START)
g = torch.Generator().manual_seed(4)
ways = [random_trajectories(law, start, down[a], g) for a in (0, 3, 8)]
answers = [float(rungs[a][-1](start[:1])) for a in (0, 3, 8)]
titles = [f"Stage {a}: {len(down[a]) - 1} {said}" for a, said in zip((0, 3, 8), ("leap", "rungs", "rungs, near the path"), strict=True)]
trajectories({t: down[a] for t, a in zip(titles, (0, 3, 8), strict=True)}, ways, law, answers)

# %% [markdown]
# Left, the function $f_a$ at t = 10 by stage: at stage 0 it is D, nearly flat; stage by stage it takes on the steps of f\*. Right, how far it still is from f\*.

# %%
x = quantile_points(law, TOP, 500)[:, 0]
exact = law.consistency(x[:, None], torch.full_like(x, TOP))[:, 0]
squared = [rms_error(law, rungs[a][-1]) for a in pairs]
medians = {a: median_answers(law, x, down[a]) for a in pairs}
norm = [float((medians[a] - exact).square().mean().sqrt()) for a in pairs]
ideal_functions(x, exact, {a: rungs[a][-1] for a in (0, 1, 2, 4, 8)}, squared, norm)

# %% tags=["hide-input", "nbval-check-output"]
ratios = [b / a for a, b in zip(squared[:-1], squared[1:], strict=True)]
print("stage                " + "".join(f"{a:7d}" for a in pairs))
print("squared: RMS to f*   " + "".join(f"{v:7.3f}" for v in squared))
print("norm:    RMS to f*   " + "".join(f"{v:7.3f}" for v in norm))
print(f"A stage leaves {min(ratios[3:]):.2f} to {max(ratios[3:]):.2f} of the error, from stage 4 on.")

# %% [markdown]
# Three things to see.
#
# - **A denoiser is the first rung.** Each halving of the gap moves the ideal answer towards f\*. It takes about a quarter off the error, not a half: the cliffs between the modes stay blurred for long.
# - **Even the last stage has an error of its own.** No network and no training is to blame for it: a gap of 1/256 leaves it.
# - **With the norm the ladder ends somewhere else.** Each rung then answers with a median, and walks by medians do not follow the path of the probability flow. The smallest gap does not mend it.
#   This is on the line. What the norm buys, a pull that outliers cannot stretch, is the subject of lab 08.
#
# ### Do trained networks feel it?
#
# The recorded runs `tuning-line` train ECT on the line from random weights, twice, and only the metric differs. Below, the share of the noise at t = 10 that each function sends to each mode.
# Compare a trained row with the ideal row of its own metric, and then with f\*.

# %% tags=["hide-input"]
modes = {"left": (-9.0, -0.5), "middle": (-0.5, 0.9), "right": (0.9, 9.0)}
ends = {"exact f*": exact[None], "ideal, norm": medians[8][None], "ideal, squared": rungs[8][-1](x)[None]}
line, wide = recorded_variants("tuning-line"), (TOP**2 + law.sigma_data**2) ** 0.5
for arm, run in line.items():
    place, found = torch.from_numpy(run["place"][0]) * wide, torch.from_numpy(run["map"][:, -1])
    ends[f"trained, {arm}"] = torch.stack([IdealFunction(TOP, place, f)(x) for f in found])
table = ["| | " + " | ".join(modes) + " | RMS to f\\* |", "|---" * 5 + "|"]
for name, rows in ends.items():
    shares = [((rows > low) & (rows < high)).double().mean(1) for low, high in modes.values()]
    off = (rows - exact).square().mean(1).sqrt()
    table.append(f"| {name} | " + " | ".join(ranged(v, ".3g") if len(v) > 1 else f"{v[0]:.3f}" for v in (*shares, off)) + " |")
Markdown("\n".join(table))

# %% [markdown]
# ## The method, from its source
#
# | the paper | here |
# |---|---|
# | $r(t) = t \max\bigl(0,\; 1 - n(t)\, q^{-a}\bigr)$ with $n(t) = 1 + k\,\sigma(-b t)$, σ the sigmoid | `ECTMapping`; its `K` is the paper's k |
# | stage $a = \lfloor \text{step} / d \rfloor$ | `Stages`; here, as in the authors' code, the first stage is a = 1 |
# | $w(t, r)\, d\bigl(f_\theta(x_t, t), f_{\mathrm{sg}(\theta)}(x_r, r)\bigr)$ | `ECT.loss` |

# %%
show_source(ECTMapping)

# %%
show_source(Stages)

# %%
show_source(ECT.loss)

# %% [markdown]
# Why may the code skip stage 0? Since n(t) is at least 1, stage 0 has r = 0 at every t: it is denoising, and the run starts from a network that has had that.
# And at stage 1 most samples still denoise:

# %% tags=["nbval-check-output"]
ect, n_of = LogNormal(-1.1, 2.0), lambda t: 1 + 8 * torch.sigmoid(-t)
for a in range(4):
    t = torch.logspace(-6, 4, 200_001, dtype=torch.float64)
    zero = t[n_of(t) >= 2.0**a]  # where r = 0
    if not len(zero):
        print(f"stage {a}: r > 0 at every t")
        continue
    upto = f"t up to {zero[-1]:.3f}" if a else "every t      "
    share = float(ect.cdf(zero[-1])) if a else 1.0
    print(f"stage {a}: r = 0 for {upto}, {share:6.1%} of the samples")

# %% [markdown]
# The edges are ln 7 = 1.946 and ln 5/3 = 0.511: small noise levels are the last to get a neighbour.
#
# ## Explore
#
# Left: r against t. The dotted line is r = t, the grey lines are the other stages, darker for later ones. Right: the ratio, with the stages' numbers at the edge, over the law of the samples' t.
# Hatched samples have r = 0: they train a denoiser. Click a slider and use the arrow keys.
#
# Four things to try. Walk a from 0 to 8: when does the last sample stop denoising? Set K = 0: what has n(t) been good for? Set q = 256 at a = 1, as in the authors' script for one hour of training: which early stage is left out?
# Compare a = 1 at q = 4 with a = 2 at q = 2.

# %%
explorer()

# %% [markdown]
# The same as a picture that stays: stage 2, in which small noise levels still denoise and the others have got a neighbour.

# %%
curriculum(pairs, 2)

# %% [markdown]
# ## The key figure
#
# Does it pay to train a denoiser first? The paper starts from a published denoiser and counts the tuning. Here every sample counts, pre-training included.
#
# | arm | what it is |
# |---|---|
# | tuned | a denoiser first (a quarter of the samples on the ring, two fifths on pictures), then ECT from its averaged weights |
# | scratch | ECT from random weights, as many samples as both together |
# | scratch-short | (ring, digits) the same, as many samples as the tuning alone |
# | denoiser | (ring, digits) no tuning at all, the samples of both together; its answer in one call |
# | fixed | (ring) as tuned, but r stays at t/2 |
# | ict | (digits) iCT from random weights |
#
# Grey marks the pre-training of `tuned`; lines are means over the seeds, bands their range. On the ring the score is the RMS distance of the training weights to f\*; on pictures it is that of one-call samples by the averaged weights.

# %% tags=["hide-input"]
ring, digits, shapes = (recorded_variants(f"tuning-{name}") for name in ("toy", "digits", "shapes"))
scores = {"ring": (ring, "rmse"), "digits": (digits, "fd1"), "shapes": (shapes, "pd1")}
finals = {name: {arm: run.score(score) for arm, run in runs.items()} for name, (runs, score) in scores.items()}
WORDS = {"lower": "tuning first is better", "higher": "tuning first is worse"}
verdicts = {name: "not recorded yet" for name in finals}
for name, found in finals.items():
    if {"tuned", "scratch"} <= set(found):
        order = compare_seeds(found["tuned"], found["scratch"])
        verdicts[name] = WORDS.get(order, order)

# %% tags=["hide-input"]
floors = {"digits": "fd_floor", "shapes": "pd_floor"}
real = {n: float(r.score(floors[n])[0]) for n in floors for r in list(scores[n][0].values())[:1]}
axis = {"ring": "RMS of $f - f^*$", "digits": "Fréchet distance", "shapes": "patch distance"}
panels = {}
for name, (runs, score) in scores.items():
    curves = {arm: score_curve(run, "" if name == "ring" else score) for arm, run in runs.items()}
    panels[f"{name.capitalize()}: {verdicts[name]}"] = BudgetPanel(axis[name], curves, real.get(name, float("nan")))
training_budgets(panels)

# %% tags=["hide-input"]
for name, found in finals.items():
    if {"tuned", "scratch"} <= set(found):
        print(f"{name:7} tuned {ranged(found['tuned'], '.3g')}, scratch {ranged(found['scratch'], '.3g')}: {verdicts[name]}.")
    else:
        print(f"{name:7} not recorded yet.")

# %% [markdown]
# Read it with its limits. Learning rate, network and schedule are the same for all arms and were not tuned for each; `tuned` has two runs of the rate, up and down, where `scratch` has one.
# The numbers in full, of the averaged weights at the end. All samples are counted:

# %% tags=["hide-input"]
rows = ["| data | arm | samples | score (lower is better) | two calls |", "|---" * 5 + "|"]
two = {"ring": "sw2", "digits": "fd2", "shapes": "pd2"}
for name, (runs, score) in scores.items():
    for arm, run in runs.items():
        seen = f"{run.record['samples']:,}".replace(",", " ")
        cells = [name, arm, seen, f"{score} {ranged(run.score(score), '.3g')}", f"{two[name]} {ranged(run.score(two[name]), '.3g')}"]
        rows.append("| " + " | ".join(cells) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# ### What the samples look like
#
# One call from the same noise, first seed. On the ring the grey discs are the data's modes. Look at the denoiser: the best it can do with pure noise is the mean, of all data on the ring, of the class on pictures.

# %%
sample_clouds(ring, toy.RING.oracle.components.means) if ring else "not recorded yet"

# %%
held = Digits(train=False)
shown = torch.stack([held.images[held.labels == k][0] for k in range(10)])
sample_images(digits, shown, "Digits, each in one call") if digits else "not recorded yet"

# %%
shown = Shapes().sample(10, torch.Generator().manual_seed(0))[0]
sample_images(shapes, shown, "Shapes, each in one call") if shapes else "not recorded yet"

# %% [markdown]
# The shapes are 32 × 32 pixels in colour, and 1000 steps of 32 pictures were what a processor could afford. They do not suffice: no arm draws a shape yet.
# So the row of the shapes compares two beginnings. Which of them ends better is not known from it; that takes a GPU, and was not run.

# %% [markdown]
# ## Exercises
#
# ### A · guided: from t to r
#
# Write the map of the paper: $r = t \max(0,\, 1 - n(t)\, q^{-a})$ with $n(t) = 1 + K\, \sigma(-b t)$, where a is the stage, counted from 0.
# `t` is a tensor of noise levels; the rest are numbers. Before you run the check: what must r be in stage 0, and why?


# %% tags=["exercise"]
def t_to_r(t, stage, q, K, b):
    """The noise level r below each t (n,) in this stage, counted from 0."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.t_to_r(t_to_r)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `torch.sigmoid` and `clamp_min` do the work. In stage 0 the gap is q⁰ = 1, and n is at least 1: nothing is left of the ratio.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def t_to_r(t, stage, q, K, b):
#     n = 1 + K * torch.sigmoid(-b * t)
#     return t * (1 - n / q**stage).clamp_min(0)
# ```
#
# </details>

# %% [markdown]
# ### B · on your own: half a run, resumed to the same bits
#
# A run was stopped. `kept` holds what its checkpoint saved: the state dicts `kept["model"]`, `kept["average"]` and `kept["optimizer"]`, and the number `kept["step"]`.
# `trainer` is a fresh one of the same recipe, at step 0 and with other weights: `trainer.model`, `trainer.ema.model` (the averaged weights), `trainer.optimizer` and `trainer.step`.
# Bring it to where the run was stopped, and return it. The check lets it go on, and compares all weights with those of a run that was never stopped, bit by bit.
#
# No random state is kept. Why can that be enough? (In this package all chance of a step is drawn from a seed and the number of the step.)


# %% tags=["exercise"]
def resume(trainer, kept):
    """The trainer, at the step and in the state in which the run was stopped."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.resume(resume)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Networks and optimizers have `load_state_dict`. Four things have to come back. Ask of each what would go wrong without it: which of them decides the stage of ECT, and the learning rate?
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def resume(trainer, kept):
#     trainer.model.load_state_dict(kept["model"])
#     trainer.ema.model.load_state_dict(kept["average"])
#     trainer.optimizer.load_state_dict(kept["optimizer"])
#     trainer.step = kept["step"]
#     return trainer
# ```
#
# Stage, learning rate and decay of the average are functions of the step, so they need no state of their own. A method whose target is a moving average (lab 06) has a fifth thing to bring back.
# `cmlab train … --resume` does all this from one file.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Trained numbers are means over three seeds, with the lowest and the highest; *shows* needs ranges that do not overlap.
# Every arm's samples are counted from its first step, pre-training included.

# %% tags=["hide-input"]
claims = {
    "ring, RMS to f\\*": ("ring", "tuned", "scratch"),
    "digits, Fréchet distance": ("digits", "tuned", "scratch"),
    "shapes, patch distance": ("shapes", "tuned", "scratch"),
}
rows = ["| claim | measured here | verdict |", "|---" * 3 + "|"]
same = f"largest difference {gap:.1g}; with the norm, cosine at least {cosine.min():.4f} for each of 8 samples"
rows.append(f"| r = 0 is diffusion training | {same} | shows; the norm has the same pull for each sample, and another optimum |")
drop = f"RMS to f\\* at t = 10: {squared[0]:.2f} (the mean D), {squared[1]:.2f}, … {squared[8]:.2f} at stage 8; norm: {norm[0]:.2f} … {norm[8]:.2f}"
rows.append(f"| shrinking the gap leads from the denoiser to the consistency function | exact, on the line: {drop} | shows with the squared distance; with the norm it leads elsewhere |")
line_off = {a: (ends[f"trained, {a}"] - exact).square().mean(1).sqrt().numpy() for a in line}
rows.append("| *not in the paper:* the metric decides which map is learned, on the line | RMS to f\\* at t = 10: {} | {} |".format(*compare_variants(line_off, "squared", "norm")))
for where, (name, a, b) in claims.items():
    rows.append("| tuning a denoiser beats training from scratch ({}), *here at equal total budget* | {} | {} |".format(where, *compare_variants(finals[name], a, b)))
for where, (name, a, _) in list(claims.items())[:2]:
    rows.append("| … *and with the denoiser for free, so that only the tuning counts* ({}) | {} | {} |".format(where, *compare_variants(finals[name], a, "scratch-short")))
rows.append("| the gap has to shrink (ring; `fixed` keeps r = t/2) | {} | {} |".format(*compare_variants(finals["ring"], "tuned", "fixed")))
rows.append("| ECT beats iCT (digits), *here at equal total budget* | {} | {} |".format(*compare_variants(finals["digits"], "tuned", "ict")))
Markdown("\n".join(rows))

# %% [markdown]
# The paper's claim is about cost: a published denoiser is there already, and tuning it is cheap. The rows *for free* count like that. The others let the learner of this lab pay for both.
# As reported, the paper's denoiser for CIFAR-10 had seen 200 million pictures, and the tuning took 13 to 51 million; here the denoiser has seen fewer than the tuning. What that much pre-training is worth is not measured here.
#
# ## Budget

# %% tags=["hide-input"]
runs = [run for name in ("line", "toy", "digits", "shapes") for run in recorded_variants(f"tuning-{name}").values()]
seen = sum(run.record["samples"] * len(run.record["seeds"]) for run in runs)
seconds = sum(sum(run.record["seconds"]) for run in runs)
print("While you waited: no training; 8 samples for the gradients; all else is exact.")
each = f"{seen:,} samples".replace(",", " ")
print(f"Recorded: {len(runs)} arms, three seeds each: {each}, pre-training included.")
print(f"They trained for {seconds:.0f} s on a machine that did other work too; the pre-training's time is not included.")

# %% [markdown]
# Run All takes 12 seconds on 2 CPU cores.
#
# Three lines to take with you: a denoiser is the consistency loss at its widest gap, and each stage closes the gap further. Even the ideal answers need all stages, and the metric decides where they lead.
# What pre-training buys could not be seen at this size, whoever pays for it.
#
# **Next:** lab 10 takes the gap to zero and differentiates.
