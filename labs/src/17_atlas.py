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
# | Papers | those of labs 1 to 15, one line each in the table of methods below, with its arXiv number |
# | Level | 3 of 3 |
# | Part | Looking back |
# | Time | 30 minutes |
# | Run All | 14 s on 2 CPU cores |
# | You need | consistency training and distillation (labs 04, 05, 07), several calls (lab 11); the other methods you can look up as you meet them |
#
# After this lab you can
#
# 1. **read** a table of methods with its ranges: who beats whom, and who is not told apart;
# 2. **pick** a method for a number of calls, for seconds and for memory, and say what it was given;
# 3. **judge** what such a ranking is worth outside the one law on which it was made.
#
# Nothing is trained while you wait. One command, `cmlab bench`, has trained these methods on one law, with networks of one shape and size, one budget and three seeds, and has written a line for each run. This lab reads those lines; no result below is typed in.

# %% tags=["hide-input"]
import numpy as np
from cmlab_labs.common.explorer import show_source, start_lab
from cmlab_labs.common.prediction import predict
from cmlab_labs.common.study import ranged
from cmlab_labs.lab17_atlas import checks
from cmlab_labs.lab17_atlas.benchmark import (
    DIFFUSION,
    ENTRIES,
    Generation,
    few_step_table,
    read_rows,
    recipes_of,
    score,
    weights_of,
)
from cmlab_labs.lab17_atlas.explorer import explorer
from cmlab_labs.lab17_atlas.figures import (
    OTHER,
    StudentPanel,
    beats,
    by_calls,
    by_level,
    candidates,
    compare,
    crossing,
    errors_by_calls,
    errors_by_cost,
    errors_by_level,
    exact_denoiser,
    failed_as_infinite,
    front,
    generators,
    grouped_text,
    posterior_errors,
    present,
    rank_correlation,
    unbeaten,
    verdict,
    worth,
    worth_text,
)
from IPython.display import Markdown

from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.presets import toy
from cmlab.train import runs

start_lab(threads=1)  # small networks: a second thread would only wait
rows = read_rows()
seeds = sorted({row["seed"] for row in rows})
print(f"{len(rows)} runs of {len(present(rows))} entries, seeds {', '.join(map(str, seeds))}; missing: {', '.join(a for a in ENTRIES if a not in present(rows)) or 'none'}")

# %% [markdown]
# ## Predict
#
# Every method has a network of the same shape and size, has seen 1 024 000 samples of the ring of eight modes, and is asked for samples in 1, 2 and 4 network calls. The error is the sliced W₂ distance of 32 768 samples to as many fresh data.

# %%
predict("17.1")

# %%
predict("17.2")

# %% [markdown]
# ## The exact object
#
# ### What steps alone cost
#
# Before any network: the exact denoiser, which knows the law. All of its error is the solver's.
# *DDIM* takes one call a step. *Heun's method* takes two, for a better step; 35 calls are 18 of its steps, as in the paper (arXiv:2206.00364) for small pictures.
#
# Grey is the **floor**: what one cloud of real data scores against another. An error in the grey *this distance* cannot tell from none; another number may (see “Two numbers, two rankings”).

# %%
exact_denoiser(rows, ("Few calls: DDIM. Many: Heun's method", "The same for the end of each path"))

# %% tags=["hide-input", "nbval-check-output"]
floor = score(rows, "truth", "law", "truth", 0)
print("calls         " + "".join(f"{n:8d}" for n in by_calls(rows, "exact", "ddim")))
print("DDIM          " + "".join(f"{e.mean():8.3f}" for e in by_calls(rows, "exact", "ddim").values()))
print("calls         " + "".join(f"{n:8d}" for n in by_calls(rows, "exact", "heun")))
print("Heun          " + "".join(f"{e.mean():8.3f}" for e in by_calls(rows, "exact", "heun").values()))
print(f"floor          {floor.mean():.3f}, on the worst of the seeds {floor.max():.3f}")

