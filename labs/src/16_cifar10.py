# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 16 · Photographs
#
# **Can I train the real thing from here?**
#
# | | |
# |---|---|
# | Paper | Geng, Pokle, Luo, Lin & Kolter 2025, *Consistency Models Made Easy* (ECT), [arXiv:2406.14548](https://arxiv.org/abs/2406.14548); also Song & Dhariwal 2024 (iCT), [arXiv:2310.14189](https://arxiv.org/abs/2310.14189), and Lu & Song 2025 (sCM), [arXiv:2410.11081](https://arxiv.org/abs/2410.11081) |
# | Level | 3 of 3 |
# | Part | At scale |
# | Time | 45 minutes, ten of them for a run of your own if you have CIFAR-10; 10 to 18 hours for the whole run |
# | Run All | 13 s on 2 CPU cores; no GPU and no CIFAR-10 are needed for it |
# | You need | ECT and its budget (lab 09), distillation (lab 04), what one and two calls do (lab 00) |
#
# After this lab you can
#
# 1. **forecast** what a training run will cost before you start it: operations, memory, images;
# 2. **run** it from a notebook or a terminal, pause it, kill it, and resume it with the same result, bit for bit;
# 3. **read** a published FID, and say what must be stated with it before it can be compared with another.
#
# Everything here was measured on 2 CPU cores. Whatever needs a GPU is marked *not run here*.

# %%
import torch
from cmlab_labs.common.explorer import folded, start_lab
from cmlab_labs.common.generators import CIFAR_GENERATOR, shipped
from cmlab_labs.common.prediction import predict
from cmlab_labs.lab16_cifar10 import checks, figures
from cmlab_labs.lab16_cifar10.explorer import explorer
from cmlab_labs.lab16_cifar10.figures import (
    distance_by_size,
    distance_curves,
    photograph_pairs,
    read_training_record,
    recorded_distances,
    sharpening,
)
from cmlab_labs.lab16_cifar10.judged import (
    close_samples,
    nearest_table,
    read_scores,
    reading,
    scores_table,
    unselected,
)
from cmlab_labs.lab16_cifar10.training_desk import desk
from IPython.display import Markdown, display

from cmlab.data.cifar10 import CIFAR10
from cmlab.presets import PRESETS
from cmlab.train.checkpoint import BadFile

start_lab(threads=1)  # the network is small: a second thread would hardly help

# %% [markdown]
# ## Try it first
#
# The generator below turns noise into colour pictures of 32 × 32 pixels. It was trained on the photographs of CIFAR-10, on 2 CPU cores.

# %% tags=["hide-input"]
generator = shipped()
record, scores = generator.record, read_scores(CIFAR_GENERATOR)
weights = sum(p.numel() for p in generator.model.parameters())
print(f"It has {weights / 1e6:.2f} million weights, in a file of {CIFAR_GENERATOR.stat().st_size / 1e6:.1f} MB.")
print(f"It saw {record['samples_seen'] / 1e6:.2f} million images in {record['cpu_hours']:.1f} core-hours (hours times cores), in four trainings, each of which began with the weights of the one before:")
own = figures.cost(generator.recipe)
Markdown(figures.trainings_table(generator.recipe))

# %% [markdown]
# The first two trainings made a first version of this generator; the third made a better denoiser, and the fourth turned it into a generator again: *distillation*, as in lab 04, here with guidance. (The commands are in `data/README.md`. A call is a forward pass of the network.)
#
# Choose a class. At the top left you see the input and the output of each network call (the noise is drawn with reduced contrast). At the top right are the nearest photographs of the training set, if CIFAR-10 is on this machine. At the bottom are pictures on the way from one noise vector to another, along a great circle.
#
# Three things to try. Ask for another **class** with the same noise: what stays the same? Set the **calls** to 2 and move the **noise level of the last call**: where does the second call repair the picture, and where does it invent a new one? And move the **share** from 0 to 1: does the picture jump?

# %%
explorer(generator)

