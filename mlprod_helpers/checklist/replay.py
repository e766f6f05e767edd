"""Does a record keep its promises? Traffic around the stated load is drawn again, and the claims are counted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import bdtr

from mlprod_helpers.checklist.fields import RecordError
from mlprod_helpers.checklist.measures import METRICS, SIMULATED
from mlprod_helpers.checklist.parts import figure_of

# A claim is missed when luck explains its failures in less than one case of a hundred.
_LUCK = 0.01
# Rates are drawn from 95% to 105% of the load.
_SPREAD = 0.05


@dataclass(frozen=True, eq=False)
class Replay:
    """What `replay_record` drew and counted.

    Attributes
    ----------
    draws : DataFrame, index `draw`: `rate`, `requests`, and each replayed metric in its unit of `METRICS`
    claims : DataFrame, one row a replayed claim: `row`, `claim`, `metric`, `promised` (share of the draws), `kept` (share
        of the draws), `luck` (probability of so many failures if the promise were just true), `met`
    """

    draws: pd.DataFrame
    claims: pd.DataFrame

    @property
    def met(self):
        """True when there were claims to replay and each of them was met."""
        return len(self.claims) > 0 and bool(self.claims["met"].all())

    @property
    def reason(self):
        """What happened, in words."""
        if self.claims.empty:
            return "Nothing to replay: no claim on latency, throughput or utilization has a threshold."
        sentences = []
        for claim in self.claims.itertuples():
            kept = round(claim.kept * len(self.draws))
            state = "is met" if claim.met else "is missed"
            sentences.append(f'"{claim.claim}" {state}: kept in {kept} of {len(self.draws)} draws.')
        return " ".join(sentences)

    def __repr__(self):
        return f"Replay({self.reason})"


def replay_record(record, *, rate=None, service=None, runs=20, random_state=None):
    """Draw traffic around the load that a record states, and count how often each of its claims is kept.

    Each draw has its own rate, uniform within 5% of the load, and lasts as long as the record's sizing says. A
    claim is missed when it fails so often that luck explains it in less than 1% of the cases (one-sided binomial
    test against the share of draws that it promises).

    Parameters
    ----------
    record : Record with a sizing
    rate : float, requests a second that really come; the record's own if not given
    service : law of the service time that is really needed; the record's own if not given
    runs : int, draws
    random_state : int, Generator or None

    >>> from mlprod_helpers.checklist import Claim, Record, Sizing
    >>> from mlprod_helpers.queueing import Lognormal
    >>> sizing = Sizing(rate=40.0, servers=3, service=Lognormal(0.05, cv=1.0), seconds=60)
    >>> record = Record(sizing=sizing, latency=[Claim(metric="p99", at_most=300, unit="ms")])
    >>> print(replay_record(record, random_state=0).reason)
    "99% of the answers come within 300 ms" is missed: kept in 14 of 20 draws.
    """
    if record.sizing is None:
        raise RecordError(
            "The record has no sizing: state rate, servers and service time, or there is nothing to replay."
        )
    if runs < 1:
        raise RecordError(f"runs is {runs}, but it takes one draw at least.")
    rate = record.sizing.rate if rate is None else rate
    replayed = [(row, claim) for row, claim in record.claims() if _can_be_replayed(claim)]
    metrics = [claim.metric for _, claim in replayed]
    draws = _draw(record.sizing, rate, service, runs, metrics, np.random.default_rng(random_state))
    rows = [_judge(row, claim, draws[claim.metric]) for row, claim in replayed]
    columns = ["row", "claim", "metric", "promised", "kept", "luck", "met"]
    return Replay(draws, pd.DataFrame(rows, columns=columns))


def _can_be_replayed(claim):
    if claim.metric not in SIMULATED or claim.threshold is None:
        return False
    try:
        return claim.meets(1.0, METRICS[claim.metric].unit) is not None
    except ValueError:  # a unit that means nothing here; lint tells it
        return False


def _draw(sizing, rate, service, runs, metrics, rng):
    rows = []
    for _ in range(runs):
        own = rate * rng.uniform(1 - _SPREAD, 1 + _SPREAD)
        run = sizing.run(rng, rate=own, service=service)
        rows.append({"rate": own, "requests": len(run)} | {name: figure_of(run, name) for name in metrics})
    return pd.DataFrame(rows, columns=list(dict.fromkeys(["rate", "requests", *metrics]))).rename_axis("draw")


def _judge(row, claim, values):
    unit = METRICS[claim.metric].unit
    # a draw without a request breaks no promise
    kept = np.array([np.isnan(value) or claim.meets(value, unit) for value in values])
    luck = float(bdtr(float(kept.sum()), len(kept), claim.share))  # the binomial distribution
    met = luck >= _LUCK if claim.share < 1 else bool(kept.all())
    return row, str(claim), claim.metric, claim.share, float(kept.mean()), luck, met
