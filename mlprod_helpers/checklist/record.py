"""The deployment record: the checklist of a service, answered row by row, each claim with its evidence."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mlprod_helpers.checklist.parts import (
    LAWS,
    Alert,
    Claim,
    Decision,
    Evidence,
    RecordError,
    Rollback,
    Rollout,
    Sizing,
    need_all,
    need_number,
    need_one_of,
    need_text,
    sizing_to_dict,
)
from mlprod_helpers.files import write_json
from mlprod_helpers.names import nearest_name
from mlprod_helpers.queueing import Batch, Measured

SCHEMA = "mlprod/deployment-record/1"


class Row(NamedTuple):
    """One row of the checklist: its title, the question it answers, and for a decision what can be chosen."""

    title: str
    question: str
    options: tuple = ()


ROWS = {
    "service": Row("Service", "What does it answer, for whom?"),
    "owner": Row("Owner", "Which person or rota answers for it?"),
    "scenario": Row(
        "Scenario",
        "Does it do something new, automate or assist what people do, or replace a system?",
        ("new capability", "automate or assist", "replace"),
    ),
    "baseline": Row("Baseline", "What does today's way reach, and what answers if this one cannot?"),
    "automation": Row(
        "Degree of automation",
        "Who decides, the model or a person?",
        ("human only", "shadow mode", "AI assistance", "partial automation", "full automation"),
    ),
    "training": Row("Training", "Is it trained in batches or with each new label?", ("batch", "realtime")),
    "serving": Row("Serving", "Are predictions made ahead in batches, or when asked?", ("batch", "realtime")),
    "place": Row("Place", "Where does the model run?", ("cloud", "edge", "browser")),
    "compute": Row("Compute", "On what does it run, and how much memory does it take?", ("CPU", "GPU")),
    "sizing": Row("Sizing", "For which load, with how many servers?"),
    "latency": Row("Latency", "How long does an answer, or a batch job, take?"),
    "throughput": Row("Throughput", "How many requests a second can it answer?"),
    "logging": Row("Logging", "What is kept of each request, and for how long?"),
    "security": Row("Security", "What comes through the door, and what is refused?"),
    "privacy": Row("Privacy", "Who could be recognized from what is kept?"),
    "rollout": Row("Rollout", "How does a new version reach the users?"),
    "rollback": Row("Rollback", "What starts the way back, how long does it take, who does it?"),
    "monitoring": Row("Monitoring", "What is watched, at which value is whom told?"),
}
DECISIONS = tuple(name for name, row in ROWS.items() if row.options)
CLAIMS = ("latency", "throughput", "logging", "security", "privacy")
TEXTS = ("service", "owner", "baseline")


@dataclass
class Record:
    """A deployment record: what was decided, what is promised, what proves it, and what happens when it breaks.

    The attributes are the rows of the checklist (`ROWS`) and can be set at any time; a wrong value is refused at once,
    an empty one is found by `lint`.

    Parameters
    ----------
    service, owner, baseline : str
    scenario, automation, training, serving, place, compute : Decision, or the text of its choice
    sizing : Sizing or None
    latency, throughput, logging, security, privacy : list of Claim
    rollout : Rollout
    rollback : Rollback
    monitoring : list of Alert

    Raises
    ------
    RecordError : a value that a row cannot hold; the message names the row and says what it holds.

    Source: the deployment checklist of A. Ng, "Introduction to machine learning in production" (DeepLearning.AI,
    2021); evidence for each line in the sense of E. Breck et al., "The ML test score" (IEEE Big Data 2017).

    >>> record = Record("ETA of departing flights", serving="realtime")
    >>> record.latency = [Claim("fast enough")]
    >>> print(record.lint().of("latency"))
    1 finding:
    - latency, vague: "fast enough" is no figure. State a metric, a threshold and its unit, such as
      Claim(metric="p99", at_most=200, unit="ms").
    >>> Record.from_dict(record.to_dict()) == record
    True
    >>> record.serving = "sometimes"
    Traceback (most recent call last):
    mlprod_helpers.checklist.parts.RecordError: serving is 'sometimes': use one of 'batch', 'realtime'.
    """

    service: str = ""
    owner: str = ""
    scenario: Decision = Decision()  # noqa: RUF009 (all parts are frozen)
    baseline: str = ""
    automation: Decision = Decision()  # noqa: RUF009
    training: Decision = Decision()  # noqa: RUF009
    serving: Decision = Decision()  # noqa: RUF009
    place: Decision = Decision()  # noqa: RUF009
    compute: Decision = Decision()  # noqa: RUF009
    sizing: Sizing | None = None
    latency: tuple = ()
    throughput: tuple = ()
    logging: tuple = ()
    security: tuple = ()
    privacy: tuple = ()
    rollout: Rollout = Rollout()  # noqa: RUF009
    rollback: Rollback = Rollback()  # noqa: RUF009
    monitoring: tuple = ()

    def __setattr__(self, name, value):
        if name not in ROWS:
            raise RecordError(f"A record has no row {name!r}: {nearest_name(name, ROWS)}.")
        object.__setattr__(self, name, _checked(name, value))

    # ------------------------------------------------------------------------------------------ reading it

    def claims(self):
        """All claims with their row: a list of (row, Claim)."""
        found = []
        for name in ROWS:
            held = getattr(self, name)
            held = held.claims if name in DECISIONS else held if name in CLAIMS else ()
            found += [(name, claim) for claim in held]
        return found

    def lint(self):
        """What is missing, vague, unproven or contradicted, each with the sentence that says what to do.

        Returns
        -------
        Findings : a tuple of `Finding(row, problem, message)`; empty for a record that is complete.
        """
        from mlprod_helpers.checklist.linting import lint

        return lint(self)

    def runbook(self):
        """The record as a Markdown text for whoever is on call: the way back first."""
        from mlprod_helpers.checklist.runbook import runbook

        return runbook(self)

    def table(self):
        """The state of each row.

        Returns
        -------
        DataFrame : index `row`; `title`, `says` (text), `findings` (how many `lint` has)
        """
        findings = self.lint()
        rows = [(row.title, says(self, name), len(findings.of(name))) for name, row in ROWS.items()]
        return pd.DataFrame(rows, columns=["title", "says", "findings"], index=pd.Index(ROWS, name="row"))

    def __repr__(self):
        findings = self.lint()
        filled = sum(bool(says(self, name)) for name in ROWS)
        return (
            f"Record({self.service!r}: {filled} of {len(ROWS)} rows filled, {len(self.claims())} claims, "
            f"{len(findings)} finding{'' if len(findings) == 1 else 's'})"
        )

    # --------------------------------------------------------------------------------- as plain data, as a file

    def to_dict(self):
        """The record as plain data: dicts, lists, texts, numbers, None. `from_dict` makes an equal record of it."""
        data = {"schema": SCHEMA}
        for name in ROWS:
            value = getattr(self, name)
            data[name] = sizing_to_dict(value) if isinstance(value, Sizing) else _as_plain(value)
        return data

    @classmethod
    def from_dict(cls, data):
        """The record that `to_dict` was called on.

        Raises
        ------
        RecordError : data that is no record; the message names the place, such as `latency[0].evidence`.

        >>> Record.from_dict({"service": "ETA", "latency": [{"metric": "p99", "at_mots": 200}]})
        Traceback (most recent call last):
        mlprod_helpers.checklist.parts.RecordError: latency[0] has the unknown entry 'at_mots': did you mean 'at_most'?.
        """
        data = dict(_need_dict(data, "The record"))
        schema = data.pop("schema", SCHEMA)
        if schema != SCHEMA:
            raise RecordError(f"The record has the schema {schema!r}; this version reads {SCHEMA!r}.")
        if unknown := [name for name in data if name not in ROWS]:
            raise RecordError(f"A record has no row {unknown[0]!r}: {nearest_name(unknown[0], ROWS)}.")
        return cls(**{name: _row_from_plain(name, value) for name, value in data.items()})

    def save(self, path):
        """Write the record as JSON. The file is replaced as a whole: nobody reads half a record.

        Returns
        -------
        Path
        """
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path):
        """Read a record that `save` wrote.

        Raises
        ------
        RecordError : a file that is no JSON or no record.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise RecordError(f"{path} is no JSON file ({error}). Was it written by record.save?") from None
        return cls.from_dict(data)


