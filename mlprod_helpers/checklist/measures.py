"""What a claim can be about, and in which units: so that 200 ms and 0.2 s are the same promise."""

from typing import NamedTuple

_UNITS = {
    "time": {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0},
    "bytes": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "share": {"share": 1.0, "%": 0.01},
    "rate": {"QPS": 1.0, "1/s": 1.0, "requests/s": 1.0, "1/min": 1 / 60, "1/h": 1 / 3600, "1/d": 1 / 86_400},
}


class Measure(NamedTuple):
    """What a metric says, its unit here, and whether `low` or `high` figures are the good ones."""

    meaning: str
    unit: str
    better: str


METRICS = {
    "p50": Measure("half of the answers come within", "s", "low"),
    "p90": Measure("90% of the answers come within", "s", "low"),
    "p95": Measure("95% of the answers come within", "s", "low"),
    "p99": Measure("99% of the answers come within", "s", "low"),
    "p99.9": Measure("99.9% of the answers come within", "s", "low"),
    "mean_latency": Measure("mean time from arrival to answer", "s", "low"),
    "mean_wait": Measure("mean time in the queue", "s", "low"),
    "error_rate": Measure("requests that the service failed (status 5xx)", "share", "low"),
    "utilization": Measure("server time spent working", "share", "low"),
    "throughput": Measure("answers a second when all servers are busy", "QPS", "high"),
    "job_time": Measure("time of one batch job", "s", "low"),
    "seconds_per_row": Measure("time of one row in a batch", "s", "low"),
    "model_bytes": Measure("size of the model", "B", "low"),
    "payload_bytes": Measure("size of a request and its answer", "B", "low"),
    "peak_memory": Measure("memory at the peak", "B", "low"),
    "download_time": Measure("time to load the model onto a device", "s", "low"),
    "cost_per_month": Measure("cost of a month", "", "low"),
    "leaks": Measure("traces of a person found", "", "low"),
    "k_anonymity": Measure("people in the smallest group", "", "high"),
    "segment_error": Measure("mean error of the worst segment", "", "low"),
    "refused": Measure("wrong inputs that are refused", "share", "high"),
}
PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")
MEMORY = ("peak_memory", "model_bytes")
# what a simulated run can say, so what a replay can check
SIMULATED = (*PERCENTILES, "mean_latency", "mean_wait", "utilization", "throughput")


def dimension(unit):
    """What a unit measures: "time", "bytes", "share", "rate", or the unit itself when it is of no known kind.

    >>> dimension("ms"), dimension("EUR")
    ('time', 'EUR')
    """
    return next((name for name, units in _UNITS.items() if unit in units), unit)


def convert(value, unit, to):
    """A value in another unit of the same kind (see `_UNITS`); any other unit converts to itself only.

    >>> convert(0.25, "s", "ms"), convert(3, "%", "share"), convert(7, "EUR", "EUR")
    (250.0, 0.03, 7.0)
    >>> convert(1, "s", "MB")
    Traceback (most recent call last):
    ValueError: 's' and 'MB' cannot be compared. State figure and threshold in units of one kind.
    """
    if unit == to:
        return float(value)
    if dimension(unit) != dimension(to):
        raise ValueError(
            f"{unit!r} and {to!r} cannot be compared. State figure and threshold in units of one kind."
        )
    factors = _UNITS[dimension(unit)]
    # rounded: 0.3 s is 300 ms, not 299.99999999999994
    return float(f"{float(value) * factors[unit] / factors[to]:.12g}")


def in_words(value, unit):
    """A figure with its unit, for a sentence.

    >>> in_words(0.21234, "s"), in_words(0.034, "share"), in_words(1234567, "B")
    ('0.212 s', '3.4%', '1.23 MB')
    """
    if unit == "share":
        value, unit = 100 * value, "%"
    if unit == "B":
        unit = next((name for name in ("GB", "MB", "kB") if abs(value) >= _UNITS["bytes"][name]), "B")
        value = convert(value, "B", unit)
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number}%" if unit == "%" else f"{number} {unit}".strip()