# %% [markdown]
# <details><summary>Answers</summary>
#
# Levels and correlations are means over the seeds 0 to 19, for aeroplanes. **Class:** much of the layout and of the colours stays (the pixels correlate by 0.50 to 0.59 with those of a car, a cat and a horse from the same noise vector, and by 0.07 at most with those from another), and another object is drawn into them.
# **Level:** at 0.2 the second call changes next to nothing (correlation with the first picture 0.99). At 0.8 it repairs: the layout stays and edges become clear (0.93). From about 5 on it invents: only coarse colours remain (0.67, and 0.37 at 20).
# **Share:** the picture changes smoothly. From seed 0 to seed 1, no step of 5 % changes the pixels by more than 0.07 (root mean square), while the two ends are 0.57 apart.
#
# </details>

# %% [markdown]
# ### A hundred pictures
#
# A picture that you chose yourself says little about a generator. These are the first 100 pictures of one seed, one call each. Nothing was selected.

# %% tags=["hide-input"]
asked = reading(scores, "asked", "1 call")
unselected(CIFAR_GENERATOR, f"A classifier finds the class asked for in {100 * asked.value:.0f} % of {asked.samples // 1000} 000 one-call samples")

# %% [markdown]
# ## Predict
#
# How much does consistency training add to the cost of a denoiser?

# %%
predict("16.1")

# %% [markdown]
# ## The exact object
#
# How good a run will be cannot be known beforehand. What it will **cost** can be counted, without training and without a GPU: a network whose tensors have shapes but no content still goes through the same operations.
#
# - **One call:** the multiplications and additions of one forward pass, for one image.
# - **One ECT step:** two forward passes, at t and at r, and a backward pass through the first of them. A backward pass costs about as much as two forward passes, so a step costs 4 calls; the step of a denoiser costs 3.
# - **Kept for the gradient:** what the pass at t has to store for the backward pass, in float32. In bf16 it is about half as much. The pass at r keeps nothing.
#
# Four presets are counted: the digits; `cifar10.ect-laptop`, 10 to 18 hours on two CPU cores; `cifar10.ect-sprint`, for one GPU; and `cifar10.ect-paper`, the paper's run of 200 000 steps. The generator above has the network of *laptop*.

# %% tags=["hide-input"]
names = ("digits.ect", "cifar10.ect-laptop", "cifar10.ect-sprint", "cifar10.ect-paper")
found = {name: figures.cost(PRESETS[name]()) for name in names}
Markdown(figures.cost_table(found))

# %% tags=["hide-input", "nbval-check-output"]
ratio = found["cifar10.ect-paper"].step / found["cifar10.ect-paper"].call
print(f"An ECT step costs {ratio:.2f} calls and a denoiser's step {ratio - 1:.2f}, so the ratio is {ratio / (ratio - 1):.2f}.")
digits, laptop, paper = (found[name].run for name in ("digits.ect", "cifar10.ect-laptop", "cifar10.ect-paper"))
print(f"With its start as a denoiser cifar10.ect-laptop takes {figures.power(laptop)} operations, about {float(f'{laptop / digits:.2g}'):.0f} times those of the digits, and cifar10.ect-paper {figures.power(paper)}.")
before = (found["cifar10.ect-paper"].step - found["cifar10.ect-paper"].call) * found["cifar10.ect-paper"].begun
print(f"In cifar10.ect-paper the consistency training adds {100 * (paper / before - 1):.0f} % to the operations of its denoiser.")
for name, batch in (("cifar10.ect-laptop", 128), ("cifar10.ect-paper", 128)):
    print(f"{name}: for a batch of {batch}, {found[name].kept * batch / 1e9:.1f} GB are kept in float32.")

# %% [markdown]
# To get the time, divide the operations of the run by the number that your machine really performs per second; `cmlab train … --plan` times a few steps on it. How many did the run above perform?

# %% tags=["hide-input"]
spent = own.call * figures.calls_made(generator.recipe)
pace = spent / (record["cpu_hours"] * 3600)
print(f"The run above performed {figures.power(spent)} operations, {figures.power(pace)} per second on each core.")
a100 = found["cifar10.ect-paper"].step * 8000 * 128 / 3600
print(f"ECT's hour on one A100 (8000 steps of 128 images, as reported) makes {figures.power(a100)} operations per second, above the chip's 2 · 10¹³ in plain float32, so presumably TF32. At this speed, or at 10¹⁴ (a third of an A100's peak in bf16), a run would take (not run here):")
for name in ("cifar10.ect-laptop", "cifar10.ect-sprint", "cifar10.ect-paper"):
    print(f"{name}: {figures.hours(found[name].run / a100)}, or {figures.hours(found[name].run / 1e14)}")

