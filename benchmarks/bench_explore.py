"""What a move of each explorer of the package costs, against drawing an empty figure of the same package in the same run.

Run: .venv/bin/python benchmarks/bench_explore.py

CPU time from the moved control to the new picture in the widget, median of a walk over the settings of each control, one at
a time. Ends with status 1 where an explorer takes more than 2.5 times an empty figure.
"""

import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy
os.environ.setdefault("MPLBACKEND", "agg")

import statistics
import sys
import time

import numpy as np
import pandas as pd
from measured import record

from mlprod_helpers import plots
from mlprod_helpers.automation import Costs
from mlprod_helpers.explore import (
    Slider,
    adversarial_explorer,
    alarm_explorer,
    arrivals_explorer,
    automation_explorer,
    drift_explorer,
    load_explorer,
    measured_latency_explorer,
    paging_explorer,
    rollout_explorer,
    skew_explorer,
)

MOVES = 24
TARGET = 2.5


def empty():
    """The least that a picture can cost: a figure with axes, shown."""
    fig, ax = plots.figure()
    ax.set(xlabel="x", ylabel="y", title="Nothing")
    return plots.show(fig, alt="An empty figure: there is nothing to notice.").html()


def one_day():
    """Requests of a day whose labels come two to eight hours later."""
    rng = np.random.default_rng(0)
    times = pd.Timestamp("2013-02-12 06:00") + pd.to_timedelta(np.sort(rng.uniform(0, 16, 110)), unit="h")
    late = pd.to_timedelta(rng.uniform(2, 8, 110), unit="h")
    return pd.DataFrame({"time": times, "label_time": times + late, "error": rng.exponential(9, 110)})


def settings(control):
    """Other values of a control, for as long as they are asked for."""
    if isinstance(control, Slider):
        steps = round((control.high - control.low) / control.step)
        kind = int if isinstance(control.step, int) else float
        return itertools.cycle(
            kind(control.low + control.step * k) for k in range(0, steps + 1, 1 + steps // 7)
        )
    return itertools.cycle(control.options)


def moves(explorer):
    """CPU seconds of each move."""
    explorer.widget  # noqa: B018
    walks = {name: settings(control) for name, control in explorer._controls.items()}
    found = []
    for name in itertools.islice(itertools.cycle(walks), MOVES):
        value = next(walks[name])
        if value == explorer.values[name]:
            value = next(walks[name])
        begin = time.process_time()
        explorer.set(**{name: value})
        found.append(time.process_time() - begin)
        assert explorer.figure is not None, explorer
    return found


def main():
    explorers = {
        "00 arrivals": lambda: arrivals_explorer(one_day()),
        "01 drift": drift_explorer,
        "02 adversarial": adversarial_explorer,
        "03 alarms": alarm_explorer,
        "05 load": load_explorer,
        "06 rollouts": rollout_explorer,
        "07 automation": lambda: automation_explorer(Costs(error=20, review=1, delay=1)),
        "08 paging": paging_explorer,
        "09 latency": measured_latency_explorer,
        "10 skew": skew_explorer,
    }
    empty()
    missed = 0
    print(f"{'explorer':<16} {'a move':>8} {'empty':>8} {'ratio':>6}   (CPU ms; target: at most {TARGET})")
    for name, make in explorers.items():
        explorer, base = make(), []
        for _ in range(9):  # beside each explorer: the machine is not always as busy
            begin = time.process_time()
            empty()
            base.append(time.process_time() - begin)
        move, nothing = statistics.median(moves(explorer)), statistics.median(base)
        missed += move > TARGET * nothing
        record(f"a move of explorer {name}, against an empty figure", of_its_CPU_time=move / nothing)
        print(f"{name:<16} {1000 * move:8.0f} {1000 * nothing:8.0f} {move / nothing:6.2f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
