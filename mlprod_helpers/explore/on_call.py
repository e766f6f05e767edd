"""The cockpit of a season on call: what is known this morning, what can be done, and what yesterday cost (lesson 11)."""

from __future__ import annotations

import html

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import mimebundle
from mlprod_helpers.explore.page import at_home
from mlprod_helpers.oncall.actions import TEAMS, in_words
from mlprod_helpers.oncall.pictures import in_unit, moved_picture, season_picture, words

# text and background together: right in both themes
_PAPER = f"background:{plots.PAPER};color:{plots.INK};border-radius:6px;padding:6px 10px;margin:0 0 4px"
_RETRAIN = {"do": "retrain", "days": 28}


class OnCallCockpit:
    """One morning at a time: `on_call_cockpit` makes it. Buttons where widgets live, and the same by calls.

    Attributes
    ----------
    season : Season, the one that is played
    chosen : list of dicts, what will be done this morning
    figure : plots.Figure, the four metrics that moved most, or the whole season when it is over
    """

    def __init__(self, season):
        self.season, self.chosen = season, []
        self._panel, self._known = None, set()
        self._look()
        self._before = _signs(season.morning)
        self._draw()

    # ------------------------------------------------------------------------------------------ playing

    def step(self, actions=None):
        """Let one day pass with these actions, in place of the chosen ones if any are given; returns the cockpit.

        An action is a dict such as {"do": "page", "team": "data"}; `oncall.ACTIONS` lists them. ValueError when the season is over.
        """
        self._play(self.chosen if actions is None else actions)
        self._settle()
        return self

    def wait(self, most=14):
        """Let days pass until something new needs a look, at most `most`; the chosen actions are done on the first one.

        New is an alert, a candidate, a message, a deploy, or the end of a rollout.
        """
        self._play(self.chosen)
        while most > 1 and not self.season.over and _signs(self.season.morning) <= self._before:
            self._play(None)
            most -= 1
        self._settle()
        return self

    def choose(self, action):
        """Put an action on this morning's list, or take it off again; returns the cockpit."""
        if action in self.chosen:
            self.chosen.remove(action)
        else:
            self.chosen.append(action)
        if self._panel is not None:
            self._panel.show()
        return self

    def _play(self, actions):
        self.season.step(actions)
        self._look()

    def _look(self):
        """Remember the destinations that were flown to while none was new."""
        morning = self.season.morning
        if morning["metrics"]["new_route_share"] <= morning["usual"]["new_route_share"][1]:
            self._known |= set(map(str, morning["log"]["dest"]))

    def _settle(self):
        self.chosen = []
        self._before = _signs(self.season.morning)
        self._draw()
        if self._panel is not None:
            self._panel.show()

    def _draw(self):
        self.figure = (
            season_picture(self.season.report()) if self.season.over else moved_picture(self.season.morning)
        )

    # ------------------------------------------------------------------------------------------ showing

    def choices(self):
        """What can be done this morning: {group: {label: action}}."""
        new = sorted(set(map(str, self.season.morning["log"]["dest"])) - self._known)
        return _choices(self.season.morning, new)

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._panel is None:
            self._panel = _Panel(self)
        return self._panel.box

    def __str__(self):
        return "\n".join(
            f"{name}: {'; '.join(line.rstrip('.') for line in lines)}"
            for name, lines in _facts(self.season).items()
        )

    def __repr__(self):
        return f"{self}\n{self.figure!r}"

    def _repr_mimebundle_(self, **_):
        note = "<p><em>Run the cell to play. If you see no buttons, use <code>.step([...])</code> and <code>.wait()</code>.</em></p>"
        return mimebundle(
            self.widget, f"<div>{_shown(self.season)}{self.figure.html()}{note}</div>", repr(self)
        )


def on_call_cockpit(season):
    """Play a season by hand.

    Parameters
    ----------
    season : oncall.Season. It goes on from the day where it stands.

    Returns
    -------
    OnCallCockpit : End a cell with it. `step` and `wait` play on without buttons.

    >>> from mlprod_helpers.oncall import Season
    >>> str(on_call_cockpit(Season(0))).splitlines()[1]
    'alerts: none'
    """
    return OnCallCockpit(season)


# --- what can be done ---------------------------------------------------------------------------------------------------


