"""Exercise 9.4, Debug the micro-batcher."""

import itertools
import math

import numpy as np

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, exercise
from mlprod_helpers.serving.lab.eta_handlers import eta_batch

ALL_ANSWERED, OWN_ANSWER, BAD_ROW, OTHERS, FULL_BATCH, LONELY, STEADY, ON_TIME, NOBODY = (
    "each request is answered once",
    "each gets its own eta",
    "a bad request gets 422 at once",
    "a bad request does not make others fail",
    "a full batch is answered at once",
    "a single request waits for `max_wait`, not longer",
    "a steady stream of requests does not delay the batch",
    "a request exactly `max_wait` after the first still joins its batch",
    "no requests, no answers; batches of one",
)


def _bad(distance):
    return type(distance) not in (int, float) or not 50 <= distance <= 5000


def _batched(requests, max_size, max_wait, starts=0, by_the_next=False):
    """The reference: id -> (status, eta, time). With mistakes: the clock starts with another request of the batch, or the next one ends it."""
    answers, batch = {}, []

    def close(time):
        etas = eta_batch([request["distance"] for request in batch])
        for request, eta in zip(batch, etas, strict=True):
            answers[request["id"]] = (200, eta, time)
        batch.clear()

    for request in requests:
        if batch and request["time"] > batch[starts]["time"] + max_wait:
            close(request["time"] if by_the_next else batch[starts]["time"] + max_wait)
        if _bad(request["distance"]):
            answers[request["id"]] = (422, None, request["time"])
            continue
        batch.append(request)
        if len(batch) == max_size:
            close(request["time"])
    if batch:
        close(batch[starts]["time"] + max_wait)
    return answers


def _requests(rng, times, bad=()):
    ids = rng.permutation(900)[: len(times)] + 100
    distances = (
        rng.choice(np.arange(60, 2600), len(times), replace=False) + 0.5 * (rng.random() < 0.5)
    ).tolist()
    for place, value in zip(rng.permutation(len(times))[:2], (50, 5000), strict=False):  # both are allowed
        distances[place] = value
    for place, value in zip(bad, itertools.cycle((-5, None, "800", True, 49, 5001)), strict=False):
        distances[place] = value
    rows = zip(ids.tolist(), np.round(times, 4).tolist(), distances, strict=True)
    return [{"id": f"r{name}", "time": time, "distance": miles} for name, time, miles in rows]


def _same_distance(rng, requests):
    """The same, but the first, the last and one between them have the same distance."""
    for place in (0, int(rng.integers(1, len(requests) - 1))):
        requests[place]["distance"] = requests[-1]["distance"]
    return requests


