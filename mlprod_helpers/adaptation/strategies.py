"""When to retrain, and on what: strategies by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlprod_helpers.adaptation.recency import recency_weights

__all__ = ["KINDS", "Strategy", "as_strategies"]

KINDS = ("frozen", "all_history", "window", "recency", "hybrid")
_SPANNED = ("window", "recency", "hybrid")


@dataclass(frozen=True)
class Strategy:
    """One way to keep a model up to date.

    Attributes
    ----------
    name : str
        How it is called in results.
    kind : str
        One of `KINDS`, or "own" for a function.
    span : object
        Width of a window, half-life of the weights (both in time), half-life of a hybrid (in labels of a band).
    rule : callable, optional
        The function of an own strategy.
    """

    name: str
    kind: str
    span: Any = None
    rule: Any = None

    def weights(self, known, times, now, clock):
        """Weights of the rows whose labels are known, shape (n,), or None to keep the model that is there.

        `known` is called only by an own rule: it makes the frame that the rule may see. `times` and `now` are numbers
        of `clock`, `now` as the caller wrote it comes with `known`.
        """
        if self.kind == "window":
            return (times >= now - clock.span(self.span, self.name)).astype(float)
        if self.kind == "recency":
            span = clock.span(self.span, self.name)
            # relative ages: exact also for dates, which are large integers
            return recency_weights((times - now).astype(float), float(span), now=0.0)
        if self.kind == "own":
            return self._own(*known(), len(times))
        return np.ones(len(times))

    def _own(self, frame, moment, n):
        weights = self.rule(frame, moment)
        if weights is None:
            return None
        weights = np.asarray(weights, dtype=float)
        if weights.shape != (n,):
            raise ValueError(
                f"strategy {self.name!r} gave weights of shape {weights.shape} for {n} known rows: "
                "return one weight a row, or None to keep the model."
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(f"strategy {self.name!r} gave weights that are negative or missing.")
        return weights


def as_strategies(specs, clock):
    """Strategies from names ("window 28D"), functions, or a mapping from a name of one's own to either."""
    if isinstance(specs, str) or callable(specs):
        specs = [specs]
    if isinstance(specs, Mapping):
        strategies = [_strategy(spec, str(name)) for name, spec in specs.items()]
    else:
        strategies = [_strategy(spec) for spec in specs]
    names = [strategy.name for strategy in strategies]
    if not names:
        raise ValueError(f"strategies is empty: name at least one of {', '.join(KINDS)}.")
    if len(set(names)) < len(names):
        raise ValueError(
            f"two strategies have the same name: {', '.join(names)}. Use a mapping to name them."
        )
    for strategy in strategies:
        _check_span(strategy, clock)
    return strategies


def _strategy(spec, name=None):
    if callable(spec):
        return Strategy(name or getattr(spec, "__name__", "own"), "own", rule=spec)
    kind, _, span = str(spec).strip().partition(" ")
    kind, span = kind.replace("-", "_"), span.strip()
    if kind not in KINDS:
        raise ValueError(
            f"strategy {spec!r} is unknown: use one of {', '.join(KINDS)}, or a function (known, now) -> weights."
        )
    if kind in _SPANNED and not span:
        example = {"window": "window 28D", "recency": "recency 14D", "hybrid": "hybrid 50"}[kind]
        raise ValueError(f"strategy {spec!r} lacks its length: write for example {example!r}.")
    if kind not in _SPANNED and span:
        raise ValueError(f"strategy {spec!r}: {kind} takes no length.")
    return Strategy(name or str(spec), kind, span or None)


def _check_span(strategy, clock):
    if strategy.kind not in _SPANNED:
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
