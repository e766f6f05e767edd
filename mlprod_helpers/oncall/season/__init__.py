"""The simulation of a season and everything that knows its script.

`mlprod grade` hides this folder from learners' code, so that a policy cannot play its season beforehand. The rest of the room
has what a policy may use: actions, metrics, baselines and the steps of the reference.
"""

from mlprod_helpers.oncall.season.oracle import FIVES, closed, cost_of, oracle, scale
from mlprod_helpers.oncall.season.season import Season

__all__ = ["FIVES", "Season", "closed", "cost_of", "oracle", "scale"]
