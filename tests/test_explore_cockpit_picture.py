"""The cockpit's table and picture say what the log says, and nothing later."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import plots
from mlprod_helpers.explore import cockpit
from mlprod_helpers.explore.instruments import cockpit_picture, cockpit_state
from mlprod_helpers.requestlog import as_log, as_of

START = pd.Timestamp("2024-01-01 10:00Z")


def at(seconds):
    return START + pd.Timedelta(seconds=seconds)


def log_of(rows):
    """A log of rows (second, id, version, served, status, latency in ms, attempts)."""
    names = ["time", "request_id", "version", "served", "status", "latency_ms", "attempts"]
    frame = pd.DataFrame(rows, columns=names)
    return as_log(frame.assign(time=START + pd.to_timedelta(frame["time"], unit="s")))


@pytest.fixture(scope="module")
def killed():
    """90 s at 40 requests a second, half of them to v2, which dies at second 60 and loses its users at second 66."""
    rng = np.random.default_rng(3)
    rows = []
    for i, second in enumerate(np.sort(rng.uniform(0, 90, 3600))):
        version = "v2" if rng.uniform() < 0.5 and second < 66 else "v1"
        latency = float(rng.lognormal(1.2, 0.3))
        if version == "v2" and second > 60:
            rows.append((second, i, "v2", False, 502, 1.0, 1))
            rows.append((second, i, "v1", True, 200, latency + 1, 2))
        else:
            rows.append((second, i, version, True, 200, latency, 1))
    return log_of(rows)


def pixels(figure):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)


# --- the table ------------------------------------------------------------------------------------------------------------


def test_numbers_are_those_worked_out_by_hand():
    log = log_of(
        [
            *((s / 10, f"a{s}", "v1", True, 200, 10.0 + s, 1) for s in range(10)),
            (1.0, "b1", "v2", True, 500, 7.0, 1),
            (1.1, "b2", "v2", False, 502, 1.0, 1),  # lost, v1 stood in
            (1.1, "b2", "v1", True, 200, 30.0, 2),
            (1.2, "b3", "v2", True, 200, 9.0, 2),  # asked v2 twice
            (1.3, "b4", "v1", True, 200, 10.0, 1),
            (1.3, "b4", "v2", False, 500, 50.0, 1),  # a shadow copy that failed
            (1.4, "b5", "router", True, 503, 0.1, 1),
        ]
    )
    state = cockpit_state(log, at(2))
    assert state.index.tolist() == ["router", "v1", "v2"]
    assert state.loc["v1", ["rate", "share", "failed", "lost", "retried"]].tolist() == [1.2, 12 / 15, 0, 0, 0]
    assert state.loc["v1", "p50"] == np.median([*range(10, 20), 30, 10])
    assert state.loc["v2", ["rate", "failed", "lost", "retried", "copies"]].tolist() == [0.2, 3, 1, 2, 0.1]
    assert state.loc["v2", "p99"] == np.percentile([7, 9, 50], 99)  # the lost try was no answer
    assert state.loc["router", ["rate", "failed", "lost"]].tolist() == [0.1, 1, 1]
    assert state["share"].sum() == pytest.approx(1)


def test_what_is_not_yet_answered_is_not_counted():
    log = log_of([(0.0, 1, "v1", True, 200, 5000.0, 1), (1.0, 2, "v1", True, 200, 10.0, 1)])
    assert cockpit_state(log, at(2)).loc["v1", "p99"] == 10
    assert cockpit_state(log, at(5)).loc["v1", "rate"] == 0.2
    assert cockpit_state(log, at(12))["rate"].tolist() == [0.1]  # came 12 s ago, answered 7 s ago


@pytest.mark.parametrize("second", [10, 61.5, 80])
def test_the_past_does_not_depend_on_the_future(killed, second):
    cut = as_of(killed, at(second))
    pd.testing.assert_frame_equal(cockpit_state(killed, at(second)), cockpit_state(cut, at(second)))
    whole, early = cockpit_picture(killed, at(second)), cockpit_picture(cut, at(second))
    assert (whole.png, whole.alt) == (early.png, early.alt)


def test_versions_without_a_request_are_listed_first():
    log = log_of([(0.0, 1, "v2", True, 200, 5.0, 1)])
    state = cockpit_state(log, at(1), ("v3", "v2"))
    assert state.index.tolist() == ["v3", "v2"] and state["rate"].tolist() == [0, 0.1]
    assert np.isnan(state.loc["v3", "p50"])


# --- the picture ----------------------------------------------------------------------------------------------------------


def test_the_words_of_the_picture_are_facts_of_the_log(killed):
    alt = cockpit_picture(killed, at(70)).alt
    inside = killed[(killed["time"] > at(10)) & (killed["time"] <= at(70))]
    lost = int(((inside["status"] == 502) & ~inside["served"]).sum())
    assert f"{lost} failed, none of them seen by a client, {lost} tried again" in alt
    assert alt.startswith("The last 60 s before 10:01:10 UTC. v1: 1,")
    assert "none failed" in alt.split("v2:")[0]


def test_a_failure_that_a_client_saw_is_red_and_a_caught_one_is_not(killed):
    red = [int(plots.RED[i : i + 2], 16) for i in (1, 3, 5)]

    def burns(figure):
        panel = pixels(figure)[256:354, 570:]  # the axes of the failures
        return bool((np.abs(panel - red).sum(axis=2) < 30).any())

    lost = killed.assign(served=killed["served"] | (killed["status"] == 502)).drop_duplicates("request_id")
    assert burns(cockpit_picture(lost, at(75)))
    assert not burns(cockpit_picture(killed, at(75)))
    assert cockpit_picture(killed, at(75)).png != cockpit_picture(killed, at(55)).png


def test_what_is_not_drawn_is_said():
    log = log_of([(0.0, i, f"v{i}", True, 200, 5.0, 1) for i in range(1, 6)])
    assert "v5: 1 answer" in cockpit_picture(log, at(1)).alt
    assert "No request was answered in this time" in cockpit_picture(log, at(100)).alt


# --- a recorded run -------------------------------------------------------------------------------------------------------


def test_the_shipped_recording_shows_a_canary_that_fails():
    run = cockpit(None)
    assert re.search(r"v1: [\d,]+ answers.* v2: \d+ answers", run.figure.alt)
    lost = [int(many) for many in re.findall(r"(\d+) of them seen by a client", run.figure.alt)]
    assert len(lost) == 2 and lost[1] > lost[0]
