"""The recorded runs: each shows what it was made for, and is a table that the course can read."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import datasets
from mlprod_helpers.requestlog import served, validate
from mlprod_helpers.rollout import Controller, Metrics, MSPRTJudge, Shadow, route
from mlprod_helpers.serving.lab.recorded import RECORDINGS, START, load_recorded


def seconds(log):
    return (log["time"] - pd.Timestamp(START)).dt.total_seconds()


def failed(log, version):
    return (log.loc[log["version"] == version, "status"] >= 500).mean()


def test_every_case_is_there_and_its_files_are_small():
    size = 0
    for name in RECORDINGS:
        tables = load_recorded(name)
        assert tuple(tables) == RECORDINGS[name] and all(len(table) for table in tables.values())
        size += (datasets.data_folder() / f"serving_{name}.csv.gz").stat().st_size
    assert size < 600_000


def test_wrong_names_say_what_there_is():
    with pytest.raises(ValueError, match="pause"):
        load_recorded("pauses")
    with pytest.raises(ValueError, match="retried"):
        load_recorded("canary_fails", "retry")


@pytest.mark.parametrize("name", ["canary_fails", "shift"])
def test_logs_are_valid_and_their_users_sticky(name):
    for log in load_recorded(name).values():
        validate(log)
        assert log["time"].is_monotonic_increasing and 1000 < len(served(log)) < 10_000
        assert 0 <= seconds(log).min() < 2 and seconds(log).max() < 100
        if name == "canary_fails":
            tried = log[log["attempts"] == 1]
            tried = tried[tried["version"] != "v3"]
            assert ((tried["version"] == "v2") == route(tried["user_id"].to_numpy(), 20)).all()


@pytest.mark.parametrize("name", ["pause", "overload"])
def test_load_tables_are_in_order(name):
    for table in load_recorded(name).values():
        assert list(table) == ["due", "sent", "finish", "latency_ms", "status"]
        assert table["due"].is_monotonic_increasing or name == "pause"
        assert (table["sent"] >= table["due"] - 1e-9).all() and (table["finish"] >= table["sent"]).all()
        np.testing.assert_allclose(table["latency_ms"], 1000 * (table["finish"] - table["due"]))


def test_the_same_pause_is_one_request_of_the_closed_loop_and_a_tenth_of_the_open_one():
    closed, opened, scheduled = (load_recorded("pause", case) for case in ("closed", "open", "scheduled"))
    assert (closed["latency_ms"] > 5000).sum() == 1 and closed["latency_ms"].quantile(0.99) < 50
    assert 400 < (opened["latency_ms"] > 5000).sum() < 800
    assert opened["latency_ms"].quantile(0.99) > 5000
    assert (opened["status"] == 200).mean() > 0.99 and 9_000 < len(opened) < 11_000 < len(closed)
    from_sent = scheduled["finish"] - scheduled["sent"]
    assert from_sent.quantile(0.99) < 0.2 and scheduled["latency_ms"].quantile(0.99) > 5000


def test_five_rollouts():
    fails, retried, good, copies, outage = load_recorded("canary_fails").values()
    assert 0.03 < failed(fails, "v2") < 0.07 and failed(fails, "v1") < 0.012
    v2 = retried[retried["version"] == "v2"]
    assert 0.03 < (v2["status"] >= 500).mean() < 0.07
    assert ((v2["status"] >= 500) == ~v2["served"]).all()  # no user saw one of them
    again = retried[(retried["attempts"] > 1) & retried["served"]]
    assert set(again["request_id"]) == set(v2.loc[~v2["served"], "request_id"])
    assert failed(good, "v2") < 0.012 and failed(good, "v1") < 0.012
    v3 = copies[copies["version"] == "v3"]
    assert not v3["served"].any() and 0.45 < failed(copies, "v3") < 0.55 and failed(copies, "v2") < 0.012
    down = outage[seconds(outage).between(30.5, 41.5)]
    assert all(0.2 < failed(down, version) < 0.4 for version in ("v1", "v2"))
    assert all(failed(outage.drop(down.index), version) < 0.03 for version in ("v1", "v2"))


def test_judge_and_controller_read_a_recorded_log():
    log = load_recorded("canary_fails", "fails")
    controller = Controller(Shadow(interval=5), MSPRTJudge(tau=0.05), "v1", "v2")
    metrics = Metrics.from_log(log, "v1", "v2", origin=START)
    for now in range(0, 76, 5):
        decision = controller.step(now, metrics)
        if decision.phase == "Degraded":
            break
    assert decision.phase == "Degraded" and "error" in decision.reason


def test_five_afternoons():
    for case, log in load_recorded("shift").items():
        both = {v: log[log["version"] == v].set_index("request_id") for v in ("v1", "v2")}
        assert both["v1"]["served"].all() and not both["v2"]["served"].any()
        shared = both["v1"].index.intersection(both["v2"].index)
        assert len(shared) > 0.97 * len(both["v1"])
        v1, v2 = (both[v].loc[shared] for v in ("v1", "v2"))
        assert (v1["label"] == v2["label"]).all() and (log["label_time"] > log["time"]).all()
        off = {v: ((t["prediction"] - t["label"]).abs() > 20).mean() for v, t in (("v1", v1), ("v2", v2))}
        slower = v2["latency_ms"].median() - v1["latency_ms"].median()
        assert (280 < slower < 400) if case == "slow" else abs(slower) < 60
        better = case in ("good", "slow", "burst")
        assert off["v2"] < 0.7 * off["v1"] if better else off["v2"] > 0.9 * off["v1"]
        assert (off["v2"] > 1.5 * off["v1"]) == (case == "wrong")
        assert (failed(log, "v2") > 0.03) == (case == "fails") and failed(log, "v1") < 0.012
        if case == "burst":
            then = seconds(log).between(22, 31)
            slow = log[then].groupby("version")["latency_ms"].median()
            calm = log[~seconds(log).between(20, 36)].groupby("version")["latency_ms"].median()
            assert (slow > 150).all() and (calm < 100).all()


def test_latency_rises_with_load_as_queueing_says():
    tables = load_recorded("latency")
    for table in tables.values():
        assert table["load"].tolist() == [0.2, 0.35, 0.5, 0.65, 0.8, 0.9]
        np.testing.assert_allclose(table["rate"] * table["service_ms"] / 1000, table["load"], rtol=0.01)
        outside = (table["alone_ms"] - table["service_ms"]).clip(
            lower=0
        )  # HTTP, and the machine's other work
        ratio = table["mean_ms"] / (table["predicted_ms"] + outside)
        assert ratio.iloc[:4].between(0.7, 1.4).all() and ratio.between(0.5, 2).all()
        assert table["mean_ms"].iloc[-1] > 2 * table["mean_ms"].iloc[0]
    spread = {law: (table["service_sd_ms"] / table["service_ms"]).max() for law, table in tables.items()}
    assert spread["constant"] < 0.4 and 0.8 < spread["exponential"] < 1.2
    assert (tables["exponential"]["mean_ms"] > tables["constant"]["mean_ms"]).iloc[3:].all()


def test_a_queue_limit_keeps_overload_bearable():
    endless, limited = load_recorded("overload").values()
    assert (endless["status"] == 200).all() and endless["latency_ms"].iloc[-50:].median() > 2000
    refused = limited["status"] == 503
    assert 0.1 < refused.mean() < 0.4
    assert limited.loc[~refused, "latency_ms"].quantile(0.99) < 1000
    assert limited.loc[refused, "latency_ms"].median() < 100


def test_exercises_draw_another_part_each_time_and_the_same_for_the_same_seed():
    from mlprod_helpers.serving.lab import recorded_runs

    def drawn(seed):
        rng = np.random.default_rng(seed)
        log = pd.concat(recorded_runs.draw_log("fails", rng, failures=(15, 30)), ignore_index=True)
        return log, recorded_runs.draw_afternoon("burst", rng), recorded_runs.users_in_peace(rng)[0]

    one, again, other = drawn(1), drawn(1), drawn(2)
    pd.testing.assert_frame_equal(one[0], again[0])
    pd.testing.assert_frame_equal(one[1], again[1])
    assert len(one[0]) != len(other[0]) and len(one[2]) != len(other[2])
    assert not one[1]["place"].equals(other[1]["place"])
    v2 = one[0][one[0]["version"] == "v2"]
    assert 15 <= (v2["status"] >= 500).sum() <= 30 and 0.1 < len(v2) / len(one[0]) < 0.4
