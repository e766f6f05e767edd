"""The simulator against closed forms, and against SimPy request by request."""

import numpy as np
import pytest

from mlprod_helpers.queueing import (
    Constant,
    Exponential,
    Lognormal,
    Measured,
    capacity_curve,
    diurnal,
    erlang_c,
    md1_percentile,
    mean_level,
    mgc,
    mmc,
    mmc_percentile,
    plan_capacity,
    poisson,
    simulate,
)

# ------------------------------------------------------------------------------------------ closed forms


def test_known_answers_of_one_server_at_load_four_fifths():
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert mmc(0.8, 1.0).wait == pytest.approx(4.0)
    assert mgc(0.8, 1.0, cv=0.0).wait == pytest.approx(2.0)


def test_erlang_c_equals_its_textbook_sum():
    from math import factorial

    for servers, load in [(2, 1.6), (3, 0.3), (5, 4.9), (20, 16.0)]:
        top = load**servers / factorial(servers) * servers / (servers - load)
        want = top / (sum(load**k / factorial(k) for k in range(servers)) + top)
        assert erlang_c(servers, load) == pytest.approx(want)


@pytest.mark.parametrize(
    ("servers", "load", "published"),
    [
        (14, 10, 0.1741319335950498),  # pyworkforce, README.md
        (15, 10, 0.102),  # pyworkforce, test_erlang.py
        (3, 2, 4 / 9),  # D. Gross and C. Harris, Fundamentals of Queueing Theory: the eye clinic
        (2, 1, 1 / 3),
    ],
)
def test_erlang_c_has_published_values(servers, load, published):
    assert erlang_c(servers, load) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("rate", "mean_service", "servers", "wait", "latency"),
    [
        (1 / 10, 20, 3, 8.89, 28.89),  # the eye clinic, minutes
        (2, 1 / 3, 1, 2 / 3, 1),  # F. Hillier and G. Lieberman, the county hospital, hours
        (2, 1 / 3, 2, 1 / 24, 3 / 8),
    ],
)
def test_waits_have_published_values(rate, mean_service, servers, wait, latency):
    steady = mmc(rate, mean_service, servers)
    assert (steady.wait, steady.latency) == pytest.approx((wait, latency), rel=2e-3)


def test_erlang_c_is_stable_for_thousands_of_servers():
    assert 0 < erlang_c(5000, 4900.0) < 1
    assert erlang_c(5000, 10.0) == pytest.approx(0.0, abs=1e-12)


def test_zero_load_waits_never_and_overload_waits_for_ever():
    assert mmc(0.0, 1.0, servers=2) == (0, 0, 0, 1)
    for rate in (2.0, 2.5):
        assert mmc(rate, 1.0, servers=2) == (rate / 2, 1.0, np.inf, np.inf)
    assert mmc_percentile(99, 2.0, 1.0, servers=2) == np.inf


def test_the_percentile_of_one_server_is_exponential():
    for q in (50, 90, 99, 99.9):
        assert mmc_percentile(q, 0.8, 1.0) == pytest.approx(-np.log(1 - q / 100) / 0.2)


def test_the_percentile_has_no_gap_where_its_formula_divides_by_zero():
    at = [mmc_percentile(99, rate, 1.0, servers=2) for rate in (1 - 1e-6, 1.0, 1 + 1e-6)]
    assert at[0] < at[1] < at[2]
    assert at == pytest.approx([at[1]] * 3, rel=1e-5)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8, 0.95])
def test_one_twice_as_fast_server_waits_longer_and_ends_earlier_than_two_slow_ones(load):
    """Load is that of one slow server with the same traffic; the speed-up is (4 - a^2) / (a (1 - a))."""
    one, two, fast = mmc(load, 1.0), mmc(load, 1.0, servers=2), mmc(load, 0.5)
    assert one.wait / two.wait == pytest.approx((4 - load**2) / (load * (1 - load)))
    assert two.wait < fast.wait < one.wait
    assert fast.latency < two.latency < one.latency


def test_at_eighty_percent_the_second_server_cuts_the_wait_21_fold():
    one, two, fast = mmc(0.8, 1.0), mmc(0.8, 1.0, servers=2), mmc(0.8, 0.5)
    assert one.wait / two.wait == pytest.approx(21.0)
    assert (two.wait, fast.wait) == pytest.approx((4 / 21, 1 / 3))
    assert (two.latency, fast.latency) == pytest.approx((25 / 21, 5 / 6))


