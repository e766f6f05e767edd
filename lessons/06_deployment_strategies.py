# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "06"
#   title: Deployment strategies
#   express: {sections: ["One trace, four strategies", 'A judge that knows "no data"', The plan and the judge], exercises: ["6.1", "6.5", "6.8"]}
#   needs: ["05"]
#   ideas: [exposure, the sticky split, a judge that knows "no data", peeking and power]
#   topics: [deployment]
# ---

# %% [markdown]
# # Deployment strategies
#
# > **A new version crashed on half of its requests. Every check of its rollout passed, and after three minutes all users had it.**
#
# It was night, with about one request a minute. The new version had not answered any yet, so the checks found no errors.
#
# A **rollout** gives a new version to users in steps. A **judge** compares the two versions after each step and says pass, fail or "no data". In this lesson you write such a program,
# and count what a rollout costs.

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** choose a way to release a version, and count the harm that it allows,
# - **b** split users so that each always meets the same version,
# - **c** write a judge that compares parts and waits for data,
# - **d** say how long a rollout must run, and what looking too early costs,
# - **e** put a plan and a judge together, for versions you have not seen.
#
# You need lesson 05. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# On that path, run the other cells too.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("06", edition=2)

# %% [markdown]
# ## Sixty thousand views
#
# A fashion shop chose items in two ways: `random` takes any item, and `bts` has learned from earlier clicks. The table has the views (one item shown to one visitor), the clicks, and the
# clicks in percent.

# %%
from mlprod_helpers import datasets

clicks = datasets.load_clicks()
rates = clicks.groupby("policy", observed=True)["click"].agg(["size", "sum", "mean"]).loc[["random", "bts"]]
rates.columns = ["views", "clicks", "percent"]
rates["percent"] *= 100
rates.round(3)

# %% [markdown]
# The learned choice got a fifth more clicks. **Could that be luck?** If the choice makes no difference, chance alone divided the 287 clicks between the two halves. So shuffle which
# view belonged to which half, and count again.
#
# What share of the shuffles shows a gap at least as large, in either direction?

# %%
lesson.predict("shuffles with a gap as large", ...)  # a number between 0 and 1

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
views, total = int(rates.loc["bts", "views"]), int(rates["clicks"].sum())
# a shuffle deals the clicks to two halves with equally many views
to_random = rng.hypergeometric(views, views, total, size=200_000)
gaps = 100 * (total - 2 * to_random) / views
seen = rates.loc["bts", "percent"] - rates.loc["random", "percent"]
as_large = np.abs(gaps) >= seen - 1e-9
lesson.recall("shuffles with a gap as large", round(float(as_large.mean()), 2))

# %%
from mlprod_helpers.rollout import pictures

pictures.shuffled_gaps(gaps, seen)

# %% [markdown]
# This share is the **p-value**: how often luck alone shows such a gap. So nobody can tell this gain from luck, and a release that *costs* 17% of the clicks would have looked just as harmless.
#
# **Most rollouts cannot see a change of a fifth.** They see what breaks: errors, slowness, nonsense.
#
# *Change this and run again:* after loading, add `clicks = clicks[clicks["campaign"] == "men"]`. Is p = 0.04 a discovery? Three campaigns are three chances, so the smallest p must be below
# 0.05 / 3.

# %% [markdown]
# ## One trace, four strategies
#
# The **ETA** (estimated time of arrival) service predicts the air time of flights. Its old version fails in 1% of the requests, the new one in 6%. We release it in four ways:
#
# - **Big bang**: all users get it at once. To go back, we deploy the old one again, which takes 10 minutes here.
# - **Blue-green**: a second full **fleet** of servers (green) starts beside the old one (blue), then all users are switched. While blue is kept, the way back is one switch.
# - **Canary**: a few users get it, and more after each passed check.
# - **Shadow**: it gets copies of the requests, and its answers are only logged.
#
# The judge looks once a minute and fails a version with more than 3% errors. Below 100 requests it waits. The second failed check ends the rollout.
#
# We replay the same requests with the same luck in all four. **Which way harms the most users?**

# %%
lesson.predict("most users harmed", ...)  # "big bang", "blue-green", "canary" or "shadow"

# %%
from mlprod_helpers import queueing, rollout

airports = {"EWR": 0.5, "JFK": 0.38, "LGA": 0.12}
arrivals = queueing.poisson(20, duration=5400, random_state=0)  # 20 requests a second for 90 minutes
trace = rollout.traffic(arrivals, users=5000, segments={"origin": airports}, random_state=0)
v1 = rollout.Version("v1", rollout.Behavior(error_rate=0.01))
v2 = rollout.Version("v2", rollout.Behavior(error_rate=0.06))
plans = {
    "big bang": rollout.BigBang(interval=60, threshold=2, redeploy=600),
    "blue-green": rollout.BlueGreen(interval=60, threshold=2, keep_old=600),
    "canary": rollout.Canary(step_weights=[5, 10, 25, 50], interval=60, threshold=2),
    "shadow": rollout.Shadow(interval=60, threshold=2),
}

