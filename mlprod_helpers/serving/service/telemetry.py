"""The service's metrics: software, input and output, in a registry of their own."""

from bisect import bisect_left
from pathlib import Path
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
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SCORE_BUCKETS = tuple(i / 10 for i in range(1, 11))
NUMBER_BUCKETS = (0, *(m * 10**e for e in range(5) for m in (1, 2, 5)))

disable_created_metrics()  # when a series was born, as one more series: Prometheus itself knows that


class Telemetry:
    """What is counted while the service answers.

    Requests and their latency are prometheus-client's own metrics; figures of each row are plain sums, turned into metrics
    when somebody asks for them, because that is cheaper than a lock for each feature of each row.

    >>> from mlprod_helpers.serving import Feature
    >>> telemetry = Telemetry("v1", [Feature("distance")])
    >>> telemetry.took_in([{"distance": 1400.0}])
    >>> b'feature_value_sum{feature="distance"} 1400.0' in telemetry.text()
    True
    """

    def __init__(self, version, features, *, classes=None):
        self.version, self.in_flight = version, 0
        self.registry = CollectorRegistry()
        of = {"registry": self.registry}
        self._requests = Counter(
            "requests", "Requests to /predict, by version and HTTP status", ("version", "code"), **of
        )
        self._seconds = Histogram(
            "request_duration_seconds",
            "From the arrival of a request to /predict to its answer",
            ("version",),
            buckets=LATENCY_BUCKETS,
            **of,
        ).labels(version)
        self._calls = Summary(
            "model_call_seconds", "How long a call of the model took, without waiting for it", **of
        )
        self._labels = Counter("labels", "Requests to /label, by HTTP status", ("code",), **of)
        self._errors = Counter("model_errors", "Calls in which the model raised, by error", ("error",), **of)
        self._unlogged = Counter("log_failures", "Rows that could not be written to the request log", **of)
        Gauge("in_flight", "Requests being answered", **of).set_function(lambda: self.in_flight)
        self._info = Gauge("model_info", "The model that is served", ("name", "version", "checksum"), **of)
        self._ready = Gauge("ready", "1: takes requests; 0: starting or draining", **of)
        self._kept = {}
        self.registry.register(_Process()) if not Path("/proc/self/stat").exists() else ProcessCollector(**of)
        self._rows = _Rows(features, classes)
        self.registry.register(self._rows)

    def describe(self, card):
        """Say which model is served."""
        self._info.labels(card.name, self.version, card.checksum).set(1)

    def ready(self, is_ready):
        """Say whether the service takes requests."""
        self._ready.set(is_ready)

    def answered(self, code, seconds):
        """Count a request to /predict."""
        kept = self._kept.get(code)
        if kept is None:
            kept = self._kept[code] = self._requests.labels(self.version, str(code))
        kept.inc()
        self._seconds.observe(seconds)

    def timed(self, call):
        """The same call of the model, with its duration observed: the service time of the queue in front of it."""

        observe = self._calls.observe

        def observed(rows, ids):
            begin = perf_counter()
            try:
                return call(rows, ids)
            finally:
                observe(perf_counter() - begin)

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

    def took_in(self, rows):
        """Count rows (dicts) that were valid."""
        self._rows.took_in(rows)

    def refused(self, problems):
        """Count what was wrong with a body: (reason, where, what) of `refusals.explain`."""
        self._rows.refused(problems)

    def gave_out(self, answers):
        """Count answers of a `Predictor`."""
        self._rows.gave_out(answers)

    def text(self):
        """All metrics in Prometheus' text format, bytes; version 0.0.4."""
        return generate_latest(self.registry)


class _Rows:
    """Plain sums over rows, and a collector that turns them into metrics."""

    def __init__(self, features, classes):
        self._names = {one.name for one in features}
        self._sums = {one.name: 0.0 for one in features if one.kind != "category"}
        self._missing = {one.name: 0 for one in features if not one.required}
        self._numeric = list(self._sums)
        self._rows = self._with_missing = self._none = 0
        self._refused = {}
        self._classes = None if classes is None else dict.fromkeys(map(str, classes), 0)
        self._numbers, self._scores = _Buckets(NUMBER_BUCKETS), _Buckets(SCORE_BUCKETS)

    def took_in(self, rows):
        self._rows += len(rows)
        sums = self._sums
        for row in rows:
            for name in self._numeric:
                value = row.get(name)
                if value is not None:
                    sums[name] += value
            if self._missing:
                absent = [name for name in self._missing if row.get(name) is None]
                for name in absent:
                    self._missing[name] += 1
                self._with_missing += bool(absent)

    def refused(self, problems):
        for kind, where, _ in problems:
            name = where.split(".", 1 if where.startswith("features.") else 2)[-1]
            key = (name if name in self._names else "", kind)
            self._refused[key] = self._refused.get(key, 0) + 1

    def gave_out(self, answers):
        for answer in answers:
            if type(answer) is tuple:
                answer, score = answer
                if score is not None:
                    self._scores.add(score)
            if answer is None:
                self._none += 1
            elif self._classes is not None:
                self._classes[str(answer)] = self._classes.get(str(answer), 0) + 1
            else:
                self._numbers.add(answer)

    def collect(self):
        yield _counter("rows", "Valid rows that came in", (), [((), self._rows)])
        value = SummaryMetricFamily(
            "feature_value", "Numbers that came in: their sum by their count is the mean", labels=("feature",)
        )
        for name, total in self._sums.items():
            value.add_metric((name,), self._rows - self._missing.get(name, 0), total)
        yield value
        about = "Valid rows that came without some feature"
        yield _counter("rows_with_missing", about, (), [((), self._with_missing)])
        of = ("feature",)
        about = "Rows that came without this feature"
        yield _counter(
            "feature_missing", about, of, [((name,), count) for name, count in self._missing.items()]
        )
        about = "Values that were refused; of a field that is not known the name is empty"
        yield _counter("feature_refused", about, ("feature", "reason"), self._refused.items())
        yield _counter("missing_outputs", "Rows for which the model gave no answer", (), [((), self._none)])
        if self._classes is not None:
            about = "Answers, by class"
            yield _counter(
                "predictions", about, ("prediction",), [((k,), n) for k, n in self._classes.items()]
            )
            yield self._scores.family("score", "Scores of the answers")
        else:
            yield self._numbers.family("prediction", "Answers: their sum by their count is the mean")


class _Buckets:
    def __init__(self, edges):
        self._edges, self._counts, self._sum = edges, [0] * (len(edges) + 1), 0.0

    def add(self, value):
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def family(self, name, about):
        cumulative, buckets = 0, []
        for edge, count in zip((*self._edges, "+Inf"), self._counts, strict=True):
            cumulative += count
            buckets.append((edge if edge == "+Inf" else repr(float(edge)), cumulative))
        return HistogramMetricFamily(name, about, buckets=buckets, sum_value=self._sum)


def _counter(name, about, labels, values):
    family = CounterMetricFamily(name, about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


class _Process:
    """Memory and CPU of this process where the system has no /proc, under the names that ProcessCollector uses."""

    def collect(self):
        import psutil

        me = psutil.Process()
        times = me.cpu_times()
        about = "Resident memory size in bytes."
        yield GaugeMetricFamily("process_resident_memory_bytes", about, value=me.memory_info().rss)
        about = "Total user and system CPU time spent in seconds."
        yield _counter("process_cpu_seconds", about, (), [((), times.user + times.system)])
