"""The router in a process of its own."""

import asyncio
import sys

from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.redaction import key_for_users
from mlprod_helpers.serving.router.plan import RoutePlan
from mlprod_helpers.serving.server import ServerProcess, announce, end_with_parent, on_signals


class RouterProcess(ServerProcess):
    """A router in a process of its own; gone when the block ends, when this process ends, and after `lifetime_s`.

    Raises
    ------
    ValueError : users are to be hashed in the log, and `MLPROD_LOG_KEY` is not a key.
    LabError : it did not start; the message says why.
    """

    def __init__(self, config):
        key_for_users(config.redact)  # a missing key is an error here, not only in the process
        super().__init__("mlprod_helpers.serving.router", config)
        self.token = config.token

    @property
    def plan(self):
        """The plan in force."""
        return RoutePlan.model_validate(self._ask("GET", "/plan"))

    def apply(self, plan):
        """See `Router.apply`."""
        return RoutePlan.model_validate(self._ask("PUT", "/plan", plan.model_dump()))

    def drain(self, version):
        """See `Router.drain`."""
        return self._ask("POST", "/drain", {"version": version})["left"]

    def metrics(self):
        """The router's own metrics, Prometheus text."""
        return self._ask("GET", "/metrics")

    def _ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = ask(self.control_url, path, body, method=method, headers=headers)
        if answer.status == 0:
            raise ConnectionError(f"The router did not answer {method} {path}: {answer.body['error']}")
        if answer.status != 200:
            raise ValueError(f"The router refused {method} {path}: {answer.status} {answer.body}")
        return answer.body


# --------------------------------------------------------------------------------------- inside of it


def serve(config):
    """Run a router in this process until a signal or an order ends it; returns the exit code."""
    return asyncio.run(_serve(config))


async def _serve(config):
    from mlprod_helpers.serving.router.proxy import Router  # aiohttp: only this process needs it

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    try:
        router = Router(config)
        await router.start()
    except (OSError, ValueError) as error:  # a log that cannot be opened, no key for it
        print(f"The router cannot start: {error}", file=sys.stderr)
        return 2
    on_signals(loop, over.set)
    end_with_parent(config.lifetime_s, lambda: loop.call_soon_threadsafe(over.set))
    announce(port=router.port, url=router.url, control_url=router.control_url)
    await over.wait()
    await router.stop()
    return 0
