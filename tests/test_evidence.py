"""Evidence of learning: the cases are right and parallel, what learners hand in is read safely, and the figures keep their promise."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from scipy import stats

from mlprod_helpers import queueing
from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.ten_cases import COUNT, TEXTS, WHEN, TenCases, form_of
from mlprod_tools import __main__, board, evidence, release, testing
from mlprod_tools.evidence import gain, hand_in, notebooks
from mlprod_tools.evidence.cases import CASES, FORMS, LETTERS, RIGHT, UNKNOWN, options

EVERY = [(number, form) for form in FORMS for number in range(1, COUNT + 1)]
each_case = pytest.mark.parametrize(("number", "form"), EVERY)


@pytest.fixture(autouse=True)
def beside_the_texts(tmp_path_factory, monkeypatch):
    """Where a learner's notebook runs: the texts stand beside it."""
    folder = tmp_path_factory.mktemp("notebooks")
    put_texts(folder)
    monkeypatch.chdir(folder)


def put_texts(folder):
    (folder / TEXTS).write_text(json.dumps(notebooks.forms()))


def letter_of(number, form, index=None):
    """The letter of the right option, or of the wrong one with this index."""
    return next(letter for letter, (_, wrong) in options(number, form).items() if wrong == index)


def right_letters(form):
    return {number: letter_of(number, form) for number in range(1, COUNT + 1)}


def given(folder, alias, when, letters):
    """Hand in as a learner's notebook does."""
    cases = TenCases(when)
    cases.share(str(folder), alias)
    for number, letter in letters.items():
        cases.case(number, letter)
    return repr(cases.hand_in())


def with_right(form, numbers):
    """Right answers to these cases, the first misconception in the others."""
    return {n: letter_of(n, form, None if n in numbers else 0) for n in range(1, COUNT + 1)}


def text_of(number, form):
    return CASES[number - 1].version(form).text


def option_texts(number, form):
    version = CASES[number - 1].version(form)
    return version.right, *version.wrong


def numbers(text):
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


# ------------------------------------------------------------------ the cases


def test_there_is_a_case_for_each_lesson_from_01_to_10():
    assert [case.lesson for case in CASES] == [f"{lesson:02d}" for lesson in range(1, 11)]


def test_each_wrong_option_is_a_misconception_of_the_course_and_belongs_to_one_case_only():
    named = [each for case in CASES for each in case.misconceptions]
    assert len(named) == len(set(named)) == 3 * COUNT
    for exercise_id, name in named:
        exercise = contract.load(exercise_id.split(".")[0].zfill(2)).exercises[exercise_id]
        assert name in {each.name for each in exercise.misconceptions}, (exercise_id, name)


def test_the_first_misconception_of_a_case_is_from_its_own_lesson_or_two_of_them_are():
    for case in CASES:
        own = [int(exercise.split(".")[0]) == int(case.lesson) for exercise, _ in case.misconceptions]
        assert own[0] and sum(own) >= 2, case.idea


@each_case
def test_options_are_four_different_texts_of_about_equal_length(number, form):
    texts = option_texts(number, form)
    assert len(set(texts)) == 4
    assert max(map(len, texts)) <= 1.3 * min(map(len, texts)), texts


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_both_forms_of_a_case_are_equally_long_and_differ_in_place_and_figures(number):
    first, second = (text_of(number, form) for form in FORMS)
    assert 0.9 < len(first) / len(second) < 1.1
    assert first != second and RIGHT["A"][number - 1] != RIGHT["B"][number - 1]