# %% [markdown]
# *On paper:* at the pace of the run above, how many hours does the whole *laptop* take on two cores?

# %% tags=["hide-input"]
folded("Answer", f"{figures.power(laptop)} operations, divided by 2 · {figures.power(pace)} per second, are {figures.power(laptop / pace / 2)} seconds or {laptop / pace / 7200:.0f} hours.")

# %% [markdown]
# ## The method, from its source
#
# Nothing changes in the method. The loss of the presets above is that of lab 05 and of the digits, with ECT's pairs of levels, distance and weight (lab 09):
#
# $$L(\theta) = \mathrm{E}\Bigl[\lambda(t, r)\; d\bigl(f_\theta(x + t z,\, t),\ f_{\mathrm{sg}(\theta)}(x + r z,\, r)\bigr)\Bigr]$$
#
# The last training of the generator above has the same pairs, distance and weight, but in place of $x + r z$ the point to which a *teacher* leads from $x_t$ (lab 04). The teacher is the network before this training, with **classifier-free guidance** (Ho & Salimans 2022, [arXiv:2207.12598](https://arxiv.org/abs/2207.12598)): it is asked for the mean with the class c and without one (∅), and goes beyond the first,
#
# $$D_w(x_t, t, c) = D(x_t, t, c) + w\,\bigl(D(x_t, t, c) - D(x_t, t, ∅)\bigr), \qquad w = 1.$$
#
# Such a step costs 6 calls: two of the teacher, two of the student, and the backward pass. Guidance makes the teacher show the class more clearly (a classifier finds it in 0.90 of its samples, and in 0.60 without), and the student learns it, so that one call needs no guidance of its own.
#
# What changes is the recipe around it: data, network, batch size, budget and number format. The network of *laptop* works on patches of 2 × 2 pixels, so that most of the arithmetic is done at 16 × 16; what was tried before it was chosen is in `docs/settings.md`.
#
# ### The training desk
#
# The desk trains in a separate process, so you may close the notebook. **Nothing starts by itself.** *Forecast* times a few steps and says how long the run will take. After *Start*, pictures from fixed noise appear as it goes.
#
# The files of CIFAR-10 must be on this machine: `cmlab data cifar10 --download`, or `--path` to a copy. Without a GPU the desk is set to a short version of the run above, which takes about ten minutes on two cores; with a GPU, to the sprint.

# %%
SHORT = ("steps=1700", "evaluator.n=1000")
if torch.cuda.is_available():
    at_work = desk("cifar10.ect-sprint", "../runs/my-cifar10")
else:
    at_work = desk("cifar10.ect-laptop", "../runs/my-photographs", SHORT)
at_work

# %% [markdown]
# What do ten minutes give? The short run was made once for this lab (seed 0, 16 core-minutes). Its Fréchet distance in one call is 218, in the features of `cmlab-cifar`, a small classifier of CIFAR-10 that comes with this course. With 1 000 pictures, as here, the generator above has 46, pure noise 307 and other photographs 8. (At another number they change: see *A distance of n samples*.) There are colours and a layout, but hardly any objects: the classifier reads the class asked for in 15 % of the pictures, and 10 % would be chance.
#
# <details><summary>The same in a terminal</summary>
#
# ```
# cmlab data cifar10 --download
# cmlab train cifar10.ect-laptop --plan
# cmlab train cifar10.ect-laptop --out runs/mine
# cmlab train cifar10.ect-laptop --out runs/mine --resume
# ```
#
# `--plan` prints what the run will cost and trains nothing. Ctrl-C saves a checkpoint and stops the run, and `--resume` continues it.
#
# </details>
#
# **What is guaranteed.** A checkpoint is replaced as a whole: kill the run at any moment, and the last checkpoint is good. All randomness of a step is determined by the seed and the number of the step, so a resumed run draws the same batches, times and noise as an uninterrupted one. On one CPU it ends with the same bits (a test kills a run and compares); several GPUs were not run here.

