"""The same feature in training and in serving.

`asof` joins only what was known when a request came, `parity` compares the features that a service used with those
that training computes (`replay`), `eta` has the features that the real service shares with training, `contract` checks
rows at the door, `versions` gives a training run its fingerprint, `flights` measures on real flights what a feature from
the finished table promises and what the service reaches, and `credit` is a small bank whose decisions make its labels.
"""

from mlprod_helpers.features.asof import as_of, mean_before
from mlprod_helpers.features.contract import Column, Contract
from mlprod_helpers.features.parity import parity, replay
from mlprod_helpers.features.versions import fingerprint

__all__ = ["Column", "Contract", "as_of", "fingerprint", "mean_before", "parity", "replay"]
