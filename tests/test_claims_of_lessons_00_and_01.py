"""What lessons 00 and 01 claim beyond the one run that they show, recomputed."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.datasets import load_flights, load_ridership, load_weather


def noon(first, days=14):
    """Error by noon of the morning's flights whose label is known and of the others, by day; the model is trained up to `first`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    flights = load_flights().dropna(subset=["air_time"])
    inputs = ["distance", "hour", "carrier", "origin", "dest"]
    first = pd.Timestamp(first)
    history = flights[flights["date"] < first]
    model = HistGradientBoostingRegressor(max_iter=50, categorical_features="from_dtype", random_state=0)
    model.fit(history[inputs], history["air_time"])
    live = flights[(flights["date"] >= first) & (flights["date"] < first + pd.Timedelta(days=days))]
    error = (live["air_time"] - model.predict(live[inputs])).abs()
    label_time = live["time"] + pd.to_timedelta(live["dep_delay"] + live["air_time"] + 20, unit="min")
    noon = live["date"] + pd.Timedelta(hours=12)
    morning = live["time"] <= noon
    known = (label_time <= noon)[morning]
    error = error[morning]
    by_day = error.groupby([live.loc[morning, "date"], known]).mean().unstack()
    return error[known].mean(), error[~known].mean(), (by_day[False] > by_day[True]).mean()


@pytest.mark.parametrize("first", ["2013-03-01", "2013-04-01", "2013-06-01", "2013-09-01", "2013-11-01"])
def test_late_flights_are_worse_in_other_weeks_too_though_not_on_every_day(first):
    known, late, share_of_days = noon(first)
    assert late > 1.1 * known
    assert 0.5 < share_of_days < 1


def test_a_page_of_twenty_requests_waits_for_a_slow_one_in_18_of_100_cases():
    for seed in range(3):
        slow = np.random.default_rng(seed).random((100_000, 20)) < 0.01
        assert round(float(slow.any(axis=1).mean()), 2) == 0.18


def test_the_error_of_the_frozen_rides_model_does_not_grow_in_each_single_year():
    from sklearn.ensemble import HistGradientBoostingRegressor

    rides = load_ridership().set_index("date")
    inputs = ["weekday", "day_of_year", "holiday", "temp", "precip"]
    start = rides.loc["2001":"2003"]
    for seed in (0, 1):
        model = HistGradientBoostingRegressor(random_state=seed).fit(start[inputs], start["ridership"])
        served = rides.loc["2004":"2015"]
        error = (served["ridership"] - model.predict(served[inputs])).abs()
        by_year = error.groupby(served.index.year).mean()
        assert set(by_year.index[by_year.diff() < 0]) == {2009, 2013}
        assert by_year[2015] > 4.5 * by_year[2004]


def test_fahrenheit_to_celsius_divides_the_spread_by_1_8_and_the_mean_by_more_than_3():
    weather = load_weather()
    fahrenheit = weather.loc[weather["month"] == 6, "temp"].dropna()
    celsius = (fahrenheit - 32) / 1.8
    assert fahrenheit.std() / celsius.std() == pytest.approx(1.8)
    assert fahrenheit.mean() / celsius.mean() > 3


def test_gradual_and_incremental_drift_have_nearly_the_same_error_rate():
    from sklearn.linear_model import LogisticRegression

    from mlprod_helpers.streams import Drift, make_stream

    def rates(pattern, seed):
        drift = Drift("concept", pattern, start=4000, width=2000)
        stream = make_stream(8000, drifts=drift, random_state=seed)
        frozen = LogisticRegression().fit(stream.X[:2000], stream.y[:2000])
        return (frozen.predict(stream.X) != stream.y)[4000:].reshape(-1, 500).mean(axis=1)

    gap = np.mean([rates("gradual", seed) - rates("incremental", seed) for seed in range(8)], axis=0)
    assert np.abs(gap).max() < 0.06


def test_prior_and_covariate_shift_leave_the_error_rate_of_the_explorers_model_nearly_alone():
    from sklearn.linear_model import LogisticRegression

    from mlprod_helpers.streams import Drift, make_stream

    for kind, size in (("prior", 0.3), ("prior", -0.3), ("covariate", 1.6)):
        moved = []
        for seed in range(6):
            stream = make_stream(8000, drifts=Drift(kind, start=4000, size=size), random_state=seed)
            frozen = LogisticRegression().fit(stream.X[:2000], stream.y[:2000])
            wrong = frozen.predict(stream.X) != stream.y
            moved.append(wrong[4000:].mean() - wrong[2000:4000].mean())
        assert abs(np.mean(moved)) < 0.03


def test_the_mean_error_of_40_healthy_rows_is_off_by_12_percent_in_many_weeks():
    rng = np.random.default_rng(0)
    for draw in (rng.normal, rng.laplace):
        errors = np.abs(draw(size=(5000, 40))).mean(axis=1)
        assert 0.25 < (np.abs(errors / errors.mean() - 1) > 0.12).mean() < 0.5
