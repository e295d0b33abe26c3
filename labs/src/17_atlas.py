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
# | Papers | those of labs 01 to 15, 18 and 19, and a few more: [arXiv numbers](../README.md#which-method-for-what-budget) |
# | Level | 3 of 3 |
# | Part | Looking back |
# | Time | 60 minutes |
# | Run All | 18 s on 2 CPU cores |
# | You need | consistency training and distillation (labs 04, 05, 07), continuous time (lab 10), several calls (lab 11) |
#
# **Best read after labs 18 and 19**, whose *flow maps* take part here; some of them lead. If you have not met them, the one sentence under *The methods* is enough to read the tables.
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
# Write down a method and a measure for each. At the end you are asked again.
#
# This lab trains nothing. `cmlab bench` trained all methods on one distribution, the ring of eight modes, with three seeds each; the numbers come from its record.

# %% tags=["hide-input"]
from itertools import combinations

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
    read_rows,
    recipes_of,
    score,
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
    prices,
    students,
    two_measures,
    unbeaten,
    verdict,
    worth,
)
from IPython.display import Markdown

from cmlab.metrics.wasserstein import sliced
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.teacher import BatchTeacher

start_lab(threads=1)  # small networks: a second thread would only wait
rows = read_rows()
title = lambda arm: ENTRIES[arm].title
taught = {told: students(rows, told) for told in GROUPS}  # methods by teacher
at = {n: {told: {a: by_calls(rows, a)[n] for a in arms if n in by_calls(rows, a)} for told, arms in taught.items()} for n in (1, 2, 4)}
leads = {(n, told): unbeaten(found) for n in at for told, found in at[n].items()}
floor = score(rows, "truth", "sliced_w2", "truth", 0)

# %% [markdown]
# ## Try it first
#
# Each circle marks the end of the exact path from one noise vector, and each coloured mark the sample that the network makes from the same vector. For 60 of them a line joins the two.
#
# Choose a method on the left and another *beside it*. With one call, which of them blur the ring, which miss it altogether, and which cover the ring but not the circles? Then give both more calls. Do samples and lines always improve together?

# %%
explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# In one call EDM, CT and PCM-4 miss the ring, TCM and DMD blur it, and Drifting covers it but not its circles. More calls bring EDM nearer to its circles, but not every method.
#
# </details>
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
# A **consistency function** leads from any time to the end of the path; for a second call, fresh noise is added (not by PCM, whose calls end at the edges of its phases). A **flow map** leads from any time to any other, so that several calls are several jumps along one path.
#
# The column *teacher* says what the targets of the training are made of, beyond the data:
#
# - **none**: each target contains the one sample x that was noised (Drifting and sLCT also compare or pair the samples of a batch);
# - **batch mean**: in place of x stands the mean over all 256 samples of the batch, weighted by how likely each could have become $x_t$ (`BatchTeacher`; arXiv:2302.00670);
# - **exact denoiser**: the mean over the whole distribution, in closed form. It costs nothing and makes no errors. A network in its place would pass on its errors, and its training would have a cost.

# %% tags=["hide-input"]
rms = lambda found, exact: float((found - exact).square().sum(1).mean().sqrt())
far = []
with torch.random.fork_rng():
    torch.manual_seed(0)
    for _ in range(20):  # batches
        x, z, t = toy.RING.oracle.sample(256).float(), torch.randn(256, 2), torch.rand(256)
        x_t = (1 - t[:, None]) * x + t[:, None] * z
        exact = toy.exact_teacher().denoise(x_t, t)
        far.append([rms(x, exact), rms(BatchTeacher()(x)(x_t, t), exact)])