def test_the_right_option_stands_in_each_place_five_times():
    both = "".join(RIGHT[form] for form in FORMS)
    assert [both.count(letter) for letter in LETTERS] == [5, 5, 5, 5]
    assert all(2 <= RIGHT[form].count(letter) <= 3 for form in FORMS for letter in LETTERS)
    assert all("".join(letter_of(n, form) for n in range(1, COUNT + 1)) == RIGHT[form] for form in FORMS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("extreme", [min, max])
def test_the_longest_and_the_shortest_option_are_right_no_more_often_than_by_chance(form, extreme):
    expected = 0
    for number in range(1, COUNT + 1):
        right, *wrong = option_texts(number, form)
        lengths = [len(right), *map(len, wrong)]
        chosen = extreme(lengths)
        expected += (len(right) == chosen) / lengths.count(chosen)
    assert expected <= 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("letter", LETTERS)
def test_always_the_same_letter_scores_at_chance(form, letter):
    scored = hand_in.score("someone", form, {str(n): letter for n in range(1, COUNT + 1)})
    assert 2 <= scored.points <= 3


# ------------------------------------------------------------------ right answers, computed anew


@pytest.mark.parametrize("form", FORMS)
def test_the_shares_of_weeks_with_an_alarm(form):
    tests, level = numbers(text_of(3, form))
    expected = [1 - (1 - level) ** tests, level, (1 - level) ** tests, tests * level]
    assert [f"About {share:.0%}" for share in expected] == list(option_texts(3, form))


@pytest.mark.parametrize("form", FORMS)
def test_the_smallest_number_of_servers(form):
    mean, peak, service, spread = numbers(text_of(5, form))
    enough, for_the_mean, just, twice = (int(numbers(text)[0]) for text in option_texts(5, form))
    assert service == spread  # as in an exponential distribution
    assert just * 1000 / service == peak and for_the_mean == np.ceil(mean * service / 1000)
    assert for_the_mean < just < enough < twice == 2 * just
    assert queueing.mmc(peak, service / 1000, enough).wait < 0.1
    waits = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        busiest = queueing.poisson(peak, 3600, random_state=rng)
        run = queueing.simulate(
            busiest, queueing.Exponential(service / 1000), n_servers=just, random_state=rng
        )
        waits.append(float(np.mean(run.wait)))
    assert np.mean(waits) > 2, "with the load at 100%, an hour is enough to wait more than a second"


@pytest.mark.parametrize("form", FORMS)
def test_so_few_cases_without_an_error_leave_the_limit_open(form):
    sure, limit, n, confidence = numbers(text_of(7, form))
    assert (sure, confidence > 100 - limit) == (95, True)
    upper = 1 - 0.05 ** (1 / n)  # the exact one-sided bound
    assert upper > 1.3 * limit / 100
    assert stats.beta(1, n + 1).cdf(limit / 100) < 0.95, "nor is a Bayesian with a flat prior sure"


@pytest.mark.parametrize("form", FORMS)
def test_the_same_percentiles_of_parts_go_with_different_percentiles_of_the_whole(form):
    p99, counts = numbers(text_of(8, form))[3:6], [int(each) for each in numbers(text_of(8, form))[6:9]]
    assert sum(counts) == 10_000
    wholes = []
    for fast in (0.1, 0.99):  # how long answers below the p99 take, as a share of it
        parts = [
            np.where(np.arange(n) < 0.98 * n, fast * p, p) for p, n in zip(p99, counts, strict=True)
        ]  # 2% at p99
        assert [float(np.percentile(part, 99)) for part in parts] == p99
        wholes.append(float(np.percentile(np.concatenate(parts), 99)))
    assert wholes[1] > 1.5 * wholes[0]
    mean, weighted, worst = (numbers(text)[0] for text in option_texts(8, form)[1:])
    assert (mean, worst) == (np.mean(p99), max(p99)) and weighted == np.average(p99, weights=counts)


@pytest.mark.parametrize(("form", "times"), [("A", "five"), ("B", "six")])
def test_the_failure_rates_of_two_versions_differ_beyond_chance(form, times):
    text = re.search(r"In the same hour, (.*)\. Tonight", text_of(9, form))[1]
    old_failed, old_tries, _, new_failed, new_tries, _ = numbers(text)
    ratio = (new_failed / new_tries) / (old_failed / old_tries)
    assert ratio == pytest.approx({"five": 5, "six": 6}[times]) and times in option_texts(9, form)[0]
    assert old_failed > new_failed and old_tries == 9 * new_tries
    table = [[new_failed, new_tries - new_failed], [old_failed, old_tries - old_failed]]
    assert stats.fisher_exact(table).pvalue < 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_no_version_is_worse_anywhere_that_has_data(form):
    rows = [line.split("|")[1:4] for line in text_of(6, form).splitlines() if "%" in line]
    for _, old, new in rows[:2]:
        assert numbers(new)[0] <= numbers(old)[0]
    assert len(rows) == 3 and rows[2][2].strip() == "no request yet"


# ------------------------------------------------------------------ scoring


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", range(COUNT + 1))
def test_a_point_for_each_right_case(form, count):
    letters = with_right(form, range(1, count + 1))
    scored = hand_in.score("someone", form, {str(n): letter for n, letter in letters.items()})
    assert scored.points == count
    assert scored.found == ("",) * count + tuple(case.misconceptions[0] for case in CASES[count:])


def test_i_do_not_know_is_wrong_without_a_misconception():
    scored = hand_in.score("someone", "A", {str(n): UNKNOWN for n in range(1, COUNT + 1)})
    assert scored.points == 0 and set(scored.found) == {UNKNOWN}


# ------------------------------------------------------------------ what learners see and hand in


def test_each_alias_gets_both_forms_and_half_of_the_aliases_begin_with_a():
    aliases = [f"learner_{i}" for i in range(2000)]
    assert all({form_of(alias, when) for when in WHEN} == {"A", "B"} for alias in aliases)
    first = sum(form_of(alias, "before") == "A" for alias in aliases)
    assert abs(first - 1000) < 3 * np.sqrt(500)
    assert form_of("Blue_Otter", "before") == form_of("blue_otter", "before")


def test_nothing_that_learners_get_holds_the_key():
    files = release.bundle(["01"])
    assert not [name for name in files if name.startswith("mlprod_tools")]
    package = "".join(content.decode() for name, content in files.items() if name.endswith(".py"))
    assert not any(text_of(*each) in package for each in EVERY)
    for form in FORMS:
        for case in notebooks.forms()[form]:
            assert set(case) == {"text", "options"} and list(case["options"]) == list(LETTERS)
            assert all(isinstance(text, str) for text in case["options"].values())


def test_a_case_is_shown_and_answered_without_a_word_on_whether_it_is_right(tmp_path):
    cases = TenCases("before")
    assert "Choose an alias first" in repr(cases.case(1, "a")) and "Choose an alias" in repr(cases.hand_in())
    assert "Replace `...`" in repr(cases.share(str(tmp_path), ...))
    assert "Your alias is" in repr(cases.share(str(tmp_path), "blue_otter"))
    shown = cases.case(1, ...)
    assert shown._repr_markdown_() == repr(shown) and "I don't know" in repr(shown)
    assert text_of(1, form_of("blue_otter", "before")) in repr(shown)
    notes = {
        repr(cases.case(1, letter)).rsplit("\n\n", 1)[1].replace(f"**{letter}**", "") for letter in LETTERS
    }
    assert notes == {"Your answer is . You can change it until you hand in."}
    for odd in ("x", 3, None, ["a"], np.array(["a"])):
        assert "none of the options" in repr(cases.case(1, odd))
    assert "answer is **b**" in repr(cases.case(1, " B "))


def test_ten_letters_and_an_alias_are_recorded_and_the_first_ones_stay(tmp_path):
    form = form_of("blue_otter", "before")
    letters = right_letters(form)
    assert "Still without an answer: 1." in given(tmp_path, "blue_otter", "before", letters | {1: ...})
    assert list(tmp_path.iterdir()) == []
    assert "Recorded in" in given(tmp_path, "blue_otter", "before", letters)
    (path,) = tmp_path.iterdir()
    data = json.loads(path.read_text())
    assert set(data) == {"version", "alias", "when", "form", "edition", "answers"}
    assert data["alias"] == "blue_otter" and data["answers"] == {str(n): a for n, a in letters.items()}
    assert path.stat().st_mode & 0o444 == 0o444, "the instructor is another user"
    kept = path.read_bytes()
    assert "handed in already" in given(tmp_path, "blue_otter", "before", {n: "?" for n in letters})
    assert path.read_bytes() == kept


def test_without_its_texts_a_notebook_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="ten_cases.json has to stand beside this notebook"):
        TenCases("before")


