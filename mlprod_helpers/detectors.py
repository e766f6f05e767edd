"""Has this stream of errors changed? River's drift detectors behind one small face, and what their alarms are worth.

A detector reads one number a row (an error: 1 wrong, 0 right) and raises an alarm when it believes that the error rate has
moved. After an alarm it forgets what it saw and starts anew, as river's do. `detect` runs one over a stream and scores its
alarms where the truth is known; `detection_delay` and `tradeoff` measure delays and false alarms over many seeds.
"""

import inspect
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

DETECTORS = {
    "ADWIN": "adaptive window, cut where two of its parts differ (Bifet and Gavaldà 2007); both directions",
    "DDM": "error rate above its best so far by 3 sd (Gama et al. 2004); 0/1 errors, increases only",
    "PageHinkley": "cumulative deviation from the mean (Page 1954); both directions",
    "HDDM_A": "Hoeffding's bound on averages (Frías-Blanco et al. 2015); 0/1 errors, increases only",
    "HDDM_W": "McDiarmid's bound on weighted averages (Frías-Blanco et al. 2015); 0/1 errors, increases only",
    "KSWIN": "KS test of the newest rows against older ones (Raab et al. 2020); both directions; slow: a test at each row",
}
"""The detectors by name, with what they watch and where they come from."""

_BINARY = ("DDM", "HDDM_A", "HDDM_W")


# ---------------------------------------------------------------- one detector


def make_detector(detector="ADWIN", **params):
    """A fresh river detector by name.

    Parameters
    ----------
    detector : str. One of `DETECTORS`.
    **params
        River's own: `delta`, `clock` ... for ADWIN, `drift_threshold` ... for DDM, `threshold`, `delta` ... for
        PageHinkley, `drift_confidence` ... for HDDM_A and HDDM_W, `alpha`, `window_size` ... for KSWIN. KSWIN draws
        at random; its `seed` is 0 unless given.

    >>> make_detector("PageHinkley", threshold=20).threshold
    20
    """
    if detector not in DETECTORS:
        raise ValueError(f"unknown detector {detector!r}: choose one of {', '.join(DETECTORS)}")
    from river import drift

    kind = getattr(drift, detector, None) or getattr(drift.binary, detector.replace("_", ""))
    if detector == "KSWIN":
        params = {"seed": 0} | params
    try:
        return kind(**params)
    except TypeError as error:
        known = ", ".join(inspect.signature(kind).parameters)
        raise TypeError(f"{detector} refuses {params}: {error}. Its parameters are {known}") from None


def _alarms(detector, errors, first_from=None):
    """Positions at which the detector alarms; with `first_from` it ends at the first one from there on."""
    update, alarms = detector.update, []
    for i, error in enumerate(errors):
        update(error)
        if detector.drift_detected:
            alarms.append(i)
            if first_from is not None and i >= first_from:
                break
    return alarms


# ---------------------------------------------------------------- streams of errors


@dataclass(frozen=True, eq=False)
class ErrorStream:
    """Errors in the order in which they became known.

    Attributes
    ----------
    errors : numpy.ndarray, shape (n,). One error a row: 0 or 1, or a number such as an absolute error.
    times : numpy.ndarray, shape (n,), or None
        When each became known, ascending; None where only the order matters.
    onsets : sequence or None
        Where the error rate really changes, in the unit of `times` (positions without times); None if unknown.
    """

    errors: np.ndarray
    times: np.ndarray | None = None
    onsets: tuple | None = None

    def __len__(self):
        return len(self.errors)


