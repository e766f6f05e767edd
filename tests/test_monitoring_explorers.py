"""The dashboard shows what was known and nothing later; the tuner's numbers are those of the judge."""

import re

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import faults
from mlprod_helpers.explore import alert_month, alert_picture, alert_tuner, dashboard, dashboard_explorer
from mlprod_helpers.explore.monitoring import _Board
from mlprod_helpers.monitoring import MonitoringPlan, Row, Rule, evaluate, judge, measure, service_log
from mlprod_helpers.requestlog import as_of

PLAN = MonitoringPlan(
    "search",
    [
        Row("nobody clicks", Rule("ctr", below=0.02, for_="3h", severity="ticket")),
        Row("answers are slow", Rule("latency_p95", above=450, for_="1h")),
        Row("prices are gone", Rule("missing_rows", above=0.1, for_="2h")),
    ],
)
NAMES = [rule.metric for rule in PLAN.rules]


@pytest.fixture(scope="module")
def broken():
    log = service_log(11, rate=0.03, random_state=4)
    slow = faults.SlowDependency(700.0, share=0.5, start="2024-01-08 06:00Z", end="2024-01-08 18:00Z")
    feed = faults.FeedOutage("price", share=0.7, start="2024-01-11 02:00Z", end="2024-01-11 20:00Z")
    return faults.apply(log, [slow, feed], random_state=0)


def flat(days=10, value=1.0, name="x"):
    index = pd.date_range("2024-01-01", periods=24 * days, freq="1h", tz="UTC")
    return pd.DataFrame({name: value + 0.01 * (np.arange(24 * days) % 5)}, index)


def pixels(figure):
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB"))


@pytest.mark.parametrize("now", ["2024-01-08 12:00Z", "2024-01-11 15:30Z", "2024-01-12 00:00Z"])
def test_the_words_are_facts_worked_out_by_hand(broken, now):
    log, seal = broken
    now = pd.Timestamp(now)
    alt = dashboard(log, PLAN, seal, now).alt
    # only windows that are over count: the last one is the full hour before now
    end = now.floor("h")
    measured = measure(as_of(log, now), NAMES, "1h")
    measured = measured[measured.index + pd.Timedelta("1h") <= now]
    assert measured.index[-1] == end - pd.Timedelta("1h")
    reference = measured.iloc[:168]
    hour = measured.index[-1].hour
    near = [reference.index.hour == (hour + step) % 24 for step in (-1, 0, 1)]
    for name in NAMES:
        usual = np.concatenate([reference[name][mask] for mask in near])
        low, high = np.nanquantile(usual, [0.01, 0.99])
        told = re.search(rf"(?<!\w){name} \S+( \S+)? \(usual", alt)
        assert bool(told) == (not low <= measured[name].iloc[-1] <= high), name
    alerts = evaluate(PLAN, measured)
    assert f"{len(alerts)} alert" in alt
    for alert in alerts[alerts["end"].isna()].itertuples():
        assert f"{alert.rule} ({alert.severity}, since {alert.start:%d %b %H:%M})" in alt
    for incident in seal.reveal():
        assert (f"{incident.kind} from" in alt) == (incident.start_time <= now)


def test_now_hides_the_future(broken):
    log, seal = broken
    now = pd.Timestamp("2024-01-08 10:00Z")
    so_far = dashboard(log, PLAN, seal, now)
    # the same page from a log that ends then, and from one with another future
    wild = log.assign(latency_ms=log["latency_ms"].where(log["time"] <= now, 1.0))
    cut = as_of(log, now)
    for other in (cut, wild):
        again = dashboard(other, PLAN, seal, now)
        assert (again.alt, again.png) == (so_far.alt, so_far.png)
    # clicks that came later are not counted
    eager = log.assign(clicked=True, click_time=now + pd.Timedelta("1s"))
    assert "CtrLow (ticket, since" in dashboard(eager, PLAN, now=now).alt
    late = eager.assign(click_time=now)
    assert "CtrLow" not in dashboard(late, PLAN, now=now).alt


def test_the_slider_tells_what_the_page_tells(broken):
    log, seal = broken
    explorer = dashboard_explorer(log, PLAN, seal)
    assert explorer.figure.alt == dashboard(log, PLAN, seal).alt
    for hours in (170, 190, 254):
        explorer.set(hours=hours)
        now = pd.Timestamp("2024-01-01 00:00Z") + pd.Timedelta(hours=hours)
        assert explorer.figure.alt == dashboard(log, PLAN, seal, now).alt
    assert explorer._controls["hours"].low == 168  # the first week is the reference


def test_the_slider_shows_nothing_of_what_is_to_come():
    calm, wild = flat(), flat()
    wild.iloc[200:] = 50.0
    rule = Rule("x", above=2)
    pages = [dashboard_explorer(measured, rule) for measured in (calm, wild)]
    for page in pages:
        page.set(hours=199)
    assert pages[0].figure.png == pages[1].figure.png
    for page in pages:
        page.set(hours=204)
    assert "Firing: none" not in pages[1].figure.alt and "No alert" in pages[0].figure.alt


def test_panels_stand_in_the_order_of_families_each_metric_once():
    index = flat().index
    names = ["ctr", "own", "error_rate", "missing_rows", "ctr[device=phone]", "latency_p99"]
    measured = pd.DataFrame({name: np.linspace(0, 1, len(index)) for name in names}, index)
    rules = [Rule(name, above=2, owner="a") for name in names] + [Rule("ctr", below=-1, name="second")]
    board = _Board(rules, measured, index[0], index[-1] + pd.Timedelta("1h"), pd.Timedelta("1h"))
    assert list(board.panels) == [
        *("error_rate", "latency_p99", "missing_rows", "ctr", "ctr[device=phone]", "own")
    ]


