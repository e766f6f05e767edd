"""Cells that start services are compared where services can be started, and elsewhere run without being compared."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat.v4 as nb
import pytest

ROOT = Path(__file__).resolve().parents[1]


def validated(tmp_path, live):
    """nbval's exit status and words on a notebook whose live cell prints something else than stored."""
    stored = nb.new_output("stream", name="stdout", text="rolled back: True\n")
    book = nb.new_notebook(
        cells=[
            nb.new_code_cell("LIVE = False", execution_count=1),
            nb.new_code_cell("if LIVE:\n    print('rolled back: True')", outputs=[stored], execution_count=2),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    import nbformat

    path = tmp_path / "live.ipynb"
    nbformat.write(book, path)
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(ROOT), "--confcutdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    command += ["-p", "conftest", "--nbval", str(path)]
    environment = os.environ | {"MLPROD_LIVE": live, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    return done.returncode, done.stdout


def test_not_compared_where_no_service_can_be_started(tmp_path):
    pytest.importorskip("nbval")
    status, words = validated(tmp_path, "no")
    assert status == 0, words
    assert "run, but not compared" in words
    assert "MLPROD_LIVE" in words


def test_compared_elsewhere(tmp_path):
    pytest.importorskip("nbval")
    from mlprod_helpers.serving import refusal

    if why := refusal():
        pytest.skip(why)
    status, words = validated(tmp_path, "")
    assert status == 1, words
    assert "Missing output fields" in words
