# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "07"
#   title: Degrees of automation
#   minutes: 85
#   express: 45
#   needs: ["05"]
#   ideas: [who decides and who sees what, a threshold from costs and measured risk, people are a queue, trust that can be taken back]
#   topics: [automation]
# ---

# %% [markdown]
# # Degrees of automation: who decides, and how far to trust a model
#
# > **People are right in 85 % of the cases, a model in 90 %. People who see its suggestion and then decide are right in 84 %: worse than either alone.** (A constructed demonstration:
# > its errors are persuasive. If people followed good and bad advice alike, 70 % of each, they would reach 88.5 %, still less than the model.)
#
# "The model helps, a person decides" sounds like the safe choice. It is one of five, and each has its own way to go wrong. This lesson moves a service from people only to full automation,
# one degree at a time, and back when the light goes out.

# %% [markdown]
# ## What you will do
#
# In 85 minutes (about 22 of reading and running, 63 of exercises) you will
#
# - **a** tell five degrees of automation apart: who decides, and who sees what,
# - **b** compute how good a person with a model is, and why that can be worse than both,
# - **c** choose from which confidence on a model may decide: from its measured errors, from costs, and beyond luck,
# - **d** count the people behind it: a queue that fills moves the cheapest threshold,
# - **e** read what a shadow run has shown, and write a policy that steps down in time.
#
# You need scikit-learn and lesson 05 (load and waiting). **Express, 45 minutes:** *Better together?*, *Five degrees* with exercise 7.1, *What does a doubt cost?* with exercise 7.4,
# *Turn the
# dial*, and *The week* with exercise 7.8. Run the cells between them too.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("07", edition=2)

# %% [markdown]
# ## Better together?
#
# Two who err independently. Where they agree nothing changes. Where they differ, the person has to guess who is right: they follow a suggestion that is right with probability
# `follow_right`, one that is wrong with `follow_wrong`. **People 85 %, model 90 %, and both numbers are 0.7. How often is the pair right?**

# %%
lesson.predict("right together, %", ...)  # 0 to 100

# %%
from mlprod_helpers.automation import joint_accuracy

together = joint_accuracy(human=0.85, model=0.90, follow_right=0.7)
lesson.recall("right together, %", round(100 * together, 1))

# %% [markdown]
# Between the two. And if wrong suggestions come with a convincing story, while right ones are dull?

# %%
persuaded = joint_accuracy(0.85, 0.90, follow_right=0.5, follow_wrong=0.95)
print(f"errors persuade: {persuaded:.1%}")

# %% [markdown]
# Below both. That is the figure at the top. The formula is short, so do not take its word for it: 100,000 cases, one by one.

# %%
import numpy as np
import pandas as pd

from mlprod_helpers.automation import Assistance, Reviewers, simulate_triage

rng = np.random.default_rng(7)
n = 100_000
pairs = pd.DataFrame(
    {"seconds": 60.0 * np.arange(n), "confidence": np.ones(n), "model_right": rng.random(n) < 0.90}
)
team = Reviewers(3, error=0.15, follow_right=0.5, follow_wrong=0.95)
found = simulate_triage(pairs, Assistance(), team, random_state=0)
print(f"simulated: {1 - found.error_rate:.1%}")

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

wrong = np.linspace(0, 1, 101)
fig, ax = plots.figure(size=(7.4, 3.4))
for right, color in ((0.9, plots.GREEN), (0.7, plots.BLUE), (0.5, plots.RED)):
    line = [100 * joint_accuracy(0.85, 0.90, right, each) for each in wrong]
    ax.plot(100 * wrong, line, color=color)
    ax.annotate(f"good ones: {right:.0%}", (1, line[0] + 0.35), color=color, fontsize=9)
for level, name in ((85, "person alone"), (90, "model alone")):
    ax.axhline(level, color=plots.GREY, linewidth=1, linestyle="--")
    ax.annotate(name, (99, level + 0.25), ha="right", fontsize=9)
