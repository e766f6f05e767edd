# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "06"
#   title: Deployment strategies
#   minutes: 95
#   express: 45
#   needs: ["05"]
#   ideas: [exposure, the sticky split, a judge that knows "no data", peeking and power]
#   topics: [deployment]
# ---

# %% [markdown]
# # Deployment strategies
#
# > **A new ranking brought 21 % more clicks, and after 60,000 views nobody could tell it from luck.** A fashion shop showed items chosen at random (30,000 views, 130 clicks) and items chosen
# > by a learning policy (30,000 views, 157 clicks). Shuffle who saw which, and a gap as large comes up in one shuffle of eight: p = 0.12.
#
# Was the release a good one? Nobody knows. It may have helped, and a release that costs 17 % of the clicks would have looked just as harmless. Releases meet their users like this every day. This lesson is about
# letting few users find out, about a judge that says "I do not know yet", and about counting what both cost.

# %% [markdown]
# ## What you will do
#
# In 95 minutes (about 35 of reading and running, 60 of exercises) you will
#
# - **a** choose between big bang, shadow, canary, blue-green and A/B test, and count the harm that each allows,
# - **b** split users so that each of them always meets the same version,
# - **c** write a judge that compares, looks at parts, and knows when it knows nothing,
# - **d** say how long a canary must run, and what looking too early costs,
# - **e** put a plan and a judge together, scored on versions you have not seen.
#
# You need lesson 05, or: what p99 and a request log are. **Express, 45 minutes:** the sections *Sixty thousand views*, *One trace, four strategies* with exercise 6.1, *A judge that knows "no data"* with 6.5,
# *The cockpit*, and *The plan and the judge* with 6.8.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("06", edition=2)

# %% [markdown]
# ## Sixty thousand views
#
# The data first. Two *policies* chose what to show: `random`, and `bts`, which had learned from earlier clicks. One row is one item shown to one visitor; `click` is 1 or 0.

# %%
from mlprod_helpers.datasets import load_clicks

clicks = load_clicks()
rates = clicks.groupby("policy", observed=True)["click"].agg(["size", "sum", "mean"]).loc[["random", "bts"]]
rates.assign(percent=(100 * rates["mean"]).round(3)).drop(columns="mean")

# %% [markdown]
# 0.523 % against 0.433 %: a fifth more. **Could that be luck?** If the policy made no difference, the 287 clicks fell on the two halves by chance alone. So shuffle which view belonged to which
# policy and count again. In what share of the shuffles will the gap be at least as large, in either direction?

# %%
lesson.predict("shuffles with a gap as large", ...)  # a number between 0 and 1

# %%
import numpy as np

rng = np.random.default_rng(0)
views, total = 30_000, int(rates["sum"].sum())
# dealing 287 clicks to two halves of 30,000 views each
to_random = rng.hypergeometric(views, views, total, size=200_000)
gaps = 100 * (total - 2 * to_random) / views
seen = 100 * (157 - 130) / views
as_large = np.abs(gaps) >= seen - 1e-9
lesson.recall("shuffles with a gap as large", round(float(as_large.mean()), 2))

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

edges = 100 * np.arange(-82, 83, 4) / views  # two possible gaps a bar; the real one begins a bar
fig, ax = plots.figure()
ax.hist(gaps[~as_large], bins=edges, color=plots.GREY)
ax.hist(gaps[as_large], bins=edges, color=plots.ORANGE)
ax.axvline(seen, color=plots.INK, linewidth=1.5)
ax.set(xlabel="gap of the click rates after a shuffle, percentage points", ylabel="shuffles of 200,000")
plots.name_colors(ax, {"smaller": plots.GREY, "at least as large as the real gap": plots.ORANGE})
show(
    fig,
    alt=f"Gaps of 200,000 shuffles, a hill around 0. The real gap of {seen:.2f} points, a black line, stands on its slope: "
    f"{as_large.mean():.0%} of the shuffles are at least as far out, on both sides.",
)

# %% [markdown]
# The line stands on the slope of the hill, not beside it. An exact test says the same without shuffling. And each of the three campaigns by itself:

# %%
import pandas as pd
from scipy.stats import fisher_exact

by_campaign = {}
for name, rows in [("all three", clicks), *clicks.groupby("campaign", observed=True)]:
    table = pd.crosstab(rows["policy"], rows["click"]).loc[["random", "bts"]]
    a, b = table[1]
    by_campaign[name] = {"views": len(rows), "random": a, "bts": b, "p": round(fisher_exact(table).pvalue, 3)}
pd.DataFrame(by_campaign).T.astype({"views": int, "random": int, "bts": int})

