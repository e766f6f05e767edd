"""Judges: is the canary worse? Each looks at what the log says so far and answers pass, fail, or "not enough data".

A judge is a callable, `judge(metrics) -> Verdict`, with no memory: the same metrics give the same verdict. "nodata" is an
outcome of its own. It never passes a canary: the controller pauses and waits. Judges that test (z, group-sequential, mSPRT,
Mann-Whitney) count users, not requests, where the log says who asked: see `by_user`.
"""

from dataclasses import dataclass

import numpy as np

from mlprod_helpers.faults import nearest_name
from mlprod_helpers.rollout import sequential
from mlprod_helpers.rollout.metrics import SUMMARIES, VALUES, Metrics

PASS, FAIL, NODATA = "pass", "fail", "nodata"
DIRECTIONS = ("increase", "decrease", "either")


@dataclass(frozen=True)
class Verdict:
    """What a judge says: `outcome` is "pass", "fail" or "nodata"; `reason` says why, in words. A `critical` failure does not
    wait for others: the rollout ends at once."""

    outcome: str
    reason: str = ""
    critical: bool = False

    def __post_init__(self):
        if self.outcome not in (PASS, FAIL, NODATA):
            raise ValueError(f"A verdict is 'pass', 'fail' or 'nodata', not {self.outcome!r}.")


def as_verdict(answer):
    """A judge's answer as a Verdict: it may also be the outcome alone, or (outcome, reason).

    >>> as_verdict(("fail", "p99 doubled"))
    Verdict(outcome='fail', reason='p99 doubled', critical=False)
    """
    if isinstance(answer, Verdict):
        return answer
    if isinstance(answer, str):
        return Verdict(answer)
    if isinstance(answer, tuple | list) and 2 <= len(answer) <= 3:
        return Verdict(*answer)
    raise TypeError(
        f"A judge answers 'pass', 'fail' or 'nodata', or (outcome, reason), not {answer!r}. An empty answer is no pass."
    )


class Judge:
    """Base of the judges: which values, how many of them at least, and from which window."""

    metric = "error"
    min_requests = 50
    window = "check"
    by_user = True

    def _check_settings(self):
        if self.min_requests < 1:
            raise ValueError("min_requests is at least 1: a judge that has seen nothing knows nothing.")
        if self.metric not in VALUES:
            raise ValueError(
                f"There is no value {self.metric!r} of a request: {nearest_name(self.metric, VALUES)}."
            )
        if getattr(self, "direction", "either") not in DIRECTIONS:
            raise ValueError(
                f"direction is {self.direction!r}: {nearest_name(self.direction, DIRECTIONS)}. It says what is bad."
            )

    def __call__(self, metrics):
        if not isinstance(metrics, Metrics):
            raise TypeError(
                f"{type(self).__name__} judges Metrics, not a {type(metrics).__name__}: make them with Metrics.from_log(log, ...)."
            )
        return self.judge(metrics)

    def judge(self, metrics):
        raise NotImplementedError(f"{type(self).__name__} has to say what it judges: write judge(metrics)")

    def _pair(self, metrics):
        """(values of stable, values of canary, users of both or None, what is missing or None)."""
        stable, canary = (metrics.sample(self.metric, role, self.window) for role in ("stable", "canary"))
        missing = _too_few(metrics, self.metric, self.min_requests, stable=stable[0], canary=canary[0])
        return stable[0], canary[0], self._users(stable, canary), missing

    def _users(self, stable, canary):
        """The users of two samples, or None: each request counts as one of its own."""
        return (stable[2], canary[2]) if self.by_user and stable[2] is not None else None


