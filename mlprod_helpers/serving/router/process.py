"""The router in a process of its own: `RouterProcess`, or `python -m mlprod_helpers.serving.router --config FILE`."""

import argparse
import asyncio
import json
import secrets
import sys
from pathlib import Path

from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.redaction import Redaction
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig
from mlprod_helpers.serving.server import ServerProcess, announce, end_with_parent, on_signals


async def _serve(config):
    from mlprod_helpers.serving.router.proxy import (
        Router,  # aiohttp: whoever starts the process does not need it
    )

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    try:
        router = Router(config)
        await router.start()
    except (OSError, ValueError) as error:  # a port that is taken, a log that cannot be opened, no key for it
        print(f"The router cannot start: {error}", file=sys.stderr)
        return 2
    on_signals(loop, over.set)
    end_with_parent(config, lambda: loop.call_soon_threadsafe(over.set))
    token = {} if config.token else {"token": router.token}
    announce(port=router.port, url=router.url, control_url=router.control_url, **token)
    await over.wait()
    await router.stop()
    return 0


class RouterProcess(ServerProcess):
    """A router in a process of its own; gone when the block ends, when this process ends, and after `lifetime_s`.

    `apply`, `set_weights`, `drain`, `plan` and `metrics` ask it over its control port.

    Raises
    ------
    ValueError : users are to be hashed in the log, and `MLPROD_LOG_KEY` is no key.
    LabError : it did not start; the message says why.
    """

    def __init__(self, config):
        Redaction(
            config.redact
        )  # a missing key is an error here, and not only of the process that ends of it
        config = config.replace(token=config.token or secrets.token_urlsafe(24))
        super().__init__("mlprod_helpers.serving.router", config)
        self.token = config.token

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

    def _ask(self, method, path, content=None, timeout=10.0, plain=False):
        import http.client

        connection = http.client.HTTPConnection(
            HOST, int(self.control_url.rsplit(":", 1)[1]), timeout=timeout
        )
        try:
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:  # it ended in the middle of its answer
            raise ConnectionError(f"The router did not answer {method} {path}: {error!r}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"The router refused {method} {path}: {answer.status} {text}")
        return text if plain else json.loads(text)


def main(arguments=None):
    """Run a router; returns the exit code: 0 ended by a signal, 2 wrong config, port or log, 4 its parent is gone, 5 its lifetime is
    over."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_helpers.serving.router")
    parser.add_argument("--config", required=True, help="JSON file with the fields of RouterConfig")
    path = parser.parse_args(arguments).config
    try:
        config = RouterConfig.model_validate_json(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_serve(config))
