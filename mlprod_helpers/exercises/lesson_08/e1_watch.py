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
    "feed": "the weather feed stops, so its columns arrive empty; labels arrive in six weeks",
    "lamp": "the lamp above a camera slowly gets darker: accuracy will fall, but only later",
    "encoding": 'titles are read with the wrong encoding: "é" becomes two or more characters',
    "units": "a partner now sends kilometers instead of miles: New York to Honolulu was 4,983 and is now 8,019",
    "airline": "a new airline begins to fly, and the model has never seen its code",
    "empty": 'the service is idle and fast: it answers with status 200 and no content: ""',
    "leak": "each thousand requests use another 10 MB; after four days the process is killed",
    "database": "every answer still arrives and is right, but one in fifty waits 3 s for the database",
    "search": "the results are not what people were looking for; they try other words, and nobody complains",
    "bag": 'after a release the model calls every image "bag", quickly and without an error',
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
    objective="8.a",
    kind=Choice(PROBLEMS, options=TO_WATCH),
    hints=(
        "For each problem, ask what changes first, in the request log or in the running process.",
        "A metric that needs labels reacts late. Metrics of the machine say nothing about the answers, and metrics of the answers say nothing about the inputs.",
        "Ten of the metrics fit exactly one problem each, and three fit none. Cross out what you have used.",
    ),
)
def watch(answer, rng, expect):
    """Ten problems, and the metric that shows each first and most directly."""
    expect.cases(answer, RIGHT_METRICS)


@watch.misconception(
    "you waited for accuracy. It needs labels, and they arrive in weeks or never. These problems show much earlier in the inputs or outputs, so look there."
)
def accuracy_will_tell():
    return RIGHT_METRICS | {"feed": "accuracy", "lamp": "accuracy", "bag": "accuracy"}


@watch.misconception(
    "you treated a healthy machine as a healthy service. Nothing is wrong with the machine here, but the answers are useless. Look at a metric of the answers.",
)
def machine_is_fine():
    return RIGHT_METRICS | {"empty": "cpu", "bag": "cpu"}


@watch.misconception(
    "you expected every failure to report itself. Status 200 only says that there was an answer, not that it was useful or fast. Look at what the answer contains, or how long it took.",
)
def errors_report_themselves():
    return RIGHT_METRICS | {"empty": "error_rate", "database": "error_rate"}


@watch.misconception(
    "you treated a wrong value as a missing one. Here every field has a value, but the number is impossible. Look for a metric that checks the range.",
)
def wrong_is_missing():
    return RIGHT_METRICS | {"units": "missing_rows"}


@watch.misconception(
    "you expected users to complain or labels to arrive. Most users just try again. Look for a metric that counts this without any label.",
)
def people_complain():
    return RIGHT_METRICS | {"search": "accuracy"}


@watch.misconception(
    "you used `cpu` for a slow answer or a memory leak. A process that waits for a database hardly uses the processor, and a leak fills the memory. Choose the metric that measures the problem itself.",
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
