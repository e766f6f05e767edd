"""What a router writes of bodies that pass: any body, any answer, and a judge can still read the log."""

import json

import pytest

from mlprod_helpers.requestlog import RequestLog
from mlprod_helpers.rollout import Metrics
from mlprod_helpers.serving.router.rows import write_rows

WHEN = {"time": 1e9, "latency_ms": 1.0, "served": True, "attempts": 1, "user": "ana"}
ASKED = b'{"features": {"distance": 1400}}'


def log_of(*pairs):
    """A log with a good row of v1, and v2's answers: pairs of (body, answer)."""
    log = RequestLog()
    write_rows(log, "good", ASKED, 200, b'{"prediction": 175.0, "score": 0.5}', version="v1", **WHEN)
    for i, (asked, said) in enumerate(pairs):
        write_rows(log, f"r{i}", asked, 200, said, version="v2", **WHEN)
    return log


@pytest.mark.parametrize("score", ['"high"', "true", "[1]", "1" + "0" * 400, "null", "NaN"])
def test_a_score_that_is_no_number_does_not_keep_the_judge_from_the_log(score):
    one = b'{"prediction": 3, "score": %s}' % score.encode()
    many = b'{"predictions": [3], "scores": [%s]}' % score.encode()
    table = log_of((ASKED, one), (b'{"rows": [{"distance": 1}]}', many)).read()
    assert table["score"].isna().tolist() == [False, True, True]
    assert Metrics.from_log(table, "v1", "v2", origin="1970-01-01 00:00Z")


@pytest.mark.parametrize(
    "features",
    [
        {"distance": "far"},
        {"distance": None},
        {"distance": 10**400},
        {"": 1},
        {"status": "x", "label": 3, "time": "noon", "served": 2},
        {"\ud800": "\ud800", "a\0": "\0", "b": '\n{"event": "request"}'},
        {"class": 1, "self": 2, "event": 3, "features": 4, "index": 5},
        {f"x{i}": i for i in range(500)},
        {"deep": [[[[1]]]]},
    ],
    ids=str,
)
def test_no_features_keep_the_judge_from_the_log(features):
    bodies = ({"features": features}, {"rows": [features]}, {"rows": features}, [features])
    table = log_of(*((json.dumps(body).encode(), b'{"prediction": 3}') for body in bodies)).read()
    assert len(table) == 1 + len(bodies)
    assert Metrics.from_log(table, "v1", "v2", origin="1970-01-01 00:00Z")


def test_a_full_disk_is_counted_and_fails_nobody(monkeypatch):
    log = RequestLog()

    def full(line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "_append", full)
    body = b'{"rows": [{"distance": 1}, {"distance": 2}]}'
    assert write_rows(log, "r1", body, 200, b'{"predictions": [1, 2]}', version="v1", **WHEN) == 2