single, batch = np.mean(far, 0)
families = {
    "Diffusion": {
        "edm": ("the diffusion model of Karras et al. 2022", "01"),
        "edm-fast": ("EDM with a curriculum of noise levels", "14"),
    },
    "Consistency functions": {
        "ct": ("two noisy versions of one x must lead to one point", "05"),
        "ict": ("CT with finer grids, another loss, no EMA target", "07"),
        "ect": ("starts as a denoiser, then narrows the gap", "09"),
        "sct": ("consistency training in continuous time", "10"),
        "slct": ("iCT with paired noise and a more robust loss (here without its norm)", "12"),
        "tcm": ("ECT, then a second stage at high noise alone", "–"),
        "cd": ("consistency distillation, here with iCT's loss", "04"),
        "scd": ("consistency distillation in continuous time", "10"),
        "pcm-2": ("leads to the next of 2 edges (here without its critic)", "11"),
        "pcm-4": ("the same with 4 phases", "11"),
        "musiccm": ("distillation with a critic", "15"),
        "musiccm-plain": ("the same without the critic", "15"),
    },
    "Flow maps": {
        "lsd": ("the landing point moves with the velocity of the path", "18"),
        "lsd-sample": ("LSD with single samples, as in its paper", "18"),
        "esd": ("the landing point stays when the start moves along the path", "18"),
        "psd": ("two short jumps equal a long one", "18"),
        "meanflow": ("the network learns the mean velocity of a jump", "19"),
        "alpha-flow": ("flow matching that turns into MeanFlow during training", "–"),
        "shortcut": ("two equal jumps equal one of twice the length", "18"),
        "ctm": ("a jump equals solver steps and a shorter jump (here without its critic)", "18"),
        "imm": ("jumps from neighbouring times land in one distribution (here with steps of equal ratio)", "18"),
        "lmd": ("LSD with the exact velocity", "18"),
    },
    "Others": {
        "drifting": ("a generator of one call: its samples are drawn to the data and repel each other", "–"),
        "dmd": ("a generator of one call that compares two denoisers (here without its regression)", "–"),
        "progressive": ("each student takes one step for two of the student before it; here in eight stages of 500 steps, the first flow matching", "–"),
        "reflow": ("flow matching between the two ends of the teacher's paths, which straightens them", "–"),
    },
}  # fmt: skip
main = {"edm", "ct", "ict", "ect", "sct", "slct", "cd", "scd", "pcm-2", "pcm-4", "lsd", "lsd-sample", "imm", "lmd", "drifting", "dmd"}


def methods_table(chosen):
    lines = ["| method | teacher | what it learns | lab |", "|---" * 4 + "|"]
    for family, members in families.items():
        lines += [f"| ***{family}*** | | | |"] * (chosen == main)
        for arm, (words, lab) in members.items():
            if arm in chosen:
                lines.append(f"| {title(arm)} | {(ENTRIES[arm].teacher or 'none').removeprefix('the ')} | {words} | {lab} |")
    return "\n".join(lines)


Markdown(f"""\
The batch mean comes from data alone, but the papers of these methods do without it. On this ring it is nearly the exact denoiser: at $x_t = (1 - t)\\,x + t\\,z$ with uniform t the RMS distance between the two is {batch:.2f}; that of the single sample x is {single:.2f}. In many dimensions the weighted mean is x itself except at high noise. Five of the flow maps have this teacher because it helped in the search for their settings; LSD gained more from it than from anything else tried. *No ranking below mixes the three groups*; only Finding 2 and the advice for A compare across them.

""" + methods_table(main))

