"""What a judge may know: the values of each version that were known at some moment, and not one more."""

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog.table import features, is_missing, utc, validate

ROLES = ("stable", "canary")
VALUES = {
    "error": "1 when the service failed (status 500 and above), else 0",
    "latency_ms": "milliseconds from arrival to answer",
    "abs_error": "distance of prediction and label, once the label is known",
    "signed_error": "prediction minus label, once the label is known",
    "clicked": "1 when the user clicked, else 0; nobody clicks on a shadow copy",
    "missing": "1 when an answer (status below 400) has no prediction that is a finite number or a name, else 0",
}
SUMMARIES = {
    "error_rate": ("error", np.mean),
    "success_rate": ("error", lambda values: 1 - np.mean(values)),
    "latency_mean": ("latency_ms", np.mean),
    "latency_p50": ("latency_ms", lambda values: np.percentile(values, 50)),
    "latency_p95": ("latency_ms", lambda values: np.percentile(values, 95)),
    "latency_p99": ("latency_ms", lambda values: np.percentile(values, 99)),
    "mean_abs_error": ("abs_error", np.mean),
    "bias": ("signed_error", np.mean),
    "ctr": ("clicked", np.mean),
    "missing_rate": ("missing", np.mean),
}


class Rows:
    """The requests of one version, in columns. `taken` and `seen` say which it answered, and which of these a user saw;
    a replay fills them in as time goes on."""

    def __init__(self, columns, taken, seen):
        self.columns, self.taken, self.seen = columns, taken, seen
        self._known, self._where, self._codes = {}, {}, {}

    def known(self, name):
        """(values, when each was known, row of each) in the order in which they became known; rows without are left out."""
        if name not in self._known:
            values, when = self._values(name)
            rows = np.flatnonzero(~np.isnan(values) & ~np.isnan(when))
            rows = rows[np.argsort(when[rows], kind="stable")]
            self._known[name] = values[rows], when[rows], rows
        return self._known[name]

    def answered(self, taken, seen):
        """The same columns with other marks; what was worked out about the columns is shared."""
        other = Rows(self.columns, taken, seen)
        other._known, other._where, other._codes = self._known, self._where, self._codes
        return other

    def shares_features_with(self, other):
        """Both have the same requests: which of them have a value is worked out once."""
        self._where, self._codes = other._where, other._codes

    def where(self, column, value):
        """Which rows have this value in this column? None: which have none?"""
        if (column, value) not in self._where:
            if column not in self._codes:
                self._codes[column] = pd.factorize(self.feature(column))  # -1 where it is missing
            codes, different = self._codes[column]
            if is_missing(value):
                self._where[column, value] = codes < 0
            else:
                hits = (pd.Series(different) == value).to_numpy(dtype=bool)
                self._where[column, value] = np.append(hits, False)[codes]
        return self._where[column, value]

    def feature(self, column):
        """A feature's column."""
        names = [name for name in self.columns if name not in _OWN]
        if column not in names:
            raise KeyError(
                f"The log has no feature {column!r} to look at by segment: {nearest_name(column, names)}."
            )
        return self.columns[column]

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
            unread = have.get(_UNREAD)
            if unread is None:
                unread = ~np.isfinite(have["prediction"]) if "prediction" in have else nothing
            return np.where(answered, unread, np.nan), done
        if name in ("latency_ms", "clicked"):
            return (have[name].astype(float) if name in have else nothing), done
        if name not in VALUES:
            raise ValueError(f"There is no value {name!r} of a request: {nearest_name(name, VALUES)}.")
        if "prediction" not in have or "label" not in have:
            return nothing, done
        off = have["prediction"].astype(float) - have["label"].astype(float)
        return (np.abs(off) if name == "abs_error" else off), np.maximum(done, have["label_time"])


_UNREAD = "prediction", "unread"  # no name of a column
_OWN = {
    _UNREAD,
    *(
        "time",
        "user_id",
        "status",
        "latency_ms",
        "prediction",
        "label",
        "label_time",
        "clicked",
        "click_time",
    ),
}