# %%
simple_judge = rollout.ThresholdJudge({"error_rate": (None, 0.03)}, min_requests=100)
four = rollout.compare(trace, (v1, v2), plans, simple_judge, random_state=1)
lesson.recall("most users harmed", four.table["users_harmed"].idxmax())

# %% [markdown]
# A request is **harm** if it fails and would not have failed with the old version. `detect` and `roll_back` are minutes from the first harm. `extra_server_hours` counts servers
# beyond one fleet. In `phase`, **Degraded** means that the release was **aborted**: all users are back on the old version.

# %%
four.table[["phase", "users_harmed", "requests_harmed", "detect", "roll_back", "extra_server_hours"]].round(1)

# %%
four.plot()

# %% [markdown]
# 1. Big bang and blue-green *detect* in the same minute, but their way back differs by ten.
# 2. The canary detects later, because its judge waits for 100 requests, and harms far fewer users.
# 3. The shadow harms nobody, but needs a second fleet.
#
# Each decision has a reason in words. The rollback comes one check after the last failed one, as in Flagger:

# %%
for second, reason in four.results["canary"].timeline["reason"].items():
    print(f"{second / 60:3.0f} min  {reason}")

# %% [markdown]
# *Change this and run again:* set `error_rate=0.03` for `v2`, exactly the judge's threshold. Which way harms the most users now?
#
# ### Exposure
#
# The **exposure** is the share of the users who meet the new version, multiplied by the time: 5% for 40 minutes is as much as all users for 2. So a slow canary that nobody watches can harm
# as much as a big bang. A worked example with steps `(minutes, percent)`:


# %%
def exposure(steps):
    """Seconds of the full traffic that the new version got."""
    return sum(60 * minutes * percent / 100 for minutes, percent in steps)


exposure([(2, 100)]), exposure([(40, 5)]), exposure([(10, 5), (10, 20)])


# %% collapsed=true
# Does 5% for 40 minutes harm as many as all users for 2 minutes? Nobody looks, and both end by hand
def asleep(metrics):
    """A judge that never looks."""
    return "pass"


all_at_once, few = rollout.BlueGreen(watch=0, keep_old=3600), rollout.Canary(step_weights=[5], interval=5000)
exposed = {}
for name, release, second in (("100% for 2 min", all_at_once, 120), ("5% for 40 min", few, 2400)):
    run = rollout.replay(trace, (v1, v2), release, asleep, 1, operator={second: "abort"})
    exposed[name] = [run.requests_exposed, run.requests_harmed, run.users_harmed]
pd.DataFrame(exposed, index=["requests exposed", "requests harmed", "users harmed"])

# %% [markdown]
# ### Exercise 6.1 · Count the harm
# *3 points · 5 minutes*
#
# Write `harm(steps, rate, old_error, new_error)`. It returns how many *more* requests fail, on average, than with the old version alone.
#
# - `steps` is a list of `(minutes, percent)`. Both may be fractions, and the list may be empty.
# - `rate` is in requests a second. The errors are shares: 0.06 is 6%.
# - If the new version fails less often, the result is negative.
# - Do not round.
#
# For example, `harm([(2, 100)], 20, 0.01, 0.06)` is 120.


# %% exercise="6.1"
def harm(steps, rate, old_error, new_error):
    """Expected number of requests that fail because of the new version."""
    ### BEGIN SOLUTION
    seconds = sum(60 * minutes * percent / 100 for minutes, percent in steps)
    return seconds * rate * (new_error - old_error)
    ### END SOLUTION


# %% check="6.1"
lesson.check("6.1")

# %% [markdown]
# ## The way back
#
# **A rollback is limited by time.** Two fleets cost twice, so blue is stopped after a while. Here a fault begins after 15 minutes:

# %%
late_fault = rollout.Symptom(error_rate=0.2, after=900)  # seconds
leak = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=late_fault))
kept = {
    f"blue kept {minutes} min": rollout.BlueGreen(keep_old=60 * minutes, watch=2400, threshold=2)
    for minutes in (10, 30)
}
late = rollout.compare(trace, (v1, leak), kept, simple_judge, random_state=1)
late.table[["users_harmed", "detect", "roll_back"]].round(1)

# %% [markdown]
# *Change this and run again:* keep blue for 15 minutes instead of 10. Is that enough?
#
# **Data can block a rollback.** What v2 has written stays, and v1 may not be able to read it:

# %%
store = [{"flight": "UA1", "air_time": 152}, {"flight": "B6 7", "air_time_s": 9_120}]  # the second row by v2
readable = [row for row in store if "air_time" in row]
print(f"v1 reads {len(readable)} of {len(store)} rows after the rollback")

