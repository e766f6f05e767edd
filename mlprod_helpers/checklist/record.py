"""The deployment record: the checklist of a service, answered row by row, each claim with its evidence."""

import functools
import json
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from mlprod_helpers.checklist.fields import RecordError, Text, in_sentences, list_of, model, wrong
from mlprod_helpers.checklist.linting import lint
from mlprod_helpers.checklist.parts import Alert, Claim, Decision, Rollback, Rollout, Sizing
from mlprod_helpers.checklist.rows import CLAIMS, DECISIONS, ROWS, says
from mlprod_helpers.checklist.runbook import runbook
from mlprod_helpers.files import write_text
from mlprod_helpers.names import nearest_name

SCHEMA = "mlprod/deployment-record/1"


def _decision(row):
    """A decision, or the text of its choice: one of the options of `row`, or still empty."""
    options = ROWS[row].options

    def check(decision):
        if decision.choice and decision.choice not in options:
            raise wrong(f"is {decision.choice!r}: {nearest_name(decision.choice, options)}")
        return decision

    def read(value):
        return Decision(value) if isinstance(value, str) else value

    return Annotated[Decision, BeforeValidator(read), AfterValidator(check)]


_NOT_DECIDED = Decision()


@functools.partial(model, validate_assignment=True)
class Record:
    """A deployment record: what was decided, what is promised, what proves it, and what happens when it breaks.

    The attributes are the rows of the checklist (`ROWS`) and can be set at any time; a wrong value is refused at once,
    an empty one is found by `lint`.

    Parameters
    ----------
    service, owner, baseline : str
    scenario, automation, training, serving, place, compute : Decision, or the text of its choice
    sizing : Sizing or None
    latency, throughput, logging, security, privacy, fairness : list of Claim
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
    - latency, vague: "fast enough" is not a number. State a metric, a threshold and its unit, such as
      Claim(metric="p99", at_most=200, unit="ms").
    >>> Record.from_dict(record.to_dict()) == record
    True
    >>> record.serving = "sometimes"
    Traceback (most recent call last):
    mlprod_helpers.checklist.fields.RecordError: serving is 'sometimes': use one of 'batch', 'realtime'.
    """

    service: Text = ""
    owner: Text = ""
    scenario: _decision("scenario") = _NOT_DECIDED
    baseline: Text = ""
    automation: _decision("automation") = _NOT_DECIDED
    training: _decision("training") = _NOT_DECIDED
    serving: _decision("serving") = _NOT_DECIDED
    place: _decision("place") = _NOT_DECIDED
    compute: _decision("compute") = _NOT_DECIDED
    sizing: Sizing | None = None
    latency: list_of(Claim) = ()
    throughput: list_of(Claim) = ()
    logging: list_of(Claim) = ()
    security: list_of(Claim) = ()
    privacy: list_of(Claim) = ()
    fairness: list_of(Claim) = ()
    rollout: Rollout = Rollout()
    rollback: Rollback = Rollback()
    monitoring: list_of(Alert) = ()

    # ------------------------------------------------------------------------------------------ reading it

    def claims(self):
        """All claims with their row: a list of (row, Claim)."""
        by_row = {name: getattr(self, name).claims for name in DECISIONS}
        by_row |= {name: getattr(self, name) for name in CLAIMS}
        return [(name, claim) for name in ROWS for claim in by_row.get(name, ())]

    def lint(self):
        """What is missing, vague, unproven or contradicted, each with what to do; see `checklist.linting`."""
        return lint(self)

    def runbook(self):
        """The record as a Markdown text for whoever is on call: the way back first."""
        return runbook(self)

    def table(self):
        """The state of each row: a DataFrame with `title`, `says` (text) and `findings` (how many `lint` has)."""
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
        return {"schema": SCHEMA, **_ADAPTER.dump_python(self, mode="json")}

    @classmethod
    def from_dict(cls, data):
        """The record that `to_dict` was called on; `RecordError` names the place of what is wrong.

        >>> Record.from_dict({"service": "ETA", "latency": [{"metric": "p99", "at_mots": 200}]})
        Traceback (most recent call last):
        mlprod_helpers.checklist.fields.RecordError: latency[0].at_mots: Unexpected keyword argument.
        """
        if isinstance(data, dict):
            data = dict(data)
            schema = data.pop("schema", SCHEMA)
            if schema != SCHEMA:
                raise RecordError(f"The record has the schema {schema!r}; this version reads {SCHEMA!r}.")
        try:
            return _ADAPTER.validate_python(data)
        except ValidationError as error:
            raise RecordError(in_sentences(error)) from None

    def save(self, path):
        """Write the record as JSON and return the path. The file is replaced as a whole: nobody reads half a record."""
        return write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path):
        """Read a record that `save` wrote; `RecordError` for a file that is no JSON or no record."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise RecordError(f"{path} is no JSON file ({error}). Was it written by record.save?") from None
        return cls.from_dict(data)


_ADAPTER = TypeAdapter(Record)
