"""Exercise 0.3, Where do you stand?"""

from mlprod_helpers.lesson.contract import Choice, exercise

PLACEMENT = {"auc": "c", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}


@exercise(
    "0.3",
    "Where do you stand?",
    answers=("terms",),
    points=5,
    minutes=4,
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
        "Say what each term means in your own words first, without looking at the statements.",
        "Each term has a short refresher below the quiz. Open those you are unsure of, then answer.",
    ),
)
def placement(answer, rng, expect):
    """Five terms, eight statements."""
    expect.cases(answer, PLACEMENT)


@placement.misconception(
    "you read ROC-AUC as a share of rows. That would be accuracy, which needs a threshold. ROC-AUC looks at pairs, one row "
    "of each class, and says how often the positive row has the higher score. See the refresher on ROC-AUC."
)
def auc_is_accuracy():
    return PLACEMENT | {"auc": "b"}


@placement.misconception(
    "you read the p-value as the probability that nothing changed. A p-value cannot say that, because it assumes that "
    "nothing changed. It tells you how rare data like these would be in that case. See the refresher on the p-value."
)
def p_value_of_the_hypothesis():
    return PLACEMENT | {"p_value": "g"}


@placement.misconception(
    "you read p99 as the average of the slowest requests. But a p99 of 200 ms only says that 99 of 100 requests take at most "
    "200 ms. It does not say how long the slowest one takes. See the refresher on percentiles."
)
def mean_of_the_slowest():
    return PLACEMENT | {"p99": "e"}


@placement.misconception(
    "you took calibrated to mean accurate. A score is calibrated if it agrees with what happens: of the rows scored 0.8, 80% "
    "are positive. A score that always gives the base rate is calibrated but useless. See the refresher on calibration."
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
