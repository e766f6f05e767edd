"""Exercise 11.6, Verify before you undo."""

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, exercise

UNDO = (
    {"do": "restore", "what": "distance"},
    {"do": "restore", "what": "wind"},
    {"do": "limit_retries", "most": 3},
    {"do": "automation", "degree": "partial"},
)
TEAMS = ("data", "platform", "ml", "staffing")
SHOWN = 3  # lines that fail and tell their input; more would be a wall of text


def _quiet(values, low, high, n=3):
    return len(values) >= n and all(value is not None and low <= value <= high for value in values[-n:])


def _repaired(fix, pages):
    own = [page for page in pages if page["team"] == fix["team"] and page["day"] >= fix["day"]]
    return bool(own) and own[-1]["status"] == "repaired"


def _truth(fixes, history, usual, pages):
    return [
        fix["undo"]
        for fix in fixes
        if (_repaired(fix, pages) if fix["hides"] else _quiet(history[fix["metric"]], *usual[fix["metric"]]))
    ]


def _page(team, day, status):
    return {"day": day, "team": team, "status": status}


def _fix(rng, hides, metric="m", team=None, day=20, undo=None):
    return {
        "metric": metric,
        "day": day,
        "team": str(rng.choice(TEAMS)) if team is None else team,
        "hides": hides,
        "undo": dict(UNDO[int(rng.integers(4)) if undo is None else undo]),
    }


@exercise(
    "11.6",
    "Verify before you undo",
    answers=("verify",),
    points=5,
    minutes=8,
    objective="11.d",
    kind=Function("fixes", "history", "usual", "pages", returns=Sequence(Mapping(keys=("do",)))),
    hints=(
        "For each fix, first look at `hides`. It decides whether the metric or the team tells you that the cause is gone.",
        "Without `hides`: there are at least three values, and the last three are known and inside the range, limits included.",
        'With `hides`: collect the pages to the team of this fix on or after its `day`. There must be one, and the last of them must have the status "repaired".',
    ),
)
def verify(answer, rng, expect):
    """`verify(fixes, history, usual, pages)`: the list of actions that undo."""
    low = round(float(rng.uniform(1, 50)), 1)
    high = round(low + float(rng.uniform(10, 40)), 1)
    width = round(float(rng.uniform(0.01, 0.05)), 3)
    usual = {"m": [low, high], "n": [round(high + 30, 1), round(high + 80, 1)], "share": [-width, width]}
    inside, above, below, of_n = (
        round(low + share * (high - low), 2) for share in (0.5, 1.3, -0.6, 1 + 50 / (high - low))
    )
    team, other = rng.permutation(TEAMS)[:2].tolist()
    third, second, first = sorted(rng.permutation(4)[:3].tolist(), key=lambda i: str(UNDO[i]))
    seen, hidden = _fix(rng, False, team=team), _fix(rng, True, team=team, undo=second)
    good, bad = {"m": [above, inside, inside, inside]}, {"m": [inside, inside, inside, above]}
    both = {"m": [inside] * 3, "n": [of_n, of_n, inside]}
    mixed = {"m": [of_n, inside, inside], "n": [of_n] * 3}
    of_m, of_both = (
        _fix(rng, False, undo=first),
        [_fix(rng, False, undo=first), _fix(rng, False, "n", undo=third)],
    )
    share, again = _fix(rng, False, "share", team=team), _fix(rng, False, undo=first)
    late, early = _fix(rng, True, team=team, day=24, undo=first), _fix(rng, True, team=other, undo=third)
    defining = (
        (([seen], good, usual, []), "three quiet mornings"),
        (([seen], {"m": [inside, above, inside, inside]}, usual, []), "two quiet mornings"),
        (([hidden], good, usual, [_page(team, 20, "working")]), "the fix hides the metric; the team works"),
        (([hidden], bad, usual, [_page(team, 20, "repaired")]), "the fix hides the metric; repaired"),
        (([hidden], good, usual, [_page(team, 19, "repaired")]), "repaired, but before this fix"),
        (
            ([hidden], good, usual, [_page(team, 20, "repaired"), _page(team, 23, "working")]),
            "the team was called again",
        ),
    )
    cases = (
        (([seen], {"m": [inside, below, inside, inside]}, usual, []), "two quiet mornings after a low one"),
        (([seen], {"m": [inside, inside]}, usual, []), "only two mornings are known"),
        (([seen], {"m": [inside] * 12 + [above, inside]}, usual, []), "unusual after twelve quiet mornings"),
        (([seen], {"m": [inside, inside, None, inside]}, usual, []), "one of the last three is unknown"),
        (
            ([seen], {"m": [inside, above, inside, None, inside]}, usual, []),
            "one of the last three is unknown, after a high one",
        ),
        (([seen], {"m": [None, low, high, low]}, usual, []), "three values at the limits"),
        (([share], {"share": [width / 2, 0.0, 0.0]}, usual, []), "three shares, two of them zero"),
        (([share], {"share": [0.0, None, 0.0]}, usual, []), "an unknown share between two of zero"),
        (([seen], bad, usual, [_page(team, 21, "repaired")]), "unusual, although the team says repaired"),
        (
            ([seen], good, usual, [_page(team, 21, "working")]),
            "three quiet mornings, although the team works",
        ),
        (([hidden], good, usual, [_page(other, 21, "repaired")]), "another team repaired something"),
        (
            ([hidden], good, usual, [_page(team, 20, "repaired"), _page(other, 21, "working")]),
            "repaired; then another team was called",
        ),
        (([hidden], good, usual, [_page(team, 20, "nothing found")]), "the team found nothing"),
        (
            ([hidden], good, usual, [_page(team, 20, "repaired"), _page(team, 23, "nothing found")]),
            "called again, and found nothing",
        ),
        (
            ([hidden], good, usual, [_page(team, 20, "working"), _page(team, 44, "repaired")]),
            "the second call, weeks later",
        ),
        (
            ([hidden], {"m": [None]}, usual, [_page(team, 21, "working"), _page(team, 21, "repaired")]),
            "two calls on one day",
        ),
        (([hidden], good, usual, []), "the fix hides the metric; nobody was called"),
        (
            ([of_m, of_both[1], hidden], both, usual, [_page(team, 25, "repaired")]),
            "three fixes at once",
        ),
        (
            (
                [of_m, hidden, of_both[1], again, share],
                {"m": [inside] * 3, "n": [of_n] * 3, "share": [-width / 2] * 3},
                usual,
                [_page(team, 25, "repaired")],
            ),
            "five fixes, and all causes are gone",
        ),
        ((of_both, mixed, usual, []), "two metrics, each with a range of its own"),
        (
            ([late, early], good, usual, [_page(team, 22, "working"), _page(other, 22, "repaired")]),
            "two fixes of two days, for two teams",
        ),
        (([seen, dict(seen)], good, usual, []), "two fixes that need the same action"),
        (([], {}, {}, []), "no fixes"),
    )
    results = [answer(*given) for given, _ in defining + cases]
    for number, ((given, what), got) in enumerate(zip(defining + cases, results, strict=True)):
        if number < len(defining):
            with expect.defining():
                _line(expect, got, _truth(*given), what, given)
        else:
            _line(expect, got, _truth(*given), what, given)