ax.set(xlabel="wrong suggestions that are followed (%)", ylabel="right together (%)", ylim=(80, 100))
show(
    fig,
    alt="Three falling lines: right together over the share of wrong suggestions that are followed. Who follows 90 % of the good ones "
    "starts at 97 % and ends at 89 %, with 70 % it is 94 to 86 %, with 50 % 92 to 83 %. All of them cross the model's own 90 % on the way.",
)

# %% [markdown]
# Each line is a share of *good* suggestions that are followed. All depends on one skill: **to know when not to follow**. It is rarely there. Vaccaro, Almaatouq and Malone (2024) put
# together 106 studies with 370 effects: on average, people with a
# model did *worse* than the better of the two alone (g = −0.23, in standard deviations). Teams gained where people alone were better than the model, and lost where the model was.
#
# **A worked example before you write your own.** What if a coin decides wherever the two differ? Three shares are enough: both are right, only the model, only the person.


# %%
def coin(both, model_only, human_only):
    """How often is the pair right if a coin decides where they differ?"""
    return both + 0.5 * (model_only + human_only)


both, model_only, human_only = 0.85 * 0.90, 0.15 * 0.90, 0.85 * 0.10
print(f"by a coin: {coin(both, model_only, human_only):.3f}")

# %% [markdown]
# The shares need not come from independent errors: count them in your own log. (Usually both fail on the same hard cases.) The rest, neither right, stays wrong.
#
# Where you can only observe one thing, observe how often people *change* a suggestion, and how often they were right to.
#
# ## Five degrees

# %%
from mlprod_helpers.automation import who_does_what

who_does_what()

# %% [markdown]
# From top to bottom people decide less. Two differ from what their names suggest. In **shadow** the model's answers go to a log, nobody sees them: nothing can go wrong, and the comparison
# is fair. In **assistance** a person decides each case, on paper; in practice, the suggestion pulls.
#
# ### Exercise 7.1 · Which degree?
# *Core · 4 points · 5 minutes*
#
# Eight services. Name the degree of each.

# %% exercise="7.1"
### BEGIN SOLUTION
degrees = {
    "silent": "shadow",
    "spam": "full",
    "xray": "assistance",
    "sorting": "partial",
    "button": "assistance",
    "rules": "human only",
    "audited": "full",
    "blind": "shadow",
}
### END SOLUTION

# %% check="7.1"
lesson.check("7.1")

# %% [markdown]
# ### Exercise 7.2 · Better together?
# *3 points · 6 minutes*
#
# Write `joint(both, model_only, human_only, follow_right, follow_wrong)`: how often the pair is right. The first three are shares of all cases (both right, only the model, only the person); the rest of the cases,
# in which neither is right, stays wrong. `follow_right` and `follow_wrong` are how often the person takes the suggestion where only the model is right, and where only the person is. Return a share from 0 to 1, not rounded.


# %% exercise="7.2"
def joint(both, model_only, human_only, follow_right, follow_wrong):
    """How often a person who sees the suggestion is right."""
    ### BEGIN SOLUTION
    return both + model_only * follow_right + human_only * (1 - follow_wrong)
    ### END SOLUTION


# %% check="7.2"
lesson.check("7.2")

# %% [markdown]
# ## The inspection
#
# A shop sorts clothes by photographs, ten classes. 500 images train a forest, 500 others will teach it how sure it may be, 500 more are held out: nobody has looked at them.

# %%
from sklearn.ensemble import RandomForestClassifier

from mlprod_helpers.datasets import load_fashion

images, labels = load_fashion()
order = np.random.default_rng(2).permutation(len(labels))
train, tune, held = order[:500], order[500:1000], order[1000:]


def flat(images):
    """One row an image."""
    return images.reshape(len(images), -1)


forest = RandomForestClassifier(200, random_state=0).fit(flat(images[train]), labels[train])


def sure_and_right(images, labels):
    """The forest's own confidence in its answer, and whether the answer is right."""
    p = forest.predict_proba(flat(images))
    return p.max(axis=1), forest.classes_[p.argmax(axis=1)] == labels


raw, right = sure_and_right(images[tune], labels[tune])
print(f"it says {raw.mean():.0%} on average, and is right in {right.mean():.0%}")

