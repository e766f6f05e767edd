"""Exercise 3.1, How often will it cry wolf?"""

import numpy as np
from scipy.special import gammaincc
from scipy.stats import chi2

from mlprod_helpers.drift import psi_null, psi_under_no_drift
from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "3.1",
    "How often will it cry wolf?",
    answers=("false_alarm_rate",),
    points=3,
    minutes=5,
    edition=2,
    objective="3.a",
    kind=Function("n_reference", "n_current", "bins", "threshold", returns=Number(low=0, high=1)),
    hints=(
        "The PSI of a quiet week is a chi-square number times `1/n_reference + 1/n_current`. How large must the chi-square number be for an alarm?",
        "The shares of the bins add up to one. If you know all but one, you know the last one as well. How many can vary freely?",
        "`chi2.sf(x, df)` from scipy.stats is the chance of a value above x. Which x and which df do you need?",
    ),
)
def false_alarm_rate(answer, rng, expect):
    """`false_alarm_rate(n_reference, n_current, bins, threshold)`: chance of a PSI above the threshold when nothing changed."""
    sizes = (
        (int(rng.integers(300, 500)), int(rng.integers(300, 500)), int(rng.integers(4, 6))),
        (10_000, int(rng.integers(250, 500)), int(rng.integers(8, 10))),
        (int(rng.integers(800, 1500)), int(rng.integers(300, 600)), int(rng.integers(4, 7))),
        (int(rng.integers(400, 600)), int(rng.integers(4000, 6000)), int(rng.integers(5, 9))),
        (int(rng.integers(600, 900)), int(rng.integers(2000, 4000)), 3),
        (int(rng.integers(1000, 2000)), int(rng.integers(1000, 2000)), 2),
        (int(rng.integers(5000, 6000)), int(rng.integers(5000, 6000)), int(rng.integers(30, 45))),
    )
    with expect.defining():
        for n, m, bins in sizes:
            _ask(expect, answer, n, m, bins, rng.uniform(0.35, 0.65), 0.06)
    # far from a half, 2,000 simulated weeks are closer
    for low, high, bins in ((0.035, 0.045, 3), (0.14, 0.16, 6), (0.94, 0.96, 5)):
        n, m = (int(k) for k in rng.integers(1000, 2000, 2))
        _ask(expect, answer, n, m, bins, rng.uniform(low, high), 0.035)
    expect.within(
        answer(10_000, 1_000, 10, 0.1), 0, 0.001, "10,000 against 1,000 rows, 10 bins, PSI above 0.1"
    )
    n = int(rng.integers(80, 130))
    want = float(psi_null(n, n).sf(0.1))
    expect.within(
        answer(n, n, 10, 0.1), want - 0.08, want + 0.05, f"{n} against {n} rows, 10 bins, PSI above 0.1"
    )


def _ask(expect, answer, n, m, bins, chance, slack):
    """A threshold that the PSI exceeds with about this chance."""
    law = psi_null(n, m, bins)
    threshold = round(float(law.isf(chance)), 4)
    want = float(law.sf(threshold))
    what = f"{n:,} against {m:,} rows, {bins} bins, PSI above {threshold:g}"
    expect.within(answer(n, m, bins, threshold), want - slack, want + slack, what)


@false_alarm_rate.inputs(atol=0.06)
def _rows_bins_and_limits(rng):
    yield 10_000, 100, 10, 0.1
    yield 10_000, 300, 10, 0.1
    yield 10_000, 1_000, 10, 0.1
    yield 150, 20_000, 10, 0.1
    for bins in (2, 5, 20, 40):
        for usual in (0.3, 0.8, 1.0, 1.3, 3.0):
            n, m = (int(k) for k in rng.integers(500, 20_000, 2))
            yield n, m, bins, usual * (bins - 1) * (1 / n + 1 / m)


@false_alarm_rate.misconception(
    "you returned the same rate for any number of rows. With few rows, the shares of the bins vary a lot by chance, and so does the index. Use the numbers of rows.",
    when=lambda seen: (
        len(seen.outputs) > 2
        and max(seen.outputs) - min(seen.outputs) < 1e-9
        and 1e-6 < max(seen.outputs) < 1 - 1e-6
    ),
)
def a_constant(n_reference, n_current, bins, threshold):
    return 0.05


def _one_sample_only(seen):
    """Whether one of the samples, the current or the smaller one, was taken to be without noise."""
    given = seen.arguments
    return any(
        np.allclose([chi2.sf(t * rows(n, m), bins - 1) for n, m, bins, t in given], seen.outputs, atol=1e-6)
        for rows in (lambda n, m: m, min)
    )


@false_alarm_rate.misconception(
    "you treated only one of the samples as random. The reference and this week are both samples, and the noise of both adds up.",
    when=_one_sample_only,
)
def reference_taken_for_truth(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold * n_current, bins - 1)


@false_alarm_rate.misconception(
    "you added up the rows of both samples, as if they made one larger and quieter sample. They are compared with each "
    "other, so it is the noise that adds up: 1/n + 1/m."
)
def rows_added_up(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold * (n_reference + n_current), bins - 1)


@false_alarm_rate.misconception(
    "you counted every bin as free. The shares add up to one, so the last bin follows from the others. How many degrees of "
    "freedom are left?",
)
def as_many_degrees_as_bins(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold / (1 / n_reference + 1 / n_current), bins)


@false_alarm_rate.misconception(
    "you returned the share of quiet weeks without an alarm. The false alarm rate is the share of the other weeks."
)
def the_other_tail(n_reference, n_current, bins, threshold):
    return chi2.cdf(threshold / (1 / n_reference + 1 / n_current), bins - 1)


@false_alarm_rate.misconception(
    "you compared the limit directly with the chi-square number. The index is that number times 1/n + 1/m, so bring the "
    "limit to the same scale first.",
)
def without_the_scale(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold, bins - 1)


@false_alarm_rate.alternative
def by_the_gamma_function(n_reference, n_current, bins, threshold):
    n = n_reference * n_current / (n_reference + n_current)
    return float(gammaincc((bins - 1) / 2, threshold * n / 2))


@false_alarm_rate.alternative
def by_drawing_shares(n_reference, n_current, bins, threshold):
    rng = np.random.default_rng(1)
    p, q = (
        (rng.multinomial(n, np.full(bins, 1 / bins), size=4000) + 0.5) / (n + 0.5 * bins)
        for n in (n_reference, n_current)
    )
    return ((q - p) * np.log(q / p)).sum(axis=1).__gt__(threshold).mean()


@false_alarm_rate.alternative
def by_the_course_simulation(n_reference, n_current, bins, threshold):
    drawn = psi_under_no_drift(n_reference, n_current, n_bins=bins, n_repeats=4000, random_state=2)
    return sum(value > threshold for value in drawn) / len(drawn)


for _mutant in (
    "`rng.multinomial(n, np.full(bins, 1 / bins), size=4000) + 0.5` -> `rng.multinomial(n, np.full(bins, 1 / bins), size=4000) - 0.5`",
    "`n + 0.5 * bins` -> `n - 0.5 * bins`",
    "`0.5 * bins` -> `0.5 / bins`",
    "`np.log(q / p)` -> `q / p`",
):
    false_alarm_rate.survives(
        f"alternative by_drawing_shares: {_mutant}",
        "While nothing changes, the PSI with a log, without one, and with a little more or less smoothing are the same to first order; a simulation cannot part them.",
    )
