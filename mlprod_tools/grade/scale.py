"""Map a pure function over a class: on the cores of one machine, on an existing Dask cluster, or on one part of the class after another.

The function and its items must travel to other processes. Results come as they are ready, so that memory stays flat; what is done
is the caller's to keep.
"""

import os
import sys
import warnings

RETRIES = 3  # when a process of the grader itself dies, such as for want of memory


def spread(function, items, *, jobs=None, scheduler=None):
    """Yield `(item, function(item))` for each item, in the order in which they are ready.

    Parameters
    ----------
    function : callable
        Pure, and found by its name in its module; `functools.partial` of one will do.
    items : sequence
    jobs : int, optional
        Processes on this machine; by default one a core. With 1 everything runs in this process.
    scheduler : str, optional
        The address of a Dask scheduler, such as "tcp://10.0.0.1:8786". Its workers need the course at the same version.
    """
    items = list(items)
    if scheduler:
        return _on_dask(function, items, scheduler)
    jobs = min(jobs or cores(), max(len(items), 1))
    if jobs == 1:
        return ((item, function(item)) for item in items)
    return _on_cores(function, items, jobs)


def cores():
    """How many processes run at once on this machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shard(items, part):
    """The items of one part, for batch schedulers: `part` is a text such as "3/8". Together the parts are all items.

    >>> [shard("abcde", f"{i}/2") for i in (1, 2)]
    [['a', 'c', 'e'], ['b', 'd']]
    """
    try:
        i, n = (int(each) for each in part.split("/"))
    except ValueError:
        raise ValueError(f"a shard is given as in 3/8, not {part!r}") from None
    if not 1 <= i <= n:
        raise ValueError(f"a shard is given as in 3/8, from 1/8 to 8/8, not {part!r}")
    return list(items)[i - 1 :: n]


def _numbered(function, number, item):
    return number, function(item)


def _on_cores(function, items, jobs):
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = dict(enumerate(items))
    for tries_left in reversed(range(RETRIES)):
        tasks = [delayed(_numbered)(function, number, item) for number, item in left.items()]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on workers that stopped between two tasks
                run = Parallel(
                    n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
                )
                for number, result in run(tasks):
                    yield left.pop(number), result
            return
        except TerminatedWorkerError:
            if not tries_left:
                raise
            print("grade: a process of the grader died; what it was at is done again.", file=sys.stderr)


def _on_dask(function, items, scheduler):
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ValueError("`--backend dask` needs the extra `cluster`: pip install mlprod[cluster]") from None
    with Client(scheduler, set_as_default=False) as client:
        futures = {
            client.submit(
                function, item, key=f"grade-{os.getpid()}-{number}", retries=RETRIES, pure=False
            ): item
            for number, item in enumerate(items)
        }
        running = as_completed(list(futures), loop=client.loop)
        for future in running:
            item = futures.pop(future)
            result = future.result()
            future.release()  # the cluster forgets it
            yield item, result
