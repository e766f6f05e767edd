"""`python -m mlprod_helpers.serving.router --config FILE`: one router, until it is ended."""

import sys

from mlprod_helpers.serving.router.process import main

if __name__ == "__main__":
    sys.exit(main())
