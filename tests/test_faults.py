"""Faults break what they say, where they say, and nothing else; the truth stays sealed until asked for."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.faults import (
    Fault,
    ImageGain,
    MisalignedJoin,
    MissingValues,
    NewCategory,
    Seal,
    StuckSensor,
    UnitChange,
    apply,
)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 1000
    return pd.DataFrame(
        {
            "time": pd.date_range("2025-01-01", periods=n, freq="h", tz="UTC"),
            "km": rng.uniform(100, 900, n),
            "count": rng.integers(0, 50, n),
            "city": pd.Categorical(rng.choice(["Oslo", "Rome"], n)),
            "late": rng.random(n) < 0.3,
        }
    )


@pytest.mark.parametrize(
    "fault",
    [
        MissingValues(("km", "count", "city", "late"), start=200, end=400, share=0.3),
        UnitChange(("km", "count"), 0.621, start=200, end=400),
        StuckSensor(("km", "count", "city", "late"), start=200, end=400),
        MisalignedJoin(("km", "city"), start=200, end=400),
    ],
    ids=lambda fault: fault.kind,
)
def test_only_the_named_columns_of_the_hit_rows_change(frame, fault):
    before = frame.copy()
    broken, seal = apply(frame, fault, 1)
    pd.testing.assert_frame_equal(frame, before)  # the original stands
    (incident,) = seal.reveal()
    assert set(incident.rows) <= set(range(200, 400))
    spared = np.setdiff1d(np.arange(1000), incident.rows)
    untouched = [name for name in frame if name not in fault.columns]
    pd.testing.assert_frame_equal(broken[untouched], frame[untouched])
    for name in fault.columns:
        assert (broken[name].iloc[spared] == frame[name].iloc[spared]).all()


def test_missing_values_hit_the_stated_share_and_the_seal_knows_the_rows(frame):
    broken, seal = apply(frame, MissingValues(("km", "city"), start=500, share=0.4), 3)
    (incident,) = seal.reveal()
    assert incident.n_rows == pytest.approx(200, abs=4 * np.sqrt(500 * 0.4 * 0.6))
    for name in ("km", "city"):
        assert np.flatnonzero(broken[name].isna()).tolist() == incident.rows.tolist()
    assert (incident.start, incident.end) == (500, 1000)


def test_missing_values_keep_booleans_boolean(frame):
    broken, _ = apply(frame, MissingValues("late", end=10))
    assert broken["late"].dtype == "boolean" and broken["late"].isna().sum() == 10


def test_unit_change_is_factor_then_offset_and_undone_by_its_inverse(frame):
    broken, _ = apply(frame, UnitChange("km", 1.8, 32, start=100))
    np.testing.assert_allclose(broken["km"][100:], frame["km"][100:] * 1.8 + 32)
    back, _ = apply(broken, UnitChange("km", 1 / 1.8, -32 / 1.8, start=100))
    np.testing.assert_allclose(back["km"], frame["km"])


def test_stuck_sensor_repeats_the_last_value_that_it_really_read():
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0, 4.0]})
    assert apply(frame, StuckSensor("x", start=2))[0]["x"].tolist()[2:] == [1.0, 1.0]
    assert apply(frame, StuckSensor("x"))[0]["x"].tolist() == [1.0] * 4


def test_a_misaligned_join_keeps_every_column_but_breaks_the_rows(frame):
    frame["city_code"] = frame["city"].cat.codes
    broken, _ = apply(frame, MisalignedJoin(("city", "km"), rows=3))
    assert sorted(broken["km"]) == sorted(frame["km"])
    assert (broken["km"].to_numpy() == np.roll(frame["km"], 3)).all()
    assert (broken["city"].cat.codes != broken["city_code"]).mean() > 0.3
    pairs = set(zip(frame["km"], frame["city"], strict=True))
    assert set(zip(broken["km"], broken["city"], strict=True)) == pairs  # joined columns move together


def test_image_gain_rounds_down_cuts_at_white_and_leaves_early_images_alone():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
    dark, seal = apply(images, ImageGain(0.3, start=5))
    assert (dark[:5] == images[:5]).all() and dark.dtype == np.uint8
    assert (dark[5:] == np.floor(images[5:] * 0.3)).all()
    assert seal.reveal()[0].details == {"gain": 0.3}
    bright, _ = apply(images, ImageGain(3.0))
    assert (bright == np.minimum(images.astype(int) * 3, 255)).all()


def test_a_window_in_time_is_the_same_as_one_in_rows(frame):
    by_time, seal = apply(frame, MissingValues("km", start="2025-01-03", end="2025-01-05"))
    by_row, _ = apply(frame, MissingValues("km", start=48, end=96))
    pd.testing.assert_frame_equal(by_time, by_row)
    (incident,) = seal.reveal()
    assert (incident.start, incident.end) == (48, 96)


def test_a_filter_hits_only_its_rows(frame):
    broken, seal = apply(frame, MissingValues("km", start=100, where={"city": "Oslo"}))
    assert (broken["km"].isna() == ((frame["city"] == "Oslo") & (frame.index >= 100))).all()
    assert seal.reveal()[0].n_rows == broken["km"].isna().sum()


def test_faults_compose_and_one_more_leaves_the_first_as_it_was(frame):
    first = MissingValues("km", start=300, share=0.5)
    alone, _ = apply(frame, first, 5)
    both, seal = apply(frame, [first, UnitChange("km", 1000.0, start=600)], 5)
    assert (both["km"].isna() == alone["km"].isna()).all()
    np.testing.assert_allclose(both["km"][600:], alone["km"][600:] * 1000)
    assert [incident.kind for incident in seal.reveal()] == ["missing_values", "unit_change"]


def test_a_fault_of_ones_own_may_drop_rows(frame):
    class Outage(Fault):
        kind = "outage"

        def change(self, data, hit, rng):
            return data[~hit]

    broken, seal = apply(frame, [Outage(start=100, end=150), MissingValues("km", start=900)])
    assert len(broken) == 950
    outage, missing = seal.reveal()
    assert outage.n_rows == 50 and missing.n_rows == 50


def test_a_seal_shows_nothing_by_accident():
    seal = Seal("secret 123")
    assert "secret" not in repr(seal) + str(seal) + f"{seal}"
    with pytest.raises(TypeError):
        vars(seal)
    assert [name for name in dir(seal) if not name.startswith("_")] == ["reveal"]
    for twin in (copy.deepcopy(seal), pickle.loads(pickle.dumps(seal))):
        assert twin.reveal() == "secret 123"


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (lambda: MissingValues("citi"), KeyError, "did you mean 'city'"),
        (lambda: MissingValues("km", where={"town": "Oslo"}), KeyError, "no column 'town'"),
        (lambda: MissingValues("km", where={"city": "Lima"}), ValueError, "no row of the window"),
        (lambda: MissingValues("km", start=1000), ValueError, "start earlier"),
        (lambda: MissingValues("km", start=10, end=10), ValueError, "`end` is not included"),
        (lambda: MissingValues("km", start=0.5), ValueError, "row number"),
        (lambda: MissingValues("km", start="someday"), ValueError, "neither a row number nor a moment"),
        (lambda: MissingValues("km", share=20), ValueError, "For 5% write 0.05"),
        (lambda: MissingValues(()), ValueError, "name at least one"),
        (lambda: UnitChange("km"), ValueError, "give a factor"),
        (lambda: UnitChange("city", 2.0), TypeError, "only numbers have a unit"),
        (lambda: ImageGain(0.4), TypeError, "array of images"),
        (lambda: ImageGain(1), ValueError, "0.4"),
        (lambda: ImageGain(0.4, where={"city": "Oslo"}), ValueError, "start and end"),
    ],
)
def test_errors_say_what_to_do(frame, fault, error, says):
    with pytest.raises(error, match=says):
        apply(frame, fault())


def test_moments_need_a_time_column(frame):
    with pytest.raises(ValueError, match="give row numbers"):
        apply(frame.drop(columns="time"), MissingValues("km", start="2025-01-02"))
    with pytest.raises(TypeError, match="columns of a DataFrame"):
        apply(np.zeros((3, 2)), MissingValues("km"))


# ---------------------------------------------------------------- categories among numbers


def test_a_new_category_can_come_among_numbers():
    frame = pd.DataFrame({"x": pd.array([1, None, 3], dtype="Int64")})
    assert apply(frame, NewCategory("x", "zz", start=2))[0]["x"].tolist()[2] == "zz"
