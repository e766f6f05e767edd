"""Exercise 11.4, From signals to causes."""

from mlprod_helpers.lesson.contract import Function, Sequence, Text, exercise

RUNBOOK = {
    "feed outage": {"signs": ["missing_share"], "explains": ["error_mean", "error_bias"]},
    "unit change": {
        "signs": ["distance_off_share"],
        "explains": ["distance_mean", "error_mean", "error_bias"],
    },
    "skew": {"signs": ["mismatch_share"], "explains": ["error_mean", "error_bias"]},
    "retry storm": {"signs": ["attempts"], "explains": ["latency_p95", "failed_share", "requests"]},
    "slow dependency": {"signs": ["latency_p95", "failed_share"], "explains": ["late_reviews"]},
    "traffic": {"signs": ["requests", "distance_mean"], "explains": []},
    "drift": {"signs": ["error_mean", "error_bias"], "explains": []},
}
METRICS = sorted({name for row in RUNBOOK.values() for part in row.values() for name in part})


def _truth(signals, runbook, rollout):
    left, causes = set(signals), []
    for cause, row in runbook.items():
        if left & set(row["signs"]):
            causes.append(cause)
            left -= set(row["explains"])
    if rollout is not None and rollout["planned"] >= 200 and rollout["requests"] < 0.9 * rollout["planned"]:
        causes.append("router")
    return causes


def _rollout(rng, share, planned=None):
    planned = int(rng.integers(300, 900)) * 10 if planned is None else planned
    return {"requests": round(share * planned), "planned": planned}


def _shuffled(rng, names):
    return [names[i] for i in rng.permutation(len(names))]


@exercise(
    "11.4",
    "From signals to causes",
    answers=("diagnose",),
    points=5,
    minutes=8,
    objective="11.c",
    kind=Function("signals", "runbook", "rollout", returns=Sequence(Text())),
    hints=(
        "Keep a set of the signals that nothing has explained yet, and go through the runbook from top to bottom.",
        "If a cause has at least one of its signs in your set, add it to the list and take away what it explains. Do not stop there: two incidents can happen at once.",
        'Finally compare the counts of the rollout: `rollout["requests"] < 0.9 * rollout["planned"]`, but only if at least 200 were planned.',
    ),
)
def diagnose(answer, rng, expect):
    """`diagnose(signals, runbook, rollout)`: the list of causes."""
    inputs = str(rng.choice(["missing_share", "distance_off_share", "mismatch_share"]))
    renamed = {f"cause {rng.integers(10, 99)}-{i}": row for i, row in enumerate(RUNBOOK.values())}
    good, bad = _rollout(rng, rng.uniform(0.93, 1.05)), _rollout(rng, rng.uniform(0.4, 0.8))
    chain = {
        "second": {"signs": ["b"], "explains": ["c", "e"]},
        "first": {"signs": ["a"], "explains": ["b"]},
        "third": {"signs": ["c", "d"], "explains": []},
    }
    in_order = {name: chain[name] for name in ("first", "second", "third")}
    shared = {
        "own sign": {"signs": ["a", "e"], "explains": ["b", "e"]},
        "its sign is explained": {"signs": ["e"], "explains": []},
        "same sign": {"signs": ["f", "a"], "explains": []},
    }
    count = int(rng.integers(9, 12))
    long = {
        f"cause {i}": {"signs": [f"a{i}", f"b{i}", f"c{i}"], "explains": [f"d{i}", f"e{i}", f"c{i + 1}"]}
        for i in range(count)
    }
    apart = [inputs, "attempts", "latency_p95", "error_mean"]
    just, few = int(rng.integers(100, 900)), int(rng.integers(200, 900))
    cases = (
        (([str(rng.choice(["error_mean", "error_bias"]))], RUNBOOK, None), "only an error is unusual"),
        (([inputs, "error_bias", "error_mean"], RUNBOOK, None), "an input is broken, and the errors follow"),
        (
            (["failed_share", "attempts", "latency_p95"], RUNBOOK, good),
            "slow answers and many attempts",
        ),
        ((["latency_p95", "error_mean", inputs], RUNBOOK, None), "two incidents at once"),
        ((["requests", "mismatch_share"], renamed, None), "a runbook with other names"),
        ((["error_mean"], RUNBOOK, bad), "the new version gets too few requests"),
        (([], RUNBOOK, _rollout(rng, 0.5, int(rng.integers(20, 199)))), "few requests were planned"),
        (([], RUNBOOK, _rollout(rng, 0.5, 199)), "199 requests were planned"),
        (([], RUNBOOK, _rollout(rng, 0.5, 200)), "200 requests were planned"),
        (([], RUNBOOK, {"requests": 895, "planned": 1000}), "a little less than 90% of the requests"),
        (([], RUNBOOK, {"requests": 900, "planned": 1000}), "exactly 90% of the requests"),
        ((["distance_mean", "requests", "attempts"], RUNBOOK, None), "one of two signs is explained"),
        ((["a", "b", "d"], chain, None), "a sign is explained only further down"),
        ((["c", "b", "a"], in_order, None), "a cause that is explained explains nothing"),
        ((["wind"], RUNBOOK, None), "no cause has this sign"),
        ((["error_mean", "latency_p95"], RUNBOOK, None), "drift and another incident"),
        ((["error_bias", "requests", "latency_p95"], RUNBOOK, None), "drift and two other incidents"),
        ((["error_mean", "requests"], renamed, None), "drift and traffic under other names"),
        ((_shuffled(rng, apart), RUNBOOK, None), "two causes, and each explains one metric"),
        ((["e", "a"], shared, None), "two causes have the same sign, and a third one is explained"),
        ((["e"], shared, None), "a cause explains its only sign"),
        ((_shuffled(rng, [f"c{i}" for i in range(count)]), long, None), "a long runbook"),
        (
            (["error_bias", "requests", "latency_p95"], dict(reversed(RUNBOOK.items())), None),
            "the runbook from last to first, so that drift comes first",
        ),
        (
            ([], RUNBOOK, {"requests": 9 * just + 5, "planned": 10 * just + 6}),
            "just under 90% of the requests",
        ),
        (([], RUNBOOK, _rollout(rng, rng.uniform(1.2, 1.6))), "more requests than planned"),
        (([], RUNBOOK, {"requests": 0, "planned": few}), "no request arrived"),
    )
    for number, (given, what) in enumerate(cases):
        if number in (1, 3, 5):
            with expect.defining():
                expect.equal(answer(*given), _truth(*given), what)
        else:
            expect.equal(answer(*given), _truth(*given), what)


