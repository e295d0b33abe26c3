# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 16 · CIFAR-10
#
# **Can I train the real thing from here?**
#
# | | |
# |---|---|
# | Paper | Geng, Pokle, Luo, Lin & Kolter 2025, *Consistency Models Made Easy* (ECT), [arXiv:2406.14548](https://arxiv.org/abs/2406.14548); beside it Song & Dhariwal 2024 (iCT), [arXiv:2310.14189](https://arxiv.org/abs/2310.14189), and Lu & Song 2025 (sCM), [arXiv:2410.11081](https://arxiv.org/abs/2410.11081) |
# | Level | 3 of 3 |
# | Part | At scale |
# | Time | 30 minutes, and the run: on a GPU about 25 minutes are planned for; nobody has measured them here |
# | Run All | 22 s on 2 CPU cores; no GPU and no CIFAR-10 are needed for it |
# | You need | ECT and its budget (lab 09), what one and two calls do (lab 00) |
#
# After this lab you can
#
# 1. **forecast** what a training will cost before you start it: operations, memory, images;
# 2. **run** it from a notebook or a terminal, pause it, kill it, and resume it to the same bits;
# 3. **read** a published FID, and say what it must carry before it may stand beside another.
#
# No GPU was at hand when this lab was written. Whatever needs one says *not run here*; the rest was computed or measured on 2 CPU cores.

# %%
import torch
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.generators import CIFAR_GENERATOR, SHAPES_GENERATOR, shipped
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab16_cifar10 import checks, figures
from cmlab_labs.lab16_cifar10.explorer import explorer
from cmlab_labs.lab16_cifar10.figures import (
    distance_by_size,
    distance_curves,
    field_means,
    mix_norms,
    patch_distances,
    photograph_pairs,
    read_training_record,
    sharpening,
)
from cmlab_labs.lab16_cifar10.training_desk import desk
from IPython.display import Markdown, display

from cmlab.data.cifar10 import CIFAR10
from cmlab.data.shapes import Shapes
from cmlab.methods import ECT
from cmlab.metrics.patches import patch_distance
from cmlab.presets import PRESETS, cifar10, shapes
from cmlab.train import checkpoint
from cmlab.train.checkpoint import BadFile

start_lab(threads=1)  # the networks are small: a second thread would hardly help

# %% [markdown]
# ## Predict
#
# You have trained digits of 8 × 8 pixels (lab 00). Now it shall be photographs of 32 × 32, in colour.

# %%
predict("16.1")

# %%
predict("16.2")

# %% [markdown]
# ## The exact object
#
# How good a run will be nobody can say before it. What it will **cost** can be counted, without training and without a GPU: a network whose tensors have shapes but no content still runs through the same operations.
#
# - **One call:** the multiplications and additions of a forward pass, for one image.
# - **One ECT step:** two forward passes, at t and at r, and the way back through the first. The way back costs about two forward passes, so it is 4; a denoiser's step is 3.
# - **Kept for the gradient:** what the pass at t must remember for the way back, in float32. In bf16 it is about half. The pass at r keeps nothing.

# %% tags=["hide-input"]
names = ("digits.ect", "shapes.ect", "cifar10.ect-sprint", "cifar10.ect-paper")
found = {name: figures.cost(PRESETS[name]()) for name in names}
Markdown(figures.cost_table(found))

# %% tags=["hide-input", "nbval-check-output"]
ratio = found["cifar10.ect-paper"].step / found["cifar10.ect-paper"].call
print(f"an ECT step is {ratio:.2f} calls, a denoiser's {ratio - 1:.2f}: {ratio / (ratio - 1):.2f} times as much")
digits, sprint, paper = (found[name].run for name in ("digits.ect", "cifar10.ect-sprint", "cifar10.ect-paper"))
print(f"whole run, as if each image had an ECT step: sprint {sprint:.2g}, paper {paper:.2g} operations")
print(f"the sprint is {sprint / digits:,.0f} times the digits, and 1/{paper / sprint:,.0f} of the paper's")
for name, batch in (("cifar10.ect-sprint", 512), ("cifar10.ect-paper", 128)):
    print(f"{name}: a batch of {batch} keeps {found[name].kept * batch / 1e9:.0f} GB in float32")

