"""Five recorded afternoons, for policies that give a new version its share of the users."""

from typing import NamedTuple

import numpy as np

from mlprod_helpers.rollout.rehearsal import regret
from mlprod_helpers.serving.lab.recorded_runs import LATE_MS, OFF_MIN, SHIFT_S, draw_afternoon

TICK = 3.0  # seconds between two looks
AFTERNOONS = {
    "good": "v2 predicts better than v1 and is as fast, except for three seconds",
    "slow": "v2 predicts better than v1, but takes 0.3 s longer",
    "fails": "v2 predicts as well as v1, but fails for 5% of the requests",
    "wrong": "v2 is as fast as v1, but predicts worse, which only the late labels show",
    "burst": "v2 predicts slightly better than v1; both versions fail for some seconds, and later both are slow",
}


class Played(NamedTuple):
    """The weights of each look and what they cost, in requests that went wrong and need not have."""

    weights: np.ndarray
    cost: float


class Afternoon:
    """A recorded afternoon, dealt to two versions by a policy's weights; `draw_shift` draws five."""

    def __init__(self, name, rng):
        both = draw_afternoon(name, rng)
        self.name = name
        self._place, self._second = both["place"].to_numpy(), both["second"].to_numpy()
        self._label_second = both["label_second"].to_numpy()
        self._of, bad = {}, {}
        for role, version in (("stable", "v1"), ("canary", "v2")):
            columns = {name: both[f"{name}_{version}"].to_numpy() for name in ("failed", "latency", "error")}
            is_off = np.nan_to_num(columns["error"], nan=0.0) > OFF_MIN
            self._of[role] = columns
            bad[role] = columns["failed"] | (columns["latency"] > LATE_MS) | is_off
        # +1: went wrong because of v2; -1: would go wrong with v1 only
        self._harm = bad["canary"].astype(int) - bad["stable"].astype(int)
        self._ticks = int(SHIFT_S // TICK) - 1

    def play(self, policy):
        """Run a policy, (observation, memory) -> (weight, memory), through the afternoon. Returns `Played`."""
        weight, memory, weights = 0.0, {}, []
        is_canary = np.zeros(len(self._second), dtype=bool)
        for tick in range(1, self._ticks + 1):
            window = slice(*np.searchsorted(self._second, ((tick - 1) * TICK, tick * TICK)))
            is_canary[window] = self._place[window] < weight / 100
            weights.append(weight)
            weight, memory = policy(self._observe(tick, window, is_canary, weight), memory)
        rest = slice(int(np.searchsorted(self._second, self._ticks * TICK)), None)
        is_canary[rest] = self._place[rest] < weight / 100
        return Played(np.array([*weights, weight]), self._cost(is_canary, weight))

    def _observe(self, tick, window, is_canary, weight):
        observation = {"tick": tick, "weight": weight}
        known = np.flatnonzero(self._label_second[: window.stop] <= tick * TICK)  # NaN: never
        for role, columns in self._of.items():
            is_own = is_canary if role == "canary" else ~is_canary
            own = np.flatnonzero(is_own[window]) + window.start
            errors = columns["error"][known[is_own[known]]]
            errors = errors[~np.isnan(errors)]
            observation[role] = {
                "requests": len(own),
                "errors": int(columns["failed"][own].sum()),
                "p50": round(float(np.median(columns["latency"][own])), 1) if len(own) else None,
                "labels": len(errors),
                "off": round(float(np.mean(errors > OFF_MIN)), 3) if len(errors) else None,
            }
        return observation

    def _cost(self, is_canary, last_weight):
        return regret(-self._harm.sum(), -self._harm[is_canary].sum(), last_weight / 100)

    def baselines(self):
        """The costs if everybody gets v2 at once and keeps it, and if nobody ever gets it."""
        everybody = np.ones(len(self._harm), dtype=bool)
        return self._cost(everybody, 100), self._cost(~everybody, 0)


def draw_shift(rng):
    """Five recorded afternoons, in a drawn order, with users dealt anew.

    >>> sorted(str(afternoon.name) for afternoon in draw_shift(np.random.default_rng(1)))
    ['burst', 'fails', 'good', 'slow', 'wrong']
    """
    return [Afternoon(name, rng) for name in rng.permutation(list(AFTERNOONS))]


def costs(policy, afternoons):
    """What a policy costs on each afternoon, in requests.

    Parameters
    ----------
    policy : (observation, memory) -> (weight, memory)
    afternoons : what `draw_shift` drew

    Returns
    -------
    dict : name -> (cost, cost of giving v2 to everybody at once, cost of never releasing it)

    >>> never = costs(lambda observation, memory: (0, memory), draw_shift(np.random.default_rng(1)))
    >>> all(cost == of_never for cost, _, of_never in never.values())
    True
    """
    return {one.name: (one.play(policy).cost, *one.baselines()) for one in afternoons}
