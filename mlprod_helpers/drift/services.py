"""Services whose inputs are watched: one busy one, and twelve of different size for alarm policies."""

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

BUSY = {  # column -> shift in standard deviations; categories: share that moves; minutes of error when shuffled
    "distance": (0.03, 31.0),
    "wind": (0.45, 4.2),
    "temperature": (0.12, 0.3),
    "hour": (0.03, 0.8),
    "carrier": (0.02, 0.6),
    "origin": (0.015, 0.4),
    "seats": (0.05, 0.1),
    "aircraft_age": (0.08, 0.2),
    "pressure": (0.04, 0.1),
    "fuel_price": (1.5, 0.0),
    "taxi_queue": (0.0, 2.1),
    "humidity": (0.06, 0.0),
}


def busy_quarter():
    """Two quarters of a busy service with twelve columns, and the minutes of error that shuffling each column adds.

    >>> reference, current, worth = busy_quarter()
    >>> reference.shape, worth.idxmax()
    ((100000, 12), 'distance')
    """
    n_rows, rng = 100_000, np.random.default_rng(0)
    frames = []
    for moved in (0, 1):
        columns = {}
        for name, (size, _) in BUSY.items():
            if name in ("carrier", "origin"):
                share = np.array([0.4, 0.3, 0.2, 0.1]) + moved * size * np.array([-1, 0, 0, 1])
                columns[name] = rng.choice(list("ABCD"), n_rows, p=share)
            else:
                columns[name] = rng.normal(10 + 2 * moved * size, 2, n_rows)
        hidden = rng.random(n_rows) < (0.11 if moved else 0.015)
        columns["taxi_queue"] = np.where(hidden, np.nan, columns["taxi_queue"])
        frames.append(pd.DataFrame(columns))
    worth = pd.Series({name: minutes for name, (_, minutes) in BUSY.items()}, name="worth")
    return *frames, worth


N_REFERENCE, N_COLUMNS, N_WEEKS = 10_000, 10, 26
PAGE, WEEK, PATIENCE = 1, 5, 2
SIZES = {"few": (60, 110), "some": (600, 1_500), "many": (12_000, 30_000)}  # rows a week
DRIFTS = {"few": (0.6, 0.9), "some": (0.3, 0.38), "many": (0.36, 0.5)}  # sd
QUIET, CRUMB, DRIFT = 0, 1, 2


def spread(rng, k):
    """k numbers between 0 and 1, one in each k-th, in random order: no draw has only easy services."""
    return (rng.permutation(k) + rng.random(k)) / k


def _onsets(rng):
    """A week from 3 to 20 in which drift begins, for three services of each size: (third of these weeks, size).

    Each two weeks have one onset, so that no few weeks are close to all of them.
    """
    pair = 3 * np.arange(3)[:, None] + rng.permuted(np.tile(np.arange(3), (3, 1)), axis=1)
    return 3 + 2 * pair + rng.integers(0, 2, (3, 3))


def draw_services(rng):
    """Twelve services, four of each size, as dicts; the fourth of each size never drifts.

    `size` (a key of `SIZES`), `n` (rows a week), `crumb` and `onset` (weeks; `N_WEEKS` for never) and `psi`, shape
    (3 states, `N_WEEKS`, `N_COLUMNS`). Those with many rows also move by a crumb, 0.08 to 0.1 sd in three columns,
    that harms nobody.

    >>> services = draw_services(np.random.default_rng(0))
    >>> len(services), services[0]["psi"].shape
    (12, (3, 26, 10))
    """
    services, onsets = [], _onsets(rng)
    for (size, (low, high)), weeks in zip(SIZES.items(), onsets.T.tolist(), strict=True):
        # the three that drift are spread, and the one with the fewest rows drifts last: one limit for all never fits by luck
        rows = low * (high / low) ** np.append(np.sort(spread(rng, 3)), rng.random())
        weakest, strongest = DRIFTS[size]
        drifts = weakest + (strongest - weakest) * np.append(spread(rng, 3), 1)
        for n, sd, onset in zip(rows.astype(int).tolist(), drifts, [*weeks[::-1], N_WEEKS], strict=True):
            shift = np.zeros((3, N_COLUMNS))
            if size == "many":
                shift[CRUMB:, rng.permutation(N_COLUMNS)[:3]] = rng.uniform(0.08, 0.1)
            shift[DRIFT, rng.permutation(N_COLUMNS)[:3]] = sd
            edges = ndtri(
                np.cumsum(rng.dirichlet(np.full(10, N_REFERENCE / 10), size=N_COLUMNS), axis=1)[:, :-1]
            )
            mass = np.diff(ndtr(edges - shift[..., None]), prepend=0.0, append=1.0, axis=-1)
            mass /= mass.sum(axis=-1, keepdims=True)
            share = (rng.multinomial(n, mass[:, None], size=(3, N_WEEKS, N_COLUMNS)) + 0.5) / (n + 5)
            services.append(
                {
                    "size": size,
                    "n": n,
                    "crumb": int(rng.integers(2, 6)) if size == "many" else N_WEEKS,
                    "onset": onset,
                    "psi": ((share - 0.1) * np.log(share / 0.1)).sum(axis=-1).round(5),
                }
            )
    return services


def watch(policy, service):
    """The cost of one service's half year under a policy. After two false pages nobody reads its pages any more.

    Parameters
    ----------
    policy : callable
        Takes an observation (`week`, `n_reference`, `n_current`, `psi` by column) and its memory, returns (page, memory).
    service : dict. One of `draw_services`.
    """
    memory, false_pages, repaired, cost = {}, 0, False, 0
    for week in range(N_WEEKS):
        drift = week >= service["onset"] and not repaired
        state = DRIFT if drift else CRUMB if week >= service["crumb"] else QUIET
        observation = {
            "week": week,
            "n_reference": N_REFERENCE,
            "n_current": service["n"],
            "psi": service["psi"][state, week],
        }
        page, memory = policy(observation, memory)
        cost += PAGE * page + WEEK * drift
        if page and drift and false_pages < PATIENCE:
            repaired = True
        elif page and not drift:
            false_pages += 1
    return cost


def cost_by_size(policy, services):
    """The cost of a policy for the services with few, some and many rows: size -> cost.

    >>> services = draw_services(np.random.default_rng(0))
    >>> sorted(cost_by_size(never, services))
    ['few', 'many', 'some']
    """
    costs = dict.fromkeys(SIZES, 0)
    for service in services:
        costs[service["size"]] += watch(policy, service)
    return costs


def never(observation, memory):
    """The baseline that never pages."""
    return False, memory


def usual_limit(observation, memory):
    """The baseline "PSI above 0.1"."""
    return max(observation["psi"]) > 0.1, memory
