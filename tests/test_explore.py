"""Explorers: live sliders, the same picture everywhere else, and each of them says what its lesson says."""

import math
import re

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri

from mlprod_helpers import plots, serving
from mlprod_helpers.automation import Costs, Reviewers, cost_curve, uniform_cases
from mlprod_helpers.drift import psi_under_no_drift
from mlprod_helpers.explore import (
    Choice,
    Slider,
    adversarial_explorer,
    alarm_explorer,
    alarm_tradeoff,
    automation_explorer,
    explore,
    latency,
    load,
    measured_latency_explorer,
    rollout_explorer,
    rollouts,
)
from mlprod_helpers.explore.adversarial import _best_curve, adversarial_picture, best_auc, samples
from mlprod_helpers.explore.automation import automation_picture
from mlprod_helpers.explore.drift import drift_picture
from mlprod_helpers.explore.paging import EACH_HOUR, ONE_LIMIT, paging_picture
from mlprod_helpers.explore.rollouts import FAULTS, PLANS, rollout_picture
from mlprod_helpers.queueing import Exponential


@pytest.fixture(scope="module")
def blank():
    """PNG bytes that cost nothing to draw again."""
    return plots.show(plots.figure(size=(2, 1))[0], alt="An empty figure, small and quick.").png


@pytest.fixture
def counted(blank):
    """A function to explore that notes the values it was called with, and fails at three."""
    calls = []

    def fn(x, kind):
        calls.append((x, kind))
        if x == 3:
            raise ZeroDivisionError("x is <three>")
        return plots.Figure.from_png(blank, f"A picture of x = {x} & kind {kind}.")

    fn.calls = calls
    return fn


@pytest.fixture
def explorer(counted):
    return explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden", "gra<dual"]))


def widget(explorer, kind):
    _, controls, picture = explorer.widget.children
    inputs, reset = controls.children
    [one] = [each for each in (*inputs.children, reset, picture) if isinstance(each, kind)]
    return one


def picture_of(explorer):
    return widget(explorer, ipywidgets.HTML).value


# --- the controls -----------------------------------------------------------------------------------------------


def test_sliders_and_choices_become_widgets(explorer):
    slider = widget(explorer, ipywidgets.IntSlider)
    assert (slider.min, slider.max, slider.step, slider.value) == (1, 5, 1, 2)
    assert widget(explorer, ipywidgets.Dropdown).options == ("sudden", "gra<dual")
    assert explorer.values == {"x": 2, "kind": "sudden"}
    assert Choice([1, 2], start=2).start == 2


def test_labels_carry_their_unit_and_readouts_the_digits_of_the_step(blank):
    def fn(shift, half_life):
        return plots.Figure.from_png(blank, f"A picture of shift {shift} and half-life {half_life}.")

    made = explore(fn, shift=Slider(0, 3, 0.05, 1, label="shift", unit="sd"), half_life=Slider(1, 90, 1, 1))
    shift = widget(made, ipywidgets.FloatSlider)
    assert (shift.description, shift.readout_format) == ("shift (sd)", ".2f")
    assert widget(made, ipywidgets.IntSlider).description == "half life"
    assert repr(made).startswith("Explorer with shift: 1 sd; half life: 1. ")


def test_numbers_in_rising_order_become_stops_of_a_slider_and_other_choices_a_list(blank):
    def fn(rows, order, kind):
        return plots.Figure.from_png(
            blank, f"A picture of {rows} rows, {order} and {kind} as they were chosen."
        )

    rows = Choice([100, 1_000, 5_000], 1_000, label="rows", unit="a week")
    made = explore(fn, rows=rows, order=Choice([3, 1, 2]), kind=Choice([False, True]))
    slider = widget(made, ipywidgets.SelectionSlider)
    assert (slider.options, slider.description) == (
        (("100", 100), ("1,000", 1_000), ("5,000", 5_000)),
        "rows (a week)",
    )
    lists = [each.description for each in made.widget.children[1].children[0].children[1:]]
    assert (
        lists == ["order", "kind"]
        and [type(each) for each in made.widget.children[1].children[0].children[1:]]
        == [ipywidgets.Dropdown] * 2
    )
    slider.value = 5_000
    assert made.values["rows"] == 5_000 and repr(made).startswith("Explorer with rows: 5000 a week; order: 3")


