"""A service as a process: started, watched, drained, killed; and what runs inside of it."""

import asyncio
import contextlib
import gc
import socket
import sys
import time

from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.processes import HOST, LabError
from mlprod_helpers.serving.server import ServerProcess, announce, end_with_parent, on_signals


def start(config):
    """Start a service in a process of its own and wait until it listens (not until its model is loaded: see `ready`).

    Parameters
    ----------
    config : ServiceConfig

    Returns
    -------
    ServiceProcess

    Raises
    ------
    LabError : it did not start; the message says why.
    """
    return ServiceProcess("mlprod_helpers.serving.service", config)


class ServiceProcess(ServerProcess):
    """A running service; `url`, `port`, `pid` and `version` say where and which."""

    def ready(self, timeout=60.0):
        """Wait until it takes requests; returns the ServiceProcess. LabError when it ends before, or after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.state() != "ready":
            if self.exit_code is not None:
                raise LabError(f"The service {self.version} is gone: {self.reason()}")
            if time.monotonic() >= end:
                raise LabError(f"The service {self.version} is not ready after {timeout:g} seconds.")
            time.sleep(0.02)
        return self

    def state(self):
        """What `/readyz` says: "starting", "ready", "draining"; "gone" when nobody answers."""
        body = ask(self.url, "/readyz", timeout=5.0).body
        return body.get("state", "gone") if isinstance(body, dict) else "gone"

    def drain(self):
        """Ask it to end well and wait for it: no request is lost. Returns the exit code, 0 if all went well."""
        return self.end(self.config.drain_s + self.config.drain_timeout_s + 5.0)


# --------------------------------------------------------------------------------------- inside of it


def serve(config):
    """Run a service in this process until it ends; returns the exit code."""
    import uvicorn

    from mlprod_helpers.serving.service.app import create_app
    from mlprod_helpers.serving.service.models import ModelError

    try:
        app = create_app(config)
    except (ModelError, ValueError, OSError) as error:  # OSError: a log that cannot be opened
        print(error, file=sys.stderr)
        return 3 if isinstance(error, ModelError) else 2

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):
            yield  # uvicorn raises them again at the end, and the exit code would not be 0

    settings = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=config.drain_timeout_s,
    )
    return asyncio.run(_serve(config, app, Server(settings)))


async def _serve(config, app, server):
    loop, service, listener = asyncio.get_running_loop(), app.state.service, listen()

    def end():
        server.should_exit = True

    def drain():
        """Say not ready, and end after `drain_s`; at once when this is called again."""
        loop.call_later(0 if service.state == "draining" else config.drain_s, end)
        service.drain()

    on_signals(loop, drain)
    end_with_parent(config.lifetime_s, lambda: loop.call_soon_threadsafe(drain))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    port, code = listener.getsockname()[1], 0
    announce(port=port, url=f"http://{HOST}:{port}", version=service.version)
    try:
        await app.state.loading
        gc.collect()
        gc.freeze()  # libraries and model stay: the collector need not look at them again
    except asyncio.CancelledError:
        pass  # it was ended meanwhile
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        code = 3
        end()
    await serving
    return code


def listen():
    """A socket that listens on any free port of 127.0.0.1."""
    # asyncio sets TCP_NODELAY only if the socket names its protocol, and that of socket.create_server does not; without it an answer,
    # sent as head and body, waits 40 ms for the client's delayed acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((HOST, 0))
    listener.listen(2048)
    return listener