# %% [markdown]
# In the men's campaign half as many clicks again, p = 0.039; in the women's 46 against 46. Is the men's campaign a discovery? Three campaigns were three chances for a small p, and the smallest of three must
# be below 0.017 to mean what one below 0.05 means. It is a reason to measure again. **The rest of the lesson has to live with such numbers:** a version that is better or worse by a fifth is invisible to most rollouts. What they *can* see is what
# breaks: errors, slowness, nonsense. So we begin with harm.
#
# ## One trace, four strategies
#
# The ETA service has a new version that fails in 6 % of the requests, where the old one fails in 1 %. Nobody knows yet. Four ways to release it:
#
# - **Big bang**: everybody gets it at once, in place of the old one. The way back is to deploy the old version again, which takes 10 minutes here.
# - **Blue-green**: a second full fleet (green) starts beside the old one (blue), then all users are switched. As long as blue is kept warm, the way back is one switch.
# - **Canary**: a few users get it, more after each passed check.
# - **Shadow**: it gets copies of the requests; its answers are logged and thrown away.
#
# A **judge** looks at the log once a minute. The same simple one for all: fail when the new version's error rate is above 3 %; below 100 requests, wait. The second failed check ends the rollout. And since this is a replay, **the
# same requests come with the same luck in each of the four**: what differs is who met which version.
#
# How many users will each harm? Put them in order before you run.

# %%
lesson.predict("most users harmed", ...)  # "big bang", "blue-green", "canary" or "shadow"

# %%
from mlprod_helpers.queueing import poisson
from mlprod_helpers.rollout import Behavior, BigBang, BlueGreen, Canary, Shadow, Version, traffic

airports = {"EWR": 0.5, "JFK": 0.38, "LGA": 0.12}
arrivals = poisson(20, duration=5400, random_state=0)  # 20 requests a second for 90 minutes
trace = traffic(arrivals, users=5000, segments={"origin": airports}, random_state=0)
versions = Version("v1", Behavior(error_rate=0.01)), Version("v2", Behavior(error_rate=0.06))
plans = {
    "big bang": BigBang(interval=60, threshold=2, redeploy=600),
    "blue-green": BlueGreen(interval=60, threshold=2, keep_old=600),
    "canary": Canary(step_weights=[5, 10, 25, 50], interval=60, threshold=2),
    "shadow": Shadow(interval=60, threshold=2),
}

# %%
from mlprod_helpers.rollout import ThresholdJudge, compare

simple_judge = ThresholdJudge({"error_rate": (None, 0.03)}, min_requests=100)
four = compare(trace, versions, plans, simple_judge, random_state=1)
four.table[["phase", "users_harmed", "requests_harmed", "detect", "roll_back", "extra_server_hours"]].round(1)

# %%
four.plot()

# %%
lesson.recall("most users harmed", four.table["users_harmed"].idxmax())

# %% [markdown]
# **Harmed** is a request that failed and would not have failed with the old version; `detect` and `roll_back` are minutes from the first of them. `phase` uses the words of Argo Rollouts: *Degraded* means that the
# release was aborted and the users are back on the old version. `roll_back` is one check later than you may expect, because here, as in Flagger, the rollback comes with the check after the last failed one.
# `extra_server_hours` are the hours of servers beyond one fleet. Three things to read off:
#
# 1. Big bang and blue-green *detect* in the same minute. The difference is the way back: ten minutes against none.
# 2. The canary detects later and harms far fewer. It had 55 requests after the first minute, and its judge waited for more.
# 3. The shadow harms nobody and finds the same. It takes a second fleet, and there are things that it cannot see; they come below.
#
# Each decision has its reason in words. Somebody will ask for it at three in the morning:

# %%
for second, reason in four.results["canary"].timeline["reason"].items():
    print(f"{second / 60:3.0f} min  {reason}")

# %% [markdown]
# ### Exposure
#
# What a bad version costs is its **exposure**: the share of the users times the time. Everybody for 2 minutes are as many requests as one user in twenty for 40:

# %%
from mlprod_helpers.rollout import replay


def asleep(metrics):
    """A judge that never looks."""
    return "pass"


short = replay(trace, versions, BlueGreen(watch=0, keep_old=3600), asleep, 1, operator={120: "abort"})
long = replay(trace, versions, Canary(step_weights=[5], interval=5000), asleep, 1, operator={2400: "abort"})
pd.DataFrame(
    {
        name: [run.requests_exposed, run.requests_harmed, run.users_harmed]
        for name, run in {"100 % for 2 min": short, "5 % for 40 min": long}.items()
    },
    index=["requests exposed", "requests harmed", "users harmed"],
)

# %% [markdown]
# The exposure is the same, and so is the harm, but for luck. A canary is no smaller by itself: a slow one with nobody watching is a big bang in installments. It is small when it ends early. (And its harm falls on fewer
# people, who meet it again and again.)
#
# **A worked example: the exposure of a ramp**, in seconds of the full traffic. A ramp is a list of steps, `(minutes, percent)`:


# %%
def exposure(steps):
    """Seconds of the full traffic that the new version got."""
    return sum(60 * minutes * percent / 100 for minutes, percent in steps)


exposure([(2, 100)]), exposure([(40, 5)]), exposure([(10, 5), (10, 20)])

# %% [markdown]
# ### Exercise 6.1 · Count the harm
# *Core · 3 points · 5 minutes*
#
# Write `harm(steps, rate, old_error, new_error)`: how many *more* requests fail, on average, than if everybody had kept the old version?
#
# - `steps` is a list of `(minutes, percent)` as above. Both may be fractions, and the list may be empty.
# - `rate` is in requests a second, and the errors are shares (0.06 is 6 %).
# - A request that the old version would have failed too is no harm of the new one. If the new version fails less often, the result is negative.
# - Return the number without rounding it. Everybody for 2 minutes, at 20 requests a second, with errors of 0.01 and 0.06, gives 120.


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
# ### The way back, and where it ends
#
# Two limits of every rollback. **Time:** blue is warm for some minutes, then it is scaled down, because two fleets cost twice. A fault that shows only after 15 minutes finds blue gone:

