import json
import re
import threading

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import requestlog
from mlprod_helpers.requestlog import (
    LogError,
    LogWarning,
    RequestLog,
    as_log,
    as_of,
    read,
    served,
    validate,
)


def example(**changes):
    """Three requests, one of them answered twice: by v1 for the user, by v2 in the shadow."""
    noon = pd.Timestamp("2013-01-01 12:00Z")
    frame = {
        "time": noon + pd.to_timedelta([0, 0, 1, 2], unit="min"),
        "request_id": ["r1", "r1", "r2", "r3"],
        "user_id": ["ada", "ada", "bob", "ada"],
        "version": ["v1", "v2", "v1", "v1"],
        "served": [True, False, True, True],
        "distance": [1400.0, 1400.0, 187.0, 760.0],
        "airport": ["JFK", "JFK", "LGA", "EWR"],
        "prediction": [200.0, 210.0, 40.0, np.nan],
        "status": [200, 200, 200, 500],
        "latency_ms": [12.0, 30.0, 90_000.0, 5.0],
        "label": [227.0, 227.0, np.nan, 110.0],
        "label_time": [noon + pd.Timedelta("4h")] * 2 + [pd.NaT, noon + pd.Timedelta("3h")],
        "clicked": [True, False, False, False],
        "click_time": [noon + pd.Timedelta("1min"), pd.NaT, pd.NaT, pd.NaT],
        "redo_of": [None, None, None, "r1"],
    }
    return pd.DataFrame(frame | changes)


def test_a_good_log_passes_unchanged():
    log = as_log(example())
    assert validate(log) is log
    assert requestlog.features(log) == ["distance", "airport"]
    assert [name for name in log if name not in ("distance", "airport")] == [
        name for name in requestlog.COLUMNS if name in log
    ]


