# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 17 · Atlas
#
# **Which method, for what budget?**
#
# | | |
# |---|---|
# | Papers | those of labs 01 to 15, 18 and 19, and a few more: arXiv numbers are in the folded protocol below |
# | Level | 3 of 3 |
# | Part | Looking back |
# | Time | 60 minutes |
# | Run All | 14 s on 2 CPU cores |
# | You need | consistency training and distillation (labs 04, 05, 07), continuous time (lab 10), several calls (lab 11) |
#
# **Before labs 18 and 19, or after them.** The *flow maps* of those labs take part here, and some of them lead. Without these labs, pass over the brown lines (LSD, LMD), the middle panel of the key figure, and what is marked *for readers of lab 18*; the rest can be read without flow maps.
#
# After this lab you can
#
# 1. **read** a comparison of methods with its ranges: which method beats which, and which are indistinguishable;
# 2. **choose** a method for a given number of calls or training time, and **say** what it was given beyond the data;
# 3. **judge** how far such a ranking holds beyond the one distribution on which it was made.
#
# Three projects ask for your advice:
#
# - **A** has data and nothing else, may spend a single network call per sample, and shows every sample to somebody;
# - **B** has a very good denoiser already, may spend four calls, and lets people edit: a noise vector should keep its sample;
# - **C** has data and nothing else, needs many samples for a statistic, and may spend up to 35 calls.
#
# Write down which method you would recommend for each, and by which measure. Each section below contributes to the answers, and under “Your three projects” you are asked again.
#
# Nothing is trained while you wait. One command, `cmlab bench`, trained all methods on one distribution, the ring of eight modes, with three seeds each, and recorded the results. This lab reads these records; the numbers in its tables, figures and findings are computed from them. The networks are judged with their averaged weights.

# %% tags=["hide-input"]
import numpy as np
import torch
from cmlab_labs.common.explorer import folded, show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab17_atlas import checks
from cmlab_labs.lab17_atlas.benchmark import (
    BATCH,
    ENTRIES,
    EXACT,
    cost_cells,
    read_rows,
    recipes_of,
    score,
    weights_of,
)
from cmlab_labs.lab17_atlas.explorer import explorer, network, sampler
from cmlab_labs.lab17_atlas.figures import (
    GROUPS,
    StudentPanel,
    beats,
    by_calls,
    by_teacher,
    candidates,
    compare,
    errors_by_calls,
    errors_by_cost,
    grouped_text,
    listed,
    map_and_law,
    present,
    students,
    two_measures,
    unbeaten,
    verdict,
    worth,
)
from IPython.display import Markdown

from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.metrics.wasserstein import sliced
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.teacher import BatchTeacher
from cmlab.train import runs

start_lab(threads=1)  # small networks: a second thread would only wait
rows = read_rows()
title = lambda arm: ENTRIES[arm].title
taught = {told: students(rows, told) for told in GROUPS}  # methods by teacher
at = {n: {told: {a: by_calls(rows, a)[n] for a in arms if n in by_calls(rows, a)} for told, arms in taught.items()} for n in (1, 2, 4)}
leads = {(n, told): unbeaten(found) for n in at for told, found in at[n].items()}
floor = score(rows, "truth", "sliced_w2", "truth", 0)
judged = sum(len(found) for found in taught.values()) + 2  # with the two diffusion models
asked = sum("w1" in row["answers"][0] and bool(ENTRIES[row["arm"]].parts) for row in rows if row["seed"] == 0)
print(f"The record has {len(present(rows))} entries with three seeds each, {len(rows)} runs: the {judged} methods of this lab, {asked} for the inverse problems of lab 13,")
print(f"and {len(present(rows)) - judged - asked} without a network, the data themselves and the exact denoiser. So {sum(bool(row['samples']) for row in rows)} runs were trained.")

# %% [markdown]
# ## Try it first
#
# Each circle marks the end of the exact path from one noise vector, and each coloured mark the sample that the network makes from the same vector. For 60 of them a line joins the two: a mark inside its circle has reached the end of its path.
#
# Choose a method on the left and another *beside it*. First stay with one call and go through the methods: which of them blur the ring, which miss it altogether, and which cover the ring but not the circles? Then give both more calls, and look at the samples and at the lines separately. Do they always improve together?

# %%
explorer()

# %% [markdown]
# You will have seen that in one call a denoiser (EDM) stays in the middle of the ring, while a method made for few calls is on the ring at once. More calls bring a denoiser nearer to its circles. They do not do so for every method, although its samples may look just as good.
#
# ## Predict
#
# All networks have the same shape and size and were trained on 1 024 000 samples of the ring. The error is the sliced W₂ (lab 11) between 32 768 samples and as many fresh data points.

# %%
predict("17.1")

# %%
predict("17.2")