# %% [markdown]
# With few calls the method of higher order is the **worse** one: its steps are so long that the slope at their end has little to do with the path. The order of a method speaks of small steps.
# Left, the curve sinks into the grey, since this distance between 32 768 samples cannot tell less. Right, where each sample is compared with its own end, there is no floor, and the order shows.
#
# ### What each was given
#
# The networks have one shape and size, and their weights are counted below. They are not one and the same in all: sCT and sCD have other time features, *faster pre-training* has another learning rate, MusicCM a critic beside it, and CM-DIS two networks with half of the samples each.
#
# Most methods start from data and random weights. Two train a denoiser first, and its samples are counted. Some are told by a **teacher**. Here the teacher is the exact denoiser itself. That is a gift: elsewhere the teacher is a network, whose errors the student inherits and whose training somebody paid for. So the two groups are never ranked together below.

# %% tags=["hide-input", "nbval-check-output"]
lines = ["| method | arXiv | told by | weights | samples seen | of them before |", "|---" * 6 + "|"]
for arm in ENTRIES:
    for role, recipe in recipes_of(ENTRIES[arm], seed=0).items():
        weights, before = sum(p.numel() for p in recipe.build().parameters()), recipe.start.samples if recipe.start else 0
        name = ENTRIES[arm].title + (f" ({role})" if len(ENTRIES[arm].parts) > 1 else "")
        cells = (name, ENTRIES[arm].paper, ENTRIES[arm].teacher or "nothing", f"{weights:,}", f"{recipe.samples:,}", f"{before:,}")
        lines.append("| " + " | ".join(cells) + " |")
Markdown("\n".join(lines))

# %% [markdown]
# ## The method, from its source
#
# ### How one number is made
#
# The same noises for all, so that two methods differ by what they make of them:

# %%
show_source(Generation.__call__)

# %% [markdown]
# ### When one beats another
#
# Three seeds are few. So the rule is a strict one, and it is the rule of all verdicts below: A beats B if the worst run of A is better than the best of B,
#
# $$\max_s\, e_A(s) < \min_s\, e_B(s).$$
#
# A seed draws the weights, the data *and* the noises of the test, the same ones for all methods. So a part of every range is the luck of the test; the range of the floor shows how large a part.
#
# If A and B were equal, A would beat B by chance once in twenty: of the 20 ways to deal six runs into two threes, one puts the best three on A's side. Another puts them on B's side. *Told apart* is two-sided, so it happens to equals once in ten. For a single pair that is acceptable. Among the many pairs of this lab *some* will come out so by luck: take a close win as a hint.

# %%
show_source(beats)

# %%
show_source(unbeaten)

# %% [markdown]
# ### Do the lines belong to the networks?
#
# The networks of seed 0 lie beside the table, in half precision. Asked again, here and now, for their distance to f\*:

# %% tags=["hide-input"]
points = truth(toy.RING)
for arm in present(rows):
    if "f" in ENTRIES[arm].parts and len(ENTRIES[arm].parts) == 1 and weights_of(arm).exists():
        model, _, _ = runs.load(weights_of(arm))
        again = float(rmse_by_level(model, model.process, points).square().mean().sqrt())
        print(f"{ENTRIES[arm].title:26} recorded {score(rows, arm, 'rmse')[0]:.4f}, asked again {again:.4f}")

# %% [markdown]
# For diffusion and for PCM this distance says little: they were not asked to learn f\*. Nor does it for sLCT: its noise is paired with the data (lab 12), so it learns another function.
#
# ## Explore
#
# Two methods on one noise. Circles are the ends of the exact paths, marks are where the network ends, strokes join the two for 60 noises. Hollow circles with a mark inside: it kept the answer of the ODE.
#
# Four things to try. Leave one call, and walk through the methods: which are blurred, which miss? Set *beside it* to CD and choose PCM-4, of four phases: at which number of calls do they change places? Give iCT 4 calls: the cloud is as good as before, so why have the strokes grown long? How many calls until EDM's strokes are as short as those of iCT with one?

# %%
explorer()

# %% [markdown]
# ## The key figure
#
# Error (sliced W₂) against network calls, for every method that makes samples from noise. Thick bars are the range over the seeds; hollow marks were told by the exact denoiser. The thin curve repeats diffusion, and the dashed line carries the single call of the lowest mean over to it. The lowest mean is *a* leader: who is not told apart from it is printed below.

