"""Explorers: live sliders, the same picture everywhere else, and the truth that the first one shows."""

import math
import re

import ipywidgets
import numpy as np
import pytest

from mlprod_helpers import plots
from mlprod_helpers.explore import (
    Choice,
    Slider,
    adversarial_explorer,
    adversarial_picture,
    adversarial_samples,
    best_auc,
    drift_picture,
    explore,
)
from mlprod_helpers.explore import adversarial as module

VIEW = "application/vnd.jupyter.widget-view+json"  # nbval skips this key: its ids are random


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


def widgets_of(box, kind):
    own = [box] if isinstance(box, kind) else []
    return own + [w for child in getattr(box, "children", ()) for w in widgets_of(child, kind)]


def picture_of(explorer):
    [shown] = widgets_of(explorer.widget, ipywidgets.HTML)
    return shown.value


# --- the controls -----------------------------------------------------------------------------------------------


def test_sliders_and_choices_become_widgets(counted):
    explorer = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden", "gradual"]))
    [slider] = widgets_of(explorer.widget, ipywidgets.IntSlider)
    assert (slider.min, slider.max, slider.step, slider.value) == (1, 5, 1, 2)
    [dropdown] = widgets_of(explorer.widget, ipywidgets.Dropdown)
    assert dropdown.options == ("sudden", "gradual")
    assert explorer.values == {"x": 2, "kind": "sudden"}


def test_labels_carry_their_unit_and_readouts_the_digits_of_the_step(blank):
    def fn(shift, half_life):
        return plots.Figure.from_png(blank, f"A picture of shift {shift} and half-life {half_life}.")

    explorer = explore(fn, shift=Slider(0, 3, 0.05, 1, label="shift", unit="sd"), half_life=Slider(1, 90, 1))
    [shift] = widgets_of(explorer.widget, ipywidgets.FloatSlider)
    [half_life] = widgets_of(explorer.widget, ipywidgets.IntSlider)
    assert (shift.description, shift.readout_format, half_life.description) == (
        "shift (sd)",
        ".2f",
        "half life",
    )
    assert repr(explorer).startswith("Explorer at shift 1 sd, half life 1: ")


@pytest.mark.parametrize(
    ("control", "error", "says"),
    [
        (lambda: Slider(3, 1, 1), ValueError, "No slider runs from 3 to 1"),
        (lambda: Slider(0, 1, 0), ValueError, "in steps of 0"),
        (lambda: Slider(0, 1, 2), ValueError, "in steps of 2"),
        (lambda: Slider(0, 1, 0.1, 5), ValueError, "cannot start at 5"),
        (lambda: Slider(0, math.nan, 1), ValueError, "finite"),
        (lambda: Slider(0, "1", 1), ValueError, "finite"),
        (lambda: Choice([]), ValueError, "at least one option"),
        (lambda: (0, 1, 0.1), TypeError, "no control"),
        (lambda: Choice, TypeError, "no control"),
    ],
)
def test_controls_that_make_no_sense_are_refused(control, error, says):
    with pytest.raises(error, match=says):
        explore(lambda x: None, x=control())


def test_choice_starts_at_one_of_its_options():
    assert Choice([1, 2], start=2).start == 2
    with pytest.raises(ValueError, match="not one of the options"):
        Choice([1, 2], start=3)


def test_an_explorer_needs_a_control(counted):
    with pytest.raises(ValueError, match="at least one control"):
        explore(counted)


# --- moving -----------------------------------------------------------------------------------------------------


def test_a_move_draws_once_and_changes_picture_and_text(counted):
    explorer = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden", "gradual"]))
    [slider] = widgets_of(explorer.widget, ipywidgets.IntSlider)
    slider.value = 4
    assert counted.calls == [(2, "sudden"), (4, "sudden")]
    assert 'alt="A picture of x = 4 &amp; kind sudden."' in picture_of(explorer)
    assert explorer.values == {"x": 4, "kind": "sudden"}


