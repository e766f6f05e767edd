"""Software metrics measured for real: what this very process uses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ProcessUse:
    """What a piece of work cost the process that did it.

    Attributes
    ----------
    result : object, what the work returned
    wall_s : float, seconds on the clock
    cpu_s : float, seconds of processor time, all threads together
    memory_before_mb, memory_after_mb : float, memory that the process really holds (resident set), 10**6 bytes
    threads : int, threads after the work
    """

    result: Any
    wall_s: float
    cpu_s: float
    memory_before_mb: float
    memory_after_mb: float
    threads: int

    @property
    def cpu(self):
        """Processors in use on average: 1 is one of them all the time, 0 is waiting."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0

    @property
    def memory_growth_mb(self):
        """How much more memory the process holds than before."""
        return self.memory_after_mb - self.memory_before_mb


def memory_mb():
    """Memory that this process really holds (its resident set), 10**6 bytes.

    >>> memory_mb() > 10
    True
    """
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def measure_process(work, *arguments, **options):
    """Run `work(*arguments, **options)` and say what it cost this process.

    An error of the work is not caught. Other threads of the process are measured too.

    Returns
    -------
    ProcessUse

    >>> import numpy as np
    >>> use = measure_process(np.ones, 10**7)  # 80 MB of numbers, kept in use.result
    >>> use.memory_growth_mb > 70
    True
    """
    import psutil

    if not callable(work):
        raise TypeError(
            f"work is {work!r}, but it has to be run: hand over the function, without calling it."
        )
    process = psutil.Process()
    before = process.memory_info().rss
    cpu, wall = time.process_time(), time.perf_counter()
    result = work(*arguments, **options)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return ProcessUse(result, wall, cpu, before / 1e6, process.memory_info().rss / 1e6, process.num_threads())


def sample_process(seconds=1.0, every=0.1, *, process=None):
    """Look at a process again and again for a while: its memory and its share of a processor.

    Parameters
    ----------
    seconds : float up to 60, how long to look
    every : float from 0.02, seconds between two looks
    process : int or None. The number of the process (pid); None is this one.

    Returns
    -------
    DataFrame : one row a look, index `time` (UTC), `memory_mb`, `cpu` (processors in use since the look before), `threads`

    >>> list(sample_process(0.05, 0.02).columns)
    ['memory_mb', 'cpu', 'threads']
    """
    import pandas as pd
    import psutil

    if not 0 < seconds <= 60:
        raise ValueError(f"seconds is {seconds}, but looking takes from above 0 to 60 seconds.")
    if not 0.02 <= every <= seconds:
        raise ValueError(
            f"every is {every}: at least 0.02 seconds, and not longer than the {seconds} in all."
        )
    watched, rows, times = psutil.Process(process), [], []
    watched.cpu_percent()  # the first call only starts the clock
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        time.sleep(every)
        with watched.oneshot():
            row = (watched.memory_info().rss / 1e6, watched.cpu_percent() / 100, watched.num_threads())
        rows.append(row)
        times.append(pd.Timestamp.now("UTC"))
    return pd.DataFrame(
        rows, columns=["memory_mb", "cpu", "threads"], index=pd.DatetimeIndex(times, name="time")
    )