# %% tags=["hide-input"]
groups = {"no teacher": generators(rows, False), "exact teacher": ["exact", *generators(rows, True)]}
students = {told_by: [a for a in arms if by_calls(rows, a)] for told_by, arms in groups.items()}
at = {n: {told_by: {a: by_calls(rows, a)[n] for a in arms} for told_by, arms in students.items()} for n in (1, 2, 4)}
leads = {(n, told_by): unbeaten(found) for n in at for told_by, found in at[n].items()}
one, gift = (leads[1, told_by][0] for told_by in groups)  # lowest means, perhaps not alone
walk, race, tied = by_calls(rows, "edm", "ddim"), at[1]["no teacher"], leads[1, "no teacher"]
beaten, meet = min(worth(walk, race[a])[0] for a in tied), crossing(walk, race[one])
four = leads[4, "exact teacher"]
ahead = f"{ENTRIES[four[0]].title} leads at four" if len(four) == 1 else "nobody leads alone at four"
panels = [
    StudentPanel(f"No teacher: one call of {' or '.join(ENTRIES[a].title for a in tied)} beats\n{beaten} of DDIM; {ENTRIES[one].title}'s mean meets it at {meet:.0f}", students["no teacher"], "edm", one),
    StudentPanel(f"The exact denoiser as a teacher:\n{ahead}", students["exact teacher"], "exact", gift),
]
errors_by_calls(rows, "Diffusion needs small steps", panels)

# %% tags=["hide-input"]
for arm, told_by, ruler in ((one, "no teacher", "edm"), (gift, "exact teacher", "exact")):
    walk, errors = by_calls(rows, ruler, "ddim"), at[1][told_by]
    others = [f"{ENTRIES[a].title} {ranged(errors[a])}" for a in leads[1, told_by][1:]]
    print(f"One call, {told_by}: the lowest mean is that of {ENTRIES[arm].title}, {ranged(errors[arm])}; not told apart: {', '.join(others) or 'none'}.")
    print(f"    {ENTRIES[ruler].title}, DDIM: in 8 calls {ranged(walk[8])}, in 16 {ranged(walk[16])}, in 32 {ranged(walk[32])}.")
    meet = [crossing({n: e[[s]] for n, e in walk.items()}, errors[arm][[s]]) for s in range(len(seeds))]
    print(f"    They meet, seed by seed, at {', '.join('no number tried' if m != m else f'{m:.0f} calls' for m in meet)}.")
at_four = ", ".join(f"{ENTRIES[a].title} {ranged(at[4]['exact teacher'][a])}" for a in four)
print(f"Four calls, exact teacher: {at_four}; the floor is {ranged(floor)}.")

# %% [markdown]
# ### In numbers
#
# Mean over the seeds, with the lowest and the highest; *teacher* is what the method learned from besides data. The calls have sliced W₂, lower is better; *hq* is the share of the samples within three standard deviations of a mode, higher is better, 0.989 for real data.

# %% tags=["hide-input"]
Markdown(few_step_table(rows))

# %% [markdown]
# ### The winner, by calls
#
# By sliced W₂. You may spend at most so many calls a sample. In the race is every method in every number of calls up to that. The lowest mean is a winner only if it beats all others that are left; else those that nobody beats are named beside it.

# %% tags=["hide-input"]
lines = ["| at most | given | the lowest mean | verdict |", "|---" * 4 + "|"]
for most in (1, 2, 4, 17, 35):
    for told_by, arms in groups.items():
        race = candidates(rows, arms, most)
        best, *others = unbeaten(race)
        rest = f"not told apart from {grouped_text(others)}" if others else "**the winner**"
        lines.append(f"| {most} | {told_by} | {grouped_text([best])}: {ranged(race[best])} | {rest} |")
Markdown("\n".join(lines))