# %% [markdown]
# ## The methods
#
# Two kinds of network take part. A **consistency function** leads from any time to the end of the path; for a second call, fresh noise is added (not by PCM, whose calls end at the edges of its phases). A **flow map** leads from any time to any other, so that several calls are several jumps along one path. Diffusion and a few other methods are there for comparison.
#
# The column *teacher* says what the targets of the training are made of, beyond the data:
#
# - **none**: each target contains the one sample x that was noised, as in most papers on training from data (Drifting and sLCT also compare or pair the samples of a batch, as in their papers);
# - **batch mean**: in place of x stands the mean over all 256 samples of the batch, weighted by how likely each could have become $x_t$ (`BatchTeacher`; arXiv:2302.00670);
# - **exact denoiser**: the mean over the whole distribution, in closed form. It costs nothing and makes no errors. In practice the teacher is a network, whose errors the student inherits and whose training has its own cost.
#
# The batch mean comes from data alone, but it is a help that the papers of these methods do not have. On eight modes in the plane, 256 samples almost determine the exact denoiser; in many dimensions, their weighted mean is x itself except at high noise. Five of the flow maps have this teacher because it helped in the search for their settings, LSD more than all else that was tried (`docs/settings.md`). *No ranking below mixes the three groups*; only Finding 2 compares across them, and it is about the teacher.
#
# How good is it? The cell measures it on the clock of labs 18 and 19, $x_t = (1 - t)\,x + t\,z$, with t from 0 (data) to 1 (noise).

# %%
def rms(found, exact):
    return float((found - exact).square().sum(1).mean().sqrt())


ring, far = toy.RING, []
with torch.random.fork_rng():
    torch.manual_seed(0)
    for _ in range(20):  # batches
        x, z, t = ring.oracle.sample(256).float(), torch.randn(256, 2), torch.rand(256)
        x_t = (1 - t[:, None]) * x + t[:, None] * z
        exact = toy.exact_teacher().denoise(x_t, t)
        far.append([rms(x, exact), rms(BatchTeacher()(x)(x_t, t), exact)])
single, batch = np.mean(far, 0)
print("RMS distance to the exact denoiser over uniform t, means of 20 batches:")
print(f"single samples {single:.2f}, the batch mean {batch:.2f}")

# %% tags=["hide-input"]
families = {
    "Diffusion: its network answers with the mean of all x that could have become x_t": {
        "edm": ("the diffusion model of Karras et al. 2022", "01"),
        "edm-fast": ("EDM with a curriculum of noise levels and another learning rate", "14"),
    },
    "Consistency functions": {
        "ct": ("consistency training: two noisy versions of one x must lead to one point", "05"),
        "ict": ("improved consistency training: finer grids, another loss, no EMA target", "07"),
        "ect": ("easy consistency tuning: starts as a denoiser, then narrows the gap", "09"),
        "sct": ("consistency training in continuous time", "10"),
        "slct": ("iCT as improved for latents: noise paired with data, a more robust loss", "12"),
        "tcm": ("truncated consistency model: ECT, then a second stage at high noise alone", "–"),
        "cd": ("consistency distillation, here with iCT's loss", "04"),
        "scd": ("consistency distillation in continuous time", "10"),
        "pcm-2": ("phased consistency model: leads to the next of 2 edges only", "11"),
        "pcm-4": ("the same with 4 phases", "11"),
        "musiccm": ("music consistency model: distillation with a critic", "15"),
        "musiccm-plain": ("the same without the critic", "15"),
    },
    "Flow maps": {
        "lsd": ("Lagrangian self-distillation: the landing point moves with the velocity of the path", "18"),
        "lsd-sample": ("LSD with single samples, as in its paper", "18"),
        "esd": ("Eulerian self-distillation: the landing point stays when the start moves along the path", "18"),
        "psd": ("progressive self-distillation: two short jumps equal a long one", "18"),
        "meanflow": ("the network learns the mean velocity of a jump", "19"),
        "alpha-flow": ("flow matching that turns into MeanFlow during training", "–"),
        "shortcut": ("two equal jumps equal one of twice the length", "18"),
        "ctm": ("consistency trajectory model, without its critic: a jump equals solver steps and a shorter jump", "18"),
        "lmd": ("Lagrangian map distillation: LSD with the exact velocity", "18"),
    },
    "Others": {
        "imm": ("inductive moment matching: jumps from neighbouring times land in one distribution; here with steps of equal ratio", "18"),
        "drifting": ("a one-call generator: its samples are drawn to the data and repel each other", "–"),
        "progressive": ("each student takes one step for two of the student before it", "–"),
        "dmd": ("distribution matching distillation, without its regression: compares two denoisers", "–"),
        "reflow": ("flow matching along the ends of the teacher's paths, which straightens them", "–"),
    },
}  # fmt: skip
def methods_table(chosen):
    lines = ["| method | teacher | what it learns | lab (–: in none) |", "|---|---|---|---|"]
    for family in chosen:
        lines.append(f"| ***{family}*** | | | |")
        for arm, (words, lab) in families[family].items():
            lines.append(f"| {title(arm)} | {(ENTRIES[arm].teacher or 'none').removeprefix('the ')} | {words} | {lab} |")
    return "\n".join(lines)


Markdown(methods_table([family for family in families if family != "Flow maps"]))

# %% tags=["hide-input"]
folded("Flow maps (for readers of lab 18)", methods_table(["Flow maps"]))

