"""Metrics against plain pandas, scipy and published figures; the quiet log keeps its promises."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from mlprod_helpers import datasets, faults
from mlprod_helpers.monitoring import (
    METRICS,
    SERVICE_SCHEMA,
    Metric,
    Rule,
    Windows,
    choose_threshold,
    class_share,
    evaluate,
    mean_of,
    measure,
    quantile_of,
    service_log,
    wilson,
)
from mlprod_helpers.monitoring.rules import firing
from mlprod_helpers.monitoring.schema import Field, is_missing, is_new_category, is_out_of_range
from mlprod_helpers.requestlog import LogError, as_log, validate


@pytest.fixture(scope="module")
def log():
    return service_log(14, rate=0.05, random_state=4)


# ------------------------------------------------------------------------------------------ published figures


@pytest.mark.parametrize(
    "hits, trials", [(0, 40), (1, 40), (40, 40), (157, 30_000), (130, 30_000), (17, 31), (1, 1)]
)
def test_wilson_is_that_of_scipy(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson(hits, trials) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high", "within"),
    [
        (
            18,
            20,
            0.6989663547715128,
            0.972133518786232,
            1e-12,
        ),  # R's binom, in statsmodels, results_proportion.py
        (4, 20, 0.0806576625797981, 0.4160174322518935, 1e-12),
        (4, 200, 0.00780442641634947, 0.05028708690582643, 1e-12),
        (190, 200, 0.910421851861224, 0.972617354399236, 1e-12),
        (1, 30, 0.00590859, 0.16670391, 1e-8),
        (29, 30, 0.8332961, 0.9940914, 1e-7),
        (0, 30, 0, 0.11351339, 1e-8),
        (30, 30, 0.8864866, 1, 1e-7),
        (19, 38, 0.348499283643951, 0.651500716356049, 1e-12),  # statsmodels, test_proportion.py
        (73, 86, 0.758364348004061, 0.9094787701686766, 1e-12),  # R, prop.test, in statsmodels
        (3, 10, 0.1077913, 0.6032219, 1e-7),  # R, prop.test, in scipy, test_morestats.py
        (10, 10, 0.7224672, 1, 1e-7),
        (52, 100, 0.4231658, 0.6153545, 1e-7),  # R, prop.test
        (81, 263, 0.2553, 0.3662, 5e-5),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605, 5e-5),
        (0, 20, 0, 0.1611, 5e-5),
        (1, 29, 0.0061, 0.1718, 5e-5),
    ],
)
def test_wilson_has_published_values(hits, trials, low, high, within):
    assert wilson(hits, trials) == pytest.approx((low, high), abs=within)


@pytest.mark.parametrize(
    ("q", "published"),
    [  # Prometheus, functions.test and aggregators.test: of 0 1, of 0 1 2, of 0 1 4
        (0, (0, 0, 0)),
        (0.2, (0.2, 0.4, 0.4)),
        (0.5, (0.5, 1, 1)),
        (0.75, (0.75, 1.5, 2.5)),
        (0.8, (0.8, 1.6, 2.8)),
        (1, (1, 2, 4)),
    ],
)
def test_quantiles_are_those_of_prometheus(q, published):
    for values, want in zip(([0, 1], [0, 1, 2], [0, 1, 4]), published, strict=True):
        log = pd.DataFrame(
            {"time": pd.date_range("2024-01-01", periods=len(values), freq="10s"), "x": values}
        )
        assert Windows(log, "1h").quantile("x", q) == pytest.approx([want])


def test_wilson_of_arrays_and_of_nothing():
    low, high = wilson([0, 5, 0], [10, 10, 0])
    assert low[0] == 0 and high[0] == pytest.approx(0.2775, abs=1e-4)  # z^2 / (n + z^2)
    assert math.isnan(low[2]) and math.isnan(high[2])
    for hits, trials in ((5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="0 <= hits <= trials"):
            wilson(hits, trials)


def test_wilson_holds_its_promise_where_the_textbook_interval_does_not():
    hits = np.random.default_rng(0).binomial(100, 0.02, 20_000)
    low, high = wilson(hits, 100)
    covered = ((low <= 0.02) & (high >= 0.02)).mean()
    half = 1.96 * np.sqrt(hits / 100 * (1 - hits / 100) / 100)
    assert covered > 0.93 and (np.abs(hits / 100 - 0.02) <= half).mean() < 0.9


def test_the_blizzard_of_9_february():
    missing = Metric(
        "missing", "input", "share", "up", lambda windows: windows.share(windows.log["dep_time"].isna())
    )
    table = measure(datasets.load_flights(), [missing], "1D")
    assert len(table) == 365 and table["missing"].idxmax() == pd.Timestamp("2013-02-09")
    assert table.loc["2013-02-09"].tolist() == [69, pytest.approx(0.580, abs=5e-4)]
    assert table["missing"].median() == pytest.approx(0.010, abs=1e-3)
    daily = datasets.load_flights_daily().set_index("date")
    share = daily["missing_dep_time"] / daily["flights"]
    assert share["2013-02-09"] == share.max() == pytest.approx(0.575, abs=5e-4)
    assert share.median() == pytest.approx(0.007, abs=5e-4)


def test_brightness_under_a_falling_gain():
    images, _ = datasets.load_fashion()
    brightness = [images.mean()]
    brightness += [faults.apply(images, faults.ImageGain(gain))[0].mean() for gain in (0.8, 0.6, 0.4, 0.25)]
    assert np.round(brightness, 1).tolist() == [73.8, 58.9, 44.1, 29.3, 18.3]
    published = np.array([73.4, 58.5, 43.8, 29.2, 18.2])  # of a part of these images
    np.testing.assert_allclose(brightness, published, atol=0.45)
    np.testing.assert_allclose(np.array(brightness) / brightness[0], published / published[0], atol=2e-3)


def test_titles_length():
    titles = datasets.load_titles()
    frame = titles.assign(time=pd.to_datetime(titles["year"].astype(str)), query=titles["title"])
    table = measure(frame[frame["year"] <= 1994], ["input_length"], "3650D")
    assert (table["input_length"] * table["rows"]).sum() / table["rows"].sum() == pytest.approx(
        19.2, abs=0.05
    )


# ------------------------------------------------------------------------------------------ windows


def test_every_metric_is_what_pandas_says_of_each_hour(log):
    table = measure(log, every="1h")
    assert list(table.columns) == ["rows", *METRICS] and str(table.index.tz) == "UTC"
    groups = log.groupby(log["time"].dt.floor("h"))
    of_200 = log[log["status"] < 400].groupby(log["time"].dt.floor("h"))
    expected = {
        "rows": groups.size(),
        "latency_p50": groups["latency_ms"].quantile(0.5),
        "latency_p99": groups["latency_ms"].quantile(0.99),
        "throughput": groups["attempts"].sum() / 3600,
        "error_rate": groups["status"].apply(lambda status: (status >= 500).mean()),
        "retry_rate": groups["attempts"].apply(lambda attempts: (attempts > 1).mean()),
        "server_load": groups["busy"].mean(),
        "memory_mb": groups["memory_mb"].max(),
        "input_length": groups["query"].apply(lambda query: query.astype(str).str.len().mean()),
        "missing_rows": groups[["query", "category", "brightness", "price", "rating"]].apply(
            lambda rows: (rows.isna().any(axis=1) | (rows["rating"] == -999) | (rows["query"] == "")).mean()
        ),
        "ctr": of_200["clicked"].mean(),
        "share_shoes": groups["prediction"].apply(lambda answer: (answer.dropna() == "shoes").mean()),
        "score_p90": groups["score"].quantile(0.9),
    }
    for name, series in expected.items():
        np.testing.assert_allclose(table.loc[series.index, name], series, rtol=1e-9, err_msg=name)
        empty = table.index.difference(series.index)
        assert (table.loc[empty, name].isna() | (table.loc[empty, name] == 0)).all()


def test_silence_is_a_throughput_of_zero_and_otherwise_not_known(log):
    gap = log[(log["time"] < "2024-01-05 03:00Z") | (log["time"] >= "2024-01-05 06:00Z")]
    table = measure(gap, every="1h")
    silent = table.loc["2024-01-05 03:00Z":"2024-01-05 05:00Z"]
    assert len(table) == 14 * 24 and (silent[["rows", "throughput"]] == 0).all(axis=None)
    assert silent.drop(columns=["rows", "throughput"]).isna().all(axis=None)


def test_the_order_of_the_rows_does_not_matter(log):
    shuffled = log.sample(frac=1, random_state=0)
    names = [name for name in METRICS if name != "repeated_values"]
    pd.testing.assert_frame_equal(measure(shuffled, names, "6h"), measure(log, names, "6h"))


def test_shadow_copies_are_left_out(log):
    few = log.head(500)
    shadow = few.assign(served=False, version="v2", clicked=False, latency_ms=9999.0)
    shadow["click_time"] = few["click_time"].mask(few["clicked"])
    both = pd.concat([few.astype({"version": "str"}), shadow]).sort_values("time", kind="stable")
    pd.testing.assert_frame_equal(measure(both), measure(few))


def test_failed_and_timed_out_requests_are_in_the_percentiles():
    log = as_log(
        {
            "time": ["2024-01-01 00:00Z"] * 100,
            "request_id": range(100),
            "version": "v1",
            "status": [504] * 5 + [200] * 95,
            "latency_ms": [2000.0] * 5 + [50.0] * 95,
        }
    )
    assert measure(log, ["latency_p99"])["latency_p99"].item() == 2000


def test_one_segment(log):
    table = measure(
        log, [METRICS["ctr"].only("device", "phone"), METRICS["latency_p95"].only("server", "d")], "1D"
    )
    phone = log[(log["device"] == "phone") & (log["status"] < 400)]
    assert list(table.columns[1:]) == ["ctr[device=phone]", "latency_p95[server=d]"]
    np.testing.assert_allclose(
        table["ctr[device=phone]"], phone.groupby(phone["time"].dt.floor("D"))["clicked"].mean()
    )
    on_d = log[log["server"] == "d"]
    np.testing.assert_allclose(
        table["latency_p95[server=d]"], on_d.groupby(on_d["time"].dt.floor("D"))["latency_ms"].quantile(0.95)
    )


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda log: measure(log, ["latency_p9"]), KeyError, "did you mean 'latency_p99'"),
        (lambda log: measure(log.drop(columns="busy"), ["server_load"]), KeyError, "reads the column 'busy'"),
        (lambda log: measure(log, ["ctr", "ctr"]), ValueError, "its own name"),
        (lambda log: measure(log, every="soon"), ValueError, "'5min'"),
        (lambda log: measure(log, every="-1h"), ValueError, "longer than nothing"),
        (lambda log: measure(log.head(0)), ValueError, "The log is empty"),
        (lambda log: measure(log, every="1us"), ValueError, "longer `every`"),
        (lambda log: measure(log.drop(columns="time")), KeyError, "no column 'time'"),
        (lambda log: measure(log.assign(time="noon")), ValueError, "pd.to_datetime"),
        (lambda log: Windows(log).quantile("busy", 99), ValueError, "0.99"),
        (lambda log: Windows(log).mean("buzy"), KeyError, "did you mean 'busy'"),
        (
            lambda log: measure(log, [Metric("x", "input", "", "up", lambda windows: 5.0)]),
            ValueError,
            "one number a window",
        ),
        (lambda log: service_log(0), ValueError, "whole days"),
        (lambda log: service_log(1, rate=0), ValueError, "above 0"),
        (lambda log: service_log(1, start="2024-01-01"), LogError, "time zone"),
    ],
)
def test_errors_say_what_to_do(log, call, error, says):
    with pytest.raises(error, match=says):
        call(log.head(200))


# ------------------------------------------------------------------------------------------ rows


def test_a_row_with_two_holes_is_one_row_and_a_sentinel_is_a_hole():
    columns = {"query": ["x", "", None, ""], "category": ["shoes", None, "shoes", "shoes"]}
    columns |= {"brightness": 1.0, "price": 1.0, "rating": [4.0, -999, -999, 2]}
    assert one_window(METRICS["missing_rows"], **columns) == 3 / 4


def redos(*rows):
    """A log of (second, user, page, request_id)."""
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta([row[0] for row in rows], unit="s")
    frame = pd.DataFrame({"time": time.as_unit("us")})
    frame["user_id"], frame["page"], frame["request_id"] = ([row[i] for row in rows] for i in (1, 2, 3))
    return measure(frame, ["redo_rate"], "1D")["redo_rate"].iloc[0]


def test_what_a_redo_is_and_what_is_none():
    assert redos((0, "a", 1, 1), (60, "a", 1, 2)) == 1 / 2
    assert redos((0, "a", 1, 1), (60, "b", 1, 2)) == 0  # somebody else
    assert redos((0, "a", 1, 1), (60, "a", 2, 2)) == 0  # the next page
    assert redos((0, "a", 1, 1), (60, "a", 1, 1)) == 0  # the client tries again
    assert redos((0, "a", 1, 1), (121, "a", 1, 2)) == 0  # a new wish
    assert redos((0, "a", 1, 1), (60, "a", 1, 2), (100, "a", 1, 3)) == 2 / 3
    assert redos((0, "a", 1, 1), (30, "a", 2, 2), (60, "a", 1, 3)) == 1 / 2
    assert redos((0, None, 1, 1), (60, None, 1, 2), (70, "a", 1, 3)) == 0  # nobody knows who


def test_the_redo_rate_finds_the_redos_that_the_simulator_made(log):
    searches = log[log["page"] == 1]
    made = log["redo_of"].notna().sum() / len(searches)
    table = measure(log, ["redo_rate"], "14D")
    assert table["redo_rate"].iloc[0] == pytest.approx(made, rel=0.05)


def test_repeated_values_compare_within_a_window_and_skip_holes():
    time = pd.to_datetime(["2024-01-01 00:00Z"] * 5 + ["2024-01-01 01:00Z"] * 2)
    frame = pd.DataFrame({"time": time, "price": [1.0, 1.0, 2.0, np.nan, 2.0, 2.0, 3.0]})
    assert measure(frame, ["repeated_values"])["repeated_values"].tolist() == [1 / 3, 0.0]


# ------------------------------------------------------------------------------------------ the quiet log


def test_the_quiet_log_is_valid_seeded_and_within_its_days(log):
    assert validate(log) is log
    pd.testing.assert_frame_equal(log, service_log(14, rate=0.05, random_state=4))
    assert not log["latency_ms"].equals(service_log(14, rate=0.05, random_state=5)["latency_ms"])
    assert log["time"].min() >= pd.Timestamp("2024-01-01 00:00Z") and log["time"].max() < pd.Timestamp(
        "2024-01-15 00:00Z"
    )
    assert log["time"].is_monotonic_increasing


def test_its_rates_are_as_documented(log):
    assert (log["page"] == 1).mean() == pytest.approx(0.875, abs=0.01)
    new = (log["page"] == 1) & log["redo_of"].isna()
    assert new.sum() / (14 * 86400) == pytest.approx(0.05, rel=0.03)
    first = log[new & (log["status"] == 200)]
    ctr = first.groupby("device", observed=True)["clicked"].mean()
    assert ctr["phone"] == pytest.approx(0.16, abs=0.01) and ctr["desktop"] == pytest.approx(0.08, abs=0.01)
    assert log["price"].isna().mean() == pytest.approx(0.005, abs=0.002)
    assert (log["rating"] == -999).mean() == pytest.approx(0.01, abs=0.003)
    assert (log["query"] == "").mean() == pytest.approx(0.004, abs=0.002)
    assert set(SERVICE_SCHEMA) <= set(log.columns)


def test_it_has_a_daily_and_a_weekly_rhythm(log):
    hours = measure(log, ["throughput", "latency_p50", "brightness"], "1h")
    by_hour = hours.groupby(hours.index.hour).mean()
    assert by_hour["throughput"].idxmax() in (19, 20, 21)
    ratio = by_hour["throughput"].min() / by_hour["throughput"].max()
    assert ratio == pytest.approx(0.33 / 1.67, abs=0.05)
    assert by_hour.loc[20, "latency_p50"] > by_hour.loc[8, "latency_p50"] + 10
    assert by_hour.loc[13, "brightness"] > by_hour.loc[1, "brightness"] + 10
    days = measure(log, ["throughput"], "1D")["throughput"]
    assert days[days.index.day_of_week >= 5].min() > days[days.index.day_of_week < 4].max()


def test_quiet_days_are_alike_whatever_the_seed():
    tables = [measure(service_log(28, rate=0.05, random_state=seed), every="1D") for seed in range(3)]
    means = pd.DataFrame([table.mean() for table in tables])
    apart = (means.max() - means.min()) / tables[0].std().clip(lower=1e-4)
    assert (apart.drop("rows") < 1).all()


# ---------------------------------------------------------------- infinite and missing values, zones


HOUR = pd.date_range("2024-01-01", periods=4, freq="1min", tz="UTC")


def one_window(metric, **columns):
    return measure(pd.DataFrame({"time": HOUR, **columns}), [metric]).iloc[0, 1]


def test_of_infinite_values_the_mean_and_the_quantile_are_infinite():
    inf = np.inf
    assert one_window(mean_of("x"), x=[inf, 1, 1, 1]) == inf
    assert one_window(mean_of("x"), x=[-inf, 1, 1, np.nan]) == -inf
    assert np.isnan(one_window(mean_of("x"), x=[inf, -inf, 1, 1]))
    assert one_window(quantile_of("x", 0.5), x=[1, 1, inf, inf]) == inf
    assert one_window(quantile_of("x", 0.5), x=[-inf, -inf, 1, 1]) == -inf
    assert one_window(quantile_of("x", 0.5), x=[1, 1, 1, inf]) == 1
    assert one_window(quantile_of("x", 1.0), x=[1, 1, 1, inf]) == inf


def test_a_rule_fires_at_an_infinite_metric_and_says_so():
    index = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC")
    measured = pd.DataFrame({"x": [1.0, np.inf, -np.inf]}, index)
    assert firing(Rule("x", above=10), measured, pd.Timedelta("1h"))[0].tolist() == [False, True, False]
    assert firing(Rule("x", below=-10), measured, pd.Timedelta("1h"))[0].tolist() == [False, False, True]
    assert "inf at worst" in evaluate(Rule("x", above=10), measured)["reason"][0]


@pytest.mark.parametrize(
    "store", [lambda x: pd.array(x, dtype="Int64"), lambda x: np.array(x, dtype=object), list]
)
def test_a_request_without_a_status_counts_neither_as_failed_nor_as_answered(store):
    assert one_window(METRICS["error_rate"], status=store([200, 500, None, 200])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("dtype", ["boolean", object, "float64"])
def test_a_click_that_nobody_knows_of_does_not_count(dtype):
    clicked = pd.Series([True, False, None, True], dtype=object).astype(dtype)
    assert one_window(METRICS["ctr"], clicked=clicked) == pytest.approx(2 / 3)


def test_text_is_no_click():
    with pytest.raises(ValueError, match="'clicked'.*neither True nor False"):
        one_window(METRICS["ctr"], clicked=["True", "False", "False", "False"])
    with pytest.raises(ValueError, match="the column 'x' must be numbers, but 'a' is none"):
        one_window(mean_of("x"), x=["a", 1, 2, 3])


def test_segments_classes_and_sentinels_of_nullable_columns():
    device = pd.array(["phone", None, "web", "phone"], dtype="string")
    assert one_window(mean_of("x").only("d", "phone"), x=[1, 2, 3, 5], d=device) == 3
    assert one_window(mean_of("x").only("d", None), x=[1, 2, 3, 5], d=device) == 2
    assert one_window(class_share("phone"), prediction=device) == pytest.approx(2 / 3)
    n = pd.Series(pd.array([1, None, -999, 7], dtype="Int64"))
    assert is_missing(n, Field(missing=(-999,))).tolist() == [False, True, True, False]
    assert is_out_of_range(n, Field((-999,), 0, 5)).tolist() == [False, False, False, True]
    new = is_new_category(pd.Series(device), Field(known=("phone",)))
    assert new.tolist() == [False, False, True, False]
    users = pd.array([1, 1, None, 2], dtype="Int64")
    pages = pd.array([1, 1, 1, None], dtype="Int64")
    assert one_window(METRICS["redo_rate"], user_id=users, request_id=range(4), page=pages) == 0.5


def test_two_columns_of_one_name_are_refused():
    log = pd.DataFrame({"time": HOUR, "x": 1.0})
    with pytest.raises(ValueError, match="several columns of one name"):
        measure(pd.concat([log, log[["x"]]], axis=1), [mean_of("x")])


def test_hours_are_those_of_utc_whatever_the_zone_of_the_frame():
    index = pd.date_range("2024-01-01", periods=4 * 168, freq="1h", tz="UTC")
    busy = pd.Series(100.0 * (index.hour == 9) + np.random.default_rng(0).normal(0, 1, len(index)), index)
    there = busy.tz_convert("Asia/Kolkata")
    for per in ("hour_of_day", "hour_of_week"):
        limit = choose_threshold(busy, per=per)
        assert choose_threshold(there, per=per) == limit
        rule = Rule("x", above=limit)
        here, elsewhere = (firing(rule, x.to_frame("x"), pd.Timedelta("1h"))[0] for x in (busy, there))
        assert (here == elsewhere).all()


def test_a_metric_that_is_mostly_zero_gets_a_threshold_that_its_own_quiet_weeks_pass():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=6 * 168, freq="1h", tz="UTC")
    rare = pd.Series(np.where(rng.random(len(index)) < 0.9, 0, rng.exponential(1, len(index))), index)
    limit = choose_threshold(rare[: 4 * 168], per="hour_of_day", pages_per_week=1)
    new = evaluate(Rule("x", above=limit), rare[4 * 168 :].to_frame("x"))
    assert min(limit) > 0 and len(new) <= 6