# %% [markdown]
# Read down: from how many calls on does the list stay as it is? And where the list is long, think of the floor: methods that lie in the grey need more samples before this distance can tell them apart.
#
# ### Two numbers, two rankings
#
# Sliced W₂ asks whether the cloud as a whole lies where the data lie. Another number asks of each sample by itself: is it within three standard deviations of a mode? A sample in the gap between two modes is one that the law hardly ever makes; moved by a few tenths, it hardly changes the distance. The share of samples that are near is *hq*. For few calls it stands in the table above; here for the long walks of diffusion:

# %% tags=["hide-input"]
exact_share = 1 - np.exp(-4.5)  # of a Gaussian in the plane, within 3 std
luck = np.sqrt(exact_share * (1 - exact_share) / ENTRIES["ict"].asked.n)
print(f"near a mode, of real data: {exact_share:.3f}, and one standard error of {ENTRIES['ict'].asked.n} samples is {luck:.4f}\n")
walks = {"DDIM, 16": ("ddim", 16), "DDIM, 32": ("ddim", 32), "Heun, 17": ("heun", 17), "Heun, 35": ("heun", 35)}
lines = [f"| | | {' | '.join(walks)} |", "|---" * (2 + len(walks)) + "|"]
for words, name in (("hq, near a mode", "hq"), ("sliced W₂", "law")):
    for arm in DIFFUSION:
        cells = [ranged(by_calls(rows, arm, solver, name)[n]) for solver, n in walks.values()]
        lines.append(f"| {words} | {ENTRIES[arm].title} | {' | '.join(cells)} |")
Markdown("\n".join(lines))

# %% [markdown]
# The same race again, run by the share of samples *off* the modes, 1 − hq, so that lower is better as before:

# %% tags=["hide-input"]
lines = ["| at most | given | the lowest mean, off the modes | verdict |", "|---" * 4 + "|"]
for most in (1, 2, 4, 17, 35):
    for told_by, arms in groups.items():
        race = {name: 1 - near for name, near in candidates(rows, arms, most, "hq").items()}
        best, *others = unbeaten(race)
        rest = f"not told apart from {grouped_text(others)}" if others else "**the winner**"
        lines.append(f"| {most} | {told_by} | {grouped_text([best])}: {ranged(race[best])} | {rest} |")
Markdown("\n".join(lines))

# %% tags=["hide-input"]
grey = {name: e for told_by, arms in groups.items() for name, e in candidates(rows, arms, 35).items() if e.mean() <= floor.max()}
near = candidates(rows, [a for arms in groups.values() for a in arms], 35, "hq")
print("In the grey by sliced W₂, on average, and what share of their samples is near a mode:")
for name in sorted(grey, key=lambda name: near[name].mean()):
    print(f"{name:52} {ranged(near[name])}")

# %% [markdown]
# Two numbers, two rankings. Sliced W₂ does not tell iCT and sCT apart at one call; by the other number sCT is ahead, on every seed. It does not tell the two trained diffusion models apart after a long walk; by the other number the one with the curriculum, and with its own learning rate, is ahead. And it puts CD and sCD in the grey, beside real data, while of their samples about one in eleven lies off the modes, against one in ninety of the data. Even a phased network in its own number of calls, ahead of all other students by this number, misses more often than the data do.
#
# The second number is blind elsewhere: eight dots in place of eight clouds would score higher than the data, and a cloud on one mode alone as high. Report both, or say which one you mean. Where nothing is added below, it is sliced W₂.
#
# ### How many calls of diffusion is one call worth?
#
# By sliced W₂, against a diffusion model with the same gift: EDM's trained denoiser for those without a teacher, the exact denoiser for the others. Both solvers count.

# %% tags=["hide-input"]
lines = ["| one call of | error | compared with | it is worth |", "|---" * 4 + "|"]
for told_by, ruler in zip(groups, ("edm", "exact"), strict=True):
    curve = by_calls(rows, ruler, "ddim") | by_calls(rows, ruler, "heun")
    for arm in sorted(at[1][told_by], key=lambda a: failed_as_infinite(at[1][told_by][a]).mean()):
        errors = at[1][told_by][arm]
        lines.append(f"| {ENTRIES[arm].title} | {ranged(errors)} | {ENTRIES[ruler].title} | {worth_text(worth(curve, errors))} |")
Markdown("\n".join(lines))

