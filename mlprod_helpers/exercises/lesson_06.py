"""Exercises of lesson 06, deployment strategies: who meets a new version, who judges it, and what it costs."""

import contextlib
import functools
import hashlib
import math
import random
import statistics
import zlib

import numpy as np

from mlprod_helpers.lesson.contract import (
    Array,
    Boolean,
    Choice,
    Function,
    Mapping,
    Number,
    Several,
    Text,
    exercise,
)
from mlprod_helpers.queueing import poisson
from mlprod_helpers.rollout import (
    Behavior,
    BigBang,
    Plan,
    Symptom,
    Version,
    compare,
    crossing,
    obrien_fleming,
    pocock,
    replay,
    traffic,
)
from mlprod_helpers.rollout import bucket as _bucket
from mlprod_helpers.rollout import requests_needed as _requests_needed

EDITION = 2

# ------------------------------------------------------------------ 6.1 count the harm


def _harm(steps, rate, old_error, new_error):
    return sum(60 * minutes * percent / 100 for minutes, percent in steps) * rate * (new_error - old_error)


@exercise(
    "6.1",
    "Count the harm",
    answers=("harm",),
    points=3,
    minutes=5,
    core=True,
    objective="6.a",
    edition=2,
    kind=Function("steps", "rate", "old_error", "new_error", returns=Number()),
    hints=(
        "How many requests does the new version get in one step? Minutes, seconds, percent.",
        "Of these, how many go wrong that would not have gone wrong with the old version?",
        "Add up `minutes * 60 * percent / 100` over the steps, as the worked example does; then times the rate, times the difference of the two error rates.",
    ),
)
def harm(answer, rng, expect):
    """`harm(steps, rate, old_error, new_error)`: how many more requests fail than with the old version alone."""
    rate = int(rng.integers(10, 60))
    old, new = round(float(rng.uniform(0.005, 0.03)), 3), round(float(rng.uniform(0.06, 0.2)), 3)
    late = int(rng.integers(20, 60))
    ramp = [
        (float(minutes), percent)
        for minutes, percent in zip(rng.integers(4, 30, 4) / 2, (0.5, 5, 20, 50), strict=True)
    ]
    plans = (
        ([(2, 100)], "everybody for 2 minutes"),
        ([(40, 5)], "one user in twenty for 40 minutes"),
        (ramp, "a ramp of four steps of different length"),
        ([(10, 0), *ramp[:2], (late, 100)], f"nobody, two steps, then everybody for {late} minutes"),
        ([(6, 50), (6, 10)], "fewer users in the second step"),
    )
    with expect.defining():
        for steps, what in plans:
            expect.close(answer(steps, rate, old, new), _harm(steps, rate, old, new), what)
    expect.close(
        answer(ramp, rate, old, old), 0.0, "a version that is no worse than the old one harms nobody"
    )
    expect.close(answer(ramp, rate, new, old), _harm(ramp, rate, new, old), "a version that fails less")
    expect.close(answer([], rate, old, new), 0.0, "a plan without steps harms nobody")


@harm.inputs
def harm_inputs(rng):
    yield [(2, 100)], 20, 0.01, 0.06
    yield [(10, 5), (10, 20)], 20, 0.01, 0.06
    yield [], 20, 0.01, 0.06
    yield [(7, 0)], 20, 0.01, 0.06
    yield [(5, 10), (5, 10)], 3, 0.2, 0.1
    yield [(0.5, 0.25), (30, 100), (1, 3)], 0.5, 0.0, 1.0
    for _ in range(10):
        steps = [(int(rng.integers(1, 90)), float(rng.integers(0, 101))) for _ in range(rng.integers(1, 8))]
        yield steps, float(rng.uniform(0.1, 500)), float(rng.uniform(0, 0.3)), float(rng.uniform(0, 0.3))


@harm.misconception(
    "the last weight had been there from the beginning. A ramp is a sum: each step lasts its own minutes at its own weight."
)
def last_weight_all_the_time(steps, rate, old_error, new_error):
    minutes = sum(minutes for minutes, _ in steps)
    return _harm([(minutes, steps[-1][1])] if steps else [], rate, old_error, new_error)


@harm.misconception(
    "each failure of the new version were its fault. Some of these requests would have failed with the old one too: subtract them."
)
def all_its_errors(steps, rate, old_error, new_error):
    return _harm(steps, rate, 0, new_error)


@harm.misconception(
    "a percentage were a share. 5 % of the users is 0.05 of them, not five times all of them."
)
def percent_as_share(steps, rate, old_error, new_error):
    return 100 * _harm(steps, rate, old_error, new_error)


@harm.misconception("minutes were multiplied with a rate that is given per second.")
def minutes_as_seconds(steps, rate, old_error, new_error):
    return _harm(steps, rate, old_error, new_error) / 60


@harm.misconception(
    "the weights were averaged as if every step lasted as long as any other. A long step counts for more than a short one."
)
def mean_of_the_weights(steps, rate, old_error, new_error):
    if not steps:
        return 0.0
    mean = statistics.mean(percent for _, percent in steps)
    return _harm([(sum(minutes for minutes, _ in steps), mean)], rate, old_error, new_error)


@harm.alternative
def with_numpy(steps, rate, old_error, new_error):
    minutes, percent = np.array(steps, dtype=float).reshape(-1, 2).T
    return float(minutes @ percent) * 0.6 * rate * (new_error - old_error)


@harm.alternative
def in_a_loop(steps, rate, old_error, new_error):
    wrong = 0.0
    for minutes, percent in steps:
        requests = rate * minutes * 60 * percent / 100
        wrong += requests * new_error - requests * old_error
    return wrong


# ------------------------------------------------------------------ 6.2 which rollout for which release

STRATEGIES = ("shadow", "canary", "blue_green", "ab_test")
RELEASES = {
    "pipeline": "features are computed by new code; its answers should equal the old ones",
    "ranking": "a new order of hotels: does it really bring more bookings?",
    "framework": "a new web framework: it may crash or be slow under real load, 50 requests a second",
    "format": "page and service change their common format in one night; old and new do not mix",
    "fares": "a model that sets prices in real time; its damage must be stopped while few are hit",
    "late": "a new ETA model, labels after three hours; no display may show a bad time to find out",
    "nightly": "40 requests a night, and a way back within seconds is wanted",
}
RIGHT_ROLLOUTS = {
    "pipeline": "shadow",
    "ranking": "ab_test",
    "framework": "canary",
    "format": "blue_green",
    "fares": "canary",
    "late": "shadow",
    "nightly": "blue_green",
}


@exercise(
    "6.2",
    "Which rollout?",
    answers=("rollouts",),
    points=4,
    minutes=4,
    objective="6.a",
    kind=Choice(RELEASES, options=STRATEGIES),
    hints=(
        "Ask of each release: must users meet it to find out? If not, copies will do.",
        'If they must: is the question "is it better, and by how much?" or "must I stop?" And can two versions live side by side at all?',
        "With 40 requests a night a percentage of the users is nobody.",
    ),
)
def rollouts(answer, rng, expect):
    """Seven releases, four ways to release them."""
    expect.cases(answer, RIGHT_ROLLOUTS)


@rollouts.misconception(
    "an A/B test were a safe way to release. It asks which of two versions is better and runs until that is known; a canary asks whether to stop, as soon as it can."
)
def ab_for_safety():
    return RIGHT_ROLLOUTS | {"framework": "ab_test", "fares": "ab_test"}


@rollouts.misconception(
    "copies could tell whether users like a list. They never saw it, so nobody could book from it."
)
def shadow_for_bookings():
    return RIGHT_ROLLOUTS | {"ranking": "shadow"}


@rollouts.misconception(
    "two versions could always live side by side. Where they write what the other cannot read, a canary breaks both: switch all at once, and keep the old ones warm."
)
def canary_of_a_format():
    return RIGHT_ROLLOUTS | {"format": "canary"}


@rollouts.misconception(
    "a canary worked at any traffic. A share of almost nothing is nothing: nobody would be judged for weeks."
)
def canary_of_forty():
    return RIGHT_ROLLOUTS | {"nightly": "canary"}