# %% tags=["hide-input"]
every = [a for members in families.values() for a in members]
lines = [methods_table(set(every) - main)]
sizes = {sum(p.numel() for p in r.build().parameters()) for e in ENTRIES.values() for r in recipes_of(e, seed=0).values()}
spaced = lambda n: f"{n:,.0f}".replace(",", " ")
seen = {float(score(rows, a, "samples")[0]) for a in every}
before = [f"{title(a)} {spaced(score(rows, a, 'pretraining')[0])}" for a in every if score(rows, a, "pretraining")[0]]
rates = {a: recipes_of(ENTRIES[a], seed=0)["f"].train.optimizer.lr for a in every}
again = [float(score(rows, a, "seconds")[0]) for a in ("ict", "editing")]  # the same training
lines += ["", f"- **Networks.** All have {' or '.join(map(spaced, sizes))} weights. sCT and sCD have other time features, flow maps and *others* get two times; MusicCM and DMD train a second network beside the student."]
lines += [f"- **Samples.** {' or '.join(map(spaced, seen))} each, of which in a first stage: {listed(before)}."]
lines += [f"- **Learning rate.** {rates['ict']:g} for consistency functions and EDM, {rates['edm-fast']:g} for EDM (curriculum), {rates['lsd']:g} for all others."]
lines += [f"- **Seconds** (in the README) are those of one thread, on a machine with other work: one and the same training took {again[0]:.0f} s and {again[1]:.0f} s."]
lines += ["- **Search.** Settings were chosen on seeds 10 and 11 (IMM also 12), with unequal effort (`docs/settings.md`): sixteen settings for sCD, ten each for iCT and IMM, nine for LSD, seven for sCT, six each for Shortcut and MeanFlow, none for CT and EDM; ESD, PSD, CTM, α-Flow, Drifting and reflow take the settings of others."]
folded("The other methods, and the protocol", "\n".join(lines))

# %% [markdown]
# ## The exact object
#
# Sliced W₂ projects both sets onto many directions, sorts and pairs them, and is the root mean square of the differences.

# %% tags=["hide-input"]
walk = {way: by_calls(rows, "exact", way) for way in ("ddim", "heun")}
Markdown(f"""\
**The floor.** Two finite sets of real data are not at distance 0: the sliced W₂ of three pairs of sets is {ranged(floor)}. The figures show everything below {floor.max():.3f} in grey.

**The error of the steps alone.** With the exact denoiser all error comes from the solver. DDIM (Euler's step of lab 01), one call per step, has {walk["ddim"][1].mean():.2f} with one call, {walk["ddim"][8].mean():.3f} with 8 and {walk["ddim"][32].mean():.3f} with 32. Heun's method, two calls per step, has {walk["heun"][5].mean():.2f} with 5 calls and {walk["heun"][35].mean():.3f} with 35. With few calls it is the *worse* one: its steps are too long for the slope at their end to be of use.""")

# %% [markdown]
# ## The method, from its source
#
# A **beats** B if the worst run of A has a lower error than the best run of B:

# %%
show_source(beats)

# %% [markdown]
# If neither beats the other, the two are **indistinguishable**, however their means compare; they need not be equal.

# %% tags=["hide-input"]
untrained = ", ".join(f"{error:.3f}" for error in walk["heun"][35])
Markdown(f"""\
**How often does the rule separate two equal methods?** If their six runs were independent, once in ten: of the 20 ways to divide six runs into two groups of three, one gives A the three lowest errors and one gives B. But all methods with one seed are tested with the same noise and the same fresh data, and most start from the same weights. The draw alone matters: the exact denoiser, which is not trained, has the errors {untrained} in 35 calls. What the runs of a seed share moves both ranges alike, which usually makes a separation rarer.

In no case is it more than **one in four**: A has to be lower with each of the three seeds, and for equal methods three equal outcomes have the chance 2 · (1/2)³. The lab has many pairs, so *some* are separated by chance, and a narrow win is weak evidence.

**Real data under the same rule.** By sliced W₂ a method is indistinguishable from real data if one of its runs lies in the grey area. It need not be perfect: CD in one call passes, yet the exact denoiser in 35 calls beats it.""")

# %%
compare(by_calls(rows, "cd")[1], floor)  # try other methods and calls