# %% [markdown]
# ### By seconds and by memory
#
# All trainings of a run in CPU seconds, on one thread, and sliced W₂. In bold: what nothing in its group, with a teacher or without, beats at its price or less.

# %% tags=["hide-input"]
priced = {f"{n} call{'s' * (n > 1)} a sample": at[n]["no teacher"] | at[n]["exact teacher"] for n in (1, 4)}
seconds = {arm: score(rows, arm, "seconds").mean() for arm in priced["1 call a sample"]}
worthy = {title: [a for arms in students.values() for a in front(seconds, {b: found[b] for b in arms})] for title, found in priced.items()}
errors_by_cost(rows, priced, worthy)

# %% tags=["hide-input"]
for title, found in priced.items():
    for told_by, arms in students.items():
        kept = [f"{ENTRIES[a].title} ({seconds[a]:.0f} s, {failed_as_infinite(found[a]).mean():.3f})" for a in worthy[title] if a in arms]
        print(f"{title.removesuffix(' a sample')}, {told_by}: {', '.join(kept)}")
memory = {a: float(score(rows, a, "bytes").mean()) / 1e6 for a in seconds}
most = max(memory, key=memory.get)
print(f"Memory of a training, counted: {min(memory.values()):.1f} to {max(memory.values()):.1f} MB, the most for {ENTRIES[most].title}.")
if "editing" in present(rows):
    twice = [float(score(rows, a, "seconds")[0]) for a in ("ict", "editing")]
    print("How well are seconds known? The entries iCT and editing train one and the same network.")
    print(f"With seed 0 that took {twice[0]:.1f} s and {twice[1]:.1f} s.")

# %% [markdown]
# Seconds depend on the machine and on what else it does. Differences smaller than that of the last line mean nothing. (And the cheapest is in bold however bad it is: there is nothing at its price.) The large ones do: sCT and sCD pay for a derivative along the path in every step of theirs, sLCT for matching noises to data.
# Memory hardly separates them at this size, except where a critic is trained beside the student.
#
# ### Where the error sits
#
# RMS distance to f\* by noise level, for methods that aim at f\*, and for two that do not: EDM's denoiser is another function except where the noise is small, and sLCT's noise is paired with the data, so it learns another function too.

# %% tags=["hide-input"]
shown = [a for a in ("edm", "ct", "ict", "ect", "sct", "cd", "scd", "slct") if a in present(rows)]
off = {arm: by_level(rows, arm).mean(0) for arm in shown}
sigma = points.levels.numpy()
aim = [arm for arm in shown if arm not in OTHER]
flat = [arm for arm in aim if (high := off[arm][sigma > 0.35]).max() < 2 * high.min()]
small = {arm: np.sqrt((off[arm][sigma < 0.05] ** 2).mean()) for arm in shown}
times = [small[a] / small[b] for a, b in (("sct", "ict"), ("scd", "cd"))]
errors_by_level(rows, shown, sigma, f"From σ ≈ 0.35 up {len(flat)} of the {len(aim)} that aim at f* are flat;\nbelow 0.05 the errors of sCT and sCD are {times[0]:.0f} and {times[1]:.0f} times those of iCT and CD")

# %% tags=["hide-input"]
print(f"flat, within a factor of 2: {', '.join(ENTRIES[arm].title for arm in flat)}")
print("RMS to f* at σ = 10           at 0.8    ratio   |   law: two calls / one call")
ratios = {}
for arm in shown[1:]:
    top, low, found = off[arm][-1], np.interp(toy.SIGMA_MID, points.levels, off[arm]), by_calls(rows, arm)
    ratios[arm] = (low / top, found[2].mean() / found[1].mean())
    print(f"{ENTRIES[arm].title:21} {top:5.3f} {low:8.3f} {ratios[arm][0]:8.2f}   | {ratios[arm][1]:8.2f}  {compare(found[2], found[1])}")
print("Do the ratios go together? Rank correlation, and in how many of all orders it is as high:")
for words, out in (("all", ()), ("without sLCT", ("slct",)), ("without CT and sLCT", ("ct", "slct"))):
    rank, chance = rank_correlation(*np.array([pair for arm, pair in ratios.items() if arm not in out]).T)
    print(f"{words:20} {rank:5.2f}, {chance:.1%}")