# %% [markdown]
# A forest's confidence is a share of trees, not a probability of being right. This one is too modest. **Calibration** learns what the number means, on cases that were not trained on: a
# logistic fit from the confidence (its logit, ln(c / (1 − c))) to "was it right?".

# %%
from sklearn.linear_model import LogisticRegression


def logit(c):
    """ln(c / (1 - c)), as a column."""
    c = np.clip(c, 0.01, 0.99)
    return np.log(c / (1 - c))[:, None]


meaning = LogisticRegression(C=1e6).fit(logit(raw), right)


def calibrated(raw):
    """What the forest's confidence means."""
    return meaning.predict_proba(logit(raw))[:, 1]


raw, correct = sure_and_right(images[held], labels[held])
confidence = calibrated(raw)
print(f"held out: says {confidence.mean():.0%}, right in {correct.mean():.0%}")

# %% [markdown]
# Roughly honest on average (500 cases leave a standard error of 2 points). Now partial automation: the model decides where its confidence reaches a **threshold**. Two numbers say what
# that does.
# **Coverage** is the share of all cases that are automated, **risk** the share of wrong ones *among these*. Both for all thresholds:

# %%
from mlprod_helpers.automation import risk_coverage

curve = risk_coverage(confidence, correct)
curve.plot(max_risk=0.05)

# %% [markdown]
# The less you automate the better it gets, since the model knows where it is unsure. The left end is noisy: the risk of twenty cases jumps by 5 points with one error. The light band says
# how large the true risk may be. We come back to it.
#
# <details><summary>Stretch: one number for the whole curve</summary>
#
# AURC, the area under this curve, is the mean risk over all coverages. A model whose confidence is worthless has the AURC of its error rate: its curve is flat. `curve.aurc` has it.
#
# </details>
#
# ### Exercise 7.3 · How many can it take?
# *4 points · 7 minutes*
#
# Write `coverage_at(confidence, correct, max_risk)`: the largest share of the cases that can be automated by *some* threshold with a measured risk of at most `max_risk`.
#
# - `confidence` is an array of one or more numbers, in any order and of any size. `correct` is an array of True and False of the same length.
# - A case is automated when its confidence is at least the threshold, so equal confidences go together.
# - A risk of exactly `max_risk` is allowed. If no threshold keeps it, return 0.


# %% exercise="7.3"
def coverage_at(confidence, correct, max_risk):
    """The largest share of cases that is automated at a risk of at most max_risk."""
    ### BEGIN SOLUTION
    best = 0.0
    for threshold in np.unique(confidence):
        taken = confidence >= threshold
        if (~correct[taken]).mean() <= max_risk:
            best = max(best, float(taken.mean()))
    return best
    ### END SOLUTION


# %% check="7.3"
lesson.check("7.3")

# %% [markdown]
# ## What does a doubt cost?
#
# Which risk is low enough? Ask what things cost. Say a wrong decision costs 20, a person's look at a case 1, and people are never wrong. A case left to the model costs 20 × (1 −
# confidence) on average. It is worth asking as soon as that exceeds 1: **below a confidence of 1 − 1/20 = 0.95**. This is Chow's rule (1970).
#
# It can be computed by hand for the simplest model: a calibrated one whose probability of "yes" is uniform from 0 to 1. With d = cost of a look / cost of an error, it asks in 1 − 2d of the
# cases and is wrong in d² of all. **For d = 0.1: in what percentage of all cases does it decide and err?**

# %%
lesson.predict("automated and wrong, % of all cases", ...)  # 0 to 100

# %%
from mlprod_helpers.automation import chow_threshold, uniform_cases

cases = uniform_cases(1 / 60, n=200_000, random_state=0)
sure = cases["confidence"] >= chow_threshold(cost_error=10, cost_human=1)
wrong = ~cases["model_right"]
lesson.recall("automated and wrong, % of all cases", round(100 * float((sure & wrong).mean()), 1))

# %%
print(f"asks in {(~sure).mean():.1%} of the cases (closed form {1 - 2 * 0.1:.1%})")
aurc = risk_coverage(cases["confidence"], cases["model_right"]).aurc
print(f"AURC {aurc:.3f} (closed form {1 / 8})")

