"""Exercise 3.8, The alarm they still read."""

import math

import numpy as np
from scipy.special import gammaincc
from scipy.stats import chi2

from mlprod_helpers.drift.services import N_WEEKS, SIZES, cost_by_size, draw_services, never, usual_limit
from mlprod_helpers.lesson.contract import Boolean, Function, Mapping, Several, drawn_once, exercise

GROUP, ALL = 0.3, 0.2  # of what never paging costs


@drawn_once()
def _drawn(rng):
    """Twelve services, and what never paging and the usual limit cost there."""
    services = draw_services(rng)
    return services, cost_by_size(never, services), cost_by_size(usual_limit, services)


@exercise(
    "3.8",
    "The alarm they still read",
    answers=("alarm",),
    points=6,
    minutes=14,
    objective="3.e",
    kind=Function(
        "observation",
        "memory",
        returns=Several(Boolean(), Mapping(), names=("page", "memory")),
        may_change=("memory",),
    ),
    edition=3,
    hints=(
        "Ask two questions before you page. Could a quiet week have such a PSI, with ten columns and this many rows? And is the change large enough to cost anything?",
        "For the first, use the formula of the quiet PSI, with a limit that ten columns seldom reach in half a year. For the second, subtract what chance adds to the PSI, "
        "9 x (1/n + 1/m). A shift of 0.2 sd adds 0.04.",
        "`memory` can hold which columns were high last week. If the same column is high two weeks in a row, it is seldom chance, but waiting costs a week.",
    ),
)
def alarm_policy(answer, rng, expect):
    """`alarm(observation, memory)`: page or not, week after week, for twelve services."""
    services, silent, usual = _drawn(rng)
    costs = cost_by_size(answer, services)
    for size in SIZES:
        expect.within(
            costs[size],
            0,
            GROUP * silent[size],
            f"{size} rows a week: costs {costs[size]} (never paging {silent[size]}, PSI above 0.1 {usual[size]}; "
            f"wanted at most {GROUP * silent[size]:.0f})",
        )
    total, limit = sum(costs.values()), ALL * sum(silent.values())
    with expect.defining():
        expect.within(
            total,
            0,
            limit,
            f"all twelve services: costs {total} (never paging {sum(silent.values())}, PSI above 0.1 {sum(usual.values())}; "
            f"wanted at most {limit:.0f})",
        )


@alarm_policy.acceptable
def _pays_on_average(answer, rng):
    """The statement's two bounds, on the mean of eight draws of twelve services."""
    costs, silent = dict.fromkeys(SIZES, 0), dict.fromkeys(SIZES, 0)
    for _ in range(8):
        services, never_paged, _ = _drawn(rng)
        for size, cost in cost_by_size(answer, services).items():
            costs[size] += cost
            silent[size] += never_paged[size]
    within = all(costs[size] <= GROUP * silent[size] for size in SIZES)
    return within and sum(costs.values()) <= ALL * sum(silent.values())


def _unit(observation):
    return 1 / observation["n_reference"] + 1 / observation["n_current"]


def _complete(seen):
    return len(seen.calls) == 12 * N_WEEKS


def _paged(seen):
    """(rows, largest PSI, chance of one column, page) of each call."""
    rows = []
    for call in seen.calls:
        (observation, _), (page, _) = call.given, call.output
        largest = max(observation["psi"])
        chance = float(gammaincc(4.5, largest / _unit(observation) / 2))
        rows.append((observation["n_current"], largest, chance, bool(page)))
    return rows


def _one_limit_for_all(seen):
    rows = _paged(seen)
    paged, silent = ([x for _, x, _, page in rows if page is wanted] for wanted in (True, False))
    return bool(paged) and bool(silent) and min(paged) >= max(silent)


def _any_small_p(seen):
    """Whether each service with few rows has a limit that chance alone reaches now and then."""
    rows = [(n, largest, chance, page) for n, largest, chance, page in _paged(seen) if n < 10_000]
    for service in {n for n, *_ in rows}:
        paged, silent = (
            [largest for n, largest, _, page in rows if n == service and page is wanted]
            for wanted in (True, False)
        )
        if paged and silent and min(paged) < max(silent):
            return False
    chances = [chance for *_, chance, page in rows if page]
    return len(chances) > 15 and np.mean([chance > 0.006 for chance in chances]) > 0.1


def _pages_for_crumbs(seen):
    many = [(largest, page) for n, largest, _, page in _paged(seen) if n > 10_000]
    paged, silent = ([largest for largest, page in many if page is wanted] for wanted in (True, False))
    # what was paged is larger than what was not: no page by the reverse of a rule
    larger = not silent or np.mean(paged) > np.mean(silent)
    return sum(largest < 0.05 for largest in paged) > 20 and larger and not _in_fixed_weeks(seen)


