"""Who gets the new version: sticky per user, independent of the order of requests, equal in every process."""

from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from numbers import Real

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog.table import is_missing


def bucket(user_ids, salt=""):
    """The place of each user on the line from 0 to 1, fixed by the name and the salt alone.

    Python's own `hash` will not do: it differs from process to process, so two routers would disagree. 7 and "7"
    are the same user; a missing one is NaN, who is nobody and stays with the stable version. Another salt shuffles
    everybody anew: keep one during a release, take a new one for the next, or the same unlucky users test every
    release.

    >>> bucket(["ana", "ben", "ana"]).round(3)
    array([0.907, 0.593, 0.907])
    >>> bucket(["ana"], salt="release 8").round(3)
    array([0.339])
    """
    try:
        known = isinstance(getattr(user_ids, "dtype", None), pd.CategoricalDtype)  # its names are known
        codes, names = pd.factorize(user_ids if known else np.asarray(user_ids, dtype=object))
    except TypeError:
        raise TypeError("user_ids holds lists or the like: a user's name is a number or text.") from None
    places = np.array([_known_place(name, salt) for name in names] + [np.nan])
    return places[codes]  # a missing user has code -1: the NaN at the end


def route(user_id, weight, salt=""):
    """Does this user (or each of an array of users) get the canary, when it has `weight` percent of the users?

    A ramp only adds users: who is in at 5% is in at 10% too.

    >>> route("ben", 50), route("ben", 60)
    (False, True)
    >>> users = [f"user {i}" for i in range(10_000)]
    >>> float(route(users, 5).mean().round(3)), bool((route(users, 10) >= route(users, 5)).all())
    (0.051, True)
    """
    if not isinstance(weight, Real | Decimal) or not 0 <= weight <= 100:
        raise ValueError(f"weight is {weight!r}, but it is a percentage of the users, from 0 to 100.")
    weight = float(weight)
    if isinstance(user_id, str):  # as a router asks, once a request
        return _place(user_id, salt) < weight / 100
    if np.isscalar(user_id) or is_missing(user_id):
        return bool(bucket([user_id], salt)[0] < weight / 100)
    return bucket(user_id, salt) < weight / 100


def _place(name, salt):
    if isinstance(name, float) and name.is_integer():  # a column with a missing user turns 7 into 7.0
        name = int(name)
    digest = blake2b(f"{salt}:{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 12) / 2**52  # 52 bits: never rounded up to 1


_known_place = lru_cache(1 << 14, typed=True)(_place)  # the same users come again and again