# %% [markdown]
# All of it rests on calibration: 0.95 has to *mean* 95 %. And people are wrong, too: if they err in 5 %, the threshold falls to 1 − 1/20 − 0.05 = 0.90. This 5 % must be their error on the cases near the threshold, not their average:
# where the model doubts, cases are often hard for people as well. If they err in 15 % of those, the threshold is 0.80.
#
# ### Exercise 7.4 · Chow's rule
# *Core · 4 points · 6 minutes*
#
# Write `decide(p, cost_error, cost_human)`: `p` is an array of probabilities of "yes" (calibrated, from 0 to 1). Return an array or list with "yes", "no" or "ask" for each, whatever is cheapest on average. People are
# never wrong here. Where two are equally cheap, either will do.


# %% exercise="7.4"
def decide(p, cost_error, cost_human):
    """Yes, no or ask, for each p."""
    ### BEGIN SOLUTION
    expected_loss = np.minimum(p, 1 - p) * cost_error
    return np.where(expected_loss > cost_human, "ask", np.where(p >= 0.5, "yes", "no"))
    ### END SOLUTION


# %% check="7.4"
lesson.check("7.4")

# %% [markdown]
# ## People are a queue
#
# "Ask a person" assumes that one is free. 150 cases an hour arrive; a look takes a minute on average; what the model does not take goes to the reviewers. The five degrees on the
# same cases with the same luck, three reviewers, wrong in 5 % when rested and in 10 % when they never rest, easily persuaded as above; a case that waits an hour costs 1:

# %%
from mlprod_helpers.automation import Costs, compare_degrees, ladder
from mlprod_helpers.queueing import Exponential

HOUR = 3600
day = uniform_cases(150 / HOUR, duration=100 * HOUR, random_state=1)
three = Reviewers(3, Exponential(60), error=0.05, fatigue=0.05, follow_right=0.5, follow_wrong=0.95)
costs = Costs(error=20, review=1, delay=1)
found = compare_degrees(day, ladder(0.9), three, costs, random_state=0)
found.table[["coverage", "error_rate", "load", "mean_backlog", "cost"]].round(2)

# %% [markdown]
# Assistance is dearer than people alone: this model is right in 75 % only, and it persuades. Partial automation wins, and full automation is out of the question. (A constructed model:
# uniform confidence from 0.5.)
#
# ### Turn the dial
#
# Threshold, reviewers, fatigue. **First guess: with one reviewer in place of three, does the cheapest threshold go up or down, and does it stay near Chow's 0.90?**

# %%
from mlprod_helpers.explore import automation_explorer

automation_explorer(costs=costs)

# %% [markdown]
# With one reviewer, Chow's 0.90 leaves 120 cases an hour to somebody who can do 60: the backlog grows without end. The cheapest threshold falls to about 0.7. More errors, but decisions.
# With three reviewers, tired people (5 points of fatigue) move it too, from 0.89 to about 0.84. A threshold belongs to a team, not to a model.
#
# ### Exercise 7.5 · The queue answers
# *5 points · 8 minutes*
#
# Write `cheapest(confidence, correct, rate, count)`: the threshold at which a case costs least once the queue has settled. Cases whose confidence is at least the threshold are automated.
#
# - `confidence` and `correct` are arrays of measured cases. The confidence may be wrong: count `correct`.
# - `rate` is in cases a second, before anything is automated, and `count` is the number of reviewers. A look takes 60 seconds on average (exponential).
# - People are wrong in 5 %, on every kind of case, and do not tire.
# - An error costs 20 whoever makes it, a look 1, and an hour of delay (waiting and the look) 3.
#
# Within 5 % of the best cost is enough. `cost_curve` of `mlprod_helpers.automation` or the queue of lesson 05 (`mgc` in `mlprod_helpers.queueing`) will help.


# %% exercise="7.5"
def cheapest(confidence, correct, rate, count):
    """The threshold that costs least."""
    ### BEGIN SOLUTION
    from mlprod_helpers.automation import Costs, Reviewers, cost_curve
    from mlprod_helpers.queueing import Exponential

    people = Reviewers(count, Exponential(60), error=0.05)
    curve = cost_curve(confidence, correct, rate, people, Costs(error=20, review=1, delay=3))
    return float(curve["cost"].idxmin())
    ### END SOLUTION


