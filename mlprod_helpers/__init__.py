"""What the lessons import: data, simulators, measures, plots and exercises."""

from importlib import metadata

try:
    __version__ = metadata.version("mlprod")
except metadata.PackageNotFoundError:  # run from a plain checkout, nothing installed
    __version__ = "0+checkout"


def __getattr__(name):
    # lazy: `import mlprod_helpers` costs nothing that the caller does not use
    if name == "Lesson":
        from mlprod_helpers.lesson import Lesson

        return Lesson
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Lesson", "__version__"]
