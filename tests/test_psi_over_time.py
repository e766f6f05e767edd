"""`psi_over_time` gives each batch exactly the PSI that `psi` gives it."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.drift import psi, psi_over_time


def columns(rng, n):
    frame = pd.DataFrame(
        {
            "normal": rng.normal(size=n),
            "many zeros": np.maximum(rng.normal(-0.5, 1, n), 0).round(1),
            "weekday": rng.integers(0, 7, n),
            "constant": np.ones(n),
            "gate": rng.choice(list("ABCDE"), n),
            "time": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="h"),
            "flag": rng.random(n) < 0.3,
        }
    )
    frame["holes"] = frame["normal"].where(rng.random(n) < 0.8)
    frame["category"] = frame["gate"].where(rng.random(n) < 0.9).astype("category")
    frame["empty"] = np.nan
    return frame


@pytest.mark.parametrize("smoothing", [0.5, 1e-4])
@pytest.mark.parametrize("n_bins", [10, 4])
def test_equal_to_psi_batch_by_batch(smoothing, n_bins):
    rng = np.random.default_rng(1)
    reference, current = columns(rng, 400), columns(rng, 300)
    reference = reference[reference["gate"] != "E"]  # a category that the reference never showed
    current.loc[:60, "weekday"] += 5  # and values
    by = rng.choice(["c", "a", "b"], 300)
    found = psi_over_time(reference, current, by, n_bins=n_bins, smoothing=smoothing)
    assert found.index.tolist() == ["a", "b", "c"]
    for name in reference:
        for batch in "abc":
            want = psi(
                reference[name], current[name][by == batch], n_bins=n_bins, smoothing=smoothing
            ).statistic
            assert found.loc[batch, name] == pytest.approx(want, abs=1e-12), (name, batch)


def test_bad_input_is_named():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="no column 'b'"):
        psi_over_time(frame.assign(b=1), frame, [0, 0, 1])
    with pytest.raises(ValueError, match="batch of each"):
        psi_over_time(frame, frame, [0, 1])
    with pytest.raises(ValueError, match="none may be missing"):
        psi_over_time(frame, frame, [0, 1, np.nan])
    with pytest.raises(ValueError, match="category"):
        psi_over_time(frame, frame.astype(str), [0, 0, 1])
    with pytest.raises(ValueError, match="smoothing"):
        psi_over_time(frame, frame, [0, 0, 1], smoothing=0)