class Metrics:
    """The log of two versions, as a judge may see it: up to `now`, by version, by segment.

    Made by `replay` at each check, or by `from_log` from any request log. Times are seconds since `origin`.

    >>> from mlprod_helpers.requestlog import as_log
    >>> log = as_log({"time": ["2013-01-01 05:00Z", "2013-01-01 05:01Z"], "request_id": [1, 2], "version": ["v1", "v2"],
    ...               "status": [200, 500], "latency_ms": [80.0, 95.0]})
    >>> metrics = Metrics.from_log(log, stable="v1", canary="v2", origin="2013-01-01 05:00Z")
    >>> metrics.values("error", "canary")
    array([1.])
    >>> metrics.at(now=30).count("canary")  # half a minute later: the second request was not yet there
    0
    """

    def __init__(self, stable, canary, names=ROLES, *, now=np.inf, since=-np.inf, start=-np.inf, where=()):
        self._rows = dict(zip(ROLES, (stable, canary), strict=True))
        self.names = dict(zip(ROLES, names, strict=True))
        self.now, self.since, self.start = now, since, start
        self._where = where

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
        served = log["served"].to_numpy() if "served" in log else np.ones(len(log), dtype=bool)
        for version in (stable, canary):
            mine = (log["version"] == version).to_numpy(dtype=bool)
            own = {name: values[mine] for name, values in columns.items()}
            rows.append(Rows(own, np.ones(mine.sum(), dtype=bool), served[mine]))
        return cls(*rows, (stable, canary))

    def at(self, now, since=-np.inf, start=-np.inf):
        """The same, as known at `now`; the window "check" begins after `since`, the rollout at `start` (seconds)."""
        return Metrics(
            *self._rows.values(), self.names.values(), now=now, since=since, start=start, where=self._where
        )

    def only(self, column, value):
        """The same, for the requests with one value in one column: one airport, one carrier."""
        where = (*self._where, (column, value))
        return Metrics(
            *self._rows.values(),
            self.names.values(),
            now=self.now,
            since=self.since,
            start=self.start,
            where=where,
        )

    def segments(self, column):
        """The values of a column of the log, sorted (by kind where numbers and text are mixed); None at the end stands for the
        requests without a value."""
        try:
            distinct = {value for rows in self._rows.values() for value in pd.unique(rows.feature(column))}
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
        name : one of `VALUES`: "error", "latency_ms", "abs_error", "signed_error", "clicked"
        role : "stable" or "canary"
        window : "check": what became known since the last check that had enough data; "all": since the rollout began

        Returns
        -------
        array of float; requests without such a value are left out
        """
        return self.timed(name, role, window)[0]

    def timed(self, name, role, window="check"):
        """(values, when each became known in seconds); see `values`."""
        return self.sample(name, role, window)[:2]

    def sample(self, name, role, window="check"):
        """(values, when each became known, who asked as whole numbers that hold for both versions, or None where the log
        has no users); see `values`."""
        rows = self._rows[role]
        values, when, which = rows.known(name)
        window = slice(
            np.searchsorted(when, self._begin(window), side="right"),
            np.searchsorted(when, self.now, side="right"),
        )
        values, when, which = values[window], when[window], which[window]
        keep = (rows.seen if name == "clicked" else rows.taken)[which]
        for column, value in self._where:
            keep = keep & rows.where(column, value)[which]
        values, when, which = values[keep], when[keep], which[keep]
        if name == "clicked" and "click_time" in rows.columns:
            values = values * (rows.columns["click_time"][which] <= self.now)
        return values, when, rows.columns["user_id"][which] if "user_id" in rows.columns else None

    def __len__(self):
        """How many rows has the log of these versions, whatever is known of them?"""
        return sum(len(rows.columns["time"]) for rows in self._rows.values())

    def count(self, role, window="check"):
        """How many requests of this version were answered in the window?"""
        return len(
            self.values("error" if "status" in self._rows[role].columns else "latency_ms", role, window)
        )

    def summary(self, by=None, *, window="check"):
        """The metrics as plain data: what a policy or a dashboard gets.

        Parameters
        ----------
        by : column or None. A summary for each of its values, too.
        window : as for `values`

        Returns
        -------
        dict : "stable" and "canary" -> {"requests", "errors", "labels", "views", "clicks", "missing" (answers without a
        readable prediction): int; and "error_rate", "latency_p50", "latency_p99", "mean_abs_error", "bias", "ctr": float, or
        None where nothing is known; infinite where a value is}. With `by`: each value of the column -> such a dict, None -> that
        of the requests without a value.
        """
        if by is not None:
            return {value: self.only(by, value).summary(window=window) for value in self.segments(by)}
        return {role: self._summary(role, window) for role in ROLES}

    def _summary(self, role, window):
        of = {name: self.values(name, role, window) for name in VALUES}
        counts = {
            "requests": self.count(role, window),
            "errors": int(of["error"].sum()),
            "labels": len(of["abs_error"]),
            "views": len(of["clicked"]),
            "clicks": int(of["clicked"].sum()),
            "missing": int(of["missing"].sum()),
        }
        names = ("error_rate", "latency_p50", "latency_p99", "mean_abs_error", "bias", "ctr")
        picks = ((name, *SUMMARIES[name]) for name in names)
        return counts | {
            name: _summarized(of[value], summarize) if len(of[value]) else None
            for name, value, summarize in picks
        }

    def _begin(self, window):
        if window not in ("check", "all"):
            raise ValueError(f'window is {window!r}: write "check" or "all".')
        return self.since if window == "check" else self.start


def _summarized(values, summarize):
    """A mean or percentile; infinite where a value is, since inf minus inf would compare with no limit."""
    return float(summarize(values)) if np.isfinite(values).all() else float("inf")


def user_codes(user_ids):
    """Each request's user as a whole number from 0; a missing user is one of their own."""
    codes, names = pd.factorize(user_ids)
    return np.where(codes < 0, len(names) + np.arange(len(codes)), codes)


def _columns_of(log, origin):
    """A log's columns as arrays; its times as seconds since `origin`, its users as whole numbers."""
    columns = {} if "user_id" not in log else {"user_id": user_codes(log["user_id"])}
    for name in ("time", "label_time", "click_time"):
        if name in log:
            columns[name] = ((log[name] - origin) / pd.Timedelta(seconds=1)).to_numpy(dtype=float)
    for name in ("status", "latency_ms", "clicked"):
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
        columns[_UNREAD] = ~np.asarray(readable, dtype=bool)
    return columns | {name: log[name].to_numpy() for name in features(log)}


def _numbers(column):
    """The column as floats, text among numbers as missing; None when nothing in it is a number."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return None
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return None if np.isnan(values).all() and column.notna().any() else values
