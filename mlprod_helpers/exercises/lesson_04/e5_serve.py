"""Exercise 4.5, Batch and stream."""

import numpy as np

from mlprod_helpers.exercises.lesson_04.support import agree, first_odd, lengths
from mlprod_helpers.lesson.contract import Function, Number, Sequence, exercise


def _events(rng, n=60):
    """Requests and late labels in the order in which they happen; one band appears only in the second half."""
    names = ["near", "far", "islands", "ocean", "north", "south", "7", "Z"]
    *bands, new = (str(name) for name in rng.permutation(names)[:4])
    shifts = dict(zip((*bands, new), (2.0, 8.0, 20.0, 30.0), strict=True))
    waiting, events = [], []
    for i in range(n):
        band = new if i >= n // 2 and rng.random() < 0.3 else str(rng.choice(bands))
        batch = float(rng.integers(60, 300))
        events.append(["request", band, batch])
        y = round(batch + shifts[band] + rng.normal(0, 3), 2)
        waiting.append((i + int(rng.integers(1, 9)), ["label", band, batch, y]))
        events += [label for due, label in waiting if due <= i]
        waiting = [(due, label) for due, label in waiting if due > i]
    return events


def _serve(events, step, sign=1, start="overall", bands=True):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        band = band if bands else "all"
        if kind == "request":
            served.append(batch + sign * by_band.get(band, overall if start == "overall" else 0.0))
        else:
            residual = label[0] - batch
            before = by_band.get(band, overall if start == "overall" else 0.0)
            by_band[band] = before + step * (residual - before)
            overall += step * (residual - overall)
    return served


@exercise(
    "4.5",
    "Batch and stream",
    answers=("serve",),
    points=4,
    minutes=11,
    objective="4.c",
    edition=2,
    kind=Function("events", "step", returns=Sequence(Number())),
    hints=(
        "Keep two things while you loop over the events: the overall correction, and a dict with the correction of each band.",
        "A request is answered with `batch` plus its band's correction. A label moves two corrections by `step * (residual - correction)`, with `residual = y - batch`.",
        "`by_band.get(band, overall)` is the correction of a band. It is also the value at which a new band starts.",
    ),
)
def serve(answer, rng, expect):
    """`serve(events, step)`: the answer to each request: the batch prediction plus a running correction."""
    step = round(float(rng.uniform(0.1, 0.4)), 2)

    def compare(events, what, step=step):
        got, want = answer(events, step), _serve(events, step)
        expect.true(agree(got, want), what, _first_difference(events, got, want))

    first = [["request", "short", 100.0], ["label", "short", 100.0, 110.0], ["request", "short", 100.0]]
    compare(first, "one request, its label, one more request")
    two = [["label", "short", 100.0, 110.0], ["label", "long", 300.0, 340.0], ["request", "short", 90.0]]
    compare(two, "a label of another band leaves a band as it was")
    zero = [["label", "short", 100.0, 100.0], ["label", "long", 300.0, 340.0], ["request", "short", 90.0]]
    zero += [["label", "short", 90.0, 98.0], ["request", "short", 90.0]]
    compare(zero, "a band keeps its own correction, even if it is 0")
    below = [["label", "short", 40.0, 0.0], ["request", "long", 0.0]]
    compare(below, "a label of 0 counts, and an answer can be below 0")
    compare([], "without events there are no answers")
    with expect.defining():
        other = [*first, ["label", "short", 80.0, 100.0], ["request", "long", 300.0]]
        compare(other, "a band without a label yet gets the correction of all rows")
        begins = [
            *other,
            ["label", "long", 300.0, 340.0],
            ["request", "long", 200.0],
            ["label", "short", 100.0, 90.0],
            ["request", "Long", 50.0],
            ["request", "long haul", 50.0],
        ]
        compare(begins, "a band starts from the correction of all rows as it was before its first label")
        for other_step in (0.0, 1.0):
            compare(begins, f"the same events with a step of {other_step:g}", other_step)
        compare(_events(rng), "a morning of requests and late labels")


def _first_difference(events, got, want):
    """Which request was answered wrongly first."""
    asked = [(at, event) for at, event in enumerate(events) if event[0] == "request"]
    at = first_odd(got, want)
    if at is None:
        return lengths(got, want)
    place, event = asked[at]
    before = ", ".join(map(str, events[max(0, place - 2) : place]))
    after = f" after {before}" if before else ""
    return f"{event} was answered {got[at]:.4g}{after}; {want[at]:.4g} is right"


@serve.inputs
def mornings(rng):
    yield [["request", "short", 100.0], ["label", "short", 100.0, 108.0], ["request", "short", 100.0]], 0.25
    yield [], 0.5
    yield [["label", "a", 1.0, 2.0], ["label", "a", 1.0, 4.0], ["label", "b", 1.0, 0.0]], 0.3
    for n in (1, 2, 10, 40):
        yield _events(rng, n), float(rng.uniform(0.01, 1.0))


@serve.misconception(
    "you subtracted the correction. If flights take longer than predicted, the residual is positive and must be added. Check the sign of `y - batch`."
)
def subtracted(events, step):
    return _serve(events, step, sign=-1)


@serve.misconception(
    "you started a new band at 0. Other bands may already show that the wind has changed. Start a new band at the overall correction."
)
def new_band_at_zero(events, step):
    return _serve(events, step, start="zero")


@serve.misconception(
    "you used one correction for all bands. The wind affects long flights more than short ones, so each band needs its own. Keep a dict with one correction for each band."
)
def one_for_all(events, step):
    return _serve(events, step, bands=False)


@serve.misconception(
    "you used only the newest residual. The residual of one flight is mostly noise. Move the correction by `step * (residual - correction)`."
)
def last_residual(events, step):
    return _serve(events, 1.0)


@serve.misconception(
    "you counted a new band's first label twice. The band starts at an overall correction that already includes this label. Read the overall correction before you update it."
)
def first_label_twice(events, step):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        if kind == "request":
            served.append(batch + by_band.get(band, overall))
        else:
            overall += step * (label[0] - batch - overall)
            before = by_band.get(band, overall)
            by_band[band] = before + step * (label[0] - batch - before)
    return served


@serve.misconception(
    "you added up the residuals, so the correction grows without limit. It should move toward the residual. Use `step * (residual - correction)`."
)
def summed_up(events, step):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        if kind == "request":
            served.append(batch + by_band.get(band, overall))
        else:
            by_band[band] = by_band.get(band, overall) + step * (label[0] - batch)
            overall += step * (label[0] - batch)
    return served


@serve.alternative
def weighted_means(events, step):
    overall, by_band, served = 0.0, {}, []
    for event in events:
        band, batch = event[1], event[2]
        if band not in by_band and event[0] == "label":
            by_band[band] = overall
        if event[0] == "label":
            residual = event[3] - batch
            by_band[band] = (1 - step) * by_band[band] + step * residual
            overall = (1 - step) * overall + step * residual
        else:
            served.append(batch + (by_band.get(band, overall)))
    return served


@serve.alternative
def with_a_class(events, step):
    class Stream:
        def __init__(self):
            self.c = {None: 0.0}

        def correction(self, band):
            return self.c[band] if band in self.c else self.c[None]

        def learn(self, band, residual):
            for key in (band, None):
                self.c[key] = self.correction(key) + step * (residual - self.correction(key))

    stream, served = Stream(), []
    for kind, band, batch, *y in events:
        if kind == "label":
            stream.learn(band, y[0] - batch)
        else:
            served.append(batch + stream.correction(band))
    return np.array(served)
