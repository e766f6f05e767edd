"""What is wrong with a deployment record, row by row, and what to do about it."""

import re
from dataclasses import dataclass

from mlprod_helpers.checklist.measures import MEMORY, METRICS, PERCENTILES, convert, dimension, in_words
from mlprod_helpers.checklist.parts import Rollback
from mlprod_helpers.checklist.rows import CLAIMS, DECISIONS, ROWS, TEXTS

# If one draw in four failed, ten in a row would still all pass by luck in 6% of the cases: fewer prove little.
MIN_DRAWS = 10
# Thresholds that prove nothing: below (or above) them a promise is kept by a service that nobody should run.
WEAKEST = {"leaks": 0.0, "refused": 1.0, "k_anonymity": 5.0}
LATEST_ALERT = 10  # times the promise: whoever waits for more than that hears of it from the users
LONGEST_WAY_BACK = 60  # minutes

_VAGUE = re.compile(
    r"\b(?:(?:fast|good|quick|low|high|secure|safe|small|big|cheap|accurate) enough|as (?:soon|fast|far) as possible"
    r"|as needed|if (?:necessary|needed)|when(?:ever)? (?:something|anything|it) (?:goes wrong|breaks|fails)|asap"
    r"|best effort|regularly|somebody|someone|everybody|everyone|the team|to be (?:decided|defined|done)|tb[acd]|todo"
    r"|industry standard|state of the art|robust|scalable|performant|real[- ]?time enough)\b|^\W*$",
    re.IGNORECASE,
)

# Words that say what answers when the model cannot. Only a guess: it takes many, and the finding names one that it knows.
_FALLBACK = re.compile(
    r"\b(?<!\bno )(?<!\bwithout )f[ae]ll(?:s|ing)?[- ]?backs?\b|\b(?:fail\w*|crash\w*|outages?|down|offline|unavailable"
    r"|unreachable|silent|breaks?|broken|cannot|can['’]t|can not|(?:takes?|taking) over|(?:steps?|stands?|stepping|standing) in"
    r"|back-?up|emergency|otherwise|instead)\b"
    r"|\b(?:if|when\w*|while|without|until|unless|in case|during)\b.*\b(?:model|service|server|api|prediction|answer)",
    re.IGNORECASE | re.DOTALL,
)

_BASELINE = re.compile(r"(?=.*\d)(?=.*[^\W\d_]{3,}\W+[^\W\d_]{2,})", re.DOTALL)  # a figure and two words


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

    def of(self, row):
        """The findings of one row."""
        return Findings(finding for finding in self if finding.row == row)

    def __repr__(self):
        if not self:
            return "No findings: every row is answered and every claim has its evidence."
        head = f"{len(self)} finding{'s' if len(self) > 1 else ''}:"
        return "\n".join([head, *(f"- {finding}" for finding in self)])

    __str__ = __repr__


def lint(record):
    """What is missing, vague, unproven or contradicted in a record: `Findings` in the order of the rows.

    The kinds of problem: `missing` (a row or a part of it), `vague` (words where a figure belongs), `no evidence`,
    `contradicted` (the evidence says otherwise), `unit`, `one seed` (too few draws of random traffic), `other load`
    (evidence for less traffic or more servers than stated), `weak` (a threshold that a bad service keeps as well), `source` (nobody could repeat it), `inconsistent` (two
    rows that cannot both be true).
    """
    rules = (_texts, _decisions, _claim_rows, _claims, _sizing, _rollout, _rollback, _monitoring, _together)
    findings = dict.fromkeys(Finding(*parts) for rule in rules for parts in rule(record))
    order = list(ROWS)
    return Findings(sorted(findings, key=lambda finding: order.index(finding.row)))


def is_vague(text):
    """Whether a text says something that nobody could check.

    >>> is_vague("as soon as possible"), is_vague("within 5 minutes"), is_vague("TBD"), is_vague("eta-oncall rota")
    (True, False, True, False)
    """
    return bool(_VAGUE.search(text))


# Each rule yields (row, problem, message).


