"""What was drawn for one answer, kept for the next: an audit tries an exercise thousands of times on the same seeds."""

import functools


def drawn_once(most=100):
    """Decorate `draw(rng, *arguments)`: from the same state of `rng` it gives the same object again, and leaves `rng` as it did.

    Nobody may change what it gives, so an answer gets a copy. The arguments are hashable; `most` results are kept.

    >>> import numpy as np
    >>> @drawn_once()
    ... def dice(rng, n):
    ...     return rng.integers(1, 7, n).tolist()
    >>> one, other = np.random.default_rng(0), np.random.default_rng(0)
    >>> dice(one, 3) is dice(other, 3), one.random() == other.random()
    (True, True)
    """

    def decorate(draw):
        kept = {}

        @functools.wraps(draw)
        def drawn(rng, *arguments):
            key = str(rng.bit_generator.state), arguments
            if key not in kept:
                if len(kept) >= most:
                    del kept[next(iter(kept))]
                result = draw(rng, *arguments)
                kept[key] = result, rng.bit_generator.state
            result, rng.bit_generator.state = kept[key]
            return result

        return drawn

    return decorate