# %% check="7.5"
lesson.check("7.5")

# %% [markdown]
# ## What a shadow run has shown
#
# Before a model may decide anything, it runs in shadow. After a month somebody reports this:

# %%
from mlprod_helpers.automation.shadow_log import draw_shadow

log, mix = draw_shadow(np.random.default_rng(3), n=4000)
log.head(4)

# %%
agree = (log["human"] == log["prediction"]).mean()
print(f"The model agrees with our people in {agree:.0%} of the cases. Let us switch it on!")

# %% [markdown]
# Three things are wrong with that number. Some people saw the score (`saw`), so it was no shadow for them. Most cases were easy ones, while production's mix is another. And people are not
# the truth: model and person may fall into the same trap. The truth, `label`, comes weeks later and is NaN until then.

# %%
blind = log[~log["saw"]]
for who, rows in {"saw the score": log[log["saw"]], "blind": blind}.items():
    print(f"{who}: agree in {(rows['human'] == rows['prediction']).mean():.0%}")
known = blind[blind["label"].notna()]
both_wrong = (known["human"] != known["label"]) & (known["prediction"] == known["human"])
print(f"blind, agreeing and both wrong: {both_wrong.mean():.1%}")
print("mix of production:", {kind: round(share, 2) for kind, share in mix.items()})
print("mix of the run:", log["kind"].value_counts(normalize=True).round(2).to_dict())

# %% [markdown]
# ### Exercise 7.6 · Repair a shadow report
# *5 points · 8 minutes*
#
# Write `report(log, mix)`: how often the *model* is right in the blind cases whose truth is known. `log` has the columns above, and each kind has such cases. Return a dict of shares with "easy", "hard", "new" (by `kind`), and "all": the
# three weighted by production's `mix`, a dict of shares by kind. Do not round.


# %% exercise="7.6"
def report(log, mix):
    """How often the model is right: by kind, and in production's mix."""
    ### BEGIN SOLUTION
    rows = log[~log["saw"] & log["label"].notna()]
    right = (rows["prediction"] == rows["label"]).groupby(rows["kind"]).mean()
    found = {kind: float(share) for kind, share in right.items()}
    return found | {"all": sum(mix[kind] * found[kind] for kind in mix)}
    ### END SOLUTION


# %% check="7.6"
lesson.check("7.6")

# %% [markdown]
# A shadow run earns a degree *for the kinds of cases that it has seen often enough*. The model may take the easy ones.
#
# ## The light goes out
#
# Back to the inspection, with the threshold 0.90 on the calibrated confidence. The camera's lamp dies: `gain` is what is left of its light. The model still names a confidence. **A
# quarter of
# the light is left. What percentage of the automated answers is wrong?**

# %%
lesson.predict("wrong among the automated at gain 0.25, %", ...)  # 0 to 100

# %%
from mlprod_helpers.automation import operating_point
from mlprod_helpers.faults import ImageGain, apply

points = {}
for gain in (1, 0.5, 0.4, 0.3, 0.25):
    photos = images[held] if gain == 1 else apply(images[held], ImageGain(gain))[0]
    raw, right = sure_and_right(photos, labels[held])
    points[gain] = operating_point(calibrated(raw), right, 0.90)
lesson.recall("wrong among the automated at gain 0.25, %", round(100 * points[0.25].risk))

# %%
table = pd.DataFrame(points, index=["threshold", "coverage", "risk", "bound"]).T
table[["coverage", "risk", "bound"]].rename_axis("gain").round(2)