@dataclass(frozen=True)
class ThresholdJudge(Judge):
    """Metrics of the canary within given ranges, as Flagger's thresholdRange.

    Parameters
    ----------
    ranges : dict, metric -> (lowest, highest), None for no limit. Metrics: "error_rate", "success_rate", "latency_mean",
        "latency_p50", "latency_p95", "latency_p99" (ms), "mean_abs_error", "bias" (units of the label), "ctr"
    relative : None, "difference" or "ratio": the range is of the canary itself, of canary minus stable, of canary over stable
    min_requests : int, of each version that is looked at; below, the verdict is "nodata"
    window : "check", "all" or seconds; see `Metrics.values`

    >>> judge = ThresholdJudge({"error_rate": (None, 0.01), "latency_p99": (None, 500)})
    """

    ranges: dict
    relative: str | None = None
    min_requests: int = 50
    window: object = "check"

    def __post_init__(self):
        if not self.ranges:
            raise ValueError(
                "Without a range nothing can fail: give one, such as {'error_rate': (None, 0.01)}."
            )
        for name, limits in self.ranges.items():
            if name not in SUMMARIES:
                raise ValueError(f"There is no metric {name!r}: {nearest_name(name, SUMMARIES)}.")
            if np.shape(limits) != (2,) or all(limit is None for limit in limits):
                raise ValueError(
                    f"The range of {name} is {limits!r}: give (lowest, highest), None where it is open."
                )
        if self.relative not in (None, "difference", "ratio"):
            raise ValueError(f"relative is {self.relative!r}: None, 'difference' or 'ratio'.")
        self._check_settings()

    def judge(self, metrics):
        missing, inside = [], []
        for name, (low, high) in self.ranges.items():
            value, summarize = SUMMARIES[name]
            of = {role: metrics.values(value, role, self.window) for role in ("stable", "canary")}
            if self.relative is None:
                del of["stable"]
            if few := _too_few(metrics, value, self.min_requests, **of):
                missing.append(few)
                continue
            got, what = self._compare(
                {role: float(summarize(found)) for role, found in of.items()}, name, metrics
            )
            if high is not None and got > high:
                return Verdict(FAIL, f"{what} is {got:.4g}, above {high:g}")
            if low is not None and got < low:
                return Verdict(FAIL, f"{what} is {got:.4g}, below {low:g}")
            inside.append(f"{what} is {got:.4g}")
        return Verdict(NODATA, missing[0]) if missing else Verdict(PASS, ", ".join(inside))

    def _compare(self, got, name, metrics):
        canary, stable = metrics.names["canary"], metrics.names["stable"]
        if self.relative is None:
            return got["canary"], f"{name} of {canary}"
        if self.relative == "difference":
            return got["canary"] - got["stable"], f"{name} of {canary} minus that of {stable}"
        if got["stable"] == 0:
            return (1.0 if got["canary"] == 0 else np.inf), f"{name} of {canary} over that of {stable} (0)"
        return got["canary"] / got["stable"], f"{name} of {canary} over that of {stable}"


@dataclass(frozen=True)
class ZTestJudge(Judge):
    """The impatient judge: a plain z test, repeated at every check. Honest at one look; at five it errs in 14.2 %.

    Parameters
    ----------
    metric : one of `VALUES`
    alpha : float, two-sided level of one look
    direction : what is bad: "increase", "decrease" or "either"
    min_requests, window : as for `ThresholdJudge`, of each version
    by_user : bool. Requests of one user are no independent draws: at 20 a user with a correlation of 0.05 a test that counts
        requests errs in 16 % at a level of 5 %. True counts users where the log has `user_id` (delta method, see `z_score`);
        False counts each request as one of its own.
    """

    metric: str = "error"
    alpha: float = 0.05
    direction: str = "increase"
    min_requests: int = 50
    window: object = "all"
    by_user: bool = True

    def __post_init__(self):
        self._check_settings()

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Verdict(NODATA, missing)
        z, difference, _ = sequential.z_score(stable, canary, users)
        bar = sequential._z(self.alpha)
        return _judged(
            _is_beyond(z, bar, self.direction), metrics, self.metric, difference, f"z {z:.2f}, bar {bar:.2f}"
        )


