"""`make bench`: run all comparisons three times, the last time beside a busy core, and write benchmarks/RESULTS.md.

    .venv/bin/python benchmarks/results.py              all that take minutes
    .venv/bin/python benchmarks/results.py --only queueing streams
    .venv/bin/python benchmarks/results.py --long       also what takes long: the service, the grader, a hundred seasons

Each script notes what it measured with `measured.record`. A ratio is taken within one run; the table shows its range over the
runs. The exponent is the slope of log CPU over log size, of our own medians: 1 is linear. Peers are installed in
environments of their own. With `--only`, the other rows of RESULTS.md stay as they are, with their dates.
"""

import argparse
import datetime as dt
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from measured import VARIABLE

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = HERE / "RESULTS.md"
RUNS = 3
LIMIT = 1800  # seconds for one script


@dataclass(frozen=True)
class Benchmark:
    """A script, its arguments with `{n}` for the size, three sizes, and what it is compared with."""

    arguments: str = ""
    sizes: tuple = (None,)
    peers: str = ""  # environment of the peer
    packages: tuple = ()  # whose versions count
    long: bool = False


BENCHMARKS = {
    "import": Benchmark(packages=("pandas",)),
    "lessons": Benchmark(packages=("pandas", "scikit-learn", "matplotlib")),
    "streams": Benchmark(
        "--rows {n} --river-rows 20000 --repeats 3", (100_000, 300_000, 1_000_000), packages=("river",)
    ),
    "queueing": Benchmark("--requests {n}", (30_000, 100_000, 300_000), packages=("simpy",)),
    "detectors": Benchmark(
        "--rows {n} --repeats 3 --seeds 200", (30_000, 100_000, 300_000), packages=("river",)
    ),
    "features": Benchmark(
        "--requests {n} --rows {n} --repeats 3", (30_000, 100_000, 300_000), packages=("pandas",)
    ),
    "automation": Benchmark("--cases {n}", (100_000, 300_000, 1_000_000)),
    "monitoring": Benchmark("--rows {n}", (100_000, 300_000, 1_000_000)),
    "rollout": Benchmark("--requests {n} --runs 2000", (10_000, 30_000, 100_000)),
    "adversarial": Benchmark(
        "--rows {n} --seeds 3 --threads one", (2_000, 6_000, 20_000), packages=("scikit-learn",)
    ),
    "drift_report": Benchmark("--rows {n} --repeats 3", (10_000, 30_000, 100_000), peers=".venv-peers"),
    "explore": Benchmark(packages=("matplotlib", "ipywidgets")),
    "router": Benchmark("--requests 2000 --runs 3"),
    "lab": Benchmark(long=True),
    "serving": Benchmark(peers=".venv-peers-serving", packages=("fastapi",), long=True),
    "grade": Benchmark(peers=".venv-peers-grade", long=True),
    "oncall": Benchmark("100", long=True),
}
REQUIREMENTS = {
    ".venv-peers": ("requirements.txt", ()),
    ".venv-peers-serving": ("requirements-serving.txt", ()),
    ".venv-peers-grade": ("requirements-grade.txt", ("-c", "constraints.txt")),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help="such as queueing")
    parser.add_argument("--long", action="store_true", help="also what takes long")
    options = parser.parse_args()
    chosen = options.only or [name for name, each in BENCHMARKS.items() if options.long or not each.long]
    failed = []
    for name in chosen:
        benchmark = BENCHMARKS[name]
        install(benchmark.peers)
        rows, ended = measure(name, benchmark)
        failed += ended
        write(name, benchmark, rows)
    print(f"{TARGET.relative_to(ROOT)} is written" + (f"; a target was missed by {failed}" if failed else ""))
    return 0


def install(environment):
    """Make a peer's environment, once."""
    if not environment or (ROOT / environment / "bin" / "python").exists():
        return
    requirements, more = REQUIREMENTS[environment]
    uv = [ROOT / ".venv/bin/uv"]
    python = ROOT / environment / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, environment], cwd=ROOT, check=True)
    command = [*uv, "pip", "install", "--quiet", "--python", python, *more, "-r", HERE / requirements]
    subprocess.run(command, cwd=ROOT, check=True)