def _texts(record):
    todo = {
        "service": "Say what it answers and for whom, in one line.",
        "owner": "Name the person or rota that answers for the service.",
        "baseline": "State the error of today's solution (a figure) and the fallback if the model fails.",
    }
    for name in TEXTS:
        text = getattr(record, name)
        if not text.strip():
            yield name, "missing", todo[name]
        elif is_vague(text):
            yield name, "vague", f'"{text}" names nobody and nothing. {todo[name]}'
        elif name == "baseline" and not _BASELINE.search(text):
            yield (
                name,
                "vague",
                f'"{text}" has no figure, or does not say what the figure measures. {todo[name]}',
            )
        elif name == "baseline" and not _FALLBACK.search(text):
            say = 'Say what answers if the model fails, such as "fallback: ..."'
            yield name, "missing", f'"{text}" names no fallback. {say}.'


def _decisions(record):
    for name in DECISIONS:
        decision, row = getattr(record, name), ROWS[name]
        choice, why = decision.choice, decision.why
        if not choice:
            yield name, "missing", f"{row.question} Choose one of: {', '.join(row.options)}."
        elif not why.strip():
            yield name, "missing", f'Why "{choice}"? Give the reason that others could question.'
        elif is_vague(why):
            yield name, "vague", f'"{why}" is no reason that anybody could check. Say what follows from what.'


def _claim_rows(record):
    """Rows that need a claim, and of what kind."""
    for name in CLAIMS:
        if not getattr(record, name):
            yield name, "missing", f"{ROWS[name].question} Claim it, with a threshold and evidence."
    # a vague claim is told as such, and only once
    stated = any(claim.threshold is not None for claim in record.latency)
    percentiles = {claim.metric for claim in record.latency} & set(PERCENTILES)
    if stated and record.serving.choice == "realtime" and not percentiles:
        yield "latency", "missing", "A mean hides the slow answers. Claim a percentile too, such as p99."
    metrics = {claim.metric for _, claim in record.claims()}
    if record.compute.choice and not metrics & set(MEMORY):
        yield "compute", "missing", "How much memory does it take? Claim peak_memory or model_bytes."
    if record.place.choice in ("edge", "browser") and not metrics & {"model_bytes", "download_time"}:
        yield "place", "missing", "Every device loads the model. Claim model_bytes or download_time."


def _claims(record):
    for row, claim in record.claims():
        yield from _threshold(row, claim)
        if claim.evidence is not None:
            yield from _evidence(row, claim)
            yield from _conditions(row, claim, record.sizing)
        elif claim.threshold is not None:
            todo = "Simulate, measure, or count: from_sizing, from_trials, measured make evidence."
            yield row, "no evidence", f'Nothing proves "{claim}". {todo}'


def _threshold(row, claim):
    if claim.threshold is None:
        todo = 'such as Claim(metric="p99", at_most=200, unit="ms")'
        yield row, "vague", f'"{claim}" is not a number. State a metric, a threshold and its unit, {todo}.'
    elif not claim.metric:
        yield row, "vague", f'"{claim}" has a threshold, but of what? Name the metric.'
    elif claim.metric in METRICS:
        yield from _unit(row, claim)
        lower_is_better = METRICS[claim.metric].better == "low"
        if (claim.at_most is None) == lower_is_better:
            side = "at_most" if lower_is_better else "at_least"
            yield row, "inconsistent", f'"{claim}" promises the wrong side of {claim.metric}: use {side}.'
        else:
            yield from _weak(row, claim)


def _weak(row, claim):
    """A threshold that a bad service would keep as well."""
    measure, limit = METRICS[claim.metric], WEAKEST.get(claim.metric)
    if limit is None or dimension(claim.unit) != dimension(measure.unit):
        return
    promised = convert(claim.threshold, claim.unit, measure.unit)
    if promised > limit if measure.better == "low" else promised < limit:
        least = "at most" if measure.better == "low" else "at least"
        yield (
            row,
            "weak",
            f'"{claim}" is kept by a bad service too: promise {least} {in_words(limit, measure.unit)}.',
        )