# ----------------------------------------------------------------------- the simulator against closed forms


def z_score(means, want):
    """Distance of the mean of independent runs from the truth, in standard errors."""
    return (np.mean(means) - want) / (np.std(means, ddof=1) / np.sqrt(len(means)))


def mean_waits(rate, service, servers, n):
    waits = []
    for seed in range(20):
        run = simulate(poisson(rate, n=n, random_state=seed), service, servers, random_state=1000 + seed)
        waits.append(run.wait[n // 5 :].mean())  # the first fifth fills the queue
    return waits


@pytest.mark.parametrize(("load", "n"), [(0.5, 40_000), (0.8, 40_000), (0.95, 200_000)])
def test_one_exponential_server_waits_as_long_as_the_formula_says(load, n):
    assert abs(z_score(mean_waits(load, Exponential(1.0), 1, n), mmc(load, 1.0).wait)) < 3


@pytest.mark.parametrize(("servers", "load"), [(2, 0.8), (4, 0.8), (10, 0.9)])
def test_several_servers_wait_as_long_as_erlang_says(servers, load):
    waits = mean_waits(load * servers, Exponential(1.0), servers, 25_000)
    assert abs(z_score(waits, mmc(load * servers, 1.0, servers).wait)) < 3


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_constant_service_waits_half_as_long(load):
    assert abs(z_score(mean_waits(load, Constant(1.0), 1, 40_000), mgc(load, 1.0, cv=0.0).wait)) < 3


def test_a_long_tail_waits_as_pollaczek_and_khinchine_say():
    waits = mean_waits(0.5, Lognormal(1.0, cv=1.5), 1, 100_000)
    assert abs(z_score(waits, mgc(0.5, 1.0, 1.5).wait)) < 3


def test_the_share_that_waits_and_the_p99_are_those_of_the_formula():
    shares, p99 = [], []
    for seed in range(20):
        run = simulate(
            poisson(3.2, n=25_000, random_state=seed), Exponential(1.0), 4, random_state=1000 + seed
        )
        shares.append((run.wait > 0).mean())
        p99.append(run.p99)
    assert abs(z_score(shares, erlang_c(4, 3.2))) < 3
    assert abs(z_score(p99, mmc_percentile(99, 3.2, 1.0, servers=4))) < 3


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_the_percentile_of_constant_service_is_that_of_the_simulator(load):
    runs = [simulate(poisson(load, n=30_000, random_state=seed), 1.0) for seed in range(30)]
    assert abs(z_score([run.p99 for run in runs], md1_percentile(99, load, 1.0))) < 3


def test_the_percentile_of_constant_service_at_its_edges():
    assert md1_percentile(40, 0.25, 2.0) == 2.0  # half of them do not wait
    assert md1_percentile(99, 0.25, 2.0) < mmc_percentile(99, 0.25, 2.0)
    assert md1_percentile(99, 4.0, 0.2) == pytest.approx(0.2 * md1_percentile(99, 0.8, 1.0))
    assert md1_percentile(99, 1.2, 1.0) == np.inf
    with pytest.raises(ValueError, match="percentile"):
        md1_percentile(100, 0.5, 1.0)


def test_little_s_law_holds_in_every_run():
    run = simulate(poisson(3.2, n=5000, random_state=0), Lognormal(1.0), 4, random_state=1)
    span = run.end
    [inside] = mean_level(run.arrival, run.arrival + run.latency, [0.0, span])
    assert inside == pytest.approx(len(run) / span * run.mean_latency)


# ---------------------------------------------------------------------------------- SimPy as an oracle


def simpy_run(arrival, service, servers, queue_limit=None):
    """When each request left the queue and whether it was served, by SimPy's own resource."""
    simpy = pytest.importorskip("simpy", reason="SimPy is the independent oracle: pip install simpy")
    env = simpy.Environment()
    pool = simpy.Resource(env, capacity=servers)
    left, served = np.full(len(arrival), np.nan), np.zeros(len(arrival), dtype=bool)

    def request(index):
        yield env.timeout(arrival[index])
        if queue_limit is not None and pool.count == servers and len(pool.queue) >= queue_limit:
            left[index] = env.now
            return
        with pool.request() as turn:
            yield turn
            left[index], served[index] = env.now, True
            yield env.timeout(service[index])

    for index in range(len(arrival)):
        env.process(request(index))
    env.run()
    return left, served


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"queue_limit": 0}, {"queue_limit": 3}])
@pytest.mark.parametrize("load", [0.7, 1.4])
def test_every_request_fares_as_in_simpy(servers, options, load):
    rng = np.random.default_rng(servers)
    arrival = poisson(load * servers, n=1500, random_state=rng)
    service = Lognormal(1.0, cv=1.2).sample(1500, rng)
    left, served = simpy_run(arrival, service, servers, **options)
    run = simulate(arrival, service, servers, **options)
    np.testing.assert_array_equal(~run.dropped, served)
    np.testing.assert_allclose(run.left_queue, left, rtol=0, atol=1e-9)


