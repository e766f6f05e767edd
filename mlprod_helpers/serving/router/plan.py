"""The router's plan: who answers whom. One immutable object; a change is another object, swapped whole. And a router's limits."""

from dataclasses import dataclass, field, replace
from numbers import Real
from types import MappingProxyType
from urllib.parse import urlsplit

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout.routing import route
from mlprod_helpers.serving.service.config import Values, check_flags, check_number, check_version, keep_texts


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """Who answers whom. Nothing in it changes: a request reads the plan once, so it never sees half of an old and half of a
    new one.

    Parameters
    ----------
    upstreams : dict, version -> "http://127.0.0.1:PORT"
    stable : str, the version of everybody who has no other, and of requests without a user
    canary : str or None
    weight : float, percent of the users who get the canary; who that is, `rollout.route` says
    mirror : float, percent of the stable version's requests that are copied to the canary
    salt : str, of the routing; see `rollout.bucket`
    draining : tuple of versions that get no new requests: their users go to the other one
    generation : int, counted up by the router at each swap

    >>> plan = RoutePlan(upstreams={"v1": "http://127.0.0.1:8001", "v2": "http://127.0.0.1:8002"}, stable="v1", canary="v2", weight=60)
    >>> plan.version_of("ben"), plan.version_of(None), plan.weighted({"v1": 100, "v2": 0}).version_of("ben")
    ('v2', 'v1', 'v1')
    """

    upstreams: dict = field(hash=False)
    stable: str
    canary: str | None = None
    weight: float = 0.0
    mirror: float = 0.0
    salt: str = ""
    draining: tuple = ()
    generation: int = 0

    def __post_init__(self):
        object.__setattr__(self, "draining", tuple(self.draining))
        object.__setattr__(self, "upstreams", MappingProxyType(dict(self.upstreams)))
        for name, url in self.upstreams.items():
            check_version(name)
            loopback(url)
        for name in (self.stable, self.canary, *self.draining):
            if name is not None and name not in self.upstreams:
                raise ValueError(f"There is no upstream {name!r}: {nearest_name(name, self.upstreams)}.")
        if self.canary == self.stable:
            raise ValueError(f"Stable and canary are both {self.stable!r}: a rollout has two versions.")
        for name in ("weight", "mirror"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 100:
                raise ValueError(f"{name} is {getattr(self, name)}, but it is a percentage, from 0 to 100.")
        if self.canary is None and (self.weight or self.mirror):
            raise ValueError("A weight or a mirror needs a canary.")
        if {self.stable, self.canary or self.stable} <= set(self.draining):
            raise ValueError("Every version is draining: nobody is left to answer.")

    def version_of(self, user_id):
        """The version that answers this user."""
        chosen = self.stable
        if self.canary is not None and route(user_id, self.weight, self.salt):
            chosen = self.canary
        return self.other(chosen) if chosen in self.draining else chosen

    def other(self, version):
        """The version that may stand in for another, or None."""
        found = self.canary if version == self.stable else self.stable
        return None if found is None or found in self.draining else found

    def weighted(self, weights, mirror=None):
        """The same plan with a controller's weights: {version: percent of the users}."""
        if unknown := sorted(set(weights) - {self.stable, self.canary}):
            raise ValueError(
                f"The plan has no version {unknown[0]!r}: it goes from {self.stable} to {self.canary}."
            )
        if not abs(sum(weights.values()) - 100) <= 1e-6:
            raise ValueError(f"The weights {dict(weights)} add up to {sum(weights.values())}, not to 100.")
        share = weights.get(self.canary, 0.0) if self.canary else 0.0
        return replace(self, weight=share, mirror=self.mirror if mirror is None else mirror)

    def to_dict(self):
        """The plan as plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"upstreams": dict(self.upstreams), "draining": list(self.draining)}

    @classmethod
    def from_dict(cls, plain):
        """The plan that `to_dict` wrote."""
        if not isinstance(plain, dict):
            raise ValueError(f"A plan is a mapping of names to values, not {type(plain).__name__}.")
        if unknown := sorted(set(plain) - set(cls.__dataclass_fields__)):
            raise ValueError(
                f"A plan has no {unknown[0]!r}: {nearest_name(unknown[0], cls.__dataclass_fields__)}."
            )
        try:
            return cls(**plain)
        except TypeError as error:
            raise ValueError(f"This is no plan: {error}.") from None


@dataclass(frozen=True, kw_only=True)
class RouterConfig(Values):
    """What a router does and within which limits.

    Parameters
    ----------
    plan : RoutePlan, or a mapping of its fields
    log : str or None, the router's own request log
    features_share, redact : what of features and users that log has, as in `ServiceConfig`. They are the router's own: a router does
        not know what the services behind it hide (a `Lab` tells its router).
    port, control_port : int, on 127.0.0.1; 0: any free one
    token : str or None, for the control port; None: a new one, announced at the start
    body_bytes, answer_bytes : int, largest body of a request (413 above) and of an answer (502 above)
    body_s : float, seconds in which a request's body must have come (408)
    connect_s, timeout_s : float, seconds to connect to an upstream, and for its whole answer (504)
    in_flight : int, requests at a time; more are shed (503 with Retry-After)
    copies, copy_s : int and float, shadow copies at a time (fewer while they get no answer), and seconds that one may take
    retry_paths : paths on which a POST may be sent twice
    failover : bool, may the other version answer when the user's own is not there?
    lifetime_s : float, the process ends by itself after so many seconds
    parent_pid : int or None, the process whose end ends the router (None: the one that started it; 0: none)
    random_state : int, of the draw which requests are copied

    >>> plan = RoutePlan(upstreams={"v1": "http://127.0.0.1:8001"}, stable="v1")
    >>> RouterConfig(plan=plan, timeout_s=2.0).retry_paths
    ('/predict',)
    """

    plan: RoutePlan
    log: str | None = None
    features_share: float = 1.0
    redact: tuple = ()
    port: int = 0
    control_port: int = 0
    token: str | None = None
    body_bytes: int = 1_000_000
    answer_bytes: int = 8_000_000
    body_s: float = 5.0
    connect_s: float = 1.0
    timeout_s: float = 10.0
    in_flight: int = 512
    copies: int = 64
    copy_s: float = 2.0
    retry_paths: tuple = ("/predict",)
    failover: bool = True
    lifetime_s: float = 3600.0
    parent_pid: int | None = None
    random_state: int = 0

    def __post_init__(self):
        if not isinstance(self.plan, RoutePlan):
            object.__setattr__(self, "plan", RoutePlan.from_dict(self.plan))
        keep_texts(self, "retry_paths")
        keep_texts(self, "redact")
        check_flags(self, "failover")
        for name in ("body_bytes", "answer_bytes", "in_flight", "copies"):
            check_number(self, name, 1, whole=True)
        for name in ("body_s", "connect_s", "timeout_s", "copy_s", "lifetime_s"):
            check_number(self, name, 0.001, 86_400)
        for name in ("port", "control_port"):
            check_number(self, name, 0, 65_535, whole=True)
        check_number(self, "features_share", 0, 1)
        check_number(self, "parent_pid", 0, none=True, whole=True)
        check_number(self, "random_state", 0, whole=True)

    def to_dict(self):
        """Plain values, ready for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        texts = {name: list(getattr(self, name)) for name in ("retry_paths", "redact")}
        return plain | {"plan": self.plan.to_dict()} | texts


def loopback(url):
    """The address, if it is on this machine: http://127.0.0.1:PORT and nothing else.

    >>> loopback("http://127.0.0.1:8001/")
    'http://127.0.0.1:8001'
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname == "127.0.0.1" and parts.port and "@" not in url
    except (ValueError, TypeError, AttributeError):
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is refused: only http://127.0.0.1:PORT, so that no other machine is hit.")
    return f"http://127.0.0.1:{parts.port}"
