"""Ten thousand requests that schemathesis makes of the service's own OpenAPI: answered as it says, and all of them logged."""

from collections import Counter

import pytest
from stand_in_service import logged, memory_mb, save_flights

pytest.importorskip(
    "schemathesis", minversion="4", reason="the extra `ci` has schemathesis: no generated requests without it"
)

import schemathesis

from mlprod_helpers.serving import ServiceConfig, refusal, start

if reason := refusal():
    pytest.skip(reason, allow_module_level=True)

MEMORY_MB = 30.0  # how much the process may grow after 300 requests
PARTS = {  # 10,000 and more together; in parts, so that they run on several cores
    "what the schema takes": (("/predict", "positive", 1000),),
    "labels as they should be, and every method": (
        ("/label", "positive", 4000),
        *((path, "coverage", None) for path in ("/predict", "/label", "/readyz", "/metrics", "/version")),
    ),
    "what the schema refuses": (("/predict", "negative", 2000),),
    "labels that are refused": (("/label", "negative", 3000),),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_flights(tmp_path_factory.mktemp("model"))


def cases(schema, path, mode, n, do):
    """`do(case)` for `n` requests to a path that schemathesis makes, or for all of its systematic ones."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.generation import GenerationMode

    operation = schema[path]["POST" if path in ("/predict", "/label") else "GET"]
    if mode == "coverage":
        config = schema.config.generation_for(operation=operation)
        for case in schema.iter_coverage_cases(
            operation, generation_modes=list(GenerationMode), generation_config=config
        ):
            do(case)
        return
    run = given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))(do)
    settings(
        max_examples=n,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(run)()


def names_of(answer):
    """The names under which an answer of `/predict` stands in the log."""
    if answer.status_code == 200 and "request_ids" in (body := answer.json()):
        return body["request_ids"]
    return [answer.headers["x-request-id"][0]]


@pytest.mark.parametrize("part", PARTS)
def test_generated_requests_are_answered_as_the_api_says_and_logged(model, tmp_path, part):
    import hypothesis.configuration
    import requests

    hypothesis.configuration.set_hypothesis_home_dir(tmp_path)
    log, expected, statuses, memory = tmp_path / "log.jsonl", Counter(), Counter(), []
    busy = {"workers": 2, "batch_rows": 8} if "takes" in part else {}
    config = ServiceConfig(model=model, log=str(log), lifetime_s=600, **busy)
    with start(config) as service, requests.Session() as session:
        service.ready()
        session.trust_env = False
        schema = schemathesis.openapi.from_dict(session.get(f"{service.url}/openapi.json").json())

        def send(case):
            answer = case.call(base_url=service.url, session=session)
            statuses[answer.status_code] += 1
            if case.operation.path == "/predict":
                expected.update(names_of(answer))
            assert answer.status_code < 500
            case.validate_response(
                answer
            )  # status, content type, headers, schema, right to take or refuse it
            if sum(statuses.values()) == 300:
                memory.append(memory_mb(service))

        for path, mode, n in PARTS[part]:
            cases(schema, path, mode, n, send)
        memory.append(memory_mb(service))
        assert service.state() == "ready"
    sent, least = sum(statuses.values()), sum(n or 0 for _, _, n in PARTS[part])
    assert sent >= least, f"only {sent} of {least} requests were made: {statuses}"
    assert memory[-1] - memory[0] < MEMORY_MB, memory
    if expected:
        assert logged(log) == expected
    taken = statuses[200] / sent
    assert taken > 0.9 if part == "what the schema takes" else taken < 0.9


def test_the_parts_make_ten_thousand():
    assert sum(n or 0 for part in PARTS.values() for _, _, n in part) >= 10_000