@dataclass(frozen=True)
class GroupSequentialJudge(Judge):
    """A planned number of looks at the data so far, with a bar that keeps the false alarms of all looks together at `alpha`.

    A look is due each time another part of the planned data is there. In between there is nothing new to say ("nodata": the
    ramp waits); after the last look the verdict stays. Which request completed a look is read from the log, so the verdict
    does not depend on when one asks.

    Parameters
    ----------
    metric : one of `VALUES`
    total : int, the data planned for the last look, in effective requests n m / (n + m) of n stable and m canary requests;
        while the canary is small that is nearly its own number of requests. See `requests_needed`: half of its answer.
    looks : int
    alpha : float, two-sided, for all looks together
    direction : what is bad: "increase", "decrease" or "either"
    boundary : "obrien_fleming" (hard at first) or "pocock" (the same bar each time)
    critical : bool. A crossed bar ends the rollout at once; waiting for more failed checks would add harm, not knowledge.
    by_user : as for `ZTestJudge`. Looks are due by requests all the same. What users share does not average out between two
        looks, so the looks agree more than the bars assume: false alarms stay below `alpha`. The power wants more: multiply
        `total` by the `design_effect`.

    Source: C. Jennison, B. W. Turnbull, Group Sequential Methods (2000), chapter 2.
    """

    metric: str = "error"
    total: int = 2000
    looks: int = 5
    alpha: float = 0.05
    direction: str = "increase"
    boundary: str = "obrien_fleming"
    critical: bool = True
    by_user: bool = True

    def __post_init__(self):
        self._check_settings()
        if self.boundary not in _BOUNDARIES:
            raise ValueError(f"boundary is {self.boundary!r}: {nearest_name(self.boundary, _BOUNDARIES)}.")
        if self.total < self.looks:
            raise ValueError(
                f"{self.looks} looks at {self.total} requests: plan at least one request a look."
            )

    @property
    def bounds(self):
        """The bar of |z| at each look."""
        key = (self.boundary, self.looks, self.alpha)
        if key not in _SOLVED:
            _SOLVED[key] = _BOUNDARIES[self.boundary](self.looks, self.alpha)
        return _SOLVED[key]

    def judge(self, metrics):
        stable, canary = (metrics.sample(self.metric, role, "all") for role in ("stable", "canary"))
        when = np.concatenate([stable[1], canary[1]])
        order = np.argsort(when, kind="stable")
        when, m = when[order], np.cumsum(order >= len(stable[0]))
        n = np.arange(1, len(order) + 1) - m
        information = n * m / np.maximum(n + m, 1)
        planned = self.total * np.arange(1, self.looks + 1) / self.looks
        at = np.searchsorted(information, planned - 1e-9)
        done = int((at < len(information)).sum())
        have = information[-1] if len(information) else 0.0
        if done == 0:
            return Verdict(NODATA, f"{have:.0f} effective requests, the first look is at {planned[0]:.0f}")
        users = self._users(stable, canary)
        seen = [(n[i], m[i]) for i in at[:done]]  # samples are in the order in which they became known
        z, difference, _ = zip(
            *(
                sequential.z_score(stable[0][:i], canary[0][:j], users and (users[0][:i], users[1][:j]))
                for i, j in seen
            ),
            strict=True,
        )
        for look in range(done):
            if _is_beyond(z[look], self.bounds[look], self.direction):
                how = f"look {look + 1} of {self.looks}: z {z[look]:.2f}, bar {self.bounds[look]:.2f}"
                return _judged(True, metrics, self.metric, difference[look], how, self.critical)
        if done < self.looks and when[at[done - 1]] <= metrics.since:
            return Verdict(
                NODATA, f"{have:.0f} effective requests, look {done + 1} is at {planned[done]:.0f}"
            )
        how = f"look {done} of {self.looks}: z {z[-1]:.2f}, bar {self.bounds[done - 1]:.2f}"
        return _judged(False, metrics, self.metric, difference[-1], how)


_BOUNDARIES = {"obrien_fleming": sequential.obrien_fleming, "pocock": sequential.pocock}
_SOLVED = {}  # the bars of a design take milliseconds to find and never change


@dataclass(frozen=True)
class MSPRTJudge(Judge):
    """An always-valid test: look as often as you like, stop when the likelihood ratio reaches 1 / alpha.

    Parameters
    ----------
    metric : one of `VALUES`
    tau : float, the difference that would matter, in the unit of the metric (0.01: one point of error rate)
    alpha : float, false alarms over all looks, however many: below this
    direction : what is bad: "increase", "decrease" or "either"
    min_requests : int, of each version; the normal approximation needs some
    critical : as for `GroupSequentialJudge`
    by_user : as for `ZTestJudge`; the level holds whatever the variance, so nothing else changes

    Source: see `sequential.msprt`.
    """

    metric: str = "error"
    tau: float = 0.01
    alpha: float = 0.05
    direction: str = "increase"
    min_requests: int = 100
    critical: bool = True
    window: object = "all"
    by_user: bool = True

    def __post_init__(self):
        self._check_settings()
        sequential.msprt(0.0, 1.0, self.tau)

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Verdict(NODATA, missing)
        z, difference, variance = sequential.z_score(stable, canary, users)
        ratio = float(sequential.msprt(difference, variance, self.tau))
        beyond = ratio >= 1 / self.alpha and _is_beyond(z, 0.0, self.direction)
        how = f"likelihood ratio {ratio:.3g}, bar {1 / self.alpha:g}"
        return _judged(beyond, metrics, self.metric, difference, how, self.critical)


