"""Each fault of a service moves the metric that is meant to show it, leaves the unrelated ones quiet, and a valid log."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import faults
from mlprod_helpers.monitoring import METRICS, measure, service_log
from mlprod_helpers.requestlog import validate

BEGIN, END = "2024-01-15", "2024-01-18"
WINDOW = {"start": BEGIN, "end": END}
SEGMENTS = [METRICS["ctr"].only("device", name) for name in ("phone", "desktop")]
DEVICES = ["ctr[device=phone]", "ctr[device=desktop]"]
# fault -> (metrics that must move and where to, metrics that may move with it: consequences, not causes)
CASES = {
    "feed_outage": (faults.FeedOutage("price", **WINDOW), {"missing_rows": 1}, {"repeated_values"}),
    "sentinel": (faults.FeedOutage("rating", -999, **WINDOW), {"missing_rows": 1}, set()),
    "log_outage": (
        faults.LogOutage(share=0.7, **WINDOW),
        {"throughput": -1},
        {
            "redo_rate",
            "repeated_values",
            "memory_mb",
        },  # fewer rows: a lower maximum, seldom both halves of a pair
    ),
    "unit_change": (faults.UnitChange("price", 100.0, **WINDOW), {"out_of_range": 1}, set()),
    "encoding_bug": (faults.EncodingBug("query", **WINDOW), {"input_length": 1}, set()),
    "dark_camera": (faults.DarkCamera("brightness", 0.6, **WINDOW), {"brightness": -1}, set()),
    "stuck_sensor": (
        faults.StuckSensor("price", **WINDOW),
        {"repeated_values": 1},
        {"missing_rows"},  # it also fills the holes
    ),
    "new_category": (
        faults.NewCategory("category", "skis", share=0.1, **WINDOW),
        {"new_categories": 1},
        set(),
    ),
    "slow_dependency": (
        faults.SlowDependency(900.0, share=0.3, **WINDOW),
        {"latency_p95": 1, "latency_p99": 1, "error_rate": 1},
        {"latency_p50", "ctr", *DEVICES},  # who gets no answer does not click
    ),
    "memory_leak": (
        faults.MemoryLeak(5.0, where={"server": "b"}, **WINDOW),
        {"memory_mb": 1},
        set(),
    ),
    "retry_storm": (
        faults.RetryStorm(0.5, 4, **WINDOW),
        {"retry_rate": 1, "throughput": 1, "server_load": 1, "latency_p95": 1},
        {"latency_p50", "latency_p99", "error_rate", "cpu", "ctr", *DEVICES},
    ),
    "missing_outputs": (
        faults.MissingOutputs(share=0.15, **WINDOW),
        {"missing_outputs": 1},
        {"ctr", *DEVICES},  # an empty page cannot be clicked
    ),
    "click_drop": (faults.ClickDrop(share=0.3, **WINDOW), {"ctr": -1}, set(DEVICES)),
    "hidden_click_drop": (
        faults.HiddenClickDrop(0.17, **WINDOW),
        {DEVICES[0]: -1},  # and not the total
        {
            DEVICES[1]
        },  # falls as well, but few requests are left to see it in three days; a month is tested below
    ),
    "redo_surge": (
        faults.RedoSurge(share=0.2, **WINDOW),
        {"redo_rate": 1},
        {"throughput", "ctr", "repeated_values", *DEVICES},  # more rows, the same offers again
    ),
}


def metrics():
    return [*METRICS.values(), *SEGMENTS]


@pytest.fixture(scope="module")
def log():
    return service_log(28, rate=0.1, random_state=11)


@pytest.fixture(scope="module")
def quiet(log):
    return measure(log, metrics(), "1D")


def moved(quiet, table):
    """How many standard deviations of the quiet days the broken days moved, against the same days unbroken."""
    days = pd.date_range(BEGIN, END, inclusive="left", tz="UTC")
    spread = quiet.std().clip(lower=1e-4)
    return (table.loc[days].mean() - quiet.loc[days].mean()) / spread


@pytest.mark.parametrize("name", CASES)
def test_a_fault_moves_its_own_metric_and_no_unrelated_one(log, quiet, name):
    fault, own, consequences = CASES[name]
    broken, seal = faults.apply(log, fault, random_state=3)
    validate(broken)
    table = measure(broken, metrics(), "1D")
    z = moved(quiet, table)
    for metric, sign in own.items():
        assert sign * z[metric] > 4, f"{metric} moved by {z[metric]:.1f} sd"
    unrelated = z.index.difference(["rows", *own, *consequences])
    loud = z[unrelated][z[unrelated].abs() > 2.5]
    assert loud.empty, f"{name} moved {loud.round(1).to_dict()}"
    (incident,) = seal.reveal()
    assert incident.kind == fault.kind
    hit = log["time"].iloc[[incident.start, incident.end - 1]]
    assert hit.between(BEGIN, END, inclusive="left").all()


@pytest.mark.parametrize("name", CASES)
def test_outside_of_the_window_nothing_moves_and_the_original_stands(log, quiet, name):
    before = log.copy()
    broken, _ = faults.apply(log, CASES[name][0], random_state=3)
    assert log.equals(before)  # pandas' own assertion takes seconds for a whole log
    pd.testing.assert_frame_equal(log.head(), before.head())
    table = measure(broken, metrics(), "1D")
    outside = ~((quiet.index >= BEGIN) & (quiet.index < pd.Timestamp(END, tz="UTC") + pd.Timedelta("1D")))
    pd.testing.assert_frame_equal(table[outside], quiet[outside])


def test_the_hidden_drop_keeps_the_total_and_takes_from_both(log):
    broken, _ = faults.apply(log, faults.HiddenClickDrop(0.1), random_state=5)
    total = broken["clicked"].mean() / log["clicked"].mean()
    assert total == pytest.approx(1, abs=0.02)
    for device in ("phone", "desktop"):
        ratio = [frame.loc[frame["device"] == device, "clicked"].mean() for frame in (broken, log)]
        assert ratio[0] / ratio[1] == pytest.approx(0.9, abs=0.03)
    assert (broken["device"] == "phone").mean() > (log["device"] == "phone").mean() + 0.1


def test_the_hidden_drop_refuses_what_no_mix_can_hide(log):
    with pytest.raises(ValueError, match="Choose a smaller drop"):
        faults.apply(log, faults.HiddenClickDrop(0.6))
    with pytest.raises(ValueError, match="requests of both"):
        faults.apply(log, faults.HiddenClickDrop(0.2, where={"device": "phone"}))


def test_timeouts_are_504_at_the_timeout_and_have_no_answer(log):
    broken, _ = faults.apply(log, faults.SlowDependency(900.0, 1500.0, share=0.5), random_state=1)
    new = (broken["status"] == 504) & (log["status"] != 504)
    assert (broken.loc[new, "latency_ms"] == 1500).all()
    assert broken.loc[new, ["prediction", "score", "click_time"]].isna().all(axis=None)
    # an exponential wait with mean 900 is above about 1400 ms in exp(-1400 / 900) = 21% of the hit half
    assert new.mean() == pytest.approx(0.5 * np.exp(-(1500 - log["latency_ms"].median()) / 900), abs=0.01)
    assert (broken["latency_ms"] >= log["latency_ms"]).all()


def test_a_retry_storm_has_the_attempts_of_its_geometric_law(log):
    broken, _ = faults.apply(log, faults.RetryStorm(0.5, 4), random_state=1)
    extra = broken["attempts"] - log["attempts"] + 1
    assert extra.value_counts(normalize=True).reindex([1, 2, 3, 4]).to_numpy() == pytest.approx(
        [1 / 2, 1 / 4, 1 / 8, 1 / 8], abs=0.01
    )
    assert (broken["status"] == 503).mean() == pytest.approx(1 / 16, abs=0.005)


def test_a_leak_grows_by_the_hour(log):
    leak = faults.MemoryLeak(10.0, start="2024-01-10", where={"server": "b"})
    grown = faults.apply(log, leak)[0]["memory_mb"] - log["memory_mb"]
    assert (grown[log["server"] != "b"] == 0).all()
    late = (log["server"] == "b") & (log["time"] >= "2024-01-12") & (log["time"] < "2024-01-12 01:00")
    assert grown[late].mean() == pytest.approx(485, abs=3)  # 48.5 hours on


def test_a_redo_names_a_search_of_the_same_user_a_little_earlier(log):
    broken, _ = faults.apply(log, faults.RedoSurge(share=0.2), random_state=1)
    added = broken[~broken["request_id"].isin(log["request_id"])]
    first = broken.set_index("request_id").loc[added["redo_of"]]
    assert (first["user_id"].to_numpy() == added["user_id"].to_numpy()).all()
    assert not first["clicked"].any()
    gap = (added["time"].to_numpy() - first["time"].to_numpy()) / np.timedelta64(1, "s")
    assert gap.min() >= 7.99 and gap.max() <= 100.01
    assert (added["page"] == 1).all()
    assert len(added) / (log["page"] == 1).sum() == pytest.approx(0.2, abs=0.01)


def test_an_encoding_bug_changes_just_the_texts_beyond_ascii(log):
    few = log.head(3000)
    broken, _ = faults.apply(few, faults.EncodingBug("query", start=1000))
    plain = np.array([text.isascii() for text in few["query"]])
    same = (broken["query"].astype(str) == few["query"].astype(str)).to_numpy()
    assert same[:1000].all() and (same[1000:] == plain[1000:]).all()


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (lambda: faults.EncodingBug("price"), TypeError, "only text has an encoding"),
        (lambda: faults.SlowDependency(-1.0), ValueError, "extra_ms"),
        (lambda: faults.MemoryLeak(0.0), ValueError, "mb_per_hour"),
        (lambda: faults.RetryStorm(1.0), ValueError, "between 0 and 1"),
        (lambda: faults.RetryStorm(0.5, 1), ValueError, "no storm"),
        (lambda: faults.HiddenClickDrop(0.0), ValueError, "between 0 and 1"),
        (lambda: faults.RedoSurge(5.0), ValueError, "above 8"),
        (lambda: faults.DarkCamera("brightness", 1.0), ValueError, "0.4"),
        (lambda: faults.DarkCamera("query", 0.4), TypeError, "brightness is a number"),
    ],
)
def test_errors_say_what_to_do(log, fault, error, says):
    with pytest.raises(error, match=says):
        faults.apply(log.head(100), fault())


def test_a_fault_of_a_log_wants_a_log():
    with pytest.raises(TypeError, match="request log"):
        faults.apply(np.zeros((3, 2)), faults.LogOutage())
    with pytest.raises(KeyError, match="no column 'latency_ms'"):
        faults.apply(pd.DataFrame({"time": [1], "status": [200]}), faults.SlowDependency())
