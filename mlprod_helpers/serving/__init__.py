"""A model behind HTTP on this machine, a router in front of it, and a lab that starts both and loads them.

Everything listens on 127.0.0.1 only, is bounded in count and time, ends by itself, and writes the request log of `requestlog`.

| room | what it is | begin with |
| --- | --- | --- |
| `service` | one model as a FastAPI application, in a process of its own | `service/app.py` |
| `router` | a reverse proxy that gives each user a version, by one immutable plan | `router/plan.py` |
| `lab` | services and a router for one `with` block; load, rollouts, recordings | `lab/lab.py` |

`service` and `router` do not know each other, and `lab` knows both.
"""

from importlib import import_module

_HOMES = {
    "Deployment": "lab.deployment",
    "Faults": "service.config",
    "Feature": "service.schema",
    "Lab": "lab.lab",
    "LabError": "processes",
    "Limits": "service.config",
    "RoutePlan": "router.plan",
    "RouterConfig": "router.plan",
    "RouterProcess": "router.process",
    "ServiceConfig": "service.config",
    "ask": "client",
    "closed_loop": "lab.load",
    "load_model": "service.models",
    "load_recorded": "lab.recorded",
    "open_loop": "lab.load",
    "refusal": "processes",
    "save_model": "service.models",
    "start": "service.process",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name):
    """Import each name when it is first used: a notebook that only reads a log needs no web framework."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