@dataclass(frozen=True)
class EffectSize:
    """How large a significant difference must be to count, and to be critical (Kayenta's effectSize).

    Parameters
    ----------
    allowed_increase, allowed_decrease : float. High needs an effect of at least the first, Low of at most the second.
    critical_increase, critical_decrease : float, the same for a critical failure
    measure : "mean_ratio" (mean of canary over that of stable; None above is 1) or "cles" (share of the pairs in which the
        canary's value is the larger one; None is 0.5)
    """

    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical_increase: float | None = None
    critical_decrease: float | None = None
    measure: str = "mean_ratio"

    def __post_init__(self):
        if self.measure not in ("mean_ratio", "cles"):
            raise ValueError(f"measure is {self.measure!r}: 'mean_ratio' or 'cles'.")
        neutral = 1.0 if self.measure == "mean_ratio" else 0.5
        for name in ("allowed_increase", "allowed_decrease", "critical_increase", "critical_decrease"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, neutral)

    def of(self, stable, canary):
        """The effect; NaN (then no threshold applies) for a mean ratio with a mean of 0."""
        if self.measure == "mean_ratio":
            return canary.mean() / stable.mean() if stable.mean() and canary.mean() else np.nan
        below, up_to = (np.searchsorted(np.sort(stable), canary, side=side) for side in ("left", "right"))
        return float((below + up_to).sum() / 2 / (len(stable) * len(canary)))


@dataclass(frozen=True)
class Classification:
    """Kayenta's answer about one metric: `label` is "Pass", "High", "Low" or "Nodata"; shift of the canary against stable by
    Hodges and Lehmann (`estimate`) with its confidence interval; `effect` as chosen in `EffectSize`."""

    label: str
    reason: str
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    effect: float = np.nan
    critical: bool = False


@dataclass(frozen=True)
class MannWhitneyJudge(Judge):
    """Are the canary's values shifted? Kayenta's judge of one metric.

    The Mann-Whitney test gives a confidence interval of the shift. High needs all of it above a tolerance band, Low all of
    it below; the band is plus and minus `tolerance` times the Hodges-Lehmann estimate of the shift itself, so it asks how
    certain the shift is, not how large: that is what `effect_size` is for.

    Parameters
    ----------
    metric : one of `VALUES`. Few different values (0 and 1) leave a rank test blind to small shifts: use `per`.
    tolerance, confidence : float
    direction : what is bad: "increase" (High), "decrease" (Low) or "either"
    effect_size : EffectSize or dict of its fields
    critical : bool. A High or Low of critical size ends the rollout at once.
    per : float or None, seconds. Means over so many seconds in place of single requests: Kayenta sees a time series.
    min_requests : int, of each version; Kayenta itself has no data only when there is none at all
    window : "check", "all" or seconds
    by_user : bool, as for `ZTestJudge`: the interval is as wide as the users' variance of the ranks asks for, see `shift`

    Source: Kayenta (Apache-2.0), NetflixACAJudge and MannWhitneyClassifier; the interval is that of R's wilcox.test.
    """

    metric: str = "latency_ms"
    tolerance: float = 0.25
    confidence: float = 0.98
    direction: str = "either"
    effect_size: EffectSize | dict | None = None
    critical: bool = False
    per: float | None = None
    min_requests: int = 50
    window: object = "check"
    by_user: bool = True

    def __post_init__(self):
        self._check_settings()
        if not 0 < self.confidence < 1 or not self.tolerance >= 0:
            raise ValueError("confidence lies between 0 and 1 (0.98), tolerance is 0 or more (0.25).")
        given = self.effect_size or {}
        object.__setattr__(self, "effect_size", EffectSize(**given) if isinstance(given, dict) else given)

    def classify(self, stable, canary, design_effect=1.0):
        """Kayenta's classification of two samples; `design_effect` as for `shift`.

        >>> stable = np.arange(20.0)
        >>> judge = MannWhitneyJudge()
        >>> judge.classify(stable, stable + 30).label, judge.classify(stable, stable[::-1]).label, judge.classify(stable, []).label
        ('High', 'Pass', 'Nodata')
        """
        stable, canary = (_without_nan(values) for values in (stable, canary))
        if not len(stable) or not len(canary):
            return Classification("Nodata", f"{'stable' if not len(stable) else 'canary'} has no values")
        if len(stable) == len(canary) and np.array_equal(np.sort(stable), np.sort(canary)):
            return Classification(
                "Pass", "the values of both are identical", 0.0, 0.0, 0.0, self.effect_size.of(stable, canary)
            )
        estimate, low, high = shift(stable, canary, self.confidence, design_effect)
        band = self.tolerance * abs(estimate)
        size = self.effect_size
        effect = size.of(stable, canary)
        told = f"shift {estimate:.4g}, {self.confidence:.0%} interval {low:.4g} to {high:.4g}".replace(
            "%", " %"
        )
        found = (estimate, low, high, effect)
        if self.direction != "decrease" and low > band and not effect < size.allowed_increase:
            critical = self.critical and not effect < size.critical_increase
            return Classification("High", f"{told}, all above the band of {band:.4g}", *found, critical)
        if self.direction != "increase" and high < -band and not effect > size.allowed_decrease:
            critical = self.critical and not effect > size.critical_decrease
            return Classification("Low", f"{told}, all below the band of {-band:.4g}", *found, critical)
        return Classification("Pass", told, *found)

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Verdict(NODATA, missing)
        effect = 1.0 if users is None else _effect_on_ranks(stable, canary, users)
        if self.per is not None:
            stable, canary = (
                _means(*metrics.timed(self.metric, role, self.window), self.per)
                for role in ("stable", "canary")
            )
        answer = self.classify(stable, canary, effect)
        outcome = {"Pass": PASS, "Nodata": NODATA}.get(answer.label, FAIL)
        return Verdict(
            outcome,
            f"{self.metric} of {metrics.names['canary']}: {answer.label}, {answer.reason}",
            answer.critical,
        )