# -------------------------------------------------------------------------------- what a result says


def test_one_and_several_servers_agree_on_ties_and_idle_gaps():
    arrival = np.array([0.0, 0.0, 0.0, 10.0, 10.0, 30.0])
    assert simulate(arrival, 2.0, 1).wait.tolist() == [0, 2, 4, 0, 2, 0]
    assert simulate(arrival, 2.0, 2).wait.tolist() == [0, 0, 2, 0, 0, 0]


def test_an_idle_server_means_a_wait_of_exactly_zero():
    run = simulate(poisson(0.5, n=100_000, random_state=0), Exponential(1.0), random_state=1)
    begins = np.maximum.accumulate(np.append(-np.inf, (run.left_queue + run.service)[:-1]))
    np.testing.assert_array_equal(run.wait == 0, begins <= run.arrival)


def test_the_same_seed_gives_the_same_requests_to_any_number_of_servers():
    arrival = poisson(2.0, n=500, random_state=0)
    runs = [simulate(arrival, Lognormal(1.0), servers, random_state=7) for servers in (1, 2, 3)]
    np.testing.assert_array_equal(runs[0].service, runs[2].service)
    assert (runs[1].wait <= runs[0].wait).all() and (runs[2].wait <= runs[1].wait).all()


def test_dropped_requests_count_as_never_answered():
    run = simulate([0.0, 0.1, 0.2, 0.3], 1.0, queue_limit=0)
    assert run.dropped.tolist() == [False, True, True, True]
    assert run.drop_rate == 0.75 and run.p50 == np.inf


def test_no_requests_are_no_error():
    run = simulate([], Exponential(1.0), 3)
    assert len(run) == 0 and run.utilization == 0.0 and run.end == 0.0
    assert np.isnan([run.mean_wait, run.p99, run.drop_rate]).all()
    assert "idle" in repr(run)
    assert len(simulate([], 1.0, 2, queue_limit=1)) == 0


# ------------------------------------------------------------------------------------- arrivals and laws


def test_poisson_arrivals_have_their_rate_and_exponential_gaps():
    times = poisson(50.0, 2000.0, random_state=0)
    gaps = np.diff(times)
    assert len(times) == pytest.approx(100_000, abs=3 * np.sqrt(100_000))
    assert gaps.min() >= 0 and times[-1] < 2000
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.02)
    assert (gaps > 0.02).mean() == pytest.approx(np.exp(-1), abs=0.01)


def test_diurnal_arrivals_follow_the_day():
    counts = np.mean(
        [np.histogram(diurnal(2.0, random_state=s), bins=24, range=(0, 86_400))[0] for s in range(10)], axis=0
    )
    hours = np.arange(24) + 0.5
    want = 3600 * 2.0 * (1 + 0.8 * np.cos(2 * np.pi * (hours - 20) / 24) * np.sinc(1 / 24))
    np.testing.assert_allclose(counts, want, atol=4 * np.sqrt(want.max() / 10))


@pytest.mark.parametrize(
    "law", [Constant(0.2), Exponential(0.2), Lognormal(0.2, cv=0.7), Measured([0.1, 0.1, 0.4])]
)
def test_a_law_says_its_mean_spread_and_percentile(law):
    times = law.sample(200_000, random_state=0)
    assert times.mean() == pytest.approx(law.mean, rel=0.01)
    assert times.std() / times.mean() == pytest.approx(law.cv, abs=0.01)
    assert np.percentile(times, 95) == pytest.approx(law.percentile(95), rel=0.02)


# --------------------------------------------------------------------------------------------- capacity


@pytest.mark.parametrize(
    ("service", "target"), [(Exponential(0.1), 0.5), (Lognormal(0.1, cv=1.5), 0.75), (Constant(0.1), 0.15)]
)
def test_the_plan_meets_its_target_on_fresh_traffic_and_one_fewer_does_not(service, target):
    plan = plan_capacity(55.0, service, target)
    for servers, meets in ((plan.servers, True), (plan.servers - 1, False)):
        run = simulate(poisson(55.0, n=100_000, random_state=5), service, servers, random_state=6)
        assert (run.p99 <= target) == meets