def says(record, name):
    """What a row says, in one line; empty when nobody filled it in."""
    value = getattr(record, name)
    if name in TEXTS:
        return value
    if name in DECISIONS:
        told = [f"{value.choice}: {value.why}" if value.choice and value.why else value.choice or value.why]
        return "; ".join(filter(None, [*told, *map(str, value.claims)]))
    if name == "sizing":
        if value is None:
            return ""
        many = f"{value.servers} server{'s' if value.servers > 1 else ''}"
        return f"{value.rate:g} requests a second, {many}, {_law_in_words(value.service)}"
    if name == "rollout":
        return str(value) if value != Rollout() else ""
    if name == "rollback":
        if value == Rollback():
            return ""
        when = " or ".join(map(str, value.triggers)) or "no trigger"
        within = "no time stated" if value.within is None else f"within {value.within:g} minutes"
        return f"{when}; {within}; {value.owner or 'nobody'}"
    return "; ".join(map(str, value))


def _law_in_words(law):
    name = {"Constant": "always", "Measured": "measured, mean"}.get(
        type(law).__name__, type(law).__name__.lower()
    )
    return f"service time {name} {1000 * law.mean:.3g} ms"


def _checked(name, value):
    if name in TEXTS:
        return need_text(value, name)
    if name in DECISIONS:
        value = Decision(value) if isinstance(value, str) else value
        if not isinstance(value, Decision):
            raise RecordError(
                f"{name} is {value!r}, but it is Decision(choice, why) or the text of its choice."
            )
        need_one_of(value.choice, ROWS[name].options, name)
        return value
    if name in CLAIMS:
        return need_all(value, Claim, name)
    if name == "monitoring":
        return need_all(value, Alert, name)
    kind = {"sizing": Sizing, "rollout": Rollout, "rollback": Rollback}[name]
    if not isinstance(value, kind) and not (name == "sizing" and value is None):
        raise RecordError(f"{name} is {value!r}, but it is {kind.__name__}(...).")
    return value


