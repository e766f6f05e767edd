"""What is wrong with a deployment record, row by row, and what to do about it."""

import re
from dataclasses import dataclass

from mlprod_helpers.checklist.measures import MEMORY, METRICS, PERCENTILES, convert, dimension, in_words
from mlprod_helpers.checklist.parts import Rollback
from mlprod_helpers.checklist.record import CLAIMS, DECISIONS, ROWS, TEXTS

# If one draw in four failed, ten in a row would still all pass by luck in 6 % of the cases: fewer prove little.
MIN_DRAWS = 10

_VAGUE = re.compile(
    r"\b(?:(?:fast|good|quick|low|high|secure|safe|small|big|cheap|accurate) enough|as (?:soon|fast|far) as possible"
    r"|as needed|if (?:necessary|needed)|when(?:ever)? (?:something|anything|it) (?:goes wrong|breaks|fails)|asap"
    r"|best effort|regularly|somebody|someone|everybody|everyone|the team|to be (?:decided|defined|done)|tb[acd]|todo"
    r"|industry standard|state of the art|robust|scalable|performant|real[- ]?time enough)\b|^\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """One thing to repair: the row, the kind of problem, and what to do.

    >>> print(Finding("owner", "missing", "Name the rota."))
    owner, missing: Name the rota.
    """

    row: str
    problem: str
    message: str

    def __str__(self):
        return f"{self.row}, {self.problem}: {self.message}"


class Findings(tuple):
    """What `lint` found: a tuple of `Finding`, empty when there is nothing to repair.

    >>> print(Findings())
    No findings: every row is answered and every claim has its evidence.
    """

    __slots__ = ()

    @property
    def problems(self):
        """The kinds of problem, each once."""
        return sorted({finding.problem for finding in self})

    def of(self, row=None, problem=None):
        """The findings of one row, or of one kind of problem."""
        return Findings(
            f for f in self if (row is None or f.row == row) and (problem is None or f.problem == problem)
        )

    def __repr__(self):
        if not self:
            return "No findings: every row is answered and every claim has its evidence."
        head = f"{len(self)} finding{'s' if len(self) > 1 else ''}:"
        return "\n".join([head, *(f"- {finding}" for finding in self)])

    __str__ = __repr__


def lint(record):
    """What is missing, vague, unproven or contradicted in a record.

    The kinds of problem: `missing` (a row or a part of it), `vague` (words where a figure belongs), `no evidence`,
    `contradicted` (the evidence says otherwise), `unit`, `one seed` (too few draws of random traffic), `other load`
    (evidence for less traffic or more servers than stated), `source` (nobody could repeat it), `inconsistent` (two rows
    that cannot both be true).

    Parameters
    ----------
    record : Record

    Returns
    -------
    Findings : in the order of the rows.
    """
    found = []
    for rule in (
        _texts,
        _decisions,
        _claim_rows,
        _claims,
        _sizing,
        _rollout,
        _rollback,
        _monitoring,
        _together,
    ):
        found += rule(record)
    order = list(ROWS)
    return Findings(sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.row)))


def is_vague(text):
    """Whether a text says something that nobody could check.

    >>> is_vague("as soon as possible"), is_vague("within 5 minutes"), is_vague("TBD"), is_vague("eta-oncall rota")
    (True, False, True, False)
    """
    return bool(_VAGUE.search(text))


def _texts(record):
    todo = {
        "service": "Say what it answers and for whom, in one line.",
        "owner": "Name the person or rota that answers for the service.",
        "baseline": "Say what today's way reaches (a figure) and what answers when the model cannot.",
    }
    for name in TEXTS:
        text = getattr(record, name)
        if not text.strip():
            yield Finding(name, "missing", todo[name])
        elif is_vague(text):
            yield Finding(name, "vague", f'"{text}" names nobody and nothing. {todo[name]}')


def _decisions(record):
    for name in DECISIONS:
        decision, row = getattr(record, name), ROWS[name]
        if not decision.choice:
            options = ", ".join(row.options)
            yield Finding(name, "missing", f"{row.question} Choose one of: {options}.")
        elif not decision.why.strip():
            yield Finding(
                name, "missing", f'Why "{decision.choice}"? Give the reason that others could question.'
            )
        elif is_vague(decision.why):
            yield Finding(
                name,
                "vague",
                f'"{decision.why}" is no reason that anybody could check. Say what follows from what.',
            )


def _claim_rows(record):
    """Rows that need a claim, and of what kind."""
    for name in CLAIMS:
        if not getattr(record, name):
            yield Finding(name, "missing", f"{ROWS[name].question} Claim it, with a threshold and evidence.")
    metrics = [claim.metric for claim in record.latency]
    # a vague claim is told as such, and only once
    stated = any(claim.threshold is not None for claim in record.latency)
    if stated and record.serving.choice == "realtime" and not set(metrics) & set(PERCENTILES):
        yield Finding(
            "latency", "missing", "A mean hides the slow answers. Claim a percentile too, such as p99."
        )
    every = {claim.metric for _, claim in record.claims()}
    if record.compute.choice and not every & set(MEMORY):
        yield Finding("compute", "missing", "How much memory does it take? Claim peak_memory or model_bytes.")
    if record.place.choice in ("edge", "browser") and not every & {"model_bytes", "download_time"}:
        told = "Every device loads the model. Claim model_bytes or download_time."
        yield Finding("place", "missing", told)


def _claims(record):
    for row, claim in record.claims():
        yield from _threshold(row, claim)
        if claim.evidence is None:
            if claim.threshold is not None:
                todo = (
                    "Simulate, measure, or read it from a log: from_sizing, from_log, measured make evidence."
                )
                yield Finding(row, "no evidence", f'Nothing proves "{claim}". {todo}')
            continue
        yield from _evidence(row, claim, record)


def _threshold(row, claim):
    if claim.threshold is None:
        todo = 'such as Claim(metric="p99", at_most=200, unit="ms")'
        yield Finding(
            row, "vague", f'"{claim}" is no figure. State a metric, a threshold and its unit, {todo}.'
        )
        return
    if not claim.metric:
        yield Finding(row, "vague", f'"{claim}" has a threshold, but of what? Name the metric.')
        return
    known = METRICS.get(claim.metric)
    if known is None:
        return
    if dimension(claim.unit) != dimension(known.unit) and known.unit:
        unit = repr(claim.unit) if claim.unit else "none"
        yield Finding(
            row, "unit", f'"{claim}": the unit is {unit}, but {claim.metric} is measured in {known.unit}.'
        )
    if (claim.at_most is None) == (known.better == "low"):
        side = "at_most" if known.better == "low" else "at_least"
        yield Finding(
            row, "inconsistent", f'"{claim}" promises the wrong side of {claim.metric}: use {side}.'
        )


def _evidence(row, claim, record):
    evidence = claim.evidence
    if not evidence.how.strip() or not evidence.conditions:
        lacks = (
            "how it was made" if not evidence.how.strip() else "its conditions (load, seeds, machine, rows)"
        )
        yield Finding(
            row, "source", f'The evidence for "{claim}" does not say {lacks}: nobody could repeat it.'
        )
    if claim.threshold is not None and not claim.comparable:
        units = f"{evidence.unit or 'no unit'} against {claim.unit or 'no unit'}"
        yield Finding(row, "unit", f'"{claim}" and its evidence cannot be compared: {units}.')
    if claim.holds is False:
        yield Finding(row, "contradicted", f'"{claim}" {_missed(claim)}. Change the service or the promise.')
    if evidence.source == "simulation" and len(evidence.draws) < MIN_DRAWS:
        many = "one draw" if len(evidence.draws) < 2 else f"{len(evidence.draws)} draws"
        todo = f"Repeat it with at least {MIN_DRAWS} seeds"
        yield Finding(
            row, "one seed", f'"{claim}" rests on {many} of random traffic; the next day differs. {todo}.'
        )
    yield from _conditions(row, claim, record.sizing)


def _missed(claim):
    draws = claim.evidence.draws
    if len(draws) < 2:
        return f"is contradicted by its evidence, {in_words(claim.figure, claim.unit)}"
    bad = round((1 - claim.kept) * len(draws))
    worst = in_words(claim.figure, claim.unit)
    return f"was missed in {bad} of {len(draws)} draws (worst: {worst}); it promises {claim.share:.0%} of them".replace(
        "%", " %"
    )


def _conditions(row, claim, sizing):
    """Evidence for an easier service than the stated one; 5 % of the load are within its own noise."""
    if sizing is None or claim.metric == "throughput":
        return
    rate, servers = (claim.evidence.conditions.get(name) for name in ("rate", "servers"))
    if isinstance(rate, int | float) and rate < 0.95 * sizing.rate:
        yield Finding(
            row,
            "other load",
            f'"{claim}" was shown at {rate:g} requests a second, but the service is sized for {sizing.rate:g}. '
            "Repeat it at the stated load.",
        )
    if isinstance(servers, int | float) and servers > sizing.servers:
        yield Finding(
            row,
            "other load",
            f'"{claim}" was shown with {servers:g} servers, but the record has {sizing.servers}. Repeat it with these.',
        )


def _sizing(record):
    if record.sizing is None:
        if record.serving.choice != "batch":
            yield Finding(
                "sizing", "missing", "State the busiest hour's rate, the servers and the service time."
            )
        return
    sizing = record.sizing
    if sizing.rate == 0:
        yield Finding("sizing", "missing", "The rate is 0: state that of the busiest hour.")
    load = sizing.rate * sizing.service.mean / sizing.servers
    if sizing.batch is None and load >= 1:
        yield Finding(
            "sizing",
            "inconsistent",
            f"{sizing.servers} servers at {sizing.rate:g} requests a second of {sizing.service.mean:g} s each are "
            f"{100 * load:.0f} % busy: the queue grows without end. Add servers.",
        )


def _rollout(record):
    rollout = record.rollout
    if not rollout.strategy:
        yield Finding(
            "rollout", "missing", "How does a new version reach the users? Choose a strategy and say why."
        )
        return
    if rollout.strategy == "canary" and not rollout.steps:
        yield Finding(
            "rollout", "missing", "A canary has steps: shares of the traffic, such as (0.05, 0.25, 1.0)."
        )
    if list(rollout.steps) != sorted(rollout.steps):
        yield Finding("rollout", "inconsistent", "The steps of a rollout do not fall: order them.")
    if rollout.strategy != "big bang" and rollout.minutes is None:
        yield Finding("rollout", "missing", "For how many minutes is a step watched before the next one?")
    if rollout.strategy == "big bang" and not rollout.why.strip():
        told = (
            "A big bang shows a fault to all users at once. Say why that is acceptable, or choose a canary."
        )
        yield Finding("rollout", "missing", told)


def _rollback(record):
    rollback = record.rollback
    if rollback == Rollback():
        todo = "Who notices, at what value, and within how many minutes does the old version answer again?"
        yield Finding("rollback", "missing", f"There is no way back. {todo}")
        return
    if not rollback.triggers:
        todo = 'Name a metric and its value, such as Alert("error_rate", above=2, unit="%", minutes=5).'
        yield Finding("rollback", "missing", f"Nothing starts the rollback. {todo}")
    if rollback.within is None:
        yield Finding(
            "rollback", "missing", "No time: within how many minutes does the old version answer again?"
        )
    for name, todo in (
        ("owner", "Who does it, at night too?"),
        ("how", "Which switch is thrown, by which command?"),
    ):
        text = getattr(rollback, name)
        if not text.strip():
            yield Finding("rollback", "missing", f"No {name}. {todo}")
        elif is_vague(text):
            yield Finding("rollback", "vague", f'"{text}" is nothing that anybody could do. {todo}')
    for trigger in rollback.triggers:
        yield from _alert("rollback", trigger, record)


def _monitoring(record):
    if not record.monitoring:
        yield Finding(
            "monitoring", "missing", "Nobody would notice. Watch each promise: metric, value, who is told."
        )
        return
    for alert in record.monitoring:
        yield from _alert("monitoring", alert, record)
        if not alert.tells.strip() or is_vague(alert.tells):
            yield Finding(
                "monitoring", "missing", f'The alert "{alert}" tells nobody: set tells to a person or rota.'
            )
    watched = {alert.metric for alert in (*record.monitoring, *record.rollback.triggers)}
    for claim in record.latency:
        if claim.metric and claim.threshold is not None and claim.metric not in watched:
            yield Finding(
                "monitoring",
                "missing",
                f'Nobody watches the promise "{claim}": add an alert on {claim.metric}.',
            )


def _alert(row, alert, record):
    if alert.threshold is None:
        yield Finding(row, "vague", f"{alert.metric}: at which value? Give above or below, with its unit.")
        return
    known = METRICS.get(alert.metric)
    if known and known.unit and dimension(alert.unit) != dimension(known.unit):
        unit = repr(alert.unit) if alert.unit else "none"
        told = f'"{alert}": the unit is {unit}, but {alert.metric} is measured in {known.unit}.'
        yield Finding(row, "unit", told)
        return
    for _, claim in record.claims():
        if claim.metric == alert.metric and claim.evidence is not None:
            yield from _false_alarms(row, alert, claim)


def _false_alarms(row, alert, claim):
    draws = claim.evidence.draws or (claim.evidence.figure,)
    try:
        fired = sum(alert.fires(draw, claim.evidence.unit) for draw in draws)
    except ValueError:
        return  # units that cannot be compared are told with the claim
    if fired and claim.holds:
        told = f'"{alert}" fires in {fired} of the {len(draws)} draws that are the evidence for "{claim}", when nothing is wrong.'
        yield Finding(row, "inconsistent", f"{told} Move its threshold.")


def _together(record):
    """Rows that cannot both be true."""
    if record.sizing is None:
        return
    for claim in record.throughput:
        if claim.metric == "throughput" and claim.at_least is not None and dimension(claim.unit) == "rate":
            promised = convert(claim.at_least, claim.unit, "QPS")
            if promised < record.sizing.rate:
                told = f"It promises {promised:g} requests a second and is sized for {record.sizing.rate:g}"
                yield Finding("throughput", "inconsistent", f"{told}: promise at least that many.")
