"""Exercise 8.1, Brainstorm, then match."""

from mlprod_helpers.lesson.contract import Choice, exercise

TO_WATCH = (
    "accuracy",
    "cpu",
    "memory",
    "p99_latency",
    "error_rate",
    "missing_rows",
    "mean_length",
    "brightness",
    "out_of_range",
    "new_categories",
    "missing_outputs",
    "redo_rate",
    "class_share",
)

PROBLEMS = {
    "feed": "the weather feed stops: its columns arrive empty; labels come in six weeks",
    "lamp": "the lamp above a camera dies slowly: accuracy will fall, but later",
    "encoding": 'titles pass through a wrong encoding: "é" becomes two or more characters',
    "units": "a partner sends kilometers for miles: Honolulu is 8,019 from New York, was 4,983",
    "airline": "a new airline begins to fly: the model has never met its code",
    "empty": 'the service is idle and quick: it answers with status 200 and no content: ""',
    "leak": "each thousand requests leave 10 MB behind; in four days the process is killed",
    "database": "every answer still comes, and is right; one in fifty waits 3 s for the database",
    "search": "the results are not what people meant: they try other words, and nobody complains",
    "bag": 'after a release the model calls every image "bag", quickly and politely',
}

RIGHT_METRICS = {
    "feed": "missing_rows",
    "lamp": "brightness",
    "encoding": "mean_length",
    "units": "out_of_range",
    "airline": "new_categories",
    "empty": "missing_outputs",
    "leak": "memory",
    "database": "p99_latency",
    "search": "redo_rate",
    "bag": "class_share",
}


@exercise(
    "8.1",
    "Brainstorm, then match",
    answers=("watch",),
    points=4,
    minutes=8,
    core=True,
    objective="8.a",
    kind=Choice(PROBLEMS, options=TO_WATCH),
    hints=(
        "For each problem: what is the first thing in the log, or in the process, that differs from yesterday?",
        "Who needs labels is late. Who looks at the machine does not see what is in the answers. Who looks at the answers does not see what is in the inputs.",
        "Each of ten metrics fits exactly one problem; three of the thirteen fit none.",
    ),
)
def watch(answer, rng, expect):
    """Ten problems, and the metric that shows each first and most directly."""
    expect.cases(answer, RIGHT_METRICS)


@watch.misconception(
    "accuracy would tell. It needs labels, and those come in weeks or never: what is broken today shows today in the inputs and outputs themselves."
)
def accuracy_will_tell():
    return RIGHT_METRICS | {"feed": "accuracy", "lamp": "accuracy", "bag": "accuracy"}


@watch.misconception(
    "a healthy machine were a healthy service. It is fast, idle and useless: look at what it answers.",
)
def machine_is_fine():
    return RIGHT_METRICS | {"empty": "cpu", "bag": "cpu"}


@watch.misconception(
    "what fails reports itself. Status 200 only says that an answer came, not that something was in it.",
)
def errors_report_themselves():
    return RIGHT_METRICS | {"empty": "error_rate", "database": "error_rate"}


@watch.misconception(
    "a wrong value were a missing one. Every field is filled, and filled with a number that cannot be.",
)
def wrong_is_missing():
    return RIGHT_METRICS | {"units": "missing_rows"}


@watch.misconception(
    "people who are not served complain. Most just try again: that is what can be counted, without a single label.",
)
def people_complain():
    return RIGHT_METRICS | {"search": "accuracy"}


@watch.misconception(
    "what is slow were what is busy. A process that waits for somebody else uses no processor at all: ask how long the slowest answers take.",
)
def slow_is_busy():
    return RIGHT_METRICS | {"database": "cpu", "leak": "cpu"}


@watch.alternative
def from_the_last_to_the_first():
    return dict(reversed(RIGHT_METRICS.items()))


@watch.alternative
def metric_by_metric():
    shows = {metric: problem for problem, metric in RIGHT_METRICS.items()}
    return {shows[metric]: metric for metric in TO_WATCH if metric in shows}
