"""A call as another process would answer it: nothing that an earlier call left behind, and other luck.

What a process keeps between calls is put back to what it was: the globals, defaults, attributes and closures that the
learner's functions reach. `random`, `numpy.random` and the hashes of texts differ from process to process. The order of a
set of texts differs there too, which cannot be had within one process.
"""

import builtins
import collections
import contextlib
import functools
import hashlib
import random
import sys
import types

import numpy as np

MOST_ITEMS = 10_000  # what is larger than this is data, not a memory of calls
_CONTAINERS = (
    dict,
    list,
    set,
    bytearray,
    collections.deque,
    collections.defaultdict,
    collections.OrderedDict,
    collections.Counter,
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)


class Kept:
    """The state that functions reach, as it is now; `restore` puts it back in place.

    Parameters
    ----------
    *functions : callable. The learner's.
    """

    def __init__(self, *functions):
        self._puts = []
        self._seen = {}
        self._caches = []
        self._items = 0
        self._rooms = {}
        self._whole = set()
        self._waiting = list(functions)
        while self._waiting:
            _quietly(self._visit, self._waiting.pop())

    def restore(self):
        """Everything as it was when this was made."""
        for put in reversed(self._puts):
            _quietly(put)

    def forget(self):
        """Empty what the learner decorated with `functools.cache`: its content cannot be kept."""
        for cache in self._caches:
            cache.cache_clear()

    def _visit(self, value):
        kind = type(value)
        if issubclass(kind, _PLAIN) or id(value) in self._seen or self._items > MOST_ITEMS:
            return
        self._items += 1
        self._seen[id(value)] = value  # also keeps it alive, so that no other object gets its id
        if kind is types.FunctionType:
            self._function(value)
        elif kind is types.MethodType:
            self._waiting += [value.__func__, value.__self__]
        elif kind is functools.partial:
            self._waiting += [value.func, value.args, value.keywords]
        elif kind is type(_cached):
            self._caches.append(value)
            self._waiting.append(value.__wrapped__)
        elif kind in _CONTAINERS and self._has_room(value):
            self._container(value, kind)
        elif kind in (tuple, frozenset) and self._has_room(value):
            self._waiting += value
        elif kind is np.ndarray and self._has_room(value) and value.flags.writeable:
            content = value.copy()
            self._puts.append(functools.partial(np.copyto, value, content))
        elif kind is random.Random:
            self._puts.append(functools.partial(value.setstate, value.getstate()))
        elif kind is np.random.RandomState:
            self._puts.append(functools.partial(value.set_state, value.get_state()))
        elif kind is np.random.Generator:
            generator = value.bit_generator
            self._puts.append(functools.partial(setattr, generator, "state", generator.state))
        elif issubclass(kind, type):
            self._class(value)
        elif self._is_own(kind.__dict__.get("__module__")):
            self._class(kind)
            self._attributes(value)

    def _has_room(self, value):
        size = value.size if isinstance(value, np.ndarray) else len(value)
        if size + self._items > MOST_ITEMS:
            return False
        self._items += size
        return True

    def _container(self, value, kind):
        if issubclass(kind, dict):
            content = dict(value.items())
            self._waiting += content.values()
        else:
            content = list(value)
            self._waiting += content

        def put():
            # nothing is touched where nothing changed
            if issubclass(kind, dict):
                if not (_same(value.keys(), content.keys()) and _same(value.values(), content.values())):
                    dict.clear(value)
                    dict.update(value, content)
            elif not _same(value, content):
                value.clear()
                (value.update if issubclass(kind, set) else value.extend)(content)

        self._puts.append(put)

    def _function(self, function):
        self._attributes(function)
        self._waiting += function.__defaults__ or ()
        self._waiting += (function.__kwdefaults__ or {}).values()
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # still empty
                continue
            self._puts.append(functools.partial(setattr, cell, "cell_contents", content))
            self._waiting.append(content)
        scope = function.__globals__
        self._rooms.setdefault(id(scope), scope.get("__name__"))
        names = _names_in(function.__code__)
        if names & {"globals", "vars", "exec", "eval"} and id(scope) not in self._whole:
            self._whole.add(id(scope))
            there = {name for name in scope if not str(name).startswith("__")}
            names = names | there
            self._puts.append(lambda: [scope.pop(name) for name in set(scope) - there if _is_variable(name)])
        for name in sorted(names, key=str):
            if name in scope:
                value = scope[name]
                if self._is_foreign(value):
                    continue
                self._puts.append(functools.partial(scope.__setitem__, name, value))
                self._waiting.append(value)
            elif name not in vars(builtins):
                self._puts.append(functools.partial(scope.pop, name, None))

    def _is_foreign(self, value):
        """Whether something that a global names belongs to a library: it is left alone."""
        if isinstance(value, types.ModuleType):
            return True
        value = getattr(value, "__wrapped__", value) if type(value) is type(_cached) else value
        if type(value) is types.FunctionType:
            return id(value.__globals__) not in self._rooms
        return isinstance(value, type) and not self._is_own(value.__dict__.get("__module__"))

    def _is_own(self, module):
        return module in self._rooms.values()

    def _class(self, kind):
        if not self._is_own(kind.__dict__.get("__module__")):
            return
        for name, value in list(kind.__dict__.items()):
            if name.startswith("__"):
                continue
            if not callable(value) and not hasattr(type(value), "__get__"):
                self._puts.append(functools.partial(setattr, kind, name, value))
            inner = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            self._waiting.append(inner)

    def _attributes(self, value):
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        self._waiting.append(attributes)