def draw_errors(n_samples, *, before=0.1, after=0.2, onset=None, width=0, random_state=None):
    """Draw 0/1 errors (an `ErrorStream`) whose rate changes once.

    Parameters
    ----------
    n_samples : int. Rows.
    before, after : float. Error rate before and after the change.
    onset : int or None. First row of the change; None for a stream in which nothing changes.
    width : int. Rows over which the rate climbs to `after`; 0 for a sudden change.
    random_state : int, numpy.random.Generator or None

    >>> stream = draw_errors(20_000, before=0.1, after=0.3, onset=15_000, random_state=0)
    >>> print(stream.errors[:15_000].mean().round(2), stream.errors[15_000:].mean().round(2), stream.onsets)
    0.1 0.29 (15000,)
    """
    for name, rate in (("before", before), ("after", after)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name} is an error rate between 0 and 1, got {rate}")
    if onset is not None and not 0 <= onset < n_samples:
        raise ValueError(f"onset must be a row of the stream (0 to {n_samples - 1}), got {onset}")
    rate = np.full(n_samples, float(before))
    if onset is not None:
        rate[onset:] = after
        climb = np.arange(1, width + 1) / (width + 1)
        ramp = slice(onset, min(onset + width, n_samples))
        rate[ramp] = before + (after - before) * climb[: len(rate[ramp])]
    errors = (np.random.default_rng(random_state).random(n_samples) < rate).astype(int)
    return ErrorStream(errors, None, () if onset is None else (int(onset),))


def errors_of(stream, predictions=None):
    """The errors of predictions on a stream (1 where they differ from the label), in the order of the labels.

    Parameters
    ----------
    stream : mlprod_helpers.streams.Stream, request log, or any DataFrame
        With `y` (or `label`) and perhaps `time` and `label_time`. Rows without a label, or without the time at which
        it came, are left out: nobody knows when to feed them.
    predictions : array-like, shape (n,), optional
        One prediction a row; left out, the stream's own column `prediction` is read. A missing one is an error, as it
        answered nothing.

    Returns
    -------
    ErrorStream
        Its `times` are the label times (the times of the rows where labels come at once). Its onsets are unknown: the
        truth stays sealed until you pass `onsets=stream.reveal()` to `detect`.

    >>> frame = pd.DataFrame({"y": [0, 1, 1], "time": [0, 1, 2], "label_time": [5, 2, 3]})
    >>> errors_of(frame, [1, 1, 1]).errors.tolist()  # the first row's error is known last
    [0, 0, 1]
    """
    y = _column(stream, "y", "label")
    predictions = _column(stream, "prediction") if predictions is None else predictions
    if y is None or predictions is None:
        raise ValueError("errors need labels (y or label) and predictions: pass predictions=...")
    y, predictions = pd.Series(np.asarray(y)), np.asarray(predictions)
    if predictions.ndim != 1:
        raise ValueError(f"predictions are one a row, got {predictions.ndim} dimensions")
    if len(y) != len(predictions):
        raise ValueError(f"the stream has {len(y)} rows, but there are {len(predictions)} predictions")
    known = y.notna().to_numpy()
    times = _column(stream, "label_time", "time")
    if times is not None:
        times = np.asarray(times)
        known = known & ~pd.isna(times)
    truth, predictions = y.to_numpy()[known], predictions[known]
    errors = _unequal(truth, predictions)
    if times is None:
        return ErrorStream(errors)
    times = _as_times(times[known])
    order = np.argsort(times, kind="stable")
    return ErrorStream(errors[order], times[order])


def _unequal(truth, predictions):
    """1 where they differ or there is no prediction, 0 where they agree."""
    given = ~pd.isna(predictions)
    text = [any(isinstance(value, str) for value in values) for values in (truth, predictions[given])]
    if given.any() and text[0] != text[1]:
        raise ValueError(
            "labels and predictions must be of one kind, but only one of them is text: convert it"
        )
    errors = np.ones(len(truth), dtype=int)
    errors[given] = truth[given] != predictions[given]
    return errors


def _column(stream, *names):
    """The first of these that the stream has."""
    return next((c for c in (getattr(stream, name, None) for name in names) if c is not None), None)


# ---------------------------------------------------------------- alarms and the truth


@dataclass(frozen=True, eq=False)
class AlarmScore:
    """What alarms are worth, given the truth.

    Attributes
    ----------
    delays : numpy.ndarray, one an onset
        From the onset to its first alarm; missing (NaN or NaT) where there was none.
    false_alarms : int. Alarms while nothing had changed.
    missed : int. Onsets without an alarm.
    kinds : numpy.ndarray of str, one an alarm. "hit", "repeat" or "false".
    """

    delays: np.ndarray
    false_alarms: int
    missed: int
    kinds: np.ndarray = field(repr=False)


