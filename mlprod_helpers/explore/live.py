"""The live cockpit: controls and pictures over a running lab (lesson 09).

What is seen is worked out in `cockpit`; here are the widgets, the thread that looks once a second, and what the buttons do. Whatever
goes wrong is said in the cockpit: nothing is raised into the notebook.
"""

from __future__ import annotations

import contextlib
import html
import json
import threading
import time
import weakref
from datetime import datetime

import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.explore.cockpit import RecordedCockpit, cockpit_picture, cockpit_state

MAX_RATE = 150  # requests a second: one core answers more, but it also draws
LOAD_S = 300.0
_WINDOW, _SHOWN = 10.0, 60.0  # seconds: of the numbers, of the picture
_LINES = 6
_LOOK_S = 0.7  # how long a service may take to say how it is
_LIGHTS = {
    "ready": ("●", plots.GREEN),
    "starting": ("◐", plots.ORANGE),
    "draining": ("◑", plots.ORANGE),
    "alive, not ready": ("○", plots.ORANGE),
    "does not answer": ("✕", plots.RED),
    "dead": ("✕", plots.RED),
}
_PAPER = f"background:{plots.PAPER};color:{plots.INK};border-radius:6px;padding:6px 10px"
_SEEN = weakref.WeakKeyDictionary()  # lab -> its cockpit: a cell that runs again replaces it


