# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "07"
#   title: Degrees of automation
#   express: {sections: ["Better together?", Five degrees, When to ask a person, When people are busy, The week], exercises: ["7.1", "7.4", "7.8"]}
#   needs: ["05"]
#   ideas: [who decides and who sees what, a threshold from costs and measured risk, people are a queue, trust that can be taken back]
#   topics: [automation]
# ---

# %% [markdown]
# # Degrees of automation: who decides, and how far to trust a model
#
# > **People are right in 85% of the cases, and a model in 90%. But people who see its suggestion and then decide are right in 84%, which is worse than either alone.**
#
# In this made-up example, people follow wrong suggestions more often than right ones. You choose among five degrees of automation, and see how each can go wrong.

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** tell five degrees of automation apart: who decides, and who sees what,
# - **b** compute how often a person with a model is right, and explain why that can be worse than either alone,
# - **c** choose how confident a model must be to decide alone, given its errors and the costs,
# - **d** take into account that people have limited time and cases have to wait,
# - **e** judge the results of a trial run, and write a policy that reduces automation in time.
#
# You need scikit-learn and lesson 05. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# Run all cells, even in skipped sections.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("07", edition=2)

# %% [markdown]
# ## Better together?
#
# A person and a model judge the same case independently. If their answers differ, the person may follow the model. `follow_right` is how often people do so when the model is
# right, and `follow_wrong` when it is wrong.
#
# Suppose first that both numbers are 0.7. **People alone are right in 85% of the cases, and the model in 90%. In what percentage of the cases is the pair right?**

# %%
lesson.predict("right together, %", ..., choices=[85, 88, 90, 95])  # 0 to 100

# %%
from mlprod_helpers import automation

alike = automation.joint_accuracy(human=0.85, model=0.90, follow_right=0.7, follow_wrong=0.7)
lesson.recall("right together, %", round(100 * alike, 1))

# %% [markdown]
# Now suppose that people follow 95% of the wrong suggestions, but only half of the right ones:

# %%
persuaded = automation.joint_accuracy(0.85, 0.90, follow_right=0.5, follow_wrong=0.95)
print(f"right together: {persuaded:.1%}")

# %%
from mlprod_helpers.automation import pictures

pictures.together(0.85, 0.90, claimed=(0.5, 0.95))

# %% [markdown]
# The pair beats the model only if people know when *not* to follow it. Vaccaro, Almaatouq and Malone (2024) analyzed 106 studies. On average, people with a model did *worse*
# than the better of the two alone. They did worse in decision tasks, as here, but better at creating content.
#
# *Change this and run again:* set `follow_right=0.9` and `follow_wrong=0.5` in the cell before the figure. Is the pair now better than either alone?
#
# <details><summary>A worked example: a coin decides where the two differ</summary>
#
# You need only three shares of the cases: both are right, only the model is right, or only the person is right. Below, we compute them from 0.85 and 0.90, as if person and
# model made their mistakes independently. In practice, count the shares in your own log. Then the result is also correct when person and model often fail on the same hard cases.
#
# </details>


# %% collapsed=true
# The pair with a coin
def coin(both, model_only, human_only):
    """How often is the pair right if a coin decides where they differ?"""
    return both + 0.5 * (model_only + human_only)


both, model_only, human_only = 0.85 * 0.90, 0.15 * 0.90, 0.85 * 0.10
print(f"by a coin: {coin(both, model_only, human_only):.3f}")

# %% [markdown]
# ## Five degrees

# %%
automation.who_does_what()

# %% [markdown]
# From top to bottom, the model gets a bigger role. In **shadow** mode, the model's answers go to a log that nobody sees, so people and model can be compared fairly. In
# **assistance**, a person decides each case, but the suggestion influences them. We simulate 100,000 cases with the numbers of the opening example:

# %%
import numpy as np
import pandas as pd

n = 100_000
right = np.random.default_rng(7).random(n) < 0.90
cases = pd.DataFrame({"seconds": 60.0 * np.arange(n), "confidence": np.ones(n), "model_right": right})
team = automation.Reviewers(3, error=0.15, follow_right=0.5, follow_wrong=0.95)
run = automation.simulate_triage(cases, automation.Assistance(), team, random_state=0)
print(f"right in {1 - run.error_rate:.1%}")