def _in_fixed_weeks(seen):
    """Whether all services are paged in the same weeks, but not in all weeks."""
    weeks = [call.given[0]["week"] for call in seen.calls if call.output[0]]
    return _complete(seen) and 0 < len(set(weeks)) < N_WEEKS and len(weeks) == 12 * len(set(weeks))


@alarm_policy.misconception(
    "you never page. Then nobody is disturbed, but every week of drift costs five times as much as a page. Look for weeks that chance "
    "cannot explain.",
    when=lambda seen: _complete(seen) and not any(page for *_, page in _paged(seen)),
)
def never_page(observation, memory):
    return False, memory


@alarm_policy.misconception(
    "you page every week. After the second false page nobody reads them any more, and the third may be real. Page only if a quiet week would hardly ever have such a PSI.",
    when=lambda seen: _complete(seen) and all(page for *_, page in _paged(seen)),
)
def always_page(observation, memory):
    return True, memory


@alarm_policy.misconception(
    "you page in the same weeks for every service, whatever their PSI. Drift begins in another week in each, so many weeks of drift pass before your page, "
    "and many pages are false. Look at `psi`.",
    when=_in_fixed_weeks,
)
def by_the_calendar(observation, memory):
    return observation["week"] in (6, 10, 18), memory


@alarm_policy.misconception(
    "you used one limit for all services. With few rows, chance alone exceeds a low limit, and after two false pages "
    "nobody reads them. With many rows, a high limit notices drift late. Let the limit depend on the number of rows.",
    when=_one_limit_for_all,
)
def psi_above_a_tenth(observation, memory):
    return max(observation["psi"]) > 0.1, memory


@alarm_policy.misconception(
    "you page at values that chance alone reaches now and then. Ten columns in 26 weeks are 260 tests, and at 5% each that makes thirteen false flags for each service. Use a stricter limit, or wait until the same column is above the limit twice.",
    when=_any_small_p,
)
def five_percent(observation, memory):
    return bool((chi2.sf(np.array(observation["psi"]) / _unit(observation), 9) < 0.05).any()), memory


@alarm_policy.misconception(
    "you page for everything that chance cannot explain. With many rows, chance cannot explain even a change of less than a tenth "
    "of a standard deviation. Ask also whether the change is large enough to cost anything.",
    when=_pages_for_crumbs,
)
def more_than_chance(observation, memory):
    return bool(gammaincc(4.5, max(observation["psi"]) / _unit(observation) / 2) < 1e-5), memory


def _few_and_late(seen):
    paged = [(largest, chance) for _, largest, chance, page in _paged(seen) if page]
    late = sum(largest > 0.05 and chance < 1e-4 for _, largest, chance, page in _paged(seen) if not page)
    return (
        _complete(seen)
        and 0 < len(paged) <= 15
        and late > 30
        and all(largest > 0.05 and chance < 1e-3 for largest, chance in paged)
        and not any(ok for _, ok, *_ in seen.verdicts)
    )


@alarm_policy.misconception(
    "you were too cautious. Your pages are few and correct, but weeks with clear drift pass without a page, and each costs as "
    "much as five pages. Page earlier.",
    when=_few_and_late,
)
def ten_weeks_in_a_row(observation, memory):
    high = max(observation["psi"]) > 0.05 + 28 * _unit(observation)
    weeks = memory.get("weeks", 0) + 1 if high else 0
    return weeks >= 10, {"weeks": weeks}


@alarm_policy.alternative
def a_limit_that_knows_the_rows(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    return max(observation["psi"]) > 0.05 + 28 * unit, memory


@alarm_policy.alternative
def same_column_twice(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    high = [i for i, value in enumerate(observation["psi"]) if value > 21.7 * unit and value > 0.05]
    again = set(high) & set(memory.get("high", []))
    return bool(again), {"high": high}


@alarm_policy.alternative
def mean_of_the_columns(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    excess = np.mean(observation["psi"]) - 9 * unit
    return bool(excess > 0.015 + 4.5 * unit * math.sqrt(18 / 10)), memory


@alarm_policy.alternative
def evidence_that_adds_up(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    excess = np.array(observation["psi"]) / unit - 9 - max(8, 0.035 / unit)
    total = np.maximum(0, np.array(memory.get("total", [0] * len(excess))) + excess)
    return bool((total > 24).any()), {"total": total.tolist()}


for _mutant in (
    "alternative a_limit_that_knows_the_rows: `1` -> `2` (2)",
    "alternative evidence_that_adds_up: `1` -> `2` (2)",
    "alternative same_column_twice: `set(high) & set(memory.get('high', []))` -> `set(memory.get('high', []))`",
    "alternative same_column_twice: `set(high) & set(memory.get('high', []))` -> `set(high)`",
):
    alarm_policy.survives(
        _mutant,
        "A policy is scored by its cost, and this one's lies near the bound: some draws of twelve services let it pass, others do not.",
    )