# %% [markdown]
# So change a schema in three releases: write both names, then read the new one, then drop the old one.
#
# ### Which rollout for what?
#
# An **A/B test** asks which version is better and by how much. A canary asks whether to stop.
#
# | strategy | users meet it | finds | costs |
# | --- | --- | --- | --- |
# | big bang | all | what breaks, for all users | a slow rollback |
# | blue-green | all | what breaks, on everybody, briefly | a second fleet |
# | canary | few, then more | what breaks, on few | time |
# | shadow | nobody | errors, latency, other answers | a second fleet |
# | A/B test | half, for weeks | what users prefer | weeks |
#
# ### Exercise 6.2 · Which rollout?
# *4 points · 4 minutes*
#
# Choose the best strategy for each release.

# %% exercise="6.2"
### BEGIN SOLUTION
rollouts = {
    "pipeline": "shadow",
    "ranking": "ab_test",
    "framework": "canary",
    "format": "blue_green",
    "fares": "canary",
    "late": "shadow",
    "nightly": "blue_green",
}
### END SOLUTION

# %% check="6.2"
lesson.check("6.2")

# %% [markdown]
# ## Stretch: What a shadow cannot see
#
# Nobody sees the answers of a shadow or reacts to them. Three faulty versions get 30 minutes each:

# %%
calm = rollout.Version("v1", rollout.Behavior(error_rate=0.01, click_rate=0.05))
faulty = {
    "fails more often": rollout.Behavior(error_rate=0.06, click_rate=0.05),
    "three times as slow": rollout.Behavior(error_rate=0.01, click_rate=0.05, latency_ms=240),
    "half the clicks": rollout.Behavior(error_rate=0.01, click_rate=0.025),
}
shadowed = {}
for name, behavior in faulty.items():
    new = rollout.Version("v2", behavior)
    log = rollout.replay(trace, (calm, new), rollout.Shadow(), asleep, 1).log
    log = log[log["time"] < log["time"].iloc[0] + pd.Timedelta(minutes=30)]
    log = log.assign(errors=100 * (log["status"] >= 500), clicks=100 * log["clicked"].astype(float))
    found = log.groupby("version")[["errors", "clicks"]].mean()
    shadowed[name] = found.assign(p99=log.groupby("version")["latency_ms"].quantile(0.99)).T
pd.concat(shadowed).round(1)

# %% [markdown]
# Errors and clicks are in percent, and 99 of 100 requests are faster than **p99** (ms). Two faults are easy to see. But v2 has no clicks in *any* block.
#
# *Change this and run again:* look at the first 5 seconds only (`seconds=5`). Is the higher error rate still clear?
#
# ### Exercise 6.3 · What can a shadow see?
# *4 points · 4 minutes*
#
# After a day in the shadow, is a fault `"visible"` or `"hidden"`? Or does the shadow itself do harm (`"harms users"`)?

# %% exercise="6.3"
### BEGIN SOLUTION
sights = {
    "crash": "visible",
    "leak": "visible",
    "units": "visible",
    "clicks": "hidden",
    "loop": "hidden",
    "database": "harms users",
    "message": "harms users",
    "wording": "hidden",
}
### END SOLUTION

# %% check="6.3"
lesson.check("6.3")

# %% [markdown]
# ## Who gets the canary?
#
# We could draw 5% of the *requests* for the canary. In 40 minutes, what share of the 5,000 users then meets both versions?

# %%
lesson.predict("users who meet both versions", ...)  # a number between 0 and 1

# %%
first_40 = trace[trace["time"] < trace["time"].iloc[0] + pd.Timedelta(minutes=40)]
drawn = np.random.default_rng(2).random(len(first_40)) < 0.05
met = pd.Series(drawn).groupby(first_40["user_id"].to_numpy()).agg(["min", "max"])
lesson.recall("users who meet both versions", round(float((met["max"] & ~met["min"]).mean()), 2))

# %% [markdown]
# These users see the ETA jump. In a **sticky split** the same user always gets the same version. Each user has a place from 0 to 100, computed from their name, and the canary has the
# lowest places.
#
# *Change this and run again:* draw 1% of the requests (`< 0.01`). Is the share a fifth as large?
#
# A worked example: a *hash* turns a text into digits that look random and are always the same.

# %%
import hashlib


def lucky_number(name):
    """A whole number from 0 to 9 for each name, always the same one."""
    digest = hashlib.sha256(name.encode()).hexdigest()  # 64 digits, 0 to 9 and a to f
    return int(digest[:8], 16) % 10


print({name: lucky_number(name) for name in ("ana", "ben", "cem", "dia")})
pd.Series([lucky_number(f"user {i}") for i in range(10_000)]).value_counts().sort_index().to_list()