class Cockpit:
    """What `cockpit` returns for a running lab: live widgets, and the picture so far where nothing runs.

    Attributes
    ----------
    message : str, what was done last, or what went wrong
    state : DataFrame, see `cockpit_state`: the last ten seconds when it last looked
    figure : plots.Figure, the last minute when it last looked
    watching : bool, does it still look once a second?
    """

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
        self._over, self._load_over = threading.Event(), None
        self._thread, self._live, self._setting, self._busy = None, None, None, set()
        self.message, self.lights = "", {}
        if (before := _SEEN.get(lab)) is not None:
            before.close("Another cockpit has taken over.")
        _SEEN[lab] = self
        self._look(lab)

    # ------------------------------------------------------------------------------------------ its life

    @property
    def watching(self):
        return self._thread is not None and self._thread.is_alive() and not self._over.is_set()

    @property
    def loading(self):
        """Does load run?"""
        return self._load_over is not None and not self._load_over.is_set()

    def watch(self):
        """Look once a second from now on, in a thread: until the lab ends, the widget is closed, or the minutes are over."""
        if not self.watching and not self._over.is_set():
            self._thread = threading.Thread(target=self._watch, name="mlprod-cockpit", daemon=True)
            self._thread.start()
        return self

    def close(self, why="The cockpit is closed."):
        """End load and looking; the last picture stays."""
        if not self._over.is_set():
            self._over.set()
            self.stop_load()
            self._say(f"{why} The picture stands still.")
            self._disable()

    def _watch(self):
        end = time.monotonic() + 60 * self._minutes
        why = f"It has looked for {self._minutes:g} minutes: run the cell again to go on."
        while not self._over.wait(self._every):
            lab = self._lab()
            if lab is None or not lab.running:
                why = "The lab has ended."
                break
            if time.monotonic() > end:
                break
            if self._live is not None and self._live.comm is None:
                why = "The widget was closed."
                break
            if not (self._live and self._pause.value):
                self.refresh()
            del lab
        self.close(why)

    # ------------------------------------------------------------------------------------------ what it sees

    def refresh(self):
        """Look now, and show it. What goes wrong is said in the cockpit."""
        try:
            lab = self._lab()
            if lab is None or not lab.running:
                self._say("The lab has ended. The picture stands still.")
                return
            self._look(lab)
            self._show()
        except Exception as error:
            if not self._over.is_set():  # a lab that ends meanwhile is no news
                self._say(f"The cockpit could not look: {type(error).__name__}: {error}")

    def _look(self, lab):
        self.plan, self.lights = lab.plan, {name: _light(lab, name) for name in self.names}
        log, now = self._recent.read(), pd.Timestamp.now("UTC")
        self.lines = self._recent.lines
        self.state = cockpit_state(log, now, _WINDOW, self.names)
        self.figure = cockpit_picture(log, now, window=_SHOWN, versions=self.names)

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
            self._name_load()
            work = (lab.open_loop, rate, over)
            threading.Thread(target=self._loading, args=work, name="mlprod-load", daemon=True).start()

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
            stable, canary = lab.plan.stable, lab.plan.canary
            self.plan = lab.set_weights({stable: 100 - weight, canary: weight}, mirror=mirror)
            return f"{canary} has {weight:g} % of the users, and copies of {mirror:g} % of the requests."

        self._do("The weights", work)

    def roll_back(self):
        """Everybody back to the stable version, no copies."""

        def work(lab):
            stable, canary = lab.plan.stable, lab.plan.canary
            self.plan = lab.set_weights({stable: 100, canary: 0}, mirror=0)
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
        except Exception as error:
            self._say(f"{what} did not work: {error}")
        finally:
            self._follow_plan()

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

    # ------------------------------------------------------------------------------------------ widgets

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._live is None:
            self._live = self._made_widget()
            self._show()
        return self._live

    def _made_widget(self):
        import ipywidgets as w

        stable, canary = self.plan.stable, self.plan.canary
        wide = {"style": {"description_width": "17em"}, "layout": {"width": "min(100%, 44em)"}}

        def slider(title, high, value, step=1, **more):
            return w.FloatSlider(
                value,
                min=0,
                max=high,
                step=step,
                description=title,
                tooltip=title,
                readout_format=".3g",
                **wide,
                **more,
            )

        def button(title, tip, act, **more):
            made = w.Button(description=title, tooltip=tip, layout={"width": "auto"}, **more)
            made.on_click(lambda _: act())
            return made

        self._rate = w.IntSlider(
            40,
            min=5,
            max=MAX_RATE,
            step=5,
            continuous_update=False,
            tooltip="Requests a second that users send",
            description="load (requests/s)",
            **wide,
        )
        self._rate.observe(
            lambda _: self.start_load(self._rate.value) if self.loading else None, names="value"
        )
        self._load = button("Start load", "Start or stop users who send requests", self._on_load)
        self._weight = slider(f"users of {canary} (%)", 100, self.plan.weight, continuous_update=False)
        self._mirror = slider(
            f"requests copied to {canary} (%)", 100, self.plan.mirror, continuous_update=False
        )
        for made in (self._weight, self._mirror):
            made.observe(self._on_weight, names="value")
            made.disabled = canary is None
        back = button(
            "Roll back", f"All users back to {stable}, no copies", self.roll_back, button_style="warning"
        )
        back.disabled = canary is None
        self._chosen = w.Dropdown(
            options=self.names,
            value=canary or stable,
            description="service",
            tooltip="Which service to kill, drain or restart",
            style={"description_width": "4em"},
            layout={"width": "14em"},
        )
        acts = [
            button("Kill", "SIGKILL: gone at once, as after a crash", lambda: self.kill(self._chosen.value)),
            button("Drain", "No new requests, then it ends", lambda: self.drain(self._chosen.value)),
            button("Restart", "A new process", lambda: self.restart(self._chosen.value)),
        ]
        self._pause = w.ToggleButton(
            False, description="Pause", tooltip="Stop looking; press again to go on", layout={"width": "auto"}
        )
        end = button("Close", "End load and cockpit; the lab goes on", self.close)
        self._told, self._about, self._picture, self._last = (w.HTML() for _ in range(4))
        self._inputs = [
            self._rate,
            self._load,
            self._weight,
            self._mirror,
            back,
            self._chosen,
            *acts,
            self._pause,
            end,
        ]
        self._load.disabled = self._rows is None
        row = {"flex_flow": "row wrap", "align_items": "center"}
        return w.VBox(
            [
                w.HBox([self._rate, self._load], layout=row),
                w.HBox([self._weight, back], layout=row),
                self._mirror,
                w.HBox([self._chosen, *acts, w.HTML("&emsp;"), self._pause, end], layout=row),
                *(self._told, self._about, self._picture, self._last),
            ]
        )

    def _on_load(self):
        if self.loading:
            self.stop_load()
        else:
            self.start_load(self._rate.value)

    def _on_weight(self, _):
        if self._setting != threading.get_ident():  # a move by hand, not one that follows the plan
            self.weigh(self._weight.value, self._mirror.value)

    def _follow_plan(self):
        """The sliders show the plan in force: a rollout's driver or a cell may have changed it."""
        if self._live is None or self.plan.canary is None:
            return
        self._setting = threading.get_ident()
        try:
            self._weight.value, self._mirror.value = self.plan.weight, self.plan.mirror
        finally:
            self._setting = None

    def _name_load(self):
        if self._live is not None:
            self._load.description = "Stop load" if self.loading else "Start load"
            self._load.icon = "stop" if self.loading else "play"

    def _say(self, text):
        self.message = text
        if self._live is not None:
            now = f"{pd.Timestamp.now('UTC'):%H:%M:%S} UTC"
            # a screen reader is told of this line alone, not of each picture
            self._told.value = (
                f'<div role="status" style="{_PAPER}"><strong>{now}</strong> {html.escape(text)}</div>'
            )

    def _show(self):
        if self._live is None:
            return
        self._follow_plan()
        self._about.value, self._picture.value = self._table(), self.figure.html()
        self._last.value = self._log_lines()
        if not self._told.value:
            self._say("Ready. Start the load." if self._rows is not None else "Ready.")

    def _disable(self):
        for made in self._inputs if self._live is not None else ():
            with contextlib.suppress(Exception):  # the widget may be gone
                made.disabled = True

    # ------------------------------------------------------------------------------------------ in words

    def _role(self, name):
        plan = self.plan
        share = {plan.stable: 100 - plan.weight, plan.canary: plan.weight}.get(name, 0)
        role = {plan.stable: "stable", plan.canary: "canary"}.get(name, "no role")
        return f"{role}, {share:.3g} % of the users" + (
            ", gets no new requests" if name in plan.draining else ""
        )

    def _table(self):
        """The state of each service and its numbers of the last seconds."""

        def cell(text, tag="td", style="text-align:right;padding:2px 9px"):
            return f'<{tag} style="{style}">{text}</{tag}>'

        left = "text-align:left;padding:2px 9px"
        heads = (
            "service",
            "state",
            "answers/s",
            "p50 ms",
            "p99 ms",
            "failed",
            "seen by clients",
            "tried again",
            "copies/s",
        )
        body = ""
        for row in self.state.itertuples():
            glyph, color = _LIGHTS.get(self.lights.get(row.Index), ("", plots.INK))
            state = (
                html.escape(f"{self.lights[row.Index]}; {self._role(row.Index)}")
                if row.Index in self.lights
                else ""
            )
            numbers = [_number(each) for each in (row.rate, row.p50, row.p99)]
            numbers += [f"{each:,}" for each in (row.failed, row.lost, row.retried)] + [_number(row.copies)]
            body += (
                f"<tr>{cell(html.escape(row.Index), 'th', left)}"
                f"{cell(f'<span aria-hidden=true style=color:{plots.ink(color)}>{glyph}</span> {state}', 'td', left)}"
                f"{''.join(map(cell, numbers))}</tr>"
            )
        return (
            f'<div style="{_PAPER};overflow-x:auto"><table style="border-collapse:collapse;color:inherit">'
            f'<caption style="caption-side:top;text-align:left;color:inherit">The last {_WINDOW:g} seconds</caption>'
            f"<tr>{''.join(cell(name, 'th', left if i < 2 else 'text-align:right;padding:2px 9px') for i, name in enumerate(heads))}</tr>"
            f"{body}</table></div>"
        )

    def _log_lines(self):
        lines = "\n".join(html.escape(line) for line in self.lines) or "no request so far"
        return f'<div style="{_PAPER}">The last lines of the log<pre style="margin:0;color:inherit;background:inherit">{lines}</pre></div>'

    def __repr__(self):
        told = "; ".join(f"{name} {self.lights[name]} ({self._role(name)})" for name in self.names)
        return f"Cockpit: {told}. {self.figure.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        live = self.widget._repr_mimebundle_() or {}
        self.watch()
        view = "application/vnd.jupyter.widget-view+json"
        told = "<p><em>The cockpit as it stood. Run the cells to fly.</em></p>"
        return {key: live[key] for key in (view,) if key in live} | {
            "text/html": f"<div>{self._table()}{self.figure.html()}{self._log_lines()}{told}</div>",
            "text/plain": repr(self),
        }


