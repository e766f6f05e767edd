"""What a judge may know: the values of each version that were known at some moment, and not one more."""

import copy

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name, need_columns
from mlprod_helpers.requestlog.table import features, is_missing, utc, validate
from mlprod_helpers.rollout.sequential import user_codes

ROLES = ("stable", "canary")
VALUES = {  # of a request; of each, more is worse
    "error": "1 when the service failed (status 500 and above), else 0",
    "latency_ms": "milliseconds from arrival to answer",
    "abs_error": "distance of prediction and label, once the label is known",
    "missing": "1 when an answer (status below 400) has no prediction that is a finite number or a name, else 0",
}
SUMMARIES = {
    "error_rate": ("error", np.mean),
    "latency_p50": ("latency_ms", lambda values: np.percentile(values, 50)),
    "latency_p95": ("latency_ms", lambda values: np.percentile(values, 95)),
    "latency_p99": ("latency_ms", lambda values: np.percentile(values, 99)),
    "mean_abs_error": ("abs_error", np.mean),
    "missing_rate": ("missing", np.mean),
}


class Rows:
    """The requests of one version: arrays of what a judge reads, and a frame of features.

    `taken` says which of them it answered; a replay fills that in as time goes on.
    """

    def __init__(self, columns, features, taken):
        self.columns, self.features, self.taken = columns, features, taken
        self._known, self._where = {}, {}

    def answered(self, taken):
        """The same columns with other marks; what was worked out about the columns is shared."""
        other = copy.copy(self)
        other.taken = taken
        return other

    def known(self, name):
        """(values, when each was known, row of each) in the order in which they became known; rows without are left out."""
        if name not in self._known:
            values, when = self._values(name)
            rows = np.flatnonzero(~np.isnan(values) & ~np.isnan(when))
            rows = rows[np.argsort(when[rows], kind="stable")]
            self._known[name] = values[rows], when[rows], rows
        return self._known[name]

    def where(self, column, value):
        """Which rows have this value in this feature? None: which have none?"""
        if (column, value) not in self._where:
            need_columns(self.features, [column])
            values = self.features[column]
            mask = values.isna() if is_missing(value) else values == value
            self._where[column, value] = mask.to_numpy(dtype=bool, na_value=False)
        return self._where[column, value]

    def distinct(self, column):
        """The different values of a feature."""
        need_columns(self.features, [column])
        return self.features[column].unique()

    def _values(self, name):
        have = self.columns
        done = (
            have["time"] + np.nan_to_num(have["latency_ms"]) / 1000 if "latency_ms" in have else have["time"]
        )
        nothing = np.full(len(done), np.nan)
        if name == "error":
            return ((have["status"] >= 500).astype(float) if "status" in have else nothing), done
        if name == "missing":
            answered = have["status"] < 400 if "status" in have else np.ones(len(done), dtype=bool)
            return np.where(answered, have.get("unread", nothing), np.nan), done
        if name == "latency_ms":
            return have.get(name, nothing), done
        if name not in VALUES:
            raise ValueError(f"There is no value {name!r} of a request: {nearest_name(name, VALUES)}.")
        if "prediction" not in have or "label" not in have:
            return nothing, done
        return np.abs(have["prediction"] - have["label"]), np.maximum(done, have["label_time"])