# %% [markdown]
# ## The key figure
#
# This is the run that made the generator above, from its own log: pictures made in one call from the same eight noise vectors, at five moments. The grey dashed line marks where the third training, of the denoiser, ends and the distillation begins; the small strokes at the bottom mark the five moments. (The first strip is from the beginning of the third training: there the network was still nearly the first version, which could generate in one call.)

# %% tags=["hide-input"]
run, score = read_training_record(CIFAR_GENERATOR.with_suffix("")), recorded_distances(scores["strips"])
at = int((run.seen <= run.before).nonzero()[0][-1])  # the denoiser's last strip
before, after = score.values[at], score.values[-1]
better = after < before and after < score.values[:at].min()
title = "In one call the denoiser gives a blur; distillation sharpens it" if better else "Distillation has not sharpened one call of the denoiser yet"
sharpening(run, score, title)

# %% tags=["hide-input"]
print(f"The patch distance of 8 pictures is {before:.3f} for the denoiser's last strip and {after:.3f} at the end; for 8 photographs against 8 others it is {score.floor[0]:.3f} to {score.floor[1]:.3f}.")

# %% [markdown]
# Below the strips is a score for each, the *patch distance*: the sliced Wasserstein distance between small patches of the generated pictures and of photographs, at several scales.
# It cannot distinguish the last strip from photographs, although you can: eight pictures are few, and patches say nothing about objects.
#
# ## How good is it?
#
# The next table judges the generator with more pictures, against as many photographs of the test set. The second call is at noise level 0.821, that of iCT and ECT as reported; four calls are at 80, 24, 5.4 and 0.82, a Karras grid. Neither was tuned on these scores. All distances are in the features of `cmlab-cifar`, so no number here can be compared with a published FID. The same classifier reads which class a picture shows. *Precision* is the share of generated pictures that lie among the photographs in feature space (within the distance of some photograph to its third neighbour), and *recall* the share of photographs that lie, in the same sense, among the generated pictures. Neither the classifier nor its features were used in the training, in the search for settings or in the choice of a checkpoint. The denoiser is the one that the distillation started from (35 calls: Heun's method, without guidance).

# %% tags=["hide-input"]
CALLS = ("1 call", "2 calls", "4 calls", "35 calls", "1 call of the denoiser")
Markdown(scores_table(scores, CALLS).replace("| 35 calls |", "| 35 calls of the denoiser |"))

# %% tags=["hide-input"]
one, two = (reading(scores, "fd", calls).over(reading(scores, "fd", "35 calls")) for calls in CALLS[:2])
print(f"The Fréchet distance of one call is {one[0]:.2f} ± {one[1]:.2f} times that of 35 calls, that of two calls {two[0]:.2f} ± {two[1]:.2f} times.")

# %% [markdown]
# The denoiser sets a low bar: it saw 4.4 million images, EDM's 200 million; and it has no guidance here, which the generator has learned from its teacher. (With guidance, w = 1, two calls for each of the 35, the denoiser has 30 at n = 1 000, where it has 70 without, and the generator 46, 35 and 30 in one, two and four calls: four calls do as well as the guided 70, within the errors of 2. This was measured once, outside this notebook.) ± is a standard error over fresh draws of the generated pictures and of the photographs. It says nothing about another training run, and it does not contain the bias that the next section is about.
#
# Four calls have a distance that is lower than that of two by about two standard errors, and no higher recall (0.45 and 0.47).
#
# Read the precision together with the recall: the blurs that the denoiser gives in one call have the highest precision of the table, because each lies near some photograph, and a recall of 0. The generator's precision is above that of real photographs, too. Guidance has a part in that: it moves pictures towards what is typical of their class, and raises the precision of the denoiser's 35 calls from 0.87 to 0.93 at n = 1 000.
#
# ### A distance of n samples

# %%
predict("16.2")

