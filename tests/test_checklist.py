"""The deployment record: what lint finds, what survives a file, what evidence says, and where people hide in a log."""

import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.checklist import (
    ROWS,
    Alert,
    Claim,
    Decision,
    Evidence,
    Record,
    RecordError,
    Rollback,
    Rollout,
    Sizing,
    batch_timing,
    coarse,
    find_personal,
    from_groups,
    from_leaks,
    from_model,
    from_sizing,
    from_trials,
    k_anonymity,
    mask,
    measured,
    model_bytes,
    peak_memory,
    pseudonym,
    rare_groups,
    redact,
    replay_record,
)
from mlprod_helpers.checklist.display_service import eta_record
from mlprod_helpers.checklist.linting import is_vague
from mlprod_helpers.checklist.measures import convert
from mlprod_helpers.lesson import values
from mlprod_helpers.queueing import (
    Batch,
    Constant,
    Exponential,
    Lognormal,
    Measured,
)

SIZING = Sizing(rate=40.0, servers=4, service=Lognormal(0.05, cv=1.0), seconds=60.0)
KEY = b"sixteen bytes at least, here more"


@pytest.fixture(scope="module")
def p99():
    return from_sizing(SIZING, "p99", seeds=20)


@pytest.fixture
def record(p99):
    """A record that is complete."""
    memory = Claim(
        metric="peak_memory", at_most=512, unit="MB", evidence=measured(1.8e8, "B", "predict", rows=1000)
    )
    tried = from_trials([True] * 40, "wrong payloads sent to the door")
    return Record(
        service="ETA of departing flights for the airport display",
        owner="eta-oncall rota",
        scenario=Decision("replace", "The timetable's block time is shown today."),
        baseline="block time of the timetable: mean absolute error 14 minutes",
        automation=Decision("full automation", "A wrong minute on a display harms nobody."),
        training=Decision("batch", "Labels come hours later, the winds change over weeks."),
        serving=Decision("realtime", "The display asks when the plane leaves the gate."),
        place=Decision("cloud", "Displays have a line and no processor to spare."),
        compute=Decision("CPU", "One row takes 1 ms.", [memory]),
        sizing=SIZING,
        latency=[Claim(metric="p99", at_most=320, unit="ms", evidence=p99)],
        throughput=[
            Claim(metric="throughput", at_least=60, unit="QPS", evidence=from_sizing(SIZING, "throughput"))
        ],
        logging=[
            Claim(metric="logged", at_least=100, unit="%", evidence=from_trials([True], "found in the log"))
        ],
        security=[Claim(metric="refused", at_least=100, unit="%", evidence=tried)],
        privacy=[Claim(metric="leaks", at_most=0, evidence=from_leaks([{"request_id": 1}], names=["Ada"]))],
        rollout=Rollout("canary", (0.05, 0.25, 1.0), 30, "Few displays show a fault."),
        rollback=Rollback(Alert("error_rate", above=2, unit="%"), 5, "eta-oncall rota", "router plan v1"),
        monitoring=[Alert("p99", above=500, unit="ms", minutes=5, tells="eta-oncall rota")],
    )


def problems(record, row=None):
    return (record.lint().of(row) if row else record.lint()).problems


# ------------------------------------------------------------------------------------------------------- lint


def test_a_complete_record_has_no_findings(record):
    assert record.lint() == ()
    assert "18 of 18 rows filled" in repr(record)


def test_an_empty_record_misses_each_row():
    findings = Record().lint()
    assert {finding.row for finding in findings} == set(ROWS)
    assert findings.problems == ["missing"]


@pytest.mark.parametrize("row", list(ROWS))
def test_a_row_that_was_emptied_is_found(record, row):
    setattr(record, row, getattr(Record(), row))
    assert "missing" in problems(record, row)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (
            "security",
            [Claim(metric="refused", at_least=50, unit="%", evidence=from_trials([True] * 4, "sent"))],
        ),
        (
            "privacy",
            [Claim(metric="leaks", at_most=3, evidence=from_leaks([{"request_id": 1}], names=["Ada"]))],
        ),
        ("privacy", [Claim(metric="k_anonymity", at_least=1, evidence=measured(9, "", "groups", rows=90))]),
        (
            "rollback",
            Rollback(Alert("error_rate", above=2, unit="%"), 600, "eta-oncall rota", "router plan v1"),
        ),
        ("monitoring", [Alert("p99", above=60, unit="s", minutes=5, tells="eta-oncall rota")]),
    ],
)
def test_a_threshold_that_a_bad_service_keeps_too_is_weak(record, row, value):
    setattr(record, row, value)
    assert problems(record, row) == ["weak"]


