"""What one service does and within which limits: plain values, checked by pydantic, read from and written to JSON."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlprod_helpers.serving.headers import check_version
from mlprod_helpers.serving.settings import Count, FilePath, Seconds, ServerSettings, Settings, Share

Version = Annotated[str, AfterValidator(check_version)]
NotNegative = Annotated[float, Field(ge=0)]
LabelBound = Annotated[float, Field(ge=-1e15, le=1e15)]


class Limits(Settings):
    """What a service refuses, so that one sender cannot take it from all others.

    The head of a request is not limited in time, and connections are not limited in number: that is the task of a proxy in front.

    Parameters
    ----------
    body_bytes : int, the largest request body (413 above)
    rows : int, the most rows of one request (422 above)
    body_s : float, seconds in which the body must arrive (408)
    timeout_s : float, seconds that a request may wait for its answer with `workers` >= 1 (504)
    queue : int, rows that may wait for the model with `workers` >= 1; more are refused (503 with Retry-After). A request of more
        rows than that is accepted only when it need not wait.
    rate_per_s, burst : requests a second that one client, an address, may send on average, and at once (429); None: any number

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


class Faults(Settings):
    """What is wrong with a version, for lessons and tests; by default nothing.

    Parameters
    ----------
    error_rate : float, share of rows for which the model raises, drawn from the request id alone
    delay_ms : float, service time that is added to each call of the model
    delay_law : "constant" or "exponential" (then delay_ms is its mean)
    pause_every_s, pause_s : float, the model stops for pause_s seconds in every pause_every_s after its first call
    bias : float, added to each numeric prediction
    start_s : float, how much longer loading takes
    skew : "zone", "unit" or None. The service computes its features by a copy of the training's function in which the hour is that of
        UTC, or the distance is in kilometers; only for a model that was saved with `prepare`.
    random_state : int, of the draw
    """

    error_rate: Share = 0.0
    delay_ms: NotNegative = 0.0
    delay_law: Literal["constant", "exponential"] = "constant"
    pause_every_s: Seconds | None = None
    pause_s: NotNegative = 10.0
    bias: float = 0.0
    start_s: NotNegative = 0.0
    skew: Literal["zone", "unit"] | None = None
    random_state: Annotated[int, Field(ge=0)] = 0


class ServiceConfig(ServerSettings):
    """One service process.

    Parameters
    ----------
    model : Path or str, the folder that `save_model` wrote
    version : str or None, the name of this version (None: as saved)
    workers : int. 0: the model runs in the event loop: fastest below a millisecond, but a slow call delays health checks too.
        1 or more: that many threads take rows from one queue, first come, first served.
    batch_rows : int, the most rows that waiting requests share in one call of the model; 1: no micro-batches
    limits, faults : `Limits`, `Faults`, or mappings of their fields
    label_low, label_high : numbers or None, the range of labels for a model of numbers (422 outside; None: -1e15 and 1e15). A
        model that learns needs one: a single label of 1e15 would outweigh all others.
    drain_s : float, seconds that a draining service still takes new requests, so that its router can notice
    drain_timeout_s : float, seconds that requests in flight then have
    log, redact, lifetime_s : see `ServerSettings`

    >>> config = ServiceConfig(model="models/v1", limits={"queue": 10}, faults=Faults(error_rate=0.05))
    >>> config.limits.queue, ServiceConfig.model_validate_json(config.model_dump_json()) == config
    (10, True)
    """

    model: FilePath
    version: Version | None = None
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    batch_rows: Count = 1
    limits: Limits = Limits()
    faults: Faults = Faults()
    label_low: LabelBound | None = None
    label_high: LabelBound | None = None
    drain_s: NotNegative = 0.5
    drain_timeout_s: NotNegative = 10.0

    @model_validator(mode="after")
    def _check_combination(self):
        low, high = (-math.inf if self.label_low is None else self.label_low), self.label_high
        if high is not None and low > high:
            raise ValueError(f"label_low={low!r} is above label_high={high!r}.")
        if self.batch_rows > 1 and not self.workers:
            raise ValueError("Rows are batched while they wait for a worker: set workers to 1 or more.")
        return self