@rollouts.misconception(
    "users had to meet a version before it can be judged. Where the truth comes by itself, a copy of the request is enough: its answer is compared later, and nobody saw it."
)
def canary_where_copies_do():
    return RIGHT_ROLLOUTS | {"late": "canary", "pipeline": "canary"}


@rollouts.alternative
def listed_backwards():
    return dict(reversed(RIGHT_ROLLOUTS.items()))


@rollouts.alternative
def by_strategy():
    groups = {
        "shadow": ("pipeline", "late"),
        "canary": ("framework", "fares"),
        "blue_green": ("format", "nightly"),
        "ab_test": ("ranking",),
    }
    return {release: name for name, releases in groups.items() for release in releases}


# ------------------------------------------------------------------ 6.3 what can a shadow see

SIGHTS = ("visible", "hidden", "harms users")
FAULTS = {
    "crash": "it crashes on flights of one carrier",
    "leak": "it needs 10 MB more memory after each thousand requests",
    "units": "it reads kilometers as miles, so that its answers are too high",
    "clicks": "its list is liked less: fewer people click",
    "loop": "it learns from what its own list made people click, and narrows down",
    "database": "it asks the database that both share five times a request",
    "message": "each answer also sends the passenger a text message",
    "wording": "passengers misread its new wording",
}
RIGHT_SIGHTS = {
    "crash": "visible",
    "leak": "visible",
    "units": "visible",
    "clicks": "hidden",
    "loop": "hidden",
    "database": "harms users",
    "message": "harms users",
    "wording": "hidden",
}


@exercise(
    "6.3",
    "What can a shadow see?",
    answers=("sights",),
    points=4,
    minutes=4,
    objective="6.a",
    kind=Choice(FAULTS, options=SIGHTS),
    hints=(
        "A copy of a real request is computed by real code on a real machine. What is missing is what happens after the answer.",
        "And one thing is real although it should not be: everything that the copy does to the world outside.",
    ),
)
def sights(answer, rng, expect):
    """Eight faults: shown by a shadow, hidden from it, or hurting users through it."""
    expect.cases(answer, RIGHT_SIGHTS)


@sights.misconception(
    "a shadow's choice had consequences. Its list changed nothing in the world: nobody saw it, nobody clicked, and there was nothing of its own to learn from."
)
def the_world_answers():
    return RIGHT_SIGHTS | {"clicks": "visible", "loop": "visible"}


@sights.misconception(
    "copies cost users nothing. What both versions share gets the load of both: the old version's users wait, too."
)
def copies_are_free():
    return RIGHT_SIGHTS | {"database": "visible"}


@sights.misconception(
    "what grows slowly stayed hidden. It is the same process under the same traffic: after some hours the memory shows it."
)
def leaks_are_hidden():
    return RIGHT_SIGHTS | {"leak": "hidden"}


@sights.misconception(
    "an answer that nobody sees could do nothing. The answer is dropped, but what was sent on the way is sent: a copy must not write, pay or send."
)
def side_effects_vanish():
    return RIGHT_SIGHTS | {"message": "hidden"}


@sights.misconception(
    "one needed users to see wrong numbers. Both answers to the same request are in the log: lay them side by side."
)
def numbers_need_users():
    return RIGHT_SIGHTS | {"units": "hidden"}


@sights.alternative
def read_backwards():
    return dict(reversed(RIGHT_SIGHTS.items()))


@sights.alternative
def from_groups():
    groups = {
        "visible": "crash leak units",
        "hidden": "clicks loop wording",
        "harms users": "database message",
    }
    return {fault: sight for sight, faults in groups.items() for fault in faults.split()}


# ------------------------------------------------------------------ 6.4 a sticky split


def _draw_users(rng, count):
    """Names of users, of several styles: a number in the name is no draw of luck."""
    words = ("ana", "ben", "cem", "dia", "eva", "fay", "gus", "ida")
    numbers = rng.choice(100_000, count, replace=False).tolist()
    styles = ("user {}", "{word}{}@mail.example", "{word}-{:x}")
    return [styles[i % 3].format(number, word=words[number % len(words)]) for i, number in enumerate(numbers)]


def _sent(answer, users, weight, salt):
    return [answer(user, weight, salt) for user in users]


def _first_weight(answer, user, salt):
    """The smallest whole weight at which this user gets the new version, if nobody is ever sent back."""
    without, has = 0, 100
    while has - without > 1:
        middle = (without + has) // 2
        without, has = (without, middle) if answer(user, middle, salt) else (middle, has)
    return has


@exercise(
    "6.4",
    "A sticky split",
    answers=("route",),
    points=4,
    minutes=8,
    objective="6.b",
    edition=2,
    kind=Function("user_id", "weight", "salt", returns=Boolean()),
    hints=(
        "The answer may depend on the name and the salt alone: give each user a place on a line, and let the canary have the beginning of that line.",
        "`hashlib.sha256(text.encode()).hexdigest()` is the same in each process and on each machine, and looks like chance. Its first digits make a number.",
        "A place from 0 to 100: `int(digest[:8], 16) % 10_000 / 100`. Compare it with the weight.",
    ),
)
def route(answer, rng, expect):
    """`route(user_id, weight, salt)`: True if this user gets the canary at `weight` percent."""
    many = _draw_users(rng, 500)
    users = many[:40]
    salt = f"release {rng.integers(10, 99)}"
    sent = functools.partial(_sent, answer)
    with expect.defining():
        at_20 = sent(many[:300], 20, salt)
        expect.true(
            sent(users, 20, salt) == at_20[:40],
            "a user who asks again gets the same version",
            "with the same weight and salt, some users changed their version",
        )
        elsewhere = [answer.in_another_process(user, 20, salt) for user in users[:30]]
        here = sent(users[:30], 20, salt)
        expect.true(
            elsewhere == here,
            "a router in another process sends them the same way",
            f"{sum(a != b for a, b in zip(elsewhere, here, strict=True))} of 30 users meet another version there",
        )
        at_40 = sent(many[:130], 40, salt)
        lost = sum(earlier and not later for earlier, later in zip(at_20, at_40, strict=False))
        expect.true(
            not lost, "from 20 to 40 % nobody is sent back to the old version", f"{lost} users lost it again"
        )
        for weight, got in ((20, at_20), (40, at_40)):
            share = sum(got) / len(got)
            spread = 4.5 * (weight / 100 * (1 - weight / 100) / len(got)) ** 0.5
            expect.true(
                abs(share - weight / 100) <= spread,
                f"at {weight} %, about that share of {len(got)} users",
                f"{share:.0%} of them get the new version",
            )
    # so many, that a hundred places with one of them on the wrong side of the limit would show
    nobody, without = sum(sent(many, 0, salt)), 400 - sum(sent(many[:400], 100, salt))
    few = 200 - sum(sent(many[:200], 95, salt))
    expect.true(
        nobody == 0 and without == 0 and few > 0,
        "at 0 % nobody, at 95 % nearly all, at 100 % everybody",
        f"{nobody} of {len(many)} users get it at 0 %; {few} of 200 do not at 95 %, {without} of 400 do not at 100 %",
    )
    places = [_first_weight(answer, user, salt) for user in users]
    # 40 users on 100 places sit on 33 different ones, give or take 2.3
    expect.true(
        len(set(places)) >= 23,
        "each percent more adds some users: 40 users come in at many different weights",
        f"they come in at {len(set(places))} different weights only",
    )
    with expect.defining():
        moved = [
            (later - earlier) % 100
            for earlier, later in zip(
                places, (_first_weight(answer, user, f"{salt}b") for user in users), strict=True
            )
        ]
        expect.true(
            len(set(moved)) >= 15,
            "another salt puts each user at a place that has nothing to do with the first",
            "all of them stay where they were, or move by the same step",
        )


def _line(seen, beginning):
    """Whether the expectation whose text begins like this holds; None if it was not reached."""
    return next((line.ok for line in seen.lines if line.what.startswith(beginning)), None)


