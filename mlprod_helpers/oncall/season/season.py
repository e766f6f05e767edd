"""A season: seventy mornings on call, one decision a morning.

`Season(random_state).step(actions)` plays one day by hand; `play(policy)` plays all. What a policy gets is plain data and
nothing else; the script is behind a seal until somebody opens it.
"""

from __future__ import annotations

import functools

from mlprod_helpers.faults import Seal
from mlprod_helpers.oncall import actions as grammar
from mlprod_helpers.oncall.metrics import Alerts, rules, usual
from mlprod_helpers.oncall.report import Report
from mlprod_helpers.oncall.season.calls import Calls
from mlprod_helpers.oncall.season.day import run_day
from mlprod_helpers.oncall.season.doing import arrive, carry_out, settle
from mlprod_helpers.oncall.season.measuring import look, measure
from mlprod_helpers.oncall.season.script import DAYS
from mlprod_helpers.oncall.season.state import State
from mlprod_helpers.oncall.season.world import WORLDS, world


class Season:
    """Ten weeks of the service that predicts flight times.

    Parameters
    ----------
    random_state : int. The same number is the same season on every machine.

    Attributes
    ----------
    morning : dict, what is known on this morning; see `step`
    script : Seal, what will happen

    >>> season = Season(0)
    >>> morning = season.step([])
    >>> morning["day"], len(morning["history"]["requests"])
    (1, 21)
    """

    def __init__(self, random_state):
        self.random_state = int(random_state)
        state = self._state = _begun(self.random_state).copy()
        self.script = Seal(state.world.script)
        self.morning = look(state)

    @property
    def day(self):
        """The day that begins on this morning, from 0; 70 when the season is over."""
        return self._state.day

    @property
    def over(self):
        """Whether all days are played."""
        return self.day >= DAYS

    def step(self, actions=None):
        """Carry out the actions of this morning, let the day pass, and return what is known on the next morning.

        Parameters
        ----------
        actions : an action or a list of them, see `ACTIONS`; None for nothing

        Returns
        -------
        dict of plain data: "day", "date", "calendar"; "metrics", "usual", "history" by name of a metric; "alerts"; "log", the
        last flights as columns; "rollout", "candidates", "serving"; "config"; "pages", "messages", "deploys"; "budget".
        """
        if self.over:
            raise ValueError("The season is over: see report(), or begin another one with Season(...).")
        state = self._state
        done, state.messages = grammar.read(actions)
        for action in done:
            carry_out(state, action)
        run_day(state)
        state.day += 1
        measure(state)
        arrive(state)
        if state.rollout is not None:
            state.rollout.step(state.day)
            settle(state)
        self.morning = look(state)
        return self.morning

    def play(self, policy, *, seconds=2.0):
        """Play all days that are left with a policy, and return the `Report`.

        Parameters
        ----------
        policy : callable, (observation, memory) -> (actions, memory); `memory` is None on the first morning
        seconds : float, after which a call is stopped. A policy that raises, does not end or returns nonsense loses the
            actions of that day.
        """
        memory = None
        with Calls(policy, seconds) as calls:
            while not self.over:
                answer, memory, problem = calls(self.morning, memory)
                self.step(answer)
                if problem:
                    self.morning["messages"].append(problem)
                    self._state.note("lost", problem, day=self.day - 1)
        return self.report()

    def report(self):
        """The `Report` of the days that are played."""
        return Report.of(self._state, self.random_state)


@functools.lru_cache(maxsize=WORLDS)
def _begun(seed):
    """The state on the first morning: the history says what is usual."""
    state = State(world(seed))
    while state.day < 0:
        run_day(state)
        state.day += 1
        measure(state)
    state.forget_costs()
    state.usual = usual(state.history)
    state.alerts = Alerts(rules(state.usual))
    return state
