"""What a learner has done so far: one small JSON file beside the notebooks, never lost, never fatal."""

import contextlib
import json
import os
import tempfile
from pathlib import Path

FILE = ".mlprod-progress.json"
VARIABLE = "MLPROD_PROGRESS"  # "memory" keeps progress in the process, anything else names the file
_EMPTY = {"version": 1, "exercises": {}, "predictions": {}}

try:  # two notebooks may be open at once
    import fcntl
except ImportError:  # not on Windows: a lost race there costs one attempt's count
    fcntl = None


class Progress:
    """Reads the file afresh before each change and writes it whole, so that notebooks side by side keep each other's rows."""

    def __init__(self, path=None):
        chosen = os.environ.get(VARIABLE) or path or FILE
        self.path = None if str(chosen) == "memory" else Path(chosen).absolute()
        self.notice = ""  # said once, by whoever shows the next message
        self._memory = json.loads(json.dumps(_EMPTY))

    def read(self):
        if self.path is None:
            return self._memory
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if not (
                isinstance(data, dict)
                and all(isinstance(data.get(k), dict) for k in ("exercises", "predictions"))
            ):
                raise ValueError("not a progress file")
            return data
        except FileNotFoundError:
            return json.loads(json.dumps(_EMPTY))
        except OSError as error:
            self._give_up(error)
            return self._memory
        except ValueError:
            self._set_aside("broken")
            return json.loads(json.dumps(_EMPTY))

    @contextlib.contextmanager
    def change(self):
        """`with progress.change() as data:` edits the data and writes it."""
        with self._locked():
            data = self.read()
            yield data
            if self.path is not None:
                self._write(data)

    def exercise(self, data, exercise_id):
        """The row of one exercise: best points, points possible, digests of different tries, hints shown."""
        empty = {"points": 0, "possible": 0, "passed": False, "tries": [], "hints": 0}
        return data["exercises"].setdefault(exercise_id, empty)

    def reset(self, *prefixes):
        """Forget what has a key that begins with one of `prefixes`. The old file stays beside the new one."""
        if self.path is not None and self.path.exists():
            self._set_aside("before-reset", keep=True)
        with self.change() as data:
            for room in ("exercises", "predictions"):
                data[room] = {key: row for key, row in data[room].items() if not key.startswith(prefixes)}

    @contextlib.contextmanager
    def _locked(self):
        if self.path is None or fcntl is None:
            yield
            return
        try:
            handle = open(self.path.with_name(self.path.name + ".lock"), "w")  # noqa: SIM115 (closed below)
        except OSError as error:
            self._give_up(error)
            yield
            return
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _write(self, data):
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path.parent, prefix=FILE, suffix=".tmp", delete=False, encoding="utf-8"
            ) as handle:
                json.dump(data, handle, indent=1, sort_keys=True)
            os.replace(handle.name, self.path)
        except OSError as error:
            self._memory = data
            self._give_up(error)

    def _set_aside(self, reason, keep=False):
        k = 1
        while (aside := self.path.with_name(f"{self.path.name}.{reason}-{k}")).exists():
            k += 1
        try:
            if keep:
                aside.write_bytes(self.path.read_bytes())
            else:
                os.replace(self.path, aside)
        except OSError as error:
            self._give_up(error)
            return
        if not keep:
            self.notice = (
                f"The progress file could not be read. It was kept as `{aside.name}` and a new one was begun."
            )

    def _give_up(self, error):
        """Go on in memory: a folder that cannot be written must not stop the lesson."""
        self.notice = (
            f"Progress is kept for this session only: `{self.path}` cannot be used ({error.strerror})."
        )
        self.path = None
