"""`python -m mlprod_helpers.serving.router`, with a `RouterConfig` as JSON on standard input: one router, until it is ended."""

import os

from mlprod_helpers.serving.router.plan import RouterConfig
from mlprod_helpers.serving.router.process import serve
from mlprod_helpers.serving.server import run_server

if __name__ == "__main__":
    # a thread in which a model hangs would keep the process alive
    os._exit(run_server(RouterConfig, serve))
