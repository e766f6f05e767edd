"""`python -m mlprod_helpers.serving.service --config v1.json`: one service, until it is drained."""

import sys

from mlprod_helpers.serving.server import run_server
from mlprod_helpers.serving.service.config import ServiceConfig
from mlprod_helpers.serving.service.process import serve


def main(arguments=None):
    """Run a service; returns the exit code."""
    return run_server("service", ServiceConfig, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
