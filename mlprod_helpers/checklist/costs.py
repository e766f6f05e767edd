"""What cloud, edge and browser cost: machines by the hour, bytes by the gigabyte, electricity by the kilowatt hour.

Prices are arguments: they differ by provider and year. Gigabytes are 10^9 bytes, a month has 730 hours.
"""

import math

from mlprod_helpers.checklist.parts import RecordError, need_number

HOURS_A_MONTH = 730.0


def transfer_seconds(n_bytes, megabits_per_second, *, round_trip=0.0):
    """How long do so many bytes take over a line? Files are counted in bytes, lines in bits: a factor of 8.

    Parameters
    ----------
    n_bytes : float
    megabits_per_second : float, the line as its provider sells it; 10^6 bits a second
    round_trip : float, seconds until the first byte comes

    >>> transfer_seconds(50e6, 100)  # 50 MB over 100 Mbit/s: not half a second
    4.0
    """
    speed = need_number(megabits_per_second, "megabits_per_second", low=0)
    if speed == 0:
        raise RecordError("A line of 0 Mbit/s transfers nothing.")
    return need_number(round_trip, "round_trip", low=0) + 8 * need_number(n_bytes, "n_bytes", low=0) / (
        1e6 * speed
    )


def transfer_cost(n_bytes, price_per_gb):
    """What do so many bytes cost, at a price for 10^9 bytes?

    >>> transfer_cost(50e6, 0.08) * 1_000_000  # 50 MB to a million phones
    4000.0
    """
    return need_number(n_bytes, "n_bytes", low=0) / 1e9 * need_number(price_per_gb, "price_per_gb", low=0)


def cloud_cost(
    rate,
    seconds_per_request,
    hour_price,
    *,
    peak=None,
    busy=0.7,
    min_machines=1,
    payload_bytes=0,
    price_per_gb=0.0,
):
    """What does a month in the cloud cost? You pay the machine's hour, whether it works or waits.

    Parameters
    ----------
    rate : float, requests a second, mean of the month
    seconds_per_request : float, time that one request keeps a machine busy
    hour_price : float, of one machine
    peak : float, requests a second of the busiest hour, for which machines stand ready; `rate` if not given
    busy : float above 0, at most 1: how busy a machine may be at the peak (queueing says why not 1)
    min_machines : int, kept even when nobody asks; 2 if one may fail
    payload_bytes, price_per_gb : bytes that leave for each request, and what 10^9 of them cost

    Returns
    -------
    dict : `machines`, `utilization` (mean share of time at work), `machine_cost`, `traffic_cost`, `month` (both
        together), `per_million` (cost of a million requests; infinite without requests)

    >>> gpu = cloud_cost(rate=3, seconds_per_request=0.01, hour_price=2.0)
    >>> gpu["utilization"], gpu["month"]  # 3 % at work, 100 % paid
    (0.03, 1460.0)
    """
    rate = need_number(rate, "rate", low=0)
    peak = rate if peak is None else need_number(peak, "peak", low=0)
    seconds = need_number(seconds_per_request, "seconds_per_request", low=0)
    if peak < rate:
        raise RecordError(f"The peak, {peak:g} requests a second, is below the mean, {rate:g}.")
    if not 0 < need_number(busy, "busy") <= 1:
        raise RecordError(f"busy is {busy}, but it is a share above 0 and at most 1.")
    # a tiny allowance: 0.7 / 0.7 is one machine, however it is rounded
    machines = max(int(min_machines), math.ceil(peak * seconds / busy - 1e-9))
    machine_cost = machines * HOURS_A_MONTH * need_number(hour_price, "hour_price", low=0)
    requests = rate * 3600 * HOURS_A_MONTH
    traffic_cost = transfer_cost(requests * need_number(payload_bytes, "payload_bytes", low=0), price_per_gb)
    month = machine_cost + traffic_cost
    return {
        "machines": machines,
        "utilization": rate * seconds / machines if machines else 0.0,
        "machine_cost": machine_cost,
        "traffic_cost": traffic_cost,
        "month": month,
        "per_million": month / requests * 1e6 if requests else math.inf,
    }


def edge_cost(
    devices,
    model_bytes,
    *,
    updates_per_month=1.0,
    price_per_gb=0.08,
    requests_per_device=0.0,
    seconds_per_request=0.0,
    watts=5.0,
    price_per_kwh=0.3,
    versions=1,
    support_per_version=0.0,
):
    """What does a month on the users' devices cost? No machines, but downloads, battery, and old versions to care for.

    Parameters
    ----------
    devices : float, how many run the model
    model_bytes : float, of one download
    updates_per_month : float, downloads of a device
    price_per_gb : float, of 10^9 bytes that leave
    requests_per_device : float, a month
    seconds_per_request, watts, price_per_kwh : what the users pay as electricity, or as an empty battery
    versions, support_per_version : how many versions are out there, and what caring for one costs a month

    Returns
    -------
    dict : `download_cost`, `support_cost`, `month` (both: what you pay), `users_cost` (electricity, paid by the users)

    >>> edge_cost(1_000_000, 50e6, updates_per_month=2)["month"]
    8000.0
    """
    given = {name: need_number(value, name, low=0) for name, value in locals().items()}
    download = given["devices"] * given["updates_per_month"] * transfer_cost(model_bytes, price_per_gb)
    support = given["versions"] * given["support_per_version"]
    work = given["devices"] * given["requests_per_device"] * given["seconds_per_request"]
    return {
        "download_cost": download,
        "support_cost": support,
        "month": download + support,
        "users_cost": work * given["watts"] / 3.6e6 * given["price_per_kwh"],
    }


def break_even(one, other, low, high):
    """At which number do two ways cost the same?

    Parameters
    ----------
    one, other : functions of a number (requests a second, devices) that return a cost
    low, high : float, the range to search; the cheaper way has to change once in it

    Returns
    -------
    float : from there on the other way is the cheaper one; NaN if neither overtakes between low and high

    >>> break_even(lambda n: 1000.0, lambda n: 0.5 * n, 0, 10_000)  # a flat price against one by the piece
    2000.0
    """

    def gap(x):
        return one(x) - other(x)

    low, high = float(low), float(high)
    if gap(low) == 0:
        return low
    rising = gap(low) < 0
    if (gap(high) < 0) == rising and gap(high) != 0:
        return math.nan
    for _ in range(200):  # halves until floats end: costs may jump, so no smoothness is assumed
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if (gap(middle) < 0) == rising and gap(middle) != 0 else (low, middle)
    return float(f"{high:.12g}")
