"""One model behind HTTP: what the service takes, answers, refuses and logs.

Any HTTP service on this machine can stand behind the router, as long as it answers `POST /predict` with JSON
(`{"prediction": ...}`) and `GET /readyz` with 200 when it takes requests. What follows is the service of this package.

**Start.** `start(config)` from Python, or `python -m mlprod_helpers.serving.service --config v1.json` (the fields of
`ServiceConfig`). The model's folder (`save_model`) and the log are paths in the config. Port 0 takes a free port. As soon
as the service listens it prints one line of JSON on standard output: `{"pid": 4711, "port": 40123, "url": "http://127.0.0.1:40123", "version": "v1"}`. It listens before its
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
| `GET /docs`, `/openapi.json` | | this API, described by FastAPI from its types |

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
What `redact` names is never written, and users become a keyed hash: a service and a router each follow their own config, and a `Lab`
gives its router what any of its versions redacts.
"""
