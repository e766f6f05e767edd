"""What learners' code may try under the grader: each attack is contained, earns nothing and changes nobody else's marks."""

import contextlib
import errno
import json
import os
import re
import socket
import struct
import time

import numpy as np
import pytest

from mlprod_helpers.lesson import contract, values
from mlprod_tools.grade import exports, marking, reports, sandbox, worker
from mlprod_tools.grade.marks import BY_HAND, MISSING, NOT_ISOLATED, Answer, Submission

WHY_NOT = sandbox.why_not()
PYTHON_IN_TMP = {place.split("/")[2] for place in sandbox._visible() if place.startswith("/tmp/")}
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no isolation: {WHY_NOT}")

HONEST = """
def shift_of(auc):
    from statistics import NormalDist
    return 2**0.5 * NormalDist().inv_cdf(auc) if auc >= 0.5 else float("nan")
"""


@pytest.fixture(scope="module", autouse=True)
def workers():
    """One pair of workers for all attacks: what one leaves behind, the next would find. And short limits."""
    patch = pytest.MonkeyPatch()
    patch.setattr(marking, "SETUP_SECONDS", 1.0)
    patch.setattr(marking, "SLACK", 1.0)
    for exercise in contract.load("02").exercises.values():
        patch.setattr(exercise, "seconds", 0.5)
    yield
    marking.close()
    patch.undo()


def grade(source, needs=(), exercise="2.4", **options):
    """The Mark for one answer."""
    answer = Answer(f"0{exercise[0]}", exercise, None, source, tuple(needs))
    graded = marking.grade(Submission("ana", "ana", "0", (answer.lesson,), (answer,)), **options)
    return next(mark for mark in graded.marks if mark.exercise == exercise)


def assert_others_are_as_before():
    """An honest learner, graded next by the same worker, gets full marks, and nothing of the last one runs on."""
    mark = grade(HONEST)
    assert (mark.outcome, mark.points, mark.notes) == ("passed", mark.of, ())
    here, _ = marking._PAIRS[True]
    # bwrap, its own first process, and the warm worker
    assert len(descendants(here._process.pid)) <= 2


def descendants(pid):
    import psutil

    return psutil.Process(pid).children(recursive=True)


def probe(source, needs=()):
    """What code sees in there: it assigns `x`."""
    with marking._workers(True)[0].job() as job:
        asked = {"do": "begin", "needs": list(needs), "source": source, "kinds": {"x": None}}
        reply = job.ask(asked | {"seconds": 2.0, "setup": 8.0, "dice": 1}, 60)
        assert not reply["stopped"], reply["stopped"]
        return sandbox.decode(reply["names"]["x"]["value"])


# ---- what is honest passes


def test_a_right_answer_passes_and_one_with_prints_warnings_and_a_broken_lecture_cell_too():
    noisy = """
import sys, warnings
print("x" * 1000); print("y", file=sys.stderr); warnings.warn("old")
def shift_of(auc):
    print("here"); warnings.warn("slow")
    return helper(auc)
"""
    needs = [
        "import nothing_of_this_name\nfrom statistics import NormalDist\n1 / 0\nleft = 2**0.5",
        "%matplotlib inline\ndef helper(auc): return left * NormalDist().inv_cdf(auc) if auc >= 0.5 else float('nan')",
    ]
    mark = grade(noisy, needs)
    assert mark.outcome == "passed" and mark.points == mark.of and mark.isolated
    assert mark.notes == (
        "A cell that this answer needs stopped with a ModuleNotFoundError: No module named 'nothing_of_this_name'.",
        "A cell that this answer needs stopped with a ZeroDivisionError: division by zero.",
    )


def test_an_answer_that_is_missing_gets_nothing_and_one_of_another_edition_a_person():
    answer = Answer("02", "2.4", 99, HONEST)
    graded = marking.grade(Submission("ana", "ana", "0", ("02",), (answer,)))
    marks = {mark.exercise: mark for mark in graded.marks}
    assert (marks["2.4"].outcome, marks["2.4"].points) == (BY_HAND, None)
    assert "edition 99" in marks["2.4"].feedback_text
    assert (marks["2.1"].outcome, marks["2.1"].points) == (MISSING, 0)


