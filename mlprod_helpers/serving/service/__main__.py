"""`python -m mlprod_helpers.serving.service --config v1.json`: one service, until it is drained."""

import argparse
import sys

from mlprod_helpers.serving.service.config import ServiceConfig


def main(arguments=None):
    """Run a service; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_helpers.serving.service")
    parser.add_argument("--config", required=True, help="JSON file with the fields of ServiceConfig")
    path = parser.parse_args(arguments).config
    try:
        config = ServiceConfig.read(path)
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    from mlprod_helpers.serving.service.process import serve

    return serve(config)


if __name__ == "__main__":
    sys.exit(main())
