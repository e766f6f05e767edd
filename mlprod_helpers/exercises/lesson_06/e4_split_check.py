"""Exercise 6.4, A router that loses users."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, Several, Text, exercise
from mlprod_helpers.rollout import sample_ratio as _sample_ratio

LEVEL = 0.001


def _result(counts, weights, level=LEVEL):
    found = _sample_ratio(counts, weights)
    fewest = min(found.of_planned, key=found.of_planned.get)
    return found.p_value, fewest if found.p_value < level else "none"


def _users(log, weights):
    users = log.groupby("version")["user_id"].nunique()
    return users.reindex(list(weights), fill_value=0)


def _counts(weights, users, short, z):
    """Users of each version, as planned but for one that has z standard errors too few; the others share them."""
    share = weights[short] / 100
    missing = z * math.sqrt(users * share * (1 - share))
    more = 1 + missing / (users * (1 - share))
    return {
        name: round(users * share - missing if name == short else users * weight / 100 * more)
        for name, weight in weights.items()
    }


def _log(rng, counts, requests):
    """A request log: `counts` users of each version, and about as many requests of each as `requests` says."""
    names = list(counts)
    versions = np.repeat(names, [counts[name] for name in names])
    each = np.array([max(requests[name] / max(counts[name], 1), 1.0) for name in names]) - 1
    times = 1 + rng.poisson(np.repeat(each, [counts[name] for name in names]))
    ids = rng.permutation(len(versions)) + int(rng.integers(10_000, 90_000))
    log = pd.DataFrame({"user_id": np.repeat(ids, times), "version": np.repeat(versions, times)})
    return log.iloc[rng.permutation(len(log))].reset_index(drop=True)


@exercise(
    "6.4",
    "A router that loses users",
    answers=("split_check",),
    points=4,
    minutes=8,
    objective="6.b",
    edition=3,
    kind=Function("log", "weights", returns=Several(Number(), Text(), names=("p-value", "version"))),
    hints=(
        "A user who sends ten requests is one user. How many different users did each version get?",
        "The planned users of a version are its weight divided by 100, times all users that you counted.",
        "`users.reindex(list(weights), fill_value=0)` adds versions without users. `scipy.stats.chisquare(users, planned).pvalue` is the p-value.",
    ),
)
def split_check(answer, rng, expect):
    """`split_check(log, weights)` -> (p-value, version that loses users or "none")."""
    users = int(rng.integers(400, 500))
    half, few = {"v1": 50, "v2": 50}, {"stable": 90, "canary": 10}
    three = {"a": 20, "b": 50, "c": 30}
    with expect.defining():
        _ask(
            expect, answer, rng, half, users, ("v2", 5.5), "v2 loses users, and the others send more requests"
        )
        _ask(
            expect,
            answer,
            rng,
            half,
            users,
            ("v2", 1.0),
            "a fair split, but v1 has more requests",
            heavy="v1",
        )
        _ask(expect, answer, rng, few, users, ("canary", 0.7), "a fair canary of 10%")
        _ask(expect, answer, rng, few, users, ("stable", 5.0), "the old version loses users")
    _ask(expect, answer, rng, few, users, ("canary", 5.0), "a canary of 10% loses users")
    _ask(expect, answer, rng, three, users, ("c", 5.0), "three versions, and the one with 30% loses users")
    _ask(expect, answer, rng, three, users, ("b", 1.0), "three versions and a fair split")
    # "a" has the smallest ratio; "b" lacks more users, and more standard errors; "b" is the first that lacks any, "d" the last
    weights = {"c": 45, "b": 42, "a": 3, "d": 10}
    shares = {"c": 0.65, "b": 0.25, "a": 0.01, "d": 0.09}
    # few enough that the p-value has to be right, to 5%, and that less than 5 users of "a" are planned
    odd = {name: round(users / 3.5 * share) for name, share in shares.items()}
    log = _log(rng, odd, {name: users * weight / 200 for name, weight in weights.items()})
    _compare(expect, answer(log, weights), odd, weights, "three of four versions lose users")
    _ask(expect, answer, rng, half, users, ("v1", 2.5), "a p-value of about 0.01")
    _ask(expect, answer, rng, half, users, ("v1", 3.21), "a p-value just above 0.001")
    _ask(expect, answer, rng, half, users, ("v1", 3.37), "a p-value just below 0.001")
    tiny = {"v1": int(rng.choice([11, 13])), "v2": 4}  # half a planned user counts
    _compare(expect, answer(_log(rng, tiny, tiny), half), tiny, half, "a handful of users, one request each")
    for total, weight, what in (
        (users, 2, "nobody gets the new version"),
        (30, 10, "nobody yet, of 30 users"),
        (users, 10, "a version that loses all its users"),
    ):
        counts, weights = {"old": total, "new": 0}, {"old": 100 - weight, "new": weight}
        log = _log(rng, counts, {"old": 2 * total, "new": 0})
        _compare(expect, answer(log, weights), counts, weights, what)
    # as many degrees of freedom as with a row of the third version
    early = int(rng.integers(8, 13))
    counts, weights = {"a": 30 - early, "b": early, "new": 0}, {"a": 60, "b": 30, "new": 10}
    log = _log(rng, counts, {"a": 60, "b": 30, "new": 0})
    _compare(expect, answer(log, weights), counts, weights, "nobody yet gets one of three versions")


def _ask(expect, answer, rng, weights, users, odd, what, heavy=None):
    """One log whose version `odd[0]` has `odd[1]` standard errors too few users; requests are as planned, or too many of `heavy`."""
    counts = _counts(weights, users, *odd)
    requests = {name: 2 * users * weight / 100 for name, weight in weights.items()}
    if heavy:
        requests[heavy] *= 1.4
    log = _log(rng, counts, requests)
    _compare(expect, answer(log, weights), counts, weights, what)


def _compare(expect, got, counts, weights, what):
    """Both results in one line of feedback."""
    p_value, version = got
    want_p, want_version = _result(counts, weights)
    close = math.isclose(p_value, want_p, rel_tol=0.05, abs_tol=1e-9)
    why = (
        "your p-value is not a number"
        if math.isnan(p_value)
        else f"your p-value is too {'small' if p_value < want_p else 'large'}"
        if not close
        else f'the p-value is right, but you return "{version}"'
    )
    expect.true(close and version == want_version, what, why)


@split_check.inputs
def split_check_inputs(rng):
    yield pd.DataFrame({"user_id": [7, 7, 8], "version": ["v1", "v1", "v2"]}), {"v1": 50, "v2": 50}
    yield pd.DataFrame({"user_id": range(40), "version": ["v1"] * 40}), {"v2": 50, "v1": 50}
    yield pd.DataFrame({"user_id": range(40), "version": ["v1"] * 40}), {"v1": 90, "v2": 10}
    for _ in range(20):
        k = int(rng.integers(2, 5))
        cuts = np.sort(rng.choice(np.arange(1, 20), k - 1, replace=False)) * 5
        names = [f"v{i}" for i in rng.permutation(k)]
        weights = dict(zip(names, np.diff([0, *cuts, 100]).tolist(), strict=True))
        lost = rng.choice([1.0, 1.0, 0.8, 0.5], size=k)
        shares = np.array(list(weights.values())) * lost
        drawn = rng.multinomial(int(rng.integers(200, 3000)), shares / shares.sum()).tolist()
        counts = dict(zip(names, drawn, strict=True))
        yield _log(rng, counts, {name: n * float(rng.uniform(1, 3)) for name, n in counts.items()}), weights


@split_check.acceptable
def split_check_by_the_statement(answer, rng):
    for log, weights in split_check_inputs(rng):
        want_p, want_version = _result(_users(log, weights), weights)
        p_value, version = answer(log, weights)
        if not math.isclose(p_value, want_p, rel_tol=0.06, abs_tol=1e-9):
            return False
        near = 0.0007 < want_p < 0.0014  # an approximate p-value may fall on either side
        if not near and version != want_version:
            return False
    return True


@split_check.misconception(
    "you counted requests. A version that loses users can still get as many requests as planned, from the users that it keeps. The router splits users, so count each user once.",
)
def counts_requests(log, weights):
    return _result(log["version"].value_counts().reindex(list(weights), fill_value=0), weights)


@split_check.misconception(
    "you expected equally many users for each version. A canary of 10% gets only a tenth of them. Compute the planned users from the weights.",
)
def expects_equal_groups(log, weights):
    return _result(_users(log, weights), dict.fromkeys(weights, 1))


@split_check.misconception(
    "you tested percentages. Then two thousand users count as if they were a hundred, so the test finds hardly anything. Pass counts of users to the test.",
)
def tests_percentages(log, weights):
    from scipy.stats import chisquare

    users = _users(log, weights)
    percent, planned = 100 * users / users.sum(), pd.Series(weights, dtype=float)
    p_value = float(chisquare(percent, planned).pvalue)
    return p_value, (percent / planned).idxmin() if p_value < LEVEL else "none"


@split_check.misconception(
    "you returned the version with the fewest users. A canary has few users by design. Divide the users of each version by its planned users, and take the smallest.",
)
def fewest_users(log, weights):
    users = _users(log, weights)
    p_value, _ = _result(users, weights)
    return p_value, users.idxmin() if p_value < LEVEL else "none"


@split_check.misconception(
    "you reported a loss below a p-value of 0.05. Then one fair experiment in twenty looks broken. Use 0.001.",
)
def at_five_percent(log, weights):
    return _result(_users(log, weights), weights, level=0.05)


@split_check.misconception(
    "you left out a version that nobody got. It has no row in the log, but it has a planned share. Go through the versions in `weights` and count 0 for it.",
)
def only_versions_of_the_log(log, weights):
    users = log.groupby("version")["user_id"].nunique()
    if len(users) < 2:
        return 1.0, "none"
    return _result(users, {name: weights[name] for name in users.index})


@split_check.alternative
def in_plain_python(log, weights):
    from scipy.stats import chi2

    users = {version: set() for version in weights}
    for user, version in zip(log["user_id"], log["version"], strict=True):
        users[version].add(user)
    total = sum(len(each) for each in users.values())
    planned = {version: total * weight / 100 for version, weight in weights.items()}
    statistic = sum((len(users[v]) - planned[v]) ** 2 / planned[v] for v in weights)
    p_value = chi2.sf(statistic, len(weights) - 1)
    if p_value >= 0.001:
        return p_value, "none"
    return p_value, min(weights, key=lambda v: len(users[v]) / planned[v])


@split_check.alternative
def by_the_course(log, weights):
    once = log.drop_duplicates("user_id")["version"].value_counts()
    found = _sample_ratio({version: once.get(version, 0) for version in weights}, weights)
    lost = pd.Series(found.of_planned).idxmin()
    return found.p_value, lost if found.p_value < 0.001 else "none"
