"""The widgets of the live cockpit, and the words in them (lesson 09)."""

from __future__ import annotations

import contextlib
import html
import threading

import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.explore.instruments import STATE_S
from mlprod_helpers.explore.page import at_home

MAX_RATE = 150  # requests a second: one core answers more, but it also draws
LIGHTS = {
    "ready": ("●", plots.GREEN),
    "starting": ("◐", plots.ORANGE),
    "draining": ("◑", plots.ORANGE),
    "alive, not ready": ("○", plots.ORANGE),
    "does not answer": ("✕", plots.RED),
    "dead": ("✕", plots.RED),
    "ended": ("○", plots.GREY),
}
# text and background together: right in both themes
AGAIN = "To open it again, run the cells that start the lab and show the cockpit."
_STOPPED = (
    "The kernel was restarted or has ended, and the lab's services ended with it. Table and picture show the last moment "
    f"before that. {AGAIN}"
)
_PAPER = f"background:{plots.PAPER};color:{plots.INK};border-radius:6px;padding:6px 10px"


class Panel:
    """Buttons, sliders, table, picture and log lines over a `Cockpit`; `box` is the widget.

    A move by hand calls the cockpit; what the cockpit says and shows is put here, from whatever thread.
    """

    def __init__(self, cockpit):
        import ipywidgets as w

        self._cockpit, self._setting, self._following = cockpit, None, threading.RLock()
        stable, canary = cockpit.plan.stable, cockpit.plan.canary
        self._rate = self._slider(w.IntSlider, 40, "load (requests/s)", low=5, high=MAX_RATE, step=5)
        self._load = self._button("Start load", "Start or stop users who send requests", self._on_load)
        self._load.disabled = not cockpit.has_rows
        self._weight = self._slider(w.FloatSlider, 0.0, "users of the canary (%)", readout_format=".1f")
        self._mirror = self._slider(w.FloatSlider, 0.0, "copied to the canary (%)", readout_format=".1f")
        back = self._button("Roll back", "All users back to the stable version, no copies", cockpit.roll_back)
        back.button_style = "warning"
        for widget in (self._weight, self._mirror, back):
            widget.disabled = canary is None
        self._chosen = w.Dropdown(
            options=cockpit.names,
            value=canary or stable,
            description="service",
            tooltip="Which service to kill, drain or restart",
            style={"description_width": "4em"},
            layout={"width": "14em"},
        )
        acts = [
            self._button(
                "Kill service", "SIGKILL: gone at once, as after a crash", self._on_chosen(cockpit.kill)
            ),
            self._button("Drain service", "No new requests, then it ends", self._on_chosen(cockpit.drain)),
            self._button("Restart service", "A new process", self._on_chosen(cockpit.restart)),
        ]
        self._pause = w.ToggleButton(
            False, description="Pause", tooltip="Stop looking; press again to go on", layout={"width": "auto"}
        )
        self._pause.observe(self._on_pause, names="value")
        end = self._button("Close", "End load, cockpit and lab: no process is left", cockpit.end)
        self._rate.observe(self._on_rate, names="value")
        for widget in (self._weight, self._mirror):
            widget.observe(self._on_weight, names="value")
        self._message, self._table, self._picture, self._log = (
            w.HTML(layout={"width": "auto", "overflow": "auto"}) for _ in range(4)
        )
        self._inputs = [
            self._rate,
            self._load,
            self._weight,
            self._mirror,
            back,
            self._chosen,
            *acts,
            self._pause,
        ]  # all but Close: a button that is disabled loses the focus
        row = {"flex_flow": "row wrap", "align_items": "center"}
        self.box = w.VBox(
            [
                w.HBox([self._rate, self._load], layout=row),
                w.HBox([self._weight, back], layout=row),
                w.HBox([self._mirror], layout=row),
                w.HBox([self._chosen, *acts, self._pause, end], layout=row),
                *(self._message, self._table, self._picture, self._log),
            ]
        )
        at_home(self.box, _STOPPED)

    def _slider(self, kind, value, title, *, low=0, high=100, step=1, **more):
        return kind(
            value,
            min=low,
            max=high,
            step=step,
            description=title,
            tooltip=title,
            continuous_update=False,
            style={"description_width": "10em"},
            layout={"flex": "0 1 38em", "min_width": "0"},
            **more,
        )

    def _button(self, title, tip, act):
        import ipywidgets

        widget = ipywidgets.Button(description=title, tooltip=tip, layout={"width": "auto"})
        widget.on_click(lambda _: act())
        return widget

    # ------------------------------------------------------------------------------------------ moves by hand

    def _on_load(self):
        if self._cockpit.loading:
            self._cockpit.stop_load()
        else:
            self._cockpit.start_load(self._rate.value)

    def _on_rate(self, _):
        if self._cockpit.loading:
            self._cockpit.start_load(self._rate.value)

    def _on_weight(self, _):
        if self._setting != threading.get_ident():  # else it only follows the plan
            self._cockpit.weigh(self._weight.value, self._mirror.value)

    def _on_chosen(self, act):
        return lambda: act(self._chosen.value)

    def _on_pause(self, change):
        self._pause.description = "Go on" if change["new"] else "Pause"
        self._cockpit.say_paused(change["new"])

    # ------------------------------------------------------------------------------------------ what is shown

    @property
    def paused(self):
        return self._pause.value

    @property
    def closed(self):
        return self.box.comm is None

    def show(self):
        """What the cockpit saw last."""
        self.follow_plan()
        self._table.value = state_table(self._cockpit)
        self._picture.value = self._cockpit.figure.html()
        self._log.value = log_lines(self._cockpit.lines)

    def report(self, text):
        """One line above the table. A screen reader announces this line alone, not each picture."""
        words = f"<strong>{pd.Timestamp.now('UTC'):%H:%M:%S} UTC</strong> {html.escape(text)}"
        self._message.value = f'<div role="status" style="{_PAPER}">{words}</div>'

    def follow_plan(self):
        """The sliders show the plan in force: a rollout's driver or a cell may have changed it."""
        plan = self._cockpit.plan
        if plan.canary is None:
            return
        with self._following:  # a thread at a time: each knows its own moves
            self._setting = threading.get_ident()
            try:
                for widget, what, value in (
                    (self._weight, f"users of {plan.canary} (%)", plan.weight),
                    (self._mirror, f"copied to {plan.canary} (%)", plan.mirror),
                ):
                    widget.description = widget.tooltip = what
                    widget.value = value
            finally:
                self._setting = None

    def name_load(self):
        """The button says what it will do."""
        self._load.description = "Stop load" if self._cockpit.loading else "Start load"

    def disable(self):
        """Nothing can be pressed any more but Close, which says how to begin again."""
        for widget in self._inputs:
            with contextlib.suppress(Exception):  # the widget may be gone
                widget.disabled = True