# %% [markdown]
# ### Exercise 6.4 · A sticky split
# *4 points · 8 minutes*
#
# Write `route(user_id, weight, salt)`. It returns `True` if this user gets the new version, else `False`.
#
# - `user_id` is a text. `weight` is a whole number from 0 (nobody) to 100 (everybody). Each percent more adds about 1% of the users.
# - The same user, weight and salt give the same answer in each process and on each machine.
# - When the weight grows, nobody is sent back.
# - `salt` is a text, such as the name of the release. Another salt puts each user at a place that has nothing to do with the first one.
#
# For example, `route("ana", 0, "release 7")` is `False`, and `route("ana", 100, "release 7")` is `True`.


# %% exercise="6.4"
def route(user_id, weight, salt):
    """True if this user gets the new version."""
    ### BEGIN SOLUTION
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).hexdigest()
    place = int(digest[:8], 16) / 16**8 * 100
    return place < weight
    ### END SOLUTION


# %% check="6.4"
lesson.check("6.4")

# %% [markdown]
# ## A judge that knows "no data"
#
# **First: no data counts as a pass.** In the night rollout the canary gets 5% of the users, then 10%, then 20%:

# %%
night = rollout.traffic(queueing.poisson(1 / 60, duration=5400, random_state=3), users=200, random_state=3)
broken = rollout.Version("v2", rollout.Behavior(error_rate=0.5))
ramp = rollout.Canary(step_weights=[5, 10, 20], interval=60, threshold=1)


def rash_judge(metrics):
    """Fails above 3% errors. Without requests it sees no errors."""
    errors = metrics.values("error", "canary")
    return "fail" if len(errors) and errors.mean() > 0.03 else "pass"


for name, judged in {"rash": rash_judge, "patient": simple_judge}.items():
    run = rollout.replay(night, (v1, broken), ramp, judged, 1)
    print(f"{name}: {run.phase}, {run.requests_exposed} of {len(night)} requests. {run.reason}")

# %% [markdown]
# The rash judge lets the rollout **promote** the version: all users get it. The patient one paused, so that people can decide. **Too little traffic is an outcome of its own.**
#
# **Second: the wrong comparison.** Between minutes 5 and 10 the network fails for both versions. v2 is better:

# %%
outage = rollout.Symptom(error_rate=0.3, after=300, until=600)
old = rollout.Version("v1", rollout.Behavior(error_rate=0.02, symptoms=outage))
better = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=outage))
careful = rollout.Canary(step_weights=[5, 10, 25, 50], interval=180, threshold=1)
difference = rollout.ThresholdJudge({"error_rate": (None, 0.02)}, relative="difference", min_requests=100)
for name, judged in {"below 3%": simple_judge, "at most 2 points above v1": difference}.items():
    run = rollout.replay(trace, (old, better), careful, judged, 1)
    print(f"{name}: {run.phase}. {run.reason}")

# %% [markdown]
# A fixed threshold blames the release for every outage. Compare with the old version **in the same minutes:** it is the control group.
#
# **Third: the mean of everything.** v2 crashes on half of the flights from LGA, and is better elsewhere. `BySegment` judges each **segment**, a part of the requests such as one airport:

# %%
local = rollout.Symptom(error_rate=0.5, where={"origin": "LGA"})
one_airport = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=local))
usual = rollout.Version("v1", rollout.Behavior(error_rate=0.04))
relative = rollout.ThresholdJudge({"error_rate": (None, 0.08)}, relative="difference", min_requests=50)
for name, judged in {
    "all requests": relative,
    "each airport": rollout.BySegment("origin", relative),
}.items():
    run = rollout.replay(trace, (usual, one_airport), careful, judged, 1)
    print(f"{name}: {run.phase}, {run.users_harmed} users harmed. {run.reason}")

# %% [markdown]
# *Change this and run again:* let it crash at `"EWR"`, which has half of the requests. Does the mean see it now?
#
# ### Exercise 6.5 · Write the judge
# *5 points · 9 minutes*
#
# Write `judge(stable, canary)`. It returns `(outcome, reason)`, two texts.
#
# - Both arguments are dicts, airport -> summary, with the same airports (one or more, any order, any names).
# - A summary is a dict with `requests`, `errors` (counts) and `latency_p99` (ms, `None` without requests). Stable has at least 100 requests at each airport.
# - The outcome is `"fail"` if *any* airport with at least 100 canary requests is too bad. That means more than 2 percentage points more errors than stable there, or a p99 more than 1.5
#   times stable's. Exactly 2 points or 1.5 times is allowed.
# - The reason of a failure names an airport that fails, and none that does not. Any other reason may be any text.
# - Otherwise it is `"nodata"` if any airport has fewer than 100 canary requests, whatever these show.
# - Otherwise it is `"pass"`.
#
# For example, stable is `{"JFK": {"requests": 360, "errors": 7, "latency_p99": 212.0}}` and canary `{"JFK": {"requests": 120, "errors": 9, "latency_p99": 230.0}}`. Then `("fail", "JFK:
# more errors")` is right: 1.9% and 7.5%.


