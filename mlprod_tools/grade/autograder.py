"""`mlprod grade autograder`: the zip that Gradescope builds a container from, with `setup.sh` and `run_autograder` at its root.

Gradescope unpacks it to /autograder/source, runs setup.sh once with the network, and run_autograder for each submission.
"""

import re
import secrets
from pathlib import Path

from mlprod_tools import zips

ROOT = Path(__file__).resolve().parents[2]
_FILES = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "LICENSE-TEXT", "docs/glossary.md")
_FOLDERS = ("mlprod_helpers", "mlprod_tools", "datasets")

_SETUP = """#!/usr/bin/env bash
# Runs once, when Gradescope builds the image: a Python of the right version, the course with its pins, the sandbox.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends bubblewrap ca-certificates python3-venv
python3 -m venv /opt/uv
/opt/uv/bin/pip install --quiet uv
export UV_PYTHON_INSTALL_DIR=/opt/python
/opt/uv/bin/uv venv --quiet --python 3.12 /opt/course
cd /autograder/source/course
/opt/uv/bin/uv pip install --quiet --python /opt/course/bin/python --compile-bytecode -c constraints.txt .
# learners' code must not read the checks, should it run without the sandbox: then it runs as a user without rights
chmod -R go-rwx /autograder/source
packages=$(/opt/course/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
chmod -R go-rwx "$packages/mlprod_tools" "$packages/mlprod_helpers/exercises" "$packages/mlprod_helpers/oncall/season"
"""

_RUN = """#!/usr/bin/env bash
# Runs for each submission. Without results.json Gradescope says that the autograder failed, and nobody loses points.
set -uo pipefail
export OMP_NUM_THREADS=1
chmod go-rwx /autograder
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# all that is handed in is one learner's, whatever its files are called
mkdir "$work/in" && cp -rP /autograder/submission "$work/in/learner"
# read from here, so that no list of processes shows the seed
/opt/course/bin/python - "$work" <<'END' && cp "$work"/out/gradescope/*.json /autograder/results/results.json
import sys

from mlprod_tools.__main__ import main
from mlprod_tools.grade.sandbox import why_not

work = sys.argv[1]
options = ["-o", f"{work}/out", "--seed", "%(seed)d", "--jobs", "1"%(lessons)s]
if why := why_not():
    print(why)
    options.append("--not-isolated")
sys.exit(main(["grade", f"{work}/in", *options]))
END
"""


def scripts(lessons, seed):
    """The two scripts: name -> text."""
    chosen = f', "--lessons", "{",".join(lessons)}"' if lessons else ""
    return {"setup.sh": _SETUP, "run_autograder": _RUN % {"seed": seed, "lessons": chosen}}


def write(target, lessons=(), seed=None):
    """Write the zip.

    Parameters
    ----------
    target : path
    lessons : sequence of str, optional
        The lessons of the assignment; by default those that a learner hands in.
    seed : int, optional
        What the checks draw from; by default a new one. All submissions get the same.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise ValueError("the autograder is made from a checkout of the course")
    files = {
        name: (text.encode(), 0o755)
        for name, text in scripts(lessons, secrets.randbits(48) if seed is None else seed).items()
    }
    for path in _course():
        files[f"course/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes(), 0o644
    zips.write(target, ((name, *files[name]) for name in sorted(files)))


def _course():
    """What the course needs to be installed: no lessons, no solutions, no tests."""
    yield from (ROOT / name for name in _FILES if (ROOT / name).is_file())
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            is_left_over = "__pycache__" in path.parts or re.search(r"\.(?:pyc|tmp)$", path.name)
            if path.is_file() and not is_left_over:
                yield path
