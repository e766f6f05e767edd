"""Adversarial validation: known answers, honest numbers where nothing differs, and tables as they come."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mlprod_helpers import datasets
from mlprod_helpers.drift import adversarial_validation
from mlprod_helpers.drift.tables import MANY_LEVELS, repeats_of, stack

LINEAR = LogisticRegression()


class Direction(ClassifierMixin, BaseEstimator):
    """Scores rows along the line from one mean to the other: a classifier that costs next to nothing."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.along_ = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
        return self

    def predict_proba(self, X):
        p = special.expit(X @ self.along_)
        return np.column_stack([1 - p, p])


QUICK = HistGradientBoostingClassifier(max_iter=30, learning_rate=0.2, random_state=0)
FLIGHT = ["distance", "hour", "carrier", "origin", "dest"]


def normal(n, k, seed, shift=()):
    table = np.random.default_rng(seed).normal(size=(n, k))
    table[:, : len(shift)] += shift
    return table


def flipped(n, k, seed):
    """Two tables whose first two columns correlate by 0.8 and by -0.8."""
    tables = normal(n, k, seed), normal(n, k, seed + 1_000)
    for table, correlation in zip(tables, (0.8, -0.8), strict=True):
        table[:, 1] = correlation * table[:, 0] + 0.6 * table[:, 1]
    return tables


@pytest.fixture(scope="module")
def flights():
    return datasets.load_flights()


@pytest.fixture(scope="module")
def may(flights):
    return flights.loc[flights["month"] == 5, FLIGHT].reset_index(drop=True)


@pytest.fixture(scope="module")
def quiet():
    return adversarial_validation(normal(200, 3, 0), normal(150, 3, 1), estimator=QUICK, random_state=0)


# ---------------------------------------------------------------- known answers


def test_a_small_shift_in_5_of_20_columns_is_measured_close_to_the_best_possible():
    result = adversarial_validation(
        normal(4_000, 20, 0), normal(4_000, 20, 1, [0.2] * 5), estimator=LINEAR, random_state=0
    )
    assert result.auc == pytest.approx(0.6241, abs=0.02)
    boosted = adversarial_validation(
        normal(4_000, 20, 0), normal(4_000, 20, 1, [0.2] * 5), cv=2, random_state=0
    )
    assert 0.57 < boosted.auc < result.auc


def test_boosted_trees_see_a_correlation_flip_that_a_linear_model_cannot():
    reference, current = flipped(3_000, 20, 0)
    assert adversarial_validation(reference, current, cv=2, random_state=0).auc > 0.85
    linear = adversarial_validation(reference, current, estimator=LINEAR, random_state=0).auc
    assert linear == pytest.approx(0.5, abs=0.03)


# ---------------------------------------------------------------- where nothing differs


def test_in_sample_auc_is_near_one_where_nothing_differs_and_out_of_fold_auc_is_not():
    rows, labels = normal(1_000, 20, 0), np.repeat([0, 1], 500)
    model = HistGradientBoostingClassifier(random_state=0).fit(rows, labels)
    assert roc_auc_score(labels, model.predict_proba(rows)[:, 1]) > 0.99
    linear = LINEAR.fit(rows, labels).predict_proba(rows)[:, 1]
    assert roc_auc_score(labels, linear) == pytest.approx(0.58, abs=0.04)
    result = adversarial_validation(rows[:500], rows[500:], estimator=QUICK, random_state=0)
    assert result.auc == pytest.approx(0.5, abs=0.08)


def test_the_mean_of_the_folds_is_not_biased_in_small_tables_and_pooled_scores_are():
    folds, pooled = [], []
    for seed in range(100):
        result = adversarial_validation(
            normal(15, 5, seed), normal(15, 5, 999 + seed), estimator=Direction(), random_state=seed
        )
        folds.append(result.auc)
        pooled.append(
            roc_auc_score(np.repeat([0, 1], 15), np.concatenate([result.reference_scores, result.scores]))
        )
    assert np.mean(folds) == pytest.approx(0.5, abs=0.03)
    assert np.mean(pooled) < np.mean(folds) - 0.005


# ---------------------------------------------------------------- rows that come back


