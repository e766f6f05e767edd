"""When to retrain, and on what: strategies by name."""

from dataclasses import dataclass

import numpy as np

from mlprod_helpers.adaptation.recency import recency_weights

KINDS = ("frozen", "all_history", "window", "recency", "hybrid")
_EXAMPLES = {
    "window": "window 28D",
    "recency": "recency 14D",
    "hybrid": "hybrid 50",
}  # those that take a length


@dataclass(frozen=True)
class Strategy:
    """One way to keep a model up to date.

    Attributes
    ----------
    name : str. How it is called in results.
    kind : str. One of `KINDS`.
    span : str or None
        Width of a window, half-life of the weights (both in time), half-life of a hybrid (in labels of a band).
    """

    name: str
    kind: str
    span: str | None = None

    def weights(self, times, now, clock):
        """Weights of the rows whose labels are known, shape (n,); `times` and `now` are numbers of `clock`."""
        if self.kind == "window":
            return (times >= now - clock.span(self.span, self.name)).astype(float)
        if self.kind == "recency":
            span = clock.span(self.span, self.name)
            # relative ages: exact also for dates, which are large integers
            return recency_weights((times - now).astype(float), float(span), now=0.0)
        return np.ones(len(times))


def as_strategies(specs, clock):
    """Strategies from their names, such as "window 28D"."""
    strategies = [_strategy(spec) for spec in ([specs] if isinstance(specs, str) else specs)]
    names = [strategy.name for strategy in strategies]
    if not names:
        raise ValueError(f"strategies is empty: name at least one of {', '.join(KINDS)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"a strategy is named twice: {', '.join(names)}.")
    for strategy in strategies:
        _check_span(strategy, clock)
    return strategies


def _strategy(spec):
    kind, _, span = str(spec).strip().partition(" ")
    kind, span = kind.replace("-", "_"), span.strip()
    if kind not in KINDS:
        raise ValueError(f"strategy {spec!r} is unknown: use one of {', '.join(KINDS)}.")
    if kind in _EXAMPLES and not span:
        raise ValueError(f"strategy {spec!r} lacks its length: write for example {_EXAMPLES[kind]!r}.")
    if kind not in _EXAMPLES and span:
        raise ValueError(f"strategy {spec!r}: {kind} takes no length.")
    return Strategy(str(spec), kind, span or None)


def _check_span(strategy, clock):
    if strategy.kind not in _EXAMPLES:
        return
    if strategy.kind == "hybrid":
        try:
            length = float(strategy.span)
        except ValueError:
            raise ValueError(
                f"strategy {strategy.name!r}: a hybrid's half-life is a number of labels of one band, as 'hybrid 50'."
            ) from None
    else:
        length = clock.span(strategy.span, strategy.name)
    if not length > 0:
        raise ValueError(f"strategy {strategy.name!r}: its length must be positive.")
