"""Small tables need few threads: on a busy machine the threads of 300 rows wait for each other for minutes."""

from contextlib import nullcontext

MANY_CELLS = 1_000_000  # below it more threads save no time, even on an idle machine


def few_threads(n_cells):
    """A context in which numerical libraries use one thread if a table has fewer cells than `MANY_CELLS`.

    >>> with few_threads(300 * 10):
    ...     pass
    """
    if n_cells >= MANY_CELLS:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