# %%
from mlprod_helpers.rollout import Symptom

leak = Version("v2", Behavior(error_rate=0.01, symptoms=Symptom(error_rate=0.2, after=900)))
kept = {f"blue kept {m} min": BlueGreen(keep_old=60 * m, watch=2400, threshold=2) for m in (10, 30)}
late = compare(trace, (versions[0], leak), kept, simple_judge, random_state=1)
late.table[["users_harmed", "detect", "roll_back"]].round(1)

# %% [markdown]
# **State:** code goes back, data do not. What the new version has written stays written. Here v2 stores the air time in seconds under a new name, and v1 reads what it finds:

# %%
store = [{"flight": "UA1", "air_time": 152}, {"flight": "B6 7", "air_time_s": 9_120}]  # the second row by v2
readable = [row for row in store if "air_time" in row]
print(f"v1 reads {len(readable)} of {len(store)} rows after the rollback")

# %% [markdown]
# A rollback is only a rollback if the old version can live with what the new one left behind. So change a schema in three releases: first write both names, then read the new one, and drop the old name only when no version that you might go back to needs it. Messages that
# were sent and prices that were charged are worse: no switch takes them back.
#
# ### Which rollout for what?
#
# One more way is often mixed up with the canary, since both split users. An **A/B test** asks *which version is better, and by how much?* It runs for as long as that takes. A **canary** asks *must I stop?*, as soon as possible.
#
# | strategy | users meet it | way back | finds | costs |
# | --- | --- | --- | --- | --- |
# | big bang | all, at once | redeploy | what breaks, on everybody | nothing extra, unless it has to be redeployed (then two fleets for that time: 1.7 server-hours above) |
# | blue-green | all, at once | one switch, while blue is warm | what breaks, on everybody, briefly | a second fleet |
# | canary | few, then more | one switch | what breaks, on few | time; two versions at once |
# | shadow | nobody | not needed | errors, latency, other answers | a second fleet |
# | A/B test | half, say, for weeks | one switch | what users prefer | weeks; two versions at once |
#
# ### Exercise 6.2 · Which rollout?
# *4 points · 4 minutes*
#
# Choose the strategy that fits each release best.

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
# ### What a shadow cannot see
#
# Copies are answered by real code on real machines. But the loop through the world is cut: nobody sees the answer, so nobody reacts to it. Three faulty versions, each in the shadow for 30 minutes:

# %%
calm = Version("v1", Behavior(error_rate=0.01, click_rate=0.05))
faulty = {
    "fails more often": Behavior(error_rate=0.06, click_rate=0.05),
    "three times as slow": Behavior(error_rate=0.01, click_rate=0.05, latency_ms=240),
    "half the clicks": Behavior(error_rate=0.01, click_rate=0.025),
}
shadowed = {}
for name, behavior in faulty.items():
    log = replay(trace, (calm, Version("v2", behavior)), Shadow(), asleep, 1).log
    log = log[log["time"] < log["time"].iloc[0] + pd.Timedelta(minutes=30)]
    of = log.groupby("version")
    shadowed[name] = {
        "errors (%)": 100 * of["status"].apply(lambda status: (status >= 500).mean()),
        "p99 (ms)": of["latency_ms"].quantile(0.99),
        "clicks (%)": 100 * of["clicked"].mean(),
    }
pd.concat({name: pd.DataFrame(columns).T for name, columns in shadowed.items()}).round(1)

# %% [markdown]
# Two of the three show plainly. In the last block v2 has no clicks, and neither has it in the other two: that is not a finding, it is the shadow itself. The old version's column is what users did with *its* answers.
#
# ### Exercise 6.3 · What can a shadow see?
# *Stretch · 4 points · 4 minutes*
#
# Eight faults of a new version: would a day in the shadow make it `"visible"`, leave it `"hidden"`, or does the shadow itself do harm (`"harms users"`)?

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
# "5 % of the requests" is easy: throw a die at each one. Over the 40 minutes of the slow canary above, what share of the 5,000 users meets *both* versions then?

# %%
lesson.predict("users who meet both versions", ...)  # a number between 0 and 1

# %%
first_40 = trace[trace["time"] < trace["time"].iloc[0] + pd.Timedelta(minutes=40)]
die = np.random.default_rng(2).random(len(first_40)) < 0.05
met = pd.Series(die).groupby(first_40["user_id"].to_numpy()).agg(["min", "max"])
lesson.recall("users who meet both versions", round(float((met["max"] & ~met["min"]).mean()), 2))

# %% [markdown]
# A user who flips between two versions sees the ETA jump, and when they click, nobody can say which version they liked. So a split should be **sticky**: the user decides, not the request. Each user has a place on a line from 0 to 100, computed
# from their name, and the canary has the beginning of that line. Nothing is stored, and any router on any machine computes the same.
#
# **A worked example: a place for each name.** A *hash* such as SHA-256 turns a text into digits that look random and are always the same:

# %%
import hashlib