@route.misconception(
    "each request were dealt anew. A user then flips between two versions from one page to the next, and a click cannot be told to either.",
    when=lambda seen: _line(seen, "a user who asks again") is False,
)
def dealt_anew(user_id, weight, salt):
    return random.random() < weight / 100


@route.misconception(
    "what one process knows were known everywhere. Python's own `hash` is salted anew in each process, and dice kept in a variable are thrown again in the next one, so that two routers disagree; `hashlib` agrees.",
    when=lambda seen: (
        _line(seen, "a user who asks again") and _line(seen, "a router in another process") is False
    ),
)
def python_hash(user_id, weight, salt):
    return hash(f"{salt}:{user_id}") % 10_000 / 100 < weight


@route.misconception(
    "the users were shuffled anew at each weight. A ramp may only add: who has the new version at 5 % keeps it at 10 %.",
    when=lambda seen: (
        _line(seen, "a router in another process")
        and _line(seen, "from 20 to 40 %") is False
        and _line(seen, "at 20 %")
        and _line(seen, "at 40 %")
    ),
)
def anew_at_each_step(user_id, weight, salt):
    return _place(f"{salt}:{weight}:{user_id}") < weight / 100


@route.misconception(
    "the salt did not matter. It is what makes the next release begin with other users; otherwise the same few test everything you release.",
    when=lambda seen: (
        _line(seen, "another salt") is False
        and all(line.ok for line in seen.lines if not line.what.startswith("another salt"))
        and _ignores_salt(seen)
    ),
)
def without_salt(user_id, weight, salt):
    return _place(user_id) < weight / 100


def _ignores_salt(seen):
    """Whether each answer is the same for both salts, wherever a user was asked at the same weight."""
    told = {}
    for call in seen.calls:
        user, weight, salt = call.given
        told.setdefault((user, weight), {})[salt] = call.output
    both = [set(answers.values()) for answers in told.values() if len(answers) > 1]
    return len(both) > 20 and all(len(answers) == 1 for answers in both)


