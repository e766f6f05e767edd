"""The live cockpit over a running lab: what it looks at once a second, what its buttons do, and how it ends (lesson 09).

`instruments.py` makes table and picture of a log, `panel.py` the widgets. Whatever goes wrong is shown in the cockpit; nothing is
raised into the notebook.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

import pandas as pd

from mlprod_helpers.explore.controls import mimebundle
from mlprod_helpers.explore.instruments import PICTURE_S, RecordedCockpit, cockpit_picture, cockpit_state
from mlprod_helpers.explore.panel import AGAIN, LIGHTS, MAX_RATE, Panel, log_lines, role, state_table

LOAD_S = 300.0
_LOOK_S = 0.7  # how long a service may take to answer /readyz
_COCKPITS = weakref.WeakKeyDictionary()  # lab -> its cockpit: a cell that runs again replaces it


class Cockpit:
    """Live widgets over a running lab, and the picture so far where no kernel runs; `cockpit` makes it.

    Attributes
    ----------
    names : list of str
        The lab's versions: stable, canary, others.
    message : str
        What was done last, or what went wrong.
    plan : RoutePlan
        In force when it last looked.
    routed : bool
        Whether the router answered then.
    lights : dict
        Version -> "ready", "draining", "dead" ...
    waiting : dict
        Version -> requests that wait for its answer at this moment: they are in no log yet.
    state : DataFrame
        The last 10 seconds, see `cockpit_state`.
    figure : plots.Figure
        The last minute.
    lines : list of str
        The end of the log.
    """

    minutes = 10.0  # for which it looks
    every = 1.0  # seconds from one look to the next

    def __init__(self, lab, rows):
        from mlprod_helpers.explore.recent import Recent  # heavy: pydantic

        self._lab = weakref.ref(lab)  # a cockpit keeps no lab alive
        self.names = [lab.stable, *([lab.canary] if lab.canary else [])]
        self.names += [name for name in lab.services if name not in self.names]
        self._rows = rows
        self._recent = Recent(lab.folder / "log-router.jsonl", PICTURE_S + 15)
        self._over, self._load_over, self._busy = threading.Event(), None, set()
        self._thread, self._panel = None, None
        self.message = "Ready." if rows is None else "Ready. Start the load."
        if (before := _COCKPITS.get(lab)) is not None:
            before.close("Another cockpit has taken over.")
        _COCKPITS[lab] = self
        self.plan = lab.plan
        self._look(lab)

    # ------------------------------------------------------------------------------------------ its life

    @property
    def watching(self):
        """Whether it looks once a second."""
        return self._thread is not None and self._thread.is_alive() and not self._over.is_set()

    @property
    def loading(self):
        """Whether load runs."""
        return self._load_over is not None and not self._load_over.is_set()

    @property
    def has_rows(self):
        """Whether there is anything to send."""
        return self._rows is not None

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._panel is None:
            self._panel = Panel(self)
            self._panel.show()
            self._panel.report(self.message)
        return self._panel.box

    def watch(self):
        """Look once a second from now on, in a thread: until the lab ends, the widget is closed, or the minutes are over."""
        if not self.watching and not self._over.is_set():
            self._thread = threading.Thread(target=self._watch, name="mlprod-cockpit", daemon=True)
            self._thread.start()
        return self

    def say_paused(self, paused):
        """Say what a press of *Pause* or *Go on* does."""
        still = "Paused. Table and picture stand still; load and services go on. Press Go on to look again."
        self._report(still if paused else "Looking again, once a second.")

    def end(self):
        """End load, looking and the lab with all its processes: what the button *Close* does."""
        lab = self._lab()
        self.close("The cockpit is closed.")
        self._lab_ended()
        self._report(f"The cockpit is closed, and its lab has ended. The picture stands still. {AGAIN}")
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
            self._report(f"{why} The picture stands still.")

    def _watch(self):
        why = "The cockpit has ended."
        with contextlib.suppress(Exception):  # a thread's traceback would land in the notebook
            why = self._until_over()
        with contextlib.suppress(Exception):
            self.close(why)

    def _until_over(self):
        """Look once a second. Returns why it has ended."""
        end = time.monotonic() + 60 * self.minutes
        while not self._over.wait(self.every) and time.monotonic() < end:
            lab = self._lab()
            if lab is None or not lab.running:
                return self._lab_ended()
            if self._panel is not None and self._panel.closed:
                return "The widget was closed."
            if self._panel is None or not self._panel.paused:
                self.refresh()
            del lab
        return f"It has looked for {self.minutes:g} minutes: run the cell again to go on."

    # ------------------------------------------------------------------------------------------ what it sees

    def refresh(self):
        """Look now and show the result, or what went wrong."""
        try:
            lab = self._lab()
            if lab is None or not lab.running:
                self._report(f"{self._lab_ended()} The picture stands still.")
                return
            self._look(lab)
            if self._panel is not None:
                self._panel.show()
        except Exception as error:
            if not self._over.is_set():  # a lab that ends meanwhile is no news
                self._report(f"The cockpit could not look: {type(error).__name__}: {error}")

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
        self.state = cockpit_state(log, now, self.names)
        self.figure = cockpit_picture(log, now, self.names)

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
            self._report("No load: the services of this lab do not take flights.")
        elif lab is not None and not self._over.is_set():
            self.stop_load()
            rate, over = min(max(float(rate), 1.0), MAX_RATE), threading.Event()
            self._load_over = over
            self._report(f"Load: {rate:g} requests a second.")
            work = (lab.open_loop, rate, over)
            threading.Thread(target=self._loading, args=work, name="mlprod-load", daemon=True).start()
        self._name_load()

    def stop_load(self):
        """No more requests."""
        if self.loading:
            self._load_over.set()
            self._report("The load has been stopped.")
        self._name_load()

    def _loading(self, open_loop, rate, over):
        message = f"The load has ended after {LOAD_S:g} seconds."
        try:
            open_loop(self._rows, rate=rate, duration=LOAD_S, timeout=5.0, stop=over)
        except Exception as error:
            message = f"The load has ended: {error}"
        if not over.is_set():  # nobody stopped it
            over.set()
            self._report(message)
            self._name_load()

    def weigh(self, weight, mirror):
        """Percent of the users for the canary, and of the requests that are copied to it."""

        def work(lab):
            stable, canary = self.plan.stable, self.plan.canary
            self._take(lab.set_weights({stable: 100 - weight, canary: weight}, mirror=mirror))
            return f"{canary} has {weight:g}% of the users, and copies of {mirror:g}% of the requests."

        self._act("The weights", work)

    def roll_back(self):
        """Everybody back to the stable version, no copies."""

        def work(lab):
            stable, canary = self.plan.stable, self.plan.canary
            self._take(lab.set_weights({stable: 100, canary: 0}, mirror=0))
            return f"Rolled back: {stable} has all users again."

        self._act("The rollback", work)

    def kill(self, name):
        """SIGKILL for one service."""
        self._act(f"Killing {name}", lambda lab: lab.kill(name) or f"{name} was killed (SIGKILL).")

    def drain(self, name):
        """Take one service out: its requests are answered, then it ends."""

        def work(lab):
            left = lab.drain(name)
            return f"{name} was drained, {left or 'no'} request{'s' * (left != 1)} left unanswered; it has ended."

        self._in_thread(f"Draining {name}", work)

    def restart(self, name):
        """A new process for one service."""
        self._in_thread(f"Restarting {name}", lambda lab: lab.restart(name) and f"{name} is ready again.")

    def _act(self, what, work):
        lab = self._lab()
        try:
            if lab is None or not lab.running:
                raise RuntimeError("the lab has ended")
            self._report(work(lab))
        except OSError as error:
            self._report(f"{what} did not work: nobody answers ({error.strerror or error}).")
        except Exception as error:
            self._report(f"{what} did not work: {error}")
        finally:
            if self._panel is not None:
                self._panel.follow_plan()

    def _in_thread(self, what, work):
        """A thing that takes seconds: the notebook goes on meanwhile; once at a time."""
        if what in self._busy:
            return
        self._busy.add(what)
        self._report(f"{what} ...")

        def run():
            try:
                self._act(what, work)
            finally:
                self._busy.discard(what)

        threading.Thread(target=run, name="mlprod-action", daemon=True).start()

    def _report(self, text):
        self.message = text
        if self._panel is not None:
            self._panel.report(text)

    def _name_load(self):
        if self._panel is not None:
            self._panel.name_load()

    def __repr__(self):
        services = "; ".join(f"{name} {self.lights[name]} ({role(self.plan, name)})" for name in self.names)
        return f"Cockpit: {services}. {self.figure.alt}"

    def _repr_mimebundle_(self, **_):
        bundle = mimebundle(
            self.widget,
            f"<div>{state_table(self)}{self.figure.html()}{log_lines(self.lines)}"
            "<p><em>The cockpit as it stood. Run the cells to fly it.</em></p></div>",
            repr(self),
        )
        self.watch()
        return bundle


def _light(lab, name):
    """How a service is, in words."""
    try:
        answer = lab.get("/readyz", to=name, timeout=_LOOK_S)
    except (KeyError, OSError, RuntimeError):
        return "dead"
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.status == 0:
        return "does not answer" if "Timeout" in str(body.get("error")) else "dead"
    if answer.status == 200:
        return "ready"
    return body.get("state") if body.get("state") in LIGHTS else "alive, not ready"


def _waiting(lab):
    """How many requests each version has not answered yet, by the router's own metrics."""
    try:
        table = lab.metrics()
    except (OSError, ValueError, RuntimeError):
        return {}
    table = table[table["name"] == "router_in_flight"]
    return {labels["version"]: value for labels, value in zip(table["labels"], table["value"], strict=True)}


