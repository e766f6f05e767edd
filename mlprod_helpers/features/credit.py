"""A small bank that learns only from the loans it gave: a refused applicant never gets a label."""

from __future__ import annotations

import numpy as np

KINDS = ("steady", "early", "late", "closed")
N_WEEKS, N_BANDS, N_APPLICANTS = 60, 8, 40  # of a game; bands of applicants; applicants a week and a band
DELAY, WINDOW = 4, 12  # weeks until a label; weeks of labels for a training
N_NEEDED = 15  # labels a band needs
EARNS, LOSES, TRAINING = 0.1, 0.4, 4.0  # thousand dollars: a repaid loan, a lost one, one training
BREAK_EVEN = EARNS / (EARNS + LOSES)
_HISTORY = DELAY + WINDOW


def draw_bank(rng, kind):
    """The applicants of one bank, for 60 weeks and for the 16 weeks before them.

    Parameters
    ----------
    rng : numpy Generator
    kind : {"steady", "early", "late", "closed"}
        Nothing changes; three bands that the bank refuses become good, in weeks 4 to 7 or in weeks 20 to 23; a band that
        it approves goes bad.

    Returns
    -------
    dict
        `kind`, `approves` (what the first model does, a bool a band), `rate` (true share of lost loans, a week and a
        band), `lost` (how many of the first k applicants would not repay, a week, a band and a k), `luck` (numbers
        between 0 and 1 that round the number of explored applicants).

    >>> bank = draw_bank(np.random.default_rng(0), "early")
    >>> bank["rate"].shape, int(bank["approves"].sum())
    ((76, 8), 4)
    """
    n = _HISTORY + N_WEEKS
    approves = rng.permutation(N_BANDS) < N_BANDS // 2
    level = np.where(approves, rng.uniform(0.05, 0.12, N_BANDS), rng.uniform(0.3, 0.42, N_BANDS))
    rate = np.tile(level, (n, 1))
    first = {"early": 4, "late": 20, "closed": 6}.get(kind, 0) + int(rng.integers(0, 4)) + _HISTORY
    if kind in ("early", "late"):
        for band in rng.permutation(np.flatnonzero(~approves))[:3]:
            rate[first:, band] = rng.uniform(0.02, 0.05)
    elif kind == "closed":
        rate[first:, rng.choice(np.flatnonzero(approves))] = rng.uniform(0.4, 0.5)
    fails = rng.random((n, N_BANDS, N_APPLICANTS)) < rate[:, :, None]
    lost = np.concatenate([np.zeros((n, N_BANDS, 1), int), fails.cumsum(axis=2)], axis=2)
    luck = rng.random((n, N_BANDS))
    return {"kind": kind, "approves": approves, "rate": rate, "lost": lost, "luck": luck}


def play(policy, bank):
    """What a policy costs one bank in 60 weeks, in thousand dollars.

    Parameters
    ----------
    policy : callable
        ``policy(observation, memory)`` returns (share of the refused to approve at random, whether to retrain, memory).
        An observation has the `week`, and for each band what the model `approves`, how many `labels` of the last 12
        weeks of labels there are, and how many of these loans were `lost`; `age` counts the weeks since the training.
    bank : dict. From `draw_bank`.

    Returns
    -------
    float
        What somebody who knows the true rates would have earned more, plus the trainings. Expected amounts, so that no
        policy is lucky with the single loans.

    >>> steady = draw_bank(np.random.default_rng(0), "steady")
    >>> play(lambda observation, memory: (0, False, memory), steady)
    0.0
    """
    lost, luck, margin = bank["lost"], bank["luck"], EARNS - (EARNS + LOSES) * bank["rate"]
    best = np.maximum(margin, 0)
    bands = np.arange(N_BANDS)
    estimate = np.where(bank["approves"], 0.0, 1.0)  # all that the first training is asked for
    given, bad = np.zeros(luck.shape, int), np.zeros(luck.shape, int)
    given[:_HISTORY] = N_APPLICANTS * bank["approves"]
    bad[:_HISTORY] = lost[:_HISTORY, :, -1] * bank["approves"]
    memory, cost, trained = {}, 0.0, _HISTORY
    for now in range(_HISTORY, len(luck)):
        known = slice(now - DELAY - WINDOW, now - DELAY)
        labels, lost_then = given[known].sum(axis=0), bad[known].sum(axis=0)
        observation = {
            "week": now - _HISTORY,
            "approves": (estimate < BREAK_EVEN).tolist(),
            "labels": labels.tolist(),
            "lost": lost_then.tolist(),
            "age": now - trained,
        }
        share, retrain, memory = policy(observation, memory)
        if retrain:
            enough = labels >= N_NEEDED
            estimate = np.where(enough, lost_then / np.maximum(labels, 1), estimate)
            trained, cost = now, cost + TRAINING
        explored = np.floor(share * N_APPLICANTS + luck[now]).astype(int)
        given[now] = np.where(estimate < BREAK_EVEN, N_APPLICANTS, explored)
        bad[now] = lost[now, bands, given[now]]
        cost += (N_APPLICANTS * best[now] - given[now] * margin[now]).sum()
    return float(cost)


def cost_by_kind(policy, banks):
    """The cost of a policy in thousand dollars, summed over the banks of each kind, and in all.

    >>> banks = [draw_bank(np.random.default_rng(0), "steady")]
    >>> cost_by_kind(lambda observation, memory: (0, observation["week"] == 8, memory), banks)
    {'steady': 4.0, 'all': 4.0}
    """
    costs = {}
    for bank in banks:
        costs[bank["kind"]] = costs.get(bank["kind"], 0.0) + play(policy, bank)
    return costs | {"all": sum(costs.values())}


def draw_banks(rng):
    """Eight banks, two of each kind.

    >>> [bank["kind"] for bank in draw_banks(np.random.default_rng(0))][:3]
    ['steady', 'steady', 'early']
    """
    return [draw_bank(rng, kind) for kind in KINDS for _ in range(2)]