# %% tags=["hide-input"]
lines = ["| method | arXiv | samples (pre-training) | learning rate | CPU seconds of the training | counted MB |", "|---" * 6 + "|"]
for arm in (a for members in families.values() for a in members):
    (samples, seconds, size), recipe = cost_cells(rows, arm), recipes_of(ENTRIES[arm], seed=0)["f"]
    lines.append(f"| {title(arm)} | {ENTRIES[arm].paper} | {samples.replace(',', ' ')} | {recipe.train.optimizer.lr:g} | {seconds} | {size} |")
sizes = {sum(p.numel() for p in r.build().parameters()) for e in ENTRIES.values() for r in recipes_of(e, seed=0).values()}
again = [float(score(rows, a, "seconds")[0]) for a in ("ict", "editing")]  # the same training
lines += ["", f"- **Networks.** All have {' or '.join(f'{n:,}'.replace(',', ' ') for n in sizes)} weights. sCT and sCD have other time features, flow maps and *others* are given two times, and MusicCM and DMD train a second network beside the student."]
lines += ["- **Samples.** ECT, TCM, sCD and DMD train another network or a first stage before; its samples are counted."]
lines += [f"- **Seconds** are those of one thread, on a machine with other work: one and the same training took {again[0]:.0f} s and {again[1]:.0f} s. Smaller differences mean nothing. LSD (single) was timed later, on a busier machine, and its seconds cannot be compared."]
lines += ["- **Memory** is the bytes of weights, gradients, optimizer and stored activations, added up. Methods whose gradient passes through a derivative along the path (LSD, ESD, LMD) or through a second jump (CTM), and those that train a second network beside the student, need about half as much again as most others."]
lines += ["- **Search.** Settings were chosen on seeds 10 and 11 (for IMM on seed 12 as well), and with unequal effort: `docs/settings.md` lists sixteen settings for sCD, ten each for iCT and IMM, nine for LSD, seven for sCT, six each for Shortcut and MeanFlow, and none for CT and EDM. ESD, PSD, CTM, α-Flow, Drifting and reflow take the settings of others."]
folded("Protocol: papers, samples, seconds, memory, search", "\n".join(lines))

# %% [markdown]
# ## The exact object
#
# Two references are exact: real data, and the exact denoiser. For the sliced W₂ both sets of points are projected onto many directions, sorted and paired; the distance is the root mean square of the differences.

# %% tags=["hide-input"]
walk = {way: by_calls(rows, "exact", way) for way in ("ddim", "heun")}
Markdown(f"""\
**The floor.** Two sets of real data are not at distance 0 from each other, since both are finite: their sliced W₂ is {ranged(floor)} for three pairs of sets. An error below the upper end, {floor.max():.3f}, lies within the range of two sets of real data: this measure sees no error there. It is the grey area in the figures.

**The error of the steps alone.** With the exact denoiser in place of a network, all error comes from the solver. DDIM (Euler's step of lab 01) takes one call per step: its error is {walk["ddim"][1].mean():.2f} with one call, {walk["ddim"][8].mean():.3f} with 8 and {walk["ddim"][32].mean():.3f} with 32. Heun's method takes two calls for a more accurate step: {walk["heun"][5].mean():.2f} with 5 calls, {walk["heun"][35].mean():.3f} with 35. With few calls the method of higher order is the *worse* one: its steps are so long that the slope at their end has little to do with the path.""")

# %% [markdown]
# ## The method, from its source
#
# Three seeds are few. The rule is therefore strict, and all verdicts below follow it: A beats B if the worst run of A is better than the best run of B,
#
# $$\max_s\, e_A(s) < \min_s\, e_B(s),$$
#
# where $e(s)$ is the error with seed s. If neither beats the other, the two are **indistinguishable**, however their means compare.

# %%
show_source(beats)

# %% [markdown]
# If A and B were equal and their six runs independent, A would beat B by chance once in twenty: of the 20 ways to divide six runs into two groups of three, one gives A the best three. Another gives B the best three, so two equal methods are declared different one time in ten. For a single pair this is acceptable. Among the many pairs of this lab *some* will be separated by chance alone, so a narrow win is only weak evidence. A part of each range is chance in the *test*, as the range of the floor shows; exercise A asks how large a part.
#
# ## Explore
#
# Go back to the interactive figure, with this rule in mind.
#
# - Choose PCM-4 beside CD. By the recorded sliced W₂, which is printed below the figure, at which number of calls does the order of the two change?
# - Give iCT four calls. The cloud of samples is no worse than before, so why have the lines become long?
#
# <details><summary>Answers</summary>
#
# CD is ahead with one call and with two, PCM-4 with four.
#
# Before each further call of iCT, fresh noise is added. The sample then belongs to the path of another noise vector, and ends elsewhere on the ring. Its distance to the circle of the *first* has no meaning after one call. Flow maps and PCM add no noise, so their lines may be compared at any number of calls.
#
# </details>
#
# ## The key figure
#
# ### Finding 1: the number of calls is a part of the method
#
# The figure shows sliced W₂ against the number of network calls, with one panel for each teacher. Thick bars are ranges over the seeds. Thin black curves are diffusion, with EDM's denoiser on the left and in the middle, and with the exact denoiser on the right. Grey curves are the other methods of the group; the folded table has their numbers. Methods *lead* if no other of their group beats them. The middle panel has flow maps only (*for readers of lab 18*).

