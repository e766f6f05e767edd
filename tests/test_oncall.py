"""The season on call: the same on every machine, whole in its costs, and not to be broken by a policy."""

import numpy as np
import pytest

from mlprod_helpers.oncall import (
    ACTIONS,
    COSTS,
    FIVES,
    KINDS,
    METRICS,
    Season,
    closed,
    cost_of,
    do_nothing,
    naive_runbook,
    oracle,
    read,
    reference,
    scale,
)
from mlprod_helpers.oncall.season.world import script_of


def nothing(observation, memory):
    return [], memory


def test_the_same_season_and_policy_give_the_same_report():
    first, second = (Season(4).play(nothing) for _ in range(2))
    assert first == second
    assert first.days == 70


def test_costs_add_up_by_day_and_by_cause():
    report = Season(5).play(nothing)
    assert set(report.by_cause) == set(COSTS)
    assert report.cost == pytest.approx(sum(report.by_cause.values()))
    assert report.cost == pytest.approx(sum(sum(day.values()) for day in report.by_day), abs=5.0)


def test_playing_by_hand_and_by_policy_is_the_same():
    by_hand = Season(6)
    while not by_hand.over:
        by_hand.step({"do": "nothing"})
    assert by_hand.report().cost == Season(6).play(nothing).cost


def test_an_observation_is_plain_data():
    from mlprod_helpers.lesson import values

    morning = Season(7).step("nothing")
    assert values.close(values.decode(values.encode(morning)), morning)
    assert set(morning["metrics"]) == set(METRICS)


def test_a_policy_that_raises_or_returns_nonsense_loses_the_day_and_not_the_season():
    def broken(observation, memory):
        if observation["day"] == 3:
            raise RuntimeError("boom")
        if observation["day"] == 4:
            return "what", "a", "mess"
        if observation["day"] == 5:
            return [{"do": "page", "team": 7}, np.nan, object()], memory
        return [], memory

    report = Season(8).play(broken)
    lost = [one["text"] for one in report.timeline if one["what"] == "lost"]
    assert [text.split(":")[0] for text in lost] == ["Day 3", "Day 4"]
    assert "boom" in lost[0]
    assert report.days == 70


def test_a_policy_that_never_ends_loses_the_day():
    def endless(observation, memory):
        while observation["day"] == 2:
            pass
        return [], memory

    report = Season(9).play(endless, seconds=0.3)
    assert report.days == 70
    assert [one["day"] for one in report.timeline if one["what"] == "lost"] == [2]


PLANS = (
    None,
    {"strategy": "big_bang"},
    {"strategy": "shadow", "duration": 259_200.0},
    {"strategy": "blue_green", "preview": 86_400.0, "copies": 20},
    {"strategy": "canary", "step_weights": [1, 100]},
    {"strategy": "canary", "step_weight": 30, "threshold": 2},
)
CHOICES = {
    "days": (3, 28, None),
    "half_life": (None, 5.0),
    "skip": ((), [(0, 5)], [(-99, 99)]),
    "plan": PLANS,
    "judge": ("none", "errors", "errors and latency", "by airport"),
    "version": ("c1", "c2", "c3", "c4", "m3"),
    "what": ("model", "code", "wind", "distance"),
    "degree": ("full", "partial", "human only"),
    "threshold": (0, 12.0),
    "always": ((), ["SJU", "LAX", "???"]),
    "field": ("distance", "wind"),
    "low": (None, -5, 80),
    "high": (None, 9.0, 2000),
    "most": (1, 2, 3, 4),
    "metric": ("error_mean", "wind", "nonsense"),
    "above": (None, 10.0),
    "below": (None, 20.0),
    "team": ("data", "platform", "ml", "airlines", "staffing", "privacy"),
}


def test_any_actions_leave_a_season_that_ends_with_a_report():
    rng = np.random.default_rng(0)

    def anything(observation, memory):
        actions = []
        for do in rng.choice(list(ACTIONS), size=rng.integers(0, 6)):
            settings = {
                name: CHOICES[name][rng.integers(len(CHOICES[name]))] for name in ACTIONS[do].settings
            }
            actions.append({"do": str(do)} | settings)
        return actions, memory

    for seed in range(20, 30):
        report = Season(seed).play(anything)
        assert report.days == 70
        assert not [one for one in report.timeline if one["what"] == "lost"]
        assert np.isfinite(report.cost)


