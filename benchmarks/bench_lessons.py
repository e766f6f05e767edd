"""What a lesson computes: CPU seconds of all cells of a solution in a fresh kernel, without its start and its imports.

Processes that a lesson starts are not counted: lesson 09 runs as it does where no service can be started.

Run: .venv/bin/python benchmarks/bench_lessons.py [--lesson 02]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from measured import record

LIMIT = 8  # CPU seconds
MORE = {"09_model_serving", "11_on_call"}  # these may take longer
SOLUTIONS = Path(__file__).resolve().parents[1] / "solutions"
KERNEL = """
import ast, contextlib, io, json, os, sys, time
from IPython.core.interactiveshell import InteractiveShell

cells = json.load(sys.stdin)
os.chdir(sys.argv[1])
shell = InteractiveShell.instance()
with contextlib.redirect_stdout(io.StringIO()):
    for cell in cells:
        for each in ast.parse(cell).body:
            if isinstance(each, ast.Import | ast.ImportFrom):
                exec(ast.unparse(each), {})
    begin = time.process_time()
    for cell in cells:
        shell.run_cell(cell).raise_error()
    took = time.process_time() - begin
print(took)
"""


def cpu_seconds(path):
    """CPU seconds of one solution."""
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MLPROD_PROGRESS": "memory", "MLPROD_LIVE": "no"}
    environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, path.parent],
        input=json.dumps(cells),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    return float(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lesson", default="", help="such as 02 (default: all)")
    options = parser.parse_args()
    missed = 0
    for path in sorted(SOLUTIONS.glob(f"{options.lesson}*.ipynb")):
        seconds = cpu_seconds(path)
        missed += seconds > LIMIT and path.stem not in MORE
        record(f"all cells of {path.stem}", CPU_seconds=seconds)
        print(f"{path.stem:<28} {seconds:5.1f} CPU s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
