"""Judges: is the canary worse? Each looks at what the log says so far and answers pass, fail, or "not enough data".

A judge is a callable, `judge(metrics) -> Judgment`, with no memory: the same metrics give the same verdict. "nodata" is an
outcome of its own. It never passes a canary: the controller pauses and waits. Judges that test (z, group-sequential, mSPRT,
Mann-Whitney) count users, not requests, where the log says who asked: see `ZTestJudge`. No judge passes on what it could not
read, see `Judge`.
"""

from dataclasses import dataclass, replace
from functools import cache
from numbers import Real

import numpy as np

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout import sequential
from mlprod_helpers.rollout.metrics import SUMMARIES, VALUES, Metrics

PASS, FAIL, NODATA = "pass", "fail", "nodata"
DIRECTIONS = ("increase", "decrease", "either")


@dataclass(frozen=True)
class Judgment:
    """What a judge says: `outcome` is "pass", "fail" or "nodata"; `reason` says why, in words.

    A `critical` failure does not wait for others: the rollout ends at once.
    """

    outcome: str
    reason: str = ""
    critical: bool = False

    def __post_init__(self):
        if self.outcome not in (PASS, FAIL, NODATA):
            raise ValueError(f"A verdict is 'pass', 'fail' or 'nodata', not {self.outcome!r}.")


def as_judgment(answer):
    """A judge's answer as a Judgment: it may also be the outcome alone, or (outcome, reason).

    >>> as_judgment(("fail", "p99 doubled"))
    Judgment(outcome='fail', reason='p99 doubled', critical=False)
    """
    if isinstance(answer, Judgment):
        return answer
    if isinstance(answer, str):
        return Judgment(answer)
    if isinstance(answer, tuple | list) and 2 <= len(answer) <= 3:
        return Judgment(*answer)
    raise TypeError(
        f"A judge answers 'pass', 'fail' or 'nodata', or (outcome, reason), not {answer!r}. An empty answer is no pass."
    )


class Judge:
    """Base of the judges: which values, how many of them at least, and from which window; and what could not be read.

    An infinite value of the canary fails: no limit is above it. An answer without a prediction leaves no error to judge, so
    who judges errors or predictions also compares how often that happens: it fails where the canary misses more of them than
    stable by 3 standard errors. Otherwise the verdict is about the rest, and its reason says how many are missing. Without
    any answer of stable nothing passes. A `ThresholdJudge` with a range of "missing_rate" goes by that range instead.
    """

    metric = "error"
    min_requests = 50
    window = "check"

    def _check_settings(self):
        if not isinstance(self.min_requests, int | np.integer) or self.min_requests < 1:
            raise ValueError(
                f"min_requests is {self.min_requests!r}, but it counts requests, at least 1: a judge that has seen nothing "
                "knows nothing."
            )
        if self.metric not in VALUES:
            raise ValueError(
                f"There is no value {self.metric!r} of a request: {nearest_name(str(self.metric), VALUES)}."
            )

    def __call__(self, metrics):
        if not isinstance(metrics, Metrics):
            raise TypeError(
                f"{type(self).__name__} judges Metrics, not a {type(metrics).__name__}: make them with Metrics.from_log(log, ...)."
            )
        return self._with_missing(self.judge(metrics), metrics)

    def judge(self, metrics):
        raise NotImplementedError(f"{type(self).__name__} has to say what it judges: write judge(metrics)")

    def _reads(self):
        """The values that the judgment is about."""
        return {self.metric} - {None}

    def _with_missing(self, judgment, metrics):
        """The judgment, once it is known what could not be read."""
        if judgment.outcome == FAIL:
            return judgment
        reads, notes = self._reads(), []
        for name in sorted(reads & {"latency_ms", "abs_error"}):  # others are 0 or 1
            for role in ("canary", "stable"):
                values = metrics.values(name, role, self.window)
                if count := int(np.isinf(values).sum()):
                    note = f"{count} of {len(values)} {name} of {metrics.names[role]} infinite"
                    if role == "canary":
                        return Judgment(FAIL, note)
                    notes.append(note)
        if reads & {"error", "abs_error"} and "missing" not in reads:
            stable, canary = (metrics.sample("missing", role, self.window) for role in ("stable", "canary"))
            counts = [int(flags.sum()) for flags, *_ in (canary, stable)]
            if any(counts):
                notes.append(
                    f"predictions missing: {counts[0]} of {len(canary[0])} of {metrics.names['canary']}, {counts[1]} of "
                    f"{len(stable[0])} of {metrics.names['stable']}"
                )
            if counts[0] and len(canary[0]) >= self.min_requests:
                if not len(stable[0]):
                    return Judgment(NODATA, notes[-1])
                if sequential.z_score(stable[0], canary[0], (stable[2], canary[2]))[0] >= 3.0:
                    return Judgment(FAIL, notes[-1])
        return replace(judgment, reason="; ".join([*filter(None, [judgment.reason]), *notes]))

    def _sample(self, metrics, role):
        """The finite values of a version; see `Metrics.sample`."""
        values, when, users = metrics.sample(self.metric, role, self.window)
        read = np.isfinite(values)
        return values[read], when[read], users[read]

    def _pair(self, metrics):
        """(values of stable, values of canary, users of both, what is missing or None)."""
        stable, canary = (self._sample(metrics, role) for role in ("stable", "canary"))
        missing = _too_few(metrics, self.metric, self.min_requests, stable=stable[0], canary=canary[0])
        return stable[0], canary[0], (stable[2], canary[2]), missing