def lucky_number(name):
    """A whole number from 0 to 9 for each name, always the same one."""
    digest = hashlib.sha256(name.encode()).hexdigest()  # 64 digits, 0 to 9 and a to f
    return int(digest[:8], 16) % 10


print({name: lucky_number(name) for name in ("ana", "ben", "cem", "dia")})
pd.Series([lucky_number(f"user {i}") for i in range(10_000)]).value_counts().sort_index().to_list()

# %% [markdown]
# Ten nearly equal groups. (Python's own `hash("ana")` will not do: for texts it is different in each process.)
#
# ### Exercise 6.4 · A sticky split
# *4 points · 8 minutes*
#
# Write `route(user_id, weight, salt)`: `True` if this user gets the new version when it has `weight` percent of the users.
#
# - `user_id` is a text, and `weight` a whole number from 0 (nobody) to 100 (everybody). Each percent more adds about 1 % of the users.
# - The same user, weight and salt give the same answer, in every process and on every machine.
# - When the weight grows, nobody may be sent back.
# - `salt` is a text, such as the name of the release. Another salt puts each user at a place that has nothing to do with the first one.


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
# Why the salt: without it the same 5 % of the users would test every release you ever make. Within a release it must stay the same, or the ramp from 5 to 10 % exchanges users instead of adding some.
#
# ## A judge that knows "no data"
#
# The judge decides, and judges fail in three typical ways. **First: silence taken for consent.** At night the display gets one request a minute, and the new version crashes on *half* of those it gets. 5 % of the users get it, then 10, then 20:

# %%
night = traffic(poisson(1 / 60, duration=5400, random_state=3), users=200, random_state=3)
broken = Version("v2", Behavior(error_rate=0.5))
ramp = Canary(step_weights=[5, 10, 20], interval=60, threshold=1)


def rash_judge(metrics):
    """Fails above 3 % errors; no requests, no errors."""
    errors = metrics.values("error", "canary")
    return "fail" if len(errors) and errors.mean() > 0.03 else "pass"


nights = {"rash": (ramp, rash_judge), "patient": (ramp, simple_judge)}
at_night = compare(night, (versions[0], broken), nights, None, random_state=1)
for name, run in at_night.results.items():
    print(f"{name}: {run.phase}, {run.requests_exposed} of {len(night)} requests. {run.reason}")

# %% [markdown]
# The rash judge promoted a version that crashes on every second request, and nobody had contradicted it. The patient one paused: **too little traffic is an outcome of its own, neither a pass nor a failure.** It leaves a choice to people: wait until
# morning, copy requests in the shadow, replay yesterday's log, or use blue-green and watch all of the traffic for a while.
#
# **Second: the wrong comparison.** Between minutes 5 and 10 the network fails, for both versions. v2 is better in every respect.

# %%
outage = Symptom(error_rate=0.3, after=300, until=600)
old = Version("v1", Behavior(error_rate=0.02, symptoms=outage))
better = Version("v2", Behavior(error_rate=0.01, symptoms=outage))
careful = Canary(step_weights=[5, 10, 25, 50], interval=180, threshold=1)
judges = {
    "below 3 %": simple_judge,
    "not 2 points above v1": ThresholdJudge(
        {"error_rate": (None, 0.02)}, relative="difference", min_requests=100
    ),
}
outages = compare(trace, (old, better), {k: (careful, j) for k, j in judges.items()}, None, random_state=1)
for name, run in outages.results.items():
    print(f"{name}: {run.phase}. {run.reason}")

# %% [markdown]
# The control group is what makes a canary more than a slow big bang: the old version, **in the same minutes**. Compared with yesterday, or with a fixed limit, every outage is the release's fault.
#
# **Third: the mean of everything.** This version crashes on half of the flights from LGA, which are 12 % of the requests, and is better elsewhere. Asked for each airport, the same judge sees it:

# %%
from mlprod_helpers.rollout import BySegment

local = Symptom(error_rate=0.5, where={"origin": "LGA"})
one_airport = Version("v2", Behavior(error_rate=0.01, symptoms=local))
usual = Version("v1", Behavior(error_rate=0.04))
relative = ThresholdJudge({"error_rate": (None, 0.08)}, relative="difference", min_requests=50)
views = {"all requests": relative, "each airport": BySegment("origin", relative)}
parts = compare(
    trace, (usual, one_airport), {k: (careful, j) for k, j in views.items()}, None, random_state=1
)
for name, run in parts.results.items():
    print(f"{name}: {run.phase}, {run.users_harmed} users harmed. {run.reason}")

# %% [markdown]
# ### Exercise 6.5 · Write the judge
# *Core · 5 points · 9 minutes*
#
# Write `judge(stable, canary)`. Both are dicts, airport -> summary, such as `{"JFK": {"requests": 360, "errors": 7, "latency_p99": 212.0}, ...}`. `latency_p99` is `None` where there are no requests.
# Both have the same airports, one or more, in any order and with any names. Stable has at least 100 requests at each. Return `(outcome, reason)`:
#
# - `"fail"` if at *any* airport with at least 100 canary requests the canary's error rate is more than 2 percentage points above stable's at that airport, or its p99 more than 1.5 times stable's.
#   Exactly 2 points or exactly 1.5 times is still allowed. The reason names an airport that fails, and none that does not;
# - otherwise `"nodata"` if any airport has fewer than 100 canary requests, whatever these show;
# - otherwise `"pass"`.
#
# Except for a failure, the reason may be any text, also an empty one.


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
# ## The cockpit
#
# Choose a fault, a plan, and how many requests the judge wants to see before it speaks. It compares error rates and p99 with the old version, airport by airport, every two minutes. Try these:
#
# - the fault *one airport* with 40, 100 and 300 requests wanted: whom does the judge not hear?
# - no fault at all, with 40 and with 100: is a good version sent home?
# - the fault *after 20 minutes*, canary, 100 requests: who is still watching?

