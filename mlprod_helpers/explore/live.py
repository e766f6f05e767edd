"""The live cockpit over a running lab: what it looks at once a second, what its buttons do, and how it ends (lesson 09).

What is seen is worked out in `cockpit`, the widgets are in `panel`. Whatever goes wrong is said in the cockpit: nothing is raised
into the notebook.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

import pandas as pd

from mlprod_helpers.explore.cockpit import RecordedCockpit, cockpit_picture, cockpit_state
from mlprod_helpers.explore.panel import LIGHTS, MAX_RATE, Panel, log_lines, role, state_table
from mlprod_helpers.explore.recent import Recent

LOAD_S = 300.0
_SHOWN = 60.0  # seconds of the picture
_LOOK_S = 0.7  # how long a service may take to say how it is
_SEEN = weakref.WeakKeyDictionary()  # lab -> its cockpit: a cell that runs again replaces it


class Cockpit:
    """What `cockpit` returns for a running lab: live widgets, and the picture so far where nothing runs.

    Attributes
    ----------
    names : list of str, the lab's versions: stable, canary, others
    message : str, what was done last, or what went wrong
    plan : RoutePlan in force when it last looked; `routed`: did the router answer?
    lights : dict, version -> "ready", "draining", "dead" ...
    waiting : dict, version -> requests that wait for its answer just now: they are in no log yet
    state : DataFrame, see `cockpit_state`: the last `window` seconds
    figure : plots.Figure, the last minute
    lines : list of str, the end of the log
    """

    window = 10.0

    def __init__(self, lab, rows=None, *, minutes=10.0, every=1.0):
        if not 0 < minutes <= 60 or not 0.2 <= every <= 60:
            raise ValueError(
                f"minutes={minutes}, every={every}: at most 60 minutes, a look each 0.2 to 60 seconds."
            )
        self._lab = weakref.ref(lab)  # a cockpit keeps no lab alive
        self.names = [lab.stable, *([lab.canary] if lab.canary else [])]
        self.names += [name for name in lab.services if name not in self.names]
        self._rows, self._every, self._minutes = rows, every, minutes
        self._recent = Recent(lab.folder / "log-router.jsonl", _SHOWN + 15)
        self._over, self._load_over, self._busy = threading.Event(), None, set()
        self._thread, self._panel = None, None
        self.message = "Ready." if rows is None else "Ready. Start the load."
        if (before := _SEEN.get(lab)) is not None:
            before.close("Another cockpit has taken over.")
        _SEEN[lab] = self
        self.plan = lab.plan
        self._look(lab)

    # ------------------------------------------------------------------------------------------ its life

    @property
    def watching(self):
        """Does it look once a second?"""
        return self._thread is not None and self._thread.is_alive() and not self._over.is_set()

    @property
    def loading(self):
        """Does load run?"""
        return self._load_over is not None and not self._load_over.is_set()

    @property
    def has_rows(self):
        """Is there anything to send?"""
        return self._rows is not None

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._panel is None:
            self._panel = Panel(self)
            self._panel.show()
            self._panel.say(self.message)
        return self._panel.box

    def watch(self):
        """Look once a second from now on, in a thread: until the lab ends, the widget is closed, or the minutes are over."""
        if not self.watching and not self._over.is_set():
            self._thread = threading.Thread(target=self._watch, name="mlprod-cockpit", daemon=True)
            self._thread.start()
        return self

    def end(self):
        """End load, looking and the lab with all its processes: what the button *Close* does."""
        lab = self._lab()
        self.close("The cockpit is closed, and its lab has ended.")
        if lab is not None and lab.running:
            # some seconds until the last process is gone; the notebook goes on meanwhile
            threading.Thread(target=lab.close, name="mlprod-close", daemon=True).start()

    def close(self, why="The cockpit is closed."):
        """End load and looking; the last picture stays, and so does the lab."""
        if not self._over.is_set():
            self._over.set()
            self.stop_load()
            if self._panel is not None:
                self._panel.disable()
            self._say(f"{why} The picture stands still.")

    def _watch(self):
        why = "The cockpit has ended."
        with contextlib.suppress(Exception):  # a thread's traceback would land in the notebook
            why = self._until_over()
        with contextlib.suppress(Exception):
            self.close(why)

    def _until_over(self):
        """Look once a second. Returns why it has ended."""
        end = time.monotonic() + 60 * self._minutes
        while not self._over.wait(self._every) and time.monotonic() < end:
            lab = self._lab()
            if lab is None or not lab.running:
                return self._lab_ended()
            if self._panel is not None and self._panel.closed:
                return "The widget was closed."
            if self._panel is None or not self._panel.paused:
                self.refresh()
            del lab
        return f"It has looked for {self._minutes:g} minutes: run the cell again to go on."

    # ------------------------------------------------------------------------------------------ what it sees

    def refresh(self):
        """Look now, and show it. What goes wrong is said in the cockpit."""
        try:
            lab = self._lab()
            if lab is None or not lab.running:
                self._say(f"{self._lab_ended()} The picture stands still.")
                return
            self._look(lab)
            if self._panel is not None:
                self._panel.show()
        except Exception as error:
            if not self._over.is_set():  # a lab that ends meanwhile is no news
                self._say(f"The cockpit could not look: {type(error).__name__}: {error}")

    def _lab_ended(self):
        self.lights, self.waiting = dict.fromkeys(self.names, "ended"), {}
        if self._panel is not None:
            self._panel.show()
        return "The lab has ended."

    def _look(self, lab):
        self.routed = self._read_plan(lab)
        self.lights = {name: _light(lab, name) for name in self.names}
        self.waiting = _waiting(lab) if self.routed else {}
        log, now = self._recent.read(), pd.Timestamp.now("UTC")
        self.lines = self._recent.lines
        self.state = cockpit_state(log, now, self.window, self.names)
        self.figure = cockpit_picture(log, now, window=_SHOWN, versions=self.names)

    def _read_plan(self, lab):
        try:
            self._take(lab.plan)
        except (OSError, ValueError, RuntimeError):
            return False
        return True

    def _take(self, plan):
        if plan.generation >= self.plan.generation:  # a look that was under way may come late
            self.plan = plan

    # ------------------------------------------------------------------------------------------ what it does

    def start_load(self, rate):
        """Users who come `rate` times a second, for at most five minutes."""
        lab = self._lab()
        if self._rows is None:
            self._say("No load: give the cockpit rows to send, cockpit(lab, rows).")
        elif lab is not None and not self._over.is_set():
            self.stop_load()
            rate, over = min(max(float(rate), 1.0), MAX_RATE), threading.Event()
            self._load_over = over
            self._say(f"Load: {rate:g} requests a second.")
            work = (lab.open_loop, rate, over)
            threading.Thread(target=self._loading, args=work, name="mlprod-load", daemon=True).start()
        self._name_load()

    def stop_load(self):
        """No more requests."""
        if self.loading:
            self._load_over.set()
            self._say("The load has been stopped.")
        self._name_load()

    def _loading(self, open_loop, rate, over):
        said = f"The load has ended after {LOAD_S:g} seconds."
        try:
            open_loop(self._rows, rate=rate, duration=LOAD_S, timeout=5.0, stop=over)
        except Exception as error:
            said = f"The load has ended: {error}"
        if not over.is_set():  # nobody stopped it
            over.set()
            self._say(said)
            self._name_load()

    def weigh(self, weight, mirror):
        """Percent of the users for the canary, and of the requests that are copied to it."""

        def work(lab):
            stable, canary = self.plan.stable, self.plan.canary
            self._take(lab.set_weights({stable: 100 - weight, canary: weight}, mirror=mirror))
            return f"{canary} has {weight:g} % of the users, and copies of {mirror:g} % of the requests."

        self._do("The weights", work)

    def roll_back(self):
        """Everybody back to the stable version, no copies."""

        def work(lab):
            stable, canary = self.plan.stable, self.plan.canary
            self._take(lab.set_weights({stable: 100, canary: 0}, mirror=0))
            return f"Rolled back: {stable} has all users again."

        self._do("The rollback", work)

    def kill(self, name):
        """SIGKILL for one service."""
        self._do(f"Killing {name}", lambda lab: lab.kill(name) or f"{name} was killed (SIGKILL).")

    def drain(self, name):
        """Take one service out: its requests are answered, then it ends."""

        def work(lab):
            left = lab.drain(name)
            return f"{name} was drained, {left or 'no'} request{'s' * (left != 1)} left unanswered; it has ended."

        self._in_thread(f"Draining {name}", work)

    def restart(self, name):
        """A new process for one service."""
        self._in_thread(f"Restarting {name}", lambda lab: lab.restart(name) and f"{name} is ready again.")

    def _do(self, what, work):
        lab = self._lab()
        try:
            if lab is None or not lab.running:
                raise RuntimeError("the lab has ended")
            self._say(work(lab))
        except OSError as error:
            self._say(f"{what} did not work: nobody answers ({error.strerror or error}).")
        except Exception as error:
            self._say(f"{what} did not work: {error}")
        finally:
            if self._panel is not None:
                self._panel.follow_plan()

    def _in_thread(self, what, work):
        """A thing that takes seconds: the notebook goes on meanwhile; once at a time."""
        if what in self._busy:
            return
        self._busy.add(what)
        self._say(f"{what} ...")

        def run():
            try:
                self._do(what, work)
            finally:
                self._busy.discard(what)

        threading.Thread(target=run, name="mlprod-action", daemon=True).start()

    def _say(self, text):
        self.message = text
        if self._panel is not None:
            self._panel.say(text)

    def _name_load(self):
        if self._panel is not None:
            self._panel.name_load()

    def __repr__(self):
        told = "; ".join(f"{name} {self.lights[name]} ({role(self.plan, name)})" for name in self.names)
        return f"Cockpit: {told}. {self.figure.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        live = self.widget._repr_mimebundle_() or {}
        self.watch()
        view = "application/vnd.jupyter.widget-view+json"
        told = "<p><em>The cockpit as it stood. Run the cells to fly it.</em></p>"
        return {key: live[key] for key in (view,) if key in live} | {
            "text/html": f"<div>{state_table(self)}{self.figure.html()}{log_lines(self.lines)}{told}</div>",
            "text/plain": repr(self),
        }


def _light(lab, name):
    """How a service is, in words."""
    try:
        answer = lab.get("/readyz", to=name, timeout=_LOOK_S)
    except (KeyError, OSError, RuntimeError):
        return "dead"
    told = answer.body if isinstance(answer.body, dict) else {}
    if answer.status == 0:
        return "does not answer" if "Timeout" in str(told.get("error")) else "dead"
    if answer.status == 200:
        return "ready"
    return told.get("state") if told.get("state") in LIGHTS else "alive, not ready"


def _waiting(lab):
    """How many requests each version has not answered yet, by the router's own metrics."""
    try:
        table = lab.metrics()
    except (OSError, ValueError, RuntimeError):
        return {}
    table = table[table["name"] == "router_in_flight"]
    return {labels["version"]: value for labels, value in zip(table["labels"], table["value"], strict=True)}


