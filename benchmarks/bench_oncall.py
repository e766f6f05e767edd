"""What policies cost on call: a hundred fresh seasons, paired, with 95% intervals; ablations, constant actions, calendars.

    python benchmarks/bench_oncall.py [seasons]
    python benchmarks/bench_oncall.py tables

The first seed is 3000: no season of a lesson, exercise or test is among them, and none that the simulator was tuned on. Costs are those of `oncall.COSTS`. The second
line writes the two tables of `oncall/season/` that checks score with, in about ten minutes.
"""

import sys
import time
from pathlib import Path

import numpy as np
from measured import record

from mlprod_helpers import oncall
from mlprod_helpers.exercises.lesson_11.e7_on_call import by_runbook
from mlprod_helpers.files import write_text
from mlprod_helpers.oncall import cost_of, policy_of
from mlprod_helpers.oncall.season.world import script_of

FIRST = 3000
LADDER = {
    "do nothing": oncall.do_nothing,
    "retrain daily": oncall.retrain_daily,
    "naive runbook": oncall.naive_runbook,
    "reference": oncall.reference,
    "oracle": oncall.oracle,
}


def interval(differences):
    """Mean and half the width of its 95% interval."""
    return differences.mean(), 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))


# --- constant actions and calendars ---------------------------------------------------------------------------------


def once(*actions):
    return lambda observation, memory: (list(actions) if observation["day"] == 0 else [], memory)


def each(days, *actions):
    return lambda observation, memory: (list(actions) if observation["day"] % days == 0 else [], memory)


PAGES = [{"do": "page", "team": team} for team in oncall.TEAMS]
GATE = {"do": "gate", "field": "distance", "low": 80, "high": 2700}
ONE = {"do": "limit_retries", "most": 1}
CALM = {"do": "roll_back", "what": "wind"}
CONSTANT = {
    "full automation": once({"do": "automation", "degree": "full"}),
    "people only": once({"do": "automation", "degree": "human only"}),
    "gate the distance": once(GATE),
    "one attempt only": once(ONE),
    "distances of the route": once({"do": "roll_back", "what": "distance"}),
    "no wind": once(CALM),
    "gate, one attempt, no wind": once(GATE, ONE, CALM),
    "gate and no wind": once(GATE, CALM),
    "retrain every third day": each(3, {"do": "retrain"}),
    "retrain every third day, gate, no wind": each(3, GATE, CALM, {"do": "retrain"}),
    "retrain weekly": each(7, {"do": "retrain"}),
    "page everybody weekly": each(7, *PAGES),
    "retrain and page everybody weekly": each(7, {"do": "retrain"}, *PAGES),
    "exchange the code weekly": each(7, {"do": "roll_back", "what": "code"}),
}


# --- ablations: the reference without its answer to one kind ------------------------------------------------------------


def without(kind):
    """The reference policy that never finds this cause."""
    return policy_of(diagnose=lambda signals, state: _but(kind, signals, state))


def _but(kind, signals, state):
    return [cause for cause in oncall.diagnose(signals, state) if cause != kind]


def blind_to_labels(observation, memory):
    """Observe as the reference does, and take no notice of missing labels."""
    state = oncall.observe(observation, memory)
    state["values"] = state["values"] | {"labels_share": None}
    state["out"].pop("labels_share", None)
    return state


def without_calendar(observation, memory):
    return oncall.observe(observation, memory) | {"calendar": ""}


def judged_by(judge, may_abort):
    """Act as the reference does, with another judge of candidates, and perhaps without an eye on large errors."""

    def act(causes, state):
        actions = oncall.act(causes, state)
        if not may_abort and "router" not in causes:
            actions = [action for action in actions if action["do"] != "abort"]
        return [action | {"judge": judge} if action["do"] == "start" else action for action in actions]

    return policy_of(act=act, diagnose=lambda signals, state: _but("bad_candidate", signals, state))


def leaving_out(policy, do):
    """A policy without one kind of its actions."""

    def other(observation, memory):
        actions, memory = policy(observation, memory)
        return [action for action in actions if action["do"] != do], memory

    return other


ABLATIONS = {
    **{kind: without(kind) for kind in oncall.KINDS if kind not in ("holiday", "label_outage")},
    "label_outage": policy_of(observe=blind_to_labels),
    "holiday": policy_of(observe=without_calendar),
    "drift": leaving_out(oncall.reference, "retrain"),
    "worse": judged_by("none", False),
    "slow": judged_by("errors", True),
    "one_airport": judged_by("errors and latency", False),
}


def kinds_in(seed):
    script = script_of(seed)
    return {"drift", *(event.kind for event in script.events), *(offer.kind for offer in script.offers)}


