"""What runs inside the sandbox: a warm interpreter that is forked for each learner, and the learner's code in the fork.

The sandbox gets this file's text through its standard input; it is in no folder there, and neither are checks or solutions.
The first process never runs a learner's code. Its child makes namespaces and limits, and *its* child, the first process of
a world of its own, runs the code and answers over one private socket, with plain data. It knows no seed, no wanted value and no verdict;
whatever it forges is only another answer.
"""

import ast
import contextlib
import ctypes
import gc
import json
import linecache
import os
import random
import resource
import signal
import socket
import struct
import sys
import types

MOST_FRAME = 128 * 2**20  # bytes of one message
NEW_NAMESPACES = 0x00020000 | 0x20000000 | 0x08000000  # of mounts, processes and shared memory
NEW_USER = 0x10000000
NO_SUID, NO_DEVICES, NO_EXECUTION, READ_ONLY, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 1, 0x1000, 0x4000, 1 << 18
# calls by which code would keep memory that no limit counts, leave the next learner something, or gain rights: on
# x86-64 and on ARM with 64 bits
FORBIDDEN = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
}
MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}  # column, its number, clone
CLONE3, ALL_NAMESPACES = 435, 0x7E020000
PRELOAD = (
    "numpy",
    "pandas",
    "scipy.stats",
    "scipy.optimize",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.preprocessing",
    "sklearn.pipeline",
    "matplotlib.pyplot",
    "statistics",
    "decimal",
    "fractions",
    "hashlib",
    "hmac",
    "re",
    "collections",
    "itertools",
    "functools",
    "datetime",
    "math",
    "heapq",
    "bisect",
    "IPython.core.inputtransformer2",
    "mlprod_helpers.lesson.owner",
    "mlprod_helpers.datasets",
    "mlprod_helpers.drift",
    "mlprod_helpers.detectors",
    "mlprod_helpers.adaptation",
    "mlprod_helpers.features",
    "mlprod_helpers.requestlog",
    "mlprod_helpers.queueing",
    "mlprod_helpers.rollout",
    "mlprod_helpers.automation",
    "mlprod_helpers.monitoring",
    "mlprod_helpers.checklist",
    "mlprod_helpers.streams",
    "mlprod_helpers.oncall",
    "mlprod_helpers.plots",
    "mlprod_helpers.serving.lab.eta_handlers",
)


# ---- messages


def send(channel, message):
    """One message: its length, then JSON."""
    raw = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(raw)) + raw)


def receive(channel):
    """The next message; EOFError at the end."""
    (size,) = struct.unpack(">I", _exactly(channel, 4))
    if size > MOST_FRAME:
        raise EOFError("too long")
    return json.loads(_exactly(channel, size))


def _exactly(channel, size):
    raw = bytearray()
    while len(raw) < size:
        part = channel.recv(min(size - len(raw), 2**20))
        if not part:
            raise EOFError
        raw += part
    return bytes(raw)


# ---- the warm process


def serve(control):
    """Fork a job whenever the grader sends a socket for one, until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    options = receive(control)
    failed = _preload()
    usage = _memory()
    gc.collect()
    gc.freeze()  # pages that nobody touches stay shared with the forks
    send(control, {"ready": True, "failed": failed, "usage": usage})
    while True:
        raw, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not raw:
            return
        inside, outside = os.pipe()
        keeper = os.fork()
        if not keeper:
            os.close(inside)
            _keep(control, socket.socket(fileno=descriptors[0]), outside, options, usage)
        os.close(outside)
        os.close(descriptors[0])
        with os.fdopen(inside, "rb") as pipe:
            begun = pipe.read(16).decode()
        if begun.lstrip("-").isdigit() and int(begun) > 0:
            send(control, {"begun": True})
            control.recv(1)  # the grader has seen enough
            with contextlib.suppress(ProcessLookupError):
                (os.kill if options["isolated"] else os.killpg)(int(begun), signal.SIGKILL)
            if not options["isolated"] and options["user"] is not None:
                _end_all_of(options["user"])
        else:
            send(control, {"begun": False, "why": begun})
        _, status, used = os.wait4(keeper, 0)
        done = {"status": os.waitstatus_to_exitcode(status), "cpu": used.ru_utime + used.ru_stime}
        times = os.times()
        send(control, done | {"total": sum(times[:4])})


def _end_all_of(user):
    """Kill what a user has running: with no world of its own, a job may have left its group."""
    killer = os.fork()
    if not killer:
        try:
            _become(user)
            os.kill(-1, signal.SIGKILL)
        except BaseException:
            pass
        finally:
            os._exit(0)
    os.waitpid(killer, 0)


def _become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _preload():
    import importlib

    failed = []
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
    import mlprod_helpers.lesson

    mlprod_helpers.lesson.Lesson = _NoLesson
    for hidden in ("mlprod_helpers.exercises", "mlprod_helpers.oncall.season"):
        sys.modules.setdefault(hidden, None)
    return failed


def _memory():
    """(bytes of data, of all address space) of this process."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        rows = dict(line.split(":", 1) for line in file)
        return [1024 * int(rows[key].split()[0]) for key in ("VmData", "VmSize")]
    return [2**29, 2**31]