# %% exercise="6.5"
def judge(stable, canary):
    """(outcome, reason), the outcome one of "pass", "fail", "nodata"."""
    ### BEGIN SOLUTION
    waiting = []
    for airport, new in canary.items():
        before = stable[airport]
        if new["requests"] < 100:
            waiting.append(f"{airport} has {new['requests']} requests")
            continue
        worse = new["errors"] / new["requests"] - before["errors"] / before["requests"]
        if worse > 0.02:
            return "fail", f"{airport}: error rate {100 * worse:.1f} points above the old version's"
        if new["latency_p99"] > 1.5 * before["latency_p99"]:
            return "fail", f"{airport}: p99 is {new['latency_p99']} ms, before {before['latency_p99']} ms"
    if waiting:
        return "nodata", ", ".join(waiting) + "; 100 are needed"
    return "pass", "each airport is within limits"
    ### END SOLUTION


# %% check="6.5"
lesson.check("6.5")

# %% [markdown]
# ### Try it
#
# Choose a fault, a plan, and how many requests the judge wants from each airport. An airport with fewer does not stop it.
#
# - *one airport* with 40, 100 and 300: which airport does the judge never check?
# - *none* with 40 and 100: is a good version sent back?
# - *after 20 minutes* with 100: who is still watching?

# %%
from mlprod_helpers.explore import rollout_explorer

rollout_explorer()

# %% [markdown]
# <details><summary>What you can find here</summary>
#
# With 40, luck sends the good version back (on 12 other draws of the traffic: once). With 100 the fault at LGA gets through, because LGA never has 100 requests before a check passes.
# With 300 the canary pauses again and again. On 7 of the 12 draws it was not finished after 50 minutes. A promoted canary does not see what begins later.
#
# </details>

# %% [markdown]
# ## Looking often
#
# The **standard error** is the typical size of a difference by luck alone. A **z-score** is the measured difference divided by it. If versions are equal, |z| is above 1.96 in 5% of the
# cases, *at one look*.
#
# A judge looks five times at growing data of two *equal* versions. It rolls back at the first |z| above 1.96. **How often is it wrong?**

# %%
lesson.predict("false rollbacks with five looks", ...)  # a number between 0 and 1

# %%
looks, rollouts_drawn = 5, 20_000
steps_of_data = np.random.default_rng(5).normal(size=(rollouts_drawn, looks))
z = steps_of_data.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
beyond = np.abs(z) > 1.96
lesson.recall("false rollbacks with five looks", round(float(beyond.any(axis=1).mean()), 2))

# %%
pictures.looks(z)

# %% [markdown]
# One in seven is stopped for nothing. To test growing data again and again is called **peeking**. But if you look only at the end, a bad version runs to
# the end. So look often and **raise the bar:** all looks together may be wrong in 5%.
#
# *Change this and run again:* set `looks = 20`. How many of the 60 lines cross the bar now?
#
# ### Exercise 6.6 · The impatient judge
# *4 points · 9 minutes*
#
# A colleague's judge has this bar:


# %%
def colleagues_bars(looks):
    """|z| beyond which to roll back, at each look."""
    return [1.96] * looks


# %% [markdown]
# Repair it. Write `bars(looks)`. It returns the bar at each look, as a list or array of `looks` numbers.
#
# - `looks` is a whole number from 1 on, of equally spaced looks. The judge stops at the first |z| beyond its bar.
# - *All looks together* stop 3 to 6% of the versions that are as good as the old one.
# - A bad version (z is 3 on average at the last look) is found at least 0.9 times as often as with the best bar that stays the same.
# - A very bad one (6 on average) is stopped in at least 60% of the rollouts once 60% of the looks are done, rounded up. This does not count for one or two looks.
# - You may simulate. A little noise is fine.
#
# For example, `bars(1)` may return `[1.96]`.


# %% exercise="6.6"
def bars(looks):
    """The bar of |z| at each look: a list or array of as many numbers."""
    ### BEGIN SOLUTION
    steps = np.random.default_rng(0).normal(size=(20_000, looks))
    z_of_looks = steps.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
    largest = np.abs(z_of_looks).max(axis=1)
    return np.full(looks, np.quantile(largest, 0.95))
    ### END SOLUTION


# %% check="6.6"
lesson.check("6.6")

# %% [markdown]
# ### Stretch: Other bars, and repeated users
#
# <details><summary>Which bars are in use?</summary>
#
# *Pocock's* bar is the same at each look. *O'Brien and Fleming's* is very high at first and nearly 1.96 at the end. The *mSPRT* allows a look at any time. The next cell tries each on
# 4,000 rollouts of equal versions, and on 4,000 of a bad version that a single test finds in 80%.
#
# `requests` is the share of the planned data that was used when a bad version was stopped. None is best: to stop early costs power, and freedom to look at any time costs the most.
#
# </details>

# %% collapsed=true
# False rollbacks, power and requests used, for five tests
rollout.operating_characteristics(runs=4_000, random_state=0).round(2)

# %% [markdown]
# <details><summary>What if users come again?</summary>
#
# A user with a slow phone is slow each time, so requests are not independent. Compare the means of *users*, as the course's judges do with `by_user=True`. The next cell draws 1,000
# rollouts of equal versions: 100 users each, 20 requests a user, a correlation of 0.05 between the requests of one user.
#
# The variance is larger by the **design effect**, 1 + (requests a user − 1) × correlation = 1.95. So the bar of 1.96 is only 1.40 standard errors away, and 16% are beyond it.
# `requests_needed` below must be multiplied by it, too. The shop's log has no users, so its p-value is too small if anything.
#
# </details>

# %% collapsed=true
# False alarms if requests are counted, and if users are counted
dice, alarms, effects = np.random.default_rng(6), [], []
users = [np.repeat(np.arange(100), 20), np.repeat(np.arange(100, 200), 20)]
for _ in range(1_000):
    # a beta law of a + b = 19: requests of one user have a correlation of 1 / (19 + 1)
    arms = [dice.binomial(1, np.repeat(dice.beta(1.9, 17.1, size=100), 20)) for _ in range(2)]
    z_requests, z_users = rollout.z_score(*arms)[0], rollout.z_score(*arms, users=users)[0]
    alarms.append([abs(z_requests) > 1.96, abs(z_users) > 1.96])
    effects.append(rollout.design_effect(*arms, users))
print(f"variance with users over variance without: {np.mean(effects):.2f} on average")
pd.Series(np.mean(alarms, axis=0), index=["requests counted", "users counted"], name="false alarms").round(3)

# %% [markdown]
# ## How long must it run?
#
# The **power** of a test is the chance that it finds a difference that is there. To find that a rate $p$ became $q$, each version (each *arm*) needs about
#
# $$n \approx \frac{(z_{0.975} + z_{\text{power}})^2 \, \bigl(p(1-p) + q(1-q)\bigr)}{(q-p)^2}$$
#
# requests. $z_{0.975} = 1.96$ is the bar, and $z_{\text{power}}$ the margin above it, 0.84 for a power of 80%.

# %%
cases = {
    "errors 1% to 6%": (0.01, 0.06),
    "errors 1% to 2%": (0.01, 0.02),
    "errors 1% to 1.2%": (0.01, 0.012),
    "clicks 5% to 6.05%": (0.05, 0.0605),
}
needed = pd.Series({name: rollout.requests_needed(p, q) for name, (p, q) in cases.items()})
pd.DataFrame({"requests an arm": needed, "hours at one a second": (needed / 3600).round(1)})

# %% [markdown]
# A breakage is found in minutes. A small difference takes half a day.
#
# *Change this and run again:* put 0.011 in place of 0.012. How many more requests does half the difference need?
#
# ### Exercise 6.7 · How long must it run?
# *4 points · 6 minutes*
#
# Write two functions:
#
# - `views_needed(p, lift, power)` returns the views that *one* arm needs, two-sided at 5%. `p` and `power` are shares. `lift` is relative: 0.21 is 21% more, −0.1 is 10% less. Within 5% of
#   the formula is enough.
# - `hours_needed(views, rate, percent)` returns the hours until a canary with `percent` percent of `rate` views a second has that many. Do not round.
#
# For example, `views_needed(0.01, 1, 0.8)` is about 2,319, `hours_needed(2319, 20, 5)` about 0.644. Then try a click rate of 0.43%, a lift of 21%, a power of 80%, and 5% of 20 views
# a second.

# %%
from statistics import NormalDist


# %% exercise="6.7"
def views_needed(p, lift, power):
    """Views an arm needs."""
    ### BEGIN SOLUTION
    q = p * (1 + lift)
    z_bar, z_power = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(power)
    return (z_bar + z_power) ** 2 * (p * (1 - p) + q * (1 - q)) / (q - p) ** 2
    ### END SOLUTION


def hours_needed(views, rate, percent):
    """Hours until the canary has its views."""
    ### BEGIN SOLUTION
    return views / (rate * percent / 100) / 3600
    ### END SOLUTION


# %% check="6.7"
lesson.check("6.7")

# %% [markdown]
# It takes 25 hours to see the gain of the shop, which had a third of the views that it needed. So **a canary looks for what breaks, in minutes. An A/B test asks what users like, for
# days.**
#
# <details><summary>Compared with which group?</summary>
#
# Here with an equally large group of the old version, as *Kayenta* recommends. Against *all* of the old traffic about half as many canary views are enough.
#
# </details>