def test_a_value_is_written_as_its_step_writes_it(counted):
    made = explore(counted, x=Slider(0, 1, 0.1, 0.2), kind=Choice(["sudden"]))
    widget(made, ipywidgets.FloatSlider).value = 0.30000000000000004
    widget(made, ipywidgets.FloatSlider).value = 0.800000011920929
    assert counted.calls == [(0.2, "sudden"), (0.3, "sudden"), (0.8, "sudden")]


def test_a_reset_button_is_read_as_reset(explorer):
    assert (widget(explorer, ipywidgets.Button).description, widget(explorer, ipywidgets.Button).icon) == (
        "Reset",
        "",
    )


@pytest.mark.parametrize(
    ("control", "error", "says"),
    [
        (lambda: Slider(3, 1, 1, 1), ValueError, "No slider runs from 3 to 1"),
        (lambda: Slider(0, 1, 0, 0), ValueError, "in steps of 0"),
        (lambda: Slider(0, 1, 2, 0), ValueError, "in steps of 2"),
        (lambda: Slider(0, 1, 0.1, 5), ValueError, "starts at 5"),
        (lambda: Slider(0, math.nan, 1, 0), ValueError, "to nan"),
        (lambda: Choice([]), ValueError, "at least one option"),
        (lambda: Choice([1, 2], start=3), ValueError, "not one of the options"),
        (lambda: (0, 1, 0.1), TypeError, "no control"),
    ],
)
def test_controls_that_make_no_sense_are_refused(control, error, says):
    with pytest.raises(error, match=says):
        explore(lambda x: None, x=control())


def test_what_is_wrong_with_a_first_picture_is_the_authors_to_see(counted):
    with pytest.raises(ZeroDivisionError):
        explore(counted, x=Slider(1, 5, 1, 3), kind=Choice(["sudden"]))
    with pytest.raises(TypeError, match="returned int"):
        explore(lambda x: 1, x=Slider(1, 5, 1, 1))
    with pytest.raises(ValueError, match="at least one control"):
        explore(counted)


def test_a_move_draws_once_and_changes_picture_text_and_static_forms(explorer, counted):
    widget(explorer, ipywidgets.IntSlider).value = 4
    assert counted.calls == [(2, "sudden"), (4, "sudden")]
    assert 'alt="A picture of x = 4 &amp; kind sudden."' in picture_of(explorer)
    assert explorer.values == {"x": 4, "kind": "sudden"}
    explorer.set(kind="gra<dual")
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert bundle["text/plain"] == "Explorer with x: 4; kind: gra<dual. A picture of x = 4 & kind gra<dual."
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert "Explorer with x: 4; kind: gra&lt;dual." in bundle["text/html"]


def test_reset_puts_all_controls_back_and_draws_once(explorer, counted):
    before = picture_of(explorer)
    explorer.set(x=5, kind="gra<dual")
    assert picture_of(explorer) != before
    button = widget(explorer, ipywidgets.Button)
    button.click()
    assert picture_of(explorer) == before
    button.click()  # nothing moved: nothing to draw
    assert counted.calls == [(2, "sudden"), (5, "gra<dual"), (2, "sudden")]


def test_an_error_is_shown_as_text_and_the_sliders_stay_alive(explorer):
    slider = widget(explorer, ipywidgets.IntSlider)
    slider.value = 3
    assert "No picture with x: 3; kind: sudden" in picture_of(explorer)
    assert "ZeroDivisionError: x is &lt;three&gt;" in picture_of(explorer)
    assert "ZeroDivisionError" in repr(explorer)
    slider.value = 4
    assert "A picture of x = 4" in picture_of(explorer)


# --- two samples: the best possible AUC -------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.001, 0.2, 1.19, 3])
def test_without_correlation_the_best_auc_is_that_of_a_shift(shift):
    assert best_auc(shift, 0) == pytest.approx(ndtr(shift / math.sqrt(2)), abs=1e-7)
    assert best_auc(shift, 1e-9) == pytest.approx(best_auc(shift, 0), abs=1e-7)


@pytest.mark.parametrize("correlation", [0.001, 0.3, 0.8, 0.95, -0.8])
def test_without_shift_the_best_auc_is_half_of_one_plus_the_correlation(correlation):
    assert best_auc(0, correlation) == pytest.approx((1 + abs(correlation)) / 2, abs=1e-7)


