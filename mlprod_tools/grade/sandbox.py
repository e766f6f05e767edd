"""Where learners' code runs: a warm worker behind `bwrap`, without network, with nothing to read but Python and the course's package.

The worker (worker.py) is forked for each lesson of a submission. This side trusts nothing that comes back: messages have a limit, a
deadline and an id, and values are looked through before they are decoded.
"""

import base64
import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np

from mlprod_helpers.lesson import values

MOST_MEMORY = 2**30  # bytes a process may take beside what the warm worker has
MOST_TOGETHER = 2 * 2**30  # all processes of one job
MOST_DISK = 64 * 2**20
MOST_PROCESSES = 64
MOST_CPU = 900  # seconds of one job
FIRST_USER = 61_000  # of those that own no file: a job started by root runs as one of them
MOST_FRAME = 128 * 2**20
MOST_MARKS_OF_STRUCTURE = 8 * values.MAX_ITEMS
START_SECONDS = 120
LOOK = 0.25  # seconds between two looks at a job's memory

HIDDEN = ("exercises", "oncall/season")  # folders of the package: checks, and the scripts of seasons
ROOT = Path(__file__).resolve().parents[2]


class SandboxError(RuntimeError):
    """The sandbox does not work on this machine, or broke: no learner's fault."""


class Ended(Exception):
    """A job ended, or had to be ended. `why` is "late", "memory", "forged" or "died"."""

    def __init__(self, why):
        super().__init__(why)
        self.why = why


def why_not():
    """Why learners' code cannot be isolated on this machine, or ""."""
    if not sys.platform.startswith("linux"):
        return "isolation needs Linux"
    from mlprod_tools.grade import worker

    if os.uname().machine not in worker.MACHINES:
        return f"isolation is not written for {os.uname().machine}"
    if not shutil.which("bwrap"):
        return "`bwrap` is not installed (Debian, Ubuntu and Fedora call its package bubblewrap)"
    return _tried()