# %% [markdown]
# So the step from digits to CIFAR-10 is not one of kind but of size. Divide the operations of the run by what your card really does in a second, and you have the seconds:
# a machine that does 10¹⁴ of them a second would take the time printed below. That is arithmetic and no measurement; `cmlab train … --plan` times a few steps on the machine that you have.

# %%
for name in ("cifar10.ect-sprint", "cifar10.ect-paper"):
    hours = found[name].run / 1e14 / 3600
    print(f"{name}: {hours:.1f} hours at 10^14 operations a second (on a GPU: not run here)")

# %% [markdown]
# ## The method, from its source
#
# What changes in the method? Nothing. These are the same eight lines as for the digits:
#
# $$L(\theta) = w(t, r)\; d\bigl(f_\theta(x + t z,\, t),\ f_{\mathrm{sg}(\theta)}(x + r z,\, r)\bigr)$$

# %%
show_source(ECT.loss)

# %% [markdown]
# What changes is the recipe around it: data, network, batch, budget, and the precision. Compare the two presets. The sprint's numbers are a plan, carried over from the small runs; no search has tuned them.

# %%
show_source(shapes.ect)

# %%
show_source(cifar10.ect)

# %%
show_source(cifar10.sprint)

# %% [markdown]
# ### The training desk
#
# It trains in a process of its own, so that the notebook stays free, and you may close it. **Nothing starts by itself.** *Forecast* times a few steps and tells what the run will take. *Start* starts it, and samples from fixed noise appear as it goes.
#
# With a GPU the desk below is set to the sprint on CIFAR-10, which must be on this machine (`cmlab data cifar10 --download`, or `--path` to a copy; `cmlab data cifar10` says what is there). Without one it is set to the shapes: colour pictures made by rule, with the same number of pixels.

# %%
if torch.cuda.is_available():
    at_work = desk("cifar10.ect-sprint", "../runs/my-cifar10")
else:
    at_work = desk("shapes.ect", "../runs/my-shapes")
at_work

# %% [markdown]
# All that the desk does, a terminal does too, and it needs no browser for it:
#
# ```
# cmlab data cifar10 --download                      # or: --path FOLDER_OR_ARCHIVE
# cmlab train cifar10.ect-sprint --plan              # what it will cost; trains nothing
# cmlab train cifar10.ect-sprint --out runs/mine     # Ctrl-C stops it with a checkpoint
# cmlab train cifar10.ect-sprint --out runs/mine --resume
# cmlab train cifar10.ect-paper --devices 8          # eight GPUs of one machine
# cmlab train cifar10.ect-paper --devices 8 --nodes 2    # start it on each of two machines
# ```
#
# **What is guaranteed.** A checkpoint is replaced whole: kill the run at any moment, and the last one is good. All chance of a step comes from the seed and the number of the step, so a resumed run draws the batches, times and noise that it would have drawn. On one CPU it ends with the same bits (a test kills a run and compares).
# A batch is cut into a fixed number of **parts**, and a part draws its own randomness. Two processes share the parts out and see the same images as one; only the order of the sums differs, and with it the last digits. Several GPUs: not run here, two CPU processes were.

# %% [markdown]
# ## Explore
#
# The generator that ships is the CIFAR-10 one, once somebody has run the sprint and put its file there. Until then it is the one of the shapes. Which of them is open now:

# %% tags=["hide-input"]
generator = shipped()
which, record = (CIFAR_GENERATOR if CIFAR_GENERATOR.exists() else SHAPES_GENERATOR).name, generator.record
why = "the CIFAR-10 generator is here" if CIFAR_GENERATOR.exists() else f"there is no {CIFAR_GENERATOR.name} yet: on a GPU, not run here"
weights = sum(p.numel() for p in generator.model.parameters())
print(f"{which}, since {why}.")
print(f"{weights:,} weights, {record['samples_seen']:,} images seen, {record['seconds'] / 60:.0f} minutes of training")
print(f"made by: cmlab train {record['preset']} {' '.join('--set ' + s for s in record['settings'])}")

# %% [markdown]
# Above left: what goes into each network call, and what comes out (noise is drawn with less contrast than it has). Above right: what was made, and the nearest pictures of a set. Below: the way from the first noise to the second, mixed in two manners.
#
# Four things to try. Give the **share** values from 0 to 1: does the picture jump or flow? Set the **calls** to 2 and move the **noise level of the last call**: at which level does the second call mend, at which does it invent? Ask for another **class** with the noise unchanged: what stays?
# And look at the ends and the middle of the two rows below.