@dataclass(frozen=True, init=False)
class AllOf(Judge):
    """Several judges: one failure fails, one without data waits, a pass needs all.

    >>> AllOf(lambda metrics: "pass", lambda metrics: ("nodata", "no labels yet"))(None).outcome
    'nodata'
    """

    judges: tuple

    def __init__(self, *judges):
        if not judges:
            raise ValueError("Without a judge everything would pass: give one at least.")
        object.__setattr__(self, "judges", judges)

    def __call__(self, metrics):
        verdicts = [as_verdict(judge(metrics)) for judge in self.judges]
        for outcome in (FAIL, NODATA):
            if told := sorted((v for v in verdicts if v.outcome == outcome), key=lambda v: not v.critical):
                return told[0]
        return Verdict(PASS, "; ".join(v.reason for v in verdicts if v.reason))


@dataclass(frozen=True)
class BySegment(Judge):
    """One judge, asked for each value of a column: a version may fail for one airport alone, and no mean shows it.

    A failure anywhere fails. A segment with too little data waits for more; only if no segment has enough is there no data.
    Each segment is one more chance of a false alarm: choose the inner judge's level accordingly.

    Parameters
    ----------
    column : str, a column of the log
    judge : a judge
    """

    column: str
    inner: object

    def judge(self, metrics):
        verdicts = {
            value: as_verdict(self.inner(metrics.only(self.column, value)))
            for value in metrics.segments(self.column)
        }
        for value, verdict in verdicts.items():
            if verdict.outcome == FAIL:
                return Verdict(FAIL, f"{self.column} {value}: {verdict.reason}", verdict.critical)
        passed = [value for value, verdict in verdicts.items() if verdict.outcome == PASS]
        if not passed:
            few = next((verdict.reason for verdict in verdicts.values()), "no requests")
            return Verdict(NODATA, f"no {self.column} has enough data: {few}")
        waiting = len(verdicts) - len(passed)
        more = f"; {waiting} with too little data" if waiting else ""
        return Verdict(PASS, f"{self.column} {', '.join(map(str, passed))} within limits{more}")


@dataclass(frozen=True)
class PlainJudge(Judge):
    """A function of plain data as a judge: `function(stable, canary) -> outcome or (outcome, reason)`.

    Parameters
    ----------
    function : gets the two dicts of `Metrics.summary`; with `by`, dicts of such dicts, one a segment
    by : column or None
    window : "check", "all" or seconds

    >>> judge = PlainJudge(lambda stable, canary: "nodata" if canary["requests"] < 100 else "pass")
    """

    function: object
    by: str | None = None
    window: object = "check"

    def judge(self, metrics):
        told = metrics.summary(self.by, window=self.window)
        if self.by is not None:
            told = {
                role: {value: both[role] for value, both in told.items()} for role in ("stable", "canary")
            }
        return as_verdict(self.function(told["stable"], told["canary"]))


