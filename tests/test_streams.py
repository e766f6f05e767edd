"""Streams: each kind of drift is what it says, as large and when it says; and the truth stays sealed."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.faults import MissingValues, StuckSensor
from mlprod_helpers.streams import (
    SEA,
    Drift,
    Hyperplane,
    Linear,
    Regression,
    Truth,
    draw_drift,
    make_stream,
    street_kim,
)

N = 40_000
CLASSES = [
    "linear",
    Linear(prior=0.2, noise=0.05),
    Linear(noise=0),
    SEA(noise=0.1),
    "hyperplane",
    Hyperplane(5, 0.0),
]
EVERYTHING = [
    Drift("concept", "gradual", 1000, 900, 0.2),
    Drift("covariate", "incremental", 1500, 1000, 0.7),
    Drift("prior", "recurring", 2000, 700, 0.15),
    Drift("concept", "sudden", 3000, size=-0.1),
]


def pair(n=N, seed=0, concept="linear", **kw):
    """The same stream without and with what is asked for."""
    return (
        make_stream(n, concept=concept, random_state=seed, n_features=kw.get("n_features")),
        make_stream(n, concept=concept, random_state=seed, **kw),
    )


def spread(share, n):
    """Four standard errors of a share."""
    return 4 * np.sqrt(share * (1 - share) / n)


# --- concept drift: P(x) stands, P(y | x) moves by `size` -----------------------------------------


@pytest.mark.parametrize("concept", CLASSES, ids=str)
@pytest.mark.parametrize("size", [0.05, 0.3, -0.25])
def test_concept_drift_leaves_x_bit_for_bit_and_changes_this_share_of_labels(concept, size):
    calm, drifted = pair(concept=concept, drifts=Drift("concept", "sudden", N // 4, size=size))
    assert np.array_equal(calm.X, drifted.X)
    changed = calm.y != drifted.y
    assert not changed[: N // 4].any()
    after = changed[N // 4 :]
    # 0.002: how exactly the hyperplane measures its turn
    assert after.mean() == pytest.approx(abs(size), abs=spread(abs(size), len(after)) + 0.002)


def test_two_concept_drifts_go_on_from_each_other():
    drifts = [Drift("concept", "sudden", 10_000, size=0.1), Drift("concept", "sudden", 20_000, size=0.15)]
    for concept in ("hyperplane", "sea"):
        once, twice = (make_stream(N, concept=concept, drifts=drifts[:k], random_state=2) for k in (1, 2))
        changed = (once.y != twice.y)[20_000:].mean()
        assert changed == pytest.approx(0.15, abs=spread(0.15, 20_000) + 0.002)


@pytest.mark.parametrize("concept", ["linear", "sea", "hyperplane"])
def test_a_concept_that_goes_and_comes_back_is_the_old_one(concept):
    there_and_back = [Drift("concept", "sudden", 100, size=0.2), Drift("concept", "sudden", 500, size=-0.2)]
    calm, drifted = pair(2000, concept=concept, drifts=there_and_back)
    assert (calm.y != drifted.y)[100:500].any()
    assert np.array_equal(calm.y[500:], drifted.y[500:])


def test_sea_labels_are_those_of_the_paper_and_of_river():
    n = 4000
    stream = make_stream(n, concept="sea", drifts=street_kim(n), random_state=1)
    assert stream.X.min() >= 0 and stream.X.max() <= 10 and stream.X.shape == (n, 3)
    thresholds = np.repeat([8.0, 9.0, 7.0, 9.5], n // 4)
    assert np.array_equal(stream.y, (stream.X[:, 0] + stream.X[:, 1] > thresholds).astype(int))


@pytest.mark.parametrize("variant", range(4))
def test_sea_agrees_with_rivers_generator_on_the_mean_label(variant):
    from river.datasets import synth

    theirs = np.mean([y for _, y in synth.SEA(variant=variant, noise=0.1, seed=1).take(5000)])
    ours = make_stream(50_000, concept=SEA(variant, noise=0.1), random_state=1)
    assert ours.y.mean() == pytest.approx(theirs, abs=spread(0.5, 5000))


def test_hyperplane_cuts_the_cube_in_half_and_turns_only_the_moving_weights():
    size = 0.1
    stream = make_stream(
        N,
        concept=Hyperplane(2, noise=0),
        n_features=4,
        drifts=Drift("concept", "sudden", N // 2, size=size),
        random_state=0,
    )
    old, new = (weights_of(stream, part) for part in (slice(0, N // 2), slice(N // 2, N)))
    assert stream.y.mean() == pytest.approx(0.5, abs=spread(0.5, N))
    # up to their common scale, the weights of the other two columns stand
    np.testing.assert_allclose(new[2:] / new[3], old[2:] / old[3], rtol=0.1)
    assert np.abs(new[:2] / new[3] - old[:2] / old[3]).max() > 0.1


def weights_of(stream, rows):
    """The direction of a plane through the center of the cube, from data alone."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e4, fit_intercept=False).fit(stream.X[rows] - 0.5, stream.y[rows])
    return model.coef_[0] / np.linalg.norm(model.coef_)