def test_an_alias_that_is_taken_is_refused_and_one_without_a_first_test_is_told(tmp_path, monkeypatch):
    letters = right_letters(form_of("red_fox", "before"))
    given(tmp_path, "red_fox", "before", letters)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put_texts(elsewhere)
    monkeypatch.chdir(elsewhere)
    assert "from another folder" in repr(TenCases("before").share(str(tmp_path), "Red_Fox"))
    after = TenCases("after")
    assert "no first test" not in repr(after.share(str(tmp_path), "red_fox"))
    assert "There is no first test of `owl_2`" in repr(after.share(str(tmp_path), "owl_2"))


@pytest.mark.parametrize("alias", ["", "x", "../up", "a b", "n" * 21, None, 7])
def test_an_alias_that_would_not_be_a_file_name_is_refused(tmp_path, alias):
    assert "An alias has" in repr(TenCases("before").share(str(tmp_path), alias))


@pytest.mark.parametrize("folder", ["/no/such/folder", None, 5])
def test_a_folder_that_is_not_there_is_refused(folder):
    assert "is no folder" in repr(TenCases("before").share(folder, "owl"))


def test_a_folder_that_goes_away_is_told_and_nothing_breaks(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    cases = TenCases("before")
    cases.share(str(shared), "owl")
    for number, letter in right_letters(form_of("owl", "before")).items():
        cases.case(number, letter)
    shared.rmdir()
    assert "cannot be written" in repr(cases.hand_in())


def test_the_board_is_not_disturbed_by_tests_in_its_folder(tmp_path):
    given(tmp_path, "owl", "before", right_letters(form_of("owl", "before")))
    everybody = board.read(tmp_path)
    assert not everybody.learners and not everybody.unreadable


EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=120).execute()
print(nbformat.writes(notebook))
"""


def run(path, course):
    environment = testing.environment() | {"PYTHONPATH": str(course)}
    command = [sys.executable, "-c", EXECUTE, path.name]
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_in_a_release_the_notebooks_run_untouched_and_record_when_answered(tmp_path, capsys):
    release.write(release.bundle(["01"]), tmp_path / "course")
    shared = tmp_path / "board"
    shared.mkdir()
    folder = tmp_path / "course/notebooks"
    assert __main__.main(["evidence", "--make", str(folder), "--share", str(shared)]) == 0
    assert __main__.main(["evidence", "--make", str(folder)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert "Choose an alias first" in run(folder / "ten_cases_before.ipynb", tmp_path / "course")
    assert list(shared.iterdir()) == []
    for when in WHEN:
        path = folder / f"ten_cases_{when}.ipynb"
        fill(path, right_letters(form_of("blue_otter", when)))
        assert "Recorded in" in run(path, tmp_path / "course")
    found = hand_in.read(shared)
    assert found.paired == ["blue_otter"] and found.before["blue_otter"].points == COUNT


def fill(path, letters):
    """Answer as a learner does: an alias and ten letters in place of the dots."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("alias=...", 'alias="blue_otter"')
        if match := re.fullmatch(r"cases\.case\((\d+), \.\.\.\)", cell.source):
            cell.source = cell.source.replace("...", repr(letters[int(match[1])]))
    nbformat.write(notebook, path)


