"""Point-in-time joins, parity, contracts and fingerprints."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.faults import (
    FeedOutage,
    FutureLeak,
    OtherCodes,
    OtherZone,
    StaleFeature,
    UnitChange,
    apply,
)
from mlprod_helpers.features import Column, Contract, as_of, fingerprint, mean_before, parity

START = pd.Timestamp("2013-01-01")


def moments(minutes):
    return START + pd.to_timedelta(np.asarray(minutes), unit="min")


@pytest.mark.parametrize(
    ("max_age", "published"),
    [  # pandas, merge_asof: trades and quotes
        (None, [51.95, 51.97, 720.5, 720.5, np.nan]),
        ("10ms", [51.95, 51.97, 720.5, 720.5, np.nan]),
        ("2ms", [51.95, np.nan, 720.5, 720.5, np.nan]),
    ],
)
def test_quotes_of_the_example_in_pandas(max_age, published):
    start = pd.Timestamp("2016-05-25 13:30")
    quotes = pd.DataFrame(
        {
            "known": start + pd.to_timedelta([23, 23, 30, 41, 48, 49, 72, 75], "ms"),
            "ticker": ["GOOG", "MSFT", "MSFT", "MSFT", "GOOG", "AAPL", "GOOG", "MSFT"],
            "bid": [720.5, 51.95, 51.97, 51.99, 720.5, 97.99, 720.5, 52.01],
        }
    )
    trades = pd.DataFrame({"at": start + pd.to_timedelta([23, 38, 48, 48, 48], "ms")})
    trades["ticker"] = ["MSFT", "MSFT", "GOOG", "GOOG", "AAPL"]
    joined = as_of(trades, quotes, at="at", known_at="known", by="ticker", max_age=max_age)
    assert joined["bid"].tolist() == pytest.approx(published, nan_ok=True)


def drawn(seed, n=300, m=400):
    """Requests and events with ties, groups, missing values and reports that come late or never."""
    rng = np.random.default_rng(seed)
    requests = pd.DataFrame({"at": moments(rng.integers(0, 600, n)), "origin": rng.choice(list("abc"), n)})
    requests.index = rng.permutation(n)
    happened = rng.integers(0, 600, m)
    events = pd.DataFrame(
        {
            "happened": moments(happened),
            "known": moments(happened + rng.integers(-20, 200, m)),
            "origin": rng.choice(list("abx"), m),
            "value": rng.normal(10, 5, m),
        }
    )
    events.loc[rng.random(m) < 0.05, "known"] = pd.NaT
    events.loc[rng.random(m) < 0.05, "value"] = np.nan
    return requests, events


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", [None, "origin"])
@pytest.mark.parametrize("max_age", [None, "30min"])
def test_as_of_finds_what_a_loop_finds(seed, by, max_age):
    requests, events = drawn(seed)
    found = as_of(requests, events, at="at", known_at="known", by=by, columns=["value"], max_age=max_age)
    assert list(found.index) == list(requests.index)
    for (_, row), value in zip(requests.iterrows(), found["value"], strict=True):
        known = events[events["known"] <= row["at"]]
        known = known if by is None else known[known["origin"] == row["origin"]]
        known = known if max_age is None else known[row["at"] - known["known"] <= pd.Timedelta(max_age)]
        last = known[known["known"] == known["known"].max()]["value"]
        want = last.iloc[-1] if len(last) else np.nan
        np.testing.assert_equal(value, want)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", [None, "origin", ["origin"]])
@pytest.mark.parametrize("known", ["known", "happened"])
def test_mean_before_finds_what_a_loop_finds(seed, by, known):
    requests, events = drawn(seed)
    found = mean_before(
        requests, events, at="at", happened="happened", known_at=known, value="value", window="2h", by=by
    )
    assert list(found.index) == list(requests.index)
    for (_, row), value in zip(requests.iterrows(), found, strict=True):
        here = events[
            (events["happened"] > row["at"] - pd.Timedelta("2h")) & (events["happened"] <= row["at"])
        ]
        here = here[here[known] <= row["at"]]
        here = here if by is None else here[here["origin"] == row["origin"]]
        np.testing.assert_allclose(value, here["value"].mean(), rtol=1e-9)


def test_the_right_answer_survives_a_large_offset_and_a_million_events():
    n = 1_000_000
    events = pd.DataFrame({"t": START + pd.to_timedelta(np.arange(n), unit="s"), "v": 1e6 + np.arange(n) % 7})
    asked = pd.DataFrame({"at": START + pd.to_timedelta([6, 500_006, n - 1], unit="s")})
    found = mean_before(asked, events, at="at", happened="t", known_at="t", value="v", window="7s")
    np.testing.assert_allclose(found, 1e6 + 3, rtol=1e-12)


def test_no_event_and_no_request_are_fine():
    requests, events = drawn(0)
    names = {"at": "at", "happened": "happened", "known_at": "known", "value": "value", "window": "2h"}
    assert mean_before(requests, events.iloc[:0], **names).isna().all()
    assert len(mean_before(requests.iloc[:0], events, **names)) == 0
    assert (
        as_of(requests, events.iloc[:0], at="at", known_at="known", columns=["value"])["value"].isna().all()
    )
    assert len(as_of(requests.iloc[:0], events, at="at", known_at="known", columns=["value"])) == 0


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda r, e: (r.rename(columns={"at": "att"}), e), KeyError, "att"),
        (lambda r, e: (r.assign(at=r["at"].dt.tz_localize("UTC")), e), ValueError, "time zone"),
        (lambda r, e: (r.assign(at=1.0), e), ValueError, "pd.to_datetime"),
        (lambda r, e: (r.assign(at=pd.NaT), e), ValueError, "no time"),
        (lambda r, e: (r.assign(value=1.0), e), ValueError, "both frames"),
    ],
)
def test_as_of_says_what_is_wrong(change, error, says):
    requests, events = change(*drawn(0))
    with pytest.raises(error, match=says):
        as_of(requests, events, at="at", known_at="known", columns=["value"])


def test_two_zones_are_compared_as_moments():
    asked = pd.DataFrame({"at": pd.to_datetime(["2013-01-01 12:00"]).tz_localize("UTC")})
    local = pd.to_datetime(["2013-01-01 06:59", "2013-01-01 07:01"]).tz_localize("America/New_York")
    events = pd.DataFrame({"known": local, "value": [1, 2]})
    assert as_of(asked, events, at="at", known_at="known", columns=["value"])["value"].tolist() == [1]


@pytest.fixture
def replayed():
    rng = np.random.default_rng(3)
    n = 5000
    return pd.DataFrame(
        {
            "request_id": rng.permutation(n),
            "miles": rng.uniform(100, 2500, n).round(),
            "hour": rng.integers(5, 23, n),
            "origin": rng.integers(0, 3, n),
            "recent": rng.normal(12, 20, n),
            "wind": rng.normal(10, 4, n),
        }
    )


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (UnitChange("miles", 1.609), "factor 1.61"),
        (UnitChange("wind", 1, 3), "shifted by 3"),
        (OtherZone("hour", 5), "shifted by 5 hours (modulo 24)"),
        (OtherCodes("origin"), "other codes"),
        (StaleFeature("recent", 50), "stale"),
        (FeedOutage("wind", fill=0, share=0.3), "default 0"),
        (FeedOutage("wind", share=0.3), "missing in the service"),
        (FutureLeak("recent", 5), "no simple pattern"),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)
@pytest.mark.parametrize("seed", range(10))
def test_parity_names_the_fault_and_no_other_column(replayed, fault, cause, seed):
    served, seal = apply(replayed, fault, seed)
    [incident] = seal.reveal()
    features = list(replayed.columns[1:])
    report = parity(served, replayed.sample(frac=0.9, random_state=seed), features, atol=1e-6)
    assert report["feature"].iloc[0] == fault.columns[0]
    assert report["likely_cause"].iloc[0] == cause
    assert (report["share_different"].iloc[1:] == 0).all()
    assert (report["likely_cause"].iloc[1:] == "").all()
    assert (report["rows"] == 4500).all()
    if cause.startswith(("factor", "default")):
        assert report["share_different"].iloc[0] == pytest.approx(incident.n_rows / 5000, abs=0.03)


def test_parity_takes_two_missing_values_for_equal_and_one_for_different():
    replayed = pd.DataFrame(
        {"request_id": [1, 2, 3, 4], "x": [np.nan, np.nan, 1.0, 2.0], "c": ["a", None, "b", "c"]}
    )
    served = pd.DataFrame(
        {"request_id": [4, 3, 2, 1], "x": [2.0, np.nan, np.nan, np.nan], "c": ["c", "b", None, "z"]}
    )
    report = parity(served, replayed, ["x", "c"]).set_index("feature")
    assert report["share_different"].to_dict() == {"x": 0.25, "c": 0.25}
    assert report["served_missing"].to_dict() == {"x": 0.75, "c": 0.25}


def test_parity_refuses_a_request_that_stands_twice(replayed):
    with pytest.raises(ValueError, match="twice"):
        parity(pd.concat([replayed, replayed]), replayed, ["miles"])


def test_a_contract_names_row_column_and_the_first_rule():
    contract = Contract(
        {
            "miles": Column("number", low=0, high=5000),
            "seats": Column("whole", low=1, missing=True),
            "origin": Column("text", allowed=("EWR", "JFK", "LGA")),
            "weather_at": Column("time", max_age="2h"),
        }
    )
    rows = pd.DataFrame(
        {
            "miles": [0, 5000, 5000.1, np.inf, "200"],
            "seats": [None, 1, 2.5, 0, True],
            "origin": ["EWR", "ewr", "JFK", None, "LGA"],
            "weather_at": [START, START - pd.Timedelta("2h"), START - pd.Timedelta("121min"), None, START],
        },
        index=list("abcde"),
        dtype=object,
    )
    broken = contract.broken(rows, now=START)
    assert list(broken.itertuples(index=False, name=None)) == [
        ("b", "origin", "unknown"),
        ("c", "miles", "range"),
        ("c", "seats", "kind"),
        ("c", "weather_at", "stale"),
        ("d", "miles", "kind"),
        ("d", "seats", "range"),
        ("d", "origin", "missing"),
        ("d", "weather_at", "missing"),
        ("e", "miles", "kind"),
        ("e", "seats", "kind"),
    ]
    assert set(contract.broken(rows.drop(columns="miles"), now=START).query("column == 'miles'")["rule"]) == {
        "absent"
    }
    with pytest.raises(ValueError, match="now"):
        contract.broken(rows)


@pytest.mark.parametrize(
    "wrong", [{"kind": "float"}, {"kind": "text", "low": 0}, {"kind": "number", "max_age": "2h"}]
)
def test_a_column_refuses_rules_that_make_no_sense(wrong):
    with pytest.raises(ValueError):
        Column(**wrong)


def test_a_fingerprint_sees_rows_order_types_names_code_and_settings():
    table, code, settings = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "def f(x): return x", {"seed": 1}
    others = [
        (table.iloc[::-1], code, settings),
        (table.astype({"a": float}), code, settings),
        (table.rename(columns={"a": "c"}), code, settings),
        (table, code + " ", settings),
        (table, code, {"seed": 2}),
    ]
    prints = [fingerprint(table, code, settings), *(fingerprint(*other) for other in others)]
    assert len(set(prints)) == len(prints)
    assert fingerprint(table.set_axis([5, 6]), code, settings) == prints[0]
    assert fingerprint(table, fingerprint, settings) == fingerprint(table, fingerprint, dict(settings))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda: OtherZone("hour", 24), ValueError),
        (lambda: StaleFeature("x", 1), ValueError),
        (lambda: FutureLeak("x", 0), ValueError),
        (lambda: apply(pd.DataFrame({"x": [30]}), OtherZone("x")), TypeError),
        (lambda: apply(pd.DataFrame({"x": ["a"]}), FutureLeak("x")), TypeError),
        (lambda: apply(pd.DataFrame({"x": [1, 1]}), OtherCodes("x")), ValueError),
    ],
)
def test_a_fault_of_skew_refuses_what_it_cannot_break(fault, error):
    with pytest.raises(error):
        fault()