def _unit(row, part):
    """A claim or an alert on a known metric, in a unit of another kind."""
    measure = METRICS.get(part.metric)
    if measure and measure.unit and dimension(part.unit) != dimension(measure.unit):
        unit = repr(part.unit) if part.unit else "none"
        yield row, "unit", f'"{part}": the unit is {unit}, but {part.metric} is measured in {measure.unit}.'


def _evidence(row, claim):
    evidence = claim.evidence
    gap = "" if evidence.conditions else "its conditions (load, seeds, machine, rows)"
    gap = gap if evidence.how.strip() else "how it was made"
    if gap:
        yield row, "source", f'The evidence for "{claim}" does not say {gap}: nobody could repeat it.'
    if claim.threshold is not None and not claim.comparable:
        units = f"{evidence.unit or 'no unit'} against {claim.unit or 'no unit'}"
        yield row, "unit", f'"{claim}" and its evidence cannot be compared: {units}.'
    if claim.holds is False:
        yield row, "contradicted", f'"{claim}" {_missed(claim)}. Change the service or the promise.'
    if evidence.source == "simulation" and len(evidence.draws) < MIN_DRAWS:
        draws = "one draw" if len(evidence.draws) < 2 else f"{len(evidence.draws)} draws"
        todo = f"Repeat it with at least {MIN_DRAWS} seeds"
        yield (
            row,
            "one seed",
            f'"{claim}" rests on {draws} of random traffic, and another day may be worse. {todo}.',
        )


def _missed(claim):
    draws, worst = claim.evidence.draws, in_words(claim.figure, claim.unit)
    if len(draws) < 2:
        return f"is contradicted by its evidence, {worst}"
    bad = round((1 - claim.kept) * len(draws))
    share = f"{claim.share:.0%}"
    return f"was missed in {bad} of {len(draws)} draws (worst: {worst}), but it must hold in {share} of them"


def _conditions(row, claim, sizing):
    """Evidence for an easier service than the stated one; 5% of the load are within its own noise."""
    if sizing is None or claim.metric == "throughput":
        return
    rate, servers = (claim.evidence.conditions.get(name) for name in ("rate", "servers"))
    if isinstance(rate, int | float) and rate < 0.95 * sizing.rate:
        shown = f"at {rate:g} requests a second, but the service is sized for {sizing.rate:g}"
        yield row, "other load", f'"{claim}" was shown {shown}. Repeat it at the stated load.'
    if isinstance(servers, int | float) and servers > sizing.servers:
        shown = f"with {servers:g} servers, but the record has {sizing.servers}"
        yield row, "other load", f'"{claim}" was shown {shown}. Repeat it with these.'


def _sizing(record):
    sizing = record.sizing
    if sizing is None:
        if record.serving.choice != "batch":
            yield "sizing", "missing", "State the busiest hour's rate, the servers and the service time."
        return
    if sizing.rate == 0:
        yield "sizing", "missing", "The rate is 0: state that of the busiest hour."
    mean = sizing.service.mean
    load = sizing.rate * mean / sizing.servers
    if load >= 1:
        traffic = f"{sizing.servers} servers at {sizing.rate:g} requests a second of {mean:g} s each"
        todo = f"are {100 * load:.0f}% busy: the queue grows without end. Add servers."
        yield "sizing", "inconsistent", f"{traffic} {todo}"


def _rollout(record):
    rollout = record.rollout
    if not rollout.strategy:
        todo = "How does a new version reach the users? Choose a strategy and say why."
        yield "rollout", "missing", todo
        return
    if rollout.strategy == "canary" and not rollout.steps:
        yield "rollout", "missing", "A canary has steps: shares of the traffic, such as (0.05, 0.25, 1.0)."
    if list(rollout.steps) != sorted(rollout.steps):
        yield "rollout", "inconsistent", "The steps of a rollout do not fall: order them."
    if rollout.strategy != "big bang" and rollout.minutes is None:
        yield "rollout", "missing", "For how many minutes is a step watched before the next one?"
    if rollout.strategy == "big bang" and not rollout.why.strip():
        todo = "Say why that is acceptable, or choose a canary."
        yield "rollout", "missing", f"A big bang shows a fault to all users at once. {todo}"