@pytest.mark.parametrize("text", ["0.8", "the timetable", "2013", "14 minutes"])
def test_a_baseline_gives_a_figure_and_says_of_what(record, text):
    record.baseline = text
    assert problems(record, "baseline") == ["vague"]


def test_the_key_of_a_log_travels_to_a_check():
    assert values.copy({"key": KEY}) == {"key": KEY}


def test_a_record_of_the_display_service_stays_empty_where_nothing_is_given():
    given = {
        "model_bytes": measured(0.5, "MB", "pickle", model="line"),
        "leaks": from_leaks([{"request_id": 1}], names=["Ada"]),
        "refused": from_trials([True], "sent"),
        "k_anonymity": measured(78, "", "groups", rows=90),
    }
    promises = {"refused_percent": 100, "smallest_group": 5, "p99_ms": 300, "qps": 80}
    assert {finding.problem for finding in eta_record(given).lint()} == {"missing"}
    empty = eta_record(given, servers=6, **promises)
    assert {finding.row for finding in empty.lint()} == {
        "baseline",
        "latency",
        "throughput",
        "rollback",
        "monitoring",
    }
    text = "median of the route, off by 8 minutes"
    whole = eta_record(given, baseline=text, servers=6, draws=10, alert_ms=2000, back_within=5, **promises)
    assert whole.lint() == ()


def test_words_instead_of_a_figure_are_vague_and_told_once(record):
    record.latency = [Claim("fast enough")]
    assert [f.problem for f in record.lint().of("latency")] == ["vague"]


def test_a_claim_without_evidence_is_named(record):
    record.latency = [replace(record.latency[0], evidence=None)]
    assert problems(record, "latency") == ["no evidence"]


def test_evidence_that_contradicts_its_claim_is_named_across_units(record):
    record.latency = [
        Claim(metric="p99", at_most=0.2, unit="s", evidence=measured(250, "ms", "load test", rate=40))
    ]
    assert problems(record, "latency") == ["contradicted"]
    record.latency = [
        Claim(metric="p99", at_most=0.3, unit="s", evidence=measured(250, "ms", "load test", rate=40))
    ]
    assert problems(record, "latency") == []


def test_one_bad_draw_of_twenty_keeps_a_promise_of_95_percent_and_two_break_it():
    def claim(bad, share=0.95):
        draws = (0.1,) * (20 - bad) + (0.3,) * bad
        return Claim(
            metric="p99", at_most=0.2, unit="s", evidence=Evidence(max(draws), "s", draws=draws), share=share
        )

    assert (claim(0).holds, claim(1).holds, claim(2).holds) == (True, True, False)
    assert claim(1, share=1.0).holds is False


def test_sized_on_one_seed_is_visible(record):
    record.latency = [replace(record.latency[0], evidence=from_sizing(SIZING, "p99", seeds=1))]
    [finding] = record.lint().of("latency")
    assert finding.problem == "one seed" and "10 seeds" in finding.message


def test_evidence_from_less_load_or_more_servers_is_named(record):
    for easier in (replace(SIZING, rate=20.0), replace(SIZING, servers=6)):
        record.latency = [replace(record.latency[0], evidence=from_sizing(easier, "p99", seeds=10))]
        assert problems(record, "latency") == ["other load"]


def test_evidence_that_nobody_could_repeat_is_named(record):
    record.latency = [Claim(metric="p99", at_most=320, unit="ms", evidence=Evidence(0.1, "s"))]
    assert problems(record, "latency") == ["source"]


