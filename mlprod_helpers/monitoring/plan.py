"""The monitoring plan: problem -> metric -> threshold -> action, with an owner; and what is wrong with it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.rules import Rule, evaluate, on_grid

DAY = pd.Timedelta(1, "D")


@dataclass(frozen=True)
class Row:
    """One line of a plan: what could go wrong, what shows it, when is somebody alerted, and what do they do?

    Parameters
    ----------
    problem : str, as a user or the owner would say it
    rule : Rule or None, which names metric, threshold and owner
    action : str, the first thing to do
    """

    problem: str = ""
    rule: Rule | None = None
    action: str = ""

    def __post_init__(self):
        for name in ("problem", "action"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}, but it is a text.")
        if self.rule is not None and not isinstance(self.rule, Rule):
            raise ValueError(f"rule is {self.rule!r}: write Rule(metric, above=...), or leave it out.")


@dataclass(frozen=True)
class Finding:
    """One thing to repair in a plan: the kind of problem, and what to do."""

    problem: str
    message: str

    def __str__(self):
        return f"{self.problem}: {self.message}"


@dataclass(frozen=True)
class MonitoringPlan:
    """What is watched for a service, and what happens then.

    Parameters
    ----------
    service : str
    rows : sequence of Row

    >>> rule = Rule("missing_outputs", above=0.05, for_="1h", owner="search-oncall")
    >>> plan = MonitoringPlan("search", [Row("answers are empty", rule, "roll back"), Row("photos are dark")])
    >>> [str(finding) for finding in plan.lint()]
    ["no metric: Nothing shows 'photos are dark': give it a rule."]
    """

    service: str
    rows: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "rows", tuple(self.rows))
        for row in self.rows:
            if not isinstance(row, Row):
                raise ValueError(f"{row!r} is no row of a plan: write Row(problem, rule, action).")
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Two rules are called {twice[0]!r}: give each its own name=.")

    @property
    def rules(self):
        """The rules of all rows that have one."""
        return tuple(row.rule for row in self.rows if row.rule is not None)

    def lint(self, reference=None):
        """List what is wrong with the plan: a tuple of Finding, empty if there is nothing to repair.

        Parameters
        ----------
        reference : DataFrame or None
            A measured frame of quiet days: finds rules that would have paged daily, and metrics that nobody measures.
        """
        findings = []
        for row in self.rows:
            rule = row.rule
            if rule is None:
                findings.append(Finding("no metric", f"Nothing shows {row.problem!r}: give it a rule."))
                continue
            if not row.problem.strip():
                findings.append(
                    Finding(
                        "no problem",
                        f"Which problem does {rule.condition!r} show? Name it, or drop the metric.",
                    )
                )
            if rule.severity == "page" and not rule.owner.strip():
                findings.append(Finding("no owner", f"{rule.name} wakes nobody: name a person or rota."))
            if rule.severity == "page" and not row.action.strip():
                findings.append(
                    Finding(
                        "no action", f"{rule.name} wakes somebody who then does what? Else make it a ticket."
                    )
                )
            if reference is not None:
                findings += _against(rule, reference)
        return tuple(findings)


def _against(rule, reference):
    """Findings about one rule on quiet days; a rule that rings through a day counts for that day."""
    if rule.metric not in reference.columns:
        return [Finding("not measured", f"The reference has no metric {rule.metric!r}: measure it.")]
    measured, every = on_grid(reference)
    alerts = evaluate(rule, measured)
    days = len(measured) * every / DAY
    end = measured.index[-1] + every
    touched = {
        day
        for start, stop in zip(alerts["start"], alerts["end"].fillna(end), strict=True)
        for day in np.arange((start - measured.index[0]) // DAY, (stop - measured.index[0]) / DAY)
    }
    often = max(len(alerts), len(touched))
    if rule.severity == "page" and often >= days * 0.9 and often > 1:
        rang = (
            f"{rule.name} would have paged on {len(touched)} of {days:.0f} quiet days, {len(alerts)} times."
        )
        return [Finding("pages daily", f"{rang} Move its threshold, or lengthen for_.")]
    return []
