"""`mlprod test`: every check that CI runs, in the order in which they say most in least time."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NBGRADER = (
    ROOT / ".venv-nbgrader" / "bin" / "python"
)  # made by .ci/run; the course's own environment has no nbgrader
PROSE = [
    "lessons",
    "mlprod_helpers",
    "mlprod_tools",
    "tests",
    "benchmarks",
    "datasets/README.md",
    "docs",
    "site",
]


SLOWEST = 10


def steps(extra=(), with_slowest=False):
    """(name, command) of each step; `extra` goes to the unit tests. `with_slowest` lists the slowest tests and cells."""
    python = [sys.executable, "-m"]
    code = [
        "lessons",
        "mlprod_helpers",
        "mlprod_tools",
        "tests",
        "benchmarks",
        "datasets",
        "site",
        "conftest.py",
    ]
    texts = [
        name
        for name in (*PROSE, "README.md", "CONTRIBUTING.md", "INSTRUCTORS.md", "CHANGELOG.md")
        if (ROOT / name).exists()
    ]
    both_cores = ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadscope"]
    slowest = ["--durations", str(SLOWEST)] if with_slowest else []
    elsewhere = ["--ignore", "tests/test_nbgrader.py"] if NBGRADER.exists() else []
    yield "lint", [*python, "ruff", "check", *code]
    yield "format", [*python, "ruff", "format", "--check", *code]
    yield "spelling", [*python, "codespell_lib", *texts]
    yield "notebooks in step with lessons", [*python, "mlprod_tools", "build", "--check"]
    yield (
        "unit tests, doctests, guards, notebooks as learners open them",
        [*python, "pytest", "-rs", *both_cores, *elsewhere, *slowest, *extra],
    )
    if elsewhere:
        command = [str(NBGRADER), "-m", "pytest", *both_cores[:2], "--dist", "load", "tests/test_nbgrader.py"]
        yield "nbgrader's own tools on every lesson, in an environment of its own", command
    yield "audit of the exercises", [*python, "mlprod_tools", "audit", "--quick"]
    yield (
        "stored outputs against a fresh run",
        [*python, "pytest", *both_cores, *nbval_options(), *slowest, "solutions"],
    )


def nbval_options():
    """How solutions/ is validated: strictly, and pictures by their alternative text and, in conftest.py, by what they show."""
    return [
        "--nbval",
        "--nbval-sanitize-with",
        "tests/nbval_sanitize.cfg",
        "--nbval-cell-timeout",
        "120",
        "-o",
        "addopts=-q",
    ]


def environment():
    """One thread a kernel: two threads on two cores burn six times the CPU."""
    quiet = {"OMP_NUM_THREADS": "1", "MLPROD_PROGRESS": "memory", "PYTHONHASHSEED": "0"}
    without = ("PYTHONDONTWRITEBYTECODE", "MPLBACKEND", "NBGRADER_EXECUTION")
    # programs of this environment are found though nobody activated it
    quiet["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {key: value for key, value in os.environ.items() if key not in without} | quiet


def main(options):
    """Run all steps, also after a red one, so that one run names everything. Exit status 1 if any is red."""
    from mlprod_tools.build import no_checkout

    if why := no_checkout(ROOT):
        print(f"mlprod test: {why}", file=sys.stderr)
        return 1
    red, begin = [], time.monotonic()
    for name, command in steps(options.arguments, options.slowest):
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        if subprocess.run(command, cwd=ROOT, env=environment()).returncode:
            red.append(name)
        print(f"-- {name}: {time.monotonic() - started:.0f} s", flush=True)
    took = time.monotonic() - begin
    print(f"\nmlprod test: {'all green' if not red else 'RED: ' + '; '.join(red)} ({took:.0f} s)")
    return 1 if red else 0