def _number(value):
    return "–" if np.isnan(value) else plots.say(value)


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
    return told.get("state") if told.get("state") in _LIGHTS else "alive, not ready"


class Recent:
    """The requests of the last seconds in a log that grows: each look reads only what is new.

    Parameters
    ----------
    path : Path of a file of JSON lines, see `requestlog`; it need not be there yet
    seconds : float, how long a request is kept
    """

    _AT_ONCE = 4_000_000  # bytes

    def __init__(self, path, seconds):
        self._path, self._keep = path, seconds
        self._at, self._rest = max(0, self._size() - self._AT_ONCE), b""
        self._rows, self.lines = [], []

    def _size(self):
        return self._path.stat().st_size if self._path.exists() else 0

    def read(self):
        """A request log: `time, request_id, version, served, status, latency_ms, attempts`."""
        from mlprod_helpers.requestlog import RequestLog, as_log

        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read(self._AT_ONCE)
            self._at += len(new)
            *whole, self._rest = (self._rest + new).split(b"\n")
            events = [event for line in whole if (event := _request(line)) is not None]
            self._rows += [event[:-1] for event in events]
            self.lines = [*self.lines, *(event[-1] for event in events[-_LINES:])][-_LINES:]
            oldest = time.time() - self._keep
            self._rows = [row for row in self._rows if row[0] + row[5] / 1000 >= oldest]
        if not self._rows:
            return RequestLog().read()
        names = ["time", "request_id", "version", "served", "status", "latency_ms", "attempts"]
        log = pd.DataFrame(self._rows, columns=names)
        log["time"] = pd.to_datetime((log["time"] * 1e6).round().astype("int64"), unit="us", utc=True)
        return as_log(log.drop_duplicates(["request_id", "version"], keep="last").sort_values("time"))


