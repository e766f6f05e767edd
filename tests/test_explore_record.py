"""The form over a deployment record: entries and record say the same, and nothing is lost where nothing runs."""

import pytest

from mlprod_helpers.checklist import Claim, Record, Sizing, measured
from mlprod_helpers.explore import record_form


@pytest.fixture
def record():
    claim = Claim(metric="p99", at_most=200, unit="ms", evidence=measured(0.3, "s", "load test", rate=40))
    return Record("ETA <b>service</b>", sizing=Sizing(40.0, 4, 0.05), latency=[claim])


@pytest.fixture
def form(record):
    return record_form(record)


def entry(form, description):
    [one] = [w for w in form.widget.children if getattr(w, "description", "") == description]
    return one


def test_what_is_typed_is_in_the_record_and_its_finding_is_gone(form, record):
    state = form.widget.children[-1]
    assert "owner, missing" in state.value and "contradicted" in state.value
    entry(form, "Owner").value = "eta-oncall rota"
    entry(form, "Serving").value = "realtime"
    entry(form, "Serving: why").value = "The display asks."
    assert (record.owner, record.serving.choice) == ("eta-oncall rota", "realtime")
    assert record.serving.why == "The display asks."
    assert "owner, missing" not in state.value and "contradicted" in state.value


def test_every_text_and_decision_has_an_entry_that_takes_each_of_its_options(form):
    entries = form.widget.children[1:-2]
    assert len(entries) == 15
    for each in entries:
        for value in [value for _, value in each.options] if hasattr(each, "options") else ["7"]:
            each.value = value
            assert repr(value) in repr(form.record.to_dict())


def test_a_change_in_code_is_shown_when_the_record_is_read_again(form, record):
    record.owner = "Ada"
    entry(form, "Read the record again").click()
    assert entry(form, "Owner").value == "Ada" and "Ada" in form.widget.children[-1].value


def test_the_static_form_shows_the_records_state_and_escapes_it(form, record):
    bundle = form._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "ETA &lt;b&gt;service" in bundle["text/html"] and "<b>service" not in bundle["text/html"]
    assert "99% of the answers come within 200 ms" in bundle["text/html"]
    assert bundle["text/plain"].startswith("Form over Record(")
    assert "latency, contradicted" in bundle["text/plain"]
    again = record_form(record)._repr_mimebundle_()
    assert (again["text/html"], again["text/plain"]) == (bundle["text/html"], bundle["text/plain"])
