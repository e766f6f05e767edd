"""What several exercises of lesson 04 share."""

import numpy as np


def agree(got, want):
    """Whether two rows of numbers are the same up to rounding."""
    return np.shape(got) == np.shape(want) and np.allclose(got, want, rtol=1e-6, atol=1e-9)


def first_odd(got, want):
    """Where two rows of numbers of one length differ first; None if they do not."""
    if np.shape(got) != np.shape(want):
        return None
    odd = ~np.isclose(got, want, rtol=1e-6, atol=1e-9)
    return int(odd.argmax()) if odd.any() else None


def lengths(got, want):
    return f"{len(got)} values came back, and {len(want)} were asked for" if len(got) != len(want) else ""
