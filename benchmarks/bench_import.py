"""What a lesson's first line costs: CPU seconds of fresh interpreters, medians, as differences to importing pandas.

Run: .venv/bin/python benchmarks/bench_import.py
"""

import os
import statistics
import subprocess
import sys

from measured import record

RUNS = 7
STATEMENTS = {
    "import pandas": "import pandas",
    "import mlprod_helpers": "import pandas, mlprod_helpers",
    'Lesson("02")': "import pandas; from mlprod_helpers import Lesson; Lesson('02')",
}
TARGETS = {"import mlprod_helpers": 0.2, 'Lesson("02")': 0.3}


def cpu_seconds(statement):
    """CPU seconds of a fresh interpreter, from start to end."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main():
    times = {name: [] for name in STATEMENTS}
    for _ in range(RUNS):  # in turn, so that a noisy minute hits all alike
        for name, statement in STATEMENTS.items():
            times[name].append(cpu_seconds(statement))
    base = statistics.median(times["import pandas"])
    print(f"{'import pandas':<24} {base:6.2f} CPU s")
    missed = 0
    for name, target in TARGETS.items():
        more = statistics.median(times[name]) - base
        missed += more > target
        record(f"{name}, beyond import pandas", CPU_seconds=more)
        print(f"{name:<24} {more:+6.2f} CPU s (target: at most +{target})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
