"""The drift report: verdicts with reasons, few false alarms, and columns as they come in production."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.drift.distances import psi
from mlprod_helpers.drift.report import _CORRECTIONS, _corrected, drift_report, flag


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def frame_of(rng, n):
    return pd.DataFrame(
        {
            "wind": rng.normal(10, 4, n),
            "gate": rng.choice(list("ABC"), n),
            "seats": rng.choice([50, 150, 300], n),
            "booked": rng.random(n) < 0.7,
            "departure": pd.Timestamp("2026-01-05") + pd.to_timedelta(rng.integers(0, 7 * 24, n), unit="h"),
        }
    )


@pytest.fixture
def before(rng):
    return frame_of(rng, 4_000)


@pytest.fixture
def now(rng):
    return frame_of(rng, 3_000)


# ---------------------------------------------------------------- many p-values


def corrected(pvalues, method):
    return _corrected(pvalues, _CORRECTIONS[method])


def test_corrected_p_values_by_hand():
    p = [0.01, 0.04, 0.03, 0.005]
    assert corrected(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected(p, "bh") == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert corrected(p, "bonferroni") == pytest.approx([0.04, 0.16, 0.12, 0.02])


def test_benjamini_hochberg_is_scipys(rng):
    p = rng.random(50) ** 3
    assert corrected(p, "bh") == pytest.approx(stats.false_discovery_control(p))


@pytest.mark.parametrize(
    ("pvalues", "bonferroni", "holm", "bh"),
    [  # statsmodels, test_multi.py, from R's multtest
        (
            np.arange(1, 7) * 0.002,
            np.arange(1, 7) * 0.012,
            [0.012, 0.02, 0.024, 0.024, 0.024, 0.024],
            [0.012] * 6,
        ),
        (
            [0.001, 0.002, 0.003, 0.004, 0.005, 0.05, 0.06, 0.07, 0.08, 0.09],
            [0.01, 0.02, 0.03, 0.04, 0.05, 0.5, 0.6, 0.7, 0.8, 0.9],
            [0.01, 0.018, 0.024, 0.028, 0.03, 0.25, 0.25, 0.25, 0.25, 0.25],
            [0.01, 0.01, 0.01, 0.01, 0.01, 0.0833333, 0.0857143, 0.0875, 0.0888889, 0.09],
        ),
        (
            [5.237e-5, 2.814e-4, 0.01499, 0.02027, 0.1771, 0.6422, 0.6808, 0.7163, 0.8385, 0.9678],
            [5.237e-4, 2.814e-3, 0.1499, 0.2027, 1, 1, 1, 1, 1, 1],
            [5.237e-4, 2.533e-3, 0.1199, 0.1419, 1, 1, 1, 1, 1, 1],
            [5.237e-4, 1.407e-3, 0.04996, 0.05068, 0.3542, 0.8953, 0.8953, 0.8953, 0.9317, 0.9678],
        ),
    ],
)
def test_corrections_have_the_values_of_rs_multtest(pvalues, bonferroni, holm, bh):
    for method, want in {"bonferroni": bonferroni, "holm": holm, "bh": bh}.items():
        assert corrected(pvalues, method) == pytest.approx(want, rel=5e-4)


def test_published_examples_of_many_tests():
    # Benjamini and Hochberg (1995), section 4.1: four are rejected, by Bonferroni three
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.324, 0.4262, 0.5719, 0.6528, 0.759, 1]
    assert [int(flag(p, method=m).sum()) for m in ("bh", "holm", "bonferroni")] == [4, 3, 3]
    # scipy, test_morestats.py, test_against_TileStats
    p = [0.005, 0.009, 0.019, 0.022, 0.051, 0.101, 0.361, 0.387]
    published = [0.036, 0.036, 0.044, 0.044, 0.082, 0.135, 0.387, 0.387]
    assert corrected(p, "bh") == pytest.approx(published, abs=6e-4)


def test_untested_columns_do_not_count():
    assert corrected([0.01, np.nan, 0.04], "holm") == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert flag([0.001, np.nan], method="bonferroni").tolist() == [True, False]
    assert flag([np.nan]).tolist() == [False] and flag([]).shape == (0,)


def test_twenty_quiet_columns(rng):
    weeks = rng.random((4_000, 20))
    any_flag = {m: np.mean([flag(p, method=m).any() for p in weeks]) for m in (None, "bonferroni", "holm")}
    assert any_flag[None] == pytest.approx(1 - 0.95**20, abs=0.025)  # 0.64
    assert any_flag["bonferroni"] == pytest.approx(0.05, abs=0.012)
    assert any_flag["holm"] == pytest.approx(0.05, abs=0.012)


def test_what_each_correction_promises_when_half_the_columns_drifted(rng):
    p = np.hstack([rng.random((2_000, 10)), rng.random((2_000, 10)) ** 12])
    by_holm, by_bh = (np.array([flag(row, method=m) for row in p]) for m in ("holm", "bh"))
    assert by_holm[:, :10].any(axis=1).mean() < 0.05
    false_share = by_bh[:, :10].sum(axis=1) / np.maximum(by_bh.sum(axis=1), 1)
    assert false_share.mean() < 0.05
    assert by_bh[:, 10:].mean() > by_holm[:, 10:].mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flag([0.1], method="sidak"), "unknown method"),
        (lambda: flag([0.1], alpha=5), "between 0 and 1"),
        (lambda: flag([0.1, 1.2]), "between 0 and 1"),
        (lambda: flag([[0.1]]), "2 dimensions"),
    ],
)
def test_corrections_refuse_what_is_no_pvalue(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- verdicts


def test_quiet_tables_stay_quiet(before, now):
    table = drift_report(before, now).table
    assert set(table["verdict"]) == {"quiet"}
    assert table["test"].tolist() == ["KS", *["chi-square"] * 4]
    assert table["kind"].tolist() == ["number", "category", "number", "category", "datetime"]


def test_false_alarms_keep_their_promise(rng):
    reports = [
        drift_report(
            pd.DataFrame(rng.normal(size=(60, 6)).round(1)),
            pd.DataFrame(rng.normal(size=(60, 6)).round(1)),
            min_effect=0,
        )
        for _ in range(100)
    ]
    assert np.mean([len(report.drifted) > 0 for report in reports]) < 0.12


def test_each_kind_of_drift_is_named_with_its_reason(before, now):
    now["wind"] += 2
    now.loc[now.index[:600], "gate"] = "D"
    now.loc[now.index[::3], "seats"] = 50
    now["booked"] = True
    now["departure"] = now["departure"].dt.normalize() + pd.Timedelta(hours=8)
    report = drift_report(before, now)
    assert set(report.table["verdict"]) == {"drift"}
    reasons = report.table["reason"]
    assert "median 1" in reasons["wind"] and "->" in reasons["wind"]
    assert "share of D: 0.0% -> 20.0%" in reasons["gate"]
    assert "1 unseen category (20.0% of rows): 'D'" in reasons["gate"]
    assert "share of 50:" in reasons["seats"]
    assert "share of True" in reasons["booked"] or "share of False" in reasons["booked"]
    assert "8:00" in reasons["departure"] and "span 2026-01-05 to 2026-01-11" in reasons["departure"]


def test_large_samples_make_crumbs_significant_but_not_drift(rng):
    n = 100_000
    before = pd.DataFrame({"x": rng.normal(size=n), "y": rng.normal(size=n)})
    now = pd.DataFrame({"x": rng.normal(0.05, 1, n), "y": rng.normal(0.5, 1, n)})
    table = drift_report(before, now).table
    assert table["verdict"].tolist() == ["small", "drift"]
    assert table["p_holm"].max() < 1e-10
    assert table["effect_size"].tolist() == pytest.approx([0.05, 0.5], abs=0.03)
    assert "below 0.2" in table.loc["x", "reason"]
    assert drift_report(before, now, min_effect=0.01).drifted == ["y", "x"]


def test_figures_are_those_of_the_single_distances_and_the_corrected_p_value_decides(before, now):
    now["wind"] += 0.45
    table = drift_report(before, now).table
    expected = stats.ks_2samp(before["wind"], now["wind"])
    assert table.loc["wind", "statistic"] == pytest.approx(expected.statistic, rel=1e-7)
    assert table.loc["wind", "pvalue"] == pytest.approx(expected.pvalue, rel=1e-7)
    assert table["p_holm"].tolist() == pytest.approx(corrected(table["pvalue"], "holm"))
    for column in ("wind", "gate", "seats"):
        assert table.loc[column, "psi"] == pytest.approx(psi(before[column], now[column]).statistic)
    p = table.loc["wind", "p_holm"]
    assert drift_report(before, now, alpha=p * 1.1, min_effect=0).drifted == ["wind"]
    assert drift_report(before, now, alpha=p * 0.9, min_effect=0).drifted == []


# ---------------------------------------------------------------- missing, unseen, changed


def test_a_doubled_missing_share_is_drift(rng):
    before, now = (pd.DataFrame({"x": rng.normal(size=50_000)}) for _ in range(2))
    before.loc[rng.random(50_000) < 0.02, "x"] = np.nan
    now.loc[rng.random(50_000) < 0.04, "x"] = np.nan
    row = drift_report(before, now).table.loc["x"]
    assert (row["verdict"], row["test"]) == ("drift", "missing share")
    assert row["statistic"] == pytest.approx(0.02, abs=0.003)
    assert row["effect_size"] == pytest.approx(stats.norm.ppf(0.04) - stats.norm.ppf(0.02), abs=0.05)
    assert row["reason"].startswith("missing: ")


@pytest.mark.parametrize("fill", [np.nan, None, pd.NaT])
def test_missing_values_never_raise(before, now, fill):
    for column in before.columns:
        gone = now.assign(**{column: fill})
        row = drift_report(before, gone).table.loc[column]
        assert row["missing_current"] == 1
        assert row["verdict"] == "drift" and "missing: 0.0% -> 100.0%" in row["reason"]
        back = drift_report(gone, now).table.loc[column]
        assert back["verdict"] == "drift"


@pytest.mark.parametrize(("change", "words"), [("hours", "share of 6:00"), ("days", "share of Sat")])
def test_the_rhythm_of_times_drifts_not_their_dates(change, words):
    hours = pd.Series(pd.date_range("2026-01-05", periods=28 * 24, freq="h"))
    later = hours + pd.Timedelta(weeks=60)
    quiet = drift_report(hours.to_frame("t"), later.to_frame("t")).table.loc["t"]
    assert quiet["verdict"] == "quiet" and quiet["unseen"] == 1
    if change == "hours":
        later = later.where(later.dt.hour > 6, later.dt.normalize() + pd.Timedelta(hours=6))
    else:
        later = later[~later.dt.day_of_week.isin([5])]
    row = drift_report(hours.to_frame("t"), later.to_frame("t")).table.loc["t"]
    assert row["verdict"] == "drift" and row["reason"].startswith(words)


def test_nothing_but_missing_on_both_sides_is_untested():
    nothing = pd.DataFrame({"x": [np.nan] * 30, "y": [None] * 30})
    table = drift_report(nothing, nothing).table
    assert set(table["verdict"]) == {"untested"} and "no value in either" in table.loc["x", "reason"]


def test_a_column_that_is_gone_new_or_of_another_type_is_drift(before, now):
    now["gate"] = 1.5
    now["terminal"] = "T1"
    report = drift_report(before, now.drop(columns="wind"))
    reasons = report.table["reason"]
    assert {"wind", "gate", "terminal"} <= set(report.drifted)
    assert reasons["wind"] == "the current data does not have this column"
    assert reasons["terminal"] == "the reference does not have this column"
    assert "category values" in reasons["gate"] and "became number values" in reasons["gate"]


def test_names_are_not_measurements(before, now):
    before["id"] = [f"a{i}" for i in range(len(before))]
    now["id"] = [f"b{i}" for i in range(len(now))]
    row = drift_report(before, now).table.loc["id"]
    assert row["verdict"] == "untested" and "a name, not a measurement" in row["reason"]


def test_rows_outside_the_range_are_mentioned(before, now):
    now.loc[now.index[:60], "wind"] = 999.0
    row = drift_report(before, now).table.loc["wind"]
    assert row["unseen"] == pytest.approx(0.02, abs=0.002)
    assert "2.0% of rows outside the range" in row["reason"]


# ---------------------------------------------------------------- how it reads


def test_the_report_reads_alike_as_text_and_as_html(before, now):
    now["wind"] += 2
    report = drift_report(before, now)
    assert repr(report).splitlines()[0] == report.summary()
    assert report.summary().startswith("1 of 5 columns drifted (4,000 against 3,000 rows")
    assert "drift     wind: values up to" in repr(report)
    html = report._repr_html_()
    assert report.summary() in html and "&lt; 0.0001" in html


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reference": [1, 2]}, TypeError, "must be a pandas DataFrame"),
        ({"current": pd.DataFrame()}, ValueError, "current is empty"),
        ({"alpha": 0}, ValueError, "alpha lies between"),
    ],
)
def test_errors_say_what_is_wrong(before, now, change, error, message):
    with pytest.raises(error, match=message):
        drift_report(**({"reference": before, "current": now} | change))