def test_incidents_and_alerts_are_marked():
    measured = flat()
    measured.iloc[200:206] = 3.0
    at = measured.index
    rule = Rule("x", above=2)
    drill = pd.DataFrame({"kind": ["drill"], "start": [at[200]], "end": [at[206]]})
    marked, bare = (dashboard(measured, rule, incidents) for incidents in (drill, None))
    assert "Incidents marked: drill from 09 Jan 08:00." in marked.alt and "marked" not in bare.alt
    changed = np.flatnonzero((pixels(marked) != pixels(bare)).any(axis=(0, 2)))
    assert len(changed)
    board = _Board(rule, measured, at[0], at[-1] + pd.Timedelta("1h"), pd.Timedelta("1h"), measured)
    board.picture(measured, drill)
    shade, bars, line, *_ = board.panels["x"]
    days = [at[200], at[206], at[201], at[207]]  # the alert is known, and ends, an hour later
    spans = [*shade.get_paths()[0].vertices[:, 0], *bars["page"].get_paths()[0].vertices[:, 0]]
    expected = {day.timestamp() / 86400 for day in days}
    assert {round(x, 6) for x in spans} == {round(x, 6) for x in expected}
    assert not bars["ticket"].get_paths()
    assert line.get_xdata()[0] == pytest.approx(at[1].timestamp() / 86400)  # known when the window is over


def test_a_reference_of_ones_own_sets_the_usual_range():
    measured = flat(4)
    assert "None is out" in dashboard(measured, Rule("x", above=9)).alt
    alt = dashboard(measured, Rule("x", above=9), reference=flat(14, value=0.5)).alt
    assert "Out of the usual range: x 1 (usual 0.5 to 0.54)" in alt


def test_empty_windows_are_said_and_drawn():
    measured = flat()
    measured.iloc[50:60] = np.nan
    measured.iloc[-1] = np.nan
    alt = dashboard(measured, Rule("x", above=2, absent=True)).alt
    assert "Missing: x." in alt and "XHigh (page, since 11 Jan 00:00)" in alt
    nothing = dashboard(measured * np.nan, Rule("x", above=2))
    assert "Missing: x. No alert so far." in nothing.alt and nothing.png.startswith(b"\x89PNG")
    gone = measured.drop(measured.index[100:110])  # left out windows are missing ones
    assert dashboard(gone, Rule("x", above=2)).png


def test_a_log_that_falls_silent_shows_silence(broken):
    log, _ = broken
    plan = [Rule("throughput", below=0.001), *PLAN.rules]
    alt = dashboard(log, plan, now="2024-01-12 06:00Z").alt
    assert "throughput 0 requests/s" in alt and "ThroughputLow" in alt and "ctr" in alt.split("Missing:")[1]


@pytest.mark.parametrize(
    ("given", "plan", "settings", "says"),
    [
        (flat(), MonitoringPlan("empty", [Row("dark")]), {}, "no rule"),
        (flat(), Rule("y", above=1), {}, "no metric 'y'"),
        (flat(), Rule("x", above=1), {"now": "2024-01-01 01:30Z"}, "Fewer than two windows"),
        (flat(), Rule("x", above=1), {"now": "2024-01-03"}, "no time zone"),
        (flat(), ["x"], {}, "no rule"),
        (flat().reset_index(drop=True), Rule("x", above=1), {}, "start of each window"),
    ],
)
def test_bad_input_is_named(given, plan, settings, says):
    with pytest.raises(ValueError, match=says):
        dashboard(given, plan, **settings)


def numbers(alt):
    caught, late, missed, false, pages = re.search(
        r"(\d+) of 5 incidents caught within 4 hours, (\d+) late, (\d+) missed; (\d+) of (\d+) pages", alt
    ).groups()
    return [int(each) for each in (caught, late, missed, false, pages)]


@pytest.mark.parametrize("hold", [0, 1, 2, 3, 4, 6])
@pytest.mark.parametrize("threshold", [250, 400, 700, 1500])
def test_the_tuners_numbers_are_those_of_the_judge(threshold, hold):
    measured, incidents = alert_month()
    alerts = evaluate(Rule("latency_p95", above=threshold, for_=f"{hold}h"), measured)
    verdict = judge(alerts, incidents, measured, deadline="4h", grace="1h")
    assert numbers(alert_picture(threshold, hold).alt) == [
        *(verdict.caught, verdict.late, verdict.missed, verdict.false_pages, len(alerts))
    ]


def test_the_tuner_has_a_trade_and_a_good_corner():
    eager, patient, deaf = (numbers(alert_picture(*each).alt) for each in ((400, 0), (400, 3), (1500, 6)))
    assert eager[0] == 5 and eager[3] >= 12  # every blip pages
    assert patient[0] == 5 and patient[3] == 0
    assert deaf[0] == 0 and deaf[2] > 0
    assert numbers(alert_picture(400, 4).alt)[0] == 0  # a page after four hours and more is late for all


def test_the_tuner_moves_and_comes_back():
    tuner = alert_tuner()
    before = tuner.figure.png
    tuner.set(hold=3)
    assert "for 3 h" in tuner.figure.alt and tuner.figure.png != before
    tuner.reset()
    assert tuner.figure.png == before
    with pytest.raises(ValueError, match="duration is 0 or more"):
        alert_picture(500, -1)