# %% [markdown]
# *Change this and run again:* replace `automation.Assistance()` with `automation.Shadow()`. Why is the result better, but not as good as the model's?
#
# ### Exercise 7.1 · Which degree?
# *4 points · 5 minutes*
#
# For each service, name the degree of automation.

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
# Write `joint(both, model_only, human_only, follow_right, follow_wrong)`. It returns how often the pair is right, as a share from 0 to 1, not rounded.
#
# - `both`, `model_only` and `human_only` are shares of all cases: both are right, only the model is right, or only the person is. In the remaining cases, the pair is wrong.
# - `follow_right` is how often the person follows the model where only the model is right.
# - `follow_wrong` is how often they do so where only the person is right.
#
# For example, `joint(0.765, 0.135, 0.085, 0.7, 0.7)` is 0.885.


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
# A shop sorts photos of clothes into ten classes. We train a random forest on 500 images, study its confidence on 500 others, and keep 500 more for later.

# %%
from sklearn.ensemble import RandomForestClassifier

from mlprod_helpers import datasets

images, labels = datasets.load_fashion()
order = np.random.default_rng(2).permutation(len(labels))
train, tune, held = order[:500], order[500:1000], order[1000:]


def flat(images):
    """One row per image."""
    return images.reshape(len(images), -1)


forest = RandomForestClassifier(200, random_state=0).fit(flat(images[train]), labels[train])


# %%
def sure_and_right(images, labels):
    """The forest's own confidence in its answer, and whether the answer is right."""
    p = forest.predict_proba(flat(images))
    return p.max(axis=1), forest.classes_[p.argmax(axis=1)] == labels


raw, right = sure_and_right(images[tune], labels[tune])
print(f"mean confidence {raw.mean():.0%}, right in {right.mean():.0%} of the cases")

# %% [markdown]
# A forest's confidence is the share of its trees that vote for the answer. Here, it is lower than the probability that the answer is right. **Calibration** turns
# confidence into this probability, using cases that the forest has not seen. We use a logistic regression on the **logit** of the confidence c, which is ln(c / (1 − c)).

# %%
from sklearn.linear_model import LogisticRegression


def logit(c):
    """ln(c / (1 - c)), as a column."""
    c = np.clip(c, 0.01, 0.99)
    return np.log(c / (1 - c))[:, None]


meaning = LogisticRegression(C=1e6).fit(logit(raw), right)


def calibrated(raw):
    """The probability that the answer is right."""
    return meaning.predict_proba(logit(raw))[:, 1]


raw, correct = sure_and_right(images[held], labels[held])
confidence = calibrated(raw)
print(f"held out: mean confidence {confidence.mean():.0%}, right in {correct.mean():.0%} of the cases")

# %% [markdown]
# The remaining difference may be chance: with 500 cases, such a share varies by about 2 percentage points.
#
# In partial automation, the model decides a case if its confidence is at least a **threshold**, for example 0.9. **Coverage** is the share of all cases that are automated.
# **Risk** is the share of wrong answers *among the automated cases*. The figure shows both for all thresholds. The light band shows how large the true risk may be.

# %%
curve = automation.risk_coverage(confidence, correct)
curve.plot(max_risk=0.05)

# %% [markdown]
# The less you automate, the smaller the risk. The left end of the curve is noisy, because one error in twenty cases is already 5%.
#
# *Change this and run again:* use `raw` instead of `confidence` for the curve. Did calibration change the order of the cases?
#
# <details><summary>One number for the whole curve</summary>
#
# **AURC** (`curve.aurc`) is the area under this curve, the mean risk over all coverages. If the confidence says nothing about errors, the curve is flat and the AURC
# equals the error rate.
#
# </details>
#
# ### Exercise 7.3 · How many cases can the model decide?
# *4 points · 7 minutes*
#
# Write `coverage_at(confidence, correct, max_risk)`. It returns the coverage of the threshold that automates the most cases at a measured risk of at most `max_risk`.
#
# - `confidence` is an array of one or more numbers from 0 to 1, in any order. `correct` is an array of True and False of the same length.
# - A case is automated when its confidence is at least the threshold, so cases with equal confidence are automated together.
# - A risk of exactly `max_risk` is allowed. If no threshold meets this limit, return 0.
#
# For example, the confidences are 0.9, 0.8, 0.8 and 0.6, and only the first two answers are right. With a `max_risk` of 0.34, the result is 0.75.


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
# ## When to ask a person
#
# Which risk is low enough? Suppose that a wrong decision costs 20, a review by a person costs 1, and people are never wrong. A case that the model decides costs 20 × (1 −
# confidence) on average. Ask a person if this is more than 1, that is, at a confidence below 1 − 1/20 = 0.95. This is *Chow's rule* (1970).
#
# Now a calibrated model answers yes or no. Its probabilities of "yes" are spread evenly from 0 to 1. We use Chow's rule, and d is the cost of a review divided by the cost of an
# error. **For d = 0.1, what percentage of all cases does the model decide wrongly?**