# %%
from functools import cache

from mlprod_helpers.explore import Choice, Slider, explore
from mlprod_helpers.rollout import AllOf

faults = {
    "6 % more errors": Behavior(error_rate=0.07),
    "none": Behavior(error_rate=0.01),
    "slow": Behavior(error_rate=0.01, latency_ms=250),
    "one airport": Behavior(error_rate=0.01, symptoms=Symptom(error_rate=0.5, where={"origin": "LGA"})),
    "after 20 minutes": Behavior(error_rate=0.01, symptoms=Symptom(error_rate=0.1, after=1200)),
}
small = traffic(
    poisson(8, duration=3000, random_state=4), users=2000, segments={"origin": airports}, random_state=4
)

# %%
choices = {
    "canary 5, 10, 25, 50 %": Canary(step_weights=[5, 10, 25, 50], interval=120, threshold=2),
    "canary 1 % steps": Canary(step_weight=1, max_weight=50, interval=120, threshold=2),
    "blue-green, watched": BlueGreen(interval=120, threshold=2, keep_old=900, watch=2400),
    "big bang, watched": BigBang(interval=120, threshold=2, redeploy=600, watch=2400),
    "shadow": Shadow(interval=120, threshold=2, duration=1800),
}


@cache
def rollout(fault, plan, wanted):
    """One rollout of the small trace."""
    control = plan.startswith("canary") or plan == "shadow"  # else nobody has the old version
    errors = {"error_rate": (None, 0.03 if control else 0.04)}
    parts = ThresholdJudge(errors, relative="difference" if control else None, min_requests=wanted)
    late = ThresholdJudge({"latency_p99": (None, 400)}, min_requests=wanted)
    pair = AllOf(BySegment("origin", parts), late)
    new = Version("v2", faults[fault])
    return replay(small, (versions[0], new), choices[plan], pair, 1, limits={"latency_ms": 500})


# %% [markdown]
# The picture: axes that stand still, and lines that move.

# %%
fig, panels = plots.figure(nrows=3, sharex=True, size=(7.4, 5.4), layout=None)
fig.subplots_adjust(left=0.11, right=0.98, top=0.93, bottom=0.1, hspace=0.22)
names = ("new version (%)", "failed (%)", "users harmed")
for panel, name, top in zip(panels, names, (104, 15, 2000), strict=True):
    panel.set(ylabel=name, ylim=(-top / 25, top), xlim=(0, 50))
panels[2].set_ylim(-0.5, 2000)
panels[2].set_yscale("symlog", linthresh=10)  # 20 and 1,000 in one picture
panels[2].set_yticks([0, 10, 100, 1000], ["0", "10", "100", "1,000"])
panels[2].set_xlabel("minutes since the start of the rollout")
plots.name_colors(panels[1], {"v1": plots.BLUE, "v2": plots.ORANGE})
[weight] = panels[0].plot([], [], color=plots.ORANGE, drawstyle="steps-post")
[failed_v1] = panels[1].plot([], [], color=plots.BLUE)
[failed_v2] = panels[1].plot([], [], color=plots.ORANGE)
[harmed] = panels[2].plot([], [], color=plots.RED)
headline = fig.text(0.11, 0.96, "", fontweight="bold", color=plots.INK)
still = plots.Still(fig, [weight, failed_v1, failed_v2, harmed, headline])


def cockpit(fault, plan, wanted):
    """Weight, failures and harm of one rollout over time."""
    run = rollout(fault, plan, wanted)
    table, weights = run.over_time(120), run.timeline["weight"]
    minutes = table.index / 60
    weight.set_data(np.append(weights.index / 60, 50), np.append(weights, weights.iloc[-1]))
    failed_v1.set_data(minutes + 1, 100 * table["stable_bad"])
    failed_v2.set_data(minutes + 1, 100 * table["canary_bad"])
    harmed.set_data(np.append(0, minutes + 2), np.append(0, table["users_harmed"]))
    headline.set_text(f"{run.phase}: {run.users_harmed} users harmed")
    return still.picture(f"{run} At the end: {run.reason}")


explore(
    cockpit,
    fault=Choice(list(faults), label="fault of the new version"),
    plan=Choice(list(choices), label="plan"),
    wanted=Slider(20, 300, 20, 40, label="requests wanted by the judge"),
)

