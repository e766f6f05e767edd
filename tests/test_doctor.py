"""Each check of `mlprod doctor` sees what it is for, and says what to do."""

import os
import socket
import sys
import tomllib

from packaging.specifiers import SpecifierSet

from mlprod_tools import __main__, doctor


def only(check, *arguments):
    (finding,) = check(*arguments)
    return finding


def test_a_ready_machine_is_called_ready(capsys):
    assert __main__.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("This machine is ready.\n") and "FAULT" not in said
    assert all(
        f"{name}:" in said
        for name in ("Python", "packages", "kernel", "disk", "home folder", "offline", "ports")
    )


def test_a_fault_ends_with_status_1_and_names_its_line(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (lambda: doctor.check_disk(least=10**18),))
    assert __main__.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAULT disk:" in said and "Free at least 1 GB" in said and "not ready" in said


def test_another_version_is_a_note_and_a_missing_package_a_fault(monkeypatch):
    other = only(doctor.check_packages, {"pandas": "0.1"})
    assert "instead of 0.1" in other.found and other.advice and not other.is_fault
    monkeypatch.setattr(doctor, "_needed", lambda: ["a-package-that-nobody-has"])
    missing = only(doctor.check_packages, {})
    assert missing.is_fault and "make env" in missing.advice


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    finding = only(doctor.check_writing, tmp_path / "gone")
    assert finding.is_fault and "Copy the course" in finding.advice


def test_the_pythons_that_doctor_accepts_are_those_that_the_package_promises(monkeypatch):
    project = tomllib.loads((doctor.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = SpecifierSet(project["requires-python"])
    for minor in range(9, 16):
        monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
        assert only(doctor.check_python).is_fault == (f"3.{minor}.0" not in promised)


def test_without_a_home_folder_jupyterlab_does_not_start_so_it_is_a_fault(monkeypatch, tmp_path):
    nowhere = tmp_path / "a file"
    nowhere.write_text("")
    for variable in ("HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(variable, str(nowhere))
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME", "JUPYTER_PREFER_ENV_PATH"):
        monkeypatch.delenv(variable, raising=False)
    finding = only(doctor.check_home)
    assert finding.is_fault and "Set HOME" in finding.advice and "Not a directory" in finding.found
    # where somebody gave Jupyter a folder of its own, the course works, but warns
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = only(doctor.check_home)
    assert not finding.is_fault and "Matplotlib" in finding.advice


def test_many_cores_without_a_limit_are_a_note_for_hubs():
    assert "OMP_NUM_THREADS=1" in only(doctor.check_threads, {}, 64).advice
    assert not only(doctor.check_threads, {"OMP_NUM_THREADS": "1"}, 64).advice
    assert not only(doctor.check_threads, {}, 2).advice


def test_without_ports_lesson_09_still_works_so_it_is_a_note(monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(socket, "create_server", refuse)
    finding = only(doctor.check_ports)
    assert finding.advice and not finding.is_fault


def test_a_changed_data_file_is_named(tmp_path):
    (tmp_path / "flights.csv.gz").write_bytes(b"cut off")
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + "  flights.csv.gz\n")
    finding = only(doctor.check_offline, tmp_path)
    assert finding.is_fault and "flights.csv.gz" in finding.found


def test_a_dry_run_prints_minutes_and_memory_and_names_what_breaks(tmp_path, capsys):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    about = {"mlprod": {"title": "A title"}}
    for name, code in (("98_fine", "print(1)"), ("99_broken", "1 / 0")):
        nbformat.write(new_notebook(cells=[new_code_cell(code)], metadata=about), tmp_path / f"{name}.ipynb")
    assert not doctor.dry_run(tmp_path)
    said = capsys.readouterr().out
    assert "ok    98_fine: 0." in said and "MB" in said
    assert "FAULT 99_broken: A title does not run to the end" in said and "ZeroDivisionError" in said
