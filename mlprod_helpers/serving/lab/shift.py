"""Five recorded afternoons, for policies that give a new version its share of the users."""

import numpy as np

from mlprod_helpers.rollout.rehearsal import regret
from mlprod_helpers.serving.lab import recorded_runs
from mlprod_helpers.serving.lab.recorded_runs import LATE_MS, OFF_MIN, SHIFT_S

TICK = 3.0  # seconds between two looks
AFTERNOONS = {
    "good": "answers better, as fast",
    "slow": "answers better, but late",
    "fails": "answers as before, fails for 5%",
    "wrong": "as fast, but answers worse: the labels tell, and they come late",
    "burst": "answers better; both versions fail for some seconds, and later both are slow for a while",
}


class Afternoon:
    """A recorded afternoon, dealt to two versions by a policy's weights."""

    def __init__(self, name, rng):
        both = recorded_runs.draw_afternoon(name, rng)
        self.name, self.both = name, both
        self.place = both["place"].to_numpy()
        self.second = both["second"].to_numpy()
        self.label_second = both["label_second"].to_numpy()
        self.of = {}
        for role, version in (("stable", "v1"), ("canary", "v2")):
            failed, latency, error = (
                both[f"{what}_{version}"].to_numpy() for what in ("failed", "latency", "error")
            )
            bad = failed | (latency > LATE_MS) | (np.nan_to_num(error, nan=0.0) > OFF_MIN)
            self.of[role] = {"failed": failed, "latency": latency, "error": error, "bad": bad}
        bad = self.of["canary"]["bad"].astype(int) - self.of["stable"]["bad"].astype(int)
        self.harm = bad  # +1: went wrong because of v2; -1: would go wrong with v1 only
        self.ticks = int(SHIFT_S // TICK) - 1

    def play(self, policy):
        """The weights of each tick, and what the policy saw."""
        weight, memory, weights, seen = 0.0, {}, [], []
        mine = np.zeros(len(self.second), dtype=bool)
        for tick in range(1, self.ticks + 1):
            window = slice(*np.searchsorted(self.second, ((tick - 1) * TICK, tick * TICK)))
            mine[window] = self.place[window] < weight / 100
            weights.append(weight)
            observation = self._observed(tick, window, mine, weight)
            weight, memory = policy(observation, memory)
            seen.append((observation, weight))
        rest = slice(int(np.searchsorted(self.second, self.ticks * TICK)), None)
        mine[rest] = self.place[rest] < weight / 100
        return Shift(self, np.array([*weights, weight]), mine, seen)

    def _observed(self, tick, window, mine, weight):
        observation = {"tick": tick, "weight": weight}
        known = np.flatnonzero(self.label_second[: window.stop] <= tick * TICK)  # NaN: never
        for role, of in self.of.items():
            got = mine if role == "canary" else ~mine
            here = np.flatnonzero(got[window]) + window.start
            errors = of["error"][known[got[known]]]
            errors = errors[~np.isnan(errors)]
            observation[role] = {
                "requests": len(here),
                "errors": int(of["failed"][here].sum()),
                "p50": round(median(of["latency"][here]), 1) if len(here) else None,
                "labels": len(errors),
                "off": round(float(np.mean(errors > OFF_MIN)), 3) if len(errors) else None,
            }
        return observation

    def cost(self, shift):
        """Requests that went wrong and need not, during the trace and after it."""
        return self._regret(shift.mine, shift.weights[-1])

    def _regret(self, mine, last):
        return regret(-self.harm.sum(), -self.harm[mine].sum(), last / 100)

    def baselines(self):
        """(everybody gets v2 at once and keeps it, nobody ever gets it)."""
        everybody = np.ones(len(self.harm), dtype=bool)
        return self._regret(everybody, 100), self._regret(~everybody, 0)


def median(values):
    """As `numpy.median`, in a tenth of its time for a dozen values."""
    values = np.sort(values)
    return float((values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2)


class Shift:
    """What one policy did on one afternoon."""

    def __init__(self, afternoon, weights, mine, seen):
        self.afternoon, self.weights, self.mine, self.seen = afternoon, weights, mine, seen

    @property
    def cost(self):
        return self.afternoon.cost(self)


def draw_shift(rng):
    """Five recorded afternoons, in a drawn order, with users dealt anew."""
    return [Afternoon(name, rng) for name in rng.permutation(list(AFTERNOONS))]


def costs(policy, afternoons):
    """What a policy costs, by afternoon: (mine, big bang and nobody looks, never release).

    Parameters
    ----------
    policy : (observation, memory) -> (weight, memory)
    afternoons : what `draw_shift` drew

    Returns
    -------
    dict : name -> (cost, cost of the big bang, cost of never releasing), in requests
    """
    return {one.name: (one.play(policy).cost, *one.baselines()) for one in afternoons}
