"""`python -m mlprod_helpers.serving.service`, with a `ServiceConfig` as JSON on standard input: one service, until it is drained."""

import os

from mlprod_helpers.serving.server import run_server
from mlprod_helpers.serving.service.config import ServiceConfig
from mlprod_helpers.serving.service.process import serve

if __name__ == "__main__":
    # a thread in which a model hangs would keep the process alive
    os._exit(run_server(ServiceConfig, serve))
