"""Load on a service of this machine: an open loop that waits for nobody, and a closed loop for comparison.

In an open loop each request is due when a user wants it (Poisson arrivals of `queueing.poisson`), whatever the server does,
and latency counts from that moment. In a closed loop each tester sends the next request when the last one is answered,
so while the server stands still nobody is counted: coordinated omission (G. Tene, "How NOT to Measure Latency", 2013).

Only http://127.0.0.1:PORT is loaded, at most `MAX_REQUESTS` requests and `MAX_SECONDS` seconds; redirects and proxies are not
followed. Each function has a coroutine of the same name with `_async` for code that runs in an event loop.
"""

import asyncio
import json
import time

import numpy as np
import pandas as pd

from mlprod_helpers.queueing import poisson
from mlprod_helpers.serving.headers import loopback, valid_name
from mlprod_helpers.serving.processes import LoopThread

MAX_REQUESTS = 200_000
MAX_SECONDS = 600.0
NOT_ANSWERED = 0  # the status of a request without an answer; `error` says why


def open_loop(url, rows, *, rate=None, duration=None, n=None, due=None, **settings):
    """Send requests when they are due, not when the server is ready for them.

    Parameters
    ----------
    url : str, http://127.0.0.1:PORT of a service or router
    rows : DataFrame or list of dicts: the features; request i has row i, from the start again when they are used up
    rate, duration, n : requests a second, and seconds or number of requests, of Poisson arrivals
    due : array instead: sorted moments in seconds
    users : int or array of n names: how many different users there are, drawn at random, or who asks (200)
    timeout : float, seconds after which a request is given up (10)
    in_flight : int, the most unanswered requests; one more is not sent, and counted as such (1,000)
    random_state : int, Generator or None
    headers : dict, further headers such as X-API-Key
    stop : threading.Event or None; set, it ends the test early

    Returns
    -------
    DataFrame : one row a request: `due`, `sent`, `finish` (seconds since the start), `latency_ms` (finish minus due), `status`
        (0: no answer), `error`, `user_id`, `version`, `plan` (generation), `request_id`, `prediction`. `sent` minus `due` is how
        late the generator itself was.

    Raises
    ------
    ValueError : another machine's address, or more than the bounds allow.

    >>> open_loop("http://127.0.0.1:9", [{"distance": 1400}], due=[0.0, 0.01])["status"].tolist()  # nobody is there
    [0, 0]
    """
    return _wait(open_loop_async(url, rows, rate=rate, duration=duration, n=n, due=due, **settings))


async def open_loop_async(
    url,
    rows,
    *,
    rate=None,
    duration=None,
    n=None,
    due=None,
    users=200,
    timeout=10.0,
    in_flight=1000,
    random_state=None,
    headers=None,
    stop=None,
):
    """`open_loop` as a coroutine."""
    url, rng = loopback(url), np.random.default_rng(random_state)
    if due is None:
        if rate is None:
            raise ValueError("Say at which rate (requests a second), or give the due moments themselves.")
        _bounded(n if n is not None else rate * (duration or 0), duration or 0)
        due = poisson(rate, duration, n=n, random_state=rng)
    due = np.asarray(due, dtype=float)
    if due.ndim != 1 or (len(due) and (due[0] < 0 or (np.diff(due) < 0).any())):
        raise ValueError("due holds moments in seconds from 0 on, sorted.")
    _bounded(len(due), due[-1] if len(due) else 0.0)
    bodies, names = _bodies(rows), _names(users, len(due), rng)
    out, pending = [None] * len(due), set()
    async with _session(timeout, headers) as session:
        begin = time.perf_counter()

        async def one(i):
            out[i] = await _send(session, url, bodies[i % len(bodies)], names[i], due[i], begin)

        for i, moment in enumerate(due):
            if stop is not None and stop.is_set():
                break
            wait = moment - (time.perf_counter() - begin)
            if wait > 0 or i % 16 == 0:  # late ones go out together, but the answers get their turn
                await asyncio.sleep(max(wait, 0.0))
            if len(pending) >= in_flight:
                now = time.perf_counter() - begin
                out[i] = (moment, now, now, NOT_ANSWERED, "not sent: too many in flight", names[i], *_NOTHING)
                continue
            task = asyncio.ensure_future(one(i))
            pending.add(task)
            task.add_done_callback(pending.discard)
        if pending:
            await asyncio.wait(pending)
    return _table(out)


