"""What everything costs in a season, in US dollars, with the reason for each figure and where it comes from.

The table was fixed before the first policy was written and before the first season was simulated. It is not adjusted
to make a policy look better or an exercise work. Where no source gives a figure, the reason says "assumed".
"""

from types import MappingProxyType
from typing import NamedTuple

import pandas as pd


class Cost(NamedTuple):
    """One price: `dollars` for each `unit`, the `reason` for it in words, and its `source`."""

    dollars: float
    unit: str
    reason: str
    source: str


_TIME = "Airlines for America, U.S. Passenger Carrier Delay Costs, 2015: $47.44 an hour of a passenger's time"
_ENGINEER = (
    "US Bureau of Labor Statistics, May 2022: software developers earn $132,930 a year, $64 an hour; with "
    "half as much again for benefits and office (assumed) about $100"
)

#: name -> Cost. Read-only.
COSTS = MappingProxyType(
    {
        "error_minute": Cost(
            0.016,
            "minute by which a served answer is off, at most 60 an answer",
            "A minute of a passenger's time is worth 79 cents. Assumed: one answer in fifty makes somebody wait, or hurry, "
            "for as many minutes as it is off.",
            _TIME,
        ),
        "harmed_user": Cost(
            1.00,
            "request without a usable answer: failed, too late, lost, or off by more than an hour",
            "Assumed: at one request in four a person stands in front of the display, asks at the desk instead, and "
            "loses five minutes.",
            _TIME,
        ),
        "page": Cost(
            200.0,
            "page to a team, by an alert or by you",
            "Two hours of an engineer: drop everything, look, write down what was found. Assumed; an incident that is "
            "real takes six hours, which are spent whoever finds it, so they are not counted here.",
            f"{_ENGINEER}; Site Reliability Engineering, chapter 11, for the six hours",
        ),
        "training": Cost(
            30.0,
            "training of a model, its tests included",
            "Assumed: five dollars of compute, and a quarter of an hour in which an engineer reads the report.",
            _ENGINEER,
        ),
        "fleet_day": Cost(
            10.0,
            "day on which a second version runs beside the first",
            "Assumed: two small servers and their share of the router and of the log.",
            "assumed",
        ),
        "review": Cost(
            3.0,
            "flight that a person at the airport predicts instead of the model",
            "Six minutes of a dispatcher at $30 an hour, wages and benefits together. Assumed.",
            "assumed",
        ),
        "downtime_minute": Cost(
            10.0,
            "minute in which the service answers nobody, on top of the harmed users",
            "Assumed: the airport's contract takes this off the bill. Whole firms lose far more in a minute, but this is "
            "one service among many.",
            "For comparison: Andrew Lerner, The Cost of Downtime, Gartner 2014: $5,600 a minute",
        ),
        "leaked_record": Cost(
            1.65,
            "log entry with a mail address that was written, each day",
            "A record that gets out costs $165. Assumed: one in a hundred of those that are written gets out.",
            "IBM and Ponemon Institute, Cost of a Data Breach Report 2023: $165 a record",
        ),
    }
)


def cost_table():
    """The costs as a DataFrame: index name; columns dollars, unit, reason, source.

    >>> cost_table()["dollars"].to_dict()["page"]
    200.0
    """
    return pd.DataFrame.from_dict({name: cost._asdict() for name, cost in COSTS.items()}, orient="index")
