"""One suite for every detector, then scores, delays and false alarms over many seeds."""

import numpy as np
import pandas as pd
import pytest
from river import drift

from mlprod_helpers.detectors import (
    DETECTORS,
    detect,
    detection_delay,
    draw_errors,
    errors_of,
    score_alarms,
    tradeoff,
)

EVERY = sorted(DETECTORS)


@pytest.fixture(scope="module")
def jump():
    return draw_errors(1_200, before=0.1, after=0.7, onset=800, random_state=3)


# ---------------------------------------------------------------- what every detector does


@pytest.mark.parametrize("name", EVERY)
def test_alarms_are_those_of_rivers_bare_loop(name, jump):
    kind = getattr(drift, name, None) or getattr(drift.binary, name.replace("_", ""))
    bare = kind(seed=0) if name == "KSWIN" else kind()
    expected = []
    for i, error in enumerate(jump.errors.tolist()):
        bare.update(error)
        if bare.drift_detected:
            expected.append(i)
    assert detect(jump, name).alarms["index"].tolist() == expected
    assert expected  # a jump from 10% to 70% is noticed by each of them


@pytest.mark.parametrize("name", EVERY)
def test_after_an_alarm_it_starts_anew(name):
    rng = np.random.default_rng(5)
    errors = rng.random(1_800) < np.repeat([0.02, 0.4, 0.95], 600)
    result = detect(errors, name, onsets=[600, 1_200])
    assert np.all(result.score.delays < 400)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "convert", [list, pd.Series, lambda e: e.astype(bool), lambda e: e.astype("float32")]
)
def test_errors_may_come_in_any_container(name, convert, jump):
    errors = jump.errors[600:1_000]
    alarms = detect(convert(errors), name).alarms["index"]
    assert alarms.tolist() == detect(errors, name).alarms["index"].tolist()


@pytest.mark.parametrize("name", EVERY)
def test_unknown_parameters_are_refused_with_the_known_ones(name):
    with pytest.raises(TypeError, match="Its parameters are .*(delta|warm_start|confidence|alpha)"):
        detect([0, 1], name, sensitivity=3)


# ---------------------------------------------------------------- known answers


def seeded(draw):
    np.random.seed(12345)  # noqa: NPY002 (as river's suite draws)
    return draw(np.random)


RIVERS = {
    "levels": seeded(lambda r: np.concatenate([r.randint(2, size=1000), r.randint(8, size=1000)])),
    "jump": seeded(lambda r: np.array([r.binomial(1, p) for p in np.repeat([0.2, 0.8], 1000)])),
    "blocks": seeded(lambda r: np.concatenate([r.normal(mean, 0.1, 500) > 0 for mean in (0, 0.25, 0, 0.25)])),
}


@pytest.mark.parametrize(
    ("name", "settings", "stream", "published"),
    [  # river, test_drift_detectors.py
        ("ADWIN", {}, "levels", [1023]),
        ("DDM", {}, "jump", [1049]),
        ("HDDM_A", {}, "jump", [1047]),
        ("HDDM_A", {"two_sided_test": True}, "blocks", [531, 1015, 1545]),
        ("HDDM_W", {}, "jump", [1018]),
        ("HDDM_W", {"two_sided_test": True}, "blocks", [507, 1032, 1508]),
        ("KSWIN", {"alpha": 0.0001, "window_size": 200, "stat_size": 100, "seed": 42}, "levels", [1042]),
        ("PageHinkley", {"mode": "up"}, "blocks", [588, 1681]),
        ("PageHinkley", {"mode": "down"}, "blocks", [1172]),
        ("PageHinkley", {"mode": "both"}, "blocks", [588, 1097, 1585]),
    ],
)
def test_alarms_are_those_of_rivers_own_suite(name, settings, stream, published):
    assert detect(RIVERS[stream].astype(int), name, **settings).alarms["index"].tolist() == published


def test_adwins_delay_is_near_its_published_bound():
    result = detection_delay("ADWIN", delta=0.002, clock=1, onset=10_000, horizon=2_000, n_seeds=60)
    assert result["mean_delay"] == pytest.approx(280, rel=0.15)
    assert result["false_alarms"] == result["missed"] == 0


def test_delay_and_false_alarms_are_paid_with_each_other():
    table = tradeoff("PageHinkley", "threshold", [5, 20, 80], onset=3_000, horizon=3_000, n_seeds=15)
    assert table["mean_delay"].is_monotonic_increasing
    assert table["false_alarms"].is_monotonic_decreasing
    assert table.index.name == "threshold"


def test_a_slow_change_is_noticed_later():
    sudden, slow = (
        detection_delay("ADWIN", after=0.4, onset=1_000, horizon=3_000, width=w, n_seeds=15)["mean_delay"]
        for w in (0, 1_000)
    )
    assert slow > sudden + 100


# ---------------------------------------------------------------- scores


def test_hits_repeats_and_false_alarms():
    score = score_alarms([90, 130, 150, 320, 900], [100, 300, 500])
    assert score.kinds.tolist() == ["false", "hit", "repeat", "hit", "hit"]
    assert score.delays.tolist() == [30, 20, 400]
    assert (score.false_alarms, score.missed) == (1, 0)


