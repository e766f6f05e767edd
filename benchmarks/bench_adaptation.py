"""Real drift, answered in several ways: the figures that lesson 04 prints, and what each experiment costs.

    OMP_NUM_THREADS=1 python benchmarks/bench_adaptation.py            light designs, as a lesson runs them
    OMP_NUM_THREADS=1 python benchmarks/bench_adaptation.py --heavy    also boosted trees with default settings

"expected" are figures that were measured once with boosted trees, those of late arrivals with weather on all 336,776
flights; the light designs should stay near them. A linear model needs fewer rows than boosted trees: on ridership its
one-year window is better than expected. CPU seconds are of this process, data loading and imports left out.
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from mlprod_helpers.adaptation import AnomalyGate, compare, evaluate_over_time
from mlprod_helpers.datasets import load_flights, load_ridership, load_weather

WEEKS = pd.date_range("2013-02-12", "2013-12-31", freq="7D")  # 46 of them
QUARTERS = pd.date_range("2004-01-01", "2016-07-01", freq="QS")
NUMBERS = ["distance", "origin_code", "dest_code", "carrier_code", "hour"]
CATEGORIES = ["distance", "origin", "dest", "carrier", "hour"]


class Stopwatch:
    """CPU seconds of a block."""

    def __enter__(self):
        self.start = time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.process_time() - self.start


def report(title, found, expected, seconds):
    print(f"\n{title}  [{seconds:.2f} CPU s]")
    for name, value in found.items():
        line = f"  {name:24s} {value:8.3f}"
        if name in expected:
            line += f"   expected {expected[name]:7.3f}   {value / expected[name] - 1:+.1%}"
        print(line)


def flights():
    frame = load_flights()
    for column in ("origin", "dest", "carrier"):
        frame[f"{column}_code"] = frame[column].cat.codes
    frame["band"] = pd.cut(frame["distance"], [0, 300, 600, 900, 1200, 1600, 3000]).astype(str)
    frame["late"] = (frame["arr_delay"] > 15).astype(float).where(frame["arr_delay"].notna())
    return frame.dropna(subset=["arr_delay"]).reset_index(drop=True)


def with_weather(frame):
    weather = load_weather().drop(columns=["month", "day", "hour"]).rename(columns={"time": "full_hour"})
    weather = weather.drop_duplicates(["origin", "full_hour"])
    joined = frame.assign(full_hour=frame["time"].dt.floor("h"))
    return joined.merge(weather, on=["origin", "full_hour"], how="left"), list(weather.columns[2:])


def air_time(frame, title, model, features, retrain_every=1):
    strategies = ["all_history", "frozen", "window 28D", "recency 14D", "hybrid 50"]
    with Stopwatch() as watch:
        errors = evaluate_over_time(
            model,
            frame,
            WEEKS,
            "1D",
            features=features,
            target="air_time",
            strategies=strategies,
            band="band",
            retrain_every=retrain_every,
        )
    table = compare(errors)
    winter = errors[errors["period"] >= 42].groupby("strategy")["mae"].mean()
    found = table["mae"].to_dict()
    found["recency beats all history"] = table.loc["recency 14D", "share_better"]
    found["December, frozen"] = winter["frozen"]
    found["December, all_history"] = winter["all_history"]
    expected = {
        "frozen": 12.61,
        "all_history": 9.10,
        "window 28D": 8.26,
        "recency 14D": 7.86,
        "hybrid 50": 8.24,
        "recency beats all history": 0.85,
        "December, frozen": 8.67,
        "December, all_history": 11.41,
    }
    report(f"flights, air time, MAE in minutes: {title}", found, expected, watch.seconds)


def late_arrivals(frame, title, model, features, retrain_every):
    with Stopwatch() as watch:
        errors = evaluate_over_time(
            model,
            frame,
            WEEKS,
            "1D",
            features=features,
            target="late",
            strategies=["all_history", "frozen", "recency 14D"],
            metric="auc",
            retrain_every=retrain_every,
        )
    table = compare(errors)
    found = table["auc"].to_dict()
    found["recency beats all history"] = table.loc["recency 14D", "share_better"]
    expected = {"frozen": 0.651, "all_history": 0.703, "recency 14D": 0.694}
    report(f"flights, arrival over 15 minutes late, weekly AUC: {title}", found, expected, watch.seconds)


def ridership(title, model, linear, retrain_every=1, half_lives=(90, 180, 365, 730)):
    frame = load_ridership()
    angle = 2 * np.pi * frame["day_of_year"] / 365.25
    frame["season_sin"], frame["season_cos"] = np.sin(angle), np.cos(angle)
    weekdays = pd.get_dummies(frame["weekday"], prefix="weekday", dtype=float)
    frame = frame.join(weekdays)
    calendar = [*weekdays, "season_sin", "season_cos"] if linear else ["weekday", "day_of_year"]
    strategies = ["all_history", "frozen", "window 365D", *(f"recency {days}D" for days in half_lives)]
    with Stopwatch() as watch:
        errors = evaluate_over_time(
            model,
            frame,
            QUARTERS,
            "1D",
            features=[*calendar, "holiday", "temp", "precip", "wind", "weather_snow"],
            target="ridership",
            time="date",
            strategies=strategies,
            retrain_every=retrain_every,
        )
    expected = {
        "frozen": 3.24,
        "all_history": 2.15,
        "window 365D": 1.42,
        "recency 90D": 1.30,
        "recency 180D": 1.26,
        "recency 365D": 1.32,
        "recency 730D": 1.54,
    }
    found = compare(errors)["mae"].to_dict()
    report(f"ridership, MAE in 1,000 entries a day, quarterly: {title}", found, expected, watch.seconds)


def broken(rows, rng):
    """March's flights with one fault each."""
    return {
        "as they are": rows,
        "distance in km": rows.assign(distance=rows["distance"] * 1.609),
        "air time in hours": rows.assign(air_time=rows["air_time"] / 60),
        "distance stuck": rows.assign(distance=1400),
        "air time shuffled": rows.assign(air_time=rng.permutation(rows["air_time"])),
        "unknown airport": rows.assign(dest="XXX"),
        "airports shifted by a row": rows.assign(**{c: rows[c].shift(1).bfill() for c in ("origin", "dest")}),
    }


