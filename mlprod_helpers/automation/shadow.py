"""What a shadow run tells: does the model agree, is it right, and where?

Agreement is not accuracy. Easy cases are many, and there everybody agrees; both can be wrong together; and a reviewer who
saw the prediction tends to agree with it. So the report goes by stratum, takes blind decisions only, and asks the late
truth.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mlprod_helpers.automation.selective import upper_bound

_NEEDED = ("human", "prediction")


@dataclass(frozen=True, repr=False, eq=False)
class ShadowReport:
    """Made by `shadow_report`.

    Attributes
    ----------
    table : DataFrame, one row a stratum: `cases` (blind, with truth), `share` of all blind cases, `agreement`, `model` and
        `human` accuracy, `both_wrong`, `model_lower` (lower confidence bound of the model's accuracy)
    overall : Series, the same over all strata, weighted by `share`
    not_blind : int, rows left out because the reviewer had seen the prediction
    without_truth : int, blind rows whose truth is not there yet
    without_human : int, blind rows with a truth but without a person's decision
    """

    table: pd.DataFrame
    overall: pd.Series
    not_blind: int
    without_truth: int
    level: float = field(default=0.95)
    without_human: int = 0

    def earned(self, min_accuracy):
        """Which strata have earned automation: the model's lower bound is at least `min_accuracy`.

        Returns
        -------
        list of strata
        """
        return self.table.index[self.table["model_lower"] >= min_accuracy].to_list()

    def weighted(self, mix):
        """The overall figures for another mix of strata: a dict stratum -> share, summing to 1.

        Raises
        ------
        ValueError : strata without a row here, or shares that do not sum to 1.
        """
        mix = pd.Series(mix, dtype=float)
        if unknown := set(mix.index) - set(self.table.index):
            raise ValueError(
                f"The shadow run has no case of {sorted(map(str, unknown))}: it says nothing about them."
            )
        if abs(mix.sum() - 1) > 1e-6:
            raise ValueError(f"The shares of the mix sum to {mix.sum():.3g}, but they are all of the cases.")
        return self.table.loc[mix.index, _AVERAGED].mul(mix, axis=0).sum()

    def plot(self):
        """Agreement, accuracy of model and human in each stratum."""
        from mlprod_helpers import plots

        fig, ax = plots.figure(size=(7.4, 1.2 + 0.42 * len(self.table)))
        at = np.arange(len(self.table))
        shades = {"agreement": plots.GREY, "model": plots.BLUE, "human": plots.ORANGE}
        ax.hlines(
            at,
            100 * self.table[list(shades)].min(axis=1),
            100 * self.table[list(shades)].max(axis=1),
            color=plots.RULE,
            linewidth=3,
        )
        for name, color in shades.items():
            ax.plot(100 * self.table[name], at, "o", color=color, markersize=8)
        ax.set_yticks(at, [str(name) for name in self.table.index])
        ax.invert_yaxis()
        ax.set(xlabel="% of the blind cases")
        plots.name_colors(ax, {"agree": plots.GREY, "model right": plots.BLUE, "human right": plots.ORANGE})
        worst = self.table["model"].idxmin()
        return plots.Figure(
            fig,
            f"Agreement and accuracy by stratum. Overall {plots.percent(self.overall['agreement'])} agree and the model is right in "
            f"{plots.percent(self.overall['model'])}; in {worst} it is right in {plots.percent(self.table.loc[worst, 'model'])} only.",
        )

    def __repr__(self):
        return (
            f"ShadowReport({int(self.table['cases'].sum()):,} blind cases with truth in {len(self.table)} strata: agreement "
            f"{self.overall['agreement']:.3f}, model right {self.overall['model']:.3f}, human right {self.overall['human']:.3f})"
        )


_AVERAGED = ["agreement", "model", "human", "both_wrong"]


def shadow_report(log, by, *, truth="label", saw="saw", level=0.95):
    """What does a shadow run say about each stratum?

    Parameters
    ----------
    log : DataFrame with columns `human` (the person's decision), `prediction` (the model's), the truth, and if there is one
        a boolean column that says whether the person had seen the prediction
    by : str, the column of strata, such as the product class or "easy" and "hard"
    truth : str, the column of the late truth; missing where it is not known yet
    saw : str, the column that says who saw; without it all rows count as blind
    level : float, of the lower bound

    Returns
    -------
    ShadowReport

    Raises
    ------
    ValueError : columns that are missing, no blind row with a truth.

    Rows without truth or without a person's decision count for `share`, the mix of the stream, but for nothing else. A
    missing prediction is a wrong one; a missing `saw` counts as seen; rows without a stratum are the stratum "(missing)".

    >>> log = pd.DataFrame({"human": [1, 1, 0, 0], "prediction": [1, 1, 0, 1], "label": [1, 1, 1, 0],
    ...                     "kind": ["easy", "easy", "hard", "hard"]})
    >>> shadow_report(log, by="kind").table[["share", "agreement", "model", "both_wrong"]]
          share  agreement  model  both_wrong
    kind
    easy    0.5        1.0    1.0         0.0
    hard    0.5        0.5    0.0         0.5
    """
    if not log.columns.is_unique:
        raise ValueError("The shadow log has several columns of one name: rename them.")
    for name in (*_NEEDED, by, truth):
        if name not in log.columns:
            raise ValueError(f"The shadow log has no column {name!r}; it has {list(log.columns)}.")
    log = (
        log.assign(**{by: log[by].astype(object).where(log[by].notna(), "(missing)")})
        if log[by].isna().any()
        else log
    )
    seen = np.zeros(len(log), dtype=bool)
    if saw in log.columns:
        seen = ~log[saw].eq(False).to_numpy(dtype=bool, na_value=False)
    blind = log[~seen]
    labeled = blind[blind[truth].notna()]
    known = labeled[labeled["human"].notna()]
    if known.empty:
        raise ValueError(
            "No row is blind and has a truth: a shadow run needs decisions made without the prediction."
        )
    rows = pd.DataFrame(
        {
            by: known[by],
            "agreement": _equal(known["human"], known["prediction"]),
            "model": _equal(known["prediction"], known[truth]),
            "human": _equal(known["human"], known[truth]),
        }
    )
    rows["both_wrong"] = ~rows["model"] & ~rows["human"]
    try:
        groups = rows.groupby(by, observed=True)
        groups.ngroups  # noqa: B018 (finds the groups now)
    except TypeError:
        raise ValueError(f"The column {by!r} holds lists or other values that name no stratum.") from None
    table = groups[_AVERAGED].mean()
    table.insert(0, "cases", groups.size())
    shares = blind[by].value_counts(normalize=True)
    table.insert(1, "share", shares.reindex(table.index))
    table["model_lower"] = 1 - upper_bound(
        groups["model"].apply(lambda right: (~right).sum()), table["cases"], level
    )
    overall = table[_AVERAGED].mul(table["share"] / table["share"].sum(), axis=0).sum()
    counts = int(seen.sum()), len(blind) - len(labeled)
    return ShadowReport(table, overall, *counts, level, len(labeled) - len(known))


def _equal(one, other):
    return one.eq(other).to_numpy(dtype=bool, na_value=False)