def test_objects_that_fail_and_exits_lose_what_they_are_and_not_the_season():
    class Evil(dict):
        def __getitem__(self, key):
            raise KeyError("no")

    def policy(observation, memory):
        if observation["day"] == 1:
            raise SystemExit
        return [Evil(do="page"), {"do": "page", "team": "privacy"}], memory

    season = Season(10)
    report = season.play(policy)
    assert report.days == 70
    assert report.by_cause["page"] >= 69 * COSTS["page"].dollars


def test_the_debrief_says_when_it_could_be_seen_and_the_post_mortem_blames_nobody():
    report = Season(5).play(nothing)
    assert len(report.debrief) == len(report.incidents) > 4
    for lesson, one in zip(report.debrief, report.incidents, strict=True):
        assert lesson["metric"] == "rollout" or lesson["visible"] > one["start"]
    text = report.post_mortem()
    assert text.startswith("# Post-mortem: ") and "- [ ] " in text and "## Timeline" in text
    assert report.missed and "Missed: " in str(report)


def test_what_cannot_be_read_is_refused_with_a_message():
    for wrong in (
        {"do": "fly"},
        {"do": "page"},
        {"do": "retrain", "dys": 3},
        7,
        {"do": "limit_retries", "most": 9},
    ):
        actions, messages = read([wrong])
        assert actions == [] and len(messages) == 1
    assert set(ACTIONS) >= {"retrain", "start", "abort", "page", "nothing"}


def test_the_table_of_scales_is_what_seasons_cost_today():
    for seed in (0, 77, 199):
        assert scale(seed) == tuple(
            round(cost_of(policy, seed)) for policy in (do_nothing, naive_runbook, oracle)
        )
    assert closed(scale(5).oracle, 5) == 1.0 > closed(scale(5).nothing + 100, 5)


def test_five_seasons_of_a_check_hold_every_kind_of_incident():
    for five in FIVES.tolist():
        assert len(set(five)) == 5 and {
            event.kind for seed in five for event in script_of(seed).events
        } == set(KINDS)


def test_a_policy_in_another_process_plays_the_same_season():
    from mlprod_helpers.lesson import values

    def far_away(observation, memory):  # only what the codec carries gets there and back
        answer = reference(values.copy(observation), values.copy(memory))
        return tuple(values.copy(list(answer)))

    assert Season(11).play(far_away) == Season(11).play(reference)


def test_a_report_is_there_at_any_time():
    season = Season(12)
    assert season.report().cost == 0 and "Nothing has happened" in season.report().post_mortem()
    season.step("retrain")
    report = season.report()
    assert report.days == 1 and report.by_cause["training"] == COSTS["training"].dollars
    assert report.table()["dollars"].sum() == pytest.approx(report.cost)
    assert report.by_day[-1]["training"] == 30.0


def test_a_candidate_can_be_aborted_started_again_and_rolled_back():
    season = Season(13)
    while not season.morning["candidates"]:
        season.step([])
    name = season.morning["candidates"][0]["version"]
    start = {"do": "start", "version": name, "plan": {"strategy": "canary", "step_weights": [20]}}
    assert season.step(start)["rollout"]["weight"] == 20.0
    morning = season.step("abort")
    assert morning["rollout"] is None and morning["candidates"][0]["version"] == name
    morning = season.step([start, "promote"])
    assert morning["serving"] == morning["serving"] | {"version": name, "candidate": name}
    morning = season.step({"do": "roll_back", "what": "candidate"})
    assert morning["serving"]["candidate"] == ""
    assert season.step({"do": "roll_back", "what": "candidate"})["messages"] == [
        "roll_back: no candidate serves."
    ]


def test_pausing_keeps_a_rollout_where_it_is():
    season = Season(13)
    while not season.morning["candidates"]:
        season.step([])
    season.step({"do": "start", "version": season.morning["candidates"][0]["version"]})
    season.step("pause")
    for _ in range(4):
        rollout = season.step([])["rollout"]
        assert (rollout["weight"], rollout["phase"]) == (5.0, "Paused")
    season.step("resume")
    season.step([])
    assert season.morning["rollout"] is None or season.morning["rollout"]["weight"] > 5