# %% tags=["hide-input"]
shown = {"": ("ct", "ict", "sct", "lsd-sample"), BATCH: ("lsd", "imm"), EXACT: ("cd", "scd", "lmd", "pcm-2", "pcm-4")}
heads = {"": "No teacher, one call:", BATCH: "Batch mean, one call:", EXACT: "Exact denoiser, one call:"}
best = {told: [title(a) for a in leads[1, told]] for told in GROUPS}
panels = [StudentPanel(f"{heads[told]}\n{listed(best[told])} lead{'s' * (len(best[told]) == 1)}", "exact" if told == EXACT else "edm", shown[told], [a for a in taught[told] if a not in shown[told]]) for told in GROUPS]
errors_by_calls(rows, panels)

# %% tags=["hide-input"]
curve = {ruler: by_calls(rows, ruler, "ddim") | by_calls(rows, ruler, "heun") for ruler in ("edm", "exact")}
called = lambda n, told: ", ".join(f"{title(a)} {ranged(at[n][told][a])}" for a in leads[n, told])
lines = ["| teacher | beaten by none with 1 call | beaten by none with 4 calls |", "|---|---|---|"]
lines += [f"| {(told or 'none').removeprefix('the ')} | {called(1, told)} | {called(4, told)} |" for told in GROUPS]
off = lambda arm, n: 1 - by_calls(rows, arm, name="near_mode")[n]
most, fewest = worth(curve["edm"], at[1][""]["ict"])
Markdown("\n".join(lines) + f"""

- **What one call is worth.** One call of iCT, {ranged(at[1][""]["ict"], ".4f")}, beats {most} calls of EDM on all seeds, and is beaten by {fewest} calls (Heun's method), {ranged(curve["edm"][fewest], ".4f")}. In between the ranges overlap (prediction 17.1).
- **The order changes with the calls.** With one call CD beats PCM-4, whose error is {at[1][EXACT]["pcm-4"].mean():.2f}. With four calls PCM-4 beats CD, and no method of its group beats PCM-4 (prediction 17.2).
- **More calls of a consistency function.** iCT in four calls, {ranged(at[4][""]["ict"])}, is {compare(at[4][""]["ict"], at[1][""]["ict"])} from iCT in one by this measure; by the share of samples off the modes (lab 11) it is {compare(off("ict", 4), off("ict", 1))}: {ranged(off("ict", 4))} against {ranged(off("ict", 1))}.
- **A second call can do harm.** The error of sLCT rises from {at[1][""]["slct"].mean():.3f} with one call to {at[2][""]["slct"].mean():.3f} with two. A likely cause, which was not tested: in training its noise is *paired* with the data of the batch (lab 12), while the noise that the sampler adds before the second call is paired with nothing, so the network gets inputs that it hardly saw.
- **One call only.** Drifting and DMD are generators of one call; they have no second.""")

# %% tags=["hide-input"]
lines = ["| method | teacher | 1 call | 2 calls | 4 calls |", "|---" * 5 + "|"]
for told in GROUPS:
    for arm in sorted(taught[told], key=lambda a: at[1][told][a].mean()):
        cells = ["–" if arm not in at[n][told] else f"**{ranged(at[n][told][arm])}**" if arm in leads[n, told] else ranged(at[n][told][arm]) for n in at]
        lines.append(f"| {title(arm)} | {(told or 'none').removeprefix('the ')} | {' | '.join(cells)} |")
folded("All methods in 1, 2 and 4 calls (bold: beaten by none of the group)", "\n".join(lines))

# %% [markdown]
# *Your projects:* which panel is A's, and which is B's? At which number on the axis do you read it?
#
# ## Three more findings
#
# ### Finding 2: what the teacher gives
#
# Compare the same kind of method without and with the exact denoiser as its teacher, for one call. iCT and CD are consistency functions with the same loss; sCT and sCD are the pair in continuous time. (They differ in more than the teacher: CD from iCT in grids and solver, sCD from sCT in its first stage and in the bound of the tangent.)
#
# *For readers of lab 18:* LSD is the one method with all three teachers. *LSD (single)* has single samples, as in its paper, *LSD* the batch mean, and *LMD* is LSD with the exact velocity throughout, also at the landing point, where LSD takes the network's own.

# %% tags=["hide-input"]
one = lambda arm, name="sliced_w2": by_calls(rows, arm, name=name)[1]
kinds = {"iCT, CD": ("ict", "cd"), "sCT, sCD": ("sct", "scd"), "LSD (single), LSD, LMD": ("lsd-sample", "lsd", "lmd")}
by_teacher(rows, kinds, ("With the exact denoiser as teacher\none call reaches the floor", "With it, one call lands nearer\nto the exact end"))

