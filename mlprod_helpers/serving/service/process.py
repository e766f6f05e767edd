"""A service as a process: started, watched, drained, killed; and what runs inside of it."""

import asyncio
import contextlib
import gc
import os
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
    return asyncio.run(_Running(config, app, Server(settings)).until_it_ends())


class _Running:
    """One service in this process."""

    def __init__(self, config, app, server):
        self.config, self.app, self.server = config, app, server
        self.service = app.state.service
        self._draining = None

    async def until_it_ends(self):
        self._loop = asyncio.get_running_loop()
        try:
            listener = _listen(self.config.port)
        except OSError as error:
            print(
                f"Port {self.config.port} is not to be had ({error.strerror}): 0 takes a free one.",
                file=sys.stderr,
            )
            return 2
        on_signals(self._loop, self.drain)
        end_with_parent(self.config, lambda: self._loop.call_soon_threadsafe(self.drain))
        serving = asyncio.ensure_future(self.server.serve(sockets=[listener]))
        while not self.server.started:
            await asyncio.sleep(0.005)
        port = listener.getsockname()[1]
        announce(port=port, url=f"http://{HOST}:{port}", version=self.service.version)
        code = await self._loaded()
        await serving
        return code

    async def _loaded(self):
        """0, or 3 when the model could not be loaded."""
        try:
            await self.app.state.loading
        except asyncio.CancelledError:
            return 0
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.server.should_exit = True
            return 3
        gc.collect()
        gc.freeze()  # libraries and model stay: the collector need not look at them again
        return 0

    def drain(self):
        """Say not ready, and end after `drain_s`; at once when this is called again."""
        self.service.drain()
        if self._draining is None:
            self._draining = self._loop.call_later(self.config.drain_s, self._shut)
        else:
            self._shut()

    def _shut(self):
        self.server.should_exit = True


def _listen(port):
    # asyncio sets TCP_NODELAY only if the socket names its protocol, and that of socket.create_server does not; without it an answer,
    # sent as head and body, waits 40 ms for the client's delayed acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener
