"""Exercise 3.7, Score a detector."""

import contextlib
import math

import numpy as np

from mlprod_helpers.lesson.contract import Boolean, Function, Number, Several, exercise


@exercise(
    "3.7",
    "Score a detector",
    answers=("score",),
    points=3,
    minutes=6,
    edition=2,
    objective="3.d",
    kind=Function(
        "alarms",
        "onset",
        returns=Several(Number(), Number(integer=True), Boolean(), names=("delay", "false_alarms", "missed")),
    ),
    hints=(
        "Split the alarms at the onset. What are those before it?",
        "The first alarm at or after the onset is the detection. Later alarms only repeat what is already known.",
        "Without an onset there is nothing to find, so nothing is missed. Without a detection there is no delay, so return NaN.",
    ),
)
def score_a_detector(answer, rng, expect):
    """`score(alarms, onset)`: (delay, false_alarms, missed)."""
    onset = int(rng.integers(900, 1200))
    early = sorted(rng.choice(np.arange(100, onset - 20), 3, replace=False).tolist())
    late = sorted(rng.choice(np.arange(onset + 30, onset + 900), 4, replace=False).tolist())
    many, slow = list(range(30, onset, 25)), int(rng.integers(10_000, 90_000))
    draws = (
        (late, onset, late[0] - onset, 0, False, "four alarms after the onset"),
        (
            [*early, *late[:1]],
            onset,
            late[0] - onset,
            3,
            False,
            "three alarms before the onset, one after it",
        ),
        (
            [onset - 1, late[0]],
            onset,
            late[0] - onset,
            1,
            False,
            "one alarm in the row before the onset, one after it",
        ),
        ([onset], onset, 0, 0, False, "an alarm at the onset itself"),
        (early, onset, math.nan, 3, True, "three alarms, all before the onset"),
        ([], onset, math.nan, 0, True, "no alarm at all"),
        (early, None, math.nan, 3, False, "three alarms, and nothing ever changed"),
        ([], None, math.nan, 0, False, "no alarm, and nothing ever changed"),
        (late, 0, late[0], 0, False, "the change is there from row 0 on, four alarms"),
        ([0, *late], 0, 0, 0, False, "the change is there from row 0 on, and the first alarm is in row 0"),
        ([], 0, math.nan, 0, True, "the change is there from row 0 on, and there is no alarm"),
        ([*many, onset + slow], onset, slow, len(many), False, "dozens of false alarms, and a long delay"),
    )
    for number, (alarms, when, delay, false_alarms, missed, what) in enumerate(draws):
        got = answer(list(alarms), when)
        right = (
            got[0] == delay or (math.isnan(got[0]) and math.isnan(delay)),
            got[1] == false_alarms,
            got[2] == missed,
        )
        wrong = [name for name, ok in zip(("delay", "false_alarms", "missed"), right, strict=True) if not ok]
        # what counts as a detection is what the exercise is about: early alarms, none at all, nothing to find
        with expect.defining() if number in (2, 5, 6) else contextlib.nullcontext():
            expect.true(not wrong, what, f"look at {' and '.join(wrong)}")


@score_a_detector.inputs
def _alarms_and_onsets(rng):
    yield [700, 1_040, 1_300], 1_000
    for alarms in ([], [0], [10], [9, 10, 11], [3, 4, 5], [11], [0, 10, 20, 30], [1_000_000]):
        for onset in (None, 0, 1, 10, 31, 1_000_000):
            yield list(alarms), onset
    for _ in range(20):
        alarms = sorted(rng.choice(3_000, int(rng.integers(0, 9)), replace=False).tolist())
        yield alarms, int(rng.integers(0, 3_000))


def _score(alarms, onset, *, early_counts=False, repeats_false=False, miss_is_zero=False, after_only=False):
    if onset is None:
        return (0.0 if miss_is_zero else math.nan), len(alarms), False
    hits = [a for a in alarms if (a > onset if after_only else a >= onset)]
    false = [a for a in alarms if a not in hits]
    if early_counts and alarms:
        return float(abs(alarms[0] - onset)), 0, False
    if not hits:
        return (0.0 if miss_is_zero else math.nan), len(false), not miss_is_zero
    return float(hits[0] - onset), len(false) + (len(hits) - 1 if repeats_false else 0), False


@score_a_detector.misconception(
    "you counted an alarm before the onset as a detection. Before the onset there is nothing to detect, so the alarm is "
    "false, even if it is only a little too early."
)
def lucky(alarms, onset):
    return _score(alarms, onset, early_counts=True)


@score_a_detector.misconception(
    "you counted alarms after the first detection as false. The change is still there, so they are true but not new. Leave them out of the count."
)
def repeats_are_false(alarms, onset):
    return _score(alarms, onset, repeats_false=True)


@score_a_detector.misconception(
    "you returned a delay of zero for a change that is never noticed. Then the best detector would be one that is switched off. "
    "Without a detection the delay is NaN."
)
def never_is_at_once(alarms, onset):
    return _score(alarms, onset, miss_is_zero=True)


@score_a_detector.misconception(
    "you treated an alarm in the row of the onset as too early. That row is the first one after the change, so no detector can "
    "be faster, and the delay is zero."
)
def not_in_the_row_itself(alarms, onset):
    return _score(alarms, onset, after_only=True)


@score_a_detector.misconception(
    "you counted something as missed although nothing had happened. Without an onset there is nothing to find, so `missed` "
    "is False.",
    when=lambda seen: all(
        call.output[2] is (call.given[1] is None or not any(a >= call.given[1] for a in call.given[0]))
        for call in seen.calls
    ),
)
def missed_nothing(alarms, onset):
    delay, false_alarms, missed = _score(alarms, onset)
    return delay, false_alarms, missed or onset is None


@score_a_detector.alternative
def with_arrays(alarms, onset):
    alarms = np.array(alarms, dtype=float)
    onset = np.inf if onset is None else onset
    hits = alarms[alarms >= onset]
    delay = hits.min() - onset if hits.size else np.nan
    return delay, int((alarms < onset).sum()), bool(np.isfinite(onset) and hits.size == 0)


@score_a_detector.alternative
def one_after_the_other(alarms, onset):
    delay, false_alarms = float("nan"), 0
    for alarm in alarms:
        if onset is None or alarm < onset:
            false_alarms += 1
        elif math.isnan(delay):
            delay = alarm - onset
    return delay, false_alarms, onset is not None and math.isnan(delay)


@score_a_detector.alternative
def with_the_library(alarms, onset):
    from mlprod_helpers.detectors import score_alarms

    found = score_alarms(alarms, [] if onset is None else [onset])
    return (found.delays[0] if len(found.delays) else float("nan")), found.false_alarms, found.missed > 0
