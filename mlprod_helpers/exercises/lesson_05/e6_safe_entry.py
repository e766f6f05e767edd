"""Exercise 5.6, A log without people."""

import base64
import hashlib
import hmac
import itertools
import json
import math
import re

import numpy as np

from mlprod_helpers.checklist import coarse, find_personal, mask, pseudonym, redact
from mlprod_helpers.checklist.display_service import UNLISTED, draw_entry
from mlprod_helpers.lesson.contract import Function, Mapping, exercise

_AS_THEY_ARE = ("request_id", "version", "status", "latency_ms")

_KEPT = {*_AS_THEY_ARE, "user_id", "features", "comment"}


def entry_key(rng):
    """A key for this check."""
    return rng.bytes(32)


@exercise(
    "5.6",
    "A log without people",
    answers=("safe_entry",),
    points=5,
    minutes=10,
    objective="5.d",
    edition=2,
    kind=Function("entry", "key", "names", returns=Mapping()),
    hints=(
        "Begin with an empty dict and add what is allowed. If you begin with the entry and take fields out, you miss the field that comes next month.",
        "`pseudonym(user_id, key)` for the user, `coarse(distance, 100)` for the distance, `mask(comment, names=names)` for the comment.",
        "Inside `features` only distance and carrier are allowed. Build that inner dict from scratch as well.",
    ),
)
def safe_entry(answer, rng, expect):
    """`safe_entry(entry, key, names)`: what the log may keep."""
    key = entry_key(rng)
    entries = [draw_entry(rng, number) for number in range(4)]
    far = int(rng.integers(41, 50)) * 100 + 99  # above the 2,000 miles at which the record's log ends
    entries[1][0]["features"]["distance"] = far
    entries[2][0]["comment"] = (
        "gate B7 frozen, McLee saw (Lee), Zoe! zoe-l+a@x-lee.example and +1 30 901820, Ida"
    )
    entries[2] = entries[2][0], ["Zoe", "Lee", "Ida"]  # three short names, not sorted
    entries[3][0]["features"]["distance"] = int(rng.integers(50, 100))  # fewer than a hundred miles: 0
    kept = [(entry, names, answer(entry, key, names)) for entry, names in entries]
    faults = {
        what: next(filter(None, (find(*one) for one in kept)), "") for what, find in _IN_AN_ENTRY.items()
    }
    with expect.defining():
        for what in ("no name, mail, phone number or user id is left", "only the listed fields are there"):
            expect.true(not faults[what], what, faults.pop(what))
        what = "request_id, version, status and latency_ms are as they were"
        expect.true(not faults[what], what, faults.pop(what))
        what = "nobody without the key can find the user id from the pseudonym"
        fault = _found_without_key(answer, kept, key)
        expect.true(not fault, what, fault)
        fault = _not_one_each(answer, kept, key, rng)
        expect.true(
            not fault, "each user has one pseudonym in every process, and no two users share one", fault
        )
    for what, fault in faults.items():
        expect.true(not fault, what, fault)


def _leaks(entry, names, got):
    person = entry["features"]["passenger"]
    phone = next(
        iter(value["note"][1] for value in entry.values() if isinstance(value, dict) and "note" in value)
    )
    mails = dict.fromkeys((person["mail"], person["mail"].partition("@")[0]), "mail")
    kinds = mails | {str(entry["user_id"]): "user id", phone.split()[-1]: "phone"}
    found = find_personal(got, names=[*names, *kinds])
    if not found:
        secret = _hashed((*names, person["mail"], person["mail"].upper()), got)
        return f"the entry contains a hash of {secret!r}, and anybody can compute it" if secret else ""
    kind = kinds.get(found[0].text.lower(), found[0].kind)
    return f"{found[0].path} holds {found[0].text!r} ({kind})"


def _hashed(secrets, got):
    """The first of these texts whose hash without a key is in the entry, or ""."""
    text, ways = json.dumps(got, default=str), ("md5", "sha1", "sha256", "sha512")
    hashes = ((one, hashlib.new(way, one.encode()).hexdigest()) for one in secrets for way in ways)
    return next((one for one, plain in hashes if plain[:8] in text), "")


