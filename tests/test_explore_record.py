"""The form over a deployment record: entries and record say the same, and nothing is lost where nothing runs."""

import ipywidgets
import pytest

from mlprod_helpers.checklist import Claim, Record, Rollback, Sizing, measured
from mlprod_helpers.explore import record_form

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def record():
    claim = Claim(metric="p99", at_most=200, unit="ms", evidence=measured(0.3, "s", "load test", rate=40))
    return Record("ETA <b>service</b>", sizing=Sizing(40.0, 4, 0.05), latency=[claim])


def state_of(form):
    [shown] = [child for child in form.widget.children if isinstance(child, ipywidgets.HTML)]
    return shown.value


def entry(form, description):
    [one] = [w for w in form.widget.children if getattr(w, "description", "") == description]
    return one


def test_what_is_typed_is_in_the_record(record):
    form = record_form(record)
    entry(form, "Owner").value = "eta-oncall rota"
    entry(form, "Serving").value = "realtime"
    entry(form, "Serving: why").value = "The display asks."
    entry(form, "Rollback: within minutes").value = "5"
    entry(form, "Sizing: servers").value = "6"
    assert record.owner == "eta-oncall rota"
    assert (record.serving.choice, record.serving.why) == ("realtime", "The display asks.")
    assert (record.rollback.within, record.sizing.servers, form.message) == (5.0, 6, "")


def test_every_entry_can_be_typed_and_read_back(record):
    form = record_form(record)
    assert form.widget is form.widget
    for name in form.entries():
        made = form._inputs[name]
        value = made.options[1][1] if isinstance(made, ipywidgets.Dropdown) else "7"
        form.set(name, value)
        assert form.message == "" and made.value == value, name
    assert {f.row for f in record.lint()} <= {"latency", "throughput", "logging", "security", "privacy"} | {
        *("baseline", "rollback", "monitoring", "compute", "sizing", "place", "rollout")
    }


def test_the_form_reads_a_record_that_is_filled_already(record):
    record.rollback = Rollback(within=2.5, owner="rota")
    form = record_form(record)
    assert entry(form, "Rollback: within minutes").value == "2.5"
    assert entry(form, "Sizing: requests a second").value == "40"
    record.owner = "Ada"
    form.refresh()
    assert entry(form, "Owner").value == "Ada"


def test_an_entry_that_the_record_refuses_is_told_and_taken_back(record):
    form = record_form(record)
    for value, says in (
        ("many", "no number"),
        ("-1", "equal to 1"),
        ("1.5", "valid integer"),
        ("", "integer"),
    ):
        form.set("sizing.servers", value)
        assert says in form.message and "Not taken" in state_of(form)
        assert record.sizing.servers == 4 and form._inputs["sizing.servers"].value == "4"
    form.set("rollback.within", "3")
    form.set("rollback.within", "")
    assert record.rollback.within is None and "Not taken" not in state_of(form)


def test_findings_follow_each_entry(record):
    form = record_form(record)
    assert "owner, missing" in state_of(form) and "contradicted" in state_of(form)
    form.set("owner", "eta-oncall rota")
    assert "owner, missing" not in state_of(form)


def test_the_static_form_shows_the_records_state_and_escapes_it(record):
    bundle = record_form(record)._repr_mimebundle_()
    assert VIEW in bundle
    assert "ETA &lt;b&gt;service" in bundle["text/html"] and "<b>service" not in bundle["text/html"]
    assert "99% of the answers come within 200 ms" in bundle["text/html"]
    assert "latency, contradicted" in bundle["text/plain"] and bundle["text/plain"].startswith(
        "Form over Record("
    )
    again = record_form(record)._repr_mimebundle_()
    assert again["text/html"] == bundle["text/html"] and again["text/plain"] == bundle["text/plain"]


def test_a_sizing_is_made_in_code(record):
    record.sizing = None
    form = record_form(record)
    assert "sizing.servers" not in form.entries()
    with pytest.raises(ValueError, match="no entry"):
        form.set("sizing.servers", "3")