# %% [markdown]
# Half of them, and a quarter of all cases is still automated. The confidence kept its number and lost its meaning: calibration is learned on the light that there was. (Four other
# splits gave 29 to 70 %. All break a floor of 5 %.) And note that coverage fell, long before: it is a metric that needs no label.
#
# The column `bound` is the risk that 500 cases cannot exclude (95 %). At full light 4 % were wrong, and it might be 8 %.
#
# ### Exercise 7.7 · Safe, or lucky?
# *5 points · 9 minutes*
#
# Write `safe_threshold(confidence, correct, max_risk)`: a threshold for which the risk is at most `max_risk` *beyond luck*, not only in this sample; as low as you can. Return 2.0 if no
# threshold is safe. With 12 cases none is, even if all of them are right.
#
# It is tried on many samples of about 1,000 cases with 25 different confidences, and its risk is taken on fresh cases. At most a quarter of the thresholds may break the floor. It must not be timid either: if the model is honest, it
# automates on average at least 5 % of the cases for a floor of 10 %, and 35 % for a floor of 20 %. In one kind of sample the model is wrong 2.5 times as often as it says. A tool: `upper_bound(errors, n)`, the 95 % bound.

# %%
from mlprod_helpers.automation import upper_bound

for errors, n in ((0, 12), (0, 60), (0, 300), (3, 300)):
    print(f"{errors} errors of {n}: the true rate may be up to {upper_bound(errors, n):.1%}")


# %% exercise="7.7"
def safe_threshold(confidence, correct, max_risk):
    """As low a threshold as is safe beyond luck."""
    ### BEGIN SOLUTION
    lowest = 2.0
    for threshold in np.arange(0.98, 0.5, -0.01):  # from the strictest on
        taken = confidence >= threshold
        n, errors = int(taken.sum()), int((~correct[taken]).sum())
        if n < 100:
            continue  # too few to tell, whatever they show
        if upper_bound(errors, n) > max_risk:
            break  # the first that fails ends the row: no picking among many
        lowest = float(threshold)
    return lowest
    ### END SOLUTION


# %% check="7.7"
lesson.check("7.7")

# %% [markdown]
# ## The week
#
# A safe threshold is safe on cases like those it was chosen on. Who notices when they are no longer like these? Labels come too late. Brightness tells that something is different, not that
# the model is wrong. There is one more source: **audits**. Let people judge a share of the *automated* cases, blind. Their **disagreements** come within minutes.
#
# Three weeks of 168 hours, 150 cases an hour on average, more at noon, three reviewers who tire. In each something happens on Tuesday or Wednesday:
#
# | week | brightness | the model |
# | --- | --- | --- |
# | dying lamp | falls | gets worse over one or two days, and less confident |
# | dark season | falls a little | as good as ever |
# | new range | as ever | sure and wrong on articles it has never met |
#
# Every two hours a policy is asked: `policy(observation, memory)` returns `((degree, threshold, audit_share), memory)`. `memory` is a dict of plain data, `{}` at first. What it is told,
# after two hours with an audit
# of a tenth:

# %%
from mlprod_helpers.automation.photo_week import WEEKS, draw_week, run_week, score_week

told = []


def keep_going(observation, memory):
    """Always the same, whatever happens."""
    told.append(observation)
    return ("partial", 0.9, 0.1), memory


dice = np.random.default_rng(0)
weeks = {kind: draw_week(dice, kind) for kind in WEEKS}
runs = {kind: run_week(keep_going, cases) for kind, cases in weeks.items()}
pd.Series(told[6]).round(1).to_dict()

# %%
runs["dying lamp"].plot(max_risk=0.15)

# %%
pd.DataFrame({kind: score_week(run) for kind, run in runs.items()}).T.round(2)

# %% [markdown]
# Never stepping down breaks the floor in two of three weeks. Never trusting breaks nothing, and the people drown:

# %%
people_only = {
    kind: score_week(run_week(lambda observation, memory: (("human only", 1, 0), memory), cases))
    for kind, cases in weeks.items()
}
pd.DataFrame(people_only).T.round(2)