def _request(line):
    """One line of the log as a row, its last cell in words; None if it is no request, or not whole."""
    try:
        told = json.loads(line)
        if told["event"] != "request":
            return None
        when = datetime.fromisoformat(told["time"])
        served, status, latency = (
            told.get("served", True),
            told.get("status", 200),
            told.get("latency_ms", 0.0),
        )
        words = (
            f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}  {told['version']:8} {status}  {latency:8.1f} ms"
        )
        words += f"  user {told['user_id']}" if "user_id" in told else ""
        answer = told.get("prediction")
        words += (
            f"  answer {plots.say(answer) if isinstance(answer, float) else answer}"
            if answer is not None
            else ""
        )
        attempts = told.get("attempts", 1)
        words += f"  try {attempts}" if attempts > 1 else ""
        words += "" if served else "  (failed try)" if status >= 500 else "  (shadow copy)"
        return when.timestamp(), told["request_id"], told["version"], served, status, latency, attempts, words
    except (ValueError, KeyError, TypeError):
        return None


def cockpit(lab=None, rows=None, *, recorded=None, minutes=10.0):
    """The cockpit over a running lab: load, weights, kill, drain, restart, roll back; and what becomes of it, looked at once a second.

    It looks while other cells run, too (its buttons wait for them), until the lab ends, at most for `minutes`. A second
    cockpit over the same lab takes over. Where no lab is to be had it is a recorded run with a slider over now.

    Parameters
    ----------
    lab : serving.Lab that runs (`lab = Lab().start()`, so that it lives through several cells), or None
    rows : DataFrame or list of dicts, optional: the features that the load sends; flights if not given and the services take these
    recorded : DataFrame, optional: the request log shown without a lab; a recorded rollback if not given
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