@functools.cache
def _tried():
    command = [*_bwrap(), "--ro-bind", "/usr", "/usr", *_links(), "/usr/bin/env", "true"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    said = done.stderr.strip().splitlines()
    return (
        "" if not done.returncode else f"`bwrap` does not work here: {said[-1] if said else done.returncode}"
    )


def _bwrap():
    """bwrap with everything of its own; root needs no namespace of users, and gives up its other rights."""
    command = [
        "bwrap",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    command += ["--die-with-parent", "--new-session", "--hostname", "course", "--cap-drop", "ALL"]
    if os.getuid():
        return [*command, "--unshare-user"]
    rights = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL")
    return command + [part for right in rights for part in ("--cap-add", right)]


def _links():
    """/bin, /lib and their like, as the machine has them."""
    parts = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/") / name
        if path.is_symlink():
            parts += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            parts += ["--ro-bind", str(path), str(path)]
    return parts


def _visible():
    """Folders of Python that the worker sees, outermost only."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *map(str, (Path(sys.prefix).resolve(),))}
    places |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places = sorted(place for place in places if place and Path(place).is_dir())
    return [
        place
        for place in places
        if not any(place != other and place.startswith(f"{other}/") for other in places)
        and not place.startswith("/usr/")
        and place != "/usr"
    ]


def _secrets(visible):
    """Folders within those that the worker sees which it must not see: checks, solutions, the grader, the seasons' scripts."""
    import mlprod_helpers

    package = Path(mlprod_helpers.__file__).resolve().parent
    secret = [
        ROOT / name for name in ("mlprod_tools", "lessons", "solutions", "tests", "notebooks", ".git", "docs")
    ]
    secret += [package / hidden for hidden in HIDDEN]
    sites = [Path(place) for place in sys.path if place]
    for pattern in ("lib/python3*/*-packages", "local/lib/python3*/*-packages"):
        sites += Path("/usr").glob(pattern)
    for site in [*sites, *(each.resolve() for each in sites)]:
        secret += [site / "mlprod_tools", site / "mlprod_helpers"]
    inside = [*visible, "/usr"]
    return [
        str(path)
        for path in dict.fromkeys(secret)
        if path.is_dir() and any(str(path).startswith(f"{each}/") for each in inside)
    ]


@functools.cache
def command():
    """How the isolated worker is started; the number of its socket comes behind."""
    import mlprod_helpers
    from mlprod_helpers.datasets import data_folder

    package = Path(mlprod_helpers.__file__).resolve().parent
    visible = _visible()
    parts = [*_bwrap(), "--ro-bind", "/usr", "/usr", *_links()]
    parts += ["--tmpfs", "/tmp"]  # before Python's folders, which may lie in it
    # made beforehand: bwrap itself gives the folders above a mount to its own user alone
    above = {str(each) for place in (*visible, "/course/x", "/etc/x") for each in Path(place).parents}
    parts += [part for place in sorted(above - {"/"}) for part in ("--dir", place)]
    for place in visible:
        parts += ["--ro-bind", place, place]
    for place in _secrets(visible):
        parts += ["--tmpfs", place, "--remount-ro", place]
    for name in ("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/etc/alternatives"):
        parts += ["--ro-bind-try", name, name]
    parts += ["--ro-bind", str(package), "/course/mlprod_helpers"]
    for hidden in HIDDEN:
        parts += [
            "--tmpfs",
            f"/course/mlprod_helpers/{hidden}",
            "--remount-ro",
            f"/course/mlprod_helpers/{hidden}",
        ]
    parts += ["--ro-bind", str(data_folder()), "/course/datasets"]
    parts += ["--dir", "/fonts"]
    if fonts := _font_cache():
        parts += ["--ro-bind", fonts, "/fonts"]
    parts += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/tmp"]
    parts += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*parts, sys.executable, "-s", "-P", "-B", "-c", _BOOT]


_BOOT = "import sys; source = sys.stdin.read(); exec(compile(source, 'worker', 'exec'))"


def _font_cache():
    """The folder with matplotlib's list of fonts: making it takes seconds."""
    with contextlib.suppress(Exception):
        import matplotlib
        import matplotlib.font_manager  # makes the list

        return matplotlib.get_cachedir()
    return ""


def _environment(hash_seed, course, home):
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    kept = {name: os.environ[name] for name in ("TZ", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        **{f"{name}_NUM_THREADS": "1" for name in names},
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": course,
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONSAFEPATH": "1",
        "HOME": home,
        "MPLCONFIGDIR": "/fonts" if course == "/course" else str(_font_cache()),
        "MPLBACKEND": "agg",
        "LANG": "C.UTF-8",
        "MLPROD_PROGRESS": "memory",
        "MLPROD_LIVE": "no",
    }


class Sandbox:
    """One warm worker. It starts with its first job, and again where it broke.

    Parameters
    ----------
    hash_seed : int
        Of the hashes of texts; another worker is another process in that respect too.
    isolated : bool
        Whether it runs behind `bwrap`.
    """

    def __init__(self, hash_seed=0, isolated=True):
        self.hash_seed, self.isolated = hash_seed, isolated
        self._process = self._control = None
        self._before = self._total = 0.0

    def start(self):
        """Start the worker, if it is not running."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        if self.isolated and (why := why_not()):
            raise SandboxError(why)
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            course = "/course" if self.isolated else str(ROOT)
            line = command() if self.isolated else [sys.executable, "-s", "-P", "-B", "-c", _BOOT]
            self._process = subprocess.Popen(
                [*line, str(number)],
                env=_environment(self.hash_seed, course, "/tmp"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(number,),
            )
        self._control = ours
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(_worker_source())
            self._process.stdin.close()
        try:
            _send(ours, self._options())
            ready = _receive(ours, time.monotonic() + START_SECONDS)
        except (OSError, ValueError, Ended):
            self._process.kill()
            said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise SandboxError(
                f"the worker did not start: {said[-1] if said else 'no reason given'}"
            ) from None
        self.failed = ready["failed"]

    def _options(self):
        user = None
        if hasattr(os, "getuid") and os.getuid() == 0 and (self.isolated or _others_can_read_python()):
            user = (
                FIRST_USER + (2 * os.getpid() + self.hash_seed % 2) % 3900
            )  # one for each of the two workers
        return {
            "isolated": self.isolated,
            "user": user,
            "memory": MOST_MEMORY,
            "disk": MOST_DISK,
            "kept": [place for place in _visible() if place.startswith("/tmp/")],
            "processes": MOST_PROCESSES,
            "cpu": MOST_CPU,
        }

    @contextlib.contextmanager
    def job(self):
        """A fork of the worker, as a `Job`; all its processes are ended afterwards."""
        self.start()
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs:
                    socket.send_fds(self._control, [b"j"], [theirs.fileno()])
                begun = _receive(self._control, time.monotonic() + START_SECONDS)
            except (OSError, ValueError, Ended):
                self.close()
                raise SandboxError("the worker broke") from None
            if not begun["begun"]:
                self._finish()
                raise SandboxError(f"no job could be started: {begun.get('why') or 'no reason given'}")
            job = Job(ours, self)
            try:
                hello = _receive(ours, time.monotonic() + START_SECONDS)["hello"]
            except (OSError, ValueError, Ended):
                hello = "no reason given"
            try:
                if hello:
                    raise SandboxError(f"no job could be started: {hello}")
                yield job
            finally:
                job.end()

    def _end_job(self):
        """Kill the running job and all its processes. Returns its exit status and CPU seconds."""
        try:
            self._control.sendall(b"e")
            return self._finish()
        except (OSError, ValueError, Ended):
            self.close()
            return {"status": -9, "cpu": 0.0}

    def _finish(self):
        done = _receive(self._control, time.monotonic() + START_SECONDS)
        self._total = done["total"]
        return done

    @property
    def cpu(self):
        """CPU seconds of the worker and of all jobs that have ended."""
        return self._before + self._total

    def memory(self):
        """Bytes that the worker's descendants have, beside what each shares with the worker."""
        import psutil

        taken, least = 0, None
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    own = each.memory_info().rss
                    if least is None and own > 2**25:  # the warm worker comes first
                        least = own
                    taken += max(0, own - (least or own))
        return taken

    def close(self):
        """End the worker and everything in it."""
        self._before, self._total = self.cpu, 0.0
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stderr.close()
        self._process = self._control = None


def _others_can_read_python():
    """Whether a user without rights can import the course: as such, root lets code run that it cannot isolate."""
    import mlprod_helpers
    from mlprod_helpers.datasets import data_folder

    places = [os.__file__, np.__file__, mlprod_helpers.__file__, data_folder()]
    above = {each for place in places for each in Path(place).resolve().parents}
    return all(each.stat().st_mode & 0o005 == 0o005 for each in above)


@functools.cache
def _worker_source():
    return (Path(__file__).parent / "worker.py").read_bytes()


class Job:
    """One learner's process, to ask and to end."""

    def __init__(self, channel, sandbox):
        self._channel, self._sandbox = channel, sandbox
        self._ids = itertools.count(1)
        self.ended = None  # why, once it has

    def ask(self, message, seconds):
        """The reply to a message.

        Raises
        ------
        Ended : if there was none within `seconds`, or none that can be used. The job is over then.
        """
        if self.ended:
            raise Ended(self.ended)
        number = next(self._ids)
        try:
            self._channel.settimeout(seconds)
            _send(self._channel, message | {"id": number})
            reply = _receive(self._channel, time.monotonic() + seconds, self._look)
            if type(reply) is not dict or reply.get("id") != number:
                raise Ended("forged")
            return reply
        except (OSError, ValueError, RecursionError, MemoryError, Ended) as error:
            why = (
                error.why if isinstance(error, Ended) else "died" if isinstance(error, OSError) else "forged"
            )
            self.end(why)
            raise Ended(self.ended) from None

    def _look(self):
        if self._sandbox.memory() > MOST_TOGETHER:
            raise Ended("memory")

    def end(self, why="over"):
        """End the job with all its processes."""
        if self.ended is None:
            self.ended = why
            done = self._sandbox._end_job()
            if why == "died" and done["cpu"] > MOST_CPU - 1:
                self.ended = "late"


# ---- messages, read without trust


def _send(channel, message):
    raw = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(raw)) + raw)


