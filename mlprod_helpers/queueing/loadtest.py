"""Two ways to test a service under load, and what one of them hides."""

import numpy as np
import pandas as pd

from mlprod_helpers.queueing.arrivals import poisson
from mlprod_helpers.queueing.simulation import simulate


def load_test(
    loop,
    *,
    duration=100.0,
    service=0.001,
    pause_start=45.0,
    pause=10.0,
    rate=100.0,
    users=1,
    random_state=None,
):
    """Test one server that stops answering for a while, with an open or a closed loop.

    In an open loop requests are due when users want them (Poisson arrivals), whatever the server does. In a closed loop
    each of `users` testers sends the next request when the last one is answered: during a pause they wait with the
    server, and the requests that were never sent are missing from the figures. Gil Tene calls it coordinated omission
    ("How NOT to Measure Latency", 2013). Latency is `finish` minus `due`, not minus the moment of sending.

    Parameters
    ----------
    loop : "open" or "closed"
    duration : float, seconds in which requests are due
    service : float, seconds a request, one at a time
    pause_start, pause : float, seconds: from when on and for how long the server does nothing
    rate : float, requests a second of the open loop; below 1 / service
    users : int, testers of the closed loop
    random_state : int, Generator or None; used by the open loop

    Returns
    -------
    DataFrame : one row a request, `due`, `finish`, `latency` in seconds

    >>> tested = load_test("closed")
    >>> f"{tested['latency'].quantile(0.99):.3f} s"
    '0.001 s'
    >>> lived = load_test("open", random_state=0)
    >>> f"{lived['latency'].quantile(0.99):.0f} s"
    '9 s'
    """
    for name, value in (("duration", duration), ("service", service)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}, but it is a number of seconds above 0.")
    if pause < 0 or pause_start < 0:
        raise ValueError("A pause has a begin and a length of 0 seconds or more.")
    # on the server's own clock, which stands still during the pause, it never stops
    if loop == "open":
        due = _due(rate, service, duration, random_state)
        finish = _running(
            _lindley_constant(_server_clock(due, pause_start, pause), service), pause_start, pause
        )
    elif loop == "closed":
        if users < 1:
            raise ValueError(f"There are {users} testers, but a test needs one at least.")
        count = int(np.ceil(_server_clock(duration, pause_start, pause) / service)) + users
        finish = _running(service * np.arange(1, count + 1), pause_start, pause)
        due = np.append(np.zeros(users), finish)[:count]
        due, finish = due[due < duration], finish[due < duration]
    else:
        raise ValueError(f'loop is {loop!r}, but it is "open" or "closed".')
    return pd.DataFrame({"due": due, "finish": finish, "latency": finish - due})


def _due(rate, service, duration, random_state):
    if rate * service >= 1:
        raise ValueError(
            f"At {rate} requests a second of {service} s each the server never catches up: lower the rate."
        )
    return poisson(rate, duration, random_state=random_state)


def _lindley_constant(due, service):
    run = simulate(due, service, 1)
    return run.arrival + run.latency


def _server_clock(time, start, pause):
    """Seconds that the server was running until `time`."""
    return time - np.clip(time - start, 0.0, pause)


def _running(clock, start, pause):
    """The time at which the server had been running for `clock` seconds."""
    return clock + np.where(clock > start, pause, 0.0)