def gates(frame):
    """Share of rows held back, by gate and fault, at one ordinary row in 100."""
    columns = ["distance", "hour", "dep_delay", "air_time", "origin", "dest", "carrier"]
    reference = frame.loc[frame["month"] <= 2, columns]
    cases = broken(frame.loc[frame["month"] == 3, columns], np.random.default_rng(0))
    july = frame.loc[frame["month"] == 7, columns]

    with Stopwatch() as gate_watch:
        gate = AnomalyGate(random_state=0).fit(reference)
        by_gate = {name: 1 - gate.admits(rows).mean() for name, rows in cases.items()}

    shares = {c: reference[c].value_counts(normalize=True) for c in columns[4:]}

    def numbers(rows):  # a category counts by its frequency: a forest needs numbers
        return rows.assign(
            **{c: rows[c].astype(object).map(shares[c]).fillna(0.0).astype(float) for c in shares}
        )

    with Stopwatch() as forest_watch:
        held = np.random.default_rng(0).random(len(reference)) < 0.3
        forest = IsolationForest(random_state=0).fit(numbers(reference[~held]))
        threshold = np.quantile(forest.score_samples(numbers(reference[held])), 0.01)
        by_forest = {
            name: (forest.score_samples(numbers(rows)) < threshold).mean() for name, rows in cases.items()
        }

    title = "Share of March's flights held back, trained on January and February"
    print(f"\n{title}  [gate {gate_watch.seconds:.2f}, isolation forest {forest_watch.seconds:.2f} CPU s]")
    print(pd.DataFrame({"gate": by_gate, "isolation forest": by_forest}).round(3).to_string())
    print("\nWhat the gate costs in July: destinations refused most")
    print(gate.cost(july, by=july["dest"]).head(8).round(3).to_string())
    print(f"all of July: {1 - gate.admits(july).mean():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--heavy", action="store_true", help="also boosted trees with default settings: minutes"
    )
    heavy = parser.parse_args().heavy
    frame = flights()
    weathered, weather = with_weather(frame)

    tree = DecisionTreeRegressor(max_leaf_nodes=128, min_samples_leaf=5, random_state=0)
    air_time(frame, "one tree, retrained weekly", tree, ["distance", "origin_code"])
    air_time(frame, "one tree, every second week", tree, ["distance", "origin_code"], retrain_every=2)
    ridership("ridge, retrained quarterly", Ridge(), linear=True)
    ridership("ridge, every second quarter", Ridge(), linear=True, retrain_every=2)
    # with weights, each quantile that cuts a column into bins is computed alone: few bins save most of the time
    light = HistGradientBoostingClassifier(
        max_iter=10, learning_rate=0.3, max_leaf_nodes=8, max_bins=16, random_state=0
    )
    late_arrivals(frame, "10 small trees, every 4th week", light, NUMBERS, retrain_every=4)
    late_arrivals(
        weathered, "with weather, 10 small trees, every 4th week", light, NUMBERS + weather, retrain_every=4
    )
    gates(frame)

    if heavy:
        boosted = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
        air_time(frame, "boosted trees, weekly", boosted, CATEGORIES)
        ridership("boosted trees, quarterly", HistGradientBoostingRegressor(random_state=0), linear=False)
        boosted = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
        late_arrivals(
            weathered, "with weather, boosted trees, every 2nd week", boosted, CATEGORIES + weather, 2
        )


if __name__ == "__main__":
    main()