def _quietly(do, *arguments):
    """Do it; an object whose own methods fail is left as it is."""
    try:
        do(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return


@functools.cache
def _cached():  # for its type
    return None


def _is_variable(name):
    return not str(name).startswith("__")


def _same(values, others):
    return len(values) == len(others) and all(x is y for x, y in zip(values, others, strict=True))


def _names_in(code):
    """The global names and attributes that code, or a function within it, mentions."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_in(constant)
    return names


@contextlib.contextmanager
def dice_kept():
    """Within this block `random` and `numpy.random` may be used; afterwards they go on as if they had not been."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (the learner's own use of it)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002


@contextlib.contextmanager
def another_process(began, functions, number):
    """Within this block, the functions answer as in process `number`, freshly started.

    Parameters
    ----------
    began : Kept. The state at the start, to which a new process comes.
    functions : sequence of callable. The learner's, whose state is put back afterwards.
    number : int. Other numbers mean other hashes and other dice.
    """
    now, own = Kept(*functions), builtins.hash
    rooms = {id(each.__globals__) for each in functions if isinstance(each, types.FunctionType)}

    def hash_there(value):
        scope = sys._getframe(1).f_globals
        return own(_salted(value, number) if id(scope) in rooms or _is_unknown(scope) else value)

    began.restore()
    began.forget()
    with dice_kept():
        random.seed(7919 * number + 1)
        np.random.seed(7919 * number + 1)  # noqa: NPY002
        builtins.hash = hash_there
        try:
            yield
        finally:
            builtins.hash = own
            now.restore()
            now.forget()


def _is_unknown(scope):
    """Whether code with these globals is not of an imported module: a notebook's, or what it executes."""
    name = scope.get("__name__")
    return name == "__main__" or name not in sys.modules


def _salted(value, number):
    """Something whose hash is that of `value` in another process: numbers keep theirs, texts do not."""
    if isinstance(value, int | float | complex | np.number):
        return value
    if isinstance(value, tuple):
        return tuple(_salted(each, number) for each in value)
    if isinstance(value, frozenset):
        return frozenset(_salted(each, number) for each in value)
    if isinstance(value, str | bytes):
        text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(b"%d:" % number + text).digest()[:8], "big", signed=True)
    hash(value)  # what cannot be hashed raises, there as here
    return number, value
