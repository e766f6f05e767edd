"""Two small stand-ins for the model of the estimated time in the air."""

import math


def eta_model(distance, origin, hour):
    """A model: minutes in the air, or NaN where it has never seen such a flight.

    >>> eta_model(1400, "JFK", 8)
    195.0
    >>> eta_model(2400, "LGA", 8)  # no flight from LGA is longer than 1,620 miles
    nan
    """
    if origin == "LGA" and distance > 1620:
        return math.nan
    return 20 + distance / 8 + (5.0 if 16 <= hour <= 19 else 0.0)


def eta_batch(distances):
    """A model: minutes for a list of miles, all at once; one bad value fails them all.

    >>> eta_batch([800, 1600])
    [120.0, 220.0]
    """
    for distance in distances:
        if type(distance) not in (int, float) or not 50 <= distance <= 5000:
            raise ValueError("a distance out of range")
    return [20 + distance / 8 for distance in distances]
