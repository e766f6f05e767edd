"""One list of dependencies: pyproject.toml, its pins in constraints.txt, environment.yml and what is installed agree."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def pins():
    """name -> [(version, marker)]; a package may have a pin for each Python."""
    found = {}
    for line in LOCK.splitlines():
        requirement = Requirement(line)
        version = next(iter(requirement.specifier)).version
        found.setdefault(canonicalize_name(requirement.name), []).append((version, requirement.marker))
    return found


def pin_here(name):
    """The version pinned for the Python that runs, or None."""
    fits = [
        version
        for version, marker in pins().get(canonicalize_name(name), [])
        if not marker or marker.evaluate()
    ]
    return fits[0] if fits else None


def listed():
    project = PROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        PROJECT["build-system"]["requires"],
    ]
    return [Requirement(text) for group in groups for text in group]


def test_the_lock_is_plain_pins_without_addresses():
    for line in LOCK.splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^ ]+( ; .+)?", line), line
    assert "://" not in LOCK and "://" not in (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("requirement", listed(), ids=str)
def test_every_listed_dependency_is_pinned_within_its_bounds(requirement):
    versions = [version for version, _ in pins().get(canonicalize_name(requirement.name), [])]
    assert versions, f"{requirement.name} is not in constraints.txt: run make lock"
    assert all(requirement.specifier.contains(version) for version in versions)


def closure(names):
    """What these installed distributions need, over and over, on this machine."""
    todo, seen = list(names), set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        extras = requirement.extras or {""}
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(text)
    return seen


def test_nothing_is_installed_that_the_lock_does_not_pin():
    project = PROJECT["project"]
    needed = closure(project["dependencies"] + project["optional-dependencies"]["dev"])
    # on a newer patch release of Python a marker may drop a backport
    assert {name for name in needed if pin_here(name) is None} == set()
    wrong = {name: metadata.version(name) for name in needed if metadata.version(name) != pin_here(name)}
    assert wrong == {}, "the environment differs from constraints.txt: run make clean env"


def test_conda_and_binder_get_the_same_pins():
    python = next(
        item for item in ENVIRONMENT["dependencies"] if isinstance(item, str) and item.startswith("python")
    )
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    assert allowed.contains(python.split("=")[1] + ".0")
    pip = next(item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict))
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    # conda brings Python and pip alone; whatever else it brought would not be the lock's
    assert {str(item).split("=")[0] for item in ENVIRONMENT["dependencies"] if isinstance(item, str)} == {
        "python",
        "pip",
    }


def test_the_packages_that_the_course_is_built_on_are_there():
    names = {canonicalize_name(item.name) for item in listed()}
    assert {"jupyterlab", "nbval", "pandas", "scikit-learn", "matplotlib", "ipywidgets"} <= names


def test_every_dependency_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r'    "[a-z0-9-]+[<>=]', line)]
    assert len(lines) == len(PROJECT["project"]["dependencies"]) + sum(
        map(len, PROJECT["project"]["optional-dependencies"].values())
    )
    assert all(" # " in line for line in lines), [line for line in lines if " # " not in line]


def test_the_python_that_runs_is_one_of_those_promised():
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(
        ".".join(map(str, sys.version_info[:3]))
    )


def test_jupyterlab_is_told_to_show_no_news():
    overrides = Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json"
    assert overrides.read_bytes() == (ROOT / "mlprod_helpers/lesson/jupyterlab_overrides.json").read_bytes()


def test_ci_runs_on_every_supported_python_on_each_push_and_pull_request():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    asked = workflow[True]  # YAML reads the key `on` as true
    assert set(asked) == {"push", "pull_request"}
    job = workflow["jobs"]["test"]
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 30) if f"3.{minor}.0" in allowed]
    assert job["strategy"]["matrix"]["python"] == minors
    assert job["steps"][-1] == {"run": ".ci/run"}


def test_conda_takes_its_file_where_conda_is():
    conda = shutil.which("conda")
    if conda is None:
        pytest.skip("there is no conda here")
    command = [conda, "env", "create", "--dry-run", "--name", "mlprod-dry-run", "--file", "environment.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "HTTP" in done.stderr:
        pytest.skip("conda reaches no channel here")
    assert done.returncode == 0, done.stderr
