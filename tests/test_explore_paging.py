"""The explorer of one alert rule shows what lesson 08 says about it."""

import re

from mlprod_helpers.explore import paging_picture
from mlprod_helpers.explore.paging import EACH_HOUR


def verdict(**settings):
    """(incidents caught, false pages) of a rule, as the text of its picture has them."""
    text = paging_picture(**settings).alt
    caught, false = (
        re.search(r"(\d) of 3 incidents caught", text),
        re.search(r"(\d+) of \d+ pages? false", text),
    )
    return int(caught[1]), int(false[1]) if false else 0


def test_one_limit_for_all_hours_catches_two_incidents_at_most_with_seventeen_false_pages():
    found = [verdict(threshold=limit, hold=hold) for limit in range(200, 1201, 50) for hold in range(7)]
    most = max(caught for caught, _ in found)
    assert (most, min(false for caught, false in found if caught == most)) == (2, 17)


def test_a_limit_for_each_hour_catches_all_three_without_a_false_page():
    assert verdict(hold=1, limits=EACH_HOUR) == (3, 0)
