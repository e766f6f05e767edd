"""What lesson 10 says about the flights: the notebook's promise and the service, month by month."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.features import flights

T9 = 2.262  # t quantile for a 95% interval of the mean of ten months


def interval(values):
    half = T9 * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


@pytest.fixture(scope="module")
def table():
    return flights.scores()


def test_the_notebook_promises_a_seventh_less_error_and_the_service_is_worse_than_without(table):
    assert len(table) == 10
    assert table.mean().round(1).to_dict() == {"plan": 8.5, "notebook": 7.0, "service": 9.2, "as_of": 8.4}
    assert (table["notebook"] < table["plan"]).all()
    assert (table["service"] > table["plan"]).sum() == 9
    promised, lost = table["plan"] - table["notebook"], table["service"] - table["plan"]
    assert interval(promised) == pytest.approx((0.84, 2.06), abs=0.1)
    assert interval(lost)[0] > 0.3


def test_the_gap_holds_in_each_month_with_its_interval(table):
    gap = table["service"] - table["notebook"]
    assert (gap > 0).all()
    assert gap.mean() == pytest.approx(2.2, abs=0.05)
    assert interval(gap) == pytest.approx((1.7, 2.7), abs=0.05)


@pytest.mark.parametrize("taxi", [0, 30])
def test_the_assumed_minutes_on_the_ground_change_the_size_and_not_the_sign(taxi, monkeypatch):
    moved = flights.scores(wait=taxi - flights.TAXI)
    assert ((moved["service"] - moved["notebook"]) > 0).all()
    assert (moved["service"] > moved["plan"]).sum() >= 7
    assert moved["service"].mean() > moved["plan"].mean()


def test_with_a_window_of_twelve_hours_the_service_keeps_most_of_the_promise():
    table = flights.scores(hours=12)
    assert table["notebook"].mean().round(1) == 7.1
    assert table["service"].mean().round(1) == 7.4
    assert (table["service"] < table["plan"]).all()


def test_the_feature_of_the_table_knows_flights_that_are_still_in_the_air():
    both, _ = flights._month(7)
    window = pd.Timedelta("2h")
    counted = in_air = 0
    left, landed = both["left"].to_numpy(), both["landed"].to_numpy()
    for at in both["time"].to_numpy()[::20]:
        inside = (left > at - window.to_numpy()) & (left <= at)
        counted += inside.sum()
        in_air += (inside & (landed > at)).sum()
    assert in_air / counted == pytest.approx(0.85, abs=0.1)


def test_without_the_flight_itself_the_gap_is_smaller_and_still_in_each_month():
    rows = []
    for month in flights.MONTHS:
        both, _ = flights._month(month)
        at, left, slower = (both[name].to_numpy() for name in ("time", "left", "slower"))
        recent = (left > at[:, None] - pd.Timedelta("2h").to_numpy()) & (left <= at[:, None])
        np.fill_diagonal(recent, False)
        others = np.array([slower[row].mean() if row.any() else 0.0 for row in recent])
        weights = flights._fitted(month, others)
        known = flights.recent(both, "landed").to_numpy()
        rows.append((flights._error(month, weights, others), flights._error(month, weights, known)))
    notebook, service = np.array(rows).T
    assert (notebook.mean().round(1), service.mean().round(1)) == (7.4, 8.8)
    assert (service > notebook).all() and (service - notebook).mean() == pytest.approx(1.4, abs=0.05)