def cockpit(lab=None):
    """Show a running lab and fly it: load, weights, kill, drain, restart, roll back.

    The cockpit looks once a second, while other cells run, too (its buttons wait for them), until the lab ends, at most for
    ten minutes. A second cockpit over the same lab takes over. Its load sends flights. Without a lab it is a recorded run, in
    which a canary fails, with a slider over now.

    Parameters
    ----------
    lab : serving.Lab, optional
        It runs (`lab = Lab().start()`), so that it lives through several cells.

    Returns
    -------
    Cockpit, or RecordedCockpit without a lab
        End a cell with it.

    Raises
    ------
    LabError
        If the lab does not run.
    """
    if lab is None:
        from mlprod_helpers.serving import load_recorded, refusal

        log = load_recorded("canary_fails", "fails")
        return RecordedCockpit(log, why=refusal() or "No lab was given.")
    if not lab.running:
        from mlprod_helpers.serving import LabError

        raise LabError("This lab does not run. Start it first: lab = Lab().start(); later lab.close().")
    return Cockpit(lab, _flights_for(lab))


def _flights_for(lab):
    """Flights to ask about, if the stable service takes them."""
    from mlprod_helpers.serving.lab.demo import FEATURES, eta_models

    about = lab.get("/version", to=lab.stable).body
    features = about.get("features", []) if isinstance(about, dict) else []
    names = {each.get("name") if isinstance(each, dict) else each for each in features}
    return eta_models().rows if names == {feature.name for feature in FEATURES} else None
