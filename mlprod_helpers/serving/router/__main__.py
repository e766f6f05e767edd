"""`python -m mlprod_helpers.serving.router --config FILE`: one router, until it is ended."""

import sys

from mlprod_helpers.serving.router.plan import RouterConfig
from mlprod_helpers.serving.router.process import serve
from mlprod_helpers.serving.server import run_server


def main(arguments=None):
    """Run a router; returns the exit code."""
    return run_server("router", RouterConfig, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