@pytest.mark.parametrize(("shift", "correlation"), [(0.5, 0.3), (1.19, 0.8), (1, -0.5), (2, 0.9)])
def test_best_auc_is_that_of_the_likelihood_ratio_in_a_simulation(shift, correlation):
    rows = 200_000
    reference, current = samples(*np.random.default_rng(5).normal(size=(2, rows, 2)), shift, correlation)

    def log_likelihood(x, center, r):
        x = x - center
        return -(x[:, 0] ** 2 + x[:, 1] ** 2 - 2 * r * x[:, 0] * x[:, 1]) / (2 * (1 - r * r))

    def log_ratio(x):
        return log_likelihood(x, [shift, 0], -correlation) - log_likelihood(x, [0, 0], correlation)

    simulated = np.mean(log_ratio(current) > log_ratio(reference))
    assert simulated == pytest.approx(best_auc(shift, correlation), abs=4 * 0.5 / math.sqrt(rows))
    assert _best_curve(shift, correlation)[2] == pytest.approx(best_auc(shift, correlation), abs=0.003)


@pytest.mark.parametrize(("shift", "correlation"), [(0, 0), (0, 0.8), (1.2, 0), (1.2, 0.4), (2.4, 0.8)])
def test_the_text_states_settings_measured_and_true_auc(shift, correlation):
    alt = adversarial_picture(shift, correlation).alt
    together = f"{correlation:+.3g} in the reference" if correlation else "0 in both"
    assert f"shifted by {shift:.3g} sd, correlation {together}" in alt
    found = re.search(r"product ([\d.]+), linear logistic regression ([\d.]+); best possible ([\d.]+)\.", alt)
    quadratic, linear, best = map(float, found.groups())
    assert best == round(best_auc(shift, correlation), 2)
    assert abs(quadratic - best) <= 0.04  # 300 rows a sample: one standard error is at most 0.024
    if shift == 0:
        assert abs(linear - 0.5) <= 0.06  # the flip alone is out of sight for a linear score


def test_the_two_samples_start_where_nothing_differs_and_say_what_the_linear_score_sees():
    explorer = adversarial_explorer()
    assert "There is nothing to find" in explorer.figure.alt and len(explorer.figure.png) <= 40_000
    explorer.set(correlation=0.8)
    assert "The linear one sees nothing" in picture_of(explorer)


# --- the drift composer -------------------------------------------------------------------------------------------


def moved_input_and_errors(*settings):
    """Of the text of a drift: the shift of the farthest input, the error rate before and after."""
    text = drift_picture(*settings).alt
    return map(float, re.search(r"moved by (\S+) sd.* error rate (\S+) and (\d\.\d+)", text).groups())


def test_a_concept_drift_moves_the_error_and_nothing_that_is_there_at_once():
    moved, before, after = moved_input_and_errors("concept", "sudden", 100, 0)
    assert moved == 0.06 and after - before > 0.3


def test_a_covariate_shift_moves_the_inputs_and_spares_a_model_that_knows_the_law():
    moved, before, after = moved_input_and_errors("covariate", "gradual", 50, 0)
    assert moved == pytest.approx(1, abs=0.1) and after <= before + 0.02


def test_late_labels_are_drawn_late_and_said():
    late = drift_picture("prior", "sudden", 80, 500)
    assert "Labels come 500 ticks late" in late.alt
    assert late.png != drift_picture("prior", "sudden", 80, 0).png


# --- weekly alarms ------------------------------------------------------------------------------------------------


def psi_of_weeks(rows, shift, n_weeks, rng):
    """PSI of a normal column against known deciles, half a row of smoothing."""
    mass = np.diff(ndtr(ndtri(np.arange(1, 10) / 10) - shift), prepend=0, append=1)
    shares = (rng.multinomial(rows, mass, size=n_weeks) + 0.5) / (rows + 5)
    return ((shares - 0.1) * np.log(shares / 0.1)).sum(axis=1)


def wait_for_run(alarms, length):
    """Mean weeks from one completed run of alarms to the next."""
    runs = count = 0
    for alarm in alarms:
        count = count + 1 if alarm else 0
        if count == length:
            runs, count = runs + 1, 0
    return len(alarms) / runs