BAD = {
    "a missing column": (lambda f: f.drop(columns="version"), "'version' is absent"),
    "local time": (lambda f: f.assign(time=f["time"].dt.tz_localize(None)), "'time'.*UTC"),
    "another time zone": (
        lambda f: f.assign(time=f["time"].dt.tz_convert("America/New_York")),
        "'time'.*UTC",
    ),
    "a missing id": (
        lambda f: f.assign(request_id=["r1", "r1", None, "r3"]),
        "'request_id', row 2 .* missing",
    ),
    "the key twice": (lambda f: f.assign(version="v1"), "'request_id', row 1 .*twice"),
    "two answers to one user": (lambda f: f.assign(served=True), "row 0 .*served by two versions"),
    "negative latency": (
        lambda f: f.assign(latency_ms=[1.0, 2.0, -3.0, 4.0]),
        "'latency_ms', row 2 .request r2.: -3.0 is neg",
    ),
    "no latency": (lambda f: f.assign(latency_ms=[1.0, 2.0, np.nan, 4.0]), "'latency_ms', row 2 .*given up"),
    "endless latency": (lambda f: f.assign(latency_ms=[1.0, 2.0, np.inf, 4.0]), "'latency_ms', row 2"),
    "latency as text": (lambda f: f.assign(latency_ms="12 ms"), "'latency_ms'.*number"),
    "a word as status": (lambda f: f.assign(status="ok"), "'status'.*whole numbers"),
    "no such status": (lambda f: f.assign(status=[200, 0, 200, 200]), "'status', row 1 .*HTTP"),
    "a label without its time": (lambda f: f.assign(label=1.0), "'label', row 2 .*label_time"),
    "a time without its label": (lambda f: f.assign(label=np.nan), "'label_time', row 0 .*no label"),
    "labels without times": (lambda f: f.drop(columns="label_time"), "come together"),
    "a label before its request": (
        lambda f: f.assign(label_time=f["label_time"] - pd.Timedelta("1D")),
        "'label_time', row 0 .*before",
    ),
    "served as a number": (lambda f: f.assign(served=1), "'served'.*True or False"),
    "a click in the shadow": (lambda f: f.assign(clicked=True), "'clicked', row 1 .*shadow"),
    "a click without time": (
        lambda f: f.assign(clicked=[True, False, True, False]),
        "'clicked', row 2 .*contradicts",
    ),
    "a click before the request": (
        lambda f: f.assign(click_time=f["click_time"] - pd.Timedelta("1h")),
        "'click_time', row 0 .*before",
    ),
    "a redo of itself": (lambda f: f.assign(redo_of=f["request_id"]), "'redo_of', row 0 .*itself"),
    "no attempt at all": (lambda f: f.assign(attempts=0), "'attempts', row 0 .*less than one"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_log_is_refused_with_its_column_and_row(name):
    spoil, message = BAD[name]
    with pytest.raises(LogError, match=f"(?s){message}"):
        validate(spoil(as_log(example())))


def test_rows_are_named_by_their_label_not_their_position():
    log = as_log(example()).set_index(pd.Index([10, 20, 30, 40])).assign(status=[200, 200, 99, 200])
    with pytest.raises(LogError, match="row 30 .request r2.: 99"):
        validate(log)


def test_as_log_makes_canonical_columns():
    log = as_log(
        {
            "label_time": ["2013-01-01T12:00:00Z", None],
            "label": [1, None],
            "latency_ms": ["12", "13"],
            "x": [1, 2],
            "version": "v1",
            "request_id": [1, 2],
            "time": ["2013-01-01 05:00-05:00", "2013-01-01 10:00:00.5Z"],
        }
    )
    names = ["time", "request_id", "version", "served", "x", "latency_ms", "label", "label_time"]
    assert list(log.columns) == names
    assert log["time"].tolist() == [pd.Timestamp("2013-01-01 10:00Z"), pd.Timestamp("2013-01-01 10:00:00.5Z")]
    assert str(log["time"].dtype) == str(log["label_time"].dtype) == "datetime64[us, UTC]"
    assert log["latency_ms"].tolist() == [12.0, 13.0]
    assert log["served"].tolist() == [True, True]


@pytest.mark.parametrize("time", ["2013-01-01 05:00", pd.Timestamp("2013-01-01 05:00"), "2013-01-01"])
def test_a_time_without_a_zone_is_not_guessed(time):
    with pytest.raises(LogError, match="time zone"):
        as_log({"time": [time], "request_id": [1], "version": ["v1"]})
    with pytest.raises(LogError, match="time zone"):
        RequestLog().request("r1", version="v1", time=time)
    with pytest.raises(LogError, match="time zone"):
        as_of(as_log(example()), time)


def test_whole_number_and_boolean_labels_can_be_missing():
    log = as_log(example(label=[True, True, False, True], label_time=pd.Timestamp("2013-01-02 00:00Z")))
    assert log["label"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert as_of(log, "2013-01-01 23:00Z")["label"].isna().all()


def test_as_of_hides_what_was_not_yet_known():
    log = as_log(example())
    seen = as_of(log, "2013-01-01 12:02:00.005Z")
    assert seen["request_id"].tolist() == ["r1", "r1", "r3"]  # r2 waits until 12:02:30
    assert seen["label"].isna().all() and seen["label_time"].isna().all()
    assert seen["clicked"].tolist() == [True, False, False]
    assert as_of(log, "2013-01-01 12:00:59Z")["clicked"].tolist() == [False, False]
    assert as_of(log, "2013-01-01 15:00Z")["label"].isna().tolist() == [True, True, True, False]
    pd.testing.assert_frame_equal(as_of(log, "2013-01-02 00:00Z"), log)


def test_as_of_shows_a_valid_log_at_every_moment_and_leaves_the_log_alone():
    log = as_log(example())
    before = log.copy()
    for minutes in range(0, 300, 7):
        validate(as_of(log, pd.Timestamp("2013-01-01 12:00Z") + pd.Timedelta(minutes=minutes)))
    pd.testing.assert_frame_equal(log, before)


def test_as_of_is_the_same_on_sorted_and_unsorted_logs():
    log, now = as_log(example()), "2013-01-01 12:01:30Z"
    assert as_of(log, now)["request_id"].tolist() == ["r1", "r1"]
    pd.testing.assert_frame_equal(as_of(log[::-1], now)[::-1], as_of(log, now))


def test_text_labels_are_hidden_too():
    log = as_log(example(label=["late", "late", None, "on time"]))
    assert as_of(log, "2013-01-01 15:00Z")["label"].dropna().tolist() == ["on time"]


def test_served_leaves_shadow_copies_out():
    assert served(as_log(example()))["version"].tolist() == ["v1"] * 3
    assert len(served(as_log(example()).drop(columns="served"))) == 4


def write_example(path):
    """The events of `example`, as its service would have written them."""
    with RequestLog(path) as log:
        for row in example(attempts=[1, 1, 3, 1]).to_dict("records"):
            inputs = {name: row[name] for name in ("distance", "airport")}
            answer = {name: row[name] for name in ("user_id", "served", "status", "latency_ms", "attempts")}
            answer |= {name: row[name] for name in ("prediction", "redo_of") if not pd.isna(row[name])}
            about = {"version": row["version"], "time": row["time"]}
            log.request(row["request_id"], features=inputs, clicked=False, **about, **answer)
        log.click("r1", time="2013-01-01 12:01Z")
        log.label("r3", 110.0, time="2013-01-01 15:00Z")
        log.label("r1", 227.0, time="2013-01-01 16:00Z")


def test_what_a_service_wrote_is_read_as_its_table(tmp_path):
    write_example(tmp_path / "log.jsonl")
    log = read(tmp_path / "log.jsonl")
    pd.testing.assert_frame_equal(log, as_log(example(attempts=[1, 1, 3, 1])), check_dtype=False)
    assert log.attrs["problems"] == []


def event_log():
    log = RequestLog()
    log.request("r1", version="v1", time="2013-01-01 12:00Z", prediction=200.0, latency_ms=12.0)
    return log


def test_events_join_in_any_order_of_lines():
    log = event_log()
    log.label("r1", 227.0, time="2013-01-01 16:00Z")
    log.click("r1", time="2013-01-01 12:01Z")
    table = log.read()
    shuffled = RequestLog()
    shuffled._memory = log.lines()[::-1]
    pd.testing.assert_frame_equal(shuffled.read(), table)
    assert table.loc[0, ["label", "clicked"]].tolist() == [227.0, True]


def test_a_label_reaches_every_version_and_a_click_only_the_served_one():
    log = event_log()
    log.request("r1", version="v2", served=False, time="2013-01-01 12:00Z", prediction=210.0)
    log.label("r1", 227.0, time="2013-01-01 16:00Z")
    log.click("r1", time="2013-01-01 12:01Z")
    table = log.read()
    assert table["label"].tolist() == [227.0, 227.0]
    assert table["clicked"].tolist() == [True, False]


def test_the_last_label_wins_and_the_first_click_counts():
    log = event_log()
    for minute, label in ((1, 100.0), (2, 227.0)):
        log.label("r1", label, time=f"2013-01-01 16:0{minute}Z")
        log.click("r1", time=f"2013-01-01 12:0{minute}Z")
    row = log.read().iloc[0]
    assert row["label"] == 227.0 and row["label_time"] == pd.Timestamp("2013-01-01 16:02Z")
    assert row["click_time"] == pd.Timestamp("2013-01-01 12:01Z")


def test_a_request_sent_again_is_one_row_that_counts_the_attempts():
    log = event_log()
    log.request("r2", version="v1", time="2013-01-01 12:00Z", status=504, latency_ms=1000.0)
    log.request("r2", version="v1", time="2013-01-01 12:01Z", status=200, latency_ms=10.0)
    table = log.read().set_index("request_id")
    assert table["attempts"].to_dict() == {"r1": 1, "r2": 2}
    assert table.loc["r2", "status"] == 200


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "7",
        '{"event": "party"}',
        '{"event": "label", "request_id": "r1"}',
        '{"event": ["a"]}',
        "\xff",
    ],
)
def test_a_line_that_is_no_event_does_not_stop_the_reader(line):
    log = event_log()
    log._memory.insert(0, line)
    with pytest.warns(LogWarning, match="line 1"):
        assert len(log.read()) == 1


def test_a_label_without_its_request_is_reported():
    log = event_log()
    log.label("r9", 1.0, time="2013-01-01 16:00Z")
    with pytest.warns(LogWarning, match="label for request r9"):
        assert len(log.read()) == 1


def test_an_empty_log_is_an_empty_table(tmp_path):
    RequestLog(tmp_path / "log.jsonl").close()
    table = read(tmp_path / "log.jsonl")
    assert len(table) == 0 and list(table.columns) == ["time", "request_id", "version", "served"]


def test_numpy_values_missing_values_and_odd_text_can_be_logged():
    log = RequestLog()
    odd = {
        "x": np.float32(0.5),
        "n": np.int64(3),
        "ok": np.bool_(True),
        "gap": float("nan"),
        "text": "a\u2028b\nNaN",
    }
    log.request("r1", version="v1", time="2013-01-01 12:00Z", features=odd, prediction=np.float64("nan"))
    assert all(json.loads(line, parse_constant=pytest.fail) for line in log.lines())
    row = log.read().iloc[0]
    assert (row["x"], row["n"], row["ok"], row["text"]) == (0.5, 3, True, odd["text"])
    assert pd.isna(row["gap"]) and pd.isna(row["prediction"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda log: log.request(None, version="v1"), "needs a request_id"),
        (lambda log: log.request("r1", version=None), "needs a version"),
        (lambda log: log.request("r1", version="v1", distance=1400), "features="),
        (lambda log: log.request("r1", version="v1", features={"score": 1}), "cannot be called 'score'"),
        (lambda log: log.request("r1", version="v1", latency_ms=-1), "latency_ms is -1"),
        (lambda log: log.request("r1", version="v1", latency_ms="fast"), "latency_ms is 'fast'"),
        (lambda log: log.request("r1", version="v1", prediction=object()), "cannot stand in a log"),
        (lambda log: log.request("r1", version="v1", time="soon"), "is not a time"),
        (lambda log: log.label("r1", None), "is missing"),
    ],
)
def test_a_wrong_event_is_refused_and_nothing_is_written(call, message):
    log = RequestLog()
    with pytest.raises(LogError, match=message):
        call(log)
    assert log.lines() == []