# %% tags=["hide-input"]
Markdown(f"""\
- **From no teacher to the exact one.** By sliced W₂, CD, {ranged(one("cd"))}, is {compare(one("cd"), one("ict"))} than iCT, {ranged(one("ict"))}, on every seed, and sCD, {ranged(one("scd"))}, {compare(one("scd"), one("sct"))} than sCT, {ranged(one("sct"))}; both reach the floor. By the distance to the exact end, CD, {ranged(one("cd", "end"))}, is {compare(one("cd", "end"), one("ict", "end"))} than iCT, {ranged(one("ict", "end"))}, and sCD, {ranged(one("scd", "end"))}, {compare(one("scd", "end"), one("sct", "end"))} than sCT, {ranged(one("sct", "end"))}.
- **From method to method, with equal help.** By sliced W₂ iCT and sCT are {compare(one("ict"), one("sct"))}, and CD and sCD are {compare(one("cd"), one("scd"))}.
- *For readers of lab 18:* by the means, LSD has the lowest error of all methods that need data alone, {ranged(one("lsd"))}. But it has the batch mean, which iCT and sCT were not given. With single samples it has {ranged(one("lsd-sample"))}, and is {compare(one("lsd-sample"), one("ict"))} from both. So on the ring LSD leads iCT and sCT only with its teacher; whether they would lead as much with it is open.

On this ring the teacher matters more than the choice among these methods. But these are eight modes in the plane, where the batch mean is nearly exact and the exact denoiser makes no errors: it is no evidence for distillation from a trained network, whose errors the student inherits.""")

# %% [markdown]
# *Your projects:* A and C have data alone. Would the batch mean be of use to them?
#
# ### Finding 3: two measures, two rankings
#
# Sliced W₂ measures whether the cloud as a whole lies where the data lie. The share of samples **off the modes** considers each sample separately: is it more than three standard deviations from every mode? A sample between two modes is one that the data hardly ever produce. Yet it needs to move by only a few tenths to reach a mode, so it adds little to the distance. Each line leads from one call (1) through two (2) to four (large mark, with the range over the seeds); one call of PCM-4 lies outside the figure.

# %% tags=["hide-input"]
sides = {"imm": "below", "ict": "below", "sct": "below", "ect": "right", "cd": "above", "pcm-4": "below"}
two_measures(rows, sides, "PCM-4 and IMM are at the floor by sliced W₂,\nbut not by the share of samples off the modes")

# %% tags=["hide-input"]
Markdown(f"""\
- By sliced W₂, PCM-4 in four calls and CD in one are on average at the floor, beside real data. Yet {100 * off("pcm-4", 4).mean():.1f} and {100 * off("cd", 1).mean():.1f} % of their samples, in this order, are off the modes, more on every seed than the {100 * np.exp(-4.5):.1f} % of real data. (*For readers of lab 18:* so are {100 * off("imm", 4).mean():.1f} % of IMM's and {100 * off("lmd", 4).mean():.1f} % of LMD's in four calls.)
- By sliced W₂, iCT and sCT are {compare(at[1][""]["ict"], at[1][""]["sct"])} in one call; by the share off the modes sCT is {compare(off("sct", 1), off("ict", 1))}: {ranged(off("sct", 1))} against {ranged(off("ict", 1))}.
- A second call brings samples of iCT, ECT and sCT to the modes, on every seed; a second call of CD does not: {ranged(off("cd", 2))} against {ranged(off("cd", 1))}. (It is made at σ = 0.8. In lab 11 the level that helped such a network was far lower.)

Neither measure sees everything: eight dots in place of eight clouds would have no sample off the modes, and neither would a cloud on a single mode. Report both, or say which one you use.""")

# %% [markdown]
# *Your projects:* by which measure would each of the three judge a sample?
#
# ### Finding 4: the right distribution is not the right map
#
# A generator may turn noise into the right distribution along other paths than those of the flow. For one call, the figure compares sliced W₂ with the RMS distance from each sample to the end of the exact path from the same noise. Grey marks are the other methods, in the shape of their teacher.

# %% tags=["hide-input"]
every = [a for arms in taught.values() for a in arms]
sides = {"lmd": "below", "lsd": "left", "ict": "above", "sct": "right", "imm": "right", "drifting": "right", "dmd": "right", "progressive": "left", "reflow": "left"}
map_and_law(rows, every, sides, "Drifting and sCT are indistinguishable by their distribution, not by their map")

# %% tags=["hide-input"]
Markdown(f"""\
For most methods the two errors rise together. Drifting and DMD ask for the distribution alone, and say nothing about paths: Drifting's sliced W₂, {ranged(one("drifting"))}, is {compare(one("drifting"), one("sct"))} from sCT's, {ranged(one("sct"))}, but it lands {one("drifting", "end").mean() / one("sct", "end").mean():.1f} times as far from the exact ends: {ranged(one("drifting", "end"))} against {ranged(one("sct", "end"))}. This is a fault only where a noise vector has to keep its sample, as for previews with few calls or for edits.""")

# %% [markdown]
# ## Exercises
#
# ### A · guided: training or test?
#
# How much of a range is due to training, and how much to the test? Two networks can be tested on the *same* draws of noise and data. The figure's numbers have one draw for each seed; here are ten, for the networks of seed 0, whose weights are stored (8192 samples each).

# %% tags=["hide-input"]
draws = {}
for draw in range(10):
    with seeded(torch.device("cpu"), 1000 + draw):
        fresh = toy.RING.sample(8192)[0]
        z = torch.randn_like(fresh)
    for arm, n in (("ict", 1), ("ict", 2), ("ict", 4), ("sct", 1)):
        with torch.no_grad(), seeded(torch.device("cpu"), draw, 4):
            samples = sampler(arm)(*network(arm), z, n)
        draws.setdefault(f"{title(arm)}, {n} call{'s' * (n > 1)}", []).append(sliced(samples, fresh))