def test_units_that_do_not_fit_are_named(record):
    record.latency = [Claim(metric="p99", at_most=320, unit="MB", evidence=record.latency[0].evidence)]
    assert problems(record, "latency") == ["unit"]
    record.latency = [Claim(metric="p99", at_most=320, evidence=record.latency[0].evidence)]
    assert problems(record, "latency") == ["unit"]
    record.monitoring = [Alert("p99", above=500, unit="MB", tells="rota")]
    assert problems(record, "monitoring") == ["unit"]


def test_the_wrong_side_of_a_metric_is_named(record, p99):
    record.latency = [Claim(metric="p99", at_least=100, unit="ms", evidence=p99)]
    assert problems(record, "latency") == ["inconsistent"]


def test_a_mean_alone_is_no_latency_promise_for_people_who_wait(record):
    evidence = from_sizing(SIZING, "mean_latency", seeds=10)
    record.latency = [Claim(metric="mean_latency", at_most=200, unit="ms", evidence=evidence)]
    assert "percentile" in record.lint().of("latency")[0].message
    record.serving = Decision("batch", "A letter goes out at night.")
    assert problems(record, "latency") == []


def test_a_rollback_needs_trigger_time_owner_and_a_way(record):
    whole = record.rollback
    for gap, word in (
        ({"triggers": ()}, "Nothing starts"),
        ({"within": None}, "No time"),
        ({"owner": ""}, "No owner"),
        ({"how": ""}, "No how"),
        ({"how": "as soon as possible"}, "nothing that anybody could do"),
        ({"triggers": Alert("error_rate")}, "at which value"),
    ):
        record.rollback = replace(whole, **gap)
        [finding] = record.lint()
        assert finding.row == "rollback" and word in finding.message


def test_an_alert_that_fires_while_the_promise_is_kept_is_named(record):
    record.monitoring = [Alert("p99", above=100, unit="ms", tells="eta-oncall rota")]
    [finding] = record.lint()
    assert (finding.row, finding.problem) == ("monitoring", "inconsistent")
    assert "20 of the 20 draws" in finding.message


def test_a_promise_that_nobody_watches_is_named(record):
    record.monitoring = [Alert("error_rate", above=1, unit="%", tells="eta-oncall rota")]
    [finding] = record.lint()
    assert finding.row == "monitoring" and "p99" in finding.message


def test_rows_that_cannot_both_be_true_are_named(record):
    record.throughput = [replace(record.throughput[0], at_least=30)]
    assert problems(record, "throughput") == ["inconsistent"]
    record.sizing = replace(SIZING, servers=2)  # 40 x 0.05 = 2: always busy
    assert "inconsistent" in problems(record, "sizing")


def test_an_edge_model_says_what_each_device_loads(record):
    record.place = Decision("edge", "The scanner has no line.")
    assert problems(record, "place") == ["missing"]
    size = Claim(metric="model_bytes", at_most=5, unit="MB", evidence=from_model({"weights": [0.5] * 100}))
    record.place = replace(record.place, claims=size)
    assert problems(record, "place") == []


def test_a_big_bang_and_a_canary_without_steps_are_questioned(record):
    for rollout in (Rollout("big bang"), Rollout("canary", minutes=10), Rollout("canary", (0.5, 0.1), 10)):
        record.rollout = rollout
        assert {f.row for f in record.lint()} == {"rollout"}


@pytest.mark.parametrize("text", ["fast enough", "TBD", "the team", "if necessary", "...", "best effort"])
def test_vague_words(text):
    assert is_vague(text)


@pytest.mark.parametrize(
    "text", ["the eta team's rota", "the old version after 5 minutes", "within 200 ms", "Ada"]
)
def test_plain_words_are_not_vague(text):
    assert not is_vague(text)


# ------------------------------------------------------------------------------------------- data, files, errors


LAWS = [Constant(0.05), Exponential(0.05), Lognormal(0.05, 1.3), Measured([0.1, 0.2, 0.1 + 0.2])]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_record_survives_a_file_without_loss(record, law, tmp_path):
    batch = Batch(8, 0.005, 0.1)
    record.sizing = replace(SIZING, service=law, batch=batch, timeout=2.0, queue_limit=50)
    record.latency = [
        *record.latency,
        Claim("never", "p99.9", 1.0, unit="s", evidence=Evidence(np.inf, "s", draws=(0.1, np.inf))),
    ]
    back = Record.load(record.save(tmp_path / "record.json"))
    assert back == record
    assert back.sizing.run(3).p99 == record.sizing.run(3).p99
    assert str(back.lint()) == str(record.lint())


