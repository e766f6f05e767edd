"""One model behind HTTP: what the service takes, answers, refuses and logs.

`start(config)` from Python, or `python -m mlprod_helpers.serving.service --config v1.json` (the fields of `ServiceConfig`), prints one
line of JSON as soon as it listens: `{"pid": 4711, "port": 40123, "url": "http://127.0.0.1:40123", "version": "v1"}`. SIGTERM, or the line
`drain` on standard input, ends it well; `server.EXIT` lists the exit codes.

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

Headers of `/predict`: `X-Request-Id` and `X-User-Id` (1 to 64 of
`A-Z a-z 0-9 . _ : -`), `X-Shadow: 1` (a copy, logged with `served` False), `X-API-Key` (when the environment has `MLPROD_API_KEY`). A label
may be corrected once, which is logged and not learned; the same label again changes nothing.

A refusal has the body `{"error": "<one word>", "request_id", "detail": [{"where", "what"}]}` and repeats nothing that was sent.

Every request to `/predict`, refused or not, is one row of the log (with many rows: `r1.0`, `r1.1`, ...), written before the answer leaves. A row
with `served` True is written by the one service whose answer went back.
"""
