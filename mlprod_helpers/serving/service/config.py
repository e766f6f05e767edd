"""What one service does and within which limits: plain values, read from and written to JSON."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

from mlprod_helpers.files import write_json
from mlprod_helpers.names import nearest_name


class Values:
    """Reading and writing of a dataclass; an unknown name is an error that says which one was meant."""

    @classmethod
    def from_dict(cls, values):
        """Make it of a mapping, as `to_dict` writes it."""
        names = {f.name: f for f in fields(cls)}
        if not isinstance(values, dict):
            raise ValueError(f"{cls.__name__} is a mapping of names to values, not {type(values).__name__}.")
        for name in values:
            if name not in names:
                raise ValueError(f"{name!r} is no field of {cls.__name__}: {nearest_name(name, names)}.")
        if missing := [n for n, f in names.items() if _required(f) and n not in values]:
            raise ValueError(f"{cls.__name__} needs {missing[0]!r}.")
        return cls(**values)

    def to_dict(self):
        """Plain values, ready for JSON."""
        return asdict(self)


def check_number(owner, name, low, high=math.inf, *, none=False, whole=False):
    """Refuse a field that is no number within its bounds."""
    value = getattr(owner, name)
    if value is None and none:
        return
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        upper = "" if math.isinf(high) else f" to {high:g}"
        raise ValueError(f"{name}={value!r} must be {what} from {low:g}{upper}.")


def check_flags(owner, *names):
    """Refuse a field that is not True or False: "no", a text, would count as yes."""
    for name in names:
        if not isinstance(value := getattr(owner, name), bool):
            raise ValueError(f"{name}={value!r} must be True or False.")


def keep_texts(owner, name):
    """Make a field of texts a tuple; a single text is refused, because it would be taken letter by letter."""
    value = getattr(owner, name)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name}={value!r} must be a list of texts.")
    object.__setattr__(owner, name, tuple(value))


def _required(one):
    return one.default is MISSING and one.default_factory is MISSING


@dataclass(frozen=True, kw_only=True)
class Limits(Values):
    """What a service refuses, so that one sender cannot take it from all others.

    Parameters
    ----------
    body_bytes : int, the largest request body (413 above)
    rows : int, the most rows of one request (422 above)
    body_s : float, seconds in which the body must have come (408)
    timeout_s : float, seconds that a request may wait for its answer with `workers` >= 1 (504)
    queue : int, rows that may wait for the model with `workers` >= 1; more are shed (503 with Retry-After). A request of
        more rows than that is taken only when it need not wait.
    rate_per_s, burst : requests a second that one client may send for long, and at once (429); None: any number
    clients : int, how many clients' rates are remembered
    trust_forwarded : bool. True: the client is the last name in `X-Forwarded-For`, set by the router in front; False: the
        address that connects.

    The head of a request has no limit in time, and connections have none in number: a proxy in front of a service that
    strangers reach has to set these.

    >>> Limits(rate_per_s=5, burst=10).timeout_s
    10.0
    """

    body_bytes: int = 1_000_000
    rows: int = 1_000
    body_s: float = 5.0
    timeout_s: float = 10.0
    queue: int = 256
    rate_per_s: float | None = None
    burst: int = 20
    clients: int = 10_000
    trust_forwarded: bool = False

    def __post_init__(self):
        for name in ("body_bytes", "rows", "queue", "burst", "clients"):
            check_number(self, name, 1, whole=True)
        for name in ("body_s", "timeout_s"):
            check_number(self, name, 0.001)
        check_number(self, "rate_per_s", 0.001, none=True)
        check_flags(self, "trust_forwarded")


@dataclass(frozen=True, kw_only=True)
class Batching(Values):
    """How waiting rows become one call of the model (needs `workers` >= 1).

    Parameters
    ----------
    max_rows : int, the most rows that requests share in one call; one with more is a call of its own. 1: no batching
    wait_ms : float, how long the first row waits for company. 0 takes what is there, and never waits.
    """

    max_rows: int = 1
    wait_ms: float = 0.0

    def __post_init__(self):
        check_number(self, "max_rows", 1, whole=True)
        check_number(self, "wait_ms", 0)


@dataclass(frozen=True, kw_only=True)
class Faults(Values):
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
    leak_kb : float, memory that each row leaves behind
    leak_limit_mb : float, where the leak stops: a lesson, not an attack on the learner's machine
    bias : float, added to each numeric prediction
    start_s : float, how much longer loading takes
    random_state : int
    """

    error_rate: float = 0.0
    delay_ms: float = 0.0
    delay_law: str = "constant"
    hang_rate: float = 0.0
    hang_s: float = 60.0
    pause_every_s: float | None = None
    pause_s: float = 10.0
    leak_kb: float = 0.0
    leak_limit_mb: float = 200.0
    bias: float = 0.0
    start_s: float = 0.0
    random_state: int = 0

    def __post_init__(self):
        for name in ("error_rate", "hang_rate"):
            check_number(self, name, 0, 1)
        for name in ("delay_ms", "hang_s", "pause_s", "leak_kb", "start_s"):
            check_number(self, name, 0)
        check_number(self, "pause_every_s", 0.001, none=True)
        check_number(self, "leak_limit_mb", 0, 1000)
        check_number(self, "bias", -math.inf)
        check_number(self, "random_state", 0, whole=True)
        if self.delay_law not in ("constant", "exponential"):
            hint = nearest_name(self.delay_law, ("constant", "exponential"))
            raise ValueError(f"delay_law={self.delay_law!r}: {hint}.")