def _not_listed(entry, names, got):
    more = [str(name) for name in got if name not in _KEPT]
    features = got.get("features")
    more += (
        [f"features.{name}" for name in features if name not in ("distance", "carrier")]
        if isinstance(features, dict)
        else []
    )
    return f"there is also {more[0]}" if more else ""


def _changed(entry, names, got):
    for name in _AS_THEY_ARE:
        if name not in got:
            return f"{name} is missing"
        if got[name] != entry[name]:
            return f"{name} was {entry[name]!r} and is {got[name]!r}"
    return ""


def _finer(entry, names, got):
    features, want = got.get("features"), entry["features"]["distance"] // 100 * 100
    if not isinstance(features, dict):
        return "features is not a dict"
    if features.get("carrier") != entry["features"]["carrier"]:
        return f"carrier was {entry['features']['carrier']!r} and is {features.get('carrier')!r}"
    distance = features.get("distance")
    return "" if distance == want else f"{entry['features']['distance']} miles became {distance!r}"


def _lost_words(entry, names, got):
    if not isinstance(got.get("comment"), str):
        return "there is no comment"
    harmless = mask(entry["comment"], names=names)
    words = iter(re.findall(r"\w+", got["comment"]))
    for word in re.findall(r"\w+", re.sub(r"\[\w+\]", " ", harmless)):
        if word not in words:
            return f"{entry['comment']!r} became {got['comment']!r}: {word!r} is lost"
    return ""


_IN_AN_ENTRY = {
    "no name, mail, phone number or user id is left": _leaks,
    "only the listed fields are there": _not_listed,
    "request_id, version, status and latency_ms are as they were": _changed,
    "features has the distance in hundreds, and the carrier": _finer,
    "the harmless words of the comment are still there": _lost_words,
}


def _stand_in(answer, entry, key, names, **change):
    return answer(dict(entry, **change), key, names).get("user_id")


def _not_one_each(answer, kept, key, rng):
    """What is wrong with the stand-ins of many users, or ""."""
    entry, names, got = kept[2]
    other, others = draw_entry(rng, 3)  # with another status
    other |= {"version": "v9", "features": other["features"] | {"carrier": "HA"}}
    mine = got.get("user_id")
    if mine is None:
        return "there is none"
    if _stand_in(answer, other, key, others, user_id=entry["user_id"]) != mine:
        return "two requests of one user have two pseudonyms"
    elsewhere = answer.in_another_process(entry, key, names).get("user_id")
    if elsewhere != mine:
        return f"this process gives {mine!r}, and another one {elsewhere!r} for the same user"
    user = entry["user_id"]
    # any two of these up to 240 apart, but not all 240: each costs a call
    users = [*range(user, user + 145), *range(user + 150, user + 241, 10)]
    users += [user + 10**places for places in range(3, 7)]
    users += [user + 2**places for places in range(8, 20)]
    found = [str(_stand_in(answer, entry, key, names, user_id=user)) for user in users]
    if len(set(found)) < len(found):
        return f"{len(found)} users have only {len(set(found))} pseudonyms"
    room = math.prod(len(set(signs)) for signs in itertools.zip_longest(*found))
    if room < 1e14:  # by the birthday paradox, a million users need about the square of a million, and more
        return f"they are too short: with {room:,} different pseudonyms at most, some of a million users share one"
    return ""


