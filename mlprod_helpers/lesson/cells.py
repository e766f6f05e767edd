"""Which answers are left from an earlier run, because their cell's last run failed before it made them anew.

A cell with a syntax error, or one that raises above its `def`, leaves the old function behind. Where lessons run in IPython, each cell
is noted before and after its run.
"""

import ast
import contextlib
import re
import sys

_TOP_LEVEL = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)
_MISSING = object()


class Watch:
    """Notes the runs of one shell's cells."""

    def __init__(self, shell):
        self._shell = shell
        self._before = {}
        self._failed = {}  # name -> (the object from before, what stopped the cell)

    def begin(self, info):
        """Called before a cell runs."""
        names = _names_of(getattr(info, "raw_cell", None) or "")
        self._before = {name: self._shell.user_ns.get(name, _MISSING) for name in names}

    def end(self, result):
        """Called after a cell ran."""
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        for name, before in self._before.items():
            self._failed.pop(name, None)
            if error is not None and self._shell.user_ns.get(name, _MISSING) is before:
                self._failed[name] = before, type(error).__name__
        self._before = {}

    def stale(self, names, namespace):
        """(name, what stopped its cell, whether there is an older one) of the first such answer, or None."""
        for name in names:
            before, error = self._failed.get(name, (None, ""))
            if error and namespace.get(name, _MISSING) is before:
                return name, error, before is not _MISSING
        return None


def running_shell():
    """The running IPython shell, if there is one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def watch():
    """The watch of the running IPython shell, which begins with the first call; None elsewhere."""
    shell = running_shell()
    if shell is None:
        return None
    running = getattr(shell, "_mlprod_watch", None)
    if running is None:
        running = shell._mlprod_watch = Watch(shell)
        shell.events.register("pre_run_cell", running.begin)
        shell.events.register("post_run_cell", running.end)
    return running


def _names_of(code):
    """The names that a cell defines at its top level, also where it is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        names = set()
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {
                    each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
                }
        return names
    return {name or other for name, other in _TOP_LEVEL.findall(code)}
