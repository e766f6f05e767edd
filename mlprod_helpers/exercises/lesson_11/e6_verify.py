"""Exercise 11.6, Verify before you undo."""

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, exercise

UNDO = (
    {"do": "restore", "what": "distance"},
    {"do": "restore", "what": "wind"},
    {"do": "limit_retries", "most": 3},
    {"do": "automation", "degree": "partial"},
)
TEAMS = ("data", "platform", "ml", "staffing")


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


def _fix(rng, hides, metric="m", team=None, day=20):
    return {
        "metric": metric,
        "day": day,
        "team": str(rng.choice(TEAMS)) if team is None else team,
        "hides": hides,
        "undo": dict(UNDO[int(rng.integers(4))]),
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
    low = round(float(rng.uniform(0, 50)), 1)
    high = low + round(float(rng.uniform(10, 40)), 1)
    usual = {"m": [low, high], "n": [low - 5, high + 5]}
    inside, above, below = (round(low + share * (high - low), 2) for share in (0.5, 1.3, -0.6))
    team, other = rng.permutation(TEAMS)[:2].tolist()
    seen, hidden = _fix(rng, False, team=team), _fix(rng, True, team=team)
    good, bad = {"m": [above, inside, inside, inside]}, {"m": [inside, inside, inside, above]}
    both = {"m": [inside] * 3, "n": [inside, inside, high + 9]}
    cases = (
        (([seen], good, usual, []), "three quiet mornings"),
        (([seen], {"m": [inside, above, inside, inside]}, usual, []), "two quiet mornings"),
        (([seen], {"m": [inside, below, inside, inside]}, usual, []), "two quiet mornings after a low one"),
        (([seen], {"m": [inside, inside]}, usual, []), "only two mornings are known"),
        (([seen], {"m": [inside, inside, None, inside]}, usual, []), "one of the last three is unknown"),
        (([seen], {"m": [low, high, low]}, usual, []), "three values at the limits"),
        (([seen], bad, usual, [_page(team, 21, "repaired")]), "unusual, although the team says repaired"),
        (([hidden], good, usual, [_page(team, 20, "working")]), "the fix hides the metric; the team works"),
        (([hidden], bad, usual, [_page(team, 20, "repaired")]), "the fix hides the metric; repaired"),
        (([hidden], good, usual, [_page(team, 9, "repaired")]), "repaired, but before this fix"),
        (([hidden], good, usual, [_page(other, 21, "repaired")]), "another team repaired something"),
        (
            ([hidden], good, usual, [_page(team, 20, "repaired"), _page(team, 23, "working")]),
            "the team was called again",
        ),
        (
            ([hidden], good, usual, [_page(team, 20, "working"), _page(team, 24, "repaired")]),
            "the second call",
        ),
        (([hidden], good, usual, []), "the fix hides the metric; nobody was called"),
        (
            ([_fix(rng, False, "n"), seen, hidden], both, usual, [_page(team, 25, "repaired")]),
            "three fixes at once",
        ),
        (([], {}, {}, []), "no fixes"),
    )
    for number, (given, what) in enumerate(cases):
        if number in (0, 1, 7, 8, 9, 11):
            with expect.defining():
                expect.equal(answer(*given), _truth(*given), what)
        else:
            expect.equal(answer(*given), _truth(*given), what)


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
