"""Exercise 6.3, A sticky split."""

import functools
import hashlib
import itertools
import random
import zlib

import numpy as np

from mlprod_helpers.lesson.contract import Boolean, Function, exercise
from mlprod_helpers.rollout import bucket as _bucket


def _draw_users(rng, count):
    """Names of users, of several styles: with and without a number, with a long beginning or end that many share."""
    words = ("ana", "ben", "cem", "dia", "eva", "fay", "gus", "zoë")
    numbers = (10_000 + rng.choice(90_000, count, replace=False)).tolist()
    styles = ("user {}", "{word}{}@mail.example", "{word}-{:x}", "https://shop.example/users/{letters}")
    return [
        styles[i % 4].format(number, word=words[number % len(words)], letters=_letters(number))
        for i, number in enumerate(numbers)
    ]


def _letters(number):
    return "".join(chr(97 + number // 26**k % 26) for k in range(4))


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
    "6.3",
    "A sticky split",
    answers=("route",),
    points=4,
    minutes=8,
    objective="6.b",
    edition=3,
    kind=Function("user_id", "weight", "salt", returns=Boolean()),
    hints=(
        "Give each user a number that depends only on the name and the salt. The users with the lowest numbers get the canary.",
        "`hashlib.sha256(text.encode()).hexdigest()` looks random and is the same in each process and on each machine. You can turn its first digits into a number.",
        "A number from 0 to 100: `int(digest[:8], 16) % 10_000 / 100`. Compare it with the weight.",
    ),
)
def route(answer, rng, expect):
    """`route(user_id, weight, salt)`: True if this user gets the canary at `weight` percent."""
    many = _draw_users(rng, 2000)
    users = many[:40]
    # of one length: the length of a salt is no salt
    salt, other = (f"release {number}" for number in rng.choice(np.arange(10, 100), 2, replace=False))
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
            f"{sum(a != b for a, b in zip(elsewhere, here, strict=True))} of 30 users get another version there",
        )
        at_40 = sent(many[:130], 40, salt)
        lost = sum(earlier and not later for earlier, later in zip(at_20, at_40, strict=False))
        expect.true(
            not lost, "from 20 to 40% nobody is sent back to the old version", f"{lost} users lost it again"
        )
        for weight, got in ((20, at_20), (40, at_40)):
            _has_its_share(expect, weight, got)
    # a byte modulo 100 sends 66% here; whoever is close with 400 users needs no more of them
    at_56 = sent(many[:400], 56, salt)
    if abs(sum(at_56) / 400 - 0.56) > 0.026:
        at_56 += sent(many[400:], 56, salt)
    _has_its_share(expect, 56, at_56)
    later = {
        40: at_40,
        56: at_56[: len(at_40)],
        **{weight: sent(many[: len(at_40)], weight, salt) for weight in (80, 95)},
    }
    lost = {
        f"{before} to {after}%": sum(
            had and not has for had, has in zip(later[before], later[after], strict=True)
        )
        for before, after in itertools.pairwise(later)
    }
    back = next((step for step in lost if lost[step]), "")
    expect.true(
        not back,
        "nobody is sent back at higher weights either, up to 95%",
        f"from {back}, {lost.get(back)} of {len(at_40)} users lost it again",
    )
    expect.true(
        any(answer(user, 1, salt) for user in many),
        "at 1%, a few users get it",
        f"none of {len(many)} users do",
    )
    # so many, that a hundred places with one of them on the wrong side of the limit would show
    nobody, without = sum(sent(many[:500], 0, salt)), 700 - sum(sent(many[:700], 100, salt))
    few = any(not answer(user, 99, salt) for user in many)  # with `<=` on a hundred places, 99% are all
    expect.true(
        nobody == 0 and without == 0 and few,
        "at 0% nobody, at 99% nearly all, at 100% everybody",
        f"{nobody} of 500 users get it at 0%; {'some' if few else 'none'} of {len(many)} do not at 99%, {without} of 700 do not at 100%",
    )
    # names of one length: in a checksum, another salt turns the same bits of all of them
    users = [user for user in many if user.startswith("user ")][:40]
    places = [_first_weight(answer, user, salt) for user in users]
    # 40 users on 100 places sit on 33 different ones, give or take 2.3
    expect.true(
        len(set(places)) >= 23,
        "each percent more adds some users: 40 users come in at many different weights",
        f"they come in at only {len(set(places))} different weights",
    )
    with expect.defining():
        others = [_first_weight(answer, user, other) for user in users]
        moved = [(later - earlier) % 100 for earlier, later in zip(places, others, strict=True)]
        mirrored = [(later + earlier) % 100 for earlier, later in zip(places, others, strict=True)]
        together = [
            abs(b - d) < 2
            for (a, b), (c, d) in itertools.combinations(zip(places, others, strict=True), 2)
            if a == c
        ]
        neighbours = len(together) >= 3 and sum(together) > len(together) / 2
        why = (
            f"{_most(moved)} of {len(users)} users keep their place, or move by the same step"
            if _most(moved) > len(users) / 2
            else "the line is only reversed, so that the last users come first"
            if _most(mirrored) > len(users) / 2
            else ""
            if len(set(places)) < 23  # with few places, chance alone brings many together
            else f"of {len(together)} pairs of users who come in together with one salt, {sum(together)} do so with the other"
            if neighbours
            else "the place of a user with one salt tells nearly where it is with the other"
            if min(len(set(moved)), len(set(mirrored))) < 15
            else ""
        )
        expect.true(not why, "another salt gives each user an unrelated number", why)
    number = int(rng.integers(2, 10))
    alike = (
        (f"release {number}", f"prelease {number}"),
        ("model a.b", "model a.c"),
        (f"eta {number}0 may", f"eta {number}1 may"),
        (f"spring-{number}{number - 1}", f"spring-{number - 1}{number}"),
        ("Red", "red"),
        # longer than `blake2b` allows for a salt or a key
        tuple(f"arrival times at all airports, with the weather at both ends, version {x}" for x in "ab"),
    )
    some = many[-24:]
    kept = [sum(map(bool.__eq__, sent(some, 50, one), sent(some, 50, other))) for one, other in alike]
    worst = kept.index(max(kept))
    # half of them do by chance, give or take 2.4
    expect.true(
        kept[worst] <= 22,
        "another salt is one that differs in a single letter, or in the order of its letters",
        f'{kept[worst]} of 24 users get the same version with "{alike[worst][0]}" and "{alike[worst][1]}" at 50%',
    )