def score_alarms(alarms, onsets):
    """Score alarms against the truth: delay, false alarms, missed.

    The first alarm from an onset on, before the next onset, is its hit; later ones are repeats. An alarm before the
    first onset is false, even if it is only just too early. A repeat is neither a merit nor a fault.

    Parameters
    ----------
    alarms : array-like, shape (n,). Ascending positions or times.
    onsets : array-like, shape (k,). Ascending, in the same unit. Empty if nothing changed.

    >>> score_alarms([400, 1080, 1300], [1000])
    AlarmScore(delays=array([80.]), false_alarms=1, missed=0)
    """
    alarms, onsets = _as_times(alarms), _as_times(onsets)
    if len(alarms) and len(onsets) and (alarms.dtype.kind == "M") != (onsets.dtype.kind == "M"):
        raise ValueError("alarms and onsets must both be times or both be numbers")
    for name, values in (("alarms", alarms), ("onsets", onsets)):
        if len(values) > 1 and np.any(values[1:] < values[:-1]):
            raise ValueError(f"{name} must ascend: sort them first")
    kinds = np.full(len(alarms), "false", dtype="<U6")
    delays = []
    for k, onset in enumerate(onsets):
        due = alarms >= onset
        if k + 1 < len(onsets):
            due &= alarms < onsets[k + 1]
        hits = np.flatnonzero(due)
        kinds[hits] = "repeat"
        kinds[hits[:1]] = "hit"
        delays.append(alarms[hits[0]] - onset if len(hits) else None)
    if len(onsets) and onsets.dtype.kind == "M":
        delays = np.array(
            [np.timedelta64("NaT") if d is None else d for d in delays], dtype="timedelta64[ns]"
        )
    else:
        delays = np.array([np.nan if d is None else d for d in delays], dtype=float)
    return AlarmScore(
        delays,
        int(np.sum(kinds == "false")),
        int(np.isnan(delays).sum()),
        kinds,
    )