def test_reset_puts_all_controls_back_and_draws_once(counted):
    explorer = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden", "gradual"]))
    before = picture_of(explorer)
    explorer.set(x=5, kind="gradual")
    assert picture_of(explorer) != before
    [button] = widgets_of(explorer.widget, ipywidgets.Button)
    button.click()
    assert picture_of(explorer) == before
    assert counted.calls == [(2, "sudden"), (5, "gradual"), (2, "sudden")]
    button.click()  # nothing moved: nothing to draw
    assert len(counted.calls) == 3


def test_an_error_is_shown_as_text_and_the_sliders_stay_alive(counted):
    explorer = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden"]))
    [slider] = widgets_of(explorer.widget, ipywidgets.IntSlider)
    slider.value = 3
    assert "No picture at x 3, kind sudden" in picture_of(explorer)
    assert "ZeroDivisionError: x is &lt;three&gt;" in picture_of(explorer)
    assert "ZeroDivisionError" in explorer._repr_mimebundle_()["text/plain"]
    slider.value = 4
    assert "A picture of x = 4" in picture_of(explorer)


def test_a_first_picture_that_fails_is_the_authors_to_see(counted):
    with pytest.raises(ZeroDivisionError):
        explore(counted, x=Slider(1, 5, 1, 3), kind=Choice(["sudden"]))
    with pytest.raises(TypeError, match="returned int"):
        explore(lambda x: 1, x=Slider(1, 5, 1))


def test_unknown_control_is_named(counted):
    explorer = explore(counted, x=Slider(1, 5, 1), kind=Choice(["sudden"]))
    with pytest.raises(ValueError, match=r"\['y'\]; there are \['kind', 'x'\]"):
        explorer.set(y=1)


# --- where nothing runs -----------------------------------------------------------------------------------------


def test_static_forms_carry_the_picture_its_text_and_the_settings(counted):
    bundle = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["a<b"]))._repr_mimebundle_()
    assert set(bundle) == {VIEW, "text/html", "text/plain"}
    assert bundle["text/plain"] == "Explorer at x 2, kind a<b: A picture of x = 2 & kind a<b."
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert "Explorer at x 2, kind a&lt;b." in bundle["text/html"]


def test_two_runs_show_the_same_but_for_the_widget_id():
    one, other = (adversarial_explorer()._repr_mimebundle_() for _ in range(2))
    assert one.pop(VIEW)["model_id"] != other.pop(VIEW)["model_id"]
    assert one == other


def test_static_forms_follow_the_sliders(counted):
    explorer = explore(counted, x=Slider(1, 5, 1, 2), kind=Choice(["sudden"]))
    explorer.set(x=5)
    assert "x = 5" in explorer._repr_mimebundle_()["text/html"]


# --- the best possible AUC --------------------------------------------------------------------------------------