def main(seasons):
    seeds = range(FIRST, FIRST + seasons)
    begin = time.process_time()
    costs = {name: np.array([cost_of(policy, seed) for seed in seeds]) for name, policy in LADDER.items()}
    spent = (time.process_time() - begin) / seasons / len(LADDER)
    gap = costs["do nothing"] - costs["oracle"]
    print(f"{seasons} seasons from seed {FIRST}; {spent:.2f} s CPU a season and policy")
    for name, cost in costs.items():
        share = (costs["do nothing"] - cost).sum() / gap.sum()
        record(f"avoidable cost avoided, {name}", seasons, share=share)
        print(f"  {name:<16}{cost.mean():>9,.0f} dollars, closes {share:6.1%} of the gap")
    for one, other in zip(list(LADDER)[:-1], list(LADDER)[1:], strict=True):
        mean, half = interval(costs[one] - costs[other])
        print(f"  {one} - {other}: {mean:,.0f} +- {half:,.0f}")
    begin = time.process_time()
    for seed in range(5):
        cost_of(oncall.reference, seed)
    print(f"Replay of five seasons, worlds included: {time.process_time() - begin:.2f} s CPU")

    constants(seeds, costs, gap)
    ablations(seeds, costs["reference"])


def constants(seeds, costs, gap):
    print("Constant actions and calendars, share of the gap:")
    for name, policy in CONSTANT.items():
        cost = np.array([cost_of(policy, seed) for seed in seeds])
        shares = (costs["do nothing"] - cost) / gap.mean()
        print(f"  {name:<36}{shares.mean():7.1%} +- {interval(shares)[1]:.1%}")


def ablations(seeds, reference):
    print("The reference without its answer to a kind, on the seasons that hold it:")
    held = {seed: kinds_in(seed) for seed in seeds}
    for kind, policy in ABLATIONS.items():
        own = [seed for seed in seeds if kind in held[seed]]
        more = np.array([cost_of(policy, seed) - reference[seed - FIRST] for seed in own])
        mean, half = interval(more)
        print(f"  {kind:<16}{len(own):>4} seasons: {mean:>8,.0f} +- {half:,.0f} dollars more")


# --- tables for checks -------------------------------------------------------------------------------------------------


#: Right policies, and wrong ones that lack one kind of action, or forget what they did.
KNOWN = [
    *(
        oncall.reference,
        by_runbook,
        lambda observation, memory: (oncall.reference(observation, None)[0], None),
    ),
    *(
        leaving_out(policy, do)
        for policy in (oncall.reference, by_runbook)
        for do in ("restore", "start", "retrain", "page")
    ),
]


def balanced_fives(scales, tried=300_000, kept=60):
    """Groups of five seasons that hold each kind of incident, and on which all of `KNOWN` do as well as on all seasons.

    Random groups differ so much that a policy which restores nothing, and avoids half of the avoidable cost, would pass on one group in five.
    """
    nothing, _, best = scales.T
    seasons = range(len(scales))
    # season by season, so that the world of each is made once
    costs = [[cost_of(policy, seed) for policy in KNOWN] for seed in seasons]
    won = nothing - np.transpose(costs)
    held = np.array([[kind in kinds_in(seed) for kind in oncall.KINDS] for seed in seasons])
    rng = np.random.default_rng(0)
    fives = np.array([rng.choice(len(scales), 5, replace=False) for _ in range(tried)])
    fives = fives[held[fives].any(axis=1).all(axis=1)]
    shares = won[:, fives].sum(axis=2) / (nothing - best)[fives].sum(axis=1)
    usual = won.sum(axis=1) / (nothing - best).sum()
    off = np.abs(shares - usual[:, None]) / shares.std(axis=1, keepdims=True)
    return fives[off.max(axis=0).argsort()[:kept]]


def write_tables(seasons=200):
    """Write what the checks score with into `mlprod_helpers/oncall/season/`."""
    three = (oncall.do_nothing, oncall.naive_runbook, oncall.oracle)
    scales = np.array([[round(cost_of(policy, seed)) for policy in three] for seed in range(seasons)])
    _write("scales.txt", "dollars of the seasons from 0 on: do_nothing, naive_runbook, oracle", scales)
    _write("fives.txt", "five seasons a line that together are about as hard as all", balanced_fives(scales))


def _write(name, meaning, rows):
    lines = [f"# {meaning}", "# made by: python benchmarks/bench_oncall.py tables"]
    lines += [" ".join(map(str, row)) for row in rows]
    write_text(Path(oncall.__file__).parent / "season" / name, "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["tables"]:
        sys.exit(write_tables())
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
