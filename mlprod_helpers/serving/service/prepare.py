"""From the fields of a request to the features of a model, where a service computes them itself."""

from typing import NamedTuple

import pandas as pd

from mlprod_helpers.features.eta import flight_features
from mlprod_helpers.serving.service.schema import Feature


class Preparation(NamedTuple):
    """The fields that a request has, a tuple of `Feature`, and the function of the training that computes features from them."""

    fields: tuple
    compute: object

    def rows(self, requests):
        """The features of some requests; both are lists of dicts.

        >>> PREPARATIONS["flight"].rows([{"distance": 1400.0, "departure": 1372681800}])
        [{'distance': 1400.0, 'hour': 8, 'zone': 2}]
        """
        return self.compute(pd.DataFrame(requests)).to_dict("records")


#: what the card of a model may name: a name cannot run foreign code, as a saved function could
PREPARATIONS = {
    "flight": Preparation(
        (
            Feature("distance", low=0, high=6000),
            Feature("departure", "integer", low=0, high=4_102_444_800),  # the year 2100
        ),
        flight_features,
    ),
}
