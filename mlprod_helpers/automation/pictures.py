"""A figure of lesson 07: people and a model together."""

from __future__ import annotations

import numpy as np


def together(human, model, claimed):
    """Draw how often a person with a model is right, over the share of wrong suggestions that are followed.

    Parameters
    ----------
    human, model : float. How often each is right alone.
    claimed : (float, float). Shares of right and of wrong suggestions that are followed, at the point to mark.

    Returns
    -------
    plots.Figure
    """
    from mlprod_helpers import plots
    from mlprod_helpers.automation.reviewers import joint_accuracy

    wrong = np.linspace(0, 1, 101)
    fig, ax = plots.figure(size=(7.4, 3.8))
    ends, followed = [], {}
    for right, color in ((0.9, plots.GREEN), (0.7, plots.BLUE), (0.5, plots.RED)):
        line = np.array([100 * joint_accuracy(human, model, right, each) for each in wrong])
        ax.plot(100 * wrong, line, color=color)
        followed[f"{right:.0%} of right ones followed"] = color
        ends.append(f"from {line[0]:.0f}% to {line[-1]:.0f}%")
    for level, name in ((human, "person alone"), (model, "model alone")):
        ax.axhline(100 * level, color=plots.GREY, linewidth=1, linestyle="--")
        ax.annotate(name, (100, 100 * level), (0, 3), textcoords="offset points", ha="right", fontsize=9)
    pair = joint_accuracy(human, model, *claimed)
    ax.plot(100 * claimed[1], 100 * pair, "o", color=plots.INK, markersize=7)
    ax.annotate(
        f"persuasive errors: {100 * pair:.0f}%",
        (100 * claimed[1], 100 * pair),
        (-8, -4),
        textcoords="offset points",
        ha="right",
        va="top",
    )
    ax.set(xlabel="wrong suggestions that are followed (%)", ylabel="right together (%)", ylim=(80, 100))
    ax.set_title("People help a model only if they reject its errors")
    plots.name_colors(ax, followed)
    return plots.show(
        fig,
        alt=f"Three falling lines show how often the pair is right, depending on the share of wrong suggestions that people follow. "
        f"If people follow 90% of the right suggestions, the line falls {ends[0]}. With 70%, it falls {ends[1]}, and with 50% {ends[2]}. All of them cross the model's own {model:.0%}. A mark shows the pair at {100 * pair:.0f}%, below "
        f"the person alone.",
    )