def _has_its_share(expect, weight, got):
    share = sum(got) / len(got)
    spread = 4.5 * (weight / 100 * (1 - weight / 100) / len(got)) ** 0.5
    expect.true(
        abs(share - weight / 100) <= spread,
        f"at {weight}%, about that share of {len(got)} users",
        f"{sum(got)} of them get the new version",
    )


def _most(moves):
    return max(map(moves.count, moves))


def _line(seen, beginning):
    """Whether the expectation whose text begins like this holds; None if it was not reached."""
    return next((line.ok for line in seen.lines if line.what.startswith(beginning)), None)


@route.misconception(
    "you made a new draw for each request. Then a user flips between two versions, and nobody knows which one a click belongs to. Compute a number from the user's name, as `lucky_number` does.",
    when=lambda seen: _line(seen, "a user who asks again") is False,
)
def dealt_anew(user_id, weight, salt):
    return random.random() < weight / 100


@route.misconception(
    "you used something that only one process knows. Python's own `hash` changes from process to process, and so does a stored random number, so two routers disagree. `hashlib` gives the same digits everywhere.",
    when=lambda seen: (
        _line(seen, "a user who asks again") and _line(seen, "a router in another process") is False
    ),
)
def python_hash(user_id, weight, salt):
    return hash(f"{salt}:{user_id}") % 10_000 / 100 < weight


@route.misconception(
    "you shuffled the users again at each weight. A user who has the new version at 5% may lose it at 10%. Let the number depend on user and salt only, and compare it with the weight.",
    when=lambda seen: (
        _line(seen, "a router in another process")
        and _line(seen, "from 20 to 40%") is False
        and _line(seen, "at 20%")
        and _line(seen, "at 40%")
    ),
)
def anew_at_each_step(user_id, weight, salt):
    return _place(f"{salt}:{weight}:{user_id}") < weight / 100


@route.misconception(
    "you left out the salt. Then the same few users test every release. Add the salt to the string that you hash.",
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
    return zlib.crc32(f"{user_id}/{salt}".encode()) % 100 < weight


@route.alternative
def by_the_library(user_id, weight, salt):
    return bool(_bucket([user_id], salt)[0] * 100 < weight)


@route.alternative
def by_a_seeded_generator(user_id, weight, salt):
    return random.Random(f"{salt}|{user_id}").uniform(0, 100) < weight
