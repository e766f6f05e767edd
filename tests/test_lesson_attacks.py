"""`check` never raises and always ends, whatever an answer is or does: hostile objects, exceptions, functions and loops."""

import builtins
import collections
import contextlib
import decimal
import fractions
import functools
import itertools
import os
import random
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from stand_in_exercises import asks, use_lesson

from mlprod_helpers.lesson import face, feedback
from mlprod_helpers.lesson.checking import Outcome, check
from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Frame,
    Function,
    Mapping,
    Names,
    Number,
    Order,
    Sequence,
    Several,
    Text,
)

SECONDS = 0.3


def ask(kind, expected):
    """One exercise with a plain answer and one with a function, of the same kind."""

    @asks("98.1", kind=kind, seconds=SECONDS)
    def plain(answer, rng, expect):
        expect.equal(answer, expected, "the answer")

    @asks("98.2", kind=Function("a", "b", returns=kind), seconds=SECONDS)
    def function(answer, rng, expect):
        expect.equal(answer(1.0, [1, 2]), expected, "the result")

    return plain, function


KINDS = {
    "number": ask(Number(low=0, high=1), 0.5),
    "names": ask(Names(), ["a"]),
    "order": ask(Order(("a", "b")), ["a", "b"]),
    "array": ask(Array(), np.array([1.0])),
    "frame": ask(Frame(columns=("a",)), pd.DataFrame({"a": [1]})),
    "mapping": ask(Mapping(keys=("a",), values=Number()), {"a": 1}),
    "sequence": ask(Sequence(items=Number()), [1]),
    "text": ask(Text(options=("a", "b")), "a"),
    "several": ask(Several(Number(), Text()), (1, "a")),
    "choice": ask(Choice(dict.fromkeys("abcde", "case"), options=("p", "q")), dict.fromkeys("abcde", "p")),
}


class Fails:
    """Whatever is asked of it, it raises what it was made with."""

    def __init__(self, error):
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name):
        raise object.__getattribute__(self, "error")

    def _raise(self, *args, **kwargs):
        raise object.__getattribute__(self, "error")

    __iter__ = __len__ = __float__ = __int__ = __bool__ = __eq__ = __array__ = __repr__ = __str__ = _raise
    __getitem__ = __index__ = __complex__ = __contains__ = __format__ = __lt__ = __hash__ = __dir__ = _raise