# %%
lesson.predict("automated and wrong, % of all cases", ..., choices=[0.1, 1, 5, 10])  # 0 to 100

# %%
d = 0.1
uniform = automation.uniform_cases(1 / 60, n=200_000, random_state=0)
sure = uniform["confidence"] >= automation.chow_threshold(cost_error=1 / d, cost_human=1)
wrong = ~uniform["model_right"]
lesson.recall("automated and wrong, % of all cases", round(100 * float((sure & wrong).mean()), 1))

# %%
print(f"asks a person in {(~sure).mean():.1%} of the cases (formula 1 - 2d: {1 - 2 * d:.1%})")
print(f"automated and wrong: {(sure & wrong).mean():.2%} (formula d²: {d**2:.2%})")

# %% [markdown]
# *Change this and run again:* set `d = 0.25`. What share of all cases does the model decide now, and what share wrongly?
#
# <details><summary>When confidence or people are wrong</summary>
#
# All of this needs calibration: at a confidence of 0.95, 95% of the answers must be right. People make mistakes, too. If they are wrong in 5% of the cases, the threshold falls
# to 1 − 1/20 − 0.05 = 0.90. Cases near the threshold are often hard for people as well, so use the error rate that people have there. If it is 15%, the threshold falls to 0.80.
#
# </details>
#
# ### Exercise 7.4 · Chow's rule
# *4 points · 6 minutes*
#
# Write `decide(p, cost_error, cost_human)`. It returns an array or list with `"yes"`, `"no"` or `"ask"` for each case, whichever is cheapest on average.
#
# - `p` is an array of calibrated probabilities of "yes", from 0 to 1.
# - `cost_error` is the cost of a wrong answer, and `cost_human` that of asking a person, who is never wrong here.
# - Where two answers are equally cheap, either is right.
#
# For example, `decide(np.array([0.03, 0.3, 0.98]), 20, 1)` is `["no", "ask", "yes"]`.


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
# ## When people are busy
#
# So far, somebody always had time. Now 150 cases an hour arrive for three people, and a review takes a minute on average. People are wrong in 5% of the cases when they are
# rested, and in 10% when they never rest. They follow suggestions as in the opening example. Each hour of delay costs 1. The table shows the share of time that people are busy
# (`load`), the mean number of waiting cases (`mean_backlog`) and the mean cost of a case (`cost`).

# %%
from mlprod_helpers import queueing

rate = 150 / 3600  # cases a second
day = automation.uniform_cases(rate, duration=100 * 3600, random_state=1)  # confidence: uniform, 0.5 to 1
look = queueing.Exponential(60)  # seconds
people = automation.Reviewers(3, look, error=0.05, fatigue=0.05, follow_right=0.5, follow_wrong=0.95)
costs = automation.Costs(error=20, review=1, delay=1)
found = automation.compare_degrees(day, automation.ladder(0.9), people, costs, random_state=0)
found.table[["coverage", "error_rate", "load", "mean_backlog", "cost"]].round(2)

# %% [markdown]
# Assistance costs more than people alone, because this model is right in only 75% of the cases and people tend to follow its mistakes. Partial automation is cheapest.
#
# *Change this and run again:* use two people instead of three. With which degrees can they no longer keep up?
#
# ### Move the threshold
#
# The explorer starts with three people and a threshold of 0.90, as above. **Guess first: with one person, does the cheapest threshold go up or down?** Then set the number
# of reviewers to 1.