# %% [markdown]
# What does that say about a second call? It stands at σ = 0.8, so it puts the network's error there in place of the one at 10. Compare the two ratios, line by line: where is the first one small, and where is it above 1?
# They rise together, and mostly because of CT and sLCT, the two ends of the list. Without those two little is left: the order of the others could well be chance, and below 1 the first ratio does not foretell for whom the gain exceeds the spread of the seeds.
#
# In the figure: from σ ≈ 0.35 up, where neighbouring modes run together, the errors of most that aim at f\* are flat. The two methods without a gap, sCT and sCD, stand out at the other end: below σ ≈ 0.05 they are several times further off than iCT and CD. Their network has other time features, so this need not be the missing gap.
#
# ### Used for something else
#
# The same networks, asked another question: one coordinate of a point is measured, guess the other. Its exact law is known, and the score is the mean $W_1$ to it.
# *Editing* uses iCT alone and puts the known coordinate back after each call. *Posterior sampling* uses a denoiser and pulls. With DPS the mean D is compared with the measurement, with CM-DIS, the paper of lab 13, f is. CM-DIS has two networks, with half of the samples each, and a step of it is two calls. The pull of either needs a backward pass through what it compares, which is *not* counted as a call; editing needs none.
#
# The dotted line is the score of not listening at all. What lies above it does harm, as CM-DIS does with 4 calls.

# %% tags=["hide-input"]
asks = [a for a in ("editing", "dps", "cm-dis") if a in present(rows)]
guesses = {a: by_calls(rows, a, name="w1") for a in asks}
least = {n: unbeaten({a: guesses[a][n] for a in asks if n in guesses[a]}) for n in (4, 16, 40)}
said = f"with 40 calls {ENTRIES[least[40][0]].title.split(':')[0]} is nearest" if len(least[40]) == 1 else "nobody leads alone at 40 calls"
posterior_errors(rows, asks, f"A hidden coordinate: {said}")

# %% tags=["hide-input"]
real, blind = score(rows, "truth", "w1", "truth", 0), score(rows, "truth", "w1", "prior", 0)
print(f"floor {ranged(real)}; without listening to the measurement {ranged(blind)}")
for n, best in least.items():
    for a in asks:
        if n in guesses[a]:
            print(f"{n:2d} calls, {ENTRIES[a].title:35} {ranged(guesses[a][n])}{'  not beaten' * (a in best)}{'  worse than not listening' * beats(blind, guesses[a][n])}")

# %% [markdown]
# ## Exercises
#
# ### A · guided: who is not beaten
#
# `scores` is a table: for each name a list of errors, one a seed; lower is better. A beats B if the *worst* error of A is below the *best* of B. A run that failed is `nan`; count it as an infinite error.
# Return the names that no other beats. Before you run the check: can the method with the lowest mean be beaten?