def test_a_record_travels_through_the_codec_of_the_exercises(record):
    assert Record.from_dict(values.copy(record.to_dict())) == record
    assert Record.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record


def test_a_failed_save_leaves_the_old_file_whole(record, tmp_path, monkeypatch):
    path = record.save(tmp_path / "record.json")
    before = path.read_text()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    record.owner = "somebody else"
    with pytest.raises(OSError, match="disk full"):
        record.save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "Record should be a dictionary"),
        ({"schema": "other/1"}, "schema"),
        ({"latancy": []}, "latancy: Unexpected"),
        ({"latency": {"metric": "p99"}}, "latency should be a valid tuple"),
        ({"latency": [{"metric": "p99", "at_mots": 1}]}, r"latency\[0\]\.at_mots: Unexpected"),
        ({"latency": [{"metric": "p99", "at_most": "200"}]}, "valid number"),
        (
            {"latency": [{"metric": "p99", "evidence": {"unit": "s"}}]},
            r"latency\[0\]\.evidence\.figure: Field required",
        ),
        ({"latency": [{"metric": "p99", "evidence": {"figure": [1]}}]}, "valid number"),
        ({"latency": [{"metric": "p99", "evidence": 0.2}]}, "an instance of Evidence"),
        ({"serving": "sometimes"}, "serving is 'sometimes'"),
        ({"serving": {"choice": 3}}, "serving.choice should be a valid string"),
        ({"owner": 3}, "owner should be a valid string, and it is 3"),
        ({"sizing": {"rate": 1, "servers": 1}}, "sizing.service: Field required"),
        ({"sizing": {"rate": 1, "servers": 1, "service": {"law": "Normal", "mean": 1}}}, "'Normal'"),
        ({"sizing": {"rate": 1, "servers": 1, "service": {"law": "Measured"}}}, "seconds"),
        (
            {"sizing": {"rate": 1, "servers": 1.5, "service": {"law": "Constant", "mean": 1}}},
            "valid integer",
        ),
        (
            {"sizing": {"rate": 1, "servers": 1, "timeout": "x", "service": {"law": "Constant", "mean": 1}}},
            "timeout",
        ),
        ({"rollout": {"strategy": "canary", "steps": [5, 25]}}, "5% is 0.05"),
        ({"rollback": {"triggers": [{"above": 1}]}}, "metric: Field required"),
    ],
)
def test_data_that_is_no_record_is_refused_with_its_place(data, says):
    with pytest.raises(RecordError, match=says):
        Record.from_dict(data)


def test_each_fault_is_told_in_one_sentence_that_names_its_place():
    data = {"serving": "x", "latency": [{"at_most": "2", "text": "soon"}], "monitoring": [{"metric": ""}]}
    with pytest.raises(RecordError) as refused:
        Record.from_dict(data)
    assert str(refused.value) == (
        "serving is 'x': use one of 'batch', 'realtime'. latency[0].at_most should be a valid number, "
        "and it is '2'. "
        "monitoring[0] watches no metric: name it."
    )
    for call, sentence in (
        (lambda: Sizing(40.0, 0, 0.05), "Sizing.servers should be greater than or equal to 1, and it is 0."),
        (lambda: Sizing(40.0), "Sizing.servers: Field required. Sizing.service: Field required."),
        (lambda: Alert("p99", 1, None, "s", 5, "rota", 7), "Alert.[6]: Unexpected positional argument."),
        (lambda: Claim(metrik="p99"), "Claim.metrik: Unexpected keyword argument."),
        (lambda: Decision("cloud", claims=3), "Decision.claims should be a valid tuple, and it is 3."),
        (lambda: Sizing(40.0, 1, -1), "Sizing.service: mean is -1.0, but it is a finite number"),
        (lambda: Evidence(True), "Evidence.figure should be a valid number, and it is True."),
    ):
        with pytest.raises(RecordError) as refused:
            call()
        assert str(refused.value).startswith(sentence)