def _rollback(record):
    rollback = record.rollback
    if rollback == Rollback():
        todo = "Who notices, at what value, and within how many minutes does the old version answer again?"
        yield "rollback", "missing", f"There is no way back. {todo}"
        return
    if not rollback.triggers:
        todo = 'Name a metric and its value, such as Alert("error_rate", above=2, unit="%", minutes=5).'
        yield "rollback", "missing", f"Nothing starts the rollback. {todo}"
    if rollback.within is None:
        todo = "within how many minutes does the old version answer again?"
        yield "rollback", "missing", f"No time: {todo}"
    elif rollback.within == 0:
        todo = "Within how many minutes does the old version answer again?"
        yield "rollback", "missing", f"Nobody is back in 0 minutes. {todo}"
    elif rollback.within > LONGEST_WAY_BACK:
        todo = f"The old version can answer again within {LONGEST_WAY_BACK} minutes: route to it."
        yield "rollback", "weak", f"{rollback.within:g} minutes are no way back. {todo}"
    questions = {"owner": "Who does it, at night too?", "how": "Which switch is thrown, by which command?"}
    for name, question in questions.items():
        text = getattr(rollback, name)
        if not text.strip():
            yield "rollback", "missing", f"No {name}. {question}"
        elif is_vague(text):
            yield "rollback", "vague", f'"{text}" is nothing that anybody could do. {question}'
    for trigger in rollback.triggers:
        yield from _alert("rollback", trigger, record)


def _monitoring(record):
    if not record.monitoring:
        todo = "Watch each promise: metric, value, who is told."
        yield "monitoring", "missing", f"Nobody would notice. {todo}"
        return
    for alert in record.monitoring:
        yield from _alert("monitoring", alert, record)
        if not alert.tells.strip() or is_vague(alert.tells):
            todo = "set tells to a person or rota"
            yield "monitoring", "missing", f'The alert "{alert}" tells nobody: {todo}.'
    watched = {alert.metric for alert in (*record.monitoring, *record.rollback.triggers)}
    for claim in record.latency:
        if claim.metric and claim.threshold is not None and claim.metric not in watched:
            todo = f"add an alert on {claim.metric}"
            yield "monitoring", "missing", f'Nobody watches the promise "{claim}": {todo}.'


def _alert(row, alert, record):
    if alert.threshold is None:
        todo = "at which value? Give above or below, with its unit."
        yield row, "vague", f"{alert.metric}: {todo}"
        return
    if faults := list(_unit(row, alert)):
        yield from faults
        return
    for _, claim in record.claims():
        if claim.metric == alert.metric and claim.evidence is not None:
            yield from _false_alarms(row, alert, claim)
        if claim.metric == alert.metric and claim.at_most and alert.above is not None:
            yield from _late_alert(row, alert, claim)


def _late_alert(row, alert, claim):
    """An alert so far above the promise that the users are the first to notice."""
    if dimension(alert.unit) == dimension(claim.unit):
        times = convert(alert.above, alert.unit, claim.unit) / claim.at_most
        if times > LATEST_ALERT:
            todo = f"Move it to at most {LATEST_ALERT} times the promise."
            yield row, "weak", f'"{alert}" is {times:.0f} times what "{claim}" promises. {todo}'


def _false_alarms(row, alert, claim):
    draws = claim.evidence.draws or (claim.evidence.figure,)
    try:
        fired = sum(alert.fires(draw, claim.evidence.unit) for draw in draws)
    except ValueError:
        return  # units that cannot be compared are told with the claim
    if fired and claim.holds:
        proof = f'of the {len(draws)} draws that are the evidence for "{claim}", when nothing is wrong'
        yield row, "inconsistent", f'"{alert}" fires in {fired} {proof}. Move its threshold.'


def _together(record):
    """Rows that cannot both be true."""
    if record.sizing is None:
        return
    rate = record.sizing.rate
    for claim in record.throughput:
        if claim.metric == "throughput" and claim.at_least is not None and dimension(claim.unit) == "rate":
            promised = convert(claim.at_least, claim.unit, "QPS")
            if promised < rate:
                shown = f"It promises to answer {promised:g} requests a second and is sized for {rate:g}"
                yield "throughput", "inconsistent", f"{shown}: promise at least that many."
