"""What one service does and within which limits: plain values, checked by pydantic, read from and written to JSON."""

import math
from pathlib import Path as File
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlprod_helpers.serving.headers import check_version
from mlprod_helpers.serving.settings import Count, Path, Port, Seconds, Settings, Share, Texts

Version = Annotated[str, AfterValidator(check_version)]
NotNegative = Annotated[float, Field(ge=0)]
LabelBound = Annotated[float, Field(ge=-1e15, le=1e15)]


class Limits(Settings):
    """What a service refuses, so that one sender cannot take it from all others.

    Parameters
    ----------
    body_bytes : int, the largest request body (413 above)
    rows : int, the most rows of one request (422 above)
    body_s : float, seconds in which the body must have come (408)
    timeout_s : float, seconds that a request may wait for its answer with `workers` >= 1 (504)
    queue : int, rows that may wait for the model with `workers` >= 1; more are shed (503 with Retry-After). A request of
        more rows than that is taken only when it need not wait.
    rate_per_s, burst : requests a second that one client, an address, may send for long, and at once (429); None: any number

    The head of a request has no limit in time, and connections have none in number: a proxy in front of a service that
    strangers reach has to set these.

    >>> Limits(rate_per_s=5, burst=10).timeout_s
    10.0
    """

    body_bytes: Count = 1_000_000
    rows: Count = 1_000
    body_s: Seconds = 5.0
    timeout_s: Seconds = 10.0
    queue: Count = 256
    rate_per_s: Seconds | None = None
    burst: Count = 20


class Batching(Settings):
    """How waiting rows become one call of the model (needs `workers` >= 1).

    Parameters
    ----------
    max_rows : int, the most rows that requests share in one call; one with more is a call of its own. 1: no batching
    wait_ms : float, how long the first row waits for company. 0 takes what is there, and never waits.
    """

    max_rows: Count = 1
    wait_ms: NotNegative = 0.0


class Faults(Settings):
    """What is wrong with a version, for lessons and tests; by default nothing.

    Who is hit is drawn from the request id alone, so the same requests are hit again in a second run.

    Parameters
    ----------
    error_rate : float, share of rows for which the model raises
    delay_ms : float, service time that is added to each call of the model
    delay_law : "constant" or "exponential" (then delay_ms is its mean)
    hang_rate : float, share of rows for which the model does not return for `hang_s` seconds
    hang_s : float
    pause_every_s, pause_s : float, the model stops for pause_s seconds at the first call after each pause_every_s
    bias : float, added to each numeric prediction
    start_s : float, how much longer loading takes
    random_state : int, of the draw
    """

    error_rate: Share = 0.0
    delay_ms: NotNegative = 0.0
    delay_law: Literal["constant", "exponential"] = "constant"
    hang_rate: Share = 0.0
    hang_s: NotNegative = 60.0
    pause_every_s: Seconds | None = None
    pause_s: NotNegative = 10.0
    bias: float = 0.0
    start_s: NotNegative = 0.0
    random_state: Annotated[int, Field(ge=0)] = 0


class ServiceConfig(Settings):
    """One service process.

    Parameters
    ----------
    model : str, the folder that `save_model` wrote
    version : str or None, the name of this version (None: as saved)
    log : str or None, the request log to append to; None: no log is kept
    port : int, on 127.0.0.1; 0: any free one
    workers : int. 0: the model runs in the event loop, fastest while it takes below a millisecond, but whatever holds it
        up holds up health checks too. 1 or more: that many threads take rows from one queue, first come, first served.
    batching, limits, faults : `Batching`, `Limits`, `Faults`, or mappings of their fields
    redact : sequence of str, features that are never written to the log; `"user_id"` is written as a keyed hash (the key is
        `MLPROD_LOG_KEY` in the environment). A router in front keeps a log of its own: `RouterConfig` has a `redact` too.
    label_low, label_high : numbers or None, the smallest and largest label that a model of numbers takes (422 outside; None:
        -1e15 and 1e15). Whoever may send labels teaches a model that learns: without a range, one of 1e15 outweighs all others.
    drain_s : float, seconds that a draining service still takes new requests, so that its router can notice
    drain_timeout_s : float, seconds that requests in flight then have
    lifetime_s : float, the service ends by itself after so many seconds
    parent_pid : int or None, the process whose end ends the service (None: the one that started it; 0: none)
    watch_stdin : bool, end when standard input closes; take `drain` from it

    >>> config = ServiceConfig(model="models/v1", limits={"queue": 10}, faults=Faults(error_rate=0.05))
    >>> config.limits.queue, ServiceConfig.model_validate_json(config.model_dump_json()) == config
    (10, True)
    """

    model: Path
    version: Version | None = None
    log: Path | None = None
    port: Port = 0
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    batching: Batching = Batching()
    limits: Limits = Limits()
    faults: Faults = Faults()
    redact: Texts = ()
    label_low: LabelBound | None = None
    label_high: LabelBound | None = None
    drain_s: NotNegative = 0.5
    drain_timeout_s: NotNegative = 10.0
    lifetime_s: Annotated[float, Field(ge=0.1, le=86_400)] = 3600.0
    parent_pid: Annotated[int, Field(ge=0)] | None = None
    watch_stdin: bool = False

    @model_validator(mode="after")
    def _fits_together(self):
        low, high = (-math.inf if self.label_low is None else self.label_low), self.label_high
        if high is not None and low > high:
            raise ValueError(f"label_low={low!r} is above label_high={high!r}.")
        if self.batching.max_rows > 1 and not self.workers:
            raise ValueError("Rows are batched while they wait for a worker: set workers to 1 or more.")
        return self

    @classmethod
    def read(cls, path):
        """The config in a JSON file."""
        return cls.model_validate_json(File(path).read_bytes())