# %% [markdown]
# ## Explore
#
# Give iCT four calls above. The cloud of samples is no worse, so why have the lines become long?
#
# <details><summary>Answer</summary>
#
# Before each further call of iCT, fresh noise is added. The sample then belongs to the path of another noise vector, and its distance to the circle of the *first* has no meaning. Flow maps and PCM add no noise, so their lines may be compared at any number of calls.
#
# </details>
#
# ## The key figure
#
# ### Finding 1: the number of calls is a part of the method
#
# Each panel has one teacher. Thick bars are ranges over the seeds. Thin black curves are diffusion, on the right with the exact denoiser. Grey curves are the other methods of the group. Methods *lead* if no other of their group beats them.

# %% tags=["hide-input"]
shown = {"": ("ct", "ict", "sct", "lsd-sample"), BATCH: ("lsd", "imm"), EXACT: ("cd", "scd", "lmd", "pcm-2", "pcm-4")}
heads = {"": "No teacher, one call:", BATCH: "Batch mean, one call:", EXACT: "Exact denoiser, one call:"}
best = {told: [title(a) for a in leads[1, told]] for told in GROUPS}
panels = [StudentPanel(f"{heads[told]}\n{listed(best[told])} lead{'s' * (len(best[told]) == 1)}", "exact" if told == EXACT else "edm", shown[told], [a for a in taught[told] if a not in shown[told]]) for told in GROUPS]
errors_by_calls(rows, panels)

# %% tags=["hide-input"]
ict = at[1][""]["ict"]
ddim, heun = (by_calls(rows, "edm", way) for way in ("ddim", "heun"))
overlap = [str(n) for n in ddim if compare(ddim[n], ict) == "indistinguishable"]
off = lambda arm, n: 1 - by_calls(rows, arm, name="near_mode")[n]
fewest = worth(heun, ict)[1]
Markdown(f"""\
- **What one call is worth.** One call of iCT, {ranged(ict, ".4f")}, beats EDM with {worth(ddim, ict)[0]} calls of DDIM or {worth(heun, ict)[0]} of Heun's method, overlaps with {listed(overlap)} of DDIM, and is beaten, narrowly, by {fewest} of Heun's, {ranged(heun[fewest], ".4f")}.
- **The order changes with the calls.** With one call CD beats PCM-4, whose error is {at[1][EXACT]["pcm-4"].mean():.2f}. With four calls PCM-4 beats CD, and no method of its group beats PCM-4.
- **More calls of a consistency function.** For iCT four calls are {compare(at[4][""]["ict"], ict)} from one by this measure; by the share of samples off the modes (lab 11) they beat it: {ranged(off("ict", 4))} against {ranged(off("ict", 1))}.
- **A second call can do harm.** The error of sLCT rises from {at[1][""]["slct"].mean():.3f} with one call to {at[2][""]["slct"].mean():.3f} with two. In training its noise is *paired* with the data of the batch, while the noise added before the second call is paired with nothing: lab 12 measures what this costs.""")

# %% tags=["hide-input"]
lines = ["| method | 1 call | 2 calls | 4 calls |", "|---" * 4 + "|"]
for told in GROUPS:
    lines.append(f"| ***{GROUPS[told]}*** | | | |")
    for arm in sorted(taught[told], key=lambda a: at[1][told][a].mean()):
        cells = ["–" if arm not in at[n][told] else f"**{ranged(at[n][told][arm])}**" if arm in leads[n, told] else ranged(at[n][told][arm]) for n in at]
        lines.append(f"| {title(arm)} | {' | '.join(cells)} |")
folded("All methods in 1, 2 and 4 calls (bold: beaten by none of the group, before rounding)", "\n".join(lines))

# %% [markdown]
# ## Three more findings
#
# ### Finding 2: what the teacher gives
#
# For one call, compare the same kind of method without and with the exact denoiser as its teacher. iCT and CD have the same loss; sCT and sCD are the pair in continuous time. (CD also differs in grids and solver, sCD in its first stage and the bound of the tangent.) LSD has all three teachers: *LSD (single)* single samples, *LSD* the batch mean, and *LMD* the exact velocity, also at the landing point, where LSD takes the network's own.