TABLE, RETRIED = normal(900, 5, 1), [np.repeat(normal(150, 5, seed), 2, axis=0) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("reference", "current", "unguarded", "note"),
    [
        pytest.param(TABLE[:300], TABLE[:300], (0, 0.2), "100% of the current rows also", id="itself"),
        pytest.param(TABLE[:600], TABLE[300:], (0, 0.45), "50% of the current rows also", id="overlap"),
        pytest.param(*RETRIED, (0.75, 1), "50% of the rows are copies", id="retries inside a table"),
    ],
)
def test_copies_stay_in_one_fold_and_no_longer_move_the_auc(reference, current, unguarded, note):
    shuffled = StratifiedKFold(5, shuffle=True, random_state=0)
    naive = adversarial_validation(reference, current, estimator=QUICK, cv=shuffled, random_state=0)
    assert unguarded[0] <= naive.auc < unguarded[1]
    result = adversarial_validation(reference, current, estimator=QUICK, random_state=0)
    assert result.auc == pytest.approx(0.5, abs=0.1)
    assert note in result.notes[0]


def test_rows_of_a_coarse_table_may_repeat_by_chance(may, flights):
    dealt = may.sample(frac=1, random_state=0)
    halves = stack(dealt.iloc[:1440], dealt.iloc[1440:])
    assert len(np.unique(repeats_of(halves).group)) < 0.4 * len(may)
    assert not repeats_of(halves).keep_together
    winter, summer = (flights.loc[flights["month"].isin(m), FLIGHT] for m in ((1, 2), (7, 8)))
    assert not repeats_of(stack(winter, summer)).keep_together
    assert repeats_of(stack(may, may)).keep_together


def test_a_calendar_in_both_tables_is_warned_about():
    days = datasets.load_ridership()
    calendar, year = days[["weekday", "day_of_year"]], days["date"].dt.year
    with pytest.warns(UserWarning, match="clearly below 0.5"):
        result = adversarial_validation(
            calendar[year <= 2003], calendar[year > 2003], estimator=QUICK, random_state=0
        )
    assert any("calendar" in note for note in result.notes)


def test_too_few_different_rows_to_keep_together_are_noted():
    few = np.repeat(normal(30, 2, 0), 2, axis=0)
    result = adversarial_validation(few, few, estimator=Direction(), cv=5, random_state=0)
    assert "kept in one fold" in result.notes[0]
    with pytest.warns(UserWarning, match="clearly below 0.5"):
        result = adversarial_validation(few, few, estimator=Direction(), cv=40, random_state=0)
    assert "too few different rows" in result.notes[0]


def test_your_own_folds_are_used_as_they_are():
    rows, groups = normal(200, 2, 0), np.repeat(np.arange(20), 10)
    labels = np.repeat([0, 1], 100)
    splits = list(StratifiedGroupKFold(4).split(rows, labels, groups))
    result = adversarial_validation(rows[:100], rows[100:], estimator=LINEAR, cv=splits, random_state=0)
    assert all(len(np.unique(result.fold[groups == g])) == 1 for g in range(20))
    with pytest.raises(ValueError, match="exactly once"):
        adversarial_validation(rows[:100], rows[100:], estimator=LINEAR, cv=splits[:2])


def test_folds_share_both_tables_evenly(quiet):
    labels = np.repeat([0, 1], [200, 150])
    assert np.bincount(quiet.fold[labels == 0]).tolist() == [40] * 5
    assert np.bincount(quiet.fold[labels == 1]).tolist() == [30] * 5
    assert quiet.auc == pytest.approx(quiet.fold_aucs.mean())


# ---------------------------------------------------------------- weights and scores


def test_weights_have_mean_one_and_move_the_reference_to_the_current_mean():
    reference, current = normal(2_000, 2, 0), normal(1_000, 2, 1, [0.7])
    result = adversarial_validation(reference, current, estimator=LINEAR, random_state=0)
    assert result.weights.shape == (2_000,)
    assert result.weights.mean() == pytest.approx(1)
    assert np.average(reference[:, 0], weights=result.weights) == pytest.approx(0.7, abs=0.07)
    # for normal columns the ratio is known: exp(d x - d^2 / 2), and it is worth exp(-d^2) of the rows
    assert np.corrcoef(np.log(result.weights), reference[:, 0])[0, 1] > 0.99
    assert result.effective_sample_size / 2_000 == pytest.approx(np.exp(-(0.7**2)), abs=0.06)


def test_scores_do_not_depend_on_how_large_the_tables_are():
    reference, few = normal(3_000, 1, 0), normal(300, 1, 1, [1])
    result = adversarial_validation(reference, few, estimator=LINEAR, random_state=0)
    half_way = np.abs(few[:, 0] - 0.5) < 0.1
    assert result.scores[half_way].mean() == pytest.approx(0.5, abs=0.06)


