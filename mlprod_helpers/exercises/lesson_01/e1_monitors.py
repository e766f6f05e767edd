"""Exercise 1.1, Predict the monitors."""

from functools import cache

from mlprod_helpers.lesson.contract import Choice, exercise

SILENT, ALARM = "silent", "alarm"

TWO_SERVICES = {
    "display inputs": SILENT,
    "display predictions": SILENT,
    "display labels": SILENT,
    "display error": ALARM,
    "hygrometer inputs": ALARM,
    "hygrometer predictions": ALARM,
    "hygrometer labels": SILENT,
    "hygrometer error": ALARM,
}


@cache
def _two_services():
    """service -> (rows kept for comparison, July and August), with inputs, predictions, labels and errors."""
    # one tree, not a boosted hundred: on a busy machine with many threads those take seconds
    from sklearn.tree import DecisionTreeRegressor

    from mlprod_helpers.datasets import load_flights, load_weather

    def served(rows, inputs, target, trained, held_out):
        X = rows[inputs].apply(lambda column: column.cat.codes if column.dtype == "category" else column)
        tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
        tree.fit(X[trained].to_numpy(float), rows.loc[trained, target])
        rows = rows.assign(prediction=tree.predict(X.to_numpy(float)), label=rows[target])
        rows["error"] = (rows["label"] - rows["prediction"]).abs()
        return rows[held_out], rows[rows["month"].isin([7, 8])]

    flights = load_flights().dropna(subset=["air_time"])
    early, odd = flights["date"] < "2013-02-12", flights["day"] % 2 == 1
    display = served(
        flights, ["distance", "hour", "carrier", "origin"], "air_time", early & odd, early & ~odd
    )
    weather = load_weather().dropna(subset=["temp", "dewp", "humid"])
    early, odd = weather["month"] <= 3, weather["day"] % 2 == 1
    hygrometer = served(weather, ["temp", "dewp"], "humid", early & odd, early & ~odd)
    return {"display": (*display, ["distance", "hour"]), "hygrometer": (*hygrometer, ["temp", "dewp"])}


@exercise(
    "1.1",
    "Predict the monitors",
    answers=("monitors",),
    points=2,
    minutes=4,
    objective="1.b",
    kind=Choice(
        {
            "display inputs": "flights: mean distance and mean hour",
            "display predictions": "flights: mean predicted air time",
            "display labels": "flights: mean air time",
            "display error": "flights: mean absolute error",
            "hygrometer inputs": "weather: mean temperature and mean dew point",
            "hygrometer predictions": "weather: mean predicted humidity",
            "hygrometer labels": "weather: mean humidity",
            "hygrometer error": "weather: mean absolute error",
        },
        options=(SILENT, ALARM),
    ),
    hints=(
        "Take the monitors one by one. What would have to change for this mean to move: the passengers' plans, the wind, the season?",
        "A model that is never retrained is a fixed function. When can the mean of its outputs move?",
        "Nine minutes of tailwind are a lot for one flight. Are they a lot when air times range from 20 minutes to 11 hours? "
        "And humidity is relative: is its percentage much larger on a muggy day in July than in January?",
    ),
)
def monitors(answer, rng, expect):
    """Two services, four monitors each; the truth is computed on 45 drawn days of July and August."""
    truth = {}
    for service, (before, now, inputs) in _two_services().items():
        days = rng.choice(62, size=45, replace=False)
        now = now[((now["month"] - 7) * 31 + now["day"] - 1).isin(days)]
        moved = (
            (now.mean(numeric_only=True) - before.mean(numeric_only=True)) / before.std(numeric_only=True)
        ).abs()
        loud = {
            "inputs": moved[inputs].max() > 0.5,
            "predictions": moved["prediction"] > 0.5,
            "labels": moved["label"] > 0.5,
            "error": now["error"].mean() > 1.5 * before["error"].mean(),
        }
        truth |= {f"{service} {name}": ALARM if alarm else SILENT for name, alarm in loud.items()}
    expect.cases(answer, {case: truth[case] for case in TWO_SERVICES})


@monitors.misconception(
    "you expected the display's inputs to move because its error does. Distances and hours come from the timetable, and "
    "the wind does not change the timetable. Go through the inputs one by one: has anything changed them?"
)
def error_means_inputs():
    return TWO_SERVICES | {"display inputs": ALARM}


@monitors.misconception(
    "you expected the display's predictions to react to the wind. A model that is never retrained is a fixed function, so "
    "the same inputs get the same predictions. Predictions can only move if the inputs do."
)
def model_notices():
    return TWO_SERVICES | {"display predictions": ALARM}


@monitors.misconception(
    "you expected the mean of the labels to move because the error does. Air times range widely, so a few minutes of wind "
    "hardly move their mean in sd. Compare these minutes with the difference between flights to Boston and to Honolulu."
)
def labels_follow_error():
    return TWO_SERVICES | {"display labels": ALARM}


@monitors.misconception(
    "you expected the hygrometer's error to stay low because the physics of humidity does not change. The relation does "
    "stay the same. But ask what a model that was trained in winter has learned about 30 degrees Celsius."
)
def standing_law_standing_error():
    return TWO_SERVICES | {"hygrometer error": SILENT}


@monitors.misconception(
    "you expected the hygrometer's labels to move as far as its inputs and predictions. Labels are measured and do not "
    "depend on the model. Relative humidity depends on temperature and dew point together, and here both rise."
)
def labels_follow_inputs():
    return TWO_SERVICES | {"hygrometer labels": ALARM}


@monitors.alternative
def from_a_list():
    loud = ["display error", "hygrometer inputs", "hygrometer predictions", "hygrometer error"]
    return {case: ALARM if case in loud else SILENT for case in TWO_SERVICES}


@monitors.alternative
def in_another_order():
    return dict(sorted(TWO_SERVICES.items(), reverse=True))
