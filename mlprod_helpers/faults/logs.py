"""Faults of a running service, as its request log shows them.

Each gets a valid request log (see `mlprod_helpers.requestlog`) and leaves a valid one. `share` is the part of the window's
requests that is hit: the tenth that calls the slow dependency, the fifth of the searches that is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.faults.base import Fault, need_column
from mlprod_helpers.faults.frames import ColumnFault, MissingValues
from mlprod_helpers.requestlog.numbers import as_floats


class LogFault(Fault):
    """A fault that reads and rewrites named columns of a request log."""

    needs: ClassVar[tuple[str, ...]] = ("time",)

    def change(self, data, hit, rng):
        if not isinstance(data, pd.DataFrame):
            raise TypeError(f"{self.kind} breaks a request log, not a {type(data).__name__}")
        for name in self.needs:
            need_column(data, name)
        if not pd.api.types.is_datetime64_any_dtype(data["time"]) or data["time"].isna().any():
            raise ValueError(f"{self.kind} needs a column 'time' of dates, none missing")
        if data["time"].max().year > 2261:
            raise ValueError(f"{self.kind} needs times up to the year 2261")
        return self.change_log(data, hit, rng)

    def change_log(self, log, hit, rng):
        """Return the broken log; arguments as for `Fault.change`."""
        raise NotImplementedError


@dataclass(frozen=True)
class FeedOutage(MissingValues):
    """The feed behind some columns is down: they arrive empty, or filled with the feed's word for nothing.

    Parameters
    ----------
    columns : str or tuple of str
    fill : object. What stands there instead: None for missing, or a sentinel such as -999.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"rating": [4.5, 3.0, 5.0]})
    >>> apply(log, FeedOutage("rating", fill=-999, start=1))[0]["rating"].tolist()
    [4.5, -999.0, -999.0]
    """

    kind: ClassVar[str] = "feed_outage"
    fill: object = None

    def change_column(self, column, hit):
        if self.fill is None:
            return super().change_column(column, hit)
        if isinstance(column.dtype, pd.CategoricalDtype) and self.fill not in column.cat.categories:
            column = column.cat.add_categories([self.fill])
        return column.mask(hit, self.fill)


@dataclass(frozen=True)
class LogOutage(LogFault):
    """No row arrives: the service is unreachable, or whoever collects its log is. From the log alone nobody can tell which.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=5, freq="h", tz="UTC")})
    >>> len(apply(log, LogOutage(start=1, end=4))[0])
    2
    """

    kind: ClassVar[str] = "log_outage"

    def change_log(self, log, hit, rng):
        return log[~hit].reset_index(drop=True)


@dataclass(frozen=True)
class EncodingBug(ColumnFault):
    """Text is written as UTF-8 and read as Latin-1: every letter outside of ASCII becomes several.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"query": ["bag", "café"]})
    >>> apply(log, EncodingBug("query"))[0]["query"].tolist()
    ['bag', 'cafÃ©']
    """

    kind: ClassVar[str] = "encoding_bug"

    def change_column(self, column, hit):
        if pd.api.types.infer_dtype(column, skipna=True) not in ("string", "categorical", "empty"):
            raise TypeError(f"column {column.name!r} is {column.dtype}: only text has an encoding")
        texts = column.astype(object)
        garbled = texts.map(lambda text: str(text).encode().decode("latin-1"), na_action="ignore")
        return texts.mask(hit, garbled)


@dataclass(frozen=True)
class SlowDependency(LogFault):
    """Something that the service waits for has become slow: a database, another service.

    The hit requests wait longer, by an exponential time. Those beyond the timeout are given up: status 504, no answer.

    Parameters
    ----------
    extra_ms : float. Mean of the additional wait.
    timeout_ms : float. When the service gives up.
    start, end, share, where : See `Fault`. `share` is the part of the requests that call the dependency.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=1000, freq="s", tz="UTC"), "status": 200,
    ...                     "latency_ms": 80.0})
    >>> broken, _ = apply(log, SlowDependency(500.0, share=0.1), random_state=0)
    >>> bool(broken["latency_ms"].median() == 80.0), bool(broken["latency_ms"].quantile(0.99) > 500)
    (True, True)
    """

    kind: ClassVar[str] = "slow_dependency"
    needs: ClassVar[tuple[str, ...]] = ("time", "status", "latency_ms")
    extra_ms: float = 500.0
    timeout_ms: float = 2000.0

    def __post_init__(self):
        super().__post_init__()
        _above(self.extra_ms, 0, "extra_ms")
        _above(self.timeout_ms, 0, "timeout_ms")

    def change_log(self, log, hit, rng):
        extra = rng.exponential(self.extra_ms, len(log))
        before = as_floats(log["latency_ms"], "latency_ms")
        after = np.where(hit, np.maximum(np.minimum(before + extra, self.timeout_ms), before), before)
        log["latency_ms"] = after
        log = _click_later(log, after - before)
        given_up = hit & (before + extra >= self.timeout_ms)
        log["status"] = np.where(given_up, 504, log["status"])
        return _without_answer(log, given_up)


@dataclass(frozen=True)
class MemoryLeak(LogFault):
    """The process keeps what it should give back: its memory (`memory_mb`) grows steadily from the window's begin on.

    Parameters
    ----------
    mb_per_hour : float
    start, end, where : See `Fault`. ``where={"server": "b"}`` lets one server leak.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC"), "memory_mb": 900.0})
    >>> apply(log, MemoryLeak(50.0, start=1))[0]["memory_mb"].tolist()
    [900.0, 900.0, 950.0, 1000.0]
    """

    kind: ClassVar[str] = "memory_leak"
    needs: ClassVar[tuple[str, ...]] = ("time", "memory_mb")
    mb_per_hour: float = 20.0

    def __post_init__(self):
        super().__post_init__()
        _above(self.mb_per_hour, 0, "mb_per_hour")

    def change_log(self, log, hit, rng):
        hours = (log["time"] - log["time"][hit].iloc[0]) / pd.Timedelta(hours=1)
        log["memory_mb"] += np.where(hit, self.mb_per_hour * hours, 0.0)
        return log


@dataclass(frozen=True)
class RetryStorm(LogFault):
    """Requests fail, clients send them again at once, and the repeated ones keep the servers too busy to recover.

    Each try of a hit request fails with probability `failure`; after `max_attempts` tries the client gives up (status 503).
    The log still has one row a request: `attempts` and `latency_ms` grow, and so do `busy` and `cpu` where they are logged.

    Parameters
    ----------
    failure : float between 0 and 1
    max_attempts : int, at least 2

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=1000, freq="s", tz="UTC"), "status": 200,
    ...                     "latency_ms": 80.0, "attempts": 1})
    >>> broken, _ = apply(log, RetryStorm(0.5, 4), random_state=0)
    >>> round(float(broken["attempts"].mean()), 1), round(float((broken["status"] == 503).mean()), 2)
    (1.9, 0.07)
    """

    kind: ClassVar[str] = "retry_storm"
    needs: ClassVar[tuple[str, ...]] = ("time", "status", "latency_ms", "attempts")
    failure: float = 0.5
    max_attempts: int = 4

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.failure < 1:
            raise ValueError(
                f"failure={self.failure!r} is the chance that a try fails: between 0 and 1, such as 0.5"
            )
        if int(self.max_attempts) != self.max_attempts or self.max_attempts < 2:
            raise ValueError(
                f"max_attempts={self.max_attempts!r}: without a second try there is no storm; give 2 or more"
            )

    def change_log(self, log, hit, rng):
        tries = rng.geometric(1 - self.failure, len(log))
        lost = hit & (tries > self.max_attempts)
        tries = np.where(hit, np.minimum(tries, self.max_attempts), 1)
        before = log["latency_ms"].to_numpy()
        log["attempts"] = log["attempts"].to_numpy() + tries - 1
        log["latency_ms"] = before * tries
        log = _click_later(log, before * (tries - 1))
        # every request meets the servers that all of them keep busy
        load = np.where(hit, tries[hit].mean(), 1.0)
        for name in ("busy", "cpu"):
            if name in log:
                log[name] = np.minimum(log[name] * load, 1.0)
        log["status"] = np.where(lost, 503, log["status"])
        return _without_answer(log, lost)


@dataclass(frozen=True)
class MissingOutputs(LogFault):
    """The service answers with status 200 and nothing in it: fast, idle and useless.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=3, freq="s", tz="UTC"), "status": 200,
    ...                     "prediction": "bags", "clicked": True})
    >>> broken, _ = apply(log, MissingOutputs(start=2))
    >>> broken["prediction"].isna().tolist(), broken["clicked"].tolist(), broken["status"].tolist()
    ([False, False, True], [True, True, False], [200, 200, 200])
    """

    kind: ClassVar[str] = "missing_outputs"
    needs: ClassVar[tuple[str, ...]] = ("time", "prediction")

    def change_log(self, log, hit, rng):
        return _without_answer(log, hit)


@dataclass(frozen=True)
class ClickDrop(LogFault):
    """Users click less: the hit rows lose their click. `share` is the part of the clicks that is lost.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=1000, freq="s", tz="UTC"), "clicked": True})
    >>> broken, _ = apply(log, ClickDrop(share=0.3), random_state=0)
    >>> round(float(broken["clicked"].mean()), 2)
    0.7
    """

    kind: ClassVar[str] = "click_drop"
    needs: ClassVar[tuple[str, ...]] = ("time", "clicked")

    def change_log(self, log, hit, rng):
        return _without_click(log, hit)


@dataclass(frozen=True)
class HiddenClickDrop(LogFault):
    """Every segment clicks less, and the total stays as it was: the mix moves to the segment that clicks more (Simpson).

    Each click is lost with probability `drop`. At the same time just so many requests of desktops, which click less, turn into
    requests of phones, copied from near in time, that the click-through rate of the whole window stays.

    Parameters
    ----------
    drop : float between 0 and 1

    Raises
    ------
    ValueError : when even a window without any request of a desktop could not hide so large a drop.

    >>> from mlprod_helpers.faults import apply
    >>> rng = np.random.default_rng(0)
    >>> device = rng.choice(["desktop", "phone"], 20_000)
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=20_000, freq="s", tz="UTC"), "device": device,
    ...                     "clicked": rng.random(20_000) < np.where(device == "phone", 0.16, 0.08)})
    >>> broken, _ = apply(log, HiddenClickDrop(0.2), random_state=0)
    >>> [round(float(frame["clicked"].mean()), 3) for frame in (log, broken)]
    [0.119, 0.123]
    >>> [frame.groupby("device")["clicked"].mean().round(3).tolist() for frame in (log, broken)]
    [[0.081, 0.157], [0.072, 0.129]]
    """

    kind: ClassVar[str] = "hidden_click_drop"
    needs: ClassVar[tuple[str, ...]] = ("time", "clicked", "device")
    drop: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.drop < 1:
            raise ValueError(
                f"drop={self.drop!r} is the part of the clicks that is lost: between 0 and 1, such as 0.2"
            )

    def change_log(self, log, hit, rng):
        low, high = (
            np.flatnonzero(hit & np.asarray(log["device"] == value, dtype=bool))
            for value in ("desktop", "phone")
        )
        turn = self._turning(log["clicked"].to_numpy(), low, high, rng)
        # near in time, so that the rhythm of the day stays, but no neighbor: that would look like a stuck feature
        near = np.searchsorted(high, turn) + rng.integers(10, 150, len(turn)) * rng.choice([-1, 1], len(turn))
        log = _copied(log, high[near % len(high)], turn)
        return _without_click(log, hit & (rng.random(len(log)) < self.drop))

    def _turning(self, clicked, low, high, rng):
        """The rows of `low` that become rows of `high`: clicks before = (1 - drop) x clicks after."""
        if not len(low) or not len(high):
            raise ValueError("the window needs requests of both 'phone' and 'desktop' in column 'device'")
        ctr_low, ctr_high = clicked[low].mean(), clicked[high].mean()
        clicks = ctr_low * len(low) + ctr_high * len(high)
        needed = clicks / (1 - self.drop) - clicks
        count = needed / (ctr_high - ctr_low) if ctr_high > ctr_low else np.inf
        if count > len(low):
            raise ValueError(
                f"no change of the mix hides a drop of {self.drop:.0%}: phones click {ctr_high:.1%}, "
                f"desktops {ctr_low:.1%}. Choose a smaller drop"
            )
        return np.sort(rng.choice(low, size=round(count), replace=False))


@dataclass(frozen=True)
class RedoSurge(LogFault):
    """The answers are not what people meant: they search again, a few seconds later, in other words or the same.

    Every hit search gets a second row of the same user with `redo_of`; a click moves to it. Second pages are not repeated.

    Parameters
    ----------
    within_s : float. How soon they search again: between 8 seconds and so many.
    start, end, share, where : See `Fault`. `share` is the part of the searches that is repeated.

    >>> from mlprod_helpers.faults import apply
    >>> log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=100, freq="h", tz="UTC"), "request_id": range(100),
    ...                     "user_id": range(100)})
    >>> broken, _ = apply(log, RedoSurge(start=50, share=0.2), random_state=0)
    >>> len(broken), int(broken["redo_of"].notna().sum()), bool(broken["redo_of"].min() >= 50)
    (106, 6, True)
    """

    kind: ClassVar[str] = "redo_surge"
    needs: ClassVar[tuple[str, ...]] = ("time", "request_id", "user_id")
    within_s: float = 100.0

    def __post_init__(self):
        super().__post_init__()
        _above(self.within_s, 8, "within_s")

    def change_log(self, log, hit, rng):
        later = pd.to_timedelta(rng.uniform(8, self.within_s, len(log)).round(6), unit="s")
        if "page" in log:
            hit = hit & (log["page"] == 1).to_numpy()
        # the log ends before the others come
        hit = hit & (log["time"] + later <= log["time"].max()).to_numpy()
        again = log[hit].copy()
        for name in ("time", "click_time"):
            if name in log:
                again[name] = (again[name] + later[hit]).astype(log[name].dtype)
        again["redo_of"] = again["request_id"]
        if pd.api.types.is_integer_dtype(log["request_id"]):
            again["request_id"] = log["request_id"].max() + 1 + np.arange(len(again))
        else:
            again["request_id"] = [f"{name}/again" for name in again["request_id"]]
        log = _without_click(log, hit)
        if "redo_of" not in log:
            log["redo_of"] = again["redo_of"].reindex(log.index).mask(np.ones(len(log), dtype=bool))
        return pd.concat([log, again]).sort_values("time", kind="stable", ignore_index=True)


# ------------------------------------------------------------------------------------------ small things


_IDENTITY = ("time", "request_id", "user_id", "version", "served", "page", "redo_of")


def _above(value, floor, name):
    if not floor < value < np.inf:
        raise ValueError(f"{name}={value!r} is a number above {floor}")


def _without_click(log, rows):
    if "clicked" in log:
        log["clicked"] = log["clicked"].to_numpy() & ~rows
    if "click_time" in log:
        log["click_time"] = log["click_time"].mask(rows)
    return log


def _without_answer(log, rows):
    """No prediction, no score, and nothing that one could click."""
    for name in ("prediction", "score"):
        if name in log:
            log[name] = log[name].mask(rows)
    return _without_click(log, rows)


def _click_later(log, milliseconds):
    """Who waits longer for the answer clicks later."""
    if "click_time" in log:
        later = (milliseconds * 1000).round().astype("timedelta64[us]")
        log["click_time"] = (log["click_time"] + later).astype(log["click_time"].dtype)
    return log


def _copied(log, sources, targets):
    """Rows get everything from other rows, but who asked when stays."""
    late = (log["click_time"] - log["time"]).array if "click_time" in log else None
    for name in log.columns:
        if name not in _IDENTITY and name != "click_time":
            values = log[name].array.copy()
            values[targets] = values[sources]
            log[name] = values
    if late is not None:
        late = late.copy()
        late[targets] = late[sources]
        log["click_time"] = (log["time"] + late).astype(log["click_time"].dtype)
    return log