def test_a_closed_log_says_so(tmp_path):
    log = RequestLog(tmp_path / "log.jsonl")
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.click("r1")


def test_threads_and_two_writers_never_tear_a_line(tmp_path):
    path = tmp_path / "log.jsonl"
    logs = [RequestLog(path), RequestLog(path)]

    def work(worker):
        for number in range(100):
            logs[worker % 2].request(
                f"{worker}-{number}", version="v1", time="2013-01-01 00:00Z", features={"x": "y" * 500}
            )

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = read(path)
    assert table["request_id"].nunique() == 400 and table.attrs["problems"] == []


# ---------------------------------------------------------------- one odd event


def log_of(*odd, n=20, **columns):
    """Twenty requests by the minute, labelled an hour later, and odd lines behind them."""
    log = RequestLog()
    for i in range(n):
        answer = {name: value[i % len(value)] for name, value in columns.items()}
        log.request(
            f"r{i}", time=f"2024-01-01 05:{i:02}Z", version="v1", latency_ms=10.0, prediction=1.0, **answer
        )
        log.label(f"r{i}", float(i), time=f"2024-01-01 06:{i:02}Z")
    log._memory += [json.dumps(line) for line in odd]
    return log


REQUEST = {
    "event": "request",
    "time": "2024-01-01T05:30:00Z",
    "request_id": "odd",
    "version": "v1",
    "latency_ms": 9.0,
}
LABEL = {"event": "label", "time": "2024-01-01T07:00:00Z", "request_id": "r3", "label": 3.5}