@pytest.mark.parametrize(
    ("rows", "shift", "threshold"), [(200, 0.5, 0.3), (1_000, 0.3, 0.1), (5_000, 0.3, 0.08)]
)
@pytest.mark.parametrize("in_a_row", [1, 2, 3])
def test_the_delay_of_an_alarm_is_that_of_a_simulation(rows, shift, threshold, in_a_row):
    alarms = psi_of_weeks(rows, shift, 20_000, np.random.default_rng(0)) > threshold
    _, weeks = alarm_tradeoff(threshold, rows=rows, weeks_in_a_row=in_a_row, shift=shift)
    # the chi-square law is off by a few percent at 200 rows, and a run of k weeks takes it to the power of k
    assert weeks == pytest.approx(wait_for_run(alarms, in_a_row), rel=0.18 * in_a_row)


@pytest.mark.parametrize("in_a_row", [1, 2])
def test_false_pages_are_those_of_a_simulation(in_a_row):
    columns, threshold = 5, 0.05
    quiet = psi_under_no_drift(10_000, 300, n_repeats=20_000 * columns, random_state=1) > threshold
    weekly = np.mean([1 / wait_for_run(column, in_a_row) for column in quiet.reshape(columns, -1)])
    pages, _ = alarm_tradeoff(threshold, rows=300, columns=columns, weeks_in_a_row=in_a_row)
    assert pages == pytest.approx(52 * (1 - (1 - weekly) ** columns), rel=0.12 * in_a_row)


def test_the_alarm_explorer_tells_both_numbers():
    explorer = alarm_explorer()
    assert "52 false pages" in repr(explorer)
    explorer.set(threshold=0.6, shift=0.1)
    assert "fewer than 0.01 false pages" in repr(explorer) and "more than two years" in repr(explorer)


# --- automation, measured latency, paging, rollouts -----------------------------------------------------------------


def test_the_cost_of_a_case_is_that_of_the_curve():
    costs = Costs(10, 2, 3)
    people = Reviewers(2, Exponential(60.0), error=0.05, fatigue=0.1)
    cases = uniform_cases(1.0, n=10_000, random_state=0)
    curve = cost_curve(cases["confidence"], cases["model_right"], 150 / 3600, people, costs)
    alt = automation_picture(85, 2, 10, costs).alt
    assert f"costs {curve.loc[0.85, 'cost']:.2f}" in alt
    assert f"cheapest threshold is {100 * curve['cost'].idxmin():.0f}%" in alt


def test_fewer_or_tired_reviewers_lower_the_cheapest_threshold_until_the_backlog_has_no_end():
    explorer = automation_explorer(Costs(error=20, review=1, delay=1))

    def cheapest(reviewers, fatigue):
        explorer.set(threshold=101, reviewers=reviewers, fatigue=fatigue)
        return int(re.search(r"threshold is (\d+)%", explorer.figure.alt).group(1))

    assert cheapest(6, 0) > cheapest(1, 0) and "without end" in explorer.figure.alt
    assert cheapest(3, 0) > cheapest(3, 30)


@pytest.fixture
def runs(monkeypatch):
    """Recordings in which the mean is a tenth above, and the p99 a fifth below what the formula says."""
    tables = {}
    for law, spread in (("constant", 0.0), ("exponential", 12.0)):
        loads = (0.2, 0.5, 0.8, 0.9)
        mean, p99 = np.transpose([latency.predicted_latency(load, law, 12.0, spread) for load in loads])
        table = {"load": loads, "service_ms": 12.0, "service_sd_ms": spread, "requests": 3000}
        tables[law] = pd.DataFrame(table | {"mean_ms": 1.1 * mean, "p99_ms": 0.8 * p99}).iloc[::-1]
    monkeypatch.setattr(serving, "load_recorded", lambda name: tables)
    for cached in (latency._runs, latency._still):
        monkeypatch.setattr(latency, cached.__name__, cached.__wrapped__)


