"""Grade a class: map the pure function of `marking` over submissions, keep what it gives in the ledger, write the reports."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from mlprod_tools.grade import exports, reports, scale, submissions
from mlprod_tools.grade.ledger import NAME, Ledger, LedgerError, part_name, read

LOOK = 0.5  # seconds between two looks at whether the grader lives
PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """How a class is graded; see `mlprod grade --help`."""

    seed: int | None = None
    isolated: bool = True
    lessons: tuple = ()
    shard: str = ""
    resume: bool = False
    jobs: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True)
class Job:
    """What a process that grades needs to know beside the submission."""

    seed: int
    isolated: bool
    lessons: tuple
    course: str
    grader: int  # the process that runs it all

    def key(self, digest):
        """Names what is graded with what."""
        text = json.dumps([digest, self.course, self.seed, self.isolated, self.lessons])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.cache
def course_version():
    """The release of the course, and a digest of all code that can change a mark."""
    digest = hashlib.sha256()
    for folder in ("mlprod_helpers", "mlprod_tools/grade"):
        for path in sorted((PACKAGES / folder).rglob("*.py")):
            digest.update(path.relative_to(PACKAGES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    try:
        release = importlib.metadata.version("mlprod")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        release = "0"
    return f"{release}+{digest.hexdigest()[:16]}"


def grade(folder, out, options, show=None):
    """Grade everybody in `folder` (or one shard of them), and write the ledger and the reports into `out`.

    Parameters
    ----------
    folder, out : path
    options : Options
    show : file, optional
        Where the progress is shown.

    Returns
    -------
    list of str
        Why submissions could not be graded; `resume` tries them again.
    """
    everybody = submissions.find(folder)
    run = {
        "seed": options.seed,
        "isolated": options.isolated,
        "lessons": list(options.lessons),
        "course": course_version(),
        # shards that saw another class would leave learners out
        "class": hashlib.sha256(json.dumps([each.learner for each in everybody]).encode()).hexdigest()[:16],
    }
    if options.shard:
        everybody = scale.shard(everybody, options.shard)
    out = Path(out)
    with Ledger(out / part_name(options.shard), run, options.resume) as ledger:
        if options.shard and ledger.run["class"] != run["class"]:
            raise LedgerError(
                "submissions came or went since this shard was begun: grade all shards anew, in another folder"
            )
        job = Job(ledger.run["seed"], options.isolated, tuple(options.lessons), course_version(), os.getpid())
        work = [(each, ledger.keys(each.learner)) for each in everybody]
        current, failed = {}, []
        progress = Progress(len(work), show)
        function = functools.partial(grade_one, job)
        for (handed, _), (key, graded, problem) in scale.spread(
            function, work, jobs=options.jobs, scheduler=options.scheduler
        ):
            if problem:
                failed.append(f"{handed.learner}: {problem}")
            else:
                if graded is not None:
                    ledger.add(graded)
                current[handed.learner] = key
            progress.step()
        progress.end()
        if not options.shard:
            write_reports(out, ledger.run, sorted(current.items()), ledger.get)
    return failed


def grade_one(job, work):
    """(key, Graded or None where the ledger has it, why it could not be graded) of one submission."""
    from mlprod_tools.grade import marking

    if os.getppid() == job.grader:
        _end_with_parent(job.grader)
    handed, known = work
    submission = submissions.read(handed)
    key = job.key(submission.digest)
    if key in known:
        return key, None, ""
    try:
        graded = marking.grade(submission, job.seed, job.isolated, job.lessons or None)
    except Exception as error:  # the grader's own fault: said, and tried again by --resume
        return key, None, f"{type(error).__name__}: {error}"
    return key, replace(graded, key=key), ""


@functools.cache
def _end_with_parent(parent):
    """Let this process, and its sandboxes with it, end soon after its parent: one that is killed cannot say goodbye."""

    def watch():
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def merge(places, out):
    """One ledger and one set of reports from the ledgers of several shards.

    Parameters
    ----------
    places : sequence of path
        Ledgers, or folders that hold some.
    out : path
    """
    ledgers = _ledgers_in(places)
    runs, parts = {}, set()
    for path in ledgers:
        run, _ = read(path)
        runs.setdefault(json.dumps(run, sort_keys=True), path)
        parts.add(path.name)
    if len(runs) > 1:
        listed = ", ".join(str(path) for path in runs.values())
        raise LedgerError(
            f"these differ in the seed, the course, the lessons, the isolation or the class: {listed}"
        )
    _look_for_missing_parts(parts)
    (text,) = runs
    run, out = json.loads(text), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{NAME}.{os.getpid()}"
    try:
        with Ledger(draft, run) as ledger:
            current = {}
            for path in ledgers:
                for graded in read(path)[1]:
                    if current.setdefault(graded.learner, graded.key) != graded.key:
                        raise LedgerError(
                            f"{graded.learner} was graded twice, from different submissions: grade them again in one folder"
                        )
                    ledger.add(graded)
            write_reports(out, run, sorted(current.items()), ledger.get)
            os.replace(draft, out / NAME)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return len(current)


def _ledgers_in(places):
    found = []
    for place in map(Path, places):
        if place.is_dir():
            found += sorted(place.glob("grades-*-of-*.jsonl")) or sorted(place.glob(NAME))
        elif place.is_file():
            found.append(place)
        else:
            raise LedgerError(f"there is no {place}")
    if not found:
        raise LedgerError("there is no ledger to merge")
    return found


def _look_for_missing_parts(names):
    shards = {}
    for name in names:
        stem, is_part, n = name.removesuffix(".jsonl").rpartition("-of-")
        if is_part:
            shards.setdefault(int(n), set()).add(int(stem.rpartition("-")[2]))
    for n, there in shards.items():
        if missing := sorted(set(range(1, n + 1)) - there):
            raise LedgerError(f"the ledger of shard {', '.join(f'{i}/{n}' for i in missing)} is missing")


def write_reports(out, run, current, get):
    """All files but the ledger. `current` are (learner, key) in the order of the reports; `get(learner, key)` is a Graded."""

    def everybody():
        for learner, key in current:
            yield get(learner, key)

    exports.write(out, run, everybody)
    reports.write(out, run, everybody)


class Progress:
    """A line on how far it is: redrawn on a terminal, else a line each tenth."""

    def __init__(self, total, show=None):
        self._total, self._done, self._begin = total, 0, time.monotonic()
        self._out = show
        self._is_terminal = bool(self._out) and self._out.isatty()
        self._told = -1

    def step(self):
        self._done += 1
        if not self._out:
            return
        tenth = 10 * self._done // self._total
        if self._is_terminal or tenth > self._told:
            self._told = tenth
            text = self.text(time.monotonic() - self._begin)
            print(
                f"\r\x1b[K{text}" if self._is_terminal else text,
                end="" if self._is_terminal else "\n",
                file=self._out,
                flush=True,
            )

    def text(self, seconds):
        """Such as "graded 12 of 60 [####................], 3 min left"."""
        share = self._done / self._total
        left = seconds / self._done * (self._total - self._done)
        wait = f"{left / 60:.0f} min" if left >= 100 else f"{left:.0f} s"
        bar = "#" * int(20 * share)
        return f"graded {self._done} of {self._total} [{bar:.<20}]" + (f", {wait} left" if share < 1 else "")

    def end(self):
        if self._out and self._is_terminal:
            print(file=self._out)