lines = ["| sliced W₂ on ten draws | " + " | ".join(str(k + 1) for k in range(10)) + " |", "|---" * 11 + "|"]
lines += [f"| {name} | " + " | ".join(f"{error:.4f}" for error in errors) + " |" for name, errors in draws.items()]
Markdown("\n".join(lines))

# %% [markdown]
# Write the verdict of such a comparison. `a` and `b` are the errors of two networks on the same ten draws. Return "lower" if a is below b on at least nine of them, "higher" if it is above b on at least nine, and else "indistinguishable".
# Before you run the check, on paper: how often would two equal networks be called different by this rule? Then apply your function to the rows of `draws`, and answer: what does it decide about iCT and sCT as *methods*?

# %% tags=["exercise"]
def paired(a, b):
    """"lower", "higher" or "indistinguishable": a against b, draw by draw."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.paired(paired)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `zip(a, b)` gives the pairs. Count the draws on which a is below, and separately those on which it is above; a draw with equal errors speaks for neither. For the question on paper: each draw is then a coin, and ten of them have 2¹⁰ patterns.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def paired(a, b):
#     lower = sum(x < y for x, y in zip(a, b))
#     higher = sum(x > y for x, y in zip(a, b))
#     return "lower" if lower >= 9 else "higher" if higher >= 9 else "indistinguishable"
# ```
#
# On paper: 1 + 10 patterns have at least nine heads, and as many nine tails, so 22 of 1024: once in 47.
#
# Look along a row: from draw to draw the error changes by a factor of two, and all rows change together. This part of a range is the test. Paired, iCT in two and in four calls is lower than in one, which three seeds with one draw each could not show; iCT and sCT in one call remain indistinguishable.
# But the ten draws are of *one* training each. They decide about two networks. About methods only several trainings can decide, and best of all several trainings with many draws each.
#
# </details>

# %% [markdown]
# ### B · on your own: methods worth their price
#
# For each name, `methods` gives a tuple: the CPU seconds of its pre-training (0 if it has none), the CPU seconds of the rest, and its errors over the seeds.
# A method is worth its price if nothing that costs *as much or less, all included,* beats it, by the rule above. Return the names of those methods, the cheapest first. None of these runs has failed.
#
# Then try your function on `price_list`, one call of the methods without a teacher, which the figure shows: which does it keep, and would it keep the same ones if the denoiser were free? (The seconds of a pre-training are estimated in proportion to its samples. LSD (single) was timed on a busier machine and is left out.)

# %% tags=["hide-input"]
seconds = {a: score(rows, a, "seconds").mean() for a in taught[""] if a != "lsd-sample"}
price_list = {}
for arm in seconds:
    share = score(rows, arm, "pretraining").mean() / score(rows, arm, "samples").mean()
    price_list[title(arm)] = (share * seconds[arm], (1 - share) * seconds[arm], at[1][""][arm].tolist())
lines = ["| method | pre-training (s) | the rest (s) | errors of the three seeds |", "|---" * 4 + "|"]
lines += [f"| {name} | {before:.1f} | {after:.1f} | {', '.join(f'{e:.3f}' for e in errors)} |" for name, (before, after, errors) in price_list.items()]
folded("The price list in numbers", "\n".join(lines))

# %% tags=["hide-input"]
sides = dict.fromkeys(seconds, "right") | {"ict": "below", "ctm": "above", "slct": "above"}
errors_by_cost(rows, {a: at[1][""][a] for a in seconds}, sides, "No teacher, one call: longer training does not always mean a smaller error")

# %% tags=["exercise"]
def worth_the_price(methods):
    """The names that nothing at the same price or less beats, the cheapest first."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.worth_the_price(worth_the_price)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# A method is dropped if one and the same rival fulfils two conditions: its price is not higher, *and* it beats the method. A rival that is only cheaper, or only better, does not eliminate a method. Use `sorted(names, key=...)` for the order.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def worth_the_price(methods):
#     price = {name: before + after for name, (before, after, _) in methods.items()}
#     best, worst = ({name: f(errors) for name, (_, _, errors) in methods.items()} for f in (min, max))
#     dropped = lambda a: any(price[b] <= price[a] and worst[b] < best[a] for b in methods)
#     return sorted((a for a in methods if not dropped(a)), key=lambda a: price[a])
# ```
#
# An expensive method that is indistinguishable from a cheap one stays, since it was not beaten. You may still prefer the cheap one, but that is a decision about cost and not a finding about errors, so it should be stated as such.
# If the denoiser were free, TCM would cost only its second stage, 8 s. It would be the cheapest and stay, with the highest error of all that are kept; the others that are kept remain the same.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# A claim is *confirmed here* only if the ranges are disjoint in every comparison of its row. The first verdict is by sliced W₂, the second by the share of samples off the modes. Words in italics say where our comparison differs from that of the papers.

