"""Exercise 1.5, Read the onset."""

import pandas as pd

from mlprod_helpers.lesson.contract import Mapping, Number, exercise
from mlprod_helpers.streams import draw_drift

N_SEALED, LATE = 20_000, 2_500

SEALED = {"A": ("sudden", 9, None), "B": ("gradual", 7, None), "C": ("sudden", 2, LATE)}

SLACK = {"A": 500, "B": 1000, "C": 500}


def sealed_drift(name):
    """The drift of the sealed stream "A", "B" or "C"."""
    pattern, seed, _ = SEALED[name]
    return draw_drift(N_SEALED, seed, kinds=["concept"], patterns=[pattern])


@exercise(
    "1.5",
    "Read the onset",
    answers=("onsets",),
    points=3,
    minutes=4,
    objective="1.c",
    edition=2,
    kind=Mapping(keys=("A", "B", "C"), values=Number(low=0, high=N_SEALED), in_order=True),
    hints=(
        "The onset is the first row that can belong to the new regime, not the row at which you are sure.",
        "The error rate of B climbs for a while. Where does it leave its old level?",
        "The horizontal axis of C is the tick at which the label arrived. To which row does that label belong?",
    ),
)
def onsets(answer, rng, expect):
    """`onsets`: the onset of three sealed streams, read from figures; the seal gives the truth."""
    for name, slack in SLACK.items():
        start = sealed_drift(name).start
        what = f"stream {name}: within {slack:,} rows of its onset"
        if name == "A":
            expect.within(answer[name], start - slack, start + slack, what)
            continue
        with expect.defining():
            expect.within(answer[name], start - slack, start + slack, what)


@onsets.acceptable
def _as_near_as_asked(answer, rng):
    """Whether each onset is as near to the sealed one as the statement asks."""
    read = dict(zip("ABC", answer, strict=True)) if isinstance(answer, list | tuple) else answer
    return all(abs(read[name] - sealed_drift(name).start) <= slack for name, slack in SLACK.items())


def _off(seen):
    """How far each answer is from the truth, A, B, C."""
    return [float(got) - float(want) for _, _, got, want in seen.verdicts]


def _starts():
    return {name: sealed_drift(name).start for name in SEALED}


@onsets.misconception(
    "you read the onset of C straight from the axis. But each error is plotted at the tick when its label arrived. The row "
    "itself came earlier, by the label delay. Subtract the delay.",
    when=lambda seen: seen.verdicts[0][1] and abs(_off(seen)[2] - LATE) <= 600,
)
def delay_forgotten():
    return _starts() | {"C": _starts()["C"] + LATE}


@onsets.misconception(
    "you added the delay to C. Labels arrive after their rows, so you have to go back in time. Subtract the delay.",
    when=lambda seen: seen.verdicts[0][1] and abs(_off(seen)[2] - 2 * LATE) <= 600,
)
def delay_on_the_wrong_side():
    return _starts() | {"C": _starts()["C"] + 2 * LATE}


@onsets.misconception(
    "you put the onset of B well after the climb begins. There, many rows are new already. Look for the place where the "
    "error rate leaves its old level.",
    when=lambda seen: (
        seen.verdicts[0][1] and seen.verdicts[2][1] and 1000 < _off(seen)[1] < sealed_drift("B").width + 1000
    ),
)
def middle_of_the_ramp():
    return _starts() | {"B": _starts()["B"] + sealed_drift("B").width // 2}


@onsets.misconception(
    "you gave the moment at which the new level is certain. This is when you notice the drift, which began earlier. The "
    "difference is the detection delay. Look for the first step away from the old level.",
    when=lambda seen: all(500 < off < 2200 for off in (_off(seen)[0], _off(seen)[2])) and _off(seen)[1] > 500,
)
def when_noticed():
    return {name: start + 1200 for name, start in _starts().items()}


@onsets.misconception(
    "you gave the onsets in thousands, as the axis counts them. The exercise asks for rows: a 3 on the axis stands for 3,000.",
    when=lambda seen: all(abs(1000 * got - want) <= 3000 for _, _, got, want in seen.verdicts),
)
def in_thousands():
    return {name: start / 1000 for name, start in _starts().items()}


@onsets.alternative
def as_seen_in_hundreds():
    return {name: round(start, -2) for name, start in _starts().items()}


@onsets.alternative
def as_a_series():
    return pd.Series(_starts(), dtype=float) + 200.0


@onsets.alternative
def as_a_list():
    return [round(start / 250) * 250 for start in _starts().values()]