# %%
from mlprod_helpers.explore import automation_explorer

automation_explorer(costs=costs)

# %% [markdown]
# With one person, a threshold of 0.90 leaves 120 cases an hour to somebody who can review 60, so the backlog grows forever. The cheapest threshold falls to about 0.7. With
# three people it is 0.89, or about 0.84 if fatigue adds 5 percentage points to their error rate. **The same model needs different thresholds for different teams.**
#
# ### Exercise 7.5 · The cheapest threshold
# *5 points · 8 minutes*
#
# Write `cheapest(confidence, correct, rate, count)`. It returns the threshold with the lowest mean cost of a case in the long run (above 1, people decide everything).
#
# - `confidence` (0.5 to 1, perhaps not calibrated) and `correct` are arrays as in 7.3. Count the errors in `correct`.
# - `rate` is the number of all cases per second, automated or not. `count` is the number of reviewers. A review takes 60 seconds on average (exponential).
# - People are wrong in 5% of the cases, whatever the confidence, and do not get tired.
#
# | what | cost |
# | --- | --- |
# | an error by the model or a person | 20 |
# | a review | 1 |
# | an hour of delay (waiting and review) | 3 |
#
# A cost within 5% of the lowest is good enough.


# %% exercise="7.5"
def cheapest(confidence, correct, rate, count):
    """The threshold that costs least.

    You may use `automation.cost_curve`, or `queueing.mgc`, the queue of lesson 05.

    Example: 0.87 is good enough for the cases in `day`, with `rate` and three reviewers.
    """
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
# A model runs in shadow mode before it may decide anything. The log contains the kind of case (`kind`), the answers of the person and the model (`human` and `prediction`), and
# whether the person saw the model's answer (`saw`). `label` is the true answer. It arrives weeks later, and is NaN until then. After a month, somebody reports:

# %%
from mlprod_helpers.automation import shadow_log

log, mix = shadow_log.draw_shadow(np.random.default_rng(3), n=4000)
agree = (log["human"] == log["prediction"]).mean()
print(f"The model agrees with our people in {agree:.0%} of the cases. Let us switch it on!")
log.head(4)

# %% [markdown]
# This number misleads in three ways. Some people saw the model's answer and may have followed it. Most cases were easy, but production has more hard ones. Person and model
# may agree because both make the same mistake.

# %%
blind = log[~log["saw"]]
for who, rows in {"saw the answer": log[log["saw"]], "blind": blind}.items():
    print(f"{who}: agree in {(rows['human'] == rows['prediction']).mean():.0%}")
known = blind[blind["label"].notna()]
both_wrong = (known["human"] != known["label"]) & (known["prediction"] == known["human"])
print(f"blind, agreeing and both wrong: {both_wrong.mean():.1%}")
print("mix of production:", {kind: round(share, 2) for kind, share in mix.items()})
print("mix of the run:", log["kind"].value_counts(normalize=True).round(2).to_dict())

# %% [markdown]
# *Change this and run again:* set `blind = log[~log["saw"] & (log["kind"] == "hard")]`. How often do people and model agree now?
#
# ### Exercise 7.6 · Repair a shadow report
# *5 points · 8 minutes*
#
# Write `report(log, mix)`. It returns a dict that says how often the *model* is right. Use only *blind* cases (the person did not see the model's answer) with a known label.
#
# - `log` is a DataFrame with the columns above. It contains at least one blind, labeled case of each kind.
# - `mix` is a dict with the share of each kind in production.
# - The keys of the result are the kinds `"easy"`, `"hard"` and `"new"`, and `"all"` for the mean of the three, weighted by `mix`.
# - The values are shares. Do not round.
#
# For example, if the model is right in 90%, 70% and 50% of the easy, hard and new cases, and their mix is 0.5, 0.3 and 0.2, then `"all"` is 0.76.


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
# A shadow run justifies automation only *for kinds of cases that occurred often enough*. Here, these are the easy ones.

# %% [markdown]
# ## The lamp fails
#
# We return to the photos, with a threshold of 0.90. The camera's lamp gets dimmer, and `gain` is the share of its light that is left. The model still reports a
# confidence. **When a quarter of the light is left, what percentage of the automated answers is wrong?**