def phi(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("shift", [0.001, 0.2, 1.19, 3])
def test_without_correlation_the_best_auc_is_that_of_a_shift(shift):
    assert best_auc(shift, 0) == pytest.approx(phi(shift / math.sqrt(2)), abs=1e-7)
    assert best_auc(shift, 1e-9) == pytest.approx(best_auc(shift, 0), abs=1e-7)


@pytest.mark.parametrize("correlation", [0.001, 0.3, 0.8, 0.95, -0.8])
def test_without_shift_the_best_auc_is_half_of_one_plus_the_correlation(correlation):
    assert best_auc(0, correlation) == pytest.approx((1 + abs(correlation)) / 2, abs=1e-7)


@pytest.mark.parametrize(("shift", "correlation"), [(0.5, 0.3), (1.19, 0.8), (1, -0.5), (2, 0.9)])
def test_best_auc_is_that_of_the_likelihood_ratio_in_a_simulation(shift, correlation):
    rows = 200_000
    reference, current = adversarial_samples(shift, correlation, rows=rows, random_state=5)

    def log_likelihood(x, center, r):
        x = x - center
        return -(x[:, 0] ** 2 + x[:, 1] ** 2 - 2 * r * x[:, 0] * x[:, 1]) / (2 * (1 - r * r))

    def log_ratio(x):
        return log_likelihood(x, [shift, 0], -correlation) - log_likelihood(x, [0, 0], correlation)

    simulated = np.mean(log_ratio(current) > log_ratio(reference))
    assert simulated == pytest.approx(best_auc(shift, correlation), abs=4 * 0.5 / math.sqrt(rows))


def test_best_auc_refuses_a_correlation_of_one():
    with pytest.raises(ValueError, match="strictly between"):
        best_auc(1, 1.0)


@pytest.mark.parametrize(("shift", "correlation"), [(0, 0), (0, 0.8), (1.2, 0), (3, 0.9)])
def test_the_best_curve_has_the_best_area(shift, correlation):
    assert module._best_curve(shift, correlation)[2] == pytest.approx(best_auc(shift, correlation), abs=0.003)


# --- the adversarial explorer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "correlation"), [(0, 0), (0, 0.8), (1.2, 0.3), (3, 0.9)])
def test_out_of_fold_scores_are_those_of_scikit_learn(shift, correlation):
    from sklearn.linear_model import LogisticRegression

    rows, is_current = np.vstack(adversarial_samples(shift, correlation)), np.repeat([0, 1], 300)
    features = np.column_stack([rows, rows**2, rows[:, 0] * rows[:, 1]])
    expected, fold = np.empty(600), np.arange(600) % 5
    for k in range(5):
        fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(
            features[fold != k], is_current[fold != k]
        )
        expected[fold == k] = fitted.decision_function(features[fold == k])
    np.testing.assert_allclose(module._out_of_fold(features, is_current), expected, atol=1e-3)


def aucs(alt):
    match = re.search(
        r"product (\d\.\d\d), linear logistic regression (\d\.\d\d); best possible (\d\.\d\d)", alt
    )
    return [float(number) for number in match.groups()]


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("shift", [0.0, 1.2, 2.4])
def test_the_text_states_settings_measured_and_true_auc(shift, correlation):
    alt = adversarial_picture(shift, correlation).alt
    assert f"shifted by {shift:.3g} sd" in alt
    assert (
        f"correlation {correlation:+.3g} in the reference" if correlation else "correlation 0 in both"
    ) in alt
    quadratic, linear, best = aucs(alt)
    assert best == round(best_auc(shift, correlation), 2)
    assert abs(quadratic - best) <= 0.04  # 300 rows a sample: one standard error is at most 0.024
    if shift == 0:
        assert abs(linear - 0.5) <= 0.06  # the flip alone is out of sight for a linear score


def test_the_picture_depends_on_nothing_but_its_arguments():
    before = adversarial_picture(1.0, 0.3)
    adversarial_picture(2.0, 0.8)
    again = adversarial_picture(1.0, 0.3)
    assert (before.png, before.alt) == (again.png, again.alt)
    assert len(before.png) <= 40_000


def test_the_explorer_has_the_two_sliders_and_starts_where_nothing_differs():
    explorer = adversarial_explorer()
    descriptions = [slider.description for slider in widgets_of(explorer.widget, ipywidgets.FloatSlider)]
    assert descriptions == ["shift of the first column (sd)", "flip of the correlation"]
    assert "There is nothing to find" in explorer.figure.alt
    explorer.set(shift=1.2)
    assert "shifted by 1.2 sd, correlation 0 in both" in picture_of(explorer)
    explorer.set(shift=0.0, correlation=0.8)
    assert "The linear one sees nothing" in picture_of(explorer)


# --- the drift composer -------------------------------------------------------------------------------------------


def test_a_concept_drift_moves_the_error_and_nothing_that_is_there_at_once():
    text = drift_picture("concept", "sudden", 100).alt
    assert "farthest input moved by 0.06 sd" in text
    before, after = map(float, re.search(r"error rate (\S+) and (\S+)\.", text).groups())
    assert after - before > 0.3


def test_a_covariate_shift_moves_the_inputs_and_spares_a_model_that_knows_the_law():
    text = drift_picture("covariate", "gradual", 50).alt
    before, after = map(float, re.search(r"error rate (\S+) and (\S+)\.", text).groups())
    assert float(re.search(r"moved by (\S+) sd", text)[1]) == pytest.approx(1, abs=0.1)
    assert after <= before + 0.02


def test_late_labels_are_drawn_late_and_said():
    assert "Labels come 500 ticks late" in drift_picture("prior", "sudden", 80, 500).alt
    assert drift_picture("prior", "sudden", 80, 500).png != drift_picture("prior", "sudden", 80, 0).png