# %% [markdown]
# ## The plan and the judge
#
# The service gets 5 requests a second, and its old version fails in 5% of them. Five sealed versions come to your rollout, for an hour each:
#
# | version | what it does |
# | --- | --- |
# | good | fails in about 2% |
# | good but noisy | fails less, p99 about 320 ms instead of 200, a network outage for both versions |
# | bad | fails in about 20% |
# | slow | fails less, but takes four times as long |
# | bad for one airport | fails in about 40% at one airport (12% of all requests), better elsewhere |
#
# A request goes wrong when it fails or takes longer than 500 ms. What users have at the end of the hour, they keep for three more hours.
#
# | what you do | what it costs |
# | --- | --- |
# | let a bad version through | the requests that it harmed |
# | send a good one back, or wait | the requests that it would have saved |
#
# Three simple answers, on practice versions:

# %%
from mlprod_helpers.rollout import rehearsal

world = rehearsal.draw_world(np.random.default_rng(1))


def example_plan():
    """Three small steps, a minute each, then everybody."""
    return {"strategy": "canary", "step_weights": [1, 2, 3], "interval": 60}


def never_looks(stable, canary):
    """A judge with the arguments of yours."""
    return "pass", "no look"


names = ["1, 2, 3%, nobody looks", "big bang", "never release"]
pd.DataFrame(rehearsal.costs(example_plan, never_looks, world), index=names).T

# %%
hour = rehearsal.rehearse(example_plan, never_looks, world, "bad")  # see each decision of one hour
first = hour.over_time(60)["weight"].head(4).to_list()
print("weight in the first minutes:", first, "percent;", hour)

# %% [markdown]
# *Change this and run again:* set `interval` to 300. What does a good version cost?
#
# ### Exercise 6.8 · The plan and the judge
# *7 points · 14 minutes*
#
# Write `plan()` and `release_judge(stable, canary)`. `plan()` returns a dict:
#
# | key | for | value |
# | --- | --- | --- |
# | `strategy` | all | `"canary"`, `"blue_green"`, `"big_bang"` or `"shadow"` |
# | `interval` | all | seconds between checks, at least 60 |
# | `threshold` | all | the failed check that ends the rollout. The rollback comes one check later |
# | `step_weights` | canary | list of percent (or `step_weight` and `max_weight`) |
# | `preview`, `copies` | blue_green | seconds before the switch, percent of requests copied until then |
# | `keep_old` | blue_green | seconds with the old fleet |
# | `watch` | not canary | seconds of checks after the switch, when *stable* has no requests |
#
# `release_judge` is like the judge of 6.5, over the time since the last check that had enough data. Summaries also have `latency_p50` (half are faster) and `error_rate`, both `None`
# without requests.
#
# Each version runs for an hour, *good* for two, *good but noisy* and *bad for one airport* for three:
#
# | rule | limit |
# | --- | --- |
# | cost with each version | 5% of the big bang's or 35% of never releasing, whichever is more |
# | *good* or *bad* over the limit | a quarter of the points at most |
#
# For example, `example_plan` and `never_looks` have the right form. Try `rehearsal.costs(plan, release_judge, world)`. One hour: `rehearsal.rehearse(plan, release_judge, world, "good").plot()`.


# %% exercise="6.8"
def plan():
    """The plan, as a dict."""
    ### BEGIN SOLUTION
    return {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1}
    ### END SOLUTION


def release_judge(stable, canary):
    """(outcome, reason) from summaries by airport; the outcome is "pass", "fail" or "nodata"."""
    ### BEGIN SOLUTION
    for airport, new in canary.items():
        before = stable[airport]
        n, m = before["requests"], new["requests"]
        if min(n, m) < 15:
            return "nodata", f"{airport}: {m} requests of the new version"
        both = (before["errors"] + new["errors"]) / (n + m)
        luck = (both * (1 - both) * (1 / n + 1 / m)) ** 0.5
        worse = new["error_rate"] - before["error_rate"]
        # three airports, some checks, two good versions: 3.5 keeps luck out
        if worse > 3.5 * luck:
            return "fail", f"{airport}: {100 * worse:.0f} points more errors than the old version"
        if new["latency_p50"] > 2 * before["latency_p50"]:
            return "fail", f"{airport}: half of the answers take longer than {new['latency_p50']:.0f} ms"
    return "pass", "no airport is worse than luck explains"
    ### END SOLUTION


# %% check="6.8"
lesson.check("6.8")

# %% [markdown]
# A good judge waits for data, compares in the same minutes, looks at each part, and asks for more than luck.

# %% collapsed=true
# A plan in the words of Flagger and HAProxy; Argo Rollouts says what it lacks
small_steps = rollout.Canary(step_weight=10, max_weight=50, interval=60, threshold=2)
print(small_steps.to_flagger("eta")["spec"]["analysis"])
try:
    small_steps.to_argo("eta")
except ValueError as error:
    print("Argo Rollouts:", error)
print(small_steps.to_haproxy())