@diagnose.inputs
def _statement(rng):
    yield ["error_mean", "missing_share"], RUNBOOK, None
    yield [], {}, None
    for _ in range(80):
        signals = rng.permutation([*METRICS, "wind"])[: int(rng.integers(0, 6))].tolist()
        causes = rng.permutation(list(RUNBOOK)).tolist()
        runbook = {cause: RUNBOOK[cause] for cause in causes[: int(rng.integers(1, 8))]}
        planned = int(rng.choice([0, 100, 199, 200, 201, 1000, 5000]))
        share = float(rng.choice([0, 0.5, 0.85, 0.9, 0.95, 1.1, 1.5]))
        rollout = _rollout(rng, share, planned) if rng.random() < 0.6 else None
        yield signals, runbook, rollout
    names = list("abcde")
    for _ in range(60):
        runbook = {
            f"cause {i}": {
                "signs": rng.permutation(names)[: int(rng.integers(1, 3))].tolist(),
                "explains": rng.permutation(names)[: int(rng.integers(0, 3))].tolist(),
            }
            for i in range(int(rng.integers(1, 5)))
        }
        planned = int(rng.integers(150, 1100))
        requests = max(0, int(0.9 * planned) + int(rng.integers(-2, 3)))
        yield (
            rng.permutation(names)[: int(rng.integers(1, 5))].tolist(),
            runbook,
            {"requests": requests, "planned": planned},
        )


@diagnose.misconception(
    "you stopped at the first cause. Two incidents can happen at once, and the second one then goes on until somebody notices it.",
)
def first_cause_only(signals, runbook, rollout):
    return _truth(signals, runbook, rollout)[:1]


@diagnose.misconception(
    "you did not use `explains`. A broken input raises the error, so you add drift to the list, and somebody retrains the model on broken data.",
)
def nothing_explained(signals, runbook, rollout):
    plain = {cause: row | {"explains": []} for cause, row in runbook.items()}
    return _truth(signals, plain, rollout)


@diagnose.misconception(
    "you asked for all signs of a cause. One sign is enough: a slow dependency raises the latency long before requests fail.",
)
def all_signs_needed(signals, runbook, rollout):
    left, causes = set(signals), []
    for cause, row in runbook.items():
        if set(row["signs"]) <= left:
            causes.append(cause)
            left -= set(row["explains"])
    return causes + _truth([], {}, rollout)


@diagnose.misconception(
    "you ignored the counts of the rollout. The requests that a router loses are in no log, so no metric shows them. Compare what arrived with what was planned.",
)
def no_counts(signals, runbook, rollout):
    return _truth(signals, runbook, None)


@diagnose.misconception(
    "you blamed the router although few requests were planned. With fewer than 200, the difference can be chance.",
)
def few_are_enough(signals, runbook, rollout):
    causes = _truth(signals, runbook, None)
    lost = rollout is not None and rollout["requests"] < 0.9 * rollout["planned"]
    return [*causes, "router"] if lost else causes


@diagnose.misconception(
    "you named drift only where you found no other cause. An outage of something else does not stop drift: as long as one of its signs is unexplained, add it too.",
)
def drift_alone(signals, runbook, rollout):
    causes = _truth(signals, runbook, None)
    others = [cause for cause in causes if cause != "drift"]
    return (others or causes) + _truth([], {}, rollout)


@diagnose.misconception(
    "you blamed the router although more requests arrived than planned. Nothing was lost then. Look at the side of the difference.",
)
def either_side(signals, runbook, rollout):
    causes = _truth(signals, runbook, None)
    off = rollout is not None and abs(rollout["requests"] - rollout["planned"]) > 0.1 * rollout["planned"]
    return [*causes, "router"] if off and rollout["planned"] >= 200 else causes


@diagnose.alternative
def with_a_list_of_explained(signals, runbook, rollout):
    explained, causes = [], []
    for cause in runbook:
        signs = [sign for sign in runbook[cause]["signs"] if sign in signals and sign not in explained]
        if len(signs) > 0:
            causes = [*causes, cause]
            explained.extend(runbook[cause]["explains"])
    if rollout and rollout["planned"] > 199 and rollout["requests"] / rollout["planned"] < 0.9:
        causes.append("router")
    return causes


@diagnose.alternative
def by_recursion(signals, runbook, rollout):
    def rest(rows, left):
        if not rows:
            return []
        (cause, row), *others = rows
        if any(sign in left for sign in row["signs"]):
            return [cause, *rest(others, [name for name in left if name not in row["explains"]])]
        return rest(others, left)

    causes = rest(list(runbook.items()), list(signals))
    if rollout is not None and rollout["planned"] >= 200:
        causes += ["router"] * (10 * rollout["requests"] < 9 * rollout["planned"])
    return causes
