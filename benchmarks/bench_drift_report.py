"""Our drift report against evidently's default one, on the same frames, side by side in one run.

    .venv/bin/uv venv .venv-peers
    .venv/bin/uv pip install --python .venv-peers/bin/python -r benchmarks/requirements.txt
    .venv/bin/python benchmarks/bench_drift_report.py [--rows 100000] [--repeats 5]

Each library runs in its own process and environment; their rounds alternate, so that a busy machine slows down
both. CPU seconds of one report (nothing rendered) on two frames of 20 columns, medians of the repeats. Memory is
the peak of the process beyond what it held before the first report (frames, imports); it needs Linux. Targets: 8 times
faster, less than a quarter of the memory, KS figures equal to scipy's to 7 digits. Ends with status 1 where one is missed.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one core for both

import hashlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measured import record

PEER = Path(__file__).parent.parent / ".venv-peers/bin/python"
CASES = {"15 numbers, 5 categories": 15, "20 numbers": 20}


def frames(n_rows, n_numbers):
    """Two frames of 20 columns; a few of them drift."""

    def frame(seed, shift):
        rng = np.random.default_rng(seed)
        columns = {f"x{i}": rng.normal(shift * (i % 5 == 0), 1, n_rows) for i in range(n_numbers)}
        columns |= {f"c{i}": rng.choice(list("abcdefgh"), n_rows) for i in range(20 - n_numbers)}
        return pd.DataFrame(columns)

    return frame(0, 0.0), frame(1, 0.3)


def digest(frame):
    """Both processes must have the same rows."""
    seen = hashlib.sha256()
    for name in frame:
        values = frame[name].to_numpy()
        seen.update(values.tobytes() if values.dtype.kind == "f" else "".join(values).encode())
    return seen.hexdigest()


def report_of(library):
    """A function of (reference, current), and the library's version."""
    if library == "ours":
        from mlprod_helpers.drift import drift_report

        return drift_report, ""
    import evidently
    from evidently.presets import DataDriftPreset

    return lambda a, b: evidently.Report([DataDriftPreset()]).run(b, a).dict(), evidently.__version__


def memory(what):
    """MB of this process: VmRSS now, VmHWM at its peak. Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(what + ":")[1].split()[0]) / 1024


def work(library, n_rows, n_numbers):
    """One process: build the frames, then a report for each line read."""
    run, version = report_of(library)
    reference, current = frames(n_rows, n_numbers)
    hello = digest(reference) + digest(current)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the frames
    before = memory("VmRSS")
    print(json.dumps({"digest": hello, "version": version, "pandas": pd.__version__}), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        run(reference, current)
        seconds = time.process_time() - start
        print(json.dumps({"seconds": seconds, "growth": memory("VmHWM") - before}), flush=True)


class Worker:
    """The process of one library."""

    def __init__(self, python, library, n_rows, n_numbers):
        command = [
            str(python),
            __file__,
            "--work",
            library,
            "--rows",
            str(n_rows),
            "--numbers",
            str(n_numbers),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} stopped: run it by hand to see why")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def ks_digits(n_rows):
    """The largest relative difference of our KS figures from scipy's."""
    from scipy.stats import ks_2samp

    from mlprod_helpers.drift import drift_report

    reference, current = frames(n_rows, 20)
    table = drift_report(reference, current).table
    theirs = [ks_2samp(reference[name], current[name]) for name in table.index]
    statistics_differ = np.abs(table["statistic"] / [t.statistic for t in theirs] - 1)
    pvalues = np.array([t.pvalue for t in theirs])
    # where both have underflowed to 0 they agree
    ratio = np.divide(table["pvalue"], pvalues, out=np.ones(len(pvalues)), where=pvalues > 0)
    return float(max(statistics_differ.max(), np.abs(ratio - 1).max()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", default=PEER, help="the python that has evidently")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.rows, args.numbers)
        return 0
    if not Path(args.peer).exists():
        sys.exit("The peers are not installed. " + "\n".join(__doc__.splitlines()[2:4]))

    missed = 0
    for title, n_numbers in CASES.items():
        pair = [
            Worker(p, name, args.rows, n_numbers)
            for p, name in ((sys.executable, "ours"), (args.peer, "evidently"))
        ]
        ours, theirs = pair
        if ours.hello["digest"] != theirs.hello["digest"]:
            sys.exit("the two processes drew different frames: give them the same numpy")
        rounds = [[worker.round() for worker in pair] for _ in range(args.repeats)]
        for worker in pair:
            worker.end()
        a, b = (statistics.median(r[side]["seconds"] for r in rounds) for side in (0, 1))
        memory_a, memory_b = (rounds[-1][side]["growth"] for side in (0, 1))
        record(
            f"drift report, {title}, against evidently's",
            args.rows,
            a,
            times_as_fast=b / a,
            of_its_memory_growth=memory_a / memory_b,
        )
        missed += (b / a < 8) + (memory_a / memory_b >= 0.25)
        print(f"{title}, {args.rows:,} against {args.rows:,} rows, medians of {args.repeats}")
        print(
            f"  evidently {theirs.hello['version']} (pandas {theirs.hello['pandas']}), ours (pandas {ours.hello['pandas']})"
        )
        print(f"  CPU seconds  {a:8.3f} ours {b:8.3f} evidently   {b / a:5.1f} times faster (target 8)")
        print(
            f"  peak MB      {memory_a:8.1f} ours {memory_b:8.1f} evidently   {memory_a / memory_b:5.2f} of it (target 0.25)"
        )
    differ = ks_digits(args.rows)
    missed += differ > 1e-7
    print(f"KS statistics and p-values: largest relative difference from scipy {differ:.1e} (target 1e-07)")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