def _choices(morning, new):
    config, rollout = morning["config"], morning["rollout"]
    model = {
        "Retrain on the last 28 days": _RETRAIN,
        "Retrain on all days": {"do": "retrain", "days": None},
    }
    if rollout is None:
        model |= {
            f"Start a canary of {one['version']}": {"do": "start", "version": one["version"]}
            for one in morning["candidates"]
        }
    else:
        by_hand = rollout["reason"] == "Paused by hand."  # the judge pauses too, for lack of evidence
        model = {
            "Go on with the rollout" if by_hand else "Pause the rollout": {
                "do": "resume" if by_hand else "pause"
            },
            f"Give everybody {rollout['version']}": {"do": "promote"},
            f"Abort {rollout['version']}": {"do": "abort"},
        }
    back = {
        f"Use {what} again" if what in config["rolled_back"] else f"Do without {what}": {
            "do": "restore" if what in config["rolled_back"] else "roll_back",
            "what": what,
        }
        for what in ("wind", "distance")
    }
    back["Roll the serving code back"] = {"do": "roll_back", "what": "code"}
    if morning["serving"]["previous"] and rollout is None:
        back[f"Roll back to model {morning['serving']['previous']}"] = {"do": "roll_back", "what": "model"}
    degrees = {
        "The model alone": {"do": "automation", "degree": "full"},
        "People predict the doubtful flights": {"do": "automation", "degree": "partial"},
        "People predict all flights": {"do": "automation", "degree": "human only"},
    }
    if new:
        degrees[f"People predict {', '.join(new)}"] = {"do": "automation", "degree": "partial", "always": new}
    return {
        "Call a team": {f"Call {team}": {"do": "page", "team": team} for team in TEAMS},
        "Model": model,
        "Go back": back,
        "Who predicts": degrees,
        "Traffic": {
            "Send failed requests only twice": {"do": "limit_retries", "most": 2},
            "Send failed requests three times": {"do": "limit_retries", "most": 3},
        },
    }


# --- in words -----------------------------------------------------------------------------------------------------------


def _signs(morning):
    """What is on the table this morning: anything that was not there before asks for a look."""
    rollout = morning["rollout"]
    return {
        *((alert["metric"], alert["since"]) for alert in morning["alerts"]),
        *(("candidate", one["version"]) for one in morning["candidates"]),
        *(("message", morning["day"], text) for text in morning["messages"]),
        *(("deploy", one["day"]) for one in morning["deploys"]),
        ("rollout", rollout and rollout["version"]),
        ("calendar", morning["calendar"]),
    }


def _facts(season):
    """heading -> lines of text: what is known this morning."""
    morning, report = season.morning, season.report()
    facts = {
        "day": [
            f"{morning['day']} of 70, {morning['date']}"
            + (f", {morning['calendar']}" if morning["calendar"] else "")
        ]
    }
    if report.by_day:
        causes = sorted(report.by_day[-1].items(), key=lambda item: -item[1])
        shown = ", ".join(
            f"{name.replace('_', ' ')} {dollars:,.0f}" for name, dollars in causes if dollars >= 1
        )
        facts["yesterday"] = [f"{sum(report.by_day[-1].values()):,.0f} dollars ({shown or 'nothing'})"]
        facts["so far"] = [
            f"{report.cost:,.0f} dollars; {100 * morning['budget']['usable_share']:.1f}% of the requests got a usable answer "
            f"(promised: {100 * morning['budget']['objective']:.0f}%)"
        ]
    facts["alerts"] = [
        f"{alert['severity']}: {words(alert['metric'])} is {in_unit(alert['metric'], alert['value'])}, since day {alert['since']}"
        for alert in morning["alerts"]
    ] or ["none"]
    facts["news"] = [
        *morning["messages"],
        *(f"deploy of the {one['what']}" for one in morning["deploys"] if one["day"] >= morning["day"] - 1),
        *(
            f"candidate {one['version']}: error {one['offline_error']} minutes in its report, {one['serving_error']} for the "
            "model that serves"
            for one in morning["candidates"]
        ),
    ] or ["none"]
    rollout = morning["rollout"]
    if rollout is not None:
        new, old = rollout["canary_metrics"], rollout["stable_metrics"]
        facts["rollout"] = [
            f"{rollout['version']} has {rollout['weight']:g}% of the users ({rollout['reason']})",
            f"requests {new['requests']:,} of {new['planned']:,} planned",
            f"failed {new['failed']:,} (old version {old['failed']:,})",
            f"error {_minutes(new)} (old version {_minutes(old)})",
        ]
    config, serving = morning["config"], morning["serving"]
    now = [f"model {serving['version']}", {"full": "the model alone predicts"}.get(config["degree"], "")]
    if config["degree"] != "full":
        who = (
            "all flights"
            if config["degree"] == "human only"
            else f"flights with a doubt of {config['threshold']:g} minutes or more"
        )
        now[1] = f"people predict {' and '.join([who, *config['always']])}"
    now += [f"without {what}" for what in config["rolled_back"]]
    now += [f"a failed request is sent up to {config['retries']} times"]
    facts["settings"] = [text for text in now if text]
    return facts


