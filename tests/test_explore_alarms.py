"""The alarm tuner of lesson 03 says what a simulation of weekly PSI alarms finds."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from mlprod_helpers.drift import psi_under_no_drift
from mlprod_helpers.explore import alarm_explorer, alarm_tradeoff


def psi_of_weeks(rows, shift, n_weeks, rng):
    """PSI of a normal column against known deciles, half a row of smoothing."""
    mass = np.diff(ndtr(ndtri(np.arange(1, 10) / 10) - shift), prepend=0, append=1)
    shares = (rng.multinomial(rows, mass, size=n_weeks) + 0.5) / (rows + 5)
    return ((shares - 0.1) * np.log(shares / 0.1)).sum(axis=1)


def wait_for_run(alarms, length):
    """Mean weeks from one completed run of alarms to the next."""
    runs = count = 0
    for alarm in alarms:
        count = count + 1 if alarm else 0
        if count == length:
            runs, count = runs + 1, 0
    return len(alarms) / runs


@pytest.mark.parametrize(
    ("rows", "shift", "threshold"), [(200, 0.5, 0.3), (1_000, 0.3, 0.1), (5_000, 0.3, 0.08)]
)
@pytest.mark.parametrize("in_a_row", [1, 2, 3])
def test_delay_is_that_of_a_simulation(rows, shift, threshold, in_a_row):
    alarms = psi_of_weeks(rows, shift, 20_000, np.random.default_rng(0)) > threshold
    _, weeks = alarm_tradeoff(threshold, rows=rows, weeks_in_a_row=in_a_row, shift=shift)
    # the chi-square law is off by a few percent at 200 rows, and a run of k weeks takes it to the power of k
    assert weeks == pytest.approx(wait_for_run(alarms, in_a_row), rel=0.18 * in_a_row)


@pytest.mark.parametrize("in_a_row", [1, 2])
def test_false_pages_are_those_of_a_simulation(in_a_row):
    columns, threshold = 5, 0.05
    quiet = (
        psi_under_no_drift(10_000, 300, n_repeats=20_000 * columns, random_state=1).reshape(columns, -1)
        > threshold
    )
    weekly = np.mean([1 / wait_for_run(column, in_a_row) for column in quiet])
    pages, _ = alarm_tradeoff(threshold, rows=300, columns=columns, weeks_in_a_row=in_a_row)
    assert pages == pytest.approx(52 * (1 - (1 - weekly) ** columns), rel=0.12 * in_a_row)


def test_both_sides_of_the_trade():
    limits = np.linspace(0.02, 0.6, 30)
    pages, weeks = alarm_tradeoff(limits)
    assert np.all(np.diff(pages) <= 0) and np.all(np.diff(weeks) >= 0)
    twice = alarm_tradeoff(limits, weeks_in_a_row=2)
    assert np.all(twice[0] <= pages) and np.all(twice[1] > weeks)


def test_the_explorer_tells_both_numbers():
    explorer = alarm_explorer()
    assert "52 false pages" in repr(explorer)
    explorer.set(threshold=0.4)
    assert "fewer than" in repr(explorer) or "0.0" in repr(explorer)
    explorer.set(threshold=0.6, shift=0.1)
    assert "more than two years" in repr(explorer)