def _receive(channel, deadline, look=None):
    (size,) = struct.unpack(">I", _exactly(channel, 4, deadline, look))
    if size > MOST_FRAME:
        raise Ended("forged")
    raw = _exactly(channel, size, deadline, look)
    if size > 2**16 and sum(raw.count(mark) for mark in b",:[{") > MOST_MARKS_OF_STRUCTURE:
        raise Ended("forged")  # it would become gigabytes of lists
    return json.loads(raw)


def _exactly(channel, size, deadline, look):
    raw = bytearray()
    while len(raw) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Ended("late")
        channel.settimeout(min(left, LOOK) if look else left)
        try:
            part = channel.recv(min(size - len(raw), 2**20))
        except TimeoutError:
            if look:
                look()
            continue
        if not part:
            raise Ended("died")
        raw += part
    return bytes(raw)


_PLAIN_ARRAYS = "biufmM"


def decode(data):
    """The value that JSON from a learner's process stands for.

    Raises
    ------
    ValueError : if it is no value, or would need more memory than an answer may have.
    """
    if isinstance(data, list):
        raise ValueError("no value: a list has a type")
    _Reader().look(data, 0)
    try:
        return values.decode(data)
    except Exception as error:
        raise ValueError(f"no value: {type(error).__name__}") from None