@dataclass(frozen=True)
class ThresholdJudge(Judge):
    """Metrics of the canary within given ranges, as Flagger's thresholdRange.

    Parameters
    ----------
    ranges : dict, metric -> (lowest, highest), None for no limit. Metrics: "error_rate", "latency_p50", "latency_p95",
        "latency_p99" (ms), "mean_abs_error" (units of the label), "missing_rate". A value at a limit is inside, as in
        Flagger; in Argo the condition says it (`result <= 0.01`).
    relative : None or "difference": the range is of the canary itself, or of canary minus stable
    min_requests : int, of each version that is looked at; below, the outcome is "nodata"

    >>> judge = ThresholdJudge({"error_rate": (None, 0.01), "latency_p99": (None, 500)})
    """

    ranges: dict
    relative: str | None = None
    min_requests: int = 50

    def __post_init__(self):
        if not self.ranges:
            raise ValueError(
                "Without a range nothing can fail: give one, such as {'error_rate': (None, 0.01)}."
            )
        for name, limits in self.ranges.items():
            if name not in SUMMARIES:
                raise ValueError(f"There is no metric {name!r}: {nearest_name(name, SUMMARIES)}.")
            if (
                not isinstance(limits, tuple | list)
                or len(limits) != 2
                or all(limit is None for limit in limits)
                or not all(limit is None or (isinstance(limit, Real) and limit == limit) for limit in limits)
                or (None not in limits and limits[0] > limits[1])
            ):
                raise ValueError(
                    f"The range of {name} is {limits!r}: give (lowest, highest), two numbers, None where it is open."
                )
        if self.relative not in (None, "difference"):
            raise ValueError(f"relative is {self.relative!r}: None or 'difference'.")
        self._check_settings()

    def _reads(self):
        return {SUMMARIES[name][0] for name in self.ranges}

    def judge(self, metrics):
        missing, inside = [], []
        for name, (low, high) in self.ranges.items():
            value, summarize = SUMMARIES[name]
            samples = {"canary": metrics.values(value, "canary", self.window)}
            if self.relative is not None:
                stable = metrics.values(value, "stable", self.window)
                samples = {"stable": stable[np.isfinite(stable)]} | samples
            if few := _too_few(metrics, value, self.min_requests, **samples):
                missing.append(few)
                continue
            got, what = float(summarize(samples["canary"])), f"{name} of {metrics.names['canary']}"
            if self.relative is not None:
                got -= float(summarize(samples["stable"]))
                what += f" minus that of {metrics.names['stable']}"
            if np.isnan(got):  # percentiles between infinite values
                missing.append(f"{what} is no number")
                continue
            if high is not None and got > high:
                return Judgment(FAIL, f"{what} is {got:.4g}, above {high:g}")
            if low is not None and got < low:
                return Judgment(FAIL, f"{what} is {got:.4g}, below {low:g}")
            inside.append(f"{what} is {got:.4g}")
        return Judgment(NODATA, missing[0]) if missing else Judgment(PASS, ", ".join(inside))


@dataclass(frozen=True)
class ZTestJudge(Judge):
    """The impatient judge: a plain z test at 5%, repeated at every check. It fails at an increase.

    It is honest at one look; at five it errs in 14.2%. The variance is pooled and there is no correction for
    continuity, as in a chi-squared test without Yates's. Where the log has `user_id`, the variance counts users
    (delta method, see `z_score`). Requests of one user are no independent draws: at 20 a user with a correlation of
    0.05 a test that counts requests errs in 16% at a level of 5%.

    Parameters
    ----------
    metric : one of `VALUES`
    """

    metric: str = "error"
    window = "all"

    def __post_init__(self):
        self._check_settings()

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Judgment(NODATA, missing)
        z, difference, _ = sequential.z_score(stable, canary, users)
        bar = sequential._z(sequential.ALPHA)
        return _judged(z >= bar, metrics, self.metric, difference, f"z {z:.2f}, bar {bar:.2f}")


@dataclass(frozen=True)
class GroupSequentialJudge(Judge):
    """A planned number of looks at the data so far, with a bar that keeps the false alarms of all looks together at 5%.

    A look is due each time another part of the planned data is there. In between there is nothing new to say ("nodata": the
    ramp waits); after the last look the verdict stays. Which request completed a look is read from the log, so the verdict
    does not depend on when one asks. It fails at an increase.

    The bars are O'Brien and Fleming's, hard at first. A crossed bar ends the rollout at once: waiting for more failed checks
    would add harm, not knowledge. Looks are due by requests, but the variance counts users, as in `ZTestJudge`. What users
    share does not average out between two looks, so the looks agree more than the bars assume: false alarms stay below
    5%. The power wants more: multiply `total` by the `design_effect`.

    Parameters
    ----------
    metric : one of `VALUES`
    total : int, the data planned for the last look, in effective requests n m / (n + m) of n stable and m canary requests;
        while the canary is small that is nearly its own number of requests. See `requests_needed`: half of its answer.
    looks : int

    Source: C. Jennison, B. W. Turnbull, Group Sequential Methods (2000), chapter 2.
    """

    metric: str = "error"
    total: int = 2000
    looks: int = 5
    window = "all"

    def __post_init__(self):
        self._check_settings()
        sequential._looks(self.looks)
        if not isinstance(self.total, Real) or not self.looks <= self.total < np.inf:
            raise ValueError(
                f"{self.looks} looks at {self.total} requests: plan at least one request a look."
            )

    @property
    def bounds(self):
        """The bar of `|z|` at each look."""
        return _bounds(self.looks)

    def judge(self, metrics):
        stable, canary = (self._sample(metrics, role) for role in ("stable", "canary"))
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
            return Judgment(NODATA, f"{have:.0f} effective requests, the first look is at {planned[0]:.0f}")
        for look, place in enumerate(at[:done]):
            i, j = n[place], m[place]  # samples are in the order in which they became known
            users = stable[2][:i], canary[2][:j]
            z, difference, _ = sequential.z_score(stable[0][:i], canary[0][:j], users)
            how = f"look {look + 1} of {self.looks}: z {z:.2f}, bar {self.bounds[look]:.2f}"
            if z >= self.bounds[look]:
                return _judged(True, metrics, self.metric, difference, how, critical=True)
        if done < self.looks and when[at[done - 1]] <= metrics.since:
            return Judgment(
                NODATA, f"{have:.0f} effective requests, look {done + 1} is at {planned[done]:.0f}"
            )
        return _judged(False, metrics, self.metric, difference, how)