@dataclass(frozen=True, eq=False)
class Detection:
    """The alarms of one detector on one stream.

    Attributes
    ----------
    detector : str. Its name.
    n_samples : int. Rows read.
    alarms : pandas.DataFrame
        One row an alarm: `index` (position in the stream), `time` (equal to it where there are no times) and,
        where the truth is known, `kind`: "hit", "repeat" or "false".
    score : AlarmScore or None. None where the truth is not known.
    """

    detector: str
    n_samples: int
    alarms: pd.DataFrame
    score: AlarmScore | None
    _stream: ErrorStream = field(repr=False)

    def __repr__(self):
        alarms = f"{self.detector}: {_many(len(self.alarms), 'alarm')} in {self.n_samples:,} rows"
        if self.score is None:
            return alarms
        late = ", ".join("missed" if np.isnan(d) else f"{_plain(d)} late" for d in self.score.delays)
        onsets = _many(len(self.score.delays), "onset") + (f" ({late})" if late else "")
        return f"{alarms}; {onsets}, {_many(self.score.false_alarms, 'false alarm')}"

    def plot(self):
        """The error rate over time, onsets as lines, alarms as marks."""
        from mlprod_helpers import plots

        n = self.n_samples
        window = max(min(n // 50, 500), 1)
        at = np.unique(np.linspace(window - 1, n - 1, 400).astype(int))
        rate = pd.Series(self._stream.errors).rolling(window).mean().to_numpy()[at]
        times = np.arange(n) if self._stream.times is None else self._stream.times
        known = self._stream.onsets if self._stream.onsets is not None else ()
        frame = pd.DataFrame({"error": rate}, index=pd.Index(times[at]))
        onsets = {f"onset {i}": onset for i, onset in enumerate(known, 1)}
        words = f"error, mean of {window:,} rows"
        fig, ax = plots.figure()
        drawn = plots.over_time(frame, onset=onsets, ylabel=words, title=repr(self), ax=ax)
        kinds = np.full(len(self.alarms), "alarm") if self.score is None else self.score.kinds
        colors = {"hit": plots.GREEN, "false": plots.RED, "repeat": plots.GREY, "alarm": plots.ORANGE}
        low, high = ax.get_ylim()
        for kind in dict.fromkeys(kinds):
            when = self.alarms["time"].to_numpy()[kinds == kind]
            label = {"false": "false alarm", "repeat": "repeated alarm"}.get(kind, kind)
            ax.scatter(
                when, np.full(len(when), low), marker="^", s=46, color=colors[kind], label=label, zorder=3
            )
        ax.set_ylim(low - 0.05 * (high - low), high)
        if len(kinds):
            ax.legend(loc="upper left", bbox_to_anchor=(0, -0.08), ncols=3)
        return plots.Figure(fig, f"{drawn.alt} {self!r}.")


def _many(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _plain(delay):
    return str(pd.Timedelta(delay)) if isinstance(delay, np.timedelta64) else f"{delay:g}"


def detect(errors, detector="ADWIN", *, onsets=None, times=None, **params):
    """Run a drift detector over a stream of errors.

    Parameters
    ----------
    errors : array-like, shape (n,), or ErrorStream
        One error a row, in the order in which they became known: 1 wrong, 0 right (not the other way round).
        `errors_of` makes it from a stream and predictions.
    detector : str. A name of `DETECTORS`.
    onsets : array-like, or anything with `.onsets`, optional
        Where the stream really changed, in the unit of `times` (positions without times), such as `stream.reveal()`.
        Empty if it did not.
    times : array-like, shape (n,), optional. When each error became known, ascending: numbers or times.
    **params : Parameters of the detector, see `make_detector`.

    Raises
    ------
    ValueError, TypeError
        For missing errors, errors that are not 0 or 1 where the detector needs them, times that do not ascend,
        or an unknown detector.

    >>> stream = draw_errors(6_000, before=0.1, after=0.3, onset=4_000, random_state=1)
    >>> detect(stream, "ADWIN", delta=0.002)
    ADWIN: 1 alarm in 6,000 rows; 1 onset (159 late), 0 false alarms
    """
    stream = _as_stream(errors, times, onsets)
    machine = make_detector(detector, **params)
    values = _as_errors(stream.errors, detector)
    positions = np.array(_alarms(machine, values), dtype=int)
    when = positions if stream.times is None else stream.times[positions]
    alarms = pd.DataFrame({"index": positions, "time": when})
    score = None
    if stream.onsets is not None:
        score = score_alarms(when, stream.onsets)
        alarms["kind"] = score.kinds
    return Detection(detector, len(values), alarms, score, stream)


def _as_stream(errors, times, onsets):
    if hasattr(errors, "errors"):
        times = errors.times if times is None else times
        onsets = errors.onsets if onsets is None else onsets
        errors = errors.errors
    elif hasattr(errors, "reveal"):
        raise TypeError(
            "a stream has no errors before something predicts: use errors_of(stream, predictions)"
        )
    errors = np.asarray(errors)
    if errors.ndim != 1:
        raise ValueError(f"errors must be one row of numbers, got {errors.ndim} dimensions")
    if times is not None:
        times = _as_times(times)
        if len(times) != len(errors):
            raise ValueError(f"there are {len(errors)} errors but {len(times)} times")
        if np.any(times[1:] < times[:-1]):
            raise ValueError("times must ascend: sort the errors by the time at which their labels came")
    if onsets is not None:
        onsets = _as_times(np.atleast_1d(getattr(onsets, "onsets", onsets)))
    return ErrorStream(errors, times, onsets)


def _as_times(values):
    """Numbers, or times as datetime64 in UTC; missing ones are refused."""
    values = np.asarray(values) if len(values) else np.array([], dtype=float)
    if pd.isna(values).any():
        raise ValueError("some times are missing: leave out the rows whose time nobody knows")
    if values.dtype.kind in "iufb":
        return values
    numbers = pd.to_numeric(pd.Series(values), errors="coerce") if values.dtype.kind == "O" else None
    if numbers is not None and not isinstance(values[0], str) and pd.api.types.is_number(values[0]):
        return _as_times(numbers.to_numpy(dtype=float, na_value=np.nan))
    try:
        times = pd.to_datetime(pd.Series(values), utc=True)
        return times.dt.tz_localize(None).dt.as_unit("ns").to_numpy()
    except (ValueError, TypeError):
        raise ValueError("times must be numbers, or dates between the years 1678 and 2262") from None


def _as_errors(errors, name):
    """Plain Python numbers: a detector reads them one by one."""
    if errors.dtype.kind not in "iufb":
        errors = pd.to_numeric(pd.Series(errors), errors="coerce").to_numpy(dtype=float)
    if errors.dtype.kind == "f" and not np.isfinite(errors).all():
        raise ValueError("some errors are missing or infinite: feed a row only after its label has come")
    if name in _BINARY and not np.isin(errors, (0, 1)).all():
        raise ValueError(f"{name} reads 0/1 errors only: use ADWIN, PageHinkley or KSWIN for other numbers")
    return (errors.astype(int) if errors.dtype.kind == "b" else errors).tolist()


# ---------------------------------------------------------------- over many seeds


def detection_delay(
    detector="ADWIN",
    *,
    before=0.1,
    after=0.2,
    onset=10_000,
    horizon=5_000,
    width=0,
    n_seeds=50,
    random_state=0,
    **params,
):
    """How late a detector notices, and how often it cried wolf before, over many seeds.

    Equal seeds draw equal streams, whatever the detector: compare detectors with the same `random_state`.

    Parameters
    ----------
    detector : str. A name of `DETECTORS`.
    before, after : float. Error rates.
    onset, horizon : int. Rows before the change, and rows watched after it.
    width : int. Rows over which the rate climbs; 0 for a sudden change.
    n_seeds : int. Streams drawn.
    random_state : int, numpy.random.Generator or None
    **params : Parameters of the detector.

    Returns
    -------
    dict
        `mean_delay` and `median_delay` in rows from the onset to the first alarm (NaN if none came within the horizon),
        `missed` (share of seeds without one), `false_alarms` (alarms before the onset, per 10,000 rows).

    >>> detection_delay("PageHinkley", threshold=20, onset=2_000, horizon=2_000, n_seeds=10)["missed"]
    0.0
    """
    delays, false_alarms = [], []
    for seed in np.random.default_rng(random_state).integers(2**63, size=n_seeds).tolist():
        stream = draw_errors(
            onset + horizon, before=before, after=after, onset=onset, width=width, random_state=seed
        )
        alarms = np.array(
            _alarms(make_detector(detector, **params), stream.errors.tolist(), onset), dtype=int
        )
        hits = alarms[alarms >= onset]
        delays.append(hits[0] - onset if len(hits) else np.nan)
        false_alarms.append(np.sum(alarms < onset))
    delays = np.array(delays, dtype=float)
    seen = delays[~np.isnan(delays)]
    return {
        "mean_delay": float(seen.mean()) if len(seen) else np.nan,
        "median_delay": float(np.median(seen)) if len(seen) else np.nan,
        "missed": float(np.isnan(delays).mean()),
        "false_alarms": float(np.mean(false_alarms) / onset * 10_000),
    }


def tradeoff(detector, parameter, values, **settings):
    """Delay and false alarms side by side, for several settings of one parameter, each on the same streams.

    Parameters
    ----------
    detector : str. A name of `DETECTORS`.
    parameter : str. Which of its parameters to vary.
    values : sequence. What to try.
    **settings : As for `detection_delay`.

    Returns
    -------
    pandas.DataFrame
        Index: the parameter; columns as `detection_delay` returns them.

    >>> table = tradeoff("PageHinkley", "threshold", [5, 50], onset=2_000, horizon=2_000, n_seeds=10)
    >>> bool(table.loc[5, "mean_delay"] < table.loc[50, "mean_delay"])
    True
    """
    rows = [detection_delay(detector, **settings, **{parameter: value}) for value in values]
    return pd.DataFrame(rows, index=pd.Index(values, name=parameter))
