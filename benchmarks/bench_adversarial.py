"""Adversarial validation: does the default classifier find what is there, and what does the function cost?

    python benchmarks/bench_adversarial.py               2 x 50,000 rows of 20 columns, about five minutes on two cores
    python benchmarks/bench_adversarial.py --rows 5000   quicker, and further from the best possible AUC

Two questions, each with a bar:

1. AUC with the default classifier, mean of five seeds, beside the best possible one on the same distributions.
   "shift": 0.2 standard deviations in 5 of 20 columns; bar: within 0.01 of 0.6241.
   "flip": a correlation of +0.8 in the reference and -0.8 in the current table, in 2 of 20 columns; bar: 0.88 (best 0.90).
2. CPU seconds as a multiple of scikit-learn's `cross_val_predict` with the same classifier, seed and folds, both measured
   in turn in one process; bar: 1.20. "same folds" hands both the same splits; "as one calls it" lets `adversarial_validation`
   look for repeated rows and deal its own folds, so that early stopping may end after more trees or fewer than beside it.
   Once with one thread (OMP_NUM_THREADS=1) and once with the machine's settings: boosted trees spin on idle cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
from measured import record
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mlprod_helpers.drift import adversarial_validation, default_estimator

COLUMNS = 20
BEST = {"shift": 0.6241, "flip": 0.90}
BAR = {"shift": "0.6141 to 0.6341", "flip": "at least 0.88"}


def tables(case, n_rows, seed):
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=(2, n_rows, COLUMNS))
    if case == "shift":
        current[:, :5] += 0.2
    else:
        for table, correlation in ((reference, 0.8), (current, -0.8)):
            table[:, 1] = correlation * table[:, 0] + 0.6 * table[:, 1]
    return reference, current


def cpu_seconds(call):
    start = time.process_time()
    answer = call()
    return time.process_time() - start, answer


def one_run(case, n_rows, seed):
    reference, current = tables(case, n_rows, seed)
    rows, labels = np.vstack([reference, current]), np.repeat([0, 1], n_rows)
    classifier = default_estimator(*rows.shape, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)

    theirs, scores = cpu_seconds(
        lambda: cross_val_predict(classifier, rows, labels, cv=folds, method="predict_proba")
    )
    same, twin = cpu_seconds(
        lambda: adversarial_validation(reference, current, estimator=classifier, cv=folds, random_state=seed)
    )
    ours, found = cpu_seconds(lambda: adversarial_validation(reference, current, random_state=seed))
    scored_alike = np.allclose(twin.reference_scores, scores[:n_rows, 1])
    return {
        "case": case,
        "rows": n_rows,
        "auc": found.auc,
        "auc of scikit-learn": roc_auc_score(labels, scores[:, 1]),
        "scored alike": bool(scored_alike),
        "cross_val_predict": theirs,
        "same folds": same,
        "as one calls it": ours,
    }


def worker(arguments):
    # the first fit of a process pays for imports and threads
    one_run("shift", 500, 0)
    for case in ("shift", "flip"):
        for seed in range(arguments.seeds):
            print(json.dumps(one_run(case, arguments.rows, seed)), flush=True)


def run_in_new_process(threads, arguments):
    environment = os.environ | ({"OMP_NUM_THREADS": threads} if threads else {})
    if threads is None:
        environment.pop("OMP_NUM_THREADS", None)
    command = [
        sys.executable,
        __file__,
        "--worker",
        "--rows",
        str(arguments.rows),
        "--seeds",
        str(arguments.seeds),
    ]
    lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def print_tables(runs_by_setting):
    one_thread = next(iter(runs_by_setting.values()))
    print(f"{'AUC':8}{'mean':>9}{'lowest':>9}{'highest':>9}{'best possible':>15}   bar")
    for case, best in BEST.items():
        aucs = [run["auc"] for run in one_thread if run["case"] == case]
        print(f"{case:8}{np.mean(aucs):9.4f}{min(aucs):9.4f}{max(aucs):9.4f}{best:15.4f}   {BAR[case]}")
    alike = all(run["scored alike"] for runs in runs_by_setting.values() for run in runs)
    print(f"\nwith the same folds each score equals scikit-learn's: {'yes' if alike else 'NO'}")
    if len(runs_by_setting) > 1:
        same_aucs = len({tuple(run["auc"] for run in runs) for runs in runs_by_setting.values()}) == 1
        print(f"the same AUC with one thread and with several: {'yes' if same_aucs else 'NO'}")
    print()
    head = f"{'CPU, median of ' + str(len(one_thread) // 2):34}{'cross_val_predict':>18}"
    print(f"{head}{'same folds':>19}{'as one calls it':>19}   bar 1.20")
    for setting, runs in runs_by_setting.items():
        for case in BEST:
            of_case = [run for run in runs if run["case"] == case]
            line = f"{setting + ', ' + case:34}{np.median([r['cross_val_predict'] for r in of_case]):16.2f} s"
            for name in ("same folds", "as one calls it"):
                seconds = np.median([run[name] for run in of_case])
                ratio = np.median([run[name] / run["cross_val_predict"] for run in of_case])
                record(
                    f"adversarial validation, {case}, {name}, {setting}, against cross_val_predict",
                    of_case[0]["rows"],
                    seconds,
                    of_its_CPU_time=ratio,
                )
                line += f"{seconds:9.2f} s x{ratio:5.2f} "
            print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000, help="of each table")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", choices=["one", "all", "both"], default="both")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    settings = {"OMP_NUM_THREADS=1": "1", f"as it is ({os.cpu_count()} cores)": None}
    if arguments.threads != "both":
        settings = dict([list(settings.items())[arguments.threads == "all"]])
    print_tables({name: run_in_new_process(threads, arguments) for name, threads in settings.items()})


if __name__ == "__main__":
    main()