@pytest.mark.parametrize(
    ("odd", "report"),
    [
        (REQUEST | {"time": "yesterday"}, "no time in a known zone"),
        (REQUEST | {"time": "2024-01-01 05:30"}, "no time in a known zone"),
        (REQUEST | {"time": 17}, "no time in a known zone"),
        (REQUEST | {"status": "ok"}, "status 'ok'"),
        (REQUEST | {"status": 99}, "status"),
        (REQUEST | {"status": 200.5}, "status"),
        (REQUEST | {"latency_ms": -1}, "latency_ms"),
        (REQUEST | {"latency_ms": None}, "latency_ms"),
        (REQUEST | {"latency_ms": [1]}, "latency_ms"),
        (REQUEST | {"score": "high"}, "score 'high'"),
        (REQUEST | {"attempts": 0}, "attempts"),
        (REQUEST | {"served": "no"}, "served 'no'"),
        (REQUEST | {"redo_of": "odd"}, "redo_of 'odd'"),
        (REQUEST | {"label": 1.0}, "label 1.0 in an answer"),
        (REQUEST | {"features": [1]}, "not a whole event"),
        (REQUEST | {"features": {"time": 1}}, "not a whole event"),
        (REQUEST | {"request_id": 1.5}, "not a whole event"),
        (REQUEST | {"request_id": True}, "not a whole event"),
        (LABEL | {"time": "2024-01-01 04:00Z"}, "a label from before it arrived"),
        (LABEL | {"time": "soon"}, "no time in a known zone"),
        (LABEL | {"label": "late"}, "the label 'late'"),
        (LABEL | {"label": {"class": 3}}, "the label"),
        (LABEL | {"request_id": "who"}, "not in the log"),
        (
            {"event": "click", "time": "2024-01-01T04:00:00Z", "request_id": "r3"},
            "a click from before it arrived",
        ),
    ],
)
def test_one_odd_event_is_left_out_and_reported_and_the_rest_stays_readable(odd, report):
    with pytest.warns(LogWarning, match=re.escape(report)):
        table = log_of(odd, status=[200]).read()
    assert len(table) == 20 and len(table.attrs["problems"]) == 1
    assert table["label"].dtype == float and table["label"].notna().sum() in (19, 20)
    validate(table)