# %% [markdown]
# With 40 requests wanted, luck alone sends the good version home here. (That is bad luck: on 12 other draws of the traffic it happened once.) With 100 it is promoted, and so is the one that fails at LGA, 12 % of the requests: that airport never has 100 before all others pass
# (this judge passes when the airports it has heard are fine; yours in 6.5 waits for each). With 300 the canary pauses again and again, and on 7 of the 12 draws it was not through after 50 minutes. Blue-green has data at once, because it has everybody, and harms more for the same reason. And the canary that was promoted after some minutes does not see what begins after 20.
#
# ## Looking often
#
# A check every minute is many looks at growing data. Each look asks, "is the difference beyond what luck would show?" A *z-score* is the difference in units of its standard error; without any real difference it lies beyond ±1.96 in 5 % of the
# cases. **At one look.** A judge that looks five times at the growing data of a version that is *exactly as good* as the old one, and rolls back at the first |z| above 1.96: how often will it be wrong?

# %%
lesson.predict("false rollbacks with five looks", ...)  # a number between 0 and 1

# %%
looks, quiet = 5, 20_000
steps_of_data = np.random.default_rng(5).normal(size=(quiet, looks))
z = steps_of_data.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
beyond = np.abs(z) > 1.96
lesson.recall("false rollbacks with five looks", round(float(beyond.any(axis=1).mean()), 2))

# %%
from mlprod_helpers.rollout import peeking

fig, (left, right) = plots.figure(ncols=2)
for path, hit in zip(z[:60], beyond[:60], strict=True):
    left.plot(
        range(1, 6), path, color=plots.RED if hit.any() else plots.GREY, alpha=0.8 if hit.any() else 0.35
    )
left.axhline(1.96, color=plots.INK, linewidth=1, linestyle="--")
left.axhline(-1.96, color=plots.INK, linewidth=1, linestyle="--")
left.set(xlabel="look", ylabel="z", xticks=range(1, 6))
plots.name_colors(left, {"rolled back": plots.RED, "never beyond 1.96": plots.GREY})
often = [1, 2, 5, 10, 20, 50]
right.plot(often, [100 * peeking(k) for k in often], "o-", color=plots.BLUE)
right.set(xlabel="looks", ylabel="false rollbacks (%)", ylim=(0, None))
show(
    fig,
    alt=f"Left: z of 60 rollouts without any difference at five looks; {int(beyond[:60].any(axis=1).sum())} of them are beyond 1.96 at some look. "
    f"Right: the share of false rollbacks climbs from 5 % with one look to {peeking(5):.1%} with five and {peeking(50):.0%} with fifty.",
)

# %% [markdown]
# 14.2 % with five looks: one rollout in seven is stopped for nothing, and the share goes on climbing. (This judge stops at a difference in *either* direction. One that stops only when the new version looks worse errs in half as many, 7.1 % in place of 2.5 % at one look.) Peeking fools every test: who looks long enough at luck finds something. (It does not help to call it a confidence interval.) This is called **peeking** (Armitage and others, 1969). Looking only once,
# at the end, is honest and lets a bad version run to the end. Better: look often, **and raise the bar**, so that all looks together err in 5 %.
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
# Repair it. Write `bars(looks)`: the bar of |z| at each of `looks` equally spaced looks (a whole number from 1 on), as a list or array of that length. The judge stops at a look whose |z| is beyond its bar.
#
# - *All looks together* stop 3 to 6 % of the versions that are as good as the old one.
# - A bad version (its z is 3 on average at the last look) is found at least 0.9 times as often as with the best bar that is the same at each look.
# - A very bad one (6 on average) is stopped in at least 60 % of the rollouts once 60 % of the looks are done, rounded up. This does not count for one or two looks.
#
# You may simulate, as above: a little noise is fine.


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
# **Stretch: what the field uses.** A bar that is the same at each look is Pocock's. O'Brien and Fleming's is very high at first and nearly 1.96 at the end. The *mSPRT*, an always-valid test, allows a look at any moment, even ones that nobody planned. Each on 4,000 simulated rollouts
# without a difference, and on 4,000 of a version that is worse by as much as a single test finds with 80 %:

# %%
from mlprod_helpers.rollout import operating_characteristics

operating_characteristics(runs=4_000, random_state=0).round(2)

# %% [markdown]
# `requests` is the share of the planned data that was used when a bad version was stopped. None is best: who stops early pays with power, and freedom to look at any time costs the most of it.
#
# **Counting users, not requests.** All of this takes the requests for independent draws. They are not: a user with a slow phone is slow each time. With 20 requests a user and a correlation of 0.05 between them, a test that
# counts requests raises three times as many false alarms as it promises. The remedy is to count users: compare the means of the users, or use the delta method, as the course's judges do where the log says who asked (`by_user=True`).
#
# We measure it on 1,000 rollouts of two equal versions: 100 users each, 20 requests a user, one look. Each user has an error rate of their own, around 10 %:

# %%
from mlprod_helpers.rollout import design_effect, z_score

dice, alarms, effects = np.random.default_rng(6), [], []
users = [np.repeat(np.arange(100), 20), np.repeat(np.arange(100, 200), 20)]
for _ in range(1_000):
    # a beta law of a + b = 19: requests of one user have a correlation of 1 / (19 + 1)
    arms = [dice.binomial(1, np.repeat(dice.beta(1.9, 17.1, size=100), 20)) for _ in range(2)]
    alarms.append([abs(z_score(*arms)[0]) > 1.96, abs(z_score(*arms, users=users)[0]) > 1.96])
    effects.append(design_effect(*arms, users))