def test_numbers_of_numpy_are_numbers():
    claim = Claim(
        "size", at_most=np.int64(3), evidence=Evidence(np.float32(0.5), draws=np.array([0.5, 0.25]))
    )
    assert json.dumps(Record(latency=claim).to_dict()) and claim.evidence.draws == (0.5, 0.25)
    assert Sizing(1, np.int64(3), 0.05).servers == Sizing(1, 3.0, 0.05).servers == 3


def test_a_file_that_is_no_record_is_refused(tmp_path):
    (tmp_path / "broken.json").write_text('{"service": "ETA"')
    with pytest.raises(RecordError, match="no JSON"):
        Record.load(tmp_path / "broken.json")


def test_wrong_values_are_refused_where_they_are_set(record):
    with pytest.raises(RecordError, match="no attribute 'rolback'"):
        record.rolback = Rollback()
    with pytest.raises(RecordError, match=r"latency\[0\] should be a dictionary or an instance of Claim"):
        record.latency = [0.2]
    with pytest.raises(RecordError, match="two thresholds"):
        Claim(metric="p99", at_most=1, at_least=0, unit="s")
    with pytest.raises(RecordError, match="is a number"):
        Evidence(float("nan"), "s")
    with pytest.raises(RecordError, match="outside of its own draws"):
        Evidence(0.1, "s", draws=(0.2, 0.3))
    with pytest.raises(RecordError, match="Claim.evidence should be"):
        Claim(metric="p99", at_most=1, unit="s", evidence=0.2)


def test_the_runbook_begins_with_the_way_back_and_breaks_no_table(record):
    record.owner = "rota | with\na pipe"
    text = record.runbook()
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        "# Runbook: ETA of departing flights for the airport display",
        *("## Roll back", "## Alerts", "## Promises", "## Rollout", "## Decisions", "## Open"),
    ]
    assert "- error_rate above 2% for 5 minutes" in text and "within: 5 minutes" in text
    record.monitoring = [Alert("p99", above=500, unit="ms", tells="a | b\nc")]
    assert "| p99 | above 500 ms | 5 minutes | a \\| b c |" in record.runbook()
    assert "MISSED" not in text and "nothing is promised" not in text.lower()
    assert "not stated" in Record().runbook()


# --------------------------------------------------------------------------------------------------- evidence


@pytest.mark.parametrize(
    ("value", "unit", "to", "want"),
    [
        (0.2, "s", "ms", 200),
        (2, "%", "share", 0.02),
        (1, "MiB", "B", 2**20),
        (3600, "1/h", "QPS", 1),
        (0.3, "s", "ms", 300),
    ],
)
def test_units_convert(value, unit, to, want):
    assert convert(value, unit, to) == want


def test_evidence_of_a_sizing_is_that_of_its_runs(p99):
    runs = [SIZING.run(seed) for seed in range(20)]
    assert p99.draws == tuple(run.p99 for run in runs)
    assert p99.figure == max(run.p99 for run in runs)
    assert p99.conditions["rate"] == 40.0 and p99.conditions["requests"] == sum(map(len, runs))


def test_the_worst_draw_of_a_high_metric_is_the_lowest():
    evidence = from_sizing(SIZING, "throughput", seeds=5)
    assert evidence.figure == min(evidence.draws)
    assert np.mean(evidence.draws) == pytest.approx(4 / 0.05, rel=0.05)


def test_a_dropped_request_was_never_answered():
    full = replace(SIZING, servers=1, service=Constant(2.0), queue_limit=0)
    assert from_sizing(full, "p99", seeds=1).figure == np.inf
    assert from_sizing(full, "drop_rate", seeds=1).figure == pytest.approx(1 - 1 / 80, abs=0.003)