# %% [markdown]
# Take features about which everything is known: 48 independent Gaussian numbers with standard deviations from 1 down to 0.14. *Real* stands for other draws from the same distribution. *A* and *B* are two generators whose contrast is 0.97 and 0.94 of what it should be, so that A is the better one, and their exact Fréchet distances are $(1 - 0.97)^2$ and $(1 - 0.94)^2$ times the sum of the variances. The figure shows the distance of n samples to one fixed set of 20 000 real ones (mean and standard deviation of 8 draws).

# %% tags=["hide-input"]
g = torch.Generator().manual_seed(99)
spread = torch.arange(1, 49).double().rsqrt()
draw = lambda n: spread * torch.randn(n, 48, generator=g, dtype=torch.float64)
real, pool = draw(20_000), draw(32_000)
sizes = (100, 250, 500, 1000, 2000, 4000)
contrast = {"real": 1.0, "A (0.97)": 0.97, "B (0.94)": 0.94}
drifts = {name: distance_by_size(c * pool, real, sizes, repeats=8) for name, c in contrast.items()}
exact = {name: float((1 - c) ** 2 * spread.square().sum()) for name, c in contrast.items()}
few, many = drifts["A (0.97)"].mean[3], drifts["B (0.94)"].mean[-1]
distance_curves(drifts, f"A at n = 1000 ({few:.3f}) looks worse than B at n = 4000 ({many:.3f})" if few > many else "The distance grows as n falls", exact)

# %% tags=["hide-input"]
a = drifts["A (0.97)"]
for n, mean, error in list(zip(a.sizes, a.mean, a.spread, strict=True))[::5]:
    print(f"A, n = {n:4d}: {mean:.4f} ± {error:.4f}, which is {mean / exact['A (0.97)']:4.1f} times the exact distance")
off = (a.mean[0] - exact["A (0.97)"]) / a.spread[0]
print(f"At n = {a.sizes[0]} the bias is {off:.0f} times the error bar, which does not warn of it.")

# %% [markdown]
# The dotted lines mark the exact distances. Even with 4 000 samples the curves lie above them, and so does that of the real samples, whose exact distance is 0. The bias is about proportional to 1/n + 1/20 000: at n = 4 000 five sixths of it come from the 4 000 samples; the last sixth remains for any n, because the 20 000 are a finite set as well.
# So the generator above has 46 with 1 000 pictures and 39 with 5 000 (each against as many photographs), and a paper with 50 000 has a head start. Compare Fréchet distances only in the same **feature space** (weights and resizing included), with or without labels alike, at the same **n**, against the same **reference set**, and beside their **floor** (the value for real pictures). `cmlab` prints all four with each number. Even so, a small difference decides nothing: the bias depends on the generator, too ([Chong & Forsyth 2020](https://arxiv.org/abs/1911.07023)).
#
# ### Published scores, and what they cost
#
# The table gives published FIDs for one and two calls on CIFAR-10, unconditional, in the feature space of the Inception network, with 50 000 samples against the training set. *Read in the paper* means that we read the number there; *as reported* means that we have it at second hand. Images are given in millions, and a dash stands for what we do not know.

# %% tags=["hide-input"]
Markdown(figures.results_table((CIFAR_GENERATOR.with_suffix(".json"), None, None, None)))

# %% tags=["hide-input"]
plan, lean, full = record["samples_seen"] / 1e6, found["cifar10.ect-laptop"], found["cifar10.ect-paper"]
print(f"The run above saw {plan:.1f} million images in all, 1/{212.8 / plan:.0f} of ECT's shortest row (212.8 million with its denoiser).")
print(f"Its network has 1/{full.weights / lean.weights:.0f} of the weights, and 1/{float(f'{full.call / lean.call:.2g}'):.0f} of the operations in a call.")

# %% [markdown]
# ## New pictures, or copies?
#
# Did the network learn the photographs by heart? Compare each sample with all 50 000 training images, mirrored ones included, and photographs of the test set in the same way.

# %% tags=["hide-input"]
Markdown(nearest_table(scores))