# %%
explorer(generator)

# %% [markdown]
# ### New, or a copy?
#
# With CIFAR-10 on this machine the neighbours are its 50 000 training images, mirror images included. They are the nearest in pixels, and an exact copy is at 0. But no threshold on this distance separates copies from the rest. Two pairs of training images:

# %% tags=["hide-input"]
try:
    training = CIFAR10().images
except BadFile:
    training = None
table, pairs = photograph_pairs(training)
display(Markdown(table))
pairs

# %% [markdown]
# An aeroplane in the sky and a ship at sea have in common that they are small and that what surrounds them is even. They lie at 5.50 (‖x − y‖ of 3072 values in [−1, 1]). Two versions of one photograph of a car lie farther apart, at 6.98. The features of a classifier of CIFAR-10 put the two in the right order: 19.5 and 4.4. **Judge copies by features**, then look at both pictures.
#
# How near do training images come? No two of one class are nearer in pixels than 6.97, which is 16 grey levels root mean square, and just above that lie pairs of the same photograph. It looks as if nearer ones had been taken out of the set as duplicates. Mirrored ones were not: an image and the mirror image of another come as near as 1.7, four grey levels.
#
# For the **shapes** that question has an exact answer. No picture was ever shown twice: each was drawn afresh, and there is no finite set to copy from. The neighbours above come from pictures drawn after the training, and a short distance to them means something else: that the picture looks like a real one, pixel by pixel. A distance alone cannot tell the two meanings apart. It takes a second set that was not trained on.
#
# ### Why the great circle?
#
# In 3072 dimensions nearly all noise has the same norm, √3072 = 55.4 within a few percent: it lies on a thin shell, and the network has seen nothing else at σ_max. The straight mix of two noises cuts through the inside.

# %%
z = torch.randn(1000, 3, 32, 32, generator=torch.Generator().manual_seed(0))
mix_norms(z[0], z[1], z)

# %% [markdown]
# At share s two independent noises mix to norm √((1 − s)² + s²), 0.71 half-way. The network is told t = 80 and gets noise of level 57. On the great circle every point is noise of full strength.
# Whether that shows in the picture is another question, and the explorer answers it: compare the two rows half-way. A network that hardly heeds its input at t = 80 does not mind.
#
# ## The key figure
#
# The run that made the generator of the shapes, from its own diary: one call from the same eight noises, at six moments. Grey dashes mark where the denoiser's training ends and the consistency training begins; the small strokes at the bottom are the six moments.

# %% tags=["hide-input"]
run = read_training_record(SHAPES_GENERATOR.with_suffix(""))
told = checkpoint.read_json(SHAPES_GENERATOR.with_suffix(".json"))
real = Shapes().sample(80, torch.Generator().manual_seed(5))[0].unflatten(0, (10, 8))
score = patch_distances(run, real)
at = int(abs(run.seen - run.before).argmin())
before, after = score.values[at], score.values[-1]
better = after < before and after < score.values[:at].min()
title = "One call of the denoiser stays a blur; consistency training sharpens it" if better else "Consistency training has not sharpened one call of the denoiser yet"
sharpening(run, score, title)

# %% tags=["hide-input"]
print(f"Patch distance of 8 pictures: {before:.3f} at the denoiser's end, {after:.3f} at the end;")
print(f"8 real pictures against 8 others: {score.floor[0]:.3f} to {score.floor[1]:.3f}.")
print("By this score the last strip passes for real. Does it for you?" if after <= score.floor[1] else "By this score the last strip does not pass for real yet.")
print(f"The run: cmlab train {told['preset']} {' '.join(told['settings'])}, one seed, {run.samples[-1]:,} images in all.")

# %% [markdown]
# Left, the loss of the last step by noise level: where the method changes its unit changes, so no line goes across. Right, a score of each strip.
# Do not trust the score too far. Eight pictures are few, and **their distance to eight others is far from 0 for real pictures too**. How far depends on how many there are:

