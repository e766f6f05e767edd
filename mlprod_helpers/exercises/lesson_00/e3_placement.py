"""Exercise 0.3, Where do you stand?"""

from mlprod_helpers.lesson.contract import Choice, exercise

PLACEMENT = {"auc": "c", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}


@exercise(
    "0.3",
    "Where do you stand?",
    answers=("terms",),
    points=5,
    minutes=4,
    core=True,
    objective="0.d",
    kind=Choice(
        {
            "auc": "the ROC-AUC is 0.8",
            "p_value": "the p-value is 0.03",
            "p99": "the p99 of the latency is 200 ms",
            "calibration": "the scores are calibrated",
            "out_of_fold": "the predictions are out-of-fold",
        },
        options=tuple("abcdefgh"),
    ),
    hints=(
        "Say each term in plain words first, without looking at the statements.",
        "Each term has a five-line refresher below the quiz. Open the ones you are unsure of, then answer.",
    ),
)
def placement(answer, rng, expect):
    """Five terms, eight statements."""
    expect.cases(answer, PLACEMENT)


@placement.misconception(
    "ROC-AUC were a share of rows. It never sets a threshold: it takes pairs, one row of each class, and asks how often the "
    "right one has the higher score. Refresher: ROC-AUC."
)
def auc_is_accuracy():
    return PLACEMENT | {"auc": "b"}


@placement.misconception(
    "the p-value were the probability that nothing changed. It begins from the assumption that nothing changed and asks "
    "how rare data like these would then be. Refresher: p-value."
)
def p_value_of_the_hypothesis():
    return PLACEMENT | {"p_value": "g"}


@placement.misconception(
    "a percentile were an average. p99 is one line: 99 of 100 requests stay below it, and it says nothing of how far above "
    "the others are. Refresher: percentile."
)
def mean_of_the_slowest():
    return PLACEMENT | {"p99": "e"}


@placement.misconception(
    "calibrated meant accurate. A calibrated score keeps its word: among rows scored 0.8, 80 % are positive. A score that "
    "always says the base rate is calibrated and useless. Refresher: calibration."
)
def calibrated_is_accurate():
    return PLACEMENT | {"calibration": "b"}


@placement.alternative
def again():
    return dict(reversed(PLACEMENT.items()))


@placement.alternative
def from_pairs():
    return {
        term: letter
        for letter, term in zip("adcfh", ("p99", "out_of_fold", "auc", "p_value", "calibration"), strict=True)
    }