# %%
lesson.predict("wrong among the automated at gain 0.25, %", ..., choices=[10, 20, 50, 90])  # 0 to 100

# %%
from mlprod_helpers import faults

threshold, points = 0.90, {}
for gain in (1, 0.5, 0.4, 0.3, 0.25):
    photos = images[held] if gain == 1 else faults.apply(images[held], faults.ImageGain(gain))[0]
    raw, right = sure_and_right(photos, labels[held])
    points[gain] = automation.operating_point(calibrated(raw), right, threshold)
lesson.recall("wrong among the automated at gain 0.25, %", round(100 * points[0.25].risk))

# %%
table = pd.DataFrame(points, index=["threshold", "coverage", "risk", "bound"]).T
table[["coverage", "risk", "bound"]].rename_axis("gain").round(2)

# %% [markdown]
# At a gain of 0.25, half of the automated answers are wrong, and the model still decides a quarter of all cases. We calibrated it in good light, so its confidence is far too
# high in the dark. Coverage, which needs no labels, had already halved at a gain of 0.5.
#
# We can be 95% sure that the true risk is at most `bound`. In full light, 4% of the automated answers were wrong, but the true risk may be up to 8%.
#
# *Change this and run again:* set `threshold = 0.98`. Does a stricter threshold keep the risk below 5% in the dark?
#
# <details><summary>Is this one unlucky split?</summary>
#
# In four other splits, 29% to 70% of the automated answers were wrong at a gain of 0.25.
#
# </details>
#
# ### Exercise 7.7 · Safe, or lucky?
# *5 points · 9 minutes*
#
# Write `safe_threshold(confidence, correct, max_risk)`. It returns the lowest threshold for which you can be confident that the *true* risk is at most `max_risk`, not only the
# risk in this sample.
#
# - `confidence` and `correct` are arrays as in 7.3.
# - If no threshold is safe, return 2.0.
#
# Your function is called with many samples. Each has about 1,000 cases with 25 different confidences. We measure the risk of each returned threshold on new cases:
#
# | rule | limit |
# | --- | --- |
# | thresholds with a risk above `max_risk` | at most a quarter |
# | mean coverage with a calibrated model, `max_risk` of 10% | at least 5% |
# | mean coverage with a calibrated model, `max_risk` of 20% | at least 35% |
#
# In some samples, the model is wrong 2.5 times as often as its confidence says.
#
# For example, with 12 cases and a `max_risk` of 0.1 the result is 2.0, even if all are right. `upper_bound` shows why:

# %%
for errors, n in ((0, 12), (0, 60), (0, 300), (3, 300)):
    bound = automation.upper_bound(errors, n)  # 95% sure
    print(f"{errors} errors of {n}: the true rate may be up to {bound:.1%}")


# %% exercise="7.7"
def safe_threshold(confidence, correct, max_risk):
    """The lowest threshold that is very likely safe."""
    ### BEGIN SOLUTION
    lowest = 2.0
    for threshold in np.arange(0.98, 0.5, -0.01):  # the strictest first
        taken = confidence >= threshold
        n, errors = int(taken.sum()), int((~correct[taken]).sum())
        if n < 100:
            continue  # too few cases to be confident
        if automation.upper_bound(errors, n) > max_risk:
            break  # stop at the first that fails: do not pick the luckiest of many
        lowest = float(threshold)
    return lowest
    ### END SOLUTION


# %% check="7.7"
lesson.check("7.7")

# %% [markdown]
# ## The week
#
# A safe threshold may become unsafe when the cases change. How do you notice this? Labels arrive too late. Brightness shows that something is different, not that the
# model is wrong. In an **audit**, people review a share of the *automated* cases without seeing the model's answers. This soon shows how often they disagree with it.
#
# We simulate three weeks. About 150 cases an hour arrive (110 in the first week), more at noon. Three people review cases, and they get tired. On Tuesday or Wednesday, something
# changes:
#
# | week | brightness | the model |
# | --- | --- | --- |
# | dying lamp | falls | gets worse and less confident over one or two days |
# | dark season | falls a little | is as good as before |
# | new range | falls a little | is confident but wrong on new winter clothes |
#
# A *policy* is a function that chooses the degree of automation every two hours. This one always chooses partial automation with a threshold of 0.9 and an audit of 10%. On the
# first day at noon, it gets this observation:

