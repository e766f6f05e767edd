"""Which columns have drifted, by how much, and is it more than chance? One row a column, with the reason in words.

A column is called drifted only if both hold: chance alone could hardly do it (p-values corrected for the number of columns),
and it is large enough to matter (effect size).
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import special, stats

from mlprod_helpers.drift.columns import as_table, kinds_of, moments_of
from mlprod_helpers.drift.distances import (
    CATEGORICAL,
    N_BINS,
    RARE,
    chi_square_of_table,
    count_categories,
    count_numbers,
    in_words,
    ks_effect,
    ks_pvalue,
    ks_statistic,
    n_distinct,
    psi_value,
    sorted_numbers,
)
from mlprod_helpers.requestlog.numbers import as_floats

# ---------------------------------------------------------------- many p-values at once


def _corrected(pvalues, of_ascending):
    p = as_floats(pvalues, "pvalues")
    if p.ndim != 1:
        raise ValueError(f"pvalues must be one row of numbers, got {p.ndim} dimensions")
    tested = np.flatnonzero(~np.isnan(p))
    if np.any((p[tested] < 0) | (p[tested] > 1)):
        raise ValueError("p-values lie between 0 and 1")
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(of_ascending(p[order]), 1.0)
    return corrected


# p-values in ascending order -> corrected ones
_CORRECTIONS = {
    "holm": lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)),
    "bh": lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1],
    "bonferroni": lambda p: p * len(p),
    None: lambda p: p,
}


def flag(pvalues, alpha=0.05, method="holm"):
    """Which of many tests deserve a flag?

    Parameters
    ----------
    pvalues : array-like, shape (n,). NaN is never flagged.
    alpha : float
        The promise: with "holm" and "bonferroni" the chance of any false flag, with "bh" the share of false
        flags, with None the chance of a false flag in each single test.
    method : "holm", "bh" (Benjamini and Hochberg), "bonferroni" or None

    Returns
    -------
    numpy.ndarray of bool, shape (n,)

    Sources: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
        (1979);
    Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57
        (1995).

    >>> pvalues = [0.001, 0.02, 0.04, 0.9]
    >>> flag(pvalues, method=None).tolist(), flag(pvalues).tolist()
    ([True, True, True, False], [True, False, False, False])
    """
    if method not in _CORRECTIONS:
        raise ValueError(f"unknown method {method!r}: choose one of {list(_CORRECTIONS)}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    corrected = _corrected(pvalues, _CORRECTIONS[method])
    return np.where(np.isnan(corrected), 1.0, corrected) <= alpha


# ---------------------------------------------------------------- the report


@dataclass(frozen=True, eq=False)
class DriftReport:
    """One row a column: what was measured, whether it is more than chance, and why the verdict.

    Attributes
    ----------
    table : pandas.DataFrame
        Index: the column. Columns: `kind`, `test`, `statistic`, `effect_size` (shift of a normal column, in standard
        deviations), `pvalue`, `p_holm` (corrected for the number of columns), `psi`, `missing_reference`, `missing_current`,
        `unseen` (shares of rows), `verdict` ("drift", "small": more than chance, but below the smallest effect that
        matters, "quiet": chance does as much, or "untested": nothing to compare), `reason`.
    n_reference, n_current : int. Rows compared.
    alpha, min_effect : float. The limits behind the verdicts.
    """

    table: pd.DataFrame = field(repr=False)
    n_reference: int
    n_current: int
    alpha: float
    min_effect: float

    @property
    def drifted(self):
        """The columns whose verdict is "drift", largest effect first."""
        rows = self.table[self.table["verdict"] == "drift"]
        # without an effect size the column itself is gone or changed its type: first of all
        return rows["effect_size"].fillna(np.inf).sort_values(ascending=False, kind="stable").index.tolist()

    def summary(self):
        """The result in one sentence."""
        n = len(self.drifted)
        return (
            f"{n} of {len(self.table)} columns drifted ({self.n_reference:,} against {self.n_current:,} rows; "
            f"p after Holm at most {self.alpha:g} and an effect of at least {self.min_effect:g} sd)"
        )

    def display(self):
        """The table as strings, rounded so that it reads alike on every machine."""
        shown = self.table[["kind", "test"]].copy()
        shown["statistic"] = self.table["statistic"].map(_rounded)
        shown["effect (sd)"] = self.table["effect_size"].map(_rounded)
        shown["p"] = self.table["pvalue"].map(_pvalue_words)
        shown["p_holm"] = self.table["p_holm"].map(_pvalue_words)
        shown["verdict"] = self.table["verdict"]
        shown["reason"] = self.table["reason"]
        return shown

    def __repr__(self):
        lines = [self.summary()]
        for name, row in self.table.iterrows():
            lines.append(f"  {row['verdict']:<8}  {name}: {row['reason']}")
        return "\n".join(lines)

    def _repr_html_(self):
        return f"<p>{self.summary()}</p>{self.display().to_html()}"


def drift_report(reference, current, *, alpha=0.05, min_effect=0.2):
    """Compare each column of two tables: what drifted, by how much, and why the verdict.

    The values decide what a column is, not how they are stored: see `drift.columns.kinds_of`. A column that only
    one table has, or whose type changed, is drift. One that cannot be compared (no value on one side, names, too
    few rows of any value) is "untested", never "quiet".

    Numbers: Kolmogorov-Smirnov; with at most ten different values they are treated as categories. Categories:
    chi-square, rare ones counted together. Times: chi-square on the day of the week and on the hour (in UTC where
    the zones differ), since the dates themselves always move on. Missing values: chi-square or Fisher's test on
    their number; their effect is how far a normal column would have to move for its tail to hold the new share. A
    column that takes several tests has its p-values multiplied by their number, and shows the test with the largest
    effect among those that chance hardly explains. `psi` of many categories is large without any drift: see
    `psi_null`.

    Parameters
    ----------
    reference, current : pandas.DataFrame, shapes (n, k) and (m, k). In training, and now.
    alpha : float. Limit for Holm's corrected p-value: the chance of any false flag.
    min_effect : float. The smallest effect that matters, in standard deviations of a normal column.

    Returns
    -------
    DriftReport

    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"wind": rng.normal(10, 4, 5_000), "gate": rng.choice(list("ABC"), 5_000)})
    >>> now = pd.DataFrame({"wind": rng.normal(13, 4, 5_000), "gate": rng.choice(list("ABC"), 5_000)})
    >>> drift_report(before, now).table[["test", "verdict"]]
                test verdict
    wind          KS   drift
    gate  chi-square   quiet
    """
    reference, current = as_table(reference, "reference"), as_table(current, "current")
    if not 0 < alpha < 1 or not min_effect >= 0:
        raise ValueError(f"alpha lies between 0 and 1, min_effect is not negative: got {alpha}, {min_effect}")
    rows = _compare_columns(reference, current, alpha)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_MEASURED)
    table["p_holm"] = _corrected(table["pvalue"], _CORRECTIONS["holm"])
    table["verdict"] = [
        _verdict(*row, alpha, min_effect)
        for row in zip(table["test"], table["psi"], table["p_holm"], table["effect_size"], strict=True)
    ]
    table["reason"] = [
        _reason(*row, min_effect)
        for row in zip(table["verdict"], table["facts"], table["effect_size"], table["also"], strict=True)
    ]
    return DriftReport(table[_SHOWN], len(reference), len(current), alpha, min_effect)


_MEASURED = [
    *("kind", "test", "statistic", "effect_size", "pvalue", "psi"),
    *("missing_reference", "missing_current", "unseen", "facts", "also"),
]
_SHOWN = [
    *("kind", "test", "statistic", "effect_size", "pvalue", "p_holm", "psi"),
    *("missing_reference", "missing_current", "unseen", "verdict", "reason"),
]


def _compare_columns(reference, current, alpha):
    rows = {}
    for column in [*reference.columns, *current.columns.difference(reference.columns, sort=False)]:
        if column not in current.columns or column not in reference.columns:
            where = "current data" if column in reference.columns else "reference"
            rows[column] = _untested("absent", "presence", f"the {where} does not have this column")
        else:
            rows[column] = _compare(reference[column], current[column], alpha)
    return rows


def _untested(kind, test, facts):
    return kind, test, *[np.nan] * 7, facts, ""


# ---------------------------------------------------------------- one column


@dataclass(frozen=True)
class _Finding:
    """One test of one column, with what it saw in words."""

    test: str
    statistic: float
    effect_size: float
    pvalue: float
    facts: str


@dataclass(frozen=True)
class _Values:
    """What the observed values of one column tell; no findings if there is nothing to compare."""

    missing: tuple[int, int]  # rows without a value
    findings: tuple[_Finding, ...] = ()
    psi: float = np.nan
    unseen: float = 0.0  # share of current rows whose value the reference never showed
    also: str = ""


def _compare(reference, current, alpha):
    kind, kind_now = kinds_of(reference, current)
    if kind != kind_now:
        facts = f"{kind} values ({reference.dtype}) became {kind_now} values ({current.dtype})"
        return _untested("mixed", "type", facts)
    if kind in CATEGORICAL:
        values = _categories(reference, current)
    elif kind == "datetime":
        values = _times(reference, current)
    elif kind == "missing":
        values = _Values((len(reference), len(current)), also="no value in either: nothing to compare")
    else:
        values = _numbers(reference, current, kind)
    findings = list(values.findings)
    if any(values.missing) and kind != "missing":
        findings.append(_missing_finding(*values.missing, len(reference), len(current)))
    lead = _leading(findings, alpha) or _Finding("none", np.nan, np.nan, np.nan, "")
    return (
        {"boolean": "category", "timedelta": "number"}.get(kind, kind),
        lead.test,
        lead.statistic,
        lead.effect_size,
        lead.pvalue,
        values.psi,
        values.missing[0] / len(reference),
        values.missing[1] / len(current),
        values.unseen,
        lead.facts,
        values.also,
    )


def _leading(findings, alpha):
    """Of several tests of one column the largest effect among those that chance hardly explains."""
    if not findings:
        return None
    # Bonferroni inside the column
    findings = [replace(f, pvalue=min(f.pvalue * len(findings), 1.0)) for f in findings]
    clear = [f for f in findings if f.pvalue <= alpha]
    return max(clear, key=lambda f: f.effect_size) if clear else min(findings, key=lambda f: f.pvalue)


def _numbers(reference, current, kind):
    (a, missing_a), (b, missing_b), origin = sorted_numbers(reference, current, kind)
    missing = missing_a, missing_b
    if len(a) == 0 or len(b) == 0:
        return _Values(missing, also=_NO_VALUE)
    psi = psi_value(count_numbers(a, b, missing_a, missing_b, origin))
    if max(n_distinct(a), n_distinct(b)) <= N_BINS:
        table = count_categories(pd.Series(a), pd.Series(b), pool_rare=True)
        values = [x for x in table.labels if not isinstance(x, str)]
        names = dict(zip(values, in_words(values, 6, origin), strict=True))
        table = replace(table, labels=[names.get(x, x) for x in table.labels])
        unseen = sum(table.unseen.values()) / len(b)
        also = f"values the reference never showed: {_percent(unseen)} of rows" if unseen else ""
        findings = _shares_findings(table)
        return _Values(missing, findings, psi if findings else np.nan, unseen, also if findings else _TOO_FEW)
    statistic, at = ks_statistic(a, b)
    below = [_percent(np.searchsorted(x, at, "right") / len(x)) for x in (a, b)]
    at, *medians = in_words([at, *(x[(len(x) - 1) // 2] for x in (a, b))], 4, origin)
    facts = f"values up to {at}: {below[0]} -> {below[1]}; median {medians[0]} -> {medians[1]}"
    finding = _Finding(
        "KS", statistic, ks_effect(statistic, len(a), len(b)), ks_pvalue(a, b, statistic), facts
    )
    unseen = _outside(a, b)
    # about two ranks' worth of rows lie beyond the range even if nothing has changed
    usual = 2 / (len(a) + 1)
    remarkable = unseen > usual + 4 * np.sqrt(usual / len(b))
    also = f"{_percent(unseen)} of rows outside the range of the reference" if remarkable else ""
    return _Values(missing, (finding,), psi, unseen, also)


def _outside(a, b):
    """Share of an ascending array that lies outside the range of another one."""
    inside = np.searchsorted(b, a[-1], "right") - np.searchsorted(b, a[0], "left")
    return float(1 - inside / len(b))


def _categories(reference, current):
    table = count_categories(reference, current, pool_rare=True)
    missing = table.missing_reference, table.missing_current
    if missing[0] == len(reference) or missing[1] == len(current):
        return _Values(missing, also=_NO_VALUE)
    unseen = sum(table.unseen.values()) / (len(current) - missing[1])
    if table.observed().labels == [RARE]:
        return _Values(missing, (), np.nan, unseen, _NAMES if len(reference) >= 10 else _TOO_FEW)
    return _Values(
        missing,
        _shares_findings(table),
        psi_value(table),
        unseen,
        _unseen_words(table.unseen, unseen),
    )


_NAMES = "nearly each row has a value of its own: a name, not a measurement"
_TOO_FEW = "too few rows of any value for a test"
_NO_VALUE = "one side has no value to compare"


def _unseen_words(rows, share):
    if not rows:
        return ""
    names = [repr(str(name)) for name in sorted(rows, key=lambda name: (-rows[name], str(name)))]
    what = "category" if len(names) == 1 else "categories"
    names = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(rows)} unseen {what} ({_percent(share)} of rows): {names}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = tuple(f"{hour}:00" for hour in range(24))


def _times(reference, current):
    rows = len(reference), len(current)
    reference, current = (times.dropna() for times in moments_of(reference, current))
    missing = rows[0] - len(reference), rows[1] - len(current)
    if len(reference) == 0 or len(current) == 0:
        return _Values(missing, also=_NO_VALUE)
    # the dates themselves always move on; what can drift is the rhythm of week and day
    tables = [_shares_of(reference.dt.day_of_week, current.dt.day_of_week, _DAYS)]
    if any((times != times.dt.normalize()).any() for times in (reference, current)):
        tables.append(_shares_of(reference.dt.hour, current.dt.hour, _HOURS))
    spans = [f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}" for times in (reference, current)]
    return _Values(
        missing,
        tuple(finding for table in tables for finding in _shares_findings(table)),
        max(psi_value(table) for table in tables),
        _outside(*(ordered for ordered, _ in sorted_numbers(reference, current, "datetime")[:2])),
        f"span {spans[0]} -> {spans[1]}",
    )


def _shares_of(reference, current, names):
    table = count_categories(reference, current, pool_rare=True)
    return replace(table, labels=[x if isinstance(x, str) else names[int(x)] for x in table.labels])


def _shares_findings(table):
    """The chi-square test of a table; none where no value has rows enough."""
    table = table.observed()
    result = chi_square_of_table(table)
    if np.isnan(result.pvalue):
        return ()
    p, q = table.shares()
    largest = int(np.abs(q - p).argmax())
    facts = f"share of {table.labels[largest]}: {_percent(p[largest])} -> {_percent(q[largest])}"
    return (_Finding("chi-square", result.statistic, result.effect_size, result.pvalue, facts),)


def _missing_finding(missing_a, missing_b, n, m):
    a, b = missing_a / n, missing_b / m
    counts = np.array([[missing_a, n - missing_a], [missing_b, m - missing_b]])
    if stats.contingency.expected_freq(counts).min() >= 5:
        pvalue = float(stats.chi2_contingency(counts, correction=False).pvalue)
    else:
        pvalue = float(stats.fisher_exact(counts).pvalue)
    # half a row more on either side keeps shares of 0 and 1 finite
    tail_a, tail_b = (missing_a + 0.5) / (n + 1), (missing_b + 0.5) / (m + 1)
    effect = abs(float(special.ndtri(tail_b) - special.ndtri(tail_a)))
    return _Finding("missing share", b - a, effect, pvalue, f"missing: {_percent(a)} -> {_percent(b)}")


# ---------------------------------------------------------------- words


def _verdict(test, psi, pvalue, effect_size, alpha, min_effect):
    if test in ("presence", "type"):
        return "drift"
    if np.isnan(pvalue):
        return "untested"
    if pvalue > alpha:
        # a quiet share of missing values says nothing of the others
        return "untested" if np.isnan(psi) else "quiet"
    return "drift" if effect_size >= min_effect else "small"


def _reason(verdict, facts, effect_size, also, min_effect):
    if verdict == "quiet":
        facts = "chance alone could cause a difference of this size"
    elif verdict == "small":
        facts = f"real but small ({effect_size:.2g} sd, below {min_effect:g}): {facts}"
    return "; ".join(part for part in (facts, also) if part) or "nothing to compare"


def _percent(share):
    if 0 < share < 0.001:
        return "< 0.1%"
    if 0.999 < share < 1:
        return "> 99.9%"
    return f"{100 * share:.1f}%"


def _rounded(value):
    return "" if np.isnan(value) else f"{value:.3g}"


def _pvalue_words(value):
    if np.isnan(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
