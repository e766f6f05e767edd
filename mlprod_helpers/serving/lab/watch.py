"""Six recorded rollouts, for rules that decide whether to roll back."""

from mlprod_helpers.serving.lab import recorded_runs

FAILING, RETRIED, AS_GOOD, COPIES, OUTAGE, LATE_OUTAGE = (
    "v2 fails for one request in twenty: rolled back before 15 of its tries have failed",
    "the same, but the router then asks v1, so that users see no error: rolled back as well",
    "v2 is as good as v1, and both fail now and then: v2 stays",
    "copies go to a v3 that fails half of the time, and v2 is good: v2 stays",
    "the network is down for v1 and v2 for a while: v2 stays",
    "the same, and v2 has more users than v1: v2 stays",
)


def draw_watch(rng):
    """Six recorded rollouts, each as ten windows: the tries since the last look.

    Returns
    -------
    dict : title -> list of 10 DataFrames with `version`, `served`, `status`, `attempts`

    >>> import numpy as np
    >>> windows = draw_watch(np.random.default_rng(1))[FAILING]
    >>> watch(lambda window, memory: ("rollback", memory), windows)[0]  # at the first look
    1
    """
    draw = recorded_runs.draw_log
    return {
        FAILING: draw("fails", rng, failures=(15, 32), fair=recorded_runs.clearly_worse),
        RETRIED: draw("retried", rng, failures=(15, 32), fair=recorded_runs.clearly_worse),
        AS_GOOD: draw(
            "copies",
            rng,
            failures=(2, 3),
            begin=(recorded_runs.TWICE, 1, 14),
            copies=False,
            fair=recorded_runs.by_luck_twice,
        ),
        COPIES: draw("copies", rng, failures=(1, 3)),
        OUTAGE: draw("outage", rng, begin=(recorded_runs.OUTAGE, 20, 45), fair=recorded_runs.a_little_worse),
        LATE_OUTAGE: draw(
            "outage",
            rng,
            begin=(recorded_runs.OUTAGE, 20, 45),
            stable=0.05,
            fair=recorded_runs.more_but_not_worse,
        ),
    }


def watch(on_tick, windows):
    """Run `on_tick(window, memory) -> (action, memory)` through one recorded rollout; "rollback" ends it.

    Returns
    -------
    (int or None, int) : the look at which it was rolled back, and the tries of v2 that had failed by then
    """
    memory, failed = {}, 0
    for look, window in enumerate(windows, start=1):
        failed += int(((window["version"] == "v2") & (window["status"] >= 500)).sum())
        action, memory = on_tick(window, memory)
        if action == "rollback":
            return look, failed
    return None, failed
