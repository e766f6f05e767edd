"""The service's metrics: software, input and output, in a registry of their own."""

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

    Counters and gauges that the service sets itself are attributes: `labels`, `errors`, `unlogged`, `ready`.
    """

    def __init__(self, version, card):
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
        self.labels = metric(Counter, "labels", "Requests to /label, by HTTP status", ("code",))
        self.errors = metric(Counter, "model_errors", "Calls in which the model raised, by error", ("error",))
        self.unlogged = metric(Counter, "log_failures", "Rows that could not be written to the request log")
        metric(Gauge, "in_flight", "Requests being answered").set_function(lambda: self.in_flight)
        info = metric(Gauge, "model_info", "The model that is served", ("version", "checksum"))
        info.labels(version, card.checksum).set(1)
        self.ready = metric(Gauge, "ready", "1: takes requests; 0: starting or draining")
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
        self._names = {one.name for one in (*card.features, *card.fields)}
        numbers = [one.name for one in card.features if one.kind != "category"]
        self._values = {name: values.labels(name) for name in numbers}

    def answered(self, code, seconds):
        """Count a request to /predict."""
        self._requests.labels(self.version, code).inc()
        self._seconds.observe(seconds)

    def timed(self, call):
        """The same call of the model, with its duration observed: the service time of the queue in front of it."""

        def observed(rows, ids):
            with self._calls.time():
                return call(rows, ids)

        return observed

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
