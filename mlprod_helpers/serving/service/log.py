"""A service's rows of the request log."""

import pandas as pd


def write_record(log, record, status, version):
    """Write a `requests.Record` to a `RedactedLog`, one row a model row. Raises what the log raises."""
    fields = {
        "version": version,
        "time": pd.Timestamp(int(1e6 * record.arrived), unit="us", tz="UTC"),
        "status": status,
        "served": not record.shadow,
        "latency_ms": record.stop_the_clock(),
        "user_id": record.user,
    }
    if record.rows is None:
        log.request(record.request_id, **fields)
        return
    for i, (request_id, row) in enumerate(zip(record.ids, record.rows, strict=True)):
        prediction = None if record.answers is None else record.answers[i]
        answer = {} if prediction is None else {"prediction": prediction}
        raw = None if record.raw is None else record.raw[i]
        log.request(request_id, features=row, raw=raw, **fields, **answer)