_bounds = cache(sequential.obrien_fleming)  # they take milliseconds to find and never change


@dataclass(frozen=True)
class MSPRTJudge(Judge):
    """An always-valid test: look as often as you like, stop when the likelihood ratio reaches 1 / alpha.

    A ratio above the bar ends the rollout at once; false alarms over all looks stay below 5%. It fails at an increase. The
    variance counts users, as in `ZTestJudge`.

    Parameters
    ----------
    metric : one of `VALUES`
    tau : float, the difference that would matter, in the unit of the metric (0.01: one point of error rate)
    min_requests : int, of each version; the normal approximation needs some

    Source: see `sequential.msprt`.
    """

    metric: str = "error"
    tau: float = 0.01
    min_requests: int = 100
    window = "all"

    def __post_init__(self):
        self._check_settings()
        sequential.msprt(0.0, 1.0, self.tau)

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Judgment(NODATA, missing)
        z, difference, variance = sequential.z_score(stable, canary, users)
        ratio = float(sequential.msprt(difference, variance, self.tau))
        if not np.isfinite(ratio) or not np.isfinite(variance):
            return Judgment(NODATA, f"{self.metric} is too large to tell: its variance is {variance:.3g}")
        beyond = ratio >= 1 / sequential.ALPHA and z >= 0
        how = f"likelihood ratio {ratio:.3g}, threshold {1 / sequential.ALPHA:g}"
        return _judged(beyond, metrics, self.metric, difference, how, critical=True)


@dataclass(frozen=True)
class MannWhitneyJudge(Judge):
    """Are the canary's values shifted? Kayenta's judge of one metric.

    The Mann-Whitney test gives a confidence interval of the shift. High needs all of it above a tolerance band, Low all of
    it below. The band is plus and minus a quarter of the Hodges-Lehmann estimate of the shift itself, so it asks how certain
    the shift is, not how large. The interval counts users, as in `ZTestJudge`; see `shift`.

    Where most values are equal (mostly zeros, or 0 and 1 only) the median difference is 0 however different the rest is. Then
    the test itself decides, without a band, and the reason says in how many pairs the canary has the larger value. Kayenta
    passes here, or goes by the rounding of its search. Its effect sizes and critical metrics are left out, and its option to
    pass without data.

    Parameters
    ----------
    metric : one of `VALUES`
    direction : what is bad: "increase" (High), "decrease" (Low) or "either"

    Source: Kayenta (Apache-2.0), NetflixACAJudge and MannWhitneyClassifier; the interval is that of R's wilcox.test.
    """

    metric: str = "latency_ms"
    direction: str = "either"

    def __post_init__(self):
        self._check_settings()
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"direction is {self.direction!r}: {nearest_name(str(self.direction), DIRECTIONS)}. It says what is bad."
            )

    def judge(self, metrics):
        stable, canary, users, missing = self._pair(metrics)
        if missing:
            return Judgment(NODATA, missing)
        label, reason = self._classify(stable, canary, _effect_on_ranks(stable, canary, users))
        outcome = PASS if label == "Pass" else FAIL
        return Judgment(outcome, f"{self.metric} of {metrics.names['canary']}: {label}, {reason}")

    def _classify(self, stable, canary, design_effect):
        """Kayenta's label of two samples ("Pass", "High" or "Low"), and the reason; see `shift` for `design_effect`."""
        if len(stable) == len(canary) and np.array_equal(np.sort(stable), np.sort(canary)):
            return "Pass", "the values of both are identical"
        estimate, low, high = shift(stable, canary, _CONFIDENCE, design_effect)
        reason = f"shift {estimate:.4g}, {100 * _CONFIDENCE:.0f}% interval {low:.4g} to {high:.4g}"
        band = _TOLERANCE * abs(estimate)
        above, below = low > band, high < -band
        if estimate == 0.0:
            z, bar = _rank_test(stable, canary, design_effect), sequential._z(1 - _CONFIDENCE)
            above, below = z >= bar, z <= -bar
            larger = 0.5 + _statistic(np.sort(stable), np.sort(canary), 0.0) / (len(stable) * len(canary))
            reason += f"; by ranks z {z:.2f}, bar {bar:.2f}, larger in {100 * larger:.0f}% of the pairs"
        if self.direction != "decrease" and above:
            return "High", f"{reason}, all above the band of {band:.4g}"
        if self.direction != "increase" and below:
            return "Low", f"{reason}, all below the band of {-band:.4g}"
        return "Pass", reason


