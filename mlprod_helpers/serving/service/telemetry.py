"""The service's metrics: software, input and output, in a registry of their own."""

from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
NUMBER_BUCKETS = (0, *(m * 10**e for e in range(5) for m in (1, 2, 5)))

disable_created_metrics()  # when a series was created, as one more series: Prometheus itself knows that


class Telemetry:
    """What is counted while the service answers.

    >>> from mlprod_helpers.serving import Feature
    >>> telemetry = Telemetry("v1", [Feature("distance")])
    >>> telemetry.observe_rows([{"distance": 1400.0}])
    >>> b'feature_value_sum{feature="distance"} 1400.0' in telemetry.text()
    True
    """

    def __init__(self, version, features):
        self.version, self.in_flight = version, 0
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        def metric(kind, name, about, labels=(), **settings):
            return kind(name, about, labels, registry=self.registry, **settings)

        self._requests = metric(
            Counter, "requests", "Requests to /predict, by version and HTTP status", ("version", "code")
        )
        self._seconds = metric(
            Histogram,
            "request_duration_seconds",
            "From the arrival of a request to /predict to its answer",
            ("version",),
            buckets=LATENCY_BUCKETS,
        ).labels(version)
        self._calls = metric(
            Summary, "model_call_seconds", "How long a call of the model took, without waiting for it"
        )
        self._labels = metric(Counter, "labels", "Requests to /label, by HTTP status", ("code",))
        self._errors = metric(
            Counter, "model_errors", "Calls in which the model raised, by error", ("error",)
        )
        self._unlogged = metric(Counter, "log_failures", "Rows that could not be written to the request log")
        metric(Gauge, "in_flight", "Requests being answered").set_function(lambda: self.in_flight)
        self._info = metric(Gauge, "model_info", "The model that is served", ("name", "version", "checksum"))
        self._ready = metric(Gauge, "ready", "1: takes requests; 0: starting or draining")
        self._rows = metric(Counter, "rows", "Valid rows that came in")
        values = metric(
            Summary,
            "feature_value",
            "Numbers that came in: their sum by their count is the mean",
            ("feature",),
        )
        self._refused = metric(
            Counter,
            "feature_refused",
            "Values that were refused; the name of an unknown field is left empty",
            ("feature", "reason"),
        )
        self._no_output = metric(Counter, "missing_outputs", "Rows for which the model gave no answer")
        about = "Answers: their sum by their count is the mean"
        self._predictions = metric(Histogram, "prediction", about, buckets=NUMBER_BUCKETS)
        # the series are kept, because finding one by its labels costs more than counting
        self._names = {one.name for one in features}
        self._values = {one.name: values.labels(one.name) for one in features if one.kind != "category"}
        self._codes = {}

    def describe(self, card):
        """Say which model is served."""
        self._info.labels(card.name, self.version, card.checksum).set(1)

    def ready(self, is_ready):
        """Say whether the service takes requests."""
        self._ready.set(is_ready)

    def answered(self, code, seconds):
        """Count a request to /predict."""
        if code not in self._codes:
            self._codes[code] = self._requests.labels(self.version, str(code))
        self._codes[code].inc()
        self._seconds.observe(seconds)

    def timed(self, call):
        """The same call of the model, with its duration observed: the service time of the queue in front of it."""

        def observed(rows, ids):
            begin = perf_counter()
            try:
                return call(rows, ids)
            finally:
                self._calls.observe(perf_counter() - begin)

        return observed

    def labeled(self, code):
        """Count a request to /label."""
        self._labels.labels(str(code)).inc()

    def failed(self, error):
        """Count a call in which the model raised."""
        self._errors.labels(type(error).__name__).inc()

    def unlogged(self):
        """Count a row that the log did not take."""
        self._unlogged.inc()

    def observe_rows(self, rows):
        """Count valid rows (dicts) and their values."""
        self._rows.inc(len(rows))
        for row in rows:
            for name, values in self._values.items():
                values.observe(row[name])

    def observe_problems(self, problems):
        """Count what was wrong with a body: (reason, where, what) of `refusals.explain`."""
        for reason, where, _ in problems:
            name = where.split(".", 1 if where.startswith("features.") else 2)[-1]
            self._refused.labels(name if name in self._names else "", reason).inc()

    def observe_answers(self, answers):
        """Count answers of a `Predictor`."""
        for prediction in answers:
            if prediction is None:
                self._no_output.inc()
            else:
                self._predictions.observe(prediction)

    def text(self):
        """All metrics in Prometheus' text format, bytes; version 0.0.4."""
        return generate_latest(self.registry)