# %% tags=["hide-input"]
near, count = scores["nearest"]["nearer"], scores["nearest"]["n"]
print(f"{f'{round(near * count)} of' if near else 'None of'} the {count // 1000} 000 samples {'are' if near else 'is'} as near to a training image as the nearest 1 % of the test images.")

# %% [markdown]
# This alone settles nothing. The nearest 1 % of the test images may well be copies, since 3.3 % have near-duplicates among the training images (as reported by Barz and Denzler 2020, [arXiv:1902.00423](https://arxiv.org/abs/1902.00423)); and a copy can be farther away than their 4.1: two versions of one photograph in the training set are 4.4 apart. So the nine are candidates, no more. How far apart are their pixels?

# %% tags=["hide-input"]
try:
    training = CIFAR10().images
except BadFile:
    training = None
close = close_samples(scores, scores["nearest"]["test"]["0.01"])
low, high = ([f(row[key] for row in close) for key in ("pixels", "distance")] for f in (min, max))
samples_row = f"| {len(close)} samples and their nearest training images | {low[0]:.1f} to {high[0]:.1f} | {low[1]:.1f} to {high[1]:.1f} |"
table, pairs = photograph_pairs(training, samples_row)
display(Markdown(table))
pairs

# %% [markdown]
# Neither distance decides alone. An aeroplane in the sky and a ship at sea are both small, with uniform surroundings: in pixels (‖x − y‖ over 3072 values in [−1, 1]) they are nearer than two versions of one photograph of a car. The nine samples are near in features and farther away in pixels, as a shifted or recoloured copy would be. **Find candidates by features, then compare their pixels, and look at both pictures.**
#
# The nine pairs were looked at once, by eye and outside this notebook (the samples were made again from the recorded seed). In eight of them both pictures show a ship at sea, with another outline and in other colours; in the ninth the sample is an aeroplane in a blue sky, and the photograph a bird in one. None of the nine is a copy; the other samples were not looked at.
#
# ## Exercises
#
# ### A · guided: a half-life in images
#
# Suppose that you train with another batch size. One number of the recipe has to change with it, the μ of the averaged weights that samples are drawn from: $\bar\theta \leftarrow \mu\, \bar\theta + (1 - \mu)\, \theta$ (the average does not enter the loss). With the same μ the average would reach over another number of images. It is therefore better to choose μ by a **half-life in images**: after that many images, the weight of everything older has halved.
# Each step brings `batch` images. Write μ. Before you run the check: must μ grow or fall with the batch size?

# %% tags=["exercise"]
def decay(batch, half_life):
    """μ such that the weight of what is old has halved after half_life images."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.decay(decay)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# How many steps make a half-life? μ to that power is 0.5.
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
# It falls: with a larger batch there are fewer steps for the same number of images, so each step must forget more. EDM's half-life for CIFAR-10, half a million images, gives μ = 0.99929 for batches of 512.
# The authors' script for one hour of ECT has 0.9993 for batches of 128, which is a quarter of that half-life.
#
# </details>

# %% [markdown]
# ### B · on your own: two FIDs at unequal n
#
# Suppose that paper A reports a distance of 12.1 with 5 000 samples and paper B one of 11.8 with 50 000, in the same feature space and against the same reference set. Which generator is better? Paper A also gives 14.7 with 2 500 samples.
#
# On average the distance of n samples is about $d_\infty + b/n$ (Chong & Forsyth 2020). Solve for $d_\infty$, given distances `d1` and `d2` at two sizes `n1` and `n2`, and program it. Then answer the question. In general b depends on the generator, and paper B gives no second distance: take A's, then say how large B's would have to be for B to be better.

# %% tags=["exercise"]
def at_infinity(n1, d1, n2, d2):
    """The distance that would be measured with infinitely many samples."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.at_infinity(at_infinity)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Multiply each of the two equations by its n, and subtract.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def at_infinity(n1, d1, n2, d2):
#     return (n2 * d2 - n1 * d1) / (n2 - n1)
# ```
#
# For A this gives 2 · 12.1 − 14.7 = 9.5, with b = 5 000 · (12.1 − 9.5) = 13 000. With the same b, B has 11.8 − 13 000/50 000 = 11.5. B would be the better one only if its b were above 50 000 · (11.8 − 9.5) = 115 000, nine times A's. So A is probably better, although its published number is larger. (An extrapolation amplifies errors: with error bars of 0.3 on both of A's distances, the 9.5 has one of 0.7.)
#
# </details>