# %% tags=["hide-input"]
one = lambda arm, name="sliced_w2": by_calls(rows, arm, name=name)[1]
kinds = {"iCT, CD": ("ict", "cd"), "sCT, sCD": ("sct", "scd"), "LSD (single), LSD, LMD": ("lsd-sample", "lsd", "lmd")}
by_teacher(rows, kinds, ("With the exact denoiser as teacher one\ncall is indistinguishable from real data", "An exact teacher brings one call\nnearer to the exact end"))

# %% tags=["hide-input"]
Markdown(f"""\
- **From no teacher to the exact one.** CD beats iCT, and sCD beats sCT, by both distances. By sliced W₂ CD, sCD and LMD are indistinguishable from real data.
- **From method to method, with equal help.** By sliced W₂ iCT and sCT are indistinguishable, and so are CD and sCD.
- **A teacher in the settings.** LSD has the lowest mean of all methods that need data alone, {ranged(one("lsd"))}. But iCT and sCT were not given its batch mean. With single samples, {ranged(one("lsd-sample"))}, it is {compare(one("lsd-sample"), one("ict"))} from both; whether they would do as well with the batch mean is open.

On this ring the teacher matters more than the choice between iCT, sCT and LSD (single). For a trained teacher, which makes errors, this is no evidence: by the published FIDs in one call sCD is behind sCT on CIFAR-10, 3.66 against 2.85 (lab 16), and ahead on ImageNet 512 (arXiv:2410.11081).""")

# %% [markdown]
# *Your projects:* A and C have data alone. Would the batch mean be of use to them?
#
# ### Finding 3: two measures, two rankings
#
# Sliced W₂ measures whether the cloud as a whole lies where the data lie. The share of samples **off the modes** considers each sample separately: is it more than three standard deviations from every mode? The data hardly ever produce such a sample; yet a move of a few tenths takes it to a mode, so it adds little to the distance. Each line leads from one call (1) through two (2) to four (large mark, with the range over the seeds); one call of PCM-4 lies outside the figure.

# %% tags=["hide-input"]
sides = {"imm": "below", "ict": "below", "sct": "below", "ect": "right", "cd": "above", "pcm-4": "below"}
two_measures(rows, sides, "PCM-4 is indistinguishable from real data by sliced W₂,\nbut not by the share of samples off the modes")

# %% tags=["hide-input"]
Markdown(f"""\
- By sliced W₂, PCM-4, IMM and LMD in four calls and CD in one are indistinguishable from real data. Yet {100 * off("pcm-4", 4).mean():.1f} %, {100 * off("imm", 4).mean():.1f} %, {100 * off("lmd", 4).mean():.1f} % and {100 * off("cd", 1).mean():.1f} % of their samples are off the modes, with every seed more than the {100 * np.exp(-4.5):.1f} % of real data.
- By sliced W₂, iCT and sCT are {compare(at[1][""]["ict"], at[1][""]["sct"])} in one call. By the share off the modes sCT, {ranged(off("sct", 1))}, beats iCT, {ranged(off("ict", 1))}.
- A second call brings samples of iCT, ECT and sCT to the modes; a second call of CD does not, {ranged(off("cd", 2))} against {ranged(off("cd", 1))}.

Neither measure sees everything: eight dots in place of eight clouds would have no sample off the modes, and neither would a cloud on a single mode.""")

# %% [markdown]
# *Your projects:* by which measure does each of them judge?
#
# ### Finding 4: the right distribution is not the right map
#
# A generator may turn noise into the right distribution along other paths than those of the flow. For one call, the figure compares sliced W₂ with the RMS distance from each sample to the end of the exact path from the same noise.

# %% tags=["hide-input"]
drawn = [a for arms in taught.values() for a in arms]
sides = {"lmd": "below", "lsd": "left", "ict": "above", "sct": "right", "imm": "right", "drifting": "right", "dmd": "right", "progressive": "left", "reflow": "left"}
map_and_law(rows, drawn, sides, "Drifting and sCT are indistinguishable by their distribution, not by their map")

