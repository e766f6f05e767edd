"""What lesson 11 says about seasons: what policies avoid, and what its two examples show."""

import numpy as np
import pytest

from mlprod_helpers.oncall import Season, alert, cost_of, observe, policy_of, reference, retrain_daily, scale
from mlprod_helpers.oncall.cases import draw_case


def avoided(seeds):
    """(share of the avoidable cost by policy, seasons in which retraining every morning cost more than nothing)."""
    ends = [scale(seed) for seed in seeds]
    nothing, naive, oracle = (np.array(costs) for costs in zip(*ends, strict=True))
    daily, best = (
        np.array([cost_of(policy, seed) for seed in seeds]) for policy in (retrain_daily, reference)
    )
    shares = [(nothing - costs).sum() / (nothing - oracle).sum() for costs in (daily, naive, best)]
    return shares, int((daily > nothing).sum())


def test_retraining_every_morning_avoids_about_a_quarter_and_the_reference_more_than_four_fifths():
    (daily, naive, best), _ = avoided(range(5))
    assert daily == pytest.approx(0.24, abs=0.02)
    assert daily < naive < best
    assert best > 0.8


def test_twenty_other_seasons_agree():
    shares, worse = avoided(range(5, 25))
    assert np.round(shares, 2).tolist() == [0.26, 0.31, 0.85]
    assert worse == 2


def test_the_reference_trains_far_less():
    for seed in range(3):
        timeline = Season(seed).play(reference).timeline
        trained = sum(one["what"] == "action" and one["text"].startswith("retrain") for one in timeline)
        assert 8 <= trained <= 20  # retraining daily: 70


def test_in_season_7_two_incidents_begin_on_day_16_and_inputs_show_it_before_the_error():
    season = Season(7)
    events = [event.kind for event in season.script.reveal().events if event.start == 16]
    assert sorted(events) == ["feed_outage", "reviewers"]
    while season.day < 18:
        morning = season.step()
    missing, error = (morning["history"][name][-2] for name in ("missing_share", "error_mean"))
    assert missing > morning["usual"]["missing_share"][1] and error < morning["usual"]["error_mean"][1]
    assert "missing_share" in alert(observe(morning, None))


@pytest.mark.parametrize("seed", [3, 4, 5, 8, 9, 10])
def test_leaving_out_a_step_costs(seed):
    whole = cost_of(reference, seed)
    assert whole < cost_of(policy_of(verify=lambda state: []), seed)
    assert whole < cost_of(policy_of(alert=lambda state: []), seed)


def test_a_sealed_log_shows_its_incident_from_its_onset_on():
    for seed in range(12):
        log, (cause, onset, _) = draw_case(np.random.default_rng(seed))
        assert 7 <= onset <= 20 and len(log) == 36 * 21
        before, after = log[log["day"] < onset], log[log["day"] >= onset]
        if cause == "feed outage":
            assert after["distance"].isna().mean() > before["distance"].isna().mean() + 0.1
        elif cause in ("retry storm", "slow dependency"):
            assert after["latency_ms"].median() > 2 * before["latency_ms"].median()