def test_an_odd_prediction_among_numbers_is_missing_and_reported_and_text_that_is_a_number_counts():
    with pytest.warns(LogWarning, match="the prediction 'none'"):
        table = log_of(
            REQUEST | {"prediction": "none"}, REQUEST | {"request_id": "b", "prediction": "2.5"}
        ).read()
    assert table.set_index("request_id").loc["b", "prediction"] == 2.5
    assert table["prediction"].dtype == float and table["prediction"].isna().sum() == 1


def test_labels_that_are_text_stay_text():
    log = RequestLog()
    for i in range(5):
        log.request(i, time="2024-01-01 05:00Z", version="v1", prediction="bags")
        log.label(i, "bags" if i else 7, time="2024-01-01 06:00Z")
    with pytest.warns(LogWarning, match="the label 7"):
        table = log.read()
    assert table["label"].tolist()[1:] == ["bags"] * 4 and pd.isna(table["label"][0])


def test_ids_that_mean_the_same_find_each_other():
    for ours, theirs in ((7, "7"), ("7", 7), (7, 7.0), ("7", 7.0)):
        log = RequestLog()
        log.request("a", time="2024-01-01 05:00Z", version="v1", latency_ms=5.0)
        for line in (REQUEST | {"request_id": ours}, LABEL | {"request_id": theirs}):
            log._memory.append(json.dumps(line | {"latency_ms": None, "served": False}))
        assert log.read()["label"].fillna(-1).tolist() == [-1, 3.5]