class BadText(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class LeavingText(Exception):
    def __str__(self):
        raise SystemExit(3)


class NoText(Exception):
    def __str__(self):
        return 3  # noqa: PLE0307


class EndlessText(Exception):
    def __str__(self):  # noqa: PLE0307
        while True:
            pass


class TextOfItsOwn(str):
    def strip(self, *args):
        raise RuntimeError("no strip")

    split = encode = __len__ = strip


class OddText(Exception):
    def __str__(self):
        return TextOfItsOwn("odd")


class NoTrace(Exception):
    @property
    def __traceback__(self):
        raise RuntimeError("no traceback")

    @__traceback__.setter
    def __traceback__(self, value):
        pass


class OtherClass(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")


class Nameless(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class NamelessError(Exception, metaclass=Nameless):
    pass


class NamelessObject(metaclass=Nameless):
    pass


class OwnBase(BaseException):
    pass


def lying(claimed):
    class Liar:
        __class__ = property(lambda self: claimed)

    return Liar()


class Liars(float):
    def __float__(self):
        raise SystemExit(1)

    __iter__ = __float__


class EndlessList(list):
    def __iter__(self):
        return itertools.count()


class ListThatLeaves(list):
    def __iter__(self):
        raise SystemExit(2)

    __len__ = __getitem__ = __iter__


class DictThatLeaves(dict):
    def items(self):
        raise SystemExit(2)

    keys = values = __iter__ = __len__ = __getitem__ = get = items


class FrameThatLeaves(pd.DataFrame):
    @property
    def iloc(self):
        raise SystemExit(2)

    @property
    def _constructor(self):
        return FrameThatLeaves


class Callable:
    def __call__(self, a, b):
        return lying(float)

    @property
    def __signature__(self):
        raise SystemExit(4)


class SlowToCompare:
    def __eq__(self, other):
        while True:
            pass

    __hash__ = None


def nested(depth, inner=0.5):
    value = inner
    for _ in range(depth):
        value = [value]
    return value


def nested_dict(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def itself():
    found = {}
    found["a"] = found
    return found


def half_a_frame():
    frame = pd.DataFrame({"a": [1, 2]})
    object.__setattr__(frame, "_mgr", None)
    return frame


VALUES = {
    "list of 999,998 items": lambda: [0] * 999_998,
    "list of 999,999 items": lambda: [0] * 999_999,
    "a million texts": lambda: ["x"] * 1_000_000,
    "nested 18 deep": lambda: nested(18),
    "nested 19 deep": lambda: nested(19),
    "nested 20 deep": lambda: nested(20),
    "nested 21 deep": lambda: nested(21),
    "nested 100,000 deep": lambda: nested(100_000),
    "dict 20 deep": lambda: nested_dict(20),
    "dict of itself": itself,
    "everything raises": lambda: Fails(RuntimeError("no")),
    "everything leaves": lambda: Fails(SystemExit(1)),
    "everything is its own": lambda: Fails(OwnBase()),
    "everything ends a generator": lambda: Fails(GeneratorExit()),
    "everything stops an iteration": lambda: Fails(StopIteration()),
    "everything recurses": lambda: Fails(RecursionError()),
    "everything is out of memory": lambda: Fails(MemoryError()),
    "claims to be a bool": lambda: lying(bool),
    "claims to be a float": lambda: lying(float),
    "claims to be a text": lambda: lying(str),
    "claims to be a list": lambda: lying(list),
    "claims to be a dict": lambda: lying(dict),
    "claims to be an array": lambda: lying(np.ndarray),
    "claims to be a frame": lambda: lying(pd.DataFrame),
    "claims to be a series": lambda: lying(pd.Series),
    "claims to be nothing": lambda: lying(type(None)),
    "claims to be a class": lambda: lying(type),
    "float that leaves": lambda: Liars(0.5),
    "endless list": lambda: EndlessList([1]),
    "list that leaves": lambda: ListThatLeaves([1]),
    "dict that leaves": lambda: DictThatLeaves(a=1),
    "frame that leaves": lambda: FrameThatLeaves({"a": [1]}),
    "half a frame": half_a_frame,
    "nameless object": NamelessObject,
    "nameless class": lambda: NamelessObject,
    "half a character": lambda: "\ud800",
    "halves of characters": lambda: ["\ud800", "\udfff"],
    "keys of halves": lambda: {"\ud800": 1},
    "frame named by halves": lambda: pd.DataFrame({"\ud800": [1]}),
    "huge text": lambda: "x" * 10**7,
    "huge integer": lambda: 10**5000,
    "negative huge integer": lambda: -(10**5000),
    "zero byte": lambda: "\0",
    "signalling NaN": lambda: decimal.Decimal("sNaN"),
    "infinite decimal": lambda: decimal.Decimal("inf"),
    "huge fraction": lambda: fractions.Fraction(10**400, 3),
    "named tuple": lambda: collections.namedtuple("P", "a b")(1, 2),
    "default dict": lambda: collections.defaultdict(list, a=1),
    "counter": lambda: collections.Counter("ab"),
    "memory": lambda: memoryview(b"abc"),
    "iterator": lambda: iter([1]),
    "endless iterator": itertools.count,
    "slow comparison": SlowToCompare,
    "file": lambda: sys.__stdin__,
    "lock": threading.Lock,
    "exception": lambda: BadText("x"),
    "structured array": lambda: np.zeros(2, dtype=[("a", float)]),
    "array of dates": lambda: np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"),
    "array of arrays": lambda: np.array([np.zeros(2), np.zeros(3)], dtype=object),
    "void scalar": lambda: np.void(b"abc"),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "masked scalar": lambda: np.ma.masked,
    "empty array": lambda: np.zeros((0, 3)),
    "dates out of range": lambda: np.datetime64("9999999-01-01"),
    "sparse column": lambda: pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
    "intervals": lambda: pd.Series(pd.interval_range(0, 3)),
    "periods": lambda: pd.Series(pd.period_range("2026-01", periods=2, freq="M")),
    "repeated columns": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "column of lists": lambda: pd.DataFrame({"a": [[1], {2: 3}]}),
    "column of itself": lambda: pd.Series([np.array([1]), pd.NA, nested(19)]),
    "many levels": lambda: pd.DataFrame([[1]], index=pd.MultiIndex.from_tuples([(1, "a", None)])),
}


def recurse(a, b):
    return recurse(a, b)


def mutual(a, b):
    return [mutual(a, b)]


def raiser(make):
    def raising(a, b):
        raise make()

    return raising


def from_group(a, b):
    raise BaseExceptionGroup("two", [SystemExit(1), BadText("x")])


def caused_by_itself(a, b):
    error = ValueError("x")
    error.__context__ = error
    raise error


def closes_stdout(a, b):
    sys.stdout.close()
    sys.stderr.close()
    return 0.5


def replaces_stdout(a, b):
    sys.stdout = None
    print("x")
    return 0.5


def warns(a, b):
    warnings.simplefilter("error")
    warnings.warn("x", stacklevel=1)
    return 0.5


def prints_halves(a, b):
    print("\ud800")


def clears_arguments(a, b):
    b.append(b)
    b.append(Fails(SystemExit(1)))
    return 0.5


def grows_a_list(a, b):
    b.extend(range(1_100_000))
    return 0.5


def endless(a, b):
    while True:
        pass


def endless_and_deaf(a, b):
    while True:
        try:  # noqa: SIM105
            time.sleep(0.001)
        except:  # noqa: E722
            pass


def asleep(a, b):
    time.sleep(3600)


def endless_and_suppressing(a, b):
    while True:
        with contextlib.suppress(BaseException):
            a += 1


def catches_and_returns(a, b):
    try:
        while True:
            pass
    except BaseException:
        return 0.5


def endless_in_finally(a, b):
    try:
        return 0.5
    finally:
        while True:
            pass


def endless_generator(a, b):
    return sum(1.0 for _ in itertools.repeat(0) if a > 2)


FUNCTIONS = {
    "recursion": recurse,
    "mutual recursion": mutual,
    "error without text": raiser(lambda: BadText("x")),
    "error whose text leaves": raiser(lambda: LeavingText("x")),
    "error whose text is a number": raiser(lambda: NoText("x")),
    "error whose text does not end": raiser(lambda: EndlessText("x")),
    "error with a text of its own": raiser(lambda: OddText("x")),
    "error of half a character": raiser(lambda: ValueError("\ud800 \udfff")),
    "error of a megabyte": raiser(lambda: ValueError("x" * 10**6)),
    "error of a hostile argument": raiser(lambda: KeyError(Fails(SystemExit(1)))),
    "error without traceback": raiser(lambda: NoTrace("x")),
    "error without class": raiser(lambda: OtherClass("x")),
    "error without name": raiser(lambda: NamelessError("x")),
    "error of lines": raiser(lambda: ValueError("\n\n\n")),
    "leaving": raiser(lambda: SystemExit("bye")),
    "own base": raiser(OwnBase),
    "end of a generator": raiser(GeneratorExit),
    "end of an iteration": raiser(StopIteration),
    "group": from_group,
    "caused by itself": caused_by_itself,
    "closes stdout": closes_stdout,
    "replaces stdout": replaces_stdout,
    "warns as error": warns,
    "prints halves": prints_halves,
    "argument within itself": clears_arguments,
    "argument grows": grows_a_list,
    "callable object": Callable(),
    "partial": functools.partial(recurse, 1),
    "not a function": functools.partial,
    "class": Fails,
    "built in": builtins.len,
    "coroutine": lambda a, b: (lambda: (yield))(),
    "endless": endless,
    "endless and deaf": endless_and_deaf,
    "asleep": asleep,
    "endless and suppressing": endless_and_suppressing,
    "stopped, but returns": catches_and_returns,
    "endless in finally": endless_in_finally,
    "endless generator": endless_generator,
}


@pytest.fixture(autouse=True)
def _restored():
    """No check leaves its timer, its handler, its streams or its luck behind."""
    before = signal.getsignal(signal.SIGALRM), sys.stdout, sys.stderr, sys.gettrace(), random.getstate()
    yield
    after = signal.getsignal(signal.SIGALRM), sys.stdout, sys.stderr, sys.gettrace(), random.getstate()
    assert before == after
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def judged(ex, answer):
    verdict = check(ex, {"x": answer})
    message = feedback.of_verdict(verdict)
    for text in (repr(message), message._repr_html_()):
        text.encode()  # can be sent to a browser
        assert len(text) < 4000
    assert verdict.outcome in Outcome and not verdict.misconception
    return verdict


@pytest.mark.parametrize("what", VALUES)
def test_no_hostile_value_breaks_a_check(what):
    large = what.startswith(("list of 99", "a million", "nested 100"))
    kinds = {name: KINDS[name] for name in ("names", "number")} if large else KINDS
    for plain, function in kinds.values():
        made = VALUES[what]()
        assert not judged(plain, made).fault
        assert not judged(function, lambda a, b, made=made: made).fault


@pytest.mark.parametrize("what", FUNCTIONS)
def test_no_hostile_function_breaks_a_check(what):
    plain, function = KINDS["number"]
    verdict = judged(function, FUNCTIONS[what])
    assert not verdict.fault
    assert verdict.outcome is not Outcome.PASSED or what in ("closes stdout", "replaces stdout")
    assert not judged(plain, FUNCTIONS[what]).fault


def test_there_are_more_than_a_hundred_attacks():
    assert len(VALUES) + len(FUNCTIONS) > 100


@pytest.mark.parametrize("what", list(FUNCTIONS)[list(FUNCTIONS).index("endless") :])
def test_what_does_not_end_is_stopped_and_told(what):
    begin = time.monotonic()
    verdict = judged(KINDS["number"][1], FUNCTIONS[what])
    assert verdict.outcome is Outcome.RAISED and verdict.points == 0
    assert f"after {SECONDS:g} s" in verdict.lines[0].what or "was stopped" in verdict.lines[0].what
    assert (
        time.monotonic() - begin < 20 * SECONDS
    )  # four times the seconds, where others use the processor too


def test_the_sentence_says_in_which_loop_of_the_cell_it_was():
    cell = (
        "def x(a, b):\n    for item in b:\n        while item:\n            item = item + 1\n    return 0.5\n"
    )
    scope = _run_cell(cell, "<cell 77>")
    said = judged(KINDS["number"][1], scope["x"]).lines[0].what
    assert "in the loop of line 3 of its cell, `while item:`" in said and "Does this loop end?" in said


def _run_cell(cell, name):
    import linecache

    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    scope = {"__name__": "__main__"}
    exec(compile(cell, name, "exec"), scope)
    return scope


def test_a_loop_is_stopped_on_another_thread_too():
    found = []
    for what in ("endless", "endless and deaf", "stopped, but returns"):
        thread = threading.Thread(
            target=lambda what=what: found.append(check(KINDS["number"][1], {"x": FUNCTIONS[what]})),
            daemon=True,
        )
        thread.start()
        thread.join(60)
    assert [verdict.outcome for verdict in found] == [Outcome.RAISED] * 3


def test_the_time_is_for_all_calls_together():
    @asks("98.3", kind=Function("a", returns=Number()), seconds=SECONDS)
    def many(answer, rng, expect):
        expect.equal([answer(i) for i in range(50)], list(range(50)), "each")

    def slow(a):
        time.sleep(0.05)
        return a

    assert check(many, {"x": slow}).outcome is Outcome.RAISED
    assert check(many, {"x": lambda a: a}).outcome is Outcome.PASSED


def test_somebody_elses_alarm_still_rings():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *args: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        judged(KINDS["number"][1], endless)
        time.sleep(0.6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [1]


def test_only_a_keyboard_interrupt_passes_through():
    with pytest.raises(KeyboardInterrupt):
        check(KINDS["number"][1], {"x": raiser(KeyboardInterrupt)})
    with pytest.raises(KeyboardInterrupt):
        check(KINDS["number"][0], {"x": Fails(KeyboardInterrupt())})


@pytest.mark.parametrize(
    "half",
    [fractions.Fraction(1, 2), decimal.Decimal("0.5"), np.float32(0.5), np.array(0.5), np.float16(0.5)],
)
def test_other_numbers_are_numbers(half):
    assert judged(KINDS["number"][0], half).outcome is Outcome.PASSED
    assert judged(KINDS["number"][1], lambda a, b: half).outcome is Outcome.PASSED
    if isinstance(half, fractions.Fraction | decimal.Decimal):
        assert judged(KINDS["array"][0], [2 * half]).outcome is Outcome.PASSED


def test_a_generator_for_a_list_is_refused():
    verdict = judged(KINDS["sequence"][1], lambda a, b: (i for i in [1]))
    assert verdict.outcome is Outcome.FAILED and "list(...)" in verdict.lines[0].what


def test_exit_in_ipython_does_not_end_the_session():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    left = []
    shell.ask_exit = lambda: left.append(1)
    try:
        shell.run_cell("def x(a, b):\n    exit()\n    return 0.5", silent=True)
        from IPython.core.autocall import ExitAutocall

        shell.user_ns["exit"] = ExitAutocall(shell)
        verdict = judged(KINDS["number"][1], shell.user_ns["x"])
        assert verdict.outcome is Outcome.RAISED and "SystemExit" in verdict.lines[0].what
        assert left == []
        shell.ask_exit()
        assert left == [1], "afterwards it is as before"
    finally:
        del shell.ask_exit
        InteractiveShell.clear_instance()


def test_a_lesson_shows_each_of_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MLPROD_PROGRESS", str(tmp_path / "progress.json"))
    use_lesson(monkeypatch, KINDS["number"][1])
    lesson = face.Lesson("98")
    for what in ("error of half a character", "error without name", "recursion"):
        assert "98.2" in lesson._check("98.2", {"x": FUNCTIONS[what]})._repr_html_()
    assert os.path.getsize(tmp_path / "progress.json")


def test_in_a_real_kernel_a_loop_is_stopped_exit_does_not_end_it_and_a_failed_cell_is_told(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "from mlprod_helpers.lesson import Lesson\nlesson = Lesson('00')\n"
        "from mlprod_helpers.lesson import contract\n"
        "contract.load('00').exercises['0.1'].seconds = 0.5",
        "def error_so_far(log, now):\n    while True:\n        try:\n            x = 1\n        except:\n            pass",
        "lesson.check('0.1')",
        "def error_so_far(log, now):\n    exit()",
        "lesson.check('0.1')",
        "def error_so_far(log, now)\n    return 1",
        "lesson.check('0.1')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, allow_errors=True, resources=resources).execute()
    said = [cell.outputs[0].get("data", {}).get("text/plain", "") for cell in notebook.cells[2::2]]
    assert "was stopped after 0.5 s, in the loop of line 2 of its cell, `while True:`" in said[0]
    assert "in line 2 of its cell, `exit()`: SystemExit" in said[1]
    assert "SystemExit" in said[2] and "stopped with a SyntaxError" in said[2]
