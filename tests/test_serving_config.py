"""What services and routers are told: whatever is wrong in a config is a ValueError that names the field."""

from dataclasses import fields

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
NO_CHECK = {"model", "log", "ready_file", "token"}


@pytest.mark.parametrize(("kind", "given"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("wrong", [-1, "no", [1], {"a": 1}, float("nan")], ids=str)
def test_a_field_of_another_kind_is_refused(kind, given, wrong):
    kind.from_dict(given)
    for name in {one.name for one in fields(kind)} - NO_CHECK:
        if (name, wrong) not in [("version", "no"), ("bias", -1), ("label_low", -1), ("label_high", -1)]:
            with pytest.raises(
                ValueError, match="must be|is a mapping|no field of|has no|: use|letter|delay_law"
            ):
                kind.from_dict({**given, name: wrong})


def test_what_is_written_is_read():
    service = ServiceConfig(model="m", redact=["zone"], limits={"rows": 5}, faults={"error_rate": 0.1})
    assert ServiceConfig.from_dict(service.to_dict()) == service and service.redact == ("zone",)
    router = RouterConfig(plan=PLAN, retry_paths=[], failover=False)
    assert RouterConfig.from_dict(router.to_dict()) == router and router.retry_paths == ()


def test_one_text_is_no_list_of_texts_and_no_is_no_flag():
    with pytest.raises(ValueError, match="redact='zone' must be a list"):
        ServiceConfig(model="m", redact="zone")
    with pytest.raises(ValueError, match="retry_paths='/predict' must be a list"):
        RouterConfig(plan=PLAN, retry_paths="/predict")
    with pytest.raises(ValueError, match="trust_forwarded='no' must be True or False"):
        Limits(trust_forwarded="no")
