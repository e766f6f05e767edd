"""What learners get: the same bytes each time, whole, and without a right answer."""

import ast
import json
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest

from mlprod_helpers.lesson import contract
from mlprod_tools import __main__, launch, release

ROOT = release.ROOT


@pytest.fixture(scope="module")
def files():
    return release.bundle(release.lessons(ROOT))


def test_two_releases_on_two_paths_are_the_same_bytes(tmp_path):
    other = tmp_path / "a copy"
    ignored = shutil.ignore_patterns(".venv*", ".git", "__pycache__", "solutions")
    shutil.copytree(ROOT, other, ignore=ignored, symlinks=True)
    for name, root in (("one.zip", ROOT), ("two.zip", other)):
        release.write(release.bundle(["01"], root), tmp_path / name / "mlprod.zip")
    first, second = (tmp_path / name / "mlprod.zip" for name in ("one.zip", "two.zip"))
    assert first.read_bytes() == second.read_bytes()
    release.write(release.bundle(["01"]), tmp_path / "folder")
    with zipfile.ZipFile(first) as archive:
        for name in archive.namelist():
            stored = tmp_path / "folder" / name.removeprefix("mlprod/")
            assert stored.read_bytes() == archive.read(name)


def test_no_tool_no_source_and_no_solution_is_in_it(files):
    folders = {name.partition("/")[0] for name in files if "/" in name}
    assert folders == {"datasets", "docs", "mlprod_helpers", "notebooks"}
    for name, content in files.items():
        if name.startswith("notebooks/"):
            cells = json.loads(content)["cells"]
            assert not any(cell.get("outputs") for cell in cells)
            assert "BEGIN SOLUTION" not in content.decode()


def test_no_alternative_is_in_it(files):
    for lesson in contract.lesson_ids():
        for exercise in contract.load(lesson).exercises.values():
            text = files[exercise.check.__module__.replace(".", "/") + ".py"].decode()
            defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
            assert {each.make.__name__ for each in exercise.misconceptions} <= defined
            # what a misconception builds upon stays, as reference code does
            used = {each.id for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Name)}
            assert not (defined - used) & {make.__name__ for make in exercise.alternatives}
            assert not re.search(r"\.(alternative|survives|acceptable|inputs)\b", text)


def test_no_answer_cell_of_a_solution_is_in_it(files):
    package = "".join(
        c.decode() for n, c in files.items() if n.endswith(".py") and n.startswith("mlprod_helpers")
    )
    plain = re.sub(r"\s+", "", package)
    for path in sorted((ROOT / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            answer = re.sub(r"\s+", "", cell.source)
            if cell.metadata.get("mlprod", {}).get("exercise") and len(answer) > 60:
                assert answer not in plain, cell.id


def test_each_link_leads_to_a_file_of_the_bundle(files):
    for lessons in (release.lessons(ROOT), ["05"]):
        made = release.bundle(lessons)
        for name, content in made.items():
            if name.endswith(".md"):
                texts = [content.decode()]
            elif name.endswith(".ipynb"):
                cells = json.loads(content)["cells"]
                texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
            else:
                continue
            for text in texts:
                for target in re.findall(r"\]\(([^)\s]+)\)", text):
                    if "://" not in target and not target.startswith("#"):
                        folder = name.rpartition("/")[0]
                        assert release._within(folder, target.partition("#")[0]) in made, (name, target)


def test_a_folder_with_other_things_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert __main__.main(["release", str(tmp_path), "--lessons", "00"]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_earlier_release_is_replaced_whole(tmp_path):
    target = tmp_path / "course"
    assert __main__.main(["release", str(target), "--lessons", "00-01"]) == 0
    assert __main__.main(["release", str(target), "--lessons", "00"]) == 0
    assert [path.name for path in (target / "notebooks").iterdir()] == ["00_start_here.ipynb"]
    assert [path.name for path in tmp_path.iterdir()] == ["course"]


@pytest.mark.parametrize("name", release.USED)
def test_a_release_in_which_somebody_works_is_left_alone(name, tmp_path):
    (tmp_path / "notebooks").mkdir()
    for path in (release.MARK, "notebooks/01.ipynb", name):
        (tmp_path / path).write_text("mine")
    with pytest.raises(ValueError, match="in use"):
        release.write({"notebooks/01.ipynb": b"new"}, tmp_path)
    assert (tmp_path / "notebooks" / "01.ipynb").read_text() == "mine"


@pytest.mark.parametrize("asked", ["17", "one", "01-", "01;02"])
def test_lessons_that_there_are_not_are_refused(asked, tmp_path, capsys):
    assert __main__.main(["release", str(tmp_path / "x"), "--lessons", asked]) == 1
    assert "lesson" in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_without_an_address_no_launch_link_is_made_and_with_one_all_lead_to_it(monkeypatch):
    assert launch.links("") == {}
    found = launch.links("https://github.com/owner/name.git", hub="https://hub.example.org/")
    assert set(found) == {"Binder", "Colab", "Codespaces", "nbgitpuller"}
    assert all("owner" in link and "name" in link for link in found.values())
    with pytest.raises(ValueError, match="OWNER/NAME"):
        launch.links("git@github.com:owner/name")


def test_only_a_release_with_an_address_has_the_cell_that_installs_on_colab(files):
    first = json.loads(files["notebooks/00_start_here.ipynb"])["cells"][0]
    assert first["cell_type"] == "markdown"
    text = release._notebook(
        ROOT / "notebooks/00_start_here.ipynb", set(files), "https://github.com/owner/name"
    )
    cell = json.loads(text)["cells"][0]
    assert 'if "google.colab" in sys.modules:' in "".join(cell["source"])
    nbformat.validate(nbformat.reads(text, 4))


def test_a_readme_tells_one_command_and_the_command_knows_its_lesson(files):
    assert b"python start.py" in files["README.md"]
    namespace = {"__name__": "start", "__file__": str(Path("start.py").absolute())}
    exec(compile(files["start.py"], "start.py", "exec"), namespace)
    assert namespace["FIRST"] in files
