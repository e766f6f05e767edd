"""The record as a text for whoever is on call."""

from mlprod_helpers.checklist.linting import lint
from mlprod_helpers.checklist.measures import in_words
from mlprod_helpers.checklist.rows import CLAIMS, DECISIONS, ROWS, says

_SIGNS = {True: "holds", False: "MISSED", None: "not proven"}


def runbook(record):
    """A deployment record as Markdown: the way back first, then what is watched, promised and decided.

    What the record does not say stands there as "not stated".
    """
    parts = [
        [
            f"# Runbook: {_line(record.service) or 'a service without a name'}",
            f"Owner: {_line(record.owner) or 'not stated'}",
        ],
        _rollback(record.rollback),
        _monitoring(record.monitoring),
        ["## Promises", *_promises(record)],
        [
            "## Rollout",
            _line(says(record, "rollout")) or "Not stated.",
            *([_line(record.rollout.why)] if record.rollout.why else []),
        ],
        ["## Decisions", _decisions(record)],
        ["## Open", *_open(record)],
    ]
    return "\n\n".join(block for part in parts for block in part) + "\n"


def _line(text):
    """One line of Markdown: a text of a record cannot break out of its place."""
    return " ".join(str(text).split())


def _cell(text):
    return _line(text).replace("|", "\\|")


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _rollback(rollback):
    within = "not stated" if rollback.within is None else f"{rollback.within:g} minutes"
    when = "\n".join(f"- {_line(trigger)}" for trigger in rollback.triggers) or "- not stated"
    return [
        "## Roll back",
        f"When one of these holds:\n\n{when}",
        f"How: {_line(rollback.how) or 'not stated'}",
        f"Who: {_line(rollback.owner) or 'not stated'}. The old version answers again within: {within}.",
    ]


def _monitoring(alerts):
    if not alerts:
        return ["## Alerts", "Not stated."]
    rows = []
    for alert in alerts:
        value = "not stated"
        if alert.threshold is not None:
            value = (
                f"{'above' if alert.above is not None else 'below'} {in_words(alert.threshold, alert.unit)}"
            )
        rows.append([alert.metric, value, f"{alert.minutes:g} minutes", alert.tells or "nobody"])
    return ["## Alerts", _table(["metric", "value", "for", "tells"], rows)]


def _promises(record):
    rows = [
        [
            ROWS[row].title,
            claim,
            "" if claim.threshold is None else _SIGNS[claim.holds],
            claim.evidence if claim.evidence is not None else "none",
        ]
        for row, claim in record.claims()
    ]
    if not rows:
        return ["Not stated."]
    blocks = [_table(["row", "promise", "state", "evidence"], rows)]
    if record.sizing is not None:
        blocks.insert(0, f"Sized for {_line(says(record, 'sizing'))}.")
    silent = [ROWS[name].title.lower() for name in CLAIMS if not getattr(record, name)]
    return [*blocks, f"Nothing is promised on: {', '.join(silent)}."] if silent else blocks


def _decisions(record):
    rows = [[ROWS["baseline"].title, record.baseline or "not stated", ""]]
    for name in DECISIONS:
        decision = getattr(record, name)
        rows.append([ROWS[name].title, decision.choice or "not stated", decision.why])
    return _table(["row", "decided", "why"], rows)


def _open(record):
    findings = lint(record)
    return ["\n".join(f"- {_line(finding)}" for finding in findings) or "Nothing: the record is complete."]