def closed_loop(url, rows, *, testers=1, duration=None, n=None, **settings):
    """Each of some testers sends the next request when the last one is answered. Parameters and result as for `open_loop`; here a
    request is due when it is sent."""
    return _wait(closed_loop_async(url, rows, testers=testers, duration=duration, n=n, **settings))


async def closed_loop_async(
    url,
    rows,
    *,
    testers=1,
    duration=None,
    n=None,
    users=200,
    timeout=10.0,
    random_state=None,
    headers=None,
    stop=None,
):
    """`closed_loop` as a coroutine."""
    url, rng = loopback(url), np.random.default_rng(random_state)
    if duration is None and n is None:
        raise ValueError(
            "Say how long (duration, in seconds) or how many (n): a closed loop never ends by itself."
        )
    if not 1 <= testers <= 1000:
        raise ValueError(f"There are {testers} testers: 1 to 1,000.")
    n = MAX_REQUESTS if n is None else n
    duration = MAX_SECONDS if duration is None else duration
    _bounded(n, duration)
    bodies, out, count = _bodies(rows), [], iter(range(n))
    names = _names(users, n, rng)
    async with _session(timeout, headers) as session:
        begin = time.perf_counter()

        async def tester():
            for i in count:
                now = time.perf_counter() - begin
                if now >= duration or (stop is not None and stop.is_set()):
                    return
                out.append(await _send(session, url, bodies[i % len(bodies)], names[i], now, begin))

        await asyncio.gather(*(tester() for _ in range(testers)))
    return _table(out)


# ---------------------------------------------------------------------------------------- small things

_NOTHING = (None, None, None, None)
_FIELDS = (
    "due",
    "sent",
    "finish",
    "status",
    "error",
    "user_id",
    "version",
    "plan",
    "request_id",
    "prediction",
)


async def _send(session, url, body, user, due, begin):
    import aiohttp

    sent = time.perf_counter() - begin
    status, error, outcome = NOT_ANSWERED, None, _NOTHING
    try:
        headers = {} if user is None else {"X-User-Id": user}
        async with session.post(
            f"{url}/predict", data=body, headers=headers, allow_redirects=False
        ) as answer:
            content = await answer.read()
            status, got = answer.status, answer.headers
            outcome = (got.get("X-Version"), got.get("X-Router-Plan"), got.get("X-Request-Id"), None)
            if status == 200:
                answered = json.loads(content)
                outcome = (outcome[0] or answered.get("version"), *outcome[1:3], answered.get("prediction"))
    except TimeoutError:
        error = "timeout"
    except (aiohttp.ClientError, OSError, ValueError, AttributeError) as problem:
        error = type(problem).__name__
    return due, sent, time.perf_counter() - begin, status, error, user, *outcome


def _session(timeout, headers):
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Content-Type": "application/json"} | dict(headers or {}),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _bounded(n, seconds):
    if not 0 <= n <= MAX_REQUESTS or not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(
            f"{n:.0f} requests in {seconds:.0f} s are refused: at most {MAX_REQUESTS} requests and {MAX_SECONDS:.0f} s."
        )


def _bodies(rows):
    if isinstance(rows, pd.DataFrame):
        rows = [
            {key: value for key, value in row.items() if not (np.isscalar(value) and pd.isna(value))}
            for row in rows.to_dict("records")
        ]
    if not len(rows):
        raise ValueError("There are no rows to send: give at least one.")
    return [json.dumps({"features": dict(row)}, default=_plain).encode() for row in rows]


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)


def _names(users, n, rng):
    if np.isscalar(users):
        return [f"u{i}" for i in rng.integers(int(users), size=n)]
    names = [None if pd.isna(user) else str(user).replace(" ", "_") for user in users]
    if len(names) < n:
        raise ValueError(f"users has {len(names)} names for {n} requests: one each, or a number of users.")
    if bad := [name for name in names if name is not None and not valid_name(name)]:
        raise ValueError(f"The user {bad[0]!r} cannot stand in a header: 1 to 64 of A-Z a-z 0-9 . _ : -")
    return names


def _table(out):
    table = pd.DataFrame([row for row in out if row is not None], columns=list(_FIELDS))
    table["plan"] = pd.to_numeric(table["plan"])
    table.insert(3, "latency_ms", 1000 * (table["finish"] - table["due"]))
    return table


def _wait(coroutine):
    """Its result, in a thread with a loop of its own: a notebook's kernel already runs one. An interrupted cell ends the load."""
    with LoopThread() as loop:
        return loop.run(coroutine)