print(f"variance with users over variance without: {np.mean(effects):.2f} on average")
pd.Series(np.mean(alarms, axis=0), index=["requests counted", "users counted"], name="false alarms").round(3)

# %% [markdown]
# The variance is larger by the **design effect**, 1 + (requests a user − 1) × correlation = 1.95. With it, the bar of 1.96 is only 1.40 standard errors away, so 16 % are beyond it. The shop's log at the beginning has no users, so
# its p = 0.12 is too small if anything. And `requests_needed` below must be multiplied by the design effect as well.
#
# ## How long must it run?
#
# The other side of the same coin. **Power** is the chance that a test finds a difference that is there. How many views does an arm need, to find with 80 % power that 0.43 % of clicks became 0.52 %, the fifth from the beginning? With rates $p$ and $q$,
#
# $$n \approx \frac{(z_{0.975} + z_{\text{power}})^2 \, \bigl(p(1-p) + q(1-q)\bigr)}{(q-p)^2}$$
#
# Here $z_{0.975} = 1.96$ is the bar, and $z_{\text{power}}$ the margin above it (0.84 for 80 %): the difference must lie so far above the bar that bad luck seldom takes it below. Errors and clicks, with the course's function:

# %%
from mlprod_helpers.rollout import requests_needed

cases = {
    "errors 1 % to 6 %": (0.01, 0.06),
    "errors 1 % to 2 %": (0.01, 0.02),
    "errors 1 % to 1.2 %": (0.01, 0.012),
    "clicks 5 % to 6.05 %": (0.05, 0.0605),
}
needed = pd.DataFrame(
    [
        {
            "requests an arm": f"{requests_needed(p, q):,}",
            "hours at one a second": requests_needed(p, q) / 3600,
        }
        for p, q in cases.values()
    ],
    index=list(cases),
)
needed.round(1)

# %% [markdown]
# "One a second" is a canary of 5 % at 20 requests a second. What breaks is found in minutes. A doubled error rate takes the better part of an hour, and small differences half a day and more. Rare events make it worse: compare the last row with your next answer.
#
# ### Exercise 6.7 · How long must it run?
# *4 points · 6 minutes*
#
# Write two functions:
#
# - `views_needed(p, lift, power)`: the views of *one* arm, for a rate `p` that changes by `lift`, two-sided at 5 %. `lift` is relative: 0.21 is 21 % more, and −0.1 is 10 % less. `p` and `power` are shares. Within 5 % of the formula is enough.
# - `hours_needed(views, rate, percent)`: how many hours until a canary with `percent` percent of `rate` views a second has that many? Do not round.
#
# Then try your own: a click rate of 0.43 %, a lift of 21 %, 80 % power, 5 % of 20 views a second.

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
# 25 hours, for a difference that a shop would celebrate; the 30,000 views an arm of the opening were a third of what was needed. (This is with an equally large group of the old version beside the canary, as Kayenta recommends; against *all* of the old version's
# traffic about half as many canary views are enough.) And it is why a canary and an A/B test are two things: **the canary looks for what breaks, on few users, in minutes. Whether users like it is the A/B test's question, on many users, for days.**
#
# ## The plan and the judge
#
# Put it together. The display has 5 requests a second. The old version fails in 5 % of the requests, so a better one is welcome. **Five sealed versions** come to your rollout, one after the other, for an hour each:
#
# | version | what it does |
# | --- | --- |
# | good | fails in about 2 % |
# | good but noisy | fails less too; its latency varies more (p99 about 320 ms instead of 200), and the network is down for both versions for five minutes |
# | bad | fails in about 20 % |
# | slow | fails less, but its answers take four times as long |
# | bad for one airport | crashes on about 40 % of the requests of one airport, which are 12 % of all, and is better elsewhere |
#
# A request goes wrong when it fails or takes longer than 500 ms. **The cost** counts the requests that went wrong and need not have: those that a bad version harmed, and those that a good version would have saved while it was kept waiting. What users have at the
# end of the hour they keep for three hours more, and that counts too. So there are three ways to lose: let a bad one through, send a good one home, be late.
#
# On practice versions, drawn as the check draws its own: what it costs if everybody gets the version and nobody looks, and what if it is never released?

# %%
from mlprod_helpers.rollout.rehearsal import costs, draw_world, rehearse

world = draw_world(np.random.default_rng(1))


def example_plan():
    """Three small steps, a minute each, then everybody."""
    return {"strategy": "canary", "step_weights": [1, 2, 3], "interval": 60}


def asleep_too(stable, canary):
    """A judge that never looks, with the arguments of yours."""
    return "pass", "no look"


pd.DataFrame(
    costs(example_plan, asleep_too, world), index=["1, 2, 3 %, nobody looks", "big bang", "never release"]
).T

# %% [markdown]
# With `rehearse` you see each decision of one of these hours. Three requests, or none, and on it goes:

# %%
hour = rehearse(example_plan, asleep_too, world, "bad")
exposed = hour.over_time(60)["weight"].head(4).to_list()
print("weight in the first minutes:", exposed, "percent;", hour)