_CONFIDENCE, _TOLERANCE = 0.98, 0.25  # Kayenta's


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
        _callable(*judges)
        object.__setattr__(self, "judges", judges)

    def __call__(self, metrics):
        judgments = [as_judgment(judge(metrics)) for judge in self.judges]
        for outcome in (FAIL, NODATA):
            if same := [one for one in judgments if one.outcome == outcome]:
                return max(same, key=lambda one: one.critical)  # the first, unless another one is critical
        return Judgment(PASS, "; ".join(one.reason for one in judgments if one.reason))


@dataclass(frozen=True)
class BySegment(Judge):
    """One judge, asked for each value of a column: a version may fail for one airport alone, and no mean shows it.

    Requests without a value are one segment more. A failure anywhere fails. A segment with too little data waits
    for more; only if no segment has enough is there no data. Each segment is one more chance of a false alarm:
    choose the level of the `inner` judge accordingly.
    """

    column: str
    inner: object
    metric = None  # the inner judge reads

    def __post_init__(self):
        _callable(self.inner)

    def judge(self, metrics):
        if not len(metrics):
            return Judgment(NODATA, "no requests")  # a log without requests has no columns either
        judgments = {
            value: as_judgment(self.inner(metrics.only(self.column, value)))
            for value in metrics.segments(self.column)
        }
        for value, judgment in judgments.items():
            if judgment.outcome == FAIL:
                return Judgment(FAIL, f"{self.column} {_name(value)}: {judgment.reason}", judgment.critical)
        passed = [_name(value) for value, judgment in judgments.items() if judgment.outcome == PASS]
        if not passed:
            few = next((judgment.reason for judgment in judgments.values()), "no requests")
            return Judgment(NODATA, f"no {self.column} has enough data: {few}")
        waiting = len(judgments) - len(passed)
        more = f"; {waiting} with too little data" if waiting else ""
        for value, judgment in judgments.items():
            if "missing" in judgment.reason:
                more += f"; {_name(value)}: {judgment.reason}"
        return Judgment(PASS, f"{self.column} {', '.join(passed)} within limits{more}")


def shift(stable, canary, confidence=0.98, design_effect=1.0):
    """By how much are the canary's values larger? (Hodges-Lehmann estimate, low, high), the interval at `confidence`.

    The estimate is the median of all pairwise differences, the interval holds the shifts that a two-sided
    Mann-Whitney test does not reject (normal approximation with correction for ties and continuity, as R's
    wilcox.test, whose search stops within 0.0001 of them). No pair is listed: each end is found by bisection over
    sorted values. `design_effect` is how many times the variance of the ranks is that of independent requests
    (`sequential.design_effect` of the ranks). Both versions need values, all of them finite.

    >>> shift(np.arange(10.0), np.arange(10.0) + 5)[0]
    5.0
    """
    stable, canary = (
        np.sort(sequential.finite(stable, "stable")),
        np.sort(sequential.finite(canary, "canary")),
    )
    ties = sum(_ties(values) for values in (stable, canary))  # a shifted sample ties with no other
    bar = sequential._z(1 - confidence) * _sigma(len(stable), len(canary), ties) * np.sqrt(design_effect)
    # the statistic falls as the shift grows: the interval's ends are where it passes the bar, 0 and minus the bar
    # (it moves in steps of a half; an even number of pairs has two in the middle)
    levels = (bar + 0.5, 0.25, -0.25, -bar - 0.5)
    low, below, above, high = (_where_it_falls(stable, canary, level) for level in levels)
    return (below + above) / 2, low, high