def test_a_check_that_breaks_is_the_courses_fault(monkeypatch):
    exercise = contract.load("02").exercises["2.4"]
    monkeypatch.setattr(exercise, "check", lambda answer, rng, expect: 1 / 0)
    mark = grade(HONEST)
    assert (mark.outcome, mark.points) == (BY_HAND, None) and "ZeroDivisionError" in mark.fault


def test_the_same_seed_gives_the_same_marks_and_another_one_other_inputs():
    wrong = "def shift_of(auc): return 1.0"
    assert grade(wrong, seed=3) == grade(wrong, seed=3)
    assert grade(wrong, seed=3).feedback_text != grade(wrong, seed=4).feedback_text


def test_without_isolation_every_mark_says_so():
    answer = Answer("02", "2.4", None, HONEST)
    graded = marking.grade(Submission("ana", "ana", "0", ("02",), (answer,)), isolated=False)
    mark = next(each for each in graded.marks if each.exercise == "2.4")
    assert mark.points == mark.of and not mark.isolated and not graded.isolated
    assert graded.notes[0] == NOT_ISOLATED


# ---- time, memory, processes, disk, output

LIMITS = {
    "endless loop": "def shift_of(auc):\n    while True: pass",
    "endless loop that catches everything": """
def shift_of(auc):
    while True:
        try:
            while True: pass
        except BaseException:
            pass
""",
    "endless loop that ignores signals": """
import signal
def shift_of(auc):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True: pass
""",
    "one long call into C": "def shift_of(auc):\n    return sum(range(10**13))",
    "sleeps": "import time\ndef shift_of(auc):\n    time.sleep(3600)",
    "waits for a thread": """
import threading
def shift_of(auc):
    threading.Event().wait()
""",
    "fork bomb": """
import os
def shift_of(auc):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
    "fork bomb in sessions of their own": """
import os
def shift_of(auc):
    while True:
        try:
            if not os.fork():
                os.setsid()
        except OSError:
            pass
""",
    "memory bomb": "def shift_of(auc):\n    x = []\n    while True: x.append(bytearray(10**7))",
    "memory bomb of children": """
import os
def shift_of(auc):
    for _ in range(8):
        if not os.fork():
            x = []
            while True:
                try:
                    x.append(b"x" * 10**7)
                except MemoryError:
                    pass
    while True: pass
""",
    "huge array": "import numpy as np\ndef shift_of(auc):\n    return np.ones(10**11)",
    "huge list": "def shift_of(auc):\n    return [0.5] * 10**8",
    "endless list": """
class Endless(list):
    def __iter__(self):
        while True: yield 1
def shift_of(auc):
    return Endless([1])
""",
    "a gigabyte printed": "def shift_of(auc):\n    for _ in range(1000): print('x' * 10**6)\n    return 1.0",
    "a gigabyte on the descriptors": """
import os
def shift_of(auc):
    for _ in range(1000):
        os.write(1, b'x' * 10**6); os.write(2, b'x' * 10**6)
    return 1.0
""",
    "fills the disk": """
def shift_of(auc):
    for i in range(100_000):
        with open(f"/tmp/{i}", "wb") as file:
            file.write(b"x" * 10**8)
    return 1.0
""",
    "many files": """
def shift_of(auc):
    for i in range(10**7):
        open(f"/tmp/{i}", "w").close()
""",
    "opens everything": """
def shift_of(auc):
    files = []
    while True: files.append(open("/dev/null"))
""",
    "recursion": "def shift_of(auc):\n    return shift_of(auc)",
    "stack overflow": """
import sys
sys.setrecursionlimit(10**9)
def shift_of(auc):
    return shift_of(auc)
""",
    "segmentation fault": "import ctypes\ndef shift_of(auc):\n    ctypes.string_at(0)",
    "leaves": "import os\ndef shift_of(auc):\n    os._exit(0)",
    "leaves politely": "import sys\ndef shift_of(auc):\n    sys.exit(0)",
    "leaves while the cell runs": "import os\nos._exit(0)\ndef shift_of(auc): return 1.0",
    "endless cell": "while True: pass\ndef shift_of(auc): return 1.0",
    "kills everybody": """
import os, signal
def shift_of(auc):
    for who in (os.getppid(), 0, -1, 1, *range(2, 2000)):
        try:
            os.kill(who, signal.SIGKILL)
        except OSError:
            pass
    try:
        os.killpg(0, signal.SIGKILL)
    except OSError:
        pass
    return 1.0
""",
    "stops everybody": """
import os, signal
def shift_of(auc):
    for who in (os.getppid(), 0, -1, *range(2, 2000)):
        try:
            os.kill(who, signal.SIGSTOP)
        except OSError:
            pass
    return 1.0
""",
    "leaves a process behind": """
import os, time
def shift_of(auc):
    if not os.fork():
        os.setsid()
        if not os.fork():
            while True: time.sleep(0.01)
        os._exit(0)
    return 1.0
""",
    "leaves a thread behind": """
import threading
def forever():
    while True: pass
def shift_of(auc):
    threading.Thread(target=forever).start()
    return 1.0
""",
}


@pytest.mark.parametrize("attack", LIMITS)
def test_what_does_not_end_or_takes_everything_ends_and_earns_nothing(attack):
    began = time.monotonic()
    mark = grade(LIMITS[attack])
    assert mark.points == 0 and mark.outcome in ("stopped by an error", "not yet", "not attempted"), mark
    assert not mark.fault and time.monotonic() - began < 60
    assert_others_are_as_before()


def test_a_learner_whose_one_answer_ends_the_process_keeps_the_points_of_the_others():
    answers = (
        Answer("02", "2.2", None, "import os\ndef crowded(*a): os._exit(1)\nseven = crowded()"),
        Answer("02", "2.4", None, HONEST),
    )
    graded = marking.grade(Submission("ana", "ana", "0", ("02",), answers))
    points = {mark.exercise: mark.points for mark in graded.marks}
    assert points["2.4"] == contract.load("02").exercises["2.4"].points and points["2.2"] == 0


# ---- cheats: whatever is patched or found in there, only values come out

PATCHES = {
    "checks": """
import mlprod_helpers.lesson.checking as checking, mlprod_helpers.lesson.expect as expect
import mlprod_helpers.lesson.values as values, mlprod_helpers.lesson.owner as owner, mlprod_helpers.lesson.kinds as kinds
checking.check = checking.check_with = checking._judge = lambda *a, **k: None
values.close = lambda *a, **k: True
expect.Expect._add = lambda self, *a, **k: True
kinds.Number.take = lambda self, value, name: value
def shift_of(auc): return 1.0
""",
    "builtins": """
import builtins
for name in ("abs", "float", "bool", "all", "any", "isinstance", "len", "max", "min", "round", "sum"):
    setattr(builtins, name, lambda *a, **k: True)
def shift_of(auc): return 1.0
""",
    "numpy": """
import numpy as np, math
np.isclose = np.allclose = np.array_equal = math.isclose = lambda *a, **k: True
np.random.default_rng = lambda *a: None
def shift_of(auc): return 1.0
""",
    "random": """
import random, numpy as np
random.seed(0); np.random.seed(0)
random.random = np.random.random = lambda *a: 0.8
def shift_of(auc): return random.random()
""",
    "numbers that equal everything": """
class Equal(float):
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: Equal(0.0)
    __hash__ = float.__hash__
def shift_of(auc): return Equal(1.0)
""",
    "arrays that equal everything": """
import numpy as np
class Equal(np.ndarray):
    def __array_function__(self, function, types, args, kwargs): return True
    def item(self): return 1.0
def shift_of(auc): return np.array(1.0).view(Equal)
""",
    "frames and gc": """
import gc, sys
def shift_of(auc):
    frame, seen = sys._getframe(), []
    while frame is not None:
        seen.append(frame.f_locals); frame = frame.f_back
    found = [each for each in gc.get_objects() if type(each).__name__ in ("Expect", "Exercise", "Generator", "Verdict", "Seen", "Line")]
    for each in found:
        if type(each).__name__ == "Expect": each.lines.clear()
    import numpy as np
    for each in found:
        if isinstance(each, np.random.Generator): return float(each.uniform())
    return 1.0 if not found else float("nan")
""",
    "pickle": """
import os
class Bomb:
    def __reduce__(self): return os.system, ("touch /tmp/mlprod-was-here",)
def shift_of(auc): return Bomb()
""",
    "import hooks": """
import sys, importlib.abc
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None): raise SystemExit(name)
sys.meta_path.insert(0, Hook())
sys.path_hooks.clear(); sys.path_importer_cache.clear(); sys.path[:] = ["/tmp"]
for name in list(sys.modules):
    if name.startswith("mlprod_helpers"): del sys.modules[name]