def _found_without_key(answer, kept, key):
    """How the id can be told from the stand-in, or ""."""
    entry, names, got = kept[0]
    user, mine, text = entry["user_id"], got.get("user_id"), json.dumps(got, default=str)
    if mine is None:
        return "there is no pseudonym"
    others = (bytes(255 - byte for byte in key), key[::-1])
    inverse, backwards = (_stand_in(answer, entry, other, names) for other in others)
    if inverse == mine:
        return "another key gives the same pseudonym"
    if backwards == mine:
        return "the bytes of the key in another order give the same pseudonym"
    for at in range(len(key)):
        other = bytearray(key)
        other[at] ^= 1
        if _stand_in(answer, entry, bytes(other), names) == mine:
            return "a part of the key is not used"
    if _hashed([str(user)], got):
        return "the entry contains a hash of the id alone"
    if key.hex() in text or repr(key)[2:-1] in text or base64.b64encode(key).decode() in text:
        return "the entry contains the key itself"
    near = [str(_stand_in(answer, entry, key, names, user_id=one)) for one in range(user, user + 12)]
    alike = [
        sum(map(str.__eq__, one, two)) / max(len(one), len(two), 1) for one, two in itertools.pairwise(near)
    ]
    others = [(user + 73_001 * i) % 1_000_000 for i in range(8)]
    twice = [
        [str(_stand_in(answer, entry, one, names, user_id=who)) for who in others]
        for one in (key, bytes(255 - byte for byte in key))
    ]
    if _shown_in_both(*twice):
        return "a part of the pseudonym is the same with any key, and differs from user to user"
    if _by_arithmetic(near):
        return "from one user to the next the pseudonyms go up in equal steps: two known users give away all others"
    if np.mean(alike) > 0.6:
        return f"the pseudonyms of neighbors are alike ({near[0]} and {near[1]}): one known user gives away the others"
    return ""


def _shown_in_both(one, two):
    """Whether some place of the stand-ins, from the left or the right, tells users apart and does not depend on the key."""
    for step in (1, -1):
        places = zip(
            *(zip(a[::step], b[::step], strict=False) for a, b in zip(one, two, strict=True)), strict=False
        )
        for pairs in places:
            if all(a == b for a, b in pairs) and len(set(pairs)) > 1:
                return True
    return False


def _by_arithmetic(stand_ins):
    """Whether numbers (decimal or hexadecimal) go up in equal steps where the ids do."""
    for base in (10, 16):
        try:
            numbers = [int(one, base) for one in stand_ins]
        except ValueError:
            continue
        if len({two - one for one, two in itertools.pairwise(numbers)}) <= 3:
            return True
    return False