@exercise(
    "9.4",
    "Debug the micro-batcher",
    answers=("serve_in_batches",),
    points=5,
    minutes=9,
    objective="9.c",
    edition=2,
    kind=Function(
        "requests",
        "max_size",
        "max_wait",
        returns=Sequence(Mapping(keys=("id", "status", "eta", "time"))),
    ),
    hints=(
        "There are three faults. One makes a request wait forever, one gives it the answer to another request, and one makes it fail because of another request's mistake.",
        "A batch ends when it is full, or `max_wait` seconds after its first request. You notice the second case when a later request arrives, and at the end of the list.",
        "Check each request before it joins a batch. A bad one is answered at once and does not join. Keep requests and etas in the same order and loop over both with `zip`.",
    ),
)
def serve_in_batches(answer, rng, expect):
    """`serve_in_batches(requests, max_size, max_wait)`: one dict a request, id, status, eta, time."""
    size, wait = int(rng.integers(3, 6)), float(rng.integers(5, 20))
    burst = np.sort(rng.uniform(0, 0.8, 3 * size)) + rng.integers(1, 50)
    alone = np.array([0.0, 5.5, 11.2]) * wait + rng.integers(1, 50)
    trickle = np.arange(5) * 0.7 * wait + rng.integers(1, 50)  # each comes before the last has waited
    mixed = np.sort(rng.uniform(0, 6 * wait, 5 * size))
    # some arrive at the last moment, the last two together
    whole = int(rng.integers(1, 50)) + wait * np.array([0, 1, 3, 3.5, 4, 6, 7, 7])
    first = int(rng.integers(1, 50)) + wait * np.array([0, 0.6, 3, 3.3, 3.9, 4.1, 6])
    cases = {
        "burst": (_requests(rng, burst), size, wait),
        "alone": (_requests(rng, alone), size, wait),
        "trickle": (_requests(rng, np.append(trickle, trickle[-1] + wait * np.array([4.3, 4.6]))), 6, wait),
        "mixed": (_same_distance(rng, _requests(rng, mixed)), size, wait),
        # good rows and bad ones, close together; and a bad one while a good one waits
        "bad": (_requests(rng, np.sort(rng.uniform(0, 0.5, 6 * size)) + 3, _bad_places(size)), size, wait),
        "bad and late": (_requests(rng, np.array([1, 1 + 0.5 * wait, 1 + 3 * wait]), bad=(1,)), size, wait),
        "in time": (_requests(rng, whole), 3, wait),
        "ones": (_requests(rng, burst[:4]), 1, wait),
        "nobody": ([], size, wait),
        # a bad one shortly before a good one, which waits alone; later, shortly before three that fill a batch or do not
        "bad first": (_requests(rng, first, bad=(0, 2)), 4, wait),
    }
    got = {name: answer(*each) for name, each in cases.items()}
    want = {name: _batched(*each) for name, each in cases.items()}
    seen = _Compared(cases, got, want)
    good = {name: [key for key, (status, *_) in want[name].items() if status == 200] for name in cases}
    bad = {name: [key for key in want[name] if key not in good[name]] for name in cases}
    with expect.defining():
        count = [
            f"{len(got[name])} answers to {len(want[name])} requests ({name})"
            for name in cases
            if sorted(str(row["id"]) for row in got[name]) != sorted(want[name])
        ]
        expect.true(not count, ALL_ANSWERED, count[0] if count else "")
        off = seen.first_off({name: seen.answered(name, good[name]) for name in cases}, "eta")
        expect.true(not off and seen.answered("burst", good["burst"]), OWN_ANSWER, off or "nobody gets one")
        off = seen.first_off({name: good[name] for name in ("bad", "bad and late", "bad first")}, "status")
        expect.true(not off, OTHERS, off)
    off = seen.first_off(
        {name: bad[name] for name in ("bad", "bad and late", "bad first")}, "status", "time", "eta"
    )
    expect.true(not off, BAD_ROW, off)
    for what, names in (
        (FULL_BATCH, ("burst", "bad")),
        (LONELY, ("alone", "bad and late", "bad first")),
        (STEADY, ("trickle", "mixed")),
        (ON_TIME, ("in time",)),
        (NOBODY, ("ones", "nobody")),
    ):
        off = seen.first_off({name: good[name] for name in names}, "status", "time")
        extra = any(len(got[name]) != len(want[name]) for name in names) and what == NOBODY
        expect.true(not off and not extra, what, off or ("an answer too many" if extra else ""))


def _bad_places(size):
    return (2, size + 1, 3 * size - 1, 3 * size, 4 * size + 1, 5 * size)


class _Compared:
    """Answers of a batcher beside those that are right, by case and id."""

    def __init__(self, cases, got, want):
        self.cases, self.want = cases, want
        self.got = {name: {row["id"]: row for row in rows} for name, rows in got.items()}

    def answered(self, name, keys):
        """Those of the requests that got a 200."""
        return [key for key in keys if self.got[name].get(key, {}).get("status") == 200]

    def first_off(self, keys_of, *parts):
        """The first request whose status, eta or time is another, in words; "" if there is none."""
        for name, keys in keys_of.items():
            for key in keys:
                right = dict(zip(("status", "eta", "time"), self.want[name][key], strict=True))
                row = self.got[name].get(key)
                if row is None:
                    return f"{key} has no answer: {self._about(name, key)}"
                for part in parts:
                    if not _same(row[part], right[part]):
                        return f"{part} of {key} is {row[part]!r}, not {_rounded(right[part])!r}: {self._about(name, key)}"
        return ""

    def _about(self, name, key):
        """A request, those before it, and the other arguments, in words."""
        requests, size, wait = self.cases[name]
        place = next(i for i, row in enumerate(requests) if row["id"] == key)
        times = ", ".join(
            f"{row['time']:g}{' (bad)' if _bad(row['distance']) else ''}"
            for row in requests[max(place - 3, 0) : place]
        )
        before = f", after those at {times}" if times else ""
        came = f"it came at {requests[place]['time']:g} with distance {requests[place]['distance']!r}"
        return f"{came}{before}; max_size={size}, max_wait={wait:g} ({name})"


def _rounded(value):
    return round(value, 4) if isinstance(value, float) else value


def _same(got, want):
    return got is None if want is None else _near(got, want)