# %% tags=["hide-input"]
for name in list(contrast)[1:]:
    d1, d2 = drifts[name].mean[[3, 5]]
    limit = (sizes[5] * d2 - sizes[3] * d1) / (sizes[5] - sizes[3])
    print(f"{name}, extrapolated from n = {sizes[3]} and {sizes[5]}: {limit:.4f} (exact {exact[name]:.4f}), with b = {sizes[3] * (d1 - limit):.0f}")

# %% [markdown]
# For the two generators of the figure, which have nearly the same b, the formula restores the order. What is left is mostly the bias of the reference set of 20 000.

# %% [markdown]
# ## What the paper claims, what you saw
#
# The papers' claims are about much longer runs on GPUs. What you saw is one run with one seed, so no verdict about training can say more than *partly*.

# %% tags=["hide-input"]
fd = {calls: reading(scores, "fd", calls).value for calls in CALLS}
tuned = fd["1 call"] / fd["1 call of the denoiser"]
two_calls = fd["2 calls"] / fd["1 call"]
fewer = (record["samples_seen"] - generator.recipe.start.samples) / 1e6
two_verdict = "partly: one run" if two_calls < 0.95 else "indistinguishable, one run" if two_calls < 1.05 else "not seen at this scale: one run"
rows = [
    ("ECT: 1 and 2 calls reach FID 3.60 and 2.11 in 400 000 steps (as reported)", "–", figures.NOT_RUN),
    ("… in a fraction of iCT's training", f"images alone: {(200 + 51.2) / 409.6:.2f} of iCT's, the denoiser's included", "not run here: arithmetic on reported numbers"),
    ("consistency training makes a one-step generator out of a denoiser", f"Fréchet distance in one call {fd['1 call of the denoiser']:.1f} → {fd['1 call']:.1f}; of 35 calls {fd['35 calls']:.1f}", "partly: one run" if tuned < 0.5 else "not seen at this scale: one run"),
    ("a second call helps", f"Fréchet distance {fd['1 call']:.1f} in one call, {fd['2 calls']:.1f} in two ({two_calls:.2f} times)", two_verdict),
    ("two calls are as good as a diffusion sampler", f"{two[0]:.2f} ± {two[1]:.2f} times the distance of the denoiser's 35 calls without guidance (the denoiser saw {fewer:.2f} million images less); with guidance about 1.2, see above", "partly: one run" if two[0] < 1.25 else "not seen at this scale: one run"),
    ("an ECT step costs about 4/3 of a denoiser's", f"operations: {ratio / (ratio - 1):.2f}", "confirmed here, as a count; time was not compared"),
    ("*not in the papers:* a Fréchet distance grows as n falls", f"A: {a.mean[0] / a.mean[-1]:.0f} times as large at n = {a.sizes[0]} as at {a.sizes[-1]}", "confirmed here: 8 draws at each n"),
]
Markdown("| claim | measured here | verdict |\n|---|---|---|\n" + "\n".join(f"| {claim} | {found_here} | {verdict} |" for claim, found_here, verdict in rows))

# %% [markdown]
# ### What to remember
#
# Can you train the real thing from here? The method, yes: 14 core-hours gave pictures whose class a classifier reads in five of six cases. The published scores, no: they have dozens of times as many images behind them, and a much larger network.
#
# 1. The loss for photographs is the loss for digits. Data, network, batch and budget change.
# 2. What a training run costs can be counted before it starts. How good its result will be cannot.
# 3. A distance means something only with its feature space, n, reference set and floor, and an FID only with the number of training images.
#
# ## Budget

# %% tags=["hide-input"]
print(f"The generator above: {record['samples_seen'] / 1e6:.2f} million images, {record['cpu_hours']:.1f} core-hours, all four trainings included.")

# %% [markdown]
# **Next:** train your own. Lab 18 then turns to flow maps, of which the consistency function is a special case, and lab 17, best read last, compares the methods.