class Metrics:
    """The log of two versions, as a judge may see it: up to `now`, by version, by segment.

    Made by `replay` at each check, or by `from_log` from any request log. Times are seconds since `origin`.

    >>> from mlprod_helpers.requestlog import as_log
    >>> log = as_log({"time": ["2013-01-01 05:00Z", "2013-01-01 05:01Z"], "request_id": [1, 2], "version": ["v1", "v2"],
    ...               "status": [200, 500], "latency_ms": [80.0, 95.0]})
    >>> metrics = Metrics.from_log(log, stable="v1", canary="v2", origin="2013-01-01 05:00Z")
    >>> metrics.values("error", "canary")
    array([1.])
    >>> metrics.at(now=30).values("error", "canary")  # half a minute later: the second request was not yet there
    array([], dtype=float64)
    """

    def __init__(self, stable, canary, names):
        self._rows = dict(zip(ROLES, (stable, canary), strict=True))
        self.names = dict(zip(ROLES, names, strict=True))
        self.now, self.since, self.start = np.inf, -np.inf, -np.inf
        self._where = ()

    @classmethod
    def from_log(cls, log, stable, canary, *, origin="1970-01-01 00:00Z"):
        """The metrics of two versions in a whole request log; `at` hides what was not known at some moment.

        Parameters
        ----------
        log : DataFrame, a valid request log. Labels and predictions are numbers by their values: text among numbers
            is a prediction that is missing, or no label; a column of names only has no `abs_error`.
        stable, canary : str, the versions to compare
        origin : moment of second 0, time-zone aware; by default times are seconds since 1970, as `time.time()` says
        """
        if stable == canary:
            raise ValueError(f"Both versions are called {stable!r}: compare two.")
        if not log.columns.is_unique:
            twice = log.columns[log.columns.duplicated()][0]
            raise ValueError(f"The log has two columns {twice!r}: which one is meant? Rename one.")
        validate(log)
        origin = utc(origin)
        columns, rows = _columns_of(log, origin), []
        for version in (stable, canary):
            mine = (log["version"] == version).to_numpy(dtype=bool)
            own = {name: values[mine] for name, values in columns.items()}
            rows.append(Rows(own, log.loc[mine, features(log)], np.ones(mine.sum(), dtype=bool)))
        return cls(*rows, (stable, canary))

    def at(self, now, since=-np.inf, start=-np.inf):
        """The same, as known at `now`; the window "check" begins after `since`, the rollout at `start` (seconds)."""
        other = copy.copy(self)
        other.now, other.since, other.start = now, since, start
        return other

    def only(self, column, value):
        """The same, for the requests with one value in one column: one airport, one carrier."""
        other = copy.copy(self)
        other._where = (*self._where, (column, value))
        return other

    def segments(self, column):
        """The values of a column of the log, sorted (by kind where numbers and text are mixed); None at the end stands for the
        requests without a value."""
        try:
            distinct = {value for rows in self._rows.values() for value in rows.distinct(column)}
        except TypeError:
            raise ValueError(
                f"The log's {column!r} holds lists or the like: a segment is a number or a name."
            ) from None
        values = [value for value in distinct if not is_missing(value)]
        try:
            values.sort()
        except TypeError:
            values.sort(key=lambda value: (type(value).__name__, str(value)))
        return values + [None] * (len(values) < len(distinct))

    def values(self, name, role, window="check"):
        """One value a request of a version, in the order in which they became known.

        Parameters
        ----------
        name : one of `VALUES`
        role : "stable" or "canary"
        window : "check": what became known since the last check that had enough data; "all": since the rollout began

        Returns
        -------
        array of float; requests without such a value are left out
        """
        return self.sample(name, role, window)[0]

    def sample(self, name, role, window="check"):
        """(values, when each became known in seconds, who asked as whole numbers that hold for both versions); see `values`."""
        rows = self._rows[role]
        values, when, which = rows.known(name)
        begin = {"check": self.since, "all": self.start}[window]
        part = slice(*np.searchsorted(when, [begin, self.now], side="right"))
        values, when, which = values[part], when[part], which[part]
        keep = rows.taken[which]
        for column, value in self._where:
            keep = keep & rows.where(column, value)[which]
        return values[keep], when[keep], rows.columns["user_id"][which[keep]]

    def __len__(self):
        """How many rows has the log of these versions, whatever is known of them?"""
        return sum(len(rows.columns["time"]) for rows in self._rows.values())

    def summary(self):
        """The metrics as plain data, of the window "check".

        Returns
        -------
        dict : "stable" and "canary" -> {"requests", "errors", "labels", "missing" (answers without a readable prediction):
        int; and each of `SUMMARIES`: float, or None where nothing is known; infinite where a value is}
        """
        return {role: self._summary(role) for role in ROLES}

    def _summary(self, role):
        of = {name: self.values(name, role) for name in VALUES}
        counts = {
            "requests": len(of["error"]),
            "errors": int(of["error"].sum()),
            "labels": len(of["abs_error"]),
            "missing": int(of["missing"].sum()),
        }
        return counts | {
            name: _summarized(of[value], summarize) if len(of[value]) else None
            for name, (value, summarize) in SUMMARIES.items()
        }


def _summarized(values, summarize):
    """A mean or percentile; infinite where a value is, since inf minus inf would compare with no limit."""
    return float(summarize(values)) if np.isfinite(values).all() else float("inf")


def _columns_of(log, origin):
    """A log's columns as arrays; its times as seconds since `origin`, its users as whole numbers."""
    columns = {"user_id": user_codes(log["user_id"]) if "user_id" in log else np.arange(len(log))}
    for name in ("time", "label_time"):
        if name in log:
            columns[name] = ((log[name] - origin) / pd.Timedelta(seconds=1)).to_numpy(dtype=float)
    for name in ("status", "latency_ms"):
        if name in log:
            columns[name] = log[name].to_numpy(dtype=float, na_value=np.nan)
    for name in ("label", "prediction"):
        if name in log and (values := _numbers(log[name])) is not None:
            columns[name] = values
    if "label" in columns:  # a label of infinity says nothing
        columns["label"] = np.where(np.isfinite(columns["label"]), columns["label"], np.nan)
    if "prediction" in log:
        readable = (
            np.isfinite(columns["prediction"]) if "prediction" in columns else log["prediction"].notna()
        )
        columns["unread"] = ~np.asarray(readable, dtype=bool)
    return columns


def _numbers(column):
    """The column as floats, text among numbers as missing; None when nothing in it is a number."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return None
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return None if np.isnan(values).all() and column.notna().any() else values
