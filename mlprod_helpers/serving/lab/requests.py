"""What is asked of a running lab, and what is known about it: the half of `lab.Lab` that starts and changes nothing."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from mlprod_helpers.requestlog import RequestLog, read
from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.lab.load import closed_loop, open_loop
from mlprod_helpers.serving.processes import LabError

_TAIL_BYTES = 1_000_000


class LabClient:
    """Requests, labels, load, logs and metrics of something with `url`, `router`, `_service(version)` and `_path(version)`."""

    # ---------------------------------------------------------------------------------------- requests

    def ask(self, features, *, user=None, to=None):
        """One request to `/predict`. Returns `Answer(status, body, headers)`: `body["prediction"]`, `headers["x-version"]`.

        `features` is a dict (one row), or a list of dicts or a DataFrame (many rows). `to` is a version whose service is asked
        directly, without the router.
        """
        if hasattr(features, "columns"):
            features = features.to_dict("records")
        body = {"rows": features} if isinstance(features, list) else {"features": features}
        return ask(self._address(to), "/predict", body, user=user)

    def get(self, path, *, to=None, timeout=15.0):
        """GET of a path, such as "/readyz". Returns `Answer(status, body, headers)`."""
        return ask(self._address(to), path, timeout=timeout)

    def label(self, request_id, value):
        """Send the label of one request, through the router, to every version. Returns `Answer`: 200, or 404 if no version remembers it."""
        return ask(self.url, "/label", {"request_id": request_id, "label": value})

    def late_labels(self, table, truth, *, in_flight=16):
        """Send the labels of answered requests; a model that learns, learns from them.

        Parameters
        ----------
        table : what `open_loop` returned
        truth : sequence of n labels of the n rows that were sent, in their order (request i had row i, from the start again
            when they were used up); a missing label is not sent
        in_flight : int, labels at a time

        Returns
        -------
        dict : `sent`, `taken` (answered with 200), `learned` (the version whose answer came back learned from it)
        """
        truth = list(truth)
        answered = table[(table["status"] == 200) & table["request_id"].notna()]["request_id"]
        labels = {name: truth[i % len(truth)] for i, name in answered.items()}
        labels = {name: value for name, value in labels.items() if not pd.isna(value)}
        with ThreadPoolExecutor(in_flight) as pool:
            answers = pool.map(self.label, labels.keys(), labels.values())
            taken = [answer.body for answer in answers if answer.status == 200]
        return {"sent": len(labels), "taken": len(taken), "learned": sum(body["learned"] for body in taken)}

    def open_loop(self, rows, *, to=None, **settings):
        """`load.open_loop` on the router, or directly on a version: rate, duration, users, timeout, random_state ... Returns its
        DataFrame, one row a request."""
        return open_loop(self._address(to), rows, **settings)

    def closed_loop(self, rows, *, to=None, **settings):
        """`load.closed_loop` on the router, or directly on a version: testers, duration, n ... Returns its DataFrame."""
        return closed_loop(self._address(to), rows, **settings)

    # ------------------------------------------------------------------------------------ what is known

    def log(self, version=None):
        """The router's request log as a DataFrame, one row a try (see `requestlog`), or that of one service."""
        path = self._path(version)
        return read(path) if path.exists() and path.stat().st_size else RequestLog().read()

    def tail(self, n=10, version=None):
        """The last n events of a log as dicts, the newest last; only the last megabyte of the file is read."""
        path, events = self._path(version), []
        if path.exists():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                for line in file.read().split(b"\n"):
                    with contextlib.suppress(ValueError):  # the first may be cut, the last not yet whole
                        events.append(json.loads(line))
        return [event for event in events if isinstance(event, dict)][-n:]

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


def metrics_table(text):
    """Prometheus text as a table: `name`, `labels` (a dict), `value`, one row a sample.

    >>> metrics_table('# TYPE up gauge\\nup{job="v1"} 1\\n')
      name          labels  value
    0   up  {'job': 'v1'}    1.0
    """
    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    table = [(one.name, dict(one.labels), float(one.value)) for one in samples]
    return pd.DataFrame(table, columns=["name", "labels", "value"])