# %% tags=["hide-input"]
Markdown(f"""\
For most methods the two errors rise together. Drifting and DMD ask for the distribution alone: Drifting's sliced W₂, {ranged(one("drifting"))}, is {compare(one("drifting"), one("sct"))} from sCT's, but its samples land {one("drifting", "end").mean() / one("sct", "end").mean():.1f} times as far from the exact ends: {ranged(one("drifting", "end"))} against {ranged(one("sct", "end"))}. This matters only where a noise vector has to keep its sample, as for previews or edits.""")

# %% [markdown]
# ## Exercises
#
# ### A · guided: training or test?
#
# How much of a range comes from the test? The figures have one draw of noise and fresh data for each seed. Here are ten draws of 8192 samples for stored networks of seed 0.

# %% tags=["hide-input"]
def tested(arm, calls, draw, n, directions=128):
    """Sliced W₂ of n samples of a stored network on one draw of noise and fresh data."""
    with seeded(torch.device("cpu"), 1000 + draw):
        fresh = toy.RING.sample(n)[0]
        z = torch.randn_like(fresh)
    with torch.no_grad(), seeded(torch.device("cpu"), draw, 4):
        return sliced(sampler(arm)(*network(arm), z, calls), fresh, directions)


draws = {f"{title(a)}, {n} call{'s' * (n > 1)}": [tested(a, n, k, 8192) for k in range(10)] for a, n in (("ict", 1), ("ict", 2), ("sct", 1))}
large = [tested("ict", 1, k, 32768, 32) for k in range(10)]
span = np.mean([np.ptp(three) for three in combinations(large, 3)])
lines = ["| sliced W₂ on ten draws | " + " | ".join(str(k + 1) for k in range(10)) + " |", "|---" * 11 + "|"]
lines += [f"| {name} | " + " | ".join(f"{error:.4f}" for error in errors) + " |" for name, errors in draws.items()]
Markdown("\n".join([*lines, "", f"With 32 768 samples, as in the figures, three of ten draws of the network of iCT in one call span {span:.3f} on average; the three networks in the figures, each on one draw, span {np.ptp(ict):.3f}."]))

# %% [markdown]
# Write the verdict. `a` and `b` are the errors of two networks on the same ten draws. Return "lower" if a is below b on at least nine of them, "higher" if it is above b on at least nine, and else "indistinguishable".
# On paper: how often would two equal networks be called different by this rule? Then apply your function to the rows of `draws`. What does it decide about iCT and sCT as *methods*?

# %% tags=["exercise"]
def paired(a, b):
    """"lower", "higher" or "indistinguishable": a against b, draw by draw."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.paired(paired)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `zip(a, b)` gives the pairs. Count the draws on which a is below, and separately those on which it is above; a draw with equal errors counts for neither. On paper: each draw is a coin, and ten of them have 2¹⁰ patterns.
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
# Along a row only the test changes, and the errors differ by up to a factor of two. With 32 768 samples three draws of one network span about as much as the three training runs of the figures: most of that range can be the test. All rows change together, and pairing removes this common part. So iCT's error is lower in two calls than in one, although their ranges in the figures overlap; iCT and sCT in one call remain indistinguishable.
# But each row is *one* training run. Ten draws decide about two networks; only several training runs can decide about methods, best of all with many draws each.
#
# </details>

# %% [markdown]
# ### B · on your own: methods worth their price
#
# For each name, `methods` gives a tuple: the CPU seconds of its pre-training (0 if it has none), the CPU seconds of the rest, and its errors over the seeds.
# A method is worth its price if nothing that costs *as much or less, all included,* beats it, by the rule above. Return the names of those methods, the cheapest first.
#
# Then try your function on `price_list`, the methods of the figure and CT, which lies above it: which does it keep, and would it keep the same ones if pre-training were free? (The seconds of a pre-training are estimated in proportion to its samples; LSD (single) was timed on a busier machine.)

# %% tags=["hide-input"]
priced = prices(rows, taught[""])
price_list = {title(a): (*priced[a], at[1][""][a].tolist()) for a in priced}
sides = dict.fromkeys(priced, "right") | {"ict": "below", "sct": "below", "ctm": "above", "slct": "above"}
errors_by_cost(rows, {a: at[1][""][a] for a in priced}, sides, "No teacher, one call: slower training does not always mean a smaller error")

# %% tags=["exercise"]
def worth_the_price(methods):
    """The names that nothing at the same price or less beats, the cheapest first."""
    ...  # your code

# %% tags=["check", "nbval-check-output"]
checks.worth_the_price(worth_the_price)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# A method is dropped if one and the same rival fulfils two conditions: its price is not higher, *and* it beats the method. Use `sorted(names, key=...)` for the order.
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
# It keeps Shortcut, ECT, iCT, Drifting, sCT and LSD (single). The last three stay because no cheaper method beats them. ECT stays only because its 23 s are less than the 25 s of iCT, which beats it; a clock that gives one training 27 s and 22 s cannot tell them apart.
# If pre-training were free, TCM would cost only its second stage, 8 s. It would be the cheapest and would be kept, with the highest error of those kept; the others remain the same.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# A claim is *confirmed here* if the rule finds it in every comparison of its row. Words in italics say where our comparison differs from that of the papers.

# %% tags=["hide-input"]
distance = lambda arm, n, solver="": by_calls(rows, arm, solver)[n]
misses = lambda arm, n, solver="": 1 - by_calls(rows, arm, solver, "near_mode")[n]
claims = [
    ("iCT improves on CT (1 call); *CT has its paper's settings, made for far longer runs*", [("ict", 1, "ct", 1)]),
    ("continuous time beats a fine grid: sCT against iCT, sCD against CD (1 call)", [("sct", 1, "ict", 1), ("scd", 1, "cd", 1)]),
    ("two calls beat one (iCT, ECT, sCT)", [("ict", 2, "ict", 1), ("ect", 2, "ect", 1), ("sct", 2, "sct", 1)]),
    ("phases improve several calls: PCM-2 and PCM-4 against CD at 2 and 4 calls", [("pcm-2", 2, "cd", 2), ("pcm-4", 4, "cd", 4)]),
    ("*not in the paper:* a phased network is best at its own number of calls (of 1, 2, 4)", [("pcm-2", 2, "pcm-2", 1), ("pcm-2", 2, "pcm-2", 4), ("pcm-4", 4, "pcm-4", 1), ("pcm-4", 4, "pcm-4", 2)]),
    ("sLCT's changes help (1 call); *claimed for latents with outliers, which the ring does not have*", [("slct", 1, "ict", 1)]),
    ("MusicCM's critic helps (1 and 4 calls); *here on points instead of sound*", [("musiccm", n, "musiccm-plain", n) for n in (1, 4)]),
    ("ECT is no worse than iCT (1 call); *here at equal samples, its denoiser's included; the paper tunes a finished one*", [("ect", 1, "ict", 1)]),
]
lines = ["| claim | by sliced W₂ | by the share off the modes |", "|---" * 3 + "|"]
for words, duels in claims:
    both = [verdict([(number(a, n), number(b, m)) for a, n, b, m in duels]) for number in (distance, misses)]
    lines.append(f"| {words} | {' | '.join(both)} |")
Markdown("\n".join(lines))

# %% [markdown]
# ### Limits of this ranking
#
# - **One distribution, in the plane.** The ring has no outliers, no classes, and no detail finer than a mode. Techniques for images, latents or sound can improve little here, and the batch mean much.
# - **One size of network and one budget.** A method that needs more training is judged too early.
# - **Settings tuned at this size**, for some methods far more than for others, and **an exact teacher**.
#
# The *form* of the answer carries over (calls, cost, ranges), but your own data need their own table.
#
# ## Your three projects
#
# Advise A, B and C. State measure and cost, say what is indistinguishable from your choice, and compare with what you wrote down. Would your answer to A be the same for images?

# %% tags=["hide-input"]
asked = (("A", 1, ""), ("A", 1, BATCH), ("B", 4, EXACT), ("C", 35, ""), ("C", 35, BATCH))
lines, advice = ["| project | teacher | beaten by none, by sliced W₂ | by the share off the modes |", "|---" * 4 + "|"], {}
for project, calls, told in asked:
    arms = [*taught[told], *(["edm", "edm-fast"] if told == "" else [])]
    strays = {name: 1 - near for name, near in candidates(rows, arms, calls, "near_mode").items()}
    kept = advice[project, told] = [unbeaten(race) for race in (candidates(rows, arms, calls), strays)]
    lines.append(f"| {project} | {(told or 'none').removeprefix('the ')} | {' | '.join(map(grouped_text, kept))} |")
spent_calls = lambda name: int(name.rsplit(", ", 1)[1].split()[0])
cheapest = lambda names: [name for name in names if spent_calls(name) == min(map(spent_calls, names))]
kept_c = advice["C", ""][0]
keeps = {a: by_calls(rows, a, name="end")[n] for a, n in (("pcm-4", 4), ("pcm-2", 2))}
lost = [by_calls(rows, a, name="end")[2].mean() for a in ("cd", "scd")]
lines += ["", f"- **A** shows every sample, and a stray between the modes is seen, so the share off the modes counts: {grouped_text(advice['A', ''][1])}. With the batch mean LSD, {ranged(off('lsd', 1))}, is {compare(off('lsd', 1), off('sct', 1))} from sCT, {ranged(off('sct', 1))}, by this share, although by sliced W₂ it beats sCT. For images the batch mean would help little, and the order of the others is open (published FIDs: lab 16)."]
lines.append(f"- **B** edits, so it needs the map as well as the distribution: {grouped_text(advice['B', EXACT][1])}. It is {ranged(keeps['pcm-4'])} from the exact ends. PCM-2 in two calls, {ranged(keeps['pcm-2'])}, is {compare(*keeps.values())} from it by the map and by sliced W₂, and beaten by the share off the modes. A second call of CD or sCD adds fresh noise and loses the map ({lost[0]:.2f} and {lost[1]:.2f} from the exact ends), so of these only one call counts; LMD in four keeps it, {ranged(by_calls(rows, 'lmd', name='end')[4])}.")
lines.append(f"- **C**'s statistic asks for the cloud as a whole, so sliced W₂ counts. Of the indistinguishable, the fewest calls: {grouped_text(cheapest(kept_c)).replace('; ', ' or ')}, where EDM needs {listed(map(str, sorted({spent_calls(name) for name in kept_c if name.startswith('EDM')})), 'or')}. (One call of iCT is beaten by {ict.min() - heun[35].max():.4f}.)")
folded("What the table says", "\n".join(lines))

# %% [markdown]
# ### What to remember
#
# 1. A ranking depends on the number of calls and on the measure: name both with a winner.
# 2. Teachers and pre-training are part of the cost, and a teacher may be hidden in the settings.
# 3. Where ranges overlap there is no winner. A part of every range comes from the draw of the test, and pairing removes it; the rest needs more training runs.
#
# ## Budget

# %% tags=["hide-input"]
made = [row for row in rows if row["arm"] in every]
print(f"Recorded: {len(made)} runs with {spaced(sum(row['samples'] for row in made))} samples in all, {spaced(sum(row['pretraining'] for row in made))} of them in pre-training; {sum(row['seconds'] for row in made):.0f} CPU seconds.")

# %% [markdown]
# **Next:** your own data. The [list of labs](../labs/README.md) shows where the methods are treated.