# %%
from mlprod_helpers.automation import photo_week

told = []


def keep_going(observation, memory):
    """The same answer, whatever happens."""
    told.append(observation)
    return ("partial", 0.9, 0.1), memory


dice = np.random.default_rng(0)
weeks = {kind: photo_week.draw_week(dice, kind) for kind in photo_week.WEEKS}
runs = {kind: photo_week.run_week(keep_going, cases) for kind, cases in weeks.items()}
pd.Series(told[6]).round(1).to_dict()

# %%
runs["dying lamp"].plot(max_risk=0.15)

# %%
pd.DataFrame({kind: photo_week.score_week(run) for kind, run in runs.items()}).T.round(2)

# %% [markdown]
# `wrong` counts the model's wrong decisions. `wrong_late` is the error rate of the model's decisions in the last 36 hours. `cost` is the mean cost of a case. `backlog` is the
# mean number of waiting cases in the worst hour.
#
# Two of the three weeks end with many wrong decisions. But if people decide everything, a long backlog can build up:

# %%
people_only = {
    kind: photo_week.score_week(
        photo_week.run_week(lambda observation, memory: (("human only", 1, 0), memory), cases)
    )
    for kind, cases in weeks.items()
}
pd.DataFrame(people_only).T.round(2)

# %% [markdown]
# *Change this and run again:* in `keep_going`, use a threshold of 0.99. Is `wrong_late` lower now? What does a case cost?
#
# ### Exercise 7.8 · A week with a dying lamp
# *8 points · 15 minutes*
#
# Write `policy(observation, memory)`. It returns `((degree, threshold, audit_share), memory)`.
#
# - `observation` is a dict. `hour` counts from the start of the week, and `backlog` counts the waiting cases. `cases`, `automated`, `audits` and `disagreements` are
#   counts over the last two hours, and `brightness` is the mean over these cases (None if there were none).
# - `degree` is `"human only"`, `"shadow"`, `"assistance"`, `"partial"` or `"full"`. Only `"partial"` uses `threshold`
#   (always a number from 0 to 2).
# - `audit_share` is the share of the automated cases to audit, from 0 to 1.
# - `memory` is a dict in which you can keep plain data until the next call. It is `{}` at first. Change it or return a new one.
#
# A result is, for example, `(("partial", 0.9, 0.1), {"hours": 2})`. In a healthy week with a threshold of 0.9, people disagree with the model in 10 to 15% of the audited
# cases.
#
# Your policy runs in one new week of each kind:
#
# | week | what counts | limit |
# | --- | --- | --- |
# | dying lamp, new range | `wrong` | at most 800 |
# | dying lamp, new range | `wrong_late` (0 if the model decides nothing) | at most 15% |
# | dark season | `cost` | at most 2.40 |
# | dark season | `backlog` | at most 150 |
#
# If your policy exceeds a limit, you get at most a quarter of the points.


# %% exercise="7.8"
def policy(observation, memory):
    """((degree, threshold, audit share), memory)

    The degree is "human only", "shadow", "assistance", "partial" or "full".
    Practice with photo_week.score_week(photo_week.run_week(policy, weeks["new range"])).
    """
    ### BEGIN SOLUTION
    # the last 16 hours of audits: enough to tell 28% from the usual 10 to 15%
    recent = [*memory.get("recent", []), (observation["audits"], observation["disagreements"])][-8:]
    audits = sum(pair[0] for pair in recent)
    against = sum(pair[1] for pair in recent)
    down = memory.get("down", False) or (audits >= 40 and against > 0.28 * audits)
    memory = {"recent": recent, "down": down}  # once down, stay down: a person decides about the way up
    return (("human only", 1.0, 0.0) if down else ("partial", 0.9, 0.12)), memory
    ### END SOLUTION


# %% check="7.8"
lesson.check("7.8")

# %% [markdown]
# Before you automate more, do a shadow run. Agree in advance on a rule for automating less, so nobody has to discuss it at night. You also need enough people to take over.