# ---- between the two: namespaces, then the job, then the end of all its processes


def _keep(control, channel, pipe, options, usage):
    status = 70
    try:
        os.setsid()
        control.close()
        if options["isolated"]:
            _separate(options)
        job = os.fork()
        if not job:
            os.close(pipe)
            os.setsid()  # where nothing else holds its processes together
            _work(channel, options, usage)
        channel.close()
        os.write(pipe, str(job).encode())
        os.close(pipe)
        status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
        status = 128 - status if status < 0 else status
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(pipe, f"{type(error).__name__}"[:16].encode())
    finally:
        os._exit(status)


_libc = ctypes.CDLL(None, use_errno=True)


def _separate(options):
    """Leave all namespaces that the job could find others in; a small disk of its own over /tmp, no /proc."""
    user, group = os.getuid(), os.getgid()
    if options["user"] is None:  # without the rights of root these come with a namespace of users
        _must(_libc.unshare(NEW_USER | NEW_NAMESPACES))
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    else:
        _must(_libc.unshare(NEW_NAMESPACES))
    _must(_libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))
    disk = f"size={options['disk']},nr_inodes=2000,mode=1777".encode()
    kept = [(place, os.open(place, os.O_PATH)) for place in options["kept"]]  # Python's own folders there
    _must(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", NO_SUID | NO_DEVICES, disk))
    for place, descriptor in kept:
        os.makedirs(place)
        _must(
            _libc.mount(f"/proc/self/fd/{descriptor}".encode(), place.encode(), None, BIND | RECURSIVE, None)
        )
        os.close(descriptor)
    empty = READ_ONLY | NO_SUID | NO_DEVICES | NO_EXECUTION
    _must(_libc.mount(b"tmpfs", b"/proc", b"tmpfs", empty, b"size=4k,mode=555"))


def _must(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _confine(options, usage):
    """The job gives up every right and accepts its limits; it can take none of it back."""
    limits = {
        "CORE": 0,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
        "NOFILE": 128,
        "FSIZE": options["disk"],
        "DATA": usage[0] + options["memory"],
        "AS": usage[1] + 2 * options["memory"],
        "CPU": options["cpu"],
    }
    if (
        options["isolated"] or options["user"] is not None
    ):  # else it would count all processes of the instructor
        limits["NPROC"] = options["processes"]
    if options["user"] is not None:
        _become(options["user"])
    elif options["isolated"]:
        header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
        _must(_libc.capset(header, nothing))
    _forbid(options["isolated"])
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)


def _forbid(is_must):
    """Let the kernel refuse the calls of `FORBIDDEN`, and no new privileges, to this process and all that it starts."""
    if not is_must and (sys.platform != "linux" or os.uname().machine not in MACHINES):
        return
    column, machine, clone = MACHINES[os.uname().machine]
    refuse, missing, kill, allow = 0x00050001, 0x00050026, 0x80000000, 0x7FFF0000  # EPERM, ENOSYS
    equal, at_least, has_bits, load, give = 0x15, 0x35, 0x45, 0x20, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, machine), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]  # x86's second table of calls
    for numbers in FORBIDDEN.values():
        program += [(equal, 0, 1, numbers[column]), (give, 0, 0, refuse)]
    program += [
        (equal, 0, 1, CLONE3),
        (give, 0, 0, missing),
    ]  # what it asks for cannot be seen: threads then use clone
    program += [
        (equal, 0, 3, clone),
        (load, 0, 0, 16),
        (has_bits, 0, 1, ALL_NAMESPACES),
        (give, 0, 0, refuse),
    ]
    program += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    done = _libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    done = done or _libc.prctl(22, 2, struct.pack("HP", len(program), ctypes.addressof(code)), 0, 0)
    if is_must:
        _must(done)


# ---- the job


