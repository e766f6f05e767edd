"""Versions of the model and the rollout of one of them: the controller of lesson 06, stepped once a morning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlprod_helpers.oncall.actions import DAY
from mlprod_helpers.oncall.catalog import Release
from mlprod_helpers.oncall.season.year import Weights
from mlprod_helpers.rollout import (
    AllOf,
    BySegment,
    Controller,
    Plan,
    ThresholdJudge,
    ZTestJudge,
)
from mlprod_helpers.rollout.metrics import Metrics, Rows

PER_FLIGHT = (
    4  # requests of a flight and version that a judge reads: all get the same answer, so more say no more
)
MEDIAN_MS, SPREAD = 100.0, 0.36  # of one request's latency
SLOW_FAILURES = 0.05  # share of the requests of a slow candidate that are given up


class Version(NamedTuple):
    """A model that can serve: its name, weights, release (what its code gains or breaks), last day of training, and the
    candidate that its code came with."""

    name: str
    weights: Weights
    release: Release
    trained_until: int
    code: str = ""

    def predict(self, world, part, distance, wind, dest):
        """Predicted minutes for the flights of a slice, from the inputs as the service gets them."""
        answer = self.weights.predict(distance, wind, dest)
        release = self.release
        if release.gain:
            answer = answer + release.gain * (world.flights.air_time[part] - answer)
        if release.noise:
            answer = answer + release.noise * world.noise[part]
        return np.round(answer, 1)

    def is_silent(self, world, part):
        """Which flights of a slice get no answer from its code."""
        laguardia = world.flights.origin[part] == world.flights.origins.index("LGA")
        return laguardia & (world.luck[part, 3] < self.release.silent)


class Requests(Rows):
    """The requests of one version; their airports are an array, which is faster than a frame."""

    def __init__(self, columns, origin):
        super().__init__(columns, None, np.ones(len(origin), dtype=bool))
        self.origin = origin

    def where(self, column, value):
        return self.origin == value

    def distinct(self, column):
        return self.origin.tolist()


def judge_named(name):
    """The judge of that name; see `actions.JUDGES`."""
    failures = ThresholdJudge({"error_rate": (None, 0.05)}, relative="difference")
    latency = ThresholdJudge({"latency_p95": (None, 100.0)}, relative="difference")
    errors = ZTestJudge("abs_error")
    return {
        "none": lambda metrics: "pass",
        "errors": errors,
        "errors and latency": AllOf(failures, latency, errors),
        "by airport": AllOf(failures, latency, errors, BySegment("origin", AllOf(failures, errors))),
    }[name]


class Rollout:
    """One rollout: who gets the new version, and what is known of both versions.

    Parameters
    ----------
    version : Version, the new one
    stable : str, the name of the old one
    plan : dict, see `rollout.Plan.from_dict`
    judge : str, see `actions.JUDGES`
    day : int, the morning on which it begins
    """

    def __init__(self, version, stable, plan, judge, day):
        self.version, self.stable, self.judge, self.day = version, stable, judge, day
        self.controller = Controller(Plan.from_dict(plan), judge_named(judge), stable, version.name)
        self.paused = False
        self.days = []  # what `record` got
        self.controller.step(day * DAY)

    @property
    def weight(self):
        """Percent of the users who get the new version."""
        return self.controller.state.weight

    @property
    def copies(self):
        """Percent of the requests that are copied to it, for nobody to see."""
        return self.controller.state.mirror

    @property
    def phase(self):
        return "Paused" if self.paused else self.controller.state.phase

    def record(self, **day):
        """Remember one day: `flights`, `origin`, `label`, `known` (morning of the label), and for "stable" and "canary" a dict
        of `requests`, `prediction`, `failed`, `slow_ms`, `planned`."""
        self.days.append(day)

    def step(self, morning):
        """Let the controller judge what is known on this morning."""
        if not self.paused and not self.controller.over:
            self.controller.step(morning * DAY, self.metrics(morning))

    def metrics(self, morning):
        """What a judge may read on a morning."""
        rows = [self._rows(role, morning) for role in ("stable", "canary")]
        return Metrics(*rows, (self.stable, self.version.name))

    def _rows(self, role, morning):
        parts = [self._read(day, role, morning) for day in self.days]
        names = ("time", "status", "latency_ms", "prediction", "label", "label_time", "user_id", "origin")
        columns = (
            {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}
            if parts
            else {name: np.zeros(0) for name in names}
        )
        columns["user_id"] = columns["user_id"].astype(np.int64)
        columns["unread"] = np.zeros(len(columns["time"]))
        return Requests(columns, columns.pop("origin"))

    def _read(self, day, role, morning):
        """The columns of one day's requests of one version, at most `PER_FLIGHT` of a flight."""
        own = day[role]
        times = np.minimum(own["requests"], PER_FLIGHT)
        which = np.repeat(np.arange(len(times)), times)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
        failed = nth >= times[which] - np.minimum(own["failed"], times)[which]
        if own["slow_ms"]:
            failed |= (which + nth) % round(1 / SLOW_FAILURES) == 0
        latency = MEDIAN_MS * np.exp(SPREAD * _normal(which, nth)) + own["slow_ms"]
        known = (day["known"] <= morning)[which]
        return (
            np.full(len(which), day["day"] * DAY + 1.0),
            np.where(failed, 504.0, 200.0),
            latency,
            np.where(failed, np.nan, own["prediction"][which]),
            np.where(known, day["label"][which], np.nan),
            np.where(known, day["known"][which] * DAY - 1.0, np.nan),
            day["flights"][which],
            day["origin"][which],
        )

    def shown(self, morning):
        """The rollout as plain data for the observation."""
        state = self.controller.state
        versions = {role: self._summary(role, morning) for role in ("stable", "canary")}
        return {
            "version": self.version.name,
            "stable": self.stable,
            "started": self.day,
            "phase": self.phase,
            "weight": float(state.weight),
            "reason": "Paused by hand." if self.paused else state.reason,
            "judge": self.judge,
            "verdict": state.verdict or "",
            "stable_metrics": versions["stable"],
            "canary_metrics": versions["canary"],
        }

    def _summary(self, role, morning):
        """Requests seen and planned, labels, mean absolute error and share of answers off by over an hour, all since the
        rollout began."""
        seen = sum(int(day[role]["requests"].sum()) for day in self.days)
        planned = sum(float(day[role]["planned"]) for day in self.days)
        failed = sum(int(day[role]["failed"].sum()) for day in self.days)
        errors, weights, origins = [], [], []
        for day in self.days:
            known = day["known"] <= morning
            errors.append(np.abs(day[role]["prediction"] - day["label"])[known])
            weights.append(day[role]["requests"][known])
            origins.append(day["origin"][known])
        errors, weights, origins = (
            np.concatenate(each) if each else np.zeros(0) for each in (errors, weights, origins)
        )
        return {
            "requests": seen,
            "planned": round(planned),
            "failed": failed,
            "labels": int(weights.sum()),
            "mean_abs_error": _mean(errors, weights),
            "big_error_share": _mean(errors > 60, weights),
            "latency_p95": round(
                MEDIAN_MS * float(np.exp(SPREAD * 1.645))
                + (self.days[-1][role]["slow_ms"] if self.days else 0),
                0,
            ),
            "by_airport": {
                name: _mean(errors[origins == name], weights[origins == name])
                for name in ("EWR", "JFK", "LGA")
            },
        }


def _mean(values, weights):
    total = weights.sum()
    return round(float((values * weights).sum() / total), 3) if total else None


def _normal(which, nth):
    """Numbers that look normal and are the same each time: quantiles in a scattered order."""
    from scipy.special import ndtri

    return ndtri((np.arange(97) + 0.5) / 97)[(which * 37 + nth * 61) % 97]