def test_an_alarm_just_too_early_is_false_one_at_the_onset_a_hit_and_a_miss_missing():
    assert score_alarms([99], [100]).kinds.tolist() == ["false"]
    assert score_alarms([100], [100]).delays.tolist() == [0]
    missed = score_alarms([], [100])
    assert np.isnan(missed.delays[0]) and missed.missed == 1
    assert score_alarms([5, 50], []).false_alarms == 2


# ---------------------------------------------------------------- times and late labels


def test_times_give_the_delay_in_their_own_unit(jump):
    times = pd.date_range("2026-03-01", periods=len(jump), freq="min", tz="UTC")
    by_row = detect(jump.errors, "ADWIN", onsets=[800])
    by_time = detect(jump.errors, "ADWIN", times=times, onsets=[times[800]])
    assert by_time.score.delays[0] == np.timedelta64(int(by_row.score.delays[0]), "m")
    assert by_time.alarms["kind"].tolist() == by_row.alarms["kind"].tolist()
    assert "late" in repr(by_time) and "2026" in by_time.plot().alt


def test_late_labels_make_late_alarms():
    n, onset, late = 6_000, 3_000, 500
    errors = draw_errors(n, before=0.1, after=0.4, onset=onset, random_state=2).errors
    frame = pd.DataFrame({"y": errors, "time": np.arange(n), "label_time": np.arange(n) + late})
    stream = errors_of(frame, np.zeros(n))
    assert stream.times[0] == late and stream.onsets is None
    at_once, delayed = detect(errors, onsets=[onset]), detect(stream, onsets=[onset])
    assert delayed.score.delays[0] == at_once.score.delays[0] + late


def test_errors_come_in_the_order_of_their_labels_and_unlabeled_rows_do_not_come():
    frame = pd.DataFrame(
        {
            "label": [1, 0, np.nan, 1],
            "prediction": [1, 1, 1, 0],
            "label_time": pd.to_datetime(["2026-01-04", "2026-01-02", None, "2026-01-03"], utc=True),
        }
    )
    stream = errors_of(frame)
    assert stream.errors.tolist() == [1, 1, 0]
    assert np.all(np.diff(stream.times) > np.timedelta64(0))


def test_labels_without_a_time_are_left_out_and_missing_times_refused():
    stream = pd.DataFrame({"y": [1, 0, 1], "label_time": pd.to_datetime(["2024-01-02", None, "2024-01-01"])})
    assert errors_of(stream, [1, 1, 0]).errors.tolist() == [1, 0]
    numbers = stream.assign(label_time=[2.0, np.nan, 1.0])
    assert errors_of(numbers, [1, 1, 0]).errors.tolist() == [1, 0]
    for times in (pd.to_datetime(["2024-01-03", None, "2024-01-01"]), [1, np.nan, 3]):
        with pytest.raises(ValueError, match="some times are missing"):
            detect([0, 1, 0], times=times)
    with pytest.raises(ValueError, match="both be times or both be numbers"):
        score_alarms([3], pd.to_datetime(["2024-01-01"]))
    with pytest.raises(ValueError, match="between the years"):
        detect([0], times=pd.to_datetime(["9999-01-01"]).astype("datetime64[s]"))


def test_a_missing_prediction_is_an_error_and_text_is_not_compared_with_numbers():
    frame = pd.DataFrame({"y": [1, 0, 1]})
    assert errors_of(frame, pd.array([1, None, 1], dtype="Int64")).errors.tolist() == [0, 1, 0]
    assert errors_of(frame.astype("Int64"), [np.nan, 0, 0]).errors.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="only one of them is text"):
        errors_of(frame, ["1", "0", "1"])


def test_the_truth_of_a_sealed_stream_scores_the_alarms():
    from mlprod_helpers.streams import Drift, make_stream

    stream = make_stream(
        6_000, drifts=Drift("concept", "sudden", start=4_000, size=0.3), label_delay=200, random_state=4
    )
    unchanged = make_stream(6_000, label_delay=200, random_state=4)  # the same rows under the old law
    errors = errors_of(stream, unchanged.y)
    assert 200 <= detect(errors, "ADWIN", onsets=stream.reveal()).score.delays[0] < 600
    assert detect(errors, "ADWIN").score is None
    with pytest.raises(TypeError, match="errors_of"):
        detect(stream)


# ---------------------------------------------------------------- the rest


def test_the_plot_marks_onset_and_alarms(jump):
    alt = detect(jump, "ADWIN").plot().alt
    assert "onset 1 (800)" in alt and "0 false alarms" in alt
    assert "1 alarm in 1,200 rows." in detect(jump.errors, "ADWIN").plot().alt


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: score_alarms([5, 3], [1]), ValueError, "alarms must ascend"),
        (lambda: detect([0], "CUSUM"), ValueError, "choose one of ADWIN"),
        (lambda: detect([[0, 1]]), ValueError, "2 dimensions"),
        (lambda: detect([0, 1], times=[1]), ValueError, "2 errors but 1 times"),
        (lambda: detect([0, 1], times=[2, 1]), ValueError, "times must ascend"),
        (lambda: draw_errors(10, before=2), ValueError, "between 0 and 1"),
        (lambda: draw_errors(10, onset=10), ValueError, "row of the stream"),
        (lambda: errors_of(pd.DataFrame({"y": [1]}), [1, 0]), ValueError, "2 predictions"),
        (lambda: errors_of(pd.DataFrame({"y": [1]})), ValueError, "errors need labels"),
    ],
)
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