def _minutes(metrics):
    error = metrics["mean_abs_error"]
    return "unknown yet" if error is None else f"{error:.1f} minutes"


def _shown(season):
    """The facts as HTML; alerts stand out."""
    rows = []
    for name, lines in _facts(season).items():
        cells = "<br>".join(html.escape(line) for line in lines)
        if name == "alerts" and season.morning["alerts"]:
            cells = f'<strong style="color:{plots.ink(plots.RED)}">{cells}</strong>'
        rows.append(
            f'<tr><th scope="row" style="text-align:left;vertical-align:top;padding:1px 14px 1px 0;white-space:nowrap">{name}</th>'
            f'<td style="text-align:left;padding:1px 0">{cells}</td></tr>'
        )
    return f'<div style="{_PAPER}"><table style="border-collapse:collapse;color:inherit;line-height:1.45">{"".join(rows)}</table></div>'


class _Panel:
    """Facts, picture and buttons over an `OnCallCockpit`; `box` is the widget."""

    def __init__(self, cockpit):
        import ipywidgets as w

        self._cockpit = cockpit
        self._facts, self._picture, self._today = (w.HTML(layout={"width": "auto"}) for _ in range(3))
        self._groups = w.VBox()
        self._next = w.Button(
            description="Next morning",
            tooltip="Do what is chosen, and let one day pass",
            button_style="primary",
            layout={"width": "auto"},
        )
        self._wait = w.Button(
            description="Until something happens",
            tooltip="Do what is chosen, and let days pass until there is something new",
            layout={"width": "auto"},
        )
        self._next.on_click(lambda _: cockpit.step())
        self._wait.on_click(lambda _: cockpit.wait())
        go = w.HBox([self._next, self._wait], layout={"flex_flow": "row wrap"})
        self._offered = None
        self.box = at_home(w.VBox([self._facts, self._picture, self._groups, self._today, go]))
        self.show()

    def show(self):
        """What the cockpit knows now. The buttons stay the same widgets while the choices are the same, so focus is kept."""
        cockpit = self._cockpit
        self._facts.value = _shown(cockpit.season)
        self._picture.value = cockpit.figure.html()
        over = cockpit.season.over
        choices = {} if over else cockpit.choices()
        if choices != self._offered:
            self._offered = choices
            self._groups.children = [self._group(name, labels) for name, labels in choices.items()]
        for button in (self._next, self._wait):
            button.disabled = over
        today = "; ".join(in_words(action) for action in cockpit.chosen) or "nothing"
        said = (
            "The season is over. <code>season.report()</code> has it all."
            if over
            else f"<strong>Today:</strong> {html.escape(today)}."
        )
        self._today.value = f'<div role="status" style="{_PAPER}">{said}</div>'
        for action, button in self._buttons() if not over else ():
            button.button_style = "info" if action in cockpit.chosen else ""

    def _group(self, name, labels):
        import ipywidgets as w

        buttons = []
        for label, action in labels.items():
            button = w.Button(description=label, tooltip=f"{name}: {label}", layout={"width": "auto"})
            button.action = action
            button.on_click(lambda _, action=action: self._cockpit.choose(action))
            buttons.append(button)
        title = w.HTML(f"<strong>{name}</strong>", layout={"width": "8.5em"})
        return w.HBox([title, *buttons], layout={"flex_flow": "row wrap", "align_items": "center"})

    def _buttons(self):
        return [(button.action, button) for group in self._groups.children for button in group.children[1:]]
