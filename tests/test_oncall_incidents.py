"""Every incident of the catalog shows in the metric that it claims, does harm, and is helped by what the catalog says."""

import functools

import pytest

from mlprod_helpers.oncall import KINDS, RELEASES, Season, cost_of, do_nothing, policy_of, reference
from mlprod_helpers.oncall.season.script import DAYS, draw_script
from mlprod_helpers.oncall.season.world import script_of

SHOWN = [kind for kind in KINDS if KINDS[kind].metric != "rollout"]


@functools.cache
def seasons_with(kind, many=3):
    """Seeds of seasons in which this incident is far from the others that move the same metrics."""
    seeds = []
    for seed in range(300, 500):
        events = script_of(seed).events
        mine = [event for event in events if event.kind == kind]
        if mine and all(abs(event.start - mine[0].start) > 3 for event in events if event.kind != kind):
            seeds.append(seed)
        if len(seeds) == many:
            return seeds
    return seeds


@pytest.mark.parametrize("kind", SHOWN)
def test_an_incident_shows_in_its_metric_and_not_before(kind):
    metric = KINDS[kind].metric
    for seed in seasons_with(kind):
        season = Season(seed)
        event = next(event for event in season.script.reveal().events if event.kind == kind)
        low, high = season.morning["usual"][metric]
        outside = []
        while not season.over:
            season.step([])
            value = season.morning["metrics"][metric]
            outside.append(value is not None and not low <= value <= high)
        mornings = {day for day, out in enumerate(outside, start=1) if out}
        assert mornings & set(range(event.start + 1, event.start + 6)), (seed, event)
        if kind != "requests":
            early = mornings & set(range(max(1, event.start - 5), event.start + 1))
            assert len(early) <= (1 if metric in ("requests", "late_reviews") else 0), (seed, event, early)


@pytest.mark.parametrize(
    "kind", [kind for kind in SHOWN if kind not in ("holiday", "label_outage", "new_route")]
)
def test_an_incident_does_harm_that_a_called_team_ends(kind):
    team, harm = KINDS[kind].team, {"waited": 0.0, "called": 0.0}
    # by chance a stuck wind makes up for an old model, so it takes more seasons to see its harm
    seeds = seasons_with(kind, 9 if kind == "stuck_feature" else 3)
    for seed in seeds:
        event = next(event for event in script_of(seed).events if event.kind == kind)

        def keep_fresh(
            observation, memory, until=event.start
        ):  # or the age of the model hides what is broken
            retrain = observation["day"] % 5 == 0 and observation["day"] <= until
            return ["retrain"] if retrain else [], memory

        def call(observation, memory, day=event.start + 1, keep_fresh=keep_fresh):
            page = [{"do": "page", "team": team}] if observation["day"] == day else []
            return keep_fresh(observation, memory)[0] + page, memory

        waited, called = (Season(seed).play(policy) for policy in (keep_fresh, call))
        (one,) = [one for one in called.incidents if one["kind"] == kind]
        assert one["ended"] == min(event.start + 1 + KINDS[kind].repair, event.end)
        harm["waited"] += waited.by_incident[kind] / len(seeds)
        harm["called"] += called.by_incident[kind] / len(seeds)
    assert harm["waited"] > 1000  # dollars
    assert harm["called"] < 0.6 * harm["waited"]


def test_a_router_that_loses_users_shows_in_the_counts_of_a_rollout_only():
    def start(observation, memory):
        first = observation["candidates"][:1] if observation["rollout"] is None else []
        plan = {"strategy": "canary", "step_weights": [25, 50]}
        return [{"do": "start", "version": one["version"], "plan": plan} for one in first], memory

    shares = {True: [], False: []}
    for seed in seasons_with("router", 2):
        season = Season(seed)
        event = next(event for event in season.script.reveal().events if event.kind == "router")
        while not season.over:
            season.step(start(season.morning, None)[0])
            rollout = season.morning["rollout"]
            if rollout and rollout["canary_metrics"]["planned"] > 500:
                seen = rollout["canary_metrics"]["requests"] / rollout["canary_metrics"]["planned"]
                if rollout["started"] >= event.start or season.day <= event.start:
                    shares[event.start <= rollout["started"] < event.end].append(seen)
    assert max(shares[True]) < 0.8
    assert min(shares[False]) > 0.95


def test_the_judge_by_airport_keeps_bad_candidates_from_most_users():
    bad, good = [], []
    for seed in range(300, 312):
        season = Season(seed)
        kinds = {offer.version: offer.kind for offer in season.script.reveal().offers}
        season.play(reference)
        serving = {version.name for version in season._state.stack}
        for version, kind in kinds.items():
            (good if RELEASES[kind].is_good else bad).append(version in serving)
    assert sum(bad) <= 0.15 * len(bad)
    assert sum(good) >= 0.6 * len(good)


def test_scripts_differ_and_stay_within_the_season():
    import numpy as np

    scripts = [draw_script(np.random.default_rng(seed)) for seed in range(60)]
    kinds = {event.kind for script in scripts for event in script.events}
    assert kinds == set(KINDS)
    assert {offer.kind for script in scripts for offer in script.offers} == set(RELEASES)
    assert all(0 <= event.start < event.end <= DAYS for script in scripts for event in script.events)
    together = [
        any(abs(a.start - b.start) <= 4 and a != b for a in script.events for b in script.events)
        for script in scripts
    ]
    assert 0.3 < sum(together) / len(together) < 0.95  # two at once in many seasons


def test_the_ladder_holds_on_a_few_seasons():
    from mlprod_helpers.oncall import naive_runbook, oracle, retrain_daily

    ladder = (do_nothing, retrain_daily, naive_runbook, reference, oracle)
    means = [sum(cost_of(policy, seed) for seed in range(300, 308)) for policy in ladder]
    assert means == sorted(means, reverse=True)


def test_steps_of_the_reference_can_be_exchanged():
    deaf = policy_of(alert=lambda state: [])
    costs = [cost_of(policy, 303) for policy in (policy_of(), reference, deaf)]
    assert costs[0] == costs[1] < costs[2]
