"""What services and routers are told: whatever is wrong in a config is a ValueError that names the field."""

import pytest

from mlprod_helpers.serving.router.plan import RouterConfig
from mlprod_helpers.serving.service.config import Batching, Faults, Limits, ServiceConfig

PLAN = {"upstreams": {"v1": "http://127.0.0.1:1"}, "stable": "v1"}
KINDS = [
    (ServiceConfig, {"model": "m"}),
    (Limits, {}),
    (Batching, {}),
    (Faults, {}),
    (RouterConfig, {"plan": PLAN}),
]
TEXTS = {"model", "log", "token", "version"}
TAKE_MINUS_ONE = {"bias", "label_low", "label_high"}


@pytest.mark.parametrize(("kind", "given"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("wrong", [-1, "no", [1], {"a": 1}, float("nan"), True], ids=str)
def test_a_field_of_another_kind_is_refused_by_name(kind, given, wrong):
    kind(**given)
    for name, field in kind.model_fields.items():
        if (wrong == "no" and name in TEXTS) or (wrong == -1 and name in TAKE_MINUS_ONE):
            continue
        if wrong is True and field.annotation is bool:
            continue
        with pytest.raises(ValueError, match=rf"\n{name}"):
            kind(**{**given, name: wrong})


def test_a_name_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="'queu_e' is no field: did you mean 'queue'"):
        ServiceConfig(model="m", limits={"queu_e": 3})


def test_what_is_written_is_read():
    service = ServiceConfig(model="m", redact=["zone"], limits={"rows": 5}, faults={"error_rate": 0.1})
    assert ServiceConfig.model_validate_json(service.model_dump_json()) == service
    assert service.redact == ("zone",)
    router = RouterConfig(plan=PLAN, retry_paths=[], failover=False)
    assert RouterConfig.model_validate_json(router.model_dump_json()) == router
    assert router.retry_paths == ()


def test_one_text_is_no_list_of_texts():
    with pytest.raises(ValueError, match="redact"):
        ServiceConfig(model="m", redact="zone")
    with pytest.raises(ValueError, match="retry_paths"):
        RouterConfig(plan=PLAN, retry_paths="/predict")
