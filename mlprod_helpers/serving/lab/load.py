"""Load on a service of this machine: an open loop that waits for nobody, and a closed loop for comparison.

In an open loop each request is due when a user wants it (Poisson arrivals of `queueing.poisson`), whatever the server does, and latency
counts from that moment. In a closed loop each tester sends the next request when the last one is answered, so while the server pauses
hardly anybody is counted: coordinated omission (G. Tene, "How NOT to Measure Latency", 2013).

Only http://127.0.0.1:PORT is loaded, with at most `MAX_REQUESTS` requests in `MAX_SECONDS` seconds.
"""

import asyncio
import contextlib
import json
import threading
import time

import numpy as np
import pandas as pd

from mlprod_helpers.queueing import poisson
from mlprod_helpers.serving.client import api_key, plain
from mlprod_helpers.serving.headers import loopback, valid_name

MAX_REQUESTS = 200_000
MAX_SECONDS = 600.0
USERS = 200  # different ones, if nobody says how many
NOT_ANSWERED = 0  # the status of a request without an answer; `error` says why
_NOTHING = (None, None, None, None)
_FIELDS = [
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
]


def open_loop(
    url,
    rows,
    *,
    rate,
    duration=None,
    n=None,
    users=USERS,
    timeout=10.0,
    in_flight=1000,
    random_state=None,
    stop=None,
):
    """Send requests when they are due, not when the server is ready for them.

    Parameters
    ----------
    url : str, http://127.0.0.1:PORT of a service or router
    rows : DataFrame or list of dicts: the features; request i has row i, from the start again when they are used up
    rate : float, Poisson arrivals a second
    duration, n : float, seconds; or int, the number of requests
    users : int or array of n names: how many different users there are, drawn at random, or who asks
    timeout : float, seconds after which a request is given up
    in_flight : int, the most unanswered requests; a further one is not sent, and `error` says so
    random_state : int, Generator or None
    stop : threading.Event or None; set, it ends the test early

    Returns
    -------
    DataFrame : one row a request: `due`, `sent`, `finish` (seconds since the start), `latency_ms` (finish minus due), `status`
        (0: no answer), `error`, `user_id`, `version`, `plan` (generation), `request_id`, `prediction`. `sent` minus `due` is how
        late the generator itself was.

    Raises
    ------
    ValueError : another machine's address, or more than the bounds allow.

    >>> open_loop("http://127.0.0.1:9", [{"distance": 1400}], rate=100, n=2)["status"].tolist()  # nobody is there
    [0, 0]
    """
    url, rng = loopback(url), np.random.default_rng(random_state)
    _check_bounds(n if n is not None else rate * (duration or 0), duration or 0)
    due = poisson(rate, duration, n=n, random_state=rng)
    _check_bounds(len(due), due[-1] if len(due) else 0.0)
    bodies, names = _bodies(rows), _user_names(users, len(due), rng)
    results, pending = {}, set()

    async def load():
        async with _session(timeout) as session:
            begin = time.perf_counter()

            async def one(i):
                results[i] = await _send(session, url, bodies[i % len(bodies)], names[i], due[i], begin)

            for i, moment in enumerate(due):
                if stop is not None and stop.is_set():
                    break
                left = moment - (time.perf_counter() - begin)
                if left > 0 or i % 16 == 0:  # late ones go out together, but the answers get their turn
                    await asyncio.sleep(max(left, 0.0))
                if len(pending) >= in_flight:
                    now, error = time.perf_counter() - begin, "not sent: too many in flight"
                    results[i] = (moment, now, now, NOT_ANSWERED, error, names[i], *_NOTHING)
                    continue
                task = asyncio.ensure_future(one(i))
                pending.add(task)
                task.add_done_callback(pending.discard)
            await asyncio.gather(*pending)

    _run(load())
    return _load_table(results[i] for i in sorted(results))


def closed_loop(url, rows, *, testers=1, duration=None, n=None, timeout=10.0, random_state=None):
    """Each of some testers sends the next request when the last one is answered.

    Parameters and result are those of `open_loop`; here a request is due when it is sent, and the table is in the order of the answers.
    `testers` is the number of testers; `duration` in seconds or the number `n` of requests ends the test.

    >>> closed_loop("http://127.0.0.1:9", [{"distance": 1400}], n=2)["status"].tolist()  # nobody is there
    [0, 0]
    """
    url, rng = loopback(url), np.random.default_rng(random_state)
    if duration is None and n is None:
        raise ValueError(
            "Say how long (duration, in seconds) or how many (n): a closed loop never ends by itself."
        )
    if not 1 <= testers <= 1000:
        raise ValueError(f"There are {testers} testers: 1 to 1,000.")
    n = MAX_REQUESTS if n is None else n
    duration = MAX_SECONDS if duration is None else duration
    _check_bounds(n, duration)
    bodies, results, count = _bodies(rows), [], iter(range(n))
    names = _user_names(USERS, n, rng)

    async def load():
        async with _session(timeout) as session:
            begin = time.perf_counter()

            async def tester():
                for i in count:
                    now = time.perf_counter() - begin
                    if now >= duration:
                        return
                    results.append(await _send(session, url, bodies[i % len(bodies)], names[i], now, begin))

            await asyncio.gather(*(tester() for _ in range(testers)))

    _run(load())
    return _load_table(results)


def _load_table(results):
    """The table of a load test from tuples of `_FIELDS`."""
    table = pd.DataFrame(list(results), columns=_FIELDS)
    table["plan"] = pd.to_numeric(table["plan"])
    table.insert(3, "latency_ms", 1000 * (table["finish"] - table["due"]))
    return table


def _run(coroutine):
    """Run it in a thread of its own, because a notebook's kernel already runs an event loop. An interrupted cell ends the load."""
    loop, ended = asyncio.new_event_loop(), threading.Event()
    task = loop.create_task(coroutine)

    def work():
        with contextlib.suppress(BaseException):  # it is the task's
            loop.run_until_complete(task)
        ended.set()

    try:
        threading.Thread(target=work, name="mlprod-load", daemon=True).start()
        while not ended.wait(0.2):  # on Windows an interrupt is heard only between two waits
            pass
    finally:
        loop.call_soon_threadsafe(task.cancel)
        if ended.wait(5.0):
            loop.close()
    task.result()


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


def _session(timeout):
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Content-Type": "application/json"} | api_key(),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _check_bounds(n, seconds):
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
    return [json.dumps({"features": dict(row)}, default=plain).encode() for row in rows]


def _user_names(users, n, rng):
    if np.isscalar(users):
        return [f"u{i}" for i in rng.integers(int(users), size=n)]
    names = [str(user) for user in users]
    if len(names) < n:
        raise ValueError(f"users has {len(names)} names for {n} requests: one each, or a number of users.")
    if bad := [name for name in names if not valid_name(name)]:
        raise ValueError(f"The user {bad[0]!r} cannot stand in a header: 1 to 64 of A-Z a-z 0-9 . _ : -")
    return names
