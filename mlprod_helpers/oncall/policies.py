"""Baselines to compare a policy with. They see the observation alone."""

from __future__ import annotations


def do_nothing(observation, memory):
    """Wait and see, each day."""
    return [], memory


def retrain_daily(observation, memory):
    """Train on the last 28 days each morning, whatever has happened."""
    return [{"do": "retrain", "days": 28}], memory


#: What a runbook says that has one line an alert and no diagnosis.
RUNBOOK = {
    "requests": {"do": "page", "team": "platform"},
    "failed_share": {"do": "page", "team": "platform"},
    "latency_p95": {"do": "page", "team": "platform"},
    "missing_share": {"do": "page", "team": "data"},
    "distance_off_share": {"do": "page", "team": "data"},
    "labels_share": {"do": "page", "team": "airlines"},
    "late_reviews": {"do": "page", "team": "staffing"},
    "personal_in_sample": {"do": "page", "team": "privacy"},
    "error_mean": {"do": "retrain", "days": 28},
}


def naive_runbook(observation, memory):
    """Follow a runbook line by line: pages at once and every third day, tickets at the weekly meeting.

    It retrains at that meeting too, starts every candidate as a canary that is judged by its mean error, and undoes nothing.
    """
    day, actions = observation["day"], []
    meeting = day % 7 == 0
    for alert in observation["alerts"]:
        due = (day - alert["since"]) % 3 == 0 if alert["severity"] == "page" else meeting
        action = RUNBOOK.get(alert["metric"])
        if due and action and action not in actions:
            actions.append(action)
    if observation["rollout"] is None and observation["candidates"]:
        version = observation["candidates"][0]["version"]
        return [*actions, {"do": "start", "version": version, "judge": "errors"}], memory
    weekly = {"do": "retrain", "days": 28}
    if meeting and observation["rollout"] is None and weekly not in actions:
        actions.append(weekly)
    return actions, memory