def test_runs_and_seeds_that_prove_nothing_are_refused():
    for call, says in (
        (lambda: from_sizing(replace(SIZING, rate=0.0)), "says nothing"),
        (lambda: from_sizing(SIZING, "accuracy"), "does not know"),
        (lambda: from_sizing(SIZING, seeds=[1, 1]), "stands twice"),
        (lambda: from_sizing(SIZING, seeds=0), "no seed"),
        (lambda: measured([], "s", "nothing"), "at least once"),
        (lambda: from_trials([], "nothing"), "at least one"),
        (lambda: from_leaks([]), "empty log"),
    ):
        with pytest.raises(RecordError, match=says):
            call()


def test_the_size_of_real_models_is_measured_both_ways():
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    X = np.random.default_rng(0).normal(size=(300, 4))
    linear = model_bytes(LinearRegression().fit(X, X[:, 0]))
    trees = model_bytes(HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(X, X[:, 0]))
    assert 200 < linear["json"] < 2000 and 200 < linear["pickle"] < 2000
    assert trees["json"] > 10 * linear["json"] and trees["pickle"] > 5 * linear["pickle"]


def test_peak_memory_sees_arrays_that_are_gone_when_the_call_returns():
    assert 16e6 <= peak_memory(lambda: float((np.ones(10**6) + np.ones(10**6)).sum())) < 30e6
    assert peak_memory(lambda: None) < 10_000


def test_a_batch_is_timed_by_row():
    table = batch_timing(np.sum, pd.DataFrame({"x": [1.0, 2.0]}), sizes=(1, 5), repeats=2)
    assert np.allclose(table["seconds"] / table.index, table["seconds_per_row"])


# ---------------------------------------------------------------------------------------------------- privacy


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ada.lovelace+eta@mail.example.org, please", "mail"),
        ("+49 151 2345678", "phone"),
        ("call (212) 555-0134 today", "phone"),
        ("0151/23456789", "phone"),
        ("from 192.168.100.200", "ip"),
        ("ask Ada about it", "name"),
        ("ask ADA about it", "name"),
    ],
)
def test_people_are_found_in_free_text(text, kind):
    assert [trace.kind for trace in find_personal({"a": [{"b": text}]}, names=["Ada"])] == [kind]
    assert find_personal(mask(text, names=["Ada"]), names=["Ada"]) == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2013-01-01 05:15:00",
            "2013-01-01T05:15:00Z",
            "1 Jan 2013, 10:15",
            "200 ms at 40 QPS",
            "0.123456789",
        ),
        *(
            "flight 1545 from JFK",
            "12345678901",
            "3.14159265",
            "version 1.2.3",
            "1e-05",
            "Adapter",
            "v2 (a1b2c3d4e5f60718)",
        ),
    ],
)
def test_dates_ids_and_numbers_are_no_people(text):
    assert find_personal({"field": text}, names=["Ada"]) == []
    assert mask(text, names=["Ada"]) == text


def test_telling_keys_are_found_at_any_depth():
    entry = {
        "user": {"first_name": "A", "Email": ""},
        "features": {"carrier": "UA", "origin": "JFK"},
        "birthday": "1 May",
    }
    assert [(t.path, t.kind) for t in find_personal(entry)] == [
        ("user.first_name", "key"),
        ("birthday", "key"),
    ]


def test_redaction_keeps_what_is_listed_and_nothing_else():
    entry = {
        "request_id": 7,
        "version": "v1",
        "latency_ms": 12.5,
        "user_id": 123456,
        "new_field": "ada@example.org",
        "features": {"distance": 1416, "passenger": {"name": "Ada"}},
        "comment": "Ada, +49 151 2345678, ada@example.org",
    }
    before = json.dumps(entry)
    out = redact(
        entry,
        keep=["request_id", "version", "latency_ms"],
        pseudonyms=["user_id"],
        coarsen={"features.distance": 100},
        free_text=["comment"],
        key=KEY,
        names=["Ada"],
    )
    assert list(out) == ["request_id", "version", "latency_ms", "user_id", "features", "comment"]
    assert out["features"] == {"distance": 1400} and out["comment"] == "[name], [phone], [mail]"
    assert find_personal(out, names=["Ada", "123456"]) == []
    assert json.dumps(entry) == before


