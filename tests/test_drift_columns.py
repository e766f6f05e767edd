"""What a column is, is decided by its values: the same in every distance, in the report and in adversarial validation."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.drift import (
    adversarial_validation,
    chi_square,
    drift_report,
    ks,
    psi,
    psi_over_time,
)
from mlprod_helpers.drift.columns import kinds_of
from mlprod_helpers.drift.distances import count_table
from mlprod_helpers.drift.tables import stack


def column(values, dtype=object):
    return pd.Series(values, dtype=dtype)


def report_of(reference, current, **settings):
    frames = pd.Series(reference).to_frame("x"), pd.Series(current).to_frame("x")
    return drift_report(*frames, **settings).table.loc["x"]


PRICES = [0.1, 0.2, 0.3]
STORED = {
    "objects": lambda x: column(x),
    "objects with None": lambda x: column([*x, None]),
    "float32": lambda x: column(x, "float32"),
    "Float32": lambda x: column(x, "Float32"),
    "objects of float32": lambda x: column(list(np.array(x, dtype="float32"))),
    "Float64": lambda x: column(x, "Float64"),
    "decimals": lambda x: column([Decimal(str(v)) for v in x]),
    "decimals and floats": lambda x: column([Decimal(str(v)) if i % 2 else v for i, v in enumerate(x)]),
    "levels": lambda x: column(x, "category"),
}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
def test_the_same_numbers_are_no_drift_however_they_are_stored(store):
    rng = np.random.default_rng(0)
    for draw in (lambda: rng.choice(PRICES, 300), lambda: rng.normal(size=300).round(2)):
        here, there = draw().tolist(), draw().tolist()
        for pair in ((store(here), column(there, float)), (column(here, float), store(there))):
            assert report_of(*pair)["verdict"] == "quiet"
            assert psi(*pair).statistic == pytest.approx(psi(here, there).statistic, abs=0.02)
            assert ks(*pair).statistic == pytest.approx(ks(here, there).statistic, abs=0.01)
        shifted = [v + 3 for v in there]
        assert report_of(store(here), store(shifted))["verdict"] == "drift"


@pytest.mark.parametrize(
    ("reference", "current", "kind"),
    [
        ([1, 2.5], [Fraction(1, 2), Decimal("3")], "number"),
        ([True, False], [1, 0], "number"),
        ([True, None], pd.array([False, None], dtype="boolean"), "boolean"),
        (pd.Categorical([1, 2]), [1, 2], "number"),
        (pd.Categorical([1, 2]), pd.Categorical([2, 3]), "category"),
        (pd.Categorical(["a"]), ["b"], "category"),
        ([datetime.date(2024, 1, 1)], pd.to_datetime(["2024-01-02"]), "datetime"),
        (["2024-01-01"], pd.to_datetime(["2024-01-02"]), "datetime"),
        (["2024-01-01"], ["soon"], "category"),
        (["2024-02-30"], ["2024-02-28"], "category"),
        (pd.period_range("2024", periods=2, freq="D"), ["2024-01-01"], "datetime"),
        ([datetime.timedelta(1)], pd.to_timedelta(["1h"]), "timedelta"),
        ([None, np.nan], [1.0], "number"),
        (pd.array([None], dtype="datetime64[ns]"), ["a"], "category"),
        ([None], [np.nan], "missing"),
        ([1, "a"], ["b"], "category"),
    ],
)
def test_the_kind_of_two_columns_is_that_of_their_values(reference, current, kind):
    reference, current = pd.Series(reference), pd.Series(current)
    assert kinds_of(reference, current) == (kind, kind)
    assert kinds_of(current, reference) == (kind, kind)
    shown = {"timedelta": "number", "boolean": "category"}.get(kind, kind)
    assert report_of(reference, current)["kind"] == shown
    coded = {"boolean": "number", "timedelta": "number", "missing": "number"}.get(kind, kind)
    assert stack(reference.to_frame("x"), current.to_frame("x")).kinds == {"x": coded}


def test_columns_of_different_kinds_are_drift_for_the_report_and_refused_elsewhere():
    for one, other in (([1.0, 2], ["1", "2"]), ([1.0], pd.to_timedelta(["1h"])), ([True], ["True"])):
        one, other = pd.Series(one), pd.Series(other)
        assert report_of(one, other)["test"] == "type"
        with pytest.raises(ValueError, match="convert one of them"):
            psi(one, other)
        with pytest.raises(ValueError, match="convert one of them"):
            adversarial_validation(one.to_frame("x"), other.to_frame("x"))


def test_one_and_its_text_are_different_categories_everywhere():
    numbers, texts = [1, "a"] * 60, ["1", "a"] * 60
    assert report_of(numbers, texts)["verdict"] == "drift"
    frames = pd.DataFrame({"x": column(numbers)}), pd.DataFrame({"x": column(texts)})
    assert adversarial_validation(*frames, random_state=0).auc > 0.7


def test_integers_that_no_float_tells_apart_are_compared_exactly():
    old, new = (column([2**63 + i for i in part], "uint64") for part in (range(100), range(200, 300)))
    assert ks(old, new).statistic == 1
    assert report_of(old, new)["verdict"] == "drift"
    assert report_of(old, old)["verdict"] == "quiet"
    assert adversarial_validation(old.to_frame("x"), new.to_frame("x"), random_state=0).auc == 1
    few = count_table(column([2**63, 2**63 + 1] * 20), column([2**63 + 1] * 20))
    assert few.labels == [str(2**63), str(2**63 + 1)]
    beyond = column([10**30, 10**30 + 1] * 20)
    assert psi(beyond, column([10**30] * 40)).statistic > 0.25


def test_the_same_moments_in_another_zone_are_no_drift():
    utc = pd.Series(pd.date_range("2024-01-01", periods=24 * 28, freq="1h", tz="UTC"))
    utc = utc[utc.dt.hour < 9]
    for other in (utc.dt.tz_convert("Asia/Tokyo"), utc.dt.tz_localize(None), utc.astype(str), column(utc)):
        assert report_of(utc, other)["verdict"] == "quiet"
        assert ks(utc, other).statistic == 0
        assert (stack(utc.to_frame("x"), other.to_frame("x")).values[:3] != 0).all()
    assert psi_over_time(
        utc.to_frame("x"), utc.dt.tz_convert("Asia/Tokyo").to_frame("x"), np.zeros(len(utc))
    ).iloc[0, 0] == pytest.approx(0, abs=1e-12)


def test_moments_beyond_the_year_2262_are_values_too():
    forever = pd.Series(pd.to_datetime(["2024-01-01"] * 30 + ["9999-12-31"] * 30).astype("datetime64[s]"))
    assert ks(forever, forever[:30]).statistic == 0.5
    assert report_of(forever, column([datetime.date(9999, 12, 31)] * 30))["missing_current"] == 0


def test_values_far_from_zero_keep_names_that_tell_them_apart():
    rng = np.random.default_rng(0)
    offset = 1e9 + rng.choice([0.001, 0.002, 0.003], 200)
    for x in (offset, 1e9 + rng.normal(size=300)):
        assert psi(x, x).table.index.is_unique
    assert ks(1e9 + rng.normal(size=300), 1e9 + 1 + rng.normal(size=300)).effect_size == pytest.approx(
        1, abs=0.2
    )
    assert "median 1e+09 -> 1e+09" not in report_of(offset, offset + 0.002)["reason"]


def test_an_index_sees_the_other_values_of_a_column_that_is_mostly_zeros_move():
    rng = np.random.default_rng(0)
    for share in (0.9, 0.97):
        for bottom in (0, -1):  # zeros at the lower end and in the middle
            before = np.where(rng.random(4_000) < share, 0, rng.uniform(bottom, 1, 4_000))
            after = np.where(rng.random(4_000) < share, 0, rng.uniform(bottom, 1, 4_000))
            moved = np.where(after > 0, after + 10, after)
            for measure in (psi, chi_square):
                assert measure(before, after).pvalue > 0.001, (measure, share, bottom)
                assert measure(before, moved).pvalue < 1e-6, (measure, share, bottom)
            over_time = psi_over_time(
                pd.DataFrame({"x": before}), pd.DataFrame({"x": moved}), np.zeros(4_000)
            )
            assert over_time.iloc[0, 0] == pytest.approx(psi(before, moved).statistic)


# ---------------------------------------------------------------- few rows


def test_a_few_rows_of_a_category_that_never_was_are_drift():
    gates = [f"g{i}" for i in range(20)] * 500
    for reference, current in (
        (gates, ["closed"] * 95),
        (["main"] * 5_000 + gates[:5_000], ["main"] * 45 + ["closed"] * 50),
        ([f"id {i}" for i in range(10_000)], ["closed"] * 95),
        (["a"] * 1_000, ["b"] * 3 + ["a"] * 2),
        ([7] * 100, [8] * 5),
    ):
        assert report_of(reference, current)["verdict"] == "drift"
        assert chi_square(reference, current).pvalue < 0.01


def test_pooling_rare_categories_keeps_the_level_of_the_test():
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 301)
    draw = lambda n: rng.choice(300, n, p=shares / shares.sum()).astype(str)  # noqa: E731
    for n, m in ((2_000, 60), (500, 500), (300, 20)):
        pvalues = [chi_square(draw(n), draw(m)).pvalue for _ in range(150)]
        assert np.mean(np.array(pvalues) < 0.05) < 0.1, (n, m)


def test_too_few_rows_of_any_category_are_untested_not_quiet():
    row = report_of(list("abcd"), list("efgh"))
    assert row["verdict"] == "untested" and "too few rows" in row["reason"]
    assert np.isnan(chi_square(list("abcd"), list("efgh")).pvalue)
    row = report_of([1.0, 2, None, None], [3.0, None, None, None])
    assert row["verdict"] == "untested" and "too few rows" in row["reason"]


def test_a_side_without_a_value_is_never_quiet():
    for values in ([1.0, None, None], ["a", None, None], pd.to_datetime(["2024-01-01", None, None])):
        row = report_of(values, pd.Series([None, None]))
        assert row["verdict"] == "untested" and "no value to compare" in row["reason"]


def test_the_effect_of_chance_is_taken_off_the_effect_sizes():
    rng = np.random.default_rng(0)
    for n, m in ((100, 100), (1_000, 50)):
        for shift in (0, 0.5):
            pairs = [(rng.normal(size=n), rng.normal(shift, 1, m)) for _ in range(80)]
            for measure in (ks, psi, chi_square):
                effect = np.mean([measure(*pair).effect_size for pair in pairs])
                assert effect == pytest.approx(shift, abs=0.2), (measure, n, m)


# ---------------------------------------------------------------- names and threads


def test_columns_may_have_names_of_any_kind():
    rng = np.random.default_rng(0)
    for names in ([("a", 1), ("a", 2)], ["a", 1], [1, "1"], ["x", 3.5]):
        old, new = (pd.DataFrame({0: rng.normal(s, 1, 100), 1: rng.choice(["u", "v"], 100)}) for s in (0, 1))
        old.columns = new.columns = pd.Index(names)
        result = adversarial_validation(old, new, random_state=0)
        assert result.importances.index[0] == names[0] and result.auc > 0.6
        assert drift_report(old, new).drifted == [names[0]]
        assert psi_over_time(old, new, np.zeros(100)).columns.equals(old.columns)


def test_a_small_table_is_learned_on_one_thread():
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_info

    seen = set()

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.update(pool["num_threads"] for pool in threadpool_info())
            return super().fit(X, y)

    rng = np.random.default_rng(0)
    adversarial_validation(
        rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), estimator=Spy(), random_state=0
    )
    assert seen == {1}


def test_tables_with_two_columns_of_one_name_are_refused():
    twice = pd.DataFrame([[1, 2]] * 9, columns=["x", "x"])
    for call in (drift_report, adversarial_validation, lambda a, b: psi_over_time(a, b, [0] * 9)):
        with pytest.raises(ValueError, match="same name|several columns"):
            call(twice, twice)
