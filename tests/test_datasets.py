"""The shipped data: what is in them, what guards them, and that they can be made again."""

import gzip
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import datasets
from mlprod_helpers.serving.lab.recorded import RECORDINGS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "datasets"
LOADERS = {
    "flights": (datasets.load_flights, (33_678, 14)),
    "flights_daily": (datasets.load_flights_daily, (365, 13)),
    "weather": (datasets.load_weather, (26_115, 13)),
    "ridership": (datasets.load_ridership, (5_698, 30)),
    "titles": (datasets.load_titles, (4_284, 4)),
    "clicks": (datasets.load_clicks, (60_000, 13)),
}

only_in_a_checkout = pytest.mark.skipif(not (DATA / "build.py").is_file(), reason="needs the repository")


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("datasets_build", DATA / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# --------------------------------------------------------------------------- what is in them


@pytest.mark.parametrize("name", LOADERS)
def test_shape_and_types_are_as_documented(name):
    load, shape = LOADERS[name]
    frame = load()
    assert frame.shape == shape
    assert frame.index.equals(pd.RangeIndex(len(frame)))
    documented = documented_types(load.__doc__)
    if name == "ridership":  # long rows of the table go on in the next line
        documented |= dict.fromkeys(frame.columns[list(frame).index("temp_min") : -5], "float64")
        documented |= dict.fromkeys([column for column in frame if column.endswith("_Home")], "int64")
    if name == "flights_daily":
        documented |= dict.fromkeys(["mean_sched_arr_time", "mean_arr_time"], "float64")
    if name == "clicks":
        documented |= dict.fromkeys([f"user_feature_{number}" for number in range(4)], "category")
        documented.pop("user_feature_0..3")
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == documented


def documented_types(docstring):
    """Column -> dtype from the table of a loader's docstring."""
    types = {}
    for line in docstring.splitlines():
        found = re.match(r"\s+([\w, .]+?),?\s{2,}(datetime64\[us\]|int64|float64|category|str)\s", line)
        if found:
            types |= dict.fromkeys(re.split(r",\s*", found[1]), found[2])
    return types


def test_every_call_gives_data_that_may_be_changed():
    first = datasets.load_flights()
    first.loc[:, "distance"] = 0
    first.index.name = "spoiled"
    first["origin"] = first["origin"].cat.rename_categories({"LGA": "spoiled"})
    del first["carrier"]
    second = datasets.load_flights()
    assert second["distance"].min() > 0
    assert second.index.name is None
    assert list(second["origin"].cat.categories) == ["EWR", "JFK", "LGA"]
    assert "carrier" in second
    images, labels = datasets.load_fashion()
    images[:], labels[:] = 0, 0
    images, labels = datasets.load_fashion()
    assert images.any() and labels.any()


def test_flights_are_a_tenth_of_the_year_in_order():
    flights = datasets.load_flights()
    assert flights["time"].is_monotonic_increasing
    assert flights["date"].nunique() == 365
    assert (flights["time"].dt.hour == flights["hour"]).all()
    assert (flights["date"] == flights["time"].dt.normalize()).all()
    by_origin = flights.groupby("origin", observed=True)["distance"]
    assert by_origin.max()["LGA"] == 1_620
    assert (flights.loc[flights["origin"] == "JFK", "distance"] > 1_620).mean() == pytest.approx(
        0.314, abs=5e-4
    )
    hours_to_label = (flights["dep_delay"] + flights["air_time"] + 20) / 60
    assert hours_to_label.quantile([0.5, 0.95]).tolist() == pytest.approx([2.67, 6.15], abs=0.01)


def test_missing_departures_peak_on_9_february():
    flights, daily = datasets.load_flights(), datasets.load_flights_daily()
    in_extract = flights["dep_time"].isna().groupby(flights["date"]).agg(["size", "mean"])
    assert in_extract.loc["2013-02-09"].tolist() == pytest.approx([69, 0.580], abs=5e-4)
    assert in_extract["mean"].median() == pytest.approx(0.0103, abs=1e-4)
    share = (daily["missing_dep_time"] / daily["flights"]).set_axis(daily["date"])
    assert share.loc["2013-02-09"] == pytest.approx(0.575, abs=5e-4)
    assert share.median() == pytest.approx(0.0073, abs=1e-4)
    assert share.idxmax() == pd.Timestamp("2013-02-09")
    assert daily["flights"].sum() == 336_776


def test_the_blizzard_in_standard_deviations():
    """Against the other Saturdays: the missing share 22, the departures that are left 16, the rest up to 2.2."""
    daily = datasets.load_flights_daily().set_index("date")
    daily["missing"] = daily["missing_dep_time"] / daily["flights"]

    def distance(reference):
        return (daily.loc["2013-02-09"] - reference.mean()) / reference.std()

    others = daily.drop(pd.Timestamp("2013-02-09"))
    saturdays = distance(others[others.index.day_of_week == 5])
    assert saturdays["missing"] == pytest.approx(22.0, abs=0.05)
    # flights left in the evening, after the storm: their clock times moved too
    assert saturdays[["mean_dep_time", "mean_arr_time"]].tolist() == pytest.approx([15.7, 14.9], abs=0.05)
    rest = saturdays.drop(["missing", "missing_dep_time", "mean_dep_time", "mean_arr_time"])
    assert rest.abs().idxmax() == "mean_distance"
    assert rest.abs().max() == pytest.approx(2.15, abs=0.01)
    assert saturdays["flights"] == pytest.approx(-1.2, abs=0.05)
    assert distance(others)["flights"] == pytest.approx(-2.65, abs=0.01)


def test_weather_keeps_the_law_of_humidity_and_joins_every_flight_once():
    weather = datasets.load_weather()
    # Magnus: relative humidity from temperature and dewpoint, degrees Celsius
    celsius, dewpoint = (weather["temp"] - 32) / 1.8, (weather["dewp"] - 32) / 1.8
    humidity = 100 * np.exp(17.625 * dewpoint / (243.04 + dewpoint) - 17.625 * celsius / (243.04 + celsius))
    monthly = (humidity - weather["humid"]).abs().groupby(weather["month"]).mean()
    assert monthly.between(0.1, 0.3).all()
    assert weather[["wind_dir", "pressure"]].isna().sum().tolist() == [460, 2_729]

    twice = weather[weather.duplicated(["origin", "time"])]
    assert (twice["time"] == pd.Timestamp("2013-11-03 01:00")).all() and len(twice) == 3
    flights = datasets.load_flights()
    flights["time"] = flights["time"].dt.floor("h")
    joined = flights.merge(weather, on=["origin", "time"], how="left")
    assert len(joined) == len(flights)
    assert joined["temp"].isna().mean() < 0.005


def test_ridership_rises_and_a_station_column_is_its_own_past():
    ridership = datasets.load_ridership().set_index("date")
    assert (ridership.index[1:] - ridership.index[:-1] == pd.Timedelta(days=1)).all()
    assert ridership.loc["2001":"2003", "ridership"].mean() == pytest.approx(11.4, abs=0.05)
    assert ridership.loc["2013":"2016", "ridership"].mean() == pytest.approx(15.8, abs=0.05)
    past = ridership["ridership"].shift(14)
    assert np.allclose(ridership["Clark_Lake"].iloc[14:], past.iloc[14:])


def test_holidays_are_days_on_which_few_people_ride():
    ridership = datasets.load_ridership().set_index("date")
    assert ridership["holiday"].groupby(ridership.index.year).sum().loc[2002:2015].eq(6).all()
    assert ridership.loc[["2008-05-26", "2008-09-01", "2008-11-27", "2012-12-25"], "holiday"].all()
    weekdays = ridership[ridership["weekday"] < 5].groupby("holiday")["ridership"].mean()
    assert weekdays[1] < 0.25 * weekdays[0]


def test_titles_become_longer():
    titles = datasets.load_titles()
    length = titles["title"].str.len()
    assert length[titles["year"].between(1990, 1994)].mean() == pytest.approx(19.2, abs=0.05)
    assert length[titles["year"].between(2007, 2012)].mean() == pytest.approx(33.3, abs=0.05)
    assert titles["id"].is_unique and not titles.isna().any(axis=None)
    assert titles["title"].str.contains("ë").any(), "accents survive"


def test_clicks_of_two_policies():
    clicks = datasets.load_clicks()
    assert clicks["click"].sum() == 287
    assert clicks["time"].dt.normalize().agg(["min", "max"]).tolist() == [
        pd.Timestamp("2019-11-24"),
        pd.Timestamp("2019-11-30"),
    ]
    rate = clicks.groupby("policy", observed=True)["click"].mean()
    assert (100 * rate[["random", "bts"]]).tolist() == pytest.approx([0.433, 0.523], abs=5e-4)
    men = clicks[clicks["campaign"] == "men"].groupby("policy", observed=True)["click"].mean()
    assert (100 * men[["random", "bts"]]).tolist() == pytest.approx([0.46, 0.69])
    items = clicks[clicks["policy"] == "random"].groupby("campaign", observed=True)["item_id"].nunique()
    assert items.to_dict() == {"all": 80, "men": 34, "women": 46}
    drawn = (
        clicks[(clicks["policy"] == "random")].groupby("campaign", observed=True)["propensity_score"].first()
    )
    assert (drawn * items).to_numpy() == pytest.approx([1, 1, 1], abs=1e-4)


def test_fashion_images_and_labels():
    images, labels = datasets.load_fashion()
    assert images.dtype == np.uint8 and images.shape == (1500, 28, 28)
    assert labels.dtype == np.int64 and set(labels) == set(range(len(datasets.FASHION_CLASSES)))
    assert images.mean() == pytest.approx(73.84, abs=0.01)
    by_class = np.array([images[labels == number].mean() for number in range(10)])
    assert [by_class.min(), by_class.max()] == pytest.approx([33.6, 100.7], abs=0.05)
    assert datasets.FASHION_CLASSES[by_class.argmin()] == "Sandal"


# --------------------------------------------------------------------------- what guards them


@pytest.fixture
def copy_of_data(tmp_path, monkeypatch):
    """A folder of a course with the titles only, which the loaders then use."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    for name in ("SHA256SUMS", "titles.csv.gz"):
        (folder / name).write_bytes((datasets.data_folder() / name).read_bytes())
    (tmp_path / "mlprod_helpers").mkdir()
    monkeypatch.setattr(datasets, "_HERE", tmp_path / "mlprod_helpers")
    return folder


def test_a_missing_file_is_named_with_what_to_do(copy_of_data):
    with pytest.raises(datasets.DatasetError, match=r"flights\.csv\.gz is missing") as caught:
        datasets.load_flights()
    assert "git checkout -- datasets/flights.csv.gz" in str(caught.value)
    assert "python datasets/build.py --write flights" in str(caught.value)


def test_a_changed_file_is_noticed_even_after_it_was_loaded(copy_of_data):
    assert len(datasets.load_titles()) == 4_284
    path = copy_of_data / "titles.csv.gz"
    changed = datasets.load_titles().assign(year=2000).to_csv(index=False)
    path.write_bytes(gzip.compress(changed.encode()))
    with pytest.raises(datasets.DatasetError, match=r"titles\.csv\.gz was changed") as caught:
        datasets.load_titles()
    assert "git checkout -- datasets/titles.csv.gz" in str(caught.value)


def test_a_file_without_checksum_and_a_folder_without_data_say_so(copy_of_data):
    sums = copy_of_data / "SHA256SUMS"
    sums.write_text("not a checksum\n\n")
    with pytest.raises(datasets.DatasetError, match=r"has no line for titles\.csv\.gz"):
        datasets.load_titles()
    sums.unlink()
    with pytest.raises(datasets.DatasetError, match="git checkout -- datasets"):
        datasets.load_titles()


def test_windows_line_ends_in_the_checksums_do_no_harm(copy_of_data):
    sums = copy_of_data / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"\n", b"\r\n"))
    assert len(datasets.load_titles()) == 4_284


def test_in_an_installed_package_the_advice_is_to_install_it_again(copy_of_data):
    installed = copy_of_data.parent / "mlprod_helpers" / "_datasets"
    copy_of_data.rename(installed)
    assert len(datasets.load_titles()) == 4_284
    with pytest.raises(datasets.DatasetError, match="Install the package mlprod again"):
        datasets.load_clicks()


@only_in_a_checkout
def test_a_wheel_carries_the_data_and_the_glossary(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = {
            Path(name).name for name in packed.namelist() if name.startswith("mlprod_helpers/_datasets/")
        }
        assert not any("__pycache__" in name for name in packed.namelist())
        assert inside >= {path.name for path in DATA.iterdir() if path.suffix in (".gz", ".npz", ".md")}
        assert packed.read("mlprod_helpers/glossary.md") == (ROOT / "docs/glossary.md").read_bytes()
        packed.extractall(tmp_path / "installed")
    code = (
        "import sys; from mlprod_helpers import datasets; "
        "assert not {'sklearn', 'scipy', 'matplotlib'} & set(sys.modules), 'the import should be light'; "
        "print(datasets.data_folder(), len(datasets.load_titles()), len(datasets.load_fashion()[0]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.stdout.split() == [str(tmp_path / "installed/mlprod_helpers/_datasets"), "4284", "1500"], (
        ran.stderr
    )


# --------------------------------------------------------------------------- the papers


@only_in_a_checkout
def test_checksums_files_and_readme_agree(build):
    sums = build.read_sums(DATA)
    recorded = {f"serving_{name}.csv.gz" for name in RECORDINGS}  # made by record_serving.py
    files = {filename for filename, _ in build.EXTRACTS.values()} | recorded
    assert files == set(sums)
    assert files == {path.name for path in DATA.iterdir() if path.suffix in (".gz", ".npz")}
    readme = (DATA / "README.md").read_text("utf-8")
    for filename, digest in sums.items():
        assert build.sha256((DATA / filename).read_bytes()) == digest
        assert f"| {filename} | `{digest}` |" in readme
    assert sum((DATA / filename).stat().st_size for filename in files) < 4_000_000


@only_in_a_checkout
@pytest.mark.parametrize("name", RECORDINGS)
def test_readme_describes_every_recording(name):
    readme = (DATA / "README.md").read_text("utf-8")
    table = pd.read_csv(DATA / f"serving_{name}.csv.gz")
    section = readme.split("\n## Recorded runs\n")[1]
    assert re.search(rf"^\| {name} \| {', '.join(RECORDINGS[name])} \|", section, re.MULTILINE)
    shape = f"{len(table):,} x {table.shape[1]}"
    assert re.search(rf"^\| \[serving_{name}\].*\| {shape} \|", readme, re.MULTILINE)
    for column in table:
        assert re.search(rf"\b{column}\b", section), f"{column} is not described"


@only_in_a_checkout
@pytest.mark.parametrize("name", LOADERS)
def test_readme_describes_every_file(name):
    readme = (DATA / "README.md").read_text("utf-8")
    table = pd.read_csv(DATA / f"{name}.csv.gz", nrows=5)
    rows = len(LOADERS[name][0]())
    assert re.search(rf"^\| \[{name}\].*\| {rows:,} x {table.shape[1]} \|", readme, re.MULTILINE)
    section = readme.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for column in table:
        assert re.search(rf"\b{column}\b", section), f"{column} is not described"


# --------------------------------------------------------------------------- making them again


@pytest.fixture
def workshop(build, tmp_path, monkeypatch):
    """build.py with two small extracts, of which the second needs a tool that is not there."""
    tables = {"fruit": pd.DataFrame({"name": ["pear", "None"], "grams": [178.5, 90.25]})}

    def unavailable(fetch):
        raise build.CannotMake("Rscript is not on this machine.")

    def fruit(fetch):
        return tables["fruit"]

    extracts = {"fruit": ("fruit.csv.gz", fruit), "r_only": ("r_only.csv.gz", unavailable)}
    monkeypatch.setattr(build, "EXTRACTS", extracts)
    return build, tmp_path, tables


def test_comparing_writes_nothing_and_what_was_written_is_the_same(workshop, capsys):
    build, folder, _ = workshop
    assert build.main(["fruit"], folder) == 1
    assert not list(folder.iterdir())
    assert build.main(["fruit", "--write"], folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "fruit.csv.gz"]
    assert build.main(["fruit"], folder) == 0
    assert "every byte" in capsys.readouterr().out


def test_other_compression_is_not_a_difference(workshop, capsys):
    build, folder, _ = workshop
    build.main(["fruit", "--write"], folder)
    path = folder / "fruit.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=12345))
    assert build.main(["fruit"], folder) == 1, "its checksum is not right yet"
    assert build.main(["fruit", "--write"], folder) == 0
    assert build.main(["fruit"], folder) == 0
    assert "compressed in another way" in capsys.readouterr().out


def test_a_changed_cell_is_named_and_the_file_kept_until_write(workshop, capsys):
    build, folder, tables = workshop
    build.main(["fruit", "--write"], folder)
    before = (folder / "fruit.csv.gz").read_bytes()
    readme = folder / "README.md"
    readme.write_text(f"| fruit.csv.gz | `{build.sha256(before)}` |")
    tables["fruit"] = tables["fruit"].assign(grams=[178.5, 91.0])
    assert build.main(["fruit"], folder) == 1
    assert "1 rows differ in grams; first: row 1, grams was '90.25', is now '91.0'" in capsys.readouterr().out
    assert (folder / "fruit.csv.gz").read_bytes() == before
    assert build.main(["fruit", "--write"], folder) == 0
    after = (folder / "fruit.csv.gz").read_bytes()
    assert after != before
    assert build.read_sums(folder) == {"fruit.csv.gz": build.sha256(after)}
    assert build.sha256(after) in readme.read_text()


def test_a_damaged_file_is_a_difference_not_a_crash(workshop, capsys):
    build, folder, _ = workshop
    build.main(["fruit", "--write"], folder)
    path = folder / "fruit.csv.gz"
    whole = path.read_bytes()
    for damaged in (b"no gzip at all", whole[:-12], whole[:14] + b"\xff\xff\xff" + whole[17:]):
        path.write_bytes(damaged)
        assert build.main(["fruit"], folder) == 1
    assert "damaged" in capsys.readouterr().out


def test_what_cannot_be_made_is_skipped_with_the_reason_and_kept(workshop, capsys):
    build, folder, _ = workshop
    (folder / "r_only.csv.gz").write_bytes(b"precious")
    assert build.main(["--write"], folder) == 3
    assert (folder / "r_only.csv.gz").read_bytes() == b"precious"
    assert "r_only.csv.gz" not in build.read_sums(folder)
    assert re.search(r"r_only +skipped +Rscript is not on this machine", capsys.readouterr().out)


def test_encoding_is_the_same_every_time_and_readable_by_pandas_and_numpy(build, tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    packed = build.encode({"labels": np.array([1, 2]), "images": images})
    assert packed == build.encode({"images": np.asfortranarray(images), "labels": np.array([1, 2])})
    (tmp_path / "a.npz").write_bytes(packed)
    assert np.array_equal(np.load(tmp_path / "a.npz")["images"], images)

    table = pd.DataFrame({"name": ["é", 'quoted "x", y'], "grams": pd.array([1, None], dtype="Int64")})
    assert build.encode(table) == build.encode(table.copy())
    (tmp_path / "a.csv.gz").write_bytes(build.encode(table))
    assert pd.read_csv(tmp_path / "a.csv.gz")["name"].tolist() == table["name"].tolist()


def test_another_package_than_the_named_one_is_refused(build, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / build.OBP.filename).write_bytes(b"something else")
    fetch = build.Fetcher(tmp_path / "work", packages=tmp_path)
    for _ in range(2):  # the reason is remembered, nothing is fetched again
        with pytest.raises(build.CannotMake, match=r"not the package .* expected 87dec9caf428"):
            fetch(build.OBP)