def test_a_pseudonym_is_stable_depends_on_the_key_and_needs_one():
    assert pseudonym("u1", KEY) == pseudonym("u1", KEY) != pseudonym("u2", KEY)
    assert pseudonym("u1", KEY) != pseudonym("u1", KEY + b"!")
    assert len({pseudonym(i, KEY) for i in range(2000)}) == 2000
    for key in (None, "a text of enough length", b"short"):
        with pytest.raises(RecordError, match="16 random bytes"):
            pseudonym("u1", key)
    with pytest.raises(RecordError, match="need a key"):
        redact({"user_id": 1}, pseudonyms=["user_id"])


def test_the_keyed_hash_is_that_of_rfc_4231():
    assert (
        pseudonym("Hi There", b"\x0b" * 20)
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"[:16]
    )


def test_numbers_are_made_coarse():
    assert (coarse(1416, 100), coarse(0.37, 0.1), coarse(-1, 10)) == (1400, 0.3, -10)
    with pytest.raises(RecordError, match="no number"):
        coarse("far", 100)


def test_k_anonymity_counts_missing_values_and_no_empty_categories():
    log = pd.DataFrame({"hour": [5, 5, 5, 6, 6, None, None]})
    assert k_anonymity(log, "hour") == 2
    assert rare_groups(log, "hour", 3).tolist() == [2, 2]
    log["carrier"] = pd.Categorical(["UA"] * 7, categories=["UA", "HA"])
    assert k_anonymity(log, ["carrier"]) == 7 == from_groups(log, "carrier").figure
    for call in (
        lambda: k_anonymity(log, ["seat"]),
        lambda: k_anonymity(log[:0], ["hour"]),
        lambda: k_anonymity(log, []),
    ):
        with pytest.raises(RecordError):
            call()


def test_coarser_columns_hide_people_in_larger_groups():
    distance = np.random.default_rng(0).integers(90, 3000, size=2000)
    log = pd.DataFrame({"distance": distance, "coarse": [coarse(int(d), 1000) for d in distance]})
    assert k_anonymity(log, "distance") == 1 and k_anonymity(log, "coarse") > 500


# ----------------------------------------------------------------------------------------------------- replay


def test_a_sound_record_keeps_its_promises_on_new_traffic(record):
    for seed in range(5):
        replay = replay_record(record, random_state=seed)
        assert replay.met, replay.reason
    assert set(replay.claims["metric"]) == {"p99", "throughput"}


def test_a_record_sized_on_one_lucky_seed_is_caught(record):
    lucky = min(range(40), key=lambda seed: SIZING.run(seed).p99)
    evidence = from_sizing(SIZING, "p99", seeds=[lucky])
    record.latency = [Claim(metric="p99", at_most=evidence.figure, unit="s", evidence=evidence)]
    assert record.latency[0].holds
    replay = replay_record(record, random_state=0)
    assert not replay.met and "is missed" in replay.reason


def test_a_record_that_understates_its_traffic_or_service_time_is_caught(record):
    assert not replay_record(record, rate=60, random_state=0).met
    assert not replay_record(record, service=Lognormal(0.07, 1.0), random_state=0).met
    assert replay_record(record, rate=20, random_state=0).met


def test_traffic_is_drawn_around_the_load_and_repeats_with_its_seed(record):
    one, two = (replay_record(record, random_state=3) for _ in range(2))
    assert one.draws.equals(two.draws)
    assert one.draws["rate"].between(38, 42).all() and one.draws["rate"].std() > 0.5


def test_nothing_to_replay_is_not_met(record):
    record.latency = record.throughput = [Claim("fast enough")]
    replay = replay_record(record, random_state=0)
    assert not replay.met and replay.reason.startswith("Nothing to replay")
    record.sizing = None
    with pytest.raises(RecordError, match="no sizing"):
        replay_record(record)


# ---------------------------------------------------------------- pseudonyms


def test_one_user_has_one_pseudonym_whether_the_id_is_whole_or_a_float():
    key = b"0123456789abcdef"
    assert pseudonym(7, key) == pseudonym(7.0, key) == pseudonym(np.int64(7), key) == pseudonym("7", key)
    assert redact({"u": np.nan}, pseudonyms=["u"], key=key) == {"u": None}
    with pytest.raises(ValueError, match="names nobody"):
        pseudonym(None, key)
