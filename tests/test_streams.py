"""Streams: each kind of drift is what it says, as large and when it says; and the truth stays sealed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.faults import MissingValues, StuckSensor
from mlprod_helpers.streams import Drift, Linear, Truth, draw_drift, make_stream

N = 40_000
CONCEPTS = [Linear(), Linear(prior=0.2, noise=0.05), Linear(noise=0)]
EVERYTHING = [
    Drift("concept", "gradual", 1000, 900, 0.2),
    Drift("covariate", "incremental", 1500, 1000, 0.7),
    Drift("prior", "recurring", 2000, 700, 0.15),
    Drift("concept", "sudden", 3000, size=-0.1),
]


def pair(n=N, seed=0, **settings):
    """The same stream without and with the drifts, delays and faults that are asked for."""
    of_both = {name: settings.pop(name) for name in ("concept", "n_features") if name in settings}
    return (make_stream(n, random_state=seed, **of_both, **more) for more in ({}, settings))


def spread(share, n):
    """Four standard errors of a share."""
    return 4 * np.sqrt(share * (1 - share) / n)


# --- concept drift: P(x) stands, P(y | x) moves by `size` -----------------------------------------


@pytest.mark.parametrize("concept", CONCEPTS, ids=str)
@pytest.mark.parametrize("size", [0.05, 0.3, -0.25])
def test_concept_drift_leaves_x_bit_for_bit_and_changes_this_share_of_labels(concept, size):
    calm, drifted = pair(concept=concept, drifts=Drift("concept", "sudden", N // 4, size=size))
    assert np.array_equal(calm.X, drifted.X)
    changed = calm.y != drifted.y
    assert not changed[: N // 4].any()
    after = changed[N // 4 :]
    assert after.mean() == pytest.approx(abs(size), abs=spread(abs(size), len(after)))


def test_two_concept_drifts_go_on_from_each_other():
    drifts = [Drift("concept", "sudden", 10_000, size=0.1), Drift("concept", "sudden", 20_000, size=0.15)]
    once, twice = (make_stream(N, drifts=drifts[:k], random_state=2) for k in (1, 2))
    assert (once.y != twice.y)[20_000:].mean() == pytest.approx(0.15, abs=spread(0.15, 20_000))


@pytest.mark.parametrize("concept", CONCEPTS, ids=str)
def test_a_concept_that_goes_and_comes_back_is_the_old_one(concept):
    there_and_back = [Drift("concept", "sudden", 100, size=0.2), Drift("concept", "sudden", 500, size=-0.2)]
    calm, drifted = pair(2000, concept=concept, drifts=there_and_back)
    assert (calm.y != drifted.y)[100:500].any()
    assert np.array_equal(calm.y[500:], drifted.y[500:])


def test_noise_is_the_share_of_labels_off_the_line():
    clean, noisy = (make_stream(N, concept=Linear(noise=noise), random_state=0) for noise in (0, 0.15))
    assert np.array_equal(clean.X, noisy.X)
    assert (clean.y != noisy.y).mean() == pytest.approx(0.15, abs=spread(0.15, N))


# --- covariate drift: P(y | x) stands, x moves by `size` standard deviations ----------------------


def chance_moved(kind, size):
    """p-value of a chi-square test that P(y = 1) in narrow cells of x is the same before and after."""
    n = 400_000
    stream = make_stream(n, n_features=1, drifts=Drift(kind, "sudden", n // 2, size=size), random_state=4)
    cells = np.digitize(stream.X[:, 0], np.linspace(-2, 2, 401))
    before, after = slice(0, n // 2), slice(n // 2, n)
    rows = [np.bincount(cells[part], minlength=402)[1:-1] for part in (before, after)]
    ones = [np.bincount(cells[part], stream.y[part], minlength=402)[1:-1] for part in (before, after)]
    pooled = (ones[0] + ones[1]) / (rows[0] + rows[1])
    variance = pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1])
    enough = (rows[0] > 50) & (rows[1] > 50) & (variance > 0)
    chi2 = np.sum((ones[0] / rows[0] - ones[1] / rows[1])[enough] ** 2 / variance[enough])
    return stats.chi2.sf(chi2, enough.sum()), abs(stream.y[before].mean() - stream.y[after].mean())


def test_covariate_drift_leaves_the_chance_of_a_label_at_every_x():
    p_value, mean_moved = chance_moved("covariate", 1.0)
    assert p_value > 0.01
    assert mean_moved > 0.1  # the label's mean moves all the same, which is what fools people
    assert chance_moved("prior", 0.05)[0] < 1e-9  # the test would have seen it


@pytest.mark.parametrize("features", [None, 1, (0, 2)])
def test_covariate_drift_moves_the_mean_by_size_standard_deviations(features):
    calm, drifted = pair(drifts=Drift("covariate", "sudden", N // 2, size=-0.8, features=features))
    moved = (drifted.X - calm.X)[N // 2 :]
    assert np.ptp(moved, axis=0).max() < 1e-9  # the spread stands
    assert np.linalg.norm(moved[0]) == pytest.approx(0.8)
    if features is not None:
        touched = np.flatnonzero(np.abs(moved[0]) > 1e-9)
        assert touched.tolist() == np.atleast_1d(features).tolist()
        assert (moved[0][touched] < 0).all()


def test_covariate_drift_has_the_auc_of_the_closed_form():
    from sklearn.metrics import roc_auc_score

    d = 0.2 * np.sqrt(5)  # 0.2 in 5 of 20 columns
    stream = make_stream(
        N,
        n_features=20,
        drifts=Drift("covariate", "sudden", N // 2, size=d, features=range(5)),
        random_state=0,
    )
    score = stream.X[:, :5].sum(axis=1)  # the best classifier
    auc = roc_auc_score(np.arange(N) >= N // 2, score)
    assert stats.norm.cdf(d / np.sqrt(2)) == pytest.approx(0.6241, abs=5e-5)
    assert auc == pytest.approx(0.6241, abs=0.01)


# --- prior drift: P(x | y) stands, P(y = 1) moves by `size` ---------------------------------------


@pytest.mark.parametrize("concept", CONCEPTS, ids=str)
@pytest.mark.parametrize("size", [0.15, -0.15])
def test_prior_drift_moves_the_mix_by_size_and_leaves_each_class(concept, size):
    stream = make_stream(
        N, concept=concept, drifts=Drift("prior", "sudden", N // 2, size=size), random_state=3
    )
    start = concept.prior
    assert stream.y[: N // 2].mean() == pytest.approx(start, abs=spread(start, N / 2))
    assert stream.y[N // 2 :].mean() == pytest.approx(start + size, abs=spread(0.5, N / 2))
    assert min(classes_moved(stream)) > 0.002


def test_only_prior_drift_leaves_each_class():
    for kind in ("concept", "covariate"):  # the test above would have seen them
        assert min(classes_moved(make_stream(N, drifts=Drift(kind, "sudden", N // 2), random_state=3))) < 1e-9


def classes_moved(stream):
    """For each class the p-value (Bonferroni) that its features have the same law in both halves."""
    half = stream.time < len(stream) // 2
    for label in (0, 1):
        was, now = (stream.X[rows & (stream.y == label)] for rows in (half, ~half))
        p_values = [
            stats.ks_2samp(*columns, method="asymp").pvalue for columns in zip(was.T, now.T, strict=True)
        ]
        yield min(p_values) * len(p_values)


def test_prior_drift_changes_the_chance_of_a_label_by_the_odds():
    n = 200_000
    stream = make_stream(n, n_features=1, drifts=Drift("prior", "sudden", n // 2, size=0.25), random_state=4)
    near = np.abs(stream.X[:, 0]) < 0.05
    before, after = (stream.y[part & near].mean() for part in (np.arange(n) < n // 2, np.arange(n) >= n // 2))
    assert (before, after) == pytest.approx((0.5, 0.75), abs=0.04)  # odds of 1 become odds of 3


# --- patterns -------------------------------------------------------------------------------------


def test_new_share_is_the_published_course():
    t = np.array([9, 10, 12, 15, 20, 25])
    assert Drift("concept", "sudden", 10).new_share(t).tolist() == [0, 1, 1, 1, 1, 1]
    assert Drift("concept", "gradual", 10, 10).new_share(t).tolist() == [0, 0, 0.2, 0.5, 1, 1]
    assert Drift("concept", "incremental", 10, 10).new_share(t).tolist() == [0, 0, 0.2, 0.5, 1, 1]
    assert Drift("concept", "recurring", 10, 5).new_share(t).tolist() == [0, 1, 1, 0, 1, 0]
    assert Drift("concept", "sudden", 10).new_share(10) == 1.0


def test_gradual_is_a_mixture_and_incremental_is_not():
    start, width, shift = N // 4, N // 2, 6.0
    middle = slice(start + width // 2 - 2000, start + width // 2 + 2000)
    moved = {}
    for pattern in ("gradual", "incremental"):
        calm, drifted = pair(
            n_features=2, drifts=Drift("covariate", pattern, start, width, shift, features=0)
        )
        moved[pattern] = (drifted.X - calm.X)[:, 0]
    assert set(np.unique(moved["gradual"].round(9))) == {0.0, shift}  # old or new, nothing in between
    assert (moved["gradual"][middle] > 0).mean() == pytest.approx(0.5, abs=spread(0.5, 4000))
    np.testing.assert_allclose(moved["incremental"][middle], shift / 2, atol=shift * 2001 / width)


@pytest.mark.parametrize("pattern", ["sudden", "gradual", "incremental", "recurring"])
def test_changed_labels_follow_the_share_over_time(pattern):
    drift = Drift("concept", pattern, 10_000, 0 if pattern == "sudden" else 12_000, 0.3)
    calm, drifted = pair(concept=Linear(noise=0), drifts=drift)
    changed = (calm.y != drifted.y).reshape(-1, 2000).mean(axis=1)
    expected = 0.3 * drift.new_share(np.arange(N)).reshape(-1, 2000).mean(axis=1)
    np.testing.assert_allclose(changed, expected, atol=spread(0.3, 2000))


@pytest.mark.parametrize("pattern", ["gradual", "incremental", "recurring"])
def test_the_class_mix_follows_the_share_over_time(pattern):
    drift = Drift("prior", pattern, 10_000, 12_000, 0.3)
    stream = make_stream(N, drifts=drift, random_state=0)
    share = drift.new_share(np.arange(N)).reshape(-1, 2000).mean(axis=1)
    np.testing.assert_allclose(
        stream.y.reshape(-1, 2000).mean(axis=1), 0.5 + 0.3 * share, atol=spread(0.5, 2000)
    )


# --- the same seed, the same stream ---------------------------------------------------------------


def test_the_same_seed_gives_the_same_stream():
    one, two, other = (
        make_stream(5000, drifts=EVERYTHING, random_state=seed, label_delay=(50, 200)) for seed in (9, 9, 10)
    )
    pd.testing.assert_frame_equal(one.frame(), two.frame())
    assert not np.array_equal(one.X, other.X)


def test_a_longer_stream_begins_with_the_shorter_one():
    # longer than one block, with redrawn rows
    short, long = (
        make_stream(n, drifts=[Drift("prior", "gradual", 3000, 9000, 0.3), *EVERYTHING[:2]], random_state=5)
        for n in (20_000, 50_000)
    )
    assert np.array_equal(short.y, long.y[:20_000])
    np.testing.assert_allclose(short.X, long.X[:20_000])


def test_before_the_onset_nothing_is_touched_and_one_more_drift_leaves_the_rest():
    calm, drifted = pair(5000, drifts=EVERYTHING)
    assert np.array_equal(calm.X[:1000], drifted.X[:1000]) and np.array_equal(calm.y[:1000], drifted.y[:1000])
    fewer = make_stream(5000, drifts=EVERYTHING[:-1], random_state=0)
    assert np.array_equal(fewer.X[:3000], drifted.X[:3000]) and np.array_equal(
        fewer.y[:3000], drifted.y[:3000]
    )


def test_a_generator_moves_on_and_the_global_state_is_left_alone():
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    rng = np.random.default_rng(3)
    first, second = (make_stream(100, random_state=rng) for _ in range(2))
    again = make_stream(100, random_state=np.random.default_rng(3))
    assert np.array_equal(first.X, again.X) and not np.array_equal(first.X, second.X)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert not np.array_equal(make_stream(100).X, make_stream(100).X)


# --- late labels, faults, what a learner gets -----------------------------------------------------


def test_a_label_delay_changes_no_row_and_has_the_stated_median_and_95th_percentile():
    calm, late = pair(label_delay=(100, 300))
    assert np.array_equal(calm.X, late.X) and np.array_equal(calm.y, late.y) and calm.label_time is None
    waited = late.label_time - late.time
    assert waited.min() >= 1 and waited.dtype == np.int64
    assert np.median(waited) == pytest.approx(100, rel=0.03)
    assert np.quantile(waited, 0.95) == pytest.approx(300, rel=0.03)
    assert (make_stream(50, label_delay=7.5).label_time == np.arange(50) + 8).all()


def test_faults_hit_what_is_seen_and_neither_labels_nor_truth():
    faults = [MissingValues("x0", start=500, share=0.5), StuckSensor("x1", start=800)]
    calm, broken = pair(1000, faults=faults, drifts=())
    assert np.array_equal(calm.y, broken.y) and np.array_equal(calm.X[:500], broken.X[:500])
    truth = broken.reveal()
    missing, stuck = truth.incidents
    assert np.array_equal(np.flatnonzero(np.isnan(broken.X[:, 0])), missing.rows)
    assert len(np.unique(broken.X[800:, 1])) == 1 and stuck.start == 800
    pd.testing.assert_frame_equal(broken.frame()[["x0"]], pd.DataFrame({"x0": broken.X[:, 0]}))
    assert "missing_values" in repr(truth)


def test_the_truth_does_not_show_by_accident():
    stream = make_stream(
        500,
        drifts=Drift("concept", "gradual", 123, 77, 0.3),
        random_state=0,
        faults=MissingValues("x0", start=321),
    )
    held = [value for value in vars(stream).values() if not isinstance(value, (np.ndarray, pd.DataFrame))]
    shown = repr(stream) + str(stream) + repr(held) + repr(list(vars(stream))) + repr(stream.frame().attrs)
    for secret in ("123", "77", "321", "gradual", "Drift", "missing"):
        assert secret not in shown
    assert "truth sealed" in repr(stream)
    public = {name for name in dir(stream) if not name.startswith("_")}
    assert public == {
        *("X", "y", "time", "label_time", "frame", "reveal", "concept"),
        *("n_samples", "n_features"),
    }


def test_the_seal_opens_to_everything_a_check_needs():
    stream = make_stream(5000, drifts=EVERYTHING, random_state=0, label_delay=40)
    truth = stream.reveal()
    assert isinstance(truth, Truth)
    assert truth.onsets == (1000, 1500, 2000, 3000)
    assert [drift.kind for drift in truth.drifts] == ["concept", "covariate", "prior", "concept"]
    assert [drift.width for drift in truth.drifts] == [900, 1000, 700, 0]
    assert [drift.end for drift in truth.drifts] == [1900, 2500, None, 3000]
    assert truth.label_delay == 40
    for word in ("concept drift, gradual: rows 1,000 to 1,900", "seasons of 700 rows", "40 ticks"):
        assert word in repr(truth)
    assert "nothing drifts" in repr(make_stream(10).reveal())


def test_frames_are_ones_own_and_arrays_cannot_be_changed():
    stream = make_stream(100, random_state=0, label_delay=3)
    frame = stream.frame()
    frame.loc[0, "x0"] = 99.0
    assert stream.frame().loc[0, "x0"] == stream.X[0, 0] != 99
    for array in (stream.X, stream.y, stream.time, stream.label_time):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_drawn_drifts_fit_every_stream():
    for seed in range(60):
        drift = draw_drift(1000, seed)
        stream = make_stream(1000, drifts=drift, random_state=seed)
        assert 300 <= drift.start < 600
        assert stream.reveal().drifts == (drift,)
    assert draw_drift(500, 3) == draw_drift(500, 3)
    assert {draw_drift(500, s, kinds=["prior"]).kind for s in range(5)} == {"prior"}


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (("concpt",), ValueError, "did you mean 'concept'"),
        (("prior", "graduel", 0, 5), ValueError, "did you mean 'gradual'"),
        (("prior", "soon"), ValueError, "use one of 'sudden'"),
        (("prior", "gradual", 0, -5), ValueError, "cannot be negative"),
        (("prior", "gradual", -1, 5), ValueError, "cannot be negative"),
        (("prior", "gradual", 0.5, 5), TypeError, "whole number, such as n_samples // 2"),
        (("prior", "gradual", 0), ValueError, "Give width"),
        (("prior", "sudden", 0, 5), ValueError, "drop width"),
        (("prior", "sudden", 0, 0, 0), ValueError, "size=0 is no drift"),
        (("prior", "sudden", 0, 0, 1.2), ValueError, "less than 1"),
        (("concept", "sudden", 0, 0, "large"), TypeError, "share of rows"),
        (("concept", "sudden", 0, 0, 0.2, [1]), ValueError, "`features` is for covariate"),
        (("covariate", "sudden", 0, 0, 1.0, []), ValueError, "at least one column"),
    ],
)
def test_a_drift_that_cannot_be_says_what_to_write(settings, error, says):
    with pytest.raises(error, match=says):
        Drift(*settings)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"drifts": Drift("prior", "sudden", 100)}, ValueError, "start earlier or ask for more rows"),
        ({"drifts": ["prior"]}, TypeError, "Drift\\(kind, pattern"),
        ({"drifts": Drift("prior", size=0.5)}, ValueError, "outside \\(0, 1\\).*less than 0.5"),
        ({"drifts": [Drift("prior", size=-0.3), Drift("prior", start=50, size=-0.3)]}, ValueError, "to -0.1"),
        ({"drifts": Drift("concept", size=0.9)}, ValueError, "at most 0.8"),
        ({"drifts": Drift("concept", size=0.1), "n_features": 1}, ValueError, "at least 2 features"),
        ({"drifts": Drift("covariate", features=5)}, ValueError, "columns 0 to 4"),
        ({"concept": "linear"}, TypeError, "Linear\\(prior=0.2\\)"),
        ({"n_samples": 0}, ValueError, "at least 1"),
        ({"n_features": 0}, ValueError, "at least 1"),
        ({"label_delay": -1}, ValueError, "0 or more ticks"),
        ({"label_delay": (5, 2)}, ValueError, "the second larger"),
        ({"label_delay": "3 h"}, TypeError, "give ticks"),
        ({"faults": MissingValues("x9")}, KeyError, "no column 'x9'"),
    ],
)
def test_a_stream_that_cannot_be_says_what_to_write(settings, error, says):
    with pytest.raises(error, match=says):
        make_stream(**{"n_samples": 100, "random_state": 0} | settings)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Linear(prior=1.0), "between 0 and 1"),
        (lambda: Linear(prior=0.1, noise=0.2), "below 0.18"),
        (lambda: draw_drift(10), "fewer than 100 rows"),
    ],
)
def test_settings_that_cannot_be_say_what_to_write(make, says):
    with pytest.raises(ValueError, match=says):
        make()
