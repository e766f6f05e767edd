"""An hour of requests and five sealed versions, to rehearse a plan and a judge on and to count what they cost."""

import numpy as np

from mlprod_helpers.queueing import poisson
from mlprod_helpers.rollout import Behavior, Plan, Symptom, Version, replay, traffic

AIRPORTS = ("EWR", "JFK", "LGA")
RATE, HOUR = 5, 3600  # requests a second; seconds
AFTERWARDS = 3  # how often as long as the rollout users keep what they have at its end
SHARES = (0.5, 0.38, 0.12)  # of the airports, in an order that is drawn
SLOW_MS = 500
SEALED = ("good", "good but noisy", "bad", "slow", "bad for one airport")


def draw_world(rng, quiet=None):
    """An hour of requests and five new versions.

    A world is a dict: `trace` (a DataFrame, one row a request), `versions` (kind -> (old, new)) and `seed`.
    `quiet` is the airport with the fewest requests, where the last version fails; it is drawn if it is not given.

    >>> world = draw_world(np.random.default_rng(0))
    >>> list(world["versions"])
    ['good', 'good but noisy', 'bad', 'slow', 'bad for one airport']
    """
    order = sorted(rng.permutation(AIRPORTS).tolist(), key=lambda airport: airport == quiet)
    shares = dict(zip(order, SHARES, strict=True))
    arrivals = poisson(RATE, duration=HOUR, random_state=rng)
    trace = traffic(arrivals, users=1500, segments={"origin": shares}, random_state=rng)
    trace = trace.astype({"user_id": "category", "origin": "category"})  # quicker to look up than text
    begin = float(rng.uniform(200, 450))
    outage = Symptom(error_rate=0.3, after=begin, until=begin + 300)
    local = Symptom(error_rate=float(rng.uniform(0.37, 0.45)), where={"origin": min(shares, key=shares.get)})
    news = {
        "good": Behavior(error_rate=float(rng.uniform(0.015, 0.025))),
        "good but noisy": Behavior(error_rate=float(rng.uniform(0.02, 0.03)), spread=0.6, symptoms=outage),
        "bad": Behavior(error_rate=float(rng.uniform(0.18, 0.24))),
        "slow": Behavior(error_rate=0.03, latency_ms=float(rng.uniform(320, 400))),
        # so much better elsewhere, that all airports together show little
        "bad for one airport": Behavior(error_rate=0.02, symptoms=local),
    }
    old = Behavior(error_rate=0.05)
    olds = dict.fromkeys(news, old) | {"good but noisy": Behavior(error_rate=0.05, symptoms=outage)}
    versions = {kind: (Version("old", olds[kind]), Version("new", news[kind])) for kind in SEALED}
    return {"trace": trace, "versions": versions, "seed": int(rng.integers(1 << 30))}


def by_airport(judge):
    """The learner's judge as one that the controller can ask."""

    def judged(metrics):
        views = {airport: metrics.only("origin", airport) for airport in AIRPORTS}
        return judge(
            *(
                {airport: summary(view, role) for airport, view in views.items()}
                for role in ("stable", "canary")
            )
        )

    return judged


def summary(view, role):
    """What the judge is told of one version at one airport. (`Metrics.summary` looks at labels and clicks, too.)"""
    errors, latency = view.values("error", role), view.values("latency_ms", role)
    counts = {"requests": len(errors), "errors": int(errors.sum())}
    if not len(errors):
        return counts | {"error_rate": None, "latency_p50": None, "latency_p99": None}
    latency = np.sort(latency)
    return counts | {
        "error_rate": float(errors.mean()),
        "latency_p50": _percentile(latency, 50),
        "latency_p99": _percentile(latency, 99),
    }


def _percentile(values, percent):
    """As `numpy.percentile` of sorted values, in a tenth of its time for some hundreds."""
    place = (len(values) - 1) * percent / 100
    low = int(place)
    return float(values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low))


def rehearse(plan, judge, world, kind):
    """One rollout of a sealed version: a `RolloutResult`.

    `plan` returns the plan as a dict (see `Plan.from_dict`); `judge` takes the summaries of the stable version and
    of the canary by airport and returns (outcome, reason). `world` is one of `draw_world`, `kind` one of its
    versions.
    """
    plan = Plan.from_dict(plan())
    return replay(
        world["trace"], world["versions"][kind], plan, by_airport(judge), world["seed"], slow_ms=SLOW_MS
    )


def regret(gain, won, weight):
    """Requests that went wrong and need not, while a rollout lasted and `AFTERWARDS` times as long after it.

    With the new version for everybody `gain` requests would go better (negative if it is worse), with the users
    that had it `won` did, and `weight` is the share of the users, 0 to 1, that has it in the end and keeps it.

    >>> regret(-100, -10, 0.0), regret(100, 10, 1.0)
    (10, 90)
    """
    best = max(gain, 0)
    return round(best - won + AFTERWARDS * (best - weight * gain))


def costs(plan, judge, world):
    """What a plan and a judge cost, in requests that went wrong and need not: in the hour and in three hours after it.

    Returns
    -------
    dict
        Kind of version -> (with this plan and judge, with a big bang at which nobody looks, without any release).
    """
    by_kind = {}
    for kind in world["versions"]:
        result = rehearse(plan, judge, world, kind)
        won = result.requests_helped - result.requests_harmed
        mine = regret(result.gain, won, result.final_weight / 100)
        by_kind[kind] = mine, regret(result.gain, result.gain, 1), regret(result.gain, 0, 0)
    return by_kind