# %% [markdown]
# ### Exercise 6.8 · The plan and the judge
# *Core · 7 points · 14 minutes*
#
# Write two functions:
#
# - `plan()` returns a dict: `strategy` is `"canary"` (with `step_weights`, or `step_weight` and `max_weight`), `"blue_green"` (`preview`: seconds before the switch, `copies`: percent of the requests that are copied meanwhile, `keep_old`, `watch`), `"big_bang"` or `"shadow"`; for each
#   of them `interval` (seconds between checks, at least 60) and `threshold` (how many checks may fail; the rollback comes with the tick after the last of them);
# - `release_judge(stable, canary)` -> `(outcome, reason)` as in 6.5, for the time since the last check that had enough data. Each airport's summary also has `latency_p50` and `error_rate` (`None` without requests). With `watch`, checks go on after
#   the promotion, when *stable* has no requests any more.
#
# Each version comes for an hour, *good* and *bad for one airport* for a second one. For each, the cost may be at most a tenth of what the big bang costs or 35 % of what never releasing costs, whichever is more. If *good* or *bad* costs more than that, the answer earns a quarter of the points at most. Try it on the practice versions: `costs(plan, release_judge, world)`. Where it goes wrong, look: `rehearse(plan, release_judge, world, "good").plot()`.


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
# There is more than one good answer. Copies first and then a switch harm almost nobody, and need a second fleet. A brave ramp with a sharp judge is cheap, too. What they share: a judge that waits for data, compares in the same minutes, looks at each part, and asks for more than luck.
#
# ## What you have seen
#
# | type of failure | meaning | how to see it | what to do |
# | --- | --- | --- | --- |
# | slow canary, nobody watching | exposure is weight times time | add up the requests exposed | end early; automatic checks |
# | flipping users | each request dealt anew | users with two versions in the log | hash of user and release |
# | promoted in silence | no data taken for a pass | how many requests did the last check see? | `nodata` pauses; shadow or blue-green at low traffic |
# | sent home by an outage | fixed limit, no control group | the old version failed alike | compare in the same minutes |
# | lost in the mean | one segment fails | error rate by segment | judge each part |
# | sent home by luck | many looks, each at 5 % | repeat it on a version that is the same | raise the bar |
# | blind to small change | power | requests needed against requests had | A/B test, longer |
# | no way back | blue is gone; the data have changed | rehearse the rollback | keep blue; change schemas in steps |
#
# | here | elsewhere |
# | --- | --- |
# | `Canary(step_weight, max_weight, interval, threshold)` | Flagger: `stepWeight`, `maxWeight`, `interval`, `threshold`; Argo Rollouts: `setWeight`, `pause`, `analysis` |
# | Progressing, Paused, Degraded, Healthy; abort, promote | the same in Argo Rollouts |
# | `keep_old` of blue-green | Argo Rollouts: `scaleDownDelaySeconds` |
# | shadow | mirroring (Istio, Flagger), dark launch; MLflow and cloud platforms: shadow or champion/challenger |
# | judge, `nodata` | Argo: AnalysisRun with `Inconclusive`; Kayenta: Pass, High, Low, Nodata (`MannWhitneyJudge`) |
# | error rate, p99 of a version | Prometheus: `rate(...{code=~"5.."}[1m])`, `histogram_quantile(0.99, ...)`, one series a version |
# | split by user and salt | feature flags: bucketing; A/B platforms: experiment seed |
# | river, evidently | not their subject: they compare data over time (lesson 03), a rollout compares versions at one time |
#
# A plan of this lesson can also be written out for these tools: `to_flagger` and `to_argo` return the resource that you give to Kubernetes, and `to_haproxy` returns a configuration file. A tool may not have everything that a plan asks for.
# Then the method says so, instead of writing another plan:

# %%
from mlprod_helpers.rollout import Plan

small_steps = Plan.from_dict(example_plan())
print(small_steps.to_flagger("eta")["spec"]["analysis"])
try:
    small_steps.to_argo("eta")
except ValueError as error:
    print(error)

# %% [markdown]
# Try it with your own plan of 6.8: `Plan.from_dict(plan()).to_flagger("eta")`. Your judge is not part of the plan; in Flagger it becomes a list of `metrics`, in Argo Rollouts an AnalysisTemplate.
#
# **Left out on purpose:** how a real router does all this (lesson 09); the mathematics of always-valid tests (the documentation of `mlprod_helpers.rollout`, `msprt` and `obrien_fleming`); Kayenta's rank test (`MannWhitneyJudge` there).
#
# **Sources.** Y. Saito et al., Open Bandit Dataset and Pipeline, arXiv 2008.07146 (sample in *obp* 0.4.1, Apache-2.0; the terms of the full data, "for research uses", were not examined further). P. Armitage, C. K. McPherson, B. C. Rowe, Repeated Significance Tests on Accumulating Data, *JRSS A* 132, 1969.
# S. J. Pocock, *Biometrika* 64, 1977. P. C. O'Brien, T. R. Fleming, *Biometrics* 35, 1979. R. Johari et al., Always Valid Inference, *Operations Research* 70, 2022. Flagger and Argo Rollouts, documentation; Netflix and Google, Kayenta.
# R. Kohavi, D. Tang, Y. Xu, *Trustworthy Online Controlled Experiments*, 2020.

# %%
lesson.progress()