def test_the_predicted_latency_is_pollaczek_and_khinchines():
    for spread in (0.0, 6.0):
        mean, p99 = latency.predicted_latency(0.8, "constant", 12.0, spread)
        assert (
            mean == pytest.approx(12 * (1 + 0.8 * (1 + (spread / 12) ** 2) / (2 * (1 - 0.8)))) and p99 > mean
        )
    mean, p99 = latency.predicted_latency(0.8, "exponential", 12.0, 12.0)
    assert (mean, p99) == (pytest.approx(12 / (1 - 0.8)), pytest.approx(np.log(100) * 60))


def test_the_latency_explorer_offers_the_recorded_loads_and_states_measured_and_predicted(runs):
    explorer = measured_latency_explorer()
    assert "mean 39.6 ms measured, 36 ms predicted (10% above)" in explorer.figure.alt
    stops = widget(explorer, ipywidgets.SelectionSlider).options
    assert stops == (("20", 20), ("50", 50), ("80", 80), ("90", 90))
    for name, stop in stops:
        explorer.set(load=stop)
        assert f"At load {name}%" in explorer.figure.alt
    explorer.set(load=80, law="exponential")
    assert "mean 66 ms measured, 60 ms predicted (10% above)" in explorer.figure.alt
    assert f"{np.log(100) * 60:.0f} ms predicted (20% below)" in explorer.figure.alt


def test_the_shipped_recordings_are_shown_under_both_laws():
    explorer = measured_latency_explorer()
    for law in ("constant", "exponential"):
        explorer.set(law=law)
        assert f"At load 80%, {law} service times of" in explorer.figure.alt


def paged(threshold, hold, limits):
    """(incidents caught, false pages) of a rule, as the text of its picture has them."""
    text = paging_picture(threshold, hold, limits).alt
    false = re.search(r"(\d+) of \d+ pages? false", text)
    return int(re.search(r"(\d) of 3 incidents caught", text)[1]), int(false[1]) if false else 0


def test_one_limit_for_all_hours_catches_two_incidents_at_most_with_seventeen_false_pages():
    found = [paged(limit, hold, ONE_LIMIT) for limit in range(200, 1201, 50) for hold in range(7)]
    most = max(caught for caught, _ in found)
    assert (most, min(false for caught, false in found if caught == most)) == (2, 17)


def test_a_limit_for_each_hour_catches_all_three_without_a_false_page():
    assert paged(450, 1, EACH_HOUR) == (3, 0)


def ending(fault, wanted):
    """How the canary of five steps ends, as the text of its picture has it."""
    return rollout_picture(fault, PLANS[0], wanted).alt.split(",")[0].removeprefix("Canary: ")


def test_luck_sends_the_good_version_back_if_the_judge_wants_few_requests():
    assert [ending("none", wanted) for wanted in (40, 100, 300)] == ["Degraded", "Healthy", "Paused"]


def test_a_patient_judge_does_not_hear_the_small_airport():
    assert [ending("one airport", wanted) for wanted in (40, 100)] == ["Degraded", "Healthy"]


def test_a_promoted_canary_does_not_see_what_begins_later():
    assert "promoted after 18.0 min" in rollout_picture("after 20 minutes", PLANS[0], 100).alt


def test_every_rollout_that_can_be_chosen_has_a_picture():
    explorer = rollout_explorer()
    for settings in (*({"fault": fault} for fault in FAULTS), *({"plan": plan} for plan in PLANS)):
        explorer.set(**settings)
        assert "users harmed" in explorer.figure.alt


@pytest.mark.parametrize(
    ("picture", "still", "settings"),
    [
        (load.load_picture, load._load_still, [(5, 1), (90, 1), (97, 1), (97, 16), (5, 16)]),
        (
            rollout_picture,
            rollouts._still,
            [("after 20 minutes", PLANS[1], 60), ("6 points more errors", PLANS[1], 20)],
        ),
        (
            latency.measured_latency_picture,
            lambda: latency._still("constant"),
            [(20, "constant"), (90, "constant")],
        ),
    ],
    ids=["load", "rollouts", "latency"],
)
def test_no_setting_draws_a_point_outside_its_axes(picture, still, settings):
    for each in settings:
        picture(*each)
        for artist in still()[0].moving:
            if hasattr(artist, "get_xydata") and len(artist.get_ydata()):
                low, high = artist.axes.get_ylim()
                assert low <= np.nanmin(artist.get_ydata()) and np.nanmax(artist.get_ydata()) <= high, each