def shift_of(auc): return 1.0
""",
    "input transformers": """
ip = get_ipython()
ip.input_transformers_cleanup.append(lambda lines: ["shift_of = None"])
ip.ast_node_interactivity = "none"
ip.events.register("pre_run_cell", lambda *a: None)
def shift_of(auc): return 1.0
""",
    "tracing": """
import sys
sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)
def shift_of(auc): return 1.0
""",
    "the exercise's own reference": """
import importlib
def shift_of(auc):
    return importlib.import_module("mlprod_helpers.exercises.lesson_02").EXERCISES[3].alternatives[0](auc)
""",
}


def test_a_policy_cannot_play_its_season_beforehand():
    source = """
from mlprod_helpers import oncall
x = [callable(oncall.reference)]
for name in ("Season", "oracle", "scale"):
    try:
        getattr(oncall, name)
        x.append("there")
    except ImportError:
        x.append("hidden")
"""
    assert probe(source) == [True, "hidden", "hidden", "hidden"]


@pytest.mark.parametrize("attack", PATCHES)
def test_what_is_patched_in_the_learners_process_earns_nothing(attack):
    mark = grade(PATCHES[attack])
    assert mark.points < mark.of / 2 and not mark.fault, mark
    assert not os.path.exists("/tmp/mlprod-was-here")
    assert_others_are_as_before()


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
SAID = {
    "a message": f"def shift_of(auc): raise ValueError({MARKUP!r})",
    "a class": f"def shift_of(auc): raise type({MARKUP!r}, (Exception,), {{}})('[x](javascript:alert(1))')",
    "a cell that stops": f"exception = type({MARKUP!r}, (Exception,), {{}})\nif True: raise exception\nshift_of = 1",
    "a value": f"def shift_of(auc): return {{{MARKUP!r}: [{MARKUP!r}, '`</code>']}}",
    "a number's own words": f"class A(float):\n    __repr__ = __str__ = lambda self: {MARKUP!r}\ndef shift_of(auc): return A(1)",
    "a file's name": f"exec(compile('def f(x): raise ValueError', {MARKUP!r}, 'exec'))\ndef shift_of(auc): return f(auc)",
    "control characters": "def shift_of(auc): raise ValueError('\\ud800\\x00\\x1b[31m\\u202e\\r\\n<script>')",
}


@pytest.mark.parametrize("where", SAID)
def test_what_learners_code_says_is_never_markup(where):
    answer = Answer("02", "2.4", None, SAID[where])
    graded = marking.grade(Submission(MARKUP, "ana", "0", ("02",), (answer,)))
    assert graded.points == 0 and not any(mark.fault for mark in graded.marks)
    for page in (
        reports.learner_page(graded, ["02"]),
        reports.class_page(reports.summary([graded], ["02"]), ["02"]),
    ):
        assert not re.search("<(?:script|img|a )", page) and page.encode()
    assert json.dumps(exports.gradescope(graded, ["02"])).isascii()


FORGERY = """
import json, os, struct, socket
def forge(message):
    raw = json.dumps(message).encode()
    for number in range(3, 128):
        try:
            os.write(number, struct.pack(">I", len(raw)) + raw)
        except OSError:
            pass
