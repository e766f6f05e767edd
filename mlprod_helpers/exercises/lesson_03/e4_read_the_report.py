"""Exercise 3.4, Read the report."""

from mlprod_helpers.drift.services import BUSY
from mlprod_helpers.lesson.contract import Names, exercise

_DESERVE = ["wind", "taxi_queue"]


@exercise(
    "3.4",
    "Read the report",
    answers=("for_a_person",),
    points=2,
    minutes=4,
    edition=2,
    objective="3.b",
    kind=Names(options=tuple(BUSY)),
    hints=(
        "Ask three questions about each row. Is it more than chance? Is it large enough? Would the model notice?",
        "Read the column `worth`. If the model hardly uses a column, its drift does no harm.",
        "A column can drift even if its values look the same as before, because more of them are missing.",
    ),
)
def read_the_report(answer, rng, expect):
    """The columns of the report that deserve a person's time today."""
    can_wait, left_out = set(answer) - set(_DESERVE), set(_DESERVE) - set(answer)
    with expect.defining():
        expect.true(
            bool(answer) and not can_wait,
            "every column on the list is worth a person's time",
            f"{len(can_wait)} of {len(answer)} can wait" if answer else "the list is empty",
        )
    expect.true(
        not left_out, "every column that is worth a person's time is on the list", "something is left out"
    )


@read_the_report.misconception(
    "you chose every significant column. With 100,000 rows all twelve columns are significant, because a p-value says that something changed, not how much. Look at the effect and at `worth`.",
    when=lambda seen: set(seen.values["for_a_person"]) == set(BUSY),
)
def all_that_is_significant():
    return list(BUSY)


@read_the_report.misconception(
    "you chose the column with the largest effect. The model does not use that column, so it does no harm. A smaller effect in a column that the model needs does more harm. Look at `worth`.",
    when=lambda seen: (
        "fuel_price" in seen.values["for_a_person"] and "distance" not in seen.values["for_a_person"]
    ),
)
def largest_effect():
    return ["fuel_price"]


@read_the_report.misconception(
    "you left out a column that drifted and that the model uses. Its values are as before, but seven times as many are missing. "
    "The effect counts them, too. They are probably a fault, and somebody can repair it.",
    when=lambda seen: (
        "taxi_queue" not in seen.values["for_a_person"] and "wind" in seen.values["for_a_person"]
    ),
)
def without_the_missing_values():
    return ["wind"]


@read_the_report.misconception(
    "you chose the column that matters most to the model, although it hardly changed. It shifted by only 0.03 standard deviations.",
    when=lambda seen: (
        "distance" in seen.values["for_a_person"] and "fuel_price" not in seen.values["for_a_person"]
    ),
)
def most_important_column():
    return ["distance", "wind", "taxi_queue"]


@read_the_report.misconception(
    "you decided that no column deserves a look. Drift without consequences can wait. But look again at the column `worth` "
    'where the verdict is "drift".',
)
def none_at_all():
    return []


@read_the_report.alternative
def the_other_way_round():
    return tuple(reversed(_DESERVE))


@read_the_report.alternative
def by_rule():
    moved = {name for name, (size, _) in BUSY.items() if size >= 0.2 or name == "taxi_queue"}
    return [name for name in moved if BUSY[name][1] > 0]


read_the_report.survives(
    "solution: `['wind', 'taxi_queue']` -> `['taxi_queue', 'wind']`",
    "The columns are a set: the statement asks for no order.",
)