def test_the_most_foreign_rows_have_the_highest_scores():
    current = normal(400, 3, 1)
    current[:40] += 4
    result = adversarial_validation(normal(400, 3, 0), current, estimator=QUICK, cv=2, random_state=0)
    assert set(range(40)) >= set(np.argsort(result.scores)[-30:].tolist())


def test_tables_without_overlap_say_that_weights_are_of_no_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = adversarial_validation(normal(200, 2, 0), normal(200, 2, 1, [50]), cv=2, random_state=0)
    assert result.auc == 1
    assert result.coverage < 0.05
    assert np.isfinite(result.weights).all()
    assert any("weights cannot make up" in note for note in result.notes)
    assert "which cover" in repr(result)


def test_humidity_weights_help_while_enough_rows_carry_them():
    air = datasets.load_weather().dropna(subset=["temp", "dewp", "humid"])
    winter, inputs = air[air["month"] <= 3], ["temp", "dewp"]
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    worth = {}
    for month in (12, 5):
        now = air[air["month"] == month]
        result = adversarial_validation(winter[inputs], now[inputs], estimator=linear, random_state=0)
        worth[month] = result.effective_sample_size / len(winter)
    assert worth[12] == pytest.approx(0.84, abs=0.02)
    assert worth[5] == pytest.approx(0.01, abs=0.01)


# ---------------------------------------------------------------- importances


def test_importances_name_the_column_and_are_computed_once_and_only_when_asked():
    frame = pd.DataFrame(normal(300, 4, 0), columns=list("abcd"))
    moved = (
        frame.sample(frac=1, random_state=0).reset_index(drop=True) + normal(300, 4, 9) * 0.1 + [0, 0, 1, 0]
    )
    result = adversarial_validation(frame, moved, estimator=QUICK, random_state=0)
    assert "importances" not in vars(result)
    importances = result.importances
    assert result.importances is importances
    assert importances.index[0] == "c"
    assert sorted(importances.index) == list("abcd")
    assert importances["c"] > 0.15
    assert importances.drop("c").abs().max() < 0.1


# ---------------------------------------------------------------- suspects


def suspects(reference, current):
    return adversarial_validation(reference, current, estimator=QUICK, cv=2, random_state=0).suspects


def test_a_row_id_gives_an_auc_of_one_and_is_suspected_before():
    frame = pd.DataFrame(normal(1_000, 3, 0), columns=list("abc")).assign(number=range(1_000))
    result = adversarial_validation(frame.iloc[:500], frame.iloc[500:], estimator=QUICK, random_state=0)
    assert result.auc == pytest.approx(1, abs=5e-5)
    assert list(result.suspects) == ["number"]
    assert "counter" in result.suspects["number"]