# %% tags=["exercise"]
def not_beaten(scores):
    """The names, in any order, that no other name beats."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.not_beaten(not_beaten)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# First replace each nan by `float("inf")`: `e != e` is true for nan alone. Then, for each name, ask of all the others: is your worst below its best? `any` and `all` do the rest.
#
# </details>

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# ```python
# def not_beaten(scores):
#     judged = {name: [float("inf") if e != e else e for e in errors] for name, errors in scores.items()}
#     beaten = lambda a: any(max(judged[b]) < min(judged[a]) for b in judged)
#     return [name for name in judged if not beaten(name)]
# ```
#
# The lowest mean is never beaten: whoever beat it would have a lower mean still. But it may fail to beat others, and then the mean alone names a winner that nobody has seen win.
#
# </details>

# %% [markdown]
# ### B · on your own: worth its price
#
# `methods` gives for each name a tuple: CPU seconds of its pre-training (0 if it has none), CPU seconds of the rest, and its errors over the seeds.
# A method is worth its price if nothing that costs *as much or less, all counted,* beats it, in the sense of A. Return the names of those, the cheapest first. None of these runs has failed.
#
# Then try it on `price_list`, the methods without a teacher at one call: which does it leave, and would they be the same if a denoiser came for free? (The seconds of a pre-training are taken in proportion to its samples.)

# %% tags=["hide-input"]
price_list = {}
for arm in students["no teacher"]:
    share = score(rows, arm, "pretraining").mean() / score(rows, arm, "samples").mean()
    price_list[ENTRIES[arm].title] = (share * seconds[arm], (1 - share) * seconds[arm], at[1]["no teacher"][arm].tolist())
for name, (before, after, errors) in price_list.items():
    print(f"{name:5} {before:5.1f} s before, {after:5.1f} s after, errors {', '.join(f'{e:.3f}' for e in errors)}")


# %% tags=["exercise"]
def worth_the_price(methods):
    """The names that nothing at their price or less beats, the cheapest first."""
    ...  # your code


# %% tags=["check", "nbval-check-output"]
checks.worth_the_price(worth_the_price)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Two conditions on one and the same rival: its price is not above yours, *and* it beats you. A rival that is only cheaper, or only better, drops nobody. `sorted(names, key=...)` orders.
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
# A dear method that is not told apart from a cheap one stays: it was not beaten. You may still prefer the cheap one. That is a choice about money, not a finding about errors, so it should be said.
#
# </details>

# %% [markdown]
# ## What the paper claims, what you saw
#
# Three seeds each; *shows* needs ranges that do not overlap, in every comparison of the line. Numbers are sliced W₂ to the data, unless said; the last column is the verdict by the other number, the share of samples off the modes, 1 − hq, where lower is better too. Claims in italics are not the papers', or not in this form.

# %% tags=["hide-input"]
law = lambda arm, n, solver="": by_calls(rows, arm, solver)[n]
misses = lambda arm, n, solver="": 1 - by_calls(rows, arm, solver, "hq")[n]  # far from every mode
claims = [
    ("iCT mends CT (1 call)", [("ict", 1, "ct", 1)]),
    ("*distilling, here from the exact denoiser, beats training from data: CD with iCT's loss against iCT, which has more levels; sCD against sCT (1 call)*", [("cd", 1, "ict", 1), ("scd", 1, "sct", 1)]),
    ("no gap beats small gaps: sCT against iCT, sCD against CD (1 call)", [("sct", 1, "ict", 1), ("scd", 1, "cd", 1)]),
    ("two calls beat one (iCT, ECT, sCT)", [("ict", 2, "ict", 1), ("ect", 2, "ect", 1), ("sct", 2, "sct", 1)]),
    ("*four calls beat two (the same)*", [("ict", 4, "ict", 2), ("ect", 4, "ect", 2), ("sct", 4, "sct", 2)]),
    ("phases make calls count: PCM against CD at PCM's own number (2, 4)", [("pcm-2", 2, "cd", 2), ("pcm-4", 4, "cd", 4)]),
    ("*a phased network is best at its own number (2 of 1, 2, 4; 4 of 1, 2, 4)*", [("pcm-2", 2, "pcm-2", 1), ("pcm-2", 2, "pcm-2", 4), ("pcm-4", 4, "pcm-4", 1), ("pcm-4", 4, "pcm-4", 2)]),
    ("sLCT's changes help (1 call); *claimed for latents with outliers, which the ring has not*", [("slct", 1, "ict", 1)]),
    ("MusicCM's critic helps (1 and 4 calls); *here against the same without it, on points in place of sound*", [("musiccm", n, "musiccm-plain", n) for n in (1, 4)]),
]

# %% tags=["hide-input"]
lines = ["| claim | measured here | verdict | by the share off the modes |", "|---" * 4 + "|"]
for words, duels in claims:
    if {arm for duel in duels for arm in duel[::2]} <= set(present(rows)):
        found = "; ".join(f"{ENTRIES[a].title} at {n}: {ranged(law(a, n))}, {ENTRIES[b].title} at {m}: {ranged(law(b, m))}" for a, n, b, m in duels)
        lines.append(f"| {words} | {found} | {verdict([(law(a, n), law(b, m)) for a, n, b, m in duels])} | {verdict([(misses(a, n), misses(b, m)) for a, n, b, m in duels])} |")
    else:
        lines.append(f"| {words} | not recorded yet | | |")
Markdown("\n".join(lines))

# %% tags=["hide-input"]
lines = ["| claim | measured here | verdict | by the share off the modes |", "|---" * 4 + "|"]
spent = {"ect": score(rows, "ect", "seconds"), "ict": np.concatenate([score(rows, a, "seconds") for a in ("ict", "editing") if a in present(rows)])}
lines.append(f"| ECT is cheaper than iCT; *here at equal samples, in CPU seconds; iCT timed twice a seed* | ECT {ranged(spent['ect'], '.0f')}, iCT {ranged(spent['ict'], '.0f')} | {verdict([(spent['ect'], spent['ict'])])} | |")
lines.append(f"| … and no worse (1 call) | ECT {ranged(law('ect', 1))}, iCT {ranged(law('ict', 1))} | {'does not show at this size: higher' if compare(law('ict', 1), law('ect', 1)) == 'lower' else compare(law('ect', 1), law('ict', 1))} | {compare(misses('ect', 1), misses('ict', 1))} |")
faster, fewer = ([(number("edm-fast", n, way), number("edm", n, way)) for n, way in ((32, "ddim"), (35, "heun"))] for number in (law, misses))
lines.append(f"| the curriculum speeds diffusion training up; *here: a lower error at equal samples, DDIM in 32 calls and Heun's method in 35, and with another learning rate (lab 14 compares at one base rate)* | {'; '.join(f'{ranged(a)} against {ranged(b)}' for a, b in faster)} | {verdict(faster)} | {verdict(fewer)} |")
if {"dps", "cm-dis"} <= set(asks):
    shown_f = [(guesses["cm-dis"][n], guesses["dps"][n]) for n in (16, 40)]
    lines.append(f"| comparing f with the measurement beats comparing D (CM-DIS against DPS: W₁, 16 and 40 calls); *claimed for operators that are not linear, this one is* | {'; '.join(f'{ranged(a)} against {ranged(b)}' for a, b in shown_f)} | {verdict(shown_f)} | |")
if "editing" in asks:
    lines.append(f"| a consistency model can edit without being trained to (W₁ at 40 calls against the prior's) | {ranged(guesses['editing'][40])} against {ranged(blind)}; floor {ranged(real)} | {verdict([(guesses['editing'][40], blind)])}; the floor is {'not reached' if beats(real, guesses['editing'][40]) else 'reached'} | |")
Markdown("\n".join(lines))

# %% [markdown]
# ### What this ranking is not
#
# - **One law, in the plane.** The ring has no outliers, no classes, and no detail finer than a mode. What was invented for images, latents or sound has little to mend here.
# - **One size of network, one budget.** 111 938 weights and a million samples. A method that needs longer, or a teacher's start, is judged before its time.
# - **Settings tuned at this size**, on other seeds, some methods more than others (`docs/settings.md` says how). A careful hand moves a method by more than a place in this table.
# - **An exact teacher** has no errors to pass on. From a trained one a student learns that network's errors as well.
#
# So take the *form* of the answer with you, calls, seconds, what was given, ranges, and make the table again for your own data.
#
# ## Budget

# %% tags=["hide-input"]
made = [row for row in rows if row["samples"]]
spaced = lambda n: f"{n:,}".replace(",", " ")
print("While you waited: no training; the networks of seed 0 were asked again, 6144 points each.")
print(f"Recorded: {len(made)} runs with {spaced(sum(row['samples'] for row in made))} samples in all, {spaced(sum(row['pretraining'] for row in made))} of them in pre-trainings; {sum(row['seconds'] for row in made):.0f} CPU seconds.")
print("Remake it: cmlab bench --again")

# %% [markdown]
# Run All takes 14 seconds on 2 CPU cores.
#
# Three lines to take with you: the number of calls is part of a method, and so is the number by which it was judged: ask for the column before you ask for the winner. A teacher and a pre-training are part of the bill. And where ranges overlap there is no winner, only a wish.
#
# **Next:** your own data. The [list of labs](../labs/README.md) says where to look each method up.
