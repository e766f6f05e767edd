"""A shadow run as it comes from practice: some saw the score, easy cases are too many, truth comes late."""

import numpy as np
import pandas as pd


def draw_shadow(rng, n=400):
    """A shadow run in which some people saw the score, easy cases are too many, and truth comes late.

    It is a log (`kind`, `human`, `prediction`, `saw`, `label`, NaN where it has not come), and the shares of the
    kinds in production as a dict.

    >>> log, mix = draw_shadow(np.random.default_rng(0))
    >>> len(log), sorted(mix)
    (400, ['easy', 'hard', 'new'])
    """
    kind = rng.choice(["easy", "hard", "new"], n, p=[0.7, 0.2, 0.1])
    label = rng.integers(0, 5, n)
    right_model = rng.random(n) < pd.Series(kind).map({"easy": 0.98, "hard": 0.7, "new": 0.5}).to_numpy()
    right_human = rng.random(n) < pd.Series(kind).map({"easy": 0.97, "hard": 0.85, "new": 0.85}).to_numpy()
    prediction = np.where(right_model, label, (label + 1) % 5)
    human = np.where(right_human, label, (label + 1) % 5)  # the same trap for both: wrong together
    saw = rng.random(n) < np.where(kind == "easy", 0.6, 0.2)
    human = np.where(saw & (rng.random(n) < 0.9), prediction, human)
    late = rng.random(n) < 0.25
    log = pd.DataFrame(
        {
            "kind": kind,
            "human": human,
            "prediction": prediction,
            "saw": saw,
            "label": np.where(late, np.nan, label),
        }
    )
    shares = rng.dirichlet([20, 15, 10])
    return log, dict(zip(["easy", "hard", "new"], (float(x) for x in shares), strict=True))
