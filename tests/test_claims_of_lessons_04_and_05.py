"""Figures that lessons 04 and 05 state in their text, recomputed on seeds that the lessons do not use."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.queueing import Lognormal, poisson, simulate


def test_four_servers_reach_300_ms_at_57_requests_a_second():
    p99 = {}
    for rate in (57, 58, 60):
        runs = [
            simulate(poisson(rate, n=200_000, random_state=s), Lognormal(0.05, cv=1), 4, random_state=50 + s)
            for s in range(100, 108)
        ]
        p99[rate] = 1000 * np.mean([np.percentile(run.latency[20_000:], 99) for run in runs])
    assert p99[57] == pytest.approx(295, abs=4)
    assert p99[58] == pytest.approx(301, abs=4)
    assert p99[60] == pytest.approx(317, abs=6)


def test_the_order_of_two_slow_servers_and_a_fast_one_turns_at_a_cv_of_about_two():
    ahead = {}
    for cv in (1.8, 2.4):
        pairs = []
        for s in range(4):
            arrivals = poisson(16, n=100_000, random_state=s)
            times = Lognormal(0.05, cv=cv).sample(100_000, random_state=80 + s)
            pairs.append([simulate(arrivals, times / speed, n).mean_latency for speed, n in ((1, 2), (2, 1))])
        ahead[cv] = np.mean(pairs, axis=0)
    assert ahead[1.8][0] > ahead[1.8][1]
    assert ahead[2.4][0] < ahead[2.4][1]


@pytest.fixture(scope="module")
def flights():
    from mlprod_helpers.datasets import load_flights

    return load_flights().dropna(subset=["air_time"]).sort_values("time", kind="stable")


def test_distances_in_groups_hide_every_flight_of_every_two_weeks_only_when_the_long_ones_are_together(
    flights,
):
    from mlprod_helpers.checklist import k_anonymity

    apart, together = [], []
    for start in pd.date_range("2013-01-01", "2013-12-15", freq="14D"):
        two_weeks = flights[(flights["date"] >= start) & (flights["date"] < start + pd.Timedelta(days=14))]
        grouped = two_weeks["distance"] // 500 * 500
        apart.append(k_anonymity(pd.DataFrame({"distance": grouped}), ["distance"]))
        together.append(k_anonymity(pd.DataFrame({"distance": grouped.clip(upper=2000)}), ["distance"]))
    assert min(apart) == 1
    assert min(together) >= 5


def test_the_date_as_a_column_does_as_well_as_forgetting_for_the_riders():
    from sklearn.linear_model import LinearRegression

    from mlprod_helpers.adaptation import evaluate_over_time
    from mlprod_helpers.datasets import load_ridership

    riders = load_ridership()
    angle = 2 * np.pi * riders["day_of_year"] / 365.25
    waves = {f"{f.__name__}{k}": f(k * angle) for k in (1, 2, 3) for f in (np.sin, np.cos)}
    weekdays = pd.get_dummies(riders["weekday"], prefix="weekday", dtype=float)
    weather = riders[["holiday", "temp", "precip", "wind", "weather_snow"]]
    days = pd.concat([riders[["date", "ridership"]], weekdays, pd.DataFrame(waves), weather], axis=1)
    days["years"] = (days["date"] - days["date"].iloc[0]).dt.days / 365.25
    with_date = [name for name in days if name not in ("date", "ridership")]

    def error(strategy, features):
        quarters = pd.date_range("2004-01-01", "2016-07-01", freq="QS")
        setting = {"features": features, "target": "ridership", "time": "date"}
        return evaluate_over_time(LinearRegression(), days, quarters, strategies=strategy, **setting)[
            "mae"
        ].mean()

    without = with_date[:-1]
    assert error("all_history", without) == pytest.approx(2.19, abs=0.005)
    assert error("window 365D", without) == pytest.approx(1.17, abs=0.005)
    assert error("all_history", with_date) == pytest.approx(1.14, abs=0.005)
    assert error("recency 365D", with_date) == pytest.approx(1.04, abs=0.005)
    assert error("frozen", with_date) == pytest.approx(4.99, abs=0.005)
    by_year = riders.groupby(riders["date"].dt.year)["ridership"].mean()
    assert by_year[2004] == pytest.approx(11.1, abs=0.05)
    assert by_year[2016] == pytest.approx(16.4, abs=0.05)
    assert (by_year.diff() < 0).any(), "more people rode in the end, but not more each year"