# ------------------------------------------------------------------------------------------------ plain data


def _as_plain(value):
    """Parts as dicts, tuples as lists; an infinite figure as a text, since JSON has no such number."""
    if isinstance(value, Decision | Claim | Evidence | Rollout | Rollback | Alert):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: _as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _need_dict(data, path):
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise RecordError(f"{path} is {data!r:.80}, but it is a dict with names as keys.")
    return data


def _need_list(data, path):
    if not isinstance(data, list | tuple):
        raise RecordError(f"{path} is {data!r:.80}, but it is a list.")
    return data


def _row_from_plain(name, data):
    if name in TEXTS:
        return data
    if name in DECISIONS:
        return Decision(data) if isinstance(data, str) else _part(Decision, data, name)
    if name in CLAIMS or name == "monitoring":
        return _parts(Alert if name == "monitoring" else Claim, data, name)
    if name == "sizing":
        return None if data is None else _sizing(data)
    return _part({"rollout": Rollout, "rollback": Rollback}[name], data, name)


def _parts(kind, data, path):
    return tuple(_part(kind, item, f"{path}[{i}]") for i, item in enumerate(_need_list(data, path)))


def _part(kind, data, path):
    given = dict(_need_entries(kind, data, path))
    if "claims" in given:
        given["claims"] = _parts(Claim, given["claims"], f"{path}.claims")
    if "triggers" in given:
        given["triggers"] = _parts(Alert, given["triggers"], f"{path}.triggers")
    if given.get("evidence") is not None:
        given["evidence"] = _part(Evidence, given["evidence"], f"{path}.evidence")
    if kind is Evidence:
        given["figure"] = _figure(given["figure"])
        given["draws"] = [_figure(x) for x in _need_list(given.get("draws", ()), f"{path}.draws")]
    if "steps" in given:
        _need_list(given["steps"], f"{path}.steps")
    try:
        return kind(**given)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def _figure(value):
    return float(value) if value in ("inf", "-inf") else value


def _sizing(data):
    given = dict(_need_entries(Sizing, data, "sizing"))
    law = dict(_need_dict(given["service"], "sizing.service"))
    kind = law.pop("law", None)
    if kind not in LAWS:
        raise RecordError(f"sizing.service has the law {kind!r}: {nearest_name(kind, LAWS)}.")
    try:
        given["service"] = Measured(law["seconds"]) if kind == "Measured" else LAWS[kind](**law)
        if given.get("batch") is not None:
            given["batch"] = Batch(**_need_dict(given["batch"], "sizing.batch"))
    except RecordError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(f"sizing: {error}") from None
    for name in ("timeout", "queue_limit"):
        need_number(given.get(name), f"{name} of the sizing", low=0, optional=True)
    return Sizing(**given)


def _need_entries(kind, data, path):
    """The entries of a part: none that it does not know, all that it needs."""
    known = {f.name: f for f in fields(kind)}
    for name in _need_dict(data, path):
        if name not in known:
            raise RecordError(f"{path} has the unknown entry {name!r}: {nearest_name(name, known)}.")
    for name, entry in known.items():
        if entry.default is MISSING and entry.default_factory is MISSING and name not in data:
            raise RecordError(f"{path} has no entry {name!r}.")
    return data
