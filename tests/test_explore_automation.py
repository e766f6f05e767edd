"""The automation explorer: its words are those of the closed form, and it stays alive at the edge."""

import re

import pytest

from mlprod_helpers.automation import Costs, Reviewers, cost_curve, uniform_cases
from mlprod_helpers.explore import automation_explorer, automation_picture
from mlprod_helpers.queueing import Exponential


def test_the_picture_says_what_the_curve_says():
    costs = Costs(10, 2, 3)
    people = Reviewers(2, Exponential(60.0), error=0.05, fatigue=0.1)
    cases = uniform_cases(1.0, n=10_000, random_state=0)
    curve = cost_curve(cases["confidence"], cases["model_right"], 150 / 3600, people, costs)
    alt = automation_picture(85, 2, 10, costs=costs).alt
    assert f"costs {curve.loc[0.85, 'cost']:.2f}" in alt
    assert f"cheapest threshold is {100 * curve['cost'].idxmin():.0f}%" in alt


@pytest.mark.parametrize("threshold, count, fatigue", [(50, 1, 0), (101, 1, 30), (101, 6, 30), (75, 2, 0)])
def test_every_corner_has_a_picture(threshold, count, fatigue):
    figure = automation_picture(threshold, count, fatigue)
    assert figure.png.startswith(b"\x89PNG") and ("without end" in figure.alt or "costs" in figure.alt)


def test_fewer_or_tired_reviewers_lower_the_cheapest_threshold():
    def cheapest(count, fatigue):
        return int(re.search(r"threshold is (\d+)%", automation_picture(90, count, fatigue).alt).group(1))

    assert cheapest(6, 0) > cheapest(1, 0) and cheapest(3, 0) > cheapest(3, 30)


def test_the_explorer_moves():
    explorer = automation_explorer()
    before = explorer.figure.alt
    explorer.set(reviewers=1)
    assert explorer.figure.alt != before and "without end" in explorer.figure.alt
    explorer.reset()
    assert explorer.figure.alt == before