"""

FORGED = {
    "verdicts": 'forge({"id": 2, "status": "passed", "points": 100, "verdict": "passed", "outcome": "PASSED"})',
    "no JSON": 'for n in range(3, 128):\n    try: os.write(n, b"\\0\\0\\0\\5hello" * 9)\n    except OSError: pass',
    "a length without end": 'for n in range(3, 128):\n    try: os.write(n, b"\\xff" * 64)\n    except OSError: pass',
    "deep": 'for n in range(3, 128):\n    try: os.write(n, struct.pack(">I", 10**5) + b"[" * 10**5)\n    except OSError: pass',
    "ids": 'for i in range(100): forge({"id": i, "status": "value", "value": 1.0})',
    "true for everything": 'for i in range(100): forge({"id": True, "status": "value", "value": True})',
    "an array of 8 TB": 'for i in range(9): forge({"id": i, "status": "value", "value": {"type": "array", "dtype": "<f8", "shape": [1000000000000], "data": ""}})',
    "texts of 4 TB": 'for i in range(9): forge({"id": i, "status": "value", "value": {"type": "objects", "dtype": "<U9", "shape": [100001], "items": ["x" * 1000000] + ["y"] * 100000}})',
    "an endless range": 'for i in range(9): forge({"id": i, "status": "value", "value": {"type": "frame", "columns": {"type": "rangeindex", "names": [None], "range": [0, 0, 1]}, "index": {"type": "rangeindex", "names": [None], "range": [0, 10**15, 1]}, "data": []}})',
    "objects of numpy": 'for i in range(9): forge({"id": i, "status": "value", "value": {"type": "array", "dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}})',
    "odd types": 'for i in range(9): forge({"id": i, "status": ["value"], "value": {"type": "nothing"}, "place": [[], {}], "text": 7, "error": {}})',
    "nothing at all": "for i in range(9): forge(None)",
    "silence": "for n in range(3, 128):\n    try: os.close(n)\n    except OSError: pass",
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("when", ["while the cell runs", "while it is called"])
def test_a_forged_reply_spoils_the_forgers_own_marks_only(forged, when):
    if when == "while the cell runs":
        source = f"{FORGERY}\n{FORGED[forged]}\ndef shift_of(auc): return 1.0"
    else:
        body = "\n    ".join(FORGED[forged].split("\n"))
        source = f"{FORGERY}\ndef shift_of(auc):\n    {body}\n    return 1.0"
    mark = grade(source)
    assert mark.points < mark.of / 2 and not mark.fault, mark
    assert_others_are_as_before()


# ---- what can be seen, reached and kept


def test_nothing_of_checks_solutions_submissions_or_the_grader_can_be_read(tmp_path):
    secret = f"secret-{os.getpid()}"
    (tmp_path / "other learner").mkdir()
    (tmp_path / "other learner" / "answers.ipynb").write_text(secret)
    (tmp_path / "grades.jsonl").write_text(secret)
    found = probe(f"""