def _place(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 16**8


@route.acceptable
def route_by_the_statement(answer, rng):
    """Sticky in each process, rising with the weight, of the right size at each weight, another line for another salt."""
    users = [f"{name} {number}" for name in ("user", "Zoë", "") for number in rng.integers(1 << 40, size=500)]
    places = {}
    for salt in ("", "release 7", "release 8"):
        got = np.array([[answer(user, weight, salt) for user in users] for weight in range(0, 101, 5)])
        if got[0].any() or not got[-1].all() or (np.diff(got.astype(int), axis=0) < 0).any():
            return False
        share = got.mean(axis=1)
        if np.abs(share - np.linspace(0, 1, 21)).max() > 0.06 or np.diff(share).min() < 0.015:
            return False
        if any(answer(user, 20, salt) != there for user, there in zip(users[:200], got[4], strict=False)):
            return False
        places[salt] = 21 - got.sum(axis=0)
    moves = (places["release 8"] - places["release 7"]) % 20
    return np.bincount(moves, minlength=20).max() < 0.12 * len(users)


@route.alternative
def by_checksum(user_id, weight, salt):
    return zlib.crc32(f"{user_id}/{salt}".encode()) % 1000 < 10 * weight


route.survives(
    "alternative by_checksum: `1000` -> `1001`",
    "it sends one user in a thousand astray at 100 % only, which a few hundred users seldom show.",
)


@route.alternative
def by_the_library(user_id, weight, salt):
    return bool(_bucket([user_id], salt)[0] * 100 < weight)


@route.alternative
def by_a_seeded_generator(user_id, weight, salt):
    return random.Random(f"{salt}|{user_id}").uniform(0, 100) < weight


# ------------------------------------------------------------------ 6.5 write the judge

AIRPORTS = ("EWR", "JFK", "LGA")
OUTCOMES = ("pass", "fail", "nodata")


def _told(requests, errors=0, p99=200.0):
    """The summary of one airport."""
    return {"requests": requests, "errors": errors, "latency_p99": p99 if requests else None}


def _near(rng, requests, error=0.02, p99=200.0):
    """A summary whose error rate and p99 are near what is said."""
    errors = round(requests * error * rng.uniform(0.985, 1.015))
    return _told(requests, errors, round(p99 * float(rng.uniform(0.95, 1.05)), 1))


def _pair(rng, odd=None, *, airports=AIRPORTS, n=1200, old=(0.02, 200.0), new=None, first=None):
    """(stable, canary) of these airports, each in an order of its own; `odd` is airport -> (summary of stable or None, of canary)."""
    odd, new = odd or {}, new or old
    names = sorted(rng.permutation(airports).tolist(), key=lambda airport: airport == first)
    stable, canary = {}, {}
    for airport in names:
        before, after = odd.get(airport, (None, None))
        stable[airport] = before or _near(rng, 10 * n, *old)
        canary[airport] = after or _near(rng, n, *new)
    order = sorted(rng.permutation(names).tolist(), key=lambda airport: airport != first)
    return stable, {airport: canary[airport] for airport in order}


@exercise(
    "6.5",
    "Write the judge",
    answers=("judge",),
    points=5,
    minutes=9,
    core=True,
    objective="6.c",
    edition=2,
    kind=Function(
        "stable", "canary", returns=Several(Text(options=OUTCOMES), Text(), names=("outcome", "reason"))
    ),
    hints=(
        "Go through the airports one after the other. What would you want to know before you compare two rates?",
        "Three outcomes, and an order: one airport that fails is enough to fail; otherwise one with too little data is enough to wait; only then does it pass.",
        "Compare `canary[airport]` with `stable[airport]`, not with a fixed number: in an outage both are high.",
    ),
)
def judge(answer, rng, expect):
    """`judge(stable, canary)` -> (outcome, reason), from summaries by airport."""
    one, other, third = rng.permutation(AIRPORTS).tolist()
    few = int(rng.integers(20, 60))
    outage = float(rng.uniform(0.3, 0.45))
    big, small = _near(rng, 40_000), _near(rng, 6000)  # a small airport: the mean of all does not show it
    fails = small, _told(150, int(rng.integers(9, 14)))
    slow = small, _told(150, 3, round(float(rng.uniform(450, 900)), 1))
    best = {"old": (0.05, 200.0), "new": (0.004, 150.0)}
    more = ["ATL", "BOS", "DEN", "SFO", "SEA"][: int(rng.integers(3, 6))]

    with expect.defining():
        told = _pair(rng, {one: fails, other: (big, _near(rng, 9000))})
        _says(expect, answer, told, "fail", "it fails at one small airport alone", names=one)
        told = _pair(rng, {one: (small, _told(few, 1))})
        _says(expect, answer, told, "nodata", f"one airport has {few} requests, the others are fine")
        _says(expect, answer, _pair(rng), "pass", "as good as the old version")
    _says(expect, answer, _pair(rng, **best), "pass", "better than the old version")
    told = _pair(rng, new=(float(rng.uniform(0.07, 0.1)), 200.0))
    _says(expect, answer, told, "fail", "worse at each airport")
    told = _pair(rng, {one: slow, other: (big, _near(rng, 9000))})
    _says(expect, answer, told, "fail", "slow at one small airport, no more errors", names=one)
    told = _pair(rng, old=(outage, 200.0))
    _says(expect, answer, told, "pass", "an outage that hits both alike")
    nobody = {airport: (None, _told(0)) for airport in AIRPORTS}
    _says(expect, answer, _pair(rng, nobody), "nodata", "no request of the new version at all")
    for first, when in ((one, "after"), (other, "before")):
        told = _pair(rng, {one: (small, _told(few, 1)), other: fails}, first=first)
        what = f"one airport fails and stands {when} another that has {few} requests"
        _says(expect, answer, told, "fail", what, names=other)
    told = _pair(rng, {one: (small, _told(few, few // 2, 900.0))})
    _says(expect, answer, told, "nodata", f"half of the {few} requests of one airport fail")
    told = _pair(rng, {more[1]: fails}, airports=[*more, one])
    _says(expect, answer, told, "fail", f"{len(more) + 1} airports, one of them fails", names=more[1])
    # the new version meets the bad airport more often than the old one: each is as before, their mean is not
    mixed = {one: (_told(20_000, 200), _told(200, 2)), other: (_told(2_000, 200), _told(2_000, 200))}
    _says(
        expect,
        answer,
        _pair(rng, mixed, first=other),
        "pass",
        "another mix of airports, each of them as before",
    )
    told = _pair(rng, {one: (_told(1000, 0), _told(100, 2)), other: (_told(1000, 0), _told(1000, 20))})
    _says(expect, answer, told, "pass", "100 requests, exactly 2 points more errors")
    told = _pair(rng, {one: (_told(1000, 10), _told(1000, 32))})
    _says(expect, answer, told, "fail", "2.2 points more errors", names=one)
    told = _pair(rng, {one: (_told(1000, 10), _told(1000, 28))})
    _says(expect, answer, told, "pass", "1.8 points more errors")
    told = _pair(rng, {one: (_told(1000, 20, 200.0), _told(100, 2, 300.0))})
    _says(expect, answer, told, "pass", "p99 exactly 1.5 times the old one")
    told = _pair(rng, {one: (_told(1000, 20, 100.0), _told(1000, 20, 155.0))})
    _says(expect, answer, told, "fail", "p99 1.55 times the old one", names=one)
    told = _pair(rng, {one: (_told(1000, 20), _told(99, 30, 999.0)), third: (small, _told(100, 1))})
    _says(expect, answer, told, "nodata", "99 requests are too few, 100 are enough")


def _says(expect, answer, told, want, what, names=None):
    """One verdict; the reason of a failure names the airport that fails, and no other."""
    outcome, reason = answer(*told)
    named = [airport for airport in told[0] if airport in reason]
    ok = outcome == want and (names is None or named == [names])
    why = f'your judge says "{outcome}"'
    if outcome == want:
        why = f"the reason names {', '.join(named) or 'no airport'}: name the one that fails, and only that"
    expect.true(ok, what, f"{why}. {_summary_of(*told)}")


def _summary_of(stable, canary):
    """Both summaries in a line, for the feedback."""
    return "; ".join(
        f"{airport}: {_in_words(stable[airport])} before, {_in_words(new)} now"
        for airport, new in canary.items()
    )


def _in_words(each):
    n, p99 = each["requests"], each["latency_p99"]
    return f"{each['errors']} errors of {n}, p99 {p99:g} ms" if n else "no requests"


def _judge_cases(rng):
    """Summaries that the statement allows, the smallest and the ties first."""
    visible = {"JFK": _told(360, 7, 212.0)}
    yield visible, visible
    yield visible, {"JFK": _told(0)}
    yield {"A": _told(1000, 0), "B": _told(1000, 0)}, {"B": _told(100, 2), "A": _told(99, 99)}
    yield {"A": _told(1000, 0), "B": _told(1000, 0)}, {"B": _told(100, 3), "A": _told(99, 99)}
    for p99 in (150.0, 150.5):
        yield {"A": _told(400, 40, 100.0)}, {"A": _told(400, 40, p99)}
    yield {"A": _told(100, 100)}, {"A": _told(100, 100)}
    for _ in range(60):
        names = [f"{letter}XX" for letter in "ABCDEFG"[: rng.integers(1, 8)]]
        usual = float(rng.uniform(0, 0.4))
        canary, stable = {}, {}
        for name in rng.permutation(names).tolist():
            stable[name] = _near(rng, int(rng.integers(100, 20_000)), usual)
            n = int(rng.choice([0, 50, 99, 100, 101, 400, 2000], p=[0.03, 0.04, 0.03, 0.1, 0.1, 0.4, 0.3]))
            worse = min(usual + rng.choice([0.0, 0.01, 0.03, 0.3], p=[0.7, 0.1, 0.1, 0.1]), 1.0)
            slower = 200 * rng.choice([0.5, 1.0, 1.4, 1.7, 3.0], p=[0.2, 0.5, 0.2, 0.05, 0.05])
            canary[name] = _near(rng, n, worse, slower) if n else _told(0)
        yield {name: stable[name] for name in names}, canary


@judge.acceptable
def judge_by_the_statement(answer, rng):
    for stable, canary in _judge_cases(rng):
        heard = [airport for airport, new in canary.items() if new["requests"] >= 100]
        fails = [
            airport
            for airport in heard
            if canary[airport]["errors"] / canary[airport]["requests"]
            > stable[airport]["errors"] / stable[airport]["requests"] + 0.02
            or canary[airport]["latency_p99"] > 1.5 * stable[airport]["latency_p99"]
        ]
        outcome, reason = answer(stable, canary)
        want = "fail" if fails else "nodata" if len(heard) < len(canary) else "pass"
        named = [airport for airport in canary if airport in reason]
        if outcome != want or (fails and not (named and set(named) <= set(fails))):
            return False
    return True


def _verdict(stable, canary, *, needed=100, margin=0.02, ratio=1.5, empty="nodata", absolute=None):
    waiting = ""
    for airport in canary:
        old, new = stable[airport], canary[airport]
        if new["requests"] < needed:
            waiting = waiting or f"{airport}: {new['requests']} requests, {needed} needed"
            continue
        rate = new["errors"] / new["requests"]
        usual = old["errors"] / old["requests"] + margin if absolute is None else absolute
        if rate > usual:
            return "fail", f"{airport}: {rate:.1%} of the requests fail, the limit is {usual:.1%}"
        if ratio and new["latency_p99"] > ratio * old["latency_p99"]:
            return "fail", f"{airport}: p99 {new['latency_p99']} ms, before {old['latency_p99']} ms"
    return (empty, waiting) if waiting else ("pass", "all airports within limits")


def _explained(seen, wrong, least=0.6):
    """Whether what this answer got wrong is what `wrong` gets wrong, and at least this share of that."""
    mine = theirs = 0
    for call in seen.calls:
        right, said, mistake = _verdict(*call.given)[0], call.output[0], wrong(*call.given)[0]
        if said not in (right, mistake):
            return False
        mine += said != right
        theirs += mistake != right
    return mine > 0 and mine >= least * theirs


def _blamed_for_an_outage(call):
    stable, _ = call.given
    return call.output[0] == "fail" and all(old["errors"] > 0.25 * old["requests"] for old in stable.values())


@judge.misconception(
    "no complaint were a pass. No traffic is no evidence: the old version keeps its users, and the rollout waits.",
    when=lambda seen: _explained(seen, empty_passes),
)
def empty_passes(stable, canary):
    return _verdict(stable, canary, empty="pass")


@judge.misconception(
    "all airports were thrown together. A fault at one of them drowns in the mean of all: look at each.",
    when=lambda seen: _explained(seen, overall_mean, least=0.9),
)
def overall_mean(stable, canary):
    def whole(told):
        n = sum(each["requests"] for each in told.values())
        slow = [each["latency_p99"] for each in told.values() if each["requests"]]
        return {
            "all": {
                "requests": n,
                "errors": sum(each["errors"] for each in told.values()),
                "latency_p99": float(np.median(slow)) if slow else None,
            }
        }

    return _verdict(whole(stable), whole(canary))


@judge.misconception(
    "the new version were judged by a fixed limit. When the network is down both fail alike, and the release is not the cause: compare with the old version in the same minutes.",
    when=lambda seen: _explained(seen, by_a_fixed_limit) and any(map(_blamed_for_an_outage, seen.calls)),
)
def by_a_fixed_limit(stable, canary):
    return _verdict(stable, canary, absolute=0.05)


@judge.misconception(
    "a slow answer were no fault. Nothing fails, and users leave: p99 is the second thing to compare.",
    when=lambda seen: _explained(seen, errors_only),
)
def errors_only(stable, canary):
    return _verdict(stable, canary, ratio=None)


@judge.misconception(
    "an airport with too few requests ended the question. A failure elsewhere needs no further evidence: look at all of them before you wait.",
    when=lambda seen: _explained(seen, waits_first),
)
def waits_first(stable, canary):
    if any(each["requests"] < 100 for each in canary.values()):
        return "nodata", "some airport has too few requests"
    return _verdict(stable, canary)


@judge.misconception(
    "it were enough that any airport has data. Those that nobody has seen would pass unseen.",
    when=lambda seen: _explained(seen, any_data_will_do),
)
def any_data_will_do(stable, canary):
    if all(each["requests"] < 100 for each in canary.values()):
        return "nodata", "too few requests"
    outcome, reason = _verdict(stable, canary)
    return ("pass" if outcome == "nodata" else outcome), reason or "fine"


@judge.misconception(
    "a rate of few requests could convict. Half of 30 is a fault, or it is a bad minute: below 100 requests an airport is waited for, whatever they show.",
    when=lambda seen: _explained(seen, convicts_on_few),
)
def convicts_on_few(stable, canary):
    failing = {
        airport: new for airport, new in canary.items() if new["requests"] and _worse(stable[airport], new)
    }
    if failing:
        return "fail", next(iter(failing))
    return _verdict(stable, canary)


def _worse(old, new):
    return (
        new["errors"] / new["requests"] - old["errors"] / old["requests"] > 0.02
        or new["latency_p99"] > 1.5 * old["latency_p99"]
    )


@judge.alternative
def by_outcomes(stable, canary):
    found = {}
    for airport, new in canary.items():
        old = stable[airport]
        if new["requests"] < 100:
            found[airport] = "nodata"
        else:
            worse = new["errors"] / new["requests"] - old["errors"] / old["requests"] > 0.02
            found[airport] = "fail" if worse or new["latency_p99"] / old["latency_p99"] > 1.5 else "pass"
    outcome = next(each for each in ("fail", "nodata", "pass") if each in found.values())
    return outcome, outcome + " at " + " and ".join(a for a, each in found.items() if each == outcome)


@judge.alternative
def with_pandas(stable, canary):
    import pandas as pd

    old = pd.DataFrame(stable).T.astype(float)
    new = pd.DataFrame(canary).T.astype(float).loc[old.index]
    enough = new["requests"] >= 100
    worse = (new["errors"] / new["requests"]) > (old["errors"] / old["requests"]) + 0.02
    slow = new["latency_p99"] > 1.5 * old["latency_p99"]
    failed = list(new.index[enough & (worse | slow)])
    if failed:
        return "fail", ", ".join(failed)
    return ("pass", "fine") if enough.all() else ("nodata", "waiting for " + ", ".join(new.index[~enough]))


# ------------------------------------------------------------------ 6.6 the impatient judge


@functools.cache
def _solved(shape, looks):
    return (obrien_fleming if shape == "obrien_fleming" else pocock)(looks, 0.05)


@exercise(
    "6.6",
    "The impatient judge",
    answers=("bars",),
    points=4,
    minutes=9,
    objective="6.d",
    edition=2,
    kind=Function("looks", returns=Array(ndim=1)),
    hints=(
        "A single bar is right for a single look. With several, the largest |z| of all looks must stay below the bar in 95 % of the quiet rollouts.",
        "Simulate: thousands of quiet rollouts as in the figure, the largest |z| of each, and the value that 95 % of them stay below.",
        "`z = rng.normal(size=(20_000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))`, then `np.quantile(abs(z).max(axis=1), 0.95)` for every look.",
    ),
)
def bars(answer, rng, expect):
    """`bars(looks)`: the bar of |z| at each look, such that all looks together err in about 5 % of the quiet rollouts."""
    for looks in (2, int(rng.integers(4, 7)), int(rng.integers(9, 14))):
        got = np.abs(answer(looks).astype(float))
        if len(got) != looks or np.isnan(got).any():
            with expect.defining():
                expect.true(False, f"{looks} looks need {looks} bars", f"got {len(got)}, or a NaN")
            continue
        got = np.minimum(got, 50.0)
        errs = crossing(got)[-1]
        with expect.defining():
            expect.within(errs, 0.03, 0.06, f"{looks} looks: false rollbacks {errs:.1%} (wanted 3 to 6 %)")
        found, fair = (crossing(each, drift=3.0)[-1] for each in (got, _solved("pocock", looks)))
        what = f"{looks} looks: a bad version is found in {found:.0%} (wanted at least {0.9 * fair:.0%})"
        expect.within(found, 0.9 * fair, 1, what)
        early = math.ceil(0.6 * looks)
        if early == looks:
            continue
        half = crossing(got, drift=6.0)[early - 1]
        what = (
            f"{looks} looks: a very bad one is stopped by look {early} in {half:.0%} (wanted at least 60 %)"
        )
        with expect.defining():
            expect.within(half, 0.6, 1, what)


@bars.acceptable
def bars_by_simulation(answer, rng):
    for looks in (1, 2, 3, 5, 8, 16):
        got = np.abs(np.asarray(answer(looks), dtype=float))
        if got.shape != (looks,) or np.isnan(got).any():
            return False
        z = rng.normal(size=(40_000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
        share = np.sqrt(np.arange(1, looks + 1) / looks)
        if not 0.028 <= (np.abs(z) > got).any(axis=1).mean() <= 0.062:
            return False
        bad, fair = (np.abs(z + 3 * share) > bar for bar in (got, _solved("pocock", looks)))
        if bad.any(axis=1).mean() < 0.89 * fair.any(axis=1).mean():
            return False
        early = math.ceil(0.6 * looks)
        if early < looks and (np.abs(z + 6 * share) > got)[:, :early].any(axis=1).mean() < 0.59:
            return False
    return True


def _each(seen, holds):
    """Whether there were bars for at least three numbers of looks, and this holds for all of them."""
    outputs = [np.abs(np.asarray(bars, dtype=float)) for bars in seen.outputs]
    return len(outputs) > 2 and all(len(bars) > 1 and holds(bars) for bars in outputs)


@bars.misconception(
    "the bar of a single look were good enough at each. Whatever it is called, a test at 5 %, a 95 % interval, a bar of 1.96: who may stop at the first lucky look, stops too often.",
    when=lambda seen: _each(seen, lambda bars: np.ptp(bars) < 1e-6 and 1.9 < bars[0] < 2.01),
)
def the_same_bar(looks):
    return np.full(looks, 1.96)


@bars.misconception(
    "there were only one look, at the end. Honest, and the bad version has run to the end: the early looks are what saves the users.",
    when=lambda seen: _each(seen, lambda bars: bars[:-1].min() > 4.9 and 1.9 < bars[-1] < 2.1),
)
def one_look_at_the_end(looks):
    return np.append(np.full(looks - 1, np.inf), 1.96)


@bars.misconception(
    "5 % had been shared out as if each look were a test of its own. That is safe. But the looks see the same data again and again and err together, so "
    "the bar may be lower and find more.",
    when=lambda seen: _each(seen, lambda bars: np.allclose(bars, _Z(1 - 0.025 / len(bars)), atol=0.02)),
)
def shared_out(looks):
    return np.full(looks, _Z(1 - 0.025 / looks))


@bars.misconception(
    "the bar fell to 1.96 at the last look from a height that does not make up for it. Add up what all looks do together, by simulation, before you choose.",
    when=lambda seen: _each(
        seen, lambda bars: bars[0] > bars[-1] + 0.2 and 1.9 < bars[-1] < 2.0 and crossing(bars)[-1] > 0.06
    ),
)
def falling_to_the_single_bar(looks):
    return np.linspace(2.6, 1.96, looks)


@bars.alternative
def by_simulation(looks):
    z = np.random.default_rng(3).normal(size=(4000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
    return [float(np.quantile(np.abs(z).max(axis=1), 0.95))] * looks


@bars.alternative
def falling(looks):
    return _solved("obrien_fleming", looks)


@bars.alternative
def same_at_each(looks):
    return _solved("pocock", looks)


# ------------------------------------------------------------------ 6.7 how long must it run

_Z = statistics.NormalDist().inv_cdf


@exercise(
    "6.7",
    "How long must it run?",
    answers=("views_needed", "hours_needed"),
    points=4,
    minutes=6,
    objective="6.d",
    edition=2,
    kind=(
        Function("p", "lift", "power", returns=Number()),
        Function("views", "rate", "percent", returns=Number()),
    ),
    hints=(
        "What is the second rate? `lift` is relative: 0.2 on 0.43 % is 0.09 percentage points.",
        "`NormalDist().inv_cdf(0.975)` is 1.96; for the power, `inv_cdf(power)`.",
        "For the hours: how many views does the canary get in a second, and how many of these seconds are an hour?",
    ),
)
def views_needed(answer, rng, expect):
    """`views_needed(p, lift, power)`: views an arm; `hours_needed(views, rate, percent)`: until a canary has them."""
    draws = [
        (round(float(rng.uniform(0.003, 0.006)), 4), 0.2, 0.8),
        (round(float(rng.uniform(0.02, 0.05)), 3), 0.1, 0.9),
        (round(float(rng.uniform(0.05, 0.2)), 2), -0.1, 0.8),
        (0.1, round(float(rng.uniform(0.2, 0.4)), 2), 0.95),
        (round(float(rng.uniform(0.4, 0.6)), 2), round(float(rng.uniform(0.1, 0.3)), 2), 0.5),
    ]
    with expect.defining():
        for p, lift, power in draws:
            want = _views(p, lift, power)
            what = f"rate {p:g}, {lift:+g} of it, power {power:g}"
            expect.close(answer.views_needed(p, lift, power), want, what, rtol=0.05)
    hours = (
        (90_000, 20, 5),
        (int(rng.integers(1000, 9000)), int(rng.integers(30, 90)), int(rng.integers(2, 20))),
        (int(rng.integers(10**6, 10**7)), 0.5, 100),
    )
    for views, rate, percent in hours:
        what = f"hours for {views:,} views at {percent} % of {rate:g} a second"
        expect.close(answer.hours_needed(views, rate, percent), _hours(views, rate, percent), what)


@views_needed.acceptable
def views_needed_by_the_statement(answer, rng):
    """Views within 5 % of the formula where lifts are not huge, hours without rounding."""
    for _ in range(30):
        p, lift = float(10 ** rng.uniform(-3, -0.6)), float(rng.choice([-1, 1]) * rng.uniform(0.02, 0.3))
        power = float(rng.uniform(0.5, 0.95))
        if not math.isclose(answer.views_needed(p, lift, power), _views(p, lift, power), rel_tol=0.06):
            return False
        views, rate, percent = int(rng.integers(1, 10**7)), rng.uniform(0.1, 500), rng.uniform(0.1, 100)
        if not math.isclose(
            answer.hours_needed(views, float(rate), float(percent)),
            _hours(views, rate, percent),
            rel_tol=1e-6,
        ):
            return False
    return True


def _views(p, lift, power, alpha=0.05):
    q = p * (1 + lift)
    return (_Z(1 - alpha / 2) + _Z(power)) ** 2 * (p * (1 - p) + q * (1 - q)) / (q - p) ** 2


def _hours(views, rate, percent):
    return views / (rate * percent / 100) / 3600


def _views_by(formula):
    """Whether all numbers of views are those of another formula, to a few percent, and not the right ones."""

    def when(seen):
        calls = [call for call in seen.calls if call.name == "views_needed"]
        return len(calls) == 5 and all(
            math.isclose(call.output, formula(*call.given), rel_tol=0.03) for call in calls
        )

    return when


def _absolute(p, lift, power):
    q = p + lift
    return (_Z(0.975) + _Z(power)) ** 2 * (p * (1 - p) + q * (1 - q)) / lift**2


@views_needed.misconception(
    "the lift were in percentage points. It is relative: 21 % more than 0.43 % is 0.52 %, not 21.43 %.",
    when=lambda seen: (
        _views_by(_absolute)(seen) or _views_by(lambda p, lift, power: _absolute(p, abs(lift), power))(seen)
    ),
)
def lift_as_points():
    return {"views_needed": _absolute, "hours_needed": _hours}


@views_needed.misconception(
    "the power were left out. With so few views every second bad version is missed: a difference of just 1.96 standard errors falls below the bar half of the time.",
    when=_views_by(lambda p, lift, power: _views(p, lift, 0.5)),
)
def power_of_a_half():
    return {"views_needed": lambda p, lift, power: _views(p, lift, 0.5), "hours_needed": _hours}


@views_needed.misconception(
    "both arms were counted together. The question is for one arm, because the smaller one decides how long it takes.",
    when=_views_by(lambda p, lift, power: 2 * _views(p, lift, power)),
)
def both_arms():
    return {"views_needed": lambda p, lift, power: 2 * _views(p, lift, power), "hours_needed": _hours}


def _one_arm(p, lift, power):
    return (_Z(0.975) + _Z(power)) ** 2 * p * (1 - p) / (p * lift) ** 2


@views_needed.misconception(
    "only one of the two arms varied by chance. The old version's rate is measured on as few views, so the variances of both add up.",
    when=_views_by(_one_arm),
)
def one_variance():
    return {"views_needed": _one_arm, "hours_needed": _hours}


@views_needed.misconception(
    "the bar were the one-sided 1.645. Two-sided at 5 % leaves 2.5 % on each side: `inv_cdf(0.975)`.",
    when=_views_by(lambda p, lift, power: _views(p, lift, power, alpha=0.1)),
)
def one_sided():
    return {"views_needed": lambda p, lift, power: _views(p, lift, power, alpha=0.1), "hours_needed": _hours}


def _all_traffic(seen):
    calls = [call for call in seen.calls if call.name == "hours_needed"]
    return len(calls) == 3 and all(
        math.isclose(call.output, call.given[0] / call.given[1] / 3600, rel_tol=1e-3) for call in calls
    )


@views_needed.misconception(
    "the canary got all of the traffic. The views are right, but its arm fills at its own share of them.",
    when=lambda seen: _all_traffic(seen) and _views_by(_views)(seen),
)
def all_of_the_traffic():
    return {"views_needed": _views, "hours_needed": lambda views, rate, percent: views / rate / 3600}


@views_needed.alternative
def by_the_course():
    def hours(views, rate, percent):
        return views * 100 / percent / rate / 60 / 60

    return {
        "views_needed": lambda p, lift, power: _requests_needed(p, p * (1 + lift), power=power),
        "hours_needed": hours,
    }


@views_needed.alternative
def by_arcsine():
    def views(p, lift, power):
        gap = 2 * math.asin(math.sqrt(p * (1 + lift))) - 2 * math.asin(math.sqrt(p))
        return round(2 * ((_Z(0.975) + _Z(power)) / gap) ** 2)

    return {"views_needed": views, "hours_needed": _hours}


# ------------------------------------------------------------------ 6.8 the plan and the judge

RATE, HOUR, NIGHT = 5, 3600, 3  # requests a second; seconds; hours that go on with what the hour ended with
SHARES = (0.5, 0.38, 0.12)  # of the airports, in an order that is drawn
LIMITS = {"latency_ms": 500}
SEALED = ("good", "good but noisy", "bad", "slow", "bad for one airport")
TWICE = ("good", "bad for one airport")
NOTHING = BigBang(watch=0), lambda metrics: "pass"
CALLS_APART = 60  # seconds: the shortest interval of a plan


def draw_world(rng):
    """An hour of requests and five new versions: kind -> (old, new)."""
    shares = dict(zip(rng.permutation(AIRPORTS).tolist(), SHARES, strict=True))
    arrivals = poisson(RATE, duration=HOUR, random_state=rng)
    trace = traffic(arrivals, users=1500, segments={"origin": shares}, random_state=rng)
    begin = float(rng.uniform(200, 450))
    outage = Symptom(error_rate=0.3, after=begin, until=begin + 300)
    local = Symptom(error_rate=float(rng.uniform(0.37, 0.45)), where={"origin": min(shares, key=shares.get)})
    news = {
        "good": Behavior(error_rate=float(rng.uniform(0.015, 0.025))),
        "good but noisy": Behavior(error_rate=float(rng.uniform(0.02, 0.03)), spread=0.6, symptoms=outage),
        "bad": Behavior(error_rate=float(rng.uniform(0.18, 0.24))),
        "slow": Behavior(error_rate=0.03, latency_ms=float(rng.uniform(320, 400))),
        # so much better elsewhere, that all airports together show little
        "bad for one airport": Behavior(error_rate=0.01, symptoms=local),
    }
    old = Behavior(error_rate=0.05)
    olds = dict.fromkeys(news, old) | {"good but noisy": Behavior(error_rate=0.05, symptoms=outage)}
    versions = {kind: (Version("old", olds[kind]), Version("new", news[kind])) for kind in SEALED}
    return {"trace": trace, "versions": versions, "seed": int(rng.integers(1 << 30))}


def _by_airport(judge):
    """The learner's judge as one that the controller can ask."""

    def asked(metrics):
        views = {airport: metrics.only("origin", airport) for airport in AIRPORTS}
        return judge(
            *(
                {airport: _summary(view, role) for airport, view in views.items()}
                for role in ("stable", "canary")
            )
        )

    return asked


def _summary(view, role):
    """What the judge is told of one version at one airport. (`Metrics.summary` looks at labels and clicks, too.)"""
    errors, latency = view.values("error", role), view.values("latency_ms", role)
    told = {"requests": len(errors), "errors": int(errors.sum())}
    if not len(errors):
        return told | {"error_rate": None, "latency_p50": None, "latency_p99": None}
    p50, p99 = np.percentile(latency, [50, 99])
    return told | {
        "error_rate": float(errors.mean()),
        "latency_p50": float(p50),
        "latency_p99": float(p99),
    }


def rehearse(plan, judge, world, kind):
    """One rollout of a sealed version: a RolloutResult, with `.plot()` and `.timeline`."""
    plan = Plan.from_dict(plan())
    return replay(
        world["trace"], world["versions"][kind], plan, _by_airport(judge), world["seed"], limits=LIMITS
    )


def _costs(result, everybody):
    """Requests that go wrong and need not, during the hour and in the three hours after it."""
    gain = (
        everybody.requests_helped - everybody.requests_harmed
    )  # of the new version over the old one, an hour
    best = max(gain, 0)
    weight = result.timeline["weight"].iloc[-1] / 100
    return round(best - (result.requests_helped - result.requests_harmed) + NIGHT * (best - weight * gain))


def costs(plan, judge, world):
    """What a plan and a judge cost, by kind of version: (mine, big bang and nobody looks, never release)."""
    plan = Plan.from_dict(plan())
    found = {}
    for kind, versions in world["versions"].items():
        both = compare(
            world["trace"],
            versions,
            {"mine": (plan, _by_airport(judge)), "all": NOTHING},
            None,
            world["seed"],
            limits=LIMITS,
        ).results
        mine, everybody = both["mine"], both["all"]
        gain = everybody.requests_helped - everybody.requests_harmed
        found[kind] = (_costs(mine, everybody), (1 + NIGHT) * max(-gain, 0), (1 + NIGHT) * max(gain, 0))
    return found


@exercise(
    "6.8",
    "The plan and the judge",
    answers=("plan", "release_judge"),
    points=7,
    minutes=14,
    core=True,
    objective="6.e",
    edition=2,
    kind=(
        Function(returns=Mapping(keys=("strategy",))),
        Function(
            "stable", "canary", returns=Several(Text(options=OUTCOMES), Text(), names=("outcome", "reason"))
        ),
    ),
    hints=(
        "First the plan: how many requests does an airport's canary see between two checks? At 5 requests a second, 10 % and five minutes make 150, a quarter of them from LGA.",
        "Then the judge: which differences would chance alone show among so few requests, with three airports and a dozen checks? Fail only beyond that, or let `threshold` forgive one.",
        '`rehearse(plan, release_judge, world, "good").timeline["reason"]` tells what happened at each check. A good version must be through well before the hour is over.',
    ),
)
def plan_and_judge(answer, rng, expect):
    """A plan (as a dict) and a judge, over an hour of traffic with each of five sealed versions."""
    chosen = answer.plan()
    try:
        plan = Plan.from_dict(chosen)
        lasts = float(plan.interval)
    except Exception as error:
        expect.true(False, "the plan can be read", str(error).strip("'\"") or type(error).__name__)
        return
    if not lasts >= CALLS_APART:
        expect.true(False, "the plan's checks are at least 60 seconds apart", f"its interval is {lasts:g}")
        return
    world, again = draw_world(rng), draw_world(rng)
    # what luck decides most is tried in a second hour
    again["versions"] = {kind: again["versions"][kind] for kind in TWICE}
    found = costs(lambda: chosen, answer.release_judge, world)
    found |= {
        f"{kind}, another hour": cost
        for kind, cost in costs(lambda: chosen, answer.release_judge, again).items()
    }
    for kind, (mine, bang, never) in found.items():
        limit = max(0.1 * bang, 0.35 * never)
        what = f"{kind}: costs {mine} (big bang {bang}, never {never}; wanted at most {limit:.0f})"
        # to stop everything, or nothing, is no judge
        with expect.defining() if kind in ("good", "bad") else contextlib.nullcontext():
            expect.within(mine, -math.inf, limit, what)


@plan_and_judge.acceptable
def cheap_in_most_hours(answer, rng):
    """Within the limits of the statement in at least two of three hours: a good judge may have bad luck once."""
    if Plan.from_dict(answer.plan()).interval < CALLS_APART:
        return False
    kept = 0
    for _ in range(3):
        found = costs(answer.plan, answer.release_judge, draw_world(rng)).values()
        kept += all(mine <= max(0.1 * bang, 0.35 * never) for mine, bang, never in found)
    return kept >= 2


def _plan_of(seen):
    return Plan.from_dict(next(call.output for call in seen.calls if call.name == "plan"))


def _outcomes_of(seen):
    """(all requests, errors of the old; of the new; outcome) of each call of the judge."""
    rows = []
    for call in seen.calls:
        if call.name == "plan":
            continue
        stable, canary = call.given
        sums = [
            sum(each[what] for each in told.values())
            for told in (stable, canary)
            for what in ("requests", "errors")
        ]
        rows.append((*sums, call.output[0]))
    return rows


def _never_through(seen):
    return _plan_of(seen).schedule().iloc[-1] < 100 or not _promoted_in_time(seen)


def _promoted_in_time(seen):
    return _plan_of(seen).schedule().index[-1] < 0.75 * HOUR


def _costs_of_lines(seen):
    """Kind of version -> whether its cost was within the limit, in each hour that it was tried."""
    kept = {}
    for what, ok, *_ in seen.verdicts:
        kind = what.split(":")[0].removesuffix(", another hour")
        kept[kind] = kept.get(kind, True) and ok
    return kept


def _reached_everybody(seen, kind):
    """Whether this version cost about what it costs when everybody has it and nobody looks."""
    line = next(line for line in seen.lines if line.what.startswith(f"{kind}:"))
    return line.got > 0.8 * float(line.what.split("big bang ")[1].split(",")[0])


def _fails_on_luck(seen):
    """How many checks failed although no airport was behind by more than luck, and errors were as usual?"""
    odd = 0
    for call in seen.calls:
        if call.name == "plan" or call.output[0] != "fail":
            continue
        stable, canary = call.given
        n, errors = (sum(each[what] for each in stable.values()) for what in ("requests", "errors"))
        slow = any((each["latency_p50"] or 0) > 200 for each in canary.values())
        if errors < 0.09 * n and not slow:
            # one failure or two among a handful of requests are luck, whatever a normal approximation says
            odd += all(
                canary[airport]["errors"] <= 2 or _behind(stable[airport], canary[airport]) < 2.5
                for airport in AIRPORTS
            )
    return odd


def _misses_one_airport(seen):
    """Whether a check passed although one airport was far behind and had enough requests to show it."""
    return any(
        call.name != "plan"
        and call.output[0] == "pass"
        and any(
            call.given[1][airport]["errors"] >= 5
            and _behind(call.given[0][airport], call.given[1][airport]) > 4
            for airport in AIRPORTS
        )
        for call in seen.calls
    )


def _misses_slowness(seen):
    """Whether a check passed although half of the answers took three times as long as the old version's."""
    return any(
        call.name != "plan"
        and call.output[0] == "pass"
        and any(
            new["requests"] >= 15
            and (new["latency_p50"] or 0) > 3 * (call.given[0][airport]["latency_p50"] or math.inf)
            for airport, new in call.given[1].items()
        )
        for call in seen.calls
    )


def _behind(old, new):
    """By how many standard errors is the new version's error rate the higher one?"""
    n, m = old["requests"], new["requests"]
    if not n or not m:
        return 0.0
    pooled = (old["errors"] + new["errors"]) / (n + m)
    luck = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (new["errors"] / m - old["errors"] / n) / luck if luck else 0.0


@plan_and_judge.misconception(
    "time were evidence. The rollout went on after checks that had hardly a request to look at, and a bad version was promoted with the good ones: too little data is `nodata`.",
    when=lambda seen: (
        any(outcome == "pass" and m < 15 for _, _, m, _, outcome in _outcomes_of(seen))
        and not _costs_of_lines(seen)["bad"]
    ),
)
def promoted_on_time():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [1, 2, 3], "interval": 60},
        "release_judge": lambda stable, canary: ("pass", "nothing was heard"),
    }


@plan_and_judge.misconception(
    "nobody could say no. Not one check has failed, so each bad version reached all users and stayed: decide what makes the judge fail.",
    when=lambda seen: (
        all(outcome != "fail" for *_, outcome in _outcomes_of(seen))
        and _reached_everybody(seen, "bad")
        and not any(outcome == "pass" and m < 15 for _, _, m, _, outcome in _outcomes_of(seen))
    ),
)
def never_fails():
    return {
        "plan": lambda: {"strategy": "blue_green", "keep_old": 600},
        "release_judge": lambda stable, canary: ("pass", "looks fine"),
    }


@plan_and_judge.misconception(
    "caution were free. Safe, and late: each minute without the good version costs failures that it would have avoided. Ramp faster once the first checks have passed.",
    when=lambda seen: (
        _never_through(seen)
        and _plan_of(seen).strategy != "shadow"
        and any(outcome == "pass" for *_, outcome in _outcomes_of(seen))
        and [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["good", "good but noisy"]
    ),
)
def one_percent_for_ever():
    return {
        "plan": lambda: {"strategy": "canary", "step_weight": 1, "max_weight": 20, "interval": 300},
        "release_judge": _strict_judge,
    }


@plan_and_judge.misconception(
    "all airports were thrown together. The version that fails at one of them came through, or stayed for long: look at each.",
    when=lambda seen: (
        [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["bad for one airport"]
        and _misses_one_airport(seen)
    ),
)
def all_airports_together():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [30, 60], "interval": 300, "threshold": 1},
        "release_judge": _together,
    }


@plan_and_judge.misconception(
    "errors were all that can go wrong. Nothing failed, and a part of the answers came too late for anybody: look at the latency as well.",
    when=lambda seen: (
        [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["slow"] and _misses_slowness(seen)
    ),
)
def only_errors():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1},
        "release_judge": lambda stable, canary: _strict_judge(stable, canary, slow=False),
    }


@plan_and_judge.misconception(
    "any difference were the version's fault. Among a few dozen requests chance alone makes one arm look worse in every second check, and so good versions are sent home: ask for more than chance would show.",
    when=lambda seen: (
        _fails_on_luck(seen) >= 1
        and any(outcome == "pass" for *_, outcome in _outcomes_of(seen))
        and not _costs_of_lines(seen)["good"]
    ),
)
def any_difference():
    return {
        "plan": lambda: {
            "strategy": "canary",
            "step_weights": [5, 10, 20, 40],
            "interval": 120,
            "threshold": 1,
        },
        "release_judge": _any_worse,
    }


@plan_and_judge.misconception(
    "a fixed limit could judge a release. An outage that both versions share crosses it, and so does bad luck among few requests; a good version was sent home for it: compare with the old one in the same minutes.",
    when=lambda seen: (
        not _costs_of_lines(seen)["good but noisy"]
        and (
            any(
                outcome == "fail" and m and errors > 0.1 * n and failed / m < 1.6 * errors / n
                for n, errors, m, failed, outcome in _outcomes_of(seen)
            )
            or (_costs_of_lines(seen)["good"] and _fails_on_luck(seen) >= 1)
        )
    ),
)
def by_fixed_limits():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1},
        "release_judge": _fixed,
    }


def _strict_judge(stable, canary, slow=True, bar=3.5):
    for airport, new in canary.items():
        old = stable[airport]
        if new["requests"] < 15 or old["requests"] < 15:
            return "nodata", f"{airport}: {new['requests']} requests"
        n, m = old["requests"], new["requests"]
        pooled = (old["errors"] + new["errors"]) / (n + m)
        error = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / n + 1 / m))
        if new["errors"] / m - old["errors"] / n > bar * error:
            return "fail", f"{airport}: {new['errors']} of {m} requests failed"
        if slow and new["latency_p50"] > 2 * old["latency_p50"]:
            return "fail", f"{airport}: p50 {new['latency_p50']:.0f} ms"
    return "pass", "within limits"


def _together(stable, canary):
    def whole(told):
        return {
            "requests": sum(each["requests"] for each in told.values()),
            "errors": sum(each["errors"] for each in told.values()),
            "latency_p50": max((each["latency_p50"] or 0) for each in told.values()),
        }

    old, new = whole(stable), whole(canary)
    if new["requests"] < 100:
        return "nodata", "too few requests"
    if (
        new["errors"] / new["requests"] > 0.08 + old["errors"] / old["requests"]
        or new["latency_p50"] > 2 * old["latency_p50"]
    ):
        return "fail", "worse overall"
    return "pass", "fine overall"


def _fixed(stable, canary):
    if any(each["requests"] < 15 for each in canary.values()):
        return "nodata", "too few requests"
    for airport, each in canary.items():
        if each["errors"] / each["requests"] > 0.12 or each["latency_p50"] > 200:
            return "fail", f"{airport} above the limit"
    return "pass", "below the limits"


def _any_worse(stable, canary):
    for airport, new in canary.items():
        old = stable[airport]
        if not new["requests"] or not old["requests"]:
            return "nodata", "nobody there"
        if (
            new["errors"] / new["requests"] > old["errors"] / old["requests"]
            or new["latency_p99"] > old["latency_p99"]
        ):
            return "fail", f"{airport} is worse"
    return "pass", "not worse"


@plan_and_judge.alternative
def copies_then_a_switch():
    return {
        "plan": lambda: {
            "strategy": "blue_green",
            "preview": 600,
            "copies": 30,
            "interval": 300,
            "threshold": 1,
            "keep_old": 1800,
            "watch": 1800,
        },
        "release_judge": _strict_judge,
    }


@plan_and_judge.alternative
def steady_steps():
    def enough(stable, canary):
        for airport, new in canary.items():
            old = stable[airport]
            if new["requests"] < 20:
                return "nodata", "waiting for " + airport
            expected = new["requests"] * max(old["errors"] / max(old["requests"], 1), 0.02)
            if new["errors"] > expected + 4 * math.sqrt(expected) + 1:
                return "fail", f"{new['errors']} failures at {airport}, {expected:.1f} expected"
            if new["latency_p50"] > old["latency_p50"] + 100:
                return "fail", "slow at " + airport
        return "pass", "ok"

    return {
        "plan": lambda: {
            "strategy": "canary",
            "step_weight": 10,
            "max_weight": 50,
            "interval": 240,
            "threshold": 1,
        },
        "release_judge": enough,
    }


@plan_and_judge.alternative
def forgiving_and_quick():
    def quick(stable, canary):
        if min(each["requests"] for each in canary.values()) < 12:
            return "nodata", "too few requests"
        for airport, new in canary.items():
            usual = stable[airport]["errors"] / max(stable[airport]["requests"], 1)
            noise = math.sqrt((usual * (1 - usual) + 0.01) / new["requests"])
            if new["error_rate"] > usual + 2.7 * noise or new["latency_p50"] > 180:
                return "fail", airport
        return "pass", "fine"

    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [8, 20, 50], "interval": 180, "threshold": 2},
        "release_judge": quick,
    }