# %%
g, two_sets = torch.Generator().manual_seed(7), {}
for n in (8, 32, 128, 512):
    a, b = Shapes().sample(2 * n, g)[0].split(n)
    two_sets[n] = sum(patch_distance(a, b)) / 3
for n, value in two_sets.items():
    print(f"patch distance of {n:3d} real pictures to {n:3d} other real ones: {value:.3f}")

# %% [markdown]
# ### A distance of n samples
#
# The same holds for FID. Below, the Fréchet distance between sets of n pictures and one fixed set of 20 000 real ones, in a space of our own: means over 4 × 4 fields, 48 features. *Real* are other real pictures. *A* and *B* are two generators that we know all about: real pictures whose contrast is 0.97 and 0.94 of what it should be. A is the better one.

# %%
g = torch.Generator().manual_seed(99)
real = torch.cat([field_means(Shapes().sample(2000, g)[0]) for _ in range(10)]).double()
pool = torch.cat([field_means(Shapes().sample(2000, g)[0]) for _ in range(16)]).double()
grey = pool.mean(1, keepdim=True)
sizes = (100, 250, 500, 1000, 2000, 4000)
made = {
    "real": pool,
    "A (0.97)": grey + 0.97 * (pool - grey),
    "B (0.94)": grey + 0.94 * (pool - grey),
}
drifts = {name: distance_by_size(x, real, sizes, repeats=8) for name, x in made.items()}
few, many = drifts["A (0.97)"].mean[3], drifts["B (0.94)"].mean[-1]
distance_curves(
    drifts,
    f"A at n = 1000 ({few:.3f}) looks worse than B at n = 4000 ({many:.3f})"
    if few > many
    else "Fewer samples, larger distance",
)

# %% tags=["hide-input"]
a = drifts["A (0.97)"]
for n, mean, spread in zip(a.sizes, a.mean, a.spread, strict=True):
    print(f"A, n = {n:4d}: {mean:.4f} ± {spread:.4f}, {mean / a.limit:5.1f} times its limit")
off = (a.mean[0] - a.limit) / a.spread[0]
print(f"At n = {a.sizes[0]} the bias is {off:.0f} error bars: they do not warn of it.")

# %% [markdown]
# Dots: where each curve tends, from a fit of a + b/n. Real pictures do not tend to 0 either, since the 20 000 are a finite set as well.
# So a run at home, judged with 5 000 samples, reads a larger number than a paper's 50 000, and may be no worse. A number says something only with its **space**, its **n**, its **reference set** and its **floor**, and it compares with those alone that share them all. `cmlab` prints them with each number.
#
# ### Ours, theirs, and what they cost
#
# FIDs of one and two calls on CIFAR-10, unconditional, as published: in the space of the Inception network, 50 000 samples against the training set. *Read in the paper* means that we read it there; *as reported* that we have it at second hand. Images are in millions; a dash is what we do not know.
# Our own distances have other spaces and are not in this table.

# %% tags=["hide-input"]
Markdown(figures.results_table((CIFAR_GENERATOR.with_suffix(".json"), None, None)))

# %% [markdown]
# Read the budget columns first.

# %% tags=["hide-input"]
plan, lean, full = PRESETS["cifar10.ect-sprint"]().samples / 1e6, found["cifar10.ect-sprint"], found["cifar10.ect-paper"]
print(f"The sprint's {plan:.1f} million images are 1/{212.8 / plan:.0f} of what ECT's shortest row has seen, the denoiser's counted.")
print(f"Its network has {lean.weights / full.weights:.2f} of the weights, and {lean.call / full.call:.2f} of the operations a call.")
print("Nobody should expect the paper's number from it.")

# %% [markdown]
# ## Exercises
#
# ### A · guided: forgetting, by images
#
# The averaged weights θ⁻ ← β θ⁻ + (1 − β) θ are what is sampled from. If you change the batch and keep β, you change how many images the average reaches back. So β is better given by a **half-life in images**: after so many images, the weight of what was there has halved.
# `batch` images come with each step. Write β. Before you run the check: must β grow or fall with the batch?