# %% tags=["hide-input"]
distance = lambda arm, n, solver="": by_calls(rows, arm, solver)[n]
misses = lambda arm, n, solver="": 1 - by_calls(rows, arm, solver, "near_mode")[n]
claims = [
    ("iCT improves on CT (1 call); *CT has the settings of its paper, made for far longer runs*", [("ict", 1, "ct", 1)]),
    ("continuous time beats a fine grid: sCT against iCT, sCD against CD (1 call)", [("sct", 1, "ict", 1), ("scd", 1, "cd", 1)]),
    ("two calls beat one (iCT, ECT, sCT)", [("ict", 2, "ict", 1), ("ect", 2, "ect", 1), ("sct", 2, "sct", 1)]),
    ("*not in the paper:* four calls beat two (iCT, ECT, sCT)", [("ict", 4, "ict", 2), ("ect", 4, "ect", 2), ("sct", 4, "sct", 2)]),
    ("phases improve several calls: PCM-2 and PCM-4 against CD at 2 and 4 calls", [("pcm-2", 2, "cd", 2), ("pcm-4", 4, "cd", 4)]),
    ("*not in the paper:* a phased network is best at its own number of calls (of 1, 2, 4)", [("pcm-2", 2, "pcm-2", 1), ("pcm-2", 2, "pcm-2", 4), ("pcm-4", 4, "pcm-4", 1), ("pcm-4", 4, "pcm-4", 2)]),
    ("sLCT's changes help (1 call); *claimed for latents with outliers, which the ring does not have*", [("slct", 1, "ict", 1)]),
    ("MusicCM's critic helps (1 and 4 calls); *here on points instead of sound*", [("musiccm", n, "musiccm-plain", n) for n in (1, 4)]),
    ("ECT is no worse than iCT at equal samples (1 call)", [("ect", 1, "ict", 1)]),
]
lines, numbers = ["| claim | by sliced W₂ | by the share off the modes |", "|---" * 3 + "|"], ["| comparison | sliced W₂ |", "|---|---|"]
for words, duels in claims:
    both = [verdict([(number(a, n), number(b, m)) for a, n, b, m in duels]) for number in (distance, misses)]
    lines.append(f"| {words} | {' | '.join(both)} |")
    named = [f"{title(a)} against {title(b)}, {n} call{'s' * (n > 1)}" + " each" * (n > 1) if n == m else f"{title(a)}, {n} call{'s' * (n > 1)} against {m}" for a, n, b, m in duels]
    numbers += [f"| {name} | {ranged(distance(a, n))} against {ranged(distance(b, m))} |" for name, (a, n, b, m) in zip(named, duels, strict=True)]
Markdown("\n".join(lines))

# %% tags=["hide-input"]
guess = lambda arm, n: by_calls(rows, arm, name="w1")[n]
asks = [(guess("cm-dis", n), guess("dps", n)) for n in (16, 40)]
against = lambda pairs: "; ".join(f"{ranged(a)} against {ranged(b)}" for a, b in pairs)
blind = score(rows, "truth", "w1", "prior", 0)
spent = [score(rows, "ect", "seconds"), np.concatenate([score(rows, a, "seconds") for a in ("ict", "editing")])]
faster = [(distance("edm-fast", n, way), distance("edm", n, way)) for n, way in ((32, "ddim"), (35, "heun"))]
lines = ["", "| further claim | measured | verdict |", "|---|---|---|"]
lines.append(f"| ECT is cheaper than iCT; *here at equal samples, in CPU seconds, with three timings of ECT and six of iCT* | {ranged(spent[0], '.0f')} against {ranged(spent[1], '.0f')} | {verdict([spent])} |")
lines.append(f"| a curriculum speeds up the training of EDM; *here: a lower error at equal samples, DDIM in 32 calls and Heun's method in 35, and another learning rate (lab 14 has equal ones)* | {against(faster)} | {verdict(faster)} |")
lines.append(f"| comparing f with a measurement is better than comparing D (CM-DIS against DPS, lab 13: W₁, 16 and 40 calls); *claimed for non-linear operators, while this one is linear; CM-DIS has two networks with half of the samples each* | {against(asks)} | {verdict(asks)} |")
lines.append(f"| a consistency model can edit without being trained to (lab 13: W₁ in 40 calls against ignoring the measurement) | {ranged(guess('editing', 40))} against {ranged(blind)} | {verdict([(guess('editing', 40), blind)])} |")
folded("The numbers of each row, and claims on cost, curriculum and inverse problems", "\n".join([*numbers, *lines]))

# %% [markdown]
# ### What this ranking is not
#
# - **It is for one distribution, in the plane.** The ring has no outliers, no classes, and no detail finer than a mode. Techniques that were invented for images, latents or sound have little to improve here, and the batch mean has much.
# - **It is for one size of network and one budget**: 111 938 weights and a million samples. A method that needs more training is judged too early.
# - **Its settings were tuned at this size**, for some methods far more than for others (see the protocol). Tuning can move a method by more than one place.
# - **Its exact teacher** has no errors to pass on. From a trained teacher, a student learns the errors of that network as well.
#
# The *form* of the answer carries over (calls, seconds, resources, ranges), but the table has to be made again for your own data.
#
# ## Your three projects
#
# Advise the three projects once more:
#
# - **A**: data and nothing else, one network call per sample; every sample is shown to somebody;
# - **B**: a very good denoiser, four calls; a noise vector should keep its sample;
# - **C**: data and nothing else, many samples for a statistic, up to 35 calls.
#
# State the measure and the cost in each answer, say what is indistinguishable from your choice, and compare with what you wrote down at the beginning. Would your answer to A be the same for images?

