"""The explorer of a rollout shows what lesson 06 says about it."""

from mlprod_helpers.explore import rollout_explorer, rollout_picture
from mlprod_helpers.explore.rollouts import FAULTS, PLANS


def ending(fault, wanted):
    """How the canary of five steps ends, as the text of its picture has it."""
    return rollout_picture(fault, wanted=wanted).alt.split(",")[0].removeprefix("Canary: ")


def test_luck_sends_the_good_version_back_if_the_judge_wants_few_requests():
    assert [ending("none", wanted) for wanted in (40, 100, 300)] == ["Degraded", "Healthy", "Paused"]


def test_a_patient_judge_does_not_hear_the_small_airport():
    assert [ending("one airport", wanted) for wanted in (40, 100)] == ["Degraded", "Healthy"]


def test_a_promoted_canary_does_not_see_what_begins_later():
    assert "promoted after 18.0 min" in rollout_picture("after 20 minutes", wanted=100).alt


def test_it_starts_where_the_text_says_and_every_choice_has_a_picture():
    explorer = rollout_explorer()
    assert explorer.values == {"fault": "one airport", "plan": PLANS[0], "wanted": 40}
    for fault in FAULTS:
        assert "users harmed" in rollout_picture(fault, PLANS[2], 100).alt
    for plan in PLANS:
        assert "users harmed" in rollout_picture("slow", plan, 100).alt