def _line(expect, got, want, what, given):
    """One line of the check; the first ones that fail tell their input and what came back."""
    fails = sum(not line.ok for line in expect.lines)
    expect.true(got == want, what, f"{_input(*given)}; you returned {_short(got)}" if fails < SHOWN else "")


def _input(fixes, history, usual, pages):
    told = [
        f"{fix['metric']} on day {fix['day']}, team {fix['team']}, hides {fix['hides']}, undo {_short([fix['undo']])}"
        for fix in fixes
    ]
    metrics = dict.fromkeys(fix["metric"] for fix in fixes)
    told += [f"{name} was {history[name]}, usual {usual[name]}" for name in metrics if name in history]
    calls = ", ".join(f"{page['team']} day {page['day']} {page['status']}" for page in pages)
    return "; ".join([*(told or ["no fixes"]), f"pages: {calls or 'none'}"])


def _short(actions):
    return f"[{', '.join(' '.join(map(str, action.values())) for action in actions)}]"


@verify.inputs
def _statement(rng):
    fix = {"metric": "latency_p95", "day": 20, "team": "platform", "hides": True, "undo": UNDO[1]}
    yield (
        [fix],
        {"latency_p95": [180, 175, 170]},
        {"latency_p95": [88, 268]},
        [_page("platform", 20, "working")],
    )
    yield [], {}, {}, []
    for _ in range(100):
        names = ["a", "b", "c"]
        usual = {name: [0, 10] for name in names}
        values = [-1, 0, 5, 5, 10, 11, None]
        history = {
            name: [values[i] for i in rng.integers(0, 7, int(rng.integers(1, 6)))]
            if rng.random() < 0.5
            else [5] * int(rng.integers(1, 5))
            for name in names
        }
        fixes = [
            _fix(rng, bool(rng.random() < 0.5), str(rng.choice(names)), day=int(rng.integers(5, 30)))
            for _ in range(int(rng.integers(0, 4)))
        ]
        days = sorted(rng.integers(3, 33, int(rng.integers(0, 5))).tolist())
        kinds = ("working", "repaired", "nothing found")
        pages = [_page(str(rng.choice(TEAMS)), day, str(rng.choice(kinds))) for day in days]
        if fixes and rng.random() < 0.5:
            pages.append(_page(fixes[0]["team"], int(fixes[0]["day"]), "repaired"))
            pages.sort(key=lambda page: page["day"])
        yield fixes, history, usual, pages
    twice = [fix | {"hides": False}, fix | {"hides": False}]
    yield twice, {"latency_p95": [100, 100, 100]}, {"latency_p95": [88, 268]}, []