# %% tags=["hide-input"]
early = [a for members in families.values() for a, (_, lab) in members.items() if lab != "–" and int(lab) <= 15]
asked = (("A", 1, "", "no teacher"), ("A", 1, BATCH, "with the batch mean"), ("B", 4, EXACT, "the exact denoiser"), ("C", 35, "", "no teacher"), ("C", 35, BATCH, "with the batch mean"))
lines, advice = [], {}
for project, most, told, words in asked:
    arms = [*taught[told], *(["edm", "edm-fast"] if told == "" else [])]
    races = {"sliced W₂": candidates(rows, arms, most), "the share off the modes": {name: 1 - near for name, near in candidates(rows, arms, most, "near_mode").items()}}
    kept = {measure: unbeaten(race) for measure, race in races.items()}
    advice[project, told] = kept
    lines += [f"**{project}**, at most {most} call{'s' * (most > 1)}, {words}", ""]
    lines += [f"- by {measure}, beaten by none: {grouped_text(names)}; the lowest mean is {ranged(races[measure][names[0]])}" for measure, names in kept.items()]
    both = [name for name in kept["sliced W₂"] if name in kept["the share off the modes"]]
    lines.append(f"- by both: {grouped_text(both) if both else 'none, so the answer depends on whether the cloud as a whole or the single sample counts'}")
    if (project, told) == ("A", ""):
        lines.append(f"- of the methods of labs 01 to 15 alone, by sliced W₂: {grouped_text(unbeaten(candidates(rows, [a for a in arms if a in early], most)))}")
    lines.append("")
spent_calls = lambda name: int(name.rsplit(", ", 1)[1].split()[0])
cheapest = lambda names: [name for name in names if spent_calls(name) == min(map(spent_calls, names))]
kept_c = advice["C", ""]["sliced W₂"]
keeps = {a: by_calls(rows, a, name="end")[4] for a in ("pcm-4", "lmd", "cd")}
lines += ["**By which measure?**", ""]
lines.append(f"- A shows every sample, and a stray between the modes is seen, so the share off the modes counts. That speaks for {grouped_text(advice['A', '']['the share off the modes'])}.")
lines.append(f"- B edits, so it needs the map as well as the distribution. PCM-4 in four calls is {ranged(keeps['pcm-4'])} from the exact ends, LMD in four {ranged(keeps['lmd'])}, CD in one {ranged(one('cd', 'end'))}. (More calls do not help CD: it draws fresh noise between them, and after four it is {ranged(keeps['cd'])} away.) That speaks for {grouped_text(advice['B', EXACT]['the share off the modes'])}.")
lines.append(f"- C's statistic asks for the cloud as a whole, so sliced W₂ counts; several methods are indistinguishable by it, and the number of calls decides. That speaks for {grouped_text(cheapest(kept_c)).replace('; ', ' or ')}, where EDM needs {listed(map(str, sorted({spent_calls(name) for name in kept_c if name.startswith('EDM')})), 'or')}.")
lines.append("")
lines.append("Methods that are indistinguishable are equally defensible by their errors, and the cost may decide between them (exercise B). All of these answers hold for a ring in the plane only. For images the batch mean would be little help, so A's line without a teacher is the one to look at.")
folded("What the table says", "\n".join(lines))

# %% [markdown]
# ### What to remember
#
# 1. A ranking depends on the number of calls and on the measure, so both must be known before a winner can be named.
# 2. Teachers and pre-training are part of the cost, and a teacher may be hidden in the settings.
# 3. Where ranges overlap there is no winner. A part of every range is the draw of the test, which pairing removes; the rest needs more trainings.
#
# ## Budget

# %% tags=["hide-input"]
made = [row for row in rows if row["samples"]]
spaced = lambda n: f"{n:,}".replace(",", " ")
points, moved = truth(toy.RING), []
for arm in present(rows):
    if "f" in ENTRIES[arm].parts and len(ENTRIES[arm].parts) == 1:
        model, _, _ = runs.load(weights_of(arm))
        moved.append(abs(float(rmse_by_level(model, model.process, points).square().mean().sqrt()) - score(rows, arm, "rmse")[0]))
print("Nothing was trained while you waited.")
print(f"The networks of seed 0 are stored in half precision. Evaluated again, the distances of {len(moved)} of them to f* agree with the recorded ones to within {np.ceil(1e4 * max(moved)) / 1e4:.4f}.")
print(f"Recorded: {len(made)} runs with {spaced(sum(row['samples'] for row in made))} samples in all, {spaced(sum(row['pretraining'] for row in made))} of them in pre-training; {sum(row['seconds'] for row in made):.0f} CPU seconds.")
print("To repeat it: cmlab bench --again")

# %% [markdown]
# **Next:** flow maps, of which the consistency function is a special case (lab 18), or your own data. The [list of labs](../labs/README.md) shows where each method is treated.