def test_a_request_sent_again_keeps_the_answer_that_its_label_followed():
    again = [
        REQUEST | {"request_id": "r3", "time": f"2024-01-01T{t}:00Z", "prediction": p}
        for t, p in (("05:30", 2), ("06:30", 3))
    ]
    table = log_of(*again).read().set_index("request_id")
    assert len(table) == 20
    assert table.loc["r3", ["prediction", "label", "attempts"]].tolist() == [2, 3.0, 3]
    # without a label the last answer counts
    table = log_of(*[line | {"request_id": "new"} for line in again]).read().set_index("request_id")
    assert table.loc["new", ["prediction", "attempts"]].tolist() == [3, 2]


def test_a_request_sent_again_to_another_version_is_one_row():
    log = log_of(
        REQUEST | {"request_id": "r3", "version": "v2", "served": True},
        REQUEST | {"request_id": "r3", "version": "v1", "served": False, "latency_ms": None},
    )
    answers = log.read().set_index("request_id").loc["r3"]
    assert answers.set_index("version")["served"].to_dict() == {"v1": False, "v2": True}


def test_huge_ids_stay_exact_where_some_are_missing():
    log = RequestLog()
    for i, user in enumerate((2**60 + 1, None, 2**60 + 2)):
        log.request(i, time="2024-01-01 05:00Z", version="v1", user_id=user)
    assert log.read()["user_id"].tolist()[::2] == [2**60 + 1, 2**60 + 2]


BASE = {"time": pd.to_datetime(["2024-01-01 05:00Z"] * 3), "request_id": [1, 2, 3], "version": "v1"}


@pytest.mark.parametrize(
    ("columns", "name", "expected"),
    [
        ({"status": pd.array([200, 500, 200], dtype="Int64")}, "status", [200, 500, 200]),
        ({"latency_ms": pd.array([1.5, 2, 3], dtype="Float64")}, "latency_ms", [1.5, 2, 3]),
        ({"score": ["0.5", None, 1]}, "score", [0.5, None, 1]),
        ({"score": pd.array([1, None, 0], dtype="Int64")}, "score", [1, None, 0]),
        ({"clicked": pd.array([True, False, True], dtype="boolean")}, "clicked", [True, False, True]),
        ({"prediction": np.array([1, None, 2.5], dtype=object)}, "prediction", [1, None, 2.5]),
        ({"user_id": [7.0, np.nan, 8.0]}, "user_id", [7, None, 8]),
        ({"request_id": [1.0, 2.0, 3.0]}, "request_id", [1, 2, 3]),
    ],
)
def test_a_log_may_be_stored_in_any_dtype(columns, name, expected):
    column = as_log(BASE | columns)[name]
    assert [None if pd.isna(value) else value for value in column] == expected
    assert column.dtype.kind in "ifbO"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"status": pd.array([200, None, 200], dtype="Int64")}, "whole numbers, none missing"),
        ({"attempts": pd.array([1, None, 1], dtype="Int64")}, "whole numbers, none missing"),
        ({"clicked": pd.array([True, None, True], dtype="boolean")}, "True or False"),
        ({"score": ["high", 1, 2]}, "'high' is not a number"),
        ({"request_id": [1.5, 2, 3]}, "no fraction"),
        ({"time": ["soonZ"] * 3}, "no time"),
        (
            {
                "label": pd.array([1, None, 2], dtype="Int64"),
                "label_time": pd.to_datetime(["2024-01-01 06:00Z"] * 3),
            },
            "has no label",
        ),
    ],
)
def test_what_is_missing_or_no_number_is_named(columns, message):
    with pytest.raises(LogError, match=message):
        as_log(BASE | columns)


def test_columns_of_one_name_or_of_several_levels_are_refused():
    log = pd.DataFrame(BASE | {"x": 1})
    with pytest.raises(LogError, match="several columns 'x'"):
        as_log(pd.concat([log, log[["x"]]], axis=1))
    with pytest.raises(LogError, match="several levels"):
        as_log(log.set_axis(pd.MultiIndex.from_product([log.columns, ["a"]]), axis=1))


def test_as_of_needs_times_in_utc():
    with pytest.raises(LogError, match="not a UTC time"):
        as_of(pd.DataFrame(BASE).assign(time=pd.Timestamp("2024-01-01")), "2024-01-02Z")