@serve_in_batches.inputs
def _evenings(rng):
    evening = [("r7", 0.0, 800), ("r2", 0.01, 1600), ("r5", 0.02, 400), ("r9", 0.03, -5), ("r1", 9.0, 240)]
    evening = [dict(zip(("id", "time", "distance"), row, strict=True)) for row in evening]
    yield evening, 2, 0.05
    yield [], 3, 1.0
    yield evening, 1, 1.0
    yield evening, 3, 8.97
    for _ in range(40):
        n = int(rng.integers(1, 15))
        times = np.sort(rng.integers(0, 40, n) / 2.0)
        names = rng.permutation(100)[:n]
        miles = rng.choice(np.array([100, 200.5, 5000, 50, 49, None, "800", True, -1], dtype=object), n)
        rows = [
            {"id": f"q{name}", "time": float(time), "distance": each}
            for name, time, each in zip(names, times, miles, strict=True)
        ]
        yield rows, int(rng.integers(1, 5)), float(rng.integers(1, 6)) / 2


@serve_in_batches.acceptable
def _each_once(answer, rng):
    """By id, in any order."""
    for given in _evenings(rng):
        want, got = _batched(*given), answer(*given)
        if len(got) != len(want) or {row["id"] for row in got} != set(want):
            return False
        for row in got:
            if not all(
                _same(row[part], each)
                for part, each in zip(("status", "eta", "time"), want[row["id"]], strict=True)
            ):
                return False
    return True


def _near(got, want):
    return type(got) in (int, float) and abs(got - want) < 1e-3


def _kept_waiting(seen, case):
    """Is the first request of a steady stream of five answered `max_wait` after the last of them?"""
    requests, _, wait = seen.calls[case].given
    return abs(_answered_at(seen, case, 0) - requests[4]["time"] - wait) < 1e-3


def _answered_at(seen, case, place):
    """When a request of a case is answered; infinity if never."""
    name = seen.calls[case].given[0][place]["id"]
    return next((row["time"] for row in seen.outputs[case] if row["id"] == name), math.inf)


def _waits_until_full(seen):
    """Is the first of three lonely requests answered only with the last one, or never?"""
    return _answered_at(seen, 1, 0) >= seen.calls[1].given[0][2]["time"]


def _waits_for_the_next(seen):
    """Is each of the first two lonely requests answered when the next one comes?"""
    times = [row["time"] for row in seen.calls[1].given[0]]
    return all(abs(_answered_at(seen, 1, i) - times[i + 1]) < 1e-6 for i in (0, 1))


def _swapped(seen):
    """Does some request of the burst get an eta that belongs to another one?"""
    etas = {row["id"]: eta_batch([row["distance"]])[0] for row in seen.calls[0].given[0]}
    got = {row["id"]: row["eta"] for row in seen.outputs[0] if row["status"] == 200}
    return any(eta != etas[name] and eta in etas.values() for name, eta in got.items())


def _punished(seen):
    """Is some good request refused where there are bad ones, and none where there are not?"""
    peace = all(row["status"] == 200 for row in seen.outputs[0])
    bad = {row["id"] for row in seen.calls[4].given[0] if _bad(row["distance"])}
    return peace and any(row["status"] != 200 for row in seen.outputs[4] if row["id"] not in bad)


def _rows(answers):
    return [{"id": key, "status": s, "eta": eta, "time": time} for key, (s, eta, time) in answers.items()]


def colleagues_batches(requests, max_size, max_wait):
    """The batcher that is to be repaired."""
    answers, batch = [], []
    for request in requests:
        batch.append(request)
        if len(batch) == max_size:
            try:
                etas = eta_batch([each["distance"] for each in batch])
                status = 200
            except ValueError:
                etas, status = [None] * len(batch), 500
            by_name = sorted(batch, key=lambda each: each["id"])
            for each, eta in zip(by_name, etas, strict=True):
                answers.append({"id": each["id"], "status": status, "eta": eta, "time": request["time"]})
            batch = []
    return answers


@serve_in_batches.misconception(
    "you have not repaired anything yet. All three faults are still there. Begin with the one that leaves requests without an answer.",
)
def as_it_was(requests, max_size, max_wait):
    return colleagues_batches(requests, max_size, max_wait)


@serve_in_batches.misconception(
    "you wait until a batch is full. A single request at night then waits until the morning. Close a batch `max_wait` seconds after its first request.",
    when=lambda seen: held(seen)[OWN_ANSWER] and held(seen)[OTHERS] and _waits_until_full(seen),
)
def waits_until_full(requests, max_size, max_wait):
    answers, batch = {}, []
    for request in requests:
        if _bad(request["distance"]):
            answers[request["id"]] = (422, None, request["time"])
            continue
        batch.append(request)
        if len(batch) == max_size:
            etas = eta_batch([each["distance"] for each in batch])
            answers |= {
                each["id"]: (200, eta, request["time"]) for each, eta in zip(batch, etas, strict=True)
            }
            batch = []
    if batch:
        etas = eta_batch([each["distance"] for each in batch])
        answers |= {
            each["id"]: (200, eta, requests[-1]["time"]) for each, eta in zip(batch, etas, strict=True)
        }
    return _rows(answers)