@safe_entry.acceptable
def keeps_people_out(answer, rng):
    """By the statement alone, on an entry of its own."""
    entry = {name: f"{name} {rng.integers(99)}" for name in _AS_THEY_ARE} | {
        "user_id": int(rng.integers(9e5))
    }
    entry |= {
        "features": {"distance": int(rng.integers(5000)), "carrier": "HA", "seat": "12A"},
        "crew": "Ada",
    }
    entry["comment"] = "Ada froze, ada@example.org or +49 151 2345678 knows"
    keys = [rng.bytes(32) for _ in range(3)]
    one, two, three = (answer(dict(entry), key, ["Ada"]) for key in keys)
    others = [answer(entry | {"user_id": user}, keys[0], ["Ada"])["user_id"] for user in range(1000, 1400)]
    words = re.findall(r"\w+", re.sub(r"\[\w+\]", "", one["comment"]))
    return (
        {name: value for name, value in one.items() if name not in ("user_id", "comment")}
        == {name: entry[name] for name in _AS_THEY_ARE}
        | {"features": {"distance": entry["features"]["distance"] // 100 * 100, "carrier": "HA"}}
        and words == ["froze", "or", "knows"]
        and len({str(got["user_id"]) for got in (one, two, three)}) == 3
        and len(set(map(str, others))) == 400
        and answer(entry | {"status": 0}, keys[0], ["Ada"])["user_id"] == one["user_id"]
        and all(
            answer(dict(entry), keys[0][:at] + b"?" + keys[0][at + 1 :], ["Ada"])["user_id"] != one["user_id"]
            for at in range(32)
            if keys[0][at : at + 1] != b"?"
        )
        and not {
            hashlib.new(way, str(entry["user_id"]).encode()).hexdigest() for way in ("md5", "sha1", "sha256")
        }
        & {str(one["user_id"])}
    )


def _entries(seen):
    """(the entry that was given, what came back) of each call that gave a dict."""
    return [(call.given[0], call.output) for call in seen.calls if isinstance(call.output, dict)]


def _user_calls(seen):
    return [
        (call.given[0]["user_id"], call.given[1], call.output["user_id"])
        for call in seen.calls
        if isinstance(call.output, dict) and call.output.get("user_id") is not None
    ]


def _comment_kept(seen):
    pairs = [(entry, got) for entry, got in _entries(seen) if "@" in entry["comment"]]
    return bool(pairs) and all(
        got.get("comment") == entry["comment"] and set(entry) - _KEPT <= set(entry) - set(got)
        for entry, got in pairs
    )


def _fields_let_through(seen):
    """Whether some fields of the entry were taken out, and some that nobody can have listed were not."""
    known = {"headers", *UNLISTED, *(f"{name}_id" for name in UNLISTED)}
    more = [(set(entry) - _KEPT, set(got)) for entry, got in _entries(seen)]
    return any(names & got - known for names, got in more) and any(names - got for names, got in more)


def _next_to_nothing(seen):
    """Whether hardly anything of what was asked for is left, but something is."""
    pairs = _entries(seen)
    some = any(got.get(name) == entry[name] for entry, got in pairs for name in _AS_THEY_ARE)
    return some and all(len(set(_AS_THEY_ARE) - set(got)) >= 2 for _, got in pairs)


def _key_not_needed(seen):
    """Whether the stand-in follows the user, but a wholly different key changes nothing."""
    calls = _user_calls(seen)
    by_key = {(user, key): str(stand_in) for user, key, stand_in in calls}
    pairs = [(one, two) for one, two in itertools.combinations(by_key, 2) if one[0] == two[0]]
    other_keys = [(one, two) for one, two in pairs if sum(map(int.__ne__, one[1], two[1])) > 16]
    return (
        bool(other_keys)
        and all(by_key[one] == by_key[two] for one, two in other_keys)
        and len(set(by_key.values())) > 2
        and not any(str(user) == str(stand_in) for user, _, stand_in in calls)
    )


@safe_entry.misconception(
    "you dropped nearly everything. Nobody can find a slow request in an empty log. Keep the fields that the statement lists.",
    when=_next_to_nothing,
)
def empty_log(entry, key, names):
    return {"request_id": entry["request_id"]}


@safe_entry.misconception(
    "you looked at the keys of the entry, but not at its texts. The mail address and the phone number are inside the comment. Mask it with `mask(comment, names=names)`.",
    when=_comment_kept,
)
def key_list(entry, key, names):
    return right_entry(entry, key, names) | {"comment": entry["comment"]}


@safe_entry.misconception(
    "you took fields out by name. The next release adds a field that is not on your list, and it leaks from the first day. List what may stay instead.",
    when=_fields_let_through,
)
def block_list(entry, key, names):
    kept = {name: value for name, value in entry.items() if name not in ("headers", *UNLISTED)}
    features = {
        "distance": coarse(entry["features"]["distance"], 100),
        "carrier": entry["features"]["carrier"],
    }
    comment = mask(entry["comment"], names=names)
    return kept | {"features": features, "comment": comment, "user_id": pseudonym(entry["user_id"], key)}


@safe_entry.misconception(
    "you made the pseudonym without the key. There are only a million ids, and anybody who has the log can try them all in a second. Use `pseudonym(user_id, key)`.",
    when=_key_not_needed,
)
def plain_hash(entry, key, names):
    return right_entry(entry, key, names) | {
        "user_id": hashlib.sha256(str(entry["user_id"]).encode()).hexdigest()[:16]
    }


def right_entry(entry, key, names):
    return redact(
        entry,
        keep=("request_id", "version", "status", "latency_ms", "features.carrier"),
        coarsen={"features.distance": 100},
        pseudonyms=("user_id",),
        free_text=("comment",),
        key=key,
        names=names,
    )


safe_entry.alternative(right_entry)


@safe_entry.alternative
def by_hand(entry, key, names):
    comment = re.sub(r"[^\s,]+@[^\s,]+", "[mail]", entry["comment"])
    comment = re.sub(r"\+?\d[\d ]{6,}\d", "[phone]", comment)
    for name in names:
        comment = re.sub(rf"\b{name}\b", "[name]", comment, flags=re.IGNORECASE)
    kept = {name: entry[name] for name in ("request_id", "version", "status", "latency_ms")}
    kept["features"] = {
        "distance": round(entry["features"]["distance"] // 100) * 100,
        "carrier": entry["features"]["carrier"],
    }
    digest = hmac.new(key, str(entry["user_id"]).encode(), "sha256").hexdigest()
    return kept | {"comment": comment, "user_id": digest}