# %% tags=["exercise"]
def decay(batch, half_life):
    """β, such that what is old has half its weight after half_life images."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.decay(decay)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# How many steps are a half-life? β to that power is 0.5.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def decay(batch, half_life):
#     return 0.5 ** (batch / half_life)
# ```
#
# It falls: a larger batch means fewer steps for the same images, so that each must forget more. EDM's half-life for CIFAR-10, half a million images, is β = 0.99929 at batch 512.
# The authors' script for one hour of ECT has 0.9993 at batch 128. That looks the same, and is a quarter of the half-life.
#
# </details>

# %% [markdown]
# ### B · on your own: the way between two noises
#
# Write the mix of two noises on the great circle. Let Ω be the angle between z1 and z2, **each taken as one long vector**:
#
# $$z = \frac{\sin\bigl((1 - s)\,\Omega\bigr)}{\sin \Omega}\, z_1 + \frac{\sin(s\,\Omega)}{\sin \Omega}\, z_2 .$$
#
# The check asks for both ends, the norm, an even pace of the angle, and for what happens where z1 and z2 are parallel.


# %% tags=["exercise"]
def between(z1, z2, share):
    """The noise at this share of the way from z1 to z2, tensors of one shape."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.between(between)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The cosine is the inner product of all elements over both norms; clamp it to [-1, 1] before `acos`. Where Ω is 0, sin Ω is 0 too: the straight mix is right there.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def between(z1, z2, share):
#     cosine = (z1 * z2).sum() / (z1.norm() * z2.norm())
#     angle = cosine.clamp(-1, 1).acos()
#     if angle < 1e-6:
#         return (1 - share) * z1 + share * z2
#     near, far = torch.sin((1 - share) * angle), torch.sin(share * angle)
#     return (near * z1 + far * z2) / torch.sin(angle)
# ```
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# The claims are about CIFAR-10 on GPUs, and were not tested here. What was seen is one seed of small runs on shapes, so no row can say more than *in part*.

# %% tags=["hide-input"]
scores = record["scores"]
names = next(pair for pair in (("fd1", "fd2"), ("pd1", "pd2")) if pair[0] in scores)
one_call, two_calls = (scores[name] for name in names)
two = f"{two_calls / one_call:.2f} times the distance of one; " + ("shows in part: one run" if two_calls < 0.9 * one_call else "not told apart by one run" if two_calls < 1.1 * one_call else "does not show in this run")
rows = [
    ("ECT: 1 and 2 calls reach FID 3.60 and 2.11 (as reported)", figures.NOT_RUN, "not tested"),
    ("… in a fraction of iCT's training", f"images alone: {(200 + 51.2) / 409.6:.2f} of iCT's, the denoiser's counted", "arithmetic on reported numbers"),
    ("tuning makes a one-step generator of a denoiser", f"shapes, 8 pictures: {before:.3f} → {after:.3f}; real ones {score.floor[0]:.3f} to {score.floor[1]:.3f}", "shows in part: one run" if better else "does not show in this run"),
    ("a second call helps", f"the generator above: {names[0]} {one_call:.3g}, {names[1]} {two_calls:.3g}", two),
    ("an ECT step costs about 4/3 of a denoiser's", f"operations: {ratio / (ratio - 1):.2f}", "shows, as a count; seconds on a GPU: not run here"),
    ("*not in the papers:* a Fréchet distance grows as n falls", f"A: {a.mean[0] / a.mean[-1]:.0f} times as large at n = {a.sizes[0]} as at {a.sizes[-1]}", "shows: 8 draws at each n"),
]
Markdown("| claim | here | verdict |\n|---|---|---|\n" + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in rows))

# %% [markdown]
# ## Budget

# %% tags=["hide-input"]
print("While you waited: no training. The desk starts nothing until you press Start.")
print(f"The generator above: {record['samples_seen']:,} images, {record['seconds']:.0f} s, on 2 shared CPU cores.")
print(f"The diary of the key figure: {run.samples[-1]:,} images, the denoiser's {run.before:,} included.")
print(f"CIFAR-10, sprint: {PRESETS['cifar10.ect-sprint']().samples:,} images planned; seconds and scores: not run here.")

# %% [markdown]
# Run All takes 22 seconds on 2 CPU cores. On a GPU the sprint is planned for about 25 minutes in all; not run here.
#
# Three lines to take with you: the loss for photographs is the loss for digits. What it costs can be counted before it starts, and what it is worth cannot. And a distance without its space, n and floor is no result.
#
# **Next:** train your own. And if you have a card: the rows above that say *not run here* are waiting.