@serve_in_batches.misconception(
    "you answered a batch only when the next request arrived. If that takes until the morning, users wait all night. The time of the answer follows from `max_wait` and the batch's first request alone.",
    when=lambda seen: held(seen)[OWN_ANSWER] and held(seen)[OTHERS] and _waits_for_the_next(seen),
)
def waits_for_the_next(requests, max_size, max_wait):
    return _rows(_batched(requests, max_size, max_wait, by_the_next=True))


@serve_in_batches.misconception(
    "you gave some requests the etas of others. The model returns etas in the order of the distances. Keep requests and etas in this order.",
    when=lambda seen: not held(seen)[OWN_ANSWER] and held(seen)[OTHERS] and _swapped(seen),
)
def mixes_up_the_answers(requests, max_size, max_wait):
    answers = _batched(requests, max_size, max_wait)
    groups = {}
    for key, (status, eta, time) in answers.items():
        if status == 200:
            groups.setdefault(time, []).append((key, eta))
    for time, group in groups.items():
        names = sorted(key for key, _ in group)
        for name, (_, eta) in zip(names, sorted(group, key=lambda pair: pair[1]), strict=True):
            answers[name] = (200, eta, time)
    return _rows(answers)


@serve_in_batches.misconception(
    "you let one bad request make its whole batch fail. Nothing is wrong with the other requests. Check each request before it joins a batch.",
    when=lambda seen: not held(seen)[OTHERS] and held(seen)[OWN_ANSWER] and _punished(seen),
)
def fails_the_whole_batch(requests, max_size, max_wait):
    stand_in = {row["id"]: (100 if _bad(row["distance"]) else row["distance"]) for row in requests}
    wrong = {row["id"] for row in requests if _bad(row["distance"])}
    answers = _batched(
        [row | {"distance": stand_in[row["id"]]} for row in requests],
        max_size,
        max_wait,
    )
    groups = {}
    for key, (*_, time) in answers.items():
        groups.setdefault(time, []).append(key)
    for time, keys in groups.items():
        if wrong & set(keys):
            answers |= {key: (500, None, time) for key in keys}
    return _rows(answers)


@serve_in_batches.misconception(
    "you restarted the clock with each new request. If one arrives every few milliseconds, the first one may wait for a long time. Count `max_wait` from the first request of the batch.",
    when=lambda seen: held(seen)[LONELY] and _kept_waiting(seen, 2),
)
def starts_the_clock_again(requests, max_size, max_wait):
    return _rows(_batched(requests, max_size, max_wait, starts=-1))


@serve_in_batches.alternative
def good_rows_first(requests, max_size, max_wait):
    good = [row for row in requests if not _bad(row["distance"])]
    found = [
        {"id": row["id"], "status": 400, "eta": None, "time": row["time"]} | {"status": 422}
        for row in requests
        if _bad(row["distance"])
    ]
    while good:
        end = good[0]["time"] + max_wait
        batch = [row for row in good[:max_size] if row["time"] <= end]
        time = batch[-1]["time"] if len(batch) == max_size else end
        etas = eta_batch([row["distance"] for row in batch])
        found += [
            {"id": row["id"], "status": 200, "eta": eta, "time": time}
            for row, eta in zip(batch, etas, strict=True)
        ]
        good = good[len(batch) :]
    return found


@serve_in_batches.alternative
def one_row_at_a_time(requests, max_size, max_wait):
    answers, first, members = [], None, []
    for row in [*requests, None]:
        late = row is None or (members and row["time"] > first + max_wait)
        if members and late:
            answers += [{**each, "time": first + max_wait} for each in members]
            members = []
        if row is None:
            break
        if not isinstance(row["distance"], int | float) or not 50 <= row["distance"] <= 5000:
            answers.append({"id": row["id"], "status": 422, "eta": None, "time": row["time"]})
            continue
        if not members:
            first = row["time"]
        members.append({"id": row["id"], "status": 200, "eta": eta_batch([row["distance"]])[0]})
        if len(members) == max_size:
            answers += [{**each, "time": row["time"]} for each in members]
            members = []
    return answers