# ------------------------------------------------------------------ reading


def valid(alias, when="before", /, **changed):
    form = form_of(alias, when)
    answers = {str(n): letter for n, letter in right_letters(form).items()}
    data = {"version": 1, "alias": alias, "when": when, "form": form, "edition": 1, "answers": answers}
    return json.dumps(data | changed)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "broken"),
        (valid("owl")[:-30], "broken"),
        ("[" * 9000, "broken"),
        ("[]", "something else"),
        ("x" * 20_000, "too large"),
        (valid("owl", version=2), "another version"),
        (valid("owl", version=True), "another version"),
        (valid("owl", edition=99), "another edition"),
        (valid("owl", alias="a b"), "no alias"),
        (valid("owl", alias=["owl"]), "no alias"),
        (valid("owl", when="during"), "no alias"),
        (valid("owl", when=[]), "no alias"),
        (valid("owl", form="C"), "form"),
        (valid("owl", form=form_of("owl", "after")), "form"),
        (valid("owl", answers={"1": "a"}), "ten answers"),
        (valid("owl", answers=["a"] * 10), "ten answers"),
        (valid("owl", answers={str(n): "e" for n in range(1, 11)}), "ten answers"),
        (valid("owl", answers={str(n): ["a"] for n in range(1, 11)}), "ten answers"),
        (valid("owl", answers=None), "ten answers"),
        (valid("owl", answers={str(n): "a" for n in range(1, 12)}), "ten answers"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, content, why, capsys):
    (tmp_path / "odd.cases").write_text(content)
    given(tmp_path, "fine", "before", right_letters(form_of("fine", "before")))
    found = hand_in.read(tmp_path)
    assert list(found.before) == ["fine"]
    ((name, reason),) = found.skipped
    assert name == "odd.cases" and why in reason
    for how in ([], ["--csv"], ["--json"]):
        assert __main__.main(["evidence", str(tmp_path), *how]) == 0
        assert "odd.cases" in "".join(capsys.readouterr())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_bytes_folders_pipes_and_links_to_nowhere_do_no_harm(tmp_path, capsys):
    (tmp_path / "bytes.cases").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.cases").mkdir()
    os.mkfifo(tmp_path / "pipe.cases")
    (tmp_path / "gone.cases").symlink_to(tmp_path / "nothing")
    (tmp_path / "a\x1b[31m\nb.cases").write_text("")
    assert len(hand_in.read(tmp_path).skipped) == 5
    assert __main__.main(["evidence", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "Left out: a?[31m?b.cases, it is broken or cut off.\n" in text
    assert "0 learners handed in both tests" in text


def test_equal_copies_count_once_and_different_tests_of_one_alias_not_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.cases").write_text(valid("owl"))
    (tmp_path / "c.cases").write_text(valid("fox"))
    (tmp_path / "d.cases").write_text(valid("Fox", answers={str(n): "?" for n in range(1, 11)}))
    found = hand_in.read(tmp_path)
    assert set(found.before) == {"owl"} and found.before["owl"].points == COUNT
    assert found.skipped == [
        ("b.cases", "the same as a.cases, which counts"),
        ("c.cases", "2 different tests have this alias"),
        ("d.cases", "2 different tests have this alias"),
    ]


def test_the_two_tests_of_one_alias_are_a_pair_wherever_they_were_written(tmp_path):
    (tmp_path / "owl-aaaaaa-before.cases").write_text(valid("owl"))
    (tmp_path / "Owl-bbbbbb-after.cases").write_text(valid("Owl", "after"))
    assert hand_in.read(tmp_path).paired == ["owl"]


def test_the_output_does_not_depend_on_the_order_of_the_files(tmp_path, capsys):
    rng = np.random.default_rng(1)
    tests = {f"{i}.cases": valid(f"learner_{i}", when) for i, when in enumerate(WHEN * 6)}
    tests |= {f"after_{i}.cases": valid(f"learner_{i}", "after") for i in range(0, 8, 2)}
    tests |= {"broken.cases": "{", "copy.cases": tests["0.cases"]}
    printed = set()
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for name in rng.permutation(list(tests)).tolist():
            (folder / name).write_text(tests[name])
        for how in ([], ["--csv"], ["--json"]):
            assert __main__.main(["evidence", str(folder), *how]) == 0
            printed.add((str(how), capsys.readouterr().out))
    assert len(printed) == 3


# ------------------------------------------------------------------ figures


def simulated(rng, n, chance_before, chance_after, spread=0.1, harder=0.0):
    """Points of n learners in both tests; `harder` is how much smaller the chances are in form B. Half begin with A."""
    ability = rng.normal(0, spread, n)
    penalty = np.where(np.arange(n) % 2, harder, 0.0)  # odd ones have B first
    before = rng.binomial(COUNT, np.clip(chance_before + ability - penalty, 0, 1))
    after = rng.binomial(COUNT, np.clip(chance_after + ability - (harder - penalty), 0, 1))
    return before, after


def coverage(gains_of, true, classes=1000):
    """The share of simulated classes with the true gain in their interval, and the mean gain of all classes."""
    rng = np.random.default_rng(20)
    held, means = 0, []
    for _ in range(classes):
        before, after = gains_of(rng)
        mean, within = gain.interval((after - before).tolist())
        held += within is not None and within[0] <= true <= within[1]
        means.append(mean)
    return held / classes, float(np.mean(means))


@pytest.mark.parametrize(
    ("n", "chances", "harder"),
    [(12, (0.4, 0.6), 0), (30, (0.4, 0.7), 0), (12, (0.45, 0.45), 0), (20, (0.4, 0.6), 0.1)],
)
def test_the_interval_holds_the_true_gain_in_95_of_100_classes(n, chances, harder):
    true = COUNT * (chances[1] - chances[0])
    share, mean = coverage(lambda rng: simulated(rng, n, *chances, harder=harder), true)
    # where the forms differ, each half varies around its own gain: the interval is then too wide, never too narrow
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / 1000) < share < (0.97 if not harder else 0.99)
    assert mean == pytest.approx(true, abs=0.1)


def test_a_class_that_learned_nothing_has_no_gain_even_if_one_form_is_harder():
    share, mean = coverage(lambda rng: simulated(rng, 16, 0.5, 0.5, harder=0.15), 0.0)
    assert share > 0.93 and abs(mean) < 0.06


def test_with_unequal_halves_the_figure_by_halves_and_its_interval_keep_their_promise():
    rng = np.random.default_rng(5)
    held, means, plain = 0, [], []
    for _ in range(1000):
        before, after = simulated(rng, 16, 0.4, 0.6, harder=0.15)
        # of those who began with B, three of eight came
        first, second = (after - before)[::2], (after - before)[1::2][:3]
        mean, (low, high) = gain.interval_by_halves(first, second)
        held += low <= 2.0 <= high
        means.append(mean)
        plain.append(float(np.mean([*first, *second])))
    assert abs(held / 1000 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1000)
    assert abs(np.mean(means) - 2.0) < 0.1 and abs(np.mean(plain) - 2.0) > 0.5


def class_of(folder, aliases, points_before, points_after, harder=0):
    """A class of the real notebooks' class; form B costs each learner `harder` points."""
    for i, alias in enumerate(aliases):
        for when, points in (("before", points_before), ("after", points_after)):
            form = form_of(alias, when)
            right = points[i] - (harder if form == "B" else 0)
            given(folder, alias, when, with_right(form, range(1, right + 1)))


def aliases_of(first, count):
    return [alias for alias in (f"learner_{i}" for i in range(500)) if form_of(alias, "before") == first][
        :count
    ]


def test_a_harder_form_cancels_exactly_when_the_halves_are_equal(tmp_path):
    aliases = aliases_of("A", 3) + aliases_of("B", 3)
    class_of(tmp_path, aliases, [5] * 6, [7] * 6, harder=2)
    found = gain.evidence(hand_in.read(tmp_path))
    assert found.gain == found.gain_by_halves == 2.0 and found.a_first == 3


def test_unequal_halves_are_told_and_the_figure_in_which_the_forms_cancel_is_shown(tmp_path, capsys):
    class_of(tmp_path, aliases_of("A", 3) + aliases_of("B", 1), [5] * 4, [7] * 4, harder=1)
    found = gain.evidence(hand_in.read(tmp_path))
    assert (found.gain, found.gain_by_halves) == (1.5, 2.0)
    __main__.main(["evidence", str(tmp_path)])
    text = capsys.readouterr().out
    assert "3 began with form A, 1 with form B" in text and "the mean gain would be +2.0." in text


def test_figures_agree_with_scipy():
    gains = [1, 3, 2, 5, -1, 2, 0, 4]
    mean, (low, high) = gain.interval(gains)
    own = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((np.mean(gains), own.low, own.high))
    assert gain.mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert gain.after_holm([0.001, 0.02, 0.03, 0.9]) == 1


@pytest.mark.parametrize("gains", [[], [1], [1, 2], [2, 2, 2, 2]])
def test_no_interval_is_given_where_there_is_none(gains):
    assert gain.interval(gains)[1] is None


def test_who_took_one_test_only_is_counted_and_in_no_figure(tmp_path, capsys):
    aliases = aliases_of("A", 6) + aliases_of("B", 6)
    class_of(tmp_path, aliases, [3, 4, 5] * 4, [6, 6, 6] * 4)
    given(tmp_path, "only_before", "before", with_right(form_of("only_before", "before"), []))
    given(tmp_path, "only_after", "after", with_right(form_of("only_after", "after"), []))
    assert __main__.main(["evidence", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "12 learners handed in both tests: 6 began with form A" in text
    assert "Only the test before: 1. Only the one after: 1." in text
    assert "Points of ten: 4.0 before, 6.0 after. Mean gain: +2.0." in text
    assert "95% interval of the mean gain: +1.5 to +2.5." in text
    assert "no control group" in text.lower() and "fewer than 10" not in text
    __main__.main(["evidence", str(tmp_path), "--csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 14 and {row["gain"] for row in rows} == {"1", "2", "3", ""}
    __main__.main(["evidence", str(tmp_path), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert (data["paired"], data["only_before"], data["only_after"], data["gain"]) == (12, 1, 1, 2.0)
    held = {(row["exercise"], row["name"]): row for row in data["misconceptions"]}
    row = held[CASES[4].misconceptions[0]]  # case 5: 8 of 12 are wrong before, nobody after
    assert (row["before"], row["after"], row["gone"], row["new"]) == (8, 0, 8, 0)
    assert row["p"] == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "at least 3"), (2, "at least 3"), (3, "fewer than 10"), (9, "fewer than 10")]
)
def test_small_classes_are_warned(tmp_path, count, expected, capsys):
    aliases = [f"learner_{i}" for i in range(count)]
    class_of(tmp_path, aliases, [3] * count, [3 + i % 5 for i in range(count)])
    assert __main__.main(["evidence", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert expected in text and ("95% interval" in text) == (count >= 3)


def test_an_empty_folder_says_so_and_a_missing_one_is_a_fault(tmp_path, capsys):
    for how in ([], ["--csv"], ["--json"]):
        assert __main__.main(["evidence", str(tmp_path), *how]) == 0
    assert "0 learners handed in both tests" in capsys.readouterr().out
    assert __main__.main(["evidence", str(tmp_path / "none")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert __main__.main(["evidence"]) == 1
    assert __main__.main(["evidence", str(tmp_path), "--share", "x"]) == 1


def test_the_key_shows_every_case_with_one_right_option():
    text = evidence.key()
    assert text.count("(**right**)") == len(EVERY)
    assert all(text_of(number, form) in text for number, form in EVERY)