def test_shuffled_ids_time_stamps_and_names_of_the_table_are_suspected():
    rng = np.random.default_rng(0)
    n = 400
    stamp = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s")
    frame = pd.DataFrame(
        {
            "request": rng.choice(10**6, n),
            "token": [f"{x:08x}" for x in rng.choice(10**8, n)],
            "when": stamp,
            "day": stamp.strftime("%Y-%m-%d"),
            "epoch": (stamp - pd.Timestamp(0)) // pd.Timedelta(seconds=1) + rng.random(n),
            "customer_id": rng.integers(0, 20, n),
            "batch": np.repeat(["old", "new"], n // 2),
            "month": np.repeat([1, 2, 7, 8], n // 4)[
                rng.permuted(np.arange(n).reshape(2, -1), axis=1).ravel()
            ],
            "price": rng.normal(20, 5, n).round(2),
            "hour": rng.integers(0, 24, n),
            "city": rng.choice(["Boston", "Miami"], n),
            "rate": rng.normal(size=n),
        }
    )
    result = suspects(frame.iloc[: n // 2], frame.iloc[n // 2 :])
    assert list(result) == ["request", "token", "when", "day", "epoch", "customer_id", "batch", "month"]
    assert "key" in result["request"] and "key" in result["token"]
    assert "time stamp" in result["when"] and "time stamp" in result["day"]
    assert "1970" in result["epoch"]
    assert "name of the table" in result["batch"]


def test_the_exact_mileage_of_airport_pairs_is_an_id_in_disguise_and_rounded_mileage_is_not(flights):
    columns = ["distance", "hour", "carrier"]
    laguardia, kennedy = (flights.loc[flights["origin"] == origin, columns] for origin in ("LGA", "JFK"))
    assert list(suspects(laguardia, kennedy)) == ["distance"]
    in_hundreds = (table.assign(distance=table["distance"].round(-2)) for table in (laguardia, kennedy))
    assert suspects(*in_hundreds) == {}


def test_a_real_change_is_not_suspected():
    rng = np.random.default_rng(0)
    old = pd.DataFrame({"hour": rng.integers(6, 15, 500), "temp": rng.normal(0, 3, 500).round(1)})
    new = pd.DataFrame({"hour": rng.integers(9, 20, 500), "temp": rng.normal(8, 3, 500).round(1)})
    assert suspects(old, new) == {}


# ---------------------------------------------------------------- real data


def test_a_slipped_join_leaves_each_column_as_it_was_and_is_found(may):
    slipped = may.copy()
    for name in ("origin", "dest", "carrier"):
        slipped[name] = np.roll(may[name].to_numpy(dtype=object), 1)
        assert (slipped[name].value_counts() == may[name].astype(object).value_counts()).all()
    halves = np.random.default_rng(0).permutation(len(may))
    one, other = halves[:1440], halves[1440:]
    result = adversarial_validation(may.iloc[one], slipped.iloc[other], cv=3, random_state=0)
    assert result.auc == pytest.approx(0.974, abs=0.015)
    honest = [
        adversarial_validation(
            dealt.iloc[:1440], dealt.iloc[1440:], estimator=QUICK, cv=3, random_state=0
        ).auc
        for dealt in (may.sample(frac=1, random_state=seed) for seed in range(3))
    ]
    assert np.mean(honest) == pytest.approx(0.505, abs=0.035)


def test_laguardia_and_kennedy(flights):
    laguardia, kennedy = (flights.loc[flights["origin"] == origin, ["distance"]] for origin in ("LGA", "JFK"))
    rounded = adversarial_validation(
        laguardia.round(-2), kennedy.round(-2), estimator=QUICK, cv=3, random_state=0
    )
    assert rounded.auc == pytest.approx(0.81, abs=0.015)
    exact = adversarial_validation(laguardia, kennedy, estimator=QUICK, cv=3, random_state=0)
    assert exact.auc == pytest.approx(0.9995, abs=0.003)


def test_digits_in_file_order():
    pictures = load_digits().data
    result = adversarial_validation(pictures[:898], pictures[898:], cv=3, random_state=0)
    assert result.auc == pytest.approx(0.822, abs=0.03)


def test_winter_and_summer_with_and_without_weather(flights):
    weather = datasets.load_weather().drop(columns=["month", "day", "hour"])
    joined = flights.assign(full_hour=flights["time"].dt.floor("h")).merge(
        weather.rename(columns={"time": "full_hour"}), on=["origin", "full_hour"], how="left"
    )
    winter, summer = (joined[joined["month"].isin(months)] for months in ((1, 2), (7, 8)))
    seen = [*FLIGHT, "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    with_weather = adversarial_validation(winter[seen], summer[seen], estimator=QUICK, cv=2, random_state=0)
    assert with_weather.auc == pytest.approx(1, abs=5e-4)
    without = adversarial_validation(winter[FLIGHT], summer[FLIGHT], random_state=0)
    assert without.auc == pytest.approx(0.685, abs=0.03)


# ---------------------------------------------------------------- tables as they come


def test_columns_may_come_in_any_order_and_share_the_levels_of_both_tables():
    rng = np.random.default_rng(0)
    old, new = (
        pd.DataFrame({"carrier": pd.Categorical(rng.choice(names, 120)), "flag": rng.random(120) < 0.5})
        for names in (["AA", "B6"], ["AA", "UA"])
    )
    result = adversarial_validation(old, new[["flag", "carrier"]], estimator=QUICK, cv=2, random_state=0)
    assert result.columns == ["carrier", "flag"]
    assert result.importances.index[0] == "carrier"
    assert stack(old, new).frame()["carrier"].cat.categories.tolist() == [0, 1, 2]


def test_missing_values_in_one_table_only_give_it_away():
    old, new = (pd.DataFrame(normal(200, 1, seed), columns=["a"]) for seed in (0, 1))
    new.loc[::2, "a"] = np.nan
    assert adversarial_validation(old, new, estimator=QUICK, random_state=0).auc > 0.65


def test_text_of_very_many_levels_is_ranked():
    words = [f"w{i:04d}" for i in range(MANY_LEVELS + 50)]
    frame = pd.DataFrame({"word": words})
    stacked = stack(frame, frame)
    assert stacked.kinds == {"word": "text"}
    assert stacked.values[: len(words), 0].tolist() == list(range(len(words)))


def test_arrays_frames_and_lists_of_lists_give_the_same_numbers():
    old, new = normal(80, 2, 0), normal(80, 2, 1, [1])
    as_array = adversarial_validation(old, new, estimator=QUICK, cv=2, random_state=0)
    as_frame = adversarial_validation(
        pd.DataFrame(old), pd.DataFrame(new), estimator=QUICK, cv=2, random_state=0
    )
    as_lists = adversarial_validation(old.tolist(), new.tolist(), estimator=QUICK, cv=2, random_state=0)
    assert as_array.auc == as_frame.auc == as_lists.auc
    assert as_array.columns == ["x0", "x1"]
    one_column = adversarial_validation(old[:, 0], new[:, 0], estimator=QUICK, cv=2, random_state=0)
    assert one_column.columns == ["x0"]


def test_your_estimator_gets_numbers_under_the_names_of_the_columns():
    old = pd.DataFrame({"route": list("abcd") * 20, "miles": np.arange(80.0) % 7})
    new = pd.DataFrame({"route": list("abce") * 20, "miles": np.arange(80.0) % 5})
    native = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype")
    result = adversarial_validation(old, new, estimator=native, random_state=0)
    assert result._models[0].feature_names_in_.tolist() == ["route", "miles"]
    assert result._models[0].is_categorical_.tolist() == [True, False]
    assert adversarial_validation(old, new, estimator=LINEAR, random_state=0).auc > 0.5
    with pytest.raises(TypeError, match="CalibratedClassifierCV"):
        adversarial_validation(old, new, estimator=LinearSVC(), random_state=0)


def test_a_seed_and_a_generator_of_it_give_the_same_and_another_seed_another_result():
    old, new = normal(150, 4, 0), normal(150, 4, 1, [0.5])
    seeds = (3, np.random.default_rng(3), 4)
    one, same, other = (adversarial_validation(old, new, cv=2, random_state=seed) for seed in seeds)
    assert one.auc == same.auc != other.auc
    assert one.importances.equals(same.importances)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("reference", "current", "options", "message"),
    [
        (pd.DataFrame({"a": [1]}), [[1]], {}, "both be DataFrames or both be arrays"),
        (
            pd.DataFrame({"a": [1], "b": [1]}),
            pd.DataFrame({"a": [1], "c": [1]}),
            {},
            "reference: b.*current: c",
        ),
        (np.ones((9, 2)), np.ones((9, 3)), {}, "2 columns, current has 3"),
        (pd.DataFrame(index=range(9)), pd.DataFrame(index=range(9)), {}, "reference is empty"),
        (np.ones((2, 2, 2)), np.ones((9, 2)), {}, "3 dimensions"),
        (normal(9, 2, 0), normal(4, 2, 0), {}, "current has 4 rows, fewer than cv=5 folds"),
        (normal(9, 2, 0), normal(9, 2, 0), {"cv": 1}, "at least 2 folds"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(reference, current, options, message):
    with pytest.raises(ValueError, match=message):
        adversarial_validation(reference, current, **options)


def test_constant_tables_are_warned_about():
    with pytest.warns(UserWarning, match="No column varies"):
        result = adversarial_validation(np.ones((20, 2)), np.ones((30, 2)), random_state=0)
    assert result.auc == 0.5


def test_constant_columns_that_differ_name_their_table():
    result = adversarial_validation(np.zeros((20, 1)), np.ones((30, 1)), random_state=0)
    assert result.auc == 1
    assert "name of the table" in result.suspects["x0"]


# ---------------------------------------------------------------- what one sees


def test_the_result_can_be_read(quiet):
    text = repr(quiet)
    assert text.startswith("Adversarial validation of 200 reference and 150 current rows, 3 columns, 5 folds")
    assert f"AUC       {quiet.auc:.4f}" in text


def test_with_the_same_folds_each_score_is_scikit_learns():
    old, new = normal(200, 4, 0), normal(200, 4, 1, [0.6])
    rows, labels = np.vstack([old, new]), np.repeat([0, 1], 200)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(QUICK, rows, labels, cv=folds, method="predict_proba")[:, 1]
    result = adversarial_validation(old, new, estimator=QUICK, cv=folds, random_state=0)
    assert np.concatenate([result.reference_scores, result.scores]) == pytest.approx(scores)
    assert result.fold_aucs[0] == pytest.approx(
        roc_auc_score(labels[result.fold == 0], scores[result.fold == 0])
    )