import os
x = []
for root, folders, files in os.walk("/"):
    for name in files:
        path = os.path.join(root, name)
        if name.endswith((".ipynb", ".jsonl")) or "lesson_0" in path or "mlprod_tools" in path or "/tests/test_grade" in path:
            x.append(path)
x += [path for path in ({str(tmp_path)!r}, "/home", "/etc/passwd", "/etc/shadow", "/var", {str(sandbox.ROOT / "solutions")!r}, {str(sandbox.ROOT / "mlprod_tools")!r}) if os.path.exists(path)]
x += os.listdir("/proc") + [name for name in os.listdir("/tmp") if name not in {PYTHON_IN_TMP!r}]
""")
    own = [path for path in found if "/site-packages/" not in path and "/dist-packages/" not in path]
    assert own == [], own


def test_links_lead_nowhere():
    found = probe(f"""
import os
os.symlink({str(sandbox.ROOT)!r}, "/tmp/course"); os.symlink("/proc/1/root", "/tmp/root"); os.symlink("../../../..", "/tmp/up")
x = [os.path.exists("/tmp/course/solutions"), os.path.exists("/tmp/root/etc"), os.path.exists("/tmp/up{sandbox.ROOT}/solutions")]
""")
    assert found == [False] * 3


def test_no_network_is_reached_not_even_this_machine():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = probe(f"""
import socket
x = []
for family, address in ((socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_UNIX, "\\0mlprod")):
    try:
        with socket.socket(family) as one:
            one.settimeout(1); one.connect(address); x.append(str(address))
    except OSError:
        pass
""")
    assert found == []


def test_only_a_small_disk_of_its_own_can_be_written():
    found = probe("""
import os, tempfile
x = []
for folder in ("/", "/course", "/course/mlprod_helpers", "/course/mlprod_helpers/exercises", "/dev", "/dev/shm", "/usr", "/fonts", "/proc", "/root", os.path.dirname(os.__file__)):
    try:
        open(os.path.join(folder, "here"), "w").close(); x.append(folder)
    except OSError:
        pass
