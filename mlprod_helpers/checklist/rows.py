"""The rows of the checklist, and what a record says in each."""

from typing import NamedTuple

from mlprod_helpers.checklist.parts import Rollback, Rollout


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
    "fairness": Row("Fairness", "For which segment is it worst, and how large is the error there?"),
    "rollout": Row("Rollout", "How does a new version reach the users?"),
    "rollback": Row("Rollback", "What starts the way back, how long does it take, who does it?"),
    "monitoring": Row("Monitoring", "What is watched, at which value is whom told?"),
}
DECISIONS = tuple(name for name, row in ROWS.items() if row.options)
CLAIMS = ("latency", "throughput", "logging", "security", "privacy", "fairness")
TEXTS = ("service", "owner", "baseline")


def says(record, name):
    """What a row says, in one line; empty when nobody filled it in."""
    value = getattr(record, name)
    if name in TEXTS:
        return value
    if name in DECISIONS:
        decided = ": ".join(filter(None, [value.choice, value.why]))
        return "; ".join(filter(None, [decided, *map(str, value.claims)]))
    if name in ("sizing", "rollout", "rollback"):
        return "" if value in (None, Rollout(), Rollback()) else str(value)
    return "; ".join(map(str, value))