def _ties(values):
    return (np.unique(values, return_counts=True)[1].astype(float) ** 3).sum() - len(values)


def _sigma(n, m, ties):
    """The standard deviation of the Mann-Whitney statistic of n and m values."""
    both = n + m
    return np.sqrt(max(n * m / 12 * (both + 1 - ties / (both * (both - 1))), 0.0))


def _rank_test(stable, canary, design_effect):
    """The Mann-Whitney z of two samples as they are, with correction for ties and continuity; above 0 where canary is larger."""
    stable, canary = np.sort(stable), np.sort(canary)
    statistic = _statistic(stable, canary, 0.0)
    sigma = _sigma(len(stable), len(canary), _ties(np.concatenate([stable, canary]))) * np.sqrt(design_effect)
    return np.sign(statistic) * max(abs(statistic) - 0.5, 0.0) / sigma if sigma > 0 else 0.0


def _statistic(stable, canary, shift):
    """The centered Mann-Whitney statistic of sorted samples once the canary is moved back by `shift`."""
    few, many, sign = (stable, canary, -1) if len(stable) < len(canary) else (canary, stable, 1)
    moved = few - sign * shift
    places = np.searchsorted(many, moved, "left") + np.searchsorted(many, moved, "right")
    return sign * (places.sum() / 2 - len(stable) * len(canary) / 2)


def _where_it_falls(stable, canary, level):
    """The difference at which the centered Mann-Whitney statistic of the shifted canary falls to `level` or below."""
    low, high = canary[0] - stable[-1], canary[-1] - stable[0]
    if _statistic(stable, canary, low) <= level:
        return float(low)
    if _statistic(stable, canary, high) >= level:
        return float(high)
    for _ in range(100):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if _statistic(stable, canary, middle) > level else (low, middle)
    return _nearest_difference(stable, canary, high)


def _nearest_difference(stable, canary, value):
    """The pairwise difference nearest to a value: bisection ends beside the one it has found."""
    place = np.searchsorted(stable, canary - value)
    near = np.stack([canary - stable[np.clip(place + step, 0, len(stable) - 1)] for step in (-1, 0)])
    return float(near.flat[np.abs(near - value).argmin()])


def _effect_on_ranks(stable, canary, users):
    """The design effect of the ranks once both samples have the same median: what users share, not what the versions differ."""
    from scipy.stats import rankdata  # heavy, and other judges do not need it

    ranks = rankdata(np.concatenate([stable - np.median(stable), canary - np.median(canary)]))
    return sequential.design_effect(ranks[: len(stable)], ranks[len(stable) :], users)


def _too_few(metrics, name, needed, **samples):
    for role, values in reversed(samples.items()):
        if len(values) < needed:
            what = "labels" if name == "abs_error" else "requests"
            return f"{len(values)} {what} of {metrics.names[role]}, {needed} needed"
    return None


def _callable(*judges):
    for judge in judges:
        if not callable(judge):
            raise TypeError(f"{judge!r} is no judge: a judge is called with metrics and gives a verdict.")


def _name(value):
    return "missing" if value is None else str(value)


def _judged(beyond, metrics, name, difference, how, critical=False):
    reason = f"{name} of {metrics.names['canary']} minus that of {metrics.names['stable']} is {difference:.4g} ({how})"
    if not np.isfinite(difference):  # values so large that their sum is infinite
        return Judgment(NODATA, f"{reason}: no number")
    return Judgment(FAIL, reason, critical) if beyond else Judgment(PASS, reason)
