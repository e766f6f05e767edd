"""The real thing: a model behind HTTP on this machine, a router in front of it, load, and a lab that holds them together.

Everything here listens on 127.0.0.1 only, is bounded in count and time, ends by itself, and writes the same table as the
simulators (see `requestlog`). The modules are imported when a name is first used, so that a notebook that only reads a log needs
no web framework.

| question | where |
| --- | --- |
| How is a model saved so that loading it runs no foreign code? | `save_model`, `load_model`, `Feature`, `ModelCard` |
| What does one service do, and within which limits? | `ServiceConfig`, `Limits`, `Batching`, `Faults` |
| How is it started, drained, killed? | `start`, `ServiceProcess` |
| How do waiting requests become one batch? | `Batcher` |
| Who gets which version? One immutable plan, swapped whole, sticky per user | `RoutePlan` |
| How do requests get there, and copies, without anybody waiting? | `Router`, `RouterProcess` |
| How does a judge of `rollout` move real weights? | `Driver` |
| How long do users wait, counted from the moment they came? | `open_loop`, `closed_loop`, `replay_log` |
| All of it in a notebook, and nothing left behind? | `Lab` |
| Which models, to try it? | `eta_models` |
| How do a service's counters become the figures that alerts read? | `recording_rules` |
| Are ports and processes to be had here at all? | `refusal` |
| What did such a lab do, where none can be had? | `load_recorded` |

Any HTTP service on this machine can stand behind the router, as long as it answers `POST /predict` with JSON
(`{"prediction": ...}`) and `GET /readyz` with 200 when it takes requests. What follows is the service of this package.

**Start.** `start(config)` from Python, or `python -m mlprod_helpers.serving --config v1.json` (the fields of
`ServiceConfig`). The model's folder (`save_model`) and the log are paths in the config. Port 0 takes a free port. As soon
as the service listens it prints one line of JSON on standard output, and writes the same into `ready_file` if there is one
(whole or not at all): `{"pid": 4711, "port": 40123, "url": "http://127.0.0.1:40123", "version": "v1"}`. It listens before its
model is loaded: poll `/readyz` until it says 200.

**End.** SIGTERM, or the line `drain` on standard input with `watch_stdin`: `/readyz` turns 503, requests are still answered
for `drain_s` seconds, then no new connection is taken, requests in flight get their answer (at most `drain_timeout_s`), exit
code 0. It ends at once (exit code 4) when its parent process is gone (looked at twice a second, on every system), with
`watch_stdin` also when standard input closes, and (exit code 5) after `lifetime_s` seconds. A model that cannot be loaded: 3, with the
reason on standard error. A config that does not fit, or a port that is taken: 2.

**Requests.** JSON in, JSON out.

| request | body | answer |
| --- | --- | --- |
| `POST /predict` | `{"features": {"distance": 1400}}` | `{"request_id", "prediction", "version", "latency_ms"}` |
| `POST /predict` | `{"rows": [{"distance": 1400}, ...]}` | `{"request_id", "request_ids", "predictions", "version", "latency_ms"}` |
| `POST /label` | `{"request_id": "r1", "label": 227.0}` | 200 `{"request_id", "version", "learned"}`; 404 for an id it does not remember |
| `GET /healthz` | | 200 while the process can answer: alive |
| `GET /readyz` | | 200 `{"state": "ready"}`; 503 with state `starting`, `draining`: send no requests here |
| `GET /version` | | name, checksum, features of the model |
| `GET /metrics` | | Prometheus text |

A classifier with probabilities also gives `score` (`scores`), the probability of its second class, with more than two of the class it names. Headers of `/predict`: `X-Request-Id`
(1 to 64 of `A-Z a-z 0-9 . _ : -`; made up when absent, always in the answer's body and header `X-Request-Id`), `X-User-Id` (the same
alphabet, 1 to 64), `X-Shadow: 1` (this copy is logged with `served` False; or 0), `X-API-Key` (needed on `/predict` and `/label` when the
environment has `MLPROD_API_KEY`). Rows of a request of many are logged as `r1.0`, `r1.1`, ... (its `request_ids`); a label names one of them. A
hybrid learns once from each request, from its first label. A label may be corrected once, which is logged and not learned; the same
label again changes nothing.

**Refusals** have the body `{"error": "<one word>", "request_id", "detail": [{"where", "what"}]}` and repeat nothing that was
sent: 400 no JSON, or one of these headers twice, 401 no key, 403 the `Origin` of another page, 404, 405, 408 body too slow, 409 the label
was corrected already, 413 too large, 415 not `application/json`, 421 a `Host` that is not this machine, 422 not a valid request,
429 this client asks too often (`Retry-After`), 500 the model failed, 503 the queue is full or the service not ready (`Retry-After`), 504
the model took longer than `timeout_s`.

**Log.** Every request to `/predict` is one row (of each model row one), refused ones too, written before the answer leaves;
an accepted label is one `label` event. Who has no key, or asks too often, is logged under a request id of the service's own: nobody can
write over another's row. What a drain gives up has status 503. What is not even HTTP is answered by the server, and not logged. Several processes may share the file. A row of `served=True` is written by the one service
whose answer goes back: whoever retries elsewhere or logs a dead service's request itself writes `served=False` for the failed try.
What `redact` names is never written, users become a keyed hash, and `features_share` of the requests have their features in the log: a
service and a router each follow their own config, a `Lab` gives its router the strictest of its versions.
"""

from importlib import import_module

_HOMES = {
    "Batcher": "batching",
    "Batching": "config",
    "Driver": "driver",
    "Faults": "config",
    "Feature": "schema",
    "Lab": "lab",
    "LabError": "processes",
    "Limits": "config",
    "ModelCard": "models",
    "RoutePlan": "routes",
    "Router": "router",
    "RouterConfig": "routes",
    "RouterProcess": "router_process",
    "Served": "lab",
    "ServiceConfig": "config",
    "ServiceProcess": "run",
    "closed_loop": "load",
    "eta_models": "demo",
    "load_model": "models",
    "load_recorded": "recorded",
    "open_loop": "load",
    "recording_rules": "telemetry",
    "refusal": "processes",
    "replay_log": "load",
    "save_model": "models",
    "start": "run",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name):
    """Each name is imported when it is first used: a notebook that only reads a log needs no web framework."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