def _any_page(fix, pages):
    return any(page["team"] == fix["team"] and page["status"] == "repaired" for page in pages)


@verify.misconception(
    "you believed a metric that the fix itself keeps quiet. Without the wind, nobody waits for the wind service, so the latency is good while the service is still slow. Ask the team.",
)
def trusts_the_metric(fixes, history, usual, pages):
    return _truth([fix | {"hides": False} for fix in fixes], history, usual, pages)


@verify.misconception(
    "you undid a fix after the first good morning. Many incidents pause and come back. Wait until the metric was inside its range on three mornings in a row.",
)
def first_good_morning(fixes, history, usual, pages):
    return [
        fix["undo"]
        for fix in fixes
        if (
            _repaired(fix, pages)
            if fix["hides"]
            else _quiet(history[fix["metric"]], *usual[fix["metric"]], n=1)
        )
    ]


@verify.misconception(
    "you counted an old repair. The same team repaired something before this fix, or it was called again afterwards. Look at its last page since the day of the fix.",
)
def any_repair(fixes, history, usual, pages):
    return [
        fix["undo"]
        for fix in fixes
        if (_any_page(fix, pages) if fix["hides"] else _quiet(history[fix["metric"]], *usual[fix["metric"]]))
    ]


@verify.misconception(
    "you waited for a team in all cases. Some causes go away without anybody, and the metric shows it. The team decides only where the fix hides the metric.",
)
def always_the_team(fixes, history, usual, pages):
    return _truth([fix | {"hides": True} for fix in fixes], history, usual, pages)


@verify.misconception(
    "you counted an unknown value as a good one. If nothing was measured, you do not know that the cause is gone.",
)
def unknown_is_good(fixes, history, usual, pages):
    filled = {
        name: [usual[name][0] if value is None else value for value in values]
        for name, values in history.items()
    }
    return _truth(fixes, filled, usual, pages)


@verify.misconception(
    "you left the unknown mornings out and looked at the last three others. One of the last three mornings is then unknown, and the incident may have been there.",
)
def skips_unknown(fixes, history, usual, pages):
    known = {name: [value for value in values if value is not None] for name, values in history.items()}
    return _truth(fixes, known, usual, pages)


@verify.misconception(
    "you took a value of 0 for an unknown one. For many metrics, such as a share of missing values, 0 is the best value, and the fix then stays forever. Compare with None.",
)
def zero_is_unknown(fixes, history, usual, pages):
    filled = {name: [value or None for value in values] for name, values in history.items()}
    return _truth(fixes, filled, usual, pages)


@verify.misconception(
    "you undid a fix because the team has stopped working on it. A team that found nothing has repaired nothing, so the cause may still be there.",
)
def no_longer_working(fixes, history, usual, pages):
    ended = [page | {"status": "working" if page["status"] == "working" else "repaired"} for page in pages]
    return _truth(fixes, history, usual, ended)


@verify.misconception(
    "you looked at the last page of all teams. If another team is called later for something else, this fix is never undone. First choose the pages of this fix's team.",
)
def last_of_all(fixes, history, usual, pages):
    return _truth(fixes, history, usual, pages[-1:])


@verify.alternative
def with_loops(fixes, history, usual, pages):
    actions = []
    for fix in fixes:
        if fix["hides"]:
            status = ""
            for page in pages:
                if page["team"] == fix["team"] and not page["day"] < fix["day"]:
                    status = page["status"]
            if status == "repaired":
                actions.append(fix["undo"])
        else:
            low, high = usual[fix["metric"]]
            good = 0
            for value in reversed(history[fix["metric"]]):
                if value is None or value < low or value > high:
                    break
                good += 1
            if good > 2:
                actions.append(fix["undo"])
    return actions


@verify.alternative
def by_latest_status(fixes, history, usual, pages):
    def gone(fix):
        if fix["hides"]:
            latest = [
                page["status"] for page in pages if page["team"] == fix["team"] and page["day"] >= fix["day"]
            ]
            return latest[-1:] == ["repaired"]
        low, high = usual[fix["metric"]]
        last = history[fix["metric"]][-3:]
        return len(last) == 3 and None not in last and low <= min(last) and max(last) <= high

    return [fix["undo"] for fix in fixes if gone(fix)]
