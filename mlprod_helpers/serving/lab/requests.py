"""What is asked of a running lab, and what is known about it: the half of `lab.Lab` that starts and changes nothing."""

import contextlib
import json

import pandas as pd

from mlprod_helpers.requestlog import RequestLog, read
from mlprod_helpers.serving.lab.client import ask, metrics_table, own_headers, send_labels
from mlprod_helpers.serving.lab.load import closed_loop, open_loop
from mlprod_helpers.serving.processes import LabError, LoopThread


class LabClient:
    """Requests, labels, load, logs and metrics of something with `url`, `router`, `running`, `lifetime_s`, `_service(version)` and
    `_path(version)`."""

    # ---------------------------------------------------------------------------------------- requests

    def ask(self, features, *, user=None, to=None, **options):
        """One request to `/predict`. Returns `Answer(status, body, headers)`: `body["prediction"]`, `headers["x-version"]`.

        `features` is a dict (one row), a list of dicts or a DataFrame (many rows), or bytes, sent as they are. `to` is a version: straight to its
        service, past the router. `options`: headers, timeout.
        """
        if hasattr(features, "columns"):
            features = features.to_dict("records")
        body = features
        if not isinstance(features, bytes):
            body = {"rows": list(features)} if isinstance(features, list) else {"features": dict(features)}
        return ask(self._address(to), "/predict", body, user=user, **options)

    def get(self, path, *, to=None, **options):
        """GET of a path, such as "/readyz". Returns `Answer(status, body, headers)`; `body` is a dict where the answer is JSON, else text."""
        return ask(self._address(to), path, **options)

    def label(self, request_id, value):
        """Tell the truth about one request, through the router, to every version. Returns `Answer`: 200, or 404 for an id that none remembers."""
        return ask(self.url, "/label", {"request_id": request_id, "label": value})

    def late_labels(self, table, truth, *, share=1.0, in_flight=16):
        """Send the truth about answered requests, as it comes late: a model that learns, learns from it.

        Parameters
        ----------
        table : what `open_loop` gave
        truth : array of n values, the truths of the n rows that were sent, in their order (request i had row i, from the start
            again when they were used up); a missing one is not sent
        share : float, the share of the answered requests whose truth ever comes: the first of them

        Returns
        -------
        dict : `sent`, `taken` (answered with 200), `learned` (the version whose answer came back learned from it)
        """
        truth = list(truth)
        known = table[(table["status"] == 200) & table["request_id"].notna()]
        known = known.iloc[: round(share * len(known))]["request_id"]
        pairs = [(name, value) for i, name in known.items() if not pd.isna(value := truth[i % len(truth)])]
        with LoopThread() as loop:
            answers = loop.run(send_labels(self.url, pairs, in_flight), timeout=600)
        taken = [body for status, body in answers if status == 200]
        return {"sent": len(pairs), "taken": len(taken), "learned": sum(body["learned"] for body in taken)}

    def open_loop(self, rows, *, to=None, **settings):
        """`load.open_loop` on the router, or straight to a version: rate, duration, users, timeout, random_state ... Returns its DataFrame, one
        row a request: due, sent, finish, latency_ms, status, error, user_id, version, plan, request_id, prediction."""
        return open_loop(self._address(to), rows, **with_key(settings))

    def closed_loop(self, rows, *, to=None, **settings):
        """`load.closed_loop` on the router, or straight to a version: testers, duration, n, users ... Returns its DataFrame, as `open_loop`."""
        return closed_loop(self._address(to), rows, **with_key(settings))

    # ------------------------------------------------------------------------------------ what is known

    def log(self, version=None):
        """The router's request log as a DataFrame, one row a try (see `requestlog`), or that of one service. Empty before the first request."""
        path = self._path(version)
        if not path.exists() or not path.stat().st_size:
            return RequestLog().read()
        return read(path)

    def tail(self, n=10, version=None):
        """The last n events of a log as dicts, the newest last; only the end of the file is read (at most 1 MB)."""
        path = self._path(version)
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 1_000_000))
            lines = file.read().split(b"\n")
        return _events(lines)[-n:] if n > 0 else []

    def metrics(self, version=None):
        """`/metrics` of a service, or of the router (None), as a DataFrame: name, labels (a dict), value."""
        if version is None:
            return metrics_table(self.router.metrics())
        answer = self.get("/metrics", to=version)
        if answer.status != 200:
            raise LabError(f"{version} gives no metrics: status {answer.status}.")
        return metrics_table(answer.body)

    def _address(self, to):
        return self.url if to is None else self._service(to).url


def with_key(settings):
    """Settings of load that bring the API key, where the environment has one."""
    key = own_headers()
    return settings if not key else settings | {"headers": key | dict(settings.get("headers") or {})}


def _events(lines):
    events = []
    for line in lines:
        with contextlib.suppress(ValueError):  # the first may be cut, the last not yet whole
            events.append(json.loads(line))
    return [event for event in events if isinstance(event, dict)]