def test_the_plan_names_servers_and_reason():
    plan = plan_capacity(40.0, Exponential(0.1), 0.5)
    assert plan.servers == 6
    assert plan.utilization == pytest.approx(4 / 6)
    assert "6 servers" in plan.reason and "with 5 it would be 0.608 s" in plan.reason


def test_the_fewest_servers_that_keep_up_say_so():
    assert "4 could not keep up" in plan_capacity(40.0, Exponential(0.1), 100.0).reason
    assert plan_capacity(1.0, Exponential(0.1), 100.0).servers == 1


def test_an_impossible_target_is_named_with_what_the_service_takes_alone():
    for service, floor in ((Exponential(0.1), 0.461), (Constant(0.1), 0.1)):
        plan = plan_capacity(40.0, service, 0.09)
        assert plan.servers is None
        assert plan.p99 == pytest.approx(floor, abs=1e-3)
        assert "even if nobody waits" in plan.reason


def test_nobody_asks_and_one_server_is_kept():
    plan = plan_capacity(0.0, Exponential(0.1), 0.5)
    assert (plan.servers, plan.utilization) == (1, 0.0) and "0% of the time" in plan.reason
    assert plan_capacity(0.0, 0.1, 0.5).servers == 1
    assert plan_capacity(0.0, Exponential(0.1), 0.2).servers is None


def test_constant_service_may_have_its_own_time_as_target():
    plan = plan_capacity(40.0, 0.1, 0.1)
    assert plan.servers and plan.p99 == pytest.approx(0.1)


def test_the_capacity_curve_turns_up_before_the_server_is_full():
    curve = capacity_curve([2, 5, 8, 9.5], Exponential(0.1))
    assert curve["p99"].is_monotonic_increasing
    assert curve["p99"].iloc[3] > 5 * curve["p99"].iloc[1]
    assert curve["utilization"].iloc[2] == pytest.approx(0.8, abs=0.03)


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate([1.0, 0.0], 1.0), "sort them"),
        (lambda: simulate([0.0], [1.0, 2.0]), "1 requests arrive"),
        (lambda: simulate([0.0], -1.0), "above 0"),
        (lambda: simulate([0.0], "fast"), "is a law"),
        (lambda: simulate([0.0], 1.0, 0), "1 or more"),
        (lambda: simulate([0.0], 1.0, 1.5), "1 or more"),
        (lambda: simulate([0.0], 1.0, queue_limit=0.5), "queue_limit"),
        (lambda: poisson(1.0), "only one of them"),
        (lambda: poisson(-1.0, 10.0), "0 or more"),
        (lambda: poisson(0.0, n=3), "rate 0"),
        (lambda: diurnal(1.0, amplitude=1.5), "from 0 to 1"),
        (lambda: Lognormal(0.0), "above 0"),
        (lambda: erlang_c(2, -1.0), "0 or more"),
        (lambda: mmc(-1.0, 1.0), "0 or more"),
        (lambda: mmc_percentile(100, 0.5, 1.0), "percentile"),
        (lambda: plan_capacity(1.0, 0.1, 0.0), "p99_target"),
        (lambda: plan_capacity(-1.0, 0.1, 1.0), "rate"),
        (lambda: plan_capacity(40_000_000.0, Exponential(0.1), 0.5), "both in seconds"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_one_seed_for_arrivals_and_services_draws_them_independently():
    waits = [
        simulate(poisson(40, n=50_000, random_state=s), Exponential(0.02), random_state=s).mean_latency
        for s in range(4)
    ]
    assert np.mean(waits) == pytest.approx(0.1, rel=0.1)  # 1 / (50 - 40); correlated draws gave 0.047


# ---------------------------------------------------------------- the clock


def test_the_level_of_a_queue_does_not_depend_on_when_the_clock_began():
    rng = np.random.default_rng(0)
    begin = np.sort(rng.uniform(0, 1000, 200_000))
    end, edges = begin + rng.exponential(1, len(begin)), np.linspace(0, 1000, 11)
    late = mean_level(begin + 1.7e9, end + 1.7e9, edges + 1.7e9)
    assert late == pytest.approx(mean_level(begin, end, edges), rel=1e-5)