class _Reader:
    """Looks through JSON data before they become a value: an honest encoder's limits, and no lengths that are only claimed."""

    def __init__(self):
        self.items = self.bytes = 0

    def look(self, data, depth):
        self.items += 1
        if depth > 4 * values.MAX_DEPTH or self.items > 4 * values.MAX_ITEMS:
            raise ValueError("too much of it")
        if isinstance(data, str):
            self._room(len(data))
        elif isinstance(data, list):
            for each in data:
                self.look(each, depth + 1)
        elif isinstance(data, dict):
            kind = data.get("type")
            if kind == "array":
                self._array(data)
            elif kind == "objects":
                self._objects(data)
            elif kind == "rangeindex" and len(range(*data["range"])) > values.MAX_ITEMS:
                raise ValueError("too long")
            for each in data.values():
                if not (kind == "array" and each is data["data"]):
                    self.look(each, depth + 1)

    def _room(self, size):
        self.bytes += size
        if self.bytes > 2 * values.MAX_BYTES:
            raise ValueError("too large")

    def _array(self, data):
        dtype = np.dtype(data["dtype"])
        if dtype.kind not in _PLAIN_ARRAYS:
            raise ValueError("no plain array")
        size = math.prod(_length(each) for each in data["shape"]) * dtype.itemsize
        if size > values.MAX_BYTES or len(base64.b64decode(data["data"])) != size:
            raise ValueError("another size")
        self._room(size)

    def _objects(self, data):
        n = len(data["items"])
        if math.prod(_length(each) for each in data["shape"]) != n:
            raise ValueError("another size")
        if data["dtype"] != "|O":  # numpy gives all texts the room of the longest
            longest = max((len(each) for each in data["items"] if isinstance(each, str)), default=0)
            if 4 * n * longest > values.MAX_BYTES:
                raise ValueError("too large")


def _length(each):
    if type(each) is not int or each < 0:
        raise ValueError("no length")
    return each