# %% [markdown]
# ## What you have seen
#
# | failure | how to see it | what to do |
# | --- | --- | --- |
# | slow canary, nobody watching | add up the exposure | automatic checks |
# | flipping users | users with two versions | hash of user and release |
# | promoted without data | requests of the last check | pause |
# | sent back by an outage | the old version failed alike | compare in the same minutes |
# | lost in the mean | error rate by segment | judge each part |
# | sent back by luck | repeat with equal versions | raise the bar |
# | blind to small change | requests needed | A/B test |
# | no way back | rehearse the rollback | keep blue, change schemas in steps |
#
# <details><summary>Other names, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | `Canary(step_weight, max_weight, interval, threshold)` | Flagger: `stepWeight`, `maxWeight`, `interval`, `threshold`; Argo Rollouts: `setWeight`, `pause`, `analysis` |
# | Progressing, Paused, Degraded, Healthy; abort, promote | the same in Argo Rollouts |
# | `keep_old` of blue-green | Argo Rollouts: `scaleDownDelaySeconds` |
# | shadow | mirroring (Istio, Flagger), dark launch; MLflow and cloud platforms: shadow or champion/challenger |
# | judge, `nodata` | Argo: AnalysisRun with `Inconclusive`; Kayenta: Pass, High, Low, Nodata (`MannWhitneyJudge`) |
# | error rate, p99 of a version | Prometheus: `rate(...{code=~"5.."}[1m])`, `histogram_quantile(0.99, ...)` |
# | split by user and salt | feature flags: bucketing; A/B platforms: experiment seed |
#
# `Plan.from_dict(plan())` of `mlprod_helpers.rollout` writes your plan for other tools: `to_flagger("eta")`, `to_argo("eta")`, `to_haproxy`. Where a tool lacks what the plan asks for,
# the method says so. In Flagger your judge becomes a list of `metrics`, in Argo Rollouts an AnalysisTemplate.
#
# Left out: a real router (lesson 09), the mathematics of always-valid tests (see `msprt`), and Kayenta's rank test (`MannWhitneyJudge`).
#
# **Sources.** Y. Saito et al., Open Bandit Dataset and Pipeline, arXiv 2008.07146 (sample in *obp* 0.4.1, Apache-2.0; the terms of the full data, "for research uses", were not
# examined further). P. Armitage, C. K. McPherson, B. C. Rowe, *JRSS A* 132, 1969. S. J. Pocock, *Biometrika* 64, 1977. P. C. O'Brien, T. R. Fleming, *Biometrics* 35, 1979. R. Johari
# et al., Always Valid Inference, *Operations Research* 70, 2022. Flagger and Argo Rollouts, documentation; Netflix and Google, Kayenta. R. Kohavi, D. Tang, Y. Xu, *Trustworthy Online
# Controlled Experiments*, 2020.
#
# </details>

# %% [markdown]
# ## At work
#
# *scipy* judges the shop's learned choice by campaign. At scale, Flagger or Argo Rollouts moves the users.

# %%
import json

from scipy.stats import fisher_exact

from mlprod_helpers.datasets import load_clicks

shown = load_clicks().groupby(["campaign", "policy"], observed=True)["click"].agg(["size", "sum"])
campaigns = list(shown.index.unique("campaign"))
for campaign in campaigns:
    (n_old, old_clicks), (n_new, new_clicks) = shown.loc[(campaign, "random")], shown.loc[(campaign, "bts")]
    table = [[new_clicks, n_new - new_clicks], [old_clicks, n_old - old_clicks]]
    p = fisher_exact(table, alternative="less").pvalue  # is the new one worse?
    enough = min(old_clicks, new_clicks) >= 30
    verdict = "nodata" if not enough else "fail" if p < 0.05 / len(campaigns) else "pass"
    print(f"{campaign}: {old_clicks} clicks before, {new_clicks} now, p = {p:.2f}: {verdict}")

success = {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}
analysis = {"interval": "5m", "threshold": 2, "stepWeight": 10, "maxWeight": 50, "metrics": [success]}
canary_of_flagger = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "eta"}}
print(json.dumps(canary_of_flagger | {"spec": {"analysis": analysis}}, indent=1))

# %% [markdown]
# ## Recap
#
# <details><summary>A check passed, but the new version answered three requests. What now?</summary>
#
# Do not count it as a pass. Wait for more traffic, copy requests in a shadow, or use blue-green and watch all users for a short time.
#
# </details>
#
# <details><summary>Errors rise during a rollout. Is the new version the cause?</summary>
#
# Compare the new version with the old one in the same minutes, in each segment. If both fail alike, it is an outage.
#
# </details>
#
# <details><summary>Why not test at 5% once a minute?</summary>
#
# Each look is another chance for luck. With five looks, 14% of equal versions are stopped. Raise the bar so that all looks together are wrong in 5%.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