def cockpit(lab=None, rows=None, *, recorded=None, minutes=10.0):
    """The cockpit over a running lab: load, weights, kill, drain, restart, roll back; and what becomes of it, looked at once a second.

    It looks while other cells run, too (its buttons wait for them), until the lab ends, at most for `minutes`. A second
    cockpit over the same lab takes over. Where no lab is to be had it is a recorded run with a slider over now.

    Parameters
    ----------
    lab : serving.Lab that runs (`lab = Lab().start()`, so that it lives through several cells), or None
    rows : DataFrame or list of dicts, optional: the features that the load sends; flights if not given and the services take these
    recorded : DataFrame, optional: the request log shown without a lab; a recorded canary that fails if not given
    minutes : float, at most 60

    Returns
    -------
    Cockpit, or RecordedCockpit without a lab
        End a cell with it.

    Raises
    ------
    LabError : the lab does not run.

    Examples
    --------
    >>> from mlprod_helpers.requestlog import as_log
    >>> log = as_log({"time": ["2024-01-01 10:00:00Z", "2024-01-01 10:00:09Z"], "request_id": [1, 2], "version": ["v1", "v2"],
    ...               "status": [200, 200], "latency_ms": [4.0, 6.0]})
    >>> shown = cockpit(None, recorded=log)
    >>> shown.set(seconds=5)
    >>> shown.figure
    Figure: 60 s up to 10:00:05 UTC. v1: 1 answer, 100 % of all, p50 4 ms, p99 4 ms, none failed. v2: 0 answers.
    """
    if lab is None:
        from mlprod_helpers.serving import refusal

        return RecordedCockpit(recorded, why=refusal() or "No lab was given.")
    if not lab.running:
        from mlprod_helpers.serving import LabError

        raise LabError("This lab does not run. Start it first: lab = Lab().start(); later lab.close().")
    return Cockpit(lab, _flights_for(lab) if rows is None else rows, minutes=minutes)


def _flights_for(lab):
    """Flights to ask about, if the stable service takes them."""
    from mlprod_helpers.serving.demo import FEATURES, eta_models

    told = lab.get("/version", to=lab.stable).body
    features = told.get("features", []) if isinstance(told, dict) else []
    names = {each.get("name") if isinstance(each, dict) else each for each in features}
    return eta_models().rows if names == {feature.name for feature in FEATURES} else None