@dataclass(frozen=True, kw_only=True)
class ServiceConfig(Values):
    """One service process.

    Parameters
    ----------
    model : str, the folder that `save_model` wrote
    version : str or None, the name of this version (None: as saved)
    log : str or None, the request log to append to; None: standard output says nothing, no log is kept
    port : int, on 127.0.0.1; 0: any free one
    ready_file : str or None, where to write port and pid once the service listens
    workers : int. 0: the model runs in the event loop, fastest while it takes below a millisecond, but whatever holds it
        up holds up health checks too. 1 or more: that many threads take rows from one queue, first come, first served.
    batching, limits, faults : `Batching`, `Limits`, `Faults`, or mappings of their fields
    features_share : float, the share of requests whose features are written to the log (drawn by request id); the
        row itself is always written
    redact : sequence of str, features that are never written; `"user_id"` is written as a keyed hash (the key is
        `MLPROD_LOG_KEY` in the environment). A router in front keeps a log of its own: `RouterConfig` has a `redact` too.
    learn : bool, a `HybridModel` learns from labels that come in
    label_low, label_high : numbers or None, the smallest and largest label that a model of numbers takes (422 outside; None:
        -1e15 and 1e15). Whoever may send labels teaches a model that learns: without a range, one of 1e15 outweighs all others.
    remember : int, rows whose features are kept for labels that come late
    drain_s : float, seconds that a draining service still takes new requests, so that its router can notice
    drain_timeout_s : float, seconds that requests in flight then have
    lifetime_s : float, the service ends by itself after so many seconds
    parent_pid : int or None, the process whose end ends the service (None: the one that started it; 0: none)
    watch_stdin : bool, end when standard input closes; take `drain` from it

    >>> config = ServiceConfig(model="models/v1", limits={"queue": 10}, faults=Faults(error_rate=0.05))
    >>> config.limits.queue, ServiceConfig.from_dict(config.to_dict()) == config
    (10, True)
    """

    model: str
    version: str | None = None
    log: str | None = None
    port: int = 0
    ready_file: str | None = None
    workers: int = 0
    batching: Batching = field(default_factory=Batching)
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    features_share: float = 1.0
    redact: tuple = ()
    learn: bool = True
    label_low: float | None = None
    label_high: float | None = None
    remember: int = 100_000
    drain_s: float = 0.5
    drain_timeout_s: float = 10.0
    lifetime_s: float = 3600.0
    parent_pid: int | None = None
    watch_stdin: bool = False

    def __post_init__(self):
        for name, kind in (("batching", Batching), ("limits", Limits), ("faults", Faults)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                object.__setattr__(self, name, kind.from_dict(value))
        for name in ("model", "log", "ready_file"):
            if isinstance(getattr(self, name), Path):
                object.__setattr__(self, name, str(getattr(self, name)))
        keep_texts(self, "redact")
        check_flags(self, "learn", "watch_stdin")
        check_number(self, "port", 0, 65535, whole=True)
        check_number(self, "workers", 0, 64, whole=True)
        check_number(self, "features_share", 0, 1)
        for name in ("label_low", "label_high"):
            check_number(self, name, -1e15, 1e15, none=True)
        if None not in (self.label_low, self.label_high) and self.label_low > self.label_high:
            raise ValueError(f"label_low={self.label_low!r} is above label_high={self.label_high!r}.")
        check_number(self, "remember", 0, whole=True)
        check_number(self, "drain_s", 0)
        check_number(self, "drain_timeout_s", 0)
        check_number(self, "lifetime_s", 0.1, 86_400)
        check_number(self, "parent_pid", 0, none=True, whole=True)
        if self.batching.max_rows > 1 and not self.workers:
            raise ValueError("Rows are batched while they wait for a worker: set workers to 1 or more.")
        if self.version is not None:
            check_version(self.version)

    @classmethod
    def read(cls, path):
        """The config in a JSON file."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def write(self, path):
        """Write it to a JSON file."""
        write_json(path, self.to_dict())


def check_version(name):
    """Refuse what cannot be a version's name: it stands in headers, logs and metrics, and names files.

    >>> check_version("Router")
    Traceback (most recent call last):
    ValueError: A version cannot be called 'Router': the router's own rows of the log have this name.
    """
    if not valid_name(name) or not name.strip("."):
        raise ValueError(f"A version is called {name!r}: use 1 to 64 of A-Z a-z 0-9 . _ : -")
    if name.lower() == "router":
        raise ValueError(
            f"A version cannot be called {name!r}: the router's own rows of the log have this name."
        )


def valid_name(text):
    """Is this a name that may stand in a header, a log and a metric?

    >>> valid_name("r-1:a"), valid_name("two words"), valid_name("")
    (True, False, False)
    """
    return (
        isinstance(text, str)
        and 0 < len(text) <= 64
        and text.isascii()
        and text.translate(_NAME_ALPHABET) == ""
    )


_NAME_ALPHABET = str.maketrans("", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