open("/tmp/here", "w").close()
""")
    assert found == []
    found = probe('import os; x = os.listdir("/tmp")')
    assert set(found) <= PYTHON_IN_TMP, "the next learner finds an empty disk"


CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return libc.syscall(number, *arguments) >= 0 or ctypes.get_errno()
"""


def test_memory_that_no_limit_counts_is_not_to_be_had():
    """Files without a name and segments between processes: gigabytes of them would belong to no process."""
    column, _, clone = worker.MACHINES[os.uname().machine]
    number = {name: each[column] for name, each in worker.FORBIDDEN.items()}
    found = probe(f"""{CALLS}
x = [call({number["memfd_create"]}, b"a", 0), call({number["shmget"]}, 0, 4096, 0o1600), call({number["semget"]}, 0, 1, 0o1600)]
x += [call({number["msgget"]}, 0, 0o1600), call({number["io_uring_setup"]}, 8, b"\\0" * 120), call({number["userfaultfd"]}, 0)]
""")
    assert found == [errno.EPERM] * 6
    # a world of its own would give the rights of root in it, and a disk without limits
    found = probe(f"""{CALLS}
import threading
x = [call({number["unshare"]}, flag) for flag in (0x10000000, 0x00020000, 0x10020000)]
x += [call({clone}, 0x10000000 | 17, 0, 0, 0, 0), call({worker.CLONE3}, b"\\0" * 88, 88)]
threads = [threading.Thread(target=x.append, args=(0,)) for _ in range(2)]
[each.start() for each in threads]; [each.join() for each in threads]
if not os.fork():
    os._exit(0)
os.wait()
""")
    assert found == [errno.EPERM] * 4 + [errno.ENOSYS, 0, 0]


def test_one_learner_leaves_nothing_for_the_next():
    """Files, the kernel's keys, which outlive their process, and sockets with a name."""
    column = worker.MACHINES[os.uname().machine][0]
    add_key, keyctl = worker.FORBIDDEN["add_key"][column], worker.FORBIDDEN["keyctl"][column]
    leave = probe(f"""{CALLS}
import socket
open("/tmp/answer", "w").write("42")
kept = socket.socket(socket.AF_UNIX); kept.bind("\\0answer"); kept.listen()
x = [call({add_key}, b"user", b"answer", b"42", 2, where) for where in (-1, -3, -4, -5)]
""")
    assert leave == [errno.EPERM] * 4
    find = probe(f"""{CALLS}
import socket
x = [os.path.exists("/tmp/answer")]
x += [call({keyctl}, 10, where, b"user", b"answer", 0) is True for where in (-1, -3, -4, -5)]
x.append(socket.socket(socket.AF_UNIX).connect_ex("\\0answer") == 0)
""")
    assert find == [False] * 6


def test_no_right_can_be_taken_back():
    found = probe("""
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
x = []
if libc.umount(b"/proc") == 0: x.append("umount")
if libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0: x.append("mount")
if libc.ptrace(16, 2, 0, 0) == 0: x.append("ptrace")
for name in ("setuid", "setgid"):
    try:
        getattr(os, name)(0); x.append(name)
    except OSError:
        pass
for name in ("NPROC", "DATA", "CPU", "FSIZE", "NOFILE"):
    try:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (2**40, 2**40)); x.append(name)
    except (OSError, ValueError):
        pass
try:
    os.chroot("/tmp"); x.append("chroot")
except OSError:
    pass
x.append(os.getpid())
""")
    assert found == [1], "the first process of a world of its own"


def test_the_environment_tells_nothing_of_the_grader(monkeypatch):
    monkeypatch.setenv("MLPROD_SECRET", "4711")
    found = probe("import os, sys; x = [dict(os.environ), sys.argv, os.getcwd()]")
    assert "MLPROD_SECRET" not in found[0] and found[2] == "/tmp"
    assert not {"USER", "LOGNAME", "SSH_AUTH_SOCK", "SUDO_USER"} & set(found[0])


def test_neither_seed_nor_wanted_value_is_in_the_workers_memory():
    number = str(marking.rng_of(0, "2.4").uniform(0.55, 0.95))
    found = probe(f"""
import gc
from mlprod_helpers.lesson import values
x = [type(each).__name__ for each in gc.get_objects() if type(each).__name__ in ("Expect", "Exercise", "LessonContract", "Generator")]
x += [1 for each in gc.get_objects() if isinstance(each, float) and str(each) == {number!r}]
""")
    assert found == []