def shift(stable, canary, confidence=0.98, design_effect=1.0):
    """By how much are the canary's values larger? The Hodges-Lehmann estimate and its confidence interval.

    The estimate is the median of all pairwise differences, the interval holds the shifts that a two-sided Mann-Whitney test
    does not reject (normal approximation with correction for ties and continuity, as R's wilcox.test). No pair is listed:
    each end is found by bisection over sorted values.

    Parameters
    ----------
    stable, canary : arrays of n and m numbers
    confidence : float
    design_effect : float, how many times the variance of the ranks is that of independent requests. The statistic is a
        difference of mean ranks, so `sequential.design_effect` of the ranks says it.

    Returns
    -------
    (estimate, low, high) in the unit of the values

    >>> shift(np.arange(10.0), np.arange(10.0) + 5)[0]
    5.0
    """
    from scipy.special import ndtri

    stable, canary = np.sort(np.asarray(stable, dtype=float)), np.sort(np.asarray(canary, dtype=float))
    n, m = len(stable), len(canary)
    both = n + m
    ties = sum(
        (np.unique(values, return_counts=True)[1].astype(float) ** 3).sum() - len(values)
        for values in (stable, canary)
    )
    sigma = np.sqrt(max(n * m / 12 * (both + 1 - ties / (both * (both - 1))), 0.0))
    bar = ndtri((1 + confidence) / 2) * sigma * np.sqrt(design_effect)
    # the statistic falls as the shift grows: the interval's ends are where it passes the bar, 0 and minus the bar
    # (it moves in steps of a half; an even number of pairs has two in the middle)
    levels = (bar + 0.5, 0.25, -0.25, -bar - 0.5)
    low, below, above, high = (_where_it_falls(stable, canary, level) for level in levels)
    return (below + above) / 2, low, high


def _where_it_falls(stable, canary, level):
    """The difference at which the centered Mann-Whitney statistic of the shifted canary falls to `level` or below."""
    few, many = (stable, canary) if len(stable) < len(canary) else (canary, stable)
    half = len(stable) * len(canary) / 2

    def statistic(shift):
        if few is canary:
            return (
                np.searchsorted(many, few - shift, "left") + np.searchsorted(many, few - shift, "right")
            ).sum() / 2 - half
        return (
            half
            - (np.searchsorted(many, few + shift, "left") + np.searchsorted(many, few + shift, "right")).sum()
            / 2
        )

    low, high = canary[0] - stable[-1], canary[-1] - stable[0]
    if statistic(low) <= level:
        return float(low)
    if statistic(high) >= level:
        return float(high)
    for _ in range(100):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if statistic(middle) > level else (low, middle)
    return _nearest_difference(stable, canary, high)


def _nearest_difference(stable, canary, value):
    """The pairwise difference nearest to a value: bisection ends beside the one it has found."""
    place = np.searchsorted(stable, canary - value)
    near = np.stack([canary - stable[np.clip(place + step, 0, len(stable) - 1)] for step in (-1, 0)])
    return float(near.flat[np.abs(near - value).argmin()])


def _effect_on_ranks(stable, canary, users):
    """The design effect of the ranks once both samples have the same median: what users share, not what the versions differ."""
    ranks = _ranks(np.concatenate([stable - np.median(stable), canary - np.median(canary)]))
    return sequential.design_effect(ranks[: len(stable)], ranks[len(stable) :], users)


def _ranks(values):
    """Ranks from 1; equal values share the middle one."""
    _, which, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[which]


def _too_few(metrics, name, needed, **samples):
    for role, values in reversed(samples.items()):
        if len(values) < needed:
            what = {"clicked": "views", "abs_error": "labels", "signed_error": "labels"}.get(name, "requests")
            return f"{len(values)} {what} of {metrics.names[role]}, {needed} needed"
    return None


def _is_beyond(z, bar, direction):
    return bool((direction != "decrease" and z >= bar) or (direction != "increase" and z <= -bar))


def _judged(beyond, metrics, name, difference, how, critical=False):
    told = f"{name} of {metrics.names['canary']} minus that of {metrics.names['stable']} is {difference:.4g} ({how})"
    return Verdict(FAIL, told, critical) if beyond else Verdict(PASS, told)


def _means(values, when, seconds):
    """The mean of the values known in each stretch of so many seconds; stretches without any are left out."""
    if not len(values):
        return values
    _, which = np.unique((when // seconds).astype(int), return_inverse=True)
    return np.bincount(which, weights=values) / np.bincount(which)


def _without_nan(values):
    values = np.asarray(values, dtype=float)
    return values[~np.isnan(values)]
