"""The router's plan: who answers whom. One immutable object; a change is another object, swapped whole. And a router's limits."""

from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout.routing import route
from mlprod_helpers.serving.headers import check_version, loopback
from mlprod_helpers.serving.settings import Count, Path, Port, Seconds, Settings, Texts

Percent = Annotated[float, Field(ge=0, le=100)]
_Upstreams = Annotated[
    dict[Annotated[str, AfterValidator(check_version)], Annotated[str, AfterValidator(loopback)]],
    BeforeValidator(lambda given: dict(given) if isinstance(given, MappingProxyType) else given),
    AfterValidator(MappingProxyType),
    PlainSerializer(dict),
]


class RoutePlan(Settings):
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

    upstreams: _Upstreams
    stable: str
    canary: str | None = None
    weight: Percent = 0.0
    mirror: Percent = 0.0
    salt: str = ""
    draining: Texts = ()
    generation: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits_together(self):
        for name in (self.stable, self.canary, *self.draining):
            if name is not None and name not in self.upstreams:
                raise ValueError(f"There is no upstream {name!r}: {nearest_name(name, self.upstreams)}.")
        if self.canary == self.stable:
            raise ValueError(f"Stable and canary are both {self.stable!r}: a rollout has two versions.")
        if self.canary is None and (self.weight or self.mirror):
            raise ValueError("A weight or a mirror needs a canary.")
        if {self.stable, self.canary or self.stable} <= set(self.draining):
            raise ValueError("Every version is draining: nobody is left to answer.")
        return self

    def version_of(self, user_id):
        """The version that answers this user."""
        chosen = self.stable
        if self.canary is not None and route(user_id, self.weight, self.salt):
            chosen = self.canary
        return self.other(chosen) if chosen in self.draining else chosen

    def other(self, version):
        """The version that may stand in for another, or None."""
        other = self.canary if version == self.stable else self.stable
        return None if other is None or other in self.draining else other

    def weighted(self, weights, mirror=None):
        """The same plan with a controller's weights: {version: percent of the users}."""
        if unknown := sorted(set(weights) - {self.stable, self.canary}):
            raise ValueError(
                f"The plan has no version {unknown[0]!r}: it goes from {self.stable} to {self.canary}."
            )
        if not abs(sum(weights.values()) - 100) <= 1e-6:
            raise ValueError(f"The weights {dict(weights)} add up to {sum(weights.values())}, not to 100.")
        share = weights.get(self.canary, 0.0) if self.canary else 0.0
        return self.replace(weight=float(share), mirror=self.mirror if mirror is None else mirror)


class RouterConfig(Settings):
    """What a router does and within which limits.

    Parameters
    ----------
    plan : RoutePlan, or a mapping of its fields
    log : str or None, the router's own request log
    redact : what of features and users that log hides, as in `ServiceConfig`. A router does not know what the services behind it
        hide (a `Lab` tells its router).
    port, control_port : int, on 127.0.0.1; 0: any free one
    token : str or None, for the control port; None: a new one, announced at the start
    body_bytes, answer_bytes : int, largest body of a request (413 above) and of an answer (502 above)
    body_s : float, seconds in which a request's body must have come (408)
    timeout_s : float, seconds for an upstream's whole answer, the connection included (504)
    in_flight : int, requests at a time; more are shed (503 with Retry-After)
    copies, copy_s : int and float, shadow copies at a time (fewer while they get no answer), and seconds that one may take
    retry_paths : paths on which a POST may be sent twice
    failover : bool, may the other version answer when the user's own is not there?
    lifetime_s : float, the process ends by itself after so many seconds
    parent_pid : int or None, the process whose end ends the router (None: the one that started it; 0: none)
    watch_stdin : bool, end when standard input closes; take `drain` from it

    >>> plan = RoutePlan(upstreams={"v1": "http://127.0.0.1:8001"}, stable="v1")
    >>> RouterConfig(plan=plan, timeout_s=2.0).retry_paths
    ('/predict',)
    """

    plan: RoutePlan
    log: Path | None = None
    redact: Texts = ()
    port: Port = 0
    control_port: Port = 0
    token: str | None = None
    body_bytes: Count = 1_000_000
    answer_bytes: Count = 8_000_000
    body_s: Seconds = 5.0
    timeout_s: Seconds = 10.0
    in_flight: Count = 512
    copies: Count = 64
    copy_s: Seconds = 2.0
    retry_paths: Texts = ("/predict",)
    failover: bool = True
    lifetime_s: Seconds = 3600.0
    parent_pid: Annotated[int, Field(ge=0)] | None = None
    watch_stdin: bool = False