# --- in words -----------------------------------------------------------------------------------------------------------


def role(plan, name):
    """What the plan says of a version, in words."""
    if name not in (plan.stable, plan.canary):
        return "no role"
    words = f"stable, {100 - plan.weight:.3g}%" if name == plan.stable else f"canary, {plan.weight:.3g}%"
    return f"{words} of the users" + (", no new requests" if name in plan.draining else "")


def state_table(cockpit):
    """The state of each service and its numbers of the last seconds, as HTML."""
    rows = [_cells(cockpit, row) for row in cockpit.state.itertuples()]
    body = [[_cell(text, "th" if i == 0 else "td", i) for i, text in enumerate(row.values())] for row in rows]
    heads = [_cell(name, "th", i) for i, name in enumerate(rows[0])]
    caption = f"The last {STATE_S:g} seconds"
    if not cockpit.routed:
        caption += ". <strong>The router does not answer.</strong>"
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in (heads, *body))
    return (
        f'<div style="{_PAPER}"><table class="mlprod-state" cellpadding="3" style="border-collapse:collapse;color:inherit;line-height:1.4">'
        f'<caption style="caption-side:top;text-align:left;color:inherit">{caption}</caption>{lines}</table></div>'
    )


def _cells(cockpit, row):
    """Heading -> cell, of one version."""
    light = cockpit.lights.get(row.Index)
    state = ""
    if light:
        glyph, color = LIGHTS[light]
        state = f'<span class="mlprod-light"><span><span aria-hidden="true" style="color:{plots.ink(color)}">{glyph}</span> {light}</span></span><br>'
        state += html.escape(role(cockpit.plan, row.Index))
    return {
        "service": html.escape(str(row.Index)),
        "state": state,
        "waiting<br>now": _number(cockpit.waiting.get(row.Index, np.nan)),
        "answers<br>per s": _number(row.rate),
        "p50,<br>ms": _number(row.p50),
        "p99,<br>ms": _number(row.p99),
        "failed": f"{row.failed:,}",
        "seen by<br>clients": f"{row.lost:,}",
        "tried<br>again": f"{row.retried:,}",
        "copies<br>per s": _number(row.copies),
    }


def _cell(text, tag, place):
    side = "left" if place < 2 else "right"
    return f'<{tag} style="text-align:{side};vertical-align:top">{text}</{tag}>'


def _number(value):
    return "–" if np.isnan(value) else plots.say(value)


def log_lines(lines):
    """The last lines of the log, as HTML."""
    text = "\n".join(html.escape(line) for line in lines) or "no request so far"
    style = "margin:0;color:inherit;background:inherit;line-height:1.4"
    return f'<div style="{_PAPER}">The last lines of the log<pre style="{style}">{text}</pre></div>'
