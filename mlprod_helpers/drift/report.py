"""Which columns have drifted, by how much, and is it more than chance? One row a column, with the reason in words.

A column is called drifted only if two questions are answered with yes: could chance alone hardly do it
(p-values corrected for the number of columns), and is it large enough to matter (effect size)?
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import special, stats

from mlprod_helpers.drift.columns import as_table, kinds_of, moments_of
from mlprod_helpers.drift.distances import (
    CATEGORICAL,
    MISSING,
    RARE,
    check_bins,
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

VERDICTS = {
    "drift": "more than chance, and large enough to matter",
    "small": "more than chance, but below the smallest effect that matters",
    "quiet": "chance alone does as much when nothing has changed",
    "untested": "nothing to compare",
}


# ---------------------------------------------------------------- many p-values at once


def holm(pvalues):
    """Holm's corrected p-values: those below alpha keep the chance of *any* false flag below alpha.

    Parameters
    ----------
    pvalues : array-like, shape (n,)
        NaN (not tested) stays NaN and does not count.

    Returns
    -------
    numpy.ndarray, shape (n,)

    Notes
    -----
    Never rejects less than Bonferroni. Source: Holm, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6 (1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    return _corrected(pvalues, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(pvalues):
    """Benjamini-Hochberg corrected p-values: flags below alpha are false in a share of at most alpha, on average.

    Parameters
    ----------
    pvalues : array-like, shape (n,)
        NaN (not tested) stays NaN and does not count.

    Returns
    -------
    numpy.ndarray, shape (n,)

    Notes
    -----
    Finds more than `holm` and promises less. Source: Benjamini and Hochberg, "Controlling the false discovery
    rate", Journal of the Royal Statistical Society B 57 (1995).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.04, 0.04]
    """

    def step_up(p):
        return np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]

    return _corrected(pvalues, step_up)


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


_CORRECTIONS = {
    "holm": holm,
    "bh": benjamini_hochberg,
    "bonferroni": lambda pvalues: _corrected(pvalues, lambda p: p * len(p)),
    None: lambda pvalues: _corrected(pvalues, lambda p: p),
}


def flag(pvalues, alpha=0.05, method="holm"):
    """Which of many tests deserve a flag?

    Parameters
    ----------
    pvalues : array-like, shape (n,)
        NaN is never flagged.
    alpha : float
        The promise: with "holm" and "bonferroni" the chance of any false flag, with "bh" the share of false
        flags, with None the chance of a false flag in each single test.
    method : "holm", "bh", "bonferroni" or None

    Returns
    -------
    numpy.ndarray of bool, shape (n,)

    Examples
    --------
    >>> pvalues = [0.001, 0.02, 0.04, 0.9]
    >>> flag(pvalues, method=None).tolist(), flag(pvalues).tolist()
    ([True, True, True, False], [True, False, False, False])
    """
    if method not in _CORRECTIONS:
        raise ValueError(f"unknown method {method!r}: choose one of {list(_CORRECTIONS)}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    corrected = _CORRECTIONS[method](pvalues)
    return np.where(np.isnan(corrected), 1.0, corrected) <= alpha


# ---------------------------------------------------------------- the report


@dataclass(frozen=True, eq=False)
class DriftReport:
    """One row a column: what was measured, whether it is more than chance, and why the verdict.

    Attributes
    ----------
    table : pandas.DataFrame
        Index: the column (with `by`: group and column). Columns: `kind`, `test`, `statistic`, `effect_size`
        (shift of a normal column, in standard deviations), `pvalue`, `p_holm`, `p_bh`, `psi`,
        `missing_reference`, `missing_current`, `unseen` (shares of rows), `verdict`, `reason`.
    n_reference, n_current : int
        Rows compared.
    alpha, min_effect, correction
        The limits behind the verdicts.
    """

    table: pd.DataFrame = field(repr=False)
    n_reference: int
    n_current: int
    alpha: float
    min_effect: float
    correction: str | None

    @property
    def drifted(self):
        """The columns (with `by`: group and column) whose verdict is "drift", largest effect first."""
        rows = self.table[self.table["verdict"] == "drift"]
        # without an effect size the column itself is gone or changed its type: first of all
        return rows["effect_size"].fillna(np.inf).sort_values(ascending=False, kind="stable").index.tolist()

    def summary(self):
        """The result in one sentence."""
        n = len(self.drifted)
        return (
            f"{n} of {len(self.table)} {'columns' if self.table.index.nlevels == 1 else 'rows'} drifted "
            f"({self.n_reference:,} against {self.n_current:,} rows; "
            f"p {_CORRECTION_WORDS[self.correction]} at most {self.alpha:g} "
            f"and an effect of at least {self.min_effect:g} sd)"
        )

    def display(self):
        """The table as strings, rounded so that it reads alike on every machine."""
        shown = self.table[["kind", "test"]].copy()
        shown["statistic"] = self.table["statistic"].map(_rounded)
        shown["effect (sd)"] = self.table["effect_size"].map(_rounded)
        shown["p"] = self.table["pvalue"].map(_pvalue_words)
        if self.correction:
            which = "p_bh" if self.correction == "bh" else "p_holm"
            shown[which] = self.table[which].map(_pvalue_words)
        shown["verdict"] = self.table["verdict"]
        shown["reason"] = self.table["reason"]
        return shown

    def __repr__(self):
        lines = [self.summary()]
        for name, row in self.table.iterrows():
            lines.append(f"  {row['verdict']:<8}  {_name(name)}: {row['reason']}")
        return "\n".join(lines)

    def _repr_html_(self):
        return f"<p>{self.summary()}</p>{self.display().to_html()}"

    def plot(self):
        """Effect sizes of all columns, largest first; the drifted ones stand out."""
        from mlprod_helpers import plots

        rows = self.table.assign(size=self.table["effect_size"].fillna(np.inf))
        rows.loc[rows["verdict"] == "untested", "size"] = 0.0
        rows = rows.sort_values("size", ascending=False, kind="stable")
        names = [_name(key) for key in rows.index]
        longest = max(1.0, 3 * self.min_effect)  # a longer bar would press all others flat
        fig, ax = plots.figure(size=(7.4, 0.9 + 0.32 * len(rows)))
        colors = {"drift": plots.RED, "small": plots.SKY}
        ax.barh(
            names,
            rows["size"].clip(upper=longest),
            color=[colors.get(v, plots.GREY) for v in rows["verdict"]],
        )
        for at, (_, row) in enumerate(rows.iterrows()):
            words = row["test"] if np.isnan(row["effect_size"]) else f"{row['effect_size']:.2f}"
            cut = " (bar cut)" if longest < row["size"] < np.inf else ""
            ax.annotate(
                f"{words}  {row['verdict']}{cut}",
                (min(row["size"], longest), at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": plots.PAPER, "edgecolor": "none", "pad": 1},
            )
        ax.grid(False)
        ax.axvline(self.min_effect, color=plots.INK, linestyle=":", linewidth=1.2)
        ax.set_xlim(0, 1.3 * longest)
        ax.invert_yaxis()
        ax.set_xlabel("effect size (sd); dotted: the smallest that matters")
        first = ", ".join(names[:3])
        return plots.Figure(fig, f"{self.summary()}. Largest effects: {first}.")


def _name(key):
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)


_CORRECTION_WORDS = {"holm": "after Holm", "bh": "after Benjamini-Hochberg", None: "not corrected"}


def drift_report(reference, current, by=None, *, alpha=0.05, min_effect=0.2, correction="holm", n_bins=10):
    """Compare each column of two tables: what drifted, by how much, and why one says so.

    Parameters
    ----------
    reference, current : pandas.DataFrame, shapes (n, k) and (m, k)
        What the model was trained on, and what it meets now. A column that only one of them has, or whose
        type changed, is drift.
    by : str, optional
        A column of both: compare like with like, one row for each group and column.
    alpha : float
        Limit for the corrected p-value.
    min_effect : float
        The smallest effect that matters, in standard deviations of a normal column.
    correction : "holm", "bh" or None
        Which corrected p-value decides: the chance of any false flag, the share of false flags, or none.
    n_bins : int
        Bins of the PSI. Numbers with at most so many different values are treated as categories.

    Returns
    -------
    DriftReport

    Raises
    ------
    TypeError, ValueError
        For something that is no table, an empty one, or an unknown `by`.

    Notes
    -----
    The values decide what a column is, not how they are stored: see `drift.columns.kinds_of`. A column that cannot be
    compared (no value on one side, names, too few rows of any value) is "untested", never "quiet".

    Numbers: Kolmogorov-Smirnov. Categories: chi-square, rare ones counted together. Times: chi-square on the day
    of the week and on the hour (in UTC where the zones differ), since the dates themselves always move on. Missing values: chi-square or Fisher's
    test on their number; their effect is how far a normal column would have to move for its tail to hold the
    new share. A column that takes several tests has its p-values multiplied by their number, and shows the test
    with the largest effect among those that chance hardly explains. `psi` of many categories is large without
    any drift: see `psi_null`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"wind": rng.normal(10, 4, 5_000), "gate": rng.choice(list("ABC"), 5_000)})
    >>> now = pd.DataFrame({"wind": rng.normal(13, 4, 5_000), "gate": rng.choice(list("ABC"), 5_000)})
    >>> drift_report(before, now).table[["test", "verdict"]]
                test verdict
    wind          KS   drift
    gate  chi-square   quiet
    """
    reference, current = as_table(reference, "reference"), as_table(current, "current")
    n_bins = check_bins(n_bins)
    if correction not in _CORRECTION_WORDS:
        raise ValueError(f"unknown correction {correction!r}: choose one of {list(_CORRECTION_WORDS)}")
    if not 0 < alpha < 1 or not min_effect >= 0:
        raise ValueError(f"alpha lies between 0 and 1, min_effect is not negative: got {alpha}, {min_effect}")
    findings = {}
    if by is None:
        findings = _compare_columns(reference, current, alpha, n_bins)
    else:
        for group, ours, theirs in _groups(reference, current, by):
            rows = _group_finding(group, ours, theirs) or _compare_columns(ours, theirs, alpha, n_bins)
            findings |= {(group, by if column is None else column): row for column, row in rows.items()}
    table = pd.DataFrame.from_dict(findings, orient="index", columns=_COLUMNS)
    if by is not None:
        table.index = pd.MultiIndex.from_tuples(findings, names=[by, "column"])
    table["p_holm"], table["p_bh"] = holm(table["pvalue"]), benjamini_hochberg(table["pvalue"])
    deciding = {"holm": "p_holm", "bh": "p_bh", None: "pvalue"}[correction]
    table["verdict"] = [
        _verdict(*row, alpha, min_effect)
        for row in zip(table["test"], table["psi"], table[deciding], table["effect_size"], strict=True)
    ]
    table["reason"] = [
        _reason(*row, min_effect)
        for row in zip(table["verdict"], table["facts"], table["effect_size"], table["also"], strict=True)
    ]
    return DriftReport(table[_SHOWN], len(reference), len(current), alpha, min_effect, correction)


_COLUMNS = [
    *("kind", "test", "statistic", "effect_size", "pvalue", "psi"),
    *("missing_reference", "missing_current", "unseen", "facts", "also"),
]
_SHOWN = [
    *("kind", "test", "statistic", "effect_size", "pvalue", "p_holm", "p_bh", "psi"),
    *("missing_reference", "missing_current", "unseen", "verdict", "reason"),
]


def _groups(reference, current, by):
    for role, frame in (("reference", reference), ("current", current)):
        if isinstance(by, list) or by not in frame.columns:
            raise ValueError(f"by={by!r} is not a column of {role}: it has {list(frame.columns)}")
    try:
        ours, theirs = (
            dict(list(frame.groupby(by, observed=True, dropna=False))) for frame in (reference, current)
        )
    except TypeError:
        raise TypeError(
            f"by={by!r} holds lists or other values that are no groups: take it apart first"
        ) from None
    # NaN is no equal of itself as a key
    ours, theirs = ({MISSING if pd.isna(k) else k: v for k, v in side.items()} for side in (ours, theirs))
    for group in sorted(ours.keys() | theirs.keys(), key=lambda g: (isinstance(g, str), g)):
        one, other = ours.get(group), theirs.get(group)
        yield (
            group,
            None if one is None else one.drop(columns=by),
            None if other is None else other.drop(columns=by),
        )


def _group_finding(group, ours, theirs):
    if ours is not None and theirs is not None:
        return None
    rows = len(theirs if ours is None else ours)
    where = "reference" if ours is None else "current data"
    return {
        None: _row("group", "presence", facts=f"the group is not in the {where} ({rows:,} rows elsewhere)")
    }


def _compare_columns(reference, current, alpha, n_bins):
    found = {}
    for column in [*reference.columns, *current.columns.difference(reference.columns, sort=False)]:
        if column not in current.columns or column not in reference.columns:
            where = "current data" if column in reference.columns else "reference"
            found[column] = _row("absent", "presence", facts=f"the {where} does not have this column")
        else:
            found[column] = _compare(reference[column], current[column], alpha, n_bins)
    return found


def _row(
    kind,
    test,
    statistic=np.nan,
    effect=np.nan,
    pvalue=np.nan,
    psi=np.nan,
    missing=(np.nan, np.nan),
    unseen=np.nan,
    facts="",
    also="",
):
    return kind, test, statistic, effect, pvalue, psi, *missing, unseen, facts, also


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


def _compare(ours, theirs, alpha, n_bins):
    kind, kind_now = kinds_of(ours, theirs)
    if kind != kind_now:
        facts = f"{kind} values ({ours.dtype}) became {kind_now} values ({theirs.dtype})"
        return _row("mixed", "type", facts=facts)
    if kind in CATEGORICAL:
        values = _categories(ours, theirs)
    elif kind == "datetime":
        values = _times(ours, theirs)
    elif kind == "missing":
        values = _Values((len(ours), len(theirs)), also="no value in either: nothing to compare")
    else:
        values = _numbers(ours, theirs, kind, n_bins)
    findings = list(values.findings)
    if any(values.missing) and kind != "missing":
        findings.append(_missing_finding(*values.missing, len(ours), len(theirs)))
    lead = _leading(findings, alpha) or _Finding("none", np.nan, np.nan, np.nan, "")
    return _row(
        {"boolean": "category", "timedelta": "number"}.get(kind, kind),
        lead.test,
        lead.statistic,
        lead.effect_size,
        lead.pvalue,
        values.psi,
        (values.missing[0] / len(ours), values.missing[1] / len(theirs)),
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


def _numbers(ours, theirs, kind, n_bins):
    (a, missing_a), (b, missing_b), origin = sorted_numbers(ours, theirs, kind)
    missing = missing_a, missing_b
    if len(a) == 0 or len(b) == 0:
        return _Values(missing, also=_NO_VALUE)
    psi = psi_value(count_numbers(a, b, missing_a, missing_b, n_bins, origin))
    if max(n_distinct(a), n_distinct(b)) <= n_bins:
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


def _categories(ours, theirs):
    table = count_categories(ours, theirs, pool_rare=True)
    missing = table.missing_reference, table.missing_current
    if missing[0] == len(ours) or missing[1] == len(theirs):
        return _Values(missing, also=_NO_VALUE)
    unseen = sum(table.unseen.values()) / (len(theirs) - missing[1])
    if table.observed().labels == [RARE]:
        return _Values(missing, (), np.nan, unseen, _NAMES if len(ours) >= 10 else _TOO_FEW)
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


def _times(ours, theirs):
    rows = len(ours), len(theirs)
    ours, theirs = (times.dropna() for times in moments_of(ours, theirs))
    missing = rows[0] - len(ours), rows[1] - len(theirs)
    if len(ours) == 0 or len(theirs) == 0:
        return _Values(missing, also=_NO_VALUE)
    # the dates themselves always move on; what can drift is the rhythm of week and day
    tables = [_shares_of(ours.dt.day_of_week, theirs.dt.day_of_week, _DAYS)]
    if any((times != times.dt.normalize()).any() for times in (ours, theirs)):
        tables.append(_shares_of(ours.dt.hour, theirs.dt.hour, _HOURS))
    spans = [f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}" for times in (ours, theirs)]
    return _Values(
        missing,
        tuple(finding for table in tables for finding in _shares_findings(table)),
        max(psi_value(table) for table in tables),
        _outside(*(ordered for ordered, _ in sorted_numbers(ours, theirs, "datetime")[:2])),
        f"span {spans[0]} -> {spans[1]}",
    )


def _shares_of(ours, theirs, names):
    table = count_categories(ours, theirs, pool_rare=True)
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
        return (
            "quiet" if psi == psi else "untested"
        )  # a quiet share of missing values says nothing of the others
    return "drift" if effect_size >= min_effect else "small"


def _reason(verdict, facts, effect_size, also, min_effect):
    if verdict == "quiet":
        facts = "no more than chance does when nothing has changed"
    elif verdict == "small":
        facts = f"real but small ({effect_size:.2g} sd, below {min_effect:g}): {facts}"
    return "; ".join(part for part in (facts, also) if part) or VERDICTS[verdict]


def _percent(share):
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def _rounded(value):
    return "" if np.isnan(value) else f"{value:.3g}"


def _pvalue_words(value):
    if np.isnan(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