# %% [markdown]
# ## What you have seen
#
# | degree | who decides | how it goes wrong | what to watch |
# | --- | --- | --- | --- |
# | human only | people | they get tired, and the queue grows | load, backlog |
# | shadow | people, blind | agreement is mistaken for accuracy | accuracy by kind, when labels have arrived |
# | assistance | people who have seen the suggestion | wrong suggestions persuade them | how often they rightly reject suggestions |
# | partial | the model where it is confident | the confidence is no longer calibrated | coverage, risk with its bound, audits |
# | full | the model | nobody notices its errors | audits, the metrics of lesson 08 |
#
# <details><summary>Names in other tools, what is left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | `Partial(threshold)`, coverage, risk | selective prediction, reject option; MAPIE controls risk; scikit-learn: `CalibratedClassifierCV`, `TunedThresholdClassifierCV` |
# | `Shadow()` | traffic mirroring in Argo Rollouts and Flagger (lesson 06); MLflow keeps the two versions |
# | audits and disagreements over time | river: drift detectors such as ADWIN on the stream of disagreements (lesson 03) |
# | risk without labels, from confidence | nannyml: CBPE, which also needs calibration; evidently: reports that compare current and reference data |
# | coverage, backlog, disagreements as alerts | Prometheus rules with `for` (lesson 08) |
# | reduce automation | circuit breaker, kill switch, human fallback |
#
# The average effect in the 106 studies was −0.23 standard deviations, compared with the better of the two alone. The effect depends on who is better alone. If people were better
# than the model, people with a model did better than either. If the model was better, people with a model did worse than the model.
#
# This lesson leaves out how people learn which suggestions to trust (explanations help less than hoped). It also leaves out learning to defer, where a model is trained to
# hand over the cases that people decide better. We do not cover the law on automated decisions about people, or how to increase automation again after a repair (with a new
# shadow run).
#
# **Sources.** M. Vaccaro, A. Almaatouq, T. Malone, *Nature Human Behaviour* 8, 2024, doi 10.1038/s41562-024-02024-1. R. Parasuraman, T. B. Sheridan, C. D. Wickens, *IEEE Trans.
# SMC A* 30, 2000 (levels of automation). C. K. Chow, *IEEE Trans. Information Theory* 16, 1970. R. El-Yaniv, Y. Wiener, *JMLR* 11, 2010. A. N. Angelopoulos et al., *Learn then
# test*, arXiv 2110.01052. C. J. Clopper, E. S. Pearson, *Biometrika* 26, 1934. Images: Fashion-MNIST, Zalando. All weeks, reviewers and costs are made up.
#
# </details>

# %% [markdown]
# ## At work
#
# *scikit-learn* calibrates the forest, and *scipy* computes an upper bound for the risk. A labeling tool such as Label Studio can show people the cases below the threshold.

# %%
import numpy as np
from scipy.stats import binomtest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier

from mlprod_helpers.datasets import load_fashion

photos, classes = load_fashion()
pixels = photos.reshape(len(photos), -1)
mixed = np.random.default_rng(2).permutation(len(classes))
learn, new = mixed[:1000], mixed[1000:]
model = CalibratedClassifierCV(RandomForestClassifier(100, random_state=0), method="sigmoid", cv=3)
probability = model.fit(pixels[learn], classes[learn]).predict_proba(pixels[new])
sure, hit = probability.max(axis=1), model.classes_[probability.argmax(axis=1)] == classes[new]
for threshold in (0.5, 0.7, 0.8):
    taken = sure >= threshold
    errors, n = int((~hit[taken]).sum()), int(taken.sum())
    bound = binomtest(errors, n, alternative="less").proportion_ci(0.95).high
    print(f"threshold {threshold}: {taken.mean():.0%} automated, {errors / n:.1%} wrong, at most {bound:.1%}")

# %% [markdown]
# ## Recap
#
# <details><summary>Why can a person with a model be worse than either alone?</summary>
#
# The suggestion influences the person. If wrong suggestions are persuasive, people follow them even where they would have been right alone.
#
# </details>
#
# <details><summary>Why do two teams need different thresholds for one model?</summary>
#
# The threshold depends on the costs of errors, reviews and delay, and on the number of people. With too few people the queue grows, so the model has to decide more.
#
# </details>
#
# <details><summary>How do you notice in time that a model has become wrong?</summary>
#
# Let people audit a share of the automated cases, and count how often they disagree with the model. Automate less when this happens clearly more often than in a healthy week.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