def measure(name, benchmark):
    """The records of all runs and sizes, and the runs that ended with a missed target."""
    rows, ended = [], []
    for run in range(RUNS):
        with neighbour(busy=run == RUNS - 1):
            for size in benchmark.sizes:
                arguments = benchmark.arguments.format(n=size).split()
                found, status = one(name, arguments)
                rows += found
                if status:
                    ended.append(f"{name} {' '.join(arguments)}")
                print(f"{name}, run {run + 1} of {RUNS}, size {size}: {len(found)} figures", flush=True)
    return rows, ended


def one(name, arguments):
    """The records of one run of a script, and its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "measured.jsonl")
        environment = os.environ | {VARIABLE: str(path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, HERE / f"bench_{name}.py", *arguments]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=LIMIT, text=True, capture_output=True
        )
        if not path.exists():
            sys.exit(f"bench_{name}.py measured nothing:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], run.returncode


class neighbour:
    """A core that is kept busy by another process, if asked."""

    def __init__(self, busy):
        self.busy = busy

    def __enter__(self):
        # it ends with this process, however that ends
        busy = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
        command = [sys.executable, "-c", busy]
        self.process = subprocess.Popen(command) if self.busy else None

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()


def table(rows):
    """Markdown rows: a comparison, a size, the range of each figure, and the exponent beside the largest size."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        sizes = sorted({row["size"] for row in own if row["size"] is not None}) or [None]
        seconds = {
            size: [row["seconds"] for row in own if row["size"] == size and row["seconds"] is not None]
            for size in sizes
        }
        for size in sizes:
            of_size = [row["figures"] for row in own if row["size"] == size]
            figures = [
                f"{among([each[key] for each in of_size])} {key.replace('_', ' ')}" for key in of_size[0]
            ]
            if seconds[size]:
                figures.append(f"{among(seconds[size])} CPU s")
            grows = exponent(seconds) if size == sizes[-1] else ""
            lines.append(
                f"| {name} | {'' if size is None else f'{size:,}'} | {'; '.join(figures)} | {grows} |"
            )
    return lines


def among(values):
    """A range as text, with two significant digits: "11 to 17"."""
    low, high = (shown(end) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def shown(value):
    if abs(value) < 1e-6:  # such as the difference of two equal times
        return "0"
    digits = 1 - int(np.floor(np.log10(abs(value))))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def exponent(seconds):
    """Slope of log CPU over log size, as text; empty where there are not two sizes."""
    middles = {size: statistics.median(values) for size, values in seconds.items() if values and size}
    if len(middles) < 2 or min(middles.values()) <= 0:
        return ""
    return f"{np.polyfit(np.log(list(middles)), np.log(list(middles.values())), 1)[0]:.2f}"


def machine():
    """Processor, cores, memory, Python, date."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.exists() else None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"Python {platform.python_version()}, {dt.date.today()}"
    )


def versions(benchmark):
    """The versions that count, of this environment and of the peer's."""
    found = [f"{name} {metadata.version(name)}" for name in ("numpy", *benchmark.packages)]
    if benchmark.peers:
        lines = (HERE / REQUIREMENTS[benchmark.peers][0]).read_text().splitlines()
        found += [line.replace("==", " ") for line in lines if "==" in line]
    return ", ".join(found)


HEAD = """# What the comparisons measured

Written by `make bench`. Each figure is a range over three runs, the last one beside a busy core; a ratio is taken within one run.
The exponent is the slope of log CPU over log size (1 is linear), where our own cost was measured at several sizes.
"""


def write(name, benchmark, rows):
    """Put a benchmark's section into RESULTS.md; the others stay."""
    sections = {}
    if TARGET.exists():
        parts = re.split(r"^## bench_(\w+)\.py\n", TARGET.read_text(encoding="utf-8"), flags=re.MULTILINE)
        sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    head = ["| what | size | figures | exponent |", "| --- | --- | --- | --- |"]
    sections[name] = "\n".join(["", f"{machine()}; {versions(benchmark)}", "", *head, *table(rows), "", ""])
    text = HEAD + "".join(
        f"\n## bench_{each}.py\n{sections[each].rstrip()}\n" for each in BENCHMARKS if each in sections
    )
    part = TARGET.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(TARGET)


if __name__ == "__main__":
    sys.exit(main())