def test_in_another_process_is_another_one_with_other_hashes():
    @contract.exercise(
        "2.9",
        "Everywhere the same",
        answers=("f",),
        points=1,
        minutes=1,
        kind=contract.Function("x", returns=contract.Number()),
        hints=("-",),
        seconds=2.0,
    )
    def everywhere(answer, rng, expect):
        here = {x: answer(x) for x in (1, 2, 3)}
        there = {x: answer.in_another_process(x) for x in (3, 1, 2)}
        expect.equal(there, here, "in another process")

    def passes(source):
        with contextlib.ExitStack() as stack:
            jobs = marking.Jobs(marking._workers(True), stack)
            verdict, _ = marking.judge(
                everywhere, Answer("02", "2.9", None, source), np.random.default_rng(0), jobs
            )
        assert not verdict.fault
        return verdict.points == 1

    assert passes("import hashlib\ndef f(x): return len(hashlib.sha256(b'x').hexdigest()) + x")
    for how in (
        "def f(x): return hash(str(x)) % 1000",
        "def f(x): return list({'a', 'b', 'c', 'd', 'e', str(x)}).index('a') + 10 * list({'f', 'g', 'h', 'i'}).index('g')",
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
        "import random\nd = {}\ndef f(x): return d.setdefault(x, random.random())",
        "import random, os, json\ndef f(x):\n    p = f'/tmp/{x}'\n    if not os.path.exists(p): open(p, 'w').write(str(random.random()))\n    return float(open(p).read())",
    ):
        assert not passes(how), how


# ---- the trusted side


@pytest.mark.parametrize(
    "data",
    [
        {"type": "array", "dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="},
        {"type": "array", "dtype": "<f8", "shape": [-1], "data": ""},
        {"type": "array", "dtype": "<f8", "shape": [2**40], "data": ""},
        {"type": "array", "dtype": "V8", "shape": [1], "data": "AAAAAAAAAAA="},
        {"type": "objects", "dtype": "|O", "shape": [2], "items": []},
        {"type": "objects", "dtype": "<U1", "shape": [2000], "items": ["x" * 100_000] + ["y"] * 1999},
        {"type": "rangeindex", "names": [None], "range": [0, 2**50, 1]},
        {"type": "dict", "pairs": [[[], 1]]},
        {"type": "index", "names": [None], "levels": []},
        {"type": "extension", "dtype": "nothing", "items": []},
        {"type": "zoned", "zone": "../../etc/passwd", "data": {}},
        {"type": "int", "text": "0x" + "f" * 10},
        {"type": "unknown"},
        {},
        [[]] * 10,
    ],
)
def test_data_that_no_honest_encoder_makes_are_refused_or_plain(data):
    try:
        value = sandbox.decode(data)
    except ValueError:
        return
    assert type(value) is int


def test_what_an_honest_encoder_makes_is_read():
    import pandas as pd

    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    for value in (frame, frame["b"], [1, (2.5, None), {"k": {1, 2}}], np.arange(6.0).reshape(2, 3), 10**400):
        data = json.loads(json.dumps(values.encode(value)))
        assert values.encode(sandbox.decode(data)) == values.encode(value)


def test_a_message_that_is_too_long_or_would_become_too_many_objects_is_not_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">I", sandbox.MOST_FRAME + 1))
        with pytest.raises(sandbox.Ended):
            sandbox._receive(ours, time.monotonic() + 5)
        raw = b"[" + b"[]," * 4_000_000 + b"0]"
        theirs.setblocking(False)
        import threading

        theirs.setblocking(True)
        threading.Thread(
            target=theirs.sendall, args=(struct.pack(">I", len(raw)) + raw,), daemon=True
        ).start()
        with pytest.raises(sandbox.Ended, match="forged"):
            sandbox._receive(ours, time.monotonic() + 30)


def test_a_worker_that_is_killed_is_replaced_and_the_marks_are_the_same():
    before = grade(HONEST)
    marking._PAIRS[True][0]._process.kill()
    assert grade(HONEST) == before


def test_without_bwrap_nothing_is_run(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "bubblewrap" in sandbox.why_not()
    with pytest.raises(sandbox.SandboxError, match="bubblewrap"):
        sandbox.Sandbox().start()
