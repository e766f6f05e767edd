"""The router's plan, one immutable object that says which version answers which user, and a router's settings."""

import secrets
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout.routing import route
from mlprod_helpers.serving.headers import check_version, loopback
from mlprod_helpers.serving.settings import ServerSettings, Settings, Texts

Percent = Annotated[float, Field(ge=0, le=100)]
_Upstreams = Annotated[
    dict[Annotated[str, AfterValidator(check_version)], Annotated[str, AfterValidator(loopback)]],
    BeforeValidator(lambda given: dict(given) if isinstance(given, MappingProxyType) else given),
    AfterValidator(MappingProxyType),
    PlainSerializer(dict),
]


class RoutePlan(Settings):
    """Which version answers which user. A plan never changes: a request reads the plan in force once, so it never sees half of an old
    and half of a new one.

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
    def _check_combination(self):
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

    def weighted(self, weights, mirror=0.0):
        """The same plan with a controller's weights, {version: percent of the users}, and percent of the requests to copy."""
        if unknown := sorted(set(weights) - {self.stable, self.canary}):
            raise ValueError(
                f"The plan has no version {unknown[0]!r}: it goes from {self.stable} to {self.canary}."
            )
        if not abs(sum(weights.values()) - 100) <= 1e-6:
            raise ValueError(f"The weights {dict(weights)} add up to {sum(weights.values())}, not to 100.")
        share = weights.get(self.canary, 0.0) if self.canary else 0.0
        return self.replace(weight=float(share), mirror=mirror)


class RouterConfig(ServerSettings):
    """What a router does.

    Parameters
    ----------
    plan : RoutePlan, or a mapping of its fields
    token : str, for the control port; a new one if not given
    log, redact, lifetime_s : see `ServerSettings`. A router does not know what the services behind it
        redact (a `Lab` tells its router).
    """

    plan: RoutePlan
    token: str = Field(default_factory=lambda: secrets.token_urlsafe(24))
