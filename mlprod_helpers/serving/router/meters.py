"""The router's own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Meters:
    """What is counted about requests, tries, copies and plans, in a registry of its own."""

    def __init__(self):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def metric(kind, name, about, labels=(), **settings):
            return kind(f"router_{name}", about, labels, registry=registry, **settings)

        about = "Requests answered, by version and code"
        self._requests = metric(Counter, "requests", about, ("version", "code"))
        about = "From arrival to answer"
        self._seconds = metric(Histogram, "request_duration_seconds", about, ("version",), buckets=BUCKETS)
        self.retries = metric(
            Counter, "retries", "Tries made again, by the version that failed", ("version",)
        )
        self.copies = metric(Counter, "copies", "Shadow copies, by what became of them", ("outcome",))
        self.swaps = metric(Counter, "plan_swaps", "Plans taken over")
        self.unlogged = metric(Counter, "unlogged", "Rows that the log refused")
        self._weight = metric(Gauge, "weight_percent", "Percent of the users, by version", ("version",))
        self._in_flight = metric(Gauge, "in_flight", "Requests being answered, by version", ("version",))
        self._series = {}  # kept, because finding them by their labels costs more than counting

    def answered(self, version, code, seconds):
        """Count an answer."""
        series = self._series.get((version, code))
        if series is None:
            series = self._requests.labels(version, str(code)), self._seconds.labels(version)
            self._series[version, code] = series
        series[0].inc()
        series[1].observe(seconds)

    def show(self, plan, in_flight):
        """Show the weights of a plan, and how many requests each of its versions has in work."""
        self._weight.clear()  # a version that is gone has no weight
        for version in plan.upstreams:
            weight = {plan.canary: plan.weight, plan.stable: 100 - plan.weight}.get(version, 0)
            self._weight.labels(version).set(weight)
            self._in_flight.labels(version).set_function(lambda version=version: in_flight[version])