def test_regression_moves_the_mean_function_by_size_and_leaves_x():
    concept = Regression(noise=0.5)
    calm, drifted = pair(concept=concept, drifts=Drift("concept", "sudden", N // 2, size=0.6))
    assert np.array_equal(calm.X, drifted.X)
    assert np.sqrt(np.mean((drifted.y - calm.y)[N // 2 :] ** 2)) == pytest.approx(0.6, rel=0.02)
    assert np.std(calm.y - calm.reveal().oracle()) == pytest.approx(0.5, rel=0.02)
    assert np.std(calm.reveal().oracle()) == pytest.approx(1, rel=0.02)


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


def test_covariate_drift_keeps_the_published_rule_of_sea():
    stream = make_stream(
        2000, concept="sea", drifts=Drift("covariate", "incremental", 500, 800, 1.5), random_state=1
    )
    assert np.array_equal(stream.y, (stream.X[:, 0] + stream.X[:, 1] > 8).astype(int))


@pytest.mark.parametrize("concept", ["linear", "sea", "hyperplane"])
@pytest.mark.parametrize("features", [None, 1, (0, 2)])
def test_covariate_drift_moves_the_mean_by_size_standard_deviations(concept, features):
    drift = Drift("covariate", "sudden", N // 2, size=-0.8, features=features)
    calm, drifted = pair(concept=concept, drifts=drift)
    moved = (drifted.X - calm.X)[N // 2 :] / calm.X.std(axis=0)
    assert np.ptp(moved, axis=0).max() < 1e-9  # the spread stands
    assert np.linalg.norm(moved[0]) == pytest.approx(0.8, rel=0.02)
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


@pytest.mark.parametrize("concept", CLASSES, ids=str)
@pytest.mark.parametrize("size", [0.15, -0.15])
def test_prior_drift_moves_the_mix_by_size_and_leaves_each_class(concept, size):
    stream = make_stream(
        N, concept=concept, drifts=Drift("prior", "sudden", N // 2, size=size), random_state=3
    )
    start = prior_of(concept)
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


def prior_of(concept):
    if isinstance(concept, Linear):
        return concept.prior
    return 0.68 * 0.9 + 0.32 * 0.1 if isinstance(concept, SEA) else 0.5


def test_prior_drift_changes_the_chance_of_a_label_by_the_odds():
    n = 200_000
    stream = make_stream(n, n_features=1, drifts=Drift("prior", "sudden", n // 2, size=0.25), random_state=4)
    near = np.abs(stream.X[:, 0]) < 0.05
    before, after = (stream.y[part & near].mean() for part in (np.arange(n) < n // 2, np.arange(n) >= n // 2))
    assert (before, after) == pytest.approx((0.5, 0.75), abs=0.04)  # odds of 1 become odds of 3


def test_a_rare_class_can_become_common():
    stream = make_stream(
        N,
        concept=Linear(prior=0.01, noise=0.005),
        drifts=Drift("prior", "sudden", N // 2, size=0.6),
        random_state=0,
    )
    assert stream.y[: N // 2].mean() == pytest.approx(0.01, abs=0.004)
    assert stream.y[N // 2 :].mean() == pytest.approx(0.61, abs=spread(0.6, N / 2))


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
@pytest.mark.parametrize("concept", ["hyperplane", "sea"])
def test_changed_labels_follow_the_share_over_time(concept, pattern):
    drift = Drift("concept", pattern, 10_000, 0 if pattern == "sudden" else 12_000, 0.3)
    calm, drifted = pair(concept=concept, drifts=drift)
    changed = (calm.y != drifted.y).reshape(-1, 2000).mean(axis=1)
    expected = 0.3 * drift.new_share(np.arange(N)).reshape(-1, 2000).mean(axis=1)
    np.testing.assert_allclose(changed, expected, atol=spread(0.3, 2000) + 0.002)


@pytest.mark.parametrize("pattern", ["gradual", "incremental", "recurring"])
def test_the_class_mix_follows_the_share_over_time(pattern):
    drift = Drift("prior", pattern, 10_000, 12_000, 0.3)
    stream = make_stream(N, drifts=drift, random_state=0)
    share = drift.new_share(np.arange(N)).reshape(-1, 2000).mean(axis=1)
    np.testing.assert_allclose(
        stream.y.reshape(-1, 2000).mean(axis=1), 0.5 + 0.3 * share, atol=spread(0.5, 2000)
    )


def test_rows_of_a_mixture_are_named_in_the_truth():
    calm, drifted = pair(drifts=Drift("covariate", "gradual", 5000, 20_000, 2.0))
    new = (calm.X != drifted.X).any(axis=1)
    assert np.array_equal(drifted.reveal().levels()[0], new)


# --- the same seed, the same stream ---------------------------------------------------------------


@pytest.mark.parametrize("concept", ["linear", "sea", "hyperplane", "regression"])
def test_the_same_seed_gives_the_same_stream_in_whatever_chunks(concept):
    drifts = [d for d in EVERYTHING if concept != "regression" or d.kind != "prior"]
    one, two = (
        make_stream(5000, concept=concept, drifts=drifts, random_state=9, label_delay=(50, 200))
        for _ in range(2)
    )
    for size in (700, 1000, 5000, 9999):
        pd.testing.assert_frame_equal(pd.concat(two.batches(size)), one.frame())
    assert not np.array_equal(one.X, make_stream(5000, concept=concept, random_state=10).X)


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


def test_as_of_shows_only_what_was_known():
    stream = make_stream(1000, random_state=0, label_delay=(50, 200))
    known = stream.as_of(600)
    assert len(known) == 601
    assert np.array_equal(known["y"].notna(), stream.label_time[:601] <= 600)
    labelled = known["y"].notna().to_numpy()
    assert np.array_equal(known["y"][labelled], stream.y[:601][labelled])
    assert len(stream.as_of(-1)) == 0 and len(stream.as_of(10**6)) == 1000


def test_faults_hit_what_is_seen_and_neither_labels_nor_truth():
    faults = [MissingValues("x0", start=500, share=0.5), StuckSensor("x1", start=800)]
    calm, broken = pair(1000, faults=faults, drifts=())
    assert np.array_equal(calm.y, broken.y) and np.array_equal(calm.X[:500], broken.X[:500])
    truth = broken.reveal()
    missing, stuck = truth.incidents
    assert np.array_equal(np.flatnonzero(np.isnan(broken.X[:, 0])), missing.rows)
    assert len(np.unique(broken.X[800:, 1])) == 1 and stuck.start == 800
    assert np.array_equal(truth.X, calm.X)
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
        *("X", "y", "time", "label_time", "frame", "batches", "as_of", "reveal", "concept"),
        *("n_samples", "n_features", "feature_names"),
    }


def test_the_seal_opens_to_everything_a_check_needs():
    stream = make_stream(5000, drifts=EVERYTHING, random_state=0, label_delay=40)
    truth = stream.reveal()
    assert isinstance(truth, Truth)
    assert truth.onsets == (1000, 1500, 2000, 3000)
    assert truth.kinds == ("concept", "covariate", "prior", "concept")
    assert [drift.width for drift in truth.drifts] == [900, 1000, 700, 0]
    np.testing.assert_allclose(truth.new_share(1450), [0.5, 0, 0, 0])
    assert truth.new_share([0, 2500, 4999], kind="concept").tolist() == [[0, 1, 1], [0, 0, 1]]
    assert truth.table()["end"].tolist() == [1900, 2500, pd.NA, 3000]
    assert truth.label_delay == 40
    for word in ("concept drift, gradual: rows 1,000 to 1,900", "seasons of 700 rows", "40 ticks"):
        assert word in repr(truth)
    assert make_stream(10).reveal().new_share(5).shape == (0,)


@pytest.mark.parametrize("concept", ["linear", "hyperplane", Linear(prior=0.3)], ids=str)
def test_the_oracle_is_calibrated_whatever_drifts(concept):
    stream = make_stream(
        N,
        concept=concept,
        drifts=[Drift(d.kind, d.pattern, d.start * 8, d.width * 8, d.size) for d in EVERYTHING],
        random_state=2,
    )
    p = stream.reveal().oracle()
    for cell in np.array_split(np.argsort(p, kind="stable"), 20):
        assert stream.y[cell].mean() == pytest.approx(p[cell].mean(), abs=spread(0.5, len(cell)))


def test_noise_is_the_error_of_the_best_model():
    for concept in (Linear(noise=0.15), SEA(noise=0.15), Hyperplane(noise=0.15)):
        stream = make_stream(N, concept=concept, random_state=0)
        best = stream.reveal().oracle() > 0.5
        assert (best != stream.y).mean() == pytest.approx(0.15, abs=spread(0.15, N))


def test_frames_are_ones_own_and_arrays_cannot_be_changed():
    stream = make_stream(100, random_state=0, label_delay=3)
    frame = stream.frame()
    frame.loc[0, "x0"] = 99.0
    batch = next(stream.batches(10))
    batch.loc[1, "x1"] = 99.0
    assert stream.frame().loc[0, "x0"] == stream.X[0, 0] != 99
    assert stream.frame().loc[1, "x1"] == stream.X[1, 1] != 99
    for array in (stream.X, stream.y, stream.time, stream.label_time):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_stream_can_be_copied_and_stored():
    stream = make_stream(200, drifts=Drift("prior", "sudden", 50), random_state=0)
    for twin in (copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):
        assert np.array_equal(twin.X, stream.X) and twin.reveal().onsets == (50,)


def test_drawn_drifts_fit_every_stream():
    for seed in range(60):
        drift = draw_drift(1000, seed)
        stream = make_stream(
            1000, drifts=drift, random_state=seed, concept=["linear", "sea", "hyperplane"][seed % 3]
        )
        assert 300 <= drift.start < 600
        assert stream.reveal().drifts == (drift,)
    assert draw_drift(500, 3) == draw_drift(500, 3)
    assert {draw_drift(500, s, kinds=["prior"]).kind for s in range(5)} == {"prior"}


def test_the_plot_says_in_words_what_it_shows():
    pytest.importorskip("mlprod_helpers.plots")
    stream = make_stream(2000, drifts=EVERYTHING[:1], random_state=0, faults=MissingValues("x0", start=1500))
    figure = stream.reveal().plot()
    assert "concept drift, gradual: rows 1,000 to 1,900" in figure.alt and "missing_values" in figure.alt
    assert "nothing drifts" in make_stream(50, random_state=0).reveal().plot().alt


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
        ({"drifts": Drift("concept", size=1.1), "concept": "hyperplane"}, ValueError, "at most all labels"),
        ({"drifts": Drift("concept", size=0.7), "concept": "sea"}, ValueError, "raise it by less than 0.68"),
        ({"drifts": Drift("concept", size=0.1), "n_features": 1}, ValueError, "at least 2 features"),
        ({"drifts": Drift("covariate", features=5)}, ValueError, "columns 0 to 4"),
        ({"drifts": Drift("prior"), "concept": "regression"}, ValueError, "use concept or covariate"),
        ({"concept": "see"}, ValueError, "did you mean 'sea'"),
        ({"concept": 3}, TypeError, "SEA\\(variant=1\\)"),
        ({"concept": "sea", "n_features": 4}, ValueError, "leave n_features out"),
        ({"concept": "hyperplane", "n_features": 1}, ValueError, "at least 2 features"),
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
        (lambda: SEA(variant=4), "0, 1, 2, 3"),
        (lambda: SEA(noise=0.5), "below 0.5"),
        (lambda: Hyperplane(0), "at least one column"),
        (lambda: Regression(noise=-1), "0 or more"),
        (lambda: next(make_stream(10).batches(0)), "such as 1000"),
        (lambda: make_stream(10).reveal().new_share(1, kind="priors"), "did you mean 'prior'"),
        (lambda: draw_drift(10), "fewer than 100 rows"),
    ],
)
def test_settings_that_cannot_be_say_what_to_write(make, says):
    with pytest.raises(ValueError, match=says):
        make()
