"""Does a record keep its promises? Traffic around the stated load is drawn again, and the claims are counted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import bdtr

from mlprod_helpers.checklist.measures import METRICS, PERCENTILES, SIMULATED, convert
from mlprod_helpers.checklist.parts import RecordError, figure_of, need_number
from mlprod_helpers.queueing.laws import as_law

# A claim is missed when luck explains its failures in less than one case of a hundred.
_LUCK = 0.01


@dataclass(frozen=True, eq=False)
class Replay:
    """What `replay_record` found.

    Attributes
    ----------
    draws : DataFrame, index `draw`: `rate`, `requests`, and each replayed metric in its unit of `METRICS`
    claims : DataFrame, one row a replayed claim: `row`, `claim`, `metric`, `promised` (share of the draws), `kept` (share
        of the draws), `luck` (probability of so many failures if the promise were just true), `met`
    not_replayed : tuple of texts, claims that traffic says nothing about
    """

    draws: pd.DataFrame
    claims: pd.DataFrame
    not_replayed: tuple
    _thresholds: tuple = ()

    @property
    def met(self):
        """True when there were claims to replay and each of them was met."""
        return len(self.claims) > 0 and bool(self.claims["met"].all())

    @property
    def reason(self):
        """What happened, in words."""
        if self.claims.empty:
            return "Nothing to replay: no claim on latency, throughput, utilization or drops has a threshold."
        told = []
        for claim in self.claims.itertuples():
            kept = round(claim.kept * len(self.draws))
            state = "is met" if claim.met else "is missed"
            told.append(f'"{claim.claim}" {state}: kept in {kept} of {len(self.draws)} draws.')
        return " ".join(told)

    def plot(self):
        """The first replayed latency percentile, draw by draw, beside its threshold."""
        from mlprod_helpers import plots

        shown = [
            claim for claim in self._thresholds if claim.metric in PERCENTILES or len(self._thresholds) == 1
        ]
        if not shown:
            raise RecordError("No claim was replayed that could be drawn.")
        claim = shown[0]
        unit = METRICS[claim.metric].unit
        values = self.draws[claim.metric].to_numpy()
        kept = np.array([claim.meets(value, unit) for value in values])
        fig, ax = plots.figure(size=(7.0, 3.4))
        finite = np.isfinite(values)
        for mask, color in ((kept, plots.BLUE), (~kept, plots.RED)):
            ax.plot(self.draws["rate"][mask & finite], values[mask & finite], "o", color=color, markersize=6)
        ax.axhline(convert(claim.threshold, claim.unit, unit), color=plots.INK, linewidth=1.2, linestyle="--")
        ax.set(xlabel="requests a second", ylabel=f"{claim.metric} ({unit})", ylim=(0, None))
        ax.set_title(str(claim))
        return plots.show(
            fig, alt=f"{claim.metric} of {len(values)} draws of traffic; dashed the threshold. {self.reason}"
        )

    def __repr__(self):
        return f"Replay({self.reason})"


def replay_record(record, *, rate=None, service=None, spread=0.05, runs=20, random_state=None):
    """Draw traffic around the load that a record states, and count how often each of its claims is kept.

    Each draw has its own rate, uniform within `spread` of the load, and lasts as long as the record's sizing says. A
    claim is missed when it fails so often that luck explains it in less than 1 % of the cases (one-sided binomial test
    against the share of draws that it promises).

    Parameters
    ----------
    record : Record with a sizing
    rate : float, requests a second that really come; the record's own if not given
    service : law of the service time that is really needed; the record's own if not given
    spread : float, 0.05 draws rates from 95 % to 105 %
    runs : int, draws
    random_state : int, Generator or None

    Returns
    -------
    Replay

    Raises
    ------
    RecordError : a record without a sizing.

    >>> from mlprod_helpers.checklist import Claim, Record, Sizing
    >>> from mlprod_helpers.queueing import Lognormal
    >>> sizing = Sizing(rate=40.0, servers=3, service=Lognormal(0.05, cv=1.0), seconds=60)
    >>> record = Record(sizing=sizing, latency=[Claim(metric="p99", at_most=300, unit="ms")])
    >>> print(replay_record(record, random_state=0).reason)
    "99 % of the answers come within 300 ms" is missed: kept in 14 of 20 draws.
    """
    if record.sizing is None:
        raise RecordError(
            "The record has no sizing: state rate, servers and service time, or there is nothing to replay."
        )
    sizing = record.sizing
    rate = sizing.rate if rate is None else need_number(rate, "rate", low=0)
    service = sizing.service if service is None else as_law(service)
    if not 0 <= spread < 1:
        raise RecordError(f"spread is {spread}, but it is a share from 0 to below 1.")
    if runs < 1:
        raise RecordError(f"runs is {runs}, but it takes one draw at least.")
    replayed, others = [], []
    for row, claim in record.claims():
        (replayed if _can_be_replayed(claim) else others).append((row, claim))
    draws = _drawn(sizing, rate, service, spread, runs, [claim.metric for _, claim in replayed], random_state)
    rows = [_verdict(row, claim, draws[claim.metric]) for row, claim in replayed]
    columns = ["row", "claim", "metric", "promised", "kept", "luck", "met"]
    return Replay(
        draws,
        pd.DataFrame(rows, columns=columns),
        tuple(str(claim) for _, claim in others),
        tuple(claim for _, claim in replayed),
    )


def _can_be_replayed(claim):
    if claim.metric not in SIMULATED or claim.threshold is None:
        return False
    try:
        return claim.meets(1.0, METRICS[claim.metric].unit) is not None
    except ValueError:  # a unit that means nothing here; lint tells it
        return False


def _drawn(sizing, rate, service, spread, runs, metrics, random_state):
    rng = np.random.default_rng(random_state)
    rows = []
    for _ in range(runs):
        own = rate * rng.uniform(1 - spread, 1 + spread)
        run = sizing.run(rng, rate=own, service=service)
        rows.append({"rate": own, "requests": len(run)} | {name: figure_of(run, name) for name in metrics})
    return pd.DataFrame(rows, columns=list(dict.fromkeys(["rate", "requests", *metrics]))).rename_axis("draw")


def _verdict(row, claim, values):
    unit = METRICS[claim.metric].unit
    # a draw without a request breaks no promise
    kept = np.array([np.isnan(value) or claim.meets(value, unit) for value in values])
    luck = float(bdtr(float(kept.sum()), len(kept), claim.share))  # the binomial distribution
    met = luck >= _LUCK if claim.share < 1 else bool(kept.all())
    return row, str(claim), claim.metric, claim.share, float(kept.mean()), luck, met