# %% [markdown]
# ### Exercise 7.8 · A week with a dying lamp
# *Core · 8 points · 15 minutes*
#
# Write `policy(observation, memory)`, which returns `((degree, threshold, audit_share), memory)`:
#
# - `observation` is a dict: `hour`, `cases`, `automated`, `backlog`, `audits` and `disagreements` (of the last two hours), `brightness` (their mean, or None without a case).
# - `degree` is "human only", "shadow", "assistance", "partial" or "full". `threshold` counts for "partial" only. `audit_share` is a share from 0 to 1 of the automated cases.
# - `memory` is yours: a dict of plain data, `{}` at first. You may change it or return a new one.
#
# One week of each kind is drawn anew. *Dying lamp* and *new range*: at most 800 wrong decisions by the model, and at most 15 % wrong among what it decides in the last 36 hours (nothing, if it decides nothing).
# *Dark season*, in which nothing is wrong: a case costs at most 2.40, and in no hour do more than 150 wait on average. If a limit other than the last is broken, the answer earns a quarter of the points at most.
# Rehearse: `score_week(run_week(policy, weeks["new range"]))`.


# %% exercise="7.8"
def policy(observation, memory):
    """((degree, threshold, audit share), memory)

    The degree is "human only", "shadow", "assistance", "partial" or "full".
    """
    ### BEGIN SOLUTION
    # the last 16 hours of audits: enough to tell 25 % from the usual 10 to 15 %
    recent = [*memory.get("recent", []), (observation["audits"], observation["disagreements"])][-8:]
    audits = sum(pair[0] for pair in recent)
    against = sum(pair[1] for pair in recent)
    down = memory.get("down", False) or (audits >= 40 and against > 0.26 * audits)
    memory = {"recent": recent, "down": down}  # once down, stay down: a person decides about the way up
    return (("human only", 1.0, 0.0) if down else ("partial", 0.9, 0.12)), memory
    ### END SOLUTION


# %% check="7.8"
lesson.check("7.8")

# %% [markdown]
# Going up takes a shadow run and a decision; going down takes a rule that nobody has to argue about at night. (Stepping down needs people: three of them cannot take all 150 cases an hour at
# noon without a queue. Keep that number in the plan.)
#
# ## What you have seen
#
# | degree | who decides | how it goes wrong | what to watch |
# | --- | --- | --- | --- |
# | human only | people | they tire, the queue grows | load, backlog |
# | shadow | people, blind | agreement taken for accuracy | accuracy by kind, on late truth |
# | assistance | people who have seen the suggestion | persuasive errors | how often suggestions are changed, rightly |
# | partial | the model where it is sure | confidence loses its meaning; the queue | coverage, risk with its bound, audits |
# | full | the model | nobody looks | audits, the metrics of lesson 08 |
#
# | here | elsewhere |
# | --- | --- |
# | `Partial(threshold)`, coverage, risk | selective prediction, reject option; MAPIE controls risk; scikit-learn: `CalibratedClassifierCV`, `TunedThresholdClassifierCV` |
# | `Shadow()` | traffic mirroring in Argo Rollouts and Flagger (lesson 06); MLflow keeps the two versions |
# | audits and disagreements over time | river: drift detectors such as ADWIN on the stream of disagreements (lesson 03) |
# | risk without labels, from confidence | nannyml: CBPE, with the same need of calibration; evidently: reports on current and reference |
# | coverage, backlog, disagreements as alarms | Prometheus rules with `for` (lesson 08) |
# | step down | circuit breaker, kill switch, human fallback |
#
# **Left out on purpose:** how people learn which suggestions to trust (explanations help less than hoped), learning to defer (a model trained for its reviewers), law on decisions about
# people, and the way back up after a repair (a shadow run again).
#
# **Sources.** M. Vaccaro, A. Almaatouq, T. Malone, *Nature Human Behaviour* 8, 2024, doi 10.1038/s41562-024-02024-1. R. Parasuraman, T. B. Sheridan, C. D. Wickens, *IEEE Trans. SMC A*
# 30, 2000 (levels of
# automation). C. K. Chow, *IEEE Trans. Information Theory* 16, 1970. R. El-Yaniv, Y. Wiener, *JMLR* 11, 2010. A. N. Angelopoulos et al., *Learn then test*, arXiv 2110.01052. C. J.
# Clopper, E. S. Pearson, *Biometrika* 26, 1934.
# Images: Fashion-MNIST, Zalando. All weeks, reviewers and costs are constructed.

# %%
lesson.progress()
