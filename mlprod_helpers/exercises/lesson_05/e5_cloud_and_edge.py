"""Exercise 5.5, Cloud or edge."""

import itertools
import math

from mlprod_helpers.lesson.contract import Function, Number, Several, exercise


def draw_case(rng, part=0.5):
    """Prices, traffic and a model; at the peak the traffic fills some whole machines, and `part` of one more."""
    machines = 1 if part == 0.8 else int(rng.integers(4, 10))
    seconds, busy = round(float(rng.uniform(0.02, 0.06)), 3), round(float(rng.uniform(0.5, 0.9)), 2)
    if part == 0.9:  # many machines, and none that can work on a whole number of requests
        machines = int(rng.integers(60, 90))
        seconds, busy = 0.04, float(rng.choice([0.78, 0.82, 0.86]))
    if part == 0:  # powers of two: the quotient is exact in every order of operations
        seconds, busy = 0.03125, 0.5
        machines = int(rng.choice([6, 8]))  # busy for 2.5 or 3.5 machines: not whole before the division
    peak = (machines - 1 + part) * busy / seconds
    return {
        "devices": float(rng.integers(20_000, 400_000)),
        "requests_per_s": round(float(rng.uniform(0.4, 0.6)) * peak, 1),
        "peak_per_s": peak if part == 0 else round(peak, 2),
        "seconds_per_request": seconds,
        "busy": busy,
        "machine_hour": round(float(rng.uniform(0.1, 0.9)), 2),
        "payload_kb": float(rng.integers(2, 40)) + 0.5,
        "gb_price": round(float(rng.uniform(0.05, 0.12)), 2),
        "model_mb": float(rng.integers(5, 120)) + 0.3,  # no first load takes a whole number of seconds
        "updates_per_month": 0.5 if part == 0.8 else float(rng.integers(2, 6)),
        "line_mbit_s": float(rng.choice([6, 16, 20, 50, 100])),
    }


def costs(case, *, machines=None, months_updates=True, bits=8):
    """(cloud, edge, first load)."""
    if machines is None:
        machines = math.ceil(case["peak_per_s"] * case["seconds_per_request"] / case["busy"])
    sent_gb = case["requests_per_s"] * 3600 * 730 * case["payload_kb"] / 1e6
    cloud = machines * 730 * case["machine_hour"] + sent_gb * case["gb_price"]
    loaded_gb = case["devices"] * case["updates_per_month"] * case["model_mb"] / 1000
    edge = loaded_gb * case["gb_price"] if months_updates else 0.0
    return cloud, edge, bits * case["model_mb"] / case["line_mbit_s"]


CENT = 0.00501  # the statement's example is rounded to cents, so a rounded answer is right


@exercise(
    "5.5",
    "Cloud or edge",
    answers=("cloud_and_edge",),
    points=4,
    minutes=8,
    objective="5.c",
    edition=2,
    kind=Function(
        "case", returns=Several(Number(), Number(), Number(), names=("cloud", "edge", "first load"))
    ),
    hints=(
        "Cloud: how many machines does the peak need, if the load of each may be at most `busy`? Pay for them for all 730 hours. Then add the price of the data sent.",
        "A month has 730 * 3600 seconds. 1 GB is 1,000 MB or 1,000,000 kB. Round the machines up.",
        "The size of a file is in bytes, and the speed of a connection in bits a second. A byte has 8 bits.",
    ),
)
def cloud_and_edge(answer, rng, expect):
    """`cloud_and_edge(case)`: cost of a month in the cloud, on the devices, and the seconds of the first load."""
    parts = {
        "{} machines and a little of one more": 0.02,
        "{} machines and most of one more": 0.9,
        "most of one machine": 0.8,
        "{} machines exactly": 0.0,
    }
    with expect.defining():
        for words, part in parts.items():
            case = draw_case(rng, part)
            machines = case["peak_per_s"] * case["seconds_per_request"] / case["busy"]
            told = f"the peak fills {words.format(int(machines + 1e-9))}"
            for got, right, what in zip(
                answer(dict(case)), costs(case), ("cloud", "edge", "first load"), strict=True
            ):
                detail = told if what == "cloud" else _brief(case)
                expect.close(got, right, f"{what} ({detail})", atol=CENT)


def _brief(case):
    return f"{case['devices']:,.0f} devices, model of {case['model_mb']:g} MB, line of {case['line_mbit_s']:g} Mbit/s"


@cloud_and_edge.inputs
def months(rng):
    yield (
        {
            "devices": 50_000.0,
            "requests_per_s": 10.0,
            "peak_per_s": 65.0,
            "seconds_per_request": 0.04,
            "busy": 0.7,
            "machine_hour": 0.4,
            "payload_kb": 8.0,
            "gb_price": 0.09,
            "model_mb": 20.0,
            "updates_per_month": 2.0,
            "line_mbit_s": 16.0,
        },
    )
    for part in (0.0, 0.1, 0.4, 0.6, 0.9, *rng.uniform(0.05, 0.95, 10)):
        yield (draw_case(rng, part),)


@cloud_and_edge.misconception(
    "you read the speed of the connection as megabytes a second. It is in megabits, so the first load takes eight times as long. Look at the unit of `line_mbit_s`."
)
def bytes_for_bits(case):
    return costs(case, bits=1)


@cloud_and_edge.misconception(
    "you paid for the machines only while they work on a request. A machine that is busy 3% of the time costs as much as any other. Count whole machines and all their hours."
)
def paid_by_the_request(case):
    return costs(case, machines=case["requests_per_s"] * case["seconds_per_request"])


@cloud_and_edge.misconception(
    "you used the mean traffic to count the machines. That is not enough for the busiest hour. Use `peak_per_s`, and pay for these machines all month."
)
def sized_for_the_mean(case):
    busy = case["requests_per_s"] * case["seconds_per_request"] / case["busy"]
    return costs(case, machines=math.ceil(busy))


@cloud_and_edge.misconception(
    "you left out the cost of the devices. Each of them downloads the model again at each update. Add these downloads."
)
def free_edge(case):
    return costs(case, months_updates=False)


@cloud_and_edge.alternative
def in_bytes_and_days(case):
    seconds = 730 * 60 * 60
    at_once = case["peak_per_s"] * case["seconds_per_request"] / case["busy"]
    machines = next(n for n in itertools.count() if n >= at_once)
    price_per_byte, model_bytes = case["gb_price"] / 1e9, 1e6 * case["model_mb"]
    sent = seconds * case["requests_per_s"] * 1000 * case["payload_kb"]
    loaded = case["updates_per_month"] * case["devices"] * model_bytes
    cloud = case["machine_hour"] * 730 * machines + price_per_byte * sent
    return cloud, price_per_byte * loaded, model_bytes / (1e6 * case["line_mbit_s"] / 8)


@cloud_and_edge.alternative
def in_plain_steps(case):
    machines = -int(-(case["peak_per_s"] * case["seconds_per_request"]) // case["busy"])
    hours = 730
    requests = case["requests_per_s"] * 60 * 60 * hours
    traffic = requests * case["payload_kb"] * 1000 / 1e9 * case["gb_price"]
    downloads = case["devices"] * case["updates_per_month"] * case["model_mb"] * 1e6 / 1e9
    return [
        machines * hours * case["machine_hour"] + traffic,
        downloads * case["gb_price"],
        case["model_mb"] * 1e6 * 8 / (case["line_mbit_s"] * 1e6),
    ]
