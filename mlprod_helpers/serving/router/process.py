"""The router in a process of its own: `RouterProcess`, or `python -m mlprod_helpers.serving.router.process --config FILE`."""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from mlprod_helpers.serving.processes import HOST, Parent, kill_and_wait, spawn
from mlprod_helpers.serving.redaction import Redaction
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig


async def _serve(config):
    from mlprod_helpers.serving.router.proxy import (
        Router,  # aiohttp: whoever starts the process does not need it
    )

    pid = os.getppid() if config.parent_pid is None else config.parent_pid
    parent = Parent(pid) if pid else None
    over = asyncio.Event()
    try:
        router = Router(config)
        await router.start()
    except (OSError, ValueError) as error:  # a port that is taken, a log that cannot be opened, no key for it
        print(f"The router cannot start: {error}", file=sys.stderr)
        return 2
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, over.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(over.set))
    told = {"pid": os.getpid(), "port": router.port, "url": router.url, "control_url": router.control_url}
    print(json.dumps(told | ({} if config.token else {"token": router.token})), flush=True)
    end = time.monotonic() + config.lifetime_s
    code = 0
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), min(0.5, max(0.01, end - time.monotonic())))
        except TimeoutError:
            if time.monotonic() >= end:
                code = 5
                break
            if parent is not None and not parent.is_there():
                code = 4
                break
    await router.stop()
    return code


class RouterProcess:
    """A router in a process of its own; gone when the block ends, when this process ends, and after `lifetime_s`.

    `apply`, `set_weights`, `drain`, `plan` and `metrics` ask it over its control port.

    Raises
    ------
    ValueError : users are to be hashed in the log, and `MLPROD_LOG_KEY` is no key.
    RuntimeError : it did not start; why stands on standard error.
    """

    def __init__(self, config, *, timeout=20.0):
        import subprocess

        Redaction(config.redact)  # a missing key is told here, not only by the process that ends of it
        self.token = config.token or secrets.token_urlsafe(24)
        parent = os.getpid() if config.parent_pid is None else config.parent_pid
        config = config.replace(token=self.token, parent_pid=parent)
        self.process, told = spawn(
            "mlprod_helpers.serving.router.process",
            config.model_dump(mode="json"),
            log=config.log,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if told is None:
            self.stop()
            raise RuntimeError(f"The router did not start (exit code {self.process.returncode}).")
        self.pid, self.port, self.url, self.control_url = (
            told[name] for name in ("pid", "port", "url", "control_url")
        )

    @property
    def plan(self):
        """The plan in force."""
        plain = self._ask("GET", "/plan")
        plain.pop("in_flight")
        return RoutePlan.model_validate(plain)

    def apply(self, plan):
        """See `Router.apply`."""
        return RoutePlan.model_validate(self._ask("PUT", "/plan", plan.model_dump()))

    def set_weights(self, weights, mirror=0.0):
        """See `Router.set_weights`."""
        return RoutePlan.model_validate(
            self._ask("POST", "/weights", {"weights": dict(weights), "mirror": mirror})
        )

    def drain(self, version, timeout=10.0):
        """See `Router.drain`."""
        return self._ask("POST", "/drain", {"version": version, "timeout": timeout}, timeout + 5)["left"]

    def metrics(self):
        """The router's own metrics, Prometheus text."""
        return self._ask("GET", "/metrics", plain=True)

    def _ask(self, method, path, told=None, timeout=10.0, plain=False):
        import http.client

        door = http.client.HTTPConnection(HOST, int(self.control_url.rsplit(":", 1)[1]), timeout=timeout)
        try:
            body = None if told is None else json.dumps(told)
            door.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            answer = door.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:  # it ended in the middle of its answer
            raise ConnectionError(f"The router did not answer {method} {path}: {error!r}") from None
        finally:
            door.close()
        if answer.status != 200:
            raise ValueError(f"The router refused {method} {path}: {answer.status} {text}")
        return text if plain else json.loads(text)

    def stop(self, timeout=5.0):
        """End it, and wait until it is gone."""
        import subprocess

        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        kill_and_wait(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def main(arguments=None):
    """Run a router; returns the exit code: 0 ended by a signal, 2 wrong config, port or log, 4 its parent is gone, 5 its lifetime is
    over."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_helpers.serving.router.process")
    parser.add_argument("--config", required=True, help="JSON file with the fields of RouterConfig")
    path = parser.parse_args(arguments).config
    try:
        config = RouterConfig.model_validate_json(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_serve(config))


if __name__ == "__main__":
    sys.exit(main())
