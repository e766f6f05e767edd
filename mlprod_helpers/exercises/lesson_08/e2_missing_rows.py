"""Exercise 8.2, Rows with missing values."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise

REQUIRED = ["distance", "delay", "carrier"]

CODES = {"distance": [0], "carrier": ["", "N/A"]}

OFFERS = ["price", "title"]  # of another sender's table

OFFER_CODES = {"price": [-1, 0, -999], "title": ["?", "tbd"]}

LIKE_CODES = {  # each would be a code if codes were matched loosely
    "price": [1.0, 999.0, -2.0, -0.5, -1000.0],
    "title": ["TBD", " ?", "tbd ", "Why?", "?!", "not tbd", "tbd: a lamp", "??", "nan"],
}


def _flights(rng, n, holes=(), codes=(), twice=0.0):
    """A frame of flights: `holes` are (column, share) of missing values, `codes` of placeholders; `twice` empties two columns."""
    frame = pd.DataFrame(
        {
            "distance": rng.integers(80, 2500, n).astype(float),
            "delay": rng.choice([0.0, 5.0, 12.0, -3.0], n, p=[0.4, 0.3, 0.2, 0.1]),
            "carrier": rng.choice(["UA", "B6", "DL"], n).astype(object),
            "label": np.where(rng.random(n) < 0.7, np.nan, rng.normal(10, 5, n)),
        }
    )
    for column, share in holes:
        frame.loc[_some(rng, n, share), column] = None if column == "carrier" else np.nan
    for column, share in codes:
        rows = np.flatnonzero(_some(rng, n, share))
        for i, row in enumerate(rows):  # each of the column's codes in turn
            frame.loc[row, column] = CODES[column][i % len(CODES[column])]
    both = _some(rng, n, twice)
    frame.loc[both, ["distance", "delay"]] = np.nan
    return frame


def _offers(rng, n, share):
    """A frame with other columns, in which some prices and titles are codes."""
    price = rng.choice([9.5, 20.0, 35.0], n)
    price = np.where(_some(rng, n, share), rng.choice(OFFER_CODES["price"], n), price)
    title = rng.choice(["lamp", "", "0"], n).astype(object)  # these are titles; only "?" and None are not
    title[_some(rng, n, share / 2)] = rng.choice(OFFER_CODES["title"])
    title[_some(rng, n, share / 2)] = None
    stars = rng.choice([0, 3, 5], n)
    return pd.DataFrame({"title": title, "stars": stars, "price": price, "note": np.full(n, np.nan)})


def _like_codes(rng):
    """A short frame of prices and titles: every code, and every value that only looks like one in a row of its own."""
    rows = [(price, "lamp") for price in (9.5, 20.0, *LIKE_CODES["price"], *OFFER_CODES["price"])]
    rows += [(35.0, title) for title in ("vase", *LIKE_CODES["title"], *OFFER_CODES["title"], None)]
    return pd.DataFrame([rows[i] for i in rng.permutation(len(rows))], columns=OFFERS)


def _some(rng, n, share):
    return rng.permutation(n) < round(share * n)


def _missing(frame, required=REQUIRED, codes=CODES):
    cells = frame[required].isna()
    for column, values in codes.items():
        if column in cells:
            cells[column] |= frame[column].isin(values)
    return cells


@exercise(
    "8.2",
    "Rows with missing values",
    answers=("missing_rows",),
    points=3,
    minutes=5,
    objective="8.b",
    edition=2,
    kind=Function("frame", "required", "codes", returns=Number()),
    hints=(
        "First make a table of True and False that shows which values are missing. Then combine the columns of each row.",
        "A row counts once, however many of its values are missing: `.any(axis=1)`.",
        "`frame[required].isna()`, and for each column that has codes also `frame[column].isin(values)`.",
    ),
)
def missing_rows(answer, rng, expect):
    """`missing_rows(frame, required, codes)`: the share of rows in which a required value is missing."""
    a, b, c = (float(x) for x in rng.uniform(0.08, 0.25, 3))
    n = int(rng.integers(120, 200))
    flights = (
        (
            _flights(rng, n, holes=[("distance", a), ("delay", b), ("carrier", c)]),
            "missing values in three columns",
        ),
        (_flights(rng, n, holes=[("delay", 1.0)]), "one column is completely empty"),
        (_flights(rng, n, twice=a + 0.1), "two missing values in the same rows"),
        (
            _flights(rng, n, codes=[("distance", a), ("carrier", b)]),
            "placeholders instead of missing values, and delays of 0 minutes",
        ),
        (
            _flights(rng, n, holes=[("delay", c)], codes=[("distance", b)], twice=a),
            "missing values and placeholders together",
        ),
        (_flights(rng, n), "every required value is there; many labels have not arrived yet"),
    )
    first, *defining, last = flights
    _ask_missing(expect, answer, first[0], REQUIRED, CODES, first[1])
    with expect.defining():
        for frame, what in defining:
            _ask_missing(expect, answer, frame, REQUIRED, CODES, what)
    _ask_missing(expect, answer, last[0], REQUIRED, CODES, last[1])
    offers = _offers(rng, n + 7, a + b)
    _ask_missing(expect, answer, offers, OFFERS, OFFER_CODES, "other columns, other codes")
    what = "values that only look like a code, such as -2 or 'Why?'"
    _ask_missing(expect, answer, _like_codes(rng), OFFERS, OFFER_CODES, what)
    holes = _flights(rng, n + 3, holes=[("delay", a), ("carrier", b)], codes=[("carrier", c)])
    _ask_missing(expect, answer, holes, ["carrier", "delay"], {}, "two required columns, no codes")
    months = [_flights(rng, n // 2 + i, holes=[("delay", a)], codes=[("distance", b)]) for i in (0, 9)]
    what = "the tables of two months put together, so the index repeats"
    _ask_missing(expect, answer, pd.concat(months), REQUIRED, CODES, what)


def _ask_missing(expect, answer, frame, required, codes, what):
    want = float(_missing(frame, required, codes).any(axis=1).mean())
    of_rows = f"; {round(want * len(frame))} of {len(frame)} rows" if want in (0, 1) else ""
    expect.close(answer(frame, list(required), codes), want, f"{what} ({len(frame)} rows{of_rows})")


@missing_rows.inputs
def _tables(rng):
    small = pd.DataFrame(
        {"distance": [200.0, 0.0, np.nan, 900.0], "carrier": ["UA", "DL", "B6", "N/A"], "label": [np.nan] * 4}
    )
    yield small, ["distance", "carrier"], {"distance": [0], "carrier": ["", "N/A"]}
    yield small, ["distance"], {"distance": [0]}
    yield small, ["carrier", "distance"], {}
    yield small.head(1), ["distance"], {"distance": [0]}
    yield small.assign(carrier=[None, "", "0", "nan"]), ["carrier"], {"carrier": [""]}
    yield small.assign(carrier=["n/a", "N/A ", "N/A?", "UA"]), ["carrier"], {"carrier": ["N/A"]}
    yield small.assign(distance=[-1.0, 1.0, -2.0, 0.0]), ["distance"], {"distance": [-1]}
    yield pd.concat([small, small.tail(3)]), ["distance", "carrier"], {"carrier": ["N/A"]}
    for _ in range(20):
        n = int(rng.integers(1, 30))
        frame = pd.DataFrame(
            {
                "w": rng.choice([1.0, 2.0, -1.0, np.nan], n),
                "x": rng.choice([0.0, 3.0, np.inf], n),
                "y": rng.choice(np.array(["a", "b", "", None], dtype=object), n),
                "z": rng.choice([5, 6, 7], n),
            }
        )
        required = rng.permutation(["w", "x", "y", "z"])[: int(rng.integers(1, 5))].tolist()
        codes = {"w": [-1], "y": ["", "b"], "z": [6, 7]}
        yield frame, required, {name: values for name, values in codes.items() if name in required}


@missing_rows.misconception(
    "you counted table cells. If one of three columns is empty, a third of the cells are missing, but no row can be used. Check for each row whether anything in it is missing.",
)
def share_of_cells(frame, required, codes):
    return float(_missing(frame, required, codes).to_numpy().mean())


@missing_rows.misconception(
    "you added up the shares of the columns. A row with two missing values then counts twice. First find out for each row whether any value is missing.",
)
def columns_added(frame, required, codes):
    return float(_missing(frame, required, codes).mean().sum())


@missing_rows.misconception(
    "you counted only NaN. Many senders write a 0 or an empty text where a value is missing. Look at `codes`, too.",
)
def only_nan(frame, required, codes):
    return float(frame[required].isna().any(axis=1).mean())


@missing_rows.misconception(
    "you checked every column. Labels always arrive later, so such a metric is always high. Look only at the columns in `required`.",
)
def every_column(frame, required, codes):
    return float(_missing(frame, list(frame.columns), codes).any(axis=1).mean())


@missing_rows.misconception(
    "you applied each code to all columns. A delay of 0 minutes means a punctual flight, but a distance of 0 means that the distance is missing. Use a code only in its own column.",
)
def codes_everywhere(frame, required, codes):
    bad = [value for values in codes.values() for value in values]
    cells = frame[required].isna() | frame[required].isin(bad)
    return float(cells.any(axis=1).mean())


@missing_rows.misconception(
    "you counted only rows in which every value is missing. One missing value is enough to spoil a prediction. Check whether *any* value is missing.",
)
def whole_row_empty(frame, required, codes):
    return float(_missing(frame, required, codes).all(axis=1).mean())


@missing_rows.alternative
def replace_the_codes_first(frame, required, codes):
    clean = frame[required].copy()
    for column in required:
        clean[column] = clean[column].where(~clean[column].isin(codes.get(column, [])))
    return 1 - len(clean.dropna()) / len(clean)


@missing_rows.alternative
def row_by_row(frame, required, codes):
    hit = 0
    for row in frame[required].to_dict("records"):
        hit += any(pd.isna(value) or value in codes.get(name, []) for name, value in row.items())
    return hit / len(frame)