def _work(channel, options, usage):
    status = 0
    try:
        try:
            _confine(options, usage)
            os.chdir("/tmp")
        except BaseException as error:  # before any code of the learner's: no fault of theirs
            send(channel, {"hello": f"{type(error).__name__}: {error}"})
            raise
        send(channel, {"hello": ""})
        job = None
        while True:
            asked = receive(channel)
            if asked["do"] == "begin":
                job = Job(asked)
                send(channel, {"id": asked["id"], **job.begun()})
            elif asked["process"]:
                _in_a_fork(channel, job, asked)
            else:
                send(channel, {"id": asked["id"], **job.call(asked)})
    except EOFError:
        pass
    except BaseException:
        status = 71
    finally:
        os._exit(status)


def _in_a_fork(channel, job, asked):
    child = os.fork()
    if not child:
        try:
            send(channel, {"id": asked["id"], **job.call(asked)})
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        os._exit(72)


class Job:
    """One exercise of one learner: their cells are run, then their functions called."""

    def __init__(self, asked):
        from mlprod_helpers.lesson.kinds import Function, Kind
        from mlprod_helpers.lesson.owner import is_learners

        main = types.ModuleType("__main__")
        main.__dict__.update(display=_nothing, get_ipython=_Shell)
        sys.modules["__main__"] = main
        _roll_dice(asked["dice"])
        self.stopped = []
        seconds = asked["setup"]
        for i, source in enumerate(asked["needs"]):
            seconds = self._run(source, f"<cell needed {i + 1}>", main.__dict__, seconds, is_learners, True)
        self._run(asked["source"], "<cell>", main.__dict__, asked["setup"], is_learners, False)
        kinds = {
            name: Kind() if params is None else Function(*params[0], returns=None, may_change=params[1])
            for name, params in asked["kinds"].items()
        }
        self._kinds = kinds
        self._owner = _encoding_owner()(main.__dict__, kinds, asked["seconds"])

    def _run(self, source, filename, scope, seconds, is_learners, stubborn):
        """Run a cell; what it needs is run on after an error, as far as it goes. Returns the seconds that are left."""
        import time

        from mlprod_helpers.lesson.limit import Clock, TimeIsUp
        from mlprod_helpers.lesson.owner import message_of, quiet, scrub

        begin = time.monotonic()
        try:
            source, tree = _parsed(source, filename)
            parts = [ast.Module([statement], []) for statement in tree.body] if stubborn else [tree]
            parts = [compile(part, filename, "exec") for part in parts]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.stopped.append([filename, type(error).__name__, str(error)])
            return seconds
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        clock = Clock(max(seconds, 0.01), is_learners)
        for part in parts:
            try:
                with quiet():
                    clock.run(lambda part=part: exec(part, scope))
            except TimeIsUp:
                self.stopped.append([filename, "TimeIsUp", ""])
                break
            except BaseException as error:
                name = type.__dict__["__name__"].__get__(type(error))
                self.stopped.append([filename, name, scrub(message_of(error))])
        return seconds - (time.monotonic() - begin)

    def begun(self):
        """What there is: for a function whether it can be called, else the value itself."""
        names = {}
        for name, kind in self._kinds.items():
            if not self._owner.has(name):
                continue
            if hasattr(kind, "params"):
                untouched = self._owner.untouched(name)
                names[name] = {
                    "untouched": untouched,
                    "refusal": "" if untouched else self._owner.refusal(name),
                }
            else:
                names[name] = _told(self._owner.read(name))
        return {"names": names, "stopped": self.stopped}

    def call(self, asked):
        """One call, as the message asks."""
        if asked["process"]:
            _roll_dice(asked["process"])
        return _told(self._owner.call(asked["name"], asked["arguments"]))


def _encoding_owner():
    from mlprod_helpers.lesson import owner, values

    class Encoding(owner.Owner):
        copy = staticmethod(values.encode)

    return Encoding


def _told(reply):
    keys = ("status", "value", "text", "error", "place", "printed", "changed")
    return {key: getattr(reply, key) for key in keys}


def _roll_dice(number):
    import numpy as np

    random.seed(7919 * number + 1)  # as `in_another_process` does in a notebook
    np.random.seed(7919 * number + 1)  # noqa: NPY002 (the learner's own use of it)


def _parsed(source, filename):
    """A cell's text as plain Python, and its tree; lines such as `%matplotlib inline` become calls that do nothing."""
    try:
        return source, ast.parse(source, filename)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        plain = TransformerManager().transform_cell(source)
        return plain, ast.parse(plain, filename)


def _nothing(*arguments, **named):
    return None


class _Shell:
    """Stands in for IPython's shell in code that talks to it."""

    def __getattr__(self, name):
        return _nothing


class _NoLesson:
    """Stands in for the lesson: nothing is checked here."""

    def __init__(self, *arguments, **named):
        pass

    def __getattr__(self, name):
        return _nothing


def main():
    """Serve the grader whose socket is the descriptor named on the command line."""
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
